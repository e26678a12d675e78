package redact

import "hash/maphash"

// The values of one source repeat: hosts, agents and paths from record to record, an address at least in the open and
// the close of its connection. What a Scanner found out about a value it remembers until it is released, in tables of
// fixed size in which a new value takes the place of an old one.

const (
	keptSlots    = 256
	addressSlots = 256
)

// keptValue is a value that a treatment of that kind leaves as it is without counting anything. That depends on
// nothing else but the engine.
type keptValue struct {
	kind  kind
	value string
}

// repeats reports whether values under such a treatment repeat and cost more to look at than to remember.
func (k kind) repeats() bool {
	switch k {
	case kindInfra, kindLabel, kindAgent, kindText, kindURL, kindPath, kindQuery, kindSubprotocol:
		return true
	}
	return false
}

// addressResult is what becomes of a value that is an address.
type addressResult struct {
	// value is the address as it came.
	value string
	// network is what may be passed on; known says that it has been found out.
	network string
	// hash is the pseudonym in epoch for tenant; hashed says that it has been made.
	hash          string
	epoch         int64
	tenant        uint32
	known, hashed bool
}

var seed = maphash.MakeSeed()

func (s *Scanner) keptSlot(v string) *keptValue {
	s.used = true
	return &s.kept[maphash.String(seed, v)%keptSlots]
}

// addressOf returns the place for what is known of v; another value's is emptied.
func (s *Scanner) addressOf(v string) *addressResult {
	s.used = true
	a := &s.addresses[maphash.String(seed, v)%addressSlots]
	if a.value != v {
		*a = addressResult{value: v}
	}
	return a
}

// forget empties the tables: no value outlives the data it stood in.
func (s *Scanner) forget() {
	if s.used {
		clear(s.kept[:])
		clear(s.addresses[:])
		s.used = false
	}
}
