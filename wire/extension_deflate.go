package wire

import "strconv"

// DeflateName is the name of the extension permessage-deflate (RFC 7692).
const DeflateName = "permessage-deflate"

// The smallest and the largest sliding window, as the base 2 logarithm of its bytes (RFC 7692 §7.1.2).
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// DeflateParameters are the parameters of permessage-deflate (RFC 7692 §7.1): those of an offer, of a response, or those
// that one side wants. A window of 0 bits is a parameter that is not there, which means 15.
type DeflateParameters struct {
	// ServerNoContextTakeover says that the server compresses every message by itself.
	ServerNoContextTakeover bool
	// ClientNoContextTakeover says that the client does.
	ClientNoContextTakeover bool
	// ServerMaxWindowBits bounds the window of the server's compressor.
	ServerMaxWindowBits int
	// ClientMaxWindowBits bounds the window of the client's compressor. A server may set it only if the offer has it.
	ClientMaxWindowBits int
}

// Offer returns p as an element of a client's Sec-WebSocket-Extensions.
func (p DeflateParameters) Offer() Extension {
	e := p.Response()
	if p.ClientMaxWindowBits == MaxWindowBits { // as browsers write it
		e.Parameters[len(e.Parameters)-1].Value = ""
	}
	return e
}

// Response returns p as an element of a server's Sec-WebSocket-Extensions.
func (p DeflateParameters) Response() Extension {
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
// permessage-deflate that is valid and that the server can keep, made tighter where want is; ok is false if there is none,
// and the connection goes on without. minWindowBits is the smallest window that the server's compressor can keep to. An
// offer with a parameter that is unknown, invalid or there twice is declined, not refused (RFC 7692 §7.1).
func ChooseDeflate(offers []Extension, want DeflateParameters, minWindowBits int) (p DeflateParameters, ok bool) {
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
		if window(p.ServerMaxWindowBits) >= minWindowBits {
			return p, true
		}
	}
	return DeflateParameters{}, false
}

// AcceptDeflate is the client's side: it returns the parameters that the server chose, or ok false if it chose none of
// permessage-deflate. Parameters that are invalid or answer none of the offers are WrongDeflateParameters.
func AcceptDeflate(a Agreement, offer Offer) (p DeflateParameters, ok bool, err error) {
	for _, e := range a.Extensions {
		if e.Name != DeflateName {
			continue
		}
		if p, ok = parseDeflate(e, true); !ok {
			return DeflateParameters{}, false, WrongDeflateParameters
		}
		for _, offered := range offer.Extensions {
			if offered.Name != DeflateName {
				continue
			}
			if o, valid := parseDeflate(offered, false); valid && p.answers(o) {
				return p, true, nil
			}
		}
		return DeflateParameters{}, false, WrongDeflateParameters
	}
	return DeflateParameters{}, false, nil
}

// answers reports whether a response p keeps to an offer. A server may promise more than it was asked for, and less of
// nothing. The client's own context takeover is the client's to leave.
func (p DeflateParameters) answers(offer DeflateParameters) bool {
	return (p.ServerNoContextTakeover || !offer.ServerNoContextTakeover) &&
		(offer.ServerMaxWindowBits == 0 || p.ServerMaxWindowBits != 0 && p.ServerMaxWindowBits <= offer.ServerMaxWindowBits) &&
		(p.ClientMaxWindowBits == 0 || p.ClientMaxWindowBits <= offer.ClientMaxWindowBits)
}

// parseDeflate reads parameters; ok is false if one is unknown, invalid or there twice. In an offer client_max_window_bits
// may stand without a value, which means any.
func parseDeflate(e Extension, response bool) (p DeflateParameters, ok bool) {
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

// window is the size that a parameter stands for.
func window(bits int) int {
	if bits == 0 {
		return MaxWindowBits
	}
	return bits
}

// narrower keeps a parameter absent only if both are.
func narrower(a, b int) int {
	if a == 0 {
		return b
	}
	return min(a, window(b))
}
