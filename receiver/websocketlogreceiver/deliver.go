package websocketlogreceiver

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// Pauses between attempts to deliver a chunk.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 30 * time.Second
)

// deliver hands a chunk to the pipeline until it is acknowledged or ctx ends. The file is the queue: there is nowhere
// better for the chunk to wait, whether the pipeline calls its refusal permanent or not.
func (r *logReceiver) deliver(ctx context.Context, c *chunk) error {
	pause := r.firstPause
	refused, accepted := false, false
	defer func() {
		if refused {
			r.health.leave(r.logger, accepted)
		}
	}()
	// Records take many times the memory of their lines: while the chunk waits after a refusal, only its lines are kept.
	logs := c.logs
	c.logs = plog.Logs{}
	for {
		err := r.consume(ctx, logs, c.records)
		if err == nil {
			accepted = true
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.telemetry.ReceiverWebsocketlogRefusedChunks.Add(ctx, 1)
		r.health.refuse(r.logger, err, !refused)
		refused = true
		// Up to a quarter less, so that many files do not come back at once.
		if !wait(ctx, pause-rand.N(pause/4+1)) {
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
		logs = c.again(r.newAssembler(c.options))
	}
}

// consume hands logs to the pipeline once, under the observation that every receiver reports.
func (r *logReceiver) consume(ctx context.Context, logs plog.Logs, records int) error {
	op := r.obs.StartLogsOp(ctx)
	err := r.next.ConsumeLogs(op, logs)
	r.obs.EndLogsOp(op, r.format.Name, records, err)
	if err == nil {
		r.telemetry.ReceiverWebsocketlogChunks.Add(ctx, 1)
		r.telemetry.ReceiverWebsocketlogEvents.Add(ctx, int64(records))
	}
	return err
}

// wait waits; false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// health says whether chunks are waiting for a pipeline that refuses them. It logs when that changes, not every time.
type health struct {
	mu      sync.Mutex
	waiting int
	state   string
	since   time.Time
}

const (
	refusedForNow  = "for now"
	refusedForGood = "for good"
)

// refuse notes a refusal; first is true for the first of a delivery.
func (h *health) refuse(logger *zap.Logger, err error, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first {
		if h.waiting++; h.waiting == 1 {
			h.since = time.Now()
		}
	}
	state, level := refusedForNow, zap.WarnLevel
	if consumererror.IsPermanent(err) {
		state, level = refusedForGood, zap.ErrorLevel
	}
	if state == h.state {
		return
	}
	h.state = state
	text := "the pipeline refuses a chunk; files are not read further until it accepts"
	if state == refusedForGood {
		text = "the pipeline refuses a chunk for good; nothing is skipped, files wait until the pipeline is corrected"
	}
	logger.Log(level, text, zap.Error(err))
}

// leave ends a delivery that was refused at first.
func (h *health) leave(logger *zap.Logger, accepted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting--; h.waiting == 0 && accepted {
		logger.Info("no chunk waits for the pipeline any more", zap.Duration("waited", time.Since(h.since)))
		h.state = ""
	}
}

// stuck reports whether a chunk is waiting after a refusal.
func (h *health) stuck() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting > 0
}
