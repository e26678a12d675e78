package modsecurity_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/modsecurity"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

func newParser() source.Parser { return modsecurity.New(sourcetest.Settings()) }

func lines(t testing.TB, name string) []string {
	return sourcetest.ReadLines(t, filepath.Join("testdata", name))
}

// nginx 1.22 with libmodsecurity 3.0.9 wrote these: refused by 403, let through, refused by 429, two without Upgrade, a
// warning, a drop and a redirection.
func TestTheLogOfNginx(t *testing.T) {
	t.Parallel()
	p := newParser()
	var got []event.Event
	for _, line := range lines(t, "audit.json.log") {
		got = append(got, sourcetest.Parse(t, p, line)...)
	}
	sourcetest.AssertEvents(t, []string{
		"websocket.handshake.rejected http.response.status_code=403 error.type=forbidden websocket.policy.id=100100 " +
			"url.path=/rooms/42 url.query=token=t0k server.address=chat.example.test server.port=8443 client.address=127.0.0.1 " +
			"http.request.method=GET websocket.http.version=1.1 user_agent.original=check/1.0 websocket.source.evidence=observed",
		"websocket.handshake.rejected http.response.status_code=429 error.type=rate_limited websocket.policy.id=100200",
		"websocket.rate_limited websocket.rate_limit.policy=100200 websocket.source.evidence=observed",
		"websocket.handshake.rejected http.response.status_code=403 websocket.policy.id=100400",
		"websocket.handshake.rejected http.response.status_code= error.type=forbidden websocket.policy.id=100500",
	}, got)
	require.Equal(t, time.Date(2026, 11, 25, 21, 2, 36, 0, time.UTC), got[0].Time)
	require.Regexp(t, "^[0-9a-f]{32}$", got[0].String(event.HandshakeKeyHash))
}

// By ModSecurity 2's documentation and source, not taken from a run of it.
func TestTheFormOfModSecurity2(t *testing.T) {
	t.Parallel()
	all := lines(t, "audit2.json.log")
	sourcetest.AssertEvents(t, []string{
		"websocket.handshake.rejected http.response.status_code=403 error.type=forbidden websocket.policy.id=949110 url.path=/rooms/42 " +
			"client.address=203.0.113.7 client.port=43077 server.address=chat.example.test websocket.http.version=1.1"},
		sourcetest.Parse(t, newParser(), all[0]))
	require.Empty(t, sourcetest.Parse(t, newParser(), all[1]), "a warning")
}

func TestTimesWithoutAZone(t *testing.T) {
	t.Parallel()
	line := lines(t, "audit.json.log")[0]
	for name, c := range map[string]struct{ stamp, id, want string }{
		"UTC":                      {"Wed Nov 25 21:02:36 2026", "179564055628.040311", "2026-11-25T21:02:36Z"},
		"India":                    {"Thu Nov 26 02:32:36 2026", "179564055628.040311", "2026-11-25T21:02:36Z"},
		"an id of the web server":  {"Wed Nov 25 21:02:36 2026", "0123456789abcdef", "2026-11-25T21:02:36Z"},
		"a day of one digit":       {"Wed Nov  4 21:02:36 2026", "x", "2026-11-04T21:02:36Z"},
		"another writer, in UTC-5": {"25/Nov/2026:16:02:36.123456 -0500", "x", "2026-11-25T21:02:36Z"},
	} {
		e := sourcetest.Parse(t, newParser(), strings.NewReplacer("Wed Nov 25 21:02:36 2026", c.stamp, "179564055628.040311", c.id).Replace(line))[0]
		require.Equal(t, c.want, e.Time.Truncate(time.Second).Format(time.RFC3339), name)
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	line := lines(t, "audit.json.log")[0]
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":          {"--6ef24602-A--", "malformed json"},
		"another JSON":      {"{}", "missing field: transaction.time_stamp"},
		"no part B":         {strings.Replace(line, `"headers":{"Host"`, `"Headers":{"Host"`, 1), "missing field: transaction.request.headers"},
		"a time of words":   {strings.Replace(line, "Wed Nov", "soon", 1), "bad time: transaction.time_stamp"},
		"a status of words": {strings.Replace(line, `"http_code":403`, `"http_code":"no"`, 1), "bad number: transaction.response.http_code"},
		"no id":             {strings.Replace(line, "unique_id", "id", 1), "missing field: transaction.unique_id"},
		"a port too great":  {strings.Replace(line, `"client_port":50950`, `"client_port":70000`, 1), "bad number: transaction.client_port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, line, c.line)
			err := newParser().Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
	t.Run("without part F a refusal is a conclusion", func(t *testing.T) {
		t.Parallel()
		e := sourcetest.Parse(t, newParser(), strings.Replace(line, `"http_code":403,"headers":{}`, `"http_code":403`, 1))[0]
		require.Equal(t, event.EvidenceInferred, e.String(event.SourceEvidence))
	})
	t.Run("what is no number is no rule's id", func(t *testing.T) {
		t.Parallel()
		e := sourcetest.Parse(t, newParser(), strings.Replace(line, `"ruleId":"100100"`, `"ruleId":"secret"`, 1))[0]
		require.False(t, e.Has(event.PolicyID))
	})
}

func TestBrokenLines(t *testing.T) {
	sourcetest.Garbage(t, newParser, lines(t, "audit.json.log")[0], lines(t, "audit2.json.log")[0])
}

func FuzzParse(f *testing.F) {
	sourcetest.Fuzz(f, newParser, append(lines(f, "audit.json.log"), lines(f, "audit2.json.log")...)...)
}

func BenchmarkParse(b *testing.B) { sourcetest.Benchmark(b, newParser(), lines(b, "audit.json.log")) }
