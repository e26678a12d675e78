package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// side is a side table and what it should hold, stated apart from the view that fills it, so that a wrong view is found
// too.
type side struct {
	table string
	step  time.Duration
	keys  []string
	// at is the time of a row; a bucket, unless the rows are events.
	at string
	// where says which events e it concerns.
	where    string
	measures []sideMeasure
}

// sideMeasure is a measure's name, and what it is in the table t and of the events e.
type sideMeasure struct{ name, stored, recounted string }

// client is a key of no column of events.
const (
	client   = "client"
	clientOf = "if(e.client_hash = '', e.client_address, e.client_hash)"
)

func sides() []side {
	keys := func(more ...string) []string {
		return append([]string{schema.Service, schema.Environment, schema.Region, schema.Vantage}, more...)
	}
	same := func(function, name, expression string) sideMeasure {
		return sideMeasure{name, function + "(t." + name + ")", function + "(" + expression + ")"}
	}
	number := func(attribute string) string { return "toUInt64OrNull(e.attributes['" + attribute + "'])" }
	on := func(event, expression string) string {
		return "if(e.event = '" + event + "', " + expression + ", NULL)"
	}
	rate := func(name, bytes string) []sideMeasure {
		known := "e." + bytes + " IS NOT NULL"
		value := "e." + bytes + " / e.connection_duration"
		const quantiles = "quantilesDD(0.01, 0.5, 0.95, 0.99)"
		return []sideMeasure{
			{name + "_count", "sum(t." + name + "_count)", "countIf(" + known + ")"},
			{
				name + "_rate", strings.Replace(quantiles, "DD", "DDMerge", 1) + "(t." + name + "_rate)",
				strings.Replace(quantiles, "DD", "DDIf", 1) + "(ifNull(" + value + ", 0), " + known + ")",
			},
			same("max", name+"_rate_max", value),
		}
	}
	const closed, message = "websocket.close", "websocket.message"
	return []side{
		{schema.Gauges10s, 10 * time.Second, keys(schema.Instance), schema.Bucket, "e.event = 'websocket.connections'", []sideMeasure{
			same("max", "active", number("websocket.connections.active")),
			same("max", "idle", number("websocket.connections.idle")),
			same("max", "capacity", number("websocket.connections.capacity")),
			same("max", "memory_bytes", number("process.memory.usage")),
			same("max", "file_descriptors", number("process.open_file_descriptor.count")),
			same("max", "file_descriptor_limit", number("process.open_file_descriptor.limit")),
		}},
		{schema.ConnectionRate, time.Minute, keys(), schema.Bucket, "e.event = '" + closed + "' AND e.connection_duration > 0" +
			" AND (e.io_received IS NOT NULL OR e.io_sent IS NOT NULL)",
			append(rate("received", schema.IOReceived), rate("sent", schema.IOSent)...)},
		{schema.Clients1h, time.Hour, keys(), schema.Bucket, "e.event = 'websocket.open' AND e.client_hash != ''", []sideMeasure{
			{"clients", "uniqMerge(t.clients)", "uniq(e.client_hash)"},
		}},
		{schema.Usage1h, time.Hour, keys(schema.Tenant), schema.Bucket,
			"e.event IN ('websocket.open', '" + closed + "', '" + message + "')",
			[]sideMeasure{
				same("sum", "opened", "e.event = 'websocket.open'"),
				same("sum", "closed", "e.event = '"+closed+"'"),
				same("sum", "connection_milliseconds", on(closed, "if(e.connection_duration >= 0,"+
					" toUInt64(round(least(e.connection_duration, 1e9) * 1000)), NULL)")),
				same("sum", "bytes_received", on(closed, "e.io_received")),
				same("sum", "bytes_sent", on(closed, "e.io_sent")),
				same("sum", "messages", on(message, "e.count")),
				same("sum", "message_bytes", on(message, "e.bytes")),
			}},
		{schema.ClientUsage1d, 24 * time.Hour, []string{schema.Service, schema.Tenant, client}, schema.Bucket,
			"e.event IN ('" + closed + "', '" + message + "') AND " + clientOf + " != ''",
			[]sideMeasure{
				same("sum", "closed", "e.event = '"+closed+"'"),
				same("sum", "closed_bytes", "if(e.event = '"+closed+"', ifNull(e.io_received, 0) + ifNull(e.io_sent, 0), 0)"),
				same("sum", "messages_received", "if(e.event = '"+message+"' AND e.direction = 'receive', e.count, 0)"),
				same("sum", "messages_sent", "if(e.event = '"+message+"' AND e.direction = 'transmit', e.count, 0)"),
				same("sum", "message_bytes", "if(e.event = '"+message+"', e.bytes, 0)"),
				same("max", "last", "e.counted_at"),
			}},
		{schema.Audit, time.Hour, keys(schema.EventName, schema.Tenant, schema.ConnectionID), schema.CountedAt,
			"e.event IN ('websocket.policy.changed', 'websocket.auth.revoked', 'websocket.deploy')",
			[]sideMeasure{
				{"events", "count()", "count()"},
				{"times", "sum(cityHash64(t.time))", "sum(cityHash64(e.time))"},
				{"kinds", "groupArraySorted(10)(t.kind)", "groupArraySorted(10)(e.attributes['websocket.policy.kind'])"},
				{"actors", "groupArraySorted(10)(t.actor)", "groupArraySorted(10)(e.attributes['websocket.policy.actor'])"},
				{"attributes", "sum(cityHash64(mapKeys(t.attributes), mapValues(t.attributes)))",
					"sum(cityHash64(mapKeys(e.attributes), mapValues(e.attributes)))"},
			}},
	}
}

// unlike selects the first bucket and its keys of which the side table holds something else than the events give: both
// sides' measures as text. A side without a row for the key gives none.
func (d side) unlike(from, to time.Time) string {
	list := func(format string, each func(sideMeasure) string) string {
		texts := make([]string, len(d.measures))
		for i, m := range d.measures {
			texts[i] = fmt.Sprintf(format, each(m))
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	keys := func(alias string) string {
		texts := make([]string, len(d.keys))
		for i, k := range d.keys {
			texts[i] = "toString(" + alias + "." + k + ")"
			if alias == "e" && k == client {
				texts[i] = clientOf
			}
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	bucket := func(at string) string {
		return fmt.Sprintf("toDateTime(intDiv(toUnixTimestamp(%s), %d) * %[2]d, 'UTC')", at, int64(d.step/time.Second))
	}
	const text = "ifNull(toString(%s), 'unknown')"
	return fmt.Sprintf(`SELECT b, k, anyIf(m, side) AS stored, anyIf(m, NOT side) AS recounted FROM (
SELECT %s AS b, %s AS k, %s AS m, true AS side FROM %s AS t WHERE %s GROUP BY b, k
UNION ALL
SELECT %s AS b, %s AS k, %s AS m, false AS side FROM %s AS e WHERE %s AND %s GROUP BY b, k
) GROUP BY b, k HAVING stored != recounted ORDER BY b, k LIMIT 1`,
		bucket("t."+d.at), keys("t"), list(text, func(m sideMeasure) string { return m.stored }), d.table,
		between("t."+d.at, from, to), bucket("e."+schema.CountedAt), keys("e"),
		list(text, func(m sideMeasure) string { return m.recounted }), schema.Events, d.where,
		between("e."+schema.CountedAt, from, to))
}

// side compares a side table over its buckets that lie wholly in a range. If none does, the report's From is the end.
func (c *checker) side(ctx context.Context, d side, from, to time.Time) (TierReport, error) {
	report := TierReport{Table: d.table, From: from.Add(d.step - 1).Truncate(d.step), Equal: true}
	if !report.From.Before(to.Truncate(d.step)) {
		report.From = to // nothing to compare
		return report, nil
	}
	to = to.Truncate(d.step)
	const day = 24 * time.Hour
	for begin := report.From; begin.Before(to); begin = begin.Add(day) {
		end := begin.Add(day)
		if end.After(to) {
			end = to
		}
		// What differs once may be an insert that has reached events and not yet the side table.
		for range 2 {
			difference, err := c.unlike(ctx, d, begin, end)
			if err != nil {
				return report, err
			}
			report.First, report.Equal = difference, difference == nil
			if report.Equal {
				break
			}
		}
		if !report.Equal {
			return report, nil
		}
	}
	return report, nil
}

func (c *checker) unlike(ctx context.Context, d side, from, to time.Time) (*Difference, error) {
	var found *Difference
	err := c.statement(ctx, "check "+d.table, func(ctx context.Context) error {
		rows, err := c.conn.Query(reading(ctx), d.unlike(from, to))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var bucket time.Time
			var keys, stored, recounted []string
			if err := rows.Scan(&bucket, &keys, &stored, &recounted); err != nil {
				return err
			}
			found = d.difference(bucket, keys, stored, recounted)
		}
		return rows.Err()
	})
	return found, err
}

func (d side) difference(bucket time.Time, keys, stored, recounted []string) *Difference {
	difference := &Difference{Bucket: bucket.UTC()}
	for i, name := range d.keys {
		difference.Dimensions = append(difference.Dimensions, Dimension{name, keys[i]})
	}
	at := func(values []string, i int) string {
		if len(values) == 0 {
			return "missing"
		}
		return values[i]
	}
	for i, m := range d.measures {
		difference.Measure, difference.Stored, difference.Recounted = m.name, at(stored, i), at(recounted, i)
		if difference.Stored != difference.Recounted {
			break
		}
	}
	return difference
}
