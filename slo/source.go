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

// sli is an indicator as it is written, before an objective says what its measure is compared with.
type sli struct {
	name      string
	indicator Indicator
	grouping  Grouping
	groupAt   node
	// ok says that it has no fault.
	ok bool
}

// metric is one metric source: what it selects and from where.
type metric struct {
	vantage            string
	vantageAt, list    node
	selection          Selection
	terms              []node
	unjudged           Selection
	unjudgedAt         node
	threshold          time.Duration
	thresholdAt        node
	active             bool
	activeAt           node
	measure            Measure
	measureAt          node
	grouping           Grouping
	groupAt, maxGroups node
	ok                 bool
}

// indicator reads the spec of an SLI.
func (p *parser) indicator(n node, sources map[string]bool) sli {
	before := len(p.faults)
	o := n.object("description", "thresholdMetric", "ratioMetric")
	o.get("description").description()
	var read sli
	switch threshold, ratio := o.get("thresholdMetric"), o.get("ratioMetric"); {
	case !threshold.absent() && !ratio.absent():
		threshold.fault("is set beside ratioMetric; keep one")
	case !threshold.absent():
		read = p.thresholdMetric(threshold, sources)
	default:
		read = p.ratioMetric(o.require("ratioMetric", "write good and total in it"), sources)
	}
	read.ok = o.ok && len(p.faults) == before
	return read
}

func (p *parser) ratioMetric(n node, sources map[string]bool) sli {
	ratio := n.object("counter", "good", "bad", "total", "rawType", "raw")
	if !ratio.ok {
		return sli{}
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
	hitNode, hitKey := good, "good"
	if in.HitIsBad {
		hitNode, hitKey = bad, "bad"
		if bad.absent() {
			at := good
			at.y = ratio.y
			at.fault("is missing; write good or bad")
		}
	}
	total := p.metric(ratio.require("total", "write what is judged"), sources)
	hit := p.metric(hitNode, sources)
	if !total.ok || !hit.ok {
		return sli{indicator: in}
	}
	in.Vantage, in.Hit, in.Total, in.Threshold = total.vantage, hit.selection, total.selection, hit.threshold
	in.Unjudged, in.Active = total.unjudged, total.active
	if total.vantage != hit.vantage {
		hit.vantageAt.fault("must be the vantage of total, %q: the same connection may be seen by several", total.vantage)
	}
	if total.threshold != 0 {
		total.thresholdAt.fault("belongs into %s: total counts every event that has a duration", hitKey)
	}
	if in.HitIsBad && hit.threshold != 0 {
		hit.thresholdAt.fault("counts events that are fast enough, so it belongs into good")
	}
	for _, at := range []node{hit.unjudgedAt, hit.activeAt, hit.groupAt, hit.maxGroups} {
		if !at.absent() {
			at.fault("belongs into total")
		}
	}
	for _, at := range []node{hit.measureAt, total.measureAt} {
		if !at.absent() {
			at.fault("is for a thresholdMetric; a ratio counts what it selects")
		}
	}
	for i, term := range hit.selection {
		switch {
		case slices.ContainsFunc(total.selection, term.within):
		case in.HitIsBad && hit.threshold == 0 && slices.ContainsFunc(total.selection, term.standsWithin):
			in.Separate = true
		default:
			hit.terms[i].fault("selects events that total does not; every one of its filters in total must hold here too")
		}
	}
	if in.Active {
		p.active(total, hit)
	}
	return sli{indicator: in, grouping: total.grouping, groupAt: total.groupAt}
}

// active checks a total to which the open connections are added: only the connections that ended can be counted beside them.
func (p *parser) active(total, hit metric) {
	if len(total.selection) != 1 || event.Name(total.selection[0].Event) != event.Close || len(total.unjudged) > 0 {
		total.list.fault("must select %s alone: with active it counts the connections that ended and those still open",
			event.Close)
		return
	}
	for _, f := range slices.Concat(total.selection[0].Where, total.selection[0].Except) {
		if !slices.Contains(gaugeDimensions, f.Dimension) {
			total.terms[0].fault("must not filter on %s: the connections open are known by environment and region alone",
				f.Dimension)
		}
	}
	if hit.threshold != 0 {
		hit.thresholdAt.fault("has no meaning with active: a connection still open has no duration")
	}
	for _, d := range total.grouping.By {
		if !slices.Contains(gaugeDimensions, d) {
			total.groupAt.fault("must be environment or region with active: the connections open are not known by %s", d)
		}
	}
}

func (p *parser) thresholdMetric(n node, sources map[string]bool) sli {
	m := p.metric(n, sources)
	if !m.ok {
		return sli{}
	}
	for _, at := range []node{m.unjudgedAt, m.thresholdAt, m.activeAt} {
		if !at.absent() {
			at.fault("is for a ratioMetric; remove it")
		}
	}
	if m.measureAt.absent() {
		m.measureAt.y = n.y
		m.measureAt.fault("is missing; write one of %s", strings.Join(measureNames(), ", "))
		return sli{}
	}
	if m.measure == MeasureCount && len(m.selection) == 0 {
		m.list.y = n.y
		m.list.fault("is missing; list the events that count")
	}
	if m.measure != MeasureCount && !m.list.absent() {
		m.list.fault("is for the measure count; remove it")
	}
	if !m.groupAt.absent() {
		for _, d := range m.grouping.By {
			if !slices.Contains(gaugeDimensions, d) {
				m.groupAt.fault("must be environment or region for a thresholdMetric, got %s", d)
			}
		}
	}
	in := Indicator{Vantage: m.vantage, Total: m.selection, Measure: m.measure}
	return sli{indicator: in, grouping: m.grouping, groupAt: m.groupAt}
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
	spec := source.require("spec", "write vantage and select in it").
		object("vantage", "select", "unjudged", "threshold", "active", "measure", "groupBy", "maxGroups")
	if !spec.ok {
		return metric{}
	}
	before := len(p.faults)
	m := metric{
		vantageAt: spec.require("vantage", "name one of "+strings.Join(vantages, ", ")), measureAt: spec.get("measure"),
		list: spec.get("select"), unjudgedAt: spec.get("unjudged"), thresholdAt: spec.get("threshold"),
		activeAt: spec.get("active"), groupAt: spec.get("groupBy"), maxGroups: spec.get("maxGroups"),
	}
	m.vantage, m.measure = p.vantage(m.vantageAt), p.measure(m.measureAt)
	if m.measureAt.absent() {
		m.list = spec.require("select", "list the events that count")
	}
	m.selection, m.terms = p.selection(m.list)
	if len(m.terms) == 0 && !m.list.absent() && len(p.faults) == before {
		m.list.fault("must list at least one event")
	}
	m.unjudged, _ = p.selection(m.unjudgedAt)
	m.threshold = p.threshold(m.thresholdAt)
	m.active = m.activeAt.boolean()
	m.grouping = p.grouping(m.groupAt, m.maxGroups)
	m.ok = len(p.faults) == before
	return m
}

// Bounds of groups.
const (
	usualGroups = 20
	mostGroups  = 100
	mostGroupBy = 2
)

// grouping reads groupBy and maxGroups.
func (p *parser) grouping(by, most node) Grouping {
	var g Grouping
	for _, item := range by.texts() {
		d := item.word()
		switch {
		case d == "":
		case d == schema.Outcome || d == schema.ErrorType || d == schema.Fault:
			item.fault("must not be %s, which tells good from bad: every group would be all good or all bad", d)
		case !slices.Contains(groupable(), d):
			item.fault("unknown dimension%s", suggest(d, groupable()))
		case slices.Contains(g.By, d):
			item.fault("is named twice; keep one")
		default:
			g.By = append(g.By, d)
		}
	}
	if len(g.By) > mostGroupBy {
		by.fault("must be at most %d dimensions, got %d", mostGroupBy, len(g.By))
	}
	if len(g.By) == 0 {
		if !most.absent() {
			most.fault("needs groupBy beside it")
		}
		return Grouping{}
	}
	g.Max = usualGroups
	if text := most.decimal(); text.Valid() {
		if !text.rat.IsInt() || text.rat.Sign() == 0 || !text.rat.Num().IsInt64() || text.rat.Num().Int64() > mostGroups {
			most.fault("must be 1 to %d, got %s: the groups with fewer events fold into one", mostGroups, text)
			return Grouping{}
		}
		g.Max = int(text.rat.Num().Int64())
	}
	return g
}

// groupable are the dimensions that may split an SLO.
func groupable() []string {
	return slices.DeleteFunc(filterable(), func(d string) bool {
		return d == schema.Outcome || d == schema.ErrorType || d == schema.Fault
	})
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
