package slo

import (
	"fmt"
	"math/big"
)

// Step is one step of the guard as a table: with at least Bad bad events, a rule may fire if no more than Judged were
// judged.
type Step struct{ Bad, Judged uint64 }

// Limits of [SLO.GuardSteps].
const (
	// maxSteps is how long the table may become.
	maxSteps = 40
	// always is a number of events that no window reaches.
	always = 1_000_000_000_000
)

// Guarded reports whether few bad events may be taken for an accident.
func (s *SLO) Guarded() bool { return !s.Unguarded && s.countsEvents() }

// GuardSteps writes the guard for low traffic as a table, for those who cannot compute binomials: bad events are too
// many for an accident if the last step whose Bad they reach allows as many judged ones. It is exact where burn rates
// above burn are concerned: others never ask. endless says that the table ends although more bad events need a guard
// still, as with burn rates near 1; they are then to be approximated.
func (s *SLO) GuardSteps(burn Number) (steps []Step, endless bool) {
	budget := s.Budget().Float64()
	if !s.Guarded() {
		return []Step{{0, always}}, false
	}
	// needless: whoever burns that fast with k bad events has so few judged ones that the guard allows them.
	needless := func(k, most uint64) bool {
		fewer := new(big.Rat).Quo(new(big.Rat).SetInt(new(big.Int).SetUint64(k)), new(big.Rat).Mul(burn.rat, s.budget()))
		return new(big.Rat).SetInt(new(big.Int).SetUint64(most+1)).Cmp(fewer) >= 0
	}
	for k := uint64(1); len(steps) < maxSteps; k++ {
		most := s.mostJudged(k, budget)
		if needless(k, most) && needless(k+1, s.mostJudged(k+1, budget)) {
			return append(steps, Step{k, always}), false
		}
		steps = append(steps, Step{k, most})
	}
	return steps, true
}

// mostJudged is the largest n for which k bad events of n are unlikely, or 0.
func (s *SLO) mostJudged(k uint64, budget float64) uint64 {
	if !unlikely(k, k, budget, guardChance) {
		return 0
	}
	low, high := k, 2*k
	for high < always && unlikely(k, high, budget, guardChance) {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if middle := low + (high-low)/2; unlikely(k, middle, budget, guardChance) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// GuardTail is the table's end where it is endless, as PromQL: how many judged events so many bad ones allow, by
// Wilson's and Hilferty's approximation of the Poisson distribution. bad is an expression.
func (s *SLO) GuardTail(bad string) string {
	return fmt.Sprintf("%[1]s * (1 - 1 / (9 * %[1]s) - %[2]s / sqrt(%[1]s)) ^ 3 / %[3]s", bad, guardQuantile,
		decimal(s.budget()))
}

// guardQuantile is a third of the normal quantile of guardChance.
const guardQuantile = "1.239672"
