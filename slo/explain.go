package slo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Explanation is how an SLO's numbers come about.
type Explanation struct {
	// Formula says in words what is counted.
	Formula []string `json:"formula"`
	// SQL counts all of it, from minutes and quarters of hours, and is what Status was computed from.
	SQL    string `json:"sql"`
	Status Status `json:"status"`
	// Exclusions are those that take time out of the budget window; Without is the status as it would be without them.
	Exclusions []Exclusion `json:"exclusions,omitempty"`
	Without    *Status     `json:"without_exclusions,omitempty"`
	// Measured is what was measured beside the threshold, if there is one; MeasuredSQL was asked for it.
	Measured    *Measured `json:"measured,omitempty"`
	MeasuredSQL string    `json:"measured_sql,omitempty"`
	// BurnedSQL was asked for Burned: what burned the budget most over the budget window.
	BurnedSQL string   `json:"burned_sql,omitempty"`
	Burned    []Burned `json:"burned"`
	// Forecast is when the budget will be exhausted, if what burns goes on.
	Forecast *Forecast `json:"forecast,omitempty"`
	// Members are those of a composite.
	Members []Explanation `json:"members,omitempty"`
}

// Burned is what events with one value of a dimension did to the budget.
type Burned struct {
	Dimension string `json:"dimension"`
	Value     string `json:"value"`
	Bad       uint64 `json:"bad"`
	// Share is that of all bad events, Spent that of the whole budget.
	Share Number `json:"share"`
	Spent Number `json:"spent"`
}

// burnedBy are the dimensions that bad events are told apart by.
var burnedBy = []string{schema.ErrorType, schema.Tenant, schema.Region}

// Formula says in words what the SLO counts.
func (s *SLO) Formula() []string {
	name := windowName(s)
	if len(s.Members) > 0 {
		lines := []string{fmt.Sprintf("burn rate = the %s of its members' burn rates, over %s",
			map[Combine]string{CombineWeighted: "weighted mean", CombineWorst: "highest"}[s.Combine], name)}
		for _, m := range s.Members {
			lines = append(lines, fmt.Sprintf("member %s: weight %s, objective %s %%", m.SLO.Name, m.Weight,
				m.SLO.Objective.Percent(10)))
		}
		return append(lines, s.alerts()...)
	}
	in := &s.Indicator
	unit := "events"
	if s.Budgeting.Slice != 0 {
		unit = fmt.Sprintf("slices of %s", s.Budgeting.Slice)
	} else if in.Measure != "" {
		unit = "minutes"
	}
	lines := []string{fmt.Sprintf("error ratio = bad / judged, in %s; burn rate = error ratio / %s", unit, s.Budget())}
	where := fmt.Sprintf("seen at %s, service %s", in.Vantage, s.Service)
	if in.Environment != "" {
		where += ", environment " + in.Environment
	}
	lines = append(lines, where)
	if in.Measure != "" {
		lines = append(lines, fmt.Sprintf("judged: %s in which %s is known", unit, in.Measure),
			fmt.Sprintf("good: those in which %s %s", in.Measure, in.Limit))
		if in.Measure == MeasureCount {
			lines = append(lines, "counted: "+in.Total.words())
		}
	} else {
		lines = append(lines, "judged: "+in.Total.words())
		hit := in.Hit.words()
		if in.Threshold != 0 {
			hit += fmt.Sprintf("; within %s, among those with a duration", in.Threshold)
		}
		lines = append(lines, map[bool]string{false: "good: ", true: "bad: "}[in.HitIsBad]+hit)
	}
	if len(in.Unjudged) > 0 {
		lines = append(lines, "neither good nor bad, but lowering the coverage: "+in.Unjudged.words())
	}
	lines = append(lines, fmt.Sprintf("budget: %s %% of what was judged over %s", s.Budget().Percent(10), name))
	return append(lines, s.alerts()...)
}

func windowName(s *SLO) string {
	if s.Calendar != nil {
		return "the calendar period of " + s.Calendar.name()
	}
	return s.budgetWindow(time.Time{}).Name
}

func (s *SLO) alerts() []string {
	var lines []string
	for _, r := range s.Rules {
		lines = append(lines, fmt.Sprintf("%s: %s", r.Severity, r))
	}
	if len(s.Rules) > 0 && !s.Unguarded && s.countsEvents() {
		lines = append(lines, fmt.Sprintf("an alert waits while so many bad events in the long window have a chance of %v "+
			"or more within the objective", guardChance))
	}
	return lines
}

// words lists the terms of a selection.
func (s Selection) words() string {
	terms := make([]string, len(s))
	for i, t := range s {
		terms[i] = t.String()
	}
	return strings.Join(terms, ", or ")
}

// SelectBurned is a query for the values of the error type, the tenant and the region with the most bad events over the
// budget window: so many of each. It is empty for an SLO that does not count events, and
// for the group that others fold into.
func SelectBurned(s *SLO, asof time.Time, most int) string {
	if !s.listable() {
		return ""
	}
	in := &s.Indicator
	pairs := make([]string, len(burnedBy))
	for i, d := range burnedBy {
		pairs[i] = fmt.Sprintf("(%s, toString(%s))", quote(d), d)
	}
	columns := []string{in.judged()}
	if in.Threshold != 0 {
		columns = append(columns, schema.DurationColumn(in.Threshold))
	}
	return fmt.Sprintf(`SELECT pair.1 AS dimension, pair.2 AS value, toUInt64(greatest(0, sum(%s))) AS bad
FROM
(
%s
)
ARRAY JOIN [%s] AS pair
GROUP BY dimension, value
HAVING bad > 0
ORDER BY bad DESC, value
LIMIT %d BY dimension`, in.bad(), indent(s.budgetRows(asof, columns...)), strings.Join(pairs, ", "), most)
}

// budgetRows selects the rows of the budget window that the SLO looks at: all dimensions, and measures.
func (s *SLO) budgetRows(asof time.Time, measures ...string) string {
	table, step := schema.Rollup1m, s.step()
	if s.long() {
		table = schema.Rollup15m
	}
	end := floor(asof, step)
	from := end.Add(-s.budgetWindow(end).Length)
	if table == schema.Rollup1m && end.Unix()-from.Unix() >= coverFrom {
		minutes, quarters := cover(s.countedIn(interval{from.Unix(), end.Unix()}))
		return rowsOf(table, minutes, quarters, "\n    AND "+s.narrow(), reading(append(schema.Dimensions(), measures...)...))
	}
	return "SELECT * FROM " + table + "\nWHERE " + s.rows(from, end) + s.counting(step)
}

// judged is the measure of judged events.
func (in *Indicator) judged() string {
	if in.Threshold != 0 {
		return schema.DurationCount
	}
	return schema.Judged
}

// bad is the expression of one row's bad events. Summed, it may be below 0 where hits are counted apart from their total.
func (in *Indicator) bad() string {
	hit := in.judged()
	if in.Threshold != 0 {
		hit = schema.DurationColumn(in.Threshold)
	}
	hits := fmt.Sprintf("toInt64(if(%s, %s, 0))", in.Hit.SQL(), hit)
	if in.HitIsBad {
		return hits
	}
	return fmt.Sprintf("toInt64(if(%s, %s, 0)) - %s", in.Total.SQL(), in.judged(), hits)
}

// rows is the condition of the rows of a time that the SLO looks at.
func (s *SLO) rows(from, to time.Time) string {
	return fmt.Sprintf("bucket >= toDateTime(%d) AND bucket < toDateTime(%d)\n    AND %s", from.Unix(), to.Unix(),
		s.narrow())
}

// narrow is the condition of the rows that the SLO looks at.
func (s *SLO) narrow() string {
	in := &s.Indicator
	var events []string
	for _, t := range in.terms() {
		events = append(events, t.Event)
	}
	slices.Sort(events)
	where := []string{
		schema.Service + " = " + quote(s.Service), schema.Vantage + " = " + quote(in.Vantage),
		schema.EventName + " IN (" + quoteAll(slices.Compact(events)) + ")",
	}
	if in.Environment != "" {
		where = append(where, schema.Environment+" = "+quote(in.Environment))
	}
	return strings.Join(where, "\n    AND ")
}

// ReadBurned reads the answer to [SelectBurned].
func ReadBurned(rows Rows, st *Status) ([]Burned, error) {
	burned := []Burned{}
	for rows.Next() {
		var b Burned
		if err := rows.Scan(&b.Dimension, &b.Value, &b.Bad); err != nil {
			return nil, fmt.Errorf("read what burned: %w", err)
		}
		b.Share = Ratio(b.Bad, st.Window.Judged-st.Window.Good)
		if ratio := Ratio(b.Bad, st.Window.Judged); ratio.Valid() {
			b.Spent = rat(ratio.rat.Quo(ratio.rat, st.Budget.rat))
		}
		burned = append(burned, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what burned: %w", err)
	}
	slices.SortStableFunc(burned, func(a, b Burned) int {
		return slices.Index(burnedBy, a.Dimension) - slices.Index(burnedBy, b.Dimension)
	})
	return burned, nil
}

// WriteExplanation writes an explanation for a terminal.
func WriteExplanation(w io.Writer, e Explanation) error {
	var b strings.Builder
	e.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *Explanation) write(b *strings.Builder) {
	st := &e.Status
	fmt.Fprintf(b, "%s of %s: %s, as of %s\n\n", st.SLO, st.Service, st.State, second(st.AsOf))
	for _, line := range e.Formula {
		fmt.Fprintf(b, "  %s\n", line)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "WINDOW\tBAD\tJUDGED\tTOTAL\tERROR RATIO\tBURN\t")
	for _, win := range append(slices.Clone(st.Windows), st.Window.ofBudget()) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t\n", win.Name, win.Judged-win.Good, win.Judged, win.Total,
			share(win.ErrorRatio, 4), win.Burn.Round(2))
	}
	_ = t.Flush()
	for _, r := range st.Rules {
		if r.Guarded {
			fmt.Fprintf(b, "\n%s over %s and %s waits: so many bad events have a chance of %.2g within the objective\n",
				r.Severity, r.Long, r.Short, r.Chance)
		}
	}
	if e.Without != nil {
		writeExclusions(b, e.Exclusions, st)
		fmt.Fprintf(b, "budget left %s; with all time counted %s, %s\n", share(st.Remaining, 2),
			share(e.Without.Remaining, 2), e.Without.State)
	}
	if e.Forecast != nil {
		fmt.Fprintf(b, "\nat the rate of the last %s the budget is exhausted %s (%v %% sure: %s to %s)\n", e.Forecast.Over,
			moment(e.Forecast.Expected), ForecastConfidence*100, moment(e.Forecast.Earliest), moment(e.Forecast.Latest))
	}
	if e.Measured != nil {
		e.Measured.write(b, st.Window.Name)
	}
	if len(e.Burned) > 0 {
		fmt.Fprintf(b, "\nWhat burned the budget of %s\n", st.Window.Name)
		t := tabwriter.NewWriter(b, 2, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  BY\tVALUE\tBAD\tOF ALL BAD\tOF THE BUDGET")
		for _, v := range e.Burned {
			fmt.Fprintf(t, "  %s\t%s\t%d\t%s\t%s\n", v.Dimension, cmp.Or(v.Value, "(none)"), v.Bad, share(v.Share, 1),
				share(v.Spent, 1))
		}
		_ = t.Flush()
	}
	fmt.Fprintf(b, "\n%s\n", e.SQL)
	if e.MeasuredSQL != "" {
		fmt.Fprintf(b, "\n%s\n", e.MeasuredSQL)
	}
	if e.BurnedSQL != "" {
		fmt.Fprintf(b, "\n%s\n", e.BurnedSQL)
	}
	for i := range e.Members {
		b.WriteString("\n")
		e.Members[i].write(b)
	}
}

// ofBudget is a budget window under a name that no other window has.
func (w WindowStatus) ofBudget() WindowStatus {
	w.Name += " budget"
	return w
}

func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// Past is how an SLO stood at a moment: as it was reported then, and as is known now that late events have come.
type Past struct {
	Reported Record `json:"reported"`
	Known    Status `json:"known"`
	// Exclusions are those that take time out of Known's budget window.
	Exclusions []Exclusion `json:"exclusions,omitempty"`
	// Complete says that all of what Known counts is still kept.
	Complete bool `json:"complete"`
}

// NewPast compares a record with what is counted now for its asof, where exclusions are in force.
func NewPast(s *SLO, reported Record, counts Counts, exclusions []Exclusion, now time.Time) Past {
	known := Evaluate(s, reported.AsOf, counts, reported.State != StateNoData)
	return Past{
		Reported: reported, Known: known,
		Exclusions: Excluding(s, exclusions, known.AsOf.Add(-time.Duration(known.Window.Seconds)*time.Second), known.AsOf),
		Complete:   s.long() || reported.AsOf.Add(-max(s.Window, 3*day)).After(now.Add(-minuteRetention)),
	}
}

// WritePast writes it for a terminal, window by window.
func WritePast(w io.Writer, p Past) error {
	var b strings.Builder
	r, k := &p.Reported, &p.Known
	fmt.Fprintf(&b, "%s of %s as of %s\n", r.SLO, r.Service, second(r.AsOf))
	alert := func(s Severity) string { return cmp.Or(string(s), "no alert") }
	fmt.Fprintf(&b, "reported %s by %s: %s, %s, budget left %s\n", second(r.Written), r.Engine, r.State, alert(r.Severity),
		share(r.Remaining, 2))
	fmt.Fprintf(&b, "as known now: %s, %s, budget left %s\n\n", k.State, alert(k.Severity), share(k.Remaining, 2))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "WINDOW\tREPORTED BAD\tJUDGED\tBURN\tNOW BAD\tJUDGED\tBURN\t")
	known := map[string]WindowStatus{}
	for _, win := range k.Windows {
		known[win.Name] = win
	}
	row := func(a, b WindowStatus) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%s\t\n", a.Name, a.Judged-a.Good, a.Judged, a.Burn.Round(2),
			b.Judged-b.Good, b.Judged, b.Burn.Round(2))
	}
	for _, win := range r.Windows {
		row(win, known[win.Name])
	}
	row(r.Window.ofBudget(), k.Window)
	_ = t.Flush()
	if r.Objective.String() != k.Objective.String() {
		fmt.Fprintf(&b, "\nthe objective was %s %% then and is %s %% now\n", r.Objective.Percent(10), k.Objective.Percent(10))
	}
	writeExclusions(&b, p.Exclusions, k)
	if !p.Complete {
		fmt.Fprintf(&b, "\nsome of what was counted then is no longer kept, so what is known now is less\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
