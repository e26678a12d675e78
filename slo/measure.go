package slo

import (
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Measure names a value that each slice of time has, or has not.
type Measure string

// MeasureCount is how many events Indicator.Total selects. It is known in every slice in which the vantage saw anything
// of the service.
const MeasureCount Measure = "count"

// The measures of what instances say of themselves.
const (
	// MeasureChurn is opens per connection and hour.
	MeasureChurn Measure = "connection_churn"
	// MeasureIdle is the share of open connections that are idle.
	MeasureIdle Measure = "idle_share"
	// MeasureCapacity is the share of the capacity that open connections use.
	MeasureCapacity Measure = "capacity_used"
)

// rateMeasures are quantiles, to 1 %, and maxima of the bytes per second of the connections that closed in a slice.
var rateMeasures = []Measure{
	"received_rate_p50", "received_rate_p95", "received_rate_p99", "received_rate_max",
	"sent_rate_p50", "sent_rate_p95", "sent_rate_p99", "sent_rate_max",
}

// Measures returns all of them.
func Measures() []Measure {
	return append([]Measure{MeasureCount, MeasureChurn, MeasureIdle, MeasureCapacity}, rateMeasures...)
}

func measureNames() []string {
	var names []string
	for _, m := range Measures() {
		names = append(names, string(m))
	}
	return names
}

// ofGauges reports whether a measure is read from what instances say of themselves.
func (m Measure) ofGauges() bool {
	return m == MeasureChurn || m == MeasureIdle || m == MeasureCapacity
}

func (m Measure) ofRates() bool { return slices.Contains(rateMeasures, m) }

// gaugeDimensions are those that the side tables have.
var gaugeDimensions = []string{schema.Environment, schema.Region}

// retention returns the table that bounds the budget window, and how long its rows are kept where nobody configures otherwise.
func (m Measure) retention() (table string, age time.Duration) {
	table = schema.Rollup15m
	switch {
	case m.ofGauges():
		table = schema.Gauges10s
	case m.ofRates():
		table = schema.ConnectionRate
	}
	return table, kept(table)
}

func kept(table string) time.Duration {
	for _, e := range schema.Expiries() {
		if e.Table == table {
			return e.Default
		}
	}
	panic("slo: " + table + " has no retention")
}

// measure reads the name of a measure.
func (p *parser) measure(n node) Measure {
	name := n.word()
	if name != "" && !slices.Contains(measureNames(), name) {
		n.fault("unknown measure %q%s", clip(name), suggest(name, measureNames()))
		return ""
	}
	return Measure(name)
}

// standsFor says of which event of a total another event is one: whoever rejects or drops a message reports the message
// too, at the same vantage, of the same tenant and direction. An empty direction means any.
var standsFor = map[event.Name]struct {
	total     event.Name
	direction string
}{
	event.MessageRejected: {event.Message, ""},
	event.MessageDropped:  {event.Message, "receive"},
}

// sharedDimensions have the same value on an event and on that which it stands for.
var sharedDimensions = []string{schema.Environment, schema.Region, schema.Visibility, schema.Tenant, schema.Direction}

// standsWithin reports whether every event that t matches stands for one that outer matches.
func (t Term) standsWithin(outer Term) bool {
	of, known := standsFor[event.Name(t.Event)]
	if !known || string(of.total) != outer.Event {
		return false
	}
	shared := func(f Filter) bool { return slices.Contains(sharedDimensions, f.Dimension) }
	alone := func(f Filter) bool { return !shared(f) }
	if slices.ContainsFunc(outer.Where, alone) || slices.ContainsFunc(outer.Except, alone) {
		return false
	}
	if of.direction != "" && !slices.ContainsFunc(t.Where, func(f Filter) bool {
		return f.Dimension == schema.Direction && slices.Equal(f.Values, []string{of.direction})
	}) {
		return false
	}
	t.Event = outer.Event
	return t.within(outer)
}

// String is the limit as people write it.
func (l Limit) String() string {
	sign := map[Operator]string{LessThan: "<", LessOrEqual: "≤", GreaterThan: ">", GreaterOrEqual: "≥"}[l.Op]
	return strings.TrimSpace(sign + " " + l.Value.String())
}
