package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Drift is one way in which a table is not as the migrations made it.
type Drift struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"`
	// Found and Expected are in ClickHouse's words; an empty Found means that there is nothing.
	Found    string `json:"found"`
	Expected string `json:"expected"`
	// Remedy is the statement that mends it.
	Remedy string `json:"remedy"`
	// Anew says that no ALTER can: the table has to be renamed before the remedy makes it.
	Anew bool `json:"anew,omitempty"`
}

// String is one line. A long remedy is cut.
func (d Drift) String() string {
	what, found := "table "+d.Table, "is "+d.Found
	if d.Column != "" {
		what += ", column " + d.Column
	}
	if d.Found == "" {
		found = "is missing, or may not be seen by this user"
	}
	remedy, _, more := strings.Cut(d.Remedy, "\n")
	if more {
		remedy += " …"
	}
	if d.Anew {
		remedy = fmt.Sprintf("RENAME TABLE %s TO %[1]s_old; %s", d.Table, remedy)
	}
	return fmt.Sprintf("%s: %s; expected %s; mend it by: %s", what, found, d.Expected, remedy)
}

// oldestServer is the first version in which the token of an INSERT reaches behind views whatever they make of the rows.
var oldestServer = [2]uint64{24, 7}

// checkServer refuses a server whose tokens do not make a retry exact.
func (s *Store) checkServer() error {
	v, err := s.conn.ServerVersion()
	if err != nil {
		return s.explain("connect", err)
	}
	if v.Version.Major > oldestServer[0] || v.Version.Major == oldestServer[0] && v.Version.Minor >= oldestServer[1] {
		return nil
	}
	return fmt.Errorf("clickhouse at %s: is version %d.%d, and %d.%d or newer is needed: in older ones a chunk that is "+
		"sent again may count twice behind a view, or not at all; upgrade the server", s.address, v.Version.Major, v.Version.Minor,
		oldestServer[0], oldestServer[1])
}

// found is a table as the server describes it.
type found struct {
	engine, partition, sorting, full string
	columns                          map[string]string
	order                            []string
}

func (s *Store) describe(ctx context.Context) (map[string]*found, error) {
	const doing = "read the tables"
	tables := map[string]*found{}
	rows, err := s.conn.Query(ctx, `SELECT name, engine, partition_key, sorting_key, engine_full FROM system.tables
		WHERE database = currentDatabase()`)
	if err != nil {
		return nil, s.explain(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		f := &found{columns: map[string]string{}}
		if err := rows.Scan(&name, &f.engine, &f.partition, &f.sorting, &f.full); err != nil {
			return nil, s.explain(doing, err)
		}
		tables[name] = f
	}
	if err := rows.Err(); err != nil {
		return nil, s.explain(doing, err)
	}
	columns, err := s.conn.Query(ctx, `SELECT table, name, type FROM system.columns WHERE database = currentDatabase()
		ORDER BY table, position`)
	if err != nil {
		return nil, s.explain(doing, err)
	}
	defer columns.Close()
	for columns.Next() {
		var table, name, kind string
		if err := columns.Scan(&table, &name, &kind); err != nil {
			return nil, s.explain(doing, err)
		}
		if f := tables[table]; f != nil {
			f.columns[name] = kind
			f.order = append(f.order, name)
		}
	}
	return tables, s.explain(doing, columns.Err())
}

// drift compares the tables with what the migrations that were applied have made. Columns that somebody added are returned as
// own; they are nobody's business, because an INSERT leaves them to their defaults.
func (s *Store) drift(ctx context.Context, applied []schema.Migration) (drifts []Drift, own []string, err error) {
	expected, err := schema.Tables(applied)
	if err != nil || len(expected) == 0 {
		return nil, nil, err
	}
	tables, err := s.describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range expected {
		statements, err := s.cluster.Statements(s.database, t.Statement)
		if err != nil {
			return nil, nil, err
		}
		if t.IsView() {
			// Both kinds have their own names on a cluster too.
			if f := tables[t.Name]; f == nil || f.engine != t.Engine {
				drifts = append(drifts, missing(t.Name, t.Engine, f, statements[0]))
			}
			continue
		}
		c := comparison{t, s.cluster, s.database, statements[0]}
		d, o := c.stored(tables)
		drifts, own = append(drifts, d...), append(own, o...)
		if len(statements) > 1 {
			drifts = append(drifts, c.distributed(tables, statements[1])...)
		}
	}
	return drifts, own, nil
}

// missing is for what is not there, or is something else.
func missing(name, engine string, f *found, statement string) Drift {
	d := Drift{Table: name, Expected: engine, Remedy: statement}
	if f != nil {
		d.Found, d.Anew = f.engine, true
	}
	return d
}

type comparison struct {
	schema.Table
	cluster   schema.Cluster
	database  string
	statement string
}

var tokenWindow = regexp.MustCompile(`\b(?:non_)?replicated_deduplication_window = (\d+)`)

// stored compares the table that has the rows.
func (c comparison) stored(tables map[string]*found) (drifts []Drift, own []string) {
	name := c.cluster.Stored(c.Name)
	f := tables[name]
	// A database, or a cloud, may make a table replicated by itself.
	if f == nil || strings.TrimPrefix(strings.TrimPrefix(f.engine, "Replicated"), "Shared") != c.Engine {
		return []Drift{missing(name, c.Engine, f, c.statement)}, nil
	}
	for _, key := range []struct{ name, found, expected string }{
		{"PARTITION BY", f.partition, c.PartitionKey}, {"ORDER BY", f.sorting, c.SortingKey},
	} {
		found, expected := strings.Trim(key.found, "()"), strings.Trim(key.expected, "()")
		// Where no rows are folded, more columns at its end change the order and nothing else.
		tuned := c.Engine == "MergeTree" && key.name == "ORDER BY" && strings.HasPrefix(found, expected+", ")
		if found != expected && !tuned {
			drifts = append(drifts, Drift{
				Table: name, Found: key.name + " " + key.found, Expected: key.name + " " + key.expected,
				Remedy: c.statement, Anew: true,
			})
		}
	}
	window := "non_replicated_deduplication_window"
	if strings.HasPrefix(f.engine, "Replicated") || strings.HasPrefix(f.engine, "Shared") {
		window = window[len("non_"):]
	}
	has := slices.ContainsFunc(tokenWindow.FindAllString(f.full, -1), func(setting string) bool {
		return strings.HasPrefix(setting, window) && !strings.HasSuffix(setting, " = 0")
	})
	if !has {
		drifts = append(drifts, Drift{
			Table: name, Found: "without " + window, Expected: window + ", or a chunk that is sent again counts twice",
			Remedy: c.cluster.Alter(c.database, c.Name) + " MODIFY SETTING " + window + " = 100000",
		})
	}
	drifts = append(drifts, c.columns(name, f)...)
	for _, column := range f.order {
		if !slices.ContainsFunc(c.Columns, func(w schema.Column) bool { return w.Name == column }) {
			own = append(own, name+"."+column)
		}
	}
	return drifts, own
}

func (c comparison) distributed(tables map[string]*found, statement string) []Drift {
	f := tables[c.Name]
	if f == nil || f.engine != schema.EngineDistributed {
		return []Drift{missing(c.Name, schema.EngineDistributed, f, statement)}
	}
	return c.columns(c.Name, f)
}

func (c comparison) columns(name string, f *found) (drifts []Drift) {
	alter := "ALTER TABLE " + name
	if c.cluster.Enabled() {
		alter = "ALTER TABLE " + quote(c.database) + "." + name + c.cluster.OnCluster()
	}
	for i, want := range c.Columns {
		kind, there := f.columns[want.Name]
		d := Drift{Table: name, Column: want.Name, Found: kind, Expected: want.Type}
		switch {
		case kind == want.Type:
			continue
		case there:
			d.Remedy = fmt.Sprintf("%s MODIFY COLUMN %s %s", alter, want.Name, want.Type)
		case i == 0:
			d.Remedy = fmt.Sprintf("%s ADD COLUMN %s %s FIRST", alter, want.Name, want.Type)
		default:
			d.Remedy = fmt.Sprintf("%s ADD COLUMN %s %s AFTER %s", alter, want.Name, want.Type, c.Columns[i-1].Name)
		}
		drifts = append(drifts, d)
	}
	return drifts
}

// maxDrifts bounds how many an error names.
const maxDrifts = 5

// driftFault is an error that names them.
func driftFault(database string, drifts []Drift) error {
	if len(drifts) == 0 {
		return nil
	}
	faults := []error{fmt.Errorf("database %q: its tables are not as this version made them; `sockeye store status` "+
		"has the statements in full", database)}
	for _, d := range drifts[:min(len(drifts), maxDrifts)] {
		faults = append(faults, errors.New(d.String()))
	}
	if more := len(drifts) - maxDrifts; more > 0 {
		faults = append(faults, fmt.Errorf("and %d more", more))
	}
	return errors.Join(faults...)
}
