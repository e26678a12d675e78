package alerts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// The alerts of symptoms: what happens to connections, before or beside the budget that it burns.
const (
	Storm       = "ConnectionStorm"
	AuthSpike   = "AuthFailureSpike"
	IDPOutage   = "IdPOutage"
	Flood       = "MessageFlood"
	ParseErrors = "ParseErrorRise"
	Termination = "ProxyTermination"
	DDoS        = "DDoSInProgress"
	Plaintext   = "PlaintextWebSocketSeen"
	Memory      = "MemoryGrowth"
)

// symptom is a rate that rises over its floor, over what is usual, and over a share of something else.
type symptom struct {
	alert string
	// series names what is recorded of it.
	series string
	// of is what is counted, among what it is a share of.
	of, among slo.Selection
	// what says what is counted, whole what among counts.
	what, whole string
	summary     string
	// means says what to think of it.
	means string
	panel panel
}

func where(dimension string, values ...string) []slo.Filter {
	return []slo.Filter{{Dimension: dimension, Values: values}}
}

func term(name event.Name, filters ...slo.Filter) slo.Term {
	return slo.Term{Event: string(name), Where: filters}
}

func faults(all ...event.Fault) (names []string) {
	for _, f := range all {
		names = append(names, string(f))
	}
	return names
}

// symptoms are those that events show. A handshake that fails for its credential is told twice by some sources, as an
// authentication and as a rejection, and so is one that succeeds: their share is the same.
var symptoms = func() []symptom {
	outcome := func(o event.Outcome) slo.Filter { return where(schema.Outcome, string(o))[0] }
	theirs := slo.Filter{Dimension: schema.Fault, Values: faults(event.FaultClient, event.FaultPolicy, event.FaultUnknown)}
	idp := slo.Filter{Dimension: schema.Fault, Values: faults(event.FaultIDP)}
	others := slices.DeleteFunc(event.Faults(), func(f event.Fault) bool { return f == event.FaultIDP })
	// What is written when a connection closes says nothing of when it came.
	came := func(name event.Name) slo.Term {
		return slo.Term{Event: string(name), Except: where(schema.Visibility, event.VisibilityAtClose)}
	}
	badToken := term(event.HandshakeRejected, slo.Filter{
		Dimension: schema.ErrorType, Values: []string{event.Unauthenticated, event.TokenExpired, event.TokenInvalid}})
	answered := func(name event.Name) slo.Term {
		return slo.Term{Event: string(name), Except: where(schema.Fault, faults(others...)...)}
	}
	return []symptom{
		{
			alert: Storm, series: "attempts", what: "handshakes",
			of:      slo.Selection{came(event.Open), came(event.HandshakeRejected)},
			summary: "Far more clients connect than usual",
			means:   "Clients that all lost their connection come back at once, or somebody attacks.",
			panel:   handshakesPanel,
		},
		{
			alert: AuthSpike, series: "auth_failures", what: "failed authentications", whole: "authentications",
			of: slo.Selection{term(event.Auth, outcome(event.OutcomeFailure), theirs),
				term(event.AuthRefreshed, outcome(event.OutcomeFailure), theirs), badToken},
			among:   slo.Selection{term(event.Auth), term(event.AuthRefreshed), term(event.Open), badToken},
			summary: "Far more credentials are refused than usual",
			means:   "A client release or a rotated key makes good clients fail, or somebody tries credentials.",
			panel:   authenticationsPanel,
		},
		{
			alert: IDPOutage, series: "idp_failures", what: "authentications that the identity provider failed",
			whole: "authentications that it was asked for",
			of: slo.Selection{term(event.Auth, outcome(event.OutcomeFailure), idp),
				term(event.AuthRefreshed, outcome(event.OutcomeFailure), idp)},
			among:   slo.Selection{answered(event.Auth), answered(event.AuthRefreshed)},
			summary: "The identity provider is slow or down",
			means:   "Clients with good credentials cannot log in.",
			panel:   authenticationsPanel,
		},
		{
			alert: Flood, series: "messages", what: "messages from clients",
			of:      slo.Selection{term(event.Message, where(schema.Direction, event.DirectionReceive)...)},
			summary: "Clients send far more messages than usual",
			means:   "One client or tenant floods the service, or a release of a client loops.",
			panel:   messagesPanel,
		},
		{
			alert: ParseErrors, series: "parse_errors", whole: "messages",
			what: "messages that break the protocol or their schema",
			of: slo.Selection{term(event.Error), term(event.MessageRejected,
				where(schema.ErrorType, event.SchemaInvalid, event.UnknownType, event.UnsupportedVersion)...)},
			among:   slo.Selection{term(event.Message), term(event.Error)},
			summary: "Far more messages cannot be read than usual",
			means:   "A client and the service do not agree on the schema any more, or somebody probes.",
			panel:   errorsPanel,
		},
		{
			alert: Termination, series: "unexpected_closes", what: "connections that broke", whole: "connections that ended",
			of:      slo.Selection{term(event.Close, outcome(event.OutcomeFailure))},
			among:   slo.Selection{term(event.Close)},
			summary: "Far more connections break than usual",
			means:   "A proxy, a load balancer or the network ends connections; their clients will come back at once.",
			panel:   disconnectsPanel,
		},
		{
			alert: DDoS, series: "refusals", what: "handshakes and messages that were refused or given up",
			whole: "handshakes and refusals",
			of: slo.Selection{term(event.HandshakeRejected, where(schema.ErrorType, event.TypeRateLimited, event.Forbidden,
				event.BadHandshake, event.ClientAborted, event.TLSFailed)...), term(event.RateLimited)},
			among:   slo.Selection{term(event.Open), term(event.HandshakeRejected), term(event.RateLimited)},
			summary: "Most of what arrives is refused, and it is far more than usual",
			means:   "Limits hold off an attack, or are too tight for a crowd.",
			panel:   handshakesPanel,
		},
	}
}()

// The series that symptoms are computed from, and those of one, behind which stands rate5m or what is usual.
const (
	recordEvents   = "websocket:events:rate5m"
	recordSymptom  = "websocket:%s:rate5m"
	recordAmong    = "websocket:%s_among:rate5m"
	recordBaseline = "websocket:%s:baseline"
)

// The labels of symptoms. SLO alerts have service too, so that all of one service can be grouped.
const symptomLabels = "service, region, vantage"

// short names the labels as alerts have them: from dimension to label.
var short = [][2]string{{schema.Service, "service"}, {schema.Region, "region"}, {schema.Vantage, "vantage"}}

// renamed gives an expression the short labels, and keeps the others.
func renamed(expr string) string {
	for _, l := range short {
		expr = fmt.Sprintf("label_replace(%s, %q, \"$1\", %q, \"(.*)\")", expr, l[1], slo.PromLabel(l[0]))
	}
	return expr
}

// baselineDays is how many days are looked back for the same hour.
const baselineDays = 7

func promMetric(name, suffix string) string { return strings.ReplaceAll(name, ".", "_") + suffix }

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// series are the labels of a symptom.
func series(more ...string) []string {
	return append([]string{"service", "region", "vantage"}, more...)
}

// symptoms are the alerts of this file.
func (o *Options) symptoms() []alert {
	var all []alert
	for i := range symptoms {
		all = append(all, o.symptom(&symptoms[i]))
	}
	return append(all, o.memory(), o.plaintext())
}

func (o *Options) symptomGroup() Group {
	by := []string{}
	for _, d := range []string{schema.Service, schema.Region, schema.Vantage, schema.Visibility, schema.EventName,
		schema.Direction, schema.Outcome, schema.ErrorType, schema.Fault} {
		by = append(by, slo.PromLabel(d))
	}
	rate := fmt.Sprintf("sum by (%s) (rate(%s[5m]))", strings.Join(by, ", "), promMetric(event.MetricEvents, "_total"))
	rules := []Rule{{Record: recordEvents, Expr: renamed(rate)}}
	for _, a := range o.symptoms() {
		rules = append(rules, a.records...)
		// Where something else pages, what is recorded stays.
		if !o.RecordOnly {
			rules = append(rules, a.rule(o))
		}
	}
	return Group{Name: "sockeye:symptoms", Interval: slo.PromDuration(o.Interval), Rules: rules}
}

// selected sums a selection; where nothing of it was ever seen, it is 0 wherever anything was.
func selected(of slo.Selection, zero bool) string {
	each := make([]string, len(of))
	for i, t := range of {
		each[i] = recordEvents + "{" + t.PromMatchers() + "}"
	}
	expr := fmt.Sprintf("sum by (%s) (%s)", symptomLabels, strings.Join(each, "\n  or "))
	if zero {
		expr += fmt.Sprintf("\nor 0 * sum by (%s) (%s)", symptomLabels, recordEvents)
	}
	return expr
}

func (o *Options) symptom(s *symptom) alert {
	t := o.Thresholds[s.alert]
	rate, among := fmt.Sprintf(recordSymptom, s.series), fmt.Sprintf(recordAmong, s.series)
	baseline := fmt.Sprintf(recordBaseline, s.series)
	a := alert{
		name: s.alert, limit: t, summary: s.summary + " at {{ $labels.service }}", labels: series(), panel: s.panel,
		records: []Rule{{Record: rate, Expr: selected(s.of, true)}}, sql: s.sql(t),
	}
	conditions := []string{rate + " > " + decimal(t.PerSecond)}
	fires := fmt.Sprintf("It fires above %s a second", decimal(t.PerSecond))
	if t.Times > 0 {
		a.records = append(a.records, Rule{Record: baseline, Expr: o.baseline(rate)})
		conditions = append(conditions, fmt.Sprintf("and %s > %s * %s", rate, decimal(t.Times), baseline))
		a.usual = fmt.Sprintf(`Usual at this hour: {{ with printf "%s{service=%%q,region=%%q,vantage=%%q}" $labels.service `+
			`$labels.region $labels.vantage | query }}{{ . | first | value | humanize }} a second{{ else }}unknown{{ end }}.`,
			baseline)
		fires += fmt.Sprintf(" and %s times what is usual at this hour", decimal(t.Times))
	}
	if t.Share > 0 {
		a.records = append(a.records, Rule{Record: among, Expr: selected(s.among, false)})
		// Where nobody counts the whole, its share is not known to be small.
		conditions = append(conditions, fmt.Sprintf("unless %s / (%s > 0) <= %s", rate, among, decimal(t.Share)))
		fires += fmt.Sprintf(" and %s %% of the %s", decimal(100*t.Share), s.whole)
	}
	a.expr = strings.Join(conditions, "\n")
	a.description = fmt.Sprintf("{{ $value | humanize }} a second: %s over 5 minutes, from vantage {{ $labels.vantage }}"+
		`{{ with index $labels "region" }} in {{ . }}{{ end }}. %s %s.`, s.what, s.means, fires)
	return a
}

// baseline is the median of the same hour of the last days; without a day of history, that of what there is, from an hour
// on. A median is not moved by one day, or half an hour, that was bad itself.
func (o *Options) baseline(rate string) string {
	days := make([]string, baselineDays)
	for d := range days {
		offset := time.Duration(d+1)*24*time.Hour - 30*time.Minute
		days[d] = fmt.Sprintf("label_replace(avg_over_time(%s[1h] offset %s), \"day\", \"%d\", \"\", \"\")", rate,
			slo.PromDuration(offset), d+1)
	}
	return fmt.Sprintf("quantile by (%s) (0.5,\n  %s\n)\n"+
		"or quantile_over_time(0.5, %s[1d]) and count_over_time(%[3]s[1d]) >= %d",
		symptomLabels, strings.Join(days, "\n  or "), rate, time.Hour/o.Interval)
}

// instance is who reports gauges.
var instance = strings.ReplaceAll(event.ServiceInstanceID, ".", "_")

// What memory is compared with, over how long each is the mean, and how much more connections explain more of it.
const (
	memoryPast   = 6 * time.Hour
	memoryMean   = 30 * time.Minute
	memoryGrowth = 1.2
)

// memory fires where memory grows and connections do not.
func (o *Options) memory() alert {
	t := o.Thresholds[Memory]
	of := func(metric, offset string) string {
		return fmt.Sprintf("avg_over_time(%s{%s!=\"\"}[%s]%s)", metric, slo.PromLabel(schema.Vantage),
			slo.PromDuration(memoryMean), offset)
	}
	memory, active := promMetric(event.ProcessMemory.String(), "_bytes"), promMetric(event.ConnectionsActive.String(), "")
	then := " offset " + slo.PromDuration(memoryPast)
	expr := fmt.Sprintf("%s > %s * %s\nand %[1]s - %[3]s > %s\nunless %s > %s * %s", of(memory, ""), decimal(t.Times),
		of(memory, then), decimal(t.Bytes), of(active, ""), decimal(memoryGrowth), of(active, then))
	return alert{
		name: Memory, limit: t, labels: series("instance"), panel: memoryPanel,
		summary: "{{ $labels.instance }} of {{ $labels.service }} needs more and more memory",
		description: fmt.Sprintf("{{ $value | humanize1024 }}B, over %s times as much as %s ago, and its connections did "+
			"not grow by a fifth. It fires above that and %sB more.", decimal(t.Times), slo.PromDuration(memoryPast),
			"{{ "+decimal(t.Bytes)+" | humanize1024 }}"),
		expr: fmt.Sprintf("max by (%s, instance) (%s)", symptomLabels,
			fmt.Sprintf("label_replace(%s, \"instance\", \"$1\", %q, \"(.+)\")", renamed("("+expr+")"), instance)),
		sql: memorySQL(t),
	}
}

// plaintext fires where clients reach the service without TLS: at the edge. Behind it, a proxy may have ended TLS.
func (o *Options) plaintext() alert {
	t := o.Thresholds[Plaintext]
	seen := promMetric(event.MetricPlaintext, "_seconds")
	return alert{
		name: Plaintext, limit: t, labels: series(), panel: handshakesPanel,
		summary: "Clients connect to {{ $labels.service }} without TLS",
		description: "The last was {{ $value | humanizeDuration }} ago, from vantage {{ $labels.vantage }}. Anybody on the way reads " +
			"credentials and messages. It fires for " + slo.PromDuration(t.Within) + " after each.",
		expr: fmt.Sprintf("time() - max by (%s) (%s)\n< %d", symptomLabels,
			renamed(fmt.Sprintf("max_over_time(%s{%s=%q}[%s])", seen, slo.PromLabel(schema.Vantage), event.VantageEdge,
				slo.PromDuration(t.Within))), t.Within/time.Second),
		sql: plaintextSQL(t),
	}
}
