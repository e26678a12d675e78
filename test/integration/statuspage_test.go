package integration

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/browser"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// TestTheStatusPageOfTheDemo opens the address that the demo prints, and sees the incident there. With SCREENSHOTS, a
// folder relative to the repository, it takes the pictures that the documentation shows.
func TestTheStatusPageOfTheDemo(t *testing.T) {
	t.Parallel()
	b := browser.Start(t, browser.Settings{})
	demo := start(t, nil, binary(t), "demo", "--keep")
	printed := func(pattern string) string {
		t.Helper()
		var found []string
		require.Eventually(t, func() bool {
			found = regexp.MustCompile(pattern).FindStringSubmatch(demo.out.String())
			return found != nil
		}, 3*time.Minute, 50*time.Millisecond, pattern)
		return found[1]
	}
	address := printed(`the status page is at (http://127\.0\.0\.1:\d+/)\n`)
	printed(`(PAGE) after`)
	p := b.Open(address)
	var said string
	require.Eventually(t, func() bool {
		p.Load(address)
		p.Eval("document.body.innerText", &said)
		return regexp.MustCompile(`SLOs? burning.*\d pages?\b`).MatchString(said)
	}, 60*time.Second, 2*time.Second, "it pages")
	require.Contains(t, said, "of chat burns its error budget")

	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		p.Call("Emulation.setScrollbarsHidden", map[string]any{"hidden": true}, nil)
		for _, picture := range []struct {
			name, scheme, path string
			height             int
		}{
			{"status-light", "light", "", 840}, {"status-dark", "dark", "", 840},
			{"status-slo", "light", "slo/chat/auth-availability", 1100},
		} {
			p.Call("Emulation.setEmulatedMedia", map[string]any{
				"features": []map[string]string{{"name": "prefers-color-scheme", "value": picture.scheme}},
			}, nil)
			p.Call("Emulation.setDeviceMetricsOverride",
				map[string]any{"width": 1120, "height": picture.height, "deviceScaleFactor": 1, "mobile": false}, nil)
			p.Load(address + picture.path)
			var shot struct{ Data string }
			p.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
			body, err := base64.StdEncoding.DecodeString(shot.Data)
			require.NoError(t, err)
			small := fewColors(t, body)
			require.Less(t, len(small), 200<<10)
			require.NoError(t, os.WriteFile(filepath.Join(testenv.Root(), dir, picture.name+".png"), small, 0o644))
		}
	}
	printed(`\n  status page +(http://127\.0\.0\.1:\d+/)\n`)
	demo.stop()
}

// fewColors makes a PNG small: of its colours it keeps the most frequent, and the nearest of them for the others.
func fewColors(t *testing.T, body []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	frequency := map[color.RGBA]int{}
	box := from.Bounds()
	rgba := image.NewRGBA(box)
	draw.Draw(rgba, box, from, box.Min, draw.Src)
	for y := range box.Dy() {
		for x := range box.Dx() {
			frequency[rgba.RGBAAt(x, y)]++
		}
	}
	colors := make([]color.RGBA, 0, len(frequency))
	for c := range frequency {
		colors = append(colors, c)
	}
	slices.SortFunc(colors, func(a, b color.RGBA) int { return frequency[b] - frequency[a] })
	palette := make(color.Palette, 0, 256)
	for _, c := range colors[:min(256, len(colors))] {
		palette = append(palette, c)
	}
	to := image.NewPaletted(box, palette)
	draw.Draw(to, box, rgba, box.Min, draw.Src)
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, to))
	return b.Bytes()
}
