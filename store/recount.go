package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// measure is a measure's column and what it is the sum of, for an event e.
type measure struct{ name, expression string }

func (m measure) differ(stored, recounted string) bool {
	if m.name != schema.DurationSum {
		return stored != recounted
	}
	a, errA := strconv.ParseFloat(stored, 64)
	b, errB := strconv.ParseFloat(recounted, 64)
	if errA != nil || errB != nil || !finite(a) || !finite(b) {
		return errA != nil || errB != nil || finite(a) != finite(b)
	}
	return math.Abs(a-b) > relative*max(math.Abs(a), math.Abs(b))+absolute
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Two sums of the same floats in another order differ by less.
const (
	relative = 1e-9
	absolute = 1e-9
)

// measures states what every tier holds, apart from the views that fill them, so that a wrong view is found too.
func measures() []measure {
	list := []measure{
		{schema.Count, "e.count"}, {schema.Bytes, "e.bytes"}, {schema.Judged, "e.judged"},
		{schema.DurationCount, "if(e.duration IS NULL, 0, e.count)"},
		{schema.DurationSum, "ifNull(e.duration, 0) * e.count"},
	}
	for _, bound := range event.DurationBounds {
		seconds := strconv.FormatFloat(bound.Seconds(), 'g', -1, 64)
		list = append(list, measure{
			schema.DurationColumn(bound), "if(ifNull(e.duration <= " + seconds + ", 0), e.count, 0)",
		})
	}
	return list
}

func dimensionsOf(tier schema.Tier) []string {
	names := schema.Dimensions()
	if tier.Table == schema.Rollup10s {
		names = append(names, schema.Instance)
	}
	return names
}

// differences selects every bucket and its dimensions whose stored sums are not those of the events, and by how much:
// a column d_<measure> for each, modulo 2⁶⁴. A key that is on one side only counts as 0 on the other.
func differences(tier schema.Tier, from, to time.Time) string {
	dimensions := strings.Join(dimensionsOf(tier), ", ")
	having := []string{unlikeFloats}
	var sums []string
	for _, m := range measures() {
		if m.name == schema.DurationSum {
			sums = append(sums, "sum(x_recounted) AS recounted", "sum(x_stored) AS stored",
				"if(isFinite(recounted) AND isFinite(stored), recounted - stored, 0) AS d_"+m.name)
			continue
		}
		sums = append(sums, "sum(x_"+m.name+") AS d_"+m.name)
		having = append(having, "d_"+m.name+" != 0")
	}
	return fmt.Sprintf("SELECT bucket, %s, %s FROM (%s) GROUP BY bucket, %[1]s HAVING %[4]s",
		dimensions, strings.Join(sums, ", "), bothSides(tier, from, to), strings.Join(having, " OR "))
}

// suspects selects the buckets in which differences would find something, for a fraction of its cost: by a sum over all
// keys of a hash of the key times a sum of all measures times odd numbers, modulo 2⁶⁴. It is 0 where all are equal, and
// elsewhere by a chance of about one in 2⁶⁰. Durations are summed with a weight by key.
func suspects(tier schema.Tier, from, to time.Time) string {
	key := "cityHash64(bucket, " + strings.Join(dimensionsOf(tier), ", ") + ")"
	var terms []string
	for i, m := range measures() {
		if m.name != schema.DurationSum {
			// An odd multiple of the golden ratio's fraction, and positive as an Int64.
			terms = append(terms, fmt.Sprintf("x_%s * %d", m.name, uint64(2*i+1)*0x9E3779B97F4A7C15>>1|1))
		}
	}
	return fmt.Sprintf(`SELECT bucket, sum(toInt64(h) * (%s)) AS fingerprint,
sum(x_recounted * (1 + h %% 1000)) AS recounted, sum(x_stored * (1 + h %% 1000)) AS stored
FROM (SELECT *, %s AS h FROM (%s)) GROUP BY bucket HAVING fingerprint != 0 OR %s`,
		strings.Join(terms, " + "), key, bothSides(tier, from, to), unlikeFloats)
}

// unlikeFloats is true of two sums of floats, recounted and stored, that differ by more than their order explains.
var unlikeFloats = fmt.Sprintf("isFinite(recounted) != isFinite(stored) OR (isFinite(recounted) AND "+
	"abs(recounted - stored) > %g * greatest(abs(recounted), abs(stored)) + %g)", relative, absolute)

// bothSides selects the events and, with the opposite sign, the rows of the tier: bucket, dimensions and x_<measure>.
func bothSides(tier schema.Tier, from, to time.Time) string {
	var events, stored []string
	for _, name := range dimensionsOf(tier) {
		events = append(events, "e."+name+" AS "+name)
		stored = append(stored, "t."+name+" AS "+name)
	}
	for _, m := range measures() {
		if m.name == schema.DurationSum {
			events = append(events, "toFloat64("+m.expression+") AS x_recounted", "toFloat64(0) AS x_stored")
			stored = append(stored, "toFloat64(0) AS x_recounted", "toFloat64(t."+m.name+") AS x_stored")
			continue
		}
		events = append(events, "toInt64("+m.expression+") AS x_"+m.name)
		stored = append(stored, "negate(toInt64(t."+m.name+")) AS x_"+m.name)
	}
	return fmt.Sprintf(`
SELECT toDateTime(intDiv(toUnixTimestamp(e.%s), %d) * %[2]d, 'UTC') AS bucket, %[3]s FROM %[4]s AS e WHERE %[5]s
UNION ALL
SELECT t.%[6]s AS bucket, %[7]s FROM %[8]s AS t WHERE %[9]s
`,
		schema.CountedAt, int64(tier.Step/time.Second), strings.Join(events, ", "), schema.Events,
		between("e."+schema.CountedAt, from, to),
		schema.Bucket, strings.Join(stored, ", "), tier.Table, between("t."+schema.Bucket, from, to))
}

// correction inserts the differences, straight into the tier.
func correction(tier schema.Tier, from, to time.Time) string {
	key := schema.Bucket + ", " + strings.Join(dimensionsOf(tier), ", ")
	var names, values []string
	for _, m := range measures() {
		names = append(names, m.name)
		if m.name == schema.DurationSum {
			values = append(values, "d_"+m.name)
		} else {
			values = append(values, "toUInt64(d_"+m.name+")")
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT %s, %s FROM (%s)", tier.Table, key, strings.Join(names, ", "),
		key, strings.Join(values, ", "), differences(tier, from, to))
}

// reading keeps a query's memory bounded where a slice holds very many keys.
func reading(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(readSettings()))
}

func readSettings() clickhouse.Settings {
	return clickhouse.Settings{"max_bytes_before_external_group_by": 256 << 20}
}

// correcting is for inserts that have no token and leave none: the same differences may have to be inserted again, and
// never are by a retry.
func correcting(ctx context.Context) context.Context {
	settings := readSettings()
	settings["async_insert"] = 0
	settings["insert_deduplicate"] = 0
	settings["max_partitions_per_insert_block"] = 0
	return clickhouse.Context(ctx, clickhouse.WithSettings(settings))
}

func between(column string, from, to time.Time) string {
	return fmt.Sprintf("%[1]s >= toDateTime(%[2]d, 'UTC') AND %[1]s < toDateTime(%[3]d, 'UTC')",
		column, from.Unix(), to.Unix())
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
