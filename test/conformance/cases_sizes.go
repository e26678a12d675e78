package conformance

import (
	"fmt"
	"strings"
)

// sizes is group 9: long messages, in one frame, in many, and in small writes.
func sizes(t *table) {
	kinds := []func(n int) Message{
		func(n int) Message { return text(filled("BAsd7&jh23mn1ö", n)) },
		func(n int) Message { return data([]byte(filled("\x00\xfe\xff{}[]0123456\n", n))) },
	}
	for kind, make := range kinds {
		name := []string{"text", "binary"}[kind]
		add := func(group, n, size int, title string, script func() Script) {
			t.add(fmt.Sprintf("9.%d.%d", group+kind, n+1), fmt.Sprintf("a %s of "+title, name, size), script)
		}
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10} {
			add(1, i, size, "%d KiB", func() Script { return echoed(make(size << 10)) })
		}
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			add(3, i, size, "4 MiB in frames of %d bytes", func() Script {
				m := make(4 << 20)
				return sending(fragmented(m, size)).want(m).chopped(1 << 20)
			})
		}
		for i, size := range []int{64, 128, 256, 512, 1024, 2048} {
			add(5, i, size, "1 MiB in writes of %d bytes", func() Script { return echoed(make(1 << 20)).chopped(size) })
		}
		for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
			add(7, i, size, "%d bytes, a thousand times", func() Script { return echoed(repeat(make(size), 1000)...) })
		}
	}
}

// filled returns n bytes: as many of pattern as fit whole, then dashes.
func filled(pattern string, n int) string {
	return strings.Repeat(pattern, n/len(pattern)) + strings.Repeat("-", n%len(pattern))
}

func repeat(m Message, n int) []Message {
	list := make([]Message, n)
	for i := range list {
		list[i] = m
	}
	return list
}

// various is group 10.
func various(t *table) {
	t.add("10.1.1", "a text of 64 KiB in frames of 1,300 bytes", func() Script {
		m := text(strings.Repeat("*", 65536))
		return sending(fragmented(m, 1300)).want(m)
	})
	t.add("10.1.2", "Pings in a text of 64 KiB in frames of 1,300 bytes", func() Script {
		m := text(strings.Repeat("*", 65536))
		var s Script
		for _, f := range fragmented(m, 1300) {
			s.Send = append(s.Send, whole(ping("!")), f)
			s.Want = append(s.Want, ping("!"))
		}
		s.Want = append(s.Want, m)
		return s
	})
}
