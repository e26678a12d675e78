package slo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

func open(t testing.TB) (*store.Store, string) {
	t.Helper()
	dsn := embeddedtest.Database(t)
	s, err := store.Open(context.Background(), dsn, store.Options{DialTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	return s, dsn
}

// row is one row of a rollup, as the reference sees it.
type row struct {
	at                           time.Time
	dimensions                   map[string]string
	count, judged, timed, within uint64
}

// history draws rows with gaps, idle spells, several rows of one key, and dimensions that almost match.
func history(random *rand.Rand, asof time.Time, step, span time.Duration, rows int) []row {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	var all []row
	for len(all) < rows {
		age := time.Duration(random.Float64() * random.Float64() * random.Float64() * float64(span+2*step))
		at := asof.Add(step - age).Truncate(step) // some at asof and after it, which must not count
		if random.IntN(10) == 0 {
			// On the very edge of a window, or one step beyond it.
			w := slo.BurnWindows()[random.IntN(7)].Length
			at = asof.Add(-w - time.Duration(random.IntN(2))*step).Truncate(step)
		}
		r := row{at: at, dimensions: map[string]string{
			schema.Service: pick("chat", "chat", "feed", "it's a \\ service"), schema.Vantage: pick("edge", "edge", "app", "app", "tap"),
			schema.Environment: pick("production", "production", "staging"), schema.Tenant: pick("", "acme", "other"),
		}}
		set := func(event, outcome, fault, errorType string) {
			r.dimensions[schema.EventName], r.dimensions[schema.Outcome] = event, outcome
			r.dimensions[schema.Fault], r.dimensions[schema.ErrorType] = fault, errorType
		}
		switch random.IntN(8) {
		case 0, 1:
			set("websocket.open", "success", "", "")
		case 2:
			set("websocket.handshake.rejected", "failure", pick("client", "policy", "server", "idp", "network"), "forbidden")
		case 3:
			set("websocket.handshake.rejected", "failure", "unknown", pick("tls_failed", "_OTHER"))
		case 4, 5:
			set("websocket.auth", "success", "", "")
		case 6:
			set("websocket.auth", "failure", pick("client", "idp", "server", "unknown"), "idp_timeout")
		default:
			set("websocket.close", pick("success", "failure", "unknown"), "", "")
		}
		r.count = uint64(random.IntN(1000))
		if r.judged = r.count; r.dimensions[schema.Outcome] == "unknown" {
			r.judged = 0
		}
		r.timed = uint64(random.IntN(int(r.count) + 1))
		r.within = uint64(random.IntN(int(r.timed) + 1))
		all = append(all, r)
	}
	return all
}

func insert(t testing.TB, dsn, table string, rows []row) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (bucket, service, vantage, environment, tenant, event, outcome, fault, error_type, "+
		"count, judged, duration_count, le_200ms) VALUES ", table)
	for i, r := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "(%d", r.at.Unix())
		for _, d := range []string{"service", "vantage", "environment", "tenant", "event", "outcome", "fault", "error_type"} {
			fmt.Fprintf(&b, ",'%s'", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(r.dimensions[d]))
		}
		fmt.Fprintf(&b, ",%d,%d,%d,%d)", r.count, r.judged, r.timed, r.within)
	}
	embeddedtest.Exec(t, dsn, b.String())
}

// reference counts one SLO over one window by going through the rows.
func reference(s *slo.SLO, rows []row, asof time.Time, w time.Duration) slo.Count {
	matches := func(selection slo.Selection, r row) bool {
		return slices.ContainsFunc(selection, func(term slo.Term) bool {
			ok := term.Event == r.dimensions[schema.EventName]
			for _, f := range term.Where {
				ok = ok && slices.Contains(f.Values, r.dimensions[f.Dimension])
			}
			for _, f := range term.Except {
				ok = ok && !slices.Contains(f.Values, r.dimensions[f.Dimension])
			}
			return ok
		})
	}
	var c slo.Count
	in := s.Indicator
	for _, r := range rows {
		if r.at.Before(asof.Add(-w)) || !r.at.Before(asof) || r.dimensions[schema.Service] != s.Service ||
			r.dimensions[schema.Vantage] != in.Vantage ||
			in.Environment != "" && in.Environment != r.dimensions[schema.Environment] {
			continue
		}
		judged, hit := r.judged, r.judged
		if in.Threshold != 0 {
			judged, hit = r.timed, r.within
		}
		inTotal := matches(in.Total, r)
		if inTotal || matches(in.Unjudged, r) {
			c.Total += r.count
		}
		if inTotal {
			c.Judged += judged
		}
		if matches(in.Hit, r) {
			c.Good += hit
		}
	}
	if in.HitIsBad {
		c.Good = c.Judged - c.Good
	}
	return c
}

func count(t testing.TB, s *store.Store, q slo.Query) []slo.Counts {
	t.Helper()
	rows, err := s.Conn().Query(context.Background(), q.SQL)
	require.NoError(t, err)
	defer rows.Close()
	counts, err := q.Read(rows)
	require.NoError(t, err)
	return counts
}

// TestSQLEqualsReference counts random histories on the real engine and in Go: every SLO, every window, every count.
func TestSQLEqualsReference(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	slos := append(defaults(t, "chat", "feed", "it's a \\ service", "absent"), func() slo.SLO {
		all, err := slo.Parse(document(replace("good:\n          metricSource:\n            type: Sockeye\n            spec: {vantage: app, select: [{event: websocket.auth, where: {outcome: success}}]}",
			"bad:\n          metricSource:\n            type: Sockeye\n            spec: {vantage: app, select: [{event: websocket.auth, where: {fault: [idp, client]}, except: {tenant: acme}}]}")))
		require.NoError(t, err)
		all[0].Window = 28 * 24 * time.Hour
		return all[0]
	}())
	histories := 1
	if os.Getenv("SOCKEYE_EQUALITY") == "full" {
		histories = 3
	}
	compared := 0
	for seed := range histories {
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		for _, timing := range []slo.Timing{{}, {Resolution: 10 * time.Second, Scale: 60}} {
			// Lately, because the store forgets what is old.
			asof := timing.AsOf(time.Now().Add(-time.Duration(random.IntN(1e5)) * time.Second))
			rows := map[string][]row{}
			rows[schema.Rollup1m] = history(random, asof.Truncate(time.Minute), time.Minute, 31*24*time.Hour, 3000)
			rows[schema.Rollup10s] = history(random, asof, 10*time.Second, 2*time.Hour, 3000)
			for table, r := range rows {
				embeddedtest.Exec(t, dsn, "TRUNCATE TABLE "+table)
				insert(t, dsn, table, r[:len(r)/2])
				insert(t, dsn, table, r[len(r)/2:])
			}
			quarters(t, dsn)
			burnTable := schema.Rollup1m
			if timing.Resolution != 0 {
				burnTable = schema.Rollup10s
			}
			counts := count(t, s, slo.Plan(slos, asof, timing))
			require.Len(t, counts, len(slos))
			for i := range slos {
				for j, w := range timing.Windows() {
					want := reference(&slos[i], rows[burnTable], asof, w.Length)
					want.Window = w
					require.Equal(t, want, counts[i].Windows[j], "%s of %s, seed %d", slos[i].Name, slos[i].Service, seed)
					compared += 3
				}
				want := reference(&slos[i], rows[schema.Rollup1m], asof.Truncate(time.Minute), slos[i].Window)
				want.Window = counts[i].Budget.Window
				require.Equal(t, want, counts[i].Budget, "budget of %s of %s, seed %d", slos[i].Name, slos[i].Service, seed)
				require.Equal(t, slos[i].Window, want.Length)
				compared += 3
			}
		}
	}
	t.Logf("%d counts are equal", compared)
}

// quarters fills the tier of quarters of hours with what that of the minutes holds.
func quarters(t testing.TB, dsn string) {
	t.Helper()
	embeddedtest.Exec(t, dsn, "TRUNCATE TABLE "+schema.Rollup15m)
	embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO %s SELECT toStartOfFifteenMinutes(bucket), * EXCEPT bucket FROM %s",
		schema.Rollup15m, schema.Rollup1m))
}

// TestRecordsSurviveTheStore writes statuses as an engine does, twice, and reads them back once.
func TestRecordsSurviveTheStore(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	now := time.Now().UTC().Truncate(time.Second)
	o := plain(t, "0.999")
	st := slo.Evaluate(&o, now, same(&o, 977, 1000, 1001), true)
	record := slo.Record{Status: st, Engine: "one", Written: now, Alerts: []slo.Since{{Severity: slo.SeverityPage, Start: now.Add(-time.Hour)}}}
	for _, engine := range []string{"one", "two"} {
		record.Engine = engine
		batch, err := s.Conn().PrepareBatch(context.Background(), slo.InsertRecords)
		require.NoError(t, err)
		require.NoError(t, batch.Append(record.Row()...))
		require.NoError(t, batch.Send())
	}
	embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE slo_status FINAL")
	require.Equal(t, "1", embeddedtest.Exec(t, dsn, "SELECT count() FROM slo_status"))
	require.Equal(t, "-22\t0.023\t0.999001", embeddedtest.Exec(t, dsn,
		"SELECT round(budget_remaining, 6), round(error_ratio, 6), round(coverage, 6) FROM slo_status"))
	rows, err := s.Conn().Query(context.Background(), slo.SelectLatest(now.Add(-time.Minute)))
	require.NoError(t, err)
	defer rows.Close()
	got, err := slo.ReadRecords(rows)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, record.Alerts, got[0].Alerts)
	require.Equal(t, st.State, got[0].State)
	require.Equal(t, st.Severity, got[0].Severity)
	require.Equal(t, st.Windows[3].Burn.String(), got[0].Windows[3].Burn.String())
	require.Equal(t, st.Remaining.String(), got[0].Remaining.String())
	require.True(t, st.AsOf.Truncate(time.Second).Equal(got[0].AsOf) || st.AsOf.Equal(got[0].AsOf))
}

// TestProgress reads watermarks through the store: the least of the sources alive, and who fell silent.
func TestProgress(t *testing.T) {
	t.Parallel()
	s, dsn := open(t)
	now := time.Now().UTC().Truncate(time.Second)
	for _, p := range []struct {
		source    string
		read, ago time.Duration
	}{{"a", 20 * time.Second, 10 * time.Second}, {"a", 7 * time.Second, 5 * time.Second}, {"b", 9 * time.Second, 0},
		{"ahead", -time.Hour, time.Second}, {"dead", time.Hour, 2 * time.Minute}, {"gone", time.Hour, 25 * time.Hour}} {
		embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO source_progress VALUES ('%s', toDateTime64(%d, 9), 3, toDateTime64(%d, 3))",
			p.source, now.Add(-p.read).Unix(), now.Add(-p.ago).Unix()))
	}
	rows, err := s.Conn().Query(context.Background(), slo.SelectProgress(now))
	require.NoError(t, err)
	defer rows.Close()
	progress, err := slo.ReadProgress(rows)
	require.NoError(t, err)
	mark := slo.FindWatermark(progress, now)
	require.Equal(t, now.Add(-9*time.Second).Unix(), mark.Time.Unix())
	require.Len(t, mark.Live, 3)
	require.Len(t, mark.Silent, 1)
	require.Equal(t, "dead", mark.Silent[0].Source)
	require.EqualValues(t, 9, mark.Backlog)
}

// BenchmarkTick counts many SLOs over a month of minutes, as every tick does.
func BenchmarkTick(b *testing.B) {
	s, dsn := open(b)
	asof := time.Now().Truncate(time.Minute)
	embeddedtest.Exec(b, dsn, fmt.Sprintf(`INSERT INTO rollup_1m (bucket, service, vantage, event, outcome, fault, count, judged)
SELECT toDateTime(%d) - 60 * (number %% 43200) - 60, concat('s', toString(intDiv(number, 43200) %% 10)), 'edge',
  ['websocket.open', 'websocket.handshake.rejected'][1 + intDiv(number, 432000) %% 2], 'success', '', 1000, 1000 FROM numbers(864000)`, asof.Unix()))
	quarters(b, dsn)
	for _, n := range []int{1, 20} {
		var services []string
		for i := range n {
			services = append(services, fmt.Sprintf("s%d", i))
		}
		slos := defaults(b, services...)
		b.Run(fmt.Sprintf("%d_SLOs", len(slos)), func(b *testing.B) {
			for b.Loop() {
				count(b, s, slo.Plan(slos, asof, slo.Timing{}))
			}
		})
	}
}
