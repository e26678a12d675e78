package slo

import (
	"fmt"
	"strings"
)

// Group is the SLO that one of the groups is judged as. Its name is that of s with the group behind it, as in
// login{tenant="acme"}.
func (s *SLO) Group(key []string) SLO {
	group := *s
	var names, words []string
	for i, d := range s.Grouping.By {
		names = append(names, fmt.Sprintf("%s=%q", d, key[i]))
		words = append(words, d+" "+or(key[i], "(none)"))
	}
	group.Name += "{" + strings.Join(names, ",") + "}"
	group.Title += ", " + strings.Join(words, ", ")
	group.Rules, group.Grouping = s.Grouping.Rules, Grouping{}
	return group
}

// GroupOf splits the name of a group's SLO: the name of the whole, and whether it is a group.
func GroupOf(name string) (whole string, group bool) {
	whole, _, group = strings.Cut(name, "{")
	return whole, group
}
