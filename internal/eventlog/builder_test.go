package eventlog_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

func TestABuilderGivesWhatEncodeGives(t *testing.T) {
	t.Parallel()
	a := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("a")})
	b := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("b")})
	var events []event.Event
	for i, r := range []*event.Resource{a, b, nil, a, a, b} {
		e := event.Event{Name: event.Open, Time: time.Unix(int64(i+1), 0), Resource: r}
		e.SetInt(event.HTTPResponseStatusCode, 101)
		events = append(events, e)
	}
	for _, chunk := range []eventlog.Chunk{{}, {ID: "c"}, {ID: "c", Repeated: true}} {
		builder := eventlog.NewBuilder()
		for i := range events {
			builder.Add(&events[i])
		}
		require.Equal(t, len(events), builder.Records())
		require.Equal(t, eventlog.Encode(events, chunk), builder.Logs(chunk))
	}
}

func TestABuilderTellsEventsOfManyShapesApart(t *testing.T) {
	t.Parallel()
	keys := []event.Key{event.ServerPort, event.ClientPort, event.IOSent, event.IOReceived, event.CloseCode, event.FrameSize}
	var events []event.Event
	for i := range 3 * (1 << len(keys)) {
		e := event.Event{Name: event.Close, Time: time.Unix(int64(i+1), 0)}
		for j := range keys {
			if k := keys[(i+j)%len(keys)]; i&(1<<j) != 0 { // in another order each time
				e.SetInt(k, int64(i))
			}
		}
		if i%3 == 0 {
			e.AddExtra("app", event.Int(int64(i)))
		}
		events = append(events, e)
	}
	builder := eventlog.NewBuilder()
	for i := range events {
		builder.Add(&events[i])
	}
	records := builder.Logs(eventlog.Chunk{ID: "c"}).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	require.Equal(t, len(events), records.Len())
	for i := range events {
		var got event.Event
		require.NoError(t, eventlog.DecodeRecord(records.At(i), nil, &got))
		require.Equal(t, string(events[i].AppendJSON(nil)), string(got.AppendJSON(nil)))
	}
}
