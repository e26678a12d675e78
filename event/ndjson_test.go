package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/internal/golden"
)

// requireSame compares two events field by field, without their NDJSON form. An observed time equal to time is the
// same as none, and the order of attributes means nothing.
func requireSame(t require.TestingT, want, got *Event) {
	observed := func(e *Event) time.Time {
		if e.Observed.IsZero() {
			return e.Time.UTC()
		}
		return e.Observed.UTC()
	}
	attrs := func(e *Event) map[Key]Value {
		m := map[Key]Value{}
		e.Each(func(k Key, v Value) {
			if len(v.Strings()) == 0 {
				v.list = nil
			}
			m[k] = v
		})
		require.Len(t, m, e.Len())
		return m
	}
	require.Equal(t, want.Name, got.Name)
	require.Equal(t, want.Time.UTC(), got.Time.UTC())
	require.Equal(t, observed(want), observed(got))
	require.Equal(t, want.TraceID, got.TraceID)
	require.Equal(t, want.SpanID, got.SpanID)
	require.Equal(t, attrs(want), attrs(got))
	require.ElementsMatch(t, want.Extra(), got.Extra())
	require.Equal(t, want.Resource.Attributes(), got.Resource.Attributes())
}

func TestEveryEventSurvivesNDJSON(t *testing.T) {
	t.Parallel()
	var out []byte
	var d Decoder
	var last *Resource
	for _, e := range samples(t) {
		require.NoError(t, e.Validate(), e.Name)
		line := e.AppendJSON(nil)
		require.True(t, json.Valid(line), "%s", line)
		var got Event
		require.NoError(t, d.Decode(line, &got), e.Name)
		requireSame(t, &e, &got)
		if last != nil {
			require.Same(t, last, got.Resource, "events with one resource share it")
		}
		last = got.Resource
		out = append(append(out, line...), '\n')
	}
	golden.Assert(t, "testdata/events.ndjson", out)
}

func TestTheFormIsCanonical(t *testing.T) {
	t.Parallel()
	const line = ` { "resource" : {"service.name":"chat" , "a":1.0,"n":null}, "websocket.close.clean":false,
 "event":"websocket.close","time":"2026-11-22T12:00:11.5+02:00","websocket.connection.duration": 60,
 "websocket.close.initiator":"cli\u0065nt","observed_time":"2026-11-22T10:00:11.5Z","websocket.vantage":"app",
 "websocket.source.visibility":"at_open","websocket.source.type":"chat-é","websocket.connection.id":"\ud83d\ude00\/\b\f\n\r\t\"\\" }` + "\r\n"
	var d Decoder
	var e Event
	require.NoError(t, d.Decode([]byte(line), &e))
	golden.Assert(t, "testdata/canonical.ndjson", append(e.AppendJSON(nil), '\n'))
	require.NoError(t, e.Validate(), "what may be absent has been filled in")
}

const minimal = `"time":"2026-11-22T10:00:00Z","event":"websocket.idle","websocket.connection.id":"c","websocket.vantage":"app",` +
	`"websocket.source.visibility":"at_open","websocket.source.type":"chat"`

func TestDecodeNamesEveryFault(t *testing.T) {
	t.Parallel()
	const idle = `"websocket.idle.duration":5,`
	const ok = "{" + idle + minimal
	deep := strings.Repeat(`{"secret":`, 9) + "1" + strings.Repeat("}", 9)
	for sentence, c := range map[string]struct {
		line, want, reason string
	}{
		"nothing":                 {``, `byte 0: malformed JSON: line ends early`, ReasonMalformedJSON},
		"an array":                {`["secret"]`, `byte 0: malformed JSON: expected an object`, ReasonMalformedJSON},
		"an open object":          {`{"time":"secret"`, `byte 16: malformed JSON: line ends early`, ReasonMalformedJSON},
		"data after it":           {ok + `} {}`, `byte 212: malformed JSON: data after the object`, ReasonMalformedJSON},
		"a trailing comma":        {`{"a":1,}`, `byte 7: malformed JSON: expected a member's name`, ReasonMalformedJSON},
		"a bad number":            {`{"server.port":0443}`, `byte 16: malformed JSON: expected a comma or the object's end`, ReasonMalformedJSON},
		"a control character":     {"{\"event\":\"secret\x01\"}", `byte 16: malformed JSON: control character in a string`, ReasonMalformedJSON},
		"an unknown escape":       {`{"event":"secret\x"}`, `byte 16: malformed JSON: unknown escape`, ReasonMalformedJSON},
		"text that is not UTF-8":  {"{\"event\":\"secret\xff\"}", `byte 16: not UTF-8`, ReasonBadText},
		"half a surrogate":        {`{"event":"secret\ud800"}`, `byte 16: lone surrogate`, ReasonBadText},
		"two first halves":        {`{"event":"secret\ud800\ud800"}`, `byte 16: lone surrogate`, ReasonBadText},
		"NUL":                     {`{"event":"secret\u0000"}`, `byte 16: NUL in a string`, ReasonBadText},
		"nesting":                 {ok + `,"app":` + deep + `}`, `byte 287: nested deeper than the form allows`, ReasonTooDeep},
		"no time":                 {strings.Replace(ok, `"time":"2026-11-22T10:00:00Z",`, "", 1) + "}", `time: missing`, ReasonBadTime},
		"a number as time":        {strings.Replace(ok, `"2026-11-22T10:00:00Z"`, "12345", 1) + "}", `byte 29: time: must be a string, got a number`, ReasonWrongType},
		"a time of another form":  {strings.Replace(ok, "T10:00:00Z", " 10:00", 1) + "}", `byte 29: time: must be a time of RFC 3339, as 2026-01-31T12:00:00.123Z`, ReasonBadTime},
		"a time before 1970":      {strings.Replace(ok, "2026", "1969", 1) + "}", `byte 29: time: must be after 1970-01-01T00:00:00Z and before 2262`, ReasonBadTime},
		"a time after 2261":       {strings.Replace(ok, "2026", "2262", 1) + "}", `byte 29: time: must be after 1970-01-01T00:00:00Z and before 2262`, ReasonBadTime},
		"no event":                {strings.Replace(ok, `"event":"websocket.idle",`, "", 1) + "}", `event: missing`, ReasonUnknownEvent},
		"an unknown event":        {strings.Replace(ok, "websocket.idle\"", "secret\"", 1) + "}", `byte 59: event: not an event of the model`, ReasonUnknownEvent},
		"an unknown attribute":    {ok + `,"app.secretless":1}`, `byte 211: "app.secretless": not an attribute of the event model`, ReasonUnknownAttribute},
		"a long unknown name":     {`{"` + strings.Repeat("é", 60) + `":1,` + ok[1:] + "}", `byte 1: "` + strings.Repeat("é", 32) + `"…: not an attribute of the event model`, ReasonUnknownAttribute},
		"a duplicate":             {ok + `,"websocket.vantage":"edge"}`, `byte 211: websocket.vantage: stands twice`, ReasonDuplicateKey},
		"a duplicate time":        {ok + `,"time":"2026-11-22T10:00:00Z"}`, `byte 211: time: stands twice`, ReasonDuplicateKey},
		"a duplicate by escape":   {ok + `,"\u0074ime":"2026-11-22T10:00:00Z"}`, `byte 211: time: stands twice`, ReasonDuplicateKey},
		"a missing attribute":     {"{" + minimal + "}", `websocket.idle.duration: missing, websocket.idle needs it`, ReasonMissingAttribute},
		"a misplaced attribute":   {ok + `,"websocket.message.count":1000000}`, `byte 211: websocket.message.count: does not belong to websocket.idle`, ReasonMisplacedAttribute},
		"a string for a number":   {`{"websocket.idle.duration":"secret",` + minimal + "}", `byte 1: websocket.idle.duration: must be a number, got a string`, ReasonWrongType},
		"a fraction for an int":   {ok + `,"server.port":443.0}`, `byte 211: server.port: must be an integer, got a number`, ReasonWrongType},
		"null":                    {ok + `,"server.port":null}`, `byte 211: server.port: must be an integer, got null`, ReasonWrongType},
		"a number for a string":   {ok + `,"server.address":17}`, `byte 211: server.address: must be a string, got a number`, ReasonWrongType},
		"a nested value":          {ok + `,"server.address":{"secret":1}}`, `byte 211: server.address: must be a string, got an object`, ReasonWrongType},
		"a value outside its set": {strings.Replace(ok, `"app"`, `"secret"`, 1) + "}", `byte 114: websocket.vantage: must be one of edge, gateway, app, tap`, ReasonBadValue},
		"a port too high":         {ok + `,"server.port":65536}`, `byte 211: server.port: must be between 1 and 65535`, ReasonBadValue},
		"a number too big":        {ok + `,"server.port":99999999999999999999}`, `byte 211: server.port: must be between 1 and 65535`, ReasonBadValue},
		"a negative duration":     {`{"websocket.idle.duration":-1,` + minimal + "}", `byte 1: websocket.idle.duration: must be between 0 and 1000000000 seconds`, ReasonBadValue},
		"an infinite duration":    {`{"websocket.idle.duration":1e999,` + minimal + "}", `byte 1: websocket.idle.duration: must be between 0 and 1000000000 seconds`, ReasonBadValue},
		"a long dimension":        {ok + `,"server.address":"` + strings.Repeat("x", 513) + `"}`, `byte 211: server.address: must have at most 512 bytes`, ReasonBadValue},
		"an empty id":             {strings.Replace(ok, `"c"`, `""`, 1) + "}", `byte 84: websocket.connection.id: must not be empty`, ReasonBadValue},
		"a source without type":   {strings.Replace(ok, `"chat"`, `""`, 1) + "}", `byte 180: websocket.source.type: must have 1 to 512 bytes`, ReasonBadValue},
		"a short trace id":        {ok + `,"trace_id":"5ec2e7"}`, `byte 211: trace_id: must be 32 hexadecimal digits, not all zero`, ReasonBadValue},
		"a zero trace id":         {ok + `,"trace_id":"00000000000000000000000000000000"}`, `byte 211: trace_id: must be 32 hexadecimal digits, not all zero`, ReasonBadValue},
		"a lone span id":          {ok + `,"span_id":"b7ad6b7169203331"}`, `span_id: must not stand without trace_id`, ReasonBadValue},
		"a resource in a string":  {ok + `,"resource":"secret"}`, `byte 211: resource: must be an object, got a string`, ReasonWrongType},
		"a nested resource":       {ok + `,"resource":{"app":{"secret":1}}}`, `byte 223: resource."app": must be flat, got an object or a mixed list`, ReasonWrongType},
		"a service of a number":   {ok + `,"resource":{"service.name":1}}`, `byte 223: resource."service.name": must be a string`, ReasonWrongType},
		"a duplicate in it":       {ok + `,"resource":{"a":1,"a":1}}`, `byte 229: resource."a": stands twice`, ReasonDuplicateKey},
		"an error of another event": {`{"error.type":"idle_timeout","http.response.status_code":401,` + strings.Replace(minimal, "websocket.idle", "websocket.handshake.rejected", 1) + "}",
			`byte 1: error.type: must be one of bad_handshake, unauthenticated, forbidden, rate_limited, not_upgraded, client_aborted, upstream_unavailable, upstream_timeout, accept_mismatch, tls_failed, _OTHER on websocket.handshake.rejected`, ReasonBadValue},
		"an error of none": {`{"error.type":"secret",` + strings.Replace(minimal, "websocket.idle", "websocket.handshake.rejected", 1) + "}",
			`byte 1: error.type: not an error type of the model`, ReasonBadValue},
		"an open that was refused": {`{"http.response.status_code":401,` + strings.Replace(minimal, "websocket.idle", "websocket.open", 1) + "}",
			`byte 1: http.response.status_code: must be 101, or 200 over HTTP/2 and HTTP/3, on websocket.open`, ReasonBadValue},
		"a ping of text": {`{"network.io.direction":"receive","websocket.frame.opcode":"text",` + strings.Replace(minimal, "websocket.idle", "websocket.ping", 1) + "}",
			`byte 34: websocket.frame.opcode: must be ping or pong on websocket.ping`, ReasonBadValue},
		"several at once": {`{"server.port":0,"client.port":"secret","app":1,` + minimal + "}",
			`byte 1: server.port: must be between 1 and 65535; byte 17: client.port: must be an integer, got a string; byte 40: "app": not an attribute of the event model; websocket.idle.duration: missing, websocket.idle needs it`, ReasonBadValue},
		"more than anybody wants to read": {`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,` + ok[1:] + "}", `; and 2 more`, ReasonUnknownAttribute},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var d Decoder
			e := Event{Name: Open}
			e.SetInt(ServerPort, 1)
			err := d.Decode([]byte(c.line), &e)
			var de *DecodeError
			require.ErrorAs(t, err, &de)
			switch {
			case strings.HasPrefix(c.want, "; and"):
				require.True(t, strings.HasSuffix(err.Error(), c.want), err)
			default:
				require.EqualError(t, err, c.want)
			}
			require.Equal(t, c.reason, de.Reason)
			require.Contains(t, Reasons(), de.Reason)
			require.NotContains(t, err.Error(), "secret\"", "values are never quoted")
			require.Empty(t, e.Name, "nothing is left of a line with a fault")
			require.Zero(t, e.Len())
		})
	}
}

func TestALineHasLimits(t *testing.T) {
	t.Parallel()
	var d Decoder
	var e Event
	reason := func(line string) string {
		var de *DecodeError
		require.ErrorAs(t, d.Decode([]byte(line), &e), &de)
		require.Less(t, len(de.Error()), 4096)
		return de.Problems[len(de.Problems)-1].Reason
	}
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"x` + Int(int64(i)).Text() + `":1,`)
		}
		return b.String()
	}
	require.Equal(t, ReasonTooLarge, reason("{"+strings.Repeat(" ", MaxLine)))
	d.AllowUnknown = true
	rest := `"websocket.idle.duration":5,` + minimal
	require.NoError(t, d.Decode([]byte("{"+members(MaxMembers-7)+rest+"}"), &e))
	require.Len(t, e.Extra(), MaxMembers-7)
	require.Equal(t, ReasonTooLarge, reason("{"+members(MaxMembers-6)+rest+"}"))
	resource := func(n int) string { return `{"resource":{` + strings.TrimSuffix(members(n), ",") + "}," + rest + "}" }
	require.NoError(t, d.Decode([]byte(resource(MaxMembers)), &e))
	require.Equal(t, ReasonTooLarge, reason(resource(MaxMembers+1)))
	require.NoError(t, d.Decode([]byte(`{"app":{`+strings.TrimSuffix(members(2000), ",")+"},"+rest+"}"), &e),
		"what is kept as text may have any number")
	d.AllowUnknown = false
	require.Equal(t, ReasonTooDeep, reason(`{"a":`+strings.Repeat("[", 100000)))
}

func TestUnknownAttributesAreKeptWhereTheyAreAllowed(t *testing.T) {
	t.Parallel()
	const line = `{"app.s":"x","app.i":-7,"app.f":1.0,"app.b":true,"app.null":null,"app.list":["a","b"],"app.mixed":[1,"b"],` +
		`"app.map":{"k": [1]},"app.big":18446744073709551616,"app.huge":1e999,"app.empty":[],"websocket.idle.duration":5,` +
		`"resource":{"app":{"k":1}},` + minimal + "}"
	d := Decoder{AllowUnknown: true}
	var e Event
	require.NoError(t, d.Decode([]byte(line), &e))
	require.Equal(t, []Named{
		{"app.s", String("x")}, {"app.i", Int(-7)}, {"app.f", Double(1)}, {"app.b", Bool(true)},
		{"app.list", Strings([]string{"a", "b"})}, {"app.mixed", String(`[1,"b"]`)}, {"app.map", String(`{"k": [1]}`)},
		{"app.big", String("18446744073709551616")}, {"app.huge", String("1e999")}, {"app.empty", Strings(nil)},
	}, e.Extra())
	require.Equal(t, `{"k":1}`, e.Resource.String("app"))
	var again Event
	require.NoError(t, d.Decode(e.AppendJSON(nil), &again))
	requireSame(t, &e, &again)
	for name, bad := range map[string]string{
		"a duplicate":      `{"app":1,"app":1,"websocket.idle.duration":5,` + minimal + "}",
		"no name":          `{"":1,"websocket.idle.duration":5,` + minimal + "}",
		"a name twice":     `{"resource":{"":1},"websocket.idle.duration":5,` + minimal + "}",
		"a misplaced one":  `{"websocket.close.code":1000,"websocket.idle.duration":5,` + minimal + "}",
		"a value of ours":  `{"server.port":0,"websocket.idle.duration":5,` + minimal + "}",
		"a type of ours":   `{"server.port":"1","websocket.idle.duration":5,` + minimal + "}",
		"a broken literal": `{"app":nul,"websocket.idle.duration":5,` + minimal + "}",
	} {
		require.Error(t, d.Decode([]byte(bad), &e), name)
	}
}

// TestAppendJSONIsAlwaysOneValidLine covers events that break the model: they came from records of others.
func TestAppendJSONIsAlwaysOneValidLine(t *testing.T) {
	t.Parallel()
	e := Event{Name: "a\nb\xff", SpanID: [8]byte{1}, Resource: NewResource(Named{"\x00", String("\u2028\u009b\x7f\x1b")})}
	e.SetDouble(PingRTT, 1/zero)
	e.SetInt(ServerPort, 443)
	e.AddExtra("server.port", String("https"))
	e.AddExtra("time", String("now"))
	e.AddExtra("event", Int(1))
	e.AddExtra("app", Int(1))
	e.AddExtra("app", Int(2))
	e.AddExtra("none", Value{})
	e.AddExtra("tiny", Double(1e-9))
	e.AddExtra("vast", Double(-1e300))
	golden.Assert(t, "testdata/invalid.ndjson", append(e.AppendJSON(nil), '\n'))
	require.True(t, json.Valid(e.AppendJSON(nil)))
}

var zero float64

func TestValidateKnowsTheDecodersRules(t *testing.T) {
	t.Parallel()
	e := Event{Name: Open, Time: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), Observed: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), SpanID: [8]byte{1}}
	e.SetString(ServerAddress, "a\x00")
	e.SetInt(HTTPResponseStatusCode, 0)
	e.SetInt(CloseCode, 1000)
	e.AddExtra("app", Int(1))
	e.Resource = NewResource(Named{"host.name", String("\xff")})
	var de *DecodeError
	require.ErrorAs(t, e.Validate(), &de)
	require.Equal(t, ReasonBadTime, de.Reason)
	require.Equal(t, `time: must be after 1970-01-01T00:00:00Z and before 2262; observed_time: must be after 1970-01-01T00:00:00Z and before 2262; `+
		`span_id: must not stand without trace_id; server.address: must be UTF-8 without NUL; http.response.status_code: must be between 100 and 599; `+
		`"app": not an attribute of the event model; websocket.connection.id: missing, websocket.open needs it; websocket.vantage: missing, websocket.open needs it; and 7 more`, de.Error())
	require.EqualError(t, (&Event{Time: sampleTime}).Validate(), "event: missing")
	require.EqualError(t, (&Event{Name: "x", Time: sampleTime}).Validate(), "event: not an event of the model")
	require.ErrorContains(t, (&Event{Name: Open}).Validate(), "time: missing; ")
}

func TestTimesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-11-22T10:00:00Z": "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123456789Z": "2026-11-22T10:00:00.123456789Z",
		"2026-11-22T10:00:00.100+05:30": "2026-11-22T04:30:00.1Z", "2024-02-29T23:59:59-23:59": "2024-03-01T23:58:59Z",
		"2026-11-22T10:00:00-00:00": "2026-11-22T10:00:00Z",
		"2026-11-22T10:00:00":       "", "2026-11-22T10:00:00.Z": "", "2026-11-22T10:00:00,5Z": "", "2026-11-22T1:00:00Z": "", "2026-02-30T10:00:00Z": "",
		"2026-11-22T24:00:00Z": "", "2026-11-22T23:59:60Z": "", "2026-11-22T10:00:00.1234567890Z": "", "2026-11-22t10:00:00z": "", "2026-11-22T10:00:00+0530": "",
		"2026-11-22T10:00:00+24:00": "", "2026-11-22T10:00:00+05:60": "", "2026-11-22T10:00:00Zjunk": "", "": "", "2026-11-22 10:00:00Z": "", "12026-11-22T10:00:00Z": "",
		"2026-11-22T10:00:00+1/:00": "", "2026-11-22T10:00:00*01:00": "",
	} {
		got, ok := parseTime(text)
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, got.Format(time.RFC3339Nano))
		}
	}
}

func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", 60*rapid.IntRange(-1439, 1439).Draw(t, "minutes"))
		at := time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		text := []byte(at.In(zone).Format(rapid.SampledFrom([]string{time.RFC3339, time.RFC3339Nano}).Draw(t, "form")))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("0123456789-:.+TZ ")).Draw(t, "byte")
		}
		var want time.Time
		err := want.UnmarshalText(text)
		if zone := string(text[max(len(text)-5, 0):]); zone >= "24:00" && zone < "25:" || strings.HasSuffix(zone, ":60") {
			return // package time takes 24 hours and 60 minutes in an offset, RFC 3339 does not
		}
		got, ok := parseTime(string(text))
		require.Equal(t, err == nil, ok, "%s", text)
		if ok {
			require.Equal(t, want.UTC(), got)
		}
	})
}

func TestADecoderKeepsFewResources(t *testing.T) {
	t.Parallel()
	var d Decoder
	var e Event
	line := func(i int) []byte {
		return []byte(`{"resource":{"service.name":"` + Int(int64(i)).Text() + `"},"websocket.idle.duration":5,` + minimal + "}")
	}
	for i := range 3 * maxResources {
		require.NoError(t, d.Decode(line(i), &e))
		require.Equal(t, Int(int64(i)).Text(), e.Resource.String(ServiceName))
		require.LessOrEqual(t, len(d.resources), maxResources)
	}
	first := e.Resource
	require.NoError(t, d.Decode(line(3*maxResources-2), &e))
	require.NotSame(t, first, e.Resource)
	require.NoError(t, d.Decode(line(3*maxResources-1), &e))
	require.Same(t, first, e.Resource)
	require.NoError(t, d.Decode([]byte(`{"resource":{"a":"`+strings.Repeat("x", maxResourceText)+`"},"websocket.idle.duration":5,`+minimal+"}"), &e))
	require.NoError(t, d.Decode([]byte(`{"resource":{},"websocket.idle.duration":5,`+minimal+"}"), &e))
	require.Empty(t, e.Resource.Attributes())
}

func TestADecodedEventDoesNotAliasItsLine(t *testing.T) {
	t.Parallel()
	line := []byte(`{"app":"x","resource":{"service.name":"chat"},"websocket.idle.duration":5,` + minimal + "}")
	d := Decoder{AllowUnknown: true}
	var e Event
	require.NoError(t, d.Decode(line, &e))
	want := string(e.AppendJSON(nil))
	for i := range line {
		line[i] = '#'
	}
	require.Equal(t, want, string(e.AppendJSON(nil)))
}

// drawEvent draws an event that keeps the model's rules.
func drawEvent(t *rapid.T, extras bool) Event {
	text := func(limit int) *rapid.Generator[string] {
		return rapid.Map(rapid.StringN(-1, -1, limit), func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
	}
	when := rapid.Map(rapid.Int64Range(1, maxTime.UnixNano()), func(ns int64) time.Time { return time.Unix(0, ns).UTC() })
	value := func(k Key, s *Schema) Value {
		d := k.Definition()
		switch {
		case k == ErrorType:
			return String(rapid.SampledFrom(s.ErrorTypes).Draw(t, d.Name))
		case k == HTTPResponseStatusCode && s.Name == Open:
			return Int(rapid.SampledFrom([]int64{101, 200}).Draw(t, d.Name))
		case k == FrameOpcode && s.Name == Ping:
			return String(rapid.SampledFrom([]string{"ping", "pong"}).Draw(t, d.Name))
		case d.Values != nil:
			return String(rapid.SampledFrom(d.Values).Draw(t, d.Name))
		}
		switch d.Kind {
		case KindInt:
			return Int(rapid.Int64Range(d.Min, d.Max).Draw(t, d.Name))
		case KindDouble:
			return Double(rapid.Float64Range(0, MaxSeconds).Draw(t, d.Name))
		case KindBool:
			return Bool(rapid.Bool().Draw(t, d.Name))
		case KindStrings:
			return Strings(rapid.SliceOfN(text(40), 0, 4).Draw(t, d.Name))
		}
		return String("v" + text(MaxLowBytes-1).Draw(t, d.Name))
	}
	s := &Schemas()[rapid.IntRange(0, len(Schemas())-1).Draw(t, "schema")]
	e := Event{Name: s.Name, Time: when.Draw(t, "time")}
	if rapid.Bool().Draw(t, "has observed") {
		e.Observed = when.Draw(t, "observed")
	}
	if rapid.Bool().Draw(t, "has trace") {
		copy(e.TraceID[:], rapid.SliceOfN(rapid.ByteRange(1, 255), 16, 16).Draw(t, "trace"))
		copy(e.SpanID[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "span"))
	}
	for _, k := range rapid.Permutation(Keys()).Draw(t, "order") {
		if s.Allows(k) && (s.needs.has(k) || rapid.Bool().Draw(t, "has "+k.String())) {
			e.Set(k, value(k, s))
		}
	}
	named := rapid.Custom(func(t *rapid.T) Named {
		name := "x." + text(20).Draw(t, "name")
		return Named{name, rapid.OneOf(
			rapid.Map(text(40), String), rapid.Map(rapid.Int64(), Int), rapid.Map(rapid.Bool(), Bool),
			rapid.Map(rapid.Float64(), Double), rapid.Map(rapid.SliceOfN(text(10), 1, 3), Strings),
		).Draw(t, "value")}
	})
	byName := func(n Named) string { return n.Name }
	if extras {
		for _, x := range rapid.SliceOfNDistinct(named, 0, 4, byName).Draw(t, "extra") {
			e.AddExtra(x.Name, x.Value)
		}
	}
	if attrs := rapid.SliceOfN(named, 0, 4).Draw(t, "resource"); len(attrs) > 0 {
		e.Resource = NewResource(attrs...)
	}
	return e
}

func TestAnyEventSurvivesNDJSON(t *testing.T) {
	t.Parallel()
	var strict Decoder
	lenient := Decoder{AllowUnknown: true}
	rapid.Check(t, func(t *rapid.T) {
		extras := rapid.Bool().Draw(t, "extras")
		e := drawEvent(t, extras)
		line := e.AppendJSON([]byte("kept"))
		require.True(t, bytes.HasPrefix(line, []byte("kept{")))
		line = line[4:]
		require.True(t, json.Valid(line) && utf8.Valid(line))
		require.NotContains(t, string(line), "\n")
		d := &strict
		if extras {
			d = &lenient
		} else {
			require.NoError(t, e.Validate())
		}
		var got Event
		require.NoError(t, d.Decode(line, &got))
		requireSame(t, &e, &got)
		require.Equal(t, string(line), string(got.AppendJSON(nil)), "canonical")
	})
}

// FuzzDecode compares the decoder with encoding/json: what is not JSON is refused, what is JSON is never called
// malformed, and both read the same values.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.ndjson")
	require.NoError(f, err)
	seeds := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		for line := range bytes.Lines(data) {
			f.Add(line, seeds%2 == 0)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seed found in testdata/*.ndjson")
	}
	f.Fuzz(func(t *testing.T, line []byte, allow bool) {
		d := Decoder{AllowUnknown: allow}
		var e Event
		err := d.Decode(line, &e)
		if err != nil {
			var de *DecodeError
			require.ErrorAs(t, err, &de)
			require.Contains(t, Reasons(), de.Reason)
			require.NotEmpty(t, de.Problems)
			require.LessOrEqual(t, len(err.Error()), 8192)
			require.True(t, utf8.ValidString(err.Error()))
			for _, p := range de.Problems {
				require.LessOrEqual(t, p.Offset, len(line))
				if p.Reason == ReasonMalformedJSON {
					require.False(t, json.Valid(line) && bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")), "%s", err)
				}
			}
			return
		}
		var reference map[string]any
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&reference))
		e.Each(func(k Key, v Value) {
			switch want := reference[k.String()].(type) {
			case string:
				require.Equal(t, want, v.Str())
			case bool:
				require.Equal(t, want, v.Bool())
			case json.Number:
				f, err := want.Float64()
				require.NoError(t, err)
				require.InDelta(t, f, v.Double(), 0)
			case []any:
				require.Len(t, v.Strings(), len(want))
			default:
				require.Contains(t, []Key{NetworkProtocolName, SourceEvidence}, k)
			}
		})
		if !allow {
			require.NoError(t, e.Validate())
		}
		out := e.AppendJSON(nil)
		var again Event
		require.NoError(t, d.Decode(out, &again))
		requireSame(t, &e, &again)
		require.Equal(t, string(out), string(again.AppendJSON(nil)))
	})
}

func TestDecodeErrorsAreTyped(t *testing.T) {
	t.Parallel()
	var d Decoder
	err := d.Decode([]byte("{"), &Event{})
	var de *DecodeError
	require.True(t, errors.As(err, &de))
	require.Equal(t, Problem{Reason: ReasonMalformedJSON, Offset: 1, text: "malformed JSON: line ends early"}, de.Problems[0])
}
