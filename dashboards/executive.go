package dashboards

import (
	"fmt"
	"strings"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// executiveBoard answers: do we keep what we promise, how much room is left, and who uses it?
func executiveBoard(known documents) board {
	objective, authTitle := known.objective("auth-success", "Authentication success")
	incidents := func(hours int) panel {
		return panel{
			kind: kindStat, title: fmt.Sprintf("Incidents, %dh", hours), w: 3, h: 4, unit: unitNone, decimals: ptr(0.0),
			empty: "none",
			steps: []dashboard.Threshold{base(good), from(1, serious), from(3, bad)},
			opens: ClickHouse.opens(sloOverview, "SLOs"),
			asks:  fmt.Sprintf("How often did an SLO alert begin in the last %d hours?", hours),
			do: "The table below names them. Several in a row that end by themselves deserve a review, even if the " +
				"budget holds.",
			queries: rows(fmt.Sprintf("SELECT count() AS incidents\nFROM %s\nWHERE %s\n  AND %s", schema.SLOIncidents,
				since("detected", time.Duration(hours)*time.Hour), one(schema.Service, varService)), "incidents"),
		}
	}
	capacity := known.capacity()
	return board{
		name: executive, title: "Sockeye / Executive", from: "30d", refresh: "15m",
		about: "For owners of a service: do we keep what we promise, how much room is left, and who uses it? " +
			"Gauges of instances are kept for 3 days, annotations of deploys for 7.",
		variables: clickhouseVariables(varService, varRegion, varTenant, varSpent, seenConnections, seenAuth,
			seenMessages, seenGauges),
		annotations: annotations(one(schema.Service, varService)),
		rows: []row{
			{"Now", []panel{
				{
					kind: kindStat, title: "Active connections", w: 4, h: 4, unit: unitNone, decimals: ptr(0.0), empty: "no gauges",
					opens:   ClickHouse.opens(onCall, "On-call"),
					asks:    "How many connections are open now, in the chosen regions?",
					do:      "Compare with the capacity beside. A click opens them by region and instance.",
					queries: rows("SELECT "+latest("active", false)+" AS connections", "connections"),
				},
				{
					kind: kindStat, title: "Capacity in use", w: 4, h: 4, unit: unitShare, decimals: ptr(1.0),
					empty: "no capacity known",
					steps: []dashboard.Threshold{base(good), from(0.7, warning), from(0.85, bad)},
					opens: ClickHouse.opens(onCall, "On-call"),
					asks: "How full are we? Connections against the capacity that the document of the service names, or else " +
						"that its instances report.",
					do:      "Above 70 %, plan more instances: one that fails moves its connections to the others.",
					queries: rows(fmt.Sprintf("SELECT %s / nullIf(%s, 0) AS used", latest("active", false), capacity), "used"),
				},
				{
					kind: kindStat, title: "Days until full", w: 4, h: 4, unit: "d", decimals: ptr(0.0), empty: "not in sight",
					last: "3d", opens: ClickHouse.opens(onCall, "On-call"),
					steps: []dashboard.Threshold{base(bad), from(14, warning), from(60, good)},
					asks: "When is the capacity reached, if the hourly peaks of the last three days go on as they did? A " +
						"straight line, no more.",
					do: "Under 60 days: order capacity. Under 14: add it now, or lower the limits of the tenants below.",
					queries: rows(fmt.Sprintf(`WITH simpleLinearRegression(day, peak) AS line, max(day) AS today
SELECT if(tupleElement(line, 1) > 0, greatest(0, (%s - tupleElement(line, 2)) / tupleElement(line, 1) - today),
  NULL) AS days
FROM (
  SELECT toUnixTimestamp(toStartOfHour(bucket)) / 86400 AS day, max(active) AS peak
  FROM (%s)
  GROUP BY day
)`, capacity, indent(activeByBucket)), "days"),
				},
				{
					kind: kindStat, title: authTitle, w: 6, h: 4, unit: unitShare, decimals: ptr(3.0), steps: above(objective),
					ratio: true,
					opens: ClickHouse.opens(onCall, "On-call"),
					asks:  "What share of authentications succeeded over the chosen time? Bad tokens count as failures.",
					do:    "Below the objective: see below when, and in Debug whether the identity provider was slow.",
					queries: rows("SELECT "+share(is(schema.Outcome, string(event.OutcomeSuccess)),
						is(schema.EventName, string(event.Auth)))+
						" AS success\n"+coarse.within(seenAuth, isEvent(event.Auth)), "success"),
				},
				incidents(24), incidents(72),
			}},
			{"Promises", []panel{
				{
					kind: kindBars, title: "Budget left by SLO", w: 10, h: 9, unit: unitShare, decimals: ptr(1.0),
					steps: budgetSteps, ratio: true,
					empty: "no SLOs",
					opens: ClickHouse.opensSLO("${service}", "${__data.fields.slo}"),
					asks:  "How much failure does each promise still allow in its window?",
					do: "Below a quarter: put reliability before features. At nothing: stop risky releases until the window " +
						"has moved on.",
					queries: rows(fmt.Sprintf(`SELECT slo, greatest(0, budget_remaining) AS "budget left"
FROM %s
WHERE asof > $__toTime - INTERVAL 1 DAY AND asof <= $__toTime
  AND %s
  AND budget_remaining IS NOT NULL
ORDER BY slo, asof DESC, written DESC
LIMIT 1 BY slo`, schema.SLOStatus, one(schema.Service, varService)), "slo", "budget left"),
				},
				incidentTable(14, one(schema.Service, varService)),
			}},
			{"How it went", []panel{
				{
					kind: kindSeries, title: "Connections and capacity", w: 12, h: 8, unit: unitNone, interval: fine.interval,
					empty: "no gauges", last: "3d",
					colors: map[string]string{"active": neutral, "capacity": bad},
					asks:   "How close did the daily peaks come to the capacity?",
					do: "Peaks that grow from day to day show when to add instances. A step in capacity is an instance that " +
						"came or went.",
					queries: series(fmt.Sprintf(`SELECT %s, max(active) AS active, max(%s) AS capacity
FROM (%s)
GROUP BY time
ORDER BY time`, timeOf(schema.Bucket), known.capacityOr("capacity"), indent(activeByBucket)), "time", "active",
						"capacity"),
				},
				{
					kind: kindSeries, title: "Failures of handshakes and authentications", w: 12, h: 8, unit: unitShare,
					interval: coarse.interval, dashed: true,
					decimals: ptr(3.0), steps: []dashboard.Threshold{base(good), from(1-objective, bad)},
					colors: map[string]string{"handshakes": neutral, "authentications": "purple"},
					asks: "When was it worse than usual? The share that failed of each hour; the dashed line is what the " +
						"objective of authentications allows.",
					do: "Compare peaks with deploys and incidents. A slow rise is a client that gets old, or a tenant with a " +
						"bad token.",
					queries: series(fmt.Sprintf(`SELECT %s, %s AS handshakes, %s AS authentications
FROM %s
WHERE $__timeFilter(bucket)
  AND %s
  AND (%s OR %s)
GROUP BY time
ORDER BY time`, timeOf(schema.Bucket), share(isEvent(event.HandshakeRejected), handshakes),
						share(isEvent(event.Auth)+" AND "+is(schema.Outcome, string(event.OutcomeFailure)), isEvent(event.Auth)),
						coarse.table,
						and(one(schema.Service, varService), anyOf(schema.Region, varRegion), anyOf(schema.Tenant, varTenant)),
						one(schema.Vantage, seenConnections)+" AND "+handshakes,
						one(schema.Vantage, seenAuth)+" AND "+isEvent(event.Auth)),
						"time", "handshakes", "authentications"),
				},
			}},
			{"Who uses it", []panel{
				{
					kind: kindTable, title: "Top tenants by connections", w: 8, h: 9, unit: unitNone,
					fields: []field{{name: "hours", unit: "h", decimals: ptr(0.0)}},
					asks:   "Who opens the most connections, and how long do they stay?",
					do:     "Many connections and few hours are a client that reconnects in a loop: write to that tenant.",
					queries: rows(fmt.Sprintf(`SELECT tenant, sum(opened) AS connections, sum(milliseconds) / 3600000 AS hours
FROM (
  SELECT tenant, sum(count) AS opened, 0 AS milliseconds
  %s
  GROUP BY tenant
  UNION ALL
  SELECT tenant, 0 AS opened, sum(connection_milliseconds) AS milliseconds
  %s
  GROUP BY tenant
)
GROUP BY tenant
ORDER BY connections DESC, tenant
LIMIT 10`, indent(coarse.within(seenConnections, isEvent(event.Open))), indent(usage(seenConnections))), "tenant",
						"connections", "hours"),
				},
				{
					kind: kindTable, title: "Top tenants by messages", w: 8, h: 9, unit: unitNone,
					fields: []field{{name: "size", unit: unitBytes}},
					empty:  "no messages seen",
					asks:   "Who sends and receives the most messages, and how large are they in all?",
					do:     "A tenant that is far ahead of what it pays for wants another tier, or a limit.",
					queries: rows(fmt.Sprintf(`SELECT tenant, sum(messages) AS total, sum(message_bytes) AS size
%s
GROUP BY tenant
HAVING total > 0
ORDER BY total DESC, tenant
LIMIT 10`, usage(seenMessages)), "tenant", "total", "size"),
				},
				{
					kind: kindTable, title: "Cost by tier", w: 8, h: 9, unit: unitNone,
					fields: []field{{name: "hours", unit: "h", decimals: ptr(0.0)}, {name: "traffic", unit: unitBytes},
						{name: "of time", unit: unitShare, decimals: ptr(0.0)},
						{name: "of bytes", unit: unitShare, decimals: ptr(0.0)}, {name: "cost", unit: unitNone, decimals: ptr(2.0)}},
					asks: "What does each tier of tenants cost? The cost that you enter above, divided by the mean of two " +
						"shares: hours of connection and bytes.",
					do: "Enter the bill of the chosen time. A tier that costs more than it pays needs limits or another " +
						"price. Tiers are those that tenants had on the last day.",
					queries: rows(fmt.Sprintf(`WITH tiers AS (
  SELECT tenant, argMax(%[1]s, counted_at) AS tier
  FROM %[2]s
  WHERE counted_at >= $__toTime - INTERVAL 1 DAY AND counted_at < $__toTime
    AND %[3]s
    AND %[4]s
    AND %[1]s != ''
  GROUP BY tenant
)
SELECT if(tiers.tier = '', 'none', tiers.tier) AS tier, uniqExact(tenant) AS tenants,
  sum(milliseconds) / 3600000 AS hours, sum(bytes) AS traffic,
  sum(milliseconds) / nullIf(sum(sum(milliseconds)) OVER (), 0) AS "of time",
    sum(bytes) / nullIf(sum(sum(bytes)) OVER (), 0) AS "of bytes",
  toFloat64OrZero(${%[5]s:singlequote}) * ifNull(("of time" + "of bytes") / 2, ifNull("of time", "of bytes")) AS cost
FROM (
  SELECT tenant, sum(connection_milliseconds) AS milliseconds, sum(bytes_received) + sum(bytes_sent) AS bytes
  %[6]s
  GROUP BY tenant
) AS used
LEFT JOIN tiers ON tiers.tenant = used.tenant
GROUP BY tier
ORDER BY cost DESC, tier`, attribute(event.TenantTier), schema.Events, isEvent(event.Open), and(one(schema.Service,
						varService), one(schema.Vantage, seenConnections)),
						varSpent, indent(usage(seenConnections))), "tier", "tenants", "hours", "traffic", "of time", "of bytes", "cost"),
				},
			}},
			{"Can I believe it", []panel{ageOfData(ClickHouse.opens(onCall, "On-call"))}},
		},
	}
}

func indent(sql string) string { return strings.ReplaceAll(sql, "\n", "\n  ") }

// activeByBucket sums over instances what each reported.
var activeByBucket = fmt.Sprintf(`SELECT bucket, sum(value) AS active, sum(most) AS capacity
FROM (
  SELECT bucket, max(active) AS value, max(capacity) AS most
  FROM %s
  WHERE $__timeFilter(bucket)
    AND %s
  GROUP BY bucket, region, instance
)
GROUP BY bucket`, schema.Gauges10s, strings.ReplaceAll(gaugesWhere(false), "\n", "\n  "))

// usage is what tenants used, by the hour.
func usage(seen string) string {
	return "FROM " + schema.Usage1h + "\nWHERE " + and("$__timeFilter(bucket)", coarse.selection(seen))
}

// capacity is how many connections the service may hold: as its document says, else the sum of what instances report.
func (k documents) capacity() string { return k.capacityOr(latest("capacity", false)) }

func (k documents) capacityOr(reported string) string {
	if len(k.capacities) == 0 {
		return reported
	}
	var services, numbers []string
	for _, s := range sortedKeys(k.capacities) {
		services = append(services, quote(s))
		numbers = append(numbers, fmt.Sprint(k.capacities[s]))
	}
	return fmt.Sprintf("ifNull(nullIf(transform(${%s:singlequote}, [%s], [%s], 0), 0), %s)", varService,
		strings.Join(services, ", "),
		strings.Join(numbers, ", "), reported)
}

var quoter = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func quote(s string) string { return "'" + quoter.Replace(s) + "'" }

// incidentTable lists incidents of the range.
func incidentTable(w uint32, of string) panel {
	return panel{
		kind: kindTable, title: "Incidents", w: w, h: 9, unit: unitText, empty: "none",
		fields: []field{{name: "slo", link: ClickHouse.opensSLO("${service}", "${__value.raw}")},
			{name: "lasted", unit: "dtdurations"}, {name: "error ratio", unit: unitShare, decimals: ptr(3.0)}},
		asks: "Which incidents began in the chosen time, how long did they last and how bad were they?",
		do: "One without an end goes on now. For the others, the error ratio times the duration says which deserves " +
			"a review first.",
		queries: rows(fmt.Sprintf(`SELECT slo, severity, detected, ended,
  dateDiff('second', start, ifNull(ended, $__toTime)) AS lasted,
  (judged - good) / nullIf(judged, 0) AS "error ratio"
FROM %s
WHERE $__timeFilter(detected)
  AND %s
ORDER BY detected DESC, slo
LIMIT 100`, schema.SLOIncidents, of), "slo", "severity", "detected", "ended", "lasted", "error ratio"),
	}
}
