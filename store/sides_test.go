package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// checkDays is a range of whole days around everything that events makes.
func checkDays() store.CheckOptions {
	day := base.Truncate(24 * time.Hour)
	return store.CheckOptions{From: day, To: day.Add(48 * time.Hour), Now: day.Add(49 * time.Hour)}
}

// gauge is what an instance says of itself; a negative number is one that it does not know.
func gauge(at time.Time, instance string, active, idle int64) event.Event {
	e := oneEvent(at, instance)
	e.Name = event.Connections
	for key, n := range map[event.Key]int64{event.ConnectionsActive: active, event.ConnectionsIdle: idle} {
		if n >= 0 {
			e.SetInt(key, n)
		}
	}
	return e
}

// openLong returns a store whose tables are, as it says, from before the events of the test.
func openLong(t *testing.T) *store.Store {
	t.Helper()
	s := open(t)
	execute(t, s, "ALTER TABLE schema_migrations UPDATE applied = applied - INTERVAL 2 DAY WHERE true SETTINGS mutations_sync = 1")
	return s
}

// changed is a change of a policy by an operator.
func changed(at time.Time, kind string) event.Event {
	e := oneEvent(at, "a")
	e.Name = event.PolicyChanged
	e.SetString(event.PolicyKind, kind)
	e.SetString(event.PolicyState, "on")
	e.SetString(event.PolicyActor, "loopback")
	return e
}

func TestSideTablesEqualARecountThroughRetriesAndLateEvents(t *testing.T) {
	t.Parallel()
	s := openLong(t)
	for seed := range uint64(3) {
		list := events(seed, 3000)
		for i := range 50 {
			at := base.Add(time.Duration(i) * 5 * time.Second)
			list = append(list, gauge(at, fmt.Sprint("edge-", seed), int64(i), -1), changed(at, event.PolicyIPBlock))
		}
		insert(t, s, fmt.Sprint("chunk ", seed), list)
		insert(t, s, fmt.Sprint("chunk ", seed), list)
	}
	late := events(9, 500)
	insert(t, s, "late", late)
	insert(t, s, "chunk 1", late) // a token that is known: nothing changes, whatever comes with it

	report := check(t, s, checkDays())
	require.Len(t, report.Sides, 6)
	for _, side := range report.Sides {
		require.True(t, side.Equal, "%s: %v", side.Table, side.First)
		require.NotZero(t, number(t, s, "SELECT count() FROM "+side.Table), side.Table)
	}
	require.True(t, report.Equal)
}

func TestASideTableThatDiffersIsNamed(t *testing.T) {
	t.Parallel()
	hour, day := base.Truncate(time.Hour), base.Truncate(24*time.Hour)
	opened := oneEvent(base, "a")
	opened.SetString(event.ClientHash, "p1:k1:00")
	closed := oneEvent(base.Add(time.Second), "a")
	closed.Name = event.Close
	closed.SetDouble(event.ConnectionDuration, 2)
	closed.SetInt(event.IOSent, 10)
	closed.SetString(event.ClientHash, "p1:k1:00")
	list := []event.Event{opened, closed, gauge(base, "a", 7, -1), changed(base, event.PolicyRevocation)}
	const doubled = "INSERT INTO %[1]s SELECT * FROM %[1]s"
	const deleted = "ALTER TABLE %[1]s DELETE WHERE true SETTINGS mutations_sync = 1"
	change := func(set string) string {
		return "ALTER TABLE %[1]s UPDATE " + set + " WHERE true SETTINGS mutations_sync = 1"
	}
	for name, c := range map[string]struct {
		table, tamper string
		bucket        time.Time
		want          []string
	}{
		"a gauge is lost":      {schema.Gauges10s, deleted, base, []string{"active", "missing", "7"}},
		"a gauge was invented": {schema.Gauges10s, change("idle = 0"), base, []string{"idle", "0", "unknown"}},
		"a rate counts twice":  {schema.ConnectionRate, doubled, base, []string{"sent_count", "2", "1"}},
		"a rate is too high": {
			schema.ConnectionRate, change("sent_rate_max = 6"), base, []string{"sent_rate_max", "6", "5"},
		},
		"clients are lost":  {schema.Clients1h, deleted, hour, []string{"clients", "missing", "1"}},
		"usage is doubled":  {schema.Usage1h, doubled, hour, []string{"opened", "2", "1"}},
		"unknown becomes 0": {schema.Usage1h, change("bytes_received = 0"), hour, []string{"bytes_received", "0", "unknown"}},
		"time is lost": {
			schema.Usage1h, change("connection_milliseconds = 1"), hour, []string{"connection_milliseconds", "1", "2000"},
		},
		"a client is lost":         {schema.ClientUsage1d, deleted, day, []string{"closed", "missing", "1"}},
		"a client is too loud":     {schema.ClientUsage1d, change("message_bytes = 7"), day, []string{"message_bytes", "7", "0"}},
		"a revocation was removed": {schema.Audit, deleted, hour, []string{"events", "missing", "1"}},
		"an operator was removed":  {schema.Audit, change("actor = ''"), hour, []string{"actors", "['']", "['loopback']"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openLong(t)
			insert(t, s, "chunk", list)
			require.True(t, check(t, s, checkDays()).Equal)
			execute(t, s, fmt.Sprintf(c.tamper, c.table))
			report := check(t, s, checkDays())
			require.False(t, report.Equal)
			for _, side := range report.Sides {
				if side.Table != c.table {
					require.True(t, side.Equal, "%s: %v", side.Table, side.First)
					continue
				}
				require.NotNil(t, side.First)
				require.Equal(t, c.bucket, side.First.Bucket)
				require.Equal(t, c.want, []string{side.First.Measure, side.First.Stored, side.First.Recounted})
				require.Contains(t, side.First.Dimensions, store.Dimension{Name: "service", Value: "chat"})
			}
		})
	}
}

// What no source said stays unknown, in the tables that the recount above compares with themselves.
func TestSideTablesHoldWhatWasSaid(t *testing.T) {
	t.Parallel()
	s := open(t)
	var list []event.Event
	for i := range 100 {
		at := base.Add(time.Duration(i) * 100 * time.Millisecond)
		opened, closed, message := oneEvent(at, "a"), oneEvent(at, "a"), oneEvent(at, "a")
		opened.SetString(event.ClientHash, fmt.Sprint("p1:k1:", i%10))
		closed.Name = event.Close
		closed.SetDouble(event.ConnectionDuration, 2)
		closed.SetInt(event.IOSent, int64(i)*2)
		message.Name = event.Message
		message.SetInt(event.MessageCount, 3)
		message.SetInt(event.MessageSize, 30)
		message.SetString(event.Direction, event.DirectionReceive)
		closed.SetString(event.ClientHash, fmt.Sprint("p1:k1:", i%10))
		message.SetString(event.ClientAddress, "203.0.113.0")
		list = append(list, opened, closed)
		if i < 20 {
			list = append(list, message)
		}
	}
	list = append(list, gauge(base, "a", 7, -1), gauge(base.Add(9*time.Second), "a", 5, 0))
	insert(t, s, "all", list)
	text := func(query string) string {
		var row string
		require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT toString(("+query+"))").Scan(&row))
		return row
	}
	require.Equal(t, "(7,0,NULL,NULL)",
		text("SELECT max(active), max(idle), max(capacity), max(memory_bytes) FROM gauges_10s"))
	require.Equal(t, "10", text("SELECT uniqMerge(clients) FROM clients_1h"))
	require.Equal(t, "(100,100,200000,NULL,9900,60,600)", text("SELECT sum(opened), sum(closed),"+
		" sum(connection_milliseconds), sum(bytes_received), sum(bytes_sent), sum(messages), sum(message_bytes)"+
		" FROM usage_1h WHERE tenant = 'o''hara'"))
	const ofClients = "SELECT arraySort(groupArray((c, o, ob, r, s, b))) FROM (SELECT client AS c, sum(closed) AS o, sum(closed_bytes) AS ob," +
		" sum(messages_received) AS r, sum(messages_sent) AS s, sum(message_bytes) AS b FROM client_usage_1d GROUP BY c"
	require.Equal(t, "[('203.0.113.0',0,0,60,0,600)]", text(ofClients+" HAVING c LIKE '203.%')"))
	require.Equal(t, "[('p1:k1:7',10,1040,0,0,0)]", text(ofClients+" HAVING c = 'p1:k1:7')"))
	require.Equal(t, "(0,100,NULL,99)", text("SELECT sum(received_count), sum(sent_count), max(received_rate_max),"+
		" max(sent_rate_max) FROM connection_rate_1m"))
	// 1 % of the true rates 49.5, 94 and 98, or of their neighbours.
	require.Equal(t, "1", text("SELECT arrayAll((got, want) -> abs(got / want - 1) < 0.03,"+
		" quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(sent_rate), [49.5, 94, 98]) FROM connection_rate_1m"))
}

// A view that fails leaves a side table behind; the retry completes it.
func TestARetryCompletesWhatASideTableMissed(t *testing.T) {
	t.Parallel()
	s := open(t)
	list := slices.Concat(events(3, 200), []event.Event{gauge(base, "a", 7, -1)})
	tables := []string{schema.Gauges10s, schema.Clients1h, schema.ConnectionRate, schema.Usage1h, schema.ClientUsage1d}
	for _, table := range tables {
		execute(t, s, "ALTER TABLE "+table+" ADD CONSTRAINT never CHECK service = 'none'")
		err := s.InsertChunk(t.Context(), "a", rowsOf(list))
		require.Error(t, err)
		require.True(t, strings.Contains(err.Error(), "code 469"), err)
		require.Zero(t, number(t, s, "SELECT count() FROM "+table))
		execute(t, s, "ALTER TABLE "+table+" DROP CONSTRAINT never")
	}
	insert(t, s, "a", list)
	report := check(t, s, checkDays())
	require.True(t, report.Equal, "%+v", report)
}
