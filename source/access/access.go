// Package access turns what an access log says about one request into events: the parsers of proxies fill a [Handshake]
// each in its own way, and [Emitter] makes of all of them the same events in the same manner.
//
// It reads no lines. The invariant to keep: what a Handshake does not say is absent from the events, never zero and
// never guessed.
package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

// Handshake is what a line says about one handshake and, where that succeeded and the line was written at the end, about
// the connection. The zero value says nothing; [Handshake.Reset] says what it must say at least.
type Handshake struct {
	// Written is when the source wrote the line, Opened when the handshake request began, Closed when the connection
	// ended: zero for a source that writes at open.
	Written, Opened, Closed time.Time
	// Upgraded is true for a handshake that succeeded; OpenKnown, if another line has told of that before.
	Upgraded, OpenKnown bool
	// Status is the response's, or 0.
	Status int
	// Inferred is true where that the request was for a WebSocket follows from other facts.
	Inferred bool
	// ConnectionID is the keyed id; see [Emitter.ID].
	ConnectionID string

	// Handshake is from request to response, Connection from open to close, or fields.Absent.
	Handshake, Connection time.Duration
	// Received and Sent are bytes of frames from and to the client, or -1.
	Received, Sent int64

	// Server is the host that the client asked for and Port its port, or -1.
	Server string
	Port   int64
	// Client is the client's address, ClientPort its port, or -1.
	Client     string
	ClientPort int64
	// Method, Path, Query, Scheme ("ws" or "wss"), HTTPVersion and TLSVersion are as the event model has them.
	Method, Path, Query, Scheme, HTTPVersion, TLSVersion string
	UserAgent                                            string
	// Offered are the subprotocols that the client offered, Subprotocol is the one chosen.
	Offered     []string
	Subprotocol string
	Extensions  []string
	// Key is the Sec-WebSocket-Key.
	Key     string
	Tenant  string
	TraceID [16]byte
	SpanID  [8]byte

	// ErrorType says why the handshake was rejected; "" lets the status say it.
	ErrorType string
	// Limited is true where the source says itself that it was a limit that refused, by the policy Policy if known.
	Limited bool
	Policy  string
	// PolicyID is the rule that refused, or "".
	PolicyID string

	// AuthSaid is true where the source itself says how authentication went, so that nothing is concluded from the status.
	AuthSaid bool

	// CloseError is why the connection ended, or ""; Initiator is who ended it, "" is unknown.
	CloseError, Initiator string
	// CloseCode is the status of the Close frame, or -1.
	CloseCode int64
}

// Reset empties h.
func (h *Handshake) Reset() {
	*h = Handshake{
		Handshake: fields.Absent, Connection: fields.Absent, Received: -1, Sent: -1, Port: -1, ClientPort: -1, CloseCode: -1,
	}
}

// Emitter makes events. It is not safe for concurrent use. Make one with [NewEmitter].
type Emitter struct {
	settings   source.Settings
	sourceType string
	// visibility is when the source writes a successful handshake.
	visibility string

	mac, keyMAC hash.Hash
	// common has what all events of a line have; event is the one that is emitted.
	common, event event.Event
	sum           [sha256.Size]byte
	hex           [2 * idBytes]byte
}

// idBytes is how much of an HMAC-SHA256 an id keeps: 128 bits never collide by chance and are not worth guessing.
const idBytes = 16

// NewEmitter returns an emitter for a source of that type and visibility (event.VisibilityAtOpen or AtClose).
func NewEmitter(s source.Settings, sourceType, visibility string) *Emitter {
	if s.Vantage == "" {
		s.Vantage = event.VantageEdge
	}
	return &Emitter{
		settings: s, sourceType: sourceType, visibility: visibility,
		mac: hmac.New(sha256.New, s.ConnectionKey), keyMAC: hmac.New(sha256.New, s.HandshakeKey),
	}
}

// Begin begins a connection's id: parts follow, then [Emitter.ID].
func (m *Emitter) Begin() { m.mac.Reset() }

// Part adds what tells connections apart to the id. Each part begins with its name, so that no two ways to build an id
// give the same. An empty one adds nothing.
func (m *Emitter) Part(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	m.mac.Write(append(m.sum[:0], name...))
	m.mac.Write(zero)
	m.mac.Write(value)
	m.mac.Write(zero)
}

// PartTime adds a time to the id.
func (m *Emitter) PartTime(t time.Time) {
	var b [8]byte
	ns := t.UnixNano()
	for i := range b {
		b[i] = byte(ns >> (8 * i))
	}
	m.mac.Write(append(m.sum[:0], b[:]...))
}

// ID returns the keyed hash of the parts since [Emitter.Begin].
func (m *Emitter) ID() string { return string(m.digest(m.mac)) }

var zero = []byte{0}

// digest returns the hex form of the first bytes of h's sum; it belongs to m.
func (m *Emitter) digest(h hash.Hash) []byte {
	hex.Encode(m.hex[:], h.Sum(m.sum[:0])[:idBytes])
	return m.hex[:]
}

// Emit emits the events that h proves, in order of time.
func (m *Emitter) Emit(h *Handshake, emit func(*event.Event)) {
	m.prepare(h)
	if h.Upgraded {
		m.connection(h, emit)
		return
	}
	m.rejection(h, emit)
}

// Event begins an event that the log tells in a line of its own, with what h says about the connection. It belongs to m
// and is valid until the next.
func (m *Emitter) Event(h *Handshake, name event.Name, at time.Time) *event.Event {
	m.prepare(h)
	return m.begin(name, at)
}

// SetCloseCode sets the code of a Close frame as software reports it, which has 1006 for a connection that ended without
// one (RFC 6455 §7.1.5): no frame carries that number, so it becomes what it means.
func SetCloseCode(e *event.Event, code int64) {
	if code != 1006 {
		e.SetInt(event.CloseCode, code)
		return
	}
	e.SetBool(event.CloseClean, false)
	if !e.Has(event.ErrorType) {
		e.SetString(event.ErrorType, event.ConnectionLost)
	}
}

// connection emits the open and, where it has ended, the close of a connection.
func (m *Emitter) connection(h *Handshake, emit func(*event.Event)) {
	if !h.OpenKnown {
		m.open(h, emit)
	}
	if h.Closed.IsZero() {
		return
	}
	e := m.begin(event.Close, h.Closed)
	initiator := h.Initiator
	if initiator == "" {
		initiator = event.InitiatorUnknown
	}
	e.SetString(event.CloseInitiator, initiator)
	source.SetString(e, event.ErrorType, h.CloseError)
	if h.CloseCode >= 0 {
		e.SetInt(event.CloseCode, h.CloseCode)
	}
	if h.Connection >= 0 {
		e.SetDouble(event.ConnectionDuration, h.Connection.Seconds())
	}
	if h.Received >= 0 {
		e.SetInt(event.IOReceived, h.Received)
	}
	if h.Sent >= 0 {
		e.SetInt(event.IOSent, h.Sent)
	}
	source.SetString(e, event.Subprotocol, h.Subprotocol)
	emit(e)
}

func (m *Emitter) open(h *Handshake, emit func(*event.Event)) {
	e := m.begin(event.Open, h.Opened)
	if h.Status != 0 {
		e.SetInt(event.HTTPResponseStatusCode, int64(h.Status))
	}
	if h.Handshake >= 0 {
		e.SetDouble(event.HandshakeDuration, h.Handshake.Seconds())
	}
	m.request(h, e)
	source.SetString(e, event.Subprotocol, h.Subprotocol)
	if len(h.Extensions) > 0 {
		e.SetStrings(event.Extensions, h.Extensions...)
	}
	emit(e)
}

// rejection emits what a handshake that did not succeed proves.
func (m *Emitter) rejection(h *Handshake, emit func(*event.Event)) {
	errorType := h.ErrorType
	switch {
	case h.Limited:
		errorType = event.TypeRateLimited
	case errorType == "":
		errorType = event.RejectionFor(h.Status)
	}
	at := h.Written
	if at.IsZero() {
		at = h.Opened
	}
	e := m.begin(event.HandshakeRejected, at)
	if h.Status != 0 {
		e.SetInt(event.HTTPResponseStatusCode, int64(h.Status))
	}
	e.SetString(event.ErrorType, errorType)
	source.SetString(e, event.PolicyID, h.PolicyID)
	if h.Handshake >= 0 {
		e.SetDouble(event.HandshakeDuration, h.Handshake.Seconds())
	}
	m.request(h, e)
	emit(e)

	switch {
	case errorType == event.TypeRateLimited:
		e = m.begin(event.RateLimited, at)
		e.SetString(event.RateLimitScope, event.ScopeHandshake)
		source.SetString(e, event.RateLimitPolicy, h.Policy)
		if h.Status != 0 {
			e.SetInt(event.HTTPResponseStatusCode, int64(h.Status))
		}
		if !h.Limited {
			e.SetString(event.SourceEvidence, event.EvidenceInferred)
		}
		emit(e)
	case errorType == event.Unauthenticated && !h.AuthSaid:
		// 403 is no failure of authentication: who it was may be known very well.
		e = m.begin(event.Auth, at)
		e.SetString(event.AuthResult, event.AuthFailure)
		e.SetString(event.ErrorType, event.Unauthenticated)
		e.SetString(event.SourceEvidence, event.EvidenceInferred)
		emit(e)
	}
}

// begin starts the next event of a line.
func (m *Emitter) begin(name event.Name, at time.Time) *event.Event {
	e := &m.event
	e.CopyFrom(&m.common)
	e.Name, e.Time = name, at
	return e
}

// prepare sets what all events of a line have in common.
func (m *Emitter) prepare(h *Handshake) {
	e := &m.common
	e.Reset()
	e.Observed, e.TraceID, e.SpanID, e.Resource = h.Written, h.TraceID, h.SpanID, m.settings.Resource

	e.SetString(event.ConnectionID, h.ConnectionID)
	e.SetString(event.Vantage, m.settings.Vantage)
	e.SetString(event.SourceVisibility, m.visibility)
	e.SetString(event.SourceType, m.sourceType)
	evidence := event.EvidenceObserved
	if h.Inferred {
		evidence = event.EvidenceInferred
	}
	e.SetString(event.SourceEvidence, evidence)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	if h.HTTPVersion != "" {
		e.SetString(event.HTTPVersion, h.HTTPVersion)
		transport := "tcp"
		if h.HTTPVersion == "3" {
			transport = "quic"
		}
		e.SetString(event.NetworkTransport, transport)
	}
	source.SetString(e, event.ServerAddress, h.Server)
	if h.Port > 0 {
		e.SetInt(event.ServerPort, h.Port)
	}
	source.SetString(e, event.ClientAddress, h.Client)
	if h.ClientPort > 0 {
		e.SetInt(event.ClientPort, h.ClientPort)
	}
	source.SetString(e, event.URLScheme, h.Scheme)
	source.SetString(e, event.URLPath, h.Path)
	source.SetString(e, event.URLQuery, h.Query)
	source.SetString(e, event.TenantID, h.Tenant)
	source.SetString(e, event.TLSProtocolVersion, h.TLSVersion)
}

// request sets what only the events of the handshake itself may carry.
func (m *Emitter) request(h *Handshake, e *event.Event) {
	source.SetString(e, event.HTTPRequestMethod, h.Method)
	source.SetString(e, event.UserAgentOriginal, h.UserAgent)
	if len(h.Offered) > 0 {
		e.SetStrings(event.ClientSubprotocols, h.Offered...)
	}
	if h.Key != "" {
		e.SetString(event.HandshakeKeyHash, m.KeyHash(h.Key))
	}
}

// KeyHash returns websocket.handshake.key_hash for a Sec-WebSocket-Key.
func (m *Emitter) KeyHash(key string) string {
	m.keyMAC.Reset()
	m.keyMAC.Write(append(m.sum[:0], key...))
	return string(m.digest(m.keyMAC))
}

// List splits a header's comma-separated list (RFC 9110 §5.6.1).
func List(header string) []string {
	if header == "" {
		return nil
	}
	list := make([]string, 0, 1+strings.Count(header, ","))
	for item := range strings.SplitSeq(header, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
