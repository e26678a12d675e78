package ndjson_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/ndjson"
)

const line = `{"time":"2026-11-22T07:00:00Z","event":"websocket.auth","websocket.connection.id":"c1",` +
	`"websocket.vantage":"app","websocket.source.visibility":"at_open","websocket.source.type":"app",` +
	`"websocket.auth.result":"success"`

func collect(t *testing.T, p source.Parser, lines ...string) (events []event.Event) {
	t.Helper()
	for _, l := range lines {
		require.NoError(t, p.Parse([]byte(l), func(e *event.Event) { events = append(events, e.Clone()) }))
	}
	return events
}

func TestALineIsAnEvent(t *testing.T) {
	t.Parallel()
	got := collect(t, ndjson.NewParser(source.Settings{}), line+`}`)
	require.Len(t, got, 1)
	require.NoError(t, got[0].Validate())
	require.Equal(t, event.AuthSuccess, got[0].String(event.AuthResult))
}

func TestAttributesOutsideTheModelAreLeftToThePolicy(t *testing.T) {
	t.Parallel()
	got := collect(t, ndjson.NewParser(source.Settings{}), line+`,"room":"42"}`)
	require.Equal(t, []event.Named{{Name: "room", Value: event.String("42")}}, got[0].Extra())
}

func TestAnEmptyLineIsSkippedAndABrokenOneHasAReason(t *testing.T) {
	t.Parallel()
	p := ndjson.NewParser(source.Settings{})
	none := func(*event.Event) { t.Error("an event was emitted") }
	require.ErrorIs(t, p.Parse([]byte(" "), none), source.ErrSkipped)
	for text, want := range map[string]string{
		`{`:                    event.ReasonMalformedJSON,
		line + `,"a":1,"a":2}`: event.ReasonDuplicateKey,
		`{}`:                   event.ReasonBadTime,
	} {
		err := p.Parse([]byte(text), none)
		require.Error(t, err)
		require.Equal(t, want, source.ReasonOf(err), "%v", err)
		require.Contains(t, source.Reasons(), source.ReasonOf(err))
	}
}

func TestEqualResourcesAreOneWithTheDefaultsOfTheSettings(t *testing.T) {
	t.Parallel()
	defaults := event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("default")},
		event.Named{Name: event.Environment, Value: event.String("production")})
	p := ndjson.NewParser(source.Settings{Resource: defaults})
	own := line + `,"resource":{"service.name":"chat"}}`
	got := collect(t, p, own, line+`}`, own)
	require.Equal(t, "chat", got[0].Resource.String(event.ServiceName))
	require.Equal(t, "production", got[0].Resource.String(event.Environment))
	require.Same(t, defaults, got[1].Resource)
	require.Same(t, got[0].Resource, got[2].Resource)
}

func FuzzParse(f *testing.F) {
	seeds := []string{line + `}`, line + `,"resource":{"service.name":"chat"}}`, line + `,"x":[1,{"y":"z"}]}`, ` `, `{`}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	p := ndjson.NewParser(source.Settings{})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := p.Parse(data, func(*event.Event) { n++ })
		if (err == nil) != (n == 1) {
			t.Fatalf("%d events, error %v", n, err)
		}
	})
}
