package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// The metrics of the websocketsli connector as Prometheus names them: dots become underscores, unit and kind are appended.
var (
	metricEvents    = metric(event.MetricEvents) + "_total"
	metricBytes     = metric(event.MetricEventsSize) + "_bytes_total"
	metricLate      = metric(event.MetricEventsLate) + "_total"
	metricDuration  = metric(event.MetricEventDuration) + "_seconds_bucket"
	metricActive    = metric(event.ConnectionsActive.String())
	metricCapacity  = metric(event.ConnectionsCapacity.String())
	metricMemory    = metric(event.ProcessMemory.String()) + "_bytes"
	metricMemLimit  = metric(event.ProcessMemoryLimit.String()) + "_bytes"
	metricFiles     = metric(event.ProcessFDs.String())
	metricFileLimit = metric(event.ProcessFDLimit.String())
	metricThrough   = metric(event.ProgressReadThrough.String()) + "_seconds"

	labelInstance = metric(event.ServiceInstanceID)
)

func metric(name string) string { return strings.ReplaceAll(name, ".", "_") }

func label(dimension string) string { return slo.PromLabel(dimension) }

// equals and matches are label matchers.
func equals(dimension, value string) string { return label(dimension) + `="` + value + `"` }

func matches(name, variable string) string { return name + `=~"$` + variable + `"` }

// counted selects series of a metric by the variables. Metrics have no instance.
func counted(name, seen string, more ...string) string {
	return name + "{" + strings.Join(append([]string{
		equals(schema.Service, "$"+varService), equals(schema.Vantage, "$"+seen), matches(label(schema.Region), varRegion),
		matches(label(schema.Tenant), varTenant),
	}, more...), ", ") + "}"
}

func named(names ...event.Name) string {
	text := make([]string, len(names))
	for i, n := range names {
		text[i] = strings.ReplaceAll(string(n), ".", `\\.`)
	}
	if len(names) == 1 {
		return equals(schema.EventName, string(names[0]))
	}
	return label(schema.EventName) + `=~"` + strings.Join(text, "|") + `"`
}

func outcome(o event.Outcome) string { return equals(schema.Outcome, string(o)) }

// reported selects gauges by the variables.
func reported(name string, instances bool) string {
	matchers := []string{equals(schema.Service, "$"+varService), equals(schema.Vantage, "$"+seenGauges),
		matches(label(schema.Region), varRegion)}
	if instances {
		matchers = append(matchers, matches(labelInstance, varInstance))
	}
	return name + "{" + strings.Join(matchers, ", ") + "}"
}

// recorded selects series of the rules that `sockeye generate alerts` writes.
func recorded(name string, more ...string) string {
	return name + "{" + strings.Join(append([]string{alerts.RecordService + `=~"$` + varService + `"`}, more...),
		", ") + "}"
}

// budgets selects the budget that is left, whatever the length of its window.
func budgets(more ...string) string {
	matchers := append([]string{`__name__=~"` + alerts.RecordRemaining + `.+"`,
		alerts.RecordService + `=~"$` + varService + `"`}, more...)
	return "{" + strings.Join(matchers, ", ") + "}"
}

func by(labels ...string) string { return "sum by (" + strings.Join(labels, ", ") + ") " }

func rate(selector string) string { return "rate(" + selector + "[$__rate_interval])" }

func over(selector, window string) string { return "increase(" + selector + "[" + window + "])" }

// measured is one query; instant, if it is the values of one moment.
func measured(ref, expr, legend string, instant bool) variants.Dataquery {
	source := Prometheus.ref()
	return prometheus.Dataquery{
		RefId: ptr(ref), Datasource: &source, Expr: expr, LegendFormat: ptr(legend),
		EditorMode: ptr(prometheus.QueryEditorModeCode),
		Instant:    ptr(instant), Range: ptr(!instant), Format: ptr(prometheus.PromQueryFormatTimeSeries),
	}
}

func instant(expr string) []variants.Dataquery {
	return []variants.Dataquery{measured("A", expr, "", true)}
}

// lines are series; expressions and their legends in turn.
func lines(pairs ...string) (queries []variants.Dataquery) {
	for i := 0; i < len(pairs); i += 2 {
		queries = append(queries, measured(string(rune('A'+i/2)), pairs[i], pairs[i+1], false))
	}
	return queries
}

// legend is a label's value, as Grafana writes it.
func legend(labels ...string) string {
	for i, l := range labels {
		labels[i] = "{{" + l + "}}"
	}
	return strings.Join(labels, " ")
}

func prometheusVariables(names ...string) []dashboard.VariableModel {
	of := func(matchers ...string) string { return metricEvents + "{" + strings.Join(matchers, ", ") + "}" }
	service := equals(schema.Service, "$"+varService)
	values := func(selector, name string) string { return "label_values(" + selector + ", " + name + ")" }
	seen := func(name, title, selector string) dashboard.VariableModel {
		v := Prometheus.variable(name, title, values(selector, label(schema.Vantage)))
		v.Sort = ptr(dashboard.VariableSortAlphabeticalDesc) // tap, gateway, edge, app: an edge before the app behind it
		return v
	}
	sorted := func(v dashboard.VariableModel) dashboard.VariableModel {
		v.Sort = ptr(dashboard.VariableSortAlphabeticalAsc)
		return v
	}
	all := map[string]dashboard.VariableModel{
		varService: sorted(Prometheus.variable(varService, "Service", values(metricEvents, label(schema.Service)))),
		varRegion: several(sorted(Prometheus.variable(varRegion, "Region", values(of(service), label(schema.Region)))),
			".*"),
		varTenant: several(sorted(Prometheus.variable(varTenant, "Tenant",
			values(of(service, matches(label(schema.Region), varRegion)), label(schema.Tenant)))), ".*"),
		varInstance: several(sorted(Prometheus.variable(varInstance, "Instance",
			values(metricActive+"{"+service+", "+matches(label(schema.Region), varRegion)+"}", labelInstance))), ".*"),
		varSLO: sorted(Prometheus.variable(varSLO, "SLO",
			values(alerts.RecordObjective+"{"+alerts.RecordService+`=~"$`+varService+`"}`, alerts.RecordSLO))),
		seenConnections: seen(seenConnections, "Connections counted at",
			of(service, named(event.Open, event.HandshakeRejected))),
		seenAuth: seen(seenAuth, "Authentications counted at", of(service, named(event.Auth))),
		seenMessages: seen(seenMessages, "Messages counted at",
			of(service, named(event.Message, event.MessageRejected, event.Error, event.RateLimited))),
		seenGauges: seen(seenGauges, "Gauges counted at", metricActive+"{"+service+"}"),
	}
	var chosen []dashboard.VariableModel
	for _, n := range names {
		chosen = append(chosen, all[n])
	}
	return chosen
}

// prometheusAnnotations are the deploys: a metric has no version, so the mark says that there was one.
func prometheusAnnotations() []dashboard.AnnotationQuery {
	source := Prometheus.ref()
	expr := by(label(schema.Service)) + "(" + over(metricEvents+"{"+equals(schema.Service,
		"$"+varService)+", "+named(event.Deploy)+"}", "2m") + ") > 0"
	return []dashboard.AnnotationQuery{{
		Name: "Deploys", Datasource: &source, Enable: true, Hide: ptr(false), IconColor: neutral, Expr: ptr(expr),
		Step:        ptr("1m"),
		TitleFormat: ptr("Deploy"), TextFormat: ptr("{{" + label(schema.Service) + "}}"),
	}}
}

// prometheusAge is how far the sources lag behind.
func prometheusAge(w, h uint32, next *dashboard.DashboardLink) panel {
	p := ageOfData(next)
	p.w, p.h = w, h
	p.queries = instant("time() - min(" + metricThrough + ")")
	return p
}

func ratioOf(hit, of string) string { return "sum(" + hit + ") / (sum(" + of + ") > 0)" }

// failures is a ratio too: a series that does not exist yet counts as none, as long as the others exist.
func failures(hit, of string) string {
	return "(sum(" + hit + ") or 0 * sum(" + of + ")) / (sum(" + of + ") > 0)"
}

// prometheusBoards are the subset that metrics can answer. Single events, clients, traces and logs are not in metrics.
func prometheusBoards(known documents) []board {
	return []board{
		prometheusExecutive(known), prometheusOnCall(known), prometheusDebug(), prometheusOverview(), prometheusDetail(),
	}
}

func prometheusExecutive(known documents) board {
	objective, authTitle := known.objective("auth-success", "Authentication success")
	opened := counted(metricEvents, seenConnections, named(event.Open))
	rejected := counted(metricEvents, seenConnections, named(event.HandshakeRejected))
	handshakes := counted(metricEvents, seenConnections, named(event.Open, event.HandshakeRejected))
	auths := counted(metricEvents, seenAuth, named(event.Auth))
	capacity := known.capacityQuery()
	active := "sum(" + reported(metricActive, false) + ")"
	top := func(title, asks, do, selector string) panel {
		return panel{
			kind: kindBars, title: title, w: 12, h: 9, unit: unitNone, asks: asks, do: do,
			series:  "${__field.labels." + label(schema.Tenant) + "}",
			queries: instant("topk(10, " + by(label(schema.Tenant)) + "(" + over(selector, "$__range") + "))"),
		}
	}
	return board{
		name: executive, title: "Sockeye / Executive", from: "30d", refresh: "15m",
		about: "For owners of a service: do we keep what we promise, how much room is left, and who uses it?",
		variables: prometheusVariables(varService, varRegion, varTenant, seenConnections, seenAuth, seenMessages,
			seenGauges),
		annotations: prometheusAnnotations(),
		rows: []row{
			{"Now", []panel{
				{
					kind: kindStat, title: "Active connections", w: 5, h: 4, unit: unitNone, decimals: ptr(0.0), empty: "no gauges",
					opens: Prometheus.opens(onCall, "On-call"), asks: "How many connections are open now, in the chosen regions?",
					do: "Compare with the capacity beside. A click opens them by region and instance.", queries: instant(active),
				},
				{
					kind: kindStat, title: "Capacity in use", w: 5, h: 4, unit: unitShare, decimals: ptr(1.0),
					empty: "no capacity known",
					steps: []dashboard.Threshold{base(good), from(0.7, warning), from(0.85, bad)},
					opens: Prometheus.opens(onCall, "On-call"),
					asks: "How full are we? Connections against the capacity that the document of the service names, or else " +
						"that its instances report.",
					do:      "Above 70 %, plan more instances: one that fails moves its connections to the others.",
					queries: instant(active + " / (" + capacity + " > 0)"),
				},
				{
					kind: kindStat, title: "In use in a week", w: 5, h: 4, unit: unitShare, decimals: ptr(1.0),
					empty:   "no capacity known",
					steps:   []dashboard.Threshold{base(good), from(0.7, warning), from(0.85, bad)},
					opens:   Prometheus.opens(onCall, "On-call"),
					asks:    "How full are we in a week, if the daily peaks of the last seven days go on in a straight line?",
					do:      "Above 85 %: add capacity now, or lower the limits of the tenants below.",
					queries: instant("predict_linear(max_over_time(" + active + "[1d:5m])[7d:1h], 604800) / (" + capacity + " > 0)"),
				},
				{
					kind: kindStat, title: authTitle, w: 6, h: 4, unit: unitShare, decimals: ptr(3.0), steps: above(objective),
					ratio: true,
					opens: Prometheus.opens(onCall, "On-call"),
					asks:  "What share of authentications succeeded over the chosen time? Bad tokens count as failures.",
					do:    "Below the objective: see below when, and in Debug whether authentication was slow.",
					queries: instant(ratioOf(over(counted(metricEvents, seenAuth, named(event.Auth), outcome(event.OutcomeSuccess)),
						"$__range"), over(auths, "$__range"))),
				},
				prometheusAge(3, 4, Prometheus.opens(onCall, "On-call")),
			}},
			{"Promises", []panel{{
				kind: kindBars, title: "Budget left by SLO", w: gridWidth, h: 8, unit: unitShare, decimals: ptr(1.0),
				steps: budgetSteps, ratio: true, empty: "no rules loaded",
				series: "${__field.labels.slo}", opens: Prometheus.opensSLO("${service}", "${__field.labels.slo}"),
				asks: "How much failure does each promise still allow in its window?",
				do: "Below a quarter: put reliability before features. At nothing: stop risky releases until the window " +
					"has moved on.",
				queries: instant("max by (service, slo) (" + budgets() + ")"),
			}}},
			{"How it went", []panel{
				{
					kind: kindSeries, title: "Connections and capacity", w: 12, h: 8, unit: unitNone, interval: "1m",
					empty:  "no gauges",
					colors: map[string]string{"active": neutral, "capacity": bad},
					asks:   "How close did the daily peaks come to the capacity?",
					do: "Peaks that grow from day to day show when to add instances. A step in capacity is an instance that " +
						"came or went.",
					queries: lines(active, "active", capacity, "capacity"),
				},
				{
					kind: kindSeries, title: "Failures of handshakes and authentications", w: 12, h: 8, unit: unitShare,
					interval: "1h", dashed: true,
					decimals: ptr(3.0), steps: []dashboard.Threshold{base(good), from(1-objective, bad)},
					colors: map[string]string{"handshakes": neutral, "authentications": "purple"},
					asks: "When was it worse than usual? The share that failed of each hour; the dashed line is what the " +
						"objective of authentications allows.",
					do: "Compare peaks with deploys and incidents. A slow rise is a client that gets old, or a tenant with a " +
						"bad token.",
					queries: lines(failures(over(rejected, "1h"), over(handshakes, "1h")), "handshakes",
						failures(over(counted(metricEvents, seenAuth, named(event.Auth), outcome(event.OutcomeFailure)), "1h"),
							over(auths, "1h")), "authentications"),
				},
			}},
			{"Who uses it", []panel{
				top("Top tenants by connections", "Who opens the most connections?",
					"Many in a short time are a client that reconnects in a loop: write to that tenant.", opened),
				top("Top tenants by messages", "Who sends and receives the most messages?",
					"A tenant that is far ahead of what it pays for wants another tier, or a limit.",
					counted(metricEvents, seenMessages, named(event.Message))),
			}},
		},
	}
}

func prometheusOnCall(known documents) board {
	objective, title5m := known.objective("connection-success", "Handshakes that succeed, 5m")
	_, title1h := known.objective("connection-success", "Handshakes that succeed, 1h")
	opened := counted(metricEvents, seenConnections, named(event.Open))
	handshakes := counted(metricEvents, seenConnections, named(event.Open, event.HandshakeRejected))
	success := func(title, window string) panel {
		return panel{
			kind: kindStat, title: title, w: 8, h: 4, unit: unitShare, decimals: ptr(3.0), steps: above(objective), ratio: true,
			opens: Prometheus.opens(debug, "Debug"),
			asks:  "Do clients get in? The share of handshakes that ended in a connection, whoever's fault the others are.",
			do: "Below the objective: look below for whose fault the rejections are. Server, idp and network are yours; " +
				"client and policy mean a release of a client, a bad token or an attack.",
			queries: instant(ratioOf(over(opened, window), over(handshakes, window))),
		}
	}
	causes := func(title, asks, do, name, selector string, w uint32) panel {
		return panel{
			kind: kindSeries, title: title, w: w, h: 8, unit: unitRate, stack: true, interval: "1m", empty: "none",
			asks: asks, do: do,
			queries: lines(by(name)+"("+rate(selector)+")", legend(name)),
		}
	}
	return board{
		name: onCall, title: "Sockeye / On-call", from: "6h", refresh: "30s",
		about: "For whoever is paged: is something wrong, since when, where and whose fault is it? Metrics know " +
			"instances for gauges only.",
		variables: prometheusVariables(varService, varRegion, varTenant, varInstance,
			seenConnections, seenAuth, seenMessages, seenGauges),
		annotations: prometheusAnnotations(),
		rows: []row{
			{"What is promised", []panel{
				{
					kind: kindBars, title: "Burn rate over an hour, by SLO", w: 10, h: 7, unit: unitNone, decimals: ptr(2.0),
					steps: burnThresholds(), empty: "no rules loaded",
					series: "${__field.labels.slo}", opens: Prometheus.opensSLO("${service}", "${__field.labels.slo}"),
					asks:    "Which promises are broken faster than allowed? At 1 the budget lasts exactly as long as its window.",
					do:      "Start with the highest: a click opens its detail, and its alert names the runbook.",
					queries: instant(burnOf("1h", "")),
				},
				{
					kind: kindBars, title: "Budget left by SLO", w: 10, h: 7, unit: unitShare, decimals: ptr(1.0),
					steps: budgetSteps, ratio: true, empty: "no rules loaded",
					series: "${__field.labels.slo}", opens: Prometheus.opensSLO("${service}", "${__field.labels.slo}"),
					asks:    "How much failure does each promise still allow in its window?",
					do:      "At nothing, the promise is broken: repair before anything else is released.",
					queries: instant("max by (service, slo) (" + budgets() + ")"),
				},
				prometheusAge(4, 7, Prometheus.opens(debug, "Debug")),
			}},
			{"Connections", []panel{
				{
					kind: kindStat, title: "Active connections", w: 8, h: 4, unit: unitNone, decimals: ptr(0.0), empty: "no gauges",
					opens: Prometheus.opens(debug, "Debug"), asks: "How many connections are open now, as instances report it?",
					do: "A sudden fall is a lost instance, proxy or network: see below which region and instance. A steep " +
						"rise is a storm of reconnects.",
					queries: instant("sum(" + reported(metricActive, true) + ")"),
				},
				success(title5m, "5m"), success(title1h, "1h"),
				{
					kind: kindSeries, title: "Active connections by region and instance", w: 12, h: 8, unit: unitNone, stack: true,
					interval: "1m", empty: "no gauges",
					asks: "Which instances hold the connections, and did one lose them?",
					do: "If one instance falls and others rise, it restarted or was drained. If all of a region fall " +
						"together, look at its proxy and network.",
					queries: lines(by(label(schema.Region), labelInstance)+"("+reported(metricActive, true)+")",
						legend(label(schema.Region), labelInstance)),
				},
				{
					kind: kindSeries, title: "Handshakes by result", w: 12, h: 8, unit: unitRate, stack: true, interval: "1m",
					colors: resultColors(resultOpened, resultRejected),
					asks:   "How many handshakes are there, and whose fault are those that fail?",
					do: "Server: look at deploys and at the service. Idp: at the identity provider. Policy: at limits below. " +
						"Client: at tokens and client releases.",
					queries: lines("sum("+rate(opened)+")", resultOpened,
						by(label(schema.Fault))+"("+rate(counted(metricEvents, seenConnections, named(event.HandshakeRejected)))+")",
						resultRejected+legend(label(schema.Fault))),
				},
			}},
			{"Authentications and messages", []panel{
				{
					kind: kindSeries, title: "Authentications by result", w: 12, h: 8, unit: unitRate, stack: true, interval: "1m",
					colors: resultColors(resultSuccess, resultFailure), empty: "no authentications",
					asks: "How many credentials are accepted, and whose fault are those that are not?",
					do: "Client: a release of a client, an expired key, or somebody who tries credentials. Idp: the identity " +
						"provider is slow or down; Debug has the latency.",
					queries: lines("sum("+rate(counted(metricEvents, seenAuth, named(event.Auth, event.AuthRefreshed),
						outcome(event.OutcomeSuccess)))+")", resultSuccess,
						by(label(schema.Fault))+"("+rate(counted(metricEvents, seenAuth, named(event.Auth, event.AuthRefreshed),
							outcome(event.OutcomeFailure)))+")", resultFailure+legend(label(schema.Fault))),
				},
				{
					kind: kindSeries, title: "Messages by direction", w: 12, h: 8, unit: unitRate, interval: "1m",
					empty: "no messages seen",
					asks:  "How many messages do clients send (receive) and get (transmit)?",
					do: "Receive leaps without more connections: one client or tenant floods, see Executive. Transmit alone: a " +
						"broadcast of the service.",
					queries: lines(by(label(schema.Direction))+"("+rate(counted(metricEvents, seenMessages,
						named(event.Message)))+")", legend(label(schema.Direction))),
				},
			}},
			{"What breaks", []panel{
				causes("Unexpected disconnects", "How many connections end by a reset, a loss or without a closing handshake?",
					"All at one moment: a proxy or instance went away, so compare with deploys. Spread out: clients' networks, "+
						"or idle timeouts of a proxy.",
					label(schema.ErrorType), counted(metricEvents, seenConnections, named(event.Close),
						outcome(event.OutcomeFailure)), 8),
				causes("Protocol errors and refused messages", "Who breaks the protocol or sends messages that do not parse?",
					"schema_invalid after a deploy: a client and the service disagree on a version, so roll one back. Protocol "+
						"errors from few clients: an attack or a broken library.",
					label(schema.ErrorType), counted(metricEvents, seenMessages, named(event.Error, event.MessageRejected)), 8),
				causes("Limits that refused", "Which limits refuse handshakes or messages, and how often?",
					"One tenant: the limit does its work. Many of them: the limit is too tight, or a flood is spread out.",
					label(schema.Policy), counted(metricEvents, seenMessages, named(event.RateLimited)), 8),
			}},
		},
	}
}

func prometheusDebug() board {
	quantiles := func(title, asks, do, seen string, names ...event.Name) panel {
		expr := func(q string) string {
			return "histogram_quantile(" + q + ", sum by (le) (" + rate(counted(metricDuration, seen, named(names...))) + "))"
		}
		return panel{
			kind: kindSeries, title: title, w: 8, h: 8, unit: unitSeconds, interval: "1m", empty: "no durations",
			colors: percentileColors, asks: asks, do: do,
			queries: lines(expr("0.5"), "p50", expr("0.95"), "p95", expr("0.99"), "p99"),
		}
	}
	return board{
		name: debug, title: "Sockeye / Debug", from: "1h",
		about: "For whoever looks for a cause: durations, and what each process had left. Single failures, clients and " +
			"traces are in the ClickHouse board.",
		variables: prometheusVariables(varService, varRegion, varTenant, varInstance,
			seenConnections, seenAuth, seenMessages, seenGauges),
		annotations: prometheusAnnotations(),
		rows: []row{
			{"Durations", []panel{
				quantiles("Duration of a handshake", "How long do handshakes take?",
					"A plateau at a round number of seconds is a timeout of a proxy. Compare regions above.",
					seenConnections, event.Open, event.HandshakeRejected),
				quantiles("Duration of an authentication", "How long does an authentication take, whatever its result?",
					"With steady traffic, a rise is the identity provider's or a cache of keys that is cold.", seenAuth, event.Auth,
					event.AuthRefreshed),
				quantiles("Round trip of a ping", "How long do pings of live connections take to be answered?",
					"A rise while handshakes stay: the event loop of the service or the network is busy. Compare with memory "+
						"below.", seenMessages, event.Ping),
			}},
			{"Traffic", []panel{
				{
					kind: kindSeries, title: "Message bytes by direction", w: 12, h: 8, unit: "binBps", interval: "1m",
					empty: "no messages seen",
					asks:  "How much do clients send and receive?", do: "One direction that leaps without more connections: a " +
						"tenant's broadcast, or a flood. See who in Executive.",
					queries: lines(by(label(schema.Direction))+"("+rate(counted(metricBytes, seenMessages,
						named(event.Message)))+")", legend(label(schema.Direction))),
				},
				{
					kind: kindSeries, title: "Events that came too late", w: 12, h: 8, unit: unitRate, interval: "1m", empty: "none",
					asks:    "Does Prometheus miss events because they were read too late?",
					do:      "Then a source was behind: its numbers here are too small. The store has them where they belong.",
					queries: lines("sum("+rate(metricLate+"{"+equals(schema.Service, "$"+varService)+"}")+")", "late"),
				},
			}},
			{"Processes", []panel{
				{
					kind: kindSeries, title: "Memory of each process", w: 12, h: 8, unit: unitBytes, interval: "1m",
					limits: " limit", empty: "no gauges",
					asks: "Does a process leak, and how near is it to being killed? Its resident memory, and the least limit of its " +
						"cgroups and host.",
					do: "A line that only grows with steady connections is a leak or a queue without a bound: take a heap " +
						"profile before you restart it. Near the limit, drain it first.",
					queries: lines(reported(metricMemory, true), legend(labelInstance)+" used", reported(metricMemLimit, true),
						legend(labelInstance)+" limit"),
				},
				{
					kind: kindSeries, title: "File descriptors of each process", w: 12, h: 8, unit: unitNone, interval: "1m",
					limits: " limit", empty: "no gauges",
					asks: "How near is a process to its limit of open files? Each connection takes at least one.",
					do: "Near the limit new connections are refused: raise LimitNOFILE or ulimit -n, and look for " +
						"connections that are not closed.",
					queries: lines(reported(metricFiles, true), legend(labelInstance)+" used", reported(metricFileLimit, true),
						legend(labelInstance)+" limit"),
				},
			}},
		},
	}
}

// burnOf is the burn rate over a window: the error ratio by what the objective allows.
func burnOf(window, of string) string {
	more := []string(nil)
	if of != "" {
		more = append(more, of)
	}
	return recorded(alerts.RecordRatio+window,
		more...) + " / on (service, slo) (1 - " + recorded(alerts.RecordObjective, more...) + ")"
}

func prometheusOverview() board {
	variables := prometheusVariables(varService)
	variables[0] = several(variables[0], ".*")
	bars := func(title, asks, do, expr, unit string, steps []dashboard.Threshold) panel {
		return panel{
			kind: kindBars, title: title, w: 12, h: 9, unit: unit, decimals: ptr(2.0), steps: steps, empty: "no rules loaded",
			series: "${__field.labels.service} / ${__field.labels.slo}", asks: asks, do: do, queries: instant(expr),
			opens: Prometheus.opensSLO("${__field.labels.service}", "${__field.labels.slo}"),
		}
	}
	return board{
		name: sloOverview, title: "Sockeye / SLOs", from: "7d", refresh: "1m",
		about: "For owners of promises: how all SLOs stand, and how they did over time, from the rules that sockeye " +
			"generate alerts writes.",
		variables: variables,
		rows: []row{
			{"Now", []panel{
				bars("Burn rate over an hour", "Which promises are broken faster than allowed? At 1 the budget lasts exactly "+
					"as long as its window.",
					"Start with the highest: a click opens its detail, and its alert names the runbook.", burnOf("1h", ""),
					unitNone, burnThresholds()),
				bars("Budget left", "How much failure does each promise still allow in its window?",
					"Below a quarter: put reliability before features.", "max by (service, slo) ("+budgets()+")", unitShare,
					budgetSteps),
			}},
			{"Over time", []panel{{
				kind: kindSeries, title: "Budget left over time", w: gridWidth, h: 9, unit: unitShare, decimals: ptr(1.0),
				interval: "5m", dashed: true, empty: "no rules loaded",
				steps: []dashboard.Threshold{base(bad), from(0, serious), from(0.25, warning)},
				asks:  "Which budgets shrink, and do they shrink in steps or steadily?",
				do: "Steps are incidents: prevent the next. A steady slope is a fault that nobody is paged for: find it " +
					"in Debug.",
				queries: lines("max by (service, slo) ("+budgets()+")", "{{service}} / {{slo}}"),
			}}},
			{"Can I believe it", []panel{prometheusAge(4, 4, Prometheus.opens(onCall, "On-call"))}},
		},
	}
}

func prometheusDetail() board {
	of := alerts.RecordSLO + `="$` + varSLO + `"`
	single := func(title, asks, do, expr string, steps []dashboard.Threshold) panel {
		return panel{
			kind: kindStat, title: title, w: 6, h: 4, unit: unitShare, decimals: ptr(3.0), steps: steps,
			empty: "no rules loaded", opens: Prometheus.opens(onCall, "On-call"),
			asks: asks, do: do, queries: instant(expr),
		}
	}
	var burns []string
	for _, w := range slo.BurnWindows() {
		burns = append(burns, burnOf(w.Name, of), w.Name)
	}
	left := single("Budget left", "How much failure is still allowed in the budget's window? Below zero, the promise "+
		"is broken.",
		"Negative: stop what can wait and repair. A click opens what is wrong now.", "max("+budgets(of)+")", budgetSteps)
	variables := prometheusVariables(varService, varSLO)
	return board{
		name: sloDetail, title: "Sockeye / SLO detail", from: "7d", refresh: "1m",
		about:     "For whoever follows an alert: one SLO with its budget and burn rates.",
		variables: variables, annotations: prometheusAnnotations(),
		rows: []row{
			{"$slo of $service", []panel{
				left,
				single("Objective", "What is promised?", "It stands in the SLO's document. Change it there, with whoever was "+
					"promised it.",
					"max("+recorded(alerts.RecordObjective, of)+")", nil),
				single("Failures, 1h", "What share of the judged events of the last hour was bad?",
					"Open On-call and see whose fault they are.",
					"max("+recorded(alerts.RecordRatio+"1h", of)+")", nil),
				single("Coverage, 1h", "What share of the events could be judged at all?",
					"Below 95 %, a source does not say how events ended. Fix its log format before you trust the rest.",
					"max("+recorded(alerts.RecordCoverage+"1h", of)+")", above(0.95)),
			}},
			{"Budget", []panel{
				{
					kind: kindSeries, title: "Budget left over time", w: 8, h: 10, unit: unitShare, decimals: ptr(2.0),
					interval: "1m", dashed: true, empty: "no rules loaded",
					steps:   []dashboard.Threshold{base(bad), from(0, serious), from(0.25, warning)},
					asks:    "Is the budget spent in steps or steadily?",
					do:      "Steps are incidents. A steady slope is a fault that nobody is paged for.",
					queries: lines("max("+budgets(of)+")", "budget left"),
				},
				{
					kind: kindSeries, title: "Burn rates", w: 16, h: 10, unit: unitNone, decimals: ptr(2.0), dashed: true,
					interval: "1m", steps: burnThresholds(),
					asks: "How many times faster than allowed is the budget spent, over each window? At 1 it lasts exactly as " +
						"long as its window. Dashed: where alerts begin.",
					do: "An alert needs its long and its short window above the line. If the short one is below again, the " +
						"cause has ended and the alert will.",
					queries: lines(burns...),
				},
			}},
			{"Can I believe it", []panel{prometheusAge(4, 4, Prometheus.opens(onCall, "On-call"))}},
		},
	}
}

// capacityQuery is how many connections the service may hold: as its document says, else the sum of what instances report.
func (k documents) capacityQuery() string {
	query := "sum(" + reported(metricCapacity, false) + ")"
	var each []string
	for _, s := range sortedKeys(k.capacities) {
		each = append(each, fmt.Sprintf(`label_replace(vector(%d), "%s", %q, "", "")`, k.capacities[s],
			label(schema.Service), strings.ReplaceAll(s, "$", "$$")))
	}
	if len(each) > 0 {
		query = "(sum((" + strings.Join(each, " or ") + ") and on (" + label(schema.Service) + ") " +
			metricActive + "{" + equals(schema.Service, "$"+varService) + "}) or " + query + ")"
	}
	return query
}
