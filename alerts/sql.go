package alerts

import (
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Statements end a little before now, so that what is on its way is there. They do not wait for the watermark, as SLOs do:
// one source that is stuck must not hide a flood that the others see.
const asof = "toStartOfInterval(now(), INTERVAL 10 SECOND) - 10"

// known are the series of the last day, each a row of every statement, so that no alert ends because a row is missing.
const known = `(
    SELECT service, region, vantage
    FROM ` + schema.Rollup15m + `
    WHERE bucket >= asof - 86400 AND bucket < asof AND vantage != ''
    GROUP BY service, region, vantage
) AS known`

// Seconds.
const (
	rateSeconds = 300
	hourSeconds = 3600
	daySeconds  = 86400
)

// sql is what selected and baseline are in PromQL: rates over five minutes, and the median of the same hour of the last
// days. What is usual is read for those alone that are over the floor; GLOBAL, because tables may be spread over a cluster.
func (s *symptom) sql(t Threshold) string {
	of := s.of.SQL()
	measures, conditions := "sumIf(count, "+of+") / 300 AS rate", "rates.rate > "+decimal(t.PerSecond)
	if t.Share > 0 {
		measures += ",\n            sumIf(count, " + s.among.SQL() + ") / 300 AS among"
		conditions += fmt.Sprintf("\n        AND NOT (rates.among > 0 AND rates.rate / rates.among <= %s)", decimal(t.Share))
	}
	usual := ""
	if t.Times > 0 {
		conditions += fmt.Sprintf("\n        AND ifNull(rates.rate > %s * usual.usual, 0)", decimal(t.Times))
		usual = "\nLEFT JOIN\n(\n" + usualSQL(of, t.PerSecond) + "\n) AS usual USING (service, region, vantage)"
	}
	return fmt.Sprintf(`WITH
    %s AS asof,
    rates AS
    (
        SELECT service, region, vantage,
            %s
        FROM %s
        WHERE bucket >= asof - %d AND bucket < asof
        GROUP BY service, region, vantage
    )
SELECT service, region, vantage,
    if(%s, rates.rate, 0) AS per_second
FROM %s
LEFT JOIN rates USING (service, region, vantage)%s
ORDER BY service, region, vantage`, asof, measures, schema.Rollup10s, rateSeconds, conditions, known, usual)
}

// usualSQL is the median of the means of the same hour of the days in which the series was known already; without one, that of
// the five minutes of the last day, if an hour of them is known.
func usualSQL(of string, floor float64) string {
	hours := make([]string, baselineDays)
	for d := range hours {
		middle := (d + 1) * daySeconds
		hours[d] = fmt.Sprintf("bucket >= asof - %d AND bucket < asof - %d", middle+hourSeconds/2, middle-hourSeconds/2)
	}
	return fmt.Sprintf(`    SELECT service, region, vantage,
        arrayMap(d -> by_day[d] / greatest(60, least(%[1]d, oldest - d * %[2]d + %[3]d)),
            arrayFilter(d -> oldest > d * %[2]d - %[3]d, arrayMap(d -> toUInt32(d), range(1, %[4]d)))) AS days,
        arrayMap(s -> by_slot[s] / %[5]d,
            arrayMap(s -> toUInt32(s), range(intDiv(least(oldest, %[2]d), %[5]d)))) AS slots,
        multiIf(notEmpty(days), arrayReduce('quantileExactInclusive(0.5)', days),
            oldest >= %[1]d, arrayReduce('quantileExactInclusive(0.5)', slots), NULL) AS usual
    FROM
    (
        SELECT service, region, vantage, max(age) AS oldest,
            sumMapIf(map(toUInt32(intDiv(age + %[3]d - 1, %[2]d)), count),
                %[6]s AND age > %[2]d - %[3]d AND (age + %[3]d - 1) %% %[2]d < %[1]d) AS by_day,
            sumMapIf(map(toUInt32(intDiv(age - 1, %[5]d)), count), %[6]s AND age <= %[2]d) AS by_slot
        FROM
        (
            SELECT *, toInt64(asof) - toInt64(bucket) AS age
            FROM %[7]s
            WHERE (bucket >= asof - %[2]d AND bucket < asof
                    OR %[8]s)
                AND (service, region, vantage) GLOBAL IN (SELECT service, region, vantage FROM rates WHERE rate > %[9]s)
        )
        GROUP BY service, region, vantage
    )`, hourSeconds, daySeconds, hourSeconds/2, baselineDays+1, rateSeconds, of, schema.Rollup1m,
		strings.Join(hours, "\n                    OR "), decimal(floor))
}

// memorySQL is the memory of an instance while it grows and connections do not.
func memorySQL(t Threshold) string {
	past, mean := int(memoryPast/time.Second), int(memoryMean/time.Second)
	return fmt.Sprintf(`WITH %[1]s AS asof
SELECT service, region, vantage, instance,
    if(ifNull(memory > %[2]s * memory_then AND memory - memory_then > %[3]s, 0)
        AND NOT ifNull(open > %[4]s * open_then, 0), assumeNotNull(memory), 0) AS bytes
FROM
(
    SELECT service, region, vantage, instance,
        avgIf(used, bucket >= asof - %[5]d) AS memory, avgIf(used, bucket < asof - %[6]d) AS memory_then,
        avgIf(connections, bucket >= asof - %[5]d) AS open, avgIf(connections, bucket < asof - %[6]d) AS open_then
    FROM
    (
        SELECT bucket, service, region, vantage, instance, max(memory_bytes) AS used, max(active) AS connections
        FROM %[7]s
        WHERE (bucket >= asof - %[5]d OR bucket >= asof - %[8]d AND bucket < asof - %[6]d)
            AND bucket < asof AND vantage != ''
        GROUP BY bucket, service, region, vantage, instance
    )
    GROUP BY service, region, vantage, instance
)
ORDER BY service, region, vantage, instance`, asof, decimal(t.Times), decimal(t.Bytes), decimal(memoryGrowth), mean,
		past, schema.Gauges10s, past+mean)
}

// plaintextSQL is how many seconds ago the last client came without TLS, as long as the alert lasts.
func plaintextSQL(t Threshold) string {
	return fmt.Sprintf(`WITH now() AS asof
SELECT service, region, vantage, toFloat64(ago) AS ago
FROM %[1]s
LEFT JOIN
(
    SELECT service, region, vantage, greatest(1, dateDiff('second', max(%[2]s), asof)) AS ago
    FROM %[3]s
    WHERE %[4]s = '%[5]s' AND %[6]s = '%[7]s' AND %[2]s > asof - %[8]d AND %[2]s <= asof
        AND %[9]s['%[10]s'] IN ('ws', 'http')
    GROUP BY service, region, vantage
) AS seen USING (service, region, vantage)
WHERE %[6]s = '%[7]s'
ORDER BY service, region, vantage`, known, schema.CountedAt, schema.Events, schema.EventName, event.Open,
		schema.Vantage, event.VantageEdge, t.Within/time.Second, schema.Attributes, event.URLScheme)
}

// silentSQL is how many seconds are not known of each source.
func silentSQL() string {
	return fmt.Sprintf(`SELECT %[1]s AS source, toFloat64(dateDiff('second', max(%[2]s), now())) AS behind
FROM %[3]s
WHERE %[4]s >= now() - INTERVAL 1 DAY
GROUP BY source
ORDER BY source`, schema.ProgressSource, schema.ProgressReadThrough, schema.SourceProgress, schema.ProgressWall)
}

// watermarkSQL is how many seconds are not known of any source: the store does not keep the vantage of a source.
func watermarkSQL() string {
	return fmt.Sprintf(`SELECT if(count() = 0, 0, toFloat64(dateDiff('second', max(%s), now()))) AS behind
FROM %s
WHERE %s >= now() - INTERVAL 1 DAY`, schema.ProgressReadThrough, schema.SourceProgress, schema.ProgressWall)
}
