package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestStoreCommand(t *testing.T) {
	dsn := embeddedtest.Database(t)
	t.Cleanup(embeddedtest.StopShared)
	sockeye := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = run(t.Context(), args, &out, &errs)
		return code, out.String(), errs.String()
	}

	code, out, errs := sockeye("store", "status", "--endpoint", dsn)
	require.Equal(t, 1, code)
	require.Regexp(t, `0001_events +pending +-`, out)
	require.Contains(t, errs, "run `sockeye store migrate`")

	code, out, errs = sockeye("store", "migrate", "--endpoint", dsn)
	require.Zero(t, code, errs)
	require.Regexp(t, `[1-9] migrations applied`, out)

	code, out, errs = sockeye("store", "status", "--endpoint", dsn, "--output", "json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"migration": "0001_events"`)
	require.NotContains(t, out, "pending")

	embeddedtest.Exec(t, dsn, "ALTER TABLE events ADD COLUMN team String DEFAULT 'none'")
	code, out, errs = sockeye("store", "status", "--endpoint", dsn)
	require.Zero(t, code, errs)
	require.Regexp(t, `\nserver: \d+\.\d+\.\d+\n`, out)
	require.Contains(t, out, "events.team: a column of your own, which is left alone")
	embeddedtest.Exec(t, dsn, "DROP TABLE chunks_view SYNC")
	code, out, errs = sockeye("store", "status", "--endpoint", dsn)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "table chunks_view: is missing")
	require.Contains(t, out, "FROM events AS e\nGROUP BY chunk_id;\n", "the statement in full")

	code, out, _ = sockeye("store", "print")
	require.Zero(t, code)
	require.Contains(t, out, "CREATE TABLE IF NOT EXISTS events")

	code, out, _ = sockeye("store", "print", "--cluster", "c", "--database", "d", "--storage-policy", "tiers", "--cluster-path", "/p/{uuid}/{shard}")
	require.Zero(t, code)
	require.Contains(t, out, "CREATE TABLE IF NOT EXISTS `d`.events_local ON CLUSTER 'c'")
	require.Contains(t, out, "ReplicatedMergeTree('/p/{uuid}/{shard}', '{replica}')")
	require.Contains(t, out, "storage_policy = 'tiers'")

	code, _, errs = sockeye("store", "migrate", "--endpoint", dsn, "--cluster", "c")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `was made for one server, not for cluster "c"`)

	address := testenv.Address(t)
	code, _, errs = sockeye("store", "migrate", "--endpoint", "http://ann:hunter2@"+address)
	require.Equal(t, 1, code)
	require.Equal(t, "sockeye: connect: clickhouse at "+address+
		": connection refused; is it running, and is this its address?\n", errs)
}
