package slo

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Query is one SQL statement that counts every SLO over every window, and how to read its answer.
type Query struct {
	SQL  string
	AsOf time.Time

	slos   []SLO
	timing Timing
	slots  []slot
	parts  []*part
}

// slot is one thing to count: an SLO, a member of a composite, or the groups of an SLO.
type slot struct {
	slo     *SLO
	grouped bool
	// burn are the burn windows, budget is the budget window.
	burn   []counted
	budget counted
	// active is the part that counts the connections open, if they count.
	active int
}

// counted is a window and where it is counted: the spans of a part that begin at from or later.
type counted struct {
	Window
	part int
	from int64
}

// scan is what parts are told apart by: what is read from where, by slices of which length, up to when.
type scan struct {
	kind  kind
	table string
	slice time.Duration
	end   int64
	// asof is an expression of the end, if the statement finds it out by itself; end is then any moment.
	asof string
	// grouped scans are apart, because the dimensions of groups multiply the rows that a fold leaves.
	grouped bool
	// ranks is set where the scan is read for the ranking of groups alone.
	ranks bool
}

type kind int

const (
	ofRollup kind = iota // counts of a rollup tier
	ofGauges             // what instances say of themselves
	ofRates              // sketches of bytes per second
	ofActive             // connections open at the end
)

// part is one scan. Its bounds, ascending, divide the time from the first of them to the scan's end into spans; every
// window of the part is a number of spans at its end.
type part struct {
	scan
	slots  []int
	bounds []int64
}

// Plan compiles the SLOs into a query as of a moment, which is floored to the timing's resolution. All windows are
// half-open: [asof-w, asof). Budget windows end at the last full minute, those beyond the minutes' retention at the last
// full quarter of an hour, and windows of slices at the last full slice.
//
// Each scan folds a table into a few hundred rows first, by the dimensions that some SLO filters on and by the span (or
// slice) that a bucket falls into, and matches the SLOs against those; so its cost grows far slower than the number of SLOs.
// What slices are judged by is decided once a slice is whole, and the spans of the answer are added up in [Query.Read].
func Plan(slos []SLO, asof time.Time, timing Timing) Query {
	q := plan(slos, asof, timing)
	q.SQL = q.sql()
	return q
}

// plan is Plan without the statement.
func plan(slos []SLO, asof time.Time, timing Timing) Query {
	timing = timing.defaulted()
	q := Query{AsOf: timing.AsOf(asof), slos: slos, timing: timing}
	for i := range slos {
		s := &slos[i]
		for j := range s.Members {
			q.slot(&s.Members[j].SLO, false)
		}
		if len(s.Members) == 0 {
			q.slot(s, false)
		}
		if len(s.Grouping.By) > 0 {
			q.slot(s, true)
		}
	}
	return q
}

// slot adds one, and its windows to the parts that count them.
func (q *Query) slot(s *SLO, grouped bool) {
	index := len(q.slots)
	t := slot{slo: s, grouped: grouped, active: -1}
	slice := s.slice()
	end := floor(q.AsOf, max(slice, time.Minute)).Unix()
	burn := scan{kind: ofRollup, table: schema.Rollup1m, slice: slice, end: end, grouped: grouped}
	switch {
	case s.Indicator.Measure.ofGauges():
		burn.kind, burn.table = ofGauges, schema.Gauges10s
	case s.Indicator.Measure.ofRates():
		burn.kind, burn.table = ofRates, schema.ConnectionRate
	}
	budget := burn
	if slice == 0 && q.timing.Resolution < time.Minute {
		burn.table, burn.end = schema.Rollup10s, q.AsOf.Unix()
	}
	if s.long() && budget.kind == ofRollup {
		budget.table, budget.end = schema.Rollup15m, floor(q.AsOf, max(slice, quarter)).Unix()
	}
	for _, w := range q.timing.Windows() {
		if slice > 0 {
			w.Length = (w.Length + slice - 1) / slice * slice
		}
		t.burn = append(t.burn, q.count(index, s, burn, w))
	}
	t.budget = q.count(index, s, budget, s.budgetWindow(time.Unix(budget.end, 0)))
	if s.Indicator.Active && !within(s.excludedBy(time.Minute), q.AsOf.Unix()-1) {
		t.active = q.part(index, scan{kind: ofActive, table: schema.Gauges10s, end: q.AsOf.Unix(), grouped: grouped})
	}
	q.slots = append(q.slots, t)
}

// slice is the length of what is judged at once; 0 means every event by itself.
func (s *SLO) slice() time.Duration {
	if s.Indicator.Measure != "" {
		return max(s.Budgeting.Slice, time.Minute)
	}
	return s.Budgeting.Slice
}

// budgetWindow is the window of the error budget that ends at a moment.
func (s *SLO) budgetWindow(end time.Time) Window {
	if s.Calendar != nil {
		from, _ := s.Calendar.Period(end)
		return Window{s.Calendar.name(), end.Sub(from)}
	}
	return Window{fmt.Sprintf("%dd", s.Window/day), s.Window}
}

// part returns the index of a scan's part, which has the slot from then on.
func (q *Query) part(index int, sc scan) int {
	i := slices.IndexFunc(q.parts, func(p *part) bool { return p.scan == sc })
	if i < 0 {
		i = len(q.parts)
		q.parts = append(q.parts, &part{scan: sc})
	}
	if p := q.parts[i]; len(p.slots) == 0 || p.slots[len(p.slots)-1] != index {
		p.slots = append(p.slots, index)
	}
	return i
}

// count adds a window of a slot to a scan, cut where times begin and end that do not count.
func (q *Query) count(index int, s *SLO, sc scan, w Window) counted {
	c := counted{Window: w, part: q.part(index, sc), from: sc.end - int64(w.Length/time.Second)}
	p := q.parts[c.part]
	p.bound(c.from)
	for _, span := range s.excludedBy(p.step()) {
		if span.from < p.end && span.to > c.from {
			p.bound(max(span.from, c.from))
			if span.to < p.end {
				p.bound(span.to)
			}
		}
	}
	return c
}

// bound begins a span.
func (p *part) bound(at int64) {
	if i, found := slices.BinarySearch(p.bounds, at); !found {
		p.bounds = slices.Insert(p.bounds, i, at)
	}
}

// step is what the part's counts are made of.
func (p *part) step() time.Duration { return stepOf(p.table, p.slice) }

func stepOf(table string, slice time.Duration) time.Duration {
	if table == schema.Rollup15m {
		return max(slice, quarter)
	}
	return max(slice, time.Minute)
}

// Rows is what the answer is read from; the rows of clickhouse-go are.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}

// sums are what was found of a slot, or of one of its groups, in the spans of a part.
type sums [][3]uint64

// Read reads the answer: the counts of each SLO, in the order they were given. An SLO without a row counted nothing.
func (q *Query) Read(rows Rows) ([]Counts, error) {
	found := make([]map[string]map[int]sums, len(q.slots)) // by slot, group and part
	for rows.Next() {
		var (
			in    uint8
			index uint32
			group string
			span  uint32
			n     [3]uint64
		)
		if err := rows.Scan(&in, &index, &group, &span, &n[0], &n[1], &n[2]); err != nil {
			return nil, fmt.Errorf("read counts: %w", err)
		}
		if int(index) >= len(found) || int(in) >= len(q.parts) || int(span) >= max(len(q.parts[in].bounds), 1) {
			return nil, fmt.Errorf("read counts: row for slot %d, part %d, span %d, which were not asked for", index, in, span)
		}
		if found[index] == nil {
			found[index] = map[string]map[int]sums{}
		}
		if found[index][group] == nil {
			found[index][group] = map[int]sums{}
		}
		if found[index][group][int(in)] == nil {
			found[index][group][int(in)] = make(sums, max(len(q.parts[in].bounds), 1))
		}
		found[index][group][int(in)][span] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	return q.assemble(func(index int) (Counts, error) {
		t := &q.slots[index]
		return t.counts(q.found(t, found[index][""]))
	}, func(index int) ([]Group, error) { return q.groups(&q.slots[index], found[index]) })
}

// assemble makes the counts of every SLO from those of its slots.
func (q *Query) assemble(count func(index int) (Counts, error), split func(index int) ([]Group, error),
) ([]Counts, error) {
	counts := make([]Counts, len(q.slos))
	next := 0
	for i := range q.slos {
		s := &q.slos[i]
		var err error
		for range s.Members {
			member, err := count(next)
			if err != nil {
				return nil, err
			}
			counts[i].Members = append(counts[i].Members, member)
			next++
		}
		if len(s.Members) > 0 {
			q.together(&counts[i], s)
			continue
		}
		if counts[i], err = count(next); err != nil {
			return nil, err
		}
		next++
		if len(s.Grouping.By) > 0 {
			if counts[i].Groups, err = split(next); err != nil {
				return nil, err
			}
			next++
		}
	}
	return counts, nil
}

// together adds up what the members of a composite counted.
func (q *Query) together(c *Counts, s *SLO) {
	c.Windows = make([]Count, len(q.timing.Windows()))
	add := func(sum *Count, w Window, member Count) {
		sum.Window = w
		sum.Good, sum.Total, sum.Judged = sum.Good+member.Good, sum.Total+member.Total, sum.Judged+member.Judged
	}
	for _, m := range c.Members {
		for i, w := range q.timing.Windows() {
			add(&c.Windows[i], w, m.Windows[i])
		}
		add(&c.Budget, s.budgetWindow(floor(q.AsOf, time.Minute)), m.Budget)
	}
}

// found is what was counted over a window, and how many connections are open besides.
type found func(w counted) (n tally, open uint64)

// found adds up the spans of each window.
func (q *Query) found(t *slot, sums map[int]sums) found {
	return func(w counted) (n tally, open uint64) {
		p := q.parts[w.part]
		excluded := t.slo.excludedBy(p.step())
		for span, of := range sums[w.part] {
			if p.bounds[span] >= w.from && !within(excluded, p.bounds[span]) {
				n.add(tally{of[0], of[1], of[2]})
			}
		}
		if active := sums[t.active]; active != nil {
			open = active[0][0]
		}
		return n, open
	}
}

// counts are those of all windows of a slot.
func (t *slot) counts(of found) (Counts, error) {
	var c Counts
	window := func(w counted) (Count, error) {
		n, open := of(w)
		count, err := t.slo.count(w.Window, n)
		count.Good, count.Total, count.Judged = count.Good+open, count.Total+open, count.Judged+open
		return count, err
	}
	for _, w := range t.burn {
		n, err := window(w)
		if err != nil {
			return c, err
		}
		c.Windows = append(c.Windows, n)
	}
	var err error
	c.Budget, err = window(t.budget)
	return c, err
}

// count makes what was added up the count of a window.
func (s *SLO) count(w Window, t tally) (Count, error) {
	if s.Indicator.Separate {
		t.hits = min(t.hits, t.judgeds)
	}
	if t.hits > t.judgeds || t.judgeds > t.totals {
		return Count{Window: w}, fmt.Errorf("read counts of %s of %s: %d hits of %d judged of %d events over %s; "+
			"the rollup is damaged", s.Name, s.Service, t.hits, t.judgeds, t.totals, w.Name)
	}
	if s.Indicator.HitIsBad && s.slice() == 0 {
		t.hits = t.judgeds - t.hits
	}
	return Count{w, t.hits, t.totals, t.judgeds}, nil
}

// groups returns the groups of an SLO, the largest first and the others last.
func (q *Query) groups(t *slot, found map[string]map[int]sums) ([]Group, error) {
	var groups []Group
	for key, sums := range found {
		c, err := t.counts(q.found(t, sums))
		if err != nil {
			return nil, err
		}
		values, err := unpack(key)
		if err != nil || values != nil && len(values) != len(t.slo.Grouping.By) {
			return nil, fmt.Errorf("read counts of %s of %s: %q is no group of it", t.slo.Name, t.slo.Service, key)
		}
		groups = append(groups, Group{values, c})
	}
	sortGroups(groups)
	return groups, nil
}

func sortGroups(groups []Group) {
	slices.SortFunc(groups, func(a, b Group) int {
		switch {
		case a.Key == nil:
			return 1
		case b.Key == nil:
			return -1
		case a.Budget.Total != b.Budget.Total:
			if a.Budget.Total > b.Budget.Total {
				return -1
			}
			return 1
		}
		return slices.Compare(a.Key, b.Key)
	})
}

// A group is one string in the answer: its values in hexadecimal with dots between them, behind an x. That sorts as the
// values do, and tells the group without a value from no group. The group that others fold into has its name instead.

func pack(values []string) string {
	packed := make([]string, len(values))
	for i, v := range values {
		packed[i] = strings.ToUpper(hex.EncodeToString([]byte(v)))
	}
	return "x" + strings.Join(packed, ".")
}

func unpack(key string) ([]string, error) {
	if key == OtherGroups {
		return nil, nil
	}
	packed, ok := strings.CutPrefix(key, "x")
	if !ok {
		return nil, fmt.Errorf("%q is no group", key)
	}
	values := strings.Split(packed, ".")
	for i := range values {
		v, err := hex.DecodeString(values[i])
		if err != nil {
			return nil, err
		}
		values[i] = string(v)
	}
	return values, nil
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
