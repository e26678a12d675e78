package slo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// BudgetEvent says that a mark of a budget was passed.
type BudgetEvent struct {
	Service string    `json:"service"`
	SLO     string    `json:"slo"`
	AsOf    time.Time `json:"asof"`
	Kind    EventKind `json:"kind"`
	// Spent is the highest mark that was spent, in percent.
	Spent uint8 `json:"spent"`
}

// History is what happened, the latest first.
type History struct {
	Incidents []Incident    `json:"incidents"`
	Budgets   []BudgetEvent `json:"budgets"`
}

// MostHappenings bounds how many of each a history has.
const MostHappenings = 1000

// happenedTo is the condition of one SLO with its groups, or of all if service and name are empty.
func happenedTo(service, name string) string {
	var b strings.Builder
	if service != "" {
		fmt.Fprintf(&b, " AND service = %s", quote(service))
	}
	if name != "" {
		fmt.Fprintf(&b, " AND (slo = %[1]s OR startsWith(slo, concat(%[1]s, '{')))", quote(name))
	}
	return b.String()
}

// SelectBudgetEvents is a query for what happened to budgets since a moment.
func SelectBudgetEvents(service, name string, since time.Time) string {
	return fmt.Sprintf(`SELECT service, slo, asof, kind, spent
FROM %s FINAL
WHERE stream = %s AND asof >= toDateTime(%d)%s
ORDER BY asof DESC, service, slo, sequence DESC
LIMIT %d`, schema.SLOEvents, quote(string(StreamBudget)), since.Unix(), happenedTo(service, name), MostHappenings)
}

// ReadBudgetEvents reads the answer to [SelectBudgetEvents].
func ReadBudgetEvents(rows Rows) ([]BudgetEvent, error) {
	events := []BudgetEvent{}
	for rows.Next() {
		var e BudgetEvent
		var kind string
		if err := rows.Scan(&e.Service, &e.SLO, &e.AsOf, &kind, &e.Spent); err != nil {
			return nil, fmt.Errorf("read events of budgets: %w", err)
		}
		e.Kind, e.AsOf = EventKind(kind), e.AsOf.UTC()
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events of budgets: %w", err)
	}
	return events, nil
}

// WriteHistory writes it for a terminal.
func WriteHistory(w io.Writer, h History) error {
	var b strings.Builder
	if len(h.Incidents) == 0 {
		b.WriteString("no incidents\n")
	} else {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SERVICE\tSLO\tSEVERITY\tBEGAN\tDETECTED\tENDED\tBAD\tJUDGED")
		for _, i := range h.Incidents {
			ended := "goes on"
			if !i.Ended.IsZero() {
				ended = moment(i.Ended)
			}
			bad, judged := fmt.Sprint(i.Judged-min(i.Good, i.Judged)), fmt.Sprint(i.Judged)
			if i.Judged == 0 {
				bad, judged = "-", "-" // slices and composites have no events of their own
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.Service, i.SLO, i.Severity, moment(i.Start), moment(i.Detected),
				ended, bad, judged)
		}
		_ = t.Flush()
	}
	if len(h.Budgets) > 0 {
		b.WriteString("\n")
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SERVICE\tSLO\tAS OF\tBUDGET")
		for _, e := range h.Budgets {
			what := string(e.Kind)
			switch {
			case e.Kind == BudgetSpent:
				what = fmt.Sprintf("%d %% spent", e.Spent)
			case e.Kind == BudgetRecovered && e.Spent > 0:
				what = fmt.Sprintf("recovered to the mark of %d %%", e.Spent)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Service, e.SLO, moment(e.AsOf), what)
		}
		_ = t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}
