package wire

import (
	"net/http"
	"strings"
)

// CheckRequest holds a client's handshake against RFC 6455 §4.2.1, or RFC 8441 where it came by extended CONNECT, and
// returns what the client offers. The error is a [HandshakeViolation]. It does not decide who may connect: see [Origins].
func CheckRequest(r *http.Request) (Offer, error) {
	offer := Offer{Host: r.Host, Secure: r.TLS != nil}
	var err error
	if r.ProtoMajor >= 2 {
		offer.Extended, err = true, checkExtendedConnect(r)
	} else {
		offer.Key, err = checkUpgrade(r)
	}
	if err != nil {
		return Offer{}, err
	}
	if !validHost(r.Host) {
		return Offer{}, InvalidHost
	}
	if version := r.Header["Sec-Websocket-Version"]; len(version) != 1 || trim(version[0]) != ProtocolVersion {
		return Offer{}, WrongVersion
	}
	switch origins := r.Header["Origin"]; {
	case len(origins) == 0:
	case len(origins) > 1 || !validOrigin(origins[0]):
		return Offer{}, InvalidOrigin
	default:
		offer.Origin = origins[0]
	}
	if offer.Subprotocols, err = ParseSubprotocols(r.Header["Sec-Websocket-Protocol"]); err != nil {
		return Offer{}, err
	}
	if offer.Extensions, err = ParseExtensions(r.Header["Sec-Websocket-Extensions"]); err != nil {
		return Offer{}, err
	}
	return offer, nil
}

// checkUpgrade checks what only HTTP/1.1 has and returns the key. The order is that of telling most: what is no
// handshake at all comes first.
func checkUpgrade(r *http.Request) (string, error) {
	key := r.Header["Sec-Websocket-Key"]
	switch {
	case r.Method != http.MethodGet:
		return "", WrongMethod
	case !r.ProtoAtLeast(1, 1):
		return "", WrongHTTPVersion
	case !hasToken(r.Header["Upgrade"], "websocket"):
		return "", NotUpgrade
	case !hasToken(r.Header["Connection"], "upgrade"):
		return "", NoConnectionUpgrade
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return "", UnexpectedBody
	case len(key) != 1 || !validKey(trim(key[0])):
		return "", InvalidKey
	}
	return trim(key[0]), nil
}

// checkExtendedConnect checks what only HTTP/2 and HTTP/3 have. The key is not looked at: RFC 8441 §5 does without.
func checkExtendedConnect(r *http.Request) error {
	protocol := r.Header[":protocol"] // where net/http puts the pseudo-header
	switch {
	case r.Method != http.MethodConnect:
		return WrongHTTPVersion
	case len(protocol) != 1 || protocol[0] != "websocket":
		return WrongProtocol
	case r.URL == nil || !strings.HasPrefix(r.URL.Path, "/"):
		return IncompleteConnect
	case len(r.Header["Upgrade"]) > 0 || len(r.Header["Connection"]) > 0:
		return ConnectionFields
	case len(r.TransferEncoding) > 0 || len(r.Header["Content-Length"]) > 0:
		return UnexpectedBody
	}
	return nil
}

// validHost reports whether s is a host with or without a port.
func validHost(s string) bool {
	host, port, ok := cutPort(s)
	return ok && host != "" && (port == "" || validPort(port))
}

// AppendRequest appends a client's HTTP/1.1 handshake for the target, a path with or without a query. The offer's Key
// should come from [NewKey]. The fields of extra follow in the order of their names; those that the handshake owns may not
// be among them.
func AppendRequest(dst []byte, target string, o Offer, extra http.Header) ([]byte, error) {
	switch {
	case !isTarget(target) || target[0] != '/' || strings.Contains(target, "#"):
		return dst, InvalidTarget
	case !validHost(o.Host):
		return dst, InvalidHost
	case !validKey(o.Key):
		return dst, InvalidKey
	case o.Origin != "" && !validOrigin(o.Origin):
		return dst, InvalidOrigin
	case !validSubprotocols(o.Subprotocols):
		return dst, MalformedSubprotocols
	case !validExtensions(o.Extensions):
		return dst, MalformedExtensions
	case !fieldsAllowed(extra):
		return dst, ForbiddenField
	}
	dst = append(dst, "GET "...)
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = appendField(dst, "Host", o.Host)
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Key", o.Key)
	dst = appendField(dst, "Sec-WebSocket-Version", ProtocolVersion)
	if o.Origin != "" {
		dst = appendField(dst, "Origin", o.Origin)
	}
	if len(o.Subprotocols) > 0 {
		dst = appendField(dst, "Sec-WebSocket-Protocol", strings.Join(o.Subprotocols, ", "))
	}
	dst = appendExtensionsField(dst, o.Extensions)
	dst = appendFields(dst, extra)
	return append(dst, crlf...), nil
}
