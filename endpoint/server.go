package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/sockeye-project/sockeye/event"
)

// ServerSettings is what [Endpoint.Server] has to know. The zero value serves without TLS.
type ServerSettings struct {
	// Handler serves the requests: a mux that has the Endpoint at some path. Nil is the Endpoint alone.
	Handler http.Handler
	// CertFile and KeyFile are PEM. They are read again when they change; connections that are open stay.
	CertFile, KeyFile string
	// ClientCAFile has the authorities of client certificates, PEM. A client may then have a certificate, which must be
	// valid, or has to where RequireClientCert is set.
	ClientCAFile      string
	RequireClientCert bool
	// ProxyProtocol expects a PROXY header, version 1 or 2, on each connection from [Config.TrustedProxies]: one without is closed.
	// Connections from elsewhere are served as they are, so a header on them is no request.
	ProxyProtocol bool
	// HeaderTimeout is how long a PROXY header, and how long TLS and the head of a request may take. Default 5 s.
	HeaderTimeout time.Duration
	// MaxHeaderBytes is the longest head. Default 16 KiB.
	MaxHeaderBytes int
}

// Server is an http.Server for an Endpoint: HTTP/1.1, TLS 1.2 or later, limits on heads. It tells the Endpoint's Observer of
// requests that never became one.
type Server struct {
	http *http.Server
	tls  *tls.Config
	pair *keyPair
	e    *Endpoint
	// proxyWithin is how long a PROXY header may take; 0 expects none.
	proxyWithin time.Duration
}

// Server returns a server. It reads the files once, to fail early.
func (e *Endpoint) Server(set ServerSettings) (*Server, error) {
	setDefault(&set.HeaderTimeout, 5*time.Second)
	setDefault(&set.MaxHeaderBytes, 16<<10)
	handler := set.Handler
	if handler == nil {
		handler = e
	}
	s := &Server{e: e}
	if set.ProxyProtocol {
		if len(e.config.TrustedProxies) == 0 {
			return nil, errors.New("ProxyProtocol: needs Config.TrustedProxies")
		}
		s.proxyWithin = set.HeaderTimeout
	}
	s.http = &http.Server{
		ReadHeaderTimeout: set.HeaderTimeout,
		IdleTimeout:       30 * time.Second,
		// net/http reads up to 4 KiB more.
		MaxHeaderBytes: max(set.MaxHeaderBytes-4096, 1),
		TLSNextProto:   map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:       log.New(serverLog{e.config.Logger}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, headConnKey{}, c)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, ok := r.Context().Value(headConnKey{}).(*headConn); ok {
				c.served.Store(true)
				if t, ok := c.Conn.(*tls.Conn); ok {
					state := t.ConnectionState()
					r.TLS = &state
				}
			}
			handler.ServeHTTP(w, r)
		}),
	}
	if set.CertFile == "" && set.KeyFile == "" {
		if set.ClientCAFile != "" || set.RequireClientCert {
			return nil, errors.New("ClientCAFile, RequireClientCert: need CertFile and KeyFile")
		}
		return s, nil
	}
	var err error
	if s.tls, s.pair, err = e.tlsConfig(set); err != nil {
		return nil, err
	}
	return s, nil
}

// CertificateNotAfter is when the certificate that is served ends; zero without TLS.
func (s *Server) CertificateNotAfter() time.Time {
	if s.pair == nil {
		return time.Time{}
	}
	pair, err := s.pair.get(nil)
	if err != nil || pair.Leaf == nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

// tlsConfig reads the files that set names.
func (e *Endpoint) tlsConfig(set ServerSettings) (*tls.Config, *keyPair, error) {
	pair := &keyPair{certFile: set.CertFile, keyFile: set.KeyFile, logger: e.config.Logger}
	if err := pair.load(); err != nil {
		return nil, nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: pair.get}
	if set.ClientCAFile != "" {
		pem, err := os.ReadFile(set.ClientCAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("ClientCAFile: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, nil, errors.New("ClientCAFile: no certificate found")
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
		if set.RequireClientCert {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	} else if set.RequireClientCert {
		return nil, nil, errors.New("RequireClientCert: needs ClientCAFile")
	}
	return c, pair, nil
}

// Serve serves connections of l until Shutdown, and closes l. It returns nil after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if s.proxyWithin > 0 {
		l = &proxyproto.Listener{Listener: l, ConnPolicy: s.proxyPolicy, ReadHeaderTimeout: s.proxyWithin}
	}
	err := s.http.Serve(&headListener{l, s})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// proxyPolicy never guesses whether there is a header.
func (s *Server) proxyPolicy(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	peer, err := netip.ParseAddrPort(c.Upstream.String())
	if err == nil && trusts(s.e.config.TrustedProxies, peer.Addr()) {
		return proxyproto.REQUIRE, nil
	}
	return proxyproto.SKIP, nil
}

// socketOf is the socket of a connection whose PROXY header was read, and what came with it: net/http and crypto/tls ask for
// more than the library reads ahead.
func socketOf(c net.Conn) net.Conn {
	if p, ok := c.(*proxyproto.Conn); ok {
		return p.Raw()
	}
	return c
}

// ListenAndServe is Serve on a TCP address.
func (s *Server) ListenAndServe(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Shutdown closes the listeners, then the Endpoint: see [Endpoint.Shutdown].
func (s *Server) Shutdown(ctx context.Context) error {
	s.e.refuseAll()
	s.http.SetKeepAlivesEnabled(false)
	closed := make(chan error, 1)
	go func() { closed <- s.http.Shutdown(ctx) }()
	err := s.e.Shutdown(ctx)
	if err := errors.Join(err, <-closed); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// serverLog takes what net/http logs, but for addresses and what panics say.
type serverLog struct{ to *slog.Logger }

func (l serverLog) Write(b []byte) (int, error) {
	switch text := strings.TrimSpace(string(b)); {
	case strings.HasPrefix(text, "http: panic serving"):
		stack := ""
		if i := strings.LastIndex(text, "\ngoroutine "); i >= 0 {
			stack = text[i+1:]
		}
		l.to.Error("a handler of the server panicked", "stack", stack)
	case strings.HasPrefix(text, "http: TLS handshake error"):
		l.to.Debug("TLS handshake failed")
	default:
		l.to.Debug(text)
	}
	return len(b), nil
}

type headConnKey struct{}

// headListener gives connections that know whether a request came of them.
type headListener struct {
	net.Listener
	s *Server
}

func (l *headListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.s.tls != nil {
		conn = tls.Server(conn, l.s.tls)
	}
	return &headConn{Conn: conn, e: l.s.e, began: time.Now()}, nil
}

// headConn is a connection of which no request has come yet. net/http answers a head that is too long or malformed by
// itself, and one that is too slow not at all; here the latter gets its 408, and all of them their event.
type headConn struct {
	net.Conn
	e      *Endpoint
	began  time.Time
	served atomic.Bool
	closed atomic.Bool

	mu     sync.Mutex
	some   bool // something was read
	status int
	failed bool // in TLS
}

func (c *headConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.served.Load() {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.some = c.some || n > 0
	if err == nil || n > 0 {
		return n, err
	}
	if t, ok := c.Conn.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
		c.failed = true
	} else if errors.Is(err, os.ErrDeadlineExceeded) && c.some && c.status == 0 {
		c.status = http.StatusRequestTimeout
		const answer = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Conn.Write([]byte(answer)) // the connection is closed next, whether it arrives or not
	}
	return n, err
}

// Write sees what net/http answers by itself. Behind a 408 that is dropped: half a line, of a head that was too slow, it takes
// for a whole one that is malformed.
func (c *headConn) Write(b []byte) (int, error) {
	if !c.served.Load() && len(b) >= len("HTTP/1.1 400") {
		if status, err := strconv.Atoi(string(b[9:12])); err == nil && status >= 400 && status < 600 {
			c.mu.Lock()
			answered := c.status != 0
			if !answered {
				c.status = status
			}
			c.mu.Unlock()
			if answered {
				return len(b), nil
			}
		}
	}
	return c.Conn.Write(b)
}

// CloseWrite is what net/http calls before it waits for a client to read its answer.
func (c *headConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *headConn) Close() error {
	if !c.served.Load() && !c.closed.Swap(true) {
		c.tell()
	}
	return c.Conn.Close()
}

// tell tells of a client that wanted something and did not say what.
func (c *headConn) tell() {
	c.mu.Lock()
	some, status, failed := c.some, c.status, c.failed
	c.mu.Unlock()
	if c.e.pump == nil || !some && !failed && status == 0 {
		return
	}
	p := c.e.newPeer(&http.Request{ // as whole as Config.ClientAddress may expect it
		RemoteAddr: c.RemoteAddr().String(), ProtoMinor: 1, URL: &url.URL{}, Header: http.Header{},
	})
	_, p.secure = c.Conn.(*tls.Conn)
	v := c.e.of(&p, event.HandshakeRejected)
	errorType := event.RejectionFor(status)
	switch {
	case failed:
		errorType = event.TLSFailed
	case status != 0:
		v.SetInt(event.HTTPResponseStatusCode, int64(status))
	}
	v.SetString(event.ErrorType, errorType)
	v.SetDouble(event.HandshakeDuration, seconds(time.Since(c.began)))
	c.e.pump.decided(v)
}

// keyPair is a certificate that follows its files.
type keyPair struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	changed [2]time.Time
	pair    *tls.Certificate
}

// lookEvery is how often the files are looked at, while clients come.
const lookEvery = time.Second

func (k *keyPair) load() error {
	changed, err := k.times()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return fmt.Errorf("CertFile, KeyFile: %w", err)
	}
	k.pair, k.changed = &pair, changed
	return nil
}

func (k *keyPair) times() (t [2]time.Time, err error) {
	for i, name := range []string{k.certFile, k.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return t, fmt.Errorf("CertFile, KeyFile: %w", err)
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

// get returns the certificate. A pair that cannot be read, or does not fit yet, leaves the one that was.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		if changed, err := k.times(); err != nil || changed != k.changed {
			if err = k.load(); err != nil {
				k.logger.Error("certificate not reloaded", "reason", err.Error())
			} else {
				k.logger.Info("certificate reloaded")
			}
		}
	}
	return k.pair, nil
}
