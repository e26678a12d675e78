package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// instances evaluates a rule as Grafana does: each row is an instance, its texts are labels, its number is compared.
func instances(t testing.TB, s *store.Store, rule *alerts.GrafanaRule) (firing, quiet []string, err error) {
	t.Helper()
	rows, err := s.Conn().Query(context.Background(), rule.Data[0].Model.RawSQL)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	threshold := rule.Data[1].Model.Conditions[0].Evaluator
	for rows.Next() {
		types := rows.ColumnTypes()
		values := make([]any, len(types))
		for i, c := range types {
			values[i] = reflect.New(c.ScanType()).Interface()
		}
		require.NoError(t, rows.Scan(values...))
		labels, numbers, value := []string{}, 0, 0.0
		for i, v := range values {
			v := reflect.ValueOf(v).Elem()
			switch {
			case v.Kind() == reflect.String:
				labels = append(labels, types[i].Name()+"="+v.String())
			case v.CanFloat():
				value, numbers = v.Float(), numbers+1
			case v.CanInt():
				value, numbers = float64(v.Int()), numbers+1
			case v.CanUint():
				value, numbers = float64(v.Uint()), numbers+1
			default:
				require.Fail(t, "column is neither text nor a number", types[i].Name())
			}
		}
		require.Equal(t, 1, numbers, "exactly one column is a number")
		key := strings.Join(labels, " ")
		if threshold.Type == "gt" && value > threshold.Params[0] || threshold.Type == "lt" && value < threshold.Params[0] {
			firing = append(firing, key)
		} else {
			quiet = append(quiet, key)
		}
	}
	return firing, quiet, rows.Err()
}

func TestGrafanasRulesOnTheEngine(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	alive := store.Progress{Source: "edge-1", ReadThrough: now, Wall: now}
	opens := func(service string, good, bad int) string {
		at := now.Add(-3 * time.Minute).Unix()
		return fmt.Sprintf("INSERT INTO rollup_1m (bucket, service, vantage, event, outcome, fault, error_type, count, judged) VALUES "+
			"(%[1]d, '%[2]s', 'edge', 'websocket.open', 'success', '', '', %[3]d, %[3]d), "+
			"(%[1]d, '%[2]s', 'edge', 'websocket.handshake.rejected', 'failure', 'server', 'upstream_timeout', %[4]d, %[4]d)", at, service, good, bad)
	}
	plain := fmt.Sprintf("INSERT INTO events (time, counted_at, event, service, vantage, attributes) VALUES "+
		"(toDateTime(%[1]d), toDateTime(%[1]d), 'websocket.open', 'chat', 'edge', {'url.scheme': 'ws'}), (toDateTime(%[1]d), toDateTime(%[1]d), 'websocket.open', 'feed', 'edge', {'url.scheme': 'wss'})",
		now.Add(-time.Minute).Unix())
	page, ticket := "service=chat slo=connection-availability severity=page", "service=chat slo=connection-availability severity=ticket"
	for name, test := range map[string]struct {
		rows     []string
		progress []store.Progress
		fires    map[string][]string
	}{
		"one in twenty fails":   {[]string{opens("chat", 950, 50)}, []store.Progress{alive}, map[string][]string{alerts.Burn: {page, ticket}}},
		"one of seven fails":    {[]string{opens("chat", 6, 1)}, []store.Progress{alive}, nil},
		"half a thousandth":     {[]string{opens("chat", 19990, 10)}, []store.Progress{alive}, nil},
		"no traffic":            {nil, []store.Progress{alive}, nil},
		"another service fails": {[]string{opens("other", 10, 1000)}, []store.Progress{alive}, nil},
		"no source":             {[]string{opens("chat", 950, 50)}, nil, map[string][]string{alerts.Absent: {page, ticket}}},
		"a source stops": {nil, []store.Progress{alive, {Source: "edge-2", ReadThrough: now.Add(-6 * time.Minute), Wall: now.Add(-6 * time.Minute)}},
			map[string][]string{alerts.Silent: {"source=edge-2"}}},
		"without TLS": {[]string{plain}, []store.Progress{alive}, map[string][]string{alerts.Plaintext: {"service=chat region= vantage=edge"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dsn := migrated(t)
			for _, insert := range test.rows {
				embeddedtest.Exec(t, dsn, insert)
			}
			require.NoError(t, s.InsertProgress(t.Context(), test.progress))
			file, _ := alerts.Grafana(availability(t), links)
			for i := range file.Groups[0].Rules {
				rule := at(file.Groups[0].Rules[i], now)
				firing, quiet, err := instances(t, s, rule)
				require.NoError(t, err, rule.Title)
				switch rule.Title {
				case alerts.Watchdog:
					require.Len(t, firing, 1)
				case alerts.Burn, alerts.Absent:
					require.Len(t, append(quiet, firing...), 2, "a row for each SLO and severity, always")
					fallthrough
				default:
					require.Equal(t, test.fires[rule.Title], firing, rule.Title)
				}
			}
		})
	}
}

// checkGrafana says what is wrong with a provisioning file, by what Grafana requires of one and what we do.
func checkGrafana(text string) (faults []string) {
	var file alerts.GrafanaFile
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return []string{err.Error()}
	}
	fault := func(is bool, text string, args ...any) {
		if is {
			faults = append(faults, fmt.Sprintf(text, args...))
		}
	}
	fault(file.APIVersion != 1, "apiVersion")
	uids, titles := map[string]bool{}, map[string]bool{}
	for _, g := range file.Groups {
		fault(g.OrgID != 1 || g.Name == "" || g.Folder == "" || g.Interval == "", "group %q", g.Name)
		for _, r := range g.Rules {
			fault(r.UID == "" || len(r.UID) > 40 || uids[r.UID], "uid %q", r.UID)
			fault(r.Title == "" || titles[g.Folder+"/"+r.Title], "title %q", r.Title)
			uids[r.UID], titles[g.Folder+"/"+r.Title] = true, true
			states := []string{"OK", "NoData", "Alerting", "KeepLast", "Error"}
			fault(!contains(states, r.NoDataState) || !contains(states, r.ExecErrState), "states of %q", r.Title)
			for _, key := range []string{"summary", "description", "runbook_url", "dashboard_url"} {
				fault(r.Annotations[key] == "", "%s of %q", key, r.Title)
			}
			if len(r.Data) != 2 {
				fault(true, "data of %q", r.Title)
				continue
			}
			query, threshold := r.Data[0], r.Data[1]
			fault(query.RefID != "A" || query.Model.RefID != "A" || query.Model.Format != 1 || query.Model.RawSQL == "" ||
				query.DatasourceUID != query.Model.Datasource.UID || query.RelativeTimeRange.From <= 0, "query of %q", r.Title)
			fault(strings.Contains(query.Model.RawSQL, "time,"), "time column of %q", r.Title)
			fault(r.Condition != threshold.RefID || threshold.RefID != threshold.Model.RefID || threshold.DatasourceUID != "__expr__" ||
				threshold.Model.Type != "threshold" || threshold.Model.Expression != "A" || len(threshold.Model.Conditions) != 1,
				"threshold of %q", r.Title)
		}
	}
	return faults
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func TestGrafanasFileIsWhatGrafanaReads(t *testing.T) {
	t.Parallel()
	file, _ := alerts.Grafana(shipped(t, "chat"), links)
	data, err := file.YAML()
	require.NoError(t, err)
	text := string(data)
	require.Empty(t, checkGrafana(text))
	again, _ := alerts.Grafana(shipped(t, "chat"), links)
	same, err := again.YAML()
	require.NoError(t, err)
	require.Equal(t, text, string(same), "the same bytes each time")

	for name, change := range map[string][2]string{
		"a rule twice":            {"uid: sockeye-slometricsabsent", "uid: sockeye-errorbudgetburn"},
		"a title twice":           {"title: SLOMetricsAbsent", "title: ErrorBudgetBurn"},
		"no title":                {"title: Watchdog", "title: ''"},
		"another condition":       {"condition: C", "condition: B"},
		"another format":          {"format: 1", "format: 0"},
		"another datasource":      {"datasourceUid: sockeye-clickhouse", "datasourceUid: other"},
		"a key Grafana ignores":   {"noDataState:", "no_data_state:"},
		"a state it does not use": {"noDataState: KeepLast", "noDataState: Quiet"},
		"no runbook":              {"runbook_url:", "runbook:"},
		"no query":                {"rawSql:", "raw:"},
		"another expression":      {"expression: A", "expression: B"},
		"no folder":               {"folder: Sockeye", "folder: ''"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, changed, name)
		require.NotEmpty(t, checkGrafana(changed), name)
	}
}

// panelFault says what is wrong with the panel of a rule, by the files of the boards.
func panelFault(t testing.TB, r alerts.GrafanaRule) string {
	t.Helper()
	files, err := dashboards.Files([]dashboards.Datasource{dashboards.ClickHouse}, nil)
	require.NoError(t, err)
	for _, f := range files {
		var board struct {
			UID    string
			Panels []struct {
				ID          uint32
				Type, Title string
			}
		}
		if !strings.HasSuffix(f.Path, ".json") {
			continue
		}
		require.NoError(t, json.Unmarshal([]byte(f.Data), &board))
		if board.UID != r.DashboardUID {
			continue
		}
		for _, p := range board.Panels {
			if p.ID == r.PanelID && p.Type != "row" {
				return ""
			}
		}
		return "no such panel"
	}
	return "no such board"
}

func TestEveryRuleIsDrawnOnAPanelThatExists(t *testing.T) {
	t.Parallel()
	o := alerts.Options{GrafanaURL: "https://grafana.example.com/", RunbookURL: links.RunbookURL}
	var err error
	o.Panel, err = dashboards.Panels(dashboards.ClickHouse)
	require.NoError(t, err)
	file, _ := alerts.Grafana(shipped(t, "chat"), o)
	for _, r := range file.Groups[0].Rules {
		require.Empty(t, panelFault(t, r), r.Title)
		require.Contains(t, r.Annotations["dashboard_url"], "https://grafana.example.com/d/"+r.DashboardUID, r.Title)
		r.PanelID = 1 // a row
		require.Equal(t, "no such panel", panelFault(t, r), r.Title)
		r.DashboardUID = "sockeye"
		require.Equal(t, "no such board", panelFault(t, r), r.Title)
	}
	data, err := file.YAML()
	require.NoError(t, err)
	require.Empty(t, checkGrafana(string(data)))

	// The boards of Prometheus have the panels too.
	o.Panel, err = dashboards.Panels(dashboards.Prometheus)
	require.NoError(t, err)
	rules, _ := alerts.Prometheus(shipped(t, "chat"), o)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				require.Regexp(t, `^https://grafana\.example\.com/d/sockeye-[a-z-]+-prometheus(\?|\{|$)`, r.Annotations["dashboard_url"], r.Alert)
			}
		}
	}
}

// TestLinksOpenTheBoardOfTheAlert expands the links as Prometheus and Grafana do.
func TestLinksOpenTheBoardOfTheAlert(t *testing.T) {
	t.Parallel()
	o := alerts.Options{GrafanaURL: "https://g"}
	var err error
	o.Panel, err = dashboards.Panels(dashboards.ClickHouse)
	require.NoError(t, err)
	file, _ := alerts.Grafana(availability(t), o)
	slos, _ := alerts.Prometheus(availability(t), o)
	templates := map[string]string{}
	for _, g := range slos.Groups {
		for _, r := range g.Rules {
			templates["prometheus "+r.Alert] = r.Annotations["dashboard_url"]
		}
	}
	for _, r := range file.Groups[0].Rules {
		templates["grafana "+r.Title] = r.Annotations["dashboard_url"]
	}
	for name, test := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"grafana " + alerts.Burn:     {map[string]string{"service": "chat & co", "slo": "x"}, "/d/sockeye-slo?var-service=chat+%26+co&var-slo=x"},
		"prometheus " + alerts.Burn:  {nil, "/d/sockeye-slo?var-service=chat&var-slo=connection-availability"},
		"grafana " + alerts.Storm:    {map[string]string{"service": "chat", "region": "eu"}, "/d/sockeye-oncall?var-service=chat&var-region=eu"},
		"prometheus " + alerts.Storm: {map[string]string{"service": "chat"}, "/d/sockeye-oncall?var-service=chat"},
		"grafana " + alerts.Memory:   {map[string]string{"service": "chat", "instance": "a/b"}, "/d/sockeye-debug?var-service=chat&var-instance=a%2Fb"},
		"grafana " + alerts.Silent:   {map[string]string{"source": "edge"}, "/d/sockeye-oncall"},
	} {
		parsed, err := template.New("").Option("missingkey=error").Parse("{{ $labels := . }}" + templates[name])
		require.NoError(t, err, name)
		var b strings.Builder
		require.NoError(t, parsed.Execute(&b, test.labels), name)
		require.Equal(t, "https://g"+test.want, b.String(), name)
	}
}

func TestWhatNoStatementCanTellIsNamed(t *testing.T) {
	t.Parallel()
	_, notes := alerts.Grafana(availability(t), links)
	const why = " is left out: only the collector's own metrics tell; let Prometheus evaluate the group sockeye"
	require.Equal(t, []string{alerts.QueueFull + why, alerts.Dropped + why, alerts.Certificate + why}, notes)
	told := maps.Keys(grafanaRules(t))
	for _, name := range alerts.Names() {
		if name != alerts.Burn && name != alerts.Absent && !slices.Contains(notes, name+why) {
			require.Contains(t, slices.Collect(told), name)
		}
	}
}

func TestManySLOsAreSplitIntoFolders(t *testing.T) {
	t.Parallel()
	var services []string
	for i := range 45 {
		services = append(services, fmt.Sprintf("service-%d", i))
	}
	slos := shipped(t, services...)
	file, _ := alerts.Grafana(slos, links)
	require.Len(t, file.Groups, 4, "of each service one has groups, and is as long as three")
	data, err := file.YAML()
	require.NoError(t, err)
	require.Empty(t, checkGrafana(string(data)))
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			require.Less(t, len(r.Data[0].Model.RawSQL), 256<<10, "ClickHouse parses no more")
		}
	}
}
