package conformance

import (
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// closeHandling is group 7 (RFC 6455 §5.5.1, §7). Behind a Close nothing is answered.
func closeHandling(t *table) {
	const world = "Hello World!"
	normal := closing(code(1000, ""))
	two := fragments(opText, "fragment1", "fragment2")
	t.rows([]row{
		{"7.1.1", "a message, then a Close", echoed(text(world))},
		{"7.1.2", "two Closes", sending(normal, closing("")).want(normal)},
		{"7.1.3", "a Ping behind a Close", sending(normal, ping("")).want(normal)},
		{"7.1.4", "a text behind a Close", sending(normal, text(world)).want(normal)},
		{"7.1.5", "a Close between the frames of a text", sending(two[0], normal, two[1]).want(normal)},
	})
	t.informational("7.1.6", "a text of 256 KiB, a short one, a Close, a Ping", func() Script {
		long := text(filled("BAsd7&jh23", 256<<10))
		return sending(long, text(world), normal, ping("")).want(long, text(world), normal)
	})

	reason := func(n int) string { return strings.Repeat("*", n) }
	t.rows([]row{
		{"7.3.1", "a Close without payload", echoed(closing(""))},
		{"7.3.2", "a Close of one byte", sending(closing("a")).fails(wire.InvalidClosePayload, 1002).closing()},
		{"7.3.3", "a Close with a code", echoed(normal)},
		{"7.3.4", "a Close with a code and a reason", echoed(closing(code(1000, world)))},
		{"7.3.5", "a Close with the longest reason", echoed(closing(code(1000, reason(123))))},
		{"7.3.6", "a Close with a reason of 124 bytes", sending(closing(code(1000, reason(124)))).fails(wire.ControlTooBig, 1002).closing()},
		{"7.5.1", "a reason that is no UTF-8", sending(closing(code(1000, greek+"\xed\xa0\x80edited"))).fails(wire.InvalidCloseReason, 1007).closing()},
	})

	with := func(n int, valid bool, reason string) Script {
		m := closing(code(n, reason))
		if valid {
			return echoed(m)
		}
		return sending(m).fails(wire.InvalidCloseCode, 1002).closing()
	}
	codes := func(group int, valid bool, list ...int) {
		for i, n := range list {
			t.script(fmt.Sprintf("7.%d.%d", group, i+1), fmt.Sprintf("a Close with %d", n), with(n, valid, ""))
		}
	}
	codes(7, true, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
	codes(9, false, 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
	for i, n := range []int{5000, 65535} {
		undefined := func() Script { return with(n, false, "") }
		t.informational(fmt.Sprintf("7.13.%d", i+1), fmt.Sprintf("a Close with %d", n), undefined)
	}

	t.rows([]row{
		{"own/7.1", "what is wrong behind a Close", sending(normal, []byte{0xff, 0x00}).want(normal)},
		{"own/7.2", "a text behind what is wrong", sending(frame(fin|0x3, nil), text("Hello"), normal).fails(wire.ReservedOpcode, 1002).closing()},
		{"own/7.3", "a reason that ends inside a letter", sending(closing(code(1000, "\xe2\x82"))).fails(wire.InvalidCloseReason, 1007).closing()},
		{"own/7.4", "a reason of letters of two bytes", echoed(closing(code(1000, "Hello, wörld!")))},
	})
	for i, n := range []int{1012, 1013, 1014, 1001, 3000, 4999} {
		t.script(fmt.Sprintf("own/7.7.%d", i+1), fmt.Sprintf("a Close with %d and a reason", n), with(n, true, "reason"))
	}
	for i, n := range []int{1, 1004, 1005, 1006, 1015, 2999, 5000, 65535} {
		t.script(fmt.Sprintf("own/7.9.%d", i+1), fmt.Sprintf("a Close with %d and a reason", n), with(n, false, "reason"))
	}
}
