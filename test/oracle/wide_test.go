package oracle

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

// wideHistory draws rows of few places, so that each has much to count: up to a year ago, on the edges of windows, and around the
// beginnings of calendar windows.
func wideHistory(random *rand.Rand, asof time.Time, calendars []*slo.Calendar, rows int) []row {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	places := make([]map[string]string, 7)
	for i := range places {
		places[i] = map[string]string{
			schema.Environment: pick("production", "production", "staging"), schema.Tenant: pick("", "acme", "a|b.c", "other", "größe"),
			schema.Visibility: "at_open", schema.Region: pick("", "eu", "us", "asia", "other"),
		}
	}
	spans := []time.Duration{20 * time.Minute, 2 * time.Hour, 26 * time.Hour, 70 * time.Hour, 31 * 24 * time.Hour}
	var far []time.Time // few days, because each is a partition
	for range 12 {
		far = append(far, asof.Add(-31*24*time.Hour-time.Duration(random.Int64N(int64(330*24*time.Hour)))).Truncate(24*time.Hour))
	}
	var all []row
	for len(all) < rows {
		at := asof.Add(time.Minute - time.Duration(random.Int64N(int64(spans[random.IntN(len(spans))]))))
		switch random.IntN(12) {
		case 0:
			w := slo.BurnWindows()[random.IntN(7)].Length
			at = asof.Add(-w).Truncate(15 * time.Minute).Add(-time.Duration(random.IntN(2)) * time.Minute)
		case 1:
			from, _ := calendars[random.IntN(len(calendars))].Period(asof)
			at = from.Add(time.Duration(random.IntN(3)-1) * time.Minute)
		case 2:
			at = far[random.IntN(len(far))].Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
		}
		r := row{bucket: at.UTC().Truncate(time.Minute), dimensions: maps.Clone(places[random.IntN(len(places))])}
		r.dimensions[schema.Service], r.dimensions[schema.Vantage] = pick("chat", "chat", "chat", "feed"), pick("edge", "app", "app")
		set := func(name event.Name, outcome event.Outcome, fault, errorType string) {
			r.dimensions[schema.EventName], r.dimensions[schema.Outcome] = string(name), string(outcome)
			r.dimensions[schema.Fault], r.dimensions[schema.ErrorType] = fault, errorType
		}
		switch random.IntN(12) {
		case 0, 1, 2:
			set(event.Open, event.OutcomeSuccess, "", "")
		case 3:
			set(event.HandshakeRejected, event.OutcomeFailure, pick("client", "server", "unknown"), "forbidden")
		case 4:
			set(event.Auth, event.OutcomeSuccess, "", "")
		case 5:
			set(event.Auth, event.OutcomeFailure, pick("client", "idp"), "idp_timeout")
		case 6:
			set(event.Message, event.OutcomeSuccess, "", "")
		case 7:
			set(event.MessageRejected, event.OutcomeFailure, "client", "schema_invalid")
		case 8:
			set(event.MessageDropped, event.OutcomeFailure, "server", "queue_full")
		case 9:
			set(event.RateLimited, event.OutcomeFailure, "policy", "rate_limited")
		default:
			set(event.Close, event.Outcome(pick("success", "success", "failure", "unknown")), "", "")
		}
		if strings.HasPrefix(r.dimensions[schema.EventName], string(event.Message)) {
			r.dimensions[schema.Direction] = pick("receive", "transmit")
		}
		r.count = uint64(1 + random.IntN(1000))
		if r.judged = r.count; r.dimensions[schema.Outcome] == string(event.OutcomeUnknown) {
			r.judged = 0
		}
		if r.dimensions[schema.EventName] == string(event.Auth) {
			r.timed = uint64(random.IntN(int(r.count) + 1))
			r.within = uint64(random.IntN(int(r.timed) + 1))
		}
		all = append(all, r)
	}
	return all
}

// said is what instances say of themselves: a row of the table, and samples of gauges at the end of its ten seconds.
func said(t *testing.T, dsn string, random *rand.Rand, asof time.Time, reports int) map[string][]sample {
	t.Helper()
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	series := map[string][]sample{}
	seen := map[string]bool{}
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (bucket, service, environment, region, vantage, instance, active, idle, capacity) VALUES ", schema.Gauges10s)
	for range reports {
		span := []time.Duration{2 * time.Minute, time.Hour, 70 * time.Hour}[random.IntN(3)]
		at := asof.Add(10*time.Second - time.Duration(random.Int64N(int64(span)))).Truncate(10 * time.Second)
		of := []string{"chat", pick("production", "staging"), pick("eu", "us", ""), "app", pick("a", "b")}
		key := fmt.Sprint(at.Unix(), of)
		if seen[key] {
			continue
		}
		seen[key] = true
		fmt.Fprintf(&b, "(%d,'%s'", at.Unix(), strings.Join(of, "','"))
		labels := fmt.Sprintf("{service_name=%q,deployment_environment_name=%q,cloud_region=%q,websocket_vantage=%q,service_instance_id=%q}",
			of[0], of[1], of[2], of[3], of[4])
		active := random.IntN(200)
		for i, name := range []string{"active", "idle", "capacity"} {
			if i > 0 && random.IntN(4) == 0 {
				b.WriteString(",NULL")
				continue
			}
			value := []int{active, random.IntN(active + 1), 200 + random.IntN(100)}[i]
			fmt.Fprintf(&b, ",%d", value)
			metric := "websocket_connections_" + name + strings.ReplaceAll(labels, `cloud_region="",`, "")
			series[metric] = append(series[metric], sample{at.Add(10 * time.Second), float64(value)})
		}
		b.WriteString(")")
	}
	embeddedtest.Exec(t, dsn, b.String())
	return series
}

// moved is what connections that closed moved: a row of the table for each minute, and what is added up of it as gauges.
func moved(t *testing.T, dsn string, random *rand.Rand, asof time.Time, connections int) map[string][]sample {
	t.Helper()
	type minute struct {
		at       int64
		of       string
		received bool
		rate     float64
	}
	var b strings.Builder
	var all []minute
	for i := range connections {
		span := []time.Duration{20 * time.Minute, 3 * time.Hour, 70 * time.Hour, 29 * 24 * time.Hour}[random.IntN(4)]
		m := minute{
			asof.Add(time.Minute - time.Duration(random.Int64N(int64(span)))).Truncate(time.Minute).Unix(),
			[]string{"eu", "us"}[random.IntN(2)], random.IntN(3) > 0,
			[]float64{10, 20_000, 900_000, 1_100_000, 2e9}[random.IntN(5)], // a sketch is exact to 1 %
		}
		all = append(all, m)
		rate := map[bool]string{true: fmt.Sprintf("%.0f,NULL", m.rate), false: fmt.Sprintf("NULL,%.0f", m.rate)}[m.received]
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "(%d,'%s',%s)", m.at, m.of, rate)
	}
	embeddedtest.Exec(t, dsn, "INSERT INTO "+schema.ConnectionRate+` (bucket, service, region, vantage, received_count, sent_count,
		received_rate, sent_rate, received_rate_max, sent_rate_max) SELECT toDateTime(at, 'UTC') AS bucket, 'chat', of, 'app',
		count(received), count(sent), quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(ifNull(received, 0), received IS NOT NULL),
		quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(ifNull(sent, 0), sent IS NOT NULL), max(received), max(sent)
		FROM values('at UInt32, of String, received Nullable(Float64), sent Nullable(Float64)', `+b.String()+`) GROUP BY bucket, of
		SETTINGS max_partitions_per_insert_block = 0`)
	sums := map[string]map[int64]float64{}
	add := func(series string, at int64) {
		if sums[series] == nil {
			sums[series] = map[int64]float64{}
		}
		sums[series][at]++
	}
	for _, m := range all {
		labels := fmt.Sprintf(`service_name="chat",websocket_vantage="app",cloud_region=%q,network_io_direction=%q`, m.of,
			map[bool]string{true: "receive", false: "transmit"}[m.received])
		add("websocket_connection_rate_bytes_per_second_count{"+labels+"}", m.at+60)
		if m.rate <= 1e6 {
			add("websocket_connection_rate_bytes_per_second_bucket{"+labels+`,le="1e+06"}`, m.at+60)
		}
	}
	series := map[string][]sample{}
	for name, values := range sums {
		for at, v := range values {
			series[name] = append(series[name], sample{time.Unix(at, 0), v})
		}
	}
	return series
}

// quarters are rows of the rollup by the quarter of an hour.
func quarters(rows []row) []row {
	all := slices.Clone(rows)
	for i := range all {
		all[i].bucket = all[i].bucket.Truncate(15 * time.Minute)
	}
	return all
}

// TestPrometheusCountsEveryShape compares as [TestPrometheusCountsWhatTheEngineCounts] does, over one document for each thing
// that an SLO may be: slices, measures, calendars, groups and composites. slo/equality_test.go compares the same documents with a reference.
func TestPrometheusCountsEveryShape(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("../../slo/testdata/valid/matrix.yaml")
	require.NoError(t, err)
	templates, err := slo.Parse(slo.DefaultSources()...)
	require.NoError(t, err)
	var indicators []string
	for _, s := range templates {
		indicators = append(indicators, s.Name)
	}
	shipped, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Vantage: "app", AuthVantage: "app", Indicators: indicators})
	require.NoError(t, err)
	slos = append(slos, shipped...)
	var calendars []*slo.Calendar
	for i := range slos {
		if slos[i].Calendar != nil {
			calendars = append(calendars, slos[i].Calendar)
		}
	}
	seeds := []uint64{1}
	if os.Getenv("SOCKEYE_EQUALITY") == "full" {
		seeds = []uint64{1, 2, 3}
	}
	compared, ratios, groups, fired := 0, 0, 0, 0
	for _, seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 21)) //nolint:gosec // a test wants the same numbers again
		asof := time.Date(2026, 11, 26, 3, 37, 0, 0, time.UTC)
		rows := wideHistory(random, asof, calendars, 2500)
		s, dsn := open(t)
		insert(t, dsn, schema.Rollup1m, rows)
		insert(t, dsn, schema.Rollup15m, quarters(rows))
		p := newProm(t)
		series := buckets(rows)
		maps.Copy(series, said(t, dsn, random, asof, 1500))
		maps.Copy(series, moved(t, dsn, random, asof, 1500))
		p.add(series)
		counts, at, fires := p.beside(t, s, slos, asof, random)
		recorded := func(name, window string, one *slo.SLO) (float64, bool) {
			return p.query(fmt.Sprintf("%s%s{service=%q,slo=%q}", name, window, one.Service, one.Name), at)
		}
		compare := func(one *slo.SLO, c slo.Count, name string) {
			t.Helper()
			what := fmt.Sprintf("seed %d, %s of %s over %s", seed, one.Name, one.Service, name)
			judged, known := recorded(alerts.RecordJudged, name, one)
			bad, badKnown := recorded(alerts.RecordBad, name, one)
			require.Equal(t, [2]float64{float64(c.Judged), float64(c.Judged - c.Good)}, [2]float64{judged, bad}, what)
			require.Equal(t, known, badKnown, what)
			if name == "5m" || name == "1h" {
				total, _ := recorded("slo:events_total:sum", name, one)
				require.InDelta(t, c.Total, total, 0, what)
			}
			compared++
			if len(one.Members) > 0 {
				return
			}
			ratio := slo.Ratio(c.Judged-c.Good, c.Judged)
			got, there := recorded(alerts.RecordRatio, name, one)
			require.Equal(t, ratio.Valid(), there, what)
			require.Equal(t, ratio.Float64(), got, what) //nolint:testifylint // bit for bit
			if there {
				ratios++
			}
		}
		all := func(one *slo.SLO, c slo.Counts, needed func(string) bool) {
			t.Helper()
			for _, w := range c.Windows {
				if needed(w.Name) {
					compare(one, w, w.Name)
				}
			}
			if !one.Unbudgeted {
				compare(one, c.Budget, one.BudgetName())
			}
		}
		alerting := func(one *slo.SLO, c slo.Counts) {
			t.Helper()
			st := slo.Evaluate(one, asof, c, true)
			for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
				want := slices.ContainsFunc(st.Rules, func(r slo.RuleStatus) bool { return r.Firing && r.Severity == severity })
				require.Equal(t, want, fires(one, severity), "seed %d, %s of %s, %s", seed,
					one.Name, one.Service, severity)
				if want {
					fired++
				}
			}
			if one.Unbudgeted {
				return
			}
			got, there := recorded(alerts.RecordRemaining, one.BudgetName(), one)
			require.Equal(t, st.Remaining.Valid(), there, one.Name)
			require.InDelta(t, st.Remaining.Float64(), got, 1e-9, one.Name)
		}
		for i := range slos {
			one := &slos[i]
			all(one, counts[i], func(name string) bool { return needed(one.Rules, name) })
			alerting(one, counts[i])
			for j := range one.Members {
				all(&one.Members[j].SLO, counts[i].Members[j], func(name string) bool { return needed(one.Rules, name) })
			}
			for _, w := range slo.Evaluate(one, asof, counts[i], true).Windows {
				if len(one.Members) > 0 && needed(one.Rules, w.Name) {
					got, there := recorded("slo:burn_rate:ratio", w.Name, one)
					require.Equal(t, w.Burn.Valid(), there, one.Name)
					require.InDelta(t, w.Burn.Float64(), got, 1e-9, one.Name)
					got, _ = recorded(alerts.RecordRatio, w.Name, one)
					require.InDelta(t, w.ErrorRatio.Float64(), got, 1e-9, one.Name)
				}
			}
			known := map[string]bool{}
			for _, g := range counts[i].Groups {
				group := one.Group(g.Key)
				all(&group, g.Counts, func(name string) bool { return needed(one.Grouping.Rules, name) })
				alerting(&group, g.Counts)
				known[group.Name] = true
				groups++
			}
			for _, name := range p.names(fmt.Sprintf("slo:events_judged:sum%s{service=%q,whole=%q}", one.BudgetName(), one.Service, one.Name), at) {
				require.True(t, known[name], "the engine has no group %s", name)
			}
		}
	}
	t.Logf("%d windows counted, %d ratios, %d groups, %d alerts", compared, ratios, groups, fired)
	require.Greater(t, ratios, compared/2)
	require.NotZero(t, groups)
	require.NotZero(t, fired)
}

// names are the values of the label slo.
func (p *prom) names(expr string, at time.Time) (names []string) {
	p.t.Helper()
	q, err := p.engine.NewInstantQuery(context.Background(), p.db, nil, expr, at)
	require.NoError(p.t, err, expr)
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	require.NoError(p.t, err, expr)
	for _, s := range v {
		names = append(names, s.Metric.Get("slo"))
	}
	return names
}
