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
	"strconv"
	"strings"
	"time"

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
)

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
	labels := o.get("labels")
	for key := range labels.object().values {
		label := labels.object().get(key)
		for _, v := range label.texts() {
			v.text()
		}
	}
	annotations := o.get("annotations").object()
	for key := range annotations.values {
		m.annotations[key] = annotations.get(key)
		known := []string{annotationAlerts, annotationRunbook, annotationGuard, annotationServiceName}
		if strings.HasPrefix(key, "sockeye/") && !slices.Contains(known, key) {
			m.annotations[key].fault("unknown annotation%s", suggest(key, known))
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
			slos = append(slos, p.slo(d, sources, used))
		case "Service", "AlertNotificationTarget":
			// Nothing of theirs is needed beyond the name.
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
			ours[d.name] = o.require("type", "write type: "+sourceType).text() == sourceType
		}
	}
	return ours
}

func (p *parser) slo(d document, sources map[string]bool, used map[string]bool) SLO {
	s := SLO{Name: d.name, Title: d.meta.displayName}
	if s.Title == "" {
		s.Title = d.name
	}
	o := d.spec.object("description", "service", "indicator", "indicatorRef", "timeWindow", "budgetingMethod",
		"objectives", "alertPolicies")
	s.Description = strings.TrimSpace(o.get("description").text())
	s.Service = o.require("service", "name the service that it is about").word()
	if service, ok := p.objects["Service"][s.Service]; ok {
		if name, ok := service.meta.annotations[annotationServiceName]; ok && name.text() != "" {
			s.Service = name.text()
		}
	}
	s.Indicator = p.sloIndicator(o, sources, used)
	s.Window = p.timeWindow(o.require("timeWindow", "write timeWindow: [{duration: 30d, isRolling: true}]"))
	method := o.require("budgetingMethod", "write budgetingMethod: Occurrences")
	if m := method.word(); m != "" && m != "Occurrences" {
		method.fault("must be Occurrences, got %q: budgets count events, not slices of time", clip(m))
	}
	objective := p.objective(o.require("objectives", "write objectives: [{targetPercent: 99.9}]"))
	s.Objective = objective.number
	if runbook, ok := d.meta.annotations[annotationRunbook]; ok {
		s.RunbookURL = runbook.text()
	}
	s.Unguarded = unguarded(d.meta)
	p.rules(&s, o, d, objective.at, used)
	return s
}

func (p *parser) sloIndicator(o object, sources map[string]bool, used map[string]bool) Indicator {
	inline, ref := o.get("indicator"), o.get("indicatorRef")
	switch {
	case !inline.absent() && !ref.absent():
		ref.fault("is set beside indicator; keep one")
	case !inline.absent():
		in := inline.object("metadata", "spec")
		p.metadata(in.require("metadata", "write metadata: {name: …}"))
		return p.indicator(in.require("spec", "write ratioMetric in it"), sources)
	case !ref.absent():
		name := ref.word()
		if name == "" {
			return Indicator{}
		}
		d, ok := p.objects["SLI"][name]
		if !ok {
			ref.fault("no SLI named %q in these files%s", clip(name), suggestNames(name, p.objects["SLI"]))
			return Indicator{}
		}
		first := !used["SLI/"+name]
		used["SLI/"+name] = true
		return p.quietly(!first, func() Indicator { return p.indicator(d.spec, sources) })
	case o.ok:
		at := o.get("indicator")
		at.y = o.y
		at.fault("is missing; write indicator or indicatorRef")
	}
	return Indicator{}
}

// quietly drops the faults of f if they were reported before.
func (p *parser) quietly(quiet bool, f func() Indicator) Indicator {
	before := len(p.faults)
	result := f()
	if quiet {
		p.faults = p.faults[:before]
	}
	return result
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

func (p *parser) timeWindow(n node) time.Duration {
	items := n.items()
	if len(items) != 1 {
		if !n.absent() && n.y.Kind == yaml.SequenceNode {
			n.fault("must have exactly one window, got %d", len(items))
		}
		return 0
	}
	o := items[0].object("duration", "isRolling", "calendar")
	at := o.require("duration", "write duration: 30d")
	if rolling := o.require("isRolling", "write isRolling: true"); !rolling.absent() && !rolling.boolean() {
		rolling.fault("must be true: only rolling windows are computed")
	}
	if calendar := o.get("calendar"); !calendar.absent() {
		calendar.fault("is not for rolling windows; remove it")
	}
	text := at.word()
	if text == "" {
		return 0
	}
	d, ok := shorthand(text)
	switch {
	case !ok:
		at.fault("must be a number and one of m, h, d, w, such as 30d, got %q", clip(text))
	case d > retention:
		at.fault("must be at most %dd, for which the minute rollup is kept, got %s", retention/day, clip(text))
	case d < 3*day:
		at.fault("must be at least 3d, the longest window that alerts look at, got %s", clip(text))
	}
	return d
}

var shorthandForm = regexp.MustCompile(`^([0-9]{1,6})([mhdwMQY])$`)

// shorthand reads OpenSLO's duration shorthand. A month is 30 days, as in a rolling window it must be.
func shorthand(text string) (time.Duration, bool) {
	m := shorthandForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit := map[string]time.Duration{
		"m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day, "M": 30 * day, "Q": 90 * day, "Y": 365 * day,
	}[m[2]]
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 || time.Duration(n) > (1<<62)/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// goal is an objective and the place that states it.
type goal struct {
	number Number
	at     node
}

func (p *parser) objective(n node) goal {
	items := n.items()
	if len(items) != 1 {
		if !n.absent() && n.y.Kind == yaml.SequenceNode {
			n.fault("must have exactly one objective, got %d; write an SLO for each", len(items))
		}
		return goal{at: n}
	}
	o := items[0].object("displayName", "target", "targetPercent")
	o.get("displayName").text()
	target, percent := o.get("target"), o.get("targetPercent")
	switch {
	case !target.absent() && !percent.absent():
		percent.fault("is set beside target; keep one")
		return goal{at: percent}
	case !target.absent():
		v := target.decimal()
		if v.Valid() && (v.rat.Sign() <= 0 || v.rat.Cmp(one) >= 0) {
			mend := "99.9 % is target: 0.999"
			if v.rat.Cmp(one) == 0 {
				mend = "a target of 1 leaves no budget, so every failure would be a breach"
			}
			target.fault("must be above 0 and below 1, got %s; %s", v, mend)
			v = Number{}
		}
		return goal{v, target}
	case !percent.absent():
		v := percent.decimal()
		if !v.Valid() {
			return goal{at: percent}
		}
		switch {
		case v.rat.Cmp(hundred) == 0:
			percent.fault("must be below 100, got 100; without a budget every failure would be a breach")
			return goal{at: percent}
		case v.rat.Sign() <= 0 || v.rat.Cmp(hundred) > 0:
			percent.fault("must be above 0 and below 100, got %s", v)
			return goal{at: percent}
		}
		return goal{rat(v.rat.Quo(v.rat, hundred)), percent}
	}
	if o.ok {
		at := o.get("targetPercent")
		at.y = o.y
		at.fault("is missing; write targetPercent: 99.9")
	}
	return goal{at: n}
}
