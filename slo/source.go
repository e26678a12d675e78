package slo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// sourceType is the type of our metric source.
const sourceType = "Sockeye"

// vantages in the order of the event model.
var vantages = event.Vantage.Definition().Values

// closedValues are the dimensions whose values the model closes.
var closedValues = map[string][]string{
	schema.Outcome:    {string(event.OutcomeSuccess), string(event.OutcomeFailure), string(event.OutcomeUnknown)},
	schema.Fault:      faultValues(),
	schema.ErrorType:  errorTypeValues(),
	schema.Visibility: {event.VisibilityAtOpen, event.VisibilityAtClose},
	schema.Direction:  {"receive", "transmit"},
}

func faultValues() []string {
	values := []string{string(event.FaultNone)}
	for _, f := range event.Faults() {
		values = append(values, string(f))
	}
	return values
}

func errorTypeValues() []string {
	values := []string{""}
	for _, d := range event.ErrorTypes() {
		values = append(values, d.Type)
	}
	return values
}

// filterable are the dimensions a term may name. The event has a key of its own, as have vantage and service, of which
// an indicator has exactly one.
func filterable() []string {
	return slices.DeleteFunc(schema.Dimensions(), func(d string) bool {
		return d == schema.EventName || d == schema.Vantage || d == schema.Service
	})
}

// metric is one metric source: what it selects and from where.
type metric struct {
	vantage      string
	vantageAt    node
	selection    Selection
	terms        []node
	unjudged     Selection
	threshold    time.Duration
	thresholdAt  node
	unjudgedTerm node
	ok           bool
}

// indicator reads the spec of an SLI.
func (p *parser) indicator(n node, sources map[string]bool) Indicator {
	o := n.object("description", "thresholdMetric", "ratioMetric")
	o.get("description").text()
	if threshold := o.get("thresholdMetric"); !threshold.absent() {
		threshold.fault("is not supported; for a latency write ratioMetric with a threshold in good")
		return Indicator{}
	}
	ratio := o.require("ratioMetric", "write good and total in it").
		object("counter", "good", "bad", "total", "rawType", "raw")
	if !ratio.ok {
		return Indicator{}
	}
	ratio.get("counter").boolean()
	for _, key := range []string{"raw", "rawType"} {
		if raw := ratio.get(key); !raw.absent() {
			raw.fault("is not supported: a ratio without its counts cannot be weighed; write good and total")
		}
	}
	good, bad := ratio.get("good"), ratio.get("bad")
	if !good.absent() && !bad.absent() {
		bad.fault("is set beside good; keep one")
	}
	in := Indicator{HitIsBad: good.absent()}
	hitNode := good
	if in.HitIsBad {
		hitNode = bad
		if bad.absent() {
			at := good
			at.y = ratio.y
			at.fault("is missing; write good or bad")
		}
	}
	total := p.metric(ratio.require("total", "write what is judged"), sources)
	hit := p.metric(hitNode, sources)
	if !total.ok || !hit.ok {
		return in
	}
	in.Vantage, in.Hit, in.Total, in.Threshold = total.vantage, hit.selection, total.selection, hit.threshold
	in.Unjudged = total.unjudged
	if total.vantage != hit.vantage {
		hit.vantageAt.fault("must be the vantage of total, %q: the same connection may be seen by several", total.vantage)
	}
	if total.threshold != 0 {
		total.thresholdAt.fault("belongs into %s: total counts every event that has a duration",
			map[bool]string{false: "good", true: "bad"}[in.HitIsBad])
	}
	if in.HitIsBad && hit.threshold != 0 {
		hit.thresholdAt.fault("counts events that are fast enough, so it belongs into good")
	}
	if !hit.unjudgedTerm.absent() {
		hit.unjudgedTerm.fault("belongs into total")
	}
	for i, term := range hit.selection {
		if !slices.ContainsFunc(total.selection, term.within) {
			hit.terms[i].fault("selects events that total does not; every one of its filters in total must hold here too")
		}
	}
	return in
}

// metric reads {metricSource: {type, spec}}.
func (p *parser) metric(n node, sources map[string]bool) metric {
	source := n.object("metricSource").require("metricSource", "write metricSource: {type: "+sourceType+", spec: {…}}").
		object("metricSourceRef", "type", "spec")
	if !source.ok {
		return metric{}
	}
	typ, ref := source.get("type"), source.get("metricSourceRef")
	switch name := ref.text(); {
	case !typ.absent():
		if t := typ.word(); t != "" && t != sourceType {
			typ.fault("must be %s, got %q: other sources are not read", sourceType, clip(t))
		}
	case name != "":
		if ours, defined := sources[name]; !defined {
			ref.fault("no DataSource named %q in these files; define it, or write type: %s", clip(name), sourceType)
		} else if !ours {
			ref.fault("DataSource %q is not of type %s: other sources are not read", clip(name), sourceType)
		}
	default:
		at := typ
		at.y = source.y
		at.fault("is missing; write type: %s", sourceType)
	}
	spec := source.require("spec", "write vantage and select in it").object("vantage", "select", "unjudged", "threshold")
	if !spec.ok {
		return metric{}
	}
	before := len(p.faults)
	m := metric{vantageAt: spec.require("vantage", "name one of "+strings.Join(vantages, ", "))}
	m.vantage = p.vantage(m.vantageAt)
	list := spec.require("select", "list the events that count")
	m.selection, m.terms = p.selection(list)
	if len(m.terms) == 0 && !list.absent() && len(p.faults) == before {
		list.fault("must list at least one event")
	}
	m.unjudgedTerm = spec.get("unjudged")
	m.unjudged, _ = p.selection(m.unjudgedTerm)
	m.thresholdAt = spec.get("threshold")
	m.threshold = p.threshold(m.thresholdAt)
	m.ok = len(p.faults) == before
	return m
}

func (p *parser) vantage(n node) string {
	if n.absent() {
		return ""
	}
	if items := n.texts(); len(items) != 1 || items[0].path != n.path {
		n.fault("must be exactly one, not a list: the same connection may be seen by several, so counts would double")
		return ""
	}
	v := n.word()
	if v != "" && !slices.Contains(vantages, v) {
		n.fault("unknown vantage %q%s", clip(v), suggest(v, vantages))
	}
	return v
}

func (p *parser) selection(n node) (Selection, []node) {
	var s Selection
	var at []node
	for _, item := range n.items() {
		o := item.object("event", "where", "except")
		if !o.ok {
			if item.absent() {
				item.fault("is empty; write event: …")
			}
			continue
		}
		name := o.require("event", "name one, such as "+string(event.Open))
		t := Term{Event: name.word()}
		if t.Event != "" && (!event.Name(t.Event).Known() || event.Name(t.Event) == event.SourceProgress) {
			name.fault("unknown event %q%s", clip(t.Event), suggest(t.Event, eventNames()))
		}
		t.Where, t.Except = p.filters(o.get("where")), p.filters(o.get("except"))
		s, at = append(s, t), append(at, item)
	}
	return s, at
}

func eventNames() []string {
	var names []string
	for _, s := range event.Schemas() {
		if s.Name != event.SourceProgress {
			names = append(names, string(s.Name))
		}
	}
	return names
}

func (p *parser) filters(n node) []Filter {
	var filters []Filter
	o := n.object()
	for key := range o.values {
		at := o.get(key)
		switch {
		case key == schema.Vantage:
			at.fault("is set once, beside select; remove it here")
			continue
		case key == schema.EventName:
			at.fault("is set beside where; remove it here")
			continue
		case key == schema.Service:
			at.fault("is the service of the SLO; remove it here")
			continue
		case !slices.Contains(filterable(), key):
			at.fault("unknown dimension%s", suggest(key, filterable()))
			continue
		}
		f := Filter{Dimension: key}
		items := at.texts()
		if len(items) == 0 && (at.absent() || len(at.y.Content) == 0) {
			at.fault("must have at least one value")
			continue
		}
		for _, item := range items {
			if item.absent() {
				item.fault(`is empty; write "" for an event without one`)
				continue
			}
			value := item.text()
			if closed := closedValues[key]; closed != nil && !slices.Contains(closed, value) {
				item.fault("unknown %s %q%s", key, clip(value), suggest(value, closed[1:]))
			}
			f.Values = append(f.Values, value)
		}
		slices.Sort(f.Values)
		f.Values = slices.Compact(f.Values)
		filters = append(filters, f)
	}
	slices.SortFunc(filters, func(a, b Filter) int { return cmp.Compare(a.Dimension, b.Dimension) })
	return filters
}

// threshold reads a latency threshold, which must be a bound of the histogram: between two bounds nobody can tell.
func (p *parser) threshold(n node) time.Duration {
	text := n.word()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		n.fault("must be a duration such as 200ms, got %q", clip(text))
		return 0
	}
	bounds := event.DurationBounds[:]
	at, found := slices.BinarySearch(bounds, d)
	switch {
	case found:
		return d
	case at == 0:
		n.fault("must be a bound of the histogram, of which the least is %v; got %v", bounds[0], d)
	case at == len(bounds):
		n.fault("must be a bound of the histogram, of which the greatest is %v; got %v", bounds[at-1], d)
	default:
		n.fault("must be a bound of the histogram; the neighbours of %v are %v and %v", d, bounds[at-1], bounds[at])
	}
	return 0
}

// within reports whether every row that t matches is surely matched by outer.
func (t Term) within(outer Term) bool {
	if t.Event != outer.Event {
		return false
	}
	for _, f := range outer.Where {
		i := slices.IndexFunc(t.Where, func(g Filter) bool { return g.Dimension == f.Dimension })
		if i < 0 || !subset(t.Where[i].Values, f.Values) {
			return false
		}
	}
	for _, f := range outer.Except {
		i := slices.IndexFunc(t.Where, func(g Filter) bool { return g.Dimension == f.Dimension })
		j := slices.IndexFunc(t.Except, func(g Filter) bool { return g.Dimension == f.Dimension })
		excluded := func(v string) bool { return slices.Contains(f.Values, v) }
		disjoint := i >= 0 && !slices.ContainsFunc(t.Where[i].Values, excluded)
		if !disjoint && (j < 0 || !subset(f.Values, t.Except[j].Values)) {
			return false
		}
	}
	return true
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}

// String is the term as it reads in an explanation.
func (t Term) String() string {
	var b strings.Builder
	b.WriteString(t.Event)
	for _, f := range t.Where {
		fmt.Fprintf(&b, " %s=%s", f.Dimension, strings.Join(f.Values, "|"))
	}
	for _, f := range t.Except {
		fmt.Fprintf(&b, " %s≠%s", f.Dimension, strings.Join(f.Values, "|"))
	}
	return b.String()
}

// Vantages returns the names of the places a connection may be watched from.
func Vantages() []string { return slices.Clone(vantages) }
