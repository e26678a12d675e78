package endpoint

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Fields that a proxy may say in where a request comes from: values of [Config.ProxyHeader].
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// maxHops is how many proxies a request may have come through. What is said beyond them is not looked at.
const maxHops = 16

// maxPrefixes bounds Config.TrustedProxies, which is gone through for every handshake.
const maxPrefixes = 1000

// ClientAddress is where r comes from, by Config.ClientAddress or Config.TrustedProxies; it may be invalid. It is for other
// handlers of the same server.
func (e *Endpoint) ClientAddress(r *http.Request) netip.Addr { return e.clientOf(r).Addr() }

// clientOf returns the client's address and, if it is known, its port.
func (e *Endpoint) clientOf(r *http.Request) netip.AddrPort {
	if e.config.ClientAddress != nil {
		return netip.AddrPortFrom(e.config.ClientAddress(r), 0)
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return client(peer, r.Header[e.config.ProxyHeader], e.config.ProxyHeader, e.config.TrustedProxies)
}

// client goes back from the peer, as long as who spoke is trusted: the last word is of the proxy that is nearest. Whatever
// stands before the first address that is not trusted was written by who has that address, or by those behind. A word that
// is no address ends it too: then the proxy that wrote it is all that is known.
func client(peer netip.AddrPort, lines []string, header string, trusted []netip.Prefix) netip.AddrPort {
	at, line, more := peer, "", false
	for range maxHops {
		if !trusts(trusted, at.Addr()) {
			return at
		}
		if !more {
			if len(lines) == 0 {
				return at
			}
			line, lines = lines[len(lines)-1], lines[:len(lines)-1]
		}
		var word string
		line, word, more = cutLast(line)
		if header == Forwarded {
			word = forParameter(word)
		}
		next, ok := parseNode(word)
		if !ok {
			return at
		}
		at = next
	}
	return at
}

func trusts(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// cutLast cuts a list at its last comma that is not in quotes. It looks from the end, since what a proxy has appended is
// well formed, whatever somebody else had written before it.
func cutLast(line string) (before, word string, more bool) {
	quoted := false
	for i := len(line) - 1; i >= 0; i-- {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			return line[:i], strings.Trim(line[i+1:], " \t"), true
		}
	}
	return "", strings.Trim(line, " \t"), false
}

// forParameter returns the node of the one parameter "for" of a forwarded-element (RFC 7239 §4), or "". An element with an
// escape has none: cutLast may have cut it inside a value, such as a Host that a client chose.
func forParameter(element string) (node string) {
	if strings.Contains(element, `\`) {
		return ""
	}
	for rest := element; rest != ""; {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			return ""
		}
		var value string
		if quoted, is := strings.CutPrefix(after, `"`); is {
			if value, rest, ok = strings.Cut(quoted, `"`); !ok || rest != "" && rest[0] != ';' {
				return ""
			}
		} else {
			value, rest, _ = strings.Cut(after, ";")
		}
		rest = strings.TrimPrefix(rest, ";")
		if strings.EqualFold(name, "for") {
			if node != "" || value == "" {
				return ""
			}
			node = value
		}
	}
	return node
}

// parseNode reads an address, with or without brackets and a port. A zone means nothing on this host.
func parseNode(s string) (netip.AddrPort, bool) {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%") + 64
	if len(s) > longest {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			s = inner[:len(inner)-1]
			if !strings.Contains(s, ":") {
				return a, false // brackets are for IPv6
			}
		}
		var only netip.Addr
		if only, err = netip.ParseAddr(s); err != nil {
			return a, false
		}
		a = netip.AddrPortFrom(only, 0)
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), true
}

// normalPrefix is p without what Contains would trip over: IPv4 as IPv6, and bits behind the prefix.
func normalPrefix(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() || p.Addr().Is4In6() && p.Bits() < 96 {
		return p, false
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
