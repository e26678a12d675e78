package integration

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// TestABackupIsRestoredWhole stores lines, archives them from the running engine, restores them into an empty one, and
// goes on there.
func TestABackupIsRestoredWhole(t *testing.T) {
	t.Parallel()
	sockeye := binary(t)
	const token = "the-token"
	env := []string{"SOCKEYE_CLICKHOUSE_TOKEN=" + token}
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token+"\n"), 0o600))
	engine := func() string {
		addr := testenv.Address(t)
		start(t, env, sockeye, "clickhouse", "--data", t.TempDir(), "--listen", addr).listening(addr)
		return addr
	}
	// run runs a command of `sockeye clickhouse` and returns its exit code and what it printed.
	run := func(args ...string) (int, string) {
		p := start(t, nil, sockeye, append([]string{"clickhouse"}, args...)...)
		code := p.wait(time.Minute)
		return code, strings.TrimSpace(p.out.String())
	}
	ask := func(addr, sql string, args ...string) string {
		code, out := run(append([]string{"query", sql, "--address", addr, "--token-file", tokenFile}, args...)...)
		require.Zero(t, code, out)
		return out
	}
	first := engine()
	const lines = 3000
	collect := func(addr string, n int) {
		config := configFile(t, fmt.Sprintf(pipelineConfig, t.TempDir(), written(t, n), "http://default:"+token+"@"+addr+"/sockeye"))
		collector := start(t, nil, sockeye, "--config", config)
		// An insert has ended when its last table has its rows.
		want := fmt.Sprintf(`{"n":[%[1]d,%[1]d,%[1]d,%[1]d,1]}`, 2*n)
		eventually(t, 90*time.Second, "every line stored and counted", func() (bool, string) {
			code, out := run("query", `SELECT [toUInt32((SELECT count() FROM events)), (SELECT sum(count) FROM rollup_10s),
				(SELECT sum(count) FROM rollup_1m), (SELECT sum(count) FROM rollup_15m), (SELECT count() > 0 FROM chunks)]::Array(UInt32) AS n`,
				"--output", "json", "--address", addr, "--token-file", tokenFile)
			return code == 0 && out == want, out
		})
		collector.stop()
	}
	collect(first, lines)

	archives := filepath.Join(dir, "archives")
	require.NoError(t, os.Mkdir(archives, 0o700))
	code, out := run("backup", "--to", archives, "--address", first, "--token-file", tokenFile)
	require.Zero(t, code, out)
	archive, _, _ := strings.Cut(out, " (")
	require.FileExists(t, archive)
	code, out = run("backup", "--to", archive, "--address", first, "--token-file", tokenFile)
	require.NotZero(t, code)
	require.Contains(t, out, "exists; name another file")

	second := engine()
	code, out = run("restore", archive, "--address", second, "--token-file", tokenFile)
	require.Zero(t, code, out)
	const everything = `SELECT * FROM (SELECT 'events' AS of, count(), sum(cityHash64(time, event, connection_id, attributes)) FROM events
		UNION ALL SELECT '10s', sum(count), sum(duration_count) FROM rollup_10s UNION ALL SELECT '1m', sum(count), 0 FROM rollup_1m
		UNION ALL SELECT 'chunks', count(), 0 FROM chunks UNION ALL SELECT 'migrations', count(), 0 FROM schema_migrations
		UNION ALL SELECT 'tables', count(), 0 FROM system.tables WHERE database = 'sockeye') ORDER BY of`
	require.Equal(t, ask(first, everything, "--output", "csv"), ask(second, everything, "--output", "csv"))
	code, out = run("restore", archive, "--address", second, "--token-file", tokenFile)
	require.NotZero(t, code, "rows are not doubled: "+out)
	require.Equal(t, ask(first, everything, "--output", "csv"), ask(second, everything, "--output", "csv"))
	check := start(t, []string{"SOCKEYE_STORE_PASSWORD=" + token}, sockeye, "store", "check", "--endpoint", "http://default@"+second+"/sockeye")
	require.Zero(t, check.wait(time.Minute), check.out.String())

	// What it says and prints.
	require.Equal(t, "┌─n─┐\n1. │ 1 │\n   └───┘", strings.TrimSpace(strings.TrimPrefix(ask(first, "SELECT 1 AS n"), "   ")))
	rows, err := csv.NewReader(strings.NewReader(ask(first, "SELECT number, 'a\n\"b' AS text FROM numbers(200000)", "--output", "csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 200001)
	require.Equal(t, []string{"number", "text"}, rows[0])
	require.Equal(t, []string{"199999", "a\n\"b"}, rows[200000])
	require.Equal(t, "\"n\"", ask(first, "SELECT 1 AS n WHERE 0", "--output", "csv"))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no engine runs":           {[]string{"query", "SELECT 1", "--address", "127.0.0.1:1"}, "no engine answers at 127.0.0.1:1"},
		"the token is wrong":       {[]string{"query", "SELECT 1", "--address", first}, "the token is wrong or missing"},
		"the statement is wrong":   {[]string{"query", "SELEC", "--address", first, "--token-file", tokenFile}, "Code: 62"},
		"it fails when it has run": {[]string{"query", "SELECT throwIf(number = 3000000, 'late') FROM numbers(4000000)", "-o", "json", "--address", first, "--token-file", tokenFile}, "late"},
		"no archive":               {[]string{"restore", tokenFile, "--address", second, "--token-file", tokenFile}, "no whole archive"},
	} {
		code, out := run(c.args...)
		require.NotZero(t, code, name)
		require.Contains(t, out, c.says, name)
		require.NotContains(t, out, token, name)
	}

	endless := start(t, nil, sockeye, "clickhouse", "query", "SELECT count() FROM numbers_mt(1000000000000) WHERE NOT ignore(sipHash64(number))",
		"--address", first, "--token-file", tokenFile)
	running := func() string {
		return ask(first, "SELECT count() FROM system.processes WHERE query LIKE '%numbers_mt%' AND query NOT LIKE '%processes%'", "-o", "csv")
	}
	eventually(t, 30*time.Second, "the statement running", func() (bool, string) { return strings.HasSuffix(running(), "\n1"), running() })
	require.NoError(t, endless.cmd.Process.Signal(syscall.SIGINT))
	require.NotZero(t, endless.wait(30*time.Second))
	require.Contains(t, endless.out.String(), "cancelled")
	eventually(t, 30*time.Second, "the statement gone", func() (bool, string) { return strings.HasSuffix(running(), "\n0"), running() })
}
