// Package eventlog turns [event.Event] into OTLP log records and back, and [event.Span] into OTLP spans and back; it is the
// only package that knows both sides. It decides nothing about events: what a record cannot carry is an error, what the
// model does not know is passed on.
//
// The invariant to keep: what is decoded from an encoded event is the same event (an observed time that was zero is then
// equal to time, which means the same), and a chunk's id and record count stand on the scope of every record of the
// chunk, so that they survive any OTLP hop.
package eventlog

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
)

// ScopeName is the instrumentation scope of every record that this package makes.
const ScopeName = "github.com/sockeye-project/sockeye"

// Scope attributes that carry a chunk's identity.
const (
	ChunkIDKey       = "sockeye.chunk.id"
	ChunkRecordsKey  = "sockeye.chunk.records"
	ChunkRepeatedKey = "sockeye.chunk.repeated"
)

// Chunk names a set of records that is stored as one: the unit of acknowledgement and of deduplication. A source cuts
// it once; nobody merges or splits it later. The zero Chunk means that the records came without one.
type Chunk struct {
	// ID is the same whenever the same records are sent again.
	ID string
	// Records is how many records the source put into the chunk.
	Records int
	// Repeated says that the chunk may have been sent before, perhaps long ago; where it is false, it has not.
	Repeated bool
}

// put writes the chunk, of that many records, onto a scope.
func (c Chunk) put(scope pcommon.InstrumentationScope, records int) {
	if c.ID == "" {
		return
	}
	attrs := scope.Attributes()
	attrs.PutStr(ChunkIDKey, c.ID)
	attrs.PutInt(ChunkRecordsKey, int64(records))
	if c.Repeated {
		attrs.PutBool(ChunkRepeatedKey, true)
	}
}

// Encode puts events into a new plog.Logs, grouped by Resource pointer in order of first appearance, with chunk on
// every scope. The number of records there is len(events), whatever chunk.Records says.
func Encode(events []event.Event, chunk Chunk) plog.Logs {
	b := NewBuilder()
	for i := range events {
		b.Add(&events[i])
	}
	return b.Logs(chunk)
}

// EncodeRecord writes e into lr, which must be empty. A [Builder] does it faster for many events.
func EncodeRecord(lr plog.LogRecord, e *event.Event) { encodeRecord(lr, e, nil, nil) }

// shape is which attributes an event has, and in which order.
type shape struct {
	keys  []event.Key
	names []string
}

func newShape(e *event.Event) *shape {
	s := &shape{keys: make([]event.Key, e.Len()), names: make([]string, e.Len())}
	for i := range s.keys {
		s.keys[i] = e.KeyAt(i)
		s.names[i] = s.keys[i].String()
	}
	return s
}

// fits reports whether e has the keys of s, in their order.
func (s *shape) fits(e *event.Event) bool {
	if len(s.keys) != e.Len() {
		return false
	}
	// What differs is most likely the end: what all events have is set first.
	for i := len(s.keys) - 1; i >= 0; i-- {
		if e.KeyAt(i) != s.keys[i] {
			return false
		}
	}
	return true
}

// spare is room for what processors add to a record, such as the pseudonym of its client, without moving the rest.
const spare = 1

// encodeRecord is [EncodeRecord] for an event of that shape, in that memory; without them it takes pdata's methods.
func encodeRecord(lr plog.LogRecord, e *event.Event, s *shape, m *memory) {
	lr.SetEventName(string(e.Name))
	lr.SetTimestamp(timestamp(e.Time))
	observed := e.Observed
	if observed.IsZero() {
		observed = e.Time
	}
	lr.SetObservedTimestamp(timestamp(observed))
	severity := e.Severity()
	lr.SetSeverityNumber(plog.SeverityNumber(severity))
	lr.SetSeverityText(severity.String())
	if e.TraceID != [16]byte{} {
		lr.SetTraceID(e.TraceID)
		lr.SetSpanID(e.SpanID)
	}
	attrs := lr.Attributes()
	extra := e.Extra()
	if s != nil {
		m.put(attrs, e, s, len(extra)+spare)
	} else {
		attrs.EnsureCapacity(e.Len() + len(extra) + spare)
		putEach(attrs, e)
	}
	for _, a := range extra {
		// An attribute of the model wins over one outside it with the same name, and the first of two over the second.
		if v, exists := attrs.GetOrPutEmpty(a.Name); !exists {
			encodeValue(v, a.Value)
		}
	}
}

func putEach(attrs pcommon.Map, e *event.Event) {
	e.Each(func(k event.Key, v event.Value) { encodeValue(attrs.PutEmpty(k.String()), v) })
}

func encodeNamed(m pcommon.Map, attrs []event.Named) {
	for _, a := range attrs {
		encodeValue(m.PutEmpty(a.Name), a.Value)
	}
}

func encodeValue(dst pcommon.Value, v event.Value) {
	switch v.Kind() {
	case event.KindString:
		dst.SetStr(v.Str())
	case event.KindInt:
		dst.SetInt(v.Int())
	case event.KindDouble:
		dst.SetDouble(v.Double())
	case event.KindBool:
		dst.SetBool(v.Bool())
	case event.KindStrings:
		list := dst.SetEmptySlice()
		list.EnsureCapacity(len(v.Strings()))
		for _, s := range v.Strings() {
			list.AppendEmpty().SetStr(s)
		}
	}
}

// maxTimestamp is the last that fits nanoseconds since 1970 in both directions.
const maxTimestamp = pcommon.Timestamp(math.MaxInt64)

// timestamp returns 0, which in OTLP means absent, for a time that nanoseconds since 1970 cannot hold.
func timestamp(t time.Time) pcommon.Timestamp {
	if s := t.Unix(); s < 0 || s > math.MaxInt64/int64(time.Second)-1 {
		return 0
	}
	return pcommon.NewTimestampFromTime(t)
}

// ChunkOf returns the chunk that scope names, or the zero Chunk.
func ChunkOf(scope pcommon.InstrumentationScope) Chunk {
	id, ok := scope.Attributes().Get(ChunkIDKey)
	if !ok || id.Type() != pcommon.ValueTypeStr {
		return Chunk{}
	}
	n, ok := scope.Attributes().Get(ChunkRecordsKey)
	if !ok || n.Type() != pcommon.ValueTypeInt || n.Int() < 0 || n.Int() > math.MaxInt32 {
		return Chunk{}
	}
	repeated, ok := scope.Attributes().Get(ChunkRepeatedKey)
	return Chunk{ID: id.Str(), Records: int(n.Int()), Repeated: ok && repeated.Bool()}
}

// DecodeResource returns r's attributes as an event.Resource.
func DecodeResource(r pcommon.Resource) *event.Resource {
	named := decodeNamed(make([]event.Named, 0, r.Attributes().Len()), r.Attributes())
	return event.NewResource(named...)
}

// DecodeRecord fills e, which it resets first, from lr. A record without an event name of the model, or without a time,
// is an error; e is then empty. An attribute of the model whose value has another type, is outside its closed set or
// breaks its bounds ([event.Key.Accepts]) is kept among [event.Event.Extra], where it does no harm. The strings of e are
// lr's own.
func DecodeRecord(lr plog.LogRecord, resource *event.Resource, e *event.Event) error {
	e.Reset()
	name := event.Name(lr.EventName())
	if !name.Known() {
		return fmt.Errorf("event name: not in the event model (%d characters)", len(name))
	}
	at, observed := lr.Timestamp(), lr.ObservedTimestamp()
	if at == 0 {
		at = observed
	}
	switch {
	case at == 0:
		return fmt.Errorf("%s: record has neither a timestamp nor an observed timestamp", name)
	case at > maxTimestamp || observed > maxTimestamp:
		return fmt.Errorf("%s: timestamp is after the year 2261", name)
	}
	e.Name = name
	e.Resource = resource
	e.Time = at.AsTime()
	if observed != 0 {
		e.Observed = observed.AsTime()
	}
	e.TraceID = lr.TraceID()
	e.SpanID = lr.SpanID()
	for name, raw := range lr.Attributes().All() {
		v := decodeAny(raw)
		if v.Kind() == event.KindAbsent {
			continue
		}
		k, known := event.KeyOf(name)
		if known && v.Kind() == event.KindInt && k.Definition().Kind == event.KindDouble {
			v = event.Double(v.Double())
		}
		if !known || !e.Accept(k, v) {
			e.AddExtra(name, v)
		}
	}
	return nil
}

// decodeAny returns the absent value for an empty one, and maps what the model has no kind for (maps, bytes, mixed lists) to its JSON text.
func decodeAny(v pcommon.Value) event.Value {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return event.String(v.Str())
	case pcommon.ValueTypeInt:
		return event.Int(v.Int())
	case pcommon.ValueTypeDouble:
		return event.Double(v.Double())
	case pcommon.ValueTypeBool:
		return event.Bool(v.Bool())
	case pcommon.ValueTypeSlice:
		list := make([]string, 0, v.Slice().Len())
		for _, item := range v.Slice().All() {
			if item.Type() != pcommon.ValueTypeStr {
				b, err := json.Marshal(v.Slice().AsRaw())
				if err != nil {
					return event.String(v.AsString())
				}
				return event.String(string(b))
			}
			list = append(list, item.Str())
		}
		return event.Strings(list)
	case pcommon.ValueTypeEmpty:
		return event.Value{}
	}
	return event.String(v.AsString())
}
