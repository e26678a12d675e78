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
