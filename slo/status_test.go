package slo_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/slo"
)

func number(t testing.TB, text string) slo.Number {
	t.Helper()
	n, err := slo.Decimal(text)
	require.NoError(t, err)
	return n
}

func plain(t testing.TB, objective string) slo.SLO {
	return slo.SLO{
		Name: "login", Service: "chat", Title: "Login", Objective: number(t, objective), Window: 30 * 24 * time.Hour,
		Rules: slo.StandardRules(),
	}
}

// same gives every window the same counts.
func same(s *slo.SLO, good, judged, total uint64) slo.Counts {
	q := slo.Plan([]slo.SLO{*s}, epoch, slo.Timing{})
	c := q.Nothing()[0]
	for i := range c.Windows {
		c.Windows[i].Good, c.Windows[i].Judged, c.Windows[i].Total = good, judged, total
	}
	c.Budget.Good, c.Budget.Judged, c.Budget.Total = good, judged, total
	return c
}

func TestStates(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	idleHour := same(&s, 1000, 1000, 1000)
	for i := range 3 {
		idleHour.Windows[i] = slo.Count{Window: idleHour.Windows[i].Window}
	}
	spent := same(&s, 1000, 1000, 1000)
	spent.Budget.Good, spent.Budget.Judged, spent.Budget.Total = 999_000, 1_000_000, 1_000_000
	burning := same(&s, 980, 1000, 1000)
	burning.Budget.Good, burning.Budget.Judged, burning.Budget.Total = 9_999_999, 10_000_000, 10_000_000
	onlyLong := burning
	onlyLong.Windows = append([]slo.Count(nil), burning.Windows...)
	onlyLong.Windows[0].Good = 1000 // 5m is clean: the 1h page must not fire any more
	onlyLong.Windows[1].Good = 1000 // nor the 6h page
	uncovered := same(&s, 1000, 1000, 1053)
	covered := same(&s, 1000, 1000, 1052)

	for name, tc := range map[string]struct {
		counts   slo.Counts
		live     bool
		state    slo.State
		severity slo.Severity
	}{
		"all is well":                    {same(&s, 1000, 1000, 1000), true, slo.StateOK, slo.SeverityNone},
		"no source is alive":             {same(&s, 0, 1000, 1000), false, slo.StateNoData, slo.SeverityNone},
		"never anything":                 {same(&s, 0, 0, 0), true, slo.StateNoTraffic, slo.SeverityNone},
		"an idle hour":                   {idleHour, true, slo.StateNoTraffic, slo.SeverityNone},
		"exactly all of the budget":      {spent, true, slo.StateExhausted, slo.SeverityNone},
		"both windows of a page":         {burning, true, slo.StateBurning, slo.SeverityPage},
		"the short windows are clean":    {onlyLong, true, slo.StateBurning, slo.SeverityTicket},
		"94.97 % judged":                 {uncovered, true, slo.StateLowCoverage, slo.SeverityNone},
		"95.06 % judged":                 {covered, true, slo.StateOK, slo.SeverityNone},
		"nothing could be judged":        {same(&s, 0, 0, 10), true, slo.StateLowCoverage, slo.SeverityNone},
		"a burn rate of exactly 14.4":    {same(&s, 9856, 10000, 10000), true, slo.StateExhausted, slo.SeverityPage}, // 6h pair
		"a burn rate of exactly 1 alone": {same(&s, 999, 1000, 1000), true, slo.StateExhausted, slo.SeverityNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := slo.Evaluate(&s, epoch, tc.counts, tc.live)
			require.Equal(t, tc.state, st.State)
			require.Equal(t, tc.severity, st.Severity)
			_, err := json.Marshal(st) // NaN would not marshal
			require.NoError(t, err)
		})
	}
}

// TestThresholdsAreExclusiveAndExact: at a burn rate of exactly 14.4 floats would decide by noise.
func TestThresholdsAreExclusiveAndExact(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	s.Rules = s.Rules[:1]
	at := slo.Evaluate(&s, epoch, same(&s, 9856, 10000, 10000), true)
	require.Equal(t, "14.4", at.Windows[0].Burn.String())
	require.False(t, at.Rules[0].Firing)
	above := slo.Evaluate(&s, epoch, same(&s, 9856_0000-1, 10000_0000, 10000_0000), true)
	require.True(t, above.Rules[0].Firing)
}

func TestNumbersHaveNoNoise(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	st := slo.Evaluate(&s, epoch, same(&s, 99991, 99999, 100000), true)
	text, err := json.Marshal(st)
	require.NoError(t, err)
	require.Contains(t, string(text), `"budget":0.001`)
	require.Contains(t, string(text), `"error_ratio":0.000080001`)
	require.Contains(t, string(text), `"burn":0.0800008,`)
	require.Contains(t, string(text), `"coverage":0.99999`)
	var back slo.Status
	require.NoError(t, json.Unmarshal(text, &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(again))
	none := slo.Evaluate(&s, epoch, same(&s, 0, 0, 0), true)
	text, err = json.Marshal(none)
	require.NoError(t, err)
	require.Contains(t, string(text), `"budget_remaining":null`)
}

// TestDecimalsSurvive: whatever a document may write comes back the same.
func TestDecimalsSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole, places := rapid.Uint32().Draw(t, "whole"), rapid.IntRange(1, 12).Draw(t, "places")
		fraction := rapid.Uint64Range(0, 999_999_999_999).Draw(t, "fraction")
		text := fmt.Sprintf("%d.%012d", whole, fraction)[:len(fmt.Sprint(whole))+1+places]
		n, err := slo.Decimal(text)
		require.NoError(t, err)
		want, _ := new(big.Rat).SetString(text)
		got, ok := new(big.Rat).SetString(n.String())
		require.True(t, ok)
		require.Zero(t, want.Cmp(got), "%s became %s", text, n)
	})
}

// TestWorkbookDetectionTimes reproduces the SRE workbook: with a constant error ratio that begins at 0 on a service with
// steady traffic, a rule fires when its long window has seen enough, (1-SLO)/ratio × window × burn after the start, and
// ends about when the short window has forgotten.
func TestWorkbookDetectionTimes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		objective string
		ratio     float64 // errors while it lasts
		rule      int
		fires     time.Duration
	}{
		"99.9 %, total outage, 1h page": {"0.999", 1, 0, 52 * time.Second},
		"99.9 %, 10 % errors, 1h page":  {"0.999", 0.10, 0, 8*time.Minute + 38*time.Second},
		"99.9 %, 2 % errors, 1h page":   {"0.999", 0.02, 0, 43*time.Minute + 12*time.Second},
		"99.9 %, 1 % errors, 6h page":   {"0.999", 0.01, 1, 3*time.Hour + 36*time.Minute},
		"99.9 %, total outage, 6h page": {"0.999", 1, 1, 2*time.Minute + 10*time.Second},
		"99.9 %, 0.5 % errors, 1d":      {"0.999", 0.005, 2, 14*time.Hour + 24*time.Minute},
		"99.9 %, 0.2 % errors, 3d":      {"0.999", 0.002, 3, 36 * time.Hour},
		"99.9 %, 1 % errors, 6h and 1h": {"0.999", 0.01, 4, 72 * time.Minute},
		"99.5 %, 10 % errors, 1h page":  {"0.995", 0.10, 0, 43*time.Minute + 12*time.Second},
		"99 %, total outage, 1h page":   {"0.99", 1, 0, 8*time.Minute + 38*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := plain(t, tc.objective)
			s.Rules = s.Rules[tc.rule : tc.rule+1]
			s.Unguarded = true // the workbook knows no guard; it would hold the burn of 1 back by less than 1 % here
			const step = 10 * time.Second
			perStep := uint64(10_000) // events each step; errors are exact for these ratios
			bad := uint64(float64(perStep) * tc.ratio)
			at := func(since time.Duration, lasting time.Duration) bool {
				q := slo.Plan([]slo.SLO{s}, epoch, slo.Timing{})
				c := q.Nothing()[0]
				for i, w := range c.Windows {
					begun := min(since, lasting)
					overlap := max(0, min(begun, w.Length-(since-begun)))
					c.Windows[i].Total = uint64(w.Length/step) * perStep
					c.Windows[i].Judged = c.Windows[i].Total
					c.Windows[i].Good = c.Windows[i].Total - uint64(overlap/step)*bad
				}
				return slo.Evaluate(&s, epoch, c, true).Rules[0].Firing
			}
			var fired time.Duration
			require.False(t, at(step, step)) // and the burn only grows until it fires
			for since := (tc.fires * 9 / 10).Truncate(step); since < 80*time.Hour; since += step {
				if at(since, since) {
					fired = since
					break
				}
			}
			// Exclusive threshold, so the first step strictly after the closed form.
			require.InDelta(t, tc.fires.Seconds(), fired.Seconds(), step.Seconds()+1)
			// It must end within its short window after the errors have, and not before the short burn has fallen.
			short := map[string]time.Duration{}
			for _, w := range slo.BurnWindows() {
				short[w.Name] = w.Length
			}
			ended := fired
			for at(ended, fired) {
				ended += step
			}
			require.LessOrEqual(t, ended-fired, short[s.Rules[0].Short])
		})
	}
}

// TestComposites: each member's burn rate is against its own objective, and the weights share out the common budget.
func TestComposites(t *testing.T) {
	t.Parallel()
	member := func(objective, weight string) slo.Member {
		s := plain(t, objective)
		s.Rules = nil
		return slo.Member{SLO: s, Weight: number(t, weight)}
	}
	s := plain(t, "0.9975")
	s.Rules = nil
	s.Members, s.Combine = []slo.Member{member("0.999", "3"), member("0.99", "1")}, slo.CombineWeighted
	counts := func(bad ...uint64) slo.Counts {
		q := slo.Plan([]slo.SLO{s}, epoch, slo.Timing{})
		c := q.Nothing()[0]
		for i, b := range bad {
			m := &c.Members[i]
			for _, n := range append([]*slo.Count{&m.Budget}, pointers(m.Windows)...) {
				n.Judged, n.Total, n.Good = 10_000, 10_000, 10_000-b
				if b > 10_000 {
					n.Judged, n.Total, n.Good = 0, 0, 0 // nothing came
				}
			}
		}
		for i := range c.Windows { // as Read adds them up
			for _, m := range c.Members {
				c.Windows[i].Good += m.Windows[i].Good
				c.Windows[i].Judged += m.Windows[i].Judged
				c.Windows[i].Total += m.Windows[i].Total
			}
		}
		return c
	}
	for name, tc := range map[string]struct {
		combine      slo.Combine
		bad          []uint64
		burn, remain string
		state        slo.State
	}{
		"both burn half":                          {slo.CombineWeighted, []uint64{5, 50}, "0.5", "0.5", slo.StateOK},
		"the heavy one burns twice":               {slo.CombineWeighted, []uint64{20, 0}, "1.5", "-0.5", slo.StateExhausted},
		"the light one burns twice":               {slo.CombineWeighted, []uint64{0, 200}, "0.5", "0.5", slo.StateOK},
		"the light one burns twice, worst":        {slo.CombineWorst, []uint64{0, 200}, "2", "-1", slo.StateExhausted},
		"a member without events has no say":      {slo.CombineWeighted, []uint64{99_999, 50}, "0.5", "0.5", slo.StateOK},
		"no member has events: there is no ratio": {slo.CombineWeighted, []uint64{99_999, 99_999}, "-", "-", slo.StateNoTraffic},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			composite := s
			composite.Combine = tc.combine
			st := slo.Evaluate(&composite, epoch, counts(tc.bad...), true)
			require.Equal(t, tc.burn, st.Window.Burn.String())
			require.Equal(t, tc.burn, st.Windows[2].Burn.String())
			require.Equal(t, tc.remain, st.Remaining.String())
			require.Equal(t, tc.state, st.State)
		})
	}
}

func pointers(counts []slo.Count) []*slo.Count {
	var all []*slo.Count
	for i := range counts {
		all = append(all, &counts[i])
	}
	return all
}

// TestUnbudgeted: an indicator watched by its rules alone is never exhausted.
func TestUnbudgeted(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.9")
	s.Unbudgeted, s.Rules = true, nil
	st := slo.Evaluate(&s, epoch, same(&s, 10, 100, 100), true)
	require.Equal(t, slo.StateOK, st.State)
	require.Equal(t, "-", st.Remaining.String())
}
