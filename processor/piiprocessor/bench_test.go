package piiprocessor

import (
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// openEvent is what the nginx source makes of one line.
func openEvent(address, query string) event.Event {
	var e event.Event
	e.Name, e.Time = event.Open, noon
	e.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	for k, v := range map[event.Key]string{
		event.ConnectionID: "9f3c61d0a2b44e079f3c61d0a2b44e07", event.HandshakeKeyHash: "b81d0c7725f36a90b81d0c7725f36a90",
		event.Vantage: "edge", event.SourceVisibility: "at_close", event.SourceType: "nginx",
		event.SourceEvidence: "observed", event.NetworkProtocolName: "websocket", event.NetworkTransport: "tcp",
		event.HTTPVersion: "1.1", event.ServerAddress: "chat.example.com", event.ClientAddress: address,
		event.URLScheme: "wss", event.URLPath: "/rooms/42", event.URLQuery: query, event.HTTPRequestMethod: "GET",
		event.UserAgentOriginal: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/108.0.5131.84 Safari/537.36",
		event.Subprotocol:       "chat.v1",
	} {
		e.SetString(k, v)
	}
	e.SetInt(event.ServerPort, 443)
	e.SetInt(event.HTTPResponseStatusCode, 101)
	e.SetDouble(event.HandshakeDuration, 0.012)
	return e
}

// BenchmarkEvents is what one core does with the events of a proxy's log: clean ones, which were redacted before, and
// fresh ones with an address to truncate and to hash and a token in the query.
func BenchmarkEvents(b *testing.B) {
	for name, e := range map[string]event.Event{
		"clean": openEvent("203.0.113.0", "v=2&room=lobby"),
		"fresh": openEvent("203.0.113.77", "v=2&room=lobby&token=abcdef"),
	} {
		b.Run(name, func(b *testing.B) {
			events := make([]event.Event, 1000)
			size := 0
			for i := range events {
				events[i] = e
				size += len(e.AppendJSON(nil))
			}
			r := redactor()
			source := eventlog.Encode(events, eventlog.Chunk{ID: "c"})
			benchmark(b, r, source, size)
		})
	}
}

// benchmark redacts copies of source, whose text has size bytes. It reports processor time, not time on the clock,
// because machines that build are busy; copying is not counted.
func benchmark(b *testing.B, r *Redactor, source plog.Logs, size int) {
	b.ReportAllocs()
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		ld := plog.NewLogs()
		source.CopyTo(ld)
		b.StartTimer()
		before := processorTime(b)
		r.Logs(ld)
		spent += processorTime(b) - before
	}
	records := float64(b.N * source.LogRecordCount())
	b.ReportMetric(float64(b.N)*float64(size)/1e6/spent.Seconds(), "MB/cpu-s")
	b.ReportMetric(records/spent.Seconds(), "records/cpu-s")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkTraces and BenchmarkMetrics are what one core does with clean data: spans with an event and a link each, and
// metrics of one data point, every second one with an exemplar.
func BenchmarkTraces(b *testing.B) {
	r, td := redactor(), cleanTraces()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		r.Traces(td)
	}
	b.ReportMetric(float64(b.N*td.SpanCount())/(processorTime(b)-before).Seconds(), "spans/cpu-s")
}

func BenchmarkMetrics(b *testing.B) {
	r, md := redactor(), cleanMetrics()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		r.Metrics(md)
	}
	b.ReportMetric(float64(b.N*md.DataPointCount())/(processorTime(b)-before).Seconds(), "points/cpu-s")
}
