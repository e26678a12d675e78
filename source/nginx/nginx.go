// Package nginx reads nginx access logs whose log_format is one JSON object a line, keyed by nginx's variable names or
// their usual short forms. nginx writes a line when a request has ended, so a WebSocket connection leaves one line, at
// its close: it proves the open, the close, the duration and the bytes to the client.
//
// It reads no error log, so an idle timeout or a reset is not told apart from a clean end; nginx sees no frames, so
// there is never a close code, an initiator or a count of messages; and $request_length excludes frames, so the bytes
// from the client are unknown.
//
// The invariant to keep: the fields of a line are spans of that line until it is known to be about a WebSocket, so
// that the other lines of a busy log cost one pass and no memory.
package nginx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "nginx"

// Parser is a [source.Parser] of nginx JSON access logs. Make one with [NewParser].
type Parser struct {
	settings source.Settings
	mac      hash.Hash
	// keyMAC is for Sec-WebSocket-Key, where the format logs it.
	keyMAC hash.Hash

	line line
	// common has what all events of the line have; event is the one that is emitted.
	common, event event.Event
	sum           [sha256.Size]byte
	hex           [2 * idBytes]byte
}

// idBytes is how much of an HMAC-SHA256 an id keeps: 128 bits never collide by chance and are not worth guessing.
const idBytes = 16

var _ source.Parser = (*Parser)(nil)

// NewParser returns a parser.
func NewParser(s source.Settings) *Parser {
	if s.Vantage == "" {
		s.Vantage = event.VantageEdge
	}
	return &Parser{
		settings: s,
		mac:      hmac.New(sha256.New, s.ConnectionKey),
		keyMAC:   hmac.New(sha256.New, s.HandshakeKey),
	}
}

// facts are what a line says about one handshake, in the forms that events want.
type facts struct {
	written, opened time.Time
	status          int
	// duration is $request_time in nanoseconds, or -1.
	duration int64
	// evidence is inferred where the format does not log $http_upgrade.
	evidence     string
	connectionID string
	httpVersion  string
	host         string
	port         int64
	path, query  string
	clientPort   int64
	traceID      [16]byte
	spanID       [8]byte
}

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l := &p.line
	if err := l.scan(data); err != nil {
		return err
	}
	status, err := l.status()
	if err != nil {
		return err
	}
	upgrade, logged := l.raw(httpUpgrade)
	switch {
	case logged && !offersWebSocket(upgrade):
		return source.ErrSkipped
	case !logged && status != 101:
		// Without $http_upgrade an attempt that failed looks like any other request.
		return source.ErrSkipped
	}
	l.keep()

	f := facts{status: status, evidence: event.EvidenceObserved}
	if !logged {
		// nginx relays 101 only to a client that asked for an upgrade; that it was to a WebSocket is a conclusion.
		f.evidence = event.EvidenceInferred
	}
	if err := p.fill(&f); err != nil {
		return err
	}
	p.prepare(&f)
	if status == 101 {
		return p.connection(&f, emit)
	}
	return p.rejection(&f, emit)
}

// fill reads what every event of the line needs.
func (p *Parser) fill(f *facts) (err error) {
	l := &p.line
	if f.written, err = l.written(); err != nil {
		return err
	}
	if f.duration, err = l.seconds(requestTime); err != nil {
		return err
	}
	f.opened = f.written
	if f.duration > 0 {
		f.opened = f.written.Add(-time.Duration(f.duration))
	}
	if f.clientPort, err = l.integer(remotePort, maxPort); err != nil {
		return err
	}
	f.httpVersion = httpVersionOf(l.protocol())
	f.host, f.port = l.server()
	f.path, f.query = l.target()
	f.traceID, f.spanID = l.trace()
	f.connectionID = p.connectionID(f)
	return nil
}

// connection emits the open and the close of a connection that has ended.
func (p *Parser) connection(f *facts, emit func(*event.Event)) error {
	l := &p.line
	sent, err := l.integer(bodyBytesSent, maxInt)
	if err != nil {
		return err
	}
	e := p.begin(event.Open, f.opened)
	e.SetInt(event.HTTPResponseStatusCode, int64(f.status))
	// Several upstreams were tried where the value is a list; then no one number is the handshake's.
	if d, ok := parseSeconds(l.value(upstreamHeaderTime)); ok {
		e.SetDouble(event.HandshakeDuration, seconds(d))
	}
	p.request(e)
	subprotocol := l.value(sentProtocol)
	source.SetString(e, event.Subprotocol, subprotocol)
	setList(e, event.Extensions, l.value(sentExtensions))
	emit(e)

	e = p.begin(event.Close, f.written)
	e.SetString(event.CloseInitiator, event.InitiatorUnknown)
	if f.duration >= 0 {
		e.SetDouble(event.ConnectionDuration, seconds(f.duration))
	}
	if sent >= 0 {
		// Of an upgraded connection nginx counts the relayed bytes as the body: exactly the frames to the client.
		e.SetInt(event.IOSent, sent)
	}
	source.SetString(e, event.Subprotocol, subprotocol)
	emit(e)
	return nil
}

// rejection emits what a handshake that was not answered with 101 proves.
func (p *Parser) rejection(f *facts, emit func(*event.Event)) error {
	l := &p.line
	errorType := event.RejectionFor(f.status)
	// limit_req and limit_conn answer 503 unless told otherwise; their own variables say who refused.
	limited := l.value(limitReqStatus) == "REJECTED" || l.value(limitConnStatus) == "REJECTED"
	if limited {
		errorType = event.TypeRateLimited
	}
	e := p.begin(event.HandshakeRejected, f.written)
	if f.status != 0 {
		e.SetInt(event.HTTPResponseStatusCode, int64(f.status))
	}
	e.SetString(event.ErrorType, errorType)
	if f.duration >= 0 {
		e.SetDouble(event.HandshakeDuration, seconds(f.duration))
	}
	p.request(e)
	emit(e)

	switch {
	case errorType == event.TypeRateLimited:
		e = p.begin(event.RateLimited, f.written)
		e.SetString(event.RateLimitScope, event.ScopeHandshake)
		e.SetInt(event.HTTPResponseStatusCode, int64(f.status))
		if !limited {
			e.SetString(event.SourceEvidence, event.EvidenceInferred)
		}
		emit(e)
	case f.status == 401:
		// 403 is no failure of authentication: who it was may be known very well.
		e = p.begin(event.Auth, f.written)
		e.SetString(event.AuthResult, event.AuthFailure)
		e.SetString(event.ErrorType, event.Unauthenticated)
		e.SetString(event.SourceEvidence, event.EvidenceInferred)
		emit(e)
	}
	return nil
}

// begin starts the next event of a line.
func (p *Parser) begin(name event.Name, at time.Time) *event.Event {
	e := &p.event
	e.CopyFrom(&p.common)
	e.Name, e.Time = name, at
	return e
}

// prepare sets what all events of a line have in common.
func (p *Parser) prepare(f *facts) {
	l, e := &p.line, &p.common
	e.Reset()
	e.Observed, e.TraceID, e.SpanID, e.Resource = f.written, f.traceID, f.spanID, p.settings.Resource

	e.SetString(event.ConnectionID, f.connectionID)
	e.SetString(event.Vantage, p.settings.Vantage)
	e.SetString(event.SourceVisibility, event.VisibilityAtClose)
	e.SetString(event.SourceType, SourceType)
	e.SetString(event.SourceEvidence, f.evidence)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	if f.httpVersion != "" {
		e.SetString(event.HTTPVersion, f.httpVersion)
		transport := "tcp"
		if f.httpVersion == "3" {
			transport = "quic"
		}
		e.SetString(event.NetworkTransport, transport)
	}
	source.SetString(e, event.ServerAddress, f.host)
	if f.port >= 0 {
		e.SetInt(event.ServerPort, f.port)
	}
	// Of a UNIX socket nginx logs "unix:", which is nobody's address.
	if address := l.value(remoteAddr); address != "unix:" {
		source.SetString(e, event.ClientAddress, address)
	}
	if f.clientPort > 0 {
		e.SetInt(event.ClientPort, f.clientPort)
	}
	switch l.value(scheme) {
	case "http", "ws":
		e.SetString(event.URLScheme, "ws")
	case "https", "wss":
		e.SetString(event.URLScheme, "wss")
	}
	source.SetString(e, event.URLPath, f.path)
	source.SetString(e, event.URLQuery, f.query)
	if version, ok := strings.CutPrefix(l.value(sslProtocol), "TLSv"); ok {
		source.SetString(e, event.TLSProtocolVersion, version)
	}
}

// request sets what only the events of the handshake itself may carry.
func (p *Parser) request(e *event.Event) {
	l := &p.line
	source.SetString(e, event.HTTPRequestMethod, l.method())
	source.SetString(e, event.UserAgentOriginal, l.value(userAgent))
	setList(e, event.ClientSubprotocols, l.value(clientProtocol))
	if key := l.value(websocketKey); key != "" {
		p.keyMAC.Reset()
		p.keyMAC.Write([]byte(key))
		e.SetString(event.HandshakeKeyHash, string(p.digest(p.keyMAC)))
	}
}

// connectionID hashes nginx's own id of the request, or what else tells connections apart. Each part begins with its
// name, so that no two ways to build an id give the same.
func (p *Parser) connectionID(f *facts) string {
	l, m := &p.line, p.mac
	m.Reset()
	if id, _ := l.raw(requestID); len(id) > 0 {
		p.part("request_id", requestID)
		return string(p.digest(m))
	}
	p.part("connection", connection)
	p.part("remote_addr", remoteAddr)
	p.part("remote_port", remotePort)
	p.part("server_addr", serverAddr)
	p.part("server_port", serverPort)
	p.part("request_uri", requestURI)
	var opened [8]byte
	ns := f.opened.UnixNano()
	for i := range opened {
		opened[i] = byte(ns >> (8 * i))
	}
	m.Write(append(p.sum[:0], opened[:]...))
	return string(p.digest(m))
}

func (p *Parser) part(name string, f field) {
	value, _ := p.line.raw(f)
	if len(value) == 0 {
		return
	}
	p.mac.Write(append(p.sum[:0], name...))
	p.mac.Write(zero)
	p.mac.Write(value)
	p.mac.Write(zero)
}

var zero = []byte{0}

// digest returns the hex form of the first bytes of h's sum; it belongs to p.
func (p *Parser) digest(h hash.Hash) []byte {
	hex.Encode(p.hex[:], h.Sum(p.sum[:0])[:idBytes])
	return p.hex[:]
}

func seconds(ns int64) float64 { return float64(ns) / float64(time.Second) }

// setList splits a header's comma-separated list (RFC 9110 §5.6.1).
func setList(e *event.Event, k event.Key, header string) {
	if header == "" {
		return
	}
	list := make([]string, 0, 1+strings.Count(header, ","))
	for item := range strings.SplitSeq(header, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	if len(list) > 0 {
		e.SetStrings(k, list...)
	}
}
