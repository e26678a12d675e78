package endpoint_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// withTokens is config with an Authenticator.
func withTokens() endpoint.Config {
	c := config()
	c.InsecureAnonymous = false
	c.Authenticator = auth.AuthenticatorFunc(tokens)
	return c
}

const ann = "Authorization: Bearer good-ann\r\n"

func TestWhoeverIsNotAuthenticatedGetsNo101(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields    string
		status    int
		authError string
		rejected  string
	}{
		"no credential":        {"", 401, event.Unauthenticated, event.Unauthenticated},
		"a wrong token":        {"Authorization: Bearer secret\r\n", 401, event.TokenInvalid, event.Unauthenticated},
		"two tokens":           {ann + "Sec-WebSocket-Protocol: bearer, secret\r\n", 400, event.Unauthenticated, event.BadHandshake},
		"the provider is down": {"Authorization: Bearer secret-idp\r\n", 503, event.IDPUnavailable, event.UpstreamUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, withTokens())
			other := s.open(t, ann)
			bad := s.dial(t, handshake+c.fields+"\r\n")
			require.Equal(t, c.status, bad.status())
			require.Equal(t, c.status == 401, headOf(bad).Get("WWW-Authenticate") != "")
			told := s.log.wait(event.Auth, has(event.AuthResult, event.AuthFailure))
			require.Equal(t, c.authError, told.String(event.ErrorType))
			rejected := s.log.wait(event.HandshakeRejected, nil)
			require.Equal(t, c.rejected, rejected.String(event.ErrorType))
			require.Equal(t, told.String(event.ConnectionID), rejected.String(event.ConnectionID))
			other.works()
		})
	}
	t.Run("a token in the URL", func(t *testing.T) {
		t.Parallel()
		s := serve(t, withTokens())
		bad := s.dial(t, "GET /chat?access_token=secret"+handshake[len("GET /chat?x=1"):]+"\r\n")
		require.Equal(t, 400, bad.status())
		s.log.wait(event.HandshakeRejected, nil)
	})
}

// headOf is what the server answered with.
func headOf(c *client) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(c.head, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Add(name, value)
		}
	}
	return h
}

func TestWaysToAuthenticate(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.Credentials = &auth.Sources{Header: true, Subprotocol: true, Cookie: "session", Ticket: "ticket"}
	set.FirstMessage = true
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		id := s.Identity()
		if err := s.Send(wire.OpText, []byte(id.Tenant+"/"+id.Subject+" by "+string(id.Method)+" "+s.Subprotocol())); err != nil {
			return err
		}
		return echo(ctx, s)
	}
	s := serve(t, set)
	origin := "Origin: http://chat.example.com\r\n"
	for name, c := range map[string]struct{ fields, first, want string }{
		"Authorization":           {ann, "", "acme/ann by bearer "},
		"a subprotocol":           {"Sec-WebSocket-Protocol: bearer, good-ann\r\n", "", "acme/ann by subprotocol bearer"},
		"a cookie with an Origin": {origin + "Cookie: session=good-ann\r\n", "", "acme/ann by cookie "},
		"the first message":       {"", `{"auth":"good-ann"}`, "acme/ann by first_message "},
	} {
		t.Run(name, func(t *testing.T) {
			c1 := s.open(t, c.fields)
			if c.first != "" {
				c1.text(c.first)
			}
			require.Equal(t, c.want, string(c1.next().Payload))
			c1.works()
			c1.bye()
		})
	}
	ok := s.log.wait(event.Auth, has(event.AuthMethod, "first_message"))
	require.Equal(t, event.AuthSuccess, ok.String(event.AuthResult))
	require.Equal(t, "acme", ok.String(event.TenantID))
	require.NotEmpty(t, ok.String(event.UserHash))
	require.NotContains(t, string(ok.AppendJSON(nil)), "ann\"")
}

func TestAFirstMessageThatIsNoCredential(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first     string
		code      wire.CloseCode
		errorType string
	}{
		"is refused":                      {`hello`, 3000, event.Unauthenticated},
		"with a wrong token is":           {`{"auth":"secret"}`, 3000, event.TokenInvalid},
		"must come in time":               {"", 3008, event.AuthTimeout},
		"while the provider is down":      {`{"auth":"secret-idp"}`, 1013, event.IDPUnavailable},
		"and 20 KiB long is not buffered": {string(make([]byte, 20<<10)), 1009, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			set.FirstMessage = true
			set.Timeouts.Auth = 500 * time.Millisecond
			s := serve(t, set)
			bad := s.open(t)
			if c.first != "" {
				bad.text(c.first)
			}
			code, _ := bad.closed()
			require.Equal(t, c.code, code)
			if c.errorType != "" {
				require.Equal(t, c.errorType, s.log.wait(event.Auth, nil).String(event.ErrorType))
			}
			s.log.wait(event.Close, has(event.CloseInitiator, "server"))
		})
	}
	long := fmt.Sprint(rand.New(rand.NewPCG(1, 2)).Perm(4000)) // 19 KiB, of which half is left
	for name, frames := range map[string]string{
		"nor is one in two fragments": frame(wire.Header{Opcode: wire.OpText}, long[:10<<10]) + frame(whole(0), long[:10<<10]),
		"or one that inflates to it":  frame(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, packed(long)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			set.FirstMessage, set.Deflate = true, &wire.Deflate{}
			s := serve(t, set)
			const offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
			bad := s.open(t, offer)
			bad.send(frames)
			code, _ := bad.closed()
			require.Equal(t, wire.CloseMessageTooBig, code)
			good := s.open(t, offer)
			good.reader = wire.NewMessageReader(wire.ReaderSettings{From: wire.Server, Deflate: set.Deflate})
			good.text(`{"auth":"good-ann"}`)
			good.send(frames) // is good once it is known who sends it
			require.Greater(t, len(good.next().Payload), 16<<10)
		})
	}
}

func TestRevocationEndsAConnectionWithinASecond(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"that is idle": false, "whose handler is busy and whose client does not answer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			entered := make(chan struct{}, 2)
			set.Handle = func(ctx context.Context, s *endpoint.Session) error {
				entered <- struct{}{}
				if busy && s.Identity().Subject == "ann" {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return echo(ctx, s)
			}
			s := serve(t, set)
			other := s.open(t, "Authorization: Bearer good-bob\r\n")
			c := s.open(t, ann)
			<-entered
			<-entered
			began := time.Now()
			require.Equal(t, 1, s.Revoke(func(id auth.Identity) bool { return id.Subject == "ann" }))
			require.Zero(t, s.Revoke(func(id auth.Identity) bool { return id.Subject == "ann" }), "it is ended once")
			code, why := c.closed()
			require.Equal(t, wire.CloseCode(3000), code)
			require.Equal(t, "credential revoked", why)
			c.text("one more")
			c.ended()
			require.Less(t, time.Since(began), time.Second)
			told := s.log.wait(event.AuthRevoked, nil)
			require.Equal(t, event.TokenInvalid, told.String(event.ErrorType))
			end := s.log.wait(event.Close, nil)
			require.Zero(t, end.Get(event.IOMessagesReceived).Int())
			other.works()
		})
	}
}

func TestAnAuthenticatorThatPanics(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	set := withTokens()
	set.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	set.Authenticator = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credential) (auth.Identity, error) {
		if c.Token == "good-eve" {
			panic("secret " + c.Token)
		}
		return tokens(ctx, c)
	})
	s := serve(t, set)
	other := s.open(t, ann)
	require.Equal(t, 500, s.dial(t, handshake+"Authorization: Bearer good-eve\r\n\r\n").status())
	require.Equal(t, event.OtherError, s.log.wait(event.Auth, has(event.AuthResult, event.AuthFailure)).String(event.ErrorType))
	s.log.wait(event.HandshakeRejected, nil)
	require.Eventually(t, func() bool { return s.Stats().Connections == 1 }, patience, 5*time.Millisecond)
	other.works()
	other.bye()
	require.NoError(t, s.server.Shutdown(t.Context()))
	require.Contains(t, logged.String(), "authenticator panicked")
	require.NotContains(t, logged.String(), "good-eve")
}

func TestAnotherHandlerThatPanics(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	set := config()
	set.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveOn(t, listener, set, endpoint.ServerSettings{}, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret\ngoroutine of eve") })
	})
	require.Zero(t, s.dial(t, handshake+"\r\n").status())
	require.NoError(t, s.server.Shutdown(t.Context()))
	require.Contains(t, logged.String(), "a handler of the server panicked")
	require.Contains(t, logged.String(), "auth_test.go", "where it was")
	for _, private := range []string{"secret", "of eve", "127.0.0.1"} {
		require.NotContains(t, logged.String(), private)
	}
}

// What is still on its way at a shutdown is handled, but not that of somebody who has lost the right to send it.
func TestARevocationAndABlockGoBeforeAShutdown(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *service, endpoint.Config){
		"a revocation": func(t *testing.T, s *service, set endpoint.Config) {
			require.NoError(t, set.Revocations.Add(auth.Revocation{Subject: "ann"}))
			s.log.wait(event.AuthRevoked, nil)
		},
		"a block": func(t *testing.T, s *service, set endpoint.Config) {
			require.NoError(t, set.Blocks.Add(endpoint.BlockRule{UserHash: s.UserHash("ann")}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := managed()
			set.Timeouts.Close = time.Hour
			handled := make(chan string, 10)
			set.Handle = func(_ context.Context, s *endpoint.Session) error {
				for m, err := range s.Messages() {
					if err != nil {
						return err
					}
					handled <- string(m.Payload)
				}
				return nil
			}
			s := serve(t, set)
			c := s.open(t, ann)
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			go func() { done <- s.Shutdown(ctx) }()
			code, _ := c.closed()
			require.Equal(t, wire.CloseServiceRestart, code)
			c.text("on its way")
			require.Equal(t, "on its way", <-handled)
			end(t, s, set)
			_, _ = c.Write(c.writer.AppendMessage(nil, wire.OpText, []byte("too late"))) // the connection may be gone
			c.ended()
			require.NoError(t, <-done, "nobody waits for a Close frame of theirs")
			require.Empty(t, handled)
		})
	}
}

// However many connections a revocation ends, the next one does not wait for an Observer that takes none of their events.
func TestARevocationDoesNotWaitForTheObserver(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.Revocations = auth.NewRevocations(0, nil)
	set.Timeouts.Observe = time.Hour
	hangs := make(chan struct{})
	set.Observer = endpoint.ObserverFunc(func(e *event.Event) {
		if e.Name == event.PolicyChanged {
			<-hangs
		}
	})
	s := serve(t, set)
	c, d := s.open(t, ann), s.open(t, "Authorization: Bearer good-bob\r\n")
	for !s.ObserverIsBehind() {
		s.PolicyChanged(event.PolicyContent, "enforce", "reload")
	}
	for _, name := range []string{"ann", "bob"} {
		require.NoError(t, set.Revocations.Add(auth.Revocation{Subject: name}))
	}
	c.closed()
	d.closed()
	close(hangs)
}

func TestAConnectionEndsWithItsIdentity(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.Timeouts.Ping = 200 * time.Millisecond // for the sweep to be quick
	s := serve(t, set)
	other := s.open(t, ann)
	c := s.open(t, "Authorization: Bearer short-lived\r\n")
	code, why := c.closed()
	require.Equal(t, wire.CloseCode(3000), code)
	require.Equal(t, "token expired", why)
	require.Equal(t, event.TokenExpired, s.log.wait(event.AuthRevoked, nil).String(event.ErrorType))
	other.works()
}

func TestARefreshKeepsAConnection(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.InBandRefresh = true
	set.Timeouts.Ping = 200 * time.Millisecond
	s := serve(t, set)
	c := s.open(t, "Authorization: Bearer short-lived\r\n")
	c.text(`{"auth":"good-ann"}`)
	s.log.wait(event.AuthRefreshed, nil)
	expired := time.After(600 * time.Millisecond)
	<-expired
	c.works()

	t.Run("while the provider is down, the old identity stays", func(t *testing.T) {
		c.text(`{"auth":"secret-idp"}`)
		s.log.wait(event.AuthRefreshed, has(event.ErrorType, event.IDPUnavailable))
		c.works()
	})
	t.Run("but not for somebody else", func(t *testing.T) {
		c.text(`{"auth":"good-bob"}`)
		code, _ := c.closed()
		require.Equal(t, wire.CloseCode(3003), code)
		s.log.wait(event.AuthRefreshed, has(event.ErrorType, event.OtherError))
	})
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("server", 2)
	set := withTokens()
	set.Credentials = &auth.Sources{Certificate: true}
	s := serveBy(t, set, endpoint.ServerSettings{CertFile: cert, KeyFile: key, ClientCAFile: a.file(), RequireClientCert: true})
	mine, err := tls.LoadX509KeyPair(a.issue("machine-7", 3))
	require.NoError(t, err)
	s.tls = a.trust()
	s.tls.Certificates = []tls.Certificate{mine}
	c := s.open(t)
	c.works()
	open := s.log.wait(event.Auth, nil)
	require.Equal(t, "mtls", open.String(event.AuthMethod))
	require.Equal(t, "1.3", open.String(event.TLSProtocolVersion))

	s.tls = a.trust()
	conn, err := tls.Dial("tcp", s.addr, s.tls)
	if err == nil { // TLS 1.3 tells the client with the first read
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	require.Error(t, err)
	require.Equal(t, event.TLSFailed, s.log.wait(event.HandshakeRejected, nil).String(event.ErrorType))
}

func TestItIsKnownWhenTheCertificateEnds(t *testing.T) {
	t.Parallel()
	e, err := endpoint.New(config())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	cert, key := newAuthority(t).issue("server", 2)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	secure, err := e.Server(endpoint.ServerSettings{CertFile: cert, KeyFile: key})
	require.NoError(t, err)
	require.Equal(t, pair.Leaf.NotAfter, secure.CertificateNotAfter())
	plain, err := e.Server(endpoint.ServerSettings{})
	require.NoError(t, err)
	require.Zero(t, plain.CertificateNotAfter())
}

func TestANewCertificateIsServedAndOpenConnectionsStay(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("server", 2)
	s := serveBy(t, config(), endpoint.ServerSettings{CertFile: cert, KeyFile: key})
	s.tls = a.trust()
	c := s.open(t)
	c.works()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", s.addr, s.tls)
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	require.Equal(t, int64(2), serial())
	a.issue("server", 77)
	require.Eventually(t, func() bool { return serial() == 77 }, patience, 50*time.Millisecond)
	c.works()
	// Half a pair keeps the one that was.
	a.write(key, "PRIVATE KEY", []byte("x"))
	looks := time.NewTicker(200 * time.Millisecond)
	defer looks.Stop()
	for range 6 { // the files are looked at once a second
		<-looks.C
		require.Equal(t, int64(77), serial())
	}
	c.bye()
}

// With the real things of package auth: a ticket is good once, and what comes on the list of revocations ends at once.
func TestATicketAndARevocation(t *testing.T) {
	t.Parallel()
	tickets, err := auth.NewTickets(auth.TicketsConfig{})
	require.NoError(t, err)
	list := auth.NewRevocations(0, nil)
	set := withTokens()
	set.Authenticator = auth.Chain(tickets, auth.AuthenticatorFunc(tokens))
	set.Revocations = list
	s := serve(t, set)
	const origin = "http://chat.example.com"
	ticket, err := tickets.Issue(auth.Identity{Subject: "ann", Tenant: "acme"}, origin, netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	request := strings.Replace(handshake, "x=1", "ticket="+ticket, 1) + "Origin: " + origin + "\r\n\r\n"
	c := s.dial(t, request)
	require.Equal(t, 101, c.status(), c.head)
	c.works()
	require.Equal(t, "ticket", s.log.wait(event.Auth, nil).String(event.AuthMethod))
	again := s.dial(t, request)
	require.Equal(t, 401, again.status())
	for _, e := range s.log.all(event.HandshakeRejected) {
		require.NotContains(t, string(e.AppendJSON(nil)), ticket)
	}

	other := s.open(t, "Authorization: Bearer good-bob\r\n")
	require.NoError(t, list.Add(auth.Revocation{Subject: "ann", Tenant: "acme"}))
	code, _ := c.closed()
	require.Equal(t, wire.CloseCode(3000), code)
	require.Equal(t, 401, s.dial(t, handshake+ann+"\r\n").status())
	other.works()
}

// However a revocation and the handshakes of its identity fall together, none of them stays open.
func TestARevocationDuringHandshakes(t *testing.T) {
	t.Parallel()
	for range 20 {
		list := auth.NewRevocations(0, nil)
		set := withTokens()
		set.Revocations = list
		s := serve(t, set)
		added := make(chan error, 1)
		const n = 8
		open := make(chan *client, n)
		for range n {
			go func() { open <- s.dial(t, handshake+ann+"\r\n") }()
		}
		go func() { added <- list.Add(auth.Revocation{Subject: "ann"}) }()
		for range n {
			c := <-open
			if c.status() != 101 {
				continue
			}
			code, _ := c.closed()
			require.Equal(t, wire.CloseCode(3000), code)
		}
		require.NoError(t, <-added)
	}
}

// An identity provider that hangs costs a handshake its time, and others at most the places that handshakes have.
func TestAnAuthenticatorThatHangs(t *testing.T) {
	t.Parallel()
	set := withTokens()
	entered := make(chan struct{}, 2)
	set.Authenticator = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credential) (auth.Identity, error) {
		if c.Token != "hang" {
			return tokens(ctx, c)
		}
		entered <- struct{}{}
		<-ctx.Done()
		return auth.Identity{}, ctx.Err()
	})
	set.Limits.Handshakes = 1
	set.Timeouts.Auth = 700 * time.Millisecond
	s := serve(t, set)
	hang := handshake + "Authorization: Bearer hang\r\n\r\n"
	slow := s.dial(t, hang)
	<-entered
	refused := s.dial(t, handshake+ann+"\r\n")
	require.Equal(t, http.StatusServiceUnavailable, refused.status())
	require.Equal(t, "handshakes_in_progress", s.log.wait(event.RateLimited, nil).String(event.RateLimitPolicy))
	require.Equal(t, http.StatusGatewayTimeout, slow.status())
	require.Equal(t, event.IDPTimeout, s.log.wait(event.Auth, nil).String(event.ErrorType))
	s.log.wait(event.HandshakeRejected, has(event.ErrorType, event.UpstreamTimeout))

	gone := s.dial(t, hang)
	<-entered
	gone.Close()
	left := s.log.wait(event.HandshakeRejected, has(event.ErrorType, event.ClientAborted))
	require.False(t, left.Has(event.HTTPResponseStatusCode))
	require.Eventually(t, func() bool { return s.dial(t, handshake+ann+"\r\n").status() == 101 }, patience, 10*time.Millisecond)
}

// What Validate of the configuration says, all at once.
func TestAConfigurationWithFaults(t *testing.T) {
	t.Parallel()
	_, err := endpoint.New(endpoint.Config{
		FirstMessage: true, HashKey: []byte("short"), Vantage: "tap",
		Limits: endpoint.Limits{Users: -1}, Timeouts: endpoint.Timeouts{Close: -1}, Queue: endpoint.Queue{Bytes: -1},
	})
	for _, fault := range []string{
		"Handle: must be set", "Authenticator: must be set", "FirstMessage, InBandRefresh: need", "HashKey: must have",
		"Vantage: must be", "Limits: Connections", "Timeouts: only Ping", "Queue: must not",
	} {
		require.ErrorContains(t, err, fault)
	}
	_, err = endpoint.New(endpoint.Config{Handle: echo, InsecureAnonymous: true, Blocks: endpoint.NewBlocks(0, nil)})
	require.EqualError(t, err, "Blocks: needs HashKey, by which users are named")
}

func TestServersThatCannotBe(t *testing.T) {
	t.Parallel()
	e, err := endpoint.New(config())
	require.NoError(t, err)
	defer e.Shutdown(context.Background())
	a := newAuthority(t)
	cert, key := a.issue("server", 2)
	for name, c := range map[string]struct {
		set  endpoint.ServerSettings
		want string
	}{
		"without the file":                {endpoint.ServerSettings{CertFile: "/none", KeyFile: key}, "CertFile, KeyFile: "},
		"with files that do not fit":      {endpoint.ServerSettings{CertFile: key, KeyFile: cert}, "CertFile, KeyFile: "},
		"client certificates without TLS": {endpoint.ServerSettings{RequireClientCert: true}, "need CertFile and KeyFile"},
		"required by nobody":              {endpoint.ServerSettings{CertFile: cert, KeyFile: key, RequireClientCert: true}, "RequireClientCert: needs"},
		"authorities that are none":       {endpoint.ServerSettings{CertFile: cert, KeyFile: key, ClientCAFile: key}, "ClientCAFile: no certificate"},
	} {
		_, err := e.Server(c.set)
		require.ErrorContains(t, err, c.want, name)
	}
}
