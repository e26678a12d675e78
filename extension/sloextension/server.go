package sloextension

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/page"
	"github.com/sockeye-project/sockeye/slo"
)

// api serves the last snapshot:
//
//	GET /                 the status page, or the table of SLOs as text for those who do not ask for HTML
//	GET /slo/SERVICE/SLO  the page of one SLO; or /slo with ?service= and ?slo=
//	GET /metrics          Prometheus text format
//	GET /api/v1/slos      statuses, filtered by ?service= and ?slo=
//	GET /api/v1/alerts    alerts that fire or were resolved lately
//	GET /api/v1/timeline  what the pages show lately; of ?slo= with its budget, minutes and reasons
//	GET /api/v1/explain   how the numbers of ?slo= come about
//	GET /api/v1/history   how ?slo= stood ?at= a time, as reported then and as known now
//	GET /api/v1/incidents incidents and events of budgets ?since= a time, of one ?slo= or all
func (e *engine) api() http.Handler {
	mux := http.NewServeMux()
	q := newInquiry(e)
	pages := newStatusPage(e, q)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if wantsHTML(r) {
			pages.overview(w, r)
			return
		}
		w.Header().Set("Vary", "Accept")
		var b bytes.Buffer
		s := e.current()
		_ = slo.WriteTable(&b, s.SLOs)
		if s.Trouble != "" {
			fmt.Fprintf(&b, "\ntrouble: %s\n", s.Trouble)
		}
		respond(w, "text/plain; charset=utf-8", b.Bytes())
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, "text/plain; version=0.0.4; charset=utf-8", metrics(e.current()))
	})
	mux.HandleFunc("GET /api/v1/slos", func(w http.ResponseWriter, r *http.Request) {
		s, query := e.current(), r.URL.Query()
		service, name := query.Get("service"), query.Get("slo")
		found := []slo.Status{}
		for _, st := range s.SLOs {
			if (service == "" || st.Service == service) && (name == "" || st.SLO == name) {
				found = append(found, st)
			}
		}
		if len(found) == 0 && (service != "" || name != "") {
			fail(w, http.StatusNotFound, "no such SLO; /api/v1/slos lists all of them")
			return
		}
		s.SLOs = found
		respondJSON(w, s)
	})
	mux.HandleFunc("GET /api/v1/alerts", func(w http.ResponseWriter, _ *http.Request) {
		s := e.current()
		if s.Alerts == nil {
			s.Alerts = []alert{}
		}
		respondJSON(w, struct {
			Engine string  `json:"engine"`
			Alerts []alert `json:"alerts"`
		}{s.Engine, s.Alerts})
	})
	mux.HandleFunc("GET /slo", pages.one)
	mux.HandleFunc("GET /slo/{service}/{slo...}", pages.one)
	for path, asset := range page.Assets {
		mux.HandleFunc("GET "+path, respondAsset(asset))
	}
	mux.HandleFunc("GET /api/v1/timeline", pages.timeline)
	mux.HandleFunc("GET /api/v1/explain", q.about(q.explain))
	mux.HandleFunc("GET /api/v1/history", q.about(q.history))
	mux.HandleFunc("GET /api/v1/incidents", q.serve(q.incidents))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "only GET is served")
			return
		}
		fail(w, http.StatusNotFound, "no such page; there are /, /metrics and, below /api/v1, slos, alerts, timeline, "+
			"explain, history and incidents")
	})
	return mux
}

func respond(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}

func respondJSON(w http.ResponseWriter, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		fail(w, http.StatusInternalServerError, "encode the answer")
		return
	}
	respond(w, "application/json", append(body, '\n'))
}

func fail(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(map[string]string{"error": message})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// exposition writes the Prometheus text format, family by family.
type exposition struct{ bytes.Buffer }

func (x *exposition) family(name, help string) {
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one value; labels are pairs of name and value.
func (x *exposition) sample(name, value string, labels ...string) {
	x.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		x.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(x, `%s="%s"`, labels[i], labelEscaper.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		x.WriteByte('}')
	}
	fmt.Fprintf(x, " %s\n", value)
}

// metrics are the gauges of a snapshot. A ratio without a denominator has no sample.
func metrics(s snapshot) []byte {
	var x exposition
	each := func(name, help string, value func(w slo.WindowStatus) string) {
		x.family(name, help)
		for _, st := range s.SLOs {
			for _, w := range append([]slo.WindowStatus{st.Window}, st.Windows...) {
				if v := value(w); v != "-" {
					x.sample(name, v, "service", st.Service, "slo", st.SLO, "window", w.Name)
				}
			}
		}
	}
	one := func(name, help string, value func(st slo.Status) string) {
		x.family(name, help)
		for _, st := range s.SLOs {
			if v := value(st); v != "-" {
				x.sample(name, v, "service", st.Service, "slo", st.SLO)
			}
		}
	}
	count := func(n uint64) string { return fmt.Sprint(n) }
	one("sockeye_slo_objective", "Share of good events to reach.",
		func(st slo.Status) string { return st.Objective.String() })
	one("sockeye_slo_budget_remaining_ratio", "Share of the error budget that is left; negative once overspent.",
		func(st slo.Status) string { return st.Remaining.String() })
	x.family("sockeye_slo_state", "1 for the state that the SLO is in, 0 for the others.")
	for _, st := range s.SLOs {
		for _, state := range slo.States() {
			x.sample("sockeye_slo_state", truth(st.State == state), "service", st.Service, "slo", st.SLO, "state", string(state))
		}
	}
	x.family("sockeye_slo_alert_firing",
		"Whether an alert of the severity fires; it does while it is held for want of data.")
	firing := map[string]bool{}
	for i := range s.Alerts {
		firing[s.Alerts[i].identity()] = s.Alerts[i].EndsAt.IsZero()
	}
	for _, st := range s.SLOs {
		for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
			labels := burnLabels(st.Service, st.SLO, severity)
			x.sample("sockeye_slo_alert_firing", truth(firing[identity(labels)]), "service", st.Service, "slo", st.SLO,
				"severity", string(severity))
		}
	}
	each("sockeye_slo_window_seconds", "Real length of the window; it differs from its name where windows are scaled.",
		func(w slo.WindowStatus) string { return fmt.Sprint(w.Seconds) })
	each("sockeye_slo_good_events", "Good events in the window.", func(w slo.WindowStatus) string { return count(w.Good) })
	each("sockeye_slo_judged_events", "Events in the window that could be judged.",
		func(w slo.WindowStatus) string { return count(w.Judged) })
	each("sockeye_slo_total_events", "Events in the window.", func(w slo.WindowStatus) string { return count(w.Total) })
	each("sockeye_slo_error_ratio", "Share of judged events that were bad.",
		func(w slo.WindowStatus) string { return w.ErrorRatio.String() })
	each("sockeye_slo_burn_rate", "Error ratio divided by the error budget.",
		func(w slo.WindowStatus) string { return w.Burn.String() })
	each("sockeye_slo_coverage_ratio", "Share of events that could be judged.",
		func(w slo.WindowStatus) string { return w.Coverage.String() })

	if !s.Now.IsZero() {
		x.family("sockeye_slo_engine_up", "1 if the last evaluation could read and write the store.")
		x.sample("sockeye_slo_engine_up", truth(s.Trouble == ""))
		x.family("sockeye_sources", "Sources by whether they reported within the last minute.")
		x.sample("sockeye_sources", fmt.Sprint(len(s.Live)), "state", "live")
		x.sample("sockeye_sources", fmt.Sprint(len(s.Silent)), "state", "silent")
		x.family("sockeye_sources_backlog", "What live sources still have to read.")
		x.sample("sockeye_sources_backlog", count(s.Backlog))
	}
	if !s.Watermark.IsZero() {
		x.family("sockeye_watermark_age_seconds", "How long ago everything had been read and stored.")
		x.sample("sockeye_watermark_age_seconds", seconds(s.Now.Sub(s.Watermark)))
	}
	return x.Bytes()
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%d.%03d", d.Milliseconds()/1000, d.Milliseconds()%1000)
}

func truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
