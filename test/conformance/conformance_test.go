package conformance

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// terms are those of a case: all its messages, or a few.
func terms(c Case, agreed string) Terms {
	if os.Getenv("SOCKEYE_CONFORMANCE") == "full" {
		return Terms{1000, agreed}
	}
	return Terms{min(max(128<<10/max(c.Size, 1), 2), 100), agreed}
}

func TestCasesOverASocket(t *testing.T) {
	t.Parallel()
	server := startEcho(t, &Echo{Limits: EchoLimits()})
	t.Run("cases", func(t *testing.T) {
		for _, c := range Cases() {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				overSocket(t, server, c)
			})
		}
	})
}

func startEcho(t *testing.T, echo *Echo) string {
	t.Helper()
	server := httptest.NewServer(echo)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// peer is a client that knows the standard and nothing of wire.
type peer struct {
	conn     net.Conn
	in       *bufio.Reader
	agreed   string
	declined bool
	inflater io.ReadCloser
	history  []byte
}

// dial opens a connection and shakes hands.
func dial(t *testing.T, addr, extensions string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	head := request()
	if extensions != "" {
		head = request("Sec-WebSocket-Extensions: " + extensions)
	}
	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	p := &peer{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	response, err := http.ReadResponse(p.in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	require.Equal(t, sampleAccept, response.Header.Get("Sec-WebSocket-Accept"))
	p.agreed = response.Header.Get("Sec-WebSocket-Extensions")
	p.declined = extensions != "" && !p.took("permessage-deflate")
	return p
}

// took reports whether the server's answer has an extension or parameter.
func (p *peer) took(name string) bool { return strings.Contains(p.agreed, name) }

// breaks is a rule that the server broke.
type breaks string

func (b breaks) Error() string { return string(b) }

// read returns the next message or control frame, and holds its frames against what a server may send.
func (p *peer) read() (Message, error) {
	var message Message
	var packed bool
	for begun := false; ; begun = true {
		first, payload, err := p.frame()
		if err != nil {
			return Message{}, err
		}
		op := first & 0xF
		switch {
		case first&(rsv2|rsv3) != 0 || first&rsv1 != 0 && (!p.took("permessage-deflate") || op != opText && op != opBinary):
			return Message{}, breaks("a reserved bit is set")
		case op >= opClose:
			if first&fin == 0 || len(payload) > 125 {
				return Message{}, breaks("a control frame is fragmented or too long")
			}
			if begun {
				return Message{}, breaks("the echo fragments no message")
			}
			return Message{op, payload}, nil
		case begun != (op == opContinuation):
			return Message{}, breaks("a continuation in the wrong place")
		case !begun:
			message.Op, packed = op, first&rsv1 != 0
		}
		if message.Payload = append(message.Payload, payload...); first&fin == 0 {
			continue
		}
		if packed {
			if message.Payload, err = p.inflate(message.Payload); err != nil {
				return Message{}, breaks(err.Error())
			}
		}
		if message.Op == opText && !utf8.Valid(message.Payload) {
			return Message{}, breaks("a text is no UTF-8")
		}
		return message, nil
	}
}

func (p *peer) frame() (first byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(p.in, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	length, least := uint64(head[1]), uint64(0)
	switch length {
	case 126:
		_, err = io.ReadFull(p.in, head[:2])
		length, least = uint64(binary.BigEndian.Uint16(head[:])), 126
	case 127:
		_, err = io.ReadFull(p.in, head[:])
		length, least = binary.BigEndian.Uint64(head[:]), 1<<16
	}
	switch {
	case err != nil:
		return 0, nil, err
	case least == 0 && length > 0x7f:
		return 0, nil, breaks("the server masks")
	case length < least || length > 32<<20:
		return 0, nil, breaks("the length is not minimal, or too large")
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(p.in, payload)
	return first, payload, err
}

// inflate undoes permessage-deflate (RFC 7692 §7.2.2).
func (p *peer) inflate(packed []byte) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(packed), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	if p.inflater == nil {
		p.inflater = flate.NewReader(nil)
	}
	if err := p.inflater.(flate.Resetter).Reset(in, p.history); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(p.inflater)
	if err == nil && !p.took("server_no_context_takeover") {
		p.history = append(p.history, out...)
		p.history = bytes.Clone(p.history[max(0, len(p.history)-1<<15):])
	}
	return out, err
}

// send writes the frames of a script, in pieces as it asks. A server that has closed ends it.
func (p *peer) send(s Script) error {
	frames := s.Send
	if s.Chop == 0 {
		frames = [][]byte{bytes.Join(frames, nil)}
	}
	for _, f := range frames {
		for piece := range slicesOf(f, s.Chop) {
			if err := p.write(piece); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *peer) write(b []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.conn.Write(b)
	return err
}

// play sends a script step by step, closes once all answers have come, and returns what came until the server ended TCP.
func (p *peer) play(s Script) (o Outcome, err error) {
	o.Declined = p.declined
	var sending chan error
	next := func(step *Script) {
		o.Step, o.Received = step, nil
		o.ClosedByClient = o.ClosedByClient || step.closes()
		sending = make(chan error, 1)
		go func(sent chan<- error) { sent <- p.send(*step) }(sending)
	}
	sent := func() error { // nothing is sent behind what is not yet sent
		if sending == nil {
			return nil
		}
		err := <-sending
		sending = nil
		return err
	}
	next(&s)
	defer func() {
		p.conn.Close() // so that what is still being sent ends
		_ = sent()
	}()
	for {
		answered := o.Close == nil && !o.ClosedByClient && o.Step.Fault == 0 && sameMessages(o.Received, o.Step.answers())
		wait := patience
		switch {
		case answered && o.Step.Quiet:
			wait = time.Second // as long as Autobahn waits
		case answered && o.Step.Then != nil:
			if err = sent(); err != nil {
				return o, err
			}
			next(o.Step.Then())
			continue
		case answered:
			if err = sent(); err != nil {
				return o, err
			}
			if err = p.write(whole(closing(code(1000, "")))); err != nil {
				return o, err
			}
			o.ClosedByClient = true
		}
		if err = p.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return o, err
		}
		var m Message
		m, err = p.read()
		switch late := errors.Is(err, os.ErrDeadlineExceeded); {
		case err == nil && m.Op == opClose && o.Close == nil:
			if o.Close = &m; len(m.Payload) >= 2 {
				o.Code = int(binary.BigEndian.Uint16(m.Payload))
			}
			if !o.ClosedByClient {
				_ = p.write(whole(closing(code(1000, "")))) // the server may be gone
			}
		case err == nil:
			o.Received = append(o.Received, m)
		case late && o.Step.Then != nil && (o.Step.Quiet || o.Step.Fault != 0):
			o.Late = o.Late || o.Step.Fault != 0
			if err = sent(); err != nil {
				return o, err
			}
			next(o.Step.Then())
		case late:
			o.DroppedByClient = true
			return o, nil
		case o.Close != nil && errors.Is(err, io.EOF):
			o.Clean = true
			return o, nil
		default:
			if errors.As(err, new(breaks)) { // the client fails the connection
				o.ClosedByClient = true
			}
			return o, err
		}
	}
}

func overSocket(t *testing.T, server string, c Case) {
	p := dial(t, server, c.Offer)
	s := c.Make(terms(c, p.agreed))
	o, err := p.play(s)
	behavior, end := c.Judge(o)
	require.Equal(t, [2]Verdict{c.Expected(), c.Expected()}, [2]Verdict{behavior, end}, "%v", err)

	// Autobahn's rules leave more open than these.
	require.NoError(t, err)
	s = *o.Step
	require.True(t, sameMessages(s.answers(), o.Received), "all that came before is answered")
	require.True(t, o.Clean, "Close frames go both ways, and the server ends TCP first (RFC 6455 §7.1.1)")
	want := 1000
	switch i := slices.IndexFunc(s.Want, func(m Message) bool { return m.Op == opClose }); {
	case s.Fault != 0:
		want = s.Code
		require.NotContains(t, string(o.Close.Payload), "Hello", "a reason quotes nothing")
	case i >= 0: // the code comes back, the reason need not
		want = 0
		if sent := s.Want[i].Payload; len(sent) >= 2 {
			want = int(binary.BigEndian.Uint16(sent))
		}
	}
	require.Equal(t, want, o.Code)
	require.True(t, want == 0 || utf8.Valid(o.Close.Payload[2:]))
}

func requireMessage(t *testing.T, want, got Message) {
	t.Helper()
	if want.Op != got.Op || !bytes.Equal(want.Payload, got.Payload) { // require.Equal would print megabytes
		t.Fatalf("want opcode %d, %d bytes %q; got opcode %d, %d bytes %q",
			want.Op, len(want.Payload), short(want.Payload), got.Op, len(got.Payload), short(got.Payload))
	}
}

func short(p []byte) []byte { return p[:min(len(p), 60)] }

func TestCasesInEverySplit(t *testing.T) {
	t.Parallel()
	for _, c := range Cases() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			few := terms(c, "")
			few.Messages = min(1+16<<10/max(c.Size, 1), 50) // the reader alone needs no more
			if c.Offer != "" {
				few.Agreed = negotiated(c.Offer).Response().String()
			}
			s := c.Make(few).whole()
			list := splits(s)
			frames := framesAlone(c, s, list[0])
			for _, cuts := range list {
				require.NoError(t, readAlone(c, s, cuts), "in pieces: %v", cuts)
				require.Equal(t, frames, framesAlone(c, s, cuts), "in pieces: %v", cuts)
			}
		})
	}
}

// pieces say how bytes are cut: once at first, then every step.
type pieces struct{ first, step int }

// splits returns every way to cut a short script in two, and one byte at a time; of long ones a bounded set, with cuts in
// and around the headers of frames.
func splits(s Script) []pieces {
	n := len(s.Bytes())
	list := []pieces{{n, n}}
	if n <= 128<<10 {
		list = append(list, pieces{1, 1}, pieces{2, 3}, pieces{7, 13})
	}
	if n <= 1<<10 {
		for first := 1; first < n; first++ {
			list = append(list, pieces{first, n})
		}
		return list
	}
	list = append(list, pieces{0, 997}, pieces{0, 4099}, pieces{0, 65537})
	if n > 16<<10 {
		return list
	}
	at := 0
	for i, f := range s.Send {
		if i < 8 || i == len(s.Send)-1 {
			for d := -2; d <= 16; d++ {
				if first := at + d; first > 0 && first < n {
					list = append(list, pieces{first, n})
				}
			}
		}
		at += len(f)
	}
	return list
}

// seen is a frame as a tap sees it.
type seen struct {
	header wire.Header
	fault  error
	ended  bool
	sum    uint32 // of its payload
}

// framesAlone gives the bytes of a script to a reader of frames, which goes on behind faults.
func framesAlone(c Case, s Script, cuts pieces) []seen {
	r := wire.NewFrameReader(wire.Client, c.Offer != "")
	var list []seen
	in := s.Bytes()
	for n := cuts.first; len(in) > 0; n = cuts.step {
		n = min(n, len(in))
		piece := in[:n]
		for in = in[n:]; ; {
			e, rest, err := r.Next(piece)
			piece = rest
			if e.Kind == wire.FrameHeader {
				list = append(list, seen{header: e.Header, fault: err})
				continue
			}
			if e.Kind == wire.NeedInput {
				break
			}
			last := &list[len(list)-1]
			last.sum, last.ended = crc32.Update(last.sum, crc32.IEEETable, e.Payload), e.End
		}
	}
	return list
}

// readAlone gives the bytes of a script to a reader and compares what comes out.
func readAlone(c Case, s Script, cuts pieces) error {
	limits := EchoLimits()
	r := wire.NewMessageReader(wire.ReaderSettings{From: wire.Client, Limits: &limits, Deflate: negotiated(c.Offer)})
	defer r.Release()
	want := s.Want
	in := s.Bytes()
	for n := cuts.first; len(in) > 0 || n == 0; n = cuts.step {
		n = min(n, len(in))
		piece := in[:n]
		in = in[n:]
		for {
			m, rest, err := r.Next(piece)
			if err != nil {
				switch {
				case len(want) > 0:
					return fmt.Errorf("%w, with %d messages to come", err, len(want))
				case s.Fault == 0 || !errors.Is(err, s.Fault):
					return fmt.Errorf("%w, instead of %w", err, s.Fault)
				}
				return nil
			}
			if piece = rest; !m.Ready() {
				break
			}
			if len(want) == 0 {
				return fmt.Errorf("one message too many: %v of %d bytes", m.Opcode, len(m.Payload))
			}
			if byte(m.Opcode) != want[0].Op || !bytes.Equal(m.Payload, want[0].Payload) {
				return fmt.Errorf("%v of %d bytes, instead of opcode %d with %d bytes", m.Opcode, len(m.Payload), want[0].Op, len(want[0].Payload))
			}
			want = want[1:]
		}
	}
	switch {
	case len(want) > 0:
		return fmt.Errorf("%d messages did not come", len(want))
	case s.Fault != 0:
		return fmt.Errorf("no error, instead of %w", s.Fault)
	}
	return nil
}
