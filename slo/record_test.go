package slo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

const recorded = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: both}
spec:
  service: chat
  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: opened, targetPercent: 99.9, indicatorRef: opened, compositeWeight: 2}
    - {displayName: signed-in, targetPercent: 99, indicatorRef: signed-in}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: opened}
spec:
  ratioMetric:
    good: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}]}}}
    total: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}, {event: websocket.handshake.rejected}]}}}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: signed-in}
spec:
  ratioMetric:
    good: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.auth, where: {outcome: success}}]}}}
    total: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.auth}]}}}
`

// TestRecordsAreReadAsTheyWereWritten: through the store, all that a status says but for its rules, which documents have.
func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	slos, err := slo.Parse(slo.Source{Name: "recorded.yaml", Data: []byte(recorded)})
	require.NoError(t, err)
	shipped, err := slo.Defaults(slo.DefaultSettings{
		Services: []string{"chat"}, Indicators: []string{"connection-success", "auth-availability", "idle-connections"},
	})
	require.NoError(t, err)
	slos = append(slos, shipped...)
	now := time.Now().UTC().Truncate(time.Minute)
	plan := slo.Plan(slos, now, slo.Timing{})
	counts := plan.Nothing()
	fill := func(c *slo.Counts, bad uint64) {
		for i := range c.Windows {
			c.Windows[i].Total, c.Windows[i].Judged, c.Windows[i].Good = 1001, 1000, 1000-bad
		}
		c.Budget.Total, c.Budget.Judged, c.Budget.Good = 3001, 3000, 3000-bad
	}
	// The members burn unlike, so that nothing of the composite follows from sums.
	fill(&counts[0], 4)
	fill(&counts[0].Members[0], 1)
	fill(&counts[0].Members[1], 3)
	counts[0].Members[0].Windows[1].Judged, counts[0].Members[0].Windows[1].Good = 0, 0
	counts[0].Members[1].Windows[1].Judged, counts[0].Members[1].Windows[1].Good = 0, 0 // nothing was judged in one window
	fill(&counts[1], 7)
	fill(&counts[3], 900)
	written := map[string]slo.Record{}
	batch, err := s.Conn().PrepareBatch(t.Context(), slo.InsertRecords)
	require.NoError(t, err)
	for _, late := range []time.Duration{2 * time.Minute, 0} { // of two the last is read
		for i := range slos {
			r := slo.Record{
				Status: slo.Evaluate(&slos[i], now.Add(-late), counts[i], true), Engine: "test", Written: now.Add(-late),
				Alerts: []slo.Since{{Severity: slo.SeverityTicket, Start: now.Add(-time.Hour)}},
			}
			require.NoError(t, batch.Append(r.Row()...))
			written[r.SLO] = r
		}
	}
	require.NoError(t, batch.Send())

	rows, err := s.Conn().Query(t.Context(), slo.SelectLatest(now.Add(-time.Hour)))
	require.NoError(t, err)
	defer rows.Close()
	records, err := slo.ReadRecords(rows)
	require.NoError(t, err)
	require.Len(t, records, len(slos))
	for _, got := range records {
		want := written[got.SLO]
		require.Equal(t, want.AsOf, got.AsOf)
		require.Equal(t, want.Alerts, got.Alerts)
		require.Equal(t, want.Written, got.Written.UTC())
		require.Equal(t, []any{want.State, want.Severity, want.Objective.String(), want.Budget.String()},
			[]any{got.State, got.Severity, got.Objective.String(), got.Budget.String()}, got.SLO)
		// What has no exact decimal is written in nine places.
		require.Equal(t, want.Remaining.Round(8), got.Remaining.Round(8), got.SLO)
		for i, w := range append(want.Windows, want.Window) {
			g := append(got.Windows, got.Window)[i]
			require.Equal(t, []any{w.Name, w.Seconds, w.Good, w.Total, w.Judged}, []any{g.Name, g.Seconds, g.Good, g.Total, g.Judged}, got.SLO)
			require.Equal(t, []string{w.Burn.Round(8), w.ErrorRatio.Round(8), w.Coverage.String()},
				[]string{g.Burn.Round(8), g.ErrorRatio.Round(8), g.Coverage.String()}, "%s over %s", got.SLO, w.Name)
		}
		again := got.Row()
		require.Equal(t, want.Row()[:13], again[:13], got.SLO)
	}
	require.Equal(t, "1M", written["both"].Window.Name)
	require.False(t, written["idle-connections"].Remaining.Valid())

	// So do those who read the table.
	var left *float64
	for name, r := range written {
		require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT budget_remaining FROM slo_status FINAL WHERE slo = $1 ORDER BY asof DESC LIMIT 1",
			name).Scan(&left))
		if !r.Remaining.Valid() {
			require.Nil(t, left, name)
			continue
		}
		require.InDelta(t, r.Remaining.Float64(), *left, 1e-8, name)
	}
}
