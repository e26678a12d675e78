package websocketclickhouseexporter

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// tokenOf returns what the group is called in the store, if b holds its rows.
func tokenOf(g *eventlog.Group, b *batch) string {
	switch {
	case g.Exact() || b.rows.Len() == 0 && len(b.letters) == 0:
		return g.Chunk.ID
	case b.rows.Len() == 0:
		return b.sorting.token()
	}
	return b.rows.ContentToken()
}

// batch is a group in the form in which it is stored. It is reused.
type batch struct {
	sorting
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
	b.sorting.reset()
	b.clear()
}

// clear empties everything but what is known of refused rows.
func (b *batch) clear() {
	b.sorting.again()
	b.rows.Reset()
	b.progress = b.progress[:0]
	clear(b.samples)
	b.samples = b.samples[:0]
	b.event.Reset()
	b.view, b.unsettled = nil, false
	clear(b.claims)
}

// read fills b, which is empty, from g.
func (b *batch) read(g *eventlog.Group, view *store.TenantView) {
	b.view = view
	place := -1
	for _, p := range g.Parts {
		resource := eventlog.DecodeResource(p.Resource.Resource())
		service := resource.String(event.ServiceName)
		for _, lr := range p.Scope.LogRecords().All() {
			if place++; b.skips(place) {
				continue
			}
			err := eventlog.DecodeRecord(lr, resource, &b.event)
			switch {
			case err != nil:
				l := letterOf(resource, lr.Attributes())
				l.Reason, l.Text = reasonOf(lr), err.Error()
				b.letter(place, l, lr.Timestamp(), lr.ObservedTimestamp())
			case b.event.Name == event.SourceProgress:
				b.progress = append(b.progress, progressOf(&b.event))
			case b.event.Name == event.MessageSampled:
				b.samples = append(b.samples, store.PayloadSampleOf(&b.event))
			case b.event.Time.After(schema.LastTime) || b.event.Observed.After(schema.LastTime):
				l := letterOf(resource, lr.Attributes())
				l.Reason, l.Text = reasonOutOfRange, tooLate
				b.letter(place, l, lr.Timestamp(), lr.ObservedTimestamp())
			case len(b.refused) == 0 && b.only == nil:
				b.places = append(b.places, place)
				b.append(service)
			default:
				for range b.row(place, letterOf(resource, lr.Attributes())) {
					b.append(service)
				}
			}
		}
	}
}

var tooLate = "time: after " + schema.LastTime.Format(time.RFC3339) + ", the last that can be counted"

// reasonOf is why a record does not decode.
func reasonOf(lr plog.LogRecord) string {
	switch {
	case !event.Name(lr.EventName()).Known():
		return reasonNotAnEvent
	case lr.Timestamp() == 0 && lr.ObservedTimestamp() == 0:
		return reasonNoTime
	}
	return reasonOutOfRange
}

// eventCargo is a group of log records.
type eventCargo struct {
	*batch
	group *eventlog.Group
}

func (c eventCargo) sorted() *sorting { return &c.batch.sorting }
func (c eventCargo) rows() int        { return c.batch.rows.Len() }

func (c eventCargo) load() {
	view := c.view
	c.clear()
	c.read(c.group, view)
}

func (c eventCargo) insert(ctx context.Context, s *store.Store, token string) error {
	return s.InsertChunk(ctx, token, &c.batch.rows)
}

func (c eventCargo) accepts(ctx context.Context, s *store.Store, token string) error {
	return s.AcceptsEvents(ctx, token, &c.batch.rows)
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
