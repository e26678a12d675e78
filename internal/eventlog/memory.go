package eventlog

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sockeye-project/sockeye/event"
)

// memory is where the attributes of a chunk's records are. They are a slice for each record, and each value points to a
// struct of one field. Made by pdata's methods that is an allocation a value, and those are most of what a record costs;
// here they come from blocks.
//
// This takes what pdata does not promise, how its memory is laid out, so [direct] says whether it is as expected. The
// invariant to keep: no two records share memory that can be written, so that whoever gets one may change it by any
// method of pdata.
type memory struct {
	pairs   block[keyValue]
	strings block[string]
	ints    block[int64]
	doubles block[float64]
	bools   block[bool]
}

// keyValue is laid out as an element of a pcommon.Map.
type keyValue struct {
	key   string
	value struct{ any }
	_     int32
}

// What the values of a Map hold: each a pointer to a struct of pdata's, whose one field is the value.
var ofString, ofInt, ofDouble, ofBool any

// direct is whether pdata is laid out as [memory.put] writes it. Where it is not, records are made by pdata's methods.
var direct = learn()

// learn looks at the types of pdata first, and then whether pdata reads what was written.
func learn() bool {
	if t := reflect.TypeFor[pcommon.Map](); t.Kind() != reflect.Struct || t.NumField() == 0 ||
		!alike(t.Field(0).Type, reflect.TypeFor[*[]keyValue]()) {
		return false
	}
	m := pcommon.NewMap()
	m.PutStr("string", "")
	m.PutInt("int", 0)
	m.PutDouble("double", 0)
	m.PutBool("bool", false)
	pairs := *pairsOf(m)
	for i, want := range [...]reflect.Type{
		reflect.TypeFor[*struct{ string }](), reflect.TypeFor[*struct{ int64 }](),
		reflect.TypeFor[*struct{ float64 }](), reflect.TypeFor[*struct{ bool }](),
	} {
		if got := reflect.TypeOf(pairs[i].value.any); got == nil || !alike(got, want) {
			return false
		}
	}
	ofString, ofInt, ofDouble, ofBool = pairs[0].value.any, pairs[1].value.any, pairs[2].value.any, pairs[3].value.any

	var e event.Event
	e.SetString(event.ServerAddress, "a")
	e.SetInt(event.ServerPort, 443)
	e.SetDouble(event.ConnectionDuration, 0.5)
	e.SetBool(event.CloseClean, true)
	e.SetStrings(event.Extensions, "b")
	var mem memory
	got, want := pcommon.NewMap(), pcommon.NewMap()
	mem.put(got, &e, newShape(&e), 0)
	putEach(want, &e)
	return got.Equal(want)
}

// alike reports whether values of a and b look the same in memory, whatever their types are called.
func alike(a, b reflect.Type) bool {
	if a.Kind() != b.Kind() || a.Size() != b.Size() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice:
		return alike(a.Elem(), b.Elem())
	case reflect.Interface:
		return a.NumMethod() == 0 && b.NumMethod() == 0
	case reflect.Struct:
		if a.NumField() != b.NumField() {
			return false
		}
		for i := range a.NumField() {
			if f, g := a.Field(i), b.Field(i); f.Offset != g.Offset || !alike(f.Type, g.Type) {
				return false
			}
		}
		return true
	case reflect.String, reflect.Int32, reflect.Int64, reflect.Float64, reflect.Bool:
		return true
	}
	return false
}

// put fills attrs, which must be empty, with the attributes of e, which is of that shape, and leaves room for others.
func (m *memory) put(attrs pcommon.Map, e *event.Event, s *shape, room int) {
	pairs := m.pairs.take(len(s.names) + room)[:len(s.names)]
	*pairsOf(attrs) = pairs
	for i := range pairs {
		p := &pairs[i]
		p.key = s.names[i]
		switch v := e.ValueAt(i); v.Kind() {
		case event.KindString:
			p.value.any = hold(&m.strings, ofString, v.Str())
		case event.KindInt:
			p.value.any = hold(&m.ints, ofInt, v.Int())
		case event.KindDouble:
			p.value.any = hold(&m.doubles, ofDouble, v.Double())
		case event.KindBool:
			p.value.any = hold(&m.bools, ofBool, v.Bool())
		default:
			dst, _ := attrs.Get(p.key)
			encodeValue(dst, *v)
		}
	}
}

// pairsOf is what m consists of.
func pairsOf(m pcommon.Map) *[]keyValue { return *(**[]keyValue)(unsafe.Pointer(&m)) }

// hold returns an interface of the type of like that points to v in memory of b.
func hold[T any](b *block[T], like any, v T) any {
	p := &b.take(1)[0]
	*p = v
	(*[2]unsafe.Pointer)(unsafe.Pointer(&like))[1] = unsafe.Pointer(p)
	return like
}

// block hands out memory that it allocates many values at a time. One that is in use keeps the others: the records of a
// chunk come and go together.
type block[T any] struct {
	free []T
	// made is how many there have been, expected how many there are likely to be.
	made, expected int
}

const (
	leastBlock = 32
	// mostBlock bounds what is allocated because it is expected: 10 MiB of keyValue.
	mostBlock = 1 << 18
)

// take returns n values, zero.
func (b *block[T]) take(n int) []T {
	if len(b.free) < n {
		b.grow(n)
	}
	taken := b.free[:n:n]
	b.free = b.free[n:]
	return taken
}

// grow allocates at once what is expected. The garbage collector then knows from the first record on how large the chunk will
// be, and does not run time and again while it grows.
func (b *block[T]) grow(n int) {
	size := b.expected - b.made
	if size <= 0 {
		size = max(b.made/8, leastBlock)
	}
	size = max(min(size, mostBlock), n)
	b.free = make([]T, size)
	b.made += size
}

// next returns an empty block that expects to be used as much as b was, if it was.
func (b *block[T]) next() block[T] {
	if b.made == 0 {
		return block[T]{expected: b.expected}
	}
	return block[T]{expected: b.made - len(b.free)}
}

func (b *block[T]) expect(share float64) { b.expected = int(share * float64(b.expected)) }

func (m *memory) expect(share float64) {
	m.pairs.expect(share)
	m.strings.expect(share)
	m.ints.expect(share)
	m.doubles.expect(share)
	m.bools.expect(share)
}

// next returns the memory of the chunk that follows.
func (m *memory) next() memory {
	return memory{m.pairs.next(), m.strings.next(), m.ints.next(), m.doubles.next(), m.bools.next()}
}
