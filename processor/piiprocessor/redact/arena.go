package redact

import "strings"

// arenaBytes is the size of one block of results. A result keeps its block alive, and results of one piece of data
// live and die together.
const arenaBytes = 16 << 10

// arena makes strings out of bytes, many of them in one allocation.
type arena struct{ block strings.Builder }

// reserve makes room for n bytes, so that what is written next is not moved.
func (a *arena) reserve(n int) {
	if a.block.Cap()-a.block.Len() < n {
		a.block = strings.Builder{}
		a.block.Grow(max(n, arenaBytes))
	}
}

// bytes returns b as a string.
func (a *arena) bytes(b []byte) string {
	a.reserve(len(b))
	from := a.block.Len()
	a.block.Write(b)
	return a.block.String()[from:]
}

// join returns the parts as one string.
func (a *arena) join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	a.reserve(n)
	from := a.block.Len()
	for _, p := range parts {
		a.block.WriteString(p)
	}
	return a.block.String()[from:]
}
