package event

import "time"

// Outcome is how an event counts: as a success, a failure, or not at all.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure"
	// OutcomeUnknown is on events that say nothing of success, and on those whose source could not tell; the latter
	// lower an indicator's coverage.
	OutcomeUnknown Outcome = "unknown"
)

// DurationBounds are the upper bounds, inclusive, of the duration histogram that rollups and metrics keep.
var DurationBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	150 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond, 300 * time.Millisecond,
	500 * time.Millisecond, 750 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second,
}

// Facts are what counting needs of an event. They follow from its attributes alone, so every consumer counts alike.
type Facts struct {
	// CountedAt is the time whose bucket the event belongs to: Observed for a source that logs at close, else Time.
	// A source that logs at close writes a success when the connection ends and a rejection at once; bucketing both
	// by Time would make short windows see rejections only.
	CountedAt time.Time
	Outcome   Outcome
	// Fault is FaultNone unless Outcome is a failure.
	Fault Fault
	// Direction is network.io.direction, or "".
	Direction string
	// Policy is the limit or policy that acted, or "".
	Policy string
	// Count is how many events this one stands for, at least 1.
	Count uint64
	// Bytes is what the event reports of its messages, or a close of its connection in both directions.
	Bytes uint64
	// Judged is Count where the outcome is known, else 0.
	Judged uint64
	// Duration is what the event's latency histogram observes, in seconds; valid if Timed.
	Duration float64
	Timed    bool
}

// What the events of a tenant count as that is not admitted to count by name.
const (
	// TenantOther is for those beyond the limit of a store or of metrics.
	TenantOther = "other"
	// TenantUnverified is for those that only clients claim which were not let in.
	TenantUnverified = "unverified"
)

// LetIn is false where the client may have been anybody: whoever is turned away can name any tenant, so such an event
// admits none.
func (e *Event) LetIn() bool {
	switch e.Name {
	case HandshakeStart, HandshakeRejected, RateLimited:
		return false
	case Auth:
		return e.String(AuthResult) == AuthSuccess
	case AuthRefreshed:
		return !e.Has(ErrorType)
	}
	return true
}

// Facts derives them.
func (e *Event) Facts() Facts {
	f := Facts{CountedAt: e.Time, Outcome: e.outcome(), Direction: e.String(Direction), Count: 1}
	if !e.Observed.IsZero() && e.String(SourceVisibility) == VisibilityAtClose {
		f.CountedAt = e.Observed
	}
	if f.Outcome == OutcomeFailure {
		errorType := e.String(ErrorType)
		if errorType == "" {
			errorType = OtherError
			if e.Name == RateLimited {
				errorType = TypeRateLimited
			}
		}
		f.Fault = FaultOf(errorType, int(e.Get(HTTPResponseStatusCode).Int()))
	}
	// Each measure counts only on the events that it belongs to: a record that arrived by OTLP may carry any.
	switch e.Name {
	case Message, MessageRejected, MessageFlagged, MessageDropped:
		if n := e.Get(MessageCount).Int(); n > 1 {
			f.Count = uint64(n)
		}
		f.Bytes = size(e.Get(MessageSize))
	case Close:
		f.Bytes = size(e.Get(IOReceived)) + size(e.Get(IOSent))
	case RateLimited:
		f.Policy = e.String(RateLimitPolicy)
	case PolicyChanged:
		f.Policy = e.String(PolicyKind)
	}
	if f.Outcome != OutcomeUnknown {
		f.Judged = f.Count
	}
	var timer Key
	switch e.Name {
	case Open, HandshakeRejected:
		timer = HandshakeDuration
	case Auth, AuthRefreshed:
		timer = AuthDuration
	case Ping:
		timer = PingRTT
	default:
		return f
	}
	if v := e.Get(timer); v.kind == KindDouble && v.Double() >= 0 {
		f.Duration, f.Timed = v.Double(), true
	}
	return f
}

func size(v Value) uint64 { return uint64(max(v.Int(), 0)) }

func (e *Event) outcome() Outcome {
	switch e.Name {
	case Open, Message:
		return OutcomeSuccess
	case HandshakeRejected, MessageRejected, MessageDropped, Error, RateLimited, AuthRevoked:
		return OutcomeFailure
	case Auth:
		switch e.String(AuthResult) {
		case AuthSuccess:
			return OutcomeSuccess
		case AuthFailure:
			return OutcomeFailure
		}
	case AuthRefreshed:
		if e.Has(ErrorType) {
			return OutcomeFailure
		}
		return OutcomeSuccess
	case Close:
		// Unexpected disconnect: not clean, or reset or lost.
		switch e.String(ErrorType) {
		case ConnectionReset, ConnectionLost, UpstreamLost:
			return OutcomeFailure
		}
		if clean := e.Get(CloseClean); clean.kind == KindBool {
			if clean.Bool() {
				return OutcomeSuccess
			}
			return OutcomeFailure
		}
	}
	return OutcomeUnknown
}
