package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/endpoint/auth"
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
	maxAdminBody     = 16 << 10
	maxAdminName     = 512
	maxAdminFor      = 366 * 24 * time.Hour
)

// Admin returns the operators' side. It needs a HashKey, since it names users by user.hash.
func (e *Endpoint) Admin(set AdminSettings) (*Admin, error) {
	if e.config.HashKey == nil {
		return nil, errors.New("admin: needs HashKey, since it names users by user.hash")
	}
	a := &Admin{e: e, mux: http.NewServeMux(), busy: make(chan struct{}, adminRequests)}
	if set != (AdminSettings{}) {
		if set.CertFile == "" || set.KeyFile == "" || set.ClientCAFile == "" {
			return nil, errors.New("admin: CertFile, KeyFile and ClientCAFile must all be set, or none of them on a loopback address")
		}
		var err error
		a.tls, err = e.tlsConfig(ServerSettings{
			CertFile: set.CertFile, KeyFile: set.KeyFile, ClientCAFile: set.ClientCAFile, RequireClientCert: true,
		})
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	a.http = &http.Server{
		Handler: a, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(e.config.Logger.Handler(), slog.LevelDebug),
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
		return nil, &adminError{http.StatusNotFound, "no such request; there are GET /v1/connections, /v1/connections/ID and " +
			"/v1/blocks, POST /v1/close, /v1/revoke, /v1/block and /v1/unblock"}
	}))
	return a, nil
}

// Serve serves connections of l until Shutdown, and closes l. It returns nil after Shutdown. Without certificates l must be
// at a loopback address.
func (a *Admin) Serve(l net.Listener) error {
	if a.tls == nil && !isLoopback(l.Addr().String()) {
		return errors.Join(errors.New("admin: the address is not a loopback one; choose 127.0.0.1, or set CertFile, KeyFile and "+
			"ClientCAFile, so that operators need a certificate"), l.Close())
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

// adminError is an answer that is not 200.
type adminError struct {
	status int
	text   string
}

func (e *adminError) Error() string { return e.text }

func badRequest(text string, args ...any) error {
	return &adminError{http.StatusBadRequest, fmt.Sprintf(text, args...)}
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

// decodeBody reads a body. What is wrong with it is not quoted.
func decodeBody[T any](body io.Reader, fields string) (v T, err error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return v, &adminError{http.StatusRequestEntityTooLarge, "the body must have at most 16 KiB"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if dec.Decode(&v) == nil {
		if _, err := dec.Token(); err == io.EOF {
			return v, nil
		}
	}
	return v, badRequest("the body must be one JSON object, of %s", fields)
}

// checkNames checks what names somebody.
func checkNames(all ...string) error {
	for _, s := range all {
		if len(s) > maxAdminName || !utf8.ValidString(s) {
			return badRequest("a name must have at most %d bytes", maxAdminName)
		}
	}
	return nil
}

// checkUserHash keeps names of users from being taken for hashes.
func checkUserHash(s string) error {
	kind, rest, _ := strings.Cut(s, ":")
	key, hash, _ := strings.Cut(rest, ":")
	if b, err := lowerBase32.DecodeString(hash); s != "" && (kind != "p1" || len(key) != 8 || err != nil || len(b) != 16) {
		return badRequest("user_hash: must be the user.hash of an event, such as p1:k3y1d234:nbswy3dp…")
	}
	return nil
}

// parseNetwork reads a network. A single address of IPv6 stands for its /64, as in limits: who has one has all.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		bits := 64
		if a.Is4() {
			bits = 32
		}
		return a.Prefix(bits)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, badRequest("address: must be one such as 203.0.113.7, or a network such as 203.0.113.0/24")
	}
	return p.Masked(), nil
}

func parseFor(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > maxAdminFor {
		return 0, badRequest("for: must be from 1s to %s, such as 1h30m", maxAdminFor)
	}
	return d, nil
}

// filterRequest is a [Filter] as it is written.
type filterRequest struct {
	UserHash    string `json:"user_hash"`
	Tenant      string `json:"tenant"`
	Address     string `json:"address"`
	Path        string `json:"path"`
	Subprotocol string `json:"subprotocol"`
}

const filterFields = "user_hash, tenant, address, path, subprotocol"

func (q filterRequest) filter() (f Filter, err error) {
	f = Filter{UserHash: q.UserHash, Tenant: q.Tenant, Path: q.Path, Subprotocol: q.Subprotocol}
	if q.Address != "" {
		if f.Address, err = parseNetwork(q.Address); err != nil {
			return f, err
		}
	}
	return f, errors.Join(checkUserHash(q.UserHash), checkNames(q.Tenant, q.Path, q.Subprotocol))
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

type listRequest struct {
	filter Filter
	after  string
	limit  int
}

func parseList(query string) (q listRequest, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, badRequest("the query is not well formed")
	}
	q.limit = 100
	var f filterRequest
	fields := map[string]*string{
		"user_hash": &f.UserHash, "tenant": &f.Tenant, "address": &f.Address, "path": &f.Path, "subprotocol": &f.Subprotocol,
		"after": &q.after,
	}
	for name, all := range values {
		if len(all) != 1 {
			return q, badRequest("a parameter may be there once")
		}
		if to := fields[name]; to != nil {
			*to = all[0]
		} else if name != "limit" {
			return q, badRequest("the parameters are %s, limit, after", filterFields)
		} else if q.limit, err = strconv.Atoi(all[0]); err != nil || q.limit < 1 || q.limit > maxPage {
			return q, badRequest("limit: must be from 1 to %d", maxPage)
		}
	}
	if id, err := hex.DecodeString(q.after); err != nil || len(id) != 0 && len(id) != 16 {
		return q, badRequest("after: must be the next of another answer")
	}
	q.filter, err = f.filter()
	return q, err
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

type closeRequest struct {
	ID     string        `json:"id"`
	Filter filterRequest `json:"filter"`
	All    bool          `json:"all"`
	Code   int           `json:"code"`
	Reason string        `json:"reason"`
}

// parse checks that one of the three ways to select is used, so that a slip does not close all.
func (q *closeRequest) parse() (f Filter, err error) {
	if f, err = q.Filter.filter(); err != nil {
		return f, err
	}
	ways := 0
	for _, used := range []bool{q.ID != "", f != Filter{}, q.All} {
		if used {
			ways++
		}
	}
	if q.Code == 0 {
		q.Code = event.ClosePolicyViolation
	}
	switch {
	case ways != 1:
		return f, badRequest("say which connections to close: by id, by filter, or all")
	case q.Code < 0 || q.Code > 4999 || !wire.CloseCode(q.Code).Sendable():
		return f, badRequest("code: must be one that a Close frame may carry")
	case len(q.Reason) > 123 || !utf8.ValidString(q.Reason):
		return f, badRequest("reason: must have at most 123 bytes")
	}
	return f, nil
}

func (a *Admin) close(r *http.Request) (any, error) {
	q, err := decodeBody[closeRequest](r.Body, "id, filter, all, code, reason; filter is an object of "+filterFields)
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

type revokeRequest struct {
	TokenID string    `json:"token_id"`
	Subject string    `json:"subject"`
	Tenant  string    `json:"tenant"`
	Session string    `json:"session"`
	Before  time.Time `json:"before"`
	For     string    `json:"for"`
}

func (q *revokeRequest) parse(now time.Time) (auth.Revocation, error) {
	out := auth.Revocation{TokenID: q.TokenID, Subject: q.Subject, Tenant: q.Tenant, Session: q.Session, Before: q.Before}
	d, err := parseFor(q.For)
	if err != nil {
		return out, err
	}
	if out == (auth.Revocation{Before: q.Before}) {
		return out, badRequest("name a token_id, subject, tenant or session")
	}
	if d > 0 {
		out.Until = now.Add(d)
	}
	return out, checkNames(q.TokenID, q.Subject, q.Tenant, q.Session)
}

func (a *Admin) revoke(r *http.Request) (any, error) {
	q, err := decodeBody[revokeRequest](r.Body, "token_id, subject, tenant, session, before in RFC 3339, and for such as 1h30m")
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

type blockRequest struct {
	Address  string      `json:"address"`
	UserHash string      `json:"user_hash"`
	Subject  string      `json:"subject"`
	Tenant   string      `json:"tenant"`
	Reason   BlockReason `json:"reason"`
	For      string      `json:"for"`
}

const blockFields = "address, user_hash, subject, tenant, reason, and for such as 1h30m"

// The widest networks that can be blocked: wider ones are slips.
const (
	widestIPv4 = 8
	widestIPv6 = 16
)

// parse reads the request; userHash is that of a subject.
func (q *blockRequest) parse(now time.Time, userHash func(string) string) (b BlockRule, err error) {
	b = BlockRule{UserHash: q.UserHash, Tenant: q.Tenant, Reason: q.Reason}
	if q.Subject != "" {
		if b.UserHash != "" {
			return b, badRequest("user_hash, subject: only one of them")
		}
		b.UserHash = userHash(q.Subject)
	}
	if q.Address != "" {
		if b.Address, err = parseNetwork(q.Address); err != nil {
			return b, err
		}
	}
	if b, err = b.normal(); err != nil {
		return b, badRequest("give an address, or a user_hash or subject, a tenant, or both; and a reason of %v", BlockReasons())
	}
	if b.Address.IsValid() {
		widest := widestIPv6
		if b.Address.Addr().Is4() {
			widest = widestIPv4
		}
		if b.Address.Bits() < widest {
			return b, badRequest("address: a network must have at least /%d", widest)
		}
	}
	if d, err := parseFor(q.For); err != nil {
		return b, err
	} else if d > 0 {
		b.Until = now.Add(d).UTC()
	}
	return b, errors.Join(checkUserHash(q.UserHash), checkNames(q.Subject, q.Tenant))
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
	a.tell(r, b.policyKind(), "on", string(b.Reason), n, func(v *event.Event) { about(v, b.Address, b.UserHash, b.Tenant) })
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
	a.tell(r, b.policyKind(), "off", string(b.Reason), 0, func(v *event.Event) { about(v, b.Address, b.UserHash, b.Tenant) })
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
