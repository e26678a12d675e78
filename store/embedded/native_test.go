package embedded_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// openNative connects clickhouse-go over the native protocol.
func openNative(t testing.TB, dsn string, method clickhouse.CompressionMethod, password string) driver.Conn {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{u.Host},
		Auth:        clickhouse.Auth{Database: strings.Trim(u.Path, "/"), Username: "default", Password: password},
		Compression: &clickhouse.Compression{Method: method},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Every type whose end is found by its shape comes back as it went, through both interfaces.
func TestNativeTypes(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	const columns = `a Int8, b UInt16, c Int32, d UInt64, e Int128, f UInt256, g Float32, h Float64, i Bool, j String,
		k FixedString(3), l Date, m Date32, n DateTime('UTC'), o DateTime64(9, 'UTC'), p UUID, q IPv4, r IPv6,
		s Enum8('one' = 1, 'a, (b)' = 2), t Enum16('x' = -300), u Decimal(9, 2), v Decimal(18, 4), w Decimal(38, 5),
		x Nullable(String), y Array(Nullable(UInt8)), z Array(Array(String)), aa Map(String, Array(UInt8)),
		ab LowCardinality(String), ac LowCardinality(Nullable(String)), ad Map(LowCardinality(String), String),
		ae Tuple(name String, n LowCardinality(String)), af Array(LowCardinality(String)), ag Tuple(UInt8, String),
		ah SimpleAggregateFunction(sum, UInt64), ai Array(Tuple(time DateTime64(9), m Map(LowCardinality(String), String))),
		aj LowCardinality(FixedString(2)), ak Decimal(76, 10)`
	embeddedtest.Exec(t, dsn, "SET allow_suspicious_low_cardinality_types = 1")
	for _, table := range []string{"source", "copied"} {
		embeddedtest.Exec(t, dsn, "CREATE TABLE "+table+" ("+columns+") ENGINE = MergeTree ORDER BY tuple() "+
			"SETTINGS index_granularity = 8192")
	}
	embeddedtest.Exec(t, dsn, `INSERT INTO source SELECT * FROM generateRandom('`+strings.ReplaceAll(columns, "'", `\'`)+`', 7, 12, 4) LIMIT 3000`)
	for name, method := range map[string]clickhouse.CompressionMethod{
		"plain": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
	} {
		ctx := t.Context()
		conn := openNative(t, native, method, "")
		embeddedtest.Exec(t, dsn, "TRUNCATE TABLE copied")
		rows, err := conn.Query(ctx, "SELECT * FROM source")
		require.NoError(t, err)
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO copied")
		require.NoError(t, err, name)
		require.NoError(t, batch.Append(rows), name)
		require.NoError(t, batch.Send(), name)
		require.NoError(t, rows.Close())
		for _, table := range []string{"source EXCEPT SELECT * FROM copied", "copied EXCEPT SELECT * FROM source"} {
			require.Equal(t, "0", embeddedtest.Exec(t, dsn, "SELECT count() FROM (SELECT * FROM "+table+")"), name)
		}
		require.Equal(t, "3000", embeddedtest.Exec(t, dsn, "SELECT count() FROM copied"), name)
	}
}

func TestNativeDriver(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	ctx := t.Context()
	conn := openNative(t, native, clickhouse.CompressionLZ4, "")
	require.NoError(t, conn.Ping(ctx))
	version, err := conn.ServerVersion()
	require.NoError(t, err)
	require.EqualValues(t, 54460, version.Revision)
	require.Equal(t, embeddedtest.Exec(t, dsn, "SELECT substringIndex(version(), '.', 3)"),
		fmt.Sprintf("%d.%d.%d", version.Version.Major, version.Version.Minor, version.Version.Patch))

	require.NoError(t, conn.Exec(ctx, `CREATE TABLE t (a UInt64, b LowCardinality(String) DEFAULT 'd', c UInt64 ALIAS a,
		m UInt64 MATERIALIZED a + 1) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100`))
	insert := func(token string, from, n int) {
		ctx := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO t (a, b) SETTINGS max_threads = 1")
		require.NoError(t, err)
		for i := range n {
			require.NoError(t, batch.Append(uint64(from+i), "x"))
			if i == n/2 {
				require.NoError(t, batch.Flush(), "blocks of their own are one insert")
			}
		}
		require.NoError(t, batch.Send())
	}
	insert("one", 0, 1000)
	insert("one", 0, 1000)
	insert("two", 1000, 10)
	require.NoError(t, conn.Exec(ctx, "INSERT INTO t (a) VALUES (5000), (5001)"), "rows in the statement")
	require.NoError(t, conn.Exec(ctx, "INSERT INTO t (a) SELECT number + 6000 FROM numbers(3)"))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO t")
	require.NoError(t, err)
	require.NoError(t, batch.Append(uint64(7000), "y"), "columns that cannot be inserted are left out")
	require.NoError(t, batch.Send())
	batch, err = conn.PrepareBatch(ctx, "INSERT INTO t")
	require.NoError(t, err)
	require.NoError(t, batch.Close(), "no rows are none")
	require.Equal(t, "1016\t5\t544549", embeddedtest.Exec(t, dsn, "SELECT count(), countIf(b = 'd'), sum(a) FROM t"))

	var n uint64
	var text string
	require.NoError(t, conn.QueryRow(ctx, "SELECT a, {s:String} FROM t WHERE a = {a:UInt64}",
		clickhouse.Named("a", "7"), clickhouse.Named("s", "it's\ta \\ 'text'\n")).Scan(&n, &text))
	require.EqualValues(t, 7, n)
	require.Equal(t, "it's\ta \\ 'text'\n", text)

	rows, err := conn.Query(ctx, "SELECT a, b, map(b, 'v') AS m FROM t WHERE a > 1e9")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "m"}, rows.Columns(), "a result without rows has columns")
	require.False(t, rows.Next())
	require.NoError(t, rows.Close())

	var seen, last uint64
	rows, err = conn.Query(ctx, "SELECT number, toString(number) FROM numbers(1000000)")
	require.NoError(t, err)
	for rows.Next() {
		require.NoError(t, rows.Scan(&last, &text))
		require.Equal(t, seen, last)
		seen++
	}
	require.NoError(t, rows.Err())
	require.EqualValues(t, 1_000_000, seen)

	var exception *clickhouse.Exception
	for statement, want := range map[string]int32{
		"SELECT * FROM nope": 60, "SELEC": 62, "SELECT 1; SELECT 2": 62, "SELECT throwIf(1)": 395,
		"CREATE TEMPORARY TABLE x (a Int8)": 48, "SELECT 1 SETTINGS max_thread = 1": 115, "": 62,
	} {
		require.ErrorAs(t, conn.Exec(ctx, statement), &exception, statement)
		require.Equal(t, want, exception.Code, statement)
	}
	require.ErrorAs(t, conn.Exec(ctx, "SELECT * FROM nope"), &exception)
	require.Equal(t, "DB::Exception", exception.Name)
	require.Contains(t, exception.Message, "(UNKNOWN_TABLE)")
	require.NotContains(t, exception.Message, "Code: ")
	unknown := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_thread": 1}))
	require.ErrorAs(t, conn.Exec(unknown, "SELECT 1"), &exception)
	require.EqualValues(t, 115, exception.Code)
	for _, statement := range []string{"INSERT INTO nope", "INSERT INTO t (z)"} {
		_, err = conn.PrepareBatch(ctx, statement)
		require.ErrorAs(t, err, &exception, statement)
	}
	require.NoError(t, conn.Ping(ctx))
	require.ErrorAs(t, openNative(t, native+"_absent", clickhouse.CompressionNone, "").Ping(ctx), &exception)
	require.EqualValues(t, 81, exception.Code)
}

// What the engine refuses in the middle of the rows is told after them, nothing is stored, and the connection goes on.
func TestNativeInsertThatFails(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt64, CONSTRAINT small CHECK a < 1000000) ENGINE = MergeTree ORDER BY a")
	conn := openNative(t, native, clickhouse.CompressionLZ4, "")
	ctx := t.Context()
	for range 3 {
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO t")
		require.NoError(t, err)
		for i := range 2_000_000 {
			require.NoError(t, batch.Append(uint64(i)))
			if i%500_000 == 499_999 {
				require.NoError(t, batch.Flush())
			}
		}
		var exception *clickhouse.Exception
		require.ErrorAs(t, batch.Send(), &exception)
		require.EqualValues(t, 469, exception.Code, exception.Message)
	}
	require.NoError(t, conn.Ping(ctx))
	require.Equal(t, "0", embeddedtest.Exec(t, dsn, "SELECT count() FROM t"))
}

// rawNative is a client that sends what it likes.
type rawNative struct {
	t testing.TB
	net.Conn
	r *proto.Reader
}

func dialNative(t testing.TB, dsn string) *rawNative {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	c := &rawNative{t, conn, proto.NewReader(conn)}
	c.send(func(b *proto.Buffer) {
		proto.ClientHello{Name: "raw", ProtocolVersion: proto.Version, User: "default",
			Database: strings.Trim(u.Path, "/")}.Encode(b)
	})
	require.Equal(t, proto.ServerCodeHello, c.code())
	require.NoError(t, (&proto.ServerHello{}).DecodeAware(c.r, proto.Version))
	c.send(func(b *proto.Buffer) { b.PutString("") })
	return c
}

func (c *rawNative) send(packet func(b *proto.Buffer)) {
	var b proto.Buffer
	packet(&b)
	_, err := c.Write(b.Buf)
	require.NoError(c.t, err)
}

func (c *rawNative) code() proto.ServerCode {
	code, err := c.r.ReadByte()
	require.NoError(c.t, err)
	return proto.ServerCode(code)
}

func (c *rawNative) query(text string, compression proto.Compression) {
	c.send(func(b *proto.Buffer) {
		proto.Query{Body: text, Stage: proto.StageComplete, Compression: compression, Info: proto.ClientInfo{
			Query: proto.ClientQueryInitial, Interface: proto.InterfaceTCP,
		}}.EncodeAware(b, proto.Version)
		c.block(b, compression, nil)
	})
}

// block is a block of one column `a`, the empty one without values.
func (c *rawNative) block(b *proto.Buffer, compression proto.Compression, values []uint64) {
	proto.ClientCodeData.Encode(b)
	b.PutString("")
	var data proto.Buffer
	column := proto.ColUInt64(values)
	block, input := proto.Block{Info: proto.BlockInfo{BucketNum: -1}}, []proto.InputColumn(nil)
	if values != nil {
		block.Columns, block.Rows = 1, len(values)
		input = []proto.InputColumn{{Name: "a", Data: column}}
	}
	require.NoError(c.t, block.EncodeBlock(&data, proto.Version, input))
	if compression == proto.CompressionEnabled {
		w := compress.NewWriter(compress.LevelZero, compress.LZ4)
		require.NoError(c.t, w.Compress(data.Buf))
		data.Buf = w.Data
	}
	b.PutRaw(data.Buf)
}

// until reads up to a packet and returns how many rows and how much progress came before it.
func (c *rawNative) until(want proto.ServerCode, compression proto.Compression) (rows int, progress []proto.Progress) {
	for {
		code := c.code()
		if code == want {
			return rows, progress
		}
		switch code {
		case proto.ServerCodeData:
			_, err := c.r.Str()
			require.NoError(c.t, err)
			if compression == proto.CompressionEnabled {
				c.r.EnableCompression()
			}
			var block proto.Block
			var results proto.Results
			require.NoError(c.t, block.DecodeBlock(c.r, proto.Version, results.Auto()))
			c.r.DisableCompression()
			rows += block.Rows
		case proto.ServerCodeProgress:
			var p proto.Progress
			require.NoError(c.t, p.DecodeAware(c.r, proto.Version))
			progress = append(progress, p)
		case proto.ServerCodeProfile:
			require.NoError(c.t, (&proto.Profile{}).DecodeAware(c.r, proto.Version))
		case proto.ServerCodeException:
			var e proto.Exception
			require.NoError(c.t, e.DecodeAware(c.r, proto.Version))
			require.FailNow(c.t, "exception", e.Message)
		default:
			require.FailNow(c.t, "unexpected packet", code.String())
		}
	}
}

func (c *rawNative) exception() proto.Exception {
	c.t.Helper()
	c.until(proto.ServerCodeException, proto.CompressionDisabled)
	var e proto.Exception
	require.NoError(c.t, e.DecodeAware(c.r, proto.Version))
	return e
}

func TestNativeProgressAndCancel(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	c := dialNative(t, native)
	c.query("SELECT sleepEachRow(0.1), number FROM numbers(30) SETTINGS max_block_size = 1", proto.CompressionEnabled)
	rows, progress := c.until(proto.ServerCodeEndOfStream, proto.CompressionEnabled)
	require.Equal(t, 30, rows)
	var read uint64
	for _, p := range progress {
		read += p.Rows
	}
	require.GreaterOrEqual(t, len(progress), 2, "while it runs, and at its end")
	require.EqualValues(t, 30, read)

	const endless = "SELECT count() FROM numbers_mt(1000000000000) WHERE NOT ignore(sipHash64(number))"
	c.query(endless, proto.CompressionDisabled)
	require.Eventually(t, func() bool { return !idle(t, dsn) }, 20*time.Second, 10*time.Millisecond)
	c.send(func(b *proto.Buffer) { proto.ClientCodeCancel.Encode(b) })
	c.until(proto.ServerCodeEndOfStream, proto.CompressionDisabled)
	requireIdle(t, dsn, "after a cancel")
	c.send(func(b *proto.Buffer) { proto.ClientCodePing.Encode(b) })
	require.Equal(t, proto.ServerCodePong, c.code(), "the connection goes on")

	for _, query := range []string{endless, "SELECT number FROM numbers(100000000000)",
		"SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0"} {
		gone := dialNative(t, native)
		gone.query(query, proto.CompressionDisabled)
		require.Eventually(t, func() bool { return !idle(t, dsn) }, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, gone.Close())
		requireIdle(t, dsn, query)
	}
}

// What is cut off, broken or taken back in the middle of an insert stores nothing.
func TestNativeInsertThatEndsEarly(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	count := func() string { return embeddedtest.Exec(t, dsn, "SELECT count() FROM t") }
	values := make([]uint64, 300_000)
	begin := func(compression proto.Compression) (*rawNative, []byte) {
		c := dialNative(t, native)
		c.query("INSERT INTO t VALUES", compression)
		require.Equal(t, proto.ServerCodeData, c.code())
		_, err := c.r.Str()
		require.NoError(t, err)
		if compression == proto.CompressionEnabled {
			c.r.EnableCompression()
		}
		var sample proto.Block
		require.NoError(t, sample.DecodeBlock(c.r, proto.Version, nil))
		c.r.DisableCompression()
		require.Equal(t, 1, sample.Columns)
		var b proto.Buffer
		c.block(&b, compression, values)
		return c, b.Buf
	}
	for _, compression := range []proto.Compression{proto.CompressionDisabled, proto.CompressionEnabled} {
		for _, part := range []float64{0, 0.5, 0.999, 1} {
			c, block := begin(compression)
			_, err := c.Write(block[:int(float64(len(block))*part)])
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}
		c, block := begin(compression)
		_, err := c.Write(block)
		require.NoError(t, err)
		c.send(func(b *proto.Buffer) { proto.ClientCodeCancel.Encode(b) })
		c.until(proto.ServerCodeEndOfStream, compression)
		c.send(func(b *proto.Buffer) { proto.ClientCodePing.Encode(b) })
		require.Equal(t, proto.ServerCodePong, c.code())
	}
	c, block := begin(proto.CompressionEnabled)
	block[len(block)/2] ^= 0xff
	_, err := c.Write(block)
	require.NoError(t, err)
	require.EqualValues(t, 271, c.exception().Code)
	_, err = c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF, "nothing can be read after it")

	requireIdle(t, dsn, "after a cancel")
	require.Equal(t, "0", count())
	c, block = begin(proto.CompressionEnabled)
	_, err = c.Write(block)
	require.NoError(t, err)
	c.send(func(b *proto.Buffer) { c.block(b, proto.CompressionEnabled, nil) })
	c.until(proto.ServerCodeEndOfStream, proto.CompressionEnabled)
	require.Equal(t, "300000", count())
}

// What breaks the protocol is told so, and costs nobody else anything.
func TestNativeProtocolFaults(t *testing.T) {
	_, native := embeddedtest.Databases(t)
	u, err := url.Parse(native)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	text, _ := io.ReadAll(conn)
	require.Contains(t, string(text), "HTTP has a port of its own")
	require.NoError(t, conn.Close())

	for name, packet := range map[string]func(b *proto.Buffer){
		"unknown packet": func(b *proto.Buffer) { b.PutByte(77) },
		"endless text":   func(b *proto.Buffer) { b.PutByte(1); b.PutUVarInt(1 << 60) },
		"rows":           func(b *proto.Buffer) { b.PutByte(2); b.PutString("") },
	} {
		c := dialNative(t, native)
		c.send(packet)
		require.EqualValues(t, 101, c.exception().Code, name)
		_, err := c.r.ReadByte()
		require.ErrorIs(t, err, io.EOF, name)
	}
	old := dialNative(t, native)
	require.NoError(t, old.Close())
	conn, err = net.Dial("tcp", u.Host)
	require.NoError(t, err)
	var b proto.Buffer
	proto.ClientHello{Name: "old", ProtocolVersion: 54000}.Encode(&b)
	_, err = conn.Write(b.Buf)
	require.NoError(t, err)
	text, _ = io.ReadAll(conn)
	require.Contains(t, string(text), "The client is too old")
	require.NoError(t, conn.Close())
}

func TestNativeTokens(t *testing.T) {
	engine := embeddedtest.StartIn(t, t.TempDir(), embeddedtest.Token("s3cret"), embeddedtest.ReadOnlyToken("look"))
	native := "clickhouse://" + engine.Native
	ctx := t.Context()
	var exception *clickhouse.Exception
	for _, password := range []string{"", "wrong"} {
		require.ErrorAs(t, openNative(t, native, clickhouse.CompressionNone, password).Ping(ctx), &exception)
		require.EqualValues(t, 516, exception.Code)
	}
	full := openNative(t, native, clickhouse.CompressionNone, "s3cret")
	require.NoError(t, full.Exec(ctx, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a"))
	require.NoError(t, full.Exec(ctx, "INSERT INTO t VALUES (1)"))
	reader := openNative(t, native, clickhouse.CompressionNone, "look")
	refused := []string{
		"INSERT INTO t VALUES (2)", "INSERT INTO t SELECT 2", "DROP TABLE t", "CREATE TABLE u (a UInt8) ENGINE = Memory",
		"ALTER TABLE t DELETE WHERE 1", "TRUNCATE TABLE t", "OPTIMIZE TABLE t", "SYSTEM STOP MERGES", "KILL QUERY WHERE 1",
		"CREATE FUNCTION f AS (x) -> x", "SELECT 1 SETTINGS readonly = 0", "RENAME TABLE t TO v",
	}
	for _, statement := range refused {
		require.ErrorAs(t, reader.Exec(ctx, statement), &exception, statement)
		require.EqualValues(t, 164, exception.Code, "%s: %s", statement, exception.Message)
		a := post(t, engine.URL, statement, "password", "look")
		require.Equal(t, "164", a.code, "%s: %s", statement, a.body)
	}
	_, err := reader.PrepareBatch(ctx, "INSERT INTO t")
	require.ErrorAs(t, err, &exception)
	require.EqualValues(t, 164, exception.Code)
	sneaky := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 0}))
	require.ErrorAs(t, reader.Exec(sneaky, "DROP TABLE t"), &exception)
	for _, statement := range []string{"SELECT count() FROM t", "SHOW TABLES", "DESCRIBE TABLE t", "EXPLAIN SELECT * FROM t",
		"SELECT a FROM t SETTINGS max_threads = 1", "WITH 1 AS x SELECT x"} {
		rows, err := reader.Query(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_execution_time": 60})),
			statement)
		require.NoError(t, err, statement)
		require.True(t, rows.Next(), statement)
		require.NoError(t, rows.Close())
		require.Equal(t, 200, post(t, engine.URL, statement, "password", "look").status, statement)
	}
	require.Equal(t, "1\n", get(t, engine.URL, "query", "SELECT count() FROM t", "password", "s3cret").body)
}

// The guard is one for both interfaces.
func TestNativeGuard(t *testing.T) {
	dsn, native := embeddedtest.Databases(t)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	require.NoError(t, os.WriteFile(secret, []byte("42\n"), 0o600))
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a")
	conn := openNative(t, native, clickhouse.CompressionNone, "")
	var exception *clickhouse.Exception
	for _, statement := range []string{
		"SELECT * FROM file('%s')", "SELECT * FROM url('http://127.0.0.1:1/%s', CSV, 'a String')",
		"INSERT INTO t SELECT * FROM file('%s')", "INSERT INTO t FROM INFILE '%s' FORMAT CSV",
		"BACKUP TABLE t TO File('%s.zip')", "SELECT 1 INTO OUTFILE '%s.out'", "SET dialect = 'prql'",
		"SELECT 1 SETTINGS allow_introspection_functions", "SELECT 1 SETTINGS log_comment = '%s'",
	} {
		statement = strings.ReplaceAll(statement, "%s", secret)
		require.ErrorAs(t, conn.Exec(t.Context(), statement), &exception, statement)
		require.EqualValues(t, 497, exception.Code, "%s: %s", statement, exception.Message)
	}
	_, err := conn.PrepareBatch(t.Context(), "INSERT INTO FUNCTION file('"+secret+"', CSV, 'a String')")
	require.Error(t, err)
	setting := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"additional_result_filter": "1"}))
	require.ErrorAs(t, conn.Exec(setting, "SELECT 1"), &exception)
	require.EqualValues(t, 497, exception.Code)
}

// SIGTERM lets a statement end, closes what is idle, and cancels what does not end.
func TestNativeShutdown(t *testing.T) {
	engine := embeddedtest.StartIn(t, t.TempDir())
	native := "clickhouse://" + engine.Native
	waiting := openNative(t, native, clickhouse.CompressionNone, "")
	require.NoError(t, waiting.Ping(t.Context()))
	conn := openNative(t, native, clickhouse.CompressionNone, "")
	var ended atomic.Bool
	answered := make(chan error, 1)
	go func() {
		var zero uint8
		var text string
		answered <- conn.QueryRow(context.Background(), "SELECT sleep(2), 'ended'").Scan(&zero, &text)
		ended.Store(text == "ended")
	}()
	require.Eventually(t, func() bool { return !idle(t, engine.URL) }, 20*time.Second, 10*time.Millisecond)
	engine.Stop()
	require.NoError(t, <-answered)
	require.Eventually(t, ended.Load, 10*time.Second, time.Millisecond)
	require.True(t, engine.Exited())
}

// requireIdle waits until no statement runs any more.
func requireIdle(t testing.TB, dsn, what string) {
	t.Helper()
	if !eventually(func() bool { return idle(t, dsn) }) {
		require.FailNow(t, "statements still run: "+what, post(t, dsn,
			"SELECT elapsed, is_cancelled, query FROM system.processes FORMAT Vertical").body)
	}
}

// eventually says whether something comes true in half a minute.
func eventually(done func() bool) bool {
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-deadline:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}
