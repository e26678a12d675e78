package endpoint

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// maxFirstMessage is the longest message before the client is authenticated.
const maxFirstMessage = 16 << 10

var (
	errIdle     = errors.New("websocket: idle for too long")
	errLifetime = errors.New("websocket: connection over its lifetime")
)

// TokenOf takes the credential out of the text message {"auth":"token"}, exactly so, where the token is one of RFC 6750.
func TokenOf(m wire.Message) (token string, ok bool) {
	const before, after = `{"auth":"`, `"}`
	if m.Opcode != wire.OpText || len(m.Payload) <= len(before)+len(after) ||
		string(m.Payload[:len(before)]) != before || string(m.Payload[len(m.Payload)-len(after):]) != after {
		return "", false
	}
	token = string(m.Payload[len(before) : len(m.Payload)-len(after)])
	for i := range len(token) {
		if c := token[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') &&
			!strings.ContainsRune("-._~+/=", rune(c)) {
			return "", false
		}
	}
	return token, true
}

// outcome is what verifying a credential came to.
type outcome struct {
	identity auth.Identity
	failure  auth.Failure // 0 is success
	took     time.Duration
	idp      time.Duration
	method   auth.Method
}

// verify asks the Authenticator.
func (e *Endpoint) verify(ctx context.Context, c auth.Credential) (o outcome) {
	var wait auth.Wait
	c.Wait = &wait
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeouts.Auth)
	defer cancel()
	id, err := e.config.Authenticator.Authenticate(ctx, c)
	o = outcome{identity: id, took: time.Since(began), idp: wait.Duration(), method: c.Method}
	switch {
	case err != nil:
		o.failure = auth.FailureOf(err)
	case id.Subject == "":
		o.failure = auth.MissingSubject
	case id.Expired(time.Now()):
		o.failure = auth.TokenExpired
	default:
		if o.identity.Method == "" {
			o.identity.Method = c.Method
		}
		return o
	}
	o.identity = auth.Identity{}
	if o.failure == auth.Internal {
		// What the error says may have the credential in it.
		e.config.Logger.Error("authenticator failed", "websocket.auth.method", string(c.Method))
	}
	return o
}

// tellAuth tells o on v, which is websocket.auth or websocket.auth.refreshed.
func (e *Endpoint) tellAuth(v *event.Event, o outcome) {
	if v.Name == event.Auth {
		result := event.AuthSuccess
		if o.failure != 0 {
			result = event.AuthFailure
		}
		v.SetString(event.AuthResult, result)
	}
	if o.failure != 0 {
		v.SetString(event.ErrorType, o.failure.ErrorType())
		if v.Validate() != nil { // not one of this event's
			v.SetString(event.ErrorType, event.OtherError)
		}
	} else {
		e.identify(v, o.identity.Subject, o.identity.Tenant, o.identity.Tier)
	}
	v.Accept(event.AuthMethod, text(string(o.method)))
	v.SetDouble(event.AuthDuration, seconds(o.took))
	if o.idp > 0 {
		v.SetDouble(event.AuthIDPDuration, seconds(o.idp))
	}
	e.pump.decided(v)
}

// admitted holds the tallies of an identity.
type admitted struct {
	user, tenant *tally
	tier         *tier
}

func (a *admitted) release() {
	a.user.disconnect()
	a.tenant.disconnect()
}

// admit takes a connection out of what the user and the tenant may have.
func (e *Endpoint) admit(id auth.Identity, now int64) (a admitted, over policy) {
	a.tier = e.tierOf(id)
	if id.Subject == "" {
		return a, ""
	}
	defer func() {
		if over != "" {
			a.release()
		}
	}()
	var ok bool
	t, user := a.tier, id.Tenant+"\x00"+id.Subject
	if held, ok := e.users.of(user, now, t.user.connections); ok {
		a.user = held
	} else {
		return a, policyUserConnections
	}
	if !a.user.handshakes.take(t.user.handshakes, now, 1) {
		return a, policyUserHandshakes
	}
	if id.Tenant == "" {
		return a, ""
	}
	if a.tenant, ok = e.tenants.of(id.Tenant, now, t.tenant.connections); !ok {
		a.tenant = nil
		return a, policyTenantConnections
	}
	if !a.tenant.handshakes.take(t.tenant.handshakes, now, 1) {
		return a, policyTenantHandshakes
	}
	return a, ""
}

func (e *Endpoint) tierOf(id auth.Identity) *tier {
	if t := e.tiers[id.Tier]; t != nil && id.Tier != "" {
		return t
	}
	return e.standard
}

// become makes s a connection of id.
func (s *Session) become(id auth.Identity, a admitted) {
	s.user, s.tenant = a.user, a.tenant
	s.tier.Store(a.tier)
	if id.Subject != "" {
		s.setIdentity(id)
	}
	s.authed = true
	s.authBy.Store(0)
}

// setIdentity makes id the identity.
func (s *Session) setIdentity(id auth.Identity) {
	s.identity.Store(&id)
	end := int64(0)
	if !id.NotAfter.IsZero() {
		end = id.NotAfter.UnixNano()
	}
	s.notAfter.Store(end)
}

// checkAgain ends a connection that was revoked or blocked after that had been looked at, and before others could see it.
func (s *Session) checkAgain() {
	id := s.identity.Load()
	if s.e.config.Blocks.address(s.peer.client.Addr()) || id != nil && s.e.blocked(*id) {
		s.endSoon(blockedReason())
		return
	}
	if list := s.e.config.Revocations; list != nil && id != nil && list.Revoked(*id) {
		s.deauthorize(auth.Revoked)
	}
}

// authenticateFirst takes the first message for the credential.
func (s *Session) authenticateFirst() error {
	if err := s.next(); err != nil {
		return err
	}
	o := outcome{method: auth.FirstMessage, failure: auth.MissingCredential}
	if token, ok := s.e.config.Token(s.message); ok {
		o = s.e.verify(s.ctx, s.credential(token))
	}
	if s.end.begun() { // it took too long
		return s.end.cause()
	}
	if s.e.pump != nil {
		s.e.tellAuth(s.event(event.Auth), o)
	}
	if o.failure != 0 {
		s.begin(reason{code: o.failure.CloseCode(), text: o.failure.Reason(), cause: o.failure})
		return o.failure
	}
	if s.e.blocked(o.identity) {
		s.begin(blockedReason())
		return errBlocked
	}
	a, over := s.e.admit(o.identity, s.now)
	if over != "" {
		s.limited(over.scope(), string(over))
		s.begin(reason{code: wire.CloseTryAgainLater, text: "over the limit", cause: over})
		return over
	}
	s.become(o.identity, a)
	s.checkAgain()
	return nil
}

// credential is one that came in a message. The handshake is gone, so its request has the address alone.
func (s *Session) credential(token string) auth.Credential {
	return auth.Credential{
		Method: auth.FirstMessage, Token: token, Client: s.peer.client.Addr(),
		Request: &http.Request{Host: s.peer.host, Header: http.Header{}},
	}
}

// authTimedOut ends a connection whose client has not said who it is.
func (s *Session) authTimedOut() {
	f := auth.CredentialTimeout
	if s.terminate(reason{code: f.CloseCode(), text: f.Reason(), cause: f}) && s.e.pump != nil {
		s.e.tellAuth(s.event(event.Auth), outcome{
			method: auth.FirstMessage, failure: f, took: s.e.config.Timeouts.Auth,
		})
	}
}

// Refresh verifies another credential of the same user and tenant, and makes its identity the connection's. Any failure
// ends the connection, but one of the identity provider: then the old identity stays for as long as it is valid.
func (s *Session) Refresh(token string) error {
	if s.e.config.Authenticator == nil {
		return errors.New("refresh: there is no Authenticator")
	}
	o := s.e.verify(s.ctx, s.credential(token))
	before := s.Identity()
	if o.failure == 0 && (o.identity.Subject != before.Subject || o.identity.Tenant != before.Tenant) {
		o.failure = auth.NotAllowed
	}
	if s.e.pump != nil {
		s.e.tellAuth(s.event(event.AuthRefreshed), o)
	}
	switch {
	case o.failure == 0:
		s.tier.Store(s.e.tierOf(o.identity))
		s.setIdentity(o.identity)
		s.checkAgain()
		return nil
	case o.failure.Fault() == event.FaultIDP:
	default:
		s.terminate(reason{code: o.failure.CloseCode(), text: o.failure.Reason(), cause: o.failure})
	}
	return o.failure
}

// endWithin is how long a connection whose right has ended has for its closing handshake.
const endWithin = 400 * time.Millisecond

// endSoon ends a connection by r, whatever the client does, within r.within if that is set. It reports whether r is how it
// ends.
func (s *Session) endSoon(r reason) bool {
	if !s.terminate(r) {
		return false
	}
	if r.within > 0 {
		// The sweep may look a tick later than a second allows.
		time.AfterFunc(r.within, func() { s.cut(true) })
	}
	return true
}

// deauthorize ends a connection whose right to be has ended.
func (s *Session) deauthorize(f auth.Failure) {
	if s.endSoon(deauthorized(f)) {
		s.tellDeauthorized(f)
	}
}

func deauthorized(f auth.Failure) reason {
	return reason{code: f.CloseCode(), text: f.Reason(), cause: f, within: endWithin}
}

func (s *Session) tellDeauthorized(f auth.Failure) {
	if s.e.pump == nil {
		return
	}
	v := s.event(event.AuthRevoked)
	v.Accept(event.AuthMethod, text(string(s.Identity().Method)))
	v.SetString(event.ErrorType, f.ErrorType())
	s.e.pump.decided(v)
}
