package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// badge is how a state is shown: a word, a shape and a colour.
type badge struct {
	Word, Meaning, Class string
	Shape                string // an SVG path in a square of 16
}

var badges = map[slo.State]badge{
	slo.StateExhausted: {"Exhausted", "The error budget of the window is spent.", "bad",
		"M2 2h12v12H2z"},
	slo.StateBurning: {"Burning", "An alert fires: the error budget is spent faster than it lasts.", "warn",
		"M8 1l7.5 14H.5z"},
	slo.StateNoData: {"No data", "Nothing is known: no source is alive, or the engine cannot see.", "bad",
		"M3.5 1.5L8 6l4.5-4.5 2 2L10 8l4.5 4.5-2 2L8 10l-4.5 4.5-2-2L6 8 1.5 3.5z"},
	slo.StateLowCoverage: {"Low coverage", "Less than 95\u00a0% of the events could be judged.", "note",
		"M8 1a7 7 0 0 1 0 14zM8 2.5a5.5 5.5 0 0 0 0 11V15A7 7 0 0 1 8 1z"},
	slo.StateNoTraffic: {"No traffic", "Sources are alive, and the last hour had nothing to count.", "quiet",
		"M1 6.5h14v3H1z"},
	slo.StateOK: {"OK", "Within the budget, and no alert fires.", "good",
		"M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z"},
}

// badgeOf is that of a state, and louder if it pages.
func badgeOf(st *slo.Status) badge {
	b := badges[st.State]
	if st.State == slo.StateBurning && st.Severity == slo.SeverityPage {
		b.Class = "bad"
	}
	return b
}

// count groups the digits of a number.
func count(n uint64) string { return grouped(fmt.Sprint(n)) }

func grouped(decimal string) string {
	whole, rest, _ := strings.Cut(decimal, ".")
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 && whole[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if rest != "" {
		b.WriteString("." + rest)
	}
	return b.String()
}

// percent is a ratio in percent. What is rounded away is not said to be nothing, nor to be all.
func percent(n slo.Number, places int) string {
	if !n.Valid() {
		return "unknown"
	}
	step := "0." + strings.Repeat("0", max(0, places-1)) + "1"
	switch text := n.Percent(places); {
	case text == "0" && n.Float64() > 0:
		return "< " + step + "\u00a0%"
	case text == "0" && n.Float64() < 0:
		return "> -" + step + "\u00a0%"
	case text == "100" && n.Float64() < 1:
		return "> 99." + strings.Repeat("9", places) + "\u00a0%"
	default:
		return strings.Replace(text, "-", "\u2212", 1) + "\u00a0%"
	}
}

// burn is a burn rate; it has no unit.
func burn(n slo.Number) string {
	if !n.Valid() {
		return "nothing counted"
	}
	if text := n.Round(2); text != "0" || n.Float64() == 0 {
		return text
	}
	return "< 0.01"
}

// clock is a time of the last days.
func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05") }

// length is a duration in its two largest units.
func length(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 0:
		return "0\u00a0s"
	case s < 60:
		return fmt.Sprintf("%d\u00a0s", s)
	case s < 3600:
		return pair(s/60, "min", s%60, "s")
	case s < 24*3600:
		return pair(s/3600, "h", s%3600/60, "min")
	default:
		return pair(s/86400, "d", s%86400/3600, "h")
	}
}

func pair(a int64, unit string, b int64, smaller string) string {
	if b == 0 {
		return fmt.Sprintf("%d\u00a0%s", a, unit)
	}
	return fmt.Sprintf("%d\u00a0%s %d\u00a0%s", a, unit, b, smaller)
}

// meter is a bar from 0 to 100.
type meter struct {
	Known bool
	Width float64
	Class string
}

func budgetMeter(st *slo.Status) meter {
	if !st.Remaining.Valid() {
		return meter{}
	}
	m := meter{true, 100 * min(1, max(0, st.Remaining.Float64())), "good"}
	switch {
	case m.Width <= 0:
		m.Class = "bad"
	case m.Width < 25:
		m.Class = "warn"
	}
	return m
}

// burnHeight puts a burn rate on a logarithmic scale from 0.1 to 1000, as a share of the height.
func burnHeight(burn float64) float64 {
	if burn <= 0 {
		return 0
	}
	return min(1, max(0, math.Log10(burn/0.1)/4))
}

// limits returns the burn rates above which rules fire that a window is part of, and whether one of them is exceeded.
func limits(st *slo.Status, w slo.WindowStatus) (thresholds []float64, exceeded bool) {
	for _, r := range st.Rules {
		if r.Long == w.Name || r.Short == w.Name {
			thresholds = append(thresholds, r.Burn.Float64())
			exceeded = exceeded || w.Burn.Valid() && w.Burn.Cmp(r.Burn) > 0
		}
	}
	return thresholds, exceeded
}

// burnChart has a column for each window.
type burnChart struct {
	Width   int
	Columns []burnColumn
	Even    float64 // where a burn rate of 1 is
	Words   string
}

type burnColumn struct {
	X             int
	Y, H          float64
	Class         string
	Center        float64
	Name          string
	Known, Strong bool
}

const (
	chartHeight = 32
	columnStep  = 27
	columnWidth = 16
)

func newBurnChart(st *slo.Status) burnChart {
	c := burnChart{Width: columnStep * len(st.Windows), Even: chartHeight * (1 - burnHeight(1))}
	var all []string
	for i, w := range st.Windows {
		_, exceeded := limits(st, w)
		column := burnColumn{
			X: i*columnStep + (columnStep-columnWidth)/2, Center: (float64(i) + 0.5) * columnStep, Name: w.Name,
			Known: w.Burn.Valid(), Strong: exceeded, H: max(1.5, chartHeight*burnHeight(w.Burn.Float64())), Class: "calm",
		}
		if exceeded {
			column.Class = "over"
		}
		column.Y = chartHeight - column.H
		c.Columns = append(c.Columns, column)
		all = append(all, w.Name+" "+burn(w.Burn))
	}
	c.Words = "Burn rate by window: " + strings.Join(all, ", ")
	return c
}

// windowBar is one window's burn rate beside the thresholds of the rules, across 100.
type windowBar struct {
	Known bool
	Width float64
	Class string
	Marks []float64
	Words string
}

func newWindowBar(st *slo.Status, w slo.WindowStatus) windowBar {
	thresholds, exceeded := limits(st, w)
	b := windowBar{Known: w.Burn.Valid(), Width: 100 * burnHeight(w.Burn.Float64()), Class: "calm"}
	slices.Sort(thresholds)
	var all []string
	for _, t := range thresholds {
		b.Marks = append(b.Marks, 100*burnHeight(t))
		all = append(all, fmt.Sprintf("%g", t))
	}
	if b.Words = "no rule"; len(all) > 0 {
		b.Words = "above " + strings.Join(all, " or ")
	}
	if exceeded {
		b.Class = "over"
	}
	return b
}

// budgetChart is the budget that was left over time, in a box of 1000 by 100.
type budgetChart struct {
	Lines, Areas     []string // SVG paths; several where nothing was known in between
	Zero             float64  // where the budget is spent
	Top, Bottom      string
	From, To         time.Time
	Words            string
	Known, Overspent bool
}

func newBudgetChart(points []slo.Spending) budgetChart {
	var c budgetChart
	var known []slo.Spending
	low := 0.0
	for _, p := range points {
		if p.Remaining.Valid() {
			known = append(known, p)
			low = min(low, p.Remaining.Float64())
		}
	}
	if len(known) < 2 {
		return c
	}
	first, last := known[0], known[len(known)-1]
	c.Known, c.From, c.To, c.Overspent = true, first.AsOf, last.AsOf, low < 0
	low = max(low, -4) // far below nothing, how far does not matter
	x := func(t time.Time) float64 {
		return 1000 * float64(t.Sub(c.From)) / float64(c.To.Sub(c.From))
	}
	y := func(left float64) float64 { return 100 * (1 - (max(left, low)-low)/(1-low)) }
	c.Zero, c.Top, c.Bottom = y(0), "100\u00a0%", fmt.Sprintf("%.0f\u00a0%%", 100*low)
	var line strings.Builder
	var start, end float64
	finish := func() {
		if line.Len() > 0 {
			c.Lines = append(c.Lines, line.String())
			c.Areas = append(c.Areas, fmt.Sprintf("%sL%.1f %.1fL%.1f %.1fZ", line.String(), end, c.Zero, start, c.Zero))
			line.Reset()
		}
	}
	for _, p := range points {
		if !p.Remaining.Valid() {
			finish()
			continue
		}
		step := "L"
		end = x(p.AsOf)
		if line.Len() == 0 {
			step, start = "M", end
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", step, end, y(p.Remaining.Float64()))
	}
	finish()
	c.Words = fmt.Sprintf("Error budget left: %s at %s UTC, %s at %s UTC", percent(first.Remaining, 2), clock(first.AsOf),
		percent(last.Remaining, 2), clock(last.AsOf))
	return c
}

// minuteChart has the bad events of each minute, in a box of 1000 by 100.
type minuteChart struct {
	Bars        []minuteBar
	Most        string
	From, To    time.Time
	Words       string
	Known       bool
	Bad, Judged uint64
}

type minuteBar struct{ X, W, Y, H float64 }

func newMinuteChart(minutes []slo.Minute, from, to time.Time) minuteChart {
	c := minuteChart{From: from, To: to, Known: len(minutes) > 0 && to.After(from)}
	if !c.Known {
		return c
	}
	var most slo.Minute
	for _, m := range minutes {
		c.Bad, c.Judged = c.Bad+m.Bad, c.Judged+m.Judged
		if m.Bad > most.Bad {
			most = m
		}
	}
	width := 1000 * float64(time.Minute) / float64(to.Sub(from))
	for _, m := range minutes {
		if m.Bad == 0 || m.At.Before(from) || !m.At.Before(to) {
			continue
		}
		h := max(2, 100*float64(m.Bad)/float64(most.Bad))
		c.Bars = append(c.Bars, minuteBar{1000 * float64(m.At.Sub(from)) / float64(to.Sub(from)), width, 100 - h, h})
	}
	c.Most = count(most.Bad)
	c.Words = fmt.Sprintf("%s of %s judged were bad from %s to %s UTC", count(c.Bad), count(c.Judged),
		clock(from), clock(to))
	if most.Bad > 0 {
		c.Words += fmt.Sprintf("; the most in a minute were %s, at %s UTC", count(most.Bad), clock(most.At))
	}
	return c
}
