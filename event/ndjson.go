package event

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The members of the NDJSON form that are not attributes. An attribute outside the model that has one of these names
// is written with the prefix "extra.".
const (
	jsonTime     = "time"
	jsonObserved = "observed_time"
	jsonEvent    = "event"
	jsonTraceID  = "trace_id"
	jsonSpanID   = "span_id"
	jsonResource = "resource"
)

// AppendJSON appends the NDJSON form of e to dst, without a line feed: one flat JSON object of time and
// observed_time (RFC 3339, up to nanoseconds, UTC), event, trace_id and span_id (hex), then the attributes by their
// dotted names, and the resource's attributes in the object resource. What is not set is left out, and so is an
// observed_time equal to time.
//
// The form is canonical: equal events have equal bytes, whatever the order in which their attributes were set. The
// output is valid JSON on one line whatever e holds: bytes that are not UTF-8 and NUL become U+FFFD, control
// characters are escaped, and a double that is not a number or infinite is left out.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	if !e.Time.IsZero() {
		dst = appendTime(appendName(dst, jsonTime), e.Time)
	}
	if !e.Observed.IsZero() && !e.Observed.Equal(e.Time) {
		dst = appendTime(appendName(dst, jsonObserved), e.Observed)
	}
	dst = appendString(appendName(dst, jsonEvent), string(e.Name))
	if e.TraceID != [16]byte{} {
		dst = appendHex(appendName(dst, jsonTraceID), e.TraceID[:])
		if e.SpanID != [8]byte{} {
			dst = appendHex(appendName(dst, jsonSpanID), e.SpanID[:])
		}
	}
	var at [keyCount]uint8 // index + 1 of each key in e.attrs: sorts without comparing
	for i := range e.attrs {
		at[e.attrs[i].key] = uint8(i + 1)
	}
	for k := range at {
		if at[k] != 0 {
			dst = appendAttribute(dst, Key(k), &e.attrs[at[k]-1].value)
		}
	}
	for i := range e.extra {
		dst = e.appendExtra(dst, i)
	}
	if attrs := e.Resource.Attributes(); len(attrs) > 0 {
		dst = append(appendName(dst, jsonResource), '{')
		for i := range attrs {
			dst = appendMember(dst, attrs[i].Name, &attrs[i].Value)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendExtra appends the i-th attribute outside the model, unless its name has been written already.
func (e *Event) appendExtra(dst []byte, i int) []byte {
	x := &e.extra[i]
	if k, ok := KeyOf(x.Name); ok && e.Has(k) {
		return dst
	}
	for _, earlier := range e.extra[:i] {
		if earlier.Name == x.Name {
			return dst
		}
	}
	switch x.Name {
	case jsonTime, jsonObserved, jsonEvent, jsonTraceID, jsonSpanID, jsonResource:
		return appendMember(dst, "extra."+x.Name, &x.Value)
	}
	return appendMember(dst, x.Name, &x.Value)
}

// quotedNames are the names of the attributes as they stand in JSON, with their colon.
var quotedNames = func() (q [keyCount]string) {
	for k := range q {
		q[k] = `"` + definitions[k].Name + `":`
	}
	return q
}()

// appendAttribute is appendMember for an attribute of the model, which is never the object's first member.
func appendAttribute(dst []byte, k Key, v *Value) []byte {
	if !v.finite() {
		return dst
	}
	dst = append(dst, ',')
	dst = append(dst, quotedNames[k]...)
	return appendValue(dst, v)
}

func appendMember(dst []byte, name string, v *Value) []byte {
	if !v.finite() {
		return dst
	}
	return appendValue(appendName(dst, name), v)
}

// finite is false for a double that JSON cannot hold.
func (v *Value) finite() bool {
	if v.kind != KindDouble {
		return true
	}
	f := math.Float64frombits(v.num)
	return !math.IsNaN(f) && !math.IsInf(f, 0)
}

func appendValue(dst []byte, v *Value) []byte {
	switch v.kind {
	case KindString:
		return appendString(dst, v.str)
	case KindInt:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case KindDouble:
		return appendDouble(dst, math.Float64frombits(v.num))
	case KindBool:
		return strconv.AppendBool(dst, v.num == 1)
	case KindStrings:
		dst = append(dst, '[')
		for i, s := range v.Strings() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// appendName appends a member's name and colon, after a comma unless it is the object's first.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name), ':')
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func appendHex(dst, id []byte) []byte {
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, id)
	return append(dst, '"')
}

// appendDouble writes the shortest text that reads back as f, always with a point or an exponent, so that a double
// outside the model does not come back as an int.
func appendDouble(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			case 0:
				dst = append(dst, "\uFFFD"...)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			start = i + 1
		case r <= 0x9f:
			// C1 controls: a terminal may take U+009B for the start of an escape sequence.
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
			start = i + size
		case r == '\u2028' || r == '\u2029':
			// Some readers take these for the end of a line.
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', '2', '0', '2', hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
