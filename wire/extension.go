package wire

import (
	"slices"
	"strings"
)

// Extension is one element of Sec-WebSocket-Extensions: an offer, or what was chosen (RFC 6455 §9.1).
type Extension struct {
	Name       string
	Parameters []Parameter
}

// Parameter is a parameter of an extension. Value is "" where none was given, which is not the same as an empty string:
// that one cannot be written. A value in quotes is the same as without.
type Parameter struct{ Name, Value string }

// ParseExtensions parses the lines of Sec-WebSocket-Extensions. No lines are no extensions; lines without an extension are
// a fault. Whether an extension is known and its parameters make sense is for whoever negotiates it.
func ParseExtensions(lines []string) ([]Extension, error) {
	var list []Extension
	for _, line := range lines {
		for p := (parser{line}); ; p.next() {
			if p.end() {
				break
			}
			if p.peek() == ',' { // an empty element
				continue
			}
			e, ok := p.extension()
			if !ok || len(list) == maxExtensions || !p.end() && p.peek() != ',' {
				return nil, MalformedExtensions
			}
			list = append(list, e)
			if p.end() {
				break
			}
		}
	}
	if len(lines) > 0 && len(list) == 0 {
		return nil, MalformedExtensions
	}
	return list, nil
}

// parser is what is left of a line.
type parser struct{ rest string }

func (p *parser) end() bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	return p.rest == ""
}

func (p *parser) peek() byte { return p.rest[0] }
func (p *parser) next()      { p.rest = p.rest[1:] }

// take skips whitespace and the byte c, if it comes next.
func (p *parser) take(c byte) bool {
	if p.end() || p.peek() != c {
		return false
	}
	p.next()
	return true
}

func (p *parser) extension() (e Extension, ok bool) {
	if e.Name, ok = p.token(); !ok {
		return e, false
	}
	for p.take(';') {
		var param Parameter
		if param.Name, ok = p.token(); !ok || len(e.Parameters) == maxParameters {
			return e, false
		}
		if p.take('=') {
			if param.Value, ok = p.value(); !ok {
				return e, false
			}
		}
		e.Parameters = append(e.Parameters, param)
	}
	return e, true
}

func (p *parser) token() (string, bool) {
	p.end() // skips whitespace
	n := 0
	for n < len(p.rest) && tokenByte[p.rest[n]] {
		n++
	}
	token := p.rest[:n]
	p.rest = p.rest[n:]
	return token, n > 0
}

// value is a token or a quoted string that is a token once its quotes and backslashes are gone.
func (p *parser) value() (string, bool) {
	if !p.take('"') {
		return p.token()
	}
	var value []byte
	for p.rest != "" {
		c := p.peek()
		p.next()
		switch {
		case c == '"':
			return string(value), isToken(string(value))
		case c == '\\' && p.rest != "":
			c = p.peek()
			p.next()
		}
		value = append(value, c)
	}
	return "", false
}

// AppendExtension appends e as Sec-WebSocket-Extensions has it. It does not check e.
func AppendExtension(dst []byte, e Extension) []byte {
	dst = append(dst, e.Name...)
	for _, p := range e.Parameters {
		dst = append(dst, "; "...)
		dst = append(dst, p.Name...)
		if p.Value != "" {
			dst = append(dst, '=')
			dst = append(dst, p.Value...)
		}
	}
	return dst
}

// String returns e as Sec-WebSocket-Extensions has it.
func (e Extension) String() string { return string(AppendExtension(nil, e)) }

func appendExtensionsField(b []byte, list []Extension) []byte {
	for i, e := range list {
		if i == 0 {
			b = append(b, "Sec-WebSocket-Extensions: "...)
		} else {
			b = append(b, ", "...)
		}
		b = AppendExtension(b, e)
	}
	if len(list) > 0 {
		b = append(b, crlf...)
	}
	return b
}

func validExtensions(list []Extension) bool {
	return all(list, func(e Extension) bool {
		return isToken(e.Name) && all(e.Parameters, func(p Parameter) bool {
			return isToken(p.Name) && (p.Value == "" || isToken(p.Value))
		})
	})
}

func names(list []Extension, name string) bool {
	return slices.ContainsFunc(list, func(e Extension) bool { return e.Name == name })
}
