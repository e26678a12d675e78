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
// rule that fires, or [Quiet], or [Unknown]. It finds the watermark by itself; now is an expression of the time. Each of notes names
// something that is left out, and who does it.
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
		case len(s.Rules) == 0:
			continue
		case len(s.Grouping.By) > 0:
			note(s, "its groups are left out; let the engine evaluate it")
		}
		q.firingSlot(s)
	}
	var rules []string
	for i := range q.slots {
		for _, r := range q.slots[i].slo.Rules {
			rules = append(rules, q.firingRule(i, r))
		}
	}
	if len(rules) == 0 {
		return "", notes
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
    toStartOfMinute(if(known, sources.2, moment)) AS asof
SELECT
    service, slo, severity,
    assumeNotNull(if(any(known), maxIf(bad_long / judged_long / budget, fires), %[10]d)) AS burn
FROM
(
    SELECT rule.2 AS service, rule.3 AS slo, rule.4 AS severity, rule.13 AS budget,
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
        SELECT slot, groupArray((part, span, hits, judgeds)) AS cells
        FROM
        (
%[12]s
        )
        GROUP BY slot
    ) AS counts ON counts.slot = rule.1
)
GROUP BY service, slo, severity
ORDER BY service, slo, severity`, now, schema.ProgressReadThrough, latest, schema.ProgressWall, AliveFor/time.Second,
		schema.SourceProgress, rememberedFor/time.Second, schema.ProgressSource, blindAfter/time.Second, Unknown,
		indent(indent(indent(strings.Join(rules, ",\n")))), indent(indent(indent(q.sql()))), guardQuantile), notes
}

// firingSlot adds an SLO, with no windows but those of its rules.
func (q *Query) firingSlot(s *SLO) {
	index := len(q.slots)
	t := slot{slo: s, active: -1}
	step := max(s.slice(), time.Minute)
	sc := scan{kind: ofRollup, table: schema.Rollup1m, slice: s.slice(), end: floor(q.AsOf, step).Unix(), asof: "asof"}
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
		for _, r := range s.Rules {
			if r.Long == w.Name || r.Short == w.Name {
				if sc.slice > 0 {
					w.Length = (w.Length + sc.slice - 1) / sc.slice * sc.slice
				}
				t.burn = append(t.burn, q.count(index, s, sc, w))
				break
			}
		}
	}
	if s.Indicator.Active {
		t.active = q.part(index, scan{kind: ofActive, table: schema.Gauges10s, end: q.AsOf.Unix(), asof: "asof"})
	}
	q.slots = append(q.slots, t)
}

// firingRule is a rule as a tuple: slot, service, SLO, severity, the part that counts it and the first spans of its two windows,
// whether hits are bad and whether they are separate, the part of open connections, the error ratio to exceed as a fraction,
// the budget, and the guard: its steps, and from how many bad events on it is approximated, or 0.
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
	return fmt.Sprintf("(%d, %s, %s, %s, %d, %d, %d, %d, %d, %d, '%s', '%s', %s, [%s], [%s], %d)", index, quote(s.Service),
		quote(s.Name), quote(string(r.Severity)), in, long, short, flag(s.Indicator.HitIsBad && s.slice() == 0),
		flag(s.Indicator.Separate), open, limit.Num(), limit.Denom(), decimal(s.budget()), strings.Join(from, ", "),
		strings.Join(more, ", "), endless)
}
