package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// framing is group 1: the three forms of a length, and messages of both types (RFC 6455 §5.2, §5.6).
func framing(t *table) {
	for group, make := range []func(n int) Message{
		func(n int) Message { return text(strings.Repeat("*", n)) },
		func(n int) Message { return data(bytes.Repeat([]byte{0xfe}, n)) },
	} {
		kind := []string{"text", "binary"}[group]
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			id := fmt.Sprintf("1.%d.%d", group+1, i+1)
			title := fmt.Sprintf("a %s message of %d bytes", kind, n)
			if i == 7 {
				t.add(id, title+", in writes of 997", func() Script { return echoed(make(n)).chopped(997) })
				continue
			}
			t.add(id, title, func() Script { return echoed(make(n)) })
		}
	}
	t.rows([]row{
		{"1.3.1", "an unmasked text frame", sending(append(header(fin|opText, 5, false), "Hello"...)).fails(wire.UnmaskedClientFrame, 1002)},
		{"1.3.2", "an unmasked Ping", sending(text("Hello"), header(fin|opPing, 0, false)).want(text("Hello")).fails(wire.UnmaskedClientFrame, 1002)},
		{"1.3.3", "a masked frame of the standard's example", Script{Send: [][]byte{[]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")}, Want: []Message{text("Hello")}}},
		{"1.3.4", "a masking key of zeros", Script{Send: [][]byte{[]byte("\x81\x85\x00\x00\x00\x00Hello")}, Want: []Message{text("Hello")}}},
	})

	// RFC 6455 §5.2: the shortest form, and the top bit of a 64-bit length is 0.
	short := func(length string) Script {
		return Script{Send: [][]byte{append([]byte{fin | opText}, length+"\x00\x00\x00\x00"...)}}
	}
	t.rows([]row{
		{"1.4.1", "a length of 5 in 16 bits", short("\xfe\x00\x05").fails(wire.NonMinimalLength, 1002)},
		{"1.4.2", "a length of 125 in 16 bits", short("\xfe\x00\x7d").fails(wire.NonMinimalLength, 1002)},
		{"1.4.3", "a length of 0 in 64 bits", short("\xff\x00\x00\x00\x00\x00\x00\x00\x00").fails(wire.NonMinimalLength, 1002)},
		{"1.4.4", "a length of 65535 in 64 bits", short("\xff\x00\x00\x00\x00\x00\x00\xff\xff").fails(wire.NonMinimalLength, 1002)},
		{"1.4.5", "a length with the top bit set", short("\xff\x80\x00\x00\x00\x00\x00\x00\x05").fails(wire.InvalidLength, 1002)},
		{"1.4.6", "a length of 64 ones", short("\xff\xff\xff\xff\xff\xff\xff\xff\xff").fails(wire.InvalidLength, 1002)},
		{"1.4.7", "the largest length", short("\xff\x7f\xff\xff\xff\xff\xff\xff\xff").fails(wire.MessageTooBig, 1009)},
	})
}

// pings is group 2 (RFC 6455 §5.5.2, §5.5.3).
func pings(t *table) {
	octets := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	long := strings.Repeat("\xfe", 125)
	tooLong := sending(frame(fin|opPing, bytes.Repeat([]byte{0xfe}, 126))).fails(wire.ControlTooBig, 1002)
	var ten []Message
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprintf("payload-%d", i)))
	}
	t.rows([]row{
		{"2.1", "a Ping without payload", echoed(ping(""))},
		{"2.2", "a Ping with text", echoed(ping("Hello, world!"))},
		{"2.3", "a Ping with bytes that are no UTF-8", echoed(ping(octets))},
		{"2.4", "a Ping of 125 bytes", echoed(ping(long))},
		{"2.5", "a Ping of 126 bytes", tooLong},
		{"2.6", "a Ping of 125 bytes, byte by byte", echoed(ping(long)).chopped(1)},
		{"2.7", "a Pong that nobody asked for", echoed(pong(""))},
		{"2.8", "a Pong with payload that nobody asked for", echoed(pong("unsolicited"))},
		{"2.9", "a Pong that nobody asked for, then a Ping", echoed(pong("unsolicited"), ping("ping"))},
		{"2.10", "ten Pings", echoed(ten...)},
		{"2.11", "ten Pings, byte by byte", echoed(ten...).chopped(1)},
		{"2.12", "a Pong of 126 bytes", sending(frame(fin|opPong, make([]byte, 126))).fails(wire.ControlTooBig, 1002)},
	})
}

// reservedBits is group 3 (RFC 6455 §5.2).
func reservedBits(t *table) {
	bad := func(first byte, payload string) []byte { return frame(fin|first, []byte(payload)) }
	after := sending(text("Hello"), bad(rsv2|opText, "Hello"), ping("")).want(text("Hello")).fails(wire.ReservedBits, 1002)
	t.rows([]row{
		{"3.1", "RSV3 on a text frame", sending(bad(rsv3|opText, "Hello")).fails(wire.ReservedBits, 1002)},
	})
	t.ways(3, 2, "RSV2 on a second text frame", after)
	t.rows([]row{
		{"3.5", "RSV1 and RSV3 on a binary frame", sending(bad(rsv1|rsv3|opBinary, "\x00\xff")).fails(wire.ReservedBits, 1002)},
		{"3.6", "RSV1 and RSV2 on a Ping", sending(bad(rsv1|rsv2|opPing, "Hello")).fails(wire.ReservedBits, 1002)},
		{"3.7", "all three on a Close", sending(bad(rsv1|rsv2|rsv3|opClose, code(1000, ""))).fails(wire.ReservedBits, 1002)},
		{"3.8", "RSV1 without an extension", sending(bad(rsv1|opText, "Hello")).fails(wire.ReservedBits, 1002)},
		{"3.9", "RSV1 on a Pong", sending(bad(rsv1|opPong, "")).fails(wire.ReservedBits, 1002)},
		{"3.10", "RSV1 on a continuation", sending(fragments(opText, "Hel", "lo")[0], bad(rsv1|opContinuation, "lo")).fails(wire.ReservedBits, 1002)},
	})
}

// opcodes is group 4: those that are reserved (RFC 6455 §5.2).
func opcodes(t *table) {
	for group, from := range []byte{3, 11} {
		for i := range byte(5) {
			op := from + i
			reserved := func(payload string) []byte { return frame(fin|op, []byte(payload)) }
			id := fmt.Sprintf("4.%d.%d", group+1, i+1)
			title := fmt.Sprintf("opcode %d", op)
			switch i {
			case 0:
				t.script(id, title+" without payload", sending(reserved("")).fails(wire.ReservedOpcode, 1002))
			case 1:
				t.script(id, title+" with payload", sending(reserved("reserved")).fails(wire.ReservedOpcode, 1002))
			case 2:
				t.script(id, title+" behind a text message", sending(text("Hello"), reserved(""), ping("")).
					want(text("Hello")).fails(wire.ReservedOpcode, 1002))
			case 3:
				t.script(id, title+" with payload behind a text message", sending(text("Hello"), reserved("reserved"), ping("")).
					want(text("Hello")).fails(wire.ReservedOpcode, 1002))
			case 4:
				t.script(id, title+" behind a text message, byte by byte", sending(text("Hello"), reserved("reserved"), ping("")).
					want(text("Hello")).fails(wire.ReservedOpcode, 1002).chopped(1))
			}
		}
	}
	t.rows([]row{
		{"4.3.1", "a reserved opcode inside a message", sending(fragments(opText, "Hel", "lo")[0], frame(fin|0x3, nil)).fails(wire.ReservedOpcode, 1002)},
	})
}

// fragmentation is group 5 (RFC 6455 §5.4).
func fragmentation(t *table) {
	two := fragments(opText, "fragment1", "fragment2")
	five := fragments(opText, "fragment1", "fragment2", "fragment3", "fragment4", "fragment5")
	open := frame(opContinuation, []byte("fragment"))
	end := frame(fin|opContinuation, []byte("fragment"))
	joined := text("fragment1fragment2")
	all := text("fragment1fragment2fragment3fragment4fragment5")

	t.rows([]row{
		{"5.1", "a Ping in two frames", sending(fragments(opPing, "a", "b")).fails(wire.FragmentedControl, 1002)},
		{"5.2", "a Pong in two frames", sending(fragments(opPong, "a", "b")).fails(wire.FragmentedControl, 1002)},
	})
	t.ways(5, 3, "a text in two frames", sending(two).want(joined))
	t.ways(5, 6, "a Ping between the frames of a text", sending(two[0], ping("ping"), two[1]).want(ping("ping"), joined))
	t.ways(5, 9, "a last continuation of nothing", sending(end, text("Hello")).fails(wire.UnexpectedContinuation, 1002))
	t.ways(5, 12, "a continuation of nothing", sending(open, text("Hello")).fails(wire.UnexpectedContinuation, 1002))
	t.rows([]row{
		{"5.15", "a continuation behind a whole message", sending(two, open, text("Hello")).want(joined).fails(wire.UnexpectedContinuation, 1002)},
		{"5.16", "a continuation of nothing before a text, twice", sending(open, text("a"), end, open, text("a"), end).fails(wire.UnexpectedContinuation, 1002)},
		{"5.17", "a last continuation of nothing before a text, twice", sending(end, text("a"), end, end, text("a"), end).fails(wire.UnexpectedContinuation, 1002)},
		{"5.18", "a text inside a text", sending(two[0], text("fragment2")).fails(wire.ExpectedContinuation, 1002)},
	})
	pinged := sending(five[0], five[1], ping("one"), five[2], five[3], ping("two"), five[4]).
		want(ping("one"), ping("two"), all)
	t.rows([]row{
		{"5.19", "Pings between five frames", pinged},
		{"5.20", "Pings between five frames, in one write", pinged.chopped(1 << 20)},
		{"5.21", "a binary inside a text", sending(two[0], data([]byte("x"))).fails(wire.ExpectedContinuation, 1002)},
		{"5.22", "a Close in two frames", sending(fragments(opClose, "\x03", "\xe8")).fails(wire.FragmentedControl, 1002)},
		{"5.23", "a binary in three frames, some empty", sending(fragments(opBinary, "", "\xff\x00", "")).want(data([]byte{0xff, 0}))},
		{"5.24", "a Pong between the frames of a binary", sending(fragments(opBinary, "a", "b")[0], pong(""), end).want(pong(""), data([]byte("afragment")))},
		{"5.25", "a hundred empty continuations", sending(fragments(opText, make([]string, 101)...)).want(text(""))},
		{"5.26", "a text in frames of one byte, in one write", sending(fragmented(text("Hello, 世界"), 1)).want(text("Hello, 世界")).chopped(1 << 20)},
	})
}
