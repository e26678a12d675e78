package slo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Ledger counts many SLOs tick after tick at a cost that hardly grows with the length of their windows. It gives what
// [Plan] gives, without reading a month of minutes each time:
//
//   - A UTC day that no window begins in, and that is over, is counted once from the minutes and remembered: three sums an
//     SLO. The day is counted again when the store says that its partition is not what it was, so late events are seen.
//   - The days that a window begins or ends in are read on every tick, by the quarter of an hour, and by the minute where a
//     window cuts a quarter.
//   - The store folds rows by the dimensions that some SLO filters on; which SLOs such a row belongs to is found here, once
//     for each combination of values.
//
// It is for one goroutine. What has no such sums, because its counts are not sums over minutes, is counted by [Plan].
type Ledger struct {
	timing     Timing
	slos       []SLO
	summed     []int // of slos
	rest       []SLO
	restAt     []int
	dimensions []string
	bounds     []time.Duration
	// where narrows to what any SLO reads.
	where string
	// owners are the SLOs of a service at a vantage; members those of a combination of dimensions.
	owners  map[[2]string][]int
	members map[string][]membership
	// cells are what is added up: first an SLO each, then the groups as they are found.
	cells      []cell
	groups     map[groupKey]int
	days       map[int64]*dayCount
	exclusions []Exclusion
	excluded   [][]interval // of each of summed
	// table identifies the minute rollup that the days were counted in.
	table int64
}

// Ask runs a statement and gives its rows to read.
type Ask func(ctx context.Context, sql string, read func(Rows) error) error

// tally is what is added up for an SLO.
type tally struct{ hits, totals, judgeds uint64 }

func (t *tally) add(o tally) {
	t.hits += o.hits
	t.totals += o.totals
	t.judgeds += o.judgeds
}

// cell is what a tally is for: an SLO of Ledger.summed, or one of its groups.
type cell struct {
	at  int
	key []string
}

type groupKey struct {
	at     int
	packed string
}

// tallies are those of the cells. What is added to a cell behind the last lengthens them.
type tallies []tally

func (t *tallies) at(cell int) *tally {
	for len(*t) <= cell {
		*t = append(*t, tally{})
	}
	return &(*t)[cell]
}

// dayCount is a closed day: of which state of its partition, and what was counted.
type dayCount struct {
	state   partition
	tallies tallies
}

// partition identifies what a day's partition holds: an insert adds a block, a mutation a version. Merges of what is there
// change at most the number of blocks that are covered.
type partition struct {
	first, last, covered, version int64
}

// membership is a cell that a combination of dimensions counts for: which measures are its hits, its events and those that
// are judged, as indexes into the sums of a row, or -1.
type membership struct {
	cell               int
	hit, total, judged int
}

const (
	// daysAtOnce bounds one statement's work at the first tick.
	daysAtOnce = 4
	// rememberedTuples bounds the combinations of dimensions that are remembered; beyond it they are matched anew.
	rememberedTuples = 1 << 20
	// mostCells bounds the groups that are added up here; beyond it [Plan] counts the SLOs that have groups.
	mostCells = 1 << 18
)

// NewLedger prepares to count SLOs.
func NewLedger(slos []SLO, timing Timing) *Ledger { return newLedger(slos, timing, true) }

func newLedger(slos []SLO, timing Timing, groups bool) *Ledger {
	l := &Ledger{
		timing: timing.defaulted(), slos: slos, owners: map[[2]string][]int{}, members: map[string][]membership{},
		groups: map[groupKey]int{}, days: map[int64]*dayCount{},
	}
	var summed []SLO
	for i := range slos {
		if l.timing.Resolution != time.Minute || !slos[i].additive() || !groups && len(slos[i].Grouping.By) > 0 {
			l.rest, l.restAt = append(l.rest, slos[i]), append(l.restAt, i)
			continue
		}
		key := [2]string{slos[i].Service, slos[i].Indicator.Vantage}
		l.owners[key] = append(l.owners[key], len(summed))
		l.cells = append(l.cells, cell{at: len(summed)})
		l.summed, summed = append(l.summed, i), append(summed, slos[i])
	}
	// What they have in common, as a statement for all of them would.
	q := Query{slots: make([]slot, len(summed))}
	every := make([]int, len(summed))
	for i := range summed {
		q.slots[i].slo, every[i] = &summed[i], i
	}
	l.dimensions = q.dimensions(every, schema.Dimensions(), schema.EventName)
	l.bounds = slices.DeleteFunc(slices.Clone(event.DurationBounds[:]), func(d time.Duration) bool {
		return !slices.ContainsFunc(summed, func(s SLO) bool { return s.Indicator.Threshold == d })
	})
	list := func(dimension string, each func(s *SLO, add func(string))) {
		l.where += fmt.Sprintf("\n    AND %s IN (%s)", dimension, quoteAll(q.collect(every, each)))
	}
	list(schema.Service, func(s *SLO, add func(string)) { add(s.Service) })
	list(schema.Vantage, func(s *SLO, add func(string)) { add(s.Indicator.Vantage) })
	list(schema.EventName, func(s *SLO, add func(string)) {
		for _, t := range s.Indicator.terms() {
			add(t.Event)
		}
	})
	return l
}

// additive reports whether the SLO's counts are sums over minutes, of a window that the minutes are kept for.
func (s *SLO) additive() bool {
	return s.countsEvents() && !s.Indicator.Active && !s.long()
}

// AsOf floors a moment as [Plan] does.
func (l *Ledger) AsOf(t time.Time) time.Time { return l.timing.AsOf(t) }

// Count counts every SLO over every window as of a moment.
func (l *Ledger) Count(ctx context.Context, asof time.Time, ask Ask) ([]Counts, error) {
	counts := make([]Counts, len(l.slos))
	if len(l.rest) > 0 {
		plan := Plan(l.rest, asof, l.timing)
		err := ask(ctx, plan.SQL, func(rows Rows) error {
			found, err := plan.Read(rows)
			for i := range found {
				counts[l.restAt[i]] = found[i]
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(l.summed) == 0 {
		return counts, nil
	}
	asof = l.AsOf(asof)
	edges := l.edges(asof)
	closed, open := cut(edges)
	if err := l.count(ctx, closed, ask); err != nil {
		return nil, err
	}
	found, err := l.fold(ctx, open, ask)
	if err != nil {
		return nil, err
	}
	if len(l.cells) > mostCells {
		exclusions := l.exclusions
		*l = *newLedger(l.slos, l.timing, false)
		l.Exclude(exclusions)
		return l.Count(ctx, asof, ask)
	}
	// From asof back, so that at each edge the sum is that of the window that begins there.
	sums := make(tallies, len(l.cells))
	at := edgeTallies{asof.Unix(): slices.Clone(sums)} // a calendar's window may just begin
	for i := len(edges) - 2; i >= 0; i-- {
		span := interval{edges[i], edges[i+1]}
		if j := slices.Index(open, span); j >= 0 {
			l.add(sums, found[j], span)
		} else {
			for day := span.from; day < span.to; day += secondsOfDay {
				l.add(sums, l.days[day].tallies, span)
			}
		}
		at[edges[i]] = slices.Clone(sums)
	}
	groups := make([][]int, len(l.summed))
	for i, c := range l.cells[len(l.summed):] {
		groups[c.at] = append(groups[c.at], len(l.summed)+i)
	}
	for k, i := range l.summed {
		if counts[i], err = l.counts(&l.slos[i], asof, at.of(k)); err != nil {
			return nil, err
		}
		if len(l.slos[i].Grouping.By) > 0 {
			if counts[i].Groups, err = l.grouped(&l.slos[i], asof, groups[k], at); err != nil {
				return nil, err
			}
		}
	}
	return counts, nil
}

// Exclude makes the exclusions, which must be in force, those whose times do not count. What is remembered of days stays
// true: it is all that was counted, and a day that an exclusion cuts is read in parts.
func (l *Ledger) Exclude(exclusions []Exclusion) {
	l.exclusions, l.rest = exclusions, Exclude(l.rest, exclusions)
	l.excluded = make([][]interval, len(l.summed))
	for k, i := range l.summed {
		s := l.slos[i]
		s.exclude(exclusions, nil)
		l.excluded[k] = s.excludedBy(time.Minute)
	}
}

// add adds what was found in a span to the cells that it counts for.
func (l *Ledger) add(sums, found tallies, span interval) {
	for i := range found {
		if len(l.exclusions) == 0 || !within(l.excluded[l.cells[i].at], span.from) {
			sums.at(i).add(found[i])
		}
	}
}

// edgeTallies are the tallies from each edge up to asof.
type edgeTallies map[int64]tallies

func (e edgeTallies) of(cell int) func(from int64) tally {
	return func(from int64) tally { return e[from][cell] }
}

// counts makes the tallies of one cell the counts of an SLO.
func (l *Ledger) counts(s *SLO, asof time.Time, since func(from int64) tally) (Counts, error) {
	var c Counts
	window := func(w Window) (Count, error) { return s.count(w, since(asof.Unix()-int64(w.Length/time.Second))) }
	for _, w := range l.timing.Windows() {
		n, err := window(w)
		if err != nil {
			return c, err
		}
		c.Windows = append(c.Windows, n)
	}
	var err error
	c.Budget, err = window(s.budgetWindow(asof))
	return c, err
}

// grouped makes the groups of an SLO: those with the most events in the budget window by themselves, the others together.
func (l *Ledger) grouped(s *SLO, asof time.Time, cells []int, at edgeTallies) ([]Group, error) {
	budget := at[asof.Unix()-int64(s.budgetWindow(asof).Length/time.Second)]
	others := pack(s.others())
	named := slices.DeleteFunc(slices.Clone(cells), func(i int) bool {
		return budget[i] == (tally{}) || pack(l.cells[i].key) == others
	})
	slices.SortFunc(named, func(a, b int) int {
		return cmp.Or(cmp.Compare(budget[b].totals, budget[a].totals),
			cmp.Compare(pack(l.cells[a].key), pack(l.cells[b].key)))
	})
	named = named[:min(len(named), s.Grouping.Max)]
	var groups []Group
	for _, i := range named {
		c, err := l.counts(s, asof, at.of(i))
		if err != nil {
			return nil, err
		}
		groups = append(groups, Group{l.cells[i].key, c})
	}
	rest := slices.DeleteFunc(slices.Clone(cells), func(i int) bool { return slices.Contains(named, i) })
	any := false
	c, err := l.counts(s, asof, func(from int64) tally {
		var sum tally
		for _, i := range rest {
			sum.add(at[from][i])
		}
		any = any || sum != tally{}
		return sum
	})
	if err != nil {
		return nil, err
	}
	if any {
		groups = append(groups, Group{s.others(), c})
	}
	s.sortGroups(groups)
	return groups, nil
}

// Nothing returns the counts where there is nothing to count.
func (l *Ledger) Nothing(asof time.Time) []Counts {
	q := plan(l.slos, asof, l.timing)
	return q.Nothing()
}

const secondsOfDay = int64(day / time.Second)

// interval is half-open, in seconds since 1970.
type interval struct{ from, to int64 }

// edges are where windows begin, where exclusions begin and end, where the days begin that they begin in or end in, and asof: ascending.
func (l *Ledger) edges(asof time.Time) []int64 {
	end := asof.Unix()
	edges := []int64{end}
	begins := func(w Window) { edges = append(edges, end-int64(w.Length/time.Second)) }
	for _, w := range l.timing.Windows() {
		begins(w)
	}
	for _, i := range l.summed {
		begins(l.slos[i].budgetWindow(asof))
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	first := edges[0]
	for _, spans := range l.excluded {
		for _, span := range spans {
			for _, e := range []int64{span.from, span.to} {
				if first < e && e < end {
					edges = append(edges, e)
				}
			}
		}
	}
	for _, e := range slices.Clone(edges) {
		midnight := e - e%secondsOfDay
		if midnight > first {
			edges = append(edges, midnight)
		}
		if e != midnight && midnight+secondsOfDay < end {
			edges = append(edges, midnight+secondsOfDay)
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// cut returns the days that lie between edges as wholes, and the spans that are parts of days.
func cut(edges []int64) (closed []int64, open []interval) {
	for i := range len(edges) - 1 {
		span := interval{edges[i], edges[i+1]}
		if span.from%secondsOfDay != 0 || span.to%secondsOfDay != 0 {
			open = append(open, span)
			continue
		}
		for day := span.from; day < span.to; day += secondsOfDay {
			closed = append(closed, day)
		}
	}
	return closed, open
}

// count makes l.days hold the days as they are now, and no others.
func (l *Ledger) count(ctx context.Context, days []int64, ask Ask) error {
	// Before the rows: what comes between the two looks is counted, and then counted again on the next tick.
	states, known, err := l.partitions(ctx, ask)
	if err != nil {
		return err
	}
	for day := range l.days {
		if !slices.Contains(days, day) {
			delete(l.days, day)
		}
	}
	stale := slices.DeleteFunc(slices.Clone(days), func(day int64) bool {
		have, ok := l.days[day]
		return ok && known && have.state == states[day]
	})
	for batch := range slices.Chunk(stale, daysAtOnce) {
		spans := make([]interval, len(batch))
		for i, day := range batch {
			spans[i] = interval{day, day + secondsOfDay}
		}
		found, err := l.read(ctx, spans, spans, nil, ask)
		if err != nil {
			return err
		}
		for i, day := range batch {
			l.days[day] = &dayCount{states[day], found[i]}
		}
	}
	return nil
}

// partitions returns what each day's partition of the minute rollup is. known is false if the table is another than before,
// or none whose parts the store lists; then nothing that is remembered counts.
func (l *Ledger) partitions(ctx context.Context, ask Ask) (states map[int64]partition, known bool, err error) {
	sql := fmt.Sprintf(`SELECT toUnixTimestamp(toDateTime(toDate(partition), 'UTC')) AS day,
    min(min_block_number), max(max_block_number), sum(max_block_number - min_block_number + 1),
    toInt64(max(data_version))
FROM system.parts
WHERE active AND database = currentDatabase() AND table = %[1]s
GROUP BY day
UNION ALL
SELECT 0, toInt64(engine LIKE '%%MergeTree'), reinterpretAsInt64(cityHash64(uuid)), 0, 0
FROM system.tables
WHERE database = currentDatabase() AND name = %[1]s`, quote(schema.Rollup1m))
	states = map[int64]partition{}
	err = ask(ctx, sql, func(rows Rows) error {
		for rows.Next() {
			var day uint32
			var p partition
			if err := rows.Scan(&day, &p.first, &p.last, &p.covered, &p.version); err != nil {
				return fmt.Errorf("read partitions: %w", err)
			}
			if day == 0 {
				known = p.first == 1 && p.last == l.table
				l.table = p.last
				continue
			}
			states[int64(day)] = p
		}
		return rows.Err()
	})
	return states, known, err
}

// fold counts spans that are parts of days, from quarters of hours and, at their ends, minutes.
func (l *Ledger) fold(ctx context.Context, spans []interval, ask Ask) ([]tallies, error) {
	minutes, quarters := cover(spans)
	return l.read(ctx, spans, minutes, quarters, ask)
}

// read sums each span over the ranges of minutes and of quarters of hours that it consists of.
func (l *Ledger) read(ctx context.Context, spans, minutes, quarters []interval, ask Ask) ([]tallies, error) {
	found := make([]tallies, len(spans))
	err := ask(ctx, l.sql(spans, minutes, quarters), func(rows Rows) error {
		values := make([]string, len(l.dimensions))
		var at []uint16
		sums := make([][]uint64, 3+len(l.bounds))
		var into []any
		for i := range values {
			into = append(into, &values[i])
		}
		into = append(into, &at)
		for i := range sums {
			into = append(into, &sums[i])
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
			members, ok := l.members[string(key)]
			if !ok {
				members = l.match(values)
				if len(l.members) < rememberedTuples {
					l.members[string(key)] = members
				}
			}
			for i, span := range at {
				if int(span) >= len(spans) {
					return fmt.Errorf("read counts: span %d, which was not asked for", span)
				}
				for _, m := range members {
					t := found[span].at(m.cell)
					if m.hit >= 0 {
						t.hits += sums[m.hit][i]
					}
					if m.judged >= 0 {
						t.judgeds += sums[m.judged][i]
					}
					if m.total >= 0 {
						t.totals += sums[m.total][i]
					}
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// The places of the measures among the sums of a row; those of the bounds follow.
const (
	atCount = iota
	atJudged
	atTimed
	atBounds
)

// sql folds rows by dimensions and spans. The spans of a combination come as arrays: a row costs the client more than
// its numbers do.
func (l *Ledger) sql(spans, minutes, quarters []interval) string {
	measures := []string{schema.Count, schema.Judged, schema.DurationCount}
	names := []string{sumCount, sumJudged, sumTimed}
	for _, bound := range l.bounds {
		measures, names = append(measures, schema.DurationColumn(bound)), append(names, fast(bound))
	}
	dimensions := strings.Join(l.dimensions, ", ")

	var b strings.Builder
	b.WriteString("SELECT " + dimensions + ", groupArray(span)")
	for _, name := range names {
		b.WriteString(", groupArray(" + name + ")")
	}
	b.WriteString("\nFROM\n(\n    SELECT toUInt16(multiIf(")
	for i, span := range spans[:len(spans)-1] {
		fmt.Fprintf(&b, "bucket < toDateTime(%d), %d, ", span.to, i)
	}
	if len(spans) == 1 {
		b.WriteString("true, 0, ")
	}
	fmt.Fprintf(&b, "%d)) AS span, %s", len(spans)-1, dimensions)
	for i, name := range names {
		fmt.Fprintf(&b, ", sum(%s) AS %s", measures[i], name)
	}
	b.WriteString("\n    FROM\n    (\n")
	b.WriteString(indent(indent(rowsOf(minutes, quarters, dimensions+", "+strings.Join(measures, ", "), l.where))))
	b.WriteString("\n    )\n    GROUP BY span, " + dimensions + "\n)\nGROUP BY " + dimensions)
	return b.String()
}

// match finds the SLOs that a combination of dimensions counts for.
func (l *Ledger) match(values []string) []membership {
	of := make(map[string]string, len(values))
	for i, d := range l.dimensions {
		of[d] = values[i]
	}
	var members []membership
	for _, at := range l.owners[[2]string{of[schema.Service], of[schema.Vantage]}] {
		in := &l.slos[l.summed[at]].Indicator
		if in.Environment != "" && of[schema.Environment] != in.Environment {
			continue
		}
		m := membership{cell: at, hit: -1, total: -1, judged: -1}
		hit, judged := atJudged, atJudged
		if in.Threshold != 0 {
			hit, judged = atBounds+slices.Index(l.bounds, in.Threshold), atTimed
		}
		switch {
		case in.Total.matches(of):
			m.total, m.judged = atCount, judged
		case in.Unjudged.matches(of):
			m.total = atCount
		case !in.Separate:
			continue
		}
		if in.Hit.matches(of) {
			m.hit = hit
		}
		if m.hit < 0 && m.total < 0 {
			continue
		}
		members = append(members, m)
		if by := l.slos[l.summed[at]].Grouping.By; len(by) > 0 {
			m.cell = l.group(at, by, of)
			members = append(members, m)
		}
	}
	return members
}

// group returns the cell of the group that a combination of dimensions is in.
func (l *Ledger) group(at int, by []string, of map[string]string) int {
	key := make([]string, len(by))
	for i, d := range by {
		key[i] = of[d]
	}
	k := groupKey{at, pack(key)}
	if _, ok := l.groups[k]; !ok {
		l.groups[k], l.cells = len(l.cells), append(l.cells, cell{at, key})
	}
	return l.groups[k]
}

func (s Selection) matches(of map[string]string) bool {
	return slices.ContainsFunc(s, func(t Term) bool {
		holds := func(f Filter) bool { return slices.Contains(f.Values, of[f.Dimension]) }
		return t.Event == of[schema.EventName] && !slices.ContainsFunc(t.Except, holds) &&
			!slices.ContainsFunc(t.Where, func(f Filter) bool { return !holds(f) })
	})
}
