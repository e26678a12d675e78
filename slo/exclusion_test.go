package slo_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestExclusionsAreWrittenForATerminal(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, slo.WriteExclusions(&b, nil))
	require.Equal(t, "no exclusions\n", b.String())
	b.Reset()
	e := slo.Exclusion{ID: "0badcafe", Version: 1, Service: "chat", From: noon, To: noon.Add(90 * time.Minute), Reason: "load test", Written: noon}
	second := e
	second.Version, second.Withdrawn, second.Reason = 2, true, "cancelled"
	other := slo.Exclusion{ID: "0ff1ce00", Version: 1, Service: "chat", SLO: "login", From: noon, To: noon.Add(26 * time.Hour), Reason: "move", Written: noon}
	require.NoError(t, slo.WriteExclusions(&b, []slo.Exclusion{e, second, other}))
	require.Equal(t, `ID        VERSION  STATE      OF                FROM                  TO                    LENGTH  WRITTEN               REASON
0badcafe  1        replaced   all SLOs of chat  2026-03-01 12:00 UTC  2026-03-01 13:30 UTC  1h30m   2026-03-01 12:00 UTC  load test
0badcafe  2        withdrawn  all SLOs of chat  2026-03-01 12:00 UTC  2026-03-01 13:30 UTC  1h30m   2026-03-01 12:00 UTC  cancelled
0ff1ce00  1        in force   login of chat     2026-03-01 12:00 UTC  2026-03-02 14:00 UTC  26h     2026-03-01 12:00 UTC  move
`, b.String())
}

// TestWhatIsExcludedIsCountedOnce: overlapping exclusions, widened to what the budget is made of, within its window alone.
func TestWhatIsExcludedIsCountedOnce(t *testing.T) {
	t.Parallel()
	slos := defaults(t, "chat")
	s := slos[3]
	excluded := func(s slo.SLO, spans ...[2]int) int64 {
		var exclusions []slo.Exclusion
		for i, span := range spans {
			exclusions = append(exclusions, slo.Exclusion{ID: fmt.Sprint(i), Service: "chat", From: noon.Add(time.Duration(span[0]) * time.Minute), To: noon.Add(time.Duration(span[1]) * time.Minute)})
		}
		of := slo.Exclude([]slo.SLO{s}, exclusions)
		plan := slo.Plan(of, noon, slo.Timing{})
		return slo.Evaluate(&of[0], plan.AsOf, plan.Nothing()[0], true).ExcludedSeconds / 60
	}
	require.Zero(t, excluded(s))
	require.EqualValues(t, 10, excluded(s, [2]int{-20, -10}))
	require.EqualValues(t, 15, excluded(s, [2]int{-20, -10}, [2]int{-15, -5}, [2]int{-12, -11}))
	require.EqualValues(t, 10, excluded(s, [2]int{-10, 50}), "up to now")
	require.EqualValues(t, 5, excluded(s, [2]int{-30*24*60 - 60, -30*24*60 + 5}), "since the window began")
	s.Window = 90 * 24 * time.Hour
	require.EqualValues(t, 15, excluded(s, [2]int{-14, -13}), "a quarter of an hour")
	s.Window, s.Budgeting = 30*24*time.Hour, slo.Budgeting{Method: slo.Timeslices, Slice: 5 * time.Minute}
	require.EqualValues(t, 10, excluded(s, [2]int{-16, -14}), "two slices are touched")
	other := []slo.Exclusion{
		{Service: "feed", From: noon.Add(-time.Hour), To: noon}, {Service: "chat", SLO: "other", From: noon.Add(-time.Hour), To: noon},
		{Service: "chat", Withdrawn: true, From: noon.Add(-time.Hour), To: noon},
	}
	require.Empty(t, slo.Excluding(&slos[3], other, noon.Add(-24*time.Hour), noon))
	require.Equal(t, slos, slo.Exclude(slos, other), "what is of others excludes nothing")
	require.NotEqual(t, slo.ExclusionID("a", "b", noon, noon), slo.ExclusionID("a b", "", noon, noon))
	text, err := json.Marshal(slo.Exclusion{ID: "x", Service: "chat"})
	require.NoError(t, err)
	require.NotContains(t, string(text), "withdrawn")
}
