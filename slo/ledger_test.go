package slo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// asker runs a ledger's statements and keeps their text.
type asker struct {
	store *store.Store
	asked []string
	// before runs before each statement.
	before func(sql string)
}

func (a *asker) ask(ctx context.Context, sql string, read func(slo.Rows) error) error {
	a.asked = append(a.asked, sql)
	if a.before != nil {
		a.before(sql)
	}
	rows, err := a.store.Conn().Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	return read(rows)
}

// insertEvents puts rows into events, from where every tier is filled, as an exporter does.
func insertEvents(t testing.TB, dsn string, random *rand.Rand, rows []row) {
	t.Helper()
	var b strings.Builder
	b.WriteString("INSERT INTO events (counted_at, time, service, vantage, environment, tenant, event, outcome, fault, error_type, " +
		"count, judged, duration) VALUES ")
	for i, r := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		at := r.at.Unix() + random.Int64N(60)
		fmt.Fprintf(&b, "(toDateTime64(%d, 3), toDateTime64(%d, 9)", at, at)
		for _, d := range []string{"service", "vantage", "environment", "tenant", "event", "outcome", "fault", "error_type"} {
			fmt.Fprintf(&b, ",'%s'", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(r.dimensions[d]))
		}
		duration := "NULL"
		if random.IntN(3) > 0 {
			duration = fmt.Sprint(random.Float64() / 2)
		}
		fmt.Fprintf(&b, ",%d,%d,%s)", r.count, r.judged, duration)
	}
	embeddedtest.Exec(t, dsn, b.String())
}

// counted leaves out groups that counted nothing: a statement names them where an older row than their windows has.
func counted(all []slo.Counts) []slo.Counts {
	for i := range all {
		all[i].Groups = slices.DeleteFunc(all[i].Groups, func(g slo.Group) bool {
			return !slices.ContainsFunc(append(slices.Clone(g.Windows), g.Budget), func(c slo.Count) bool { return c.Total > 0 })
		})
		if len(all[i].Groups) == 0 {
			all[i].Groups = nil
		}
	}
	return all
}

// TestLedgerEqualsRecount lets a ledger live through weeks of random ticks, with events that come late by minutes or by
// weeks, and compares every count of every tick with a recount over the minutes.
func TestLedgerEqualsRecount(t *testing.T) {
	t.Parallel()
	lives, ticks := 2, 5
	if testing.Short() {
		lives, ticks = 1, 3
	}
	compared, statements := 0, 0
	for seed := range lives {
		s, dsn := open(t)
		random := rand.New(rand.NewPCG(uint64(seed), 11))
		slos := defaults(t, "chat", "feed", "it's a \\ service", "absent")
		slos[1].Window, slos[2].Window, slos[7].Window = 28*24*time.Hour, 3*24*time.Hour, 35*24*time.Hour
		berlin, err := time.LoadLocation("Europe/Berlin")
		require.NoError(t, err)
		slos[3].Calendar = &slo.Calendar{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, berlin), Count: 1, Unit: "M"}
		slos[0].Calendar = &slo.Calendar{Start: time.Date(2026, 1, 5, 6, 45, 0, 0, time.UTC), Count: 1, Unit: "w"}
		every, err := slo.Load("testdata/valid/matrix.yaml")
		require.NoError(t, err)
		slos = append(slos, every...)
		grouped := 0
		for i := range slos {
			if len(slos[i].Grouping.By) > 0 {
				slos[i].Grouping.Max = 1 + seed%2 // of three tenants
				grouped++
			}
		}
		require.Greater(t, grouped, 3)
		for i := range 20 {
			slos[i].Indicator.Environment = []string{"", "production"}[i%2]
		}
		timing := slo.Timing{Scale: []int{1, 7}[seed%2]}
		ledger := slo.NewLedger(slos, timing)
		a := &asker{store: s}
		// The store forgets what is old by its own clock.
		asof := time.Now().Add(-20 * time.Hour)
		insertEvents(t, dsn, random, history(random, asof.Truncate(time.Minute), time.Minute, 34*24*time.Hour, 3000))
		for tick := range ticks {
			switch random.IntN(4) {
			case 0:
				asof = asof.Add(time.Duration(random.IntN(300)) * time.Minute)
			case 1: // midnight, and the minutes around it
				asof = asof.Truncate(24 * time.Hour).Add(time.Duration(23*60+58+random.IntN(4)) * time.Minute)
			default:
				asof = asof.Add(time.Minute)
			}
			if limit := time.Now(); asof.After(limit) {
				asof = limit.Add(-time.Duration(random.IntN(20)) * time.Hour)
			}
			if tick > 0 {
				late := history(random, asof.Truncate(time.Minute), time.Minute, 34*24*time.Hour, 8)
				insertEvents(t, dsn, random, late[:random.IntN(8)+1])
			}
			if random.IntN(5) == 0 {
				embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE rollup_1m FINAL")
			}
			var exclusions []slo.Exclusion
			if tick%2 == 1 {
				exclusions = excluding(random, asof, slos)
			}
			ledger.Exclude(exclusions)
			want := count(t, s, slo.Plan(slo.Exclude(slos, exclusions), asof, timing))
			a.asked = nil
			got, err := ledger.Count(t.Context(), asof, a.ask)
			require.NoError(t, err)
			require.Equal(t, counted(want), counted(got), "life %d, tick %d, as of %s", seed, tick, asof.UTC())
			compared += len(got) * 8 * 3
			statements += len(a.asked)
		}
	}
	t.Logf("%d counts are equal, with %d statements", compared, statements)
}

// TestLedgerSeesWhatComesBetweenItsTwoLooks: an insert after the partitions were looked at is counted by the day that is read
// then, or on the next tick, but never forgotten.
func TestLedgerSeesWhatComesBetweenItsTwoLooks(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(1, 2))
	slos := defaults(t, "chat", "feed")
	asof := time.Now().Truncate(time.Minute)
	insertEvents(t, dsn, random, history(random, asof, time.Minute, 30*24*time.Hour, 1000))
	ledger := slo.NewLedger(slos, slo.Timing{})
	a := &asker{store: s}
	for range 2 {
		n := 0
		a.before = func(sql string) {
			if n++; n <= 3 && !strings.Contains(sql, "system.parts") {
				insertEvents(t, dsn, random, history(random, asof, time.Minute, 30*24*time.Hour, 5))
			}
		}
		_, err := ledger.Count(t.Context(), asof, a.ask)
		require.NoError(t, err)
		a.before = nil
		got, err := ledger.Count(t.Context(), asof, a.ask)
		require.NoError(t, err)
		require.Equal(t, counted(count(t, s, slo.Plan(slos, asof, slo.Timing{}))), counted(got))
	}
}

// TestLedgerReadsNoClosedDayAgain unless something changed in it.
func TestLedgerReadsNoClosedDayAgain(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(3, 2))
	slos := defaults(t, "chat")
	asof := time.Now().Truncate(24 * time.Hour).Add(-time.Hour)
	at := func(age time.Duration) []row {
		r := history(random, asof, time.Minute, time.Hour, 1)
		r[0].at, r[0].dimensions["service"], r[0].dimensions["vantage"] = asof.Add(-age), "chat", "edge"
		r[0].count, r[0].judged = 7, 7
		return r
	}
	var all []row
	for d := range 30 {
		all = append(all, at(time.Duration(d)*24*time.Hour+2*time.Hour)...)
	}
	insertEvents(t, dsn, random, all)
	embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE rollup_1m FINAL")
	ledger := slo.NewLedger(slos, slo.Timing{})
	a := &asker{store: s}
	tick := func() (read time.Duration) {
		t.Helper()
		a.asked, asof = nil, asof.Add(time.Minute)
		got, err := ledger.Count(t.Context(), asof, a.ask)
		require.NoError(t, err)
		require.Equal(t, counted(count(t, s, slo.Plan(slos, asof, slo.Timing{}))), counted(got))
		for _, sql := range a.asked {
			for _, span := range regexp.MustCompile(`bucket >= toDateTime\((\d+)\) AND bucket < toDateTime\((\d+)\)`).FindAllStringSubmatch(sql, -1) {
				from, err := strconv.Atoi(span[1])
				require.NoError(t, err)
				to, err := strconv.Atoi(span[2])
				require.NoError(t, err)
				read += time.Duration(to-from) * time.Second
			}
		}
		return read
	}
	const cut, day = 10 * time.Hour, 24 * time.Hour // of each window an hour is cut
	require.Greater(t, tick(), 29*day, "the first tick reads all of it")
	require.Less(t, tick(), cut, "what windows cut")
	insertEvents(t, dsn, random, at(100*time.Minute))
	require.Less(t, tick(), cut+time.Hour, "a late event, and its hour")
	insertEvents(t, dsn, random, at(9*day))
	read := tick()
	require.Greater(t, read, day, "a late event, and its day")
	require.Less(t, read, cut+day)
	embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE rollup_15m FINAL")
	require.Less(t, tick(), cut, "a merge changes nothing")
	for _, table := range []string{"rollup_1m", "rollup_15m"} {
		embeddedtest.Exec(t, dsn, fmt.Sprintf("ALTER TABLE %s DELETE WHERE toDate(bucket) = toDate(toDateTime(%d)) SETTINGS mutations_sync = 1",
			table, asof.Add(-9*day).Unix()))
	}
	require.Greater(t, tick(), 20*day, "a mutation may change anything in its part")
	require.Less(t, tick(), cut)
}
