package embedded

import (
	"slices"
	"strings"
)

// The engine reads any file and opens any connection its process may. A client must not borrow that: neither through
// table functions (file, url, s3, remote …), nor engines of tables and databases, sources of dictionaries, INFILE and
// OUTFILE, disks, or the ordinary function file().
//
// The engine's own parser decides: EXPLAIN AST names every function, engine and source of a statement, however it is
// quoted, escaped or nested. What is not known to be harmless is refused, so a new version's additions are too.

// harmlessTableFunctions make their rows out of nothing or out of the engine's own tables.
var harmlessTableFunctions = []string{
	"dictionary", "format", "fuzzjson", "generaterandom", "generateseries", "generate_series", "input", "loop", "merge",
	"mergetreeanalyzeindexes", "mergetreeanalyzeindexesuuid", "mergetreeindex", "mergetreeprojection",
	"mergetreetextindex", "null", "numbers", "numbers_mt", "primes", "sqlstandardvalues", "timeseriesdata",
	"timeseriesmetrics", "timeseriessamples", "timeseriesselector", "timeseriestags", "values", "view", "viewexplain",
	"viewifpermitted", "zeros", "zeros_mt",
}

// harmlessEngines keep their data in the engine's own directory, or keep none.
var harmlessEngines = []string{
	"AggregatingMergeTree", "Alias", "Atomic", "Buffer", "CoalescingMergeTree", "CollapsingMergeTree", "Dictionary",
	"GenerateRandom", "GraphiteMergeTree", "Join", "Log", "MaterializedView", "Memory", "Merge", "MergeTree", "Null",
	"Ordinary", "ReplacingMergeTree", "Set", "StripeLog", "SummingMergeTree", "TimeSeries", "TinyLog",
	"VersionedCollapsingMergeTree", "View", "WindowView",
}

// logComment is what a statement is killed by.
const logComment = "log_comment"

// refusedSettings hold expressions, paths or another dialect, which EXPLAIN AST does not show, or the name that we find a
// statement by.
var refusedSettings = []string{
	"additional_result_filter", "additional_table_filters", "allow_introspection_functions", "dialect", "disk",
	"format_schema", "format_schema_source", "format_template_resultset", "format_template_row",
	"input_format_record_errors_file_path", logComment, "promql_database", "promql_table", "storage_policy", "table_disk",
}

// guard knows the names the engine has for what reaches beyond its tables.
type guard struct {
	functions map[string]struct{} // in lower case
	engines   map[string]struct{}
}

func newGuard(tableFunctions, engines []string) *guard {
	g := &guard{
		functions: map[string]struct{}{"file": {}, "catboostevaluate": {}},
		engines:   map[string]struct{}{"File": {}, "URL": {}},
	}
	for _, name := range tableFunctions {
		if name = strings.ToLower(name); !slices.Contains(harmlessTableFunctions, name) {
			g.functions[name] = struct{}{}
		}
	}
	for _, name := range engines {
		if !slices.Contains(harmlessEngines, name) && !strings.HasPrefix(name, "Replicated") {
			g.engines[name] = struct{}{}
		}
	}
	return g
}

// refuse returns why the statement is not run for clients, "" if it is. tree is what EXPLAIN AST says about exactly the
// text that would run.
func (g *guard) refuse(text, tree string) string {
	root, _, _ := strings.Cut(strings.TrimSpace(tree), " ")
	root = strings.TrimRight(strings.SplitN(root, "\n", 2)[0], " ")
	settings := false
	lines := strings.Split(tree, "\n")
	for i, line := range lines {
		node, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		switch node {
		case "Function":
			if _, ok := g.functions[strings.ToLower(name)]; ok {
				return "the function " + name
			}
			if _, ok := g.engines[name]; ok {
				return "the engine " + name
			}
		case "FunctionWithKeyValueArguments":
			switch {
			case strings.EqualFold(name, "null"):
			case strings.EqualFold(name, "clickhouse") && localSource(text):
			default:
				return "the dictionary source " + name
			}
		case "Set":
			settings = true
		case "Literal":
			if i == 1 && root == "InsertQuery" {
				return "FROM INFILE"
			}
		}
	}
	// A MergeTree's SETTINGS are a Set of its storage that is not printed by every version.
	if settings || strings.Contains(tree, "Storage definition") {
		if name := settingIn(text); name != "" {
			return "the setting " + name
		}
	}
	switch {
	case root == "BackupQuery", root == "RestoreQuery":
		return "BACKUP and RESTORE"
	case root == "AttachQuery" && (strings.Contains(tree, "Storage definition") || hasWord(text, "FROM")):
		return "ATTACH with a definition or a path"
	}
	return ""
}

// settingIn finds a refused setting's name among the words of a statement. A quoted name with escapes could be any.
func settingIn(text string) string {
	l := &lexer{text: text}
	for {
		t := l.next()
		switch t.kind {
		case tokenEnd, tokenBroken:
			return ""
		case tokenWord:
			if l.sets(t.text) {
				return t.text
			}
		case tokenQuoted:
			if name := strings.Trim(t.text, "`\""); l.sets(name) || strings.Contains(name, `\`) {
				return t.text
			}
		}
	}
}

// sets says whether the name just read is a refused setting's and not a column's. A flag needs no value.
func (l *lexer) sets(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(refusedSettings, name) && (l.peek().text == "=" || strings.HasPrefix(name, "allow_"))
}

func (l *lexer) peek() token {
	saved := l.pos
	t := l.next()
	l.pos = saved
	return t
}

func hasWord(text, word string) bool {
	l := &lexer{text: text}
	for {
		t := l.next()
		if t.kind == tokenEnd || t.kind == tokenBroken {
			return false
		}
		if t.is(word) {
			return true
		}
	}
}

// localSource says that a dictionary's source is a table of this engine and nothing else: no host, no query, no text
// that becomes part of a query.
func localSource(text string) bool {
	l := &lexer{text: text}
	found := false
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd || t.kind == tokenBroken:
			return found
		case t.kind == tokenQuoted && strings.EqualFold(strings.Trim(t.text, "`\""), "clickhouse"):
			return false
		case t.is("CLICKHOUSE") && l.peek().text == "(":
			l.next()
			for {
				key := l.next()
				if key.text == ")" {
					break
				}
				if !key.is("TABLE") && !key.is("DB") {
					return false
				}
				if value := l.next(); value.kind != tokenString && value.kind != tokenWord {
					return false
				}
			}
			found = true
		}
	}
}
