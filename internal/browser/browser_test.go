package browser_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sockeye-project/sockeye/internal/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPages(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: r.URL.Path[1:], Path: r.URL.Path})
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>" + r.Host + r.URL.Path + "</title>"))
	}))
	t.Cleanup(site.Close)
	port := site.URL[len("http://127.0.0.1"):]
	b := browser.Start(t, browser.Settings{Hosts: []string{"here.example"}})
	first := b.Open("http://here.example" + port + "/one")
	var title, cookie string
	first.Eval("document.title", &title)
	require.Equal(t, "here.example"+port+"/one", title)

	b.Open("http://here.example"+port+"/two").Eval("document.cookie", &cookie)
	require.Equal(t, "seen=two", cookie)
	first.Eval("document.cookie", &cookie)
	require.Equal(t, "seen=one", cookie, "pages share nothing")

	var failed string
	first.Eval(`fetch("https://elsewhere.example/").then(() => "loaded", e => e.message)`, &failed)
	require.Equal(t, "Failed to fetch", failed)
}
