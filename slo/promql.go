package slo

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Metrics says what stands in the metrics of package event's names at Prometheus.
type Metrics int

// The kinds.
const (
	// Counters are those of the websocketsli connector, scraped or written from remote. What they rose by is extrapolated
	// to the window's ends, so counts are not whole numbers.
	Counters Metrics = iota
	// Buckets are gauges: what was counted in each minute, stamped at the end of the minute. Their sums are exact.
	Buckets
)

// PromQL is what one window of an SLO is computed from, as PromQL expressions. Each gives one sample without labels, or
// none where nothing is known.
type PromQL struct {
	// Total, Judged and Bad are those of [Count]; Bad is Judged − Good.
	Total, Judged, Bad string
}

// PromQL returns the expressions of a window that ends now. Bad is written with what judged says of Judged, such as
// the name that it is recorded under, or with Judged itself where that is empty. An error says why they cannot be
// written.
func (s *SLO) PromQL(window time.Duration, metrics Metrics, judged string) (PromQL, error) {
	return s.promql(promql{slo: s, window: window, metrics: metrics}, judged)
}

// GroupsPromQL is PromQL of the groups, whose names are in the label slo. kept selects what [SLO.KeptPromQL] gives; if it is
// empty, all groups count by themselves, told apart by the labels that [SLO.PromBy] names.
func (s *SLO) GroupsPromQL(window time.Duration, metrics Metrics, judged, kept string) (PromQL, error) {
	return s.promql(promql{slo: s, window: window, metrics: metrics, grouped: true, kept: kept}, judged)
}

// BudgetPromQL is PromQL, or GroupsPromQL if there is a kept, of the budget window. Of [Counters] only slices have one: events
// would have to be read whole at every evaluation. start selects what the last of [Calendar.PromQL] gives.
func (s *SLO) BudgetPromQL(metrics Metrics, start, judged, kept string) (PromQL, error) {
	return s.promql(s.budgetPromQL(metrics, start, kept), judged)
}

func (s *SLO) budgetPromQL(metrics Metrics, start, kept string) promql {
	p := promql{slo: s, window: s.Window, metrics: metrics, grouped: kept != "", kept: kept}
	if s.Calendar != nil {
		p.window, p.start, p.step = s.longest(), start, time.Minute
	}
	if s.long() {
		p.step = quarter
	}
	return p
}

func (s *SLO) promql(p promql, judged string) (PromQL, error) {
	limit := s.Indicator.Limit.Value
	switch {
	case len(s.Members) > 0:
		return PromQL{}, errors.New("it is a composite, and its members are counted by themselves")
	case s.Indicator.Measure.ofRates() && !slices.Contains(event.RateBounds[:], limit.Float64()):
		return PromQL{}, fmt.Errorf("its limit %s is none of the bounds of the histogram of %s, which are %v; "+
			"make it one of them, or let the engine evaluate it", limit, event.MetricConnectionRate, event.RateBounds)
	case s.slice() > 0:
		return p.slices(judged), nil
	}
	return p.events(judged), nil
}

// events counts events.
func (p promql) events(judged string) PromQL {
	in := &p.slo.Indicator
	all := p.rises(promEvents, slices.Concat(in.Total, in.Unjudged))
	of, hit := p.rises(promEvents, known(in.Total)), p.rises(promEvents, known(in.Hit))
	if in.Threshold != 0 {
		of, hit = p.rises(promTimed, in.Total), p.rises(promBucket(in.Threshold), in.Hit)
	}
	counted := of
	if in.Active {
		all, counted = all+" or "+p.active(), of+" or "+p.active()
	}
	out := PromQL{Total: p.sum(all), Judged: p.sum(counted)}
	if judged == "" {
		judged = "(" + out.Judged + ")"
	}
	switch {
	case in.Threshold != 0:
		out.Bad = "clamp_min(" + judged + " - " + p.sum(hit) + ", 0)"
	case in.Separate:
		// The less of the two.
		out.Bad = "(" + p.sum(hit) + " or 0 * " + judged + ") <= " + judged + " or " + judged
	case in.HitIsBad:
		out.Bad = p.sum(hit)
	default:
		if rest, plain := in.rest(); plain {
			out.Bad = p.sum(p.rises(promEvents, known(rest)))
		} else {
			out.Bad = p.sum("(" + of + ") unless (" + hit + ")")
		}
	}
	if !in.Separate {
		// Nothing bad is 0, where anything is known.
		out.Bad += " or 0 * " + judged
	}
	return out
}

// slices counts slices: a subquery evaluates each of them at its end. Windows are whole slices, and end with the last one
// that has ended.
func (p promql) slices(judged string) PromQL {
	slice := p.slo.slice()
	one := p
	one.window, one.start, one.step = slice, "", 0
	if one.kept != "" {
		// Whatever was the largest then, the groups are those of now.
		one.kept += " @ end()"
	}
	each := one.slice()
	p.step, p.window = slice, (p.window+slice-1)/slice*slice
	out := PromQL{Total: p.steps(each.Total), Judged: p.steps(each.Judged)}
	if judged == "" {
		judged = out.Judged
	}
	out.Bad = p.steps(each.Bad) + " or 0 * " + judged
	return out
}

// SlicePromQL is what the last slice counts for that has ended.
func (s *SLO) SlicePromQL(metrics Metrics) (PromQL, error) {
	if _, err := s.PromQL(s.slice(), metrics, ""); err != nil {
		return PromQL{}, err
	}
	p := promql{slo: s, window: s.slice(), metrics: metrics}
	last := func(each string) string {
		return "last_over_time((" + each + ")[" + PromHalfOpen(p.window) + ":" + PromDuration(p.window) + "])"
	}
	each := p.slice()
	return PromQL{Total: last(each.Total), Judged: last(each.Judged), Bad: last(each.Bad)}, nil
}

// Slice is the length of what is judged at once; 0 means every event by itself.
func (s *SLO) Slice() time.Duration { return s.slice() }

// slice is what a slice counts for that ends now: its unit or nothing. Bad has a sample where anything is judged.
func (p promql) slice() PromQL {
	s := p.slo
	if s.Indicator.Measure != "" {
		return p.measure()
	}
	one := p.events("")
	switch unit := strconv.Itoa(ratioUnit); s.Budgeting.Method {
	case RatioTimeslices:
		// The bad part is what the good one, rounded down, leaves. It is exact up to nine million bad events in a slice.
		return PromQL{
			Total:  unit + " * ((" + one.Total + ") > bool 0)",
			Judged: unit + " * ((" + one.Judged + ") > bool 0)",
			Bad:    "ceil(" + unit + " * (" + one.Bad + ") / ((" + one.Judged + ") > 0))",
		}
	default:
		good := "(" + one.Judged + ") - (" + one.Bad + ")"
		return PromQL{
			Total: "(" + one.Total + ") > bool 0", Judged: "(" + one.Judged + ") > bool 0",
			Bad: "(" + good + ") / ((" + one.Judged + ") > 0) < bool " + decimal(s.Budgeting.SliceTarget.rat),
		}
	}
}

// reportEvery is how often an instance says how many connections it has.
const reportEvery = 10 * time.Second

// beyond are the comparisons that break a limit.
var beyond = map[Operator]string{LessThan: ">=", LessOrEqual: ">", GreaterThan: "<=", GreaterOrEqual: "<"}

// measure is what a slice counts for that ends now, by its measure.
func (p promql) measure() PromQL {
	in := &p.slo.Indicator
	if in.Measure.ofRates() {
		return p.rates()
	}
	var seen, judged, value string
	switch in.Measure {
	case MeasureCount:
		seen = p.sum(p.rise(promEvents, ""))
		judged = seen
		value = "(" + p.sum(p.rises(promEvents, in.Total)) + " or 0 * " + seen + ") and (" + seen + ") > 0"
	case MeasureChurn:
		opens := p.sum(p.rises(promEvents, Selection{{Event: string(event.Open)}}))
		judged = p.sum(p.reports("sum", event.ConnectionsActive))
		seen = opens + " > 0 or " + p.sum(p.reports("count", event.ConnectionsActive))
		value = fmt.Sprintf("%d * (%s or 0 * %s) / (%d * (%s > 0))", int(time.Hour.Seconds()), opens, judged,
			int(reportEvery.Seconds()), judged)
	case MeasureIdle:
		seen = p.sum(p.reports("count", event.ConnectionsActive))
		judged = p.sum(p.reports("sum", event.ConnectionsActive, event.ConnectionsIdle))
		value = p.sum(p.reports("sum", event.ConnectionsIdle, event.ConnectionsActive)) + " / (" + judged + " > 0)"
	case MeasureCapacity:
		seen = p.sum(p.reports("count", event.ConnectionsActive))
		judged = p.sum(p.reports("sum", event.ConnectionsCapacity, event.ConnectionsActive))
		value = p.sum(p.reports("sum", event.ConnectionsActive, event.ConnectionsCapacity)) + " / (" + judged + " > 0)"
	}
	return PromQL{
		Total: "(" + seen + ") > bool 0", Judged: "(" + judged + ") > bool 0",
		Bad: "(" + value + ") " + beyond[in.Limit.Op] + " bool " + in.Limit.Value.String(),
	}
}

// rates judges a quantile of the connections that closed by how many of them are within the limit.
func (p promql) rates() PromQL {
	in := &p.slo.Indicator
	way, quantile, _ := strings.Cut(string(in.Measure), "_rate_")
	way = map[string]string{"received": "receive", "sent": "transmit"}[way]
	direction := matcher(schema.Direction, []string{way}, true)
	seen := p.sum(p.rise(promRates, ""))
	all := "round(" + p.sum(p.rise(promRates, direction)) + ")"
	limit := in.Limit.Value.Float64()
	within := "(round(" + p.sum(p.rise(promMetric{promRate + "_bucket", "le=~" + strconv.Quote(
		regexp.QuoteMeta(strconv.FormatFloat(limit, 'g', -1, 64))+"|"+strconv.FormatFloat(limit, 'f', -1, 64)+`(\.0)?`)},
		direction)) + ") or 0 * " + all + ")"
	// As many as the quantile's rank must be within the limit for the quantile to be.
	rank := "(" + all + " > 0)"
	if part, ok := strings.CutPrefix(quantile, "p"); ok {
		rank = "(floor(" + part + " * (" + rank + " - 1) / 100) + 1)"
	}
	op := map[bool]string{true: "<", false: ">="}[in.Limit.Op == LessThan || in.Limit.Op == LessOrEqual]
	return PromQL{
		Total: "(" + seen + ") > bool 0", Judged: "(" + all + ") > bool 0", Bad: within + " " + op + " bool " + rank}
}

// reports adds up, or counts, what each instance said of itself in the window, every time it said the others too.
func (p *promql) reports(function string, of event.Key, others ...event.Key) string {
	each := make([]string, 1+len(others))
	for i, k := range append([]event.Key{of}, others...) {
		each[i] = promName(k.String()) + "{" + strings.Join(p.common(), ",") + "}"
		if p.metrics == Buckets {
			each[i] = "last_over_time(" + each[i] + "[" + PromHalfOpen(reportEvery) + "])"
		}
	}
	return fmt.Sprintf("%s_over_time((%s)[%s:%s])", function, strings.Join(each, " and "), PromHalfOpen(p.window),
		PromDuration(reportEvery))
}

// known narrows a selection to what could be judged.
func known(s Selection) Selection {
	unknown := string(event.OutcomeUnknown)
	narrowed := make(Selection, len(s))
	for i, t := range s {
		if !slices.ContainsFunc(t.Where, func(f Filter) bool {
			return f.Dimension == schema.Outcome && !slices.Contains(f.Values, unknown)
		}) {
			t.Except = append(slices.Clone(t.Except), Filter{Dimension: schema.Outcome, Values: []string{unknown}})
		}
		narrowed[i] = t
	}
	return narrowed
}

// rest returns the terms of Total that are not Hit's. plain means that they are all that Hit leaves of it.
func (in *Indicator) rest() (rest Selection, plain bool) {
	equal := func(a Term) func(Term) bool {
		return func(b Term) bool { return a.within(b) && b.within(a) }
	}
	for _, hit := range in.Hit {
		if !slices.ContainsFunc(in.Total, equal(hit)) {
			return nil, false
		}
	}
	for _, t := range in.Total {
		if slices.ContainsFunc(in.Hit, equal(t)) {
			continue
		}
		if slices.ContainsFunc(in.Hit, func(hit Term) bool { return !t.disjoint(hit) }) {
			return nil, false
		}
		rest = append(rest, t)
	}
	return rest, len(rest) > 0
}

// disjoint reports whether no row is surely matched by both.
func (t Term) disjoint(o Term) bool {
	if t.Event != o.Event {
		return true
	}
	return slices.ContainsFunc(t.Where, func(f Filter) bool {
		return slices.ContainsFunc(o.Where, func(g Filter) bool {
			return f.Dimension == g.Dimension &&
				!slices.ContainsFunc(f.Values, func(v string) bool { return slices.Contains(g.Values, v) })
		})
	})
}

// promql writes the expressions of one window.
type promql struct {
	slo     *SLO
	window  time.Duration
	metrics Metrics
	// step, if not 0, is how the window is read: what ended in it, step by step, and after start if there is one.
	step  time.Duration
	start string
	// grouped tells groups apart. kept selects those that count by themselves; empty means all.
	grouped bool
	kept    string
}

// promMetric is a metric and the matchers that every use of it has.
type promMetric struct{ name, matchers string }

// Names at Prometheus: dots become underscores, and the unit and the kind are appended.
var (
	promEvents = promMetric{name: promName(event.MetricEvents) + "_total"}
	promTimed  = promMetric{name: promName(event.MetricEventDuration) + "_seconds_count"}
)

// promRate is the histogram of bytes per second, whose unit By/s is written out.
var (
	promRate  = promName(event.MetricConnectionRate) + "_bytes_per_second"
	promRates = promMetric{name: promRate + "_count"}
)

// promBucket is the bucket of a bound, which the classic format writes as 1 and OpenMetrics as 1.0.
func promBucket(bound time.Duration) promMetric {
	le := strconv.FormatFloat(bound.Seconds(), 'f', -1, 64)
	matcher := `le=` + strconv.Quote(le)
	if !strings.Contains(le, ".") {
		matcher = `le=~` + strconv.Quote(le+`(\.0)?`)
	}
	return promMetric{promName(event.MetricEventDuration) + "_seconds_bucket", matcher}
}

func promName(name string) string { return strings.ReplaceAll(name, ".", "_") }

// promLabels are the labels of the dimensions.
var promLabels = map[string]string{
	schema.Service: promName(event.ServiceName), schema.Environment: promName(event.Environment),
	schema.Region: promName(event.Region), schema.Vantage: promName(event.Vantage.String()),
	schema.Visibility: promName(event.SourceVisibility.String()), schema.Tenant: promName(event.TenantID.String()),
	schema.EventName: promName(event.MetricEvent), schema.Direction: promName(event.Direction.String()),
	schema.Outcome: promName(event.MetricOutcome), schema.ErrorType: promName(event.ErrorType.String()),
	schema.Fault: promName(event.MetricFault), schema.Policy: promName(event.MetricPolicy),
}

// PromLabel returns the label of a dimension.
func PromLabel(dimension string) string { return promLabels[dimension] }

// PromMatchers are the matchers of what a term matches, as between the braces of a selector.
func (t Term) PromMatchers() string {
	return strings.Join(append([]string{matcher(schema.EventName, []string{t.Event}, true)}, filters(t)...), ",")
}

// rises is a vector of what each series of a selection rose by; one that several terms match is there once.
func (p *promql) rises(m promMetric, s Selection) string {
	each := make([]string, len(s))
	for i, t := range s {
		each[i] = p.rise(m, t.PromMatchers())
	}
	return strings.Join(each, " or ")
}

// rise is what each series of a metric rose by.
func (p *promql) rise(m promMetric, matchers string) string {
	all := p.common()
	for _, one := range []string{matchers, m.matchers} {
		if one != "" {
			all = append(all, one)
		}
	}
	selector := m.name + "{" + strings.Join(all, ",") + "}"
	switch {
	case p.metrics == Counters:
		return "increase(" + selector + "[" + PromDuration(p.window) + "])"
	case p.step == 0:
		return "sum_over_time(" + selector + "[" + PromHalfOpen(p.window) + "])"
	}
	return p.steps("sum_over_time(" + selector + "[" + PromHalfOpen(p.step) + "])")
}

// steps adds up what each step of the window counted.
func (p *promql) steps(each string) string {
	return PromSteps("("+each+")", p.window, p.step, p.start)
}

// PromSteps adds up what each step of a window counted, and nothing of what began before start, if start selects anything.
func PromSteps(each string, window, step time.Duration, start string) string {
	if start != "" {
		each = "(" + each + " and on () (" + start + " @ end() < time()))"
	}
	return "sum_over_time(" + each + "[" + PromHalfOpen(window) + ":" + PromDuration(step) + "])"
}

// sum adds up a vector, or does so for each group.
func (p *promql) sum(vector string) string {
	switch {
	case !p.grouped:
		return "sum(" + vector + ")"
	case p.kept == "":
		return "sum by (" + strings.Join(p.slo.PromBy(), ", ") + ") (" + vector + ")"
	}
	return p.slo.PromFold(vector, p.kept)
}

// PromFold adds up a vector for each group, the groups that are not kept together.
func (s *SLO) PromFold(vector, kept string) string {
	by := strings.Join(s.PromBy(), ", ")
	return fmt.Sprintf(`(sum by (slo) ((%[1]s) * on (%[2]s) group_left (slo) %[3]s) or `+
		`label_replace(sum((%[1]s) unless on (%[2]s) %[3]s), "slo", %[4]s, "", ""))`,
		vector, by, kept, strconv.Quote(dollars(s.groupName(nil))))
}

// PromBy are the labels of what the SLO is grouped by.
func (s *SLO) PromBy() []string {
	by := make([]string, len(s.Grouping.By))
	for i, d := range s.Grouping.By {
		by[i] = promLabels[d]
	}
	return by
}

// WeightPromQL is what each group counted in a window, which ranks them.
func (s *SLO) WeightPromQL(window time.Duration, metrics Metrics) string {
	return promql{slo: s, window: window, metrics: metrics}.weight()
}

// BudgetWeightPromQL is WeightPromQL of the budget window, of [Buckets].
func (s *SLO) BudgetWeightPromQL(start string) string {
	p := s.budgetPromQL(Buckets, start, "")
	return p.weight()
}

// Ended is the SLO without the connections that are still open, which OpenPromQL gives.
func (s *SLO) Ended() *SLO {
	ended := *s
	ended.Indicator.Active = false
	return &ended
}

// OpenPromQL is a vector of the connections that are open, or empty where they do not count.
func (s *SLO) OpenPromQL(metrics Metrics) string {
	if !s.Indicator.Active {
		return ""
	}
	p := promql{slo: s, metrics: metrics}
	return p.active()
}

// BudgetName is the name of the budget window, as in the names of recorded series. Days of a calendar are told from as many
// that roll.
func (s *SLO) BudgetName() string {
	if s.Calendar != nil {
		return s.Calendar.name() + map[string]string{"d": "_calendar"}[s.Calendar.Unit]
	}
	return PromDuration(s.Window)
}

// Longest is how long the budget window can be.
func (s *SLO) Longest() time.Duration { return s.longest() }

func (p promql) weight() string {
	in := &p.slo.Indicator
	var of string
	switch {
	case in.Measure == MeasureCount:
		of = p.rise(promEvents, "")
	case in.Measure == MeasureChurn:
		of = p.reports("count", event.ConnectionsActive) + " or " +
			p.rises(promEvents, Selection{{Event: string(event.Open)}})
	case in.Measure.ofRates():
		of = p.rise(promRates, "")
	case in.Measure.ofGauges():
		of = p.reports("count", event.ConnectionsActive)
	default:
		if of = p.rises(promEvents, slices.Concat(in.Total, in.Unjudged)); in.Active {
			of += " or " + p.active()
		}
	}
	return "sum by (" + strings.Join(p.slo.PromBy(), ", ") + ") (" + of + ")"
}

// KeptPromQL is 1 for each of the groups that count by themselves, of those that weight ranks. The label slo has the group's
// name.
func (s *SLO) KeptPromQL(weight string) string {
	by := make([]string, len(s.Grouping.By))
	for i, label := range s.PromBy() {
		by[i] = strconv.Quote(label)
	}
	between := strings.Split(s.groupName(slices.Repeat([]string{"\x00"}, len(by))), `\x00`)
	first, last := between[0], between[len(between)-1]
	joined := strings.Join(between[1:len(between)-1], "")
	return fmt.Sprintf(`label_replace(label_join(topk(%d, (%s) > 0), "slo", %s, %s), "slo", %s, "slo", "(.*)") ^ 0`,
		s.Grouping.Max, weight, strconv.Quote(joined), strings.Join(by, ", "),
		strconv.Quote(dollars(first)+"$1"+dollars(last)))
}

// dollars keeps a replacement from referring to what was matched.
func dollars(text string) string { return strings.ReplaceAll(text, "$", "$$") }

func (p *promql) common() []string {
	of := []string{
		matcher(schema.Service, []string{p.slo.Service}, true),
		matcher(schema.Vantage, []string{p.slo.Indicator.Vantage}, true),
	}
	if env := p.slo.Indicator.Environment; env != "" {
		of = append(of, matcher(schema.Environment, []string{env}, true))
	}
	return of
}

// active is how many connections are open, by those who know. What the term of the total asks for, the gauges have too.
func (p *promql) active() string {
	open := promName(event.ConnectionsActive.String()) + "{" +
		strings.Join(append(p.common(), filters(p.slo.Indicator.Total[0])...), ",") + "}"
	if p.metrics == Counters {
		return open
	}
	// What was said in the last minute that has ended.
	return fmt.Sprintf("last_over_time(last_over_time(%s[%s])[%[2]s:%s])", open, PromHalfOpen(openWithin),
		PromDuration(time.Minute))
}

func filters(t Term) (matchers []string) {
	for _, f := range t.Where {
		matchers = append(matchers, matcher(f.Dimension, f.Values, true))
	}
	for _, f := range t.Except {
		matchers = append(matchers, matcher(f.Dimension, f.Values, false))
	}
	return matchers
}

// matcher matches a dimension with any of the values, or with none of them.
func matcher(dimension string, values []string, is bool) string {
	op := map[bool]string{true: "=", false: "!="}[is]
	value := values[0]
	if len(values) > 1 {
		op = map[bool]string{true: "=~", false: "!~"}[is]
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = regexp.QuoteMeta(v)
		}
		value = strings.Join(quoted, "|")
	}
	return promLabels[dimension] + op + strconv.Quote(value)
}

// PromDuration is a duration as PromQL has it, in its largest whole unit.
func PromDuration(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// PromHalfOpen is a range that takes as many of samples that come at a step of its as fit, whichever moment it ends at.
// Prometheus before 3 takes both ends of a range, later ones the right end only; a millisecond less is half-open in
// both.
func PromHalfOpen(window time.Duration) string { return PromDuration(window - time.Millisecond) }

// Threshold is the error ratio that burns as fast as r says, as an exact decimal: a correctly rounded quotient of
// counts compares with it as the fractions themselves do.
func (s *SLO) Threshold(r Rule) string {
	return decimal(new(big.Rat).Mul(r.Burn.rat, s.budget()))
}

// decimal is the exact decimal of a product of decimals.
func decimal(r *big.Rat) string {
	places := 0
	for scaled := new(big.Rat).Set(r); !scaled.IsInt() && places < 4*maxDecimals; places++ {
		scaled.Mul(scaled, big.NewRat(10, 1))
	}
	return trim(r.FloatString(places))
}

// BudgetFraction is the error budget as an exact factor; that of a composite need not have a decimal form.
func (s *SLO) BudgetFraction() string {
	if budget := s.budget(); !finite(budget) {
		return budget.Num().String() + " / " + budget.Denom().String()
	}
	return decimal(s.budget())
}

// finite reports whether a number has a decimal form of at most as many places as documents may write.
func finite(r *big.Rat) bool {
	exact := new(big.Int).Exp(big.NewInt(10), big.NewInt(maxDecimals), nil)
	return new(big.Int).Rem(exact, r.Denom()).Sign() == 0
}
