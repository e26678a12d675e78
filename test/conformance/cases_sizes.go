package conformance

import (
	"bytes"
	"fmt"
	"strings"
)

// sizes is group 9: long messages, in one frame, in many, and in small writes, and a thousand one after another.
func sizes(t *table) {
	type kind struct {
		name          string
		make          func(string, int) Message
		pattern, fill string
	}
	for i, k := range []kind{
		{"text", func(pattern string, n int) Message { return text(filled(pattern, n)) }, "BAsd7&jh23", "*"},
		{"binary", func(pattern string, n int) Message { return data([]byte(filled(pattern, n))) }, "\x00\xfe\x23\xfa\xf0", "\xfe"},
	} {
		add := func(group, n, size int, title string, script func() Script) {
			t.add(fmt.Sprintf("9.%d.%d", group+i, n+1), fmt.Sprintf("a %s of "+title, k.name, size), script)
		}
		for n, size := range []int{64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10} {
			add(1, n, size, "%d KiB", func() Script { return echoed(k.make(k.pattern, size<<10)) })
		}
		for n, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			add(3, n, size, "4 MiB in frames of %d bytes", func() Script {
				m := k.make(k.fill, 4<<20)
				return sending(fragmented(m, size)).want(m)
			})
		}
		for n, size := range []int{64, 128, 256, 512, 1024, 2048} {
			add(5, n, size, "1 MiB in writes of %d bytes", func() Script {
				return echoed(k.make(k.pattern, 1<<20)).chopped(size)
			})
		}
		for n, size := range []int{0, 16, 64, 256, 1024, 4096} {
			add(7, n, size, "%d bytes, a thousand times, each behind the echo of the last", func() Script {
				m := k.make(k.fill, size)
				return oneByOne(1000, func(int) Script { return echoed(m) })
			})
		}
	}
}

// filled returns n bytes of pattern, again and again.
func filled(pattern string, n int) string { return strings.Repeat(pattern, n/len(pattern)+1)[:n] }

// oneByOne is a script of n steps, each of which waits for the answers to the last.
func oneByOne(n int, step func(i int) Script) Script {
	var at func(i int) Script
	at = func(i int) Script {
		s := step(i)
		if i+1 < n {
			s.Then = func() *Script { next := at(i + 1); return &next }
		}
		return s
	}
	return at(0)
}

// various is group 10.
func various(t *table) {
	long := func() Message { return text(string(bytes.Repeat([]byte("*"), 65536))) }
	t.add("10.1.1", "a text of 64 KiB in frames of 1,300 bytes", func() Script {
		return sending(fragmented(long(), 1300)).want(long())
	})
	t.add("own/10.1", "Pings in a text of 64 KiB in frames of 1,300 bytes", func() Script {
		var s Script
		for _, f := range fragmented(long(), 1300) {
			s.Send = append(s.Send, whole(ping("!")), f)
			s.Want = append(s.Want, ping("!"))
		}
		s.Want = append(s.Want, long())
		return s
	})
}
