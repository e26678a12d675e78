package event

// Name is an event's name, the EventName of its OTLP LogRecord.
type Name string

// The events. websocket.open, message, close and error are named as opentelemetry-android does.
const (
	HandshakeStart    Name = "websocket.handshake.start"
	Open              Name = "websocket.open"
	HandshakeRejected Name = "websocket.handshake.rejected"
	Auth              Name = "websocket.auth"
	AuthRefreshed     Name = "websocket.auth.refreshed"
	AuthRevoked       Name = "websocket.auth.revoked"
	Message           Name = "websocket.message"
	MessageRejected   Name = "websocket.message.rejected"
	MessageFlagged    Name = "websocket.message.flagged"
	MessageDropped    Name = "websocket.message.dropped"
	// MessageSampled has the beginning of a payload. It is stored apart from the others, and never counted.
	MessageSampled Name = "websocket.message.sampled"
	Frame          Name = "websocket.frame"
	Ping           Name = "websocket.ping"
	Error          Name = "websocket.error"
	RateLimited    Name = "websocket.rate_limited"
	Idle           Name = "websocket.idle"
	Close          Name = "websocket.close"
	CaptureGap     Name = "websocket.capture.gap"
	PolicyChanged  Name = "websocket.policy.changed"
	Anomaly        Name = "websocket.anomaly"
	Connections    Name = "websocket.connections"
	Deploy         Name = "websocket.deploy"
	// SourceProgress says how far a source has been read; it is kept apart from the others and never counted.
	SourceProgress Name = "websocket.source.progress"
)

// Severity is an OTLP severity number (logs data model, SeverityNumber).
type Severity uint8

// The severities that events have.
const (
	SeverityTrace Severity = 1
	SeverityDebug Severity = 5
	SeverityInfo  Severity = 9
	SeverityWarn  Severity = 13
	SeverityError Severity = 17
)

// String is the short text of the OTLP data model.
func (s Severity) String() string {
	switch s {
	case SeverityTrace:
		return "TRACE"
	case SeverityDebug:
		return "DEBUG"
	case SeverityInfo:
		return "INFO"
	case SeverityWarn:
		return "WARN"
	case SeverityError:
		return "ERROR"
	}
	return ""
}

// Schema is one row of the table of events.
type Schema struct {
	// Name is the event's name.
	Name Name
	// Severity is that of its log record.
	Severity Severity
	// SeverityOnFailure replaces Severity where the event's outcome is failure; 0 means no change.
	SeverityOnFailure Severity
	// Needs lists the attributes without which the event means nothing; May lists those that belong to it besides
	// the common ones.
	Needs, May []Key
	// ErrorTypes lists what error.type may be on this event; nil where it has none.
	ErrorTypes []string
	// Brief is the meaning in a sentence.
	Brief string

	// needs and may are Needs and May with the common attributes, as sets.
	needs, may keySet
}

// keySet is a set of keys.
type keySet [(keyCount + 63) / 64]uint64

func (s *keySet) add(k Key)      { s[k/64] |= 1 << (k % 64) }
func (s *keySet) remove(k Key)   { s[k/64] &^= 1 << (k % 64) }
func (s *keySet) has(k Key) bool { return int(k/64) < len(s) && s[k/64]&(1<<(k%64)) != 0 }

// Requires returns every attribute without which an event of this name is refused, the common ones included.
func (s *Schema) Requires() []Key { return s.needs.keys() }

// Allows reports whether k may stand on an event of this name.
func (s *Schema) Allows(k Key) bool { return s.may.has(k) }

func (s *keySet) keys() []Key {
	var keys []Key
	for k := invalidKey + 1; k < keyCount; k++ {
		if s.has(k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// common is on every event: the decoder requires the first group and allows the second.
var commonNeeds = []Key{ConnectionID, Vantage, SourceVisibility, NetworkProtocolName, SourceType, SourceEvidence}

var commonMay = []Key{
	HandshakeKeyHash, NetworkTransport, HTTPVersion, ServerAddress, ServerPort, ClientAddress, ClientHash, ClientPort,
	URLScheme, URLTemplate, URLPath, URLQuery, TenantID, TenantTier, SessionID, UserHash, UserID, UserEmail,
	TLSProtocolVersion, LogRecordOriginal, RedactionRemarks,
}

// withoutConnection lists the events that are about an instance or a service, so that they need no connection id.
var withoutConnection = map[Name]bool{
	PolicyChanged: true, Anomaly: true, Connections: true, Deploy: true, SourceProgress: true,
	RateLimited: true, CaptureGap: true,
}

var schemas = []Schema{
	{Name: HandshakeStart, Severity: SeverityInfo, Needs: []Key{HTTPRequestMethod}, May: []Key{ClientSubprotocols, UserAgentOriginal}, Brief: "A handshake request arrived. Only from sources that report attempts separately; without an outcome after 30 s it counts as rejected with client_aborted."},
	{Name: Open, Severity: SeverityInfo, Needs: []Key{HTTPResponseStatusCode}, May: []Key{Subprotocol, Extensions, ClientSubprotocols, HandshakeDuration, HTTPRequestMethod, UserAgentOriginal}, Brief: "The handshake succeeded (RFC 6455 §4.2.2)."},
	{Name: HandshakeRejected, Severity: SeverityWarn, Needs: []Key{ErrorType}, May: []Key{HTTPResponseStatusCode, HandshakeDuration, HTTPRequestMethod, ClientSubprotocols, UserAgentOriginal, PolicyID}, ErrorTypes: []string{BadHandshake, Unauthenticated, Forbidden, TypeRateLimited, NotUpgraded, ClientAborted, UpstreamUnavailable, UpstreamTimeout, AcceptMismatch, TLSFailed, OtherError}, Brief: "The handshake did not lead to a WebSocket connection."},
	{Name: Auth, Severity: SeverityInfo, SeverityOnFailure: SeverityWarn, Needs: []Key{AuthResult}, May: []Key{AuthDuration, AuthMethod, AuthIDPDuration, ErrorType}, ErrorTypes: []string{Unauthenticated, TokenExpired, TokenInvalid, Forbidden, IDPTimeout, IDPUnavailable, AuthTimeout, OtherError}, Brief: "The client was authenticated, or was not."},
	{Name: AuthRefreshed, Severity: SeverityInfo, SeverityOnFailure: SeverityWarn, May: []Key{AuthMethod, AuthDuration, AuthIDPDuration, ErrorType}, ErrorTypes: []string{Unauthenticated, TokenExpired, TokenInvalid, IDPTimeout, IDPUnavailable, OtherError}, Brief: "A new credential was presented on a live connection."},
	{Name: AuthRevoked, Severity: SeverityWarn, May: []Key{AuthMethod, AuthDuration, ErrorType}, ErrorTypes: []string{TokenExpired, TokenInvalid, OtherError}, Brief: "A live connection lost its authorization."},
	{Name: Message, Severity: SeverityDebug, Needs: []Key{Direction, MessageType}, May: []Key{MessageSize, MessageWireSize, MessageFrames, MessageCompressed, MessageCount, MessageSample, IntervalDuration, SchemaID}, Brief: "A complete message, or several since the last such event; including those later rejected."},
	{Name: MessageRejected, Severity: SeverityWarn, Needs: []Key{ErrorType, Direction}, May: []Key{MessageType, MessageSize, MessageCount, MessageSample, SchemaID}, ErrorTypes: []string{SchemaInvalid, UnknownType, ACLDenied, QuotaExceeded, UnsupportedVersion, SignatureInvalid, OtherError}, Brief: "A message was refused by its content."},
	{Name: MessageFlagged, Severity: SeverityInfo, Needs: []Key{ErrorType, Direction}, May: []Key{MessageType, MessageSize, MessageCount, SchemaID}, ErrorTypes: []string{SchemaInvalid, UnknownType, ACLDenied, QuotaExceeded, UnsupportedVersion, OtherError}, Brief: "A message would have been refused by its content if the policy were enforced; it was accepted."},
	{Name: MessageDropped, Severity: SeverityWarn, Needs: []Key{ErrorType, Direction}, May: []Key{MessageType, MessageSize, MessageCount}, ErrorTypes: []string{SlowConsumer, QueueFull, UpstreamLost, OtherError}, Brief: "A message was accepted and not delivered."},
	{Name: MessageSampled, Severity: SeverityDebug, Needs: []Key{ErrorType, Direction}, May: []Key{MessageSample, MessageType, MessageSize, SchemaID}, ErrorTypes: []string{SchemaInvalid, UnknownType, UnsupportedVersion, InvalidUTF8, OtherError}, Brief: "The beginning of a message that could not be parsed, where an endpoint is told to keep some. Off by default; stored in a table of its own, redacted, for a day."},
	{Name: Frame, Severity: SeverityTrace, Needs: []Key{Direction, FrameOpcode}, May: []Key{FrameSize, FrameFIN, FrameMasked}, Brief: "One frame (RFC 6455 §5.2). Off by default."},
	{Name: Ping, Severity: SeverityDebug, Needs: []Key{Direction, FrameOpcode}, May: []Key{PingRTT}, Brief: "A ping or pong."},
	{Name: Error, Severity: SeverityError, Needs: []Key{ErrorType}, May: []Key{Direction, FrameOpcode, CloseCode}, ErrorTypes: []string{ReservedOpcode, UnmaskedClientFrame, ReservedBits, FragmentedControl, ControlTooBig, InvalidUTF8, MessageTooBig, InvalidCloseCode, InflateFailed, OtherError}, Brief: "A peer broke the protocol."},
	{Name: RateLimited, Severity: SeverityWarn, Needs: []Key{RateLimitScope}, May: []Key{RateLimitPolicy, HTTPResponseStatusCode, Direction}, Brief: "A limit refused a handshake or a message."},
	{Name: Idle, Severity: SeverityInfo, Needs: []Key{IdleDuration}, Brief: "A connection had no frame for the idle threshold."},
	{Name: Close, Severity: SeverityInfo, SeverityOnFailure: SeverityWarn, Needs: []Key{CloseInitiator}, May: []Key{CloseCode, CloseReason, CloseClean, ErrorType, ConnectionDuration, IOReceived, IOSent, IOMessagesReceived, IOMessagesSent, Subprotocol, HTTPResponseStatusCode}, ErrorTypes: []string{IdleTimeout, ConnectionReset, ConnectionLost, UpstreamLost, CaptureEnded, OtherError}, Brief: "The connection ended."},
	{Name: CaptureGap, Severity: SeverityWarn, Needs: []Key{CaptureMissingBytes}, May: []Key{Direction}, Brief: "The capture lost packets, so what follows may look broken and is not counted as a protocol error."},
	{Name: PolicyChanged, Severity: SeverityInfo, Needs: []Key{PolicyKind, PolicyState}, May: []Key{PolicyReason, PolicyActor, PolicyCount}, Brief: "An enforcement policy changed its state."},
	{Name: Anomaly, Severity: SeverityWarn, Needs: []Key{AnomalyKind}, May: []Key{AnomalyScore, AnomalyBaseline}, Brief: "Behaviour left its robust baseline."},
	{Name: Connections, Severity: SeverityInfo, Needs: []Key{ConnectionsActive}, May: []Key{ConnectionsIdle, ConnectionsCapacity, ProcessMemory, ProcessFDs, ProcessFDLimit}, Brief: "Gauges of one instance, every 10 s, from sources that know them."},
	{Name: Deploy, Severity: SeverityInfo, Needs: []Key{DeployVersion}, Brief: "A version was deployed; annotates dashboards."},
	{Name: SourceProgress, Severity: SeverityInfo, Needs: []Key{ProgressSource, ProgressReadThrough, ProgressBacklog}, Brief: "How far a source has been read and stored, every 5 s, idle or not. Kept apart, never counted."},
}

var schemasByName = func() map[Name]*Schema {
	m := make(map[Name]*Schema, len(schemas))
	for i := range schemas {
		s := &schemas[i]
		for _, k := range s.Needs {
			s.needs.add(k)
		}
		for _, k := range commonNeeds {
			if k == NetworkProtocolName || s.Name != SourceProgress && (k != ConnectionID || !withoutConnection[s.Name]) {
				s.needs.add(k)
			}
		}
		s.may = s.needs
		for _, keys := range [][]Key{s.May, commonNeeds, commonMay} {
			for _, k := range keys {
				s.may.add(k)
			}
		}
		m[s.Name] = s
	}
	return m
}()

// Schemas returns the table of events in the order of docs/events.md. It must not be changed.
func Schemas() []Schema { return schemas }

// Schema returns the row of n, or nil for a name outside the model.
func (n Name) Schema() *Schema { return schemasByName[n] }

// Known reports whether n is in the model.
func (n Name) Known() bool { return schemasByName[n] != nil }

// Severity returns the severity of e's log record by its name and outcome.
func (e *Event) Severity() Severity {
	s := e.Name.Schema()
	if s == nil {
		return SeverityInfo
	}
	if s.SeverityOnFailure != 0 && e.outcome() == OutcomeFailure {
		return s.SeverityOnFailure
	}
	return s.Severity
}
