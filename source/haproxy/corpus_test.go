package haproxy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source/haproxy"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// The logs of the corpus are read with and without the configuration that wrote them, and with the log-format alone.
func TestCorpusYieldsWhatItsLinesProveAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"haproxy", "haproxy-new"} {
		for _, kind := range []string{"httplog", "json"} {
			text, err := os.ReadFile(testenv.Corpus(t, "sources", folder, "haproxy-"+kind+".cfg"))
			require.NoError(t, err)
			cfg := string(text)
			templates := map[string]string{"no template": "", "the configuration": cfg}
			if _, format, found := strings.Cut(cfg, "log-format "); found {
				templates["the log-format"], _, _ = strings.Cut(format, "\n")
				templates["the log-format without its quotes"] = strings.Trim(templates["the log-format"], "'")
			}
			for name, template := range templates {
				t.Run(folder+" "+kind+" "+name, func(t *testing.T) {
					t.Parallel()
					p, err := haproxy.New(sourcetest.Settings(), template, nil)
					require.NoError(t, err)
					require.Empty(t, p.Advice())
					log := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, kind+".log"))
					expected := sourcetest.ReadLines(t, testenv.Corpus(t, "sources", folder, kind+".expected.jsonl"))
					sourcetest.Expect(t, p, log, expected, adjust, assertNothingInvented)
				})
			}
		}
	}
}

// adjust: the expectations take SD for a reset and say in a note that it may be absent. A server that closes while data is
// unread resets the connection even after a clean exchange of Close frames, so the state proves no reset.
func adjust(line string, expect []map[string]any) {
	if strings.Contains(line, " SD-- ") || strings.Contains(line, `"term_state":"SD"`) {
		expect[1]["error.type"] = nil
	}
}

func assertNothingInvented(t *testing.T, e *event.Event) {
	t.Helper()
	for _, k := range []event.Key{
		event.CloseCode, event.CloseReason, event.CloseClean, event.IOReceived, event.IOSent, event.URLTemplate,
		event.ServerPort, event.TenantID,
	} {
		require.False(t, e.Has(k), "%s", k)
	}
	require.Equal(t, event.VisibilityAtClose, e.String(event.SourceVisibility))
}
