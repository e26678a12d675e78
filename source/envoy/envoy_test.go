package envoy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/envoy"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// text returns a line of the format with details.
func text(outcome, rest string) string {
	return `[2026-11-22T07:00:23.882Z] "GET /rooms/42?x=1 HTTP/1.1" ` + outcome + ` 61 105 1518 ` + rest +
		` "-" "drv/1.0 (study)" "e5248829-b318" "chat.example.test:8443" "10.0.0.1:8080"`
}

const (
	own = `[%START_TIME%] %REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% ` +
		`%DURATION% "%REQ(UPGRADE)%" %ACCESS_LOG_TYPE% %DOWNSTREAM_REMOTE_ADDRESS% %STREAM_ID%`
	jsonFormat = `
log_format:
  json_format:
    at: "%START_TIME(%s.%3f)%"
    code: "%RESPONSE_CODE%"
    why: {flags: "%RESPONSE_FLAGS_LONG%", details: "%RESPONSE_CODE_DETAILS%"}
    took: "%DURATION%"
    first: "%RESPONSE_DURATION%"
    up: "%REQ(upgrade)%"
    verb: "%REQ(:METHOD)%"
    p: "%REQ(:PROTOCOL)%"
    tls: "%DOWNSTREAM_TLS_VERSION%"
    note: "%PROTOCOL% and more"`
)

// line returns a line of own.
func line(at, verb, outcome, upgrade, kind string) string {
	return "[" + at + "] " + verb + " /a HTTP/2 " + outcome + ` 61 105 1518 "` + upgrade + `" ` + kind + " 203.0.113.7:5000 9f3c"
}

const at = "2026-11-22T07:00:23.882Z"

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		template, line string
		want           []string
	}{
		"101 is an open and a close": {"", text("101 - via_upstream", "12"),
			[]string{"websocket.open http.response.status_code=101 http.request.method=GET url.path=/rooms/42 url.query=x=1 " +
				"server.address=chat.example.test server.port=8443 user_agent.original=drv/1.0 (study) websocket.http.version=1.1 " +
				"websocket.handshake.duration=0.012 websocket.source.evidence=inferred client.address=",
				"websocket.close websocket.connection.duration=1.518 websocket.io.received=61 websocket.io.sent=105 " +
					"websocket.close.initiator=unknown error.type="}},
		"DC is a client that left, which is no reset": {"", text("101 DC downstream_remote_disconnect", "-"),
			[]string{"websocket.open websocket.handshake.duration=", "websocket.close websocket.close.initiator=client error.type="}},
		"SI is an idle timeout": {"", text("101 SI stream_idle_timeout", "-"),
			[]string{"websocket.open", "websocket.close websocket.close.initiator=proxy error.type=idle_timeout"}},
		"UC is an upstream that was lost": {"", text("101 UC upstream_reset_after_response_started{connection_termination}", "-"),
			[]string{"websocket.open", "websocket.close websocket.close.initiator=server error.type=upstream_lost"}},
		"details alone say it too": {"", text("101 - http2.remote_reset", "-"),
			[]string{"websocket.open", "websocket.close websocket.close.initiator=client error.type=connection_reset"}},
		"the default format, without details": {"", text("101 SI", "-"),
			[]string{"websocket.open url.path=/rooms/42", "websocket.close error.type=idle_timeout websocket.io.received=61 websocket.connection.duration=1.518"}},
		"Istio's": {"", `[` + at + `] "GET /a HTTP/1.1" 101 DC downstream_remote_disconnect - "-" 61 105 1518 - "-" "ua" "id" "h" "10.0.0.1:80" ` +
			`outbound|80||b 10.0.0.9:1 10.0.0.8:80 203.0.113.7:5000 - default`,
			[]string{"websocket.open client.address=203.0.113.7 client.port=5000 server.address=h",
				"websocket.close websocket.io.sent=105 websocket.close.initiator=client"}},
		"a rejection is like any request without the Upgrade header": {"", text("403 - via_upstream", "12"), nil},
		"JSON with usual keys": {"", `{"start_time":"` + at + `","method":"GET","path":"/a?x","protocol":"HTTP/1.1","response_code":101,` +
			`"response_flags":"UC","bytes_received":1,"bytes_sent":2,"duration":1518,"authority":"h","downstream_remote_address":"203.0.113.7:5"}`,
			[]string{"websocket.open client.port=5 url.query=x", "websocket.close error.type=upstream_lost websocket.io.sent=2"}},

		"a format of one's own": {own, line(at, "GET", "101 -", "websocket", "NotSet"),
			[]string{"websocket.open websocket.source.evidence=observed client.address=203.0.113.7 client.port=5000 websocket.http.version=2",
				"websocket.close websocket.connection.duration=1.518"}},
		"an upgrade to something else":     {own, line(at, "GET", "101 -", "h2c", "NotSet"), nil},
		"a request that asks for none":     {own, line(at, "GET", "200 -", "-", "NotSet"), nil},
		"403 is a rejection":               {own, line(at, "GET", "403 UAEX", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=forbidden websocket.handshake.duration=1.518"}},
		"UF is an upstream that is down":   {own, line(at, "GET", "503 UF,URX", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=upstream_unavailable"}},
		"UT is one that did not answer":    {own, line(at, "GET", "504 UT", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=upstream_timeout"}},
		"0 is a client that left":          {own, line(at, "GET", "0 DC", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=client_aborted http.response.status_code="}},
		"RL is Envoy's limit":              {own, line(at, "GET", "429 RL", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited websocket.source.evidence=observed"}},
		"429 is somebody's":                {own, line(at, "GET", "429 -", "websocket", "NotSet"), []string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited websocket.source.evidence=inferred"}},
		"a tunnel's beginning is the open": {own, line(at, "GET", "101 -", "websocket", "DownstreamTunnelSuccessfullyEstablished"), []string{"websocket.open websocket.source.visibility=at_open"}},
		"lines on the way say nothing new": {own, line(at, "GET", "101 -", "websocket", "DownstreamPeriodic"), nil},
		"nor do those of the upstream":     {own, line(at, "GET", "101 -", "websocket", "UpstreamPoolReady"), nil},

		"json_format with objects, seconds since 1970 and long flags": {jsonFormat,
			`{"at":"1795330823.882","code":101,"why":{"flags":"StreamIdleTimeout","details":"x"},"took":1518,"first":12,"up":"websocket","verb":"GET","p":null,"tls":"TLSv1.3"}`,
			[]string{"websocket.open websocket.handshake.duration=0.012 tls.protocol.version=1.3 url.scheme=wss", "websocket.close error.type=idle_timeout"}},
		"an extended CONNECT, answered with 200": {jsonFormat,
			`{"at":"1795330823.882","code":200,"took":1518,"up":null,"verb":"CONNECT","p":"websocket"}`,
			[]string{"websocket.open http.response.status_code=200 http.request.method=CONNECT", "websocket.close"}},
		"CONNECT to something else": {jsonFormat, `{"at":"1795330823.882","code":200,"took":1518,"up":null,"verb":"CONNECT","p":"connect-udp"}`, nil},
		"a time of one's own and another precision": {
			`%START_TIME(%Y/%m/%dT%H:%M:%S.%3f%z)% %RESPONSE_CODE% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %REQ(UPGRADE):9% 100%%`,
			`2026/11/22T08:00:23.882+0100 101 1518000 websocket 100%`,
			[]string{"websocket.open", "websocket.close websocket.connection.duration=1.518"}},
		"TLS failed": {"[%START_TIME%] %REQ(:METHOD)% %RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
			`[` + at + `] - 0 [2001:db8::1]:5 TLS_error:|33554536:system_library`,
			[]string{"websocket.handshake.rejected error.type=tls_failed client.address=2001:db8::1 websocket.source.evidence=inferred"}},
		"without a duration nobody knows when it closed": {"[%START_TIME%] %RESPONSE_CODE% %REQ(UPGRADE)%", `[` + at + `] 101 websocket`, []string{"websocket.open"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := envoy.New(sourcetest.Settings(), c.template, nil)
			require.NoError(t, err)
			events := sourcetest.Parse(t, p, c.line)
			sourcetest.AssertEvents(t, c.want, events)
			if len(events) > 0 {
				require.Equal(t, time.Date(2026, 11, 22, 7, 0, 23, 882_000_000, time.UTC), events[0].Time.Truncate(time.Millisecond).Add(shift(&events[0])))
			}
		})
	}
}

// shift is how far from the request's begin an event of the handshake is: a rejection is known at its end.
func shift(e *event.Event) time.Duration {
	if e.Name == event.Open || e.String(event.ErrorType) == event.TLSFailed {
		return 0
	}
	return -1518 * time.Millisecond
}

func TestPathsProveAttempts(t *testing.T) {
	t.Parallel()
	p, err := envoy.New(sourcetest.Settings(), "", []string{"/rooms/*"})
	require.NoError(t, err)
	sourcetest.AssertEvents(t, []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred"},
		sourcetest.Parse(t, p, text("403 - via_upstream", "12")))
	require.Empty(t, sourcetest.Parse(t, p, strings.Replace(text("403 - via_upstream", "12"), "/rooms", "/other", 1)))
}

func TestAnOpenIsToldOnce(t *testing.T) {
	t.Parallel()
	const established, end = "DownstreamTunnelSuccessfullyEstablished", "DownstreamEnd"
	newParser := func() source.Parser { return parserOf(own) }
	later := strings.Replace(at, ":23.", ":43.", 1)

	p := newParser()
	open := sourcetest.Parse(t, p, line(at, "GET", "101 -", "websocket", established))
	closing := sourcetest.Parse(t, p, line(at, "GET", "101 DC", "websocket", end))
	sourcetest.AssertEvents(t, []string{"websocket.open"}, open)
	sourcetest.AssertEvents(t, []string{"websocket.close websocket.close.initiator=client websocket.connection.duration=1.518"}, closing)
	require.Equal(t, open[0].String(event.ConnectionID), closing[0].String(event.ConnectionID))

	p = newParser()
	sourcetest.AssertEvents(t, []string{"websocket.close"}, sourcetest.Parse(t, p, line(at, "GET", "101 -", "websocket", end)))
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close"},
		sourcetest.Parse(t, p, line(later, "GET", "101 -", "websocket", end)))
	sourcetest.AssertEvents(t, []string{"websocket.handshake.rejected websocket.source.visibility=at_close"},
		sourcetest.Parse(t, p, line(later, "GET", "403 -", "websocket", end)))
}

// The expectations of the samples are in expected.md beside them.
func TestSamples(t *testing.T) {
	t.Parallel()
	p, err := envoy.New(sourcetest.Settings(), "", nil)
	require.NoError(t, err)
	for _, sample := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "vendor-samples", "envoy-text.log")) {
		events := sourcetest.Parse(t, p, sample)
		sourcetest.AssertEvents(t, []string{"websocket.open",
			"websocket.close websocket.close.initiator=client error.type= websocket.io.received=61 websocket.io.sent=105 " +
				"websocket.connection.duration=13.342 websocket.close.clean= websocket.close.code="}, events)
		require.Equal(t, time.Date(2024, 7, 21, 8, 32, 59, 547_000_000, time.UTC), events[0].Time)
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ template, line, want string }{
		"another format":         {"", "127.0.0.1 - - [22/Nov/2026]", "other format"},
		"a status that is none":  {own, line(at, "GET", "99 -", "websocket", "-"), "bad number: %RESPONSE_CODE%"},
		"a time that is none":    {own, line("2026-13-22T07:00:23Z", "GET", "101 -", "websocket", "-"), "bad time: %START_TIME%"},
		"no time":                {own, line("-", "GET", "101 -", "websocket", "-"), "missing field: %START_TIME%"},
		"a number out of bounds": {own, strings.Replace(line(at, "GET", "101 -", "websocket", "-"), " 61 ", " 99999999999999999999 ", 1), "bad number: %BYTES_RECEIVED%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parserOf(c.template).Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func TestFormatsThatCannotBeCompiled(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"%START_TIME":                      "column 1: the operator is not closed with %",
		"%START_TIME%":                     "add %RESPONSE_CODE%: without it no line says what became of a handshake",
		"%RESPONSE_CODE%":                  "add %START_TIME%: without a time no line can be used",
		"%START_TIME(%Q)% %RESPONSE_CODE%": "column 1: the format of START_TIME cannot be read; use %Y-%m-%dT%H:%M:%S.%3fZ or %s.%3f",
		"%RESPONSE_CODE%%START_TIME%":      "column 16: nothing stands between %RESPONSE_CODE% and %START_TIME%, so their values cannot be told apart; put a space or a quote there",
		`{"a":"b"}`:                        "json_format has no operator that says anything about a request",
	} {
		_, err := envoy.New(source.Settings{}, template, nil)
		require.EqualError(t, err, want, template)
	}
	p, err := envoy.New(source.Settings{}, "%START_TIME% %RESPONSE_CODE%", []string{"/ws"})
	require.NoError(t, err)
	require.Len(t, p.Advice(), 5)
}

func parserOf(template string) source.Parser {
	p, err := envoy.New(sourcetest.Settings(), template, nil)
	if err != nil {
		panic(err)
	}
	return p
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, func() source.Parser { return parserOf("") }, text("101 SI stream_idle_timeout", "-"), text("101 DC", "-"))
	sourcetest.Garbage(t, func() source.Parser { return parserOf(own) }, line(at, "GET", "403 -", "websocket", "NotSet"))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, func() source.Parser { return parserOf("") }, text("101 SI stream_idle_timeout", "-"), text("101 DC", "-"),
		`{"start_time":"`+at+`","response_code":101,"response_flags":"UC","bytes_sent":2,"duration":1518}`)
}

// FuzzFormat: no format may make New panic, and what it compiles must hold for any line.
func FuzzFormat(f *testing.F) {
	f.Add(own, []byte(line(at, "GET", "101 -", "websocket", "DownstreamEnd")))
	f.Add(jsonFormat, []byte(`{"at":"1795330823.882","code":200,"took":1518,"verb":"CONNECT","p":"websocket"}`))
	f.Fuzz(func(t *testing.T, template string, text []byte) {
		if p, err := envoy.New(sourcetest.Settings(), template, []string{"/a"}); err == nil {
			p.Advice()
			sourcetest.Try(t, p, text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.Run("text", func(b *testing.B) {
		sourcetest.Benchmark(b, parserOf(""), []string{text("101 SI stream_idle_timeout", "-"), text("101 DC x", "-"), text("200 - x", "3")})
	})
	b.Run("custom", func(b *testing.B) {
		sourcetest.Benchmark(b, parserOf(own), []string{line(at, "GET", "101 -", "websocket", "NotSet"),
			line(at, "GET", "101 SI", "websocket", "NotSet"), line(at, "GET", "403 -", "websocket", "NotSet")})
	})
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, parserOf(""), []string{text("101 SI stream_idle_timeout", "-"), text("200 - x", "3")}, 2)
}
