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
	fmt.Fprint(t, "SERVICE\tSLO\tSTATE\tALERT\tOBJECTIVE\tBUDGET LEFT\tGOOD / JUDGED\tCOVERAGE")
	for _, win := range statuses[0].Windows {
		fmt.Fprintf(t, "\tBURN %s", windowTitle(win))
	}
	fmt.Fprintln(t)
	for _, s := range statuses {
		alert := string(s.Severity)
		if alert == "" {
			alert = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s %%\t%s\t%d / %d\t%s", s.Service, s.SLO, s.State, alert,
			s.Objective.Percent(10), share(s.Remaining, 2), s.Window.Good, s.Window.Judged, share(s.Window.Coverage, 1))
		for _, win := range s.Windows {
			fmt.Fprintf(t, "\t%s", win.Burn.Round(2))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "as of %s; budget over %s\n", statuses[0].AsOf.UTC().Format("2006-01-02 15:04:05 UTC"),
		budgetNames(statuses))
	return err
}

// windowTitle names a window, with its real length if that is another.
func windowTitle(w WindowStatus) string {
	for _, nominal := range BurnWindows() {
		if nominal.Name == w.Name && int64(nominal.Length.Seconds()) != w.Seconds {
			return fmt.Sprintf("%s (%ds)", w.Name, w.Seconds)
		}
	}
	return w.Name
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
