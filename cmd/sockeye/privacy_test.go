package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/processor/piiprocessor"
)

// privacyBase defines the components that the pipelines below are made of.
const privacyBase = `
receivers:
  websocketlog: {format: ndjson, vantage: app, key_file: key, http: {endpoint: "127.0.0.1:0"}}
  websocketendpoint: {endpoint: "127.0.0.1:0", insecure_anonymous: true}
  websocketendpoint/samples: {endpoint: "127.0.0.1:0", insecure_anonymous: true, payload_samples: {enabled: true}}
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}
processors:
  pii: {}
  pii/observe: {insecure_observe: true}
  batch: {}
  memory_limiter: {check_interval: 1s, limit_mib: 100}
  attributes: {actions: [{key: a, action: delete}]}
  transform: {log_statements: ["set(log.body, 1)"]}
  transform/silent: {error_mode: silent, log_statements: ["set(log.body, 1)"]}
  filter: {error_mode: ignore, log_conditions: ["log.body == 1"]}
exporters:
  websocketclickhouse: {endpoint: "http://127.0.0.1:1/sockeye"}
  debug: {}
  nop: {}
  otlp_grpc: {endpoint: "127.0.0.1:1"}
service:
  telemetry: {logs: {level: LEVEL}}
  pipelines:
`

const noPII = "gets what %q received and no pii processor has redacted; put one first in the processors of this pipeline"

func TestEventsReachNothingBeforeTheyAreRedacted(t *testing.T) {
	unredacted := func(exporter, receiver string) string {
		return `"` + exporter + `" ` + strings.Replace(noPII, "%q", `"`+receiver+`"`, 1)
	}
	for name, c := range map[string]struct {
		level, pipelines string
		want             []string
	}{
		"pii first": {pipelines: "logs: {receivers: [websocketlog, otlp], processors: [pii, batch, transform], exporters: [debug, websocketclickhouse]}"},
		"what holds and logs nothing before pii": {
			pipelines: "logs: {receivers: [otlp], processors: [memory_limiter, attributes, transform/silent, pii], exporters: [otlp_grpc]}"},
		"pipelines that carry no events": {pipelines: "{logs: {receivers: [otlp], processors: [batch], exporters: [debug]}, " +
			"metrics: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}}"},
		"other signals of a receiver": {pipelines: "{logs: {receivers: [otlp], processors: [pii], exporters: [websocketclickhouse]}, " +
			"metrics: {receivers: [otlp], exporters: [debug]}, traces: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}}"},
		"raw events to nowhere": {pipelines: "{logs: {receivers: [websocketlog], processors: [pii], exporters: [debug]}, " +
			"logs/nowhere: {receivers: [websocketlog], processors: [batch], exporters: [nop]}}"},
		"an observer in place of pii, which says so at the start": {
			pipelines: "logs: {receivers: [websocketlog], processors: [pii/observe, batch], exporters: [debug]}"},

		"our receiver without pii": {
			pipelines: "logs: {receivers: [websocketlog], processors: [batch], exporters: [otlp_grpc, nop]}",
			want:      []string{"service.pipelines.logs.exporters: " + unredacted("otlp_grpc", "websocketlog")},
		},
		"no pii behind the endpoint": {
			pipelines: "logs: {receivers: [websocketendpoint], exporters: [websocketclickhouse]}",
			want:      []string{"service.pipelines.logs.exporters: " + unredacted("websocketclickhouse", "websocketendpoint")},
		},
		"samples of payloads into their table": {
			pipelines: "{logs: {receivers: [websocketendpoint/samples], processors: [pii], exporters: [websocketclickhouse, nop]}, " +
				"traces: {receivers: [websocketendpoint/samples], processors: [pii], exporters: [debug]}}",
		},
		"samples of payloads into other places": {
			pipelines: "logs: {receivers: [websocketendpoint/samples], processors: [pii/observe], exporters: [debug, websocketclickhouse]}",
			want: []string{
				`service.pipelines.logs.exporters: "debug" gets samples of payloads, which may only go to websocketclickhouse; ` +
					"turn payload_samples off, or take it away",
				`service.pipelines.logs.processors: "pii/observe" leaves samples of payloads as they came; turn payload_samples ` +
					"off, or insecure_observe",
			},
		},
		"no pii behind the endpoint's spans": {
			pipelines: "{logs: {receivers: [websocketendpoint], processors: [pii], exporters: [websocketclickhouse]}, " +
				"traces: {receivers: [websocketendpoint], exporters: [websocketclickhouse]}}",
			want: []string{"service.pipelines.traces.exporters: " + unredacted("websocketclickhouse", "websocketendpoint")},
		},
		"a queue before pii in a pipeline of traces": {
			pipelines: "traces: {receivers: [websocketendpoint], processors: [batch, pii], exporters: [websocketclickhouse]}",
			want:      []string{`service.pipelines.traces.processors: "batch" holds events before "pii" has redacted them; put it after that`},
		},
		"spans of others into our exporter": {
			pipelines: "{traces: {receivers: [otlp], exporters: [websocketclickhouse]}, logs: {receivers: [otlp], exporters: [debug]}}",
			want:      []string{"service.pipelines.traces.exporters: " + unredacted("websocketclickhouse", "otlp")},
		},
		"our exporter without pii": {
			pipelines: "logs: {receivers: [otlp], exporters: [websocketclickhouse]}",
			want:      []string{"service.pipelines.logs.exporters: " + unredacted("websocketclickhouse", "otlp")},
		},
		"a second pipeline of the same receiver": {
			pipelines: "{logs: {receivers: [otlp], processors: [pii], exporters: [websocketclickhouse]}, " +
				"logs/raw: {receivers: [otlp], exporters: [debug]}}",
			want: []string{"service.pipelines.logs/raw.exporters: " + unredacted("debug", "otlp")},
		},
		"a second pipeline of traces": {
			pipelines: "{traces: {receivers: [otlp], processors: [pii], exporters: [otlp_grpc]}, " +
				"traces/raw: {receivers: [otlp], exporters: [debug]}}",
			want: []string{"service.pipelines.traces/raw.exporters: " + unredacted("debug", "otlp")},
		},
		"a queue before pii": {
			pipelines: "logs: {receivers: [websocketlog], processors: [memory_limiter, batch, pii], exporters: [nop]}",
			want:      []string{`service.pipelines.logs.processors: "batch" holds events before "pii" has redacted them; put it after that`},
		},
		"what logs values before pii": {
			pipelines: "logs: {receivers: [otlp], processors: [transform, filter, pii], exporters: [debug]}",
			want: []string{
				`service.pipelines.logs.processors: "filter" logs values of events when a statement fails before "pii" has ` +
					"redacted them; put it after that, or give it error_mode: silent",
				`service.pipelines.logs.processors: "transform" logs values of events when a statement fails before "pii" has ` +
					"redacted them; put it after that, or give it error_mode: silent",
			},
		},
		"what logs records at level debug": {
			level:     "DEBUG",
			pipelines: "logs: {receivers: [otlp], processors: [memory_limiter, attributes, transform/silent, pii], exporters: [debug]}",
			want: []string{
				`service.pipelines.logs.processors: "attributes" logs events at level debug before "pii" has redacted them; ` +
					"put it after that, or take another level for service.telemetry.logs",
				`service.pipelines.logs.processors: "transform/silent" logs events at level debug before "pii" has redacted ` +
					"them; put it after that, or take another level for service.telemetry.logs",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			level := c.level
			if level == "" {
				level = "info"
			}
			config := strings.Replace(privacyBase, "LEVEL", level, 1) + "    " + c.pipelines + "\n"
			if strings.HasPrefix(c.pipelines, "{") {
				config = strings.Replace(privacyBase, "LEVEL", level, 1)
				config = strings.TrimSuffix(config, "pipelines:\n") + "pipelines: " + c.pipelines + "\n"
			}
			path := writeConfig(t, config)
			_, errs, status := sockeye(t, "validate", "--config", path)
			var got []string
			for line := range strings.Lines(strings.TrimPrefix(errs, "sockeye: ")) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "the configuration has") {
					_, fault, _ := strings.Cut(strings.TrimPrefix(line, path+":"), ": ")
					got = append(got, fault)
				}
			}
			require.ElementsMatch(t, c.want, got)
			require.Equal(t, len(c.want) > 0, status != 0)
			if len(c.want) > 0 {
				// The collector itself refuses it too, before it starts anything.
				_, errs, status := sockeye(t, "--config", path)
				require.NotZero(t, status)
				require.Contains(t, errs, c.want[0])
			}
		})
	}
}

func TestAConnectorHandsOnWhatIsNotRedacted(t *testing.T) {
	conf := func(first string) *confmap.Conf {
		return confmap.NewFromStringMap(map[string]any{"service": map[string]any{"pipelines": map[string]any{
			"logs":    map[string]any{"receivers": []any{"websocketlog"}, "processors": []any{first}, "exporters": []any{"sli"}},
			"metrics": map[string]any{"receivers": []any{"sli"}, "processors": []any{"batch"}, "exporters": []any{"debug"}},
		}}})
	}
	require.Empty(t, examinePrivacy(conf("pii")))
	require.Equal(t, faults{{key: "service.pipelines.metrics.exporters",
		text: `"debug" ` + strings.Replace(noPII, "%q", `"sli"`, 1)}}, examinePrivacy(conf("memory_limiter")))
}

func TestMetricsAreCountedOfRedactedEventsOnly(t *testing.T) {
	conf := func(processor string) *confmap.Conf {
		return confmap.NewFromStringMap(map[string]any{
			"service": map[string]any{"pipelines": map[string]any{
				"logs": map[string]any{"receivers": []any{"websocketlog"}, "processors": []any{processor},
					"exporters": []any{"websocketsli"}},
				"metrics": map[string]any{"receivers": []any{"websocketsli"}, "exporters": []any{"prometheus"}},
			}},
		})
	}
	require.Empty(t, examinePrivacy(conf("pii")))
	require.Equal(t, faults{{key: "service.pipelines.logs.exporters",
		text: `"websocketsli" ` + strings.Replace(noPII, "%q", `"websocketlog"`, 1)}}, examinePrivacy(conf("memory_limiter")))
}

func TestAnExporterGetsNoPasswordThatItWouldLog(t *testing.T) {
	path := writeConfig(t, `
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {pii: }
exporters:
  websocketclickhouse: {endpoint: "http://sockeye:secret@127.0.0.1:1/sockeye"}
  otlp_http: {endpoint: "http://127.0.0.1:1", headers: {authorization: "Bearer secret"}}
  otlp_http/bad:
    endpoint: http://sockeye:secret@127.0.0.1:1
service: {pipelines: {logs: {receivers: [otlp], processors: [pii], exporters: [websocketclickhouse, otlp_http, otlp_http/bad]}}}
`)
	_, errs, status := sockeye(t, "validate", "--config", path)
	require.NotZero(t, status)
	require.Equal(t, "sockeye: "+path+":8: exporters.otlp_http/bad.endpoint: must not hold a user or a password, which this exporter "+
		"writes into the log when it fails; use its headers or an authenticator\n", errs)
}

// TestThePageForAPrivacyOfficerSaysHowLong compares docs/pii.md with the defaults.
func TestThePageForAPrivacyOfficerSaysHowLong(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "pii.md"))
	require.NoError(t, err)
	retention := websocketclickhouseexporter.NewFactory().CreateDefaultConfig().(*websocketclickhouseexporter.Config).Retention
	keep := piiprocessor.NewFactory().CreateDefaultConfig().(*piiprocessor.Config).Pseudonyms.Keep
	const day = 24 * time.Hour
	for _, want := range []string{
		fmt.Sprintf("The %d days are `retention.events`", retention.Events/day),
		fmt.Sprintf("to count the different ones of an hour, %d days", retention.Rollup1m/day),
		fmt.Sprintf("sums over all connections | up to %d days", retention.Rollup15m/day),
		fmt.Sprintf("`pseudonyms.keep` (%d days)", keep/day),
	} {
		require.Contains(t, string(page), want)
	}
	require.NotRegexp(t, fmt.Sprintf("with the event, [^%d]", retention.Events/day), string(page))
}

func TestEveryProcessorOfThisBinaryIsJudged(t *testing.T) {
	factories, err := components()
	require.NoError(t, err)
	for typ := range factories.Processors {
		if typ.String() != redactor {
			require.Contains(t, cares, typ.String())
		}
	}
	require.Subset(t, names(factories.Receivers), eventReceivers)
	require.Contains(t, names(factories.Exporters), eventExporter)
	require.Contains(t, names(factories.Exporters), nothing)
	require.Contains(t, names(factories.Connectors), counter)
	require.Contains(t, names(factories.Processors), redactor)
}

func names[K interface {
	comparable
	String() string
}, V any](m map[K]V) []string {
	var list []string
	for k := range m {
		list = append(list, k.String())
	}
	return list
}
