package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func sloCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"slo"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// burning is one SLO that pages.
func burning(t *testing.T) slo.Status {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	asof := time.Now().UTC().Truncate(time.Minute)
	query := slo.Plan(slos[3:4], asof, slo.Timing{})
	counts := query.Nothing()[0]
	for i := range counts.Windows {
		counts.Windows[i].Good, counts.Windows[i].Judged, counts.Windows[i].Total = 980, 1000, 1000
	}
	counts.Budget.Good, counts.Budget.Judged, counts.Budget.Total = 99_998, 100_000, 100_000
	return slo.Evaluate(&slos[3], asof, counts, true)
}

func TestSLOValidate(t *testing.T) {
	code, out, errs := sloCommand(t, "validate", "../../slo/defaults/*.yaml")
	require.Zero(t, code, errs)
	require.Contains(t, out, "auth-latency of example: 99 % over 30d; ticket if burn over 1d and 2h > 3; ")
	require.Contains(t, out, "connection-churn of example: 90 % of slices of 1h with connection_churn < 0.1 over 3d; ")
	require.Contains(t, out, "12 SLOs, no faults\n")

	file := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: openslo/v1\nkind: SLO\nspec: {service: chat}\n"), 0o600))
	code, out, errs = sloCommand(t, "validate", file)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, errs, file+":1:1: metadata: is missing; write metadata: {name: …}\n")
	require.Contains(t, errs, file+":3:7: spec.objectives: is missing; write objectives: [{targetPercent: 99.9}]\n")
	require.Contains(t, errs, "sockeye: 5 faults\n")
}

func TestSLOStatusOfAnEngine(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/slos" {
			_ = json.NewEncoder(w).Encode(map[string]any{"slos": []slo.Status{burning(t)}, "trouble": "no disk"})
		}
	}))
	defer engine.Close()
	code, out, errs := sloCommand(t, "status", "--endpoint", engine.URL)
	require.Zero(t, code, errs)
	require.Regexp(t, `chat +connection-availability +burning +page +99.9 % +98 % +100 % +20 `, out)
	require.Equal(t, "the engine is in trouble: no disk\n", errs)

	code, out, _ = sloCommand(t, "status", "--endpoint", engine.URL, "--output", "json", "--service", "nobody")
	require.Zero(t, code)
	require.JSONEq(t, `{"slos":[],"trouble":"no disk"}`, out)

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	code, _, errs = sloCommand(t, "status", "--endpoint", other.URL)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "answers, but not like an SLO engine (status 404)")

	address := testenv.Address(t)
	code, _, errs = sloCommand(t, "status", "--endpoint", "http://ann:hunter2@"+address)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "sockeye: no engine answers at "+address+": connect: connection refused; is the collector")
	require.NotContains(t, errs, "hunter2")

	code, _, errs = sloCommand(t, "status", "--output", "yaml")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `--output: must be table or json, got "yaml"`)
}

func TestSLOStatusOfTheStore(t *testing.T) {
	dsn := embeddedtest.Database(t)
	t.Cleanup(embeddedtest.StopShared)
	code, _, errs := sloCommand(t, "status", "--clickhouse", dsn)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "run `sockeye store migrate`")

	s, err := store.Open(context.Background(), dsn, store.Options{})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	code, _, errs = sloCommand(t, "status", "--clickhouse", dsn)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "no engine has written a status within the last day")

	batch, err := s.Conn().PrepareBatch(context.Background(), slo.InsertRecords)
	require.NoError(t, err)
	record := slo.Record{Status: burning(t), Engine: "one", Written: time.Now()}
	require.NoError(t, batch.Append(record.Row()...))
	require.NoError(t, batch.Send())
	code, out, errs := sloCommand(t, "status", "--clickhouse", dsn)
	require.Zero(t, code, errs)
	require.Regexp(t, `chat +connection-availability +burning +page +99.9 % +98 % +100 % +20 `, out)
}

// TestSLOQuestions: the commands put the question as the engine's API takes it, and write the answer.
func TestSLOQuestions(t *testing.T) {
	var asked []string
	st := burning(t)
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.RawQuery)
		switch {
		case r.URL.Query().Get("slo") == "absent":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such SLO"}`))
		case r.URL.Path == "/api/v1/history":
			_ = json.NewEncoder(w).Encode(slo.Past{Reported: slo.Record{Status: st, Engine: "one", Written: st.AsOf}, Known: st})
		case r.URL.Path == "/api/v1/explain":
			_ = json.NewEncoder(w).Encode(slo.Explanation{
				Formula: []string{"in words"}, SQL: "SELECT 1", Status: st,
				Burned: []slo.Burned{{Dimension: "tenant", Bad: 2}},
			})
		}
	}))
	defer engine.Close()
	code, out, errs := sloCommand(t, "history", "connection-availability", "--endpoint", engine.URL, "--at", "2026-03-01T13:00:00+01:00")
	require.Zero(t, code, errs)
	require.Equal(t, "/api/v1/history?at=2026-03-01T12%3A00%3A00Z&service=&slo=connection-availability", asked[0])
	require.Contains(t, out, " UTC by one: burning, page, budget left 98 %")
	require.Contains(t, out, "some of what was counted then is no longer kept")

	code, out, errs = sloCommand(t, "explain", "connection-availability", "--endpoint", engine.URL, "--service", "chat", "--top", "2")
	require.Zero(t, code, errs)
	require.Equal(t, "/api/v1/explain?service=chat&slo=connection-availability&top=2", asked[1])
	require.Contains(t, out, "  in words\n")
	require.Regexp(t, `tenant +\(none\) +2 `, out)

	code, out, _ = sloCommand(t, "explain", "connection-availability", "--endpoint", engine.URL, "--output", "json")
	require.Zero(t, code)
	require.Contains(t, out, `"sql": "SELECT 1"`)

	code, _, errs = sloCommand(t, "explain", "absent", "--endpoint", engine.URL)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "sockeye: no such SLO\n")
	code, _, errs = sloCommand(t, "history", "x", "--endpoint", engine.URL, "--at", "yesterday")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `--at: "yesterday" is neither a time such as`)
}
