package store_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/query"
	"github.com/sockeye-project/sockeye/store/schema"
)

// layout is the events table, changed.
type layout struct {
	name string
	// edits are regular expressions and what replaces each.
	edits []string
	// then are statements about the table TABLE.
	then []string
}

// questions are named queries that read events of a range of time.
var questions = []string{
	"auth-failures", "changes", "disconnects", "endpoints", "errors", "plaintext", "rate-limits", "refused-clients", "rejects",
	"slow-auth", "top-talkers",
}

const (
	orderBy                   = `ORDER BY \(event, outcome, service, counted_at\)`
	noIndexes, noColumnsAfter = `(?s),\n    INDEX .*\n\)\nENGINE`, "\n)\nENGINE"
	granule                   = `index_granularity = 8192`
)

func codec(column, codec string) []string {
	return []string{"(`" + column + "` [^\\n]*?)(?: CODEC\\(.*\\))?,\\n", "${1} CODEC(" + codec + "),\n"}
}

func add(statement string) []string { return []string{"ALTER TABLE TABLE ADD " + statement} }

// layouts are what was tried. The first is the table as it is.
func layouts() []layout {
	all := []layout{
		{name: "as_it_is"},
		{name: "order/time", edits: []string{orderBy, "ORDER BY (counted_at)"}},
		{name: "order/service_time", edits: []string{orderBy, "ORDER BY (service, counted_at)"}},
		{name: "order/service_event_time", edits: []string{orderBy, "ORDER BY (service, event, counted_at)"}},
		{name: "order/event_service_time", edits: []string{orderBy, "ORDER BY (event, service, counted_at)"}},
		{name: "order/service_event_instance_time", edits: []string{orderBy, "ORDER BY (service, event, instance, counted_at)"}},
		{name: "order/service_event_tenant_time", edits: []string{orderBy, "ORDER BY (service, event, tenant, counted_at)"}},
		{name: "order/service_event_hour_client_time", edits: []string{orderBy,
			"ORDER BY (service, event, toStartOfHour(counted_at), client_hash, counted_at)"}},
		{name: "order/service_hour_connection", edits: []string{orderBy,
			"ORDER BY (service, toStartOfHour(counted_at), connection_id, counted_at)"}},
		{name: "order/service_minute_connection", edits: []string{orderBy,
			"ORDER BY (service, toStartOfMinute(counted_at), connection_id, counted_at)"}},
		{name: "order/service_hour_client_connection", edits: []string{orderBy,
			"ORDER BY (service, toStartOfHour(counted_at), client_hash, connection_id, counted_at)"}},

		{name: "zstd/3", edits: []string{`ZSTD\(1\)`, "ZSTD(3)"}},
		{name: "zstd/9", edits: []string{`ZSTD\(1\)`, "ZSTD(9)"}},
		{name: "lz4", edits: []string{`, ZSTD\(1\)`, ", LZ4", `ZSTD\(1\)`, "LZ4"}},
		{name: "lowcardinality/explicit_zstd", edits: []string{"(LowCardinality\\(String\\)),\\n", "${1} CODEC(ZSTD(1)),\n"}},
		{name: "time/doubledelta", edits: slices.Concat(codec("time", "DoubleDelta, ZSTD(1)"), codec("observed", "DoubleDelta, ZSTD(1)"),
			codec("counted_at", "DoubleDelta, ZSTD(1)"))},
		{name: "time/zstd_alone", edits: slices.Concat(codec("time", "ZSTD(1)"), codec("observed", "ZSTD(1)"))},
		{name: "time/t64", edits: slices.Concat(codec("time", "T64, ZSTD(1)"), codec("observed", "T64, ZSTD(1)"),
			codec("counted_at", "T64, ZSTD(1)"))},
		{name: "counts/zstd_alone", edits: slices.Concat(codec("count", "ZSTD(1)"), codec("bytes", "ZSTD(1)"), codec("judged", "ZSTD(1)"))},
		{name: "io/t64", edits: slices.Concat(codec("io_received", "T64, ZSTD(1)"), codec("io_sent", "T64, ZSTD(1)"))},
		{name: "durations/gorilla", edits: slices.Concat(codec("duration", "Gorilla, ZSTD(1)"), codec("connection_duration", "Gorilla, ZSTD(1)"))},
		{name: "durations/fpc", edits: slices.Concat(codec("duration", "FPC(12), ZSTD(1)"), codec("connection_duration", "FPC(12), ZSTD(1)"))},
		{name: "connection_id/lz4", edits: codec("connection_id", "LZ4")},
		{name: "maps/zstd3", edits: slices.Concat(codec("attributes", "ZSTD(3)"), codec("resource", "ZSTD(3)"))},
		{name: "lowcardinality/url_path", edits: []string{"`url_path` String CODEC\\(ZSTD\\(1\\)\\)", "`url_path` LowCardinality(String)"}},
		{name: "lowcardinality/client", edits: []string{"`(client_\\w+)` String CODEC\\(ZSTD\\(1\\)\\)", "`$1` LowCardinality(String)"}},

		{name: "granule/2048", edits: []string{granule, "index_granularity = 2048"}},
		{name: "granule/16384", edits: []string{granule, "index_granularity = 16384"}},
		{name: "index/none", edits: []string{noIndexes, noColumnsAfter}},
		{name: "index/bloom_granularity_1", edits: []string{`GRANULARITY 4`, "GRANULARITY 1"}},
		{name: "index/no_client_address", edits: []string{`,\n    INDEX client_address_\w+ [^\n]*?GRANULARITY 1`, ""}},
		{name: "index/no_client", edits: []string{`,\n    INDEX client_\w+ [^\n]*?GRANULARITY 1`, ""}},
		{name: "projection/offsets_connection", then: add("PROJECTION p (SELECT connection_id, _part_offset ORDER BY connection_id)")},
		{name: "projection/offsets_client", then: add("PROJECTION p (SELECT client_hash, _part_offset ORDER BY client_hash)")},
		{name: "projection/connection", then: add("PROJECTION p (SELECT * ORDER BY connection_id)")},
	}
	return all
}

// BenchmarkEventsLayout compares layouts of the events table: a million events of a day, in chunks as they come. Each
// figure is the engine's processor time, reading the source not counted. Lookups are for one connection, client and
// trace; questions are the named queries that read events, each about one hour.
func BenchmarkEventsLayout(b *testing.B) {
	w := newWorkbench(b)
	for _, traffic := range traffics() {
		source := w.stage(b, traffic.name, traffic.chunk)
		for _, l := range layouts() {
			b.Run(traffic.name+"/"+l.name, func(b *testing.B) {
				for b.Loop() {
					w.try(b, source, l)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkConnectionsStored compares ways to answer what happened to connections from open to close: what an event costs
// with each, and the milliseconds of finding one connection and of summing up those that ended in an hour.
func BenchmarkConnectionsStored(b *testing.B) {
	const columns = `(service LowCardinality(String), connection_id String CODEC(ZSTD(1)), vantage LowCardinality(String),
		tenant SimpleAggregateFunction(max, LowCardinality(String)), client_hash SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
		opened SimpleAggregateFunction(min, Nullable(DateTime64(9, 'UTC'))) CODEC(Delta, ZSTD(1)),
		closed SimpleAggregateFunction(max, Nullable(DateTime64(9, 'UTC'))) CODEC(Delta, ZSTD(1)),
		duration SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
		close_code SimpleAggregateFunction(max, Nullable(UInt16)) CODEC(ZSTD(1)),
		close_initiator SimpleAggregateFunction(max, LowCardinality(String)),
		close_error SimpleAggregateFunction(max, LowCardinality(String)),
		io_received SimpleAggregateFunction(max, Nullable(Int64)) CODEC(ZSTD(1)),
		io_sent SimpleAggregateFunction(max, Nullable(Int64)) CODEC(ZSTD(1)))
		ENGINE = AggregatingMergeTree ORDER BY (service, connection_id, vantage) SETTINGS non_replicated_deduplication_window = 100000, min_rows_for_wide_part = 100000`
	const fill = ` TO kept AS SELECT service, connection_id, vantage, max(e.tenant) AS tenant, max(e.client_hash) AS client_hash,
		minOrNullIf(e.time, e.event = 'websocket.open') AS opened, maxOrNullIf(e.time, e.event = 'websocket.close') AS closed,
		max(e.connection_duration) AS duration, max(e.close_code) AS close_code, max(e.close_initiator) AS close_initiator,
		maxIf(e.error_type, e.event = 'websocket.close') AS close_error, max(e.io_received) AS io_received, max(e.io_sent) AS io_sent
		FROM tried AS e WHERE e.event IN ('websocket.open', 'websocket.close') AND e.connection_id != '' GROUP BY service, connection_id, vantage`
	const hour = `SELECT service, close_error, count(), quantiles(0.5, 0.95)(duration), sum(io_sent) FROM (SELECT service, connection_id,
		vantage, max(close_error) AS close_error, max(duration) AS duration, max(io_sent) AS io_sent, max(closed) AS ended FROM %s
		GROUP BY service, connection_id, vantage) WHERE ended >= ? AND ended < ? GROUP BY ALL`
	one := func(table string) string { return "SELECT * FROM " + table + " WHERE connection_id = ?" }
	w := newWorkbench(b)
	w.views(b)
	for _, traffic := range traffics() {
		source := w.stage(b, traffic.name, traffic.chunk)
		for _, c := range []struct {
			name      string
			before    []string
			one, hour string
		}{
			{"view", nil, one("connections"), fmt.Sprintf(hour, "connections")},
			// What the named query does: the events of the hour alone.
			{"events_of_the_hour", nil, one("connections"), `SELECT service, error_type, count(), quantiles(0.5, 0.95)(connection_duration),
				sum(io_sent) FROM tried WHERE event = 'websocket.close' AND counted_at >= ? AND counted_at < ? GROUP BY ALL`},
			{"table_of_opens_and_closes", []string{
				"CREATE TABLE kept " + columns, "CREATE MATERIALIZED VIEW kept_view" + fill,
			}, one("kept"), fmt.Sprintf(hour, "kept")},
			{"projection", []string{"ALTER TABLE tried ADD PROJECTION p (SELECT * ORDER BY connection_id)"},
				one("connections"), fmt.Sprintf(hour, "connections")},
		} {
			b.Run(traffic.name+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					w.tryConnections(b, source, c.before, c.one, c.hour)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func (w *workbench) tryConnections(b *testing.B, src source, before []string, one, hour string) {
	execute(b, w.s, strings.Replace(w.create, "TABLE", "CREATE TABLE tried", 1))
	defer execute(b, w.s, "DROP TABLE tried SYNC")
	for _, statement := range before {
		execute(b, w.s, statement)
	}
	tables := []string{"tried"}
	if strings.Contains(strings.Join(before, ""), "kept_view") {
		tables = append(tables, "kept")
		defer execute(b, w.s, "DROP TABLE kept SYNC")
		defer execute(b, w.s, "DROP TABLE kept_view SYNC")
	}
	each := func(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }
	execute(b, w.s, "SYSTEM STOP MERGES")
	b.ReportMetric(each(w.insert(b, src, "tried")-src.reading, benchmarkChunks*benchmarkChunk), "insert-µs/event")
	execute(b, w.s, "SYSTEM START MERGES")
	b.ReportMetric(each(w.cost(b, func() {
		for _, table := range tables {
			execute(b, w.s, "OPTIMIZE TABLE "+table+" FINAL")
		}
	}), benchmarkChunks*benchmarkChunk), "merge-µs/event")
	b.ReportMetric(float64(number(b, w.s, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench' AND table IN ?",
		tables))/(benchmarkChunks*benchmarkChunk), "bytes/event")
	b.ReportMetric(w.ask(b, one, src.connections), "one-ms")
	b.ReportMetric(w.ask(b, hour, []string{""}, src.from, src.to), "hour-ms")
}

// BenchmarkTierOrder compares sorting keys and codecs of a rollup tier: 864,000 rows, which are 20 keys in each minute of 30
// days. one is an SLO's 30 days, all are five windows of every SLO at once, hour is what a board asks.
func BenchmarkTierOrder(b *testing.B) {
	w := newWorkbench(b)
	const rows = 20 * 30 * 1440
	const key = `(?s)PRIMARY KEY .*?\nORDER BY \(toStartOfHour\(bucket\), service, bucket, environment, region, vantage, visibility, tenant, event, `
	var create string
	require.NoError(b, w.s.Conn().QueryRow(b.Context(), "SHOW CREATE TABLE reference.rollup_1m").Scan(&create))
	create = strings.Replace(create, "reference.rollup_1m", "tier", 1)
	for _, l := range []layout{
		{name: "as_it_is"},
		{name: "bucket_service", edits: []string{key,
			"PRIMARY KEY (bucket, service)\nORDER BY (bucket, service, environment, region, vantage, visibility, tenant, event, "}},
		{name: "service_event_bucket", edits: []string{key,
			"PRIMARY KEY (service, event, bucket)\nORDER BY (service, event, bucket, environment, region, vantage, visibility, tenant, "}},
		{name: "service_bucket", edits: []string{key,
			"PRIMARY KEY (service, bucket)\nORDER BY (service, bucket, environment, region, vantage, visibility, tenant, event, "}},
		{name: "counts_without_t64", edits: []string{`T64, `, ""}},
		{name: "bucket_doubledelta", edits: []string{`CODEC\(Delta\(4\), `, "CODEC(DoubleDelta, "}},
	} {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				text := edit(create, l.edits...)
				require.True(b, len(l.edits) == 0 || text != create, "changes nothing")
				execute(b, w.s, text)
				fill := w.cost(b, func() {
					execute(b, w.s, `INSERT INTO tier (bucket, service, environment, region, vantage, visibility, event, outcome, count, bytes,
						judged, duration_count, duration_sum, le_100ms, le_200ms, le_10000ms) SELECT toStartOfMinute(now()) - 60 * intDiv(number, 20),
						concat('service-', toString(number % 5)), 'prod', 'eu-1', 'edge', 'at_open', concat('websocket.', toString(intDiv(number, 5) % 4)),
						'success', 100 + rand() % 50 AS n, n * 700, n, n, n * 0.07, n - rand() % 5, n - rand() % 3, n FROM numbers(?)
						SETTINGS max_partitions_per_insert_block = 0, async_insert = 0`, rows)
				})
				b.ReportMetric(float64(fill.Microseconds())/rows, "insert-µs/row")
				execute(b, w.s, "OPTIMIZE TABLE tier FINAL")
				b.ReportMetric(float64(number(b, w.s, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench'"+
					" AND table = 'tier'"))/rows, "bytes/row")
				none := []string{""}
				const times = 5
				five := "SELECT service, event"
				for _, window := range []string{"5 MINUTE", "1 HOUR", "6 HOUR", "3 DAY", "30 DAY"} {
					five += fmt.Sprintf(", sumIf(count, bucket >= now() - INTERVAL %s), sumIf(le_200ms, bucket >= now() - INTERVAL %[1]s)", window)
				}
				for name, text := range map[string]string{
					"one":  "SELECT sum(count), sum(le_200ms) FROM tier WHERE service = 'service-1' AND event = 'websocket.1' AND bucket >= now() - INTERVAL 30 DAY",
					"all":  five + " FROM tier WHERE bucket >= now() - INTERVAL 30 DAY GROUP BY ALL",
					"hour": "SELECT bucket, event, sum(count) FROM tier WHERE service = 'service-1' AND bucket >= now() - INTERVAL 1 HOUR GROUP BY ALL",
				} {
					total := 0.0
					for range times {
						total += w.ask(b, text, none)
					}
					b.ReportMetric(total/times, name+"-ms")
				}
				execute(b, w.s, "DROP TABLE tier SYNC")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// workbench is an engine of its own, without views.
type workbench struct {
	engine *embeddedtest.Engine
	s      *store.Store
	// create makes the events table: TABLE stands for CREATE TABLE and a name.
	create string
}

func newWorkbench(b *testing.B) *workbench {
	engine := embeddedtest.StartIn(b, b.TempDir())
	open := func(database string) *store.Store {
		s, err := store.Open(b.Context(), engine.URL+"/"+database, store.Options{})
		require.NoError(b, err)
		b.Cleanup(func() { _ = s.Close() })
		return s
	}
	reference := open("reference")
	_, err := reference.Migrate(b.Context())
	require.NoError(b, err)
	w := &workbench{engine: engine, s: open("bench")}
	require.NoError(b, reference.Conn().QueryRow(b.Context(), "SHOW CREATE TABLE events").Scan(&w.create))
	w.create = strings.Replace(w.create, "CREATE TABLE reference.events", "TABLE", 1)
	return w
}

// benchmarkChunks of benchmarkChunk events are a million.
const benchmarkChunks = 20

// views makes the view of connections over the table that is tried.
func (w *workbench) views(b *testing.B) {
	var query string
	require.NoError(b, w.s.Conn().QueryRow(b.Context(), "SELECT as_select FROM system.tables WHERE database = 'reference' AND name = ?",
		schema.Connections).Scan(&query))
	execute(b, w.s, strings.Replace(w.create, "TABLE", "CREATE TABLE tried", 1))
	execute(b, w.s, "CREATE VIEW connections AS "+strings.ReplaceAll(query, "reference.events", "bench.tried"))
	execute(b, w.s, "DROP TABLE tried SYNC")
}

// stage stores a million events by chunk, to be read by every try alike.
func (w *workbench) stage(b *testing.B, kind string, chunk func(i uint64) []event.Event) source {
	src := source{table: "source_" + kind}
	text := edit(w.create, orderBy, "ORDER BY chunk_id", `, ZSTD\(1\)`, ", LZ4", `ZSTD\(1\)`, "LZ4", noIndexes, noColumnsAfter)
	execute(b, w.s, strings.Replace(text, "TABLE", "CREATE TABLE "+schema.Events, 1))
	for i := range uint64(benchmarkChunks) {
		require.NoError(b, w.s.InsertChunk(b.Context(), fmt.Sprintf("%064x", i), rowsOf(chunk(i))))
	}
	execute(b, w.s, "OPTIMIZE TABLE events FINAL")
	execute(b, w.s, "RENAME TABLE events TO "+src.table)
	row := w.s.Conn().QueryRow(b.Context(), "SELECT min(counted_at), max(counted_at) FROM "+src.table)
	require.NoError(b, row.Scan(&src.from, &src.to))
	src.to = src.to.Add(time.Millisecond)
	if src.to.Sub(src.from) > 12*time.Hour {
		src.from = src.from.Add(10 * time.Hour)
		src.to = src.from.Add(time.Hour)
	}
	for column, ids := range map[string]*[]string{
		schema.ConnectionID: &src.connections, schema.ClientHash: &src.clients, schema.TraceID: &src.traces,
	} {
		require.NoError(b, w.s.Conn().QueryRow(b.Context(), fmt.Sprintf("SELECT groupArray(id) FROM (SELECT DISTINCT %s AS id FROM %s"+
			" WHERE id != '' ORDER BY cityHash64(id) LIMIT 10)", column, src.table)).Scan(ids))
	}
	execute(b, w.s, edit(w.create, "TABLE", "CREATE TABLE nothing", `(?s)ENGINE = .*`, "ENGINE = Null", noIndexes, noColumnsAfter))
	src.reading = w.insert(b, src, "nothing")
	execute(b, w.s, "DROP TABLE nothing")
	return src
}

// source is a million events, and what is asked about them.
type source struct {
	table                        string
	from, to                     time.Time
	connections, clients, traces []string
	reading                      time.Duration
}

func edit(text string, edits ...string) string {
	for i := 0; i < len(edits); i += 2 {
		text = regexp.MustCompile(edits[i]).ReplaceAllString(text, edits[i+1])
	}
	return text
}

// insert fills a table as chunks would, and returns what it costs.
func (w *workbench) insert(b *testing.B, src source, table string) time.Duration {
	return w.cost(b, func() {
		for i := range benchmarkChunks {
			execute(b, w.s, fmt.Sprintf("INSERT INTO %s SELECT * FROM %s WHERE chunk_id = '%064x'"+
				" SETTINGS async_insert = 0, max_insert_threads = 1", table, src.table, i))
		}
	})
}

func (w *workbench) try(b *testing.B, src source, l layout) {
	const table = "tried"
	text := edit(w.create, l.edits...)
	require.True(b, len(l.edits) == 0 || text != w.create, "changes nothing")
	execute(b, w.s, strings.Replace(text, "TABLE", "CREATE TABLE "+table, 1))
	defer execute(b, w.s, "DROP TABLE "+table+" SYNC")
	for _, statement := range l.then {
		execute(b, w.s, strings.ReplaceAll(statement, "TABLE TABLE", "TABLE "+table))
	}
	execute(b, w.s, "SYSTEM STOP MERGES "+table)
	each := func(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }
	b.ReportMetric(each(w.insert(b, src, table)-src.reading, benchmarkChunks*benchmarkChunk), "insert-µs/event")
	execute(b, w.s, "SYSTEM START MERGES "+table)
	b.ReportMetric(each(w.cost(b, func() { execute(b, w.s, "OPTIMIZE TABLE "+table+" FINAL") }), benchmarkChunks*benchmarkChunk),
		"merge-µs/event")
	b.ReportMetric(float64(number(b, w.s, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench' AND table = ?",
		table))/(benchmarkChunks*benchmarkChunk), "bytes/event")

	b.ReportMetric(w.look(b, table, schema.ConnectionID, src.connections), "connection-ms")
	b.ReportMetric(w.look(b, table, schema.ClientHash, src.clients), "client-ms")
	b.ReportMetric(w.look(b, table, schema.TraceID, src.traces), "trace-ms")
	values := map[string]string{
		query.Since: src.from.UTC().Format("2006-01-02 15:04:05.000"), query.Until: src.to.UTC().Format("2006-01-02 15:04:05.000"),
		query.Limit: "20",
	}
	const rounds = 3
	b.ReportMetric(each(w.cost(b, func() {
		for range rounds {
			for _, q := range query.All() {
				if slices.Contains(questions, q.Name) {
					q.SQL = strings.ReplaceAll(q.SQL, "FROM events", "FROM "+table)
					_, err := q.Run(b.Context(), w.s.Conn(), values)
					require.NoError(b, err, q.Name)
				}
			}
		}
	}), rounds*1000), "questions-ms")
}

// look finds the events of ids and returns the milliseconds that one takes.
func (w *workbench) look(b *testing.B, table, column string, ids []string) float64 {
	if len(ids) == 0 {
		return 0
	}
	return w.ask(b, fmt.Sprintf("SELECT time, service, event, outcome, error_type, status, close_code, duration, connection_duration,"+
		" count, bytes, tenant, url_path, trace_id FROM %s WHERE %s = ? ORDER BY time LIMIT 100", table, column), ids)
}

// ask asks for each of ids, or with args instead, and returns the milliseconds of processor time that one answer takes.
func (w *workbench) ask(b *testing.B, text string, ids []string, args ...any) float64 {
	const rounds = 3
	cost := w.cost(b, func() {
		for range rounds {
			for _, id := range ids {
				if id != "" {
					args = []any{id}
				}
				rows, err := w.s.Conn().Query(b.Context(), text, args...)
				require.NoError(b, err)
				for rows.Next() {
				}
				require.NoError(b, rows.Err())
			}
		}
	})
	return float64(cost.Microseconds()) / 1000 / float64(rounds*len(ids))
}

// traffic is a million events, chunk by chunk.
type traffic struct {
	name  string
	chunk func(uint64) []event.Event
}

// traffics are what an endpoint tells of a day, and what a proxy's log does of forty seconds.
func traffics() []traffic {
	return []traffic{
		{"sessions", sessions()},
		{"nginx", func(chunk uint64) []event.Event { return nginxEvents(chunk, benchmarkChunk) }},
	}
}

// sessions are what an endpoint of three services tells of a day: a million events of some 90,000 connections with their
// messages, refusals, errors and the gauges of eight instances, in the order in which they happen.
func sessions() func(chunk uint64) []event.Event {
	const instances, clients, tenants = 8, 20_000, 200
	day := time.Now().UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour)
	r := rand.New(rand.NewPCG(1, 3))
	type moment struct {
		at         time.Duration
		connection int32
		name       event.Name
		direction  string
	}
	type connection struct {
		opened, lasted                 time.Duration
		id, trace                      uint64
		client, tenant, path, instance int
		received, sent                 int64
		refused, failed                bool
	}
	var list []connection
	var moments []moment
	const total = benchmarkChunks * benchmarkChunk
	for i := range instances {
		for at := time.Duration(0); at < 24*time.Hour; at += 10 * time.Second {
			moments = append(moments, moment{at, int32(-1 - i), event.Connections, ""})
		}
	}
	manyClients, manyTenants := rand.NewZipf(r, 1.1, 10, clients-1), rand.NewZipf(r, 1.2, 3, tenants-1)
	for len(moments) < total {
		c := connection{
			opened: time.Duration(r.Int64N(int64(24 * time.Hour))), id: r.Uint64(), client: int(manyClients.Uint64()),
			tenant: int(manyTenants.Uint64()), path: r.IntN(500), instance: r.IntN(instances),
			lasted:  time.Duration(math.Exp(r.NormFloat64()*1.5) * float64(5*time.Minute)),
			refused: r.IntN(30) == 0, failed: r.IntN(20) == 0,
		}
		if r.IntN(10) == 0 {
			c.trace = r.Uint64()
		}
		n := int32(len(list))
		if c.refused {
			moments = append(moments, moment{c.opened, n, event.HandshakeRejected, ""})
			list = append(list, c)
			continue
		}
		moments = append(moments, moment{c.opened, n, event.Open, ""}, moment{c.opened + time.Millisecond, n, event.Auth, ""})
		for at, k := c.opened+30*time.Second, 0; at < c.opened+c.lasted && k < 40; at, k = at+time.Duration(30+r.IntN(60))*time.Second, k+1 {
			direction := event.DirectionReceive
			if r.IntN(3) > 0 {
				direction = event.DirectionTransmit
			}
			moments = append(moments, moment{at, n, event.Message, direction})
		}
		if r.IntN(50) == 0 {
			moments = append(moments, moment{c.opened + c.lasted/2, n, event.RateLimited, ""})
		}
		if c.failed {
			moments = append(moments, moment{c.opened + c.lasted - time.Millisecond, n, event.Error, event.DirectionReceive})
		}
		moments = append(moments, moment{c.opened + c.lasted, n, event.Close, ""})
		c.received, c.sent = r.Int64N(1<<20), r.Int64N(1<<22)
		list = append(list, c)
	}
	moments = slices.DeleteFunc(moments, func(m moment) bool { return m.at >= 24*time.Hour })
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	resources := make([]*event.Resource, instances)
	for i := range resources {
		resources[i] = event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String([]string{"chat", "rooms", "feed"}[min(i/3, 2)])},
			event.Named{Name: event.ServiceInstanceID, Value: event.String("ws-" + strconv.Itoa(i))},
			event.Named{Name: event.Environment, Value: event.String("prod")},
			event.Named{Name: event.Region, Value: event.String("eu-" + strconv.Itoa(i%2))},
			event.Named{Name: event.HostName, Value: event.String("host-" + strconv.Itoa(i))},
		)
	}
	return func(chunk uint64) []event.Event {
		each := len(moments) / benchmarkChunks
		events := make([]event.Event, each)
		for i, m := range moments[int(chunk)*each : int(chunk+1)*each] {
			e := &events[i]
			e.Name, e.Time = m.name, day.Add(m.at+time.Duration(r.IntN(1000)))
			e.Observed = e.Time.Add(time.Duration(r.IntN(1_000_000)))
			e.SetString(event.Vantage, event.VantageGateway)
			e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
			e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
			e.SetString(event.SourceType, "endpoint")
			e.SetString(event.SourceEvidence, event.EvidenceObserved)
			if m.connection < 0 {
				e.Resource = resources[-1-m.connection]
				e.SetInt(event.ConnectionsActive, 500+r.Int64N(200))
				e.SetInt(event.ConnectionsIdle, r.Int64N(100))
				continue
			}
			c := &list[m.connection]
			e.Resource = resources[c.instance]
			e.SetString(event.NetworkTransport, "tcp")
			e.SetString(event.ConnectionID, fmt.Sprintf("%016x%016x", c.id, c.id*0x9E3779B97F4A7C15))
			e.SetString(event.HTTPVersion, "1.1")
			e.SetString(event.TLSProtocolVersion, "1.3")
			e.SetString(event.ServerAddress, "ws.example.com")
			e.SetString(event.URLScheme, "wss")
			e.SetString(event.URLPath, "/rooms/"+strconv.Itoa(c.path))
			e.SetString(event.URLTemplate, "/rooms/{id}")
			e.SetString(event.Subprotocol, "chat.v2")
			e.SetString(event.TenantID, "tenant-"+strconv.Itoa(c.tenant))
			e.SetString(event.ClientAddress, fmt.Sprintf("203.%d.%d.0", c.client/251%4, c.client%251))
			e.SetString(event.ClientHash, fmt.Sprintf("p1:k1:%016x%016x", uint64(c.client+1)*0x9E3779B97F4A7C15, uint64(c.client+7)*0xBF58476D1CE4E5B9))
			if c.trace != 0 {
				for i := range 8 {
					e.TraceID[i], e.TraceID[8+i], e.SpanID[i] = byte(c.trace>>(8*i)), byte(c.id>>(8*i)), byte((c.trace^c.id)>>(8*i))
				}
			}
			switch m.name {
			case event.Open:
				e.SetInt(event.HTTPResponseStatusCode, 101)
				e.SetDouble(event.HandshakeDuration, 0.001+r.ExpFloat64()*0.01)
				e.SetString(event.HTTPRequestMethod, "GET")
				e.SetString(event.UserAgentOriginal, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/14"+strconv.Itoa(c.client%9))
			case event.HandshakeRejected:
				e.SetInt(event.HTTPResponseStatusCode, 401)
				e.SetString(event.ErrorType, event.Unauthenticated)
				e.SetDouble(event.HandshakeDuration, 0.001+r.ExpFloat64()*0.01)
			case event.Auth:
				e.SetString(event.AuthResult, event.AuthSuccess)
				e.SetString(event.AuthMethod, "bearer")
				e.SetDouble(event.AuthDuration, r.ExpFloat64()*0.02)
			case event.Message:
				e.SetString(event.Direction, m.direction)
				e.SetString(event.MessageType, event.MessageText)
				e.SetInt(event.MessageCount, 1+r.Int64N(20))
				e.SetInt(event.MessageSize, r.Int64N(8192))
			case event.RateLimited:
				e.SetString(event.RateLimitScope, event.ScopeMessage)
				e.SetString(event.RateLimitPolicy, "per_connection")
			case event.Error:
				e.SetString(event.ErrorType, event.InvalidUTF8)
				e.SetString(event.Direction, m.direction)
			case event.Close:
				e.SetInt(event.CloseCode, 1000)
				e.SetBool(event.CloseClean, !c.failed)
				e.SetString(event.CloseInitiator, event.InitiatorClient)
				e.SetDouble(event.ConnectionDuration, math.Round(c.lasted.Seconds()*1000)/1000)
				e.SetInt(event.IOReceived, c.received)
				e.SetInt(event.IOSent, c.sent)
				e.SetInt(event.IOMessagesReceived, r.Int64N(200))
				e.SetInt(event.IOMessagesSent, r.Int64N(400))
			}
		}
		return events
	}
}

// cost is the processor time that the engine uses for f.
func (w *workbench) cost(b *testing.B, f func()) time.Duration {
	before := childCPU(b, w.engine.Process.Pid)
	f()
	return childCPU(b, w.engine.Process.Pid) - before
}
