package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

const page = "https://app.example.com"

var (
	home  = netip.MustParseAddr("192.0.2.7")
	alice = Identity{
		Subject: canary + "-alice", Tenant: "acme", TokenID: canary, Session: canary, Scopes: NewSet("read"), IssuedAt: epoch,
		NotAfter: epoch.Add(time.Hour), Method: Bearer,
	}
)

func newTickets(t testing.TB, change func(*TicketsConfig)) (*Tickets, *clock) {
	t.Helper()
	c := newClock()
	config := TicketsConfig{Now: c.now}
	if change != nil {
		change(&config)
	}
	tickets, err := NewTickets(config)
	require.NoError(t, err)
	return tickets, c
}

func use(tickets *Tickets, text string) (Identity, error) {
	return tickets.Authenticate(context.Background(), Credential{Method: Ticket, Token: text, Origin: page, Client: home})
}

func TestTicketIsWhoItWasIssuedTo(t *testing.T) {
	t.Parallel()
	tickets, _ := newTickets(t, nil)
	text, err := tickets.Issue(alice, page, home)
	require.NoError(t, err)
	require.NotContains(t, text, canary)
	require.Less(t, len(text), 600)
	id, err := use(tickets, text)
	require.NoError(t, err)
	want := alice
	want.Method = Ticket
	require.Equal(t, want, id, "what revokes the session, and ends it, goes along")
	require.True(t, want.Equal(id))
}

func TestTicketRefuses(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		change func(*TicketsConfig)
		spoil  func(text string, c *Credential, clock *clock)
		want   Failure
	}{
		"after its lifetime": {nil, func(_ string, _ *Credential, c *clock) { c.turn(30 * time.Second) }, TicketExpired},
		"after the session ended": {func(c *TicketsConfig) { c.Lifetime = 5 * time.Minute }, func(text string, cr *Credential, c *clock) {
			c.turn(time.Minute)
		}, TokenExpired},
		"another page":                 {nil, func(_ string, c *Credential, _ *clock) { c.Origin = "https://evil.example" }, TicketMisplaced},
		"no page":                      {nil, func(_ string, c *Credential, _ *clock) { c.Origin = "" }, TicketMisplaced},
		"another address, where bound": {func(c *TicketsConfig) { c.BindClient = true }, func(_ string, c *Credential, _ *clock) { c.Client = netip.MustParseAddr("192.0.2.8") }, TicketMisplaced},
		"no address, where bound":      {func(c *TicketsConfig) { c.BindClient = true }, func(_ string, c *Credential, _ *clock) { c.Client = netip.Addr{} }, TicketMisplaced},
		"a bit changed":                {nil, func(text string, c *Credential, _ *clock) { c.Token = flip(text, len(text)/2) }, InvalidTicket},
		"a bit of its id changed":      {nil, func(text string, c *Credential, _ *clock) { c.Token = flip(text, 3) }, InvalidTicket},
		"cut short":                    {nil, func(text string, c *Credential, _ *clock) { c.Token = text[:20] }, InvalidTicket},
		"one byte":                     {nil, func(_ string, c *Credential, _ *clock) { c.Token = "AA" }, InvalidTicket},
		"nothing":                      {nil, func(_ string, c *Credential, _ *clock) { c.Token = "" }, InvalidTicket},
		"another spelling":             {nil, func(text string, c *Credential, _ *clock) { c.Token = text[:8] + "\n" + text[8:] }, InvalidTicket},
		"a token":                      {nil, func(_ string, c *Credential, _ *clock) { c.Token = pairs()["EdDSA"].token(`{}`, `{}`) }, InvalidTicket},
		"of another process": {nil, func(_ string, c *Credential, _ *clock) {
			c.Token = must(must(NewTickets(TicketsConfig{})).Issue(Identity{Subject: canary}, page, home))
		}, InvalidTicket},
		"too long":             {nil, func(_ string, c *Credential, _ *clock) { c.Token = strings.Repeat("A", 9<<10) }, CredentialTooLong},
		"in another place":     {nil, func(_ string, c *Credential, _ *clock) { c.Method = Bearer }, MissingCredential},
		"in the first message": {nil, func(_ string, c *Credential, _ *clock) { c.Method = FirstMessage }, MissingCredential},
		"while the spender is down": {func(c *TicketsConfig) {
			c.Key, c.Spender = make([]byte, 32), spender(func() (bool, error) { return true, errors.New(canary) })
		}, func(string, *Credential, *clock) {}, Internal},
		"while the spender knows it": {func(c *TicketsConfig) {
			c.Key, c.Spender = make([]byte, 32), spender(func() (bool, error) { return false, nil })
		}, func(string, *Credential, *clock) {}, TicketSpent},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			tickets, clock := newTickets(t, test.change)
			who := alice
			if test.want == TokenExpired {
				who.NotAfter = epoch.Add(time.Minute)
			}
			text, err := tickets.Issue(who, page, home)
			require.NoError(t, err)
			c := Credential{Method: Ticket, Token: text, Origin: page, Client: home}
			test.spoil(text, &c, clock)
			id, err := tickets.Authenticate(t.Context(), c)
			require.Equal(t, test.want, err, "%v", err)
			require.Zero(t, id)
			require.NotContains(t, err.Error(), canary)
			if test.want == TicketMisplaced {
				_, err = use(tickets, text)
				require.NoError(t, err, "who may not use it does not use it up")
			}
		})
	}
}

type spender func() (bool, error)

func (s spender) Spend(context.Context, string, time.Time) (bool, error) { return s() }

func flip(text string, i int) string {
	b := []byte(text)
	if b[i]++; b[i] == 'z'+1 || b[i] == 'Z'+1 || b[i] == '9'+1 || b[i] == '-'+1 || b[i] == '_'+1 {
		b[i] -= 2
	}
	return string(b)
}

func TestTicketIsUsedOnceByWhoeverComesFirst(t *testing.T) {
	t.Parallel()
	tickets, _ := newTickets(t, nil)
	for range 50 {
		text, err := tickets.Issue(alice, page, home)
		require.NoError(t, err)
		var won, lost atomic.Int64
		var clients sync.WaitGroup
		begin := make(chan struct{})
		for range 16 {
			clients.Go(func() {
				<-begin
				switch _, err := use(tickets, text); err {
				case nil:
					won.Add(1)
				case TicketSpent:
					lost.Add(1)
				}
			})
		}
		close(begin)
		clients.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 15, lost.Load())
	}
}

func TestTicketIsRememberedForAsLongAsItCouldBeUsed(t *testing.T) {
	t.Parallel()
	tickets, clock := newTickets(t, nil)
	for step := range 200 {
		text, err := tickets.Issue(alice, page, home)
		require.NoError(t, err)
		clock.turn(time.Duration(step%7) * time.Second)
		_, err = use(tickets, text)
		require.NoError(t, err)
		for clock.now().Before(epoch.Add(59 * time.Minute)) {
			_, err = use(tickets, text)
			if err == TicketExpired {
				break
			}
			require.Equal(t, TicketSpent, err)
			clock.turn(7 * time.Second)
		}
		if !clock.now().Before(epoch.Add(59 * time.Minute)) {
			break
		}
	}
	s := tickets.config.Spender.(*spent)
	require.LessOrEqual(t, len(s.newer)+len(s.old), 3, "and no longer")
}

func TestTicketsAreRefusedWhileTooManyAreRemembered(t *testing.T) {
	t.Parallel()
	tickets, clock := newTickets(t, func(c *TicketsConfig) { c.Capacity = 10 })
	issue := func() string { return must(tickets.Issue(alice, page, home)) }
	first := issue()
	_, err := use(tickets, first)
	require.NoError(t, err)
	for range 9 {
		_, err := use(tickets, issue())
		require.NoError(t, err)
	}
	late := issue()
	_, err = use(tickets, late)
	require.Equal(t, TicketsFull, err)
	require.Equal(t, http.StatusServiceUnavailable, FailureOf(err).Status())
	require.Equal(t, event.FaultServer, FailureOf(err).Fault())
	_, err = use(tickets, first)
	require.Equal(t, TicketSpent, err, "and none is forgotten for it")
	clock.turn(61 * time.Second)
	_, err = use(tickets, issue())
	require.NoError(t, err)
}

func TestTicketsAreNotIssuedTo(t *testing.T) {
	t.Parallel()
	tickets, clock := newTickets(t, func(c *TicketsConfig) { c.BindClient = true })
	_, err := tickets.Issue(Identity{}, page, home)
	require.Equal(t, MissingSubject, err)
	_, err = tickets.Issue(alice, page, netip.Addr{})
	require.Equal(t, TicketMisplaced, err)
	big := alice
	big.Groups = Set(strings.Repeat("g", 10<<10))
	_, err = tickets.Issue(big, page, home)
	require.Equal(t, CredentialTooLong, err)
	clock.turn(time.Hour)
	_, err = tickets.Issue(alice, page, home)
	require.Equal(t, TokenExpired, err)
}

func TestTicketsOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	shared, clock := newSpent(100, time.Minute, newClock().now), newClock()
	process := func() *Tickets {
		return must(NewTickets(TicketsConfig{Key: bytes.Repeat([]byte("k"), 32), Spender: shared, Now: clock.now}))
	}
	one, two := process(), process()
	text := must(one.Issue(alice, page, home))
	_, err := use(two, text)
	require.NoError(t, err)
	_, err = use(one, text)
	require.Equal(t, TicketSpent, err)
}

func TestTicketsConfigSaysAllFaults(t *testing.T) {
	t.Parallel()
	_, err := NewTickets(TicketsConfig{Lifetime: time.Hour, Capacity: -1, Key: []byte(canary)})
	require.EqualError(t, err, `lifetime: must be at most 5m0s, got 1h0m0s
capacity: must not be negative, got -1
key: must have 32 bytes, got 9
key, spender: must be there both or neither: a ticket that several processes accept must be spent in all of them`)
}

func TestTicketHandler(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ed := pairs()["EdDSA"]
	jwt := must(NewJWT(jwtConfig(NewKeySet(key(t, "ed", ed)), clock)))
	tickets := must(NewTickets(TicketsConfig{Now: clock.now, BindClient: true}))
	var told atomic.Pointer[error]
	handler := &TicketHandler{
		Tickets: tickets, Origins: must(wire.ParseOrigins(page)), Sources: Sources{Header: true, Cookie: "session", Ticket: "ticket"},
		Authenticator: Chain(jwt, tickets, AuthenticatorFunc(func(_ context.Context, c Credential) (Identity, error) {
			if c.Method == Cookie && c.Token == canary {
				return alice, nil
			}
			return Identity{}, Refused
		})),
		Done: func(_ *http.Request, _ Identity, err error) { told.Store(&err) },
	}
	secure := httptest.NewTLSServer(handler)
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	good := ed.token(ed.head("ed"), body(nil))
	ask := func(t *testing.T, method, url string, header ...string) (*http.Response, map[string]any) {
		r := must(http.NewRequestWithContext(t.Context(), method, url, nil))
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		resp, err := secure.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		text := must(io.ReadAll(resp.Body))
		var got map[string]any
		if len(text) > 0 {
			require.NoError(t, json.Unmarshal(text, &got), "%s", text)
		}
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		return resp, got
	}

	resp, got := ask(t, "POST", secure.URL, "Authorization", "Bearer "+good, "Origin", page)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, page, resp.Header.Get("Access-Control-Allow-Origin"))
	require.EqualValues(t, 30, got["expires_in"])
	require.NoError(t, *told.Load())
	r := httptest.NewRequest(http.MethodGet, "/ws?ticket="+got["ticket"].(string), nil)
	c, err := DefaultSources().FromRequest(r, page)
	require.NoError(t, err)
	c.Client = netip.MustParseAddr("127.0.0.1")
	id, err := tickets.Authenticate(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, canary+"-user", id.Subject)

	resp, got = ask(t, "OPTIONS", secure.URL, "Origin", page)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Empty(t, got)

	ticket := must(tickets.Issue(alice, page, netip.MustParseAddr("127.0.0.1")))
	for sentence, test := range map[string]struct {
		method, url string
		header      []string
		status      int
		rule        string
	}{
		"a GET, which links and caches make":         {"GET", secure.URL, []string{"Authorization", "Bearer " + good, "Origin", page}, 405, ""},
		"plain HTTP":                                 {"POST", plain.URL, []string{"Authorization", "Bearer " + good, "Origin", page}, 403, "not_allowed"},
		"no credential":                              {"POST", secure.URL, []string{"Origin", page}, 401, "missing_credential"},
		"a bad token":                                {"POST", secure.URL, []string{"Authorization", "Bearer " + canary, "Origin", page}, 401, "malformed_token"},
		"a page that may not":                        {"POST", secure.URL, []string{"Authorization", "Bearer " + good, "Origin", "https://evil.example"}, 403, "not_allowed"},
		"a cookie from a page that may not":          {"POST", secure.URL, []string{"Cookie", "session=" + canary, "Origin", "https://evil.example"}, 403, "not_allowed"},
		"a cookie from no page":                      {"POST", secure.URL, []string{"Cookie", "session=" + canary}, 403, "not_allowed"},
		"two origins":                                {"POST", secure.URL, []string{"Authorization", "Bearer " + good, "Origin", page, "Origin", page}, 403, "not_allowed"},
		"a ticket for a ticket":                      {"POST", secure.URL + "?ticket=" + ticket, []string{"Origin", page}, 401, "missing_credential"},
		"a token in the URL":                         {"POST", secure.URL + "?access_token=" + good, []string{"Origin", page}, 400, "token_in_url"},
		"a preflight of a page that may not":         {"OPTIONS", secure.URL, []string{"Origin", "https://evil.example"}, 403, ""},
		"a cookie that the session store knows not":  {"POST", secure.URL, []string{"Cookie", "session=x", "Origin", page}, 401, "refused"},
		"a cookie that the session store knows (ok)": {"POST", secure.URL, []string{"Cookie", "session=" + canary, "Origin", page}, 200, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			resp, got := ask(t, test.method, test.url, test.header...)
			require.Equal(t, test.status, resp.StatusCode)
			if test.rule != "" {
				require.Equal(t, map[string]any{"error": test.rule}, got)
				require.Equal(t, test.rule, FailureOf(*told.Load()).Rule())
			}
			if test.status >= 400 {
				require.NotContains(t, fmt.Sprint(got, resp.Header), canary)
				require.NotContains(t, resp.Header, "Ticket")
				if strings.Contains(sentence, "may not") {
					require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
				}
			}
		})
	}
}
