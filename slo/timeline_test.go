package slo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// TestBudgetEvents lets a budget be spent and come back; each mark is told about once, and hovering around it not at all.
func TestBudgetEvents(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	var last *slo.Event
	var told []string
	at := func(bad uint64) slo.Status {
		c := same(&s, 1_000_000, 1_000_000, 1_000_000)
		c.Budget.Good = 1_000_000 - bad // 1000 bad events are the budget
		return slo.Evaluate(&s, epoch, c, true)
	}
	for _, bad := range []uint64{
		0, 100, 249, 250, 251, 249, 250, 210, 600, 480, 510, 460, 449, 910, 999, 1000, 1500, 990, 960, 1001, 949, 930, 100, 0,
	} {
		st := at(bad)
		if e, ok := slo.NextBudget(last, &s, &st); ok {
			require.EqualValues(t, len(told)+1, e.Sequence)
			require.EqualValues(t, bad, e.Judged-e.Good)
			told = append(told, string(e.Kind)+" "+slo.Ratio(uint64(e.Spent), 1).String())
			last = &e
		}
	}
	require.Equal(t, []string{
		"spent 25", "spent 50", "recovered 25", "spent 90", "exhausted 100", "recovered 90", "recovered 0",
	}, told)

	blind := slo.Evaluate(&s, epoch, same(&s, 0, 1000, 1000), false)
	_, ok := slo.NextBudget(nil, &s, &blind)
	require.False(t, ok, "nothing is known")
	s.Unbudgeted = true
	spent := at(2000)
	_, ok = slo.NextBudget(nil, &s, &spent)
	require.False(t, ok, "there is no budget")
}

// TestIncidentEvents: an incident goes on while any alert fires, and nothing is said while nothing is known.
func TestIncidentEvents(t *testing.T) {
	t.Parallel()
	var last *slo.Event
	var told []string
	for i, severity := range []slo.Severity{"", "ticket", "ticket", "page", "page", "blind", "ticket", "", "", "page", ""} {
		st := slo.Status{AsOf: epoch.Add(time.Duration(i) * time.Minute), State: slo.StateBurning, Severity: severity}
		if severity == "blind" {
			st.State, st.Severity = slo.StateNoData, slo.SeverityNone
		}
		if e, ok := slo.NextIncident(last, &st); ok {
			told = append(told, string(e.Kind)+" "+string(e.Severity))
			if last != nil && last.Kind != slo.IncidentEnded {
				require.Equal(t, last.Start, e.Start)
				require.Equal(t, last.Incident, e.Incident)
			} else {
				require.Equal(t, e.Sequence, e.Incident)
				require.Equal(t, st.AsOf, e.Start)
			}
			last = &e
		}
	}
	require.Equal(t, []string{
		"detected ticket", "severity page", "severity ticket", "ended ", "detected page", "ended ",
	}, told)
}

func TestOnset(t *testing.T) {
	t.Parallel()
	s := plain(t, "0.999")
	minutes := func(bad ...uint64) []slo.Minute {
		var all []slo.Minute
		for i, b := range bad {
			all = append(all, slo.Minute{At: epoch.Add(time.Duration(i) * time.Minute), Bad: b, Judged: 1000, Total: 1000})
		}
		return all
	}
	for name, tc := range map[string]struct {
		bad  []uint64
		want int // minute; -1 for none
	}{
		"nothing bad":                      {[]uint64{0, 0, 0}, -1},
		"within the budget":                {[]uint64{1, 1, 1}, -1},
		"it began in the fourth":           {[]uint64{0, 0, 0, 300, 290, 310}, 3},
		"a single failure long before":     {[]uint64{2, 0, 0, 0, 0, 0, 300, 310}, 6},
		"it pauses for a minute":           {[]uint64{0, 0, 300, 0, 310}, 2},
		"as long as there are minutes":     {[]uint64{300, 300}, 0},
		"it is over, and was large":        {[]uint64{0, 500, 0, 0}, 1},
		"it is over, and has been paid":    {[]uint64{0, 2, 0, 0, 0}, -1},
		"more than the budget, but barely": {[]uint64{1, 2, 1, 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := slo.Onset(&s, minutes(tc.bad...))
			if tc.want < 0 {
				require.True(t, got.IsZero(), got)
				return
			}
			require.Equal(t, epoch.Add(time.Duration(tc.want)*time.Minute), got)
		})
	}
}

// TestTheEarlierEventStays: where two engines number the same event at different asofs, that of the earlier is read, before
// and after a merge, whichever was written first.
func TestTheEarlierEventStays(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	asof := time.Now().UTC().Truncate(time.Minute)
	event := func(name string, minutes int, engine string) slo.Event {
		at := asof.Add(time.Duration(minutes) * time.Minute)
		return slo.Event{
			Service: "chat", SLO: name, Stream: slo.StreamIncident, Sequence: 1, AsOf: at, Kind: slo.IncidentDetected,
			Severity: slo.SeverityPage, Incident: 1, Start: at, Engine: engine, Written: at,
		}
	}
	for _, e := range []slo.Event{
		event("a", 0, "one"), event("b", 1, "one"), event("b", 0, "two"), event("a", 1, "two"),
	} {
		batch, err := s.Conn().PrepareBatch(t.Context(), slo.InsertEvents)
		require.NoError(t, err)
		require.NoError(t, batch.Append(e.Row()...))
		require.NoError(t, batch.Send())
	}
	for _, merge := range []bool{false, true} {
		if merge {
			embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE slo_events FINAL")
			require.Equal(t, "2", embeddedtest.Exec(t, dsn, "SELECT count() FROM slo_events"))
		}
		rows, err := s.Conn().Query(t.Context(), slo.SelectLastEvents())
		require.NoError(t, err)
		events, err := slo.ReadEvents(rows)
		require.NoError(t, err)
		require.NoError(t, rows.Close())
		require.Equal(t, []slo.Event{event("a", 0, "one"), event("b", 0, "two")}, inUTC(events))
		require.Equal(t, "2", embeddedtest.Exec(t, dsn, "SELECT count() FROM slo_incidents WHERE ended IS NULL"))
	}
}

func inUTC(events []slo.Event) []slo.Event {
	for i := range events {
		events[i].Written = events[i].Written.UTC()
	}
	return events
}
