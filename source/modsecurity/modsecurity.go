// Package modsecurity reads the audit log of ModSecurity in JSON, one transaction a line (SecAuditLogFormat JSON,
// SecAuditLogType Serial), for WebSocket handshakes that a rule refused: those of libmodsecurity (3.x) and of
// ModSecurity 2.9.
//
// It takes nothing else from the log: transactions that were let through are the proxy's to tell, and what a rule matched
// is content. ModSecurity does not see frames.
//
// The invariant to keep: a status of 403 is no proof that a rule refused, since the application may have answered so.
package modsecurity

import (
	"strconv"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "modsecurity"

// Parser is a [source.Parser] of audit logs. Make one with [New].
type Parser struct {
	scanner   fields.Scanner
	line      *fields.Line
	emitter   *access.Emitter
	handshake access.Handshake
	zone      *time.Location
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser.
func New(s source.Settings) *Parser {
	return &Parser{
		scanner: fields.NewJSON(fieldsByName), line: newLine(), zone: s.TimeZone(),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
	}
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	if !l.Has(stamp) {
		return l.Fault(source.MissingField, stamp)
	}
	h.Reset()
	rule, refused := p.refusal(h)
	if !refused {
		return source.ErrSkipped
	}
	raw, logged := l.Raw(requestHeaders)
	if !logged {
		// Part B of the log; without it no line can be told from any other request.
		return l.Fault(source.MissingField, requestHeaders)
	}
	request := headers(raw)
	if !access.OffersWebSocket([]byte(request["upgrade"])) {
		return source.ErrSkipped
	}
	l.Keep()
	if number(rule) {
		h.PolicyID = rule
	}
	if err := p.fill(h, request); err != nil {
		return err
	}
	p.emitter.Emit(h, emit)
	return nil
}

// refusal reports whether a rule refused the request, and which.
func (p *Parser) refusal(h *access.Handshake) (rule string, refused bool) {
	l := p.line
	if l.Has(intercepted) {
		yes, _ := l.Raw(intercepted)
		message, _ := l.Raw(interception)
		return ruleOf(unescaped(message)), string(yes) == "true"
	}
	matched, _ := l.Raw(messages)
	if rule = lastRule(matched); rule == "" {
		return "", false
	}
	answer, logged := l.Raw(responseHeaders)
	if !logged {
		// Without part F a refusal looks like an answer of the application after a warning.
		h.Inferred = true
		status, err := l.Status(code)
		return rule, err == nil && status >= 400
	}
	// libmodsecurity collects the headers of the application's answer; where a rule refused, there was none.
	return rule, len(answer) == len("{}")
}

// unescaped undoes the escapes of quotes, all that is needed to find an id.
func unescaped(message []byte) string {
	out := make([]byte, 0, len(message))
	for i := 0; i < len(message) && i < maxPart; i++ {
		if message[i] == '\\' && i+1 < len(message) && message[i+1] == '"' {
			continue
		}
		out = append(out, message[i])
	}
	return string(out)
}

func (p *Parser) fill(h *access.Handshake, request map[string]string) (err error) {
	l := p.line
	if h.Written, err = p.written(); err != nil {
		return err
	}
	h.Opened = h.Written
	if h.Status, err = l.Status(code); err != nil {
		return err
	}
	if h.Status < 300 {
		// libmodsecurity logs 200 for a redirection or a connection that it drops; the client got something else.
		h.Status = 0
	}
	// Whatever the answer, it was a rule's will.
	h.ErrorType = event.Forbidden
	h.Limited = h.Status == 429
	target := l.Value(uri)
	h.Method = access.Method(l.Value(method))
	if v := l.Value(version); v != "" {
		h.HTTPVersion = access.HTTPVersion("HTTP/" + v)
	}
	if text := l.Value(requestLine); text != "" {
		m, t, protocol := access.RequestLine(text)
		h.Method, target, h.HTTPVersion = access.Method(m), t, access.HTTPVersion(protocol)
	}
	h.Path, h.Query = access.Target(target)
	h.Server, h.Port = access.Host(request["host"])
	h.UserAgent, h.Key = request["user-agent"], request["sec-websocket-key"]
	h.Offered = access.List(request["sec-websocket-protocol"])
	h.TraceID, h.SpanID = access.Traceparent(request["traceparent"])
	h.Client = l.Value(clientIP)
	if h.ClientPort, err = l.Integer(clientPort, fields.MaxPort); err != nil {
		return err
	}
	if h.Limited {
		h.Policy = h.PolicyID
	}
	id, _ := l.Raw(uniqueID)
	if len(id) == 0 {
		return l.Fault(source.MissingField, uniqueID)
	}
	p.emitter.Begin()
	p.emitter.Part("unique_id", id)
	h.ConnectionID = p.emitter.ID()
	return nil
}

// Layouts of times: libmodsecurity has local time without its zone, ModSecurity 2 that of access logs.
const (
	layoutLocal  = "Mon Jan _2 15:04:05 2006"
	layoutAccess = "02/Jan/2006:15:04:05 -0700"
)

// written returns when the transaction began.
func (p *Parser) written() (time.Time, error) {
	l := p.line
	if t, err := l.Time(stamp, layoutAccess); err == nil {
		return t, nil
	}
	local, err := l.Time(stamp, layoutLocal)
	if err != nil {
		return time.Time{}, err
	}
	// libmodsecurity's own unique_id begins with the time in seconds since 1970, which says what the zone is. One that
	// the web server chose does not differ from the local time by a zone.
	if id := l.Value(uniqueID); len(id) > 10 {
		if seconds, err := strconv.ParseInt(id[:10], 10, 64); err == nil {
			zone := local.Sub(time.Unix(seconds, 0))
			if zone%(15*time.Minute) == 0 && zone.Abs() <= 14*time.Hour {
				return local.Add(-zone), nil
			}
		}
	}
	return l.TimeIn(stamp, layoutLocal, p.zone)
}
