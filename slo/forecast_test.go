package slo_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

// poisson draws by summing exponential waits, or for many by the normal.
func poisson(random *rand.Rand, mean float64) uint64 {
	if mean > 500 {
		return uint64(max(0, math.Round(mean+random.NormFloat64()*math.Sqrt(mean))))
	}
	n := uint64(0)
	for sum := random.ExpFloat64(); sum < mean; sum += random.ExpFloat64() {
		n++
	}
	return n
}

// TestForecastCovers simulates services that burn their budget, asks for a forecast after three days, and lets the same
// process go on until the budget is spent. The interval has to hold that moment as often as it says.
func TestForecastCovers(t *testing.T) {
	t.Parallel()
	const step = 5 * time.Minute
	for name, tc := range map[string]struct {
		perDay float64 // bad events
		burst  float64 // bad events come in bursts of so many on average
		budget uint64  // bad events that are left
		least  float64
	}{
		"few failures":                  {perDay: 20, burst: 1, budget: 100, least: 0.85},
		"a steady burn":                 {perDay: 2000, burst: 1, budget: 8_000, least: 0.85},
		"much, and nearly all is spent": {perDay: 50_000, burst: 1, budget: 20_000, least: 0.85},
		"small bursts":                  {perDay: 2000, burst: 5, budget: 10_000, least: 0.75},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(5, 8))
			draw := func() uint64 {
				bursts := poisson(random, tc.perDay/tc.burst*step.Hours()/24)
				if tc.burst == 1 {
					return bursts
				}
				n := uint64(0)
				for range bursts {
					n += 1 + uint64(random.ExpFloat64()*(tc.burst-1))
				}
				return n
			}
			const histories = 400
			covered, forecast, early, late := 0, 0, 0, 0
			s := plain(t, "0.999")
			for range histories {
				var bad []uint64
				for range int(72 * time.Hour / step) {
					bad = append(bad, draw())
				}
				q := slo.Plan([]slo.SLO{s}, epoch, slo.Timing{})
				c := q.Nothing()[0]
				for i, w := range c.Windows {
					sum := uint64(0)
					for _, b := range bad[len(bad)-int(w.Length/step):] {
						sum += b
					}
					c.Windows[i].Judged = 1_000_000_000
					c.Windows[i].Total, c.Windows[i].Good = c.Windows[i].Judged, c.Windows[i].Judged-sum
				}
				c.Budget.Judged, c.Budget.Total = 1e12, 1e12
				c.Budget.Good = 1e12 - (1e9 - tc.budget) // of a billion bad events, so many are left
				st := slo.Evaluate(&s, epoch, c, true)
				f, ok := slo.NewForecast(&s, &st)
				require.True(t, ok)
				forecast++
				spent, at := uint64(0), epoch
				for spent < tc.budget {
					spent += draw()
					at = at.Add(step)
				}
				switch {
				case at.Before(f.Earliest):
					early++
				case !f.Latest.IsZero() && at.Add(-step).After(f.Latest):
					late++
				default:
					covered++
				}
			}
			share := float64(covered) / float64(forecast)
			t.Logf("%.1f %% of %d exhaustions within the interval; %d before, %d after", 100*share, forecast, early, late)
			require.GreaterOrEqual(t, share, tc.least)
		})
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	with := func(bad, budgetBad uint64) slo.Status {
		c := same(&s, 1_000_000, 1_000_000, 1_000_000)
		for i, w := range c.Windows {
			c.Windows[i].Good -= bad * uint64(w.Length/time.Minute) / 4320
		}
		c.Budget.Good -= budgetBad
		return slo.Evaluate(&s, epoch, c, true)
	}
	for name, st := range map[string]slo.Status{
		"nothing burns":    with(0, 100),
		"nothing is left":  with(300, 1000),
		"nothing is known": slo.Evaluate(&s, epoch, same(&s, 990, 1000, 1000), false),
	} {
		_, ok := slo.NewForecast(&s, &st)
		require.False(t, ok, name)
	}
	st := with(432, 568) // 432 bad events in three days, 432 left
	f, ok := slo.NewForecast(&s, &st)
	require.True(t, ok)
	require.WithinDuration(t, epoch.Add(72*time.Hour), f.Expected, time.Second)
	require.True(t, f.Earliest.Before(f.Expected) && f.Earliest.After(epoch.Add(48*time.Hour)), f.Earliest)
	require.True(t, f.Latest.After(f.Expected), f.Latest)

	// A calendar's next period has a budget of its own.
	s.Calendar = &slo.Calendar{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Count: 1, Unit: "d"}
	_, ok = slo.NewForecast(&s, &st)
	require.False(t, ok, "the day ends before")
}
