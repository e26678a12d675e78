package slo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestWatermark(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(source string, behind, unheard time.Duration) slo.Progress {
		return slo.Progress{Source: source, ReadThrough: now.Add(-behind), Wall: now.Add(-unheard), Backlog: 1}
	}
	for name, tc := range map[string]struct {
		sources      []slo.Progress
		mark         time.Time
		live, silent []string
	}{
		"nobody":                       {},
		"the least of those alive":     {[]slo.Progress{at("a", 3*time.Second, 0), at("b", 9*time.Second, 0)}, now.Add(-9 * time.Second), []string{"a", "b"}, nil},
		"alive for less than a minute": {[]slo.Progress{at("a", time.Minute, time.Minute-1)}, now.Add(-time.Minute), []string{"a"}, nil},
		"after a minute a source leaves and holds nobody up": {
			[]slo.Progress{at("dead", time.Hour, time.Minute), at("a", time.Second, 0)}, now.Add(-time.Second), []string{"a"}, []string{"dead"}},
		"all silent":                       {[]slo.Progress{at("dead", 0, time.Hour)}, time.Time{}, nil, []string{"dead"}},
		"silent for a day is removed":      {[]slo.Progress{at("gone", 0, 24*time.Hour)}, time.Time{}, nil, nil},
		"nobody has read the future":       {[]slo.Progress{at("ahead", -time.Hour, 0)}, now, []string{"ahead"}, nil},
		"a clock an hour ahead is alive":   {[]slo.Progress{at("ahead", -time.Hour, -time.Hour)}, now, []string{"ahead"}, nil},
		"a clock that lags is held up for": {[]slo.Progress{at("a", 0, 0), at("slow", time.Hour, 0)}, now.Add(-time.Hour), []string{"a", "slow"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := slo.FindWatermark(tc.sources, now)
			names := func(list []slo.Progress) (names []string) {
				for _, p := range list {
					names = append(names, p.Source)
				}
				return names
			}
			require.Equal(t, tc.mark, w.Time)
			require.Equal(t, tc.live, names(w.Live))
			require.Equal(t, tc.silent, names(w.Silent))
			require.EqualValues(t, len(tc.live), w.Backlog)
		})
	}
}

// The clock of a source ran an hour ahead and was put right. What it said meanwhile must not hide what it says now.
func TestProgressFromTheFutureDoesNotHideThePresent(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	read := func(p ...store.Progress) slo.Watermark {
		t.Helper()
		require.NoError(t, s.InsertProgress(t.Context(), p))
		rows, err := s.Conn().Query(t.Context(), slo.SelectProgress(now))
		require.NoError(t, err)
		defer rows.Close()
		progress, err := slo.ReadProgress(rows)
		require.NoError(t, err)
		return slo.FindWatermark(progress, now)
	}
	ahead := now.Add(time.Hour)
	mark := read(store.Progress{Source: "edge", ReadThrough: ahead, Wall: ahead})
	require.Equal(t, now, mark.Time)
	require.Len(t, mark.Live, 1)

	mark = read(store.Progress{Source: "edge", ReadThrough: now.Add(-7 * time.Second), Wall: now.Add(-5 * time.Second), Backlog: 3})
	require.Equal(t, now.Add(-7*time.Second), mark.Time)
	require.EqualValues(t, 3, mark.Backlog)
	embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE source_progress FINAL")
	mark = read()
	require.Equal(t, now.Add(-7*time.Second), mark.Time, "a merge keeps what was said last")

	// And whoever then falls silent is silent.
	now = now.Add(time.Minute)
	mark = read(store.Progress{Source: "other", ReadThrough: now, Wall: now})
	require.Equal(t, now, mark.Time)
	require.Len(t, mark.Silent, 1)
	require.Equal(t, "edge", mark.Silent[0].Source)
}
