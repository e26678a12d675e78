package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/slo"
)

// TestPrometheusKnowsWhenACalendarWindowBegan asks Prometheus's engine at random moments of ten years, and at the very beginnings of
// windows and changes of clocks.
func TestPrometheusKnowsWhenACalendarWindowBegan(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test wants the same numbers again
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Kolkata",
		"America/St_Johns", "Pacific/Chatham", "Africa/Casablanca", "Pacific/Kiritimati", "Europe/London"}
	begin := []time.Time{
		time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 31, 18, 30, 0, 0, time.UTC),
		time.Date(2024, 2, 29, 6, 15, 0, 0, time.UTC), time.Date(2027, 11, 15, 23, 45, 0, 0, time.UTC),
	}
	lengths := []struct {
		unit   string
		counts []int
	}{{"d", []int{1, 10}}, {"w", []int{1, 3}}, {"M", []int{1, 5}}, {"Q", []int{1, 3}}, {"Y", []int{1, 2}}}
	type moment struct {
		at       time.Time
		name     string
		calendar *slo.Calendar
	}
	var moments []moment
	file := alerts.File{}
	for i, zone := range zones {
		location, err := time.LoadLocation(zone)
		require.NoError(t, err)
		for j, length := range lengths {
			start := begin[(i+j)%len(begin)]
			c := &slo.Calendar{Start: time.Date(start.Year(), start.Month(), start.Day(), start.Hour(), start.Minute(), 0, 0, location),
				Count: length.counts[i%2], Unit: length.unit}
			name := fmt.Sprintf("c%d_%d", i, j)
			steps, err := c.PromQL(name, func(name string) string { return name })
			require.NoError(t, err, zone)
			group := alerts.Group{Name: name, Interval: "1m"}
			for _, r := range steps {
				group.Rules = append(group.Rules, alerts.Rule{Record: r.Name, Expr: r.Expr})
			}
			file.Groups = append(file.Groups, group)
			at := time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(int64(12 * 365 * 24 * time.Hour))))
			from, to := c.Period(at)
			_, shifted := at.In(location).ZoneBounds()
			for _, edge := range []time.Time{at, from, to, shifted} {
				if !edge.IsZero() {
					for _, after := range []time.Duration{-time.Millisecond, 0, time.Hour} {
						moments = append(moments, moment{edge.Add(after), name, c})
					}
				}
			}
		}
	}
	slices.SortFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	moments = slices.DeleteFunc(moments, func(m moment) bool { return m.at.Year() < 2027 || m.at.Year() > 2037 })
	text, err := file.YAML()
	require.NoError(t, err)
	p := newProm(t)
	p.load(string(text))
	groups := p.groups
	for _, m := range moments {
		p.groups = slices.DeleteFunc(slices.Clone(groups), func(g *rules.Group) bool { return g.Name() != m.name })
		p.evaluate(m.at)
		from, _ := m.calendar.Period(m.at)
		got, known := p.query(m.name+"_start:seconds", m.at)
		require.True(t, known)
		require.Equal(t, from.UTC(), time.Unix(int64(got), 0).UTC(), "%d %s from %v, at %v", m.calendar.Count, m.calendar.Unit,
			m.calendar.Start, m.at.In(m.calendar.Start.Location()))
	}
	t.Logf("%d calendars at %d moments", len(groups), len(moments))
}

func TestACalendarWhoseClocksAreSetWhenItBeginsIsRefused(t *testing.T) {
	t.Parallel()
	for zone, hour := range map[string]int{"Africa/Cairo": 0, "America/Santiago": 0, "Europe/Berlin": 2} {
		location, err := time.LoadLocation(zone)
		require.NoError(t, err)
		c := slo.Calendar{Start: time.Date(2026, 1, 1, hour, 0, 0, 0, location), Count: 1, Unit: "M"}
		_, err = c.PromQL("x", func(name string) string { return name })
		require.ErrorContains(t, err, "the clocks of "+zone+" are set at the hour", zone)
	}
}
