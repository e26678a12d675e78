package socketio

import (
	"bytes"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
)

// Debug is a [source.Parser] of the lines that DEBUG=engine*,socket.io* writes to a file: "TIME NAMESPACE text". Make one
// with [NewDebug].
//
// Only the line of a handshake has an id. That a session was refused or ended can be said of one session only while there
// is no other and the log has been read since the server started; otherwise an end is not told. Lines about packets hold
// payloads and no id, so they are not read.
type Debug struct {
	emitter   *access.Emitter
	handshake access.Handshake

	// whole is true since the line of a server's start.
	whole bool
	// alive is how many sessions there are; sid is the one, if it is the only one since alive was 0.
	alive int
	sid   []byte
	// left is true if the client asked to leave, refused if a middleware refused it.
	left, refused bool
	// path and query are those of the last request that engine.io described.
	path, query string
}

var _ source.Parser = (*Debug)(nil)

// NewDebug returns a parser.
func NewDebug(s source.Settings) *Debug {
	return &Debug{emitter: access.NewEmitter(s, SourceType, event.VisibilityAtOpen)}
}

// maxDebugLine is longer than any line that is read; the others hold packets.
const maxDebugLine = 4096

var (
	errNoTime  error = &source.Error{Reason: source.BadTime, Field: "time"}
	handling         = []byte(`handling "GET" http request "`)
	shaking          = []byte(`handshaking client "`)
	closed           = []byte("client close with reason ")
	middleware       = []byte("middleware error")
	newServer        = []byte("creating engine.io instance")
	refusals         = [][]byte{[]byte("invalid transport upgrade"), []byte("unknown transport"), []byte("unknown sid"),
		[]byte("bad request"), []byte("invalid origin"), []byte("unsupported protocol version")}
)

// Parse implements [source.Parser].
func (p *Debug) Parse(data []byte, emit func(*event.Event)) error {
	stamp, rest, ok := bytes.Cut(data[:min(len(data), maxDebugLine)], []byte{' '})
	if !ok || len(stamp) > len("2026-11-22T07:24:17.030123456+00:00") || len(stamp) < len("2026-11-22T07:24:17Z") {
		return errNoTime
	}
	from, text, _ := bytes.Cut(rest, []byte{' '})
	switch string(from) {
	case "engine", "socket.io:server", "socket.io:client", "socket.io:namespace", "socket.io:socket":
	default:
		return source.ErrSkipped
	}
	at, err := time.Parse(time.RFC3339, string(stamp))
	if err != nil || at.Year() < 2000 || at.Year() > 2100 {
		return errNoTime
	}
	h := &p.handshake
	h.Reset()
	h.Written, h.Opened, h.Inferred = at.UTC(), at.UTC(), true
	switch string(from) {
	case "engine":
		return p.engine(data, text, emit)
	case "socket.io:server":
		if bytes.HasPrefix(text, newServer) {
			p.whole, p.alive, p.sid, p.left, p.refused = true, 0, nil, false, false
		}
	case "socket.io:socket":
		p.left = p.left || string(text) == "got disconnect packet"
	case "socket.io:namespace":
		if bytes.HasPrefix(text, middleware) {
			return p.refuse(data, emit)
		}
	case "socket.io:client":
		if why, ok := bytes.CutPrefix(text, closed); ok {
			return p.close(string(why), emit)
		}
	}
	return source.ErrSkipped
}

func (p *Debug) engine(data, text []byte, emit func(*event.Event)) error {
	h := &p.handshake
	if request, ok := bytes.CutPrefix(text, handling); ok {
		p.path, p.query = access.Target(source.Text(string(bytes.TrimSuffix(request, []byte{'"'}))))
		return source.ErrSkipped
	}
	path, query := p.path, p.query
	if sid, ok := bytes.CutPrefix(text, shaking); ok {
		p.path, p.query = "", ""
		sid = bytes.TrimSuffix(sid, []byte{'"'})
		p.alive++
		p.sid = p.sid[:0]
		if transportOf(query) == "polling" {
			return source.ErrSkipped
		}
		if p.alive == 1 {
			p.sid, p.left, p.refused = append(p.sid, sid...), false, false
		}
		h.ConnectionID = p.id(sid)
		h.Upgraded, h.Status = true, 101
		p.emitter.Emit(h, emit)
		return nil
	}
	for _, refusal := range refusals {
		if !bytes.HasPrefix(text, refusal) {
			continue
		}
		p.path, p.query = "", ""
		if over := transportOf(query); over != "" && over != "websocket" {
			return source.ErrSkipped
		}
		h.Path, h.Query, h.ErrorType = path, query, event.BadHandshake
		if string(refusal) == "invalid origin" {
			h.ErrorType = event.Forbidden
		}
		h.ConnectionID = p.unnamed(data)
		p.emitter.Emit(h, emit)
		return nil
	}
	return source.ErrSkipped
}

// only reports whether the session that a line without an id is about is known.
func (p *Debug) only() bool { return p.whole && p.alive == 1 && len(p.sid) > 0 }

// refuse reads that a middleware refused a client; what else middlewares do, they do not fail at.
func (p *Debug) refuse(data []byte, emit func(*event.Event)) error {
	h := &p.handshake
	if p.only() {
		h.ConnectionID, p.refused = p.id(p.sid), true
	} else {
		h.ConnectionID = p.unnamed(data)
	}
	e := p.emitter.Event(h, event.Auth, h.Written)
	e.SetString(event.AuthResult, event.AuthFailure)
	e.SetString(event.ErrorType, event.Unauthenticated)
	emit(e)
	return nil
}

func (p *Debug) close(reason string, emit func(*event.Event)) error {
	h := &p.handshake
	known, sid, left, refused := p.only(), p.sid, p.left, p.refused
	if p.alive > 0 {
		p.alive--
	}
	p.sid, p.left, p.refused = p.sid[:0], false, false
	if !known {
		return source.ErrSkipped
	}
	closing := endOf(reason)
	switch {
	case left:
		closing = endOf("client namespace disconnect")
	case refused:
		// The client has nothing left to do.
		closing = end{initiator: event.InitiatorClient}
	}
	h.ConnectionID = p.id(sid)
	e := p.emitter.Event(h, event.Close, h.Written)
	closing.set(e)
	emit(e)
	return nil
}

func (p *Debug) id(sid []byte) string {
	p.emitter.Begin()
	p.emitter.Part("sid", sid)
	return p.emitter.ID()
}

// unnamed is the id of what failed without becoming a session.
func (p *Debug) unnamed(data []byte) string {
	p.emitter.Begin()
	p.emitter.Part("line", data)
	return p.emitter.ID()
}

// DebugFits returns what says whether a line is one of engine.io's or Socket.IO's.
func DebugFits() func(line []byte) bool {
	return func(line []byte) bool {
		stamp, rest, _ := bytes.Cut(line, []byte{' '})
		return len(stamp) >= len("2026-11-22T07:24:17Z") && stamp[len(stamp)-1] == 'Z' &&
			(bytes.HasPrefix(rest, []byte("engine")) || bytes.HasPrefix(rest, []byte("socket.io:")))
	}
}
