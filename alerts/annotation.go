package alerts

import (
	"fmt"
	"maps"
	"math/big"
	"strings"

	"github.com/sockeye-project/sockeye/slo"
)

// percent moves the point of an exact decimal.
func percent(ratio string) string {
	n, err := slo.Decimal(ratio)
	if err != nil {
		r, _ := new(big.Rat).SetString(ratio)
		return strings.TrimRight(strings.TrimRight(r.Mul(r, big.NewRat(100, 1)).FloatString(24), "0"), ".")
	}
	return n.Percent(12)
}

// span names a window, with its real length if it is scaled.
func (w *writer) span(name string) string {
	for _, window := range slo.BurnWindows() {
		if window.Name == name && w.options.Scale > 1 {
			return fmt.Sprintf("%s (scaled to %s)", name, slo.PromDuration(scaled(window.Length, w.options.Scale)))
		}
	}
	return name
}

func (w *writer) annotations(alert string, severity slo.Severity, summary, description string) map[string]string {
	a := map[string]string{"summary": literal(summary), "description": description}
	if alert != Burn {
		a["description"] = literal(description)
	}
	p := burnPanel
	if alert == Absent {
		p = agePanel
	}
	var labels []string
	if w.groups {
		a["summary"] += ": {{ $labels.slo }}"
		labels = append(labels, "slo")
	}
	w.options.link(a, alert, w.slo, severity, p, labels...)
	return a
}

// ofAlert and a label stand in a link for what the alert turns out to be about.
const ofAlert = "OF-ALERT-"

// link adds the links. Labels are those that only the alert itself knows.
func (o *Options) link(
	annotations map[string]string, alert string, s *slo.SLO, severity slo.Severity, p panel, labels ...string,
) {
	runbook := o.RunbookURL
	values := map[string]string{"alertname": alert, "severity": string(severity)}
	if s != nil {
		values["service"], values["slo"] = s.Service, s.Name
		if s.RunbookURL != "" {
			runbook = s.RunbookURL
		}
	}
	fill := func(template string) string {
		text := literal(expand(template, values))
		for _, label := range labels {
			text = strings.ReplaceAll(text, ofAlert+label, "{{ urlquery $labels."+label+" }}")
		}
		return text
	}
	known := maps.Clone(values)
	for _, label := range labels {
		values[label] = ofAlert + label
	}
	if runbook != "" {
		annotations["runbook_url"] = fill(runbook)
	}
	if o.DashboardURL != "" {
		annotations["dashboard_url"] = fill(o.DashboardURL)
	} else if link := o.opened(p, known, labels...); link != "" {
		annotations["dashboard_url"] = link
	}
}

// literal keeps a template from taking text of a document for its own.
func literal(text string) string {
	return strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
}
