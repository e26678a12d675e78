package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// TestAFullQueueSurvivesKills pushes into examples/push.yaml while the engine is down, until the queue is full, kills the
// collector, and kills it again while the queue drains. Every acknowledged batch is stored once, each chunk whole; the
// refused batch was not kept.
func TestAFullQueueSurvivesKills(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	engine.kill()
	dir, addr := t.TempDir(), testenv.Address(t)
	env := []string{
		"SOCKEYE_DATA=" + dir, "SOCKEYE_ACCESS_LOG=" + filepath.Join(dir, "access.log"), "SOCKEYE_PUSH=" + addr,
		"SOCKEYE_CLICKHOUSE_DSN=" + engine.dsn(),
	}
	// The example, with a queue that is full sooner.
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "push.yaml"))
	require.NoError(t, err)
	small := strings.Replace(string(text), "queue_size: 1073741824", "queue_size: 67108864", 1)
	require.NotEqual(t, string(text), small)
	config := configFile(t, small)
	run := func() *program {
		p := start(t, env, binary(t), "--config", config, "--set", "service.telemetry.metrics.level=none")
		p.listening(addr)
		return p
	}
	collector := run()

	client := &http.Client{Timeout: 20 * time.Second}
	events := 0
	push := func(first, n int) int {
		var body bytes.Buffer
		for i := range n {
			body.WriteString(authEvent(first+i, time.Now()))
		}
		resp, err := client.Post("http://"+addr+"/v1/events", "application/x-ndjson", &body)
		require.NoError(t, err)
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body) //nolint:errcheck // only to reuse the connection
		return resp.StatusCode
	}
	const batch = 5_000
	for status := 0; ; events += batch {
		if status = push(events, batch); status != http.StatusOK {
			require.Equal(t, http.StatusServiceUnavailable, status, collector.out.String())
			break
		}
		require.Less(t, events, 1_000_000, "the queue is never full")
	}
	require.Greater(t, events, 10*batch)
	collector.kill()

	collector = run()
	engine.restart(t)
	stored := func() int64 { return number(engine.addr, "SELECT count() FROM events") }
	for _, share := range []int64{10, 3, 2} {
		eventually(t, 60*time.Second, "some of the queue stored", func() (bool, string) {
			return stored() >= int64(events)/share, collector.out.String()
		})
		collector.kill()
		collector = run()
	}
	want := fmt.Sprintf("%d\t%d", events, events)
	eventually(t, 120*time.Second, "every event stored once", func() (bool, string) {
		got, err := query(engine.addr, "SELECT count(), uniqExact(connection_id) FROM events")
		return got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
	})
	require.EqualValues(t, 0, number(engine.addr, "SELECT count() FROM events WHERE startsWith(chunk_id, 'content-')"), "a chunk was cut")
	eventually(t, 60*time.Second, "a batch accepted again", func() (bool, string) {
		return push(events, 1) == http.StatusOK, collector.out.String()
	})
	eventually(t, 60*time.Second, "progress of the source", func() (bool, string) {
		got, err := query(engine.addr, "SELECT count() FROM source_progress FINAL WHERE read_through > now() - 30")
		return got == "2", fmt.Sprint(got, err)
	})
	requireTiersEqualRecount(t, engine.addr)
	t.Logf("%d events in a queue of 64 MiB", events)
}
