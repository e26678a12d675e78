package event

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const fullLine = `{"time":"2026-11-22T10:00:11.356Z","observed_time":"2026-11-22T11:00:11.4Z","event":"websocket.close","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","websocket.connection.id":"9f3c61d0a2b44e07","websocket.handshake.key_hash":"b81d0c7725f36a90","websocket.vantage":"edge","websocket.source.visibility":"at_close","websocket.source.type":"nginx","websocket.source.evidence":"observed","network.protocol.name":"websocket","network.transport":"tcp","websocket.http.version":"1.1","server.address":"chat.example.com","server.port":443,"client.address":"203.0.113.0","url.scheme":"wss","url.path":"/rooms/42","websocket.close.code":1000,"websocket.close.initiator":"client","websocket.close.clean":true,"websocket.connection.duration":3600.044,"websocket.io.received":4096,"websocket.io.sent":8192,"resource":{"service.instance.id":"edge-1","service.name":"chat"}}`

func TestDecodeReadsWhatAppendJSONWrites(t *testing.T) {
	t.Parallel()
	var d Decoder
	var e Event
	require.NoError(t, d.Decode([]byte(fullLine), &e))
	require.Equal(t, fullLine, string(e.AppendJSON(nil)))
	require.NoError(t, e.Validate())
}

func BenchmarkDecodeNDJSON(b *testing.B) {
	line := []byte(fullLine)
	var d Decoder
	var e Event
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := d.Decode(line, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendNDJSON(b *testing.B) {
	var d Decoder
	var e Event
	require.NoError(b, d.Decode([]byte(fullLine), &e))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}
