package store

import (
	"math"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Rows are the events of one chunk as columns. Append copies what it needs, so an event may be reused at once; a Rows
// may be reused after [Rows.Reset] and keeps its memory. It is not safe for concurrent use.
type Rows struct {
	block

	time, observed, countedAt, severity       fixed
	count, payload, judged, status            fixed
	duration, connectionDuration              nullable
	closeCode, closeClean, ioReceived, ioSent nullable

	event, vantage, visibility, tenant, outcome, fault, errorType words
	direction, policy, sourceType, evidence                       words
	serverAddress, urlScheme, urlTemplate                         words
	subprotocol, closeInitiator                                   words

	connectionID, urlPath, clientAddress, clientHash, traceID, spanID text

	attributes wordMap

	// tenantAs replaces the tenant of the row that is being added; "" leaves it.
	tenantAs string
}

// Reset empties r and keeps its memory.
func (r *Rows) Reset() {
	r.reset(r.fixed(), r.text(), r.words(), []*wordMap{&r.attributes})
	for _, c := range r.nullable() {
		c.reset()
	}
}

// Bytes is about how much memory r holds.
func (r *Rows) Bytes() int {
	n := r.bytes() + r.attributes.bytes()
	for _, c := range r.fixed() {
		n += cap(*c)
	}
	for _, c := range r.nullable() {
		n += cap(c.nulls) + cap(c.values)
	}
	for _, c := range r.words() {
		n += c.bytes()
	}
	for _, c := range r.text() {
		n += cap(*c)
	}
	return n
}

func (r *Rows) fixed() []*fixed {
	return []*fixed{&r.time, &r.observed, &r.countedAt, &r.severity, &r.count, &r.payload, &r.judged, &r.status}
}

func (r *Rows) nullable() []*nullable {
	return []*nullable{&r.duration, &r.connectionDuration, &r.closeCode, &r.closeClean, &r.ioReceived, &r.ioSent}
}

func (r *Rows) words() []*words {
	return []*words{
		&r.event, &r.vantage, &r.visibility, &r.tenant, &r.outcome, &r.fault, &r.errorType, &r.direction, &r.policy,
		&r.sourceType, &r.evidence, &r.serverAddress, &r.urlScheme, &r.urlTemplate, &r.subprotocol, &r.closeInitiator,
	}
}

func (r *Rows) text() []*text {
	return []*text{&r.connectionID, &r.urlPath, &r.clientAddress, &r.clientHash, &r.traceID, &r.spanID}
}

// Append adds e as a row.
func (r *Rows) Append(e *event.Event) {
	facts := e.Facts()
	r.n++
	r.time.ticks(e.Time, time.Nanosecond)
	if e.Observed.IsZero() {
		r.observed.ticks(e.Time, time.Nanosecond)
	} else {
		r.observed.ticks(e.Observed, time.Nanosecond)
	}
	r.countedAt.ticks(facts.CountedAt, time.Millisecond)
	r.event.add(string(e.Name))
	r.severity.u8(uint8(e.Severity()))

	r.appendResource(e.Resource)

	r.outcome.add(string(facts.Outcome))
	r.fault.add(string(facts.Fault))
	r.direction.add(facts.Direction)
	r.policy.add(facts.Policy)
	r.count.u64(facts.Count)
	r.payload.u64(facts.Bytes)
	r.judged.u64(facts.Judged)
	if facts.Timed {
		r.duration.f64(facts.Duration)
	} else {
		r.duration.null(8)
	}
	r.appendAttributes(e)
	r.appendTrace(e)
}

// AppendAs adds e as a row of another tenant than it names; the one it names is kept among its attributes.
func (r *Rows) AppendAs(tenant string, e *event.Event) {
	r.tenantAs = tenant
	r.Append(e)
	r.tenantAs = ""
}

// row holds the attributes that have columns of their own until all have been seen.
type row struct {
	vantage, visibility, tenant, errorType, sourceType, evidence  string
	connectionID, serverAddress, urlScheme, urlPath, urlTemplate  string
	subprotocol, clientAddress, clientHash, closeInitiator        string
	status                                                        uint16
	closeCode, closeClean, connectionDuration, ioReceived, ioSent event.Value
}

func (r *Rows) appendAttributes(e *event.Event) {
	var c row
	for i := range e.Len() {
		if k, v := e.At(i); !c.take(k, v) {
			r.attributes.add(k)
			r.value(&r.attributes.values, v)
		}
	}
	for _, a := range e.Extra() {
		r.put(&r.attributes, a)
	}
	if r.tenantAs != "" {
		r.attributes.keys.add(event.TenantID.String())
		r.attributes.values.add(c.tenant)
		c.tenant = r.tenantAs
	}
	r.attributes.end()

	r.vantage.add(c.vantage)
	r.visibility.add(c.visibility)
	r.tenant.add(c.tenant)
	r.errorType.add(c.errorType)
	r.sourceType.add(c.sourceType)
	r.evidence.add(c.evidence)
	r.connectionID.add(c.connectionID)
	r.status.u16(c.status)
	r.serverAddress.add(c.serverAddress)
	r.urlScheme.add(c.urlScheme)
	r.urlPath.add(c.urlPath)
	r.urlTemplate.add(c.urlTemplate)
	r.subprotocol.add(c.subprotocol)
	r.clientAddress.add(c.clientAddress)
	r.clientHash.add(c.clientHash)
	r.closeInitiator.add(c.closeInitiator)
	if c.closeCode.Kind() == event.KindAbsent {
		r.closeCode.null(2)
	} else {
		r.closeCode.u16(uint16(c.closeCode.Int()))
	}
	switch {
	case c.closeClean.Kind() == event.KindAbsent:
		r.closeClean.null(1)
	case c.closeClean.Bool():
		r.closeClean.u8(1)
	default:
		r.closeClean.u8(0)
	}
	if c.connectionDuration.Kind() == event.KindAbsent {
		r.connectionDuration.null(8)
	} else {
		r.connectionDuration.f64(c.connectionDuration.Double())
	}
	optional(&r.ioReceived, c.ioReceived)
	optional(&r.ioSent, c.ioSent)
}

func optional(dst *nullable, v event.Value) {
	if v.Kind() == event.KindAbsent {
		dst.null(8)
		return
	}
	dst.i64(v.Int())
}

// take keeps v if k has a column that can hold it.
func (c *row) take(k event.Key, v event.Value) bool {
	switch k {
	case event.Vantage:
		c.vantage = v.Str()
	case event.SourceVisibility:
		c.visibility = v.Str()
	case event.TenantID:
		c.tenant = v.Str()
	case event.ErrorType:
		c.errorType = v.Str()
	case event.SourceType:
		c.sourceType = v.Str()
	case event.SourceEvidence:
		c.evidence = v.Str()
	case event.ConnectionID:
		c.connectionID = v.Str()
	case event.ServerAddress:
		c.serverAddress = v.Str()
	case event.URLScheme:
		c.urlScheme = v.Str()
	case event.URLPath:
		c.urlPath = v.Str()
	case event.URLTemplate:
		c.urlTemplate = v.Str()
	case event.Subprotocol:
		c.subprotocol = v.Str()
	case event.ClientAddress:
		c.clientAddress = v.Str()
	case event.ClientHash:
		c.clientHash = v.Str()
	case event.CloseInitiator:
		c.closeInitiator = v.Str()
	case event.CloseClean:
		c.closeClean = v
	case event.ConnectionDuration:
		c.connectionDuration = v
	case event.IOReceived:
		c.ioReceived = v
	case event.IOSent:
		c.ioSent = v
	case event.HTTPResponseStatusCode:
		// 0 means absent, and what does not fit is kept as it came.
		if v.Int() <= 0 || v.Int() > math.MaxUint16 {
			return false
		}
		c.status = uint16(v.Int())
	case event.CloseCode:
		if v.Int() < 0 || v.Int() > math.MaxUint16 {
			return false
		}
		c.closeCode = v
	case event.Direction:
		// Facts carries it.
	case event.NetworkProtocolName:
		// It has one value.
	default:
		return false
	}
	return true
}

func (r *Rows) appendTrace(e *event.Event) {
	r.id(&r.traceID, e.TraceID[:])
	if e.TraceID == [16]byte{} {
		r.spanID.add("")
		return
	}
	r.id(&r.spanID, e.SpanID[:])
}

// ContentToken is a deduplication token for rows that have no name of their own: equal rows have equal tokens.
func (r *Rows) ContentToken() string {
	r.encode()
	return r.contentToken("content-")
}

// encode follows [schema.EventColumns].
func (r *Rows) encode() {
	r.begin()
	r.raw(r.time, r.observed, r.countedAt)
	r.low(&r.event)
	r.raw(r.severity)
	r.low(&r.service, &r.namespace, &r.instance, &r.environment, &r.region)
	r.low(&r.vantage, &r.visibility, &r.tenant, &r.outcome, &r.fault, &r.errorType, &r.direction, &r.policy)
	r.raw(r.count, r.payload, r.judged)
	r.null(&r.duration)
	r.low(&r.sourceType, &r.evidence)
	r.raw(r.connectionID, r.status)
	r.low(&r.serverAddress, &r.urlScheme)
	r.raw(r.urlPath)
	r.low(&r.urlTemplate, &r.subprotocol)
	r.raw(r.clientAddress, r.clientHash)
	r.null(&r.closeCode)
	r.low(&r.closeInitiator)
	r.null(&r.closeClean, &r.connectionDuration, &r.ioReceived, &r.ioSent)
	r.raw(r.traceID, r.spanID)
	r.pairs(&r.attributes, &r.resource)
}
