package nginx_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
)

type expectation struct {
	Line   int              `json:"line"`
	Expect []map[string]any `json:"expect"`
}

// The expectations of the corpus name the attributes that a line must yield, null for those it must not.
func TestCorpusYieldsWhatItsLinesProveAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"nginx", "nginx-new"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			lines := readLines(t, testenv.Corpus(t, "sources", folder, "access.json.log"))
			expected := readLines(t, testenv.Corpus(t, "sources", folder, "access.json.expected.jsonl"))
			require.Len(t, expected, len(lines))
			p := nginx.NewParser(settings())
			for i, row := range expected {
				var want expectation
				require.NoError(t, json.Unmarshal([]byte(row), &want))
				require.Equal(t, i+1, want.Line)
				got := parse(t, p, lines[i])
				require.Len(t, got, len(want.Expect), "line %d", want.Line)
				for j := range got {
					assertExpected(t, want.Line, want.Expect[j], got[j])
					assertNothingInvented(t, want.Line, &got[j])
				}
			}
		})
	}
}

func assertExpected(t *testing.T, line int, want map[string]any, got event.Event) {
	t.Helper()
	for name, value := range want {
		if name == "event" {
			require.Equal(t, value, string(got.Name), "line %d", line)
			continue
		}
		k, ok := event.KeyOf(name)
		require.True(t, ok, name)
		v := got.Get(k)
		switch value := value.(type) {
		case nil:
			require.Equal(t, event.KindAbsent, v.Kind(), "line %d: %s must be absent, got %s", line, name, v.Text())
		case string:
			require.Equal(t, value, v.Str(), "line %d: %s", line, name)
		case float64:
			require.InDelta(t, value, v.Double(), 0, "line %d: %s", line, name)
		default:
			require.Fail(t, "expectation of another type", "line %d: %s", line, name)
		}
	}
}

// assertNothingInvented holds the attributes that no line of nginx can prove.
func assertNothingInvented(t *testing.T, line int, e *event.Event) {
	t.Helper()
	for _, k := range []event.Key{
		event.CloseCode, event.CloseReason, event.CloseClean, event.IOReceived, event.IOMessagesReceived,
		event.IOMessagesSent, event.URLTemplate, event.TenantID, event.RateLimitPolicy, event.AuthMethod,
		event.ServerPort,
	} {
		require.False(t, e.Has(k), "line %d: %s", line, k)
	}
	require.Empty(t, e.Extra())
	require.Equal(t, event.VisibilityAtClose, e.String(event.SourceVisibility))
	assertFollowsModel(t, e)
}

// assertFollowsModel checks e against the table of events.
func assertFollowsModel(t testing.TB, e *event.Event) {
	t.Helper()
	require.NoError(t, e.Validate(), "%s", e.Name)
	require.False(t, e.Time.IsZero())
	require.False(t, e.Time.After(e.Observed))
}

func settings() source.Settings {
	return source.Settings{ConnectionKey: []byte("0123456789abcdef"), HandshakeKey: []byte("fedcba9876543210")}
}

// parse returns copies of what p emits; a line that is not about a WebSocket gives none.
func parse(t testing.TB, p source.Parser, line string) (events []event.Event) {
	t.Helper()
	err := p.Parse([]byte(line), func(e *event.Event) { events = append(events, e.Clone()) })
	if err != source.ErrSkipped {
		require.NoError(t, err)
	}
	return events
}

func readLines(t testing.TB, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	require.NoError(t, s.Err())
	return lines
}
