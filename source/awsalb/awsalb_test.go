package awsalb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/awsalb"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// line returns a line of that type and status; more follows the fields of 2018, as newer logs have it.
func line(kind, times, status, more string) string {
	return kind + ` 2026-11-22T07:00:25.400000Z app/edge/50dc6c49 203.0.113.7:40914 10.0.1.192:8010 ` + times + ` ` + status + ` 218 587 ` +
		`"GET https://chat.example.test:443/rooms/42?x=1 HTTP/1.1" "drv/1.0 (study)" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` +
		`arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/7 "Root=1-58337364-23a8c76965a2ef7629b185e3" "chat.example.test" ` +
		`"arn:aws:acm:eu-west-1:1:certificate/1" 1 2026-11-22T07:00:23.882000Z "forward" "-" "-" "10.0.1.192:8010" "101" "-" "-"` + more
}

const took = "0.001 0.003 0.000"

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"wss with 101 is an open and a close": {line("wss", took, "101 101", ""),
			[]string{"websocket.open http.response.status_code=101 http.request.method=GET url.path=/rooms/42 url.query=x=1 url.scheme=wss " +
				"server.address=chat.example.test server.port=443 client.address=203.0.113.7 client.port=40914 tls.protocol.version=1.2 " +
				"websocket.handshake.duration=0.004 websocket.source.evidence=observed",
				"websocket.close websocket.connection.duration=1.518 websocket.io.received=218 websocket.io.sent=587 " +
					"websocket.close.initiator=unknown websocket.close.code="}},
		"newer logs have more fields":                  {line("ws", took, "101 101", ` TID_1234 "-" "-" "-"`), []string{"websocket.open url.scheme=ws", "websocket.close"}},
		"wss with 502 is a rejection":                  {line("wss", "-1 -1 -1", "502 -", ""), []string{"websocket.handshake.rejected error.type=upstream_unavailable websocket.handshake.duration="}},
		"460 is a client that left":                    {line("ws", "0.001 -1 -1", "460 -", ""), []string{"websocket.handshake.rejected http.response.status_code=460 error.type=client_aborted"}},
		"https of a path that is known is a rejection": {line("https", took, "403 403", ""), []string{"websocket.handshake.rejected error.type=forbidden url.scheme=wss websocket.source.evidence=inferred"}},
		"https of another path is not":                 {strings.Replace(line("https", took, "403 403", ""), "/rooms", "/a", 1), nil},
		"h2 neither":                                   {strings.Replace(line("h2", took, "200 200", ""), "/rooms", "/a", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := sourcetest.Parse(t, newParser(), c.line)
			sourcetest.AssertEvents(t, c.want, events)
			if len(events) == 2 {
				require.Equal(t, time.Date(2026, 11, 22, 7, 0, 23, 882_000_000, time.UTC), events[0].Time)
				require.Equal(t, time.Date(2026, 11, 22, 7, 0, 25, 400_000_000, time.UTC), events[1].Time)
			}
		})
	}
}

// The expectations of the sample are in expected.md beside it. Its bytes are those of the whole connection, the heads of
// the handshake included; the event model speaks of frames, and the page of this source says so.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, sample := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "vendor-samples", "aws-alb-ws.log")) {
		events := sourcetest.Parse(t, newParser(), sample)
		sourcetest.AssertEvents(t, []string{"websocket.open http.response.status_code=101 url.path=/ url.scheme=ws",
			"websocket.close websocket.io.received=218 websocket.io.sent=587 websocket.close.code= websocket.connection.duration=11.822641"}, events)
		require.Equal(t, time.Date(2018, 7, 2, 22, 22, 48, 364_000_000, time.UTC), events[0].Time)
		require.Equal(t, time.Date(2018, 7, 2, 22, 23, 0, 186_641_000, time.UTC), events[1].Time)
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"another format":         {"127.0.0.1 - - x", "other format: client:port"},
		"another type":           {line("quic", took, "101 101", ""), "other format: type"},
		"a status that is none":  {line("ws", took, "x 101", ""), "bad number: elb_status_code"},
		"a time that is none":    {strings.Replace(line("ws", took, "101 101", ""), "T07:00:25", "T27:00:25", 1), "bad time: time"},
		"a number out of bounds": {strings.Replace(line("ws", took, "101 101", ""), " 218 ", " 99999999999999999999 ", 1), "bad number: received_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newParser().Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func newParser() source.Parser {
	p, err := awsalb.New(sourcetest.Settings(), []string{"/rooms/*"})
	if err != nil {
		panic(err)
	}
	return p
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, newParser, line("wss", took, "101 101", ""), line("https", took, "403 403", ""))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, line("wss", took, "101 101", ""), line("https", "-1 -1 -1", "403 -", ` TID_1 "-"`))
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, newParser(), []string{line("wss", took, "101 101", ""), line("wss", took, "502 -", ""), line("h2", took, "200 200", "")})
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), []string{line("wss", took, "101 101", ""), line("https", took, "403 403", "")}, 2)
}
