package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmppWords are names of elements that say what their text is in XMPP: SASL and stream features (RFC 6120),
// registration (XEP-0077), password login (XEP-0078), vCard (XEP-0054), nicknames (XEP-0172), components (XEP-0114).
var xmppWords = map[string]Rule{
	"digest": Secret, "handshake": Secret, "resource": Person, "nick": Person, "first": Person, "last": Person,
	"given": Person, "family": Person, "middle": Person, "fn": Person, "bday": Person, "email": Email, "userid": Email,
	"jid": Email, "street": Person, "extadd": Person, "locality": Person, "pcode": Person, "address": Person,
	"city": Person, "zip": Person, "number": Phone,
}

// saslElements have the messages of a SASL mechanism as their text, in base64 (RFC 6120 §6.4, XEP-0388).
var saslElements = map[string]bool{
	"auth": true, "response": true, "challenge": true, "success": true, "initial-response": true, "additional-data": true,
}

// xmppRoots begin what a client or a server sends over WebSocket (RFC 7395 §3).
var xmppRoots = map[string]bool{
	"stream": true, "open": true, "close": true, "message": true, "iq": true, "presence": true, "auth": true,
	"response": true, "challenge": true, "success": true, "failure": true, "abort": true, "authenticate": true,
	"features": true, "handshake": true, "body": true,
}

// xmlTag is a start tag: its local name and its attributes as text.
type xmlTag struct {
	name       string
	attributes textRange
	// field is the name in <field var="…">, whose values are elements below (XEP-0004).
	field string
	// sasl says that the element has a message of SASL.
	sasl bool
}

// xml reads elements of XML: text under a telling name goes, whatever the attributes of its start tag, and in XMPP
// also what its names and addresses give away.
func (s *Scanner) xml(v string) bool {
	if !isAlpha(v[1]) && v[1] != '?' {
		return false
	}
	var stack [maxNesting]xmlTag
	depth, tags := 0, 0
	xmpp := false
	for i := 0; i < len(v) && tags < maxParts; {
		if v[i] != '<' {
			end := textEnd(v, i)
			if depth > 0 {
				s.xmlText(v, i, end, stack[:depth], xmpp)
			}
			i = end
			continue
		}
		switch rest := v[i:]; {
		case strings.HasPrefix(rest, "<!--"):
			i = after1(v, i, "-->")
		case strings.HasPrefix(rest, "<![CDATA["):
			end := after1(v, i, "]]>")
			if depth > 0 {
				s.xmlText(v, i+len("<![CDATA["), max(i+len("<![CDATA["), end-len("]]>")), stack[:depth], xmpp)
			}
			i = end
		case len(rest) > 1 && (rest[1] == '?' || rest[1] == '!'):
			i = after1(v, i, ">")
		case len(rest) > 1 && rest[1] == '/':
			i = after1(v, i, ">")
			depth = max(depth-1, 0)
		default:
			tag, end, empty, ok := startTag(v, i)
			if !ok {
				return false
			}
			if tags++; tags == 1 {
				xmpp = xmppRoots[tag.name]
			}
			attributes := v[tag.attributes.start:tag.attributes.end]
			tag.sasl = saslElements[tag.name] &&
				(strings.Contains(attributes, "sasl") || strings.Contains(attributes, "mechanism"))
			s.xmlAttributes(v, &tag, xmpp)
			if !empty {
				if depth == maxNesting {
					return false
				}
				stack[depth] = tag
				depth++
			}
			i = end
		}
	}
	if tags == 0 {
		return false
	}
	s.searchText(v, 0)
	if strings.IndexByte(v, '&') >= 0 {
		d := decodeWith(v, entity)
		m := s.mark()
		s.pass(d.text, plain)
		s.move(m, d.source)
	}
	return true
}

// after1 returns where v goes on after the next end, from i on.
func after1(v string, i int, end string) int {
	if n := strings.Index(v[i:], end); n >= 0 {
		return i + n + len(end)
	}
	return len(v)
}

func textEnd(v string, i int) int {
	if n := strings.IndexByte(v[i:], '<'); n >= 0 {
		return i + n
	}
	return len(v)
}

// startTag reads the start tag at v[i]. One that is cut off is read as far as it goes.
func startTag(v string, i int) (tag xmlTag, end int, empty, ok bool) {
	start := i + 1
	for end = start; end < len(v) && (class[v[end]]&cKeyChar != 0 || v[end] == ':' || v[end] >= 0x80); {
		end++
	}
	name := v[start:end]
	if name == "" || end < len(v) && !isSpace(v[end]) && v[end] != '>' && v[end] != '/' {
		return tag, end, false, false
	}
	tag.name = strings.ToLower(name[strings.LastIndexByte(name, ':')+1:])
	tag.attributes.start = end
	for end < len(v) && v[end] != '>' {
		if c := v[end]; c == '"' || c == '\'' {
			n := strings.IndexByte(v[end+1:], c)
			if n < 0 {
				end = len(v)
				break
			}
			end += n + 1
		}
		end++
	}
	tag.attributes.end = min(end, len(v))
	empty = end > i && v[min(end, len(v))-1] == '/'
	return tag, min(end+1, len(v)), empty, true
}

// xmlAttributes treats the attributes of a tag and takes from them what the text below needs.
func (s *Scanner) xmlAttributes(v string, tag *xmlTag, xmpp bool) {
	person := textRange{-1, -1}
	roster := false
	for i := tag.attributes.start; i < tag.attributes.end; {
		eq := strings.IndexByte(v[i:tag.attributes.end], '=')
		if eq < 0 {
			break
		}
		name := strings.TrimSpace(v[i : i+eq])
		start := skipSpace(v, i+eq+1)
		if start >= tag.attributes.end || v[start] != '"' && v[start] != '\'' {
			i = start + 1
			continue
		}
		start++
		end := tag.attributes.end
		if n := strings.IndexByte(v[start:end], v[start-1]); n >= 0 {
			end = start + n
		}
		i = end + 1
		switch name {
		case "from", "to", "jid", "by":
			if xmpp {
				s.jid(v, start, end)
				continue
			}
		case "var":
			if tag.name == "field" {
				tag.field = v[start:end]
			}
		case "name", "nick":
			person = textRange{start, end}
		case "subscription":
			roster = xmpp
		}
		s.named(v, start, end, name)
	}
	if roster && person.start >= 0 {
		s.meant(v, person.start, person.end, meansPerson, Person)
	}
}

// xmlText treats the text v[start:end] below the elements of stack.
func (s *Scanner) xmlText(v string, start, end int, stack []xmlTag, xmpp bool) {
	start = skipSpace(v[:end], start)
	for end > start && isSpace(v[end-1]) {
		end--
	}
	if start == end {
		return
	}
	tag := stack[len(stack)-1]
	name := tag.name
	if name == "value" && len(stack) > 1 && stack[len(stack)-2].field != "" {
		name = stack[len(stack)-2].field
	}
	// <set> has the first and the last id of a page (XEP-0059).
	if page := len(stack) > 1 && stack[len(stack)-2].name == "set"; xmpp && !page {
		text := v[start:end]
		if saslElements[tag.name] && (tag.sasl || base64Text(text)) {
			// RFC 6120 §6.4.2: "=" is a message of no bytes.
			if text != "=" {
				s.meant(v, start, end, meansSecret, Credential)
			}
			return
		}
		r := xmppWords[strings.ToLower(name[strings.LastIndexByte(name, '#')+1:])]
		switch {
		case r == Email && strings.IndexByte(text, '@') > 0:
			s.jid(v, start, end)
			return
		case r != ruleNone && r != Email:
			s.meant(v, start, end, meansPerson, r)
			return
		}
	}
	s.named(v, start, end, name)
}

// base64Text reports whether v can be nothing but base64 of a few bytes or more.
func base64Text(v string) bool {
	if len(v) < 8 || len(v)%4 != 0 {
		return false
	}
	for i := range len(v) {
		if class[v[i]]&cBase64 == 0 && v[i] != '+' && v[i] != '/' && v[i] != '=' {
			return false
		}
	}
	return strings.HasSuffix(v, "=") || mixed(v)
}

// jid treats an address of XMPP, local@domain/resource (RFC 7622 §3). The part before the slash goes as an e-mail
// address does, the resource as a name: in a room it is the nickname of who speaks. Addresses of servers stay.
func (s *Scanner) jid(v string, start, end int) {
	at := strings.IndexByte(v[start:end], '@')
	slash := strings.IndexByte(v[start:end], '/')
	bare := end
	if slash >= 0 {
		bare = start + slash
	}
	person := at > 0 && start+at < bare
	if person {
		s.add(start, bare, Email)
	}
	if slash >= 0 && (person || masked(v[start:bare])) {
		s.meant(v, bare+1, end, meansPerson, Person)
	}
}

// entity reads a reference of XML (XML 1.0 §4.1, §4.6).
func entity(v string, i int) (rune, int) {
	const longest = len("&#x10FFFF;")
	if v[i] != '&' {
		return 0, 0
	}
	name, _, ok := strings.Cut(v[i+1:min(len(v), i+longest)], ";")
	if !ok {
		return 0, 0
	}
	n := len(name) + 2
	switch name {
	case "lt":
		return '<', n
	case "gt":
		return '>', n
	case "amp":
		return '&', n
	case "quot":
		return '"', n
	case "apos":
		return '\'', n
	}
	if number, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if rest, ok := strings.CutPrefix(number, "x"); ok {
			number, base = rest, 16
		}
		if c, err := strconv.ParseUint(number, base, 32); err == nil && c > 0 && utf8.ValidRune(rune(c)) {
			return rune(c), n
		}
	}
	return 0, 0
}
