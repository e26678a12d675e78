package websocketclickhouseexporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/store"
)

// Reasons of dropped_records.
const (
	reasonNotAnEvent = "not_an_event"
	reasonNoTime     = "no_time"
	reasonRefused    = "refused"
)

// prepareRetry is how long the exporter waits before it looks for an unreachable store again on its own; records that
// arrive in between try at once.
const prepareRetry = 5 * time.Second

type clickhouseExporter struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder

	// preparing is held while the store is opened and its schema brought up to date; receiving from it is the lock, so
	// that waiting for it ends with the context.
	preparing chan struct{}
	store     atomic.Pointer[store.Store]
	// down is set while the store cannot be used, so that each outage is one log line.
	down atomic.Bool
	// reported holds the reasons for which a drop has been logged.
	reported sync.Map

	tenants *store.Tenants
	batches sync.Pool
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

func newExporter(config *Config, set exporter.Settings) (*clickhouseExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &clickhouseExporter{
		config: config, logger: set.Logger, telemetry: telemetry, preparing: make(chan struct{}, 1),
		tenants: store.NewTenants(config.MaxTenantsPerService), cancel: func() {},
	}
	e.preparing <- struct{}{}
	e.batches.New = func() any { return new(batch) }
	return e, nil
}

// start does not wait for the store: a collector whose store is down starts, says so, and lets its sources wait. The
// schema is made in the background, because the SLO engine reads the tables even before the first event.
func (e *clickhouseExporter) start(context.Context, component.Host) error {
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	e.stopped.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			attempt, done := context.WithTimeout(ctx, time.Minute)
			_, err := e.ready(attempt)
			done()
			if err == nil {
				return
			}
			timer.Reset(prepareRetry)
		}
	})
	return nil
}

func (e *clickhouseExporter) shutdown(context.Context) error {
	e.cancel()
	e.stopped.Wait()
	e.telemetry.Shutdown()
	if s := e.store.Swap(nil); s != nil {
		return s.Close()
	}
	return nil
}

// ready returns the store with its schema up to date. An outage is logged once, and so is its end.
func (e *clickhouseExporter) ready(ctx context.Context) (*store.Store, error) {
	if s := e.store.Load(); s != nil {
		return s, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.preparing:
	}
	defer func() { e.preparing <- struct{}{} }()
	if s := e.store.Load(); s != nil {
		return s, nil
	}
	s, err := e.prepare(ctx)
	if err != nil {
		e.unusable(err)
		return nil, err
	}
	e.store.Store(s)
	e.usable(s)
	return s, nil
}

func (e *clickhouseExporter) prepare(ctx context.Context) (*store.Store, error) {
	s, err := store.Open(ctx, e.config.Endpoint, e.config.options())
	if err != nil {
		return nil, err
	}
	if err := e.bringUpToDate(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := e.tenants.Load(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (e *clickhouseExporter) bringUpToDate(ctx context.Context, s *store.Store) error {
	if !e.config.CreateSchema {
		status, err := s.MigrationStatus(ctx)
		if err != nil {
			return err
		}
		if n := status.Pending(); n > 0 {
			return fmt.Errorf("schema of database %q at clickhouse %s lacks %d migrations; run `sockeye store migrate`, "+
				"or set create_schema: true", s.Database(), s.Address(), n)
		}
		return nil
	}
	applied, err := s.Migrate(ctx)
	if err != nil {
		return err
	}
	if applied > 0 {
		e.logger.Info("schema brought up to date", zap.String("database", s.Database()), zap.Int("migrations", applied))
	}
	changed, err := s.ApplyRetention(ctx, store.Retention(e.config.Retention))
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		e.logger.Info("retention changed", zap.String("database", s.Database()), zap.Strings("tables", changed))
	}
	return nil
}

func (e *clickhouseExporter) unusable(err error) {
	if errors.Is(err, context.Canceled) || e.down.Swap(true) {
		return
	}
	e.logger.Warn("ClickHouse cannot be used; sources wait and nothing is lost", zap.Error(err))
}

func (e *clickhouseExporter) usable(s *store.Store) {
	if e.down.Swap(false) {
		e.logger.Info("ClickHouse can be used again", zap.String("address", s.Address()))
	}
}

// failed notes an insert's failure. Where the tables or the database are gone the schema is looked at again before the
// next attempt: an engine whose data folder was replaced needs it made anew.
func (e *clickhouseExporter) failed(s *store.Store, err error) {
	var fault *store.Error
	if !errors.As(err, &fault) {
		return
	}
	if fault.Kind == store.Data {
		return
	}
	e.unusable(err)
	if fault.Kind == store.Schema || fault.Kind == store.UnknownDatabase {
		if e.store.CompareAndSwap(s, nil) {
			if err := s.Close(); err != nil {
				e.logger.Debug("close connection", zap.Error(err))
			}
		}
	}
}

// push stores what arrived together. An error that is not permanent carries what is still to be stored, and nothing
// else is sent again.
func (e *clickhouseExporter) push(ctx context.Context, ld plog.Logs) error {
	groups := group(ld)
	var retry, refused []error
	waiting := map[string]bool{}
	var progress []store.Progress
	b := e.batches.Get().(*batch)
	defer e.release(b)
	for _, g := range groups {
		b.reset()
		e.count(ctx, b.read(g, e.viewFor(g)))
		progress = append(progress, b.progress...)
		if len(retry) > 0 {
			// The store is down; asking again for every chunk would only lengthen the wait.
			waiting[g.chunk.ID] = true
			continue
		}
		switch err := e.insert(ctx, g, b); {
		case err == nil:
		case store.Retryable(err):
			retry = append(retry, err)
			waiting[g.chunk.ID] = true
		default:
			refused = append(refused, err)
			e.drop(ctx, reasonRefused, b.rows.Len())
			e.logger.Error("ClickHouse refused a chunk for good; it is dropped",
				zap.String("sockeye.chunk.id", g.chunk.ID), zap.Int("records", b.rows.Len()), zap.Error(err))
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

func (e *clickhouseExporter) release(b *batch) {
	b.reset()
	e.batches.Put(b)
}

func (e *clickhouseExporter) insert(ctx context.Context, g *chunkGroup, b *batch) error {
	if b.rows.Len() == 0 {
		return nil
	}
	s, err := e.ready(ctx)
	if err != nil {
		return err
	}
	token := g.chunk.ID
	exact := g.exact()
	if !exact {
		token = b.rows.ContentToken()
	}
	if err := e.settle(ctx, s, g, b); err != nil {
		e.failed(s, err)
		return err
	}
	if g.chunk.Repeated {
		switch stored, err := s.StoredLongAgo(ctx, token); {
		case err != nil:
			e.failed(s, err)
			return err
		case stored:
			e.usable(s)
			e.telemetry.ExporterWebsocketclickhouseRepeatedChunks.Add(ctx, 1)
			return nil
		}
	}
	start := time.Now()
	err = s.InsertChunk(ctx, token, &b.rows)
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
	if err != nil {
		e.failed(s, err)
		return err
	}
	e.usable(s)
	e.telemetry.ExporterWebsocketclickhouseChunks.Add(ctx, 1)
	e.telemetry.ExporterWebsocketclickhouseRows.Add(ctx, int64(b.rows.Len()))
	if !exact {
		e.telemetry.ExporterWebsocketclickhouseInexactChunks.Add(ctx, 1)
	}
	return nil
}

// viewFor returns what to bound a group's tenants by when it is read first. The content of a group that is named by it must
// not depend on who is admitted at the moment.
func (e *clickhouseExporter) viewFor(g *chunkGroup) *store.TenantView {
	if !g.exact() {
		return nil
	}
	return e.tenants.View()
}

// settle admits the tenants of a batch that may count by name, and reads the batch again if that or what happened
// meanwhile changes its rows.
func (e *clickhouseExporter) settle(ctx context.Context, s *store.Store, g *chunkGroup, b *batch) error {
	view := e.tenants.View()
	if !b.unsettled || b.view == view && len(b.claims) == 0 {
		return nil
	}
	if b.view == view {
		if err := e.tenants.Admit(ctx, s, slices.Collect(maps.Keys(b.claims))); err != nil {
			return err
		}
		view = e.tenants.View()
		if view == b.view {
			return nil
		}
	}
	b.reset()
	b.read(g, view)
	if len(b.claims) > 0 {
		return e.settle(ctx, s, g, b)
	}
	return nil
}

func (e *clickhouseExporter) insertProgress(ctx context.Context, progress []store.Progress) error {
	if len(progress) == 0 {
		return nil
	}
	s, err := e.ready(ctx)
	if err != nil {
		return err
	}
	if err := s.InsertProgress(ctx, progress); err != nil {
		e.failed(s, err)
		return err
	}
	e.usable(s)
	return nil
}

func (e *clickhouseExporter) count(ctx context.Context, dropped drops) {
	e.drop(ctx, reasonNotAnEvent, dropped.notAnEvent)
	e.drop(ctx, reasonNoTime, dropped.noTime)
}

func (e *clickhouseExporter) drop(ctx context.Context, reason string, n int) {
	if n == 0 {
		return
	}
	e.telemetry.ExporterWebsocketclickhouseDroppedRecords.Add(ctx, int64(n),
		metric.WithAttributes(attribute.String("reason", reason)))
	if _, known := e.reported.LoadOrStore(reason, true); !known && reason != reasonRefused {
		e.logger.Warn("log records that are no events are dropped; from now on only counted, in "+
			"otelcol_exporter_websocketclickhouse_dropped_records", zap.String("reason", reason), zap.Int("records", n))
	}
}
