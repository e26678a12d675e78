package caddy_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/caddy"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// line returns an access line: request and response are members of their headers, rest are members of the line, of which
// the last of a name wins.
func line(status, request, response string, rest ...string) string {
	return `{"level":"info","ts":1795332493.356,"logger":"http.log.access.log0","msg":"handled request",` +
		`"request":{"remote_ip":"203.0.113.7","remote_port":"37298","client_ip":"203.0.113.7","proto":"HTTP/1.1",` +
		`"method":"GET","host":"chat.example.test:8443","uri":"/rooms/42?x=1","headers":{` + request + `}},` +
		`"bytes_read":72,"user_id":"","duration":1.518,"size":60,"status":` + status +
		`,"resp_headers":{` + response + `}` + strings.Join(append([]string{""}, rest...), ",") + `}`
}

const (
	asks    = `"User-Agent":["drv/1.0"],"Upgrade":["websocket"],"Sec-Websocket-Key":["dGhlIHNhbXBsZSBub25jZQ=="]`
	answers = `"Server":["Caddy"],"Upgrade":["websocket"]`
)

func newParser() source.Parser {
	p, err := caddy.New(sourcetest.Settings(), "")
	if err != nil {
		panic(err)
	}
	return p
}

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"101 is an open and a close, with the bytes of frames": {line("101", asks, answers),
			[]string{"websocket.open http.response.status_code=101 http.request.method=GET url.path=/rooms/42 url.query=x=1 " +
				"server.address=chat.example.test server.port=8443 client.address=203.0.113.7 client.port=37298 " +
				"websocket.http.version=1.1 user_agent.original=drv/1.0 url.scheme= websocket.source.evidence=observed",
				"websocket.close websocket.connection.duration=1.518 websocket.io.sent=60 websocket.io.received=72 " +
					"websocket.close.initiator=unknown error.type="}},
		"101 with nothing counted leaves the bytes unknown": {line("101", asks, answers, `"size":0`, `"bytes_read":0`),
			[]string{"websocket.open", "websocket.close websocket.io.sent= websocket.io.received="}},
		"before 2.11 the response's Upgrade is the proof, and bytes are unknown": {
			line("0", asks, answers, `"size":0`, `"bytes_read":0`),
			[]string{"websocket.open http.response.status_code=101 websocket.source.evidence=observed",
				"websocket.close websocket.io.sent= websocket.io.received="}},
		"status 0 without it is a client that left": {line("0", asks, `"Server":["Caddy"]`),
			[]string{"websocket.handshake.rejected http.response.status_code= error.type=client_aborted websocket.handshake.duration=1.518"}},
		"status 0 is either where response headers are not logged": {
			strings.Replace(line("0", asks, ""), "resp_headers", "x", 1), nil},
		"101 is proof enough where no headers are logged": {
			strings.Replace(strings.Replace(line("101", asks, ""), "resp_headers", "x", 1), `"headers"`, `"y"`, 1),
			[]string{"websocket.open websocket.source.evidence=inferred", "websocket.close"}},
		"a rejection is none where no headers are logged": {strings.Replace(line("403", asks, ""), `"headers"`, `"y"`, 1), nil},
		"401 is a failure of authentication":              {line("401", asks, ""), []string{"websocket.handshake.rejected error.type=unauthenticated", "websocket.auth websocket.auth.result=failure"}},
		"429 was limited":                                 {line("429", asks, ""), []string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"502 is the upstream's":                           {line("502", asks, ""), []string{"websocket.handshake.rejected error.type=upstream_unavailable"}},
		"another upgrade":                                 {line("101", `"Upgrade":["h2c"]`, `"Upgrade":["h2c"]`), nil},
		"a request that asks for nothing":                 {line("200", `"User-Agent":["x"]`, ""), nil},
		"Upgrade is a list of tokens in any case, in any number of headers": {line("403", `"Upgrade":["h2c, x","a/1, WebSocket/13"]`, ""),
			[]string{"websocket.handshake.rejected"}},
		"HTTP/2: an extended CONNECT, answered with 200": {
			line("200", `":protocol":["websocket"]`, "", `"request.method":"CONNECT"`, `"request.proto":"HTTP/2.0"`),
			[]string{"websocket.open http.response.status_code=200 http.request.method=CONNECT websocket.http.version=2", "websocket.close"}},
		"HTTP/2: one that is refused": {
			line("403", `":protocol":["websocket"]`, "", `"request.method":"CONNECT"`),
			[]string{"websocket.handshake.rejected http.response.status_code=403"}},
		"CONNECT to something else": {line("200", `"x":["y"]`, "", `"request.method":"CONNECT"`), nil},
		"an error's line of the same request is not counted again": {
			line("502", asks, "", `"logger":"http.log.error.log0"`, `"msg":"dial tcp"`, `"err_id":"a"`), nil},
		"nor is one whose logger was renamed": {line("502", asks, "", `"err_id":"a"`), nil},
		"a proxy's own message":               {line("101", asks, answers, `"logger":"http.handlers.reverse_proxy"`), nil},
		"behind a trusted proxy the client's port is unknown": {line("403", asks, "", `"request.client_ip":"198.51.100.9"`),
			[]string{"websocket.handshake.rejected client.address=198.51.100.9 client.port="}},
		"one text for address and port, as Caddy once wrote them": {
			line("403", asks, "", `"request.remote_ip":""`, `"request.client_ip":""`, `"request.remote_port":""`, `"request.remote_addr":"[2001:db8::1]:5000"`),
			[]string{"websocket.handshake.rejected client.address=2001:db8::1 client.port=5000"}},
		"TLS by its number": {line("403", asks, "", `"request.tls.version":772`),
			[]string{"websocket.handshake.rejected url.scheme=wss tls.protocol.version=1.3"}},
		"subprotocols and extensions, by either spelling": {
			line("101", asks+`,"Sec-Websocket-Protocol":["chat.v1","chat.v0, chat.old"]`,
				answers+`,"Sec-WebSocket-Protocol":["chat.v1"],"Sec-Websocket-Extensions":["permessage-deflate"]`),
			[]string{"websocket.open websocket.subprotocol=chat.v1 websocket.client.subprotocols=chat.v1,chat.v0,chat.old websocket.extensions=permessage-deflate",
				"websocket.close websocket.subprotocol=chat.v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourcetest.AssertEvents(t, c.want, sourcetest.Parse(t, newParser(), c.line))
		})
	}
}

func TestTimesAndDurationsInEveryFormOfCaddy(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 11, 22, 7, 28, 13, 356_000_000, time.UTC)
	berlin := time.FixedZone("", 3600)
	for name, c := range map[string]struct {
		encoder, ts, duration string
		zone                  *time.Location
		exact                 time.Duration
	}{
		"seconds and seconds":       {ts: `1795332493.356`, duration: `1.518`},
		"milliseconds and nano":     {ts: `1795332493356.0`, duration: `1518000000`},
		"nanoseconds and a text":    {ts: `1795332493356000000`, duration: `"1.518s"`},
		"iso8601":                   {ts: `"2026-11-22T07:28:13.356Z"`, duration: `"1518ms"`},
		"iso8601 with a zone":       {ts: `"2026-11-22T08:28:13.356+0100"`, duration: `1.518`},
		"rfc3339":                   {ts: `"2026-11-22T08:28:13+01:00"`, duration: `1.518`, exact: time.Second},
		"rfc3339_nano":              {ts: `"2026-11-22T08:28:13.356000000+01:00"`, duration: `1.518`},
		"wall":                      {ts: `"2026/11/22 07:28:13"`, duration: `1.518`, exact: time.Second},
		"wall_milli in local time":  {ts: `"2026/11/22 08:28:13.356"`, duration: `1.518`, zone: berlin},
		"wall_nano":                 {ts: `"2026/11/22 07:28:13.356000000"`, duration: `1.518`},
		"common_log":                {ts: `"22/Nov/2026:08:28:13 +0100"`, duration: `1.518`, exact: time.Second},
		"milliseconds as durations": {encoder: "duration_format ms", ts: `1795332493.356`, duration: `1518`},
		"a layout and a key of one's own": {
			encoder: "{\n\ttime_key when\n\ttime_format \"Jan _2 2006 15:04:05.000\"\n\tname_key who\n}",
			ts:      `"","when":"Nov 22 2026 07:28:13.356"`, duration: `1.518`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourcetest.Settings()
			s.Zone = c.zone
			p, err := caddy.New(s, c.encoder)
			require.NoError(t, err)
			at := written
			if c.exact > 0 {
				at = written.Truncate(c.exact)
			}
			for range 2 {
				events := sourcetest.Parse(t, p, line("101", asks, answers, `"ts":`+c.ts, `"duration":`+c.duration))
				require.Equal(t, at.Add(-1518*time.Millisecond), events[0].Time)
				require.Equal(t, at, events[0].Observed)
				require.Equal(t, at, events[1].Time)
				require.InDelta(t, 1.518, events[1].Get(event.ConnectionDuration).Double(), 1e-9)
			}
		})
	}
	_, err := caddy.New(source.Settings{}, "duration_format fortnights")
	require.EqualError(t, err, `duration_format "fortnights": want seconds, ms, nano or string`)
}

func TestConnectionIDsTellConnectionsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, rest := range []string{`"a":1`, `"ts":1795332493.357`, `"request.remote_port":"1"`, `"request.remote_ip":"198.51.100.1"`, `"request.uri":"/b"`} {
		events := sourcetest.Parse(t, newParser(), line("101", asks, answers, rest))
		id := events[0].String(event.ConnectionID)
		require.Equal(t, id, events[1].String(event.ConnectionID))
		require.False(t, seen[id], rest)
		seen[id] = true
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":                    {"2026/11/22 07:28:13 INFO", "malformed json"},
		"no status":                   {`{"msg":"handled request"}`, "missing field: status"},
		"a status out of range":       {line("1010", asks, ""), "bad number: status"},
		"no time":                     {line("101", asks, "", `"ts":""`), "missing field: ts"},
		"a time that is none":         {line("101", asks, "", `"ts":"soon"`), "bad time: ts"},
		"a time out of range":         {line("101", asks, "", `"ts":1`), "bad time: ts"},
		"a duration that is none":     {line("101", asks, "", `"duration":"long"`), "bad number: duration"},
		"a duration that is negative": {line("101", asks, "", `"duration":"-1s"`), "bad number: duration"},
		"a port that is none":         {line("101", asks, "", `"request.remote_port":"x"`), "bad number: request.remote_port"},
		"a size that is none":         {line("101", asks, "", `"size":"99999999999999999"`), "bad number: size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newParser().Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func TestCorpusYieldsWhatItsLinesProveAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"caddy", "caddy-new"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			log := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, "access.json.log"))
			expected := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, "access.json.expected.jsonl"))
			sourcetest.Expect(t, newParser(), log, expected,
				func(line string, expect []map[string]any) {
					// The expectations know the subprotocol only as Caddy 2.6 spells the header. The line of Caddy
					// 2.11 proves it all the same.
					_, value, found := strings.Cut(line, `"Sec-WebSocket-Protocol":["`)
					value, _, _ = strings.Cut(value, `"`)
					for _, e := range expect {
						if _, judged := e["websocket.subprotocol"]; judged && found {
							e["websocket.subprotocol"] = value
						}
					}
				},
				func(t *testing.T, e *event.Event) {
					t.Helper()
					for _, k := range []event.Key{event.CloseCode, event.CloseClean, event.CloseReason, event.URLScheme} {
						require.False(t, e.Has(k), "%s", k)
					}
					if folder == "caddy" {
						require.False(t, e.Has(event.IOSent))
					}
					if e.Name == event.Close {
						require.Equal(t, event.InitiatorUnknown, e.String(event.CloseInitiator))
					}
				})
		})
	}
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, newParser, line("101", asks, answers), line("403", asks, ""))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, append(
		sourcetest.ReadLines(f, filepath.Join("testdata", "access.json.log")),
		line("101", asks, answers, `"ts":"2026/11/22 07:28:13.356"`, `"duration":"1m2.5s"`),
		line("0", asks, answers, `"request.tls.version":771`))...)
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, newParser(), sourcetest.ReadLines(b, filepath.Join("testdata", "access.json.log")))
}

func TestALineCostsThreeAllocations(t *testing.T) {
	// Its texts, the connection's id and the hash of the handshake's key, which Caddy always logs.
	sourcetest.AssertAllocations(t, newParser(), []string{line("101", asks, answers), line("403", asks, "")}, 3)
}
