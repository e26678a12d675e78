package conformance

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sockeye-project/sockeye/wire"
)

// Echo is an http.Handler that sends every message back, in one frame. It is what wire does without an endpoint around it:
// it lets every page in and takes messages that a service would not, and must face nobody but a test.
type Echo struct {
	// Limits are those of [wire.Limits]; EchoLimits suit the Autobahn test suite.
	Limits wire.Limits
	// Deflate is what the server wants of permessage-deflate.
	Deflate wire.Deflate
	// Subprotocols are those the server speaks.
	Subprotocols []string
	// IdleTimeout is how long a client may be silent. The default is a minute.
	IdleTimeout time.Duration
	// WriteTimeout is how long a client may leave an answer unread. The default is ten seconds.
	WriteTimeout time.Duration
	// CloseTimeout is how long a client may take to end the connection after the closing handshake. The default is one
	// second.
	CloseTimeout time.Duration
}

// EchoLimits are wide enough for messages of 16 MiB in frames of 64 bytes.
func EchoLimits() wire.Limits {
	return wire.Limits{
		MessageBytes: 16 << 20, MessageFrames: 1 << 20, InflateRatio: wire.Unlimited, ControlFrames: 1 << 20,
	}
}

// ServeHTTP upgrades and echoes until the client leaves or breaks a rule.
func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	offer, err := wire.CheckRequest(r)
	if violation := wire.HandshakeViolation(0); errors.As(err, &violation) {
		violation.Refuse(w, r)
		return
	}
	agreed := wire.Agreement{Subprotocol: wire.ChooseSubprotocol(offer.Subprotocols, e.Subprotocols)}
	var deflate *wire.Deflate
	if chosen, ok := wire.ChooseDeflate(offer.Extensions, e.Deflate); ok {
		deflate = &chosen
		agreed.Extensions = append(agreed.Extensions, chosen.Response())
	}
	answer, err := wire.AppendResponse(nil, offer, agreed, nil)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	c := connection{
		conn: conn, idle: or(e.IdleTimeout, time.Minute), write: or(e.WriteTimeout, 10*time.Second),
		linger: or(e.CloseTimeout, time.Second),
		reader: wire.NewMessageReader(wire.ReaderSettings{From: wire.Client, Limits: &e.Limits, Deflate: deflate}),
		writer: wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: deflate, CompressFrom: 1}),
		out:    answer,
	}
	defer c.reader.Release()
	// What came behind the request is in the buffer of net/http.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	c.echo(early)
}

func or(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return d
}

type connection struct {
	conn                net.Conn
	idle, write, linger time.Duration
	reader              *wire.MessageReader
	writer              wire.Writer
	out                 []byte
}

// flushFrom is when answers are written although there is more to read.
const flushFrom = 64 << 10

func (c *connection) echo(in []byte) {
	buffer := make([]byte, 32<<10)
	for {
		closing := c.answer(in)
		if !c.flush() {
			return
		}
		if closing {
			c.close(buffer)
			return
		}
		if c.conn.SetReadDeadline(time.Now().Add(c.idle)) != nil {
			return
		}
		n, err := c.conn.Read(buffer)
		if err != nil { // the client left without a word, or is silent for too long
			return
		}
		in = buffer[:n]
	}
}

// answer appends the answers to what came in. closing says that a Close frame is the last of them.
func (c *connection) answer(in []byte) (closing bool) {
	for {
		m, rest, err := c.reader.Next(in)
		if err != nil {
			c.out = c.writer.AppendViolation(c.out, err)
			return true
		}
		in = rest
		switch m.Opcode {
		case wire.OpContinuation:
			return false
		case wire.OpText, wire.OpBinary:
			c.out = c.writer.AppendMessage(c.out, m.Opcode, m.Payload)
		case wire.OpPing:
			c.out = c.writer.AppendPong(c.out, m.Payload)
		case wire.OpClose:
			c.out = c.writer.AppendClose(c.out, m.Code, "")
			return true
		}
		if len(c.out) >= flushFrom && !c.flush() {
			return true
		}
	}
}

func (c *connection) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	if c.conn.SetWriteDeadline(time.Now().Add(c.write)) != nil {
		return false
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err == nil
}

// close ends TCP as RFC 6455 §7.1.1 asks: the server first. What the client still sends is read and thrown away, since
// bytes that nobody reads would make the kernel reset the connection, and the Close frame could be lost.
func (c *connection) close(buffer []byte) {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	if c.conn.SetReadDeadline(time.Now().Add(c.linger)) != nil {
		return
	}
	for limit := 0; limit < 32<<20; {
		n, err := c.conn.Read(buffer)
		if limit += n; err != nil {
			return
		}
	}
}
