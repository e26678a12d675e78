package slo_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

func TestPromQL(t *testing.T) {
	t.Parallel()
	wide, err := os.ReadFile("testdata/valid/wide.yaml")
	require.NoError(t, err)
	slos, err := slo.Parse(slo.Source{Name: "wide.yaml", Data: wide})
	require.NoError(t, err)
	shipped, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Environment: "production"})
	require.NoError(t, err)
	var b strings.Builder
	for _, s := range append(shipped, slos...) {
		fmt.Fprintf(&b, "%s of %s\n", s.Name, s.Service)
		q, err := s.PromQL(5*time.Minute, slo.Counters, "J")
		if err != nil {
			fmt.Fprintf(&b, "  not written: %v\n\n", err)
			continue
		}
		fmt.Fprintf(&b, "  total  %s\n  judged %s\n  bad    %s\n", q.Total, q.Judged, q.Bad)
		q, err = s.PromQL(5*time.Minute, slo.Buckets, "J")
		require.NoError(t, err)
		fmt.Fprintf(&b, "  bad of buckets %s\n\n", q.Bad)
	}
	golden.Assert(t, "testdata/promql.golden", []byte(b.String()))
}

func TestEveryDimensionHasALabel(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range schema.Dimensions() {
		require.NotEmpty(t, slo.PromLabel(d), d)
		require.False(t, seen[slo.PromLabel(d)], d)
		seen[slo.PromLabel(d)] = true
	}
}

func TestPromDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		72 * time.Hour: "3d", 90 * time.Minute: "90m", 2 * time.Hour: "2h", 5 * time.Second: "5s", time.Minute - time.Millisecond: "59999ms",
	} {
		require.Equal(t, want, slo.PromDuration(d))
	}
	require.Equal(t, "299999ms", slo.PromHalfOpen(5*time.Minute))
}

// TestTheGuardAsATable: wherever a rule asks it, the table answers as the binomial does; where it is endless, what approximates it
// is wrong only within a tenth of the chance that is the limit.
func TestTheGuardAsATable(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test wants the same numbers again
	for _, objective := range []string{"90", "99", "99.5", "99.9", "99.99"} {
		document := strings.ReplaceAll(guarded, "OBJECTIVE", objective)
		slos, err := slo.Parse(slo.Source{Name: "guard.yaml", Data: []byte(document)})
		require.NoError(t, err)
		s := &slos[0]
		budget := s.Budget().Float64()
		for _, text := range []string{"14.4", "6", "3", "2", "1"} {
			burn, err := slo.Decimal(text)
			require.NoError(t, err)
			if burn.Float64()*budget >= 1 {
				continue // no rule may have it
			}
			steps, endless := s.GuardSteps(burn)
			require.Equal(t, text == "1", endless, "objective %s, burn %s", objective, text)
			asked, refused := 0, 0
			for range 20_000 {
				bad := uint64(random.IntN(60)) + 1
				if random.IntN(4) == 0 {
					bad = uint64(random.IntN(5000)) + 1
				}
				judged := bad + uint64(random.Float64()*float64(bad)/budget/burn.Float64())
				if float64(bad)/float64(judged) <= burn.Float64()*budget {
					continue // the rule does not ask
				}
				chance := slo.Chance(bad, judged, budget)
				allowed := uint64(0)
				for _, step := range steps {
					if bad >= step.Bad {
						allowed = step.Judged
					}
				}
				if last := steps[len(steps)-1]; endless && bad > last.Bad {
					if math.Abs(chance-1e-4) < 1e-5*3 {
						continue // too near to the limit for the approximation
					}
					k := float64(bad)
					allowed = max(allowed, uint64(k*math.Pow(1-1/(9*k)-1.239672/math.Sqrt(k), 3)/budget))
					if budget > 0.02 {
						continue // a Poisson distribution is wider than the binomial: the table is stricter than need be
					}
				}
				require.Equal(t, chance < 1e-4, judged <= allowed, "objective %s, burn %s: %d of %d, chance %g", objective, text, bad,
					judged, chance)
				asked++
				if judged > allowed {
					refused++
				}
			}
			require.Greater(t, asked, 1000)
			require.NotZero(t, refused)
		}
	}
}

const guarded = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: guarded, annotations: {sockeye/alerts: none}}
spec:
  service: chat
  indicator:
    metadata: {name: guarded}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}]}}}
        total: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}, {event: websocket.error}]}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: OBJECTIVE}]
`
