package endpoint_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Each attack is tried over a socket while another connection goes on: the answer is the right one, and an event says so.
// What is about memory and time is in flood_test.go.

// frame is a masked frame.
func frame(h wire.Header, payload string) string {
	h.Masked, h.Key = true, [4]byte{1, 2, 3, 4}
	return string(wire.AppendFrame(nil, h, []byte(payload)))
}

func whole(op wire.Opcode) wire.Header { return wire.Header{Opcode: op, Fin: true} }

func TestFramesThatBreakTheProtocol(t *testing.T) {
	t.Parallel()
	unmasked := string(wire.AppendFrame(nil, whole(wire.OpText), []byte("x")))
	for name, c := range map[string]struct {
		frames    string
		code      wire.CloseCode
		errorType string
	}{
		"a length with the top bit set":     {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 1002, event.OtherError},
		"a length not in its shortest form": {"\x81\xfe\x00\x01\x00\x00\x00\x00x", 1002, event.OtherError},
		"a longer one":                      {"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00x", 1002, event.OtherError},
		"RSV1 without compression":          {frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "x"), 1002, event.ReservedBits},
		"RSV1 on a ping":                    {frame(wire.Header{Opcode: wire.OpPing, Fin: true, RSV: wire.RSV1}, ""), 1002, event.ReservedBits},
		"RSV1 on a continuation":            {frame(wire.Header{Opcode: wire.OpText}, "x") + frame(wire.Header{Fin: true, RSV: wire.RSV1}, "x"), 1002, event.ReservedBits},
		"RSV2":                              {frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV2}, "x"), 1002, event.ReservedBits},
		"RSV3":                              {frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV3}, "x"), 1002, event.ReservedBits},
		"bad UTF-8":                         {frame(whole(wire.OpText), "\xff"), 1007, event.InvalidUTF8},
		"bad UTF-8 in a frame that is not finished": {frame(whole(wire.OpText), "ok\xff and the rest is missing")[:9], 1007, event.InvalidUTF8},
		"bad UTF-8 in the first fragment":           {frame(wire.Header{Opcode: wire.OpText}, "\xc0\xaf"), 1007, event.InvalidUTF8},
		"a close code that must not be sent":        {frame(whole(wire.OpClose), "\x03\xee"), 1002, event.InvalidCloseCode},
		"a close frame with one byte":               {frame(whole(wire.OpClose), "\x03"), 1002, event.InvalidCloseCode},
		"a close reason over 123 bytes":             {frame(whole(wire.OpClose), "\x03\xe8"+strings.Repeat("x", 124)), 1002, event.ControlTooBig},
		"a close reason that is not UTF-8":          {frame(whole(wire.OpClose), "\x03\xe8\xff"), 1007, event.InvalidUTF8},
		"a frame that is not masked":                {unmasked, 1002, event.UnmaskedClientFrame},
		"a reserved opcode":                         {frame(whole(3), "x"), 1002, event.ReservedOpcode},
		"a reserved control opcode":                 {frame(whole(11), ""), 1002, event.ReservedOpcode},
		"a fragmented ping":                         {frame(wire.Header{Opcode: wire.OpPing}, "x"), 1002, event.FragmentedControl},
		"a ping of 126 bytes":                       {frame(whole(wire.OpPing), strings.Repeat("x", 126)), 1002, event.ControlTooBig},
		"a continuation of nothing":                 {frame(whole(wire.OpContinuation), "x"), 1002, event.OtherError},
		"a message in a message":                    {frame(wire.Header{Opcode: wire.OpText}, "x") + frame(whole(wire.OpText), "x"), 1002, event.OtherError},
		"a message over the limit":                  {frame(whole(wire.OpBinary), strings.Repeat("x", 70000)), 1009, event.MessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := serve
			if c.code == 1007 || c.code == 1009 {
				start = serveTLS
			}
			s := start(t, config())
			other, bad := s.open(t), s.open(t)
			bad.text("before")
			written := make(chan struct{})
			go func() { bad.Write([]byte(c.frames)); close(written) }() // all of it may not be taken
			require.Equal(t, "before", string(bad.next().Payload))
			code, _ := bad.closed()
			require.Equal(t, c.code, code)
			<-written
			bad.Write(bad.writer.AppendClose(nil, code, "")) // may not be taken either
			bad.ended()
			other.works()
			told := s.log.wait(event.Error, nil)
			require.Equal(t, c.errorType, told.String(event.ErrorType))
			require.Equal(t, int64(c.code), told.Get(event.CloseCode).Int())
			end := s.log.wait(event.Close, nil)
			require.Equal(t, told.String(event.ConnectionID), end.String(event.ConnectionID))
			require.Equal(t, "server", end.String(event.CloseInitiator))
			require.Equal(t, int64(1), end.Get(event.IOMessagesReceived).Int())
			// Where a frame ends can be known, the client's answer is seen.
			answered := !strings.Contains(name, "top bit") && !strings.Contains(name, "not finished")
			require.Equal(t, answered, end.Get(event.CloseClean).Bool())
			other.bye()
		})
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	t.Parallel()
	without := func(field string) string {
		var kept []string
		for _, line := range strings.SplitAfter(handshake, "\r\n") {
			if !strings.HasPrefix(line, field) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const end = "\r\n"
	for name, c := range map[string]struct {
		request   string
		status    int
		errorType string
		strict    bool // a client without an Origin is refused
	}{
		"an Origin of another site":             {handshake + "Origin: https://evil.example\r\n" + end, 403, event.Forbidden, false},
		"no Origin":                             {handshake + end, 403, event.Forbidden, true},
		"two Origins":                           {handshake + "Origin: http://chat.example.com\r\nOrigin: http://chat.example.com\r\n" + end, 403, event.Forbidden, false},
		"an Origin in another scheme's clothes": {handshake + "Origin: http://chat.example.com.evil.example\r\n" + end, 403, event.Forbidden, false},
		"two keys":                              {handshake + key + end, 400, event.BadHandshake, false},
		"no key":                                {without("Sec-WebSocket-Key") + end, 400, event.BadHandshake, false},
		"a key of 15 bytes":                     {without("Sec-WebSocket-Key") + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" + end, 400, event.BadHandshake, false},
		"no version":                            {without("Sec-WebSocket-Version") + end, 426, event.BadHandshake, false},
		"version 8":                             {without("Sec-WebSocket-Version") + "Sec-WebSocket-Version: 8\r\n" + end, 426, event.BadHandshake, false},
		"no Upgrade":                            {without("Upgrade") + end, 426, event.BadHandshake, false},
		"no Connection":                         {without("Connection") + end, 400, event.BadHandshake, false},
		"POST":                                  {strings.Replace(handshake, "GET", "POST", 1) + end, 405, event.BadHandshake, false},
		"TRACE":                                 {strings.Replace(handshake, "GET", "TRACE", 1) + end, 405, event.BadHandshake, false},
		"a body":                                {handshake + "Content-Length: 4\r\n" + end + "body", 400, event.BadHandshake, false},
		"a body in chunks":                      {handshake + "Transfer-Encoding: chunked\r\n" + end + "0\r\n\r\n", 400, event.BadHandshake, false},
		"HTTP/1.0":                              {strings.Replace(handshake, "1.1", "1.0", 1) + end, 400, event.BadHandshake, false},
		"two Hosts":                             {handshake + "Host: chat.example.com\r\n" + end, 400, event.BadHandshake, false},
		"no Host":                               {without("Host") + end, 400, event.BadHandshake, false},
		"subprotocols that are none":            {handshake + "Sec-WebSocket-Protocol: a b\r\n" + end, 400, event.BadHandshake, false},
		"a head of 4 MiB":                       {handshake + "X-Pad: " + strings.Repeat("x", 4<<20), 431, event.BadHandshake, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.Origins.AllowMissing = !c.strict
			s := serve(t, set)
			origin := "Origin: http://chat.example.com\r\n"
			other := s.open(t, origin)
			conn, err := net.Dial("tcp", s.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			go conn.Write([]byte(c.request)) // all of it may not be taken
			bad := &client{Conn: conn, t: t}
			require.Equal(t, c.status, bad.status())
			require.Contains(t, bad.head, "close")
			require.Contains(t, bad.head, "Content-Type: text/plain; charset=utf-8")
			require.NotContains(t, bad.head, "Server:")
			told := s.log.wait(event.HandshakeRejected, nil)
			require.Equal(t, c.errorType, told.String(event.ErrorType))
			require.Equal(t, int64(c.status), told.Get(event.HTTPResponseStatusCode).Int())
			require.Len(t, s.log.all(event.HandshakeRejected), 1)
			s.log.wait(event.Open, nil)
			require.Len(t, s.log.all(event.Open), 1)
			other.works()
			other.bye()
		})
	}
}

func TestAHeadThatComesSlowlyIsAnsweredWith408(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head   string
		secure bool
	}{
		"in the middle of a field":        {"GET /chat HTTP/1.1\r\nHost: ch", false},
		"in the middle of a name":         {"GET /chat HTTP/1.1\r\nHos", false},
		"in the middle of its first line": {"GET /cha", false},
		"over TLS":                        {"GET /cha", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := endpoint.ServerSettings{HeaderTimeout: time.Second}
			a := newAuthority(t)
			if c.secure {
				set.CertFile, set.KeyFile = a.issue("server", 2)
			}
			s := serveBy(t, config(), set)
			if c.secure {
				s.tls = a.trust()
			}
			other := s.open(t)
			slow := s.dial(t, c.head)
			require.Equal(t, http.StatusRequestTimeout, slow.status())
			rest, err := io.ReadAll(slow)
			require.NoError(t, err)
			require.Empty(t, string(slow.in)+string(rest), "one answer")
			told := s.log.wait(event.HandshakeRejected, nil)
			require.Equal(t, event.BadHandshake, told.String(event.ErrorType))
			require.Equal(t, int64(408), told.Get(event.HTTPResponseStatusCode).Int())
			other.works()
			other.bye()
		})
	}
}

func TestWhatIsNoTLSIsTold(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, config())
	other := s.open(t)
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	bad := &client{Conn: conn, t: t}
	bad.send("GET / HTTP/1.1\r\n\r\n")
	require.Equal(t, event.TLSFailed, s.log.wait(event.HandshakeRejected, nil).String(event.ErrorType))
	other.works()
	other.bye()
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	for name, offer := range map[string]*tls.Config{
		"TLS 1.1":          {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"TLS 1.2 with RC4": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, config())
			other := s.open(t)
			offer.RootCAs = s.tls.RootCAs
			_, err := tls.Dial("tcp", s.addr, offer)
			require.ErrorContains(t, err, "remote error: tls:")
			require.Equal(t, event.TLSFailed, s.log.wait(event.HandshakeRejected, nil).String(event.ErrorType))
			other.works()
		})
	}
}
