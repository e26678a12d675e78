package conformance

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	greek = "κόσμε"                       // two bytes a letter, one of three
	many  = "Hello-µ@ßöäüàá-UTF-8!!"      // two bytes a letter among single ones
	wide  = "a\u00a2\u20ac\U00010348 end" // of one to four bytes
)

// utf8Handling is group 6: text is UTF-8, and what cannot become UTF-8 is refused at once (RFC 6455 §5.6, §8.1). Sequences
// follow the table of Unicode §3.9 (3-7) and the groups of Markus Kuhn's stress test.
func utf8Handling(t *table) {
	t.rows([]row{
		{"6.1.1", "an empty text", echoed(text(""))},
		{"6.1.2", "a text of three empty frames", sending(fragments(opText, "", "", "")).want(text(""))},
		{"6.1.3", "a text between empty frames", sending(fragments(opText, "", "middle", "")).want(text("middle"))},
		{"6.2.1", "a text in one frame", echoed(text(many))},
		{"6.2.2", "a text cut between letters", sending(fragments(opText, many[:8], many[8:])).want(text(many))},
		{"6.2.3", "a text in frames of one byte", sending(fragmented(text(many), 1)).want(text(many))},
		{"6.2.4", "Greek in frames of one byte", sending(fragmented(text(greek), 1)).want(text(greek))},
		{"6.2.5", "letters of one to four bytes, in frames of one byte", sending(fragmented(text(wide), 1)).want(text(wide))},
	})

	bad := greek + "\xed\xa0\x80edited"
	t.rows([]row{
		{"6.3.1", "a text that is no UTF-8", sending(text(bad)).fails(wire.InvalidUTF8, 1007)},
		{"6.3.2", "a text that is no UTF-8, in frames of one byte", sending(fragmented(text(bad), 1)).fails(wire.InvalidUTF8, 1007)},
	})

	// 6.4: the message never ends, so that only whoever refuses at once passes.
	start := frame(opText, []byte(greek))
	t.rows([]row{
		{"6.4.1", "a bad sequence in a frame of its own, the text unfinished", sending(start, frame(opContinuation, []byte("\xf4\x90\x80\x80"))).fails(wire.InvalidUTF8, 1007)},
		{"6.4.2", "the first bad byte in a frame of its own, the text unfinished", sending(start, frame(opContinuation, []byte("\xf4")), frame(opContinuation, []byte("\x90"))).fails(wire.InvalidUTF8, 1007)},
	})
	cutOff := func(p string) []byte {
		f := frame(fin|opText, []byte(p+"rest that does not come"))
		return f[:len(f)-len("rest that does not come")]
	}
	t.rows([]row{
		{"6.4.3", "a bad sequence, the frame unfinished", sending(cutOff(greek+"\xf4\x90\x80\x80")).fails(wire.InvalidUTF8, 1007)},
		{"6.4.4", "the first bad byte, the frame unfinished", sending(cutOff(greek+"\xf4\x90")).fails(wire.InvalidUTF8, 1007)},
		{"6.4.5", "the first bad byte, the frame unfinished, byte by byte", sending(cutOff(greek+"\xf4\x90")).fails(wire.InvalidUTF8, 1007).chopped(1)},
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
		{"6.24.1", "a binary message that is no UTF-8", echoed(data([]byte(bad)))},
		{"6.24.2", "a letter cut by a Ping that is no UTF-8", sending(frame(opText, []byte("\xe2\x82")), ping("\xff"), frame(fin|opContinuation, []byte("\xac"))).want(ping("\xff"), text("€"))},
		{"6.24.3", "a text that ends inside a letter, then another", sending(text("\xe2\x82"), text("\xac")).fails(wire.InvalidUTF8, 1007)},
	})
}

type sequenceGroup struct {
	number int
	title  string
	list   []string
}

func sequences() []sequenceGroup {
	between := func(list ...string) []string {
		for i, s := range list {
			list[i] = "x" + s + "y"
		}
		return list
	}
	bytesFrom := func(from, to byte, tail string) []string {
		var list []string
		for c := int(from); c <= int(to); c++ {
			list = append(list, string([]byte{byte(c)})+tail)
		}
		return list
	}
	repeated := func(from, to byte, tail string) []string {
		return []string{strings.Join(bytesFrom(from, to, tail), ""), strings.Join(bytesFrom(from, to, tail), " ")}
	}
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
		{5, "two texts and a valid sequence in all places", []string{greek, "x" + greek, greek + "y", "x" + greek + "y", greek + greek}},
		{6, "a prefix of Greek", prefixes(greek)},
		{7, "the first of each length", []string{"\x00", "\u0080", "\u0800", "\U00010000"}},
		{8, "the first of five and six bytes", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{9, "the last of each length", []string{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}},
		{10, "beyond the last", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{11, "at the borders of surrogates and of Unicode", []string{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\xf4\x90\x80\x80"}},
		{12, "continuation bytes alone", append([]string{"\x80", "\xbf"}, append(between("\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80"),
			strings.Join(bytesFrom(0x80, 0xbf, ""), ""), strings.Repeat("\x80", 7))...)},
		{13, "first bytes alone", []string{repeated(0xc0, 0xdf, " ")[0], repeated(0xe0, 0xef, " ")[0], repeated(0xf0, 0xf7, " ")[0], repeated(0xf8, 0xfb, " ")[0], repeated(0xfc, 0xfd, " ")[0]}},
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
