package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// Which shard knows a token must never change.
func TestATokenBelongsToOneShard(t *testing.T) {
	t.Parallel()
	e := &clickhouseExporter{targets: make([]*target, 3)}
	got := ""
	for _, token := range []string{"", "a", "b", "file:0-10", "content-00", "push-1"} {
		got += fmt.Sprint(e.shardOf(token))
		require.Zero(t, (&clickhouseExporter{targets: make([]*target, 1)}).shardOf(token))
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
	s := &shard{data: t.TempDir(), address: testenv.Address(t)}
	s.restart(t)
	return s
}

func (s *shard) restart(t *testing.T) {
	t.Helper()
	s.Engine = embeddedtest.StartIn(t, s.data, embeddedtest.Listen(s.address))
}

// TestAShardThatIsDownHoldsItsChunksWhileOthersGoOn kills one of three shards in the middle. Its chunks wait while those of
// the others are stored, and come back exactly once; without a queue and with one.
func TestAShardThatIsDownHoldsItsChunksWhileOthersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several engines")
	}
	embeddedtest.Available(t)
	c := &cluster{shards: []*shard{startShard(t), startShard(t), startShard(t)}}
	for _, s := range c.shards {
		c.dsns = append(c.dsns, "http://"+s.address+"/sockeye")
	}
	c.withoutQueue(t)
	c.check(t)
	c.withQueue(t)
	c.check(t)
}

type cluster struct {
	shards []*shard
	dsns   []string
	chunks int // stored, each of chunkSize events
}

const chunkSize = 50

// configure points an exporter at the shards.
func (c *cluster) configure(cfg *Config) {
	for _, dsn := range c.dsns {
		cfg.Shards = append(cfg.Shards, []string{dsn})
	}
}

// chunk is the chunk of that number, of five tenants in each of two services.
func (c *cluster) chunk(n int) (id string, ld plog.Logs) {
	list := opens(n*chunkSize, chunkSize)
	for i := range list {
		list[i].SetString(event.TenantID, fmt.Sprint("t", i%5))
	}
	id = fmt.Sprintf("file:%d-%d", n*chunkSize, (n+1)*chunkSize)
	return id, named(id, list...)
}

func (c *cluster) withoutQueue(t *testing.T) {
	const senders, each = 6, 8
	var wait sync.WaitGroup
	send := func(e *rig) {
		for sender := range senders {
			wait.Go(func() {
				for i := range each {
					id, ld := c.chunk(sender*each + i)
					if err := e.ConsumeLogs(context.Background(), ld); err != nil {
						t.Errorf("chunk %s: %v", id, err)
					}
				}
			})
		}
	}
	e := start(t, "", c.configure)
	send(e)
	stored := func() int64 { return e.sum(t, "chunks", "") }
	require.Eventually(t, func() bool { return stored() > senders }, time.Minute, time.Millisecond)
	c.shards[1].Kill()
	before := stored()
	require.Eventually(t, func() bool { return stored() > before+5 }, time.Minute, time.Millisecond, "others go on")
	c.shards[1].restart(t)
	wait.Wait()
	c.chunks = senders * each

	// What comes again, through another collector, meets the same shard.
	again := start(t, "", c.configure)
	send(again)
	wait.Wait()
	require.NoError(t, again.ConsumeLogs(t.Context(), reportOf(now.Add(-time.Hour), 0)))
	var outages string
	for _, line := range e.log.FilterMessageSnippet("ClickHouse cannot be used").All() {
		outages += fmt.Sprint(line.ContextMap())
	}
	require.Contains(t, outages, c.shards[1].address)
}

func (c *cluster) withQueue(t *testing.T) {
	e := startOn(t, storageHost(t, t.TempDir()), "", withQueue, c.configure)
	e.open(t)
	c.shards[1].Kill()
	const more = 30
	others := 0
	for n := c.chunks; n < c.chunks+more; n++ {
		id, ld := c.chunk(n)
		require.NoError(t, e.ConsumeLogs(t.Context(), ld))
		if e.gate().e.shardOf(id) != 1 {
			others++
		}
	}
	c.chunks += more
	require.Less(t, others, more)
	require.Eventually(t, func() bool { return e.sum(t, "chunks", "") == int64(others) }, time.Minute, 5*time.Millisecond,
		"all chunks of the other shards are stored")
	first := open(t, c.dsns[0])
	require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(now, 0)))
	require.Equal(t, now.Add(-time.Hour), stored(t, first).ReadThrough, "progress waits for the shard that is down")
	c.shards[1].restart(t)
	require.Eventually(t, func() bool {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(now, 0)))
		return stored(t, first).ReadThrough.Equal(now)
	}, time.Minute, 20*time.Millisecond)
}

// check compares what the shards hold together with what was sent.
func (c *cluster) check(t *testing.T) {
	total, seen := 0, map[string]bool{}
	for i, dsn := range c.dsns {
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
			tenants, progress = 2*5, 1
		}
		require.Equal(t, tenants, number(t, s, "SELECT uniqExact(service, tenant) FROM tenants"), "shard %d", i)
		require.Equal(t, progress, number(t, s, "SELECT count() FROM source_progress FINAL"), "shard %d", i)
		require.Equal(t, n, number(t, s, "SELECT count() FROM events WHERE startsWith(tenant, 't')"))
	}
	require.Equal(t, c.chunks*chunkSize, total)
	require.Len(t, seen, c.chunks)
}
