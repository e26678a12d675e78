package embedded_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestBackupAndRestore(t *testing.T) {
	data := t.TempDir()
	engine := embeddedtest.StartIn(t, data, embeddedtest.Token("s3cret"), embeddedtest.ReadOnlyToken("look"))
	send := func(base, path, password string, body []byte) answer {
		req, err := http.NewRequest(http.MethodPost, base+path, bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-ClickHouse-Key", password)
		return do(t, req)
	}
	run := func(base, statement string) string {
		a := send(base, "/", "s3cret", []byte(statement))
		require.Equal(t, 200, a.status, "%s: %s", statement, a.body)
		return a.body
	}
	for _, s := range []string{
		"CREATE DATABASE d", "CREATE TABLE d.base (k UInt8, n UInt64) ENGINE = MergeTree ORDER BY k",
		"CREATE TABLE d.total (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k",
		"CREATE MATERIALIZED VIEW d.mv TO d.total AS SELECT k, sum(n) AS n FROM d.base GROUP BY k",
		"CREATE VIEW d.v AS SELECT * FROM d.base", "CREATE DATABASE other", "CREATE TABLE other.x (a UInt8) ENGINE = Log",
		"INSERT INTO d.base SELECT number % 10, number FROM numbers(100000)", "INSERT INTO other.x VALUES (1)",
		"CREATE TABLE default.in_default (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO default.in_default VALUES (7)",
	} {
		run(engine.URL, s)
	}
	require.Equal(t, "516", send(engine.URL, "/backup", "wrong", nil).code)
	require.Equal(t, "164", send(engine.URL, "/backup", "look", nil).code)
	require.Equal(t, "164", send(engine.URL, "/restore", "look", nil).code)
	require.Equal(t, "81", send(engine.URL, "/backup?database=nope", "s3cret", nil).code)
	all := send(engine.URL, "/backup", "s3cret", nil)
	require.Equal(t, 200, all.status, all.body)
	one := send(engine.URL, "/backup?database=other", "s3cret", nil)
	require.Equal(t, 200, one.status, one.body)
	left, err := os.ReadDir(filepath.Join(data, "backups"))
	require.NoError(t, err)
	require.Empty(t, left)
	a := send(engine.URL, "/restore", "s3cret", []byte(all.body))
	require.NotEqual(t, 200, a.status, "tables that have rows are not touched")

	empty := embeddedtest.StartIn(t, t.TempDir(), embeddedtest.Token("s3cret"))
	for name, archive := range map[string][]byte{
		"cut off": []byte(all.body[:len(all.body)/2]), "none": nil,
		"a table that reads files": rewritten(t, []byte(all.body), `CREATE TABLE default.in_default (a UInt8) ENGINE = File(CSV, '/etc/passwd')`),
	} {
		a := send(empty.URL, "/restore", "s3cret", archive)
		require.Contains(t, []string{"600", "497", "102"}, a.code, "%s: %s", name, a.body)
	}
	a = send(empty.URL, "/restore", "s3cret", []byte(all.body))
	require.Equal(t, 200, a.status, a.body)
	for _, question := range []string{
		"SELECT count(), sum(n) FROM d.base", "SELECT sum(n) FROM d.total", "SELECT count() FROM d.v", "SELECT a FROM other.x",
		"SELECT a FROM default.in_default",
	} {
		require.Equal(t, run(engine.URL, question), run(empty.URL, question), question)
	}
	run(empty.URL, "INSERT INTO d.base VALUES (1, 1)")
	require.Equal(t, "4999950001\n", run(empty.URL, "SELECT sum(n) FROM d.total"), "the view goes on")
}

// rewritten is the archive with another definition in place of the one of default.in_default.
func rewritten(t *testing.T, archive []byte, definition string) []byte {
	in := tar.NewReader(bytes.NewReader(archive))
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	replaced := false
	for {
		header, err := in.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		data, err := io.ReadAll(in)
		require.NoError(t, err)
		if filepath.Base(header.Name) == "in_default.sql" {
			data, replaced = []byte(definition), true
		}
		header.Size = int64(len(data))
		require.NoError(t, w.WriteHeader(header))
		_, err = w.Write(data)
		require.NoError(t, err)
	}
	require.True(t, replaced)
	require.NoError(t, w.Close())
	return out.Bytes()
}
