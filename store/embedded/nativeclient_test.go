package embedded_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// Debian's client is of 2018 and speaks revision 54412: settings have types, blocks no byte for serialization, and an
// INSERT ends with nothing but its end.
func TestOldClient(t *testing.T) {
	path := testenv.Program(t, "clickhouse-client", "clickhouse-client")
	_, native := embeddedtest.Databases(t)
	address, database, _ := strings.Cut(strings.TrimPrefix(native, "clickhouse://"), "/")
	host, port, _ := strings.Cut(address, ":")
	run := func(stdin string, args ...string) (string, string, error) {
		cmd := exec.CommandContext(t.Context(), path,
			append([]string{"--host", host, "--port", port, "--database", database}, args...)...)
		cmd.Dir, cmd.Env = t.TempDir(), []string{"HOME=" + t.TempDir()}
		cmd.Stdin = strings.NewReader(stdin)
		var errors strings.Builder
		cmd.Stderr = &errors
		out, err := cmd.Output()
		return string(out), errors.String(), err
	}
	ask := func(stdin string, args ...string) string {
		out, said, err := run(stdin, args...)
		require.NoError(t, err, "%s: %s", args, said)
		return out
	}
	ask("", "--query", "CREATE TABLE t (a UInt64, b LowCardinality(String), c Nullable(Float64), d Array(String), "+
		"e DateTime('UTC')) ENGINE = MergeTree ORDER BY a")
	rows := "1\tx\t0.5\t['a','b']\t2026-01-02 03:04:05\n2\ty\t\\N\t[]\t1999-12-31 23:59:59\n"
	for _, compression := range []string{"0", "1"} {
		ask("", "--query", "TRUNCATE TABLE t")
		ask(rows, "--compression", compression, "--query", "INSERT INTO t FORMAT TSV")
		require.Equal(t, rows, ask("", "--compression", compression, "--query", "SELECT * FROM t ORDER BY a"))
		require.Empty(t, ask("", "--compression", compression, "--query", "SELECT * FROM t WHERE a = 7"))
	}
	require.Equal(t, "3\n", ask("", "--max_threads", "3", "--query", "SELECT getSetting('max_threads')"))
	require.Equal(t, "system\n5\n", ask("USE system; SET max_threads = 5; SELECT currentDatabase(); "+
		"SELECT getSetting('max_threads');", "--multiquery"))
	require.Equal(t, "2000000\n", ask("", "--query", "SELECT count() FROM (SELECT number FROM numbers(2000000))"))
	require.Equal(t, 1_000_000, strings.Count(ask("", "--query", "SELECT number FROM numbers(1000000)"), "\n"))
	_, said, err := run("", "--query", "SELECT * FROM nope")
	require.Error(t, err)
	require.Contains(t, said, "Code: 60. DB::Exception")
	_, said, err = run("", "--query", "SELECT map('a', 1)")
	require.Error(t, err, said)
}
