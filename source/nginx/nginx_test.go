package nginx_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// A line of which each case changes what it is about.
const connected = `"msec":1795330811.356,"request_id":"6841e936","remote_addr":"203.0.113.7","remote_port":"34916",` +
	`"scheme":"https","host":"chat.example.test","request_uri":"/echo?s=1","server_protocol":"HTTP/1.1",` +
	`"request_time":1.518,"body_bytes_sent":60,"upstream_header_time":"0.012","http_upgrade":"websocket"`

// with returns the line with that status and further members, of which the last of a name wins.
func with(status string, members ...string) string {
	return `{` + connected + `,"status":` + status + `,` + strings.Join(append(members, `"_":""`), ",") + `}`
}

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want []string // events, each with some attributes
	}{
		"101 is an open and a close": {with("101"),
			[]string{"websocket.open http.response.status_code=101 websocket.handshake.duration=0.012 url.scheme=wss",
				"websocket.close websocket.connection.duration=1.518 websocket.io.sent=60 websocket.close.initiator=unknown"}},
		"numbers may be strings": {with(`"101"`, `"msec":"1795330811.356"`, `"request_time":"1.518"`, `"body_bytes_sent":"60"`),
			[]string{"websocket.open http.response.status_code=101",
				"websocket.close websocket.connection.duration=1.518 websocket.io.sent=60"}},
		"a variable without a value is absent": {
			with("101", `"request_time":"-"`, `"body_bytes_sent":""`, `"upstream_header_time":-`, `"scheme":null`, `"remote_port":`),
			[]string{"websocket.open websocket.handshake.duration= url.scheme= client.port=",
				"websocket.close websocket.connection.duration= websocket.io.sent="}},
		"several upstreams have no one handshake duration": {with("101", `"upstream_header_time":"0.001, 0.002"`),
			[]string{"websocket.open websocket.handshake.duration=", "websocket.close"}},
		"the Upgrade header is a list of tokens in any case": {with("101", `"http_upgrade":"h2c, WebSocket/13"`),
			[]string{"websocket.open websocket.source.evidence=observed", "websocket.close"}},
		"an upgrade to something else is none of ours":             {with("101", `"http_upgrade":"h2c"`), nil},
		"a word that contains websocket is another":                {with("101", `"http_upgrade":"websockets"`), nil},
		"a request without Upgrade is not an attempt":              {with("426", `"http_upgrade":""`), nil},
		"a dash for Upgrade is not an attempt":                     {with("200", `"http_upgrade":"-"`), nil},
		"a request that asks for no WebSocket is not read further": {with("200", `"http_upgrade":""`, `"msec":"x"`), nil},
		"200 is not a WebSocket": {with("200"),
			[]string{"websocket.handshake.rejected http.response.status_code=200 error.type=not_upgraded"}},
		"401 is a failure of authentication too": {with("401"),
			[]string{"websocket.handshake.rejected error.type=unauthenticated websocket.handshake.duration=1.518",
				"websocket.auth websocket.auth.result=failure error.type=unauthenticated websocket.source.evidence=inferred"}},
		"403 is not": {with("403"), []string{"websocket.handshake.rejected error.type=forbidden"}},
		"429 was limited, by whom is unknown": {with("429"),
			[]string{"websocket.handshake.rejected error.type=rate_limited",
				"websocket.rate_limited websocket.rate_limit.scope=handshake websocket.rate_limit.policy= " +
					"websocket.source.evidence=inferred"}},
		"503 of limit_req was limited by nginx": {with("503", `"limit_req_status":"REJECTED"`),
			[]string{"websocket.handshake.rejected http.response.status_code=503 error.type=rate_limited",
				"websocket.rate_limited websocket.source.evidence=observed"}},
		"503 of limit_conn likewise": {with("503", `"limit_conn_status":"REJECTED"`),
			[]string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"a limit in dry run refuses nobody": {with("503", `"limit_req_status":"REJECTED_DRY_RUN"`),
			[]string{"websocket.handshake.rejected error.type=upstream_unavailable"}},
		"499 is a client that left": {with("499"),
			[]string{"websocket.handshake.rejected http.response.status_code=499 error.type=client_aborted"}},
		"000 is no answer at all": {with("000"),
			[]string{"websocket.handshake.rejected http.response.status_code= error.type=client_aborted"}},
		"502 and 504 are the upstream's": {with("504"),
			[]string{"websocket.handshake.rejected error.type=upstream_timeout"}},
		"$http_host brings the port": {with("101", `"host":""`, `"http_host":"Chat.example.test:8443"`),
			[]string{"websocket.open server.address=chat.example.test server.port=8443", "websocket.close server.port=8443"}},
		"$host and $http_host together": {with("403", `"http_host":"chat.example.test:8443"`),
			[]string{"websocket.handshake.rejected server.address=chat.example.test server.port=8443"}},
		"an IPv6 host": {with("403", `"host":"[2001:db8::1]:8443"`),
			[]string{"websocket.handshake.rejected server.address=2001:db8::1 server.port=8443"}},
		"a port that is none": {with("403", `"host":"chat.example.test:http"`),
			[]string{"websocket.handshake.rejected server.address=chat.example.test server.port="}},
		"a host that is absurdly long is noise": {with("403", `"host":"`+strings.Repeat("a", 600)+`"`),
			[]string{"websocket.handshake.rejected server.address="}},
		"path and query": {with("403", `"request_uri":"/rooms/42?token=a&b=c?d"`),
			[]string{"websocket.handshake.rejected url.path=/rooms/42 url.query=token=a&b=c?d"}},
		"the absolute form": {with("403", `"request_uri":"http://chat.example.test/rooms?x"`),
			[]string{"websocket.handshake.rejected url.path=/rooms url.query=x"}},
		"$uri and $args": {with("403", `"request_uri":""`, `"uri":"/rooms"`, `"args":"x=1"`),
			[]string{"websocket.handshake.rejected url.path=/rooms url.query=x=1"}},
		"$request": {with("403", `"request_uri":""`, `"server_protocol":""`, `"request":"GET /a b?x=1 HTTP/1.1"`),
			[]string{"websocket.handshake.rejected url.path=/a b url.query=x=1 http.request.method=GET websocket.http.version=1.1"}},
		"a method that is no method": {with("403", `"request_method":"\u0016\u0003"`),
			[]string{"websocket.handshake.rejected http.request.method=_OTHER"}},
		"HTTP/2 and HTTP/3": {with("403", `"server_protocol":"HTTP/3.0"`),
			[]string{"websocket.handshake.rejected websocket.http.version=3 network.transport=quic"}},
		"TLS": {with("403", `"ssl_protocol":"TLSv1.3"`),
			[]string{"websocket.handshake.rejected tls.protocol.version=1.3"}},
		"a UNIX socket is nobody's address": {with("403", `"remote_addr":"unix:"`, `"remote_port":""`),
			[]string{"websocket.handshake.rejected client.address= client.port="}},
		"subprotocols and extensions": {
			with("101", `"sec_websocket_protocol":"chat.v1, chat.v0"`, `"sent_http_sec_websocket_protocol":"chat.v1"`,
				`"sent_sec_websocket_extensions":"permessage-deflate; server_no_context_takeover"`),
			[]string{"websocket.open websocket.subprotocol=chat.v1 websocket.client.subprotocols=chat.v1,chat.v0 " +
				"websocket.extensions=permessage-deflate; server_no_context_takeover",
				"websocket.close websocket.subprotocol=chat.v1"}},
		"without $http_upgrade, 101 is inferred": {strings.Replace(with("101"), "http_upgrade", "_", 1),
			[]string{"websocket.open websocket.source.evidence=inferred", "websocket.close websocket.source.evidence=inferred"}},
		"without $http_upgrade, a rejection is like any request": {strings.Replace(with("403"), "http_upgrade", "_", 1), nil},
		"escapes": {with("403", `"request_uri":"/\u00e9\"\\\/\t\ud83d\ude00"`),
			[]string{"websocket.handshake.rejected url.path=/é\"\\/\t😀"}},
		"escapes as nginx writes them without escape=json": {with("403", `"http_user_agent":"a\x22b\xC3\xA9"`),
			[]string{`websocket.handshake.rejected user_agent.original=a"bé`}},
		"bytes that are not UTF-8 do not hide an attempt": {with("403", "\"request_uri\":\"/a\xff\\u0000b\\ud800\""),
			[]string{"websocket.handshake.rejected url.path=/a\uFFFD\uFFFDb\uFFFD"}},
		"unknown keys of any shape": {with("403", `"x":{"status":200,"y":[1,"}",{"z":"\""}]},"status2":1e5`),
			[]string{"websocket.handshake.rejected http.response.status_code=403"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sourcetest.Parse(t, parser(sourcetest.Settings(), nginx.Options{}), c.line)
			sourcetest.AssertEvents(t, c.want, got)
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 11, 22, 7, 0, 11, 356_000_000, time.UTC)
	events := sourcetest.Parse(t, parser(sourcetest.Settings(), nginx.Options{}), with("101"))
	require.Equal(t, written.Add(-1518*time.Millisecond), events[0].Time, "an open is when the request began")
	require.Equal(t, written, events[0].Observed)
	require.Equal(t, written, events[1].Time, "a close is when the line was written")
	require.Equal(t, written, events[0].Facts().CountedAt, "at_close: bucketed by the time of writing")

	for name, members := range map[string][]string{
		"time_iso8601":                  {`"msec":""`, `"time":"2026-11-22T08:00:11+01:00"`},
		"time_local":                    {`"msec":""`, `"time_local":"22/Nov/2026:08:00:11 +0100"`},
		"time_local by another name":    {`"msec":""`, `"time":"22/Nov/2026:08:00:11 +0100"`},
		"time_local as combined has it": {`"msec":""`, `"time":"[22/Nov/2026:08:00:11 +0100]"`},
		"msec by another name":          {`"msec":""`, `"time":1795330811.000`},
	} {
		events = sourcetest.Parse(t, parser(sourcetest.Settings(), nginx.Options{}), with("403", members...))
		require.Equal(t, written.Truncate(time.Second), events[0].Time, name)
	}
}

func TestConnectionIDsAreKeyedAndTellConnectionsApart(t *testing.T) {
	t.Parallel()
	idOf := func(s source.Settings, line string) string {
		events := sourcetest.Parse(t, parser(s, nginx.Options{}), line)
		id := events[0].String(event.ConnectionID)
		require.Regexp(t, "^[0-9a-f]{32}$", id)
		for _, e := range events {
			require.Equal(t, id, e.String(event.ConnectionID))
		}
		return id
	}
	other := sourcetest.Settings()
	other.ConnectionKey = []byte("another key 0123")
	id := idOf(sourcetest.Settings(), with("101"))
	require.Equal(t, id, idOf(sourcetest.Settings(), with("101")))
	require.NotEqual(t, id, idOf(other, with("101")))
	require.NotEqual(t, id, idOf(sourcetest.Settings(), with("101", `"request_id":"6841e937"`)))
	// Without $request_id.
	seen := map[string]bool{id: true}
	for _, members := range [][]string{
		{}, {`"connection":7`}, {`"connection":8`}, {`"remote_port":"34917"`}, {`"msec":1795330812.356`},
		{`"remote_addr":"203.0.113.8"`},
	} {
		id := idOf(sourcetest.Settings(), with("101", append(members, `"request_id":""`)...))
		require.False(t, seen[id], "%v", members)
		seen[id] = true
	}
}

func TestTheHandshakeKeyIsHashed(t *testing.T) {
	t.Parallel()
	e := sourcetest.Parse(t, parser(sourcetest.Settings(), nginx.Options{}), with("403", `"http_sec_websocket_key":"dGhlIHNhbXBsZSBub25jZQ=="`))[0]
	require.Regexp(t, "^[0-9a-f]{32}$", e.String(event.HandshakeKeyHash))
}

func TestTraceContext(t *testing.T) {
	t.Parallel()
	trace := [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c}
	span := [8]byte{0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31}
	for name, c := range map[string]struct {
		member string
		ok     bool
	}{
		"traceparent":     {`"http_traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, true},
		"nginx's own":     {`"otel_trace_id":"0af7651916cd43dd8448eb211c80319c","otel_span_id":"b7ad6b7169203331"`, true},
		"version ff":      {`"http_traceparent":"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, false},
		"no hex":          {`"http_traceparent":"00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01"`, false},
		"a span of zeros": {`"http_traceparent":"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"`, false},
		"cut off":         {`"http_traceparent":"00-0af7651916cd43dd"`, false},
	} {
		e := sourcetest.Parse(t, parser(sourcetest.Settings(), nginx.Options{}), with("403", c.member))[0]
		if c.ok {
			require.Equal(t, trace, e.TraceID, name)
			require.Equal(t, span, e.SpanID, name)
		} else {
			require.Zero(t, e.TraceID, name)
			require.Zero(t, e.SpanID, name)
		}
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	whole := with("101")
	for name, c := range map[string]struct {
		line, want string
	}{
		"empty":                          {"", "malformed json"},
		"not JSON":                       {`127.0.0.1 - - [22/Nov/2026]`, "malformed json"},
		"an array":                       {`[]`, "malformed json"},
		"cut off":                        {whole[:len(whole)-20], "malformed json"},
		"two lines in one":               {whole + whole, "malformed json"},
		"a control character in a value": {with("101", "\"request_uri\":\"/a\x01\""), "malformed json"},
		"NULs":                           {strings.Repeat("\x00", 100), "malformed json"},
		"an unknown escape":              {with("101", `"x":"\q"`), "malformed json"},
		"an escape that is cut off":      {with("101", `"x":"\u12"`), "malformed json"},
		"brackets that do not close":     {`{"a":` + strings.Repeat("[", 100_000), "malformed json"},
		"no status":                      {`{` + connected + `}`, "missing field: status"},
		"a status that is no number":     {with(`"abc"`), "bad number: status"},
		"a status out of range":          {with("999"), "bad number: status"},
		"no time":                        {with("101", `"msec":""`), "missing field: msec"},
		"a time that is no number":       {with("101", `"msec":"soon"`), "bad time: msec"},
		"a time out of range":            {with("101", `"msec":99999999999999999999.1`), "bad time: msec"},
		"a time before nginx":            {with("101", `"msec":12.5`), "bad time: msec"},
		"a date that is none":            {with("101", `"msec":""`, `"time":"2026-13-45T00:00:00Z"`), "bad time: time_iso8601"},
		"a duration that is no number":   {with("101", `"request_time":"1,5"`), "bad number: request_time"},
		"a negative duration":            {with("101", `"request_time":-1.5`), "bad number: request_time"},
		"a duration of a century":        {with("101", `"request_time":3153600000`), "bad number: request_time"},
		"a size out of range":            {with("101", `"body_bytes_sent":99999999999999999999`), "bad number: body_bytes_sent"},
		"a port out of range":            {with("101", `"remote_port":70000`), "bad number: remote_port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parser(sourcetest.Settings(), nginx.Options{}).Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
			require.Contains(t, source.Reasons(), source.ReasonOf(err))
		})
	}
}

func newParser() source.Parser { return parser(sourcetest.Settings(), nginx.Options{}) }

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	sourcetest.Garbage(t, newParser, with("101"), with("403"))
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, append(sourcetest.ReadLines(f, filepath.Join("testdata", "access.json.log")),
		with("101"), with("503", `"limit_req_status":"REJECTED","x":{"y":[1]}`),
		with("403", "\"request_uri\":\"http://h/\\ud83d\\ude00\\x41?\xff\""))...)
}

// parser returns a parser with options that are not at fault.
func parser(s source.Settings, o nginx.Options) *nginx.Parser {
	p, err := nginx.New(s, o)
	if err != nil {
		panic(err)
	}
	return p
}
