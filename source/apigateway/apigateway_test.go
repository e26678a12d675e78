package apigateway_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/apigateway"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

func line(eventType string, members ...string) string {
	return `{"requestTimeEpoch":1795330830123,"requestTime":"22/Nov/2026:07:00:30 +0000","requestId":"R1","connectionId":"C1",` +
		`"ip":"203.0.113.7","domainName":"chat.example.test","eventType":"` + eventType + `",` + strings.Join(append(members, `"_":""`), ",") + `}`
}

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"CONNECT with 200 is an open, which the client sees as 101": {line("CONNECT", `"status":"200"`),
			[]string{"websocket.open http.response.status_code=101 client.address=203.0.113.7 server.address=chat.example.test " +
				"websocket.source.visibility=at_open websocket.source.evidence=observed url.path="}},
		"a status may be a number, under another name": {line("CONNECT", `"statusCode":200`), []string{"websocket.open"}},
		"CONNECT with 500": {line("CONNECT", `"status":"500"`),
			[]string{"websocket.handshake.rejected http.response.status_code=500 error.type=_OTHER"}},
		"CONNECT with 429": {line("CONNECT", `"status":429`),
			[]string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"an authorizer that agrees": {line("CONNECT", `"status":"200","authorizer.status":"200","authorizer.latency":"31"`),
			[]string{"websocket.auth websocket.auth.result=success websocket.auth.duration=0.031 error.type= websocket.source.evidence=observed",
				"websocket.open"}},
		"its latency alone says that it was asked": {line("CONNECT", `"status":"200","authorizer":{"latency":12}`),
			[]string{"websocket.auth websocket.auth.result=success websocket.auth.duration=0.012", "websocket.open"}},
		"an authorizer that refuses": {line("CONNECT", `"status":"401","authorizerStatus":"401","authorizerLatency":"8"`),
			[]string{"websocket.auth websocket.auth.result=failure error.type=unauthenticated websocket.auth.duration=0.008",
				"websocket.handshake.rejected error.type=unauthenticated"}},
		"an authorizer whose policy denies": {line("CONNECT", `"status":"403","authorizerStatus":"200"`),
			[]string{"websocket.auth websocket.auth.result=failure error.type=forbidden", "websocket.handshake.rejected error.type=forbidden"}},
		"an authorizer that is broken": {line("CONNECT", `"status":"500","authorizerStatus":"500"`),
			[]string{"websocket.auth error.type=idp_unavailable", "websocket.handshake.rejected error.type=_OTHER"}},
		"an authorizer that is slow": {line("CONNECT", `"status":"500","authorizerStatus":"504","authorizerLatency":"10000"`),
			[]string{"websocket.auth error.type=idp_timeout websocket.auth.duration=10", "websocket.handshake.rejected"}},
		"no authorizer, and 401": {line("CONNECT", `"status":"401","authorizerStatus":"-","authorizerLatency":"-"`),
			[]string{"websocket.handshake.rejected", "websocket.auth websocket.source.evidence=inferred"}},
		"refused before a route was found": {line("-", `"connectionId":"-","status":"403"`),
			[]string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred"}},
		"a message": {line("MESSAGE", `"status":"200","messageDirection":"IN","routeKey":"$default"`),
			[]string{"websocket.message network.io.direction=receive websocket.message.type=text websocket.message.size="}},
		"a message to the client": {line("MESSAGE", `"messageDirection":"OUT"`), []string{"websocket.message network.io.direction=transmit"}},
		"a message that is too much": {line("MESSAGE", `"status":429`),
			[]string{"websocket.message", "websocket.rate_limited websocket.rate_limit.scope=message",
				"websocket.message.rejected error.type=quota_exceeded"}},
		"a message that is refused":         {line("MESSAGE", `"status":403`), []string{"websocket.message", "websocket.message.rejected error.type=acl_denied"}},
		"a message to a route that is none": {line("MESSAGE", `"status":400`), []string{"websocket.message", "websocket.message.rejected error.type=_OTHER"}},
		"a message that the backend did not take": {line("MESSAGE", `"status":504`),
			[]string{"websocket.message", "websocket.message.dropped error.type=upstream_lost network.io.direction=receive"}},
		"a message on which the backend failed": {line("MESSAGE", `"status":500`), []string{"websocket.message", "websocket.message.dropped error.type=_OTHER"}},
		"DISCONNECT has the code of the Close frame": {
			line("DISCONNECT", `"disconnectStatusCode":4401,"disconnectReason":"bye","connectedAt":1795330820123`),
			[]string{"websocket.close websocket.close.code=4401 websocket.close.reason=bye websocket.connection.duration=10 " +
				"websocket.close.initiator=unknown websocket.close.clean= error.type="}},
		"1005 is an empty Close frame": {line("DISCONNECT", `"disconnectStatusCode":"1005"`), []string{"websocket.close websocket.close.code=1005"}},
		"1006 is none": {line("DISCONNECT", `"disconnectStatusCode":1006`),
			[]string{"websocket.close websocket.close.code= websocket.close.clean=false error.type=connection_lost"}},
		"no code": {line("DISCONNECT", `"disconnectStatusCode":"-","connectedAt":"-"`),
			[]string{"websocket.close websocket.close.code= websocket.connection.duration="}},
		"a time in whole seconds": {strings.Replace(line("DISCONNECT"), "1795330830123", "0", 1), []string{"websocket.close"}},
		"the line of a REST API":  {`{"requestTime":"22/Nov/2026:07:00:30 +0000","requestId":"R1","status":"200","httpMethod":"GET"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourcetest.AssertEvents(t, c.want, sourcetest.Parse(t, newParser(), c.line))
		})
	}
}

// The lines that SOURCES.md quotes from AWS's own pages and from users, and events as Lambda functions get them.
func TestLinesOfOthers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(testenv.Corpus(t, "sources", "SOURCES.md"))
	require.NoError(t, err)
	var got []event.Event
	for _, l := range regexp.MustCompile(`(?m)^\{.*"eventType".*?\}`).FindAllString(string(text), -1) {
		if strings.Contains(l, "disconnectStatusCode") {
			l = strings.Replace(l, "{", `{"connectionId":"left out there",`, 1)
		}
		got = append(got, sourcetest.Parse(t, newParser(), l)...)
	}
	sourcetest.AssertEvents(t, []string{
		"websocket.handshake.rejected http.response.status_code=500 client.address=1.128.0.0",
		"websocket.handshake.rejected http.response.status_code=403 websocket.source.evidence=inferred",
		"websocket.handshake.rejected http.response.status_code=500 server.address=z1ctxygne5.execute-api.us-east-1.amazonaws.com",
		"websocket.close websocket.close.code=1000 websocket.close.reason=Connection Closed Normally websocket.connection.duration=11.224",
	}, got)

	sourcetest.AssertEvents(t, []string{"websocket.close websocket.close.code=1001 client.address=49.105.91.154 " +
		"websocket.connection.duration=10.907 websocket.close.reason="}, sourcetest.Parse(t, newParser(), compact(t, "apigw-websocket-request-disconnect.json")))
	// A Lambda function is asked before there is a status, so its event of a CONNECT proves nothing; "*" is AWS's own.
	err = newParser().Parse([]byte(strings.Replace(compact(t, "apigw-websocket-request.json"), `"status":"*"`, `"status":"-"`, 1)),
		func(*event.Event) { t.Error("an event") })
	require.EqualError(t, err, "missing field: status")
}

func compact(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(testenv.Corpus(t, "sources", "aws", name))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, data))
	return b.String()
}

func TestLinesOfOneConnectionHaveOneID(t *testing.T) {
	t.Parallel()
	p := newParser()
	ids := map[string]int{}
	for _, l := range sourcetest.ReadLines(t, filepath.Join("testdata", "access.json.log")) {
		for _, e := range sourcetest.Parse(t, p, l) {
			ids[e.String(event.ConnectionID)]++
			require.NotContains(t, e.String(event.ConnectionID), "Rq1")
		}
	}
	require.Len(t, ids, 3)
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":             {"x", "malformed json"},
		"no event type":        {`{"connectionId":"C1"}`, "missing field: eventType"},
		"no ids":               {line("CONNECT", `"connectionId":"-","requestId":"-"`), "missing field: connectionId"},
		"no time":              {`{"eventType":"CONNECT","connectionId":"C1"}`, "missing field: requestTimeEpoch"},
		"a time of words":      {line("CONNECT", `"requestTimeEpoch":"soon"`), "bad time: requestTimeEpoch"},
		"no status":            {line("CONNECT"), "missing field: status"},
		"a status of words":    {line("CONNECT", `"status":"*"`), "bad number: status"},
		"a code out of range":  {line("DISCONNECT", `"disconnectStatusCode":70000`), "bad number: disconnectStatusCode"},
		"a latency of words":   {line("CONNECT", `"status":200,"authorizerLatency":"x"`), "bad number: authorizer.latency"},
		"a time before clouds": {line("DISCONNECT", `"connectedAt":17`), "bad time: connectedAt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newParser().Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
}

func newParser() source.Parser { return apigateway.New(sourcetest.Settings()) }

func TestBrokenLines(t *testing.T) {
	sourcetest.Garbage(t, newParser, sourcetest.ReadLines(t, filepath.Join("testdata", "access.json.log"))...)
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, append(sourcetest.ReadLines(f, filepath.Join("testdata", "access.json.log")),
		`{"requestContext":`+line("DISCONNECT", `"identity":{"sourceIp":"203.0.113.7"}`)+`}`)...)
}

func BenchmarkParse(b *testing.B) {
	sourcetest.Benchmark(b, newParser(), sourcetest.ReadLines(b, filepath.Join("testdata", "access.json.log")))
}

func TestALineCostsTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), sourcetest.ReadLines(t, filepath.Join("testdata", "access.json.log")), 2)
}
