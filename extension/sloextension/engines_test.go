package sloextension

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// wire is what stands between an engine and a real Alertmanager and keeps what the engine posts.
type wire struct {
	*httptest.Server
	mutex  sync.Mutex
	bodies [][]byte
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	w := &wire{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		w.mutex.Lock()
		w.bodies = append(w.bodies, body)
		w.mutex.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) last() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.bodies) == 0 {
		return ""
	}
	return string(w.bodies[len(w.bodies)-1])
}

// TestEnginesSayTheSame: two engines over one store, one of which misses what the other sees first, and whose clocks are some
// seconds apart. What they post of the same asof is equal byte by byte, a real Alertmanager has one alert of it, and what
// happened stands in the store once.
func TestEnginesSayTheSame(t *testing.T) {
	dsn := newStore(t)
	manager := startAlertmanager(t, newPager(t).URL)
	clock := time.Now().UTC().Truncate(time.Minute).Add(-30 * time.Minute)
	type one struct {
		*realRig
		wire *wire
	}
	var engines []one
	for _, id := range []string{"first", "second"} {
		r := newRealRig(t, dsn, clock)
		r.id = id
		r.book = newAlertBook(AlertingConfig{GeneratorURL: "http://127.0.0.1:9466/api/v1/slos?slo={slo}", RunbookURL: "https://example.com/{alertname}"})
		w := newWire(t, manager)
		r.sender = &sender{resend: 30 * time.Second, expiry: 2 * time.Hour, logger: r.logger, telemetry: r.telemetry}
		require.NoError(t, r.sender.add(w.URL, w.Client()))
		engines = append(engines, one{r, w})
	}
	minute := func(opens, rejections int, both bool) {
		t.Helper()
		storeEvents(t, dsn, clock, "acme", opens, rejections)
		clock = clock.Add(time.Minute)
		engines[0].clock = clock
		engines[0].live(t)
		for i, e := range engines {
			if i == 1 && !both {
				continue
			}
			e.clock = clock.Add(time.Duration(i) * 7 * time.Second)
			e.step(t.Context())
			require.Empty(t, e.trouble)
		}
		if both {
			require.Equal(t, engines[0].wire.last(), engines[1].wire.last(), "as of %s", clock)
		}
	}
	storeEvents(t, dsn, clock.Add(-20*time.Hour), "acme", 100_000, 0)
	minute(1000, 0, true)
	minute(1000, 0, true)
	onset := clock
	minute(700, 300, false) // only the first engine sees it begin
	detected := clock
	for range 3 {
		minute(700, 300, true)
	}
	var posted models.PostableAlerts
	require.NoError(t, json.Unmarshal([]byte(engines[1].wire.last()), &posted))
	pages := 0
	for _, a := range posted {
		if a.Labels["alertname"] == alertBurn && a.Labels["severity"] == "page" {
			pages++
			require.Equal(t, detected, time.Time(a.StartsAt).UTC(), "the second engine takes over since when")
		}
	}
	require.Equal(t, 1, pages)

	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(manager + "/api/v2/alerts")
	require.NoError(t, err)
	var alerts models.GettableAlerts
	require.NoError(t, json.NewDecoder(response.Body).Decode(&alerts))
	response.Body.Close()
	require.Len(t, alerts, 3, "a page, its ticket and the watchdog, of two engines")

	// Pages look back for half an hour, tickets for six.
	for _, later := range []time.Duration{40 * time.Minute, 7 * time.Hour} {
		clock = clock.Add(later)
		minute(20_000, 0, true)
	}
	events := func(sql string) string { return embeddedtest.Exec(t, dsn, sql) }
	require.Equal(t, "1\tdetected\tpage\n2\tseverity\tticket\n3\tended\t", events(
		"SELECT sequence, kind, severity FROM slo_events WHERE stream = 'incident' ORDER BY sequence"), "each once, before any merge")
	require.Equal(t, "1\texhausted\t100", events("SELECT sequence, kind, spent FROM slo_events WHERE stream = 'budget' ORDER BY sequence"))
	require.Equal(t, onset.Format(time.DateTime)+"\t"+detected.Format(time.DateTime)+"\tpage\t1", events(
		"SELECT start, detected, severity, ended > detected FROM slo_incidents"))
	require.Equal(t, "1200", events("SELECT judged - good FROM slo_incidents"))
}

// TestOnlyTheOwnerPosts: exactly one system pages, so an engine that is not the owner has nobody to post to, whatever fires.
func TestOnlyTheOwnerPosts(t *testing.T) {
	t.Parallel()
	for owner, posts := range map[string]bool{ownerEngine: true, ownerPrometheus: false, ownerGrafana: false, ownerNone: false} {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			manager := newReceiver(t)
			var alertmanager Alertmanager
			require.NoError(t, alertmanager.UnmarshalText([]byte(manager.URL)))
			cfg := createDefaultConfig().(*Config)
			cfg.Defaults.Services = []string{"chat"}
			cfg.Alerting.Owner = owner
			cfg.Alerting.Alertmanagers = []Alertmanager{alertmanager}
			if err := cfg.Validate(); posts {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "exactly one system pages")
				cfg.Alerting.Alertmanagers = nil
				require.NoError(t, cfg.Validate())
			}
			cfg.HTTP.NetAddr.Endpoint, cfg.Interval = "127.0.0.1:0", time.Hour
			x, err := newExtension(cfg, extensiontest.NewNopSettings(metadata.Type))
			require.NoError(t, err)
			store := &fakeStore{total: 1000, bad: 20}
			now := time.Now()
			store.sources = []slo.Progress{{Source: "edge", ReadThrough: now, Wall: now}}
			x.engine.open = func(context.Context) (database, error) { return store, nil }
			require.NoError(t, x.Start(t.Context(), componenttest.NewNopHost()))
			posted := func() bool {
				manager.mutex.Lock()
				defer manager.mutex.Unlock()
				return len(manager.got) > 0
			}
			require.Eventually(t, func() bool {
				return len(x.engine.current().Alerts) > 1 && (!posts || posted())
			}, 20*time.Second, 10*time.Millisecond)
			require.NoError(t, x.Shutdown(t.Context()))
			require.Equal(t, posts, posted())
		})
	}
}
