package zeek_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/sourcetest"
	"github.com/sockeye-project/sockeye/source/zeek"
)

func read(t testing.TB, paths []string, lines ...string) (events []event.Event) {
	t.Helper()
	p := zeek.New(sourcetest.Settings(), paths)
	for _, line := range lines {
		events = append(events, sourcetest.Parse(t, p, line)...)
	}
	return events
}

// Zeek's own baselines have their times replaced by XXXXXXXXXX.XXXXXX; a time is put back here.
func baseline(t *testing.T, name string) (lines []string) {
	t.Helper()
	for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "zeek", name)) {
		lines = append(lines, strings.ReplaceAll(line, "XXXXXXXXXX.XXXXXX", "1331901000.000001"))
	}
	return lines
}

func TestBaselinesOfZeek(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"http-websocket-kaazing.baseline.websocket.log": {
			"websocket.open server.address=sandbox.kaazing.net url.path=/echo url.query=.kl=Y client.address=192.168.0.5 " +
				"client.port=50798 websocket.subprotocol=x-kaazing-handshake websocket.client.subprotocols=x-kaazing-handshake " +
				"websocket.extensions= websocket.source.evidence=observed http.response.status_code=101"},
		"jupyter-websocket.baseline.websocket.log": {
			"websocket.open server.address=192.168.122.182 websocket.subprotocol=v1.kernel.websocket.jupyter.org client.port=40492"},
		"wstunnel-http.baseline.websocket.log": {
			"websocket.open server.address=localhost server.port=8888 url.path=/v1/events websocket.subprotocol=v1 user_agent.original="},
		"wstunnel-ssh.baseline.websocket.log": {"websocket.open client.port=42906", "websocket.open client.port=46796"},
		// The 101 is websocket.log's to tell; what went through the tunnel is no handshake.
		"http-websocket-kaazing.baseline.http.log": nil,
		"wstunnel-http.baseline.http.log":          nil,
		"oversized-close-frame.baseline.weird.log": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(t, nil, baseline(t, name)...)
			sourcetest.AssertEvents(t, want, got)
			for i := range got {
				assertNothingInvented(t, &got[i])
			}
		})
	}
}

// assertNothingInvented holds the attributes that neither log can prove.
func assertNothingInvented(t *testing.T, e *event.Event) {
	t.Helper()
	require.Contains(t, []event.Name{event.Open, event.HandshakeRejected, event.Auth, event.RateLimited}, e.Name)
	require.False(t, e.Has(event.HandshakeDuration))
	require.False(t, e.Has(event.URLScheme))
	require.Equal(t, event.VisibilityAtOpen, e.String(event.SourceVisibility))
}

const jsonEnds = `"id.orig_h":"203.0.113.7","id.orig_p":34916,"id.resp_h":"10.0.0.1","id.resp_p":80`

func TestWhatLinesProve(t *testing.T) {
	t.Parallel()
	websocketLog := sourcetest.ReadLines(t, filepath.Join("testdata", "websocket.log"))
	httpLog := sourcetest.ReadLines(t, filepath.Join("testdata", "http.log"))
	reordered := []string{"#fields\tid.orig_h\turi\tuid\tts", "203.0.113.7\t/a\tCx\t1795330818.7"}
	rooms := []string{"/rooms/42"}
	opens := []string{
		"websocket.open client.address=203.0.113.7 client.port=34916 server.address=chat.example.test server.port=8080 " +
			"url.path=/rooms/42 url.query=token=a user_agent.original=check/1.0 websocket.subprotocol=chat.v1 " +
			"websocket.client.subprotocols=chat.v1,chat.v0 websocket.extensions=permessage-deflate",
		"websocket.open client.address=2001:db8::7 url.path=/a\tbé websocket.client.subprotocols= websocket.subprotocol="}
	for name, c := range map[string]struct {
		lines []string
		paths []string
		want  []string
	}{
		"websocket.log":                         {lines: websocketLog, want: opens},
		"its columns are the default's":         {lines: websocketLog[8:], want: opens},
		"other columns in another order":        {lines: reordered, want: []string{"websocket.open client.address=203.0.113.7 url.path=/a"}},
		"another separator":                     {lines: []string{`#separator |`, "#unset_field|?", "#fields|ts|uid|uri|host", "1795330818.7|Cx|/a|?"}, want: []string{"websocket.open url.path=/a server.address="}},
		"http.log with the names of headers":    {lines: httpLog, want: rejections("observed")},
		"http.log without its header":           {lines: httpLog[6:], want: rejections("observed")},
		"http.log with a path":                  {lines: cut(httpLog[6:]), paths: rooms, want: rejections("inferred")},
		"http.log without either proves little": {lines: cut(httpLog[6:])},
		"both logs by one parser":               {lines: append(append(append([]string(nil), websocketLog[:8]...), httpLog...), websocketLog[8:]...), want: append(rejections("observed"), opens...)},
		"JSON": {lines: []string{`{"ts":1795330818.711234,"uid":"CKm2Ut1Yp0cQ6cO3e",` + jsonEnds + `,"host":"chat.example.test:8080",` +
			`"uri":"/rooms/42?token=a","user_agent":"check/1.0","subprotocol":"chat.v1","client_protocols":["chat.v1","chat.v0"],` +
			`"server_extensions":["permessage-deflate"],"client_extensions":["permessage-deflate; client_max_window_bits"]}`}, want: opens[:1]},
		"JSON of http.log": {lines: []string{
			`{"ts":"2026-11-22T07:00:20.500000Z","uid":"C8",` + jsonEnds + `,"trans_depth":1,"method":"GET","host":"chat.example.test","uri":"/a",` +
				`"version":"1.1","status_code":403,"client_header_names":["HOST","SEC-WEBSOCKET-KEY"]}`,
			`{"ts":1795330820500,"uid":"C8",` + jsonEnds + `,"trans_depth":2,"uri":"/a","status_code":429,"client_header_names":["SEC-WEBSOCKET-KEY"]}`,
			`{"ts":1795330820500,"uid":"C8",` + jsonEnds + `,"trans_depth":3,"uri":"/a"}`},
			want: []string{"websocket.handshake.rejected error.type=forbidden websocket.http.version=1.1 http.request.method=GET",
				"websocket.handshake.rejected error.type=rate_limited", "websocket.rate_limited"}},
		"JSON of other logs": {lines: []string{
			`{"ts":1795330818.7,"uid":"C8",` + jsonEnds + `,"proto":"tcp","service":"http","conn_state":"SF"}`,
			`{"ts":1795330818.7,"uid":"C8",` + jsonEnds + `,"name":"websocket_control_frame_size_exceeded"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(t, c.paths, c.lines...)
			sourcetest.AssertEvents(t, c.want, got)
			for i := range got {
				assertNothingInvented(t, &got[i])
			}
		})
	}
}

// rejections are the events of testdata/http.log.
func rejections(evidence string) []string {
	return []string{
		"websocket.handshake.rejected http.response.status_code=401 error.type=unauthenticated url.path=/rooms/42 url.query=token=a " +
			"http.request.method=GET client.address=203.0.113.9 websocket.source.evidence=" + evidence,
		"websocket.auth websocket.auth.result=failure",
		"websocket.handshake.rejected http.response.status_code= error.type=_OTHER websocket.source.evidence=inferred",
	}
}

// cut drops the last column.
func cut(lines []string) (shorter []string) {
	for _, line := range lines {
		shorter = append(shorter, line[:strings.LastIndexByte(line, '\t')])
	}
	return shorter
}

func TestOneConnectionHasOneID(t *testing.T) {
	t.Parallel()
	tabs := read(t, nil, sourcetest.ReadLines(t, filepath.Join("testdata", "websocket.log"))...)
	again := read(t, nil, `{"ts":1795330818.711234,"uid":"CKm2Ut1Yp0cQ6cO3e","uri":"/"}`)
	require.Equal(t, tabs[0].String(event.ConnectionID), again[0].String(event.ConnectionID))
	require.NotEqual(t, tabs[0].String(event.ConnectionID), tabs[1].String(event.ConnectionID))
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"empty":                     {"", "missing field: ts"},
		"not JSON":                  {"{", "malformed json"},
		"no tabs":                   {"1331901000.000001 C8 203.0.113.7", "missing field: #fields"},
		"columns of an unknown log": {strings.Repeat("a\t", 20), "missing field: #fields"},
		"as many as websocket.log":  {"1795330818.7\tC8" + strings.Repeat("\ta", 11), "bad value: id.orig_h"},
		"no uid":                    {`{"ts":1795330818.7,"uri":"/"}`, "missing field: uid"},
		"no time":                   {`{"uid":"C8","uri":"/"}`, "missing field: ts"},
		"a time of words":           {`{"ts":"soon","uid":"C8","uri":"/"}`, "bad time: ts"},
		"a status of words":         {`{"ts":1795330818.7,"uid":"C8","uri":"/","status_code":"x"}`, "bad number: status_code"},
		"a port that cannot be":     {`{"ts":1795330818.7,"uid":"C8","uri":"/","id.orig_p":70000}`, "bad number: id.orig_p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := zeek.New(sourcetest.Settings(), nil).Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
}

func newParser() source.Parser {
	return zeek.New(sourcetest.Settings(), []string{"/rooms/42"})
}

func good(t testing.TB) []string {
	return append(sourcetest.ReadLines(t, filepath.Join("testdata", "websocket.log"))[8:10],
		sourcetest.ReadLines(t, filepath.Join("testdata", "http.log"))[6:]...)
}

func TestBrokenLines(t *testing.T) { sourcetest.Garbage(t, newParser, good(t)...) }

// A header changes how later lines are read, never how many are kept.
func FuzzParse(f *testing.F) {
	for _, line := range append(good(f), `{"ts":1795330818.7,"uid":"C8","uri":"/","client_protocols":["a"]}`) {
		f.Add("#fields\tts\tuid\turi", []byte(line))
	}
	f.Fuzz(func(t *testing.T, header string, line []byte) {
		p := newParser()
		_ = p.Parse([]byte(header), func(*event.Event) {})
		n := 0
		err := p.Parse(line, func(e *event.Event) {
			n++
			if fault := e.Validate(); fault != nil {
				t.Fatal(fault)
			}
		})
		if (err == nil) != (n > 0) {
			t.Fatal("an error after an event, or neither")
		}
		if err != nil && len(err.Error()) > 100 {
			t.Fatal("an error that may quote the line")
		}
	})
}

func BenchmarkParse(b *testing.B) { sourcetest.Benchmark(b, newParser(), good(b)) }

func TestALineCostsFewAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, newParser(), good(t), 5)
}
