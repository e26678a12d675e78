package websocketendpointreceiver

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadatatest"
)

// spanSink is a pipeline of traces that keeps what it takes, and the chunks that it refused.
type spanSink struct {
	mu      sync.Mutex
	err     error
	spans   []event.Span
	chunks  []eventlog.Chunk
	refused []eventlog.Chunk
}

var _ consumer.Traces = (*spanSink)(nil)

func (s *spanSink) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (s *spanSink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			chunk := eventlog.ChunkOf(ss.Scope())
			if s.err != nil {
				s.refused = append(s.refused, chunk)
				ss.Spans().RemoveIf(func(ptrace.Span) bool { return true }) // which a pipeline may do
				return s.err
			}
			s.chunks = append(s.chunks, chunk)
			for _, span := range ss.Spans().All() {
				var e event.Span
				if err := eventlog.DecodeSpan(span, ss.Scope().Name(), eventlog.DecodeResource(rs.Resource()), &e); err != nil {
					return consumererror.NewPermanent(err)
				}
				s.spans = append(s.spans, e)
			}
		}
	}
	return nil
}

func (s *spanSink) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// count returns how many spans were taken, and how many attempts refused.
func (s *spanSink) count() (spans, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans), len(s.refused)
}

// startBoth starts a receiver in a pipeline of each signal.
func startBoth(t *testing.T, settings receiver.Settings, cfg *Config, logs consumer.Logs, traces consumer.Traces) *sharedReceiver {
	t.Helper()
	l, err := NewFactory().CreateLogs(t.Context(), settings, cfg, logs)
	require.NoError(t, err)
	r, err := NewFactory().CreateTraces(t.Context(), settings, cfg, traces)
	require.NoError(t, err)
	require.Same(t, l, r)
	s := r.(*sharedReceiver)
	s.reloading = func() bool { return false }
	for range 2 {
		require.NoError(t, s.Start(context.Background(), componenttest.NewNopHost()))
	}
	t.Cleanup(func() {
		for range 2 {
			require.NoError(t, s.Shutdown(context.Background()))
		}
	})
	return s
}

func settingsFor(t *testing.T) receiver.Settings {
	settings := receivertest.NewNopSettings(metadata.Type)
	settings.ID = idOf(t)
	return settings
}

func TestOneEndpointTellsEventsAndSpans(t *testing.T) {
	t.Parallel()
	issuer, logs, traces := newIssuer(t), &sink{}, &spanSink{}
	r := startBoth(t, settingsFor(t), issuer.config(), logs, traces)
	header := issuer.token("bob")
	header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	c, _, err := dial(t, r.url(), header)
	require.NoError(t, err)
	say(t, c, "hello")
	require.NoError(t, c.CloseNow())
	open := logs.first(t, event.Open)
	eventually(t, "two spans", func() bool { n, _ := traces.count(); return n == 2 })
	require.NoError(t, r.Shutdown(context.Background()))
	traces.mu.Lock()
	defer traces.mu.Unlock()
	for _, s := range traces.spans {
		require.Equal(t, open.TraceID, s.TraceID)
		require.Equal(t, "chat", s.Resource.String("service.name"))
		require.Equal(t, eventlog.ScopeName, s.Scope)
		if s.Name == "websocket.auth" {
			require.Equal(t, open.SpanID, s.ParentID)
			continue
		}
		require.Equal(t, "GET /", s.Name)
		require.Equal(t, open.SpanID, s.SpanID)
		require.Equal(t, byte(0x4b), s.Links[0].TraceID[0])
	}
	for _, chunk := range traces.chunks {
		require.NotEmpty(t, chunk.ID)
	}
}

func TestSpansWaitForThePipelineUnderTheSameId(t *testing.T) {
	t.Parallel()
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	settings := settingsFor(t)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	logs, traces := &sink{}, &spanSink{err: errors.New("full")}
	r := startBoth(t, settings, testConfig(), logs, traces)
	connect(t, r.url())
	eventually(t, "two attempts", func() bool { _, n := traces.count(); return n >= 2 })
	require.Positive(t, logs.count(event.Open), "events do not wait for spans")
	traces.refuse(nil)
	eventually(t, "the span", func() bool { n, _ := traces.count(); return n == 1 })
	traces.mu.Lock()
	require.Equal(t, traces.refused[0].ID, traces.chunks[0].ID)
	require.True(t, traces.chunks[0].Repeated)
	traces.mu.Unlock()

	// What is refused for good is lost and counted, and holds up nothing.
	_, before := traces.count()
	traces.refuse(consumererror.NewPermanent(errors.New("no")))
	connect(t, r.url())
	eventually(t, "a span refused", func() bool {
		_, now := traces.count()
		return now > before && r.serving.spans.count() == 0
	})
	traces.refuse(nil)
	require.NoError(t, r.Shutdown(context.Background()))
	metadatatest.AssertEqualReceiverWebsocketendpointSpans(t, telemetry, sumOf(1), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualReceiverWebsocketendpointLostSpans(t, telemetry, sumOf(1), metricdatatest.IgnoreTimestamp())
}

func TestAReloadThatAddsTracesClosesNoConnection(t *testing.T) {
	t.Parallel()
	settings, logs, traces := settingsFor(t), &sink{}, &spanSink{}
	before := start(t, settings.ID, testConfig(), logs, true)
	c := connect(t, before.url())
	say(t, c, "before")
	require.Zero(t, logs.first(t, event.Open).TraceID, "without a pipeline of traces there are no spans")
	require.NoError(t, before.Shutdown(context.Background()))
	after := startBoth(t, settings, testConfig(), logs, traces)
	require.Same(t, before.serving, after.serving)
	say(t, c, "after")
	connect(t, after.url())
	eventually(t, "the span", func() bool { n, _ := traces.count(); return n == 1 })
	go closeOf(t, c)
}

func TestSpansThatFindNoRoomAreLostAndCounted(t *testing.T) {
	t.Parallel()
	l := newLane[*event.Span](2, true)
	for range 5 {
		l.Observe(&event.Span{})
	}
	waiting, _, lost := l.state()
	require.Equal(t, 2, waiting)
	require.EqualValues(t, 3, lost)
}

func TestTracesAloneAreServed(t *testing.T) {
	t.Parallel()
	traces := &spanSink{}
	cfg := testConfig()
	r, err := NewFactory().CreateTraces(t.Context(), settingsFor(t), cfg, traces)
	require.NoError(t, err)
	r.(*sharedReceiver).reloading = func() bool { return false }
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	resp, err := http.Get("http://" + r.(*sharedReceiver).serving.addr.String() + "/") // no handshake
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	eventually(t, "the span", func() bool { n, _ := traces.count(); return n == 1 })
	began := time.Now()
	require.NoError(t, r.Shutdown(context.Background()))
	require.Less(t, time.Since(began), cfg.Timeouts.Shutdown, "nothing waits for a pipeline that is not there")
	require.Equal(t, event.BadHandshake, traces.spans[0].Get("error.type").Str())
}
