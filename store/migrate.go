package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/store/schema"
)

// MigrationState is a migration and what the database knows of it.
type MigrationState struct {
	schema.Migration
	// Applied is when it was completed; zero if it is pending.
	Applied time.Time
	// Edited is true where the file that was applied is not the file that this program holds.
	Edited bool
}

// Status is what Migrate would find.
type Status struct {
	Migrations []MigrationState
	// Newer lists migrations of the database that this program does not know: a newer version made them.
	Newer []string
	// Drifts are where tables are not as the applied migrations made them. Nobody looks where there are newer ones.
	Drifts []Drift
	// Own are columns that somebody added. They do no harm.
	Own []string
}

// Pending returns how many migrations are to be applied.
func (s Status) Pending() int {
	n := 0
	for _, m := range s.Migrations {
		if m.Applied.IsZero() {
			n++
		}
	}
	return n
}

// createMigrations is the one table that no migration makes. Two runners may both record a migration: the rows are
// equal but for the time, and a reader takes the first.
const createMigrations = `CREATE TABLE IF NOT EXISTS ` + schema.Migrations + `
(
    number UInt32,
    name String,
    checksum String,
    applied DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY number
SETTINGS non_replicated_deduplication_window = 100000`

// MigrationStatus compares the database with the migrations of this program. It changes nothing.
func (s *Store) MigrationStatus(ctx context.Context) (Status, error) {
	known, err := schema.All()
	if err != nil {
		return Status{}, err
	}
	if err := s.checkServer(); err != nil {
		return Status{}, err
	}
	if err := s.checkLayout(ctx); err != nil {
		return Status{}, err
	}
	var status Status
	for _, m := range known {
		status.Migrations = append(status.Migrations, MigrationState{Migration: m})
	}
	var exists uint8
	if err := s.conn.QueryRow(ctx, "EXISTS TABLE "+schema.Migrations).Scan(&exists); err != nil {
		return Status{}, s.explain("read migrations", err)
	}
	if exists == 0 {
		return status, nil
	}
	rows, err := s.conn.Query(ctx, `SELECT number, any(name), groupUniqArray(checksum), min(applied) FROM `+
		schema.Migrations+` GROUP BY number ORDER BY number`)
	if err != nil {
		return Status{}, s.explain("read migrations", err)
	}
	defer rows.Close()
	for rows.Next() {
		var number uint32
		var name string
		var checksums []string
		var applied time.Time
		if err := rows.Scan(&number, &name, &checksums, &applied); err != nil {
			return Status{}, s.explain("read migrations", err)
		}
		if number < 1 || int(number) > len(known) {
			status.Newer = append(status.Newer, fmt.Sprintf("%04d_%s", number, name))
			continue
		}
		m := &status.Migrations[number-1]
		m.Applied = applied
		for _, c := range checksums {
			m.Edited = m.Edited || c != m.Checksum()
		}
	}
	if err := rows.Err(); err != nil {
		return Status{}, s.explain("read migrations", err)
	}
	if len(status.Newer) == 0 {
		var applied []schema.Migration
		for _, m := range status.Migrations {
			if !m.Applied.IsZero() {
				applied = append(applied, m.Migration)
			}
		}
		status.Drifts, status.Own, err = s.drift(ctx, applied)
	}
	return status, err
}

// Migrate applies what is pending, in order, and returns how many migrations that was. It refuses a database to which
// another form of a migration was applied. Several may run it at once: every statement may run twice.
func (s *Store) Migrate(ctx context.Context) (int, error) {
	if err := s.checkServer(); err != nil {
		return 0, err
	}
	// Before anything is made, since what there is may be of the other layout.
	if err := s.checkLayout(ctx); err != nil {
		return 0, err
	}
	if err := s.apply(ctx, "create "+schema.Migrations, createMigrations); err != nil {
		return 0, err
	}
	status, err := s.MigrationStatus(ctx)
	if err != nil {
		return 0, err
	}
	if err := status.Fault(s.database); err != nil {
		return 0, err
	}
	applied := 0
	for _, m := range status.Migrations {
		if !m.Applied.IsZero() {
			continue
		}
		for i, statement := range m.Statements() {
			doing := fmt.Sprintf("migration %04d_%s, statement %d", m.Number, m.Name, i+1)
			if err := s.apply(ctx, doing, statement); err != nil {
				return applied, err
			}
		}
		if err := s.record(ctx, m); err != nil {
			return applied, s.explain(fmt.Sprintf("record migration %04d_%s", m.Number, m.Name), err)
		}
		applied++
	}
	return applied, nil
}

// Fault refuses what must not be built upon.
func (s Status) Fault(database string) error {
	var faults []error
	for _, m := range s.Migrations {
		if m.Edited {
			faults = append(faults, fmt.Errorf("migration %04d_%s: database %q was made with another form of this file; "+
				"use the version of sockeye that made it, or another database", m.Number, m.Name, database))
		}
	}
	return errors.Join(append(faults, driftFault(database, s.Drifts))...)
}

// checkLayout refuses to treat a server's tables as a cluster's, and the other way round.
func (s *Store) checkLayout(ctx context.Context) error {
	var engines []string
	err := s.conn.QueryRow(ctx, "SELECT groupArray(engine) FROM system.tables"+
		" WHERE database = currentDatabase() AND name = ?", schema.Events).Scan(&engines)
	if err != nil {
		return s.explain("read the layout of tables", err)
	}
	switch {
	case len(engines) == 0 || strings.HasSuffix(engines[0], "MergeTree") != s.cluster.Enabled():
		return nil
	case s.cluster.Enabled():
		return fmt.Errorf("database %q was made for one server, not for cluster %q; name another database", s.database,
			s.cluster.Name)
	}
	return fmt.Errorf("database %q was made for a cluster; name it by cluster in the configuration, or by --cluster",
		s.database)
}

// apply runs what a statement of a migration becomes.
func (s *Store) apply(ctx context.Context, doing, statement string) error {
	statements, err := s.cluster.Statements(s.database, statement)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	for _, statement := range statements {
		if err := s.ddl(ctx, statement); err != nil {
			return s.explainDDL(doing, err)
		}
	}
	return nil
}

// ddl runs a statement that may run twice. Two runners at once can still meet between the check and the creation, which
// the loser sees as an error; the second attempt then finds the table.
func (s *Store) ddl(ctx context.Context, statement string) error {
	var err error
	for range 3 {
		err = s.conn.Exec(s.onCluster(ctx), statement)
		switch codeOf(err) {
		case codeTableExists, codeDeadlockAvoided, codeReplicaExists, codeAlterConflict:
		default:
			return err
		}
	}
	return err
}

// onCluster waits for the nodes that are there: one that is down finds the statement in Keeper when it returns.
func (s *Store) onCluster(ctx context.Context) context.Context {
	if !s.cluster.Enabled() {
		return ctx
	}
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"distributed_ddl_output_mode": "none_only_active",
	}))
}

// explainDDL adds the server's message, which names tables and columns and holds no stored value.
func (s *Store) explainDDL(doing string, err error) error {
	err = s.explain(doing, err)
	var e *Error
	var exception *clickhouse.Exception
	if errors.As(err, &e) && (e.Kind == Schema || e.Kind == Other || e.Kind == Data) && errors.As(err, &exception) {
		message, _, _ := strings.Cut(exception.Message, "\n")
		e.sentence = fmt.Sprintf("%s: clickhouse at %s: %s (code %d)", doing, s.address, message, e.Code)
	}
	return err
}

func (s *Store) record(ctx context.Context, m MigrationState) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(
		fmt.Sprintf("migration %d %s", m.Number, m.Checksum()))))
	return s.conn.Exec(ctx, fmt.Sprintf(
		"INSERT INTO %s (number, name, checksum, applied) SELECT %d, '%s', '%s', now64(3)",
		schema.Migrations, m.Number, m.Name, m.Checksum()))
}

// blank is what a comment leaves behind.
var blank = regexp.MustCompile(`[ \t]*\n(?:[ \t]*\n)*`)

// Print returns the statements of all migrations as they run, for an administrator who applies them by hand. On a
// cluster they name the database.
func Print(cluster schema.Cluster, database string) (string, error) {
	if err := cluster.Validate(); err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	if !identifier.MatchString(database) {
		return "", errDatabaseName
	}
	migrations, err := schema.All()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, m := range migrations {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "-- %04d_%s sha256:%s\n\n", m.Number, m.Name, m.Checksum())
		if !cluster.Enabled() {
			b.WriteString(m.SQL)
			continue
		}
		for _, statement := range m.Statements() {
			statements, err := cluster.Statements(database, statement)
			if err != nil {
				return "", fmt.Errorf("migration %04d_%s: %w", m.Number, m.Name, err)
			}
			for _, statement := range statements {
				b.WriteString(blank.ReplaceAllString(statement, "\n") + ";\n\n")
			}
		}
	}
	return b.String(), nil
}

// Retention is how long each table keeps its rows; 0 leaves the table as it is. Chunks and ClientUsage1d follow Events; of the side
// tables Gauges10s follows Rollup10s, Clients1h and ConnectionRate follow Rollup1m, and Usage1h follows Rollup15m.
type Retention struct {
	Events, Traces, PayloadSamples, Audit, Rollup10s, Rollup1m, Rollup15m time.Duration
	// Tenants is how long events of a tenant are kept, by its name, instead of Events, and what is kept of its clients. Samples of
	// its payloads are not kept for longer than its events.
	Tenants map[string]time.Duration
}

// DefaultRetention is what the migrations set.
func DefaultRetention() Retention {
	var r Retention
	for _, e := range schema.Expiries() {
		*r.of(e.Table) = e.Default
	}
	return r
}

func (r *Retention) of(table string) *time.Duration {
	switch table {
	case schema.PayloadSamples:
		return &r.PayloadSamples
	case schema.Audit:
		return &r.Audit
	case schema.Traces:
		return &r.Traces
	case schema.Rollup10s, schema.Gauges10s:
		return &r.Rollup10s
	case schema.Rollup1m, schema.Clients1h, schema.ConnectionRate:
		return &r.Rollup1m
	case schema.Rollup15m, schema.Usage1h:
		return &r.Rollup15m
	}
	return &r.Events
}

// byTenant is the retention of a table by tenant, where it differs from keep.
func (r *Retention) byTenant(table string, keep time.Duration) map[string]time.Duration {
	different := map[string]time.Duration{}
	for name, d := range r.Tenants {
		follows := table == schema.Events || table == schema.ClientUsage1d
		if follows && d != keep || table == schema.PayloadSamples && d < keep {
			different[name] = d
		}
	}
	return different
}

var (
	ttlClause    = regexp.MustCompile(`(?s)\sTTL\s+(.*)\s+SETTINGS\s`)
	tenantClause = regexp.MustCompile(`(?s)toIntervalSecond\(transform\(tenant, \[.*\], \[([\d, ]+)\], (\d+)\)\)$`)
)

// ttl is the TTL of a table as ClickHouse prints it back, so that an unchanged one is recognised.
func (r *Retention) ttl(e schema.Expiry) string {
	keep := *r.of(e.Table)
	tenants := r.byTenant(e.Table, keep)
	if e.Table == schema.Chunks {
		// What is said of a chunk stays as long as any of its events.
		for _, d := range r.Tenants {
			keep = max(keep, d)
		}
	}
	if len(tenants) == 0 {
		return e.Expression + " + " + interval(keep)
	}
	var names, seconds []string
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		names = append(names, "'"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name)+"'")
		seconds = append(seconds, strconv.FormatInt(int64(tenants[name]/time.Second), 10))
	}
	return fmt.Sprintf("%s + toIntervalSecond(transform(%s, [%s], [%s], %d))", e.Expression, schema.Tenant,
		strings.Join(names, ", "), strings.Join(seconds, ", "), int64(keep/time.Second))
}

// shortestByTenant is the shortest time for which a TTL with tenants keeps a row.
func shortestByTenant(ttl string) (time.Duration, bool) {
	parts := tenantClause.FindStringSubmatch(ttl)
	if parts == nil {
		return 0, false
	}
	shortest := time.Duration(math.MaxInt64)
	for _, text := range append(strings.Split(parts[1], ", "), parts[2]) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(math.MaxInt64/time.Second) {
			return 0, false
		}
		shortest = min(shortest, time.Duration(n)*time.Second)
	}
	return shortest, true
}

// ApplyRetention alters the tables whose retention differs from r and returns their names. Where tenants differ, expired
// rows are removed by merges; otherwise whole parts are dropped, which costs nothing.
func (s *Store) ApplyRetention(ctx context.Context, r Retention) ([]string, error) {
	var changed []string
	for _, e := range schema.Expiries() {
		keep := *r.of(e.Table)
		if keep == 0 {
			continue
		}
		stored := s.cluster.Stored(e.Table)
		var engine string
		err := s.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?",
			stored).Scan(&engine)
		if err != nil {
			return changed, s.explain("read retention of "+e.Table, err)
		}
		var alterations []string
		if want, have := r.ttl(e), ttlClause.FindStringSubmatch(engine); have == nil || have[1] != want {
			alterations = append(alterations, "MODIFY TTL "+want)
		}
		whole := "ttl_only_drop_parts = 1"
		if len(r.byTenant(e.Table, keep)) > 0 {
			whole = "ttl_only_drop_parts = 0"
		}
		if !strings.Contains(engine, whole) {
			// First, so that no row waits for its part longer than the new TTL says.
			alterations = slices.Insert(alterations, 0, "MODIFY SETTING "+whole)
		}
		for _, alteration := range alterations {
			if err := s.ddl(ctx, s.cluster.Alter(s.database, e.Table)+" "+alteration); err != nil {
				return changed, s.explainDDL("change retention of "+e.Table, err)
			}
		}
		if len(alterations) > 0 {
			changed = append(changed, e.Table)
		}
	}
	return changed, nil
}

// interval writes d as ClickHouse prints it back, so that an unchanged retention is recognised.
func interval(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("toIntervalDay(%d)", d/day)
	}
	return fmt.Sprintf("toIntervalSecond(%d)", int64(d/time.Second))
}
