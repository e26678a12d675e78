package alerts_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/alerts"
)

// kinds are the scenarios that every alert is put through.
var kinds = []string{"fire", "not fire", "resolve", "flap", "low traffic", "no data"}

// input is a series and its values, a sample a minute.
type input struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

// scenario says in which minutes the alert fires, and in which not.
type scenario struct {
	kind   string
	name   string
	inputs []input
	fires  []int
	quiet  []int
}

// phase is so many minutes at so much a minute.
type phase struct {
	minutes   int
	perMinute float64
}

// counter rises from 0 through the phases.
func counter(phases ...phase) string {
	var b strings.Builder
	b.WriteString("0")
	at := 0.0
	for _, p := range phases {
		fmt.Fprintf(&b, " %v+%vx%d", at+p.perMinute, p.perMinute, p.minutes-1)
		at += p.perMinute * float64(p.minutes)
	}
	return b.String()
}

func events(name, more, values string) input {
	return input{fmt.Sprintf(`websocket_events_total{service_name="chat",websocket_vantage="edge",websocket_source_visibility="at_open",`+
		`event_name=%q%s}`, name, more), values}
}

// rising is a symptom for the scenarios that all of them share: what happens, and what else happens of which it is a share.
type rising struct{ of, rest func(values string) input }

var risings = map[string]rising{
	alerts.Storm: {of: func(v string) input { return events("websocket.open", `,event_outcome="success"`, v) }},
	alerts.AuthSpike: {
		of: func(v string) input {
			return events("websocket.auth", `,event_outcome="failure",error_type="token_invalid",websocket_fault="client"`, v)
		},
		rest: func(v string) input { return events("websocket.auth", `,event_outcome="success"`, v) },
	},
	alerts.IDPOutage: {
		of: func(v string) input {
			return events("websocket.auth", `,event_outcome="failure",error_type="idp_timeout",websocket_fault="idp"`, v)
		},
		rest: func(v string) input { return events("websocket.auth", `,event_outcome="success"`, v) },
	},
	alerts.Flood: {of: func(v string) input {
		return events("websocket.message", `,event_outcome="success",network_io_direction="receive"`, v)
	}},
	alerts.ParseErrors: {
		of: func(v string) input {
			return events("websocket.error", `,event_outcome="failure",error_type="reserved_bits",websocket_fault="client"`, v)
		},
		rest: func(v string) input {
			return events("websocket.message", `,event_outcome="success",network_io_direction="receive"`, v)
		},
	},
	alerts.Termination: {
		of: func(v string) input {
			return events("websocket.close", `,event_outcome="failure",error_type="upstream_lost",websocket_fault="server"`, v)
		},
		rest: func(v string) input { return events("websocket.close", `,event_outcome="success"`, v) },
	},
	alerts.DDoS: {
		of: func(v string) input {
			return events("websocket.handshake.rejected", `,event_outcome="failure",error_type="rate_limited",websocket_fault="policy"`, v)
		},
		rest: func(v string) input { return events("websocket.open", `,event_outcome="success"`, v) },
	},
}

// scenarios of a rate: two hours as usual, then the incident.
func (r rising) scenarios(t alerts.Threshold) []scenario {
	floor := 60 * t.PerSecond
	times := t.Times
	if times == 0 {
		times = 4
	}
	usual, loud := math.Ceil(floor/times/4), math.Ceil(2*floor)
	// with adds the rest, at so much a minute.
	with := func(rest float64, minutes int, phases ...phase) []input {
		inputs := []input{r.of(counter(phases...))}
		if r.rest != nil {
			inputs = append(inputs, r.rest(counter(phase{minutes, rest})))
		}
		return inputs
	}
	const hours = 120
	all := []scenario{
		{"fire", "it rises over all limits", with(usual, 180, phase{hours, usual}, phase{60, loud}), []int{hours + 8, hours + 29}, []int{hours, hours + 3}},
		{"resolve", "it is as usual again", with(usual, 240, phase{hours, usual}, phase{20, loud}, phase{60, usual}),
			[]int{hours + 19, hours + 26}, []int{hours + 37, hours + 60}},
		{"flap", "it comes and goes, which is one alert", with(usual, 240, phase{hours, usual}, phase{8, loud}, phase{7, usual},
			phase{8, loud}, phase{7, usual}, phase{8, loud}, phase{60, usual}),
			[]int{hours + 8, hours + 14, hours + 20, hours + 29, hours + 36}, []int{hours + 60}},
		{"low traffic", "it is many times as usual and still little", with(0, 180, phase{hours, floor / 1000}, phase{60, floor / 2}),
			nil, []int{hours + 8, hours + 30, hours + 59}},
		{"no data", "the metrics end", with(usual, 120, phase{hours, usual}), nil, []int{hours + 10, hours + 40}},
		{"no data", "there never were any", nil, nil, []int{10, hours}},
	}
	if t.Times > 0 {
		all = append(all,
			scenario{"not fire", "it is high, and always was", with(loud, 180, phase{hours, loud}, phase{60, loud * (t.Times - 0.5)}),
				nil, []int{hours + 8, hours + 30}},
			scenario{"no data", "a new service has no past that it could be compared with", with(usual, 50, phase{40, loud}), nil, []int{10, 39}})
	}
	if t.Share > 0 {
		all = append(all, scenario{"not fire", "it is a small share", with(loud/t.Share, 180, phase{hours, usual}, phase{60, loud}),
			nil, []int{hours + 8, hours + 30}})
	} else {
		all = append(all, scenario{"not fire", "one burst of a minute", with(0, 180, phase{hours, usual}, phase{1, floor * 4}, phase{60, usual}),
			nil, []int{hours + 2, hours + 4, hours + 6}})
	}
	return all
}

const (
	readThrough = `websocket_source_read_through_seconds{websocket_source_name="edge-1",websocket_vantage="edge"}`
	otherSource = `websocket_source_read_through_seconds{websocket_source_name="edge-2",websocket_vantage="edge"}`
	queueSize   = `otelcol_exporter_queue_size{instance="c1",exporter="websocketclickhouse",data_type="logs"}`
	queueRoom   = `otelcol_exporter_queue_capacity{instance="c1",exporter="websocketclickhouse",data_type="logs"}`
	droppedRows = `otelcol_exporter_websocketclickhouse_dropped_records{instance="c1",reason="too_large"}`
	lostBytes   = `otelcol_receiver_websocketlog_lost_bytes_total{instance="c1"}`
	notAnEvent  = `otelcol_connector_websocketsli_dropped_records{instance="c1",reason="not_an_event"}`
	certificate = `otelcol_receiver_websocketendpoint_certificate_not_after{instance="c1"}`
	plaintext   = `websocket_plaintext_seen_seconds{service_name="chat",websocket_vantage="edge"}`
	behindProxy = `websocket_plaintext_seen_seconds{service_name="chat",websocket_vantage="app"}`
	memory      = `process_memory_usage_bytes{service_name="chat",service_instance_id="chat-1",websocket_vantage="app"}`
	active      = `websocket_connections_active{service_name="chat",service_instance_id="chat-1",websocket_vantage="app"}`
)

const day = 24 * 60 * 60

// steady are the scenarios of the other alerts, each with its own metric.
var steady = map[string][]scenario{
	alerts.Silent: {
		{"fire", "one source stops and the other goes on", []input{{readThrough, "0+60x30 1800x40"}, {otherSource, "0+60x70"}}, []int{40, 70}, []int{30, 34}},
		{"not fire", "it lags, and keeps up", []input{{readThrough, "0x3 0+60x60"}}, nil, []int{10, 60}},
		{"resolve", "it is read again", []input{{readThrough, "0+60x30 1800x20 3060+60x20"}}, []int{40}, []int{52, 60}},
		{"flap", "it stops for four minutes again and again", []input{{readThrough, "0+60x9 540x4 840+60x9 1380x4 1680+60x9"}}, nil, []int{13, 26, 30}},
		{"low traffic", "nothing happens and it says so", []input{{readThrough, "0+60x60"}}, nil, []int{30, 60}},
		{"no data", "its gauge is gone", []input{{readThrough, "0+60x30 stale"}}, []int{40, 80}, []int{30}},
		{"no data", "there never was one", nil, nil, []int{60}},
	},
	alerts.Watermark: {
		{"fire", "all sources of a vantage stop", []input{{readThrough, "0+60x30 1800x40"}, {otherSource, "0+60x30 1800x40"}}, []int{45, 70}, []int{30, 39}},
		{"not fire", "one of two goes on", []input{{readThrough, "0+60x30 1800x40"}, {otherSource, "0+60x70"}}, nil, []int{45, 70}},
		{"resolve", "one is read again", []input{{readThrough, "0+60x30 1800x40"}, {otherSource, "0+60x30 1800x19 3000+60x20"}}, []int{45}, []int{52, 65}},
		{"flap", "they take turns", []input{{readThrough, "0+60x9 540x8 1080+60x9 1620x8"}, {otherSource, "0x8 540x8 1080x8 1620x9"}}, nil, []int{17, 26}},
		{"low traffic", "nothing happens and they say so", []input{{readThrough, "0+60x60"}}, nil, []int{60}},
		{"no data", "their gauges are gone", []input{{readThrough, "0+60x30 stale"}}, []int{45, 80}, []int{35}},
		{"no data", "there never was one", nil, nil, []int{60}},
	},
	alerts.QueueFull: {
		{"fire", "it fills", []input{{queueSize, "0x10 900x20"}, {queueRoom, "1000x30"}}, []int{17, 29}, []int{10, 14}},
		{"not fire", "it is half full", []input{{queueSize, "500x30"}, {queueRoom, "1000x30"}}, nil, []int{20}},
		{"resolve", "it drains", []input{{queueSize, "900x20 10x20"}, {queueRoom, "1000x40"}}, []int{15}, []int{22, 35}},
		{"flap", "it fills for two minutes at a time", []input{{queueSize, "900 900 10 10 900 900 10 10 900 900 10"}, {queueRoom, "1000x12"}}, nil, []int{2, 6, 10}},
		{"low traffic", "it is empty", []input{{queueSize, "0x30"}, {queueRoom, "1000x30"}}, nil, []int{20}},
		{"no data", "the collector is gone", []input{{queueSize, "900x10 stale"}, {queueRoom, "1000x10 stale"}}, nil, []int{12, 30}},
	},
	alerts.Dropped: {
		{"fire", "a counter rises", []input{{droppedRows, "0x10 4x30"}}, []int{11, 24}, []int{10}},
		{"fire", "a counter begins", []input{{lostBytes, "_x10 4096x30"}}, []int{11, 20}, []int{9}},
		{"not fire", "records that are no events are nobody's loss", []input{{notAnEvent, "0+100x40"}, {droppedRows, "0x40"}}, nil, []int{20, 40}},
		{"resolve", "it stands still", []input{{droppedRows, "0x10 4x60"}}, []int{11}, []int{50}},
		{"flap", "it rises now and then, which is one alert", []input{{droppedRows, "0x20 6x20 7x20 8x60"}}, []int{22, 42, 62}, []int{20, 100}},
		{"low traffic", "the collector restarts and its counter with it", []input{{droppedRows, "5x40 0x40"}}, nil, []int{42, 80}},
		{"no data", "the collector is gone", []input{{droppedRows, "0x10 stale"}}, nil, []int{12, 40}},
	},
	alerts.Certificate: {
		{"fire", "ten days are left", []input{{certificate, fmt.Sprintf("%dx20", 10*day)}}, []int{1, 20}, nil},
		{"not fire", "a month is left", []input{{certificate, fmt.Sprintf("%dx20", 30*day)}}, nil, []int{1, 20}},
		{"resolve", "it is renewed", []input{{certificate, fmt.Sprintf("%dx10 %dx20", 10*day, 90*day)}}, []int{9}, []int{12, 30}},
		{"flap", "another instance has renewed, this one not", []input{{certificate, fmt.Sprintf("%dx30", 10*day)},
			{strings.Replace(certificate, "c1", "c2", 1), fmt.Sprintf("%dx30", 90*day)}}, []int{1, 10, 30}, nil},
		{"low traffic", "it ends in fourteen days and an hour", []input{{certificate, fmt.Sprintf("%dx20", 14*day+3600)}}, nil, []int{10}},
		{"no data", "there is no TLS", nil, nil, []int{10}},
	},
	alerts.Plaintext: {
		{"fire", "one client", []input{{plaintext, "600x60"}}, []int{20, 60}, nil},
		{"not fire", "a proxy has ended TLS", []input{{behindProxy, "0+60x60"}}, nil, []int{30, 60}},
		{"resolve", "an hour without", []input{{plaintext, "600x120"}}, []int{60}, []int{72, 120}},
		{"flap", "one client again and again, which is one alert", []input{{plaintext, "0x30 1800x30 3600x60"}}, []int{20, 50, 80}, []int{125}},
		{"low traffic", "long ago", []input{{plaintext, "_x100 600x30"}}, nil, []int{101, 120}},
		{"no data", "there never was one", nil, nil, []int{60}},
	},
	alerts.Memory: {
		{"fire", "memory grows and connections do not", []input{{memory, "1e9+1e7x600"}, {active, "500x600"}}, []int{450, 599}, []int{350}},
		{"not fire", "connections grow as well", []input{{memory, "1e9+1e7x600"}, {active, "500+5x600"}}, nil, []int{450, 599}},
		{"resolve", "it is restarted", []input{{memory, "1e9+1e7x460 5e8x100"}, {active, "500x560"}}, []int{450}, []int{500}},
		{"flap", "it goes up and down", []input{{memory, strings.Repeat("1e9x10 2e9x10 ", 26)}, {active, "500x600"}}, nil, []int{400, 450, 500}},
		{"low traffic", "it doubles and is small", []input{{memory, "5e7+1e5x600"}, {active, "500x600"}}, nil, []int{450, 599}},
		{"no data", "the instance is gone", []input{{memory, "1e9+1e7x380 stale"}, {active, "500x380 stale"}}, nil, []int{450}},
		{"no data", "somebody else's process", []input{{`process_memory_usage_bytes{instance="db"}`, "1e9+1e7x600"}}, nil, []int{450}},
	},
}

func scenariosOf(alert string) []scenario {
	if r, ok := risings[alert]; ok {
		return r.scenarios(alerts.DefaultThresholds()[alert])
	}
	return steady[alert]
}

// promtoolTests writes the scenarios of an alert as promtool reads them.
func promtoolTests(alert, rules string, all []scenario) []byte {
	type sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
	type check struct {
		Expr string   `yaml:"expr"`
		At   string   `yaml:"eval_time"`
		Want []sample `yaml:"exp_samples,omitempty"`
	}
	type test struct {
		Name     string  `yaml:"name"`
		Interval string  `yaml:"interval"`
		Inputs   []input `yaml:"input_series"`
		Checks   []check `yaml:"promql_expr_test"`
	}
	var tests []test
	for _, s := range all {
		one := test{Name: s.kind + ": " + s.name, Interval: "1m", Inputs: s.inputs}
		expr := fmt.Sprintf("count by (severity) (ALERTS{alertname=%q,alertstate=\"firing\"})", alert)
		severity := fmt.Sprintf("{severity=%q}", alerts.DefaultThresholds()[alert].Severity)
		for _, at := range s.fires {
			one.Checks = append(one.Checks, check{expr, fmt.Sprintf("%dm", at), []sample{{severity, 1}}})
		}
		for _, at := range s.quiet {
			one.Checks = append(one.Checks, check{expr, fmt.Sprintf("%dm", at), nil})
		}
		tests = append(tests, one)
	}
	text, err := yaml.Marshal(map[string]any{"rule_files": []string{rules}, "evaluation_interval": "1m", "tests": tests})
	if err != nil {
		panic(err)
	}
	return text
}

// scenarioRules are the rules that one alert needs: its own, and of the recorded ones those it may use.
func scenarioRules(t testing.TB, alert string) alerts.File {
	t.Helper()
	file, notes := alerts.Prometheus(nil, links)
	require.Empty(t, notes)
	for i := range file.Groups {
		var kept []alerts.Rule
		needed := ""
		for _, r := range slices.Backward(file.Groups[i].Rules) {
			if r.Alert == alert || r.Record != "" && strings.Contains(needed, r.Record) {
				needed += r.Expr + r.Annotations["description"]
				kept = slices.Insert(kept, 0, r)
			}
		}
		file.Groups[i].Rules = kept
	}
	file.Groups = slices.DeleteFunc(file.Groups, func(g alerts.Group) bool { return len(g.Rules) == 0 })
	require.NotEmpty(t, file.Groups, alert)
	return file
}

// try runs scenarios of an alert against rules, and returns what promtool says.
func try(t testing.TB, alert string, file alerts.File, all []scenario) (string, error) {
	t.Helper()
	dir := t.TempDir()
	text, err := file.YAML()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600))
	tests := filepath.Join(dir, "tests.yaml")
	require.NoError(t, os.WriteFile(tests, promtoolTests(alert, "rules.yaml", all), 0o600))
	return runPromtool(t, "test", "rules", tests)
}

func TestEveryAlertIsPutThroughEveryKindOfScenario(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, slices.Collect(maps.Keys(alerts.DefaultThresholds())),
		slices.Concat(slices.Collect(maps.Keys(risings)), slices.Collect(maps.Keys(steady))))
	for alert := range alerts.DefaultThresholds() {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			var seen []string
			for _, s := range scenariosOf(alert) {
				seen = append(seen, s.kind)
			}
			for _, kind := range kinds {
				require.Contains(t, seen, kind)
			}
			out, err := try(t, alert, scenarioRules(t, alert), scenariosOf(alert))
			require.NoError(t, err, out)
		})
	}
}

var ifAbove = regexp.MustCompile(`> ([0-9.]+)`)

// TestScenariosNoticeEveryChangeOfARule changes each condition of each alert, one at a time.
func TestScenariosNoticeEveryChangeOfARule(t *testing.T) {
	t.Parallel()
	for alert := range alerts.DefaultThresholds() {
		// Each names the kind of scenario that notices it.
		changes := map[[2]string]func(r *alerts.Rule) bool{
			{"a comparison is turned around", "fire"}: func(r *alerts.Rule) bool {
				before := r.Expr
				at := strings.LastIndexAny(r.Expr, "<>")
				r.Expr = r.Expr[:at] + map[byte]string{'<': ">", '>': "<"}[r.Expr[at]] + r.Expr[at+1:]
				return r.Expr != before
			},
			{"it never fires", "fire"}: func(r *alerts.Rule) bool {
				r.Expr = "(" + r.Expr + ") unless vector(1) == 1 and on () vector(0)"
				r.For = "30d"
				return true
			},
			{"it does not wait", "fire"}: func(r *alerts.Rule) bool {
				waits := r.For != "" && risings[alert].of != nil
				r.For = ""
				return waits
			},
			{"it does not stay", "flap"}: func(r *alerts.Rule) bool {
				stays := r.KeepFiringFor != ""
				r.KeepFiringFor = ""
				return stays
			},
			{"it has no floor", "low traffic"}: func(r *alerts.Rule) bool {
				if risings[alert].of == nil {
					return false
				}
				r.Expr = ifAbove.ReplaceAllString(r.Expr, "> 0")
				return true
			},
			{"it does not ask what is usual", "not fire"}: func(r *alerts.Rule) bool {
				return cut(r, "and ")
			},
			{"it does not ask for the share", "not fire"}: func(r *alerts.Rule) bool {
				return cut(r, "unless ")
			},
		}
		for name, change := range changes {
			file := scenarioRules(t, alert)
			changed := false
			for i := range file.Groups {
				for j := range file.Groups[i].Rules {
					if r := &file.Groups[i].Rules[j]; r.Alert == alert && (r.Labels["severity"] == string(alerts.DefaultThresholds()[alert].Severity)) {
						changed = change(r) || changed
					}
				}
			}
			if !changed {
				continue
			}
			all := slices.DeleteFunc(slices.Clone(scenariosOf(alert)), func(s scenario) bool { return s.kind != name[1] })
			t.Run(alert+"/"+name[0], func(t *testing.T) {
				t.Parallel()
				_, err := try(t, alert, file, all)
				require.Error(t, err, "no scenario notices")
			})
		}
	}
}

// cut leaves out the line of a rule that begins so.
func cut(r *alerts.Rule, begin string) bool {
	lines := strings.Split(r.Expr, "\n")
	kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, begin) })
	r.Expr = strings.Join(kept, "\n")
	return len(kept) < len(lines) && len(kept) > 0 && !strings.HasPrefix(r.Expr, "max by")
}

// storms are scenarios of a storm alone, for Prometheus and Grafana: what is usual is that of the same hour, and what is written when
// it ends is none.
func storms() []scenario {
	const hour = 60
	of := risings[alerts.Storm].of
	// Every day is quiet but for two hours, in which a hundred times as many connect.
	day := []phase{{12 * hour, 60}, {2 * hour, 6000}, {10 * hour, 60}}
	twoDays := counter(slices.Concat(day, day)...)
	stormAtNight := counter(slices.Concat(day, []phase{{6 * hour, 60}, {hour, 6000}})...)
	atClose := of(counter(phase{120, 10}, phase{30, 6000}))
	atClose.Series = strings.Replace(atClose.Series, "at_open", "at_close", 1)
	return []scenario{
		{"not fire", "the rush of yesterday comes again", []input{of(twoDays)}, nil, []int{36*hour + 10, 37*hour + 59}},
		{"fire", "as much at another hour", []input{of(stormAtNight)}, []int{30*hour + 10}, []int{30 * hour}},
		{"not fire", "a proxy that logs at close restarts", []input{atClose}, nil, []int{130, 149}},
	}
}

func TestACertificateThatNearlyEndsPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, err := scenarioRules(t, alerts.Certificate).YAML()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600))
	tests := fmt.Sprintf(`rule_files: [rules.yaml]
tests:
  - interval: 1m
    input_series: [{series: '%s', values: '%dx20'}]
    promql_expr_test:
      - expr: count by (severity) (ALERTS{alertname="CertificateExpiring"})
        eval_time: 10m
        exp_samples: [{labels: '{severity="page"}', value: 1}, {labels: '{severity="ticket"}', value: 1}]
`, certificate, 2*day)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.yaml"), []byte(tests), 0o600))
	promtool(t, "test", "rules", filepath.Join(dir, "tests.yaml"))
}
