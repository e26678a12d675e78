package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/keyfile"
)

// The scripts in testdata/script run the command line in this process: `sockeye parse …`, then `stdout` and `stderr`
// as testscript has them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			key := base64.StdEncoding.EncodeToString(make([]byte, keyfile.Size))
			return os.WriteFile(filepath.Join(env.WorkDir, "key"), []byte(key), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sockeye": func(ts *testscript.TestScript, neg bool, args []string) {
				for i, arg := range args {
					if strings.HasPrefix(arg, "$WORK") || strings.HasSuffix(arg, ".log") || strings.HasSuffix(arg, ".conf") ||
						strings.HasSuffix(arg, ".yaml") {
						args[i] = ts.MkAbs(arg)
					}
				}
				status := run(t.Context(), args, ts.Stdout(), ts.Stderr())
				if (status != 0) != neg {
					ts.Fatalf("exit status %d", status)
				}
			},
		},
	})
}

func TestParseReadsStandardInput(t *testing.T) {
	cmd := newParseCommand()
	var stdout, stderr bytes.Buffer
	cmd.SetIn(strings.NewReader("{}\n\n" + strings.Repeat("x", maxParseLine+1) + "\nlast line without a break"))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs([]string{"--format", "nginx"})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Empty(t, stdout.String())
	require.Equal(t, "stdin:1: missing field: status\nstdin:2: malformed json\nstdin:3: too long\n"+
		"stdin:4: malformed json\n4 lines: 0 events; 0 lines not about a WebSocket, 4 that could not be read\n",
		stderr.String())
}

func TestParseNamesTheFirstLinesThatItCannotRead(t *testing.T) {
	t.Parallel()
	for lines, more := range map[int]string{10: "", 11: "1 more that could not be read\n", 5000: "4990 more that could not be read\n"} {
		cmd := newParseCommand()
		var want, stdout, stderr bytes.Buffer
		for n := range maxFaultsShown {
			fmt.Fprintf(&want, "stdin:%d: malformed json\n", n+1)
		}
		fmt.Fprintf(&want, "%s%d lines: 0 events; 0 lines not about a WebSocket, %d that could not be read\n", more, lines, lines)
		cmd.SetIn(strings.NewReader(strings.Repeat("x\n", lines)))
		cmd.SetOut(&stdout)
		cmd.SetErr(&stderr)
		cmd.SetArgs([]string{"--format", "nginx"})
		require.NoError(t, cmd.ExecuteContext(t.Context()))
		require.Equal(t, want.String(), stderr.String())
	}
}

func TestParseReadsWhatGzipCompressed(t *testing.T) {
	t.Parallel()
	var in, stdout, stderr bytes.Buffer
	z := gzip.NewWriter(&in)
	_, err := z.Write([]byte(`{"msec":1795330811.356,"status":101,"http_upgrade":"websocket","uri":"/"}` + "\n" + strings.Repeat("x", 64<<20)))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	parse := func(in []byte) error {
		cmd := newParseCommand()
		cmd.SetIn(bytes.NewReader(in))
		cmd.SetOut(&stdout)
		cmd.SetErr(&stderr)
		cmd.SetArgs([]string{"--format", "auto"})
		return cmd.ExecuteContext(t.Context())
	}
	require.NoError(t, parse(in.Bytes()))
	require.Equal(t, 2, strings.Count(stdout.String(), "\n"))
	require.Contains(t, stderr.String(), "stdin:2: too long\n")
	require.ErrorContains(t, parse(in.Bytes()[:in.Len()/2]), "stdin:2: unexpected EOF")
	require.ErrorContains(t, parse([]byte("\x1f\x8bx")), "stdin: unexpected EOF")
}
