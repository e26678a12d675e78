package schema

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAStatementOnACluster(t *testing.T) {
	t.Parallel()
	c := Cluster{Name: "c", Path: "/p/{table}/{shard}", StoragePolicy: "tiers"}
	const window = "SETTINGS non_replicated_deduplication_window = 5"
	const tokens = "SETTINGS replicated_deduplication_window_seconds = 604800, replicated_deduplication_window = 5, " +
		"storage_policy = 'tiers'"
	for name, tt := range map[string]struct {
		statement string
		want      []string
	}{
		"a table is replicated on its shard and read from all": {
			"CREATE TABLE IF NOT EXISTS t (a String DEFAULT 'ENGINE = MergeTree', engine String) ENGINE = MergeTree ORDER BY a " + window,
			[]string{
				"CREATE TABLE IF NOT EXISTS `d`.t_local ON CLUSTER 'c' (a String DEFAULT 'ENGINE = MergeTree', engine String)" +
					" ENGINE = ReplicatedMergeTree('/p/{table}/{shard}', '{replica}') ORDER BY a " + tokens,
				"CREATE TABLE IF NOT EXISTS `d`.t ON CLUSTER 'c' AS `d`.t_local\nENGINE = Distributed('c', 'd', 't_local')",
			},
		},
		"an engine's arguments follow those of the replica": {
			"CREATE TABLE IF NOT EXISTS t (v UInt8) ENGINE=ReplacingMergeTree(v, f(1)) ORDER BY v " + window,
			[]string{
				"CREATE TABLE IF NOT EXISTS `d`.t_local ON CLUSTER 'c' (v UInt8) ENGINE=ReplicatedReplacingMergeTree(" +
					"'/p/{table}/{shard}', '{replica}', v, f(1)) ORDER BY v " + tokens,
				"CREATE TABLE IF NOT EXISTS `d`.t ON CLUSTER 'c' AS `d`.t_local\nENGINE = Distributed('c', 'd', 't_local')",
			},
		},
		"empty parentheses hold those of the replica": {
			"CREATE TABLE IF NOT EXISTS tenants (v UInt8) ENGINE = MergeTree() ORDER BY v " + window,
			[]string{
				"CREATE TABLE IF NOT EXISTS `d`.tenants ON CLUSTER 'c' (v UInt8) ENGINE = ReplicatedMergeTree(" +
					"'/p/{table}/all', '{shard}-{replica}') ORDER BY v " + tokens,
			},
		},
		"a materialized view folds what its shard took": {
			"CREATE MATERIALIZED VIEW IF NOT EXISTS v TO r AS SELECT trim(BOTH ' FROM x' FROM a) FROM t AS e JOIN (SELECT 1 FROM u) AS j ON 1",
			[]string{"CREATE MATERIALIZED VIEW IF NOT EXISTS `d`.v ON CLUSTER 'c' TO `d`.r_local AS " +
				"SELECT trim(BOTH ' FROM x' FROM a) FROM `d`.t_local AS e JOIN (SELECT 1 FROM `d`.u_local) AS j ON 1"},
		},
		"another view reads all shards": {
			"CREATE VIEW IF NOT EXISTS v AS SELECT 1 FROM t AS e",
			[]string{"CREATE VIEW IF NOT EXISTS `d`.v ON CLUSTER 'c' AS SELECT 1 FROM `d`.t AS e"},
		},
		"and so does one that takes another's place": {
			"CREATE OR REPLACE VIEW v AS SELECT 1 FROM t AS e",
			[]string{"CREATE OR REPLACE VIEW `d`.v ON CLUSTER 'c' AS SELECT 1 FROM `d`.t AS e"},
		},
		"a new column comes to both": {
			"ALTER TABLE t ADD COLUMN IF NOT EXISTS b String",
			[]string{
				"ALTER TABLE `d`.t_local ON CLUSTER 'c' ADD COLUMN IF NOT EXISTS b String",
				"ALTER TABLE `d`.t ON CLUSTER 'c' ADD COLUMN IF NOT EXISTS b String",
			},
		},
		"a new index comes to what has parts": {
			"ALTER TABLE t ADD INDEX IF NOT EXISTS i a TYPE minmax",
			[]string{"ALTER TABLE `d`.t_local ON CLUSTER 'c' ADD INDEX IF NOT EXISTS i a TYPE minmax"},
		},
		"or to the one that every node has": {
			"ALTER TABLE slo_status ADD COLUMN IF NOT EXISTS b String",
			[]string{"ALTER TABLE `d`.slo_status ON CLUSTER 'c' ADD COLUMN IF NOT EXISTS b String"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Statements("d", tt.statement)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			got, err = Cluster{}.Statements("d", tt.statement)
			require.NoError(t, err)
			require.Equal(t, []string{tt.statement}, got, "one server runs it as it stands")
		})
	}
}

func TestAStatementWithoutAFormForAClusterIsRefused(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]string{
		"DROP TABLE t": `no form for a cluster is known of "DROP TABLE t"`,
		"":             `no form for a cluster is known of ""`,
		"CREATE TABLE IF NOT EXISTS t (a String) ENGINE = Null":                        "table t: has no engine of the MergeTree family",
		"CREATE TABLE IF NOT EXISTS t":                                                 "table t: has no engine of the MergeTree family",
		"CREATE TABLE IF NOT EXISTS x.t (a String) ENGINE = MergeTree":                 `"CREATE TABLE IF NOT EXISTS x.t (a String) ENGINE = MergeTree": names no table`,
		"CREATE TABLE IF NOT EXISTS":                                                   `"CREATE TABLE IF NOT EXISTS": names no table`,
		"CREATE TABLE IF NOT EXISTS t (a String) ENGINE = MergeTree ORDER BY a":        "table t: has no non_replicated_deduplication_window, so a retry would double",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = Memory AS SELECT 1 FROM t":  "view v: a view needs FROM, and a materialized one TO, followed by a table",
		"CREATE VIEW IF NOT EXISTS v AS SELECT 1":                                      "view v: a view needs FROM, and a materialized one TO, followed by a table",
		"ALTER TABLE t DROP COLUMN a":                                                  `"ALTER TABLE t DROP COLUMN a": only ADD COLUMN IF NOT EXISTS, ADD INDEX IF NOT EXISTS and MODIFY COLUMN IF EXISTS have a form for a cluster`,
		"CREATE TABLE IF NOT EXISTS t (a String) ENGINE = MergeTree SETTINGS ')' = 'x": "table t: has no non_replicated_deduplication_window, so a retry would double",
	} {
		_, err := Cluster{Name: "c"}.Statements("d", statement)
		require.EqualError(t, err, want, statement)
	}
}

func TestAClusterIsDescribedWell(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cluster Cluster
		want    string
	}{
		"none":                 {Cluster{}, ""},
		"a name":               {Cluster{Name: "eu-1.prod_a"}, ""},
		"a path by uuid":       {Cluster{Name: "c", Path: "/x/{uuid}/{shard}"}, ""},
		"only a policy":        {Cluster{StoragePolicy: "x"}, "name: must be set with path and storage_policy"},
		"a name with a quote":  {Cluster{Name: "c'"}, "name: use letters, digits, _, . and -"},
		"a path of all shards": {Cluster{Name: "c", Path: "/x/{table}"}, "path: must begin with / and hold {shard} and {table}, such as " + DefaultPath},
		"a relative path":      {Cluster{Name: "c", Path: "x/{table}/{shard}"}, "path: must begin with / and hold {shard} and {table}, such as " + DefaultPath},
		"two faults": {
			Cluster{Name: " ", StoragePolicy: "a b"},
			"name: use letters, digits, _, . and -\nstorage_policy: use letters, digits, _ and -",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.cluster.Validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.want)
		})
	}
}

// What is left alone comes out as it went in, whatever it is.
func FuzzParse(f *testing.F) {
	migrations, err := All()
	require.NoError(f, err)
	require.NotEmpty(f, migrations)
	for _, m := range migrations {
		for _, statement := range m.Statements() {
			f.Add(statement)
		}
	}
	f.Add("CREATE TABLE IF NOT EXISTS t ('\\'', `a`) ENGINE = ")
	f.Fuzz(func(t *testing.T, statement string) {
		require.Equal(t, statement, parse(statement).String())
		_, _ = Cluster{Name: "c"}.Statements("d", statement)
	})
}
