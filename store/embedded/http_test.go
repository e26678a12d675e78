package embedded_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// answer is what curl would show.
type answer struct {
	status int
	code   string // X-ClickHouse-Exception-Code
	body   string
	header http.Header
}

// client keeps no connections, so that goleak sees none.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		body = append(body, "READ ERROR: "+err.Error()...)
	}
	return answer{res.StatusCode, res.Header.Get("X-ClickHouse-Exception-Code"), string(body), res.Header}
}

// address is the engine's address with the DSN's database and more parameters.
func address(t testing.TB, dsn string, params ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	query := url.Values{}
	if name := strings.Trim(u.Path, "/"); name != "" {
		query.Set("database", name)
	}
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	u.Path, u.RawQuery = "/", query.Encode()
	return u.String()
}

func get(t testing.TB, dsn string, params ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address(t, dsn, params...), nil)
	require.NoError(t, err)
	return do(t, req)
}

func post(t testing.TB, dsn, body string, params ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, address(t, dsn, params...), strings.NewReader(body))
	require.NoError(t, err)
	return do(t, req)
}

func TestCurl(t *testing.T) {
	dsn := embeddedtest.Database(t)
	require.Equal(t, "Ok.\n", get(t, dsn).body)
	ping, err := client.Get(strings.TrimSuffix(dsn, "/"+filepath.Base(dsn)) + "/ping")
	require.NoError(t, err)
	text, _ := io.ReadAll(ping.Body)
	_ = ping.Body.Close()
	require.Equal(t, "Ok.\n", string(text))

	require.Equal(t, "1\n", get(t, dsn, "query", "SELECT 1").body)
	require.Equal(t, "1\n", post(t, dsn, "SELECT 1").body)
	require.Equal(t, "1\n", post(t, dsn, "SELECT 1;\n").body)
	require.Equal(t, "3\n", post(t, dsn, "+2", "query", "SELECT 1").body, "the body continues the parameter")
	require.Equal(t, "{\"x\":1}\n", get(t, dsn, "query", "SELECT 1 AS x FORMAT JSONEachRow").body)
	require.Equal(t, "\"x\"\n1\n", get(t, dsn, "query", "SELECT 1 AS x", "default_format", "CSVWithNames").body)
	require.Equal(t, "a'b\n", get(t, dsn, "query", "SELECT {v:String} FORMAT TSVRaw", "param_v", "a'b").body)
	require.Equal(t, filepath.Base(dsn)+"\n", get(t, dsn, "query", "SELECT currentDatabase()").body)
	require.Equal(t, "7\n", get(t, dsn, "query", "SELECT getSetting('max_threads')", "max_threads", "7").body)

	require.Empty(t, post(t, dsn, "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a").body)
	for name, a := range map[string]answer{
		"values":           post(t, dsn, "INSERT INTO t VALUES (1, 'x'), (2, 'y;')"),
		"values in param":  post(t, dsn, "(1, 'x'), (2, 'y')", "query", "INSERT INTO t VALUES"),
		"format":           post(t, dsn, "INSERT INTO t FORMAT JSONEachRow\n{\"a\":1}\n{\"a\":2,\"b\":\"z\"}\n"),
		"format in param":  post(t, dsn, "1,x\n2,y\n", "query", "INSERT INTO t FORMAT CSV"),
		"settings":         post(t, dsn, "1\tx\n2\ty\n", "query", "INSERT INTO t SETTINGS async_insert=0 FORMAT TSV"),
		"default format":   post(t, dsn, "1\tx\n2\ty\n", "query", "INSERT INTO t (a, b)", "default_format", "TSV"),
		"select":           post(t, dsn, "INSERT INTO t SELECT number, 'n' FROM numbers(2)"),
		"with parameter":   post(t, dsn, "INSERT INTO t SELECT {x:UInt64}, 'n' FROM numbers(2)", "param_x", "5"),
		"data from params": post(t, dsn, "", "query", "INSERT INTO t VALUES (1,'a'),(2,'b')"),
	} {
		require.Equal(t, 200, a.status, "%s: %s", name, a.body)
		require.Contains(t, a.header.Get("X-ClickHouse-Summary"), `"written_rows":"2"`, name)
	}
	require.Equal(t, "18\n", get(t, dsn, "query", "SELECT count() FROM t").body)

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "INSERT INTO t VALUES (9, 'zipped')")
	require.NoError(t, z.Close())
	req, err := http.NewRequest(http.MethodPost, address(t, dsn), &zipped)
	require.NoError(t, err)
	req.Header.Set("Content-Encoding", "gzip")
	require.Equal(t, 200, do(t, req).status)
	require.Equal(t, "zipped\n", get(t, dsn, "query", "SELECT b FROM t WHERE a = 9").body)
}

func TestExceptions(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for name, c := range map[string]struct {
		a      answer
		status int
		code   string
		text   string
	}{
		"syntax":           {get(t, dsn, "query", "SELEC 1"), 400, "62", "failed at position 1 (SELEC)"},
		"empty":            {post(t, dsn, "  "), 400, "62", "Empty query"},
		"no table":         {get(t, dsn, "query", "SELECT * FROM nope"), 404, "60", "nope"},
		"no database":      {get(t, dsn, "query", "SELECT 1", "database", "nope"), 404, "81", "nope"},
		"unknown setting":  {get(t, dsn, "query", "SELECT 1", "max_thread", "1"), 404, "115", "Unknown setting 'max_thread'"},
		"setting's value":  {get(t, dsn, "query", "SELECT 1", "max_threads", "many"), 400, "27", "many"},
		"GET that writes":  {get(t, dsn, "query", "CREATE TABLE x (a Int8) ENGINE = Memory"), 500, "164", "POST"},
		"GET that inserts": {get(t, dsn, "query", "INSERT INTO x VALUES (1)"), 500, "164", "POST"},
		"two statements":   {post(t, dsn, "SELECT 1; SELECT 2"), 400, "62", "Multi-statements"},
		"insert, no table": {post(t, dsn, "INSERT INTO nope VALUES (1)"), 404, "60", "nope"},
		"session":          {get(t, dsn, "query", "SELECT 1", "session_id", "s"), 501, "48", "sessions"},
		"encoding": {func() answer {
			req, _ := http.NewRequest(http.MethodPost, address(t, dsn), strings.NewReader("SELECT 1"))
			req.Header.Set("Content-Encoding", "br")
			return do(t, req)
		}(), 501, "48", "gzip, deflate or zstd"},
	} {
		require.Equal(t, c.status, c.a.status, "%s: %s", name, c.a.body)
		require.Equal(t, c.code, c.a.code, "%s: %s", name, c.a.body)
		require.Contains(t, c.a.body, c.text, name)
		require.Contains(t, c.a.body, "Code: "+c.code+". DB::Exception: ", name)
	}

	var exception *clickhouse.Exception
	err := open(t, dsn, clickhouse.CompressionLZ4).Exec(context.Background(), "SELECT * FROM nope")
	require.ErrorAs(t, err, &exception)
	require.EqualValues(t, 60, exception.Code)
}

// A failure after data has left is seen by clients in every encoding, and never taken for a whole result.
func TestExceptionInMidStream(t *testing.T) {
	dsn := embeddedtest.Database(t)
	const query = "SELECT number, throwIf(number = 3000000, 'in mid stream') FROM numbers(4000000) " +
		"SETTINGS max_threads = 1"
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4} {
		conn := open(t, dsn, method)
		rows, err := conn.Query(context.Background(), query)
		n := 0
		if err == nil {
			for rows.Next() {
				n++
			}
			err = rows.Err()
			_ = rows.Close()
		}
		require.ErrorContains(t, err, "in mid stream", "after %d rows", n)
		require.Positive(t, n, "rows come before the result is complete")
	}
	a := get(t, dsn, "query", query)
	require.Contains(t, a.body, "__exception__")
	require.Contains(t, a.body, "READ ERROR", "the connection is cut")
	a = get(t, dsn, "query", query, "wait_end_of_query", "1")
	require.Equal(t, "395", a.code)
}

func TestEmptyResultsHaveColumns(t *testing.T) {
	dsn := embeddedtest.Database(t)
	ctx := context.Background()
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4} {
		conn := open(t, dsn, method)
		require.NoError(t, conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS empty (
			low LowCardinality(String), m Map(LowCardinality(String), String), n Nullable(Float64), at DateTime64(3)
		) ENGINE = MergeTree ORDER BY tuple()`))
		for query, want := range map[string][]string{
			"SELECT * FROM empty": {"low", "m", "n", "at"},
			"SELECT low AS `a``b`, n FROM empty WHERE low = {x:String}": {"a`b", "n"},
			"SELECT low FROM empty FORMAT Native":                       {"low"},
			"SELECT low FROM empty SETTINGS max_threads = 1;":           {"low"},
			"SHOW TABLES LIKE 'nothing'":                                {"name"},
			"WITH 1 AS one SELECT low, one FROM empty":                  {"low", "one"},
		} {
			ctx := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"x": "none"}))
			rows, err := conn.Query(ctx, query)
			require.NoError(t, err, query)
			require.Equal(t, want, rows.Columns(), query)
			require.False(t, rows.Next())
			require.NoError(t, rows.Err(), query)
			require.NoError(t, rows.Close())
		}
	}
}

// What a statement does to its connection, nobody else may notice.
func TestConnectionsAreNotShared(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for _, s := range []string{"SET max_threads = 3", "USE system", "CREATE TEMPORARY TABLE mine (a Int8)",
		"CREATE OR REPLACE TEMPORARY TABLE mine (a Int8) ENGINE = Memory", "CREATE TABLE t (a Int8) ENGINE = Memory"} {
		require.Equal(t, 200, post(t, dsn, s).status, s)
	}
	for range 5 {
		require.NotEqual(t, "3\n", get(t, dsn, "query", "SELECT getSetting('max_threads')").body)
		require.Equal(t, filepath.Base(dsn)+"\n", get(t, dsn, "query", "SELECT currentDatabase()").body)
		require.Equal(t, "60", get(t, dsn, "query", "SELECT * FROM mine").code)
		// With settings in the request the connection is another one, and so is the next.
		require.Equal(t, "2\n", get(t, dsn, "query", "SELECT getSetting('max_threads')", "max_threads", "2").body)
		require.Equal(t, "4\n", get(t, dsn, "query", "SELECT getSetting('max_threads')", "max_threads", "4").body)
	}
}

func TestDeduplicationTokens(t *testing.T) {
	dsn := embeddedtest.Database(t)
	embeddedtest.Exec(t, dsn, `CREATE TABLE base (k UInt8, n UInt64) ENGINE = MergeTree ORDER BY k
		SETTINGS non_replicated_deduplication_window = 100`)
	embeddedtest.Exec(t, dsn, `CREATE TABLE total (k UInt8, n SimpleAggregateFunction(sum, UInt64))
		ENGINE = AggregatingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100`)
	embeddedtest.Exec(t, dsn, `CREATE MATERIALIZED VIEW mv TO total AS SELECT k, sum(n) AS n FROM base GROUP BY k`)
	insert := func(rows string, params ...string) {
		a := post(t, dsn, rows, append([]string{"query", "INSERT INTO base VALUES"}, params...)...)
		require.Equal(t, 200, a.status, a.body)
	}
	const token, views = "insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views"
	insert("(1, 10), (2, 20)", token, "a", views, "1")
	insert("(1, 10), (2, 20)", token, "a", views, "1")
	insert("(1, 99)", token, "a", views, "1") // the token counts, not the rows
	insert("(1, 1)", token, "b", views, "1")
	require.Equal(t, "3\t31\n", get(t, dsn, "query", "SELECT count(), sum(n) FROM base").body)
	require.Equal(t, "31\n", get(t, dsn, "query", "SELECT sum(n) FROM total").body, "through the view too")
	// A token must not stick to the connection: rows of their own without one are stored.
	insert("(3, 1)")
	insert("(3, 2)")
	insert("(3, 4)", "max_threads", "1")
	require.Equal(t, "7\n", get(t, dsn, "query", "SELECT sum(n) FROM base WHERE k = 3").body)
	a := post(t, dsn, "INSERT INTO base SETTINGS insert_deduplication_token = 'c' VALUES (4, 1)")
	require.Equal(t, 200, a.status, a.body)
	insert("(4, 2)")
	require.Equal(t, "3\n", get(t, dsn, "query", "SELECT sum(n) FROM base WHERE k = 4").body)
}

func TestPasswords(t *testing.T) {
	u := embeddedtest.Start(t, embeddedtest.Token("s3cret"))
	wrong := get(t, u, "query", "SELECT 1")
	require.Equal(t, 403, wrong.status)
	require.Equal(t, "516", wrong.code)
	require.Equal(t, "Code: 516. DB::Exception: The password is wrong or missing; it is the token of the embedded "+
		"engine. (AUTHENTICATION_FAILED)\n", wrong.body)
	require.Equal(t, "1\n", get(t, u, "query", "SELECT 1", "user", "default", "password", "s3cret").body)
	for _, set := range []func(*http.Request){
		func(r *http.Request) { r.SetBasicAuth("default", "s3cret") },
		func(r *http.Request) { r.Header.Set("X-ClickHouse-Key", "s3cret") },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer s3cret") },
	} {
		req, err := http.NewRequest(http.MethodGet, address(t, u, "query", "SELECT 1"), nil)
		require.NoError(t, err)
		set(req)
		require.Equal(t, "1\n", do(t, req).body)
	}
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{strings.TrimPrefix(u, "http://")},
		Protocol: clickhouse.HTTP, Auth: clickhouse.Auth{Username: "default", Password: "wrong"}})
	require.NoError(t, err)
	var exception *clickhouse.Exception
	require.ErrorAs(t, conn.Ping(context.Background()), &exception)
	require.EqualValues(t, 516, exception.Code)
	_ = conn.Close()
}

func TestWebPagesAreRefused(t *testing.T) {
	dsn := embeddedtest.Database(t)
	for _, set := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Host = "rebound.example.com:8123" },
	} {
		req, err := http.NewRequest(http.MethodGet, address(t, dsn, "query", "SELECT 1"), nil)
		require.NoError(t, err)
		set(req)
		a := do(t, req)
		require.Equal(t, 403, a.status, a.body)
		require.Equal(t, "497", a.code)
	}
}

// The engine itself reads any file; none of this may reach a client.
func TestFilesAndConnectionsAreRefused(t *testing.T) {
	dsn := embeddedtest.Database(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.csv")
	require.NoError(t, os.WriteFile(secret, []byte("42\n"), 0o644))
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a")
	for _, s := range []string{
		"SELECT * FROM file('%s')", "SELECT * FROM FILE('%s', CSV)", "SELECT * FROM `file`('%s')",
		`SELECT * FROM "fi\x6ce"('%s')`, "SELECT * FROM/**/file/**/('%s')", "SELECT file('%s')",
		"SELECT * FROM (SELECT * FROM file('%s'))", "WITH x AS (SELECT * FROM file('%s')) SELECT * FROM x",
		"SELECT 1 -- '\n, file('%s') -- '", "SELECT 1 /* ' */ , file('%s') /* ' */", "SELECT $a$'$a$, file('%s')",
		"EXPLAIN SELECT * FROM file('%s')", "DESCRIBE file('%s')", "DESCRIBE TABLE url('http://127.0.0.1:1/%s')",
		"SELECT * FROM url('http://127.0.0.1:1/%s', CSV, 'a String')", "SELECT * FROM s3('http://127.0.0.1:1/%s')",
		"SELECT * FROM remote('127.0.0.1:1', '%s')", "SELECT * FROM executable('%s', CSV, 'a String')",
		"SELECT * FROM sqlite('%s', 'x')", "SELECT * FROM fileCluster('c', '%s')", "SELECT * FROM filesystem('%s')",
		"SELECT * FROM icebergLocal('%s')", "SELECT * FROM eval('%s')",
		"INSERT INTO FUNCTION file('%s') VALUES (1)", "INSERT INTO TABLE FUNCTION file('%s', CSV, 'a String') SELECT '1'",
		"INSERT INTO t SELECT * FROM file('%s')", "INSERT INTO t FROM INFILE '%s' FORMAT CSV",
		"SELECT 1 INTO OUTFILE '%s.out'", "SELECT 1 INTO OUTFILE '%s.out' FORMAT CSV",
		"CREATE TABLE x (a String) ENGINE = File(CSV, '%s')", "CREATE TABLE x ENGINE = URL('http://h/%s') AS SELECT 1",
		"CREATE TABLE x AS file('%s')", "CREATE VIEW x AS SELECT * FROM file('%s')",
		"CREATE DATABASE x ENGINE = Filesystem('%s')", "CREATE DATABASE x ENGINE = SQLite('%s')",
		"CREATE TABLE x (a String DEFAULT file('%s')) ENGINE = Memory",
		"ALTER TABLE t ADD COLUMN b String DEFAULT file('%s')", "CREATE FUNCTION f AS (x) -> file('%s')",
		"CREATE TABLE x (a String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '%s/')",
		"CREATE DICTIONARY x (a UInt8) PRIMARY KEY a SOURCE(FILE(path '%s' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)",
		"CREATE DICTIONARY x (a UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE(HOST '%s' TABLE 't')) LAYOUT(FLAT()) LIFETIME(1)",
		"CREATE DICTIONARY x (a UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT file(''%s'')')) LAYOUT(FLAT()) " +
			"LIFETIME(1)",
		"BACKUP TABLE t TO File('%s.zip')", "RESTORE TABLE t FROM File('%s')",
		"ATTACH TABLE x FROM '%s' (a String) ENGINE = MergeTree ORDER BY a",
		"SELECT 1 SETTINGS additional_result_filter = 'file(''%s'') = ''x'''",
		"SET dialect = 'prql', log_comment = '%s'", "SELECT 1 SETTINGS log_comment = '%s'", "SET log_comment = '%s'",
		"SET allow_introspection_functions", "SELECT '%s' SETTINGS allow_introspection_functions",
		"SELECT '%s' SETTINGS max_threads = 1, allow_introspection_functions", "SELECT '%s' SETTINGS `allow_introspection_functions`",
		"SELECT '%s' SETTINGS `allow_introspection_function\\x73`", "SET `dia\\x6cect` = 'prql', log_comment = '%s'",
		"CREATE NAMED COLLECTION x AS url = '%s'",
	} {
		s = strings.ReplaceAll(s, "%s", secret)
		a := post(t, dsn, s)
		require.Equal(t, 403, a.status, "%s: %s", s, a.body)
		require.Equal(t, "497", a.code, s)
		require.NotContains(t, a.body, "42")
	}
	// The engine's own database would show the file system as tables.
	for _, s := range []string{
		"SELECT * FROM '%s'", "SELECT * FROM `%s`", "SELECT * FROM default.`%s`",
		"SELECT * FROM {d:Identifier}.{f:Identifier}",
		"SELECT * FROM loop('default', '%s')", "SELECT * FROM merge('default', '.*')", "DESCRIBE TABLE default.`%s`",
	} {
		s = strings.ReplaceAll(s, "%s", secret)
		for _, database := range []string{"default", ""} {
			a := post(t, dsn, s, "param_d", "default", "param_f", secret, "database", database)
			require.GreaterOrEqual(t, a.status, 400, "%s: %s", s, a.body)
		}
	}
	require.Equal(t, "497", get(t, dsn, "query", "SELECT 1", "additional_result_filter", "1").code)
	require.Equal(t, "115", get(t, dsn, "query", "SELECT 1", "path", dir).code, "server settings are not settings")
	for _, s := range []string{
		"SELECT 'file(1)' AS file", "SELECT url FROM (SELECT 1 AS url)", "CREATE TABLE url (url Int8) ENGINE = Memory",
		"INSERT INTO url (url) VALUES (1)", "SELECT * FROM numbers(3)", "SELECT * FROM values('a Int8', 1)",
		"CREATE DICTIONARY d (a UInt64, url Int8) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 'url')) LAYOUT(FLAT()) LIFETIME(1)",
	} {
		require.Equal(t, 200, post(t, dsn, s).status, s)
	}
	require.NoFileExists(t, secret+".out")
}
