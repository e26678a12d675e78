package endpoint

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// reason is why a connection ends, and how.
type reason struct {
	code      wire.CloseCode // of the Close frame that was seen first; 0 if there was none
	text      string
	errorType string // error.type of websocket.close
	by        string // who began; "" is the server
	cause     error  // of the context
	drain     bool   // what the client has sent is still handled
	within    time.Duration
}

// ending is the end of a connection. It begins once.
type ending struct {
	mu      sync.Mutex
	r       *reason
	gone    bool        // there is no connection to write to
	started atomic.Bool // r is set
	quiet   atomic.Bool // messages are no longer handled
	cut     atomic.Bool
	unsent  atomic.Bool // the Close frame did not leave
}

func (e *ending) begun() bool    { return e.started.Load() }
func (e *ending) silenced() bool { return e.quiet.Load() }

func (e *ending) lost() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone
}

func (e *ending) reason() reason {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.r == nil {
		return reason{}
	}
	return *e.r
}

// start reports whether r is how the connection ends.
func (e *ending) start(r reason, gone bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = e.gone || gone
	if e.r != nil {
		return false
	}
	e.r = &r
	e.started.Store(true)
	e.quiet.Store(!r.drain)
	return true
}

// overrule has nothing more handled of what comes while the endpoint shuts down, and reports whether something would be.
func (e *ending) overrule() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.r != nil && e.r.drain && !e.gone && !e.quiet.Swap(true)
}

// cause is that of the context.
func (e *ending) cause() error {
	r := e.reason()
	switch {
	case r.cause != nil:
		return r.cause
	case r.code != 0:
		return &CloseError{Code: r.code, Reason: r.text}
	}
	return context.Canceled
}

// err is what Messages reports: io.EOF after an end that both sides wanted.
func (e *ending) err() error {
	r := e.reason()
	if r.by == event.InitiatorClient || r.drain {
		return io.EOF
	}
	return e.cause()
}

// begin ends the connection with a Close frame, unless it is ending already. The caller has it written.
func (s *Session) begin(r reason) bool {
	if !s.end.start(r, false) {
		return false
	}
	within := s.e.config.Timeouts.Close
	if r.within > 0 {
		within = min(within, r.within)
	}
	s.endBy.Store(s.e.nanos() + int64(within))
	s.mu.Lock()
	q := s.takeQueue()
	q.b = s.writer.AppendClose(q.b, r.code, r.text)
	s.closing = true
	s.makeRoom()
	s.mu.Unlock()
	if !r.drain {
		s.cancel(s.end.cause())
	}
	return true
}

// terminate is begin for other goroutines than the reading one.
func (s *Session) terminate(r reason) bool {
	ok := s.begin(r)
	s.kick()
	return ok
}

// lose ends a connection that is gone: nothing can be sent.
func (s *Session) lose(r reason) {
	s.end.start(r, true)
	s.mu.Lock()
	s.closing = true
	s.makeRoom()
	s.mu.Unlock()
	s.cancel(s.end.cause())
	s.cut(true)
}

// cut closes the transport; hard says that somebody may be writing.
func (s *Session) cut(hard bool) {
	if s.end.cut.Swap(true) {
		return
	}
	conn := s.conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok && hard {
		conn = wrapped.NetConn() // the alert of TLS would wait for a writer that is stuck
	}
	_ = conn.Close() // there is nobody left to tell
}

// Close ends the connection with a Close frame. It does not wait. A code that must not be sent gives a frame without one.
func (s *Session) Close(code wire.CloseCode, text string) {
	s.terminate(reason{code: code, text: text})
}
