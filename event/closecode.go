package event

import "slices"

// Close codes that programs name. [CloseCodes] has them all.
const (
	CloseNormal           = 1000
	CloseGoingAway        = 1001
	CloseProtocolError    = 1002
	CloseUnsupportedData  = 1003
	CloseNoStatus         = 1005
	CloseAbnormal         = 1006
	CloseInvalidPayload   = 1007
	ClosePolicyViolation  = 1008
	CloseMessageTooBig    = 1009
	CloseMissingExtension = 1010
	CloseInternalError    = 1011
	CloseServiceRestart   = 1012
	CloseTryAgainLater    = 1013
	CloseBadGateway       = 1014
	CloseTLSHandshake     = 1015
)

// CloseCodeDefinition is one row of the table of close codes: RFC 6455 §7.4.1 and IANA's registry "WebSocket Close
// Code Number".
type CloseCodeDefinition struct {
	// Code is the number in the Close frame.
	Code int
	// Name is the registered meaning in snake case.
	Name string
	// Sendable is true where a Close frame may carry the code. The others stand for what an endpoint saw instead of
	// a code, and one that arrives in a frame is a protocol error.
	Sendable bool
	// Section says where the code is defined.
	Section string
	// Brief is the meaning in a sentence.
	Brief string
}

var closeCodes = []CloseCodeDefinition{
	{CloseNormal, "normal_closure", true, "RFC 6455 §7.4.1", "The purpose of the connection is fulfilled."},
	{CloseGoingAway, "going_away", true, "RFC 6455 §7.4.1", "The server goes down, or the browser left the page."},
	{CloseProtocolError, "protocol_error", true, "RFC 6455 §7.4.1", "The peer broke the protocol."},
	{CloseUnsupportedData, "unsupported_data", true, "RFC 6455 §7.4.1", "A type of data that the endpoint does not take."},
	{1004, "reserved", false, "RFC 6455 §7.4.1", "Without meaning."},
	{CloseNoStatus, "no_status_received", false, "RFC 6455 §7.4.1", "The Close frame had no code."},
	{CloseAbnormal, "abnormal_closure", false, "RFC 6455 §7.4.1", "The connection ended without a Close frame."},
	{CloseInvalidPayload, "invalid_payload", true, "RFC 6455 §7.4.1", "Data that does not fit the message's type, such as text that is not UTF-8."},
	{ClosePolicyViolation, "policy_violation", true, "RFC 6455 §7.4.1", "A message against the endpoint's policy."},
	{CloseMessageTooBig, "message_too_big", true, "RFC 6455 §7.4.1", "A message over the endpoint's limit."},
	{CloseMissingExtension, "missing_extension", true, "RFC 6455 §7.4.1", "The client needs an extension that the server did not accept. Sent by clients only."},
	{CloseInternalError, "internal_error", true, "RFC 6455 §7.4.1", "The server met a condition that it did not expect."},
	{CloseServiceRestart, "service_restart", true, "IANA", "The service restarts; reconnect after a random delay."},
	{CloseTryAgainLater, "try_again_later", true, "IANA", "The service is overloaded."},
	{CloseBadGateway, "bad_gateway", true, "IANA", "A gateway had an invalid answer from the server behind."},
	{CloseTLSHandshake, "tls_handshake", false, "RFC 6455 §7.4.1", "The TLS handshake failed."},
	{3000, "unauthorized", true, "IANA", "As HTTP 401."},
	{3003, "forbidden", true, "IANA", "As HTTP 403."},
	{3008, "timeout", true, "IANA", "The peer did not answer in time."},
}

// CloseCodes returns the table of close codes in ascending order. It must not be changed.
func CloseCodes() []CloseCodeDefinition { return closeCodes }

// CloseCodeOf returns the row of code, or nil for one that is not registered.
func CloseCodeOf(code int) *CloseCodeDefinition {
	i, ok := slices.BinarySearchFunc(closeCodes, code, func(d CloseCodeDefinition, code int) int { return d.Code - code })
	if !ok {
		return nil
	}
	return &closeCodes[i]
}

// CloseCodeSendable reports whether a Close frame may carry code (RFC 6455 §7.4): a registered one that is not
// reserved for what an endpoint saw, or one of 3000 to 4999, which libraries, frameworks and applications may use.
func CloseCodeSendable(code int) bool {
	if d := CloseCodeOf(code); d != nil {
		return d.Sendable
	}
	return code >= 3000 && code <= 4999
}

// CloseCodeClass returns the form of code in which it may be a metric's dimension: a registered code, and one of keep,
// as it is, another by its range (RFC 6455 §7.4.2), such as "4xxx" for an application's own, and "invalid" below 1000
// and above 4999.
func CloseCodeClass(code int, keep ...int) string {
	if CloseCodeOf(code) != nil || code >= 1000 && code <= 4999 && slices.Contains(keep, code) {
		return Int(int64(code)).Text()
	}
	switch {
	case code < 1000 || code > 4999:
		return "invalid"
	case code < 2000:
		return "1xxx"
	case code < 3000:
		return "2xxx"
	case code < 4000:
		return "3xxx"
	}
	return "4xxx"
}
