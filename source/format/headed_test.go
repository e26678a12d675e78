package format_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// dockered is a line as Docker's json-file driver has it: written by Go's encoding/json, which escapes more than others.
func dockered(line, attrs string) string {
	text, _ := json.Marshal(line + "\n")
	return `{"log":` + string(text) + `,"stream":"stdout",` + attrs + `"time":"2026-11-22T07:00:11.547123456Z"}`
}

// What syslog or the runtime of a container puts before or around a line is not taken for a part of it, whatever the format.
func TestLinesAreReadBehindTheHeadsOfOthers(t *testing.T) {
	t.Parallel()
	lines := map[string][]string{
		"nginx":                 {strings.Replace(jsonLine, "403", `101,"remote_addr":"203.0.113.7"`, 1)},
		"nginx combined":        {combinedLine, "nginx", "combined"},
		"nginx main":            {combinedLine + ` "-"`, "nginx", "main"},
		"nginx upstreaminfo":    {ingressLine, "nginx", "upstreaminfo"},
		"apache":                {combinedLine, "apache", "combined"},
		"apache vhost_combined": {"chat.example.test:443 " + combinedLine, "apache", "vhost_combined"},
		"envoy":                 {`[2026-11-22T07:00:11.547Z] "GET /ws HTTP/1.1" 101 DC 61 105 13342 - "203.0.113.7" "-" "e5248829" "h.example.test" "192.0.2.2:8080"`},
		"haproxy":               {`203.0.113.7:5000 [22/Nov/2026:07:00:11.968] fe bk/s 0/0/0/1/2 101 1 - - ---- 1/1/0/0/0 0/0 {h.example.test|websocket} {} "GET / HTTP/1.1"`},
	}
	for name, c := range lines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parse := func(name, template, line string) []string {
				f, err := format.Of(name)
				require.NoError(t, err)
				p, err := f.New(sourcetest.Settings(), format.Options{Template: template})
				require.NoError(t, err)
				var events []string
				require.NoError(t, p.Parse([]byte(line), func(e *event.Event) {
					sourcetest.AssertModel(t, e)
					events = append(events, string(e.AppendJSON(nil)))
				}))
				return events
			}
			template := ""
			if len(c) == 3 {
				name, template = c[1], c[2]
			}
			want := parse(name, template, c[0])
			require.NotEmpty(t, want)
			wrapped := []string{
				dockered(c[0], ""), dockered(c[0]+"\r", `"attrs":{"app":"\"edge\""},`), "\uFEFF" + c[0], "\uFEFF" + dockered(c[0], ""),
				dockered("<190>Nov 22 07:00:11 edge-1 nginx: "+c[0], ""),
			}
			for _, head := range []string{
				"<190>Nov 22 07:00:11 edge-1 nginx: ", "Nov  2 07:00:11 edge-1 proxy[12]: ", "2026-11-22T07:00:11.1+01:00 edge-1 proxy[12]: ",
				"<190>1 2026-11-22T07:00:11Z edge-1 proxy 12 - - ", "2026-11-22T07:00:11.123456789Z stdout F ",
			} {
				wrapped = append(wrapped, head+c[0])
			}
			for _, line := range wrapped {
				require.Equal(t, want, parse(name, template, line), line)
				if template == "" {
					_, err := format.Recognise([]byte(line), "")
					require.NoError(t, err, line)
				}
			}
		})
	}
}

func TestAHeadDoesNotHideWhatIsWrong(t *testing.T) {
	t.Parallel()
	f, err := format.Of(format.Nginx)
	require.NoError(t, err)
	// A format may begin as a head does.
	p, err := f.New(sourcetest.Settings(), format.Options{Template: `$time_iso8601 edge[$status]: $request`})
	require.NoError(t, err)
	var got []event.Name
	emit := func(e *event.Event) { got = append(got, e.Name) }
	require.NoError(t, p.Parse([]byte("2026-11-22T07:00:11+00:00 edge[101]: GET / HTTP/1.1"), emit))
	require.Equal(t, []event.Name{event.Open, event.Close}, got)
	err = p.Parse([]byte("<190>Nov 22 07:00:11 edge-1 nginx: nonsense"), emit)
	require.Equal(t, source.OtherFormat, source.ReasonOf(err))
	require.Len(t, got, 2)
}
