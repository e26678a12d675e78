package slo_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// shapes are SLOs of every budgeting method, measure, window and kind of group, and composites of them.
func shapes(t testing.TB) []slo.SLO {
	t.Helper()
	all, err := slo.Load("testdata/valid/matrix.yaml")
	require.NoError(t, err)
	shipped, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, AuthVantage: "app", Indicators: indicatorNames(t)})
	require.NoError(t, err)
	return append(all, shipped...)
}

// excludingEach draws an exclusion for each SLO that takes out much of its last day, and of some the time of now.
func excludingEach(random *rand.Rand, asof time.Time, slos []slo.SLO) []slo.Exclusion {
	var exclusions []slo.Exclusion
	from, until := asof.Add(-time.Duration(20*60+random.IntN(120))*time.Minute), asof.Add(-time.Duration(5+random.IntN(20))*time.Minute)
	for i := range slos {
		e := slo.Exclusion{Service: slos[i].Service, SLO: slos[i].Name, From: from.Truncate(time.Minute), To: until.Truncate(time.Minute)}
		if i%3 == 0 {
			e.To = asof.Add(time.Hour).Truncate(time.Minute)
		}
		exclusions = append(exclusions, e)
	}
	return exclusions
}

// TestLedgerCountsEveryShapeAsARecount lets a ledger go from tick to tick while late events come, and compares every count
// with a recount of all minutes, at which the reference of [TestWideSQLEqualsReference] is aimed.
func TestLedgerCountsEveryShapeAsARecount(t *testing.T) {
	t.Parallel()
	slos := shapes(t)
	timings, ticks := []slo.Timing{{Resolution: 10 * time.Second, Scale: 60}, {}}, 3
	if os.Getenv("SOCKEYE_EQUALITY") == "full" {
		ticks = 12
	} else {
		timings = timings[:1]
	}
	compared, looked, less := 0, 0, 0
	for seed, timing := range timings {
		random := rand.New(rand.NewPCG(uint64(seed), 23))
		s, dsn := open(t)
		// The store forgets what is old by its own clock.
		asof := time.Now().UTC().Add(-3 * time.Hour)
		events := facts(random, asof.Add(2*time.Hour), 1700)
		// What is of after now has not come yet, and of what came before some comes late.
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		require.True(t, slices.ContainsFunc(events, func(f fact) bool { return f.at > asof.Unix()+3600 }))
		come := func(n int) {
			n = min(n, len(events))
			insertFacts(t, dsn, events[:n])
			events = events[n:]
		}
		come(1200)
		ledger := slo.NewLedger(slos, timing)
		a := &asker{store: s}
		var whole []uint64
		for tick := range ticks {
			switch {
			case tick == 1:
				asof = asof.Add(10 * time.Second)
			case tick > 1:
				asof = asof.Add(time.Duration(random.IntN(40)) * time.Minute)
				come(40)
			}
			if random.IntN(3) == 0 {
				embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE rollup_15m FINAL")
			}
			var exclusions []slo.Exclusion
			if tick%2 == 1 {
				exclusions = append(excluding(random, asof, slos), excludingEach(random, asof, slos)...)
			}
			ledger.Exclude(exclusions)
			want := count(t, s, slo.Plan(slo.Exclude(slos, exclusions), asof, timing))
			got, err := ledger.Count(t.Context(), asof, a.ask)
			require.NoError(t, err)
			require.Len(t, got, len(slos))
			want, got = counted(want), counted(got)
			for i := range slos {
				// A calendar's window may have begun after what is excluded.
				if total := got[i].Budget.Total; tick == 0 {
					whole = append(whole, total)
				} else if tick == 1 && whole[i] > 0 && slos[i].Calendar == nil {
					// What is excluded of a few events may be none of them, by the hour at which the test runs.
					require.LessOrEqual(t, total, whole[i], slos[i].Name)
					looked++
					if total < whole[i] {
						less++
					}
				}
				require.Equal(t, want[i], got[i], "%s, seed %d, tick %d, as of %s", slos[i].Name, seed, tick, asof)
				compared += 8 * 3 * (1 + len(want[i].Groups) + len(want[i].Members))
			}
		}
	}
	require.Greater(t, less, looked*2/3, "exclusions leave something out")
	t.Logf("%d counts of %d SLOs are equal", compared, len(slos))
}
