package fields

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/sockeye-project/sockeye/source"
)

// Template is a [Scanner] of lines that follow a format of literal texts and variables. Make one with [NewTemplate].
//
// A value ends at the first place where the next literal stands, the last value with the line. A quote that the writer
// has escaped does not end a value.
type Template struct {
	prefix   []byte
	steps    []step
	style    Style
	unescape func(out, v []byte) []byte
}

// Token is a part of a format: a literal text, or a variable where Literal is "".
type Token struct {
	Literal string
	// Name of the variable as the reader of an error finds it in the writer's configuration.
	Name string
	// At says where the token begins in the format, such as "column 8", for errors; "" if that is unknown.
	At string
	// Field is what the variable's value becomes, or [None].
	Field ID
	// Words is how many words the value has whose writer does not quote it, such as 2 of a time and its zone; 0 is 1.
	// It counts only before a literal that begins with a space.
	Words int
	// Begins is what the value always begins with, such as "/" of a path: it may follow another variable directly.
	Begins string
	// List is true for a value that may be several, joined by ", " or " : ", as nginx has for its upstreams.
	List bool
	// Raw is true for a value that the writer does not escape though it escapes others: a quote does not end it.
	Raw bool
	// Unbroken is true for a value that never has a space: one that does begins with what others put before the line.
	Unbroken bool
	// Braces is true for a value that stands in braces and is missing, with the space beside it, where it is empty:
	// HAProxy's captured headers.
	Braces bool
}

// Style is how a writer escapes values.
type Style int

const (
	// Plain writes values as they are.
	Plain Style = iota
	// Backslash puts one before a quote and a backslash and has \n, \xHH, \u00HH and the like for others: JSON, Apache,
	// nginx.
	Backslash
	// Hash has #HH: HAProxy.
	Hash
)

// escape is the byte that begins an escape.
var escape = [...]byte{Backslash: '\\', Hash: '#'}

// step is a variable and the literal that ends it.
type step struct {
	field   ID
	literal []byte
	quoted  bool
	// next is true where the literal is the beginning of the next value.
	next     bool
	words    int
	list     bool
	unbroken bool
	braces   bool
	raw      bool
	err      error
}

// NewTemplate returns a scanner of lines that are made of tokens. An error says which tokens cannot be told apart.
func NewTemplate(tokens []Token, style Style) (*Template, error) {
	t := &Template{style: style}
	switch style {
	case Backslash:
		t.unescape = unescapeBackslash
	case Hash:
		t.unescape = unescapeHash
	default:
		t.unescape = plain
	}
	var faults []error
	// last is the variable that no literal has ended yet.
	var last *Token
	for i := range tokens {
		token := &tokens[i]
		if token.Literal != "" {
			if len(t.steps) == 0 {
				t.prefix = append(t.prefix, token.Literal...)
			} else {
				s := &t.steps[len(t.steps)-1]
				s.literal = append(s.literal, token.Literal...)
			}
			last = nil
			continue
		}
		if last != nil {
			if last.Field == None && token.Field == None {
				continue // nobody wants to tell them apart
			}
			if token.Begins == "" {
				faults = append(faults, fmt.Errorf("%snothing stands between %s and %s, so their values cannot be told "+
					"apart; put a space or a quote there", place(token.At), last.Name, token.Name))
			}
			s := &t.steps[len(t.steps)-1]
			s.literal, s.next = []byte(token.Begins), true
		}
		t.steps = append(t.steps, step{
			field: token.Field, words: token.Words, list: token.List, unbroken: token.Unbroken, braces: token.Braces,
			raw: token.Raw, err: &source.Error{Reason: source.OtherFormat, Field: short(token.Name)},
		})
		last = token
	}
	if len(t.steps) == 0 {
		faults = append(faults, errors.New("it has no variable, so every line would be the same"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	for i := range t.steps {
		s := &t.steps[i]
		s.quoted = style != Plain && !s.raw && len(s.literal) > 0 && s.literal[0] == '"'
		if s.words = s.words - 1; len(s.literal) == 0 || s.literal[0] != ' ' || s.words < 0 {
			s.words = 0
		}
	}
	return t, nil
}

// short cuts a name for the error of a line: a header's name may be of any length.
func short(name string) string {
	const limit = 60
	if len(name) <= limit {
		return name
	}
	return strings.ToValidUTF8(name[:limit], "") + "…"
}

func place(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}

var errOtherFormat error = &source.Error{Reason: source.OtherFormat}

// Scan implements [Scanner].
func (t *Template) Scan(data []byte, l *Line) error {
	if len(data) > math.MaxInt32 {
		return errTooLong
	}
	l.Reset(data, t.unescape)
	if !bytes.HasPrefix(data, t.prefix) {
		return errOtherFormat
	}
	i := len(t.prefix)
	last := len(t.steps) - 1
	for n := range t.steps {
		s := &t.steps[n]
		if s.braces {
			if i = t.braces(s, data, i, l); i < 0 {
				return s.err
			}
			continue
		}
		end := len(data) - len(s.literal)
		if n < last || s.quoted {
			end = t.end(s, data, i)
			if end < 0 && n == last && t.style == Hash && bytes.IndexByte(data[i:], '"') < 0 {
				// HAProxy cuts long lines and escapes quotes, so what is missing is the end of this value.
				if s.field != None {
					l.Set(s.field, i, len(data), bytes.IndexByte(data[i:], '#') >= 0)
				}
				return nil
			}
		} else if !bytes.HasSuffix(data, s.literal) {
			return s.err
		}
		if end < i || s.unbroken && bytes.IndexByte(data[i:end], ' ') >= 0 {
			return s.err
		}
		if s.field != None {
			l.Set(s.field, i, end, t.style != Plain && !s.raw && bytes.IndexByte(data[i:end], escape[t.style]) >= 0)
		}
		if i = end; !s.next {
			i += len(s.literal)
		}
	}
	if i < len(data) {
		return errOtherFormat
	}
	return nil
}

// braces reads a value in braces, or none, and returns where what follows its literal begins, or -1.
func (t *Template) braces(s *step, data []byte, i int, l *Line) int {
	if i < len(data) && data[i] == '{' {
		n := bytes.IndexByte(data[i:], '}')
		if n < 0 {
			return -1
		}
		if s.field != None {
			l.Set(s.field, i+1, i+n, t.style != Plain && bytes.IndexByte(data[i:i+n], escape[t.style]) >= 0)
		}
		i += n + 1
	} else if i > 0 && data[i-1] == ' ' {
		i-- // the space before it is the one after it
	}
	if !bytes.HasPrefix(data[i:], s.literal) {
		return -1
	}
	return i + len(s.literal)
}

// end returns where the value that begins at i ends, or -1.
func (t *Template) end(s *step, data []byte, i int) int {
	if s.quoted {
		// The writer escapes quotes, so the first one that is not escaped ends the value.
		for {
			n := bytes.IndexByte(data[i:], '"')
			if n < 0 {
				return -1
			}
			i += n
			if t.style == Backslash && odd(data[:i]) {
				i++
				continue
			}
			if !bytes.HasPrefix(data[i:], s.literal) {
				return -1
			}
			return i
		}
	}
	words := s.words
	if words > 0 && bytes.HasPrefix(data[i:], []byte("- ")) {
		words = 0
	}
	for range words {
		n := bytes.IndexByte(data[i:], ' ')
		if n < 0 {
			return -1
		}
		i += n + 1
	}
	start := i
	for {
		n := bytes.IndexByte(data[i:], s.literal[0])
		if n < 0 {
			return -1
		}
		i += n
		if bytes.HasPrefix(data[i:], s.literal) && !(s.list && joins(data[start:], i-start)) {
			return i
		}
		i++
	}
}

// odd reports whether data ends with an odd number of backslashes, so that the next byte is escaped.
func odd(data []byte) bool {
	n := 0
	for n < len(data) && data[len(data)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// joins reports whether data[i:] is part of what joins the values of a list.
func joins(data []byte, i int) bool {
	if data[i] == ',' {
		return bytes.HasPrefix(data[i:], []byte(", "))
	}
	return data[i] == ' ' && i > 0 && (data[i-1] == ',' || data[i-1] == ':' || bytes.HasPrefix(data[i:], []byte(" : ")))
}

// unescapeBackslash decodes what it can and leaves the rest: only writers that break their own rules write anything else.
func unescapeBackslash(out, s []byte) []byte {
	for i := 0; i < len(s); {
		n := 0
		if s[i] == '\\' {
			n = escapeLength(s, i)
		}
		if n == 0 {
			out = append(out, s[i])
			i++
			continue
		}
		if end := i + n; n == 6 && end+6 <= len(s) && s[end] == '\\' && s[end+1] == 'u' && escapeLength(s, end) == 6 {
			n += 6 // they may be two halves of one character
		}
		out = unescapeJSON(out, s[i:i+n])
		i += n
	}
	return out
}

func unescapeHash(out, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, byte(hexOf(s[i+1:i+3])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
