package redact

import "unicode/utf8"

// decoded is a text with one layer of percent-, JSON-, HTML- or full-width encoding removed, and where each of its
// bytes came from in the original.
type decoded struct {
	text    string
	at      []int32
	changed bool
}

// source returns the offset in the original of offset i in the decoded text.
func (d *decoded) source(i int) int { return int(d.at[i]) }

// decode removes one layer. Offsets are those of the text that prev was decoded from, where there is a prev.
func decode(v string, prev *decoded) decoded {
	out := make([]byte, 0, len(v))
	at := make([]int32, 0, len(v)+1)
	origin := func(i int) int32 {
		if prev != nil {
			return prev.at[i]
		}
		return int32(i)
	}
	changed := false
	for i := 0; i < len(v); {
		r, n := decodeAt(v, i)
		if n == 0 {
			out = append(out, v[i])
			at = append(at, origin(i))
			i++
			continue
		}
		changed = true
		before := len(out)
		if r < utf8.RuneSelf || r > 0xFF || v[i] != '%' {
			out = utf8.AppendRune(out, r)
		} else {
			// A percent-encoded byte is a byte of UTF-8, not a rune.
			out = append(out, byte(r))
		}
		for range len(out) - before {
			at = append(at, origin(i))
		}
		i += n
	}
	at = append(at, origin(len(v)))
	return decoded{text: string(out), at: at, changed: changed}
}

// decodeAt returns what the escape at v[i:] stands for and its length, or 0 where there is none.
func decodeAt(v string, i int) (rune, int) {
	rest := v[i:]
	switch {
	case rest[0] == '%' && len(rest) >= 3 && isHex(rest[1]) && isHex(rest[2]):
		return rune(unhex(rest[1])<<4 | unhex(rest[2])), 3
	case rest[0] == '\\' && len(rest) >= 2:
		switch {
		case rest[1] == '/' || rest[1] == '"' || rest[1] == '\\':
			return rune(rest[1]), 2
		case rest[1] == 'n':
			return '\n', 2
		case rest[1] == 'r':
			return '\r', 2
		case rest[1] == 't':
			return '\t', 2
		case rest[1] == 'u' && len(rest) >= 6 && hexes(rest[2:6]):
			r := rune(unhex(rest[2]))<<12 | rune(unhex(rest[3]))<<8 | rune(unhex(rest[4]))<<4 | rune(unhex(rest[5]))
			return unwide(r), 6
		case rest[1] == 'x' && len(rest) >= 4 && hexes(rest[2:4]):
			return rune(unhex(rest[2])<<4 | unhex(rest[3])), 4
		}
	case rest[0] == '&':
		for _, named := range references {
			if len(rest) >= len(named.text) && rest[:len(named.text)] == named.text {
				return named.r, len(named.text)
			}
		}
	case rest[0] == 0xEF:
		if r, n := utf8.DecodeRuneInString(rest); n == 3 && unwide(r) != r {
			return unwide(r), 3
		}
	}
	return 0, 0
}

// hides reports whether the escape at t[i] can keep detectors from seeing what it is part of: the end of a line or a tab
// reads as the first letter of the word after it, and quotes in a call do not look like quotes.
func hides(t string, i int) bool {
	switch t[i+1] {
	case 'u', 'x', '/', '\\':
		return true
	case 'n', 'r', 't':
		return i+2 < len(t) && isAlnum(t[i+2])
	case '"':
		return i > 0 && t[i-1] == '('
	}
	return false
}

// references are the character references of HTML that matter to detectors.
var references = [...]struct {
	text string
	r    rune
}{
	{"&amp;", '&'}, {"&quot;", '"'}, {"&commat;", '@'}, {"&#64;", '@'}, {"&#x40;", '@'}, {"&#34;", '"'},
	{"&#58;", ':'}, {"&#46;", '.'},
}

func hexes(v string) bool {
	for i := range len(v) {
		if !isHex(v[i]) {
			return false
		}
	}
	return true
}

// unwide maps the full-width forms of ASCII (U+FF01 to U+FF5E) to ASCII.
func unwide(r rune) rune {
	if r >= 0xFF01 && r <= 0xFF5E {
		return r - 0xFF01 + '!'
	}
	return r
}
