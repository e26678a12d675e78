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
		"an objective of 100 %":                  {replace("99.9", "100"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be below 100, got 100; without a budget every failure would be a breach"},
		"a target of 1":                          {replace("targetPercent: 99.9", "target: 1"), "login.yaml:24:15: spec.objectives[0].target: must be above 0 and below 1, got 1; a target of 1 leaves no budget, so every failure would be a breach"},
		"a percentage as target":                 {replace("targetPercent: 99.9", "target: 99.9"), "login.yaml:24:15: spec.objectives[0].target: must be above 0 and below 1, got 99.9; 99.9 % is target: 0.999"},
		"an objective of 0":                      {replace("99.9", "0"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be above 0 and below 100, got 0"},
		"an objective with exponent":             {replace("99.9", "9.99e1"), "login.yaml:24:22: spec.objectives[0].targetPercent: must be a plain decimal such as 99.9, got 9.99e1"},
		"a quoted objective":                     {replace("99.9", `"99.9"`), `login.yaml:24:22: spec.objectives[0].targetPercent: must be a number, got the string "99.9"`},
		"a window beyond retention":              {replace("30d", "400d"), "login.yaml:21:18: spec.timeWindow[0].duration: must be at most 396d, for which rollup_15m is kept, got 400d"},
		"two vantages":                           {replace("{vantage: app,", "{vantage: edge,"), `login.yaml:15:29: spec.indicator.spec.ratioMetric.good.metricSource.spec.vantage: must be the vantage of total, "app": the same connection may be seen by several`},
		"an unknown dimension":                   {replace("outcome: success", "outcom: success"), "login.yaml:15:83: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0].where.outcom: unknown dimension; did you mean outcome?"},
		"SQL":                                    {replace("{vantage: app,", "{sql: SELECT 1, vantage: app,"), "login.yaml:15:20: spec.indicator.spec.ratioMetric.good.metricSource.spec.sql: unknown key; known are vantage, select, unjudged, threshold"},
		"an unknown event":                       {replace("event: websocket.auth,", "event: websocket.login,"), `login.yaml:15:51: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0].event: unknown event "websocket.login"`},
		"a threshold between bounds":             {replace("select: [{event: websocket.auth, where", "threshold: 220ms, select: [{event: websocket.auth, where"), "login.yaml:15:45: spec.indicator.spec.ratioMetric.good.metricSource.spec.threshold: must be a bound of the histogram; the neighbours of 220ms are 200ms and 250ms"},
		"an unreachable page":                    {replace("99.9", "93"), "login.yaml:24:22: spec.objectives[0].targetPercent: leaves the alert \"burn over 1h and 5m > 14.4\" unreachable: with every event bad the burn rate is 14.29; raise the objective, or name alertPolicies of your own, or set the annotation sockeye/alerts"},
		"an unknown guard":                       {replace("metadata:\n  name: login", "metadata:\n  annotations: {sockeye/guard: poisson}\n  name: login"), "login.yaml:4:32: metadata.annotations.sockeye/guard: must be binomial or none, got \"poisson\""},
		"good that total lacks":                  {replace("select: [{event: websocket.auth}]", "select: [{event: websocket.auth, where: {tenant: acme}}]"), "login.yaml:15:43: spec.indicator.spec.ratioMetric.good.metricSource.spec.select[0]: selects events that total does not; every one of its filters in total must hold here too"},
		"a calendar window beyond retention":     {all(calendarly, replace("1M", "2Y")), "login.yaml:21:18: spec.timeWindow[0].duration: must be at most 396d, for which rollup_15m is kept, got 2Y, which may have 732 days"},
		"minutes beyond their retention":         {all(thresholded, replace("measure: idle_share", "measure: count, select: [{event: websocket.auth}]"), replace("3d", "36d")), "login.yaml:15:18: spec.timeWindow[0].duration: must be at most 35d, for which rollup_1m is kept, got 36d"},
		"thirteen months, which may be 397 days": {all(calendarly, replace("1M", "13M")), "login.yaml:21:18: spec.timeWindow[0].duration: must be at most 396d, for which rollup_15m is kept, got 13M, which may have 403 days"},
		"gauges beyond their retention":          {all(thresholded, replace("3d", "30d")), "login.yaml:15:18: spec.timeWindow[0].duration: must be at most 3d, for which gauges_10s is kept, got 30d"},
		"a calendar of hours":                    {all(calendarly, replace("1M", "96h")), "login.yaml:21:18: spec.timeWindow[0].duration: must be days, weeks, months, quarters or years for a calendar, such as 1M, got 96h"},
		"a calendar in the machine's own zone":   {all(calendarly, replace("Europe/Berlin", "Local")), `login.yaml:21:93: spec.timeWindow[0].calendar.timeZone: unknown time zone "Local"; write a name of the IANA database, such as Europe/Berlin, or UTC`},
		"a calendar from an odd minute":          {all(calendarly, replace("00:00:00", "00:07:00")), "login.yaml:21:62: spec.timeWindow[0].calendar.startTime: must be at a full quarter of an hour, got 00:07:00"},
		"a method that is nearly one":            {replace("Occurrences", "Timeslice"), `login.yaml:22:20: spec.budgetingMethod: must be Occurrences, Timeslices or RatioTimeslices, got "Timeslice"; did you mean Timeslices?`},
		"a slice that no hour holds":             {all(sliced, replace("5m", "7m")), "login.yaml:26:24: spec.objectives[0].timeSliceWindow: must divide an hour, such as 1m, 5m, 15m or 1h, got 7m"},
		"a slice across midnight somewhere":      {all(sliced, calendarly, replace("5m", "1h")), "login.yaml:26:24: spec.objectives[0].timeSliceWindow: must be 1m, 3m, 5m or 15m for a calendar window, whose days begin at any quarter of an hour, got 1h"},
		"a slice finer than what is kept":        {all(sliced, replace("30d", "60d")), "login.yaml:26:24: spec.objectives[0].timeSliceWindow: must be a multiple of 15m, as rows older than 35d are kept, got 5m"},
		"a slice for events":                     {replace("targetPercent: 99.9", "targetPercent: 99.9\n      timeSliceWindow: 5m"), "login.yaml:25:24: spec.objectives[0].timeSliceWindow: is for Timeslices; remove it, or write budgetingMethod: Timeslices"},
		"a percentage of a slice":                {all(sliced, replace("0.95", "95")), "login.yaml:25:24: spec.objectives[0].timeSliceTarget: must be above 0 and at most 1, got 95; 95 % is 0.95"},
		"a mean of a threshold":                  {all(thresholded, replace("Occurrences", "RatioTimeslices"), replace("      op: lt", "      timeSliceWindow: 5m\n      op: lt")), "login.yaml:16:20: spec.budgetingMethod: must be Occurrences or Timeslices for a thresholdMetric: a slice has one value and so no ratio"},
		"the same objective twice":               {replace("    - targetPercent: 99.9", "    - target: 0.999\n    - targetPercent: 99.9"), `login.yaml:25:7: spec.objectives[1]: is a second objective named "login/99.9"; give each a displayName of its own`},
		"an unknown measure":                     {all(thresholded, replace("idle_share", "idle_shares")), `login.yaml:13:41: spec.indicator.spec.thresholdMetric.metricSource.spec.measure: unknown measure "idle_shares"; did you mean idle_share?`},
		"a measure of events without any":        {all(thresholded, replace("idle_share", "count")), "login.yaml:11:9: spec.indicator.spec.thresholdMetric.metricSource.spec.select: is missing; list the events that count"},
		"groups of an unknown dimension":         {all(grouped, replace("[tenant]", "[tenent]")), "login.yaml:19:79: spec.indicator.spec.ratioMetric.total.metricSource.spec.groupBy[0]: unknown dimension; did you mean tenant?"},
		"groups that tell good from bad":         {all(grouped, replace("[tenant]", "[outcome]")), "login.yaml:19:79: spec.indicator.spec.ratioMetric.total.metricSource.spec.groupBy[0]: must not be outcome, which tells good from bad: every group would be all good or all bad"},
		"groups of too many dimensions":          {all(grouped, replace("[tenant]", "[tenant, region, environment]")), "login.yaml:19:78: spec.indicator.spec.ratioMetric.total.metricSource.spec.groupBy: must be at most 2 dimensions, got 3"},
		"too many groups":                        {all(grouped, replace("[tenant]", "tenant, maxGroups: 1000")), `login.yaml:19:97: spec.indicator.spec.ratioMetric.total.metricSource.spec.maxGroups: must be 1 to 100, got 1000: the groups with fewer events fold into one`},
		"alerts of no groups":                    {replace("name: login\nspec", "name: login\n  annotations: {sockeye/group-alerts: page}\nspec"), "login.yaml:5:39: metadata.annotations.sockeye/group-alerts: is for an SLO with groupBy; remove it"},
		"a composite that lacks an indicator":    {all(composite, replace(", indicatorRef: shared, compositeWeight: 2", "")), "login.yaml:11:7: spec.objectives[0].indicator: is missing; write indicator or indicatorRef"},
		"a weight without a composite":           {replace("targetPercent: 99.9", "targetPercent: 99.9\n      compositeWeight: 2"), "login.yaml:25:24: spec.objectives[0].compositeWeight: is for objectives with an indicator of their own; remove it"},
		"weights where the worst decides":        {all(composite, replace("name: login\nspec", "name: login\n  annotations: {sockeye/composite: worst}\nspec")), "login.yaml:12:68: spec.objectives[0].compositeWeight: has no meaning where the worst member decides; remove it"},
		"a way to combine without a composite":   {replace("name: login\nspec", "name: login\n  annotations: {sockeye/composite: worst}\nspec"), "login.yaml:5:36: metadata.annotations.sockeye/composite: is for an SLO whose objectives have indicators of their own; remove it"},
		"open connections beside opens":          {replace("select: [{event: websocket.auth}]}", "select: [{event: websocket.auth}], active: true}"), "login.yaml:19:42: spec.indicator.spec.ratioMetric.total.metricSource.spec.select: must select websocket.close alone: with active it counts the connections that ended and those still open"},
		"a bad that stands for nothing in total": {all(replace("good:", "bad:"), replace("websocket.auth, where: {outcome: success}", "websocket.message.rejected")), "login.yaml:15:43: spec.indicator.spec.ratioMetric.bad.metricSource.spec.select[0]: selects events that total does not; every one of its filters in total must hold here too"},
		"a raw ratio":                            {replace("counter: true", "rawType: success"), "login.yaml:11:18: spec.indicator.spec.ratioMetric.rawType: is not supported: a ratio without its counts cannot be weighed; write good and total"},
		"a policy with an unknown target":        {all(policied, replace("targetRef: pager", "targetRef: pagger")), `login.yaml:36:24: spec.alertPolicies[0].spec.notificationTargets[0].targetRef: no AlertNotificationTarget named "pagger" in these files; did you mean pager?`},
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

// all applies changes one after the other.
func all(changes ...func(string) string) func(string) string {
	return func(s string) string {
		for _, change := range changes {
			s = change(s)
		}
		return s
	}
}

const (
	calendarWindow = "{duration: 1M, isRolling: false, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}"
	ratioOfLogin   = `      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Sockeye
            spec: {vantage: app, select: [{event: websocket.auth, where: {outcome: success}}]}
        total:
          metricSource:
            type: Sockeye
            spec: {vantage: app, select: [{event: websocket.auth}]}
`
	thresholdOf = `      thresholdMetric:
        metricSource:
          type: Sockeye
          spec: {vantage: app, measure: idle_share}
`
	indicatorOfLogin = "  indicator:\n    metadata: {name: login}\n    spec:\n" + ratioOfLogin
	shared           = `---
apiVersion: openslo/v1
kind: SLI
metadata: {name: shared}
spec:
` + "  ratioMetric:\n    counter: true\n    good: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.auth, where: {outcome: success}}]}}}\n" +
		"    total: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.auth}]}}}\n"
	policy = `  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: fast}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: fast}
            spec:
              severity: page
              condition: {kind: burnrate, op: gt, threshold: 10, lookbackWindow: 1h}
        notificationTargets:
          - targetRef: pager
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: pager}
spec: {target: pager}
`
)

var (
	calendarly = replace("{duration: 30d, isRolling: true}", calendarWindow)
	sliced     = all(replace("Occurrences", "Timeslices"), replace("targetPercent: 99.9", "targetPercent: 99.9\n      timeSliceTarget: 0.95\n      timeSliceWindow: 5m"))
	averaged   = all(replace("Occurrences", "RatioTimeslices"), replace("targetPercent: 99.9", "targetPercent: 99.9\n      timeSliceWindow: 5m"))
	composite  = all(replace(indicatorOfLogin, ""), replace("    - targetPercent: 99.9\n",
		"    - {targetPercent: 99.9, indicatorRef: shared, compositeWeight: 2}\n    - targetPercent: 99\n      indicator:\n        metadata: {name: own}\n        spec:\n"+
			strings.ReplaceAll("\n"+ratioOfLogin, "\n      ", "\n          ")[1:]+shared))
	thresholded = all(replace(ratioOfLogin, thresholdOf), replace("30d", "3d"), replace("targetPercent: 99.9", "targetPercent: 99\n      op: lt\n      value: 0.5"))
	grouped     = replace("select: [{event: websocket.auth}]}", "select: [{event: websocket.auth}], groupBy: [tenant]}")
	policied    = func(s string) string { return s + policy }
)

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
		require.NoError(t, sdk(s), s.Name)
	}
}

// sdk is what OpenSLO's own SDK says of a document.
func sdk(s slo.Source) error {
	objects, err := openslosdk.Decode(strings.NewReader(string(s.Data)), openslosdk.FormatYAML)
	if err != nil {
		return err
	}
	return openslosdk.Validate(objects...)
}

// TestSDKJudgesAlike is a table of documents of which OpenSLO's SDK and we say the same: both take it, or neither does. (What
// only we refuse, such as an unknown dimension, OpenSLO has no opinion on.)
func TestSDKJudgesAlike(t *testing.T) {
	t.Parallel()
	valid := map[string]func(string) string{
		"as it is":                       nil,
		"a target":                       replace("targetPercent: 99.9", "target: 0.999"),
		"a title":                        replace("name: login\nspec", "name: login\n  displayName: Log in\nspec"),
		"labels and foreign annotations": replace("name: login\nspec", "name: login\n  labels: {team: [a, b], env: prod}\n  annotations: {example.com/owner: us}\nspec"),
		"bad instead of good":            replace("good:", "bad:"),
		"a calendar":                     calendarly,
		"a calendar without isRolling":   all(calendarly, replace("isRolling: false, ", "")),
		"a quoted start":                 all(calendarly, replace("2026-01-01 00:00:00", `"2026-01-01 00:00:00"`)),
		"a quarter":                      all(calendarly, replace("1M", "1Q")),
		"a year":                         all(calendarly, replace("1M", "1Y")),
		"a rolling quarter":              replace("30d", "1Q"),
		"slices":                         sliced,
		"slices that must be perfect":    all(sliced, replace("0.95", "1")),
		"means of slices":                averaged,
		"a composite":                    composite,
		"a composite without weights":    all(composite, replace(", compositeWeight: 2", "")),
		"two objectives":                 replace("    - targetPercent: 99.9", "    - targetPercent: 99.9\n    - targetPercent: 99"),
		"a threshold":                    thresholded,
		"groups":                         grouped,
		"an inline policy":               policied,
	}
	invalid := map[string]func(string) string{
		"an objective of 100 %":                  replace("99.9", "100"),
		"an objective of 101 %":                  replace("99.9", "101"),
		"a negative objective":                   replace("99.9", "-1"),
		"a target of 1":                          replace("targetPercent: 99.9", "target: 1"),
		"no target":                              replace("targetPercent: 99.9", "displayName: none"),
		"target and targetPercent":               replace("targetPercent: 99.9", "target: 0.9\n      targetPercent: 90"),
		"no name":                                replace("metadata:\n  name: login\n", "metadata: {}\n"),
		"a name that is no label":                replace("name: login", "name: Log In"),
		"a long name":                            replace("name: login", "name: "+strings.Repeat("a", 64)),
		"a long title":                           replace("name: login\nspec", "name: login\n  displayName: "+strings.Repeat("a", 64)+"\nspec"),
		"a long description":                     replace("service: chat", "service: chat\n  description: "+strings.Repeat("a", 1051)),
		"a label that is none":                   replace("name: login\nspec", "name: login\n  labels: {a b: c}\nspec"),
		"an annotation that is none":             replace("name: login\nspec", "name: login\n  annotations: {a b: c}\nspec"),
		"another version":                        replace("openslo/v1", "openslo/v7"),
		"an unknown kind":                        replace("kind: SLO", "kind: Slo"),
		"an unknown method":                      replace("Occurrences", "Events"),
		"no method":                              replace("  budgetingMethod: Occurrences\n", ""),
		"no service":                             replace("service: chat", "service: ''"),
		"no indicator":                           replace(indicatorOfLogin, ""),
		"indicator and indicatorRef":             replace("service: chat", "service: chat\n  indicatorRef: shared"),
		"good and bad":                           replace("        total:", "        bad: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.auth}]}}}\n        total:"),
		"neither good nor bad":                   replace("good:", "neither:"),
		"ratio and threshold":                    replace("      ratioMetric:", thresholdOf+"      ratioMetric:"),
		"an empty spec":                          replace("{vantage: app, select: [{event: websocket.auth}]}", "{}"),
		"two windows":                            replace("timeWindow:", "timeWindow:\n    - {duration: 28d, isRolling: true}"),
		"a window without unit":                  replace("30d", "30"),
		"neither rolling nor calendar":           replace("isRolling: true", "isRolling: false"),
		"rolling with a calendar":                all(calendarly, replace("isRolling: false", "isRolling: true")),
		"a calendar of an unknown zone":          all(calendarly, replace("Europe/Berlin", "Europe/Berlim")),
		"a calendar without a zone's name":       all(calendarly, replace(", timeZone: Europe/Berlin", "")),
		"a calendar without a start":             all(calendarly, replace("startTime: 2026-01-01 00:00:00, ", "")),
		"a start that is no time":                all(calendarly, replace("2026-01-01 00:00:00", "2026-01-01T00:00:00Z")),
		"slices without a target":                all(sliced, replace("      timeSliceTarget: 0.95\n", "")),
		"slices without a window":                all(sliced, replace("      timeSliceWindow: 5m\n", "")),
		"slices with a percentage":               all(sliced, replace("0.95", "95")),
		"means without a window":                 all(averaged, replace("      timeSliceWindow: 5m\n", "")),
		"a composite with an indicator of all":   all(composite, replace("service: chat", "service: chat\n  indicatorRef: shared")),
		"a composite with a weight of 0":         all(composite, replace("compositeWeight: 2", "compositeWeight: 0")),
		"a threshold without op":                 all(thresholded, replace("      op: lt\n", "")),
		"a threshold without value":              all(thresholded, replace("      value: 0.5\n", "")),
		"a threshold with another op":            all(thresholded, replace("op: lt", "op: eq")),
		"op for a ratio":                         replace("targetPercent: 99.9", "targetPercent: 99.9\n      op: lt"),
		"value for a ratio":                      replace("targetPercent: 99.9", "targetPercent: 99.9\n      value: 0.5"),
		"a policy of two conditions":             all(policied, replace("        conditions:\n", "        conditions:\n          - conditionRef: other\n")),
		"a policy without a condition":           all(policied, replace("        conditions:\n", "        conditions: []\n        ignored:\n")),
		"a policy without a target":              all(policied, replace("        notificationTargets:\n          - targetRef: pager\n", "")),
		"a condition of another kind":            all(policied, replace("kind: burnrate", "kind: budget")),
		"a condition without threshold":          all(policied, replace("threshold: 10, ", "")),
		"a condition without severity":           all(policied, replace("              severity: page\n", "")),
		"a condition without window":             all(policied, replace(", lookbackWindow: 1h", "")),
		"a notification target without a target": all(policied, replace("spec: {target: pager}", "spec: {target: ''}")),
		"a data source without connectionDetails": func(s string) string {
			return s + "---\napiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: store}\nspec: {type: Sockeye}\n"
		},
	}
	check := func(change func(string) string, want bool) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			s := document(change)
			if change != nil {
				require.NotEqual(t, string(document(nil).Data), string(s.Data), "the change changes nothing")
			}
			_, ours := slo.Parse(s)
			theirs := sdk(s)
			if want {
				require.NoError(t, ours)
				require.NoError(t, theirs)
				return
			}
			require.Error(t, ours, "the SDK says: %v", theirs)
			require.Error(t, theirs, "we say: %v", ours)
		}
	}
	for name, change := range valid {
		t.Run(name, check(change, true))
	}
	for name, change := range invalid {
		t.Run(name, check(change, false))
	}
}

// TestManual reads the document that docs/slo.md shows, and the composite's objectives in its place.
func TestManual(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/slo.md")
	require.NoError(t, err)
	var blocks []string
	for i, block := range strings.Split(string(text), "```") {
		if yaml, ok := strings.CutPrefix(block, "yaml\n"); ok && i%2 == 1 {
			blocks = append(blocks, yaml)
		}
	}
	require.Len(t, blocks, 4)
	blocks = blocks[2:] // the first two configure the engine and Alertmanager
	slos, err := slo.Parse(slo.Source{Name: "docs/slo.md", Data: []byte(blocks[0])})
	require.NoError(t, err)
	require.Equal(t, "eu-login of chat: 99.5 % over 28d", strings.SplitN(slos[0].Summary(), ";", 2)[0])

	head, tail, _ := strings.Cut(blocks[0], "  indicator:")
	_, tail, _ = strings.Cut(tail, "  timeWindow:")
	window, _, _ := strings.Cut(tail, "  objectives:")
	composite := head + "  timeWindow:" + window + blocks[1] + strings.Replace(shared, "name: shared", "name: opened", 1) +
		strings.Replace(shared, "name: shared", "name: signed-in", 1)
	slos, err = slo.Parse(slo.Source{Name: "docs/slo.md", Data: []byte(composite)})
	require.NoError(t, err)
	require.Equal(t, "eu-login of chat: 99.675 % of the mean of 3 × opened, 1 × signed-in over 28d", strings.SplitN(slos[0].Summary(), ";", 2)[0])
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
