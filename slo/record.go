package slo

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
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
	"budget_seconds, budget_window, budgeted, good, total, judged, windows, burns, alerts, engine, written)"

// Row returns the values of a row.
func (r *Record) Row() []any {
	windows := make([][]any, len(r.Windows))
	for i, w := range r.Windows {
		windows[i] = []any{w.Name, uint32(w.Seconds), w.Good, w.Total, w.Judged}
	}
	var burns []string
	if r.composite {
		for _, w := range append(slices.Clone(r.Windows), r.Window) {
			burns = append(burns, w.Burn.String())
		}
	}
	alerts := make([][]any, len(r.Alerts))
	for i, a := range r.Alerts {
		alerts[i] = []any{string(a.Severity), a.Start}
	}
	return []any{
		r.AsOf, r.Service, r.SLO, string(r.State), string(r.Severity), r.Objective.String(), uint32(r.Window.Seconds),
		r.Window.Name, !r.unbudgeted, r.Window.Good, r.Window.Total, r.Window.Judged, windows, burns, alerts,
		r.Engine, r.Written,
	}
}

const recordColumns = `asof, service, slo, state, severity, objective, budget_seconds, budget_window, budgeted,
    good, total, judged, windows.name, windows.seconds, windows.good, windows.total, windows.judged, burns,
    alerts.severity, alerts.since, engine, written`

// SelectLatest is a query for the last record of each SLO that was written after a moment.
func SelectLatest(after time.Time) string {
	return fmt.Sprintf(`SELECT %s
FROM %s
WHERE asof >= toDateTime(%d) AND written >= toDateTime(%d)
ORDER BY service, slo, written DESC
LIMIT 1 BY service, slo`, recordColumns, schema.SLOStatus, after.Add(-7*day).Unix(), after.Unix())
}

// SelectJudged is a query for the services and names of the SLOs that were judged after a moment.
func SelectJudged(after time.Time) string {
	return fmt.Sprintf(`SELECT DISTINCT service, slo
FROM %s
WHERE asof >= toDateTime(%d)
ORDER BY service, slo
LIMIT 100000`, schema.SLOStatus, after.Unix())
}

// ReadJudged reads the answer to [SelectJudged].
func ReadJudged(rows Rows) ([][2]string, error) {
	var judged [][2]string
	for rows.Next() {
		var service, name string
		if err := rows.Scan(&service, &name); err != nil {
			return nil, fmt.Errorf("read statuses: %w", err)
		}
		judged = append(judged, [2]string{service, name})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	return judged, nil
}

// reportedWithin is how long before a moment a record may have been made to say how things stood then.
const reportedWithin = day

// SelectReported is a query for what was last reported of an SLO as of a moment or up to a day before.
func SelectReported(service, name string, at time.Time) string {
	return fmt.Sprintf(`SELECT %s
FROM %s
WHERE service = %s AND slo = %s AND asof <= toDateTime(%d) AND asof > toDateTime(%d)
ORDER BY asof DESC, written DESC
LIMIT 1`, recordColumns, schema.SLOStatus, quote(service), quote(name), at.Unix(), at.Add(-reportedWithin).Unix())
}

// ReadRecords reads the answer to [SelectLatest] or [SelectReported]. The ratios follow from the counts anew, or of a
// composite from its burn rates.
func ReadRecords(rows Rows) ([]Record, error) {
	var records []Record
	for rows.Next() {
		var (
			r                     Record
			state, severity, text string
			budgetSeconds         uint32
			budgetWindow          string
			budgeted              bool
			names, burns          []string
			severities            []string
			seconds               []uint32
			good, total, judged   []uint64
			since                 []time.Time
			budget                Count
			counts                Counts
		)
		err := rows.Scan(&r.AsOf, &r.Service, &r.SLO, &state, &severity, &text, &budgetSeconds, &budgetWindow,
			&budgeted, &budget.Good, &budget.Total, &budget.Judged, &names, &seconds, &good, &total, &judged, &burns,
			&severities, &since, &r.Engine, &r.Written)
		if err != nil {
			return nil, fmt.Errorf("read statuses: %w", err)
		}
		agree := len(seconds) == len(names) && len(good) == len(names) && len(total) == len(names) &&
			len(judged) == len(names) && len(severities) == len(since) && (len(burns) == 0 || len(burns) == len(names)+1)
		objective, err := Decimal(text)
		if err != nil || !agree || objective.rat.Sign() <= 0 || objective.rat.Cmp(one) >= 0 {
			return nil, fmt.Errorf("read statuses: the row of %s of %s at %s is damaged", r.SLO, r.Service, r.AsOf)
		}
		s := SLO{
			Name: r.SLO, Title: r.SLO, Service: r.Service, Objective: objective,
			Window: time.Duration(budgetSeconds) * time.Second, Unbudgeted: !budgeted,
		}
		budget.Window = s.budgetWindow(r.AsOf)
		budget.Name = cmp.Or(budgetWindow, budget.Name)
		for i := range names {
			w := Window{names[i], time.Duration(seconds[i]) * time.Second}
			counts.Windows = append(counts.Windows, Count{w, min(good[i], judged[i]), total[i], judged[i]})
		}
		budget.Good = min(budget.Good, budget.Judged)
		counts.Budget = budget
		r.Status = Evaluate(&s, r.AsOf.UTC(), counts, true)
		r.State, r.Severity = State(state), Severity(severity)
		if !r.burned(burns) {
			return nil, fmt.Errorf("read statuses: a burn rate of %s of %s at %s is damaged", r.SLO, r.Service, r.AsOf)
		}
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

var burnForm = regexp.MustCompile(`^[0-9]{1,30}(\.[0-9]{1,12})?$`)

// burned sets the burn rates of a composite, which do not follow from its counts. It reports whether all are numbers.
func (r *Record) burned(burns []string) bool {
	if len(burns) == 0 {
		return true
	}
	r.composite = true
	set := func(w *WindowStatus, text string) bool {
		w.Burn, w.ErrorRatio = Number{}, Number{}
		if text == w.Burn.String() {
			return true
		}
		if !burnForm.MatchString(text) {
			return false
		}
		burn, _ := new(big.Rat).SetString(text)
		w.Burn, w.ErrorRatio = rat(burn), rat(new(big.Rat).Mul(burn, r.Budget.rat))
		return true
	}
	for i := range r.Windows {
		if !set(&r.Windows[i], burns[i]) {
			return false
		}
	}
	ok := set(&r.Window, burns[len(r.Windows)])
	if r.Remaining = (Number{}); r.Window.Burn.Valid() && !r.unbudgeted {
		r.Remaining = rat(new(big.Rat).Sub(one, r.Window.Burn.rat))
	}
	return ok
}
