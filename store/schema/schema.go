// Package schema is the ClickHouse schema: the statements, numbered and embedded, and the names of tables and columns
// as constants, so that a writer or a query that disagrees with a table does not compile. It holds no client.
//
// The invariant to keep: migrations are forward-only and never edited once released; a column's name stands here and
// in its migration, nowhere else.
package schema

import (
	"fmt"
	"time"

	"github.com/sockeye-project/sockeye/event"
)

// Tables.
const (
	Events         = "events"
	Rollup10s      = "rollup_10s"
	Rollup1m       = "rollup_1m"
	Rollup15m      = "rollup_15m"
	ConnectionsTab = "connections"
	SourceProgress = "source_progress"
	SLOStatus      = "slo_status"
	Migrations     = "schema_migrations"
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

// Measures of every rollup tier; all are sums.
const (
	Bucket        = "bucket"
	Count         = "count"
	Bytes         = "bytes"
	Judged        = "judged"
	DurationCount = "duration_count"
	DurationSum   = "duration_sum"
)

// Dimensions returns the dimensions that all tiers share.
func Dimensions() []string {
	return []string{Service, Environment, Region, Vantage, Visibility, Tenant, EventName, Direction, Outcome, ErrorType, Fault, Policy}
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
