package endpoint

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Endpoint is an http.Handler that serves WebSocket connections. It has two goroutines of its own, which Shutdown ends.
type Endpoint struct {
	config   Config
	began    time.Time
	clock    atomic.Int64 // nanoseconds since began, as of the last sweep
	tick     time.Duration
	keyID    string // names HashKey, and does not say what it is
	pump     *pump
	standard *tier
	tiers    map[string]*tier
	byAddr   quota

	addresses      *tallies[netip.Addr]
	users, tenants *tallies[string]

	shards      [shardCount]shard
	next        atomic.Uint32
	active      atomic.Int64 // connections and handshakes that may become one
	handshaking atomic.Int64
	draining    atomic.Bool
	left        chan struct{} // a connection has ended while draining
	stop, done  chan struct{}
	stopOnce    sync.Once
	unwatch     []func()
}

// shard is a part of the connections.
type shard struct {
	mu       sync.Mutex
	sessions []*Session
	idle     atomic.Int64
}

// shardCount is a power of two. The sweep looks at one shard after the other.
const shardCount = 8

// New returns an Endpoint, or all faults of the configuration.
func New(c Config) (*Endpoint, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		config: c, began: time.Now(), tick: tickOf(c.Timeouts), byAddr: newQuota(c.Limits.Address),
		addresses: newTallies[netip.Addr](c.Limits.Addresses), users: newTallies[string](c.Limits.Users),
		tenants: newTallies[string](c.Limits.Tenants),
		left:    make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	e.standard, e.tiers = newTiers(c.Limits)
	e.clock.Store(e.nanos())
	e.keyID = lowerBase32.EncodeToString(e.hash("\x00key"))[:8]
	if c.Observer != nil {
		e.pump = newPump(c.Observer, c.Timeouts.Observe)
	}
	if c.Authenticator == nil {
		c.Logger.Warn("every client is let in: InsecureAnonymous is set")
	}
	if c.Revocations != nil {
		e.unwatch = append(e.unwatch, c.Revocations.Watch(func(r auth.Revocation) { e.Revoke(r.Matches) }))
	}
	if c.Blocks != nil {
		e.unwatch = append(e.unwatch, c.Blocks.list.Watch(e.closeBlocked))
	}
	go e.sweep()
	return e, nil
}

// nanos is the time since the endpoint was made. It is never 0, which means never.
func (e *Endpoint) nanos() int64 { return int64(time.Since(e.began)) + 1 }

func (e *Endpoint) random(b []byte) { _, _ = crand.Read(b) }

// join registers s, whose place in active is taken.
func (e *Endpoint) join(s *Session) {
	s.shard = uint8(e.next.Add(1) % shardCount)
	h := &e.shards[s.shard]
	h.mu.Lock()
	s.index = len(h.sessions)
	h.sessions = append(h.sessions, s)
	h.mu.Unlock()
}

// leave is the opposite of join.
func (e *Endpoint) leave(s *Session) {
	defer e.release()
	h := &e.shards[s.shard]
	h.mu.Lock()
	defer h.mu.Unlock()
	last := len(h.sessions) - 1
	h.sessions[s.index] = h.sessions[last]
	h.sessions[s.index].index = s.index
	h.sessions[last] = nil
	h.sessions = h.sessions[:last]
	if cap(h.sessions) > 1024 && last < cap(h.sessions)/4 {
		h.sessions = append(make([]*Session, 0, 2*last), h.sessions...)
	}
}

// release gives back a place in active.
func (e *Endpoint) release() {
	e.active.Add(-1)
	if e.draining.Load() {
		select {
		case e.left <- struct{}{}:
		default:
		}
	}
}

// sessions returns those that are open now.
func (e *Endpoint) sessions() []*Session {
	var all []*Session
	for i := range e.shards {
		h := &e.shards[i]
		h.mu.Lock()
		all = append(all, h.sessions...)
		h.mu.Unlock()
	}
	return all
}

// Revoke ends the connections of identities that match, and returns how many there were. Nothing more that they send is
// handled, and within a second they are closed, whatever the client does. It knows nothing of those who come later:
// Config.Revocations does.
func (e *Endpoint) Revoke(match func(auth.Identity) bool) int {
	var ended []*Session
	for _, s := range e.sessions() {
		if id := s.identity.Load(); id != nil && match(*id) && s.endSoon(deauthorized(auth.Revoked)) {
			ended = append(ended, s)
		}
	}
	for _, s := range ended { // only now, since the Observer may be slow
		s.tellDeauthorized(auth.Revoked)
	}
	return len(ended)
}

// Sessions calls f for every open connection, until it returns false.
func (e *Endpoint) Sessions(f func(*Session) bool) {
	for _, s := range e.sessions() {
		if !f(s) {
			return
		}
	}
}

// Stats are counts of an Endpoint.
type Stats struct {
	// Connections are open, or in a handshake that has passed the limits.
	Connections int
	// Addresses, Users and Tenants are how many are remembered.
	Addresses, Users, Tenants int
	// EventsLost are decisions that the Observer was too slow for; EventsPostponed are reports of messages that wait for
	// the next.
	EventsLost, EventsPostponed int64
}

// Stats returns them.
func (e *Endpoint) Stats() Stats {
	s := Stats{
		Connections: int(e.active.Load()), Addresses: e.addresses.len(), Users: e.users.len(), Tenants: e.tenants.len(),
	}
	if e.pump != nil {
		s.EventsLost, s.EventsPostponed = e.pump.lost.Load(), e.pump.postponed.Load()
	}
	return s
}

// drainOver is how long Shutdown spreads the closing of connections, so that not all clients come back at once.
const (
	drainOver = time.Second
	drainStep = 10 * time.Millisecond
)

// Shutdown refuses new connections with 503, and closes those there are with 1012, spread over a second. What a client has
// sent is handled and answered first; what is on its way until the client's Close frame comes is handled. It returns when
// all is done, or cuts what is left when ctx ends and returns its error. The Endpoint cannot be used again.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	e.refuseAll()
	all := e.sessions()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	steps := int(drainOver / drainStep)
	pace := time.NewTicker(drainStep)
	defer pace.Stop()
	for i, s := range all {
		if i > 0 && i*steps/len(all) != (i-1)*steps/len(all) {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
		s.askToDrain()
	}
	var err error
	for e.active.Load() > 0 && err == nil {
		select {
		case <-e.left:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	for _, s := range e.sessions() {
		s.lose(reason{code: wire.CloseServiceRestart, errorType: event.OtherError, cause: errShutdown})
	}
	e.stopOnce.Do(func() {
		for _, unwatch := range e.unwatch {
			unwatch()
		}
		close(e.stop)
	})
	<-e.done
	if e.pump != nil {
		select {
		case <-e.pump.done:
		case <-ctx.Done():
			err = errors.Join(err, ctx.Err())
		}
	}
	return err
}

var errShutdown = errors.New("websocket: server is shutting down")

// refuseAll answers every handshake from now on with 503.
func (e *Endpoint) refuseAll() {
	if e.draining.Swap(true) || e.pump == nil {
		return
	}
	v := e.instance(event.PolicyChanged)
	v.SetString(event.PolicyKind, event.PolicyDrain)
	v.SetString(event.PolicyState, "on")
	v.SetString(event.PolicyReason, "shutdown")
	e.pump.decided(v)
}

// drained is how a connection ends when the endpoint does.
func drained() reason {
	return reason{code: wire.CloseServiceRestart, text: "shutting down", cause: errShutdown, drain: true}
}

// askToDrain has the reading goroutine close the connection once it has answered what was read. If it waits, it is woken.
func (s *Session) askToDrain() {
	s.drainAsked.Store(true)
	if s.waiting.Load() {
		_ = s.conn.SetReadDeadline(past) // fails on a connection that is closed
	}
}
