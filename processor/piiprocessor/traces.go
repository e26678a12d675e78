package piiprocessor

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Traces redacts td in place. The number of its spans, events and links stays as it is.
func (r *Redactor) Traces(td ptrace.Traces) Counts {
	w := r.take()
	w.traces(td)
	return r.release(w)
}

func (w *walker) traces(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		w.choose(rs.Resource())
		rs.SetSchemaUrl(w.schemaURL(rs.SchemaUrl()))
		w.resource(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			ss.SetSchemaUrl(w.schemaURL(ss.SchemaUrl()))
			w.instrumentation(ss.Scope())
			for _, span := range ss.Spans().All() {
				w.span(span)
			}
		}
	}
}

func (w *walker) span(span ptrace.Span) {
	defer func() {
		if recover() != nil {
			w.scanner.CountDrop(redact.Panic)
			span.SetName("")
			span.TraceState().FromRaw("")
			span.Status().SetMessage("")
			pcommon.NewMap().MoveTo(span.Attributes())
			ptrace.NewSpanEventSlice().CopyTo(span.Events())
			ptrace.NewSpanLinkSlice().CopyTo(span.Links())
		}
	}()
	// One time for all of a span, so that its events and links join it.
	w.scanner.SetTime(asTime(span.StartTimestamp(), span.EndTimestamp()))
	w.tenant(span.Attributes())
	if name := span.Name(); name != "" {
		span.SetName(w.spanName(name))
	}
	w.traceState(span.TraceState())
	if text := span.Status().Message(); text != "" {
		span.Status().SetMessage(w.foreign(text))
	}
	w.walk(span.Attributes(), redact.Record)
	for _, e := range span.Events().All() {
		if name := e.Name(); name != "" && name != exceptionEvent && !event.Name(name).Known() {
			e.SetName(w.foreign(name))
		}
		w.walk(e.Attributes(), redact.Record)
	}
	for _, l := range span.Links().All() {
		w.traceState(l.TraceState())
		w.walk(l.Attributes(), redact.Record)
	}
}

// exceptionEvent is the one name that the semantic conventions give to events of spans.
const exceptionEvent = "exception"

// spanName treats the name of a span. Code names one by a route ("GET /rooms/:id"), a function or a remote procedure
// ("chat.Rooms/Join"): such a name is treated as a path is. Other text is unknown.
func (w *walker) spanName(name string) string {
	if event.Name(name).Known() {
		return name
	}
	method, path, ok := strings.Cut(name, " ")
	if !ok {
		method, path = "", name
	}
	if ok && !httpMethods[method] || len(name) > maxName || !codeName(path) {
		return w.foreign(name)
	}
	out, _ := w.scanner.String(w.engine.Path(), path)
	if out == path {
		return name
	}
	if method != "" && out != "" {
		out = method + " " + out
	}
	if len(out) > maxName {
		return w.foreign(out) // or it would be once it comes to a gateway
	}
	return out
}

// maxName is the length of a name in a span or a metric that code may have given. OpenTelemetry allows an instrument's
// name 255 characters.
const maxName = 255

// httpMethods are those of RFC 9110 and what the semantic conventions put for others.
var httpMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "CONNECT": true, "OPTIONS": true,
	"TRACE": true, "PATCH": true, "HTTP": true, "WS": true,
}

// codeName reports whether name has only characters that routes, functions and remote procedures are named with, and masks.
func codeName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("_-./:{}[]*$<>", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// traceState treats the tracestate header (W3C Trace Context §3.3), which every system on the way may write to.
func (w *walker) traceState(state pcommon.TraceState) {
	if raw := state.AsRaw(); raw != "" && !samplingState(raw) {
		state.FromRaw(w.foreign(raw))
	}
}

// samplingState reports whether raw is nothing but OpenTelemetry's own entry: the threshold and the randomness of a
// sampler, at most 14 hexadecimal digits each.
func samplingState(raw string) bool {
	fields, ok := strings.CutPrefix(raw, "ot=")
	for more := true; ok && more; {
		var field string
		field, fields, more = strings.Cut(fields, ";")
		name, digits, _ := strings.Cut(field, ":")
		ok = (name == "th" || name == "rv") && len(digits) <= 14 && strings.Trim(digits, "0123456789abcdef") == ""
	}
	return ok
}

// asTime is the first of the timestamps that is set.
func asTime(stamps ...pcommon.Timestamp) time.Time {
	for _, t := range stamps {
		if t != 0 {
			return t.AsTime()
		}
	}
	return time.Time{}
}
