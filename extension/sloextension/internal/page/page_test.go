package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const hostile = `<script>alert("x")</script>'&/`

// example is a snapshot with an SLO in each state, and the definitions in the order of its SLOs.
func example(t testing.TB) (Snapshot, []slo.SLO) {
	t.Helper()
	definitions, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat", hostile}})
	require.NoError(t, err)
	counts := func(bad, judged, total, budgetBad uint64) slo.Counts {
		var c slo.Counts
		for _, w := range slo.BurnWindows() {
			c.Windows = append(c.Windows, slo.Count{Window: w, Good: judged - bad, Judged: judged, Total: total})
		}
		c.Budget = slo.Count{Window: slo.Window{Name: "30d", Length: 30 * 24 * time.Hour}, Good: 1_000_000 - budgetBad, Judged: 1_000_000, Total: 1_000_000}
		return c
	}
	var statuses []slo.Status
	for i := range definitions[:6] {
		c, live := []slo.Counts{
			counts(30, 1000, 1000, 400), // auth-availability: burns
			counts(0, 1000, 1000, 0),    // auth-latency: OK
			counts(1, 1000, 1000, 6000), // auth-success: exhausted
			counts(0, 0, 0, 12),         // connection-availability: no traffic
			counts(0, 900, 1000, 1),     // connection-success: low coverage
			counts(0, 1000, 1000, 1),    // of the hostile name: no data
		}[i], i != 5
		statuses = append(statuses, slo.Evaluate(&definitions[i], epoch, c, live))
	}
	statuses[0].RunbookURL = "https://example.com/runbook"
	slices.SortFunc(statuses, Worst)
	var sorted []slo.SLO
	for _, st := range statuses {
		i := slices.IndexFunc(definitions, func(s slo.SLO) bool { return s.Service == st.Service && s.Name == st.SLO })
		sorted = append(sorted, definitions[i])
	}
	return Snapshot{
		Engine: "test", Now: epoch.Add(12 * time.Second), AsOf: epoch, Watermark: epoch, Live: []string{"edge"},
		Silent: []string{"app"}, Backlog: 12_345, SLOs: statuses,
		Alerts: []Alert{
			{
				Name: "ErrorBudgetBurn", Severity: "page", Service: "chat", SLO: "auth-availability", Summary: "It burns", Description: "Fast.",
				Since: epoch.Add(-time.Hour), RunbookURL: "https://example.com/runbook", DashboardURL: "javascript:alert(1)",
				Page: Link("chat", "auth-availability"),
			},
			{Name: "SourceSilent", Severity: "ticket", Summary: "Source app reports nothing", Description: "Since " + hostile, Since: epoch},
		},
	}, sorted
}

func exampleDetail() Detail {
	at := func(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }
	d := Detail{
		Timeline: Timeline{
			Incidents: []slo.Incident{
				{Service: "chat", SLO: "auth-availability", Start: at(-70), Detected: at(-60), Severity: slo.SeverityPage, Good: 970, Judged: 1000, Total: 1000},
				{Service: hostile, SLO: hostile, Start: at(-700), Detected: at(-690), Ended: at(-600), Severity: slo.SeverityTicket, Good: 9, Judged: 10, Total: 12},
			},
			Events: []slo.Event{
				{Service: "chat", SLO: "auth-availability", Kind: slo.BudgetSpent, Spent: 25, AsOf: at(-50)},
				{Service: "chat", SLO: "auth-availability", Kind: slo.IncidentDetected, Severity: slo.SeverityPage, AsOf: at(-60)},
				{Service: hostile, SLO: hostile, Kind: slo.IncidentEnded, AsOf: at(-600)},
			},
			Deploys: []slo.Deploy{{Service: "chat", Version: "1.14.2", First: at(-55), Last: at(-55)}},
			Exclusions: []slo.Exclusion{
				{ID: "00c0ffee", Version: 1, Service: "chat", Reason: "game day", From: at(1000), To: at(1060)},
				{ID: "0badcafe", Version: 1, Service: "chat", SLO: "auth-latency", Reason: "load test", From: at(-5), To: at(30)},
				{ID: "0ff1ce00", Version: 2, Service: "chat", Reason: hostile, From: at(-300), To: at(-200)},
			},
		},
		From: at(-180), To: epoch,
		Minutes: []slo.Minute{{At: at(-62), Bad: 10, Judged: 100, Total: 100}, {At: at(-61), Bad: 20, Judged: 1900, Total: 1900}},
		Burned: []slo.Burned{
			{Dimension: "error_type", Value: "idp_timeout", Bad: 300, Share: slo.Ratio(300, 400), Spent: slo.Ratio(3, 10)},
			{Dimension: "error_type", Value: hostile, Bad: 100, Share: slo.Ratio(100, 400), Spent: slo.Ratio(1, 10)},
			{Dimension: "tenant", Value: "", Bad: 400, Share: slo.Ratio(1, 1), Spent: slo.Ratio(4, 10)},
		},
	}
	for i, left := range []uint64{90, 80, 0, 70, 60} {
		p := slo.Spending{AsOf: at(60 * (i - 4)), Remaining: slo.Ratio(left, 100)}
		if left == 0 {
			p.Remaining = slo.Number{}
		}
		d.Budget = append(d.Budget, p)
	}
	return d
}

func TestPagesAreAsReviewed(t *testing.T) {
	t.Parallel()
	s, definitions := example(t)
	d := exampleDetail()
	for name, write := range map[string]func(io.Writer) error{
		"overview": func(w io.Writer) error { return WriteOverview(w, s, d.Timeline, Filter{Page: 1}) },
		"slo":      func(w io.Writer) error { return WriteSLO(w, s, &definitions[0], &s.SLOs[0], d) },
		"unknown": func(w io.Writer) error {
			blind := Snapshot{Engine: "test", Now: epoch, Trouble: "connect: refused"}
			return WriteOverview(w, blind, Timeline{Trouble: "the store does not answer"}, Filter{Page: 1})
		},
	} {
		var b bytes.Buffer
		require.NoError(t, write(&b))
		golden.Assert(t, "testdata/"+name+".golden.html", b.Bytes())
		requireSound(t, b.String())
	}
}

// requireSound looks for what names may smuggle in, and for elements that are not closed.
func requireSound(t testing.TB, html string) {
	t.Helper()
	require.NotContains(t, html, "<script>")
	require.NotContains(t, html, "javascript:")
	require.NotContains(t, html, "ZgotmplZ\"></a>")
	require.NotContains(t, html, " style=")
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(html, "<!doctype html>")))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	depth := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	require.Zero(t, depth)
}

func TestStatesAreInWords(t *testing.T) {
	t.Parallel()
	s, definitions := example(t)
	require.Len(t, badges, len(slo.States()))
	shapes := map[string]bool{}
	for _, state := range slo.States() {
		require.NotEmpty(t, badges[state].Word)
		require.Contains(t, urgency, state)
		shapes[badges[state].Shape] = true
	}
	require.Len(t, shapes, len(slo.States()), "each has its shape")
	for i := range s.SLOs {
		var b bytes.Buffer
		require.NoError(t, WriteSLO(&b, s, &definitions[i], &s.SLOs[i], Detail{}))
		require.Contains(t, b.String(), badges[s.SLOs[i].State].Word+"</span>")
		require.Contains(t, b.String(), badges[s.SLOs[i].State].Meaning)
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	t.Parallel()
	s, _ := example(t)
	var states []slo.State
	for _, st := range s.SLOs {
		states = append(states, st.State)
	}
	require.Equal(t, []slo.State{
		slo.StateBurning, slo.StateExhausted, slo.StateNoData, slo.StateLowCoverage, slo.StateNoTraffic, slo.StateOK,
	}, states, "what pages stands before a budget that is gone")
}

func TestHeadlines(t *testing.T) {
	t.Parallel()
	of := func(states ...slo.State) (s Snapshot) {
		for _, state := range states {
			s.SLOs = append(s.SLOs, slo.Status{State: state})
		}
		return s
	}
	paging := of(slo.StateBurning, slo.StateBurning, slo.StateExhausted)
	paging.SLOs[0].Severity = slo.SeverityPage
	for want, s := range map[string]Snapshot{
		"1 budget exhausted, 2 SLOs burning, 1 page":   paging,
		"1 SLO burning, nothing pages":                 of(slo.StateBurning, slo.StateOK),
		"All 2 SLOs are OK":                            of(slo.StateOK, slo.StateOK),
		"1 SLO without data":                           of(slo.StateOK, slo.StateNoData),
		"No data: nothing is known about any SLO":      of(slo.StateNoData, slo.StateNoData),
		"1 SLO with low coverage":                      of(slo.StateOK, slo.StateLowCoverage),
		"Nothing burns; 1 SLO without traffic":         of(slo.StateOK, slo.StateNoTraffic),
		"Nothing has been evaluated yet":               {},
		"The engine cannot see: nothing is known":      {Trouble: "x"},
		"1 SLO burning, nothing pages\x00 with others": of(slo.StateBurning, slo.StateNoData),
	} {
		text, class := headline(s)
		want, _, _ = strings.Cut(want, "\x00")
		require.Equal(t, want, text)
		require.NotEmpty(t, class)
	}
}

// TestManySLOs: a page of ten thousand is as long as one of fifty.
func TestManySLOs(t *testing.T) {
	t.Parallel()
	s, _ := example(t)
	one := s.SLOs[0]
	s.SLOs = nil
	for i := range 10_000 {
		one.SLO = fmt.Sprintf("slo-%04d", i)
		s.SLOs = append(s.SLOs, one)
	}
	write := func(query string) string {
		var b bytes.Buffer
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		require.NoError(t, WriteOverview(&b, s, Timeline{}, ParseFilter(values)))
		require.Less(t, b.Len(), 200_000)
		return b.String()
	}
	first := write("")
	require.Equal(t, perPage, strings.Count(first, `class="burn"`))
	require.Contains(t, first, "1 to 50 of 10000")
	require.Contains(t, first, `href="/?page=2" rel="next"`)
	require.NotContains(t, first, `rel="prev"`)
	last := write("page=99999")
	require.Contains(t, last, "9951 to 10000 of 10000")
	require.NotContains(t, last, `rel="next"`)
	found := write("q=SLO-0042&state=burning")
	require.Equal(t, 1, strings.Count(found, `class="burn"`))
	require.Contains(t, found, `value="SLO-0042"`)
	require.Contains(t, write("q=nothing"), "No SLO is like that")
}

func TestNumbersKeepWhatMatters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ want, got string }{
		{"1,234,567", count(1_234_567)}, {"999", count(999)}, {"-1,297.9", grouped("-1297.9")},
		{"50\u00a0%", percent(slo.Ratio(1, 2), 2)}, {"< 0.01\u00a0%", percent(slo.Ratio(1, 1_000_000), 2)},
		{"> 99.99\u00a0%", percent(slo.Ratio(999_999, 1_000_000), 2)}, {"unknown", percent(slo.Number{}, 2)},
		{"0\u00a0%", percent(slo.Ratio(0, 5), 2)}, {"100\u00a0%", percent(slo.Ratio(5, 5), 2)},
		{"nothing counted", burn(slo.Number{})}, {"< 0.01", burn(slo.Ratio(1, 1000))}, {"0", burn(slo.Ratio(0, 1))}, {"14.4", burn(slo.Ratio(144, 10))},
		{"59\u00a0s", length(59 * time.Second)}, {"1\u00a0min 30\u00a0s", length(90 * time.Second)}, {"2\u00a0h", length(2 * time.Hour)},
		{"3\u00a0d 4\u00a0h", length(76 * time.Hour)}, {"0\u00a0s", length(-time.Hour)},
		{"/slo/chat/a%2Fb", Link("chat", "a/b")}, {"/slo?service=..&slo=x", Link("..", "x")}, {"/slo?service=&slo=x", Link("", "x")},
	} {
		require.Equal(t, tc.want, tc.got)
	}
}

func TestChartsStayInTheirBoxes(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 0.25, burnHeight(1), 1e-9)
	require.Zero(t, burnHeight(0))
	require.InDelta(t, 1, burnHeight(1e9), 0)
	c := newBudgetChart(exampleDetail().Budget)
	require.Len(t, c.Lines, 2, "nothing was known in between")
	require.Equal(t, "M0.0 10.0L250.0 20.0", c.Lines[0])
	require.InDelta(t, 100, c.Zero, 1e-9)
	require.False(t, newBudgetChart(exampleDetail().Budget[:1]).Known)
	at := func(hours int, left uint64, minus bool) slo.Spending {
		n := slo.Ratio(left, 100)
		if minus {
			require.NoError(t, n.UnmarshalJSON(fmt.Appendf(nil, "-%d", left)))
		}
		return slo.Spending{AsOf: epoch.Add(time.Duration(hours) * time.Hour), Remaining: n}
	}
	c = newBudgetChart([]slo.Spending{at(0, 100, false), at(1, 1, true)})
	require.Equal(t, []string{"M0.0 0.0L1000.0 100.0"}, c.Lines)
	require.InDelta(t, 50, c.Zero, 1e-9)
	require.Equal(t, "-100\u00a0%", c.Bottom)
	c = newBudgetChart([]slo.Spending{at(0, 100, false), at(1, 1000, true)})
	require.Equal(t, "-400\u00a0%", c.Bottom)
	require.Equal(t, []string{"M0.0 0.0L1000.0 100.0"}, c.Lines, "cut")
	m := newMinuteChart([]slo.Minute{{At: epoch, Judged: 5}, {At: epoch.Add(time.Minute), Bad: 2, Judged: 4}, {At: epoch.Add(time.Hour), Bad: 1}}, epoch, epoch.Add(10*time.Minute))
	require.Equal(t, []minuteBar{{100, 100, 0, 100}}, m.Bars)
}

// TestGroupsFoldBeneathTheirSLO: the worst three, the others by number, in the place of the worst of the family.
func TestGroupsFoldBeneathTheirSLO(t *testing.T) {
	t.Parallel()
	s, definitions := example(t)
	whole := definitions[slices.IndexFunc(definitions, func(d slo.SLO) bool { return d.Name == "auth-latency" })]
	whole.Grouping = slo.Grouping{By: []string{"tenant"}, Max: 20}
	status := slices.IndexFunc(s.SLOs, func(st slo.Status) bool { return st.SLO == whole.Name })
	require.Equal(t, slo.StateOK, s.SLOs[status].State)
	for i := range 20 {
		group := whole.Group([]string{fmt.Sprintf("%s %d", hostile, i)})
		named, ok := whole.GroupNamed(group.Name)
		require.True(t, ok)
		require.Equal(t, group, named)
		st := s.SLOs[status]
		st.SLO, st.Title = group.Name, group.Title
		if i == 13 {
			st.State, st.Severity = slo.StateExhausted, slo.SeverityPage
		}
		s.SLOs = append(s.SLOs, st)
	}
	slices.SortFunc(s.SLOs, Worst)
	render := func(f Filter) string {
		var b bytes.Buffer
		require.NoError(t, WriteOverview(&b, s, Timeline{}, f))
		return b.String()
	}
	all := render(Filter{Page: 1})
	require.Equal(t, 6+3, strings.Count(all, `<td role="cell" class="state">`))
	require.Equal(t, 3, strings.Count(all, `class="group"`))
	require.Contains(t, all, `#groups">17 more groups</a>`)
	require.Less(t, strings.Index(all, "Authentication latency"), strings.Index(all, "Authentication success"), "it has the worst group")
	require.Contains(t, all, "All <b>6</b>", "groups are no SLOs of their own")
	paging := render(Filter{State: slo.StateExhausted, Page: 1})
	require.Equal(t, 1, strings.Count(paging, `class="group"`))
	require.Contains(t, paging, "19 more groups")
	found := render(Filter{Search: hostile + " 7", Page: 1})
	require.Equal(t, 1, strings.Count(found, `class="group"`))
	require.Equal(t, 2, strings.Count(found, `<td role="cell" class="state">`))

	var b bytes.Buffer
	i := slices.IndexFunc(s.SLOs, func(st slo.Status) bool { return st.SLO == whole.Name })
	require.NoError(t, WriteSLO(&b, s, &whole, &s.SLOs[i], Detail{}))
	require.Equal(t, 20, strings.Count(b.String(), `class="group"`))
	require.Contains(t, b.String(), "<summary>8 more groups</summary>")
	b.Reset()
	group := whole.Group([]string{hostile + " 13"})
	i = slices.IndexFunc(s.SLOs, func(st slo.Status) bool { return st.SLO == group.Name })
	require.NoError(t, WriteSLO(&b, s, &group, &s.SLOs[i], Detail{}))
	require.Contains(t, b.String(), `› <a href="/slo/chat/auth-latency">auth-latency</a>`)
	require.NotContains(t, b.String(), `id="groups"`)
	for _, name := range []string{"auth-latency", "auth-latency{", `auth-latency{tenant="a`, `auth-latency{region="a"}`, `auth-latency{tenant="a"}x`, "auth-latency{tenant=`a`}"} {
		_, ok := whole.GroupNamed(name)
		require.False(t, ok, name)
	}
}

func FuzzOverview(f *testing.F) {
	s, _ := example(f)
	for _, query := range []string{
		"", "page=2", "state=burning&q=chat", "q=%3Cscript%3Ealert(1)%3C%2Fscript%3E", "page=-1&page=x", "q=" + strings.Repeat("%F0%9F%90%9F", 200),
		"state=%00&q=%FF%FE", "page=9223372036854775808", `q="onfocus="alert(1)`,
	} {
		f.Add(query, "chat")
	}
	f.Add("", hostile)
	f.Add("", "javascript:alert(1)")
	f.Add("", "..")
	f.Fuzz(func(t *testing.T, query, name string) {
		values, _ := url.ParseQuery(query)
		seen := s
		seen.SLOs = slices.Clone(s.SLOs[:1]) // each row takes its time, and only this one is of what was given
		seen.SLOs[0].Service, seen.SLOs[0].SLO, seen.SLOs[0].Title = name, name, name
		seen.Alerts = []Alert{{Severity: "page", Summary: name, Description: name, RunbookURL: name, DashboardURL: name, Page: Link(name, name)}}
		var b bytes.Buffer
		require.NoError(t, WriteOverview(&b, seen, Timeline{
			Events: []slo.Event{{Service: name, SLO: name, Kind: slo.EventKind(name)}}, Deploys: []slo.Deploy{{Service: name, Version: name}},
			Exclusions: []slo.Exclusion{{ID: name, Service: name, SLO: name, Reason: name}},
		}, ParseFilter(values)))
		html := b.String()
		require.Equal(t, 1, strings.Count(html, "<script"))
		require.Equal(t, strings.Count(html, "<svg"), strings.Count(html, "</svg>"))
		lower := strings.ToLower(html)
		for _, bad := range []string{`href="javascript:`, "<img", "<iframe", " onerror=\"", " onfocus=\""} {
			if strings.Contains(lower, bad) { // NotContains would format the page
				t.Fatalf("%q is in the page", bad)
			}
		}
	})
}
