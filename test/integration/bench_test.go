package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// clockTicks is USER_HZ, the unit of the times in /proc/PID/stat; it is 100 on every Linux that Go runs on.
const clockTicks = 100

// cpu is the processor time that the program has used.
func (p *program) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks
}

// BenchmarkFileToRow measures the whole way from lines in a file to rows that a query sees, the generator excluded: the
// processor time of the collector and of the engine for each event, and how many events pass in a second. In "everything" the SLO engine,
// its status page and the connector's metrics run in the same collector.
func BenchmarkFileToRow(b *testing.B) {
	b.Run("pipeline", func(b *testing.B) { fileToRow(b, func(config string) string { return config }) })
	b.Run("everything", func(b *testing.B) { fileToRow(b, func(config string) string { return everything(b, config) }) })
}

// everything adds to pipelineConfig what else a collector on one machine has: the SLO engine with its status page, and metrics.
func everything(t testing.TB, config string) string {
	t.Helper()
	endpoint := regexp.MustCompile(`websocketclickhouse:\n    endpoint: (.*)\n`).FindStringSubmatch(config)
	require.NotNil(t, endpoint)
	for _, change := range [][2]string{
		{"extensions:\n", "extensions:\n  slo:\n    endpoint: " + endpoint[1] + "\n    http: {endpoint: " + testenv.Address(t) + "}\n" +
			"    defaults: {services: [chat], vantage: edge, auth_vantage: app}\n    alerting: {owner: none}\n"},
		{"processors:\n", "connectors:\n  websocketsli: {storage: file_storage}\nprocessors:\n"},
		{"exporters:\n", "exporters:\n  prometheus: {endpoint: " + testenv.Address(t) + "}\n"},
		{"extensions: [file_storage", "extensions: [slo, file_storage"},
		{"exporters: [websocketclickhouse]\n", "exporters: [websocketclickhouse, websocketsli]\n" +
			"    metrics: {receivers: [websocketsli], exporters: [prometheus]}\n"},
	} {
		require.Contains(t, config, change[0])
		config = strings.Replace(config, change[0], change[1], 1)
	}
	return config
}

func fileToRow(b *testing.B, with func(config string) string) {
	const lines = 250_000
	for b.Loop() {
		engine := startClickHouse(b)
		dir := b.TempDir()
		logPath := filepath.Join(dir, "access.log")
		var text strings.Builder
		for i := range lines {
			text.WriteString(accessLine(i, time.Now()))
		}
		config := filepath.Join(dir, "collector.yaml")
		require.NoError(b, os.WriteFile(config, []byte(with(fmt.Sprintf(pipelineConfig, dir, logPath, engine.dsn()))), 0o600))
		collector := start(b, nil, binary(b), "--config", config)
		eventually(b, 60*time.Second, "the tables", func() (bool, string) {
			return number(engine.addr, "SELECT count() FROM source_progress") > 0, collector.out.String()
		})
		collectorBefore, engineBefore, began := collector.cpu(), engine.cpu(), time.Now()
		require.NoError(b, os.WriteFile(logPath, []byte(text.String()), 0o600))
		peak, n := int64(0), int64(0)
		// The engine pays for the question too, so it is asked once a second.
		var asked time.Time
		eventually(b, 5*time.Minute, "every event stored", func() (bool, string) {
			peak = max(peak, collector.residentBytes())
			if time.Since(asked) > time.Second {
				asked, n = time.Now(), number(engine.addr, "SELECT sum(count) FROM rollup_15m")
			}
			return n == 2*lines, strconv.FormatInt(n, 10)
		})
		wall := time.Since(began)
		perEvent := func(d time.Duration) float64 { return float64(d.Microseconds()) / (2 * lines) }
		b.ReportMetric(perEvent(collector.cpu()-collectorBefore), "collector-cpu-µs/event")
		b.ReportMetric(perEvent(engine.cpu()-engineBefore), "engine-cpu-µs/event")
		b.ReportMetric(2*lines/wall.Seconds(), "events/s")
		b.ReportMetric(float64(peak>>20), "collector-MiB")
		collector.stop()
		engine.stop()
	}
}

// BenchmarkBatchBetweenAgentAndGateway measures what it costs that a batch processor cuts chunks anew: the exporter then
// stores each piece under the hash of its content, as an INSERT of its own. By default batch only joins chunks.
func BenchmarkBatchBetweenAgentAndGateway(b *testing.B) {
	const lines = 100_000
	for name, batch := range map[string]string{
		"none": "", "default": "{}", "of1000": "{send_batch_size: 1000, send_batch_max_size: 1000}",
	} {
		b.Run(name, func(b *testing.B) {
			processors := "pii, batch"
			if batch == "" {
				processors = "pii"
			}
			for b.Loop() {
				engine := startClickHouse(b)
				addr := testenv.Address(b)
				gateway := start(b, nil, binary(b), "--config", configFile(b, fmt.Sprintf(gatewayConfig, addr, engine.dsn())))
				gateway.listening(addr)
				text := fmt.Sprintf(agentConfig, b.TempDir(), written(b, lines), otlpExporter("a", addr), processors, "otlp_grpc/a")
				text = strings.Replace(text, "{send_batch_size: 700, send_batch_max_size: 900, timeout: 200ms}", batch, 1)
				agent := start(b, nil, binary(b), "--config", configFile(b, text))
				eventually(b, 5*time.Minute, "every event stored", func() (bool, string) {
					n := number(engine.addr, "SELECT sum(count) FROM rollup_15m")
					return n == 2*lines, strconv.FormatInt(n, 10)
				})
				perEvent := func(p *program) float64 { return float64(p.cpu().Microseconds()) / (2 * lines) }
				b.ReportMetric(perEvent(agent), "agent-cpu-µs/event")
				b.ReportMetric(perEvent(gateway), "gateway-cpu-µs/event")
				b.ReportMetric(perEvent(engine.program), "engine-cpu-µs/event")
				b.ReportMetric(float64(number(engine.addr, "SELECT count() FROM chunks")), "inserts")
				for _, p := range []*program{agent, gateway, engine.program} {
					p.stop()
				}
			}
		})
	}
}
