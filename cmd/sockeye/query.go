package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/query"
)

// maxQueryLimit bounds --limit: an answer is held in memory.
const maxQueryLimit = 100_000

func newQueryCommand() *cobra.Command {
	store := &storeFlags{}
	var limit uint32
	texts := map[string]*string{}
	var declared []string
	queries := query.All()
	cmd := &cobra.Command{
		Use:   "query NAME",
		Short: "Ask the store what an on-call asks: who was disconnected and why, what is refused, what a client did",
		Long: "Asks the store one of these questions:\n\n" + questions(queries) + "\n" +
			"A time is RFC 3339, or how long ago, such as 15m, 6h or 7d. Times are UTC. The password of the endpoint is read from\n" +
			storePasswordEnv + ", or stands in the endpoint. `sockeye query NAME --print` prints the SQL, to change it.",
		Example: `  sockeye query disconnects --since 30m
  sockeye query client --client p1:k1:3f60c1 --since 7d --output csv
  sockeye query endpoints --declared 'chat.example.com/ws/*'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("query: needs one name; `sockeye query --help` lists them")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names := make([]string, len(queries))
			for i, q := range queries {
				names[i] = q.Name + "\t" + q.Question
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	store.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&store.output, "output", "o", "table", "`FORM`: table, json or csv")
	show := f.Bool("print", false, "print the SQL instead of asking")
	for _, p := range query.Parameters() {
		switch p.Name {
		case query.Limit:
			f.Uint32Var(&limit, p.Name, 20, p.Meaning)
		case query.Declared:
			f.StringArrayVar(&declared, p.Name, nil, p.Meaning)
		default:
			defaults := map[string]string{query.Since: "1h", query.Until: "0s", query.At: "0s"}
			texts[p.Name] = f.String(p.Name, defaults[p.Name], p.Meaning)
		}
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at := slices.IndexFunc(queries, func(q query.Query) bool { return q.Name == args[0] })
		if at < 0 {
			return fmt.Errorf("query %q: there is none of that name%s; `sockeye query --help` lists them",
				args[0], suggest(args[0], queries))
		}
		q := queries[at]
		if *show {
			_, err := io.WriteString(cmd.OutOrStdout(), q.SQL)
			return err
		}
		if !slices.Contains([]string{"table", "json", "csv"}, store.output) {
			return fmt.Errorf("--output: must be table, json or csv, got %q", store.output)
		}
		if limit == 0 || limit > maxQueryLimit {
			return fmt.Errorf("--limit: must be from 1 to %d, got %d", maxQueryLimit, limit)
		}
		values := map[string]string{query.Limit: strconv.FormatUint(uint64(limit), 10), query.Declared: array(declared)}
		now := time.Now()
		for _, p := range query.Parameters() {
			if !q.Has(p.Name) {
				if f.Changed(p.Name) && p.Name != query.Since {
					return fmt.Errorf("--%s: query %s does not ask for it", p.Name, q.Name)
				}
				continue
			}
			text, ok := texts[p.Name]
			if !ok {
				continue
			}
			values[p.Name] = *text
			switch p.Name {
			case query.Since, query.Until, query.At:
				t, err := moment(*text, now)
				if err != nil {
					return fmt.Errorf("--%s: %w", p.Name, err)
				}
				values[p.Name] = t.UTC().Format("2006-01-02 15:04:05.000")
			default:
				if *text == "" && p.Required {
					return fmt.Errorf("--%s: query %s needs it: %s", p.Name, q.Name, p.Meaning)
				}
			}
		}
		return store.ask(cmd, &q, values)
	}
	return cmd
}

func questions(queries []query.Query) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, q := range queries {
		fmt.Fprintf(w, "  %s\t%s\n", q.Name, q.Question)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func suggest(name string, queries []query.Query) string {
	for _, q := range queries {
		if strings.Contains(q.Name, name) || strings.Contains(name, q.Name) {
			return ", did you mean " + q.Name + "?"
		}
	}
	return ""
}

// array writes an Array(String) as ClickHouse reads it in a parameter.
func array(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// moment reads a time, or how long before now.
func moment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-11-22T10:00:00Z nor how long ago, such as "+
			"15m, 6h or 7d", text)
	}
	return now.Add(-d), nil
}

func (f *storeFlags) ask(cmd *cobra.Command, q *query.Query, values map[string]string) error {
	return f.withStore(cmd, true, func(ctx context.Context, s *store.Store) error {
		a, err := q.Run(ctx, s.Conn(), values)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.Name, s.Explain(err))
		}
		switch f.output {
		case "json":
			return writeRows(cmd.OutOrStdout(), a)
		case "csv":
			return writeCSV(cmd.OutOrStdout(), a)
		}
		if len(a.Rows) == 0 {
			when := "between " + values[query.Since] + " and " + values[query.Until]
			if q.Has(query.At) {
				when = "about " + values[query.At]
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing "+when+" UTC")
			return nil
		}
		return writeTable(cmd.OutOrStdout(), a)
	})
}

// writeRows prints an object a row, whose members are in the order of the columns.
func writeRows(w io.Writer, a *query.Answer) error {
	for _, row := range a.Rows {
		line := []byte{'{'}
		for i, v := range row {
			name, err := json.Marshal(a.Columns[i])
			if err != nil {
				return err
			}
			value, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if i > 0 {
				line = append(line, ',')
			}
			line = append(append(append(line, name...), ':'), value...)
		}
		if _, err := w.Write(append(line, '}', '\n')); err != nil {
			return err
		}
	}
	return nil
}

func writeCSV(w io.Writer, a *query.Answer) error {
	out := csv.NewWriter(w)
	if err := out.Write(a.Columns); err != nil {
		return err
	}
	for _, row := range a.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v, "")
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func writeTable(w io.Writer, a *query.Answer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.ToUpper(strings.Join(a.Columns, "\t")))
	for _, row := range a.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f { // what is stored came from outside, and this is a terminal
					return '?'
				}
				return r
			}, cell(v, "-"))
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	return out.Flush()
}

// cell writes a value; unknown is what stands where there is none.
func cell(v any, unknown string) string {
	switch v := v.(type) {
	case nil:
		return unknown
	case string:
		if v == "" {
			return unknown
		}
		return v
	case []string:
		return strings.Join(v, " ")
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.999Z")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
