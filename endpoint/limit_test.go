package endpoint_test

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// byField takes the client's address from a field, as behind a proxy.
func byField(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.Header.Get("X-Client"))
	return a
}

func TestLimitsOfHandshakes(t *testing.T) {
	t.Parallel()
	slowly := endpoint.Rate{PerSecond: 0.001, Burst: 2}
	first, second := ann+"X-Client: 192.0.2.1\r\n", "Authorization: Bearer good-bob\r\nX-Client: 192.0.2.2\r\n"
	gold := "Authorization: Bearer tier-ann\r\nX-Client: 192.0.2.1\r\n"
	for name, c := range map[string]struct {
		limits func(*endpoint.Limits)
		status int
		policy string
		other  string // who is still let in; "" for nobody
	}{
		"handshakes of an address":  {func(l *endpoint.Limits) { l.Address.Handshakes = slowly }, 429, "handshakes_per_address", second},
		"connections of an address": {func(l *endpoint.Limits) { l.Address.Connections = 2 }, 429, "connections_per_address", second},
		"handshakes of a user":      {func(l *endpoint.Limits) { l.User.Handshakes = slowly }, 429, "handshakes_per_user", second},
		"connections of a user":     {func(l *endpoint.Limits) { l.User.Connections = 2 }, 429, "connections_per_user", second},
		"handshakes of a tenant":    {func(l *endpoint.Limits) { l.Tenant.Handshakes = slowly }, 429, "handshakes_per_tenant", ""},
		"connections of a tenant":   {func(l *endpoint.Limits) { l.Tenant.Connections = 2 }, 429, "connections_per_tenant", ""},
		"a tier that has more": {func(l *endpoint.Limits) {
			l.User.Connections = 2
			l.Tiers = map[string]endpoint.Tier{"gold": {User: endpoint.Quota{Connections: 5}}}
		}, 429, "connections_per_user", gold},
		"all connections": {func(l *endpoint.Limits) { l.Connections = 2 }, 503, "capacity", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			set.ClientAddress = byField
			c.limits(&set.Limits)
			s := serve(t, set)
			one, two := s.open(t, first), s.open(t, first)
			refused := s.dial(t, handshake+first+"\r\n")
			require.Equal(t, c.status, refused.status())
			require.NotEmpty(t, headOf(refused).Get("Retry-After"))
			told := s.log.wait(event.RateLimited, nil)
			require.Equal(t, c.policy, told.String(event.RateLimitPolicy))
			require.Equal(t, event.ScopeHandshake, told.String(event.RateLimitScope))
			rejected := s.log.wait(event.HandshakeRejected, nil)
			require.Equal(t, event.TypeRateLimited, rejected.String(event.ErrorType))
			require.Equal(t, "192.0.2.1", rejected.String(event.ClientAddress))
			if c.other != "" {
				s.open(t, c.other).works()
			}
			one.works()
			two.works()
			if strings.Contains(name, "connections") {
				one.bye() // which makes room
				require.Eventually(t, func() bool {
					again := s.dial(t, handshake+first+"\r\n")
					return again.status() == 101
				}, patience, 20*time.Millisecond)
			}
		})
	}
}

// What else a server does for clients that nobody knows has the limits and the blocks that handshakes have.
func TestLimitsOfAnotherHandler(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.ClientAddress = byField
	set.Limits.Address = endpoint.Quota{Handshakes: endpoint.Rate{PerSecond: 0.001, Burst: 2}, Connections: 1}
	set.Blocks = endpoint.NewBlocks(0, nil)
	require.NoError(t, set.Blocks.Add(endpoint.BlockRule{Address: netip.MustParsePrefix("192.0.2.9/32")}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveOn(t, listener, set, endpoint.ServerSettings{}, func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/chat", h)
		mux.Handle("POST /tickets", h.(*endpoint.Endpoint).Limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		})))
		return mux
	})
	post := func(address string) int {
		return s.dial(t, "POST /tickets HTTP/1.1\r\nHost: chat.example.com\r\nContent-Length: 0\r\nX-Client: "+address+"\r\n\r\n").status()
	}
	s.open(t, from("192.0.2.1", "good-ann"))
	require.Equal(t, 204, post("192.0.2.1"), "it is no connection")
	require.Equal(t, 429, post("192.0.2.1"), "both share one rate")
	told := s.log.wait(event.RateLimited, nil)
	require.Equal(t, "handshakes_per_address", told.String(event.RateLimitPolicy))
	require.Equal(t, "/tickets", told.String(event.URLPath))
	require.Equal(t, 204, post("192.0.2.2"))
	require.Equal(t, 403, post("192.0.2.9"))
	require.Empty(t, s.log.all(event.HandshakeRejected), "none of them was a handshake")
}

func TestLimitsOfMessages(t *testing.T) {
	t.Parallel()
	three := endpoint.Rate{PerSecond: 0.001, Burst: 3}
	bytes := endpoint.Rate{PerSecond: 0.001, Burst: 1000}
	for name, c := range map[string]struct {
		limits func(*endpoint.Limits)
		size   int
		policy string
		shared bool // another connection of the user or tenant is limited too
	}{
		"messages of a connection":             {func(l *endpoint.Limits) { l.Connection.Messages = three }, 1, "messages_per_connection", false},
		"bytes of a connection":                {func(l *endpoint.Limits) { l.Connection.Bytes = bytes }, 300, "bytes_per_connection", false},
		"messages of a user":                   {func(l *endpoint.Limits) { l.User.Messages = three }, 1, "messages_per_user", true},
		"bytes of a user":                      {func(l *endpoint.Limits) { l.User.Bytes = bytes }, 300, "bytes_per_user", true},
		"messages of a tenant":                 {func(l *endpoint.Limits) { l.Tenant.Messages = three }, 1, "messages_per_tenant", true},
		"bytes of a tenant":                    {func(l *endpoint.Limits) { l.Tenant.Bytes = bytes }, 300, "bytes_per_tenant", true},
		"a connection's allowance of messages": {func(l *endpoint.Limits) { l.Connection.Allowance.Messages = 3 }, 1, "message_allowance_of_connection", false},
		"a connection's allowance of bytes":    {func(l *endpoint.Limits) { l.Connection.Allowance.Bytes = 1000 }, 300, "byte_allowance_of_connection", false},
		"a user's allowance of messages":       {func(l *endpoint.Limits) { l.User.Allowance.Messages = 3 }, 1, "message_allowance_of_user", true},
		"a user's allowance of bytes":          {func(l *endpoint.Limits) { l.User.Allowance.Bytes = 1000 }, 300, "byte_allowance_of_user", true},
		"a tenant's allowance of messages":     {func(l *endpoint.Limits) { l.Tenant.Allowance.Messages = 3 }, 1, "message_allowance_of_tenant", true},
		"a tenant's allowance of bytes":        {func(l *endpoint.Limits) { l.Tenant.Allowance.Bytes = 1000 }, 300, "byte_allowance_of_tenant", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := withTokens()
			c.limits(&set.Limits)
			set.Limits.Period = 1 << 62 // no other begins meanwhile
			s := serve(t, set)
			other, bad := s.open(t, ann), s.open(t, ann)
			for range 3 {
				bad.text(strings.Repeat("x", c.size))
				bad.next()
			}
			// The header of the fourth is enough.
			bad.send(string(wire.AppendHeader(nil, wire.Header{Opcode: wire.OpText, Fin: true, Masked: true, Length: 300})))
			code, _ := bad.closed()
			require.Equal(t, wire.ClosePolicyViolation, code)
			told := s.log.wait(event.RateLimited, nil)
			require.Equal(t, c.policy, told.String(event.RateLimitPolicy))
			require.Equal(t, event.ScopeMessage, told.String(event.RateLimitScope))
			if !c.shared {
				other.works()
				return
			}
			other.text(strings.Repeat("x", 300))
			code, _ = other.closed()
			require.Equal(t, wire.ClosePolicyViolation, code)
		})
	}
}

func TestAnAllowanceIsThatOfTheTierAndComesBack(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.Limits.User.Allowance.Messages = 2
	set.Limits.Tiers = map[string]endpoint.Tier{"gold": {User: endpoint.Quota{Allowance: endpoint.Allowance{Messages: 4}}}}
	set.Limits.Period = 1 << 62
	set.Limits.Excess = endpoint.DropOnExcess
	s := serve(t, set)
	for credential, most := range map[string]int{ann: 2, "Authorization: Bearer tier-bob\r\n": 4} {
		first := s.open(t, credential)
		for range 10 {
			first.text("x")
		}
		for range most {
			require.Equal(t, "x", string(first.next().Payload))
		}
		first.bye()
		again := s.open(t, credential) // which gives nothing new
		again.text("x")
		again.bye()
	}
	s.eventually(t, "one for each connection", func() bool { return len(s.log.all(event.RateLimited)) >= 4 })
	require.Len(t, s.log.all(event.RateLimited), 4)

	set.Limits.Period = 50 * time.Millisecond
	s = serve(t, set)
	c := s.open(t, ann)
	sent, back := 0, make(chan bool)
	go func() {
		for range 6 { // which takes three periods
			if _, err := c.tryNext(); err != nil {
				break
			}
		}
		close(back)
	}()
	for deadline := time.Now().Add(patience); ; sent++ {
		select {
		case <-back:
			t.Logf("%d were sent", sent)
			s.log.wait(event.RateLimited, nil)
			return
		case <-time.After(time.Millisecond):
			require.True(t, time.Now().Before(deadline))
			c.text("x")
		}
	}
}

func TestMessagesOverTheirRateMayBeDropped(t *testing.T) {
	t.Parallel()
	set := config()
	set.Limits.Connection.Messages = endpoint.Rate{PerSecond: 0.001, Burst: 3}
	set.Limits.Excess = endpoint.DropOnExcess
	set.Timeouts.Report = 200 * time.Millisecond
	s := serve(t, set)
	c := s.open(t)
	for range 10 {
		c.text("x")
	}
	for range 3 {
		require.Equal(t, "x", string(c.next().Payload))
	}
	told := s.log.wait(event.MessageRejected, nil)
	require.Equal(t, event.QuotaExceeded, told.String(event.ErrorType))
	c.bye()
	s.log.wait(event.Close, nil)
	var n int64
	for _, e := range s.log.all(event.MessageRejected) {
		n += e.Get(event.MessageCount).Int()
	}
	require.Equal(t, int64(7), n)
	require.Len(t, s.log.all(event.RateLimited), 1, "not one for each")
}

func TestAValidatorRefusesMessages(t *testing.T) {
	t.Parallel()
	set := config()
	var seen atomic.Int64
	set.Validate = func(_ *endpoint.Session, m wire.Message) error {
		seen.Add(1)
		switch string(m.Payload) {
		case "drop":
			return &endpoint.Rejection{Type: event.ACLDenied, Schema: "chat.v1/post"}
		case "close":
			return &endpoint.Rejection{Type: event.SchemaInvalid, Close: wire.CloseInvalidPayload}
		}
		return nil
	}
	s := serve(t, set)
	c := s.open(t)
	c.text("drop")
	c.text("keep")
	require.Equal(t, "keep", string(c.next().Payload))
	c.text("close")
	code, why := c.closed()
	require.Equal(t, wire.CloseInvalidPayload, code)
	require.Equal(t, "message refused", why)
	denied := s.log.wait(event.MessageRejected, has(event.ErrorType, event.ACLDenied))
	require.Equal(t, "chat.v1/post", denied.String(event.SchemaID))
	s.log.wait(event.MessageRejected, has(event.ErrorType, event.SchemaInvalid))
	require.Equal(t, int64(3), seen.Load())
}
