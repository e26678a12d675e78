package content

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is the type of a JSON value. They are bits, so that a schema's types are one mask.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

// token is one value, or a member's name, which is a string. The members of an object and the items of an array follow it.
type token struct {
	start, end uint32 // in the data, or for what had escapes, in the scratch; a string's without its quotes
	next       uint32 // the token behind this value
	count      uint32 // of members or items
	kind       kind
	escaped    bool // start and end are in the document's scratch
}

// document is a message as JSON, not decoded: tokens that say where everything is. It is reused.
type document struct {
	data    []byte
	tokens  []token
	pos     int
	depth   int
	scratch []byte // strings that had escapes, without them

	exponents int // the sum of the numbers' exponents
}

// maxNumber and maxExponent bound numbers, since exact arithmetic with 1e999999 takes memory and time. Every number of
// IEEE 754's double precision, as programs print it, is within.
const (
	maxNumber   = 64
	maxExponent = 400
)

// parse reads one JSON value. It takes what RFC 8259 allows and I-JSON (RFC 7493) too: names are unique and strings are
// Unicode, so that no two parsers can read the same message in different ways.
func (d *document) parse(data []byte, depth int) bool {
	d.data, d.tokens, d.pos, d.depth, d.scratch = data, d.tokens[:0], 0, depth, d.scratch[:0]
	d.exponents = 0
	d.space()
	if !d.value() {
		return false
	}
	d.space()
	return d.pos == len(d.data)
}

func (d *document) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *document) value() bool {
	if d.pos >= len(d.data) {
		return false
	}
	switch c := d.data[d.pos]; c {
	case '"':
		return d.string()
	case '{':
		return d.object()
	case '[':
		return d.array()
	case 't':
		return d.word("true", kindTrue)
	case 'f':
		return d.word("false", kindFalse)
	case 'n':
		return d.word("null", kindNull)
	default:
		return d.number()
	}
}

func (d *document) push(k kind, start, end int) {
	d.tokens = append(d.tokens, token{kind: k, start: uint32(start), end: uint32(end), next: uint32(len(d.tokens) + 1)})
}

func (d *document) word(text string, k kind) bool {
	end := d.pos + len(text)
	if end > len(d.data) || string(d.data[d.pos:end]) != text {
		return false
	}
	d.push(k, d.pos, end)
	d.pos = end
	return true
}

func (d *document) digits() bool {
	start := d.pos
	for d.pos < len(d.data) && d.data[d.pos]-'0' <= 9 {
		d.pos++
	}
	return d.pos > start
}

func (d *document) at(c byte) bool { return d.pos < len(d.data) && d.data[d.pos] == c }

func (d *document) number() bool {
	start := d.pos
	if d.at('-') {
		d.pos++
	}
	if d.at('0') {
		d.pos++
	} else if !d.digits() {
		return false
	}
	if d.at('.') {
		d.pos++
		if !d.digits() {
			return false
		}
	}
	if d.at('e') || d.at('E') {
		d.pos++
		if d.at('+') || d.at('-') {
			d.pos++
		}
		from := d.pos
		if !d.digits() {
			return false
		}
		exponent := 0
		for _, c := range d.data[from:d.pos] {
			if exponent = exponent*10 + int(c-'0'); exponent > maxExponent {
				return false
			}
		}
		d.exponents += exponent
	}
	if d.pos-start > maxNumber {
		return false
	}
	d.push(kindNumber, start, d.pos)
	return true
}

// plain are the bytes of a string that stand for themselves: ASCII but for controls, the quote and the backslash.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (d *document) string() bool {
	d.pos++
	start, ascii, escaped := d.pos, true, false
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case plain[c]:
			d.pos++
		case c == '"':
			if !ascii && !utf8.Valid(d.data[start:d.pos]) {
				return false
			}
			if escaped {
				from := len(d.scratch)
				d.scratch = unescape(d.scratch, d.data[start:d.pos])
				d.push(kindString, from, len(d.scratch))
				d.tokens[len(d.tokens)-1].escaped = true
			} else {
				d.push(kindString, start, d.pos)
			}
			d.pos++
			return true
		case c == '\\':
			escaped = true
			n := escape(d.data[d.pos:])
			if n == 0 {
				return false
			}
			d.pos += n
		case c >= utf8.RuneSelf:
			ascii = false
			d.pos++
		default:
			return false
		}
	}
	return false
}

// escape returns how long the escape at the start of b is; 0 if it is none, or half of a surrogate pair.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(b)
		if !ok {
			return 0
		}
		if !utf16.IsSurrogate(r) {
			return 6
		}
		low, ok := hex4(b[6:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return 0
		}
		return 12
	}
	return 0
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func (d *document) array() bool {
	self := len(d.tokens)
	d.push(kindArray, d.pos, 0)
	if d.depth--; d.depth < 0 {
		return false
	}
	d.pos++
	d.space()
	count := uint32(0)
	for !d.at(']') || count > 0 {
		if !d.value() {
			return false
		}
		count++
		d.space()
		if d.at(']') {
			break
		}
		if !d.at(',') {
			return false
		}
		d.pos++
		d.space()
	}
	return d.end(self, count)
}

func (d *document) end(self int, count uint32) bool {
	d.pos++
	d.depth++
	t := &d.tokens[self]
	t.end, t.next, t.count = uint32(d.pos), uint32(len(d.tokens)), count
	return true
}

func (d *document) object() bool {
	self := len(d.tokens)
	d.push(kindObject, d.pos, 0)
	if d.depth--; d.depth < 0 {
		return false
	}
	d.pos++
	d.space()
	count := uint32(0)
	for !d.at('}') || count > 0 {
		if !d.at('"') || !d.string() {
			return false
		}
		d.space()
		if !d.at(':') {
			return false
		}
		d.pos++
		d.space()
		if !d.value() {
			return false
		}
		count++
		d.space()
		if d.at('}') {
			break
		}
		if !d.at(',') {
			return false
		}
		d.pos++
		d.space()
	}
	return d.end(self, count) && d.unique(self)
}

// fewMembers is up to how many members are compared in pairs, which is faster than a table.
const fewMembers = 16

// unique reports whether no two members of an object have the same name.
func (d *document) unique(object int) bool {
	t := d.tokens[object]
	if t.count < 2 {
		return true
	}
	if t.count <= fewMembers {
		var names [fewMembers][]byte
		n := 0
		for i := uint32(object) + 1; i < t.next; i = d.tokens[i+1].next {
			name := d.text(d.tokens[i])
			for _, other := range names[:n] {
				if len(other) == len(name) && bytes.Equal(other, name) {
					return false
				}
			}
			names[n] = name
			n++
		}
		return true
	}
	seen := make(map[string]struct{}, t.count)
	for i := uint32(object) + 1; i < t.next; i = d.tokens[i+1].next {
		seen[string(d.text(d.tokens[i]))] = struct{}{}
	}
	return len(seen) == int(t.count)
}

// text is a string without its escapes. It is valid until the next parse.
func (d *document) text(t token) []byte {
	if t.escaped {
		return d.scratch[t.start:t.end]
	}
	return d.data[t.start:t.end]
}

// unescape appends a string that was checked.
func unescape(b, raw []byte) []byte {
	for len(raw) > 0 {
		if raw[0] != '\\' {
			n := bytes.IndexByte(raw, '\\')
			if n < 0 {
				n = len(raw)
			}
			b = append(b, raw[:n]...)
			raw = raw[n:]
			continue
		}
		n := escape(raw)
		switch raw[1] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, _ := hex4(raw)
			if n == 12 {
				low, _ := hex4(raw[6:])
				r = utf16.DecodeRune(r, low)
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, raw[1])
		}
		raw = raw[n:]
	}
	return b
}

// find follows a JSON pointer from the first value. ambiguous says that an object on the way has the name in another case,
// which Go's encoding/json and others ignore: they may see a value where we see none, or another.
func (d *document) find(pointer []step) (at uint32, found, ambiguous bool) {
	for _, s := range pointer {
		t := d.tokens[at]
		i := at + 1
		found = false
		switch {
		case t.kind == kindObject:
			for ; i < t.next; i = d.tokens[i+1].next {
				name := d.text(d.tokens[i])
				if string(name) == s.name {
					at, found = i+1, true
				} else if bytes.EqualFold(name, s.folded) {
					ambiguous = true
				}
			}
		case t.kind == kindArray && s.index >= 0 && uint32(s.index) < t.count:
			for range s.index {
				i = d.tokens[i].next
			}
			at, found = i, true
		}
		if !found {
			return 0, false, ambiguous
		}
	}
	return at, true, ambiguous
}

// step is one reference token of a JSON pointer (RFC 6901).
type step struct {
	name   string
	folded []byte
	index  int // -1 if it is no index
}
