// Package recent remembers what parsers learn of one line for the lines after it, in bounded memory. It is not safe for
// concurrent use.
//
// The invariant to keep: forgetting may make later events say less, never something else; so a parser keeps here only
// what enriches, not what it has yet to emit.
package recent

import "time"

// Map remembers the values last used. Make one with [New].
//
// There are two generations: a value that is used moves to the young one; when that is full, or half a lifetime old, it
// becomes the old one and what was old is forgotten. So nothing used among the last max values, nor within half a
// lifetime, is lost, at the price of one look-up in each.
type Map[V any] struct {
	max        int
	life       time.Duration
	young, old map[string]V
	since      time.Time
}

// New returns a Map that keeps at least max of the values last used, at most twice as many, and none that has not been
// used for life by the clock of the log.
func New[V any](max int, life time.Duration) *Map[V] {
	return &Map[V]{max: max, life: life, young: map[string]V{}}
}

// Get returns the value of key; now is the time in the log.
func (m *Map[V]) Get(key []byte, now time.Time) (v V, ok bool) {
	m.age(now)
	if v, ok = m.young[string(key)]; ok {
		return v, true
	}
	if v, ok = m.old[string(key)]; ok {
		delete(m.old, string(key))
		m.put(string(key), v)
	}
	return v, ok
}

// Put sets the value of key.
func (m *Map[V]) Put(key []byte, now time.Time, v V) {
	m.age(now)
	delete(m.old, string(key))
	m.put(string(key), v)
}

func (m *Map[V]) put(key string, v V) {
	if _, ok := m.young[key]; !ok && len(m.young) >= m.max {
		m.turn()
	}
	m.young[key] = v
}

// Delete forgets key.
func (m *Map[V]) Delete(key []byte) {
	delete(m.young, string(key))
	delete(m.old, string(key))
}

// Len is how many values there are.
func (m *Map[V]) Len() int { return len(m.young) + len(m.old) }

func (m *Map[V]) age(now time.Time) {
	switch passed := now.Sub(m.since); {
	case m.since.IsZero():
		m.since = now
	case passed >= m.life:
		clear(m.young)
		m.turn()
		m.since = now
	case passed >= m.life/2:
		m.turn()
		m.since = now
	}
}

func (m *Map[V]) turn() { m.young, m.old = make(map[string]V), m.young }
