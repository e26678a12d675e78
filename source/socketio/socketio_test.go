package socketio_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/socketio"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

func settings() source.Settings {
	s := sourcetest.Settings()
	s.Now = func() time.Time { return time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC) }
	return s
}

func newApp() source.Parser   { return socketio.NewApp(settings()) }
func newDebug() source.Parser { return socketio.NewDebug(settings()) }

func read(t *testing.T, p source.Parser, lines ...string) (events []event.Event) {
	t.Helper()
	for _, line := range lines {
		events = append(events, sourcetest.Parse(t, p, line)...)
	}
	for i := range events {
		assertNothingLeaks(t, &events[i])
	}
	return events
}

// assertNothingLeaks holds that nothing of a packet, and no Close frame, is in an event.
func assertNothingLeaks(t *testing.T, e *event.Event) {
	t.Helper()
	for _, k := range []event.Key{event.CloseCode, event.CloseReason, event.MessageSample, event.UserID, event.UserEmail, event.LogRecordOriginal} {
		require.False(t, e.Has(k), "%s", k)
	}
	e.Each(func(k event.Key, v event.Value) {
		for _, secret := range []string{"good", "bad\"", "erin@", "unauthorized", "t0k"} {
			require.NotContains(t, v.Text(), secret, "%s", k)
		}
	})
}

// expected.md: three sessions, one failed authentication, one message too big, two unexpected ends, one request refused.
func TestTheApplicationsLogOfTheCorpus(t *testing.T) {
	t.Parallel()
	lines := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "socketio", "app.jsonl.log"))
	got := read(t, newApp(), lines...)
	sourcetest.AssertEvents(t, []string{
		"websocket.open client.address=127.0.0.1 websocket.source.evidence=inferred",
		"websocket.close websocket.close.initiator=client websocket.close.clean=true error.type=",
		"websocket.auth websocket.auth.result=failure error.type=unauthenticated",
		"websocket.open",
		"websocket.close websocket.close.initiator=client websocket.close.clean=false error.type=connection_lost",
		"websocket.open",
		"websocket.error error.type=message_too_big network.io.direction=receive",
		"websocket.close websocket.close.initiator=server websocket.close.clean=false",
		"websocket.handshake.rejected error.type=bad_handshake url.path=/socket.io/ url.query=EIO=3&transport=websocket " +
			"http.response.status_code= websocket.source.evidence=observed",
	}, got)
	ids := map[string]int{}
	for _, e := range got {
		ids[e.String(event.ConnectionID)]++
		require.Equal(t, time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC), e.Time, "the log has no time")
	}
	require.Len(t, ids, 5)
}

// The debug lines of the same run also have the session that failed to authenticate, and not why the last one broke.
func TestTheDebugLinesOfTheCorpus(t *testing.T) {
	t.Parallel()
	lines := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "socketio", "debug.log"))
	want := []string{
		"websocket.open websocket.source.evidence=inferred",
		"websocket.close websocket.close.initiator=client websocket.close.clean=true error.type=",
		"websocket.open",
		"websocket.auth websocket.auth.result=failure error.type=unauthenticated",
		"websocket.close websocket.close.initiator=client websocket.close.clean= error.type=",
		"websocket.open",
		"websocket.close websocket.close.initiator=client websocket.close.clean=false error.type=connection_lost",
		"websocket.open",
		"websocket.close websocket.close.initiator=unknown websocket.close.clean=false error.type=_OTHER",
		"websocket.handshake.rejected error.type=bad_handshake url.query=EIO=3&transport=websocket",
	}
	got := read(t, newDebug(), lines...)
	sourcetest.AssertEvents(t, want, got)
	require.Equal(t, got[2].String(event.ConnectionID), got[3].String(event.ConnectionID))
	require.Equal(t, got[2].String(event.ConnectionID), got[4].String(event.ConnectionID))

	// Read from the middle, ends are not told, since there may be sessions of which nothing was read.
	var named []string
	for _, e := range read(t, newDebug(), lines[3:]...) {
		named = append(named, string(e.Name))
	}
	require.Equal(t, "websocket.open websocket.open websocket.auth websocket.open websocket.open websocket.handshake.rejected",
		strings.Join(named, " "))
}

func TestEndsOfSeveralSessionsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	at := "2026-11-22T07:24:17.030Z "
	got := read(t, newDebug(), at+"socket.io:server creating engine.io instance with opts {}",
		at+`engine handshaking client "A"`, at+`engine handshaking client "B"`,
		at+"socket.io:client client close with reason transport close", // of either
		at+"socket.io:client client close with reason transport close",
		at+`engine handling "GET" http request "/socket.io/?EIO=4&transport=polling"`, at+`engine handshaking client "C"`,
		at+"socket.io:client client close with reason ping timeout",
		at+`engine handshaking client "D"`, at+"socket.io:client client close with reason ping timeout")
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.open", "websocket.open",
		"websocket.close error.type=connection_lost websocket.close.initiator=server"}, got)
	require.Equal(t, got[2].String(event.ConnectionID), got[3].String(event.ConnectionID))
}

func TestWhatALineOfAnApplicationProves(t *testing.T) {
	t.Parallel()
	const on = `{"time":1795330818123,"msg":"connection","id":"A"`
	off := func(members string) string {
		return `{"time":1795330828123,"msg":"disconnect","id":"A",` + members + `}`
	}
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"the transport is said":        {[]string{on + `,"conn":{"transport":{"name":"websocket"}}}`}, []string{"websocket.open websocket.source.evidence=observed"}},
		"long-polling is no WebSocket": {[]string{on + `,"transport":"polling"}`, off(`"reason":"transport close"`)}, nil},
		"until it is upgraded": {[]string{on + `,"transport":"polling"}`, `{"time":1795330820123,"msg":"upgrade","id":"A"}`, off(`"reason":"ping timeout"`)},
			[]string{"websocket.open", "websocket.close websocket.connection.duration=8 error.type=connection_lost websocket.close.initiator=server"}},
		"the duration where the beginning was read": {[]string{on + `}`, off(`"reason":"server namespace disconnect"`)},
			[]string{"websocket.open", "websocket.close websocket.connection.duration=10 websocket.close.initiator=server websocket.close.clean=true"}},
		"none where it was not": {[]string{off(`"reason":"server shutting down"`)},
			[]string{"websocket.close websocket.connection.duration= websocket.close.initiator=server websocket.close.clean="}},
		"a reset": {[]string{off(`"reason":"transport error","detail":"Error: read ECONNRESET"`)}, []string{"websocket.close error.type=connection_reset websocket.close.initiator=client"}},
		"a packet that is none": {[]string{off(`"reason":"parse error"`)},
			[]string{"websocket.message.rejected error.type=schema_invalid", "websocket.close websocket.close.initiator=server websocket.close.clean=false"}},
		"a reason of the future": {[]string{off(`"reason":"whim"`)}, []string{"websocket.close websocket.close.initiator=unknown error.type= websocket.close.clean="}},
		"another namespace":      {[]string{on + `,"nsp":"/admin"}`}, nil},
		"a token that expired": {[]string{`{"time":"2026-11-22T07:00:31Z","msg":"connect_error","err":"jwt expired"}`},
			[]string{"websocket.auth error.type=token_expired"}},
		"an error about something else": {[]string{`{"time":"2026-11-22T07:00:31Z","msg":"connect_error","err":"xhr poll error"}`}, nil},
		"allowRequest refused":          {[]string{`{"time":1795330818.5,"msg":"connection_error","code":4}`}, []string{"websocket.handshake.rejected error.type=forbidden websocket.source.evidence=inferred"}},
		"a refused long-poll":           {[]string{`{"time":1795330818.5,"msg":"connection_error","code":1,"url":"/socket.io/?transport=polling"}`}, nil},
		"something else":                {[]string{`{"msg":"listening"}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourcetest.AssertEvents(t, c.want, read(t, newApp(), c.lines...))
		})
	}
}

func TestTheTimesOfReadingProveNoDuration(t *testing.T) {
	t.Parallel()
	lines := []string{`{"msg":"connection","id":"A"}`, `{"msg":"disconnect","id":"A","reason":"transport close"}`}
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close websocket.connection.duration="},
		read(t, socketio.NewApp(sourcetest.Settings()), lines...))
	// Those of the records that brought the lines do.
	s := sourcetest.Settings()
	at := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { at = at.Add(time.Second); return at }
	sourcetest.AssertEvents(t, []string{"websocket.open", "websocket.close websocket.connection.duration=1"},
		read(t, socketio.NewApp(s), lines...))
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p          source.Parser
		line, want string
	}{
		"not JSON":           {newApp(), "x", "malformed json"},
		"no id":              {newApp(), `{"msg":"connection"}`, "missing field: id"},
		"a time of words":    {newApp(), `{"msg":"connection","id":"A","time":"soon"}`, "bad time: time"},
		"a code of words":    {newApp(), `{"msg":"connection_error","code":"x"}`, "bad number: code"},
		"no time":            {newDebug(), "  engine handshaking client \"A\" +0ms", "bad time: time"},
		"half a time":        {newDebug(), "2026-11-22T07:24:17X00 engine handshaking client \"A\"", "bad time: time"},
		"a time of the past": {newDebug(), "0001-11-22T07:24:17Z engine handshaking client \"A\"", "bad time: time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.p.Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
}

func lines(t testing.TB, name string) []string {
	return sourcetest.ReadLines(t, filepath.Join("testdata", name))
}

func TestBrokenLines(t *testing.T) {
	sourcetest.Garbage(t, newApp, lines(t, "app.jsonl.log")...)
	sourcetest.Garbage(t, newDebug, lines(t, "debug.log")...)
}

func FuzzApp(f *testing.F)   { sourcetest.Fuzz(f, newApp, lines(f, "app.jsonl.log")...) }
func FuzzDebug(f *testing.F) { sourcetest.Fuzz(f, newDebug, lines(f, "debug.log")...) }

func BenchmarkApp(b *testing.B)   { sourcetest.Benchmark(b, newApp(), lines(b, "app.jsonl.log")) }
func BenchmarkDebug(b *testing.B) { sourcetest.Benchmark(b, newDebug(), lines(b, "debug.log")) }
