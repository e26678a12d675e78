package dashboards_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/dashboards/dashboardstest"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
)

// metricLabels are the labels of a metric, by the column of events that each is made of.
var metricLabels = map[string]string{
	"service": "service_name", "region": "cloud_region", "vantage": "websocket_vantage", "tenant": "websocket_tenant_id",
	"event": "event_name", "outcome": "event_outcome", "fault": "websocket_fault", "error_type": "error_type",
	"direction": "network_io_direction", "policy": "websocket_policy",
}

// scraped is the same history as a Prometheus would have it: counters and gauges by a quarter of an hour, of the last hours by half
// a minute.
type scraped struct {
	values map[string]float64
	series map[string]labels.Labels
	// seen is when each gauge was last told.
	seen map[string]time.Time
}

func (s *scraped) set(at time.Time, value float64, add bool, name string, pairs ...string) {
	l := map[string]string{"__name__": name}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			l[pairs[i]] = pairs[i+1]
		}
	}
	series := labels.FromMap(l)
	key := series.String()
	s.series[key] = series
	if add {
		value += s.values[key]
	} else {
		s.seen[key] = at
	}
	s.values[key] = value
}

func (s *scraped) count(row map[string]any) {
	at, err := time.Parse("2006-01-02 15:04:05.000", row["counted_at"].(string))
	if err != nil {
		panic(err)
	}
	var pairs []string
	for _, column := range slices.Sorted(maps.Keys(metricLabels)) {
		text, _ := row[column].(string)
		pairs = append(pairs, metricLabels[column], text)
	}
	n := row["count"].(int)
	s.set(at, float64(n), true, "websocket_events_total", pairs...)
	if bytes, ok := row["bytes"].(int); ok {
		s.set(at, float64(bytes), true, "websocket_events_size_bytes_total", pairs...)
	}
	if took, ok := row["duration"].(float64); ok {
		for _, bound := range event.DurationBounds {
			in := 0.0
			if took <= bound.Seconds() {
				in = float64(n)
			}
			s.set(at, in, true, "websocket_event_duration_seconds_bucket", append(pairs, "le", fmt.Sprint(bound.Seconds()))...)
		}
		s.set(at, float64(n), true, "websocket_event_duration_seconds_bucket", append(pairs, "le", "+Inf")...)
	}
	for name, text := range row["attributes"].(map[string]string) {
		if row["event"] == string(event.Connections) {
			var value float64
			if _, err := fmt.Sscan(text, &value); err != nil {
				panic(err)
			}
			metric := strings.ReplaceAll(name, ".", "_")
			if strings.HasPrefix(name, "process.memory") {
				metric += "_bytes"
			}
			s.set(at, value, false, metric, "service_name", "chat", "cloud_region", row["region"].(string), "websocket_vantage", row["vantage"].(string),
				"service_instance_id", row["instance"].(string))
		}
	}
}

// record is what the rules record of a status.
func (s *scraped) record(at time.Time, row map[string]any) {
	number := func(of map[string]any, key string) float64 { return float64(of[key].(uint64)) }
	objective := 0.0
	if _, err := fmt.Sscan(row["objective"].(string), &objective); err != nil {
		panic(err)
	}
	put := func(name string, value float64) {
		s.set(at, value, false, name, "service", row["service"].(string), "slo", row["slo"].(string))
	}
	put("slo:objective:ratio", objective)
	put("slo:coverage:ratio1h", 1)
	put("slo:budget_remaining:ratio30d", 1-(number(row, "judged")-number(row, "good"))/number(row, "judged")/(1-objective))
	for _, w := range row["windows"].([]fields) {
		put("slo:error_ratio:ratio"+w["name"].(string), (number(w, "judged")-number(w, "good"))/number(w, "judged"))
	}
}

// monthOfMetrics appends the month to a storage.
func monthOfMetrics(t *testing.T) storage.Queryable {
	t.Helper()
	h := &historian{random: rand.New(rand.NewPCG(1, 2))}
	h.month()
	h.lastHours()
	h.gauges()
	slices.SortStableFunc(h.rows, func(a, b map[string]any) int { return cmp.Compare(a["counted_at"].(string), b["counted_at"].(string)) })
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	s := &scraped{map[string]float64{}, map[string]labels.Labels{}, map[string]time.Time{}}
	// A counter that begins with what it counts rose from nothing: scraped all the time, it is there before.
	for _, row := range h.rows {
		s.count(row)
	}
	for key := range s.values {
		s.values[key] = 0
	}
	s.seen = map[string]time.Time{}
	gauge := func(key string) bool { return !strings.Contains(key, "_total") && !strings.Contains(key, "_bucket") }
	db := teststorage.New(t)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	step := 15 * time.Minute
	for at := now.Add(-30 * 24 * time.Hour); !at.After(now); at = at.Add(step) {
		if !at.Before(now.Add(-6 * time.Hour)) {
			step = 30 * time.Second
		}
		for len(h.rows) > 0 && h.rows[0]["counted_at"].(string) <= stamp(at) {
			s.count(h.rows[0])
			h.rows = h.rows[1:]
		}
		if at.Truncate(15 * time.Minute).Equal(at) {
			for i := range slos {
				s.record(at, statusRow(&slos[i], at, i))
			}
		}
		s.set(at, float64(at.Add(-7*time.Second).Unix()), false, "websocket_source_read_through_seconds", "websocket_source_name", "edge")
		s.set(at, 0, true, "websocket_events_late_total", "service_name", "chat", "websocket_vantage", "edge")
		appender := db.Appender(context.Background())
		for _, key := range slices.Sorted(maps.Keys(s.series)) {
			if gauge(key) && s.seen[key].Before(at.Add(-20*time.Minute)) {
				continue
			}
			_, err := appender.Append(0, s.series[key], at.UnixMilli(), s.values[key])
			require.NoError(t, err)
		}
		require.NoError(t, appender.Commit())
	}
	return db
}

// legendOf is how Grafana calls a series.
func legendOf(l labels.Labels, format string) string {
	return formattedLegend.ReplaceAllStringFunc(format, func(found string) string { return l.Get(strings.Trim(found, "{}")) })
}

// The boards of Prometheus are drawn from the same month.
func TestTheBoardsOfPrometheusAreDrawn(t *testing.T) {
	t.Parallel()
	db := monthOfMetrics(t)
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: 5 * time.Minute, LookbackDelta: 20 * time.Minute, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	for _, b := range boards(t, dashboards.Prometheus) {
		drawn := map[uint32]frame{}
		for _, p := range panels(b) {
			drawn[*p.Id] = askPrometheus(t, engine, db, b, p)
			require.NotEmpty(t, drawn[*p.Id].Data, "%s: %s", *b.Uid, *p.Title)
		}
		text, err := json.Marshal(b)
		require.NoError(t, err)
		picture, err := draw(text, drawn)
		require.NoError(t, err)
		golden.Assert(t, fmt.Sprintf("../docs/dashboards/%s.svg", *b.Uid), picture)
	}
}

// askPrometheus returns what a panel shows, with the names of series as Grafana would write them.
func askPrometheus(t *testing.T, engine *promql.Engine, db storage.Queryable, b *dashboards.Dashboard, p *dashboard.Panel) frame {
	t.Helper()
	v, err := dashboardstest.ViewOf(b, p, now, nil)
	require.NoError(t, err)
	values := maps.Clone(prometheusValues)
	values["__range"] = fmt.Sprintf("%ds", int(v.To.Sub(v.From).Seconds()))
	values["__rate_interval"] = fmt.Sprintf("%ds", int(max(v.Interval+30*time.Second, 2*time.Minute).Seconds()))
	f := frame{named: true}
	column := func(name, kind string) { f.Meta = append(f.Meta, struct{ Name, Type string }{name, kind}) }
	called := func(l labels.Labels, q prometheus.Dataquery) string {
		if shown := deref(p.FieldConfig.Defaults.DisplayName); shown != "" {
			return labelOfField.ReplaceAllStringFunc(shown, func(found string) string {
				return l.Get(labelOfField.FindStringSubmatch(found)[1])
			})
		}
		return legendOf(l, *q.LegendFormat)
	}
	if p.Type == "timeseries" {
		column("time", "DateTime")
		column("name", "String")
	} else if p.Type == "bargauge" {
		column("name", "String")
	}
	column("value", "Float64")
	for _, target := range p.Targets {
		q := target.(prometheus.Dataquery)
		expr := fill(t, q.Expr, values)
		if p.Type != "timeseries" {
			asked, err := engine.NewInstantQuery(context.Background(), db, nil, expr, v.To)
			require.NoError(t, err, expr)
			result := asked.Exec(context.Background())
			vector, err := result.Vector()
			require.NoError(t, err, expr)
			for _, sample := range vector {
				row := []any{sample.F}
				if p.Type == "bargauge" {
					row = []any{called(sample.Metric, q), sample.F}
				}
				f.Data = append(f.Data, row)
			}
			asked.Close()
			continue
		}
		asked, err := engine.NewRangeQuery(context.Background(), db, nil, expr, v.From, v.To, v.Interval)
		require.NoError(t, err, expr)
		result := asked.Exec(context.Background())
		matrix, err := result.Matrix()
		require.NoError(t, err, expr)
		for _, series := range matrix {
			for _, point := range series.Floats {
				f.Data = append(f.Data, []any{time.UnixMilli(point.T).UTC().Format(time.DateTime), called(series.Metric, q), point.F})
			}
		}
		asked.Close()
	}
	if p.Type == "bargauge" {
		slices.SortStableFunc(f.Data, func(a, b []any) int { return cmp.Compare(b[1].(float64), a[1].(float64)) })
	}
	return f
}
