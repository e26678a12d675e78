package websocketclickhouseexporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// maxAhead is how far after now a span may begin. Rows go by age, so one from the far future would stay.
const maxAhead = 24 * time.Hour

// spanGroup is all spans that arrived under one chunk id; those without one form a group of their own.
type spanGroup struct {
	chunk   eventlog.Chunk
	parts   []spanPart
	records int
	torn    bool
}

type spanPart struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
}

func groupSpans(td ptrace.Traces) []*spanGroup {
	var groups []*spanGroup
	byID := map[string]*spanGroup{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			chunk := eventlog.ChunkOf(ss.Scope())
			g := byID[chunk.ID]
			if g == nil {
				g = &spanGroup{chunk: chunk}
				byID[chunk.ID] = g
				groups = append(groups, g)
			}
			g.torn = g.torn || g.chunk.Records != chunk.Records
			g.parts = append(g.parts, spanPart{rs, ss})
			g.records += ss.Spans().Len()
		}
	}
	return groups
}

// exact reports whether the group is the chunk that its source cut.
func (g *spanGroup) exact() bool {
	return g.chunk.ID != "" && !g.torn && g.records == g.chunk.Records
}

// spanCargo is a group of spans as rows.
type spanCargo struct {
	sorting
	group *spanGroup
	spans store.SpanRows
	span  event.Span
	// limit is when a span may begin at the latest, and ahead how many begin later.
	limit time.Time
	ahead int
}

func (c *spanCargo) sorted() *sorting { return &c.sorting }
func (c *spanCargo) rows() int        { return c.spans.Len() }

func (c *spanCargo) insert(ctx context.Context, s *store.Store, token string) error {
	return s.InsertSpans(ctx, token, &c.spans)
}

func (c *spanCargo) accepts(ctx context.Context, s *store.Store, token string) error {
	return s.AcceptsSpans(ctx, token, &c.spans)
}

func (c *spanCargo) load() {
	c.again()
	c.spans.Reset()
	c.ahead = 0
	place := -1
	for _, p := range c.group.parts {
		resource := eventlog.DecodeResource(p.resource.Resource())
		for _, span := range p.scope.Spans().All() {
			if place++; c.skips(place) {
				continue
			}
			err := eventlog.DecodeSpan(span, p.scope.Scope().Name(), resource, &c.span)
			if err == nil && c.span.Start.After(c.limit) {
				c.ahead++
				err = errAhead
			}
			switch {
			case err != nil:
				l := letterOf(resource, span.Attributes())
				l.Reason, l.Text = reasonNotASpan, err.Error()
				c.letter(place, l, span.StartTimestamp(), span.EndTimestamp())
			case len(c.refused) == 0 && c.only == nil:
				c.places = append(c.places, place)
				c.spans.Append(&c.span)
			default:
				for range c.row(place, letterOf(resource, span.Attributes())) {
					c.spans.Append(&c.span)
				}
			}
		}
	}
}

var errAhead = fmt.Errorf("span: begins more than %s after it came", maxAhead)

// read fills c from g and returns what it is called in the store. What content is called does not depend on the clock.
func (c *spanCargo) read(g *spanGroup, now time.Time) (token string) {
	c.sorting.reset()
	c.group, c.limit = g, now.Add(maxAhead)
	token = g.chunk.ID
	if !g.exact() {
		c.limit = schema.LastTime
		c.load()
		if token = c.sorting.token(); c.rows() > 0 {
			token = c.spans.ContentToken()
		}
		c.limit = now.Add(maxAhead)
	}
	c.load()
	return token
}

// pushTraces is push for spans. They have no tenants to admit and no progress to report.
func (e *clickhouseExporter) pushTraces(ctx context.Context, td ptrace.Traces) error {
	var retry, refused []error
	waiting := map[string]bool{}
	down := map[*target]bool{}
	var c spanCargo
	for _, g := range groupSpans(td) {
		token := c.read(g, time.Now())
		if c.rows() == 0 && len(c.letters) == 0 {
			continue
		}
		t := e.targets[e.shardOf(token)]
		if down[t] {
			waiting[g.chunk.ID] = true
			continue
		}
		switch err := e.insertSpans(ctx, t, token, &c); {
		case err == nil:
		case store.Retryable(err):
			retry = append(retry, err)
			waiting[g.chunk.ID], down[t] = true, true
		default:
			refused = append(refused, err)
			e.drop(ctx, store.Refused, g.records)
			e.logger.Error("ClickHouse refuses even what is said of refused spans; they are dropped",
				zap.String("sockeye.chunk.id", g.chunk.ID), zap.Int("spans", g.records), zap.Error(err))
		}
	}
	if len(retry) > 0 {
		return consumererror.NewTraces(errors.Join(retry...), remainingSpans(td, waiting))
	}
	if len(refused) > 0 {
		return consumererror.NewPermanent(errors.Join(refused...))
	}
	return nil
}

func (e *clickhouseExporter) insertSpans(ctx context.Context, t *target, token string, c *spanCargo) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	if err := e.deliver(ctx, s, token, c.group.chunk.Repeated, c); err != nil {
		t.failed(s, err)
		return err
	}
	t.usable(s)
	if c.rows() > 0 {
		e.stored(ctx, c.group.exact())
		e.telemetry.ExporterWebsocketclickhouseSpans.Add(ctx, int64(c.rows()))
	}
	return nil
}

// remainingSpans copies the chunks that wait.
func remainingSpans(td ptrace.Traces, waiting map[string]bool) ptrace.Traces {
	rest := ptrace.NewTraces()
	td.CopyTo(rest)
	rest.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			chunk := eventlog.ChunkOf(ss.Scope())
			if chunk.ID != "" {
				ss.Scope().Attributes().PutBool(eventlog.ChunkRepeatedKey, true)
			}
			return !waiting[chunk.ID]
		})
		return rs.ScopeSpans().Len() == 0
	})
	return rest
}
