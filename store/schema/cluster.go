package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Cluster lays the tables of the migrations out over a cluster: a replicated table on every shard, and a Distributed
// table by the migration's own name that reads them all. The zero value is one server.
type Cluster struct {
	// Name is the cluster's, as in system.clusters and remote_servers.
	Name string
	// Path is where replicated tables meet in Keeper; empty means DefaultPath.
	Path string
	// StoragePolicy of the replicated tables; empty means the server's.
	StoragePolicy string
}

// DefaultPath names a table in Keeper by what stays the same if a node is built anew.
const DefaultPath = "/clickhouse/tables/{database}/{table}/{shard}"

// TokensKept is for how long a replicated table remembers the token of an INSERT, if no more than its deduplication
// window come meanwhile. A chunk may wait as long and still be stored once.
const TokensKept = 7 * 24 * time.Hour

// localSuffix ends the name of what one shard holds.
const localSuffix = "_local"

// Enabled reports whether there is a cluster.
func (c Cluster) Enabled() bool { return c.Name != "" }

// everywhere reports whether every node holds all of a table. These are small, and read whole: what counts by name, how
// far sources are, what an SLO's state is, what happened to it and what does not count, and which migrations ran cannot be the sum of what
// shards say.
func everywhere(table string) bool {
	switch table {
	case SourceProgress, SLOStatus, SLOEvents, SLOExclusions, Tenants, Migrations:
		return true
	}
	return false
}

// Stored is the name of the table that rows are inserted into, and that has their parts.
func (c Cluster) Stored(table string) string {
	if !c.Enabled() || everywhere(table) {
		return table
	}
	return table + localSuffix
}

var (
	clusterName   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	storagePolicy = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
	keeperPath    = regexp.MustCompile(`^/[A-Za-z0-9_./{}-]+[A-Za-z0-9_}-]$`)
)

// Validate reports every fault, each with its key.
func (c Cluster) Validate() error {
	var faults []error
	if !c.Enabled() {
		if c.Path != "" || c.StoragePolicy != "" {
			return errors.New("name: must be set with path and storage_policy")
		}
		return nil
	}
	if !clusterName.MatchString(c.Name) {
		faults = append(faults, errors.New("name: use letters, digits, _, . and -"))
	}
	if p := c.path(); !keeperPath.MatchString(p) || !strings.Contains(p, "{shard}") ||
		!strings.Contains(p, "{table}") && !strings.Contains(p, "{uuid}") {
		faults = append(faults, fmt.Errorf("path: must begin with / and hold {shard} and {table}, such as %s", DefaultPath))
	}
	if !storagePolicy.MatchString(c.StoragePolicy) {
		faults = append(faults, errors.New("storage_policy: use letters, digits, _ and -"))
	}
	return errors.Join(faults...)
}

func (c Cluster) path() string {
	if c.Path == "" {
		return DefaultPath
	}
	return c.Path
}

// engineArguments are the path and the name of a replica. What every node holds is one replicated table without shards.
func (c Cluster) engineArguments(table string) string {
	if everywhere(table) {
		return fmt.Sprintf("'%s', '{shard}-{replica}'", strings.ReplaceAll(c.path(), "{shard}", "all"))
	}
	return fmt.Sprintf("'%s', '{replica}'", c.path())
}

// OnCluster is what a statement that changes tables says after the table's name.
func (c Cluster) OnCluster() string {
	if !c.Enabled() {
		return ""
	}
	return " ON CLUSTER '" + c.Name + "'"
}

// Alter begins a statement that alters what is stored of a table.
func (c Cluster) Alter(database, table string) string {
	if !c.Enabled() {
		return "ALTER TABLE " + table
	}
	return "ALTER TABLE " + within(database, c.Stored(table)) + c.OnCluster()
}

// Statements returns what a statement of a migration becomes: itself on one server. On a cluster it names the
// database everywhere, since other nodes run it too, with another current one. What it does not know it refuses, so
// that no migration is released that would not work there.
func (c Cluster) Statements(database, statement string) ([]string, error) {
	if !c.Enabled() {
		return []string{statement}, nil
	}
	s := parse(statement)
	switch {
	case s.head("CREATE", "TABLE", "IF", "NOT", "EXISTS"):
		return c.table(database, s)
	case s.head("CREATE", "MATERIALIZED", "VIEW", "IF", "NOT", "EXISTS"):
		return c.view(database, s, true)
	case s.head("CREATE", "VIEW", "IF", "NOT", "EXISTS"), s.head("CREATE", "OR", "REPLACE", "VIEW"):
		return c.view(database, s, false)
	case s.head("ALTER", "TABLE"):
		return c.column(database, s)
	}
	return nil, fmt.Errorf("no form for a cluster is known of %q", s.beginning())
}

func within(database, table string) string { return "`" + database + "`." + table }

func (c Cluster) table(database string, s *parsed) ([]string, error) {
	name, at, ok := s.name(s.next)
	if !ok {
		return nil, fmt.Errorf("%q: names no table", s.beginning())
	}
	stored := within(database, c.Stored(name))
	s.replace(at, stored+c.OnCluster())

	engine := s.find(at, "ENGINE")
	equals, family := s.after(engine), s.after(s.after(engine))
	if engine < 0 || s.text(equals) != "=" || !strings.HasSuffix(s.text(family), "MergeTree") {
		return nil, fmt.Errorf("table %s: has no engine of the MergeTree family", name)
	}
	replicated, arguments := "Replicated"+s.text(family), c.engineArguments(name)
	if open := s.after(family); s.text(open) != "(" {
		s.replace(family, replicated+"("+arguments+")")
	} else {
		s.replace(family, replicated)
		if s.text(s.after(open)) != ")" {
			arguments += ", "
		}
		s.replace(open, "("+arguments)
	}
	window := s.find(s.find(family, "SETTINGS"), "non_replicated_deduplication_window")
	if window < 0 {
		return nil, fmt.Errorf("table %s: has no non_replicated_deduplication_window, so a retry would double", name)
	}
	s.replace(window, fmt.Sprintf("replicated_deduplication_window_seconds = %d, replicated_deduplication_window",
		int(TokensKept/time.Second)))
	text := s.String()
	if c.StoragePolicy != "" {
		text += ", storage_policy = '" + c.StoragePolicy + "'"
	}
	if everywhere(name) {
		return []string{text}, nil
	}
	// Without a sharding key an INSERT into it is refused, as it should be: it would lose the token.
	return []string{text, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s\nENGINE = Distributed('%s', '%s', '%s')",
		within(database, name), c.OnCluster(), stored, c.Name, database, c.Stored(name))}, nil
}

// view makes a materialized one fold what its own shard took, and any other read all shards.
func (c Cluster) view(database string, s *parsed, materialized bool) ([]string, error) {
	name, at, ok := s.name(s.next)
	if !ok {
		return nil, fmt.Errorf("%q: names no view", s.beginning())
	}
	s.replace(at, within(database, name)+c.OnCluster())
	source := func(table string) string {
		if materialized {
			table = c.Stored(table)
		}
		return within(database, table)
	}
	targets, sources := 0, 0
	for i := s.after(at); i >= 0; i = s.after(i) {
		to := targets == 0 && sources == 0 && s.is(i, "TO")
		if !to && !s.is(i, "FROM") && !s.is(i, "JOIN") || !s.inQuery(i) {
			continue
		}
		table, at, ok := s.name(s.after(i))
		if !ok {
			continue
		}
		if to {
			targets++
		} else {
			sources++
		}
		s.replace(at, source(table))
	}
	if materialized && targets == 0 || sources == 0 {
		return nil, fmt.Errorf("view %s: a view needs FROM, and a materialized one TO, followed by a table", name)
	}
	return []string{s.String()}, nil
}

func (c Cluster) column(database string, s *parsed) ([]string, error) {
	name, at, ok := s.name(s.next)
	index := s.sequence(s.after(at), "ADD", "INDEX", "IF", "NOT", "EXISTS")
	if !ok || !index && !s.sequence(s.after(at), "ADD", "COLUMN", "IF", "NOT", "EXISTS") &&
		!s.sequence(s.after(at), "MODIFY", "COLUMN", "IF", "EXISTS") {
		return nil, fmt.Errorf("%q: only ADD COLUMN IF NOT EXISTS, ADD INDEX IF NOT EXISTS "+
			"and MODIFY COLUMN IF EXISTS have a form for a cluster", s.beginning())
	}
	s.replace(at, within(database, c.Stored(name))+c.OnCluster())
	statements := []string{s.String()}
	// What reads all shards has columns, and no parts that could have an index.
	if !everywhere(name) && !index {
		s.replace(at, within(database, name)+c.OnCluster())
		statements = append(statements, s.String())
	}
	return statements, nil
}

// token is a word, a quoted text, white space or one other character, and how many parentheses are open around it.
type token struct {
	text  string
	depth int
}

var tokens = regexp.MustCompile("(?s)'(?:[^'\\\\]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`|\"(?:[^\"\\\\]|\\\\.)*\"|\\w+|\\s+|.")

// parsed is a statement as tokens, some of which were replaced.
type parsed struct {
	list []token
	// next is the token after what head found.
	next int
}

func parse(statement string) *parsed {
	s := &parsed{}
	depth := 0
	for _, text := range tokens.FindAllString(statement, -1) {
		if text == ")" || text == "]" {
			depth--
		}
		s.list = append(s.list, token{text, depth})
		if text == "(" || text == "[" {
			depth++
		}
	}
	return s
}

func (s *parsed) String() string {
	var b strings.Builder
	for _, t := range s.list {
		b.WriteString(t.text)
	}
	return b.String()
}

// beginning is the first line, for errors.
func (s *parsed) beginning() string {
	line, _, _ := strings.Cut(s.String(), "\n")
	return line
}

func (s *parsed) replace(i int, text string) { s.list[i].text = text }

func (s *parsed) text(i int) string {
	if i < 0 || i >= len(s.list) {
		return ""
	}
	return s.list[i].text
}

func (s *parsed) is(i int, keyword string) bool { return strings.EqualFold(s.text(i), keyword) }

// after is the next token that is no white space, or -1.
func (s *parsed) after(i int) int {
	if i < 0 {
		return -1
	}
	for i++; i < len(s.list); i++ {
		if strings.TrimSpace(s.list[i].text) != "" {
			return i
		}
	}
	return -1
}

// find is where a keyword stands at or after from, outside parentheses, or -1.
func (s *parsed) find(from int, keyword string) int {
	for i := from; i >= 0; i = s.after(i) {
		if s.list[i].depth == 0 && s.is(i, keyword) {
			return i
		}
	}
	return -1
}

// inQuery reports whether a token belongs to a query, and not to the arguments of a function such as trim.
func (s *parsed) inQuery(i int) bool {
	depth := s.list[i].depth
	for ; i > 0 && depth > 0; i-- {
		if s.text(i) == "(" && s.list[i].depth == depth-1 {
			first := s.after(i)
			return s.is(first, "SELECT") || s.is(first, "WITH")
		}
	}
	return true
}

// sequence reports whether keywords follow each other from i on.
func (s *parsed) sequence(i int, keywords ...string) bool {
	for _, k := range keywords {
		if !s.is(i, k) {
			return false
		}
		i = s.after(i)
	}
	return true
}

// head reports whether the statement begins with keywords.
func (s *parsed) head(keywords ...string) bool {
	if !s.sequence(0, keywords...) {
		return false
	}
	s.next = 0
	for range keywords {
		s.next = s.after(s.next)
	}
	return true
}

var plainName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// name is the table at i, which may neither be quoted nor name a database.
func (s *parsed) name(i int) (string, int, bool) {
	if !plainName.MatchString(s.text(i)) || s.text(s.after(i)) == "." {
		return "", i, false
	}
	return s.text(i), i, true
}
