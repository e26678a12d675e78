package websocketclickhouseexporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/store"
)

// prepareRetry is how long a target waits before it looks for an unreachable store again on its own; records that
// arrive in between try at once.
const prepareRetry = 5 * time.Second

// target is one database that chunks go to: the only one, or a shard.
type target struct {
	config *Config
	// replicas are endpoints of the same tables, and failovers says which comes first: all share the tokens of chunks, so
	// it does not matter which of them is sent a chunk.
	replicas  []string
	failovers atomic.Uint32
	logger    *zap.Logger
	// tenants are read from this target; nil for all but the first.
	tenants *store.Tenants

	// preparing is held while the store is opened and its schema brought up to date; receiving from it is the lock, so
	// that waiting for it ends with the context.
	preparing chan struct{}
	store     atomic.Pointer[store.Store]
	// down is set while the store cannot be used, so that each outage is one log line.
	down atomic.Bool
}

func newTarget(config *Config, replicas []string, logger *zap.Logger) *target {
	t := &target{config: config, replicas: replicas, logger: logger, preparing: make(chan struct{}, 1)}
	t.preparing <- struct{}{}
	return t
}

// prepareUntilDone looks for the store until it is there. The schema is made even before the first event, because the SLO
// engine reads the tables.
func (t *target) prepareUntilDone(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		attempt, done := context.WithTimeout(ctx, time.Minute)
		_, err := t.ready(attempt)
		done()
		if err == nil {
			return
		}
		timer.Reset(prepareRetry)
	}
}

func (t *target) close() error {
	if s := t.store.Swap(nil); s != nil {
		return s.Close()
	}
	return nil
}

// ready returns the store with its schema up to date. An outage is logged once, and so is its end.
func (t *target) ready(ctx context.Context) (*store.Store, error) {
	if s := t.store.Load(); s != nil {
		return s, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.preparing:
	}
	defer func() { t.preparing <- struct{}{} }()
	if s := t.store.Load(); s != nil {
		return s, nil
	}
	s, err := t.prepare(ctx)
	if err != nil {
		t.unusable(err)
		t.failovers.Add(1)
		return nil, err
	}
	t.store.Store(s)
	t.usable(s)
	return s, nil
}

func (t *target) prepare(ctx context.Context) (*store.Store, error) {
	// Whoever does not answer is passed over at once; one that answers, and cannot do what it should, at the next attempt.
	first := int(t.failovers.Load() % uint32(len(t.replicas)))
	order := slices.Concat(t.replicas[first:], t.replicas[:first])
	s, err := store.Open(ctx, strings.Join(order, ","), t.config.options())
	if err != nil {
		return nil, err
	}
	if err := t.bringUpToDate(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if t.tenants != nil {
		if err := t.tenants.Load(ctx, s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (t *target) bringUpToDate(ctx context.Context, s *store.Store) error {
	if !t.config.CreateSchema {
		status, err := s.MigrationStatus(ctx)
		if err != nil {
			return err
		}
		if n := status.Pending(); n > 0 {
			return fmt.Errorf("schema of database %q at clickhouse %s lacks %d migrations; run `sockeye store migrate`, "+
				"or set create_schema: true", s.Database(), s.Address(), n)
		}
		return status.Fault(s.Database())
	}
	applied, err := s.Migrate(ctx)
	if err != nil {
		return err
	}
	if applied > 0 {
		t.logger.Info("schema brought up to date", zap.String("database", s.Database()), zap.Int("migrations", applied))
	}
	changed, err := s.ApplyRetention(ctx, store.Retention(t.config.Retention))
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		t.logger.Info("retention changed", zap.String("database", s.Database()), zap.Strings("tables", changed))
	}
	return nil
}

func (t *target) unusable(err error) {
	if errors.Is(err, context.Canceled) || t.down.Swap(true) {
		return
	}
	t.logger.Warn("ClickHouse cannot be used; sources wait and nothing is lost", zap.Error(err))
}

func (t *target) usable(s *store.Store) {
	if t.down.Swap(false) {
		t.logger.Info("ClickHouse can be used again", zap.String("address", s.Address()))
	}
}

// failed notes an insert's failure. Where the tables or the database are gone the schema is looked at again before the
// next attempt: an engine whose data folder was replaced needs it made anew. Where there are replicas, the next one's turn
// it is.
func (t *target) failed(s *store.Store, err error) {
	var fault *store.Error
	if !errors.As(err, &fault) {
		return
	}
	if fault.Kind == store.Data {
		return
	}
	t.unusable(err)
	if fault.Kind == store.Schema || fault.Kind == store.UnknownDatabase || len(t.replicas) > 1 {
		if t.store.CompareAndSwap(s, nil) {
			t.failovers.Add(1)
			if err := s.Close(); err != nil {
				t.logger.Debug("close connection", zap.Error(err))
			}
		}
	}
}
