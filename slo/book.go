package slo

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// book remembers what slots counted in whole days, and in whole hours of the days that a window begins or ends in. A piece
// is counted once, and again when rows of its time have come or gone; what lies between whole hours is read on every tick.
type book struct {
	shelf
	slots    []int
	foldings []*folding
	judges   map[int]func(tally) tally
	// cells are what is added up: a slot, or a group of one.
	cells  []cell
	cellOf map[cell]int
	// groups are those of a slot.
	groups map[int][]string
	pieces map[interval]tallies
	// since are the tallies from each edge up to the end, of the last count.
	since map[int64]tallies
}

// shelf is what books are told apart by: what is read from where, by slices of which length, and whether all events are.
type shelf struct {
	kind  kind
	table string
	slice time.Duration
	all   bool
}

// shelf is where a slot is counted in a part.
func (q *Query) shelf(p *part, slot int) shelf {
	return shelf{p.kind, p.table, p.slice, q.slots[slot].slo.Indicator.Measure == MeasureCount}
}

// cell is a slot, or one of its groups.
type cell struct {
	slot  int
	group string
}

// tally is what is added up for a cell.
type tally struct{ hits, totals, judgeds uint64 }

func (t *tally) add(o tally) {
	t.hits += o.hits
	t.totals += o.totals
	t.judgeds += o.judgeds
}

// tallies are those of the cells. What is added to a cell behind the last lengthens them.
type tallies []tally

func (t *tallies) at(cell int) *tally {
	for len(*t) <= cell {
		*t = append(*t, tally{})
	}
	return &(*t)[cell]
}

func (t *tallies) add(o tallies) {
	for i := range o {
		t.at(i).add(o[i])
	}
}

// interval is half-open, in seconds since 1970.
type interval struct{ from, to int64 }

const (
	secondsOfHour = int64(time.Hour / time.Second)
	secondsOfDay  = 24 * secondsOfHour
	// quartersAtOnce and minutesAtOnce bound one statement's work, which has to end while a tick lasts.
	quartersAtOnce = 8 * secondsOfDay
	minutesAtOnce  = 2 * secondsOfDay
	// slicesAtOnce bounds what is held to judge slices, over all cells.
	slicesAtOnce = 1 << 21
)

func newBook(q *Query, s shelf, slots []int) *book {
	b := &book{
		shelf: s, slots: slots, judges: map[int]func(tally) tally{}, cellOf: map[cell]int{}, groups: map[int][]string{},
		pieces: map[interval]tallies{},
	}
	b.foldings = b.folds(q, slots)
	for _, i := range slots {
		b.judges[i] = q.slots[i].slo.judge()
		if !q.slots[i].grouped {
			b.cell(i, "")
		}
	}
	return b
}

// byQuarters reports whether whole quarters of hours are read instead of what is finer.
func (b *book) byQuarters() bool { return b.kind == ofRollup && b.slice%quarter == 0 }

// tables are those that whole hours are read from.
func (b *book) tables() []string {
	if b.byQuarters() {
		return []string{schema.Rollup15m}
	}
	var tables []string
	for _, f := range b.foldings {
		tables = append(tables, f.table)
	}
	return tables
}

// cell is the index of a slot's cell, or of that of one of its groups.
func (b *book) cell(slot int, group string) int {
	c := cell{slot, group}
	i, ok := b.cellOf[c]
	if !ok {
		i = len(b.cells)
		b.cells, b.cellOf[c] = append(b.cells, c), i
		b.groups[slot] = append(b.groups[slot], group)
	}
	return i
}

// of is what a cell counted since one of the edges.
func (b *book) of(slot int, group string, from int64) tally {
	i, ok := b.cellOf[cell{slot, group}]
	if all := b.since[from]; ok && i < len(all) {
		return all[i]
	}
	return tally{}
}

// forget drops the pieces that may have changed.
func (b *book) forget(changed map[string]*changes) {
	for piece := range b.pieces {
		if slices.ContainsFunc(b.tables(), func(table string) bool { return changed[table].touches(piece) }) {
			delete(b.pieces, piece)
		}
	}
}

// cut divides the time between edges, which ascend, into whole days, whole hours, and what lies between.
func cut(edges []int64) (pieces []interval) {
	for i := range len(edges) - 1 {
		for at, end := edges[i], edges[i+1]; at < end; {
			to := at + secondsOfDay
			if at%secondsOfDay != 0 || to > end {
				to = min(at-at%secondsOfHour+secondsOfHour, end)
			}
			pieces = append(pieces, interval{at, to})
			at = to
		}
	}
	return pieces
}

func (i interval) whole() bool { return i.from%secondsOfHour == 0 && i.to%secondsOfHour == 0 }

// count makes since hold the tallies of now. The last of the edges is the end.
func (b *book) count(ctx context.Context, q *Query, edges []int64, ask Ask) error {
	pieces := cut(edges)
	now := make(map[interval]tallies, len(pieces))
	var missing []interval
	for _, p := range pieces {
		if have, ok := b.remembered(p); ok {
			now[p] = have
		} else {
			missing = append(missing, p)
		}
	}
	for piece := range b.pieces {
		if _, ok := now[piece]; !ok {
			delete(b.pieces, piece)
		}
	}
	for len(missing) > 0 {
		var batch []interval
		batch, missing = b.batch(missing)
		found, err := b.fold(ctx, q, batch, ask)
		if err != nil {
			return err
		}
		for i, p := range batch {
			if now[p] = found[i]; p.whole() {
				b.pieces[p] = found[i]
			}
		}
	}
	// From the end back, so that at each edge the sum is that of the window that begins there.
	begins, excluded := b.windows(q)
	sums := make(tallies, len(b.cells))
	b.since = map[int64]tallies{edges[len(edges)-1]: slices.Clone(sums)} // a calendar's window may just begin
	for _, p := range slices.Backward(pieces) {
		for i, n := range now[p] {
			if !within(excluded[b.cells[i].slot], p.from) {
				sums.at(i).add(n)
			}
		}
		if begins[p.from] {
			b.since[p.from] = slices.Clone(sums)
		}
	}
	return nil
}

// windows are when those of the slots begin, and what does not count for which slot.
func (b *book) windows(q *Query) (begins map[int64]bool, excluded map[int][]interval) {
	begins, excluded = map[int64]bool{}, map[int][]interval{}
	for _, i := range b.slots {
		t := &q.slots[i]
		for _, w := range append(slices.Clone(t.burn), t.budget) {
			begins[w.from] = true
		}
		if spans := t.slo.excludedBy(stepOf(b.table, b.slice)); len(spans) > 0 {
			excluded[i] = spans
		}
	}
	return begins, excluded
}

// remembered is what a piece counted: by itself, or a day by its hours.
func (b *book) remembered(p interval) (tallies, bool) {
	have, ok := b.pieces[p]
	if ok || p.to-p.from != secondsOfDay {
		return have, ok
	}
	for hour := p.from; hour < p.to; hour += secondsOfHour {
		part, ok := b.pieces[interval{hour, hour + secondsOfHour}]
		if !ok {
			return nil, false
		}
		have.add(part)
	}
	b.pieces[p] = have
	return have, true
}

// batch takes what one statement reads off the pieces that are missing: at least one.
func (b *book) batch(missing []interval) (batch, rest []interval) {
	room := minutesAtOnce
	if b.byQuarters() {
		room = quartersAtOnce
	}
	if b.slice > 0 {
		room = min(room, slicesAtOnce/int64(len(b.cells)+1)*int64(b.slice/time.Second))
	}
	n := 1
	for length := missing[0].to - missing[0].from; n < len(missing); n++ {
		if length += missing[n].to - missing[n].from; length > room {
			break
		}
	}
	return missing[:n], missing[n:]
}

// fold counts pieces.
func (b *book) fold(ctx context.Context, q *Query, pieces []interval, ask Ask) ([]tallies, error) {
	// Each piece has places for its slices, or one: what is judged has to be added up before.
	first := make([]int, len(pieces)+1)
	slice := int64(b.slice / time.Second)
	for i, p := range pieces {
		if first[i+1] = first[i] + 1; slice > 0 {
			first[i+1] = first[i] + int((p.to-p.from)/slice)
		}
	}
	var counted [][]tally // by cell and place
	var places []int
	for _, f := range b.foldings {
		err := f.read(ctx, q, pieces, ask, func(r *row) {
			places = places[:0]
			for _, at := range r.at {
				i, exact := slices.BinarySearchFunc(pieces, int64(at), func(p interval, at int64) int {
					return cmp.Compare(p.from, at)
				})
				if places = append(places, first[i]); !exact {
					places[len(places)-1] = first[i-1] + int((int64(at)-pieces[i-1].from)/slice)
				}
			}
			for _, m := range r.members {
				for len(counted) <= m.cell {
					counted = append(counted, nil)
				}
				if counted[m.cell] == nil {
					counted[m.cell] = make([]tally, first[len(pieces)])
				}
				for i, place := range places {
					counted[m.cell][place].add(r.tally(m, i))
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	found := make([]tallies, len(pieces))
	for cell, of := range counted {
		if of == nil {
			continue
		}
		judge := b.judges[b.cells[cell].slot]
		for i := range pieces {
			var sum tally
			for _, t := range of[first[i]:first[i+1]] {
				if judge != nil {
					t = judge(t)
				}
				sum.add(t)
			}
			*found[i].at(cell) = sum
		}
	}
	return found, nil
}
