package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// SpanRows are the spans of one chunk as columns. It is used as [Rows] is.
type SpanRows struct {
	n int

	start, duration                                            fixed
	traceID, spanID, parentID, traceState, statusMessage, conn text
	name, kind, status, errorType, scope, chunkID              words
	service, namespace, instance, environment, region          words
	attributes, resource                                       wordMap
	eventEnds, eventTime, linkEnds                             fixed
	eventName                                                  words
	linkTrace, linkSpan                                        text
	eventAttributes, linkAttributes                            wordMap
	events, links                                              uint64
	scratch, dictionaries                                      []byte
	parts, source                                              segments
	reader                                                     *proto.Reader
}

// Len is the number of rows.
func (r *SpanRows) Len() int { return r.n }

// Reset empties r and keeps its memory.
func (r *SpanRows) Reset() {
	r.n, r.events, r.links = 0, 0, 0
	for _, c := range []*fixed{&r.start, &r.duration, &r.eventEnds, &r.eventTime, &r.linkEnds} {
		*c = (*c)[:0]
	}
	for _, c := range r.text() {
		*c = (*c)[:0]
	}
	for _, c := range r.words() {
		c.reset()
	}
	for _, c := range []*wordMap{&r.attributes, &r.resource, &r.eventAttributes, &r.linkAttributes} {
		c.reset()
	}
}

func (r *SpanRows) text() []*text {
	return []*text{
		&r.traceID, &r.spanID, &r.parentID, &r.traceState, &r.statusMessage, &r.conn, &r.linkTrace, &r.linkSpan,
	}
}

func (r *SpanRows) words() []*words {
	return []*words{
		&r.name, &r.kind, &r.status, &r.errorType, &r.scope, &r.chunkID, &r.service, &r.namespace, &r.instance,
		&r.environment, &r.region, &r.eventName,
	}
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

	var c resourceColumns
	for _, a := range s.Resource.Attributes() {
		if !c.take(a) {
			r.put(&r.resource, a)
		}
	}
	r.resource.end()
	r.service.add(c.service)
	r.namespace.add(c.namespace)
	r.instance.add(c.instance)
	r.environment.add(c.environment)
	r.region.add(c.region)

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

// id writes an id in hexadecimal, or nothing for one that is all zero.
func (r *SpanRows) id(dst *text, id []byte) {
	r.scratch = hex.AppendEncode(r.scratch[:0], id)
	for _, b := range id {
		if b != 0 {
			dst.addBytes(r.scratch)
			return
		}
	}
	dst.add("")
}

func (r *SpanRows) put(dst *wordMap, a event.Named) {
	dst.keys.add(a.Name)
	dst.values.add(a.Value.Text())
}

func (r *SpanRows) putAll(dst *wordMap, attrs []event.Named) {
	for _, a := range attrs {
		r.put(dst, a)
	}
	dst.end()
}

// take keeps a if it has a column of its own.
func (c *resourceColumns) take(a event.Named) bool {
	if a.Value.Kind() != event.KindString {
		return false
	}
	v := a.Value.Str()
	switch a.Name {
	case event.ServiceName:
		c.service = v
	case event.ServiceNamespace:
		c.namespace = v
	case event.ServiceInstanceID:
		c.instance = v
	case event.Environment:
		c.environment = v
	case event.Region:
		c.region = v
	default:
		return false
	}
	return true
}

// ContentToken is that of [Rows.ContentToken] for spans.
func (r *SpanRows) ContentToken() string {
	sum := sha256.New()
	for _, part := range r.encode() {
		sum.Write(part)
	}
	return "spans-" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// encode returns all columns but the last in the order of [schema.TraceColumns], as parts that belong to r.
func (r *SpanRows) encode() segments {
	p := r.parts[:0]
	r.dictionaries = r.dictionaries[:0]
	low := func(columns ...*words) {
		for _, c := range columns {
			p = append(p, r.dictionary(c))
		}
	}
	pairs := func(c *wordMap) { p = append(p, c.ends, r.dictionary(&c.keys), c.values) }
	p = append(p, r.start, r.duration, r.traceID, r.spanID, r.parentID, r.traceState)
	low(&r.name, &r.kind, &r.status)
	p = append(p, r.statusMessage)
	low(&r.errorType)
	p = append(p, r.conn)
	low(&r.scope, &r.service, &r.namespace, &r.instance, &r.environment, &r.region)
	pairs(&r.attributes)
	pairs(&r.resource)
	p = append(p, r.eventEnds, r.eventTime)
	low(&r.eventName)
	pairs(&r.eventAttributes)
	p = append(p, r.linkEnds, r.linkTrace, r.linkSpan)
	pairs(&r.linkAttributes)
	r.parts = p
	return p
}

func (r *SpanRows) dictionary(c *words) []byte {
	start := len(r.dictionaries)
	r.dictionaries = c.encode(r.dictionaries)
	return r.dictionaries[start:]
}

func (r *SpanRows) fill(columns []column.Interface, chunkID string) error {
	r.chunkID.reset()
	for range r.n {
		r.chunkID.add(chunkID)
	}
	r.source = append(r.encode(), r.dictionary(&r.chunkID))
	r.parts = r.source
	if r.reader == nil {
		r.reader = proto.NewReader(&r.source)
	}
	if err := decodeColumns(r.reader, columns, schema.Traces, schema.TraceColumns(), r.n); err != nil {
		// What is left in the reader belongs to these rows.
		r.reader = nil
		return err
	}
	return nil
}

var spanColumns = columnList(schema.TraceColumns())

// InsertSpans stores rows as [Store.InsertChunk] does.
func (s *Store) InsertSpans(ctx context.Context, token string, rows *SpanRows) error {
	if rows.Len() == 0 {
		return nil
	}
	if token == "" {
		return errors.New("insert spans: a chunk needs a token")
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(token)),
		clickhouse.WithColumnNamesAndTypes(spanColumns))
	batch, err := s.conn.PrepareBatch(ctx, s.insertInto(schema.Traces, schema.TraceColumns()))
	if err != nil {
		return s.explain("insert spans", err)
	}
	if err := rows.fill(batch.Columns(), token); err != nil {
		return errors.Join(s.schemaFault("insert spans", err), batch.Abort())
	}
	return s.explain("insert spans", batch.Send())
}
