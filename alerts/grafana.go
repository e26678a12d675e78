package alerts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// GrafanaFile is a provisioning file of rules that Grafana evaluates.
type GrafanaFile struct {
	APIVersion int            `yaml:"apiVersion"`
	Groups     []GrafanaGroup `yaml:"groups"`
}

// GrafanaGroup is rules of one folder, evaluated at one interval.
type GrafanaGroup struct {
	OrgID    int           `yaml:"orgId"`
	Name     string        `yaml:"name"`
	Folder   string        `yaml:"folder"`
	Interval string        `yaml:"interval"`
	Rules    []GrafanaRule `yaml:"rules"`
}

// GrafanaRule raises an alert for each row of its query whose value is beyond the threshold; the columns of text are labels.
type GrafanaRule struct {
	UID string `yaml:"uid"`
	// Title becomes the label alertname.
	Title                string            `yaml:"title"`
	Condition            string            `yaml:"condition"`
	Data                 []GrafanaQuery    `yaml:"data"`
	For                  string            `yaml:"for"`
	KeepFiringFor        string            `yaml:"keepFiringFor,omitempty"`
	MissingSeriesResolve int               `yaml:"missing_series_evals_to_resolve,omitempty"`
	NoDataState          string            `yaml:"noDataState"`
	ExecErrState         string            `yaml:"execErrState"`
	DashboardUID         string            `yaml:"dashboardUid,omitempty"`
	PanelID              uint32            `yaml:"panelId,omitempty"`
	Labels               map[string]string `yaml:"labels,omitempty"`
	Annotations          map[string]string `yaml:"annotations"`
}

// GrafanaQuery is a query, or a threshold on one.
type GrafanaQuery struct {
	RefID             string       `yaml:"refId"`
	RelativeTimeRange GrafanaRange `yaml:"relativeTimeRange"`
	DatasourceUID     string       `yaml:"datasourceUid"`
	Model             GrafanaModel `yaml:"model"`
}

// GrafanaRange is in seconds before now.
type GrafanaRange struct {
	From int `yaml:"from"`
	To   int `yaml:"to"`
}

// GrafanaModel is the query in the words of its datasource.
type GrafanaModel struct {
	RefID         string             `yaml:"refId"`
	Datasource    GrafanaDatasource  `yaml:"datasource"`
	PluginVersion string             `yaml:"pluginVersion,omitempty"`
	EditorType    string             `yaml:"editorType,omitempty"`
	QueryType     string             `yaml:"queryType,omitempty"`
	Format        int                `yaml:"format,omitempty"`
	RawSQL        string             `yaml:"rawSql,omitempty"`
	Type          string             `yaml:"type,omitempty"`
	Expression    string             `yaml:"expression,omitempty"`
	Conditions    []GrafanaCondition `yaml:"conditions,omitempty"`
}

// GrafanaDatasource names a datasource.
type GrafanaDatasource struct {
	Type string `yaml:"type"`
	UID  string `yaml:"uid"`
}

// GrafanaCondition is a threshold.
type GrafanaCondition struct {
	Evaluator GrafanaEvaluator `yaml:"evaluator"`
}

// GrafanaEvaluator is gt or lt, and a number.
type GrafanaEvaluator struct {
	Type   string    `yaml:"type"`
	Params []float64 `yaml:"params,flow"`
}

const (
	grafanaFolder = "Sockeye"
	// slosOfQuery bounds a statement: ClickHouse parses no more than 256 KiB. One with groups is as long as slosOfGroups.
	slosOfQuery  = 100
	slosOfGroups = 3
	// missing is how often a row may be missing before its alert resolves. All rows are always there; one that is not was removed.
	missing = 5
)

// Grafana returns rules that Grafana evaluates on ClickHouse, with the labels of those of Prometheus. Each of notes names
// something that is left out, and who does it.
func Grafana(slos []slo.SLO, o Options) (file GrafanaFile, notes []string) {
	o.setDefaults()
	file.APIVersion = 1
	add := func(folder string, rules []GrafanaRule) {
		file.Groups = append(file.Groups, GrafanaGroup{1, "sockeye", folder, slo.PromDuration(o.Interval), rules})
	}
	for _, chunk := range chunks(slos) {
		sql, more := slo.SelectFiring(chunk, "now()")
		notes = append(notes, more...)
		if sql == "" {
			continue
		}
		// The title names the alert, and there is one of a title in a folder.
		folder, suffix := grafanaFolder, ""
		if n := len(file.Groups); n > 0 {
			folder, suffix = fmt.Sprintf("%s %d", grafanaFolder, n+1), fmt.Sprintf("-%d", n+1)
		}
		add(folder, o.grafanaSLOs(sql, suffix))
	}
	var common []GrafanaRule
	for _, a := range slices.Concat(o.collector(), o.symptoms()) {
		if a.unseen == "" {
			common = append(common, a.grafana(&o))
		} else if note := a.name + " is left out: " + a.unseen; !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	if len(file.Groups) == 0 {
		add(grafanaFolder, common)
	} else {
		file.Groups[0].Rules = append(file.Groups[0].Rules, common...)
	}
	return file, notes
}

// chunks are what is one statement each.
func chunks(slos []slo.SLO) (all [][]slo.SLO) {
	length := slosOfQuery
	for i := range slos {
		n := 1
		if len(slos[i].Grouping.Rules) > 0 {
			n = slosOfGroups
		}
		if length += n; length > slosOfQuery {
			all, length = append(all, nil), n
		}
		all[len(all)-1] = append(all[len(all)-1], slos[i])
	}
	return all
}

// YAML is the file as Grafana reads it.
func (f GrafanaFile) YAML() ([]byte, error) { return encode(f) }

func (o *Options) grafanaSLOs(sql, suffix string) []GrafanaRule {
	burn := o.grafanaRule(Burn, sql, "gt", slo.Quiet,
		"{{ $labels.slo }} of {{ $labels.service }} burns its error budget too fast",
		`It burns {{ printf "%.1f" $values.A.Value }} times as fast as it may, over both windows of a rule of severity `+
			"{{ $labels.severity }} and not by accident.")
	burn.UID += suffix
	// While ClickHouse does not answer, what fires goes on; the next rule says why.
	burn.ExecErrState, burn.NoDataState = "KeepLast", "KeepLast"
	absent := o.grafanaRule(Absent, sql, "lt", slo.Quiet,
		"Nothing is known about {{ $labels.slo }} of {{ $labels.service }}",
		"No source is alive, or all are more than ten minutes behind, or ClickHouse does not answer. No other alert of this SLO can fire.")
	absent.UID += suffix
	absent.For = "5m"
	absent.ExecErrState, absent.NoDataState = "Alerting", "Alerting"
	o.place(&burn, Burn, slo.SeverityNone, burnPanel, "service", "slo")
	o.place(&absent, Absent, slo.SeverityNone, agePanel, "service", "slo")
	return []GrafanaRule{burn, absent}
}

func (o *Options) grafanaRule(name, sql, op string, limit float64, summary, description string) GrafanaRule {
	r := GrafanaRule{
		UID: "sockeye-" + strings.ToLower(name), Title: name, Condition: "C", For: "0s",
		MissingSeriesResolve: missing, NoDataState: "OK", ExecErrState: "KeepLast",
		Annotations: map[string]string{"summary": summary, "description": description},
		Data: []GrafanaQuery{
			{
				RefID: "A", RelativeTimeRange: GrafanaRange{From: 600}, DatasourceUID: o.DatasourceUID,
				Model: GrafanaModel{
					RefID: "A", Datasource: GrafanaDatasource{"grafana-clickhouse-datasource", o.DatasourceUID}, PluginVersion: "4.9.0",
					EditorType: "sql", QueryType: "table", Format: 1, RawSQL: sql,
				},
			},
			{
				RefID: "C", DatasourceUID: "__expr__",
				Model: GrafanaModel{
					RefID: "C", Datasource: GrafanaDatasource{"__expr__", "__expr__"}, Type: "threshold", Expression: "A",
					Conditions: []GrafanaCondition{{GrafanaEvaluator{op, []float64{limit}}}},
				},
			},
		},
	}
	return r
}

// place adds the links, and the panel that Grafana draws the alert on.
func (o *Options) place(r *GrafanaRule, name string, severity slo.Severity, p panel, labels ...string) {
	o.link(r.Annotations, name, nil, severity, p, labels...)
	if o.Panel == nil {
		return
	}
	if uid, id, ok := o.Panel(p.board, p.title); ok {
		r.DashboardUID, r.PanelID = uid, id
	}
}

func grafanaDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return slo.PromDuration(d)
}
