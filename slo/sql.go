package slo

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// openWithin is how lately an instance must have said how many connections it has for them to count as open.
const openWithin = time.Minute

// Columns of the statements, besides those of the tables.
const (
	sumCount  = "n"
	sumJudged = "judged_n"
	sumTimed  = "timed_n"
)

// sql is the statement: one SELECT for each part.
func (q *Query) sql() string {
	var statements []string
	for i, p := range q.parts {
		if !p.ranks {
			statements = append(statements, q.answer(i, p))
		}
	}
	return strings.Join(statements, "\nUNION ALL\n")
}

// answer selects the rows that [Query.Read] reads: part, slot, group, span, and three sums.
func (q *Query) answer(index int, p *part) string {
	head := fmt.Sprintf("SELECT toUInt8(%d) AS part, slot, grp, ", index)
	fold := q.fold(p, p.slots, false)
	switch {
	case p.kind == ofActive:
		return head + "toUInt32(0) AS span, sum(h) AS hits, sum(h) AS totals, sum(h) AS judgeds\nFROM\n(\n" + indent(fold) +
			"\n)\nGROUP BY slot, grp"
	case p.slice == 0:
		return head + "toUInt32(at) AS span, sum(h) AS hits, sum(t) AS totals, sum(j) AS judgeds\nFROM\n(\n" + indent(fold) +
			"\n)\nGROUP BY slot, grp, span"
	}
	good, unit := q.judgement(p)
	var b strings.Builder
	b.WriteString(head + "toUInt32(" + p.span("at", p.sliceOf) + ") AS span,\n")
	fmt.Fprintf(&b, "    sumIf(toUInt64(%s), j > 0) AS hits,\n", good)
	fmt.Fprintf(&b, "    sumIf(toUInt64(%s), t > 0) AS totals,\n", unit)
	fmt.Fprintf(&b, "    sumIf(toUInt64(%s), j > 0) AS judgeds\nFROM\n(\n", unit)
	if p.kind == ofRates {
		b.WriteString(indent(fold))
	} else {
		b.WriteString("    SELECT slot, grp, at, sum(h) AS h, sum(t) AS t, sum(j) AS j\n    FROM\n    (\n" +
			indent(indent(fold)) + "\n    )\n    GROUP BY slot, grp, at")
	}
	b.WriteString("\n)\nGROUP BY slot, grp, span")
	return b.String()
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

func (p *part) sliceOf(bound int64) string {
	slice := int64(p.slice / time.Second)
	if p.asof != "" {
		return fmt.Sprintf("intDiv(toUnixTimestamp(%s), %d) - %d", p.asof, slice, (p.end-bound)/slice)
	}
	return fmt.Sprint(bound / slice)
}

// bucketOf is a bound as a bucket is compared with it.
func (p *part) bucketOf(bound int64) string {
	if p.asof != "" {
		return fmt.Sprintf("%s - %d", p.asof, p.end-bound)
	}
	return fmt.Sprintf("toDateTime(%d)", bound)
}

// span is the index of the span that a value falls into.
func (p *part) span(value string, of func(int64) string) string {
	if len(p.bounds) < 2 {
		return "0"
	}
	var b strings.Builder
	b.WriteString("multiIf(")
	for i := len(p.bounds) - 1; i > 0; i-- {
		fmt.Fprintf(&b, "%s >= %s, %d, ", value, of(p.bounds[i]), i)
	}
	b.WriteString("0)")
	return b.String()
}

// judgement is what a whole slice counts for: the good, and the unit.
func (q *Query) judgement(p *part) (good, unit string) {
	goods, units := map[string][]int{}, map[string][]int{}
	for _, i := range p.slots {
		g, u := q.slots[i].slo.judgement()
		goods[g], units[u] = append(goods[g], i), append(units[u], i)
	}
	return oneOf(goods), oneOf(units)
}

// oneOf chooses an expression by the slot.
func oneOf(expressions map[string][]int) string {
	texts := make([]string, 0, len(expressions))
	for e := range expressions {
		texts = append(texts, e)
	}
	slices.SortFunc(texts, func(a, b string) int { return expressions[a][0] - expressions[b][0] })
	if len(texts) == 1 {
		return texts[0]
	}
	var b strings.Builder
	b.WriteString("multiIf(")
	for _, e := range texts[:len(texts)-1] {
		fmt.Fprintf(&b, "slot IN (%s), %s, ", numbers(expressions[e]), e)
	}
	b.WriteString(texts[len(texts)-1] + ")")
	return b.String()
}

func numbers(values []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(values), " ", ", "), "[]")
}

func (s *SLO) judgement() (good, unit string) {
	in := s.Indicator
	if in.Measure.ofRates() {
		return fmt.Sprintf("%s %s toFloat64('%s')", in.Measure.rateColumn(), sqlOperator[in.Limit.Op], in.Limit.Value), "1"
	}
	if in.Measure != "" {
		num, den := fraction(in.Limit.Value)
		// The measure is h/j, of churn by the hour.
		h, j := "toUInt256(h)", "toUInt256(j)"
		switch in.Measure {
		case MeasureChurn:
			h += " * 3600"
		case MeasureCount:
			j = "1"
		}
		return fmt.Sprintf("%s * %s %s %s * toUInt256('%s')", h, den, sqlOperator[in.Limit.Op], j, num), "1"
	}
	hits := "least(h, j)"
	if in.HitIsBad {
		hits = "(j - least(h, j))"
	}
	if s.Budgeting.Method == RatioTimeslices {
		return fmt.Sprintf("intDiv(toUInt128(%s) * %d, greatest(j, 1))", hits, ratioUnit), fmt.Sprint(ratioUnit)
	}
	num, den := fraction(s.Budgeting.SliceTarget)
	return fmt.Sprintf("toUInt128(%s) * %s >= toUInt128(j) * %s", hits, den, num), "1"
}

var sqlOperator = map[Operator]string{LessThan: "<", LessOrEqual: "<=", GreaterThan: ">", GreaterOrEqual: ">="}

// fraction returns numerator and denominator of a number of a document: the former below 10^24, the latter at most 10^12.
func fraction(n Number) (num, den string) {
	if n.rat == nil {
		n = rat(new(big.Rat))
	}
	return n.rat.Num().String(), n.rat.Denom().String()
}

// fold selects slot, grp, at, h, t, j of some slots of a part: at is the span, or the slice in a part of slices, h the
// hits, t the total and j what was judged. For the ranking, at is the span, and only the budget window counts.
func (q *Query) fold(p *part, slots []int, ranking bool) string {
	switch p.kind {
	case ofGauges:
		folds := []string{q.foldGauges(p, slots, ranking)}
		var churn []int
		for _, i := range slots {
			if q.slots[i].slo.Indicator.Measure == MeasureChurn {
				churn = append(churn, i)
			}
		}
		if len(churn) > 0 {
			folds = append(folds, q.foldRollup(p, schema.Rollup1m, churn, ranking))
		}
		return strings.Join(folds, "\nUNION ALL\n")
	case ofRates:
		return q.foldRates(p, slots, ranking)
	case ofActive:
		return q.foldActive(p, slots, ranking)
	default:
		return q.foldRollup(p, p.table, slots, ranking)
	}
}

// ranking selects those groups of some slots that count by themselves, as (slot, grp).
func (q *Query) ranking(slots []int) string {
	places, most := q.places(slots)
	return "SELECT slot, grp FROM\n(\n" + indent(places) + "\n)\nWHERE place <= " + most
}

// places selects slot, grp, and the place of every group of some slots; limit is an expression of how many count by themselves.
func (q *Query) places(slots []int) (sql, limit string) {
	var folds []string
	for _, p := range q.parts {
		var of []int
		for _, i := range p.slots {
			if slices.Contains(slots, i) && (q.parts[q.slots[i].budget.part] == p || p.kind == ofActive) {
				of = append(of, i)
			}
		}
		if len(of) > 0 {
			folds = append(folds, "SELECT slot, grp, t FROM\n(\n"+indent(q.fold(p, of, true))+"\n)")
		}
	}
	most := map[string][]int{}
	for _, i := range slots {
		limit := fmt.Sprint(q.slots[i].slo.Grouping.Max)
		most[limit] = append(most[limit], i)
	}
	return fmt.Sprintf(`SELECT slot, grp, row_number() OVER (PARTITION BY slot ORDER BY sum(t) DESC, grp) AS place
FROM
(
%s
)
GROUP BY slot, grp`, indent(strings.Join(folds, "\nUNION ALL\n"))), oneOf(most)
}

// group is the column of the group's key, folded if it is not among the first.
func (q *Query) group(p *part, slots []int, ranking bool) string {
	switch {
	case !p.grouped:
		return "''"
	case ranking:
		return "m.3"
	}
	return "if((m.1, m.3) IN\n(\n" + indent(q.ranking(slots)) + "\n), m.3, " + quote(OtherGroups) + ")"
}

// match is how one slot takes part in a fold: which of the inner query's rows, and what they count.
type match struct{ when, h, t, j string }

// matched is the outer half of a fold: the inner query's rows, matched against slots. It selects more besides.
func (q *Query) matched(p *part, slots []int, ranking bool, more, inner string, of func(*SLO) match) string {
	var b strings.Builder
	first := 3
	if p.grouped {
		first = 4
	}
	fmt.Fprintf(&b, "SELECT m.1 AS slot, %s AS grp, at, m.%d AS h, m.%d AS t, m.%d AS j%s\nFROM\n(\n%s\n)\n",
		q.group(p, slots, ranking), first, first+1, first+2, more, indent(inner))
	b.WriteString("ARRAY JOIN arrayFilter(x -> x.2, [")
	for n, i := range slots {
		t := q.slots[i]
		m := of(t.slo)
		if p.asof != "" {
			m.when += " AND NOT hasAny(out, ['', " + quote(t.slo.Name) + "])"
		}
		if ranking && p.kind != ofActive {
			m.when += fmt.Sprintf(" AND at >= %d", slices.Index(p.bounds, t.budget.from))
			excluded := t.slo.excludedBy(p.step())
			for span, bound := range p.bounds {
				if within(excluded, bound) {
					m.when += fmt.Sprintf(" AND at != %d", span)
				}
			}
		}
		key := ""
		if p.grouped {
			values := make([]string, len(t.slo.Grouping.By))
			for k, d := range t.slo.Grouping.By {
				values[k] = "hex(" + d + ")"
			}
			key = "concat('x', " + strings.Join(values, ", '.', ") + "), "
		}
		if n > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n    (toUInt32(%d), %s, %s%s, %s, %s)", i, m.when, key, m.h, m.t, m.j)
	}
	b.WriteString("\n]) AS m")
	return b.String()
}

// at is the inner query's first column.
func (p *part) at(ranking bool) string {
	if p.slice == 0 || ranking {
		return p.span(schema.Bucket, p.bucketOf)
	}
	return fmt.Sprintf("intDiv(toUnixTimestamp(%s), %d)", schema.Bucket, p.slice/time.Second)
}

// left is, of a statement that finds exclusions by itself, two more columns of the inner query, and a key for it to group by:
// buckets between two cuts are excluded alike, and out are the names of the SLOs that they are excluded from.
func (p *part) left(second string) (columns, key string) {
	if p.asof == "" {
		return "", ""
	}
	step := p.step() / time.Second
	return fmt.Sprintf(`,
    roundDown(%s, %s) AS piece,
    arrayMap(e -> e.2, arrayFilter(e -> e.1 = %s AND e.3 < piece + %d AND e.4 > piece,
        exclusions)) AS out`, second, cuts(p.step()),
		schema.Service, step), ", piece"
}

// cuts is the name of the moments at which exclusions begin and end, in whole steps.
func cuts(step time.Duration) string { return fmt.Sprintf("cuts_%ds", step/time.Second) }

const secondOfBucket = "toUnixTimestamp(" + schema.Bucket + ")"

// of narrows a slot to its service, vantage and environment.
func (s *SLO) of() string {
	of := schema.Service + " = " + quote(s.Service) + " AND " + schema.Vantage + " = " + quote(s.Indicator.Vantage)
	if s.Indicator.Environment != "" {
		of += " AND " + schema.Environment + " = " + quote(s.Indicator.Environment)
	}
	return of
}

// where narrows a scan to its time and to what some slot needs.
func (q *Query) where(p *part, slots []int, events bool) string {
	between := fmt.Sprintf("WHERE bucket >= %s AND bucket < %s", p.bucketOf(p.bounds[0]), p.bucketOf(p.end))
	return between + q.narrow(slots, events)
}

// narrow is the condition of rows, at any time, that some slot needs.
func (q *Query) narrow(slots []int, events bool) string {
	var b strings.Builder
	list := func(dimension string, each func(s *SLO, add func(string))) {
		fmt.Fprintf(&b, "\n    AND %s IN (%s)", dimension, quoteAll(q.collect(slots, each)))
	}
	list(schema.Service, func(s *SLO, add func(string)) { add(s.Service) })
	list(schema.Vantage, func(s *SLO, add func(string)) { add(s.Indicator.Vantage) })
	if events {
		list(schema.EventName, func(s *SLO, add func(string)) {
			for _, t := range s.Indicator.terms() {
				add(t.Event)
			}
			if s.Indicator.Measure == MeasureChurn {
				add(string(event.Open))
			}
		})
	}
	return b.String()
}

// spans are those that the bounds of a part divide its time into.
func (p *part) spans() []interval {
	spans := make([]interval, len(p.bounds))
	for i, from := range p.bounds {
		spans[i] = interval{from, p.end}
		if i > 0 {
			spans[i-1].to = from
		}
	}
	return spans
}

func (q *Query) foldRollup(p *part, table string, slots []int, ranking bool) string {
	any := func(is func(*SLO) bool) bool {
		return slices.ContainsFunc(slots, func(i int) bool { return is(q.slots[i].slo) })
	}
	var b strings.Builder
	left, piece := p.left(secondOfBucket)
	fmt.Fprintf(&b, "SELECT\n    %s AS at%s", p.at(ranking), left)
	dimensions := q.dimensions(slots, schema.Dimensions(), schema.EventName)
	for _, d := range dimensions {
		b.WriteString(",\n    " + d)
	}
	measures := []string{schema.Count, schema.Judged}
	fmt.Fprintf(&b, ",\n    sum(%s) AS %s", schema.Count, sumCount)
	fmt.Fprintf(&b, ",\n    sum(%s) AS %s", schema.Judged, sumJudged)
	if any(func(s *SLO) bool { return s.Indicator.Threshold != 0 }) {
		measures = append(measures, schema.DurationCount)
		fmt.Fprintf(&b, ",\n    sum(%s) AS %s", schema.DurationCount, sumTimed)
	}
	for _, bound := range event.DurationBounds {
		if any(func(s *SLO) bool { return s.Indicator.Threshold == bound }) {
			measures = append(measures, schema.DurationColumn(bound))
			fmt.Fprintf(&b, ",\n    sum(%s) AS %s", schema.DurationColumn(bound), fast(bound))
		}
	}
	events := !any(func(s *SLO) bool { return s.Indicator.Measure == MeasureCount })
	if table == schema.Rollup1m && p.slice == 0 && p.asof == "" && p.end-p.bounds[0] >= coverFrom {
		minutes, quarters := cover(p.spans())
		columns := slices.Concat(dimensions, measures)
		rows := rowsOf(table, minutes, quarters, q.narrow(slots, events), reading(columns...))
		b.WriteString("\nFROM\n(\n" + indent(rows) + "\n)")
	} else {
		b.WriteString("\nFROM " + table + "\n" + q.where(p, slots, events))
	}
	b.WriteString("\nGROUP BY at" + piece + ", " + strings.Join(dimensions, ", "))
	return q.matched(p, slots, ranking, "", b.String(), (*SLO).match)
}

// match is how an SLO counts a row of a rollup.
func (s *SLO) match() match {
	in := s.Indicator
	when := s.of()
	switch in.Measure {
	case MeasureCount:
		return match{when, "if(" + in.Total.SQL() + ", " + sumCount + ", 0)", sumCount, sumCount}
	case MeasureChurn:
		return match{when + " AND " + schema.EventName + " = " + quote(string(event.Open)), sumCount, sumCount, "0"}
	}
	hit, judged := sumJudged, sumJudged
	if in.Threshold != 0 {
		hit, judged = fast(in.Threshold), sumTimed
	}
	counts := func(selection Selection, what string) string {
		return "if(" + selection.SQL() + ", " + what + ", 0)"
	}
	all := slices.Concat(in.Total, in.Unjudged)
	any := all
	if in.Separate {
		any = slices.Concat(in.Hit, all)
	}
	return match{when + " AND " + any.SQL(), counts(in.Hit, hit), counts(all, sumCount), counts(in.Total, judged)}
}

// sideDimensions are those of the side tables, in the order of their keys.
var sideDimensions = []string{schema.Service, schema.Environment, schema.Region, schema.Vantage}

// reports are what each instance said in each bucket.
func reports(where string) string {
	listed := strings.Join(sideDimensions, ", ")
	return "SELECT bucket, " + listed + ", instance, max(active) AS a, max(idle) AS i, max(capacity) AS c\nFROM " +
		schema.Gauges10s + "\n" + where + "\nGROUP BY bucket, " + listed + ", instance"
}

// foldGauges counts what instances said of themselves: each report of 10 seconds, added up over instances and time.
func (q *Query) foldGauges(p *part, slots []int, ranking bool) string {
	dimensions := q.dimensions(slots, sideDimensions, "")
	left, piece := p.left(secondOfBucket)
	inner := "SELECT\n    " + p.at(ranking) + " AS at" + left + ",\n    " + strings.Join(dimensions, ",\n    ") + `,
    count() AS reports,
    sum(ifNull(a, 0)) AS active_sum,
    sumIf(ifNull(i, 0), a IS NOT NULL) AS idle_sum,
    sumIf(ifNull(a, 0), i IS NOT NULL) AS active_with_idle,
    sumIf(ifNull(c, 0), a IS NOT NULL) AS capacity_sum,
    sumIf(ifNull(a, 0), c IS NOT NULL) AS active_with_capacity
FROM
(
` + indent(reports(q.where(p, slots, false))) + `
)
GROUP BY at` + piece + `, ` + strings.Join(dimensions, ", ")
	return q.matched(p, slots, ranking, "", inner, func(s *SLO) match {
		m := match{when: s.of(), t: "reports"}
		switch s.Indicator.Measure {
		case MeasureIdle:
			m.h, m.j = "idle_sum", "active_with_idle"
		case MeasureCapacity:
			m.h, m.j = "active_with_capacity", "capacity_sum"
		case MeasureChurn:
			m.h, m.j = "0", "active_sum * 10" // connection-seconds
		}
		return m
	})
}

// foldActive counts the connections open at the end of the part: what each instance said last.
func (q *Query) foldActive(p *part, slots []int, ranking bool) string {
	return q.matched(p, slots, ranking, "", q.open(p, slots), func(s *SLO) match {
		when := s.of()
		for _, f := range s.Indicator.Total[0].Where {
			when += " AND " + f.Dimension + " IN (" + quoteAll(f.Values) + ")"
		}
		for _, f := range s.Indicator.Total[0].Except {
			when += " AND " + f.Dimension + " NOT IN (" + quoteAll(f.Values) + ")"
		}
		return match{when, "active_sum", "active_sum", "active_sum"}
	})
}

// open selects the connections open at the end of the part, by the dimensions of the side tables.
func (q *Query) open(p *part, slots []int) string {
	from := &part{scan: p.scan, bounds: []int64{p.end - int64(openWithin/time.Second)}}
	listed := strings.Join(sideDimensions, ", ")
	left, _ := p.left("toUnixTimestamp(" + p.bucketOf(p.end-1) + ")")
	return "SELECT 0 AS at" + left + ", " + listed + `, sum(open) AS active_sum
FROM
(
    SELECT ` + listed + `, instance,
        argMaxIf(ifNull(active, 0), (bucket, ifNull(active, 0)), active IS NOT NULL) AS open
    FROM ` + schema.Gauges10s + "\n" + indent(q.where(from, slots, false)) + `
    GROUP BY ` + listed + `, instance
)
GROUP BY ` + listed
}

const quantiles = "quantilesDDMerge%s(0.01, 0.5, 0.95, 0.99)"

// foldRates merges the sketches of bytes per second, each slice's into one, and reads them.
func (q *Query) foldRates(p *part, slots []int, ranking bool) string {
	dimensions := q.dimensions(slots, sideDimensions, "")
	left, piece := p.left(secondOfBucket)
	inner := "SELECT\n    " + p.at(ranking) + " AS at" + left + ",\n    " + strings.Join(dimensions, ",\n    ")
	for _, way := range []string{"received", "sent"} {
		inner += fmt.Sprintf(`,
    sum(%[1]s_count) AS %[1]s_n,
    %[2]s(%[1]s_rate) AS %[1]s_state,
    max(%[1]s_rate_max) AS %[1]s_highest`, way, fmt.Sprintf(quantiles, "State"))
	}
	inner += "\nFROM " + schema.ConnectionRate + "\n" + q.where(p, slots, false) + "\nGROUP BY at" + piece + ", " +
		strings.Join(dimensions, ", ")
	of := func(s *SLO) match {
		return match{s.of(), "0", "received_n + sent_n", strings.SplitN(string(s.Indicator.Measure), "_", 2)[0] + "_n"}
	}
	const states = ", received_state, sent_state, received_highest, sent_highest"
	matched := q.matched(p, slots, ranking, states, inner, of)
	if ranking {
		return matched
	}
	merge := fmt.Sprintf(quantiles, "")
	return fmt.Sprintf(`SELECT slot, grp, at, sum(t) AS t, sum(j) AS j,
    %[1]s(received_state) AS received, %[1]s(sent_state) AS sent,
    ifNull(max(received_highest), 0) AS received_max, ifNull(max(sent_highest), 0) AS sent_max
FROM
(
%[2]s
)
GROUP BY slot, grp, at`, merge, indent(matched))
}

// rateColumn is the column of foldRates that a measure is.
func (m Measure) rateColumn() string {
	way, rest, _ := strings.Cut(string(m), "_rate_")
	return map[string]string{"p50": way + "[1]", "p95": way + "[2]", "p99": way + "[3]", "max": way + "_max"}[rest]
}

// SQL is the condition of what a selection matches, on the events or a tier of the rollup.
func (s Selection) SQL() string {
	terms := make([]string, len(s))
	for i, t := range s {
		conditions := []string{schema.EventName + " = " + quote(t.Event)}
		for _, f := range t.Where {
			conditions = append(conditions, f.Dimension+" IN ("+quoteAll(f.Values)+")")
		}
		for _, f := range t.Except {
			conditions = append(conditions, f.Dimension+" NOT IN ("+quoteAll(f.Values)+")")
		}
		terms[i] = strings.Join(conditions, " AND ")
		if len(s) > 1 && len(conditions) > 1 {
			terms[i] = "(" + terms[i] + ")"
		}
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

func fast(bound time.Duration) string { return fmt.Sprintf("within_%dms", bound.Milliseconds()) }

// quote makes a string literal of ClickHouse. Documents come from people who may write anything.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func quoteAll(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return strings.Join(quoted, ", ")
}

// collect returns what slots need, sorted and once.
func (q *Query) collect(slots []int, each func(s *SLO, add func(string))) []string {
	var values []string
	for _, i := range slots {
		each(q.slots[i].slo, func(v string) { values = append(values, v) })
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func (in *Indicator) terms() Selection {
	return slices.Concat(in.Hit, in.Total, in.Unjudged)
}

// dimensions returns those of a table that some slot tells rows apart by.
func (q *Query) dimensions(slots []int, table []string, more string) []string {
	used := q.collect(slots, func(s *SLO, add func(string)) {
		if s.Indicator.Environment != "" {
			add(schema.Environment)
		}
		for _, t := range s.Indicator.terms() {
			for _, f := range slices.Concat(t.Where, t.Except) {
				add(f.Dimension)
			}
		}
		for _, d := range s.Grouping.By {
			add(d)
		}
	})
	used = append(used, schema.Service, schema.Vantage, more)
	return slices.DeleteFunc(slices.Clone(table), func(d string) bool { return !slices.Contains(used, d) })
}
