// Package sourcetest is what the tests of parsers share: reading a log, the corpus with its expectations, lines that
// somebody broke, a fuzz target, a benchmark. Only tests import it.
//
// The invariant to keep: it knows nothing of any format, so what holds here holds for every parser.
package sourcetest

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
)

// Settings returns settings with keys.
func Settings() source.Settings {
	return source.Settings{ConnectionKey: []byte("0123456789abcdef"), HandshakeKey: []byte("fedcba9876543210")}
}

// ReadLines returns the lines of a file.
func ReadLines(t testing.TB, path string) (lines []string) {
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
	require.NotEmpty(t, lines)
	return lines
}

// Parse returns copies of what p emits; a line that is not about a WebSocket gives none.
func Parse(t testing.TB, p source.Parser, line string) (events []event.Event) {
	t.Helper()
	err := p.Parse([]byte(line), func(e *event.Event) { events = append(events, e.Clone()) })
	if !errors.Is(err, source.ErrSkipped) {
		require.NoError(t, err)
		require.NotEmpty(t, events)
	}
	return events
}

// AssertModel checks e against the table of events.
func AssertModel(t testing.TB, e *event.Event) {
	t.Helper()
	require.NoError(t, e.Validate(), "%s", e.Name)
	require.False(t, e.Time.IsZero())
	require.False(t, e.Time.After(e.Observed), "an event after it was written down")
}

// AssertEvents checks events against "name key=value key=value", one text each; a value may hold spaces, and an empty one
// means absent.
func AssertEvents(t testing.TB, want []string, got []event.Event) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, text := range want {
		AssertModel(t, &got[i])
		name, rest, _ := strings.Cut(text, " ")
		require.Equal(t, name, string(got[i].Name))
		assertAttributes(t, rest, &got[i])
	}
}

func assertAttributes(t testing.TB, want string, e *event.Event) {
	t.Helper()
	var key string
	values := map[string]string{}
	for word := range strings.SplitSeq(want, " ") {
		name, value, ok := strings.Cut(word, "=")
		if _, known := event.KeyOf(name); ok && known {
			key = name
			values[key] = value
		} else if key != "" {
			values[key] += " " + word
		}
	}
	for name, value := range values {
		k, _ := event.KeyOf(name)
		require.Equal(t, value, e.Get(k).Text(), "%s of %s", name, e.Name)
	}
}

// expectation is a line of an expected.jsonl of the corpus: the attributes that a line of the log must yield, null for
// those that it must not.
type expectation struct {
	Line   int              `json:"line"`
	Expect []map[string]any `json:"expect"`
}

// Expect feeds a log of the corpus to p and compares with its expectations, which have one line for each. check sees
// every event besides, and adjust may correct what is expected of a line; both may be nil.
func Expect(t *testing.T, p source.Parser, log, expected []string,
	adjust func(line string, expect []map[string]any), check func(*testing.T, *event.Event),
) {
	t.Helper()
	require.Len(t, expected, len(log))
	for i, row := range expected {
		var want expectation
		require.NoError(t, json.Unmarshal([]byte(row), &want))
		require.Equal(t, i+1, want.Line)
		got := Parse(t, p, log[i])
		for j := range got {
			AssertModel(t, &got[j])
			require.Empty(t, got[j].Extra())
			if check != nil {
				check(t, &got[j])
			}
		}
		if adjust != nil {
			adjust(log[i], want.Expect)
		}
		require.Len(t, got, len(want.Expect), "line %d", want.Line)
		for j := range got {
			assertExpected(t, want.Line, want.Expect[j], &got[j])
		}
	}
}

// ExpectCorpus is [Expect] for the files folder/log and folder/expected below the corpus's sources.
func ExpectCorpus(t *testing.T, p source.Parser, folder, log, expected string, check func(*testing.T, *event.Event)) {
	t.Helper()
	Expect(t, p, ReadLines(t, testenv.Corpus(t, "sources", folder, log)),
		ReadLines(t, testenv.Corpus(t, "sources", folder, expected)), nil, check)
}

func assertExpected(t *testing.T, line int, want map[string]any, got *event.Event) {
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
			require.NotEqual(t, event.KindAbsent, v.Kind(), "line %d: %s is absent", line, name)
			// Expectations of durations are rounded to microseconds.
			require.InDelta(t, value, v.Double(), 1e-6, "line %d: %s", line, name)
		default:
			require.Fail(t, "expectation of another type", "line %d: %s", line, name)
		}
	}
}
