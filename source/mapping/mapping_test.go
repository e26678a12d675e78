package mapping_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/mapping"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

func decode(t testing.TB, text string) *mapping.Config {
	t.Helper()
	cfg := &mapping.Config{}
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	require.NoError(t, d.Decode(cfg))
	return cfg
}

func parser(t testing.TB, text string) *mapping.Parser {
	t.Helper()
	p, err := mapping.New(sourcetest.Settings(), decode(t, text))
	require.NoError(t, err)
	return p
}

func example(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "mapping.yaml"))
	require.NoError(t, err)
	return string(data)
}

// The backend's own log against what its clients saw. Where the backend met no Close frame it has -1 for the code.
func TestTheExampleReadsTheLogOfABackend(t *testing.T) {
	t.Parallel()
	p := parser(t, example(t))
	byPort := map[string][]event.Event{}
	for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "goapp", "backend.jsonl.log")) {
		for _, e := range sourcetest.Parse(t, p, line) {
			sourcetest.AssertModel(t, &e)
			require.Equal(t, "chat_backend", e.String(event.SourceType))
			require.Equal(t, event.VantageApp, e.String(event.Vantage))
			require.Equal(t, "127.0.0.1", e.String(event.ClientAddress))
			byPort[e.Get(event.ClientPort).Text()] = append(byPort[e.Get(event.ClientPort).Text()], e)
		}
	}
	opens := 0
	for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "goapp", "direct.expected.jsonl")) {
		var want struct {
			Scenario string
			Port     json.Number `json:"client_port"`
			Status   int         `json:"http_status_seen_by_client"`
			Close    []struct{ Code *int64 }
			Frames   map[string]int `json:"c2s_frames"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &want))
		got := map[event.Name]event.Event{}
		for _, e := range byPort[want.Port.String()] {
			got[e.Name] = e
			require.Equal(t, byPort[want.Port.String()][0].String(event.ConnectionID), e.String(event.ConnectionID))
		}
		_, opened := got[event.Open]
		closed := got[event.Close]
		switch {
		case want.Status == 101 || want.Scenario == "client_abort_before_upgrade":
			// The backend answers that one with 101 too; the client has left by then.
			opens++
			require.True(t, opened, want.Scenario)
			code := closed.Get(event.CloseCode)
			switch {
			case len(want.Close) == 0 || strings.HasPrefix(want.Scenario, "proto_err_") && want.Scenario != "proto_err_invalid_utf8_1007",
				want.Scenario == "message_too_big_1009":
				// No Close frame, or one that the backend's library sent by itself: the backend does not know it.
				require.Equal(t, event.KindAbsent, code.Kind(), want.Scenario)
			case want.Close[0].Code == nil:
				require.Equal(t, int64(1005), code.Int(), "an empty Close frame")
			default:
				require.Equal(t, *want.Close[0].Code, code.Int(), want.Scenario)
			}
			if strings.HasPrefix(want.Scenario, "ok_") {
				require.Equal(t, int64(want.Frames["text"]+want.Frames["binary"]), closed.Get(event.IOMessagesReceived).Int(), want.Scenario)
			}
			if strings.HasPrefix(want.Scenario, "server_close_") {
				require.Equal(t, event.InitiatorServer, closed.String(event.CloseInitiator), want.Scenario)
			}
		case want.Status == 401 || want.Status == 403 && want.Scenario == "auth_403":
			r, a := got[event.HandshakeRejected], got[event.Auth]
			require.Equal(t, int64(want.Status), r.Get(event.HTTPResponseStatusCode).Int())
			require.Equal(t, event.RejectionFor(want.Status), r.String(event.ErrorType))
			require.Equal(t, event.AuthFailure, a.String(event.AuthResult))
		case want.Status >= 400:
			r := got[event.HandshakeRejected]
			require.Equal(t, event.BadHandshake, r.String(event.ErrorType), want.Scenario)
		default:
			require.Empty(t, got, want.Scenario) // 200 and 302 are other handlers'
		}
	}
	require.Equal(t, 32, opens)
}

const chat = `
source_type: chat
visibility: at_close
time: {field: at, layout: unix_ms}
connection: [conn.id, node]
traceparent: trace
resource: {service.name: svc}
attributes: {server.address: host, websocket.tenant.id: tenant}
events:
  - {when: {msg: closed}, name: websocket.open, ago: {field: took, unit: ms}, attributes: {websocket.client.subprotocols: offered, websocket.handshake.key_hash: key}}
  - when: {msg: closed, level: [info, warn, 3, true]}
    name: websocket.close
    attributes:
      websocket.connection.duration: {field: took, unit: ms}
      websocket.close.code: code
      websocket.close.clean: clean
  - {when: {msg: auth, result: "*"}, name: websocket.auth, attributes: {websocket.auth.duration: {field: took, unit: go}, websocket.auth.result: {field: result, values: {ok: success, "": "", "*": failure}}}}
  - {when: {msg: message}, name: websocket.message, attributes: {network.io.direction: {field: dir, values: {in: receive, out: transmit}}, websocket.message.type: {value: text}, websocket.message.size: size}}
`

func TestWhatADescriptionMakesOfALine(t *testing.T) {
	t.Parallel()
	closed := func(members string) string {
		return `{"at":1795330828123,"msg":"closed","conn":{"id":"c1"},"node":"n1","svc":"chat","host":"Chat.example.test:8443","took":1518,` + members + `"_":0}`
	}
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"two events of a line, of which one was earlier": {closed(`"level":"info","code":1000,"clean":true,"tenant":"acme","offered":["chat.v1","chat.v0"],`), []string{
			"websocket.open http.response.status_code=101 server.address=chat.example.test server.port=8443 " +
				"websocket.client.subprotocols=chat.v1,chat.v0 websocket.tenant.id=acme websocket.source.visibility=at_close",
			"websocket.close websocket.connection.duration=1.518 websocket.close.code=1000 websocket.close.clean=true " +
				"websocket.close.initiator=unknown websocket.client.subprotocols="}},
		"all conditions must hold":         {closed(`"level":"debug",`), []string{"websocket.open"}},
		"values may be numbers":            {closed(`"level":3,`), []string{"websocket.open", "websocket.close"}},
		"and truths":                       {closed(`"level":true,`), []string{"websocket.open", "websocket.close"}},
		"1006 is no code of a Close frame": {closed(`"level":"warn","code":1006.0,`), []string{"websocket.open", "websocket.close websocket.close.code= websocket.close.clean=false error.type=connection_lost"}},
		"a list may be a header":           {closed(`"offered":"a, b",`), []string{"websocket.open websocket.client.subprotocols=a,b"}},
		"the key is hashed":                {closed(`"key":"dGhlIHNhbXBsZSBub25jZQ==",`), []string{"websocket.open"}},
		"a dimension that is too long":     {closed(`"tenant":"` + strings.Repeat("a", 600) + `",`), []string{"websocket.open websocket.tenant.id="}},
		"a table and a duration of Go": {`{"at":1795330828123,"msg":"auth","node":"n1","result":"ok","took":"1m0.5s"}`,
			[]string{"websocket.auth websocket.auth.result=success websocket.auth.duration=60.5"}},
		"the rest of a table":     {`{"at":1795330828123,"msg":"auth","node":"n1","result":"no"}`, []string{"websocket.auth websocket.auth.result=failure"}},
		"a condition on presence": {`{"at":1795330828123,"msg":"auth","node":"n1","result":""}`, nil},
		"a constant": {`{"at":1795330828123,"msg":"message","node":"n1","dir":"in","size":5e3}`,
			[]string{"websocket.message network.io.direction=receive websocket.message.type=text websocket.message.size=5000"}},
		"another line": {`{"at":"x","msg":"listening"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sourcetest.Parse(t, parser(t, chat), c.line)
			sourcetest.AssertEvents(t, c.want, got)
			for i := range got {
				require.NotContains(t, got[i].String(event.ConnectionID), "n1")
				if v := got[i].String(event.HandshakeKeyHash); v != "" {
					require.Regexp(t, "^[0-9a-f]{32}$", v)
				}
			}
			if len(got) > 1 {
				require.Equal(t, 1.518, got[1].Time.Sub(got[0].Time).Seconds())
				require.Equal(t, "chat", got[0].Resource.String("service.name"))
				require.Same(t, got[0].Resource, got[1].Resource)
			}
		})
	}
}

func TestTimesAndTraces(t *testing.T) {
	t.Parallel()
	for layout, value := range map[string]string{
		"rfc3339": `"2026-11-22T08:00:28.123+01:00"`, "unix": "1795330828.123", "unix_ms": `"1795330828123"`,
		"unix_us": "1795330828123000", "unix_ns": "1795330828123000000", `"02/Jan/2006:15:04:05.000 -0700"`: `"22/Nov/2026:07:00:28.123 +0000"`,
	} {
		p := parser(t, "source_type: a\ntime: {field: t, layout: "+layout+"}\nconnection: [c]\ntrace_id: tr\nspan_id: sp\nevents: [{when: {e: o}, name: websocket.open}]")
		e := sourcetest.Parse(t, p, `{"t":`+value+`,"c":1,"e":"o","tr":"0af7651916cd43dd8448eb211c80319c","sp":"b7ad6b7169203331"}`)[0]
		require.Equal(t, "2026-11-22T07:00:28.123Z", e.Time.Format("2006-01-02T15:04:05.999Z"), layout)
		require.NotZero(t, e.TraceID)
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":                          {"x", "malformed json"},
		"no time":                           {`{"msg":"auth","result":"ok"}`, "missing field: at"},
		"a time of words":                   {`{"msg":"auth","result":"ok","at":"soon"}`, "bad time: at"},
		"nothing tells connections":         {`{"msg":"auth","result":"ok","at":1795330828123}`, "missing field: conn.id"},
		"a code that is none":               {`{"msg":"closed","level":"info","at":1795330828123,"node":1,"code":70000}`, "bad value: code"},
		"a size that is none":               {`{"msg":"message","dir":"in","at":1795330828123,"node":1,"size":-5}`, "bad value: size"},
		"a truth that is none":              {`{"msg":"closed","level":"info","at":1795330828123,"node":1,"clean":"maybe"}`, "bad value: clean"},
		"a duration that is none":           {`{"msg":"closed","at":1795330828123,"node":1,"took":-1}`, "bad number: took"},
		"a word outside the table":          {`{"msg":"message","dir":"secret","at":1795330828123,"node":1}`, "bad value: dir"},
		"an event that lacks what it needs": {`{"msg":"message","at":1795330828123,"node":1}`, "missing attribute: network.io.direction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parser(t, chat).Parse([]byte(c.line), func(*event.Event) { t.Error("an event") })
			require.EqualError(t, err, c.want)
		})
	}
}

func TestAllFaultsOfADescriptionAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := decode(t, `
visibility: open
vantage: space
time: {field: t, layout: "yesterday", zone: x}
trace_id: t
resource: {service.name: {value: x}, service.version: ""}
attributes: {websocket.close.cod: x, websocket.connection.id: x, url.pat: p, websocket.frame.fin: y, close.code: z}
events:
  - {name: websocket.opened, when: {e: [[1]]}}
  - name: websocket.message
    ago: {field: t, unit: h}
    attributes:
      network.io.direction: {value: up}
      websocket.message.size: {field: s, unit: ms}
      websocket.message.count: {field: s, value: 1}
      websocket.message.compressed: 1
      websocket.message.frames: {field: s, values: {}}
      websocket.message.wire_size: {field: s, values: {a: b}, format: x}
      websocket.close.code: c
  - {when: {e: x}, name: websocket.source.progress}
  - {when: {e: y}, name: websocket.error}
`).Check()
	require.Error(t, err)
	require.Equal(t, []string{
		"source_type: name what writes the log in 1 to 64 bytes, such as chat_backend",
		`visibility: must be one of at_open, at_close, got "open"`,
		`vantage: must be one of edge, gateway, app, tap, got "space"`,
		"time.zone: unknown; field and layout are known",
		`time.layout: must be rfc3339, unix, unix_ms, unix_us, unix_ns or a layout of Go's package time with a date, got "yesterday"`,
		"connection: list the fields that tell connections apart, such as [connection_id] or [peer]",
		"trace_id: goes with span_id; name both fields",
		"resource.service.name: name a field; a fixed value belongs into resource of the receiver",
		"resource.service.version: name a field of the log in 1 to 64 bytes",
		"attributes.close.code: not an attribute of the event model; did you mean websocket.close.code?",
		"attributes.url.pat: not an attribute of the event model; did you mean url.path?",
		"attributes.websocket.close.cod: not an attribute of the event model; did you mean websocket.close.code?",
		"attributes.websocket.connection.id: cannot be mapped: list the fields that tell connections apart under connection",
		"events[0].when.e: must be a value or a list of values",
		`events[0].name: "websocket.opened" is not an event of the event model; did you mean websocket.open?`,
		"events[1].when: say by which field and value a line is this event: {event: opened}",
		`events[1].ago.unit: must be s, ms, us, ns, or go for 1m2.5s, and only of a duration, got "h"`,
		"events[1].attributes.network.io.direction.value: cannot be network.io.direction: must be one of receive, transmit",
		"events[1].attributes.websocket.message.compressed: must be the name of a field, or a map with field or value; a fixed value is written {value: x}",
		"events[1].attributes.websocket.message.count: needs either field or value",
		"events[1].attributes.websocket.message.frames.values: must be a map of values of the log to values of the attribute",
		`events[1].attributes.websocket.message.size.unit: must be s, ms, us, ns, or go for 1m2.5s, and only of a duration, got "ms"`,
		"events[1].attributes.websocket.message.wire_size.format: unknown; field, value, values and unit are known",
		"events[1].attributes.websocket.message.wire_size.values.a: cannot be websocket.message.wire_size: must be a whole number within its bounds",
		"events[1].attributes.websocket.close.code: does not belong to websocket.message",
		"events[1].attributes: websocket.message needs network.io.direction",
		"events[1].attributes: websocket.message needs websocket.message.type",
		"events[2].name: websocket.source.progress is the receiver's own",
		"events[2].attributes: websocket.source.progress needs websocket.source.name",
		"events[2].attributes: websocket.source.progress needs websocket.source.read_through",
		"events[2].attributes: websocket.source.progress needs websocket.source.backlog",
		"events[3].attributes: websocket.error needs error.type",
	}, strings.Split(err.Error(), "\n"))

	err = decode(t, "source_type: a\ntime: t\nconnection: [c]\nattributes: {websocket.close.code: x}\nevents: [{when: {e: o}, name: websocket.open}]").Check()
	require.EqualError(t, err, "attributes.websocket.close.code: belongs to none of the events")
	err = decode(t, "source_type: a\ntime: t\nconnection: [c]\nevents: []").Check()
	require.EqualError(t, err, "events: describe at least one event: {when: {field: value}, name: websocket.open}")
}

func seeds(t testing.TB) []string {
	return sourcetest.ReadLines(t, filepath.Join("testdata", "backend.jsonl.log"))
}

func TestBrokenLines(t *testing.T) {
	text := example(t)
	sourcetest.Garbage(t, func() source.Parser { return parser(t, text) }, seeds(t)...)
}

func FuzzParse(f *testing.F) {
	cfg := decode(f, example(f))
	sourcetest.Fuzz(f, func() source.Parser {
		p, err := mapping.New(sourcetest.Settings(), cfg)
		if err != nil {
			panic(err)
		}
		return p
	}, seeds(f)...)
}

// A description comes from a file of the operator's; it may be wrong, never crash.
func FuzzConfig(f *testing.F) {
	f.Add(example(f))
	f.Add(chat)
	f.Fuzz(func(_ *testing.T, text string) {
		cfg := &mapping.Config{}
		if yaml.Unmarshal([]byte(text), cfg) != nil {
			return
		}
		if p, err := mapping.New(sourcetest.Settings(), cfg); err == nil {
			_ = p.Parse([]byte(`{"at":1795330828123,"msg":"closed","node":"n1","ts":"2026-11-22T07:00:28Z","event":"end","peer":"a"}`), func(*event.Event) {})
		}
	})
}

func BenchmarkParse(b *testing.B) { sourcetest.Benchmark(b, parser(b, example(b)), seeds(b)) }

func TestALineCostsFewAllocations(t *testing.T) {
	sourcetest.AssertAllocations(t, parser(t, example(t)), seeds(t), 3)
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, mapping.Config{}, filepath.Join(testenv.Root(), "docs", "sources", "mapping.md"))
}
