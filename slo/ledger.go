package slo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Ledger counts many SLOs tick after tick at a cost that hardly grows with the length of their windows. It gives what
// [Plan] gives, without reading a month of minutes each time: a [book] for each of the parts of a plan remembers what was
// counted in whole days and hours, and the store is asked which of them have changed since.
//
// It is for one goroutine. An SLO of slices with more groups than may count by themselves is counted by [Plan]: what the
// others come to in a slice is no sum, and which they are is known only once all windows are.
type Ledger struct {
	timing Timing
	// slos leave out what does not count.
	slos []SLO
	// booked and rest are indexes of slos.
	booked, rest []int
	books        map[shelf]*book
	watch        *watch
}

// Ask runs a statement and gives its rows to read.
type Ask func(ctx context.Context, sql string, read func(Rows) error) error

// mostCells bounds the groups that are added up here; beyond it [Plan] counts the SLOs that have groups.
const mostCells = 1 << 18

// NewLedger prepares to count SLOs.
func NewLedger(slos []SLO, timing Timing) *Ledger { return newLedger(slos, timing, true) }

func newLedger(slos []SLO, timing Timing, groups bool) *Ledger {
	l := &Ledger{timing: timing.defaulted(), slos: slos, books: map[shelf]*book{}}
	for i := range slos {
		if len(slos[i].Grouping.By) > 0 && !groups {
			l.rest = append(l.rest, i)
		} else {
			l.booked = append(l.booked, i)
		}
	}
	// The parts are the same at any moment, only their bounds are not.
	q := plan(l.of(l.booked), time.Unix(0, 0), l.timing)
	slots := map[shelf][]int{}
	for _, p := range q.parts {
		for _, i := range p.slots {
			if of := q.shelf(p, i); p.kind != ofActive && !slices.Contains(slots[of], i) {
				slots[of] = append(slots[of], i)
			}
		}
	}
	var tables []string
	for of, slots := range slots {
		slices.Sort(slots)
		l.books[of] = newBook(&q, of, slots)
		tables = append(tables, l.books[of].tables()...)
	}
	l.watch = watchOf(tables)
	return l
}

// Exclude makes the exclusions, which must be in force, those whose times do not count. What is remembered stays true: it is
// all that was counted, and an hour that an exclusion cuts is read in parts.
func (l *Ledger) Exclude(exclusions []Exclusion) {
	l.slos = Exclude(l.slos, exclusions)
}

// AsOf floors a moment as [Plan] does.
func (l *Ledger) AsOf(t time.Time) time.Time { return l.timing.AsOf(t) }

// Nothing returns the counts where there is nothing to count.
func (l *Ledger) Nothing(asof time.Time) []Counts {
	q := plan(l.slos, asof, l.timing)
	return q.Nothing()
}

// Count counts every SLO over every window as of a moment.
func (l *Ledger) Count(ctx context.Context, asof time.Time, ask Ask) ([]Counts, error) {
	counts := make([]Counts, len(l.slos))
	rest := l.rest
	if len(l.booked) > 0 {
		crowded, full, err := l.count(ctx, asof, ask, counts)
		if err != nil {
			return nil, err
		}
		if full {
			*l = *newLedger(l.slos, l.timing, false)
			return l.Count(ctx, asof, ask)
		}
		rest = append(slices.Clone(rest), crowded...)
	}
	if len(rest) == 0 {
		return counts, nil
	}
	plan := Plan(l.of(rest), asof, l.timing)
	return counts, ask(ctx, plan.SQL, func(rows Rows) error {
		found, err := plan.Read(rows)
		for i := range found {
			counts[rest[i]] = found[i]
		}
		return err
	})
}

// of are some of the SLOs.
func (l *Ledger) of(indexes []int) []SLO {
	slos := make([]SLO, len(indexes))
	for i, of := range indexes {
		slos[i] = l.slos[of]
	}
	return slos
}

// count makes the counts of the SLOs that are booked. It returns those that have too many groups for it, and whether there
// are too many at all.
func (l *Ledger) count(ctx context.Context, asof time.Time, ask Ask, counts []Counts,
) (crowded []int, full bool, err error) {
	// Before the rows: what comes between the two looks is counted, and then counted again on the next tick.
	changed, err := l.watch.look(ctx, ask)
	if err != nil {
		return nil, false, err
	}
	for _, b := range l.books {
		b.forget(changed)
	}
	slos := l.of(l.booked)
	q := plan(slos, asof, l.timing)
	cells := 0
	for of, edges := range l.edges(&q) {
		if err := l.books[of].count(ctx, &q, edges, ask); err != nil {
			return nil, false, err
		}
		cells += len(l.books[of].cells)
	}
	if cells > mostCells+2*len(q.slots) {
		return nil, true, nil
	}
	open, err := l.open(ctx, &q, ask)
	if err != nil {
		return nil, false, err
	}
	found, err := q.assemble(func(slot int) (Counts, error) {
		return q.slots[slot].counts(l.found(&q, open, slot, ""))
	}, func(slot int) ([]Group, error) {
		groups, exact, err := l.groups(&q, open, slot)
		if !exact {
			for k, i := range l.booked {
				if q.slots[slot].slo == &slos[k] {
					crowded = append(crowded, i)
				}
			}
		}
		return groups, err
	})
	for i := range found {
		counts[l.booked[i]] = found[i]
	}
	return crowded, false, err
}

// edges are where the windows of each book begin, where exclusions do and end, and the end: ascending.
func (l *Ledger) edges(q *Query) map[shelf][]int64 {
	edges := map[shelf][]int64{}
	for _, p := range q.parts {
		if p.kind == ofActive {
			continue
		}
		seen := map[bool]bool{}
		for _, i := range p.slots {
			of := q.shelf(p, i)
			if !seen[of.all] {
				seen[of.all] = true
				edges[of] = append(append(edges[of], p.bounds...), p.end)
			}
		}
	}
	for of := range edges {
		slices.Sort(edges[of])
		edges[of] = slices.Compact(edges[of])
	}
	return edges
}

// open returns how many connections are open, for the slots that count them, by the group.
func (l *Ledger) open(ctx context.Context, q *Query, ask Ask) (map[int]map[string]uint64, error) {
	open := map[int]map[string]uint64{}
	for _, p := range q.parts {
		if p.kind != ofActive {
			continue
		}
		err := ask(ctx, q.open(p, p.slots), func(rows Rows) error {
			var zero uint8
			var n uint64
			values := make([]string, len(sideDimensions))
			into := []any{&zero}
			for i := range values {
				into = append(into, &values[i])
			}
			into = append(into, &n)
			for rows.Next() {
				if err := rows.Scan(into...); err != nil {
					return fmt.Errorf("read open connections: %w", err)
				}
				of := map[string]string{}
				for i, d := range sideDimensions {
					of[d] = values[i]
				}
				for _, i := range p.slots {
					s := q.slots[i].slo
					if s.Service != of[schema.Service] || s.Indicator.Vantage != of[schema.Vantage] ||
						s.Indicator.Environment != "" && s.Indicator.Environment != of[schema.Environment] ||
						!s.Indicator.Total[0].admits(of) {
						continue
					}
					group := ""
					if q.slots[i].grouped {
						group = pack(s.groupOf(of))
					}
					if open[i] == nil {
						open[i] = map[string]uint64{}
					}
					open[i][group] += n
				}
			}
			return rows.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return open, nil
}

// found is what groups of a slot counted together; the whole is the group without a key.
func (l *Ledger) found(q *Query, open map[int]map[string]uint64, slot int, groups ...string) found {
	return func(w counted) (n tally, connections uint64) {
		b := l.books[q.shelf(q.parts[w.part], slot)]
		for _, g := range groups {
			n.add(b.of(slot, g, w.from))
			connections += open[slot][g]
		}
		return n, connections
	}
}

// groups makes the groups of a slot: those with the most events in the budget window by themselves, the others together.
// It is not exact where slices of several groups would have to be judged together.
func (l *Ledger) groups(q *Query, open map[int]map[string]uint64, slot int) (groups []Group, exact bool, err error) {
	t := &q.slots[slot]
	all := slices.Collect(maps.Keys(open[slot]))
	for _, b := range l.books {
		all = append(all, b.groups[slot]...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	totals := make(map[string]uint64, len(all))
	named := slices.DeleteFunc(slices.Clone(all), func(g string) bool {
		n, connections := l.found(q, open, slot, g)(t.budget)
		totals[g] = n.totals + connections
		_, known := open[slot][g]
		return n == (tally{}) && !known
	})
	slices.SortStableFunc(named, func(a, b string) int { return cmp.Compare(totals[b], totals[a]) })
	if len(named) > t.slo.Grouping.Max {
		if t.slo.slice() > 0 {
			return nil, false, nil
		}
		named = named[:t.slo.Grouping.Max]
	}
	add := func(key []string, of ...string) (any bool, err error) {
		c, err := t.counts(l.found(q, open, slot, of...))
		if any = slices.ContainsFunc(append(c.Windows, c.Budget), func(n Count) bool { return n.Total > 0 }); any {
			groups = append(groups, Group{key, c})
		}
		return any, err
	}
	for _, g := range named {
		key, err := unpack(g)
		if err == nil {
			_, err = add(key, g)
		}
		if err != nil {
			return nil, true, err
		}
	}
	others := slices.DeleteFunc(all, func(g string) bool { return slices.Contains(named, g) })
	any, err := add(nil, others...)
	sortGroups(groups)
	return groups, !any || t.slo.slice() == 0, err
}
