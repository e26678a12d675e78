package slo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // calendars name time zones, and an image may have no database of its own

	"go.yaml.in/yaml/v3"
)

// Calendar is a sequence of periods that follow each other without a gap, such as the months of Europe/Berlin.
type Calendar struct {
	// Start is the local time at which one of the periods began; the others follow from it, before and after.
	Start time.Time
	// Count and Unit are the length of a period: 1 M is a month. Unit is one of d, w, M, Q, Y.
	Count int
	Unit  string
}

// Period returns the period that holds a moment: from inclusive, to exclusive. A period of days, weeks or months is as long
// as the clocks of the zone say, so a day may have 23 hours. Where a month lacks the day of Start, its last day stands in.
func (c *Calendar) Period(at time.Time) (from, to time.Time) {
	// The mean length of a period gives a first guess that is off by a few at most.
	const month = 2629746 // seconds
	mean := map[string]int64{"d": 86400, "w": 7 * 86400, "M": month, "Q": 3 * month, "Y": 12 * month}[c.Unit]
	n := int((at.Unix() - c.Start.Unix()) / mean / int64(c.Count))
	for c.begin(n).After(at) {
		n--
	}
	for !c.begin(n + 1).After(at) {
		n++
	}
	return c.begin(n), c.begin(n + 1)
}

// begin returns when the nth period after Start begins.
func (c *Calendar) begin(n int) time.Time {
	year, month, d := c.Start.Date()
	switch n *= c.Count; c.Unit {
	case "d":
		d += n
	case "w":
		d += 7 * n
	default:
		months := n * map[string]int{"M": 1, "Q": 3, "Y": 12}[c.Unit]
		first := time.Date(year, month+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
		year, month = first.Year(), first.Month()
		d = min(d, first.AddDate(0, 1, -1).Day())
	}
	hour, minute, _ := c.Start.Clock()
	return time.Date(year, month, d, hour, minute, 0, 0, c.Start.Location())
}

// name is the period in OpenSLO's shorthand.
func (c *Calendar) name() string { return fmt.Sprintf("%d%s", c.Count, c.Unit) }

// timeWindow reads the one time window of an SLO, and returns where its length stands.
func (p *parser) timeWindow(n node, s *SLO) (at node) {
	items := n.items()
	if len(items) != 1 {
		if !n.absent() && n.y.Kind == yaml.SequenceNode {
			n.fault("must have exactly one window, got %d", len(items))
		}
		return at
	}
	o := items[0].object("duration", "isRolling", "calendar")
	at = o.require("duration", "write duration: 30d")
	rolling, calendar := o.get("isRolling"), o.get("calendar")
	text := at.word()
	length, ok := shorthand(text)
	switch {
	case text == "":
	case !ok:
		at.fault("must be a number and one of m, h, d, w, M, Q, Y, such as 30d, got %q", clip(text))
	case length < 3*day:
		at.fault("must be at least 3d, the longest window that alerts look at, got %s", clip(text))
		ok = false
	}
	switch isRolling := rolling.boolean(); {
	case rolling.absent() && calendar.absent():
		if o.ok {
			missing := rolling
			missing.y = o.y
			missing.fault("is missing; write isRolling: true")
		}
	case isRolling && !calendar.absent():
		calendar.fault("is not for rolling windows; remove it, or write isRolling: false")
	case !isRolling && calendar.absent():
		rolling.fault("needs a calendar; write calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}")
	case isRolling:
		if ok {
			s.Window = length
		}
	default:
		if s.Calendar = p.calendar(calendar, at, text); s.Calendar != nil && ok {
			s.Window = length
		}
	}
	return at
}

func (p *parser) calendar(n, duration node, text string) *Calendar {
	before := len(p.faults)
	o := n.object("startTime", "timeZone")
	start := o.require("startTime", "write the beginning of one of the windows, such as 2026-01-01 00:00:00")
	zone := o.require("timeZone", "write a name of the IANA database, such as Europe/Berlin, or UTC")
	location := time.UTC
	if name := zone.word(); name != "" {
		// Local is the machine's own zone, and so another one on every machine.
		loaded, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			zone.fault("unknown time zone %q; write a name of the IANA database, such as Europe/Berlin, or UTC", clip(name))
		} else {
			location = loaded
		}
	}
	from, err := time.ParseInLocation(time.DateTime, start.moment(), location)
	switch {
	case start.absent() || len(p.faults) > before:
	case err != nil:
		start.fault("must be a local time such as 2026-01-01 00:00:00, got %q", clip(start.y.Value))
	case from.Minute()%15 != 0 || from.Second() != 0:
		start.fault("must be at a full quarter of an hour, got %s", from.Format(time.TimeOnly))
	}
	form := shorthandForm.FindStringSubmatch(text)
	if form == nil {
		return nil
	}
	count, err := strconv.Atoi(form[1])
	if strings.Contains("mh", form[2]) || err != nil {
		duration.fault("must be days, weeks, months, quarters or years for a calendar, such as 1M, got %s", clip(text))
	}
	if len(p.faults) > before {
		return nil
	}
	return &Calendar{Start: from, Count: count, Unit: form[2]}
}

var shorthandForm = regexp.MustCompile(`^([0-9]{1,6})([mhdwMQY])$`)

// shorthand reads OpenSLO's duration shorthand. A month is 30 days, as in a rolling window it must be.
func shorthand(text string) (time.Duration, bool) {
	m := shorthandForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit := map[string]time.Duration{
		"m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day, "M": 30 * day, "Q": 90 * day, "Y": 365 * day,
	}[m[2]]
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 || time.Duration(n) > (1<<62)/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
