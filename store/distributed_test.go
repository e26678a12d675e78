package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/dashboards/dashboardstest"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/query"
	"github.com/sockeye-project/sockeye/store/schema"
)

var merged = regexp.MustCompile(`ENGINE = Merge\(.*, '\^(\w+)\$'\)`)

// distribute makes the tables of a stopped engine that read both databases ones that read the first twice, over the
// engine's own Distributed. No client can make such a table: the engine would go wherever it says.
func distribute(t *testing.T, data, database string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "store", "*", "*", "*.sql"))
	require.NoError(t, err)
	changed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if merged.Match(text) {
			text = merged.ReplaceAll(text, []byte("AS remote('127.0.0.1,127.0.0.1', '"+database+"', '$1')"))
			require.NoError(t, os.WriteFile(file, text, 0o600))
			changed++
		}
	}
	require.Positive(t, changed)
}

// multiplies finds what a shard would have to ask of all shards, in the WHERE of what is asked of each. The engine refuses it where
// the table is Distributed itself (distributed_product_mode), and not behind remote().
var multiplies = regexp.MustCompile(`(\w+)\s+IN\s*\(\s*SELECT\b[^()]*(?:\([^()]*\)[^()]*)*\bFROM\b`)

func requireOneStage(t *testing.T, name, sql string) {
	t.Helper()
	for _, found := range multiplies.FindAllStringSubmatch(sql, -1) {
		if found[1] != "GLOBAL" {
			t.Errorf("%s: on a cluster the engine refuses %s: say GLOBAL IN, or use a list", name, found[0])
		}
	}
}

// answers asks all that a reader asks.
func answers(t *testing.T, dsn string) map[string]string {
	t.Helper()
	all := map[string]string{}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	require.NoError(t, err)
	defer s.Close()
	now := base.Add(time.Hour)
	var connection, client string
	require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT connection_id, client_hash FROM events WHERE event = 'websocket.close' ORDER BY ALL LIMIT 1").
		Scan(&connection, &client))
	values := map[string]string{
		query.Since: base.AddDate(0, 0, -2).Format(time.DateTime), query.Until: base.AddDate(0, 0, 2).Format(time.DateTime), query.At: base.Add(30 * time.Minute).Format(time.DateTime),
		query.Limit: "1000", query.Declared: "['a/*']", query.Client: client, query.Connection: connection,
	}
	for _, q := range query.All() {
		requireOneStage(t, q.Name, q.SQL)
		given := map[string]string{}
		for _, p := range q.Parameters {
			given[p.Name] = values[p.Name]
		}
		answer, err := q.Run(t.Context(), s.Conn(), given)
		if err != nil {
			t.Errorf("%s: %v", q.Name, err)
			continue
		}
		all["query "+q.Name] = fmt.Sprint(answer.Rows)
	}
	ask := func(name, sql string) {
		if sql != "" {
			requireOneStage(t, name, sql)
			// A reader of windows takes rows in any order.
			lines := strings.Split(embeddedtest.Exec(t, dsn, sql+"\nFORMAT JSONEachRow"), "\n")
			slices.Sort(lines)
			all[name] = strings.Join(lines, "\n")
		}
	}
	documents, err := slo.Parse(slo.DefaultSources()...)
	require.NoError(t, err)
	set := slo.DefaultSettings{Services: []string{"chat", "rooms", "feed"}}
	for _, d := range documents {
		set.Indicators = append(set.Indicators, d.Name)
	}
	slos, err := slo.Defaults(set)
	require.NoError(t, err)
	ask("all SLOs", slo.Plan(slos, now, slo.Timing{}).SQL)
	for i := range slos {
		o := &slos[i]
		ask(o.Service+"/"+o.Name+": windows", slo.Plan(slos[i:i+1], now, slo.Timing{}).SQL)
		ask(o.Service+"/"+o.Name+": burned", slo.SelectBurned(o, now, 5))
		ask(o.Service+"/"+o.Name+": minutes", slo.SelectMinutes(o, base, now))
	}
	boards, err := dashboards.Boards(dashboards.ClickHouse, nil)
	require.NoError(t, err)
	anything, edge := []string{dashboardstest.All}, []string{event.VantageEdge}
	statements, err := dashboardstest.Statements(boards, now, map[string][]string{
		"service": {"chat"}, "region": anything, "tenant": anything, "instance": anything, "slo": {"connection-availability"}, "spent": {"100"},
		"seen_connections": edge, "seen_auth": edge, "seen_messages": edge, "seen_gauges": edge,
	})
	require.NoError(t, err)
	for _, s := range statements {
		ask(s.Board+": "+s.Name, s.SQL)
	}
	return all
}

// Each shard answers a part of every question, as the engine's Distributed plans it, and what comes of them is what Merge
// says, which stands for Distributed elsewhere.
func TestAllThatIsAskedRunsOnDistributedTables(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	engine := embeddedtest.StartIn(t, data)
	names := []string{"first", "second"}
	list := events(1, 400)
	for _, name := range names {
		embeddedtest.Exec(t, engine.URL, "CREATE DATABASE "+name)
		s, err := store.Open(t.Context(), engine.URL+"/"+name, store.Options{Cluster: schema.Cluster{Name: "sockeye"}})
		require.NoError(t, err)
		for _, statement := range shardStatements(t, name, names) {
			execute(t, s, statement)
		}
		insert(t, s, "chunk", list)
		require.NoError(t, s.Close())
	}
	const inTwoStages = "EXPLAIN SELECT service, sum(count) FROM first.rollup_1m GROUP BY service"
	require.NotContains(t, embeddedtest.Exec(t, engine.URL, inTwoStages), "MergingAggregated")
	want := answers(t, engine.URL+"/first")
	engine.Stop()
	distribute(t, data, "first")
	engine = embeddedtest.StartIn(t, data)
	require.Contains(t, embeddedtest.Exec(t, engine.URL, inTwoStages), "MergingAggregated")
	got := answers(t, engine.URL+"/first")
	require.Len(t, got, len(want))
	something := 0
	for name := range want {
		require.Equal(t, want[name], got[name], name)
		if want[name] != "" && want[name] != "[]" {
			something++
		}
	}
	t.Logf("%d answers, %d of them with rows", len(want), something)
	require.Greater(t, something, len(want)/3, "answers with something to compare")
	for _, name := range []string{"client", "connection", "connections", "top-talkers", "refused-clients"} {
		require.NotEqual(t, "[]", want["query "+name], name)
	}
}
