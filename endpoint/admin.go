package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// AdminSettings is what [Endpoint.Admin] has to know. The zero value is for a loopback address.
type AdminSettings struct {
	// CertFile and KeyFile are the server's, ClientCAFile has the authorities of operators' certificates; all PEM. An address
	// that is not a loopback one needs all three. Whoever has a certificate of theirs is an operator, so they must not be
	// those of users.
	CertFile, KeyFile, ClientCAFile string
}

// Admin is the operators' side of an Endpoint: it lists, inspects and closes connections, revokes and blocks, by HTTP and
// JSON under /v1/. What changes something is told as an event websocket.policy.changed.
//
// However it is mounted, it serves requests from the host itself to a loopback address, or with certificates those of
// operators, and no others. Whatever a browser sends for a web page is refused.
type Admin struct {
	e    *Endpoint
	mux  *http.ServeMux
	tls  *tls.Config
	http *http.Server
	busy chan struct{}
}

const (
	// adminRequests are served at once, others answered 503; adminConnections may be open.
	adminRequests    = 8
	adminConnections = 64
)

// Admin returns the operators' side. It needs a HashKey, since it names users by user.hash.
func (e *Endpoint) Admin(set AdminSettings) (*Admin, error) {
	if e.config.HashKey == nil {
		return nil, errors.New("admin: needs HashKey, since it names users by user.hash")
	}
	a := &Admin{e: e, mux: http.NewServeMux(), busy: make(chan struct{}, adminRequests)}
	if set != (AdminSettings{}) {
		if set.CertFile == "" || set.KeyFile == "" || set.ClientCAFile == "" {
			return nil, errors.New("admin: CertFile, KeyFile and ClientCAFile must all be set, " +
				"or none of them on a loopback address")
		}
		var err error
		a.tls, _, err = e.tlsConfig(ServerSettings{
			CertFile: set.CertFile, KeyFile: set.KeyFile, ClientCAFile: set.ClientCAFile, RequireClientCert: true,
		})
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	a.http = &http.Server{
		Handler: a, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 8 << 10, ErrorLog: log.New(serverLog{e.config.Logger}, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	a.mux.HandleFunc("GET /v1/connections", answer(a.list))
	a.mux.HandleFunc("GET /v1/connections/{id}", answer(a.inspect))
	a.mux.HandleFunc("GET /v1/blocks", answer(a.blocks))
	a.mux.HandleFunc("POST /v1/close", answer(a.close))
	a.mux.HandleFunc("POST /v1/revoke", answer(a.revoke))
	a.mux.HandleFunc("POST /v1/block", answer(a.block))
	a.mux.HandleFunc("POST /v1/unblock", answer(a.unblock))
	a.mux.HandleFunc("/", answer(func(*http.Request) (any, error) {
		return nil, &adminError{http.StatusNotFound, "no such request; there are GET /v1/connections, " +
			"/v1/connections/ID and /v1/blocks, POST /v1/close, /v1/revoke, /v1/block and /v1/unblock"}
	}))
	return a, nil
}

// Serve serves connections of l until Shutdown, and closes l. It returns nil after Shutdown. Without certificates l must be
// at a loopback address.
func (a *Admin) Serve(l net.Listener) error {
	if a.tls == nil && !isLoopback(l.Addr().String()) {
		return errors.Join(errors.New("admin: the address is not a loopback one; choose 127.0.0.1, or set "+
			"CertFile, KeyFile and ClientCAFile, so that operators need a certificate"), l.Close())
	}
	l = &fewListener{Listener: l, places: make(chan struct{}, adminConnections), closed: make(chan struct{})}
	if a.tls != nil {
		l = tls.NewListener(l, a.tls)
	}
	if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown ends Serve, and waits for requests as long as ctx says.
func (a *Admin) Shutdown(ctx context.Context) error {
	if err := a.http.Shutdown(ctx); err != nil {
		return errors.Join(err, a.http.Close())
	}
	return nil
}

func isLoopback(hostport string) bool {
	a, err := netip.ParseAddrPort(hostport)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// fewListener has few connections at once.
type fewListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *fewListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &fewConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *fewListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type fewConn struct {
	net.Conn
	leave func()
}

func (c *fewConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.admit(r); err != nil {
		a.e.config.Logger.Warn("admin request refused", "reason", err.Error())
		writeAnswer(w, nil, err)
		return
	}
	select {
	case a.busy <- struct{}{}:
		defer func() { <-a.busy }()
	default:
		writeAnswer(w, nil, &adminError{http.StatusServiceUnavailable, "too many requests at once; try again"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
	a.mux.ServeHTTP(w, r)
}

// admit refuses who is no operator, and what a web page could make an operator's browser send: by its name, which an
// attacker may have pointed at a loopback address, and without a question to us first.
func (a *Admin) admit(r *http.Request) error {
	forbidden := func(text string) error { return &adminError{http.StatusForbidden, text} }
	if a.tls != nil {
		if a.operator(r) == nil {
			return forbidden("a certificate of an operator is needed")
		}
	} else {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if local == nil || !isLoopback(local.String()) || !isLoopback(r.RemoteAddr) {
			return forbidden("this is served to a loopback address only; use client certificates elsewhere")
		}
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !addr.IsLoopback()) {
			return forbidden("the Host must be localhost or a loopback address")
		}
		for _, field := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
			if r.Header.Get(field) != "" {
				return forbidden("this came through a proxy; ask directly, or use client certificates")
			}
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); len(r.Header["Origin"]) > 0 || site != "" && site != "none" {
		return forbidden("web pages may not ask this")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return &adminError{http.StatusUnsupportedMediaType, "the Content-Type must be application/json"}
		}
	}
	return nil
}

// operator is the certificate of one, or nil. The server that has verified it may have done so for users.
func (a *Admin) operator(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	chain := r.TLS.VerifiedChains[0]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: a.tls.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return nil
	}
	return chain[0]
}

func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := f(r)
		writeAnswer(w, result, err)
	}
}

func writeAnswer(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		if e := (*adminError)(nil); errors.As(err, &e) {
			status = e.status
		}
		result = map[string]string{"error": err.Error()}
	}
	text, _ := json.Marshal(result) // of our own types
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

// ConnectionPage is the answer to GET /v1/connections. Next, if not "", is what after must be to see those that follow.
type ConnectionPage struct {
	Connections []Connection `json:"connections"`
	Next        string       `json:"next,omitempty"`
}

// BlockPage is the answer to GET /v1/blocks.
type BlockPage struct {
	Blocks []BlockRule `json:"blocks"`
	// More is how many there are besides.
	More int `json:"more,omitempty"`
}

func (a *Admin) list(r *http.Request) (any, error) {
	q, err := parseList(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	page, next := a.e.Connections(q.filter, q.after, q.limit)
	return ConnectionPage{page, next}, nil
}

var errNoConnection = &adminError{http.StatusNotFound, "no open connection has this id"}

func (a *Admin) inspect(r *http.Request) (any, error) {
	c, ok := a.e.Inspect(r.PathValue("id"))
	if !ok {
		return nil, errNoConnection
	}
	return c, nil
}

func (a *Admin) close(r *http.Request) (any, error) {
	q, err := decodeBody[closeRequest](r.Body, closeFields)
	if err != nil {
		return nil, err
	}
	f, err := q.parse()
	if err != nil {
		return nil, err
	}
	how, n := CloseError{Code: wire.CloseCode(q.Code), Reason: q.Reason}, 0
	if q.ID == "" {
		n = a.e.CloseAll(f, how)
	} else if s := a.e.session(q.ID); s == nil {
		return nil, errNoConnection
	} else if s.endSoon(reason{code: how.Code, text: how.Reason}) {
		n = 1
	}
	a.tell(r, event.PolicyDisconnect, "once", string(BlockOperator), n, func(v *event.Event) {
		about(v, f.Address, f.UserHash, f.Tenant)
		v.Accept(event.URLPath, text(f.Path))
		v.Accept(event.ConnectionID, text(q.ID))
	})
	return map[string]int{"closed": n}, nil
}

func (a *Admin) revoke(r *http.Request) (any, error) {
	q, err := decodeBody[revokeRequest](r.Body, revokeFields)
	if err != nil {
		return nil, err
	}
	revocation, err := q.parse(time.Now())
	if err != nil {
		return nil, err
	}
	if a.e.config.Revocations == nil {
		return nil, &adminError{http.StatusConflict, "this endpoint keeps no revocations"}
	}
	n := 0
	for _, s := range a.e.sessions() {
		if id := s.identity.Load(); id != nil && revocation.Matches(*id) && !s.end.begun() {
			n++
		}
	}
	if err := a.e.config.Revocations.Add(revocation); err != nil {
		return nil, &adminError{http.StatusInsufficientStorage, err.Error()}
	}
	a.tell(r, event.PolicyRevocation, "on", string(BlockOperator), n, func(v *event.Event) {
		about(v, netip.Prefix{}, a.e.UserHash(q.Subject), q.Tenant)
	})
	return map[string]int{"closed": n}, nil
}

// rule decodes the body of a request about a block.
func (a *Admin) rule(r *http.Request) (BlockRule, error) {
	q, err := decodeBody[blockRequest](r.Body, blockFields)
	if err != nil {
		return BlockRule{}, err
	}
	if a.e.config.Blocks == nil {
		return BlockRule{}, &adminError{http.StatusConflict, "this endpoint keeps no blocks"}
	}
	return q.parse(a.e.config.Blocks.now(), a.e.UserHash)
}

func (a *Admin) block(r *http.Request) (any, error) {
	b, err := a.rule(r)
	if err != nil {
		return nil, err
	}
	f, n := b.filter(), 0
	for _, s := range a.e.sessions() {
		if f.selects(s) && !s.end.begun() {
			n++
		}
	}
	if b, err = a.e.config.Blocks.add(b); err != nil {
		return nil, &adminError{http.StatusInsufficientStorage, err.Error()}
	}
	a.tellBlock(r, b, "on", n)
	return struct {
		Block  BlockRule `json:"block"`
		Closed int       `json:"closed"`
	}{b, n}, nil
}

func (a *Admin) unblock(r *http.Request) (any, error) {
	b, err := a.rule(r)
	if err != nil {
		return nil, err
	}
	if !a.e.config.Blocks.Lift(b) {
		return nil, &adminError{http.StatusNotFound, "there is no such block; give the address or names as it was given"}
	}
	a.tellBlock(r, b, "off", 0)
	return struct{}{}, nil
}

func (a *Admin) blocks(*http.Request) (any, error) {
	page := BlockPage{Blocks: []BlockRule{}}
	if l := a.e.config.Blocks; l != nil {
		page.Blocks = l.All()
	}
	if more := len(page.Blocks) - maxPage; more > 0 {
		page.Blocks, page.More = slices.Clip(page.Blocks[:maxPage]), more
	}
	return page, nil
}

// about says on v whom a change is about.
func about(v *event.Event, address netip.Prefix, userHash, tenant string) {
	if address.IsValid() {
		v.SetString(event.ClientAddress, address.Addr().String())
	}
	v.Accept(event.UserHash, text(userHash))
	v.Accept(event.TenantID, text(tenant))
}

func (a *Admin) tellBlock(r *http.Request, b BlockRule, state string, n int) {
	a.tell(r, b.policyKind(), state, string(b.Reason), n, func(v *event.Event) {
		about(v, b.Address, b.UserHash, b.Tenant)
	})
}

// tell tells what an operator changed.
func (a *Admin) tell(r *http.Request, kind, state, why string, n int, about func(*event.Event)) {
	actor := "loopback"
	if a.tls != nil {
		actor = a.e.UserHash("operator\x00" + string(r.TLS.VerifiedChains[0][0].RawSubject))
	}
	a.e.config.Logger.Info("policy changed by an operator", "websocket.policy.kind", kind, "websocket.policy.state", state,
		"websocket.policy.reason", why, "websocket.policy.actor", actor, "websocket.policy.connections", n)
	if a.e.pump == nil {
		return
	}
	v := a.e.instance(event.PolicyChanged)
	v.SetString(event.PolicyKind, kind)
	v.SetString(event.PolicyState, state)
	v.SetString(event.PolicyReason, why)
	v.SetString(event.PolicyActor, actor)
	v.SetInt(event.PolicyCount, int64(n))
	about(v)
	a.e.pump.decided(v)
}
