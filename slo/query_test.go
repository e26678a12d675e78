package slo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
)

var epoch = time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)

func defaults(t testing.TB, services ...string) []slo.SLO {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: services, Environment: "production"})
	require.NoError(t, err)
	return slos
}

func TestPlanSQL(t *testing.T) {
	t.Parallel()
	slos := defaults(t, "chat", `it's a \ service`)
	for file, timing := range map[string]slo.Timing{
		"plan_1m": {}, "plan_10s_scaled": {Resolution: 10 * time.Second, Scale: 60},
	} {
		q := slo.Plan(slos, epoch, timing)
		golden.Assert(t, filepath.Join("testdata", file+".golden.sql"), []byte(q.SQL+"\n"))
	}
	require.Empty(t, slo.Plan(nil, epoch, slo.Timing{}).SQL)
}

func TestTiming(t *testing.T) {
	t.Parallel()
	demo := slo.Timing{Resolution: 10 * time.Second, Scale: 60}
	require.Equal(t, "2026-03-01T12:34:50Z", demo.AsOf(epoch).Format(time.RFC3339))
	require.Equal(t, "2026-03-01T12:34:00Z", slo.Timing{}.AsOf(epoch).Format(time.RFC3339))
	var lengths []string
	for _, w := range demo.Windows() {
		lengths = append(lengths, w.Name+"="+w.Length.String())
	}
	require.Equal(t, []string{"5m=10s", "30m=30s", "1h=1m0s", "2h=2m0s", "6h=6m0s", "1d=24m0s", "3d=1h12m0s"}, lengths)
	require.NoError(t, demo.Validate())
	require.ErrorContains(t, slo.Timing{Resolution: 10 * time.Second}.Validate(), "window_scale of at least 2")
	require.ErrorContains(t, slo.Timing{Resolution: time.Hour}.Validate(), "must be 1m or 10s")
}

// TestDefaultsGolden shows in review what the shipped indicators mean.
func TestDefaultsGolden(t *testing.T) {
	t.Parallel()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Indicators: indicatorNames(t)})
	require.NoError(t, err)
	var text []byte
	for _, s := range slos {
		text = append(text, strings.ReplaceAll(s.Summary(), "; ", "\n  ")+"\n"...)
		hit := map[bool]string{false: "good", true: "bad"}[s.Indicator.HitIsBad]
		for _, part := range []struct {
			name      string
			selection slo.Selection
		}{{hit, s.Indicator.Hit}, {"total", s.Indicator.Total}, {"unjudged", s.Indicator.Unjudged}} {
			for _, term := range part.selection {
				text = append(text, "  "+part.name+": "+s.Indicator.Vantage+" "+term.String()...)
				if part.name == "good" && s.Indicator.Threshold != 0 {
					text = append(text, " within "+s.Indicator.Threshold.String()...)
				}
				text = append(text, '\n')
			}
		}
		if s.Indicator.Active {
			text = append(text, "  total: "+s.Indicator.Vantage+" connections open\n"...)
		}
	}
	golden.Assert(t, "testdata/defaults.golden", text)
}

func TestTable(t *testing.T) {
	t.Parallel()
	slos := defaults(t, "chat")
	q := slo.Plan(slos, epoch, slo.Timing{Resolution: 10 * time.Second, Scale: 60})
	counts := q.Nothing()
	for i := range counts[3].Windows {
		counts[3].Windows[i].Good, counts[3].Windows[i].Judged, counts[3].Windows[i].Total = 980, 1000, 1010
	}
	counts[3].Budget.Good, counts[3].Budget.Judged, counts[3].Budget.Total = 999900, 1000000, 1000010
	var statuses []slo.Status
	for i := range slos {
		statuses = append(statuses, slo.Evaluate(&slos[i], q.AsOf, counts[i], true))
	}
	file, err := os.CreateTemp(t.TempDir(), "table")
	require.NoError(t, err)
	require.NoError(t, slo.WriteTable(file, statuses))
	require.NoError(t, file.Close())
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	golden.Assert(t, "testdata/table.golden", text)
}

// TestOnlyKnownIndicators: a name that does not ship is told apart from one that has no data.
func TestOnlyKnownIndicators(t *testing.T) {
	t.Parallel()
	_, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Indicators: []string{"message-parsing"}})
	require.ErrorContains(t, err, `no indicator "message-parsing" ships with Sockeye; known are auth-availability, auth-latency, `)
	_, err = slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Indicators: []string{"message-pars"}})
	require.EqualError(t, err, `no indicator "message-pars" ships with Sockeye; did you mean message-parse?`)
}

// answers are rows of an answer that nobody should give.
type answers [][]any

func (a *answers) Next() bool { return len(*a) > 0 }
func (a *answers) Err() error { return nil }
func (a *answers) Scan(dest ...any) error {
	for i, v := range (*a)[0] {
		switch d := dest[i].(type) {
		case *uint8:
			*d = uint8(v.(int))
		case *uint32:
			*d = uint32(v.(int))
		case *uint64:
			*d = uint64(v.(int))
		case *string:
			*d = v.(string)
		}
	}
	*a = (*a)[1:]
	return nil
}

func TestImpossibleAnswers(t *testing.T) {
	t.Parallel()
	slos := defaults(t, "chat") // auth-success, the third, has groups
	for name, tc := range map[string]struct {
		row  []any
		want string
	}{
		"a part that was not asked for": {[]any{9, 0, "", 0, 1, 1, 1}, "row for slot 0, part 9, span 0, which were not asked for"},
		"a slot that was not asked for": {[]any{0, 99, "", 0, 1, 1, 1}, "row for slot 99"},
		"a span that was not asked for": {[]any{0, 0, "", 8, 1, 1, 1}, "span 8"},
		"more good than judged":         {[]any{0, 0, "", 0, 3, 2, 2}, "auth-availability of chat: 3 hits of 2 judged of 2 events over 30d; the rollup is damaged"},
		"more judged than there are":    {[]any{0, 0, "", 7, 1, 1, 2}, "1 hits of 2 judged of 1 events over 5m; the rollup is damaged"},
		"a group that is none":          {[]any{1, 3, "acme", 0, 1, 1, 1}, `"acme" is no group of it`},
		"a group of two dimensions":     {[]any{1, 3, "x41.42", 0, 1, 1, 1}, `"x41.42" is no group of it`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := slo.Plan(slos, epoch, slo.Timing{})
			_, err := q.Read(&answers{tc.row})
			require.ErrorContains(t, err, tc.want)
		})
	}
}
