package slo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Annotations of ours; a plain OpenSLO tool ignores them.
const (
	// annotationAlerts, on an SLO, says how loud its standard alerts may be: page (the default), ticket or none.
	annotationAlerts = "sockeye/alerts"
	// annotationRunbook, on an SLO, replaces the runbook that its alerts link.
	annotationRunbook = "sockeye/runbook"
	// annotationGuard, on an SLO, says whether few bad events may be taken for an accident: binomial (the default) or none.
	annotationGuard = "sockeye/guard"
	// annotationServiceName, on a Service, is its service.name where that is no OpenSLO name.
	annotationServiceName = "sockeye/service-name"
	// annotationBudget, on an SLO, says with none that its indicator is watched by alerts alone.
	annotationBudget = "sockeye/budget"
	// annotationComposite, on an SLO of several indicators, says how they combine: weighted (the default) or worst.
	annotationComposite = "sockeye/composite"
	// annotationGroupAlerts, on an SLO with groups, says how loud each group's alerts may be: page, ticket (the default) or
	// none.
	annotationGroupAlerts = "sockeye/group-alerts"
)

var annotations = []string{
	annotationAlerts, annotationRunbook, annotationGuard, annotationServiceName, annotationBudget, annotationComposite,
	annotationGroupAlerts,
}

const (
	apiVersion  = "openslo/v1"
	maxDocument = 1 << 20
)

// Source is a document's text and the name that faults give it.
type Source struct {
	Name string
	Data []byte
}

// Load reads the files that the patterns match and parses them together, so that an SLO may refer to an SLI in another
// file. A pattern without a match is a fault.
func Load(patterns ...string) ([]SLO, error) {
	var sources []Source
	var faults Faults
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			faults = append(faults, Fault{pattern, 1, 1, "", "is not a file pattern: " + err.Error()})
			continue
		}
		if len(files) == 0 {
			faults = append(faults, Fault{pattern, 1, 1, "", "no such file"})
		}
		for _, file := range files {
			if slices.ContainsFunc(sources, func(s Source) bool { return s.Name == file }) {
				continue
			}
			data, err := readFile(file)
			if err != nil {
				faults = append(faults, Fault{file, 1, 1, "", err.Error()})
			}
			sources = append(sources, Source{file, data})
		}
	}
	slos, err := Parse(sources...)
	if err != nil {
		var more Faults
		errors.As(err, &more)
		faults = append(faults, more...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return slos, nil
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			return nil, pathErr.Err
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return nil, pathErr.Err
	}
	if err == nil && len(data) > maxDocument {
		return nil, fmt.Errorf("is larger than %d bytes", maxDocument)
	}
	return data, err
}

// Parse parses the documents of all sources together. The error, if any, is of type [Faults] and complete.
func Parse(sources ...Source) ([]SLO, error) {
	p := &parser{objects: map[string]map[string]document{}}
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
		p.read(s)
	}
	slos := p.resolve()
	if err := p.faults.err(names); err != nil {
		return nil, err
	}
	return slos, nil
}

type parser struct {
	faults  Faults
	objects map[string]map[string]document // by kind, by name
	order   []document
}

// document is one OpenSLO object.
type document struct {
	kind, name string
	meta       metadata
	spec       node
}

type metadata struct {
	name, displayName string
	annotations       map[string]node
	at                node
}

// kinds of OpenSLO v1. Those that only notify are read for their names and otherwise left to Alertmanager.
var kinds = []string{"Service", "SLI", "SLO", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "DataSource"}

func (p *parser) read(s Source) {
	decoder := yaml.NewDecoder(bytes.NewReader(s.Data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.faults = append(p.faults, syntaxFault(s.Name, err))
			return
		}
		if len(root.Content) == 0 {
			continue
		}
		top := node{p, s.Name, "", deref(root.Content[0])}
		if top.absent() {
			continue
		}
		if top.y.Kind == yaml.SequenceNode {
			for _, item := range top.items() {
				p.document(item)
			}
			continue
		}
		p.document(top)
	}
}

func (p *parser) document(n node) {
	n.path = ""
	o := n.object("apiVersion", "kind", "metadata", "spec")
	if !o.ok {
		return
	}
	version := o.require("apiVersion", "write apiVersion: "+apiVersion)
	if v := version.word(); v != "" && v != apiVersion {
		version.fault("must be %s, got %q", apiVersion, clip(v))
	}
	kindNode := o.require("kind", "write one of "+strings.Join(kinds, ", "))
	kind := kindNode.word()
	if kind != "" && !slices.Contains(kinds, kind) {
		kindNode.fault("unknown kind %q%s", clip(kind), suggest(kind, kinds))
	}
	d := document{kind: kind, meta: p.metadata(o.require("metadata", "write metadata: {name: …}")), spec: o.get("spec")}
	d.name = d.meta.name
	if kind != "Service" && kind != "AlertPolicy" {
		o.require("spec", "every "+kind+" has one")
	}
	if d.name == "" {
		// It cannot be referred to, but its faults are reported too.
		p.order = append(p.order, d)
		return
	}
	byName := p.objects[kind]
	if byName == nil {
		byName = map[string]document{}
		p.objects[kind] = byName
	}
	if first, ok := byName[d.name]; ok {
		d.meta.at.fault("a second %s named %q; the first is at %s:%d", kind, d.name, first.meta.at.file, first.meta.at.y.Line)
		return
	}
	byName[d.name] = d
	p.order = append(p.order, d)
}

var labelKey = regexp.MustCompile(`^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (p *parser) metadata(n node) metadata {
	o := n.object("name", "displayName", "labels", "annotations")
	m := metadata{annotations: map[string]node{}, at: n}
	name := o.require("name", "every object has one")
	if m.name = name.word(); m.name != "" {
		m.at = name
		if !dnsLabel.MatchString(m.name) {
			name.fault("must be lower-case letters, digits and hyphens, at most 63, got %q", clip(m.name))
		}
	}
	title := o.get("displayName")
	if m.displayName = title.text(); len([]rune(m.displayName)) > 63 {
		title.fault("must be at most 63 characters, got %d", len([]rune(m.displayName)))
	}
	labels := o.get("labels").object()
	for key := range labels.values {
		label := labels.get(key)
		if !labelKey.MatchString(key) {
			label.fault("a label's key must be letters, digits, hyphens, dots and underscores, at most 63, got %q", clip(key))
		}
		for _, v := range label.texts() {
			v.text()
		}
	}
	annotated := o.get("annotations").object()
	for key := range annotated.values {
		m.annotations[key] = annotated.get(key)
		domain, name, found := strings.Cut(key, "/")
		if !labelKey.MatchString(name) && found || !labelKey.MatchString(domain) {
			m.annotations[key].fault("an annotation's key must be like a label's, with a domain and a slash before it or not, "+
				"got %q", clip(key))
		}
		if strings.HasPrefix(key, "sockeye/") && !slices.Contains(annotations, key) {
			m.annotations[key].fault("unknown annotation%s", suggest(key, annotations))
		}
		m.annotations[key].text()
	}
	return m
}

// resolve builds the SLOs, each with what it refers to.
func (p *parser) resolve() []SLO {
	sources := p.dataSources()
	var slos []SLO
	used := map[string]bool{}
	for _, d := range p.order {
		switch d.kind {
		case "SLO":
			slos = append(slos, p.slo(d, sources, used)...)
		case "Service":
			d.spec.object("description").get("description").description()
		case "AlertNotificationTarget":
			p.target(d.spec)
		}
	}
	// An SLI, policy or condition that no SLO uses is checked all the same: it will be used one day.
	for _, d := range p.order {
		if d.name != "" && used[d.kind+"/"+d.name] {
			continue
		}
		switch d.kind {
		case "SLI":
			p.indicator(d.spec, sources)
		case "AlertPolicy":
			p.policy(d.spec, used)
		case "AlertCondition":
			p.condition(d.spec)
		}
	}
	return slos
}

// dataSources returns the names of DataSources of our type.
func (p *parser) dataSources() map[string]bool {
	ours := map[string]bool{}
	for _, d := range p.order {
		if d.kind == "DataSource" {
			o := d.spec.object("description", "type", "connectionDetails")
			o.get("description").description()
			o.require("connectionDetails", "OpenSLO wants it; write connectionDetails: {comment: the engine knows its store}")
			ours[d.name] = o.require("type", "write type: "+sourceType).text() == sourceType
		}
	}
	return ours
}

// sloIndicator reads the indicator of an SLO or of an objective, inline or by reference.
func (p *parser) sloIndicator(o object, sources, used map[string]bool) sli {
	inline, ref := o.get("indicator"), o.get("indicatorRef")
	switch {
	case !inline.absent() && !ref.absent():
		ref.fault("is set beside indicator; keep one")
	case !inline.absent():
		in := inline.object("metadata", "spec")
		m := p.metadata(in.require("metadata", "write metadata: {name: …}"))
		read := p.indicator(in.require("spec", "write ratioMetric in it"), sources)
		read.name = m.name
		return read
	case !ref.absent():
		name := ref.word()
		if name == "" {
			return sli{}
		}
		d, ok := p.objects["SLI"][name]
		if !ok {
			ref.fault("no SLI named %q in these files%s", clip(name), suggestNames(name, p.objects["SLI"]))
			return sli{}
		}
		before, again := len(p.faults), used["SLI/"+name]
		used["SLI/"+name] = true
		read := p.indicator(d.spec, sources)
		read.name = name
		if again {
			p.faults = p.faults[:before]
		}
		return read
	case o.ok:
		at := o.get("indicator")
		at.y = o.y
		at.fault("is missing; write indicator or indicatorRef")
	}
	return sli{}
}

func suggestNames(got string, objects map[string]document) string {
	names := make([]string, 0, len(objects))
	for name := range objects {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 8 {
		names = names[:8]
	}
	return suggest(got, names)
}
