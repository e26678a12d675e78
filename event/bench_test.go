package event

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// closeLine is a usual line: an nginx connection that ended.
const closeLine = `{"time":"2026-11-22T10:00:11.356Z","observed_time":"2026-11-22T11:00:11.4Z","event":"websocket.close",` +
	`"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","websocket.connection.id":"9f3c61d0a2b44e07",` +
	`"websocket.handshake.key_hash":"b81d0c7725f36a90","websocket.vantage":"edge","websocket.source.visibility":"at_close",` +
	`"websocket.source.type":"nginx","websocket.source.evidence":"observed","network.protocol.name":"websocket",` +
	`"network.transport":"tcp","websocket.http.version":"1.1","server.address":"chat.example.com","server.port":443,` +
	`"client.address":"203.0.113.0","url.scheme":"wss","url.path":"/rooms/42","websocket.close.code":1000,` +
	`"websocket.close.initiator":"client","websocket.close.clean":true,"websocket.connection.duration":3600.044,` +
	`"websocket.io.received":4096,"websocket.io.sent":8192,"resource":{"service.instance.id":"edge-1","service.name":"chat"}}`

func BenchmarkDecodeNDJSON(b *testing.B) {
	line := []byte(closeLine)
	var d Decoder
	var e Event
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := d.Decode(line, &e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEncodeNDJSON(b *testing.B) {
	var d Decoder
	var e Event
	require.NoError(b, d.Decode([]byte(closeLine), &e))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkFacts(b *testing.B) {
	var d Decoder
	var e Event
	require.NoError(b, d.Decode([]byte(closeLine), &e))
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Facts()
	}
}

// TestDecodingAllocatesOnce: push is a hot path.
func TestDecodingAllocatesOnce(t *testing.T) {
	line := []byte(closeLine)
	var d Decoder
	var e Event
	require.NoError(t, d.Decode(line, &e))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = d.Decode(line, &e) }), 1.0)
	dst := e.AppendJSON(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = e.AppendJSON(dst[:0]) }))
}
