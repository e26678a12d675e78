package sloextension

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// pager is the webhook behind an Alertmanager.
type pager struct {
	*httptest.Server
	mutex sync.Mutex
	got   []notice
}

type notice struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	at          time.Time
}

func newPager(t *testing.T) *pager {
	p := &pager{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []notice `json:"alerts"`
		}
		if json.NewDecoder(r.Body).Decode(&message) != nil {
			return
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		for _, n := range message.Alerts {
			n.at = time.Now()
			p.got = append(p.got, n)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// received returns the first notice of a page with a status.
func (p *pager) received(status string) (notice, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, n := range p.got {
		if n.Status == status && n.Labels["severity"] == "page" && n.Labels["slo"] == "connection-availability" {
			return n, true
		}
	}
	return notice{}, false
}

// startAlertmanager runs the real one on a free port and returns its address.
func startAlertmanager(t *testing.T, webhook string) string {
	t.Helper()
	program := testenv.Program(t, "prometheus-alertmanager", "prometheus-alertmanager")
	dir := t.TempDir()
	config := fmt.Sprintf(`
route: {receiver: pager, group_by: [service, slo], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: [severity="ticket"]
    equal: [service, slo]
receivers:
  - name: pager
    webhook_configs: [{url: %q, send_resolved: true}]
`, webhook)
	file := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	address := testenv.Address(t)
	var output bytes.Buffer
	cmd := exec.Command(program, "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+address,
		"--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		response, err := client.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond, "alertmanager does not become ready")
	return "http://" + address
}

// TestPageReachesARealAlertmanager: events in the real engine burn a budget; the page arrives at the webhook behind a real
// Alertmanager with its links, its ticket is inhibited, a second engine adds nothing, and it resolves when the burning ends.
func TestPageReachesARealAlertmanager(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Alertmanager and the engine")
	}
	pager := newPager(t)
	am := startAlertmanager(t, pager.URL)
	dsn := embeddedtest.Start(t) + "/sockeye"
	db, err := openStore(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, db.close())

	start := time.Now()
	bucket := start.Truncate(10 * time.Second)
	fill := func(at time.Time, open, rejected int) {
		for table, step := range map[string]time.Duration{"rollup_10s": 10 * time.Second, "rollup_1m": time.Minute} {
			embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO %s (bucket, service, vantage, event, outcome, fault, error_type, count, judged) VALUES "+
				"(%[2]d, 'chat', 'edge', 'websocket.open', 'success', '', '', %[3]d, %[3]d), "+
				"(%[2]d, 'chat', 'edge', 'websocket.handshake.rejected', 'failure', 'server', 'upstream_timeout', %[4]d, %[4]d)",
				table, at.Truncate(step).Unix(), open, rejected))
		}
	}
	progress := func(through time.Time) {
		embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO source_progress VALUES ('edge', toDateTime64(%d, 9), 0, now64(3))", through.Unix()))
	}
	// A healthy day; then ten minutes of 30 % rejections: burn 300.
	fill(start.Add(-24*time.Hour), 10_000_000, 10)
	for i := range 60 {
		fill(bucket.Add(-time.Duration(i+1)*10*time.Second), 70, 30)
	}
	progress(bucket)

	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Interval, cfg.Resolution, cfg.WindowScale = configopaque.String(dsn), time.Second, 10*time.Second, 60
	cfg.Defaults.Services = []string{"chat"}
	cfg.HTTP.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Alerting.DashboardURL = "https://grafana.example.com/d/oncall?var-service={service}&var-slo={slo}"
	cfg.Alerting.ResendInterval = time.Second
	var manager Alertmanager
	require.NoError(t, manager.UnmarshalText([]byte(am)))
	cfg.Alerting.Alertmanagers = []Alertmanager{manager}
	require.NoError(t, cfg.Validate())

	// Two engines over one store: identical alerts, so one page.
	var engines []*sloExtension
	for range 2 {
		e, err := newExtension(cfg, extensiontest.NewNopSettings(metadata.Type))
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
		engines = append(engines, e)
	}
	var page notice
	require.Eventually(t, func() bool { var ok bool; page, ok = pager.received("firing"); return ok }, 30*time.Second, 20*time.Millisecond)
	t.Logf("page after %v", page.at.Sub(start).Round(time.Millisecond))
	require.Equal(t, alertBurn, page.Labels["alertname"])
	require.Equal(t, bucket.UTC(), page.StartsAt.UTC())
	require.Contains(t, page.Annotations["description"], "30 % bad over 1h (scaled to 60 s) (180 of 600, burn 300)")
	require.Equal(t, "https://github.com/sockeye-project/sockeye/blob/main/docs/runbooks/ErrorBudgetBurn.md", page.Annotations["runbook_url"])
	require.Equal(t, "https://grafana.example.com/d/oncall?var-service=chat&var-slo=connection-availability", page.Annotations["dashboard_url"])

	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(am + "/api/v2/alerts")
	require.NoError(t, err)
	var alerts models.GettableAlerts
	require.NoError(t, json.NewDecoder(response.Body).Decode(&alerts))
	response.Body.Close()
	pages, inhibited, watchdogs := 0, 0, 0
	for _, a := range alerts {
		switch {
		case a.Labels["alertname"] == alertWatchdog:
			watchdogs++
		case a.Labels["severity"] == "page" && a.Labels["slo"] == "connection-availability":
			pages++
		case a.Labels["slo"] == "connection-availability" && len(a.Status.InhibitedBy) == 1:
			inhibited++
		}
	}
	require.Equal(t, 1, pages, "two engines, one page")
	require.Equal(t, 1, inhibited, "the page inhibits its ticket")
	require.Equal(t, 1, watchdogs)

	// The mend: ten clean minutes later the burning is behind every page window.
	mended := time.Now()
	clean := bucket
	for i := range 60 {
		fill(clean.Add(time.Duration(i)*10*time.Second), 100, 0)
	}
	// The watermark cannot be ahead of the clock, so time is moved by moving the history back.
	for _, table := range []string{"rollup_10s", "rollup_1m"} {
		embeddedtest.Exec(t, dsn, "CREATE TABLE moved AS "+table)
		embeddedtest.Exec(t, dsn, "INSERT INTO moved SELECT * REPLACE(bucket - 600 AS bucket) FROM "+table)
		embeddedtest.Exec(t, dsn, "EXCHANGE TABLES moved AND "+table)
		embeddedtest.Exec(t, dsn, "DROP TABLE moved SYNC")
	}
	var resolved notice
	require.Eventually(t, func() bool {
		progress(time.Now())
		var ok bool
		resolved, ok = pager.received("resolved")
		return ok
	}, 60*time.Second, 250*time.Millisecond)
	t.Logf("resolved %v after the mend", resolved.at.Sub(mended).Round(time.Millisecond))
	require.Equal(t, page.StartsAt.UTC(), resolved.StartsAt.UTC())
	require.True(t, resolved.EndsAt.After(resolved.StartsAt))

	// What the engine said is in the store, with the counts it used, and both engines wrote the same.
	for _, e := range engines {
		require.NoError(t, e.Shutdown(context.Background()))
	}
	require.Equal(t, "0", embeddedtest.Exec(t, dsn, "SELECT count() FROM (SELECT asof, slo, uniqExact(state, windows) AS forms "+
		"FROM slo_status GROUP BY asof, slo HAVING forms > 1 AND min(written) > max(written) - 1)"))
	db, err = openStore(t.Context(), dsn)
	require.NoError(t, err)
	defer db.close()
	records, err := db.latest(t.Context(), start.Add(-time.Minute))
	require.NoError(t, err)
	require.Len(t, records, 5)
	for _, r := range records {
		if r.SLO == "connection-availability" {
			require.NotEqual(t, slo.SeverityPage, r.Severity)
			require.NotEmpty(t, r.Engine)
		}
	}
	require.Equal(t, "1", embeddedtest.Exec(t, dsn, "SELECT countIf(severity = 'page') > 0 FROM slo_status"))
}
