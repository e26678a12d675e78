// Package socketio reads what Socket.IO servers log: [App] reads an application's own log of Socket.IO's events as JSON,
// one object a line; [Debug] reads the lines that DEBUG=engine*,socket.io* writes.
//
// Socket.IO stands above the WebSocket: it has sessions, which may use HTTP long-polling too, and reasons instead of Close
// frames. So there is never a close code, and most is inferred. The id of the application's log (socket.id) and that of
// the engine's lines (sid) differ although they are of one connection: read one of the two logs, or each connection counts
// twice.
//
// The invariant to keep: packets hold tokens and what people write to one another; nothing of a packet leaves this
// package.
package socketio

import (
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
	"github.com/sockeye-project/sockeye/source/recent"
)

// SourceType is the websocket.source.type of every event of this package.
const SourceType = "socketio"

// The fields of a line of the application's log.
const (
	message fields.ID = iota
	timeField
	id
	address
	reason
	detail
	code
	url
	errText
	transport
	namespace
	fieldCount
)

var keys = [fieldCount][]string{
	message:   {"msg", "event"},
	timeField: {"time", "timestamp", "@timestamp", "ts"},
	id:        {"id", "socketId", "socket_id", "socket.id"},
	address:   {"ip", "address", "handshake.address", "remoteAddress"},
	reason:    {"reason"},
	detail:    {"detail", "details", "description"},
	code:      {"code"},
	url:       {"url", "req.url"},
	errText:   {"err", "err.message", "error", "error.message"},
	transport: {"transport", "conn.transport.name"},
	namespace: {"nsp", "namespace"},
}

// Sessions are remembered up to this number, and this long.
const (
	maxSessions = 50_000
	sessionLife = 48 * time.Hour
)

type session struct {
	opened  time.Time
	polling bool
}

// App is a [source.Parser] of an application's log. Make one with [NewApp].
type App struct {
	scanner   fields.Scanner
	line      *fields.Line
	emitter   *access.Emitter
	handshake access.Handshake
	now       func() time.Time
	// whenRead is true where now is when a line was read: apart from that of another line it proves no duration.
	whenRead bool
	sessions *recent.Map[session]
}

var _ source.Parser = (*App)(nil)

// NewApp returns a parser.
func NewApp(s source.Settings) *App {
	return &App{
		scanner: fields.NewJSON(fields.ByName(keys[:], 0)), line: fields.NewLineOf(keys[:]), now: clock(s),
		whenRead: s.Now == nil,
		emitter:  access.NewEmitter(s, SourceType, event.VisibilityAtOpen),
		sessions: recent.New[session](maxSessions, sessionLife),
	}
}

func clock(s source.Settings) func() time.Time {
	if s.Now != nil {
		return s.Now
	}
	return time.Now
}

// Parse implements [source.Parser].
func (p *App) Parse(data []byte, emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	if err := p.scanner.Scan(data, l); err != nil {
		return err
	}
	name, _ := l.Raw(message)
	var read func(*App, func(*event.Event)) error
	switch string(name) {
	case "connection", "connect", "connected":
		read = (*App).connection
	case "upgrade", "upgraded":
		read = (*App).upgrade
	case "disconnect", "disconnected":
		read = (*App).disconnect
	case "connect_error":
		read = (*App).connectError
	case "connection_error":
		read = (*App).connectionError
	default:
		return source.ErrSkipped
	}
	l.Keep()
	h.Reset()
	h.Inferred = true
	var err error
	if h.Written, err = p.written(); err != nil {
		return err
	}
	h.Opened = h.Written
	h.Client, h.ClientPort = access.Host(l.Value(address))
	if nsp := l.Value(namespace); nsp != "" && nsp != "/" {
		// One connection may serve many namespaces.
		return source.ErrSkipped
	}
	p.emitter.Begin()
	if v, _ := l.Raw(id); len(v) > 0 {
		p.emitter.Part("socket", v)
	} else {
		// What failed has no session; the line and its time stand for it.
		p.emitter.Part("line", data)
		p.emitter.PartTime(h.Written)
	}
	h.ConnectionID = p.emitter.ID()
	return read(p, emit)
}

// written returns the line's time, in one of the forms that loggers of Node.js write, or that of reading.
func (p *App) written() (time.Time, error) {
	l := p.line
	switch v := l.Value(timeField); {
	case v == "":
		return p.now().UTC(), nil
	case strings.IndexByte(v, 'T') > 0:
		return l.Time(timeField, time.RFC3339)
	case len(v) == 13 && strings.IndexByte(v, '.') < 0:
		return l.Unix(timeField, time.Millisecond)
	}
	return l.Unix(timeField, time.Second)
}

func (p *App) needID() ([]byte, error) {
	if v, _ := p.line.Raw(id); len(v) > 0 {
		return v, nil
	}
	return nil, p.line.Fault(source.MissingField, id)
}

// connection reads that a session began. Over which transport is said only where the application logs it.
func (p *App) connection(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	key, err := p.needID()
	if err != nil {
		return err
	}
	polling := l.Value(transport) == "polling"
	p.sessions.Put(key, h.Written, session{h.Written, polling})
	if polling {
		return source.ErrSkipped
	}
	h.Inferred = l.Value(transport) != "websocket"
	h.Upgraded, h.Status = true, 101
	p.emitter.Emit(h, emit)
	return nil
}

// upgrade reads that a session went over from long-polling to a WebSocket.
func (p *App) upgrade(emit func(*event.Event)) error {
	h := &p.handshake
	key, err := p.needID()
	if err != nil {
		return err
	}
	p.sessions.Put(key, h.Written, session{opened: h.Written})
	h.Upgraded, h.Status = true, 101
	p.emitter.Emit(h, emit)
	return nil
}

func (p *App) disconnect(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	key, err := p.needID()
	if err != nil {
		return err
	}
	s, known := p.sessions.Get(key, h.Written)
	p.sessions.Delete(key)
	if s.polling || l.Value(transport) == "polling" {
		return source.ErrSkipped
	}
	why, more := l.Value(reason), l.Value(detail)
	closing := endOf(why)
	switch {
	case why == "transport error" && strings.Contains(more, "Max payload size exceeded"):
		// ws, below engine.io, answers such a message with 1009 and ends the connection.
		e := p.emitter.Event(h, event.Error, h.Written)
		e.SetString(event.ErrorType, event.MessageTooBig)
		e.SetString(event.Direction, event.DirectionReceive)
		emit(e)
		closing.initiator = event.InitiatorServer
	case why == "transport error" && strings.Contains(more, "ECONNRESET"):
		closing.initiator, closing.errorType = event.InitiatorClient, event.ConnectionReset
	case why == "parse error":
		// A packet that is none of Socket.IO's.
		e := p.emitter.Event(h, event.MessageRejected, h.Written)
		e.SetString(event.ErrorType, event.SchemaInvalid)
		e.SetString(event.Direction, event.DirectionReceive)
		emit(e)
	}
	e := p.emitter.Event(h, event.Close, h.Written)
	closing.set(e)
	timed := l.Value(timeField) != "" || !p.whenRead
	if d := h.Written.Sub(s.opened); known && timed && d >= 0 {
		e.SetDouble(event.ConnectionDuration, d.Seconds())
	}
	emit(e)
	return nil
}

// connectError reads that a middleware refused a namespace. The WebSocket itself has been opened and stays so.
func (p *App) connectError(emit func(*event.Event)) error {
	h := &p.handshake
	errorType := refusal(p.line.Value(errText))
	if errorType == "" {
		return source.ErrSkipped
	}
	e := p.emitter.Event(h, event.Auth, h.Written)
	e.SetString(event.AuthResult, event.AuthFailure)
	e.SetString(event.ErrorType, errorType)
	emit(e)
	return nil
}

// forbidden is the code of engine.io's connection_error for a request that allowRequest refused; the others are about
// requests that engine.io does not understand.
const forbidden = 4

// connectionError reads that engine.io refused a request.
func (p *App) connectionError(emit func(*event.Event)) error {
	l, h := p.line, &p.handshake
	h.Path, h.Query = access.Target(l.Value(url))
	over := l.Value(transport)
	if over == "" {
		over = transportOf(h.Query)
	}
	if over != "" && over != "websocket" {
		return source.ErrSkipped
	}
	n, err := l.Integer(code, 1000)
	if err != nil {
		return err
	}
	h.Inferred = over == ""
	h.ErrorType = event.BadHandshake
	if n == forbidden {
		h.ErrorType = event.Forbidden
	}
	p.emitter.Emit(h, emit)
	return nil
}

// transportOf returns the transport that the query of a request names, or "".
func transportOf(query string) string {
	for parameter := range strings.SplitSeq(query, "&") {
		if v, ok := strings.CutPrefix(parameter, "transport="); ok {
			return v
		}
	}
	return ""
}

// AppFits returns what says whether a line is about a connection of Socket.IO.
func AppFits() func(line []byte) bool {
	p := NewApp(source.Settings{})
	ignore := func(*event.Event) {}
	return func(line []byte) bool { return p.Parse(line, ignore) == nil }
}
