package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Engines of views, as ClickHouse calls them.
const (
	EngineView             = "View"
	EngineMaterializedView = "MaterializedView"
	EngineDistributed      = "Distributed"
)

// Table is a table or a view as migrations make it on one server, in the words in which ClickHouse describes it.
type Table struct {
	Name, Engine             string
	PartitionKey, SortingKey string
	// Columns are those of a table; a view's follow from its query.
	Columns []Column
	// Statement is the one that makes it, without what later migrations add.
	Statement string
}

// IsView reports whether it is a view of either kind.
func (t *Table) IsView() bool { return t.Engine == EngineView || t.Engine == EngineMaterializedView }

// Tables returns what migrations make, in the order in which they do.
func Tables(migrations []Migration) ([]Table, error) {
	var tables []Table
	for _, m := range migrations {
		for _, statement := range m.Statements() {
			if err := describe(&tables, statement); err != nil {
				return nil, fmt.Errorf("migration %04d_%s: %w", m.Number, m.Name, err)
			}
		}
	}
	return tables, nil
}

func describe(tables *[]Table, statement string) error {
	s := parse(statement)
	engine := ""
	switch {
	case s.head("CREATE", "TABLE", "IF", "NOT", "EXISTS"):
	case s.head("CREATE", "MATERIALIZED", "VIEW", "IF", "NOT", "EXISTS"):
		engine = EngineMaterializedView
	case s.head("CREATE", "VIEW", "IF", "NOT", "EXISTS"), s.head("CREATE", "OR", "REPLACE", "VIEW"):
		engine = EngineView
	case s.head("ALTER", "TABLE"):
		return alter(*tables, s)
	default:
		return fmt.Errorf("%q: makes nothing that is known", s.beginning())
	}
	name, at, ok := s.name(s.next)
	if !ok {
		return fmt.Errorf("%q: names no table", s.beginning())
	}
	t := Table{Name: name, Engine: engine, Statement: statement}
	if engine == "" {
		family := s.find(at, "ENGINE")
		t.Engine = s.text(s.after(s.after(family)))
		t.PartitionKey, t.SortingKey = s.key(at, "PARTITION"), s.key(at, "ORDER")
		open := s.after(at)
		for _, item := range s.items(s.after(open), s.list[open].depth+1) {
			if c, ok := item.column(); ok {
				t.Columns = append(t.Columns, c)
			}
		}
	}
	if i := slices.IndexFunc(*tables, func(old Table) bool { return old.Name == name }); i >= 0 {
		(*tables)[i] = t
		return nil
	}
	*tables = append(*tables, t)
	return nil
}

// alter adds the columns that a statement adds, and changes the types that it changes.
func alter(tables []Table, s *parsed) error {
	name, at, ok := s.name(s.next)
	for i := range tables {
		t := &tables[i]
		if !ok || t.Name != name {
			continue
		}
		for _, item := range s.items(s.after(at), 0) {
			switch {
			case item.head("ADD", "INDEX", "IF", "NOT", "EXISTS"):
				continue
			case item.head("ADD", "COLUMN", "IF", "NOT", "EXISTS"):
			case item.head("MODIFY", "COLUMN", "IF", "EXISTS"):
			default:
				return fmt.Errorf("%q: only columns are added and modified", s.beginning())
			}
			c, _ := (&parsed{list: item.list[item.next:]}).column()
			known := false
			for j := range t.Columns {
				if t.Columns[j].Name == c.Name {
					t.Columns[j], known = c, true
				}
			}
			if !known {
				t.Columns = append(t.Columns, c)
			}
		}
		return nil
	}
	return fmt.Errorf("%q: names no table that was made before", s.beginning())
}

// items are what commas of that depth separate, from i on while that depth lasts.
func (s *parsed) items(i, depth int) []*parsed {
	var items []*parsed
	current := &parsed{}
	for ; i >= 0 && i < len(s.list) && s.list[i].depth >= depth; i++ {
		t := s.list[i]
		if t.text == "," && t.depth == depth {
			items, current = append(items, current), &parsed{}
			continue
		}
		t.depth -= depth
		if len(current.list) > 0 || strings.TrimSpace(t.text) != "" {
			current.list = append(current.list, t)
		}
	}
	return append(items, current)
}

// column reads a column's name and type. An index is none.
func (s *parsed) column() (Column, bool) {
	if s.is(0, "INDEX") || s.is(0, "CONSTRAINT") {
		return Column{}, false
	}
	c := Column{Name: s.text(0)}
	end := len(s.list)
	for _, keyword := range []string{"CODEC", "DEFAULT", "ALIAS", "MATERIALIZED", "COMMENT", "TTL", "AFTER"} {
		if i := s.find(s.after(0), keyword); i >= 0 {
			end = min(end, i)
		}
	}
	c.Type = (&parsed{list: s.list[min(1, end):end]}).line()
	return c, true
}

// key is the expression of PARTITION BY or ORDER BY, without parentheses around all of it.
func (s *parsed) key(at int, keyword string) string {
	i := s.find(at, keyword)
	if i < 0 {
		return ""
	}
	i = s.after(s.after(i)) // BY
	end := len(s.list)
	for _, next := range []string{"PRIMARY", "ORDER", "TTL", "SETTINGS"} {
		if j := s.find(i, next); j >= 0 {
			end = min(end, j)
		}
	}
	text := (&parsed{list: s.list[i:end]}).line()
	if strings.HasPrefix(text, "(") {
		text = strings.TrimSuffix(text[1:], ")")
	}
	return text
}

// line is the text with every white space as one blank.
func (s *parsed) line() string { return strings.Join(strings.Fields(s.String()), " ") }
