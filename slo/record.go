package slo

import (
	"fmt"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Since is an alert that fires and the asof at which it began to.
type Since struct {
	Severity Severity  `json:"severity"`
	Start    time.Time `json:"since"`
}

// Record is a row of the table of statuses: a status, the alerts that fired with it, and who wrote it.
type Record struct {
	Status
	Alerts  []Since   `json:"alerts"`
	Engine  string    `json:"engine"`
	Written time.Time `json:"written"`
}

// InsertRecords is the statement that [Record.Row] has the values for.
const InsertRecords = "INSERT INTO " + schema.SLOStatus + " (asof, service, slo, state, severity, objective, " +
	"budget_seconds, good, total, judged, windows, alerts, engine, written)"

// Row returns the values of a row.
func (r *Record) Row() []any {
	windows := make([][]any, len(r.Windows))
	for i, w := range r.Windows {
		windows[i] = []any{w.Name, uint32(w.Seconds), w.Good, w.Total, w.Judged}
	}
	alerts := make([][]any, len(r.Alerts))
	for i, a := range r.Alerts {
		alerts[i] = []any{string(a.Severity), a.Start}
	}
	return []any{
		r.AsOf, r.Service, r.SLO, string(r.State), string(r.Severity), r.Objective.String(), uint32(r.Window.Seconds),
		r.Window.Good, r.Window.Total, r.Window.Judged, windows, alerts, r.Engine, r.Written,
	}
}

const recordColumns = `asof, service, slo, state, severity, objective, budget_seconds, good, total, judged,
    windows.name, windows.seconds, windows.good, windows.total, windows.judged, alerts.severity, alerts.since,
    engine, written`

// SelectLatest is a query for the last record of each SLO that was written after a moment.
func SelectLatest(after time.Time) string {
	return fmt.Sprintf(`SELECT %s
FROM %s
WHERE asof >= toDateTime(%d) AND written >= toDateTime(%d)
ORDER BY service, slo, written DESC
LIMIT 1 BY service, slo`, recordColumns, schema.SLOStatus, after.Add(-7*day).Unix(), after.Unix())
}

// reportedWithin is how long before a moment a record may have been made to say how things stood then.
const reportedWithin = day

// SelectReported is a query for what was last reported of an SLO as of a moment or up to a day before.
func SelectReported(s *SLO, at time.Time) string {
	return fmt.Sprintf(`SELECT %s
FROM %s
WHERE service = %s AND slo = %s AND asof <= toDateTime(%d) AND asof > toDateTime(%d)
ORDER BY asof DESC, written DESC
LIMIT 1`, recordColumns, schema.SLOStatus, quote(s.Service), quote(s.Name), at.Unix(), at.Add(-reportedWithin).Unix())
}

// ReadRecords reads the answer to [SelectLatest] or [SelectReported]. The ratios follow from the counts anew.
func ReadRecords(rows Rows) ([]Record, error) {
	var records []Record
	for rows.Next() {
		var (
			r                     Record
			state, severity, text string
			budgetSeconds         uint32
			names, severities     []string
			seconds               []uint32
			good, total, judged   []uint64
			since                 []time.Time
			budget                Count
			counts                Counts
		)
		err := rows.Scan(&r.AsOf, &r.Service, &r.SLO, &state, &severity, &text, &budgetSeconds, &budget.Good, &budget.Total,
			&budget.Judged, &names, &seconds, &good, &total, &judged, &severities, &since, &r.Engine, &r.Written)
		if err != nil {
			return nil, fmt.Errorf("read statuses: %w", err)
		}
		agree := len(seconds) == len(names) && len(good) == len(names) && len(total) == len(names) &&
			len(judged) == len(names) && len(severities) == len(since)
		objective, err := Decimal(text)
		if err != nil || !agree || objective.rat.Sign() <= 0 || objective.rat.Cmp(one) >= 0 {
			return nil, fmt.Errorf("read statuses: the row of %s of %s at %s is damaged", r.SLO, r.Service, r.AsOf)
		}
		s := SLO{
			Name: r.SLO, Title: r.SLO, Service: r.Service, Objective: objective,
			Window: time.Duration(budgetSeconds) * time.Second,
		}
		budget.Window = s.budgetWindow(r.AsOf)
		for i := range names {
			w := Window{names[i], time.Duration(seconds[i]) * time.Second}
			counts.Windows = append(counts.Windows, Count{w, min(good[i], judged[i]), total[i], judged[i]})
		}
		budget.Good = min(budget.Good, budget.Judged)
		counts.Budget = budget
		r.Status = Evaluate(&s, r.AsOf.UTC(), counts, true)
		r.State, r.Severity = State(state), Severity(severity)
		for i := range since {
			r.Alerts = append(r.Alerts, Since{Severity(severities[i]), since[i].UTC()})
		}
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	return records, nil
}
