package slo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PromRule is one of the rules that find out when the window of a calendar began.
type PromRule struct{ Name, Expr string }

// The tables of time zones are read from the beginning of one year to the end of another: later on the laws of today
// may no longer hold. Both are constant, so that the same document gives the same rules at any time.
const (
	zonesFrom = 2025
	zonesTo   = 2037
)

// shift is when the clocks of a zone are set, in Unix seconds, and by how much.
type shift struct{ at, by int64 }

// shifts returns the offset that a zone begins with and how it changes.
func (c *Calendar) shifts() (base int64, all []shift) {
	at := time.Date(zonesFrom, 1, 1, 0, 0, 0, 0, time.UTC).In(c.Start.Location())
	offset := func(t time.Time) int64 { _, seconds := t.Zone(); return int64(seconds) }
	base = offset(at)
	for {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.Year() > zonesTo {
			return base, all
		}
		if by := offset(end) - offset(at); by != 0 {
			all = append(all, shift{end.Unix(), by})
		}
		at = end
	}
}

// PromQL returns rules whose last, of the name start, is the Unix time at which the window of now began. Each reads those
// before it as selected says. An error says why there are none.
func (c *Calendar) PromQL(prefix string, selected func(name string) string) ([]PromRule, error) {
	base, shifts := c.shifts()
	hour, minute, _ := c.Start.Clock()
	clock := int64(hour*3600 + minute*60)
	for _, s := range shifts {
		_, before := time.Unix(s.at-1, 0).In(c.Start.Location()).Zone()
		low, high := s.at+int64(before), s.at+int64(before)+s.by
		if low > high {
			low, high = high, low
		}
		const of = int64(day / time.Second)
		if (high-clock)/of != (low-clock-1)/of {
			return nil, fmt.Errorf("the clocks of %s are set at the hour at which its window begins, %02d:%02d; "+
				"let it begin at another, or let the engine evaluate it", c.Start.Location(), hour, minute)
		}
	}
	offset := func(x string) string {
		var b strings.Builder
		b.WriteString("(" + strconv.FormatInt(base, 10))
		for _, s := range shifts {
			fmt.Fprintf(&b, " %s %d * (%s >= bool %d)", sign(s.by), abs(s.by), x, s.at)
		}
		return b.String() + ")"
	}
	var rules []PromRule
	rule := func(name, expr string) string {
		rules = append(rules, PromRule{prefix + name, expr})
		return selected(prefix + name)
	}
	// Clocks show local time; it is written as if it were the Unix time of a place without an offset.
	now := rule("_now_local:seconds", "time() + "+offset("time()"))
	local := c.startPromQL(now, clock, rule)
	near := rule("_start_near:seconds", local+" - "+offset(local))
	rule("_start:seconds", local+" - "+offset(near))
	return rules, nil
}

// PromStep is the longest step such that all windows begin with one.
func (c *Calendar) PromStep() time.Duration {
	base, shifts := c.shifts()
	off := time.Duration(c.Start.Minute())*time.Minute - time.Duration(base)*time.Second
	whole := off%time.Hour == 0
	for _, s := range shifts {
		off -= time.Duration(s.by) * time.Second
		whole = whole && off%time.Hour == 0
	}
	if whole {
		return time.Hour
	}
	return quarter
}

// startPromQL is when the window began, by the clocks of the zone.
func (c *Calendar) startPromQL(now string, clock int64, rule func(name, expr string) string) string {
	year, month, date := c.Start.Date()
	if c.Unit == "d" || c.Unit == "w" {
		length := int64(c.Count) * int64(map[string]time.Duration{"d": day, "w": 7 * day}[c.Unit]/time.Second)
		began := time.Date(year, month, date, 0, 0, int(clock), 0, time.UTC).Unix()
		return rule("_start_local:seconds",
			fmt.Sprintf("%[1]s - (%[1]s + %[2]d) %% %[3]d", now, length-modulo(began, length), length))
	}
	// The day of the month, or the last one where it has fewer, and the clock.
	on := func(first string) string {
		if date <= 28 {
			return fmt.Sprintf("%s + %d", first, int64(date-1)*86400+clock)
		}
		return fmt.Sprintf("%[1]s + 86400 * (clamp_max(days_in_month(%[1]s), %[2]d) - 1) + %[3]d", first, date, clock)
	}
	began := rule("_month:index", fmt.Sprintf("12 * year(%[1]s) + month(%[1]s) - 1", now))
	if date > 1 || clock > 0 { // else the month of now is that of the window
		first := rule("_month:seconds", firstPromQL(began))
		began = rule("_start_month:index", fmt.Sprintf("%s - (%s > bool %s)", began, on(first), now))
	}
	count := int64(c.Count) * map[string]int64{"M": 1, "Q": 3, "Y": 12}[c.Unit]
	if count > 1 {
		began = rule("_start_period:index", fmt.Sprintf("%[1]s - (%[1]s + %[2]d) %% %[3]d", began,
			count-modulo(int64(year)*12+int64(month)-1, count), count))
	}
	return rule("_start_local:seconds", on(rule("_start_month:seconds", firstPromQL(began))))
}

// firstPromQL is when a month began, of which index counts those since the year 0: the days of whole years, which begin in
// March here so that leap days are the last, and those of whole months.
func firstPromQL(index string) string {
	years := "floor((" + index + " - 2) / 12)"
	return fmt.Sprintf("86400 * (365 * %[1]s + floor(%[1]s / 4) - floor(%[1]s / 100) + floor(%[1]s / 400) + "+
		"floor((153 * ((%[2]s - 2) %% 12) + 2) / 5) - 719468)", years, index)
}

func modulo(n, by int64) int64 { return (n%by + by) % by }

func abs(n int64) int64 { return max(n, -n) }

func sign(n int64) string { return map[bool]string{true: "-", false: "+"}[n < 0] }
