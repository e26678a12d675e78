package content

import (
	"bytes"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// node is a schema as it is run over a document's tokens. Fields that are zero ask for nothing.
type node struct {
	never    bool
	types    kind // 0 is any
	integer  bool // numbers must be integers, where types has no kindNumber
	enum     []constant
	isEnum   bool
	ref      *node
	all      []*node
	any, one []*node
	not      *node
	cond     *node
	yes, no  *node

	props                []property
	table                map[string]int // of props, where there are many
	required             uint64         // bits of props
	additional           *node
	patterns             []patternProperty
	names                *node
	minProps, maxProps   int
	dependent            []dependency
	isObject             bool // something asks about objects
	prefix               []*node
	items                *node
	contains             *node
	minContains          int
	maxContains          int
	minItems, maxItems   int
	unique               bool
	isArray              bool
	minLength, maxLength int
	pattern              *regexp.Regexp
	isString             bool
	bounds               []bound
}

// property is a name that the schema mentions.
type property struct {
	name     string
	required uint64 // its bit, or 0
	node     *node  // nil where it is only required
}

type patternProperty struct {
	pattern *regexp.Regexp
	node    *node
}

type dependency struct {
	name  string
	needs []string
	node  *node
}

// constant is a value of enum or const.
type constant struct {
	doc document
}

const unbounded = int(^uint(0) >> 1)

// manyProps is from how many names on a table is faster than comparing them in turn.
const manyProps = 9

// maxRequired is how many names may be required: they are the bits of a word.
const maxRequired = 64

// compiler makes nodes of schemas. ok turns false at a keyword that nodes do not have; the library itself then validates.
type compiler struct {
	nodes map[*jsonschema.Schema]*node
	ok    bool
}

func (c *compiler) list(ss []*jsonschema.Schema) []*node {
	var nodes []*node
	for _, s := range ss {
		nodes = append(nodes, c.compile(s))
	}
	return nodes
}

func (c *compiler) regexp(r jsonschema.Regexp) *regexp.Regexp {
	if r == nil {
		return nil
	}
	re, ok := r.(*regexp.Regexp)
	c.ok = c.ok && ok
	return re
}

func orElse(p *int, n int) int {
	if p == nil {
		return n
	}
	return *p
}

// unsupported reports a keyword that nodes do not have.
func unsupported(s *jsonschema.Schema) bool {
	old, tuple := s.Items.([]*jsonschema.Schema)
	return s.RecursiveRef != nil || s.DynamicRef != nil || s.Format != nil || len(s.Dependencies) > 0 ||
		s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil || tuple || old != nil || s.AdditionalItems != nil ||
		s.ContentEncoding != nil || s.ContentMediaType != nil || s.ContentSchema != nil || len(s.Extensions) > 0 ||
		len(s.Required) > maxRequired || s.DraftVersion < 6
}

func (c *compiler) compile(s *jsonschema.Schema) *node {
	if s == nil || !c.ok {
		return nil
	}
	if n := c.nodes[s]; n != nil {
		return n
	}
	n := &node{}
	c.nodes[s] = n
	if s.Bool != nil {
		n.never = !*s.Bool
		return n
	}
	if unsupported(s) {
		c.ok = false
		return n
	}
	if s.Types != nil {
		for _, name := range s.Types.ToStrings() {
			n.types |= typeKinds[name]
			n.integer = n.integer || name == "integer"
		}
		n.integer = n.integer && n.types&kindNumber == 0
		if n.integer {
			n.types |= kindNumber
		}
	}
	if s.Const != nil {
		n.isEnum = true
		c.constants(n, *s.Const)
	}
	if s.Enum != nil {
		if n.isEnum { // both const and enum: a node has one list
			n.all = append(n.all, &node{isEnum: true, enum: n.enum})
			n.enum = nil
		}
		n.isEnum = true
		c.constants(n, s.Enum.Values...)
	}
	n.ref = c.compile(s.Ref)
	if s.Ref != nil && s.DraftVersion < 2019 {
		return n // nothing beside a $ref counts
	}
	n.all = append(n.all, c.list(s.AllOf)...)
	n.any, n.one, n.not = c.list(s.AnyOf), c.list(s.OneOf), c.compile(s.Not)
	n.cond, n.yes, n.no = c.compile(s.If), c.compile(s.Then), c.compile(s.Else)
	c.object(n, s)
	c.array(n, s)
	n.minLength, n.maxLength = orElse(s.MinLength, 0), orElse(s.MaxLength, unbounded)
	n.pattern = c.regexp(s.Pattern)
	n.isString = s.MinLength != nil || s.MaxLength != nil || n.pattern != nil
	for op, r := range map[byte]*big.Rat{
		']': s.Minimum, '[': s.Maximum, '>': s.ExclusiveMinimum, '<': s.ExclusiveMaximum, '%': s.MultipleOf,
	} {
		if r != nil {
			b := bound{op: op, rat: r}
			if b.exact = r.IsInt() && r.Num().IsInt64(); b.exact {
				b.small = r.Num().Int64()
			}
			n.bounds = append(n.bounds, b)
		}
	}
	return n
}

var typeKinds = map[string]kind{
	"null": kindNull, "boolean": kindFalse | kindTrue, "number": kindNumber, "integer": 0, "string": kindString,
	"array": kindArray, "object": kindObject,
}

func (c *compiler) constants(n *node, values ...any) {
	for _, v := range values {
		text, err := json.Marshal(v)
		n.enum = append(n.enum, constant{})
		if err != nil || !n.enum[len(n.enum)-1].doc.parse(text, maxDepth) {
			c.ok = false
		}
	}
}

func (c *compiler) object(n *node, s *jsonschema.Schema) {
	index := map[string]int{}
	add := func(name string) *property {
		i, ok := index[name]
		if !ok {
			i = len(n.props)
			index[name] = i
			n.props = append(n.props, property{name: name})
		}
		return &n.props[i]
	}
	// Sorted, since maps have no order and a program should be the same each time.
	for i, name := range slices.Compact(slices.Sorted(slices.Values(s.Required))) {
		p := add(name)
		p.required = 1 << i
		n.required |= p.required
	}
	for _, name := range sortedKeys(s.Properties) {
		sub := c.compile(s.Properties[name])
		add(name).node = sub
	}
	if len(n.props) >= manyProps {
		n.table = index
	}
	switch a := s.AdditionalProperties.(type) {
	case bool:
		if !a {
			n.additional = &node{never: true}
		}
	case *jsonschema.Schema:
		n.additional = c.compile(a)
	}
	for re, sub := range s.PatternProperties {
		n.patterns = append(n.patterns, patternProperty{c.regexp(re), c.compile(sub)})
	}
	n.names = c.compile(s.PropertyNames)
	n.minProps, n.maxProps = orElse(s.MinProperties, 0), orElse(s.MaxProperties, unbounded)
	if s.DraftVersion >= 2019 {
		for name, needs := range s.DependentRequired {
			n.dependent = append(n.dependent, dependency{name: name, needs: needs})
		}
		for name, sub := range s.DependentSchemas {
			n.dependent = append(n.dependent, dependency{name: name, node: c.compile(sub)})
		}
	}
	n.isObject = len(n.props)+len(n.patterns)+len(n.dependent) > 0 || n.additional != nil || n.names != nil ||
		s.MinProperties != nil || s.MaxProperties != nil
}

func (c *compiler) array(n *node, s *jsonschema.Schema) {
	n.minItems, n.maxItems = orElse(s.MinItems, 0), orElse(s.MaxItems, unbounded)
	n.unique = s.UniqueItems
	if s.DraftVersion >= 2020 {
		n.prefix, n.items = c.list(s.PrefixItems), c.compile(s.Items2020)
	} else if items, ok := s.Items.(*jsonschema.Schema); ok {
		n.items = c.compile(items)
	}
	n.contains = c.compile(s.Contains)
	n.minContains, n.maxContains = orElse(s.MinContains, 1), orElse(s.MaxContains, unbounded)
	n.isArray = s.MinItems != nil || s.MaxItems != nil || n.unique || n.prefix != nil || n.items != nil ||
		n.contains != nil
}

// run validates one document. steps is what is left of its budget: when it is used up, nothing is valid.
type run struct {
	doc   *document
	steps int
}

// valid reports whether the value at token i follows n. With no steps left the answer means nothing, since it may be negated:
// callers look at steps last.
func (r *run) valid(n *node, i uint32) bool {
	if r.steps--; n == nil {
		return true
	}
	if n.never || r.steps < 0 {
		return false
	}
	t := &r.doc.tokens[i]
	if n.types != 0 && n.types&t.kind == 0 {
		return false
	}
	switch t.kind {
	case kindString:
		if n.isString && !r.string(n, t) {
			return false
		}
	case kindNumber:
		if (n.integer || len(n.bounds) > 0) && !r.number(n, t) {
			return false
		}
	case kindObject:
		if n.isObject && !r.object(n, i) {
			return false
		}
	case kindArray:
		if n.isArray && !r.array(n, i) {
			return false
		}
	}
	if n.isEnum && !r.among(n.enum, i) {
		return false
	}
	if n.ref != nil && !r.valid(n.ref, i) {
		return false
	}
	return r.combined(n, i)
}

func (r *run) combined(n *node, i uint32) bool {
	for _, sub := range n.all {
		if !r.valid(sub, i) {
			return false
		}
	}
	if n.any != nil && !slices.ContainsFunc(n.any, func(sub *node) bool { return r.valid(sub, i) }) {
		return false
	}
	if n.one != nil {
		matched := 0
		for _, sub := range n.one {
			if r.valid(sub, i) {
				if matched++; matched > 1 {
					return false
				}
			}
		}
		if matched == 0 {
			return false
		}
	}
	if n.not != nil && r.valid(n.not, i) {
		return false
	}
	if n.cond != nil {
		then := n.no
		if r.valid(n.cond, i) {
			then = n.yes
		}
		return then == nil || r.valid(then, i)
	}
	return true
}

func (r *run) among(values []constant, i uint32) bool {
	for k := range values {
		if r.same(&values[k].doc, 0, i) {
			return true
		}
	}
	return false
}

func (n *node) property(name []byte) *property {
	if n.table != nil {
		if i, ok := n.table[string(name)]; ok {
			return &n.props[i]
		}
		return nil
	}
	for i := range n.props {
		if p := &n.props[i]; len(p.name) == len(name) && p.name == string(name) {
			return p
		}
	}
	return nil
}

func (r *run) object(n *node, i uint32) bool {
	d := r.doc
	t := d.tokens[i]
	if int(t.count) < n.minProps || int(t.count) > n.maxProps {
		return false
	}
	seen := uint64(0)
	for k := i + 1; k < t.next; k = d.tokens[k+1].next {
		name := d.text(d.tokens[k])
		if n.names != nil && !r.valid(n.names, k) {
			return false
		}
		known := false
		if p := n.property(name); p != nil {
			seen |= p.required
			if p.node != nil {
				known = true
				if !r.valid(p.node, k+1) {
					return false
				}
			}
		}
		for _, p := range n.patterns {
			if r.steps -= 1 + len(name)/4; p.pattern.Match(name) {
				known = true
				if !r.valid(p.node, k+1) {
					return false
				}
			}
		}
		if !known && n.additional != nil && !r.valid(n.additional, k+1) {
			return false
		}
	}
	if seen&n.required != n.required {
		return false
	}
	for _, dep := range n.dependent {
		if !r.member(i, dep.name) {
			continue
		}
		for _, name := range dep.needs {
			if !r.member(i, name) {
				return false
			}
		}
		if dep.node != nil && !r.valid(dep.node, i) {
			return false
		}
	}
	return true
}

func (r *run) member(object uint32, name string) bool {
	d := r.doc
	for k := object + 1; k < d.tokens[object].next; k = d.tokens[k+1].next {
		if r.steps--; string(d.text(d.tokens[k])) == name {
			return true
		}
	}
	return false
}

func (r *run) array(n *node, i uint32) bool {
	d := r.doc
	t := d.tokens[i]
	if int(t.count) < n.minItems || int(t.count) > n.maxItems {
		return false
	}
	index, matched := 0, 0
	for k := i + 1; k < t.next; k = d.tokens[k].next {
		if index < len(n.prefix) {
			if !r.valid(n.prefix[index], k) {
				return false
			}
		} else if n.items != nil && !r.valid(n.items, k) {
			return false
		}
		if n.contains != nil && r.valid(n.contains, k) {
			matched++
		}
		index++
	}
	if n.contains != nil && (matched < n.minContains || matched > n.maxContains) {
		return false
	}
	return !n.unique || r.distinct(i)
}

// distinct reports whether no two items are equal.
func (r *run) distinct(array uint32) bool {
	d := r.doc
	for a := array + 1; a < d.tokens[array].next; a = d.tokens[a].next {
		for b := d.tokens[a].next; b < d.tokens[array].next; b = d.tokens[b].next {
			if r.same(d, a, b) || r.steps < 0 {
				return false
			}
		}
	}
	return true
}

// same reports whether token a of another document and token b of this one are the same value (JSON Schema Core §4.2.2).
func (r *run) same(other *document, a, b uint32) bool {
	if r.steps--; r.steps < 0 {
		return false
	}
	x, y := other.tokens[a], r.doc.tokens[b]
	if x.kind != y.kind {
		return false
	}
	switch x.kind {
	case kindString:
		return bytes.Equal(other.text(x), r.doc.text(y))
	case kindNumber:
		return r.sameNumber(other.data[x.start:x.end], r.doc.data[y.start:y.end])
	case kindArray:
		if x.count != y.count {
			return false
		}
		for i, k := a+1, b+1; i < x.next; i, k = other.tokens[i].next, r.doc.tokens[k].next {
			if !r.same(other, i, k) {
				return false
			}
		}
	case kindObject:
		if x.count != y.count {
			return false
		}
		for i := a + 1; i < x.next; i = other.tokens[i+1].next {
			name, found := other.text(other.tokens[i]), false
			for k := b + 1; k < y.next && !found; k = r.doc.tokens[k+1].next {
				if r.steps--; bytes.Equal(name, r.doc.text(r.doc.tokens[k])) {
					if found = r.same(other, i+1, k+1); !found {
						return false
					}
				}
			}
			if !found {
				return false
			}
		}
	}
	return true
}

func (r *run) string(n *node, t *token) bool {
	s := r.doc.text(*t)
	if n.minLength > 0 || len(s) > n.maxLength { // characters take a byte or more, so that others need no counting
		if length := utf8.RuneCount(s); length < n.minLength || length > n.maxLength {
			return false
		}
	}
	if n.pattern != nil {
		r.steps -= len(s) / 4
		return n.pattern.Match(s)
	}
	return true
}
