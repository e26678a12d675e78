package page

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

type windowRow struct {
	slo.WindowStatus
	Bar  windowBar
	Real string // its length, if it is scaled
}

type ruleRow struct {
	slo.RuleStatus
	LongBurn, ShortBurn slo.Number
}

type detail struct {
	common
	slo.Status
	Question string
	Badge    badge
	Left     meter
	Allowed  string
	Until    time.Time // what is now does not count up to then
	Excluded string    // how much of the budget window does not count
	Forecast string
	Pace     string
	Alerts   []firing
	More     int
	Windows  []windowRow
	Rules    []ruleRow
	Budget   budgetChart
	Minutes  minuteChart
	Reasons  []reasons
	Story    story
	Formula  []string
	JSON     string
	Explain  string
	// Whole and WholeURL are of the SLO that this is a group of.
	Whole, WholeURL string
	Groups, Folded  []row
	MoreGroups      int
}

type reasons struct {
	Dimension string
	Rows      []reason
}

type reason struct {
	slo.Burned
	Width float64
}

// none stands for the value of events that have none.
const none = "(none)"

// dimensions are the words for what bad events are told apart by.
var dimensions = map[string]string{"error_type": "Error type", "tenant": "Tenant", "region": "Region"}

// WriteSLO writes the page of one SLO.
func WriteSLO(w io.Writer, s Snapshot, definition *slo.SLO, st *slo.Status, d Detail) error {
	v := detail{
		common: frame(s), Status: *st, Question: definition.Description, Badge: badgeOf(st), Left: budgetMeter(st),
		Story: tell(d.Timeline, s.Now), Formula: definition.Formula(), Budget: newBudgetChart(d.Budget),
		Minutes: newMinuteChart(d.Minutes, d.From, d.To),
		JSON:    "/api/v1/slos?" + url.Values{"service": {st.Service}, "slo": {st.SLO}}.Encode(),
	}
	v.Until = excludedUntil(st, d.Exclusions)
	if st.ExcludedSeconds > 0 {
		v.Excluded = length(time.Duration(st.ExcludedSeconds) * time.Second)
	}
	v.Explain = strings.Replace(v.JSON, "/slos?", "/explain?", 1)
	v.PageTitle = fmt.Sprintf("%s: %s · Sockeye", v.Badge.Word, st.Title)
	if st.Remaining.Valid() && len(definition.Members) == 0 {
		v.Allowed = fmt.Sprintf("%s bad of %s that the objective allows", count(st.Window.Judged-st.Window.Good),
			grouped(st.Budget.Times(st.Window.Judged).Round(1)))
		if st.AsOf.Second() != 0 { // burn windows are ahead of it
			v.Allowed += ", up to the last full minute"
		}
	}
	v.Forecast, v.Pace = forecast(definition, st)
	whole, group := slo.GroupOf(st.SLO)
	if group {
		v.Whole, v.WholeURL = whole, Link(st.Service, whole)
	} else {
		of := families(slices.DeleteFunc(slices.Clone(s.SLOs), func(o slo.Status) bool {
			name, _ := slo.GroupOf(o.SLO)
			return o.Service != st.Service || name != st.SLO
		}))
		v.Groups, v.Folded, v.MoreGroups = of[0].groupRows()
	}
	var alerts []Alert
	for _, a := range s.Alerts {
		if of, _ := slo.GroupOf(a.SLO); a.Service == st.Service && (a.SLO == st.SLO || of == st.SLO) {
			alerts = append(alerts, a)
		}
	}
	v.Alerts, v.More = cut(alerts, s.Now)
	for _, win := range st.Windows {
		r := windowRow{WindowStatus: win, Bar: newWindowBar(st, win)}
		if scaled([]slo.WindowStatus{win}) != "" {
			r.Real = length(time.Duration(win.Seconds) * time.Second)
		}
		v.Windows = append(v.Windows, r)
	}
	for _, r := range st.Rules {
		v.Rules = append(v.Rules, ruleRow{r, window(st, r.Long).Burn, window(st, r.Short).Burn})
	}
	for _, b := range d.Burned {
		if b.Value == "" {
			b.Value = none
		}
		word := cmp.Or(dimensions[b.Dimension], b.Dimension)
		if n := len(v.Reasons); n == 0 || v.Reasons[n-1].Dimension != word {
			v.Reasons = append(v.Reasons, reasons{Dimension: word})
		}
		last := &v.Reasons[len(v.Reasons)-1]
		last.Rows = append(last.Rows, reason{b, 100 * min(1, max(0, b.Share.Float64()))})
	}
	// A dimension that has no values says nothing.
	v.Reasons = slices.DeleteFunc(v.Reasons, func(r reasons) bool {
		return len(r.Rows) == 1 && r.Rows[0].Value == none
	})
	return templates.ExecuteTemplate(w, "slo.html", v)
}

// forecast says when the budget will be spent, and at the pace of which window.
func forecast(definition *slo.SLO, st *slo.Status) (when, pace string) {
	f, ok := slo.NewForecast(definition, st)
	if !ok {
		return "", ""
	}
	when = length(f.Earliest.Sub(st.AsOf)) + " or more"
	if !f.Latest.IsZero() {
		when = length(f.Earliest.Sub(st.AsOf)) + " to " + length(f.Latest.Sub(st.AsOf))
	}
	return when, f.Over
}
