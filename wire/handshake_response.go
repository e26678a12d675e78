package wire

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// CheckResponse holds a server's answer to offer against RFC 6455 §4.1 and returns what the server chose. It checks the
// parameters of permessage-deflate too: [AcceptDeflate] reads them. The error is a [HandshakeViolation].
func CheckResponse(r *http.Response, offer Offer) (Agreement, error) {
	if offer.Extended {
		if r.StatusCode/100 != 2 {
			return Agreement{}, NotSwitched
		}
	} else if err := checkSwitch(r, offer.Key); err != nil {
		return Agreement{}, err
	}
	var a Agreement
	switch chosen := r.Header["Sec-Websocket-Protocol"]; {
	case len(chosen) == 0:
	case len(chosen) > 1 || !slices.Contains(offer.Subprotocols, trim(chosen[0])):
		return Agreement{}, WrongSubprotocol
	default:
		a.Subprotocol = trim(chosen[0])
	}
	var err error
	if a.Extensions, err = ParseExtensions(r.Header["Sec-Websocket-Extensions"]); err != nil {
		return Agreement{}, WrongExtensions
	}
	for i, e := range a.Extensions {
		if !names(offer.Extensions, e.Name) || names(a.Extensions[:i], e.Name) {
			return Agreement{}, WrongExtensions
		}
	}
	if _, _, err := AcceptDeflate(a, offer); err != nil {
		return Agreement{}, err
	}
	return a, nil
}

// checkSwitch checks what only HTTP/1.1 has.
func checkSwitch(r *http.Response, key string) error {
	upgrade, accept := r.Header["Upgrade"], r.Header["Sec-Websocket-Accept"]
	switch {
	case r.StatusCode != http.StatusSwitchingProtocols || !r.ProtoAtLeast(1, 1):
		return NotSwitched
	case len(upgrade) != 1 || !strings.EqualFold(trim(upgrade[0]), "websocket"):
		return WrongResponseUpgrade
	case !hasToken(r.Header["Connection"], "upgrade"):
		return NoResponseConnectionUpgrade
	case len(accept) != 1 || trim(accept[0]) != Accept(key):
		return WrongAccept
	case r.ContentLength > 0 || len(r.TransferEncoding) > 0:
		return UnexpectedResponseBody
	}
	return nil
}

// AppendResponse appends the 101 that accepts offer. Only what the client offered can be chosen, and no value can end its
// line, so that nobody writes into the response. The fields of extra, such as cookies, follow in the order of their names;
// those that the handshake owns may not be among them.
func AppendResponse(dst []byte, offer Offer, a Agreement, extra http.Header) ([]byte, error) {
	switch {
	case !validKey(offer.Key):
		return dst, InvalidKey
	case a.Subprotocol != "" && !(isToken(a.Subprotocol) && slices.Contains(offer.Subprotocols, a.Subprotocol)):
		return dst, NotOffered
	case !validExtensions(a.Extensions):
		return dst, MalformedExtensions
	case !fieldsAllowed(extra):
		return dst, ForbiddenField
	}
	for i, e := range a.Extensions {
		if !names(offer.Extensions, e.Name) || names(a.Extensions[:i], e.Name) {
			return dst, NotOffered
		}
	}
	if _, _, err := AcceptDeflate(a, offer); err != nil {
		return dst, NotOffered
	}
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = append(dst, "Sec-WebSocket-Accept: "...)
	dst = appendAccept(dst, offer.Key)
	dst = append(dst, crlf...)
	if a.Subprotocol != "" {
		dst = appendField(dst, "Sec-WebSocket-Protocol", a.Subprotocol)
	}
	dst = appendExtensionsField(dst, a.Extensions)
	dst = appendFields(dst, extra)
	return append(dst, crlf...), nil
}

// fieldsAllowed reports whether fields are well formed and leave the handshake and the framing of HTTP alone.
func fieldsAllowed(fields http.Header) bool {
	for name, values := range fields {
		canonical := http.CanonicalHeaderKey(name)
		switch canonical {
		case "Connection", "Content-Length", "Host", "Origin", "Trailer", "Transfer-Encoding", "Upgrade":
			return false
		}
		if !isToken(name) || strings.HasPrefix(canonical, "Sec-Websocket-") || !all(values, isFieldValue) {
			return false
		}
	}
	return true
}

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !ok(v) })
}

// appendFields appends in the order of names, so that the same fields make the same bytes.
func appendFields(b []byte, fields http.Header) []byte {
	if len(fields) == 0 {
		return b
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			b = appendField(b, name, value)
		}
	}
	return b
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, crlf...)
}
