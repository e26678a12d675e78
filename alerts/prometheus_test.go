package alerts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/slo"
)

var links = alerts.Options{
	RunbookURL:   "https://runbooks.example.com/{alertname}",
	DashboardURL: "https://grafana.example.com/d/slo?var-service={service}&var-slo={slo}",
}

func shipped(t testing.TB, services ...string) []slo.SLO {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: services})
	require.NoError(t, err)
	return slos
}

func write(t testing.TB, slos []slo.SLO, o alerts.Options) string {
	t.Helper()
	file, _ := alerts.Prometheus(slos, o)
	text, err := file.YAML()
	require.NoError(t, err)
	return string(text)
}

// availability is one SLO with pages and tickets.
func availability(t testing.TB) []slo.SLO {
	t.Helper()
	return slices.DeleteFunc(shipped(t, "chat"), func(s slo.SLO) bool { return s.Name != "connection-availability" })
}

// TestTheRulesOfAnSLO leaves out symptoms, which have scenarios of their own.
func TestTheRulesOfAnSLO(t *testing.T) {
	t.Parallel()
	file, _ := alerts.Prometheus(availability(t), links)
	file.Groups = slices.DeleteFunc(file.Groups, func(g alerts.Group) bool { return g.Name == "sockeye:symptoms" })
	text, err := file.YAML()
	require.NoError(t, err)
	golden.Assert(t, "testdata/rules.golden.yaml", text)
}

// TestTheRulesOfEveryShape writes the rules of SLOs of each kind twice, because they must not depend on when or how often that is.
func TestTheRulesOfEveryShape(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("testdata/shapes.yaml")
	require.NoError(t, err)
	file, notes := alerts.Prometheus(slos, links)
	require.Empty(t, notes)
	file.Groups = file.Groups[:len(slos)] // without symptoms and the collector
	text, err := file.YAML()
	require.NoError(t, err)
	require.NotRegexp(t, `\d\.\d{13}`, string(text), "noise of floating-point numbers")
	golden.Assert(t, "testdata/shapes.golden.yaml", text)
	promtool(t, "check", "rules", "testdata/shapes.golden.yaml")
}

func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	text := write(t, shipped(t, "chat"), links)
	require.Equal(t, text, write(t, shipped(t, "chat"), links), "the same bytes each time")

	for _, number := range regexp.MustCompile(`\d+\.\d+`).FindAllString(text, -1) {
		require.LessOrEqual(t, len(number), len("1.239672"), number)
	}
	for _, threshold := range []string{"> 0.0144\n", "> 0.006\n", "> 0.003\n", "> 0.002\n", "> 0.001\n", " / 0.001\n", " / 0.005\n"} {
		require.Contains(t, text, threshold)
	}
}

// runPromtool lets it collect garbage rarely, which takes a third of its time otherwise.
func runPromtool(t testing.TB, args ...string) (string, error) {
	t.Helper()
	promtool := exec.Command(testenv.Program(t, "promtool", "prometheus"), args...)
	promtool.Env = append(os.Environ(), "GOGC=800")
	out, err := promtool.CombinedOutput()
	return string(out), err
}

func promtool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := runPromtool(t, args...)
	require.NoError(t, err, out)
	return out
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	t.Parallel()
	slos := shipped(t, "chat", `a "quoted" {{ service }} \\ of mine`)
	slos[0].Title = "{{ .Fail }} {{"
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(write(t, slos, links)), 0o600))
	require.Contains(t, promtool(t, "check", "rules", file), "SUCCESS")
}

// TestWindowsOfBucketsAreHalfOpen: Debian's Prometheus 2.42 takes both ends of a range, the one that test/oracle runs takes
// the right end only, and both count five minutes in five minutes.
func TestWindowsOfBucketsAreHalfOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		return filepath.Join(dir, name)
	}
	put("rules.yaml", write(t, availability(t), alerts.Options{Metrics: slo.Buckets}))
	promtool(t, "test", "rules", put("test.yaml", `
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'websocket_events_total{service_name="chat",websocket_vantage="edge",event_name="websocket.open"}', values: 1x40}
    promql_expr_test:
      - expr: slo:events_judged:sum5m
        eval_time: 35m
        exp_samples: [{labels: 'slo:events_judged:sum5m{service="chat",slo="connection-availability"}', value: 5}]
      - expr: slo:events_judged:sum30m
        eval_time: 35m
        exp_samples: [{labels: 'slo:events_judged:sum30m{service="chat",slo="connection-availability"}', value: 30}]
`))
}

// TestWhatFires runs the scenarios of testdata: input series, and the alerts that they raise.
func TestWhatFires(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.test.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.yaml"), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", file)
		})
	}
}
