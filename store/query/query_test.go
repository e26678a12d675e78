package query_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/query"
)

func TestMain(m *testing.M) {
	// The engine that the tests share lives in a child process; two goroutines of embeddedtest wait for it.
	goleak.VerifyTestMain(embeddedtest.Shared(m))
}

// The events of the test are of yesterday, because the store keeps none for long; written they are of this day.
const written = "2026-11-22"

var yesterday = time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)

// stored returns a store that holds the events of testdata/events.ndjson.
func stored(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), embeddedtest.Database(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join("testdata", "events.ndjson"))
	require.NoError(t, err)
	var rows store.Rows
	var d event.Decoder
	for i, line := range bytes.Split(bytes.TrimSpace(bytes.ReplaceAll(text, []byte(written), []byte(yesterday))), []byte("\n")) {
		var e event.Event
		require.NoError(t, d.Decode(line, &e), "line %d", i+1)
		rows.Append(&e)
	}
	require.NoError(t, s.InsertChunk(t.Context(), "all", &rows))
	require.NoError(t, s.InsertDeadLetters(t.Context(), "all", []store.DeadLetter{
		{Service: "chat", SourceType: "nginx", First: 3, Last: 3, Records: 1, Reason: "no_time", Text: "no time", Time: at("12:10:00")},
		{Service: "feed", First: 7, Last: 20, Records: 5, Reason: store.Refused, Text: "refused", Time: at("12:11:00")},
	}))
	insertSpans(t, s)
	require.NoError(t, s.InsertProgress(t.Context(), []store.Progress{
		{Source: "edge-1:access.log", ReadThrough: at("12:59:58"), Wall: at("12:59:59")},
		{Source: "edge-2:access.log", ReadThrough: at("12:30:00"), Wall: at("12:31:00"), Backlog: 7},
	}))
	return s
}

// insertSpans stores the trace that c1's first event names, of which one span names c1 itself, and one of somebody else.
func insertSpans(t *testing.T, s *store.Store) {
	t.Helper()
	trace := [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c}
	var spans store.SpanRows
	for i, span := range []event.Span{
		{TraceID: trace, SpanID: [8]byte{1}, Name: "GET /ws", Kind: event.SpanServer, Attributes: []event.Named{
			{Name: event.ConnectionID.String(), Value: event.String("c1")},
		}},
		{TraceID: trace, SpanID: [8]byte{2}, ParentID: [8]byte{1}, Name: "authenticate", Status: event.SpanError},
		{TraceID: [16]byte{9}, SpanID: [8]byte{3}, Name: "GET /ws"},
	} {
		span.Start = at("12:00:01").Add(time.Duration(i) * time.Millisecond)
		span.End = span.Start.Add(time.Second)
		span.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
		spans.Append(&span)
	}
	require.NoError(t, s.InsertSpans(t.Context(), "spans", &spans))
}

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, yesterday+" "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func TestEveryQueryAnswersWhatItAsks(t *testing.T) {
	t.Parallel()
	s := stored(t)
	values := map[string]string{
		query.Since: yesterday + " 12:00:00.000", query.Until: yesterday + " 13:00:00.000", query.Limit: "100",
		query.At: yesterday + " 12:20:00.000", query.Client: "p1:k1:aa", query.Connection: "c1", query.Declared: "['chat.example.com/ws/*','old.example.com/ws']",
	}
	for _, q := range query.All() {
		t.Run(q.Name, func(t *testing.T) {
			t.Parallel()
			a, err := q.Run(t.Context(), s.Conn(), values)
			require.NoError(t, err)
			require.NotEmpty(t, a.Rows, "the events of the test have nothing for it")
			golden.Assert(t, filepath.Join("testdata", q.Name+".golden"), []byte(strings.ReplaceAll(write(a), yesterday, written)))

			again := map[string]string{}
			for k, v := range values {
				again[k] = v
			}
			again[query.Limit] = "1"
			a, err = q.Run(t.Context(), s.Conn(), again)
			require.NoError(t, err)
			require.Len(t, a.Rows, 1)

			again[query.Limit], again[query.Service] = "100", "nobody's"
			if q.Has(query.Service) && !q.Has(query.Declared) {
				a, err = q.Run(t.Context(), s.Conn(), again)
				require.NoError(t, err)
				require.Empty(t, a.Rows)
			}
		})
	}
}

func named(t *testing.T, name string) query.Query {
	t.Helper()
	at := slices.IndexFunc(query.All(), func(q query.Query) bool { return q.Name == name })
	require.GreaterOrEqual(t, at, 0, name)
	return query.All()[at]
}

// Where more than a day is asked about, tenants are counted by the hour: the same, if all events are hours away from the ends.
func TestTenantsCountTheSameByTheHour(t *testing.T) {
	t.Parallel()
	s := stored(t)
	tenants := named(t, "tenants")
	until, err := time.Parse(time.DateOnly, yesterday)
	require.NoError(t, err)
	until = until.Add(24 * time.Hour)
	ask := func(ago time.Duration) [][]any {
		a, err := tenants.Run(t.Context(), s.Conn(), map[string]string{
			query.Since: until.Add(-ago).Format(time.DateTime), query.Until: until.Format(time.DateTime), query.Limit: "100",
		})
		require.NoError(t, err)
		require.NotEmpty(t, a.Rows)
		return a.Rows
	}
	require.Equal(t, ask(24*time.Hour), ask(25*time.Hour))
}

// Whole days are read from what is kept of clients by day, the rest from events.
func TestTalkersCountTheSameByTheDay(t *testing.T) {
	t.Parallel()
	s := stored(t)
	talkers := named(t, "top-talkers")
	begin, err := time.Parse(time.DateOnly, yesterday)
	require.NoError(t, err)
	ask := func(since, until time.Time) [][]any {
		a, err := talkers.Run(t.Context(), s.Conn(), map[string]string{
			query.Since: since.Format(time.DateTime), query.Until: until.Format(time.DateTime), query.Limit: "100",
		})
		require.NoError(t, err)
		return a.Rows
	}
	const day = 24 * time.Hour
	want := ask(begin.Add(time.Second), begin.Add(day))
	require.NotEmpty(t, want)
	require.Equal(t, want, ask(begin, begin.Add(day)))
	require.Equal(t, want, ask(begin.Add(-36*time.Hour), begin.Add(36*time.Hour)))
	noon := begin.Add(12*time.Hour + 20*time.Minute)
	require.NotEqual(t, want, ask(begin, noon))

	require.NoError(t, s.Conn().Exec(t.Context(), "TRUNCATE TABLE client_usage_1d"))
	require.Equal(t, want, ask(begin.Add(time.Second), begin.Add(day)), "a part of a day is read from events")
	require.Empty(t, ask(begin, begin.Add(day)), "and a whole one is not")
}

// write is one line a value, so that a difference is seen where it is.
func write(a *query.Answer) string {
	var b strings.Builder
	for _, row := range a.Rows {
		for i, v := range row {
			switch v := v.(type) {
			case nil:
				fmt.Fprintf(&b, "%s: -\n", a.Columns[i])
			case time.Time:
				fmt.Fprintf(&b, "%s: %s\n", a.Columns[i], v.UTC().Format(time.RFC3339Nano))
			default:
				fmt.Fprintf(&b, "%s: %v\n", a.Columns[i], v)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestWhatAQueryNeedsIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, q := range query.All() {
		require.True(t, q.Has(query.Limit), q.Name)
		require.True(t, q.Has(query.Until) || q.Has(query.At), q.Name)
		require.NotContains(t, q.Question, "`", q.Name)
		_, err := q.Run(t.Context(), nil, nil)
		require.ErrorContains(t, err, q.Name+": ")
		require.ErrorContains(t, err, " is missing: ")
	}
}
