// Package suricata reads Suricata's EVE JSON log: the event types http, websocket and flow, and anomaly for what it says
// about the others. Suricata watches packets and writes each event when it has seen it: the handshake at its response,
// every frame, the end of the flow.
//
// What it cannot say: a frame's length, a close code, which subprotocol was agreed upon (unless dump-all-headers is on),
// anything within TLS. The source address of a websocket event is no direction: in IDS mode it is that of the packet that
// acknowledged the frame. The mask is: RFC 6455 §5.1 has clients mask and servers not. The time of a frame is that of the
// acknowledging packet too, so no round trip of a ping is computed from it.
//
// The invariant to keep: every websocket event gives one event of the model whether or not the lines before it have been
// read; what is remembered of a flow adds the client's address, the type of a fragmented message and, at its end, who
// closed it.
package suricata

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
	"github.com/sockeye-project/sockeye/source/recent"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "suricata"

// Flows are remembered up to this number, and this long without a line.
const (
	maxFlows = 50_000
	flowLife = 24 * time.Hour
)

// Parser is a [source.Parser] of EVE lines. Make one with [New].
type Parser struct {
	scanner   fields.Scanner
	line      *fields.Line
	emitter   *access.Emitter
	handshake access.Handshake
	paths     access.Paths
	flows     *recent.Map[*flow]
	key       []byte
}

var _ source.Parser = (*Parser)(nil)

// New returns a parser. paths are patterns of the paths that are WebSockets: Suricata logs no Upgrade header of a
// request unless dump-all-headers is on, so a handshake that failed is known by its path or not at all.
func New(s source.Settings, paths []string) *Parser {
	return &Parser{
		scanner: fields.NewJSON(fieldsByName), line: fields.NewLine(names[:]), paths: access.NewPaths(paths),
		emitter: access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
		flows:   recent.New[*flow](maxFlows, flowLife),
	}
}

// flow is what is remembered of one TCP connection.
type flow struct {
	server, client, path, version string
	port, clientPort              int64
	// opened is when the handshake was answered with 101; zero if that line was not read.
	opened time.Time
	// gap is true if Suricata missed packets, so that what was not seen may have been there.
	gap bool
	// first is who sent the first Close frame.
	first string
	// sides are the client and the server.
	sides [2]side
}

type side struct {
	// closes counts Close frames.
	closes, messages int64
	// message is the type of a message whose last frame has not been seen, and frames how many have.
	message string
	frames  int64
}

// whole is true if all that happened on the flow since the handshake has been read.
func (f *flow) whole() bool { return !f.opened.IsZero() && !f.gap }

// Parse implements [source.Parser].
func (p *Parser) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	kind, logged := l.Raw(eventType)
	if !logged {
		return l.Fault(source.MissingField, eventType)
	}
	switch string(kind) {
	case "http", "websocket", "flow", "anomaly":
	default:
		// A tls event proves a TLS connection, not what runs in it, and says nothing of handshakes that failed.
		return source.ErrSkipped
	}
	id, _ := l.Raw(flowID)
	if len(id) == 0 {
		return l.Fault(source.MissingField, flowID)
	}
	p.key = append(append(append(p.key[:0], hostOf(l)...), 0), id...)
	l.Keep()
	h.Reset()
	var err error
	if h.Written, err = l.Time(timestamp, timeLayout); err != nil {
		return err
	}
	switch l.Value(eventType) {
	case "http":
		return p.http(emit)
	case "websocket":
		return p.frame(emit)
	case "flow":
		return p.end(emit)
	}
	return p.anomaly()
}

// timeLayout also reads the fraction of a second.
const timeLayout = "2006-01-02T15:04:05-0700"

func hostOf(l *fields.Line) []byte {
	v, _ := l.Raw(host)
	return v
}

// connectionID hashes the flow's id, which Suricata derives from addresses and start; the sensor's name tells sensors
// apart. A flow becomes at most one WebSocket connection, but a client may try several times before: transaction tells
// those apart.
func (p *Parser) connectionID(transaction string) string {
	m := p.emitter
	m.Begin()
	m.Part("flow", p.key)
	m.Part("tx", []byte(transaction))
	return m.ID()
}

// http reads the handshake's response.
func (p *Parser) http(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	var err error
	if h.Status, err = p.status(); err != nil {
		return err
	}
	h.Upgraded = h.Status == 101
	request, response := headers(l, requestHeaders), headers(l, responseHeaders)
	h.Path, h.Query = access.Target(l.Value(url))
	asked, logged := request["upgrade"], request != nil
	if h.Upgraded && !logged {
		// The custom field "upgrade" is the response's.
		asked = l.Value(upgrade)
		if v := response["upgrade"]; v != "" {
			asked = v
		}
		logged = asked != ""
	}
	switch {
	case logged && !access.OffersWebSocket([]byte(asked)):
		return source.ErrSkipped
	case logged, h.Upgraded:
		// Without a header, that the upgrade was to WebSocket is a conclusion.
		h.Inferred = !logged
	case p.attempt(h.Status):
		h.Inferred = true
	default:
		return source.ErrSkipped
	}
	h.Opened = h.Written
	if h.Status == 0 {
		// That the answer was never seen may be the client's, the server's or the capture's fault.
		h.ErrorType, h.Inferred = event.OtherError, true
	}
	h.Method, h.HTTPVersion = access.Method(l.Value(method)), access.HTTPVersion(l.Value(protocol))
	h.Server, _ = access.Host(l.Value(hostname))
	if h.Port, err = l.Integer(httpPort, fields.MaxPort); err != nil {
		return err
	}
	h.Client = l.Value(srcIP)
	if h.ClientPort, err = l.Integer(srcPort, fields.MaxPort); err != nil {
		return err
	}
	h.UserAgent = l.Value(userAgent)
	h.Key, h.Offered = request["sec-websocket-key"], access.List(request["sec-websocket-protocol"])
	h.TraceID, h.SpanID = access.Traceparent(request["traceparent"])
	h.Subprotocol, h.Extensions = response["sec-websocket-protocol"], access.List(response["sec-websocket-extensions"])
	if h.Upgraded {
		h.ConnectionID = p.connectionID("")
		// Frames that were logged before their handshake have not been counted with it.
		_, before := p.flows.Get(p.key, h.Written)
		p.flows.Put(p.key, h.Written, &flow{
			server: h.Server, port: h.Port, client: h.Client, clientPort: h.ClientPort, path: h.Path,
			version: h.HTTPVersion, opened: h.Written, gap: before,
		})
	} else {
		h.ConnectionID = p.connectionID(l.Value(txID) + " ")
	}
	p.emitter.Emit(h, emit)
	return nil
}

func (p *Parser) attempt(status int) bool {
	how, _ := p.line.Raw(method)
	target, _ := p.line.Raw(url)
	return p.paths.Attempt(nil, how, target, status)
}

// status is absent where Suricata saw no response.
func (p *Parser) status() (int, error) {
	if !p.line.Has(status) {
		return 0, nil
	}
	return p.line.Status(status)
}

// frame reads one frame. A message is an event when its last frame comes; a frame that completes none is an event of its
// own, so that nothing has to be held back.
func (p *Parser) frame(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	op, fin := l.Value(opcode), l.Value(fieldFIN)
	if op == "" {
		return l.Fault(source.MissingField, opcode)
	}
	if fin != "true" && fin != "false" {
		return l.Fault(source.MissingField, fieldFIN)
	}
	if strings.HasPrefix(op, "unknown-") {
		op = "reserved"
	} else if !event.FrameOpcode.Accepts(event.String(op)) {
		return l.Fault(event.ReasonBadValue, opcode)
	}
	f, ok := p.flows.Get(p.key, h.Written)
	if !ok {
		f = &flow{port: -1, clientPort: -1}
		p.flows.Put(p.key, h.Written, f)
	}
	p.about(f)
	last, masked := fin == "true", l.Has(mask)
	s, direction, sender := &f.sides[1], event.DirectionTransmit, event.InitiatorServer
	if masked {
		s, direction, sender = &f.sides[0], event.DirectionReceive, event.InitiatorClient
	}

	message, frames := "", int64(1)
	switch op {
	case "text", "binary":
		s.message, s.frames = op, 1
		message = op
	case "continuation":
		s.frames++
		message, frames = s.message, s.frames
	}
	if message != "" && last {
		s.message = ""
		s.messages++
		e := p.emitter.Event(h, event.Message, h.Written)
		e.SetString(event.Direction, direction)
		e.SetString(event.MessageType, message)
		e.SetInt(event.MessageFrames, frames)
		emit(e)
		return nil
	}

	control, name := false, event.Frame
	switch op {
	case "ping", "pong":
		control, name = true, event.Ping
	case "close":
		// It proves a Close frame, neither its code nor yet the connection's end; that is the flow's event.
		control = true
		if f.first == "" {
			f.first = sender
		}
		s.closes++
	case "reserved":
		name = event.Error
	}
	e := p.emitter.Event(h, name, h.Written)
	e.SetString(event.Direction, direction)
	e.SetString(event.FrameOpcode, op)
	switch name {
	case event.Error:
		e.SetString(event.ErrorType, event.ReservedOpcode)
	case event.Frame:
		e.SetBool(event.FrameFIN, last)
		e.SetBool(event.FrameMasked, masked)
	}
	emit(e)
	if control && !last {
		e = p.emitter.Event(h, event.Error, h.Written)
		e.SetString(event.ErrorType, event.FragmentedControl)
		e.SetString(event.Direction, direction)
		e.SetString(event.FrameOpcode, op)
		emit(e)
	}
	return nil
}

// about takes over what is remembered of a flow.
func (p *Parser) about(f *flow) {
	h := &p.handshake
	h.ConnectionID = p.connectionID("")
	h.Server, h.Port, h.Client, h.ClientPort = f.server, f.port, f.client, f.clientPort
	h.Path, h.HTTPVersion = f.path, f.version
}

// TCP flags, as the hexadecimal fields tcp_flags_ts and tcp_flags_tc have them.
const flagRST = 0x04

// end reads the end of a TCP connection.
func (p *Parser) end(emit func(*event.Event)) (err error) {
	l, h := p.line, &p.handshake
	f, ok := p.flows.Get(p.key, h.Written)
	// Of a connection on which no frame was sent, app_proto is "failed": only the 101 that was read proves it.
	proven := l.Value(appProto) == "websocket" || l.Value(appExpected) == "websocket"
	if !proven && (!ok || f.opened.IsZero()) {
		return source.ErrSkipped
	}
	if !ok {
		f = &flow{port: -1}
	}
	f.client = l.Value(srcIP)
	if f.clientPort, err = l.Integer(srcPort, fields.MaxPort); err != nil {
		return err
	}
	ended := h.Written
	if l.Has(flowEnd) {
		if ended, err = l.Time(flowEnd, timeLayout); err != nil {
			return err
		}
		if ended.After(h.Written) {
			ended = h.Written
		}
	}
	p.about(f)
	client, server := f.sides[0], f.sides[1]
	if server.closes > 1 && client.closes == 0 {
		// An endpoint sends one Close frame (RFC 6455 §5.5.1): the other was of a client that does not mask, so which
		// came first cannot be said.
		client.closes, f.first = 1, event.InitiatorUnknown
	}
	h.Inferred = f.whole() && f.first == ""
	e := p.emitter.Event(h, event.Close, ended)
	byClient, byServer := hasFlag(l.Value(flagsToServer), flagRST), hasFlag(l.Value(flagsToClient), flagRST)
	initiator := f.first
	switch {
	case l.Value(flowState) != "closed":
		// Suricata stopped watching, by its own timeout or because it was stopped; the connection may live on.
		e.SetString(event.ErrorType, event.CaptureEnded)
		initiator = ""
	case client.closes > 0 && server.closes > 0:
		// A reset after both Close frames is a server that closes with unread data.
		e.SetBool(event.CloseClean, true)
	case byClient || byServer:
		e.SetString(event.ErrorType, event.ConnectionReset)
		if byClient != byServer && initiator == "" {
			initiator = event.InitiatorServer
			if byClient {
				initiator = event.InitiatorClient
			}
		}
		if f.whole() {
			e.SetBool(event.CloseClean, false)
		}
	case f.whole():
		e.SetBool(event.CloseClean, false)
		if f.first == "" {
			e.SetString(event.ErrorType, event.ConnectionLost)
		}
	}
	if initiator == "" {
		initiator = event.InitiatorUnknown
	}
	e.SetString(event.CloseInitiator, initiator)
	if f.whole() {
		e.SetInt(event.IOMessagesReceived, client.messages)
		e.SetInt(event.IOMessagesSent, server.messages)
	}
	if d := ended.Sub(f.opened); !f.opened.IsZero() && d >= 0 && d <= event.MaxSeconds*time.Second {
		e.SetDouble(event.ConnectionDuration, d.Seconds())
	}
	emit(e)
	p.flows.Delete(p.key)
	return nil
}

func hasFlag(hex string, flag byte) bool {
	if len(hex) != 2 {
		return false
	}
	digit := hex[1]
	if digit >= 'a' {
		digit -= 'a' - 10
	}
	return digit&flag != 0
}

// anomaly remembers that packets of a flow are missing. None of the other anomalies proves that a peer broke RFC 6455:
// APPLAYER_UNEXPECTED_PROTOCOL comes with connections on which no frame was sent, and the WebSocket parser's own events
// are about its limits.
func (p *Parser) anomaly() error {
	l := p.line
	if l.Value(anomalyType) == "stream" && strings.Contains(l.Value(anomalyEvent), "gap") {
		if f, ok := p.flows.Get(p.key, p.handshake.Written); ok {
			f.gap = true
		}
	}
	return source.ErrSkipped
}

// maxHeaders bounds the list of headers that is looked at.
const maxHeaders = 64 << 10

// headers reads what dump-all-headers adds, a list of {"name", "value"}, by names in lower case; nil if there is none.
func headers(l *fields.Line, f fields.ID) map[string]string {
	raw, _ := l.Raw(f)
	if len(raw) == 0 || len(raw) > maxHeaders || raw[0] != '[' {
		return nil
	}
	var list []struct{ Name, Value string }
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&list) != nil {
		return nil
	}
	m := make(map[string]string, len(list))
	for _, h := range list {
		name := strings.ToLower(h.Name)
		if v, twice := m[name]; twice {
			h.Value = v + "," + h.Value
		}
		m[name] = source.Text(h.Value)
	}
	return m
}
