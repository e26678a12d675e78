package store_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

var base = time.Now().UTC().Truncate(15 * time.Minute).Add(-time.Hour)

// events returns n plausible events of several services from a seed, spread over 40 minutes.
func events(seed uint64, n int) []event.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	resources := make([]*event.Resource, 4)
	for i := range resources {
		resources[i] = event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String(pick("chat", "rooms", "feed"))},
			event.Named{Name: event.ServiceInstanceID, Value: event.String("edge-" + strconv.Itoa(i))},
			event.Named{Name: event.Environment, Value: event.String(pick("prod", "test"))},
			event.Named{Name: event.Region, Value: event.String("eu-1")},
			event.Named{Name: event.HostName, Value: event.String("host-" + strconv.Itoa(i))},
		)
	}
	list := make([]event.Event, n)
	for i := range list {
		e := &list[i]
		e.Resource = resources[r.IntN(len(resources))]
		e.Time = base.Add(time.Duration(r.Int64N(int64(40 * time.Minute))))
		e.Observed = e.Time.Add(time.Duration(r.Int64N(int64(20 * time.Minute))))
		e.SetString(event.Vantage, pick(event.VantageEdge, event.VantageApp))
		e.SetString(event.SourceVisibility, pick(event.VisibilityAtOpen, event.VisibilityAtClose))
		e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
		e.SetString(event.SourceType, "nginx")
		e.SetString(event.SourceEvidence, event.EvidenceObserved)
		e.SetString(event.ConnectionID, fmt.Sprintf("%016x", r.Uint64()))
		e.SetString(event.ServerAddress, "chat.example.com")
		e.SetString(event.URLPath, "/rooms/"+strconv.Itoa(r.IntN(500)))
		e.SetString(event.ClientAddress, fmt.Sprintf("203.0.%d.0", r.IntN(256)))
		e.SetString(event.ClientHash, fmt.Sprintf("p1:k1:%08x", r.Uint32()))
		e.SetString(event.HTTPVersion, "1.1")
		e.SetString(event.TLSProtocolVersion, "1.3")
		if r.IntN(3) > 0 {
			e.SetString(event.TenantID, pick("acme", "globex"))
		}
		// Durations hit the bounds of the histogram exactly, lie between them, and beyond the last.
		duration := []float64{0.005, 0.15, 0.2, 0.25, 1, 10, 11, r.Float64() * 12}[r.IntN(8)]
		switch r.IntN(6) {
		case 0:
			e.Name = event.Open
			e.SetInt(event.HTTPResponseStatusCode, 101)
			e.SetDouble(event.HandshakeDuration, duration)
		case 1:
			e.Name = event.HandshakeRejected
			e.SetInt(event.HTTPResponseStatusCode, 403)
			e.SetString(event.ErrorType, pick(event.Forbidden, event.UpstreamTimeout, event.Unauthenticated))
		case 2:
			e.Name = event.Auth
			e.SetString(event.AuthResult, pick(event.AuthSuccess, event.AuthFailure))
			if e.String(event.AuthResult) == event.AuthFailure {
				e.SetString(event.ErrorType, pick(event.IDPTimeout, event.TokenExpired))
			}
			e.SetDouble(event.AuthDuration, duration)
		case 3:
			e.Name = event.Message
			e.SetString(event.Direction, pick(event.DirectionReceive, event.DirectionTransmit))
			e.SetString(event.MessageType, event.MessageText)
			e.SetInt(event.MessageSize, r.Int64N(4096))
			e.SetInt(event.MessageCount, 1+r.Int64N(9))
		case 4:
			e.Name = event.Close
			e.SetString(event.CloseInitiator, event.InitiatorClient)
			e.SetInt(event.CloseCode, 1000)
			e.SetDouble(event.ConnectionDuration, r.Float64()*1000)
			e.SetInt(event.IOReceived, r.Int64N(1<<20))
			e.SetInt(event.IOSent, r.Int64N(1<<20))
			if r.IntN(2) == 0 {
				e.SetBool(event.CloseClean, r.IntN(2) == 0)
			}
		case 5:
			e.Name = event.RateLimited
			e.SetString(event.RateLimitScope, event.ScopeHandshake)
			e.SetString(event.RateLimitPolicy, "per_ip")
		}
	}
	return list
}

func rowsOf(list []event.Event) *store.Rows {
	rows := new(store.Rows)
	for i := range list {
		rows.Append(&list[i])
	}
	return rows
}

func insert(t testing.TB, s *store.Store, token string, list []event.Event) {
	t.Helper()
	require.NoError(t, s.InsertChunk(t.Context(), token, rowsOf(list)))
}

// count returns how many events a table accounts for.
func counted(t testing.TB, s *store.Store, table string) uint64 {
	t.Helper()
	return number(t, s, "SELECT sum(count) FROM "+table)
}

func requireCounts(t testing.TB, s *store.Store, list []event.Event) {
	t.Helper()
	var want uint64
	for i := range list {
		want += list[i].Facts().Count
	}
	require.EqualValues(t, len(list), number(t, s, "SELECT count() FROM events"), "rows of events")
	for _, table := range []string{schema.Events, schema.Rollup10s, schema.Rollup1m, schema.Rollup15m} {
		require.Equal(t, want, counted(t, s, table), table)
	}
}

func TestEveryAttributeSurvivesStorage(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := event.Event{
		Name: event.Close, Time: time.Unix(1_795_330_811, 123_456_789).UTC(), Observed: time.Unix(1_795_330_900, 1).UTC(),
		TraceID: [16]byte{0xab, 1}, SpanID: [8]byte{0xcd, 2},
		Resource: event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String("chat")},
			event.Named{Name: event.ServiceNamespace, Value: event.String("talk")},
			event.Named{Name: event.ServiceInstanceID, Value: event.String("edge-1")},
			event.Named{Name: event.Environment, Value: event.String("prod")},
			event.Named{Name: event.Region, Value: event.String("eu-1")},
			event.Named{Name: event.ServiceVersion, Value: event.String("1.2.3")},
			event.Named{Name: "host.cpus", Value: event.Int(8)},
		),
	}
	want := map[string]string{}
	for _, k := range event.Keys() {
		var v event.Value
		switch d := k.Definition(); {
		case len(d.Values) > 0:
			v = event.String(d.Values[len(d.Values)-1])
		case d.Kind == event.KindString:
			v = event.String("value of " + d.Name + " – ünï\x00\n'")
		case d.Kind == event.KindInt:
			v = event.Int(int64(k) + 200)
		case d.Kind == event.KindDouble:
			v = event.Double(float64(k) + 0.1)
		case d.Kind == event.KindBool:
			v = event.Bool(true)
		case d.Kind == event.KindStrings:
			v = event.Strings([]string{"a", "b"})
		}
		e.Set(k, v)
		want[k.String()] = v.Text()
	}
	e.AddExtra("my.own", event.Int(-7))
	want["my.own"] = "-7"
	insert(t, s, "one", []event.Event{e})

	columns := map[string]event.Key{
		schema.Vantage: event.Vantage, schema.Visibility: event.SourceVisibility, schema.Tenant: event.TenantID,
		schema.ErrorType: event.ErrorType, schema.Direction: event.Direction, schema.SourceType: event.SourceType,
		schema.Evidence: event.SourceEvidence, schema.ConnectionID: event.ConnectionID,
		schema.Status: event.HTTPResponseStatusCode, schema.ServerAddress: event.ServerAddress, schema.URLScheme: event.URLScheme,
		schema.URLPath: event.URLPath, schema.URLTemplate: event.URLTemplate, schema.Subprotocol: event.Subprotocol,
		schema.ClientAddress: event.ClientAddress, schema.ClientHash: event.ClientHash,
		schema.CloseCode: event.CloseCode, schema.CloseInitiator: event.CloseInitiator,
		schema.CloseClean: event.CloseClean, schema.ConnectionDuration: event.ConnectionDuration,
		schema.IOReceived: event.IOReceived, schema.IOSent: event.IOSent,
	}
	names := slices.Sorted(maps.Keys(columns))
	casts := make([]string, len(names))
	for i, name := range names {
		casts[i] = "ifNull(toString(" + name + "), 'NULL')"
	}
	var values []string
	var attributes, resource map[string]string
	var at, observed, countedAt time.Time
	var named, service, namespace, instance, environment, region, trace, span, chunk, outcome, fault string
	var severity uint8
	require.NoError(t, s.Conn().QueryRow(t.Context(), `SELECT [`+strings.Join(casts, ", ")+`], attributes, resource, time,
		observed, counted_at, event, severity, service, namespace, instance, environment, region, trace_id, span_id,
		chunk_id, outcome, fault FROM events`).Scan(&values, &attributes, &resource, &at, &observed, &countedAt, &named,
		&severity, &service, &namespace, &instance, &environment, &region, &trace, &span, &chunk, &outcome, &fault))

	got := maps.Clone(attributes)
	for i, name := range names {
		got[columns[name].String()] = values[i]
	}
	got[event.NetworkProtocolName.String()] = event.ProtocolWebSocket // it has one value, so it is not stored
	require.Equal(t, want, got)
	require.Equal(t, map[string]string{"service.version": "1.2.3", "host.cpus": "8"}, resource)
	require.Equal(t, e.Time, at)
	require.Equal(t, e.Observed, observed)
	require.Equal(t, e.Facts().CountedAt.Truncate(time.Millisecond), countedAt)
	require.Equal(t, []string{"websocket.close", "chat", "talk", "edge-1", "prod", "eu-1"},
		[]string{named, service, namespace, instance, environment, region})
	require.Equal(t, "ab010000000000000000000000000000", trace)
	require.Equal(t, "cd02000000000000", span)
	require.Equal(t, "one", chunk)
	require.EqualValues(t, e.Severity(), severity)
	require.Equal(t, []string{string(e.Facts().Outcome), string(e.Facts().Fault)}, []string{outcome, fault})
}

func TestAnEmptyEventIsStoredWithoutInventingAnything(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := event.Event{Name: event.Close, Time: base}
	e.SetInt(event.HTTPResponseStatusCode, -1)
	e.SetInt(event.CloseCode, 1<<20)
	insert(t, s, "one", []event.Event{e})
	require.EqualValues(t, 1, number(t, s, `SELECT count() FROM events WHERE close_code IS NULL AND close_clean IS NULL
		AND connection_duration IS NULL AND io_received IS NULL AND io_sent IS NULL AND duration IS NULL AND status = 0
		AND service = '' AND tenant = '' AND trace_id = '' AND observed = time AND empty(resource)
		AND attributes = map('http.response.status_code', '-1', 'websocket.close.code', '1048576')`))
}

func TestASecondInsertOfAChunkChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := events(1, 500)
	insert(t, s, "a", first)
	insert(t, s, "a", first)
	requireCounts(t, s, first)

	// Two chunks with the same rows both count: equal log lines are different events.
	insert(t, s, "b", first)
	both := slices.Concat(first, first)
	requireCounts(t, s, both)

	// And replaying any of them, in any order, and after others, still changes nothing.
	second := events(2, 500)
	insert(t, s, "c", second)
	for _, token := range []string{"b", "a", "b"} {
		insert(t, s, token, first)
	}
	insert(t, s, "c", second)
	requireCounts(t, s, slices.Concat(both, second))
	require.EqualValues(t, number(t, s, `SELECT uniq(service, connection_id, vantage) FROM events
		WHERE event != 'websocket.handshake.rejected' AND event != 'websocket.message'`),
		number(t, s, `SELECT uniq(service, connection_id, vantage) FROM connections`))
}

func TestOneChunkOverManyDaysIsExact(t *testing.T) {
	t.Parallel()
	s := open(t)
	list := make([]event.Event, 110) // the engine's default limit is 100 partitions
	for i := range list {
		list[i] = event.Event{Name: event.Open, Time: base.AddDate(0, 0, -i)}
	}
	// Rows beyond their retention may go at any time; for this test they stay.
	for _, table := range []string{schema.Events, schema.Rollup10s, schema.Rollup1m, schema.Rollup15m} {
		require.NoError(t, s.Conn().Exec(t.Context(), "ALTER TABLE "+table+" REMOVE TTL"))
	}
	insert(t, s, "a", list)
	insert(t, s, "a", list)
	requireCounts(t, s, list)
}

// A view that fails after the events are stored leaves the tiers apart; the retry that the error asks for joins them.
func TestARetryCompletesWhatAViewMissed(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{schema.Rollup10s, schema.Rollup1m, schema.Rollup15m} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			list := events(3, 200)
			require.NoError(t, s.Conn().Exec(t.Context(), "ALTER TABLE "+broken+" ADD CONSTRAINT never CHECK count < 0"))
			err := s.InsertChunk(t.Context(), "a", rowsOf(list))
			require.ErrorContains(t, err, "code 469")
			require.EqualValues(t, len(list), number(t, s, "SELECT count() FROM events"), "the events are stored")
			require.Zero(t, counted(t, s, broken))
			require.Error(t, s.InsertChunk(t.Context(), "a", rowsOf(list)))
			require.NoError(t, s.Conn().Exec(t.Context(), "ALTER TABLE "+broken+" DROP CONSTRAINT never"))
			insert(t, s, "a", list)
			requireCounts(t, s, list)
		})
	}
}

// key is a row of a rollup: its bucket and dimensions.
type key struct {
	bucket     int64
	dimensions string
}

func TestEveryTierEqualsARecountOfTheEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all []event.Event
	for chunk := range 5 {
		list := events(uint64(10+chunk), 2000)
		insert(t, s, fmt.Sprintf("chunk-%d", chunk), list)
		all = append(all, list...)
	}
	insert(t, s, "chunk-3", all[3*2000:4*2000]) // a replay among them
	for _, tier := range schema.Tiers() {
		t.Run(tier.Table, func(t *testing.T) {
			want := recount(all, tier)
			got := readTier(t, s, tier)
			require.Equal(t, len(want), len(got), "rows")
			for k, w := range want {
				g, ok := got[k]
				require.True(t, ok, "%v is missing", k)
				require.Equal(t, w.sums, g.sums, "%v", k)
				require.InEpsilon(t, w.seconds+1, g.seconds+1, 1e-9, "%v", k)
			}
		})
	}
}

type measures struct {
	// count, bytes, judged, duration_count and the histogram.
	sums    [4 + len(event.DurationBounds)]uint64
	seconds float64
}

// recount is the rollup written a second time, in Go, from the definitions of the event model.
func recount(list []event.Event, tier schema.Tier) map[key]measures {
	sums := map[key]measures{}
	for i := range list {
		e := &list[i]
		f := e.Facts()
		dimensions := []string{
			e.Resource.String(event.ServiceName), e.Resource.String(event.Environment), e.Resource.String(event.Region),
			e.String(event.Vantage), e.String(event.SourceVisibility), e.String(event.TenantID), string(e.Name),
			f.Direction, string(f.Outcome), e.String(event.ErrorType), string(f.Fault), f.Policy,
		}
		if tier.Table == schema.Rollup10s {
			dimensions = append(dimensions, e.Resource.String(event.ServiceInstanceID))
		}
		at := e.Time
		if e.String(event.SourceVisibility) == event.VisibilityAtClose {
			at = e.Observed
		}
		k := key{at.Truncate(tier.Step).Unix(), strings.Join(dimensions, "|")}
		m := sums[k]
		m.sums[0] += f.Count
		m.sums[1] += f.Bytes
		m.sums[2] += f.Judged
		if f.Timed {
			m.sums[3] += f.Count
			m.seconds += f.Duration * float64(f.Count)
			for b, bound := range event.DurationBounds {
				if f.Duration <= bound.Seconds() {
					m.sums[4+b] += f.Count
				}
			}
		}
		sums[k] = m
	}
	return sums
}

func readTier(t testing.TB, s *store.Store, tier schema.Tier) map[key]measures {
	t.Helper()
	dimensions := schema.Dimensions()
	if tier.Table == schema.Rollup10s {
		dimensions = append(dimensions, schema.Instance)
	}
	totals := []string{"sum(count)", "sum(bytes)", "sum(judged)", "sum(duration_count)"}
	for _, c := range schema.DurationColumns() {
		totals = append(totals, "sum("+c+")")
	}
	rows, err := s.Conn().Query(t.Context(), fmt.Sprintf(
		"SELECT toInt64(toUnixTimestamp(bucket)), concatWithSeparator('|', %s) AS d, [%s], sum(duration_sum) FROM %s GROUP BY bucket, d",
		strings.Join(dimensions, ", "), strings.Join(totals, ", "), tier.Table))
	require.NoError(t, err)
	defer rows.Close()
	got := map[key]measures{}
	for rows.Next() {
		var k key
		var sums []uint64
		var m measures
		require.NoError(t, rows.Scan(&k.bucket, &k.dimensions, &sums, &m.seconds))
		require.Len(t, sums, len(m.sums))
		copy(m.sums[:], sums)
		got[k] = m
	}
	require.NoError(t, rows.Err())
	return got
}

func TestASourceThatLogsAtCloseIsCountedWhenItWrote(t *testing.T) {
	t.Parallel()
	s := open(t)
	list := make([]event.Event, 2)
	for i, visibility := range []string{event.VisibilityAtOpen, event.VisibilityAtClose} {
		list[i] = event.Event{Name: event.Open, Time: base, Observed: base.Add(30 * time.Minute)}
		list[i].SetString(event.SourceVisibility, visibility)
	}
	insert(t, s, "a", list)
	for _, tier := range schema.Tiers() {
		for _, want := range []struct {
			visibility string
			bucket     time.Time
		}{{event.VisibilityAtOpen, base}, {event.VisibilityAtClose, base.Add(30 * time.Minute)}} {
			require.EqualValues(t, want.bucket.Unix(), number(t, s, fmt.Sprintf(
				"SELECT toUnixTimestamp(min(bucket)) FROM %s WHERE visibility = '%s'", tier.Table, want.visibility)))
		}
	}
	require.EqualValues(t, 2, number(t, s, "SELECT count() FROM events WHERE time = ?", base), "time keeps the open")
}

// Whoever can read an event, through any connection, reads the same count in every tier once the insert has returned.
func TestARollupRowIsVisibleAsSoonAsItsEventIs(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 30 {
		list := events(uint64(100+i), 50)
		insert(t, s, "chunk-"+strconv.Itoa(i), list)
		require.EqualValues(t, 50*(i+1), number(t, s, "SELECT count() FROM events"))
		want := counted(t, s, schema.Events)
		for _, tier := range schema.Tiers() {
			require.Equal(t, want, counted(t, s, tier.Table), "%s after chunk %d", tier.Table, i)
		}
	}
}

func TestOneConnectionIsOneRowFromOpenToClose(t *testing.T) {
	t.Parallel()
	s := open(t)
	// An open today and a close tomorrow, in chunks of their own, the close first.
	open := event.Event{Name: event.Open, Time: base}
	open.SetString(event.URLPath, "/rooms/1")
	closed := event.Event{Name: event.Close, Time: base.Add(26 * time.Hour)}
	closed.SetInt(event.CloseCode, 1001)
	closed.SetInt(event.IOSent, 77)
	for _, e := range []*event.Event{&closed, &open} {
		e.SetString(event.ConnectionID, "c1")
		e.SetString(event.Vantage, event.VantageEdge)
		e.Resource = event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
		insert(t, s, string(e.Name), []event.Event{*e})
		insert(t, s, string(e.Name), []event.Event{*e})
	}
	var opened, ended time.Time
	var path string
	var code *uint16
	var received, sent *int64
	require.NoError(t, s.Conn().QueryRow(t.Context(), `SELECT assumeNotNull(min(opened)), assumeNotNull(max(closed)),
		max(url_path), max(close_code), max(io_received), max(io_sent) FROM connections
		GROUP BY service, connection_id, vantage`).Scan(&opened, &ended, &path, &code, &received, &sent))
	require.Equal(t, open.Time, opened)
	require.Equal(t, closed.Time, ended)
	require.Equal(t, "/rooms/1", path)
	require.EqualValues(t, 1001, *code)
	require.Nil(t, received, "unknown is not 0")
	require.EqualValues(t, 77, *sent)
}

func TestRowsAreReusedWithoutATrace(t *testing.T) {
	t.Parallel()
	s := open(t)
	rows := new(store.Rows)
	var all []event.Event
	for i := range 3 {
		list := events(uint64(i), 300)
		rows.Reset()
		for j := range list {
			rows.Append(&list[j])
		}
		require.NoError(t, s.InsertChunk(t.Context(), strconv.Itoa(i), rows))
		// The same rows again, as a retry sends them.
		require.NoError(t, s.InsertChunk(t.Context(), strconv.Itoa(i), rows))
		all = append(all, list...)
	}
	requireCounts(t, s, all)
	require.EqualValues(t, 3, number(t, s, "SELECT uniq(chunk_id) FROM events"))
}

func TestManyDifferentWordsFit(t *testing.T) {
	t.Parallel()
	s := open(t)
	// The empty word is in every dictionary, so these need an index of one, two and four bytes.
	for _, n := range []int{254, 255, 65_535} {
		list := make([]event.Event, n)
		for i := range list {
			list[i] = event.Event{Name: event.Open, Time: base}
			list[i].SetString(event.Subprotocol, fmt.Sprintf("v%d", i))
		}
		token := strconv.Itoa(n)
		insert(t, s, token, list)
		require.EqualValues(t, n, number(t, s, "SELECT uniqExact(subprotocol) FROM events WHERE chunk_id = ?", token))
		require.EqualValues(t, n, number(t, s,
			"SELECT countIf(startsWith(subprotocol, 'v')) FROM events WHERE chunk_id = ?", token))
	}
}

func TestTimesFarAwayAreStoredAtTheEnds(t *testing.T) {
	t.Parallel()
	s := open(t)
	list := []event.Event{
		{Name: event.Open, Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Name: event.Open, Time: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
		{Name: event.Open, Time: time.Unix(0, math.MaxInt64)},
		{Name: event.Open, Time: time.Unix(0, 0)},
	}
	insert(t, s, "a", list)
}

func TestOfEachSourceTheLastReportStays(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Millisecond)
	at := func(source string, behind, silent time.Duration) store.Progress {
		return store.Progress{Source: source, ReadThrough: now.Add(-behind), Wall: now.Add(-silent), Backlog: 3}
	}
	require.NoError(t, s.InsertProgress(ctx, []store.Progress{
		at("a", 10*time.Second, 30*time.Second), at("a", 4*time.Second, 2*time.Second),
		at("b", 7*time.Second, 5*time.Second),
		at("dead", time.Hour, 61*time.Second),
	}))
	for range 2 { // repeating progress changes nothing
		require.NoError(t, s.InsertProgress(ctx, []store.Progress{at("b", 7*time.Second, 5*time.Second)}))
	}
	sources, err := s.Sources(ctx)
	require.NoError(t, err)
	require.Equal(t, []store.Progress{
		at("a", 4*time.Second, 2*time.Second), at("b", 7*time.Second, 5*time.Second), at("dead", time.Hour, 61*time.Second),
	}, sources)
}
