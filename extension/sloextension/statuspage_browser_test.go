package sloextension

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/page"
	"github.com/sockeye-project/sockeye/internal/browser"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// hostile is a name that events and documents may well have.
const hostile = `<img src=x onerror="document.title='owned'">'&/..`

// newPageRig is an engine over the real store: a budget that burned and burns, an exclusion and a deploy, and a service
// with a hostile name.
func newPageRig(t *testing.T) (*realRig, *httptest.Server) {
	t.Helper()
	dsn := newStore(t)
	clock := time.Now().UTC().Truncate(time.Minute)
	r := newRealRig(t, dsn, clock)
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat", hostile}, Vantage: "edge", AuthVantage: "app"})
	require.NoError(t, err)
	require.Equal(t, "connection-availability", slos[3].Name)
	slos[3].Grouping = slo.Grouping{By: []string{"tenant"}, Max: 5}
	r.slos, r.ledger = slos, slo.NewLedger(slos, slo.Timing{})
	storeEvents(t, dsn, clock.Add(-20*time.Hour), "<i>zeta</i>", 900_000, 5)
	storeEvents(t, dsn, clock.Add(-10*time.Minute), "acme", 9000, 3)
	embeddedtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO events (counted_at, time, service, event, attributes) VALUES
		(toDateTime64(%[1]d, 3), toDateTime64(%[1]d, 9), 'chat', 'websocket.deploy', map('websocket.deploy.version', '1.14.2'))`,
		clock.Add(-time.Hour).Unix()))
	embeddedtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO slo_exclusions (id, version, service, slo, starts, ends, reason, withdrawn, written) VALUES
		('0badcafe', 1, 'chat', '', %[1]d, %[2]d, 'summer', false, now64(3)), ('0badcafe', 2, 'chat', '', %[1]d, %[2]d, '<b>winter</b>', false, now64(3)),
		('0ff1ce00', 1, 'chat', '', %[1]d, %[2]d, 'a mistake', false, now64(3)), ('0ff1ce00', 2, 'chat', '', %[1]d, %[2]d, 'a mistake', true, now64(3))`,
		clock.Add(-2*time.Hour).Unix(), clock.Add(-time.Hour).Unix()))
	r.live(t)
	r.step(t.Context())
	r.clock = clock.Add(time.Minute)
	storeEvents(t, dsn, clock.Add(-30*time.Second), "acme", 500, 100)
	r.live(t)
	r.step(t.Context())
	require.Empty(t, r.trouble)
	server := httptest.NewServer(r.api())
	t.Cleanup(server.Close)
	return r, server
}

// contrasts lists the texts of a page whose contrast to what is behind them is below 4.5, and how many texts it looked at.
const contrasts = `(() => {
	const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
	const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
	const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = e => { const layers = [];
		for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((under, top) => over(top, under), matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1]); };
	const bad = []; let texts = 0;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement, style = getComputedStyle(e);
		if (!walk.currentNode.data.trim() || e.closest("script, noscript, title") || style.visibility !== "visible" || !e.getClientRects().length) continue;
		texts++;
		const ground = behind(e), color = over(parse(e instanceof SVGElement ? style.fill : style.color), ground);
		const [a, b] = [light(color), light(ground)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) bad.push(walk.currentNode.data.trim() + ": " + ratio.toFixed(2));
	}
	return {bad, texts};
})()`

// cut lists the texts of a page that are outside of the window, or that their box cuts off.
const cut = `[...document.querySelectorAll("main *, header *, footer *")].filter(e => {
	if (e.closest(".hidden, .skip, thead, noscript, title") || !e.getClientRects().length) return false;
	if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) return false;
	const box = e.getBoundingClientRect(), style = getComputedStyle(e);
	return box.left < -1 || box.right > innerWidth + 1 ||
		style.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1 || style.overflowY !== "visible" && e.scrollHeight > e.clientHeight + 1;
}).map(e => e.textContent)`

func TestStatusPageInChromium(t *testing.T) {
	t.Parallel()
	r, server := newPageRig(t)
	b := browser.Start(t, browser.Settings{})
	overview, detail := server.URL+"/", server.URL+page.Link("chat", "connection-availability")
	text := func(p *browser.Page) (text string) {
		p.Eval("document.body.innerText", &text)
		return text
	}
	check := func(p *browser.Page) {
		t.Helper()
		requests := 0
		for _, e := range p.Seen() {
			switch e.Method {
			case "Network.requestWillBeSent":
				var sent struct{ Request struct{ URL string } }
				require.NoError(t, json.Unmarshal(e.Params, &sent))
				require.True(t, strings.HasPrefix(sent.Request.URL, server.URL+"/"), sent.Request.URL)
				requests++
			case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
				t.Fatalf("%s: %s", e.Method, e.Params)
			}
		}
		require.GreaterOrEqual(t, requests, 3, "the page, its style and its script")
	}

	t.Run("content, no error and no request elsewhere", func(t *testing.T) {
		p := b.Blank()
		p.Watch("Network", "Log", "Runtime")
		p.Load(overview)
		said := text(p)
		require.Contains(t, said, "1 budget exhausted, 2 SLOs burning, 1 page")
		require.Regexp(t, `No traffic\s+8`, said)
		require.Contains(t, said, "Connection availability of chat burns its error budget")
		require.Contains(t, said, hostile+" / auth-availability", "as text")
		require.Contains(t, said, "<b>winter</b>")
		require.Contains(t, said, "version 1.14.2 deployed")
		require.Contains(t, said, "incident detected: page")
		require.Contains(t, said, "Refreshes itself")
		var title string
		p.Eval("document.title", &title)
		require.Equal(t, "1 budget exhausted, 2 SLOs burning, 1 page · Sockeye", title)
		var images int
		p.Eval(`document.querySelectorAll("img, iframe, [onerror], [style]").length`, &images)
		require.Zero(t, images)
		var charts []string
		p.Eval(`[...document.querySelectorAll("svg.burn")].map(s => s.getAttribute("aria-label"))`, &charts)
		require.Len(t, charts, 12, "ten SLOs, and two tenants of one")
		require.Regexp(t, `5m [\d.]+, 30m [\d.]+, 1h [\d.]+, 2h`, charts[0])

		var leads string
		p.Eval(`document.querySelector("table.slos a").href`, &leads)
		require.Equal(t, detail, leads)
		p.Load(detail)
		said = text(p)
		for _, want := range []string{
			"Connection availability: 99.9\u00a0% over 30d", "What share of WebSocket handshakes did not fail", "exceeded",
			"<i>zeta</i>", "108 bad of 909.6 that the objective allows", "upstream_timeout", "fires page if the burn rate over 6h and 30m is above 6",
			"Error budget left:", "103 of 9,603 judged were bad", "does not count into budgets",
		} {
			require.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(said, "\u00a0", "_")), " "),
				strings.ReplaceAll(want, "\u00a0", "_"))
		}
		check(p)

		// So does that of a group: what is its own, and nothing of others.
		p.Load(server.URL + "/slo?" + url.Values{"service": {"chat"}, "slo": {`connection-availability{tenant="acme"}`}}.Encode())
		said = text(p)
		require.Contains(t, said, "Connection availability, tenant acme")
		require.Contains(t, said, "103 of 9,603 judged were bad")
		require.NotContains(t, said, "zeta")
		check(p)
		p.Eval(`document.querySelectorAll(".crumbs a")[1].href`, &leads)
		require.Equal(t, detail, leads)

		// A link of a hostile name leads to its page.
		p.Load(overview)
		p.Eval(`[...document.querySelectorAll("table.slos tr")].find(r => r.innerText.includes("onerror")).querySelector("a").href`,
			&leads)
		p.Load(leads)
		require.Contains(t, text(p), hostile)
		require.Contains(t, text(p), "No traffic")
		check(p)
	})

	t.Run("contrast, in light and dark", func(t *testing.T) {
		p := b.Blank()
		grounds := map[string]bool{}
		for _, scheme := range []string{"light", "dark"} {
			p.Call("Emulation.setEmulatedMedia", map[string]any{
				"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
			}, nil)
			for _, address := range []string{overview, detail, server.URL + "/slo/chat/nothing"} {
				p.Load(address)
				var found struct {
					Bad   []string
					Texts int
				}
				p.Eval(contrasts, &found)
				require.Empty(t, found.Bad, "%s %s", scheme, address)
				require.Greater(t, found.Texts, 8)
			}
			var ground string
			p.Eval("getComputedStyle(document.body).backgroundColor", &ground)
			grounds[ground] = true
		}
		require.Len(t, grounds, 2, "dark is another one")
	})

	t.Run("no horizontal scrolling at 200 % zoom and on a phone", func(t *testing.T) {
		p := b.Blank()
		for _, width := range []int{1280, 640, 375, 320} {
			p.Call("Emulation.setDeviceMetricsOverride",
				map[string]any{"width": width, "height": 512, "deviceScaleFactor": 2, "mobile": false}, nil)
			for _, address := range []string{overview, detail} {
				p.Load(address)
				var scroll int
				p.Eval("document.scrollingElement.scrollWidth", &scroll)
				require.LessOrEqual(t, scroll, width, address)
				var outside []string
				p.Eval(cut, &outside)
				require.Empty(t, outside, "%s at %d", address, width)
			}
		}
	})

	t.Run("keyboard", func(t *testing.T) {
		p := b.Blank()
		press := func(key string, code int) {
			for _, kind := range []string{"rawKeyDown", "keyUp"} {
				p.Call("Input.dispatchKeyEvent",
					map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
			}
		}
		for _, address := range []string{overview, detail} {
			p.Load(address)
			var stops int
			p.Eval(`(window.stops = [...document.querySelectorAll("a, button, input, summary")].filter(
				e => e.matches("summary") || !e.closest("details:not([open])"))).length`, &stops)
			require.Greater(t, stops, 10)
			for i := range stops {
				press("Tab", 9)
				var at struct {
					Index   int
					Outline string
					Width   float64
					Seen    bool
				}
				p.Eval(`new Promise(done => requestAnimationFrame(() => {
					document.getAnimations().forEach(a => a.finish());
					const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
					done({index: stops.indexOf(e), outline: style.outlineStyle, width: parseFloat(style.outlineWidth),
						seen: box.width > 0 && box.top >= 0 && box.bottom <= innerHeight});
				}))`, &at)
				require.Equal(t, i, at.Index, "in the order of the page")
				require.Equal(t, "solid", at.Outline)
				require.GreaterOrEqual(t, at.Width, 2.0)
				require.True(t, at.Seen, "stop %d is not visible", i)
			}
		}
		p.Load(overview)
		press("Tab", 9)
		var on string
		p.Eval("document.activeElement.innerText", &on)
		require.Equal(t, "Skip to the content", on)
		enter := map[string]any{"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
		p.Call("Input.dispatchKeyEvent", enter, nil)
		p.Eval(`new Promise(done => { const look = () => location.hash ? done() : setTimeout(look, 20); look(); })`, nil)
		p.Eval("document.activeElement.id", &on)
		require.Equal(t, "main", on)
		p.Eval(`addEventListener("click", e => { e.preventDefault(); window.followed = e.target.href }); document.querySelector("table.slos a").focus()`, nil)
		p.Call("Input.dispatchKeyEvent", enter, nil)
		p.Eval(`new Promise(done => { const look = () => window.followed ? done(window.followed) : setTimeout(look, 20); look(); })`, &on)
		require.Equal(t, detail, on, "Enter follows a link")
		p.Load(detail)
		p.Eval(`document.querySelector("summary").focus()`, nil)
		p.Call("Input.dispatchKeyEvent", enter, nil)
		p.Eval(`new Promise(done => { const look = () => document.querySelector("details").open ? done() : setTimeout(look, 20); look(); })`, nil)
	})

	t.Run("without JavaScript", func(t *testing.T) {
		p := b.Blank()
		p.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
		for _, address := range []string{overview, detail} {
			p.Load(address)
			said := text(p)
			require.Contains(t, said, "Connection availability")
			require.Contains(t, said, "Reload to see what is new")
		}
	})

	t.Run("refreshes in place, and says when it cannot", func(t *testing.T) {
		p := b.Open(detail)
		until := func(condition string) {
			t.Helper()
			p.Eval(`new Promise((done, fail) => { const since = Date.now(); const look = () => `+condition+
				` ? done() : Date.now() - since > 50000 ? fail(new Error(document.body.innerText)) : setTimeout(look, 50); look(); })`, nil)
		}
		p.Eval(`document.querySelector("details").open = true; document.querySelector("summary").id = "kept"; window.same = true;
			document.querySelector("details a").focus()`, nil)
		r.clock = r.clock.Add(time.Minute)
		storeEvents(t, r.dsn, r.clock.Add(-30*time.Second), "acme", 500, 900)
		r.live(t)
		r.step(t.Context())
		p.Eval(`dispatchEvent(new Event("online"))`, nil)
		until(`document.body.innerText.includes("1,008 bad of")`)
		until(`same && document.querySelector("details").open && document.activeElement.innerText === "Status as JSON"`)
		server.CloseClientConnections()
		server.Listener.Close()
		server.CloseClientConnections()
		p.Eval(`dispatchEvent(new Event("online"))`, nil)
		until(`document.body.innerText.includes("The engine does not answer: this is as of")`)
	})
}
