package slo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
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

// Summary is the SLO in one line: what is to be reached over which window, and what alerts.
func (s *SLO) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s %%", s.Name, s.Service, s.Objective.Percent(10))
	in := s.Indicator
	slice := strings.NewReplacer("60m", "1h").Replace(fmt.Sprintf("%dm", s.slice()/time.Minute))
	switch {
	case len(s.Members) > 0:
		var members []string
		for _, m := range s.Members {
			_, name, _ := strings.Cut(m.SLO.Name, "/")
			if s.Combine == CombineWeighted {
				name = m.Weight.String() + " × " + name
			}
			members = append(members, name)
		}
		how := map[Combine]string{CombineWeighted: "the mean", CombineWorst: "the worst"}[s.Combine]
		fmt.Fprintf(&b, " of %s of %s", how, strings.Join(members, ", "))
	case in.Measure != "":
		fmt.Fprintf(&b, " of slices of %s with %s %s", slice, in.Measure, in.Limit)
	case s.Budgeting.Method == Timeslices:
		fmt.Fprintf(&b, " of slices of %s with at least %s %%", slice, s.Budgeting.SliceTarget.Percent(10))
	case s.Budgeting.Method == RatioTimeslices:
		fmt.Fprintf(&b, " in the mean of slices of %s", slice)
	}
	if s.Calendar != nil {
		fmt.Fprintf(&b, " in each %s of %s", s.Calendar.name(), s.Calendar.Start.Location())
	} else {
		fmt.Fprintf(&b, " over %dd", s.Window/day)
	}
	if len(s.Grouping.By) > 0 {
		fmt.Fprintf(&b, ", by %s (at most %d)", strings.Join(s.Grouping.By, " and "), s.Grouping.Max)
	}
	if len(s.Rules) == 0 {
		b.WriteString("; no alerts")
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "; %s if %s", r.Severity, r)
	}
	return b.String()
}
