package endpoint

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
)

// Filter selects connections: those that have everything it gives. The zero value selects all.
type Filter struct {
	UserHash, Tenant  string
	Address           netip.Prefix
	Path, Subprotocol string
}

// selects reports whether s is selected; what costs most is looked at last.
func (f *Filter) selects(s *Session) bool {
	if f.Path != "" && f.Path != s.peer.path || f.Subprotocol != "" && f.Subprotocol != s.subprotocol ||
		f.Address.IsValid() && !f.Address.Contains(s.peer.client.Addr().Unmap().WithZone("")) {
		return false
	}
	if f.Tenant == "" && f.UserHash == "" {
		return true
	}
	id := s.identity.Load()
	return id != nil && (f.Tenant == "" || f.Tenant == id.Tenant) &&
		(f.UserHash == "" || f.UserHash == s.e.UserHash(id.Subject))
}

// Connection is what an operator sees of a connection. As on events, there is no token, no payload and no name of a user
// in it; of the address there is the network.
type Connection struct {
	ID string `json:"id"`
	// State is "open", "authenticating" before the first message has said who the client is, or "closing".
	State  string    `json:"state"`
	Opened time.Time `json:"opened"`

	UserHash string `json:"user_hash,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Tier     string `json:"tier,omitempty"`
	// Method is how the client authenticated, and AuthExpires when that ends.
	Method      auth.Method `json:"auth_method,omitempty"`
	AuthExpires time.Time   `json:"auth_expires,omitzero"`

	// Address is the /24 or /48 that the client is in.
	Address     netip.Prefix `json:"address,omitzero"`
	TLS         bool         `json:"tls"`
	Path        string       `json:"path,omitempty"`
	Subprotocol string       `json:"subprotocol,omitempty"`

	// IdleSeconds are since the last message, SilentSeconds since anything came.
	IdleSeconds   float64 `json:"idle_seconds"`
	SilentSeconds float64 `json:"silent_seconds"`
	// RoundTripSeconds is 0 before the first Pong.
	RoundTripSeconds float64 `json:"round_trip_seconds"`
	Received         Traffic `json:"received"`
	Sent             Traffic `json:"sent"`

	// What follows is only in what [Endpoint.Inspect] returns.
	Queue  *QueueState  `json:"queue,omitempty"`
	Limits []LimitState `json:"limits,omitempty"`
	// CloseCode is that of the Close frame of a connection that is closing.
	CloseCode int `json:"close_code,omitempty"`
}

// Traffic is what went in one direction.
type Traffic struct {
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
}

// QueueState is what waits for a client.
type QueueState struct {
	Bytes    int `json:"bytes"`
	Messages int `json:"messages"`
	// WritingSeconds is for how long a write has stood still.
	WritingSeconds float64 `json:"writing_seconds"`
}

// LimitState is how much of a limit is left. Limits that are not set are left out.
type LimitState struct {
	// Policy is the attribute websocket.rate_limit.policy of the event that tells when nothing is left.
	Policy string  `json:"policy"`
	Left   float64 `json:"left"`
	Most   float64 `json:"most"`
	// PerSecond is 0 where it is a number of connections.
	PerSecond float64 `json:"per_second,omitempty"`
}

// maxPage is how many connections are listed at once.
const maxPage = 1000

// Connections returns connections in the order of their ids: at most limit, which is 1,000 where it is 0 or more than that,
// behind the one whose id is after. next is the last one's id where there are more.
func (e *Endpoint) Connections(f Filter, after string, limit int) (page []Connection, next string) {
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	var begin []byte
	if id, err := hex.DecodeString(after); err == nil && len(id) > 0 {
		begin = append(id, 0) // right behind it
	}
	found := slices.DeleteFunc(e.sessions(), func(s *Session) bool {
		return bytes.Compare(s.peer.id[:], begin) < 0 || !f.selects(s)
	})
	slices.SortFunc(found, func(a, b *Session) int { return bytes.Compare(a.peer.id[:], b.peer.id[:]) })
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID()
	}
	page = make([]Connection, 0, len(found))
	for _, s := range found {
		page = append(page, s.describe())
	}
	return page, next
}

// Inspect returns all that there is to know of a connection, unless there is none of that id.
func (e *Endpoint) Inspect(id string) (Connection, bool) {
	s := e.session(id)
	if s == nil {
		return Connection{}, false
	}
	c := s.describe()
	c.CloseCode = int(s.end.reason().code)
	c.Queue = s.queueState()
	c.Limits = s.limitStates()
	return c, true
}

// session is nil where there is none of that id.
func (e *Endpoint) session(id string) *Session {
	want, err := hex.DecodeString(id)
	if err != nil {
		return nil
	}
	for _, s := range e.sessions() {
		if bytes.Equal(s.peer.id[:], want) {
			return s
		}
	}
	return nil
}

// CloseAll closes the connections that f selects with a Close frame, and returns how many there were. It does not wait.
func (e *Endpoint) CloseAll(f Filter, c CloseError) int {
	return e.closeAll(f, reason{code: c.Code, text: c.Reason})
}

func (e *Endpoint) closeAll(f Filter, r reason) (n int) {
	for _, s := range e.sessions() {
		if f.selects(s) && s.endSoon(r) {
			n++
		}
	}
	return n
}

func (s *Session) describe() Connection {
	now := s.e.nanos()
	since := func(then int64) float64 { return seconds(time.Duration(now - then)) }
	c := Connection{
		ID: s.ID(), State: "authenticating", Opened: s.e.began.Add(time.Duration(s.opened)).UTC(),
		TLS: s.peer.secure, Path: s.peer.path, Subprotocol: s.subprotocol,
		IdleSeconds: since(s.active.Load()), SilentSeconds: since(s.heard.Load()),
		RoundTripSeconds: seconds(s.RoundTrip()),
		Received:         Traffic{s.readBytes.Load(), s.totals[receivedText].Load() + s.totals[receivedBinary].Load()},
		Sent:             Traffic{s.sentBytes.Load(), s.totals[sentText].Load() + s.totals[sentBinary].Load()},
	}
	id := s.identity.Load()
	if s.e.config.Authenticator == nil || id != nil {
		c.State = "open"
	}
	if s.end.begun() {
		c.State = "closing"
	}
	if id != nil {
		c.UserHash, c.Tenant, c.Tier = s.e.UserHash(id.Subject), id.Tenant, id.Tier
		c.Method, c.AuthExpires = id.Method, id.NotAfter.UTC()
	}
	if a := s.peer.client.Addr().Unmap().WithZone(""); a.IsValid() {
		bits := 48
		if a.Is4() {
			bits = 24
		}
		c.Address, _ = a.Prefix(bits)
	}
	return c
}

func (s *Session) queueState() *QueueState {
	q := &QueueState{}
	s.mu.Lock()
	if s.queue != nil {
		q.Bytes, q.Messages = s.queue.size()+len(s.queue.control), len(s.queue.ends)
	}
	s.mu.Unlock()
	if since := s.writingSince.Load(); since != 0 {
		q.WritingSeconds = seconds(time.Duration(s.e.nanos() - since))
	}
	return q
}

func (s *Session) limitStates() (all []LimitState) {
	now, t := s.e.nanos(), s.tier.Load()
	rate := func(p policy, l limiter, b *bucket) {
		if l.on() {
			most := float64(l.depth) / l.cost
			left := most - float64(max(b.full.Load()-now, 0))/l.cost
			all = append(all, LimitState{Policy: string(p), Left: max(left, 0), Most: most, PerSecond: 1e9 / l.cost})
		}
	}
	number := func(p policy, most int, held *tally) {
		if most >= 0 {
			left := most - int(held.connections.Load())
			all = append(all, LimitState{Policy: string(p), Left: float64(max(left, 0)), Most: float64(most)})
		}
	}
	rate(policyMessages, t.connection.messages, &s.msgs)
	rate(policyBytes, t.connection.bytes, &s.bytes)
	if a := s.address; a != nil {
		number(policyAddressConnections, s.e.byAddr.connections, a)
		rate(policyAddressHandshakes, s.e.byAddr.handshakes, &a.handshakes)
	}
	if s.identity.Load() == nil {
		return all // the tallies below are set before the identity
	}
	if u := s.user; u != nil {
		number(policyUserConnections, t.user.connections, u)
		rate(policyUserHandshakes, t.user.handshakes, &u.handshakes)
		rate(policyUserMessages, t.user.messages, &u.messages)
		rate(policyUserBytes, t.user.bytes, &u.bytes)
	}
	if n := s.tenant; n != nil {
		number(policyTenantConnections, t.tenant.connections, n)
		rate(policyTenantHandshakes, t.tenant.handshakes, &n.handshakes)
		rate(policyTenantMessages, t.tenant.messages, &n.messages)
		rate(policyTenantBytes, t.tenant.bytes, &n.bytes)
	}
	return all
}
