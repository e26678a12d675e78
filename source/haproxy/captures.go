package haproxy

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// maxCaptures bounds how many values in braces are looked at.
const maxCaptures = 16

// captured looks for the Upgrade header among captured headers.
func (p *Parser) captured(upgraded bool) ([]byte, bool) {
	l := p.line
	for f := capture0; f < capture0+captures; f++ {
		if v, _ := l.Raw(f); access.OffersWebSocket(v) {
			return v, true
		}
	}
	list, logged := l.Raw(requestCaptures)
	if !logged {
		return nil, false
	}
	list = bytes.Trim(list, "{}") // they are part of a value in quotes
	for n := 0; n < maxCaptures && list != nil; n++ {
		var v []byte
		v, list = next(list)
		if n < len(p.request) && p.request[n] == upgrade {
			return v, true
		}
		if !p.known && access.OffersWebSocket(v) {
			// Nobody has said what is captured, but only Upgrade has this value.
			for len(p.request) <= n {
				p.request = append(p.request, fields.None)
			}
			p.request[n] = upgrade
			return v, true
		}
	}
	return nil, false
}

// next cuts the first of the values that bars part; the rest is nil after the last.
func next(list []byte) (v, rest []byte) {
	v, rest, more := bytes.Cut(list, []byte{'|'})
	if !more {
		return v, nil
	}
	if rest == nil {
		rest = []byte{}
	}
	return v, rest
}

// headers reads the values in braces.
func (p *Parser) headers(h *access.Handshake) {
	l := p.line
	for f := capture0; f < capture0+captures; f++ {
		recognise(h, l.Value(f))
	}
	rest := strings.Trim(l.Value(requestCaptures), "{}")
	for n := 0; n < maxCaptures && rest != ""; n++ {
		var v string
		v, rest, _ = strings.Cut(rest, "|")
		if v == "" {
			continue
		}
		if !p.known {
			recognise(h, v)
			continue
		}
		if n >= len(p.request) {
			break
		}
		switch p.request[n] {
		case host:
			h.Server, h.Port = access.Host(v)
		case userAgent:
			h.UserAgent = v
		case offered:
			h.Offered = access.List(v)
		case websocketKey:
			h.Key = v
		case traceparent:
			h.TraceID, h.SpanID = access.Traceparent(v)
		}
	}
	rest = strings.Trim(l.Value(responseCaptures), "{}")
	if p.response == nil && !p.known {
		// Of one captured header that only successes have, it is the subprotocol.
		p.spoiled = p.spoiled || !h.Upgraded && rest != ""
		if h.Upgraded && !p.spoiled && token(rest) {
			h.Subprotocol = rest
		}
		return
	}
	for n := 0; n < len(p.response) && rest != ""; n++ {
		var v string
		v, rest, _ = strings.Cut(rest, "|")
		switch p.response[n] {
		case subprotocol:
			h.Subprotocol = v
		case extensions:
			h.Extensions = access.List(v)
		}
	}
}

// recognise takes a captured header that nobody has named for what only one header looks like.
func recognise(h *access.Handshake, v string) {
	switch {
	case v == "":
	case h.Server == "" && hostname(v):
		h.Server, h.Port = access.Host(v)
	case h.UserAgent == "" && product(v):
		h.UserAgent = v
	}
}

// hostname reports whether v is a name with a domain, or an address with a port, as only Host has it: an address alone
// could be of any header.
func hostname(v string) bool {
	if v == "localhost" || strings.HasPrefix(v, "localhost:") {
		return true
	}
	if strings.IndexByte(v, ':') > 0 && strings.Trim(v, "0123456789abcdefABCDEF.:[]") == "" {
		if v[0] == '[' && v[len(v)-1] == ']' {
			v += ":443" // brackets are Host's (RFC 9110 §7.2), with or without a port
		}
		address, err := netip.ParseAddrPort(v)
		return err == nil && address.Port() > 0
	}
	name, _, _ := strings.Cut(v, ":")
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i < 3 {
		return false
	}
	for j := range len(name) {
		c := name[j]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && c != '-' && c != '.' && (c < '0' || c > '9') || j == i+1 && !letter {
			return false
		}
	}
	return true
}

// product reports whether v begins with a product and its version, as User-Agent does (RFC 9110 §10.1.5).
func product(v string) bool {
	name, rest, found := strings.Cut(v, "/")
	return found && token(name) && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

// token reports whether v is one token (RFC 9110 §5.6.2).
func token(v string) bool {
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}|`, c) >= 0 {
			return false
		}
	}
	return v != ""
}
