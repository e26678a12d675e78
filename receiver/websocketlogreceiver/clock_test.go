package websocketlogreceiver

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/source/format"
)

// What a source that logs at close writes while its clock steps is counted where it says, but never more than a minute
// after its receipt; when the connection was opened stays. Nothing of it is lost, and another reading gives the same.
func TestTheClockOfASourceThatLogsAtCloseSteps(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(cfg *Config) { cfg.Format = format.Nginx })
	r, err := newReceiver(g.cfg, receiver.Settings{
		ID: component.MustNewID("websocketlog"), TelemetrySettings: g.tel.NewTelemetrySettings(),
		BuildInfo: receivertest.NewNopSettings(metadata.Type).BuildInfo,
	}, g.sink)
	require.NoError(t, err)
	a, receipt := r.newAssembler(r.options), base
	steps := []time.Duration{0, time.Minute, time.Minute + time.Millisecond, time.Hour, -time.Hour, time.Second}
	for range 2 {
		a.begin(receipt)
		for i, step := range steps {
			written := receipt.Add(step)
			require.NoError(t, a.line(fmt.Appendf(nil, `{"msec":%d.%03d,"request_id":"%032x","status":101,"request_time":7200.000,`+
				`"body_bytes_sent":1,"upstream_header_time":"0.001","http_upgrade":"websocket"}`,
				written.Unix(), written.Nanosecond()/1e6, i)))
		}
		require.EqualValues(t, 4, a.future, "an open and a close each")
		require.Equal(t, receipt.Add(time.Minute), a.latest, "what is stored is read through, and no further")

		records := a.builder.Logs(eventlog.Chunk{ID: "chunk"}).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		require.Equal(t, 2*len(steps), records.Len())
		for i := range records.Len() {
			step := steps[i/2]
			var e event.Event
			require.NoError(t, eventlog.DecodeRecord(records.At(i), nil, &e))
			want := receipt.Add(step)
			if step > event.MaxFuture {
				want = receipt
			}
			require.Equal(t, want, e.Facts().CountedAt, "%s %v", e.Name, step)
			switch e.Name {
			case event.Open:
				require.Equal(t, receipt.Add(step-2*time.Hour), e.Time)
			default:
				require.Equal(t, event.Close, e.Name)
				require.Equal(t, want, e.Time)
			}
		}
	}
}

// The collector's clock is set back an hour and forward again while it reads, and over a restart. It steps between chunks
// only: how long one has been open is measured by the monotonic clock, which cannot step, and a test cannot part the two.
func TestTheCollectorsOwnClockSteps(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	var offset atomic.Int64
	g.tune = func(r *logReceiver) {
		r.now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) }
	}
	g.start()
	written := 0
	var through int64
	for _, step := range []time.Duration{0, -time.Hour, time.Hour, 0, 2 * time.Hour, -2 * time.Hour, 0} {
		offset.Store(int64(step))
		g.number("access.log", written+1, written+10)
		written += 10
		g.sink.eventually(t, ids(1, written))
		before := g.sink.progresses()
		require.Eventually(t, func() bool { return g.sink.progresses() > before+1 }, soon, often, "progress goes on")
		got := g.sink.lastProgress().Get(event.ProgressReadThrough).Int()
		require.GreaterOrEqual(t, got, through, "what was complete stays so")
		through = got
	}
	offset.Store(int64(-time.Hour))
	g.stop()
	g.number("access.log", written+1, written+10)
	g.start()
	g.sink.eventually(t, ids(1, written+10))
}
