package slo

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Group is the SLO that one of the groups is judged as: it counts the group's events. Its name is that of s with the group
// behind it, as in login{tenant="acme"}, or login{others} for the group without a key.
func (s *SLO) Group(key []string) SLO {
	group := *s
	group.Rules, group.Grouping = s.Grouping.Rules, Grouping{}
	if key == nil {
		group.Name = s.groupName(nil)
		group.Title += ", " + OtherGroups
		group.folded = true
		return group
	}
	var words []string
	var filters []Filter
	for i, d := range s.Grouping.By {
		words = append(words, d+" "+cmp.Or(key[i], "(none)"))
		filters = append(filters, Filter{d, []string{key[i]}})
	}
	group.Name = s.groupName(key)
	group.Title += ", " + strings.Join(words, ", ")
	in := &group.Indicator
	in.Hit, in.Total, in.Unjudged = in.Hit.narrow(filters), in.Total.narrow(filters), in.Unjudged.narrow(filters)
	return group
}

// GroupNamed returns the group of s that has a name, as [SLO.Group] gives it.
func (s *SLO) GroupNamed(name string) (group SLO, ok bool) {
	rest, ok := strings.CutPrefix(name, s.Name+"{")
	if len(s.Grouping.By) > 0 && name == s.groupName(nil) {
		return s.Group(nil), true
	}
	var key []string
	for _, d := range s.Grouping.By {
		if rest, ok = strings.CutPrefix(rest, d+"="); !ok {
			return SLO{}, false
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return SLO{}, false
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return SLO{}, false
		}
		key, rest = append(key, value), strings.TrimPrefix(rest[len(quoted):], ",")
	}
	if !ok || len(key) == 0 {
		return SLO{}, false
	}
	group = s.Group(key)
	return group, group.Name == name
}

// groupName is the name of a group's SLO.
func (s *SLO) groupName(key []string) string {
	if key == nil {
		return s.Name + "{" + OtherGroups + "}"
	}
	names := make([]string, len(key))
	for i, d := range s.Grouping.By {
		names[i] = fmt.Sprintf("%s=%q", d, key[i])
	}
	return s.Name + "{" + strings.Join(names, ",") + "}"
}

// narrow adds filters to every term.
func (s Selection) narrow(filters []Filter) Selection {
	narrowed := slices.Clone(s)
	for i, t := range narrowed {
		narrowed[i].Where = slices.SortedStableFunc(slices.Values(slices.Concat(t.Where, filters)),
			func(a, b Filter) int { return strings.Compare(a.Dimension, b.Dimension) })
	}
	return narrowed
}

// GroupOf splits the name of a group's SLO: the name of the whole, and whether it is a group.
func GroupOf(name string) (whole string, group bool) {
	whole, _, group = strings.Cut(name, "{")
	return whole, group
}
