// Package caddy reads Caddy's JSON access log. Caddy writes a line when a request has ended, so a WebSocket connection
// leaves one line, at its close: it proves the open, the close and the duration, and since Caddy 2.11 the bytes of frames
// both ways.
//
// Before 2.11 an upgraded connection has status 0 and size 0, as has a client that left before the answer; only the
// Upgrade header of the response tells them apart. Caddy sees no frames, so there is never a close code, an initiator or
// a cause.
package caddy

import (
	"bytes"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "caddy"

// Parser is a [source.Parser] of Caddy's access log. Make one with [New].
type Parser struct {
	scanner   fields.Scanner
	line      *fields.Line
	options   options
	layouts   []string
	zone      *time.Location
	emitter   *access.Emitter
	handshake access.Handshake
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser. encoder is the body of `format json { … }` as it stands in the Caddyfile; "" suits an encoder
// that renames no keys, whose times have any of Caddy's own formats, and whose durations are not in milliseconds.
func New(s source.Settings, encoder string) (*Parser, error) {
	o, err := parseOptions(encoder)
	if err != nil {
		return nil, err
	}
	p := &Parser{
		options: o, layouts: layouts, zone: s.TimeZone(),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}
	if o.layout != "" {
		p.layouts = []string{o.layout}
	} else {
		p.layouts = append(p.layouts[:0:0], p.layouts...)
	}
	p.line, p.scanner = newLine(o)
	return p, nil
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	if !p.isAccess() {
		return source.ErrSkipped
	}
	h.Reset()
	var err error
	if h.Status, err = l.Status(status); err != nil {
		return err
	}
	if err := p.outcome(data, h); err != nil {
		return err
	}
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// isAccess reports whether the line is of an access log: errors and a proxy's own messages have a request and a status
// too, and would count the same request twice.
func (p *Parser) isAccess() bool {
	l := p.line
	if l.Has(errorID) {
		return false
	}
	if name, logged := l.Raw(logger); logged {
		return bytes.HasPrefix(name, []byte("http.log.access"))
	}
	text, logged := l.Raw(message)
	return !logged || string(text) == "handled request"
}

// outcome decides whether the line is about a WebSocket at all, and whether the handshake succeeded.
func (p *Parser) outcome(data []byte, h *access.Handshake) error {
	l := p.line
	asked, logged := l.Raw(upgrade)
	answered, _ := l.Raw(sentUpgrade)
	protocol, _ := l.Raw(connectProtocol)
	verb, _ := l.Raw(method)
	// RFC 8441: over HTTP/2 and 3 the handshake is an extended CONNECT, and its success is 200.
	extended := string(verb) == "CONNECT" && offers(protocol)
	switch {
	case extended:
		h.Upgraded = h.Status == 200
	case logged && !offers(asked):
		return source.ErrSkipped
	case h.Status == 101:
		h.Upgraded, h.Inferred = true, !logged && !offers(answered)
	case h.Status == 0 && offers(answered):
		// Only a response of 101 has this header, and only Caddy before 2.11 leaves out its status.
		h.Upgraded, h.Status = true, 101
	case !logged:
		return source.ErrSkipped
	case h.Status == 0 && !bytes.Contains(data, []byte(`"resp_headers"`)):
		// An upgrade or a client that left: without the response's headers nobody can tell.
		return source.ErrSkipped
	}
	return nil
}

// offers reports whether a header, a JSON array of texts, names the protocol.
func offers(list []byte) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte{','})
		if access.OffersWebSocket(bytes.Trim(item, `[]" `)) {
			return true
		}
	}
	return false
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	if h.Written, err = p.written(); err != nil {
		return err
	}
	took, err := p.took()
	if err != nil {
		return err
	}
	h.Opened = h.Written
	if took > 0 {
		h.Opened = h.Written.Add(-took)
	}
	if h.Upgraded {
		h.Closed, h.Connection = h.Written, took
		if err := p.volume(h); err != nil {
			return err
		}
	} else {
		h.Handshake = took
	}

	h.Method, h.HTTPVersion = access.Method(l.Value(method)), access.HTTPVersion(l.Value(proto))
	h.Path, h.Query = access.Target(l.Value(uri))
	h.Server, h.Port = access.Host(l.Value(host))
	if h.ClientPort, err = l.Integer(remotePort, fields.MaxPort); err != nil {
		return err
	}
	h.Client = l.Value(remoteIP)
	if address := l.Value(remoteAddr); h.Client == "" && address != "" {
		h.Client, h.ClientPort = access.Host(address)
	}
	// Behind a trusted proxy the client is another than the peer, and its port is unknown.
	if client := l.Value(clientIP); client != "" && client != h.Client {
		h.Client, h.ClientPort = client, -1
	}
	if version := l.Value(tlsVersion); version != "" {
		h.Scheme, h.TLSVersion = "wss", tlsVersions[version]
	}
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered = headerList(l, offered)
	h.Subprotocol, h.Extensions = l.Value(sentProtocol), headerList(l, sentExtensions)
	if h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent)); h.SpanID == [8]byte{} {
		h.TraceID, h.SpanID = access.Trace(l.Value(traceID), l.Value(spanID))
	}
	h.ConnectionID = p.connectionID()
	return nil
}

// tlsVersions are the numbers of the protocol (RFC 8446 §4.2.1) in decimal, as Caddy logs them.
var tlsVersions = map[string]string{"769": "1.0", "770": "1.1", "771": "1.2", "772": "1.3"}

// headerList reads a header that is a list and may stand in several lines of the request.
func headerList(l *fields.Line, f fields.ID) []string {
	values := l.Strings(f)
	if len(values) == 0 {
		return nil
	}
	return access.List(strings.Join(values, ","))
}

// volume reads the bytes of frames. They are known from the version on that logs 101; if a build logs 101 and counts
// nothing, both are 0, which tells no more than that.
func (p *Parser) volume(h *access.Handshake) error {
	l := p.line
	sent, err := l.Integer(size, fields.MaxInteger)
	if err != nil {
		return err
	}
	received, err := l.Integer(bytesRead, fields.MaxInteger)
	if err != nil {
		return err
	}
	if sent > 0 || received > 0 {
		h.Sent, h.Received = sent, received
	}
	return nil
}

// written returns when Caddy wrote the line.
func (p *Parser) written() (time.Time, error) {
	l := p.line
	v := l.Value(ts)
	if v == "" {
		return time.Time{}, l.Fault(source.MissingField, ts)
	}
	if whole, _, _ := strings.Cut(v, "."); isNumber(whole) && p.options.layout == "" {
		// A number's size tells its unit: seconds of this century have ten digits.
		switch {
		case len(whole) > 15:
			return l.Unix(ts, time.Nanosecond)
		case len(whole) > 11:
			return l.Unix(ts, time.Millisecond)
		}
		return l.Unix(ts, time.Second)
	}
	for i, layout := range p.layouts {
		if t, err := l.TimeIn(ts, layout, p.zone); err == nil {
			// A writer has one layout.
			p.layouts[0], p.layouts[i] = p.layouts[i], p.layouts[0]
			return t, nil
		}
	}
	return time.Time{}, l.Fault(source.BadTime, ts)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// took returns how long the request took: seconds have a fraction, nanoseconds and milliseconds are whole numbers, the
// rest is text such as 1m32.05s.
func (p *Parser) took() (time.Duration, error) {
	l := p.line
	v := l.Value(duration)
	switch {
	case v == "":
		return fields.Absent, nil
	case p.options.milliseconds:
		return l.Duration(duration, time.Millisecond)
	case isNumber(v):
		return l.Duration(duration, time.Nanosecond)
	case v[len(v)-1] == 's':
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > fields.MaxDuration {
			return 0, l.Fault(source.BadNumber, duration)
		}
		return d, nil
	}
	return l.Duration(duration, time.Second)
}

// connectionID hashes what tells connections apart: Caddy has no id of a request.
func (p *Parser) connectionID() string {
	m := p.emitter
	m.Begin()
	for _, part := range [...]struct {
		name  string
		field fields.ID
	}{
		{"ip", remoteIP}, {"port", remotePort}, {"addr", remoteAddr}, {"host", host}, {"uri", uri}, {"key", websocketKey}, {"ts", ts},
	} {
		value, _ := p.line.Raw(part.field)
		m.Part(part.name, value)
	}
	return m.ID()
}

// Fits returns what says whether a line is of a format that needs no template.
func Fits() func(line []byte) bool {
	l, scanner := newLine(options{})
	return func(line []byte) bool {
		return scanner.Scan(line, l) == nil && l.Has(status) && l.Has(uri) && l.Has(method) &&
			(l.Has(remoteIP) || l.Has(remoteAddr))
	}
}
