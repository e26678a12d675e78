package alerts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// columns of events, by the label that a metric has of each.
var columns = map[string]string{
	"service_name": "service", "cloud_region": "region", "websocket_vantage": "vantage", "websocket_source_visibility": "visibility",
	"event_name": "event", "event_outcome": "outcome", "error_type": "error_type", "websocket_fault": "fault",
	"network_io_direction": "direction", "service_instance_id": "instance",
}

// gauges are the attributes that metrics are made of.
var gauges = map[string]string{
	"process_memory_usage_bytes": "process.memory.usage", "websocket_connections_active": "websocket.connections.active",
}

// sample is a value of a series in a minute.
type sample struct {
	minute int
	value  float64
}

func samples(t testing.TB, in input) (labels map[string]string, all []sample) {
	t.Helper()
	series, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(in.Series + " " + in.Values)
	require.NoError(t, err, in.Series)
	for minute, v := range values {
		if !v.Omitted && !math.IsNaN(v.Value) {
			all = append(all, sample{minute, v.Value})
		}
	}
	return series.Map(), all
}

// told are the events from which the metrics of a scenario would have been made, of a service of its own.
func told(t testing.TB, s scenario, service string, base time.Time) (rows []map[string]any) {
	t.Helper()
	for _, in := range s.inputs {
		labels, all := samples(t, in)
		name := labels["__name__"]
		row := func(at time.Time, more map[string]any) {
			r := map[string]any{}
			for label, column := range columns {
				if labels[label] != "" {
					r[column] = labels[label]
				}
			}
			if r["service"] != nil {
				r["service"] = service
			}
			maps.Copy(r, more)
			r["time"], r["counted_at"] = at.Format("2006-01-02 15:04:05"), at.Format("2006-01-02 15:04:05")
			rows = append(rows, r)
		}
		last := 0.0
		for _, v := range all {
			// In the middle of the minute that ends with the sample.
			at := base.Add(time.Duration(v.minute)*time.Minute - 30*time.Second)
			switch {
			case name == "websocket_events_total":
				if n := uint64(v.value) - uint64(last); n > 0 {
					row(at, map[string]any{"count": n, "judged": n})
				}
			case name == "websocket_plaintext_seen_seconds":
				if v.value != last || v.minute == 0 {
					row(base.Add(time.Duration(v.value)*time.Second), map[string]any{
						"event": "websocket.open", "outcome": "success", "count": 1, "attributes": map[string]string{"url.scheme": "ws"}})
				}
			default:
				require.Contains(t, gauges, name)
				row(at, map[string]any{"event": "websocket.connections", "count": 1, "attributes": map[string]string{gauges[name]: fmt.Sprint(uint64(v.value))}})
			}
			last = v.value
		}
	}
	return rows
}

// moments are when a scenario is looked at.
func (s *scenario) moments() []int {
	all := slices.Concat(s.fires, s.quiet)
	slices.Sort(all)
	return slices.Compact(all)
}

// at is a rule as it is asked at a moment.
func at(rule alerts.GrafanaRule, now time.Time) *alerts.GrafanaRule {
	rule.Data = slices.Clone(rule.Data)
	rule.Data[0].Model.RawSQL = strings.ReplaceAll(rule.Data[0].Model.RawSQL, "now()", fmt.Sprintf("toDateTime(%d)", now.Unix()))
	return &rule
}

// verdicts are how many series fire in each moment, of each scenario by its number.
type verdicts map[int]map[int]int

func (v verdicts) add(scenario, moment, firing int) {
	if v[scenario] == nil {
		v[scenario] = map[int]int{}
	}
	v[scenario][moment] += firing
}

// labelsOf are the labels of an alert besides its name and severity: its signature, by which Alertmanager tells alerts apart.
func labelsOf(alert string) []string {
	switch alert {
	case alerts.Silent:
		return []string{"source"}
	case alerts.Watermark:
		return []string{"vantage"}
	case alerts.Memory:
		return []string{"service", "region", "vantage", "instance"}
	}
	return []string{"service", "region", "vantage"}
}

// prometheusAgrees asks Prometheus, of the same events, whether as many series are over the conditions of an alert.
func prometheusAgrees(t testing.TB, alert string, all []scenario, want verdicts) {
	t.Helper()
	file := scenarioRules(t, alert)
	var expr string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == alert {
				require.Empty(t, expr)
				expr = r.Expr
			}
		}
	}
	var tests []map[string]any
	fired, quiet := 0, 0
	for i, s := range all {
		var checks []map[string]any
		for _, moment := range s.moments() {
			n := want[i][moment]
			fired, quiet = fired+min(n, 1), quiet+1-min(n, 1)
			checks = append(checks, map[string]any{"expr": "count without (" + strings.Join(labelsOf(alert), ", ") + ") (" + expr + ") or vector(0)", "eval_time": fmt.Sprintf("%dm", moment),
				"exp_samples": []map[string]any{{"labels": "{}", "value": n}}})
		}
		tests = append(tests, map[string]any{"name": s.kind + ": " + s.name, "interval": "1m", "input_series": s.inputs, "promql_expr_test": checks})
	}
	require.NotZero(t, fired, "it never fires")
	require.NotZero(t, quiet, "it always fires")
	dir := t.TempDir()
	rules, err := file.YAML()
	require.NoError(t, err)
	text, err := yaml.Marshal(map[string]any{"rule_files": []string{"rules.yaml"}, "evaluation_interval": "1m", "tests": tests})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.yaml"), text, 0o600))
	promtool(t, "test", "rules", filepath.Join(dir, "tests.yaml"))
}

func migrated(t testing.TB) (*store.Store, string) {
	t.Helper()
	dsn := embeddedtest.Database(t)
	s, err := store.Open(t.Context(), dsn, store.Options{DialTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	return s, dsn
}

func grafanaRules(t testing.TB) map[string]alerts.GrafanaRule {
	t.Helper()
	file, _ := alerts.Grafana(nil, links)
	require.Len(t, file.Groups, 1)
	rules := map[string]alerts.GrafanaRule{}
	for _, r := range file.Groups[0].Rules {
		rules[r.Title] = r
	}
	return rules
}

// byService are the alerts whose rows name a service, so that all scenarios can be in one database.
var byService = append(slices.Sorted(maps.Keys(risings)), alerts.Plaintext, alerts.Memory)

// names are those of the labels of a row.
func names(row string) (all []string) {
	for _, label := range strings.Fields(row) {
		name, _, _ := strings.Cut(label, "=")
		all = append(all, name)
	}
	return all
}

var serviceLabel = regexp.MustCompile(`service=(\w+)-(\d+) `)

// TestGrafanaSaysWhatPrometheusSays asks both about the events of every scenario.
func TestGrafanaSaysWhatPrometheusSays(t *testing.T) {
	t.Parallel()
	s, dsn := migrated(t)
	rules := grafanaRules(t)
	base := time.Now().UTC().Truncate(time.Hour).Add(-40 * time.Hour)
	of := map[string][]scenario{}
	// since is the minute of the first event of a service.
	since := map[string]int{}
	var rows strings.Builder
	rows.WriteString("INSERT INTO events FORMAT JSONEachRow\n")
	e := json.NewEncoder(&rows)
	for _, alert := range byService {
		of[alert] = scenariosOf(alert)
		if alert == alerts.Storm {
			of[alert] = append(of[alert], storms()...)
		}
		for i, sc := range of[alert] {
			service := fmt.Sprintf("%s-%d", alert, i)
			for _, r := range told(t, sc, service, base) {
				require.NoError(t, e.Encode(r))
				first, err := time.Parse("2006-01-02 15:04:05", r["time"].(string))
				require.NoError(t, err)
				minute := int(first.Sub(base).Minutes()) + 1
				if old, seen := since[service]; !seen || minute < old {
					since[service] = minute
				}
			}
		}
	}
	embeddedtest.Exec(t, dsn, rows.String())
	for _, alert := range byService {
		t.Run(alert, func(t *testing.T) {
			var moments []int
			for _, sc := range of[alert] {
				moments = append(moments, sc.moments()...)
			}
			slices.Sort(moments)
			ask := func(rule alerts.GrafanaRule) verdicts {
				got := verdicts{}
				for _, moment := range slices.Compact(moments) {
					firing, quiet, err := instances(t, s, at(rule, base.Add(time.Duration(moment)*time.Minute)))
					require.NoError(t, err)
					rows := map[int]bool{}
					for n, all := range [][]string{quiet, firing} {
						for _, row := range all {
							found := serviceLabel.FindStringSubmatch(row)
							if found == nil || found[1] != alert {
								continue
							}
							i, err := strconv.Atoi(found[2])
							require.NoError(t, err)
							require.Equal(t, labelsOf(alert), names(row))
							require.False(t, rows[i], "two rows of %s", row)
							rows[i] = true
							got.add(i, moment, n)
						}
					}
					for i := range of[alert] {
						first, any := since[fmt.Sprintf("%s-%d", alert, i)]
						if _, symptom := risings[alert]; symptom && any && first < moment && moment < first+day/60 {
							require.True(t, rows[i], "no row of %s at %d", of[alert][i].name, moment)
						}
					}
				}
				return got
			}
			got := ask(rules[alert])
			for i := len(scenariosOf(alert)); i < len(of[alert]); i++ {
				for _, moment := range of[alert][i].fires {
					require.Equal(t, 1, got[i][moment], "%s at %d", of[alert][i].name, moment)
				}
				for _, moment := range of[alert][i].quiet {
					require.Zero(t, got[i][moment], "%s at %d", of[alert][i].name, moment)
				}
			}
			prometheusAgrees(t, alert, of[alert], got)
			if alert != alerts.AuthSpike {
				return // the statements of the others are written alike
			}
			for name, change := range map[string][2]string{
				"no floor":                  {"rate > 0.2", "rate > 0"},
				"what is usual, for a part": {"rates.rate > 4 * usual.usual", "rates.rate > 0.1 * usual.usual"},
				"what is usual, unknown":    {"ifNull(rates.rate > 4 * usual.usual, 0)", "ifNull(rates.rate > 4 * usual.usual, 1)"},
				"no share":                  {"rates.rate / rates.among <= 0.1", "rates.rate / rates.among <= 0"},
				"another window":            {"asof - 300", "asof - 3000"},
				"never":                     {"rates.rate, 0) AS per_second", "0, 0) AS per_second"},
			} {
				changed := at(rules[alert], base)
				changed.Data[0].Model.RawSQL = strings.ReplaceAll(rules[alert].Data[0].Model.RawSQL, change[0], change[1])
				require.NotEqual(t, rules[alert].Data[0].Model.RawSQL, changed.Data[0].Model.RawSQL, name)
				require.NotEqual(t, got, ask(*changed), "no scenario notices: %s", name)
			}
		})
	}
}

// TestGrafanaSaysWhatPrometheusSaysOfSources asks about each moment by itself: the store keeps the last report of a source alone.
func TestGrafanaSaysWhatPrometheusSaysOfSources(t *testing.T) {
	t.Parallel()
	rules := grafanaRules(t)
	base := time.Now().UTC().Truncate(time.Hour).Add(-4 * time.Hour)
	for _, alert := range []string{alerts.Silent, alerts.Watermark} {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			s, dsn := migrated(t)
			got := verdicts{}
			for i, sc := range steady[alert] {
				for _, moment := range sc.moments() {
					embeddedtest.Exec(t, dsn, "TRUNCATE TABLE source_progress")
					var progress []store.Progress
					for _, in := range sc.inputs {
						labels, all := samples(t, in)
						all = slices.DeleteFunc(all, func(v sample) bool { return v.minute > moment })
						if len(all) > 0 {
							last := all[len(all)-1]
							progress = append(progress, store.Progress{Source: labels["websocket_source_name"],
								ReadThrough: base.Add(time.Duration(last.value) * time.Second), Wall: base.Add(time.Duration(last.minute) * time.Minute)})
						}
					}
					if len(progress) > 0 {
						require.NoError(t, s.InsertProgress(t.Context(), progress))
					}
					firing, _, err := instances(t, s, at(rules[alert], base.Add(time.Duration(moment)*time.Minute)))
					require.NoError(t, err)
					for _, row := range firing {
						// The store does not know the vantage of a source.
						require.True(t, alert == alerts.Watermark && row == "" || slices.Equal(labelsOf(alert), names(row)), row)
					}
					got.add(i, moment, len(firing))
				}
			}
			prometheusAgrees(t, alert, steady[alert], got)
		})
	}
}

// TestBothSayTheSameOfAnAlert compares what Prometheus and Grafana are given to say, and to wait for.
func TestBothSayTheSameOfAnAlert(t *testing.T) {
	t.Parallel()
	file, _ := alerts.Prometheus(nil, links)
	rules := grafanaRules(t)
	seen := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			in, has := rules[r.Alert]
			if !has {
				continue
			}
			seen++
			orZero := func(text string) string {
				return strings.Replace("0s"+text, "0s", map[bool]string{true: "0s"}[text == ""], 1)
			}
			require.Equal(t, orZero(r.For), in.For, r.Alert)
			require.Equal(t, r.KeepFiringFor, in.KeepFiringFor, r.Alert)
			require.Equal(t, r.Labels["severity"], in.Labels["severity"], r.Alert)
			for key, text := range in.Annotations {
				text = strings.ReplaceAll(text, "$values.A.Value", "$value")
				require.True(t, strings.HasPrefix(r.Annotations[key], text), "%s of %s: %q, %q", key, r.Alert, r.Annotations[key], text)
			}
		}
	}
	require.Len(t, rules, seen)
}
