package main

import (
	"bytes"
	"encoding/base64"
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
