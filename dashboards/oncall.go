package dashboards

import (
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// onCallBoard answers: is something wrong, since when, where, and whose is it?
func onCallBoard(known documents) board {
	objective, handshakeTitle := known.objective("connection-success", "Handshakes that succeed, 5m")
	_, hourTitle := known.objective("connection-success", "Handshakes that succeed, 1h")
	success := func(title string, window time.Duration) panel {
		return panel{
			kind: kindStat, title: title, w: 8, h: 4, unit: unitShare, decimals: ptr(3.0), steps: above(objective), ratio: true,
			opens: ClickHouse.opens(debug, "Debug"),
			asks:  "Do clients get in? The share of handshakes that ended in a connection, whoever's fault the others are.",
			do: "Below the objective: look below for whose fault the rejections are. Server, idp and network are yours; " +
				"client and policy mean a release of a client, a bad token or an attack. A click opens the failed handshakes.",
			queries: rows("SELECT "+share(isEvent(event.Open), handshakes)+" AS success\n"+fine.recent(window,
				seenConnections, handshakes), "success"),
		}
	}
	return board{
		name: onCall, title: "Sockeye / On-call", from: "6h", refresh: "30s",
		about: "For whoever is paged: is something wrong, since when, where and whose fault is it? Reads the rollup of " +
			"10 seconds, which is kept for 3 days.",
		variables: clickhouseVariables(varService, varRegion, varTenant, varInstance,
			seenConnections, seenAuth, seenMessages, seenGauges),
		annotations: annotations(one(schema.Service, varService)),
		rows: []row{
			{"What is promised", []panel{sloTable(12), withHeight(ageOfData(ClickHouse.opens(debug, "Debug")), 7)}},
			{"Connections", []panel{
				{
					kind: kindStat, title: "Active connections", w: 8, h: 4, unit: unitNone, decimals: ptr(0.0), empty: "no gauges",
					opens: ClickHouse.opens(debug, "Debug"),
					asks:  "How many connections are open now, as instances report it?",
					do: "A sudden fall is a lost instance, proxy or network: see below which region and instance. A steep " +
						"rise is a storm of reconnects.",
					queries: rows("SELECT "+latest("active", true)+" AS connections", "connections"),
				},
				success(handshakeTitle, 5*time.Minute),
				success(hourTitle, time.Hour),
				{
					kind: kindSeries, title: "Active connections by region and instance", w: 12, h: 8, unit: unitNone, stack: true,
					series: "${__field.labels.region} ${__field.labels.instance}", interval: fine.interval, empty: "no gauges",
					asks: "Which instances hold the connections, and did one lose them?",
					do: "If one instance falls and others rise, it restarted or was drained. If all of a region fall together, " +
						"look at its proxy and network.",
					queries: series(fmt.Sprintf(`SELECT %s, region, instance, max(active) AS connections
FROM %s
WHERE %s
GROUP BY time, region, instance
ORDER BY time`, timeOf(schema.Bucket), schema.Gauges10s, and("$__timeFilter(bucket)", gaugesWhere(true))), "time",
						"region", "instance", "connections"),
				},
				{
					kind: kindSeries, title: "Handshakes by result", w: 12, h: 8, unit: unitRate, stack: true, interval: fine.interval,
					series: "${__field.labels.result}", colors: resultColors(resultOpened, resultRejected),
					asks: "How many handshakes are there, and whose fault are those that fail?",
					do: "Server: look at deploys and at the service. Idp: at the identity provider. Policy: at limits below. " +
						"Client: at tokens and client releases.",
					queries: series(fmt.Sprintf(`SELECT %s, if(%s, '%s', concat('%s', fault)) AS result, %s AS handshakes
%s
GROUP BY time, result
ORDER BY time`, timeOf(schema.Bucket), isEvent(event.Open), resultOpened, resultRejected, perSecond,
						fine.within(seenConnections, handshakes)), "time", "result", "handshakes"),
				},
			}},
			{"Authentications and messages", []panel{
				{
					kind: kindSeries, title: "Authentications by result", w: 12, h: 8, unit: unitRate, stack: true,
					interval: fine.interval, series: "${__field.labels.result}", colors: resultColors(resultSuccess, resultFailure),
					empty: "no authentications",
					asks:  "How many credentials are accepted, and whose fault are those that are not?",
					do: "Client: a release of a client, an expired key, or somebody who tries credentials. Idp: the identity provider is " +
						"slow or down; Debug has its latency.",
					queries: series(fmt.Sprintf(`SELECT %s, if(%s, '%s', concat('%s', fault)) AS result, %s AS authentications
%s
GROUP BY time, result
ORDER BY time`, timeOf(schema.Bucket), is(schema.Outcome, string(event.OutcomeSuccess)), resultSuccess, resultFailure,
						perSecond, fine.within(seenAuth, isEvent(event.Auth, event.AuthRefreshed))), "time", "result", "authentications"),
				},
				{
					kind: kindSeries, title: "Messages by direction", w: 12, h: 8, unit: unitRate, interval: fine.interval,
					series: "${__field.labels.direction}", empty: "no messages seen",
					asks: "How many messages do clients send (receive) and get (transmit)?",
					do: "Receive leaps without more connections: one client or tenant floods, see the lists below. Transmit alone: a " +
						"broadcast of the service.",
					queries: series(fmt.Sprintf(`SELECT %s, direction, %s AS messages
%s
GROUP BY time, direction
ORDER BY time`, timeOf(schema.Bucket), perSecond, fine.within(seenMessages, isEvent(event.Message))), "time",
						"direction", "messages"),
				},
			}},
			{"What breaks", []panel{
				{
					kind: kindSeries, title: "Unexpected disconnects", w: 12, h: 8, unit: unitRate, interval: fine.interval,
					stack:  true,
					series: "${__field.labels.cause}", empty: "none",
					opens: ClickHouse.opens(debug, "Debug"),
					asks:  "How many connections end by a reset, a loss or without a closing handshake?",
					do: "All at one moment: a proxy or instance went away, so compare with deploys. Spread out: clients' " +
						"networks, or idle timeouts of a proxy.",
					queries: series(fmt.Sprintf(`SELECT %s, if(error_type = '', 'not clean', error_type) AS cause, %s AS disconnects
%s
GROUP BY time, cause
ORDER BY time`, timeOf(schema.Bucket), perSecond,
						fine.within(seenConnections, isEvent(event.Close), is(schema.Outcome, string(event.OutcomeFailure)))), "time",
						"cause", "disconnects"),
				},
				{
					kind: kindSeries, title: "Protocol errors and refused messages", w: 12, h: 8, unit: unitRate,
					interval: fine.interval, stack: true,
					series: "${__field.labels.cause}", empty: "none",
					asks: "Who breaks the protocol or sends messages that do not parse?",
					do: "schema_invalid after a deploy: a client and the service disagree on a version, so roll one back. " +
						"Protocol errors from few clients: an attack or a broken library.",
					queries: series(fmt.Sprintf(`SELECT %s, error_type AS cause, %s AS errors
%s
GROUP BY time, cause
ORDER BY time`, timeOf(schema.Bucket), perSecond, fine.within(seenMessages, isEvent(event.Error,
						event.MessageRejected))), "time", "cause", "errors"),
				},
			}},
			{"Limits", []panel{
				{
					kind: kindSeries, title: "Limits that refused", w: 8, h: 8, unit: unitRate, interval: fine.interval, stack: true,
					series: "${__field.labels.limit}", empty: "none",
					asks: "Which limits refuse handshakes or messages, and how often?",
					do: "One client or tenant: the limit does its work. Many of them: the limit is too tight, or a flood is " +
						"spread out; see the list beside.",
					queries: series(fmt.Sprintf(`SELECT %s, if(policy = '', 'unnamed', policy) AS limit, %s AS refused
%s
GROUP BY time, limit
ORDER BY time`, timeOf(schema.Bucket), perSecond, fine.within(seenMessages, isEvent(event.RateLimited))), "time",
						"limit", "refused"),
				},
				{
					kind: kindTable, title: "Clients that limits refused most", w: 8, h: 8, unit: unitNone, empty: "none",
					asks: "Who runs into limits? A client is an address, or its hash where addresses are not kept.",
					do:   "Block one that floods. If it is a customer, tell them, or raise the limit of their tenant.",
					queries: rows(fmt.Sprintf(`SELECT %s AS client, max(tenant) AS tenant, sum(count) AS refused
%s
GROUP BY client
ORDER BY refused DESC, client
LIMIT 20`, client, events(seenMessages, isEvent(event.RateLimited))), "client", "tenant", "refused"),
				},
				{
					kind: kindTable, title: "Blocked clients", w: 8, h: 8, unit: unitNone, empty: "none",
					asks: "Which clients are blocked now, since when and why?",
					do:   "Unblock whom you know. Many at once are an attack, or a rule that is wrong.",
					queries: rows(fmt.Sprintf(`SELECT %s AS client, argMax(%s, counted_at) AS reason, max(counted_at) AS since
%s
GROUP BY client
HAVING argMax(%s, counted_at) != 'off'
ORDER BY since DESC, client
LIMIT 50`, client, attribute(event.PolicyReason), events(seenMessages, isEvent(event.PolicyChanged),
						is(schema.Policy, "ip_block")),
						attribute(event.PolicyState)), "client", "reason", "since"),
				},
			}},
			{"Logs", []panel{{
				kind: kindLogs, title: "Recent warnings of the chosen instances", w: gridWidth, h: 9, unit: unitText, empty: "none",
				asks: "What did the affected instance see last? Choose it in the variable above.",
				do: "Read the newest lines for their error and connection. A trace id finds the request in your traces; " +
					"a connection id all that was seen of it.",
				queries: logLines(),
			}}},
		},
	}
}

// client is who it was, as far as personal data is kept.
const client = "if(client_address != '', client_address, client_hash)"

// How results of handshakes and authentications are called.
const (
	resultOpened   = "opened"
	resultRejected = "rejected: "
	resultSuccess  = "success"
	resultFailure  = "failure: "
)

// resultColors are those of what went well, and of what did not by whose fault it was.
func resultColors(well, failed string) map[string]string {
	colors := map[string]string{well: good}
	for _, f := range event.Faults() {
		colors[failed+string(f)] = faultColors[f]
	}
	return colors
}

func withHeight(p panel, h uint32) panel { p.h = h; return p }

// burn is how fast a window of a status burns the budget.
func burn(window string) string {
	return fmt.Sprintf(`arrayFirst(w -> tupleElement(w, 'name') = '%s', windows) AS w%[1]s,
    (tupleElement(w%[1]s, 'judged') - tupleElement(w%[1]s, 'good')) / nullIf(tupleElement(w%[1]s, 'judged'), 0)
      / (1 - toFloat64OrZero(objective)) AS b%[1]s`, window)
}

// sloTable is how all SLOs of the service stand.
func sloTable(w uint32) panel {
	return panel{
		kind: kindTable, title: "SLOs", w: w + 8, h: 7, unit: unitText, empty: "no SLOs",
		asks: "Which promises are broken or about to be? The worst first, as of the engine's last evaluation.",
		do: "Start with one that burns with severity page: its name opens its detail, and the alert its runbook. " +
			"no_data means that nothing is known: look at the age of the data.",
		fields: sloFields(),
		queries: rows(statuses(one(schema.Service, varService), "slo"), "slo", "state", "severity", "objective",
			"budget left",
			"burn 5m", "burn 1h", "burn 6h", "age"),
	}
}

func sloFields() []field {
	burnSteps := burnThresholds()
	return []field{
		{name: "slo", link: ClickHouse.opensSLO("${service}", "${__value.raw}"), width: 210},
		{name: "state", states: true, width: 110},
		{name: "objective", unit: unitShare, decimals: ptr(3.0)},
		{name: "budget left", unit: unitShare, decimals: ptr(1.0), steps: budgetSteps},
		{name: "burn 5m", unit: unitNone, decimals: ptr(2.0), steps: burnSteps},
		{name: "burn 1h", unit: unitNone, decimals: ptr(2.0), steps: burnSteps},
		{name: "burn 6h", unit: unitNone, decimals: ptr(2.0), steps: burnSteps},
		{name: "age", unit: unitSeconds, decimals: ptr(0.0)},
	}
}

// statuses are the last ones of each SLO: pages first, then in the order in which the engine tries states. columns name the SLO.
func statuses(of, columns string) string {
	var states []string
	for _, s := range slo.States() {
		states = append(states, "'"+string(s)+"'")
	}
	return fmt.Sprintf(`SELECT %[1]s, state, severity, goal AS objective, left AS "budget left",
  b5m AS "burn 5m", b1h AS "burn 1h", b6h AS "burn 6h", age
FROM (
  SELECT service, slo, state, severity, toFloat64OrZero(objective) AS goal, budget_remaining AS left,
    dateDiff('second', asof, $__toTime) AS age,
    %[2]s,
    %[3]s,
    %[4]s
  FROM %[5]s
  WHERE asof > $__toTime - INTERVAL 1 DAY AND asof <= $__toTime
    AND %[6]s
  ORDER BY service, slo, asof DESC, written DESC
  LIMIT 1 BY service, slo
)
ORDER BY severity = '%[7]s' DESC, indexOf([%[8]s], state), service, slo`, columns, burn("5m"), burn("1h"), burn("6h"),
		schema.SLOStatus, of, slo.SeverityPage, strings.Join(states, ", "))
}
