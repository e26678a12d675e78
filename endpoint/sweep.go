package endpoint

import (
	"encoding/binary"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// One goroutine watches every deadline of every connection, so that a connection needs no timer and a read or a write none
// either. Each is looked at once a tick.

// idleFrom is after how long without a message a connection counts as idle in websocket.connections.
const idleFrom = time.Minute

// tickOf is how often each connection is looked at.
func tickOf(t Timeouts) time.Duration {
	tick := time.Second
	for _, d := range []time.Duration{t.Auth, t.Write, t.Close, t.Ping, t.Pong, t.Idle, t.Lifetime, t.Report} {
		if d > 0 {
			tick = min(tick, d/4)
		}
	}
	return max(tick, shardCount*time.Millisecond)
}

func (e *Endpoint) sweep() {
	defer close(e.done)
	if e.pump != nil {
		defer close(e.pump.stop)
	}
	if e.tracer != nil {
		defer close(e.tracer.stop)
	}
	ticker := time.NewTicker(e.tick / shardCount)
	defer ticker.Stop()
	var sessions []*Session
	told := int64(0)
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-e.stop:
			return
		}
		now := e.nanos()
		e.clock.Store(now)
		h := &e.shards[n%shardCount]
		h.mu.Lock()
		sessions = append(sessions[:0], h.sessions...)
		h.mu.Unlock()
		idle := int64(0)
		for i, s := range sessions {
			s.sweep(now)
			if now-s.active.Load() >= int64(idleFrom) {
				idle++
			}
			sessions[i] = nil
		}
		h.idle.Store(idle)
		if now-told >= int64(e.config.Timeouts.Report) {
			told = now
			idle := 0
			for i := range e.shards {
				idle += int(e.shards[i].idle.Load())
			}
			e.reportInstance(int(e.active.Load()), idle)
		}
	}
}

// sweep does what is due. It never waits: what may is done by a goroutine.
func (s *Session) sweep(now int64) {
	t := &s.e.config.Timeouts
	due := func(since int64, limit time.Duration) bool { return limit >= 0 && now-since >= int64(limit) }
	if since := s.writingSince.Load(); since != 0 && due(since, t.Write) {
		s.lose(reason{errorType: event.OtherError, cause: errSlow})
		return
	}
	if by := s.endBy.Load(); by != 0 && now >= by {
		s.cut(true)
		return
	}
	if s.end.begun() {
		return
	}
	if by := s.authBy.Load(); by != 0 && now >= by {
		go s.authTimedOut()
		return
	}
	if end := s.notAfter.Load(); end != 0 && time.Now().UnixNano() >= end {
		go s.deauthorize(auth.TokenExpired)
		return
	}
	if due(s.opened, t.Lifetime) {
		go s.terminate(reason{code: wire.CloseGoingAway, text: "lifetime over", cause: errLifetime})
		return
	}
	if due(s.active.Load(), t.Idle) {
		go s.idle(now)
		return
	}
	if sent := s.pinged.Load(); sent != 0 {
		if due(sent, t.Pong) {
			s.lose(reason{errorType: event.ConnectionLost, by: event.InitiatorUnknown, cause: errConnectionLost})
			return
		}
	} else if due(s.heard.Load(), t.Ping) {
		s.ping()
	}
	if s.drainAsked.Load() {
		s.askToDrain()
	}
	// What other goroutines sent while Handle was busy.
	if s.mu.TryLock() {
		waits := s.queue != nil && !s.writing
		s.mu.Unlock()
		if waits {
			s.kick()
		}
	}
	if s.e.pump != nil && due(s.reported.Load(), t.Report) {
		s.report(now, false)
	}
}

// ping sends a Ping. Its payload says when, for the Pong to be matched.
func (s *Session) ping() {
	sent := s.e.nanos()
	s.pinged.Store(sent)
	s.control(func(b []byte) []byte { return s.writer.AppendPing(b, pingPayload(sent)) })
	s.kick()
}

func pingPayload(sent int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(sent)) }

func (s *Session) idle(now int64) {
	if !s.terminate(reason{code: wire.CloseGoingAway, text: "idle", errorType: event.IdleTimeout, cause: errIdle}) ||
		s.e.pump == nil {
		return
	}
	v := s.event(event.Idle)
	v.SetDouble(event.IdleDuration, seconds(time.Duration(now-s.active.Load())))
	s.e.pump.decided(v)
}
