package slo

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a place in a document: a YAML node, or the place where one is missing. Its methods report what is wrong to the
// parser and return zero values, so that reading goes on and all faults are found.
type node struct {
	p    *parser
	file string
	path string
	y    *yaml.Node
}

// absent reports whether the key was not there; null counts as absent.
func (n node) absent() bool { return n.y == nil || n.y.Kind == yaml.ScalarNode && n.y.Tag == "!!null" }

func (n node) fault(format string, args ...any) {
	f := Fault{File: n.file, Path: n.path, What: fmt.Sprintf(format, args...), Line: 1, Column: 1}
	if n.y != nil {
		f.Line, f.Column = n.y.Line, n.y.Column
	}
	n.p.faults = append(n.p.faults, f)
}

func deref(y *yaml.Node) *yaml.Node {
	if y != nil && y.Kind == yaml.AliasNode {
		return y.Alias
	}
	return y
}

// object is a mapping whose keys are known.
type object struct {
	node
	values map[string]*yaml.Node
	ok     bool
}

// object reads a mapping; keys other than allowed are faults. A node that is absent gives an object without values.
func (n node) object(allowed ...string) object {
	o := object{node: n, values: map[string]*yaml.Node{}}
	if n.absent() {
		return o
	}
	if n.y.Kind != yaml.MappingNode {
		n.fault("must be a mapping, got %s", kindOf(n.y))
		return o
	}
	o.ok = true
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		key := n.y.Content[i]
		at := node{n.p, n.file, join(n.path, key.Value), key}
		switch {
		case key.Kind != yaml.ScalarNode:
			at.path = n.path
			at.fault("keys must be plain words, got %s", kindOf(key))
		case o.values[key.Value] != nil:
			at.fault("is set twice; keep one")
		case allowed != nil && !slices.Contains(allowed, key.Value):
			at.fault("unknown key%s", suggest(key.Value, allowed))
		default:
			o.values[key.Value] = deref(n.y.Content[i+1])
		}
	}
	return o
}

// get returns the value of a key; where there is none, a node that is absent and reports at the mapping.
func (o object) get(key string) node {
	return node{o.p, o.file, join(o.path, key), o.values[key]}
}

// require is get, and a fault at the mapping where there is none.
func (o object) require(key, mend string) node {
	n := o.get(key)
	if n.absent() && o.ok {
		at := n
		at.y = o.y
		at.fault("is missing; %s", mend)
	}
	return n
}

// text reads a string; another scalar, such as an unquoted number, is a fault.
func (n node) text() string {
	if n.absent() {
		return ""
	}
	if n.y.Kind != yaml.ScalarNode || n.y.Tag != "!!str" {
		n.fault("must be a string, got %s; quote it", kindOf(n.y))
		return ""
	}
	return n.y.Value
}

// moment reads a date and a time of day, which YAML does not take for a string if it is not quoted.
func (n node) moment() string {
	if !n.absent() && n.y.Kind == yaml.ScalarNode && n.y.Tag == "!!timestamp" {
		return n.y.Value
	}
	return n.word()
}

// word reads a string that must not be empty.
func (n node) word() string {
	text := n.text()
	if text == "" && !n.absent() && n.y.Kind == yaml.ScalarNode && n.y.Tag == "!!str" {
		n.fault("must not be empty")
	}
	return text
}

// description reads a text that OpenSLO bounds.
func (n node) description() string {
	const most = 1050
	text := n.text()
	if length := len([]rune(text)); length > most {
		n.fault("must be at most %d characters, got %d", most, length)
	}
	return text
}

// boolean reads true or false.
func (n node) boolean() bool {
	if n.absent() {
		return false
	}
	if n.y.Kind != yaml.ScalarNode || n.y.Tag != "!!bool" {
		n.fault("must be true or false, got %s", kindOf(n.y))
		return false
	}
	return strings.EqualFold(n.y.Value, "true")
}

// decimal reads a number as it is written, without a detour through floats.
func (n node) decimal() Number {
	if n.absent() {
		return Number{}
	}
	if n.y.Kind != yaml.ScalarNode || n.y.Tag != "!!int" && n.y.Tag != "!!float" {
		n.fault("must be a number, got %s", kindOf(n.y))
		return Number{}
	}
	d, err := Decimal(n.y.Value)
	if err != nil {
		n.fault("must be a plain decimal such as 99.9, got %s", n.y.Value)
	}
	return d
}

// items reads a sequence.
func (n node) items() []node {
	if n.absent() {
		return nil
	}
	if n.y.Kind != yaml.SequenceNode {
		n.fault("must be a list, got %s", kindOf(n.y))
		return nil
	}
	items := make([]node, len(n.y.Content))
	for i, y := range n.y.Content {
		items[i] = node{n.p, n.file, n.path + "[" + strconv.Itoa(i) + "]", deref(y)}
	}
	return items
}

// texts reads one string or a list of them.
func (n node) texts() []node {
	if !n.absent() && n.y.Kind == yaml.ScalarNode {
		return []node{n}
	}
	return n.items()
}

func kindOf(y *yaml.Node) string {
	switch y.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode:
		switch y.Tag {
		case "!!null":
			return "nothing"
		case "!!str":
			return fmt.Sprintf("the string %q", clip(y.Value))
		}
		return clip(y.Value)
	}
	return "nothing"
}

// clip keeps a value quoted in a message short.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// suggest names the nearest of what is allowed, or all of it if nothing is near and it is short.
func suggest(got string, allowed []string) string {
	if near := suggestNear(got, allowed); near != "" {
		return near
	}
	if len(allowed) == 0 || len(allowed) > 16 {
		return ""
	}
	return "; known are " + strings.Join(allowed, ", ")
}

// suggestNear names the nearest of what is allowed, if one is near.
func suggestNear(got string, allowed []string) string {
	best, distance := "", 3
	for _, a := range allowed {
		if d := editDistance(strings.ToLower(got), strings.ToLower(a)); d < distance {
			best, distance = a, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			previous, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, previous+cost)
		}
	}
	return row[len(b)]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxFault turns an error of the YAML library into a fault with a position.
func syntaxFault(file string, err error) Fault {
	f := Fault{File: file, Line: 1, Column: 1, What: "not YAML: " + err.Error()}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if line, convErr := strconv.Atoi(m[1]); convErr == nil {
			f.Line = line
		}
		f.What = "not YAML: " + m[2]
	}
	return f
}
