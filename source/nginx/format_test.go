package nginx_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

const closed = "websocket.close websocket.connection.duration=1.518 websocket.io.sent=60 client.address=203.0.113.7"

func TestAnyLogFormatIsReadAsItStandsInNginxConf(t *testing.T) {
	t.Parallel()
	const (
		plain    = `$remote_addr|$msec|$request_time|$status|$body_bytes_sent|$request_uri|$http_upgrade`
		line     = `203.0.113.7|1795330811.356|1.518|101|60|/a?b|websocket`
		pathOpen = "websocket.open url.path=/a url.query=b http.response.status_code=101 websocket.source.evidence=observed"
	)
	for name, c := range map[string]struct{ template, line string }{
		"the bare text":                           {plain, line},
		"quoted":                                  {`'` + plain + `'`, line},
		"the whole directive":                     {"log_format main '" + plain + "';\n", line},
		"in double quotes":                        {`log_format main "` + plain + `";`, line},
		"several quoted strings, over lines":      {"'$remote_addr|$msec|$request_time|'\n  # what\n  '$status|$body_bytes_sent|$request_uri|$http_upgrade';", line},
		"words without quotes":                    {`log_format main $remote_addr|$msec|$request_time| '$status|$body_bytes_sent|' $request_uri|$http_upgrade;`, line},
		"names in braces":                         {`'${remote_addr}x${msec}x$request_time|${status}x$body_bytes_sent|$request_uri|$http_upgrade'`, `203.0.113.7x1795330811.356x1.518|101x60|/a?b|websocket`},
		"JSON with its own keys":                  {`escape=json '{"t":$msec,"took":"$request_time","from":"$remote_addr","code":$status,"b":$body_bytes_sent,"what":"$request_uri","up":"$http_upgrade","x":"$my_own"}'`, `{"t":1795330811.356,"took":"1.518","from":"203.0.113.7","code":101,"b":60,"what":"/a?b","up":"websocket","x":"a\"b"}`},
		"JSON without escape=json":                {`'{"t":$msec,"took":$request_time,"from":"$remote_addr","code":$status,"b":$body_bytes_sent,"what":"$request_uri","up":"$http_upgrade"}'`, `{"t":1795330811.356,"took":1.518,"from":"203.0.113.7","code":101,"b":60,"what":"/a?b","up":"websocket"}`},
		"escape=none":                             {`escape=none '` + plain + `'`, line},
		"variables unknown to us":                 {`$geoip_country_code ` + plain + ` "$http_x_mine" $upstream_addr`, `- ` + line + ` "a \x22b\x22" 10.0.0.1:80, 10.0.0.2:80`},
		"unquoted times and requests":             {`$time_local $request $status $request_time $msec $remote_addr $body_bytes_sent $http_upgrade`, `22/Nov/2026:07:00:11 +0000 GET /a?b HTTP/1.1 101 1.518 1795330811.356 203.0.113.7 60 websocket`},
		"a list of upstreams":                     {`$upstream_header_time ` + plain, `0.001, 0.002 : 0.003 ` + line},
		"a path directly behind the host":         {`$scheme://$host$request_uri ` + plain, `https://chat.example.test/a?b ` + line},
		"path and query apart":                    {`"$request_method $uri$is_args$args" $remote_addr $msec $request_time $status $body_bytes_sent $http_upgrade`, `"GET /a?b" 203.0.113.7 1795330811.356 1.518 101 60 websocket`},
		"escaped characters of the configuration": {`'it\'s \$ \\ ` + plain + `'`, ``},
		"a tab": {`'$remote_addr\t$msec\t$request_time\t$status\t$body_bytes_sent\t$request_uri\t$http_upgrade'`, "203.0.113.7\t1795330811.356\t1.518\t101\t60\t/a?b\twebsocket"},
		"the time in another zone, and no seconds": {`[$time_iso8601] ` + plain, `[2026-11-22T09:00:11+02:00] ` + line},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := nginx.New(sourcetest.Settings(), nginx.Options{Template: c.template})
			if c.line == "" {
				// nginx has no way to write a "$".
				require.ErrorContains(t, err, `"$" without the name of a variable`)
				return
			}
			require.NoError(t, err)
			sourcetest.AssertEvents(t, []string{pathOpen, closed}, sourcetest.Parse(t, p, c.line))
		})
	}
}

func TestWhatALineOfCombinedProves(t *testing.T) {
	t.Parallel()
	line := func(request, status string) string {
		return `203.0.113.7 - - [22/Nov/2026:09:00:11 +0200] "` + request + `" ` + status + ` 60 "-" "drv/1.0 \x22x\x22"`
	}
	for name, c := range map[string]struct {
		paths   []string
		line    string
		want    []string
		skipped bool
	}{
		"101 is an open and a close, inferred": {nil, line("GET /rooms/7?token=a HTTP/1.1", "101"), []string{
			`websocket.open url.path=/rooms/7 url.query=token=a websocket.source.evidence=inferred user_agent.original=drv/1.0 "x"`,
			"websocket.close websocket.io.sent=60 websocket.connection.duration= websocket.source.evidence=inferred"}, false},
		"a failure is like any request":  {nil, line("GET /rooms/7 HTTP/1.1", "403"), nil, true},
		"on a path that is a WebSocket":  {[]string{"/rooms/*"}, line("GET /rooms/7?x HTTP/1.1", "403"), []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred websocket.handshake.duration="}, false},
		"on that very path":              {[]string{"/a", "/ws"}, line("GET /ws HTTP/1.1", "502"), []string{"websocket.handshake.rejected error.type=upstream_unavailable"}, false},
		"401 there":                      {[]string{"/ws"}, line("GET /ws HTTP/1.1", "401"), []string{"websocket.handshake.rejected error.type=unauthenticated", "websocket.auth websocket.auth.result=failure"}, false},
		"on another path":                {[]string{"/rooms/*"}, line("GET /rooms/7/users HTTP/1.1", "403"), nil, true},
		"with another method":            {[]string{"/ws"}, line("POST /ws HTTP/1.1", "405"), nil, true},
		"426 asked for no upgrade":       {[]string{"/ws"}, line("GET /ws HTTP/1.1", "426"), nil, true},
		"a request that is none":         {[]string{"/ws"}, line(`\x16\x03\x01`, "400"), nil, true},
		"polling of Socket.IO":           {[]string{"/ws"}, line("GET /ws?EIO=4&transport=polling HTTP/1.1", "200"), nil, true},
		"101 needs no path":              {[]string{"/ws"}, line("GET /b HTTP/1.1", "101"), []string{"websocket.open", "websocket.close"}, false},
		"000 and a dash for the request": {nil, line("-", "000"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parser(sourcetest.Settings(), nginx.Options{Template: nginx.Combined, Paths: c.paths})
			if c.skipped {
				require.Equal(t, source.ErrSkipped, p.Parse([]byte(c.line), func(*event.Event) { t.Error("an event") }))
				return
			}
			sourcetest.AssertEvents(t, c.want, sourcetest.Parse(t, p, c.line))
		})
	}
	p := parser(sourcetest.Settings(), nginx.Options{Template: nginx.Combined})
	for text, want := range map[string]string{
		line("GET / HTTP/1.1", "abc"):                 "bad number: status",
		line("GET / HTTP/1.1", "101") + ` "10.0.0.1"`: "other format",
		`{"status":101}`:                              "other format: remote_addr",
		`203.0.113.7 - - [22/Foo/2026:09:00:11 +0200] "GET / HTTP/1.1" 101 60 "-" "x"`: "bad time: time_local",
	} {
		require.EqualError(t, p.Parse([]byte(text), func(*event.Event) { t.Error("an event") }), want)
	}
}

func TestATemplateAtFaultSaysWhere(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		`$status $host$msec`:                       "column 14: nothing stands between host and msec, so their values cannot be told apart; put a space or a quote there",
		`$status ${msec`:                           `column 9: "${" without "}"`,
		`$status $ $msec`:                          `column 9: "$" without the name of a variable`,
		"'$msec '\n  '$status$host'":               "line 2, column 11: nothing stands between status and host, so their values cannot be told apart; put a space or a quote there",
		"log_format a '$status":                    "column 14: a quote that does not end",
		`log_format a escape=xml '$status $msec';`: "column 14: escape must be default, json or none",
		`log_format a;`:                            "the format is empty",
		`$remote_addr "$request"`: "add $status: without it no line says what became of a handshake\n" +
			"add $msec: without a time no line says when it was written",
		`nothing`: "it has no variable, so every line would be the same",
	} {
		_, err := nginx.New(sourcetest.Settings(), nginx.Options{Template: template})
		require.EqualError(t, err, want, template)
	}
}

func TestAFormatThatLacksSomethingIsToldSo(t *testing.T) {
	t.Parallel()
	advice := func(o nginx.Options) []string { return parser(sourcetest.Settings(), o).Advice() }
	require.Empty(t, advice(nginx.Options{}), "of JSON the keys are not known before its lines are")
	require.Empty(t, advice(nginx.Options{Template: `$http_upgrade|$request_time|$upstream_header_time|$msec|$connection|` +
		`$status|$request_uri|$http_host|$body_bytes_sent|$remote_addr`, ErrorLog: nginx.NewErrorLog(nil, 1)}))
	require.Equal(t, []string{
		"add $http_upgrade to see rejected handshakes, or name the paths that are WebSockets",
		"add $request_time to see how long connections and rejected handshakes took",
		"add $upstream_header_time to see how long successful handshakes took",
		"add $msec: the times of this format have whole seconds",
		"add $request_id or $connection to tell connections apart that a client opens in the same second",
		"add $http_host to see which host was asked for",
	}, advice(nginx.Options{Template: nginx.Combined}))
	require.Equal(t, []string{
		"add $http_upgrade to know which requests were handshakes; now their path decides, and they are called inferred",
		"add $upstream_header_time to see how long successful handshakes took",
		"add $http_host to see which host was asked for",
		"add $body_bytes_sent to see bytes sent",
		"add $connection: without it no line of the error log can be joined",
		"add $remote_addr: without it no line of the error log can be joined",
		"use escape=json or escape=default: with escape=none a client can make a line look like another",
		"put $http_user_agent into quotes: a space that a client puts there makes the line unreadable",
	}, advice(nginx.Options{Template: `escape=none '$msec $request_id $http_user_agent "$request" $status $request_time'`,
		Paths: []string{"/ws"}, ErrorLog: nginx.NewErrorLog(nil, 1)}))
}

func FuzzTemplate(f *testing.F) {
	f.Add(`$status $msec "$request" $http_upgrade`, []byte(`101 1795330811.356 "GET / HTTP/1.1" websocket`))
	f.Add("log_format a escape=json '{\"a\":\"$status\",'\n'\"b\":${msec}}';", []byte(`{"a":"101","b":1795330811.356}`))
	f.Add(`escape=none "$time_local$request_uri" $upstream_addr $status`, []byte(`22/Nov/2026:07:00:11 +0000/ 1, 2 101`))
	f.Add(nginx.Combined, []byte(`::1 - - [22/Nov/2026:07:00:11 +0000] "GET / HTTP/1.1" 101 0 "-" "-"`))
	f.Fuzz(func(t *testing.T, template string, line []byte) {
		p, err := nginx.New(sourcetest.Settings(), nginx.Options{Template: template, Paths: []string{"/*"}})
		if err != nil {
			return
		}
		p.Advice()
		sourcetest.Try(t, p, line)
	})
}

func FuzzCombined(f *testing.F) {
	sourcetest.Fuzz(f, func() source.Parser {
		return parser(sourcetest.Settings(), nginx.Options{Template: nginx.Combined, Paths: []string{"/*"}})
	}, append(sourcetest.ReadLines(f, filepath.Join("testdata", "access.combined.log")),
		`203.0.113.7 - u [22/Nov/2026:09:00:11 +0200] "GET /rooms?x HTTP/1.1" 401 60 "-" "drv/1.0 \x22x\x22"`)...)
}

func TestNoLineBreaksAnyFormat(t *testing.T) {
	for _, template := range []string{nginx.Combined, `escape=json '{"a":"$http_upgrade","b":$status,"c":"$request","d":$msec}'`} {
		sourcetest.Garbage(t, func() source.Parser {
			return parser(sourcetest.Settings(), nginx.Options{Template: template, Paths: []string{"/*"}})
		})
	}
	sourcetest.Garbage(t, func() source.Parser {
		return parser(sourcetest.Settings(), nginx.Options{Template: nginx.Combined, Paths: []string{"/*"}})
	}, `203.0.113.7 - - [22/Nov/2026:09:00:11 +0200] "GET /rooms HTTP/1.1" 101 60 "-" "drv/1.0 \x22x\x22"`)
}
