package alerts

import (
	"slices"

	"github.com/sockeye-project/sockeye/slo"
)

// budget records what was counted in the budget window. That of counters is summed from the steps in it: Prometheus would read
// it whole at every evaluation otherwise.
func (w *writer) budget(used []slo.Window) error {
	s := w.slo
	name := s.BudgetName()
	if !w.budgeted() || slices.ContainsFunc(used, func(o slo.Window) bool { return o.Name == name }) {
		return nil
	}
	if w.groups || w.options.Metrics == slo.Buckets || s.Slice() > 0 && s.Calendar != nil {
		q, err := w.budgetPromQL(w.plain(recordJudged, name))
		if err != nil {
			return err
		}
		w.record(recordJudged, name, q.Judged)
		w.record(recordBad, name, q.Bad)
	} else {
		step := w.step()
		of := slo.PromDuration(step)
		if at := slices.IndexFunc(used, func(o slo.Window) bool { return o.Length == step }); at >= 0 {
			of = used[at].Name
		} else {
			q, err := s.PromQL(step, w.options.Metrics, w.plain(recordJudged, of))
			if err != nil {
				return err
			}
			w.record(recordJudged, of, q.Judged)
			w.record(recordBad, of, q.Bad)
		}
		for _, record := range []string{recordJudged, recordBad} {
			expr := slo.PromSteps(w.of(record, of), s.Longest(), step, w.start)
			if open := s.OpenPromQL(w.options.Metrics); open != "" && record == recordJudged {
				// Those that are open are so once, not once in every step.
				q, err := s.Ended().PromQL(step, w.options.Metrics, "")
				if err != nil {
					return err
				}
				expr = "sum(" + slo.PromSteps("("+q.Judged+")", s.Longest(), step, w.start) + " or " + open + ")"
			}
			w.record(record, name, expr)
		}
	}
	w.record(recordRatio, name, w.ratio(name))
	return nil
}

func (w *writer) budgetPromQL(judged string) (slo.PromQL, error) {
	s := w.slo
	kept := ""
	if w.groups {
		kept = w.of(recordGroupKept, "")
	}
	switch {
	case w.groups && s.Slice() == 0 && w.options.Metrics == slo.Counters:
		step := w.step()
		of := func(record string) string {
			return slo.PromSteps(w.whole(record, slo.PromDuration(step)), s.Longest(), step, w.start)
		}
		all := of(recordGroupJudged)
		if open := s.OpenPromQL(w.options.Metrics); open != "" {
			all += " or " + open
		}
		return slo.PromQL{Judged: s.PromFold(all, kept), Bad: s.PromFold(of(recordGroupBad), kept) + " or 0 * " + judged}, nil
	case w.sliced():
		of := func(record string) string { return slo.PromSteps(w.ended(record), s.Longest(), s.Slice(), w.start) }
		return slo.PromQL{Judged: of(recordSliceJudged), Bad: "sum(" + of(recordSliceBad) + ") or 0 * " + judged}, nil
	default:
		return s.BudgetPromQL(w.options.Metrics, w.start, judged, kept)
	}
}

// remaining records what is left of the budget.
func (w *writer) remaining() {
	if !w.budgeted() {
		return
	}
	name := w.slo.BudgetName()
	if len(w.slo.Members) > 0 {
		w.record(recordRemaining, name, "1 - "+w.of(recordBurn, name))
		return
	}
	w.record(recordRemaining, name, "1 - "+w.of(recordRatio, name)+" / "+w.slo.Budget().String())
}
