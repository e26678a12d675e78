package store_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
)

func named(pairs ...string) (list []event.Named) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, event.Named{Name: pairs[i], Value: event.String(pairs[i+1])})
	}
	return list
}

func insertSpans(t testing.TB, s *store.Store, token string, spans ...event.Span) {
	t.Helper()
	var rows store.SpanRows
	for i := range spans {
		rows.Append(&spans[i])
	}
	require.NoError(t, s.InsertSpans(t.Context(), token, &rows))
}

func TestEveryPartOfASpanSurvivesStorage(t *testing.T) {
	t.Parallel()
	s := open(t)
	start := base.Add(123_456_789 * time.Nanosecond)
	span := event.Span{
		TraceID: [16]byte{0xab, 1}, SpanID: [8]byte{0xcd, 2}, ParentID: [8]byte{0xef, 3}, TraceState: "ot=th:8", Name: "GET /ws",
		Kind: event.SpanServer, Start: start, End: start.Add(1500 * time.Millisecond), Status: event.SpanError,
		StatusMessage: "ünï\x00'", Scope: "a scope",
		Resource: event.NewResource(named(event.ServiceName, "chat", event.ServiceNamespace, "talk", event.ServiceInstanceID, "edge-1",
			event.Environment, "prod", event.Region, "eu-1", event.HostName, "h")...),
		Attributes: append(named("error.type", "forbidden", "websocket.connection.id", "c-1", "url.path", "/ws"),
			event.Named{Name: "http.response.status_code", Value: event.Int(403)}),
		Events: []event.SpanEvent{
			{Time: start.Add(time.Millisecond), Name: "one", Attributes: named("a", "b")}, {Time: start, Name: "two"},
		},
		Links: []event.SpanLink{
			{TraceID: [16]byte{9}, SpanID: [8]byte{8}, Attributes: named("c", "d", "e", "f")}, {TraceID: [16]byte{7}, SpanID: [8]byte{6}},
		},
	}
	bare := event.Span{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Start: start, End: start}
	insertSpans(t, s, "one", span, bare, span)
	insertSpans(t, s, "two", bare) // without anything that varies in number
	var row string
	require.NoError(t, s.Conn().QueryRow(t.Context(), `SELECT any(toJSONString(tuple(traces.*))) FROM traces WHERE parent_id != ''
		GROUP BY trace_id HAVING count() = 2 AND uniqExact(toJSONString(tuple(traces.*))) = 1`).Scan(&row))
	const layout = "2006-01-02 15:04:05.000000000"
	want := fmt.Sprintf(`[%q,1.5,"ab010000000000000000000000000000","cd02000000000000",
		"ef03000000000000","ot=th:8","GET /ws","server","error",
		"ünï\u0000'","forbidden","c-1","a scope","chat",
		"talk","edge-1","prod","eu-1",
		{"url.path":"/ws","http.response.status_code":"403"},{"host.name":"h"},
		[{"time":%q,"name":"one","attributes":{"a":"b"}},{"time":%q,"name":"two","attributes":{}}],
		[{"trace_id":"09000000000000000000000000000000","span_id":"0800000000000000","attributes":{"c":"d","e":"f"}},
		{"trace_id":"07000000000000000000000000000000","span_id":"0600000000000000","attributes":{}}],"one"]`,
		start.Format(layout), start.Add(time.Millisecond).Format(layout), start.Format(layout))
	require.True(t, json.Valid([]byte(row)), row)
	require.JSONEq(t, want, row)
	require.EqualValues(t, 2, number(t, s, `SELECT count() FROM traces WHERE parent_id = '' AND kind = 'unspecified' AND
		status = 'unset' AND empty(events) AND empty(links) AND empty(attributes) AND duration = 0`))
}

func TestASecondInsertOfSpansChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	var rows store.SpanRows
	for i := range 1000 {
		rows.Append(&event.Span{
			TraceID: [16]byte{byte(i), byte(i >> 8), 1}, SpanID: [8]byte{1}, Name: "GET /" + strconv.Itoa(i%300), Start: base, End: base,
			Attributes: named("k"+strconv.Itoa(i%400), "v"),
		})
	}
	content := rows.ContentToken()
	for range 2 {
		require.NoError(t, s.InsertSpans(t.Context(), "a", &rows))
		require.NoError(t, s.InsertSpans(t.Context(), "b", &rows))
	}
	require.EqualValues(t, 2000, number(t, s, "SELECT count() FROM traces"))
	require.EqualValues(t, 1000, number(t, s, "SELECT uniqExact(trace_id) FROM traces"))
	require.EqualValues(t, 400, number(t, s, "SELECT uniqExact(mapKeys(attributes)) FROM traces"))
	require.Equal(t, content, rows.ContentToken())
	rows.Reset()
	require.Zero(t, rows.Len())
	require.NotEqual(t, content, rows.ContentToken())
	require.Error(t, s.InsertSpans(t.Context(), "", func() *store.SpanRows { rows.Append(&event.Span{}); return &rows }()))
}

// TestATraceIsFoundByItsIndex reads no more granules than it has to.
func TestATraceIsFoundByItsIndex(t *testing.T) {
	t.Parallel()
	s := open(t)
	var rows store.SpanRows
	for i := range 100_000 {
		rows.Append(&event.Span{
			TraceID: [16]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, SpanID: [8]byte{1}, Name: "GET", Start: base, End: base,
		})
	}
	require.NoError(t, s.InsertSpans(t.Context(), "a", &rows))
	plan, err := s.Conn().Query(t.Context(), "EXPLAIN indexes = 1 SELECT * FROM traces WHERE trace_id = '01020001000000000000000000000000'")
	require.NoError(t, err)
	defer plan.Close()
	text, line := "", ""
	for plan.Next() {
		require.NoError(t, plan.Scan(&line))
		text += line + "\n"
	}
	require.Contains(t, text, "trace_id_index")
	require.Regexp(t, `trace_id_index(.*\n)+.*Granules: 1/13`, text)
}

func TestPayloadSamplesAreStoredOnceAndForADay(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := event.Event{Name: event.MessageSampled, Time: time.Now().UTC().Truncate(time.Millisecond)}
	e.Resource = event.NewResource(named(event.ServiceName, "chat")...)
	e.SetString(event.ConnectionID, "c-1")
	e.SetString(event.ErrorType, event.InvalidUTF8)
	e.SetString(event.MessageType, event.MessageText)
	e.SetString(event.SchemaID, "chat@1")
	e.SetInt(event.MessageSize, 2000)
	e.SetString(event.MessageSample, `{"a":"[secret]`)
	old := store.PayloadSampleOf(&e)
	old.Time = old.Time.Add(-48 * time.Hour)
	for range 2 {
		require.NoError(t, s.InsertPayloadSamples(t.Context(), []store.PayloadSample{store.PayloadSampleOf(&e)}))
		require.NoError(t, s.InsertPayloadSamples(t.Context(), []store.PayloadSample{old}))
	}
	require.EqualValues(t, 1, number(t, s, `SELECT count() FROM payload_samples WHERE service = 'chat' AND connection_id = 'c-1' AND
		error_type = 'invalid_utf8' AND message_type = 'text' AND schema = 'chat@1' AND size = 2000 AND
		sample = '{"a":"[secret]' AND time = fromUnixTimestamp64Milli(?)`, e.Time.UnixMilli()))
	require.NoError(t, s.Conn().Exec(t.Context(), "OPTIMIZE TABLE payload_samples FINAL"))
	require.EqualValues(t, 1, number(t, s, "SELECT count() FROM payload_samples"), "the old one has gone")
}
