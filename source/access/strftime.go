package access

import (
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

// TimeFormat reads times that were written by a format of strftime.
type TimeFormat struct {
	layout string
	// unit is not 0 for a count since 1970.
	unit time.Duration
	zone *time.Location
}

// conversions are those of strftime, and Envoy's and Apache's additions to it, in the layouts of package time.
var conversions = map[string]string{
	"Y": "2006", "m": "01", "d": "02", "e": "_2", "H": "15", "I": "03", "M": "04", "S": "05", "y": "06", "b": "Jan", "h": "Jan",
	"B": "January", "a": "Mon", "A": "Monday", "p": "PM", "z": "-0700", "Z": "MST", "j": "002", "T": "15:04:05", "F": "2006-01-02",
	"D": "01/02/06", "R": "15:04", "n": "\n", "t": "\t", "%": "%",
	// Digits of a second have to follow a point; Go reads them there without being told.
	"1f": "0", "2f": "00", "3f": "000", "4f": "0000", "5f": "00000", "6f": "000000", "9f": "000000000", "f": "000000000",
}

// units are counts since 1970; the time of a request begins may stand before one.
var units = map[string]time.Duration{
	"%s": time.Second, "sec": time.Second, "%s.%3f": time.Second, "%s.%6f": time.Second, "%s.%9f": time.Second, "%s.%f": time.Second,
	"msec": time.Millisecond, "%s%3f": time.Millisecond, "usec": time.Microsecond, "%s%6f": time.Microsecond,
	"%s%9f": time.Nanosecond, "%s%f": time.Nanosecond,
}

// NewTimeFormat returns the reader of times in a format of strftime; false for one that it cannot read. zone is that of
// times that have none.
func NewTimeFormat(format string, zone *time.Location) (TimeFormat, bool) {
	if unit, ok := units[format]; ok {
		return TimeFormat{unit: unit}, true
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		end := i + 1
		for end < len(format) && format[end] >= '0' && format[end] <= '9' {
			end++
		}
		if end == len(format) {
			return TimeFormat{}, false
		}
		layout, ok := conversions[format[i+1:end+1]]
		if !ok || layout[0] == '0' && strings.HasSuffix(format[i+1:end+1], "f") && !endsWithPoint(b.String()) {
			return TimeFormat{}, false
		}
		b.WriteString(layout)
		i = end
	}
	return TimeFormat{layout: b.String(), zone: zone}, b.Len() > 0
}

func endsWithPoint(s string) bool { return strings.HasSuffix(s, ".") || strings.HasSuffix(s, ",") }

// Words is how many words such a time has.
func (f TimeFormat) Words() int { return 1 + strings.Count(f.layout, " ") }

// Read reads the time of a field.
func (f TimeFormat) Read(l *fields.Line, id fields.ID) (time.Time, error) {
	switch {
	case l.Value(id) == "":
		return time.Time{}, l.Fault(source.MissingField, id)
	case f.unit != 0:
		return l.Unix(id, f.unit)
	case strings.HasSuffix(f.layout, "Z07:00"):
		return l.Time(id, f.layout)
	}
	return l.TimeIn(id, f.layout, f.zone)
}

// RFC3339 is the format of times that say everything.
var RFC3339 = TimeFormat{layout: time.RFC3339, zone: time.UTC}
