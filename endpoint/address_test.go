package endpoint_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

var (
	loopbackProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	otherProxies    = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
)

// A client that writes another address in front of what the proxy says, for each of its handshakes, gains nothing by it.
func TestASpoofedAddressFreesNobodyOfALimit(t *testing.T) {
	t.Parallel()
	for name, field := range map[string]func(spoofed, own string) string{
		endpoint.XForwardedFor: func(spoofed, own string) string { return "X-Forwarded-For: " + spoofed + ", " + own + "\r\n" },
		endpoint.Forwarded: func(spoofed, own string) string {
			return "Forwarded: for=\"x\r\nForwarded: for=" + spoofed + ", for=\"" + own + "\";proto=https\r\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.TrustedProxies, set.ProxyHeader = loopbackProxies, name
			set.Limits.Address.Handshakes = endpoint.Rate{PerSecond: 0.001, Burst: 3}
			s := serve(t, set)
			victim := s.open(t, field("unknown", "192.0.2.200"))
			for i := range 3 {
				s.open(t, field(fmt.Sprint("192.0.2.", i), "[2001:db8::66]:4711"))
			}
			// The same network, a thousand addresses of proxies in front.
			many := s.dial(t, handshake+field(strings.Repeat("10.0.0.1, ", 1000)+"192.0.2.200", "[2001:db8::67]:9")+"\r\n")
			require.Equal(t, http.StatusTooManyRequests, many.status())
			told := s.log.wait(event.RateLimited, nil)
			require.Equal(t, "handshakes_per_address", told.String(event.RateLimitPolicy))
			require.Equal(t, "2001:db8::67", told.String(event.ClientAddress))
			require.EqualValues(t, 9, told.Get(event.ClientPort).Int())
			s.log.wait(event.Open, has(event.ClientAddress, "192.0.2.200"))
			for range 2 {
				s.open(t, field("unknown", "192.0.2.200")) // who was named has all of his
			}
			victim.works()
		})
	}
}

func TestAFieldOfAStrangerIsNotLookedAt(t *testing.T) {
	t.Parallel()
	set := config()
	set.TrustedProxies = otherProxies
	set.Limits.Address.Handshakes = endpoint.Rate{PerSecond: 0.001, Burst: 2}
	s := serve(t, set)
	s.open(t, "X-Forwarded-For: 192.0.2.1\r\n").works()
	s.open(t, "X-Forwarded-For: 192.0.2.2\r\n").works()
	refused := s.dial(t, handshake+"X-Forwarded-For: 192.0.2.3\r\n\r\n")
	require.Equal(t, http.StatusTooManyRequests, refused.status())
	require.Equal(t, "127.0.0.1", s.log.wait(event.RateLimited, nil).String(event.ClientAddress))
	require.Equal(t, "192.0.2.9", func() string {
		proxied := serve(t, endpoint.Config{Handle: echo, InsecureAnonymous: true, TrustedProxies: loopbackProxies})
		return proxied.ClientAddress(&http.Request{
			RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"192.0.2.9"}},
		}).String()
	}(), "other handlers can ask too")
}

func TestFaultsOfTrustedProxies(t *testing.T) {
	t.Parallel()
	set := config()
	set.TrustedProxies, set.ProxyHeader, set.ClientAddress = []netip.Prefix{{}}, "X-Real-IP", byField
	_, err := endpoint.New(set)
	require.EqualError(t, err, "ProxyHeader: must be X-Forwarded-For or Forwarded\n"+
		"TrustedProxies: is of no use with ClientAddress\nTrustedProxies: must be networks, such as 10.0.0.0/8")
	e, err := endpoint.New(config())
	require.NoError(t, err)
	_, err = e.Server(endpoint.ServerSettings{ProxyProtocol: true})
	require.EqualError(t, err, "ProxyProtocol: needs Config.TrustedProxies")
	require.NoError(t, e.Shutdown(t.Context()))
}

// proxied is a connection on which a PROXY header and what follows are sent in one write.
func proxied(t *testing.T, s *service, header, fields string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	c := &client{
		Conn: conn, t: t, writer: wire.NewWriter(wire.WriterSettings{}),
		reader: wire.NewMessageReader(wire.ReaderSettings{From: wire.Server}),
	}
	request := handshake + fields + "\r\n" + string(c.writer.AppendMessage(nil, wire.OpText, []byte("early")))
	if s.tls != nil {
		c.send(header)
		c.Conn = tls.Client(conn, s.tls)
		header = ""
	}
	c.send(header + request)
	return c
}

func version2(t *testing.T, h proxyproto.Header) string {
	b, err := h.Format()
	require.NoError(t, err)
	return string(b)
}

func TestThePROXYProtocolSaysWhereAConnectionComesFrom(t *testing.T) {
	t.Parallel()
	from := func(a string) proxyproto.Header {
		src, dst := netip.MustParseAddrPort(a), netip.MustParseAddrPort("127.0.0.1:443")
		if src.Addr().Is6() {
			dst = netip.MustParseAddrPort("[::1]:443")
		}
		return *proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(src), net.TCPAddrFromAddrPort(dst))
	}
	tlvs := from("192.0.2.2:2")
	require.NoError(t, tlvs.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 3000)}}))
	for sentence, test := range map[string]struct{ header, fields, address string }{
		"version 1":                       {"PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n", "", "192.0.2.1"},
		"version 1, IPv6":                 {"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "", "2001:db8::1"},
		"version 1, nobody":               {"PROXY UNKNOWN\r\n", "", "127.0.0.1"},
		"version 2":                       {version2(t, from("192.0.2.2:1")), "", "192.0.2.2"},
		"version 2, IPv6":                 {version2(t, from("[2001:db8::2]:1")), "", "2001:db8::2"},
		"version 2 with more in it":       {version2(t, tlvs), "", "192.0.2.2"},
		"version 2, the proxy itself":     {version2(t, proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}), "", "127.0.0.1"},
		"a client that adds a field":      {"PROXY TCP4 192.0.2.1 127.0.0.1 1 443\r\n", "X-Forwarded-For: 192.0.2.200\r\n", "192.0.2.1"},
		"a second proxy that does so too": {"PROXY TCP4 10.0.0.9 127.0.0.1 1 443\r\n", "X-Forwarded-For: 192.0.2.3\r\n", "192.0.2.3"},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(sentence, ", TLS ", secure), func(t *testing.T) {
				t.Parallel()
				set := config()
				set.TrustedProxies = loopbackProxies
				by := endpoint.ServerSettings{ProxyProtocol: true}
				a := newAuthority(t)
				if secure {
					by.CertFile, by.KeyFile = a.issue("server", 2)
				}
				s := serveBy(t, set, by)
				if secure {
					s.tls = a.trust()
					s.tls.ServerName = "127.0.0.1"
				}
				c := proxied(t, s, test.header, test.fields)
				require.Equal(t, http.StatusSwitchingProtocols, c.status(), c.head)
				require.Equal(t, "early", string(c.next().Payload))
				c.works()
				require.Equal(t, test.address, s.log.wait(event.Open, nil).String(event.ClientAddress))
				c.bye()
			})
		}
	}
}

func TestAPROXYHeaderIsWantedFromProxiesAlone(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		trusted []netip.Prefix
		header  string
		status  int
		told    bool
	}{
		"a proxy without one":       {loopbackProxies, "", 0, true},
		"a proxy with a broken one": {loopbackProxies, "PROXY TCP4 192.0.2.1 127.0.0.1 99999 443\r\n", 0, true},
		"one that never ends":       {loopbackProxies, "PROXY " + strings.Repeat("x", 500), 0, true},
		"a stranger with one":       {otherProxies, "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n", http.StatusBadRequest, true},
		"a stranger without one":    {otherProxies, "", http.StatusSwitchingProtocols, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.TrustedProxies = test.trusted
			s := serveBy(t, set, endpoint.ServerSettings{ProxyProtocol: true})
			c := proxied(t, s, test.header, "")
			require.Equal(t, test.status, c.status(), c.head)
			if test.told {
				rejected := s.log.wait(event.HandshakeRejected, nil)
				require.Equal(t, event.BadHandshake, rejected.String(event.ErrorType))
				require.Equal(t, "127.0.0.1", rejected.String(event.ClientAddress), "nobody else is known")
			}
		})
	}
}

func TestAPROXYHeaderThatDoesNotComeHoldsNothingForLong(t *testing.T) {
	t.Parallel()
	set := config()
	set.TrustedProxies = loopbackProxies
	s := serveBy(t, set, endpoint.ServerSettings{ProxyProtocol: true, HeaderTimeout: 200 * time.Millisecond})
	for _, start := range []string{"", "PROX", "PROXY TCP4 "} {
		conn, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		slow := &client{Conn: conn, t: t}
		slow.send(start)
		slow.ended()
	}
	good := proxied(t, s, "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n", "")
	require.Equal(t, http.StatusSwitchingProtocols, good.status())
}
