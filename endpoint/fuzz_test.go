package endpoint_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// overPipes serves c to whoever dials.
func overPipes(f *testing.F, c endpoint.Config) (*endpoint.Endpoint, *pipes) {
	c.Observer = endpoint.ObserverFunc(func(e *event.Event) {
		if err := e.Validate(); err != nil {
			f.Errorf("%s: %v", e.Name, err)
		}
	})
	e, err := endpoint.New(c)
	require.NoError(f, err)
	server, err := e.Server(endpoint.ServerSettings{HeaderTimeout: 100 * time.Millisecond})
	require.NoError(f, err)
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p) }()
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(f, server.Shutdown(ctx))
		require.NoError(f, <-served)
	})
	return e, p
}

// send writes in, in two pieces, and returns what comes back until the end, or until the limit where the end is missing.
func send(conn net.Conn, in []byte, cut int, limit time.Duration) []byte {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	written := make(chan struct{})
	go func() {
		defer close(written)
		if _, err := conn.Write(in[:cut]); err == nil {
			_, _ = conn.Write(in[cut:])
		}
	}()
	out, _ := io.ReadAll(conn)
	conn.Close()
	<-written
	return out
}

// Whatever comes, nobody gets a 101 whom package wire would not give one, and a good client is still served.
func FuzzHandshakeBytes(f *testing.F) {
	good := handshake + "\r\n"
	for _, seed := range []string{
		good, handshake + "Origin: http://chat.example.com\r\n\r\n", handshake + "Origin: https://evil.example\r\n\r\n",
		strings.Replace(good, "13", "8", 1), strings.Replace(good, "GET", "POST", 1), good[:60], "\x16\x03\x01\x00\x05hello",
		handshake + "Sec-WebSocket-Protocol: chat, bearer, secret\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		handshake + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "",
	} {
		f.Add([]byte(seed), len(seed)/2)
	}
	set := config()
	set.Deflate = &wire.Deflate{}
	set.Timeouts.Close = 20 * time.Millisecond
	_, p := overPipes(f, set)
	end := frame(whole(wire.OpClose), "\x03\xe8")
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if cut < 0 || cut > len(in) {
			cut = len(in) / 2
		}
		// A head that does not end is ended, so that nothing waits.
		all := append(bytes.Clone(in), "\r\n\r\n"+end...)
		out := send(p.dial(), all, cut, 200*time.Millisecond)
		if switched := bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")); switched {
			r, n, err := wire.ParseRequest(all)
			if err != nil {
				// net/http takes bare line feeds, and reads on behind a body.
				return
			}
			if _, err := wire.CheckRequest(r); err != nil {
				t.Fatalf("101 after %d bytes of what is refused: %v", n, err)
			}
		} else if len(out) > 0 && !bytes.HasPrefix(out, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(out, []byte("HTTP/1.0 ")) {
			t.Fatalf("no answer of HTTP: %q", out)
		}
		if out := send(p.dial(), []byte(good+end), 20, patience); !bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("a good client gets %q", out)
		}
	})
}

// Whatever comes, what is sent back are the messages that package wire finds in it, one after the other, and a Close frame with
// the code that it asks for.
func FuzzFrameBytes(f *testing.F) {
	for _, seed := range []string{
		frame(whole(wire.OpText), "hello"), frame(wire.Header{Opcode: wire.OpText}, "hel") + frame(whole(wire.OpPing), "") + frame(whole(0), "lo"),
		frame(whole(wire.OpText), "\xff"), frame(whole(wire.OpBinary), strings.Repeat("x", 200)), frame(whole(wire.OpClose), "\x03\xe9bye"),
		"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", frame(whole(3), ""), frame(whole(wire.OpClose), ""),
		frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "\xca\xc9\xc9\xc9\x07\x00"), "\x81\x85", "",
	} {
		f.Add([]byte(seed), len(seed)/3)
	}
	set := config()
	set.Deflate = &wire.Deflate{ServerNoContextTakeover: true}
	set.Timeouts.Close = 20 * time.Millisecond
	_, p := overPipes(f, set)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if cut < 0 || cut > len(in) {
			cut = len(in) / 2
		}
		// What is expected.
		deflate := &wire.Deflate{ServerNoContextTakeover: true}
		reader := wire.NewMessageReader(wire.ReaderSettings{Deflate: deflate})
		var want []string
		code := wire.CloseCode(0)
		var violation wire.Violation
		for rest := bytes.Clone(in); code == 0; {
			m, more, err := reader.Next(rest)
			rest = more
			if errors.As(err, &violation) {
				code = violation.CloseCode()
			} else if !m.Ready() {
				break
			} else if m.Opcode == wire.OpClose {
				code = m.Code
			} else if m.Opcode.Data() {
				want = append(want, m.Opcode.String()+string(m.Payload))
			}
		}
		if code == 0 {
			return // the end of it is missing, and what to end it with depends on where it is
		}
		conn := p.dial()
		open := handshake + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"
		out := send(conn, append([]byte(open), in...), len(open)+cut, patience)
		head, frames, ok := bytes.Cut(out, []byte("\r\n\r\n"))
		if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("no 101: %q", out)
		}
		answers := wire.NewMessageReader(wire.ReaderSettings{From: wire.Server, Deflate: deflate, Limits: &wire.Limits{ControlFrames: wire.Unlimited}})
		var got []string
		closed := false
		for {
			m, more, err := answers.Next(frames)
			if err != nil {
				t.Fatalf("a server does not send that: %v", err)
			}
			frames = more
			if !m.Ready() {
				break
			}
			if m.Opcode == wire.OpClose {
				closed = true
				if m.Code != code {
					t.Fatalf("closed with %d, not %d", m.Code, code)
				}
			} else if m.Opcode.Data() {
				got = append(got, m.Opcode.String()+string(m.Payload))
			}
		}
		if !closed {
			t.Fatal("no Close frame")
		}
		require.Equal(t, want, got)
	})
}
