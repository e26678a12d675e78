package embedded_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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

	const evil = `CREATE TABLE default.in_default (a String) ENGINE = File(CSV, '/etc/passwd')`
	empty := embeddedtest.StartIn(t, t.TempDir(), embeddedtest.Token("s3cret"))
	for name, archive := range map[string][]byte{
		"cut off": []byte(all.body[:len(all.body)/2]), "none": nil,
		"a table that reads files":           rewritten(t, []byte(all.body), evil),
		"one that is listed under two names": rewritten(t, disguised(t, []byte(all.body), "<name>$1</name><name>x</name>"), evil),
		"one of which two files are listed": rewritten(t, disguised(t, []byte(all.body),
			"<name>$1</name><data_file>$1</data_file><data_file>/metadata/d.sql</data_file>"), evil),
		"one with a blank at the end of its name": rewritten(t, disguised(t, []byte(all.body), "<name>$1 </name>"), evil),
		"one that is listed apart":                rewritten(t, disguised(t, []byte(all.body), "<name>/metadata/default/in_default<x>.sql</x></name>"), evil),
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

// disguised is the archive with another name of the definition of default.in_default in its list of files.
func disguised(t *testing.T, archive []byte, as string) []byte {
	name := regexp.MustCompile(`<name>(/?metadata/default/in_default.sql)</name>`)
	return replaced(t, archive, ".backup", func(list []byte) []byte {
		require.Regexp(t, name, string(list))
		return name.ReplaceAll(list, []byte(as))
	})
}

// rewritten is the archive with another definition in place of the one of default.in_default.
func rewritten(t *testing.T, archive []byte, definition string) []byte {
	return replaced(t, archive, "in_default.sql", func([]byte) []byte {
		return []byte(definition)
	})
}

// replaced is the archive with one of its files changed.
func replaced(t *testing.T, archive []byte, name string, change func([]byte) []byte) []byte {
	in := tar.NewReader(bytes.NewReader(archive))
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	found := false
	for {
		header, err := in.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		data, err := io.ReadAll(in)
		require.NoError(t, err)
		if filepath.Base(header.Name) == name {
			data, found = change(data), true
		}
		header.Size = int64(len(data))
		require.NoError(t, w.WriteHeader(header))
		_, err = w.Write(data)
		require.NoError(t, err)
	}
	require.True(t, found)
	require.NoError(t, w.Close())
	return out.Bytes()
}
