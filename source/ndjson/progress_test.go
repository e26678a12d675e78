package ndjson

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

func TestALineCannotSayHowFarASourceWasRead(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-11-22T10:00:00Z","event":"websocket.source.progress","websocket.source.name":"x",` +
		`"websocket.source.read_through":1,"websocket.source.backlog":0}`
	require.NoError(t, (&event.Decoder{}).Decode([]byte(line), &event.Event{}), "it is an event of the model")
	err := NewParser(source.Settings{}).Parse([]byte(line), func(*event.Event) { t.Error("emitted") })
	require.EqualError(t, err, "unknown event: event")
	require.Equal(t, event.ReasonUnknownEvent, source.ReasonOf(err))
}
