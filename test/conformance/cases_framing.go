package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

const hello = "Hello, world!"

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
		{"own/1.1", "an unmasked text frame", sending(append(header(fin|opText, 5, false), "Hello"...)).fails(wire.UnmaskedClientFrame, 1002)},
		{"own/1.2", "an unmasked Ping", sending(text("Hello"), header(fin|opPing, 0, false)).want(text("Hello")).fails(wire.UnmaskedClientFrame, 1002)},
		{"own/1.3", "a masked frame of the standard's example", Script{Send: [][]byte{[]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")}, Want: []Message{text("Hello")}}},
		{"own/1.4", "a masking key of zeros", Script{Send: [][]byte{[]byte("\x81\x85\x00\x00\x00\x00Hello")}, Want: []Message{text("Hello")}}},
	})

	// RFC 6455 §5.2: the shortest form, and the top bit of a 64-bit length is 0.
	short := func(length string) Script {
		return Script{Send: [][]byte{append([]byte{fin | opText}, length+"\x00\x00\x00\x00"...)}}
	}
	t.rows([]row{
		{"own/1.5", "a length of 5 in 16 bits", short("\xfe\x00\x05").fails(wire.NonMinimalLength, 1002)},
		{"own/1.6", "a length of 125 in 16 bits", short("\xfe\x00\x7d").fails(wire.NonMinimalLength, 1002)},
		{"own/1.7", "a length of 0 in 64 bits", short("\xff\x00\x00\x00\x00\x00\x00\x00\x00").fails(wire.NonMinimalLength, 1002)},
		{"own/1.8", "a length of 65535 in 64 bits", short("\xff\x00\x00\x00\x00\x00\x00\xff\xff").fails(wire.NonMinimalLength, 1002)},
		{"own/1.9", "a length with the top bit set", short("\xff\x80\x00\x00\x00\x00\x00\x00\x05").fails(wire.InvalidLength, 1002)},
		{"own/1.10", "a length of 64 ones", short("\xff\xff\xff\xff\xff\xff\xff\xff\xff").fails(wire.InvalidLength, 1002)},
		{"own/1.11", "the largest length", short("\xff\x7f\xff\xff\xff\xff\xff\xff\xff").fails(wire.MessageTooBig, 1009)},
	})
}

// octets are no UTF-8.
const octets = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"

// pings is group 2 (RFC 6455 §5.5.2, §5.5.3).
func pings(t *table) {
	long := strings.Repeat("\xfe", 125)
	tooLong := sending(frame(fin|opPing, bytes.Repeat([]byte{0xfe}, 126))).fails(wire.ControlTooBig, 1002)
	var ten []Message
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprintf("payload-%d", i)))
	}
	normal, unsolicited := closing(code(1000, "")), pong("unsolicited pong payload")
	t.rows([]row{
		{"2.1", "a Ping without payload", echoed(ping(""))},
		{"2.2", "a Ping with text", echoed(ping(hello))},
		{"2.3", "a Ping with bytes that are no UTF-8", echoed(ping(octets))},
		{"2.4", "a Ping of 125 bytes", echoed(ping(long))},
		{"2.5", "a Ping of 126 bytes", tooLong},
		{"2.6", "a Ping of 125 bytes, byte by byte", echoed(ping(long)).chopped(1)},
		{"2.7", "a Pong that nobody asked for, then a Close", echoed(pong(""), normal)},
		{"2.8", "a Pong with payload that nobody asked for, then a Close", echoed(unsolicited, normal)},
		{"2.9", "a Pong that nobody asked for, then a Ping", echoed(unsolicited, ping("ping payload"))},
		{"2.10", "ten Pings", echoed(ten...)},
		{"2.11", "ten Pings, byte by byte", echoed(ten...).chopped(1)},
		{"own/2.1", "a Pong of 126 bytes", sending(frame(fin|opPong, make([]byte, 126))).fails(wire.ControlTooBig, 1002)},
	})
}

// reservedBits is group 3 (RFC 6455 §5.2).
func reservedBits(t *table) {
	bad := func(first byte, payload string) []byte { return frame(fin|first, []byte(payload)) }
	second := func(bits byte) Script {
		return sending(text(hello), bad(bits|opText, hello), ping("")).want(text(hello)).fails(wire.ReservedBits, 1002)
	}
	t.rows([]row{
		{"3.1", "RSV3 on a text frame", sending(bad(rsv3|opText, hello)).fails(wire.ReservedBits, 1002)},
		{"3.2", "RSV2 on a second text frame, then a Ping, in one write", second(rsv2)},
		{"3.3", "RSV2 and RSV3 on a second text frame, then a Ping, frame by frame", second(rsv2 | rsv3).chopped(frameByFrame)},
		{"3.4", "RSV1 on a second text frame, then a Ping, byte by byte", second(rsv1).chopped(1)},
		{"3.5", "RSV1 and RSV3 on a binary frame", sending(bad(rsv1|rsv3|opBinary, octets)).fails(wire.ReservedBits, 1002)},
		{"3.6", "RSV1 and RSV2 on a binary frame", sending(bad(rsv1|rsv2|opBinary, hello)).fails(wire.ReservedBits, 1002)},
		{"3.7", "all three on a Close", sending(bad(rsv1|rsv2|rsv3|opClose, "")).fails(wire.ReservedBits, 1002)},
		{"own/3.1", "RSV1 and RSV2 on a Ping", sending(bad(rsv1|rsv2|opPing, "Hello")).fails(wire.ReservedBits, 1002)},
		{"own/3.2", "RSV1 without an extension", sending(bad(rsv1|opText, "Hello")).fails(wire.ReservedBits, 1002)},
		{"own/3.3", "RSV1 on a Pong", sending(bad(rsv1|opPong, "")).fails(wire.ReservedBits, 1002)},
		{"own/3.4", "RSV1 on a continuation", sending(fragments(opText, "Hel", "lo")[0], bad(rsv1|opContinuation, "lo")).fails(wire.ReservedBits, 1002)},
	})
}

// opcodes is group 4: those that are reserved (RFC 6455 §5.2).
func opcodes(t *table) {
	for group, from := range []byte{3, 11} {
		for i := range byte(5) {
			op := from + i
			payload := []string{"", "reserved opcode payload", "", hello, hello}[i]
			s := sending(frame(fin|op, []byte(payload)))
			title := fmt.Sprintf("opcode %d", op)
			if payload != "" {
				title += " with payload"
			}
			if i >= 2 {
				s = sending(text(hello), s.Send, ping("")).want(text(hello))
				title += " between a text message and a Ping"
			}
			if i == 4 {
				s = s.chopped(1)
				title += ", byte by byte"
			}
			t.script(fmt.Sprintf("4.%d.%d", group+1, i+1), title, s.fails(wire.ReservedOpcode, 1002))
		}
	}
	t.rows([]row{
		{"own/4.1", "a reserved opcode inside a message", sending(fragments(opText, "Hel", "lo")[0], frame(fin|0x3, nil)).fails(wire.ReservedOpcode, 1002)},
	})
}

// fragmentation is group 5 (RFC 6455 §5.4).
func fragmentation(t *table) {
	two := fragments(opText, "fragment1", "fragment2")
	joined := text("fragment1fragment2")
	piece := func(first byte, payload string) []byte { return frame(first, []byte(payload)) }

	t.rows([]row{
		{"5.1", "a Ping in two frames", sending(fragments(opPing, "fragment1", "fragment2")).fails(wire.FragmentedControl, 1002)},
		{"5.2", "a Pong in two frames", sending(fragments(opPong, "fragment1", "fragment2")).fails(wire.FragmentedControl, 1002)},
	})
	t.ways(5, 3, "a text in two frames", sending(two).want(joined))
	between := ping("ping payload")
	t.ways(5, 6, "a Ping between the frames of a text", sending(two[0], between, two[1]).want(between, joined))
	t.ways(5, 9, "a last continuation of nothing, then a text",
		sending(piece(fin|opContinuation, "non-continuation payload"), text(hello)).fails(wire.UnexpectedContinuation, 1002))
	t.ways(5, 12, "a continuation of nothing, then a text",
		sending(piece(opContinuation, "non-continuation payload"), text(hello)).fails(wire.UnexpectedContinuation, 1002))
	twice := func(first byte) Script {
		once := [][]byte{piece(first, "fragment1"), piece(opText, "fragment2"), piece(fin|opContinuation, "fragment3")}
		return sending(once, once).fails(wire.UnexpectedContinuation, 1002)
	}
	t.rows([]row{
		{"5.15", "a continuation behind a text in two frames, then a text", sending(two, piece(opContinuation, "fragment3"), text("fragment4")).want(joined).fails(wire.UnexpectedContinuation, 1002)},
		{"5.16", "a continuation of nothing before a text in two frames, twice", twice(opContinuation)},
		{"5.17", "a last continuation of nothing before a text in two frames, twice", twice(fin | opContinuation)},
		{"5.18", "a text inside a text", sending(two[0], text("fragment2")).fails(wire.ExpectedContinuation, 1002)},
	})
	five := fragments(opText, "fragment1", "fragment2", "fragment3", "fragment4", "fragment5")
	all := text("fragment1fragment2fragment3fragment4fragment5")
	pinged := func(chop int) Script {
		rest := sending(five[2], five[3], ping("pongme 2!"), five[4]).want(ping("pongme 2!"), all).chopped(chop)
		return sending(five[0], five[1], ping("pongme 1!")).want(ping("pongme 1!")).chopped(chop).then(rest)
	}
	t.rows([]row{
		{"5.19", "Pings between five frames, the first answered before the rest is sent", pinged(0)},
		{"5.20", "the same, frame by frame", pinged(frameByFrame)},
		{"own/5.1", "a binary inside a text", sending(two[0], data([]byte("x"))).fails(wire.ExpectedContinuation, 1002)},
		{"own/5.2", "a Close in two frames", sending(fragments(opClose, "\x03", "\xe8")).fails(wire.FragmentedControl, 1002)},
		{"own/5.3", "a binary in three frames, some empty", sending(fragments(opBinary, "", "\xff\x00", "")).want(data([]byte{0xff, 0}))},
		{"own/5.4", "a Pong between the frames of a binary", sending(piece(opBinary, "a"), pong(""), piece(fin, "b")).want(pong(""), data([]byte("ab")))},
		{"own/5.5", "a hundred empty continuations", sending(fragments(opText, make([]string, 101)...)).want(text(""))},
		{"own/5.6", "a text in frames of one byte, in one write", sending(fragmented(text("Hello, 世界"), 1)).want(text("Hello, 世界"))},
	})
}
