package websocketclickhouseexporter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// endpoints has, for each scheme of an endpoint, how a test gets an empty database of the shared engine. TestAgainstTheEngine runs
// over every one of them.
var endpoints = map[string]func(testing.TB) (dsn string){
	"http": embeddedtest.Database,
	"clickhouse": func(t testing.TB) string {
		_, native := embeddedtest.Databases(t)
		return native
	},
}

// scheme is that of the tests that run. They are not parallel.
var scheme string

func database(t testing.TB) string { return endpoints[scheme](t) }

// httpDatabase is for tests that stand between the exporter and the engine.
func httpDatabase(t testing.TB) string { return endpoints["http"](t) }

// through is dsn with another host, and with more in its query.
func through(t *testing.T, dsn, host string, query ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Host = host
	values := u.Query()
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	u.RawQuery = values.Encode()
	return u.String()
}

func testCompressionChangesNothing(t *testing.T) {
	for _, compression := range []string{"", "none", "lz4", "zstd"} {
		dsn := database(t)
		e, s := start(t, dsn, func(c *Config) { c.Compression = compression }), open(t, dsn)
		require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 2000)), compression)
		requireStored(t, s, 2000)
		require.Equal(t, 2000, number(t, s, "SELECT uniqExact(connection_id) FROM events"), compression)
	}
}

func testAHostThatDiesIsPassedOver(t *testing.T) {
	dsn := database(t)
	first, second := newRelay(t), newRelay(t)
	first.to(dsn)
	second.to(dsn)
	e, s := start(t, through(t, dsn, first.address)+","+through(t, dsn, second.address)), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 5)))
	require.Positive(t, first.taken.Load())
	require.Zero(t, second.taken.Load(), "the first is used while it works")
	first.die()
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(5, 5)))
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 5)))
	requireStored(t, s, 10)
	require.Positive(t, second.taken.Load())
}

func testTheEndpointMaySpeakTLS(t *testing.T) {
	dsn := database(t)
	inner := newRelay(t)
	inner.to(dsn)
	outer := newRelayOn(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}))
	outer.to("http://" + inner.address)

	secure := through(t, dsn, outer.address, "secure", "true", "skip_verify", "true")
	if scheme == "http" {
		secure = "https" + secure[len("http"):]
	}
	e, s := start(t, secure), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 5)))
	requireStored(t, s, 5)

	u, err := url.Parse(secure)
	require.NoError(t, err)
	u.RawQuery = "secure=true"
	strict := start(t, u.String(), func(c *Config) { c.RetryConfig.Enabled = false })
	require.ErrorContains(t, strict.ConsumeLogs(t.Context(), chunk(5, 5)), "its certificate is not trusted")
	requireStored(t, s, 5)
}

// A server with names and passwords is not at hand; the engine takes its token for a password, as ClickHouse would.
func testAWrongPasswordIsSaidAndHoldsEverything(t *testing.T) {
	engine := embeddedtest.StartIn(t, t.TempDir(), embeddedtest.Token("a-token-of-the-test-0123456789"))
	dsn := engine.URL + "/sockeye"
	with := func(password string) func(*Config) {
		return func(c *Config) {
			c.Username, c.Password = "default", configopaque.String(password)
			c.RetryConfig.Enabled = false
		}
	}
	err := start(t, dsn, with("hunter2")).ConsumeLogs(t.Context(), chunk(0, 1))
	require.ErrorContains(t, err, `wrong user name or password for user "default"`)
	require.NotContains(t, err.Error(), "hunter2")
	require.NoError(t, start(t, dsn, with("a-token-of-the-test-0123456789")).ConsumeLogs(t.Context(), chunk(0, 1)))
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", testenv.Address(t))
	require.NoError(t, err)
	return l
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
