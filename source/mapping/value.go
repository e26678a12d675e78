package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// value is where an attribute comes from.
type value struct {
	key event.Key
	// field is fields.None for a constant.
	field    fields.ID
	constant event.Value
	// table replaces texts of the log; other, if given, those that it does not have. An absent value drops the attribute.
	table    map[string]event.Value
	other    event.Value
	hasOther bool
	unit     string
}

// Units of durations. The others of package time are not in use in logs.
var units = map[string]time.Duration{
	"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond,
}

// unitGo is that of texts such as 1m2.5s.
const unitGo = "go"

// resolve returns the attribute's value by a line; the absent value if the line has none. ok is false if it has one that
// the attribute cannot take.
func (v *value) resolve(l *fields.Line) (result event.Value, ok bool) {
	if v.field == fields.None {
		return v.constant, true
	}
	if v.key.Definition().Kind == event.KindStrings && v.table == nil {
		list := l.Strings(v.field)
		if len(list) == 1 {
			list = access.List(list[0])
		}
		if len(list) == 0 {
			return event.Value{}, true
		}
		return event.Strings(list), true
	}
	text := l.Value(v.field)
	if text == "" {
		if !l.Has(v.field) {
			return event.Value{}, true
		}
		// An empty value may have a meaning of its own; without one it says nothing.
		return v.table[""], true
	}
	if replaced, found := v.table[text]; found {
		return replaced, true
	}
	if v.hasOther {
		return v.other, true
	}
	return parse(v.key, text, v.unit)
}

// parse reads text as a value of k.
func parse(k event.Key, text, unit string) (v event.Value, ok bool) {
	d := k.Definition()
	switch d.Kind {
	case event.KindString:
		v = event.String(text)
		if d.Low && d.Values == nil && len(text) > event.MaxLowBytes {
			return event.Value{}, true // noise of a client, which is better absent from a dimension
		}
	case event.KindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			// Loggers of dynamic languages write 5.0 or 5e3.
			f, ferr := strconv.ParseFloat(text, 64)
			if ferr != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
				return v, false
			}
			n = int64(f)
		}
		v = event.Int(n)
	case event.KindDouble:
		f, good := number(text, unit)
		if !good {
			return v, false
		}
		v = event.Double(f)
	case event.KindBool:
		switch strings.ToLower(text) {
		case "true", "1", "yes":
			v = event.Bool(true)
		case "false", "0", "no":
			v = event.Bool(false)
		default:
			return v, false
		}
	case event.KindStrings:
		v = event.Strings(access.List(text))
	}
	return v, k.Accepts(v)
}

// number reads a number of units, as seconds where there is one.
func number(text, unit string) (float64, bool) {
	switch unit {
	case unitGo:
		d, err := time.ParseDuration(text)
		return d.Seconds(), err == nil
	case "":
	default:
		// Exact, so that 1518 ms are 1.518 s and not a little less.
		if d, ok := fields.ParseDuration(text, units[unit]); ok {
			return d.Seconds(), true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if u := units[unit]; u != 0 {
		f *= u.Seconds()
	}
	return f, err == nil
}

// set writes the value into e. Addresses with a port, and targets with a query, are taken apart.
func (v *value) set(l *fields.Line, m *access.Emitter, e *event.Event) error {
	got, ok := v.resolve(l)
	if !ok {
		return l.Fault(event.ReasonBadValue, v.field)
	}
	if got.Kind() == event.KindAbsent {
		return nil
	}
	switch v.key {
	case event.ClientAddress:
		setHost(e, v.key, event.ClientPort, got.Str())
	case event.ServerAddress:
		setHost(e, v.key, event.ServerPort, got.Str())
	case event.URLPath:
		path, query := access.Target(got.Str())
		source.SetString(e, event.URLPath, path)
		if !e.Has(event.URLQuery) {
			source.SetString(e, event.URLQuery, query)
		}
	case event.HandshakeKeyHash:
		e.SetString(v.key, m.KeyHash(got.Str()))
	case event.CloseCode:
		access.SetCloseCode(e, got.Int())
	default:
		e.Set(v.key, got)
	}
	return nil
}

func setHost(e *event.Event, address, port event.Key, text string) {
	host, n := access.Host(text)
	source.SetString(e, address, host)
	if n > 0 && !e.Has(port) {
		e.SetInt(port, n)
	}
}
