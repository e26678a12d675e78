package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// spanRig is an exporter of spans; its rig has no logs.
type spanRig struct {
	exporter.Traces
	rig
}

func startTraces(t *testing.T, dsn string, change ...func(*Config)) *spanRig {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = dsn
	cfg.RetryConfig.InitialInterval, cfg.RetryConfig.MaxInterval = 20*time.Millisecond, 200*time.Millisecond
	for _, c := range change {
		c(cfg)
	}
	r := &spanRig{rig: rig{telemetry: componenttest.NewTelemetry()}}
	set := exportertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	var err error
	r.Traces, err = NewFactory().CreateTraces(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, r.Traces.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, r.Traces.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	return r
}

// spanChunk is a chunk of n spans, half of one resource and half of another.
func spanChunk(first, n int) ptrace.Traces {
	a := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	b := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("feed")})
	spans := make([]*event.Span, n)
	for i := range spans {
		id := byte(first + i + 1)
		spans[i] = &event.Span{TraceID: [16]byte{id}, SpanID: [8]byte{id}, Name: "GET", Start: now, End: now.Add(time.Second), Resource: a}
		if i%2 == 1 {
			spans[i].Resource = b
		}
	}
	return eventlog.EncodeSpans(spans, eventlog.Chunk{ID: fmt.Sprintf("spans:%d-%d", first, first+n)})
}

func mergedSpans(parts ...ptrace.Traces) ptrace.Traces {
	all := ptrace.NewTraces()
	for _, p := range parts {
		p.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	return all
}

func testSpansAreStoredOnceHoweverOftenTheyCome(t *testing.T) {
	dsn := database(t)
	e, s := startTraces(t, dsn), open(t, dsn)
	require.NoError(t, e.ConsumeTraces(t.Context(), mergedSpans(spanChunk(0, 10), spanChunk(10, 5))))
	require.NoError(t, e.ConsumeTraces(t.Context(), spanChunk(10, 5)))
	require.NoError(t, e.ConsumeTraces(t.Context(), mergedSpans(spanChunk(10, 5), spanChunk(0, 10), spanChunk(15, 3))))
	require.Equal(t, 18, number(t, s, "SELECT count() FROM traces"))
	require.Equal(t, 3, number(t, s, "SELECT uniq(chunk_id) FROM traces"))
	require.Equal(t, 5, number(t, s, "SELECT count() FROM traces WHERE chunk_id = 'spans:0-10' AND service = 'feed' AND duration = 1"))
	require.Zero(t, e.sum(t, "inexact_chunks", ""))
	require.EqualValues(t, 6, e.sum(t, "chunks", ""))

	// Half a chunk, and spans that nobody gave one, are named by what they hold.
	half := spanChunk(20, 4)
	half.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		name, _ := rs.Resource().Attributes().Get(event.ServiceName)
		return name.Str() == "feed"
	})
	foreign := spanChunk(30, 2)
	for _, rs := range foreign.ResourceSpans().All() {
		rs.ScopeSpans().At(0).Scope().Attributes().Clear()
	}
	for range 2 {
		require.NoError(t, e.ConsumeTraces(t.Context(), half))
		require.NoError(t, e.ConsumeTraces(t.Context(), foreign))
	}
	require.Equal(t, 4, number(t, s, "SELECT count() FROM traces WHERE startsWith(chunk_id, 'spans-')"))
	require.EqualValues(t, 4, e.sum(t, "inexact_chunks", ""))
}

func testWhatIsNoSpanIsCountedAndHoldsUpNothing(t *testing.T) {
	dsn := database(t)
	e, s := startTraces(t, dsn), open(t, dsn)
	td := spanChunk(0, 8)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(0).SetSpanID([8]byte{})
	spans.At(1).SetStartTimestamp(0)
	far := uint64(now.Add(48 * time.Hour).UnixNano()) //nolint:gosec // after 1970
	spans.At(2).SetStartTimestamp(pcommon.Timestamp(far))
	require.NoError(t, e.ConsumeTraces(t.Context(), td))
	require.Equal(t, 5, number(t, s, "SELECT count() FROM traces"))
	require.EqualValues(t, 3, e.sum(t, "dropped_records", reasonNotASpan))
	require.EqualValues(t, 5, e.sum(t, "spans", ""))
}

func TestSpansWaitForTheStore(t *testing.T) {
	e := startTraces(t, "http://"+testenv.Address(t)+"/sockeye", func(c *Config) { c.RetryConfig.Enabled = false })
	err := e.ConsumeTraces(t.Context(), spanChunk(0, 1))
	require.ErrorContains(t, err, "connection refused")
	require.False(t, consumererror.IsPermanent(err))
}

func TestOnlySpansThatWaitAreSentAgain(t *testing.T) {
	t.Parallel()
	td := mergedSpans(spanChunk(0, 2), spanChunk(2, 3))
	rest := remainingSpans(td, map[string]bool{"spans:2-5": true})
	require.Equal(t, 3, rest.SpanCount())
	require.Equal(t, 5, td.SpanCount())
	groups := groupSpans(rest)
	require.Len(t, groups, 1)
	require.True(t, groups[0].exact())
}

func testSamplesOfPayloadsAreKeptApart(t *testing.T) {
	dsn := database(t)
	e, s := start(t, dsn), open(t, dsn)
	sample := event.Event{Name: event.MessageSampled, Time: now}
	sample.SetString(event.ConnectionID, "c-1")
	sample.SetString(event.MessageSample, "[secret]")
	mixed := eventlog.Encode(append(opens(0, 3), sample), eventlog.Chunk{ID: "mixed"})
	sample.SetString(event.MessageSample, "[email]")
	alone := eventlog.Encode([]event.Event{sample}, eventlog.Chunk{ID: "alone"})
	foreign := eventlog.Encode([]event.Event{sample}, eventlog.Chunk{})
	for range 2 {
		for _, ld := range []plog.Logs{mixed, alone, foreign} {
			require.NoError(t, e.ConsumeLogs(t.Context(), ld))
		}
	}
	requireStored(t, s, 3)
	require.Equal(t, 2, number(t, s, "SELECT count() FROM payload_samples"), "the same sample is one")
	require.Equal(t, 3, number(t, s, "SELECT records FROM chunks WHERE chunk_id = 'mixed'"))
	require.Zero(t, e.sum(t, "inexact_chunks", ""), "a chunk with a sample is as it was cut")
}
