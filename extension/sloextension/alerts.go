package sloextension

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// The alerts that the engine raises. docs/runbooks has a page for each.
const (
	alertBurn     = "ErrorBudgetBurn"
	alertSilent   = "SourceSilent"
	alertBlind    = "SLOEngineBlind"
	alertWatchdog = "Watchdog"
)

// AlertNames returns them.
func AlertNames() []string { return []string{alertBurn, alertSilent, alertBlind, alertWatchdog} }

const severityNone = "none"

var placeholders = []string{"{alertname}", "{service}", "{slo}", "{severity}"}

// alert is one alert as Alertmanager knows it: its labels are its identity.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"starts_at"`
	// EndsAt is zero while it fires.
	EndsAt time.Time `json:"ends_at,omitzero"`
	// Generator links to where the alert came from.
	Generator string `json:"-"`
}

// identity is the labels in one string.
func (a *alert) identity() string { return identity(a.Labels) }

func identity(labels map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%s=%q,", key, labels[key])
	}
	return b.String()
}

// alertBook keeps what fires and since when, and what was resolved lately.
type alertBook struct {
	cfg   AlertingConfig
	items map[string]*alert
	// pages is the address of the status pages, which alerts link to where the configuration says nothing else.
	pages string
}

// keepResolved is how long a resolved alert is still repeated, for an Alertmanager that was away.
const keepResolved = 15 * time.Minute

func newAlertBook(cfg AlertingConfig) *alertBook {
	return &alertBook{cfg: cfg, items: map[string]*alert{}}
}

// fire raises or renews an alert. Its start is kept as long as it fires, unless the clock has been set back since:
// Alertmanager refuses an alert that starts after it ends.
func (b *alertBook) fire(labels, annotations map[string]string, start time.Time) *alert {
	if old, ok := b.items[identity(labels)]; ok && old.EndsAt.IsZero() && old.StartsAt.Before(start) {
		start = old.StartsAt
	}
	return b.renew(labels, annotations, start)
}

// renew raises an alert that starts when the caller says.
func (b *alertBook) renew(labels, annotations map[string]string, start time.Time) *alert {
	a := &alert{Labels: labels, Annotations: annotations, StartsAt: start}
	if _, ok := annotations["runbook_url"]; !ok && b.cfg.RunbookURL != "" {
		annotations["runbook_url"] = expand(b.cfg.RunbookURL, labels)
	}
	if b.cfg.DashboardURL != "" {
		annotations["dashboard_url"] = expand(b.cfg.DashboardURL, labels)
	}
	switch {
	case b.cfg.GeneratorURL != "":
		a.Generator = expand(b.cfg.GeneratorURL, labels)
	case labels["slo"] != "":
		a.Generator = b.pages + "/slo?" + url.Values{"service": {labels["service"]}, "slo": {labels["slo"]}}.Encode()
	default:
		a.Generator = b.pages + "/"
	}
	b.items[a.identity()] = a
	return a
}

// since makes an alert that fires start earlier.
func (b *alertBook) since(id string, start time.Time) {
	if a, ok := b.items[id]; ok && a.EndsAt.IsZero() && start.Before(a.StartsAt) {
		earlier := *a
		earlier.StartsAt = start
		b.items[id] = &earlier
	}
}

// firing returns since when an alert fires, if it does.
func (b *alertBook) firing(labels map[string]string) (time.Time, bool) {
	a, ok := b.items[identity(labels)]
	if !ok || !a.EndsAt.IsZero() {
		return time.Time{}, false
	}
	return a.StartsAt, true
}

// resolve ends an alert if it fires.
func (b *alertBook) resolve(labels map[string]string, end time.Time) {
	id := identity(labels)
	if a, ok := b.items[id]; ok && a.EndsAt.IsZero() {
		ended := *a
		if ended.EndsAt = end; end.Before(a.StartsAt) {
			ended.StartsAt = end
		}
		b.items[id] = &ended
	}
}

// resolveOthers ends those of a name that are not in keep.
func (b *alertBook) resolveOthers(name string, keep []*alert, end time.Time) {
	for _, a := range b.items {
		if a.Labels["alertname"] == name && !slices.Contains(keep, a) {
			b.resolve(a.Labels, end)
		}
	}
}

// all returns the alerts, those that fire first, and forgets what was resolved long ago.
func (b *alertBook) all(now time.Time) []alert {
	alerts := make([]alert, 0, len(b.items))
	for id, a := range b.items {
		if !a.EndsAt.IsZero() && now.Sub(a.EndsAt) > keepResolved {
			delete(b.items, id)
			continue
		}
		alerts = append(alerts, *a)
	}
	slices.SortFunc(alerts, func(x, y alert) int {
		resolved := func(a alert) int {
			if a.EndsAt.IsZero() {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(resolved(x), resolved(y)), cmp.Compare(x.identity(), y.identity()))
	})
	return alerts
}

func burnLabels(service, name string, severity slo.Severity) map[string]string {
	return map[string]string{
		"alertname": alertBurn, "service": service, "slo": name, "severity": string(severity),
	}
}

// burnAnnotations say what burns, with the numbers of the first rule that holds.
func burnAnnotations(st *slo.Status, severity slo.Severity) map[string]string {
	annotations := map[string]string{}
	if st.RunbookURL != "" {
		annotations["runbook_url"] = st.RunbookURL
	}
	for _, r := range st.Rules {
		if !r.Firing || r.Severity != severity {
			continue
		}
		long, short := window(st, r.Long), window(st, r.Short)
		annotations["summary"] = fmt.Sprintf("%s of %s burns its error budget %s times too fast", st.Title, st.Service,
			long.Burn.Round(1))
		annotations["description"] = fmt.Sprintf(
			"%s of %s: %s %% bad over %s (%d of %d, burn %s) and %s %% over %s (%d of %d, burn %s), both above %s. "+
				"Objective %s %%, budget left %s %% of %s. As of %s.",
			st.Title, st.Service, long.ErrorRatio.Percent(3), span(long), long.Judged-long.Good, long.Judged, long.Burn.Round(1),
			short.ErrorRatio.Percent(3), span(short), short.Judged-short.Good, short.Judged, short.Burn.Round(1),
			r.Burn, st.Objective.Percent(10), st.Remaining.Percent(2), st.Window.Name,
			st.AsOf.UTC().Format("2006-01-02 15:04:05 UTC"))
		break
	}
	return annotations
}

func window(st *slo.Status, name string) slo.WindowStatus {
	for _, w := range st.Windows {
		if w.Name == name {
			return w
		}
	}
	return slo.WindowStatus{Name: name}
}

// span names a window, with its real length if it is scaled.
func span(w slo.WindowStatus) string {
	for _, nominal := range slo.BurnWindows() {
		if nominal.Name == w.Name && int64(nominal.Length/time.Second) != w.Seconds {
			return fmt.Sprintf("%s (scaled to %d s)", w.Name, w.Seconds)
		}
	}
	return w.Name
}

// expand fills a link's placeholders.
func expand(template string, labels map[string]string) string {
	for _, p := range placeholders {
		template = strings.ReplaceAll(template, p, url.QueryEscape(labels[strings.Trim(p, "{}")]))
	}
	return template
}
