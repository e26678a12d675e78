package conformance

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	greek = "κ\u1f79σμε"                  // two bytes a letter, one of three
	many  = "Hello-µ@ßöäüàá-UTF-8!!"      // two bytes a letter among single ones
	wide  = "a\u00a2\u20ac\U00010348 end" // of one to four bytes
)

// utf8Handling is group 6: text is UTF-8, and what cannot become UTF-8 is refused at once (RFC 6455 §5.6, §8.1). Sequences
// follow the table of Unicode §3.9 (3-7) and the groups of Markus Kuhn's stress test.
func utf8Handling(t *table) {
	t.rows([]row{
		{"6.1.1", "an empty text", echoed(text(""))},
		{"6.1.2", "a text of three empty frames", sending(fragments(opText, "", "", "")).want(text(""))},
		{"6.1.3", "a text between empty frames", sending(fragments(opText, "", "middle frame payload", "")).want(text("middle frame payload"))},
		{"6.2.1", "a text in one frame", echoed(text(many))},
		{"6.2.2", "a text cut between letters", sending(fragments(opText, many[:14], many[14:])).want(text(many))},
		{"6.2.3", "a text in frames of one byte", sending(fragmented(text(many), 1)).want(text(many))},
		{"6.2.4", "Greek in frames of one byte", sending(fragmented(text(greek), 1)).want(text(greek))},
	})

	bad := greek + "\xed\xa0\x80edited"
	t.rows([]row{
		{"6.3.1", "a text that is no UTF-8", sending(text(bad)).fails(wire.InvalidUTF8, 1007)},
		{"6.3.2", "a text that is no UTF-8, in frames of one byte", sending(fragmented(text(bad), 1)).fails(wire.InvalidUTF8, 1007)},
	})

	// 6.4: what comes last is sent only to a server that did not refuse at once, so that the message never ends.
	beyond := greek + "\xf4\x90\x80\x80edited"
	refused := func(first, second, last []byte) Script {
		s := sending(second).fails(wire.InvalidUTF8, 1007).then(sending(last).fails(wire.InvalidUTF8, 1007))
		return Script{Send: [][]byte{first}, Quiet: true}.then(s)
	}
	frames := func(one, two int) Script {
		first, second, last := []byte(beyond[:one]), []byte(beyond[one:two]), []byte(beyond[two:])
		return refused(frame(opText, first), frame(opContinuation, second), frame(fin, last))
	}
	const head = 6 // of a frame, in bytes
	inOne := frame(opText, []byte(beyond))
	pieces := func(one, two int) Script {
		return refused(inOne[:head+one], inOne[head+one:head+two], append(inOne[head+two:], frame(fin, nil)...))
	}
	t.rows([]row{
		{"6.4.1", "a bad sequence in a frame of its own, the text unfinished", frames(11, 15)},
		{"6.4.2", "the first bad byte in a frame of its own, the text unfinished", frames(12, 13)},
		{"6.4.3", "a bad sequence, the frame unfinished", pieces(11, 15)},
		{"6.4.4", "the first bad byte, the frame unfinished", pieces(12, 13)},
	})

	for _, group := range sequences() {
		for i, sequence := range group.list {
			s := sending(text(sequence))
			if utf8.ValidString(sequence) {
				s = s.want(text(sequence))
			} else {
				s = s.fails(wire.InvalidUTF8, 1007)
			}
			t.script(fmt.Sprintf("6.%d.%d", group.number, i+1), fmt.Sprintf("%s: %X", group.title, sequence), s)
		}
	}
	t.rows([]row{
		{"own/6.1", "letters of one to four bytes, in frames of one byte", sending(fragmented(text(wide), 1)).want(text(wide))},
		{"own/6.2", "the first bad byte, the frame unfinished, byte by byte", sending(inOne[:head+13]).fails(wire.InvalidUTF8, 1007).chopped(1)},
		{"own/6.3", "a binary message that is no UTF-8", echoed(data([]byte(bad)))},
		{"own/6.4", "a letter cut by a Ping that is no UTF-8", sending(frame(opText, []byte("\xe2\x82")), ping("\xff"), frame(fin|opContinuation, []byte("\xac"))).want(ping("\xff"), text("€"))},
		{"own/6.5", "a text that ends inside a letter, then another", sending(text("\xe2\x82"), text("\xac")).fails(wire.InvalidUTF8, 1007)},
		{"own/6.6", "two texts, the second valid in the place of the first alone", echoed(text("x"+greek), text(greek+greek))},
	})
}

type sequenceGroup struct {
	number int
	title  string
	list   []string
}

func sequences() []sequenceGroup {
	bytesFrom := func(from, to byte, tail string) []string {
		var list []string
		for c := int(from); c <= int(to); c++ {
			list = append(list, string([]byte{byte(c)})+tail)
		}
		return list
	}
	firsts := func(from, to byte) string { return strings.Join(bytesFrom(from, to, " "), "") }
	prefixes := func(s string) []string {
		var list []string
		for n := 1; n <= len(s); n++ {
			list = append(list, s[:n])
		}
		return list
	}
	var noncharacters []string
	for plane := rune(0); plane <= 16; plane++ {
		noncharacters = append(noncharacters, string(plane<<16|0xFFFE), string(plane<<16|0xFFFF))
	}
	return []sequenceGroup{
		{5, "valid sequences of each length", []string{"hello$world", "hello\u00a2world", "hello\u20acworld", "hello\U00024b62world", greek}},
		{6, "a prefix of Greek", prefixes(greek)},
		{7, "the first of each length", []string{"\x00", "\u0080", "\u0800", "\U00010000"}},
		{8, "the first of five and six bytes", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{9, "the last of each length", []string{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}},
		{10, "beyond the last", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{11, "at the borders of surrogates and of Unicode", []string{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\xf4\x90\x80\x80"}},
		{12, "continuation bytes alone", []string{
			"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf",
			strings.Join(bytesFrom(0x80, 0xbe, ""), ""),
		}},
		{13, "first bytes alone", []string{firsts(0xc0, 0xde), firsts(0xe0, 0xee), firsts(0xf0, 0xf6), firsts(0xf8, 0xfa), firsts(0xfc, 0xfc)}},
		{14, "the last continuation byte missing", []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}},
		{15, "unfinished sequences one after another", []string{"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf"}},
		{16, "bytes that are never there", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{17, "a slash in more bytes than it needs", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{18, "the last of a length in one byte more", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{19, "zero in more bytes than it needs", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		{20, "a surrogate", []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
		{21, "a pair of surrogates", []string{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf", "\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"}},
		{22, "a noncharacter, which is valid", noncharacters},
		{23, "the replacement character and its neighbours, which are valid", []string{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"}},
	}
}
