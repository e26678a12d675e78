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
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
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
				tenants := []string{""}
				if r.event == "websocket.auth" && service[len(service)-1] != '3' {
					tenants = []string{"acme", "", `b\"c{'`, "größe", "small", "smaller"} // each with a quarter of the one before
				}
				for k, tenant := range tenants {
					n := r.n >> (2 * k)
					rows = append(rows, row{at: at, count: n, judged: n, timed: n, within: n - min(n, bad), dimensions: map[string]string{
						schema.Service: service, schema.Vantage: r.vantage, schema.EventName: r.event, schema.Outcome: r.outcome,
						schema.Fault: r.fault, schema.ErrorType: r.errorType, schema.Tenant: tenant,
					}})
				}
			}
		}
	}
	return rows
}

// verdicts compares what a statement says with what the engine does, and counts what fires and what does not, of the SLOs and of groups.
type verdicts struct{ fired, quiet, groupsFired, groupsQuiet int }

func (v *verdicts) compare(t testing.TB, s *store.Store, slos []slo.SLO, exclusions []slo.Exclusion, asof, now time.Time) {
	t.Helper()
	got := firing(t, s, slos, now)
	excluded := slo.Exclude(slos, exclusions)
	counts := count(t, s, slo.Plan(excluded, asof, slo.Timing{}))
	seen := map[[3]string]bool{}
	compare := func(of *slo.SLO, c slo.Counts, fired, quiet *int) {
		status := slo.Evaluate(of, asof, c, true)
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
			key := [3]string{of.Service, of.Name, string(severity)}
			if !has {
				require.NotContains(t, got, key)
				continue
			}
			seen[key] = true
			if c.Budget.Total > 0 || len(of.Grouping.By) > 0 || !strings.HasSuffix(of.Name, "}") {
				require.Contains(t, got, key)
			}
			if doubtful {
				continue
			}
			require.InEpsilon(t, burn+1, got[key]+1, 1e-9, "%v: %+v", key, status.Rules)
			if fires {
				*fired++
			} else {
				*quiet++
			}
		}
	}
	for i := range excluded {
		compare(&excluded[i], counts[i], &v.fired, &v.quiet)
		groups := counts[i].Groups
		if excluded[i].Calendar != nil || len(groups) == 1 && strings.Join(groups[0].Key, "") == "" {
			continue
		}
		for _, g := range groups {
			of := excluded[i].Group(g.Key)
			compare(&of, g.Counts, &v.groupsFired, &v.groupsQuiet)
		}
	}
	for key := range got {
		require.Contains(t, seen, key, "a row for each SLO, kept group and severity, and no other")
	}
}

// exclude stores exclusions, each of them after a version that excludes something else.
func exclude(t testing.TB, dsn string, exclusions []slo.Exclusion) {
	t.Helper()
	for _, e := range exclusions {
		for version, of := range []string{"elsewhere", e.Service} {
			embeddedtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO slo_exclusions (id, version, service, slo, starts, ends, withdrawn, written) VALUES ('%s', %d, '%s', '%s', %d, %d, %v, now())`,
				e.ID, version, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(of), e.SLO, e.From.Unix(), e.To.Unix(), e.Withdrawn && version > 0))
		}
	}
}

// TestWhatFiresBySQLIsWhatTheEngineSays compares every SLO that ships, and its groups, of services whose numbers are about where
// rules fire, before and after some time is excluded.
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
	var v verdicts
	var exclusions []slo.Exclusion
	for range 2 {
		for part := range slices.Chunk(services, 8) {
			slos, err := slo.Defaults(slo.DefaultSettings{Services: part, Indicators: indicators})
			require.NoError(t, err)
			for i := range slos {
				slos[i].Grouping.Max = min(slos[i].Grouping.Max, 3)
			}
			if exclusions == nil {
				v.compare(t, s, slos, nil, asof, now)
			} else {
				v.compare(t, s, slos, slices.DeleteFunc(slices.Clone(exclusions), func(e slo.Exclusion) bool { return e.Withdrawn }), asof, now)
			}
		}
		for i, service := range services {
			from := asof.Add(-time.Duration(random.IntN(400)) * time.Minute).Truncate(time.Minute)
			e := slo.Exclusion{ID: fmt.Sprint(i), Service: service, From: from, To: from.Add(time.Duration(1+random.IntN(240)) * time.Minute)}
			if e.Withdrawn = i%8 == 7; i%2 == 0 {
				e.SLO = []string{"auth-success", "auth-availability", "connection-success"}[random.IntN(3)]
			}
			exclusions = append(exclusions, e)
		}
		exclude(t, dsn, exclusions)
	}
	require.Greater(t, min(v.fired, v.quiet), 20, "%+v", v)
	require.Greater(t, min(v.groupsFired, v.groupsQuiet), 5, "%+v", v)
}

// TestWhatFiresBySQLOfRandomHistories compares every method, measure and grouping, of events that the views counted.
func TestWhatFiresBySQLOfRandomHistories(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("testdata/valid/matrix.yaml")
	require.NoError(t, err)
	slos = slices.DeleteFunc(slos, func(s slo.SLO) bool { return len(s.Members) > 0 })
	for i := range slos {
		if len(slos[i].Rules) == 0 {
			slos[i].Rules = slo.StandardRules()
		}
		if len(slos[i].Grouping.By) > 0 {
			// All of them: which are the largest is found by the quarter of an hour.
			slos[i].Grouping.Max, slos[i].Grouping.Rules = 100, slos[i].Rules
		}
	}
	s, dsn := open(t)
	random := rand.New(rand.NewPCG(3, 7))
	now := time.Now().UTC().Truncate(time.Second)
	read := now.Add(-90 * time.Second)
	asof := slo.Timing{}.AsOf(read)
	insertFacts(t, dsn, facts(random, asof, 4000))
	require.NoError(t, s.InsertProgress(t.Context(), []store.Progress{{Source: "a", ReadThrough: read, Wall: now}}))
	var v verdicts
	v.compare(t, s, slos, nil, asof, now)
	exclusions := excluding(random, asof, slos)
	exclude(t, dsn, exclusions)
	v.compare(t, s, slos, exclusions, asof, now)
	require.Greater(t, min(v.fired, v.quiet, v.groupsFired, v.groupsQuiet), 5, "%+v", v)
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
	slos[0].Grouping = slo.Grouping{By: []string{schema.Region}, Max: 3, Rules: slos[0].Rules}
	slos[0].Calendar = &slo.Calendar{Start: time.Unix(0, 0), Count: 1, Unit: "M"}
	slos[1].Members = []slo.Member{{SLO: slos[3]}}
	slos = slos[:2]
	_, notes := slo.SelectFiring(slos, "now()")
	require.Equal(t, []string{
		slos[0].Name + " of chat: its groups are left out: which are the largest shows in its calendar window; let the engine evaluate it",
		slos[1].Name + " of chat: is left out: it is a composite; let the engine evaluate it",
	}, notes)
	sql, _ := slo.SelectFiring(nil, "now()")
	require.Empty(t, sql)
}
