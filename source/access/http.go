package access

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// RequestLine takes "GET /path HTTP/1.1" apart; a client may have put spaces into the target.
func RequestLine(line string) (method, target, protocol string) {
	method, rest, ok := strings.Cut(line, " ")
	if !ok {
		return "", "", ""
	}
	i := strings.LastIndexByte(rest, ' ')
	if i < 0 || !strings.HasPrefix(rest[i+1:], "HTTP/") {
		return method, rest, ""
	}
	return method, rest[:i], rest[i+1:]
}

// methods are the values that http.request.method may have (semconv); it is a metric dimension, and a client can send
// any word.
var methods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "CONNECT": true, "OPTIONS": true,
	"TRACE": true, "PATCH": true,
}

// Method returns m, or what semconv has for a method that it does not know.
func Method(m string) string {
	if m != "" && !methods[m] {
		return "_OTHER"
	}
	return m
}

// HTTPVersion returns the event model's form of "HTTP/1.1", or "".
func HTTPVersion(protocol string) string {
	switch protocol {
	case "HTTP/1.0":
		return "1.0"
	case "HTTP/1.1":
		return "1.1"
	case "HTTP/2.0", "HTTP/2":
		return "2"
	case "HTTP/3.0", "HTTP/3":
		return "3"
	}
	return ""
}

// Target splits a request's target into path and query. A request to a proxy has the absolute form (RFC 9112 §3.2.2).
func Target(t string) (path, query string) {
	if i := strings.Index(t, "://"); i > 0 && t[0] != '/' {
		t = t[i+len("://"):]
		if i = strings.IndexAny(t, "/?"); i < 0 {
			return "/", ""
		}
		t = t[i:]
	}
	path, query, _ = strings.Cut(t, "?")
	return path, query
}

// Host splits "host:port" in any of its forms; the port is -1 where there is none.
func Host(s string) (string, int64) {
	port := ""
	if rest, ok := strings.CutPrefix(s, "["); ok {
		address, tail, closed := strings.Cut(rest, "]")
		if !closed {
			return s, -1
		}
		s, port = address, strings.TrimPrefix(tail, ":")
	} else if name, tail, ok := strings.Cut(s, ":"); ok && !strings.Contains(tail, ":") {
		s, port = name, tail
	}
	s = strings.ToLower(s)
	if port == "" {
		return s, -1
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return s, -1
	}
	return s, int64(n)
}

// Scheme returns the event model's form of http, https, ws or wss, or "".
func Scheme(s string) string {
	switch s {
	case "http", "ws":
		return "ws"
	case "https", "wss":
		return "wss"
	}
	return ""
}

// TLSVersion returns the event model's form of "TLSv1.3", or "".
func TLSVersion(s string) string {
	version, ok := strings.CutPrefix(s, "TLSv")
	if !ok {
		return ""
	}
	switch version {
	case "1":
		return "1.0"
	case "1.0", "1.1", "1.2", "1.3":
		return version
	}
	return ""
}

// Traceparent takes a W3C traceparent apart (version-traceid-spanid-flags). A context that breaks the form is one that
// does not exist: clients send what they like.
func Traceparent(p string) (traceID [16]byte, spanID [8]byte) {
	if len(p) < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-' || p[:2] == "ff" {
		return traceID, spanID
	}
	return Trace(p[3:35], p[36:52])
}

// Trace reads the ids of a trace and a span in hexadecimal; both are zero unless both are well formed and the span's is
// not zero.
func Trace(trace, span string) (traceID [16]byte, spanID [8]byte) {
	if len(trace) != 32 || len(span) != 16 {
		return traceID, spanID
	}
	var buf [32]byte
	if _, err := hex.Decode(traceID[:], append(buf[:0], trace...)); err != nil {
		return [16]byte{}, [8]byte{}
	}
	if _, err := hex.Decode(spanID[:], append(buf[:0], span...)); err != nil || spanID == [8]byte{} {
		return [16]byte{}, [8]byte{}
	}
	return traceID, spanID
}

// OffersWebSocket reports whether an Upgrade header names the protocol: a list of tokens, each with an optional version,
// in any case (RFC 9110 §7.8).
func OffersWebSocket(header []byte) bool {
	for len(header) > 0 {
		var token []byte
		token, header, _ = bytes.Cut(header, []byte{','})
		token, _, _ = bytes.Cut(bytes.TrimSpace(token), []byte{'/'})
		if bytes.EqualFold(token, []byte("websocket")) {
			return true
		}
	}
	return false
}
