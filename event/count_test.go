package event

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	written := at.Add(4 * time.Hour)
	type attrs map[Key]Value
	for sentence, c := range map[string]struct {
		name  Name
		attrs attrs
		want  Facts
	}{
		"an open is a success, timed by its handshake": {Open,
			attrs{HTTPResponseStatusCode: Int(101), HandshakeDuration: Double(0.02)},
			Facts{CountedAt: at, Outcome: OutcomeSuccess, Count: 1, Judged: 1, Duration: 0.02, Timed: true}},
		"a source that logs at close is counted by when it wrote": {Open,
			attrs{SourceVisibility: String(VisibilityAtClose)},
			Facts{CountedAt: written, Outcome: OutcomeSuccess, Count: 1, Judged: 1}},
		"a source that logs at open is counted by when it happened": {HandshakeRejected,
			attrs{SourceVisibility: String(VisibilityAtOpen), ErrorType: String(Unauthenticated)},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultClient, Count: 1, Judged: 1}},
		"a rejection without a type goes by its status": {HandshakeRejected,
			attrs{HTTPResponseStatusCode: Int(500)},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultServer, Count: 1, Judged: 1}},
		"a rejection that says nothing is nobody's fault yet": {HandshakeRejected, nil,
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultUnknown, Count: 1, Judged: 1}},
		"an authentication that failed at the identity provider": {Auth,
			attrs{AuthResult: String(AuthFailure), ErrorType: String(IDPTimeout), AuthDuration: Double(5)},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultIDP, Count: 1, Judged: 1, Duration: 5, Timed: true}},
		"an authentication without a result is not judged": {Auth, nil,
			Facts{CountedAt: at, Outcome: OutcomeUnknown, Count: 1}},
		"a refresh is a success unless it says otherwise": {AuthRefreshed, nil,
			Facts{CountedAt: at, Outcome: OutcomeSuccess, Count: 1, Judged: 1}},
		"a message stands for many": {Message,
			attrs{Direction: String(DirectionReceive), MessageCount: Int(12), MessageSize: Int(480)},
			Facts{CountedAt: at, Outcome: OutcomeSuccess, Direction: DirectionReceive, Count: 12, Judged: 12, Bytes: 480}},
		"a count of messages multiplies nothing but messages": {Open,
			attrs{MessageCount: Int(1000), MessageSize: Int(480)},
			Facts{CountedAt: at, Outcome: OutcomeSuccess, Count: 1, Judged: 1}},
		"a limit is policy": {RateLimited,
			attrs{RateLimitScope: String(ScopeHandshake), RateLimitPolicy: String("per_ip")},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultPolicy, Policy: "per_ip", Count: 1, Judged: 1}},
		"a change of policy is not judged": {PolicyChanged,
			attrs{PolicyKind: String("drain")},
			Facts{CountedAt: at, Outcome: OutcomeUnknown, Policy: "drain", Count: 1}},
		"a close that nobody saw end is not judged": {Close,
			attrs{IOReceived: Int(10), IOSent: Int(20)},
			Facts{CountedAt: at, Outcome: OutcomeUnknown, Count: 1, Bytes: 30}},
		"a clean close is a success": {Close, attrs{CloseClean: Bool(true)},
			Facts{CountedAt: at, Outcome: OutcomeSuccess, Count: 1, Judged: 1}},
		"an unclean close is a failure of unknown fault": {Close, attrs{CloseClean: Bool(false)},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultUnknown, Count: 1, Judged: 1}},
		"a reset is the network's": {Close, attrs{ErrorType: String(ConnectionReset)},
			Facts{CountedAt: at, Outcome: OutcomeFailure, Fault: FaultNetwork, Count: 1, Judged: 1}},
		"an idle timeout is no unexpected disconnect": {Close, attrs{ErrorType: String(IdleTimeout)},
			Facts{CountedAt: at, Outcome: OutcomeUnknown, Count: 1}},
		"a ping is timed": {Ping, attrs{PingRTT: Double(0.25)},
			Facts{CountedAt: at, Outcome: OutcomeUnknown, Count: 1, Duration: 0.25, Timed: true}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := Event{Name: c.name, Time: at, Observed: written}
			for k, v := range c.attrs {
				e.Set(k, v)
			}
			require.Equal(t, c.want, e.Facts())
		})
	}
}
