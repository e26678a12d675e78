package event

import (
	"slices"
	"strings"
)

// Resources kept for sharing, and the longest text that is kept.
const (
	maxResources    = 64
	maxResourceText = 8 << 10
)

// resource reads the resource, or finds the one that had the same text before.
func (d *Decoder) resource(offset int) {
	if !d.first(sawResource, jsonResource, offset) {
		return
	}
	if d.peek() != '{' {
		d.wrongType(jsonResource, offset, "an object")
		return
	}
	start := d.pos
	if d.last != nil && strings.HasPrefix(d.line[start:], d.lastText) {
		d.event.Resource = d.last
		d.pos = start + len(d.lastText)
		return
	}
	before := len(d.problems.list) + d.problems.omitted
	var attrs []Named
	seen := make(map[string]bool, 8)
	d.members(2, func(name string, offset int) {
		if seen[name] {
			d.problems.add(ReasonDuplicateKey, jsonResource+"."+quoteName(name), offset, "stands twice")
			d.skip(3)
			return
		}
		seen[name] = true
		v, ok := d.free(d.AllowUnknown)
		switch {
		case d.broken:
		case name == "":
			d.problems.add(ReasonUnknownAttribute, jsonResource, offset, "attribute without a name")
		case !ok:
			d.problems.add(ReasonWrongType, jsonResource+"."+quoteName(name), offset,
				"must be flat, got an object or a mixed list")
		case resourceStrings[name] && v.kind != KindString:
			d.problems.add(ReasonWrongType, jsonResource+"."+quoteName(name), offset, "must be a string")
		case v.kind != KindAbsent:
			attrs = append(attrs, Named{name, v})
		}
	})
	if d.broken || len(d.problems.list)+d.problems.omitted > before {
		return
	}
	d.event.Resource = d.share(d.line[start:d.pos], attrs)
}

// resourceStrings are the resource attributes that Sockeye reads; they are strings.
var resourceStrings = map[string]bool{
	ServiceName: true, ServiceNamespace: true, ServiceInstanceID: true, ServiceVersion: true, Environment: true,
	Region: true, HostName: true,
}

// share returns the resource for text. An object's text ends where it closes, so no text is another's beginning.
func (d *Decoder) share(text string, attrs []Named) *Resource {
	r, ok := d.resources[text]
	if !ok {
		for i := range attrs {
			attrs[i].Name = strings.Clone(attrs[i].Name)
			attrs[i].Value = attrs[i].Value.clone()
		}
		r = NewResource(attrs...)
		if len(text) > maxResourceText {
			return r
		}
		text = strings.Clone(text)
		if d.resources == nil || len(d.resources) == maxResources {
			d.resources = make(map[string]*Resource)
		}
		d.resources[text] = r
	}
	d.lastText, d.last = text, r
	return r
}

// clone returns v with strings of its own, so that they hold no line in memory.
func (v Value) clone() Value {
	v.str = strings.Clone(v.str)
	if v.kind == KindStrings {
		list := slices.Clone(v.Strings())
		for i, s := range list {
			list[i] = strings.Clone(s)
		}
		v = Strings(list)
	}
	return v
}
