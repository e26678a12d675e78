package slo

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// blindAfter is how old the watermark may be for anything to be known of now.
const blindAfter = 10 * time.Minute

// Values of the column burn of [SelectFiring] that are no burn rates.
const (
	// Quiet: no rule fires.
	Quiet = 0
	// Unknown: no source is alive, or none was read lately.
	Unknown = -1
)

// SelectFiring is a statement that asks which alerts fire now, for those who evaluate SQL and nothing else. It has one row
// for each SLO and severity, always: service, slo, severity, and burn, which is the highest burn rate over the long window of a
// rule that fires, or [Quiet], or [Unknown]. While anything is known it also has those of the groups, under their names; which count by
// themselves is found by the quarter of an hour. It finds the watermark and what is excluded by itself; now is an expression of the time.
// Each of notes names something that is left out, and who does it.
func SelectFiring(slos []SLO, now string) (sql string, notes []string) {
	timing := Timing{}.defaulted()
	// The moment does not matter: windows are told by their distance from it.
	q := Query{AsOf: timing.AsOf(time.Unix(0, 0).Add(1000 * day)), slos: slos, timing: timing}
	note := func(s *SLO, text string) { notes = append(notes, fmt.Sprintf("%s of %s: %s", s.Name, s.Service, text)) }
	for i := range slos {
		s := &slos[i]
		switch {
		case len(s.Members) > 0:
			note(s, "is left out: it is a composite; let the engine evaluate it")
			continue
		case len(s.Rules) > 0:
			q.firingSlot(s, false)
		}
		switch {
		case len(s.Grouping.Rules) == 0:
		case s.Calendar != nil:
			note(s, "its groups are left out: which are the largest shows in its calendar window; let the engine evaluate it")
		default:
			q.firingSlot(s, true)
		}
	}
	var rules []string
	var grouped []int
	for i := range q.slots {
		t := &q.slots[i]
		of := t.slo.Rules
		if t.grouped {
			of, grouped = t.slo.Grouping.Rules, append(grouped, i)
		}
		for _, r := range of {
			rules = append(rules, q.firingRule(i, r))
		}
	}
	if len(rules) == 0 {
		return "", notes
	}
	counts := q.sql()
	if len(grouped) > 0 {
		// Of each group there is something, even if it had no events lately.
		places, most := q.places(grouped)
		counts += fmt.Sprintf(`
UNION ALL
SELECT toUInt8(0) AS part, slot, if(place <= %s, grp, '%s') AS grp, toUInt32(0) AS span,
    toUInt64(0) AS hits, toUInt64(0) AS totals, toUInt64(0) AS judgeds
FROM
(
%s
)`, most, OtherGroups, indent(places))
	}
	latest := fmt.Sprintf("(%s < moment + %d, %[1]s)", schema.ProgressWall, AliveFor/time.Second)
	return fmt.Sprintf(`WITH
    toDateTime(%[1]s) AS moment,
    (
        SELECT (countIf(alive), minIf(through, alive))
        FROM
        (
            SELECT
                least(toDateTime(argMax(%[2]s, %[3]s)), moment) AS through,
                argMax(%[4]s, %[3]s) > moment - %[5]d AS alive
            FROM %[6]s
            WHERE %[4]s >= moment - %[7]d
            GROUP BY %[8]s
        )
    ) AS sources,
    sources.1 > 0 AND sources.2 >= moment - %[9]d AS known,
    toStartOfMinute(if(known, sources.2, moment)) AS asof,
%[14]s
SELECT
    service, slo, severity,
    assumeNotNull(if(any(known), maxIf(bad_long / judged_long / budget, fires), %[10]d)) AS burn
FROM
(
    SELECT rule.2 AS service,
        if(grp = '', rule.3, concat(rule.3, '{', if(grp = '%[15]s', grp, arrayStringConcat(arrayMap(
            (d, v) -> concat(d, '="', replaceRegexpAll(unhex(v), '["\\\\]', '\\\\\\0'), '"'),
            rule.17, values), ',')), '}')) AS slo,
        rule.4 AS severity, rule.13 AS budget,
        arraySum(c -> if(c.1 = rule.10, c.4, 0), cells) AS open,
        arraySum(c -> if(c.1 = rule.5 AND c.2 >= rule.6, c.3, 0), cells) AS hits_long,
        arraySum(c -> if(c.1 = rule.5 AND c.2 >= rule.6, c.4, 0), cells) AS counted_long,
        arraySum(c -> if(c.1 = rule.5 AND c.2 >= rule.7, c.3, 0), cells) AS hits_short,
        arraySum(c -> if(c.1 = rule.5 AND c.2 >= rule.7, c.4, 0), cells) AS counted_short,
        counted_long + open AS judged_long,
        counted_short + open AS judged_short,
        if(rule.8 = 0, counted_long - hits_long, if(rule.9 = 1, least(hits_long, counted_long), hits_long)) AS bad_long,
        if(rule.8 = 0, counted_short - hits_short, if(rule.9 = 1, least(hits_short, counted_short), hits_short))
            AS bad_short,
        toUInt256(bad_long) * toUInt256(rule.12) > toUInt256(judged_long) * toUInt256(rule.11)
            AND toUInt256(bad_short) * toUInt256(rule.12) > toUInt256(judged_short) * toUInt256(rule.11)
            AND judged_long <= arraySum((k, n) -> if(bad_long >= k, n, 0), rule.14, rule.15)
                + if(rule.16 > 0 AND bad_long > rule.16,
                    greatest(bad_long * pow(1 - 1 / (9 * bad_long) - %[13]s / sqrt(bad_long), 3) / budget
                        - arraySum(rule.15), 0), 0) AS fires
    FROM
    (
        SELECT arrayJoin([
%[11]s
        ]) AS rule
    ) AS rules
    LEFT JOIN
    (
        SELECT slot, grp, groupArray((part, span, hits, judgeds)) AS cells, count() OVER (PARTITION BY slot) AS many,
            splitByChar('.', substring(grp, 2)) AS values
        FROM
        (
%[12]s
        )
        GROUP BY slot, grp
    ) AS counts ON counts.slot = rule.1
    WHERE empty(rule.17) OR known AND grp != ''
        AND NOT (many = 1 AND grp != '%[15]s' AND empty(arrayStringConcat(values)))
)
GROUP BY service, slo, severity
ORDER BY service, slo, severity`, now, schema.ProgressReadThrough, latest, schema.ProgressWall, AliveFor/time.Second,
		schema.SourceProgress, rememberedFor/time.Second, schema.ProgressSource, blindAfter/time.Second, Unknown,
		indent(indent(indent(strings.Join(rules, ",\n")))), indent(indent(indent(counts))), guardQuantile,
		q.exclusions(), OtherGroups), notes
}

// exclusions are what is in force, as (service, slo, from, to), and the cuts that they make.
func (q *Query) exclusions() string {
	tooMany := fmt.Sprintf("more than %d exclusions are in force", MostExclusions)
	var b strings.Builder
	fmt.Fprintf(&b, `    (
        SELECT if(throwIf(count() > %d, %s) = 0,
            groupArray((toString(service), slo, toUnixTimestamp(starts), toUnixTimestamp(ends))), [])
        FROM
        (
            SELECT service, slo, starts, ends, withdrawn
            FROM %s
            ORDER BY id, version DESC, written DESC
            LIMIT 1 BY id
        )
        WHERE NOT withdrawn AND ends > moment - %d
    ) AS exclusions`, MostExclusions, quote(tooMany), schema.SLOExclusions, ExclusionsKept/time.Second)
	var steps []time.Duration
	for _, p := range q.parts {
		steps = append(steps, p.step())
	}
	slices.Sort(steps)
	for _, step := range slices.Compact(steps) {
		fmt.Fprintf(&b, `,
    (SELECT arraySort(arrayPushFront(arrayFlatten(arrayMap(e -> [intDiv(e.3, %[1]d) * %[1]d,
        intDiv(e.4 + %[2]d, %[1]d) * %[1]d],
        exclusions)), 0))) AS %[3]s`, step/time.Second, step/time.Second-1, cuts(step))
	}
	return b.String()
}

// firingSlot adds an SLO, or its groups, with no windows but those of its rules and, of groups, that which ranks them.
func (q *Query) firingSlot(s *SLO, grouped bool) {
	index := len(q.slots)
	t := slot{slo: s, grouped: grouped, active: -1}
	rules := s.Rules
	if grouped {
		rules = s.Grouping.Rules
	}
	step := max(s.slice(), time.Minute)
	sc := scan{
		kind: ofRollup, table: schema.Rollup1m, slice: s.slice(), end: floor(q.AsOf, step).Unix(), asof: "asof",
		grouped: grouped,
	}
	if step > time.Minute {
		sc.asof = fmt.Sprintf("toDateTime(intDiv(toUnixTimestamp(asof), %[1]d) * %[1]d)", step/time.Second)
	}
	switch {
	case s.Indicator.Measure.ofGauges():
		sc.kind, sc.table = ofGauges, schema.Gauges10s
	case s.Indicator.Measure.ofRates():
		sc.kind, sc.table = ofRates, schema.ConnectionRate
	}
	for _, w := range q.timing.Windows() {
		for _, r := range rules {
			if r.Long == w.Name || r.Short == w.Name {
				if sc.slice > 0 {
					w.Length = (w.Length + sc.slice - 1) / sc.slice * sc.slice
				}
				t.burn = append(t.burn, q.count(index, s, sc, w))
				break
			}
		}
	}
	if grouped {
		ranks := sc
		if ranks.ranks = true; sc.kind == ofRollup {
			// The quarter that goes on is among them: its rows are there already.
			ranks.table, ranks.slice, ranks.end = schema.Rollup15m, 0, floor(q.AsOf, quarter).Unix()
			ranks.asof = fmt.Sprintf("toDateTime(intDiv(toUnixTimestamp(asof) + %[1]d - 1, %[1]d) * %[1]d)", quarter/time.Second)
		}
		t.budget = q.count(index, s, ranks, s.budgetWindow(time.Time{}))
	}
	if s.Indicator.Active {
		t.active = q.part(index, scan{
			kind: ofActive, table: schema.Gauges10s, end: q.AsOf.Unix(), asof: "asof", grouped: grouped,
		})
	}
	q.slots = append(q.slots, t)
}

// firingRule is a rule as a tuple: slot, service, SLO, severity, the part that counts it and the first spans of its two windows,
// whether hits are bad and whether they are separate, the part of open connections, the error ratio to exceed as a fraction,
// the budget, the guard: its steps, and from how many bad events on it is approximated, or 0; and what it is grouped by.
func (q *Query) firingRule(index int, r Rule) string {
	t := &q.slots[index]
	s := t.slo
	flag := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	var in int
	span := func(name string) int {
		w := t.burn[slices.IndexFunc(t.burn, func(w counted) bool { return w.Name == name })]
		in = w.part
		return slices.Index(q.parts[w.part].bounds, w.from)
	}
	long, short := span(r.Long), span(r.Short)
	limit := new(big.Rat).Mul(r.Burn.rat, s.budget())
	from, more, endless := []string{"0"}, []string{fmt.Sprint(uint64(always))}, uint64(0)
	if !s.Unguarded && s.countsEvents() {
		from, more = nil, nil
		steps, on := s.GuardSteps(r.Burn)
		allowed := uint64(0)
		for _, step := range steps {
			if step.Judged > allowed {
				from, more = append(from, fmt.Sprint(step.Bad)), append(more, fmt.Sprint(step.Judged-allowed))
				allowed = step.Judged
			}
		}
		if on {
			endless = steps[len(steps)-1].Bad
		}
	}
	// No part has the number of none.
	open := len(q.parts)
	if t.active >= 0 {
		open = t.active
	}
	var by []string
	if t.grouped {
		by = s.Grouping.By
	}
	const tuple = "(%d, %s, %s, %s, %d, %d, %d, %d, %d, %d, '%s', '%s', %s, [%s], [%s], %d, CAST([%s], 'Array(String)'))"
	return fmt.Sprintf(tuple, index, quote(s.Service),
		quote(s.Name), quote(string(r.Severity)), in, long, short, flag(s.Indicator.HitIsBad && s.slice() == 0),
		flag(s.Indicator.Separate), open, limit.Num(), limit.Denom(), decimal(s.budget()), strings.Join(from, ", "),
		strings.Join(more, ", "), endless, quoteAll(by))
}
