package alerts

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/slo"
)

// alert is what is said of an alert, whoever evaluates it. [alert.rule] writes it for Prometheus, [alert.grafana] for Grafana.
type alert struct {
	name  string
	limit Threshold
	// summary and description are templates of Prometheus. Those of Grafana differ in how they call the value alone.
	summary, description string
	// labels are those of a series besides the severity.
	labels []string
	// panel is where a reader looks first.
	panel panel

	// records are the series that expr needs.
	records []Rule
	expr    string
	// usual ends the description where series can be asked: a template of Grafana cannot.
	usual string

	// sql has a row for each series, always: its labels, and a number that is above over while the alert fires.
	sql  string
	over float64
	// unseen says why no statement can tell, where none can.
	unseen string
}

// panel names a panel of package dashboards: the end of its board's address, and its title.
type panel struct{ board, title string }

var (
	handshakesPanel      = panel{"oncall", "Handshakes by result"}
	authenticationsPanel = panel{"oncall", "Authentications by result"}
	messagesPanel        = panel{"oncall", "Messages by direction"}
	errorsPanel          = panel{"oncall", "Protocol errors and refused messages"}
	disconnectsPanel     = panel{"oncall", "Unexpected disconnects"}
	agePanel             = panel{"oncall", "Age of the data"}
	memoryPanel          = panel{"debug", "Memory of each process"}
	burnPanel            = panel{"slo", "Burn rates"}
)

// rule is the alert for Prometheus.
func (a *alert) rule(o *Options) Rule {
	description := a.description
	if a.usual != "" {
		description += " " + a.usual
	}
	r := Rule{
		Alert: a.name, Expr: a.expr, Labels: map[string]string{"severity": string(a.limit.Severity)},
		Annotations: map[string]string{"summary": a.summary, "description": description},
	}
	if a.limit.For > 0 {
		r.For = slo.PromDuration(a.limit.For)
	}
	if a.limit.Keep > 0 {
		r.KeepFiringFor = slo.PromDuration(a.limit.Keep)
	}
	o.link(r.Annotations, a.name, nil, a.limit.Severity, a.panel, a.labels...)
	return r
}

// grafana is the alert for Grafana, on ClickHouse.
func (a *alert) grafana(o *Options) GrafanaRule {
	value := func(text string) string { return strings.ReplaceAll(text, "$value", "$values.A.Value") }
	r := o.grafanaRule(a.name, a.sql, "gt", a.over, value(a.summary), value(a.description))
	r.Labels = map[string]string{"severity": string(a.limit.Severity)}
	r.For = grafanaDuration(a.limit.For)
	if a.limit.Keep > 0 {
		r.KeepFiringFor = grafanaDuration(a.limit.Keep)
	}
	o.place(&r, a.name, a.limit.Severity, a.panel, a.labels...)
	return r
}

// opened is a link to the board of a panel, with its variables set. values are known; what labels are only the alert itself
// knows, and where it has none, the board's variable stays as it is.
func (o *Options) opened(p panel, values map[string]string, labels ...string) string {
	if o.GrafanaURL == "" || o.Panel == nil {
		return ""
	}
	uid, _, ok := o.Panel(p.board, p.title)
	if !ok {
		return ""
	}
	link, and := strings.TrimSuffix(o.GrafanaURL, "/")+"/d/"+uid, "?"
	for _, variable := range []string{"service", "slo", "region", "instance"} {
		switch {
		case slices.Contains(labels, variable):
			// Every alert that has a service has one that is not empty, and it comes first.
			link += fmt.Sprintf("{{ with index $labels %[1]q }}%[2]svar-%[1]s={{ . | urlquery }}{{ end }}", variable, and)
		case values[variable] != "":
			link += and + "var-" + variable + "=" + literal(url.QueryEscape(values[variable]))
		default:
			continue
		}
		and = "&"
	}
	return link
}
