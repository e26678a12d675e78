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

func (o *Options) collector() Group {
	through := promName(event.ProgressReadThrough) + "_seconds"
	source := promName(event.ProgressSource)
	vantage := slo.PromLabel(schema.Vantage)
	limit := func(alert string) Threshold { return o.Thresholds[alert] }
	var lost []string
	for _, l := range losses {
		of := own(l.metric, l.unit, l.matchers)
		// A counter that begins with a loss rose from nothing.
		lost = append(lost, fmt.Sprintf("label_replace(sum by (instance) "+
			"(increase(%[1]s[15m]) or (%[1]s unless %[1]s offset 15m)), \"what\", %[2]q, \"\", \"\")", of, l.metric))
	}
	certificate := fmt.Sprintf("min by (instance) (%s) - time()",
		own("receiver_websocketendpoint_certificate_not_after", "seconds", ""))
	expiring := func(within time.Duration, severity slo.Severity) Rule {
		t := limit(Certificate)
		t.Severity = severity
		return o.alert(Certificate, t, fmt.Sprintf("%s < %d", certificate, within/time.Second),
			"The certificate that {{ $labels.instance }} serves expires soon",
			"In {{ $value | humanizeDuration }}; then every client is refused. It fires "+days(within)+" before.")
	}
	rules := []Rule{
		o.alert(Watchdog, Threshold{Severity: "none"}, "vector(1)",
			"Prometheus evaluates the rules of Sockeye and reaches Alertmanager", "It always fires. If it stops, alerts do not arrive."),
		o.alert(Silent, limit(Silent), fmt.Sprintf("time() - max by (%s) (max_over_time(%s[1h])) > %d", source, through,
			limit(Silent).Within/time.Second),
			"Source {{ $labels."+source+" }} reports nothing, or lags",
			"What it saw is known up to {{ $value | humanizeDuration }} ago. What it would have seen since is missing from every SLO of "+
				"its vantage."),
		o.alert(Watermark, limit(Watermark), fmt.Sprintf(
			"time() - max by (vantage) (label_replace(max_over_time(%s[1h]), \"vantage\", \"$1\", %q, \"(.*)\")) > %d",
			through, vantage, limit(Watermark).Within/time.Second),
			"Nothing new is known from vantage {{ $labels.vantage }}",
			"The best of its sources has been read up to {{ $value | humanizeDuration }} ago. SLOs stand still: an incident that begins now "+
				"pages nobody."),
		o.alert(QueueFull, limit(QueueFull), fmt.Sprintf(
			"max by (instance, exporter) (%s) / max by (instance, exporter) (%s) > %s",
			own("exporter_queue_size", "", ""), own("exporter_queue_capacity", "", ""), decimal(limit(QueueFull).Share)),
			"The queue of {{ $labels.exporter }} at {{ $labels.instance }} is nearly full",
			"{{ $value | humanizePercentage }} of its capacity. Once it is full, sources wait and pushes are refused."),
		o.alert(Dropped, limit(Dropped), "max by (instance, what) (\n  "+strings.Join(lost, "\n  or ")+"\n) > 0",
			"{{ $labels.instance }} lost events",
			"otelcol_{{ $labels.what }} rose by {{ $value | humanize }} within 15 minutes. What is lost is missing from every SLO."),
		expiring(limit(Certificate).Page, slo.SeverityPage),
		expiring(limit(Certificate).Within, slo.SeverityTicket),
	}
	return Group{Name: "sockeye", Interval: slo.PromDuration(o.Interval), Rules: rules}
}

func days(d time.Duration) string {
	if d == 24*time.Hour {
		return "a day"
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
