package store_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

func TestMigratingTwiceAppliesEverythingOnce(t *testing.T) {
	t.Parallel()
	s := openEmpty(t)
	known, err := schema.All()
	require.NoError(t, err)

	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(known), status.Pending())
	require.EqualValues(t, 0, number(t, s, "SELECT count() FROM system.tables WHERE database = currentDatabase()"),
		"asking changes nothing")

	applied, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(known), applied)
	applied, err = s.Migrate(t.Context())
	require.NoError(t, err)
	require.Zero(t, applied)

	status, err = s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Zero(t, status.Pending())
	require.Empty(t, status.Newer)
	for _, m := range status.Migrations {
		require.WithinDuration(t, time.Now(), m.Applied, time.Minute)
		require.False(t, m.Edited)
	}
}

func TestConcurrentRunnersMigrateOneDatabase(t *testing.T) {
	t.Parallel()
	dsn := embeddedtest.Database(t)
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() {
			s, err := store.Open(t.Context(), dsn, store.Options{})
			if err == nil {
				_, err = s.Migrate(t.Context())
				s.Close()
			}
			errs[i] = err
		})
	}
	wait.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	defer s.Close()
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Zero(t, status.Pending())
	insert(t, s, "a", events(1, 100))
	requireCounts(t, s, events(1, 100))
}

func TestAnInterruptedMigrationIsCompleted(t *testing.T) {
	t.Parallel()
	s := openEmpty(t)
	known, err := schema.All()
	require.NoError(t, err)
	for _, statement := range known[0].Statements()[:3] {
		require.NoError(t, s.Conn().Exec(t.Context(), statement))
	}
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	insert(t, s, "a", events(1, 100))
	requireCounts(t, s, events(1, 100))
}

func TestAnEditedMigrationIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	require.NoError(t, s.Conn().Exec(t.Context(),
		"INSERT INTO schema_migrations SELECT 1, 'events', 'another', now64(3) SETTINGS async_insert = 0"))
	_, err := s.Migrate(t.Context())
	require.ErrorContains(t, err, "migration 0001_events: database")
	require.ErrorContains(t, err, "another form of this file")
}

func TestANewerDatabaseIsReported(t *testing.T) {
	t.Parallel()
	s := open(t)
	require.NoError(t, s.Conn().Exec(t.Context(),
		"INSERT INTO schema_migrations SELECT 999, 'future', 'x', now64(3) SETTINGS async_insert = 0"))
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"0999_future"}, status.Newer)
	_, err = s.Migrate(t.Context())
	require.NoError(t, err, "what a newer version added does no harm")
}

func TestPrintGivesStatementsThatRun(t *testing.T) {
	t.Parallel()
	text, err := store.Print(schema.Cluster{}, "sockeye")
	require.NoError(t, err)
	require.Contains(t, text, "-- 0001_events sha256:")
	s := openEmpty(t)
	for _, statement := range schema.Statements(text) {
		require.NoError(t, s.Conn().Exec(t.Context(), statement))
	}
	insert(t, s, "a", events(1, 100))
	requireCounts(t, s, events(1, 100))
}

// The constants that writers and queries use are the columns that the migrations make.
func TestConstantsAreTheColumns(t *testing.T) {
	t.Parallel()
	s := open(t)
	tables := map[string][]schema.Column{
		schema.Events: schema.EventColumns(), schema.SourceProgress: schema.ProgressColumns(),
		schema.Chunks: schema.ChunkColumns(),
	}
	for _, tier := range schema.Tiers() {
		tables[tier.Table] = schema.RollupColumns(tier.Table)
	}
	for table, want := range tables {
		rows, err := s.Conn().Query(t.Context(), `SELECT name, type FROM system.columns
			WHERE database = currentDatabase() AND table = ? ORDER BY position`, table)
		require.NoError(t, err)
		var got []schema.Column
		for rows.Next() {
			var c schema.Column
			require.NoError(t, rows.Scan(&c.Name, &c.Type))
			got = append(got, c)
		}
		require.NoError(t, rows.Err())
		require.Equal(t, want, got, table)
	}
}

// Without a window a retry doubles: the engine's default for these tables is 0.
func TestEveryTableRemembersTokens(t *testing.T) {
	t.Parallel()
	s := open(t)
	rows, err := s.Conn().Query(t.Context(), `SELECT name, engine_full FROM system.tables
		WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`)
	require.NoError(t, err)
	tables := 0
	for rows.Next() {
		var name, engine string
		require.NoError(t, rows.Scan(&name, &engine))
		require.Contains(t, engine, "non_replicated_deduplication_window = 100000", name)
		tables++
	}
	require.NoError(t, rows.Err())
	require.GreaterOrEqual(t, tables, 7)

	// And every view writes into one of them: none keeps a table of its own, which would have no window.
	require.Zero(t, number(t, s, `SELECT count() FROM system.tables WHERE database = currentDatabase() AND
		engine = 'MaterializedView' AND NOT match(create_table_query, ' TO ')`))
}

func TestRetentionFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	s := open(t)
	changed, err := s.ApplyRetention(t.Context(), store.DefaultRetention())
	require.NoError(t, err)
	require.Empty(t, changed, "the migrations set the defaults")

	r := store.DefaultRetention()
	r.Events, r.Rollup1m = 36*time.Hour, 0
	changed, err = s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, []string{schema.Events, schema.Chunks, schema.ClientUsage1d}, changed)
	r.Rollup15m = 24 * time.Hour
	changed, err = s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, []string{schema.Rollup15m, schema.Usage1h}, changed, "a side table follows its tier")
	changed, err = s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, changed, "applying it again changes nothing")
	require.EqualValues(t, 1, number(t, s, `SELECT count() FROM system.tables WHERE database = currentDatabase()
		AND name = 'events' AND engine_full LIKE '%TTL toDateTime(counted_at) + toIntervalSecond(129600)%'`))
}

func TestOpenCreatesTheDatabase(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(embeddedtest.Database(t))
	require.NoError(t, err)
	name := strings.Trim(u.Path, "/") + "_created"
	u.Path = "/" + name

	_, err = store.Open(t.Context(), u.String(), store.Options{KeepDatabase: true})
	require.ErrorContains(t, err, `there is no database "`+name+`"; `+"`sockeye store migrate` creates it")

	s, err := store.Open(t.Context(), u.String(), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Conn().Exec(context.Background(), "DROP DATABASE "+name+" SYNC"))
		require.NoError(t, s.Close())
	})
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, s.Database())
}
