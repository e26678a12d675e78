package traefik_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/sourcetest"
	"github.com/sockeye-project/sockeye/source/traefik"
)

// line returns a line with that status and further members, of which the last of a name wins.
func line(status string, rest ...string) string {
	return `{"ClientAddr":"203.0.113.7:3808","ClientHost":"198.51.100.1, 203.0.113.7","ClientPort":"3808","ClientUsername":"-",` +
		`"DownstreamContentSize":0,"DownstreamStatus":` + status + `,"Duration":1518000000,"OriginStatus":0,"RequestAddr":"chat.example.test:8443",` +
		`"RequestCount":6508019,"RequestHost":"chat.example.test","RequestMethod":"GET","RequestPath":"/rooms/42?x=1","RequestPort":"-",` +
		`"RequestProtocol":"HTTP/1.1","RequestScheme":"https","StartUTC":"2026-11-22T07:00:23.882Z","TLSVersion":"1.3","entryPointName":"web",` +
		strings.Join(append(rest, `"time":"2026-11-22T07:00:25Z"`), ",") + `}`
}

func common(path, status string) string {
	return `203.0.113.7 - - [22/Nov/2026:07:00:23 +0000] "GET ` + path + ` HTTP/1.1" ` + status + ` 0 "-" "drv/1.0" 17 "ws@file" "http://10.0.0.1:80" 1518ms`
}

const asks = `"request_Upgrade":"websocket","request_User-Agent":"drv/1.0"`

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"status 0 of a path that is known is an open and a close": {line("0"),
			[]string{"websocket.open http.response.status_code=101 http.request.method=GET url.path=/rooms/42 url.query=x=1 url.scheme=wss " +
				"server.address=chat.example.test server.port=8443 client.address=203.0.113.7 client.port=3808 tls.protocol.version=1.3 " +
				"websocket.source.evidence=inferred",
				"websocket.close websocket.connection.duration=1.518 websocket.close.initiator=unknown websocket.io.sent="}},
		"status 0 of another path proves nothing": {line("0", `"RequestPath":"/a"`), nil},
		"the header of the request is a reason too": {line("0", asks, `"RequestPath":"/a"`),
			[]string{"websocket.open websocket.source.evidence=inferred user_agent.original=drv/1.0", "websocket.close"}},
		"the header of the response is proof": {line("0", asks, `"origin_Upgrade":"websocket","origin_Sec-Websocket-Protocol":"v1"`),
			[]string{"websocket.open websocket.source.evidence=observed websocket.subprotocol=v1", "websocket.close"}},
		"101, as newer versions have it": {line("101", asks), []string{"websocket.open websocket.source.evidence=observed", "websocket.close"}},
		"101 of the server behind":       {line("0", asks, `"OriginStatus":101`), []string{"websocket.open", "websocket.close"}},
		"an upgrade to something else":   {line("101", `"request_Upgrade":"h2c"`), nil},
		"a request that asks for none":   {line("200", `"request_Upgrade":"-"`), nil},
		"403 of a path that is known":    {line("403"), []string{"websocket.handshake.rejected error.type=forbidden websocket.handshake.duration=1.518"}},
		"499 is a client that left":      {line("499", asks), []string{"websocket.handshake.rejected error.type=client_aborted websocket.source.evidence=observed"}},
		"429":                            {line("429"), []string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"the format common": {common("/rooms/42?x=1", "0"),
			[]string{"websocket.open client.address=203.0.113.7 url.path=/rooms/42 user_agent.original=drv/1.0", "websocket.close websocket.connection.duration=1.518"}},
		"the format common, rejected":     {common("/rooms/42", "502"), []string{"websocket.handshake.rejected error.type=upstream_unavailable"}},
		"the format common, another path": {common("/a", "0"), nil},
		"only the time of the line":       {line("0", `"StartUTC":""`), []string{"websocket.open", "websocket.close websocket.connection.duration=1.518"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourcetest.AssertEvents(t, c.want, sourcetest.Parse(t, newParser(), c.line))
		})
	}
	events := sourcetest.Parse(t, newParser(), line("0"))
	require.Equal(t, time.Date(2026, 11, 22, 7, 0, 23, 882_000_000, time.UTC), events[0].Time)
	require.Equal(t, time.Date(2026, 11, 22, 7, 0, 25, 400_000_000, time.UTC), events[1].Time)
}

// The expectations of the sample are in expected.md beside it. Upstream cut the line's end with all its times, so it is
// dated by when it is read.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, sample := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "vendor-samples", "traefik-ws.json.log")) {
		p, err := traefik.New(sourcetest.Settings(), []string{"/api/v1/relay/ws"})
		require.NoError(t, err)
		require.Empty(t, p.Advice())
		before := time.Now()
		events := sourcetest.Parse(t, p, sample)
		sourcetest.AssertEvents(t, []string{"websocket.open url.path=/api/v1/relay/ws server.address=tdc.ap.cloud.x.com",
			"websocket.close websocket.connection.duration=38.786475932 error.type="}, events)
		require.WithinRange(t, events[1].Time, before, time.Now())

		p, err = traefik.New(sourcetest.Settings(), nil)
		require.NoError(t, err)
		require.Len(t, p.Advice(), 1)
		require.Empty(t, sourcetest.Parse(t, p, sample))
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"another format":              {"127.0.0.1 - - x", "other format: user"},
		"cut off":                     {line("0")[:100], "malformed json"},
		"no status":                   {`{"RequestPath":"/rooms/1"}`, "missing field: DownstreamStatus"},
		"a status that is none":       {line("x1"), "bad number: DownstreamStatus"},
		"a time that is none":         {line("0", `"StartUTC":"soon"`), "bad time: StartUTC"},
		"a duration that is none":     {line("0", `"Duration":"1s"`), "bad number: Duration"},
		"a duration that is negative": {line("0", `"Duration":-1`), "bad number: Duration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newParser().Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func newParser() source.Parser {
	p, err := traefik.New(sourcetest.Settings(), []string{"/rooms/*"})
	if err != nil {
		panic(err)
	}
	return p
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, newParser, line("0"), line("403", asks), common("/rooms/42", "0"))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, line("0"), line("403", asks), common("/rooms/42?x", "0"), common("/rooms/42", "403"))
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, newParser(), []string{line("0", asks), line("403", asks), line("200", `"RequestPath":"/a"`)})
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), []string{line("0", asks), line("403", asks)}, 2)
}
