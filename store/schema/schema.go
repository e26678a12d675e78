// Package schema is the ClickHouse schema: the statements, numbered and embedded, and the names of tables and columns
// as constants, so that a writer or a query that disagrees with a table does not compile. It holds no client.
//
// The invariant to keep: migrations are forward-only and never edited once released; a column's name stands here and
// in its migration, nowhere else.
package schema

import (
	"fmt"
	"math"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Tables.
const (
	Events         = "events"
	Rollup10s      = "rollup_10s"
	Rollup1m       = "rollup_1m"
	Rollup15m      = "rollup_15m"
	Connections    = "connections" // a view of Events
	Gauges10s      = "gauges_10s"
	Clients1h      = "clients_1h"
	ConnectionRate = "connection_rate_1m"
	Usage1h        = "usage_1h"
	ClientUsage1d  = "client_usage_1d"
	Chunks         = "chunks"
	SourceProgress = "source_progress"
	SLOStatus      = "slo_status"
	SLOEvents      = "slo_events"
	SLOIncidents   = "slo_incidents" // a view of SLOEvents
	SLOExclusions  = "slo_exclusions"
	Tenants        = "tenants"
	Traces         = "traces"
	PayloadSamples = "payload_samples"
	DeadLetters    = "dead_letters"
	Audit          = "audit"
	Migrations     = "schema_migrations" // made by the migration runner itself
)

// Dimensions of every rollup tier, in the order of the sorting key after bucket. The finest tier has Instance besides.
const (
	Service     = "service"
	Environment = "environment"
	Region      = "region"
	Instance    = "instance"
	Vantage     = "vantage"
	Visibility  = "visibility"
	Tenant      = "tenant"
	EventName   = "event"
	Direction   = "direction"
	Outcome     = "outcome"
	ErrorType   = "error_type"
	Fault       = "fault"
	Policy      = "policy"
)

// Columns of the events table besides the dimensions and the measures.
const (
	Time               = "time"
	Observed           = "observed"
	CountedAt          = "counted_at"
	Severity           = "severity"
	Namespace          = "namespace"
	Duration           = "duration"
	SourceType         = "source_type"
	Evidence           = "evidence"
	ConnectionID       = "connection_id"
	Status             = "status"
	ServerAddress      = "server_address"
	URLScheme          = "url_scheme"
	URLPath            = "url_path"
	URLTemplate        = "url_template"
	Subprotocol        = "subprotocol"
	ClientAddress      = "client_address"
	ClientHash         = "client_hash"
	CloseCode          = "close_code"
	CloseInitiator     = "close_initiator"
	CloseClean         = "close_clean"
	ConnectionDuration = "connection_duration"
	IOReceived         = "io_received"
	IOSent             = "io_sent"
	TraceID            = "trace_id"
	SpanID             = "span_id"
	Attributes         = "attributes"
	Resource           = "resource"
	ChunkID            = "chunk_id"
)

// Columns of source_progress.
const (
	ProgressSource      = "source"
	ProgressReadThrough = "read_through"
	ProgressBacklog     = "backlog"
	ProgressWall        = "wall"
)

// Columns of traces besides those that it shares with events.
const (
	SpanStart         = "start"
	SpanParentID      = "parent_id"
	SpanTraceState    = "trace_state"
	SpanName          = "name"
	SpanKind          = "kind"
	SpanStatusMessage = "status_message"
	SpanScope         = "scope"
	SpanEvents        = "events"
	SpanLinks         = "links"
)

// AdmittedAt is the column of tenants besides Service and Tenant.
const AdmittedAt = "admitted_at"

// Columns of chunks besides ChunkID.
const (
	ChunkRecords    = "records"
	ChunkFirst      = "first"
	ChunkLast       = "last"
	ChunkInsertedAt = "inserted_at"
)

// Measures of every rollup tier; all are sums.
const (
	Bucket        = "bucket"
	Count         = "count"
	Bytes         = "bytes"
	Judged        = "judged"
	DurationCount = "duration_count"
	DurationSum   = "duration_sum"
)

// AliveFor is how long a source counts as alive after it last reported its progress, which it does every 5 s.
const AliveFor = time.Minute

// Dimensions returns the dimensions that all tiers share.
func Dimensions() []string {
	return []string{
		Service, Environment, Region, Vantage, Visibility, Tenant, EventName, Direction, Outcome, ErrorType, Fault, Policy,
	}
}

// DurationColumn returns the column that counts observations of at most bound, which must be one of
// [event.DurationBounds]: cumulative, as in a Prometheus histogram.
func DurationColumn(bound time.Duration) string {
	return fmt.Sprintf("le_%dms", bound.Milliseconds())
}

// DurationColumns returns the columns of the histogram in ascending order of their bounds.
func DurationColumns() []string {
	columns := make([]string, len(event.DurationBounds))
	for i, b := range event.DurationBounds {
		columns[i] = DurationColumn(b)
	}
	return columns
}

// Tier is one rollup tier.
type Tier struct {
	Table string
	Step  time.Duration
}

// Tiers returns them from fine to coarse.
func Tiers() []Tier {
	return []Tier{{Rollup10s, 10 * time.Second}, {Rollup1m, time.Minute}, {Rollup15m, 15 * time.Minute}}
}

// Column is a column's name and its ClickHouse type.
type Column struct{ Name, Type string }

const (
	lowCardinality = "LowCardinality(String)"
	nanoseconds    = "DateTime64(9, 'UTC')"
	milliseconds   = "DateTime64(3, 'UTC')"
)

// EventColumns returns the columns of the events table in its order.
func EventColumns() []Column {
	return []Column{
		{Time, nanoseconds}, {Observed, nanoseconds}, {CountedAt, milliseconds},
		{EventName, lowCardinality}, {Severity, "UInt8"},
		{Service, lowCardinality}, {Namespace, lowCardinality}, {Instance, lowCardinality},
		{Environment, lowCardinality}, {Region, lowCardinality},
		{Vantage, lowCardinality}, {Visibility, lowCardinality}, {Tenant, lowCardinality},
		{Outcome, lowCardinality}, {Fault, lowCardinality}, {ErrorType, lowCardinality},
		{Direction, lowCardinality}, {Policy, lowCardinality},
		{Count, "UInt64"}, {Bytes, "UInt64"}, {Judged, "UInt64"}, {Duration, "Nullable(Float64)"},
		{SourceType, lowCardinality}, {Evidence, lowCardinality},
		{ConnectionID, "String"}, {Status, "UInt16"},
		{ServerAddress, lowCardinality}, {URLScheme, lowCardinality}, {URLPath, "String"}, {URLTemplate, lowCardinality},
		{Subprotocol, lowCardinality}, {ClientAddress, "String"}, {ClientHash, "String"},
		{CloseCode, "Nullable(UInt16)"}, {CloseInitiator, lowCardinality}, {CloseClean, "Nullable(Bool)"},
		{ConnectionDuration, "Nullable(Float64)"}, {IOReceived, "Nullable(Int64)"}, {IOSent, "Nullable(Int64)"},
		{TraceID, "String"}, {SpanID, "String"},
		{Attributes, attributeMap}, {Resource, attributeMap},
		{ChunkID, lowCardinality},
	}
}

// RollupColumns returns the columns of a rollup tier in its order.
func RollupColumns(table string) []Column {
	const sum = "SimpleAggregateFunction(sum, UInt64)"
	columns := []Column{{Bucket, "DateTime('UTC')"}}
	for _, d := range Dimensions() {
		columns = append(columns, Column{d, lowCardinality})
	}
	if table == Rollup10s {
		columns = append(columns, Column{Instance, lowCardinality})
	}
	columns = append(columns, Column{Count, sum}, Column{Bytes, sum}, Column{Judged, sum}, Column{DurationCount, sum},
		Column{DurationSum, "SimpleAggregateFunction(sum, Float64)"})
	for _, c := range DurationColumns() {
		columns = append(columns, Column{c, sum})
	}
	return columns
}

// ProgressColumns returns the columns of source_progress in its order.
func ProgressColumns() []Column {
	return []Column{
		{ProgressSource, "String"}, {ProgressReadThrough, nanoseconds}, {ProgressBacklog, "UInt64"},
		{ProgressWall, milliseconds},
	}
}

// ChunkColumns returns the columns of chunks in its order.
func ChunkColumns() []Column {
	return []Column{
		{ChunkID, "String"}, {ChunkRecords, "UInt64"}, {ChunkFirst, milliseconds}, {ChunkLast, milliseconds},
		{ChunkInsertedAt, milliseconds},
	}
}

// Columns of payload_samples besides those that it shares with events.
const (
	SampleMessageType = "message_type"
	SampleSize        = "size"
	SampleSchema      = "schema"
	SampleText        = "sample"
)

// SampleColumns returns the columns of payload_samples in its order.
func SampleColumns() []Column {
	return []Column{
		{Time, milliseconds}, {Service, lowCardinality}, {Tenant, lowCardinality}, {ConnectionID, "String"},
		{ErrorType, lowCardinality}, {SampleMessageType, lowCardinality}, {SampleSize, "UInt64"},
		{SampleSchema, lowCardinality}, {SampleText, "String"},
	}
}

// Columns of dead_letters besides those that it shares with events.
const (
	LetterFirst   = "first"
	LetterLast    = "last"
	LetterRecords = "records"
	LetterReason  = "reason"
	LetterText    = "text"
)

// LetterColumns returns the columns of dead_letters in its order.
func LetterColumns() []Column {
	return []Column{
		{Time, milliseconds}, {Service, lowCardinality}, {SourceType, lowCardinality}, {ChunkID, "String"},
		{LetterFirst, "UInt32"}, {LetterLast, "UInt32"}, {LetterRecords, "UInt32"},
		{LetterReason, lowCardinality}, {LetterText, lowCardinality},
	}
}

// LastTime is the last that a bucket can have, and that ages a row: beyond it, ClickHouse's seconds begin anew, and an event
// would count in a bucket of today.
var LastTime = time.Unix(math.MaxUint32, 0).UTC()

const attributeMap = "Map(LowCardinality(String), String)"

// TraceColumns returns the columns of traces in its order.
func TraceColumns() []Column {
	return []Column{
		{SpanStart, nanoseconds}, {Duration, "Float64"},
		{TraceID, "String"}, {SpanID, "String"}, {SpanParentID, "String"}, {SpanTraceState, "String"},
		{SpanName, lowCardinality}, {SpanKind, lowCardinality}, {Status, lowCardinality}, {SpanStatusMessage, "String"},
		{ErrorType, lowCardinality}, {ConnectionID, "String"}, {SpanScope, lowCardinality},
		{Service, lowCardinality}, {Namespace, lowCardinality}, {Instance, lowCardinality},
		{Environment, lowCardinality}, {Region, lowCardinality},
		{Attributes, attributeMap}, {Resource, attributeMap},
		{SpanEvents, "Array(Tuple(time " + nanoseconds + ", name LowCardinality(String), attributes " + attributeMap + "))"},
		{SpanLinks, "Array(Tuple(trace_id String, span_id String, attributes " + attributeMap + "))"},
		{ChunkID, lowCardinality},
	}
}

// Expiry says which column ages a table's rows and how long they are kept where nobody configures otherwise.
type Expiry struct {
	Table string
	// Expression is the time that the age is counted from, as in the table's TTL clause.
	Expression string
	Default    time.Duration
}

const day = 24 * time.Hour

// Expiries returns them for every table whose retention is configured.
func Expiries() []Expiry {
	return []Expiry{
		{Events, "toDateTime(" + CountedAt + ")", 7 * day},
		{Chunks, "toDateTime(" + ChunkLast + ")", 7 * day},
		{ClientUsage1d, Bucket, 7 * day},
		{PayloadSamples, "toDateTime(" + Time + ")", day},
		{Traces, "toDateTime(" + SpanStart + ")", 7 * day},
		{Rollup10s, Bucket, 3 * day},
		{Gauges10s, Bucket, 3 * day},
		{Rollup1m, Bucket, 35 * day},
		{Clients1h, Bucket, 35 * day},
		{ConnectionRate, Bucket, 35 * day},
		{Rollup15m, Bucket, 396 * day}, // 13 months
		{Usage1h, Bucket, 396 * day},
		{Audit, "toDateTime(" + CountedAt + ")", 400 * day},
	}
}
