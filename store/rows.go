package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Rows are the events of one chunk as columns. Append copies what it needs, so an event may be reused at once; a Rows
// may be reused after [Rows.Reset] and keeps its memory. It is not safe for concurrent use.
type Rows struct {
	n int

	time, observed, countedAt, severity       fixed
	count, bytes, judged, status              fixed
	duration, connectionDuration              nullable
	closeCode, closeClean, ioReceived, ioSent nullable

	event, service, namespace, instance, environment, region words
	vantage, visibility, tenant, outcome, fault, errorType   words
	direction, policy, sourceType, evidence                  words
	serverAddress, urlTemplate, subprotocol, closeInitiator  words
	chunkID                                                  words

	connectionID, urlPath, clientAddress, clientHash, traceID, spanID text

	attributes, resource wordMap

	// sharedResource is the resource of the row before, whose columns the next row most likely repeats.
	sharedResource *event.Resource
	shared         resourceColumns

	// tenantAs replaces the tenant of the row that is being added; "" leaves it.
	tenantAs string

	scratch []byte
	// dictionaries holds the encoded columns of words, parts all columns as they are sent.
	dictionaries []byte
	parts        segments
	source       segments
	reader       *proto.Reader
}

type resourceColumns struct {
	service, namespace, instance, environment, region string
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// Reset empties r and keeps its memory.
func (r *Rows) Reset() {
	r.n = 0
	for _, c := range r.fixed() {
		*c = (*c)[:0]
	}
	for _, c := range r.nullable() {
		c.reset()
	}
	for _, c := range r.words() {
		c.reset()
	}
	for _, c := range r.text() {
		*c = (*c)[:0]
	}
	r.attributes.reset()
	r.resource.reset()
	r.sharedResource, r.shared = nil, resourceColumns{}
}

// Bytes is about how much memory r holds.
func (r *Rows) Bytes() int {
	n := cap(r.dictionaries) + cap(r.attributes.ends) + cap(r.attributes.values) + cap(r.resource.ends) +
		cap(r.resource.values) + r.attributes.keys.bytes() + r.resource.keys.bytes()
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
	return []*fixed{&r.time, &r.observed, &r.countedAt, &r.severity, &r.count, &r.bytes, &r.judged, &r.status}
}

func (r *Rows) nullable() []*nullable {
	return []*nullable{&r.duration, &r.connectionDuration, &r.closeCode, &r.closeClean, &r.ioReceived, &r.ioSent}
}

func (r *Rows) words() []*words {
	return []*words{
		&r.event, &r.service, &r.namespace, &r.instance, &r.environment, &r.region, &r.vantage, &r.visibility,
		&r.tenant, &r.outcome, &r.fault, &r.errorType, &r.direction, &r.policy, &r.sourceType, &r.evidence,
		&r.serverAddress, &r.urlTemplate, &r.subprotocol, &r.closeInitiator, &r.chunkID,
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
	r.bytes.u64(facts.Bytes)
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

func (r *Rows) appendResource(resource *event.Resource) {
	if resource != r.sharedResource || r.n == 1 {
		r.sharedResource = resource
		r.shared = resourceColumns{
			service:     resource.String(event.ServiceName),
			namespace:   resource.String(event.ServiceNamespace),
			instance:    resource.String(event.ServiceInstanceID),
			environment: resource.String(event.Environment),
			region:      resource.String(event.Region),
		}
	}
	r.service.add(r.shared.service)
	r.namespace.add(r.shared.namespace)
	r.instance.add(r.shared.instance)
	r.environment.add(r.shared.environment)
	r.region.add(r.shared.region)
	for _, a := range resource.Attributes() {
		switch a.Name {
		case event.ServiceName, event.ServiceNamespace, event.ServiceInstanceID, event.Environment, event.Region:
			if a.Value.Kind() == event.KindString {
				continue
			}
		}
		r.resource.keys.add(a.Name)
		r.value(&r.resource.values, a.Value)
	}
	r.resource.end()
}

// row holds the attributes that have columns of their own until all have been seen.
type row struct {
	vantage, visibility, tenant, errorType, sourceType, evidence   string
	connectionID, serverAddress, urlPath, urlTemplate, subprotocol string
	clientAddress, clientHash, closeInitiator                      string
	status                                                         uint16
	closeCode, closeClean, connectionDuration, ioReceived, ioSent  event.Value
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
		r.attributes.keys.add(a.Name)
		r.value(&r.attributes.values, a.Value)
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
	if e.TraceID == [16]byte{} {
		r.traceID.add("")
		r.spanID.add("")
		return
	}
	r.scratch = hex.AppendEncode(r.scratch[:0], e.TraceID[:])
	r.traceID.addBytes(r.scratch)
	if e.SpanID == [8]byte{} {
		r.spanID.add("")
		return
	}
	r.scratch = hex.AppendEncode(r.scratch[:0], e.SpanID[:])
	r.spanID.addBytes(r.scratch)
}

// value writes v as [event.Value.Text] does, without its allocation.
func (r *Rows) value(dst *text, v event.Value) {
	switch v.Kind() {
	case event.KindString:
		dst.add(v.Str())
		return
	case event.KindInt:
		r.scratch = strconv.AppendInt(r.scratch[:0], v.Int(), 10)
	case event.KindDouble:
		r.scratch = strconv.AppendFloat(r.scratch[:0], v.Double(), 'g', -1, 64)
	case event.KindBool:
		r.scratch = strconv.AppendBool(r.scratch[:0], v.Bool())
	default:
		r.scratch = append(r.scratch[:0], v.Text()...)
	}
	dst.addBytes(r.scratch)
}

// ContentToken is a deduplication token for rows that have no name of their own: equal rows have equal tokens.
func (r *Rows) ContentToken() string {
	sum := sha256.New()
	for _, part := range r.encode() {
		sum.Write(part)
	}
	return "content-" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// encode returns all columns but the last in the order of [schema.EventColumns], as parts that belong to r and follow
// each other on the wire.
func (r *Rows) encode() segments {
	p := r.parts[:0]
	r.dictionaries = r.dictionaries[:0]
	fix := func(c fixed) { p = append(p, c) }
	str := func(c text) { p = append(p, c) }
	low := func(c *words) { p = append(p, r.dictionary(c)) }
	null := func(c *nullable) { p = append(p, c.nulls, c.values) }
	pairs := func(c *wordMap) { p = append(p, c.ends, r.dictionary(&c.keys), c.values) }
	fix(r.time)
	fix(r.observed)
	fix(r.countedAt)
	low(&r.event)
	fix(r.severity)
	low(&r.service)
	low(&r.namespace)
	low(&r.instance)
	low(&r.environment)
	low(&r.region)
	low(&r.vantage)
	low(&r.visibility)
	low(&r.tenant)
	low(&r.outcome)
	low(&r.fault)
	low(&r.errorType)
	low(&r.direction)
	low(&r.policy)
	fix(r.count)
	fix(r.bytes)
	fix(r.judged)
	null(&r.duration)
	low(&r.sourceType)
	low(&r.evidence)
	str(r.connectionID)
	fix(r.status)
	low(&r.serverAddress)
	str(r.urlPath)
	low(&r.urlTemplate)
	low(&r.subprotocol)
	str(r.clientAddress)
	str(r.clientHash)
	null(&r.closeCode)
	low(&r.closeInitiator)
	null(&r.closeClean)
	null(&r.connectionDuration)
	null(&r.ioReceived)
	null(&r.ioSent)
	str(r.traceID)
	str(r.spanID)
	pairs(&r.attributes)
	pairs(&r.resource)
	r.parts = p
	return p
}

// dictionary encodes c behind the columns that were encoded before.
func (r *Rows) dictionary(c *words) []byte {
	start := len(r.dictionaries)
	r.dictionaries = c.encode(r.dictionaries)
	return r.dictionaries[start:]
}

// fill gives the rows to a batch: its columns read them in the form in which they would come from a server, which costs
// one copy instead of one conversion a value. The columns' names, types and row counts are checked, because the
// driver's HTTP batch would send nothing and report success if they disagreed.
func (r *Rows) fill(columns []column.Interface, chunkID string) error {
	r.chunkID.reset()
	for range r.n {
		r.chunkID.add(chunkID)
	}
	r.source = append(r.encode(), r.dictionary(&r.chunkID))
	r.parts = r.source
	if r.reader == nil {
		r.reader = proto.NewReader(&r.source)
	}
	if err := decodeColumns(r.reader, columns, schema.Events, schema.EventColumns(), r.n); err != nil {
		// What is left in the reader belongs to these rows.
		r.reader = nil
		return err
	}
	return nil
}

// decodeColumns gives n rows to the columns of a batch.
func decodeColumns(reader *proto.Reader, columns []column.Interface, table string, want []schema.Column, n int) error {
	if len(columns) != len(want) {
		return fmt.Errorf("table %s: %d columns, not %d", table, len(columns), len(want))
	}
	for i, c := range columns {
		if c.Name() != want[i].Name || string(c.Type()) != want[i].Type {
			return fmt.Errorf("table %s: column %d is %s %s, not %s %s",
				table, i+1, c.Name(), c.Type(), want[i].Name, want[i].Type)
		}
		if err := c.Decode(reader, n); err != nil || c.Rows() != n {
			return fmt.Errorf("column %s: %d of %d rows: %w", want[i].Name, c.Rows(), n, err)
		}
	}
	return nil
}

// segments is a reader of byte slices that follow each other.
type segments [][]byte

func (s *segments) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(*s) > 0 {
		c := copy(p[n:], (*s)[0])
		n += c
		if (*s)[0] = (*s)[0][c:]; len((*s)[0]) == 0 {
			*s = (*s)[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
