package websocketendpointreceiver

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// maxWaitingSpans wait for the pipeline, about 2 KiB each. More are lost: events have what must not be.
const maxWaitingSpans = 5000

// TracesConfig says which handshakes and messages have spans.
type TracesConfig struct {
	// TrustTraceparent continues the trace of the client's traceparent and takes its word for whether to sample.
	TrustTraceparent bool `mapstructure:"trust_traceparent"`
	// Ratio and MessageRatio are the shares of handshakes and of messages with a span.
	Ratio        float64 `mapstructure:"ratio"`
	MessageRatio float64 `mapstructure:"message_ratio"`
	// Rate bounds handshakes with a span, and apart from them messages.
	Rate RateConfig `mapstructure:"rate"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func (t *TracesConfig) validate(f *faults) {
	for _, r := range []struct {
		key   string
		ratio float64
	}{{"ratio", t.Ratio}, {"message_ratio", t.MessageRatio}} {
		if !(r.ratio >= 0 && r.ratio <= 1) {
			f.add("traces."+r.key, "must be from 0 to 1, got %v", r.ratio)
		}
	}
	if p := t.Rate.PerSecond; !(p > 0) && p != -1 {
		f.add("traces.rate.per_second", "must be above 0, or -1 for no limit, got %v", p)
	}
	if !(t.Rate.Burst >= 0) {
		f.add("traces.rate.burst", "must be at least 0, which is one second's worth, got %v", t.Rate.Burst)
	}
}

func (t *TracesConfig) settings(to *lane[*event.Span]) endpoint.Tracing {
	set := endpoint.Tracing{
		Observer: endpoint.SpanObserverFunc(to.Observe), TrustParent: t.TrustTraceparent, Ratio: t.Ratio,
		Rate: t.Rate.settings(), Messages: t.MessageRatio,
	}
	if t.Ratio == 0 {
		set.Ratio = -1
	}
	return set
}

// deliverSpans hands spans to the pipeline, a chunk at a time.
func (r *endpointReceiver) deliverSpans(ctx context.Context) {
	spans := r.serving.spans
	for {
		select {
		case <-ctx.Done():
			return
		case <-spans.some:
		}
		gather(ctx, r, spans)
		for ctx.Err() == nil {
			b, ok := spans.cut(r.cfg.Chunk.MaxRecords)
			if !ok {
				break
			}
			r.sendSpans(ctx, b)
		}
		if ctx.Err() != nil {
			spans.remind()
		}
	}
}

// sendSpans is send for spans. How the pipeline takes them says nothing of the progress of events.
func (r *endpointReceiver) sendSpans(ctx context.Context, b batch[*event.Span]) {
	wait := firstPause
	for {
		op := r.obs.StartTracesOp(ctx)
		err := r.traces.ConsumeTraces(op, eventlog.EncodeSpans(b.items, eventlog.Chunk{ID: b.id, Repeated: b.sent}))
		r.obs.EndTracesOp(op, "endpoint", len(b.items), err)
		switch {
		case err == nil:
			r.telemetry.ReceiverWebsocketendpointChunks.Add(ctx, 1)
			r.telemetry.ReceiverWebsocketendpointSpans.Add(ctx, int64(len(b.items)))
			r.serving.spans.settle(false)
			return
		case ctx.Err() != nil:
			return
		}
		r.telemetry.ReceiverWebsocketendpointRefusedChunks.Add(ctx, 1)
		if consumererror.IsPermanent(err) {
			r.logger.Error("the pipeline refuses spans for good; they are lost", zap.Int("spans", len(b.items)), zap.Error(err))
			r.serving.spans.settle(true)
			return
		}
		if !b.sent {
			r.logger.Warn("the pipeline refuses spans; they wait in memory", zap.Error(err))
		}
		b.sent = true
		// Up to a quarter less, so that many receivers do not come back at once.
		if !r.rest(ctx, wait-time.Duration(rand.Int64N(int64(wait/4)+1))) {
			return
		}
		wait = min(2*wait, maxPause)
	}
}
