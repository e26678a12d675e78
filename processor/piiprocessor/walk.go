package piiprocessor

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// walker goes through pdata with one Scanner. It knows maps and values; logs.go, traces.go and
// metrics.go know the signals.
type walker struct {
	// engine and scanner are those of the policy that applies, base the engine outside of all policies.
	engine, base *redact.Engine
	scanner      *redact.Scanner
	policies     []policy
	// scanners are those that were taken: base's, then one for each policy.
	scanners []*redact.Scanner
	// tenantKey names the attribute that says whose the data is; resourceTenant is what it is on the resource.
	tenantKey, resourceTenant string
	// remarking writes remarks into records; before is what had been done when the record began.
	remarking bool
	before    Counts
	// table is the key table of the map that is being walked.
	table redact.Table
	// attribute is w.remove bound once, so that walking a map allocates nothing.
	attribute func(key string, v pcommon.Value) bool
	// clientHash is the pseudonym of the whole client.address of the map that is being walked.
	clientHash string
	digits     []byte
	// spare is an empty resource.
	spare pcommon.Resource
	// explaining keeps remarks; field is the place that is being walked.
	explaining bool
	field      string
	remarks    []Remark
}

func newWalker(r *Redactor) *walker {
	w := &walker{
		base: r.engine, policies: r.policies, scanners: make([]*redact.Scanner, 1+len(r.policies)), tenantKey: r.tenantKey,
		remarking: r.remarking, spare: pcommon.NewResource(),
	}
	w.attribute = w.remove
	return w
}

// walk treats every attribute of m.
func (w *walker) walk(m pcommon.Map, table redact.Table) {
	w.table, w.clientHash = table, ""
	if w.explaining {
		m.RemoveIf(w.removeAndNote)
	} else {
		m.RemoveIf(w.attribute)
	}
	if w.clientHash != "" {
		m.PutStr(clientHashKey, w.clientHash)
	}
}

var (
	clientAddressKey = event.ClientAddress.String()
	clientHashKey    = event.ClientHash.String()
)

// remove treats one attribute and reports whether it must go.
func (w *walker) remove(key string, v pcommon.Value) (gone bool) {
	defer func() {
		if recover() != nil {
			w.scanner.CountDrop(redact.Panic)
			gone = true
		}
	}()
	t, ok := w.scanner.Key(w.table, key)
	if !ok || w.scanner.Drops(t) {
		return true
	}
	if key == clientAddressKey && t.IsAddress() && v.Type() == pcommon.ValueTypeStr {
		if w.engine.Holds(w.table, clientHashKey) {
			w.clientHash = w.scanner.ClientHash(v.Str())
		}
	}
	return w.value(v, t, 0) == redact.Dropped
}

// value treats v in place. Dropped means that the caller must remove or empty it.
func (w *walker) value(v pcommon.Value, t redact.Treatment, depth int) redact.Verdict {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		out, verdict := w.scanner.String(t, v.Str())
		if verdict == redact.Changed {
			setStr(v, out)
		}
		return verdict
	case pcommon.ValueTypeInt:
		if t.Numeric() {
			return redact.Kept
		}
		w.digits = strconv.AppendInt(w.digits[:0], v.Int(), 10)
		return w.scanner.Number(t, w.digits)
	case pcommon.ValueTypeDouble:
		if t.Numeric() {
			return redact.Kept
		}
		w.digits = strconv.AppendFloat(w.digits[:0], v.Double(), 'f', -1, 64)
		return w.scanner.Number(t, w.digits)
	case pcommon.ValueTypeBool, pcommon.ValueTypeEmpty:
		return redact.Kept
	case pcommon.ValueTypeBytes:
		return w.bytes(v, t)
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		if t.Keeps() {
			return redact.Kept
		}
		if depth >= w.engine.MaxDepth() {
			w.scanner.CountDrop(redact.Depth)
			return redact.Dropped
		}
		if v.Type() == pcommon.ValueTypeSlice {
			w.list(v.Slice(), t, depth+1)
			return redact.Kept
		}
		return w.members(v.Map(), t, depth+1)
	}
	w.scanner.CountDrop(redact.UnknownValue)
	return redact.Dropped
}

// bytes treats text in bytes as text. Bytes that are no text may hold anything, compressed or not.
func (w *walker) bytes(v pcommon.Value, t redact.Treatment) redact.Verdict {
	raw := v.Bytes()
	if t.Keeps() || raw.Len() == 0 {
		return redact.Kept
	}
	text := string(raw.AsRaw())
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 && !redact.NULEndsFrames(text) {
		w.scanner.CountDrop(redact.Binary)
		return redact.Dropped
	}
	out, verdict := w.scanner.String(t, text)
	if verdict == redact.Changed {
		raw.FromRaw([]byte(out))
	}
	return verdict
}

func (w *walker) list(list pcommon.Slice, t redact.Treatment, depth int) {
	announced := false
	list.RemoveIf(func(item pcommon.Value) bool {
		if t.IsSubprotocol() && item.Type() == pcommon.ValueTypeStr {
			var out string
			if out, announced = w.scanner.SubprotocolItem(item.Str(), announced); out != item.Str() {
				setStr(item, out)
			}
			return false
		}
		return w.value(item, t, depth) == redact.Dropped
	})
}

// members treats the members of a map in a value. The event model has no such maps, so they are unknown.
func (w *walker) members(m pcommon.Map, t redact.Treatment, depth int) redact.Verdict {
	if !w.engine.ScansUnknown() && !t.IsText() {
		w.scanner.CountDrop(redact.UnknownValue)
		return redact.Dropped
	}
	m.RemoveIf(func(key string, v pcommon.Value) bool {
		outer := w.enter(key)
		nested, ok := w.scanner.Nested(t, key)
		gone := !ok || w.scanner.Drops(nested) || w.value(v, nested, depth) == redact.Dropped
		w.leave(outer)
		return gone
	})
	return redact.Kept
}
