package apache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/apache"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

const (
	begin = `203.0.113.7 - - [22/Nov/2026:08:00:23 +0100] "GET /rooms/42?x=1 HTTP/1.1" `
	agent = ` 60 "-" "drv/1.0 (\"study\")"`
	own   = `LogFormat "%a:%{remote}p %V %t \"%r\" %>s %I %O %D \"%{User-Agent}i\" \"%{Upgrade}i\" \"%{Sec-WebSocket-Protocol}i\" ` +
		`\"%{Sec-WebSocket-Protocol}o\" %{SSL_PROTOCOL}x %L" websocket`
	jsonLike = `{"at":"%{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t%{%z}t","s":%>s,"ms":%{ms}T,"up":"%{Upgrade}i","m":"%m","u":"%U","q":"%q","h":"%{Host}i","p":"%H"}`
)

func line(status, upgrade string) string {
	return `203.0.113.7:5000 chat.example.test [22/Nov/2026:08:00:23 +0100] "GET /rooms/42?x=1 HTTP/1.1" ` + status +
		` 300 400 1518000 "drv/1.0" "` + upgrade + `" "chat.v1, chat.v0" "chat.v1" TLSv1.3 Yx1`
}

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		template, line string
		want           []string
	}{
		"combined has no duration, so nobody knows when a connection closed": {"", begin + "101" + agent,
			[]string{`websocket.open http.response.status_code=101 url.path=/rooms/42 url.query=x=1 client.address=203.0.113.7 ` +
				`user_agent.original=drv/1.0 ("study") websocket.http.version=1.1 websocket.source.evidence=inferred`}},
		"a rejection in combined": {"", begin + "403" + agent, nil},
		"vhost_combined":          {"vhost_combined", "chat.example.test:443 " + begin + "101" + agent, []string{"websocket.open server.address=chat.example.test"}},
		"common":                  {"common", begin + "101 -", []string{"websocket.open"}},
		"a format of one's own": {own, line("101", "websocket"),
			[]string{"websocket.open client.address=203.0.113.7 client.port=5000 server.address=chat.example.test tls.protocol.version=1.3 " +
				"url.scheme=wss websocket.client.subprotocols=chat.v1,chat.v0 websocket.subprotocol=chat.v1 websocket.source.evidence=observed",
				"websocket.close websocket.connection.duration=1.518 websocket.close.initiator=unknown websocket.io.sent= websocket.io.received="}},
		"a rejection":                  {own, line("403", "WebSocket"), []string{"websocket.handshake.rejected error.type=forbidden websocket.handshake.duration=1.518"}},
		"502":                          {own, line("502", "websocket"), []string{"websocket.handshake.rejected error.type=upstream_unavailable"}},
		"a request that asks for none": {own, line("200", "-"), nil},
		"an upgrade to something else": {own, line("101", "h2c"), nil},
		"JSON, with a time in parts": {jsonLike,
			`{"at":"2026-11-22T08:00:23.250+0100","s":101,"ms":1518,"up":"websocket","m":"GET","u":"/a","q":"?x=1","h":"chat.example.test:8443","p":"HTTP/1.1"}`,
			[]string{"websocket.open url.path=/a url.query=x=1 server.port=8443", "websocket.close websocket.connection.duration=1.518"}},
		"a target of two directives": {`%t "%m %U%q %H" %s "%{Upgrade}i"`, `[22/Nov/2026:07:00:23 +0000] "GET /a?x=1 HTTP/1.1" 403 "websocket"`,
			[]string{"websocket.handshake.rejected url.path=/a url.query=x=1 http.request.method=GET websocket.http.version=1.1"}},
		"the time of the end": {`%{end:sec}t %s %T %{Upgrade}i`, `1795330824 101 1 websocket`,
			[]string{"websocket.open", "websocket.close websocket.connection.duration=1"}},
		"in whole microseconds since 1970": {`%{usec}t %s %{us}T %{Upgrade}i`, `1795330823000000 101 1518000 websocket`,
			[]string{"websocket.open", "websocket.close websocket.connection.duration=1.518"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := sourcetest.Parse(t, parserOf(c.template), c.line)
			sourcetest.AssertEvents(t, c.want, events)
			if len(events) > 0 && events[0].Name == event.Open {
				require.Equal(t, time.Date(2026, 11, 22, 7, 0, 23, 0, time.UTC), events[0].Time.Truncate(time.Second))
			}
		})
	}
}

func TestPathsProveAttempts(t *testing.T) {
	t.Parallel()
	p, err := apache.New(sourcetest.Settings(), "", []string{"/rooms/*"})
	require.NoError(t, err)
	sourcetest.AssertEvents(t, []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred"},
		sourcetest.Parse(t, p, begin+"403"+agent))
	require.Empty(t, sourcetest.Parse(t, p, strings.Replace(begin, "/rooms", "/other", 1)+"403"+agent))
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"another format":        {`{"a":1}`, "other format: %h"},
		"a status that is none": {begin + "x01" + agent, "bad number: %s"},
		"a time that is none":   {strings.Replace(begin, "22/Nov", "32/Nov", 1) + "101" + agent, "bad time: %t"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parserOf("").Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func TestFormatsThatCannotBeCompiled(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"%t":        "add %>s: without it no line says what became of a handshake",
		"%>s":       "add %t: without a time no line can be used",
		"%{x":       "column 1: the directive has no letter",
		"%{%Q}t %s": "column 1: the format of the time cannot be read; use %t or %{msec}t",
		"%h%s %t":   "column 3: nothing stands between %h and %s, so their values cannot be told apart; put a space or a quote there",
	} {
		_, err := apache.New(source.Settings{}, template, nil)
		require.EqualError(t, err, want, template)
	}
	p, err := apache.New(source.Settings{}, "combined", nil)
	require.NoError(t, err)
	require.Equal(t, []string{
		`add "%{Upgrade}i", or name websocket_paths, to see handshakes that were rejected`,
		"add %D, to see how long connections lasted and when they closed",
		"add %{remote}p or %L, to tell connections apart",
		"add %V, to tell hosts apart",
	}, p.Advice())
}

func parserOf(template string) source.Parser {
	p, err := apache.New(sourcetest.Settings(), template, nil)
	if err != nil {
		panic(err)
	}
	return p
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, func() source.Parser { return parserOf("") }, begin+"101"+agent)
	sourcetest.Garbage(t, func() source.Parser { return parserOf(own) }, line("403", "websocket"))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, func() source.Parser { return parserOf(own) }, line("101", "websocket"), line("403", "h2c, websocket"), begin+"101"+agent)
}

// FuzzFormat: no format may make New panic, and what it compiles must hold for any line.
func FuzzFormat(f *testing.F) {
	f.Add(own, []byte(line("101", "websocket")))
	f.Add(jsonLike, []byte(`{"at":"2026-11-22T08:00:23.250+0100","s":101,"ms":1518,"up":"websocket"}`))
	f.Add("vhost_combined", []byte("h:1 "+begin+"101"+agent))
	f.Fuzz(func(t *testing.T, template string, text []byte) {
		if p, err := apache.New(sourcetest.Settings(), template, []string{"/a"}); err == nil {
			p.Advice()
			sourcetest.Try(t, p, text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, parserOf(own), []string{line("101", "websocket"), line("403", "websocket"), line("200", "-")})
}

func TestALineCostsFewAllocations(t *testing.T) {
	// Its texts, the connection's id, and the list of subprotocols that the client offered.
	sourcetest.AssertAllocations(t, parserOf(own), []string{line("101", "websocket"), line("403", "websocket")}, 3)
}
