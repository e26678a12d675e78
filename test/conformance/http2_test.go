package conformance

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// TestExtendedConnectOverHTTP2 opens a WebSocket over a stream of net/http's own HTTP/2 (RFC 8441). net/http allows
// extended CONNECT only to programs that begin with this setting, so the test begins again with it.
func TestExtendedConnectOverHTTP2(t *testing.T) {
	const setting = "http2xconnect=1"
	if !strings.Contains(os.Getenv("GODEBUG"), setting) {
		t.Parallel()
		again := exec.Command(os.Args[0], "-test.run=^TestExtendedConnectOverHTTP2$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG="+setting)
		out, err := again.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(echoOverStream))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	body, send := io.Pipe()
	request, err := http.NewRequest(http.MethodConnect, server.URL+"/chat", body)
	require.NoError(t, err)
	request.Header = http.Header{
		":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"chat"}, "Origin": {server.URL},
	}
	// http.Transport lets no pseudo-header through; its HTTP/2 below does.
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	plain, err := client.Get(server.URL) // what is no extended CONNECT is refused; it also sets HTTP/2 up
	require.NoError(t, err)
	plain.Body.Close()
	require.Equal(t, http.StatusBadRequest, plain.StatusCode)
	address := server.Listener.Addr().String()
	config := transport.TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, config)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	response, err := transport.TLSNextProto["h2"](address, conn).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 2, response.ProtoMajor)
	agreed, err := wire.CheckResponse(response, wire.Offer{Extended: true, Subprotocols: []string{"chat"}})
	require.NoError(t, err)
	require.Equal(t, "chat", agreed.Subprotocol)

	_, err = send.Write(whole(text("over a stream")))
	require.NoError(t, err)
	got := make([]byte, 2+len("over a stream"))
	_, err = io.ReadFull(response.Body, got)
	require.NoError(t, err)
	require.Equal(t, "\x81\x0dover a stream", string(got))
	_, err = send.Write(whole(closing(code(1000, ""))))
	require.NoError(t, err)
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "\x88\x02\x03\xe8", string(rest))
	send.Close()

	client.CloseIdleConnections()
}

func echoOverStream(w http.ResponseWriter, r *http.Request) {
	offer, err := wire.CheckRequest(r)
	if err == nil {
		err = wire.Origins{}.Check(offer)
	}
	if violation := wire.HandshakeViolation(0); errors.As(err, &violation) {
		violation.Refuse(w, r)
		return
	}
	w.Header().Set("Sec-WebSocket-Protocol", wire.ChooseSubprotocol(offer.Subprotocols, []string{"chat"}))
	w.WriteHeader(http.StatusOK)
	stream := http.NewResponseController(w)
	c := connection{
		reader: wire.NewMessageReader(wire.ReaderSettings{}), writer: wire.NewWriter(wire.WriterSettings{Side: wire.Server}),
	}
	defer c.reader.Release()
	buffer := make([]byte, 1024)
	for closing := false; !closing; {
		if stream.Flush() != nil || stream.SetReadDeadline(time.Now().Add(patience)) != nil {
			return
		}
		n, err := r.Body.Read(buffer)
		if err != nil {
			return
		}
		closing = c.answer(buffer[:n])
		if _, err = w.Write(c.out); err != nil {
			return
		}
		c.out = c.out[:0]
	}
}
