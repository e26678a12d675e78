package haproxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/haproxy"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

const (
	head     = `203.0.113.7:58402 [22/Nov/2026:07:00:23.882] fe_ws `
	served   = head + `bk_ws/ws1 0/1/2/9/1518 101 225 - - ---- 1/1/0/0/0 0/0 `
	captured = `{chat.example.test|websocket|drv/1.0 (study)} {} `
	get      = `"GET /rooms/42?x=1 HTTP/1.1"`
)

// line returns a line of option httplog with that server, timers, status and state.
func line(server, timers, status, state string) string {
	return head + server + " " + timers + " " + status + " 225 - - " + state + " 1/1/0/0/0 0/0 " + captured + get
}

func connection(state string) string { return line("bk_ws/ws1", "0/1/2/9/1518", "101", state) }

const cfg = `
frontend fe_ws
  option httplog
  capture request header X-Forwarded-For len 40
  capture request header Sec-WebSocket-Protocol len 40
  capture request header Host len 64
  capture request header Upgrade len 16
  capture response header Server len 16
  capture response header Sec-WebSocket-Protocol len 32`

func TestWhatALineProves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		template, line string
		want           []string
	}{
		"101 is an open and a close": {"", connection("----"),
			[]string{"websocket.open http.response.status_code=101 http.request.method=GET url.path=/rooms/42 url.query=x=1 " +
				"url.scheme=ws server.address=chat.example.test user_agent.original=drv/1.0 (study) client.address=203.0.113.7 " +
				"client.port=58402 websocket.http.version=1.1 websocket.handshake.duration=0.012 websocket.source.evidence=observed " +
				"websocket.source.visibility=at_close",
				"websocket.close websocket.connection.duration=1.518 websocket.close.initiator=unknown error.type= " +
					"websocket.io.sent= websocket.io.received="}},
		"cD is the tunnel's timeout": {"", connection("cD--"),
			[]string{"websocket.open", "websocket.close error.type=idle_timeout websocket.close.initiator=proxy"}},
		"sD likewise": {"", connection("sD--"),
			[]string{"websocket.open", "websocket.close error.type=idle_timeout websocket.close.initiator=proxy"}},
		"CD is a reset by the client": {"", connection("CD--"),
			[]string{"websocket.open", "websocket.close error.type=connection_reset websocket.close.initiator=client"}},
		"SD proves no reset": {"", connection("SD--"),
			[]string{"websocket.open", "websocket.close error.type= websocket.close.initiator=server"}},
		"D: the server was found down": {"", connection("DD--"),
			[]string{"websocket.open", "websocket.close error.type=upstream_lost websocket.close.initiator=proxy"}},
		"K: killed by an administrator": {"", connection("KD--"),
			[]string{"websocket.open", "websocket.close error.type= websocket.close.initiator=proxy"}},
		"option logasap writes at the open and knows no close": {"", head +
			`bk_ws/ws1 0/1/2/9/+12 101 +165 - - ---- 1/1/0/0/0 0/0 ` + captured + get,
			[]string{"websocket.open websocket.source.visibility=at_open websocket.handshake.duration=0.012"}},
		"a frontend's name ends with a tilde where TLS ended": {"", strings.Replace(connection("----"), "fe_ws ", "fe_ws~ ", 1),
			[]string{"websocket.open url.scheme=wss", "websocket.close url.scheme=wss"}},
		"SC is an upstream that is down": {"", line("bk/dead", "0/0/-1/-1/1004", "503", "SC--"),
			[]string{"websocket.handshake.rejected http.response.status_code=503 error.type=upstream_unavailable websocket.handshake.duration=1.004"}},
		"sH is one that did not answer": {"", line("bk/ws1", "0/0/0/-1/3002", "504", "sH--"),
			[]string{"websocket.handshake.rejected error.type=upstream_timeout"}},
		"CH is a client that left, though HAProxy notes 400": {"", line("bk/ws1", "0/0/0/-1/502", "400", "CH--"),
			[]string{"websocket.handshake.rejected http.response.status_code=400 error.type=client_aborted"}},
		"CC with no status": {"", line("bk/ws1", "0/0/-1/-1/502", "-1", "CC--"),
			[]string{"websocket.handshake.rejected http.response.status_code= error.type=client_aborted"}},
		"PR with 403 was denied": {"", line("fe_ws/<NOSRV>", "0/-1/-1/-1/0", "403", "PR--"),
			[]string{"websocket.handshake.rejected error.type=forbidden"}},
		"429 was limited": {"", line("fe_ws/<NOSRV>", "0/-1/-1/-1/0", "429", "PR--"),
			[]string{"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"401 is a failure of authentication": {"", line("bk/ws1", "0/0/0/1/1", "401", "----"),
			[]string{"websocket.handshake.rejected error.type=unauthenticated", "websocket.auth websocket.auth.result=failure"}},
		"a request that HAProxy could not read is nobody's": {"",
			head + `fe_ws/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"`, nil},
		"an upgrade to something else": {"", strings.Replace(line("bk/ws1", "0/0/0/1/1", "426", "----"), "websocket", "h2c", 1), nil},
		"a request that asks for none": {"", strings.Replace(line("bk/ws1", "0/0/0/1/1", "200", "----"), "websocket", "", 1), nil},
		"without captures a rejection": {"", head + `bk/ws1 0/0/0/1/1 403 225 - - ---- 1/1/0/0/0 0/0 ` + get, nil},
		"without captures, 101 is taken for one": {"", served + get,
			[]string{"websocket.open websocket.source.evidence=inferred server.address=", "websocket.close"}},
		"a line that was cut": {"", strings.TrimSuffix(served+captured+get, `=1 HTTP/1.1"`),
			[]string{"websocket.open url.path=/rooms/42 url.query=x", "websocket.close"}},
		"a quote in the target": {"", served + captured + `"GET /a#22b#7c HTTP/1.1"`,
			[]string{`websocket.open url.path=/a"b|`, "websocket.close"}},
		"an IPv6 client": {"", strings.Replace(connection("----"), "203.0.113.7", "2001:db8::1", 1),
			[]string{"websocket.open client.address=2001:db8::1 client.port=58402", "websocket.close"}},
		"a UNIX socket is nobody's address": {"", strings.Replace(connection("----"), "203.0.113.7", "unix", 1),
			[]string{"websocket.open client.address= client.port=", "websocket.close"}},
		"one captured header that only successes have": {"", served + `{websocket} {chat.v1} ` + get,
			[]string{"websocket.open websocket.subprotocol=chat.v1", "websocket.close websocket.subprotocol=chat.v1"}},
		"several captured headers of the response that nobody has named": {"", served + `{websocket} {nginx|chat.v1} ` + get,
			[]string{"websocket.open websocket.subprotocol=", "websocket.close"}},
		"an address that nobody has named is not the host": {"", served + `{198.51.100.1|websocket} {} ` + get,
			[]string{"websocket.open server.address=", "websocket.close"}},
		"one with a port is": {"", served + `{198.51.100.1|websocket|192.0.2.1:8443} {} ` + get,
			[]string{"websocket.open server.address=192.0.2.1 server.port=8443", "websocket.close"}},
		"one in brackets is": {"", served + `{2001:db8::1|websocket|[2001:db8::2]} {} ` + get,
			[]string{"websocket.open server.address=2001:db8::2 server.port=", "websocket.close"}},
		"captures named by the configuration": {cfg, served + `{198.51.100.1|chat.v1, chat.v0|192.0.2.1:8443|websocket} {nginx|chat.v1} ` + get,
			[]string{"websocket.open server.address=192.0.2.1 server.port=8443 websocket.client.subprotocols=chat.v1,chat.v0 " +
				"websocket.subprotocol=chat.v1", "websocket.close"}},
		"Upgrade named by the configuration and something else": {cfg, served + `{|||h2c} {} ` + get, nil},
		"option httpslog": {"option httpslog", served + captured + get + " 0/0/0/0/0 sni.example.test/TLSv1.3/TLS_AES_128_GCM_SHA256",
			[]string{"websocket.open tls.protocol.version=1.3 url.scheme=wss", "websocket.close"}},
		"option httplog clf": {"option httplog clf",
			`203.0.113.7 - - [22/Nov/2026:07:00:23 +0000] "GET /a%20b?x=1 HTTP/1.1" 101 132 "" "" 58402 599 "fe~" "bk" "s" 0 0 0 60 1518 cD-- 1 1 0 0 0 0 0 "" "" `,
			[]string{"websocket.open client.address=203.0.113.7 client.port=58402 url.path=/a%20b url.scheme=wss",
				"websocket.close error.type=idle_timeout websocket.connection.duration=1.518"}},
		"the same with captured headers": {"${HAPROXY_HTTP_CLF_LOG_FMT}",
			`203.0.113.7 - - [22/Nov/2026:07:00:23 +0000] "GET /a HTTP/1.1" 101 132 "" "" 58402 599 "fe" "bk" "s" 0 0 0 60 1518 ---- 1 1 0 0 0 0 0 "" "" "ws.example.test:8443" "websocket" "chat.v1" `,
			[]string{"websocket.open url.path=/a", "websocket.close"}},
		"a format that adds to that of option httplog": {
			"http-request set-var(txn.up) req.hdr(upgrade)\nlog-format \"${HAPROXY_HTTP_LOG_FMT} up:%{+Q}[var(txn.up)]\"",
			line("bk/ws1", "0/0/0/1/1", "403", "----") + ` up:"websocket"`,
			[]string{"websocket.handshake.rejected websocket.source.evidence=observed"}},
		"option httpslog, TLS failed": {"option httpslog",
			head + `fe_ws/<NOSRV> -1/-1/-1/-1/0 0 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>" 38/0A000416/0/0/0 -/TLSv1.3/-`,
			[]string{"websocket.handshake.rejected error.type=tls_failed websocket.source.evidence=inferred"}},
		"TLS failed": {"", `203.0.113.7:58402 [22/Nov/2026:07:00:23.882] fe_ws/1: SSL handshake failure`,
			[]string{"websocket.handshake.rejected error.type=tls_failed http.response.status_code= url.scheme=wss " +
				"client.address=203.0.113.7 client.port=58402 websocket.source.evidence=inferred"}},
		"TLS failed, with the library's words": {"",
			`[2001:db8::1]:58402 [22/Nov/2026:07:00:23.882] fe_ws/127.0.0.1:8443: SSL handshake failure (error:0A000416:SSL routines::sslv3 alert)`,
			[]string{"websocket.handshake.rejected error.type=tls_failed"}},
		"an error-log-format": {"option httplog\nerror-log-format \"%T|%ci|%[fc_err_str]\"", `22/Nov/2026:07:00:23 +0000|203.0.113.7|Connection closed during SSL handshake`,
			[]string{"websocket.handshake.rejected error.type=tls_failed client.address=203.0.113.7"}},
		"a connection that ended before TLS began": {"", `203.0.113.7:58402 [22/Nov/2026:07:00:23.882] fe_ws/1: Received something which does not look like a PROXY protocol handshake`, nil},
		"a notice": {"", "Server bk_ws/ws1 is DOWN, reason: Layer4 connection problem.", nil},

		"RFC 3164": {"", "<134>Nov 22 07:00:25 haproxy[123]: " + connection("----"), []string{"websocket.open", "websocket.close"}},
		"RFC 3164 with a host, as a daemon writes it to a file": {"", "Nov  2 07:00:25 edge-1 haproxy[123]: " + connection("----"), []string{"websocket.open", "websocket.close"}},
		"RFC 3339 with a host, as newer daemons do":             {"", "2026-11-22T07:00:25.123456+00:00 edge-1 haproxy[123]: " + connection("----"), []string{"websocket.open", "websocket.close"}},
		"RFC 5424":                      {"", "<134>1 2026-11-22T07:00:25.123456+00:00 edge-1 haproxy 123 - - " + connection("----"), []string{"websocket.open", "websocket.close"}},
		"RFC 5424 with structured data": {"", `<134>1 2026-11-22T07:00:25Z edge-1 haproxy 123 - [a@1 b="c"] ` + connection("----"), []string{"websocket.open", "websocket.close"}},
		"a priority alone":              {"", "<134>" + connection("----"), []string{"websocket.open", "websocket.close"}},
		"a tag without a process":       {"", "Nov 22 07:00:25 edge-1 haproxy: " + connection("----"), []string{"websocket.open", "websocket.close"}},
		"JSON with usual keys, behind a head": {"", `Nov 22 07:00:25 edge-1 haproxy[1]: {"accept_date":"22/Nov/2026:07:00:23.882","client_ip":"203.0.113.7","status_code":101,"Ta":"1518","termination_state":"cD","http_upgrade":"websocket"}`,
			[]string{"websocket.open client.address=203.0.113.7", "websocket.close websocket.connection.duration=1.518 error.type=idle_timeout"}},

		"a format of one's own": {`"%{+Q}o %T %ci %ST %Tt %ts %[var(txn.host)] %[capture.req.hdr(0)] %HM %HP %HQ %HV %sslv"`,
			`22/Nov/2026:07:00:23 +0000 "203.0.113.7" 101 1518 CD "chat.example.test" "websocket" "GET" "/a" "?x=1" "HTTP/1.1" "TLSv1.2"`,
			[]string{"websocket.open server.address=chat.example.test url.path=/a url.query=x=1 tls.protocol.version=1.2 http.request.method=GET " +
				"websocket.handshake.duration= websocket.source.evidence=observed",
				"websocket.close websocket.connection.duration=1.518 error.type=connection_reset"}},
		"captured headers in quotes, of which values of expressions are not escaped": {`%{+Q}o %t %ST %Ta %hr %[capture.req.hdr(1)] %HU`,
			`22/Nov/2026:07:00:23.882 101 1518 "{websocket|a #22b#22}" "a "b" #22" "/a#22"`,
			[]string{"websocket.open url.path=/a\"", "websocket.close"}},
		"one with quotes in quotes, and a comment": {`log-format "%ci:%cp [%t] %ST \"%HU\" %hr" # mine`,
			`203.0.113.7:5 [22/Nov/2026:07:00:23.882] 403 "/a" {websocket}`, []string{"websocket.handshake.rejected url.path=/a"}},
		"one with backslashes, as the manual has it": {`log-format %ci:%cp\ [%t]\ %ST\ %Ta\ %hr\ %{+Q}r`,
			`203.0.113.7:5 [22/Nov/2026:07:00:23.882] 101 1518 {websocket|a b} "GET / HTTP/1.1"`,
			[]string{"websocket.open url.path=/", "websocket.close"}},
		"JSON of which some values are escaped and some are not": {`{"u":"%HU","h":"%[capture.req.hdr(0),json(utf8s)]","s":%ST,"t":"%t","a":%Ta}`,
			`{"u":"/a\","h":"websocket","s":403,"t":"22/Nov/2026:07:00:23.882","a":1}`,
			[]string{`websocket.handshake.rejected url.path=/a\`}},
		"variables set from headers": {"http-request set-var(txn.u) req.hdr(upgrade)\nhttp-request set-var(txn.h) req.hdr(host),lower\n" +
			"log-format \"%Ts.%ms %ST %Ta %[var(txn.u)] %[var(txn.h)] %HPO\"",
			`1795330823.882 403 12 WebSocket chat.example.test:8443 /a`,
			[]string{"websocket.handshake.rejected server.address=chat.example.test server.port=8443 url.path=/a websocket.handshake.duration=0.012"}},
		"captures by rules": {"http-request capture req.hdr(User-Agent) len 10\nhttp-request capture req.hdr(Upgrade) len 10\n" +
			"log-format \"%t %ST %Ta %[capture.req.hdr(1)] %[capture.req.hdr(0)]\"",
			`22/Nov/2026:07:00:23.882 403 12 websocket drv/1`,
			[]string{"websocket.handshake.rejected user_agent.original=drv/1"}},
		"a JSON object that HAProxy makes itself": {
			`log-format "%{+json}o %(when)Ts %(millis)ms %(code)ST %(took:sint)Ta %(up)[capture.req.hdr(0)] %(from)ci %(state)tsc"` + "\ncapture request header Upgrade len 10",
			`{"when":1795330823,"millis":882,"code":101,"took":1518,"up":"websocket","from":"203.0.113.7","state":"cD--"}`,
			[]string{"websocket.open client.address=203.0.113.7", "websocket.close error.type=idle_timeout websocket.connection.duration=1.518"}},
		"a total counts from the accept on": {`%t %Th %ST %Tt %[capture.req.hdr(0)]`, `22/Nov/2026:07:00:23.882 18 101 1536 websocket`,
			[]string{"websocket.open", "websocket.close websocket.connection.duration=1.518"}},
		"without a duration nobody knows when it closed": {`%t %ST %[capture.req.hdr(0)]`, `22/Nov/2026:07:00:23.882 101 websocket`,
			[]string{"websocket.open"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := haproxy.New(sourcetest.Settings(), c.template, nil)
			require.NoError(t, err)
			sourcetest.AssertEvents(t, c.want, sourcetest.Parse(t, p, c.line))
		})
	}
}

func TestPathsProveAttempts(t *testing.T) {
	t.Parallel()
	p, err := haproxy.New(sourcetest.Settings(), "", []string{"/rooms/*"})
	require.NoError(t, err)
	denied := head + `bk/ws1 0/0/0/1/1 403 225 - - ---- 1/1/0/0/0 0/0 ` + get
	sourcetest.AssertEvents(t, []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred"},
		sourcetest.Parse(t, p, denied))
	require.Empty(t, sourcetest.Parse(t, p, strings.Replace(denied, "/rooms", "/other", 1)))
}

func TestTimes(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 11, 22, 7, 0, 23, 882_000_000, time.UTC)
	events := sourcetest.Parse(t, newParser(), connection("----"))
	require.Equal(t, opened, events[0].Time)
	require.Equal(t, opened.Add(1518*time.Millisecond), events[0].Observed)
	require.Equal(t, opened.Add(1518*time.Millisecond), events[1].Time)

	s := sourcetest.Settings()
	s.Zone = time.FixedZone("", 3600)
	p, err := haproxy.New(s, "", nil)
	require.NoError(t, err)
	require.Equal(t, opened.Add(-time.Hour), sourcetest.Parse(t, p, connection("----"))[0].Time, "HAProxy writes local time")
}

func TestWhatCapturesAreIsRememberedFromLineToLine(t *testing.T) {
	t.Parallel()
	p := newParser()
	require.Len(t, sourcetest.Parse(t, p, served+`{a|websocket} {} `+get), 2)
	require.Empty(t, sourcetest.Parse(t, p, served+`{a|h2c} {} `+get), "now the second is known to be Upgrade")
	require.Equal(t, "v1", sourcetest.Parse(t, p, served+`{a|websocket} {v1} `+get)[0].String(event.Subprotocol))
	require.Len(t, sourcetest.Parse(t, p, strings.Replace(served, " 101 ", " 403 ", 1)+`{a|websocket} {nginx} `+get), 1)
	require.Empty(t, sourcetest.Parse(t, p, served+`{a|websocket} {nginx} `+get)[0].String(event.Subprotocol),
		"rejections have it too, so it is no subprotocol")
}

func TestConnectionIDsTellConnectionsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, text := range []string{
		connection("----"), strings.Replace(connection("----"), "58402", "58403", 1),
		strings.Replace(connection("----"), ".882", ".883", 1), strings.Replace(connection("----"), "fe_ws", "fe_b", 1),
	} {
		events := sourcetest.Parse(t, newParser(), text)
		id := events[0].String(event.ConnectionID)
		require.Equal(t, id, events[1].String(event.ConnectionID))
		require.False(t, seen[id], text)
		seen[id] = true
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ template, line, want string }{
		"another format":        {"", "127.0.0.1 - - [22/Nov/2026:07:00:23 +0000]", "other format: %tr"},
		"a status that is none": {"", line("bk/ws1", "0/0/0/1/1", "abc", "----"), "bad number: %ST"},
		"a timer that is none":  {"", line("bk/ws1", "0/0/0/1/x", "101", "----"), "bad number: %Ta"},
		"a timer of a century":  {"", line("bk/ws1", "0/0/0/1/3153600000000", "101", "----"), "bad number: %Ta"},
		"a time that is none":   {"", strings.Replace(connection("----"), "22/Nov", "32/Nov", 1), "bad time: %tr"},
		"a port that is none":   {"", strings.Replace(connection("----"), "58402", "70000", 1), "bad number: %ci:%cp"},
		"JSON that is cut off":  {"", `{"status":101`, "malformed json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := haproxy.New(sourcetest.Settings(), c.template, nil)
			require.NoError(t, err)
			err = p.Parse([]byte(c.line), func(*event.Event) { t.Error("an event was emitted") })
			require.EqualError(t, err, c.want)
		})
	}
}

func TestFormatsThatCannotBeCompiled(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"%ci":       "add %ST: without it no line says what became of a handshake\nadd [%tr]: without a time no line can be used",
		"%ci%cp":    "column 4: nothing stands between %ci and %cp, so their values cannot be told apart; put a space or a quote there",
		"%ci %":     "column 5: no variable follows the %",
		"%ci %[src": "column 6: a bracket is not closed",
		"%ci %{+Q":  "column 6: a brace is not closed",
		"hello":     "it has no variable, so every line would be the same",
		"frontend a\ncapture request header Host len 9\nfrontend b\noption httplog\n http-request capture req.hdr(upgrade) len 9": "several frontends have captures; give the lines of one frontend only",
		"log-format \"%ci %t \\\n  %ST\"":  "log-format: the quote does not end on its line, as HAProxy has it; join the lines",
		"log-format a%ci\nlog-format b%ci": "there are several log-formats; give the lines of one frontend only",
	} {
		_, err := haproxy.New(source.Settings{}, template, nil)
		require.EqualError(t, err, want, template)
	}
}

func TestAdviceNamesWhatTheFormatLacks(t *testing.T) {
	t.Parallel()
	p, err := haproxy.New(source.Settings{}, "%ci:%cp %T %ST", nil)
	require.NoError(t, err)
	require.Equal(t, []string{
		"add `capture request header Upgrade len 16` and %hr, or name websocket_paths, to see handshakes that were rejected",
		"add %Ta, to see how long connections lasted and when they closed",
		"add %ts, to see idle timeouts and resets",
		"add %TR/%Tw/%Tc/%Tr, to see how long handshakes took",
	}, p.Advice())

	p, err = haproxy.New(source.Settings{}, "%ci:%cp %tr %[capture.req.hdr(0)] %ts %TR %Tw %Tc %Tr %Ta %ST", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"put %[capture.req.hdr(0)] in quotes, as %{+Q} does: a client can put spaces into it"}, p.Advice())
}

func newParser() source.Parser { return parserOf("") }

func parserOf(template string) source.Parser {
	p, err := haproxy.New(sourcetest.Settings(), template, nil)
	if err != nil {
		panic(err)
	}
	return p
}

func TestGarbageIsCountedAndLeavesNothing(t *testing.T) {
	for _, template := range []string{"", `%{+Q}o %T %ci %ST %Tt %ts %[capture.req.hdr(0)]`} {
		good := []string{connection("cD--"), line("bk/ws1", "0/0/0/1/1", "403", "----")}
		if template != "" {
			good = []string{`22/Nov/2026:07:00:23 +0000 "203.0.113.7" 101 1518 CD "websocket"`}
		}
		sourcetest.Garbage(t, func() source.Parser { return parserOf(template) }, good...)
	}
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, append(append(sourcetest.ReadLines(f, filepath.Join("testdata", "httplog.log")),
		sourcetest.ReadLines(f, filepath.Join("testdata", "json.log"))...),
		"<134>1 2026-11-22T07:00:25Z h haproxy 1 - [a] "+connection("CD--"), "Nov 22 07:00:25 haproxy[1]: "+connection("CD--"),
		`203.0.113.7:58402 [22/Nov/2026:07:00:23.882] fe_ws/1: SSL handshake failure`,
		head+`bk_ws/ws1 0/1/2/9/+12 101 +165 - - ---- 1/1/0/0/0 0/0 `+captured+get)...)
}

// FuzzFormat: no format may make New panic, and what it compiles must hold for any line.
func FuzzFormat(f *testing.F) {
	f.Add(cfg, []byte(connection("----")))
	f.Add(`log-format '{"a":"%Ts.%ms","b":%ST,"c":"%[capture.req.hdr(0),json(utf8s)]"}'`, []byte(`{"a":"1795330823.882","b":403,"c":"websocket"}`))
	f.Add(`%{+json}o %(a)Ts %(b)ST`, []byte(`{"a":1795330823,"b":101}`))
	f.Add(`%{+Q,+X}o %T\ %hr %hs %r`, []byte(`"a" {b} {c} "d"`))
	f.Fuzz(func(t *testing.T, template string, text []byte) {
		p, err := haproxy.New(sourcetest.Settings(), template, nil)
		if err != nil {
			return
		}
		p.Advice()
		sourcetest.Try(t, p, text)
	})
}

func BenchmarkParse(b *testing.B) {
	const custom = `%T %ci:%cp %ft %ST %TR/%Tw/%Tc/%Tr/%Ta %ts %hr %hs %ID %{+Q}r`
	json, err := os.ReadFile(filepath.Join("testdata", "haproxy-json.cfg"))
	require.NoError(b, err)
	lines := sourcetest.ReadLines(b, filepath.Join("testdata", "httplog.log"))
	own := make([]string, 0, len(lines))
	for _, l := range lines {
		// The same requests in a format of one's own.
		w := strings.SplitN(l, " ", 14)
		if len(w) == 14 {
			own = append(own, "22/Nov/2026:07:00:23 +0000 "+w[0]+" "+w[2]+" "+w[5]+" "+w[4]+" "+w[9][:2]+" "+
				strings.Replace(strings.Join(w[12:], " "), ` "`, ` 7F000001:AF5E_7F000001 "`, 1))
		}
	}
	b.Run("httplog", func(b *testing.B) { sourcetest.Benchmark(b, newParser(), lines) })
	b.Run("custom", func(b *testing.B) { sourcetest.Benchmark(b, parserOf(custom), own) })
	b.Run("json", func(b *testing.B) {
		sourcetest.Benchmark(b, parserOf(string(json)), sourcetest.ReadLines(b, filepath.Join("testdata", "json.log")))
	})
	b.Run("json by its usual keys", func(b *testing.B) {
		sourcetest.Benchmark(b, newParser(), sourcetest.ReadLines(b, filepath.Join("testdata", "json.log")))
	})
}

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), []string{connection("----"), connection("cD--"),
		line("bk/ws1", "0/0/0/1/1", "403", "----")}, 2)
	json, err := os.ReadFile(filepath.Join("testdata", "haproxy-json.cfg"))
	require.NoError(t, err)
	sourcetest.AssertAllocations(t, parserOf(string(json)), sourcetest.ReadLines(t, filepath.Join("testdata", "json.log")), 2)
}
