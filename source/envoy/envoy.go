// Package envoy reads Envoy's access logs: the default text format, with response code details or as Istio has it, any
// format string, and JSON. Envoy writes a line when a request has ended, so a WebSocket connection leaves one line, at its
// close; told to flush when a tunnel is established, it writes another at the open, and %ACCESS_LOG_TYPE% tells them
// apart.
//
// Response flags and details tell who ended a connection and why. Envoy sees no frames of WebSockets, so there is never a
// close code; the bytes that it counts after the handshake are those of frames.
package envoy

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
const SourceType = "envoy"

// Parser is a [source.Parser] and [source.Adviser] of Envoy's access logs. Make one with [New].
type Parser struct {
	// formats are those that a line may follow; the one that the last line followed is first.
	formats []*format
	// json reads lines whose format nobody has given, by the usual keys; nil where one has been given.
	json  *format
	line  *fields.Line
	paths access.Paths

	// since is when the first line was written; see openKnown.
	since time.Time
	tunnel

	atOpen, atClose *access.Emitter
	handshake       access.Handshake
}

// tunnel is what is known about whether the writer flushes when a tunnel is established.
type tunnel int

const (
	unknown tunnel = iota
	flushed
	never
)

var (
	_ source.Parser  = (*Parser)(nil)
	_ source.Adviser = (*Parser)(nil)
)

// New returns a parser. template is text_format or json_format as it stands in Envoy's configuration; "" is Envoy's
// default, that with details, Istio's, or JSON with the usual keys. paths are those that are WebSockets, for formats
// without the Upgrade header.
func New(s source.Settings, template string, paths []string) (*Parser, error) {
	p := &Parser{
		line: newLine(), paths: access.NewPaths(paths),
		atOpen:  access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
		atClose: access.NewEmitter(s, SourceType, event.VisibilityAtClose),
	}
	zone := s.TimeZone()
	if strings.TrimSpace(template) != "" {
		f, err := compile(template, zone)
		if err != nil {
			return nil, err
		}
		if err := f.faults(); err != nil {
			return nil, err
		}
		p.formats = []*format{f}
		return p, nil
	}
	for _, text := range builtIn {
		f, err := compile(text, zone)
		if err != nil {
			return nil, err
		}
		p.formats = append(p.formats, f)
	}
	p.json = &format{scanner: fields.NewJSON(keys), start: access.RFC3339, unit: time.Millisecond}
	return p, nil
}

// Advice implements [source.Adviser].
func (p *Parser) Advice() []string {
	if len(p.paths) > 0 && len(p.formats) == 1 {
		f := *p.formats[0]
		f.has[upgrade] = true
		return f.advise()
	}
	return p.formats[0].advise()
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	f, err := p.scan(data)
	if err != nil {
		return err
	}
	h.Reset()
	if kind, _ := l.Raw(logType); !relevant(kind) {
		return source.ErrSkipped
	}
	if reason, _ := l.Raw(tlsFailure); len(reason) > 0 {
		if verb, _ := l.Raw(method); len(verb) == 0 {
			h.ErrorType, h.Inferred = event.TLSFailed, true
		}
	}
	if h.ErrorType == "" {
		if h.Status, err = l.Status(status); err != nil {
			return err
		}
		if err := p.outcome(h); err != nil {
			return err
		}
	}
	l.Keep()
	if err := p.fill(f, h); err != nil {
		return err
	}
	m := p.atClose
	if p.tunnel == flushed {
		m = p.atOpen
	}
	h.ConnectionID = p.connectionID(m)
	m.Emit(h, emit)
	return nil
}

// scan reads a line by the format that it follows.
func (p *Parser) scan(data []byte) (*format, error) {
	if p.json != nil && len(data) > 0 && data[0] == '{' {
		return p.json, p.json.scanner.Scan(data, p.line)
	}
	var first error
	for i, f := range p.formats {
		err := f.scanner.Scan(data, p.line)
		if err == nil && (len(p.formats) == 1 || p.plausible()) {
			p.formats[0], p.formats[i] = p.formats[i], p.formats[0]
			return f, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errOtherFormat
	}
	return nil, first
}

var errOtherFormat error = &source.Error{Reason: source.OtherFormat}

// plausible reports whether numbers stand where one of the formats without a template has them: a line can follow more
// than one of them.
func (p *Parser) plausible() bool {
	l := p.line
	for _, f := range [...]fields.ID{status, bytesReceived, bytesSent, duration} {
		v, _ := l.Raw(f)
		for _, c := range v {
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	v, logged := l.Raw(details)
	return !logged || len(v) == 0 || v[0] < '0' || v[0] > '9'
}

// The kinds of line that %ACCESS_LOG_TYPE% tells apart.
var (
	established = []byte("DownstreamTunnelSuccessfullyEstablished")
	ended       = []byte("DownstreamEnd")
	notSet      = []byte("NotSet")
)

// relevant reports whether a line of that kind says how a handshake or a connection ended.
func relevant(kind []byte) bool {
	return len(kind) == 0 || bytes.Equal(kind, established) || bytes.Equal(kind, ended) || bytes.Equal(kind, notSet)
}

// outcome decides whether the line is about a WebSocket at all, and whether the handshake succeeded.
func (p *Parser) outcome(h *access.Handshake) error {
	l := p.line
	verb, _ := l.Raw(method)
	asked, logged := l.Raw(upgrade)
	if extended, has := l.Raw(connectProtocol); has && string(verb) == "CONNECT" {
		// RFC 8441: over HTTP/2 and 3 the handshake is an extended CONNECT, and its success is 200.
		if !access.OffersWebSocket(extended) {
			return source.ErrSkipped
		}
		h.Upgraded = h.Status == 200 || h.Status == 101
		return nil
	}
	h.Upgraded = h.Status == 101
	if logged {
		if !access.OffersWebSocket(asked) {
			return source.ErrSkipped
		}
		return nil
	}
	h.Inferred = true
	if h.Upgraded {
		return nil
	}
	target, _ := l.Raw(originalPath)
	if len(target) == 0 {
		target, _ = l.Raw(path)
	}
	if p.paths.Attempt(nil, verb, target, h.Status) {
		return nil
	}
	return source.ErrSkipped
}

// fill reads what the line says about the handshake and the connection.
func (p *Parser) fill(f *format, h *access.Handshake) (err error) {
	l := p.line
	if h.Opened, err = f.start.Read(l, startTime); err != nil {
		return err
	}
	took, err := l.Duration(duration, f.unit)
	if err != nil {
		return err
	}
	h.Written = h.Opened.Add(max(took, 0))
	if h.Upgraded {
		if err := p.connection(h, took); err != nil {
			return err
		}
	} else {
		h.Handshake = took
	}
	p.causes(h)

	target := l.Value(originalPath)
	if target == "" {
		target = l.Value(path)
	}
	h.Path, h.Query = access.Target(target)
	h.Method, h.HTTPVersion = access.Method(l.Value(method)), access.HTTPVersion(l.Value(protocol))
	name := l.Value(authority)
	if name == "" {
		name = l.Value(host)
	}
	h.Server, h.Port = access.Host(name)
	h.Client, h.ClientPort = access.Host(l.Value(remoteAddress))
	if h.ClientPort < 0 {
		if h.ClientPort, err = l.Integer(remotePort, fields.MaxPort); err != nil {
			return err
		}
	}
	h.TLSVersion = access.TLSVersion(l.Value(tlsVersion))
	switch {
	case h.TLSVersion != "":
		h.Scheme = "wss"
	case l.Value(forwardedProto) != "":
		h.Scheme = access.Scheme(l.Value(forwardedProto))
	default:
		h.Scheme = access.Scheme(l.Value(scheme))
	}
	h.UserAgent, h.Key = l.Value(userAgent), l.Value(websocketKey)
	h.Offered, h.Subprotocol = access.List(l.Value(offered)), l.Value(subprotocol)
	h.Extensions = access.List(l.Value(extensions))
	h.TraceID, h.SpanID = access.Traceparent(l.Value(traceparent))
	return nil
}

// connection reads the times and bytes of a connection, and decides which of its events the line tells.
func (p *Parser) connection(h *access.Handshake, took time.Duration) (err error) {
	l := p.line
	if h.Handshake, err = l.Duration(responseDuration, time.Millisecond); err != nil {
		return err
	}
	if h.Handshake < 0 {
		if h.Handshake, err = l.Duration(upstreamServiceTime, time.Millisecond); err != nil {
			return err
		}
	}
	kind := l.Value(logType)
	if kind == string(established) {
		p.tunnel = flushed
		return nil
	}
	if kind == string(ended) {
		h.OpenKnown = p.openKnown(h)
	}
	if took < 0 {
		if h.OpenKnown {
			h.Closed = h.Written
		}
		return nil
	}
	h.Closed, h.Connection = h.Written, took
	if h.Received, err = l.Integer(bytesReceived, fields.MaxInteger); err != nil {
		return err
	}
	h.Sent, err = l.Integer(bytesSent, fields.MaxInteger)
	return err
}

// openKnown reports whether an earlier line has told of the open of a connection whose end the line tells. Lines come in
// order: if no line told of the open of a connection that began after the first line was written, none ever does. Until
// that is known, an open may be in a line read before a restart, and is not told twice.
func (p *Parser) openKnown(h *access.Handshake) bool {
	if p.since.IsZero() {
		p.since = h.Written
	}
	if p.tunnel == unknown && h.Opened.After(p.since) {
		p.tunnel = never
	}
	return p.tunnel != never
}

// cause is what a flag or a detail says about the end of a connection and of a handshake.
type cause struct {
	initiator, closeError, rejection string
	limited                          bool
}

// flagCauses are by %RESPONSE_FLAGS% and %RESPONSE_FLAGS_LONG%. What a status says better is left to it.
var flagCauses = map[string]cause{
	"DC":    {initiator: event.InitiatorClient},
	"DR":    {initiator: event.InitiatorClient, closeError: event.ConnectionReset},
	"DPE":   {initiator: event.InitiatorProxy, closeError: event.OtherError, rejection: event.BadHandshake},
	"SI":    {initiator: event.InitiatorProxy, closeError: event.IdleTimeout},
	"UC":    {initiator: event.InitiatorServer, closeError: event.UpstreamLost, rejection: event.UpstreamUnavailable},
	"UR":    {initiator: event.InitiatorServer, closeError: event.UpstreamLost, rejection: event.UpstreamUnavailable},
	"UPE":   {initiator: event.InitiatorServer, closeError: event.UpstreamLost, rejection: event.UpstreamUnavailable},
	"UF":    {rejection: event.UpstreamUnavailable},
	"UH":    {rejection: event.UpstreamUnavailable},
	"UO":    {rejection: event.UpstreamUnavailable},
	"URX":   {rejection: event.UpstreamUnavailable},
	"UT":    {initiator: event.InitiatorProxy, closeError: event.OtherError, rejection: event.UpstreamTimeout},
	"UMSDR": {initiator: event.InitiatorProxy, closeError: event.OtherError, rejection: event.UpstreamTimeout},
	"DT":    {initiator: event.InitiatorProxy},
	"LR":    {initiator: event.InitiatorProxy},
	"OM":    {initiator: event.InitiatorProxy, closeError: event.OtherError, rejection: event.UpstreamUnavailable},
	"RL":    {limited: true},
	"IH":    {rejection: event.BadHandshake},
}

// longFlags are the long names of flags.
var longFlags = map[string]string{
	"DownstreamConnectionTermination": "DC", "DownstreamRemoteReset": "DR", "DownstreamProtocolError": "DPE",
	"StreamIdleTimeout": "SI", "UpstreamConnectionTermination": "UC", "UpstreamRemoteReset": "UR",
	"UpstreamProtocolError": "UPE", "UpstreamConnectionFailure": "UF", "NoHealthyUpstream": "UH", "UpstreamOverflow": "UO",
	"UpstreamRetryLimitExceeded": "URX", "UpstreamRequestTimeout": "UT", "UpstreamMaxStreamDurationReached": "UMSDR",
	"DurationTimeout": "DT", "LocalReset": "LR", "OverloadManagerTerminated": "OM", "OverloadManager": "OM",
	"RateLimited": "RL", "InvalidEnvoyRequestHeaders": "IH",
}

// detailCauses are by the beginning of %RESPONSE_CODE_DETAILS%.
var detailCauses = []struct {
	prefix string
	cause
}{
	{"downstream_remote_disconnect", cause{initiator: event.InitiatorClient}},
	{"http2.remote_reset", cause{initiator: event.InitiatorClient, closeError: event.ConnectionReset}},
	{"http3.remote_reset", cause{initiator: event.InitiatorClient, closeError: event.ConnectionReset}},
	{"stream_idle_timeout", cause{initiator: event.InitiatorProxy, closeError: event.IdleTimeout}},
	{"max_duration_timeout", cause{initiator: event.InitiatorProxy}},
	{"downstream_local_disconnect", cause{initiator: event.InitiatorProxy}},
	{"upstream_reset_after_response_started", cause{initiator: event.InitiatorServer, closeError: event.UpstreamLost}},
	{"ext_authz_error", cause{rejection: event.UpstreamUnavailable}},
	{"local_rate_limited", cause{limited: true}},
	{"request_rate_limited", cause{limited: true}},
}

// causes reads flags and details.
func (p *Parser) causes(h *access.Handshake) {
	if h.ErrorType != "" {
		return
	}
	var found cause
	rest := p.line.Value(flags)
	for rest != "" {
		var flag string
		flag, rest, _ = strings.Cut(rest, ",")
		if short, ok := longFlags[flag]; ok {
			flag = short
		}
		found.add(flagCauses[flag])
	}
	if text := p.line.Value(details); text != "" {
		for i := range detailCauses {
			if strings.HasPrefix(text, detailCauses[i].prefix) {
				found.add(detailCauses[i].cause)
				break
			}
		}
	}
	if h.Upgraded {
		h.Initiator, h.CloseError = found.initiator, found.closeError
		return
	}
	h.ErrorType, h.Limited = found.rejection, found.limited
}

// add takes from o what c does not say yet.
func (c *cause) add(o cause) {
	if c.initiator == "" {
		c.initiator = o.initiator
	}
	if c.closeError == "" {
		c.closeError = o.closeError
	}
	if c.rejection == "" {
		c.rejection = o.rejection
	}
	c.limited = c.limited || o.limited
}

// connectionID hashes what tells connections apart, and what the line at the open and that at the close have in common.
// A client may choose its request id, so it does not stand alone.
func (p *Parser) connectionID(m *access.Emitter) string {
	m.Begin()
	if id, _ := p.line.Raw(streamID); len(id) > 0 {
		m.Part("stream", id)
		return m.ID()
	}
	for _, part := range [...]struct {
		name  string
		field fields.ID
	}{
		{"request", requestID}, {"start", startTime}, {"address", remoteAddress}, {"port", remotePort},
		{"authority", authority}, {"path", path}, {"key", websocketKey},
	} {
		value, _ := p.line.Raw(part.field)
		m.Part(part.name, value)
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
		_, err := p.scan(line)
		return err == nil && p.line.Has(startTime) && p.line.Has(status) && p.line.Has(flags)
	}
}
