package sloextension

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
)

// database is what the engine needs of the store.
type database interface {
	// latest returns the last record of each SLO that was written after a moment.
	latest(ctx context.Context, after time.Time) ([]slo.Record, error)
	// progress returns how far each source has been read.
	progress(ctx context.Context, now time.Time) ([]slo.Progress, error)
	// exclusions returns those in force that may matter to a budget as of now or earlier.
	exclusions(ctx context.Context, now time.Time) ([]slo.Exclusion, error)
	counts(ctx context.Context, ledger *slo.Ledger, asof time.Time) ([]slo.Counts, error)
	write(ctx context.Context, records []slo.Record) error
	// lastEvents returns the last event of each stream.
	lastEvents(ctx context.Context) ([]slo.Event, error)
	// minutes returns what an SLO counted in each minute; nothing for one that does not count events.
	minutes(ctx context.Context, s *slo.SLO, from, to time.Time) ([]slo.Minute, error)
	writeEvents(ctx context.Context, events []slo.Event) error
	// ask runs a query.
	ask(ctx context.Context, sql string, read func(slo.Rows) error) error
	close() error
}

// openStore connects, and creates or completes the tables, as whoever uses them first does.
func openStore(ctx context.Context, dsn string) (database, error) {
	s, err := store.Open(ctx, dsn, store.Options{Client: "sockeye-slo", MaxConnections: 2})
	if err != nil {
		return nil, err
	}
	if _, err := s.Migrate(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return clickHouse{s}, nil
}

type clickHouse struct{ store *store.Store }

func query[T any](ctx context.Context, c clickHouse, sql string, read func(slo.Rows) (T, error)) (T, error) {
	var none T
	rows, err := c.store.Conn().Query(ctx, sql)
	if err != nil {
		return none, c.store.Explain(err)
	}
	defer rows.Close()
	return read(rows)
}

func (c clickHouse) latest(ctx context.Context, after time.Time) ([]slo.Record, error) {
	return query(ctx, c, slo.SelectLatest(after), slo.ReadRecords)
}

func (c clickHouse) progress(ctx context.Context, now time.Time) ([]slo.Progress, error) {
	return query(ctx, c, slo.SelectProgress(now), slo.ReadProgress)
}

func (c clickHouse) exclusions(ctx context.Context, now time.Time) ([]slo.Exclusion, error) {
	return query(ctx, c, slo.SelectExclusions(now.Add(-2*slo.ExclusionsKept)), slo.ReadInForce)
}

func (c clickHouse) counts(ctx context.Context, ledger *slo.Ledger, asof time.Time) ([]slo.Counts, error) {
	return ledger.Count(ctx, asof, c.ask)
}

func (c clickHouse) ask(ctx context.Context, sql string, read func(slo.Rows) error) error {
	// The text grows with the number of services, and with that of SLOs that are no sums; the defaults end at some hundreds.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_query_size": 256 << 20, "max_ast_elements": 50_000_000, "max_expanded_ast_elements": 50_000_000,
	}))
	_, err := query(ctx, c, sql, func(rows slo.Rows) (struct{}, error) { return struct{}{}, read(rows) })
	return err
}

func (c clickHouse) write(ctx context.Context, records []slo.Record) error {
	batch, err := c.store.Conn().PrepareBatch(ctx, slo.InsertRecords)
	if err != nil {
		return c.store.Explain(err)
	}
	for i := range records {
		if err := batch.Append(records[i].Row()...); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("write statuses: %w", err)
		}
	}
	return c.store.Explain(batch.Send())
}

func (c clickHouse) lastEvents(ctx context.Context) ([]slo.Event, error) {
	return query(ctx, c, slo.SelectLastEvents(), slo.ReadEvents)
}

func (c clickHouse) minutes(ctx context.Context, s *slo.SLO, from, to time.Time) ([]slo.Minute, error) {
	sql := slo.SelectMinutes(s, from, to)
	if sql == "" {
		return nil, nil
	}
	return query(ctx, c, sql, slo.ReadMinutes)
}

func (c clickHouse) writeEvents(ctx context.Context, events []slo.Event) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": slo.EventsToken(events),
	}))
	batch, err := c.store.Conn().PrepareBatch(ctx, slo.InsertEvents)
	if err != nil {
		return c.store.Explain(err)
	}
	for i := range events {
		if err := batch.Append(events[i].Row()...); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("write events: %w", err)
		}
	}
	return c.store.Explain(batch.Send())
}

func (c clickHouse) close() error { return c.store.Close() }
