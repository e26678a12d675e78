package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/store/schema"
)

// insertSettings make an INSERT exact: it is stored before it is acknowledged, and a second one with the same token
// changes nothing, in the table and behind every view. Where the first stored the rows but not what a view makes of
// them, the second completes that.
func insertSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"materialized_views_ignore_errors":                   0,
		// With two threads for a chunk's views a file was stored a tenth slower (docs/storage.md).
		"max_threads": 1,
		// A file from the past may hold more days than the default of 100, and will hold them on every retry.
		"max_partitions_per_insert_block": 0,
	}
}

var progressColumns = columnList(schema.ProgressColumns())

func columnList(columns []schema.Column) []clickhouse.ColumnNameAndType {
	list := make([]clickhouse.ColumnNameAndType, len(columns))
	for i, c := range columns {
		list[i] = clickhouse.ColumnNameAndType{Name: c.Name, Type: c.Type}
	}
	return list
}

// insertInto names the table of the shard itself: behind a Distributed one nobody knows the token.
func (s *Store) insertInto(table string, columns []schema.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return "INSERT INTO " + s.cluster.Stored(table) + " (" + strings.Join(names, ", ") + ")"
}

// InsertChunk stores rows as one INSERT with that deduplication token, which becomes their chunk_id. When it returns
// nil the rows and everything the views make of them can be read. Rows is left as it is, but for its chunk_id column.
func (s *Store) InsertChunk(ctx context.Context, token string, rows *Rows) error {
	return s.insertRows(ctx, "insert events", schema.Events, schema.EventColumns(), insertSettings(token), token, rows)
}

// InsertSpans stores spans as [Store.InsertChunk] does events.
func (s *Store) InsertSpans(ctx context.Context, token string, rows *SpanRows) error {
	return s.insertRows(ctx, "insert spans", schema.Traces, schema.TraceColumns(), insertSettings(token), token, rows)
}

// AcceptsEvents returns nil if the table takes the rows, and the refusal if it does not. It stores nothing: the last of the rows, of
// which there must be another one like it, is moved to the next day, and then the INSERT is told to take one day only. ClickHouse
// looks at that after it has made all columns and checked all constraints, and before it writes. Views are not asked.
func (s *Store) AcceptsEvents(ctx context.Context, token string, rows *Rows) error {
	rows.countedAt.later(day / time.Millisecond)
	return s.accepted(s.insertRows(ctx, probing, schema.Events, schema.EventColumns(), probe, token, rows))
}

// AcceptsSpans is [Store.AcceptsEvents] for spans.
func (s *Store) AcceptsSpans(ctx context.Context, token string, rows *SpanRows) error {
	rows.start.later(day / time.Nanosecond)
	return s.accepted(s.insertRows(ctx, probing, schema.Traces, schema.TraceColumns(), probe, token, rows))
}

const (
	probing = "look for refused rows"
	day     = 24 * time.Hour
	// codeTooManyParts is also that of a table that has too many; only the message tells.
	codeTooManyParts = 252
	onePartition     = "partitions for single INSERT block"
)

var probe = clickhouse.Settings{
	"async_insert": 0, "insert_deduplicate": 0,
	"max_partitions_per_insert_block": 1, "throw_on_max_partitions_per_insert_block": 1,
}

func (s *Store) accepted(err error) error {
	var exception *clickhouse.Exception
	switch {
	case err == nil:
		return s.schemaFault(probing, errors.New("its partitions are not days"))
	case errors.As(err, &exception) && exception.Code == codeTooManyParts &&
		strings.Contains(exception.Message, onePartition):
		return nil
	}
	return err
}

// ViewFault is for a chunk that its table takes, and a view of it does not. Its rows are stored under its token then, so it must
// be sent again when the view is mended, which completes it.
func (s *Store) ViewFault(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{
		Kind: Schema, Code: e.Code, cause: e.cause,
		sentence: fmt.Sprintf("clickhouse at %s: a view that is not of this version refuses what its table takes%s; drop it,"+
			" or make it take every row", s.address, named(e)),
	}
}

// schemaFault is for a table that does not look as this version made it.
func (s *Store) schemaFault(doing string, err error) error {
	return &Error{
		Kind: Schema, cause: err,
		sentence: fmt.Sprintf("%s: clickhouse at %s: %v; `sockeye store status` names what differs", doing, s.address, err),
	}
}

// AliveFor is how long a source counts as alive after it last reported its progress.
const AliveFor = schema.AliveFor

// Progress says how far one source has been read and stored.
type Progress struct {
	Source string
	// ReadThrough is the time before which everything that the source wrote has been stored.
	ReadThrough time.Time
	// Backlog is how many bytes are known to wait.
	Backlog uint64
	// Wall is when the source said so.
	Wall time.Time
}

// InsertProgress stores how far sources have been read, as one INSERT. It needs no name: of equal rows one is kept.
func (s *Store) InsertProgress(ctx context.Context, progress []Progress) error {
	if len(progress) == 0 {
		return nil
	}
	hash := sha256.New()
	for _, p := range progress {
		fmt.Fprintf(hash, "%q %d %d %d\n", p.Source, p.ReadThrough.UnixNano(), p.Backlog, p.Wall.UnixNano())
	}
	token := "progress-" + hex.EncodeToString(hash.Sum(nil)[:16])
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(token)),
		clickhouse.WithColumnNamesAndTypes(progressColumns))
	batch, err := s.conn.PrepareBatch(ctx, s.insertInto(schema.SourceProgress, schema.ProgressColumns()))
	if err != nil {
		return s.explain("insert progress", err)
	}
	for _, p := range progress {
		if err := batch.Append(p.Source, p.ReadThrough, p.Backlog, p.Wall); err != nil {
			return errors.Join(s.schemaFault("insert progress", err), batch.Abort())
		}
	}
	return s.explain("insert progress", batch.Send())
}

// Sources returns the latest progress of every source, by name.
func (s *Store) Sources(ctx context.Context) ([]Progress, error) {
	rows, err := s.conn.Query(ctx, `SELECT source, read_through, backlog, wall FROM `+schema.SourceProgress+
		` FINAL ORDER BY source`)
	if err != nil {
		return nil, s.explain("read progress", err)
	}
	defer rows.Close()
	var sources []Progress
	for rows.Next() {
		var p Progress
		if err := rows.Scan(&p.Source, &p.ReadThrough, &p.Backlog, &p.Wall); err != nil {
			return nil, s.explain("read progress", err)
		}
		sources = append(sources, p)
	}
	return sources, s.explain("read progress", rows.Err())
}
