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

// Handshakes returns the requests.
func Handshakes() []Handshake {
	switched := map[string]string{"Sec-WebSocket-Accept": sampleAccept, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "", "Sec-WebSocket-Extensions": ""}
	ok := func(id, request string, fields map[string]string) Handshake {
		all := map[string]string{}
		for _, list := range []map[string]string{switched, fields} {
			for name, value := range list {
				all[name] = value
			}
		}
		return Handshake{ID: "request/" + id, Request: request, Status: http.StatusSwitchingProtocols, Fields: all}
	}
	no := func(id, request string, fault wire.HandshakeViolation, status int) Handshake {
		h := Handshake{ID: "request/" + id, Request: request, Status: status, Fault: fault, Fields: map[string]string{"Sec-WebSocket-Accept": ""}}
		if status == http.StatusUpgradeRequired {
			h.Fields["Sec-WebSocket-Version"], h.Fields["Upgrade"] = "13", "websocket"
		}
		return h
	}
	const bad = http.StatusBadRequest
	return []Handshake{
		ok("plain", request(), nil),
		ok("tokens-in-any-case", request("Upgrade: WebSocket", "Connection: keep-alive, UPGRADE"), nil),
		ok("names-in-any-case", strings.ReplaceAll(request(), "Sec-WebSocket", "SEC-WEBSOCKET"), nil),
		ok("with-query", head("GET /chat?a=b HTTP/1.1", requestFields), nil),
		ok("absolute-target", head("GET http://echo.example/ HTTP/1.1", requestFields), nil),
		ok("unknown-fields", request("X-Unknown: a", "Cookie: a=b"), nil),
		ok("origin", request("Origin: https://echo.example"), nil),
		ok("subprotocol", request("Sec-WebSocket-Protocol: log, chat"), map[string]string{"Sec-WebSocket-Protocol": "chat"}),
		ok("subprotocol-in-lines", request("+Sec-WebSocket-Protocol: log", "+Sec-WebSocket-Protocol: chat"), map[string]string{"Sec-WebSocket-Protocol": "chat"}),
		ok("subprotocol-unknown", request("Sec-WebSocket-Protocol: Chat, x"), nil),
		ok("extension-unknown", request("Sec-WebSocket-Extensions: x; y=1"), nil),
		ok("extension-in-lines", request("+Sec-WebSocket-Extensions: x", "+Sec-WebSocket-Extensions: permessage-deflate"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate"}),
		ok("deflate", request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate"}),
		ok("deflate-server-window", request("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=10"}),
		ok("deflate-window-in-quotes", request(`Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="10"`), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=10"}),
		ok("deflate-client-window", request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=10"}),
		ok("deflate-server-no-context", request("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover"}),
		ok("deflate-client-no-context", request("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"}),
		ok("deflate-second-offer", request("Sec-WebSocket-Extensions: permessage-deflate; x, permessage-deflate; server_max_window_bits=9, permessage-deflate"), map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=9"}),
		ok("deflate-unknown-parameter", request("Sec-WebSocket-Extensions: permessage-deflate; x"), nil),
		ok("deflate-parameter-twice", request("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_no_context_takeover"), nil),
		ok("deflate-no-context-with-value", request("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover=1"), nil),
		ok("deflate-window-7", request("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"), nil),
		ok("deflate-window-16", request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=16"), nil),
		ok("deflate-window-zero-in-front", request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=08"), nil),
		ok("deflate-server-window-without-value", request("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits"), nil),

		no("post", head("POST / HTTP/1.1", requestFields), wire.WrongMethod, http.StatusMethodNotAllowed),
		no("http-1.0", head("GET / HTTP/1.0", requestFields), wire.WrongHTTPVersion, bad),
		no("no-host", request("-Host"), wire.InvalidHost, bad),
		no("two-hosts", request("+Host: echo.example"), wire.InvalidHost, bad),
		no("bad-host", request("Host: a b"), wire.InvalidHost, bad),
		no("no-upgrade", request("-Upgrade"), wire.NotUpgrade, http.StatusUpgradeRequired),
		no("upgrade-to-other", request("Upgrade: h2c"), wire.NotUpgrade, http.StatusUpgradeRequired),
		no("no-connection", request("-Connection"), wire.NoConnectionUpgrade, bad),
		no("connection-other", request("Connection: keep-alive"), wire.NoConnectionUpgrade, bad),
		no("no-key", request("-Sec-WebSocket-Key"), wire.InvalidKey, bad),
		no("short-key", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), wire.InvalidKey, bad),
		no("key-no-base64", request("Sec-WebSocket-Key: ************************"), wire.InvalidKey, bad),
		no("two-keys", request("+Sec-WebSocket-Key: "+sampleKey), wire.InvalidKey, bad),
		no("no-version", request("-Sec-WebSocket-Version"), wire.WrongVersion, http.StatusUpgradeRequired),
		no("version-8", request("Sec-WebSocket-Version: 8"), wire.WrongVersion, http.StatusUpgradeRequired),
		no("two-versions", request("+Sec-WebSocket-Version: 8"), wire.WrongVersion, http.StatusUpgradeRequired),
		no("body", request("Content-Length: 1"), wire.UnexpectedBody, bad),
		no("chunked", request("Transfer-Encoding: chunked"), wire.UnexpectedBody, bad),
		no("two-origins", request("+Origin: https://a.example", "+Origin: https://b.example"), wire.InvalidOrigin, http.StatusForbidden),
		no("bad-origin", request("Origin: a.example"), wire.InvalidOrigin, http.StatusForbidden),
		no("subprotocol-no-token", request("Sec-WebSocket-Protocol: a b"), wire.MalformedSubprotocols, bad),
		no("subprotocol-empty", request("Sec-WebSocket-Protocol: ,"), wire.MalformedSubprotocols, bad),
		no("subprotocol-twice", request("Sec-WebSocket-Protocol: chat, chat"), wire.MalformedSubprotocols, bad),
		no("extension-malformed", request("Sec-WebSocket-Extensions: a; b="), wire.MalformedExtensions, bad),
		no("extension-quoted-no-token", request(`Sec-WebSocket-Extensions: a; b="c d"`), wire.MalformedExtensions, bad),
		no("field-malformed", request("+X A: b"), wire.MalformedHead, bad),
		no("control-byte", request("+X-A: b\x01"), wire.MalformedHead, bad),
		no("request-line-malformed", head("GET /", requestFields), wire.MalformedRequestLine, bad),
		no("head-too-large", request("+X-A: "+strings.Repeat("a", wire.MaxHeadBytes)), wire.HeadTooLarge, http.StatusRequestHeaderFieldsTooLarge),
	}
}

// Answers returns the responses.
func Answers() []Answer {
	ok := func(id, response string) Answer { return Answer{ID: "response/" + id, Response: response} }
	no := func(id, response string, fault wire.HandshakeViolation) Answer {
		return Answer{"response/" + id, response, fault}
	}
	const extensions = "Sec-WebSocket-Extensions: "
	return []Answer{
		ok("plain", response()),
		ok("tokens-in-any-case", response("Upgrade: WEBSOCKET", "Connection: keep-alive, upgrade")),
		ok("spaces-around-accept", response("Sec-WebSocket-Accept:  "+sampleAccept+"\t")),
		ok("subprotocol", response("Sec-WebSocket-Protocol: log")),
		ok("deflate", response(extensions+"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10")),
		no("status-200", head("HTTP/1.1 200 OK", responseFields), wire.NotSwitched),
		no("status-401", head("HTTP/1.1 401 Unauthorized", nil, "WWW-Authenticate: Basic"), wire.NotSwitched),
		no("no-upgrade", response("-Upgrade"), wire.WrongResponseUpgrade),
		no("upgrade-to-other", response("Upgrade: websockets"), wire.WrongResponseUpgrade),
		no("no-connection", response("-Connection"), wire.NoResponseConnectionUpgrade),
		no("connection-other", response("Connection: close"), wire.NoResponseConnectionUpgrade),
		no("no-accept", response("-Sec-WebSocket-Accept"), wire.WrongAccept),
		no("other-accept", response("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="), wire.WrongAccept),
		no("two-accepts", response("+Sec-WebSocket-Accept: "+sampleAccept), wire.WrongAccept),
		no("subprotocol-not-offered", response("Sec-WebSocket-Protocol: Chat"), wire.WrongSubprotocol),
		no("two-subprotocols", response("+Sec-WebSocket-Protocol: chat", "+Sec-WebSocket-Protocol: log"), wire.WrongSubprotocol),
		no("extension-not-offered", response(extensions+"x"), wire.WrongExtensions),
		no("extension-malformed", response(extensions+"permessage-deflate;"), wire.WrongExtensions),
		no("deflate-twice", response(extensions+"permessage-deflate, permessage-deflate"), wire.WrongExtensions),
		no("deflate-unknown-parameter", response(extensions+"permessage-deflate; x"), wire.WrongDeflateParameters),
		no("deflate-invalid-value", response(extensions+"permessage-deflate; server_max_window_bits=7"), wire.WrongDeflateParameters),
		no("deflate-zero-in-front", response(extensions+"permessage-deflate; server_max_window_bits=09"), wire.WrongDeflateParameters),
		no("deflate-no-value", response(extensions+"permessage-deflate; client_max_window_bits"), wire.WrongDeflateParameters),
		no("deflate-no-context-with-value", response(extensions+"permessage-deflate; server_no_context_takeover=1"), wire.WrongDeflateParameters),
		no("deflate-parameter-twice", response(extensions+"permessage-deflate; server_no_context_takeover; server_no_context_takeover"), wire.WrongDeflateParameters),
	}
}
