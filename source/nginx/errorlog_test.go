package nginx_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// written returns an error log that has these lines from the first look on.
func written(lines ...string) *nginx.ErrorLog {
	done := false
	return nginx.NewErrorLog(func(line func([]byte)) {
		if !done {
			for _, l := range lines {
				line([]byte(l))
			}
		}
		done = true
	}, 100)
}

// ended is an error line about the end of connection 79 at 07:00:21 of a client.
func ended(level, what string) string {
	return "2026/11/22 07:00:21 [" + level + "] 28980#28980: *79 " + what + " while proxying upgraded connection, " +
		`client: 203.0.113.7, server: , request: "GET /, client: 192.0.2.1 HTTP/1.1", upstream: "http://127.0.0.1:1/", host: "h"`
}

// upgraded is an access line of a connection that ended at 07:00:21.902 UTC.
func upgraded(connection int, client string) string {
	return fmt.Sprintf(`{"time_iso8601":"2026-11-22T07:00:21+00:00","msec":1795330821.902,"request_id":"a","connection":%d,`+
		`"remote_addr":"%s","status":101,"http_upgrade":"websocket","request_uri":"/"}`, connection, client)
}

func TestTheErrorLogSaysWhyAConnectionEnded(t *testing.T) {
	t.Parallel()
	const nothing = "websocket.close error.type= websocket.close.initiator=unknown"
	for name, c := range map[string]struct {
		log    []string
		access string
		want   string
	}{
		"an idle timeout":            {[]string{ended("info", "upstream timed out (110: Connection timed out)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=idle_timeout websocket.close.initiator=proxy"},
		"a client's reset":           {[]string{ended("info", "recv() failed (104: Connection reset by peer)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=connection_reset websocket.close.initiator=client"},
		"an upstream's reset":        {[]string{ended("error", "recv() failed (104: Connection reset by peer)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=upstream_lost websocket.close.initiator=server"},
		"a write to a closed socket": {[]string{ended("info", "send() failed (32: Broken pipe)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=connection_reset"},
		"a network that went away":   {[]string{ended("info", "recv() failed (110: Connection timed out)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=connection_lost websocket.close.initiator=unknown"},
		"a client that takes nothing": {[]string{ended("info", "client timed out (110: Connection timed out)")},
			upgraded(79, "203.0.113.7"), "websocket.close error.type=connection_lost websocket.close.initiator=proxy"},
		"the first line is the cause": {[]string{ended("info", "upstream timed out (110: Connection timed out)"),
			ended("info", "recv() failed (104: Connection reset by peer)")}, upgraded(79, "203.0.113.7"), "websocket.close error.type=idle_timeout"},
		"another connection": {[]string{ended("info", "upstream timed out (110: x)")}, upgraded(80, "203.0.113.7"), nothing},
		"another client":     {[]string{ended("info", "upstream timed out (110: x)")}, upgraded(79, "203.0.113.8"), nothing},
		"a connection of before": {[]string{strings.Replace(ended("info", "upstream timed out (110: x)"), "07:00:21", "07:00:18", 1)},
			upgraded(79, "203.0.113.7"), nothing},
		"a line a second earlier": {[]string{strings.Replace(ended("info", "upstream timed out (110: x)"), "07:00:21", "07:00:20", 1)},
			upgraded(79, "203.0.113.7"), "websocket.close error.type=idle_timeout"},
		"a clock in the zone of the access line": {[]string{strings.Replace(ended("info", "upstream timed out (110: x)"), "07:00:21", "09:30:21", 1)},
			strings.Replace(upgraded(79, "203.0.113.7"), "07:00:21+00:00", "09:30:21+02:30", 1), "websocket.close error.type=idle_timeout"},
		"another error":           {[]string{ended("info", "recv() failed (5: Input/output error)")}, upgraded(79, "203.0.113.7"), nothing},
		"another action":          {[]string{strings.Replace(ended("info", "recv() failed (104: x)"), "proxying upgraded connection", "reading", 1)}, upgraded(79, "203.0.113.7"), nothing},
		"lines that are none":     {[]string{"", "x", "2026/11/22 07:00:21 [info] 1#1: *x " + "upstream"}, upgraded(79, "203.0.113.7"), nothing},
		"a line without a number": {[]string{ended("info", "upstream timed out (110: x)")}, strings.Replace(upgraded(79, "203.0.113.7"), `"connection":79,`, "", 1), nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parser(sourcetest.Settings(), nginx.Options{ErrorLog: written(c.log...)})
			for range 2 { // a chunk may be read again
				sourcetest.AssertEvents(t, []string{"websocket.open error.type=", c.want}, sourcetest.Parse(t, p, c.access))
			}
		})
	}
}

func TestWithoutAZoneInTheLineTheErrorLogIsInThatOfTheSettings(t *testing.T) {
	t.Parallel()
	s := sourcetest.Settings()
	s.Zone = time.FixedZone("", 2*60*60)
	log := written(strings.Replace(ended("info", "upstream timed out (110: x)"), "07:00:21", "09:00:21", 1))
	line := strings.Replace(upgraded(79, "203.0.113.7"), `"time_iso8601":"2026-11-22T07:00:21+00:00",`, "", 1)
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close error.type=idle_timeout"},
		sourcetest.Parse(t, parser(s, nginx.Options{ErrorLog: log}), line))
}

func TestTheErrorLogIsLookedAtWhenAnAccessLineMayBeNewer(t *testing.T) {
	t.Parallel()
	looks := 0
	log := nginx.NewErrorLog(func(func([]byte)) { looks++ }, 1)
	now := time.Date(2026, 11, 22, 7, 0, 30, 0, time.UTC)
	log.SetClock(func() time.Time { return now })
	p := parser(sourcetest.Settings(), nginx.Options{ErrorLog: log})
	sourcetest.Parse(t, p, upgraded(1, "203.0.113.7"))
	sourcetest.Parse(t, p, upgraded(2, "203.0.113.7"))
	require.Equal(t, 1, looks, "both lines were written nine seconds before the first look")
	sourcetest.Parse(t, p, strings.Replace(upgraded(3, "203.0.113.7"), "1795330821", "1795330829", 1))
	require.Equal(t, 2, looks)
	sourcetest.Parse(t, p, strings.Replace(upgraded(4, "203.0.113.7"), `"status":101`, `"status":403`, 1))
	require.Equal(t, 2, looks, "a rejection needs none")
}

func TestTheErrorLogRemembersNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	line := func(n int) []byte {
		return []byte(strings.Replace(ended("info", "upstream timed out (110: x)"), "*79", fmt.Sprint("*", n), 1))
	}
	log := nginx.NewErrorLog(func(add func([]byte)) {
		for n := range 1000 {
			add(line(n))
			add(line(n))
		}
	}, 10)
	p := parser(sourcetest.Settings(), nginx.Options{ErrorLog: log})
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close error.type=idle_timeout"}, sourcetest.Parse(t, p, upgraded(999, "203.0.113.7")))
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close error.type="}, sourcetest.Parse(t, p, upgraded(1, "203.0.113.7")))
	require.Equal(t, 10, log.Len())
}

// The corpus: 1 idle timeout and 1 reset in each log, of the connections that the driver says.
func TestCorpusErrorLogJoins(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"nginx", "nginx-new"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			log := written(sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, "error.log"))...)
			p := parser(sourcetest.Settings(), nginx.Options{ErrorLog: log})
			got := map[string]int{}
			for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, "access.json.log")) {
				for _, e := range sourcetest.Parse(t, p, line) {
					if e.Name == event.Close && e.Has(event.ErrorType) {
						// The scenario is in the query.
						scenario := strings.TrimPrefix(e.String(event.URLQuery), "s=")
						got[scenario+" "+e.String(event.ErrorType)+" "+e.String(event.CloseInitiator)]++
					}
				}
			}
			require.Equal(t, map[string]int{"idle_timeout_proxy idle_timeout proxy": 1, "client_abort_rst connection_reset client": 1}, got)
		})
	}
}

func TestTLSHandshakesThatFailedAreRejections(t *testing.T) {
	t.Parallel()
	line := func(what string) string { return "2026/11/25 21:12:14 [info] 2386#2386: *14 " + what }
	const where = ", client: 203.0.113.7, server: 0.0.0.0:8443"
	const want = "websocket.handshake.rejected error.type=tls_failed websocket.source.evidence=inferred " +
		"http.response.status_code= client.address=203.0.113.7 server.port=8443 server.address="
	for text, rejected := range map[string]bool{
		line("SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol) while SSL handshaking" + where): true,
		line("peer closed connection in SSL handshake while SSL handshaking" + where):                                            true,
		line("peer closed connection in SSL handshake (104: Connection reset by peer) while SSL handshaking" + where):            true,
		line("client timed out (110: Connection timed out) while SSL handshaking" + where):                                       true,
		line("client closed connection while SSL handshaking" + where):                                                           false,
		line("peer closed connection in SSL handshake while SSL handshaking to upstream" + where):                                false,
		line("client 127.0.0.1 closed keepalive connection"):                                                                     false,
		"2026/11/25 21:12:14 [notice] 2386#2386: start worker processes":                                                         false,
	} {
		s := sourcetest.Settings()
		s.Zone = time.FixedZone("", 2*60*60)
		p := nginx.NewErrorParser(s)
		events := sourcetest.Parse(t, p, text)
		if !rejected {
			require.Empty(t, events, text)
			continue
		}
		sourcetest.AssertEvents(t, []string{want}, events)
		require.Equal(t, time.Date(2026, 11, 25, 19, 12, 14, 0, time.UTC), events[0].Time)
		other := sourcetest.Parse(t, p, strings.Replace(text, "*14", "*15", 1))
		require.NotEqual(t, other[0].String(event.ConnectionID), events[0].String(event.ConnectionID))
	}
	for _, text := range []string{"", "x", "2026/11/25 21:12:14", "2026/13/25 21:12:14 [info] 1#1: x", "2026/11/25 21:12:14 [info] x: y",
		"2026-11-25 21:12:14 [info] 1#1: x", "1999/11/25 21:12:14 [info] 1#1: x", "2026/11/25 21:12:1a [info] 1#1: x"} {
		err := nginx.NewErrorParser(sourcetest.Settings()).Parse([]byte(text), nil)
		require.EqualError(t, err, "other format", text)
	}
}

func FuzzErrorLog(f *testing.F) {
	for _, line := range append(sourcetest.ReadLines(f, filepath.Join("testdata", "error.log")),
		ended("info", "upstream timed out (110: Connection timed out)"), ended("error", "recv() failed (104: x)"),
		"2026/11/25 21:12:14 [info] 2386#2386: *14 SSL_do_handshake() failed (SSL: x) while SSL handshaking, client: ::1, server: [::]:443",
	) {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		sourcetest.Try(t, nginx.NewErrorParser(sourcetest.Settings()), line)
		p := parser(sourcetest.Settings(), nginx.Options{ErrorLog: written(string(line))})
		sourcetest.Try(t, p, []byte(upgraded(79, "203.0.113.7")))
	})
}

func TestNoLineBreaksTheErrorLog(t *testing.T) {
	sourcetest.Garbage(t, func() source.Parser { return nginx.NewErrorParser(sourcetest.Settings()) },
		"2026/11/25 21:12:14 [info] 2386#2386: *14 SSL_do_handshake() failed (SSL: x) while SSL handshaking, client: ::1, server: [::]:443")
}
