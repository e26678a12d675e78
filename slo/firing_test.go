package slo_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// firing asks what fires as of a moment: the burn by service, SLO and severity.
func firing(t testing.TB, s *store.Store, slos []slo.SLO, now time.Time) map[[3]string]float64 {
	t.Helper()
	sql, _ := slo.SelectFiring(slos, fmt.Sprint(now.Unix()))
	rows, err := s.Conn().Query(context.Background(), sql)
	require.NoError(t, err)
	defer rows.Close()
	found := map[[3]string]float64{}
	for rows.Next() {
		var key [3]string
		var burn float64
		require.NoError(t, rows.Scan(&key[0], &key[1], &key[2], &burn))
		require.NotContains(t, found, key)
		found[key] = burn
	}
	require.NoError(t, rows.Err())
	return found
}

// quietHistory draws services whose traffic and failures differ by orders of magnitude, about where rules begin to fire.
func quietHistory(random *rand.Rand, services []string, asof time.Time) (rows []row) {
	for _, service := range services {
		traffic, ratio := math.Pow(10, 0.5+5*random.Float64()), math.Pow(10, -4+3*random.Float64())
		for _, age := range []time.Duration{1, 3, 4, 5, 6, 20, 29, 30, 31, 59, 60, 61, 90, 119, 120, 121, 300, 359, 360, 361, 900, 1440, 1441, 4000, 4320, 4321} {
			at := asof.Add(-age * time.Minute)
			n := uint64(traffic * random.Float64())
			bad := uint64(float64(n)*ratio*2*random.Float64() + random.Float64())
			for _, r := range []struct {
				vantage, event, outcome, fault, errorType string
				n                                         uint64
			}{
				{"edge", "websocket.open", "success", "", "", n}, {"edge", "websocket.handshake.rejected", "failure", "server", "upstream_timeout", bad},
				{"app", "websocket.auth", "success", "", "", n}, {"app", "websocket.auth", "failure", "idp", "idp_timeout", bad},
				{"app", "websocket.rate_limited", "failure", "policy", "", bad}, {"edge", "websocket.close", "success", "", "", n},
				{"edge", "websocket.close", "failure", "network", "connection_reset", bad}, {"app", "websocket.message", "success", "", "", n},
				{"app", "websocket.error", "failure", "client", "reserved_bits", bad},
			} {
				rows = append(rows, row{at: at, count: r.n, judged: r.n, timed: r.n, within: r.n - min(r.n, bad), dimensions: map[string]string{
					schema.Service: service, schema.Vantage: r.vantage, schema.EventName: r.event, schema.Outcome: r.outcome,
					schema.Fault: r.fault, schema.ErrorType: r.errorType,
				}})
			}
		}
	}
	return rows
}

// TestWhatFiresBySQLIsWhatTheEngineSays compares every SLO that ships, of services whose numbers are about where rules fire.
func TestWhatFiresBySQLIsWhatTheEngineSays(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(11, 12))
	now := time.Now().Truncate(time.Second)
	read := now.Add(-90 * time.Second)
	asof := slo.Timing{}.AsOf(read)
	var services, indicators []string
	for i := range 16 {
		services = append(services, fmt.Sprintf("it's \\ service %d", i))
	}
	for _, d := range slo.DefaultSources() {
		indicators = append(indicators, strings.TrimSuffix(strings.TrimPrefix(d.Name, "slo/defaults/"), ".yaml"))
	}
	insert(t, dsn, schema.Rollup1m, quietHistory(random, services, asof))
	quarters(t, dsn)
	require.NoError(t, s.InsertProgress(t.Context(), []store.Progress{
		{Source: "a", ReadThrough: read, Wall: now}, {Source: "b", ReadThrough: now.Add(time.Hour), Wall: now},
		{Source: "gone", ReadThrough: now.Add(-time.Hour), Wall: now.Add(-2 * time.Minute)},
	}))

	fired, quiet := 0, 0
	for part := range slices.Chunk(services, 8) {
		slos, err := slo.Defaults(slo.DefaultSettings{Services: part, Indicators: indicators})
		require.NoError(t, err)
		got := firing(t, s, slos, now)
		counts := count(t, s, slo.Plan(slos, asof, slo.Timing{}))
		rows := 0
		for i := range slos {
			status := slo.Evaluate(&slos[i], asof, counts[i], true)
			for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
				fires, has, doubtful, burn := false, false, false, 0.0
				for _, r := range status.Rules {
					if r.Severity != severity {
						continue
					}
					has = true
					for _, w := range status.Windows {
						if w.Name != r.Long {
							continue
						}
						if r.Firing {
							fires, burn = true, max(burn, w.Burn.Float64())
						}
						// Beyond its table, the guard is approximated.
						doubtful = doubtful || r.Guarded && w.Judged-w.Good > 40 && r.Burn.Float64() < 1.5
					}
				}
				key := [3]string{slos[i].Service, slos[i].Name, string(severity)}
				if !has {
					require.NotContains(t, got, key)
					continue
				}
				rows++
				require.Contains(t, got, key)
				if doubtful {
					continue
				}
				require.InEpsilon(t, burn+1, got[key]+1, 1e-9, "%v: %+v", key, status.Rules)
				if fires {
					fired++
				} else {
					quiet++
				}
			}
		}
		require.Len(t, got, rows, "a row for each SLO and severity, and no other")
	}
	require.Greater(t, fired, 20)
	require.Greater(t, quiet, 20)
}

func TestWhatFiresIsUnknownWhileNoSourceIsAlive(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		progress []store.Progress
		want     float64
	}{
		"none ever was":            {nil, slo.Unknown},
		"one is alive":             {[]store.Progress{{Source: "a", ReadThrough: now, Wall: now}}, slo.Quiet},
		"one fell silent":          {[]store.Progress{{Source: "a", ReadThrough: now, Wall: now.Add(-time.Minute)}}, slo.Unknown},
		"one is far behind":        {[]store.Progress{{Source: "a", ReadThrough: now.Add(-11 * time.Minute), Wall: now}}, slo.Unknown},
		"one is nine minutes late": {[]store.Progress{{Source: "a", ReadThrough: now.Add(-9 * time.Minute), Wall: now}}, slo.Quiet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			if test.progress != nil {
				require.NoError(t, s.InsertProgress(t.Context(), test.progress))
			}
			got := firing(t, s, defaults(t, "chat"), now)
			require.Len(t, got, 7)
			for key, burn := range got {
				require.InDelta(t, test.want, burn, 0, "%v", key)
			}
		})
	}
}

func TestWhatSQLCannotSayIsNamed(t *testing.T) {
	t.Parallel()
	slos := defaults(t, "chat")
	slos[0].Grouping.By = []string{schema.Region}
	slos[1].Members = []slo.Member{{SLO: slos[3]}}
	slos = slos[:2]
	_, notes := slo.SelectFiring(slos, "now()")
	require.Equal(t, []string{
		slos[0].Name + " of chat: its groups are left out; let the engine evaluate it",
		slos[1].Name + " of chat: is left out: it is a composite; let the engine evaluate it",
	}, notes)
	sql, _ := slo.SelectFiring(nil, "now()")
	require.Empty(t, sql)
}
