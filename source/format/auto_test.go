package format_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

const (
	jsonLine     = `{"time":"2026-11-22T07:00:11+00:00","msec":1795330811.356,"request_uri":"/","status":403,"http_upgrade":"websocket"}`
	ingressLine  = combinedLine + ` 300 13.002 [default-chat-8080] [] 192.0.2.1:80, 192.0.2.2:80 0, 60 0.001, 13.001 502, 101 e5248829b318443a`
	combinedLine = `203.0.113.7 - - [22/Nov/2026:07:00:11 +0000] "GET / HTTP/1.1" 101 60 "-" "-"`
)

func TestTheFormatOfTheCorpusIsRecognised(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"nginx/access.json.log": "nginx", "nginx/access.combined.log": "nginx combined", "nginx/error.log": "nginx_error",
		"nginx-new/access.json.log": "nginx", "nginx-new/access.combined.log": "nginx combined", "nginx-new/error.log": "nginx_error",
		"suricata-eve/goapp.direct.eve.json": "suricata", "suricata-eve/zeek.wstunnel-ssh.eve.json": "suricata",
		"zeek/http-websocket-kaazing.baseline.http.log": "zeek",
		"socketio/debug.log":                            "socketio_debug", "socketio/app.jsonl.log": "socketio",
		"haproxy/httplog.log": "haproxy", "haproxy-new/json.log": "haproxy", "caddy/access.json.log": "caddy", "caddy-new/access.json.log": "caddy",
		"vendor-samples/envoy-text.log": "envoy", "vendor-samples/aws-alb-ws.log": "aws_alb", "vendor-samples/traefik-ws.json.log": "traefik",
	} {
		lines := sourcetest.ReadLines(t, testenv.Corpus(t, append([]string{"sources"}, strings.Split(path, "/")...)...))
		for _, n := range []int{1, len(lines)} {
			r, err := format.Recognise([]byte(strings.Join(lines[:n], "\n")+"\n"), "")
			require.NoError(t, err, path)
			require.Equal(t, want, r.Choice, path)
			require.Equal(t, min(n, format.AutoLines), r.Fitting, path)
		}
	}
}

func TestRecognitionGoesByTheMajorityOfTheFirstLines(t *testing.T) {
	t.Parallel()
	lines := func(counts ...any) []byte {
		var b strings.Builder
		for i := 0; i < len(counts); i += 2 {
			b.WriteString(strings.Repeat(counts[i+1].(string)+"\n", counts[i].(int)))
		}
		return []byte(b.String())
	}
	for name, c := range map[string]struct {
		head   []byte
		prefer string
		want   string
	}{
		"all lines":                                {lines(3, combinedLine), "", "nginx combined (3 of 3 lines)"},
		"those of nginx's packages":                {lines(2, combinedLine+` "198.51.100.1, -"`), "", "nginx main (2 of 2 lines)"},
		"those of ingress-nginx":                   {lines(2, ingressLine), "", "nginx upstreaminfo (2 of 2 lines)"},
		"most lines":                               {lines(1, "x", 3, combinedLine), "", "nginx combined (3 of 4 lines)"},
		"at most a hundred":                        {lines(100, combinedLine, 900, jsonLine), "", "nginx combined (100 of 100 lines)"},
		"a line that is not complete":              {append(lines(2, jsonLine), "x"...), "", "nginx (2 of 2 lines)"},
		"a line alone":                             {[]byte(jsonLine), "", "nginx (1 of 1 lines)"},
		"with carriage returns and blanks":         {[]byte("\r\n" + jsonLine + "\r\n\n"), "", "nginx (1 of 1 lines)"},
		"what was there before, if it fits":        {lines(3, combinedLine, 2, jsonLine), "nginx combined", "nginx combined (3 of 5 lines)"},
		"what was there before does not fit":       {lines(2, combinedLine, 3, jsonLine), "nginx combined", "nginx (3 of 5 lines)"},
		"half is not enough":                       {lines(2, combinedLine, 2, "x"), "", "no format fits more than half of the first 4 lines (nginx combined 2)"},
		"nothing":                                  {nil, "", "no format fits more than half of the first 0 lines"},
		"a line longer than all that is looked at": {lines(1, strings.Repeat("x", 2*format.AutoBytes)), "", "no format fits more than half of the first 0 lines"},
		"another program's JSON":                   {lines(3, `{"level":"info","status":101}`), "", "no format fits more than half of the first 3 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := format.Recognise(c.head, c.prefer)
			if err != nil {
				require.ErrorContains(t, err, c.want+"; name the format, and its template if it is not the default, or describe")
				return
			}
			require.Equal(t, c.want, r.String())
		})
	}
}

func TestAutoDecidesOnceAndTellsIt(t *testing.T) {
	t.Parallel()
	f, err := format.Of(format.Auto)
	require.NoError(t, err)
	var head string
	var told []string
	auto := &format.AutoOptions{
		Head:         func() []byte { return []byte(head) },
		Recognised:   func(r format.Recognition) { told = append(told, r.String()) },
		Unrecognised: func(err error) { told = append(told, err.Error()[:13]) },
	}
	// The paths go to a format that knows them.
	options := format.Options{Auto: auto, Paths: []string{"/"}}
	p, err := f.New(source.Settings{}, options)
	require.NoError(t, err)
	feed := func(line string) error {
		head += line + "\n"
		return p.Parse([]byte(line), func(*event.Event) {})
	}
	for range 3 {
		require.EqualError(t, feed("?"), "other format")
	}
	require.Equal(t, []string{"no format fit", "no format fit"}, told, "looked at lines 1 and 2")
	for range 4 {
		require.EqualError(t, feed(combinedLine), "other format", "three lines in seven decide nothing")
	}
	require.NoError(t, feed(combinedLine))
	require.Equal(t, "nginx combined (5 of 8 lines)", told[len(told)-1])
	require.NoError(t, feed(strings.Replace(combinedLine, " 101 ", " 403 ", 1)))
	require.Error(t, feed(jsonLine))

	// After a restart it is what it was, whatever the log looks like by now.
	p, err = f.New(source.Settings{}, options)
	require.NoError(t, err)
	told, head = nil, strings.Repeat(jsonLine+"\n", 100)
	require.NoError(t, p.Parse([]byte(combinedLine), func(*event.Event) {}))
	require.Empty(t, told)
}

func TestALogThatStaysUnrecognisedIsNotLookedAtForEver(t *testing.T) {
	t.Parallel()
	looks := 0
	f, err := format.Of(format.Auto)
	require.NoError(t, err)
	p, err := f.New(source.Settings{}, format.Options{Auto: &format.AutoOptions{
		Head: func() []byte { looks++; return []byte(strings.Repeat("?\n", 100)) },
	}})
	require.NoError(t, err)
	for range 10_000 {
		require.Error(t, p.Parse([]byte("?"), nil))
	}
	require.Equal(t, 1, looks)
}

func FuzzRecognise(f *testing.F) {
	f.Add([]byte(jsonLine+"\n"+combinedLine+"\n"), "nginx")
	f.Add([]byte("2026/11/22 07:00:21 [info] 1#1: x\n\n?"), "")
	f.Fuzz(func(t *testing.T, head []byte, prefer string) {
		r, err := format.Recognise(head, prefer)
		if err == nil {
			require.Greater(t, 2*r.Fitting, r.Lines)
			require.LessOrEqual(t, r.Lines, format.AutoLines)
		}
	})
}
