package endpoint_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// fuzzed is a service whose observer keeps nothing.
func fuzzed(f *testing.F, c endpoint.Config) *service {
	c.Timeouts.Close = patience
	c.Limits.User = endpoint.Quota{Handshakes: endpoint.NoRate, Connections: -1}
	c.Observer = endpoint.ObserverFunc(func(e *event.Event) {
		if err := e.Validate(); err != nil {
			panic(string(e.Name) + ": " + err.Error())
		}
	})
	return serveBy(f, c, endpoint.ServerSettings{HeaderTimeout: patience})
}

// withAllTokens takes a credential wherever there may be one.
func withAllTokens() endpoint.Config {
	c := withTokens()
	c.Credentials = &auth.Sources{Header: true, Subprotocol: true, Cookie: "session", Ticket: "ticket"}
	c.Authenticator = auth.AuthenticatorFunc(steady)
	return c
}

// steady is tokens without the one whose end is a matter of time.
func steady(ctx context.Context, c auth.Credential) (auth.Identity, error) {
	if c.Token == "short-lived" {
		return auth.Identity{}, auth.TokenExpired
	}
	return tokens(ctx, c)
}

// residue returns what is called after every input: now and then it fails unless all connections have ended, and neither
// goroutines nor memory have become more than they were.
func residue(services ...*service) func(*testing.T) {
	// One goroutine is that which runs the input; the others may be the runtime's own. The fuzzer takes 33 MiB for itself.
	const every, mayCome, mayGrow = 256, 4, 48 << 20
	goroutines, heap, inputs := runtime.NumGoroutine(), 0, 0
	gone := func() bool {
		for _, s := range services {
			if s.Stats().Connections > 0 {
				return false
			}
		}
		return runtime.NumGoroutine() <= goroutines+mayCome
	}
	return func(t *testing.T) {
		if inputs++; inputs%every != 0 {
			return
		}
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		for limit := time.Now().Add(patience); !gone(); <-look.C {
			if time.Now().After(limit) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, of %d at the start:\n%s", runtime.NumGoroutine(), goroutines,
					stacks[:runtime.Stack(stacks, true)])
			}
		}
		if n := liveHeap(); heap == 0 {
			heap = n
		} else if n > heap+mayGrow {
			t.Fatalf("%d bytes are live, of %d after %d inputs", n, heap, every)
		}
	}
}

// exchange connects, writes in, in two pieces, has nothing more to say, and returns what comes back until the end. The port
// is free at once.
func (s *service) exchange(t *testing.T, in []byte, cut int) []byte {
	t.Helper()
	dialed, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	conn := dialed.(*net.TCPConn)
	defer conn.Close()
	require.NoError(t, conn.SetLinger(0))
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	written := make(chan struct{})
	go func() {
		defer close(written)
		if _, err := conn.Write(in[:cut]); err == nil {
			_, _ = conn.Write(in[cut:]) // the server may have ended it
		}
		_ = conn.CloseWrite() // fails where the server has ended it
	}()
	out, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the server does not end the connection")
	}
	conn.Close()
	<-written
	return out
}

// cutAt is where in is cut.
func cutAt(in []byte, cut int) int {
	if cut < 0 || cut > len(in) {
		return len(in) / 2
	}
	return cut
}

// Whatever comes, nobody gets a 101 whom package wire would not give one, or whose Origin or credential is not good, and a
// good client is still served.
func FuzzHandshakeBytes(f *testing.F) {
	good := handshake + "\r\n"
	known := handshake + ann + "\r\n"
	const origin = "Origin: http://chat.example.com\r\n"
	for _, seed := range []string{
		good, handshake + origin + "\r\n", handshake + "Origin: https://evil.example\r\n\r\n", handshake + "Origin: null\r\n\r\n",
		handshake + origin + origin + "\r\n", strings.Replace(good, "13", "8", 1), strings.Replace(good, "GET", "POST", 1),
		good[:60], "\x16\x03\x01\x00\x05hello", strings.Replace(good, "dGhl", "dGh", 1),
		handshake + "Sec-WebSocket-Protocol: chat, bearer, secret\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		handshake + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9, x-y; a=\"b\\\"c\"\r\n\r\n",
		handshake + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", handshake + "Content-Length: 3\r\n\r\nabc",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", strings.ReplaceAll(good, "\r\n", "\n"),
		strings.Replace(good, " /chat?x=1 ", " http://chat.example.com/%63hat ", 1), strings.Replace(good, "Host", "Host ", 1),
		known, handshake + "Sec-WebSocket-Protocol: bearer, good-ann\r\n\r\n", handshake + origin + "Cookie: session=good-ann\r\n\r\n",
		handshake + "Cookie: session=good-ann\r\n\r\n", strings.Replace(good, "x=1", "ticket=good-ann", 1),
		handshake + ann + "Sec-WebSocket-Protocol: bearer, good-ann\r\n\r\n", handshake + ann + ann + "\r\n",
		handshake + "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Z29vZC1hbm4, chat\r\n\r\n",
		known + frame(whole(wire.OpText), "hello") + good,
		handshake + "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" + ann + "\r\n",
	} {
		f.Add([]byte(seed), len(seed)/2, false)
		f.Add([]byte(seed), len(seed)-1, true)
	}
	anonymous, authenticated := config(), withAllTokens()
	anonymous.Deflate, authenticated.Deflate = &wire.Deflate{}, &wire.Deflate{}
	s := map[bool]*service{false: fuzzed(f, anonymous), true: fuzzed(f, authenticated)}
	done := residue(s[false], s[true])
	end := frame(whole(wire.OpClose), "\x03\xe8")
	f.Fuzz(func(t *testing.T, in []byte, cut int, tokens bool) {
		// A head that does not end is ended, so that nothing waits.
		all := append(bytes.Clone(in), "\r\n\r\n"+end...)
		out := s[tokens].exchange(t, all, cutAt(in, cut))
		if switched := bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")); switched {
			// What wire cannot read is passed over: net/http takes bare line feeds, and reads on behind a body.
			if r, _, err := wire.ParseRequest(all); err == nil {
				if why := refusal(r, tokens); why != nil {
					t.Fatalf("101 for what is refused: %v", why)
				}
			}
		} else if len(out) > 0 && !bytes.HasPrefix(out, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(out, []byte("HTTP/1.0 ")) {
			t.Fatalf("no answer of HTTP: %q", out)
		}
		if out := s[tokens].exchange(t, []byte(known+end), 20); !bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("a good client gets %q", out)
		}
		done(t)
	})
}

// refusal is why r must not get a 101.
func refusal(r *http.Request, authenticated bool) error {
	offer, err := wire.CheckRequest(r)
	if err == nil {
		err = config().Origins.Check(offer)
	}
	if err != nil || !authenticated {
		return err
	}
	c, err := withAllTokens().Credentials.FromRequest(r, offer.Origin)
	if err == nil {
		_, err = steady(context.Background(), c)
	}
	return err
}

// packed is s as permessage-deflate has it.
func packed(s string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// mode is what was agreed on before the frames.
type mode uint8

const (
	compressed  mode = 1 << iota
	noTakeover       // of the server's context
	tokenBefore      // the client is authenticated by its handshake,
	tokenFirst       // or by its first message. Either may refresh its token
	modes
)

// expect is what package wire finds in frames: the messages that the endpoint sends back, and the code it closes with.
// Without a code the end is missing.
func expect(in []byte, m mode) (echoed []string, code wire.CloseCode) {
	set := wire.ReaderSettings{}
	if m&compressed != 0 {
		set.Deflate = &wire.Deflate{}
	}
	known, subject := m&tokenFirst == 0, "ann"
	if !known {
		set.Limits = &wire.Limits{MessageBytes: 16 << 10}
	}
	reader := wire.NewMessageReader(set)
	for rest := bytes.Clone(in); ; {
		message, more, err := reader.Next(rest)
		rest = more
		var violation wire.Violation
		switch {
		case errors.As(err, &violation):
			return echoed, violation.CloseCode()
		case !message.Ready():
			return echoed, 0
		case message.Opcode == wire.OpClose:
			return echoed, message.Code
		case !message.Opcode.Data():
			continue
		}
		token, isToken := endpoint.TokenOf(message)
		failure := auth.MissingCredential
		if isToken {
			id, err := steady(context.Background(), auth.Credential{Token: token})
			if failure = auth.FailureOf(err); err == nil && !known {
				subject = id.Subject
			} else if err == nil && id.Subject != subject {
				failure = auth.NotAllowed
			}
		}
		switch {
		case m&(tokenBefore|tokenFirst) == 0 || known && !isToken:
			echoed = append(echoed, message.Opcode.String()+string(message.Payload))
		case failure == 0:
			if !known {
				known = true
				reader.SetLimits(&wire.Limits{})
			}
		case !known || failure.Fault() != event.FaultIDP:
			return echoed, failure.CloseCode()
		}
	}
}

// Whatever comes, what is sent back are the messages that package wire finds in it, one after the other, and a Close frame
// with the code that it asks for.
func FuzzFrameBytes(f *testing.F) {
	text := func(s string) string { return frame(whole(wire.OpText), s) }
	deflated := func(s string) string {
		return frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, s)
	}
	first := func(s string) string { return frame(wire.Header{Opcode: wire.OpText}, s) }
	rest := func(s string) string { return frame(whole(wire.OpContinuation), s) }
	ping := frame(whole(wire.OpPing), "are you there")
	bye := frame(whole(wire.OpClose), "\x03\xe8")
	again := packed(strings.Repeat("the same again ", 30))
	const token = `{"auth":"good-ann"}`
	for _, seed := range []string{
		text("hello"), first("hel") + ping + rest("lo"), text("\xff"), frame(whole(wire.OpBinary), strings.Repeat("x", 200)) + bye,
		frame(whole(wire.OpClose), "\x03\xe9bye"), frame(whole(wire.OpClose), "") + text("late"),
		"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", "\x81\xfe\x00\x01\x00\x00\x00\x00x", frame(whole(3), ""), "\x81\x85", "",
		first("z\xc3") + rest("\xb6lf") + bye, first("\xf4\x90"), frame(whole(wire.OpPing), strings.Repeat("p", 126)),
		strings.Repeat(ping, 101), first("") + strings.Repeat(frame(wire.Header{}, ""), 1100),
		deflated(packed("hello")) + deflated("\xf2\x00\x11\x00\x00") + bye, deflated(again) + ping + deflated(again) + bye,
		frame(wire.Header{Opcode: wire.OpBinary, RSV: wire.RSV1}, again[:9]) + rest(again[9:]) + bye,
		deflated(packed(strings.Repeat("\x00", 70<<10))), deflated(packed("\xc3")), deflated("\x06"), deflated(again[:len(again)-3]),
		text(token) + text("hello") + bye, text(token) + first(`{"auth":"go`) + ping + rest(`od-ann"}`) + text("hello"),
		deflated(packed(token)) + text("hello") + text(`{"auth":"tier-ann"}`) + text("there") + bye,
		text(token) + text(`{"auth":"good-bob"}`) + text("late"), text(token) + text(`{"auth":"secret-idp"}`) + text("still") + bye,
		text(`{"auth":"wrong"}`) + text("late"), text(strings.Repeat("x", 17<<10)), first(strings.Repeat("x", 9<<10)) + rest(strings.Repeat("x", 9<<10)),
	} {
		for m := range modes {
			f.Add([]byte(seed), len(seed)/3, uint8(m))
		}
	}
	anonymous, authenticated := config(), withAllTokens()
	anonymous.Deflate, authenticated.Deflate = &wire.Deflate{}, &wire.Deflate{}
	authenticated.FirstMessage, authenticated.InBandRefresh = true, true
	s := map[bool]*service{false: fuzzed(f, anonymous), true: fuzzed(f, authenticated)}
	done := residue(s[false], s[true])
	f.Fuzz(func(t *testing.T, in []byte, cut int, agreed uint8) {
		m := mode(agreed) % modes
		if m&tokenBefore != 0 {
			m &^= tokenFirst
		}
		want, code := expect(in, m)
		open := handshake
		var deflate *wire.Deflate
		if m&compressed != 0 {
			deflate = &wire.Deflate{ServerNoContextTakeover: m&noTakeover != 0}
			open += "Sec-WebSocket-Extensions: " + deflate.Offer().String() + "\r\n"
		}
		if m&tokenBefore != 0 {
			open += ann
		}
		open += "\r\n"
		service := s[m&(tokenBefore|tokenFirst) != 0]
		out := service.exchange(t, append([]byte(open), in...), len(open)+cutAt(in, cut))
		head, frames, ok := bytes.Cut(out, []byte("\r\n\r\n"))
		if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("no 101: %q", out)
		}
		require.Equal(t, deflate != nil, bytes.Contains(head, []byte("permessage-deflate")))
		answers := wire.NewMessageReader(wire.ReaderSettings{
			From: wire.Server, Deflate: deflate, Limits: &wire.Limits{ControlFrames: wire.Unlimited, InflateRatio: wire.Unlimited},
		})
		var got []string
		closed := wire.CloseCode(0)
		for closed == 0 {
			message, more, err := answers.Next(frames)
			if err != nil {
				t.Fatalf("a server does not send that: %v", err)
			}
			if frames = more; !message.Ready() {
				break
			}
			if message.Opcode == wire.OpClose {
				closed = message.Code
			} else if message.Opcode.Data() {
				got = append(got, message.Opcode.String()+string(message.Payload))
			}
		}
		require.Equal(t, code, closed)
		require.Equal(t, want, got)
		done(t)
	})
}
