// Package mapping reads any log of JSON objects, one a line, by a description: which field is the time, which names the
// event, which fields fill which attributes, what tells connections apart.
//
// It computes nothing and joins no lines. The invariant to keep: what a Config cannot make of a log it says when the
// parser is made, all faults at once; a line that then lacks what its event needs is an error, never half an event.
package mapping

import (
	"errors"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// Parser is a [source.Parser] of a log that a [Config] describes. Make one with [New].
type Parser struct {
	*program
	scanner  fields.Scanner
	line     *fields.Line
	emitter  *access.Emitter
	zone     *time.Location
	resource *event.Resource
	// resources are those that lines have named, by their values.
	resources map[string]*event.Resource
	key       []byte
	handshake access.Handshake
	// built are the events of the line; only when all are there is the first emitted.
	built []event.Event
	hits  []int
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser, or all that is wrong with the description.
func New(s source.Settings, cfg *Config) (*Parser, error) {
	program, err := compile(cfg)
	if err != nil {
		return nil, err
	}
	if program.vantage != "" {
		s.Vantage = program.vantage
	}
	return &Parser{
		program: program, scanner: fields.NewJSON(program.byName), line: fields.NewLine(program.names),
		emitter: access.NewEmitter(s, program.sourceType, program.visibility), zone: s.TimeZone(),
		resource: s.Resource, resources: map[string]*event.Resource{},
	}, nil
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	p.hits = p.hits[:0]
	for i := range p.events {
		if p.events[i].holds(l) {
			p.hits = append(p.hits, i)
		}
	}
	if len(p.hits) == 0 {
		return source.ErrSkipped
	}
	l.Keep()
	h.Reset()
	if err := p.fill(); err != nil {
		return err
	}
	resource := p.resourceOf()
	for n, i := range p.hits {
		if n == len(p.built) {
			p.built = append(p.built, event.Event{})
		}
		if err := p.build(&p.events[i], &p.built[n]); err != nil {
			return err
		}
		p.built[n].Resource = resource
	}
	for n := range p.hits {
		emit(&p.built[n])
	}
	return nil
}

// holds reports whether a line is r's event. A field that is missing, empty or "-" has the value "".
func (r *rule) holds(l *fields.Line) bool {
	for i := range r.when {
		c := &r.when[i]
		got, _ := l.Raw(c.field)
		ok := c.any && len(got) > 0
		for _, want := range c.values {
			ok = ok || string(got) == want
		}
		if !ok {
			return false
		}
	}
	return true
}

// fill reads what all events of a line have in common.
func (p *Parser) fill() (err error) {
	l, h := p.line, &p.handshake
	if l.Value(p.time) == "" {
		return l.Fault(source.MissingField, p.time)
	}
	if unit := layouts[p.layout]; unit != 0 {
		h.Written, err = l.Unix(p.time, unit)
	} else {
		h.Written, err = l.TimeIn(p.time, p.layout, p.zone)
	}
	if err != nil {
		return err
	}
	if p.traceparent != fields.None {
		h.TraceID, h.SpanID = access.Traceparent(l.Value(p.traceparent))
	}
	if p.traceID != fields.None && h.SpanID == [8]byte{} {
		h.TraceID, h.SpanID = access.Trace(l.Value(p.traceID), l.Value(p.spanID))
	}
	p.emitter.Begin()
	some := false
	for _, f := range p.connection {
		v, _ := l.Raw(f)
		some = some || len(v) > 0
		p.emitter.Part(p.names[f], v)
	}
	if !some {
		return l.Fault(source.MissingField, p.connection[0])
	}
	h.ConnectionID = p.emitter.ID()
	return nil
}

// build makes one event.
func (p *Parser) build(r *rule, into *event.Event) error {
	l, h := p.line, &p.handshake
	at := h.Written
	if r.ago != nil {
		ago, ok := r.ago.resolve(l)
		if !ok {
			return l.Fault(source.BadNumber, r.ago.field)
		}
		at = at.Add(-time.Duration(ago.Double() * float64(time.Second)))
	}
	into.CopyFrom(p.emitter.Event(h, r.name, at))
	for i := range r.values {
		if err := r.values[i].set(l, p.emitter, into); err != nil {
			return err
		}
	}
	if r.name == event.HandshakeRejected && !into.Has(event.ErrorType) {
		errorType := event.OtherError
		if status := into.Get(event.HTTPResponseStatusCode).Int(); status != 0 {
			errorType = event.RejectionFor(int(status))
		}
		into.SetString(event.ErrorType, errorType)
	}
	// What depends on the line: a required attribute whose field it lacks, an error type of another event.
	err := into.Validate()
	var wrong *event.DecodeError
	if errors.As(err, &wrong) {
		return &source.Error{Reason: wrong.Reason, Field: wrong.Problems[0].Name}
	}
	return err
}

// Bounds of the resources that are remembered: how many, and how long their values. Beyond, they are made anew.
const (
	maxResources   = 1024
	maxResourceKey = 4096
)

// resourceOf returns the resource that the line describes, one object for all lines that describe the same.
func (p *Parser) resourceOf() *event.Resource {
	if len(p.program.resource) == 0 {
		return p.resource
	}
	p.key = p.key[:0]
	for _, v := range p.program.resource {
		raw, _ := p.line.Raw(v.field)
		p.key = append(append(p.key, raw...), 0)
	}
	if r, ok := p.resources[string(p.key)]; ok {
		return r
	}
	named := append([]event.Named(nil), p.resource.Attributes()...)
	for _, v := range p.program.resource {
		if text := p.line.Value(v.field); text != "" {
			named = append(named, event.Named{Name: v.name, Value: event.String(text)})
		}
	}
	r := event.NewResource(named...)
	if len(p.key) > maxResourceKey {
		return r
	}
	if len(p.resources) >= maxResources {
		clear(p.resources)
	}
	p.resources[string(p.key)] = r
	return r
}
