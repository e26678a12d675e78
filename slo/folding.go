package slo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// folding is how a [book] reads a table for some slots: by the dimensions that one of them tells rows apart by, so that the
// store need not know the SLOs. Which slots such a row counts for is found here, once for each combination of values.
type folding struct {
	book       *book
	table      string
	dimensions []string
	columns    []column
	// rows selects what is aggregated; narrow is the condition of what any of the slots reads.
	rows   func(table, where string) string
	narrow string
	// bounds are the thresholds that have a column.
	bounds []time.Duration
	// owners are the slots of a service at a vantage; members those of a combination of dimensions.
	owners  map[[2]string][]int
	members map[string][]membership
}

// column is an aggregate of the rows of a combination of dimensions, and its name.
type column struct{ name, of string }

// membership is a cell that a combination of dimensions counts for, and which columns are what it counts.
type membership struct {
	cell int
	measured
}

// measured are the columns that are hits, events, and those that are judged; or -1.
type measured struct{ hit, total, judged int }

// The columns of a rollup; those of the bounds follow.
const (
	atCount = iota
	atJudged
	atTimed
	atBounds
)

// The columns of what instances say of themselves.
const (
	atReports = iota
	atIdle
	atActiveWithIdle
	atCapacity
	atActiveWithCapacity
	atConnectionSeconds
)

// The columns of rates; those of the measures follow.
const (
	atConnections = iota
	atReceived
	atSent
	atRates
)

// rememberedTuples bounds the combinations of dimensions that are remembered; beyond it they are matched anew.
const rememberedTuples = 1 << 20

// folds are what a book reads for its slots.
func (b *book) folds(q *Query, slots []int) []*folding {
	of := func(table string, dimensions []string, columns []column, slots []int, events bool) *folding {
		f := &folding{
			book: b, table: table, dimensions: dimensions, columns: columns, narrow: q.narrow(slots, events),
			rows:   func(table, where string) string { return "SELECT * FROM " + table + "\n" + where },
			owners: map[[2]string][]int{}, members: map[string][]membership{},
		}
		for _, i := range slots {
			s := q.slots[i].slo
			key := [2]string{s.Service, s.Indicator.Vantage}
			f.owners[key] = append(f.owners[key], i)
		}
		return f
	}
	rollup := func(table string, slots []int) *folding {
		f := of(table, q.dimensions(slots, schema.Dimensions(), schema.EventName), []column{
			{sumCount, "sum(" + schema.Count + ")"}, {sumJudged, "sum(" + schema.Judged + ")"},
			{sumTimed, "sum(" + schema.DurationCount + ")"},
		}, slots, !b.all)
		read := append([]string{schema.Count, schema.Judged, schema.DurationCount}, f.dimensions...)
		for _, bound := range event.DurationBounds {
			if slices.ContainsFunc(slots, func(i int) bool { return q.slots[i].slo.Indicator.Threshold == bound }) {
				f.bounds = append(f.bounds, bound)
				f.columns = append(f.columns, column{fast(bound), "sum(" + schema.DurationColumn(bound) + ")"})
				read = append(read, schema.DurationColumn(bound))
			}
		}
		f.rows = reading(read...)
		return f
	}
	switch b.kind {
	case ofGauges:
		all := []*folding{of(b.table, q.dimensions(slots, sideDimensions, ""), []column{
			{"reports", "count()"}, {"idle_sum", "sumIf(ifNull(i, 0), a IS NOT NULL)"},
			{"active_with_idle", "sumIf(ifNull(a, 0), i IS NOT NULL)"}, {"capacity_sum", "sumIf(ifNull(c, 0), a IS NOT NULL)"},
			{"active_with_capacity", "sumIf(ifNull(a, 0), c IS NOT NULL)"}, {"connection_seconds", "sum(ifNull(a, 0)) * 10"},
		}, slots, false)}
		all[0].rows = func(_, where string) string { return reports(where) }
		churn := slices.DeleteFunc(slices.Clone(slots), func(i int) bool {
			return q.slots[i].slo.Indicator.Measure != MeasureChurn
		})
		if len(churn) > 0 {
			all = append(all, rollup(schema.Rollup1m, churn))
		}
		return all
	case ofRates:
		// The store merges the sketches, so what an SLO counts has to be one row: those that tell the same dimensions apart
		// are read together.
		columns := []column{
			{"n", "sum(received_count) + sum(sent_count)"},
			{"received_n", "sum(received_count)"}, {"sent_n", "sum(sent_count)"},
		}
		merged := fmt.Sprintf(quantiles, "")
		for _, m := range rateMeasures {
			way, rest, _ := strings.Cut(string(m), "_rate_")
			value := fmt.Sprintf("ifNull(max(%s_rate_max), 0)", way)
			if i := slices.Index([]string{"p50", "p95", "p99"}, rest); i >= 0 {
				value = fmt.Sprintf("%s(%s_rate)[%d]", merged, way, i+1)
			}
			columns = append(columns, column{string(m), "reinterpretAsUInt64(toFloat64(" + value + "))"})
		}
		var all []*folding
		apart := map[string][]int{}
		for _, i := range slots {
			key := strings.Join(q.dimensions([]int{i}, sideDimensions, ""), " ")
			apart[key] = append(apart[key], i)
		}
		for key, slots := range apart {
			all = append(all, of(b.table, strings.Fields(key), columns, slots, false))
		}
		return all
	}
	return []*folding{rollup(b.table, slots)}
}

// measured are those of a row with such values of dimensions.
func (f *folding) measured(s *SLO, of map[string]string) (p measured, ok bool) {
	in := &s.Indicator
	p = measured{-1, -1, -1}
	switch {
	case f.table == schema.ConnectionRate:
		judged := map[bool]int{true: atReceived, false: atSent}[strings.HasPrefix(string(in.Measure), "received")]
		return measured{atRates + slices.Index(rateMeasures, in.Measure), atConnections, judged}, true
	case f.table == schema.Gauges10s:
		switch p.total = atReports; in.Measure {
		case MeasureIdle:
			p.hit, p.judged = atIdle, atActiveWithIdle
		case MeasureCapacity:
			p.hit, p.judged = atActiveWithCapacity, atCapacity
		case MeasureChurn:
			p.judged = atConnectionSeconds
		}
		return p, true
	case in.Measure == MeasureChurn:
		return measured{atCount, atCount, -1}, of[schema.EventName] == string(event.Open)
	case in.Measure == MeasureCount:
		if p.total, p.judged = atCount, atCount; in.Total.matches(of) {
			p.hit = atCount
		}
		return p, true
	}
	hit, judged := atJudged, atJudged
	if in.Threshold != 0 {
		hit, judged = atBounds+slices.Index(f.bounds, in.Threshold), atTimed
	}
	switch {
	case in.Total.matches(of):
		p.total, p.judged = atCount, judged
	case in.Unjudged.matches(of):
		p.total = atCount
	case !in.Separate:
		return p, false
	}
	if in.Hit.matches(of) {
		p.hit = hit
	}
	return p, p.hit >= 0 || p.total >= 0
}

// match finds the cells that a combination of dimensions counts for.
func (f *folding) match(q *Query, values []string) []membership {
	of := make(map[string]string, len(values))
	for i, d := range f.dimensions {
		of[d] = values[i]
	}
	var members []membership
	for _, slot := range f.owners[[2]string{of[schema.Service], of[schema.Vantage]}] {
		s := q.slots[slot].slo
		if s.Indicator.Environment != "" && of[schema.Environment] != s.Indicator.Environment {
			continue
		}
		p, ok := f.measured(s, of)
		if !ok {
			continue
		}
		group := ""
		if q.slots[slot].grouped {
			group = pack(s.groupOf(of))
		}
		members = append(members, membership{f.book.cell(slot, group), p})
	}
	return members
}

// groupOf is the group that a row is in.
func (s *SLO) groupOf(of map[string]string) []string {
	key := make([]string, len(s.Grouping.By))
	for i, d := range s.Grouping.By {
		key[i] = of[d]
	}
	return key
}

func (s Selection) matches(of map[string]string) bool {
	return slices.ContainsFunc(s, func(t Term) bool { return t.Event == of[schema.EventName] && t.admits(of) })
}

// admits reports whether dimensions have the values that a term asks for.
func (t Term) admits(of map[string]string) bool {
	holds := func(f Filter) bool { return slices.Contains(f.Values, of[f.Dimension]) }
	return !slices.ContainsFunc(t.Except, holds) && !slices.ContainsFunc(t.Where, func(f Filter) bool { return !holds(f) })
}

// row is what was found of a combination of dimensions: when, and what of each column.
type row struct {
	at      []uint32
	columns [][]uint64
	members []membership
}

// tally is what a member counts of the values at one of the times.
func (r *row) tally(m membership, i int) tally {
	of := func(column int) uint64 {
		if column < 0 {
			return 0
		}
		return r.columns[column][i]
	}
	return tally{of(m.hit), of(m.total), of(m.judged)}
}

// read gives what is found in pieces of time, row by row.
func (f *folding) read(ctx context.Context, q *Query, pieces []interval, ask Ask, each func(*row)) error {
	return ask(ctx, f.sql(pieces), func(rows Rows) error {
		values := make([]string, len(f.dimensions))
		r := row{columns: make([][]uint64, len(f.columns))}
		var into []any
		for i := range values {
			into = append(into, &values[i])
		}
		into = append(into, &r.at)
		for i := range r.columns {
			into = append(into, &r.columns[i])
		}
		var key []byte
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("read counts: %w", err)
			}
			key = key[:0]
			for _, v := range values {
				key = append(append(key, v...), 0)
			}
			var ok bool
			if r.members, ok = f.members[string(key)]; !ok {
				r.members = f.match(q, values)
				if len(f.members) < rememberedTuples {
					f.members[string(key)] = r.members
				}
			}
			each(&r)
		}
		return rows.Err()
	})
}

// sql folds rows by dimensions and by pieces of time, or by slices. Those of a combination come as arrays: a row costs the
// client more than its numbers do.
func (f *folding) sql(pieces []interval) string {
	own, quarters := joined(pieces), []interval(nil)
	if f.book.byQuarters() {
		own, quarters = cover(pieces)
	}
	const second = "toUnixTimestamp(" + schema.Bucket + ")"
	starts := make([]string, len(pieces))
	for i, p := range pieces {
		starts[i] = fmt.Sprint(p.from)
	}
	at := fmt.Sprintf("roundDown(%s, [%s])", second, strings.Join(starts, ", "))
	if slice := f.book.slice / time.Second; slice > 0 {
		at = fmt.Sprintf("intDiv(%s, %d) * %[2]d", second, slice)
	}
	dimensions := strings.Join(f.dimensions, ", ")
	var b strings.Builder
	b.WriteString("SELECT " + dimensions + ", groupArray(toUInt32(at))")
	for _, c := range f.columns {
		b.WriteString(", groupArray(toUInt64(" + c.name + "))")
	}
	fmt.Fprintf(&b, "\nFROM\n(\n    SELECT %s AS at, %s", at, dimensions)
	for _, c := range f.columns {
		b.WriteString(", " + c.of + " AS " + c.name)
	}
	b.WriteString("\n    FROM\n    (\n")
	b.WriteString(indent(indent(rowsOf(f.table, own, quarters, f.narrow, f.rows))))
	b.WriteString("\n    )\n    GROUP BY at, " + dimensions + "\n)\nGROUP BY " + dimensions)
	return b.String()
}
