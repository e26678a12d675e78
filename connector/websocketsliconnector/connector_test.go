package websocketsliconnector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/connector/websocketsliconnector/internal/metadata"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// memoryStorage is a storage extension that outlives connectors.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	values map[string][]byte
	// fail is asked before each write with the number of writes so far.
	fail   func(n int) error
	writes int
}

var storageID = component.MustNewID("memory")

func (m *memoryStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memoryStorage) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

func (m *memoryStorage) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

func (m *memoryStorage) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

func (m *memoryStorage) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(m.writes); err != nil {
			return err
		}
	}
	m.writes++
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Set:
			m.values[op.Key] = slices.Clone(op.Value)
		case storage.Delete:
			delete(m.values, op.Key)
		default:
			op.Value = m.values[op.Key]
		}
	}
	return nil
}

func (m *memoryStorage) Close(context.Context) error { return nil }

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// rig is a connector with a clock of its own. It publishes when it is told to.
type rig struct {
	t       require.TestingT
	cfg     *Config
	storage *memoryStorage
	sink    *consumertest.MetricsSink
	c       *sliConnector
	now     time.Time
}

var epoch = time.Unix(1_795_000_000, 0).UTC()

func newRig(t require.TestingT, change func(*Config)) *rig {
	g := &rig{t: t, cfg: createDefaultConfig().(*Config), storage: &memoryStorage{}, now: epoch}
	g.cfg.ZeroFor = 0
	if change != nil {
		change(g.cfg)
	}
	g.restart()
	return g
}

// restart is what a process does that was killed: nothing is said to the connector before.
func (g *rig) restart() {
	g.sink = &consumertest.MetricsSink{}
	var err error
	g.c, err = newConnector(connectortest.NewNopSettings(metadata.Type), g.cfg, g.sink)
	require.NoError(g.t, err)
	g.c.now = func() time.Time { return g.now }
	require.NoError(g.t, g.c.load(context.Background(), host{storageID: g.storage}))
}

func withStorage(c *Config) { c.Storage = &storageID }

func (g *rig) send(ld plog.Logs) error { return g.c.ConsumeLogs(context.Background(), ld) }

// counts publishes and returns the values of a metric by the values of some attributes.
func (g *rig) counts(name string, by ...string) map[string]float64 {
	g.c.publish(context.Background())
	all := g.sink.AllMetrics()
	if len(all) == 0 {
		return nil
	}
	found := map[string]float64{}
	take := func(attrs pcommon.Map, v float64) {
		k := ""
		for _, name := range by {
			if v, ok := attrs.Get(name); ok {
				k += v.AsString()
			}
			k += " "
		}
		found[k] += v
	}
	metricOf(all[len(all)-1], name, func(m pmetric.Metric) {
		switch m.Type() {
		case pmetric.MetricTypeSum:
			for _, dp := range m.Sum().DataPoints().All() {
				take(dp.Attributes(), float64(dp.IntValue()))
			}
		case pmetric.MetricTypeGauge:
			for _, dp := range m.Gauge().DataPoints().All() {
				v := dp.DoubleValue()
				if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
					v = float64(dp.IntValue())
				}
				take(dp.Attributes(), v)
			}
		case pmetric.MetricTypeHistogram:
			for _, dp := range m.Histogram().DataPoints().All() {
				take(dp.Attributes(), float64(dp.Count()))
			}
		}
	})
	return found
}

func metricOf(md pmetric.Metrics, name string, f func(pmetric.Metric)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() == name {
					f(m)
				}
			}
		}
	}
}

var chat = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")},
	event.Named{Name: event.Region, Value: event.String("eu")},
	event.Named{Name: event.ServiceInstanceID, Value: event.String("chat-1")})

func newEvent(name event.Name, at time.Time) event.Event {
	e := event.Event{Name: name, Time: at, Observed: at, Resource: chat}
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	return e
}

func opened(at time.Time, seconds float64) event.Event {
	e := newEvent(event.Open, at)
	e.SetDouble(event.HandshakeDuration, seconds)
	return e
}

func rejected(at time.Time, errorType string) event.Event {
	e := newEvent(event.HandshakeRejected, at)
	e.SetString(event.ErrorType, errorType)
	return e
}

func chunk(id string, repeated bool, events ...event.Event) plog.Logs {
	return eventlog.Encode(events, eventlog.Chunk{ID: id, Repeated: repeated})
}

func TestMetricsHoldTheFactsOfTheRollup(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	tooMany := newEvent(event.RateLimited, epoch)
	tooMany.SetString(event.RateLimitPolicy, "per_ip")
	messages := newEvent(event.Message, epoch)
	messages.SetString(event.Direction, event.DirectionReceive)
	messages.SetInt(event.MessageCount, 40)
	messages.SetInt(event.MessageSize, 4000)
	messages.SetString(event.TenantID, "acme")
	traced := opened(epoch, 0.2)
	traced.TraceID, traced.SpanID = [16]byte{1}, [8]byte{2}
	require.NoError(t, g.send(chunk("a", false,
		opened(epoch, 0.004), traced, opened(epoch, 30), rejected(epoch, event.UpstreamTimeout), tooMany, messages)))

	require.Equal(t, map[string]float64{
		"websocket.open success   ":                                     3,
		"websocket.handshake.rejected failure upstream_timeout server ": 1,
		"websocket.rate_limited failure  policy ":                       1,
		"websocket.message success   ":                                  40,
	}, g.counts(event.MetricEvents, event.MetricEvent, event.MetricOutcome, "error.type", event.MetricFault))
	require.Equal(t, map[string]float64{
		"chat eu edge at_open    ": 4, "chat eu edge at_open   per_ip ": 1, "chat eu edge at_open receive acme  ": 40,
	}, g.counts(event.MetricEvents, event.ServiceName, event.Region, event.Vantage.String(), event.SourceVisibility.String(),
		event.Direction.String(), event.TenantID.String(), event.MetricPolicy))
	require.Equal(t, map[string]float64{"websocket.message ": 4000}, g.counts(event.MetricEventsSize, event.MetricEvent))
	require.Equal(t, map[string]float64{"websocket.open ": 3}, g.counts(event.MetricEventDuration, event.MetricEvent))

	metricOf(g.sink.AllMetrics()[0], event.MetricEventDuration, func(m pmetric.Metric) {
		require.Equal(t, pmetric.AggregationTemporalityCumulative, m.Histogram().AggregationTemporality())
		dp := m.Histogram().DataPoints().At(0)
		require.InDelta(t, 30.204, dp.Sum(), 1e-9)
		counts := dp.BucketCounts().AsRaw()
		require.Len(t, counts, len(event.DurationBounds)+1)
		require.Equal(t, uint64(1), counts[0])
		// The bound is inclusive, as in the rollup.
		require.Equal(t, uint64(1), counts[slices.Index(event.DurationBounds[:], 200*time.Millisecond)])
		require.Equal(t, uint64(1), counts[len(counts)-1])
		require.Equal(t, pcommon.TraceID{1}, dp.Exemplars().At(0).TraceID())
		require.InDelta(t, 0.2, dp.Exemplars().At(0).DoubleValue(), 0)
	})
	metricOf(g.sink.AllMetrics()[0], event.MetricEvents, func(m pmetric.Metric) {
		require.True(t, m.Sum().IsMonotonic())
		for _, dp := range m.Sum().DataPoints().All() {
			require.Equal(t, pcommon.NewTimestampFromTime(epoch), dp.StartTimestamp())
		}
	})
}

func TestGaugesAreKnownOnlyWhileReported(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	report := func(at time.Time, active int64) {
		e := newEvent(event.Connections, at)
		e.SetInt(event.ConnectionsActive, active)
		p := newEvent(event.SourceProgress, at)
		p.SetString(event.ProgressSource, "websocketlog/edge")
		p.SetInt(event.ProgressReadThrough, at.UnixNano())
		p.SetInt(event.ProgressBacklog, 7)
		require.NoError(t, g.send(eventlog.Encode([]event.Event{e, p}, eventlog.Chunk{})))
	}
	report(g.now, 12)
	active, instance := event.ConnectionsActive.String(), event.ServiceInstanceID
	require.Equal(t, map[string]float64{"chat-1 ": 12}, g.counts(active, instance))
	require.Empty(t, g.counts(event.ConnectionsIdle.String(), instance), "what was not said is unknown")
	require.Equal(t, map[string]float64{"websocketlog/edge ": float64(epoch.Unix())},
		g.counts(event.ProgressReadThrough.String(), event.ProgressSource.String()))
	require.Equal(t, map[string]float64{" ": 7}, g.counts(event.ProgressBacklog.String(), "none"))
	g.now = g.now.Add(30 * time.Second)
	report(g.now, 0)
	report(g.now.Add(-10*time.Second), 99) // it comes out of order
	require.Equal(t, map[string]float64{"chat-1 ": 0}, g.counts(active, instance))
	g.now = g.now.Add(gaugeLife + time.Second)
	require.Empty(t, g.counts(active, instance))
	require.Empty(t, g.counts(event.ProgressReadThrough.String(), "none"))
}

func TestClientsWithoutTLSAreRememberedForADay(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	open := func(at time.Time, scheme string) {
		e := opened(at, 0.01)
		if scheme != "" {
			e.SetString(event.URLScheme, scheme)
		}
		require.NoError(t, g.send(eventlog.Encode([]event.Event{e}, eventlog.Chunk{})))
	}
	seen := func() map[string]float64 {
		return g.counts(event.MetricPlaintext, event.ServiceName, event.Vantage.String())
	}
	open(g.now, "wss")
	open(g.now, "https")
	open(g.now, "")
	require.Empty(t, seen())
	open(g.now, "ws")
	open(g.now.Add(-time.Minute), "http") // it comes out of order
	require.Equal(t, map[string]float64{"chat edge ": float64(epoch.Unix())}, seen())
	g.now = g.now.Add(plaintextLife + time.Second)
	require.Empty(t, seen())
}

func TestAChunkIsCountedOnce(t *testing.T) {
	t.Parallel()
	three := []event.Event{opened(epoch, 0.1), opened(epoch, 0.1), rejected(epoch, event.UpstreamTimeout)}
	for name, c := range map[string]struct {
		send []plog.Logs
		want float64
	}{
		"sent again with the mark":    {[]plog.Logs{chunk("a", false, three...), chunk("a", true, three...)}, 3},
		"sent again without the mark": {[]plog.Logs{chunk("a", false, three...), chunk("a", false, three...)}, 3},
		"marked, but never seen":      {[]plog.Logs{chunk("a", true, three...)}, 3},
		"two chunks of equal content": {[]plog.Logs{chunk("a", false, three...), chunk("b", false, three...)}, 6},
		"without an identity, again":  {[]plog.Logs{chunk("", false, three...), chunk("", false, three...)}, 3},
		"split by others, each once": {[]plog.Logs{piece("a", false, three[:2]...), piece("a", false, three[2:]...),
			piece("a", true, three[:2]...), piece("a", true, three[2:]...)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, nil)
			for _, ld := range c.send {
				require.NoError(t, g.send(ld))
			}
			require.Equal(t, map[string]float64{" ": c.want}, g.counts(event.MetricEvents, "none"))
		})
	}
}

// piece is part of a chunk that something on its way has split.
func piece(id string, repeated bool, events ...event.Event) plog.Logs {
	ld := chunk(id, repeated, events...)
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			sl.Scope().Attributes().PutInt(eventlog.ChunkRecordsKey, int64(len(events))+10)
		}
	}
	return ld
}

func TestTheMemoryOfChunksIsBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.MaxChunks = 3; c.Storage = &storageID })
	for i := range 10 {
		require.NoError(t, g.send(chunk(fmt.Sprint(i), false, opened(epoch, 0.1))))
	}
	require.Len(t, g.c.state.chunks.known, 3)
	require.Len(t, g.c.state.chunks.ring, 3)
	for range 2 {
		for i := 7; i < 10; i++ {
			require.NoError(t, g.send(chunk(fmt.Sprint(i), true, opened(epoch, 0.1))))
		}
		require.Equal(t, map[string]float64{" ": 10}, g.counts(event.MetricEvents, "none"))
		g.now = g.now.Add(time.Hour)
		g.counts(event.MetricEvents) // writes a snapshot
		g.restart()
	}
	require.NoError(t, g.send(chunk("0", true, opened(g.now, 0.1))))
	require.Equal(t, map[string]float64{" ": 11}, g.counts(event.MetricEvents, "none"), "what is forgotten counts")
}

func TestANewSeriesIsSeenAtZeroFirst(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.ZeroFor = 30 * time.Second; c.Storage = &storageID })
	require.NoError(t, g.send(chunk("a", false, opened(epoch, 0.1))))
	by := event.MetricEvent
	require.Equal(t, map[string]float64{"websocket.open ": 0}, g.counts(event.MetricEvents, by))
	require.Equal(t, map[string]float64{"websocket.open ": 0}, g.counts(event.MetricEventDuration, by))
	g.now = g.now.Add(20 * time.Second)
	require.NoError(t, g.send(chunk("b", false, opened(g.now, 0.1), rejected(g.now, event.UpstreamTimeout))))
	g.restart()
	require.Equal(t, map[string]float64{"websocket.open ": 0, "websocket.handshake.rejected ": 0},
		g.counts(event.MetricEvents, by))
	g.now = g.now.Add(10 * time.Second)
	require.Equal(t, map[string]float64{"websocket.open ": 2, "websocket.handshake.rejected ": 0},
		g.counts(event.MetricEvents, by))
	g.now = g.now.Add(20 * time.Second)
	require.Equal(t, map[string]float64{"websocket.open ": 2, "websocket.handshake.rejected ": 1},
		g.counts(event.MetricEvents, by))
}

func TestLateEventsAreCountedApart(t *testing.T) {
	t.Parallel()
	atClose := opened(epoch.Add(-5*time.Hour), 0.1)
	atClose.Observed = epoch
	atClose.SetString(event.SourceVisibility, event.VisibilityAtClose)
	events := []event.Event{
		opened(epoch.Add(-59*time.Minute), 0.1), opened(epoch.Add(-61*time.Minute), 0.1),
		rejected(epoch.Add(-48*time.Hour), event.UpstreamTimeout), atClose,
	}
	g := newRig(t, nil)
	require.NoError(t, g.send(chunk("a", false, events...)))
	require.Equal(t, map[string]float64{"websocket.open ": 2}, g.counts(event.MetricEvents, event.MetricEvent))
	require.Equal(t, map[string]float64{"chat edge ": 2},
		g.counts(event.MetricEventsLate, event.ServiceName, event.Vantage.String()))

	g = newRig(t, func(c *Config) { c.LateAfter = 0 })
	require.NoError(t, g.send(chunk("a", false, events...)))
	require.Equal(t, map[string]float64{" ": 4}, g.counts(event.MetricEvents, "none"))
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	named := func(tenant string) event.Event {
		e := opened(epoch, 0.1)
		e.SetString(event.TenantID, tenant)
		return e
	}
	stranger := rejected(epoch, event.Unauthenticated)
	stranger.SetString(event.TenantID, "attacker")
	g := newRig(t, func(c *Config) { c.MaxTenantsPerService = 2; c.Storage = &storageID })
	require.NoError(t, g.send(chunk("a", false, stranger, named("a"), named("b"), named("c"), named("d"))))
	g.restart()
	require.NoError(t, g.send(chunk("b", false, named("b"), named("e"))))
	require.Equal(t, map[string]float64{"unverified ": 1, "a ": 1, "b ": 2, "other ": 3},
		g.counts(event.MetricEvents, event.TenantID.String()))

	g = newRig(t, func(c *Config) { c.MaxSeries = 100; c.MaxTenantsPerService = 1000; c.Storage = &storageID })
	for i := range 300 {
		require.NoError(t, g.send(chunk(fmt.Sprint(i), false, named(fmt.Sprint("t", i)), named(fmt.Sprint("u", i)))))
	}
	counts := g.counts(event.MetricEvents, event.TenantID.String())
	require.Len(t, counts, 101)
	require.InDelta(t, 500, counts["other "], 0)
	for i := range 300 { // services that are made up
		e := named("x")
		e.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String(fmt.Sprint("s", i))})
		require.NoError(t, g.send(chunk(fmt.Sprint("s", i), false, e)))
	}
	require.Len(t, g.c.state.counted.all, 125)
}

func TestConnectionsThatClosedAreCountedByTheirRate(t *testing.T) {
	t.Parallel()
	g := newRig(t, withStorage)
	closed := func(seconds float64, received, sent int64) event.Event {
		e := newEvent(event.Close, epoch)
		e.SetString(event.TenantID, "acme") // which is not told apart here
		if seconds >= 0 {
			e.SetDouble(event.ConnectionDuration, seconds)
		}
		if received >= 0 {
			e.SetInt(event.IOReceived, received)
		}
		if sent >= 0 {
			e.SetInt(event.IOSent, sent)
		}
		return e
	}
	require.NoError(t, g.send(chunk("a", false, closed(2, 2_000_000, 10), closed(1, 1_000_001, -1), closed(4, 0, 1<<40),
		closed(0, 1, 1), closed(-1, 1, 1), opened(epoch, 1))))
	want := map[string]float64{"chat eu edge receive  ": 3, "chat eu edge transmit  ": 2}
	counts := func() map[string]float64 {
		return g.counts(event.MetricConnectionRate, event.ServiceName, event.Region, event.Vantage.String(), event.Direction.String(),
			event.TenantID.String())
	}
	require.Equal(t, want, counts())
	metricOf(g.sink.AllMetrics()[0], event.MetricConnectionRate, func(m pmetric.Metric) {
		for _, dp := range m.Histogram().DataPoints().All() {
			way, _ := dp.Attributes().Get(event.Direction.String())
			buckets := dp.BucketCounts().AsRaw()
			require.Equal(t, event.RateBounds[:], dp.ExplicitBounds().AsRaw())
			require.Equal(t, uint64(1), buckets[0], way.Str())
			if way.Str() == "transmit" {
				require.Equal(t, uint64(1), buckets[len(buckets)-1], "beyond all bounds")
				continue
			}
			at := slices.Index(event.RateBounds[:], 1e6)
			require.Equal(t, []uint64{1, 1}, buckets[at:at+2], "a bound belongs to what is below it")
		}
	})
	for range 2 {
		g.restart()
		require.Equal(t, want, counts())
		require.NoError(t, g.send(chunk("a", true, closed(2, 2_000_000, 10))))
		require.Equal(t, want, counts())
	}
}

func TestCountsSurviveARestartWithoutAReset(t *testing.T) {
	t.Parallel()
	g := newRig(t, withStorage)
	for i := range 5 {
		require.NoError(t, g.send(chunk(fmt.Sprint(i), false, opened(epoch, 0.1), rejected(epoch, event.UpstreamTimeout))))
	}
	start := func() (at pcommon.Timestamp) {
		all := g.sink.AllMetrics()
		metricOf(all[len(all)-1], event.MetricEvents, func(m pmetric.Metric) { at = m.Sum().DataPoints().At(0).StartTimestamp() })
		return at
	}
	want := g.counts(event.MetricEvents, event.MetricEvent)
	began := start()
	for range 3 {
		g.now = g.now.Add(time.Hour)
		g.restart()
		require.Equal(t, want, g.counts(event.MetricEvents, event.MetricEvent))
		require.Equal(t, began, start())
		require.Equal(t, map[string]float64{" ": 5}, g.counts(event.MetricEventDuration, "none"))
		require.NoError(t, g.send(chunk("3", true, opened(epoch, 0.1), rejected(epoch, event.UpstreamTimeout))))
		require.Equal(t, want, g.counts(event.MetricEvents, event.MetricEvent))
	}

	without := newRig(t, nil)
	require.NoError(t, without.send(chunk("a", false, opened(epoch, 0.1))))
	without.now = without.now.Add(time.Hour)
	without.restart()
	require.Nil(t, without.counts(event.MetricEvents))
	require.NoError(t, without.send(chunk("b", false, opened(without.now, 0.1))))
	without.counts(event.MetricEvents)
	all := without.sink.AllMetrics()
	metricOf(all[0], event.MetricEvents, func(m pmetric.Metric) {
		require.Equal(t, pcommon.NewTimestampFromTime(without.now), m.Sum().DataPoints().At(0).StartTimestamp(),
			"a reset has a start of its own")
	})
}

// TestKillsAtAnyWriteCountOnce: whatever the connector does, at every write of its storage it is killed, right before or
// right after, and the source sends again what was not acknowledged. What was published never falls.
func TestKillsAtAnyWriteCountOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := newRig(t, func(c *Config) { withStorage(c); c.MaxChunks = 50 })
		killed := errors.New("killed")
		published := 0.0
		look := func() {
			now := g.counts(event.MetricEvents, "none")[" "]
			require.GreaterOrEqual(t, now, published)
			published = now
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "chunks") {
			ld := func(repeated bool) plog.Logs {
				return chunk(fmt.Sprint(i), repeated, opened(g.now, 0.1), rejected(g.now, event.UpstreamTimeout))
			}
			err := error(nil)
			switch rapid.SampledFrom([]string{"nothing", "before", "after", "between", "snapshot"}).Draw(t, "kill") {
			case "nothing":
				require.NoError(t, g.send(ld(false)))
			case "before": // nothing is written
				g.storage.fail = func(int) error { return killed }
				err = g.send(ld(false))
				require.ErrorIs(t, err, killed)
				g.storage.fail = nil
				if rapid.Bool().Draw(t, "dies") {
					g.restart()
				}
				require.NoError(t, g.send(ld(true)))
			case "after": // written and counted, perhaps published, but not acknowledged
				require.NoError(t, g.send(ld(false)))
				if rapid.Bool().Draw(t, "published") {
					look()
				}
				g.restart()
				require.NoError(t, g.send(ld(true)))
			case "between": // written, and dead before it was counted
				before := maps.Clone(g.storage.values)
				require.NoError(t, g.send(ld(false)))
				after := maps.Clone(g.storage.values)
				g.storage.values = before
				g.restart()
				g.storage.values = after
				g.restart()
				require.NoError(t, g.send(ld(true)))
			case "snapshot":
				require.NoError(t, g.send(ld(false)))
				g.now = g.now.Add(2 * snapshotAge)
				g.storage.fail = func(int) error { return killed }
				look()
				g.storage.fail = nil
				g.restart()
				look()
			}
			look()
		}
		require.InDelta(t, 2*float64(len(g.c.state.chunks.known)), published, 0)
	})
}

func TestDamagedCountsBeginAnew(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{snapshotKey, entryKey(1)} {
		g := newRig(t, withStorage)
		require.NoError(t, g.send(chunk("a", false, opened(epoch, 0.1))))
		require.NoError(t, g.send(chunk("b", false, opened(epoch, 0.1))))
		g.storage.values[damage] = []byte(`{"form":`)
		g.now = g.now.Add(time.Minute)
		g.restart()
		require.Nil(t, g.counts(event.MetricEvents))
		require.NoError(t, g.send(chunk("c", false, opened(g.now, 0.1))))
		g.restart()
		require.Equal(t, map[string]float64{" ": 1}, g.counts(event.MetricEvents, "none"), "nothing old comes back")
	}
}

func TestTheComponentPublishesAndClosesItsStorage(t *testing.T) {
	t.Parallel()
	cfg := createDefaultConfig().(*Config)
	cfg.Interval, cfg.ZeroFor, cfg.Storage = time.Second, 0, &storageID
	sink := &consumertest.MetricsSink{}
	c, err := NewFactory().CreateLogsToMetrics(context.Background(), connectortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), host{storageID: &memoryStorage{}}))
	now := time.Now()
	require.NoError(t, c.ConsumeLogs(context.Background(), chunk("a", false, opened(now, 0.1))))
	require.Eventually(t, func() bool { return sink.DataPointCount() > 0 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, c.Shutdown(context.Background()))

	c, err = NewFactory().CreateLogsToMetrics(context.Background(), connectortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.ErrorContains(t, c.Start(context.Background(), componenttest.NewNopHost()),
		`storage: no extension "memory"; add it to service::extensions`)
	require.NoError(t, c.Shutdown(context.Background()))
}

func TestWhatIsNoEventIsDropped(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	ld := chunk("a", false, opened(epoch, 0.1))
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	records.AppendEmpty().Body().SetStr("a line")
	records.AppendEmpty().SetEventName(string(event.Open))
	require.NoError(t, g.send(ld))
	require.Equal(t, map[string]float64{" ": 1}, g.counts(event.MetricEvents, "none"))
	tally := read(eventlog.Groups(ld)[0], time.Time{})
	require.Equal(t, []int64{1, 1}, []int64{tally.notAnEvent, tally.noTime})
}

// FuzzSnapshot: whatever is in the storage, a connector starts and counts.
func FuzzSnapshot(f *testing.F) {
	g := newRig(f, withStorage)
	require.NoError(f, g.send(chunk("a", false, opened(epoch, 0.1))))
	entry := g.storage.values[entryKey(0)]
	require.NoError(f, g.c.journal.save(context.Background(), g.c.state, epoch))
	f.Add(g.storage.values[snapshotKey], entry)
	f.Add([]byte(`{"form":1,"series":[null],"chunks":"AAA="}`), []byte(`{"add":[{}]}`))
	f.Fuzz(func(t *testing.T, snapshot, entry []byte) {
		g := newRig(t, nil)
		g.storage.values = map[string][]byte{snapshotKey: snapshot, entryKey(0): entry}
		withStorage(g.cfg)
		g.restart()
		require.NoError(t, g.send(chunk("z", false, opened(epoch, 0.1))))
		g.counts(event.MetricEvents)
	})
}
