package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/query"
)

func TestAQueryThatCannotBeAskedSaysWhy(t *testing.T) {
	t.Parallel()
	address := testenv.Address(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no name":                {nil, "query: needs one name; `sockeye query --help` lists them"},
		"an unknown name":        {[]string{"disconnect"}, `query "disconnect": there is none of that name, did you mean disconnects?; `},
		"a client is needed":     {[]string{"client"}, "--client: query client needs it: pseudonym"},
		"a flag without meaning": {[]string{"traffic", "--tenant", "acme"}, "--tenant: query traffic does not ask for it"},
		"a time that is none":    {[]string{"traffic", "--since", "yesterday"}, `--since: "yesterday" is neither a time`},
		"a time to come":         {[]string{"traffic", "--until", "-1h"}, `--until: "-1h" is neither a time`},
		"no rows":                {[]string{"traffic", "--limit", "0"}, "--limit: must be from 1 to 100000, got 0"},
		"an unknown form":        {[]string{"traffic", "--output", "xml"}, `--output: must be table, json or csv, got "xml"`},
		"no engine": {
			[]string{"traffic", "--endpoint", "http://ann:hunter2@" + address},
			"clickhouse at " + address + ": connection refused; is it running, and is this its address?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs, code := sockeye(t, append([]string{"query"}, c.args...)...)
			require.Equal(t, 1, code)
			require.Contains(t, errs, c.want)
			require.NotContains(t, errs, "hunter2")
		})
	}
}

func TestTheSQLOfAQueryIsPrinted(t *testing.T) {
	t.Parallel()
	out, _, code := sockeye(t, "query", "client", "--print")
	require.Zero(t, code)
	require.Contains(t, out, "-- What did this client do?\n")
	require.Contains(t, out, "{client:String}")
}

func TestMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"0s": "2026-11-22T12:00:00Z", "15m": "2026-11-22T11:45:00Z", "7d": "2026-11-15T12:00:00Z",
		"2026-11-01T01:00:00+01:00": "2026-11-01T00:00:00Z",
	} {
		got, err := moment(text, now)
		require.NoError(t, err)
		require.Equal(t, want, got.UTC().Format(time.RFC3339), text)
	}
}

func TestAnAnswerInEveryForm(t *testing.T) {
	t.Parallel()
	five := int32(5)
	a := &query.Answer{Columns: []string{"who", "n", "when", "reasons", "share"}, Rows: [][]any{
		{"a,\x1b[31m", five, time.Date(2026, 11, 22, 12, 0, 0, 5e8, time.UTC), []string{"x", "y"}, 0.25},
		{"", nil, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), []string{}, nil},
	}}
	var table, csv, json bytes.Buffer
	require.NoError(t, writeTable(&table, a))
	require.NoError(t, writeCSV(&csv, a))
	require.NoError(t, writeRows(&json, a))
	require.Equal(t, "WHO      N  WHEN                    REASONS  SHARE\n"+
		"a,?[31m  5  2026-11-22T12:00:00.5Z  x y      0.25\n"+
		"-        -  2026-11-22T12:00:00Z             -\n", table.String())
	require.Equal(t, "who,n,when,reasons,share\n\"a,\x1b[31m\",5,2026-11-22T12:00:00.5Z,x y,0.25\n,,2026-11-22T12:00:00Z,,\n", csv.String())
	require.Equal(t, `{"who":"a,\u001b[31m","n":5,"when":"2026-11-22T12:00:00.5Z","reasons":["x","y"],"share":0.25}`+"\n"+
		`{"who":"","n":null,"when":"2026-11-22T12:00:00Z","reasons":[],"share":null}`+"\n", json.String())
}
