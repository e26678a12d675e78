// Package expiry keeps lists of what holds until a time, such as revocations and blocks: bounded in number, found by names of
// which not all are given, and told to who has to act on what is added.
//
// It does not run a clock of its own: what has ended is not found any more, and leaves when room is needed.
package expiry

import (
	"errors"
	"sync"
	"time"
)

// Settings are those of a [List].
type Settings[K, V comparable] struct {
	// Capacity is how many are kept.
	Capacity int
	Now      func() time.Time
	// Until is when a value ends.
	Until func(V) time.Time
	// Shape says which of the names a key has, as a number below Shapes. [List.Find] looks once for each shape in use.
	Shape  func(K) int
	Shapes int
}

// List is a list. It may be used by many goroutines.
type List[K, V comparable] struct {
	set Settings[K, V]

	mu       sync.RWMutex
	values   map[K]V
	shapes   []int // how many have this shape
	watchers map[*func(V)]struct{}
}

// New returns an empty list.
func New[K, V comparable](set Settings[K, V]) *List[K, V] {
	return &List[K, V]{
		set: set, values: map[K]V{}, shapes: make([]int, set.Shapes), watchers: map[*func(V)]struct{}{},
	}
}

// ErrFull is the error of a list that has no room. What is on it stays there.
var ErrFull = errors.New("the list is full")

// Put keeps v under k, and returns when every watcher has been told. Where there is one that has not ended, merge, if not
// nil, says what becomes of the two; if that is the old one, nobody is told.
func (l *List[K, V]) Put(k K, v V, merge func(old, v V) V) error {
	told, v, err := l.put(k, v, merge)
	for _, tell := range told {
		tell(v)
	}
	return err
}

func (l *List[K, V]) put(k K, v V, merge func(old, v V) V) (told []func(V), _ V, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.set.Now()
	old, again := l.values[k]
	if again && merge != nil && l.set.Until(old).After(now) {
		if v = merge(old, v); v == old {
			return nil, v, nil
		}
	}
	if !again && len(l.values) >= l.set.Capacity {
		for k, v := range l.values {
			if !l.set.Until(v).After(now) {
				l.drop(k)
			}
		}
		if len(l.values) >= l.set.Capacity {
			return nil, v, ErrFull
		}
	}
	if !again {
		l.shapes[l.set.Shape(k)]++
	}
	l.values[k] = v
	for tell := range l.watchers {
		told = append(told, *tell)
	}
	return told, v, nil
}

// Drop takes the value of k off the list, and reports whether it was on it.
func (l *List[K, V]) Drop(k K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(k)
}

func (l *List[K, V]) drop(k K) bool {
	_, ok := l.values[k]
	if ok {
		delete(l.values, k)
		l.shapes[l.set.Shape(k)]--
	}
	return ok
}

// Find returns a value that has not ended and that applies, if not nil, accepts. key gives what to look for, of a shape.
func (l *List[K, V]) Find(key func(shape int) K, applies func(V) bool) (found V, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.values) == 0 {
		return found, false
	}
	now := l.set.Now()
	for shape, n := range l.shapes {
		if n == 0 {
			continue
		}
		if v, ok := l.values[key(shape)]; ok && l.set.Until(v).After(now) && (applies == nil || applies(v)) {
			return v, true
		}
	}
	return found, false
}

// Holds reports whether there is a key that has one of the shapes from least to below most.
func (l *List[K, V]) Holds(least, most int) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, n := range l.shapes[least:most] {
		if n > 0 {
			return true
		}
	}
	return false
}

// All returns what has not ended, in any order.
func (l *List[K, V]) All() []V {
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.set.Now()
	all := make([]V, 0, len(l.values))
	for _, v := range l.values {
		if l.set.Until(v).After(now) {
			all = append(all, v)
		}
	}
	return all
}

// Len returns how many are kept, some of which may have ended.
func (l *List[K, V]) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.values)
}

// Watch calls tell with every value that is added from now on, until stop is called. tell must be quick, since Put waits for
// it, and must not call the list.
func (l *List[K, V]) Watch(tell func(V)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[&tell] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, &tell)
	}
}
