// Package haproxy reads HAProxy's logs: option httplog and httpslog, and any log-format as it stands in haproxy.cfg, text
// or JSON, with or without what syslog puts before it. HAProxy writes a line when a request has ended, so a WebSocket
// connection leaves one line, at its close; with option logasap it writes at the open and says nothing of the close.
//
// The termination state tells an idle timeout and a reset by the client; a server that closes with data unread looks like
// a reset and is none. HAProxy counts the heads of the handshake among the bytes, so the bytes of frames are unknown, and
// it sees no Close frames.
package haproxy

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
const SourceType = "haproxy"

// Parser is a [source.Parser] and [source.Adviser] of HAProxy's logs. Make one with [New].
type Parser struct {
	scanner fields.Scanner
	// json reads lines whose format nobody has given, by the usual keys; nil where one has been given.
	json fields.Scanner
	// failure reads the lines of connections that ended before there was a request.
	failure fields.Scanner
	line    *fields.Line
	zone    *time.Location
	paths   access.Paths
	advice  []string

	// request and response are what the values in braces are, by their places; see captured.
	request, response []fields.ID
	known             bool
	// spoiled is true once a rejection had a captured header of the response that nobody has named: then it is no
	// subprotocol.
	spoiled bool
	// asap is true where the line of the last connection was written at its open.
	asap bool

	atOpen, atClose *access.Emitter
	handshake       access.Handshake
}

var (
	_ source.Parser  = (*Parser)(nil)
	_ source.Adviser = (*Parser)(nil)
)

// New returns a parser. template is a log-format as it stands in haproxy.cfg, or the lines of a frontend that has one,
// with its captures; "" is option httplog, or a JSON log-format with the usual keys. paths are those that are WebSockets,
// for formats without the Upgrade header.
func New(s source.Settings, template string, paths []string) (*Parser, error) {
	c, err := readConfig(template)
	if err != nil {
		return nil, err
	}
	p := &Parser{
		line: newLine(), zone: s.TimeZone(), paths: access.NewPaths(paths),
		request: c.request, response: c.response, known: c.request != nil,
		atOpen:  access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
		atClose: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}
	if p.scanner, err = c.compile(c.format); err != nil {
		return nil, err
	}
	if p.failure, err = c.compile(c.errorFormat); err != nil {
		return nil, err
	}
	if template == "" {
		p.json = fields.NewJSON(keys)
		return p, nil
	}
	if p.advice, err = c.advise(len(paths) > 0); err != nil {
		return nil, err
	}
	return p, nil
}

// Advice implements [source.Adviser].
func (p *Parser) Advice() []string { return p.advice }

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	data = access.Message(data)
	scanner := p.scanner
	if p.json != nil && len(data) > 0 && data[0] == '{' {
		scanner = p.json
	}
	h.Reset()
	if err := scanner.Scan(data, l); err != nil {
		return p.other(data, err, emit)
	}
	if p.tlsFailed() {
		return p.rejectTLS(emit)
	}
	if err := p.outcome(h); err != nil {
		return err
	}
	l.Keep()
	if err := p.fill(h); err != nil {
		return err
	}
	m := p.atClose
	if p.asap {
		m = p.atOpen
	}
	h.ConnectionID = p.connectionID(m)
	m.Emit(h, emit)
	return nil
}

// notices begin the lines that HAProxy writes about itself.
var notices = [][]byte{
	[]byte("[NOTICE"), []byte("[WARNING"), []byte("[ALERT"), []byte("Proxy "), []byte("Server "),
	[]byte("Health check"), []byte("backend "), []byte("Stopping "),
	[]byte("Pausing "), []byte("Connect from "), []byte("Loading "), []byte("New worker"), []byte("Backup Server "),
}

// other reads a line that does not follow the format: a connection without a request, or a notice.
func (p *Parser) other(data []byte, fault error, emit func(*event.Event)) error {
	if p.failure.Scan(data, p.line) == nil {
		if p.tlsFailed() {
			return p.rejectTLS(emit)
		}
		if text, logged := p.line.Raw(errorText); logged && bytes.Contains(text, []byte("handshake")) {
			return source.ErrSkipped
		}
	}
	for _, begin := range notices {
		if bytes.HasPrefix(data, begin) {
			return source.ErrSkipped
		}
	}
	return fault
}

// maxErrorText is how long the text of an error may be.
const maxErrorText = 512

// badRequest is what HAProxy writes where it could read no request.
var badRequest = []byte("<BADREQ>")

// tlsFailed reports whether the line says that TLS failed before there was a request.
func (p *Parser) tlsFailed() bool {
	l := p.line
	if text, _ := l.Raw(errorText); len(text) <= maxErrorText && bytes.Contains(text, []byte("SSL")) {
		return true
	}
	code, _ := l.Raw(tlsError)
	if len(code) == 0 || len(bytes.Trim(code, "0x")) == 0 {
		return false
	}
	v, logged := l.Raw(request)
	return logged && (len(v) == 0 || bytes.Equal(v, badRequest))
}

// rejectTLS emits the failure. That a WebSocket was wanted is a conclusion: there was no request.
func (p *Parser) rejectTLS(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	l.Keep()
	var err error
	if h.Opened, err = p.begun(); err != nil {
		return err
	}
	if err := p.ends(h); err != nil {
		return err
	}
	h.Written, h.Scheme, h.ErrorType, h.Inferred = h.Opened, "wss", event.TLSFailed, true
	h.ConnectionID = p.connectionID(p.atClose)
	m := p.atClose
	if p.asap {
		m = p.atOpen
	}
	m.Emit(h, emit)
	return nil
}

// outcome decides whether the line is about a WebSocket at all, and whether the handshake succeeded.
func (p *Parser) outcome(h *access.Handshake) error {
	l := p.line
	for _, f := range [...]fields.ID{request, method} {
		if v, _ := l.Raw(f); bytes.Equal(v, badRequest) {
			// HAProxy refused what it could not read, and logs neither target nor headers.
			return source.ErrSkipped
		}
	}
	code, logged := l.Raw(status)
	if !logged || string(code) != "-1" {
		var err error
		if h.Status, err = l.Status(status); err != nil {
			return err
		}
	}
	h.Upgraded = h.Status == 101
	asked, logged := l.Raw(upgrade)
	if !logged {
		asked, logged = p.captured(h.Upgraded)
	}
	switch {
	case logged && !access.OffersWebSocket(asked):
		return source.ErrSkipped
	case !logged && !h.Upgraded && !p.attempted(h.Status):
		// Without the header an attempt that failed looks like any other request.
		return source.ErrSkipped
	}
	h.Inferred = !logged
	return nil
}

// attempted reports whether a request that was not upgraded was an attempt as far as its path tells.
func (p *Parser) attempted(code int) bool {
	line, _ := p.line.Raw(request)
	verb, _ := p.line.Raw(method)
	sent, _ := p.line.Raw(target)
	if len(sent) == 0 && len(line) == 0 {
		sent, _ = p.line.Raw(path)
	}
	return p.paths.Attempt(line, verb, sent, code)
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(h *access.Handshake) (err error) {
	l := p.line
	if h.Opened, err = p.begun(); err != nil {
		return err
	}
	if err := p.ends(h); err != nil {
		return err
	}
	if err := p.timers(h); err != nil {
		return err
	}
	p.ending(h)

	verb, sent, protocol := access.RequestLine(l.Value(request))
	if v := l.Value(method); v != "" {
		verb = v
	}
	if v := l.Value(version); v != "" {
		protocol = v
	}
	if v := l.Value(target); v != "" {
		sent = v
	}
	if sent != "" {
		h.Path, h.Query = access.Target(sent)
	} else {
		h.Path, h.Query = access.Target(l.Value(path))
		if v := l.Value(query); v != "" {
			h.Query = strings.TrimPrefix(v, "?")
		}
	}
	if len(protocol) == 3 {
		protocol = "HTTP/" + protocol // req.ver has the number alone
	}
	h.Method, h.HTTPVersion = access.Method(verb), access.HTTPVersion(protocol)

	h.Server, h.Port = access.Host(l.Value(host))
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered, h.Subprotocol = access.List(l.Value(offered)), l.Value(subprotocol)
	h.Extensions = access.List(l.Value(extensions))
	h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent))
	p.headers(h)
	return nil
}

// begun returns when the request began, or where that is not logged, when the connection was accepted.
func (p *Parser) begun() (time.Time, error) {
	l := p.line
	switch {
	case l.Value(requestTime) != "":
		return l.TimeIn(requestTime, "02/Jan/2006:15:04:05", p.zone)
	case l.Value(requestZoned) != "":
		return l.Time(requestZoned, "02/Jan/2006:15:04:05 -0700")
	}
	at, err := p.accepted()
	if err != nil {
		return at, err
	}
	// The request begins after TLS and the time that a kept connection was idle.
	for _, f := range [...]fields.ID{timeTLS, timeIdle} {
		d, err := p.timer(f)
		if err != nil {
			return at, err
		}
		at = at.Add(max(d, 0))
	}
	return at, nil
}

func (p *Parser) accepted() (time.Time, error) {
	l := p.line
	switch v := l.Value(acceptTime); {
	case v == "":
	case isNumber(v):
		return l.Unix(acceptTime, time.Second)
	case len(v) > 10 && v[4] == '-':
		return l.TimeIn(acceptTime, time.RFC3339, p.zone)
	case strings.Contains(v, " "):
		return l.Time(acceptTime, "02/Jan/2006:15:04:05 -0700")
	default:
		return l.TimeIn(acceptTime, "02/Jan/2006:15:04:05", p.zone)
	}
	if l.Value(acceptUnix) != "" {
		at, err := l.Unix(acceptUnix, time.Second)
		if err != nil {
			return at, err
		}
		ms, err := l.Integer(acceptMillis, 999)
		if err != nil {
			return at, err
		}
		return at.Add(time.Duration(max(ms, 0)) * time.Millisecond), nil
	}
	if l.Value(acceptZoned) != "" {
		return l.Time(acceptZoned, "02/Jan/2006:15:04:05 -0700")
	}
	return time.Time{}, l.Fault(source.MissingField, acceptTime)
}

func isNumber(v string) bool {
	for i := range len(v) {
		if (v[i] < '0' || v[i] > '9') && v[i] != '.' {
			return false
		}
	}
	return true
}

// ends reads the client's address and port, and whether TLS ended here.
func (p *Parser) ends(h *access.Handshake) (err error) {
	l := p.line
	if v := l.Value(client); v != "" {
		i := strings.LastIndexByte(v, ':')
		if i < 0 {
			return l.Fault(source.BadNumber, client)
		}
		h.Client = v[:i]
		port, ok := fields.ParseDuration(v[i+1:], 1)
		if !ok || port > fields.MaxPort {
			return l.Fault(source.BadNumber, client)
		}
		h.ClientPort = int64(port)
	} else {
		h.Client = l.Value(clientIP)
		if h.ClientPort, err = l.Integer(clientPort, fields.MaxPort); err != nil {
			return err
		}
	}
	if h.Client == "unix" {
		h.Client, h.ClientPort = "", -1
	}
	switch {
	case l.Value(tlsVersion) != "":
		h.Scheme, h.TLSVersion = "wss", access.TLSVersion(l.Value(tlsVersion))
	case l.Value(tlsUsed) == "1" || l.Value(tlsUsed) == "true" || strings.HasSuffix(l.Value(frontend), "~"):
		h.Scheme = "wss"
	case l.Value(tlsUsed) == "0" || l.Value(tlsUsed) == "false" || l.Value(frontend) != "":
		h.Scheme = "ws"
	}
	return nil
}

// timer returns a time in milliseconds, or fields.Absent for -1, which says that it never came to that. A plus sign says
// that the line was written before the end.
func (p *Parser) timer(f fields.ID) (time.Duration, error) {
	v := strings.TrimPrefix(p.line.Value(f), "+")
	if v == "" || v == "-1" {
		return fields.Absent, nil
	}
	d, ok := fields.ParseDuration(v, time.Millisecond)
	if !ok || d > fields.MaxDuration {
		return 0, p.line.Fault(source.BadNumber, f)
	}
	return d, nil
}

// timers reads how long the handshake and the connection took.
func (p *Parser) timers(h *access.Handshake) error {
	l := p.line
	active, err := p.timer(timeActive)
	if err != nil {
		return err
	}
	early := false
	for _, f := range [...]fields.ID{timeActive, timeTotal, bytesRead} {
		v, _ := l.Raw(f)
		early = early || len(v) > 0 && v[0] == '+'
	}
	if active < 0 {
		total, err := p.timer(timeTotal)
		if err != nil {
			return err
		}
		if total >= 0 {
			// The total counts from the accept on.
			if at, err := p.accepted(); err != nil || h.Opened.Before(at) {
				active = total
			} else {
				active = max(total-h.Opened.Sub(at), 0)
			}
		}
	}
	h.Written = h.Opened.Add(max(active, 0))
	if !h.Upgraded {
		h.Handshake = active
		return nil
	}
	p.asap = early
	if active >= 0 && !early {
		h.Closed, h.Connection = h.Written, active
	}
	h.Handshake = 0
	for _, f := range [...]fields.ID{timeRequest, timeQueue, timeConnect, timeResponse} {
		d, err := p.timer(f)
		if err != nil {
			return err
		}
		if d < 0 {
			h.Handshake = fields.Absent
			break
		}
		h.Handshake += d
	}
	return nil
}

// ending reads the termination state: who or what ended the session, and in which phase.
func (p *Parser) ending(h *access.Handshake) {
	state := p.line.Value(termination)
	if len(state) < 2 {
		return
	}
	if !h.Upgraded {
		if state[0] == 'C' && strings.IndexByte("RQCH", state[1]) >= 0 {
			h.ErrorType = event.ClientAborted
		}
		return
	}
	switch state[0] {
	case 'c', 's':
		// The tunnel's timeout; which side HAProxy blames is chance.
		h.CloseError, h.Initiator = event.IdleTimeout, event.InitiatorProxy
	case 'C':
		h.CloseError, h.Initiator = event.ConnectionReset, event.InitiatorClient
	case 'S':
		// A server that closes while data is unread resets the connection, even after a Close frame.
		h.Initiator = event.InitiatorServer
	case 'D':
		h.CloseError, h.Initiator = event.UpstreamLost, event.InitiatorProxy
	case 'K', 'P':
		h.Initiator = event.InitiatorProxy
	case 'R', 'I':
		h.CloseError, h.Initiator = event.OtherError, event.InitiatorProxy
	}
}

// connectionID hashes HAProxy's unique id where it is logged, else what tells connections apart.
func (p *Parser) connectionID(m *access.Emitter) string {
	m.Begin()
	if id, _ := p.line.Raw(uniqueID); len(id) > 0 {
		m.Part("unique-id", id)
		return m.ID()
	}
	for _, f := range [...]fields.ID{
		client, clientIP, clientPort, requestTime, requestZoned, acceptTime, acceptUnix, acceptMillis, acceptZoned, frontend,
	} {
		value, _ := p.line.Raw(f)
		m.Part(names[f][0], value)
	}
	return m.ID()
}

// Fits returns what says whether a line is of a format that needs no template.
func Fits() func(line []byte) bool {
	p, err := New(source.Settings{}, "", nil)
	if err != nil {
		return func([]byte) bool { return false }
	}
	return func(line []byte) bool {
		line = access.Message(line)
		if len(line) > 0 && line[0] == '{' {
			return p.json.Scan(line, p.line) == nil && p.line.Has(status) && p.line.Has(termination)
		}
		return p.scanner.Scan(line, p.line) == nil || p.failure.Scan(line, p.line) == nil && p.tlsFailed()
	}
}
