package burn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
)

// judged are the counts of the burn windows by name.
func judged(c slo.Counts) map[string]uint64 {
	m := map[string]uint64{}
	for _, w := range c.Windows {
		m[w.Name] = w.Judged
	}
	return m
}

// split separates the lines that were written from, inclusive, until to, exclusive.
func split(log []attempt, from, to time.Time) (inside, outside []attempt) {
	for _, a := range log {
		if a.written >= from.UnixMilli() && a.written < to.UnixMilli() {
			inside = append(inside, a)
		} else {
			outside = append(outside, a)
		}
	}
	return inside, outside
}

// Whatever arrives late is counted when it happened: the same moment, asked for again, has other numbers.
func TestLateEventsChangeTheWindowsTheyBelongTo(t *testing.T) {
	t.Parallel()
	s := open(t)
	asof := time.Now().UTC().Truncate(time.Minute)
	log := steady(2, asof.Add(-3*time.Hour), asof, asof, 2)
	// A file that could not be shipped for five minutes.
	late, timely := split(log, asof.Add(-45*time.Minute), asof.Add(-40*time.Minute))
	require.NotEmpty(t, late)
	load(t, s, "chat", "timely", timely)
	objective := success(t, "chat")
	before := judged(counts(t, s, objective, asof))
	for range 2 { // the second time it is a retry
		load(t, s, "chat", "late", late)
		after := judged(counts(t, s, objective, asof))
		for _, w := range slo.BurnWindows() {
			want := before[w.Name]
			if w.Length >= time.Hour {
				want += uint64(len(late))
			}
			require.Equal(t, want, after[w.Name], w.Name)
			_, total := truthOf(log).count(asof, w.Length)
			require.Equal(t, total, after[w.Name], w.Name)
		}
	}
	// Those that end before it do not change at all.
	earlier := asof.Add(-50 * time.Minute)
	for name, n := range judged(counts(t, s, objective, earlier)) {
		for _, w := range slo.BurnWindows() {
			if w.Name == name {
				_, total := truthOf(log).count(earlier, w.Length)
				require.Equal(t, total, n, name)
			}
		}
	}

	// A source that sees handshakes as they happen counts by the event, whenever it was observed.
	rows := new(store.Rows)
	rows.Append(atOpen(asof.Add(-90*time.Minute), asof.Add(-time.Second)))
	require.NoError(t, s.InsertChunk(t.Context(), "tap", rows))
	after := judged(counts(t, s, objective, asof))
	require.Equal(t, before["1h"]+uint64(len(late)), after["1h"])
	require.Equal(t, before["2h"]+uint64(len(late))+1, after["2h"])
}

// atOpen is a connection seen by a source that says so when it is opened.
func atOpen(at, observed time.Time) *event.Event {
	e := &event.Event{Name: event.Open, Time: at, Observed: observed,
		Resource: event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})}
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	return e
}

// The clock of nginx is set back an hour for ten minutes, and put right again. Its lines are counted where its clock says;
// the hour before has them in addition, and nothing is lost or counted twice.
func TestAClockThatIsSetBackAndForwardLosesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	asof := time.Now().UTC().Truncate(time.Minute)
	log := steady(3, asof.Add(-3*time.Hour), asof, asof, 2)
	wrong, _ := split(log, asof.Add(-20*time.Minute), asof.Add(-10*time.Minute))
	require.NotEmpty(t, wrong)
	// In the order of the file, which is no longer that of time.
	file := append([]attempt(nil), log...)
	for i := range file {
		if a := &file[i]; a.written >= wrong[0].written && a.written <= wrong[len(wrong)-1].written {
			a.written -= time.Hour.Milliseconds()
		}
	}
	load(t, s, "chat", "file", file)
	found := judged(counts(t, s, success(t, "chat"), asof))
	for _, w := range slo.BurnWindows() {
		_, want := truthOf(log).count(asof, w.Length)
		if w.Length >= 30*time.Minute && w.Length < 2*time.Hour {
			want -= uint64(len(wrong))
		}
		require.Equal(t, want, found[w.Name], w.Name)
	}
}
