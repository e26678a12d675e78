package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

func TestACopySharesNoMemory(t *testing.T) {
	var a, b event.Event
	a.Name = event.Open
	a.SetString(event.ConnectionID, "a")
	a.AddExtra("x", event.Int(1))
	b.SetString(event.ConnectionID, "b")
	b.SetString(event.Vantage, event.VantageEdge)
	b.CopyFrom(&a)
	require.Equal(t, string(a.AppendJSON(nil)), string(b.AppendJSON(nil)))
	b.SetString(event.ConnectionID, "c")
	b.AddExtra("y", event.Int(2))
	require.Equal(t, "a", a.String(event.ConnectionID))
	require.Len(t, a.Extra(), 1)
	require.Zero(t, testing.AllocsPerRun(10, func() { b.CopyFrom(&a) }))
}
