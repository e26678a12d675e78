package endpoint

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/endpoint/internal/expiry"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// BlockRule keeps clients out, whatever credential they have: those of a network, or those that have all the names it gives.
// It is comparable.
type BlockRule struct {
	// Address is a network.
	Address netip.Prefix `json:"address,omitzero"`
	// UserHash is the attribute user.hash of a user's events, see [Endpoint.UserHash], so that the list names nobody.
	UserHash string `json:"user_hash,omitempty"`
	// Tenant is one as a whole, or the one in which the user is meant.
	Tenant string `json:"tenant,omitempty"`
	// Reason is why.
	Reason BlockReason `json:"reason"`
	// Until is when the block ends. Default: an hour from now.
	Until time.Time `json:"until"`
}

// BlockReason is why somebody is kept out. It is on the events of the change, so there are few.
type BlockReason string

// The reasons.
const (
	BlockOperator    BlockReason = "operator" // no other is given
	BlockAbuse       BlockReason = "abuse"
	BlockFlood       BlockReason = "flood"
	BlockScan        BlockReason = "scan"
	BlockCompromised BlockReason = "compromised"
)

// BlockReasons returns them all.
func BlockReasons() []BlockReason {
	return []BlockReason{BlockOperator, BlockAbuse, BlockFlood, BlockScan, BlockCompromised}
}

const (
	defaultBlocks     = 10_000
	defaultBlockedFor = time.Hour
)

// blockKey is what a block is found by.
type blockKey struct {
	address      netip.Prefix
	user, tenant string
}

// The shapes of keys: which names there are, or which family and how many bits.
const (
	shapeUser = iota
	shapeTenant
	shapeUserOfTenant
	shapeIPv4
	shapeIPv6   = shapeIPv4 + 33
	blockShapes = shapeIPv6 + 129
)

func (k blockKey) shape() int {
	switch {
	case k.address.IsValid() && k.address.Addr().Is4():
		return shapeIPv4 + k.address.Bits()
	case k.address.IsValid():
		return shapeIPv6 + k.address.Bits()
	case k.tenant == "":
		return shapeUser
	case k.user == "":
		return shapeTenant
	}
	return shapeUserOfTenant
}

func (b BlockRule) key() blockKey { return blockKey{b.Address, b.UserHash, b.Tenant} }

// normal is b with a network as it is looked for.
func (b BlockRule) normal() (BlockRule, error) {
	if !b.Address.IsValid() {
		if b.UserHash == "" && b.Tenant == "" {
			return b, errors.New("block: must name an address, user or tenant")
		}
	} else {
		if b.UserHash != "" || b.Tenant != "" {
			return b, errors.New("block: an address must stand alone")
		}
		if a := b.Address.Addr(); a.Is4In6() && b.Address.Bits() >= 96 {
			b.Address = netip.PrefixFrom(a.Unmap(), b.Address.Bits()-96)
		}
		b.Address = b.Address.Masked()
	}
	if b.Reason == "" {
		b.Reason = BlockOperator
	} else if !slices.Contains(BlockReasons(), b.Reason) {
		return b, errors.New("block: not one of the reasons")
	}
	return b, nil
}

// ErrTooManyBlocks is the error of a list that is full. What is on it stays there.
var ErrTooManyBlocks = errors.New("blocks: the list is full; block a network or a tenant instead of its parts, " +
	"or wait for others to end")

// Blocks is a list of who is kept out, in about 300 bytes each. Endpoints may share one.
type Blocks struct {
	now  func() time.Time
	list *expiry.List[blockKey, BlockRule]
}

// NewBlocks returns an empty list for at most capacity blocks, 10,000 if 0. now is the clock, time.Now if nil.
func NewBlocks(capacity int, now func() time.Time) *Blocks {
	setDefault(&capacity, defaultBlocks)
	if now == nil {
		now = time.Now
	}
	return &Blocks{now: now, list: expiry.New(expiry.Settings[blockKey, BlockRule]{
		Capacity: capacity, Now: now, Until: func(b BlockRule) time.Time { return b.Until },
		Shape: blockKey.shape, Shapes: blockShapes,
	})}
}

// Add blocks, and returns when connections are being closed; that takes less than a second. It replaces a block of the same
// address or names.
func (l *Blocks) Add(b BlockRule) error {
	_, err := l.add(b)
	return err
}

func (l *Blocks) add(b BlockRule) (BlockRule, error) {
	b, err := b.normal()
	if err != nil {
		return b, err
	}
	if b.Until.IsZero() {
		b.Until = l.now().Add(defaultBlockedFor)
	}
	if l.list.Put(b.key(), b, nil) != nil {
		return b, ErrTooManyBlocks
	}
	return b, nil
}

// Lift takes a block of the same address or names off the list. It reports whether there was one.
func (l *Blocks) Lift(b BlockRule) bool {
	b, err := b.normal()
	return err == nil && l.list.Drop(b.key())
}

// All returns the blocks that have not ended, those that end first before others.
func (l *Blocks) All() []BlockRule {
	all := l.list.All()
	slices.SortFunc(all, func(a, b BlockRule) int {
		return cmp.Or(a.Until.Compare(b.Until), a.Address.Addr().Compare(b.Address.Addr()),
			a.Address.Bits()-b.Address.Bits(), cmp.Compare(a.UserHash, b.UserHash), cmp.Compare(a.Tenant, b.Tenant))
	})
	return all
}

// address reports whether a is blocked.
func (l *Blocks) address(a netip.Addr) bool {
	if l == nil || !a.IsValid() {
		return false
	}
	a = a.Unmap().WithZone("")
	first := shapeIPv6
	if a.Is4() {
		first = shapeIPv4
	}
	_, ok := l.list.Find(func(shape int) (k blockKey) {
		if bits := shape - first; bits >= 0 && bits <= a.BitLen() {
			k.address, _ = a.Prefix(bits)
		}
		return k
	}, nil)
	return ok
}

// blocked reports whether the identity is.
func (e *Endpoint) blocked(id auth.Identity) bool {
	l := e.config.Blocks
	if l == nil || id.Subject == "" || !l.list.Holds(shapeUser, shapeIPv4) {
		return false
	}
	user := e.UserHash(id.Subject)
	_, ok := l.list.Find(func(shape int) blockKey {
		switch shape {
		case shapeUser:
			return blockKey{user: user}
		case shapeTenant:
			return blockKey{tenant: id.Tenant}
		case shapeUserOfTenant:
			return blockKey{user: user, tenant: id.Tenant}
		}
		return blockKey{}
	}, nil)
	return ok
}

// errBlocked ends a connection of somebody who is kept out.
var errBlocked = errors.New("websocket: client is blocked")

func blockedReason() reason {
	return reason{code: wire.ClosePolicyViolation, text: "blocked", cause: errBlocked, within: endWithin}
}

// closeBlocked ends connections of somebody who has just been blocked.
func (e *Endpoint) closeBlocked(b BlockRule) { e.closeAll(b.filter(), blockedReason()) }

func (b BlockRule) filter() Filter {
	return Filter{Address: b.Address, UserHash: b.UserHash, Tenant: b.Tenant}
}

// policyKind is the attribute websocket.policy.kind.
func (b BlockRule) policyKind() string {
	switch {
	case b.Address.IsValid():
		return event.PolicyIPBlock
	case b.UserHash != "":
		return event.PolicyUserBlock
	}
	return event.PolicyTenantBlock
}
