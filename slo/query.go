package slo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Query is one SQL statement that counts every SLO over every window, and how to read its answer.
type Query struct {
	SQL  string
	AsOf time.Time

	slos   []SLO
	timing Timing
	parts  []part
}

// part is one scan of one tier.
type part struct {
	table   string
	asof    time.Time
	windows []Window // short to long, without equal lengths
}

// Plan compiles the SLOs into a query as of a moment, which is floored to the timing's resolution. All windows are
// half-open: [asof-w, asof). With a resolution of a minute it is one scan of one table; a finer one needs a second scan for
// the budget windows, whose rows the finest rollup does not keep long enough.
//
// The scan folds the rollup into a few hundred rows first, by the dimensions that some SLO filters on and by the shortest
// window a bucket falls into, and matches the SLOs against those; so its cost grows far slower than the number of SLOs.
func Plan(slos []SLO, asof time.Time, timing Timing) Query {
	timing = timing.defaulted()
	q := Query{AsOf: timing.AsOf(asof), slos: slos, timing: timing}
	if len(slos) == 0 {
		return q
	}
	burn, budget := timing.Windows(), []Window(nil)
	for i := range slos {
		budget = append(budget, slos[i].budgetWindow())
	}
	if timing.Resolution == time.Minute {
		q.parts = []part{{schema.Rollup1m, q.AsOf, distinct(append(burn, budget...))}}
	} else {
		q.parts = []part{
			{schema.Rollup10s, q.AsOf, distinct(burn)},
			{schema.Rollup1m, floor(q.AsOf, time.Minute), distinct(budget)},
		}
	}
	statements := make([]string, len(q.parts))
	for i, p := range q.parts {
		statements[i] = p.sql(i, slos)
	}
	q.SQL = strings.Join(statements, "\nUNION ALL\n")
	return q
}

func (s *SLO) budgetWindow() Window {
	return Window{fmt.Sprintf("%dd", s.Window/day), s.Window}
}

func distinct(windows []Window) []Window {
	windows = slices.Clone(windows)
	slices.SortStableFunc(windows, func(a, b Window) int { return int(a.Length/time.Second) - int(b.Length/time.Second) })
	return slices.CompactFunc(windows, func(a, b Window) bool { return a.Length == b.Length })
}

// measures of the inner query, by the names that the outer one uses.
const (
	sumCount  = "n"
	sumJudged = "judged_n"
	sumTimed  = "timed_n"
)

func (p part) sql(index int, slos []SLO) string {
	var b strings.Builder
	longest := p.windows[len(p.windows)-1]
	end := p.asof.Unix()

	fmt.Fprintf(&b, "SELECT\n    toUInt8(%d) AS part,\n    m.1 AS slo", index)
	for i, name := range []string{"hits", "totals", "judgeds"} {
		b.WriteString(",\n    [")
		for w := range p.windows {
			if w > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "sumIf(m.%d, age <= %d)", i+3, w)
		}
		b.WriteString("] AS " + name)
	}
	b.WriteString("\nFROM\n(\n    SELECT\n        multiIf(")
	for w, window := range p.windows[:len(p.windows)-1] {
		fmt.Fprintf(&b, "bucket >= toDateTime(%d), %d, ", end-int64(window.Length/time.Second), w)
	}
	if len(p.windows) > 1 {
		fmt.Fprintf(&b, "%d) AS age", len(p.windows)-1)
	} else {
		b.WriteString("true, 0, 0) AS age")
	}
	dimensions := usedDimensions(slos)
	for _, d := range dimensions {
		b.WriteString(",\n        " + d)
	}
	fmt.Fprintf(&b, ",\n        sum(%s) AS %s", schema.Count, sumCount)
	fmt.Fprintf(&b, ",\n        sum(%s) AS %s", schema.Judged, sumJudged)
	fmt.Fprintf(&b, ",\n        sum(%s) AS %s", schema.DurationCount, sumTimed)
	for _, bound := range usedBounds(slos) {
		fmt.Fprintf(&b, ",\n        sum(%s) AS %s", schema.DurationColumn(bound), fast(bound))
	}
	fmt.Fprintf(&b, "\n    FROM %s\n    WHERE bucket >= toDateTime(%d) AND bucket < toDateTime(%d)", p.table,
		end-int64(longest.Length/time.Second), end)
	for _, in := range []struct {
		dimension string
		values    []string
	}{{schema.Service, services(slos)}, {schema.Vantage, vantagesOf(slos)}, {schema.EventName, eventsOf(slos)}} {
		fmt.Fprintf(&b, "\n        AND %s IN (%s)", in.dimension, quoteAll(in.values))
	}
	b.WriteString("\n    GROUP BY age, " + strings.Join(dimensions, ", ") + "\n)\n")
	b.WriteString("ARRAY JOIN arrayFilter(x -> x.2, [")
	for i := range slos {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n    " + slos[i].match(i))
	}
	b.WriteString("\n]) AS m\nGROUP BY slo")
	return b.String()
}

// match is the tuple (slo, matches, hits, totals, judged) of one folded row.
func (s *SLO) match(index int) string {
	in := s.Indicator
	of := []string{schema.Service + " = " + quote(s.Service), schema.Vantage + " = " + quote(in.Vantage)}
	if in.Environment != "" {
		of = append(of, schema.Environment+" = "+quote(in.Environment))
	}
	hit, judged := sumJudged, sumJudged
	if in.Threshold != 0 {
		hit, judged = fast(in.Threshold), sumTimed
	}
	total, all := in.Total.condition(), ""
	if len(in.Unjudged) > 0 {
		all = append(slices.Clone(in.Total), in.Unjudged...).condition()
	} else {
		all = total
	}
	return fmt.Sprintf("(toUInt32(%d), %s AND %s, if(%s, %s, 0), if(%s, %s, 0), if(%s, %s, 0))",
		index, strings.Join(of, " AND "), all, in.Hit.condition(), hit, all, sumCount, total, judged)
}

func (s Selection) condition() string {
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

func collect(slos []SLO, each func(s *SLO, add func(string))) []string {
	var values []string
	for i := range slos {
		each(&slos[i], func(v string) { values = append(values, v) })
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func services(slos []SLO) []string {
	return collect(slos, func(s *SLO, add func(string)) { add(s.Service) })
}

func vantagesOf(slos []SLO) []string {
	return collect(slos, func(s *SLO, add func(string)) { add(s.Indicator.Vantage) })
}

func (in *Indicator) terms() Selection {
	return slices.Concat(in.Hit, in.Total, in.Unjudged)
}

func eventsOf(slos []SLO) []string {
	return collect(slos, func(s *SLO, add func(string)) {
		for _, t := range s.Indicator.terms() {
			add(t.Event)
		}
	})
}

func usedDimensions(slos []SLO) []string {
	used := collect(slos, func(s *SLO, add func(string)) {
		if s.Indicator.Environment != "" {
			add(schema.Environment)
		}
		for _, t := range s.Indicator.terms() {
			for _, f := range slices.Concat(t.Where, t.Except) {
				add(f.Dimension)
			}
		}
	})
	return slices.DeleteFunc(schema.Dimensions(), func(d string) bool {
		return d != schema.Service && d != schema.Vantage && d != schema.EventName && !slices.Contains(used, d)
	})
}

func usedBounds(slos []SLO) []time.Duration {
	return slices.DeleteFunc(slices.Clone(event.DurationBounds[:]), func(d time.Duration) bool {
		return !slices.ContainsFunc(slos, func(s SLO) bool { return s.Indicator.Threshold == d })
	})
}

// Rows is what the answer is read from; the rows of clickhouse-go are.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}

// Read reads the answer: the counts of each SLO, in the order they were given. An SLO without a row counted nothing.
func (q *Query) Read(rows Rows) ([]Counts, error) {
	type raw struct{ hits, totals, judgeds []uint64 }
	found := make([][]raw, len(q.slos))
	for i := range found {
		found[i] = make([]raw, len(q.parts))
	}
	for rows.Next() {
		var (
			partIndex uint8
			slo       uint32
			r         raw
		)
		if err := rows.Scan(&partIndex, &slo, &r.hits, &r.totals, &r.judgeds); err != nil {
			return nil, fmt.Errorf("read counts: %w", err)
		}
		if int(slo) >= len(found) || int(partIndex) >= len(q.parts) {
			return nil, fmt.Errorf("read counts: row for SLO %d, part %d, which were not asked for", slo, partIndex)
		}
		want := len(q.parts[partIndex].windows)
		if len(r.hits) != want || len(r.totals) != want || len(r.judgeds) != want {
			return nil, fmt.Errorf("read counts: %d windows, asked for %d", len(r.hits), want)
		}
		found[slo][partIndex] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	counts := make([]Counts, len(q.slos))
	for i := range q.slos {
		s := &q.slos[i]
		count := func(partIndex int, w Window) (Count, error) {
			r := found[i][partIndex]
			at := slices.IndexFunc(q.parts[partIndex].windows, func(o Window) bool { return o.Length == w.Length })
			if r.totals == nil {
				return Count{Window: w}, nil
			}
			return s.count(w, tally{r.hits[at], r.totals[at], r.judgeds[at]})
		}
		for _, w := range q.timing.Windows() {
			c, err := count(0, w)
			if err != nil {
				return nil, err
			}
			counts[i].Windows = append(counts[i].Windows, c)
		}
		c, err := count(len(q.parts)-1, s.budgetWindow())
		if err != nil {
			return nil, err
		}
		counts[i].Budget = c
	}
	return counts, nil
}

// count makes a tally the count of a window.
func (s *SLO) count(w Window, t tally) (Count, error) {
	if t.hits > t.judgeds || t.judgeds > t.totals {
		return Count{Window: w}, fmt.Errorf("read counts of %s of %s: %d hits of %d judged of %d events over %s; the rollup is damaged",
			s.Name, s.Service, t.hits, t.judgeds, t.totals, w.Name)
	}
	if s.Indicator.HitIsBad {
		t.hits = t.judgeds - t.hits
	}
	return Count{w, t.hits, t.totals, t.judgeds}, nil
}

// Nothing returns the counts of an answer without rows.
func (q *Query) Nothing() []Counts {
	counts, err := q.Read(noRows{})
	if err != nil {
		panic("slo: " + err.Error())
	}
	return counts
}

type noRows struct{}

func (noRows) Next() bool        { return false }
func (noRows) Scan(...any) error { return nil }
func (noRows) Err() error        { return nil }
