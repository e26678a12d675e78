package websocketclickhouseexporter

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

// requireLetters compares all letters: reason, places, how many records.
func requireLetters(t *testing.T, s *store.Store, want ...string) {
	t.Helper()
	var got []string
	require.NoError(t, s.Conn().QueryRow(t.Context(), `SELECT groupArray(l) FROM (
		SELECT concat(reason, ' ', toString(first), '-', toString(last), ' ', toString(records)) AS l
		FROM dead_letters FINAL ORDER BY chunk_id, first)`).Scan(&got))
	if len(want) == 0 {
		require.Empty(t, got)
		return
	}
	require.Equal(t, want, got)
}

// spoiled is a chunk of 20 opens with bad records among them, at 3, 7, and 11.
func spoiled(first int, change ...func(*eventlog.Chunk)) plog.Logs {
	c := eventlog.Chunk{ID: fmt.Sprintf("file:%d-%d", first, first+20)}
	for _, f := range change {
		f(&c)
	}
	list := opens(first, 20)
	for i := range list { // one resource, so that places are those of the list
		list[i].Resource = list[0].Resource
	}
	list[11].Time = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) // its seconds would be those of a time in the past
	ld := eventlog.Encode(list, c)
	records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	records.At(3).SetEventName("app.started")
	records.At(7).SetTimestamp(0)
	records.At(7).SetObservedTimestamp(0)
	return ld
}

func again(c *eventlog.Chunk) { c.Repeated = true }

func exec(t *testing.T, s *store.Store, statement string) {
	t.Helper()
	require.NoError(t, s.Conn().Exec(t.Context(), statement))
}

// Constraints and columns that an administrator adds can refuse a row; what stood beside it is stored.
func testRefusedRecordsHoldUpNoOthers(t *testing.T) {
	for name, statement := range map[string]string{
		"a constraint":                    "ALTER TABLE events ADD CONSTRAINT odd CHECK connection_id NOT IN ('105', '113')",
		"a column that cannot be made":    "ALTER TABLE events ADD COLUMN n UInt8 MATERIALIZED toUInt8(replaceRegexpOne(connection_id, '^1(05|13)$', 'no'))",
		"two constraints, and one column": "ALTER TABLE events ADD CONSTRAINT a CHECK connection_id != '105', ADD CONSTRAINT b CHECK connection_id != '113', ADD COLUMN n UInt16 DEFAULT toUInt16(connection_id)",
	} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			e, s := start(t, dsn), open(t, dsn)
			require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
			exec(t, s, statement)
			for range 3 {
				require.NoError(t, e.ConsumeLogs(t.Context(), merged(spoiled(100), chunk(20, 10), progress("a", 0))))
			}
			require.NoError(t, e.ConsumeLogs(t.Context(), spoiled(100, again)))
			requireStored(t, s, 1+15+10)
			requireLetters(t, s, "not_an_event 3-3 1", "refused 5-5 1", "no_time 7-7 1", "out_of_range 11-11 1", "refused 13-13 1")
			require.Equal(t, 15, number(t, s, "SELECT records FROM chunks WHERE chunk_id = 'file:100-120'"))
			require.Equal(t, 1, number(t, s, "SELECT count() FROM source_progress"))
			require.EqualValues(t, 4*2, e.sum(t, "dropped_records", store.Refused))
			require.Zero(t, e.sum(t, "inexact_chunks", ""))
			require.Equal(t, 15, number(t, s, "SELECT uniqExact(connection_id) FROM events WHERE chunk_id = 'file:100-120'"))
		})
	}
}

func testManyRefusedRecordsCostNoOthers(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn, func(c *Config) { c.TimeoutConfig.Timeout = 10 * time.Minute }), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
	exec(t, s, "ALTER TABLE events ADD CONSTRAINT odd CHECK toUInt32(connection_id) % 16 != 5")
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(1000, 640)))
	requireStored(t, s, 1+640-40)
	require.Equal(t, 40, number(t, s, "SELECT sum(records) FROM dead_letters FINAL"))
}

func testRefusedSpansHoldUpNoOthers(t *testing.T) {
	dsn := database(t)
	e, s := startTraces(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeTraces(t.Context(), spanChunk(0, 1)))
	exec(t, s, "ALTER TABLE traces ADD CONSTRAINT odd CHECK NOT startsWith(trace_id, '0d')")
	td := spanChunk(10, 8) // places 0 to 3 are those of one resource: spans 11, 13, 15, 17
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).SetStartTimestamp(0)
	for range 3 {
		require.NoError(t, e.ConsumeTraces(t.Context(), mergedSpans(td, spanChunk(30, 2))))
	}
	require.Equal(t, 1+6+2, number(t, s, "SELECT count() FROM traces"))
	requireLetters(t, s, "refused 1-1 1", "not_a_span 4-4 1")
}

// The token of a chunk stands for the same rows whatever ClickHouse thinks of them later.
func testWhatWasRefusedOnceStaysOut(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
	exec(t, s, "ALTER TABLE events ADD CONSTRAINT odd CHECK connection_id != '105'")
	require.NoError(t, e.ConsumeLogs(t.Context(), spoiled(100)))
	exec(t, s, "ALTER TABLE events DROP CONSTRAINT odd")
	want := []string{"not_an_event 3-3 1", "refused 5-5 1", "no_time 7-7 1", "out_of_range 11-11 1"}
	for range 2 {
		require.NoError(t, e.ConsumeLogs(t.Context(), spoiled(100, again)))
		requireStored(t, s, 1+16)
		requireLetters(t, s, want...)
	}
	// Even if nothing but the letters had been stored, and no token were left.
	for _, table := range []string{"events", "rollup_10s", "rollup_1m", "rollup_15m", "chunks"} {
		exec(t, s, "TRUNCATE TABLE "+table)
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), spoiled(100, again)))
	requireStored(t, s, 16)
	requireLetters(t, s, want...)
}

// losesReplies passes requests on, and of each INSERT loses the first reply.
func losesReplies(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: u.Host})
	var mu sync.Mutex
	lost := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		insert, _, _ := strings.Cut(req.URL.Query().Get("query"), " (")
		mu.Lock()
		lose := strings.HasPrefix(insert, "INSERT INTO ") && !lost[insert]
		lost[insert] = true
		mu.Unlock()
		if !lose {
			proxy.ServeHTTP(w, req)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), req)
		panic(http.ErrAbortHandler)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(func() {
		server.Close()
		require.True(t, lost["INSERT INTO dead_letters"] && lost["INSERT INTO events"])
	})
	return server.URL + u.Path
}

func testALostReplyDoublesNoLetter(t *testing.T) {
	dsn := httpDatabase(t)
	s := open(t, dsn)
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	exec(t, s, "ALTER TABLE events ADD CONSTRAINT odd CHECK connection_id != '105'")
	e := start(t, losesReplies(t, dsn))
	require.NoError(t, e.ConsumeLogs(t.Context(), spoiled(100)))
	requireStored(t, s, 16)
	requireLetters(t, s, "not_an_event 3-3 1", "refused 5-5 1", "no_time 7-7 1", "out_of_range 11-11 1")
}

// The rows are in events when a view refuses them, so the chunk must not be given up.
func testAViewThatRefusesIsWaitedFor(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeLogs(t.Context(), chunk(0, 1)))
	exec(t, s, "CREATE TABLE mine (n UInt8) ENGINE = MergeTree ORDER BY n")
	exec(t, s, "CREATE MATERIALIZED VIEW mine_view TO mine AS SELECT toUInt8(replaceOne(connection_id, '105', 'no')) AS n FROM events")
	done := make(chan error, 1)
	go func() { done <- e.ConsumeLogs(t.Context(), spoiled(100)) }()
	require.Eventually(t, func() bool { return e.log.FilterMessageSnippet("cannot be used").Len() == 1 },
		2*time.Minute, 10*time.Millisecond)
	require.Contains(t, fmt.Sprint(e.log.FilterMessageSnippet("cannot be used").All()[0].ContextMap()),
		"a view that is not of this version refuses what its table takes (code 6")
	exec(t, s, "DROP TABLE mine_view")
	require.NoError(t, <-done)
	requireStored(t, s, 1+17)
	requireLetters(t, s, "not_an_event 3-3 1", "no_time 7-7 1", "out_of_range 11-11 1")
}

func testLettersSayNothingOfWhatWasSent(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	const secret = "s3cret"
	ld := plog.NewLogs()
	for i, set := range []func(plog.LogRecord){
		func(lr plog.LogRecord) { lr.SetEventName(secret) },
		func(lr plog.LogRecord) { lr.SetEventName(string(event.Open)) },
		func(lr plog.LogRecord) { lr.SetEventName(string(event.Open)); lr.SetTimestamp(math.MaxUint64) },
	} {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr(event.ServiceName, strings.Repeat("x", 199)+fmt.Sprint("ü", i))
		rl.Resource().Attributes().PutStr("other", secret)
		lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		lr.Body().SetStr(secret)
		lr.SetSeverityText(secret)
		for _, k := range event.Keys() {
			lr.Attributes().PutStr(k.String(), secret)
		}
		lr.Attributes().PutStr(event.SourceType.String(), "nginx")
		set(lr)
	}
	for range 2 {
		require.NoError(t, e.ConsumeLogs(t.Context(), ld))
	}
	require.Zero(t, number(t, s, "SELECT countIf(position(toJSONString(tuple(dead_letters.*)), '"+secret+"') > 0) FROM dead_letters"))
	require.Equal(t, 3, number(t, s, `SELECT count() FROM dead_letters FINAL WHERE source_type = 'nginx' AND length(service) = 199
		AND startsWith(chunk_id, 'letters-') AND text != ''`))
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(1)
	require.NoError(t, e.ConsumeLogs(t.Context(), ld))
	require.Equal(t, 2, number(t, s, "SELECT uniqExact(chunk_id) FROM dead_letters"), "another batch is another chunk")
}

func TestAChunkHasFewLettersOfAReason(t *testing.T) {
	t.Parallel()
	var s sorting
	for i := range 1000 {
		reason := reasonNoTime
		if i%2 == 1 {
			reason = reasonNotAnEvent
		}
		s.letter(i, store.DeadLetter{Reason: reason}, pcommon.Timestamp(i))
	}
	require.Len(t, s.letters, 2*maxLetters)
	sum := 0
	for _, l := range s.letters {
		sum += l.Records
	}
	require.Equal(t, 1000, sum)
	require.Equal(t, store.DeadLetter{Reason: reasonNotAnEvent, First: 199, Last: 999, Records: 401}, s.letters[len(s.letters)-1])
}

func TestHalvingFindsWhatIsRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 500).Draw(t, "n")
		bad := map[int]bool{}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 30).Draw(t, "bad") {
			bad[i] = true
		}
		limit := rapid.IntRange(1, 1000).Draw(t, "limit")
		probes := 0
		found, err := halve(n, func() bool { return probes >= limit }, func(from, to int) (string, error) {
			probes++
			for i := from; i < to; i++ {
				if bad[i] {
					return "no", nil
				}
			}
			return "", nil
		})
		require.NoError(t, err)
		require.True(t, slices.IsSortedFunc(found, func(a, b half) int { return a.from - b.from }))
		covered := map[int]bool{}
		for _, h := range found {
			any := false
			for i := h.from; i < h.to; i++ {
				covered[i] = true
				any = any || bad[i]
			}
			require.True(t, any, "a half without a refused row")
		}
		for i := range bad {
			require.True(t, covered[i], "row %d", i)
		}
		require.LessOrEqual(t, probes, limit+1)
		if probes < limit {
			require.Len(t, covered, len(bad))
		}
	})
	_, err := halve(3, func() bool { return false }, func(int, int) (string, error) { return "", io.EOF })
	require.ErrorIs(t, err, io.EOF)
}
