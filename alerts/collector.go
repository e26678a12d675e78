package alerts

import (
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// The alerts of the collector itself.
const (
	QueueFull   = "ExporterQueueFull"
	Dropped     = "EventsDropped"
	Watermark   = "WatermarkOld"
	Certificate = "CertificateExpiring"
)

// own selects a metric of the collector itself. Whether its name ends with the unit and with total depends on how
// service.telemetry exports it.
func own(name, unit, matchers string) string {
	suffix := ""
	if unit != "" {
		suffix = "(_" + unit + ")?"
	}
	selector := fmt.Sprintf(`__name__=~"otelcol_%s%s(_total)?"`, name, suffix)
	if matchers != "" {
		selector += "," + matchers
	}
	return "{" + selector + "}"
}

// losses are what counts what is gone for good.
var losses = []struct{ metric, unit, matchers string }{
	{"exporter_websocketclickhouse_dropped_records", "", ""},
	{"connector_websocketsli_dropped_records", "", `reason!="not_an_event"`},
	{"receiver_websocketlog_lost_bytes", "bytes", ""},
	{"receiver_websocketendpoint_lost_events", "", ""},
}

// ownMetrics says why no statement can tell of an alert.
const ownMetrics = "only the collector's own metrics tell; let Prometheus evaluate the group sockeye"

// collector are the alerts of this file, the source's and the watchdog.
func (o *Options) collector() []alert {
	through := promName(event.ProgressReadThrough) + "_seconds"
	source := promName(event.ProgressSource)
	vantage := slo.PromLabel(schema.Vantage)
	silent, watermark, full := o.Thresholds[Silent], o.Thresholds[Watermark], o.Thresholds[QueueFull]
	// behind fires where the best of what has the same label was not read for so long.
	behind := func(name, label string, t Threshold) string {
		return fmt.Sprintf("time() - max by (%s) (label_replace(max_over_time(%s[1h]), %[1]q, \"$1\", %[3]q, \"(.*)\")) > %d",
			name, through, label, t.Within/time.Second)
	}
	var lost []string
	for _, l := range losses {
		of := own(l.metric, l.unit, l.matchers)
		// A counter that begins with a loss rose from nothing.
		lost = append(lost, fmt.Sprintf("label_replace(sum by (instance) "+
			"(increase(%[1]s[15m]) or (%[1]s unless %[1]s offset 15m)), \"what\", %[2]q, \"\", \"\")", of, l.metric))
	}
	certificate := fmt.Sprintf("min by (instance) (%s) - time()",
		own("receiver_websocketendpoint_certificate_not_after", "seconds", ""))
	expiring := func(within time.Duration, severity slo.Severity) alert {
		t := o.Thresholds[Certificate]
		t.Severity = severity
		return alert{
			name: Certificate, limit: t, panel: handshakesPanel, unseen: ownMetrics,
			summary: "The certificate that {{ $labels.instance }} serves expires soon",
			description: "In {{ $value | humanizeDuration }}; then every client is refused. It fires " +
				days(within) + " before.",
			expr: fmt.Sprintf("%s < %d", certificate, within/time.Second),
		}
	}
	return []alert{
		{
			name: Watchdog, limit: Threshold{Severity: "none"}, panel: agePanel,
			summary:     "The rules of Sockeye are evaluated, and Alertmanager is reached",
			description: "It always fires. If it stops, alerts do not arrive.",
			expr:        "vector(1)", sql: "SELECT 1 AS value",
		},
		{
			name: Silent, limit: silent, labels: []string{"source"}, panel: agePanel,
			summary: "Source {{ $labels.source }} reports nothing, or lags",
			description: fmt.Sprintf("What it saw is known up to {{ $value | humanizeDuration }} ago. What it would have "+
				"seen since is missing from every SLO of its vantage. It fires above %s.", slo.PromDuration(silent.Within)),
			expr: behind("source", source, silent),
			sql:  silentSQL(), over: silent.Within.Seconds(),
		},
		{
			name: Watermark, limit: watermark, labels: []string{"vantage"}, panel: agePanel,
			summary: `Nothing new is known{{ with index $labels "vantage" }} from vantage {{ . }}{{ end }}`,
			description: fmt.Sprintf("The best of its sources has been read up to {{ $value | humanizeDuration }} ago. SLOs "+
				"stand still: an incident that begins now pages nobody. It fires above %s.", slo.PromDuration(watermark.Within)),
			expr: behind("vantage", vantage, watermark),
			sql:  watermarkSQL(), over: watermark.Within.Seconds(),
		},
		{
			name: QueueFull, limit: full, panel: agePanel, unseen: ownMetrics,
			summary: "The queue of {{ $labels.exporter }} at {{ $labels.instance }} is nearly full",
			description: fmt.Sprintf("{{ $value | humanizePercentage }} of its capacity. Once it is full, sources wait and "+
				"pushes are refused. It fires above %s %%.", decimal(100*full.Share)),
			expr: fmt.Sprintf("max by (instance, exporter) (%s) / max by (instance, exporter) (%s) > %s",
				own("exporter_queue_size", "", ""), own("exporter_queue_capacity", "", ""), decimal(full.Share)),
		},
		{
			name: Dropped, limit: o.Thresholds[Dropped], panel: agePanel, unseen: ownMetrics,
			summary: "{{ $labels.instance }} lost events",
			description: "otelcol_{{ $labels.what }} rose by {{ $value | humanize }} within 15 minutes. What is lost is missing " +
				"from every SLO.",
			expr: "max by (instance, what) (\n  " + strings.Join(lost, "\n  or ") + "\n) > 0",
		},
		expiring(o.Thresholds[Certificate].Page, slo.SeverityPage),
		expiring(o.Thresholds[Certificate].Within, slo.SeverityTicket),
	}
}

func (o *Options) collectorGroup() Group {
	var rules []Rule
	for _, a := range o.collector() {
		rules = append(rules, a.rule(o))
	}
	return Group{Name: "sockeye", Interval: slo.PromDuration(o.Interval), Rules: rules}
}

func days(d time.Duration) string {
	if d == 24*time.Hour {
		return "a day"
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
