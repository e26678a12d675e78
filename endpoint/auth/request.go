package auth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	// SubprotocolBearer, offered before a token, says that the token is one: new WebSocket(url, ["bearer", token]).
	SubprotocolBearer = "bearer"
	// SubprotocolBearerPrefix is before a token in base64url, as Kubernetes has it.
	SubprotocolBearerPrefix = "base64url.bearer.authorization.k8s.io."

	defaultMaxToken = 8 << 10
	redacted        = "REDACTED"
)

// Sources are the places of a handshake where a credential may be. The zero value looks nowhere.
type Sources struct {
	// Header looks into Authorization.
	Header bool
	// Subprotocol looks among the subprotocols for [SubprotocolBearer] and [SubprotocolBearerPrefix].
	Subprotocol bool
	// Cookie is the name of the cookie to look into, "" for none. It counts only where the Origin was checked: a browser
	// sends cookies for every page that asks, so nothing else tells the user's wish from a stranger's.
	Cookie string
	// Ticket is the parameter of the query to look for a ticket in, "" for none.
	Ticket string
	// Certificate takes the verified client certificate where there is no other credential.
	Certificate bool
	// InsecureQuery is the parameter of the query to look for a token in, "" for none. URLs end up in logs, histories and
	// referrers; a ticket is worthless there, a token is not.
	InsecureQuery string
	// MaxBytes is the longest credential, 8 KiB if 0.
	MaxBytes int
}

// DefaultSources looks into Authorization, the subprotocols and the parameter "ticket".
func DefaultSources() Sources { return Sources{Header: true, Subprotocol: true, Ticket: "ticket"} }

// FromRequest returns the credential of a handshake. origin is the value of Origin if the caller has checked it against
// those allowed, else "". The error is a [Failure]: MissingCredential if there is none, which a first message may mend;
// anything else refuses the handshake. A client that shows two credentials gets neither: two readers of one request
// must not take it for two people.
func (s Sources) FromRequest(r *http.Request, origin string) (Credential, error) {
	c := Credential{Request: r, Origin: origin}
	found := 0
	take := func(m Method, token string) {
		c.Method, c.Token = m, token
		found++
	}
	if s.Header {
		token, ok, err := fromHeader(r.Header["Authorization"])
		if err != nil {
			return Credential{}, err
		}
		if ok {
			take(Bearer, token)
		}
	}
	if s.Subprotocol {
		token, ok, err := fromSubprotocols(r.Header["Sec-Websocket-Protocol"], s.max())
		if err != nil {
			return Credential{}, err
		}
		if ok {
			take(Subprotocol, token)
		}
	}
	if r.URL != nil && r.URL.RawQuery != "" {
		if err := s.fromQuery(r.URL.RawQuery, take); err != nil {
			return Credential{}, err
		}
	}
	if s.Cookie != "" && found == 0 {
		// A browser adds its cookies to whatever else a page sends, so they are no second credential.
		switch cookies := r.CookiesNamed(s.Cookie); {
		case len(cookies) > 1:
			return Credential{}, AmbiguousCredential
		case len(cookies) == 1 && (origin == "" || origin == "null"):
			return Credential{}, UncheckedOrigin
		case len(cookies) == 1:
			take(Cookie, cookies[0].Value)
		}
	}
	switch {
	case found > 1:
		return Credential{}, AmbiguousCredential
	case found == 1 && c.Token == "":
		return Credential{}, MalformedCredential
	case len(c.Token) > s.max():
		return Credential{}, CredentialTooLong
	case found == 1:
		return c, nil
	case s.Certificate && r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		c.Method = MTLS
		return c, nil
	}
	return Credential{}, MissingCredential
}

func (s Sources) max() int {
	if s.MaxBytes > 0 {
		return s.MaxBytes
	}
	return defaultMaxToken
}

// fromHeader reads RFC 6750 §2.1. Another scheme is no credential of ours.
func fromHeader(lines []string) (token string, ok bool, err error) {
	if len(lines) == 0 {
		return "", false, nil
	}
	if len(lines) > 1 {
		return "", false, AmbiguousCredential
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	token = strings.Trim(token, " ")
	if !isB64Token(token) {
		return "", false, MalformedCredential
	}
	return token, true, nil
}

// isB64Token reports whether s is a b64token (RFC 6750 §2.1).
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}

func fromSubprotocols(lines []string, most int) (token string, ok bool, err error) {
	if len(lines) == 0 {
		return "", false, nil
	}
	offered, err := wire.ParseSubprotocols(lines)
	if err != nil {
		return "", false, MalformedCredential
	}
	for i, name := range offered {
		secret, encoded, is := secretAt(offered, i)
		if !is {
			if name == SubprotocolBearer && i == len(offered)-1 {
				return "", false, MalformedCredential
			}
			continue
		}
		if ok {
			return "", false, AmbiguousCredential
		}
		if encoded {
			if len(secret) > base64.RawURLEncoding.EncodedLen(most) {
				return "", false, CredentialTooLong
			}
			raw, err := base64.RawURLEncoding.Strict().DecodeString(secret)
			if err != nil || !utf8.Valid(raw) {
				return "", false, MalformedCredential
			}
			secret = string(raw)
		}
		token, ok = secret, true
	}
	return token, ok, nil
}

// secretAt returns the token that the i-th of the subprotocols is, or has behind the prefix in base64url.
func secretAt(offered []string, i int) (secret string, encoded, ok bool) {
	if secret, ok = strings.CutPrefix(offered[i], SubprotocolBearerPrefix); ok {
		return secret, true, true
	}
	return offered[i], false, i > 0 && offered[i-1] == SubprotocolBearer
}

// Subprotocols returns those offered that are no token: what may be chosen, answered and put into an event. A browser
// gives up unless one of those that it offered is chosen; where no other fits, [SubprotocolBearer] does.
func (s Sources) Subprotocols(offered []string) []string {
	if !s.Subprotocol {
		return offered
	}
	var rest []string
	for i, name := range offered {
		if _, _, secret := secretAt(offered, i); !secret {
			rest = append(rest, name)
		}
	}
	return rest
}

// tokenNames are parameters that have a token where they are used at all.
var tokenNames = []string{
	"access_token", "id_token", "refresh_token", "auth_token", "token", "jwt", "bearer", "authorization",
}

func (s Sources) fromQuery(query string, take func(Method, string)) error {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		method := Query
		switch {
		case name == "":
			continue
		case name == s.Ticket:
			method = Ticket
		case name == s.InsecureQuery:
		case slices.Contains(tokenNames, strings.ToLower(name)), looksLikeJWT(value):
			return TokenInURL
		default:
			continue
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return MalformedCredential
		}
		take(method, value)
	}
	return nil
}

// looksLikeJWT reports whether s has three parts of which the first begins as {" does in base64.
func looksLikeJWT(s string) bool { return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2 }

// RedactQuery returns the query of a URL as it may be told: only the parameters in keep have their values, and a parameter
// without a value, which may be one, goes too.
func RedactQuery(query string, keep ...string) string {
	if query == "" {
		return ""
	}
	var b strings.Builder
	for pair := range strings.SplitSeq(query, "&") {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || looksLikeJWT(name):
			b.WriteString(redacted)
		case slices.Contains(keep, name) && !looksLikeJWT(value):
			b.WriteString(pair)
		default:
			b.WriteString(name + "=" + redacted)
		}
	}
	return b.String()
}
