package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Bounds of what is loaded. They are far above what services have, and keep a mistake from taking the machine.
const (
	maxSchemas     = 1000
	maxSchemaBytes = 1 << 20
	maxTotalBytes  = 16 << 20
	maxDepth       = 64
	// maxExpanded is how many subschemas one message may meet in a schema that is not run as a program.
	maxExpanded = 2000
	// maxExponents bounds the sum of a message's exponents where the library validates, since it computes with them exactly.
	maxExponents = 10000
)

// schema is one file, compiled.
type schema struct {
	file    string
	program *node              // nil if it has keywords that programs do not
	full    *jsonschema.Schema // what it was made of
}

// valid reports whether the document follows the schema, within so many steps.
func (s *schema) valid(d *document, steps int) bool {
	if s.program != nil {
		r := run{doc: d, steps: steps}
		return r.valid(s.program, 0) && r.steps >= 0
	}
	if d.exponents > maxExponents {
		return false
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.data))
	return err == nil && s.full.Validate(v) == nil
}

const scheme = "schema:///"

// source is a schema's file, with the place of everything in it.
type source struct {
	name   string
	id     string // its absolute $id, or ""
	doc    any
	places map[string]int // from JSON pointers to offsets
	text   []byte
}

// schemas reads and compiles files as they are asked for.
type schemas struct {
	fsys    fs.FS
	dir     string // as errors name it
	faults  *Faults
	sources map[string]*source // by name; nil for one that has faults
	ids     map[string]*source // by absolute $id
	known   map[string]bool    // every absolute $id, of embedded schemas too
	all     map[string]*schema
	total   int
	engine  *jsonschema.Compiler
}

func newSchemas(fsys fs.FS, dir string, faults *Faults) *schemas {
	s := &schemas{
		fsys: fsys, dir: dir, faults: faults, engine: jsonschema.NewCompiler(), sources: map[string]*source{},
		ids: map[string]*source{}, known: map[string]bool{}, all: map[string]*schema{},
	}
	s.engine.DefaultDraft(jsonschema.Draft2020)
	s.engine.UseLoader(s)
	return s
}

// readAll reads every *.json below the directory but the manifest, since one schema may refer to another by file or $id.
func (s *schemas) readAll(manifest string) {
	walkSchemas(s.fsys, func(name string, err error) error {
		switch {
		case err != nil:
			s.fault(name, 0, nil, "", "cannot be read: "+reason(err))
		case name == manifest:
		case len(s.sources) == maxSchemas:
			s.fault(name, 0, nil, "", fmt.Sprintf("there are more than %d schemas", maxSchemas))
			return fs.SkipAll
		default:
			s.sources[name] = s.read(name)
		}
		return nil
	})
	for _, name := range sortedKeys(s.sources) {
		if src := s.sources[name]; src != nil {
			s.register(src)
		}
	}
	for _, name := range sortedKeys(s.sources) {
		if src := s.sources[name]; src != nil && !s.checkRefs(src, src.doc, "", base(name)) {
			s.sources[name] = nil
		}
	}
}

func base(name string) *url.URL { return &url.URL{Scheme: "schema", Path: "/" + name} }

func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}

func (s *schemas) read(name string) *source {
	f, err := s.fsys.Open(name)
	if err != nil {
		s.fault(name, 0, nil, "", "cannot be read: "+reason(err))
		return nil
	}
	defer f.Close()
	text, err := readBounded(f, maxSchemaBytes)
	if err != nil {
		s.fault(name, 0, nil, "", "cannot be read: "+reason(err))
		return nil
	}
	if s.total += len(text); s.total > maxTotalBytes {
		s.fault(name, 0, nil, "", fmt.Sprintf("the schemas are larger than %d bytes together", maxTotalBytes))
		return nil
	}
	src := &source{name: name, text: text, places: map[string]int{}}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	what, at := src.index(decoder, "", 0)
	if what == "" {
		if _, err := decoder.Token(); err == nil {
			what, at = "there is more behind the schema", int(decoder.InputOffset())
		}
	}
	if what == "" {
		src.doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			what = "not valid JSON"
		}
	}
	if what != "" {
		s.fault(name, at, text, "", what)
		return nil
	}
	switch src.doc.(type) {
	case map[string]any, bool:
		return src
	}
	s.fault(name, 0, text, "", "a schema must be an object, true or false")
	return nil
}

// index notes where the values are, and returns what is wrong and where.
func (src *source) index(d *json.Decoder, at string, depth int) (string, int) {
	wrong := func(err error) (string, int) {
		offset := int(d.InputOffset())
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			if at := int(syntax.Offset); at != offset { // within a value, where the byte at fault counts too
				offset = max(at-1, 0)
			}
			return "not valid JSON: " + strings.TrimPrefix(syntax.Error(), "json: "), offset
		}
		return "not valid JSON: it ends too early", offset
	}
	if depth > maxDepth {
		return fmt.Sprintf("deeper than %d levels", maxDepth), int(d.InputOffset())
	}
	start := src.skip(int(d.InputOffset()))
	src.places[at] = start
	t, err := d.Token()
	if err != nil {
		return wrong(err)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return "", 0
	}
	for i := 0; d.More(); i++ {
		step := strconv.Itoa(i)
		if open == '{' {
			place := src.skip(int(d.InputOffset()))
			name, err := d.Token()
			if err != nil {
				return wrong(err)
			}
			key, ok := name.(string)
			if !ok {
				return "not valid JSON: a name must be a string", place
			}
			step = pointerEscape(key)
			if _, twice := src.places[at+"/"+step]; twice {
				return fmt.Sprintf("%q is there twice", key), place
			}
		}
		if what, offset := src.index(d, at+"/"+step, depth+1); what != "" {
			return what, offset
		}
	}
	if _, err := d.Token(); err != nil {
		return wrong(err)
	}
	return "", 0
}

func (src *source) skip(offset int) int {
	for offset < len(src.text) && strings.IndexByte(" \t\r\n,:", src.text[offset]) >= 0 {
		offset++
	}
	return offset
}

func pointerEscape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

// fault notes a fault at an offset of the text. Line and column are left out where there is no text.
func (s *schemas) fault(name string, offset int, text []byte, at, what string) {
	f := Fault{File: path.Join(s.dir, name), Path: at, What: what}
	if text != nil {
		f.Line, f.Column = lineOf(text, offset)
	}
	*s.faults = append(*s.faults, f)
}

func lineOf(text []byte, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// position is the line and column of a JSON pointer, or of the nearest value around it.
func (src *source) position(at string) (line, column int) {
	offset, ok := src.places[at]
	for !ok && at != "" {
		at = at[:strings.LastIndexByte(at, '/')]
		offset, ok = src.places[at]
	}
	return lineOf(src.text, offset)
}

// faultAt notes a fault at a JSON pointer.
func (s *schemas) faultAt(src *source, at, what string) {
	f := Fault{File: path.Join(s.dir, src.name), Path: at, What: what}
	f.Line, f.Column = src.position(at)
	*s.faults = append(*s.faults, f)
}

// eachSchema calls f for what may be a subschema: every object but those that are values.
func eachSchema(doc any, at string, f func(map[string]any, string)) {
	switch v := doc.(type) {
	case map[string]any:
		f(v, at)
		for key, sub := range v {
			switch key {
			case "const", "enum", "default", "examples":
			default:
				eachSchema(sub, at+"/"+pointerEscape(key), f)
			}
		}
	case []any:
		for i, sub := range v {
			eachSchema(sub, at+"/"+strconv.Itoa(i), f)
		}
	}
}

func (s *schemas) register(src *source) {
	s.ids[scheme+src.name] = src
	s.known[scheme+src.name] = true
	if object, ok := src.doc.(map[string]any); ok {
		if id := baseOf(object, base(src.name)).String(); s.ids[id] == nil {
			s.ids[id], src.id = src, id
		} else if s.ids[id] != src {
			s.faultAt(src, "/$id", fmt.Sprintf("%s has the same", s.ids[id].name))
		}
	}
	s.addIDs(src.doc, base(src.name))
}

func (s *schemas) addIDs(doc any, at *url.URL) {
	switch v := doc.(type) {
	case map[string]any:
		at = baseOf(v, at)
		s.known[at.String()] = true
		for _, sub := range v {
			s.addIDs(sub, at)
		}
	case []any:
		for _, sub := range v {
			s.addIDs(sub, at)
		}
	}
}

// baseOf is the URL that references in a schema are relative to (JSON Schema Core §8.2.1).
func baseOf(schema map[string]any, at *url.URL) *url.URL {
	id, ok := schema["$id"].(string)
	if !ok {
		return at
	}
	to, err := at.Parse(id)
	if err != nil {
		return at
	}
	to.Fragment, to.RawFragment = "", ""
	return to
}

// checkRefs notes every reference that leads out of the directory. Nothing is ever fetched.
func (s *schemas) checkRefs(src *source, doc any, at string, from *url.URL) bool {
	ok := true
	switch v := doc.(type) {
	case map[string]any:
		from = baseOf(v, from)
		for _, key := range sortedKeys(v) {
			place := at + "/" + pointerEscape(key)
			switch key {
			case "const", "enum", "default", "examples":
				continue
			case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
				text, is := v[key].(string)
				if !is {
					break
				}
				to, err := from.Parse(text)
				if err != nil {
					s.faultAt(src, place, "must be a URL")
					ok = false
					continue
				}
				to.Fragment, to.RawFragment = "", ""
				if !s.known[to.String()] && to.Host != "json-schema.org" {
					s.faultAt(src, place, fmt.Sprintf("%q is not in this directory, and nothing is fetched; put the schema "+
						"here", text))
					ok = false
				}
				continue
			}
			ok = s.checkRefs(src, v[key], place, from) && ok
		}
	case []any:
		for i, sub := range v {
			ok = s.checkRefs(src, sub, at+"/"+strconv.Itoa(i), from) && ok
		}
	}
	return ok
}

var errOutside = errors.New("not in this directory")

// Load gives the library what the directory holds, and nothing else.
func (s *schemas) Load(u string) (any, error) {
	if src := s.ids[u]; src != nil {
		return src.doc, nil
	}
	return nil, errOutside
}

// compile returns the schema of a file; nil if it has faults, which are noted.
func (s *schemas) compile(name string) *schema {
	if done, ok := s.all[name]; ok {
		return done
	}
	s.all[name] = nil
	src := s.sources[name]
	if src == nil {
		return nil
	}
	full, err := s.engine.Compile((&url.URL{Scheme: "schema", Path: "/" + name}).String())
	if err != nil {
		s.explain(src, err)
		return nil
	}
	c := compiler{nodes: map[*jsonschema.Schema]*node{}, ok: true}
	done := &schema{file: name, program: c.compile(full), full: full}
	if !c.ok {
		done.program = nil
	}
	if loop := looping(full); loop != nil {
		s.faultAt(src, fragment(loop.Location), "refers to itself without going deeper into the message")
		return nil
	}
	if done.program == nil && !s.affordable(src, full) {
		return nil
	}
	s.all[name] = done
	return done
}

func fragment(location string) string {
	_, f, _ := strings.Cut(location, "#")
	if text, err := url.PathUnescape(f); err == nil {
		f = text
	}
	return f
}

// explain notes the library's errors where they are.
func (s *schemas) explain(src *source, err error) {
	var invalid *jsonschema.SchemaValidationError
	var pattern *jsonschema.InvalidRegexError
	var nowhere *jsonschema.JSONPointerNotFoundError
	switch {
	case errors.As(err, &invalid):
		var in *jsonschema.ValidationError
		if errors.As(invalid.Err, &in) {
			s.explainEach(src, in)
			return
		}
		s.faultAt(src, "", "not a valid schema")
	case errors.As(err, &pattern):
		s.faultAt(src, fragment(pattern.URL),
			fmt.Sprintf("%q is no regular expression of RE2: %v", pattern.Regex, pattern.Err))
	case errors.As(err, &nowhere):
		s.faultAt(src, s.findRef(src, nowhere.URL), "refers to what is not there")
	default:
		s.faultAt(src, "", strings.ReplaceAll(err.Error(), scheme, ""))
	}
}

// findRef returns the place of the reference that leads to a URL.
func (s *schemas) findRef(src *source, to string) string {
	_, want, _ := strings.Cut(to, "#")
	found := ""
	eachSchema(src.doc, "", func(m map[string]any, at string) {
		if ref, ok := m["$ref"].(string); ok && strings.HasSuffix(ref, "#"+want) && (found == "" || at < found) {
			found = at + "/$ref"
		}
	})
	return found
}

var english = message.NewPrinter(language.English)

func (s *schemas) explainEach(src *source, e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		at := ""
		for _, step := range e.InstanceLocation {
			at += "/" + pointerEscape(step)
		}
		s.faultAt(src, at, e.ErrorKind.LocalizedString(english))
		return
	}
	for _, cause := range e.Causes {
		s.explainEach(src, cause)
	}
}

// affordable bounds what validation by the library may cost, which cannot be interrupted: no recursion, since a message
// could make it exponential, and no uniqueItems, whose hashing a message can defeat.
func (s *schemas) affordable(src *source, full *jsonschema.Schema) bool {
	sizes, open := map[*jsonschema.Schema]int{}, map[*jsonschema.Schema]bool{}
	var what string
	var size func(*jsonschema.Schema) int
	size = func(sub *jsonschema.Schema) int {
		if n, ok := sizes[sub]; ok {
			return n
		}
		if open[sub] {
			what = "that is recursive"
			return 1
		}
		if sub.UniqueItems {
			what = "with uniqueItems"
		}
		open[sub] = true
		n := 1
		for _, child := range slices.Concat(inPlace(sub), deeper(sub)) {
			n = min(n+size(child), maxExpanded+1)
		}
		open[sub] = false
		sizes[sub] = n
		return n
	}
	if size(full) > maxExpanded {
		what = fmt.Sprintf("of more than %d parts", maxExpanded)
	}
	if what != "" {
		s.faultAt(src, "", fmt.Sprintf("a schema %s may not use %s: what it costs could not be bounded", what, costly))
	}
	return what == ""
}

// costly are the keywords of [unsupported], for a reader.
const costly = "format of draft 7 and before, unevaluatedProperties, unevaluatedItems, dependencies, $dynamicRef, " +
	"$recursiveRef or items as a list"

// inPlace are the subschemas for the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	subs := slices.Concat([]*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf,
		s.OneOf)
	if s.DynamicRef != nil {
		subs = append(subs, s.DynamicRef.Ref)
	}
	subs = slices.AppendSeq(subs, maps.Values(s.DependentSchemas))
	for _, d := range s.Dependencies {
		if sub, ok := d.(*jsonschema.Schema); ok {
			subs = append(subs, sub)
		}
	}
	return slices.DeleteFunc(subs, func(s *jsonschema.Schema) bool { return s == nil })
}

// deeper are the subschemas for values within.
func deeper(s *jsonschema.Schema) []*jsonschema.Schema {
	subs := slices.Concat([]*jsonschema.Schema{
		s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}, s.PrefixItems)
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			subs = append(subs, v)
		case []*jsonschema.Schema:
			subs = append(subs, v...)
		}
	}
	subs = slices.AppendSeq(subs, maps.Values(s.Properties))
	subs = slices.AppendSeq(subs, maps.Values(s.PatternProperties))
	return slices.DeleteFunc(subs, func(s *jsonschema.Schema) bool { return s == nil })
}

// looping returns a schema that asks for itself at the same value, which no message could ever answer.
func looping(root *jsonschema.Schema) *jsonschema.Schema {
	const open, done = 1, 2
	state := map[*jsonschema.Schema]int{}
	var later []*jsonschema.Schema
	var visit func(*jsonschema.Schema) *jsonschema.Schema
	visit = func(s *jsonschema.Schema) *jsonschema.Schema {
		switch state[s] {
		case open:
			return s
		case done:
			return nil
		}
		state[s] = open
		for _, sub := range inPlace(s) {
			if loop := visit(sub); loop != nil {
				return loop
			}
		}
		state[s] = done
		later = append(later, deeper(s)...)
		return nil
	}
	for later = append(later, root); len(later) > 0; {
		s := later[len(later)-1]
		later = later[:len(later)-1]
		if loop := visit(s); loop != nil {
			return loop
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
