package endpoint_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is an Observer that keeps what it is told, and insists that it is valid.
type log struct {
	t      testing.TB
	mu     sync.Mutex
	events []*event.Event
	more   chan struct{}
}

func newLog(t testing.TB) *log { return &log{t: t, more: make(chan struct{})} }

func (l *log) Observe(e *event.Event) {
	if err := e.Validate(); err != nil {
		l.t.Errorf("%s: %v", e.Name, err)
	}
	if text := string(e.AppendJSON(nil)); strings.Contains(text, "secret") {
		l.t.Errorf("%s has a secret: %s", e.Name, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	close(l.more)
	l.more = make(chan struct{})
}

func (l *log) all(name event.Name) (found []*event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

const patience = time.Minute

// wait returns the first event of the name that f, if not nil, accepts.
func (l *log) wait(name event.Name, f func(*event.Event) bool) *event.Event {
	l.t.Helper()
	limit := time.After(patience)
	for {
		l.mu.Lock()
		more := l.more
		l.mu.Unlock()
		for _, e := range l.all(name) {
			if f == nil || f(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-limit:
			var had []string
			l.mu.Lock()
			for _, e := range l.events {
				had = append(had, string(e.AppendJSON(nil)))
			}
			l.mu.Unlock()
			require.FailNow(l.t, "no event "+string(name), "had:\n%s", strings.Join(had, "\n"))
		}
	}
}

// count waits for n events of the name.
func (l *log) count(name event.Name, n int) {
	l.t.Helper()
	l.wait(name, func(*event.Event) bool { return len(l.all(name)) >= n })
}

func has(k event.Key, v string) func(*event.Event) bool {
	return func(e *event.Event) bool { return e.Get(k).Text() == v }
}

// service is an endpoint that is served.
type service struct {
	*endpoint.Endpoint
	server *endpoint.Server
	log    *log
	addr   string
	tls    *tls.Config // of clients
}

func echo(_ context.Context, s *endpoint.Session) error {
	for m, err := range s.Messages() {
		if err != nil {
			return err
		}
		if err := s.Send(m.Opcode, m.Payload); err != nil {
			return err
		}
	}
	return nil
}

// tokens knows good-NAME, of the tenant "acme", and tier-NAME of the tier "gold".
func tokens(_ context.Context, c auth.Credential) (auth.Identity, error) {
	name, ok := strings.CutPrefix(c.Token, "good-")
	id := auth.Identity{Tenant: "acme"}
	if !ok {
		if name, ok = strings.CutPrefix(c.Token, "tier-"); ok {
			id.Tier = "gold"
		}
	}
	if c.Method == auth.MTLS {
		name, ok = c.Request.TLS.PeerCertificates[0].Subject.CommonName, true
	}
	if c.Token == "secret-idp" {
		return id, auth.ProviderUnavailable
	}
	if c.Token == "short-lived" {
		name, ok, id.NotAfter = "ann", true, time.Now().Add(300*time.Millisecond)
	}
	if !ok {
		return auth.Identity{}, auth.WrongSignature
	}
	id.Subject = name
	return id, nil
}

// config is an echo without authentication for clients that are no browsers.
func config() endpoint.Config {
	return endpoint.Config{
		Handle: echo, InsecureAnonymous: true, Origins: wire.Origins{AllowMissing: true},
		Timeouts: endpoint.Timeouts{Close: 500 * time.Millisecond},
		HashKey:  []byte("0123456789abcdef"),
		Limits: endpoint.Limits{
			Address:    endpoint.Quota{Handshakes: endpoint.NoRate, Connections: -1},
			Connection: endpoint.Quota{Messages: endpoint.NoRate, Bytes: endpoint.NoRate},
		},
	}
}

func serve(t testing.TB, c endpoint.Config) *service {
	return serveBy(t, c, endpoint.ServerSettings{})
}

func serveBy(t testing.TB, c endpoint.Config, set endpoint.ServerSettings) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, listener, c, set, nil)
}

// serveOn is serveBy on a listener, as a part of the site that around makes of the endpoint.
func serveOn(t testing.TB, listener net.Listener, c endpoint.Config, set endpoint.ServerSettings, around func(http.Handler) http.Handler) *service {
	t.Helper()
	l := newLog(t)
	if c.Observer == nil {
		c.Observer = l
	}
	e, err := endpoint.New(c)
	require.NoError(t, err)
	if around != nil {
		set.Handler = around(e)
	}
	server, err := e.Server(set)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = server.Shutdown(ctx) // a client that does not answer is cut in the end
		require.NoError(t, <-served)
	})
	return &service{Endpoint: e, server: server, log: l, addr: listener.Addr().String()}
}

// client is a raw one: it may send anything.
type client struct {
	net.Conn
	t      testing.TB
	reader *wire.MessageReader
	writer wire.Writer
	in     []byte
	head   string
}

const handshake = "GET /chat?x=1 HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// dial connects and sends the request, whose fields may be added to.
func (s *service) dial(t testing.TB, request string) *client {
	t.Helper()
	var conn net.Conn
	var err error
	if s.tls != nil {
		conn, err = tls.Dial("tcp", s.addr, s.tls)
	} else {
		conn, err = net.Dial("tcp", s.addr)
	}
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	c := &client{
		Conn: conn, t: t, writer: wire.NewWriter(wire.WriterSettings{}),
		reader: wire.NewMessageReader(wire.ReaderSettings{
			From: wire.Server, Limits: &wire.Limits{ControlFrames: wire.Unlimited, MessageBytes: wire.Unlimited},
		}),
	}
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	c.send(request)
	return c
}

// open shakes hands.
func (s *service) open(t testing.TB, fields ...string) *client {
	t.Helper()
	c := s.dial(t, handshake+strings.Join(append(fields, "\r\n"), ""))
	require.Equal(t, http.StatusSwitchingProtocols, c.status(), c.head)
	return c
}

func (c *client) send(b string) {
	c.t.Helper()
	_, err := io.WriteString(c, b)
	require.NoError(c.t, err)
}

// status reads the head of the response.
func (c *client) status() int {
	c.t.Helper()
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		c.head += string(b[:n])
		if head, rest, ok := strings.Cut(c.head, "\r\n\r\n"); ok {
			c.head, c.in = head, []byte(rest)
			code := 0
			for _, d := range c.head[9:12] {
				code = 10*code + int(d-'0')
			}
			return code
		}
		if err != nil {
			return 0
		}
	}
}

func (c *client) text(s string) {
	c.t.Helper()
	c.send(string(c.writer.AppendMessage(nil, wire.OpText, []byte(s))))
}

// next returns the next message, of which there has to be one.
func (c *client) next() wire.Message {
	c.t.Helper()
	m, err := c.tryNext()
	require.NoError(c.t, err)
	return m
}

func (c *client) tryNext() (wire.Message, error) {
	b := make([]byte, 64<<10)
	for {
		m, rest, err := c.reader.Next(c.in)
		c.in = rest
		if err != nil || m.Ready() {
			return m, err
		}
		n, err := c.Read(b)
		if err != nil {
			return m, err
		}
		c.in = b[:n]
	}
}

// closed reads on until the Close frame.
func (c *client) closed() (wire.CloseCode, string) {
	c.t.Helper()
	for {
		m := c.next()
		if m.Opcode == wire.OpClose {
			return m.Code, string(m.Reason())
		}
	}
}

// bye closes as a good client does.
func (c *client) bye() {
	c.t.Helper()
	c.send(string(c.writer.AppendClose(nil, wire.CloseNormal, "")))
	code, _ := c.closed()
	require.Equal(c.t, wire.CloseNormal, code)
	c.ended()
}

// ended reads until the server has closed the transport.
func (c *client) ended() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.Conn)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

// works fails unless the connection answers.
func (c *client) works() {
	c.t.Helper()
	c.text("still here?")
	for {
		m := c.next()
		if m.Opcode == wire.OpText {
			require.Equal(c.t, "still here?", string(m.Payload))
			return
		}
	}
}

// authority issues certificates for 127.0.0.1.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key, t.TempDir()}
}

// issue writes name.crt and name.key, and returns their paths.
func (a *authority) issue(name string, serial int64) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	a.write(certFile, "CERTIFICATE", der)
	a.write(keyFile, "PRIVATE KEY", secret)
	return certFile, keyFile
}

func (a *authority) write(name, kind string, der []byte) string {
	require.NoError(a.t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}

func (a *authority) file() string {
	return a.write(filepath.Join(a.dir, "ca.crt"), "CERTIFICATE", a.cert.Raw)
}

func (a *authority) trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool}
}

// serveTLS is serve with TLS.
func serveTLS(t testing.TB, c endpoint.Config) *service {
	a := newAuthority(t)
	cert, key := a.issue("server", 2)
	s := serveBy(t, c, endpoint.ServerSettings{CertFile: cert, KeyFile: key})
	s.tls = a.trust()
	return s
}
