package oracle

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

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

// row is one row of the rollup by the minute.
type row struct {
	bucket                       time.Time
	dimensions                   map[string]string
	count, judged, timed, within uint64
}

// history draws rows with gaps, idle spells, edges of windows, low traffic, and dimensions that almost match.
func history(random *rand.Rand, asof time.Time, rows int) []row {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	most := []int{2, 30, 1000}[random.IntN(3)]
	var all []row
	for len(all) < rows {
		age := time.Duration(random.Float64() * random.Float64() * random.Float64() * float64(31*24*time.Hour))
		at := asof.Add(time.Minute - age).Truncate(time.Minute)
		if random.IntN(10) == 0 { // on the very edge of a window, or one step beyond it
			w := slo.BurnWindows()[random.IntN(7)].Length
			at = asof.Add(-w - time.Duration(random.IntN(2))*time.Minute)
		}
		r := row{bucket: at, dimensions: map[string]string{
			schema.Service: pick("chat", "chat", "feed", `it's a \ "service"`), schema.Vantage: pick("edge", "edge", "app", "app", "tap"),
			schema.Environment: pick("production", "production", "staging"), schema.Tenant: pick("", "acme", "a|b", "other"),
			schema.Visibility: pick("at_open", "at_close"), schema.Region: pick("", "eu"),
		}}
		set := func(name event.Name, outcome event.Outcome, fault, errorType string) {
			r.dimensions[schema.EventName], r.dimensions[schema.Outcome] = string(name), string(outcome)
			r.dimensions[schema.Fault], r.dimensions[schema.ErrorType] = fault, errorType
		}
		switch random.IntN(13) {
		case 0, 1, 2:
			set(event.Open, event.OutcomeSuccess, "", "")
		case 3:
			set(event.HandshakeRejected, event.OutcomeFailure, pick("client", "policy", "server", "idp", "network"), "forbidden")
		case 4:
			set(event.HandshakeRejected, event.OutcomeFailure, "unknown", pick("tls_failed", "_OTHER"))
		case 5, 6:
			set(event.Auth, event.OutcomeSuccess, "", "")
		case 7:
			set(event.Auth, event.OutcomeFailure, pick("client", "idp", "server", "unknown"), "idp_timeout")
		case 8:
			set(event.Message, event.OutcomeSuccess, "", "")
			r.dimensions[schema.Direction] = pick("receive", "transmit")
		case 9:
			set(event.MessageRejected, event.OutcomeFailure, "client", pick("schema_invalid", "unknown_type"))
			r.dimensions[schema.Direction] = "receive"
		case 10:
			set(event.MessageDropped, event.OutcomeFailure, "server", "queue_full")
			r.dimensions[schema.Direction] = pick("receive", "transmit")
		case 11:
			set(event.Error, event.OutcomeFailure, "client", "invalid_utf8")
		default:
			set(event.Close, event.Outcome(pick("success", "failure", "unknown")), "", "")
		}
		r.count = uint64(random.IntN(most))
		if r.dimensions[schema.Outcome] == string(event.OutcomeFailure) && random.IntN(3) > 0 {
			r.count /= 50
		}
		if r.judged = r.count; r.dimensions[schema.Outcome] == string(event.OutcomeUnknown) {
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
	dimensions := schema.Dimensions()
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (bucket, %s, count, judged, duration_count, le_200ms) "+
		"SETTINGS max_partitions_per_insert_block = 0 VALUES ", table,
		strings.Join(dimensions, ", "))
	for i, r := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "(%d", r.bucket.Unix())
		for _, d := range dimensions {
			fmt.Fprintf(&b, ",'%s'", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(r.dimensions[d]))
		}
		fmt.Fprintf(&b, ",%d,%d,%d,%d)", r.count, r.judged, r.timed, r.within)
	}
	embeddedtest.Exec(t, dsn, b.String())
}

// buckets are the same rows as gauges, stamped at the end of their minutes.
func buckets(rows []row) map[string][]sample {
	sums := map[string]map[time.Time]float64{}
	add := func(metric, more string, r *row, n uint64) {
		var of []string
		for _, d := range schema.Dimensions() {
			if v := r.dimensions[d]; v != "" {
				of = append(of, fmt.Sprintf("%s=%q", slo.PromLabel(d), v))
			}
		}
		series := metric + "{" + strings.Join(of, ",") + more + "}"
		if sums[series] == nil {
			sums[series] = map[time.Time]float64{}
		}
		sums[series][r.bucket.Add(time.Minute)] += float64(n)
	}
	for i := range rows {
		r := &rows[i]
		add("websocket_events_total", "", r, r.count)
		add("websocket_event_duration_seconds_count", "", r, r.timed)
		add("websocket_event_duration_seconds_bucket", `,le="0.2"`, r, r.within)
	}
	series := map[string][]sample{}
	for name, values := range sums {
		for at, v := range values {
			series[name] = append(series[name], sample{at, v})
		}
	}
	return series
}

const documents = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: overlapping}
spec:
  service: chat
  indicator:
    metadata: {name: overlapping}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Sockeye
            spec:
              vantage: edge
              select:
                - {event: websocket.open, where: {tenant: [acme, "a|b"]}}
                - {event: websocket.open, where: {region: [eu]}, except: {tenant: [other]}}
        total:
          metricSource:
            type: Sockeye
            spec:
              vantage: edge
              select: [{event: websocket.open}, {event: websocket.open, where: {region: [eu]}}, {event: websocket.close}]
              unjudged: [{event: websocket.handshake.rejected, except: {fault: [client, policy]}}]
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 94}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: bad}
spec:
  service: feed
  indicator:
    metadata: {name: bad}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.close, where: {outcome: failure}}]}}}
        total: {metricSource: {type: Sockeye, spec: {vantage: app, select: [{event: websocket.close}]}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 93.5}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: slices}
spec:
  service: chat
  indicator:
    metadata: {name: slices}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Sockeye, spec: {vantage: edge, select: [{event: websocket.open}]}}}
        total:
          metricSource:
            type: Sockeye
            spec:
              vantage: edge
              select: [{event: websocket.open}, {event: websocket.handshake.rejected, except: {fault: [unknown]}}]
              unjudged: [{event: websocket.close}]
  timeWindow: [{duration: 3d, isRolling: true}]
  budgetingMethod: Timeslices
  objectives:
    - {displayName: Minutes, targetPercent: 95, timeSliceTarget: 0.98, timeSliceWindow: 1m}
    - {displayName: Quarters, targetPercent: 94, timeSliceTarget: 0.9, timeSliceWindow: 15m}
`

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

// TestPrometheusCountsWhatTheEngineCounts: on closed buckets, the SQL on the real engine and the PromQL on Prometheus's
// own give the same counts and ratios, bit for bit, in every window of every SLO, and the rules the same alerts.
func TestPrometheusCountsWhatTheEngineCounts(t *testing.T) {
	t.Parallel()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat", `it's a \ "service"`}})
	require.NoError(t, err)
	staging, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}, Environment: "staging"})
	require.NoError(t, err)
	for i := range staging {
		staging[i].Name += "-staging"
	}
	byMessage, err := slo.Defaults(slo.DefaultSettings{
		Services: []string{"chat"}, Indicators: []string{"message-delivery", "message-parse", "connection-stability"}})
	require.NoError(t, err)
	more, err := slo.Parse(slo.Source{Name: "more.yaml", Data: []byte(documents)})
	require.NoError(t, err)
	slos = slices.Concat(slos, staging, byMessage, more)
	counted, judged, fired, guarded := 0, 0, 0, 0
	seeds := []uint64{0, 3}
	if os.Getenv("SOCKEYE_EQUALITY") == "full" {
		seeds = []uint64{0, 1, 2, 3}
	}
	for _, seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 8)) //nolint:gosec // a test wants the same numbers again
		asof := time.Date(2026, 11, 26, 3, 30+int(seed), 0, 0, time.UTC)
		rows := history(random, asof, []int{4000, 4000, 1500, 200}[seed])
		s, dsn := open(t)
		insert(t, dsn, schema.Rollup1m, rows)
		insert(t, dsn, schema.Rollup15m, quarters(rows))
		p := newProm(t)
		series := buckets(rows)
		for _, env := range []string{"production", "staging"} { // connections that are open at the end
			report := asof.Add(-20 * time.Second)
			embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO %s (bucket, service, environment, vantage, instance, active) "+
				"VALUES (%d, 'chat', '%s', 'edge', 'chat-1', 70)", schema.Gauges10s, report.Unix(), env))
			series[fmt.Sprintf(`websocket_connections_active{service_name="chat",websocket_vantage="edge",`+
				`deployment_environment_name=%q}`, env)] = []sample{{report, 70}}
		}
		p.add(series)
		counts, at, fires := p.beside(t, s, slos, asof, random)
		for i := range slos {
			one := &slos[i]
			for _, c := range append(slices.Clone(counts[i].Windows), counts[i].Budget) {
				what := fmt.Sprintf("seed %d, %s of %s over %s", seed, one.Name, one.Service, c.Name)
				expr, err := one.PromQL(c.Length, slo.Buckets, "")
				require.NoError(t, err)
				total, _ := p.query(expr.Total, at)
				all, known := p.query(expr.Judged, at)
				bad, badKnown := p.query(expr.Bad, at)
				require.Equal(t, [3]float64{float64(c.Total), float64(c.Judged), float64(c.Judged - c.Good)},
					[3]float64{total, all, bad}, what)
				require.Equal(t, known, badKnown, what)
				counted++
				ratio := slo.Ratio(c.Judged-c.Good, c.Judged)
				got, there := p.query(fmt.Sprintf("slo:error_ratio:ratio%s{service=%q,slo=%q}", c.Name, one.Service, one.Name), at)
				if needed(one.Rules, c.Name) {
					require.Equal(t, ratio.Valid(), there, what)
					require.Equal(t, ratio.Float64(), got, what) //nolint:testifylint // bit for bit
					if there {
						judged++
					}
				}
			}
			st := slo.Evaluate(one, asof, counts[i], true)
			for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
				want := slices.ContainsFunc(st.Rules, func(r slo.RuleStatus) bool { return r.Firing && r.Severity == severity })
				require.Equal(t, want, fires(one, severity), "seed %d, %s of %s, %s", seed,
					one.Name, one.Service, severity)
				if want {
					fired++
				}
			}
			if slices.ContainsFunc(st.Rules, func(r slo.RuleStatus) bool { return r.Guarded }) {
				guarded++
			}
		}
	}
	t.Logf("%d windows counted, %d ratios, %d alerts, %d SLOs guarded", counted, judged, fired, guarded)
	require.Greater(t, judged, counted/4)
	require.NotZero(t, fired)
	require.NotZero(t, guarded)
}

// needed reports whether a window is one that rules need.
func needed(rules []slo.Rule, name string) bool {
	return name == "5m" || name == "1h" || slices.ContainsFunc(rules, func(r slo.Rule) bool { return r.Long == name || r.Short == name })
}
