package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// checkNow is a time at which everything that events makes has been written.
var checkNow = base.Add(2 * time.Hour)

// checkAll is a range around everything that events makes.
func checkAll() store.CheckOptions {
	return store.CheckOptions{From: base, To: base.Add(time.Hour), Now: checkNow}
}

func check(t testing.TB, s *store.Store, o store.CheckOptions) store.CheckReport {
	t.Helper()
	report, err := s.Check(t.Context(), o)
	require.NoError(t, err)
	return report
}

func requireEqualTiers(t testing.TB, s *store.Store) {
	t.Helper()
	report := check(t, s, checkAll())
	for _, tier := range report.Tiers {
		require.Nil(t, tier.First, "%v", tier.First)
	}
	require.True(t, report.Equal)
}

func execute(t testing.TB, s *store.Store, statement string, args ...any) {
	t.Helper()
	require.NoError(t, s.Conn().Exec(t.Context(), statement, args...), statement)
}

// oneEvent returns events that differ from each other by their times and instances alone.
func oneEvent(at time.Time, instance string) event.Event {
	e := event.Event{
		Name: event.Open, Time: at, Observed: at,
		Resource: event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String("chat")},
			event.Named{Name: event.ServiceInstanceID, Value: event.String(instance)},
		),
	}
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.TenantID, "o'hara")
	e.SetDouble(event.HandshakeDuration, 0.2)
	return e
}

func TestTiersOfRandomEventsAreEqual(t *testing.T) {
	t.Parallel()
	s := open(t)
	for seed := range uint64(5) {
		insert(t, s, fmt.Sprint("chunk ", seed), events(seed, 4000))
	}
	report := check(t, s, checkAll())
	require.True(t, report.Equal, "%+v", report)
	require.EqualValues(t, 20_000, report.Events)
	require.Len(t, report.Tiers, 3)
	require.Empty(t, report.Notes)

	// A repair of what is right changes nothing.
	o := checkAll()
	o.Repair = true
	// FINAL, because a merge in between leaves fewer rows of the same sums.
	const rows = "SELECT count() FROM rollup_10s FINAL"
	before := number(t, s, rows)
	report = check(t, s, o)
	require.True(t, report.Equal)
	for _, tier := range report.Tiers {
		require.Zero(t, tier.Repaired)
	}
	require.Equal(t, before, number(t, s, rows))
}

func TestTheFirstDifferenceIsNamedAndRepaired(t *testing.T) {
	t.Parallel()
	// Three events of 25 minutes past, a minute apart, and one of the next quarter.
	at := base.Add(25 * time.Minute)
	list := []event.Event{
		oneEvent(at, "a"), oneEvent(at.Add(time.Minute), "a"), oneEvent(at.Add(2*time.Minute), "b"),
		oneEvent(at.Add(10*time.Minute), "a"),
	}
	const deleteRow = "ALTER TABLE %s DELETE WHERE bucket = toDateTime(%d, 'UTC') SETTINGS mutations_sync = 1"
	const doubleRow = "INSERT INTO %[1]s SELECT * FROM %[1]s WHERE bucket = toDateTime(%[2]d, 'UTC')"
	change := func(column, value string) string {
		return "ALTER TABLE %s UPDATE " + column + " = " + value + " WHERE bucket = toDateTime(%d, 'UTC')" +
			" SETTINGS mutations_sync = 1"
	}
	second, quarter := at.Add(time.Minute), base.Add(15*time.Minute)
	for name, c := range map[string]struct {
		tier             string
		bucket           time.Time
		tamper           string
		measure          string
		stored, recounts string
	}{
		"a row is missing from 10 s":   {schema.Rollup10s, second, deleteRow, "count", "0", "1"},
		"a row is missing from 1 min":  {schema.Rollup1m, second, deleteRow, "count", "0", "1"},
		"a row is missing from 15 min": {schema.Rollup15m, quarter, deleteRow, "count", "0", "3"},
		"a row stands twice in 10 s":   {schema.Rollup10s, second, doubleRow, "count", "2", "1"},
		"a row stands twice in 15 min": {schema.Rollup15m, quarter, doubleRow, "count", "6", "3"},
		"the bytes differ": {
			schema.Rollup1m, second, change("bytes", "bytes + 7"), "bytes", "7", "0",
		},
		"the judged differ": {schema.Rollup1m, second, change("judged", "0"), "judged", "0", "1"},
		"the timed differ": {
			schema.Rollup15m, quarter, change("duration_count", "9"), "duration_count", "9", "3",
		},
		"the sum of durations differs a bit": {
			schema.Rollup10s, second, change("duration_sum", "0.2001"), "duration_sum", "0.2001", "0.2",
		},
		"the histogram has one too many": {
			schema.Rollup1m, second, change("le_150ms", "1"), "le_150ms", "1", "0",
		},
		"the histogram has one too few": {
			schema.Rollup1m, second, change("le_200ms", "0"), "le_200ms", "0", "1",
		},
		"the last bound of the histogram": {
			schema.Rollup15m, quarter, change("le_10000ms", "0"), "le_10000ms", "0", "3",
		},
		"a sum that is more than a JSON float": {
			schema.Rollup1m, second, change("count", "18446744073709551615"), "count", "18446744073709551615", "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			insert(t, s, "chunk", list)
			requireEqualTiers(t, s)
			execute(t, s, fmt.Sprintf(c.tamper, c.tier, c.bucket.Unix()))

			report := check(t, s, checkAll())
			require.False(t, report.Equal)
			for _, tier := range report.Tiers {
				if tier.Table != c.tier {
					require.Nil(t, tier.First, tier.Table)
					continue
				}
				d := tier.First
				require.NotNil(t, d)
				require.Equal(t, c.bucket, d.Bucket)
				require.Equal(t, []string{c.measure, c.stored, c.recounts}, []string{d.Measure, d.Stored, d.Recounted})
				require.Contains(t, d.Dimensions, store.Dimension{Name: "tenant", Value: "o'hara"})
				require.Contains(t, d.Dimensions, store.Dimension{Name: "event", Value: "websocket.open"})
				if c.tier == schema.Rollup10s {
					require.Contains(t, d.Dimensions, store.Dimension{Name: "instance", Value: "a"})
				}
				require.Contains(t, d.String(), fmt.Sprintf("%s is %s, the events give %s", c.measure, c.stored, c.recounts))
			}

			o := checkAll()
			o.Repair = true
			report = check(t, s, o)
			require.True(t, report.Equal, "%+v", report.Tiers)
			for _, tier := range report.Tiers {
				require.Equal(t, tier.Table == c.tier, tier.Repaired == 1, "%+v", tier)
			}
			requireEqualTiers(t, s)
			// The chunk is still known: sending it again changes nothing.
			insert(t, s, "chunk", list)
			requireEqualTiers(t, s)
			// Merged, no row of differences is left.
			require.Zero(t, number(t, s, "SELECT countIf(count > 1000) FROM "+c.tier))
		})
	}
}

func TestARowThatNoEventGivesIsADifference(t *testing.T) {
	t.Parallel()
	s := open(t)
	insert(t, s, "chunk", events(1, 500))
	execute(t, s, "INSERT INTO rollup_10s (bucket, service, instance, count) "+
		"VALUES (toDateTime(?, 'UTC'), 'ghost', 'x', 3)", base.Add(20*time.Second).Unix())
	o := checkAll()
	o.To = base.Add(15 * time.Minute)
	d := check(t, s, o).Tiers[0].First
	require.NotNil(t, d)
	require.Equal(t, []string{"count", "3", "0"}, []string{d.Measure, d.Stored, d.Recounted})
	require.Contains(t, d.Dimensions, store.Dimension{Name: "service", Value: "ghost"})
	o.Repair = true
	require.True(t, check(t, s, o).Equal)
	requireEqualTiers(t, s)
}

func TestAChunkThatLostOrGainedEventsIsNamed(t *testing.T) {
	t.Parallel()
	s := open(t)
	for seed := range uint64(3) {
		insert(t, s, fmt.Sprint("chunk ", seed), events(seed, 300))
		insert(t, s, fmt.Sprint("chunk ", seed), events(seed, 300))
	}
	report := check(t, s, checkAll())
	require.True(t, report.Equal)
	require.Equal(t, store.ChunkReport{Compared: 3, Equal: true}, report.Chunks)

	// A chunk that reaches beyond the range says nothing about it.
	o := checkAll()
	o.From = base.Add(15 * time.Minute)
	require.Equal(t, store.ChunkReport{Compared: 0, Equal: true}, check(t, s, o).Chunks)

	execute(t, s, "ALTER TABLE events DELETE WHERE chunk_id = 'chunk 1' AND event = 'websocket.auth'"+
		" SETTINGS mutations_sync = 1")
	left := number(t, s, "SELECT count() FROM events WHERE chunk_id = 'chunk 1'")
	o = checkAll()
	o.Repair = true
	report = check(t, s, o)
	require.False(t, report.Equal, "the tiers follow the events, and what is lost stays named")
	for _, tier := range report.Tiers {
		require.True(t, tier.Equal)
		require.NotZero(t, tier.Repaired)
	}
	require.NotNil(t, report.Chunks.First)
	require.Equal(t, "chunk 1", report.Chunks.First.ChunkID)
	require.Equal(t, []uint64{300, left}, []uint64{report.Chunks.First.Held, report.Chunks.First.Found})
}

// breaking is a connection that gives up after some statements, as a process does that is killed.
type breaking struct {
	driver.Conn
	left int
}

var errBroken = errors.New("broken off")

func (b *breaking) Exec(ctx context.Context, query string, args ...any) error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return b.Conn.Exec(ctx, query, args...)
}

func TestAnInterruptedRepairIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := rand.New(rand.NewPCG(7, 7))
	for seed := range uint64(3) {
		insert(t, s, fmt.Sprint("chunk ", seed), events(seed, 500))
	}
	for _, round := range []int{0, 2, 4} { // before the first correction, the second, the third
		for _, tier := range schema.Tiers() {
			at := base.Add(time.Duration(r.IntN(2)) * 15 * time.Minute).Unix()
			execute(t, s, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM %[1]s WHERE bucket = toDateTime(%[2]d, 'UTC')",
				tier.Table, at))
			execute(t, s, fmt.Sprintf("ALTER TABLE %s DELETE WHERE bucket > toDateTime(%d, 'UTC') "+
				"AND cityHash64(service, event) %% 3 = %d SETTINGS mutations_sync = 1", tier.Table, at, round%3))
		}
		require.False(t, check(t, s, checkAll()).Equal)
		o := checkAll()
		o.Repair = true
		broken := s.WithConn(&breaking{Conn: s.Conn(), left: round})
		_, err := broken.Check(t.Context(), o)
		require.ErrorIs(t, err, errBroken)
		require.True(t, check(t, s, o).Equal)
		requireEqualTiers(t, s)
	}
	var all []event.Event
	for seed := range uint64(3) {
		insert(t, s, fmt.Sprint("chunk ", seed), events(seed, 500))
		all = append(all, events(seed, 500)...)
	}
	requireCounts(t, s, all)
	requireEqualTiers(t, s)
}

func TestOnlyWhatIsBeforeTheWatermarkIsChecked(t *testing.T) {
	t.Parallel()
	s := open(t)
	insert(t, s, "chunk", events(1, 1000))
	execute(t, s, "ALTER TABLE rollup_1m DELETE WHERE bucket >= toDateTime(?, 'UTC') SETTINGS mutations_sync = 1",
		base.Add(15*time.Minute).Unix())
	require.False(t, check(t, s, checkAll()).Equal)

	progress := func(source string, through, wall time.Time) {
		p := store.Progress{Source: source, ReadThrough: through, Wall: wall}
		require.NoError(t, s.InsertProgress(t.Context(), []store.Progress{p}))
	}
	progress("edge", base.Add(29*time.Minute), checkNow)
	progress("silent", base.Add(-time.Hour), checkNow.Add(-time.Hour))
	report := check(t, s, checkAll())
	require.True(t, report.Equal)
	require.Equal(t, base.Add(15*time.Minute), report.To)
	require.Len(t, report.Notes, 1)
	require.Contains(t, report.Notes[0], `source "edge" has been read and stored up to `)

	// A repair waits for the silent one too: it may have half of a chunk still to complete.
	o := checkAll()
	o.Repair = true
	_, err := s.Check(t.Context(), o)
	require.ErrorContains(t, err, `can be checked yet: source "silent" has been read and stored up to`)
	require.ErrorContains(t, err, "and is silent")
	o.IgnoreSilent = true
	require.True(t, check(t, s, o).Equal)

	progress("edge", base.Add(time.Hour), checkNow.Add(time.Second))
	o.Repair = false
	require.False(t, check(t, s, o).Equal, "the repair touched what lies behind the watermark")
	o.Repair = true
	require.True(t, check(t, s, o).Equal)
}

func TestRetentionBoundsTheCheck(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := store.CheckOptions{From: checkNow.Add(-30 * 24 * time.Hour), To: base, Now: checkNow}
	report := check(t, s, o)
	require.Equal(t, checkNow.Add(-7*24*time.Hour+30*time.Minute), report.From)
	require.Len(t, report.Notes, 3)
	require.Contains(t, report.Notes[2], "gauges_10s is compared from")
	require.Contains(t, report.Notes[0], "events are not kept for longer")
	require.Contains(t, report.Notes[1], "rollup_10s is compared from")
	require.Equal(t, checkNow.Add(-3*24*time.Hour+30*time.Minute), report.Tiers[0].From)
	require.Equal(t, report.From, report.Tiers[1].From)

	o.Repair = true
	_, err := s.Check(t.Context(), o)
	require.ErrorContains(t, err, "nothing before can be repaired")

	_, err = s.Check(t.Context(), store.CheckOptions{From: base, To: base, Now: checkNow})
	require.ErrorContains(t, err, "is not before to")
	_, err = s.Check(t.Context(), store.CheckOptions{
		From: checkNow.Add(time.Hour), To: checkNow.Add(2 * time.Hour), Now: checkNow,
	})
	require.ErrorContains(t, err, "can be checked yet")

	report = check(t, s, store.CheckOptions{Now: checkNow.Add(14 * time.Minute)})
	require.Equal(t, []time.Time{checkNow.Add(-24 * time.Hour), checkNow}, []time.Time{report.From, report.To})
	require.Empty(t, report.Notes)
}

// TestCheckOfManyEvents measures; SOCKEYE_CHECK_EVENTS=1000000 makes it the figure of docs/storage.md.
func TestCheckOfManyEvents(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SOCKEYE_CHECK_EVENTS"))
	if n == 0 {
		t.Skip("set SOCKEYE_CHECK_EVENTS to how many events to check")
	}
	s := open(t)
	for i := 0; i < n; i += benchmarkChunk {
		insert(t, s, fmt.Sprint("chunk ", i), events(uint64(i), min(benchmarkChunk, n-i)))
	}
	begin := time.Now()
	report := check(t, s, checkAll())
	require.True(t, report.Equal, "%+v", report)
	t.Logf("checked %d events in %s", report.Events, time.Since(begin))
	for _, tier := range schema.Tiers() {
		execute(t, s, "ALTER TABLE "+tier.Table+" DELETE WHERE cityHash64(bucket) % 2 = 0 SETTINGS mutations_sync = 1")
	}
	begin = time.Now()
	o := checkAll()
	o.Repair = true
	report = check(t, s, o)
	require.True(t, report.Equal, "%+v", report)
	t.Logf("repaired %d, %d and %d keys in %s", report.Tiers[0].Repaired, report.Tiers[1].Repaired,
		report.Tiers[2].Repaired, time.Since(begin))
}
