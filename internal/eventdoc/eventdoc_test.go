package eventdoc

import (
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
