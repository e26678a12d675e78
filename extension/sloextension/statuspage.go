package sloextension

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/page"
	"github.com/sockeye-project/sockeye/slo"
)

const (
	// pageTimeout bounds how long a page waits for the store. Without its answer it shows what the engine knows.
	pageTimeout = 5 * time.Second
	// maxRemembered is how many SLOs' details are kept until the next snapshot.
	maxRemembered = 64
	// maxRecent is how many incidents, events and marks are asked for.
	maxRecent = 50
	// maxPoints is how many points a budget's chart has.
	maxPoints = 240
	// minutesShown is how far back bad events are shown by the minute.
	minutesShown = 3 * time.Hour
)

// statusPage serves the pages. The store is asked at most once for each SLO and snapshot, and once for all of them.
type statusPage struct {
	engine *engine
	asker  *inquiry

	mutex  sync.Mutex
	of     time.Time // the snapshot that the rest belongs to
	sorted []slo.Status
	known  map[[2]string]*knowledge // "" and "" are all SLOs
}

// knowledge is what the store says, once it is there.
type knowledge struct {
	once   sync.Once
	detail page.Detail
}

func newStatusPage(e *engine, asker *inquiry) *statusPage {
	return &statusPage{engine: e, asker: asker}
}

// look returns the snapshot, and the place for what the store says of an SLO beside it.
func (p *statusPage) look(key [2]string) (page.Snapshot, *knowledge) {
	s := p.engine.current()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.known == nil || !p.of.Equal(s.Now) {
		p.of, p.known, p.sorted = s.Now, map[[2]string]*knowledge{}, slices.SortedFunc(slices.Values(s.SLOs), page.Worst)
	}
	k := p.known[key]
	if k == nil {
		if len(p.known) >= maxRemembered {
			clear(p.known)
		}
		k = &knowledge{}
		p.known[key] = k
	}
	return page.Snapshot{
		Engine: s.Engine, Now: cmp.Or(s.Now, p.engine.now().UTC()), AsOf: s.AsOf, Watermark: s.Watermark, Live: s.Live,
		Silent: s.Silent, Backlog: s.Backlog, Trouble: s.Trouble, SLOs: p.sorted, Alerts: firing(s.Alerts),
	}, k
}

// firing are the alerts to show, the pages first. A ticket beside a page of the same SLO says nothing more.
func firing(alerts []alert) []page.Alert {
	var shown []page.Alert
	paged := map[[2]string]bool{}
	for i := range alerts {
		if l := alerts[i].Labels; alerts[i].EndsAt.IsZero() && l["severity"] == string(slo.SeverityPage) && l["slo"] != "" {
			paged[[2]string{l["service"], l["slo"]}] = true
		}
	}
	for i := range alerts {
		a := &alerts[i]
		severity := a.Labels["severity"]
		inhibited := severity != string(slo.SeverityPage) && paged[[2]string{a.Labels["service"], a.Labels["slo"]}]
		if !a.EndsAt.IsZero() || severity == severityNone || inhibited {
			continue
		}
		v := page.Alert{
			Name: a.Labels["alertname"], Severity: severity, Service: a.Labels["service"], SLO: a.Labels["slo"],
			Summary: a.Annotations["summary"], Description: a.Annotations["description"], Since: a.StartsAt,
			RunbookURL: a.Annotations["runbook_url"], DashboardURL: a.Annotations["dashboard_url"],
		}
		if v.SLO != "" {
			v.Page = page.Link(v.Service, v.SLO)
		}
		shown = append(shown, v)
	}
	rank := func(a page.Alert) int { return map[string]int{string(slo.SeverityPage): -1}[a.Severity] }
	slices.SortStableFunc(shown, func(a, b page.Alert) int { return cmp.Compare(rank(a), rank(b)) })
	return shown
}

// ask fills in what the store says of an SLO, or of all if s is nil, unless another request has for the same snapshot.
// Whoever asked may be gone by then; others want to know too.
func (p *statusPage) ask(ctx context.Context, k *knowledge, s *slo.SLO, at page.Snapshot) page.Detail {
	k.once.Do(func() {
		patience := cmp.Or(p.engine.patience, pageTimeout)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		k.detail = page.Detail{
			Timeline: page.Timeline{Incidents: []slo.Incident{}, Events: []slo.Event{}, Deploys: []slo.Deploy{},
				Exclusions: []slo.Exclusion{}},
			Budget: []slo.Spending{}, Minutes: []slo.Minute{}, Burned: []slo.Burned{},
		}
		switch err := p.fill(ctx, &k.detail, s, at); {
		case at.Trouble != "":
			k.detail.Trouble = "the store does not answer"
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			k.detail.Trouble = "the store did not answer within " + patience.String()
		case err != nil:
			k.detail.Trouble = err.Error()
		}
	})
	return k.detail
}

func (p *statusPage) fill(ctx context.Context, d *page.Detail, s *slo.SLO, at page.Snapshot) error {
	if at.Trouble != "" {
		return nil
	}
	return p.asker.asked(ctx, func(db database) error {
		exclusions, err := db.exclusions(ctx, at.Now)
		if err != nil {
			return err
		}
		recent := slices.DeleteFunc(slices.Clone(exclusions), func(e slo.Exclusion) bool {
			ofOthers := s != nil && len(slo.Excluding(s, []slo.Exclusion{e}, e.From, e.To)) == 0
			return ofOthers || e.To.Before(at.Now.Add(-slo.RecentWithin))
		})
		d.Exclusions = append(d.Exclusions, recent[:min(len(recent), maxRecent)]...)
		var service, name string // of all
		if s != nil {
			service, name = s.Service, s.Name
		}
		services := map[string]bool{}
		for i := range p.engine.slos {
			if s == nil || p.engine.slos[i].Service == s.Service {
				services[p.engine.slos[i].Service] = true
			}
		}
		questions := []error{
			into(ctx, db, &d.Incidents, slo.SelectIncidents(service, name, at.Now.Add(-slo.RecentWithin), maxRecent),
				slo.ReadIncidents),
			into(ctx, db, &d.Events, slo.SelectRecentEvents(s, at.Now, maxRecent), slo.ReadEvents),
			into(ctx, db, &d.Deploys, slo.SelectDeploys(sorted(services), at.Now, maxRecent), slo.ReadDeploys),
		}
		if s == nil || at.AsOf.IsZero() {
			return errors.Join(questions...)
		}
		if !s.Unbudgeted && len(s.Members) == 0 {
			questions = append(questions, into(ctx, db, &d.Budget, slo.SelectSpending(s, at.AsOf, maxPoints), slo.ReadSpending))
		}
		d.To = at.AsOf.Add(time.Minute - 1).Truncate(time.Minute)
		d.From = d.To.Add(-minutesShown)
		s := &slo.Exclude([]slo.SLO{*s}, exclusions)[0]
		minutes, err := db.minutes(ctx, s, d.From, d.To)
		d.Minutes = append(d.Minutes, minutes...)
		questions = append(questions, err)
		if sql := slo.SelectMeasured(s, at.AsOf); sql != "" {
			questions = append(questions, db.ask(ctx, sql, func(rows slo.Rows) (err error) {
				d.Measured, err = slo.ReadMeasured(rows, s)
				return err
			}))
		}
		if sql := slo.SelectBurned(s, at.AsOf, defaultTop); sql != "" {
			questions = append(questions, db.ask(ctx, sql, func(rows slo.Rows) (err error) {
				for i := range at.SLOs {
					if st := &at.SLOs[i]; st.Service == s.Service && st.SLO == s.Name {
						var burned []slo.Burned
						burned, err = slo.ReadBurned(rows, st)
						d.Burned = append(d.Burned, burned...)
					}
				}
				return err
			}))
		}
		return errors.Join(questions...)
	})
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// into asks and keeps the answer.
func into[T any](ctx context.Context, db database, answer *[]T, sql string, read func(slo.Rows) ([]T, error)) error {
	return db.ask(ctx, sql, func(rows slo.Rows) error {
		found, err := read(rows)
		if len(found) > 0 {
			*answer = found
		}
		return err
	})
}

func (p *statusPage) overview(w http.ResponseWriter, r *http.Request) {
	s, k := p.look([2]string{})
	d := p.ask(r.Context(), k, nil, s)
	respondHTML(w, http.StatusOK, func(w io.Writer) error {
		return page.WriteOverview(w, s, d.Timeline, page.ParseFilter(r.URL.Query()))
	})
}

// find returns the SLO of a name, which may be that of a group.
func (p *statusPage) find(service, name string) (*slo.SLO, error) {
	found, err := p.asker.find(url.Values{"service": {service}, "slo": {name}})
	if err != nil || found.group == "" {
		return found.SLO, err
	}
	group, ok := found.GroupNamed(found.group)
	if !ok {
		return nil, refusal{http.StatusNotFound, "no such group: the SLO is not grouped like that"}
	}
	return &group, nil
}

// one serves the page of an SLO, named by the path or, where a path cannot, by the query.
func (p *statusPage) one(w http.ResponseWriter, r *http.Request) {
	key := [2]string{r.PathValue("service"), r.PathValue("slo")}
	if key[1] == "" {
		key = [2]string{r.URL.Query().Get("service"), r.URL.Query().Get("slo")}
	}
	definition, err := p.find(key[0], key[1])
	if err != nil {
		s, _ := p.look([2]string{})
		var refused refusal
		errors.As(err, &refused)
		headline, text := "No such SLO", "It may have been renamed, or belongs to another engine."
		if refused.status != http.StatusNotFound {
			headline, text = "Which one?", refused.text
		}
		respondHTML(w, refused.status, func(w io.Writer) error { return page.WriteMessage(w, s, headline, text) })
		return
	}
	s, k := p.look([2]string{definition.Service, definition.Name})
	i := slices.IndexFunc(s.SLOs, func(st slo.Status) bool {
		return st.Service == definition.Service && st.SLO == definition.Name
	})
	if _, group := slo.GroupOf(definition.Name); i < 0 && group && len(s.SLOs) > 0 {
		respondHTML(w, http.StatusNotFound, func(w io.Writer) error {
			return page.WriteMessage(w, s, "No such group now",
				"It has no events in the window of its budget, or too few to count by itself.")
		})
		return
	}
	if i < 0 {
		respondHTML(w, http.StatusOK, func(w io.Writer) error {
			return page.WriteMessage(w, s, "Not evaluated yet", "The engine has started and looks again by itself.")
		})
		return
	}
	d := p.ask(r.Context(), k, definition, s)
	respondHTML(w, http.StatusOK, func(w io.Writer) error { return page.WriteSLO(w, s, definition, &s.SLOs[i], d) })
}

// timeline serves what the pages show besides the statuses, as JSON.
func (p *statusPage) timeline(w http.ResponseWriter, r *http.Request) {
	service, name := r.URL.Query().Get("service"), r.URL.Query().Get("slo")
	if service == "" && name == "" {
		s, k := p.look([2]string{})
		respondJSON(w, p.ask(r.Context(), k, nil, s).Timeline)
		return
	}
	definition, err := p.find(service, name)
	if err != nil {
		var refused refusal
		errors.As(err, &refused)
		fail(w, refused.status, refused.text)
		return
	}
	s, k := p.look([2]string{definition.Service, definition.Name})
	respondJSON(w, p.ask(r.Context(), k, definition, s))
}

// wantsHTML reports whether a browser asks. curl and scripts accept anything, and get text.
func wantsHTML(r *http.Request) bool {
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if kind, _, _ := strings.Cut(accept, ";"); strings.EqualFold(strings.TrimSpace(kind), "text/html") {
			return true
		}
	}
	return false
}

func respondHTML(w http.ResponseWriter, status int, write func(io.Writer) error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		fail(w, http.StatusInternalServerError, "write the page")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", page.ContentSecurityPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Accept")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// respondAsset serves a file of the pages, which name it with its version.
func respondAsset(a page.Asset) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", a.ContentType)
		w.Header().Set("Cache-Control", "max-age=86400")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		_, _ = w.Write(a.Body)
	}
}
