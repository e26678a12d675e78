package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	defaultSkew  = 30 * time.Second
	maxNameBytes = 256
)

// JWTConfig says which tokens are accepted. Algorithms, Keys, Issuer and Audiences have no default.
type JWTConfig struct {
	// Keys are the issuer's. See [KeySet] and [RemoteKeys].
	Keys Keys
	// Algorithms are those that are accepted, of HS256, RS256, PS256, ES256, ES384 and EdDSA. There is no "none".
	Algorithms []string
	// Issuer is what the claim iss must be.
	Issuer string
	// Audiences are those of which the claim aud must name one.
	Audiences []string
	// Types are the values of typ that are accepted, in any case and without "application/" (RFC 8725 §3.11); "" is none.
	// Default: "", JWT and at+jwt.
	Types []string
	// Skew is how far the issuer's clock and ours may be apart. Default 30 seconds; negative for none.
	Skew time.Duration
	// MaxAge, if not 0, is how long after iat a token is accepted, whatever its exp says.
	MaxAge time.Duration
	// MaxBytes is the longest token. Default 8 KiB.
	MaxBytes int
	// Claims names the claims that make the identity.
	Claims ClaimNames
	// Cookies accepts tokens from cookies too.
	Cookies bool
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// ClaimNames names the claims of a token that make an [Identity]. A name is that of a top-level member, or a JSON Pointer
// (RFC 6901) such as /realm_access/roles.
type ClaimNames struct {
	// Subject is sub by default, TokenID jti, Session sid, Scopes scope: a string with spaces between, or an array.
	Subject, TokenID, Session, Scopes string
	// Tenant, Tier and Groups are not read by default.
	Tenant, Tier, Groups string
}

// JWT accepts signed tokens (RFC 7519) as RFC 8725 asks.
type JWT struct {
	config JWTConfig
	skew   time.Duration
	wanted []wanted
}

// wanted is a claim that goes into the identity.
type wanted struct {
	path []string // the names of members, from the top
	put  func(*Identity, []byte) bool
}

// NewJWT returns an Authenticator of tokens. The error names all faults of the configuration.
func NewJWT(c JWTConfig) (*JWT, error) {
	var faults []error
	must := func(ok bool, format string, values ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, values...))
		}
	}
	must(c.Keys != nil, "keys: must be there")
	must(len(c.Algorithms) > 0, "algorithms: must name at least one")
	for _, name := range c.Algorithms {
		_, known := algorithms[name]
		must(known, "algorithms: must be of HS256, RS256, PS256, ES256, ES384, EdDSA, got %q", name)
	}
	must(c.Issuer != "", "issuer: must be there")
	must(len(c.Audiences) > 0 && !slices.Contains(c.Audiences, ""), "audiences: must name at least one, and none empty")
	must(c.MaxAge >= 0, "max_age: must not be negative, got %s", c.MaxAge)
	must(c.MaxBytes >= 0, "max_bytes: must not be negative, got %d", c.MaxBytes)
	must(c.Skew <= 10*time.Minute, "skew: must be at most 10m, got %s", c.Skew)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}

	c.Algorithms, c.Audiences = slices.Clone(c.Algorithms), slices.Clone(c.Audiences)
	if c.Types = slices.Clone(c.Types); len(c.Types) == 0 {
		c.Types = []string{"", "JWT", "at+jwt"}
	}
	for i, t := range c.Types {
		c.Types[i] = withoutApplication(t)
	}
	a := &JWT{config: c, skew: max(c.Skew, 0)}
	a.want(c.Claims.Subject, "sub", text(func(id *Identity) *string { return &id.Subject }))
	a.want(c.Claims.TokenID, "jti", text(func(id *Identity) *string { return &id.TokenID }))
	a.want(c.Claims.Session, "sid", text(func(id *Identity) *string { return &id.Session }))
	a.want(c.Claims.Tenant, "", text(func(id *Identity) *string { return &id.Tenant }))
	a.want(c.Claims.Tier, "", text(func(id *Identity) *string { return &id.Tier }))
	a.want(c.Claims.Scopes, "scope", func(id *Identity, value []byte) bool { return putSet(&id.Scopes, value, true) })
	a.want(c.Claims.Groups, "", func(id *Identity, value []byte) bool { return putSet(&id.Groups, value, false) })
	if c.Skew == 0 {
		a.skew = defaultSkew
	}
	if c.MaxBytes == 0 {
		a.config.MaxBytes = defaultMaxToken
	}
	if c.Now == nil {
		a.config.Now = time.Now
	}
	return a, nil
}

// Authenticate implements [Authenticator]. Of a token nothing but the issuer is looked at before its signature: one of
// another issuer is nobody's fault and may be another Authenticator's.
func (a *JWT) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	switch c.Method {
	case Bearer, Subprotocol, FirstMessage, Query:
	case Cookie:
		if !a.config.Cookies {
			return Identity{}, MissingCredential
		}
	default:
		return Identity{}, MissingCredential
	}
	if len(c.Token) > a.config.MaxBytes {
		return Identity{}, CredentialTooLong
	}
	signed, signature, ok := cutLast(c.Token)
	head, payload, ok2 := strings.Cut(signed, ".")
	if !ok || !ok2 || strings.Contains(payload, ".") {
		return Identity{}, MalformedToken
	}
	h, err := a.header(head)
	if err != nil {
		return Identity{}, err
	}
	claims, err := a.claims(payload)
	if err != nil {
		return Identity{}, err
	}
	if claims.issuer != a.config.Issuer {
		return Identity{}, WrongIssuer
	}
	if err := a.verify(ctx, c.Wait, h, signed, signature); err != nil {
		return Identity{}, err
	}
	if claims.fault != 0 {
		return Identity{}, claims.fault
	}
	return a.validate(&claims, c.Method)
}

func cutLast(token string) (signed, signature string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}

func segment(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	// DecodeString skips line ends, so that one token would have many spellings.
	return b, err == nil && !strings.ContainsAny(s, "\r\n")
}

// header is what we read of a JOSE header (RFC 7515 §4). What brings its own key or says where to fetch one (jwk, jku, x5c,
// x5u) is not read at all.
type header struct{ algorithm, key, typ string }

func (a *JWT) header(text string) (header, error) {
	var h header
	b, ok := segment(text)
	if !ok {
		return h, MalformedToken
	}
	err := members(b, func(name, value []byte) error {
		ok := true
		switch string(name) {
		case "alg":
			h.algorithm, ok = jsonString(value)
		case "kid":
			h.key, ok = jsonString(value)
			ok = ok && plain(h.key, maxKeyID)
		case "typ":
			h.typ, ok = jsonString(value)
		case "crit":
			return CriticalHeader
		}
		if !ok {
			return MalformedToken
		}
		return nil
	})
	typ := withoutApplication(h.typ)
	switch {
	case err != nil:
		return h, err
	case !slices.Contains(a.config.Algorithms, h.algorithm):
		return h, ForbiddenAlgorithm
	case !slices.ContainsFunc(a.config.Types, func(t string) bool { return strings.EqualFold(t, typ) }):
		return h, WrongType
	}
	return h, nil
}

func withoutApplication(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		return typ[len(prefix):]
	}
	return typ
}

func (a *JWT) verify(ctx context.Context, w *Wait, h header, signed, signature string) error {
	sig, ok := segment(signature)
	if !ok {
		return MalformedToken
	}
	keys, err := a.config.Keys.Find(ctx, h.algorithm, h.key, w)
	if err != nil {
		return FailureOf(err)
	}
	alg := algorithms[h.algorithm]
	for _, k := range keys {
		// Keys may be anybody's implementation: which key an algorithm takes is decided here.
		if alg.fits(k.material) && alg.method.Verify(signed, sig, k.material) == nil {
			return nil
		}
	}
	if len(keys) == 0 {
		return UnknownKey
	}
	return WrongSignature
}

// claims is what we read of a token's claims. fault is told once the signature is known to be right.
type claims struct {
	Identity
	issuer              string
	audiences           []string
	expiry, start       time.Time
	hasExpiry, hasStart bool
	fault               Failure
}

func (a *JWT) claims(text string) (claims, error) {
	var c claims
	b, ok := segment(text)
	if !ok {
		return c, MalformedToken
	}
	err := members(b, func(name, value []byte) error {
		if !c.registered(name, value) || !a.choose(&c.Identity, name, value) {
			c.fault = MalformedClaim
		}
		return nil
	})
	return c, err
}

func (c *claims) registered(name, value []byte) (ok bool) {
	ok = true
	switch string(name) {
	case "iss":
		c.issuer, ok = jsonString(value)
	case "aud":
		c.audiences, ok = jsonStrings(value)
	case "exp":
		c.expiry, ok = jsonTime(value)
		c.hasExpiry = true
	case "nbf":
		c.start, ok = jsonTime(value)
		c.hasStart = true
	case "iat":
		c.IssuedAt, ok = jsonTime(value)
	}
	return ok
}

// want has put called with the claim of that name, or of the default.
func (a *JWT) want(name, otherwise string, put func(*Identity, []byte) bool) {
	if name == "" {
		name = otherwise
	}
	path := []string{name}
	if pointer, ok := strings.CutPrefix(name, "/"); ok {
		path = strings.Split(pointer, "/")
		for i, step := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		}
	}
	if name != "" {
		a.wanted = append(a.wanted, wanted{path, put})
	}
}

// choose puts the claim into the identity where it is wanted.
func (a *JWT) choose(id *Identity, name, value []byte) bool {
	ok := true
	for i := range a.wanted {
		if w := &a.wanted[i]; w.path[0] == string(name) {
			ok = w.dig(id, value, w.path[1:]) && ok
		}
	}
	return ok
}

// dig goes down the path. A claim that is not there is none; one that cannot be there, since something on the way is no
// object, is malformed.
func (w *wanted) dig(id *Identity, value []byte, path []string) bool {
	if len(path) == 0 {
		return w.put(id, value)
	}
	ok := true
	err := members(value, func(name, value []byte) error {
		if path[0] == string(name) {
			ok = w.dig(id, value, path[1:])
		}
		return nil
	})
	return ok && err == nil
}

func text(field func(*Identity) *string) func(*Identity, []byte) bool {
	return func(id *Identity, value []byte) bool {
		s, ok := jsonString(value)
		*field(id) = s
		return ok && plain(s, maxNameBytes)
	}
}

func putSet(field *Set, value []byte, split bool) bool {
	list, ok := jsonStrings(value)
	if split && ok && value[0] == '"' {
		list = strings.Fields(list[0])
	}
	*field = NewSet(list...)
	return ok && !slices.ContainsFunc(list, func(s string) bool { return !plain(s, maxNameBytes) })
}

// validate holds the claims against the clock and the configuration, once the signature is right.
func (a *JWT) validate(c *claims, m Method) (Identity, error) {
	now := a.config.Now()
	end := c.expiry
	if a.config.MaxAge > 0 && !c.IssuedAt.IsZero() {
		if last := c.IssuedAt.Add(a.config.MaxAge); last.Before(end) {
			end = last
		}
	}
	meant := func(name string) bool { return slices.Contains(a.config.Audiences, name) }
	switch {
	case !slices.ContainsFunc(c.audiences, meant):
		return Identity{}, WrongAudience
	case !c.hasExpiry:
		return Identity{}, MissingExpiry
	case !now.Before(c.expiry.Add(a.skew)):
		return Identity{}, TokenExpired
	case c.hasStart && now.Before(c.start.Add(-a.skew)):
		return Identity{}, NotYetValid
	case c.IssuedAt.After(now.Add(a.skew)):
		return Identity{}, IssuedInFuture
	case a.config.MaxAge > 0 && c.IssuedAt.IsZero():
		return Identity{}, MissingIssueTime
	case !now.Before(end.Add(a.skew)):
		return Identity{}, TokenTooOld
	case c.Subject == "":
		return Identity{}, MissingSubject
	}
	c.Method = m
	// The connection lives as long as the token would be accepted again.
	c.NotAfter = end.Add(a.skew)
	return c.Identity, nil
}
