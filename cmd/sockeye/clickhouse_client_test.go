package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestAResultWithoutRowsIsToldFromAFailure(t *testing.T) {
	at, err := url.Parse(embeddedtest.Database(t))
	require.NoError(t, err)
	t.Cleanup(embeddedtest.StopShared)
	const note = "done; there are no rows to show\n"
	for name, c := range map[string]struct {
		sql, output string
		out, errs   string
	}{
		"a table says so":                {"SELECT 1 AS n WHERE 0", "table", "", note},
		"so does what has no result":     {"CREATE TABLE made (n UInt8) ENGINE = Memory", "table", "", note},
		"csv has its first line":         {"SELECT 1 AS n WHERE 0", "csv", "\"n\"\n", ""},
		"json is as many lines as rows":  {"SELECT 1 AS n WHERE 0", "json", "", ""},
		"nothing is said beside a row":   {"SELECT 1 AS n", "json", "{\"n\":1}\n", ""},
		"nothing is said beside a table": {"SELECT 1 AS n FORMAT TSV", "table", "1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, status := sockeye(t, "clickhouse", "query", c.sql, "--output", c.output, "--address", at.Host,
				"--database", strings.Trim(at.Path, "/"))
			require.Zero(t, status, errs)
			require.Equal(t, c.out, out)
			require.Equal(t, c.errs, errs)
		})
	}
}
