package slo_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/slo"
)

// exactChance is P(X ≥ bad) as a rational, for p = a/b.
func exactChance(bad, n, a, b int64) *big.Rat {
	sum := new(big.Int)
	for k := bad; k <= n; k++ {
		term := new(big.Int).Binomial(n, k)
		term.Mul(term, new(big.Int).Exp(big.NewInt(a), big.NewInt(k), nil))
		term.Mul(term, new(big.Int).Exp(big.NewInt(b-a), big.NewInt(n-k), nil))
		sum.Add(sum, term)
	}
	return new(big.Rat).SetFrac(sum, new(big.Int).Exp(big.NewInt(b), big.NewInt(n), nil))
}

// bigChance sums the tail with 512 bits; p = a/b. Only as many terms as matter to 30 digits.
func bigChance(bad, n uint64, a, b int64) float64 {
	const bits = 512
	number := func(x int64) *big.Float { return new(big.Float).SetPrec(bits).SetInt64(x) }
	of := func(x uint64) *big.Float { return new(big.Float).SetPrec(bits).SetUint64(x) }
	p := new(big.Float).SetPrec(bits).Quo(number(a), number(b))
	q := new(big.Float).SetPrec(bits).Sub(number(1), p)
	odds := new(big.Float).SetPrec(bits).Quo(p, q)
	term := number(1)
	for base, e := new(big.Float).Copy(q), n; e > 0; e >>= 1 {
		if e&1 == 1 {
			term.Mul(term, base)
		}
		base.Mul(base, base)
	}
	step := func(k uint64) { // from k to k+1
		term.Mul(term, of(n-k)).Quo(term, of(k+1)).Mul(term, odds)
	}
	for k := range bad {
		step(k)
	}
	sum := number(0)
	for k := bad; ; k++ {
		sum.Add(sum, term)
		if k == n || term.Sign() == 0 || sum.MantExp(nil)-term.MantExp(nil) > 100 {
			break
		}
		step(k)
	}
	f, _ := sum.Float64()
	return f
}

func near(t testing.TB, want, got float64, what ...any) {
	t.Helper()
	if want < 1e-300 {
		require.Less(t, got, 1e-299, what...)
		return
	}
	require.InEpsilon(t, want, got, 1e-9, what...)
}

func TestChanceEqualsRationals(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, p := range [][2]int64{{1, 1000}, {1, 100}, {5, 1000}, {1, 10}, {1, 2}, {7, 10}, {999, 1000}, {1, 1_000_000}} {
		for _, n := range []int64{1, 2, 7, 15, 16, 17, 60, 251} {
			for bad := int64(0); bad <= n+1; bad += 1 + n/40 {
				want, _ := exactChance(bad, n, p[0], p[1]).Float64()
				got := slo.Chance(uint64(bad), uint64(n), float64(p[0])/float64(p[1]))
				near(t, want, got, "P(X ≥ %d), n = %d, p = %d/%d", bad, n, p[0], p[1])
				compared++
			}
		}
	}
	t.Logf("%d chances agree", compared)
}

func TestChanceOfManyEvents(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		n    uint64
		a, b int64
		bad  []uint64
	}{
		{1_000_000, 1, 1000, []uint64{900, 1000, 1001, 1119, 1120, 1300, 2000}},
		{10_000_000, 1, 1000, []uint64{9_500, 10_001, 10_376, 10_800}},
		{1_000_000_000, 1, 100_000, []uint64{9_700, 10_001, 10_375, 11_000}},
		{1_000_000_000_000, 1, 100_000_000, []uint64{9_700, 10_001, 10_375, 11_000, 13_000}},
		{1_000_000_000_000, 1, 1_000_000_000_000, []uint64{1, 2, 7, 30}},
	} {
		for _, bad := range tc.bad {
			near(t, bigChance(bad, tc.n, tc.a, tc.b), slo.Chance(bad, tc.n, float64(tc.a)/float64(tc.b)),
				"P(X ≥ %d), n = %d, p = %d/%d", bad, tc.n, tc.a, tc.b)
		}
	}
	// Where even that is too long: a normal tail with its correction for skewness, good to a thousandth here.
	const n, p = 1e12, 1e-3
	deviation := math.Sqrt(n * p * (1 - p))
	for _, z := range []float64{1, 2, 3, 4} {
		bad := math.Ceil(n*p + z*deviation)
		at := (bad - 0.5 - n*p) / deviation
		skew := (1 - 2*p) / deviation
		want := math.Erfc(at/math.Sqrt2)/2 + skew/6*(at*at-1)*math.Exp(-at*at/2)/math.Sqrt(2*math.Pi)
		require.InEpsilon(t, want, slo.Chance(uint64(bad), n, p), 1e-6, "z = %v", z)
	}
}

// The chance falls with every further bad event.
func TestChanceIsATail(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 1_000_000_000_000).Draw(t, "n")
		p := rapid.Float64Range(1e-9, 0.5).Draw(t, "p")
		z := rapid.Float64Range(-6, 6).Draw(t, "z")
		deviation := math.Sqrt(float64(n)*p*(1-p)) + 1
		bad := uint64(max(1, min(float64(n), float64(n)*p+z*deviation)))
		chance := slo.Chance(bad, n, p)
		if chance < 0 || chance > 1 || math.IsNaN(chance) {
			t.Fatalf("P(X ≥ %d) = %v", bad, chance)
		}
		if next := slo.Chance(bad+1, n, p); next > chance*(1+1e-9) {
			t.Fatalf("P(X ≥ %d) = %v, and of one more %v", bad, chance, next)
		}
	})
}

// TestGuardNeedsMoreThanAnAccident finds the least number of bad events of an hour that pages.
func TestGuardNeedsMoreThanAnAccident(t *testing.T) {
	t.Parallel()
	least := func(s *slo.SLO, n uint64) uint64 {
		for bad := uint64(1); bad <= n; bad++ {
			if slo.Evaluate(s, epoch, same(s, n-bad, n, n), true).Rules[0].Firing {
				return bad
			}
		}
		return 0
	}
	guarded := plain(t, "0.999")
	naive := guarded
	naive.Unguarded = true
	for _, tc := range []struct{ n, naive, guarded uint64 }{
		{7, 1, 2}, {60, 1, 3}, {100, 2, 4}, {300, 5, 5}, {500, 8, 8}, {600, 9, 9}, {601, 9, 9}, {1_000, 15, 15}, {5_000, 73, 73},
	} {
		require.Equal(t, tc.naive, least(&naive, tc.n), "naive, %d events", tc.n)
		require.Equal(t, tc.guarded, least(&guarded, tc.n), "guarded, %d events", tc.n)
	}
	for n := uint64(600); n <= 3_000; n += 7 {
		require.Equal(t, least(&naive, n), least(&guarded, n), "%d events", n)
	}
}

func TestAGuardedRuleSaysSo(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	st := slo.Evaluate(&s, epoch, same(&s, 6, 7, 7), true)
	require.Equal(t, slo.SeverityNone, st.Severity)
	require.True(t, st.Rules[0].Guarded)
	require.InEpsilon(t, 1-math.Pow(0.999, 7), st.Rules[0].Chance, 1e-9)
	st = slo.Evaluate(&s, epoch, same(&s, 5, 7, 7), true)
	require.Equal(t, slo.SeverityPage, st.Severity)
	require.False(t, st.Rules[0].Guarded)
}

func BenchmarkGuard(b *testing.B) {
	s := plain(b, "0.999")
	counts := same(&s, 1e12-1e9-120_000, 1e12, 1e12) // the worst place: just above, and near the limit
	for b.Loop() {
		slo.Evaluate(&s, epoch, counts, true)
	}
}
