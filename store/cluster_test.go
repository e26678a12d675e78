package store_test

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/query"
	"github.com/sockeye-project/sockeye/store/schema"
)

var testCluster = schema.Cluster{Name: "sockeye", StoragePolicy: "tiers"}

func TestTheStatementsOfAClusterStayAsTheyAre(t *testing.T) {
	t.Parallel()
	text, err := store.Print(testCluster, "sockeye")
	require.NoError(t, err)
	golden.Assert(t, "testdata/cluster.sql", []byte(text))

	_, err = store.Print(schema.Cluster{Name: "'"}, "sockeye")
	require.EqualError(t, err, "cluster: name: use letters, digits, _, . and -")
	_, err = store.Print(testCluster, "a`b")
	require.ErrorContains(t, err, "database: use letters")
}

// The engine's parser takes them. It cannot run them for lack of Keeper, and its guard refuses some of them; as a value they
// are parsed all the same.
func TestTheEngineParsesTheStatementsOfACluster(t *testing.T) {
	t.Parallel()
	s := openEmpty(t)
	text, err := store.Print(testCluster, "sockeye")
	require.NoError(t, err)
	statements := append(schema.Statements(text),
		testCluster.Alter("sockeye", schema.Events)+" MODIFY TTL toDateTime(counted_at) + toIntervalDay(3)",
		"CREATE DATABASE IF NOT EXISTS `sockeye`"+testCluster.OnCluster())
	for _, statement := range statements {
		var formatted string
		require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT formatQuery(?)", statement).Scan(&formatted), statement)
		require.Equal(t, strings.Contains(statement, "ON CLUSTER 'sockeye'"), strings.Contains(formatted, "ON CLUSTER"))
	}
	require.Error(t, s.Conn().Exec(t.Context(), "SELECT formatQuery('CREATE TABLE t ON CLUSTER ENGINE =')"))
	require.EqualValues(t, 1, number(t, s, "SELECT 1 SETTINGS distributed_ddl_output_mode = 'none_only_active'"))
}

var (
	replicated  = regexp.MustCompile(`Replicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?`)
	distributed = regexp.MustCompile(`ENGINE = Distributed\('sockeye', '\w+', '(\w+)'\)`)
	window      = regexp.MustCompile(`, replicated_deduplication_window = `)
)

// openShards makes two databases that look as two shards do to whoever uses them. What Keeper and other hosts are needed
// for is left out: tables are not replicated, and Merge stands for Distributed.
func openShards(t *testing.T) (shards [2]*store.Store, dsn string) {
	t.Helper()
	var names [2]string
	var dsns [2]string
	for i := range shards {
		dsns[i] = embeddedtest.Database(t)
		u, err := url.Parse(dsns[i])
		require.NoError(t, err)
		names[i] = strings.Trim(u.Path, "/")
		shards[i], err = store.Open(t.Context(), dsns[i], store.Options{Cluster: schema.Cluster{Name: "sockeye"}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, shards[i].Close()) })
	}
	for i, s := range shards {
		for _, statement := range shardStatements(t, names[i], names[:]) {
			execute(t, s, statement)
		}
	}
	return shards, dsns[0]
}

// shardStatements makes the tables of the shard that a database stands for.
func shardStatements(t *testing.T, database string, all []string) []string {
	t.Helper()
	text, err := store.Print(schema.Cluster{Name: "sockeye"}, database)
	require.NoError(t, err)
	text = strings.ReplaceAll(text, " ON CLUSTER 'sockeye'", "")
	text = replicated.ReplaceAllString(text, "$1(")
	text = window.ReplaceAllString(text, "$0 100000, non_replicated_deduplication_window = ")
	text = distributed.ReplaceAllString(text, fmt.Sprintf("ENGINE = Merge(REGEXP('^(%s)$$'), '^$1$$')", strings.Join(all, "|")))
	require.NotContains(t, text, "Replicated")
	require.NotContains(t, text, "Distributed")
	return schema.Statements(text)
}

// What every reader says works on a cluster as it stands, and sees all shards.
func TestReadersSeeAllShardsUnderTheSameNames(t *testing.T) {
	t.Parallel()
	shards, dsn := openShards(t)
	list := events(1, 400)
	for i, s := range shards {
		half := list[i*200 : (i+1)*200]
		for range 2 {
			insert(t, s, fmt.Sprint("chunk", i), half)
		}
		require.EqualValues(t, 200, number(t, s, "SELECT count() FROM events_local"), "a repetition changes nothing")
	}
	for _, s := range shards {
		requireCounts(t, s, list)
		requireEqualTiers(t, s)
		require.EqualValues(t, number(t, s, "SELECT uniqExact(service, connection_id, vantage) FROM events WHERE connection_id != ''"+
			" AND event NOT IN ('websocket.handshake.start', 'websocket.handshake.rejected', 'websocket.message', 'websocket.frame', 'websocket.ping')"),
			number(t, s, "SELECT count() FROM connections"), "a connection is one row, on whichever shards its events are")
	}

	// A reader knows of no cluster.
	reader, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	defer reader.Close()
	for _, q := range query.All() {
		values := map[string]string{}
		for _, p := range query.Parameters() {
			if q.Has(p.Name) {
				values[p.Name] = map[string]string{
					query.Since: "2026-01-01 00:00:00", query.Until: "2027-01-01 00:00:00", query.At: "2026-11-01 00:00:00", query.Limit: "10",
					query.Declared: "['a/*']", query.Client: "c", query.Connection: "c",
				}[p.Name]
			}
		}
		_, err := q.Run(t.Context(), reader.Conn(), values)
		require.NoError(t, err, q.Name)
	}

	execute(t, shards[1], "INSERT INTO rollup_1m_local (bucket, count) VALUES (?, 1)", base.Truncate(time.Minute))
	report := check(t, shards[0], checkAll())
	require.False(t, report.Equal, "a difference on one shard is seen from another")
	o := checkAll()
	o.Repair = true
	_, err = shards[0].Check(t.Context(), o)
	require.ErrorContains(t, err, "repair: not on a cluster")

	require.NoError(t, shards[0].InsertProgress(t.Context(), []store.Progress{{Source: "a", ReadThrough: base, Wall: base}}))
	require.EqualValues(t, 1, number(t, reader, "SELECT count() FROM source_progress FINAL"))
}

// A chunk's token is forgotten by age too.
func TestOnAClusterAChunkIsStoredLongAgoAfterHalfOfWhatTokensAreKept(t *testing.T) {
	t.Parallel()
	shards, _ := openShards(t)
	s := shards[0]
	insert(t, s, "a", events(1, 10))
	long, err := s.StoredLongAgo(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, long)
	long, err = shards[1].StoredLongAgo(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, long, "another shard knows nothing of it")
	execute(t, s, "INSERT INTO chunks_local SELECT 'b', 1, now64(3), now64(3), now64(3) - INTERVAL ? SECOND",
		int(schema.TokensKept/time.Second)/2+60)
	long, err = s.StoredLongAgo(t.Context(), "b")
	require.NoError(t, err)
	require.True(t, long)
}

func TestTheLayoutOfADatabaseIsNotMistaken(t *testing.T) {
	t.Parallel()
	dsn := embeddedtest.Database(t)
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	cluster, err := store.Open(t.Context(), dsn, store.Options{Cluster: schema.Cluster{Name: "sockeye"}})
	require.NoError(t, err)
	defer cluster.Close()
	_, err = cluster.Migrate(t.Context())
	require.ErrorContains(t, err, `was made for one server, not for cluster "sockeye"; name another database`)
	_, err = cluster.MigrationStatus(t.Context())
	require.ErrorContains(t, err, "was made for one server")

	_, dsn = openShards(t)
	server, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	defer server.Close()
	_, err = server.Migrate(t.Context())
	require.ErrorContains(t, err, "was made for a cluster; name it by cluster")
	_, err = server.MigrationStatus(t.Context())
	require.ErrorContains(t, err, "was made for a cluster")
	_, err = server.Check(t.Context(), checkAll())
	require.ErrorContains(t, err, "was made for a cluster")
}

func TestHostsThatStandInForEachOther(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"http://a:8123/x", "http://b:8123/x"}, store.Hosts("http://a:8123/x, http://b:8123/x"))
	require.Equal(t, []string{"http://u:p,w@a/x", "tcp://b"}, store.Hosts("http://u:p,w@a/x,tcp://b"))
	for dsn, want := range map[string]string{
		"http://a:8123/x,http://b:8123/x":          "",
		"http://a:8123/x,http://b:8123/y":          "endpoint: hosts that stand in for each other differ in more than host and port",
		"http://a:8123/x,clickhouse://b:9000/x":    "endpoint: hosts that stand in for each other differ in more than host and port",
		"http://a:8123/x,https://b:8443/x":         "endpoint: hosts that stand in for each other differ in more than host and port",
		"http://u:secret@a:8123/x,http://a:8123/x": "endpoint: hosts that stand in for each other differ in more than host and port",
		"http://a:8123/x,http://a:8123/x":          "endpoint: names a host twice",
	} {
		err := store.CheckDSN(dsn, store.Options{})
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
	require.EqualError(t, store.CheckDSN("http://a", store.Options{Cluster: schema.Cluster{Name: "c", Path: "x"}}),
		"cluster: path: must begin with / and hold {shard} and {table}, such as "+schema.DefaultPath)

	// The first that answers is used.
	u, err := url.Parse(embeddedtest.Database(t))
	require.NoError(t, err)
	dead := u.Scheme + "://127.0.0.1:1/"
	s, err := store.Open(context.Background(), dead+strings.Trim(u.Path, "/")+","+u.String(), store.Options{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Ping(t.Context()))
}

func TestTenantsAreKeptForTheirOwnTime(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := store.DefaultRetention()
	r.Tenants = map[string]time.Duration{"acme": 30 * 24 * time.Hour, `o'h\ SETTINGS `: 12 * time.Hour, "same": r.Events}
	changed, err := s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, []string{schema.Events, schema.Chunks, schema.ClientUsage1d, schema.PayloadSamples}, changed)
	changed, err = s.ApplyRetention(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, changed, "applying it again changes nothing")

	now := time.Now().Truncate(time.Hour)
	at := func(age time.Duration, tenant string) event.Event {
		e := oneEvent(now.Add(-age), "i")
		e.SetString(event.TenantID, tenant)
		return e
	}
	list := []event.Event{}
	for _, tenant := range []string{"acme", `o'h\ SETTINGS `, "same", "other"} {
		for _, age := range []time.Duration{time.Hour, 24 * time.Hour, 8 * 24 * time.Hour, 31 * 24 * time.Hour} {
			list = append(list, at(age, tenant))
		}
	}
	insert(t, s, "a", list)
	execute(t, s, "OPTIMIZE TABLE events FINAL")
	for tenant, want := range map[string]uint64{"acme": 3, `o'h\ SETTINGS `: 1, "same": 2, "other": 2} {
		require.Equal(t, want, number(t, s, "SELECT count() FROM events WHERE tenant = ?", tenant), tenant)
	}
	report, err := s.Check(t.Context(), store.CheckOptions{From: now.Add(-48 * time.Hour), To: now, Now: now})
	require.NoError(t, err)
	require.True(t, report.Equal, "it looks no further back than the shortest")
	require.Equal(t, now.Add(-12*time.Hour+30*time.Minute).UTC(), report.From)

	changed, err = s.ApplyRetention(t.Context(), store.DefaultRetention())
	require.NoError(t, err)
	require.Equal(t, []string{schema.Events, schema.Chunks, schema.ClientUsage1d, schema.PayloadSamples}, changed)
	require.Zero(t, number(t, s, "SELECT count() FROM system.tables WHERE database = currentDatabase()"+
		" AND engine_full LIKE '%ttl_only_drop_parts = 0%'"))
}
