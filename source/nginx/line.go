package nginx

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/source"
)

// field is something that a line may say; the names under which it may stand are in fieldOf.
type field uint8

const (
	unknownField field = iota
	timeText
	timeLocal
	msec
	requestID
	connection
	remoteAddr
	remotePort
	serverAddr
	serverPort
	host
	httpHost
	request
	requestMethod
	requestURI
	uri
	args
	serverProtocol
	scheme
	status
	requestTime
	bodyBytesSent
	upstreamHeaderTime
	httpUpgrade
	clientProtocol
	websocketKey
	sentProtocol
	sentExtensions
	userAgent
	sslProtocol
	traceparent
	otelTraceID
	otelSpanID
	limitReqStatus
	limitConnStatus
	fieldCount
)

// fieldOf knows each field by nginx's variable and by the short form that people write in JSON formats.
func fieldOf(name []byte) field {
	switch string(name) {
	case "time_iso8601", "time", "timestamp", "@timestamp":
		return timeText
	case "time_local":
		return timeLocal
	case "msec":
		return msec
	case "request_id":
		return requestID
	case "connection":
		return connection
	case "remote_addr":
		return remoteAddr
	case "remote_port":
		return remotePort
	case "server_addr":
		return serverAddr
	case "server_port":
		return serverPort
	case "host":
		return host
	case "http_host":
		return httpHost
	case "request":
		return request
	case "request_method", "method":
		return requestMethod
	case "request_uri":
		return requestURI
	case "uri", "document_uri":
		return uri
	case "args", "query_string":
		return args
	case "server_protocol", "protocol":
		return serverProtocol
	case "scheme":
		return scheme
	case "status":
		return status
	case "request_time":
		return requestTime
	case "body_bytes_sent":
		return bodyBytesSent
	case "upstream_header_time":
		return upstreamHeaderTime
	case "http_upgrade", "upgrade":
		return httpUpgrade
	case "http_sec_websocket_protocol", "sec_websocket_protocol":
		return clientProtocol
	case "http_sec_websocket_key", "sec_websocket_key":
		return websocketKey
	case "sent_http_sec_websocket_protocol", "sent_sec_websocket_protocol":
		return sentProtocol
	case "sent_http_sec_websocket_extensions", "sent_sec_websocket_extensions":
		return sentExtensions
	case "http_user_agent", "user_agent":
		return userAgent
	case "ssl_protocol":
		return sslProtocol
	case "http_traceparent", "traceparent":
		return traceparent
	case "otel_trace_id":
		return otelTraceID
	case "otel_span_id":
		return otelSpanID
	case "limit_req_status":
		return limitReqStatus
	case "limit_conn_status":
		return limitConnStatus
	}
	return unknownField
}

// names is for errors: the variable, which is what the reader of the error finds in nginx.conf.
var names = [fieldCount]string{
	timeText: "time_iso8601", timeLocal: "time_local", msec: "msec", remotePort: "remote_port", status: "status",
	requestTime: "request_time", bodyBytesSent: "body_bytes_sent",
}

// span is where a value stands in the line.
type span struct {
	start, end int32
	// logged is true if the line has the field at all, even if empty.
	logged, escaped bool
}

// line is one line taken apart.
type line struct {
	data  []byte
	spans [fieldCount]span
	// text is what data holds once keep has been called; clean, that it is UTF-8.
	text  string
	clean bool
	kept  []byte
}

// keep gives the values memory that outlives the line: one string for all of them, and nothing for the rest of the
// line, since events hold on to it.
func (l *line) keep() {
	l.kept = l.kept[:0]
	for i := range l.spans {
		s := &l.spans[i]
		start := int32(len(l.kept))
		l.kept = append(l.kept, l.data[s.start:s.end]...)
		s.start, s.end = start, int32(len(l.kept))
	}
	l.data, l.text = l.kept, string(l.kept)
	l.clean = utf8.ValidString(l.text)
}

// raw returns the bytes of a value as they stand; false if the field is not in the line. "-" is nginx's way, "" the
// way of escape=json to say that a variable has no value; both are returned empty.
func (l *line) raw(f field) ([]byte, bool) {
	s := l.spans[f]
	v := l.data[s.start:s.end]
	if len(v) == 1 && v[0] == '-' {
		v = nil
	}
	return v, s.logged
}

// value returns a value decoded, or "".
func (l *line) value(f field) string {
	s := l.spans[f]
	if s.start == s.end {
		return ""
	}
	v := l.text[s.start:s.end]
	if v == "-" {
		return ""
	}
	if s.escaped {
		v = unescape(v)
	} else if l.clean {
		return v
	}
	return source.Text(v)
}

const (
	maxInt  = math.MaxInt64
	maxPort = 65535
)

// integer returns a number from 0 to limit, or -1 where the line has none.
func (l *line) integer(f field, limit int64) (int64, error) {
	v := l.value(f)
	if v == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil || n > uint64(limit) {
		return 0, &source.Error{Reason: source.BadNumber, Field: names[f]}
	}
	return int64(n), nil
}

// seconds returns a number of seconds in nanoseconds, or -1 where the line has none.
func (l *line) seconds(f field) (int64, error) {
	v := l.value(f)
	if v == "" {
		return -1, nil
	}
	ns, ok := parseSeconds(v)
	if !ok || ns > maxDuration {
		return 0, &source.Error{Reason: source.BadNumber, Field: names[f]}
	}
	return ns, nil
}

// maxDuration is ten years: a longer connection is a broken number.
const maxDuration = int64(10 * 365 * 24 * time.Hour)

// status returns the status of the response; 0, which nginx writes as 000, means that there was none.
func (l *line) status() (int, error) {
	v, logged := l.raw(status)
	if !logged {
		return 0, &source.Error{Reason: source.MissingField, Field: names[status]}
	}
	if len(v) == 0 {
		return 0, nil
	}
	if len(v) != 3 {
		return 0, &source.Error{Reason: source.BadNumber, Field: names[status]}
	}
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, &source.Error{Reason: source.BadNumber, Field: names[status]}
		}
		n = 10*n + int(c-'0')
	}
	if n != 0 && (n < 100 || n > 599) {
		return 0, &source.Error{Reason: source.BadNumber, Field: names[status]}
	}
	return n, nil
}

// Times outside these years are broken clocks or broken lines, and would not fit a timestamp in nanoseconds.
const (
	minUnix = 946684800  // 2000-01-01
	maxUnix = 4102444800 // 2100-01-01
)

// written returns when nginx wrote the line: $msec where logged, since the other variables have whole seconds only.
func (l *line) written() (time.Time, error) {
	if v := l.value(msec); v != "" {
		ns, ok := parseSeconds(v)
		if !ok || ns < minUnix*1e9 || ns > maxUnix*1e9 {
			return time.Time{}, &source.Error{Reason: source.BadTime, Field: names[msec]}
		}
		return time.Unix(ns/1e9, ns%1e9).UTC(), nil
	}
	if v := l.value(timeText); v != "" {
		return parseTime(v, time.RFC3339, timeText)
	}
	if v := l.value(timeLocal); v != "" {
		return parseTime(v, "02/Jan/2006:15:04:05 -0700", timeLocal)
	}
	return time.Time{}, &source.Error{Reason: source.MissingField, Field: names[msec]}
}

func parseTime(v, layout string, f field) (time.Time, error) {
	t, err := time.Parse(layout, v)
	// The error of time.Parse quotes the value, so it is not kept.
	if err != nil || t.Unix() < minUnix || t.Unix() > maxUnix {
		return time.Time{}, &source.Error{Reason: source.BadTime, Field: names[f]}
	}
	return t.UTC(), nil
}

// parseSeconds reads a decimal number of seconds exactly; digits beyond the nanosecond are dropped.
func parseSeconds(s string) (ns int64, ok bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 10 || (point && fraction == "") {
		return 0, false
	}
	for i := range len(whole) {
		c := whole[i] - '0'
		if c > 9 {
			return 0, false
		}
		ns = 10*ns + int64(c)
	}
	// Ten digits of seconds are at most 9999999999e9, which does not fit.
	if ns > math.MaxInt64/int64(time.Second)-1 {
		return 0, false
	}
	unit := int64(time.Second)
	ns *= unit
	for i := range len(fraction) {
		c := fraction[i] - '0'
		if c > 9 {
			return 0, false
		}
		unit /= 10
		ns += int64(c) * unit
	}
	return ns, true
}

// requestLine takes $request apart, "GET /path HTTP/1.1"; a client may have put spaces into the target.
func (l *line) requestLine() (method, target, protocol string) {
	method, rest, ok := strings.Cut(l.value(request), " ")
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
	"TRACE": true, "PATCH": true, "QUERY": true,
}

func (l *line) method() string {
	m := l.value(requestMethod)
	if m == "" {
		m, _, _ = l.requestLine()
	}
	if m != "" && !methods[m] {
		return "_OTHER"
	}
	return m
}

func (l *line) protocol() string {
	if p := l.value(serverProtocol); p != "" {
		return p
	}
	_, _, p := l.requestLine()
	return p
}

func httpVersionOf(protocol string) string {
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

// target returns path and query. $request_uri is what the client sent; $uri is normalised and decoded.
func (l *line) target() (path, query string) {
	t := l.value(requestURI)
	if t == "" {
		_, t, _ = l.requestLine()
	}
	if t == "" {
		return l.value(uri), l.value(args)
	}
	// A request to a proxy has the absolute form (RFC 9112 §3.2.2).
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

// server returns the host that the client asked for and the port, or -1 where it named none. $host has no port;
// $http_host is the header as sent.
func (l *line) server() (string, int64) {
	name, port := splitHost(l.value(host))
	if sent := l.value(httpHost); sent != "" && (name == "" || port < 0) {
		sentName, sentPort := splitHost(sent)
		if name == "" {
			name = sentName
		}
		port = sentPort
	}
	return name, port
}

func splitHost(s string) (string, int64) {
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

// trace returns the trace context: W3C traceparent (version-traceid-spanid-flags), else the variables of nginx's
// OpenTelemetry module. A context that breaks the form is one that does not exist: clients send what they like.
func (l *line) trace() (traceID [16]byte, spanID [8]byte) {
	t, s := l.value(otelTraceID), l.value(otelSpanID)
	if p := l.value(traceparent); len(p) >= 55 && p[2] == '-' && p[35] == '-' && p[52] == '-' && p[:2] != "ff" {
		t, s = p[3:35], p[36:52]
	}
	if len(t) != 32 || len(s) != 16 {
		return traceID, spanID
	}
	var buf [32]byte
	if _, err := hex.Decode(traceID[:], append(buf[:0], t...)); err != nil {
		return [16]byte{}, [8]byte{}
	}
	if _, err := hex.Decode(spanID[:], append(buf[:0], s...)); err != nil || spanID == [8]byte{} {
		return [16]byte{}, [8]byte{}
	}
	return traceID, spanID
}

// offersWebSocket reports whether an Upgrade header names the protocol: a list of tokens, each with an optional
// version, in any case (RFC 9110 §7.8).
func offersWebSocket(header []byte) bool {
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
