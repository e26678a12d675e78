package slo

import (
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
)

// judge returns what a whole slice counts for, as [SLO.judgement] does in the store; nil where events count by themselves.
func (s *SLO) judge() func(tally) tally {
	if s.slice() == 0 {
		return nil
	}
	hit, unit := s.within(), uint64(1)
	if s.Budgeting.Method == RatioTimeslices {
		unit = ratioUnit
	}
	return func(t tally) tally {
		var c tally
		if t.totals > 0 {
			c.totals = unit
		}
		if t.judgeds > 0 {
			c.judgeds, c.hits = unit, hit(t)
		}
		return c
	}
}

// within returns what a slice in which something was judged has of a unit that is good.
func (s *SLO) within() func(tally) uint64 {
	one := func(good bool) uint64 {
		if good {
			return 1
		}
		return 0
	}
	in := &s.Indicator
	signs := map[Operator][]int{
		LessThan: {-1}, LessOrEqual: {-1, 0}, GreaterThan: {1}, GreaterOrEqual: {0, 1},
	}[in.Limit.Op]
	if in.Measure.ofRates() {
		limit, _ := strconv.ParseFloat(in.Limit.Value.String(), 64)
		return func(t tally) uint64 {
			v := math.Float64frombits(t.hits)
			sign := 0
			if v < limit {
				sign = -1
			} else if v > limit {
				sign = 1
			}
			return one(!math.IsNaN(v) && slices.Contains(signs, sign))
		}
	}
	if in.Measure != "" {
		limit := in.Limit.Value
		if limit.rat == nil {
			limit = rat(new(big.Rat))
		}
		num, den := new(big.Int).Set(limit.rat.Num()), new(big.Int).Set(limit.rat.Denom())
		if in.Measure == MeasureChurn {
			den.Mul(den, big.NewInt(3600)) // by the hour
		}
		h, j := new(big.Int), new(big.Int)
		return func(t tally) uint64 {
			h.SetUint64(t.hits)
			j.SetUint64(t.judgeds)
			if in.Measure == MeasureCount {
				j.SetUint64(1)
			}
			return one(slices.Contains(signs, h.Mul(h, den).Cmp(j.Mul(j, num))))
		}
	}
	// Both below 2^64, as the target is at most 1 and has 12 decimals.
	num, den := s.Budgeting.SliceTarget.ratio()
	return func(t tally) uint64 {
		hits := min(t.hits, t.judgeds)
		if in.HitIsBad {
			hits = t.judgeds - hits
		}
		if s.Budgeting.Method == RatioTimeslices {
			high, low := bits.Mul64(hits, ratioUnit)
			part, _ := bits.Div64(high, low, t.judgeds)
			return part
		}
		high, low := bits.Mul64(hits, den)
		floor, least := bits.Mul64(t.judgeds, num)
		return one(high > floor || high == floor && low >= least)
	}
}

// ratio returns numerator and denominator of a number between 0 and 1.
func (n Number) ratio() (num, den uint64) {
	if n.rat == nil {
		return 0, 1
	}
	return n.rat.Num().Uint64(), n.rat.Denom().Uint64()
}
