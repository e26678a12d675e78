package embedded_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// What a restore has made before it fails would stop the next one.
func TestARestoreThatFailsLeavesWhatWasThere(t *testing.T) {
	send := func(engine *embeddedtest.Engine, path string, body string) answer {
		req, err := http.NewRequest(http.MethodPost, engine.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		return do(t, req)
	}
	run := func(engine *embeddedtest.Engine, statements ...string) string {
		last := ""
		for _, s := range statements {
			a := send(engine, "/", s)
			require.Equal(t, 200, a.status, "%s: %s", s, a.body)
			last = a.body
		}
		return last
	}
	from, to := embeddedtest.StartIn(t, t.TempDir()), embeddedtest.StartIn(t, t.TempDir())
	run(from, "CREATE DATABASE d", "CREATE TABLE d.base (k UInt8, n UInt64) ENGINE = MergeTree ORDER BY k",
		"CREATE TABLE d.total (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k",
		"CREATE MATERIALIZED VIEW d.mv TO d.total AS SELECT k, sum(n) AS n FROM d.base GROUP BY k",
		"CREATE VIEW d.v AS SELECT * FROM d.base", "INSERT INTO d.base SELECT number % 10, number FROM numbers(1000)",
		"CREATE DATABASE `an-other`", "CREATE TABLE `an-other`.`x.y` (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO `an-other`.`x.y` VALUES (1)",
		"CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO default.t VALUES (7)")
	archive := send(from, "/backup", "")
	require.Equal(t, 200, archive.status, archive.body)

	const tables = "SELECT database, name FROM system.tables WHERE database IN (SELECT name FROM system.databases WHERE engine = 'Atomic') ORDER BY ALL"
	run(to, "CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO default.t VALUES (8)",
		"CREATE DATABASE `an-other` ENGINE = Atomic", "CREATE TABLE `an-other`.mine (a UInt8) ENGINE = MergeTree ORDER BY a")
	a := send(to, "/restore", archive.body)
	require.NotEqual(t, 200, a.status)
	require.Contains(t, a.body, "default.t because it already contains some data")
	require.Contains(t, a.body, "\nWhat it had made is removed again.")
	require.Equal(t, "an-other\tmine\ndefault\tt\n", run(to, tables))
	require.Equal(t, "an-other\ndefault\n", run(to, "SELECT name FROM system.databases WHERE engine = 'Atomic' ORDER BY name"))
	require.Equal(t, "8\n", run(to, "SELECT a FROM default.t"))

	// A table that was empty may have the archive's rows by the time that another's cannot be read.
	run(to, "CREATE DATABASE d", "CREATE TABLE d.base (k UInt8, n UInt64) ENGINE = MergeTree ORDER BY k")
	run(to, "TRUNCATE TABLE default.t")
	a = send(to, "/restore", string(replaced(t, []byte(archive.body), "default/t/all_1_1_0/data.bin",
		func(data []byte) []byte { return data[:3] })))
	require.NotEqual(t, 200, a.status)
	require.Equal(t, "an-other\tmine\nd\tbase\ndefault\tt\n", run(to, tables))
	if run(to, "SELECT count() FROM d.base") != "0\n" {
		require.Contains(t, a.body, "\nRun before another try: TRUNCATE TABLE `d`.`base`\n")
		run(to, "TRUNCATE TABLE d.base")
	}

	a = send(to, "/restore", archive.body)
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "499500\n", run(to, "SELECT sum(n) FROM d.total"))
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
		if strings.HasSuffix(header.Name, name) {
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
