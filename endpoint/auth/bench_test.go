package auth

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// cpu reports the CPU time of an operation, of the process: user and system.
func cpu(b *testing.B, work func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	from := used()
	n := 0
	for b.Loop() {
		work()
		n++
	}
	b.ReportMetric(float64(used()-from)/float64(n)/1e3, "cpu-µs/op")
}

func BenchmarkJWT(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		p := pairs()[alg]
		c := newClock()
		text := p.token(p.head("k"), body(nil))
		b.Run(alg+"/ours", func(b *testing.B) {
			config := jwtConfig(NewKeySet(key(b, "k", p)), c)
			config.Algorithms = []string{alg}
			a := must(NewJWT(config))
			cpu(b, func() {
				if _, err := a.Authenticate(context.Background(), Credential{Method: Bearer, Token: text}); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(alg+"/golang-jwt", func(b *testing.B) {
			parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
				jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(defaultSkew), jwt.WithTimeFunc(c.now))
			cpu(b, func() {
				if _, err := parser.Parse(text, func(*jwt.Token) (any, error) { return p.public, nil }); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(alg+"/signature", func(b *testing.B) {
			i := strings.LastIndexByte(text, '.')
			sig, _ := segment(text[i+1:])
			cpu(b, func() {
				if err := p.method.Verify(text[:i], sig, p.public); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkRemoteKeys(b *testing.B) {
	bed := newBed(b, nil)
	bed.accepts(b, "one")
	cpu(b, func() {
		if _, err := bed.remote.Find(context.Background(), "ES256", "one", nil); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkTicket(b *testing.B) {
	tickets := must(NewTickets(TicketsConfig{Capacity: 1 << 30}))
	b.Run("issue and use", func(b *testing.B) {
		cpu(b, func() {
			text, err := tickets.Issue(Identity{Subject: "alice", Tenant: "acme", Scopes: "read"}, page, netip.Addr{})
			if err == nil {
				_, err = use(tickets, text)
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	})
}

func BenchmarkFromRequest(b *testing.B) {
	p := pairs()["EdDSA"]
	text := p.token(p.head("k"), body(nil))
	for name, r := range map[string][]string{
		"header": {"Authorization", "Bearer " + text}, "subprotocol": {"Sec-WebSocket-Protocol", "bearer, " + text},
	} {
		req := handshake("/rooms?room=1", r...)
		b.Run(name, func(b *testing.B) {
			cpu(b, func() {
				if _, err := DefaultSources().FromRequest(req, page); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkRevoked(b *testing.B) {
	l := NewRevocations(0, nil)
	if err := l.Add(Revocation{Subject: "bob"}); err != nil {
		b.Fatal(err)
	}
	id := Identity{Subject: "alice", Tenant: "acme", TokenID: "t", Session: "s"}
	cpu(b, func() {
		if l.Revoked(id) {
			b.Fatal()
		}
	})
}
