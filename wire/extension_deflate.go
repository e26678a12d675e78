package wire

import "strconv"

// DeflateName is the name of the extension permessage-deflate (RFC 7692).
const DeflateName = "permessage-deflate"

// The smallest and the largest sliding window, as the base 2 logarithm of its bytes (RFC 7692 §7.1.2).
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// Offer returns p as an element of a client's Sec-WebSocket-Extensions.
func (p Deflate) Offer() Extension {
	e := p.Response()
	if p.ClientMaxWindowBits == MaxWindowBits { // as browsers write it
		e.Parameters[len(e.Parameters)-1].Value = ""
	}
	return e
}

// Response returns p as an element of a server's Sec-WebSocket-Extensions.
func (p Deflate) Response() Extension {
	e := Extension{Name: DeflateName}
	add := func(there bool, name, value string) {
		if there {
			e.Parameters = append(e.Parameters, Parameter{name, value})
		}
	}
	add(p.ServerNoContextTakeover, serverNoContextTakeover, "")
	add(p.ClientNoContextTakeover, clientNoContextTakeover, "")
	add(p.ServerMaxWindowBits != 0, serverMaxWindowBits, strconv.Itoa(p.ServerMaxWindowBits))
	add(p.ClientMaxWindowBits != 0, clientMaxWindowBits, strconv.Itoa(p.ClientMaxWindowBits))
	return e
}

const (
	serverNoContextTakeover = "server_no_context_takeover"
	clientNoContextTakeover = "client_no_context_takeover"
	serverMaxWindowBits     = "server_max_window_bits"
	clientMaxWindowBits     = "client_max_window_bits"
)

// ChooseDeflate is the server's side of the negotiation. It returns the parameters of the first offer of
// permessage-deflate that is valid, made tighter where want is; ok is false if there is none, and the connection goes on
// without. An offer with a parameter that is unknown, invalid or there twice is declined, not refused (RFC 7692 §7).
func ChooseDeflate(offers []Extension, want Deflate) (p Deflate, ok bool) {
	for _, e := range offers {
		if e.Name != DeflateName {
			continue
		}
		if p, ok = parseDeflate(e, false); !ok {
			continue
		}
		p.ServerNoContextTakeover = p.ServerNoContextTakeover || want.ServerNoContextTakeover
		p.ClientNoContextTakeover = p.ClientNoContextTakeover || want.ClientNoContextTakeover
		p.ServerMaxWindowBits = narrower(p.ServerMaxWindowBits, want.ServerMaxWindowBits)
		if p.ClientMaxWindowBits != 0 {
			p.ClientMaxWindowBits = narrower(p.ClientMaxWindowBits, want.ClientMaxWindowBits)
		}
		if p.ClientMaxWindowBits == MaxWindowBits { // the largest anyway
			p.ClientMaxWindowBits = 0
		}
		return p, true
	}
	return Deflate{}, false
}

// AcceptDeflate is the client's side: it returns the parameters that the server chose, or ok false if it chose none of
// permessage-deflate. Parameters that are invalid or answer none of the offers are [WrongDeflateParameters].
func AcceptDeflate(a Agreement, offer Offer) (p Deflate, ok bool, err error) {
	for _, e := range a.Extensions {
		if e.Name != DeflateName {
			continue
		}
		if p, ok = parseDeflate(e, true); !ok {
			return Deflate{}, false, WrongDeflateParameters
		}
		for _, offered := range offer.Extensions {
			if offered.Name != DeflateName {
				continue
			}
			if o, valid := parseDeflate(offered, false); valid && p.answers(o) {
				return p, true, nil
			}
		}
		return Deflate{}, false, WrongDeflateParameters
	}
	return Deflate{}, false, nil
}

// answers reports whether a response p keeps to an offer. A server may promise more than it was asked for, and less of
// nothing. The client's own context takeover is the client's to leave.
func (p Deflate) answers(offer Deflate) bool {
	return (p.ServerNoContextTakeover || !offer.ServerNoContextTakeover) &&
		narrower(p.ServerMaxWindowBits, offer.ServerMaxWindowBits) == p.ServerMaxWindowBits &&
		p.ClientMaxWindowBits <= offer.ClientMaxWindowBits
}

// parseDeflate reads parameters; ok is false if one is unknown, invalid or there twice. In an offer client_max_window_bits
// may stand without a value, which means any.
func parseDeflate(e Extension, response bool) (p Deflate, ok bool) {
	for i, param := range e.Parameters {
		for _, before := range e.Parameters[:i] {
			if before.Name == param.Name {
				return p, false
			}
		}
		valid := param.Value == ""
		switch param.Name {
		case serverNoContextTakeover:
			p.ServerNoContextTakeover = true
		case clientNoContextTakeover:
			p.ClientNoContextTakeover = true
		case serverMaxWindowBits:
			p.ServerMaxWindowBits, valid = windowBits(param.Value)
		case clientMaxWindowBits:
			if p.ClientMaxWindowBits = MaxWindowBits; param.Value != "" || response {
				p.ClientMaxWindowBits, valid = windowBits(param.Value)
			}
		default:
			return p, false
		}
		if !valid {
			return p, false
		}
	}
	return p, true
}

// windowBits parses a number without leading zeros.
func windowBits(s string) (int, bool) {
	n, ok := decimal(s, 2)
	return n, ok && s[0] != '0' && MinWindowBits <= n && n <= MaxWindowBits
}

// narrower returns the smaller window; 0 is the largest.
func narrower(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
