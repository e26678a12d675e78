package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestStoreCheck(t *testing.T) {
	dsn := embeddedtest.Database(t)
	t.Cleanup(embeddedtest.StopShared)
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	_, errs, status := sockeye(t, "store", "check", "--endpoint", dsn)
	require.Equal(t, 2, status, "there are no tables")
	require.Contains(t, errs, "run `sockeye store migrate`")

	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	at := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	e := event.Event{Name: event.Open, Time: at, Observed: at, Resource: event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("chat")})}
	rows := new(store.Rows)
	rows.Append(&e)
	require.NoError(t, s.InsertChunk(t.Context(), "chunk", rows))

	args := []string{"store", "check", "--endpoint", dsn,
		"--from", at.Format(time.RFC3339), "--to", at.Add(time.Minute).Format(time.RFC3339)}
	out, errs, status := sockeye(t, args...)
	require.Zero(t, status, errs)
	begin, end := at.Format(time.RFC3339), at.Add(15*time.Minute).Format(time.RFC3339)
	require.Equal(t, begin+" to "+end+": 1 events; 1 chunks lie wholly in the range\n"+
		"rollup_10s: equal\nrollup_1m: equal\nrollup_15m: equal\ngauges_10s: equal\nconnection_rate_1m: equal\n"+
		"clients_1h: not compared, no bucket of it lies in the range\n"+
		"usage_1h: not compared, no bucket of it lies in the range\n"+
		"client_usage_1d: not compared, no bucket of it lies in the range\n"+
		"audit: not compared, no bucket of it lies in the range\nchunks: equal\n"+
		"not looked at: traces, payload_samples, dead_letters\n", out)

	require.NoError(t, s.Conn().Exec(t.Context(), "INSERT INTO rollup_1m SELECT * FROM rollup_1m"))
	out, errs, status = sockeye(t, args...)
	require.Equal(t, 1, status)
	require.Contains(t, out, "rollup_10s: equal\nrollup_1m: differs first in bucket "+begin+
		` service="chat" event="websocket.open" outcome="success": count is 2, the events give 1`+"\nrollup_15m: equal\n")
	require.Equal(t,
		"sockeye: a tier differs from the events; `sockeye store check --repair` rebuilds it from them\n", errs)

	_, errs, status = sockeye(t, append(args, "--cluster", "c")...)
	require.Equal(t, 2, status)
	require.Contains(t, errs, `was made for one server, not for cluster "c"`)

	out, _, status = sockeye(t, append(args, "--output", "json")...)
	require.Equal(t, 1, status)
	var report store.CheckReport
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, "count", report.Tiers[1].First.Measure)
	require.Equal(t, "2", report.Tiers[1].First.Stored)

	out, errs, status = sockeye(t, append(args, "--repair")...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "rollup_1m: repaired 1 keys, equal\n")

	whole := []string{"store", "check", "--endpoint", dsn, "--from", begin, "--to", at.Add(time.Hour).Format(time.RFC3339)}
	require.NoError(t, s.Conn().Exec(t.Context(), "INSERT INTO usage_1h SELECT * FROM usage_1h"))
	out, errs, status = sockeye(t, whole...)
	require.Equal(t, 1, status)
	require.Contains(t, out, "usage_1h: differs first in bucket "+begin+` service="chat": opened is 2, the events give 1`)
	require.Equal(t, "sockeye: a side table differs from the events; a repair does not correct it\n", errs)

	require.NoError(t, s.Conn().Exec(t.Context(), "TRUNCATE TABLE events"))
	out, errs, status = sockeye(t, append(args, "--repair")...)
	require.Equal(t, 1, status)
	require.Contains(t, out, `chunks: differ first in chunk "chunk" up to `+begin+": it held 1 events, 0 are stored")
	require.Equal(t, "sockeye: events are not those that were inserted; no repair brings back an event\n", errs)
}

func TestStoreCheckThatCannotBeDone(t *testing.T) {
	address := testenv.Address(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no engine": {[]string{"--endpoint", "http://ann:hunter2@" + address},
			"connect: clickhouse at " + address + ": connection refused; is it running, and is this its address?"},
		"every faulty flag": {[]string{"--from", "yesterday", "--to", "now", "--output", "xml", "--ignore-silent"},
			`--from: write it like 2026-11-20T14:00:00Z, got "yesterday"` + "\n" +
				`--to: write it like 2026-11-20T14:00:00Z, got "now"` + "\n" + `--output: must be text or json, got "xml"` + "\n" +
				"--ignore-silent: only a repair waits for silent sources; add --repair"},
		"unknown flag": {[]string{"--x"}, "unknown flag: --x; see `sockeye store check --help`"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, status := sockeye(t, append([]string{"store", "check"}, c.args...)...)
			require.Equal(t, 2, status)
			require.Empty(t, out)
			require.Equal(t, fmt.Sprintf("sockeye: %s\n", c.want), errs)
		})
	}
}
