package slo

import "math"

// guardChance is how unlikely the bad events of a rule's long window must be, if the service just kept its objective,
// for the rule to fire.
const guardChance = 1e-4

// Chance returns P(X ≥ bad) for X binomial with n trials of probability p: how likely so many bad events are by chance
// where the share of bad ones is p. Its relative error is below 1e-9 for n up to 1e12, except that a chance below
// 1e-300 may be returned as 0.
func Chance(bad, n uint64, p float64) float64 {
	switch {
	case bad == 0 || p >= 1:
		return 1
	case bad > n || p <= 0:
		return 0
	case float64(bad) > (float64(n)+1)*p:
		return upperTail(bad, n, p, 1-p, 0)
	}
	// Not beyond the mode: the other tail is the one whose terms fall. P(X ≥ bad) = 1 − P(n−X ≥ n−bad+1).
	return 1 - upperTail(n-bad+1, n, 1-p, p, 0)
}

// unlikely reports whether Chance(bad, n, p) < limit, in few steps where the answer is plain.
func unlikely(bad, n uint64, p, limit float64) bool {
	if bad == 0 || p >= 1 || bad <= n && float64(bad) <= (float64(n)+1)*p {
		return false // at or below the mode the chance is at least a quarter
	}
	if bad > n || p <= 0 {
		return true
	}
	return upperTail(bad, n, p, 1-p, limit) < limit
}

// upperTail sums P(X = k) for k = bad … n, which fall from term to term as bad is above the mode: by less and less of what
// is left, so the last term bounds the rest by a geometric series. If limit is not 0, it stops as soon as the sum is
// known to be on one side of it. q is 1 − p; whoever swaps the two has both without rounding one twice.
func upperTail(bad, n uint64, p, q, limit float64) float64 {
	odds := p / q
	first := mass(bad, n, p, q)
	term, sum := 1.0, 0.0 // in units of the first, which may be tiny
	for k := bad; ; k++ {
		sum += term
		ratio := float64(n-k) / float64(k+1) * odds
		rest := term * ratio / (1 - ratio)
		if k == n || rest < sum*1e-16 {
			return first * sum
		}
		if limit > 0 && (first*sum >= limit || first*(sum+rest) < limit) {
			return first * sum
		}
		term *= ratio
	}
}

// mass is P(X = k) by C. Loader's saddle-point form (Fast and Accurate Computation of Binomial Probabilities, 2000): the
// logarithms of factorials would cancel, and at n = 1e12 leave three digits.
func mass(k, n uint64, p, q float64) float64 {
	if k == n {
		return math.Exp(float64(n) * math.Log1p(-q))
	}
	x, m, y := float64(k), float64(n), float64(n-k)
	exponent := stirlingError(m) - stirlingError(x) - stirlingError(y) - deviance(x, m*p) - deviance(y, m*q)
	return math.Exp(exponent) * math.Sqrt(m/(2*math.Pi*x*y))
}

// stirlingError is log(x!) − log(√(2πx)·(x/e)^x).
func stirlingError(x float64) float64 {
	if x < 16 {
		lgamma, _ := math.Lgamma(x + 1)
		return lgamma - (x+0.5)*math.Log(x) + x - 0.5*math.Log(2*math.Pi)
	}
	xx := x * x
	return (1.0/12 - (1.0/360-(1.0/1260-(1.0/1680-1.0/1188/xx)/xx)/xx)/xx) / x
}

// deviance is x·log(x/mean) + mean − x, without cancellation where x is near the mean.
func deviance(x, mean float64) float64 {
	d := x - mean
	if math.Abs(d) >= 0.1*(x+mean) {
		return x*math.Log(x/mean) - d
	}
	v := d / (x + mean)
	sum, odd := d*v, 2*x*v
	for j := 3.0; ; j += 2 {
		odd *= v * v
		next := sum + odd/j
		if next == sum {
			return sum
		}
		sum = next
	}
}
