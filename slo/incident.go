package slo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Incident is a time in which an alert of an SLO fired.
type Incident struct {
	Service string `json:"service"`
	SLO     string `json:"slo"`
	// Start is when the burning began, Detected when the first alert fired, Ended when the last did no more: null while one fires.
	Start    time.Time  `json:"start"`
	Detected time.Time  `json:"detected"`
	Ended    *time.Time `json:"ended"`
	// Severity is the highest that it had.
	Severity Severity `json:"severity"`
	// Good, Total and Judged were counted from Start on, as of its last event.
	Good   uint64 `json:"good"`
	Total  uint64 `json:"total"`
	Judged uint64 `json:"judged"`
}

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

// mostHappenings bounds how many of each a history has.
const mostHappenings = 1000

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

// SelectIncidents is a query for the incidents that went on at any time since a moment.
func SelectIncidents(service, name string, since time.Time) string {
	return fmt.Sprintf(`SELECT service, slo, start, detected, ended, severity, good, total, judged
FROM %s
WHERE (ended IS NULL OR ended >= toDateTime(%d))%s
ORDER BY detected DESC, service, slo
LIMIT %d`, schema.SLOIncidents, since.Unix(), happenedTo(service, name), mostHappenings)
}

// ReadIncidents reads the answer to [SelectIncidents].
func ReadIncidents(rows Rows) ([]Incident, error) {
	incidents := []Incident{}
	for rows.Next() {
		var i Incident
		var severity string
		if err := rows.Scan(&i.Service, &i.SLO, &i.Start, &i.Detected, &i.Ended, &severity, &i.Good, &i.Total,
			&i.Judged); err != nil {
			return nil, fmt.Errorf("read incidents: %w", err)
		}
		i.Severity, i.Start, i.Detected = Severity(severity), i.Start.UTC(), i.Detected.UTC()
		incidents = append(incidents, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	return incidents, nil
}

// SelectBudgetEvents is a query for what happened to budgets since a moment.
func SelectBudgetEvents(service, name string, since time.Time) string {
	return fmt.Sprintf(`SELECT service, slo, asof, kind, spent
FROM %s FINAL
WHERE stream = %s AND asof >= toDateTime(%d)%s
ORDER BY asof DESC, service, slo, sequence DESC
LIMIT %d`, schema.SLOEvents, quote(string(StreamBudget)), since.Unix(), happenedTo(service, name), mostHappenings)
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
			if i.Ended != nil {
				ended = moment(*i.Ended)
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
