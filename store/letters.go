package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Refused is the reason of a letter for what ClickHouse itself refused. All other reasons follow from the record alone.
const Refused = "refused"

// DeadLetter stands for records of a chunk that were not stored. It has nothing of what they said.
type DeadLetter struct {
	Service, SourceType string
	// First and Last are places in the chunk, from 0, and Records is how many records between them it stands for.
	First, Last, Records int
	Reason, Text         string
	// Time is when it was written; zero means now.
	Time time.Time
}

var letterColumns = columnList(schema.LetterColumns())

// InsertDeadLetters stores letters of the chunk of that token. The same letters again change nothing.
func (s *Store) InsertDeadLetters(ctx context.Context, token string, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	const doing = "insert dead letters"
	hash := sha256.New()
	fmt.Fprintf(hash, "%q\n", token)
	for _, l := range letters {
		fmt.Fprintf(hash, "%d %d %d %q\n", l.First, l.Last, l.Records, l.Reason)
	}
	settings := insertSettings("dead-" + hex.EncodeToString(hash.Sum(nil)[:16]))
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings), clickhouse.WithColumnNamesAndTypes(letterColumns))
	batch, err := s.conn.PrepareBatch(ctx, s.insertInto(schema.DeadLetters, schema.LetterColumns()))
	if err != nil {
		return s.explain(doing, err)
	}
	now := time.Now()
	for _, l := range letters {
		at := l.Time
		if at.IsZero() {
			at = now
		}
		if err := batch.Append(at, l.Service, l.SourceType, token, uint32(l.First), uint32(l.Last), uint32(l.Records),
			l.Reason, l.Text); err != nil {
			return errors.Join(s.schemaFault(doing, err), batch.Abort())
		}
	}
	return s.explain(doing, batch.Send())
}

// RefusedOf returns the letters for what ClickHouse refused of a chunk. They were written before the rest of it was sent, so a
// chunk that comes again has to leave out the same.
func (s *Store) RefusedOf(ctx context.Context, token string) ([]DeadLetter, error) {
	const doing = "look up dead letters"
	rows, err := s.conn.Query(ctx, `SELECT first, last, any(text) FROM `+s.cluster.Stored(schema.DeadLetters)+
		` WHERE chunk_id = ? AND reason = ? GROUP BY first, last ORDER BY first SETTINGS max_threads = 1`, token, Refused)
	if err != nil {
		return nil, s.explain(doing, err)
	}
	defer rows.Close()
	var letters []DeadLetter
	for rows.Next() {
		var first, last uint32
		l := DeadLetter{Reason: Refused}
		if err := rows.Scan(&first, &last, &l.Text); err != nil {
			return nil, s.explain(doing, err)
		}
		l.First, l.Last = int(first), int(last)
		letters = append(letters, l)
	}
	return letters, s.explain(doing, rows.Err())
}
