package page

import (
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

const (
	// worstGroups is how many groups an overview shows of an SLO.
	worstGroups = 3
	// openGroups is how many an SLO's page shows at once, mostGroups how many at all.
	openGroups, mostGroups = 12, 200
)

// family is an SLO with its groups.
type family struct {
	whole  *slo.Status
	groups []*slo.Status // the worst first
}

// families gathers statuses that are sorted by [Worst]. The place of a family is that of its worst.
func families(statuses []slo.Status) []*family {
	var all []*family
	of := map[[2]string]*family{}
	for i := range statuses {
		st := &statuses[i]
		name, group := slo.GroupOf(st.SLO)
		f := of[[2]string{st.Service, name}]
		if f == nil {
			f = &family{}
			of[[2]string{st.Service, name}] = f
			all = append(all, f)
		}
		if group {
			f.groups = append(f.groups, st)
		} else {
			f.whole = st
		}
	}
	for _, f := range all {
		if f.whole == nil { // the whole is judged with its groups; but what is known is shown
			f.whole, f.groups = f.groups[0], f.groups[1:]
		}
	}
	return all
}

// shows reports whether a filter lets the family through, for its whole or for one of its groups.
func (f *family) shows(filter Filter) bool {
	return filter.matches(f.whole) || slices.ContainsFunc(f.groups, filter.matchesGroup)
}

// matchesGroup is matches for a group. That one tenant has no traffic now is nothing to tell; that its budget burns is.
func (f Filter) matchesGroup(st *slo.Status) bool {
	return f.matches(st) && (f.State == "" || urgent(st.State))
}

func urgent(s slo.State) bool { return s == slo.StateExhausted || s == slo.StateBurning }

type row struct {
	slo.Status
	Name   string // its title, or what is its own of a group's
	URL    string
	Badge  badge
	Left   meter
	Chart  burnChart
	Hour   slo.WindowStatus
	Until  time.Time // what is now does not count up to then
	Groups []row
	More   int // groups that are not shown
}

func newRow(st *slo.Status, name string, exclusions []slo.Exclusion) row {
	return row{
		Status: *st, Name: name, URL: Link(st.Service, st.SLO), Badge: badgeOf(st), Left: budgetMeter(st),
		Chart: newBurnChart(st), Hour: window(st, "1h"), Until: excludedUntil(st, exclusions),
	}
}

// row is the family's, with the worst groups that the filter lets through.
func (f *family) row(filter Filter, exclusions []slo.Exclusion) row {
	r := newRow(f.whole, f.whole.Title, exclusions)
	r.More = len(f.groups)
	for _, g := range f.groups {
		if len(r.Groups) < worstGroups && (filter.matchesGroup(g) || filter.matches(f.whole)) {
			r.Groups = append(r.Groups, newRow(g, f.groupName(g), nil))
			r.More--
		}
	}
	return r
}

func (f *family) groupName(g *slo.Status) string {
	return strings.TrimPrefix(g.Title, f.whole.Title+", ")
}

// groupRows are those of an SLO's page: at once, and folded.
func (f *family) groupRows() (open, folded []row, more int) {
	for i, g := range f.groups {
		switch r := newRow(g, f.groupName(g), nil); {
		case i < openGroups:
			open = append(open, r)
		case i < mostGroups:
			folded = append(folded, r)
		default:
			more++
		}
	}
	return open, folded, more
}

// excludedUntil is when time begins to count again for an SLO, or zero if it does now.
func excludedUntil(st *slo.Status, exclusions []slo.Exclusion) time.Time {
	var until time.Time
	for _, e := range slo.Excluding(&slo.SLO{Service: st.Service, Name: st.SLO}, exclusions, st.AsOf, st.AsOf.Add(time.Second)) {
		if e.To.After(until) {
			until = e.To
		}
	}
	return until
}
