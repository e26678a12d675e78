package page

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

//go:embed assets
var assets embed.FS

// Asset is a file that pages refer to.
type Asset struct {
	ContentType string
	Body        []byte
	version     string
}

// Assets are all of them, by their paths.
var Assets = map[string]Asset{
	"/status.css": load("status.css", "text/css; charset=utf-8"),
	"/status.js":  load("status.js", "text/javascript; charset=utf-8"),
	"/status.svg": load("status.svg", "image/svg+xml"),
}

func load(name, contentType string) Asset {
	body, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("page: " + err.Error())
	}
	sum := sha256.Sum256(body)
	return Asset{contentType, body, hex.EncodeToString(sum[:6])}
}

// ContentSecurityPolicy is what a page needs, and all that it may do.
const ContentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset":   func(path string) string { return path + "?v=" + Assets[path].version },
	"count":   count,
	"percent": percent,
	"burn":    burn,
	"clock":   clock,
	"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"inc":     func(n int) int { return n + 1 },
	"bad":     func(judged, good uint64) uint64 { return judged - min(good, judged) },
}).ParseFS(assets, "assets/*.html"))

// Snapshot is what the engine said last.
type Snapshot struct {
	Engine               string
	Now, AsOf, Watermark time.Time
	Live, Silent         []string
	Backlog              uint64
	Trouble              string
	// SLOs are sorted by [Worst].
	SLOs   []slo.Status
	Alerts []Alert // those that fire
}

// Alert is an alert that fires.
type Alert struct {
	Name, Severity, Service, SLO   string
	Summary, Description           string
	Since                          time.Time
	RunbookURL, DashboardURL, Page string
}

// Timeline is what happened lately.
type Timeline struct {
	Incidents  []slo.Incident  `json:"incidents"`
	Events     []slo.Event     `json:"events"`
	Deploys    []slo.Deploy    `json:"deploys"`
	Exclusions []slo.Exclusion `json:"exclusions"`
	// Trouble says why it is not known.
	Trouble string `json:"trouble,omitempty"`
}

// Detail is what is known of one SLO besides its status.
type Detail struct {
	Timeline
	Budget []slo.Spending `json:"budget"`
	// Minutes are those of [From, To) in which anything was counted.
	Minutes  []slo.Minute `json:"minutes"`
	From, To time.Time    `json:"-"`
	Burned   []slo.Burned `json:"burned"`
	// Measured is nil where there is no threshold, or nothing to measure.
	Measured *slo.Measured `json:"measured,omitempty"`
}

// Filter says which SLOs an overview lists.
type Filter struct {
	State  slo.State
	Search string
	Page   int // counts from 1
}

const (
	perPage   = 50
	maxSearch = 100
	maxPage   = 1_000_000
)

// ParseFilter reads a query. What it does not understand filters nothing.
func ParseFilter(query url.Values) Filter {
	f := Filter{Page: 1}
	if state := slo.State(query.Get("state")); slices.Contains(slo.States(), state) {
		f.State = state
	}
	f.Search = strings.ToValidUTF8(strings.TrimSpace(query.Get("q")), "")
	if runes := []rune(f.Search); len(runes) > maxSearch {
		f.Search = string(runes[:maxSearch])
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 0 && n < maxPage {
		f.Page = n
	}
	return f
}

// link is the overview with another filter.
func (f Filter) link() string {
	query := url.Values{}
	if f.State != "" {
		query.Set("state", string(f.State))
	}
	if f.Search != "" {
		query.Set("q", f.Search)
	}
	if f.Page > 1 {
		query.Set("page", strconv.Itoa(f.Page))
	}
	if len(query) == 0 {
		return "/"
	}
	return "/?" + query.Encode()
}

func (f Filter) matches(st *slo.Status) bool {
	if f.State != "" && st.State != f.State {
		return false
	}
	search := strings.ToLower(f.Search)
	return search == "" || strings.Contains(strings.ToLower(st.Service+" "+st.SLO+" "+st.Title), search)
}

// urgency orders the states, the worst first.
var urgency = map[slo.State]int{
	slo.StateExhausted: 0, slo.StateBurning: 1, slo.StateNoData: 2, slo.StateLowCoverage: 3, slo.StateNoTraffic: 4,
	slo.StateOK: 5,
}

// Worst compares two statuses: the worse is less.
func Worst(a, b slo.Status) int {
	left := func(st slo.Status) float64 {
		if !st.Remaining.Valid() {
			return 2 // nothing is known to be spent
		}
		return st.Remaining.Float64()
	}
	first := func(a, b bool) int { return map[bool]int{true: -1}[a] - map[bool]int{true: -1}[b] }
	return cmp.Or(first(a.Severity == slo.SeverityPage, b.Severity == slo.SeverityPage),
		cmp.Compare(urgency[a.State], urgency[b.State]),
		first(a.Severity == slo.SeverityTicket, b.Severity == slo.SeverityTicket),
		cmp.Compare(left(a), left(b)), strings.Compare(a.Service, b.Service), strings.Compare(a.SLO, b.SLO))
}

// Link is the path of an SLO's page. What a browser would take for a step up goes into the query.
func Link(service, name string) string {
	for _, s := range []string{service, name} {
		if s == "" || s == "." || s == ".." {
			return "/slo?" + url.Values{"service": {service}, "slo": {name}}.Encode()
		}
	}
	return "/slo/" + url.PathEscape(service) + "/" + url.PathEscape(name)
}

// common is what the frame of every page shows.
type common struct {
	PageTitle, Headline string
	Class               string // of the headline
	S                   Snapshot
	Behind              string
	Scaled              string
}

func frame(s Snapshot) common {
	c := common{S: s, Behind: "never"}
	if !s.AsOf.IsZero() {
		c.Behind = length(s.Now.Sub(s.AsOf)) + " behind the clock"
	}
	if len(s.SLOs) > 0 {
		c.Scaled = scaled(s.SLOs[0].Windows)
	}
	return c
}

// scaled says how long the windows really are, if that is not what their names say.
func scaled(windows []slo.WindowStatus) string {
	var lengths []string
	for _, w := range windows {
		for _, nominal := range slo.BurnWindows() {
			if real := time.Duration(w.Seconds) * time.Second; nominal.Name == w.Name && nominal.Length != real {
				lengths = append(lengths, w.Name+" is "+length(real))
			}
		}
	}
	return strings.Join(lengths, ", ")
}

type chip struct {
	Word, URL string
	Badge     badge
	Count     int
	Current   bool
}

type overview struct {
	common
	Chips    []chip
	Filter   Filter
	Search   bool
	Rows     []row
	Found    int
	From, To int
	Previous string
	Next     string
	Alerts   []firing
	More     int // alerts that are not shown
	Story    story
}

// most is how many alerts, incidents or events are listed.
const most = 12

// WriteOverview writes the page of all SLOs.
func WriteOverview(w io.Writer, s Snapshot, t Timeline, f Filter) error {
	o := overview{common: frame(s), Filter: f, Search: len(s.SLOs) > 10 || f.Search != "", Story: tell(t, s.Now)}
	o.Headline, o.Class = headline(s)
	o.PageTitle = o.Headline + " · Sockeye"
	counts := map[slo.State]int{}
	var found []*family
	all := families(s.SLOs)
	for _, of := range all {
		for _, state := range slo.States() {
			if of.shows(Filter{State: state}) {
				counts[state]++
			}
		}
		if of.shows(f) {
			found = append(found, of)
		}
	}
	o.Chips = append(o.Chips, chip{
		Word: "All", Count: len(all), URL: Filter{Search: f.Search}.link(), Current: f.State == "",
	})
	states := slo.States()
	slices.SortFunc(states, func(a, b slo.State) int { return cmp.Compare(urgency[a], urgency[b]) })
	for _, state := range states {
		if counts[state] > 0 || f.State == state {
			o.Chips = append(o.Chips, chip{
				Word: badges[state].Word, Count: counts[state], Badge: badges[state],
				URL: Filter{State: state, Search: f.Search}.link(), Current: f.State == state,
			})
		}
	}
	o.Found = len(found)
	pages := max(1, (len(found)+perPage-1)/perPage)
	page := min(f.Page, pages)
	o.From, o.To = (page-1)*perPage, min(page*perPage, len(found))
	for _, of := range found[o.From:o.To] {
		o.Rows = append(o.Rows, of.row(f, t.Exclusions))
	}
	at := func(page int) string { return Filter{State: f.State, Search: f.Search, Page: page}.link() }
	if page > 1 {
		o.Previous = at(page - 1)
	}
	if page < pages {
		o.Next = at(page + 1)
	}
	o.Alerts, o.More = cut(s.Alerts, s.Now)
	return templates.ExecuteTemplate(w, "overview.html", o)
}

// Pages reports whether one of the alerts is a page.
func (c common) Pages() bool {
	return slices.ContainsFunc(c.S.Alerts, func(a Alert) bool { return a.Severity == string(slo.SeverityPage) })
}

type firing struct {
	Alert
	For string
}

// cut returns the first alerts, and how many there are besides.
func cut(alerts []Alert, now time.Time) (shown []firing, more int) {
	for _, a := range alerts[:min(len(alerts), most)] {
		shown = append(shown, firing{a, length(now.Sub(a.Since))})
	}
	return shown, len(alerts) - len(shown)
}

func window(st *slo.Status, name string) slo.WindowStatus {
	for _, w := range st.Windows {
		if w.Name == name {
			return w
		}
	}
	return slo.WindowStatus{Name: name}
}

// headline is the one thing to know.
func headline(s Snapshot) (text, class string) {
	counts, pages, all := map[slo.State]int{}, 0, 0
	for i := range s.SLOs {
		if _, group := slo.GroupOf(s.SLOs[i].SLO); !group {
			all++
		} else if !urgent(s.SLOs[i].State) {
			continue
		}
		counts[s.SLOs[i].State]++
		if s.SLOs[i].Severity == slo.SeverityPage {
			pages++
		}
	}
	are := func(n int, what string) string { return fmt.Sprintf("%d %s", n, what) }
	switch {
	case s.Trouble != "":
		return "The engine cannot see: nothing is known", "bad"
	case all == 0:
		return "Nothing has been evaluated yet", "quiet"
	case counts[slo.StateNoData] == all:
		return "No data: nothing is known about any SLO", "bad"
	case counts[slo.StateExhausted]+counts[slo.StateBurning] > 0:
		var parts []string
		if n := counts[slo.StateExhausted]; n > 0 {
			parts = append(parts, are(n, plural(n, "budget", "budgets"))+" exhausted")
		}
		if n := counts[slo.StateBurning]; n > 0 {
			parts = append(parts, are(n, plural(n, "SLO", "SLOs"))+" burning")
		}
		if pages == 0 {
			return strings.Join(append(parts, "nothing pages"), ", "), "warn"
		}
		return strings.Join(append(parts, are(pages, plural(pages, "page", "pages"))), ", "), "bad"
	case counts[slo.StateNoData] > 0:
		n := counts[slo.StateNoData]
		return are(n, plural(n, "SLO", "SLOs")) + " without data", "warn"
	case counts[slo.StateLowCoverage] > 0:
		n := counts[slo.StateLowCoverage]
		return are(n, plural(n, "SLO", "SLOs")) + " with low coverage", "warn"
	case counts[slo.StateNoTraffic] > 0:
		n := counts[slo.StateNoTraffic]
		return "Nothing burns; " + are(n, plural(n, "SLO", "SLOs")) + " without traffic", "quiet"
	case all == 1:
		return "The SLO is OK", "good"
	default:
		return fmt.Sprintf("All %s SLOs are OK", count(uint64(all))), "good"
	}
}

func plural(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// message is a page that only says something.
type message struct {
	common
	Text string
}

// WriteMessage writes a page for what cannot be shown.
func WriteMessage(w io.Writer, s Snapshot, headline, text string) error {
	m := message{frame(s), text}
	m.Headline, m.PageTitle, m.Class = headline, headline+" · Sockeye", "quiet"
	return templates.ExecuteTemplate(w, "message.html", m)
}
