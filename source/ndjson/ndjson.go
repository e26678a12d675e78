// Package ndjson reads events in Sockeye's own form: one flat JSON object a line, as [event.Event.AppendJSON] writes
// and docs/events.md describes. Applications push it, `sockeye parse` prints it.
//
// It accepts attributes outside the model, for the pii processor to judge, and nothing else that the model does not:
// the writer of such a line can be told what is wrong with it. The invariant to keep: what is not on the line is not on
// the event, but for resource attributes of the settings that the line does not have itself.
package ndjson

import (
	"bytes"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

// Parser is a [source.Parser] of NDJSON events. Make one with [NewParser].
type Parser struct {
	settings  source.Settings
	decoder   event.Decoder
	event     event.Event
	resources interner
}

var _ source.Parser = (*Parser)(nil)

// NewParser returns a parser.
func NewParser(s source.Settings) *Parser {
	return &Parser{settings: s, decoder: event.Decoder{AllowUnknown: true}}
}

// Parse implements [source.Parser]. An empty line is skipped.
func (p *Parser) Parse(line []byte, emit func(*event.Event)) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return source.ErrSkipped
	}
	if err := p.decoder.Decode(line, &p.event); err != nil {
		return err
	}
	if p.event.Name == event.SourceProgress {
		// Only a receiver knows how far it has read. A line that said so could hold back the watermark, and with it
		// every alert.
		return &source.Error{Reason: event.ReasonUnknownEvent, Field: "event"}
	}
	p.event.Resource = p.resources.merge(p.settings.Resource, p.event.Resource)
	emit(&p.event)
	return nil
}

// interner makes equal resources one, since records are grouped by it.
type interner struct {
	known map[string]*event.Resource
	key   []byte
}

// maxResources bounds what a sender that changes its resource on every line can make us keep.
const maxResources = 1024

// merge returns a resource with own's attributes and, where own does not have them, defaults'.
func (in *interner) merge(defaults, own *event.Resource) *event.Resource {
	if len(own.Attributes()) == 0 {
		return defaults
	}
	in.key = in.key[:0]
	for _, a := range own.Attributes() {
		in.key = append(in.key, a.Name...)
		in.key = append(in.key, 0, byte(a.Value.Kind()))
		in.key = append(in.key, a.Value.Text()...)
		in.key = append(in.key, 0)
	}
	if r, ok := in.known[string(in.key)]; ok {
		return r
	}
	if in.known == nil || len(in.known) >= maxResources {
		in.known = make(map[string]*event.Resource)
	}
	r := own
	if len(defaults.Attributes()) > 0 {
		attrs := append([]event.Named(nil), defaults.Attributes()...)
		r = event.NewResource(append(attrs, own.Attributes()...)...)
	}
	in.known[string(in.key)] = r
	return r
}
