package wire

import "fmt"

// Violation is a rule that a peer broke, and the error that the readers return. It is comparable, costs no allocation
// and knows no payload: errors.Is(err, wire.InvalidUTF8) and errors.As work, and so does ==.
type Violation uint8

// The rules of frames.
const (
	_ Violation = iota
	ReservedOpcode
	ReservedBits
	UnmaskedClientFrame
	MaskedServerFrame
	NonMinimalLength
	InvalidLength
	FragmentedControl
	ControlTooBig
	UnexpectedContinuation
	ExpectedContinuation

	// The rules of messages.
	InvalidUTF8
	InvalidClosePayload
	InvalidCloseCode
	InvalidCloseReason
	InflateFailed

	// The budgets, see [Limits].
	MessageTooBig
	InflateRatioExceeded
	TooManyFrames
	TooManyControlFrames
)

// violations says each rule once. Names are those of the event model's error types where it has them.
var violations = [...]struct {
	name, section string
	code          CloseCode
	text          string
}{
	0:                      {"unknown", "", CloseProtocolError, "unknown violation"},
	ReservedOpcode:         {"reserved_opcode", "RFC 6455 §5.2", CloseProtocolError, "reserved opcode"},
	ReservedBits:           {"reserved_bits", "RFC 6455 §5.2", CloseProtocolError, "reserved bit set"},
	UnmaskedClientFrame:    {"unmasked_client_frame", "RFC 6455 §5.1", CloseProtocolError, "client frame not masked"},
	MaskedServerFrame:      {"masked_server_frame", "RFC 6455 §5.1", CloseProtocolError, "server frame masked"},
	NonMinimalLength:       {"non_minimal_length", "RFC 6455 §5.2", CloseProtocolError, "length not in its shortest form"},
	InvalidLength:          {"invalid_length", "RFC 6455 §5.2", CloseProtocolError, "top bit of the length set"},
	FragmentedControl:      {"fragmented_control", "RFC 6455 §5.5", CloseProtocolError, "control frame fragmented"},
	ControlTooBig:          {"control_too_big", "RFC 6455 §5.5", CloseProtocolError, "control frame over 125 bytes"},
	UnexpectedContinuation: {"unexpected_continuation", "RFC 6455 §5.4", CloseProtocolError, "continuation of no message"},
	ExpectedContinuation:   {"expected_continuation", "RFC 6455 §5.4", CloseProtocolError, "new message inside a fragmented one"},
	InvalidUTF8:            {"invalid_utf8", "RFC 6455 §8.1", CloseInvalidPayload, "text not UTF-8"},
	InvalidClosePayload:    {"invalid_close_payload", "RFC 6455 §5.5.1", CloseProtocolError, "close frame with one byte"},
	InvalidCloseCode:       {"invalid_close_code", "RFC 6455 §7.4", CloseProtocolError, "close code that must not be sent"},
	InvalidCloseReason:     {"invalid_close_reason", "RFC 6455 §5.5.1", CloseInvalidPayload, "close reason not UTF-8"},
	InflateFailed:          {"inflate_failed", "RFC 7692 §7.2.2", CloseInvalidPayload, "compressed data malformed"},
	MessageTooBig:          {"message_too_big", "RFC 6455 §7.4.1", CloseMessageTooBig, "message over the limit"},
	InflateRatioExceeded:   {"inflate_ratio_exceeded", "RFC 6455 §7.4.1", CloseMessageTooBig, "compression ratio over the limit"},
	TooManyFrames:          {"too_many_frames", "RFC 6455 §7.4.1", ClosePolicyViolation, "too many frames in a message"},
	TooManyControlFrames:   {"too_many_control_frames", "RFC 6455 §7.4.1", ClosePolicyViolation, "too many control frames"},
}

func (v Violation) known() Violation {
	if int(v) >= len(violations) {
		return 0
	}
	return v
}

// Rule is the name of the rule in snake case.
func (v Violation) Rule() string { return violations[v.known()].name }

// Section says where the rule stands; for a budget, where its close code does.
func (v Violation) Section() string { return violations[v.known()].section }

// CloseCode is what an endpoint closes the connection with (RFC 6455 §7.4.1).
func (v Violation) CloseCode() CloseCode { return violations[v.known()].code }

// Reason is the rule as the reason of a Close frame.
func (v Violation) Reason() string { return violations[v.known()].text }

func (v Violation) Error() string {
	return fmt.Sprintf("websocket: %s (%s)", v.Reason(), v.Section())
}
