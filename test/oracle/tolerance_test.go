package oracle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

// scrape is how often the counters of these tests are scraped.
const scrape = 15 * time.Second

// TestScrapedCountersStayWithinTheTolerance: what rules count of scraped counters, against the truth, through restarts of the
// collector every two hours: with a storage, where counters go on, and without, where they begin anew and what was not scraped is lost.
// docs/prometheus.md states the tolerance.
func TestScrapedCountersStayWithinTheTolerance(t *testing.T) {
	t.Parallel()
	tolerance := map[string]float64{"5m": 0.15, "30m": 0.05, "1h": 0.025, "2h": 0.015, "6h": 0.01, "1d": 0.005}
	for name, storage := range map[string]bool{"with a storage": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test wants the same numbers again
			type moment struct{ good, bad float64 }
			const steps = int(26 * time.Hour / scrape)
			const restart, down, held = int(2 * time.Hour / scrape), 2, 4
			truth := make([]moment, steps+1) // summed
			series := map[string][]sample{}
			var base moment // what a counter that began anew does not have
			began := 0
			for i := 1; i <= steps; i++ {
				bad := 0.0
				for range 100 {
					if random.Float64() < 0.02 {
						bad++
					}
				}
				truth[i] = moment{truth[i-1].good + 80 + float64(random.IntN(40)) - bad, truth[i-1].bad + bad}
				if i%restart < down && i >= restart {
					if i%restart == 0 && !storage {
						base, began = truth[i], i+down
					}
					continue // nobody answers
				}
				shown := moment{truth[i].good - base.good, truth[i].bad - base.bad}
				if !storage && i < began+held || i < held {
					shown = moment{} // a new series is zero for a minute
				}
				at := begin.Add(time.Duration(i) * scrape)
				series[openSeries] = append(series[openSeries], sample{at, shown.good})
				series[failedSeries] = append(series[failedSeries], sample{at, shown.bad})
			}
			p := newProm(t)
			p.add(series)
			s := availability(t)
			worst, worstRatio := map[string]float64{}, map[string]float64{}
			for _, w := range slo.BurnWindows() {
				limit, checked := tolerance[w.Name]
				if !checked {
					continue
				}
				q, err := s.PromQL(w.Length, slo.Counters, "")
				require.NoError(t, err)
				first := int(w.Length/scrape) + restart/2
				for range 60 {
					i := first + random.IntN(steps-first+1)
					if i%restart < down+held && i >= restart {
						i -= down + held // while it restarts nothing is known, and right after it little
					}
					at := begin.Add(time.Duration(i) * scrape)
					from := truth[i-int(w.Length/scrape)]
					judged, known := p.query(q.Judged, at)
					require.True(t, known)
					bad, known := p.query(q.Bad, at)
					require.True(t, known)
					trueBad := truth[i].bad - from.bad
					trueJudged := trueBad + truth[i].good - from.good
					off := math.Abs(judged-trueJudged) / trueJudged
					worst[w.Name] = max(worst[w.Name], off)
					worstRatio[w.Name] = max(worstRatio[w.Name], math.Abs(bad/judged-trueBad/trueJudged))
					require.LessOrEqual(t, off, limit, "%s at step %d: %v of %v", w.Name, i, judged, trueJudged)
				}
			}
			text := ""
			for _, w := range slo.BurnWindows() {
				if _, checked := tolerance[w.Name]; checked {
					text += fmt.Sprintf("%s: counts off by %.2f %%, the ratio by %.4f percentage points\n", w.Name, 100*worst[w.Name],
						100*worstRatio[w.Name])
				}
			}
			t.Log("\n" + text)
		})
	}
}
