package websocketendpointreceiver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

func TestATierHasItsAllowance(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	cfg := issuer.config()
	cfg.JWT.TierClaim = "sub"
	cfg.Limits.Excess = excessDrop
	cfg.Limits.Period = 1 << 62
	cfg.Limits.User.Allowance.Messages = 1
	cfg.Limits.Tiers = map[string]TierLimits{"root": {User: IdentityLimits{Allowance: AllowanceConfig{Messages: 3}}}}
	r := start(t, idOf(t), cfg, next, false)
	for who, most := range map[string]int{"ann": 1, "root": 3} {
		c, _, err := dial(t, r.url(), issuer.token(who))
		require.NoError(t, err)
		for i := range most {
			say(t, c, fmt.Sprint(i))
		}
		require.NoError(t, c.Write(t.Context(), 1, []byte("one too many")))
		eventually(t, "it is told", func() bool {
			next.mu.Lock()
			defer next.mu.Unlock()
			for _, e := range next.events {
				if e.Name == event.RateLimited && e.String(event.TenantTier) == who {
					return e.String(event.RateLimitPolicy) == "message_allowance_of_user"
				}
			}
			return false
		})
	}
}

func TestClientsBehindProxiesAreTold(t *testing.T) {
	t.Parallel()
	next := &sink{}
	cfg := testConfig()
	cfg.TrustedProxies, cfg.ProxyProtocol = []string{"127.0.0.1", "10.0.0.0/8"}, true
	r := start(t, idOf(t), cfg, next, false)
	conn, err := net.Dial("tcp", r.serving.addr.String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PROXY TCP4 10.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"+
		"X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n\r\n")
	require.NoError(t, err)
	head := make([]byte, 12)
	_, err = io.ReadFull(conn, head)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 101", string(head))
	require.Equal(t, "192.0.2.7", next.first(t, event.Open).String(event.ClientAddress))
	_, resp, err := dial(t, r.url(), http.Header{"X-Forwarded-For": {"192.0.2.7"}})
	require.Error(t, err, "there is no PROXY header")
	require.Nil(t, resp)
}
