package endpoint_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// clock is one that a test turns.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) turn(d time.Duration) { c.ahead.Add(int64(d)) }

// from is a request of a user who comes from an address.
func from(address, token string) string {
	return "Authorization: Bearer " + token + "\r\nX-Client: " + address + "\r\n"
}

func TestABlockClosesAndRefusesUntilItEnds(t *testing.T) {
	t.Parallel()
	network := netip.MustParsePrefix
	for name, c := range map[string]struct {
		rule          func(s *service) endpoint.BlockRule
		blocked, free string
		authenticated bool // before it is refused
	}{
		"an address": {func(*service) endpoint.BlockRule { return endpoint.BlockRule{Address: network("192.0.2.1/32")} },
			from("192.0.2.1", "good-ann"), from("192.0.2.2", "good-ann"), false},
		"a network": {func(*service) endpoint.BlockRule { return endpoint.BlockRule{Address: network("192.0.2.77/24")} },
			from("192.0.2.1", "good-ann"), from("192.0.3.1", "good-ann"), false},
		"a network of IPv6": {func(*service) endpoint.BlockRule { return endpoint.BlockRule{Address: network("2001:db8::/48")} },
			from("2001:db8:0:7::1", "good-ann"), from("2001:db8:1::1", "good-ann"), false},
		"IPv4 as it is written in IPv6": {func(*service) endpoint.BlockRule { return endpoint.BlockRule{Address: network("::ffff:192.0.2.0/120")} },
			from("::ffff:192.0.2.1", "good-ann"), from("192.0.3.1", "good-ann"), false},
		"a user": {func(s *service) endpoint.BlockRule { return endpoint.BlockRule{UserHash: s.UserHash("ann")} },
			from("192.0.2.1", "good-ann"), from("192.0.2.1", "good-bob"), true},
		"a tenant": {func(*service) endpoint.BlockRule { return endpoint.BlockRule{Tenant: "acme"} },
			from("192.0.2.1", "good-ann"), from("192.0.2.1", "other-ann"), true},
		"a user of a tenant": {func(s *service) endpoint.BlockRule {
			return endpoint.BlockRule{UserHash: s.UserHash("ann"), Tenant: "acme"}
		},
			from("192.0.2.1", "good-ann"), from("192.0.2.1", "other-ann"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := &clock{}
			set := withTokens()
			set.Authenticator = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credential) (auth.Identity, error) {
				if c.Token == "other-ann" {
					return auth.Identity{Subject: "ann", Tenant: "other"}, nil
				}
				return tokens(ctx, c)
			})
			set.ClientAddress = byField
			set.Timeouts.Close = time.Minute // for those who are not blocked
			set.Blocks = endpoint.NewBlocks(0, at.now)
			s := serve(t, set)
			other, victim := s.open(t, c.free), s.open(t, c.blocked)
			rule := c.rule(s)
			rule.Until = at.now().Add(time.Hour)
			began := time.Now()
			require.NoError(t, set.Blocks.Add(rule))
			code, text := victim.closed()
			require.Equal(t, wire.ClosePolicyViolation, code)
			require.Equal(t, "blocked", text)
			// Whoever does not answer the Close frame is cut all the same: half a second later, on a machine that is idle.
			victim.ended()
			require.Less(t, time.Since(began), patience/2)
			s.log.wait(event.Close, func(e *event.Event) bool { return e.Get(event.CloseCode).Int() == 1008 })

			refused := s.dial(t, handshake+c.blocked+"\r\n")
			require.Equal(t, 403, refused.status())
			rejected := s.log.wait(event.HandshakeRejected, nil)
			require.Equal(t, event.Forbidden, rejected.String(event.ErrorType))
			require.Equal(t, event.FaultPolicy, event.FaultOf(event.Forbidden, 403))
			authenticated := 0
			for _, e := range s.log.all(event.Auth) {
				require.Equal(t, event.AuthSuccess, e.String(event.AuthResult))
				if e.String(event.ConnectionID) == rejected.String(event.ConnectionID) {
					authenticated++
				}
			}
			require.Equal(t, c.authenticated, authenticated == 1)

			other.works()
			s.open(t, c.free).works()
			at.turn(time.Hour)
			s.open(t, c.blocked).works()
			require.Empty(t, set.Blocks.All())

			rule.Until = time.Time{}
			require.NoError(t, set.Blocks.Add(rule))
			require.Equal(t, 403, s.dial(t, handshake+c.blocked+"\r\n").status())
			require.True(t, set.Blocks.Lift(rule))
			require.False(t, set.Blocks.Lift(rule))
			s.open(t, c.blocked).works()
			other.works()
		})
	}
}

func TestABlockedUserIsClosedAtTheFirstMessage(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.FirstMessage = true
	set.Blocks = endpoint.NewBlocks(0, nil)
	s := serve(t, set)
	require.NoError(t, set.Blocks.Add(endpoint.BlockRule{UserHash: s.UserHash("ann")}))
	c := s.open(t)
	c.text(`{"auth":"good-ann"}`)
	code, _ := c.closed()
	require.Equal(t, wire.ClosePolicyViolation, code)
	d := s.open(t)
	d.text(`{"auth":"good-bob"}`)
	d.works()
}

// However a block and the handshakes of those that it is about fall together, none of them stays open.
func TestABlockDuringHandshakes(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		set := withTokens()
		set.Blocks = endpoint.NewBlocks(0, nil)
		s := serve(t, set)
		rule := endpoint.BlockRule{UserHash: s.UserHash("ann")}
		if round%2 == 0 {
			rule = endpoint.BlockRule{Address: netip.MustParsePrefix("127.0.0.0/8")}
		}
		added := make(chan error, 1)
		const n = 8
		open := make(chan *client, n)
		for range n {
			go func() { open <- s.dial(t, handshake+ann+"\r\n") }()
		}
		go func() { added <- set.Blocks.Add(rule) }()
		for range n {
			c := <-open
			if c.status() != 101 {
				continue
			}
			code, _ := c.closed()
			require.Equal(t, wire.ClosePolicyViolation, code)
		}
		require.NoError(t, <-added)
	}
}

func TestBlocksAreBounded(t *testing.T) {
	t.Parallel()
	at := &clock{}
	l := endpoint.NewBlocks(2, at.now)
	tenant := func(n int) endpoint.BlockRule {
		return endpoint.BlockRule{Tenant: fmt.Sprint("t", n), Until: at.now().Add(time.Duration(n) * time.Hour)}
	}
	require.NoError(t, l.Add(tenant(2)))
	require.NoError(t, l.Add(tenant(1)))
	require.ErrorIs(t, l.Add(tenant(3)), endpoint.ErrTooManyBlocks)
	require.NoError(t, l.Add(tenant(1)), "another of the same takes no room")
	all := l.All()
	require.Equal(t, []string{"t1", "t2"}, []string{all[0].Tenant, all[1].Tenant})
	require.Equal(t, endpoint.BlockOperator, all[0].Reason)
	at.turn(time.Hour)
	require.NoError(t, l.Add(tenant(3)), "what has ended makes room")
	require.Len(t, l.All(), 2)
	for _, bad := range []endpoint.BlockRule{
		{}, {Tenant: "t", Reason: "whim"}, {Tenant: "t", Address: netip.MustParsePrefix("192.0.2.0/24")},
	} {
		require.Error(t, l.Add(bad))
		require.False(t, l.Lift(bad))
	}
}
