package sloextension

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

// TestASecondIncidentIsOfItsOwn: what burned in an incident that has ended is not counted into the next, though it lies in
// the window of the rule that fires again.
func TestASecondIncidentIsOfItsOwn(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	r := newRealRig(t, dsn, time.Now().UTC().Truncate(time.Minute).Add(-10*time.Hour))
	tick := func(after time.Duration, opens, rejections int) time.Time {
		r.advance(after)
		at := r.clock.Add(-3 * time.Minute)
		storeEvents(t, dsn, at, "acme", opens, rejections)
		r.live(t)
		r.step(t.Context())
		require.Empty(t, r.trouble)
		return at
	}
	first := tick(0, 10, 1000)
	tick(7*time.Hour, 10, 0)
	second := tick(10*time.Minute, 10, 600)

	var incidents []slo.Incident
	err := r.db.ask(t.Context(), slo.SelectIncidents("chat", "connection-availability", first, 10), func(rows slo.Rows) (err error) {
		incidents, err = slo.ReadIncidents(rows)
		return err
	})
	require.NoError(t, err)
	require.Len(t, incidents, 2)
	again, before := incidents[0], incidents[1]
	require.True(t, again.Ended.IsZero())
	require.Equal(t, second, again.Start)
	require.Equal(t, []uint64{10, 610}, []uint64{again.Good, again.Judged})
	require.Equal(t, first, before.Start)
	require.False(t, before.Ended.After(again.Start))
	require.EqualValues(t, 1000, before.Judged-before.Good)
	require.NotEqual(t, before.Number, again.Number)
}

// TestAMeasureIsExplained: in slices of time, of which no event can be named.
func TestAMeasureIsExplained(t *testing.T) {
	t.Parallel()
	dsn := newStore(t)
	clock := time.Now().UTC().Truncate(time.Minute)
	r := newRealRig(t, dsn, clock)
	limit, err := slo.Decimal("50")
	require.NoError(t, err)
	s := &r.slos[0]
	s.Name, s.Window = "opens", 3*24*time.Hour
	s.Indicator = slo.Indicator{
		Vantage: "edge", Measure: slo.MeasureCount, Limit: slo.Limit{Op: slo.LessThan, Value: limit},
		Total: slo.Selection{{Event: "websocket.open"}},
	}
	r.ledger = slo.NewLedger(r.slos, slo.Timing{})
	storeEvents(t, dsn, clock.Add(-10*time.Minute), "acme", 70, 0)
	storeEvents(t, dsn, clock.Add(-20*time.Minute), "acme", 30, 3)
	storeEvents(t, dsn, clock.Add(-30*time.Minute), "acme", 20, 0)
	r.live(t)
	r.step(t.Context())
	require.Empty(t, r.trouble)
	require.Equal(t, []uint64{2, 3}, []uint64{r.current().SLOs[0].Window.Good, r.current().SLOs[0].Window.Judged})

	explained, err := (&inquiry{engine: r.engine}).explanation(t.Context(), r.db, subject{SLO: s}, clock, defaultTop)
	require.NoError(t, err)
	require.Equal(t, r.current().SLOs[0].Window, explained.Status.Window)
	require.Empty(t, explained.Burned)
	require.Empty(t, explained.BurnedSQL)
	var text strings.Builder
	require.NoError(t, slo.WriteExplanation(&text, explained))
	for _, says := range []string{
		"error ratio = bad / judged, in minutes; burn rate = error ratio / 0.001",
		"judged: minutes in which count is known",
		"good: those in which count < 50",
		"counted: websocket.open",
		"budget: 0.1 % of what was judged over 3d",
	} {
		require.Contains(t, text.String(), "\n  "+says+"\n")
	}
	// A window and the budget's of the same length are told apart.
	require.Regexp(t, `\n +3d +1 +3 +3 +33\.3333 %[^\n]+\n +3d budget +1 +3 +3 `, text.String())
	require.NotContains(t, text.String(), "What burned")
}
