package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// metricsConfig counts the events of a file into metrics that Prometheus scrapes. There is no store.
const metricsConfig = `
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
receivers:
  websocketlog:
    format: ndjson
    include: [%[2]s]
    start_at: beginning
    vantage: edge
    storage: file_storage
    key_file: %[1]s/installation.key
processors:
  pii: {key_file: %[1]s/installation.key}
connectors:
  websocketsli: {interval: 1s, zero_for: 5s, storage: file_storage}
exporters:
  prometheus: {endpoint: "%[3]s", enable_open_metrics: true}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [websocketlog], processors: [pii], exporters: [websocketsli]}
    metrics: {receivers: [websocketsli], exporters: [prometheus]}
`

const prometheusConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
scrape_configs: [{job_name: sockeye, static_configs: [{targets: ["%s"]}]}]
`

// alertSettings let a symptom begin and end at once, and name who is paged.
const alertSettings = `
thresholds: {IdPOutage: {for: 1s, keep: 1s}}
owners: [{name: sockeye, page: {webhook_configs: [{url: %q}]}}]
`

// metricsSLO has one pair of windows for a page and one for a ticket.
const metricsSLO = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: opens}
spec:
  service: chat
  indicator:
    metadata: {name: opens}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}]}}}
        total:
          metricSource:
            type: Sockeye
            spec:
              vantage: edge
              select: [{event: websocket.open}, {event: websocket.handshake.rejected, where: {fault: [server]}}]
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: page}
      spec: {notificationTargets: [{kind: AlertNotificationTarget, metadata: {name: on-call}, spec: {target: alertmanager}}], conditions: [{kind: AlertCondition, metadata: {name: page}, spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h}}}]}
    - kind: AlertPolicy
      metadata: {name: ticket}
      spec: {notificationTargets: [{kind: AlertNotificationTarget, metadata: {name: queue}, spec: {target: alertmanager}}], conditions: [{kind: AlertCondition, metadata: {name: ticket}, spec: {severity: ticket, condition: {kind: burnrate, op: gt, threshold: 6, lookbackWindow: 6h}}}]}
  objectives: [{targetPercent: 99.9}]
`

const traceID = "0af70000000000000000000000000001"

// traffic appends opens to a log all the time, or failures while it is told to.
type traffic struct {
	mu      sync.Mutex
	file    *os.File
	failing bool
	// opened and failed are how many lines there are.
	opened, failed int
}

func (f *traffic) fail(failing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = failing
}

func (f *traffic) written() (opened, failed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened, f.failed
}

func (f *traffic) write(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, more := "websocket.open", `"http.response.status_code":101,"websocket.handshake.duration":0.004`
	if f.failing {
		name, more = "websocket.handshake.rejected", `"error.type":"upstream_timeout"`
	}
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, `{"time":%q,"event":%q,"trace_id":"`+traceID+`","span_id":"b700000000000002","websocket.connection.id":"c","websocket.vantage":"edge",`+
			`"websocket.source.visibility":"at_open","websocket.source.type":"app","websocket.source.evidence":"observed",`+
			`"network.protocol.name":"websocket",%s,"resource":{"service.name":"chat"}}`+"\n",
			time.Now().UTC().Format(time.RFC3339Nano), name, more)
	}
	if f.failing {
		f.failed += n
	} else {
		f.opened += n
	}
	_, err := f.file.WriteString(b.String())
	return err
}

// authenticate appends authentications of another service, which its identity provider answers or not.
func (f *traffic) authenticate(n int, answered bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := `"websocket.auth.result":"success"`
	if !answered {
		more = `"websocket.auth.result":"failure","error.type":"idp_timeout"`
	}
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, `{"time":%q,"event":"websocket.auth","websocket.connection.id":"c","websocket.vantage":"app",`+
			`"websocket.source.visibility":"at_open","websocket.source.type":"app","websocket.source.evidence":"observed",`+
			`"network.protocol.name":"websocket","websocket.auth.duration":0.1,%s,"resource":{"service.name":"accounts"}}`+"\n",
			time.Now().UTC().Format(time.RFC3339Nano), more)
	}
	_, err := f.file.WriteString(b.String())
	return err
}

// run writes until the test ends or stop is called.
func (f *traffic) run(t *testing.T) (stop func()) {
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				ended <- nil
				return
			case <-ticker.C:
				if err := f.write(20); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(done)
			require.NoError(t, <-ended)
		})
	}
	t.Cleanup(stop)
	return stop
}

// point is one sample, at a time in seconds.
type point struct{ at, value float64 }

// prometheus is a running one.
type prometheus struct {
	*program
	addr string
}

// ask returns the samples of a query by the alert name and severity of their series, or by "".
func (p *prometheus) ask(query string) map[string][]point {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	resp, err := http.Get("http://" + p.addr + "/api/v1/query?" + url.Values{"query": {query}}.Encode())
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return nil
	}
	found := map[string][]point{}
	for _, r := range answer.Data.Result {
		if r.Values == nil {
			r.Values = [][2]any{r.Value}
		}
		key := strings.TrimSpace(r.Metric["alertname"] + " " + r.Metric["severity"])
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			require.NoError(p.t, err)
			found[key] = append(found[key], point{at, value})
		}
	}
	return found
}

func (p *prometheus) one(query string) (float64, bool) {
	found := p.ask(query)[""]
	if len(found) != 1 {
		return 0, false
	}
	return found[0].value, true
}

// at is the last value of a counter up to a time, and 0 before its first.
func at(points []point, time float64) float64 {
	last := 0.0
	for _, p := range points {
		if p.at <= time {
			last = p.value
		}
	}
	return last
}

// amAlert is one of Alertmanager's.
type amAlert struct {
	Labels map[string]string
	Status struct {
		State       string
		InhibitedBy []string
	}
}

func amAlerts(addr string) (alerts []amAlert) {
	resp, err := http.Get("http://" + addr + "/api/v2/alerts")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&alerts) != nil {
		return nil
	}
	return alerts
}

// TestPrometheusPagesByTheMetrics: a real Prometheus scrapes the collector and evaluates the generated rules, with windows
// scaled by 30, and a real Alertmanager gets the alerts, with the generated configuration. Times are those of Prometheus's own samples and evaluations, so a slow
// machine is only slow.
func TestPrometheusPagesByTheMetrics(t *testing.T) {
	t.Parallel()
	prometheusPath := testenv.Program(t, "prometheus", "prometheus")
	alertmanagerPath := testenv.Program(t, "prometheus-alertmanager", "prometheus-alertmanager")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) string {
		require.NoError(t, os.WriteFile(path(name), []byte(text), 0o600))
		return path(name)
	}

	paged := make(chan string, 100)
	pager := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if json.NewDecoder(r.Body).Decode(&message) == nil {
			for _, a := range message.Alerts {
				select {
				case paged <- a.Labels["alertname"] + " of " + a.Labels["service"] + " " + a.Status:
				default: // nobody waits for so many
				}
			}
		}
	}))
	t.Cleanup(pager.Close)
	settings := put("alerts.yaml", fmt.Sprintf(alertSettings, pager.URL))
	for _, args := range [][]string{
		{put("slo.yaml", metricsSLO), "--out", path("rules.yaml"), "--interval", "1s", "--window-scale", "30"},
		{"--kind", "alertmanager", "--out", path("alertmanager.yaml")},
	} {
		generate := start(t, nil, binary(t), append([]string{"generate", "alerts", "--settings", settings}, args...)...)
		require.Zero(t, generate.wait(time.Minute), generate.out.String())
	}

	log, err := os.Create(path("events.ndjson"))
	require.NoError(t, err)
	defer log.Close()
	metricsAddr, amAddr := testenv.Address(t), testenv.Address(t)
	config := configFile(t, fmt.Sprintf(metricsConfig, dir, log.Name(), metricsAddr))
	collector := start(t, nil, binary(t), "--config", config)
	alertmanager := start(t, nil, alertmanagerPath, "--config.file="+path("alertmanager.yaml"),
		"--web.listen-address="+amAddr, "--storage.path="+path("alertmanager"), "--cluster.listen-address=")
	p := &prometheus{addr: testenv.Address(t)}
	p.program = start(t, nil, prometheusPath,
		"--config.file="+put("prometheus.yaml", fmt.Sprintf(prometheusConfig, path("rules.yaml"), amAddr, metricsAddr)),
		"--web.listen-address="+p.addr, "--storage.tsdb.path="+path("prometheus"))
	for _, one := range []struct {
		p    *program
		addr string
	}{{collector, metricsAddr}, {alertmanager, amAddr}, {p.program, p.addr}} {
		one.p.listening(one.addr)
	}

	flow := &traffic{file: log}
	stop := flow.run(t)
	const (
		all    = `sum(websocket_events_total{service_name="chat"})`
		failed = `websocket_events_total{event_name="websocket.handshake.rejected"}`
		opened = `websocket_events_total{event_name="websocket.open"}`
		limit  = 3 * time.Minute
	)
	t.Run("a symptom pages and resolves", func(t *testing.T) {
		outage := func() bool {
			for _, a := range amAlerts(amAddr) {
				if a.Labels["alertname"] == "IdPOutage" {
					require.Equal(t, "accounts", a.Labels["service"])
					require.Equal(t, "page", a.Labels["severity"])
					return true
				}
			}
			return false
		}
		failed := `sum(websocket_events_total{service_name="accounts",error_type="idp_timeout"})`
		// A busy machine may scrape for the first time when the series is no longer shown as zero.
		require.NoError(t, flow.authenticate(1, false))
		eventually(t, limit, "the first failure", func() (bool, string) {
			n, ok := p.one(failed)
			return ok && n == 1, fmt.Sprint(n)
		})
		require.NoError(t, flow.authenticate(40, false))
		eventually(t, limit, "the symptom at Alertmanager", func() (bool, string) { return outage(), fmt.Sprint(p.ask("ALERTS")) })
		eventually(t, limit, "the page", func() (bool, string) {
			select {
			case got := <-paged:
				return got == "IdPOutage of accounts firing", got
			default:
				return false, "nobody was paged"
			}
		})
		n, _ := p.one(failed)
		require.InDelta(t, 41, n, 0)
		require.NoError(t, flow.authenticate(1000, true)) // so few of so many are no outage
		eventually(t, limit, "its end at Alertmanager", func() (bool, string) { return !outage(), fmt.Sprint(p.ask("ALERTS")) })
		require.Empty(t, p.ask(`ALERTS{alertname="IdPOutage"}`))
	})
	// The first hour, scaled, need not be full: the ratio is that of all there is.
	eventually(t, limit, "a judged window of 5 minutes", func() (bool, string) {
		v, ok := p.one(`slo:events_judged:sum1h`)
		return ok && v > 2000, fmt.Sprint(v)
	})
	require.Empty(t, p.ask(`ALERTS{alertname="ErrorBudgetBurn"}`))

	request, err := http.NewRequest(http.MethodGet, "http://"+metricsAddr+"/metrics", nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer resp.Body.Close()
	exposed, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, series := range []string{"websocket_events_total{", "websocket_event_duration_seconds_bucket{"} {
		require.Regexp(t, "(?m)^"+series+`.* # \{.*trace_id="`+traceID, string(exposed))
	}

	flow.fail(true)
	eventually(t, limit, "a page", func() (bool, string) {
		found := p.ask(`ALERTS{alertstate="firing"}`)
		return len(found["ErrorBudgetBurn page"]) > 0, fmt.Sprint(found)
	})
	fired := p.ask(`ALERTS{alertstate="firing",alertname="ErrorBudgetBurn",severity="page"}[10m]`)["ErrorBudgetBurn page"][0].at
	bad, good := p.ask(failed + "[10m]")[""], p.ask(opened + "[10m]")[""]
	burning := func(now float64) bool {
		over := func(window float64) bool {
			b, g := at(bad, now)-at(bad, now-window), at(good, now)-at(good, now-window)
			return b > 0.0144*(b+g)
		}
		return over(120) && over(10)
	}
	// The evaluations since the closed form held on what had been scraped. A sample has the time at which its scrape began.
	slowest, known := p.one(`max(max_over_time(scrape_duration_seconds[10m]))`)
	require.True(t, known)
	late := 0
	for _, e := range p.ask(`slo:objective:ratio[10m]`)[""] {
		if e.at < fired && burning(e.at-slowest) {
			late++
		}
	}
	require.LessOrEqual(t, late, 2, "evaluations at which it should have fired")
	require.True(t, burning(fired+0.001), "it fired although nothing burned")

	eventually(t, limit, "the page inhibits its ticket", func() (bool, string) {
		alerts := amAlerts(amAddr)
		page, inhibited := false, false
		for _, a := range alerts {
			if a.Labels["alertname"] == "ErrorBudgetBurn" && a.Labels["service"] == "chat" && a.Labels["slo"] == "opens" {
				page = page || a.Labels["severity"] == "page" && a.Status.State == "active"
				inhibited = inhibited || a.Labels["severity"] == "ticket" && len(a.Status.InhibitedBy) == 1
			}
		}
		return page && inhibited, fmt.Sprint(alerts)
	})

	// Killed with events on their way, the collector goes on counting where it was.
	collector.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it runs
	<-collector.done
	collector.ended = true
	flow.fail(false)
	collector = start(t, nil, binary(t), "--config", config)
	collector.listening(metricsAddr)
	eventually(t, limit, "the end of the page", func() (bool, string) {
		found := p.ask(`ALERTS{alertname="ErrorBudgetBurn",severity="page"}`)
		_, judged := p.one(`slo:error_ratio:ratio5m`)
		return judged && len(found) == 0, fmt.Sprint(found)
	})
	eventually(t, limit, "Alertmanager knows that it ended", func() (bool, string) {
		alerts := amAlerts(amAddr)
		for _, a := range alerts {
			if a.Labels["alertname"] == "ErrorBudgetBurn" && a.Labels["severity"] == "page" {
				return false, fmt.Sprint(alerts)
			}
		}
		return true, ""
	})
	stop()
	good0, bad0 := flow.written()
	eventually(t, limit, "every line is counted once", func() (bool, string) {
		v, _ := p.one(all)
		return v == float64(good0+bad0), fmt.Sprintf("%v of %d", v, good0+bad0)
	})
	resets, known := p.one(`sum(resets(websocket_events_total[10m]))`)
	require.True(t, known)
	require.Zero(t, resets, "a restart is no reset")

	// Nobody writes: no traffic is no alert. Nobody is there: that is one.
	eventually(t, limit, "no traffic", func() (bool, string) {
		v, known := p.one(`slo:events_total:sum5m`)
		_, ratio := p.one(`slo:error_ratio:ratio5m`)
		return known && v == 0 && !ratio, fmt.Sprint(v)
	})
	require.Empty(t, p.ask(`ALERTS{alertname="SLOMetricsAbsent"}`))
	collector.stop()
	eventually(t, limit, "an alert of its own for absent metrics", func() (bool, string) {
		for _, a := range amAlerts(amAddr) {
			if a.Labels["alertname"] == "SLOMetricsAbsent" && a.Labels["slo"] == "opens" && a.Labels["severity"] == "page" {
				return true, ""
			}
		}
		return false, fmt.Sprint(p.ask(`ALERTS`))
	})
}
