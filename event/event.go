package event

import (
	"math"
	"slices"
	"strconv"
	"time"
	"unsafe"
)

// Event is one WebSocket event. The zero value is empty and ready to use; [Event.Reset] empties one for reuse and
// keeps its memory. An Event is not safe for concurrent use.
type Event struct {
	// Name says what happened; see the table in names.go.
	Name Name
	// Time is when it happened, by the source's clock.
	Time time.Time
	// Observed is when the source wrote it down (ObservedTimestamp in OTLP). Zero means the same as Time. For a
	// source whose visibility is "at_close" it is what the event is counted by; see [Event.Facts].
	Observed time.Time
	// TraceID and SpanID are all zero when the source had no trace context.
	TraceID [16]byte
	SpanID  [8]byte
	// Resource describes who reports; many events share one. Nil means unknown.
	Resource *Resource

	// attrs are in the order in which they were set; seen are their keys, so that most lookups need not search.
	attrs []attribute
	seen  keySet
	// extra holds attributes that are not in the model, by name, in order of arrival. The pii processor drops them
	// unless it is told to scan them.
	extra []Named
}

type attribute struct {
	key   Key
	value Value
}

// Named is an attribute outside the model, or one of a [Resource].
type Named struct {
	Name  string
	Value Value
}

// Reset empties e and keeps its memory for the next event.
func (e *Event) Reset() {
	attrs, extra := e.attrs[:0], e.extra[:0]
	clear(e.attrs)
	clear(e.extra)
	*e = Event{attrs: attrs, extra: extra}
}

// Get returns the value of k, or the zero Value, whose kind is [KindAbsent].
func (e *Event) Get(k Key) Value {
	if !e.seen.has(k) {
		return Value{}
	}
	for i := range e.attrs {
		if e.attrs[i].key == k {
			return e.attrs[i].value
		}
	}
	return Value{}
}

// Has reports whether k is set.
func (e *Event) Has(k Key) bool { return e.seen.has(k) }

// Set stores v under k, replacing what was there; an absent v removes k. It panics if v's kind is not the one that
// the model gives k, which is a fault of the program: values from outside go through [Key.Accepts] first.
func (e *Event) Set(k Key, v Value) {
	if v.kind == KindAbsent {
		e.attrs = slices.DeleteFunc(e.attrs, func(a attribute) bool { return a.key == k })
		e.seen.remove(k)
		return
	}
	if v.kind != k.Definition().Kind {
		panic("event: " + k.String() + " is " + k.Definition().Kind.String() + ", not " + v.kind.String())
	}
	if !e.seen.has(k) {
		e.append(k, v)
		return
	}
	for i := range e.attrs {
		if e.attrs[i].key == k {
			e.attrs[i].value = v
			return
		}
	}
}

// Accept is [Event.Set] for a value from outside: it stores v if [Key.Accepts] it, and reports whether it did.
func (e *Event) Accept(k Key, v Value) bool {
	d := k.Definition()
	if v.kind != d.Kind || v.kind == KindAbsent || !d.valid(&v) {
		return false
	}
	if e.seen.has(k) {
		e.Set(k, v)
	} else {
		e.append(k, v)
	}
	return true
}

// append adds an attribute that e does not have.
func (e *Event) append(k Key, v Value) {
	e.attrs = append(e.attrs, attribute{k, v})
	e.seen.add(k)
}

// SetString is [Event.Set] for a string.
func (e *Event) SetString(k Key, v string) { e.Set(k, String(v)) }

// SetInt is [Event.Set] for an int.
func (e *Event) SetInt(k Key, v int64) { e.Set(k, Int(v)) }

// SetDouble is [Event.Set] for a double.
func (e *Event) SetDouble(k Key, v float64) { e.Set(k, Double(v)) }

// SetBool is [Event.Set] for a bool.
func (e *Event) SetBool(k Key, v bool) { e.Set(k, Bool(v)) }

// SetStrings is [Event.Set] for a list of strings.
func (e *Event) SetStrings(k Key, v ...string) { e.Set(k, Strings(v)) }

// String returns the string stored under k, or "".
func (e *Event) String(k Key) string { return e.Get(k).Str() }

// Len is how many attributes of the model are set.
func (e *Event) Len() int { return len(e.attrs) }

// At returns the attribute at index i, in the order in which they were set.
func (e *Event) At(i int) (Key, Value) { return e.attrs[i].key, e.attrs[i].value }

// KeyAt is the key of [Event.At].
func (e *Event) KeyAt(i int) Key { return e.attrs[i].key }

// ValueAt is the value of [Event.At]; it belongs to e.
func (e *Event) ValueAt(i int) *Value { return &e.attrs[i].value }

// Each calls f for every attribute of the model that is set, in the order in which they were set.
func (e *Event) Each(f func(Key, Value)) {
	for i := range e.attrs {
		f(e.attrs[i].key, e.attrs[i].value)
	}
}

// AddExtra keeps an attribute that the model does not know.
func (e *Event) AddExtra(name string, v Value) { e.extra = append(e.extra, Named{name, v}) }

// Extra returns the attributes outside the model. The slice belongs to e.
func (e *Event) Extra() []Named { return e.extra }

// Clone returns a copy that shares no memory with e but the immutable strings and the Resource.
func (e *Event) Clone() Event {
	c := *e
	c.attrs = slices.Clone(e.attrs)
	c.extra = slices.Clone(e.extra)
	return c
}

// MaxFuture is how far the time of an event may lie after its receipt. A clock that is further ahead would open a bucket
// that no watermark has reached.
const MaxFuture = time.Minute

// ClampFuture sets times of e that lie more than [MaxFuture] after its receipt to that, and reports whether there were
// any, for the caller to count.
func (e *Event) ClampFuture(receipt time.Time) (clamped bool) {
	limit := receipt.Add(MaxFuture)
	if e.Time.After(limit) {
		e.Time, clamped = receipt, true
	}
	if e.Observed.After(limit) {
		e.Observed, clamped = receipt, true
	}
	return clamped
}

// CopyFrom makes e a copy of src, as [Event.Clone] does, in the memory that e has.
func (e *Event) CopyFrom(src *Event) {
	attrs, extra := append(e.attrs[:0], src.attrs...), append(e.extra[:0], src.extra...)
	*e = *src
	e.attrs, e.extra = attrs, extra
}

// Resource holds the resource attributes of who reports: service.name and its kind (OpenTelemetry resource
// semantic conventions). It is immutable once events share it.
type Resource struct {
	attrs []Named
}

// NewResource returns a Resource with the attributes given, sorted by name; the last of two equal names wins.
func NewResource(attrs ...Named) *Resource {
	r := &Resource{}
	for _, a := range attrs {
		i, found := slices.BinarySearchFunc(r.attrs, a.Name, func(n Named, name string) int {
			switch {
			case n.Name < name:
				return -1
			case n.Name > name:
				return 1
			}
			return 0
		})
		if found {
			r.attrs[i] = a
		} else {
			r.attrs = slices.Insert(r.attrs, i, a)
		}
	}
	return r
}

// Attributes returns them sorted by name. The slice belongs to r; a nil r has none.
func (r *Resource) Attributes() []Named {
	if r == nil {
		return nil
	}
	return r.attrs
}

// String returns the string stored under name, or "".
func (r *Resource) String(name string) string {
	for _, a := range r.Attributes() {
		if a.Name == name {
			return a.Value.Str()
		}
	}
	return ""
}

// Kind is the type of a [Value].
type Kind uint8

// The kinds that the event model uses; they map one to one to OTLP's AnyValue.
// The kinds. KindAbsent is the zero Value's.
const (
	KindAbsent Kind = iota
	KindString
	KindInt
	KindDouble
	KindBool
	KindStrings
)

// String is the kind's name in docs/events.md.
func (k Kind) String() string {
	return [...]string{"absent", "string", "int", "double", "bool", "string[]"}[k]
}

// Value is an attribute's value. The zero Value is absent.
type Value struct {
	str string
	// list is the first string of a list, whose length is num: lists are rare and Values are copied often.
	list *string
	num  uint64
	kind Kind
}

// String makes a Value of a string.
func String(v string) Value { return Value{kind: KindString, str: v} }

// Int makes a Value of an int.
func Int(v int64) Value { return Value{kind: KindInt, num: uint64(v)} }

// Double makes a Value of a double.
func Double(v float64) Value { return Value{kind: KindDouble, num: math.Float64bits(v)} }

// Strings makes a Value of a list, which must not be changed afterwards.
func Strings(v []string) Value {
	return Value{kind: KindStrings, list: unsafe.SliceData(v), num: uint64(len(v))}
}

// Bool makes a Value of a bool.
func Bool(v bool) (b Value) {
	b.kind = KindBool
	if v {
		b.num = 1
	}
	return b
}

// Kind says which of the accessors below holds the value.
func (v Value) Kind() Kind { return v.kind }

// Str returns the string, or "" for another kind.
func (v Value) Str() string { return v.str }

// Int returns the int, or 0 for another kind.
func (v Value) Int() int64 {
	if v.kind != KindInt {
		return 0
	}
	return int64(v.num)
}

// Double returns the double, an int as a double, or 0 for another kind.
func (v Value) Double() float64 {
	switch v.kind {
	case KindDouble:
		return math.Float64frombits(v.num)
	case KindInt:
		return float64(int64(v.num))
	}
	return 0
}

// Bool returns the bool, or false for another kind.
func (v Value) Bool() bool { return v.kind == KindBool && v.num == 1 }

// Strings returns the list, or nil for another kind. It must not be changed.
func (v Value) Strings() []string {
	if v.kind != KindStrings {
		return nil
	}
	return unsafe.Slice(v.list, v.num)
}

// Text returns the value as a person would write it; for messages and map-typed storage, not for comparison.
func (v Value) Text() string {
	switch v.kind {
	case KindInt:
		return strconv.FormatInt(int64(v.num), 10)
	case KindDouble:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case KindBool:
		return strconv.FormatBool(v.num == 1)
	case KindStrings:
		var b []byte
		for i, s := range v.Strings() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, s...)
		}
		return string(b)
	}
	return v.str
}

// Equal reports whether v and w are of one kind and hold the same value.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && v.str == w.str && v.num == w.num && slices.Equal(v.Strings(), w.Strings())
}
