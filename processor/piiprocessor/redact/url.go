package redact

import "strings"

// url redacts a whole URL or a reference: userinfo, path, query and fragment, each by its own rules.
func (s *Scanner) url(v string) string {
	rest, fragment, hasFragment := strings.Cut(v, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	scheme, authority, userinfo, host, kept := "", "", "", "", ""
	changed := false
	if i := strings.Index(rest, "://"); i >= 0 {
		scheme, rest = rest[:i+3], rest[i+3:]
		host = rest
		start := len(scheme)
		if j := strings.IndexByte(rest, '/'); j >= 0 {
			host, rest = rest[:j], rest[j:]
		} else {
			rest = ""
		}
		authority = host
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			if s.e.actions[Credential] == Off {
				userinfo = host[:at+1]
			} else {
				s.countRange(Credential, Drop, start, start+at+1)
				changed = true
			}
			host = host[at+1:]
			start += at + 1
		}
		before := s.shift(start)
		kept = s.redact(host, plain)
		s.base = before
	}
	pathStart := len(scheme) + len(authority)
	before := s.shift(pathStart)
	path, keptQuery, keptFragment := s.path(rest), query, fragment
	s.base = before
	queryMark, fragmentMark := "", ""
	if hasQuery {
		before := s.shift(pathStart + len(rest) + 1)
		queryMark, keptQuery = "?", s.query(query)
		s.base = before
	}
	if hasFragment {
		fragmentMark = "#"
		before := s.shift(len(v) - len(fragment))
		// OAuth's implicit flow puts tokens there (RFC 6749 §4.2.2).
		if strings.IndexByte(fragment, '=') >= 0 {
			keptFragment = s.query(fragment)
		} else {
			keptFragment = s.path(fragment)
		}
		s.base = before
	}
	if !changed && kept == host && path == rest && keptQuery == query && keptFragment == fragment {
		return v
	}
	return s.results.join(scheme, userinfo, kept, path, queryMark, keptQuery, fragmentMark, keptFragment)
}

// path redacts segments that look minted and whatever a detector finds.
func (s *Scanner) path(v string) string {
	if strings.ContainsAny(v, "?#") {
		return s.url(v)
	}
	clean := true
	for at := 0; at < len(v); {
		segment, _, _ := strings.Cut(v[at:], "/")
		if s.minted(segment) {
			clean = false
			break
		}
		at += len(segment) + 1
	}
	if clean {
		return s.redact(v, plain)
	}
	segments := strings.Split(v, "/")
	at := 0
	for i, segment := range segments {
		if s.minted(segment) {
			s.countRange(PathSegment, Mask, at, at+len(segment))
			segments[i] = Redacted
		}
		at += len(segment) + 1
	}
	before := s.base
	s.base = -1
	out := s.redact(strings.Join(segments, "/"), plain)
	s.base = before
	return out
}

func (s *Scanner) minted(segment string) bool {
	if len(segment) < 16 || isMade(segment) {
		return false
	}
	if strings.IndexByte(segment, '%') >= 0 {
		segment = decode(segment, nil).text
	}
	if tokenLike(segment) {
		return true
	}
	// Matrix parameters and the like: ";jsessionid=…", "token:…".
	if i := strings.LastIndexAny(segment, ";=:,"); i >= 0 {
		return tokenLike(segment[i+1:])
	}
	return false
}

// query keeps the parameters that are allowed, with what detectors find in them removed, and the names of the others.
func (s *Scanner) query(v string) string {
	if v == "" {
		return v
	}
	whole, prefix := v, ""
	if v[0] == '?' {
		prefix, v = "?", v[1:]
	}
	out, changed := s.pairs[:0], false
	for at := 0; at <= len(v); {
		pair, _, _ := strings.Cut(v[at:], "&")
		before := s.shift(len(prefix) + at)
		kept := s.parameter(pair)
		s.base = before
		if !changed && kept != pair {
			out, changed = append(append(out, prefix...), v[:at]...), true
		} else if changed && at > 0 {
			out = append(out, '&')
		}
		if changed {
			out = append(out, kept...)
		}
		at += len(pair) + 1
	}
	if !changed {
		return whole
	}
	s.pairs = out
	return s.results.bytes(out)
}

// parameter returns what may stay of one "name=value", pair itself where all may.
func (s *Scanner) parameter(pair string) string {
	name, value, hasValue := strings.Cut(pair, "=")
	if name == "" && value == "" || isMask(name) && (!hasValue || value == Redacted) {
		return pair
	}
	if s.allowed(name, value) {
		before := s.shift(len(name) + 1)
		kept := s.redact(value, plain)
		s.base = before
		if kept != value {
			return s.results.join(name, "=", kept)
		}
		return pair
	}
	// A name that nobody allowed is the sender's text too: only what looks like an identifier stays. A value without a
	// name ("?eyJhbGci…", "?4711") looks like one and is not.
	if !hasValue || !identifier(name) || tokenLike(name) || s.contains(name, plain) {
		s.countRange(QueryParameter, Mask, 0, len(pair))
		return Redacted
	}
	if value == "" || value == Redacted {
		return pair
	}
	s.countRange(QueryParameter, Mask, len(name)+1, len(pair))
	return s.results.join(name, "=", Redacted)
}

// identifier reports whether v is a short name made of letters, digits and "._-[]", not only of digits.
func identifier(v string) bool {
	if v == "" || len(v) > maxKeyBytes {
		return false
	}
	letters := 0
	for i := range len(v) {
		switch c := v[i]; {
		case isAlpha(c):
			letters++
		case isDigit(c), c == '.', c == '_', c == '-', c == '[', c == ']':
		default:
			return false
		}
	}
	return letters > 0
}

const maxBearerWord = 20

// bearerWords announce a credential in a subprotocol: "bearer.<token>", "access_token, <token>".
var bearerWords = map[string]bool{
	"bearer": true, "token": true, "auth": true, "authorization": true, "jwt": true, "access_token": true,
	"accesstoken": true, "id_token": true, "apikey": true, "api_key": true, "api-key": true, "ticket": true,
	"session": true, "sessionid": true, "basic": true, "key": true, "password": true, "secret": true, "sid": true,
	"x-api-key": true, "realtime-api-key": true, "insecure-api-key": true,
}

// bearerWord reports whether v, in whatever case, announces a credential.
func bearerWord(v string) bool {
	var buf [maxBearerWord]byte
	if len(v) > maxBearerWord {
		return false
	}
	for i := range len(v) {
		buf[i] = lower(v[i])
	}
	return bearerWords[string(buf[:len(v)])]
}

// subprotocols redacts the comma-separated list of a Sec-WebSocket-Protocol header (RFC 6455 §11.3.4).
func (s *Scanner) subprotocols(v string) string {
	if strings.IndexByte(v, ',') < 0 {
		out, _ := s.subprotocol(v, false)
		return out
	}
	out, changed, after := s.pairs[:0], false, false
	for rest, more := v, true; more; {
		var item string
		item, rest, more = strings.Cut(rest, ",")
		name := strings.TrimSpace(item)
		var kept string
		kept, after = s.subprotocol(name, after)
		changed = changed || kept != name
		lead := len(item) - len(strings.TrimLeft(item, " \t\r\n"))
		out = append(append(out, item[:min(lead, len(item))]...), kept...)
		if name != "" {
			out = append(out, item[lead+len(name):]...)
		}
		if more {
			out = append(out, ',')
		}
	}
	s.pairs = out
	if !changed {
		return v
	}
	return s.results.bytes(out)
}

// subprotocol redacts one. after says that the one before announced a credential; announces says that this one does.
// A credential is opaque, so every token after an announcement and everything after a bearer word goes.
func (s *Scanner) subprotocol(v string, after bool) (out string, announces bool) {
	if v == "" || v == Redacted {
		return v, false
	}
	if bearerWord(v) {
		return v, true
	}
	if after {
		s.count(Subprotocol, Mask)
		return Redacted, false
	}
	// Cut at separators; the first word that announces a credential makes the rest one.
	for at := 0; at < len(v); {
		n := strings.IndexAny(v[at:], ".-|:=+ ")
		if n < 0 {
			break
		}
		if bearerWord(v[at : at+n]) {
			return s.afterBearer(v, at+n+1), false
		}
		at += n + 1
	}
	for part := range strings.SplitSeq(v, ".") {
		if tokenLike(part) || strings.HasPrefix(part, "eyJ") {
			s.count(Subprotocol, Mask)
			return Redacted, false
		}
	}
	if len(v) > 128 || tokenLike(v) || isUUID(v) {
		s.count(Subprotocol, Mask)
		return Redacted, false
	}
	return s.redact(v, infrastructure), false
}

// afterBearer redacts v from i on; the well-known "base64url.bearer.authorization.k8s.io." stays recognisable.
func (s *Scanner) afterBearer(v string, i int) string {
	const kubernetes = "authorization.k8s.io."
	if rest := v[i:]; strings.HasPrefix(rest, kubernetes) {
		i += len(kubernetes)
	}
	if v[i:] == "" || v[i:] == Redacted {
		return v
	}
	s.count(Subprotocol, Mask)
	return s.results.join(v[:i], Redacted)
}
