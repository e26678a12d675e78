package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/service"
	"go.yaml.in/yaml/v3"
)

// The collector stops at the first fault it meets in each section, in the order of a map, and words it for the author of
// a component. examine reads the same configuration again, goes on after every fault, and words each one as
// `where: key: what is wrong`.

// fault is one thing wrong with a configuration. Its key is the path in YAML, with dots.
type fault struct {
	where string // file:line, if it is known
	key   string
	text  string
}

func (f fault) String() string {
	var b strings.Builder
	for _, part := range []string{f.where, f.key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + f.text
}

// faults is a configuration's faults as one error.
type faults []fault

func (f faults) Error() string {
	if len(f) == 1 {
		return f[0].String()
	}
	lines := []string{fmt.Sprintf("the configuration has %d faults:", len(f))}
	for _, fault := range f {
		lines = append(lines, "  "+fault.String())
	}
	return strings.Join(lines, "\n")
}

// section is a kind of component in the configuration.
type section struct {
	name      string
	factories map[component.Type]component.Factory
}

func sections(f otelcol.Factories) []section {
	return []section{
		{"receivers", erase(f.Receivers)},
		{"processors", erase(f.Processors)},
		{"exporters", erase(f.Exporters)},
		{"connectors", erase(f.Connectors)},
		{"extensions", erase(f.Extensions)},
	}
}

func erase[F component.Factory](in map[component.Type]F) map[component.Type]component.Factory {
	out := make(map[component.Type]component.Factory, len(in))
	for typ, factory := range in {
		out[typ] = factory
	}
	return out
}

// examine returns every fault of the configuration at uris, or nil when it finds none. It starts nothing.
func examine(ctx context.Context, settings otelcol.CollectorSettings, uris []string) error {
	files, found := readFiles(uris)
	if found != nil {
		return found
	}
	resolver := settings.ConfigProviderSettings.ResolverSettings
	resolver.URIs, resolver.DefaultScheme = uris, "env"
	resolver.ConverterFactories = nil // they only check, and what they check is among the faults below
	mapping, err := confmap.NewResolver(resolver)
	if err != nil {
		return nil // the collector's own error is the better one
	}
	defer func() { _ = mapping.Shutdown(ctx) }()
	conf, err := mapping.Resolve(ctx)
	if err != nil {
		return nil
	}
	factories, err := settings.Factories()
	if err != nil {
		return nil
	}

	all := sections(factories)
	for _, s := range all {
		found = append(found, examineSection(conf, s)...)
	}
	found = append(found, examineTop(conf, all)...)
	found = append(found, examineService(conf, factories)...)
	found = append(found, examineReferences(conf)...)
	found = append(found, examinePrivacy(conf)...)
	found = append(found, examineCredentials(conf)...)
	if len(found) == 0 {
		return nil
	}
	for i := range found {
		found[i].where = files.position(found[i].key)
	}
	slices.SortStableFunc(found, func(a, b fault) int { return strings.Compare(a.key, b.key) })
	return found
}

func examineTop(conf *confmap.Conf, all []section) faults {
	known := []string{"service"}
	for _, s := range all {
		known = append(known, s.name)
	}
	var found faults
	for key := range conf.ToStringMap() {
		if !slices.Contains(known, key) {
			found = append(found, fault{key: key, text: unknownKey(key, known)})
		}
	}
	return found
}

func examineSection(conf *confmap.Conf, s section) faults {
	sub, err := conf.Sub(s.name)
	if err != nil {
		return faults{{key: s.name, text: "must map the names of components to their settings"}}
	}
	var found faults
	for name := range sub.ToStringMap() {
		key := s.name + "." + name
		var id component.ID
		if err := id.UnmarshalText([]byte(name)); err != nil {
			found = append(found, fault{key: key, text: err.Error()})
			continue
		}
		factory, ok := s.factories[id.Type()]
		if !ok {
			found = append(found, fault{key: key, text: unknownType(s, id.Type())})
			continue
		}
		settings, err := sub.Sub(name)
		if err != nil {
			found = append(found, fault{key: key, text: "must be a map of settings"})
			continue
		}
		cfg := factory.CreateDefaultConfig()
		if err := settings.Unmarshal(&cfg); err != nil {
			found = append(found, decodeFaults(err, key, keysOf(reflect.TypeOf(cfg)))...)
			// What is wrong with the keys that are known is told in the same breath.
			if cfg = factory.CreateDefaultConfig(); settings.Unmarshal(&cfg, confmap.WithIgnoreUnused()) != nil {
				continue
			}
		}
		found = append(found, validateFaults(confmap.Validate(cfg), key)...)
	}
	return found
}

func examineService(conf *confmap.Conf, factories otelcol.Factories) faults {
	sub, err := conf.Sub("service")
	if err != nil {
		return faults{{key: "service", text: "must be a map"}}
	}
	cfg := &service.Config{Telemetry: factories.Telemetry.CreateDefaultConfig()}
	if err := sub.Unmarshal(cfg); err != nil {
		return decodeFaults(err, "service", keysOf(reflect.TypeOf(cfg)))
	}
	return validateFaults(confmap.Validate(cfg), "service")
}

// examineReferences reports what service names but no section defines.
func examineReferences(conf *confmap.Conf) faults {
	defined := func(name string, sections ...string) bool {
		return slices.ContainsFunc(sections, func(s string) bool { return conf.IsSet(s + confmap.KeyDelimiter + name) })
	}
	var found faults
	check := func(key, kind string, list any, sections ...string) {
		names, _ := list.([]any)
		for _, item := range names {
			if name, ok := item.(string); ok && !defined(name, sections...) {
				found = append(found, fault{key: key, text: fmt.Sprintf("names the %s %q, which %s does not define",
					kind, name, sections[0])})
			}
		}
	}
	check("service.extensions", "extension", conf.Get("service::extensions"), "extensions")
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for name, value := range pipelines {
		pipeline, _ := value.(map[string]any)
		key := "service.pipelines." + name
		check(key+".receivers", "receiver", pipeline["receivers"], "receivers", "connectors")
		check(key+".processors", "processor", pipeline["processors"], "processors")
		check(key+".exporters", "exporter", pipeline["exporters"], "exporters", "connectors")
	}
	return found
}

const invalidKeys = "has invalid keys: "

// decodeFaults walks the tree of errors that decoding returned, so that each leaf keeps its own path.
func decodeFaults(err error, key string, known []string) faults {
	switch err := err.(type) { //nolint:errorlint // the tree is walked node by node
	case *mapstructure.DecodeError:
		return decodeFaults(err.Unwrap(), join(key, err.Name()), known)
	case interface{ Unwrap() []error }:
		var found faults
		for _, one := range err.Unwrap() {
			found = append(found, decodeFaults(one, key, known)...)
		}
		return found
	}
	var inner *mapstructure.DecodeError
	if next := errors.Unwrap(err); next != nil && errors.As(err, &inner) {
		return decodeFaults(next, key, known)
	}
	text := err.Error()
	if list, ok := strings.CutPrefix(text, invalidKeys); ok {
		var found faults
		for name := range strings.SplitSeq(list, ", ") {
			found = append(found, fault{key: join(key, name), text: unknownKey(name, known)})
		}
		return found
	}
	return faults{{key: key, text: plainType(text)}}
}

// validateFaults splits what confmap.Validate joined: one fault for every line a component reports, each with the path
// of the component before the key the component names.
func validateFaults(err error, key string) faults {
	if err == nil {
		return nil
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var found faults
		for _, one := range list.Unwrap() {
			found = append(found, validateFaults(one, key)...)
		}
		return found
	}
	if inner := errors.Unwrap(err); inner != nil {
		path, ok := strings.CutSuffix(err.Error(), ": "+inner.Error())
		if ok && !strings.Contains(path, " ") {
			return validateFaults(inner, join(key, strings.ReplaceAll(path, confmap.KeyDelimiter, ".")))
		}
		if _, list := inner.(interface{ Unwrap() []error }); list && err.Error() == inner.Error() {
			return validateFaults(inner, key)
		}
	}
	text := err.Error()
	if own, rest, ok := strings.Cut(text, ": "); ok && yamlKey.MatchString(own) {
		return faults{{key: join(key, own), text: rest}}
	}
	return faults{{key: key, text: text}}
}

var yamlKey = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+|\[[0-9]+\])*$`)

// goType matches the name mapstructure gives a struct that has no key: "batchprocessor.Config".
var goType = regexp.MustCompile(`^(\w+\.)?[A-Z]\w*(\[.*\])?$|^\w+\.configSettings$`)

func join(key, name string) string {
	if name == "" || goType.MatchString(name) {
		return key
	}
	return key + "." + name
}

var typeMismatch = regexp.MustCompile(`^expected type '(.*)', got unconvertible type '(.*)'$`)

func plainType(text string) string {
	if m := typeMismatch.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("must be of type %s, got %s", m[1], m[2])
	}
	return strings.ReplaceAll(text, "\n", " ")
}

func unknownKey(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("unknown key; did you mean %q?", near)
	}
	return "unknown key"
}

func unknownType(s section, typ component.Type) string {
	var known []string
	for t := range s.factories {
		known = append(known, t.String())
	}
	slices.Sort(known)
	kind := strings.TrimSuffix(s.name, "s")
	if near := nearest(typ.String(), known); near != "" {
		return fmt.Sprintf("this binary has no %s %q; did you mean %q?", kind, typ, near)
	}
	return fmt.Sprintf("this binary has no %s %q; it has %s", kind, typ, strings.Join(known, ", "))
}

// keysOf lists every key that may stand anywhere in a configuration of type t. Types are walked rather than values,
// because optional parts keep theirs unexported.
func keysOf(t reflect.Type) []string {
	seen := map[reflect.Type]bool{}
	keys := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(t.Elem())
		case reflect.Struct:
			if seen[t] {
				return
			}
			seen[t] = true
			for i := range t.NumField() {
				tag, _, _ := strings.Cut(t.Field(i).Tag.Get("mapstructure"), ",")
				if tag != "" && tag != "-" {
					keys[tag] = true
				}
				walk(t.Field(i).Type)
			}
		}
	}
	walk(t)
	var list []string
	for key := range keys {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

// nearest returns the word at most two edits away from name, or "".
func nearest(name string, words []string) string {
	best, distance := "", 3
	for _, word := range words {
		if d := edits(name, word); d > 0 && d < distance && d < len(name) {
			best, distance = word, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// documents are the YAML files of a configuration, kept to say where a key stands.
type documents []document

type document struct {
	name string
	root *yaml.Node
}

func readFiles(uris []string) (documents, faults) {
	var docs documents
	var found faults
	for _, uri := range uris {
		name := strings.TrimPrefix(uri, "file:")
		if name == uri && schemed.MatchString(uri) {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			found = append(found, fault{text: err.Error()})
			continue
		}
		var node yaml.Node
		if err := yaml.Unmarshal(text, &node); err != nil {
			found = append(found, fault{where: name, text: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
			continue
		}
		if len(node.Content) > 0 {
			docs = append(docs, document{name, node.Content[0]})
		}
	}
	return docs, found
}

var schemed = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// position is file:line of the longest part of key that a file holds; the last file wins, as it does in merging.
func (d documents) position(key string) string {
	where, depth := "", 0
	for _, doc := range d {
		if line, n := locate(doc.root, key); n >= depth && n > 0 {
			where, depth = fmt.Sprintf("%s:%d", doc.name, line), n
		}
	}
	return where
}

// locate follows key through maps; keys of the file may hold dots themselves. It returns the line and how much of key
// it could follow.
func locate(node *yaml.Node, key string) (line, matched int) {
	if node.Kind != yaml.MappingNode {
		return 0, 0
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		rest, ok := strings.CutPrefix(key, name.Value)
		if !ok || rest != "" && rest[0] != '.' {
			continue
		}
		if below, n := locate(value, strings.TrimPrefix(rest, ".")); n > 0 {
			return below, len(name.Value) + 1 + n
		}
		return name.Line, len(name.Value)
	}
	return 0, 0
}

// trimNoise drops the layers of wrapping that name the collector's own functions.
func trimNoise(text string) string {
	for _, prefix := range []string{
		"failed to get config: ", "invalid configuration: ", "cannot resolve the configuration: ",
		"cannot retrieve the configuration: ", "cannot unmarshal the configuration: ",
	} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
