package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// CloseCode is the status code of a Close frame (RFC 6455 §7.4).
type CloseCode uint16

// The codes of RFC 6455 §7.4.1 and of IANA's registry "WebSocket Close Code Number". Package event describes them.
const (
	CloseNormal           CloseCode = 1000
	CloseGoingAway        CloseCode = 1001
	CloseProtocolError    CloseCode = 1002
	CloseUnsupportedData  CloseCode = 1003
	CloseNoStatus         CloseCode = 1005 // never sent: the Close frame had no code
	CloseAbnormal         CloseCode = 1006 // never sent: there was no Close frame
	CloseInvalidPayload   CloseCode = 1007
	ClosePolicyViolation  CloseCode = 1008
	CloseMessageTooBig    CloseCode = 1009
	CloseMissingExtension CloseCode = 1010
	CloseInternalError    CloseCode = 1011
	CloseServiceRestart   CloseCode = 1012
	CloseTryAgainLater    CloseCode = 1013
	CloseBadGateway       CloseCode = 1014
	CloseTLSHandshake     CloseCode = 1015 // never sent: TLS failed
)

// MaxCloseReason is the longest reason: a control frame's payload without the code.
const MaxCloseReason = MaxControlPayload - 2

// Sendable reports whether a Close frame may carry the code (RFC 6455 §7.4.1, §7.4.2): a registered one that does not
// stand for what an endpoint saw, or one of 3000 to 4999, which libraries, frameworks and applications may use.
func (c CloseCode) Sendable() bool {
	switch {
	case c == 1004 || c == CloseNoStatus || c == CloseAbnormal:
		return false
	case c >= CloseNormal && c <= CloseBadGateway:
		return true
	}
	return c >= 3000 && c <= 4999
}

// ParseClose reads the payload of a Close frame (RFC 6455 §5.5.1). The code of an empty one is [CloseNoStatus]. The
// reason is part of the payload. The error is a [Violation].
func ParseClose(payload []byte) (code CloseCode, reason []byte, err error) {
	switch {
	case len(payload) == 0:
		return CloseNoStatus, nil, nil
	case len(payload) == 1:
		return CloseNoStatus, nil, InvalidClosePayload
	case len(payload) > MaxControlPayload:
		return CloseNoStatus, nil, ControlTooBig
	}
	code, reason = CloseCode(binary.BigEndian.Uint16(payload)), payload[2:]
	if !code.Sendable() {
		return code, reason, InvalidCloseCode
	}
	if !utf8.Valid(reason) {
		return code, reason, InvalidCloseReason
	}
	return code, reason, nil
}

// cutReason returns as much of reason as a Close frame holds: valid UTF-8, at most MaxCloseReason bytes.
func cutReason(reason string) string {
	for i, r := range reason {
		_, size := utf8.DecodeRuneInString(reason[i:])
		if r == utf8.RuneError && size == 1 || i+size > MaxCloseReason {
			return reason[:i]
		}
	}
	return reason
}
