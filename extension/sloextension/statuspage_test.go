package sloextension

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/page"
	"github.com/sockeye-project/sockeye/slo"
)

// get asks an API for a page as a browser or as curl does.
func get(api http.Handler, target, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

const browserAccepts = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestBrowsersGetHTMLAndOthersText(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.step(t.Context())
	api := r.api()
	for accept, html := range map[string]bool{
		browserAccepts: true, "text/html": true, "TEXT/HTML;q=1": true, "*/*": false, "": false, "text/plain": false, "application/json, text/*": false,
	} {
		w := get(api, "/", accept)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "Accept", w.Header().Get("Vary"))
		if !html {
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"), accept)
			require.Contains(t, w.Body.String(), "BUDGET LEFT")
			continue
		}
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"), accept)
		require.Contains(t, w.Body.String(), "1 SLO burning, 1 page")
	}
}

func TestPagesMayDoNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.live()
	r.step(t.Context())
	api := r.api()
	for path, status := range map[string]int{
		"/": 200, "/slo/chat/connection-availability": 200, "/slo?service=chat&slo=connection-availability": 200,
		"/slo?slo=connection-availability": 200, "/slo/chat/nothing": 404, "/slo": 404,
	} {
		w := get(api, path, browserAccepts)
		require.Equal(t, status, w.Code, path)
		for key, want := range map[string]string{
			"Content-Security-Policy": page.ContentSecurityPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			require.Equal(t, want, w.Header().Get(key), path)
		}
	}
	require.True(t, strings.HasPrefix(page.ContentSecurityPolicy, "default-src 'none'; "))
	require.NotContains(t, page.ContentSecurityPolicy, "unsafe")
	for path, asset := range page.Assets {
		w := get(api, path+"?v=1", "*/*")
		require.Equal(t, 200, w.Code)
		require.Equal(t, asset.ContentType, w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.NotRegexp(t, `https?://(www\.)?[^w]|@import|url\(`, strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", ""), "nothing from elsewhere")
	}
}

// askedStore counts what it is asked, and takes its time if it is to.
type askedStore struct {
	*fakeStore
	mutex sync.Mutex
	asked int
	wait  bool
}

func (a *askedStore) ask(ctx context.Context, _ string, _ func(slo.Rows) error) error {
	a.mutex.Lock()
	a.asked++
	a.mutex.Unlock()
	if a.wait {
		<-ctx.Done()
		return ctx.Err()
	}
	return a.down
}

func TestTheStoreIsAskedOncePerSnapshot(t *testing.T) {
	t.Parallel()
	store := &askedStore{fakeStore: &fakeStore{total: 1000, bad: 20}}
	r := newRig(t, store.fakeStore)
	r.open = func(context.Context) (database, error) { return store, nil }
	r.live()
	r.step(t.Context())
	api := r.api()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { get(api, "/", browserAccepts) })
		all.Go(func() { get(api, "/?state=ok&page=3&q=x", browserAccepts) })
		all.Go(func() { get(api, "/api/v1/timeline", "") })
	}
	all.Wait()
	require.Equal(t, 3, store.asked, "incidents, events and deploys")
	for range 5 {
		get(api, "/slo/chat/connection-availability", browserAccepts)
		get(api, "/api/v1/timeline?slo=connection-availability", "")
	}
	require.Equal(t, 3+5, store.asked, "and the budget and its reasons")
	get(api, "/", "*/*")
	require.Equal(t, 8, store.asked, "text needs nothing more")
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	get(api, "/", browserAccepts)
	require.Equal(t, 11, store.asked)
}

func TestPagesDoWithoutTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	api := r.api()
	w := get(api, "/", browserAccepts)
	require.Contains(t, w.Body.String(), "Nothing has been evaluated yet")
	w = get(api, "/slo/chat/connection-availability", browserAccepts)
	require.Contains(t, w.Body.String(), "Not evaluated yet")
	r.live()
	r.step(t.Context())

	store := &askedStore{fakeStore: r.store, wait: true}
	r.open = func(context.Context) (database, error) { return store, nil }
	began := time.Now()
	w = get(api, "/slo/chat/connection-availability", browserAccepts)
	require.Equal(t, 200, w.Code)
	require.GreaterOrEqual(t, time.Since(began), pageTimeout)
	require.Contains(t, w.Body.String(), "Connection availability")
	require.Contains(t, w.Body.String(), "the store did not answer within 5s")
	var answer struct{ Trouble string }
	require.NoError(t, json.Unmarshal(get(api, "/api/v1/timeline?slo=connection-availability", "").Body.Bytes(), &answer))
	require.Equal(t, "the store did not answer within 5s", answer.Trouble, "nobody waits for it twice")
}

func TestATicketBesideItsPageIsNotShown(t *testing.T) {
	t.Parallel()
	burning := func(severity, name string) alert {
		return alert{Labels: map[string]string{"alertname": alertBurn, "service": "chat", "slo": name, "severity": severity}}
	}
	over := burning("page", "c")
	over.EndsAt = epoch
	shown := firing([]alert{
		burning("ticket", "a"), burning("page", "b"), burning("ticket", "b"), over, burning("ticket", "c"),
		{Labels: map[string]string{"alertname": alertWatchdog, "severity": severityNone}},
		{Labels: map[string]string{"alertname": alertSilent, "severity": "page"}},
		{Labels: map[string]string{"alertname": alertSilent, "severity": "ticket", "source": "edge"}},
	})
	var got []string
	for _, a := range shown {
		got = append(got, a.Severity+" "+a.Name+" "+a.SLO)
	}
	require.Equal(t, []string{
		"page ErrorBudgetBurn b", "page SourceSilent ", "ticket ErrorBudgetBurn a", "ticket ErrorBudgetBurn c", "ticket SourceSilent ",
	}, got)
}

// TestTimelineSaysWhatHappened reads all of it from the real store.
func TestTimelineSaysWhatHappened(t *testing.T) {
	t.Parallel()
	r, server := newPageRig(t)
	ask := func(query string) (answer page.Detail) {
		response, err := server.Client().Get(server.URL + "/api/v1/timeline" + query)
		require.NoError(t, err)
		defer response.Body.Close()
		require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		require.Empty(t, answer.Trouble)
		return answer
	}
	all := ask("")
	require.Len(t, all.Incidents, 2)
	require.Len(t, all.Deploys, 1)
	require.Equal(t, "1.14.2", all.Deploys[0].Version)
	require.Len(t, all.Exclusions, 1, "what is in force, in its last version")
	require.Equal(t, "<b>winter</b>", all.Exclusions[0].Reason)
	require.Equal(t, r.clock.Add(-121*time.Minute), all.Exclusions[0].From)
	require.Equal(t, r.clock.Add(-61*time.Minute), all.Exclusions[0].To)
	one := ask("?slo=connection-availability&service=chat")
	require.Len(t, one.Incidents, 1)
	require.Equal(t, slo.SeverityPage, one.Incidents[0].Severity)
	require.True(t, one.Incidents[0].Ended.IsZero())
	require.Equal(t, r.clock, one.Incidents[0].Detected)
	require.Len(t, one.Budget, 2)
	require.Equal(t, r.clock, one.Budget[1].AsOf)
	require.Equal(t, r.current().SLOs[3].Remaining.Round(9), one.Budget[1].Remaining.Round(9))
	require.Len(t, one.Minutes, 2)
	require.Equal(t, "upstream_timeout", one.Burned[0].Value)
	require.Empty(t, ask("?slo=auth-latency&service=chat").Incidents)

	r.clock = r.clock.Add(6 * time.Hour)
	r.live(t)
	r.step(t.Context())
	one = ask("?slo=connection-availability&service=chat")
	require.Equal(t, r.clock, one.Incidents[0].Ended)
}

func FuzzPaths(f *testing.F) {
	for _, target := range []string{
		"/", "/slo/chat/connection-availability", "/slo/chat/a%2Fb", "/slo/%2e%2e/x", "/slo//x", "/slo?service=chat&slo=%00", "/slo/chat/%FF",
		"/status.css", "/api/v1/timeline?slo=connection-availability", "/api/v1/timeline?service=%27", "/?page=9&q=%3Cscript%3E&state=ok",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+target, nil)
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip("no request")
		}
		r := newRig(t, &fakeStore{total: 1000, bad: 20})
		r.live()
		r.step(t.Context())
		request.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		r.api().ServeHTTP(w, request)
		require.Contains(t, []int{200, 301, 307, 400, 404}, w.Code)
		if w.Code == 200 {
			require.NotEmpty(t, w.Header().Get("X-Content-Type-Options"))
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && w.Code != 301 && w.Code != 307 {
			require.Equal(t, page.ContentSecurityPolicy, w.Header().Get("Content-Security-Policy"))
			require.Equal(t, 1, strings.Count(w.Body.String(), "<script"))
		}
	})
}

func TestAlertsLinkToThePage(t *testing.T) {
	t.Parallel()
	r := newRig(t, &fakeStore{total: 1000, bad: 20})
	r.book.pages = "http://127.0.0.1:9466"
	r.live()
	r.step(t.Context())
	links := map[string]string{}
	for _, a := range r.current().Alerts {
		links[a.Labels["alertname"]] = a.Generator
	}
	require.Equal(t, map[string]string{
		alertBurn: "http://127.0.0.1:9466/slo?service=chat&slo=connection-availability", alertWatchdog: "http://127.0.0.1:9466/",
	}, links)
	for _, link := range links {
		require.Equal(t, 200, get(r.api(), strings.TrimPrefix(link, r.book.pages), browserAccepts).Code, link)
	}
	r.book.cfg.GeneratorURL = "https://example.com/{service}/{slo}"
	r.advance(time.Minute)
	r.live()
	r.step(t.Context())
	require.Contains(t, fmt.Sprint(r.current().Alerts), "https://example.com/chat/connection-availability")
}
