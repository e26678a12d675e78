package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// rememberOnly makes every table forget all but the last n tokens.
func rememberOnly(t testing.TB, s *store.Store, n int) {
	t.Helper()
	rows, err := s.Conn().Query(t.Context(), `SELECT name FROM system.tables WHERE database = currentDatabase()
		AND engine_full LIKE '%non_replicated_deduplication_window%'`)
	require.NoError(t, err)
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(tables), 5)
	for _, table := range tables {
		require.NoError(t, s.Conn().Exec(t.Context(),
			fmt.Sprintf("ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = %d", table, n)))
	}
}

// insertOpens stores one open event at each of the given times as the chunk of that name.
func insertOpens(t testing.TB, s *store.Store, chunk string, times ...time.Time) {
	t.Helper()
	var rows store.Rows
	for i, at := range times {
		e := event.Event{Name: event.Open, Time: at, Resource: event.NewResource()}
		e.SetString(event.ConnectionID, fmt.Sprintf("%s-%d", chunk, i))
		rows.Append(&e)
	}
	require.NoError(t, s.InsertChunk(t.Context(), chunk, &rows))
}

func TestAChunkIsStoredLongAgoOnceItsTokenMayBeForgotten(t *testing.T) {
	t.Parallel()
	s := open(t)
	rememberOnly(t, s, 10)
	longAgo := func(chunk string) bool {
		t.Helper()
		yes, err := s.StoredLongAgo(t.Context(), chunk)
		require.NoError(t, err)
		return yes
	}
	count := func(chunk string) uint64 {
		return number(t, s, "SELECT count() FROM events WHERE chunk_id = ?", chunk)
	}
	now := time.Now().UTC()
	require.False(t, longAgo("a"), "not stored")

	insertOpens(t, s, "a", now)
	for i := range 3 {
		require.False(t, longAgo("a"), "remembered")
		insertOpens(t, s, "a", now) // changes nothing, and is no insert that counts
		insertOpens(t, s, fmt.Sprintf("b-%d", i), now)
	}
	require.EqualValues(t, 1, count("a"))
	insertOpens(t, s, "b-3", now)
	require.True(t, longAgo("a"), "half the window has passed")
	require.False(t, longAgo("b-3"))

	// The counter-example: without the question it is counted again.
	for i := range 10 {
		insertOpens(t, s, fmt.Sprintf("c-%d", i), now)
	}
	insertOpens(t, s, "a", now)
	require.EqualValues(t, 2, count("a"))
	for _, tier := range schema.Tiers() {
		require.EqualValues(t, 16, number(t, s, "SELECT sum(count) FROM "+tier.Table), tier.Table)
	}
}

func TestAnInsertOverSeveralDaysIsForgottenSooner(t *testing.T) {
	t.Parallel()
	s := open(t)
	rememberOnly(t, s, 10)
	now := time.Now().UTC()
	insertOpens(t, s, "a", now)
	insertOpens(t, s, "week", now, now.Add(-24*time.Hour), now.Add(-72*time.Hour))
	yes, err := s.StoredLongAgo(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, yes, "its tokens: 1 of the chunk itself and 4 of the days from first to last")
}

// BenchmarkStoredLongAgo asks for a chunk among as many as 28 a second leave in a day.
func BenchmarkStoredLongAgo(b *testing.B) {
	s := open(b)
	require.NoError(b, s.Conn().Exec(b.Context(), `INSERT INTO chunks
		SELECT hex(sipHash128(number)), 1000, at, at, at
		FROM (SELECT number, now64(3) - INTERVAL number * 36 MILLISECOND AS at FROM numbers(2400000))`))
	for name, first := range map[string]int{"not stored": 3_000_000, "stored lately": 100, "stored yesterday": 2_300_000} {
		b.Run(name, func(b *testing.B) {
			for i := range b.N { // another chunk each time: ClickHouse remembers where it found nothing
				b.StopTimer()
				var chunk string
				require.NoError(b, s.Conn().QueryRow(b.Context(), "SELECT hex(sipHash128(toUInt64(?)))", first+i).Scan(&chunk))
				b.StartTimer()
				_, err := s.StoredLongAgo(b.Context(), chunk)
				require.NoError(b, err)
			}
		})
	}
}
