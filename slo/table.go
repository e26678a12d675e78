package slo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes statuses for a terminal: one line per SLO, the budget first, then the burn rate of each window.
func WriteTable(w io.Writer, statuses []Status) error {
	if len(statuses) == 0 {
		_, err := fmt.Fprintln(w, "no SLOs")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "SERVICE\tSLO\tSTATE\tALERT\tOBJECTIVE\tBUDGET LEFT\tCOVERAGE")
	for i, win := range statuses[0].Windows {
		fmt.Fprintf(t, "\t%s%s", map[bool]string{true: "BURN "}[i == 0], win.Name)
	}
	fmt.Fprintln(t)
	for _, s := range statuses {
		alert := string(s.Severity)
		if alert == "" {
			alert = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s %%\t%s\t%s", s.Service, s.SLO, s.State, alert,
			s.Objective.Percent(10), share(s.Remaining, 2), share(s.Window.Coverage, 1))
		for _, win := range s.Windows {
			fmt.Fprintf(t, "\t%s", win.Burn.Round(2))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	first := statuses[0]
	_, err := fmt.Fprintf(w, "as of %s; budget and coverage over %s%s\n",
		first.AsOf.UTC().Format("2006-01-02 15:04:05 UTC"), budgetNames(statuses), scaled(first.Windows))
	return err
}

// scaled says how long the windows really are, if that is not what their names say.
func scaled(windows []WindowStatus) string {
	var lengths []string
	for _, w := range windows {
		for _, nominal := range BurnWindows() {
			if nominal.Name == w.Name && int64(nominal.Length.Seconds()) != w.Seconds {
				lengths = append(lengths, fmt.Sprintf("%s is %ds", w.Name, w.Seconds))
			}
		}
	}
	if len(lengths) == 0 {
		return ""
	}
	return "; burn windows are scaled: " + strings.Join(lengths, ", ")
}

func budgetNames(statuses []Status) string {
	var names []string
	seen := map[string]bool{}
	for _, s := range statuses {
		if !seen[s.Window.Name] {
			seen[s.Window.Name] = true
			names = append(names, s.Window.Name)
		}
	}
	return strings.Join(names, ", ")
}

func share(n Number, places int) string {
	if !n.Valid() {
		return "-"
	}
	return n.Percent(places) + " %"
}
