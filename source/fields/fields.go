// Package fields takes log lines apart: a [Scanner] finds where the values of the fields that a parser wants stand in a
// line, and [Line] reads them as texts, numbers and times. It does not know what any field means.
//
// The invariant to keep: the fields of a line are spans of that line until [Line.Keep] is called, so that the lines of a
// busy log that are about something else cost one pass and no memory; and no error quotes a line.
package fields

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/source"
)

// ID numbers a field. A parser defines its own as constants that count from 0.
type ID int16

// None is the ID of what no parser wants.
const None ID = -1

// Scanner finds the fields of a line of one format. It keeps memory between lines, so it is not safe for concurrent use.
type Scanner interface {
	// Scan resets l to data and says where its fields stand. The error is a [source.Error].
	Scan(data []byte, l *Line) error
}

// span is where a value stands in the line.
type span struct {
	start, end int32
	// logged is true if the line has the field at all, even if empty.
	logged  bool
	escaped bool
	// list is true for a JSON array.
	list bool
}

// Line is one line taken apart. It is used again for the next.
type Line struct {
	names []string
	data  []byte
	spans []span
	// text is what data holds once Keep has been called; clean, that every value is UTF-8 without NUL.
	text     string
	clean    bool
	kept     []byte
	unescape func(out, v []byte) []byte
}

// NewLine returns a Line for fields with these names, by their IDs. A name is for errors: what the reader of the error
// finds in the writer's configuration.
func NewLine(names []string) *Line {
	return &Line{names: names, spans: make([]span, len(names)), unescape: plain}
}

// NewLineOf is [NewLine] for fields that have several names each; errors have the first.
func NewLineOf(names [][]string) *Line {
	first := make([]string, len(names))
	for f, list := range names {
		first[f] = list[0]
	}
	return NewLine(first)
}

// ByName returns the fields by their names, of which each field's first ones are skipped.
func ByName(names [][]string, skipped int) map[string]ID {
	m := map[string]ID{}
	for f, list := range names {
		for _, name := range list[skipped:] {
			m[name] = ID(f)
		}
	}
	return m
}

// plain is for values that are as they stand.
func plain(out, v []byte) []byte { return append(out, v...) }

// Reset begins a line. unescape appends to out what the values stand for that [Line.Set] is told have escapes.
func (l *Line) Reset(data []byte, unescape func(out, v []byte) []byte) {
	l.data, l.text, l.unescape = data, "", unescape
	clear(l.spans)
}

// Set says that the value of f stands at data[start:end].
func (l *Line) Set(f ID, start, end int, escaped bool) {
	l.spans[f] = span{start: int32(start), end: int32(end), logged: true, escaped: escaped}
}

// Keep gives the values memory that outlives the line: one string for all of them, and nothing for the rest of the
// line, since events hold on to it. Texts can be read only after it.
func (l *Line) Keep() {
	l.kept = l.kept[:0]
	for i := range l.spans {
		s := &l.spans[i]
		if s.start == s.end {
			s.start, s.end = 0, 0
			continue
		}
		v := l.data[s.start:s.end]
		start := len(l.kept)
		// The values of a list are decoded one by one.
		if s.escaped && !s.list {
			l.kept, s.escaped = l.unescape(l.kept, v), false
		} else {
			l.kept = append(l.kept, v...)
		}
		s.start, s.end = int32(start), int32(len(l.kept))
	}
	l.data, l.text = l.kept, string(l.kept)
	l.clean = ascii(l.kept) || l.valid()
}

// valid reports whether events can carry each value. Of two that are broken, one after the other can look whole.
func (l *Line) valid() bool {
	for _, s := range l.spans {
		if v := l.kept[s.start:s.end]; !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
			return false
		}
	}
	return true
}

// ascii reports whether all bytes are from 1 to 127, as they nearly always are. Eight at a time, as [special] does.
func ascii(data []byte) bool {
	i := 0
	for ; i+8 <= len(data); i += 8 {
		if x := binary.LittleEndian.Uint64(data[i:]); (x|(x-ones)&^x)&highs != 0 {
			return false
		}
	}
	for ; i < len(data); i++ {
		if data[i]-1 >= 0x7f {
			return false
		}
	}
	return true
}

// Raw returns the bytes of a value, as they stand until Keep is called and decoded afterwards; false if the line does not
// have the field. "-" is the usual way, "" the way of JSON to say that there is no value; both are returned empty.
func (l *Line) Raw(f ID) ([]byte, bool) {
	s := l.spans[f]
	v := l.data[s.start:s.end]
	if len(v) == 1 && v[0] == '-' {
		v = nil
	}
	return v, s.logged
}

// Has reports whether the line has the field, even if empty.
func (l *Line) Has(f ID) bool { return l.spans[f].logged }

// Value returns a value decoded, or ""; of a list the first. Keep must have been called.
func (l *Line) Value(f ID) string {
	s := l.spans[f]
	if s.start == s.end {
		return ""
	}
	if s.list {
		v, _ := l.item(s, 1)
		return v
	}
	return l.decode(l.text[s.start:s.end], s.escaped)
}

func (l *Line) decode(v string, escaped bool) string {
	if v == "-" {
		return ""
	}
	if escaped {
		v = string(l.unescape(nil, []byte(v)))
	} else if l.clean {
		return v
	}
	return source.Text(v)
}

// Strings returns the values of a list, or the one value of a field that is none, or nil. Keep must have been called.
func (l *Line) Strings(f ID) (list []string) {
	s := l.spans[f]
	if !s.list {
		if v := l.Value(f); v != "" {
			list = append(list, v)
		}
		return list
	}
	for i := 1; ; {
		v, next := l.item(s, i)
		if next < 0 {
			return list
		}
		list, i = append(list, v), next
	}
}

// item returns the first string of a JSON array from its byte i on, and where to look for the next, or -1.
func (l *Line) item(s span, i int) (string, int) {
	data := l.data[s.start:s.end]
	for ; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			if i = skip(data, i); i < 0 {
				return "", -1
			}
			i--
		case '"':
			end, escaped := stringEnd(data, i+1)
			if end < 0 {
				return "", -1
			}
			return l.decode(l.text[int(s.start)+i+1:int(s.start)+end], escaped), end + 1
		}
	}
	return "", -1
}

// Fault returns an error about a field.
func (l *Line) Fault(reason string, f ID) error {
	return &source.Error{Reason: reason, Field: l.names[f]}
}

// Integer returns a whole number from 0 to limit, or -1 where the line has none.
func (l *Line) Integer(f ID, limit int64) (int64, error) {
	v := l.Value(f)
	if v == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil || n > uint64(limit) {
		return 0, l.Fault(source.BadNumber, f)
	}
	return int64(n), nil
}

// MaxPort is the greatest port, MaxInteger the greatest whole number that events carry.
const (
	MaxPort    = 65535
	MaxInteger = 1 << 53
)

// MaxDuration is ten years: a longer connection is a broken number.
const MaxDuration = 10 * 365 * 24 * time.Hour

// Absent is a duration that the line does not have.
const Absent = time.Duration(-1)

// Duration returns a decimal number of units, or [Absent].
func (l *Line) Duration(f ID, unit time.Duration) (time.Duration, error) {
	v := l.Value(f)
	if v == "" {
		return Absent, nil
	}
	d, ok := ParseDuration(v, unit)
	if !ok || d > MaxDuration {
		return 0, l.Fault(source.BadNumber, f)
	}
	return d, nil
}

// ParseDuration reads a decimal number of units, such as "1.518", exactly; digits beyond the nanosecond are dropped. A
// small one may have an exponent, such as "4.2e-05": programs that pass JSON on write it so.
func ParseDuration(s string, unit time.Duration) (time.Duration, bool) {
	if d, ok := decimal(s, unit); ok || !strings.ContainsAny(s, "eE") {
		return d, ok
	}
	f, err := strconv.ParseFloat(s, 64)
	f *= float64(unit)
	if err != nil || s[0] < '0' || s[0] > '9' || strings.ContainsAny(s, "xX") || f >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(f), true
}

func decimal(s string, unit time.Duration) (time.Duration, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 19 || (point && fraction == "") {
		return 0, false
	}
	n := int64(0)
	for i := range len(whole) {
		c := whole[i] - '0'
		if c > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = 10*n + int64(c)
	}
	u := int64(unit)
	if n > math.MaxInt64/u-1 {
		return 0, false
	}
	n *= u
	for i := range len(fraction) {
		c := fraction[i] - '0'
		if c > 9 {
			return 0, false
		}
		u /= 10
		n += int64(c) * u
	}
	return time.Duration(n), true
}

// Status returns the status of a response; 0, which nginx writes as 000, means that there was none.
func (l *Line) Status(f ID) (int, error) {
	v, logged := l.Raw(f)
	if !logged {
		return 0, l.Fault(source.MissingField, f)
	}
	if len(v) == 0 || string(v) == "0" {
		return 0, nil
	}
	if len(v) != 3 {
		return 0, l.Fault(source.BadNumber, f)
	}
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, l.Fault(source.BadNumber, f)
		}
		n = 10*n + int(c-'0')
	}
	if n != 0 && (n < 100 || n > 599) {
		return 0, l.Fault(source.BadNumber, f)
	}
	return n, nil
}

// Times outside these years are broken clocks or broken lines, and would not fit a timestamp in nanoseconds.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Time returns the time that stands there in a layout of package time; it is UTC unless it says otherwise.
func (l *Line) Time(f ID, layout string) (time.Time, error) { return l.TimeIn(f, layout, time.UTC) }

// TimeIn is [Line.Time] for a writer in zone.
func (l *Line) TimeIn(f ID, layout string, zone *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(layout, l.Value(f), zone)
	// The error of time.Parse quotes the value, so it is not kept.
	if err != nil || t.Before(earliest) || t.After(latest) {
		return time.Time{}, l.Fault(source.BadTime, f)
	}
	return t.UTC(), nil
}

// Unix returns the time that stands there as a decimal number of units since 1970.
func (l *Line) Unix(f ID, unit time.Duration) (time.Time, error) {
	d, ok := ParseDuration(l.Value(f), unit)
	t := time.Unix(0, int64(d)).UTC()
	if !ok || t.Before(earliest) || t.After(latest) {
		return time.Time{}, l.Fault(source.BadTime, f)
	}
	return t, nil
}
