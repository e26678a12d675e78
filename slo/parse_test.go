package slo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/OpenSLO/go-sdk/pkg/openslosdk"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
)

// TestFaultsAreReportedAllAtOnce keeps what each broken document is told, with positions, in golden files.
func TestFaultsAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/faults/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			slos, err := slo.Load(file)
			require.Error(t, err)
			require.Nil(t, slos)
			var faults slo.Faults
			require.ErrorAs(t, err, &faults)
			for _, f := range faults {
				require.Equal(t, file, f.File)
				require.Positive(t, f.Line)
				require.Positive(t, f.Column)
			}
			golden.Assert(t, strings.TrimSuffix(file, ".yaml")+".golden", []byte(err.Error()+"\n"))
		})
	}
}

func document(change func(string) string) slo.Source {
	text := `apiVersion: openslo/v1
kind: SLO
metadata:
  name: login
spec:
  service: chat
  indicator:
    metadata: {name: login}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Sockeye
            spec: {vantage: app, select: [{event: websocket.auth, where: {outcome: success}}]}
        total:
          metricSource:
            type: Sockeye
            spec: {vantage: app, select: [{event: websocket.auth}]}
  timeWindow:
    - {duration: 30d, isRolling: true}
  budgetingMethod: Occurrences
  objectives:
    - targetPercent: 99.9
`
	if change != nil {
		text = change(text)
	}
	return slo.Source{Name: "login.yaml", Data: []byte(text)}
}

func replace(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

func TestOneFaultOneSentence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(string) string
		want   string
	}{
		"an objective of 100 %":      {replace("99.9", "100"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be below 100, got 100; without a budget every failure would be a breach"},
		"a target of 1":              {replace("targetPercent: 99.9", "target: 1"), "login.yaml:24:15: spec.objectives[0].target: must be above 0 and below 1, got 1; a target of 1 leaves no budget, so every failure would be a breach"},
		"a percentage as target":     {replace("targetPercent: 99.9", "target: 99.9"), "login.yaml:24:15: spec.objectives[0].target: must be above 0 and below 1, got 99.9; 99.9 % is target: 0.999"},
		"an objective of 0":          {replace("99.9", "0"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be above 0 and below 100, got 0"},
		"an objective with exponent": {replace("99.9", "9.99e1"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be a plain decimal such as 99.9, got 9.99e1"},
		"a quoted objective":         {replace("99.9", `"99.9"`), `login.yaml:24:22: spec.objectives[0].targetPercent: must be a number, got the string "99.9"`},
		"a window beyond retention":  {replace("30d", "400d"), "login.yaml:21:18: spec.timeWindow[0].duration: must be at most 396d, for which rollup_15m is kept, got 400d"},
		"two vantages":               {replace("{vantage: app,", "{vantage: edge,"), `login.yaml:15:29: spec.indicator.spec.ratioMetric.good.metricSource.spec.vantage: must be the vantage of total, "app": the same connection may be seen by several`},
		"an unknown dimension":       {replace("outcome: success", "outcom: success"), "login.yaml:15:83: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0].where.outcom: unknown dimension; did you mean outcome?"},
		"SQL":                        {replace("{vantage: app,", "{sql: SELECT 1, vantage: app,"), "login.yaml:15:20: spec.indicator.spec.ratioMetric.good.metricSource.spec.sql: unknown key; known are vantage, select, unjudged, threshold"},
		"an unknown event":           {replace("event: websocket.auth,", "event: websocket.login,"), `login.yaml:15:51: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0].event: unknown event "websocket.login"`},
		"a threshold between bounds": {replace("select: [{event: websocket.auth, where", "threshold: 220ms, select: [{event: websocket.auth, where"), "login.yaml:15:45: spec.indicator.spec.ratioMetric.good.metricSource.spec.threshold: must be a bound of the histogram; the neighbours of 220ms are 200ms and 250ms"},
		"an unreachable page":        {replace("99.9", "93"), "login.yaml:24:22: spec.objectives[0].targetPercent: leaves the alert \"burn over 1h and 5m > 14.4\" unreachable: with every event bad the burn rate is 14.29; raise the objective, or name alertPolicies of your own, or set the annotation sockeye/alerts"},
		"an unknown guard":           {replace("metadata:\n  name: login", "metadata:\n  annotations: {sockeye/guard: poisson}\n  name: login"), "login.yaml:4:32: metadata.annotations.sockeye/guard: must be binomial or none, got \"poisson\""},
		"good that total lacks":      {replace("select: [{event: websocket.auth}]", "select: [{event: websocket.auth, where: {tenant: acme}}]"), "login.yaml:15:43: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0]: selects events that total does not; every one of its filters in total must hold here too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := slo.Parse(document(tc.change))
			require.Error(t, err)
			first, _, more := strings.Cut(err.Error(), "\n")
			require.False(t, more, err)
			require.True(t, strings.HasPrefix(first, tc.want), "want %s\n got %s", tc.want, first)
		})
	}
}

func TestPlainDocument(t *testing.T) {
	t.Parallel()
	slos, err := slo.Parse(document(nil))
	require.NoError(t, err)
	require.Len(t, slos, 1)
	require.Equal(t, "0.999", slos[0].Objective.String())
	require.Equal(t, "0.001", slos[0].Budget().String())
	require.Len(t, slos[0].Rules, 5)
	require.False(t, slos[0].Unguarded)
	slos, err = slo.Parse(document(replace("metadata:\n  name: login", "metadata:\n  annotations: {sockeye/guard: none}\n  name: login")))
	require.NoError(t, err)
	require.True(t, slos[0].Unguarded)
}

// TestReferencesAcrossFiles: an SLO may use an SLI, a policy and a service name of another file.
func TestReferencesAcrossFiles(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("testdata/valid/deliveries.yaml", "testdata/valid/service.yaml")
	require.NoError(t, err)
	require.Len(t, slos, 1)
	s := slos[0]
	require.Equal(t, "Chat_Service.v2", s.Service)
	require.Equal(t, "0.95", s.Objective.String())
	require.Len(t, s.Rules, 1)
	require.Equal(t, "burn over 6h and 30m > 5", s.Rules[0].String())
	require.Equal(t, slo.SeverityPage, s.Rules[0].Severity)
	require.True(t, s.Indicator.HitIsBad)
	require.Equal(t, "https://wiki.example.com/deliveries", s.RunbookURL)
}

func TestFileFaults(t *testing.T) {
	t.Parallel()
	_, err := slo.Load("testdata/absent.yaml", "testdata")
	require.EqualError(t, err, "testdata/absent.yaml:1:1: no such file\ntestdata:1:1: is a directory")
}

// TestSDKAgrees asks OpenSLO's own SDK about every document that we take: the defaults and those of the tests.
func TestSDKAgrees(t *testing.T) {
	t.Parallel()
	sources := append(slo.DefaultSources(), document(nil))
	files, err := filepath.Glob("testdata/valid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		sources = append(sources, slo.Source{Name: file, Data: data})
	}
	for _, s := range sources {
		objects, err := openslosdk.Decode(strings.NewReader(string(s.Data)), openslosdk.FormatYAML)
		require.NoError(t, err, s.Name)
		require.NoError(t, openslosdk.Validate(objects...), s.Name)
	}
}

// TestSDKRefusesWhatWeRefuse: where a document breaks OpenSLO itself, both say so. (What only we refuse, such as an unknown
// dimension, OpenSLO has no opinion on.)
func TestSDKRefusesWhatWeRefuse(t *testing.T) {
	t.Parallel()
	for _, change := range []func(string) string{
		replace("99.9", "100"), replace("targetPercent: 99.9", "target: 1"), replace("name: login", "name: Log In"),
		replace("openslo/v1", "openslo/v7"), replace("  budgetingMethod: Occurrences\n", ""), replace("service: chat", "service: ''"),
		replace("isRolling: true", "isRolling: false"), replace("targetPercent: 99.9", "target: 0.9\n      targetPercent: 90"),
	} {
		s := document(change)
		_, err := slo.Parse(s)
		require.Error(t, err, string(s.Data))
		objects, err := openslosdk.Decode(strings.NewReader(string(s.Data)), openslosdk.FormatYAML)
		if err == nil {
			err = openslosdk.Validate(objects...)
		}
		require.Error(t, err, string(s.Data))
	}
}

func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds in testdata")
	}
	for _, file := range seeds {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range slo.DefaultSources() {
		f.Add(s.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		slos, err := slo.Parse(slo.Source{Name: "fuzz.yaml", Data: data})
		if err != nil {
			var faults slo.Faults
			require.ErrorAs(t, err, &faults)
			require.NotEmpty(t, faults)
			return
		}
		for _, s := range slos {
			require.True(t, s.Objective.Valid())
			require.True(t, len(s.Indicator.Total) > 0 || len(s.Members) > 1 || s.Indicator.Measure != "")
			require.NotZero(t, s.Window)
			require.NotEmpty(t, s.Service)
			for _, r := range s.Rules {
				require.NotEmpty(t, r.Short)
			}
		}
		if len(slos) > 0 {
			q := slo.Plan(slos, epoch, slo.Timing{})
			require.Equal(t, 0, strings.Count(strings.NewReplacer(`\\`, "", `\'`, "").Replace(q.SQL), "'")%2)
		}
	})
}

func ExampleParse() {
	_, err := slo.Parse(slo.Source{Name: "slo/login.yaml", Data: []byte("apiVersion: openslo/v1\nkind: Slo\nmetadata: {name: login}\nspec: {}\n")})
	fmt.Println(err)
	// Output: slo/login.yaml:2:7: kind: unknown kind "Slo"; did you mean SLO?
}
