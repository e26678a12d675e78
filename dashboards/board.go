package dashboards

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/slo"
)

// Datasource is what a board asks.
type Datasource string

// The datasources.
const (
	ClickHouse Datasource = "clickhouse"
	Prometheus Datasource = "prometheus"
)

// Datasources returns them, the one that answers everything first.
func Datasources() []Datasource { return []Datasource{ClickHouse, Prometheus} }

// plugin is the datasource's type in Grafana.
func (d Datasource) plugin() string {
	if d == ClickHouse {
		return "grafana-clickhouse-datasource"
	}
	return "prometheus"
}

func (d Datasource) title() string {
	if d == ClickHouse {
		return "ClickHouse"
	}
	return "Prometheus"
}

// ref is what panels, variables and annotations name: whatever the reader has chosen.
func (d Datasource) ref() common.DataSourceRef {
	return common.DataSourceRef{Type: ptr(d.plugin()), Uid: ptr("${datasource}")}
}

// The boards, by the end of their address.
const (
	executive   = "executive"
	onCall      = "oncall"
	debug       = "debug"
	sloOverview = "slo-overview"
	sloDetail   = "slo"
)

// Dashboard is Grafana's classic model, which every Grafana imports and provisions from files; its successor needs version 12.
type Dashboard = dashboard.Dashboard //nolint:staticcheck // deprecated in favour of that successor

// UID is a board's identity in Grafana, so that links to it stay valid: its address ends in /d/ and this.
func UID(d Datasource, name string) string {
	if d == ClickHouse {
		return "sockeye-" + name
	}
	return "sockeye-" + name + "-" + string(d)
}

// board is what is declared of a dashboard.
type board struct {
	name, title, about string
	// from is the usual range, and refresh how often it reloads; never, if empty.
	from, refresh string
	variables     []dashboard.VariableModel
	annotations   []dashboard.AnnotationQuery
	rows          []row
}

// row is a heading and what stands under it.
type row struct {
	title  string
	panels []panel
}

// opens links to a board one level down, with time and variables kept.
func (d Datasource) opens(name, title string) *dashboard.DashboardLink {
	return d.link(name, title, "${__all_variables}")
}

// opensSLO links to the detail of one SLO. It names service and SLO itself: the board it leaves may have chosen several.
func (d Datasource) opensSLO(service, slo string) *dashboard.DashboardLink {
	return d.link(sloDetail, "Detail", "${datasource:queryparam}&var-service="+service+"&var-slo="+slo)
}

func (d Datasource) link(name, title, variables string) *dashboard.DashboardLink {
	url := "/d/" + UID(d, name) + "?${__url_time_range}&" + variables
	return &dashboard.DashboardLink{Type: dashboard.DashboardLinkTypeLink, Title: title, Url: &url, Tags: []string{}}
}

// tag is on all boards of a datasource, for the menu of the others.
func (d Datasource) tag() string { return "sockeye-" + string(d) }

func (b *board) build(d Datasource) (*Dashboard, error) {
	built := dashboard.NewDashboard()
	built.Uid, built.Title, built.Description = ptr(UID(d, b.name)), ptr(b.title), ptr(b.about)
	if d != ClickHouse {
		built.Title = ptr(b.title + " (" + d.title() + ")")
	}
	built.Tags = []string{"sockeye", d.tag()}
	built.Editable = ptr(false)
	built.GraphTooltip = ptr(dashboard.DashboardCursorSyncCrosshair)
	built.Time = &dashboard.DashboardDashboardTime{From: "now-" + b.from, To: "now"}
	if b.refresh != "" {
		built.Refresh = ptr(b.refresh)
	}
	built.Version = ptr(uint32(1))
	built.Templating.List = append([]dashboard.VariableModel{datasourceVariable("datasource", d.title(), d.plugin())},
		b.variables...)
	built.Annotations.List = b.annotations
	built.Links = []dashboard.DashboardLink{{
		Title: "Boards", Type: dashboard.DashboardLinkTypeDashboards, Tags: []string{d.tag()}, AsDropdown: true,
		IncludeVars: true, KeepTime: true, Icon: "external link", Tooltip: "The other boards, at the same time and selection",
	}}
	id, y := uint32(0), uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range b.rows {
		built.Panels = append(built.Panels, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
			Type: "row", Title: ptr(r.title), Id: next(), Panels: []dashboard.Panel{},
			GridPos: &dashboard.GridPos{H: 1, W: gridWidth, Y: y},
		}})
		y++
		x, tallest := uint32(0), uint32(0)
		for i := range r.panels {
			p, err := r.panels[i].build(d.ref())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.name, err)
			}
			if x+p.GridPos.W > gridWidth {
				x, y, tallest = 0, y+tallest, 0
			}
			p.Id = ptr(next())
			p.GridPos.X, p.GridPos.Y = x, y
			x, tallest = x+p.GridPos.W, max(tallest, p.GridPos.H)
			built.Panels = append(built.Panels, dashboard.PanelOrRowPanel{Panel: &p})
		}
		y += tallest
	}
	return built, nil
}

// Boards returns the dashboards of a datasource in the order of a menu. The SLOs give objectives and capacities; without any, the
// objectives are those of the SLOs that ship.
func Boards(d Datasource, slos []slo.SLO) ([]*Dashboard, error) {
	known, err := newDocuments(slos)
	if err != nil {
		return nil, err
	}
	var declared []board
	switch d {
	case ClickHouse:
		declared = []board{
			executiveBoard(known), onCallBoard(known), debugBoard(), sloOverviewBoard(), sloDetailBoard(),
		}
	case Prometheus:
		declared = prometheusBoards(known)
	default:
		return nil, fmt.Errorf("no such datasource: %q", d)
	}
	var boards []*Dashboard
	for i := range declared {
		b, err := declared[i].build(d)
		if err != nil {
			return nil, err
		}
		boards = append(boards, b)
	}
	return boards, nil
}

// Panels returns what finds a panel by the end of its board's address and its title, for those who link to one: the board's
// identity and the panel's number on it.
func Panels(d Datasource) (func(board, title string) (uid string, id uint32, ok bool), error) {
	boards, err := Boards(d, nil)
	if err != nil {
		return nil, err
	}
	return func(name, title string) (uid string, id uint32, ok bool) {
		uid = UID(d, name)
		for _, b := range boards {
			for _, p := range b.Panels {
				if *b.Uid == uid && p.Panel != nil && *p.Panel.Title == title {
					return uid, *p.Panel.Id, true
				}
			}
		}
		return "", 0, false
	}, nil
}

// File is one file to write. Its path has slashes and is relative.
type File struct {
	Path, Data string
}

// readable undoes what the SDK's own encoders escape for HTML, so that statements can be read in a file.
var readable = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// Files returns the boards of the datasources, each in the datasource's folder, and the files that provision them.
func Files(datasources []Datasource, slos []slo.SLO) ([]File, error) {
	var files []File
	for _, d := range datasources {
		boards, err := Boards(d, slos)
		if err != nil {
			return nil, err
		}
		for _, b := range boards {
			var text bytes.Buffer
			e := json.NewEncoder(&text)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(b); err != nil {
				return nil, fmt.Errorf("write %s: %w", *b.Title, err)
			}
			files = append(files, File{string(d) + "/" + *b.Uid + ".json", readable.Replace(text.String())})
		}
	}
	return append(files, provisioning(datasources)...), nil
}

// provisioning returns the files that Grafana reads at start: one provider and one folder for each datasource. The path of the
// boards is an environment variable, which Grafana expands.
func provisioning(datasources []Datasource) []File {
	const head = "# Code generated by `sockeye generate dashboards`. DO NOT EDIT.\napiVersion: 1\n"
	var providers bytes.Buffer
	providers.WriteString(head + "providers:\n")
	for _, d := range datasources {
		folder, uid := "Sockeye", "sockeye"
		if d != ClickHouse {
			folder, uid = "Sockeye ("+d.title()+")", "sockeye-"+string(d)
		}
		fmt.Fprintf(&providers, `  - name: %s
    orgId: 1
    folder: %s
    folderUid: %s
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: ${SOCKEYE_DASHBOARDS}/%s
`, uid, folder, uid, d)
	}
	return []File{{"provisioning/dashboards/sockeye.yaml", providers.String()}}
}

func datasourceVariable(name, label, plugin string) dashboard.VariableModel {
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeDatasource, Name: name, Label: ptr(label),
		Query:   &dashboard.StringOrMap{String: ptr(plugin)},
		Refresh: ptr(dashboard.VariableRefreshOnDashboardLoad), Hide: ptr(dashboard.VariableHideDontHide),
		Multi: ptr(false), IncludeAll: ptr(false), SkipUrlSync: ptr(false),
	}
}

// variable is one whose values a query returns, anew whenever the time range changes.
func (d Datasource) variable(name, label, query string) dashboard.VariableModel {
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: name, Label: ptr(label), Datasource: ptr(d.ref()),
		Query: &dashboard.StringOrMap{String: ptr(query)}, Definition: ptr(query),
		Refresh: ptr(dashboard.VariableRefreshOnTimeRangeChanged), Sort: ptr(dashboard.VariableSortDisabled),
		Hide: ptr(dashboard.VariableHideDontHide), Multi: ptr(false), IncludeAll: ptr(false), SkipUrlSync: ptr(false),
	}
}

// several lets a reader choose any of a variable's values; all of them at first.
func several(v dashboard.VariableModel, allValue string) dashboard.VariableModel {
	v.Multi, v.IncludeAll = ptr(true), ptr(true)
	if allValue != "" {
		v.AllValue = &allValue
	}
	v.Current = &dashboard.VariableOption{
		Selected: ptr(true), Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
		Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
	}
	return v
}

// hidden keeps a variable out of sight: its first value is the right one.
func hidden(v dashboard.VariableModel) dashboard.VariableModel {
	v.Hide = ptr(dashboard.VariableHideHideVariable)
	return v
}

// documents are what SLO documents say that a board shows.
type documents struct {
	objectives map[string]float64
	// capacities are the connections that a service may hold, by its document.
	capacities map[string]uint64
}

func newDocuments(slos []slo.SLO) (documents, error) {
	if len(slos) == 0 {
		var err error
		if slos, err = slo.Parse(slo.DefaultSources()...); err != nil {
			return documents{}, err
		}
	}
	known := documents{map[string]float64{}, map[string]uint64{}}
	for i := range slos {
		s := &slos[i]
		if o, ok := known.objectives[s.Name]; !ok || s.Objective.Float64() < o {
			known.objectives[s.Name] = s.Objective.Float64()
		}
		if s.Capacity > 0 {
			known.capacities[s.Service] = s.Capacity
		}
	}
	return known, nil
}

// objective returns the objective of an SLO by its name, and a title that says it.
func (k documents) objective(name, title string) (float64, string) {
	o, ok := k.objectives[name]
	if !ok {
		return 0, title
	}
	return o, title + " (objective " + formatPercent(o) + ")"
}

func formatPercent(share float64) string { return fmt.Sprintf("%.6g %%", share*100) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
