package redact

import "strings"

// keptTail is how many characters of a value the action partial keeps.
const keptTail = 4

// maxKeptPercent is the most of a value that may stay in one piece. A value of which more would stay is masked whole.
const maxKeptPercent = 60

// appendPartial appends what the action partial leaves of value: of an e-mail address its domain, of others the last four
// letters or digits, behind a mask whose length says nothing. It appends nothing and reports false where that would be
// too much of the value, or where the value is written in a way that cannot be cut safely.
func appendPartial(dst []byte, r Rule, value string) ([]byte, bool) {
	if r == Email || r == AttributeKey && strings.IndexByte(value, '@') >= 0 {
		domain, ok := domainOf(value)
		if !ok {
			return dst, false
		}
		return append(append(append(dst, masks[Email]...), '@'), domain...), true
	}
	var tail [keptTail]byte
	n := 0
	for i := len(value) - 1; i >= 0; i-- {
		switch c := value[i]; {
		case isAlnum(c):
			if n < keptTail {
				tail[keptTail-1-n] = c
			}
			n++
		case strings.IndexByte(" -.()+/", c) < 0:
			return dst, false
		}
	}
	if keptTail*100 > n*maxKeptPercent {
		return dst, false
	}
	dst = append(dst, '[')
	if name := masks[r]; name != "" {
		dst = append(dst, name[1:len(name)-1]...)
	}
	return append(append(append(dst, '*'), tail[:]...), ']'), true
}

// domainOf returns the domain of an e-mail address where it and the "@" are not too much of it.
func domainOf(address string) (domain string, ok bool) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		local, domain, ok = strings.Cut(address, "%40")
	}
	if !ok || local == "" || !plainDomain(domain) || strings.IndexByte(local, '%') >= 0 {
		return "", false
	}
	kept := 1 + len(domain)
	return domain, kept*100 <= (len(local)+kept)*maxKeptPercent
}

func plainDomain(v string) bool {
	if len(v) > 253 { // RFC 1035 §2.3.4, as text
		return false
	}
	for i := range len(v) {
		if c := v[i]; !isAlnum(c) && c != '.' && c != '-' {
			return false
		}
	}
	return strings.IndexByte(v, '.') > 0 && !tokenLike(v)
}

// isPartial reports whether v is what [appendPartial] appends.
func isPartial(v string) bool {
	if domain, ok := strings.CutPrefix(v, masks[Email]+"@"); ok {
		return plainDomain(domain)
	}
	if len(v) < keptTail+3 || v[0] != '[' || v[len(v)-1] != ']' || v[len(v)-keptTail-2] != '*' {
		return false
	}
	for i := len(v) - keptTail - 1; i < len(v)-1; i++ {
		if !isAlnum(v[i]) {
			return false
		}
	}
	name := v[:len(v)-keptTail-2]
	if name == "[" {
		return true
	}
	for r := Email; r <= Location; r++ {
		if mask := masks[r]; mask[:len(mask)-1] == name {
			return true
		}
	}
	return false
}

// partial treats a value whose key asks for the action partial.
func (s *Scanner) partial(r Rule, v string) (string, Verdict) {
	if v == "" || isMask(v) {
		return v, Kept
	}
	if !s.holdsSecret(v, true) {
		if out, ok := appendPartial(s.out[:0], r, v); ok {
			s.out = out
			s.count(r, Partial)
			return s.results.bytes(out), Changed
		}
	}
	return s.mask(r, v)
}

// never are the rules whose finds leave nothing that leads back to them.
var never = [RuleCount]bool{Card: true, JWT: true, Credential: true, Secret: true}

// Never reports whether nothing may lead back to what the rule finds.
func (r Rule) Never() bool { return never[r] }

// holdsSecret reports whether v holds something of which nothing may lead back to it. A value that is all a card is
// none where cards may be: the action partial keeps the end of one.
func (s *Scanner) holdsSecret(v string, cards bool) (found bool) {
	s.finds = s.finds[:0]
	s.search(v, plain)
	for _, f := range s.finds {
		card := cards && f.rule == Card && f.start == 0 && f.end == len(v)
		found = found || never[f.rule] && !card
	}
	s.finds = s.finds[:0]
	return found
}
