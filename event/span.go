package event

import "time"

// Span is one operation of a trace, as OpenTelemetry has it: a handshake, the authentication in it, the handling of a
// message. Events carry the ids of the span that they happened in, so that each leads to the other.
type Span struct {
	TraceID [16]byte
	SpanID  [8]byte
	// ParentID is all zero for the first span of its trace.
	ParentID [8]byte
	// TraceState is the header of W3C Trace Context §3.3, of other instrumentation; the endpoint's spans have none.
	TraceState string
	// Name is of low cardinality, such as "GET /ws".
	Name       string
	Kind       SpanKind
	Start, End time.Time
	Status     SpanStatus
	// StatusMessage is free text of other instrumentation.
	StatusMessage string
	// Scope names the instrumentation.
	Scope string
	// Resource describes who reports; many spans share one. Nil means unknown.
	Resource *Resource
	// Attributes are those of the event model and of the semantic conventions, by name.
	Attributes []Named
	Events     []SpanEvent
	Links      []SpanLink
}

// Attributes of spans, from the semantic conventions for HTTP, that events do not have.
const (
	HTTPRoute              = "http.route"
	NetworkProtocolVersion = "network.protocol.version"
)

// SpanEvent is something that happened in a span.
type SpanEvent struct {
	Time       time.Time
	Name       string
	Attributes []Named
}

// SpanLink names a span of another trace, or of the same, that belongs to a span and is not its parent.
type SpanLink struct {
	TraceID    [16]byte
	SpanID     [8]byte
	Attributes []Named
}

// SpanKind is OTLP's number of a span's kind.
type SpanKind uint8

// The kinds.
const (
	SpanUnspecified SpanKind = iota
	SpanInternal
	SpanServer
	SpanClient
	SpanProducer
	SpanConsumer
)

// String is the kind in lower case; a number that OTLP does not have is "unspecified".
func (k SpanKind) String() string {
	switch k {
	case SpanInternal:
		return "internal"
	case SpanServer:
		return "server"
	case SpanClient:
		return "client"
	case SpanProducer:
		return "producer"
	case SpanConsumer:
		return "consumer"
	}
	return "unspecified"
}

// SpanStatus is OTLP's number of a span's status.
type SpanStatus uint8

// The statuses.
const (
	SpanUnset SpanStatus = iota
	SpanOK
	SpanError
)

// String is the status in lower case; a number that OTLP does not have is "unset".
func (s SpanStatus) String() string {
	switch s {
	case SpanOK:
		return "ok"
	case SpanError:
		return "error"
	}
	return "unset"
}

// Get returns the attribute of that name, or the zero Value.
func (s *Span) Get(name string) Value {
	for i := range s.Attributes {
		if s.Attributes[i].Name == name {
			return s.Attributes[i].Value
		}
	}
	return Value{}
}
