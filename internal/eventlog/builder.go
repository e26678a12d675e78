package eventlog

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
)

// Builder makes the records of one chunk one event at a time, so that a source that parses a line need not keep its
// events. Its result is that of [Encode]. One Builder is meant for all chunks of a source: what it learns from one makes
// the next cheaper.
type Builder struct {
	logs    plog.Logs
	groups  map[*event.Resource]plog.LogRecordSlice
	scopes  []pcommon.InstrumentationScope
	records int
	// shapes are those of the last events: one source has few. replaced counts those that made room for others.
	shapes   []*shape
	replaced int
	memory   memory

	// The last group: most sources have one resource.
	last      *event.Resource
	lastSlice plog.LogRecordSlice
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	b := &Builder{}
	b.Reset()
	return b
}

// Reset drops the records that have been added.
func (b *Builder) Reset() {
	*b = Builder{
		logs: plog.NewLogs(), groups: make(map[*event.Resource]plog.LogRecordSlice, 1),
		shapes: b.shapes, replaced: b.replaced, memory: b.memory.next(),
	}
}

// Expect says what share of the chunk before the next one is likely to be; otherwise it is expected to be as large. It is
// to be called before Add.
func (b *Builder) Expect(share float64) { b.memory.expect(share) }

// Add appends e's record. It keeps no reference to e, but to e's strings.
func (b *Builder) Add(e *event.Event) {
	if b.records == 0 || e.Resource != b.last {
		b.last, b.lastSlice = e.Resource, b.group(e.Resource)
	}
	encodeRecord(b.lastSlice.AppendEmpty(), e, b.shape(e), &b.memory)
	b.records++
}

const maxShapes = 16

func (b *Builder) shape(e *event.Event) *shape {
	if !direct {
		return nil
	}
	for _, s := range b.shapes {
		if s.fits(e) {
			return s
		}
	}
	s := newShape(e)
	if len(b.shapes) < maxShapes {
		b.shapes = append(b.shapes, s)
	} else {
		b.shapes[b.replaced%maxShapes] = s
		b.replaced++
	}
	return s
}

func (b *Builder) group(r *event.Resource) plog.LogRecordSlice {
	if records, ok := b.groups[r]; ok {
		return records
	}
	rl := b.logs.ResourceLogs().AppendEmpty()
	encodeNamed(rl.Resource().Attributes(), r.Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(ScopeName)
	b.scopes = append(b.scopes, sl.Scope())
	b.groups[r] = sl.LogRecords()
	return sl.LogRecords()
}

// Records returns how many records there are.
func (b *Builder) Records() int { return b.records }

// Logs returns the records as that chunk, as [Encode] does. The Builder is empty then.
func (b *Builder) Logs(chunk Chunk) plog.Logs {
	for _, scope := range b.scopes {
		chunk.put(scope, b.records)
	}
	logs := b.logs
	b.Reset()
	return logs
}
