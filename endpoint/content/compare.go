package content

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Effect is what a change does to messages that were accepted.
type Effect uint8

// What it does.
const (
	Breaks    Effect = iota // some are refused now
	Undecided               // nobody could tell
	Notes                   // none is refused yet, but it is worth knowing
)

func (e Effect) String() string { return [...]string{"breaks", "undecided", "note"}[e] }

// Change is a difference between two policies, at its place in the new one.
type Change struct {
	Fault
	Effect Effect
	// Message is the entry of the manifest that it is about, as subprotocol/type@version; "" if it is about several.
	Message string
}

// String is one line: file:line:col: path: effect: what (message).
func (c Change) String() string {
	f := c.Fault
	f.What = c.Effect.String() + ": " + f.What
	if c.Message != "" {
		f.What += " (" + c.Message + ")"
	}
	return f.String()
}

// Compare returns what stands against replacing one policy by another, at the time now. What only widens is not there.
// Both policies must come from [Load].
//
// Undecided changes are those for which it has no rule: a changed pattern, a new combination. It looks at each keyword by
// itself, so that a change which breaks only what no message could have been anyway is named too.
func Compare(before, after *Policy, now time.Time) []Change {
	c := comparison{old: before, new: after, now: now}
	c.limits()
	names := sortedKeys(before.protocols)
	for _, name := range sortedKeys(after.protocols) {
		if before.protocols[name] == nil && before.protocols["*"] != nil {
			names = append(names, name) // it was one of those that are not named
		}
	}
	for _, name := range names {
		was, is := before.protocols[name], after.protocols[name]
		was, is = cmp.Or(was, before.protocols["*"]), cmp.Or(is, after.protocols["*"])
		if is == nil {
			c.note(place{1, 1, "protocols"}, Breaks, "", fmt.Sprintf("the subprotocol %q is not there any more", name))
			continue
		}
		c.protocol(was, is)
	}
	c.access()
	slices.SortStableFunc(c.changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(c.changes)
}

type comparison struct {
	old, new *Policy
	now      time.Time
	changes  []Change
}

func (c *comparison) note(at place, effect Effect, message, what string) {
	c.changes = append(c.changes, Change{Fault{c.new.file, at.line, at.column, at.path, what}, effect, message})
}

func (c *comparison) limits() {
	for name, v := range map[string][2]int{
		"limits.message_bytes": {c.old.maxBytes, c.new.maxBytes}, "limits.depth": {c.old.maxDepth, c.new.maxDepth},
		"limits.steps": {c.old.maxSteps, c.new.maxSteps},
	} {
		if v[1] < v[0] {
			c.note(place{1, 1, name}, Breaks, "", fmt.Sprintf("lowered from %d to %d", v[0], v[1]))
		}
	}
	if c.new.enforce > c.old.enforce {
		c.note(place{1, 1, "mode"}, Notes, "", "what was only observed is refused on more connections")
	}
}

func (c *comparison) protocol(was, is *protocol) {
	samePointer := func(a, b []step) bool {
		return slices.EqualFunc(a, b, func(a, b step) bool { return a.name == b.name })
	}
	if was.socketIO != is.socketIO {
		c.note(is.place, Breaks, "", "messages have another encoding")
		return
	}
	if !samePointer(was.typeAt, is.typeAt) || !samePointer(was.versionAt, is.versionAt) {
		c.note(is.place, Undecided, "", "type or message_version is read from another place")
	}
	if was.acceptUnknown && !is.acceptUnknown {
		c.note(is.place, Breaks, "", "unknown types are refused now")
	}
	switch was.binary + " " + is.binary {
	case "accept refuse", "json refuse":
		c.note(is.place, Breaks, "", "binary messages are refused now")
	case "accept json":
		c.note(is.place, Breaks, "", "binary messages must be JSON now")
	}
	for _, name := range sortedKeys(was.types) {
		for _, e := range was.types[name].entries {
			if !e.refused && (e.until.IsZero() || c.now.Before(e.until)) {
				c.entry(was, is, e)
			}
		}
	}
	if !was.acceptUnknown {
		return
	}
	for _, name := range sortedKeys(is.types) {
		if was.types[name] == nil {
			for _, e := range is.types[name].entries {
				if e.schema != nil || e.refused || e.version != "" {
					c.note(e.place, Breaks, e.id, "the type was accepted without being known, and is held against an entry now")
				}
			}
		}
	}
}

func (c *comparison) entry(was, is *protocol, e *entry) {
	k := is.types[e.kind]
	if k == nil {
		if !is.acceptUnknown {
			c.note(is.place, Breaks, e.id, fmt.Sprintf("the type %q is not there any more", e.kind))
		}
		return
	}
	directions := []string{e.direction}
	if e.direction == "both" {
		directions = []string{event.DirectionReceive, event.DirectionTransmit}
	}
	for _, direction := range directions {
		i := slices.IndexFunc(k.entries, func(n *entry) bool {
			return n.version == e.version && (n.direction == direction || n.direction == "both")
		})
		if i < 0 {
			c.note(is.place, Breaks, e.id,
				fmt.Sprintf("version %q is not there any more for direction %s", e.version, direction))
			continue
		}
		n := k.entries[i]
		switch {
		case n.refused || !n.until.IsZero() && !c.now.Before(n.until):
			c.note(n.place, Breaks, e.id, "the version is refused now")
			continue
		case !n.until.IsZero() && (e.until.IsZero() || n.until.Before(e.until)):
			c.note(n.place, Notes, e.id, "the version will be refused from "+n.until.Format(time.DateOnly))
		}
		if n.schema != nil {
			c.schema(was, e, n)
		}
	}
}

func (c *comparison) schema(was *protocol, e, n *entry) {
	d := difference{seen: map[pair]bool{}}
	d.found = func(location string, effect Effect, what string) {
		file, at, _ := strings.Cut(strings.TrimPrefix(location, scheme), "#")
		at = fragment("#" + at)
		f := Fault{File: path.Join(c.new.dir, file), Path: at, What: what}
		src := c.new.sources[file]
		if src == nil {
			for _, other := range c.new.sources {
				if other != nil && strings.HasPrefix(location, other.id) && other.id != "" {
					src, f.File = other, path.Join(c.new.dir, other.name)
				}
			}
		}
		if src != nil {
			f.Line, f.Column = src.position(at)
		}
		c.changes = append(c.changes, Change{f, effect, e.id})
	}
	known := known(was.typeAt, e.kind)
	if was.socketIO {
		known = &jsonSchema{DraftVersion: 2020, Location: "any"} // schemas are about what stands beside the type
		if e.schema == nil {
			c.note(n.place, Breaks, e.id, "there must be one argument now")
		}
	}
	if e.schema != nil {
		d.compare([]*jsonSchema{e.schema.full, known}, n.schema.full)
	} else {
		d.compare([]*jsonSchema{known}, n.schema.full)
	}
}

// access looks for somebody who was allowed something and is not any more; where there is none, it wants a proof.
func (c *comparison) access() {
	if !c.new.hasAccess {
		return
	}
	if !c.old.hasAccess {
		all := rule{types: []string{"*"}}
		if len(c.new.rules) == 0 || !c.new.rules[0].allow || !c.new.rules[0].covers(&all) {
			c.note(c.new.accessAt, Breaks, "", "there were no access rules, and all was allowed")
		}
		return
	}
	if widens(c.old.rules, c.new.rules) {
		return
	}
	may := func(p *Policy, w witness) bool { return p.allowed(p.rules, &w.from, []byte(w.kind), false) }
	for _, w := range witnesses(c.old, c.new) {
		if may(c.old, w) && !may(c.new, w) {
			at := c.new.accessAt
			for _, r := range c.new.rules {
				if matchAny(r.types, w.kind) && r.applies(&w.from) {
					at = r.place
					break
				}
			}
			c.note(at, Breaks, "", fmt.Sprintf("type %q is not allowed any more to %s", w.kind, w.who()))
			return
		}
	}
	c.note(c.new.accessAt, Undecided, "",
		"the rules have changed, nobody was found who lost anything, and there is no proof either")
}

// widens proves that all that the old rules allow is allowed by the new: every rule that allows has one in the new list
// that is at least as wide, every new rule that denies has one in the old that is at least as wide, and both in the same order.
// Where nothing is denied, the order does not matter.
func widens(before, after []*rule) bool {
	if !slices.ContainsFunc(after, func(r *rule) bool { return !r.allow }) {
		return !slices.ContainsFunc(before, func(old *rule) bool {
			return old.allow && !slices.ContainsFunc(after, func(r *rule) bool { return r.covers(old) })
		})
	}
	i := 0
	for _, r := range after {
		if r.allow {
			if i < len(before) && before[i].allow && r.covers(before[i]) {
				i++
			}
			continue
		}
		for i < len(before) && !before[i].allow && !before[i].covers(r) {
			i++
		}
		if i == len(before) || before[i].allow {
			return false
		}
		i++
	}
	return !slices.ContainsFunc(before[i:], func(r *rule) bool { return r.allow })
}

// covers reports whether r applies wherever other does.
func (r *rule) covers(other *rule) bool {
	within := func(narrow, wide []string) bool {
		return !slices.ContainsFunc(narrow, func(s string) bool { return !slices.Contains(wide, s) })
	}
	anyOf := func(wide, narrow []string) bool { return wide == nil || narrow != nil && within(narrow, wide) }
	return (slices.Contains(r.types, "*") || within(other.types, r.types)) && within(r.scopes, other.scopes) &&
		anyOf(r.protocols, other.protocols) && anyOf(r.tenants, other.tenants) && anyOf(r.tiers, other.tiers) &&
		anyOf(r.subjects, other.subjects)
}
