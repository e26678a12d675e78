package schema

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestStatementsAreSplitOutsideQuotesAndComments(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"SELECT ';', '--', 'it\\'s;', \"a;b\", `c;d`",
		"CREATE TABLE t\n(\n    a String, \n    \n    b String\n)",
		"SELECT 1 - 1",
	}, Statements("-- one; two\nSELECT ';', '--', 'it\\'s;', \"a;b\", `c;d`; ;\n"+
		"CREATE TABLE t\n(\n    a String, -- x;y\n    -- whole line\n    b String\n);\nSELECT 1 - 1 -- no end"))
	require.Empty(t, Statements("-- nothing\n;;\n"))
}

var (
	repeatable = regexp.MustCompile(`^(CREATE (TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW|ALTER TABLE \w+ (ADD (COLUMN|INDEX) IF NOT|MODIFY COLUMN IF) EXISTS) `)
	qualified  = regexp.MustCompile(`(?i)(TABLE|VIEW|EXISTS|TO|FROM|JOIN) \w+\.\w+`)
)

func TestEveryMigrationMayRunTwiceAndInAnyDatabase(t *testing.T) {
	t.Parallel()
	migrations, err := All()
	require.NoError(t, err)
	require.NotEmpty(t, migrations)
	for _, m := range migrations {
		require.NotEmpty(t, m.Statements(), m.Name)
		for _, statement := range m.Statements() {
			head, _, _ := strings.Cut(statement, "\n")
			require.Regexp(t, repeatable, statement, m.Name)
			require.NotRegexp(t, qualified, statement, "%s: %s: name no database", m.Name, head)
			if strings.Contains(statement, "MergeTree") {
				require.Contains(t, statement, "non_replicated_deduplication_window = 100000", "%s: %s", m.Name, head)
			}
		}
	}
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files []string
		want  string
	}{
		"a gap":             {[]string{"0001_a.sql", "0003_c.sql"}, "migration 0003_c.sql: its number should be 0002"},
		"a number twice":    {[]string{"0001_a.sql", "0001_b.sql"}, "migration 0001_b.sql: its number should be 0002"},
		"not from one":      {[]string{"0002_a.sql"}, "migration 0002_a.sql: its number should be 0001"},
		"not named so":      {[]string{"0001-a.sql"}, "migration 0001-a.sql: name it like 0001_events.sql"},
		"a file among them": {[]string{"0001_a.sql", "notes.txt"}, "migration notes.txt: name it like 0001_events.sql"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := fstest.MapFS{}
			for _, f := range tt.files {
				fsys["migrations/"+f] = &fstest.MapFile{Data: []byte("SELECT 1;")}
			}
			_, err := read(fsys)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestAChecksumFollowsTheText(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, Migration{SQL: "a"}.Checksum(), Migration{SQL: "b"}.Checksum())
}

func TestDurationColumnsNameTheirBounds(t *testing.T) {
	t.Parallel()
	columns := DurationColumns()
	require.Equal(t, "le_5ms", columns[0])
	require.Equal(t, "le_10000ms", columns[len(columns)-1])
}
