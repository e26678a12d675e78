package dashboards_test

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards"
)

// metrics are series as a Prometheus has them that scrapes the connector and loads the rules: names and labels as the connector's
// README and docs/prometheus.md say, written out here so that a wrong name in a board finds nothing. Eight days, by the minute.
func metrics() string {
	var b strings.Builder
	b.WriteString("load 1m\n")
	line := func(name, labels, values string) { fmt.Fprintf(&b, "  %s{%s} %s\n", name, labels, values) }
	const end = "x11520"
	for _, tenant := range []string{"acme", "globex"} {
		dimensions := func(vantage, name, more string) string {
			return fmt.Sprintf(`service_name="chat",cloud_region="eu-west-1",websocket_vantage=%q,websocket_tenant_id=%q,event_name=%q%s`, vantage, tenant, name, more)
		}
		line("websocket_events_total", dimensions("edge", "websocket.open", `,event_outcome="success"`), "0+1000"+end)
		line("websocket_events_total", dimensions("edge", "websocket.handshake.rejected", `,event_outcome="failure",websocket_fault="server",error_type="not_upgraded"`), "0+2"+end)
		line("websocket_events_total", dimensions("edge", "websocket.close", `,event_outcome="failure",error_type="connection_reset"`), "0+7"+end)
		line("websocket_events_total", dimensions("app", "websocket.auth", `,event_outcome="success"`), "0+1000"+end)
		line("websocket_events_total", dimensions("app", "websocket.auth", `,event_outcome="failure",websocket_fault="client"`), "0+3"+end)
		line("websocket_events_total", dimensions("gateway", "websocket.message", `,event_outcome="success",network_io_direction="receive"`), "0+9000"+end)
		line("websocket_events_size_bytes_total", dimensions("gateway", "websocket.message", `,network_io_direction="receive"`), "0+900000"+end)
		line("websocket_events_total", dimensions("gateway", "websocket.error", `,event_outcome="failure",error_type="invalid_utf8"`), "0+1"+end)
		line("websocket_events_total", dimensions("gateway", "websocket.rate_limited", `,event_outcome="failure",websocket_policy="per_client"`), "0+4"+end)
		for _, timed := range [][2]string{{"edge", "websocket.open"}, {"app", "websocket.auth"}, {"gateway", "websocket.ping"}} {
			for _, bucket := range [][2]string{{"0.05", "500"}, {"0.1", "900"}, {"+Inf", "1000"}} {
				line("websocket_event_duration_seconds_bucket", dimensions(timed[0], timed[1], `,le="`+bucket[0]+`"`), "0+"+bucket[1]+end)
			}
		}
	}
	line("websocket_events_total", `service_name="chat",websocket_vantage="app",event_name="websocket.deploy"`, "0x11519 1")
	line("websocket_events_late_total", `service_name="chat",websocket_vantage="edge"`, "0+1"+end)
	for _, instance := range []string{"eu-1", "eu-2"} {
		of := fmt.Sprintf(`service_name="chat",service_instance_id=%q,cloud_region="eu-west-1",websocket_vantage="gateway"`, instance)
		line("websocket_connections_active", of, "2500+1"+end)
		line("websocket_connections_capacity", of, "5000"+end)
		line("process_memory_usage_bytes", of, "200000000"+end)
		line("process_memory_limit_bytes", of, "536870912"+end)
		line("process_open_file_descriptor_count", of, "2600"+end)
		line("process_open_file_descriptor_limit", of, "8192"+end)
	}
	line("websocket_source_read_through_seconds", `websocket_source_name="edge"`, "0+60"+end)
	slo := `service="chat",slo="connection-availability"`
	line("slo:objective:ratio", slo, "0.999"+end)
	line("slo:budget_remaining:ratio30d", slo, "0.7"+end)
	line("slo:coverage:ratio1h", slo, "1"+end)
	for _, w := range []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} {
		line("slo:error_ratio:ratio"+w, slo, "0.002"+end)
	}
	return b.String()
}

var prometheusValues = map[string]string{
	"service": "chat", "region": ".*", "tenant": ".*", "instance": ".*", "slo": "connection-availability",
	"seen_connections": "edge", "seen_auth": "app", "seen_messages": "gateway", "seen_gauges": "gateway",
	"__rate_interval": "20m", "__range": "7d",
}

var (
	promVariable    = regexp.MustCompile(`\$(\w+)`)
	formattedLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)
	labelOfField    = regexp.MustCompile(`\$\{__field\.labels\.(\w+)\}`)
)

func fill(t testing.TB, expr string, values map[string]string) string {
	t.Helper()
	return promVariable.ReplaceAllStringFunc(expr, func(found string) string {
		value, ok := values[found[1:]]
		require.True(t, ok, found)
		return value
	})
}

func TestEveryPromQLAnswersOnPrometheus(t *testing.T) {
	t.Parallel()
	storage := promqltest.LoadedStorage(t, metrics())
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: 5 * time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	end := time.Unix(0, 0).Add(11520 * time.Minute)
	ask := func(t testing.TB, expr string, values map[string]string) promql.Vector {
		t.Helper()
		q, err := engine.NewInstantQuery(context.Background(), storage, nil, fill(t, expr, values), end)
		require.NoError(t, err, expr)
		defer q.Close()
		result := q.Exec(context.Background())
		require.NoError(t, result.Err, expr)
		vector, err := result.Vector()
		require.NoError(t, err, expr)
		for _, sample := range vector {
			require.False(t, math.IsNaN(sample.F), "%s: NaN", expr)
		}
		return vector
	}
	all := boards(t, dashboards.Prometheus)
	nobody := map[string]string{}
	for k, v := range prometheusValues {
		nobody[k] = v
	}
	nobody["service"] = "nobody"
	labelValues := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, b := range all {
		for _, v := range b.Templating.List {
			if v.Type != dashboard.VariableTypeQuery {
				continue
			}
			parts := labelValues.FindStringSubmatch(*v.Query.String)
			require.NotNil(t, parts, *v.Query.String)
			found := false
			for _, sample := range ask(t, parts[1], prometheusValues) {
				found = found || sample.Metric.Get(parts[2]) != ""
			}
			require.True(t, found, *v.Query.String)
		}
		for _, a := range b.Annotations.List {
			require.NotEmpty(t, ask(t, *a.Expr, prometheusValues), a.Name)
		}
		for _, p := range panels(b) {
			for _, target := range p.Targets {
				q := target.(prometheus.Dataquery)
				require.NotEmpty(t, ask(t, q.Expr, prometheusValues), "%s: %s: %s", *b.Uid, *p.Title, q.Expr)
				if !strings.Contains(q.Expr, "read_through") {
					require.Empty(t, ask(t, q.Expr, nobody), "%s: %s: %s", *b.Uid, *p.Title, q.Expr)
				}
				for _, m := range formattedLegend.FindAllStringSubmatch(*q.LegendFormat, -1) {
					require.NotEmpty(t, ask(t, q.Expr, prometheusValues)[0].Metric.Get(m[1]), "%s: the legend names a label that is not there: %s", *p.Title, m[1])
				}
			}
			for _, m := range labelOfField.FindAllStringSubmatch(deref(p.FieldConfig.Defaults.DisplayName), -1) {
				vector := ask(t, p.Targets[0].(prometheus.Dataquery).Expr, prometheusValues)
				require.NotEmpty(t, vector[0].Metric.Get(m[1]), *p.Title)
			}
		}
	}
	// What a document says of the capacity wins over the 10,000 that instances report.
	documented, err := dashboards.Boards(dashboards.Prometheus, withCapacity(t))
	require.NoError(t, err)
	used := func(all []*dashboards.Dashboard) float64 {
		_, p := panelOf(t, all, "sockeye-executive-prometheus", "Capacity in use")
		vector := ask(t, p.Targets[0].(prometheus.Dataquery).Expr, prometheusValues)
		require.Len(t, vector, 1)
		return vector[0].F
	}
	require.InDelta(t, used(all)/4, used(documented), 1e-9)
}
