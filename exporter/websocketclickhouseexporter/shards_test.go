package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// Which shard knows a token must never change.
func TestATokenBelongsToOneShard(t *testing.T) {
	t.Parallel()
	shards := make([]*target, 3)
	for i := range shards {
		shards[i] = &target{endpoint: fmt.Sprint(i)}
	}
	got := ""
	for _, token := range []string{"", "a", "b", "file:0-10", "content-00", "push-1"} {
		e := &clickhouseExporter{targets: shards}
		got += e.targetOf(token).endpoint
		e.targets = shards[2:]
		require.Equal(t, "2", e.targetOf(token).endpoint)
	}
	require.Equal(t, "211022", got)
}

// shard is an engine that comes back at the same address.
type shard struct {
	*embeddedtest.Engine
	data, address string
}

func startShard(t *testing.T) *shard {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &shard{data: t.TempDir(), address: listener.Addr().String()}
	require.NoError(t, listener.Close())
	s.restart(t)
	return s
}

func (s *shard) restart(t *testing.T) {
	t.Helper()
	s.Engine = embeddedtest.StartIn(t, s.data, embeddedtest.Listen(s.address))
}

// One of three shards is killed in the middle. Its chunks wait while those of the others are stored, and come back exactly once.
func TestAShardThatIsDownHoldsItsChunksWhileOthersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several engines")
	}
	embeddedtest.Available(t)
	shards := []*shard{startShard(t), startShard(t), startShard(t)}
	var dsns []string
	for _, s := range shards {
		dsns = append(dsns, "http://"+s.address+"/sockeye")
	}
	e := start(t, "", func(c *Config) { c.Shards = dsns; c.TimeoutConfig.Timeout = 5 * time.Second })

	const senders, chunks, size = 12, 10, 100
	var wait sync.WaitGroup
	send := func(e *rig) {
		for sender := range senders {
			wait.Go(func() {
				for i := range chunks {
					first := (sender*chunks + i) * size
					list := opens(first, size)
					for j := range list {
						list[j].SetString(event.TenantID, fmt.Sprint("t", j%5))
					}
					if err := e.ConsumeLogs(context.Background(), named(fmt.Sprintf("file:%d-%d", first, first+size), list...)); err != nil {
						t.Errorf("chunk %d: %v", first, err)
					}
				}
			})
		}
	}
	send(e)
	stored := func() int64 { return e.sum(t, "chunks", "") }
	require.Eventually(t, func() bool { return stored() > senders }, time.Minute, time.Millisecond)
	shards[1].Kill()
	before := stored()
	require.Eventually(t, func() bool { return stored() > before+5 }, time.Minute, time.Millisecond, "others go on")
	shards[1].restart(t)
	wait.Wait()

	// What comes again, through another collector, meets the same shard.
	again := start(t, "", func(c *Config) { c.Shards = dsns })
	send(again)
	wait.Wait()
	require.NoError(t, again.ConsumeLogs(t.Context(), progress("a", 0)))

	total, seen := 0, map[string]bool{}
	for i, dsn := range dsns {
		s := open(t, dsn)
		n := number(t, s, "SELECT count() FROM events")
		require.Positive(t, n, "shard %d", i)
		requireStored(t, s, n)
		total += n
		for table, step := range map[string]int{"rollup_10s": 10, "rollup_1m": 60, "rollup_15m": 900} {
			require.Zero(t, number(t, s, fmt.Sprintf(`SELECT count() FROM (
				SELECT toStartOfInterval(counted_at, INTERVAL %d SECOND)::DateTime('UTC') AS bucket, service, tenant, sum(count)
				FROM events GROUP BY ALL
				EXCEPT SELECT bucket, service, tenant, sum(count) FROM %s GROUP BY ALL)`, step, table)), table)
		}
		for _, id := range strings.Fields(embeddedtest.Exec(t, dsn, "SELECT DISTINCT chunk_id FROM events")) {
			require.False(t, seen[id], "chunk %s is on two shards", id)
			seen[id] = true
		}
		tenants, progress := 0, 0
		if i == 0 {
			tenants, progress = 2*5, 1 // of two services
		}
		require.Equal(t, tenants, number(t, s, "SELECT uniqExact(service, tenant) FROM tenants"), "shard %d", i)
		require.Equal(t, progress, number(t, s, "SELECT count() FROM source_progress FINAL"), "shard %d", i)
		require.Equal(t, n, number(t, s, "SELECT count() FROM events WHERE startsWith(tenant, 't')"))
	}
	require.Equal(t, senders*chunks*size, total)
	require.Len(t, seen, senders*chunks)
	outage := e.log.FilterMessageSnippet("ClickHouse cannot be used").All()
	require.NotEmpty(t, outage)
	require.Contains(t, fmt.Sprint(outage[0].ContextMap()), shards[1].address)
}
