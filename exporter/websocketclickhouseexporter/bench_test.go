package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

const benchmarkChunk = 50_000

// nginxChunk is what the nginx source makes of a busy edge: 19 attributes a record.
func nginxChunk(id string) plog.Logs {
	resource := event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("chat")},
		event.Named{Name: event.ServiceInstanceID, Value: event.String("edge-1")},
		event.Named{Name: event.Environment, Value: event.String("prod")},
	)
	list := make([]event.Event, benchmarkChunk)
	for i := range list {
		e := &list[i]
		e.Name, e.Resource = event.Open, resource
		e.Observed = now.Add(-time.Duration(i) * time.Millisecond)
		e.Time = e.Observed.Add(-time.Minute)
		e.SetString(event.ConnectionID, fmt.Sprintf("%016x", i*2654435761))
		e.SetString(event.Vantage, event.VantageEdge)
		e.SetString(event.SourceVisibility, event.VisibilityAtClose)
		e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
		e.SetString(event.SourceType, "nginx")
		e.SetString(event.SourceEvidence, event.EvidenceObserved)
		e.SetString(event.HTTPVersion, "1.1")
		e.SetString(event.ServerAddress, "chat.example.com")
		e.SetInt(event.ServerPort, 443)
		e.SetString(event.ClientAddress, "203.0."+strconv.Itoa(i%256)+".0")
		e.SetString(event.ClientHash, "p1:k1:"+strconv.Itoa(i%9999))
		e.SetString(event.URLScheme, "wss")
		e.SetString(event.URLPath, "/rooms/"+strconv.Itoa(i%500))
		e.SetString(event.TLSProtocolVersion, "1.3")
		e.SetString(event.TenantID, "t"+strconv.Itoa(i%20))
		e.SetString(event.HTTPRequestMethod, "GET")
		e.SetString(event.UserAgentOriginal, "Mozilla/5.0 (X11; Linux x86_64)")
		e.SetInt(event.HTTPResponseStatusCode, 101)
		e.SetDouble(event.HandshakeDuration, float64(i%300)/1000)
	}
	return eventlog.Encode(list, eventlog.Chunk{ID: id})
}

// BenchmarkDecode turns log records into columns: what the exporter does before it sends.
func BenchmarkDecode(b *testing.B) {
	ld := nginxChunk("a")
	buffer := new(batch)
	buffer.read(eventlog.Groups(ld)[0], nil)
	b.ReportAllocs()
	cpu := processCPU(b)
	b.ResetTimer()
	for range b.N {
		buffer.reset()
		buffer.read(eventlog.Groups(ld)[0], nil)
	}
	b.ReportMetric(float64((processCPU(b)-cpu).Nanoseconds())/1000/float64(b.N*benchmarkChunk), "CPU-µs/event")
}

// BenchmarkExport stores chunks of log records in the real engine. The CPU figure is the collector's share: decoding,
// encoding, the driver and sending.
func BenchmarkExport(b *testing.B) {
	b.Cleanup(embeddedtest.StopShared)
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = embeddedtest.Database(b)
	e, err := NewFactory().CreateLogs(b.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
	require.NoError(b, err)
	require.NoError(b, e.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, e.Shutdown(context.Background())) })
	ld := nginxChunk("grows the memory that the others reuse")
	require.NoError(b, e.ConsumeLogs(b.Context(), ld))
	scope := ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope().Attributes()
	b.ReportAllocs()
	cpu := processCPU(b)
	b.ResetTimer()
	for i := range b.N {
		scope.PutStr(eventlog.ChunkIDKey, strconv.Itoa(i))
		require.NoError(b, e.ConsumeLogs(b.Context(), ld))
	}
	b.StopTimer()
	stored := float64(b.N * benchmarkChunk)
	b.ReportMetric(float64((processCPU(b)-cpu).Microseconds())/stored, "CPU-µs/event")
	b.ReportMetric(stored/b.Elapsed().Seconds(), "events/s")
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
