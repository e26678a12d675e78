package sloextension

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// realRig is an engine over the real store, with a clock of the test's.
type realRig struct {
	*rig
	dsn string
}

func newRealRig(t *testing.T, dsn string, clock time.Time) *realRig {
	t.Helper()
	r := &realRig{newRig(t, &fakeStore{}), dsn}
	r.clock = clock
	r.open = func(ctx context.Context) (database, error) { return openStore(ctx, dsn) }
	t.Cleanup(func() {
		if r.db != nil {
			_ = r.db.close()
		}
	})
	return r
}

// events puts opens and rejections of a tenant in the region of its name into events, from where all tiers are filled.
func storeEvents(t *testing.T, dsn string, at time.Time, tenant string, opens, rejections int) {
	t.Helper()
	for event, n := range map[string]int{"websocket.open": opens, "websocket.handshake.rejected": rejections} {
		if n == 0 {
			continue
		}
		outcome, fault, errorType := "success", "", ""
		if event != "websocket.open" {
			outcome, fault, errorType = "failure", "server", "upstream_timeout"
		}
		embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO events (counted_at, time, service, vantage, tenant, region, event, outcome, fault, error_type, count, judged) "+
			"VALUES (toDateTime64(%d, 3), toDateTime64(%[1]d, 9), 'chat', 'edge', '%s', 'region of %[2]s', '%s', '%s', '%s', '%s', %d, %[7]d)",
			at.Unix(), tenant, event, outcome, fault, errorType, n))
	}
}

func (r *realRig) live(t *testing.T) {
	t.Helper()
	embeddedtest.Exec(t, r.dsn, fmt.Sprintf("INSERT INTO source_progress VALUES ('edge', toDateTime64(%d, 9), 0, toDateTime64(%[1]d, 3))", r.clock.Unix()))
}

// newStore starts the real store with its tables.
func newStore(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the engine of the store")
	}
	dsn := embeddedtest.Start(t) + "/sockeye"
	db, err := openStore(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, db.close())
	return dsn
}

// TestHistoryAndExplanation: what was reported stays, what came late is known now, and the bad events are told apart.
func TestHistoryAndExplanation(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	clock := time.Now().UTC().Truncate(time.Minute)
	r := newRealRig(t, dsn, clock)
	storeEvents(t, dsn, clock.Add(-10*time.Minute), "acme", 9000, 3)
	storeEvents(t, dsn, clock.Add(-20*time.Hour), "zeta", 90_000, 5)
	r.live(t)
	r.step(t.Context())
	require.Empty(t, r.trouble)
	storeEvents(t, dsn, clock.Add(-10*time.Minute), "acme", 100, 4) // late

	server := httptest.NewServer(r.api())
	t.Cleanup(server.Close)
	ask := func(page string, query url.Values, into any) (status int, text string) {
		response, err := server.Client().Get(server.URL + "/api/v1/" + page + "?" + query.Encode())
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		if into != nil {
			require.NoError(t, json.Unmarshal(body, into), "%s", body)
		}
		return response.StatusCode, string(body)
	}
	name := url.Values{"slo": {"connection-availability"}}
	bad := func(w slo.WindowStatus) uint64 { return w.Judged - w.Good }

	var past slo.Past
	status, _ := ask("history", name, &past)
	require.Equal(t, 200, status)
	require.Equal(t, clock, past.Reported.AsOf.UTC())
	require.Equal(t, "test", past.Reported.Engine)
	require.EqualValues(t, 3, bad(past.Reported.Windows[2]))
	require.EqualValues(t, 7, bad(past.Known.Windows[2]))
	require.EqualValues(t, 8, bad(past.Reported.Window))
	require.EqualValues(t, 12, bad(past.Known.Window))
	require.True(t, past.Complete)
	var text strings.Builder
	require.NoError(t, slo.WritePast(&text, past))
	require.Regexp(t, `1h +3 +9003 +0.33 +7 +9107 +0.77`, text.String())

	var e slo.Explanation
	status, _ = ask("explain", url.Values{"slo": name["slo"], "top": {"1"}}, &e)
	require.Equal(t, 200, status)
	require.EqualValues(t, 12, bad(e.Status.Window))
	require.Equal(t, []slo.Burned{
		{Dimension: "error_type", Value: "upstream_timeout", Bad: 12, Share: e.Burned[0].Share, Spent: e.Burned[0].Spent},
		{Dimension: "tenant", Value: "acme", Bad: 7, Share: e.Burned[1].Share, Spent: e.Burned[1].Spent},
		{Dimension: "region", Value: "region of acme", Bad: 7, Share: e.Burned[2].Share, Spent: e.Burned[2].Spent},
	}, e.Burned)
	require.NotNil(t, e.Forecast)
	require.True(t, e.Forecast.Earliest.After(clock) && e.Forecast.Earliest.Before(e.Forecast.Expected), "%v", e.Forecast)
	require.Equal(t, "0.583333333", e.Burned[1].Share.String())
	require.Equal(t, slo.Ratio(7*1000, 99_112).String(), e.Burned[1].Spent.String())
	text.Reset()
	require.NoError(t, slo.WriteExplanation(&text, e))
	require.Regexp(t, `tenant +acme +7 +58.3 % +7.1 %`, text.String())
	require.Contains(t, text.String(), "bad / judged, in events; burn rate = error ratio / 0.001")
	require.Contains(t, text.String(), "SELECT")
	require.Contains(t, text.String(), "at the rate of the last 6h the budget is exhausted 20")

	// The moment can be another one, before the late events and before the first ones.
	status, _ = ask("explain", url.Values{"slo": name["slo"], "at": {clock.Add(-time.Hour).Format(time.RFC3339)}}, &e)
	require.Equal(t, 200, status)
	require.EqualValues(t, 5, bad(e.Status.Window))

	for _, tc := range []struct {
		page   string
		query  url.Values
		status int
		says   string
	}{
		{"history", url.Values{"slo": {"nothing"}}, 404, "no such SLO"},
		{"history", url.Values{"slo": name["slo"], "service": {"other"}}, 404, "no such SLO"},
		{"history", url.Values{"slo": name["slo"], "at": {"yesterday"}}, 400, "at: must be a time"},
		{"history", url.Values{"slo": name["slo"], "at": {"2020-01-01T00:00:00Z"}}, 404, "nothing was reported"},
		{"explain", url.Values{"slo": name["slo"], "top": {"0"}}, 400, "top: must be"},
	} {
		status, body := ask(tc.page, tc.query, nil)
		require.Equal(t, tc.status, status, body)
		require.Contains(t, body, tc.says)
	}
}

// TestQuestionsAboutGroups: a group is explained by its own events, its incident counts them alone, and incidents are listed.
func TestQuestionsAboutGroups(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	clock := time.Now().UTC().Truncate(time.Minute)
	r := newRealRig(t, dsn, clock)
	s := r.slos[0]
	s.Grouping = slo.Grouping{By: []string{"tenant"}, Max: 2, Rules: slo.StandardRules()}
	r.slos = []slo.SLO{s}
	r.ledger = slo.NewLedger(r.slos, slo.Timing{})
	storeEvents(t, dsn, clock.Add(-10*time.Minute), "zeta", 90_000, 40)
	storeEvents(t, dsn, clock.Add(-4*time.Minute), "acme", 900, 100)
	storeEvents(t, dsn, clock.Add(-4*time.Minute), "few", 10, 0)
	r.live(t)
	r.step(t.Context())
	require.Empty(t, r.trouble)

	server := httptest.NewServer(r.api())
	t.Cleanup(server.Close)
	ask := func(page string, query url.Values, into any) (status int, text string) {
		response, err := server.Client().Get(server.URL + "/api/v1/" + page + "?" + query.Encode())
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		if into != nil {
			require.NoError(t, json.Unmarshal(body, into), "%s", body)
		}
		return response.StatusCode, string(body)
	}
	const whole, acme = "connection-availability", `connection-availability{tenant="acme"}`
	for _, query := range []url.Values{{"slo": {whole}, "group": {"tenant=acme"}}, {"slo": {acme}}} {
		var e slo.Explanation
		status, text := ask("explain", query, nil)
		require.Equal(t, 200, status, text)
		require.NoError(t, json.Unmarshal([]byte(text), &e))
		require.Equal(t, acme, e.Status.SLO)
		require.EqualValues(t, 1000, e.Status.Window.Judged)
		require.Len(t, e.Burned, 3)
		require.EqualValues(t, 100, e.Burned[0].Bad)
		require.Contains(t, strings.Join(e.Formula, "\n"), "tenant=acme")
		var past slo.Past
		status, text = ask("history", query, &past)
		require.Equal(t, 200, status, text)
		require.EqualValues(t, 1000, past.Reported.Window.Judged)
		require.EqualValues(t, 1000, past.Known.Window.Judged)
	}
	var h slo.History
	status, text := ask("incidents", url.Values{"slo": {whole}}, &h)
	require.Equal(t, 200, status, text)
	var found *slo.Incident
	for i := range h.Incidents {
		if h.Incidents[i].SLO == acme {
			found = &h.Incidents[i]
		}
	}
	require.NotNil(t, found, text)
	require.Equal(t, clock.Add(-4*time.Minute), found.Start)
	require.Equal(t, []uint64{900, 1000}, []uint64{found.Good, found.Judged})
	require.True(t, found.Ended.IsZero())
	require.Contains(t, h.Budgets, slo.BudgetEvent{Service: "chat", SLO: acme, AsOf: clock, Kind: slo.BudgetExhausted, Spent: 100})
	var table strings.Builder
	require.NoError(t, slo.WriteHistory(&table, h))
	require.Regexp(t, `tenant="acme"} +page .* goes on +100 +1000`, table.String())
	require.Contains(t, table.String(), "exhausted")
	_, text = ask("incidents", url.Values{"service": {"other"}}, &h)
	require.Empty(t, h.Incidents, text)

	// The others fold into one, whose events cannot be told apart.
	var e slo.Explanation
	_, text = ask("explain", url.Values{"slo": {whole}, "group": {"others"}}, &e)
	require.EqualValues(t, 10, e.Status.Window.Judged, text)
	require.Empty(t, e.Burned)

	for says, query := range map[string]url.Values{
		`no such group counts by itself then; those that do: {tenant="zeta"}, {tenant="acme"}, {others}`: {"slo": {whole}, "group": {"tenant=nobody"}},
		"group: write tenant=…": {"slo": {whole}, "group": {"region=acme"}},
	} {
		_, text := ask("explain", query, nil)
		var refused struct{ Error string }
		require.NoError(t, json.Unmarshal([]byte(text), &refused))
		require.Equal(t, says, refused.Error)
	}
}
