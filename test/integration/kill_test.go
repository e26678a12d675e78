package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kill ends the program as a crash or the OOM killer would.
func (p *program) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it may just have ended
	<-p.done
	p.ended = true
}

// TestKillsAtRandomLoseAndDoubleNothing kills the collector, the engine or both, at random moments, while lines keep
// coming and the log is rotated now and then; afterwards every line is stored once and every tier equals a recount.
// SOCKEYE_KILLS sets the number of rounds, SOCKEYE_SEED repeats a run.
func TestKillsAtRandomLoseAndDoubleNothing(t *testing.T) {
	for protocol, rounds := range map[string]int{"http": 50, "clickhouse": 10} {
		t.Run(protocol, func(t *testing.T) { killAtRandom(t, protocol, rounds) })
	}
}

func killAtRandom(t *testing.T, protocol string, rounds int) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SOCKEYE_KILLS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	if text := os.Getenv("SOCKEYE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SOCKEYE_SEED=%d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))

	engine := startClickHouseOver(t, protocol, t.TempDir())
	dir := t.TempDir()
	logPath := filepath.Join(dir, "access.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer func() { log.Close() }()
	config := filepath.Join(dir, "collector.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, pipelineConfig, dir, logPath+"*", engine.dsn()), 0o600))
	collector := start(t, nil, binary(t), "--config", config)

	lines := 0
	write := func(d time.Duration) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
			var b strings.Builder
			for range 1 + dice.IntN(60) {
				b.WriteString(accessLine(lines, time.Now()))
				lines++
			}
			// A line may reach the file in two parts.
			text := b.String()
			cut := dice.IntN(len(text))
			for _, part := range []string{text[:cut], text[cut:]} {
				_, err := log.WriteString(part)
				require.NoError(t, err)
			}
		}
	}
	var collectors, engines int
	for round := range rounds {
		write(time.Duration(200+dice.IntN(1500)) * time.Millisecond)
		what := 1 + dice.IntN(3) // bit 0: the collector, bit 1: the engine
		if what&1 != 0 {
			collectors++
			collector.kill()
		}
		if what&2 != 0 {
			engines++
			engine.kill()
		}
		if round%7 == 3 { // rotated, sometimes while the collector is down
			require.NoError(t, os.Rename(logPath, fmt.Sprintf("%s.%d", logPath, round)))
			log.Close()
			log, err = os.Create(logPath)
			require.NoError(t, err)
		}
		write(time.Duration(dice.IntN(300)) * time.Millisecond)
		if what&2 != 0 {
			engine.restart(t)
		}
		if what&1 != 0 {
			collector = start(t, nil, binary(t), "--config", config)
		}
	}
	t.Logf("%d rounds: the collector killed %d times, the engine %d times; %d lines", rounds, collectors, engines, lines)
	want := fmt.Sprintf("%d\t%d\t%d", 2*lines, lines, lines)
	eventually(t, 120*time.Second, "every line stored once", func() (bool, string) {
		got, err := query(engine.addr, "SELECT count(), uniqExact(connection_id), countIf(event = 'websocket.open') FROM events")
		return got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
	})
	requireTiersEqualRecount(t, engine.addr)
}

// requireTiersEqualRecount compares every tier, row by row, with what the events give when they are counted again. It
// gives the views time: a row of events can be seen before its rollup rows, and after a kill between them those come with
// the chunk's repetition.
func requireTiersEqualRecount(t testing.TB, addr string) {
	t.Helper()
	for table, step := range map[string]string{
		"rollup_10s": "toIntervalSecond(10)", "rollup_1m": "toIntervalMinute(1)", "rollup_15m": "toIntervalMinute(15)",
	} {
		const keys = "service, environment, region, vantage, visibility, tenant, event, direction, outcome, error_type, fault, policy"
		recount := fmt.Sprintf(`SELECT * FROM (
			SELECT b, %[1]s, sum(n) AS n, sum(d) AS d, sum(fast) AS fast FROM (
				SELECT bucket AS b, %[1]s, toInt64(sum(count)) AS n, toInt64(sum(duration_count)) AS d, toInt64(sum(le_10ms)) AS fast
				FROM %[2]s GROUP BY b, %[1]s
				UNION ALL
				SELECT toStartOfInterval(toDateTime(counted_at, 'UTC'), %[3]s) AS b, %[1]s, -toInt64(sum(count)) AS n,
					-toInt64(countIf(duration IS NOT NULL)) AS d, -toInt64(countIf(duration <= 0.01)) AS fast
				FROM events GROUP BY b, %[1]s
			) GROUP BY b, %[1]s
		) WHERE n != 0 OR d != 0 OR fast != 0 LIMIT 3`, keys, table, step)
		eventually(t, 60*time.Second, table+" equal to a recount", func() (bool, string) {
			difference, err := query(addr, recount)
			return err == nil && difference == "", fmt.Sprint(difference, err)
		})
	}
}
