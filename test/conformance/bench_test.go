package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

// peer is a WebSocket library as a server. serve upgrades and then hands over every message; what it returns, unless it is
// nil, is sent back.
type peer struct {
	name  string
	serve func(http.ResponseWriter, *http.Request, func(message []byte) (echo []byte))
}

var peers = []peer{
	{"wire", serveWire}, {"gorilla", serveGorilla}, {"coder", serveCoder}, {"gobwas", serveGobwas}, {"gws", serveGWS},
}

// readBuffer is what each reads into, where it can be told.
const readBuffer = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// serveWire does what an endpoint does: while there is nothing to read it holds no buffer, and what it answers to one read
// goes out in one write.
func serveWire(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	offer, err := wire.CheckRequest(r)
	if err != nil {
		return
	}
	answer, err := wire.AppendResponse(nil, offer, wire.Agreement{}, nil)
	if err != nil {
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := conn.Write(answer); err != nil {
		return
	}
	reader := wire.NewMessageReader(wire.ReaderSettings{})
	defer reader.Release()
	writer := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	answerAll := func(in, out []byte) (_ []byte, err error) {
		for {
			m, rest, err := reader.Next(in)
			if err != nil || !m.Ready() {
				return out, err
			}
			if in = rest; m.Opcode.Data() {
				if echo := handle(m.Payload); echo != nil {
					out = writer.AppendMessage(out, m.Opcode, echo)
				}
			}
		}
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		serveTCP(tcp, answerAll)
		return
	}
	in := new([readBuffer]byte)
	for {
		n, err := conn.Read(in[:])
		if err != nil {
			return
		}
		if _, err := answerAll(in[:n], nil); err != nil {
			return
		}
	}
}

func serveTCP(conn *net.TCPConn, answer func(in, out []byte) ([]byte, error)) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	var in, out *[readBuffer]byte
	var n int
	var problem error
	read := func(fd uintptr) bool {
		in = readBuffers.Get().(*[readBuffer]byte)
		n, problem = syscall.Read(int(fd), in[:])
		if problem == syscall.EAGAIN {
			readBuffers.Put(in)
			return false
		}
		return true
	}
	for {
		if err := raw.Read(read); err != nil || problem != nil || n == 0 {
			return
		}
		out = readBuffers.Get().(*[readBuffer]byte)
		answers, err := answer(in[:n], out[:0])
		if err == nil && len(answers) > 0 {
			_, err = conn.Write(answers)
		}
		readBuffers.Put(in)
		readBuffers.Put(out)
		if err != nil {
			return
		}
	}
}

func serveGorilla(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	up := websocket.Upgrader{ReadBufferSize: readBuffer, WriteBufferSize: 4096, WriteBufferPool: new(sync.Pool), CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	var message bytes.Buffer
	for {
		kind, body, err := conn.NextReader()
		if err != nil {
			return
		}
		message.Reset()
		if _, err = message.ReadFrom(body); err != nil || !utf8.Valid(message.Bytes()) { // it leaves UTF-8 to its user
			return
		}
		if echo := handle(message.Bytes()); echo != nil && conn.WriteMessage(kind, echo) != nil {
			return
		}
	}
}

func serveCoder(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	conn, err := coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true, CompressionMode: coder.CompressionDisabled})
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	ctx := context.Background()
	var message bytes.Buffer
	for {
		kind, body, err := conn.Reader(ctx)
		if err != nil {
			return
		}
		message.Reset()
		if _, err = message.ReadFrom(body); err != nil || !utf8.Valid(message.Bytes()) { // so does this one
			return
		}
		if echo := handle(message.Bytes()); echo != nil && conn.Write(ctx, kind, echo) != nil {
			return
		}
	}
}

// serveGobwas uses the library's frames, its fastest way, with one read of a buffer and one write a message.
func serveGobwas(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, readBuffer)
	var message []byte
	var out bytes.Buffer
	for {
		header, err := ws.ReadHeader(in)
		if err != nil || ws.CheckHeader(header, ws.StateServerSide) != nil || header.Length > 64<<10 {
			return
		}
		if int64(cap(message)) < header.Length {
			message = make([]byte, header.Length)
		}
		message = message[:header.Length]
		if _, err = io.ReadFull(in, message); err != nil {
			return
		}
		ws.Cipher(message, header.Mask, 0)
		if !utf8.Valid(message) {
			return
		}
		if echo := handle(message); echo != nil {
			out.Reset()
			if ws.WriteFrame(&out, ws.NewFrame(header.OpCode, true, echo)) != nil {
				return
			}
			if _, err = conn.Write(out.Bytes()); err != nil {
				return
			}
		}
	}
}

type gwsHandler struct {
	gws.BuiltinEventHandler
	handle func([]byte) []byte
}

func (h gwsHandler) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close()
	if echo := h.handle(m.Bytes()); echo != nil {
		_ = conn.WriteMessage(m.Opcode, echo)
	}
}

func serveGWS(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	up := gws.NewUpgrader(gwsHandler{handle: handle}, &gws.ServerOption{ReadBufferSize: readBuffer, CheckUtf8Enabled: true})
	conn, err := up.Upgrade(w, r)
	if err != nil {
		return
	}
	conn.ReadLoop()
}

// text is a message of size bytes, as services send them.
func text(size int) []byte {
	return []byte(strings.Repeat(`{"type":"update","id":12345,"price":"104.25"},`, size/45+1))[:size]
}

// tape is a connection on which frames come in as fast as they are read, left bytes of them.
type tape struct {
	net.Conn
	frames []byte
	at     int
	left   int64
}

func (c *tape) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(copy(p, c.frames[c.at:])), c.left))
	c.at = (c.at + n) % len(c.frames)
	c.left -= int64(n)
	return n, nil
}

func (c *tape) Write(p []byte) (int, error)      { return len(p), nil }
func (c *tape) Close() error                     { return nil }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }
func (c *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }

// hijacked is a response that gives its connection away.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, readBuffer), bufio.NewWriter(h.conn)), nil
}

func upgrade() *http.Request {
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: "/"}, RequestURI: "/", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", Body: http.NoBody,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		},
	}
}

// BenchmarkPeersRead reads messages that are there already: parse, unmask, check UTF-8.
func BenchmarkPeersRead(b *testing.B) {
	for _, size := range []int{125, 4096} {
		frame := len(wire.AppendHeader(nil, wire.Header{Length: int64(size), Masked: true})) + size
		client := wire.NewWriter(wire.WriterSettings{Side: wire.Client})
		var frames []byte
		for len(frames) < 256<<10 {
			frames = client.AppendMessage(frames, wire.OpText, text(size))
		}
		for _, p := range peers {
			b.Run(fmt.Sprintf("%d/%s", size, p.name), func(b *testing.B) {
				conn := &tape{frames: frames, left: int64(b.N) * int64(frame)}
				got := 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				report := testenv.CPU(b)
				p.serve(hijacked{httptest.NewRecorder(), conn}, upgrade(), func(m []byte) []byte {
					if len(m) == size {
						got++
					}
					return nil
				})
				report(b.N)
				require.Equal(b, b.N, got)
			})
		}
	}
}

// BenchmarkPeersEcho echoes 125 bytes over loopback, with the same client for all. CPU time is that of client and server.
func BenchmarkPeersEcho(b *testing.B) {
	for _, burst := range []int{1, 16} {
		for _, p := range append(peers[:len(peers):len(peers)], peer{"endpoint", serveEndpoint}) {
			b.Run(fmt.Sprintf("burst-%d/%s", burst, p.name), func(b *testing.B) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p.serve(w, r, func(m []byte) []byte { return m })
				}))
				defer server.Close()
				const connections = 4
				var clients [connections]net.Conn
				for i := range clients {
					clients[i] = dial(b, server.Listener.Addr().String())
					defer clients[i].Close()
				}
				b.ReportAllocs()
				b.ResetTimer()
				report := testenv.CPU(b)
				faults := make(chan error, connections)
				rounds := b.N/(burst*connections) + 1
				for _, conn := range clients {
					go func() { faults <- echo(conn, burst, rounds) }()
				}
				for range clients {
					require.NoError(b, <-faults)
				}
				report(rounds * burst * connections)
			})
		}
	}
}

func dial(tb testing.TB, address string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(tb, err)
	return shakeHands(tb, conn)
}

func shakeHands(tb testing.TB, conn net.Conn) net.Conn {
	tb.Helper()
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(tb, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	require.NoError(tb, err)
	require.Equal(tb, http.StatusSwitchingProtocols, response.StatusCode)
	require.Zero(tb, in.Buffered())
	return conn
}

// echo sends bursts of messages and reads what comes back.
func echo(conn net.Conn, burst, rounds int) error {
	const size = 125
	client, server := wire.NewWriter(wire.WriterSettings{Side: wire.Client}), wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	var sent, want []byte
	for range burst {
		sent = client.AppendMessage(sent, wire.OpText, text(size))
		want = server.AppendMessage(want, wire.OpText, text(size))
	}
	got := make([]byte, len(want))
	for range rounds {
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return errors.New("what came back is not what was sent")
		}
	}
	return nil
}
