// Package nginx reads nginx's logs: access logs of any log_format, or of JSON keyed by nginx's variable names or their
// usual short forms, and error logs. nginx writes an access line when a request has ended, so a WebSocket connection
// leaves one line, at its close: it proves the open, the close, the duration and the bytes to the client. Why a connection
// ended stands in the error log only; [ErrorLog] joins the two.
//
// nginx sees no frames, so there is never a close code or a count of messages; and $request_length excludes frames, so
// the bytes from the client are unknown. It reads no files: [ReadConf] and [ErrorLog] are given theirs.
//
// The invariant to keep: a line is read no further than to see that it is not about a WebSocket, so that the other lines
// of a busy log cost one pass and no memory.
package nginx

import (
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "nginx"

// Options are what the parser of an access log may have to be told beyond [source.Settings].
type Options struct {
	// Template is "" for JSON, [Combined], [Main] or [Upstreaminfo], or a log_format: as it stands in nginx.conf, or the bare text that its quotes
	// enclose there.
	Template string
	// Paths are the URL paths that are WebSockets, as patterns of [path.Match]: without $http_upgrade, only they tell a
	// rejected handshake from any other request.
	Paths []string
	// ErrorLog is the error log of the same nginx, or nil. Parsers may share it.
	ErrorLog *ErrorLog
}

// Parser is a [source.Parser] of nginx access logs. Make one with [New].
type Parser struct {
	scanner   fields.Scanner
	line      *fields.Line
	paths     access.Paths
	errors    *ErrorLog
	zone      *time.Location
	advice    []string
	emitter   *access.Emitter
	handshake access.Handshake
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser. The error says what is wrong with the template, and where.
func New(s source.Settings, o Options) (*Parser, error) {
	p := &Parser{
		line: newLine(), paths: access.NewPaths(o.Paths), errors: o.ErrorLog, zone: s.TimeZone(),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}
	if o.Template == "" {
		p.scanner = fields.NewJSON(fieldsByName)
		return p, nil
	}
	f, err := parseFormat(o.Template)
	if err != nil {
		return nil, err
	}
	p.scanner, p.advice = f.template, f.advice(o)
	return p, nil
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	h.Reset()
	var err error
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	h.Upgraded = h.Status == 101
	upgrade, logged := l.Raw(httpUpgrade)
	switch {
	case logged && !access.OffersWebSocket(upgrade):
		return source.ErrSkipped
	case !logged && !h.Upgraded && !p.attempt(h.Status):
		return source.ErrSkipped
	}
	// nginx relays 101 only to a client that asked for an upgrade; that it was to a WebSocket is a conclusion.
	h.Inferred = !logged
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// JSONFits returns what says whether a line is of an nginx JSON log: one object that has, under the names of nginx's
// variables, a status, a time, and something of the request.
func JSONFits() func(line []byte) bool {
	names := map[string]fields.ID{}
	for _, f := range [...]fields.ID{
		status, msec, timeText, timeLocal, request, requestURI, uri, requestTime, remoteAddr,
	} {
		names[variables[f][0]] = f
	}
	for _, name := range variables[timeText] {
		names[name] = timeText
	}
	scanner, l := fields.NewJSON(names), newLine()
	return func(line []byte) bool {
		return scanner.Scan(line, l) == nil && l.Has(status) && (l.Has(msec) || l.Has(timeText) || l.Has(timeLocal)) &&
			(l.Has(request) || l.Has(requestURI) || l.Has(uri) || l.Has(requestTime) || l.Has(remoteAddr))
	}
}

// attempt reports whether a request that was not upgraded, and whose Upgrade header is not in the line, was an attempt to
// open a WebSocket as far as its path tells.
func (p *Parser) attempt(status int) bool {
	if len(p.paths) == 0 {
		return false
	}
	line, _ := p.line.Raw(request)
	method, _ := p.line.Raw(requestMethod)
	target, _ := p.line.Raw(requestURI)
	if len(target) == 0 && len(line) == 0 {
		target, _ = p.line.Raw(uri)
	}
	return p.paths.Attempt(line, method, target, status)
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	if h.Written, err = p.written(); err != nil {
		return err
	}
	took, err := l.Duration(requestTime, time.Second)
	if err != nil {
		return err
	}
	h.Opened = h.Written
	if took > 0 {
		h.Opened = h.Written.Add(-took)
	}
	if h.ClientPort, err = l.Integer(remotePort, fields.MaxPort); err != nil {
		return err
	}
	if h.Upgraded {
		h.Closed, h.Connection = h.Written, took
		// Of an upgraded connection nginx counts the relayed bytes as the body: exactly the frames to the client.
		if h.Sent, err = l.Integer(bodyBytesSent, fields.MaxInteger); err != nil {
			return err
		}
		// Several upstreams were tried where the value is a list; then no one number is the handshake's.
		if d, ok := fields.ParseDuration(l.Value(upstreamHeaderTime), time.Second); ok {
			h.Handshake = d
		}
		if p.errors != nil {
			p.errors.annotate(l, h, p.zone)
		}
	} else {
		h.Handshake = took
		// limit_req and limit_conn answer 503 unless told otherwise; their own variables say who refused.
		h.Limited = l.Value(limitReqStatus) == "REJECTED" || l.Value(limitConnStatus) == "REJECTED"
	}
	p.request(h)
	h.ConnectionID = p.connectionID(h)
	return nil
}

// written returns when nginx wrote the line: $msec where logged, since the other variables have whole seconds only.
func (p *Parser) written() (time.Time, error) {
	l := p.line
	switch {
	case l.Value(msec) != "":
		return l.Unix(msec, time.Second)
	case l.Value(timeText) != "":
		// A key of JSON that is called time can have the value of any of nginx's times.
		switch v := l.Value(timeText); {
		case strings.Contains(v, "/"):
			layout := localLayout
			if v[0] == '[' {
				layout = "[" + layout + "]"
			}
			return l.Time(timeText, layout)
		case !strings.Contains(v, "-"):
			return l.Unix(timeText, time.Second)
		}
		return l.Time(timeText, time.RFC3339)
	case l.Value(timeLocal) != "":
		return l.Time(timeLocal, localLayout)
	}
	return time.Time{}, l.Fault(source.MissingField, msec)
}

// localLayout is that of $time_local.
const localLayout = "02/Jan/2006:15:04:05 -0700"

// request reads what the line says about the request and its two ends.
func (p *Parser) request(h *access.Handshake) {
	l := p.line
	method, target, protocol := access.RequestLine(l.Value(request))
	if v := l.Value(requestMethod); v != "" {
		method = v
	}
	if v := l.Value(serverProtocol); v != "" {
		protocol = v
	}
	// $request_uri is what the client sent; $uri is normalised and decoded.
	if v := l.Value(requestURI); v != "" {
		target = v
	}
	if target != "" {
		h.Path, h.Query = access.Target(target)
	} else {
		h.Path, h.Query = l.Value(uri), l.Value(args)
	}
	h.Method, h.HTTPVersion = access.Method(method), access.HTTPVersion(protocol)

	// $host has no port; $http_host is the header as sent.
	h.Server, h.Port = access.Host(l.Value(host))
	if sent := l.Value(httpHost); sent != "" && (h.Server == "" || h.Port < 0) {
		name, port := access.Host(sent)
		if h.Server == "" {
			h.Server = name
		}
		h.Port = port
	}
	// Of a UNIX socket nginx logs "unix:", which is nobody's address.
	if address := l.Value(remoteAddr); address != "unix:" {
		h.Client = address
	}
	h.Scheme, h.TLSVersion = access.Scheme(l.Value(scheme)), access.TLSVersion(l.Value(sslProtocol))
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered, h.Subprotocol = access.List(l.Value(clientProtocol)), l.Value(sentProtocol)
	h.Extensions = access.List(l.Value(sentExtensions))
	if h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent)); h.SpanID == [8]byte{} {
		h.TraceID, h.SpanID = access.Trace(l.Value(otelTraceID), l.Value(otelSpanID))
	}
}

// connectionID hashes nginx's own id of the request, or what else tells connections apart.
func (p *Parser) connectionID(h *access.Handshake) string {
	m := p.emitter
	m.Begin()
	if id, _ := p.line.Raw(requestID); len(id) > 0 {
		m.Part("request_id", id)
		return m.ID()
	}
	for _, f := range [...]fields.ID{connection, remoteAddr, remotePort, serverAddr, serverPort, requestURI, request} {
		value, _ := p.line.Raw(f)
		m.Part(variables[f][0], value)
	}
	m.PartTime(h.Opened)
	return m.ID()
}
