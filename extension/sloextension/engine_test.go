package sloextension

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/slo"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeStore answers by what a test sets, and remembers what it was told.
type fakeStore struct {
	down     error
	sources  []slo.Progress
	bad      uint64 // of 1000 in every window
	total    uint64
	records  []slo.Record
	events   []slo.Event
	queries  int
	excluded []slo.Exclusion
	groups   []string // of every SLO, each with the counts of the whole
}

func (f *fakeStore) latest(_ context.Context, after time.Time) ([]slo.Record, error) {
	last := map[string]slo.Record{}
	for _, r := range f.records {
		if r.Written.After(after) {
			last[r.Service+"/"+r.SLO] = r
		}
	}
	var records []slo.Record
	for _, r := range last {
		records = append(records, r)
	}
	return records, f.down
}
func (f *fakeStore) progress(context.Context, time.Time) ([]slo.Progress, error) {
	return f.sources, f.down
}
func (f *fakeStore) exclusions(context.Context, time.Time) ([]slo.Exclusion, error) {
	return f.excluded, f.down
}
func (f *fakeStore) counts(_ context.Context, ledger *slo.Ledger, asof time.Time) ([]slo.Counts, error) {
	f.queries++
	counts := ledger.Nothing(asof)
	for i := range counts {
		for j := range counts[i].Windows {
			w := &counts[i].Windows[j]
			w.Total, w.Judged, w.Good = f.total, f.total, f.total-f.bad
		}
		b := &counts[i].Budget
		b.Total, b.Judged, b.Good = 1000*f.total, 1000*f.total, 1000*f.total-f.bad
		for _, name := range f.groups {
			key := []string{name}
			if name == slo.OtherGroups {
				key = nil
			}
			counts[i].Groups = append(counts[i].Groups, slo.Group{Key: key, Counts: slo.Counts{
				Windows: counts[i].Windows, Budget: counts[i].Budget,
			}})
		}
	}
	return counts, f.down
}
func (f *fakeStore) write(_ context.Context, records []slo.Record) error {
	f.records = append(f.records, records...)
	return f.down
}
func (f *fakeStore) lastEvents(context.Context) ([]slo.Event, error) { return f.events, f.down }
func (f *fakeStore) minutes(context.Context, *slo.SLO, time.Time, time.Time) ([]slo.Minute, error) {
	return nil, f.down
}
func (f *fakeStore) writeEvents(_ context.Context, events []slo.Event) error {
	f.events = append(f.events, events...)
	return f.down
}
func (f *fakeStore) ask(context.Context, string, func(slo.Rows) error) error { return f.down }
func (f *fakeStore) close() error                                            { return nil }

// rig is an engine with a clock and a store of the test's.
type rig struct {
	*engine
	store *fakeStore
	clock time.Time
	logs  *observer.ObservedLogs
}

func newRig(t *testing.T, store *fakeStore) *rig {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	telemetry, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	core, logs := observer.New(zapcore.InfoLevel)
	r := &rig{store: store, clock: epoch, logs: logs}
	r.engine = &engine{
		slos: slos[3:4], ledger: slo.NewLedger(slos[3:4], slo.Timing{}), id: "test", now: func() time.Time { return r.clock }, logger: zap.New(core), telemetry: telemetry,
		book: newAlertBook(AlertingConfig{RunbookURL: "https://example.com/{alertname}", DashboardURL: "https://example.com/?s={service}"}),
		open: func(context.Context) (database, error) { return store, store.down },
	}
	require.Equal(t, "connection-availability", r.slos[0].Name)
	return r
}

// live makes one source that has read up to now.
func (r *rig) live() {
	r.store.sources = []slo.Progress{{Source: "edge", ReadThrough: r.clock, Wall: r.clock}}
}

func (r *rig) advance(d time.Duration) { r.clock = r.clock.Add(d) }

// find returns the alerts of a name.
func (r *rig) find(name string) []alert {
	var found []alert
	for _, a := range r.current().Alerts {
		if a.Labels["alertname"] == name {
			found = append(found, a)
		}
	}
	return found
}

func TestPageBeginsAndEndsAtAsOf(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000})
	r.live()
	r.step(t.Context())
	require.Equal(t, slo.StateOK, r.current().SLOs[0].State)
	require.Empty(t, r.find(alertBurn))
	require.Len(t, r.find(alertWatchdog), 1)

	r.store.bad = 20
	r.advance(90 * time.Second)
	r.live()
	r.step(t.Context())
	alerts := r.find(alertBurn)
	require.Len(t, alerts, 2, "a page, and its ticket, which Alertmanager inhibits")
	page := alerts[0]
	require.Equal(t, map[string]string{
		"alertname": alertBurn, "service": "chat", "slo": "connection-availability", "severity": "page",
	}, page.Labels)
	require.Equal(t, epoch.Add(time.Minute), page.StartsAt, "the asof, not the clock")
	require.Equal(t, "Connection availability of chat burns its error budget 20 times too fast", page.Annotations["summary"])
	require.Contains(t, page.Annotations["description"], "2 % bad over 1h (20 of 1000, burn 20)")
	require.Equal(t, "https://example.com/ErrorBudgetBurn", page.Annotations["runbook_url"])
	require.Equal(t, "https://example.com/?s=chat", page.Annotations["dashboard_url"])

	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.Equal(t, epoch.Add(time.Minute), r.find(alertBurn)[0].StartsAt, "it still is the same alert")

	r.store.bad = 0
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	page = r.find(alertBurn)[0]
	require.Equal(t, epoch.Add(3*time.Minute), page.EndsAt)
	r.advance(16 * time.Minute)
	r.live()
	r.step(t.Context())
	require.Empty(t, r.find(alertBurn), "forgotten")
}

// Groups are judged by rules of their own, under names of their own; what fires for one ends when it is no more.
func TestGroupsAlertByThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20, groups: []string{"acme", "other", slo.OtherGroups}})
	r.slos[0].Grouping = slo.Grouping{By: []string{"tenant"}, Max: 2, Rules: []slo.Rule{r.slos[0].Rules[4]}}
	r.live()
	r.step(t.Context())
	names := func() map[string]bool {
		firing := map[string]bool{}
		for _, a := range r.find(alertBurn) {
			if a.EndsAt.IsZero() {
				firing[a.Labels["severity"]+" "+a.Labels["slo"]] = true
			}
		}
		return firing
	}
	require.Equal(t, map[string]bool{
		"page connection-availability": true, "ticket connection-availability": true,
		`ticket connection-availability{tenant="acme"}`: true, `ticket connection-availability{tenant="other"}`: true,
		`ticket connection-availability{others}`: true, // a tenant of that name is another
	}, names())
	require.Len(t, r.store.records, 4)
	require.Len(t, r.current().SLOs, 4)
	require.Equal(t, "Connection availability, tenant acme", r.current().SLOs[1].Title)

	r.store.groups = []string{"other"}
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.NotContains(t, names(), `ticket connection-availability{tenant="acme"}`)
	require.Contains(t, names(), `ticket connection-availability{tenant="other"}`)
	var ended []string
	for _, e := range r.store.events {
		if e.Kind == slo.IncidentEnded {
			ended = append(ended, e.SLO)
		}
	}
	require.ElementsMatch(t, []string{`connection-availability{tenant="acme"}`, "connection-availability{others}"}, ended)

	again := newRig(t, &fakeStore{total: 1000, bad: 20, groups: []string{"other"}, records: r.store.records})
	again.slos[0].Grouping = r.slos[0].Grouping
	again.clock = r.clock.Add(time.Minute)
	again.live()
	again.step(t.Context())
	for _, a := range again.find(alertBurn) {
		if a.Labels["slo"] == `connection-availability{tenant="other"}` {
			require.Equal(t, epoch, a.StartsAt, "it goes on over a restart")
		}
	}
}

func TestNothingNewIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000})
	for range 4 {
		r.live()
		r.step(t.Context())
		r.advance(15 * time.Second)
	}
	require.Equal(t, 1, r.store.queries)
	require.Len(t, r.store.records, 1)
	r.live()
	r.step(t.Context())
	require.Equal(t, 2, r.store.queries)
}

func TestAsOfNeverGoesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000})
	r.live()
	r.step(t.Context())
	r.advance(time.Minute)
	r.live()
	r.store.sources = append(r.store.sources, slo.Progress{Source: "late", ReadThrough: epoch.Add(-5 * time.Minute), Wall: r.clock})
	r.step(t.Context())
	require.Equal(t, epoch, r.current().SLOs[0].AsOf)
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.Equal(t, epoch.Add(2*time.Minute), r.current().SLOs[0].AsOf)
}

func TestSilenceIsNoDataAndHoldsWhatFires(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.store.sources = append(r.store.sources, slo.Progress{Source: "app", ReadThrough: epoch.Add(-time.Hour), Wall: epoch.Add(-time.Hour)})
	r.step(t.Context())
	silent := r.find(alertSilent)
	require.Len(t, silent, 1)
	require.Equal(t, "ticket", silent[0].Labels["severity"])
	require.Equal(t, "app", silent[0].Labels["source"])

	r.store.bad = 0 // nobody is there to see it
	r.advance(2 * time.Minute)
	r.step(t.Context())
	st := r.current().SLOs[0]
	require.Equal(t, slo.StateNoData, st.State)
	require.Equal(t, slo.SeverityPage, st.Severity)
	require.False(t, st.Windows[0].Burn.Valid())
	require.True(t, r.find(alertBurn)[0].EndsAt.IsZero())
	silent = r.find(alertSilent)
	require.Len(t, silent, 3, "two tickets and the page")
	require.Equal(t, "page", silent[0].Labels["severity"])
	require.Equal(t, epoch.Add(time.Minute), silent[0].StartsAt)

	r.live()
	r.step(t.Context())
	require.Equal(t, slo.StateOK, r.current().SLOs[0].State)
	require.False(t, r.find(alertBurn)[0].EndsAt.IsZero())
	for _, a := range r.find(alertSilent) {
		require.False(t, a.EndsAt.IsZero())
	}
}

func TestBacklogWithoutEventsIsNoData(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{})
	r.live()
	r.store.sources[0].Backlog = 7
	r.step(t.Context())
	require.Equal(t, slo.StateNoData, r.current().SLOs[0].State)
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.Equal(t, slo.StateNoTraffic, r.current().SLOs[0].State)
}

func TestRestartContinuesAnAlert(t *testing.T) {
	t.Parallel()
	store := &fakeStore{total: 1000, bad: 20}
	first := newRig(t, store)
	first.live()
	first.step(t.Context())
	for name, bad := range map[string]uint64{"still burning": 20, "recovered meanwhile": 0} {
		t.Run(name, func(t *testing.T) {
			again := &fakeStore{total: 1000, bad: bad, records: store.records}
			second := newRig(t, again)
			second.clock = epoch.Add(10 * time.Minute)
			second.live()
			second.step(t.Context())
			page := second.find(alertBurn)[0]
			require.Equal(t, epoch, page.StartsAt)
			require.Equal(t, bad == 0, !page.EndsAt.IsZero())
			if bad > 0 {
				require.Contains(t, page.Annotations["description"], "2 % bad over 1h")
			}
		})
	}
}

func TestStoreAwayIsSaidOnceAndPagesAfterAMinute(t *testing.T) {
	t.Parallel()
	store := &fakeStore{total: 1000, down: errors.New("connect: refused; is it running?")}
	r := newRig(t, store)
	for range 4 {
		r.step(t.Context())
		r.advance(30 * time.Second)
	}
	require.Equal(t, 1, r.logs.Len())
	require.Equal(t, "connect: refused; is it running?", r.logs.All()[0].ContextMap()["reason"])
	require.Equal(t, slo.StateNoData, r.current().SLOs[0].State)
	require.Equal(t, "connect: refused; is it running?", r.current().Trouble)
	blind := r.find(alertBlind)
	require.Len(t, blind, 1)
	require.Equal(t, epoch, blind[0].StartsAt)

	store.down = nil
	r.live()
	r.step(t.Context())
	require.Equal(t, 2, r.logs.Len())
	require.Equal(t, slo.StateOK, r.current().SLOs[0].State)
	require.False(t, r.find(alertBlind)[0].EndsAt.IsZero())
}

func TestStandingWatermarkIsBlind(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000})
	r.store.sources = []slo.Progress{{Source: "edge", ReadThrough: epoch.Add(-11 * time.Minute), Wall: epoch, Backlog: 99}}
	r.step(t.Context())
	require.Equal(t, slo.StateNoData, r.current().SLOs[0].State)
	blind := r.find(alertBlind)
	require.Len(t, blind, 1)
	require.Contains(t, blind[0].Annotations["description"], "behind are edge, with a backlog of 99")
}

// receiver is an Alertmanager as far as the sender can tell. The real one is in integration_test.go.
type receiver struct {
	*httptest.Server
	mutex  sync.Mutex
	status int
	got    []models.PostableAlerts
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		var alerts models.PostableAlerts
		if request.URL.Path != "/api/v2/alerts" || json.NewDecoder(request.Body).Decode(&alerts) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(r.status)
		if r.status == http.StatusOK {
			r.got = append(r.got, alerts)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func TestSenderRepeatsAndRetries(t *testing.T) {
	t.Parallel()
	rig := newRig(t, &fakeStore{total: 1000, bad: 20})
	up, flaky := newReceiver(t), newReceiver(t)
	flaky.status = http.StatusServiceUnavailable
	rig.sender = &sender{resend: time.Minute, expiry: 4 * time.Minute, logger: rig.logger, telemetry: rig.telemetry}
	require.NoError(t, rig.sender.add(up.URL+"/", up.Client()))
	require.NoError(t, rig.sender.add(flaky.URL, flaky.Client()))

	rig.live()
	rig.step(t.Context())
	require.Len(t, up.got, 1)
	require.Len(t, up.got[0], 3) // page, ticket, watchdog
	require.Equal(t, epoch.Add(9*time.Minute), time.Time(up.got[0][0].EndsAt).UTC())
	rig.advance(30 * time.Second)
	rig.live()
	rig.step(t.Context())
	require.Len(t, up.got, 1, "not due yet")
	require.Equal(t, 1, rig.logs.Len(), "said once")

	flaky.status = http.StatusOK
	rig.advance(30 * time.Second)
	rig.live()
	rig.step(t.Context())
	require.Len(t, up.got, 2, "repeated")
	require.Len(t, flaky.got, 1, "made up for")
	require.Equal(t, 2, rig.logs.Len())

	rig.store.bad = 0
	rig.advance(time.Minute)
	rig.live()
	rig.step(t.Context())
	last := up.got[len(up.got)-1]
	ended := 0
	for _, a := range last {
		if time.Time(a.EndsAt).UTC().Equal(epoch.Add(2 * time.Minute)) {
			ended++
		}
	}
	require.Equal(t, 2, ended)
}

func TestMetricsParseAndAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.advance(1500 * time.Millisecond)
	r.step(t.Context())
	server := httptest.NewServer(r.api())
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	burn := families["sockeye_slo_burn_rate"]
	require.Len(t, burn.Metric, 8)
	require.InDelta(t, 20, burn.Metric[1].Gauge.GetValue(), 0)
	require.InDelta(t, 1.5, families["sockeye_watermark_age_seconds"].Metric[0].Gauge.GetValue(), 0)
	state := map[string]float64{}
	for _, m := range families["sockeye_slo_state"].Metric {
		for _, l := range m.Label {
			if l.GetName() == "state" {
				state[l.GetValue()] = m.Gauge.GetValue()
			}
		}
	}
	require.Equal(t, map[string]float64{"burning": 1, "ok": 0, "exhausted": 0, "no_data": 0, "no_traffic": 0, "low_coverage": 0}, state)
}

func TestAPIAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000})
	server := httptest.NewServer(r.api())
	defer server.Close()
	ask := func(method, path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	status, body := ask(http.MethodGet, "/api/v1/slos")
	require.Equal(t, 200, status, "before the first tick")
	require.Contains(t, body, `"slos": []`)
	status, body = ask(http.MethodGet, "/api/v1/alerts")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"alerts": []`)
	r.live()
	r.step(t.Context())
	status, body = ask(http.MethodGet, "/api/v1/slos?service=chat&slo=connection-availability")
	require.Equal(t, 200, status)
	var answer struct {
		SLOs []slo.Status `json:"slos"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Len(t, answer.SLOs, 1)
	require.Equal(t, "0.999", answer.SLOs[0].Objective.String())
	for _, tc := range []struct {
		method, path string
		status       int
		says         string
	}{
		{http.MethodGet, "/api/v1/slos?service=nobody", 404, "no such SLO"},
		{http.MethodGet, "/nothing", 404, "no such page"},
		{http.MethodPost, "/api/v1/slos", 405, "only GET is served"},
	} {
		status, body = ask(tc.method, tc.path)
		require.Equal(t, tc.status, status)
		require.Contains(t, body, tc.says)
		require.Contains(t, body, `{"error":`)
	}
	status, body = ask(http.MethodGet, "/")
	require.Equal(t, 200, status)
	require.Contains(t, body, "BUDGET LEFT")
}
