package wire

import "encoding/binary"

// utf8State is where a text given in pieces stands in a character (RFC 3629 §4), as the place of that state in the words
// of utf8Steps. A text begins and ends in utf8Complete.
type utf8State uint64

const (
	utf8Invalid  utf8State = 6 * iota // never left
	utf8Complete                      // between characters
	utf8Last                          // one byte is missing
	utf8Last2                         // two
	utf8Last3                         // three
	utf8AfterE0                       // two, of which the next makes more than fits two bytes
	utf8AfterED                       // two, of which the next makes no surrogate
	utf8AfterF0                       // three, of which the next makes more than fits three bytes
	utf8AfterF4                       // three, of which the next stays below U+10FFFF
	utf8Place    = 63
)

// utf8Steps has a word for each byte. It holds for each state, six bits from the state's place on, the state that follows.
// So a step is a load and a shift, whatever the text.
var utf8Steps = func() (steps [256]utf8State) {
	set := func(from, to int, state, next utf8State) {
		for b := from; b <= to; b++ {
			steps[b] |= next << state
		}
	}
	set(0x00, 0x7F, utf8Complete, utf8Complete)
	set(0xC2, 0xDF, utf8Complete, utf8Last)
	set(0xE0, 0xE0, utf8Complete, utf8AfterE0)
	set(0xE1, 0xEC, utf8Complete, utf8Last2)
	set(0xED, 0xED, utf8Complete, utf8AfterED)
	set(0xEE, 0xEF, utf8Complete, utf8Last2)
	set(0xF0, 0xF0, utf8Complete, utf8AfterF0)
	set(0xF1, 0xF3, utf8Complete, utf8Last3)
	set(0xF4, 0xF4, utf8Complete, utf8AfterF4)
	set(0x80, 0xBF, utf8Last, utf8Complete)
	set(0x80, 0xBF, utf8Last2, utf8Last)
	set(0x80, 0xBF, utf8Last3, utf8Last2)
	set(0xA0, 0xBF, utf8AfterE0, utf8Last)
	set(0x80, 0x9F, utf8AfterED, utf8Last)
	set(0x90, 0xBF, utf8AfterF0, utf8Last2)
	set(0x80, 0x8F, utf8AfterF4, utf8Last2)
	return steps
}()

// after returns the state behind p: utf8Invalid if p has a byte that no valid text has there.
func (s utf8State) after(p []byte) utf8State {
	for len(p) >= 8 && s != utf8Invalid {
		if s == utf8Complete && binary.LittleEndian.Uint64(p)&highBits == 0 {
			p = skipASCII(p[8:])
			continue
		}
		b := (*[8]byte)(p)
		s = utf8Steps[b[0]] >> s
		s = utf8Steps[b[1]] >> (s & utf8Place)
		s = utf8Steps[b[2]] >> (s & utf8Place)
		s = utf8Steps[b[3]] >> (s & utf8Place)
		s = utf8Steps[b[4]] >> (s & utf8Place)
		s = utf8Steps[b[5]] >> (s & utf8Place)
		s = utf8Steps[b[6]] >> (s & utf8Place)
		s = utf8Steps[b[7]] >> (s & utf8Place)
		s &= utf8Place
		p = p[8:]
	}
	for _, b := range p {
		s = utf8Steps[b] >> s & utf8Place
	}
	return s
}

// skipASCII returns p without the blocks of ASCII that it begins with.
func skipASCII(p []byte) []byte {
	for len(p) >= 32 {
		w := binary.LittleEndian.Uint64(p) | binary.LittleEndian.Uint64(p[8:]) |
			binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[24:])
		if w&highBits != 0 {
			break
		}
		p = p[32:]
	}
	return p
}
