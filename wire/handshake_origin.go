package wire

import (
	"fmt"
	"strings"
)

// Origins decides which web pages may open a connection (RFC 6455 §10.2). Browsers do not keep a page from connecting to
// a foreign server, they only say where the page came from; whoever does not look lets any page use its visitors' cookies.
//
// The zero value allows pages of the same origin alone: of the host that the request names. Whoever serves a private
// network also checks that name, since a page can give its own name a private address (DNS rebinding).
type Origins struct {
	// AllowMissing lets clients in that send no Origin: those that are no browsers. They carry no visitor's cookies, but
	// they can also claim any Origin, so this check does not hold them.
	AllowMissing bool

	allowed []origin
}

// ParseOrigins returns Origins that allow, beside the same origin, those that match a pattern: an origin such as
// https://app.example.com or http://localhost:3000, or https://*.example.com for all hosts below example.com but not
// itself. A pattern stands for one scheme and one port. The pattern null allows pages whose origin is opaque, such as
// files and sandboxed frames: those of anybody.
func ParseOrigins(patterns ...string) (Origins, error) {
	var o Origins
	for i, pattern := range patterns {
		parsed, ok := parseOrigin(pattern)
		if host := strings.TrimPrefix(parsed.host, "*."); !ok || strings.Contains(host, "*") ||
			host != parsed.host && !strings.Contains(host, ".") {
			return Origins{}, fmt.Errorf("origin pattern %d: must be null or scheme://host[:port], "+
				"the host in ASCII or *. before a domain of two labels or more", i+1)
		}
		o.allowed = append(o.allowed, parsed)
	}
	return o, nil
}

// Check returns [ForbiddenOrigin] or [MissingOrigin] where the page may not connect.
func (o Origins) Check(offer Offer) error {
	if offer.Origin == "" {
		if o.AllowMissing {
			return nil
		}
		return MissingOrigin
	}
	from, ok := parseOrigin(offer.Origin)
	if !ok {
		return InvalidOrigin
	}
	if from.same(offer) {
		return nil
	}
	for _, pattern := range o.allowed {
		if pattern.matches(from) {
			return nil
		}
	}
	return ForbiddenOrigin
}

// origin is a scheme, host and port in lower case; port is never left out where the scheme has a default. An opaque origin
// has the host "null" and nothing else.
type origin struct{ scheme, host, port string }

// same reports whether a page of from may be one of the service itself. Behind a proxy that ends TLS the scheme of the
// request is unknown; where TLS was seen, an http page is another origin, since whoever is on its path can write it.
func (from origin) same(offer Offer) bool {
	if from.scheme != "https" && (from.scheme != "http" || offer.Secure) {
		return false
	}
	host, port, ok := cutPort(offer.Host)
	if port == "" {
		port = defaultPort(from.scheme)
	}
	return ok && from.port == port && strings.EqualFold(from.host, host)
}

func (pattern origin) matches(from origin) bool {
	if pattern.scheme != from.scheme || pattern.port != from.port {
		return false
	}
	if suffix, wild := strings.CutPrefix(pattern.host, "*"); wild {
		return len(from.host) > len(suffix) && strings.HasSuffix(from.host, suffix)
	}
	return pattern.host == from.host
}

// parseOrigin parses an origin as browsers write it (RFC 6454 §6.2), in any case.
func parseOrigin(s string) (origin, bool) {
	if s == "null" {
		return origin{host: s}, true
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok || !validScheme(scheme) {
		return origin{}, false
	}
	host, port, ok := cutPort(rest)
	if !ok || host == "" || port != "" && !validPort(port) || strings.HasSuffix(rest, ":") {
		return origin{}, false
	}
	if port == "" {
		port = defaultPort(scheme)
	}
	return origin{scheme, host, port}, true
}

func validOrigin(s string) bool {
	_, ok := parseOrigin(s)
	return ok
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

func validScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// cutPort cuts host:port. The host keeps the brackets of an IPv6 address; ok is false where a byte has no business in a
// host, such as a slash, an @ or a second colon.
func cutPort(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		address, rest, closed := strings.Cut(s[1:], "]")
		if !closed || address == "" || strings.Trim(address, "0123456789abcdefABCDEF:.") != "" {
			return "", "", false
		}
		port, ok = strings.CutPrefix(rest, ":")
		return s[:len(address)+2], port, ok || rest == ""
	}
	host, port, _ = strings.Cut(s, ":")
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', isDigit(c), strings.IndexByte("-._~!$&'()*+,;=%", c) >= 0:
		default:
			return "", "", false
		}
	}
	return host, port, !strings.Contains(port, ":")
}

func validPort(s string) bool {
	n, ok := decimal(s, 5)
	return ok && 0 < n && n < 1<<16 && s[0] != '0'
}
