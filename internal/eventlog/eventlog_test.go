package eventlog

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// samples are events of every name, from package event's golden file.
func samples(t testing.TB) []event.Event {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "event", "testdata", "events.ndjson"))
	require.NoError(t, err)
	var d event.Decoder
	var events []event.Event
	for line := range bytes.Lines(data) {
		var e event.Event
		require.NoError(t, d.Decode(line, &e))
		events = append(events, e)
	}
	require.NotEmpty(t, events)
	return events
}

// decode is what a component does with records.
func decode(t require.TestingT, ld plog.Logs) []event.Event {
	var events []event.Event
	for _, rl := range ld.ResourceLogs().All() {
		resource := DecodeResource(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				var e event.Event
				require.NoError(t, DecodeRecord(lr, resource, &e))
				events = append(events, e)
			}
		}
	}
	return events
}

// overTheWire sends ld through OTLP's protobuf form.
func overTheWire(t require.TestingT, ld plog.Logs) plog.Logs {
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	require.NoError(t, err)
	var u plog.ProtoUnmarshaler
	got, err := u.UnmarshalLogs(b)
	require.NoError(t, err)
	return got
}

func TestEveryEventSurvivesALogRecord(t *testing.T) {
	t.Parallel()
	want := samples(t)
	got := decode(t, overTheWire(t, Encode(want, Chunk{ID: "c1"})))
	require.Len(t, got, len(want))
	names := map[event.Name]bool{}
	for i := range want {
		names[want[i].Name] = true
		require.Equal(t, string(want[i].AppendJSON(nil)), string(got[i].AppendJSON(nil)))
		require.NoError(t, got[i].Validate())
		require.Equal(t, want[i].Facts(), got[i].Facts())
	}
	for _, s := range event.Schemas() {
		require.True(t, names[s.Name], "no sample of %s", s.Name)
	}
}

func TestRecordsLookAsOTLPSays(t *testing.T) {
	t.Parallel()
	var some []event.Event
	for _, e := range samples(t) {
		if e.Name == event.Close || e.Name == event.Auth {
			some = append(some, e)
		}
	}
	var m plog.JSONMarshaler
	b, err := m.MarshalLogs(Encode(some, Chunk{ID: "c1"}))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, b, "", "  "))
	golden.Assert(t, "testdata/records.golden.json", append(out.Bytes(), '\n'))
}

func TestAnyEventSurvivesALogRecord(t *testing.T) {
	t.Parallel()
	lines := samples(t)
	rapid.Check(t, func(t *rapid.T) {
		e := lines[rapid.IntRange(0, len(lines)-1).Draw(t, "event")].Clone()
		e.Time = time.Unix(0, rapid.Int64Range(1, math.MaxInt64-int64(2*time.Second)).Draw(t, "time")).UTC()
		for _, k := range event.Keys() {
			d := k.Definition()
			if d.Values != nil || !rapid.Bool().Draw(t, "change "+d.Name) {
				continue
			}
			switch d.Kind {
			case event.KindString:
				e.SetString(k, "v"+rapid.StringN(-1, -1, event.MaxLowBytes-1).Draw(t, d.Name))
			case event.KindInt:
				e.SetInt(k, rapid.Int64Range(d.Min, d.Max).Draw(t, d.Name))
			case event.KindDouble:
				e.SetDouble(k, rapid.Float64Range(0, event.MaxSeconds).Draw(t, d.Name))
			case event.KindBool:
				e.SetBool(k, rapid.Bool().Draw(t, d.Name))
			case event.KindStrings:
				e.SetStrings(k, rapid.SliceOf(rapid.String()).Draw(t, d.Name)...)
			}
		}
		e.AddExtra("app", event.Double(rapid.Float64().Draw(t, "extra")))
		got := decode(t, overTheWire(t, Encode([]event.Event{e}, Chunk{})))
		require.Len(t, got, 1)
		require.Equal(t, string(e.AppendJSON(nil)), string(got[0].AppendJSON(nil)))
		require.Equal(t, e.Extra(), got[0].Extra())
	})
}

func TestAChunkStandsOnEveryScope(t *testing.T) {
	t.Parallel()
	var a, b event.Resource
	events := []event.Event{
		{Name: event.Idle, Time: time.Unix(1, 0), Resource: &a}, {Name: event.Idle, Time: time.Unix(2, 0), Resource: &b},
		{Name: event.Idle, Time: time.Unix(3, 0), Resource: &a}, {Name: event.Idle, Time: time.Unix(4, 0)},
	}
	ld := overTheWire(t, Encode(events, Chunk{ID: "c1", Records: 99}))
	require.Equal(t, 3, ld.ResourceLogs().Len(), "one group for each resource")
	require.Equal(t, 4, ld.LogRecordCount())
	for _, rl := range ld.ResourceLogs().All() {
		require.Equal(t, Chunk{ID: "c1", Records: 4}, ChunkOf(rl.ScopeLogs().At(0).Scope()))
	}
	ld = overTheWire(t, Encode(events, Chunk{ID: "c1", Repeated: true}))
	for _, rl := range ld.ResourceLogs().All() {
		require.Equal(t, Chunk{ID: "c1", Records: 4, Repeated: true}, ChunkOf(rl.ScopeLogs().At(0).Scope()))
	}
	ld = Encode(events, Chunk{})
	require.Zero(t, ChunkOf(ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope()))
	require.Zero(t, Encode(nil, Chunk{ID: "c1"}).LogRecordCount())
}

func TestAForeignChunkIsNoChunk(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(pcommon.Map){
		"nothing":             func(pcommon.Map) {},
		"an id only":          func(m pcommon.Map) { m.PutStr(ChunkIDKey, "c") },
		"an id of a number":   func(m pcommon.Map) { m.PutInt(ChunkIDKey, 1); m.PutInt(ChunkRecordsKey, 1) },
		"a count of text":     func(m pcommon.Map) { m.PutStr(ChunkIDKey, "c"); m.PutStr(ChunkRecordsKey, "1") },
		"a negative count":    func(m pcommon.Map) { m.PutStr(ChunkIDKey, "c"); m.PutInt(ChunkRecordsKey, -1) },
		"a count beyond hope": func(m pcommon.Map) { m.PutStr(ChunkIDKey, "c"); m.PutInt(ChunkRecordsKey, math.MaxInt64) },
	} {
		scope := pcommon.NewInstrumentationScope()
		set(scope.Attributes())
		require.Zero(t, ChunkOf(scope), name)
	}
	scope := pcommon.NewInstrumentationScope()
	scope.Attributes().PutStr(ChunkIDKey, "c")
	scope.Attributes().PutInt(ChunkRecordsKey, 1)
	scope.Attributes().PutStr(ChunkRepeatedKey, "true")
	require.False(t, ChunkOf(scope).Repeated, "only a bool counts")
}

func TestForeignRecords(t *testing.T) {
	t.Parallel()
	const at = pcommon.Timestamp(1795330811356000000)
	for name, c := range map[string]struct {
		fill func(plog.LogRecord)
		want string // the error
	}{
		"no name":         {func(lr plog.LogRecord) { lr.SetTimestamp(at) }, "event name: not in the event model (0 characters)"},
		"a foreign name":  {func(lr plog.LogRecord) { lr.SetEventName("browser.page_view"); lr.SetTimestamp(at) }, "event name: not in the event model (17 characters)"},
		"no time":         {func(lr plog.LogRecord) { lr.SetEventName("websocket.open") }, "websocket.open: record has neither a timestamp nor an observed timestamp"},
		"a time too late": {func(lr plog.LogRecord) { lr.SetEventName("websocket.open"); lr.SetTimestamp(math.MaxUint64) }, "websocket.open: timestamp is after the year 2261"},
		"observed too late": {func(lr plog.LogRecord) {
			lr.SetEventName("websocket.open")
			lr.SetTimestamp(at)
			lr.SetObservedTimestamp(1 << 63)
		}, "websocket.open: timestamp is after the year 2261"},
	} {
		lr := plog.NewLogRecord()
		c.fill(lr)
		e := event.Event{Name: event.Close, Time: time.Unix(1, 0)}
		require.EqualError(t, DecodeRecord(lr, nil, &e), c.want, name)
		require.Equal(t, "", string(e.Name), name)
		require.True(t, e.Time.IsZero(), name)
	}
}

func TestWhatTheModelRefusesIsKeptBesides(t *testing.T) {
	t.Parallel()
	lr := plog.NewLogRecord()
	lr.SetEventName("websocket.message")
	lr.SetObservedTimestamp(7)
	attrs := lr.Attributes()
	attrs.PutStr("websocket.vantage", "the moon")
	attrs.PutStr("server.port", "443")
	attrs.PutInt("websocket.message.size", -1)
	attrs.PutInt("websocket.message.count", math.MaxInt64)
	attrs.PutInt("websocket.interval.duration", 10)
	attrs.PutEmpty("client.address")
	attrs.PutEmptyMap("app.map").PutInt("k", 1)
	attrs.PutEmptyBytes("app.bytes").FromRaw([]byte{1})
	mixed := attrs.PutEmptySlice("app.mixed")
	mixed.AppendEmpty().SetStr("a")
	mixed.AppendEmpty().SetInt(1)
	bad := attrs.PutEmptySlice("app.bad")
	bad.AppendEmpty().SetDouble(math.NaN())
	attrs.PutEmptySlice("app.list").AppendEmpty().SetStr("a")
	attrs.PutBool("app.bool", true)
	var e event.Event
	require.NoError(t, DecodeRecord(lr, nil, &e))
	require.Equal(t, time.Unix(0, 7).UTC(), e.Time)
	require.Equal(t, 1, e.Len())
	require.InDelta(t, 10, e.Get(event.IntervalDuration).Double(), 0, "an int where a double is expected")
	f := e.Facts()
	require.Equal(t, uint64(1), f.Count)
	require.Zero(t, f.Bytes)
	var names []string
	for _, x := range e.Extra() {
		names = append(names, x.Name+"="+x.Value.Text())
	}
	require.Equal(t, []string{
		"websocket.vantage=the moon", "server.port=443", "websocket.message.size=-1", "websocket.message.count=9223372036854775807",
		`app.map={"k":1}`, "app.bytes=AQ==", `app.mixed=["a",1]`, "app.bad=", "app.list=a", "app.bool=true",
	}, names)
	require.True(t, json.Valid(e.AppendJSON(nil)))

	// Back in a record, neither name nor time can be taken over by an attribute outside the model.
	e.SetInt(event.ServerPort, 8443)
	e.AddExtra("app.bool", event.Bool(false))
	again := plog.NewLogRecord()
	EncodeRecord(again, &e)
	port, _ := again.Attributes().Get("server.port")
	require.Equal(t, int64(8443), port.Int())
	kept, _ := again.Attributes().Get("app.bool")
	require.True(t, kept.Bool())
}

func TestATimeThatOTLPCannotHoldIsAbsent(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)} {
		lr := plog.NewLogRecord()
		EncodeRecord(lr, &event.Event{Name: event.Idle, Time: at})
		require.Zero(t, lr.Timestamp())
		require.Zero(t, lr.ObservedTimestamp())
	}
}

// FuzzDecodeRecord: records come from any sender. What can be decoded survives encoding, whatever it holds.
func FuzzDecodeRecord(f *testing.F) {
	var m plog.ProtoMarshaler
	seeds := 0
	for _, e := range samples(f) {
		e.AddExtra("app", event.Strings([]string{"a"}))
		b, err := m.MarshalLogs(Encode([]event.Event{e}, Chunk{ID: "c1"}))
		require.NoError(f, err)
		f.Add(b)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seed found in event/testdata/events.ndjson")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var u plog.ProtoUnmarshaler
		ld, err := u.UnmarshalLogs(data)
		if err != nil {
			return
		}
		var e, again event.Event
		for _, rl := range ld.ResourceLogs().All() {
			resource := DecodeResource(rl.Resource())
			for _, sl := range rl.ScopeLogs().All() {
				_ = ChunkOf(sl.Scope())
				for _, lr := range sl.LogRecords().All() {
					if err := DecodeRecord(lr, resource, &e); err != nil {
						require.Less(t, len(err.Error()), 200)
						require.Empty(t, e.Name)
						continue
					}
					_ = e.Facts()
					line := string(e.AppendJSON(nil))
					require.True(t, json.Valid([]byte(line)))
					require.NotContains(t, line, "\n")
					copied := plog.NewLogRecord()
					EncodeRecord(copied, &e)
					require.NoError(t, DecodeRecord(copied, resource, &again))
					require.Equal(t, line, string(again.AppendJSON(nil)))
				}
			}
		}
	})
}

// benchEvents are n usual events: nginx connections that ended.
func benchEvents(b *testing.B, n int) []event.Event {
	line, err := os.ReadFile(filepath.Join(testenv.Root(), "event", "testdata", "close.ndjson"))
	require.NoError(b, err)
	var d event.Decoder
	events := make([]event.Event, n)
	for i := range events {
		require.NoError(b, d.Decode(line, &events[i]))
	}
	return events
}

func BenchmarkEncodeLogs(b *testing.B) {
	events := benchEvents(b, 1000)
	b.ReportAllocs()
	report := testenv.CPU(b)
	n := 0
	for b.Loop() {
		n += Encode(events, Chunk{ID: "c1"}).LogRecordCount()
	}
	report(n)
}

func BenchmarkDecodeLogs(b *testing.B) {
	ld := overTheWire(b, Encode(benchEvents(b, 1000), Chunk{ID: "c1"}))
	b.ReportAllocs()
	var e event.Event
	report := testenv.CPU(b)
	n := 0
	for b.Loop() {
		for _, rl := range ld.ResourceLogs().All() {
			resource := DecodeResource(rl.Resource())
			for _, lr := range rl.ScopeLogs().At(0).LogRecords().All() {
				if err := DecodeRecord(lr, resource, &e); err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
	}
	report(n)
}

func TestNamesOfScopeAttributesAreOurs(t *testing.T) {
	t.Parallel()
	for _, k := range []string{ChunkIDKey, ChunkRecordsKey, ChunkRepeatedKey} {
		require.True(t, strings.HasPrefix(k, "sockeye."))
		_, known := event.KeyOf(k)
		require.False(t, known)
	}
}
