package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// TestEveryFaultHasOneClearSentence shows what a newcomer meets first. The sentence names the place and the remedy; no
// stack trace, and nothing secret, comes with it.
func TestEveryFaultHasOneClearSentence(t *testing.T) {
	t.Parallel()
	sockeye := binary(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	engine := startClickHouse(t)
	// An engine that wants a token stands for a server that wants a password.
	guardedAddr, guardedData := testenv.Address(t), t.TempDir()
	guarded := start(t, []string{"SOCKEYE_CLICKHOUSE_TOKEN=right"}, sockeye, "clickhouse", "--data", guardedData, "--listen", guardedAddr)
	guarded.listening(guardedAddr)
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "collector.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	notADirectory := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(notADirectory, nil, 0o600))

	for name, c := range map[string]struct {
		env  []string
		args []string
		says []string
		not  string
	}{
		"the engine's library is missing: the command that gets it": {
			args: []string{"clickhouse", "--data", t.TempDir(), "--library", "/nonexistent/libchdb.so"},
			says: []string{"/nonexistent/libchdb.so", "make libchdb"},
		},
		"another engine has the data directory": {
			args: []string{"clickhouse", "--data", engine.data, "--listen", "127.0.0.1:0"},
			says: []string{engine.data, "another"},
		},
		"the port is taken": {
			args: []string{"clickhouse", "--data", t.TempDir(), "--listen", taken.Addr().String()},
			says: []string{taken.Addr().String(), "taken"},
		},
		"the data directory cannot be written": {
			args: []string{"clickhouse", "--data", filepath.Join(notADirectory, "below"), "--listen", "127.0.0.1:0"},
			says: []string{notADirectory},
		},
		"ClickHouse cannot be reached": {
			args: []string{"store", "status", "--endpoint", "http://127.0.0.1:1/sockeye"},
			says: []string{"127.0.0.1:1"},
		},
		"the password is wrong": {
			args: []string{"store", "status", "--endpoint", "http://default:wrong-secret@" + guardedAddr + "/sockeye"},
			says: []string{"password"},
			not:  "wrong-secret",
		},
		"several mistakes in a configuration are told at once, by key": {
			args: []string{"validate", "--config", file(`
receivers:
  websocketlog:
    format: ngnix
    inclde: [/var/log/nginx/access.log]
exporters:
  websocketclickhouse:
    endpoint: ftp://somewhere
    timeout: -1s
service:
  pipelines:
    logs: {receivers: [websocketlog], processors: [pii], exporters: [websocketclickhouse]}
`)},
			says: []string{"inclde", "format", "ngnix", "endpoint", "timeout", "pii"},
		},
		"an SLO document is wrong at a place": {
			args: []string{"slo", "validate", filepath.Join(testenv.Root(), "test", "integration", "testdata", "bad-slo.yaml")},
			says: []string{"bad-slo.yaml:"},
		},
		"the file does not exist": {
			args: []string{"parse", "--format", "nginx", "/nonexistent/access.log"},
			says: []string{"/nonexistent/access.log"},
		},
		"the format does not exist: those that do are listed": {
			args: []string{"parse", "--format", "ngnix", "-"},
			says: []string{"ngnix", "nginx", "ndjson"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, c.env, sockeye, c.args...)
			code := p.wait(60 * time.Second)
			out := p.out.String()
			t.Log(out)
			require.NotZero(t, code)
			for _, part := range c.says {
				require.Contains(t, out, part)
			}
			if c.not != "" {
				require.NotContains(t, out, c.not)
			}
			require.NotContains(t, out, "goroutine ")
			require.NotContains(t, out, "Usage:")
			require.LessOrEqual(t, strings.Count(strings.TrimSpace(out), "\n"), 12, "one sentence a fault")
		})
	}
}

// TestExamplesAreValid loads every example as its user would.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Glob(filepath.Join(testenv.Root(), "examples", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, examples)
	for _, path := range examples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			args := []string{"validate", "--config", path}
			if filepath.Base(path) == "mapping.yaml" { // describes a log, not a collector
				args = []string{"parse", "--format", "mapping", "--mapping", path, os.DevNull}
			}
			p := start(t, nil, binary(t), args...)
			require.Zero(t, p.wait(60*time.Second), p.out.String())
		})
	}
}

// TestTheDemoPagesAndResolves runs what `make demo` runs: with nginx and Alertmanager, and as on a machine without.
func TestTheDemoPagesAndResolves(t *testing.T) {
	testenv.Program(t, "nginx", "nginx-light")
	testenv.Program(t, "prometheus-alertmanager", "prometheus-alertmanager")
	for name, args := range map[string][]string{
		"with nginx and Alertmanager": nil,
		"with neither":                {"--without-nginx", "--without-alertmanager"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := start(t, nil, binary(t), append([]string{"demo"}, args...)...)
			code := p.wait(4 * time.Minute)
			t.Logf("%s\nended after %s", p.out, time.Since(began).Round(time.Second))
			require.Zero(t, code)
			require.Contains(t, p.out.String(), "severity     page")
			require.Contains(t, p.out.String(), "From fault to page")
		})
	}
}
