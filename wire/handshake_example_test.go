package wire_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// A handler of net/http upgrades by itself: check, choose, take the connection, answer.
func ExampleCheckRequest() {
	origins, err := wire.ParseOrigins("https://app.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	upgrade := func(w http.ResponseWriter, r *http.Request) {
		offer, err := wire.CheckRequest(r)
		if err == nil {
			err = origins.Check(offer)
		}
		if violation, refused := err.(wire.HandshakeViolation); refused {
			violation.Refuse(w, r)
			return
		}
		agreed := wire.Agreement{Subprotocol: wire.ChooseSubprotocol(offer.Subprotocols, []string{"chat.v2", "chat.v1"})}
		deflate, compressed := wire.ChooseDeflate(offer.Extensions, wire.Deflate{})
		if compressed {
			agreed.Extensions = append(agreed.Extensions, deflate.Response())
		}
		answer, err := wire.AppendResponse(nil, offer, agreed, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		if _, err = conn.Write(answer); err != nil {
			return
		}
		// Frames that the client sent behind its request are in buffered.Reader. From here on see the package's example.
		_ = buffered
	}
	server := httptest.NewServer(http.HandlerFunc(upgrade))
	defer server.Close()

	for _, origin := range []string{"https://app.example.com", "https://evil.example"} {
		request, _ := http.NewRequest(http.MethodGet, server.URL, http.NoBody)
		request.Header = http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Origin": {origin}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {"chat.v1, chat.v2"},
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer response.Body.Close()
		fmt.Println(response.Status, response.Header.Get("Sec-WebSocket-Accept"), response.Header.Get("Sec-WebSocket-Protocol"))
	}
	// Output:
	// 101 Switching Protocols s3pPLMBiTxaQ9kYGzzhZRbK+xOo= chat.v2
	// 403 Forbidden
}

// A tap has the bytes of both directions and no connection of its own.
func ExampleCheckResponse() {
	request := []byte("GET /chat HTTP/1.1\r\nHost: api.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	response := []byte(strings.ReplaceAll("HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: Upgrade|"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=|Sec-WebSocket-Protocol: chat||", "|", "\r\n"))

	asked, _, err := wire.ParseRequest(request) // io.ErrUnexpectedEOF: the head is not complete
	if err != nil {
		fmt.Println(err)
		return
	}
	offer, err := wire.CheckRequest(asked)
	if err != nil {
		fmt.Println(err)
		return
	}
	answered, _, err := wire.ParseResponse(response)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = wire.CheckResponse(answered, offer)
	fmt.Println(err)
	// Output:
	// websocket handshake: Sec-WebSocket-Protocol must be one of those offered, once (RFC 6455 §4.1)
}
