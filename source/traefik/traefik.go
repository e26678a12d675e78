// Package traefik reads Traefik's access logs, JSON and common. Traefik writes a line when a request has ended, so a
// WebSocket connection leaves one line, at its close, often with the status 0: Traefik hands the connection over and
// learns of no response.
//
// By itself such a line proves nothing; it is taken for a connection where the headers are logged, or where its path is
// known to be a WebSocket. Traefik counts no bytes of it and says neither who ended a connection nor why.
package traefik

import (
	"bytes"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "traefik"

// The fields of a line.
const (
	startUTC fields.ID = iota
	startLocal
	logTime
	startCommon
	duration
	status
	originStatus
	clientAddr
	clientHost
	clientPort
	requestHost
	requestAddr
	method
	path
	protocol
	scheme
	tlsVersion
	count
	upgrade
	sentUpgrade
	userAgent
	offered
	websocketKey
	traceparent
	subprotocol
	extensions
	request
	fieldCount
)

// names are Traefik's fields; headers stand under request_, origin_ and downstream_.
var names = [fieldCount][]string{
	startUTC:     {"StartUTC"},
	startLocal:   {"StartLocal"},
	logTime:      {"time"},
	startCommon:  {"[date]"},
	duration:     {"Duration"},
	status:       {"DownstreamStatus"},
	originStatus: {"OriginStatus"},
	clientAddr:   {"ClientAddr"},
	clientHost:   {"ClientHost"},
	clientPort:   {"ClientPort"},
	requestHost:  {"RequestHost"},
	requestAddr:  {"RequestAddr"},
	method:       {"RequestMethod"},
	path:         {"RequestPath"},
	protocol:     {"RequestProtocol"},
	scheme:       {"RequestScheme"},
	tlsVersion:   {"TLSVersion"},
	count:        {"RequestCount"},
	upgrade:      {"request_Upgrade"},
	sentUpgrade:  {"downstream_Upgrade", "origin_Upgrade"},
	userAgent:    {"request_User-Agent"},
	offered:      {"request_Sec-Websocket-Protocol", "request_Sec-WebSocket-Protocol"},
	websocketKey: {"request_Sec-Websocket-Key", "request_Sec-WebSocket-Key"},
	traceparent:  {"request_Traceparent"},
	subprotocol: {"downstream_Sec-Websocket-Protocol", "origin_Sec-Websocket-Protocol", "downstream_Sec-WebSocket-Protocol",
		"origin_Sec-WebSocket-Protocol"},
	extensions: {"downstream_Sec-Websocket-Extensions", "origin_Sec-Websocket-Extensions"},
	request:    {"request"},
}

// common is a line of the format common, which ends with fields of Traefik's own.
var common = []fields.Token{
	{Name: "client", Field: clientHost}, {Literal: " - "}, {Name: "user", Field: fields.None}, {Literal: " ["},
	{Name: "date", Field: startCommon}, {Literal: `] "`}, {Name: "request", Field: request}, {Literal: `" `},
	{Name: "status", Field: status}, {Literal: " "}, {Name: "size", Field: fields.None}, {Literal: ` "`},
	{Name: "referrer", Field: fields.None}, {Literal: `" "`}, {Name: "user agent", Field: userAgent}, {Literal: `" `},
	{Name: "count", Field: count}, {Literal: ` "`}, {Name: "router", Field: fields.None}, {Literal: `" "`},
	{Name: "server", Field: fields.None}, {Literal: `" `}, {Name: "duration", Field: duration}, {Literal: "ms"},
}

// Parser is a [source.Parser] and [source.Adviser] of Traefik's access logs. Make one with [New].
type Parser struct {
	json      fields.Scanner
	common    fields.Scanner
	line      *fields.Line
	paths     access.Paths
	now       func() time.Time
	emitter   *access.Emitter
	handshake access.Handshake
}

var (
	_ source.Parser  = (*Parser)(nil)
	_ source.Adviser = (*Parser)(nil)
)

// New returns a parser. paths are those that are WebSockets, for logs without headers.
func New(s source.Settings, paths []string) (*Parser, error) {
	template, err := fields.NewTemplate(common, fields.Backslash)
	if err != nil {
		return nil, err
	}
	return &Parser{
		json: fields.NewJSON(fields.ByName(names[:], 0)), common: template, line: fields.NewLineOf(names[:]),
		paths: access.NewPaths(paths), now: time.Now,
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}, nil
}

// Advice implements [source.Adviser].
func (p *Parser) Advice() []string {
	if len(p.paths) > 0 {
		return nil
	}
	return []string{"name websocket_paths, or keep the header Upgrade in accesslog.fields.headers: Traefik logs a " +
		"connection with the status 0, which by itself proves nothing"}
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	scanner := p.common
	if trimmed := bytes.TrimLeft(data[:min(len(data), 64)], " \t"); len(trimmed) > 0 && trimmed[0] == '{' {
		scanner = p.json
	}
	if err := scanner.Scan(data, l); err != nil {
		return err
	}
	h.Reset()
	if err := p.outcome(h); err != nil {
		return err
	}
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// outcome decides whether the line is about a WebSocket at all, and whether the handshake succeeded.
func (p *Parser) outcome(h *access.Handshake) (err error) {
	l := p.line
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	if origin, _ := l.Raw(originStatus); h.Status == 0 && string(origin) == "101" {
		h.Status = 101
	}
	asked, logged := l.Raw(upgrade)
	answered, _ := l.Raw(sentUpgrade)
	line, _ := l.Raw(request)
	verb, _ := l.Raw(method)
	target, _ := l.Raw(path)
	switch {
	case logged && !access.OffersWebSocket(asked):
		return source.ErrSkipped
	case logged || access.OffersWebSocket(answered):
	case h.Status == 101 || p.paths.Attempt(line, verb, target, h.Status):
		h.Inferred = true
	default:
		return source.ErrSkipped
	}
	h.Upgraded = h.Status == 101
	if h.Status == 0 {
		// A client that left before the answer is 499; 0 is a connection that was handed over, and what was asked for
		// says to which protocol.
		h.Upgraded, h.Status = true, 101
		h.Inferred = h.Inferred || !access.OffersWebSocket(answered)
	}
	return nil
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	unit := time.Nanosecond
	if l.Has(request) {
		unit = time.Millisecond
	}
	took, err := l.Duration(duration, unit)
	if err != nil {
		return err
	}
	if err := p.times(h, took); err != nil {
		return err
	}
	if h.Upgraded {
		h.Closed, h.Connection = h.Written, took
	} else {
		h.Handshake = took
	}

	verb, target, version := access.RequestLine(l.Value(request))
	if !l.Has(request) {
		verb, target, version = l.Value(method), l.Value(path), l.Value(protocol)
	}
	h.Method, h.HTTPVersion = access.Method(verb), access.HTTPVersion(version)
	h.Path, h.Query = access.Target(target)
	authority := l.Value(requestAddr)
	if authority == "" {
		authority = l.Value(requestHost)
	}
	h.Server, h.Port = access.Host(authority)
	if h.Client, h.ClientPort = access.Host(l.Value(clientAddr)); h.Client == "" {
		h.Client = l.Value(clientHost)
		if h.ClientPort, err = l.Integer(clientPort, fields.MaxPort); err != nil {
			return err
		}
	}
	h.Scheme = access.Scheme(l.Value(scheme))
	switch v := l.Value(tlsVersion); v {
	case "1.0", "1.1", "1.2", "1.3":
		h.Scheme, h.TLSVersion = "wss", v
	}
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered, h.Subprotocol = access.List(l.Value(offered)), l.Value(subprotocol)
	h.Extensions = access.List(l.Value(extensions))
	h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent))

	m := p.emitter
	m.Begin()
	for _, f := range [...]fields.ID{
		startUTC, startLocal, startCommon, logTime, clientAddr, clientHost, clientPort, count, requestHost, path, request,
		duration,
	} {
		value, _ := l.Raw(f)
		m.Part(names[f][0], value)
	}
	h.ConnectionID = m.ID()
	return nil
}

// times reads when the request began and ended.
func (p *Parser) times(h *access.Handshake, took time.Duration) (err error) {
	l := p.line
	switch {
	case l.Value(startUTC) != "":
		h.Opened, err = l.Time(startUTC, time.RFC3339)
	case l.Value(startLocal) != "":
		h.Opened, err = l.Time(startLocal, time.RFC3339)
	case l.Value(startCommon) != "":
		h.Opened, err = l.Time(startCommon, "02/Jan/2006:15:04:05 -0700")
	case l.Value(logTime) != "":
		h.Written, err = l.Time(logTime, time.RFC3339)
		h.Opened = h.Written.Add(-max(took, 0))
		return err
	default:
		// Every time was taken out of the log, so that it is read is all that is known.
		h.Written = p.now().UTC()
		h.Opened = h.Written.Add(-max(took, 0))
		return nil
	}
	h.Written = h.Opened.Add(max(took, 0))
	return err
}

// Fits returns what says whether a line is of Traefik's formats.
func Fits() func(line []byte) bool {
	p, err := New(source.Settings{}, nil)
	if err != nil {
		return func([]byte) bool { return false }
	}
	return func(line []byte) bool {
		if len(line) > 0 && line[0] == '{' {
			return p.json.Scan(line, p.line) == nil && p.line.Has(status) && p.line.Has(method)
		}
		return p.common.Scan(line, p.line) == nil
	}
}
