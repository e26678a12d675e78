package endpoint

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// queue is frames that wait to be written. A connection has one only while something waits.
type queue struct {
	control []byte // Pings and Pongs, which go first
	b       []byte
	begin   int   // of the first that was not dropped
	ends    []int // of the messages in b behind begin
}

func (q *queue) size() int { return len(q.b) - q.begin }

// keptBytes is the largest queue that is kept for use by another connection.
const keptBytes = 128 << 10

var queues = sync.Pool{New: func() any { return &queue{b: make([]byte, 0, 2048)} }}

func (q *queue) release() {
	if cap(q.b) > keptBytes {
		return
	}
	q.control, q.b, q.begin, q.ends = q.control[:0], q.b[:0], 0, q.ends[:0]
	queues.Put(q)
}

// takeQueue returns the queue. The lock is held.
func (s *Session) takeQueue() *queue {
	if s.queue == nil {
		s.queue = queues.Get().(*queue)
	}
	return s.queue
}

// makeRoom wakes those who wait for room. The lock is held.
func (s *Session) makeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// flushFrom is when Send writes although there may be more to answer.
const flushFrom = 64 << 10

// ErrClosed is the error of sending on a connection that is closing.
var ErrClosed = errors.New("websocket: connection is closing")

// errSlow ends a connection whose client does not read.
var errSlow = errors.New("websocket: client does not read")

// Send sends a message, of [wire.OpText], whose payload must be UTF-8, or [wire.OpBinary]. It is meant for Handle: the message
// leaves with others, once the input is used up, 64 KiB wait, or Flush is called. Where the client does not keep up, Send
// waits. The payload is copied.
//
// From another goroutine use Post: what Send has from there waits while Handle is busy, for up to a second.
func (s *Session) Send(op wire.Opcode, payload []byte) error {
	n, err := s.enqueue(op, payload, Block)
	if err != nil {
		return err
	}
	if n >= flushFrom {
		s.flush()
	} else if s.waiting.Load() {
		s.kick()
	}
	return nil
}

// Post sends a message from any goroutine, and does not wait for it to be written. What happens if the client does not
// keep up is [Queue.Slow].
func (s *Session) Post(op wire.Opcode, payload []byte) error {
	if _, err := s.enqueue(op, payload, s.e.config.Queue.Slow); err != nil {
		return err
	}
	s.kick()
	return nil
}

// Flush writes what waits.
func (s *Session) Flush() error {
	s.flush()
	if s.end.lost() {
		return ErrClosed
	}
	return nil
}

// enqueue appends a message and returns how many bytes wait.
func (s *Session) enqueue(op wire.Opcode, payload []byte, slow SlowPolicy) (int, error) {
	if !op.Data() {
		return 0, errors.New("send: must be a text or a binary message")
	}
	s.mu.Lock()
	for {
		if s.closing {
			s.mu.Unlock()
			return 0, ErrClosed
		}
		if s.e.config.MessageSecret != nil && s.signing == nil {
			s.mu.Unlock()
			return 0, errUnsigned
		}
		q := s.takeQueue()
		if q.size() == 0 || q.size()+len(payload) <= s.e.config.Queue.Bytes && len(q.ends) < s.e.config.Queue.Messages {
			if s.signing == nil {
				s.append(q, op, payload)
			} else {
				s.append(q, op, s.signing.sign.Sign(nil, op, payload))
			}
			n := q.size()
			s.mu.Unlock()
			s.active.Store(s.e.clock.Load())
			return n, nil
		}
		switch slow {
		case DropOldest:
			s.dropped.add(q.ends[0] - q.begin)
			q.begin = q.ends[0]
			q.ends = append(q.ends[:0], q.ends[1:]...)
			if q.begin > len(q.b)/2 {
				q.compact()
			}
		case CloseSlow:
			s.mu.Unlock()
			s.dropped.add(len(payload))
			s.terminate(reason{code: wire.ClosePolicyViolation, text: "too slow", cause: errSlow})
			return 0, ErrClosed
		default:
			if s.room == nil {
				s.room = make(chan struct{})
			}
			room := s.room
			s.mu.Unlock()
			s.kick()
			<-room // the sweep ends a write that stands still
			s.mu.Lock()
		}
	}
}

// append appends a message and counts it. The lock is held.
func (s *Session) append(q *queue, op wire.Opcode, payload []byte) {
	q.b = s.writer.AppendMessage(q.b, op, payload)
	q.ends = append(q.ends, len(q.b))
	kind := kindOf(sentText, op)
	s.counts[kind].add(len(payload))
	s.totals[kind].Add(1)
}

// compact moves what waits to the front, so that what was dropped takes no memory.
func (q *queue) compact() {
	q.b = append(q.b[:0], q.b[q.begin:]...)
	for i := range q.ends {
		q.ends[i] -= q.begin
	}
	q.begin = 0
}

// maxControl is how many bytes of control frames may wait. A client that has so many unread needs no more Pongs.
const maxControl = 1 << 10

// control appends a control frame, which does not wait in line.
func (s *Session) control(appendTo func([]byte) []byte) {
	s.mu.Lock()
	if !s.closing {
		if q := s.takeQueue(); len(q.control) < maxControl {
			q.control = appendTo(q.control)
		}
	}
	s.mu.Unlock()
}

// kick has what waits written by a goroutine, unless one does or is about to.
func (s *Session) kick() {
	s.mu.Lock()
	need := !s.writing && !s.kicked && s.queue != nil
	s.kicked = s.kicked || need
	s.mu.Unlock()
	if need {
		go func() {
			s.mu.Lock()
			s.kicked = false
			s.mu.Unlock()
			s.flush()
		}()
	}
}

// flush writes what waits, and what is added meanwhile, unless somebody does already.
func (s *Session) flush() {
	for s.flushOnce() {
	}
}

// flushOnce writes what waits now, and reports whether there is more.
func (s *Session) flushOnce() (more bool) {
	s.mu.Lock()
	if !s.writing && s.queue != nil {
		q := s.queue
		s.queue, s.writing = nil, true
		s.mu.Unlock()
		err := s.write(q)
		if err != nil { // all of it before the connection counts as settled, whose end tells what was lost
			s.writeFailed(err)
			s.drop(q)
		} else {
			q.release()
		}
		s.mu.Lock()
		s.writing = false
		s.makeRoom()
	}
	more = !s.writing && s.queue != nil
	s.mu.Unlock()
	return more
}

// settle waits until nobody writes.
func (s *Session) settle() {
	for {
		s.flush()
		s.mu.Lock()
		if !s.writing {
			s.mu.Unlock()
			return
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		<-room
	}
}

// write writes q. The sweep sees to it that this ends.
func (s *Session) write(q *queue) (err error) {
	s.writingSince.Store(s.e.clock.Load())
	defer s.writingSince.Store(0)
	n := 0
	if len(q.control) > 0 {
		if n, err = s.conn.Write(q.control); err != nil {
			return err
		}
	}
	if q.size() > 0 {
		var more int
		more, err = s.conn.Write(q.b[q.begin:])
		n += more
	}
	s.sentBytes.Add(int64(n))
	return err
}

// drop counts what was not written: all of q, since nobody knows how much of it arrived, and what waits.
func (s *Session) drop(q *queue) {
	s.mu.Lock()
	waits := s.queue
	s.queue, s.closing = nil, true
	s.makeRoom()
	s.mu.Unlock()
	lost := &s.undelivered
	if errors.Is(s.end.cause(), errSlow) {
		lost = &s.dropped
	}
	for _, q := range []*queue{q, waits} {
		if q == nil {
			continue
		}
		begin := q.begin
		for _, end := range q.ends {
			lost.add(end - begin)
			begin = end
		}
		q.release()
	}
}

func (s *Session) writeFailed(err error) {
	s.end.unsent.Store(true)
	r := reason{errorType: event.ConnectionLost, by: event.InitiatorUnknown, cause: errConnectionLost}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		r.errorType = event.ConnectionReset
	}
	if errors.Is(err, net.ErrClosed) {
		r.errorType, r.by = event.OtherError, event.InitiatorServer
	}
	s.lose(r)
}
