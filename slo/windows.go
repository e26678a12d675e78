package slo

import (
	"fmt"
	"math/big"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Window is a span of time that burn rates are computed over, by its nominal name.
type Window struct {
	Name   string
	Length time.Duration
}

// Severity says whom an alert reaches: a page wakes somebody, a ticket waits for working hours.
type Severity string

// The severities. SeverityNone is on a status nothing fires for.
const (
	SeverityNone   Severity = ""
	SeverityTicket Severity = "ticket"
	SeverityPage   Severity = "page"
)

// Rule fires while the burn rate over both of its windows exceeds Burn. The long window gives weight, the short one
// lets the alert end soon after the cause has.
type Rule struct {
	Severity    Severity
	Long, Short string
	Burn        Number
}

// String is the rule as people write it.
func (r Rule) String() string {
	return fmt.Sprintf("burn over %s and %s > %s", r.Long, r.Short, r.Burn)
}

const day = 24 * time.Hour

// BurnWindows returns the windows that every SLO is computed over, short to long, besides its budget window.
func BurnWindows() []Window {
	return []Window{
		{"5m", 5 * time.Minute}, {"30m", 30 * time.Minute}, {"1h", time.Hour}, {"2h", 2 * time.Hour},
		{"6h", 6 * time.Hour}, {"1d", day}, {"3d", 3 * day},
	}
}

// StandardRules returns the alerts of an SLO that names none: the four window pairs of the SRE workbook, and a ticket
// for a burn rate that stays above 2, which the pairs notice only after days.
func StandardRules() []Rule {
	return []Rule{
		{SeverityPage, "1h", "5m", mustDecimal("14.4")},
		{SeverityPage, "6h", "30m", mustDecimal("6")},
		{SeverityTicket, "1d", "2h", mustDecimal("3")},
		{SeverityTicket, "3d", "6h", mustDecimal("1")},
		{SeverityTicket, "6h", "1h", mustDecimal("2")},
	}
}

// shortOf gives the short window that goes with a long one: a twelfth.
var shortOf = map[string]string{"1h": "5m", "6h": "30m", "1d": "2h", "3d": "6h"}

// recent is the window that decides whether there is traffic now and whether enough of it could be judged.
const recent = "1h"

// reachable reports whether a rule can ever fire.
func (s *SLO) reachable(r Rule) bool { return s.highest().Cmp(r.Burn.rat) > 0 }

// highest is the burn rate with everything bad: 1/budget, and what members combine to.
func (s *SLO) highest() *big.Rat {
	if len(s.Members) == 0 {
		return new(big.Rat).Inv(s.budget())
	}
	burns := make([]Number, len(s.Members))
	for i := range s.Members {
		burns[i] = rat(s.Members[i].SLO.highest())
	}
	return s.combine(burns).rat
}

// combine makes the burn rate of a composite from those of its members. A member without a judged event has no say, and
// its weight none either.
func (s *SLO) combine(burns []Number) Number {
	sum, weights := new(big.Rat), new(big.Rat)
	var worst Number
	for i, burn := range burns {
		if !burn.Valid() {
			continue
		}
		if !worst.Valid() || burn.Cmp(worst) > 0 {
			worst = burn
		}
		weights.Add(weights, s.Members[i].Weight.rat)
		sum.Add(sum, new(big.Rat).Mul(s.Members[i].Weight.rat, burn.rat))
	}
	if s.Combine == CombineWorst || !worst.Valid() {
		return worst
	}
	return rat(sum.Quo(sum, weights))
}

func (s *SLO) budget() *big.Rat { return new(big.Rat).Sub(one, s.Objective.rat) }

// minuteRetention is how long the rollup by the minute is kept. Longer windows are read from the one by the quarter of an
// hour, as of the last full one.
var minuteRetention = kept(schema.Rollup1m)

const quarter = 15 * time.Minute

// long reports whether the budget window is read by the quarter of an hour.
func (s *SLO) long() bool { return s.longest() > minuteRetention }

// longest is how long the budget window can be.
func (s *SLO) longest() time.Duration {
	if s.Calendar == nil {
		return s.Window
	}
	days := map[string]int{"d": 1, "w": 7, "M": 31, "Q": 92, "Y": 366}[s.Calendar.Unit]
	return time.Duration(s.Calendar.Count*days)*day + time.Hour // the clocks may be put back
}

// Timing is how an engine reads the rollups. The zero Timing is the right one outside of demonstrations.
type Timing struct {
	// Resolution is the step that asof and burn windows are multiples of: 1m (the default) or 10s.
	Resolution time.Duration
	// Scale divides the burn windows, so that a demonstration need not take hours; 0 means 1. Budget windows are
	// never scaled.
	Scale int
}

// Validate reports what is wrong with it.
func (t Timing) Validate() error {
	t = t.defaulted()
	if t.Resolution != time.Minute && t.Resolution != 10*time.Second {
		return fmt.Errorf("must be 1m or 10s, the steps of the rollups, got %v", t.Resolution)
	}
	if t.Resolution == 10*time.Second && t.Scale < 2 {
		return fmt.Errorf("10s needs a window_scale of at least 2: %s is kept for 3 days, so a window of 3 days would be cut",
			schema.Rollup10s)
	}
	return nil
}

func (t Timing) defaulted() Timing {
	if t.Resolution == 0 {
		t.Resolution = time.Minute
	}
	if t.Scale < 1 {
		t.Scale = 1
	}
	return t
}

// AsOf floors a watermark to the resolution: everything before it has been read.
func (t Timing) AsOf(watermark time.Time) time.Time {
	return floor(watermark, t.defaulted().Resolution)
}

// Windows returns the burn windows at their real lengths: scaled, and rounded up to a multiple of the resolution.
func (t Timing) Windows() []Window {
	t = t.defaulted()
	windows := BurnWindows()
	for i := range windows {
		w := windows[i].Length / time.Duration(t.Scale)
		windows[i].Length = max(t.Resolution, (w+t.Resolution-1)/t.Resolution*t.Resolution)
	}
	return windows
}

func floor(t time.Time, step time.Duration) time.Time {
	s := int64(step / time.Second)
	return time.Unix(t.Unix()/s*s, 0).UTC()
}
