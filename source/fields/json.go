package fields

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/source"
)

// JSON is a [Scanner] of lines that are one JSON object. Make one with [NewJSON].
//
// It is strict about structure and, because of how formats are written by hand, lax about bare values: a variable
// without quotes may be empty, "-" or 000. Values that nobody wants are skipped without recursion, so depth costs nothing.
type JSON struct {
	root *object
	// order is the members as they came in the last line. A writer has one order, so the next key is nearly always the
	// one that followed last time, and comparing is cheaper than looking up.
	order []seen
}

// object is an object of the line in which members are wanted.
type object struct {
	members map[string]member
}

// member is what becomes of a key's value: it is a field, or an object to look into.
type member struct {
	field ID
	inner *object
	// whole is true if the field is the text of an object.
	whole bool
}

type seen struct {
	in *object
	// key has memory of its own, which is used again: the lines of some logs take turns between several orders.
	key []byte
	member
}

// maxOrder bounds what lines with ever new keys can make a scanner keep; maxKey, how long a key is remembered.
const (
	maxOrder = 256
	maxKey   = 128
)

// NewJSON returns a scanner that finds each field by its name, of which a line has one. The name of a member of an inner
// object is dotted, "request.headers.Upgrade"; a line whose key itself has the dots is read too. A name that ends with {} is
// that of an object, whose text as it stands is the value.
func NewJSON(names map[string]ID) *JSON {
	root := &object{members: map[string]member{}}
	for name, field := range names {
		root.want(name, field)
	}
	return &JSON{root: root}
}

func (o *object) want(name string, field ID) {
	key, whole := strings.CutSuffix(name, "{}")
	m := o.member(key)
	m.field, m.whole = field, whole
	o.members[key] = m
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		m := o.member(name[:i])
		if m.inner == nil {
			m.inner = &object{members: map[string]member{}}
		}
		o.members[name[:i]] = m
		m.inner.want(name[i+1:], field)
	}
}

func (o *object) member(name string) member {
	if m, ok := o.members[name]; ok {
		return m
	}
	return member{field: None}
}

// find returns what becomes of a key of o; n is how many keys came before it in the line.
func (j *JSON) find(o *object, key []byte, n int) member {
	if n < len(j.order) {
		if s := &j.order[n]; s.in == o && string(key) == string(s.key) {
			return s.member
		}
	}
	m, ok := o.members[string(key)]
	if !ok {
		m.field = None
	}
	if n < maxOrder && n <= len(j.order) && len(key) <= maxKey {
		if n == len(j.order) {
			j.order = append(j.order, seen{})
		}
		s := &j.order[n]
		s.in, s.key, s.member = o, append(s.key[:0], key...), m
	}
	return m
}

// errMalformed is shared: a log full of garbage must not cost an allocation a line.
var errMalformed error = &source.Error{Reason: source.MalformedJSON}

var errTooLong error = &source.Error{Reason: source.TooLong}

// Scan implements [Scanner].
func (j *JSON) Scan(data []byte, l *Line) error {
	if len(data) > math.MaxInt32 {
		return errTooLong
	}
	l.Reset(data, unescapeJSON)
	i := space(data, 0)
	if i == len(data) || data[i] != '{' {
		return errMalformed
	}
	n := 0
	if i = j.object(j.root, data, i, &n, l); i < 0 || space(data, i) != len(data) {
		return errMalformed
	}
	return nil
}

// object reads the object that begins at i and returns where it ends, or -1. It recurses only into objects that are
// wanted, so no line decides how deep.
func (j *JSON) object(o *object, data []byte, i int, n *int, l *Line) int {
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return -1
		}
		start := i + 1
		if i, _ = stringEnd(data, start); i < 0 {
			return -1
		}
		m := j.find(o, data[start:i], *n)
		*n++
		if i = space(data, i+1); i >= len(data) || data[i] != ':' {
			return -1
		}
		if i = space(data, i+1); i >= len(data) {
			return -1
		}
		s := span{start: int32(i), logged: true}
		switch data[i] {
		case '"':
			s.start++
			if i, s.escaped = stringEnd(data, i+1); i < 0 {
				return -1
			}
			s.end = int32(i)
			i++
		case '{':
			if m.inner != nil {
				i = j.object(m.inner, data, i, n, l)
			} else {
				i = skip(data, i)
			}
			if i < 0 {
				return -1
			}
			s.logged, s.end = m.whole, int32(i)
		case '[':
			s.list = true
			if i = skip(data, i); i < 0 {
				return -1
			}
			s.end = int32(i)
		default:
			for i < len(data) && bare(data[i]) {
				i++
			}
			if s.end = int32(i); string(data[s.start:s.end]) == "null" {
				s.end = s.start
			}
		}
		if m.field != None && s.logged {
			l.spans[m.field] = s
		}
		if i = space(data, i); i >= len(data) {
			return -1
		}
		switch data[i] {
		case ',':
			i = space(data, i+1)
		case '}':
			return i + 1
		default:
			return -1
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

// Of eight bytes at once: the lowest bit of each, and the highest.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special returns the first place from i on where a string's scan has to stop: its end, an escape, or one of the
// control characters that RFC 8259 §7 forbids. Eight bytes at a time: a byte of x is zero, or below n, where the usual
// subtraction borrows; a false alarm behind the first hit does no harm.
func special(data []byte, i int) int {
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

// Quoted returns what the string stands for whose first quote is at i, and where it ends, or -1. Without escapes it is part
// of data.
func Quoted(data []byte, i int) (value []byte, end int) {
	end, escaped := stringEnd(data, i+1)
	if end < 0 {
		return nil, -1
	}
	if value = data[i+1 : end]; escaped {
		value = unescapeJSON(make([]byte, 0, len(value)), value)
	}
	return value, end + 1
}

// unescapeJSON appends to out what the escapes of a string that stringEnd has accepted stand for.
func unescapeJSON(out, s []byte) []byte {
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
	return out
}

// hexOf returns the number that hexadecimal digits stand for.
func hexOf(s []byte) (n rune) {
	for _, c := range s {
		n <<= 4
		switch {
		case c >= 'a':
			n |= rune(c-'a') + 10
		case c >= 'A':
			n |= rune(c-'A') + 10
		default:
			n |= rune(c - '0')
		}
	}
	return n
}
