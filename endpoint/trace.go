package endpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// SpanObserver is told of spans that have ended. They come one at a time, from one goroutine, and may be kept. Nothing waits
// for a slow one: what there is no room for is lost and counted, see [Stats].
type SpanObserver interface {
	ObserveSpan(*event.Span)
}

// SpanObserverFunc is a function as a SpanObserver.
type SpanObserverFunc func(*event.Span)

// ObserveSpan calls f.
func (f SpanObserverFunc) ObserveSpan(s *event.Span) { f(s) }

// Tracing says which handshakes and messages have spans. Whether one has is decided here and bounded by Rate: a client that
// asks for every handshake to be sampled gets no more. Handshakes of blocked addresses, and those over the limits of an
// address or of the endpoint, have none. Events carry the ids of the handshake's span; where there is none, those of the
// client's traceparent.
type Tracing struct {
	// Observer gets the spans. Nil means that there are none.
	Observer SpanObserver
	// TrustParent continues the trace of the client's traceparent, and takes its flag "sampled" for whether there is a span,
	// within Rate. Set it where all clients are your own, or a gateway in front writes the header. Otherwise the trace is a
	// new one, and its first span links to the client's.
	TrustParent bool
	// Ratio is the share of handshakes with a span, where no trusted parent decides. 0 means 1, negative is none.
	Ratio float64
	// Rate bounds handshakes with spans, and apart from them messages with spans. Default 10 a second, 100 at once.
	Rate Rate
	// Messages is the share of messages with a span, from when Handle gets one to when it asks for the next. Default none.
	// They are traces of their own, with a link to the handshake's span and to what MessageContext finds.
	Messages float64
	// MessageContext takes the traceparent out of a message of an authenticated client, "" if there is none. Nil means
	// [TraceParentOf].
	MessageContext func(wire.Message) string
}

// TraceParentOf takes the traceparent out of a text message that begins with it: {"traceparent":"00-…-01", and so on.
func TraceParentOf(m wire.Message) string {
	const before = `{"traceparent":"`
	if m.Opcode != wire.OpText || len(m.Payload) <= len(before)+traceParentBytes ||
		string(m.Payload[:len(before)]) != before || m.Payload[len(before)+traceParentBytes] != '"' {
		return ""
	}
	return string(m.Payload[len(before):][:traceParentBytes])
}

// traceParentBytes is the length of a traceparent of version 00.
const traceParentBytes = 55

// traceContext is what a traceparent says.
type traceContext struct {
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// traceParent reads W3C Trace Context §3.2. A header that is not well formed is none.
func traceParent(h http.Header) traceContext {
	lines := h["Traceparent"]
	if len(lines) != 1 {
		return traceContext{}
	}
	return parseTraceParent(lines[0])
}

func parseTraceParent(s string) (c traceContext) {
	if len(s) < traceParentBytes || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return c
	}
	var version, flags [1]byte
	for _, f := range []struct{ text, into []byte }{
		{[]byte(s[:2]), version[:]}, {[]byte(s[3:35]), c.trace[:]}, {[]byte(s[36:52]), c.span[:]}, {[]byte(s[53:55]), flags[:]},
	} {
		if _, err := hex.Decode(f.into, f.text); err != nil || bytes.ContainsAny(f.text, "ABCDEF") {
			return traceContext{}
		}
	}
	// Later versions may only add fields.
	if more := s[traceParentBytes:]; version[0] == 0xff || more != "" && (version[0] == 0 || more[0] != '-') ||
		c.trace == [16]byte{} || c.span == [8]byte{} {
		return traceContext{}
	}
	c.sampled = flags[0]&1 != 0
	return c
}

// spansWaiting is how many spans may wait for the SpanObserver: about 2 KiB each.
const spansWaiting = 1024

// tracer decides what has a span, and brings spans to the SpanObserver.
type tracer struct {
	set                  Tracing
	rate                 limiter
	handshakes, messages bucket
	off                  atomic.Bool
	out                  chan *event.Span
	stop, done           chan struct{}
	lost                 atomic.Int64
}

func newTracer(set Tracing) *tracer {
	t := &tracer{
		set: set, rate: newLimiter(set.Rate), out: make(chan *event.Span, spansWaiting), stop: make(chan struct{}),
		done: make(chan struct{}),
	}
	go t.run()
	return t
}

func (t *tracer) run() {
	defer close(t.done)
	for {
		select {
		case s := <-t.out:
			t.set.Observer.ObserveSpan(s)
		case <-t.stop:
			for {
				select {
				case s := <-t.out:
					t.set.Observer.ObserveSpan(s)
				default:
					return
				}
			}
		}
	}
}

// tell hands a span on, if there is room.
func (t *tracer) tell(s *event.Span) {
	select {
	case <-t.done:
		t.lost.Add(1)
		return
	default:
	}
	select {
	case t.out <- s:
	default:
		t.lost.Add(1)
	}
}

// take takes a span out of the rate.
func (t *tracer) take(b *bucket, now int64) bool {
	if b.take(t.rate, now, 1) {
		return true
	}
	t.lost.Add(1)
	return false
}

// chosen decides by the randomness of a trace's id, as OpenTelemetry's samplers do: its last 56 bits.
func chosen(trace [16]byte, ratio float64) bool {
	const all = 1 << 56
	return float64(binary.BigEndian.Uint64(trace[8:])%all) < ratio*all
}

// TraceOn turns the spans of [Config.Tracing] off, or on again, which they are at first.
func (e *Endpoint) TraceOn(on bool) {
	if e.tracer != nil {
		e.tracer.off.Store(!on)
	}
}

// newSpan begins a span with an id of its own.
func (e *Endpoint) newSpan(name string, kind event.SpanKind, start time.Time) *event.Span {
	s := &event.Span{Name: name, Kind: kind, Start: start, Resource: e.config.Resource}
	e.random(s.SpanID[:])
	return s
}

// trace decides whether the handshake has a span. It may be called once the cheap limits are passed, which no flood does.
func (h *handshake) trace(now int64) {
	t := h.e.tracer
	if t == nil || t.off.Load() {
		return
	}
	parent := traceParent(h.r.Header)
	known := parent.trace != [16]byte{}
	trace := parent.trace
	wanted := parent.sampled
	if !known || !t.set.TrustParent {
		h.e.random(trace[:])
		wanted = chosen(trace, t.set.Ratio)
	}
	if !wanted || !t.take(&t.handshakes, now) {
		return
	}
	method := h.r.Method
	if method != http.MethodGet {
		method = "HTTP" // which is what the semantic conventions put for a method that is not known
	}
	s := h.e.newSpan(method, event.SpanServer, h.began)
	s.TraceID = trace
	switch {
	case known && t.set.TrustParent:
		s.ParentID = parent.span
	case known:
		s.Links = []event.SpanLink{{TraceID: parent.trace, SpanID: parent.span}}
	}
	if route := h.r.Pattern; route != "" {
		if i := strings.IndexByte(route, '/'); i >= 0 {
			route = route[i:]
			s.Name += " " + route
			s.Attributes = append(s.Attributes, event.Named{Name: event.HTTPRoute, Value: event.String(strings.Clone(route))})
		}
	}
	h.span = s
	h.peer.trace, h.peer.span, h.peer.traced = s.TraceID, s.SpanID, true
}

// endSpan ends the handshake's span, if it has one, with what v tells of it.
func (h *handshake) endSpan(v *event.Event) {
	s := h.span
	if s == nil {
		return
	}
	h.span = nil
	s.End = time.Now()
	v.Each(func(k event.Key, value event.Value) {
		switch k {
		case event.Vantage, event.SourceVisibility, event.SourceType, event.SourceEvidence, event.HandshakeDuration:
		case event.NetworkProtocolName: // HTTP's, which need not be said
		case event.HTTPVersion:
			s.Attributes = append(s.Attributes, event.Named{Name: event.NetworkProtocolVersion, Value: value})
		default:
			s.Attributes = append(s.Attributes, event.Named{Name: k.String(), Value: value})
		}
	})
	// A refusal is no error of the server (semantic conventions for HTTP, status of server spans).
	if v.Get(event.HTTPResponseStatusCode).Int() >= http.StatusInternalServerError {
		s.Status = event.SpanError
	}
	h.e.tracer.tell(s)
}

// traceAuth tells of a verification that has just ended, as a child of the handshake's span if that has one. How long the
// identity provider was waited for is an attribute: it is a sum, of which nobody knows when it began.
func (e *Endpoint) traceAuth(p *peer, name event.Name, o outcome) {
	if e.tracer == nil || !p.traced || e.tracer.off.Load() {
		return
	}
	end := time.Now()
	s := e.newSpan(string(name), event.SpanInternal, end.Add(-o.took))
	s.TraceID, s.ParentID, s.End = p.trace, p.span, end
	put := func(k event.Key, v event.Value) {
		if k.Accepts(v) {
			s.Attributes = append(s.Attributes, event.Named{Name: k.String(), Value: v})
		}
	}
	put(event.AuthMethod, text(string(o.method)))
	result := event.AuthSuccess
	if o.failure != 0 {
		result = event.AuthFailure
		put(event.ErrorType, event.String(o.failure.ErrorType()))
		if fault := o.failure.Fault(); fault == event.FaultIDP || fault == event.FaultServer {
			s.Status = event.SpanError
		}
	}
	put(event.AuthResult, event.String(result))
	put(event.AuthDuration, event.Double(seconds(o.took)))
	if o.idp > 0 {
		put(event.AuthIDPDuration, event.Double(seconds(o.idp)))
	}
	e.tracer.tell(s)
}

// traceMessage begins the span of the message that Handle gets, if it is to have one.
//
//go:noinline
func (s *Session) traceMessage() {
	t := s.e.tracer
	if t.set.Messages <= 0 || t.off.Load() || rand.Float64() >= t.set.Messages || !t.take(&t.messages, s.now) {
		return
	}
	m := s.message
	span := s.e.newSpan(string(event.Message), event.SpanConsumer, time.Now())
	s.e.random(span.TraceID[:])
	if s.peer.traced {
		span.Links = append(span.Links, event.SpanLink{TraceID: s.peer.trace, SpanID: s.peer.span})
	}
	if c := parseTraceParent(t.set.MessageContext(m)); c.trace != [16]byte{} {
		span.Links = append(span.Links, event.SpanLink{TraceID: c.trace, SpanID: c.span})
	}
	span.Attributes = []event.Named{
		{Name: event.ConnectionID.String(), Value: event.String(s.ID())},
		{Name: event.Direction.String(), Value: event.String(event.DirectionReceive)},
		{Name: event.MessageType.String(), Value: event.String(m.Opcode.String())},
		{Name: event.MessageSize.String(), Value: event.Int(int64(len(m.Payload)))},
	}
	s.span.Store(span)
}

// endMessage ends the span of the message that Handle had.
//
//go:noinline
func (s *Session) endMessage() {
	span := s.span.Load()
	if span == nil {
		return
	}
	s.span.Store(nil)
	span.End = time.Now()
	s.e.tracer.tell(span)
}

// TraceParent is the W3C traceparent for what Handle calls: that of the span of the message it has, else that of the
// handshake. It is "" where there is none. The flag "sampled" says whether there is a span.
func (s *Session) TraceParent() string {
	trace, id, sampled := s.peer.trace, s.peer.span, s.peer.traced
	if span := s.span.Load(); span != nil {
		trace, id, sampled = span.TraceID, span.SpanID, true
	}
	if trace == [16]byte{} {
		return ""
	}
	flags := "-00"
	if sampled {
		flags = "-01"
	}
	return "00-" + hex.EncodeToString(trace[:]) + "-" + hex.EncodeToString(id[:]) + flags
}

// withDefaults returns t with nothing left to decide.
func (t Tracing) withDefaults(fault func(string)) Tracing {
	if math.IsNaN(t.Ratio) || math.IsNaN(t.Messages) || t.Ratio > 1 || t.Messages < 0 || t.Messages > 1 {
		fault("Tracing: Ratio must be at most 1, and Messages from 0 to 1")
	}
	setDefault(&t.Ratio, 1)
	t.Rate = t.Rate.or(Rate{10, 100})
	if t.MessageContext == nil {
		t.MessageContext = TraceParentOf
	}
	return t
}
