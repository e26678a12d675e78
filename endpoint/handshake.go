package endpoint

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// handshake is a request on its way to a connection or a refusal.
type handshake struct {
	e     *Endpoint
	w     http.ResponseWriter
	r     *http.Request
	began time.Time
	peer  peer

	offer    wire.Offer
	method   auth.Method
	identity auth.Identity
	address  *tally
	admitted admitted
	granted  bool // identity is known, so the tallies are held
}

// refusal is an answer that is not 101.
type refusal struct {
	status    int
	errorType string
	text      string
	over      policy
	violation wire.HandshakeViolation
	failure   auth.Failure
}

// ServeHTTP upgrades the request, or refuses it. It returns as soon as the connection has a goroutine of its own, so that
// net/http keeps no memory for it.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := &handshake{e: e, w: w, r: r, began: time.Now(), peer: e.newPeer(r)}
	if e.config.Blocks.address(h.peer.client.Addr()) {
		h.refuse(blocked()) // before it takes a place from anybody
		return
	}
	if n := e.handshaking.Add(1); n > int64(e.config.Limits.Handshakes) {
		e.handshaking.Add(-1)
		h.refuse(&refusal{status: http.StatusServiceUnavailable, over: policyHandshakes})
		return
	}
	defer e.handshaking.Add(-1)
	if n := e.active.Add(1); n > int64(e.config.Limits.Connections) {
		e.release()
		h.refuse(&refusal{status: http.StatusServiceUnavailable, over: policyCapacity})
		return
	}
	if no := h.check(); no != nil {
		h.giveUp()
		h.refuse(no)
		return
	}
	s, no := h.upgrade()
	if no != nil {
		h.giveUp()
		h.refuse(no)
		return
	}
	if s != nil {
		go s.run()
	}
}

// giveUp gives back what the handshake holds.
func (h *handshake) giveUp() {
	h.address.disconnect()
	h.admitted.release()
	h.e.release()
}

// check decides, the cheapest first.
func (h *handshake) check() *refusal {
	e := h.e
	if e.draining.Load() {
		return &refusal{status: http.StatusServiceUnavailable, text: "shutting down"}
	}
	now := e.nanos()
	if client := h.peer.client.Addr(); client.IsValid() {
		held, ok := e.addresses.of(addressKey(client), now, e.byAddr.connections)
		if !ok {
			return tooMany(policyAddressConnections)
		}
		h.address = held
		if !held.handshakes.take(e.byAddr.handshakes, now, 1) {
			return tooMany(policyAddressHandshakes)
		}
	}
	var err error
	if h.offer, err = wire.CheckRequest(h.r); err == nil && h.offer.Extended {
		err = wire.WrongHTTPVersion // nobody hands over a stream of HTTP/2
	}
	if err == nil {
		err = e.config.Origins.Check(h.offer)
	}
	if v := wire.HandshakeViolation(0); errors.As(err, &v) {
		return &refusal{status: v.Status(), violation: v}
	}
	return h.authenticate(now)
}

// blocked is the answer to a client that is kept out. It does not say by what.
func blocked() *refusal { return &refusal{status: http.StatusForbidden, text: "forbidden"} }

func tooMany(over policy) *refusal {
	return &refusal{status: http.StatusTooManyRequests, over: over}
}

// authenticate finds out who the client is, unless the first message will say.
func (h *handshake) authenticate(now int64) *refusal {
	e := h.e
	if e.config.Authenticator == nil {
		h.admitted.tier, h.granted = e.standard, true
		return nil
	}
	c, err := e.config.Credentials.FromRequest(h.r, h.offer.Origin)
	o := outcome{failure: auth.FailureOf(err), method: c.Method}
	switch {
	case o.failure == auth.MissingCredential && e.config.FirstMessage:
		h.admitted.tier = e.standard
		return nil
	case o.failure == 0:
		c.Client = h.peer.client.Addr()
		h.method = c.Method
		o = e.verify(h.r.Context(), c)
	}
	if o.failure != 0 && h.r.Context().Err() != nil {
		return &refusal{errorType: event.ClientAborted}
	}
	if e.pump != nil {
		e.tellAuth(e.of(&h.peer, event.Auth), o)
	}
	if o.failure != 0 {
		return &refusal{status: o.failure.Status(), failure: o.failure}
	}
	h.identity, h.granted = o.identity, true
	if e.blocked(o.identity) {
		return blocked()
	}
	var over policy
	if h.admitted, over = e.admit(o.identity, now); over != "" {
		h.admitted = admitted{}
		return tooMany(over)
	}
	return nil
}

// refuse answers, and tells.
func (h *handshake) refuse(no *refusal) {
	if no.over != "" {
		no.errorType, no.text = event.TypeRateLimited, "over the limit"
	}
	if no.errorType == "" {
		no.errorType = event.RejectionFor(no.status)
	}
	h.answer(no)
	if h.e.pump == nil {
		return
	}
	if no.over != "" {
		v := h.event(event.RateLimited)
		v.SetString(event.RateLimitScope, no.over.scope())
		v.SetString(event.RateLimitPolicy, string(no.over))
		v.SetInt(event.HTTPResponseStatusCode, int64(no.status))
		h.e.pump.decided(v)
	}
	v := h.event(event.HandshakeRejected)
	v.SetString(event.ErrorType, no.errorType)
	if no.status != 0 {
		v.SetInt(event.HTTPResponseStatusCode, int64(no.status))
	}
	h.describe(v)
	h.e.pump.decided(v)
}

// answer writes the response, unless the client is gone. It is the connection's last.
func (h *handshake) answer(no *refusal) {
	if no.status == 0 {
		return
	}
	if no.violation != 0 {
		no.violation.Refuse(h.w, h.r)
		return
	}
	header := h.w.Header()
	header.Set("Connection", "close")
	if no.failure != 0 {
		no.failure.SetHeader(header)
		no.text = no.failure.Reason()
	} else if no.status == http.StatusTooManyRequests || no.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	http.Error(h.w, no.text, no.status)
}

func (h *handshake) event(name event.Name) *event.Event {
	v := h.e.of(&h.peer, name)
	h.e.identify(v, h.identity.Subject, h.identity.Tenant, h.identity.Tier)
	return v
}

// describe adds what opens and rejections say of the request.
func (h *handshake) describe(v *event.Event) {
	v.SetDouble(event.HandshakeDuration, seconds(time.Since(h.began)))
	if !v.Accept(event.HTTPRequestMethod, event.String(h.r.Method)) {
		v.SetString(event.HTTPRequestMethod, event.OtherError)
	}
	v.Accept(event.UserAgentOriginal, text(h.r.UserAgent()))
	// What may be a token is not told.
	if offered := h.e.config.Credentials.Subprotocols(h.offer.Subprotocols); len(offered) > 0 && len(offered) <= 16 {
		v.SetStrings(event.ClientSubprotocols, offered...)
	}
}

// upgrade answers with 101. Without a session and a refusal the client is gone.
func (h *handshake) upgrade() (*Session, *refusal) {
	e := h.e
	agreed := wire.Agreement{Subprotocol: h.subprotocol()}
	var deflate *wire.Deflate
	if e.config.Deflate != nil {
		if chosen, ok := wire.ChooseDeflate(h.offer.Extensions, *e.config.Deflate); ok {
			deflate = &chosen
			agreed.Extensions = append(agreed.Extensions, chosen.Response())
		}
	}
	answer, err := wire.AppendResponse(nil, h.offer, agreed, nil)
	if err != nil {
		return nil, &refusal{status: http.StatusInternalServerError}
	}
	conn, buffered, err := http.NewResponseController(h.w).Hijack()
	if err != nil {
		e.config.Logger.Error("connection cannot be taken over: serve the endpoint by HTTP/1.1, with no middleware "+
			"that hides http.Hijacker", "reason", err.Error())
		return nil, &refusal{status: http.StatusInternalServerError}
	}
	if wrapped, ok := conn.(*headConn); ok {
		conn = wrapped.Conn
	}
	s := &Session{
		e: e, conn: conn, peer: h.peer, subprotocol: strings.Clone(agreed.Subprotocol), address: h.address,
		opened: e.nanos(),
		writer: wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: deflate}),
	}
	s.unanswered.Store(true)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.reader.Reset(wire.ReaderSettings{
		From: wire.Client, Limits: &e.config.Limits.Frames, Deflate: deflate, OnHeader: s.header,
	})
	if early := buffered.Reader.Buffered(); early > 0 {
		b, _ := buffered.Reader.Peek(early) // has them
		s.in = slices.Clone(b)
	}
	s.now = s.opened
	s.heard.Store(s.opened)
	s.active.Store(s.opened)
	s.reported.Store(s.opened)
	if h.granted {
		s.become(h.identity, h.admitted)
	} else {
		s.tier.Store(e.standard)
		s.authBy.Store(s.opened + int64(e.config.Timeouts.Auth))
	}
	// It fits into the socket's buffer, which is empty, so it waits for nobody.
	if _, err = conn.Write(answer); err != nil {
		s.cut(true)
		s.cancel(errConnectionLost)
		h.giveUp()
		h.refuse(&refusal{errorType: event.ClientAborted})
		return nil, nil
	}
	h.opened(agreed)
	// Only now may others close it, with a frame behind the 101. What they had decided before is asked for again.
	e.join(s)
	s.checkAgain()
	if e.draining.Load() {
		s.askToDrain()
	}
	return s, nil
}

// subprotocol is the one to choose. A browser gives up unless one of those that it offered is.
func (h *handshake) subprotocol() string {
	offered := h.e.config.Credentials.Subprotocols(h.offer.Subprotocols)
	chosen := wire.ChooseSubprotocol(offered, h.e.config.Subprotocols)
	if chosen == "" && h.method == auth.Subprotocol && slices.Contains(offered, auth.SubprotocolBearer) {
		return auth.SubprotocolBearer
	}
	return chosen
}

func (h *handshake) opened(agreed wire.Agreement) {
	if h.e.pump == nil {
		return
	}
	v := h.event(event.Open)
	v.SetInt(event.HTTPResponseStatusCode, http.StatusSwitchingProtocols)
	v.Accept(event.Subprotocol, text(agreed.Subprotocol))
	if len(agreed.Extensions) > 0 {
		names := make([]string, len(agreed.Extensions))
		for i, x := range agreed.Extensions {
			names[i] = x.String()
		}
		v.SetStrings(event.Extensions, names...)
	}
	h.describe(v)
	h.e.pump.decided(v)
}
