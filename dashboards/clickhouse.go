package dashboards

import (
	"fmt"
	"strings"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Format is what grafana-clickhouse-datasource makes of the rows.
type Format int

// The formats.
const (
	FormatSeries Format = 0
	FormatTable  Format = 1
	FormatLogs   Format = 2
)

var queryTypes = map[Format]string{FormatSeries: "timeseries", FormatTable: "table", FormatLogs: "logs"}

// Query is a target of grafana-clickhouse-datasource, version 4, which Grafana's SDK does not know.
type Query struct {
	RefID         string               `json:"refId"`
	Datasource    common.DataSourceRef `json:"datasource"`
	PluginVersion string               `json:"pluginVersion"`
	EditorType    string               `json:"editorType"`
	QueryType     string               `json:"queryType"`
	Format        Format               `json:"format"`
	RawSQL        string               `json:"rawSql"`

	// Columns are what the query returns, in order.
	Columns []string `json:"-"`
}

var _ variants.Dataquery = (*Query)(nil)

// ImplementsDataqueryVariant marks it as a query for the SDK.
func (q *Query) ImplementsDataqueryVariant() {}

// DataqueryType names the datasource.
func (q *Query) DataqueryType() string { return ClickHouse.plugin() }

// Equals compares what is written of two queries.
func (q *Query) Equals(other variants.Dataquery) bool {
	o, ok := other.(*Query)
	return ok && q.RefID == o.RefID && q.Format == o.Format && q.RawSQL == o.RawSQL
}

// Validate reports a query that Grafana could not run.
func (q *Query) Validate() error {
	if q.RefID == "" || strings.TrimSpace(q.RawSQL) == "" {
		return fmt.Errorf("query %q: needs a name and a statement", q.RefID)
	}
	return nil
}

// pluginVersion is the version whose form of targets this is.
const pluginVersion = "4.9.0"

func query(format Format, sql string, columns ...string) *Query {
	return &Query{
		RefID: "A", Datasource: ClickHouse.ref(), PluginVersion: pluginVersion, EditorType: "sql",
		QueryType: queryTypes[format],
		Format:    format, RawSQL: strings.TrimSpace(sql), Columns: columns,
	}
}

func series(sql string, columns ...string) []variants.Dataquery {
	return []variants.Dataquery{query(FormatSeries, sql, columns...)}
}

func rows(sql string, columns ...string) []variants.Dataquery {
	return []variants.Dataquery{query(FormatTable, sql, columns...)}
}

// tier is a rollup tier, and the least distance of points over it. Grafana chooses from 30s, 1m, 2m, 5m, … upwards, and each of
// those it may choose is a multiple of the tier's step: with 15s over buckets of 10s, points would hold two buckets and one in turn.
type tier struct{ table, interval string }

var (
	fine   = tier{schema.Rollup10s, "30s"} // the only one with instances; kept for days
	coarse = tier{schema.Rollup15m, "1h"}  // kept for a year
)

// The variables. A connection may be watched from several places, so each kind of event is counted at one of them: the first, in
// the order of the model, that saw such events of the service.
const (
	varService  = "service"
	varRegion   = "region"
	varTenant   = "tenant"
	varInstance = "instance"
	varSLO      = "slo"
	varSpent    = "spent"
	varTraces   = "traces"

	seenConnections = "seen_connections"
	seenAuth        = "seen_auth"
	seenMessages    = "seen_messages"
	seenGauges      = "seen_gauges"
)

// one matches the single value of a variable.
func one(column, variable string) string { return column + " = ${" + variable + ":singlequote}" }

// anyOf matches all chosen values of a variable, or everything.
func anyOf(column, variable string) string {
	return fmt.Sprintf("$__conditionalAll(%s IN (${%s:singlequote}), $%s)", column, variable, variable)
}

func is(column string, values ...string) string {
	for i, v := range values {
		values[i] = "'" + v + "'"
	}
	if len(values) == 1 {
		return column + " = " + values[0]
	}
	return column + " IN (" + strings.Join(values, ", ") + ")"
}

func isEvent(names ...event.Name) string {
	values := make([]string, len(names))
	for i, n := range names {
		values[i] = string(n)
	}
	return is(schema.EventName, values...)
}

func attribute(k event.Key) string { return schema.Attributes + "['" + k.String() + "']" }

func and(conditions ...string) string { return strings.Join(conditions, "\n  AND ") }

// selection is the part of WHERE that the variables make. Boards over the coarse tier know no instance.
func (t tier) selection(seen string) string {
	conditions := []string{
		one(schema.Service, varService), one(schema.Vantage, seen), anyOf(schema.Region, varRegion),
		anyOf(schema.Tenant, varTenant),
	}
	if t == fine {
		conditions = append(conditions, anyOf(schema.Instance, varInstance))
	}
	return and(conditions...)
}

// within is a tier's rows of the dashboard's range that the variables select.
func (t tier) within(seen string, conditions ...string) string {
	return "FROM " + t.table + "\nWHERE " + and(append([]string{"$__timeFilter(" + schema.Bucket + ")",
		t.selection(seen)}, conditions...)...)
}

// recent is the same over the last seconds of the range, of closed buckets.
func (t tier) recent(window time.Duration, seen string, conditions ...string) string {
	return "FROM " + t.table + "\nWHERE " + and(append([]string{since(schema.Bucket, window), t.selection(seen)},
		conditions...)...)
}

// since is a half-open window at the end of the range.
func since(column string, window time.Duration) string {
	return fmt.Sprintf("%s >= $__toTime - %d AND %s < $__toTime", column, int(window.Seconds()), column)
}

// events is raw events that the variables select. They are kept for days.
func events(seen string, conditions ...string) string {
	return "FROM " + schema.Events + "\nWHERE " + and(append([]string{"$__timeFilter(" + schema.CountedAt + ")",
		fine.selection(seen)}, conditions...)...)
}

// gaugesWhere selects what instances said of themselves. Gauges have no tenant.
func gaugesWhere(instances bool) string {
	conditions := []string{one(schema.Service, varService), one(schema.Vantage, seenGauges),
		anyOf(schema.Region, varRegion)}
	if instances {
		conditions = append(conditions, anyOf(schema.Instance, varInstance))
	}
	return and(conditions...)
}

// latest sums the last value that each instance reported within the last minute.
func latest(column string, instances bool) string {
	return fmt.Sprintf(`(
  SELECT sum(value) FROM (
    SELECT argMax(%s, tuple(%s, %s)) AS value
    FROM %s
    WHERE %s
      AND %s
    GROUP BY region, instance
  )
)`, column, schema.Bucket, column, schema.Gauges10s, since(schema.Bucket, time.Minute),
		strings.ReplaceAll(gaugesWhere(instances), "\n", "\n    "))
}

// timeOf is the first column of a series.
func timeOf(column string) string { return "$__timeInterval(" + column + ") AS time" }

// perSecond is a count as a rate.
const perSecond = "sum(count) / $__interval_s"

// share is a ratio that is null where there is nothing.
func share(hit, of string) string {
	return "sumIf(count, " + hit + ") / nullIf(sumIf(count, " + of + "), 0)"
}

// handshakes are those that had a result.
var handshakes = isEvent(event.Open, event.HandshakeRejected)

// percentile interpolates in the cumulative histogram of a rollup, as Prometheus does. What is beyond the last bound is the bound.
func percentile(q float64) string {
	columns := schema.DurationColumns()
	var sums, bounds []string
	for i, c := range columns {
		sums = append(sums, "sum("+c+")")
		bounds = append(bounds, fmt.Sprintf("%g", event.DurationBounds[i].Seconds()))
	}
	// Whatever is beyond the last bound.
	sums, bounds = append(sums, "sum(duration_count)"), append(bounds, bounds[len(bounds)-1])
	return fmt.Sprintf(`if(sum(duration_count) = 0, NULL, arrayFirst((v, c) -> c >= %[1]g * sum(duration_count),
    arrayMap((le, c, i) -> [0, %[3]s][i] + (le - [0, %[3]s][i]) * (%[1]g * sum(duration_count) - [0,
      %[2]s][i]) / greatest(c - [0, %[2]s][i], 1),
      [%[3]s], [%[2]s], arrayEnumerate([%[3]s])),
    [%[2]s]))`, q, strings.Join(sums, ", "), strings.Join(bounds, ", "))
}

// clickhouseVariables are datasource → service → region → tenant → instance, and the places where things are counted.
func clickhouseVariables(names ...string) []dashboard.VariableModel {
	rollup := "FROM " + schema.Rollup15m + " WHERE $__timeFilter(" + schema.Bucket + ")"
	ofService := rollup + " AND " + one(schema.Service, varService)
	seen := func(name, label string, events ...event.Name) dashboard.VariableModel {
		order := "'" + strings.Join(slo.Vantages(), "', '") + "'"
		return hidden(ClickHouse.variable(name, label,
			"SELECT vantage "+ofService+" AND "+isEvent(events...)+" GROUP BY vantage ORDER BY indexOf(["+order+"], vantage)"))
	}
	all := map[string]dashboard.VariableModel{
		varService: ClickHouse.variable(varService, "Service",
			"SELECT DISTINCT service "+rollup+" AND service != '' ORDER BY service"),
		varRegion: several(ClickHouse.variable(varRegion, "Region",
			"SELECT DISTINCT region "+ofService+" AND region != '' ORDER BY region"), ""),
		varTenant: several(ClickHouse.variable(varTenant, "Tenant",
			"SELECT tenant "+ofService+" AND "+anyOf(schema.Region, varRegion)+" AND tenant != '' GROUP BY tenant ORDER BY "+
				"sum(count) DESC, tenant LIMIT 500"), ""),
		varInstance: several(ClickHouse.variable(varInstance, "Instance",
			"SELECT DISTINCT instance FROM "+schema.Rollup10s+" WHERE $__timeFilter(bucket) AND "+one(schema.Service,
				varService)+" AND "+
				anyOf(schema.Region, varRegion)+" AND instance != '' ORDER BY instance LIMIT 1000"), ""),
		varSLO: ClickHouse.variable(varSLO, "SLO",
			"SELECT DISTINCT slo FROM "+schema.SLOStatus+" WHERE $__timeFilter(asof) AND "+
				one(schema.Service, varService)+" ORDER BY slo"),
		varSpent: {
			Type: dashboard.VariableTypeTextbox, Name: varSpent, Label: ptr("Cost to divide"),
			Description: ptr("What the service cost in the chosen time, in any currency. With 100, the panel shows percent."),
			Query:       &dashboard.StringOrMap{String: ptr("100")}, Hide: ptr(dashboard.VariableHideDontHide),
			Current: &dashboard.VariableOption{
				Selected: ptr(true), Text: dashboard.StringOrArrayOfString{String: ptr("100")},
				Value: dashboard.StringOrArrayOfString{String: ptr("100")},
			},
		},
		varTraces:       datasourceVariable(varTraces, "Traces", "tempo"),
		seenConnections: seen(seenConnections, "Connections counted at", event.Open, event.HandshakeRejected),
		seenAuth:        seen(seenAuth, "Authentications counted at", event.Auth),
		seenMessages: seen(seenMessages, "Messages counted at", event.Message, event.MessageRejected, event.Error,
			event.RateLimited),
		seenGauges: seen(seenGauges, "Gauges counted at", event.Connections),
	}
	var chosen []dashboard.VariableModel
	for _, n := range names {
		chosen = append(chosen, all[n])
	}
	return chosen
}

// annotations are those of all boards: deploys, exclusions and what happened to budgets, of some services.
func annotations(service string) []dashboard.AnnotationQuery {
	annotation := func(name, color, sql string) dashboard.AnnotationQuery {
		target := query(FormatTable, sql, "time", "title", "text", "tags")
		target.RefID = "Annotation"
		source := ClickHouse.ref()
		return dashboard.AnnotationQuery{Name: name, Datasource: &source, Enable: true, Hide: ptr(false), IconColor: color,
			Target: target}
	}
	ofEvents := "FROM " + schema.Events + "\nWHERE $__timeFilter(" + schema.CountedAt + ")\n  AND " + service
	return []dashboard.AnnotationQuery{
		annotation("Deploys", neutral,
			fmt.Sprintf(`SELECT toDateTime(counted_at) AS time, 'Deploy' AS title, %s AS text, 'deploy' AS tags
%s
  AND %s
ORDER BY time
LIMIT 500`, attribute(event.DeployVersion), ofEvents, isEvent(event.Deploy))),
		annotation("Exclusions", unknown, fmt.Sprintf(`SELECT e.edge.1 AS time, e.edge.2 AS title,
  concat(if(slo = '', 'all SLOs', slo), ': ', reason) AS text, 'exclusion' AS tags
FROM
(
  SELECT arrayJoin([(starts, 'Exclusion begins'), (ends, 'Exclusion ends')]) AS edge, *
  FROM (SELECT * FROM %s ORDER BY id, version DESC, written DESC LIMIT 1 BY id)
  WHERE NOT withdrawn
) AS e
WHERE $__timeFilter(time)
  AND %s
ORDER BY time
LIMIT 500`, schema.SLOExclusions, service)),
		annotation("Budgets", bad, fmt.Sprintf(`SELECT asof AS time, concat('Budget ', kind) AS title,
  concat(slo, ': ', toString(spent), ' %% spent') AS text, 'budget' AS tags
FROM %s FINAL
WHERE $__timeFilter(asof)
  AND %s
  AND stream = 'budget'
ORDER BY time
LIMIT 500`, schema.SLOEvents, service)),
	}
}

// ageOfData is how far the store lags: the least progress of the sources alive.
func ageOfData() panel {
	return panel{
		kind: kindStat, title: "Age of the data", w: 4, h: 4, unit: unitSeconds, decimals: ptr(0.0), empty: "no source alive",
		asks: "How old is what I see? The time since the moment before which every living source has been read and stored.",
		do: "Under a minute is usual. If it grows, a source is stuck or the store refuses: read the collector's log " +
			"before you trust any other panel. " +
			"No source alive means that nothing is known.",
		steps: []dashboard.Threshold{base(good), from(60, warning), from(300, bad)},
		queries: rows(fmt.Sprintf(`SELECT if(count() = 0, NULL,
  greatest(0, dateDiff('second', min(read_through), $__toTime))) AS age
FROM %s FINAL
WHERE wall >= $__toTime - %d`, schema.SourceProgress, int(schema.AliveFor.Seconds())), "age"),
	}
}
