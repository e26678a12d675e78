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
	in := &s.Indicator
	switch {
	case len(s.Members) > 0:
		return PromQL{}, errors.New("it is a composite; write its members as SLOs of their own, " +
			"or let the engine evaluate it")
	case s.Budgeting.Method == RatioTimeslices:
		return PromQL{}, fmt.Errorf("budgetingMethod %s rounds each slice, which floating-point numbers cannot; "+
			"let the engine evaluate it", s.Budgeting.Method)
	case in.Measure != "":
		return PromQL{}, fmt.Errorf("its measure %s is judged minute by minute; let the engine evaluate it", in.Measure)
	case s.Budgeting.Method == Timeslices:
		return s.slicesPromQL(window, metrics, judged)
	}
	p := promql{service: s.Service, in: in, window: window, metrics: metrics}
	out := PromQL{Total: sum(p.rises(promEvents, append(slices.Clone(in.Total), in.Unjudged...)))}
	of, hit := p.rises(promEvents, known(in.Total)), p.rises(promEvents, known(in.Hit))
	if in.Threshold != 0 {
		of, hit = p.rises(promTimed, in.Total), p.rises(promBucket(in.Threshold), in.Hit)
	}
	out.Judged = sum(of)
	if in.Active {
		open := p.active()
		with := func(counted string) string { return counted + " + (" + open + " or vector(0)) or " + open }
		out.Total, out.Judged = with(out.Total), with(out.Judged)
	}
	if judged == "" {
		judged = "(" + out.Judged + ")"
	}
	switch {
	case in.Threshold != 0:
		out.Bad = "clamp_min(" + judged + " - " + sum(hit) + ", 0)"
	case in.Separate:
		// The less of the two.
		out.Bad = "(" + sum(hit) + " or vector(0)) <= " + judged + " or " + judged
	case in.HitIsBad:
		out.Bad = sum(hit)
	default:
		if rest, plain := in.rest(); plain {
			out.Bad = sum(p.rises(promEvents, known(rest)))
		} else {
			out.Bad = "sum((" + of + ") unless (" + hit + "))"
		}
	}
	if !in.Separate {
		// Nothing bad is 0, where anything is known.
		out.Bad += " or 0 * " + judged
	}
	return out, nil
}

// slicesPromQL counts slices: a subquery evaluates each of them at its end. Windows are whole slices, and end with the
// last one that has ended.
func (s *SLO) slicesPromQL(window time.Duration, metrics Metrics, judged string) (PromQL, error) {
	slice := s.Budgeting.Slice
	events := *s
	events.Budgeting = Budgeting{Method: Occurrences}
	one, err := events.PromQL(slice, metrics, "")
	if err != nil {
		return PromQL{}, err
	}
	window = (window + slice - 1) / slice * slice
	over := func(each string) string {
		return "sum_over_time((" + each + ")[" + PromHalfOpen(window) + ":" + PromDuration(slice) + "])"
	}
	out := PromQL{Total: over("(" + one.Total + ") > bool 0"), Judged: over("(" + one.Judged + ") > bool 0")}
	if judged == "" {
		judged = out.Judged
	}
	good := "(" + one.Judged + ") - (" + one.Bad + ")"
	target := decimal(s.Budgeting.SliceTarget.rat)
	out.Bad = over("("+good+") / (("+one.Judged+") > 0) < bool "+target) + " or 0 * " + judged
	return out, nil
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
	service string
	in      *Indicator
	window  time.Duration
	metrics Metrics
}

// promMetric is a metric and the matchers that every use of it has.
type promMetric struct{ name, matchers string }

// Names at Prometheus: dots become underscores, and the unit and the kind are appended.
var (
	promEvents = promMetric{name: promName(event.MetricEvents) + "_total"}
	promTimed  = promMetric{name: promName(event.MetricEventDuration) + "_seconds_count"}
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
		matchers := append(p.common(), t.PromMatchers())
		if m.matchers != "" {
			matchers = append(matchers, m.matchers)
		}
		selector := m.name + "{" + strings.Join(matchers, ",") + "}"
		if p.metrics == Buckets {
			each[i] = "sum_over_time(" + selector + "[" + PromHalfOpen(p.window) + "])"
		} else {
			each[i] = "increase(" + selector + "[" + PromDuration(p.window) + "])"
		}
	}
	return strings.Join(each, " or ")
}

func (p *promql) common() []string {
	of := []string{
		matcher(schema.Service, []string{p.service}, true), matcher(schema.Vantage, []string{p.in.Vantage}, true)}
	if p.in.Environment != "" {
		of = append(of, matcher(schema.Environment, []string{p.in.Environment}, true))
	}
	return of
}

// active is how many connections are open, by those who know. What the term of the total asks for, the gauges have too.
func (p *promql) active() string {
	matchers := append(p.common(), filters(p.in.Total[0])...)
	return "sum(" + promName(event.ConnectionsActive.String()) + "{" + strings.Join(matchers, ",") + "})"
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

func sum(vector string) string { return "sum(" + vector + ")" }

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
