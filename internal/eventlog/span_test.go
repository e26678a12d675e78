package eventlog_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

func TestASpanIsTheSameAfterItsWay(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_795_330_811, 123_456_789).UTC()
	chat := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	full := &event.Span{
		TraceID: [16]byte{1}, SpanID: [8]byte{2}, ParentID: [8]byte{3}, TraceState: "ot=th:8", Name: "GET /ws", Kind: event.SpanServer,
		Start: start, End: start.Add(time.Millisecond), Status: event.SpanError, StatusMessage: "down", Scope: eventlog.ScopeName,
		Resource: chat,
		Attributes: []event.Named{
			{Name: "string", Value: event.String("a")}, {Name: "int", Value: event.Int(1)}, {Name: "double", Value: event.Double(0.5)},
			{Name: "bool", Value: event.Bool(true)}, {Name: "list", Value: event.Strings([]string{"a", "b"})},
		},
		Events: []event.SpanEvent{{
			Time: start, Name: "exception", Attributes: []event.Named{{Name: "exception.type", Value: event.String("x")}},
		}},
		Links: []event.SpanLink{{
			TraceID: [16]byte{4}, SpanID: [8]byte{5}, Attributes: []event.Named{{Name: "a", Value: event.Int(2)}},
		}},
	}
	bare := &event.Span{TraceID: [16]byte{1}, SpanID: [8]byte{6}, Start: start, End: start, Scope: eventlog.ScopeName, Resource: chat}
	chunk := eventlog.Chunk{ID: "c", Records: 2, Repeated: true}
	td := eventlog.EncodeSpans([]*event.Span{full, bare}, chunk)
	require.Equal(t, 1, td.ResourceSpans().Len())
	ss := td.ResourceSpans().At(0).ScopeSpans().At(0)
	require.Equal(t, chunk, eventlog.ChunkOf(ss.Scope()))
	resource := eventlog.DecodeResource(td.ResourceSpans().At(0).Resource())
	require.Equal(t, chat, resource)
	var got event.Span
	for i, want := range []*event.Span{full, bare} {
		require.NoError(t, eventlog.DecodeSpan(ss.Spans().At(i), ss.Scope().Name(), resource, &got))
		if i == 1 { // what it had before is gone, but not its memory
			got.Attributes, got.Events, got.Links = nil, nil, nil
		}
		require.Equal(t, *want, got)
	}
}

func TestASpanThatCannotBeStoredIsAnError(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(ptrace.Span){
		"span: has no trace id or no span id": func(s ptrace.Span) { s.SetTraceID([16]byte{}) },
		"span: has no start":                  func(s ptrace.Span) { s.SetStartTimestamp(0) },
		"span: ends after the year 2261":      func(s ptrace.Span) { s.SetEndTimestamp(1<<64 - 1) },
		"":                                    func(s ptrace.Span) { s.SetKind(-1); s.Status().SetCode(99); s.SetEndTimestamp(1) },
	} {
		span := ptrace.NewSpan()
		span.SetTraceID([16]byte{1})
		span.SetSpanID([8]byte{1})
		span.SetStartTimestamp(100)
		change(span)
		var s event.Span
		err := eventlog.DecodeSpan(span, "", nil, &s)
		if want != "" {
			require.EqualError(t, err, want)
			require.Zero(t, s.TraceID)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, s.Start, s.End)
		require.Equal(t, "unspecified", s.Kind.String())
		require.Equal(t, "unset", s.Status.String())
	}
}
