package slo_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
)

func calendar(t testing.TB, start, zone string, count int, unit string) *slo.Calendar {
	t.Helper()
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	from, err := time.ParseInLocation(time.DateTime, start, location)
	require.NoError(t, err)
	return &slo.Calendar{Start: from, Count: count, Unit: unit}
}

// TestPeriods: months as long as they are, and days as long as the clocks of the zone make them.
func TestPeriods(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		calendar *slo.Calendar
		at       string // RFC 3339
		from, to string
	}{
		"a month":                            {calendar(t, "2026-01-01 00:00:00", "UTC", 1, "M"), "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"its first moment belongs to it":     {calendar(t, "2026-01-01 00:00:00", "UTC", 1, "M"), "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"February of a leap year":            {calendar(t, "2026-01-01 00:00:00", "UTC", 1, "M"), "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"before the start":                   {calendar(t, "2026-01-01 00:00:00", "UTC", 1, "M"), "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		"a month begins by the local clock":  {calendar(t, "2026-01-01 00:00:00", "Europe/Berlin", 1, "M"), "2026-06-30T22:30:00Z", "2026-06-30T22:00:00Z", "2026-07-31T22:00:00Z"},
		"a month with the clocks put on":     {calendar(t, "2026-01-01 00:00:00", "Europe/Berlin", 1, "M"), "2026-03-15T00:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
		"a month with the clocks put back":   {calendar(t, "2026-01-01 00:00:00", "America/New_York", 1, "M"), "2026-11-15T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
		"a week with the clocks put on":      {calendar(t, "2026-01-05 00:00:00", "America/New_York", 1, "w"), "2026-03-09T00:00:00Z", "2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z"},
		"half an hour of summer time":        {calendar(t, "2026-01-01 00:00:00", "Australia/Lord_Howe", 1, "M"), "2026-04-10T00:00:00Z", "2026-03-31T13:00:00Z", "2026-04-30T13:30:00Z"},
		"from the 31st, in a short month":    {calendar(t, "2026-01-31 09:00:00", "UTC", 1, "M"), "2026-03-01T00:00:00Z", "2026-02-28T09:00:00Z", "2026-03-31T09:00:00Z"},
		"from the 31st, after a short month": {calendar(t, "2026-01-31 09:00:00", "UTC", 1, "M"), "2026-04-30T09:00:00Z", "2026-04-30T09:00:00Z", "2026-05-31T09:00:00Z"},
		"a quarter":                          {calendar(t, "2026-01-01 00:00:00", "UTC", 1, "Q"), "2026-06-30T23:59:59Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"},
		"a quarter of a year from February":  {calendar(t, "2026-02-01 00:00:00", "UTC", 1, "Q"), "2026-01-31T00:00:00Z", "2025-11-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		"a year from April":                  {calendar(t, "2020-04-01 00:00:00", "America/New_York", 1, "Y"), "2026-03-31T12:00:00Z", "2025-04-01T04:00:00Z", "2026-04-01T04:00:00Z"},
		"two weeks":                          {calendar(t, "2026-01-05 00:00:00", "UTC", 2, "w"), "2026-01-26T00:00:00Z", "2026-01-19T00:00:00Z", "2026-02-02T00:00:00Z"},
		"ten days before the start":          {calendar(t, "2026-01-11 12:15:00", "UTC", 10, "d"), "2026-01-01T12:14:59Z", "2025-12-22T12:15:00Z", "2026-01-01T12:15:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, tc.at)
			require.NoError(t, err)
			from, to := tc.calendar.Period(at)
			require.Equal(t, tc.from, from.UTC().Format(time.RFC3339))
			require.Equal(t, tc.to, to.UTC().Format(time.RFC3339))
		})
	}
}

// TestPeriodsFollowEachOther: whatever the zone, a moment is in one period, which begins where the one before ended and where
// the clocks say so.
func TestPeriodsFollowEachOther(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"}
	for range 500 {
		unit := []string{"d", "w", "M", "Q", "Y"}[random.IntN(5)]
		start := fmt.Sprintf("20%02d-%02d-%02d 12:%02d:00", random.IntN(40), 1+random.IntN(12), 1+random.IntN(28), 15*random.IntN(4))
		c := calendar(t, start, zones[random.IntN(len(zones))], 1+random.IntN(3), unit)
		at := time.Date(2000+random.IntN(40), 1, 1, 0, 0, random.IntN(366*86400), 0, time.UTC)
		from, to := c.Period(at)
		require.False(t, from.After(at), c)
		require.True(t, to.After(at), c)
		require.Equal(t, from.Unix(), began(c, at.Unix()), "%v at %v", c, at)
		again, _ := c.Period(from)
		require.True(t, again.Equal(from))
		before, end := c.Period(from.Add(-time.Second))
		require.True(t, end.Equal(from))
		require.True(t, before.Before(from))
	}
}
