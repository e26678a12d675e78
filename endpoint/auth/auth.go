package auth

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Method is how a client authenticates: a value of the event attribute websocket.auth.method.
type Method string

// The methods.
const (
	Bearer       Method = "bearer"        // a token in the Authorization header
	Cookie       Method = "cookie"        // a cookie, with an Origin that was checked
	Subprotocol  Method = "subprotocol"   // a token among the subprotocols, the one field that a browser lets a page write
	FirstMessage Method = "first_message" // a token in a message, the first or a later one that refreshes
	Ticket       Method = "ticket"        // a single-use ticket in the URL
	MTLS         Method = "mtls"          // a client certificate
	Query        Method = "query"         // a token in the URL
)

// Identity is who a client is. It is comparable with Equal, is kept for as long as the connection lives, and has no
// reference to the credential.
type Identity struct {
	// Subject is who: a user or a program. It is never empty.
	Subject string
	// Tenant and Tier are "" where the credential does not know them.
	Tenant, Tier string
	// TokenID is the credential's own id, such as the claim jti. Revocations name it.
	TokenID string
	// Session is the session at the identity provider, such as the claim sid. Revocations name it.
	Session string
	// Scopes is what the client may do, Groups what it belongs to.
	Scopes, Groups Set
	// IssuedAt is when the credential was issued, zero if it does not say. Revocations of all that came before need it.
	IssuedAt time.Time
	// NotAfter is when the credential ends, and with it the connection, unless it is refreshed. Zero is never.
	NotAfter time.Time
	// Method is how the client authenticated.
	Method Method
}

// Equal reports whether the identities are the same.
func (i Identity) Equal(other Identity) bool {
	if !i.NotAfter.Equal(other.NotAfter) || !i.IssuedAt.Equal(other.IssuedAt) {
		return false
	}
	i.NotAfter, i.IssuedAt = other.NotAfter, other.IssuedAt
	return i == other
}

// Expired reports whether the credential has ended at t.
func (i Identity) Expired(t time.Time) bool { return !i.NotAfter.IsZero() && !t.Before(i.NotAfter) }

// Set is a set of names, sorted, in one comparable string.
type Set string

// separator ends no scope (RFC 6749 §3.3) and no sensible group.
const separator = "\n"

// NewSet returns the set of names. Empty names, and those with a newline, are left out.
func NewSet(names ...string) Set {
	unfit := func(s string) bool { return s == "" || strings.Contains(s, separator) }
	kept := slices.DeleteFunc(slices.Clone(names), unfit)
	slices.Sort(kept)
	return Set(strings.Join(slices.Compact(kept), separator))
}

// Has reports whether name is in the set.
func (s Set) Has(name string) bool {
	for each := range s.All() {
		if each == name {
			return true
		}
	}
	return false
}

// All returns the names in their order.
func (s Set) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest, name, more := string(s), "", s != ""; more; {
			name, rest, more = strings.Cut(rest, separator)
			if !yield(name) {
				return
			}
		}
	}
}

// Credential is what a client claims, not yet verified.
type Credential struct {
	// Method says where it comes from.
	Method Method
	// Token is the token, the ticket or the cookie's value. It is "" for MTLS.
	Token string
	// Request is the handshake, or what the endpoint has kept of it when the token comes in a message. It must not be kept.
	Request *http.Request
	// Origin is the handshake's Origin where it was checked against those allowed, else "".
	Origin string
	// Client is the client's address as the endpoint knows it, behind its proxies too. It may be invalid.
	Client netip.Addr
	// Wait, if not nil, sums up how long the identity provider was waited for.
	Wait *Wait
}

// Wait is how long the identity provider was waited for while one credential was verified: the event attribute
// websocket.auth.idp.duration. A nil Wait counts nothing.
type Wait struct{ ns atomic.Int64 }

// Add adds to the sum. Authenticators that ask somebody else call it, so that the provider's time is known apart from ours.
func (w *Wait) Add(d time.Duration) {
	if w != nil && d > 0 {
		w.ns.Add(int64(d))
	}
}

// Duration returns the sum so far, zero if nobody was asked.
func (w *Wait) Duration() time.Duration {
	if w == nil {
		return 0
	}
	return time.Duration(w.ns.Load())
}

// Authenticator verifies credentials. It may be called by many goroutines.
type Authenticator interface {
	// Authenticate returns whose credential it is. The error should be a [Failure]; what is not one is [Internal] to the
	// client and [FailureOf]. An Authenticator that does not know c.Method returns [MissingCredential].
	Authenticate(ctx context.Context, c Credential) (Identity, error)
}

// AuthenticatorFunc is a function as an Authenticator.
type AuthenticatorFunc func(context.Context, Credential) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	return f(ctx, c)
}
