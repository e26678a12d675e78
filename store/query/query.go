// Package query holds the questions that are asked of the store while something is wrong: who was disconnected and why,
// what is refused, what a client did. Each is a file of ClickHouse's SQL, whose first comment is the question.
//
// The invariants to keep: a query reads and never writes; it names its range of time and has a limit; its order is total,
// so that the same data gives the same answer.
package query

import (
	"context"
	"embed"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed sql/*.sql
var files embed.FS

// Parameter is what a query asks for.
type Parameter struct {
	// Name is written as {name:Type} in the SQL.
	Name, Type string
	// Meaning is a line for people.
	Meaning string
	// Required says that no value makes sense where none is given.
	Required bool
}

// Names of parameters.
const (
	Since      = "since"
	Until      = "until"
	At         = "at"
	Service    = "service"
	Tenant     = "tenant"
	Client     = "client"
	Connection = "connection"
	Declared   = "declared"
	Limit      = "limit"
)

// Parameters returns all that there are.
func Parameters() []Parameter {
	return []Parameter{
		{Name: Since, Type: "DateTime64(3)", Meaning: "where the range of time begins: RFC 3339, or how long ago, such as 15m, 6h or 7d", Required: true},
		{Name: Until, Type: "DateTime64(3)", Meaning: "where it ends, exclusive", Required: true},
		{Name: At, Type: "DateTime64(3)", Meaning: "the moment to ask about, as since", Required: true},
		{Name: Service, Type: "String", Meaning: "this service only"},
		{Name: Tenant, Type: "String", Meaning: "this tenant only"},
		{Name: Client, Type: "String", Meaning: "pseudonym of a client, or what is stored of its address", Required: true},
		{Name: Connection, Type: "String", Meaning: "id of a connection", Required: true},
		{Name: Declared, Type: "Array(String)", Meaning: "host/path of an endpoint that should be; * stands for any text; repeat it"},
		{Name: Limit, Type: "UInt32", Meaning: "most rows to print", Required: true},
	}
}

// Query is a named question.
type Query struct {
	Name string
	// Question ends in a question mark; Notes say how to read the answer, if that needs saying.
	Question, Notes string
	SQL             string
	Parameters      []Parameter
}

// Has reports whether the query asks for that parameter.
func (q *Query) Has(parameter string) bool {
	return slices.ContainsFunc(q.Parameters, func(p Parameter) bool { return p.Name == parameter })
}

// All returns the queries by name. It panics if a file breaks the rules of the package, which its tests would show.
func All() []Query {
	entries, err := files.ReadDir("sql")
	if err != nil {
		panic("query: " + err.Error())
	}
	queries := make([]Query, len(entries))
	for i, e := range entries {
		text, err := files.ReadFile(path.Join("sql", e.Name()))
		if err != nil {
			panic("query: " + err.Error())
		}
		if queries[i], err = parse(strings.TrimSuffix(e.Name(), ".sql"), string(text)); err != nil {
			panic("query: " + err.Error())
		}
	}
	return queries
}

var placeholder = regexp.MustCompile(`\{(\w+):([^}]+)\}`)

func parse(name, text string) (Query, error) {
	q := Query{Name: name, SQL: text}
	var comment []string
	for line := range strings.Lines(text) {
		words, ok := strings.CutPrefix(line, "-- ")
		if !ok {
			break
		}
		comment = append(comment, strings.TrimSpace(words))
	}
	if len(comment) == 0 || !strings.HasSuffix(comment[0], "?") {
		return q, fmt.Errorf("%s: begins with no question", name)
	}
	q.Question, q.Notes = comment[0], strings.Join(comment[1:], "\n")
	known := Parameters()
	used := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		at := slices.IndexFunc(known, func(p Parameter) bool { return p.Name == m[1] && p.Type == m[2] })
		if at < 0 {
			return q, fmt.Errorf("%s: %s is no parameter", name, m[0])
		}
		used[m[1]] = true
	}
	q.Parameters = slices.DeleteFunc(known, func(p Parameter) bool { return !used[p.Name] })
	return q, nil
}

// Answer is a table. A value is nil where it is unknown.
type Answer struct {
	Columns []string
	Rows    [][]any
}

// Run asks. Values are by parameter, as ClickHouse writes them; one that is not given is empty, if the parameter allows.
func (q *Query) Run(ctx context.Context, conn driver.Conn, values map[string]string) (*Answer, error) {
	parameters := clickhouse.Parameters{}
	for _, p := range q.Parameters {
		v := values[p.Name]
		if v == "" && p.Required {
			return nil, fmt.Errorf("%s: %s is missing: %s", q.Name, p.Name, p.Meaning)
		}
		if v == "" && strings.HasPrefix(p.Type, "Array") {
			v = "[]"
		}
		parameters[p.Name] = v
	}
	rows, err := conn.Query(clickhouse.Context(ctx, clickhouse.WithParameters(parameters)), q.SQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	a := &Answer{Columns: rows.Columns()}
	types := rows.ColumnTypes()
	for rows.Next() {
		cells := make([]any, len(types))
		for i, t := range types {
			cells[i] = reflect.New(t.ScanType()).Interface()
		}
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		for i := range cells {
			cells[i] = value(reflect.ValueOf(cells[i]).Elem())
		}
		a.Rows = append(a.Rows, cells)
	}
	return a, rows.Err()
}

// value follows the pointers of a Nullable.
func value(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	return v.Interface()
}
