package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// firstRelease is the last migration of the first release.
const firstRelease = 8

// A database of the first release, with rows in it, becomes that of this one, and counts what was in it and what comes.
func TestADatabaseOfTheFirstReleaseIsUpgraded(t *testing.T) {
	t.Parallel()
	s := openEmpty(t)
	known, err := schema.All()
	require.NoError(t, err)
	exec := func(statement string) { require.NoError(t, s.Conn().Exec(t.Context(), statement), statement) }
	exec(`CREATE TABLE schema_migrations (number UInt32, name String, checksum String, applied DateTime64(3, 'UTC'))
		ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 100000`)
	for _, m := range known[:firstRelease] {
		for _, statement := range m.Statements() {
			exec(statement)
		}
		exec(fmt.Sprintf("INSERT INTO schema_migrations SELECT %d, '%s', '%s', now64(3) - 60", m.Number, m.Name, m.Checksum()))
	}
	at := time.Now().UTC().Truncate(time.Hour)
	resource := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	some := func(at time.Time) *store.Rows {
		rows := new(store.Rows)
		for _, name := range []event.Name{event.Open, event.Message, event.Close, event.PolicyChanged} {
			e := event.Event{Name: name, Time: at, Observed: at, Resource: resource}
			e.SetInt(event.MessageCount, 40)
			rows.Append(&e)
		}
		return rows
	}
	insert := func(token string, at time.Time) { require.NoError(t, s.InsertChunk(t.Context(), token, some(at))) }
	insert("before", at.Add(-25*time.Hour))
	insert("sent twice", at.Add(-3*time.Hour))

	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Drifts, "an older database is as its migrations made it")
	require.Equal(t, len(known)-firstRelease, status.Pending())
	applied, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(known)-firstRelease, applied)
	status, err = s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.NoError(t, status.Fault(s.Database()))

	insert("sent twice", at.Add(-3*time.Hour))
	insert("after", at.Add(2*time.Hour))
	report, err := s.Check(t.Context(), store.CheckOptions{From: at.Add(-50 * time.Hour), To: at.Add(3 * time.Hour),
		Now: at.Add(4 * time.Hour)})
	require.NoError(t, err)
	require.True(t, report.Equal, "%+v", report)
	require.EqualValues(t, 12, report.Events)
	require.EqualValues(t, 120, number(t, s, "SELECT sum(count) FROM rollup_15m WHERE event = 'websocket.message'"))
	// What was sent again reaches the view that is new.
	require.EqualValues(t, 2, number(t, s, "SELECT count() FROM audit"))
	require.EqualValues(t, 2, number(t, s, "SELECT uniqExact(chunk_id) FROM audit"))
	for _, side := range report.Sides {
		require.True(t, side.From.Before(report.To), "%s is compared", side.Table)
	}
}
