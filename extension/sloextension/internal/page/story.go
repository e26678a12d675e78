package page

import (
	"fmt"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// story is what happened, in words.
type story struct {
	Incidents  []incident
	Events     []happening
	Exclusions []exclusion
	Trouble    string
}

type incident struct {
	slo.Incident
	URL      string
	Duration string
	Ongoing  bool
	Bad      uint64
}

type happening struct {
	At                       time.Time
	Text, Service, Name, URL string
	Class                    string
}

type exclusion struct {
	slo.Exclusion
	Length, Word, Class string
}

func tell(t Timeline, now time.Time) story {
	s := story{Trouble: t.Trouble}
	for _, i := range t.Incidents[:min(len(t.Incidents), most)] {
		until := i.Ended
		if until.IsZero() {
			until = now
		}
		s.Incidents = append(s.Incidents, incident{
			i, Link(i.Service, i.SLO), length(until.Sub(i.Start)), i.Ended.IsZero(), i.Judged - min(i.Good, i.Judged),
		})
	}
	for _, e := range t.Events {
		text, class := words(e)
		s.Events = append(s.Events, happening{e.AsOf, text, e.Service, e.SLO, Link(e.Service, e.SLO), class})
	}
	for _, e := range t.Exclusions[:min(len(t.Exclusions), most)] {
		word, class := "over", "quiet"
		switch {
		case now.Before(e.From):
			word = "ahead"
		case now.Before(e.To):
			word, class = "now", "warn"
		}
		s.Exclusions = append(s.Exclusions, exclusion{e, length(e.To.Sub(e.From)), word, class})
	}
	for _, d := range t.Deploys {
		s.Events = append(s.Events, happening{At: d.Last, Text: "version " + d.Version + " deployed", Service: d.Service})
	}
	slices.SortStableFunc(s.Events, func(a, b happening) int { return b.At.Compare(a.At) })
	s.Events = s.Events[:min(len(s.Events), most)]
	return s
}

// words says what an event is.
func words(e slo.Event) (text, class string) {
	severity := map[slo.Severity]string{slo.SeverityPage: "page", slo.SeverityTicket: "ticket"}[e.Severity]
	switch e.Kind {
	case slo.BudgetSpent:
		return fmt.Sprintf("%d\u00a0%% of the error budget is spent", e.Spent), "warn"
	case slo.BudgetExhausted:
		return "error budget exhausted", "bad"
	case slo.BudgetRecovered:
		for _, mark := range []uint8{25, 50, 75, 90, 100} {
			if mark > e.Spent {
				return fmt.Sprintf("error budget recovered: less than %d\u00a0%% is spent", mark), "good"
			}
		}
		return "error budget recovered", "good"
	case slo.IncidentDetected:
		return "incident detected: " + severity, "bad"
	case slo.IncidentSeverity:
		return "incident is now a " + severity, "warn"
	case slo.IncidentEnded:
		return "incident over", "good"
	}
	return string(e.Kind), ""
}
