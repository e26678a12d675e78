// Package apache reads access logs of the Apache HTTP Server in any LogFormat. Apache writes a line when a request has
// ended, and with the time at which it began; so a WebSocket connection leaves one line, and only a format with a duration
// says when the connection closed.
//
// Apache counts the heads of requests among its bytes and sees no Close frames, so there are neither bytes of frames nor a
// close code, an initiator or a cause.
package apache

import (
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "apache"

// Parser is a [source.Parser] and [source.Adviser] of Apache's access logs. Make one with [New].
type Parser struct {
	format    *format
	line      *fields.Line
	paths     access.Paths
	emitter   *access.Emitter
	handshake access.Handshake
}

var (
	_ source.Parser  = (*Parser)(nil)
	_ source.Adviser = (*Parser)(nil)
)

// New returns a parser. template is a LogFormat as it stands in Apache's configuration, or one of the nicknames that
// Apache comes with; "" is combined. paths are those that are WebSockets, for formats without the Upgrade header.
func New(s source.Settings, template string, paths []string) (*Parser, error) {
	if template == "" {
		template = "combined"
	}
	f, err := compile(template, s.TimeZone())
	if err != nil {
		return nil, err
	}
	return &Parser{
		format: f, line: newLine(), paths: access.NewPaths(paths),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}, nil
}

// Advice implements [source.Adviser].
func (p *Parser) Advice() []string { return p.format.advise(len(p.paths) > 0) }

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.format.template.Scan(data, l); err != nil {
		return err
	}
	h.Reset()
	var err error
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	h.Upgraded = h.Status == 101
	asked, logged := l.Raw(upgrade)
	switch {
	case logged && !access.OffersWebSocket(asked):
		return source.ErrSkipped
	case !logged && !h.Upgraded && !p.attempted(h.Status):
		return source.ErrSkipped
	}
	h.Inferred = !logged
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// attempted reports whether a request that was not upgraded was an attempt as far as its path tells.
func (p *Parser) attempted(code int) bool {
	line, _ := p.line.Raw(request)
	verb, _ := p.line.Raw(method)
	target, _ := p.line.Raw(path)
	return p.paths.Attempt(line, verb, target, code)
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	at, err := p.format.time.Read(l, timeText)
	if err != nil {
		return err
	}
	took, err := p.took()
	if err != nil {
		return err
	}
	h.Opened, h.Written = at, at.Add(max(took, 0))
	if p.format.atEnd {
		h.Opened, h.Written = at.Add(-max(took, 0)), at
	}
	if h.Upgraded {
		if took >= 0 || p.format.atEnd {
			h.Closed, h.Connection = h.Written, took
		}
	} else {
		h.Handshake = took
	}

	verb, target, version := access.RequestLine(l.Value(request))
	if v := l.Value(method); v != "" {
		verb = v
	}
	if v := l.Value(protocol); v != "" {
		version = v
	}
	h.Path, h.Query = access.Target(target)
	if target == "" {
		h.Path, h.Query = access.Target(l.Value(path))
		if v := l.Value(query); v != "" {
			h.Query = strings.TrimPrefix(v, "?")
		}
	}
	h.Method, h.HTTPVersion = access.Method(verb), access.HTTPVersion(version)
	for _, f := range [...]fields.ID{hostHeader, serverName, canonicalName} {
		if v := l.Value(f); v != "" && h.Server == "" {
			h.Server, h.Port = access.Host(v)
		}
	}
	if h.Client = l.Value(clientAddress); h.Client == "" {
		h.Client = l.Value(host)
	}
	if h.ClientPort, err = l.Integer(clientPort, fields.MaxPort); err != nil {
		return err
	}
	if v := l.Value(tlsVersion); v != "" {
		h.Scheme, h.TLSVersion = "wss", access.TLSVersion(v)
	}
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered, h.Subprotocol = access.List(l.Value(offered)), l.Value(subprotocol)
	h.Extensions = access.List(l.Value(extensions))
	h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent))
	h.ConnectionID = p.connectionID()
	return nil
}

// took returns how long the request took, as exactly as the line says it.
func (p *Parser) took() (time.Duration, error) {
	if d, err := p.line.Duration(microseconds, time.Microsecond); err != nil || d >= 0 {
		return d, err
	}
	if d, err := p.line.Duration(milliseconds, time.Millisecond); err != nil || d >= 0 {
		return d, err
	}
	return p.line.Duration(seconds, time.Second)
}

// connectionID hashes Apache's id of the request, or what else tells connections apart.
func (p *Parser) connectionID() string {
	m := p.emitter
	m.Begin()
	for _, part := range [...]struct {
		name  string
		field fields.ID
	}{
		{"id", uniqueID}, {"host", host}, {"address", clientAddress}, {"port", clientPort}, {"time", timeText},
		{"us", microseconds}, {"ms", milliseconds}, {"request", request}, {"path", path}, {"agent", userAgent}, {"key", websocketKey},
	} {
		value, _ := p.line.Raw(part.field)
		m.Part(part.name, value)
		if part.field == uniqueID && len(value) > 0 {
			break
		}
	}
	return m.ID()
}
