package websocketeventprocessor

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/processor/websocketeventprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/websocketeventprocessor/internal/metadatatest"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	connection = `{"msec":1795330811.356,"request_id":"a","status":101,"request_time":1.5,"http_upgrade":"websocket","request_uri":"/rooms/1"}`
	rejected   = `{"msec":1795330811.356,"request_id":"b","status":403,"request_time":0.5,"http_upgrade":"websocket","request_uri":"/rooms/1"}`
	page       = `{"msec":1795330811.356,"request_id":"c","status":200,"request_time":0.5,"http_upgrade":""}`
	broken     = `{"msec":`
)

type run struct {
	t         *testing.T
	telemetry *componenttest.Telemetry
	process   func(plog.Logs)
	sink      *consumertest.LogsSink
}

func start(t *testing.T, change func(*Config)) *run {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Format = format.Nginx
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	r := &run{t: t, telemetry: componenttest.NewTelemetry(), sink: &consumertest.LogsSink{}}
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	p, err := NewFactory().CreateLogs(t.Context(), set, cfg, r.sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context())))
		require.NoError(t, r.telemetry.Shutdown(context.WithoutCancel(t.Context())))
	})
	r.process = func(ld plog.Logs) { require.NoError(t, p.ConsumeLogs(t.Context(), ld)) }
	return r
}

// logs returns one resource with one record for each body.
func logs(service string, bodies ...string) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	if service != "" {
		rl.Resource().Attributes().PutStr("service.name", service)
	}
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("filelog")
	for _, body := range bodies {
		lr := sl.LogRecords().AppendEmpty()
		lr.Body().SetStr(body)
		lr.SetTimestamp(pcommon.NewTimestampFromTime(noon))
	}
	return ld
}

// got returns what came out, as "service scope name" for events and "service scope body" for other records.
func (r *run) got() (list []string) {
	r.t.Helper()
	for _, ld := range r.sink.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			service, _ := rl.Resource().Attributes().Get("service.name")
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					what := lr.EventName()
					if what == "" {
						what = lr.Body().Str()
					}
					list = append(list, fmt.Sprintf("%s %s %s", service.Str(), filepath.Base(sl.Scope().Name()), what))
				}
			}
		}
	}
	return list
}

func TestLinesInBodiesBecomeEvents(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) {
		c.Resource = map[string]string{"service.name": "edge", "deployment.environment.name": "production"}
	})
	r.process(logs("chat", connection, page, broken, rejected+"\r\n"))
	r.process(logs("", rejected))
	require.Equal(t, []string{"chat sockeye websocket.open", "chat sockeye websocket.close", "chat sockeye websocket.handshake.rejected",
		"edge sockeye websocket.handshake.rejected"}, r.got(), "the resource of the record wins")

	resource := r.sink.AllLogs()[0].ResourceLogs().At(0)
	environment, _ := resource.Resource().Attributes().Get("deployment.environment.name")
	require.Equal(t, "production", environment.Str())
	scope := resource.ScopeLogs().At(0).Scope()
	require.Equal(t, eventlog.Chunk{}, eventlog.ChunkOf(scope), "no chunk is given that did not come")
	lr := resource.ScopeLogs().At(0).LogRecords().At(0)
	require.Equal(t, pcommon.ValueTypeEmpty, lr.Body().Type(), "nothing but the event goes on")

	sum := func(n int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: n}} }
	metadatatest.AssertEqualProcessorWebsocketeventEvents(t, r.telemetry, sum(4), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorWebsocketeventSkippedRecords(t, r.telemetry, sum(1), metricdatatest.IgnoreTimestamp())
	m, err := r.telemetry.GetMetric("otelcol_processor_websocketevent_malformed_records")
	require.NoError(t, err)
	points := m.Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	reason, _ := points[0].Attributes.Value("reason")
	require.Equal(t, source.MalformedJSON, reason.AsString())
}

func TestOtherRecordsAreKeptIfAsked(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.OnError, c.OnOther = keep, keep })
	r.process(logs("chat", page, broken, rejected))
	require.Equal(t, []string{"chat filelog " + page, "chat filelog " + broken, "chat sockeye websocket.handshake.rejected"}, r.got())
}

func TestABatchOfWhichNothingIsLeftEndsHere(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.process(logs("chat", page, broken))
	require.Empty(t, r.sink.AllLogs())
}

func TestEventsPassUnchangedWithTheirChunk(t *testing.T) {
	t.Parallel()
	e := event.Event{Name: event.Open, Time: noon}
	e.SetString(event.ConnectionID, "c")
	ld := eventlog.Encode([]event.Event{e, e}, eventlog.Chunk{ID: "id:0-10"})
	want := plog.NewLogs()
	ld.CopyTo(want)
	// A record among them that is no event does not take the chunk with it.
	logs("chat", rejected).ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	r := start(t, nil)
	r.process(ld)
	got := r.sink.AllLogs()[0]
	require.Equal(t, 2, got.ResourceLogs().Len())
	require.Equal(t, want.ResourceLogs().At(0), got.ResourceLogs().At(0))
	require.Equal(t, eventlog.Chunk{ID: "id:0-10", Records: 2}, eventlog.ChunkOf(got.ResourceLogs().At(0).ScopeLogs().At(0).Scope()))
	require.Equal(t, eventlog.Chunk{}, eventlog.ChunkOf(got.ResourceLogs().At(1).ScopeLogs().At(0).Scope()))
}

func appMapping() *mapping.Config {
	return &mapping.Config{SourceType: "chat", Time: timeKey, Connection: []string{"conn.id"}, Resource: map[string]any{"service.instance.id": "node"},
		Events: []mapping.EventConfig{{When: map[string]any{"event": "closed"}, Name: "websocket.close",
			Attributes: map[string]any{"websocket.close.code": "code", "websocket.connection.duration": map[string]any{"field": "took", "unit": "ms"}}}}}
}

func TestMapsAreReadAsOneObject(t *testing.T) {
	t.Parallel()
	fill := func(m pcommon.Map) {
		m.PutStr("event", "closed")
		m.PutEmptyMap("conn").PutStr("id", "c-17")
		m.PutInt("code", 4401)
		m.PutDouble("took", 1500)
		m.PutStr("node", "n1")
		m.PutEmptyBytes("raw").FromRaw([]byte{0, 1})
	}
	ld := logs("chat", "")
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	fill(records.At(0).Attributes())
	records.At(0).SetTraceID([16]byte{1})
	records.At(0).SetSpanID([8]byte{2})
	for _, from := range []string{fromAttributes, fromBody} {
		r := start(t, func(c *Config) { c.Format, c.From, c.Mapping = format.MappingFormat, from, appMapping() })
		r.process(ld)
		rl := r.sink.AllLogs()[0].ResourceLogs().At(0)
		instance, _ := rl.Resource().Attributes().Get("service.instance.id")
		require.Equal(t, "n1", instance.Str(), "what the line says of the resource")
		lr := rl.ScopeLogs().At(0).LogRecords().At(0)
		var e event.Event
		require.NoError(t, eventlog.DecodeRecord(lr, nil, &e))
		require.NoError(t, e.Validate())
		require.Equal(t, noon, e.Time, "the record's own time")
		require.Equal(t, [16]byte{1}, e.TraceID)
		require.Equal(t, int64(4401), e.Get(event.CloseCode).Int())
		require.InDelta(t, 1.5, e.Get(event.ConnectionDuration).Double(), 0)
		require.Equal(t, 4, rl.ScopeLogs().At(0).LogRecords().Len()+3)

		// The same again as a body.
		ld = logs("chat", "")
		body := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		fill(body.Body().SetEmptyMap())
		body.SetTraceID([16]byte{1})
		body.SetSpanID([8]byte{2})
	}
}

// As Envoy's OTLP access logger writes what docs/sources/otlp.md configures: every value is a string.
func TestAttributesOfEnvoy(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.Format, c.From = format.Envoy, fromAttributes })
	ld := logs("chat", "", "")
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for i, status := range []string{"101", "503"} {
		for key, value := range map[string]string{
			"start_time": "2026-11-22T11:59:00.000Z", "method": "GET", "path": "/rooms/1?x=1", "response_code": status,
			"response_flags": "-", "duration": "1500", "upgrade": "websocket", "request_id": "r-" + status,
		} {
			records.At(i).Attributes().PutStr(key, value)
		}
	}
	r.process(ld)
	require.Equal(t, []string{"chat sockeye websocket.open", "chat sockeye websocket.close", "chat sockeye websocket.handshake.rejected"}, r.got())
}

func TestBodiesThatAreNoLines(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.OnError = keep })
	ld := logs("chat", "", "", "", rejected)
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	records.At(0).Body().SetInt(5)
	records.At(1).Body().SetEmptyMap().PutDouble("x", nan())
	pcommon.NewValueEmpty().CopyTo(records.At(2).Body())
	records.At(3).Body().SetEmptyBytes().FromRaw([]byte(rejected))
	r.process(ld)
	require.Len(t, r.got(), 4)
	require.Contains(t, r.got(), "chat sockeye websocket.handshake.rejected")
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func TestALineWithoutATimeHasTheRecords(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.Format = format.SocketIO })
	r.process(logs("chat", `{"msg":"connection","id":"A","transport":"websocket"}`))
	require.Equal(t, pcommon.NewTimestampFromTime(noon), r.sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Timestamp())
}

// Two hosts' sensors may use one flow_id; what is remembered of one is not the other's.
func TestEachResourceHasAParser(t *testing.T) {
	t.Parallel()
	const (
		opened = `{"timestamp":"2026-11-22T12:00:00.000000+0000","flow_id":1,"event_type":"http","src_ip":"203.0.113.7","src_port":1,"http":{"url":"/","status":101}}`
		text   = `{"timestamp":"2026-11-22T12:00:01.000000+0000","flow_id":1,"event_type":"websocket","websocket":{"fin":true,"opcode":"text"}}`
	)
	r := start(t, func(c *Config) { c.Format = format.Suricata })
	r.process(logs("a", opened))
	r.process(logs("b", text))
	r.process(logs("a", text))
	client := func(i int) string {
		v, _ := r.sink.AllLogs()[i].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("client.address")
		return v.Str()
	}
	require.Equal(t, "203.0.113.7", client(0))
	require.NotEqual(t, "203.0.113.7", client(1))
	require.Equal(t, "203.0.113.7", client(2))
}

func TestTimesOfTheFutureAreThoseOfTheReceipt(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.process(logs("chat", strings.Replace(rejected, "1795330811", "4000000000", 1)))
	lr := r.sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	require.WithinDuration(t, time.Now(), lr.Timestamp().AsTime(), time.Minute)
}

func TestConcurrentSendersOfManyResources(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				r.process(logs(fmt.Sprintf("service-%d", (i+j)%(3*maxParsers)), connection, rejected))
			}
		})
	}
	group.Wait()
	require.Len(t, r.got(), 8*50*3)
}

func TestTheKeyMakesIDsThatLast(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	ids := map[string]bool{}
	for range 2 {
		r := start(t, func(c *Config) { c.KeyFile = key })
		r.process(logs("chat", rejected))
		id, _ := r.sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("websocket.connection.id")
		ids[id.Str()] = true
	}
	require.Len(t, ids, 1)
	require.FileExists(t, key)
}

func FuzzProcess(f *testing.F) {
	for _, line := range []string{connection, rejected, page, broken} {
		f.Add(line, "chat")
	}
	f.Fuzz(func(t *testing.T, body, service string) {
		cfg := createDefaultConfig().(*Config)
		cfg.Format = format.Nginx
		p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
		require.NoError(t, err)
		require.NoError(t, p.start(t.Context(), nil))
		_, _ = p.processLogs(t.Context(), logs(service, body, body))
	})
}

func BenchmarkProcess(b *testing.B) {
	cfg := createDefaultConfig().(*Config)
	cfg.Format = format.Nginx
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(b, err)
	require.NoError(b, p.start(b.Context(), nil))
	bodies := make([]string, 1000)
	for i := range bodies {
		bodies[i] = connection
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := p.processLogs(b.Context(), logs("chat", bodies...))
		require.NoError(b, err)
	}
}
