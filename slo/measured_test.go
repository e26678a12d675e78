package slo_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

// TestWhatWasMeasured compares it with what going through the events gives, of every SLO with a threshold.
func TestWhatWasMeasured(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("testdata/valid/matrix.yaml")
	require.NoError(t, err)
	slos = append(slos, defaults(t, "chat")...)
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(5, 6))
	asof := slo.Timing{}.AsOf(time.Now().UTC())
	all := facts(random, asof, 4000)
	slices.SortStableFunc(all, func(a, b fact) int { return int(a.at - b.at) })
	insertFacts(t, dsn, all)
	durations, values := 0, 0
	for i, exclusions := range [][]slo.Exclusion{nil, excluding(random, asof, slos)} {
		r := referee{facts: all, asof: asof.Unix(), exclusions: exclusions}
		for _, of := range slo.Exclude(slos, exclusions) {
			sql := slo.SelectMeasured(&of, asof)
			if len(of.Members) > 0 || of.Indicator.Threshold == 0 && of.Indicator.Measure == "" {
				require.Empty(t, sql, of.Name)
				continue
			}
			rows, err := s.Conn().Query(t.Context(), sql)
			require.NoError(t, err, "%s\n%s", of.Name, sql)
			got, err := slo.ReadMeasured(rows, &of)
			require.NoError(t, err, of.Name)
			require.NoError(t, rows.Close())
			if got == nil {
				got = &slo.Measured{}
			}
			if of.Indicator.Threshold != 0 {
				durations += r.requireQuantiles(t, &of, got)
				continue
			}
			slice := sliceOf(&of)
			var want []slo.Slice
			end := asof.Unix() / slice * slice
			for at := end - (3600+slice-1)/slice*slice; at < end; at += slice {
				facts := slices.DeleteFunc(slices.Clone(r.between(at, at+slice)), func(f fact) bool { return !concerns(&of, f) || r.excluded(&of, f.at, slice) })
				if v, seen := value(&of, facts); seen && v != nil {
					f, _ := v.Float64()
					want = append(want, slo.Slice{At: time.Unix(at, 0).UTC(), Value: f})
				}
			}
			require.Len(t, got.Slices, len(want), "%s, %d", of.Name, i)
			for k := range want {
				require.WithinDuration(t, want[k].At, got.Slices[k].At, 0, of.Name)
				// The sketches are exact to 1 %.
				require.InEpsilon(t, want[k].Value+1, got.Slices[k].Value+1, 0.011, of.Name)
				values++
			}
		}
	}
	require.Greater(t, durations, 3)
	require.Greater(t, values, 50) // how many depends on the hour of the day
}

// requireQuantiles compares quantiles with the durations themselves: each is between its bounds, and next to none is neither.
func (r *referee) requireQuantiles(t *testing.T, s *slo.SLO, got *slo.Measured) int {
	t.Helper()
	step := budgetStep(s)
	from, to := r.budget(s)
	if step >= 900 && s.Window > 35*24*time.Hour {
		return 0 // by the quarter of an hour, which begins before
	}
	var durations []float64
	for _, f := range r.between(from, to) {
		if concerns(s, f) && !r.excluded(s, f.at, step) && selects(s.Indicator.Total, f) && f.duration >= 0 {
			durations = append(durations, slices.Repeat([]float64{f.duration}, int(f.count))...)
		}
	}
	require.EqualValues(t, len(durations), got.Judged, s.Name)
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	require.Len(t, got.Quantiles, 3)
	for _, q := range got.Quantiles {
		exact := durations[(q.Percent*len(durations)+99)/100-1]
		require.Greater(t, exact, q.Above, "%s: p%d", s.Name, q.Percent)
		require.NotNil(t, q.Within)
		require.LessOrEqual(t, exact, *q.Within, "%s: p%d", s.Name, q.Percent)
		require.Greater(t, *q.Estimate, q.Above)
		require.LessOrEqual(t, *q.Estimate, *q.Within)
	}
	return len(got.Quantiles)
}
