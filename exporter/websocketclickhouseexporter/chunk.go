package websocketclickhouseexporter

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

// tokenOf returns what the group is called in the store, if b holds its rows.
func tokenOf(g *eventlog.Group, b *batch) string {
	if g.Exact() || b.rows.Len() == 0 {
		return g.Chunk.ID
	}
	return b.rows.ContentToken()
}

// drops counts records that cannot be stored.
type drops struct{ notAnEvent, noTime int }

// batch is a group in the form in which it is stored. It is reused.
type batch struct {
	rows     store.Rows
	progress []store.Progress
	samples  []store.PayloadSample
	event    event.Event

	// view is what the tenants were bounded by. Another gives other rows only if the batch is unsettled: if a tenant does
	// not count by name. The claims are those that should.
	view      *store.TenantView
	unsettled bool
	claims    map[store.Claim]struct{}
}

func (b *batch) reset() {
	b.rows.Reset()
	b.progress = b.progress[:0]
	clear(b.samples)
	b.samples = b.samples[:0]
	b.event.Reset()
	b.view, b.unsettled = nil, false
	clear(b.claims)
}

// read fills b, which is empty, from g.
func (b *batch) read(g *eventlog.Group, view *store.TenantView) (dropped drops) {
	b.view = view
	for _, p := range g.Parts {
		resource := eventlog.DecodeResource(p.Resource.Resource())
		service := resource.String(event.ServiceName)
		for _, lr := range p.Scope.LogRecords().All() {
			switch err := eventlog.DecodeRecord(lr, resource, &b.event); {
			case err == nil && b.event.Name == event.SourceProgress:
				b.progress = append(b.progress, progressOf(&b.event))
			case err == nil && b.event.Name == event.MessageSampled:
				b.samples = append(b.samples, store.PayloadSampleOf(&b.event))
			case err == nil:
				b.append(service)
			case event.Name(lr.EventName()).Known():
				dropped.noTime++
			default:
				dropped.notAnEvent++
			}
		}
	}
	return dropped
}

// append adds the event as a row, under the tenant that it counts as.
func (b *batch) append(service string) {
	tenant := b.event.String(event.TenantID)
	if tenant == "" {
		b.rows.Append(&b.event)
		return
	}
	as, claim := b.view.Bound(service, tenant, &b.event)
	if as == tenant {
		b.unsettled = b.unsettled || b.view == nil
		b.rows.Append(&b.event)
		return
	}
	b.unsettled = true
	if claim {
		if b.claims == nil {
			b.claims = map[store.Claim]struct{}{}
		}
		b.claims[store.Claim{Service: strings.Clone(service), Tenant: strings.Clone(tenant)}] = struct{}{}
	}
	b.rows.AppendAs(as, &b.event)
}

func progressOf(e *event.Event) store.Progress {
	backlog := e.Get(event.ProgressBacklog).Int()
	return store.Progress{
		Source:      e.String(event.ProgressSource),
		ReadThrough: time.Unix(0, e.Get(event.ProgressReadThrough).Int()).UTC(),
		Backlog:     uint64(max(backlog, 0)),
		Wall:        e.Time,
	}
}

// remaining copies what has not been stored: chunks that wait, whole, and every progress record. What was sent once may
// be stored although no answer came, so the chunks are marked as repeated.
func remaining(ld plog.Logs, waiting map[string]bool) plog.Logs {
	rest := plog.NewLogs()
	ld.CopyTo(rest)
	rest.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			if chunk := eventlog.ChunkOf(sl.Scope()); waiting[chunk.ID] {
				if chunk.ID != "" {
					sl.Scope().Attributes().PutBool(eventlog.ChunkRepeatedKey, true)
				}
				return false
			}
			sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
				return lr.EventName() != string(event.SourceProgress)
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	return rest
}
