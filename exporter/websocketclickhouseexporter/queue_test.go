package websocketclickhouseexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

func TestOnlyStoredProgressIsReported(t *testing.T) {
	t.Parallel()
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	type step struct {
		through, number, storedTo int64
		want                      int64
		news                      bool
	}
	for name, steps := range map[string][]step{
		"nothing waits":                        {{10, 0, 0, 10, true}, {15, 3, 3, 15, true}},
		"a report waits for what came before":  {{10, 5, 4, 0, false}, {15, 5, 5, 15, true}},
		"a busy queue is reached all the same": {{10, 5, 2, 0, false}, {15, 9, 4, 0, false}, {20, 12, 5, 10, true}, {25, 20, 12, 20, true}, {30, 25, 19, 20, false}, {35, 30, 22, 25, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sourceState
			for i, step := range steps {
				news := s.advance(at(step.through), step.number, step.storedTo)
				require.Equal(t, step.news, news, i)
				if step.want > 0 {
					require.Equal(t, at(step.want), s.stored, i)
				} else {
					require.Zero(t, s.stored, i)
				}
			}
		})
	}
}

func TestSourcesThatHaveGoneMakeRoom(t *testing.T) {
	t.Parallel()
	at := now
	g := &queueGate{now: func() time.Time { return at }, sources: map[string]*sourceState{}}
	for i := range maxSources {
		require.NotNil(t, g.source(fmt.Sprint("gone ", i)))
	}
	require.Nil(t, g.source("one too many"))
	at = at.Add(store.AliveFor)
	g.source("gone 0").heard = at
	require.NotNil(t, g.source("new"))
	require.Len(t, g.sources, 2, "and the one that was heard")
}

func TestATagSurvivesTheQueue(t *testing.T) {
	t.Parallel()
	ld := chunk(0, 2)
	want := tag{"p", 3, 99}
	want.put(ld)
	require.Equal(t, want, tagOf(ld))
	require.Equal(t, 2, eventlog.ChunkOf(ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope()).Records)
	require.Zero(t, tagOf(chunk(0, 2)))
	require.Zero(t, tagOf(plog.NewLogs()))
	for _, foreign := range []string{"", "x", "a b c", "a 1", "a 1 99999999999999999999"} {
		ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope().Attributes().PutStr(tagKey, foreign)
		require.Zero(t, tagOf(ld), foreign)
	}
}

// withQueue turns a queue on.
func withQueue(c *Config) {
	*c.QueueConfig.GetOrInsertDefault() = *createDefaultConfig().(*Config).QueueConfig.GetOrInsertDefault()
	id := component.MustNewID("file_storage")
	c.QueueConfig.Get().StorageID = &id
}

// storageHost is a host whose file_storage lies in a directory. It is stopped after the exporters that use it.
func storageHost(t *testing.T, dir string) component.Host {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return host{component.MustNewID("file_storage"): ext}
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func (r *rig) gate() *queueGate { return r.Logs.(*queueGate) }

// open waits until the queue takes requests.
func (r *rig) open(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.gate().mu.Lock()
		defer r.gate().mu.Unlock()
		for _, q := range r.gate().queues {
			if !q.marked {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

func reportOf(through time.Time, backlog int64) plog.Logs {
	e := event.Event{Name: event.SourceProgress, Time: time.Now().UTC().Truncate(time.Millisecond)}
	e.SetString(event.ProgressSource, "a")
	e.SetInt(event.ProgressReadThrough, through.UnixNano())
	e.SetInt(event.ProgressBacklog, backlog)
	return eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
}

func stored(t *testing.T, s *store.Store) store.Progress {
	t.Helper()
	sources, err := s.Sources(t.Context())
	require.NoError(t, err)
	if len(sources) == 0 {
		return store.Progress{}
	}
	return sources[0]
}

// holdEvents lets no event in until it is called again; progress can be stored meanwhile.
func holdEvents(t *testing.T, s *store.Store, hold bool) {
	t.Helper()
	statement := "ALTER TABLE events DROP CONSTRAINT held"
	if hold {
		statement = "ALTER TABLE events ADD CONSTRAINT held CHECK throwIf(event != '') = 0"
	}
	require.NoError(t, s.Conn().Exec(t.Context(), statement))
}

func testProgressDoesNotOvertakeWhatIsQueued(t *testing.T) {
	dsn := database(t)
	e, s := startOn(t, storageHost(t, t.TempDir()), dsn, withQueue), open(t, dsn)
	e.open(t)
	first, second := now.Add(-time.Hour), now.Add(-time.Minute)
	require.Eventually(t, func() bool {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(first, 1)))
		return stored(t, s).ReadThrough.Equal(first)
	}, 2*time.Minute, 20*time.Millisecond)

	// No event can be stored for a while, progress can.
	holdEvents(t, s, true)
	for i := range 5 {
		require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10*i, 10)))
	}
	for i := range 3 {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(second, int64(10+i))))
		got := stored(t, s)
		require.Equal(t, first, got.ReadThrough, "the watermark stays")
		require.EqualValues(t, 10+i, got.Backlog)
		require.WithinDuration(t, time.Now(), got.Wall, 30*time.Second, "the source is alive")
	}
	age, err := e.telemetry.GetMetric("otelcol_exporter_websocketclickhouse_queue_age")
	require.NoError(t, err)
	require.Positive(t, age.Data.(metricdata.Gauge[float64]).DataPoints[0].Value)

	holdEvents(t, s, false)
	require.Eventually(t, func() bool {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(second, 0)))
		return stored(t, s).ReadThrough.Equal(second)
	}, 2*time.Minute, 20*time.Millisecond)
	requireStored(t, s, 50)
}

// What an earlier run left is not known until it has come out of the queue, and after a crash the requests that were being sent
// come out last.
func testProgressWaitsForWhatAnEarlierRunLeft(t *testing.T) {
	dsn := database(t)
	files := t.TempDir()
	before := now.Add(-time.Hour)
	s := open(t, dsn)
	t.Run("the first run", func(t *testing.T) {
		// Nothing can be stored, but the tables are there.
		e := startOn(t, storageHost(t, files), dsn, withQueue)
		e.open(t)
		require.Eventually(t, func() bool {
			require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(before, 1)))
			return stored(t, s).ReadThrough.Equal(before)
		}, 2*time.Minute, 20*time.Millisecond)
		holdEvents(t, s, true)
		for i := range 20 {
			require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10*i, 10)))
		}
	})
	requireNone := func() { require.Equal(t, 0, number(t, s, "SELECT sum(count) FROM rollup_1m")) }
	requireNone()
	e := startOn(t, storageHost(t, files), dsn, withQueue)
	e.open(t)
	for range 3 {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(now, 0)))
		require.Equal(t, before, stored(t, s).ReadThrough)
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(1000, 10)))
	holdEvents(t, s, false)
	require.Eventually(t, func() bool {
		require.NoError(t, e.ConsumeLogs(t.Context(), reportOf(now, 0)))
		return stored(t, s).ReadThrough.Equal(now)
	}, 2*time.Minute, 20*time.Millisecond)
	requireStored(t, s, 210)
	require.Zero(t, e.sum(t, "inexact_chunks", ""))
}

func requireEventually(t *testing.T, s *store.Store, events uint64) {
	t.Helper()
	for _, table := range []string{"events", "rollup_10s", "rollup_1m", "rollup_15m"} {
		require.Eventually(t, func() bool {
			var n uint64
			return s.Conn().QueryRow(t.Context(), "SELECT sum(count) FROM "+table).Scan(&n) == nil && n == events
		}, 2*time.Minute, 20*time.Millisecond)
	}
}

// The requests that were being sent when the collector died are written again before they are deleted. The test cuts the power
// after every step of a start and looks what the next start finds.
func TestASecondDeathWhileTheQueueStartsLosesNothing(t *testing.T) {
	t.Parallel()
	const chunks = 5
	refuse := func(c *Config) { withQueue(c); c.QueueConfig.Get().NumConsumers = 3 }
	const nobody = "http://127.0.0.1:1/sockeye"
	first := t.TempDir()
	images := &photographer{dir: first}
	t.Run("the first run", func(t *testing.T) {
		var sending atomic.Int64
		h := batchedHost(t, first, func(ctx context.Context, c storage.Client, ops []*storage.Operation) error {
			err := c.Batch(ctx, ops...)
			for _, op := range ops {
				if op.Type == storage.Get && bytes.Contains(op.Value, []byte("file:")) {
					sending.Add(1)
				}
			}
			return err
		})
		e := startOn(t, h, nobody, refuse)
		e.open(t)
		for i := range chunks {
			require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10*i, 10)))
		}
		require.Eventually(t, func() bool { return sending.Load() >= 3 }, time.Minute, time.Millisecond, "each consumer has one")
	})
	t.Run("a start", func(t *testing.T) {
		startOn(t, batchedHost(t, first, images.batch), nobody, refuse).open(t)
	})
	require.Greater(t, len(images.taken), 4)
	for i, image := range images.taken {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, image))
		h := storageHost(t, dir)
		client, err := h.GetExtensions()[component.MustNewID("file_storage")].(storage.Extension).GetClient(
			t.Context(), component.KindExporter, component.NewID(metadata.Type), "logs")
		require.NoError(t, err)
		found := map[string]bool{}
		require.NoError(t, client.(storage.Walker).Walk(t.Context(), func(_ string, value []byte) ([]*storage.Operation, error) {
			for c := range chunks {
				if id := fmt.Sprintf("file:%d-%d", 10*c, 10*c+10); bytes.Contains(value, []byte(id)) {
					found[id] = true
				}
			}
			return nil, nil
		}))
		require.Len(t, found, chunks, "after step %d", i)
		require.NoError(t, client.Close(t.Context()))
	}
}

// photographer copies a directory after each step that a storage client takes.
type photographer struct {
	dir   string
	mu    sync.Mutex
	taken []fs.FS
}

func (p *photographer) batch(ctx context.Context, c storage.Client, ops []*storage.Operation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(c.Batch(ctx, ops...), p.take())
}

func (p *photographer) take() error {
	image := fstest.MapFS{}
	files, err := os.ReadDir(p.dir)
	for _, f := range files {
		var content []byte
		if content, err = os.ReadFile(filepath.Join(p.dir, f.Name())); err != nil {
			return err
		}
		image[f.Name()] = &fstest.MapFile{Data: content, Mode: 0o600}
	}
	p.taken = append(p.taken, image)
	return err
}

// batchedHost is a storageHost whose clients do their batches by a function.
func batchedHost(
	t *testing.T, dir string, batch func(context.Context, storage.Client, []*storage.Operation) error,
) component.Host {
	t.Helper()
	h, id := storageHost(t, dir).(host), component.MustNewID("file_storage")
	h[id] = batched{h[id].(storage.Extension), batch}
	return h
}

// batched is a storage whose clients do their batches by a function.
type batched struct {
	storage.Extension
	batch func(context.Context, storage.Client, []*storage.Operation) error
}

func (b batched) GetClient(
	ctx context.Context, kind component.Kind, id component.ID, name string,
) (storage.Client, error) {
	client, err := b.Extension.GetClient(ctx, kind, id, name)
	return batchedClient{client, b.batch}, err
}

type batchedClient struct {
	storage.Client
	batch func(context.Context, storage.Client, []*storage.Operation) error
}

func (c batchedClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	return c.batch(ctx, c.Client, ops)
}

// A queue that cannot note that it took a request must not lose it: it is stored all the same.
func testAFullQueueDiskLosesNothing(t *testing.T) {
	dsn := database(t)
	s := open(t, dsn)
	var full atomic.Bool
	h := batchedHost(t, t.TempDir(), func(ctx context.Context, c storage.Client, ops []*storage.Operation) error {
		for _, op := range ops {
			if op.Type != storage.Get && full.Load() {
				return errors.New("no space left on device")
			}
		}
		return c.Batch(ctx, ops...)
	})
	e := startOn(t, h, dsn, withQueue)
	e.open(t)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 10)))
	requireEventually(t, s, 10)
	holdEvents(t, s, true)
	for i := range 5 {
		require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10+10*i, 10)))
	}
	full.Store(true)
	require.Error(t, e.ConsumeLogs(t.Context(), chunk(1000, 10)), "what cannot be kept is not acknowledged")
	holdEvents(t, s, false)
	requireEventually(t, s, 60)
	require.Eventually(t, func() bool {
		e.gate().mu.Lock()
		defer e.gate().mu.Unlock()
		return e.gate().waiting.Len() == 0
	}, 10*time.Second, 10*time.Millisecond, "progress waits for nothing")
}

func testAnOldQueueRefuses(t *testing.T) {
	dsn := database(t)
	s := open(t, dsn)
	e := startOn(t, storageHost(t, t.TempDir()), dsn, withQueue, func(c *Config) { c.MaxQueueAge = time.Hour })
	e.open(t)
	var later atomic.Int64
	e.gate().now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 10)))
	requireEventually(t, s, 10)
	holdEvents(t, s, true)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(10, 10)))
	later.Store(int64(2 * time.Hour))
	for range 2 {
		err := e.ConsumeLogs(t.Context(), chunk(20, 10))
		require.ErrorContains(t, err, "older than max_queue_age (1h0m0s); send again later")
		require.False(t, consumererror.IsPermanent(err))
	}
	require.Equal(t, 1, e.log.FilterMessageSnippet("nothing is dropped, and new requests are refused").Len())
	holdEvents(t, s, false)
	require.Eventually(t, func() bool { return e.ConsumeLogs(t.Context(), chunk(20, 10)) == nil }, 2*time.Minute, 20*time.Millisecond)
	require.Equal(t, 1, e.log.FilterMessageSnippet("takes requests again").Len())
	requireEventually(t, s, 30)
}

func testAFullQueueRefusesAtOnce(t *testing.T) {
	e := startOn(t, storageHost(t, t.TempDir()), "http://127.0.0.1:1/sockeye", withQueue, func(c *Config) {
		c.QueueConfig.Get().QueueSize = 20_000
	})
	e.open(t)
	var err error
	accepted := 0
	for ; err == nil && accepted < 1000; accepted++ {
		err = e.ConsumeLogs(t.Context(), chunk(10*accepted, 10))
	}
	require.ErrorContains(t, err, "queue is full")
	require.False(t, consumererror.IsPermanent(err))
	require.Greater(t, accepted, 3)
	require.Error(t, e.ConsumeLogs(t.Context(), reportOf(now, 0)), "nothing is known of what is stored")
	require.Equal(t, accepted-1, e.gate().waiting.Len(), "a refused request does not count as accepted")
}
