package store

import (
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// SpanRows are the spans of one chunk as columns. It is used as [Rows] is.
type SpanRows struct {
	block

	start, duration                                            fixed
	traceID, spanID, parentID, traceState, statusMessage, conn text
	name, kind, status, errorType, scope                       words
	attributes                                                 wordMap
	eventEnds, eventTime, linkEnds                             fixed
	eventName                                                  words
	linkTrace, linkSpan                                        text
	eventAttributes, linkAttributes                            wordMap
	events, links                                              uint64
}

// Reset empties r and keeps its memory.
func (r *SpanRows) Reset() {
	r.events, r.links = 0, 0
	r.reset([]*fixed{&r.start, &r.duration, &r.eventEnds, &r.eventTime, &r.linkEnds}, r.text(), r.words(),
		[]*wordMap{&r.attributes, &r.eventAttributes, &r.linkAttributes})
}

func (r *SpanRows) text() []*text {
	return []*text{
		&r.traceID, &r.spanID, &r.parentID, &r.traceState, &r.statusMessage, &r.conn, &r.linkTrace, &r.linkSpan,
	}
}

func (r *SpanRows) words() []*words {
	return []*words{&r.name, &r.kind, &r.status, &r.errorType, &r.scope, &r.eventName}
}

// Append adds s as a row.
func (r *SpanRows) Append(s *event.Span) {
	r.n++
	r.start.ticks(s.Start, time.Nanosecond)
	r.duration.f64(s.End.Sub(s.Start).Seconds())
	r.id(&r.traceID, s.TraceID[:])
	r.id(&r.spanID, s.SpanID[:])
	r.id(&r.parentID, s.ParentID[:])
	r.traceState.add(s.TraceState)
	r.name.add(s.Name)
	r.kind.add(s.Kind.String())
	r.status.add(s.Status.String())
	r.statusMessage.add(s.StatusMessage)
	r.scope.add(s.Scope)
	var errorType, connection string
	for _, a := range s.Attributes {
		switch {
		case a.Value.Kind() != event.KindString:
		case a.Name == errorTypeKey:
			errorType = a.Value.Str()
			continue
		case a.Name == connectionIDKey:
			connection = a.Value.Str()
			continue
		}
		r.put(&r.attributes, a)
	}
	r.attributes.end()
	r.errorType.add(errorType)
	r.conn.add(connection)

	r.appendResource(s.Resource)

	for _, e := range s.Events {
		r.eventTime.ticks(e.Time, time.Nanosecond)
		r.eventName.add(e.Name)
		r.putAll(&r.eventAttributes, e.Attributes)
	}
	r.events += uint64(len(s.Events))
	r.eventEnds.u64(r.events)
	for _, l := range s.Links {
		r.id(&r.linkTrace, l.TraceID[:])
		r.id(&r.linkSpan, l.SpanID[:])
		r.putAll(&r.linkAttributes, l.Attributes)
	}
	r.links += uint64(len(s.Links))
	r.linkEnds.u64(r.links)
}

var errorTypeKey, connectionIDKey = event.ErrorType.String(), event.ConnectionID.String()

func (r *SpanRows) putAll(dst *wordMap, attrs []event.Named) {
	for _, a := range attrs {
		r.put(dst, a)
	}
	dst.end()
}

// ContentToken is that of [Rows.ContentToken] for spans.
func (r *SpanRows) ContentToken() string {
	r.encode()
	return r.contentToken("spans-")
}

// encode follows [schema.TraceColumns].
func (r *SpanRows) encode() {
	r.begin()
	r.raw(r.start, r.duration, r.traceID, r.spanID, r.parentID, r.traceState)
	r.low(&r.name, &r.kind, &r.status)
	r.raw(r.statusMessage)
	r.low(&r.errorType)
	r.raw(r.conn)
	r.low(&r.scope, &r.service, &r.namespace, &r.instance, &r.environment, &r.region)
	r.pairs(&r.attributes, &r.resource)
	r.raw(r.eventEnds, r.eventTime)
	r.low(&r.eventName)
	r.pairs(&r.eventAttributes)
	r.raw(r.linkEnds, r.linkTrace, r.linkSpan)
	r.pairs(&r.linkAttributes)
}
