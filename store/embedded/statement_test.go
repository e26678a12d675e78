package embedded

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadStatement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]statement{
		"":                                  {kind: kindEmpty},
		" -- only\n/* */ ;":                 {kind: kindEmpty},
		"SELECT 1":                          {kind: kindSelect, plain: "SELECT 1"},
		"(SELECT 1);":                       {kind: kindSelect, plain: "(SELECT 1)"},
		"with 1 as x select x format CSV ;": {kind: kindSelect, format: "CSV", plain: "with 1 as x select x  "},
		"SELECT 1 FORMAT JSON SETTINGS max_threads=1": {kind: kindSelect, format: "JSON",
			plain: "SELECT 1  SETTINGS max_threads=1"},
		"SELECT format('{}', 1)":        {kind: kindSelect, plain: "SELECT format('{}', 1)"},
		"SELECT 'FORMAT CSV'":           {kind: kindSelect, plain: "SELECT 'FORMAT CSV'"},
		"SELECT 1 -- FORMAT CSV":        {kind: kindSelect, plain: "SELECT 1 -- FORMAT CSV"},
		"SELECT 1; SELECT 2 FORMAT CSV": {kind: kindSelect, plain: "SELECT 1; SELECT 2 FORMAT CSV"},
		"SELECT $x$ FORMAT CSV $x$":     {kind: kindSelect, plain: "SELECT $x$ FORMAT CSV $x$"},
		"SET a = 1":                     {kind: kindOther, session: true, plain: "SET a = 1"},
		"use d":                         {kind: kindOther, session: true, plain: "use d"},
		"CREATE TEMPORARY TABLE t (a Int8)": {kind: kindOther, session: true,
			plain: "CREATE TEMPORARY TABLE t (a Int8)"},
		"CREATE OR REPLACE TEMPORARY TABLE t": {kind: kindOther, session: true,
			plain: "CREATE OR REPLACE TEMPORARY TABLE t"},
		"CREATE TABLE temporary (a Int8)": {kind: kindOther, plain: "CREATE TABLE temporary (a Int8)"},
		"SHOW TABLES FORMAT Native":       {kind: kindOther, format: "Native", plain: "SHOW TABLES "},
		"INSERT INTO t VALUES (1)":        {kind: kindInsert, format: "Values", text: "INSERT INTO t ", data: 20},
		"insert into t (a, `values`) format TSV\n1": {kind: kindInsert, format: "TSV",
			text: "insert into t (a, `values`) ", data: 39},
		"INSERT INTO t FORMAT JSONEachRow {}": {kind: kindInsert, format: "JSONEachRow", text: "INSERT INTO t ", data: 33},
		"INSERT INTO t FORMAT CSV;\n\n1":      {kind: kindInsert, format: "CSV", text: "INSERT INTO t ", data: 26},
		"INSERT INTO t SETTINGS async_insert=1, insert_deduplication_token='x' FORMAT CSV": {kind: kindInsert,
			format: "CSV", text: "INSERT INTO t SETTINGS async_insert=1, insert_deduplication_token='x' ", data: 80,
			token: true},
		"INSERT INTO t (a, b)":               {kind: kindInsert, text: "INSERT INTO t (a, b)", data: 20},
		"INSERT INTO t;":                     {kind: kindInsert, text: "INSERT INTO t", data: 14},
		"INSERT INTO t SELECT 1 FORMAT x":    {kind: kindOther, plain: "INSERT INTO t SELECT 1 FORMAT x"},
		"INSERT INTO t WITH 1 AS x SELECT x": {kind: kindOther, plain: "INSERT INTO t WITH 1 AS x SELECT x"},
		"INSERT INTO t FROM INFILE 'f' FORMAT CSV": {kind: kindOther,
			plain: "INSERT INTO t FROM INFILE 'f' FORMAT CSV"},
		"SELECT 'open":        {kind: kindSelect, plain: "SELECT 'open"},
		"/* never closed":     {kind: kindOther, plain: "/* never closed"},
		"\ufeffSELECT\u00a01": {kind: kindSelect, plain: "\ufeffSELECT\u00a01"},
	} {
		got, err := readStatement(text, false)
		require.NoError(t, err, text)
		got.keyword = ""
		if want.text == "" {
			want.text = text
		}
		if want.kind == kindEmpty || want.kind == kindInsert {
			want.plain = text
		}
		require.Equal(t, want, got, text)
	}
	_, err := readStatement("INSERT INTO t ("+strings.Repeat("a, ", 10), true)
	require.ErrorIs(t, err, errStatementTooLong)
}

// Whatever the text is, reading it ends, keeps within it, and leaves only whole pieces of it.
func FuzzReadStatement(f *testing.F) {
	for _, text := range []string{
		"SELECT 1 FORMAT JSON;", "INSERT INTO t (a, b) SETTINGS x = 'y' FORMAT Native\n\x01\x00", "INSERT INTO t VALUES (1)",
		"/* a */ -- b\n# c\nWITH x AS (SELECT $$ ; $$) SELECT `a``b`, \"c\\\"\", 'd''e' FROM t",
		"CREATE OR REPLACE TEMPORARY",
		"SET dialect = 'x'; SELECT", "(((", "'", "$", "$a$ $b$ $a$", "\xff\xfe", "insert into t format", "INSERT INTO `",
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, more bool) {
		s, err := readStatement(text, more)
		if err != nil {
			return
		}
		require.LessOrEqual(t, s.data, len(text))
		if s.kind == kindInsert {
			require.True(t, strings.HasPrefix(text, s.text))
			require.LessOrEqual(t, len(s.text), s.data)
			again, err := readStatement(s.text, false)
			require.NoError(t, err)
			require.Equal(t, kindInsert, again.kind, "without rows it is the same statement")
			require.Equal(t, s.text, again.text)
		} else {
			require.LessOrEqual(t, len(s.plain), len(text))
			require.Equal(t, text, s.text)
		}
		// The guard's own readers must end, too.
		_ = settingIn(text)
		_ = localSource(text)
		_ = newGuard([]string{"file"}, []string{"File"}).refuse(text, text)
	})
}

// Settings and parameters of a request come from outside.
func FuzzReadRequest(f *testing.F) {
	for _, query := range []string{
		"query=SELECT+1&database=d&max_threads=2", "param_a=1&query=INSERT+INTO+t+FORMAT+CSV&insert_deduplication_token=x",
		"compress=1&decompress=1&network_compression_method=ZSTD&client_protocol_version=54460&default_format=Native",
		"query=SELECT 1&a=%00", "session_id=x", "%zz", "query=", "param_=&=1",
	} {
		f.Add(query, []byte("SELECT 1"), "")
		f.Add(query, []byte("INSERT INTO t FORMAT Native\n\x01\x01"), "gzip")
		f.Add(query, []byte{0x28, 0xb5, 0x2f, 0xfd}, "zstd")
	}
	f.Fuzz(func(t *testing.T, query string, body []byte, encoding string) {
		r, values, ok := testRequest(query, body, encoding)
		if !ok {
			return
		}
		q, err := readRequest(r, values)
		if err != nil {
			require.NotNil(t, asException(err))
			return
		}
		defer q.done()
		for _, s := range q.settings {
			require.NotContains(t, s.value, "\x00")
			require.NotContains(t, notSettings, s.name)
		}
		require.Equal(t, poolKey(q.database, q.settings), poolKey(q.database, q.settings))
		if q.kind == kindInsert {
			require.NotNil(t, q.feed)
			_ = q.feed(func([]byte) error { return nil })
		}
	})
}
