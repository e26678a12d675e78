package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type jsonSchema = jsonschema.Schema

// difference finds what a new schema refuses that old ones, which all hold together, accepted.
type difference struct {
	found func(location string, effect Effect, what string)
	seen  map[pair]bool
	// vague says that the old schemas have conditions which are not understood, so that nothing is certain.
	vague bool
	depth int
}

type pair struct{ old, new string }

// conjuncts are the schemas that hold together with s: itself, its $ref, its allOf.
func conjuncts(s *jsonSchema, into []*jsonSchema) []*jsonSchema {
	if s == nil || slices.Contains(into, s) {
		return into
	}
	into = append(into, s)
	into = conjuncts(s.Ref, into)
	for _, sub := range s.AllOf {
		into = conjuncts(sub, into)
	}
	return into
}

func (d *difference) fail(s *jsonSchema, keyword, format string, args ...any) {
	effect := Breaks
	if d.vague {
		effect = Undecided
	}
	d.found(s.Location+keyword, effect, fmt.Sprintf(format, args...))
}

func (d *difference) unsure(s *jsonSchema, keyword, what string) {
	d.found(s.Location+keyword, Undecided, what)
}

// maxUnions bounds how many combinations of alternatives are looked at.
const maxUnions = 64

// compare reports what is accepted by all of olds and not by s.
func (d *difference) compare(olds []*jsonSchema, s *jsonSchema) {
	var all []*jsonSchema
	for _, old := range olds {
		all = conjuncts(old, all)
	}
	for _, old := range all {
		if old.Bool != nil && !*old.Bool || same(old, s) {
			return
		}
	}
	key := pair{new: s.Location}
	for _, old := range all {
		key.old += old.Location + " "
	}
	if d.seen[key] {
		return
	}
	d.seen[key] = true
	if d.depth++; d.depth > maxDepth || len(d.seen) > maxExpanded {
		d.unsure(s, "", "too large a difference")
		return
	}
	defer func(vague bool) { d.vague = vague; d.depth-- }(d.vague)
	for _, old := range all {
		d.vague = d.vague || old.Not != nil || old.If != nil || old.Contains != nil || old.Format != nil ||
			len(old.DependentSchemas)+len(old.Dependencies) > 0 || old.UnevaluatedProperties != nil ||
			old.UnevaluatedItems != nil || old.DynamicRef != nil || old.RecursiveRef != nil
	}
	// Each alternative of the old schemas must be accepted.
	for i, old := range all {
		for _, branches := range [][]*jsonSchema{old.AnyOf, old.OneOf} {
			if len(branches) == 0 {
				continue
			}
			if len(branches) > maxUnions || slices.ContainsFunc(conjuncts(s, nil), func(n *jsonSchema) bool {
				return sameList(n.AnyOf, old.AnyOf) && sameList(n.OneOf, old.OneOf)
			}) {
				continue // the alternatives did not change: what is beside them is compared below
			}
			without := *old
			without.AnyOf, without.OneOf = nil, nil
			without.Location += " beside"
			for _, branch := range branches {
				rest := append(slices.Clone(all), branch)
				rest[i] = &without
				d.compare(rest, s)
			}
			return
		}
	}
	for _, n := range conjuncts(s, nil) {
		if !slices.ContainsFunc(all, func(old *jsonSchema) bool { return same(old, n) }) {
			d.keywords(all, n)
		}
	}
}

// kinds of values, as [jsonschema.Types] name them; integers are apart from other numbers.
var valueKinds = []string{"null", "boolean", "integer", "fraction", "string", "array", "object"}

func kindsOf(s *jsonSchema) []string {
	if s.Types == nil {
		return valueKinds
	}
	names := s.Types.ToStrings()
	if slices.Contains(names, "number") {
		names = append(names, "integer", "fraction")
	}
	return names
}

// values are all that is accepted, where that is a list.
func values(all []*jsonSchema, kinds []string) (list []any, finite bool) {
	for _, old := range all {
		if old.Const != nil {
			return []any{*old.Const}, true
		}
		if old.Enum != nil {
			list, finite = old.Enum.Values, true
		}
	}
	if !finite && !slices.ContainsFunc(kinds, func(k string) bool { return k != "null" && k != "boolean" }) {
		return []any{nil, true, false}, true
	}
	return list, finite
}

func (d *difference) keywords(all []*jsonSchema, n *jsonSchema) {
	kinds := slices.Clone(valueKinds)
	for _, old := range all {
		allowed := kindsOf(old)
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return !slices.Contains(allowed, k) })
	}
	if n.Bool != nil {
		if !*n.Bool && len(kinds) > 0 {
			d.fail(n, "", "nothing is accepted here any more")
		}
		return
	}
	if list, finite := values(all, kinds); finite {
		// The list is complete: every value is tried.
		plain := *n
		plain.Ref, plain.AllOf = nil, nil // compared by themselves
		for _, v := range list {
			refused := func(s *jsonSchema) bool { return s.Validate(v) != nil }
			if !slices.ContainsFunc(all, refused) && refused(&plain) {
				text, _ := json.Marshal(v)
				d.fail(n, "", "the value %s is not accepted any more", text)
			}
		}
		return
	}
	allowed := kindsOf(n)
	for _, k := range kinds {
		if !slices.Contains(allowed, k) {
			d.fail(n, "/type", "values of type %s are not accepted any more", strings.Replace(k, "fraction", "number", 1))
		}
	}
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return !slices.Contains(allowed, k) })
	has := func(k string) bool { return slices.Contains(kinds, k) }
	if (n.Enum != nil || n.Const != nil) && len(kinds) > 0 {
		d.fail(n, "", "only listed values are accepted now")
		return
	}
	if has("integer") || has("fraction") {
		d.numbers(all, n, !has("fraction"))
	}
	if has("string") {
		d.strings(all, n)
	}
	if has("array") {
		d.arrays(all, n)
	}
	if has("object") {
		d.objects(all, n)
	}
	d.combinations(all, n)
}

// most returns the largest of a keyword among schemas; least the smallest. nil is none.
func pick(all []*jsonSchema, get func(*jsonSchema) *int, better func(a, b int) bool) *int {
	var best *int
	for _, s := range all {
		if v := get(s); v != nil && (best == nil || better(*v, *best)) {
			best = v
		}
	}
	return best
}

func more(a, b int) bool { return a > b }
func less(a, b int) bool { return a < b }

func (d *difference) atLeast(all []*jsonSchema, n *jsonSchema, keyword string, floor int, get func(*jsonSchema) *int) {
	if want := get(n); want != nil {
		was := orElse(pick(all, get, more), 0)
		if was = max(was, floor); *want > was {
			d.fail(n, "/"+keyword, "raised from %d to %d", was, *want)
		}
	}
}

func (d *difference) atMost(all []*jsonSchema, n *jsonSchema, keyword string, get func(*jsonSchema) *int) {
	if want := get(n); want != nil {
		if was := pick(all, get, less); was == nil {
			d.fail(n, "/"+keyword, "there was no limit, and now it is %d", *want)
		} else if *want < *was {
			d.fail(n, "/"+keyword, "lowered from %d to %d", *was, *want)
		}
	}
}

// edge is a bound of numbers; open leaves out the bound itself.
type edge struct {
	at   *big.Rat
	open bool
}

// lower is the bound from below; mirrored gives the one from above with its sign changed, so that both are compared alike.
func lower(s *jsonSchema, mirrored, integers bool) *edge {
	closed, open := s.Minimum, s.ExclusiveMinimum
	if mirrored {
		closed, open = s.Maximum, s.ExclusiveMaximum
	}
	var e *edge
	for _, next := range []edge{{closed, false}, {open, true}} {
		if next.at == nil {
			continue
		}
		if mirrored {
			next.at = new(big.Rat).Neg(next.at)
		}
		if integers { // the least integer that is within
			whole := new(big.Int).Div(next.at.Num(), next.at.Denom())
			if !next.at.IsInt() || next.open {
				whole.Add(whole, big.NewInt(1))
			}
			next = edge{new(big.Rat).SetInt(whole), false}
		}
		if e == nil || e.within(&next) {
			e = &next
		}
	}
	return e
}

// within reports whether all above inner is above e.
func (e *edge) within(inner *edge) bool {
	c := inner.at.Cmp(e.at)
	return c > 0 || c == 0 && (inner.open || !e.open)
}

func (d *difference) numbers(all []*jsonSchema, n *jsonSchema, integers bool) {
	for _, mirrored := range []bool{false, true} {
		want := lower(n, mirrored, integers)
		implied := func(old *jsonSchema) bool {
			was := lower(old, mirrored, integers)
			return was != nil && want.within(was)
		}
		if want != nil && !slices.ContainsFunc(all, implied) {
			keyword := map[bool]string{false: "minimum", true: "maximum"}[mirrored]
			if !mirrored && n.Minimum == nil || mirrored && n.Maximum == nil {
				keyword = map[bool]string{false: "exclusiveMinimum", true: "exclusiveMaximum"}[mirrored]
			}
			d.fail(n, "/"+keyword, "fewer numbers are in range than before")
		}
	}
	if n.MultipleOf != nil {
		implied := func(old *jsonSchema) bool {
			return old.MultipleOf != nil && new(big.Rat).Quo(old.MultipleOf, n.MultipleOf).IsInt()
		}
		if !slices.ContainsFunc(all, implied) && (!integers || !new(big.Rat).Quo(big.NewRat(1, 1), n.MultipleOf).IsInt()) {
			d.fail(n, "/multipleOf", "numbers must be multiples of another number now")
		}
	}
}

// samples are texts that patterns are tried with.
var samples = []string{
	"", "a", "A", "0", "abc-123", "a b", "ä", "a\nb", "user@example.com", "2026-01-31", strings.Repeat("a", 40), "ABC",
	"12345",
}

func (d *difference) strings(all []*jsonSchema, n *jsonSchema) {
	d.atLeast(all, n, "minLength", 0, func(s *jsonSchema) *int { return s.MinLength })
	d.atMost(all, n, "maxLength", func(s *jsonSchema) *int { return s.MaxLength })
	if n.Pattern == nil || slices.ContainsFunc(all, func(old *jsonSchema) bool {
		return old.Pattern != nil && old.Pattern.String() == n.Pattern.String()
	}) {
		return
	}
	for _, text := range samples {
		refused := func(s *jsonSchema) bool { return s.Validate(text) != nil }
		if !slices.ContainsFunc(all, refused) && !n.Pattern.MatchString(text) {
			d.fail(n, "/pattern", "%q matched before and does not match now", text)
			return
		}
	}
	d.unsure(n, "/pattern", "the pattern is another")
}

// itemsOf are the schemas of the first items, and of the others; nil is any.
func itemsOf(s *jsonSchema) (first []*jsonSchema, rest *jsonSchema) {
	first, rest = s.PrefixItems, s.Items2020
	switch items := s.Items.(type) {
	case *jsonSchema:
		rest = items
	case []*jsonSchema:
		first = items
		switch more := s.AdditionalItems.(type) {
		case *jsonSchema:
			rest = more
		case bool:
			if !more {
				rest = never
			}
		}
	}
	return first, rest
}

var never = &jsonSchema{Bool: new(bool)}

func (d *difference) arrays(all []*jsonSchema, n *jsonSchema) {
	d.atLeast(all, n, "minItems", 0, func(s *jsonSchema) *int { return s.MinItems })
	d.atMost(all, n, "maxItems", func(s *jsonSchema) *int { return s.MaxItems })
	few := orElse(pick(all, func(s *jsonSchema) *int { return s.MaxItems }, less), unbounded)
	if n.UniqueItems && few > 1 && !slices.ContainsFunc(all, func(old *jsonSchema) bool { return old.UniqueItems }) {
		d.fail(n, "/uniqueItems", "items must differ now")
	}
	first, rest := itemsOf(n)
	longest := len(first)
	for _, old := range all {
		prefix, _ := itemsOf(old)
		longest = max(longest, len(prefix))
	}
	for i := 0; i <= longest && i < few; i++ {
		at := func(prefix []*jsonSchema, rest *jsonSchema) *jsonSchema {
			if i < len(prefix) {
				return prefix[i]
			}
			return rest
		}
		want := at(first, rest)
		if want == nil {
			continue
		}
		var olds []*jsonSchema
		for _, old := range all {
			if was := at(itemsOf(old)); was != nil {
				olds = append(olds, was)
			}
		}
		if want != never {
			d.compare(olds, want)
		} else if !slices.Contains(olds, never) {
			d.fail(n, "/additionalItems", "further items are not accepted any more")
		}
	}
	if n.Contains != nil {
		d.unsure(n, "/contains", "what an array must contain has changed")
	}
}

// member returns the schemas that a member of this name had; unknown are those without a name.
func member(s *jsonSchema, name string, unknown bool) (subs []*jsonSchema) {
	known := false
	if sub := s.Properties[name]; sub != nil && !unknown {
		subs, known = append(subs, sub), true
	}
	for re, sub := range s.PatternProperties {
		if !unknown && re.MatchString(name) {
			subs, known = append(subs, sub), true
		}
	}
	if known {
		return subs
	}
	switch more := s.AdditionalProperties.(type) {
	case *jsonSchema:
		subs = append(subs, more)
	case bool:
		if !more {
			subs = append(subs, never)
		}
	}
	return subs
}

func (d *difference) objects(all []*jsonSchema, n *jsonSchema) {
	var required []string
	properties := map[string]bool{}
	patterns := map[string]bool{}
	for _, old := range all {
		required = append(required, old.Required...)
		for name := range old.Properties {
			properties[name] = true
		}
		for re := range old.PatternProperties {
			patterns[re.String()] = true
		}
	}
	slices.Sort(required)
	required = slices.Compact(required)
	d.atLeast(all, n, "minProperties", len(required), func(s *jsonSchema) *int { return s.MinProperties })
	d.atMost(all, n, "maxProperties", func(s *jsonSchema) *int { return s.MaxProperties })
	for _, name := range n.Required {
		if !slices.Contains(required, name) {
			d.fail(n, "/required", "%q must be there now", name)
		}
	}
	for name, needs := range n.DependentRequired {
		for _, need := range needs {
			implied := func(old *jsonSchema) bool { return slices.Contains(old.DependentRequired[name], need) }
			if !slices.Contains(required, need) && !slices.ContainsFunc(all, implied) {
				d.fail(n, "/dependentRequired", "%q must be there now where %q is", need, name)
			}
		}
	}
	for name := range n.Properties {
		properties[name] = true
	}
	for _, name := range sortedKeys(properties) {
		d.member(all, n, name, false)
	}
	for re, sub := range n.PatternProperties {
		if (sub.Bool == nil || !*sub.Bool) && !patterns[re.String()] {
			d.unsure(sub, "", "members whose names match a pattern have a schema of their own now")
		}
		delete(patterns, re.String())
		for _, old := range all {
			for was, oldSub := range old.PatternProperties {
				if was.String() == re.String() {
					d.compare([]*jsonSchema{oldSub}, sub)
				}
			}
		}
	}
	if len(patterns) > 0 && n.AdditionalProperties != nil && n.AdditionalProperties != true {
		d.unsure(n, "/patternProperties", "a pattern of names is gone")
	}
	d.member(all, n, "", true)
	if n.PropertyNames != nil {
		text := jsonschema.Types(0)
		text.Add("string")
		olds := []*jsonSchema{{Types: &text, DraftVersion: n.DraftVersion}}
		for _, old := range all {
			if old.PropertyNames != nil {
				olds = append(olds, old.PropertyNames)
			}
		}
		d.compare(olds, n.PropertyNames)
	}
}

func (d *difference) member(all []*jsonSchema, n *jsonSchema, name string, unknown bool) {
	var olds []*jsonSchema
	for _, old := range all {
		olds = append(olds, member(old, name, unknown)...)
	}
	if slices.ContainsFunc(olds, func(s *jsonSchema) bool { return s.Bool != nil && !*s.Bool }) {
		return
	}
	for _, sub := range member(n, name, unknown) {
		switch {
		case sub != never:
			d.compare(olds, sub)
		case unknown:
			d.fail(n, "/additionalProperties", "members that have no schema are not accepted any more")
		default:
			d.fail(n, "/additionalProperties", "the member %q is not accepted any more", name)
		}
	}
}

// combinations are compared as a whole, but for anyOf, where one alternative that accepts all is enough.
func (d *difference) combinations(all []*jsonSchema, n *jsonSchema) {
	kept := func(get func(*jsonSchema) any) bool {
		return slices.ContainsFunc(all, func(old *jsonSchema) bool {
			return equal(reflect.ValueOf(get(old)), reflect.ValueOf(get(n)), nil)
		})
	}
	for keyword, get := range map[string]func(*jsonSchema) any{
		"not":                   func(s *jsonSchema) any { return s.Not },
		"oneOf":                 func(s *jsonSchema) any { return s.OneOf },
		"if":                    func(s *jsonSchema) any { return []*jsonSchema{s.If, s.Then, s.Else} },
		"dependentSchemas":      func(s *jsonSchema) any { return s.DependentSchemas },
		"dependencies":          func(s *jsonSchema) any { return s.Dependencies },
		"unevaluatedProperties": func(s *jsonSchema) any { return s.UnevaluatedProperties },
		"unevaluatedItems":      func(s *jsonSchema) any { return s.UnevaluatedItems },
		"$dynamicRef":           func(s *jsonSchema) any { return s.DynamicRef },
		"$recursiveRef":         func(s *jsonSchema) any { return s.RecursiveRef },
		"format":                func(s *jsonSchema) any { return s.Format },
	} {
		if !equal(reflect.ValueOf(get(n)), reflect.ValueOf(get(&jsonSchema{})), nil) && !kept(get) {
			d.unsure(n, "/"+keyword, "it has changed, and what it accepts was not compared")
		}
	}
	if len(n.AnyOf) == 0 || kept(func(s *jsonSchema) any { return s.AnyOf }) {
		return
	}
	for _, branch := range n.AnyOf {
		quiet := difference{seen: map[pair]bool{}, vague: d.vague, depth: d.depth}
		clean := true
		quiet.found = func(string, Effect, string) { clean = false }
		if quiet.compare(all, branch); clean {
			return
		}
	}
	d.unsure(n, "/anyOf", "no single alternative accepts all that was accepted")
}

// known is what every message of a type is: the type stands at its place.
func known(at []step, kind string) *jsonSchema {
	constant := func(v any) *jsonSchema {
		return &jsonSchema{Const: &v, DraftVersion: 2020, Location: fmt.Sprintf("const %v", v)}
	}
	s := constant(kind)
	if v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(kind))); err == nil {
		if _, number := v.(json.Number); number {
			s = &jsonSchema{AnyOf: []*jsonSchema{constant(kind), constant(v)}, DraftVersion: 2020, Location: "type"}
		}
	}
	for _, step := range slices.Backward(at) {
		outer := &jsonSchema{
			Properties: map[string]*jsonSchema{step.name: s}, Required: []string{step.name}, DraftVersion: 2020,
			Location: "/" + step.name + s.Location,
		}
		if 0 <= step.index && step.index < maxDepth {
			outer.PrefixItems = make([]*jsonSchema, step.index+1)
			for i := range outer.PrefixItems {
				outer.PrefixItems[i] = &jsonSchema{DraftVersion: 2020, Location: "any"}
			}
			outer.PrefixItems[step.index] = s
			least := step.index + 1
			outer.MinItems = &least
		}
		kinds := jsonschema.Types(0)
		kinds.Add("object")
		if outer.PrefixItems != nil {
			kinds.Add("array")
		}
		outer.Types = &kinds
		s = outer
	}
	return s
}
