package endpoint

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sockeye-project/sockeye/event"
)

// limiter is a [Rate], made ready.
type limiter struct {
	cost  float64 // nanoseconds that one takes
	depth int64   // nanoseconds that a full bucket holds
}

func newLimiter(r Rate) limiter {
	if r.PerSecond <= 0 || math.IsInf(r.PerSecond, 0) || math.IsNaN(r.PerSecond) {
		return limiter{}
	}
	if r.Burst <= 0 {
		r.Burst = max(r.PerSecond, 1)
	}
	cost := 1e9 / r.PerSecond
	return limiter{cost: cost, depth: int64(min(cost*r.Burst, math.MaxInt64/4))}
}

func (l limiter) on() bool { return l.depth > 0 }

func (l limiter) after(full, now int64, n float64) (next int64, ok bool) {
	if !l.on() {
		return full, true
	}
	if next = max(full, now) + int64(min(l.cost*n, math.MaxInt64/4)); next-now > l.depth {
		return full, false
	}
	return next, true
}

// bucket is the state of a limiter: when it will be full again, in the endpoint's nanoseconds. A bucket whose time has
// come is as good as a new one. Several goroutines may use it.
type bucket struct{ full atomic.Int64 }

// take takes n out of b, or nothing where there is less.
func (b *bucket) take(l limiter, now int64, n float64) bool {
	for {
		full := b.full.Load()
		next, ok := l.after(full, now, n)
		if !ok || next == full || b.full.CompareAndSwap(full, next) {
			return ok
		}
	}
}

// tally is what is remembered of an address, a user or a tenant.
type tally struct {
	connections                 atomic.Int32
	handshakes, messages, bytes bucket
}

// fresh reports whether forgetting t would change nothing.
func (t *tally) fresh(now int64) bool {
	return t.connections.Load() == 0 &&
		t.handshakes.full.Load() <= now && t.messages.full.Load() <= now && t.bytes.full.Load() <= now
}

// connect counts a connection unless there are most.
func (t *tally) connect(most int) bool {
	if n := t.connections.Add(1); most >= 0 && int(n) > most {
		t.connections.Add(-1)
		return false
	}
	return true
}

func (t *tally) disconnect() {
	if t != nil {
		t.connections.Add(-1)
	}
}

// tallies remembers at most so many. What is forgotten is fresh, so a flood of new names frees nobody of a limit and takes
// nothing from those that are known. Who finds no room shares one tally with all others who do not.
type tallies[K comparable] struct {
	seed   maphash.Seed
	most   int // of a shard
	shards [tallyShards]tallyShard[K]
	shared tally
}

const (
	tallyShards = 16
	// evictTries is how many are looked at to find one to forget.
	evictTries = 16
)

type tallyShard[K comparable] struct {
	mu sync.Mutex
	m  map[K]*tally
}

func newTallies[K comparable](most int) *tallies[K] {
	t := &tallies[K]{seed: maphash.MakeSeed(), most: max(most/tallyShards, 1)}
	for i := range t.shards {
		t.shards[i].m = make(map[K]*tally)
	}
	return t
}

// of returns the tally of k, with a hold on it: the caller gives it back with disconnect.
func (t *tallies[K]) of(k K, now int64, most int) (_ *tally, ok bool) {
	s := &t.shards[maphash.Comparable(t.seed, k)%tallyShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.m[k]
	if found == nil {
		if len(s.m) >= t.most && !s.forget(now) {
			// The limit is for one of them, so together they may have as much as one.
			return &t.shared, t.shared.connect(most)
		}
		found = new(tally)
		s.m[k] = found
	}
	return found, found.connect(most)
}

func (s *tallyShard[K]) forget(now int64) bool {
	tries := 0
	for k, t := range s.m { // begins anywhere
		if t.fresh(now) {
			delete(s.m, k)
			return true
		}
		if tries++; tries == evictTries {
			break
		}
	}
	return false
}

func (t *tallies[K]) len() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}

// addressKey is what is counted by: all of an IPv4 address, the network of an IPv6 one, since whoever has one of its
// addresses has all.
func addressKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// quota is a [Quota], made ready.
type quota struct {
	connections                 int
	handshakes, messages, bytes limiter
}

func newQuota(q Quota) quota {
	return quota{q.Connections, newLimiter(q.Handshakes), newLimiter(q.Messages), newLimiter(q.Bytes)}
}

// tier is a [Tier], made ready.
type tier struct{ user, tenant, connection quota }

func newTiers(l Limits) (byDefault *tier, byName map[string]*tier) {
	byName = make(map[string]*tier, len(l.Tiers))
	for name, t := range l.Tiers {
		byName[name] = &tier{
			newQuota(t.User.or(l.User)), newQuota(t.Tenant.or(l.Tenant)), newQuota(t.Connection.or(l.Connection)),
		}
	}
	return &tier{newQuota(l.User), newQuota(l.Tenant), newQuota(l.Connection)}, byName
}

// policy names a limit: the attribute websocket.rate_limit.policy.
type policy string

const (
	policyCapacity           policy = "capacity"
	policyHandshakes         policy = "handshakes_in_progress"
	policyAddressHandshakes  policy = "handshakes_per_address"
	policyAddressConnections policy = "connections_per_address"
	policyUserHandshakes     policy = "handshakes_per_user"
	policyUserConnections    policy = "connections_per_user"
	policyTenantHandshakes   policy = "handshakes_per_tenant"
	policyTenantConnections  policy = "connections_per_tenant"
	policyMessages           policy = "messages_per_connection"
	policyBytes              policy = "bytes_per_connection"
	policyUserMessages       policy = "messages_per_user"
	policyUserBytes          policy = "bytes_per_user"
	policyTenantMessages     policy = "messages_per_tenant"
	policyTenantBytes        policy = "bytes_per_tenant"
)

func (p policy) Error() string { return "over the limit " + string(p) }

// scope is websocket.rate_limit.scope.
func (p policy) scope() string {
	switch p {
	case policyMessages, policyBytes, policyUserMessages, policyUserBytes, policyTenantMessages, policyTenantBytes:
		return event.ScopeMessage
	}
	return event.ScopeHandshake
}
