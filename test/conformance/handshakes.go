package conformance

import (
	"net/http"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// Handshake is a request and what a server must answer. It goes to the echo server over a socket, and to
// wire.ParseRequest and wire.CheckRequest in every split.
type Handshake struct {
	// ID begins with "request/".
	ID string
	// Request is the head as it is sent.
	Request string
	// Status is the answer; Fields are those that the answer must have, with "" for one that it must not have.
	Status int
	Fields map[string]string
	// Fault is the rule that wire must name, or 0.
	Fault wire.HandshakeViolation
}

// Answer is a server's response and whether a client may take it. The client offered permessage-deflate with
// client_max_window_bits and the subprotocols chat and log.
type Answer struct {
	// ID begins with "response/".
	ID string
	// Response is the head as it is sent.
	Response string
	// Fault is the rule that wire must name, or 0.
	Fault wire.HandshakeViolation
}

const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// requestFields are the least that a client sends, by the names that cases change.
var requestFields = []string{
	"Host: echo.example", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey,
}

var responseFields = []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: " + sampleAccept}

// head returns a head whose fields are changed: "Name: value" replaces the field or adds one, "-Name" takes it out, and
// "+Name: value" adds one in any case.
func head(first string, fields []string, changes ...string) string {
	lines := append([]string{first}, fields...)
	for _, change := range changes {
		name, _, _ := strings.Cut(change, ":")
		name = strings.TrimLeft(name, "+-")
		found := false
		for i, line := range lines {
			if i > 0 && strings.HasPrefix(line, name+":") && change[0] != '+' {
				lines[i], found = change, true
			}
		}
		if !found {
			lines = append(lines, strings.TrimPrefix(change, "+"))
		}
	}
	kept := lines[:0]
	for _, line := range lines {
		if line[0] != '-' {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\r\n") + "\r\n\r\n"
}

func request(changes ...string) string { return head("GET / HTTP/1.1", requestFields, changes...) }
func response(changes ...string) string {
	return head("HTTP/1.1 101 Switching Protocols", responseFields, changes...)
}

// accepted are requests and a field of the answer.
var accepted = []struct{ id, request, field, value string }{
	{"plain", request(), "", ""},
	{"tokens-in-any-case", request("Upgrade: WebSocket", "Connection: keep-alive, UPGRADE"), "", ""},
	{"names-in-any-case", strings.ReplaceAll(request(), "Sec-WebSocket", "SEC-WEBSOCKET"), "", ""},
	{"with-query", head("GET /chat?a=b HTTP/1.1", requestFields), "", ""},
	{"absolute-target", head("GET http://echo.example/ HTTP/1.1", requestFields), "", ""},
	{"unknown-fields", request("X-Unknown: a", "Cookie: a=b"), "", ""},
	{"origin", request("Origin: https://echo.example"), "", ""},
	{"subprotocol", request("Sec-WebSocket-Protocol: log, chat"), "Sec-WebSocket-Protocol", "chat"},
	{"subprotocol-in-lines", request("+Sec-WebSocket-Protocol: log", "+Sec-WebSocket-Protocol: chat"), "Sec-WebSocket-Protocol", "chat"},
	{"subprotocol-unknown", request("Sec-WebSocket-Protocol: Chat, x"), "", ""},
	{"extension-unknown", request("Sec-WebSocket-Extensions: x; y=1"), "", ""},
	{"extension-in-lines", request("+Sec-WebSocket-Extensions: x", "+Sec-WebSocket-Extensions: permessage-deflate"), "Sec-WebSocket-Extensions", "permessage-deflate"},
}

// deflated are offers and what the server makes of them, which is nothing where it declines.
var deflated = []struct{ id, offer, answer string }{
	{"deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate"},
	{"deflate-server-window", "permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"},
	{"deflate-window-in-quotes", `permessage-deflate; server_max_window_bits="10"`, "permessage-deflate; server_max_window_bits=10"},
	{"deflate-client-window", "permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"},
	{"deflate-server-no-context", "permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
	{"deflate-client-no-context", "permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"},
	{"deflate-second-offer", "permessage-deflate; x, permessage-deflate; server_max_window_bits=9, permessage-deflate", "permessage-deflate; server_max_window_bits=9"},
	{"deflate-unknown-parameter", "permessage-deflate; x", ""},
	{"deflate-parameter-twice", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
	{"deflate-no-context-with-value", "permessage-deflate; client_no_context_takeover=1", ""},
	{"deflate-window-7", "permessage-deflate; server_max_window_bits=7", ""},
	{"deflate-window-16", "permessage-deflate; client_max_window_bits=16", ""},
	{"deflate-window-zero-in-front", "permessage-deflate; client_max_window_bits=08", ""},
	{"deflate-server-window-without-value", "permessage-deflate; server_max_window_bits", ""},
}

const bad = http.StatusBadRequest

var refused = []struct {
	id, request string
	fault       wire.HandshakeViolation
	status      int
}{
	{"post", head("POST / HTTP/1.1", requestFields), wire.WrongMethod, http.StatusMethodNotAllowed},
	{"http-1.0", head("GET / HTTP/1.0", requestFields), wire.WrongHTTPVersion, bad},
	{"no-host", request("-Host"), wire.InvalidHost, bad},
	{"two-hosts", request("+Host: echo.example"), wire.InvalidHost, bad},
	{"bad-host", request("Host: a b"), wire.InvalidHost, bad},
	{"no-upgrade", request("-Upgrade"), wire.NotUpgrade, http.StatusUpgradeRequired},
	{"upgrade-to-other", request("Upgrade: h2c"), wire.NotUpgrade, http.StatusUpgradeRequired},
	{"no-connection", request("-Connection"), wire.NoConnectionUpgrade, bad},
	{"connection-other", request("Connection: keep-alive"), wire.NoConnectionUpgrade, bad},
	{"no-key", request("-Sec-WebSocket-Key"), wire.InvalidKey, bad},
	{"short-key", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), wire.InvalidKey, bad},
	{"key-no-base64", request("Sec-WebSocket-Key: ************************"), wire.InvalidKey, bad},
	{"two-keys", request("+Sec-WebSocket-Key: " + sampleKey), wire.InvalidKey, bad},
	{"no-version", request("-Sec-WebSocket-Version"), wire.WrongVersion, http.StatusUpgradeRequired},
	{"version-8", request("Sec-WebSocket-Version: 8"), wire.WrongVersion, http.StatusUpgradeRequired},
	{"two-versions", request("+Sec-WebSocket-Version: 8"), wire.WrongVersion, http.StatusUpgradeRequired},
	{"body", request("Content-Length: 1"), wire.UnexpectedBody, bad},
	{"chunked", request("Transfer-Encoding: chunked"), wire.UnexpectedBody, bad},
	{"two-origins", request("+Origin: https://a.example", "+Origin: https://b.example"), wire.InvalidOrigin, http.StatusForbidden},
	{"bad-origin", request("Origin: a.example"), wire.InvalidOrigin, http.StatusForbidden},
	{"subprotocol-no-token", request("Sec-WebSocket-Protocol: a b"), wire.MalformedSubprotocols, bad},
	{"subprotocol-empty", request("Sec-WebSocket-Protocol: ,"), wire.MalformedSubprotocols, bad},
	{"subprotocol-twice", request("Sec-WebSocket-Protocol: chat, chat"), wire.MalformedSubprotocols, bad},
	{"extension-malformed", request("Sec-WebSocket-Extensions: a; b="), wire.MalformedExtensions, bad},
	{"extension-quoted-no-token", request(`Sec-WebSocket-Extensions: a; b="c d"`), wire.MalformedExtensions, bad},
	{"field-malformed", request("+X A: b"), wire.MalformedHead, bad},
	{"control-byte", request("+X-A: b\x01"), wire.MalformedHead, bad},
	{"request-line-malformed", head("GET /", requestFields), wire.MalformedRequestLine, bad},
	{"head-too-large", request("+X-A: " + strings.Repeat("a", wire.MaxHeadBytes)), wire.HeadTooLarge, http.StatusRequestHeaderFieldsTooLarge},
}

// Handshakes returns the requests.
func Handshakes() []Handshake {
	var list []Handshake
	accept := func(id, request string) Handshake {
		fields := map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": sampleAccept,
			"Sec-WebSocket-Protocol": "", "Sec-WebSocket-Extensions": "",
		}
		return Handshake{ID: "request/" + id, Request: request, Status: http.StatusSwitchingProtocols, Fields: fields}
	}
	for _, c := range accepted {
		h := accept(c.id, c.request)
		if c.field != "" {
			h.Fields[c.field] = c.value
		}
		list = append(list, h)
	}
	for _, c := range deflated {
		h := accept(c.id, request("Sec-WebSocket-Extensions: "+c.offer))
		h.Fields["Sec-WebSocket-Extensions"] = c.answer
		list = append(list, h)
	}
	for _, c := range refused {
		h := Handshake{ID: "request/" + c.id, Request: c.request, Status: c.status, Fault: c.fault, Fields: map[string]string{
			"Sec-WebSocket-Accept": "",
		}}
		if c.status == http.StatusUpgradeRequired {
			h.Fields["Sec-WebSocket-Version"], h.Fields["Upgrade"] = wire.ProtocolVersion, "websocket"
		}
		list = append(list, h)
	}
	return list
}

const extensions = "Sec-WebSocket-Extensions: "

var answers = []Answer{
	{"response/plain", response(), 0},
	{"response/tokens-in-any-case", response("Upgrade: WEBSOCKET", "Connection: keep-alive, upgrade"), 0},
	{"response/spaces-around-accept", response("Sec-WebSocket-Accept:  " + sampleAccept + "\t"), 0},
	{"response/subprotocol", response("Sec-WebSocket-Protocol: log"), 0},
	{"response/deflate", response(extensions + "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10"), 0},
	{"response/field-malformed", response("+X A: b"), wire.MalformedResponseHead},
	{"response/status-line-malformed", head("HTTP/1.1 1010", responseFields), wire.MalformedStatusLine},
	{"response/body", response("Content-Length: 1"), wire.UnexpectedResponseBody},
	{"response/status-200", head("HTTP/1.1 200 OK", responseFields), wire.NotSwitched},
	{"response/status-401", head("HTTP/1.1 401 Unauthorized", nil, "WWW-Authenticate: Basic"), wire.NotSwitched},
	{"response/no-upgrade", response("-Upgrade"), wire.WrongResponseUpgrade},
	{"response/upgrade-to-other", response("Upgrade: websockets"), wire.WrongResponseUpgrade},
	{"response/no-connection", response("-Connection"), wire.NoResponseConnectionUpgrade},
	{"response/connection-other", response("Connection: close"), wire.NoResponseConnectionUpgrade},
	{"response/no-accept", response("-Sec-WebSocket-Accept"), wire.WrongAccept},
	{"response/other-accept", response("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="), wire.WrongAccept},
	{"response/two-accepts", response("+Sec-WebSocket-Accept: " + sampleAccept), wire.WrongAccept},
	{"response/subprotocol-not-offered", response("Sec-WebSocket-Protocol: Chat"), wire.WrongSubprotocol},
	{"response/two-subprotocols", response("+Sec-WebSocket-Protocol: chat", "+Sec-WebSocket-Protocol: log"), wire.WrongSubprotocol},
	{"response/extension-not-offered", response(extensions + "x"), wire.WrongExtensions},
	{"response/extension-malformed", response(extensions + "permessage-deflate;"), wire.WrongExtensions},
	{"response/deflate-twice", response(extensions + "permessage-deflate, permessage-deflate"), wire.WrongExtensions},
	{"response/deflate-unknown-parameter", response(extensions + "permessage-deflate; x"), wire.WrongDeflateParameters},
	{"response/deflate-invalid-value", response(extensions + "permessage-deflate; server_max_window_bits=7"), wire.WrongDeflateParameters},
	{"response/deflate-zero-in-front", response(extensions + "permessage-deflate; server_max_window_bits=09"), wire.WrongDeflateParameters},
	{"response/deflate-no-value", response(extensions + "permessage-deflate; client_max_window_bits"), wire.WrongDeflateParameters},
	{"response/deflate-no-context-with-value", response(extensions + "permessage-deflate; server_no_context_takeover=1"), wire.WrongDeflateParameters},
	{"response/deflate-parameter-twice", response(extensions + "permessage-deflate; server_no_context_takeover; server_no_context_takeover"), wire.WrongDeflateParameters},
}

// Answers returns the responses.
func Answers() []Answer { return answers }
