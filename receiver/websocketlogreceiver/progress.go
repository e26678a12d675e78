package websocketlogreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// reportProgress says every ProgressInterval how far the source has been read, idle or not. It says nothing while a
// chunk waits for the pipeline: the store would take silence for what it is.
func (r *logReceiver) reportProgress(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.ProgressInterval)
	defer ticker.Stop()
	var reached time.Time
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		through, backlog := r.progress()
		r.telemetry.ReceiverWebsocketlogBacklog.Record(ctx, backlog)
		if through.IsZero() || r.health.stuck() {
			continue
		}
		// What was complete once stays so, even if an old file turns up.
		if through.After(reached) {
			reached = through
		}
		err := r.next.ConsumeLogs(ctx, r.progressLogs(reached, backlog))
		if err != nil && !failed && ctx.Err() == nil {
			r.logger.Warn("the pipeline refuses the progress of the source", zap.Error(err))
		}
		failed = err != nil
	}
}

// progress returns the time up to which all has been acknowledged, zero if that is unknown, and the bytes that wait.
func (r *logReceiver) progress() (through time.Time, backlog int64) {
	now := r.now()
	through = now
	if len(r.cfg.Include) > 0 {
		view := r.scanner.progress()
		through, backlog = view.through, view.backlog
	}
	if r.push != nil {
		pushed, waiting := r.push.progress(now)
		backlog += waiting
		if pushed.Before(through) {
			through = pushed
		}
	}
	if through.After(now) {
		// The source's clock is ahead of ours.
		through = now
	}
	return through, backlog
}

// progressLogs is one record outside any chunk: it is never counted, so sending it twice does no harm.
func (r *logReceiver) progressLogs(through time.Time, backlog int64) plog.Logs {
	e := event.Event{Name: event.SourceProgress, Time: r.now(), Resource: r.parserSettings.Resource}
	e.SetString(event.ProgressSource, r.sourceName)
	e.SetInt(event.ProgressReadThrough, through.UnixNano())
	e.SetInt(event.ProgressBacklog, backlog)
	e.SetString(event.Vantage, r.cfg.Vantage)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, "websocketlog")
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	return eventlog.Encode([]event.Event{e}, eventlog.Chunk{})
}
