package event

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// This file is the decoder's scanner (RFC 8259). encoding/json is not used: it takes the last of duplicate keys,
// replaces bad UTF-8 silently, ignores the case of names, and costs several times as much.

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (d *Decoder) space() {
	for d.pos < len(d.line) && isSpace(d.line[d.pos]) {
		d.pos++
	}
}

// peek returns the byte at d.pos, or 0 at the end, which no rule of the grammar accepts.
func (d *Decoder) peek() byte {
	if d.pos < len(d.line) {
		return d.line[d.pos]
	}
	return 0
}

// isPlain reports whether b has no control character, no backslash and nothing beyond ASCII. Eight bytes at a time:
// the high bit of each byte of a word says whether that byte is one of them.
func isPlain(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		slash := w ^ ones*'\\'
		if (w|(w-ones*0x20)|(slash-ones)&^slash)&highs != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// string reads the string at d.pos, which must be a quote. What it returns shares d.line where it can.
func (d *Decoder) string() string {
	d.pos++
	start := d.pos
	if d.plain {
		n := strings.IndexByte(d.line[start:], '"')
		if n < 0 {
			d.malformed(len(d.line), "")
			return ""
		}
		d.pos = start + n + 1
		return d.line[start : start+n]
	}
	for i := start; i < len(d.line); i++ {
		switch c := d.line[i]; {
		case c == '"':
			d.pos = i + 1
			return d.line[start:i]
		case c == '\\':
			return d.escaped(start, i)
		case c < 0x20:
			d.malformed(i, "control character in a string")
			return ""
		}
	}
	d.malformed(len(d.line), "")
	return ""
}

// escaped reads the rest of a string that began at start and has its first escape at i.
func (d *Decoder) escaped(start, i int) string {
	buf := append(make([]byte, 0, i-start+32), d.line[start:i]...)
	for i < len(d.line) {
		c := d.line[i]
		switch {
		case c == '"':
			d.pos = i + 1
			return string(buf)
		case c < 0x20:
			d.malformed(i, "control character in a string")
			return ""
		case c != '\\':
			buf = append(buf, c)
			i++
			continue
		}
		if i+1 >= len(d.line) {
			break
		}
		c = d.line[i+1]
		switch c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, n := d.unicode(i)
			if d.broken {
				return ""
			}
			buf = utf8.AppendRune(buf, r)
			i += n
			continue
		default:
			d.malformed(i, "unknown escape")
			return ""
		}
		buf = append(buf, c)
		i += 2
	}
	d.malformed(len(d.line), "")
	return ""
}

// unicode reads the \u escape at i, with its second half where it is a surrogate, and returns its length.
func (d *Decoder) unicode(i int) (rune, int) {
	r := d.hex4(i)
	if d.broken {
		return 0, 0
	}
	n := 6
	if utf16.IsSurrogate(r) {
		second := rune(-1)
		if strings.HasPrefix(d.line[i+n:], `\u`) {
			second = d.hex4(i + n)
			if d.broken {
				return 0, 0
			}
		}
		if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
			d.fault(ReasonBadText, i, "lone surrogate")
			return 0, 0
		}
		n = 12
	}
	if r == 0 {
		d.fault(ReasonBadText, i, "NUL in a string")
	}
	return r, n
}

func (d *Decoder) hex4(i int) rune {
	var r rune
	for j := i + 2; j < i+6; j++ {
		if j >= len(d.line) {
			d.malformed(j, "")
			return 0
		}
		c := d.line[j]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			d.malformed(i, "unknown escape")
			return 0
		}
		r = r<<4 | rune(c)
	}
	return r
}

// number reads the number at d.pos and reports whether it has neither fraction nor exponent.
func (d *Decoder) number() (integer bool) {
	start := d.pos
	if d.peek() == '-' {
		d.pos++
	}
	switch zero := d.peek() == '0'; {
	case zero:
		d.pos++
	case !d.digits():
		d.malformed(start, "bad number")
		return false
	}
	integer = true
	if d.peek() == '.' {
		integer = false
		d.pos++
		if !d.digits() {
			d.malformed(start, "bad number")
			return false
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		integer = false
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		if !d.digits() {
			d.malformed(start, "bad number")
			return false
		}
	}
	return integer
}

func (d *Decoder) digits() bool {
	start := d.pos
	for d.pos < len(d.line) && d.line[d.pos] >= '0' && d.line[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > start
}

func (d *Decoder) literal(want string) {
	if !strings.HasPrefix(d.line[d.pos:], want) {
		d.malformed(d.pos, "expected a value")
		return
	}
	d.pos += len(want)
}

// skip reads the value at d.pos, whatever it is. depth is how deep an object or array there would be.
func (d *Decoder) skip(depth int) {
	if d.broken {
		return
	}
	switch c := d.peek(); {
	case c == '"':
		d.string()
	case c == 't':
		d.literal("true")
	case c == 'f':
		d.literal("false")
	case c == 'n':
		d.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		d.number()
	case c != '{' && c != '[':
		d.malformed(d.pos, "expected a value")
	case depth > MaxDepth:
		d.fault(ReasonTooDeep, d.pos, "nested deeper than the form allows")
	case c == '{':
		d.members(max(depth, 3), func(string, int) { d.skip(depth + 1) })
	default:
		d.skipList(depth)
	}
}

func (d *Decoder) skipList(depth int) {
	d.pos++
	d.space()
	if d.peek() == ']' {
		d.pos++
		return
	}
	for {
		d.skip(depth + 1)
		d.space()
		if d.broken {
			return
		}
		switch d.peek() {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			return
		default:
			d.malformed(d.pos, "expected a comma or the list's end")
			return
		}
	}
}

// parseTime reads a time of RFC 3339, strictly: time.Parse takes a comma for the point, one digit for an hour and
// more digits than nanoseconds have. It returns UTC.
func parseTime(s string) (time.Time, bool) {
	const shape = "2006-01-02T15:04:05"
	if len(s) <= len(shape) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	century, year, month, day := twoDigits(s), twoDigits(s[2:]), twoDigits(s[5:]), twoDigits(s[8:])
	hour, minute, second := twoDigits(s[11:]), twoDigits(s[14:]), twoDigits(s[17:])
	if century|year|month|day|hour|minute|second < 0 ||
		month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	rest := s[len(shape):]
	ns := 0
	if rest[0] == '.' {
		n := 1
		for ; n < len(rest) && isDigit(rest[n]); n++ {
			ns = ns*10 + int(rest[n]-'0')
			if n > 9 {
				return time.Time{}, false
			}
		}
		if n == 1 {
			return time.Time{}, false
		}
		for digits := n - 1; digits < 9; digits++ {
			ns *= 10
		}
		rest = rest[n:]
	}
	t := time.Date(100*century+year, time.Month(month), day, hour, minute, second, ns, time.UTC)
	if day == 0 || t.Day() != day {
		return time.Time{}, false
	}
	if rest == "Z" {
		return t, true
	}
	if len(rest) != len("+01:00") || rest[0] != '+' && rest[0] != '-' || rest[3] != ':' {
		return time.Time{}, false
	}
	hours, minutes := twoDigits(rest[1:]), twoDigits(rest[4:])
	if hours|minutes < 0 || hours > 23 || minutes > 59 {
		return time.Time{}, false
	}
	offset := time.Duration(60*hours+minutes) * time.Minute
	if rest[0] == '+' {
		offset = -offset
	}
	return t.Add(offset), true
}

// twoDigits reads the number that s begins with, or returns -1.
func twoDigits(s string) int {
	if !isDigit(s[0]) || !isDigit(s[1]) {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
