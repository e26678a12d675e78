package oracle

import (
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/slo"
)

const (
	openSeries   = `websocket_events_total{service_name="chat",websocket_vantage="edge",event_name="websocket.open",event_outcome="success"}`
	failedSeries = `websocket_events_total{service_name="chat",websocket_vantage="edge",event_name="websocket.handshake.rejected",` +
		`event_outcome="failure",error_type="upstream_timeout",websocket_fault="server"}`
)

var begin = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

// availability is the SLO of testdata/sloth.rules.yaml, with the four pairs that Sloth has.
func availability(t testing.TB) slo.SLO {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	at := slices.IndexFunc(slos, func(s slo.SLO) bool { return s.Name == "connection-availability" })
	s := slos[at]
	s.Rules = slices.DeleteFunc(slices.Clone(s.Rules), func(r slo.Rule) bool { return r.Long == "6h" && r.Short == "1h" })
	require.Len(t, s.Rules, 4)
	return s
}

// minutes are what happens in each minute.
type minutes []struct{ good, bad int }

func (m *minutes) add(n, good, bad int) {
	for range n {
		*m = append(*m, struct{ good, bad int }{good, bad})
	}
}

// counters are scraped at the end of each minute.
func (m minutes) counters() map[string][]sample {
	good, bad := 0, 0
	series := map[string][]sample{openSeries: {{begin, 0}}, failedSeries: {{begin, 0}}}
	for i, one := range m {
		at := begin.Add(time.Duration(i+1) * time.Minute)
		good, bad = good+one.good, bad+one.bad
		series[openSeries] = append(series[openSeries], sample{at, float64(good)})
		series[failedSeries] = append(series[failedSeries], sample{at, float64(bad)})
	}
	return series
}

func (m minutes) buckets() map[string][]sample {
	series := map[string][]sample{}
	for i, one := range m {
		at := begin.Add(time.Duration(i+1) * time.Minute)
		series[openSeries] = append(series[openSeries], sample{at, float64(one.good)})
		series[failedSeries] = append(series[failedSeries], sample{at, float64(one.bad)})
	}
	return series
}

// both is a Prometheus with our rules and Sloth's.
func both(t testing.TB, m minutes, unguarded bool) *prom {
	t.Helper()
	p := newProm(t)
	p.add(m.counters())
	mine := availability(t)
	mine.Unguarded = unguarded
	file, notes := alerts.Prometheus([]slo.SLO{mine}, alerts.Options{})
	require.Empty(t, notes)
	ours, err := file.YAML()
	require.NoError(t, err)
	sloths, err := os.ReadFile("testdata/sloth.rules.yaml")
	require.NoError(t, err)
	p.load(string(ours))
	p.load(string(sloths))
	return p
}

// spells are the minutes in which an alert began and ended.
type spells map[string][]int

func (p *prom) run(from, to int) spells {
	found, last := spells{}, map[string]bool{}
	for minute := from; minute <= to; minute++ {
		now := map[string]bool{}
		for _, l := range p.evaluate(begin.Add(time.Duration(minute) * time.Minute)) {
			if l.Get("alertname") != alerts.Burn {
				continue
			}
			if severity := l.Get("sloth_severity"); severity != "" {
				now["sloth "+severity] = true
			} else {
				now["ours "+l.Get("severity")] = true
			}
		}
		for _, name := range []string{"ours page", "sloth page", "ours ticket", "sloth ticket"} {
			if now[name] != last[name] {
				found[name] = append(found[name], minute)
			}
		}
		last = now
	}
	return found
}

// TestPagesAndTicketsComeWhenSlothsDo: with the guard for low traffic off, which Sloth does not have. It also delays a ticket at a
// burn rate just above 1 until that is no accident.
func TestPagesAndTicketsComeWhenSlothsDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ good, bad, lasts int }{
		"a total outage":      {0, 600, 20},
		"one in ten fails":    {540, 60, 30},
		"one in fifty fails":  {588, 12, 70},
		"one in eighty fails": {790, 10, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m minutes
			const before, after = 7 * 60, 40
			m.add(before, c.good+c.bad, 0)
			m.add(c.lasts, c.good, c.bad)
			m.add(after, c.good+c.bad, 0)
			found := both(t, m, true).run(before, len(m))
			t.Log(found)
			require.NotEmpty(t, found["ours ticket"])
			require.Equal(t, found["sloth page"], found["ours page"])
			require.Equal(t, found["sloth ticket"], found["ours ticket"])
		})
	}
}

func TestWhereSlothIsWrong(t *testing.T) {
	t.Parallel()
	t.Run("one failure among the seven attempts of an hour", func(t *testing.T) {
		t.Parallel()
		var m minutes
		for range 6 {
			m.add(10, 0, 0)
			m.add(1, 1, 0)
		}
		m.add(1, 0, 1)
		m.add(10, 0, 0)
		found := both(t, m, false).run(60, len(m))
		require.NotEmpty(t, found["sloth page"])
		require.Empty(t, found["ours page"])
		require.Empty(t, found["ours ticket"])
	})
	const (
		sloths = `slo:sli_error:ratio_rate30d{sloth_slo="connection-availability"}`
		ours   = `slo:error_ratio:ratio30d{slo="connection-availability"}`
	)
	t.Run("twenty idle minutes", func(t *testing.T) {
		t.Parallel()
		var m minutes
		m.add(60, 100, 0)
		m.add(20, 0, 0)
		m.add(60, 100, 0)
		p := both(t, m, false)
		p.run(1, len(m))
		end := begin.Add(time.Duration(len(m)) * time.Minute)
		theirs, there := p.query(sloths, end)
		require.True(t, there)
		require.True(t, math.IsNaN(theirs))
		mine, there := p.query(ours, end)
		require.True(t, there)
		require.Zero(t, mine)
		_, there = p.query(`slo:error_ratio:ratio5m{slo="connection-availability"}`, begin.Add(75*time.Minute))
		require.False(t, there, "there is no ratio of nothing")
	})
	t.Run("a clean busy hour and three quiet hours at one in a hundred", func(t *testing.T) {
		t.Parallel()
		var m minutes
		m.add(60, 100_000, 0)
		m.add(180, 99, 1)
		p := both(t, m, false)
		p.run(1, len(m))
		end := begin.Add(time.Duration(len(m)) * time.Minute)
		truth := 180.0 / (60*100_000 + 180*100)
		theirs, _ := p.query(sloths, end)
		mine, _ := p.query(ours, end)
		t.Logf("truth %.6f %%, ours %.6f %%, Sloth's %.6f %%", 100*truth, 100*mine, 100*theirs)
		require.InEpsilon(t, truth, mine, 0.03)
		require.Greater(t, theirs, 100*truth)
	})
}

// TestDetectionTimesAreTheWorkbooks: time to detect = budget / error ratio × long window × burn rate (The Site Reliability
// Workbook, chapter 5), to the minute, for each rule by itself.
func TestDetectionTimesAreTheWorkbooks(t *testing.T) {
	t.Parallel()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	s := slos[slices.IndexFunc(slos, func(s slo.SLO) bool { return s.Name == "connection-availability" })]
	lengths := map[string]time.Duration{}
	for _, w := range slo.BurnWindows() {
		lengths[w.Name] = w.Length
	}
	const before, during, perMinute = 3 * 24 * 60, 440, 10_000
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "error ratio")
	for _, r := range s.Rules {
		fmt.Fprintf(w, "\t%s: %s over %s", r.Severity, r.Burn, r.Long)
	}
	fmt.Fprintln(w)
	for _, ratio := range []*big.Rat{big.NewRat(1, 1), big.NewRat(1, 10), big.NewRat(1, 50), big.NewRat(1, 100)} {
		share, _ := ratio.Float64()
		bad := int(perMinute * share)
		var m minutes
		m.add(before, perMinute, 0)
		m.add(during, perMinute-bad, bad)
		p := newProm(t)
		p.add(m.buckets())
		fmt.Fprintf(w, "%g %%", share*100)
		for _, r := range s.Rules {
			limit, ok := new(big.Rat).SetString(s.Threshold(r))
			require.True(t, ok)
			// The first minute whose bad events are more than the limit of the window.
			minutes := new(big.Rat).Mul(limit, big.NewRat(int64(lengths[r.Long]/time.Minute), 1))
			minutes.Quo(minutes, ratio)
			closed, _ := minutes.Float64()
			want := int(math.Floor(closed)) + 1
			if limit.Cmp(ratio) >= 0 || want > during {
				fmt.Fprintf(w, "\t-")
				continue
			}
			ratioOver := func(name string) string {
				q, err := s.PromQL(lengths[name], slo.Buckets, "")
				require.NoError(t, err)
				return fmt.Sprintf("(%s) / (%s) > %s", q.Bad, q.Judged, s.Threshold(r))
			}
			holds := func(minute int) bool {
				_, firing := p.query("("+ratioOver(r.Long)+") and ("+ratioOver(r.Short)+")",
					begin.Add(time.Duration(before+minute)*time.Minute))
				return firing
			}
			require.False(t, holds(want-1), "%s at %v: before %d min", r, ratio, want)
			require.True(t, holds(want), "%s at %v: after %d min", r, ratio, want)
			fmt.Fprintf(w, "\t%.1f min", closed)
		}
		fmt.Fprintln(w)
	}
	require.NoError(t, w.Flush())
	t.Log("\n" + table.String())
}
