package wire

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strconv"
)

// ProtocolVersion is the only version of the protocol there is, as Sec-WebSocket-Version carries it (RFC 6455 §4.1).
const ProtocolVersion = "13"

// guid is appended to the key before it is hashed (RFC 6455 §1.3).
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// HandshakeViolation is a rule of the handshake that a peer broke, and the error of all that checks one. Like a [Violation]
// it is comparable and names the rule, never what the peer sent.
type HandshakeViolation uint8

const (
	_ HandshakeViolation = iota

	// Faults of either direction.
	HeadTooLarge
	MalformedHead
	UnexpectedBody
	MalformedContentLength

	// Faults of a request.
	MalformedRequestLine
	WrongHTTPVersion
	WrongMethod
	InvalidHost
	NotUpgrade
	NoConnectionUpgrade
	InvalidKey
	WrongVersion
	MalformedSubprotocols
	MalformedExtensions
	WrongProtocol
	IncompleteConnect
	ConnectionFields
	InvalidOrigin
	MissingOrigin
	ForbiddenOrigin

	// Faults of a response.
	MalformedStatusLine
	NotSwitched
	WrongResponseUpgrade
	NoResponseConnectionUpgrade
	WrongAccept
	UnexpectedResponseBody
	MalformedResponseHead
	WrongSubprotocol
	WrongExtensions
	WrongDeflateParameters
	ResponseHeadTooLarge

	// Faults of the program that calls: what it wants to send is not part of a handshake.
	ForbiddenField
	NotOffered
	InvalidTarget
)

// handshakeViolations says each rule once. The status is the answer to the client; for the faults of a server's response it
// is what a gateway answers.
var handshakeViolations = [...]struct {
	name          string
	status        int
	section, text string
}{
	0:                           {"unknown", http.StatusBadRequest, "", "unknown violation"},
	HeadTooLarge:                {"head_too_large", http.StatusRequestHeaderFieldsTooLarge, "RFC 6585 §5", "the head must fit into the limits"},
	MalformedHead:               {"malformed_head", http.StatusBadRequest, "RFC 9112 §5", "header fields must be well formed, each ended by CRLF"},
	UnexpectedBody:              {"unexpected_body", http.StatusBadRequest, "RFC 6455 §4.1", "there must be no body and no Transfer-Encoding"},
	MalformedContentLength:      {"malformed_content_length", http.StatusBadRequest, "RFC 9110 §8.6", "Content-Length must be one number"},
	MalformedRequestLine:        {"malformed_request_line", http.StatusBadRequest, "RFC 9112 §3", "the request line must be well formed"},
	WrongHTTPVersion:            {"wrong_http_version", http.StatusBadRequest, "RFC 6455 §4.1", "the request must be HTTP/1.1, or extended CONNECT from HTTP/2 on"},
	WrongMethod:                 {"wrong_method", http.StatusMethodNotAllowed, "RFC 6455 §4.1", "the method must be GET"},
	InvalidHost:                 {"invalid_host", http.StatusBadRequest, "RFC 6455 §4.2.1", "Host must be there once and be a host with or without a port"},
	NotUpgrade:                  {"not_upgrade", http.StatusUpgradeRequired, "RFC 6455 §4.2.1", "Upgrade must name websocket"},
	NoConnectionUpgrade:         {"no_connection_upgrade", http.StatusBadRequest, "RFC 6455 §4.2.1", "Connection must name Upgrade"},
	InvalidKey:                  {"invalid_key", http.StatusBadRequest, "RFC 6455 §4.2.1", "Sec-WebSocket-Key must be there once and be 16 bytes in base64"},
	WrongVersion:                {"wrong_version", http.StatusUpgradeRequired, "RFC 6455 §4.4", "Sec-WebSocket-Version must be there once and be 13"},
	MalformedSubprotocols:       {"malformed_subprotocols", http.StatusBadRequest, "RFC 6455 §4.1", "Sec-WebSocket-Protocol must list tokens, each once"},
	MalformedExtensions:         {"malformed_extensions", http.StatusBadRequest, "RFC 6455 §9.1", "Sec-WebSocket-Extensions must be well formed"},
	WrongProtocol:               {"wrong_protocol", http.StatusNotImplemented, "RFC 8441 §4", ":protocol must be websocket"},
	IncompleteConnect:           {"incomplete_connect", http.StatusBadRequest, "RFC 8441 §4", "extended CONNECT must have :scheme, :path and :authority"},
	ConnectionFields:            {"connection_fields", http.StatusBadRequest, "RFC 9113 §8.2.2", "Upgrade and Connection must not be in HTTP/2"},
	InvalidOrigin:               {"invalid_origin", http.StatusForbidden, "RFC 6454 §7", "Origin must be there at most once and be null or scheme, host and port"},
	MissingOrigin:               {"missing_origin", http.StatusForbidden, "RFC 6455 §10.2", "Origin must be there"},
	ForbiddenOrigin:             {"forbidden_origin", http.StatusForbidden, "RFC 6455 §10.2", "Origin must be one of those that are allowed"},
	MalformedStatusLine:         {"malformed_status_line", http.StatusBadGateway, "RFC 9112 §4", "the status line must be well formed"},
	NotSwitched:                 {"not_switched", http.StatusBadGateway, "RFC 6455 §4.1", "the status must be 101, or 2xx to extended CONNECT"},
	WrongResponseUpgrade:        {"wrong_response_upgrade", http.StatusBadGateway, "RFC 6455 §4.1", "Upgrade must be websocket in the response"},
	NoResponseConnectionUpgrade: {"no_response_connection_upgrade", http.StatusBadGateway, "RFC 6455 §4.1", "Connection must name Upgrade in the response"},
	WrongAccept:                 {"wrong_accept", http.StatusBadGateway, "RFC 6455 §4.1", "Sec-WebSocket-Accept must be there once and answer the key"},
	UnexpectedResponseBody:      {"unexpected_response_body", http.StatusBadGateway, "RFC 9110 §8.6", "there must be no body and no Transfer-Encoding in the response"},
	MalformedResponseHead:       {"malformed_response_head", http.StatusBadGateway, "RFC 9112 §5", "header fields of the response must be well formed, each ended by CRLF"},
	WrongSubprotocol:            {"wrong_subprotocol", http.StatusBadGateway, "RFC 6455 §4.1", "Sec-WebSocket-Protocol must be one of those offered, once"},
	WrongExtensions:             {"wrong_extensions", http.StatusBadGateway, "RFC 6455 §4.1", "Sec-WebSocket-Extensions must be well formed and name only those offered, each once"},
	WrongDeflateParameters:      {"wrong_deflate_parameters", http.StatusBadGateway, "RFC 7692 §7", "the parameters of permessage-deflate must be valid and answer the offer"},
	ResponseHeadTooLarge:        {"response_head_too_large", http.StatusBadGateway, "RFC 9110 §5.4", "the response's head must fit into the limits"},
	ForbiddenField:              {"forbidden_field", http.StatusInternalServerError, "RFC 9110 §5", "an added field must be well formed and not one that the handshake owns"},
	NotOffered:                  {"not_offered", http.StatusInternalServerError, "RFC 6455 §4.2.2", "a server may choose only what the client offered"},
	InvalidTarget:               {"invalid_target", http.StatusInternalServerError, "RFC 9112 §3.2", "the target must be a path, with a query or without, in visible ASCII"},
}

func (v HandshakeViolation) known() HandshakeViolation {
	if int(v) >= len(handshakeViolations) {
		return 0
	}
	return v
}

// Rule is the name of the rule in snake case.
func (v HandshakeViolation) Rule() string { return handshakeViolations[v.known()].name }

// Section says where the rule stands.
func (v HandshakeViolation) Section() string { return handshakeViolations[v.known()].section }

// Status is the HTTP status that answers the client.
func (v HandshakeViolation) Status() int { return handshakeViolations[v.known()].status }

// Reason is the rule as a sentence.
func (v HandshakeViolation) Reason() string { return handshakeViolations[v.known()].text }

func (v HandshakeViolation) Error() string {
	return "websocket handshake: " + v.Reason() + " (" + v.Section() + ")"
}

// Refuse answers the request. Of HTTP/1 it is the connection's last: whoever cannot shake hands gets no second try, and
// the body that it may have announced is not waited for.
func (v HandshakeViolation) Refuse(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, values := range v.header() {
		if r.ProtoMajor < 2 || name == "Allow" || name == "Sec-Websocket-Version" {
			header[name] = values
		}
	}
	http.Error(w, v.Reason(), v.Status())
}

// AppendResponse appends what [HandshakeViolation.Refuse] would write to a client of HTTP/1.1.
func (v HandshakeViolation) AppendResponse(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(v.Status()), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(v.Status())...)
	dst = append(dst, crlf...)
	dst = appendFields(dst, v.header())
	dst = appendField(dst, "Content-Length", strconv.Itoa(len(v.Reason())+1))
	dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\r\n"...)
	dst = append(dst, v.Reason()...)
	return append(dst, '\n')
}

// header returns the fields that the refusal must have: the method or the protocol that would do.
func (v HandshakeViolation) header() http.Header {
	switch v.Status() {
	case http.StatusMethodNotAllowed: // RFC 9110 §15.5.6
		return http.Header{"Allow": {http.MethodGet}, "Connection": {"close"}}
	case http.StatusUpgradeRequired: // RFC 9110 §15.5.22, RFC 6455 §4.4
		return http.Header{
			"Connection": {"Upgrade, close"}, "Sec-Websocket-Version": {ProtocolVersion}, "Upgrade": {"websocket"},
		}
	}
	return http.Header{"Connection": {"close"}}
}

// Offer is what a client asks for in its handshake, as [CheckRequest] found it or for [AppendRequest].
type Offer struct {
	// Extended says that the request is an extended CONNECT of HTTP/2 or HTTP/3, which has no key (RFC 8441, RFC 9220).
	Extended bool
	// Key is Sec-WebSocket-Key.
	Key string
	// Host is the Host field or :authority.
	Host string
	// Secure says that the client came by TLS to whoever parsed the request.
	Secure bool
	// Origin is the web origin that asks, or "" where the client sent none, as clients that are no browsers do.
	Origin string
	// Subprotocols are those the client can speak, the most wanted first.
	Subprotocols []string
	// Extensions are the offers, the most wanted first. One extension may be offered several times.
	Extensions []Extension
}

// Agreement is what a server chose from an offer.
type Agreement struct {
	// Subprotocol is "" if none was chosen.
	Subprotocol string
	// Extensions are in the order in which they apply.
	Extensions []Extension
}

// NewKey returns a fresh Sec-WebSocket-Key, of 16 random bytes.
func NewKey() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never returns an error: it ends the process
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// Accept returns the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2). It hides nothing: it only
// shows that the server knows the protocol.
func Accept(key string) string {
	return string(appendAccept(nil, key))
}

func appendAccept(b []byte, key string) []byte {
	var text [24 + len(guid)]byte
	sum := sha1.Sum(append(append(text[:0], key...), guid...))
	return base64.StdEncoding.AppendEncode(b, sum[:])
}

// validKey reports whether key is the base64 of 16 bytes. Bits that pad may be anything: in the standard's own example
// they are not zero (RFC 6455 §4.1).
func validKey(key string) bool {
	var nonce [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key))
	return err == nil && n == 16
}
