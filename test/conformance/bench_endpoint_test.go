package conformance_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

// plenty is a limit that is counted and never reached.
var plenty = endpoint.Rate{PerSecond: 1e8, Burst: 1e9}

// serveEndpoint has all that an endpoint has: an identity, six budgets for each message, counts of messages, an Observer.
func serveEndpoint(w http.ResponseWriter, r *http.Request, handle func([]byte) []byte) {
	quota := endpoint.Quota{Handshakes: plenty, Connections: -1, Messages: plenty, Bytes: plenty}
	done := make(chan struct{})
	e, err := endpoint.New(endpoint.Config{
		Handle: func(_ context.Context, s *endpoint.Session) error {
			defer close(done)
			for m, err := range s.Messages() {
				if err != nil {
					return err
				}
				if echo := handle(m.Payload); echo != nil {
					if err := s.Send(m.Opcode, echo); err != nil {
						return err
					}
				}
			}
			return nil
		},
		Authenticator: auth.AuthenticatorFunc(func(context.Context, auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: "ann", Tenant: "acme"}, nil
		}),
		Origins:  wire.Origins{AllowMissing: true},
		Limits:   endpoint.Limits{Address: quota, User: quota, Tenant: quota, Connection: quota},
		Observer: endpoint.ObserverFunc(func(*event.Event) {}),
	})
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer x")
	e.ServeHTTP(w, r)
	<-done
	_ = e.Shutdown(context.Background()) // nothing is left
}

// BenchmarkPeersEchoTLS is BenchmarkPeersEcho over TLS 1.3, without what wire alone has: it leaves TLS to its user.
func BenchmarkPeersEchoTLS(b *testing.B) {
	for _, burst := range []int{1, 16} {
		for _, p := range append(peers[1:len(peers):len(peers)], peer{"endpoint", serveEndpoint}) {
			b.Run(fmt.Sprintf("burst-%d/%s", burst, p.name), func(b *testing.B) {
				server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p.serve(w, r, func(m []byte) []byte { return m })
				}))
				defer server.Close()
				const connections = 4
				var clients [connections]net.Conn
				for i := range clients {
					conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
					require.NoError(b, err)
					clients[i] = shakeHands(b, conn)
					defer clients[i].Close()
				}
				b.ReportAllocs()
				b.ResetTimer()
				report := testenv.CPU(b)
				faults := make(chan error, connections)
				rounds := b.N/(burst*connections) + 1
				for _, conn := range clients {
					go func() { faults <- echo(conn, burst, rounds) }()
				}
				for range clients {
					require.NoError(b, <-faults)
				}
				report(rounds * burst * connections)
			})
		}
	}
}
