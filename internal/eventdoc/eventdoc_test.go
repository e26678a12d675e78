package eventdoc

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/golden"
)

func TestThePageIsWhatTheTablesSay(t *testing.T) {
	golden.Assert(t, "../../docs/events.md", Markdown())
}

func TestEverySampleIsAValidEvent(t *testing.T) {
	var decoder event.Decoder
	for _, s := range event.Schemas() {
		line := sample(s.Name).AppendJSON(nil)
		require.NoError(t, decoder.Decode(line, &event.Event{}), "%s", line)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	for _, r := range event.Reasons() {
		require.NotEmpty(t, reasons[r], r)
	}
	require.Len(t, reasons, len(event.Reasons()))
}

func TestThePageNamesOnlyWhatTheModelHas(t *testing.T) {
	page := string(Markdown())
	for _, m := range regexp.MustCompile("`(websocket\\.[a-z_.]+)`").FindAllStringSubmatch(page, -1) {
		_, attribute := event.KeyOf(m[1])
		require.True(t, attribute || event.Name(m[1]).Known(), m[1])
	}
	require.Equal(t, page, string(Markdown()), "deterministic")
}

// TestTheExampleToPushIsAccepted decodes every JSON line of the page.
func TestTheExampleToPushIsAccepted(t *testing.T) {
	var decoder event.Decoder
	lines := regexp.MustCompile(`(?m)^\{.*\}$`).FindAllString(string(Markdown()), -1)
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.NoError(t, decoder.Decode([]byte(line), &event.Event{}), line)
	}
}
