package nginx

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/source"
)

// errMalformed is shared: a log full of garbage must not cost an allocation a line.
var errMalformed error = &source.Error{Reason: source.MalformedJSON}

// scan takes one JSON object apart: it remembers where the values of known fields stand and checks the rest. It is
// stricter than it needs to be about structure and, because of how formats are written by hand, laxer about bare
// values: a variable without quotes may be empty, "-" or 000. Nested values are skipped without recursion, so depth
// costs nothing.
func (l *line) scan(data []byte) error {
	if len(data) > math.MaxInt32 {
		return &source.Error{Reason: source.TooLong}
	}
	l.data, l.text = data, ""
	clear(l.spans[:])
	i := space(data, 0)
	if i == len(data) || data[i] != '{' {
		return errMalformed
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return end(data, i+1)
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return errMalformed
		}
		start := i + 1
		i, _ = stringEnd(data, start)
		if i < 0 {
			return errMalformed
		}
		f := fieldOf(data[start:i])
		if i = space(data, i+1); i >= len(data) || data[i] != ':' {
			return errMalformed
		}
		if i = space(data, i+1); i >= len(data) {
			return errMalformed
		}
		s := span{logged: true}
		switch data[i] {
		case '"':
			s.start = int32(i + 1)
			i, s.escaped = stringEnd(data, i+1)
			if i < 0 {
				return errMalformed
			}
			s.end = int32(i)
			i++
		case '{', '[':
			// No variable of nginx is an object; somebody's own key by the same name does not count.
			s.logged = false
			if i = skip(data, i); i < 0 {
				return errMalformed
			}
		default:
			s.start = int32(i)
			for i < len(data) && bare(data[i]) {
				i++
			}
			s.end = int32(i)
			if string(data[s.start:s.end]) == "null" {
				s.end = s.start
			}
		}
		if f != unknownField && s.logged {
			l.spans[f] = s
		}
		if i = space(data, i); i >= len(data) {
			return errMalformed
		}
		switch data[i] {
		case ',':
			i = space(data, i+1)
		case '}':
			return end(data, i+1)
		default:
			return errMalformed
		}
	}
}

// bare reports whether c may stand in a number, a literal or an unquoted variable.
func bare(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' || c == '+'
}

func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n') {
		i++
	}
	return i
}

func end(data []byte, i int) error {
	if space(data, i) != len(data) {
		return errMalformed
	}
	return nil
}

// stringEnd returns where the string that begins at i ends, or -1, and whether there are escapes in it.
func stringEnd(data []byte, i int) (int, bool) {
	escaped := false
	for {
		if i = special(data, i); i == len(data) {
			return -1, false
		}
		switch data[i] {
		case '"':
			return i, escaped
		case '\\':
			n := escapeLength(data, i)
			if n == 0 {
				return -1, false
			}
			escaped = true
			i += n
		default:
			return -1, false
		}
	}
}

// special returns the first place from i on where a string's scan has to stop: its end, an escape, or one of the
// control characters that RFC 8259 §7 forbids. Eight bytes at a time: a byte of x is zero, or below n, where the usual
// subtraction borrows; a false alarm behind the first hit does no harm.
func special(data []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		quote := x ^ ones*'"'
		slash := x ^ ones*'\\'
		hit := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x) & highs
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return len(data)
}

// escapeLength returns how long the escape at i is, or 0. Besides JSON's own it knows \xHH, which nginx writes without
// escape=json: otherwise a client could make its line unreadable with one quote in a header.
func escapeLength(data []byte, i int) int {
	if i+1 >= len(data) {
		return 0
	}
	n := 2
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		n = 6
	case 'x':
		n = 4
	default:
		return 0
	}
	if i+n > len(data) {
		return 0
	}
	for _, c := range data[i+2 : i+n] {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return 0
		}
	}
	return n
}

// skip returns where the object or array that begins at i ends, or -1.
func skip(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			if i, _ = stringEnd(data, i+1); i < 0 {
				return -1
			}
		}
		i++
	}
	return -1
}

// unescape decodes the escapes of a string that stringEnd has accepted.
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		switch c := s[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'x':
			out = append(out, byte(hexOf(s[i+2:i+4])))
			i += 4
			continue
		case 'u':
			r := hexOf(s[i+2 : i+6])
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					low = hexOf(s[i+2 : i+6])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}

func hexOf(s string) rune {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
