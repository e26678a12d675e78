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

func TestAnEventAcceptsWhatItsKeyAccepts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key   event.Key
		value event.Value
	}{
		"a value of its set":     {event.Vantage, event.String(event.VantageTap)},
		"a value outside it":     {event.Vantage, event.String("moon")},
		"another kind":           {event.ServerPort, event.String("443")},
		"within its bounds":      {event.ServerPort, event.Int(443)},
		"outside its bounds":     {event.ServerPort, event.Int(1 << 20)},
		"an absent value":        {event.ServerPort, event.Value{}},
		"a list":                 {event.Extensions, event.Strings([]string{"a", "b"})},
		"a duration of no event": {event.HandshakeDuration, event.Double(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e event.Event
			e.SetString(event.Vantage, event.VantageEdge)
			before := e.Get(tt.key)
			accepted := e.Accept(tt.key, tt.value)
			require.Equal(t, tt.key.Accepts(tt.value), accepted)
			if accepted {
				before = tt.value
			}
			require.True(t, before.Equal(e.Get(tt.key)))
			require.Equal(t, before.Kind() != event.KindAbsent, e.Has(tt.key))
			e.Set(tt.key, event.Value{})
			require.False(t, e.Has(tt.key))
		})
	}
}
