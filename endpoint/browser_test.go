package endpoint_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/browser"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

// site is https://chat.example.com: a page, a login that gives a cookie, tickets for those who have it, and the endpoint.
type site struct {
	t         *testing.T
	cert, key string
	tickets   *auth.Tickets
	// withCookie counts handshakes that came with the cookie, accepted or not.
	withCookie atomic.Int32
}

func (site *site) serve(listener net.Listener, c endpoint.Config) *service {
	return serveOn(site.t, listener, c, endpoint.ServerSettings{CertFile: site.cert, KeyFile: site.key}, site.around)
}

func (site *site) around(chat http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/chat.html") })
	mux.HandleFunc("GET /chat", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err == nil {
			site.withCookie.Add(1)
		}
		chat.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=good-ann; Path=/; Secure; HttpOnly; SameSite="+r.FormValue("samesite"))
	})
	mux.HandleFunc("POST /ticket", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil || r.Header.Get("Origin") != "https://"+r.Host {
			http.Error(w, "not logged in", http.StatusUnauthorized)
			return
		}
		name := strings.TrimPrefix(cookie.Value, "good-")
		ticket, err := site.tickets.Issue(auth.Identity{Subject: name, Tenant: "acme"}, r.Header.Get("Origin"), netip.Addr{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(ticket))
	})
	return mux
}

// lasting is an Authenticator for tokens, of which some tell their end: until-1893456000, and brief, soon after now.
func lasting(ctx context.Context, c auth.Credential) (auth.Identity, error) {
	id := auth.Identity{Subject: "ann", Tenant: "acme"}
	if text, ok := strings.CutPrefix(c.Token, "until-"); ok {
		seconds, err := strconv.ParseInt(text, 10, 64)
		id.NotAfter = time.Unix(seconds, 0)
		return id, err
	}
	if c.Token == "brief" {
		id.NotAfter = time.Now().Add(300 * time.Millisecond)
		return id, nil
	}
	return tokens(ctx, c)
}

// about answers "who" with the client's identity, and the rest with itself.
func about(_ context.Context, s *endpoint.Session) error {
	for m, err := range s.Messages() {
		if err != nil {
			return err
		}
		answer := m.Payload
		if string(answer) == "who" {
			id := s.Identity()
			answer = []byte(id.Subject + " by " + string(id.Method) + " until " + strconv.FormatInt(id.NotAfter.Unix(), 10))
		}
		if err := s.Send(m.Opcode, answer); err != nil {
			return err
		}
	}
	return nil
}

// happening is what the page says of a connection.
type happening struct {
	Kind, Text string
	Code       wire.CloseCode
	Clean      bool
}

// tab is a page of a browser.
type tab struct {
	*browser.Page
	t *testing.T
}

// now evaluates what is or promises a happening.
func (p tab) now(format string, values ...any) (h happening) {
	p.Eval(script(format, values...), &h)
	return h
}

// ends waits for the end of c. Whether it is a clean one depends on who is quicker.
func (p tab) ends(code wire.CloseCode, reason string) {
	p.t.Helper()
	end := p.now("c.next()")
	end.Clean = true
	require.Equal(p.t, happening{Kind: "close", Code: code, Text: reason, Clean: true}, end)
}

// script puts values for each ? in turn.
func script(format string, values ...any) string {
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		format = strings.Replace(format, "?", string(text), 1)
	}
	return format
}

// connect opens a connection, which the page calls c.
func (p tab) connect(path string, protocols ...string) happening {
	if protocols == nil {
		protocols = []string{}
	}
	return p.now("c = new Connection(?, ?), c.next()", path, protocols)
}

func (p tab) login(sameSite string) {
	p.Eval(script(`fetch("/login", {method: "POST", body: new URLSearchParams({samesite: ?})})`, sameSite)+".then(() => 0)", nil)
}

// A browser is the client that most users have. It chooses its own frames, cookies and Origin, and tells a page little of
// why a connection failed.
func TestChromium(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	tickets, err := auth.NewTickets(auth.TicketsConfig{})
	require.NoError(t, err)
	home := &site{t: t, tickets: tickets}
	home.cert, home.key = a.issue("server", 2)
	pair, err := tls.LoadX509KeyPair(home.cert, home.key)
	require.NoError(t, err)
	chromium := browser.Start(t, browser.Settings{
		Hosts: []string{"chat.example.com", "blog.example.com", "evil.example"}, Trust: []*x509.Certificate{pair.Leaf},
	})
	set := withTokens()
	set.Origins = wire.Origins{}
	set.Authenticator = auth.Chain(tickets, auth.AuthenticatorFunc(lasting))
	set.Credentials = &auth.Sources{Subprotocol: true, Cookie: "session", Ticket: "ticket"}
	set.Subprotocols = []string{"chat.v2", "chat.v1"}
	set.FirstMessage, set.InBandRefresh = true, true
	set.Deflate = &wire.Deflate{}
	set.Handle = about
	set.Timeouts.Ping = 200 * time.Millisecond // and for the sweep to be quick
	set.Timeouts.Pong, set.Timeouts.Close = patience, patience

	start := func(t *testing.T, set endpoint.Config) (*service, tab) {
		t.Helper()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := home.serve(listener, set)
		_, port, _ := net.SplitHostPort(s.addr)
		return s, tab{chromium.Open("https://chat.example.com:" + port + "/"), t}
	}

	t.Run("a token among the subprotocols", func(t *testing.T) {
		s, page := start(t, set)
		opened := page.connect("/chat", "chat.v1", "bearer", "good-ann")
		require.Equal(t, happening{Kind: "open", Text: "chat.v1 permessage-deflate"}, opened)
		for _, text := range []string{"", "grüße 网络 😀", strings.Repeat("the same again, ", 1000)} {
			require.Equal(t, happening{Kind: "text", Text: text}, page.now("c.send(?)", text))
		}
		require.Equal(t, happening{Kind: "binary", Text: "\x00\x01ÿ"}, page.now("c.send(new Uint8Array([0, 1, 255]))"))
		require.Equal(t, "ann by subprotocol until -62135596800", page.now(`c.send("who")`).Text)
		require.Positive(t, s.log.wait(event.Ping, nil).Get(event.PingRTT).Double())
		page.Eval(`c.socket.close(4001, "bye")`, nil)
		require.Equal(t, happening{Kind: "close", Code: 4001, Clean: true}, page.now("c.next()"))
		end := s.log.wait(event.Close, nil)
		require.Equal(t, int64(4001), end.Get(event.CloseCode).Int())
		require.Equal(t, "client", end.String(event.CloseInitiator))
		require.True(t, end.Get(event.CloseClean).Bool())
		require.Equal(t, int64(5), end.Get(event.IOMessagesReceived).Int())
		require.Equal(t, "1.3", s.log.wait(event.Open, nil).String(event.TLSProtocolVersion))
	})
	t.Run("a token in the first message", func(t *testing.T) {
		_, page := start(t, set)
		require.Equal(t, "open", page.connect("/chat", "chat.v2").Kind)
		page.Eval(`c.socket.send('{"auth":"good-ann"}')`, nil)
		require.Equal(t, "ann by first_message until -62135596800", page.now(`c.send("who")`).Text)
	})
	t.Run("nobody", func(t *testing.T) {
		s, page := start(t, set)
		require.Equal(t, happening{Kind: "close", Code: 1006}, page.connect("/chat", "bearer", "secret"))
		require.Equal(t, event.TokenInvalid, s.log.wait(event.Auth, nil).String(event.ErrorType))
		require.Equal(t, int64(401), s.log.wait(event.HandshakeRejected, nil).Get(event.HTTPResponseStatusCode).Int())
	})
	t.Run("a cookie, from this page and from others", func(t *testing.T) {
		s, page := start(t, set)
		page.login("None")
		require.Equal(t, "open", page.connect("/chat").Kind)
		require.Equal(t, "ann by cookie until -62135596800", page.now(`c.send("who")`).Text)
		s.log.wait(event.Open, nil)

		_, port, _ := net.SplitHostPort(s.addr)
		before := home.withCookie.Load()
		for i, host := range []string{"blog.example.com", "evil.example"} {
			page.Load("https://" + host + ":" + port + "/")
			require.Equal(t, happening{Kind: "close", Code: 1006}, page.connect("wss://chat.example.com:"+port+"/chat"))
			s.log.count(event.HandshakeRejected, i+1)
		}
		require.Positive(t, home.withCookie.Load()-before, "a page of a sibling has the cookie with it")
		for _, e := range s.log.all(event.HandshakeRejected) {
			require.Equal(t, event.Forbidden, e.String(event.ErrorType))
			require.Equal(t, int64(403), e.Get(event.HTTPResponseStatusCode).Int())
		}
		require.Len(t, s.log.all(event.Open), 1)
	})
	t.Run("a ticket", func(t *testing.T) {
		s, page := start(t, set)
		page.login("Strict")
		require.Equal(t, "open", page.now(
			`ticket().then(text => (used = text, c = new Connection("/chat?ticket=" + text), c.next()))`).Kind)
		require.Equal(t, "ann by ticket until -62135596800", page.now(`c.send("who")`).Text)
		again := page.now(`c = new Connection("/chat?ticket=" + used), c.next()`)
		require.Equal(t, happening{Kind: "close", Code: 1006}, again)
		require.Equal(t, int64(401), s.log.wait(event.HandshakeRejected, nil).Get(event.HTTPResponseStatusCode).Int())
	})
	t.Run("a refresh, and the end of the token", func(t *testing.T) {
		s, page := start(t, set)
		require.Equal(t, "open", page.connect("/chat", "bearer", "until-4000000000").Kind)
		require.Equal(t, "ann by subprotocol until 4000000000", page.now(`c.send("who")`).Text)
		page.Eval(`c.socket.send('{"auth":"until-4100000000"}')`, nil)
		require.Contains(t, page.now(`c.send("who")`).Text, "until 4100000000")
		s.log.wait(event.AuthRefreshed, nil)
		page.Eval(`c.socket.send('{"auth":"brief"}')`, nil)
		page.ends(3000, "token expired")
		require.Equal(t, event.TokenExpired, s.log.wait(event.AuthRevoked, nil).String(event.ErrorType))
	})
	t.Run("a revocation", func(t *testing.T) {
		s, page := start(t, set)
		require.Equal(t, "open", page.connect("/chat", "bearer", "good-ann").Kind)
		s.eventually(t, "it is registered", func() bool { return s.Revoke(func(auth.Identity) bool { return true }) == 1 })
		page.ends(3000, "credential revoked")
	})
	t.Run("a message over the limit", func(t *testing.T) {
		s, page := start(t, set)
		require.Equal(t, "open", page.connect("/chat", "bearer", "good-ann").Kind)
		over := page.now("c.send(new Uint8Array(70000).map(() => 256 * Math.random()))")
		require.Equal(t, wire.CloseMessageTooBig, over.Code)
		require.Equal(t, event.MessageTooBig, s.log.wait(event.Error, nil).String(event.ErrorType))
	})
	t.Run("a restart of the server", func(t *testing.T) {
		addr := testenv.Address(t)
		listener, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		s := home.serve(listener, set)
		_, port, _ := net.SplitHostPort(addr)
		page := tab{chromium.Open("https://chat.example.com:" + port + "/"), t}
		page.login("Strict")
		var seen []happening
		page.Eval(`steady = new Steady(), steady.until(1, what => what.kind === "text")`, &seen)
		require.Equal(t, "here I am", seen[len(seen)-1].Text)

		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.server.Shutdown(ctx))
		require.True(t, s.log.wait(event.Close, nil).Get(event.CloseClean).Bool())
		listener, err = net.Listen("tcp", addr)
		require.NoError(t, err)
		s = home.serve(listener, set)
		page.Eval(`steady.until(2, what => what.kind === "text")`, &seen)
		require.Contains(t, seen, happening{Kind: "close", Code: wire.CloseServiceRestart, Text: "shutting down", Clean: true})
		require.Equal(t, "here I am", seen[len(seen)-1].Text)
		require.Equal(t, "ticket", s.log.wait(event.Auth, nil).String(event.AuthMethod))
		page.Eval("steady.stop()", nil)
		s.log.wait(event.Close, has(event.CloseInitiator, "client"))
	})
}
