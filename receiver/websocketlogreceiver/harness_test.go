package websocketlogreceiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
)

const (
	soon  = 20 * time.Second
	often = 2 * time.Millisecond
)

// sink is the pipeline: it keeps what it acknowledged, deduplicated by chunk as the store does.
type sink struct {
	mu sync.Mutex
	// answer decides about a call; nil acknowledges.
	answer func(ctx context.Context, chunk eventlog.Chunk) error
	// mutate makes the sink change records before it answers, as a processor may.
	mutate bool
	ids    []string
	chunks map[string][]string
	// sent says of every time that a chunk came whether it was called repeated.
	sent  map[string][]bool
	times []time.Time
	calls int
	// progress holds the progress events.
	progress []event.Event
}

func (s *sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	var ids []string
	var times []time.Time
	var chunk eventlog.Chunk
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			chunk = eventlog.ChunkOf(sl.Scope())
			for _, lr := range sl.LogRecords().All() {
				var e event.Event
				if err := eventlog.DecodeRecord(lr, eventlog.DecodeResource(rl.Resource()), &e); err != nil {
					return err
				}
				if e.Name == event.SourceProgress {
					s.mu.Lock()
					s.progress = append(s.progress, e)
					s.mu.Unlock()
					return nil
				}
				ids = append(ids, e.String(event.ConnectionID))
				times = append(times, e.Time)
			}
			if s.mutate {
				sl.LogRecords().RemoveIf(func(plog.LogRecord) bool { return true })
			}
		}
	}
	s.mu.Lock()
	s.calls++
	if s.sent == nil {
		s.sent = map[string][]bool{}
	}
	s.sent[chunk.ID] = append(s.sent[chunk.ID], chunk.Repeated)
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, chunk); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chunks == nil {
		s.chunks = map[string][]string{}
	}
	if before, ok := s.chunks[chunk.ID]; ok {
		if !slices.Equal(before, ids) {
			return fmt.Errorf("chunk %s came with other records", chunk.ID)
		}
		return nil
	}
	if chunk.Records != len(ids) {
		return fmt.Errorf("chunk says %d records, has %d", chunk.Records, len(ids))
	}
	s.chunks[chunk.ID] = ids
	s.ids = append(s.ids, ids...)
	s.times = append(s.times, times...)
	return nil
}

func (s *sink) set(answer func(context.Context, eventlog.Chunk) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

func (s *sink) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *sink) progresses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.progress)
}

func (s *sink) lastProgress() *event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.progress) == 0 {
		return nil
	}
	e := s.progress[len(s.progress)-1].Clone()
	return &e
}

// eventually waits until the sink has exactly these ids, in whatever order chunks arrived.
func (s *sink) eventually(t *testing.T, want []string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.got()) >= len(want) }, soon, often,
		"want %d records, got %d", len(want), len(s.got()))
	require.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(s.got())))
}

// gate is a pipeline that holds every chunk back until the test decides about it, or opens it.
type gate struct {
	*sink
	opened chan struct{}

	mu sync.Mutex
	// held has the chunks that wait, by the id of their first record.
	held map[string]chan verdict
}

type verdict string

const (
	accepted verdict = "accepted"
	refused  verdict = "refused"
	// unanswered is stored, and the answer does not come back.
	unanswered verdict = "stored but unanswered"
)

func newGate(s *sink) *gate {
	return &gate{sink: s, opened: make(chan struct{}), held: map[string]chan verdict{}}
}

func (g *gate) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	sl := ld.ResourceLogs().At(0).ScopeLogs().At(0)
	if eventlog.ChunkOf(sl.Scope()).ID == "" {
		return g.sink.ConsumeLogs(ctx, ld)
	}
	first, _ := sl.LogRecords().At(0).Attributes().Get(event.ConnectionID.String())
	decided := make(chan verdict, 1)
	g.mu.Lock()
	g.held[first.Str()] = decided
	g.mu.Unlock()
	v := accepted
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-g.opened:
	case v = <-decided:
	}
	if v == refused {
		return errors.New("unavailable")
	}
	if err := g.sink.ConsumeLogs(ctx, ld); err != nil {
		return err
	}
	if v == unanswered {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (g *gate) open() { close(g.opened) }

// holding returns the first records of the chunks that wait.
func (g *gate) holding() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.held))
}

// decide decides about the chunk that begins with this record, once it is there.
func (g *gate) decide(t *testing.T, v verdict, first string) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		decided, ok := g.held[first]
		if ok {
			delete(g.held, first)
			decided <- v
		}
		return ok
	}, soon, often, "chunk of %s", first)
}

// memoryStorage is a storage extension that outlives receivers.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	values map[string][]byte
	fail   error
	// wrote is asked before each write, with their number so far; its error is the writer's.
	wrote  func(n int) error
	writes int
}

var storageID = component.MustNewID("memory")

// kill makes the storage keep what it has, whatever it is told; recover ends that.
func (m *memoryStorage) kill()    { m.broken(errKilled) }
func (m *memoryStorage) recover() { m.broken(nil) }

func (m *memoryStorage) broken(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

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
		return m.fail
	}
	if m.wrote != nil {
		if err := m.wrote(m.writes); err != nil {
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

// rig is a receiver on a folder of its own, which can be restarted.
type rig struct {
	t       *testing.T
	dir     string
	cfg     *Config
	storage *memoryStorage
	sink    *sink
	logs    *observer.ObservedLogs
	tel     *componenttest.Telemetry
	r       *logReceiver
	tune    func(*logReceiver)
}

func newRig(t *testing.T, change func(*Config)) *rig {
	g := &rig{t: t, dir: t.TempDir(), storage: &memoryStorage{}, sink: &sink{}, tel: componenttest.NewTelemetry()}
	t.Cleanup(func() { require.NoError(t, g.tel.Shutdown(context.Background())) })
	g.cfg = createDefaultConfig().(*Config)
	g.cfg.Include = []string{filepath.Join(g.dir, "access.log")}
	g.cfg.StartAt = startAtBeginning
	g.cfg.PollInterval = 2 * time.Millisecond
	g.cfg.DrainAfter = 100 * time.Millisecond
	g.cfg.Chunk.MaxAge = 5 * time.Millisecond
	g.cfg.ProgressInterval = 5 * time.Millisecond
	g.cfg.SourceName = "test"
	id := storageID
	g.cfg.Storage = &id
	if change != nil {
		change(g.cfg)
	}
	require.NoError(t, g.cfg.Validate())
	return g
}

// settings are those of a receiver whose log is in g.logs.
func (g *rig) settings() receiver.Settings {
	core, logs := observer.New(zapcore.DebugLevel)
	g.logs = logs
	settings := receiver.Settings{
		ID: component.MustNewIDWithName("websocketlog", "test"), TelemetrySettings: g.tel.NewTelemetrySettings(),
		BuildInfo: receivertest.NewNopSettings(metadata.Type).BuildInfo,
	}
	settings.Logger = zap.New(core)
	return settings
}

func (g *rig) start() {
	g.t.Helper()
	r, err := newReceiver(g.cfg, g.settings(), g.sink)
	require.NoError(g.t, err)
	r.firstPause = time.Millisecond
	if g.tune != nil {
		g.tune(r)
	}
	g.r = r
	require.NoError(g.t, r.Start(g.t.Context(), host{storageID: g.storage}))
	g.t.Cleanup(func() {
		if g.r == r {
			g.stop()
		}
	})
}

func (g *rig) stop() {
	g.t.Helper()
	r := g.r
	g.r = nil
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	require.NoError(g.t, r.Shutdown(ctx))
}

func (g *rig) path(name string) string { return filepath.Join(g.dir, name) }

// write appends text to a file.
func (g *rig) write(name, text string) {
	g.t.Helper()
	f, err := os.OpenFile(g.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	_, err = f.WriteString(text)
	require.NoError(g.t, err)
	require.NoError(g.t, f.Close())
}

// number appends the lines of events first to last.
func (g *rig) number(name string, first, last int) {
	g.t.Helper()
	g.write(name, lines(first, last))
}

// base is when the events of these tests happen.
var base = time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)

func line(n int) string {
	return fmt.Sprintf(`{"time":%q,"event":"websocket.open","websocket.connection.id":%q,"websocket.vantage":"edge",`+
		`"websocket.source.visibility":"at_open","websocket.source.type":"test","http.response.status_code":101}`+"\n",
		base.Add(time.Duration(n)*time.Second).Format(time.RFC3339), id(n))
}

func lines(first, last int) (text string) {
	for n := first; n <= last; n++ {
		text += line(n)
	}
	return text
}

func id(n int) string { return fmt.Sprintf("c%06d", n) }

func ids(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, id(n))
	}
	return list
}

func timeOf(n int) time.Duration { return time.Duration(n) * time.Second }

// steady is a clock that starts at t.
func steady(t time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return t.Add(time.Since(began)) }
}

// metric is the sum of a metric over its attributes.
func (g *rig) metric(name string) (sum int64) {
	g.t.Helper()
	m, err := g.tel.GetMetric(name)
	if err != nil {
		return 0
	}
	data, ok := m.Data.(metricdata.Sum[int64])
	require.True(g.t, ok)
	for _, p := range data.DataPoints {
		sum += p.Value
	}
	return sum
}
