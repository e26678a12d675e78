package embedded_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store/embedded"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// nativeBlock is n rows of one UInt64 column `a`.
func nativeBlock(t testing.TB, n int) []byte {
	t.Helper()
	values := make(proto.ColUInt64, n)
	for i := range values {
		values[i] = uint64(i)
	}
	var out proto.Buffer
	require.NoError(t, proto.Block{Columns: 1, Rows: n}.EncodeRawBlock(&out, 0, []proto.InputColumn{
		{Name: "a", Data: values},
	}))
	return out.Buf
}

func framed(t testing.TB, data []byte, piece int) []byte {
	t.Helper()
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	var out []byte
	for len(data) > 0 {
		n := min(piece, len(data))
		require.NoError(t, w.Compress(data[:n]))
		out, data = append(out, w.Data...), data[n:]
	}
	return out
}

// An upload that ends early is not committed, wherever it ends and whatever it is packed in.
func TestTruncatedUploads(t *testing.T) {
	dsn := embeddedtest.Database(t)
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	count := func() string { return embeddedtest.Exec(t, dsn, "SELECT count() FROM t") }
	var blocks []byte
	for range 5 {
		blocks = append(blocks, nativeBlock(t, 100_000)...)
	}
	frames := framed(t, blocks, 64<<10)

	send := func(body []byte, cut int, params ...string) {
		to := address(t, dsn, append([]string{"query", "INSERT INTO t FORMAT Native"}, params...)...)
		req, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
		require.NoError(t, err)
		a := do(t, req)
		require.GreaterOrEqual(t, a.status, 400, "cut at %d: %s", cut, a.body)
		require.NotEmpty(t, a.code)
		require.Equal(t, "0", count(), "cut at %d: %s", cut, a.body)
	}
	for _, cut := range []int{1, 100, len(blocks)/2 + 3, len(blocks) - 1} {
		send(blocks[:cut], cut)
	}
	for _, cut := range []int{1, 20, 25, 26, 30, len(frames)/2 + 7, len(frames) - 1} {
		send(frames[:cut], cut, "decompress", "1")
	}
	corrupt := bytes.Clone(frames)
	corrupt[len(corrupt)/2] ^= 0xff
	send(corrupt, len(corrupt), "decompress", "1")

	// The connection ends in the middle of a block boundary: only the transport knows that more was to come.
	for _, head := range []string{fmt.Sprintf("Content-Length: %d", len(blocks)), "Transfer-Encoding: chunked"} {
		host := strings.TrimPrefix(dsn[:strings.LastIndex(dsn, "/")], "http://")
		conn, err := net.Dial("tcp", host)
		require.NoError(t, err)
		part := blocks[:len(blocks)/5*3]
		target := strings.TrimPrefix(address(t, dsn, "query", "INSERT INTO t FORMAT Native"), "http://"+host)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n", target, head)
		if strings.HasPrefix(head, "Transfer") {
			fmt.Fprintf(conn, "%x\r\n", len(part))
		}
		_, err = conn.Write(part)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return idle(t, dsn) }, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, "0", count(), "nothing of the cut uploads was committed")

	a := post(t, dsn, string(blocks), "query", "INSERT INTO t FORMAT Native")
	require.Equal(t, 200, a.status, a.body)
	a = post(t, dsn, string(frames), "query", "INSERT INTO t FORMAT Native", "decompress", "1")
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "1000000", count())
}

// idle says that no statement but this one runs. An engine out of memory is not.
func idle(t testing.TB, dsn string) bool {
	req, err := http.NewRequest(http.MethodPost, address(t, dsn),
		strings.NewReader("SELECT count() FROM system.processes WHERE query NOT LIKE '%system.processes%'"))
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return err == nil && string(body) == "0\n"
}

// The statement of a client that went away is killed.
func TestClientGoesAway(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for _, query := range []string{
		"SELECT count() FROM numbers_mt(1000000000000) WHERE NOT ignore(sipHash64(number))",
		"SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1, " +
			"function_sleep_max_microseconds_per_block = 0",
		"SELECT number FROM numbers(100000000000)",
		"SELECT count() FROM numbers_mt(1000000000000) WHERE NOT ignore(sipHash64(number)) FORMAT JSON",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, address(t, dsn), strings.NewReader(query))
			if err != nil {
				return
			}
			if res, err := client.Do(req); err == nil {
				_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
				<-ctx.Done()
				_ = res.Body.Close()
			}
		}()
		require.Eventually(t, func() bool { return !idle(t, dsn) }, 10*time.Second, 10*time.Millisecond, query)
		cancel()
		<-gone
		require.Eventually(t, func() bool { return idle(t, dsn) }, 20*time.Second, 20*time.Millisecond, query)
		require.Equal(t, "1", embeddedtest.Exec(t, dsn, "SELECT 1"))
	}
}

// Inserts are stored when they are answered, and a large result is not gathered in memory.
func TestInsertsAreSynchronousAndSelectsStream(t *testing.T) {
	engine := embeddedtest.StartIn(t, t.TempDir())
	dsn := engine.URL
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	for i := range 20 {
		embeddedtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		require.Equal(t, fmt.Sprint(i+1), embeddedtest.Exec(t, dsn, "SELECT count() FROM t"))
	}
	require.Equal(t, "0", embeddedtest.Exec(t, dsn, "SELECT count() FROM system.asynchronous_inserts"))
	a := post(t, dsn, "(100)", "query", "INSERT INTO t VALUES", "async_insert", "1", "wait_for_async_insert", "1")
	require.Equal(t, 200, a.status, a.body)

	rows, err := open(t, dsn, clickhouse.CompressionNone).Query(context.Background(),
		"SELECT number, toString(number) FROM numbers(20000000)")
	require.NoError(t, err)
	var n, number uint64
	var text string
	peak := residentMiB(t, engine)
	for rows.Next() {
		if n++; n%5_000_000 == 0 {
			require.NoError(t, rows.Scan(&number, &text))
			require.Equal(t, n-1, number)
			peak = max(peak, residentMiB(t, engine))
		}
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.EqualValues(t, 20_000_000, n)
	t.Logf("20 million rows streamed, engine's memory at most %d MiB", peak)
	require.Less(t, peak, 1000)
}

func residentMiB(t testing.TB, engine *embeddedtest.Engine) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", engine.Process.Pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(t, err)
	return kib >> 10
}

func TestMemoryLimit(t *testing.T) {
	engine := embeddedtest.StartIn(t, t.TempDir(), embeddedtest.Memory("600MiB"))
	u := engine.URL
	require.Equal(t, "629145600\n", get(t, u, "query",
		"SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'").body)
	hungry := "SELECT groupUniqArray(number) FROM numbers(100000000)"
	a := get(t, u, "query", hungry)
	require.Equal(t, "241", a.code, a.body)
	a = get(t, u, "query", hungry, "max_memory_usage", "0")
	require.Equal(t, "241", a.code, a.body)
	var exception *clickhouse.Exception
	native := "clickhouse://" + engine.Native
	require.ErrorAs(t, openNative(t, native, clickhouse.CompressionNone, "").Exec(t.Context(), hungry), &exception)
	require.EqualValues(t, 241, exception.Code)
	require.Equal(t, "1\n", get(t, u, "query", "SELECT 1").body)
	// So little memory leaves a query its threads.
	plan := get(t, u, "query", "EXPLAIN PIPELINE SELECT sum(cityHash64(number)) FROM numbers_mt(100000000)", "max_threads", "2")
	require.Contains(t, plan.body, "× 2")
}

// Every way of not starting is one sentence that names the thing and the remedy.
func TestStartFaults(t *testing.T) {
	embeddedtest.Available(t)
	ctx := context.Background()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().String()
	require.EqualError(t, embedded.Run(ctx, embedded.Settings{DataDir: t.TempDir(), Listen: port}, nil),
		"listen on "+port+": the port is taken; stop the program that has it or choose another with --listen")
	require.EqualError(t, embedded.Run(ctx, embedded.Settings{DataDir: t.TempDir(), Listen: "0.0.0.0:0"}, nil),
		"listen on 0.0.0.0:0: without a token only a loopback address is allowed, such as 127.0.0.1:8123")

	require.EqualError(t, embedded.Run(ctx, embedded.Settings{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Library: "/nowhere/libchdb.so",
	}, nil), "--library: no library at /nowhere/libchdb.so; run `make libchdb` to get one")

	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.EqualError(t, embedded.Run(ctx, embedded.Settings{DataDir: file, Listen: "127.0.0.1:0"}, nil),
		"data directory: mkdir "+file+": not a directory; choose another with --data")
	require.EqualError(t, embedded.Run(ctx, embedded.Settings{DataDir: "/proc/nothing", Listen: "127.0.0.1:0"}, nil),
		"data directory: mkdir /proc/nothing: no such file or directory; choose another with --data")

	data := t.TempDir()
	embeddedtest.StartIn(t, data)
	_, err = embeddedtest.TryStart(data)
	require.EqualError(t, err, "data directory "+data+
		": another process has it open; stop that one or choose another with --data")
}

// onSmallDisk runs an engine whose data directory is a disk of its own, of that size.
func onSmallDisk(t *testing.T, size string) embeddedtest.Option {
	t.Helper()
	if err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", t.TempDir()).Run(); err != nil {
		t.Skip("mounting a small disk is not allowed here")
	}
	return func(cmd *exec.Cmd) {
		script := `mount -t tmpfs -o size=` + size + ` none "$SOCKEYE_EMBEDDEDTEST_DATA" && exec "$0"`
		self := cmd.Path
		path, err := exec.LookPath("unshare")
		require.NoError(t, err)
		cmd.Path, cmd.Args = path, []string{"unshare", "-m", "sh", "-c", script, self}
	}
}

func TestFullDisk(t *testing.T) {
	data := t.TempDir()
	option := onSmallDisk(t, "16k")
	_, err := embeddedtest.TryStart(data, option)
	require.EqualError(t, err, "data directory "+data+": cannot write: no space left on device; "+
		"free some space or choose another with --data")

	// A disk that fills up refuses inserts with the engine's code, keeps what it acknowledged and works on once there is
	// room.
	u := embeddedtest.StartIn(t, t.TempDir(), onSmallDisk(t, "64m")).URL
	embeddedtest.Exec(t, u, "CREATE TABLE t (s String CODEC(NONE)) ENGINE = MergeTree ORDER BY tuple()")
	embeddedtest.Exec(t, u, "CREATE TABLE u (a UInt8) ENGINE = MergeTree ORDER BY tuple()")
	var refused answer
	acknowledged := 0
	for range 100 {
		refused = post(t, u, "INSERT INTO t SELECT randomString(1000000) FROM numbers(5)")
		if refused.status != 200 {
			break
		}
		acknowledged += 5
	}
	require.Equal(t, "243", refused.code, refused.body)
	require.Equal(t, fmt.Sprint(acknowledged), embeddedtest.Exec(t, u, "SELECT count() FROM t"))
	embeddedtest.Exec(t, u, "DROP TABLE t SYNC")
	embeddedtest.Exec(t, u, "INSERT INTO u VALUES (1)")
	require.Equal(t, "1", embeddedtest.Exec(t, u, "SELECT count() FROM u"))
}

func TestSIGTERMStopsCleanly(t *testing.T) {
	data := t.TempDir()
	engine := embeddedtest.StartIn(t, data)
	embeddedtest.Exec(t, engine.URL, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
	embeddedtest.Exec(t, engine.URL, "INSERT INTO kept VALUES (1), (2)")
	// A statement under way is allowed to end.
	answers := make(chan answer, 1)
	go func() { answers <- get(t, engine.URL, "query", "SELECT sleep(1.5), 'ended'") }()
	require.Eventually(t, func() bool { return !idle(t, engine.URL) }, 10*time.Second, 10*time.Millisecond)
	began := time.Now()
	engine.Stop()
	require.Less(t, time.Since(began), 15*time.Second)
	require.Equal(t, "0\tended\n", (<-answers).body)
	require.True(t, engine.Exited(), "the process ended by itself, with status 0")

	again := embeddedtest.StartIn(t, data)
	require.Equal(t, "2", embeddedtest.Exec(t, again.URL, "SELECT count() FROM kept"),
		"what was stored in the default database is still there")
	require.Equal(t, "60", post(t, again.URL, "SELECT * FROM '/etc/passwd'").code)
	again.Kill()
	third := embeddedtest.StartIn(t, data)
	require.Equal(t, "2", embeddedtest.Exec(t, third.URL, "SELECT count() FROM kept"))
}

// Killed in mid-insert, the engine has every batch it acknowledged, whole, and none in part; retrying the rest with
// their tokens makes base table and view complete.
func TestKillInMidInsert(t *testing.T) {
	data := t.TempDir()
	engine := embeddedtest.StartIn(t, data)
	for _, s := range []string{
		"CREATE DATABASE d",
		`CREATE TABLE d.base (batch UInt64, a UInt64) ENGINE = MergeTree ORDER BY batch
			SETTINGS non_replicated_deduplication_window = 10000`,
		`CREATE TABLE d.total (batch UInt64, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree
			ORDER BY batch SETTINGS non_replicated_deduplication_window = 10000`,
		"CREATE MATERIALIZED VIEW d.mv TO d.total AS SELECT batch, count() AS n FROM d.base GROUP BY batch",
	} {
		embeddedtest.Exec(t, engine.URL, s)
	}
	const rows = 2000
	insert := func(u string, batch uint64) bool {
		body := fmt.Sprintf("INSERT INTO d.base SELECT %d, number FROM numbers(%d)", batch, rows)
		req, err := http.NewRequest(http.MethodPost, address(t, u, "insert_deduplication_token", fmt.Sprint("b", batch),
			"deduplicate_blocks_in_dependent_materialized_views", "1"), strings.NewReader(body))
		if err != nil {
			return false
		}
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK
	}
	var next, acknowledged atomic.Uint64
	var lost sync.Map
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for {
				batch := next.Add(1)
				if !insert(engine.URL, batch) {
					lost.Store(batch, true)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return acknowledged.Load() > 150 }, 60*time.Second, time.Millisecond)
	engine.Kill()
	writers.Wait()

	again := embeddedtest.StartIn(t, data)
	check := func(message string) {
		require.Equal(t, "0", embeddedtest.Exec(t, again.URL,
			fmt.Sprintf("SELECT countIf(n != %d) FROM (SELECT count() AS n FROM d.base GROUP BY batch)", rows)), message)
	}
	check("no batch is there in part")
	have := embeddedtest.Exec(t, again.URL, "SELECT groupArray(batch) FROM (SELECT DISTINCT batch FROM d.base)")
	for batch := uint64(1); batch < next.Load(); batch++ {
		if _, ok := lost.Load(batch); !ok {
			require.Regexp(t, fmt.Sprintf(`[\[,]%d[\],]`, batch), have, "acknowledged batch %d", batch)
		}
	}
	retried := 0
	lost.Range(func(batch, _ any) bool {
		retried++
		require.True(t, insert(again.URL, batch.(uint64)))
		return true
	})
	check("after the retries")
	total := fmt.Sprint((next.Load()) * rows)
	require.Equal(t, total, embeddedtest.Exec(t, again.URL, "SELECT count() FROM d.base"))
	require.Equal(t, total, embeddedtest.Exec(t, again.URL, "SELECT sum(n) FROM d.total"), "the view is complete too")
	t.Logf("%d batches acknowledged before the kill, %d retried", acknowledged.Load(), retried)
}

// Readers with large aggregations keep no insert waiting, over either interface, nor do those that do not read what they
// asked for.
func TestReadersDoNotStallInserts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of both cores")
	}
	dsn, native := embeddedtest.Databases(t)
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	ctx, cancel := context.WithCancel(context.Background())
	var slow []*rawNative
	for range 4 {
		reader := dialNative(t, native)
		reader.query("SELECT number, toString(number) FROM numbers(1000000000)", proto.CompressionDisabled)
		slow = append(slow, reader)
	}
	conn := openNative(t, native, clickhouse.CompressionNone, "")
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	var answered atomic.Int32
	for i := range 40 {
		readers.Go(func() {
			for i%2 == 0 && ctx.Err() == nil {
				if conn.Exec(ctx, "SELECT uniqExact(sipHash64(number)) FROM numbers(3000000)") == nil {
					answered.Add(1)
				}
			}
			for ctx.Err() == nil {
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, address(t, dsn),
					strings.NewReader("SELECT uniqExact(sipHash64(number)) FROM numbers(3000000)"))
				if res, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					answered.Add(1)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 0 }, 60*time.Second, 10*time.Millisecond)
	block := string(nativeBlock(t, 10_000))
	writer := openNative(t, native, clickhouse.CompressionNone, "")
	var took []time.Duration
	for i := range 30 {
		began := time.Now()
		if i%2 == 0 {
			a := post(t, dsn, block, "query", "INSERT INTO t FORMAT Native")
			require.Equal(t, 200, a.status, a.body)
		} else {
			batch, err := writer.PrepareBatch(t.Context(), "INSERT INTO t")
			require.NoError(t, err)
			for n := range uint64(10_000) {
				require.NoError(t, batch.Append(n))
			}
			require.NoError(t, batch.Send())
		}
		took = append(took, time.Since(began))
	}
	cancel()
	readers.Wait()
	slices.Sort(took)
	t.Logf("40 readers, 30 inserts of 10,000 rows: median %s, slowest %s", took[15], took[29])
	require.Less(t, took[29], 20*time.Second)
	_ = conn.Close()
	for _, reader := range slow {
		_ = reader.Close()
	}
	requireIdle(t, dsn, "readers")
}

// What the design counts on works in this engine.
func TestEngineFeatures(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for _, s := range []string{
		`CREATE TABLE e (time DateTime64(9, 'UTC') CODEC(Delta, ZSTD), service LowCardinality(String),
			attributes Map(LowCardinality(String), String), duration Nullable(Float64),
			j JSON, INDEX i service TYPE bloom_filter, PROJECTION p (SELECT service, count() GROUP BY service))
			ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (service, time) TTL toDateTime(time) + INTERVAL 7 DAY`,
		"INSERT INTO e SELECT now64(9), 's', map('a', 'b'), 0.5, '{\"x\":1}' FROM numbers(10)",
		"CREATE TABLE s (k UInt8, v UInt64) ENGINE = SummingMergeTree ORDER BY k",
		"CREATE TABLE r (k UInt8, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY k",
		"INSERT INTO r VALUES (1, 1), (1, 2)", "OPTIMIZE TABLE r FINAL",
		"CREATE TABLE refreshed (n UInt64) ENGINE = MergeTree ORDER BY n",
		"CREATE MATERIALIZED VIEW rv REFRESH EVERY 1 HOUR TO refreshed AS SELECT count() AS n FROM e",
		"SYSTEM WAIT VIEW rv", "ALTER TABLE s ADD COLUMN w UInt8",
		"ALTER TABLE r DELETE WHERE k = 9 SETTINGS mutations_sync = 1",
		"CREATE TABLE names (id UInt64, name String) ENGINE = MergeTree ORDER BY id", "INSERT INTO names VALUES (1, 'one')",
		"EXPLAIN SELECT * FROM e", "SHOW CREATE TABLE e", "DESCRIBE TABLE e", "EXISTS TABLE e", "SHOW TABLES",
		"SELECT quantileTDigest(0.99)(duration) FROM e", "SYSTEM FLUSH LOGS", "TRUNCATE TABLE s", "DROP TABLE s SYNC",
		"CREATE FUNCTION f AS (x) -> x + 1", "SELECT f(1)", "DROP FUNCTION f",
	} {
		a := post(t, dsn, s)
		require.Equal(t, 200, a.status, "%s: %s", s, a.body)
	}
	require.Equal(t, "10", embeddedtest.Exec(t, dsn, "SELECT n FROM refreshed"))
	require.Equal(t, "1\t2", embeddedtest.Exec(t, dsn, "SELECT * FROM r"))
}

// Parts that were merged stay until the disk has the new one, a minute, and are then removed soon: each holds memory.
func TestMergedPartsGo(t *testing.T) {
	t.Parallel()
	dsn := embeddedtest.Database(t)
	defaults := embeddedtest.Exec(t, dsn, `SELECT name, value FROM system.merge_tree_settings WHERE name IN
		('old_parts_lifetime', 'cleanup_delay_period', 'max_cleanup_delay_period') ORDER BY name`)
	require.Equal(t, "cleanup_delay_period\t10\nmax_cleanup_delay_period\t20\nold_parts_lifetime\t60", defaults)
	embeddedtest.Exec(t, dsn, "CREATE TABLE e (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS old_parts_lifetime = 1")
	for range 3 {
		embeddedtest.Exec(t, dsn, "INSERT INTO e SELECT number FROM numbers(10)")
	}
	embeddedtest.Exec(t, dsn, "OPTIMIZE TABLE e FINAL")
	merged := func() string {
		return embeddedtest.Exec(t, dsn, `SELECT count() FROM system.parts
			WHERE database = currentDatabase() AND table = 'e' AND NOT active`)
	}
	require.Eventually(t, func() bool { return merged() == "0" }, time.Minute, 200*time.Millisecond)
}

// BenchmarkInsert inserts rows as wide as an event through clickhouse-go.
func BenchmarkInsert(b *testing.B) {
	dsn := embeddedtest.Database(b)
	embeddedtest.Exec(b, dsn, `CREATE TABLE e (time DateTime64(9), observed DateTime64(9), event LowCardinality(String),
		service LowCardinality(String), tenant String, outcome LowCardinality(String), status UInt16, path String,
		address String, duration Nullable(Float64), bytes UInt64, trace String,
		attributes Map(LowCardinality(String), String), resource Map(LowCardinality(String), String))
		ENGINE = MergeTree ORDER BY (service, event, time)`)
	for _, c := range []struct {
		name   string
		method clickhouse.CompressionMethod
	}{{"plain", clickhouse.CompressionNone}, {"lz4", clickhouse.CompressionLZ4}} {
		b.Run(c.name, func(b *testing.B) {
			const rows = 50_000
			conn := open(b, dsn, c.method)
			ctx := context.Background()
			at := time.Now()
			half := 0.5
			attributes := map[string]string{"url.scheme": "wss", "network.protocol.version": "1.1"}
			resource := map[string]string{"host.name": "a"}
			id := make([]byte, 8)
			for b.Loop() {
				_, _ = rand.Read(id)
				batch, err := conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
					"insert_deduplication_token": fmt.Sprintf("%x", id)})), "INSERT INTO e")
				require.NoError(b, err)
				for i := range rows {
					require.NoError(b, batch.Append(at, at, "websocket.open", "chat", "t", "success", uint16(101), "/ws",
						"192.0.2.0", &half, uint64(i), "4bf92f3577b34da6a3ce929d0e0e4736", attributes, resource))
				}
				require.NoError(b, batch.Send())
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
