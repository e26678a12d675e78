package eventlog

import (
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sockeye-project/sockeye/event"
)

// EncodeSpans puts spans into a new ptrace.Traces, grouped by Resource pointer in order of first appearance, with chunk on
// every scope.
func EncodeSpans(spans []*event.Span, chunk Chunk) ptrace.Traces {
	td := ptrace.NewTraces()
	groups := map[*event.Resource]ptrace.SpanSlice{}
	for _, s := range spans {
		group, ok := groups[s.Resource]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			encodeNamed(rs.Resource().Attributes(), s.Resource.Attributes())
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(ScopeName)
			chunk.put(ss.Scope(), len(spans))
			group = ss.Spans()
			groups[s.Resource] = group
		}
		encodeSpan(group.AppendEmpty(), s)
	}
	return td
}

func encodeSpan(dst ptrace.Span, s *event.Span) {
	dst.SetTraceID(s.TraceID)
	dst.SetSpanID(s.SpanID)
	dst.SetParentSpanID(s.ParentID)
	dst.TraceState().FromRaw(s.TraceState)
	dst.SetName(s.Name)
	dst.SetKind(ptrace.SpanKind(s.Kind))
	dst.SetStartTimestamp(timestamp(s.Start))
	dst.SetEndTimestamp(timestamp(s.End))
	dst.Status().SetCode(ptrace.StatusCode(s.Status))
	dst.Status().SetMessage(s.StatusMessage)
	encodeNamed(dst.Attributes(), s.Attributes)
	for _, e := range s.Events {
		to := dst.Events().AppendEmpty()
		to.SetTimestamp(timestamp(e.Time))
		to.SetName(e.Name)
		encodeNamed(to.Attributes(), e.Attributes)
	}
	for _, l := range s.Links {
		to := dst.Links().AppendEmpty()
		to.SetTraceID(l.TraceID)
		to.SetSpanID(l.SpanID)
		encodeNamed(to.Attributes(), l.Attributes)
	}
}

// DecodeSpan fills s, which it resets first, from a span of that scope. A span without ids or without a time is an error; s is
// then empty. One that ends before it begins ends when it begins. The strings of s are span's own.
func DecodeSpan(span ptrace.Span, scope string, resource *event.Resource, s *event.Span) error {
	attrs, events, links := s.Attributes[:0], s.Events[:0], s.Links[:0]
	*s = event.Span{Attributes: attrs, Events: events, Links: links}
	start, end := span.StartTimestamp(), max(span.EndTimestamp(), span.StartTimestamp())
	switch {
	case span.TraceID().IsEmpty() || span.SpanID().IsEmpty():
		return errors.New("span: has no trace id or no span id")
	case start == 0:
		return errors.New("span: has no start")
	case end > maxTimestamp:
		return errors.New("span: ends after the year 2261")
	}
	s.TraceID, s.SpanID, s.ParentID = span.TraceID(), span.SpanID(), span.ParentSpanID()
	s.TraceState = span.TraceState().AsRaw()
	s.Name = span.Name()
	s.Kind = event.SpanKind(max(span.Kind(), 0)) //nolint:gosec // what OTLP does not have is unspecified
	s.Start, s.End = start.AsTime(), end.AsTime()
	s.Status = event.SpanStatus(max(span.Status().Code(), 0)) //nolint:gosec // as above
	s.StatusMessage = span.Status().Message()
	s.Scope = scope
	s.Resource = resource
	s.Attributes = decodeNamed(s.Attributes, span.Attributes())
	for _, e := range span.Events().All() {
		s.Events = append(s.Events, event.SpanEvent{
			Time: min(e.Timestamp(), maxTimestamp).AsTime(), Name: e.Name(), Attributes: decodeNamed(nil, e.Attributes()),
		})
	}
	for _, l := range span.Links().All() {
		s.Links = append(s.Links, event.SpanLink{
			TraceID: l.TraceID(), SpanID: l.SpanID(), Attributes: decodeNamed(nil, l.Attributes()),
		})
	}
	return nil
}

func decodeNamed(dst []event.Named, m pcommon.Map) []event.Named {
	for name, raw := range m.All() {
		if v := decodeAny(raw); v.Kind() != event.KindAbsent {
			dst = append(dst, event.Named{Name: name, Value: v})
		}
	}
	return dst
}
