package slo_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// TestWhatBurnedIsWhatTheMinutesSay compares with a recount of minutes what is read by the quarter of an hour, of which
// exclusions leave out whole ones, parts, and all but a minute in the middle.
func TestWhatBurnedIsWhatTheMinutesSay(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(4, 7))
	asof := time.Now().Truncate(24 * time.Hour).Add(-7*time.Hour - 26*time.Minute - 20*time.Second)
	end := asof.Truncate(time.Minute)
	rows := history(random, end, time.Minute, 34*24*time.Hour, 6000)
	insert(t, dsn, schema.Rollup1m, rows)
	quarters(t, dsn)
	slos := defaults(t, "chat")
	for i := range 2 * len(slos) {
		o := slos[i%len(slos)]
		o.Window = []time.Duration{3 * 24 * time.Hour, 90 * 24 * time.Hour}[i/len(slos)]
		slos = append(slos, o)
	}
	begin := end.Truncate(time.Hour)
	out := func(from, to time.Duration) slo.Exclusion {
		return slo.Exclusion{Service: "chat", From: begin.Add(from), To: begin.Add(to)}
	}
	exclusions := []slo.Exclusion{
		out(-3*time.Hour-8*time.Minute, -3*time.Hour-time.Minute),                    // within a quarter
		out(-2*time.Hour-8*time.Minute, -2*time.Hour+3*time.Minute),                  // of two
		out(-65*time.Minute, -53*time.Minute), out(-52*time.Minute, -31*time.Minute), // all but a minute
		out(-30*time.Hour-time.Minute, -26*time.Hour), out(-28*time.Hour, -27*time.Hour), // one within the other
		out(-31*24*time.Hour, -30*24*time.Hour+42*time.Minute), // where a window begins
		out(4*time.Minute, time.Hour),                          // up to now
	}
	differ, compared := 0, 0
	for _, excluded := range [][]slo.Exclusion{nil, exclusions} {
		for _, o := range slo.Exclude(slos, excluded) {
			step, end := time.Minute, end
			if o.Window > 35*24*time.Hour {
				step = 15 * time.Minute
				end = end.Truncate(step)
			}
			counting := slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
				return slices.ContainsFunc(excluded, func(e slo.Exclusion) bool {
					return !r.at.Before(e.From.Truncate(step)) && r.at.Truncate(step).Before(e.To)
				})
			})
			bad := func(rows []row) uint64 {
				c := reference(&o, rows, end, o.Window)
				return uint64(max(0, int64(c.Judged-c.Good)))
			}
			if len(counting) < len(rows) && bad(counting) != bad(rows) {
				differ++
			}
			want := []slo.Burned{}
			for _, dimension := range []string{schema.ErrorType, schema.Tenant, schema.Region} {
				of := map[string][]row{}
				for _, r := range counting {
					of[r.dimensions[dimension]] = append(of[r.dimensions[dimension]], r)
				}
				from := len(want)
				for value, rows := range of {
					if n := bad(rows); n > 0 {
						want = append(want, slo.Burned{Dimension: dimension, Value: value, Bad: n})
					}
				}
				slices.SortFunc(want[from:], func(a, b slo.Burned) int {
					return cmp.Or(-cmp.Compare(a.Bad, b.Bad), strings.Compare(a.Value, b.Value))
				})
			}
			sql := slo.SelectBurned(&o, asof, 100)
			answer, err := s.Conn().Query(context.Background(), sql)
			require.NoError(t, err)
			st := slo.Evaluate(&o, asof, slo.Counts{}, true)
			got, err := slo.ReadBurned(answer, &st)
			require.NoError(t, err)
			require.NoError(t, answer.Close())
			for i := range got {
				got[i].Share, got[i].Spent = slo.Number{}, slo.Number{}
			}
			require.Equal(t, want, got, "%s over %s: %s", o.Name, o.Window, sql)
			compared += len(got)
		}
	}
	require.Greater(t, differ, 5, "exclusions must leave out something")
	require.Greater(t, compared, 40)
}
