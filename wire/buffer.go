package wire

import (
	"math/bits"
	"sync"
)

// buffer is memory from the package's pools. What is unfinished is kept in one, and it goes back when it is finished.
type buffer struct{ b []byte }

// Buffers of each size class have a pool: 1<<minClass bytes, twice that and so on to 1<<maxClass. Larger ones are left
// to the garbage collector, so that one large message does not stay in memory.
const (
	minClass = 8
	maxClass = 20
)

var pools [maxClass - minClass + 1]sync.Pool

// takeBuffer returns an empty buffer for at least n bytes.
func takeBuffer(n int) *buffer {
	class := max(bits.Len(uint(n-1)), minClass)
	if n <= 1 {
		class = minClass
	}
	if class > maxClass {
		return &buffer{make([]byte, 0, n)}
	}
	if b, ok := pools[class-minClass].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, 1<<class)}
}

// release gives b back. It may be nil.
func (b *buffer) release() {
	if b == nil {
		return
	}
	class := bits.Len(uint(cap(b.b))) - 1
	if class < minClass || class > maxClass || cap(b.b) != 1<<class {
		return
	}
	b.b = b.b[:0]
	pools[class-minClass].Put(b)
}

// grow returns a buffer with the content of b and room for n bytes more. It doubles, so that no more is copied than was
// received, but not beyond most, which nobody will need.
func (b *buffer) grow(n int, most int64) *buffer {
	if b == nil {
		return takeBuffer(n)
	}
	if len(b.b)+n <= cap(b.b) {
		return b
	}
	larger := takeBuffer(max(len(b.b)+n, int(min(2*int64(cap(b.b)), most))))
	larger.b = append(larger.b, b.b...)
	b.release()
	return larger
}
