package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

func TestWhatMigrationsMakeIsWhatIsExpected(t *testing.T) {
	t.Parallel()
	s := open(t)
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Drifts)
	require.Empty(t, status.Own)
	require.NoError(t, status.Fault("x"))

	// Every table and column that there is is expected.
	migrations, err := schema.All()
	require.NoError(t, err)
	tables, err := schema.Tables(migrations)
	require.NoError(t, err)
	columns := 0
	for _, table := range tables {
		columns += len(table.Columns)
	}
	require.EqualValues(t, len(tables), number(t, s,
		"SELECT count() FROM system.tables WHERE database = currentDatabase() AND name != 'schema_migrations'"))
	require.EqualValues(t, columns, number(t, s, `SELECT count() FROM system.columns WHERE database = currentDatabase()
		AND table NOT IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View')
		AND table != 'schema_migrations'`))
}

func TestDriftIsNamedWithWhatMendsIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ spoil, want string }{
		"a column has another type": {
			"ALTER TABLE events MODIFY COLUMN status UInt32",
			"table events, column status: is UInt32; expected UInt16; mend it by: ALTER TABLE events MODIFY COLUMN status UInt16",
		},
		"a column is missing": {
			"ALTER TABLE rollup_1m DROP COLUMN bytes",
			"table rollup_1m, column bytes: is missing, or may not be seen by this user; expected SimpleAggregateFunction(sum, UInt64); " +
				"mend it by: ALTER TABLE rollup_1m ADD COLUMN bytes SimpleAggregateFunction(sum, UInt64) AFTER count",
		},
		"a column of a later migration has another type": {
			"ALTER TABLE slo_status MODIFY COLUMN budget_window String",
			"table slo_status, column budget_window: is String; expected LowCardinality(String); " +
				"mend it by: ALTER TABLE slo_status MODIFY COLUMN budget_window LowCardinality(String)",
		},
		"a view is missing": {
			"DROP TABLE chunks_view",
			"table chunks_view: is missing, or may not be seen by this user; expected MaterializedView; " +
				"mend it by: CREATE MATERIALIZED VIEW IF NOT EXISTS chunks_view TO chunks AS …",
		},
		"a table is missing": {
			"DROP TABLE dead_letters",
			"table dead_letters: is missing, or may not be seen by this user; expected ReplacingMergeTree; " +
				"mend it by: CREATE TABLE IF NOT EXISTS dead_letters …",
		},
		"the window of tokens is missing": {
			"ALTER TABLE events RESET SETTING non_replicated_deduplication_window",
			"table events: is without non_replicated_deduplication_window; expected non_replicated_deduplication_window, or a chunk that is " +
				"sent again counts twice; mend it by: ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 100000",
		},
		"the window of tokens is nothing": {
			"ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 0",
			"table events: is without non_replicated_deduplication_window; expected non_replicated_deduplication_window, or a chunk that is " +
				"sent again counts twice; mend it by: ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 100000",
		},
		"a table has another engine": {
			"DROP TABLE tenants; CREATE TABLE tenants (service LowCardinality(String), tenant String, " +
				"admitted_at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY (service, tenant)",
			"table tenants: is MergeTree; expected AggregatingMergeTree; mend it by: RENAME TABLE tenants TO tenants_old; " +
				"CREATE TABLE IF NOT EXISTS tenants …",
		},
		"a table has other keys": {
			"DROP TABLE source_progress; CREATE TABLE source_progress (source String, read_through DateTime64(9, 'UTC'), backlog UInt64, " +
				"wall DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree ORDER BY (source, wall) SETTINGS non_replicated_deduplication_window = 1",
			"table source_progress: is ORDER BY source, wall; expected ORDER BY source; mend it by: RENAME TABLE source_progress TO " +
				"source_progress_old; CREATE TABLE IF NOT EXISTS source_progress …",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			for _, statement := range schema.Statements(tt.spoil) {
				require.NoError(t, s.Conn().Exec(t.Context(), statement))
			}
			status, err := s.MigrationStatus(t.Context())
			require.NoError(t, err)
			require.Len(t, status.Drifts, 1)
			require.Equal(t, tt.want, status.Drifts[0].String())
			_, err = s.Migrate(t.Context())
			require.ErrorContains(t, err, "its tables are not as this version made them; `sockeye store status` has the statements in full\n"+
				tt.want)
			if status.Drifts[0].Anew {
				table := status.Drifts[0].Table
				require.NoError(t, s.Conn().Exec(t.Context(), "RENAME TABLE "+table+" TO "+table+"_old"))
			}
			require.NoError(t, s.Conn().Exec(t.Context(), status.Drifts[0].Remedy))
			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			insert(t, s, "one", events(1, 10))
			requireCounts(t, s, events(1, 10))
		})
	}
}

// What an administrator may tune is no drift: a collector that does not start for it would be an outage.
func TestWhatIsTunedIsNoDrift(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, statement := range []string{
		"ALTER TABLE events MODIFY COLUMN service LowCardinality(String) CODEC(ZSTD(3))",
		"ALTER TABLE events COMMENT COLUMN service 'who sent it'",
		"ALTER TABLE events MODIFY COLUMN environment DEFAULT 'prod'",
		"ALTER TABLE events ADD INDEX mine url_path TYPE bloom_filter GRANULARITY 1",
		"ALTER TABLE events DROP INDEX client_hash_index",
		"ALTER TABLE events ADD CONSTRAINT mine CHECK service != 'x'",
		"ALTER TABLE events MODIFY COLUMN service COMMENT 'x'",
		"ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 5, merge_with_ttl_timeout = 60",
		"ALTER TABLE events MODIFY TTL toDateTime(counted_at) + INTERVAL 3 DAY",
		"ALTER TABLE rollup_1m REMOVE TTL", "ALTER TABLE events MODIFY COMMENT 'all events'",
		"ALTER TABLE events ADD COLUMN team LowCardinality(String), MODIFY ORDER BY (%s, team)",
	} {
		if strings.Contains(statement, "%s") {
			var key string
			require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT sorting_key FROM system.tables "+
				"WHERE database = currentDatabase() AND name = 'events'").Scan(&key))
			statement = strings.Replace(statement, "%s", key, 1)
		}
		require.NoError(t, s.Conn().Exec(t.Context(), statement), statement)
	}
	r := store.DefaultRetention()
	r.Tenants = map[string]time.Duration{"o'hare, (x) SETTINGS": time.Hour}
	_, err := s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	insert(t, s, "one", events(1, 10))
	requireCounts(t, s, events(1, 10))
}

func TestColumnsOfOnesOwnAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, statement := range []string{
		"ALTER TABLE events ADD COLUMN team LowCardinality(String) DEFAULT 'none' AFTER time",
		"ALTER TABLE traces ADD COLUMN plain UInt8",
		"CREATE TABLE mine (x UInt8) ENGINE = Memory",
	} {
		require.NoError(t, s.Conn().Exec(t.Context(), statement))
	}
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Drifts)
	require.Equal(t, []string{"events.team", "traces.plain"}, status.Own)
	insert(t, s, "one", events(1, 10))
	require.EqualValues(t, 10, number(t, s, "SELECT countIf(team = 'none') FROM events"))
}

func TestOnlyAFewDriftsAreNamed(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, table := range []string{"rollup_10s", "rollup_1m", "rollup_15m", "chunks", "usage_1h", "clients_1h", "gauges_10s"} {
		require.NoError(t, s.Conn().Exec(t.Context(), "DROP TABLE "+table+"_view"))
	}
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	lines := strings.Split(status.Fault("x").Error(), "\n")
	require.Len(t, lines, 7)
	require.Equal(t, "and 2 more", lines[6])
}

// old is a connection to a server that says it is older.
type old struct {
	driver.Conn
	major, minor uint64
}

func (o old) ServerVersion() (*driver.ServerVersion, error) {
	return &driver.ServerVersion{Version: proto.Version{Major: o.major, Minor: o.minor}}, nil
}

func TestAnOldServerIsRefused(t *testing.T) {
	t.Parallel()
	s := openEmpty(t)
	for _, o := range []old{{s.Conn(), 23, 12}, {s.Conn(), 24, 6}} {
		_, err := s.WithConn(o).Migrate(context.Background())
		require.ErrorContains(t, err, "and 24.7 or newer is needed: in older ones a chunk that is sent again may count twice")
		_, err = s.WithConn(o).MigrationStatus(context.Background())
		require.ErrorContains(t, err, "is version "+map[uint64]string{23: "23.12", 24: "24.6"}[o.major])
	}
	require.Zero(t, number(t, s, "SELECT count() FROM system.tables WHERE database = currentDatabase()"))
	for _, o := range []old{{s.Conn(), 24, 7}, {s.Conn(), 25, 1}} {
		_, err := s.WithConn(o).Migrate(context.Background())
		require.NoError(t, err)
	}
}
