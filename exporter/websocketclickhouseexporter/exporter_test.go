package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// rig is an exporter with its telemetry and log.
type rig struct {
	exporter.Logs
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs
}

func start(t *testing.T, dsn string, change ...func(*Config)) *rig {
	t.Helper()
	return startOn(t, componenttest.NewNopHost(), dsn, change...)
}

func startOn(t *testing.T, host component.Host, dsn string, change ...func(*Config)) *rig {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = dsn
	cfg.RetryConfig.InitialInterval = 20 * time.Millisecond
	cfg.RetryConfig.MaxInterval = 200 * time.Millisecond
	for _, c := range change {
		c(cfg)
	}
	r := &rig{telemetry: componenttest.NewTelemetry()}
	set := exportertest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type) // the same after a restart
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	core, log := observer.New(zap.InfoLevel)
	set.Logger, r.log = zap.New(core, zap.AddStacktrace(zap.ErrorLevel)), log
	var err error
	r.Logs, err = NewFactory().CreateLogs(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), host))
	t.Cleanup(func() {
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	return r
}

// sum returns a counter's value, or that of one reason.
func (r *rig) sum(t *testing.T, name, reason string) int64 {
	t.Helper()
	m, err := r.telemetry.GetMetric("otelcol_exporter_websocketclickhouse_" + name)
	if err != nil {
		return 0
	}
	var n int64
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		if v, _ := p.Attributes.Value(attribute.Key("reason")); reason == "" || v.AsString() == reason {
			n += p.Value
		}
	}
	return n
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func number(t *testing.T, s *store.Store, query string) int {
	t.Helper()
	var n uint64
	require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT toUInt64(("+query+"))").Scan(&n))
	return int(n)
}

func requireStored(t *testing.T, s *store.Store, events int) {
	t.Helper()
	require.Equal(t, events, number(t, s, "SELECT count() FROM events"))
	for _, tier := range []string{"rollup_10s", "rollup_1m", "rollup_15m"} {
		require.Equal(t, events, number(t, s, "SELECT sum(count) FROM "+tier), tier)
	}
}

var now = time.Now().UTC().Truncate(time.Millisecond)

// opens returns n events, half of one resource and half of another.
func opens(first, n int) []event.Event {
	a := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	b := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("feed")})
	list := make([]event.Event, n)
	for i := range list {
		e := &list[i]
		*e = event.Event{Name: event.Open, Time: now.Add(-time.Duration(first+i) * time.Millisecond), Resource: a}
		if i%2 == 1 {
			e.Resource = b
		}
		e.SetString(event.ConnectionID, strconv.Itoa(first+i))
		e.SetInt(event.HTTPResponseStatusCode, 101)
	}
	return list
}

func chunk(first, n int) plog.Logs {
	return eventlog.Encode(opens(first, n), eventlog.Chunk{ID: fmt.Sprintf("file:%d-%d", first, first+n)})
}

func merged(parts ...plog.Logs) plog.Logs {
	all := plog.NewLogs()
	for _, p := range parts {
		p.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
	}
	return all
}

func progress(source string, backlog int64) plog.Logs {
	e := event.Event{Name: event.SourceProgress, Time: now}
	e.SetString(event.ProgressSource, source)
	e.SetInt(event.ProgressReadThrough, now.Add(-time.Second).UnixNano())
	e.SetInt(event.ProgressBacklog, backlog)
	return eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
}

// TestAgainstTheEngine groups the tests that share an engine, so that it has gone when the package looks for leaks.
func TestAgainstTheEngine(t *testing.T) {
	t.Cleanup(embeddedtest.StopShared)
	for scheme = range endpoints {
		t.Run(scheme, testOverAScheme)
	}
	t.Run("over HTTP only", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"a replica stands in for another":                testAReplicaStandsInForAnother,
			"a lost reply doubles no letter":                 testALostReplyDoublesNoLetter,
			"a wrong password is said, and holds everything": testAWrongPasswordIsSaidAndHoldsEverything,
		} {
			t.Run(name, test)
		}
	})
}

func testOverAScheme(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"a chunk is stored once however often it comes":    testAChunkIsStoredOnceHoweverOftenItComes,
		"a chunk replayed long after is stored once":       testAChunkReplayedLongAfterIsStoredOnce,
		"samples of payloads are kept apart":               testSamplesOfPayloadsAreKeptApart,
		"spans are stored once however often they come":    testSpansAreStoredOnceHoweverOftenTheyCome,
		"what is no span is counted and holds up nothing":  testWhatIsNoSpanIsCountedAndHoldsUpNothing,
		"a foreign cut is noticed":                         testAForeignCutIsNoticed,
		"what is no event is counted and holds up nothing": testWhatIsNoEventIsCountedAndHoldsUpNothing,
		"compression changes nothing":                      testCompressionChangesNothing,
		"a host that dies is passed over":                  testAHostThatDiesIsPassedOver,
		"the endpoint may speak TLS":                       testTheEndpointMaySpeakTLS,
		"progress is kept apart":                           testProgressIsKeptApart,
		"refused records hold up no others":                testRefusedRecordsHoldUpNoOthers,
		"many refused records cost no others":              testManyRefusedRecordsCostNoOthers,
		"refused spans hold up no others":                  testRefusedSpansHoldUpNoOthers,
		"what was refused once stays out":                  testWhatWasRefusedOnceStaysOut,
		"a view that refuses is waited for":                testAViewThatRefusesIsWaitedFor,
		"letters say nothing of what was sent":             testLettersSayNothingOfWhatWasSent,
		"without leave the schema is waited for":           testWithoutLeaveTheSchemaIsWaitedFor,
		"a database that vanished is made again":           testADatabaseThatVanishedIsMadeAgain,
		"retention is applied":                             testRetentionIsApplied,
		"a shutdown under way is no error":                 testAShutdownUnderWayIsNoError,
		"tenants are bounded for good":                     testTenantsAreBoundedForGood,
		"services that have tenants are bounded":           testServicesThatHaveTenantsAreBounded,
		"two collectors share the limit":                   testTwoCollectorsShareTheLimit,
		"who was turned away admits no tenant":             testWhoWasTurnedAwayAdmitsNoTenant,
		"admission does not change what content is called": testAdmissionDoesNotChangeWhatContentIsCalled,
		"progress does not overtake what is queued":        testProgressDoesNotOvertakeWhatIsQueued,
		"progress waits for what an earlier run left":      testProgressWaitsForWhatAnEarlierRunLeft,
		"an old queue refuses":                             testAnOldQueueRefuses,
		"a full queue refuses at once":                     testAFullQueueRefusesAtOnce,
		"a full disk under the queue loses nothing":        testAFullQueueDiskLosesNothing,
	} {
		t.Run(name, test)
	}
}

func testAChunkIsStoredOnceHoweverOftenItComes(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	// A chunk over two resources is one INSERT, and several chunks that arrive together are one each.
	require.NoError(t, e.ConsumeLogs(t.Context(), merged(chunk(0, 10), chunk(10, 5))))
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10, 5)))
	require.NoError(t, e.ConsumeLogs(t.Context(), merged(chunk(10, 5), chunk(0, 10), chunk(15, 3))))
	requireStored(t, s, 18)
	require.Equal(t, 3, number(t, s, "SELECT uniq(chunk_id) FROM events"))
	require.Equal(t, 10, number(t, s, "SELECT count() FROM events WHERE chunk_id = 'file:0-10'"))
	require.Zero(t, e.sum(t, "inexact_chunks", ""))
	require.EqualValues(t, 6, e.sum(t, "chunks", ""))
	_, err := e.telemetry.GetMetric("otelcol_exporter_websocketclickhouse_insert_duration")
	require.NoError(t, err)
}

func testAChunkReplayedLongAfterIsStoredOnce(t *testing.T) {
	repeated := func(first, n int) plog.Logs {
		ld := eventlog.Encode(opens(first, n), eventlog.Chunk{ID: fmt.Sprintf("file:%d-%d", first, first+n), Repeated: true})
		return merged(ld, progress("a", 0))
	}
	for name, tt := range map[string]struct {
		replay  plog.Logs
		events  int
		skipped int64
	}{
		"marked":       {repeated(0, 10), 22, 1},
		"not marked":   {chunk(0, 10), 32, 0}, // the counter-example
		"after little": {repeated(11, 1), 22, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			e, s := start(t, dsn), open(t, dsn)
			require.NoError(t, e.ConsumeLogs(t.Context(), repeated(0, 10)))
			for _, table := range []string{"events", "rollup_10s", "rollup_1m", "rollup_15m", "chunks"} {
				require.NoError(t, s.Conn().Exec(t.Context(),
					"ALTER TABLE "+table+" MODIFY SETTING non_replicated_deduplication_window = 10"))
			}
			for i := range 12 {
				require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10+11-i, 1)))
			}
			require.NoError(t, e.ConsumeLogs(t.Context(), tt.replay))
			requireStored(t, s, tt.events)
			require.Equal(t, tt.skipped, e.sum(t, "repeated_chunks", ""))
			require.Zero(t, e.sum(t, "inexact_chunks", ""))
		})
	}
}

// An attempt that failed may have stored the chunk all the same, and the next may come much later.
func TestWhatIsSentAgainSaysSo(t *testing.T) {
	t.Parallel()
	ld := merged(chunk(0, 2), chunk(2, 2), progress("a", 0))
	rest := remaining(ld, map[string]bool{"file:2-4": true})
	require.Equal(t, 3, rest.LogRecordCount())
	for _, g := range eventlog.Groups(rest) {
		require.Equal(t, g.Chunk.ID == "file:2-4", g.Chunk.Repeated)
		require.Equal(t, g.Chunk.ID == "file:2-4", g.Exact())
	}
	for _, g := range eventlog.Groups(ld) {
		require.False(t, g.Chunk.Repeated)
	}
}

func testAForeignCutIsNoticed(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	half := chunk(0, 10)
	half.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		name, _ := rl.Resource().Attributes().Get(event.ServiceName)
		return name.Str() == "feed"
	})
	for range 2 { // the same half again is recognised by its content
		require.NoError(t, e.ConsumeLogs(t.Context(), half))
	}
	requireStored(t, s, 5)
	require.EqualValues(t, 2, e.sum(t, "inexact_chunks", ""))
	require.Equal(t, 5, number(t, s, "SELECT count() FROM events WHERE startsWith(chunk_id, 'content-')"))

	// Events that nobody gave a chunk are stored as well.
	require.NoError(t, e.ConsumeLogs(t.Context(), eventlog.Encode(opens(100, 4), eventlog.Chunk{})))
	requireStored(t, s, 9)
	require.EqualValues(t, 3, e.sum(t, "inexact_chunks", ""))
}

func testWhatIsNoEventIsCountedAndHoldsUpNothing(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	ld := chunk(0, 4)
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	records.At(0).SetEventName("app.started")
	records.At(1).SetTimestamp(0)
	records.At(1).SetObservedTimestamp(0)
	require.NoError(t, e.ConsumeLogs(t.Context(), ld))
	require.NoError(t, e.ConsumeLogs(t.Context(), ld))
	requireStored(t, s, 2)
	require.EqualValues(t, 2, e.sum(t, "dropped_records", reasonNotAnEvent))
	require.EqualValues(t, 2, e.sum(t, "dropped_records", reasonNoTime))
	require.Zero(t, e.sum(t, "inexact_chunks", ""), "the chunk is as it was cut")
	require.Len(t, e.log.FilterMessageSnippet("cannot be stored").All(), 2, "each reason is logged once")
	requireLetters(t, s, "not_an_event 0-0 1", "no_time 1-1 1")
}

func testProgressIsKeptApart(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	for range 2 {
		require.NoError(t, e.ConsumeLogs(t.Context(), merged(progress("a", 7), chunk(0, 3), progress("b", 0))))
	}
	requireStored(t, s, 3)
	sources, err := s.Sources(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Progress{
		{Source: "a", ReadThrough: now.Add(-time.Second), Backlog: 7, Wall: now},
		{Source: "b", ReadThrough: now.Add(-time.Second), Wall: now},
	}, sources)
	require.Zero(t, e.sum(t, "inexact_chunks", ""))
}

func TestACollectorStartsWithoutItsStore(t *testing.T) {
	address := testenv.Address(t)
	e := start(t, "http://ann:hunter2@"+address+"/sockeye", func(c *Config) { c.RetryConfig.Enabled = false })
	err := e.ConsumeLogs(t.Context(), chunk(0, 1))
	require.ErrorContains(t, err, "connection refused; is it running, and is this its address?")
	require.False(t, consumererror.IsPermanent(err))
	require.Error(t, e.ConsumeLogs(t.Context(), progress("a", 0)))
	require.NoError(t, e.ConsumeLogs(t.Context(), plog.NewLogs()))
	lines := e.log.FilterMessageSnippet("ClickHouse cannot be used").All()
	require.Len(t, lines, 1, "an outage is one line")
	require.NotContains(t, fmt.Sprint(lines[0].ContextMap()), "hunter2")
}

func testWithoutLeaveTheSchemaIsWaitedFor(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn, func(c *Config) { c.CreateSchema = false }), open(t, dsn)
	done := make(chan error, 1)
	go func() { done <- e.ConsumeLogs(t.Context(), chunk(0, 5)) }()
	require.Eventually(t, func() bool { return e.log.FilterMessageSnippet("cannot be used").Len() == 1 },
		2*time.Minute, 10*time.Millisecond)
	require.Contains(t, fmt.Sprint(e.log.FilterMessageSnippet("cannot be used").All()[0].ContextMap()),
		"run `sockeye store migrate`")
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, <-done)
	requireStored(t, s, 5)
}

func testADatabaseThatVanishedIsMadeAgain(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 5)))
	require.NoError(t, s.Conn().Exec(t.Context(), "DROP DATABASE "+s.Database()+" SYNC"))
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(5, 5)))
	again := open(t, dsn)
	requireStored(t, again, 5)
}

// A source that is shut down takes back what is being inserted.
func testAShutdownUnderWayIsNoError(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
	require.NoError(t, s.Conn().Exec(t.Context(), "ALTER TABLE events ADD CONSTRAINT slow CHECK sleepEachRow(1) = 0"))
	source, stop := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- e.ConsumeLogs(source, chunk(1, 3)) }()
	require.Eventually(t, func() bool {
		return number(t, s, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%events%'") > 0
	}, time.Minute, time.Millisecond)
	stop()
	require.ErrorIs(t, <-given, context.Canceled)
	requireCalm(t, e, "a source stopped waiting")
	require.NoError(t, s.Conn().Exec(t.Context(), "ALTER TABLE events DROP CONSTRAINT slow"))
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(1, 3)))
	requireStored(t, s, 4)
}

// requireCalm requires one line of the log, and none that is worse or promises another attempt.
func requireCalm(t *testing.T, e *rig, says string) {
	t.Helper()
	require.Len(t, e.log.FilterMessageSnippet(says).All(), 1, "%v", e.log.All())
	for _, line := range e.log.All() {
		require.Less(t, line.Level, zap.ErrorLevel, line.Message)
		require.Empty(t, line.Stack)
		require.NotContains(t, fmt.Sprint(line.ContextMap()), "canceled")
	}
}

func TestASourceThatStopsDuringAnOutageIsNoError(t *testing.T) {
	t.Parallel()
	e := start(t, "http://127.0.0.1:1/sockeye")
	source, stop := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- e.ConsumeLogs(source, chunk(0, 3)) }()
	require.Eventually(t, func() bool { return e.log.FilterMessageSnippet("Will retry").Len() > 0 }, time.Minute, time.Millisecond)
	stop()
	require.Error(t, <-given)
	requireCalm(t, e, "a source stopped waiting")
	require.Equal(t, 1, e.log.FilterMessageSnippet("ClickHouse cannot be used").Len(), "the outage itself is said")
}

// What is not stored before a shutdown is an error unless it is kept.
func TestAQueueThatIsShutDownDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]bool{"a queue on disk keeps it": true, "a queue in memory does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log *observer.ObservedLogs
			t.Run("a run", func(t *testing.T) {
				e := startOn(t, storageHost(t, t.TempDir()), "http://127.0.0.1:1/sockeye", withQueue, func(c *Config) {
					c.QueueConfig.Get().NumConsumers = 1
					if !kept {
						c.QueueConfig.Get().StorageID = nil
					}
				})
				e.open(t)
				log = e.log
				require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 10)))
				require.Eventually(t, func() bool { return log.FilterMessageSnippet("Will retry").Len() > 0 },
					time.Minute, time.Millisecond)
			})
			faults := log.FilterLevelExact(zap.ErrorLevel).Len()
			calm := log.FilterMessageSnippet("stays in the sending queue").Len()
			if kept {
				require.Equal(t, []int{0, 1}, []int{faults, calm})
			} else {
				require.Equal(t, []int{1, 0}, []int{faults, calm})
			}
		})
	}
}

func testRetentionIsApplied(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn, func(c *Config) { c.Retention.Rollup10s = 5 * 24 * time.Hour }), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
	require.Equal(t, 1, number(t, s, `SELECT count() FROM system.tables WHERE database = currentDatabase()
		AND name = 'rollup_10s' AND engine_full LIKE '%bucket + toIntervalDay(5)%'`))
}

// The engine is stopped and killed under load, several times, on the same data and address; the exporter's callers wait,
// and afterwards every event is there once, in every tier.
func TestAnEngineThatComesAndGoesLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several engines")
	}
	embeddedtest.Available(t)
	// The exporter talks to a relay, because a restarted engine has another port.
	relay := newRelay(t)
	data := t.TempDir()
	engine := embeddedtest.StartIn(t, data)
	relay.to(engine.URL)
	e := start(t, "http://"+relay.address+"/sockeye", func(c *Config) { c.TimeoutConfig.Timeout = 5 * time.Second })

	const senders, chunks, size = 2, 40, 200
	var wait sync.WaitGroup
	for sender := range senders {
		wait.Go(func() {
			for i := range chunks {
				first := (sender*chunks + i) * size
				// The last record of a chunk is no event, and becomes a letter.
				ld := eventlog.Encode(opens(first, size+1), eventlog.Chunk{ID: fmt.Sprintf("file:%d", first)})
				ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(size / 2).SetEventName("app.started")
				if err := e.ConsumeLogs(context.Background(), ld); err != nil {
					t.Errorf("chunk %d: %v", first, err)
				}
			}
		})
	}
	stored := func() int64 { return e.sum(t, "chunks", "") }
	for round := range 3 {
		before := stored()
		require.Eventually(t, func() bool { return stored() > before+5 }, time.Minute, 5*time.Millisecond)
		if round%2 == 0 {
			engine.Kill()
		} else {
			engine.Stop()
		}
		relay.to("")
		engine = embeddedtest.StartIn(t, data)
		relay.to(engine.URL)
	}
	wait.Wait()
	s := open(t, engine.URL+"/sockeye")
	requireStored(t, s, senders*chunks*size)
	require.Equal(t, senders*chunks*size, number(t, s, "SELECT uniqExact(connection_id) FROM events"))
	require.Equal(t, senders*chunks*size, number(t, s, "SELECT uniqExact(connection_id) FROM connections"))
	require.Equal(t, senders*chunks, number(t, s, "SELECT sum(records) FROM dead_letters FINAL"))
	require.NotEmpty(t, e.log.FilterMessageSnippet("ClickHouse cannot be used").All())
}

// relay forwards connections to an address that changes.
type relay struct {
	address string
	// taken counts the connections that were forwarded.
	taken atomic.Int64
	// die ends it, with all its connections.
	die func()

	mu     sync.Mutex
	target string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return newRelayOn(t, listener)
}

func newRelayOn(t *testing.T, listener net.Listener) *relay {
	t.Helper()
	r := &relay{address: listener.Addr().String()}
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	conns.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			target := r.target
			r.mu.Unlock()
			out, err := net.Dial("tcp", target)
			if target == "" || err != nil {
				in.Close()
				continue
			}
			r.taken.Add(1)
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				conns.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
					pair[1].Close()
				})
			}
			context.AfterFunc(ctx, func() { in.Close(); out.Close() })
		}
	})
	r.die = func() {
		cancel()
		listener.Close()
		conns.Wait()
	}
	t.Cleanup(r.die)
	return r
}

func (r *relay) to(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, err := url.Parse(address)
	if err != nil {
		u = &url.URL{}
	}
	r.target = strings.TrimPrefix(u.Host, "//")
}
