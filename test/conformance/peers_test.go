package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/sockeye-project/sockeye/wire"
)

// errDrained is what a connection in memory answers when all was read: more may come.
var errDrained = errors.New("no more bytes yet")

// memory is a connection whose other end has sent in, and keeps what is written.
type memory struct {
	in  bytes.Reader
	out bytes.Buffer
	// answer, if it is set, is asked once for the response to the request that was written.
	answer func(request []byte) []byte
}

func (m *memory) Read(p []byte) (int, error) {
	if m.answer != nil {
		rest, _ := io.ReadAll(&m.in)
		m.in.Reset(append(m.answer(m.out.Bytes()), rest...))
		m.out.Reset()
		m.answer = nil
	}
	if m.in.Len() == 0 {
		return 0, errDrained
	}
	return m.in.Read(p)
}

func (m *memory) Write(p []byte) (int, error)      { return m.out.Write(p) }
func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// hijacked is the http.ResponseWriter of a handshake in memory.
type hijacked struct {
	conn   *memory
	header http.Header
}

func (h *hijacked) Header() http.Header         { return h.header }
func (h *hijacked) Write(p []byte) (int, error) { return h.conn.Write(p) }
func (h *hijacked) WriteHeader(int)             {}
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 512), bufio.NewWriterSize(h.conn, 512)), nil
}

// mode is what was negotiated with a peer.
type mode struct {
	// compress is permessage-deflate, with context takeover where that is not forbidden.
	compress, takeover bool
}

func (m mode) deflate() *wire.Deflate {
	if !m.compress {
		return nil
	}
	return &wire.Deflate{ServerNoContextTakeover: !m.takeover, ClientNoContextTakeover: !m.takeover}
}

func (m mode) extension() string {
	if !m.compress {
		return ""
	}
	return m.deflate().Response().String()
}

// handshake is a client's request.
func (m mode) handshake() *http.Request {
	r := &http.Request{
		Method: http.MethodGet, Host: "a.example", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, URL: &url.URL{Path: "/"},
		Header: http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {sampleKey},
		},
	}
	if m.compress {
		r.Header.Set("Sec-WebSocket-Extensions", m.extension())
	}
	return r
}

// switching is a server's response to the key.
func (m mode) switching(key string) http.Header {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	h := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])}}
	if m.compress {
		h.Set("Sec-WebSocket-Extensions", m.extension())
	}
	return h
}

// another is a connection of another implementation: what it reads is in the memory, and so is what it writes.
type another interface {
	// read returns the next message. Control frames are kept aside, see verdict.
	read() (op byte, payload []byte, err error)
	// write sends a message in frames of the pieces, or a ping.
	write(op byte, pieces [][]byte) error
	// close sends a Close frame.
	close(code int, reason string) error
	// end is how err ended reading: "more", "close 1000" or "refused".
	end(err error) string
	// controls are the pings and pongs that came.
	controls() []Message
	// drop ends all without a word.
	drop()
}

// peerKinds are the implementations, by name.
var peerKinds = map[string]func(side wire.Side, m mode, conn *memory) another{
	"gorilla": newGorilla,
	"coder":   newCoder,
}

type gorillaPeer struct {
	*gorilla.Conn
	seen []Message
}

func newGorilla(side wire.Side, m mode, conn *memory) another {
	p := new(gorillaPeer)
	var err error
	if side == wire.Server {
		upgrader := gorilla.Upgrader{EnableCompression: m.compress, ReadBufferSize: 512, WriteBufferSize: 512}
		p.Conn, err = upgrader.Upgrade(&hijacked{conn: conn, header: http.Header{}}, m.handshake(), nil)
		conn.out.Reset()
	} else {
		conn.answer = func(request []byte) []byte {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
			check(err)
			var b bytes.Buffer
			b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
			check(m.switching(r.Header.Get("Sec-WebSocket-Key")).Write(&b))
			b.WriteString("\r\n")
			return b.Bytes()
		}
		dialer := gorilla.Dialer{
			EnableCompression: m.compress, ReadBufferSize: 512, WriteBufferSize: 512,
			NetDial: func(string, string) (net.Conn, error) { return conn, nil },
		}
		var response *http.Response
		p.Conn, response, err = dialer.Dial("ws://a.example/", nil)
		_ = response
		conn.out.Reset()
	}
	check(err)
	p.SetPingHandler(func(s string) error { p.seen = append(p.seen, ping(s)); return nil })
	p.SetPongHandler(func(s string) error { p.seen = append(p.seen, pong(s)); return nil })
	p.SetCloseHandler(func(int, string) error { return nil })
	return p
}

func (p *gorillaPeer) read() (byte, []byte, error) {
	kind, payload, err := p.ReadMessage()
	return byte(kind), payload, err
}

func (p *gorillaPeer) write(op byte, pieces [][]byte) error {
	if op >= opClose {
		return p.WriteControl(int(op), pieces[0], time.Time{})
	}
	w, err := p.NextWriter(int(op))
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		if _, err = w.Write(piece); err != nil {
			return err
		}
	}
	return w.Close()
}

func (p *gorillaPeer) close(code int, reason string) error {
	return p.WriteControl(opClose, gorilla.FormatCloseMessage(code, reason), time.Time{})
}

func (p *gorillaPeer) end(err error) string {
	var closed *gorilla.CloseError
	switch {
	case errors.Is(err, errDrained):
		return "more"
	case errors.As(err, &closed):
		return fmt.Sprint("close ", closed.Code)
	}
	return "refused"
}

func (p *gorillaPeer) controls() []Message { return p.seen }
func (p *gorillaPeer) drop()               { check(p.Close()) }

type coderPeer struct {
	*coder.Conn
	seen []Message
}

func newCoder(side wire.Side, m mode, conn *memory) another {
	p := new(coderPeer)
	compression := coder.CompressionDisabled
	if m.compress {
		compression = coder.CompressionNoContextTakeover
		if m.takeover {
			compression = coder.CompressionContextTakeover
		}
	}
	pinged := func(_ context.Context, b []byte) bool { p.seen = append(p.seen, ping(string(b))); return false }
	ponged := func(_ context.Context, b []byte) { p.seen = append(p.seen, pong(string(b))) }
	var err error
	if side == wire.Server {
		p.Conn, err = coder.Accept(&hijacked{conn: conn, header: http.Header{}}, m.handshake(), &coder.AcceptOptions{
			CompressionMode: compression, CompressionThreshold: 1, OnPingReceived: pinged, OnPongReceived: ponged,
		})
	} else {
		p.Conn, _, err = coder.Dial(context.Background(), "ws://a.example/", &coder.DialOptions{
			HTTPClient:      &http.Client{Transport: transport{m, conn}},
			CompressionMode: compression, CompressionThreshold: 1, OnPingReceived: pinged, OnPongReceived: ponged,
		})
	}
	check(err)
	p.SetReadLimit(-1)
	return p
}

// transport answers the request of a client with a connection in memory.
type transport struct {
	mode mode
	conn *memory
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: t.mode.switching(r.Header.Get("Sec-WebSocket-Key")), Body: t.conn,
	}, nil
}

func (p *coderPeer) read() (byte, []byte, error) {
	kind, payload, err := p.Read(context.Background())
	return byte(kind), payload, err
}

func (p *coderPeer) write(op byte, pieces [][]byte) error {
	if op >= opClose {
		return errors.ErrUnsupported // its Ping waits for the Pong
	}
	w, err := p.Writer(context.Background(), coder.MessageType(op))
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		if _, err = w.Write(piece); err != nil {
			return err
		}
	}
	return w.Close()
}

func (p *coderPeer) close(code int, reason string) error {
	// It would wait for the answer, which is not to come: the memory says so at once.
	err := p.Close(coder.StatusCode(code), reason)
	if errors.Is(err, errDrained) {
		return nil
	}
	return err
}

func (p *coderPeer) end(err error) string {
	switch code := coder.CloseStatus(err); {
	case code != -1:
		return fmt.Sprint("close ", int(code))
	case errors.Is(err, errDrained):
		return "more"
	}
	return "refused"
}

func (p *coderPeer) controls() []Message { return p.seen }
func (p *coderPeer) drop()               { _ = p.CloseNow() }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// verdict is what an implementation made of bytes.
type verdict struct {
	messages []Message // text and binary
	controls []Message // pings and pongs
	end      string    // "more", "close 1000" or "refused"
	fault    wire.Violation
}

func (v verdict) String() string {
	var b strings.Builder
	for _, m := range v.messages {
		fmt.Fprintf(&b, "%d:%q ", m.Op, m.Payload)
	}
	for _, m := range v.controls {
		fmt.Fprintf(&b, "%d:%q ", m.Op, m.Payload)
	}
	fmt.Fprint(&b, v.end)
	if v.fault != 0 {
		fmt.Fprint(&b, " ", v.fault)
	}
	return b.String()
}

// theirs is the verdict of a peer over what the side from sent.
func theirs(kind string, from wire.Side, m mode, in []byte) verdict {
	conn := new(memory)
	conn.in.Reset(bytes.Clone(in))
	side := wire.Server
	if from == wire.Server {
		side = wire.Client
	}
	p := peerKinds[kind](side, m, conn)
	defer p.drop()
	var v verdict
	for {
		op, payload, err := p.read()
		if err != nil {
			v.end, v.controls = p.end(err), p.controls()
			return v
		}
		v.messages = append(v.messages, Message{op, bytes.Clone(payload)})
	}
}

// ours is the verdict of wire, of bytes that come in pieces of step.
func ours(from wire.Side, m mode, in []byte, step int) verdict {
	in = bytes.Clone(in)
	r := wire.NewMessageReader(wire.ReaderSettings{From: from, Deflate: m.deflate(), Limits: &wire.Limits{
		MessageBytes: wire.Unlimited, MessageFrames: wire.Unlimited, InflateRatio: wire.Unlimited, ControlFrames: wire.Unlimited,
	}})
	defer r.Release()
	var v verdict
	for more := true; more; more = len(in) > 0 {
		n := min(step, len(in))
		piece := in[:n]
		for in = in[n:]; ; {
			m, rest, err := r.Next(piece)
			if err != nil {
				v.end = "refused"
				check(asViolation(err, &v.fault))
				return v
			}
			piece = rest
			switch m.Opcode {
			case wire.OpClose:
				v.end = fmt.Sprint("close ", m.Code)
				return v
			case wire.OpPing, wire.OpPong:
				v.controls = append(v.controls, Message{byte(m.Opcode), bytes.Clone(m.Payload)})
				continue
			case wire.OpText, wire.OpBinary:
				v.messages = append(v.messages, Message{byte(m.Opcode), bytes.Clone(m.Payload)})
				continue
			}
			break
		}
	}
	v.end = "more"
	return v
}

func asViolation(err error, v *wire.Violation) error {
	if errors.As(err, v) {
		return nil
	}
	return err
}
