package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// exploreTrace opens the trace of a cell in the chosen datasource of traces.
var exploreTrace = dashboard.DashboardLink{
	Type: dashboard.DashboardLinkTypeLink, Title: "Trace", Tags: []string{},
	Url: ptr(`/explore?schemaVersion=1&panes={"a":{"datasource":"${traces}","queries":[{"refId":"A",` +
		`"datasource":{"type":"tempo","uid":"${traces}"},` +
		`"queryType":"traceql","query":"${__value.raw}"}],"range":{"from":"${__from}","to":"${__to}"}}}`),
}

// debugBoard answers: what exactly happened to these connections, and what did the process have left?
func debugBoard() board {
	return board{
		name: debug, title: "Sockeye / Debug", from: "1h",
		about: "For whoever looks for a cause: single failures with their traces, distributions over connections, and " +
			"what each process had left. " +
			"Reads raw events, which are kept for 7 days, and the rollup of 10 seconds, which is kept for 3.",
		variables: clickhouseVariables(varService, varRegion, varTenant, varInstance, varTraces,
			seenConnections, seenAuth, seenMessages, seenGauges),
		annotations: annotations(one(schema.Service, varService)),
		rows: []row{
			{"Failures", []panel{
				{
					kind: kindTable, title: "Failed handshakes", w: 16, h: 9, unit: unitText, empty: "none",
					fields: []field{{name: "trace", link: &exploreTrace}, {name: "duration", unit: unitSeconds}},
					asks:   "Which handshakes failed, why, and where is their trace?",
					do: "Open the trace of one with fault server or idp: the span that is red or long is the cause. Without " +
						"a trace, compare error and status with the proxy's log.",
					queries: rows(fmt.Sprintf(`SELECT toDateTime(counted_at) AS at, instance, error_type AS error, fault, status,
  tenant, %s AS client, duration, trace_id AS trace
%s
ORDER BY counted_at DESC, connection_id
LIMIT 200`, client, events(seenConnections, isEvent(event.HandshakeRejected))),
						"at", "instance", "error", "fault", "status", "tenant", "client", "duration", "trace"),
				},
				{
					kind: kindTable, title: "How connections ended", w: 8, h: 9, unit: unitNone, empty: "none closed",
					asks: "With which close codes and errors do connections end, and who ended them?",
					do: "1006 and resets from many clients: a proxy or network. 1008, 1009, 1013 from the server: limits and " +
						"policies. 1001 at once: a deploy.",
					queries: rows(fmt.Sprintf(`SELECT ifNull(toString(close_code), 'unknown') AS code, close_initiator AS initiator,
  error_type AS error, sum(count) AS connections
%s
GROUP BY code, initiator, error
ORDER BY connections DESC, code, initiator, error
LIMIT 50`, events(seenConnections, isEvent(event.Close))), "code", "initiator", "error", "connections"),
				},
			}},
			{"Distributions", []panel{
				{
					kind: kindChart, title: "Messages of a connection", w: 8, h: 8, unit: unitNone, empty: "no counts of messages",
					asks: "How many messages do connections carry in their life, both directions together?",
					do: "Many with none: clients that connect and do not use it, or are cut before they can. A far right bar: " +
						"few clients that flood.",
					queries: rows(fmt.Sprintf(`WITH ifNull(toUInt64OrNull(%[1]s), 0) + ifNull(toUInt64OrNull(%[2]s), 0) AS messages,
  if(messages = 0, 0, 1 + toUInt8(floor(log10(messages)))) AS class
SELECT if(class = 0, '0', if(class = 1, '1-9', concat(toString(toUInt64(exp10(class - 1))),
  '+'))) AS messages_of_connection, count() AS connections
%[3]s
GROUP BY class
ORDER BY class`, attribute(event.IOMessagesReceived), attribute(event.IOMessagesSent),
						events(seenConnections, isEvent(event.Close),
							"("+attribute(event.IOMessagesReceived)+" != '' OR "+attribute(event.IOMessagesSent)+" != '')")),
						"messages_of_connection", "connections"),
				},
				{
					kind: kindChart, title: "Duration of a handshake", w: 8, h: 8, unit: unitNone, empty: "no durations",
					asks: "How long do handshakes take, each connection once?",
					do: "Two hills are two kinds of clients or instances: choose one instance above. A hill at a round " +
						"number of seconds is a timeout.",
					queries: rows(durations(fine.within(seenConnections, handshakes)), "at_most", "connections"),
				},
				{
					kind: kindChart, title: "Round trip of a ping", w: 8, h: 8, unit: unitNone, empty: "no pings seen",
					asks: "How long do pings of live connections take to be answered?",
					do: "A hill that moves right while handshakes stay: the event loop of the service or the network is " +
						"busy. Compare with memory below.",
					queries: rows(durations(fine.within(seenMessages, isEvent(event.Ping))), "at_most", "connections"),
				},
			}},
			{"Authentication", []panel{
				{
					kind: kindSeries, title: "Duration of an authentication", w: 12, h: 8, unit: unitSeconds,
					interval: fine.interval, empty: "no durations",
					colors: percentileColors,
					asks:   "How long does an authentication take, whatever its result?",
					do: "If the identity provider beside is as slow, talk to whoever runs it. If it is not, look at the " +
						"service's own checks.",
					queries: series(fmt.Sprintf("SELECT %s, %s AS p50, %s AS p95, %s AS p99\n%s\nGROUP BY time\nORDER BY time",
						timeOf(schema.Bucket), percentile(0.5), percentile(0.95), percentile(0.99),
						fine.within(seenAuth, isEvent(event.Auth, event.AuthRefreshed))), "time", "p50", "p95", "p99"),
				},
				{
					kind: kindSeries, title: "Part of the identity provider", w: 12, h: 8, unit: unitSeconds,
					interval: fine.interval, empty: "no durations",
					colors: percentileColors,
					asks:   "How much of that is the identity provider?",
					do: "A rise here with steady traffic is the provider's. Degrade to cached keys if the service can, and " +
						"watch rejections of fault idp.",
					queries: identityProvider(),
				},
			}},
			{"Processes", []panel{
				memory(),
				resource("File descriptors of each process", "max(file_descriptors)", "max(file_descriptor_limit)", unitNone,
					"How near is a process to its limit of open files? Each connection takes at least one.",
					"Near the limit new connections are refused: raise LimitNOFILE or ulimit -n, and look for connections that "+
						"are not closed.", schema.Bucket, schema.Gauges10s),
			}},
		},
	}
}

var percentileColors = map[string]string{"p50": good, "p95": serious, "p99": bad}

// identityProvider reads raw events: the rollup's histogram holds the whole authentication.
func identityProvider() []variants.Dataquery {
	return series(fmt.Sprintf(`WITH quantiles(0.5, 0.95, 0.99)(toFloat64OrNull(%[1]s)) AS q
SELECT %[2]s, q[1] AS p50, q[2] AS p95, q[3] AS p99
%[3]s
GROUP BY time
ORDER BY time`, attribute(event.AuthIDPDuration), timeOf(schema.CountedAt),
		events(seenAuth, isEvent(event.Auth, event.AuthRefreshed), attribute(event.AuthIDPDuration)+" != ''")), "time",
		"p50", "p95", "p99")
}

// durations turns the cumulative histogram of a rollup into one bar for each bound.
func durations(of string) string {
	columns := schema.DurationColumns()
	var sums, names []string
	for i, c := range columns {
		sums = append(sums, "sum("+c+")")
		names = append(names, "'"+event.DurationBounds[i].String()+"'")
	}
	sums, names = append(sums, "sum(duration_count)"), append(names, "'more'")
	return fmt.Sprintf(`SELECT tupleElement(bar, 1) AS at_most, tupleElement(bar, 2) AS connections
FROM (
  SELECT arrayJoin(arrayZip([%s], arrayPopFront(arrayDifference([0, %s])))) AS bar
  %s
  HAVING sum(duration_count) > 0
)`, strings.Join(names, ", "), strings.Join(sums, ", "), indent(of))
}

// memory reads raw events, which alone have the limit.
func memory() panel {
	largest := func(k event.Key) string { return "max(toUInt64OrNull(" + attribute(k) + "))" }
	return resource("Memory of each process", largest(event.ProcessMemory), largest(event.ProcessMemoryLimit), unitBytes,
		"Does a process leak, and how near is it to being killed? Its resident memory, and the least limit of its cgroups and host.",
		"A line that only grows with steady connections is a leak or a queue without a bound: take a heap profile "+
			"before you restart it. Near the limit, drain it first.",
		schema.CountedAt, schema.Events, isEvent(event.Connections))
}

// resource is what each process uses of something, and its limit.
func resource(title, used, limit, unit, asks, do, moment, table string, more ...string) panel {
	return panel{
		kind: kindSeries, title: title, w: 12, h: 8, unit: unit, interval: fine.interval,
		series: "${__field.labels.instance} ${__field.name}", limits: " limit", empty: "no gauges", asks: asks, do: do,
		queries: series(fmt.Sprintf(`SELECT %s, instance, %s AS used, %s AS limit
FROM %s
WHERE %s
GROUP BY time, instance
ORDER BY time`, timeOf(moment), used, limit, table,
			and(append([]string{"$__timeFilter(" + moment + ")", gaugesWhere(true)}, more...)...)),
			"time", "instance", "used", "limit"),
	}
}

// logLines are warnings and errors, one line each.
func logLines() []variants.Dataquery {
	return []variants.Dataquery{query(FormatLogs, fmt.Sprintf(`SELECT counted_at AS timestamp,
  concat(event, if(error_type = '', '', concat(' ', error_type)), if(fault = '', '', concat(' fault=', fault)),
    ' instance=', instance,
    if(tenant = '', '', concat(' tenant=', tenant)), if(policy = '', '', concat(' policy=', policy)),
    if(connection_id = '', '', concat(' connection=', connection_id)), if(trace_id = '', '', concat(' trace=',
      trace_id))) AS body,
  if(severity >= %d, 'error', 'warning') AS level
FROM %s
WHERE %s
ORDER BY counted_at DESC, body
LIMIT 200`, event.SeverityError, schema.Events,
		and("$__timeFilter("+schema.CountedAt+")", one(schema.Service, varService), anyOf(schema.Region, varRegion),
			anyOf(schema.Tenant, varTenant),
			anyOf(schema.Instance, varInstance), fmt.Sprintf("severity >= %d", event.SeverityWarn))), "timestamp", "body",
		"level")}
}
