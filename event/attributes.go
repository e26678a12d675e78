package event

import (
	"math"
)

// Key is an attribute of the event model. Its String is the dotted name; [Key.Definition] says everything else.
type Key uint8

// Level says whether an event must carry an attribute (OpenTelemetry requirement levels).
type Level string

// The levels, from must to may.
const (
	Required    Level = "required"
	Conditional Level = "conditionally required"
	Recommended Level = "recommended"
	OptIn       Level = "opt-in"
)

// Origin says where an attribute's name comes from.
type Origin string

// The origins: OpenTelemetry's semantic conventions by their stability, and Sockeye itself.
const (
	Stable           Origin = "semconv, stable"
	ReleaseCandidate Origin = "semconv, release candidate"
	Development      Origin = "semconv, development"
	Ours             Origin = "sockeye"
)

// Definition is one row of the attribute table.
type Definition struct {
	// Name is the dotted name.
	Name string
	// Kind is the only kind that a value may have.
	Kind Kind
	// Level is how much an event that may have the attribute needs it.
	Level Level
	// Origin is where the name comes from.
	Origin Origin
	// Low is true where the number of different values is bounded, so that the attribute may be a metric dimension
	// or a rollup key.
	Low bool
	// Unit is "s", "By" or "" (UCUM).
	Unit string
	// Values lists the only values allowed, where the set is closed.
	Values []string
	// Min and Max bound an int, both inclusive. A double whose Unit is "s" lies between 0 and [MaxSeconds], any other
	// is finite. A string with Low has at most [MaxLowBytes], and a required one is not empty.
	Min, Max int64
	// Example is a value as text, and Brief the meaning in a sentence.
	Example, Brief string
}

// The attributes. Order carries no meaning, but a Key is never stored: names are.
const (
	invalidKey Key = iota

	ConnectionID
	HandshakeKeyHash
	Vantage
	SourceVisibility
	SourceType
	SourceEvidence
	NetworkProtocolName
	NetworkTransport
	HTTPVersion
	ServerAddress
	ServerPort
	ClientAddress
	ClientHash
	ClientPort
	URLScheme
	URLTemplate
	URLPath
	URLQuery
	TenantID
	TenantTier
	SessionID
	UserHash
	UserID
	UserEmail
	TLSProtocolVersion
	ErrorType
	LogRecordOriginal
	RedactionRemarks

	HTTPRequestMethod
	ClientSubprotocols
	UserAgentOriginal
	HTTPResponseStatusCode
	Subprotocol
	Extensions
	HandshakeDuration

	AuthResult
	AuthDuration
	AuthMethod
	AuthIDPDuration

	Direction
	MessageType
	MessageSize
	MessageWireSize
	MessageFrames
	MessageCompressed
	MessageCount
	MessageSample
	IntervalDuration
	SchemaID

	FrameOpcode
	FrameSize
	FrameFIN
	FrameMasked
	PingRTT

	RateLimitScope
	RateLimitPolicy

	IdleDuration

	CloseCode
	CloseReason
	CloseInitiator
	CloseClean
	ConnectionDuration
	IOReceived
	IOSent
	IOMessagesReceived
	IOMessagesSent

	CaptureMissingBytes

	PolicyID
	PolicyKind
	PolicyState
	PolicyReason
	PolicyActor
	PolicyCount

	AnomalyKind
	AnomalyScore
	AnomalyBaseline

	ConnectionsActive
	ConnectionsIdle
	ConnectionsCapacity
	ProcessMemory
	ProcessFDs
	ProcessFDLimit

	DeployVersion

	ProgressSource
	ProgressReadThrough
	ProgressBacklog

	keyCount
)

// Limits of values, so that one event cannot overflow a sum or blow up a dimension.
const (
	// MaxSeconds bounds durations: some thirty years.
	MaxSeconds = 1e9
	// MaxLowBytes bounds a string that may become a dimension.
	MaxLowBytes = 512

	// maxExact is the largest integer that every JSON reader keeps exactly.
	maxExact = 1 << 53
)

// Values of the closed sets.
const (
	VantageEdge    = "edge"
	VantageGateway = "gateway"
	VantageApp     = "app"
	VantageTap     = "tap"

	VisibilityAtOpen  = "at_open"
	VisibilityAtClose = "at_close"

	EvidenceObserved = "observed"
	EvidenceInferred = "inferred"

	// ProtocolWebSocket is the one value of network.protocol.name.
	ProtocolWebSocket = "websocket"

	// Directions are seen from the server: receive is client to server.
	DirectionReceive  = "receive"
	DirectionTransmit = "transmit"

	AuthSuccess = "success"
	AuthFailure = "failure"

	MessageText   = "text"
	MessageBinary = "binary"

	ScopeHandshake = "handshake"
	ScopeMessage   = "message"

	InitiatorClient  = "client"
	InitiatorServer  = "server"
	InitiatorProxy   = "proxy"
	InitiatorUnknown = "unknown"

	PolicyRateLimit      = "rate_limit"
	PolicyIPBlock        = "ip_block"
	PolicyUserBlock      = "user_block"
	PolicyTenantBlock    = "tenant_block"
	PolicyRevocation     = "revocation"
	PolicyDisconnect     = "disconnect"
	PolicyDegradedAuth   = "degraded_auth"
	PolicyDrain          = "drain"
	PolicyCircuitBreaker = "circuit_breaker"
	PolicyContent        = "content"
)

var definitions = [keyCount]Definition{
	ConnectionID:        {Name: "websocket.connection.id", Kind: KindString, Level: Required, Origin: Ours, Example: "9f3c61d0a2b44e07", Brief: "Keyed hash (HMAC with the installation key) of the source's own id of the connection, or of the 5-tuple and open time. One connection has one id at one source."},
	HandshakeKeyHash:    {Name: "websocket.handshake.key_hash", Kind: KindString, Level: Recommended, Origin: Ours, Example: "b81d0c7725f36a90", Brief: "Keyed hash of Sec-WebSocket-Key. Joins the hops of one connection on HTTP/1.1."},
	Vantage:             {Name: "websocket.vantage", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{VantageEdge, VantageGateway, VantageApp, VantageTap}, Example: "edge", Brief: "Where the connection was watched. An SLI counts exactly one vantage."},
	SourceVisibility:    {Name: "websocket.source.visibility", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{VisibilityAtOpen, VisibilityAtClose}, Example: "at_close", Brief: "When this source writes a successful handshake: as it happens, or when the connection ends."},
	SourceType:          {Name: "websocket.source.type", Kind: KindString, Level: Required, Origin: Ours, Low: true, Example: "nginx", Brief: "What kind of source reported."},
	SourceEvidence:      {Name: "websocket.source.evidence", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{EvidenceObserved, EvidenceInferred}, Example: "observed", Brief: "Whether the source saw the fact or it follows from others that it saw."},
	NetworkProtocolName: {Name: "network.protocol.name", Kind: KindString, Level: Required, Origin: Stable, Low: true, Values: []string{ProtocolWebSocket}, Example: "websocket", Brief: "Always websocket."},
	NetworkTransport:    {Name: "network.transport", Kind: KindString, Level: Recommended, Origin: Stable, Low: true, Values: []string{"tcp", "quic"}, Example: "tcp", Brief: "The transport below."},
	HTTPVersion:         {Name: "websocket.http.version", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Values: []string{"1.0", "1.1", "2", "3"}, Example: "1.1", Brief: "HTTP version of the handshake: RFC 6455 over 1.1, RFC 8441 over 2, RFC 9220 over 3."},
	ServerAddress:       {Name: "server.address", Kind: KindString, Level: Recommended, Origin: Stable, Low: true, Example: "chat.example.com", Brief: "Host that the client asked for, without its port."},
	ServerPort:          {Name: "server.port", Kind: KindInt, Level: Recommended, Origin: Stable, Low: true, Min: 1, Max: 65535, Example: "443", Brief: "Port that the client asked for, where it named one."},
	ClientAddress:       {Name: "client.address", Kind: KindString, Level: Recommended, Origin: Stable, Example: "203.0.113.0", Brief: "Address of the client. Stored truncated (/24, /48)."},
	ClientHash:          {Name: "client.hash", Kind: KindString, Level: Recommended, Origin: Ours, Example: "p1:k1:mzxw6ytboi", Brief: "Keyed pseudonym of the client's whole address."},
	ClientPort:          {Name: "client.port", Kind: KindInt, Level: OptIn, Origin: Stable, Min: 1, Max: 65535, Example: "55752", Brief: "Port of the client."},
	URLScheme:           {Name: "url.scheme", Kind: KindString, Level: Recommended, Origin: Stable, Low: true, Values: []string{"ws", "wss", "http", "https"}, Example: "wss", Brief: "ws or wss, or http and https where the source says so."},
	URLTemplate:         {Name: "url.template", Kind: KindString, Level: Recommended, Origin: Development, Low: true, Example: "/rooms/{id}", Brief: "Path with its variable parts named."},
	URLPath:             {Name: "url.path", Kind: KindString, Level: Recommended, Origin: Stable, Example: "/rooms/42", Brief: "Path of the handshake request."},
	URLQuery:            {Name: "url.query", Kind: KindString, Level: OptIn, Origin: Stable, Example: "token=REDACTED", Brief: "Query of the handshake request, without the question mark. Stored redacted."},
	TenantID:            {Name: "websocket.tenant.id", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Example: "acme", Brief: "Tenant of a multi-tenant service. Bounded when stored: the rest is \"other\", and \"unverified\" where only clients name it that were turned away."},
	TenantTier:          {Name: "websocket.tenant.tier", Kind: KindString, Level: OptIn, Origin: Ours, Low: true, Example: "gold", Brief: "Tier that the tenant pays for."},
	SessionID:           {Name: "session.id", Kind: KindString, Level: Recommended, Origin: Development, Example: "0f3e", Brief: "Application session, pseudonymous."},
	UserHash:            {Name: "user.hash", Kind: KindString, Level: Recommended, Origin: Development, Example: "p1:k1:nbswy3dp", Brief: "Keyed pseudonym of the user."},
	UserID:              {Name: "user.id", Kind: KindString, Level: OptIn, Origin: Development, Example: "u-17", Brief: "User id in clear. Dropped unless a policy keeps it."},
	UserEmail:           {Name: "user.email", Kind: KindString, Level: OptIn, Origin: Development, Example: "ann@example.com", Brief: "E-mail of the user. Dropped unless a policy keeps it."},
	TLSProtocolVersion:  {Name: "tls.protocol.version", Kind: KindString, Level: Recommended, Origin: Development, Low: true, Values: []string{"1.0", "1.1", "1.2", "1.3"}, Example: "1.3", Brief: "TLS version of the client's connection."},
	ErrorType:           {Name: "error.type", Kind: KindString, Level: Conditional, Origin: Stable, Low: true, Values: errorTypeNames(), Example: "unauthenticated", Brief: "What went wrong, from the table of error types. Present only on a failure."},
	LogRecordOriginal:   {Name: "log.record.original", Kind: KindString, Level: OptIn, Origin: Development, Example: "-", Brief: "The line as the source wrote it. Stored redacted."},
	RedactionRemarks:    {Name: "sockeye.redaction.remarks", Kind: KindString, Level: OptIn, Origin: Ours, Example: "ip:truncate:1,query_parameter:mask:2", Brief: "What the pii processor did to the record: rule, action and how often. No value, and no key that a sender chose."},

	HTTPRequestMethod:      {Name: "http.request.method", Kind: KindString, Level: Required, Origin: Stable, Low: true, Values: []string{"GET", "CONNECT", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "_OTHER"}, Example: "GET", Brief: "GET, or CONNECT for RFC 8441 and RFC 9220."},
	ClientSubprotocols:     {Name: "websocket.client.subprotocols", Kind: KindStrings, Level: OptIn, Origin: Ours, Example: "chat.v1,chat.v0", Brief: "Subprotocols the client offered. Bearer tokens in them are redacted."},
	UserAgentOriginal:      {Name: "user_agent.original", Kind: KindString, Level: OptIn, Origin: Stable, Example: "Mozilla/5.0", Brief: "User-Agent of the handshake request."},
	HTTPResponseStatusCode: {Name: "http.response.status_code", Kind: KindInt, Level: Conditional, Origin: Stable, Low: true, Min: 100, Max: 599, Example: "101", Brief: "Status of the handshake response: 101, or 200 for HTTP/2 and HTTP/3. Absent where none was sent."},
	Subprotocol:            {Name: "websocket.subprotocol", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Example: "chat.v1", Brief: "Subprotocol the server chose."},
	Extensions:             {Name: "websocket.extensions", Kind: KindStrings, Level: Recommended, Origin: Ours, Example: "permessage-deflate", Brief: "Extensions the server accepted."},
	HandshakeDuration:      {Name: "websocket.handshake.duration", Kind: KindDouble, Level: Recommended, Origin: Ours, Unit: "s", Example: "0.012", Brief: "From the request to the response of the handshake."},

	AuthResult:      {Name: "websocket.auth.result", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{AuthSuccess, AuthFailure}, Example: "success", Brief: "Whether the client proved who it is."},
	AuthDuration:    {Name: "websocket.auth.duration", Kind: KindDouble, Level: Recommended, Origin: Ours, Unit: "s", Example: "0.031", Brief: "From receiving the credential to the decision."},
	AuthMethod:      {Name: "websocket.auth.method", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Example: "bearer", Brief: "How: bearer, cookie, subprotocol, first_message, ticket, mtls, query."},
	AuthIDPDuration: {Name: "websocket.auth.idp.duration", Kind: KindDouble, Level: OptIn, Origin: Ours, Unit: "s", Example: "0.027", Brief: "Share of the auth duration spent waiting for the identity provider."},

	Direction:         {Name: "network.io.direction", Kind: KindString, Level: Required, Origin: ReleaseCandidate, Low: true, Values: []string{DirectionReceive, DirectionTransmit}, Example: "receive", Brief: "Seen from the server: receive is client to server."},
	MessageType:       {Name: "websocket.message.type", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{MessageText, MessageBinary}, Example: "text", Brief: "Opcode of the message's first frame."},
	MessageSize:       {Name: "websocket.message.size", Kind: KindInt, Level: Recommended, Origin: Ours, Unit: "By", Max: maxExact, Example: "125", Brief: "Size of the payload after inflating; the sum where the event stands for several messages."},
	MessageWireSize:   {Name: "websocket.message.wire_size", Kind: KindInt, Level: OptIn, Origin: Ours, Unit: "By", Max: maxExact, Example: "88", Brief: "Size of the payload on the wire."},
	MessageFrames:     {Name: "websocket.message.frames", Kind: KindInt, Level: OptIn, Origin: Ours, Max: maxExact, Example: "1", Brief: "Frames the message came in."},
	MessageCompressed: {Name: "websocket.message.compressed", Kind: KindBool, Level: OptIn, Origin: Ours, Low: true, Example: "true", Brief: "Whether permessage-deflate was applied (RFC 7692 §6)."},
	MessageCount:      {Name: "websocket.message.count", Kind: KindInt, Level: OptIn, Origin: Ours, Min: 1, Max: 1e9, Example: "1", Brief: "How many messages the event stands for; 1 where absent. A consumer always multiplies by it."},
	MessageSample:     {Name: "websocket.message.sample", Kind: KindString, Level: OptIn, Origin: Ours, Example: "-", Brief: "Beginning of a payload, where a policy allows one. Stored redacted."},
	IntervalDuration:  {Name: "websocket.interval.duration", Kind: KindDouble, Level: OptIn, Origin: Ours, Unit: "s", Example: "10", Brief: "Time that an event standing for many covers."},
	SchemaID:          {Name: "websocket.schema.id", Kind: KindString, Level: OptIn, Origin: Ours, Low: true, Example: "chat.v1/post", Brief: "Message schema that was applied."},

	FrameOpcode: {Name: "websocket.frame.opcode", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{"continuation", "text", "binary", "close", "ping", "pong", "reserved"}, Example: "ping", Brief: "Opcode (RFC 6455 §5.2)."},
	FrameSize:   {Name: "websocket.frame.size", Kind: KindInt, Level: Recommended, Origin: Ours, Unit: "By", Max: maxExact, Example: "125", Brief: "Payload length of the frame."},
	FrameFIN:    {Name: "websocket.frame.fin", Kind: KindBool, Level: OptIn, Origin: Ours, Low: true, Example: "true", Brief: "The FIN bit."},
	FrameMasked: {Name: "websocket.frame.masked", Kind: KindBool, Level: OptIn, Origin: Ours, Low: true, Example: "true", Brief: "The MASK bit."},
	PingRTT:     {Name: "websocket.ping.rtt", Kind: KindDouble, Level: Conditional, Origin: Ours, Unit: "s", Example: "0.041", Brief: "From a ping to its pong, where the pong was matched."},

	RateLimitScope:  {Name: "websocket.rate_limit.scope", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{ScopeHandshake, ScopeMessage}, Example: "handshake", Brief: "What was limited."},
	RateLimitPolicy: {Name: "websocket.rate_limit.policy", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Example: "per_ip", Brief: "Which limit."},

	IdleDuration: {Name: "websocket.idle.duration", Kind: KindDouble, Level: Required, Origin: Ours, Unit: "s", Example: "60", Brief: "Time without a frame."},

	CloseCode:          {Name: "websocket.close.code", Kind: KindInt, Level: Conditional, Origin: Ours, Low: true, Max: 65535, Example: "1000", Brief: "Status code of the Close frame (RFC 6455 §7.4), only if it was seen; 1005 where the frame was empty; never 1006 from a source that cannot see frames."},
	CloseReason:        {Name: "websocket.close.reason", Kind: KindString, Level: OptIn, Origin: Ours, Example: "bye", Brief: "Reason of the Close frame. Stored redacted."},
	CloseInitiator:     {Name: "websocket.close.initiator", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{InitiatorClient, InitiatorServer, InitiatorProxy, InitiatorUnknown}, Example: "client", Brief: "Who ended the connection first."},
	CloseClean:         {Name: "websocket.close.clean", Kind: KindBool, Level: Conditional, Origin: Ours, Low: true, Example: "true", Brief: "Whether both Close frames were exchanged before the transport ended (RFC 6455 §7.1.4). Absent means unknown."},
	ConnectionDuration: {Name: "websocket.connection.duration", Kind: KindDouble, Level: Recommended, Origin: Ours, Unit: "s", Example: "3600.5", Brief: "From open to close."},
	IOReceived:         {Name: "websocket.io.received", Kind: KindInt, Level: Recommended, Origin: Ours, Unit: "By", Max: maxExact, Example: "4096", Brief: "Bytes of frames from client to server."},
	IOSent:             {Name: "websocket.io.sent", Kind: KindInt, Level: Recommended, Origin: Ours, Unit: "By", Max: maxExact, Example: "8192", Brief: "Bytes of frames from server to client."},
	IOMessagesReceived: {Name: "websocket.io.messages_received", Kind: KindInt, Level: Conditional, Origin: Ours, Max: maxExact, Example: "12", Brief: "Messages from client to server."},
	IOMessagesSent:     {Name: "websocket.io.messages_sent", Kind: KindInt, Level: Conditional, Origin: Ours, Max: maxExact, Example: "30", Brief: "Messages from server to client."},

	CaptureMissingBytes: {Name: "websocket.capture.missing_bytes", Kind: KindInt, Level: Required, Origin: Ours, Unit: "By", Max: maxExact, Example: "1460", Brief: "Bytes that the capture lost."},

	PolicyID: {Name: "websocket.policy.id", Kind: KindString, Level: OptIn, Origin: Ours, Low: true, Example: "949110", Brief: "Rule of a firewall or gateway that refused."},

	PolicyKind:   {Name: "websocket.policy.kind", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{PolicyRateLimit, PolicyIPBlock, PolicyUserBlock, PolicyTenantBlock, PolicyRevocation, PolicyDisconnect, PolicyDegradedAuth, PolicyDrain, PolicyCircuitBreaker, PolicyContent}, Example: "drain", Brief: "Which policy changed."},
	PolicyState:  {Name: "websocket.policy.state", Kind: KindString, Level: Required, Origin: Ours, Low: true, Example: "on", Brief: "What it changed to."},
	PolicyReason: {Name: "websocket.policy.reason", Kind: KindString, Level: Recommended, Origin: Ours, Low: true, Example: "operator", Brief: "Why it changed."},
	PolicyActor:  {Name: "websocket.policy.actor", Kind: KindString, Level: OptIn, Origin: Ours, Low: true, Example: "loopback", Brief: "Who changed it, where it was an operator: \"loopback\" for whoever is on the host, else the keyed hash of the name of a client certificate. What the event says of a user, a tenant, an address or a connection is whom the change is about."},
	PolicyCount:  {Name: "websocket.policy.connections", Kind: KindInt, Level: OptIn, Origin: Ours, Max: maxExact, Example: "3", Brief: "Connections that the change closed."},

	AnomalyKind:     {Name: "websocket.anomaly.kind", Kind: KindString, Level: Required, Origin: Ours, Low: true, Values: []string{"connect_rate", "message_rate", "payload_size", "auth_failures", "geo", "session_takeover", "token_replay"}, Example: "connect_rate", Brief: "What is unusual."},
	AnomalyScore:    {Name: "websocket.anomaly.score", Kind: KindDouble, Level: Recommended, Origin: Ours, Example: "6.2", Brief: "How unusual: distance from the baseline in robust standard deviations."},
	AnomalyBaseline: {Name: "websocket.anomaly.baseline", Kind: KindDouble, Level: Recommended, Origin: Ours, Example: "12.5", Brief: "What was usual."},

	ConnectionsActive:   {Name: "websocket.connections.active", Kind: KindInt, Level: Required, Origin: Ours, Max: maxExact, Example: "1200", Brief: "Open connections of this instance."},
	ConnectionsIdle:     {Name: "websocket.connections.idle", Kind: KindInt, Level: Recommended, Origin: Ours, Max: maxExact, Example: "300", Brief: "Those of them without a frame for the idle threshold."},
	ConnectionsCapacity: {Name: "websocket.connections.capacity", Kind: KindInt, Level: Recommended, Origin: Ours, Max: maxExact, Example: "20000", Brief: "Connections this instance may hold."},
	ProcessMemory:       {Name: "process.memory.usage", Kind: KindInt, Level: Recommended, Origin: Development, Unit: "By", Max: maxExact, Example: "104857600", Brief: "Resident memory of the process."},
	ProcessFDs:          {Name: "process.open_file_descriptor.count", Kind: KindInt, Level: Recommended, Origin: Development, Max: maxExact, Example: "1234", Brief: "Open file descriptors of the process."},
	ProcessFDLimit:      {Name: "process.open_file_descriptor.limit", Kind: KindInt, Level: Recommended, Origin: Ours, Max: maxExact, Example: "20000", Brief: "How many it may open."},

	DeployVersion:   {Name: "websocket.deploy.version", Kind: KindString, Level: Required, Origin: Ours, Low: true, Example: "1.14.2", Brief: "Version that was deployed."},

	ProgressSource:      {Name: "websocket.source.name", Kind: KindString, Level: Required, Origin: Ours, Example: "websocketlog/edge@edge-1", Brief: "The source that reports its progress: component and instance."},
	ProgressReadThrough: {Name: "websocket.source.read_through", Kind: KindInt, Level: Required, Origin: Ours, Max: math.MaxInt64, Example: "1795330811356000000", Brief: "All that this source wrote before this time (Unix nanoseconds) has been stored."},
	ProgressBacklog:     {Name: "websocket.source.backlog", Kind: KindInt, Level: Required, Origin: Ours, Unit: "By", Max: maxExact, Example: "0", Brief: "Bytes known to be waiting at the source."},
}

// keysByName is a hash table with open addressing, because names are looked up for every attribute that arrives and a
// map takes three times as long.
var keysByName = func() (table [1 << keyHashBits]Key) {
	for k := invalidKey + 1; k < keyCount; k++ {
		i := keyHash(definitions[k].Name)
		for table[i] != invalidKey {
			i = (i + 1) % uint32(len(table))
		}
		table[i] = k
	}
	return table
}()

const (
	keyHashBits = 10
	// minKeyName is what keyHash needs; no name is shorter.
	minKeyName = 4
)

// keyHash is made of a name's length and three of its bytes, which tell most names apart.
func keyHash(name string) uint32 {
	n := len(name)
	x := uint32(n) | uint32(name[n-4])<<8 | uint32(name[0])<<16 | uint32(name[n/2])<<24
	return x * 0x9E3779B1 >> (32 - keyHashBits)
}

// Keys returns every attribute of the model.
func Keys() []Key {
	keys := make([]Key, 0, keyCount-1)
	for k := invalidKey + 1; k < keyCount; k++ {
		keys = append(keys, k)
	}
	return keys
}

// KeyOf returns the attribute with that dotted name.
func KeyOf(name string) (Key, bool) {
	if len(name) < minKeyName {
		return invalidKey, false
	}
	for i := keyHash(name); ; i++ {
		k := keysByName[i%uint32(len(keysByName))]
		if k == invalidKey || definitions[k].Name == name {
			return k, k != invalidKey
		}
	}
}

// String is the dotted name, such as "websocket.close.code".
func (k Key) String() string { return k.Definition().Name }

// Definition is the attribute's row in the table. It must not be changed.
func (k Key) Definition() *Definition {
	if k >= keyCount {
		k = invalidKey
	}
	return &definitions[k]
}

// Accepts reports whether v may be k's value: it has the kind that the model gives k, is one of k's values where they
// are a closed set, and keeps k's bounds.
func (k Key) Accepts(v Value) bool {
	d := k.Definition()
	return v.kind == d.Kind && v.kind != KindAbsent && d.valid(&v)
}

// valid checks v, which has d's kind, against d's set and bounds.
func (d *Definition) valid(v *Value) bool {
	switch d.Kind {
	case KindString:
		if d.Values == nil {
			return (!d.Low || len(v.str) <= MaxLowBytes) && (d.Level != Required || v.str != "")
		}
		for _, allowed := range d.Values {
			if v.str == allowed {
				return true
			}
		}
		return false
	case KindInt:
		n := int64(v.num)
		return n >= d.Min && n <= d.Max
	case KindDouble:
		f := math.Float64frombits(v.num)
		if d.Unit == "s" {
			return f >= 0 && f <= MaxSeconds
		}
		return !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return true
}

// Resource attributes that Sockeye reads (OpenTelemetry resource semantic conventions). Others pass through.
const (
	ServiceName       = "service.name"
	ServiceNamespace  = "service.namespace"
	ServiceInstanceID = "service.instance.id"
	ServiceVersion    = "service.version"
	Environment       = "deployment.environment.name"
	Region            = "cloud.region"
	HostName          = "host.name"
)
