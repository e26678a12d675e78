package wire

import "unicode/utf8"

// utf8Checker says at the first byte that cannot be so that a text given in pieces is not UTF-8 (RFC 3629 §4). The
// zero value is ready.
type utf8Checker struct {
	need   uint8 // bytes that the last character lacks
	lo, hi uint8 // what the next of them may be
}

// write takes the next piece.
func (c *utf8Checker) write(p []byte) bool {
	for len(p) > 0 && c.need > 0 {
		if !c.next(p[0]) {
			return false
		}
		p = p[1:]
	}
	// What begins in the last three bytes may end in the next piece.
	end := len(p)
	for i := 1; i <= min(3, len(p)); i++ {
		if b := p[len(p)-i]; b >= 0xC0 {
			if i < sequence(b) {
				end = len(p) - i
			}
			break
		}
	}
	if !utf8.Valid(p[:end]) {
		return false
	}
	for _, b := range p[end:] {
		if !c.next(b) {
			return false
		}
	}
	return true
}

// complete reports whether the text may end here.
func (c *utf8Checker) complete() bool { return c.need == 0 }

// sequence is the length of the character that begins with b.
func sequence(b byte) int {
	switch {
	case b >= 0xF0:
		return 4
	case b >= 0xE0:
		return 3
	case b >= 0xC0:
		return 2
	}
	return 1
}

// next takes one byte.
func (c *utf8Checker) next(b byte) bool {
	if c.need > 0 {
		if b < c.lo || b > c.hi {
			return false
		}
		c.need--
		c.lo, c.hi = 0x80, 0xBF
		return true
	}
	c.lo, c.hi = 0x80, 0xBF
	switch {
	case b < 0x80:
	case b < 0xC2 || b > 0xF4:
		return false // continues nothing, encodes ASCII in two bytes, or lies beyond U+10FFFF
	default:
		c.need = uint8(sequence(b) - 1)
		switch b {
		case 0xE0:
			c.lo = 0xA0 // what fits two bytes
		case 0xED:
			c.hi = 0x9F // surrogates
		case 0xF0:
			c.lo = 0x90 // what fits three bytes
		case 0xF4:
			c.hi = 0x8F // beyond U+10FFFF
		}
	}
	return true
}
