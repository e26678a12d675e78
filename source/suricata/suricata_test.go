package suricata_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/sourcetest"
	"github.com/sockeye-project/sockeye/source/suricata"
)

// Lines of one flow, without what Suricata writes and nobody reads.
const (
	prefix = `{"timestamp":"2026-11-22T07:00:00.500000+0000","flow_id":17,"src_ip":"203.0.113.7","src_port":34916,` +
		`"dest_ip":"10.0.0.1","dest_port":80,"proto":"TCP",`
	open101 = prefix + `"event_type":"http","tx_id":0,"http":{"hostname":"Chat.example.test","http_port":8080,` +
		`"url":"/rooms/42?token=a","http_user_agent":"check/1.0","http_method":"GET","protocol":"HTTP/1.1","status":101}}`
)

func withHTTP(members string) string {
	return prefix + `"event_type":"http","tx_id":3,"http":{"hostname":"chat.example.test","url":"/rooms/42",` + members + `}}`
}

func frame(members string) string {
	return prefix + `"event_type":"websocket","websocket":{` + members + `}}`
}

func flowEnd(app, state, toServer, toClient string) string {
	return prefix + `"event_type":"flow","app_proto":"` + app + `","app_proto_orig":"http","flow":{"end":"2026-11-22T07:00:00.400000+0000",` +
		`"state":"` + state + `","reason":"timeout"},"tcp":{"tcp_flags_ts":"` + toServer + `","tcp_flags_tc":"` + toClient + `"}}`
}

const (
	headersAsked   = `"request_headers":[{"name":"Upgrade","value":"WebSocket"},{"name":"Sec-WebSocket-Protocol","value":"chat.v1, chat.v0"}]`
	headersAnother = `"request_headers":[{"name":"Upgrade","value":"h2c"}]`
	answered       = `"response_headers":[{"name":"sec-websocket-protocol","value":"chat.v1"},{"name":"Sec-WebSocket-Extensions","value":"permessage-deflate"}]`
	fromClient     = `"mask":0,`
)

func TestWhatLinesProve(t *testing.T) {
	t.Parallel()
	rooms := []string{"/rooms/*"}
	for name, c := range map[string]struct {
		lines []string
		paths []string
		want  []string
	}{
		"101 is an open, inferred as no header says to what": {lines: []string{open101}, want: []string{
			"websocket.open http.response.status_code=101 server.address=chat.example.test server.port=8080 url.path=/rooms/42 " +
				"url.query=token=a client.address=203.0.113.7 client.port=34916 user_agent.original=check/1.0 " +
				"websocket.source.evidence=inferred websocket.source.visibility=at_open websocket.handshake.duration="}},
		"the custom field upgrade proves it": {lines: []string{withHTTP(`"status":101,"upgrade":"websocket"`)},
			want: []string{"websocket.open websocket.source.evidence=observed"}},
		"all headers prove it and say more": {lines: []string{withHTTP(`"status":101,` + headersAsked + `,` + answered)},
			want: []string{"websocket.open websocket.source.evidence=observed websocket.subprotocol=chat.v1 " +
				"websocket.client.subprotocols=chat.v1,chat.v0 websocket.extensions=permessage-deflate"}},
		"an upgrade to something else":            {lines: []string{withHTTP(`"status":101,` + headersAnother)}},
		"its custom field likewise":               {lines: []string{withHTTP(`"status":101,"upgrade":"h2c"`)}},
		"without headers any 403 may be anything": {lines: []string{withHTTP(`"status":403`)}},
		"with headers it is a rejection": {lines: []string{withHTTP(`"status":403,` + headersAsked)},
			want: []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=observed"}},
		"so it is where the path is known": {lines: []string{withHTTP(`"status":503`)}, paths: rooms,
			want: []string{"websocket.handshake.rejected error.type=upstream_unavailable websocket.source.evidence=inferred"}},
		"a POST there is none":                       {lines: []string{withHTTP(`"status":405,"http_method":"POST"`)}, paths: rooms},
		"but 426 tells of a request without Upgrade": {lines: []string{withHTTP(`"status":426`)}, paths: rooms},
		"no answer is a rejection of unknown fault": {lines: []string{withHTTP(headersAsked)},
			want: []string{"websocket.handshake.rejected error.type=_OTHER websocket.source.evidence=inferred http.response.status_code="}},

		"the mask gives the direction, not the addresses; what is not known yet is absent": {
			lines: []string{frame(fromClient + `"fin":true,"opcode":"text"`), frame(`"fin":true,"opcode":"binary"`)},
			want: []string{
				"websocket.message network.io.direction=receive websocket.message.type=text websocket.message.frames=1 client.address=",
				"websocket.message network.io.direction=transmit websocket.message.type=binary client.address= websocket.message.size="}},
		"after the handshake the client is known": {
			lines: []string{open101, frame(fromClient + `"fin":true,"opcode":"text"`)},
			want: []string{"websocket.open",
				"websocket.message client.address=203.0.113.7 url.path=/rooms/42 url.query= server.address=chat.example.test"}},
		"a message in three frames, with the other side between them": {
			lines: []string{frame(`"fin":false,"opcode":"binary"`), frame(fromClient + `"fin":true,"opcode":"text"`),
				frame(`"fin":false,"opcode":"continuation"`), frame(`"fin":true,"opcode":"continuation"`)},
			want: []string{"websocket.frame websocket.frame.opcode=binary websocket.frame.fin=false",
				"websocket.message websocket.message.type=text websocket.message.frames=1",
				"websocket.frame websocket.frame.opcode=continuation",
				"websocket.message websocket.message.type=binary websocket.message.frames=3 network.io.direction=transmit"}},
		"the end of a message whose beginning was not read has no type": {
			lines: []string{frame(`"fin":true,"opcode":"continuation"`)},
			want:  []string{"websocket.frame websocket.frame.opcode=continuation websocket.frame.fin=true websocket.frame.masked=false"}},
		"ping and pong": {
			lines: []string{frame(fromClient + `"fin":true,"opcode":"ping"`), frame(`"fin":true,"opcode":"pong"`)},
			want: []string{"websocket.ping network.io.direction=receive websocket.frame.opcode=ping websocket.ping.rtt=",
				"websocket.ping network.io.direction=transmit websocket.frame.opcode=pong websocket.ping.rtt="}},
		"a ping in fragments breaks the protocol": {lines: []string{frame(fromClient + `"fin":false,"opcode":"ping"`)},
			want: []string{"websocket.ping", "websocket.error error.type=fragmented_control network.io.direction=receive"}},
		"a reserved opcode": {lines: []string{frame(`"fin":true,"opcode":"unknown-11"`)},
			want: []string{"websocket.error error.type=reserved_opcode websocket.frame.opcode=reserved"}},
		"a Close frame is a frame, not yet the end": {lines: []string{frame(`"fin":true,"opcode":"close"`)},
			want: []string{"websocket.frame websocket.frame.opcode=close network.io.direction=transmit"}},

		"both Close frames and the end": {
			lines: []string{open101, frame(`"fin":true,"opcode":"close"`), frame(fromClient + `"fin":true,"opcode":"close"`),
				flowEnd("websocket", "closed", "1b", "1f")},
			want: []string{"websocket.open", "websocket.frame", "websocket.frame",
				"websocket.close websocket.close.clean=true websocket.close.initiator=server error.type= websocket.close.code= " +
					"websocket.io.messages_received=0 websocket.source.evidence=observed"}},
		"one Close frame and the end": {
			lines: []string{open101, frame(fromClient + `"fin":true,"opcode":"close"`), flowEnd("websocket", "closed", "1b", "1b")},
			want: []string{"websocket.open", "websocket.frame",
				"websocket.close websocket.close.clean=false websocket.close.initiator=client error.type="}},
		"a client that does not mask": {
			lines: []string{open101, frame(`"fin":true,"opcode":"close"`), frame(`"fin":true,"opcode":"close"`),
				flowEnd("websocket", "closed", "1b", "1b")},
			want: []string{"websocket.open", "websocket.frame", "websocket.frame",
				"websocket.close websocket.close.clean=true websocket.close.initiator=unknown"}},
		"a reset without a Close frame": {
			lines: []string{open101, flowEnd("websocket", "closed", "1b", "1e")},
			want: []string{"websocket.open", "websocket.close error.type=connection_reset websocket.close.initiator=server " +
				"websocket.close.clean=false websocket.source.evidence=inferred"}},
		"the end without a Close frame, and without any frame": {
			lines: []string{open101, flowEnd("failed", "closed", "1b", "1b")},
			want: []string{"websocket.open", "websocket.close error.type=connection_lost websocket.close.initiator=unknown " +
				"websocket.close.clean=false"}},
		"the end of a flow of which nothing was read": {
			lines: []string{flowEnd("websocket", "closed", "1b", "1b"), flowEnd("failed", "closed", "1b", "1b"),
				flowEnd("http", "closed", "1b", "1b")},
			want: []string{"websocket.close error.type= websocket.close.clean= websocket.io.messages_received= " +
				"websocket.connection.duration= client.address=203.0.113.7 websocket.source.evidence=observed"}},
		"a gap in the capture hides Close frames": {
			lines: []string{open101, prefix + `"event_type":"anomaly","anomaly":{"type":"stream","event":"stream.reassembly_seq_gap"}}`,
				flowEnd("websocket", "closed", "1b", "1b")},
			want: []string{"websocket.open", "websocket.close error.type= websocket.close.clean= websocket.io.messages_sent="}},
		"a frame before its handshake": {
			lines: []string{frame(fromClient + `"fin":true,"opcode":"close"`), open101, flowEnd("websocket", "closed", "1b", "1b")},
			want:  []string{"websocket.frame", "websocket.open", "websocket.close error.type= websocket.close.clean= websocket.io.messages_sent="}},
		"Suricata's own timeout": {
			lines: []string{open101, flowEnd("websocket", "established", "1a", "1a")},
			want:  []string{"websocket.open", "websocket.close error.type=capture_ended websocket.close.initiator=unknown websocket.close.clean="}},
		"TLS, alerts and anomalies prove nothing": {
			lines: []string{prefix + `"event_type":"tls","tls":{"sni":"chat.example.test"}}`, prefix + `"event_type":"alert","http":{"status":101}}`,
				prefix + `"event_type":"anomaly","anomaly":{"type":"applayer","event":"APPLAYER_UNEXPECTED_PROTOCOL"}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := suricata.New(sourcetest.Settings(), c.paths)
			var got []event.Event
			for _, line := range c.lines {
				got = append(got, sourcetest.Parse(t, p, line)...)
			}
			sourcetest.AssertEvents(t, c.want, got)
		})
	}
}

func TestARestartLosesNoEventAndKeepsTheID(t *testing.T) {
	t.Parallel()
	lines := sourcetest.ReadLines(t, filepath.Join("testdata", "eve.json"))
	whole := suricata.New(sourcetest.Settings(), nil)
	for i, line := range lines {
		want := sourcetest.Parse(t, whole, line)
		got := sourcetest.Parse(t, suricata.New(sourcetest.Settings(), nil), line)
		if len(want) == 1 && want[0].Name == event.Close && len(got) == 0 {
			// Without the line of the 101, a flow on which no frame was sent is like any other.
			require.Contains(t, line, `"app_proto":"failed"`)
			continue
		}
		require.Len(t, got, len(want), "line %d", i+1)
		for j := range got {
			require.Equal(t, want[j].String(event.ConnectionID), got[j].String(event.ConnectionID))
		}
	}
}

func TestAttemptsOfOneFlowAreToldApart(t *testing.T) {
	t.Parallel()
	p := suricata.New(sourcetest.Settings(), nil)
	first := sourcetest.Parse(t, p, withHTTP(`"status":401,`+headersAsked))
	second := sourcetest.Parse(t, p, strings.Replace(withHTTP(`"status":401,`+headersAsked), `"tx_id":3`, `"tx_id":4`, 1))
	require.Len(t, first, 2)
	require.NotEqual(t, first[0].String(event.ConnectionID), second[0].String(event.ConnectionID))
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":           {"11/22/2026-07:00:00.5 [**] x", "malformed json"},
		"no event type":      {`{"flow_id":1}`, "missing field: event_type"},
		"no flow":            {`{"event_type":"websocket"}`, "missing field: flow_id"},
		"no time":            {`{"event_type":"flow","flow_id":1}`, "bad time: timestamp"},
		"no opcode":          {frame(`"fin":true`), "missing field: websocket.opcode"},
		"an opcode of words": {frame(`"fin":true,"opcode":"secret"`), "bad value: websocket.opcode"},
		"no fin":             {frame(`"opcode":"text"`), "missing field: websocket.fin"},
		"a status of words":  {withHTTP(`"status":"x"`), "bad number: http.status"},
		"a port too great":   {strings.Replace(open101, "34916", "70000", 1), "bad number: src_port"},
		"no end":             {strings.Replace(flowEnd("websocket", "closed", "1b", "1b"), "T07:00:00.4", " ", 1), "bad time: flow.end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := suricata.New(sourcetest.Settings(), nil).Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
}

func newParser() source.Parser {
	return suricata.New(sourcetest.Settings(), []string{"/rooms/42"})
}

func TestBrokenLines(t *testing.T) {
	sourcetest.Garbage(t, newParser, open101, withHTTP(`"status":403,`+headersAsked+`,`+answered),
		frame(fromClient+`"fin":false,"opcode":"text"`), flowEnd("websocket", "closed", "1b", "1f"))
}

func FuzzParse(f *testing.F) {
	seeds := sourcetest.ReadLines(f, filepath.Join("testdata", "eve.json"))
	sourcetest.Fuzz(f, newParser, append(seeds, withHTTP(`"status":403,`+headersAsked+`,`+answered),
		frame(`"fin":false,"opcode":"unknown-3"`))...)
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, newParser(), sourcetest.ReadLines(b, filepath.Join("testdata", "eve.json")))
}

func TestALineCostsFewAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), sourcetest.ReadLines(t, filepath.Join("testdata", "eve.json")), 3)
}
