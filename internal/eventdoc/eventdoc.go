// Package eventdoc writes docs/events.md from the tables of package event, so that the page cannot say anything else.
package eventdoc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Markdown returns the page.
func Markdown() []byte {
	w := &writer{}
	w.line("<!-- Written by `make generate` from package event. DO NOT EDIT. -->")
	w.line("# Events")
	w.line("One event is one thing that happened to a WebSocket connection, as one source proved it. It travels as an " +
		"OpenTelemetry log record with an event name, and as NDJSON, which applications push and `sockeye parse` prints:")
	w.line("```json\n" + string(sample(event.Open).AppendJSON(nil)) + "\n```")
	w.line("What a source could not see is left out; it is never zero or guessed. `websocket.source.evidence` says " +
		"whether the source observed the event or it was inferred.")

	schemas := event.Schemas()
	w.line("## The events")
	w.line(table([]string{"event", "severity", "counts as", "meaning"}, len(schemas), func(i int) []string {
		s := schemas[i]
		severity := s.Severity.String()
		if s.SeverityOnFailure != 0 {
			severity += ", " + s.SeverityOnFailure.String() + " on failure"
		}
		return []string{"[`" + string(s.Name) + "`](#" + anchor(string(s.Name)) + ")", severity, counts(&s), s.Brief}
	}))
	w.form()
	w.counting()
	w.line("## The events one by one")
	var common []string
	for _, k := range event.Keys() {
		if every(k) {
			common = append(common, k.String())
		}
	}
	slices.Sort(common)
	w.line("Any event may have: " + codes(common) + ".")
	for _, s := range schemas {
		w.event(&s)
	}

	w.attributes()
	w.resource()
	w.errorTypes()
	w.closeCodes()
	w.equivalents()
	w.line("## Durations")
	var bounds []string
	for _, b := range event.DurationBounds {
		bounds = append(bounds, b.String())
	}
	w.line("Rollups and metrics keep durations as a histogram with these upper bounds, inclusive: " +
		strings.Join(bounds, ", ") + ". A latency objective has to name one of them.")
	return []byte(strings.TrimRight(w.String(), "\n") + "\n")
}

type writer struct{ strings.Builder }

// line writes a block and the empty line after it.
func (w *writer) line(text string) { w.WriteString(text + "\n\n") }

func (w *writer) event(s *event.Schema) {
	w.line("### " + string(s.Name))
	w.line(s.Brief)
	w.line("Required: " + codes(keyNames(s.Requires())) + ".")
	if len(s.May) > 0 {
		w.line("May have, besides what any event may have: " + codes(keyNames(s.May)) + ".")
	}
	if len(s.ErrorTypes) > 0 {
		w.line("`error.type`: " + codes(s.ErrorTypes) + ".")
	}
}

// every reports whether all events may have k.
func every(k event.Key) bool {
	for _, s := range event.Schemas() {
		if !s.Allows(k) {
			return false
		}
	}
	return true
}

func (w *writer) attributes() {
	keys := event.Keys()
	w.line("## The attributes")
	w.line(fmt.Sprintf("*Low* means that the number of different values is bounded, so that the attribute may be a "+
		"metric dimension; such a string has at most %d bytes. Seconds lie between 0 and 1e9, other numbers between 0 "+
		"and 2^53.", event.MaxLowBytes))
	w.line(table([]string{"attribute", "type", "level", "low", "example", "meaning", "name from"}, len(keys),
		func(i int) []string {
			d := keys[i].Definition()
			kind, low, brief := d.Kind.String(), "", d.Brief
			if d.Unit != "" {
				kind += " (" + d.Unit + ")"
			}
			if d.Low {
				low = "low"
			}
			switch {
			case keys[i] == event.ErrorType:
			case len(d.Values) == 1:
				brief = "Always " + codes(d.Values) + "."
			case len(d.Values) > 1:
				brief += " One of " + codes(d.Values) + "."
			}
			brief += bounds(d)
			return []string{"`" + d.Name + "`", kind, string(d.Level), low, "`" + d.Example + "`", brief, string(d.Origin)}
		}))
}

func (w *writer) errorTypes() {
	types := event.ErrorTypes()
	w.line("## Error types and fault domains")
	w.line("Every failure has a fault domain: who has to act. An SLO says which domains burn its budget, so that a " +
		"flood of bad tokens pages nobody for availability and an outage of the identity provider does.")
	w.line(table([]string{"error.type", "fault", "meaning"}, len(types), func(i int) []string {
		return []string{"`" + types[i].Type + "`", string(types[i].Fault), types[i].Brief}
	}))
}

// sample is an event of that name with what it requires, each attribute with its example.
func sample(name event.Name) *event.Event {
	e := &event.Event{
		Name: name,
		Time: time.Date(2026, 11, 22, 10, 0, 11, 356_000_000, time.UTC),
		Resource: event.NewResource(
			event.Named{Name: "service.name", Value: event.String("chat")},
			event.Named{Name: "service.instance.id", Value: event.String("edge-1")},
		),
	}
	for _, key := range name.Schema().Requires() {
		d := key.Definition()
		switch d.Kind {
		case event.KindString:
			value := d.Example
			if types := name.Schema().ErrorTypes; key == event.ErrorType {
				value = types[0]
			}
			e.SetString(key, value)
		case event.KindInt:
			n, _ := strconv.ParseInt(d.Example, 10, 64)
			e.SetInt(key, n)
		case event.KindDouble:
			f, _ := strconv.ParseFloat(d.Example, 64)
			e.SetDouble(key, f)
		case event.KindBool:
			e.SetBool(key, d.Example == "true")
		case event.KindStrings:
			e.SetStrings(key, strings.Split(d.Example, ",")...)
		}
	}
	return e
}

func keyNames(keys []event.Key) []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	slices.Sort(names)
	return names
}

func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

func table(head []string, n int, row func(int) []string) string {
	var b strings.Builder
	write := func(cells []string) {
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	write(head)
	write(slices.Repeat([]string{"---"}, len(head)))
	for i := range n {
		write(row(i))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// anchor is the fragment that GitHub gives a heading.
func anchor(heading string) string { return strings.ReplaceAll(heading, ".", "") }
