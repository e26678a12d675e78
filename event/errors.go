package event

// Error types: the values of error.type. RFC 6455 and RFC 7692 sections are named where one is broken.
const (
	// Of a rejected handshake.
	BadHandshake        = "bad_handshake"   // RFC 6455 §4.2.1
	Unauthenticated     = "unauthenticated" // 401, 407
	Forbidden           = "forbidden"       // 403
	TypeRateLimited     = "rate_limited"    // 429
	NotUpgraded         = "not_upgraded"    // answered, but not with 101
	ClientAborted       = "client_aborted"  // the client left before the answer
	UpstreamUnavailable = "upstream_unavailable"
	UpstreamTimeout     = "upstream_timeout"
	AcceptMismatch      = "accept_mismatch" // RFC 6455 §4.1: Sec-WebSocket-Accept
	TLSFailed           = "tls_failed"

	// Of authentication.
	TokenExpired   = "token_expired"
	TokenInvalid   = "token_invalid"
	IDPTimeout     = "idp_timeout"
	IDPUnavailable = "idp_unavailable"
	AuthTimeout    = "auth_timeout" // the client did not present a credential in time

	// Of the protocol.
	ReservedOpcode      = "reserved_opcode"       // RFC 6455 §5.2
	UnmaskedClientFrame = "unmasked_client_frame" // RFC 6455 §5.1
	ReservedBits        = "reserved_bits"         // RFC 6455 §5.2
	FragmentedControl   = "fragmented_control"    // RFC 6455 §5.5
	ControlTooBig       = "control_too_big"       // RFC 6455 §5.5
	InvalidUTF8         = "invalid_utf8"          // RFC 6455 §8.1
	MessageTooBig       = "message_too_big"       // RFC 6455 §7.4.1, 1009
	InvalidCloseCode    = "invalid_close_code"    // RFC 6455 §7.4
	InflateFailed       = "inflate_failed"        // RFC 7692 §6.2

	// Of a message's content or delivery.
	SchemaInvalid      = "schema_invalid"
	UnknownType        = "unknown_type"
	ACLDenied          = "acl_denied"
	QuotaExceeded      = "quota_exceeded"
	UnsupportedVersion = "unsupported_version"
	SignatureInvalid   = "signature_invalid"
	SlowConsumer       = "slow_consumer"
	QueueFull          = "queue_full"

	// Of the end of a connection.
	IdleTimeout     = "idle_timeout"
	ConnectionReset = "connection_reset"
	ConnectionLost  = "connection_lost"
	UpstreamLost    = "upstream_lost"
	CaptureEnded    = "capture_ended"

	// OtherError is semconv's fallback for an error without a type of its own.
	OtherError = "_OTHER"
)

// Fault is the fault domain: who has to act. An SLO names the domains that burn its budget, so that a flood of bad
// tokens pages nobody for availability and an outage of the identity provider does.
type Fault string

// The fault domains. FaultNone is on events that report no failure.
const (
	FaultNone    Fault = ""
	FaultClient  Fault = "client"  // bad request, bad token, broken frame
	FaultPolicy  Fault = "policy"  // refused on purpose
	FaultServer  Fault = "server"  // the service, or what it stands on
	FaultIDP     Fault = "idp"     // the identity provider is slow or down
	FaultNetwork Fault = "network" // reset, loss
	FaultUnknown Fault = "unknown"
)

// Faults returns the fault domains of failures.
func Faults() []Fault {
	return []Fault{FaultClient, FaultPolicy, FaultServer, FaultIDP, FaultNetwork, FaultUnknown}
}

// ErrorDefinition is one row of the table of error types.
type ErrorDefinition struct {
	// Type is the value of error.type.
	Type string
	// Fault is who has to act.
	Fault Fault
	// Brief is the meaning in a sentence.
	Brief string
}

var errorDefinitions = []ErrorDefinition{
	{BadHandshake, FaultClient, "The handshake request broke RFC 6455 §4.2.1."},
	{Unauthenticated, FaultClient, "No credential, or one that is not accepted."},
	{Forbidden, FaultPolicy, "Refused on purpose: Origin, ACL, block list."},
	{TypeRateLimited, FaultPolicy, "Refused by a limit."},
	{NotUpgraded, FaultServer, "The server answered, but did not switch protocols."},
	{ClientAborted, FaultClient, "The client left before the answer."},
	{UpstreamUnavailable, FaultServer, "The server behind could not be reached or failed."},
	{UpstreamTimeout, FaultServer, "The server behind did not answer in time."},
	{AcceptMismatch, FaultServer, "Sec-WebSocket-Accept does not follow from the key."},
	{TLSFailed, FaultUnknown, "TLS failed before the upgrade. Reported apart from other rejections."},
	{TokenExpired, FaultClient, "The credential was valid once."},
	{TokenInvalid, FaultClient, "The credential could not be verified."},
	{IDPTimeout, FaultIDP, "The identity provider did not answer in time."},
	{IDPUnavailable, FaultIDP, "The identity provider could not be reached or failed."},
	{AuthTimeout, FaultClient, "The client presented no credential in time."},
	{ReservedOpcode, FaultClient, "Opcode 0x3-7 or 0xB-F."},
	{UnmaskedClientFrame, FaultClient, "A client frame without a mask."},
	{ReservedBits, FaultClient, "RSV bit without an extension that defines it."},
	{FragmentedControl, FaultClient, "A control frame without FIN."},
	{ControlTooBig, FaultClient, "A control frame over 125 bytes."},
	{InvalidUTF8, FaultClient, "Text that is not UTF-8."},
	{MessageTooBig, FaultClient, "A message over the limit."},
	{InvalidCloseCode, FaultClient, "A Close frame with a code that must not be sent."},
	{InflateFailed, FaultClient, "Compressed data that does not inflate within its budget."},
	{SchemaInvalid, FaultClient, "The message does not follow its schema."},
	{UnknownType, FaultClient, "The message's type is not registered."},
	{ACLDenied, FaultPolicy, "The identity may not send this."},
	{QuotaExceeded, FaultPolicy, "A quota is used up."},
	{UnsupportedVersion, FaultClient, "A version that is no longer accepted."},
	{SignatureInvalid, FaultClient, "The message is not signed as it must be, or was changed, repeated or held back on its way."},
	{SlowConsumer, FaultClient, "The client did not read fast enough."},
	{QueueFull, FaultServer, "A queue of the server was full."},
	{IdleTimeout, FaultPolicy, "Ended on purpose for want of traffic."},
	{ConnectionReset, FaultNetwork, "The transport was reset."},
	{ConnectionLost, FaultNetwork, "The transport ended without a Close frame."},
	{UpstreamLost, FaultServer, "The server behind went away."},
	{CaptureEnded, FaultUnknown, "The capture ended before the connection."},
	{OtherError, FaultUnknown, "None of the others; a rejected handshake then goes by its status."},
}

var faultsByType = func() map[string]Fault {
	m := make(map[string]Fault, len(errorDefinitions))
	for _, d := range errorDefinitions {
		m[d.Type] = d.Fault
	}
	return m
}()

func errorTypeNames() []string {
	names := make([]string, len(errorDefinitions))
	for i, d := range errorDefinitions {
		names[i] = d.Type
	}
	return names
}

// ErrorTypes returns the table of error types. It must not be changed.
func ErrorTypes() []ErrorDefinition { return errorDefinitions }

// FaultOf returns the fault domain of an error type; status, the HTTP status of a rejected handshake or 0, decides
// where the type alone does not.
func FaultOf(errorType string, status int) Fault {
	if errorType == "" {
		return FaultNone
	}
	f, ok := faultsByType[errorType]
	if ok && errorType != OtherError {
		return f
	}
	switch {
	case status >= 500 && status < 600:
		return FaultServer
	case status >= 400 && status < 500:
		return FaultClient
	}
	return FaultUnknown
}

// RejectionFor returns the error type of a handshake that was answered with status and so did not succeed.
// Status 0 and 499 (nginx) mean that the client left before an answer.
func RejectionFor(status int) string {
	switch {
	case status == 0 || status == 499:
		return ClientAborted
	case status < 400:
		return NotUpgraded
	case status == 401 || status == 407:
		return Unauthenticated
	case status == 403:
		return Forbidden
	case status == 429:
		return TypeRateLimited
	case status == 502 || status == 503:
		return UpstreamUnavailable
	case status == 504:
		return UpstreamTimeout
	case status < 500:
		return BadHandshake
	}
	return OtherError
}
