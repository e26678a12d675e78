package endpoint_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// office is where an operator asks.
type office struct {
	t      testing.TB
	url    string
	client *http.Client
}

// administer serves the operators' side of s.
func administer(t testing.TB, s *service, set endpoint.AdminSettings) *office {
	t.Helper()
	admin, err := s.Admin(set)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- admin.Serve(listener) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, admin.Shutdown(ctx))
		require.NoError(t, <-served)
	})
	return &office{t, "http://" + listener.Addr().String(), &http.Client{Transport: transport, Timeout: patience}}
}

// ask sends a body, or gets where it is nil, and reads the answer into result.
func (o *office) ask(path string, body, result any) int {
	o.t.Helper()
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		text, err = json.Marshal(body)
		require.NoError(o.t, err)
	}
	request, err := http.NewRequest(method, o.url+path, bytes.NewReader(text))
	require.NoError(o.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := o.client.Do(request)
	require.NoError(o.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(o.t, err)
	require.Equal(o.t, "application/json", response.Header.Get("Content-Type"))
	for _, secret := range []string{"good-", "secret", `"ann"`, `"bob"`, "192.0.2.1\"", "still here"} {
		require.NotContains(o.t, string(answer), secret)
	}
	require.NoError(o.t, json.Unmarshal(answer, result), string(answer))
	return response.StatusCode
}

type closed struct {
	Closed int    `json:"closed"`
	Error  string `json:"error"`
}

// managed is an endpoint with all that an operator can use.
func managed() endpoint.Config {
	set := withTokens()
	set.ClientAddress = byField
	set.Blocks = endpoint.NewBlocks(0, nil)
	set.Revocations = auth.NewRevocations(0, nil)
	set.Subprotocols = []string{"chat.v1"}
	return set
}

func TestAnOperatorSeesConnections(t *testing.T) {
	t.Parallel()
	set := managed()
	set.Limits.Connection.Messages = endpoint.Rate{PerSecond: 0.001, Burst: 10}
	set.FirstMessage = true
	s := serve(t, set)
	o := administer(t, s, endpoint.AdminSettings{})
	c := s.open(t, from("192.0.2.1", "good-ann"), "Sec-WebSocket-Protocol: chat.v1\r\n")
	c.works()
	d := s.dial(t, strings.Replace(handshake, "/chat", "/other", 1)+from("2001:db8::1", "good-bob")+"\r\n")
	require.Equal(t, 101, d.status())
	waiting := s.open(t, "X-Client: 198.51.100.9\r\n")

	var page endpoint.ConnectionPage
	s.eventually(t, "all are there", func() bool {
		page = endpoint.ConnectionPage{}
		return o.ask("/v1/connections", nil, &page) == 200 && len(page.Connections) == 3
	})
	for query, want := range map[string]int{
		"":                                3,
		"?address=192.0.2.1":              1,
		"?address=192.0.2.0/24":           1,
		"?address=2001:db8:0:0:ffff::/64": 1,
		"?address=192.0.3.0/24":           0,
		"?tenant=acme":                    2,
		"?tenant=acme&path=/chat":         1,
		"?tenant=other":                   0,
		"?subprotocol=chat.v1":            1,
		"?user_hash=" + s.UserHash("bob"): 1,
		"?user_hash=" + s.UserHash("eve"): 0,
	} {
		page = endpoint.ConnectionPage{}
		require.Equal(t, 200, o.ask("/v1/connections"+query, nil, &page), query)
		require.Len(t, page.Connections, want, query)
	}
	// One by one, nobody is missed and nobody is there twice.
	seen, after := map[string]bool{}, ""
	for range 3 {
		page = endpoint.ConnectionPage{}
		require.Equal(t, 200, o.ask("/v1/connections?limit=1&after="+after, nil, &page))
		require.Len(t, page.Connections, 1)
		seen[page.Connections[0].ID] = true
		after = page.Next
	}
	require.Len(t, seen, 3)
	require.Empty(t, after)

	opened := s.log.wait(event.Open, has(event.URLPath, "/chat"))
	var one endpoint.Connection
	require.Equal(t, 200, o.ask("/v1/connections/"+opened.String(event.ConnectionID), nil, &one))
	require.Equal(t, "open", one.State)
	require.Equal(t, opened.String(event.UserHash), one.UserHash)
	require.Equal(t, "acme", one.Tenant)
	require.Equal(t, auth.Bearer, one.Method)
	require.Equal(t, "192.0.2.0/24", one.Address.String())
	require.Equal(t, "chat.v1", one.Subprotocol)
	require.WithinDuration(t, time.Now(), one.Opened, patience)
	require.Equal(t, int64(1), one.Received.Messages)
	require.Equal(t, int64(1), one.Sent.Messages)
	require.Positive(t, one.Received.Bytes)
	require.Equal(t, &endpoint.QueueState{}, one.Queue)
	left := map[string]float64{}
	for _, l := range one.Limits {
		left[l.Policy] = l.Left
	}
	require.InDelta(t, 9, left["messages_per_connection"], 0.1)
	require.InDelta(t, 31, left["connections_per_user"], 0)
	require.InDelta(t, 49, left["handshakes_per_user"], 1.01, "five a second come back")
	require.NotContains(t, left, "bytes_per_connection", "which has no limit here")

	s.Sessions(func(each *endpoint.Session) bool {
		if each.Identity().Subject == "" {
			require.Equal(t, 200, o.ask("/v1/connections/"+each.ID(), nil, &one))
			require.Equal(t, "authenticating", one.State)
			require.Equal(t, "198.51.100.0/24", one.Address.String())
		}
		return true
	})
	waiting.text(`{"auth":"good-eve"}`)
	waiting.works()
}

func TestAnOperatorClosesConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, managed())
	o := administer(t, s, endpoint.AdminSettings{})
	c, d := s.open(t, from("192.0.2.1", "good-ann")), s.open(t, from("192.0.2.2", "good-bob"))
	e, f := s.open(t, from("192.0.2.3", "good-eve")), s.open(t, from("192.0.3.1", "good-fay"))
	for _, each := range []*client{c, d, e, f} {
		each.works() // so it is known
	}
	id := s.log.wait(event.Open, has(event.UserHash, s.UserHash("ann"))).String(event.ConnectionID)
	var got closed
	require.Equal(t, 200, o.ask("/v1/close", map[string]any{"id": id, "code": 4001, "reason": "come back later"}, &got))
	require.Equal(t, 1, got.Closed)
	code, text := c.closed()
	require.Equal(t, wire.CloseCode(4001), code)
	require.Equal(t, "come back later", text)
	told := s.log.wait(event.PolicyChanged, has(event.ConnectionID, id))
	require.Equal(t, event.PolicyDisconnect, told.String(event.PolicyKind))
	require.Equal(t, "once", told.String(event.PolicyState))
	require.Equal(t, "loopback", told.String(event.PolicyActor))
	require.Equal(t, int64(1), told.Get(event.PolicyCount).Int())

	require.Equal(t, 200, o.ask("/v1/close", map[string]any{"filter": map[string]any{"address": "192.0.2.0/24"}}, &got))
	require.Equal(t, 2, got.Closed, "what is closing already is not counted again")
	for _, gone := range []*client{d, e} {
		code, _ = gone.closed()
		require.Equal(t, wire.ClosePolicyViolation, code)
	}
	f.works()
	require.Equal(t, 200, o.ask("/v1/close", map[string]any{"all": true, "code": 1001}, &got))
	code, _ = f.closed()
	require.Equal(t, wire.CloseGoingAway, code)
	f.send(string(f.writer.AppendClose(nil, wire.CloseGoingAway, "")))
	f.ended()
	s.eventually(t, "it is forgotten", func() bool {
		return o.ask("/v1/close", map[string]any{"id": id}, &got) == 404 && got.Error == "no open connection has this id"
	})
}

func TestAnOperatorRevokes(t *testing.T) {
	t.Parallel()
	s := serve(t, managed())
	o := administer(t, s, endpoint.AdminSettings{})
	c, other := s.open(t, from("192.0.2.1", "good-ann")), s.open(t, from("192.0.2.1", "good-bob"))
	c.works()
	var got closed
	require.Equal(t, 200, o.ask("/v1/revoke", map[string]any{"subject": "ann", "tenant": "acme", "for": "1h"}, &got))
	require.Equal(t, 1, got.Closed)
	code, _ := c.closed()
	require.Equal(t, wire.CloseCode(3000), code)
	require.Equal(t, 401, s.dial(t, handshake+from("192.0.2.1", "good-ann")+"\r\n").status())
	told := s.log.wait(event.PolicyChanged, has(event.PolicyKind, event.PolicyRevocation))
	require.Equal(t, s.UserHash("ann"), told.String(event.UserHash))
	require.Equal(t, "acme", told.String(event.TenantID))
	other.works()
}

func TestAnOperatorBlocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   map[string]any
		as     string // in the list
		kind   string
		closed int
	}{
		"an address":             {map[string]any{"address": "192.0.2.1", "reason": "flood", "for": "10m"}, "192.0.2.1/32", event.PolicyIPBlock, 1},
		"a user by name":         {map[string]any{"subject": "ann"}, "", event.PolicyUserBlock, 1},
		"a user by pseudonym":    {map[string]any{"user_hash": "HASH"}, "", event.PolicyUserBlock, 1},
		"a tenant":               {map[string]any{"tenant": "acme"}, "", event.PolicyTenantBlock, 1},
		"an address of IPv6":     {map[string]any{"address": "2001:db8::1"}, "2001:db8::/64", event.PolicyIPBlock, 0},
		"a user in another firm": {map[string]any{"subject": "ann", "tenant": "other"}, "", event.PolicyUserBlock, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, managed())
			o := administer(t, s, endpoint.AdminSettings{})
			if c.body["user_hash"] != nil {
				c.body["user_hash"] = s.UserHash("ann")
			}
			victim := s.open(t, from("192.0.2.1", "good-ann"))
			victim.works()
			var made struct {
				Block  endpoint.BlockRule
				Closed int
			}
			require.Equal(t, 200, o.ask("/v1/block", c.body, &made))
			require.Equal(t, c.closed, made.Closed)
			if c.closed > 0 {
				code, _ := victim.closed()
				require.Equal(t, wire.ClosePolicyViolation, code)
				require.Equal(t, 403, s.dial(t, handshake+from("192.0.2.1", "good-ann")+"\r\n").status())
			} else {
				victim.works()
			}
			told := s.log.wait(event.PolicyChanged, nil)
			require.Equal(t, c.kind, told.String(event.PolicyKind))
			require.Equal(t, "on", told.String(event.PolicyState))
			reason := "operator"
			if c.body["reason"] != nil {
				reason = "flood"
			}
			require.Equal(t, reason, told.String(event.PolicyReason))
			require.Equal(t, int64(c.closed), told.Get(event.PolicyCount).Int())

			var page endpoint.BlockPage
			require.Equal(t, 200, o.ask("/v1/blocks", nil, &page))
			require.Equal(t, []endpoint.BlockRule{made.Block}, page.Blocks)
			if c.as != "" {
				require.Equal(t, c.as, page.Blocks[0].Address.String())
			}
			lasts := time.Hour
			if c.body["for"] != nil {
				lasts = 10 * time.Minute
			}
			require.WithinDuration(t, time.Now().Add(lasts), page.Blocks[0].Until, patience)

			var none struct{ Error string }
			require.Equal(t, 200, o.ask("/v1/unblock", c.body, &none))
			s.log.wait(event.PolicyChanged, has(event.PolicyState, "off"))
			require.Equal(t, 404, o.ask("/v1/unblock", c.body, &none))
			require.Contains(t, none.Error, "there is no such block")
			s.open(t, from("192.0.2.1", "good-ann")).works()
		})
	}
}

func TestRequestsOfAnOperatorThatAreWrong(t *testing.T) {
	t.Parallel()
	set := managed()
	set.Blocks = endpoint.NewBlocks(1, nil)
	s := serve(t, set)
	require.NoError(t, set.Blocks.Add(endpoint.BlockRule{Tenant: "t"}))
	o := administer(t, s, endpoint.AdminSettings{})
	other := s.open(t, from("192.0.2.1", "good-ann"))
	type body = map[string]any
	for sentence, c := range map[string]struct {
		path   string
		body   any
		status int
		want   string
	}{
		"another path":                  {"/v2/connections", nil, 404, "no such request; there are GET /v1/connections"},
		"a method that changes nothing": {"/v1/close", nil, 404, "no such request"},
		"a parameter that is none":      {"/v1/connections?user=ann", nil, 400, "the parameters are user_hash"},
		"a parameter twice":             {"/v1/connections?path=/a&path=/b", nil, 400, "may be there once"},
		"too many at once":              {"/v1/connections?limit=1001", nil, 400, "limit: must be from 1 to 1000"},
		"a place that is none":          {"/v1/connections?after=12", nil, 400, "after: must be the next"},
		"a network that is none":        {"/v1/connections?address=secret", nil, 400, "address: must be one such as"},
		"a name for a hash":             {"/v1/connections?user_hash=secret", nil, 400, "user_hash: must be the user.hash of an event"},
		"an id that is none":            {"/v1/connections/secret", nil, 404, "no open connection"},
		"no way to select":              {"/v1/close", body{}, 400, "say which connections to close"},
		"an empty filter":               {"/v1/close", body{"filter": body{}}, 400, "say which connections to close"},
		"two ways to select":            {"/v1/close", body{"all": true, "id": "x"}, 400, "say which connections to close"},
		"a field that is none":          {"/v1/close", body{"everything": "secret"}, 400, "the body must be one JSON object, of id, filter"},
		"no object":                     {"/v1/close", []string{"secret"}, 400, "the body must be one JSON object"},
		"a code for no frame":           {"/v1/close", body{"all": true, "code": 1006}, 400, "code: must be one that a Close frame may carry"},
		"a code beyond all":             {"/v1/close", body{"all": true, "code": 66536}, 400, "code: must be"},
		"a long reason":                 {"/v1/close", body{"all": true, "reason": strings.Repeat("x", 124)}, 400, "reason: must have at most 123 bytes"},
		"a body that is long":           {"/v1/close", body{"reason": strings.Repeat("x", 17<<10)}, 413, "at most 16 KiB"},
		"nobody to revoke":              {"/v1/revoke", body{"for": "1h"}, 400, "name a token_id"},
		"a long name":                   {"/v1/revoke", body{"subject": strings.Repeat("x", 513)}, 400, "at most 512 bytes"},
		"a time that is none":           {"/v1/revoke", body{"subject": "x", "for": "secret"}, 400, "for: must be from 1s to 8784h0m0s"},
		"a time without end":            {"/v1/block", body{"tenant": "x", "for": "8785h"}, 400, "for: must be"},
		"nobody to block":               {"/v1/block", body{"reason": "flood"}, 400, "give an address, or a user_hash"},
		"a reason that is none":         {"/v1/block", body{"tenant": "x", "reason": "secret"}, 400, "a reason of [operator abuse flood scan compromised]"},
		"an address and a tenant":       {"/v1/block", body{"tenant": "x", "address": "192.0.2.1"}, 400, "give an address, or"},
		"two users":                     {"/v1/block", body{"subject": "x", "user_hash": "y"}, 400, "only one of them"},
		"everybody of IPv4":             {"/v1/block", body{"address": "0.0.0.0/0"}, 400, "a network must have at least /8"},
		"everybody of IPv6":             {"/v1/block", body{"address": "::/1"}, 400, "a network must have at least /16"},
		"one more than there is room":   {"/v1/block", body{"tenant": "x"}, 507, "blocks: the list is full"},
	} {
		t.Run(sentence, func(t *testing.T) {
			var got closed
			require.Equal(t, c.status, o.ask(c.path, c.body, &got))
			require.Contains(t, got.Error, c.want)
		})
	}
	require.Len(t, set.Blocks.All(), 1)
	require.Empty(t, s.log.all(event.PolicyChanged), "nothing was changed")
	other.works()

	bare := serve(t, config())
	o = administer(t, bare, endpoint.AdminSettings{})
	var got closed
	require.Equal(t, 409, o.ask("/v1/block", body{"tenant": "x"}, &got))
	require.Equal(t, 409, o.ask("/v1/revoke", body{"subject": "x"}, &got))
	require.Equal(t, 200, o.ask("/v1/blocks", nil, &endpoint.BlockPage{}))
}

// What an attacker's web page can have the browser of somebody on the host send, and what a proxy on the host may pass on.
func TestOnlyOperatorsAreServed(t *testing.T) {
	t.Parallel()
	s := serve(t, managed())
	o := administer(t, s, endpoint.AdminSettings{})
	other := s.open(t, from("192.0.2.1", "good-ann"))
	for sentence, c := range map[string]struct {
		change func(*http.Request)
		status int
		want   string
	}{
		"as it should be":              {func(*http.Request) {}, 400, "say which"},
		"by the name localhost":        {func(r *http.Request) { r.Host = "localhost:8444" }, 400, "say which"},
		"by IPv6's loopback address":   {func(r *http.Request) { r.Host = "[::1]" }, 400, "say which"},
		"typed into a browser":         {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 400, "say which"},
		"by a name that was rebound":   {func(r *http.Request) { r.Host = "evil.example:8444" }, 403, "the Host must be localhost"},
		"by a name like localhost":     {func(r *http.Request) { r.Host = "localhost.evil.example" }, 403, "the Host must be"},
		"by another address":           {func(r *http.Request) { r.Host = "192.0.2.1" }, 403, "the Host must be"},
		"from a page":                  {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1") }, 403, "web pages may not"},
		"from a page without a name":   {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, "web pages may not"},
		"from a page, by GET":          {func(r *http.Request) { r.Method = "GET"; r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "web pages"},
		"from a page of the same site": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, 403, "web pages"},
		"as a form":                    {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "Content-Type must be"},
		"without a type":               {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "Content-Type must be"},
		"a question of the browser":    {func(r *http.Request) { r.Method = "OPTIONS"; r.Header.Set("Origin", "http://evil.example") }, 403, "web pages"},
		"through a proxy":              {func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 403, "came through a proxy"},
		"through an honest proxy":      {func(r *http.Request) { r.Header.Set("Forwarded", "for=192.0.2.1") }, 403, "came through a proxy"},
	} {
		t.Run(sentence, func(t *testing.T) {
			request, err := http.NewRequest(http.MethodPost, o.url+"/v1/close", strings.NewReader("{}"))
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/json; charset=utf-8")
			c.change(request)
			response, err := o.client.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			if request.Method == http.MethodPost {
				require.Contains(t, string(text), c.want)
			}
			require.Equal(t, c.status, response.StatusCode)
			require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
		})
	}
	other.works()
}

// elsewhere is a listener at an address that others can reach.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8444} }

func TestOperatorsElsewhereNeedACertificate(t *testing.T) {
	t.Parallel()
	s := serve(t, managed())
	plain, err := s.Admin(endpoint.AdminSettings{})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, plain.Serve(elsewhere{listener}), "admin: the address is not a loopback one; choose 127.0.0.1, or set CertFile")
	require.Error(t, listener.Close(), "it is closed")

	// However it is mounted: a request from the host to a loopback address is served by that, and no other.
	for address, want := range map[string]int{"127.0.0.1:1": 200, "192.0.2.1:1": 403} {
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/blocks", nil)
		request.RemoteAddr = address
		request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
		recorder := httptest.NewRecorder()
		plain.ServeHTTP(recorder, request)
		require.Equal(t, want, recorder.Code, address)
	}
	unknown := httptest.NewRecorder()
	plain.ServeHTTP(unknown, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/blocks", nil))
	require.Equal(t, 403, unknown.Code)

	operators, users := newAuthority(t), newAuthority(t)
	cert, key := operators.issue("server", 2)
	set := endpoint.AdminSettings{CertFile: cert, KeyFile: key, ClientCAFile: operators.file()}
	o := administer(t, s, set)
	pair := func(a *authority, name string) tls.Certificate {
		c, k := a.issue(name, 7)
		p, err := tls.LoadX509KeyPair(c, k)
		require.NoError(t, err)
		return p
	}
	o.url = strings.Replace(o.url, "http:", "https:", 1)
	as := func(certificates ...tls.Certificate) {
		transport := &http.Transport{TLSClientConfig: operators.trust(), DisableKeepAlives: true}
		transport.TLSClientConfig.Certificates = certificates
		o.client = &http.Client{Transport: transport, Timeout: patience}
	}
	as(pair(operators, "olga"))
	require.Equal(t, 200, o.ask("/v1/block", map[string]any{"tenant": "evil"}, &struct{}{}))
	actor := s.log.wait(event.PolicyChanged, nil).String(event.PolicyActor)
	require.Regexp(t, "^p1:[a-z2-7]{8}:[a-z2-7]{26}$", actor)
	for name, none := range map[string][]tls.Certificate{"none": nil, "a user's": {pair(users, "olga")}} {
		as(none...)
		_, err = o.client.Get(o.url + "/v1/blocks")
		require.Error(t, err, name)
	}

	// A server that knows users by their certificates makes no operators of them.
	admin, err := s.Admin(set)
	require.NoError(t, err)
	shared := serveBy(t, config(), endpoint.ServerSettings{
		Handler: admin, CertFile: cert, KeyFile: key, ClientCAFile: users.file(),
	})
	o.url = "https://" + shared.addr
	for _, certificates := range [][]tls.Certificate{nil, {pair(users, "ursula")}} {
		as(certificates...)
		var got closed
		require.Equal(t, 403, o.ask("/v1/blocks", nil, &got))
		require.Equal(t, "a certificate of an operator is needed", got.Error)
	}

	for want, bad := range map[string]endpoint.AdminSettings{
		"must all be set":                      {CertFile: cert, KeyFile: key},
		"admin: CertFile, KeyFile: ":           {CertFile: "/none", KeyFile: key, ClientCAFile: cert},
		"admin: ClientCAFile: no certificate":  {CertFile: cert, KeyFile: key, ClientCAFile: key},
		"admin: ClientCAFile: open /none: no ": {CertFile: cert, KeyFile: key, ClientCAFile: "/none"},
	} {
		_, err := s.Admin(bad)
		require.ErrorContains(t, err, want)
	}
	nameless := config()
	nameless.HashKey = nil
	_, err = serve(t, nameless).Admin(endpoint.AdminSettings{})
	require.EqualError(t, err, "admin: needs HashKey, since it names users by user.hash")
}

// However many connections an operator's clients hold, the endpoint keeps its descriptors: others wait.
func TestOperatorsAreFewAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, managed())
	o := administer(t, s, endpoint.AdminSettings{})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(o.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var first net.Conn
	for range 64 {
		first = dial()
	}
	late := dial()
	_, err := io.WriteString(late, "GET /v1/blocks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, late.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = late.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, first.Close())
	require.NoError(t, late.SetReadDeadline(time.Now().Add(patience)))
	text, err := io.ReadAll(late)
	require.NoError(t, err)
	require.Contains(t, string(text), "200 OK")
}
