package websocketclickhouseexporter

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

// Reasons of dropped_records and of dead letters; the last is [store.Refused].
const (
	reasonNotAnEvent = "not_an_event"
	reasonNoTime     = "no_time"
	reasonOutOfRange = "out_of_range"
	reasonNotASpan   = "not_a_span"
)

func reasonAttribute(reason string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("reason", reason))
}

type clickhouseExporter struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder

	// targets are the shards in their order; the first also holds tenants and the progress of sources.
	targets []*target
	// reported holds the reasons for which a drop has been logged.
	reported sync.Map

	tenants *store.Tenants
	// batches are free to be used again. They are few and bounded, and unlike those of a sync.Pool survive a collection of
	// garbage, of which each large chunk causes one.
	batches chan *batch
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

func newExporter(config *Config, set exporter.Settings) (*clickhouseExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &clickhouseExporter{
		config: config, logger: set.Logger, telemetry: telemetry,
		tenants: store.NewTenants(config.MaxTenantsPerService),
		batches: make(chan *batch, keptBatches), cancel: func() {},
	}
	for _, replicas := range config.endpoints() {
		e.targets = append(e.targets, newTarget(config, replicas, set.Logger))
	}
	e.targets[0].tenants = e.tenants
	return e, nil
}

// start does not wait for the store: a collector whose store is down starts, says so, and lets its sources wait.
func (e *clickhouseExporter) start(context.Context, component.Host) error {
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	for _, t := range e.targets {
		e.stopped.Go(func() { t.prepareUntilDone(ctx) })
	}
	return nil
}

func (e *clickhouseExporter) shutdown(context.Context) error {
	e.cancel()
	e.stopped.Wait()
	e.telemetry.Shutdown()
	var faults []error
	for _, t := range e.targets {
		faults = append(faults, t.close())
	}
	return errors.Join(faults...)
}

// shardOf returns the number of the target where the chunk of that token goes: always the same shard, because no other
// knows the token.
func (e *clickhouseExporter) shardOf(token string) int {
	if len(e.targets) == 1 {
		return 0
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(token))
	return int(hash.Sum64() % uint64(len(e.targets)))
}

// push stores what arrived together. An error that is not permanent carries what is still to be stored, and nothing
// else is sent again.
func (e *clickhouseExporter) push(ctx context.Context, ld plog.Logs) error {
	groups := eventlog.Groups(ld)
	var retry, refused []error
	waiting, down := map[string]bool{}, map[*target]bool{}
	var progress []store.Progress
	b := e.batch()
	defer e.release(b)
	for _, g := range groups {
		b.reset()
		b.read(g, e.viewFor(g))
		progress = append(progress, b.progress...)
		token := tokenOf(g, b)
		t := e.targets[e.shardOf(token)]
		if down[t] {
			// Asking again for every chunk would only lengthen the wait.
			waiting[g.Chunk.ID] = true
			continue
		}
		switch err := e.insert(ctx, t, token, g, b); {
		case err == nil:
		case store.Retryable(err):
			retry = append(retry, err)
			waiting[g.Chunk.ID] = true
			down[t] = true
		default:
			refused = append(refused, err)
			e.drop(ctx, store.Refused, g.Records)
			e.logger.Error("ClickHouse refuses even what is said of a chunk's refused records; it is dropped",
				zap.String("sockeye.chunk.id", g.Chunk.ID), zap.Int("records", g.Records), zap.Error(err))
		}
	}
	// Progress claims that everything before it is stored, so it goes last and only if that is true.
	if len(retry) == 0 {
		if err := e.insertProgress(ctx, progress); err != nil {
			retry = append(retry, err)
		}
	}
	if len(retry) > 0 {
		return consumererror.NewLogs(errors.Join(retry...), remaining(ld, waiting))
	}
	if len(refused) > 0 {
		return consumererror.NewPermanent(errors.Join(refused...))
	}
	return nil
}

// Bounds of the memory that is kept for the next chunks: enough for two of the size that files are cut into.
const (
	keptBatches  = 2
	maxKeptBytes = 64 << 20
)

func (e *clickhouseExporter) batch() *batch {
	select {
	case b := <-e.batches:
		return b
	default:
		return new(batch)
	}
}

func (e *clickhouseExporter) release(b *batch) {
	if b.rows.Bytes() > maxKeptBytes {
		return
	}
	b.reset()
	select {
	case e.batches <- b:
	default:
	}
}

func (e *clickhouseExporter) insert(
	ctx context.Context, t *target, token string, g *eventlog.Group, b *batch,
) error {
	if b.rows.Len() == 0 && len(b.samples) == 0 && len(b.letters) == 0 {
		return nil
	}
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	// First, so that a chunk is stored when its events are. Samples that are refused hold up no events.
	if err := s.InsertPayloadSamples(ctx, b.samples); err != nil {
		t.failed(s, err)
		if store.Retryable(err) {
			return err
		}
		e.drop(ctx, store.Refused, len(b.samples))
	}
	if b.rows.Len() == 0 && len(b.letters) == 0 {
		return nil
	}
	if err := e.settle(ctx, g, b); err != nil {
		return err
	}
	if g.Chunk.Repeated && b.rows.Len() > 0 {
		switch stored, err := s.StoredLongAgo(ctx, token); {
		case err != nil:
			t.failed(s, err)
			return err
		case stored:
			t.usable(s)
			e.telemetry.ExporterWebsocketclickhouseRepeatedChunks.Add(ctx, 1)
			return nil
		}
	}
	if err := e.deliver(ctx, s, token, g.Chunk.Repeated, eventCargo{b, g}); err != nil {
		t.failed(s, err)
		return err
	}
	t.usable(s)
	if b.rows.Len() > 0 {
		e.stored(ctx, g.Exact())
		e.telemetry.ExporterWebsocketclickhouseRows.Add(ctx, int64(b.rows.Len()))
	}
	return nil
}

// stored counts a chunk.
func (e *clickhouseExporter) stored(ctx context.Context, exact bool) {
	e.telemetry.ExporterWebsocketclickhouseChunks.Add(ctx, 1)
	if !exact {
		e.telemetry.ExporterWebsocketclickhouseInexactChunks.Add(ctx, 1)
	}
}

// timed notes how long an insert took.
func (e *clickhouseExporter) timed(ctx context.Context, start time.Time, err error) {
	outcome := "ok"
	switch {
	case err == nil:
	case store.Retryable(err):
		outcome = "retry"
	default:
		outcome = "refused"
	}
	e.telemetry.ExporterWebsocketclickhouseInsertDuration.Record(ctx, time.Since(start).Seconds(),
		metric.WithAttributes(attribute.String("outcome", outcome)))
}

// viewFor returns what to bound a group's tenants by when it is read first. The content of a group that is named by it must
// not depend on who is admitted at the moment.
func (e *clickhouseExporter) viewFor(g *eventlog.Group) *store.TenantView {
	if !g.Exact() {
		return nil
	}
	return e.tenants.View()
}

// settle admits the tenants of a batch that may count by name, and reads the batch again if that or what happened
// meanwhile changes its rows.
func (e *clickhouseExporter) settle(ctx context.Context, g *eventlog.Group, b *batch) error {
	view := e.tenants.View()
	if !b.unsettled || view != nil && b.view == view && len(b.claims) == 0 {
		return nil
	}
	first := e.targets[0]
	s, err := first.ready(ctx)
	if err != nil {
		return err
	}
	if view = e.tenants.View(); b.view == view {
		if err := e.tenants.Admit(ctx, s, slices.Collect(maps.Keys(b.claims))); err != nil {
			first.failed(s, err)
			return err
		}
		if view = e.tenants.View(); b.view == view {
			return nil
		}
	}
	b.reset()
	b.read(g, view)
	if len(b.claims) > 0 {
		return e.settle(ctx, g, b)
	}
	return nil
}

func (e *clickhouseExporter) insertProgress(ctx context.Context, progress []store.Progress) error {
	if len(progress) == 0 {
		return nil
	}
	first := e.targets[0]
	s, err := first.ready(ctx)
	if err != nil {
		return err
	}
	if err := s.InsertProgress(ctx, progress); err != nil {
		first.failed(s, err)
		return err
	}
	first.usable(s)
	return nil
}
