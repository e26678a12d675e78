package websocketclickhouseexporter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
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

// read fills rows from g, and returns how many spans it left out.
func (g *spanGroup) read(rows *store.SpanRows) (dropped int) {
	var s event.Span
	limit := time.Now().Add(maxAhead)
	for _, p := range g.parts {
		resource := eventlog.DecodeResource(p.resource.Resource())
		for _, span := range p.scope.Spans().All() {
			if eventlog.DecodeSpan(span, p.scope.Scope().Name(), resource, &s) != nil || s.Start.After(limit) {
				dropped++
				continue
			}
			rows.Append(&s)
		}
	}
	return dropped
}

// pushTraces is push for spans. They have no tenants to admit and no progress to report.
func (e *clickhouseExporter) pushTraces(ctx context.Context, td ptrace.Traces) error {
	var retry, refused []error
	waiting := map[string]bool{}
	down := map[*target]bool{}
	var rows store.SpanRows
	for _, g := range groupSpans(td) {
		rows.Reset()
		e.drop(ctx, reasonNotASpan, g.read(&rows))
		if rows.Len() == 0 {
			continue
		}
		token := g.chunk.ID
		if !g.exact() {
			token = rows.ContentToken()
		}
		t := e.targets[e.shardOf(token)]
		if down[t] {
			waiting[g.chunk.ID] = true
			continue
		}
		switch err := e.insertSpans(ctx, t, token, g, &rows); {
		case err == nil:
		case store.Retryable(err):
			retry = append(retry, err)
			waiting[g.chunk.ID], down[t] = true, true
		default:
			refused = append(refused, err)
			e.drop(ctx, reasonRefused, rows.Len())
			e.logger.Error("ClickHouse refused spans for good; they are dropped",
				zap.String("sockeye.chunk.id", g.chunk.ID), zap.Int("spans", rows.Len()), zap.Error(err))
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

func (e *clickhouseExporter) insertSpans(
	ctx context.Context, t *target, token string, g *spanGroup, rows *store.SpanRows,
) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	err = s.InsertSpans(ctx, token, rows)
	e.timed(ctx, start, err)
	if err != nil {
		t.failed(s, err)
		return err
	}
	t.usable(s)
	e.telemetry.ExporterWebsocketclickhouseChunks.Add(ctx, 1)
	e.telemetry.ExporterWebsocketclickhouseSpans.Add(ctx, int64(rows.Len()))
	if !g.exact() {
		e.telemetry.ExporterWebsocketclickhouseInexactChunks.Add(ctx, 1)
	}
	return nil
}

// remainingSpans copies the chunks that wait.
func remainingSpans(td ptrace.Traces, waiting map[string]bool) ptrace.Traces {
	rest := ptrace.NewTraces()
	td.CopyTo(rest)
	rest.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool { return !waiting[eventlog.ChunkOf(ss.Scope()).ID] })
		return rs.ScopeSpans().Len() == 0
	})
	return rest
}
