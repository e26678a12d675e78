package websocketendpointreceiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/endpoint/content"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadata"
)

const (
	// Pauses between attempts to deliver a chunk.
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	// settled is how old an event may be when it reaches the recorder, at most: the endpoint's Timeouts.Observe and some.
	settled = 2 * time.Second
	// stopWithin is how long the pipeline may take to let go of a chunk.
	stopWithin = 5 * time.Second
	// bytesOfAnEvent is what the backlog counts for one.
	bytesOfAnEvent = 512
)

// endpointReceiver is the websocketendpoint receiver: an endpoint that it opens or takes over, a goroutine that delivers
// what the endpoint tells, and one that reports progress.
type endpointReceiver struct {
	cfg       *Config
	settings  receiver.Settings
	logger    *zap.Logger
	next      consumer.Logs
	traces    consumer.Traces
	telemetry *metadata.TelemetryBuilder
	obs       *receiverhelper.ObsReport

	sourceName string
	resource   *event.Resource
	serving    *serving
	recorder   *recorder
	host       component.Host
	group      sync.WaitGroup
	cancel     context.CancelFunc
	// hurry makes chunks leave without waiting for more events.
	hurry chan struct{}

	mu sync.Mutex
	// refused is whether the chunk on its way was refused.
	refused bool
	// lostBefore is what the endpoint had lost when it was last asked; contentBefore the same of the content's guard.
	lostBefore, spansLostBefore int64
	contentBefore               content.Stats

	// reloading is other than the process's signals in tests only.
	reloading func() bool
}

func newReceiver(cfg *Config, settings receiver.Settings, next consumer.Logs) (*endpointReceiver, error) {
	telemetry, err := metadata.NewTelemetryBuilder(settings.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: settings.ID, Transport: "websocket", ReceiverCreateSettings: settings,
	})
	if err != nil {
		return nil, err
	}
	return &endpointReceiver{
		cfg: cfg, settings: settings, logger: settings.Logger, next: next, telemetry: telemetry, obs: obs,
		hurry: make(chan struct{}), reloading: process.signals.reloading,
	}, nil
}

// Start implements component.Component.
func (r *endpointReceiver) Start(ctx context.Context, host component.Host) error {
	r.host = host
	r.sourceName = r.cfg.SourceName
	if r.sourceName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("source_name: the host has no name, so one must be given: %w", err)
		}
		r.sourceName = r.settings.ID.String() + "@" + name
	}
	r.resource = r.cfg.resource()
	process.signals.use()
	if r.next == nil {
		r.logger.Warn("the receiver is in no pipeline of logs: what the endpoint decides is not told")
		r.next = discardLogs{}
	}
	if err := r.serve(ctx); err != nil {
		process.signals.leave()
		return err
	}
	r.serving.endpoint.TraceOn(r.traces != nil)
	r.recorder = r.serving.recorder
	stats := r.serving.endpoint.Stats()
	r.lostBefore, r.spansLostBefore = stats.EventsLost, stats.SpansLost
	r.contentBefore = r.serving.contentStats()
	run, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.group.Go(func() { r.deliver(run) })
	if r.traces != nil {
		r.group.Go(func() { r.deliverSpans(run) })
	}
	r.group.Go(func() { r.reportProgress(run) })
	return nil
}

// serve takes over the endpoint that the last receiver of this name left, or opens one.
func (r *endpointReceiver) serve(ctx context.Context) (err error) {
	rec, spans := newRecorder(r.cfg.MaxWaitingEvents), newLane[*event.Span](maxWaitingSpans, true)
	left := process.shelf.take(r.settings.ID)
	if left != nil {
		left.logger.Store(r.logger)
		if sameSection(left.cfg, r.cfg) {
			left.reload()
			r.serving = left
			r.logger.Info("the endpoint is as it was; no connection was closed")
			return nil
		}
		// Its address may be ours. What it tells while it closes is stored with what comes next.
		r.logger.Info("the endpoint's section has changed; its connections are closed")
		limit, cancel := context.WithTimeout(ctx, left.cfg.Timeouts.Shutdown)
		defer cancel()
		if err := left.shutdown(limit); err != nil {
			r.logger.Warn("connections were cut", zap.Error(err))
		}
		rec, spans = left.recorder, left.spans
		rec.resize(r.cfg.MaxWaitingEvents)
	}
	if r.serving, err = open(r.cfg, rec, spans, r.logger, left); err != nil {
		return err
	}
	r.warn()
	return nil
}

func (r *endpointReceiver) warn() {
	if r.cfg.InsecurePlaintext {
		r.logger.Warn("ws:// is served without TLS: insecure_plaintext is set; tokens and messages can be read on the way")
	}
	if r.cfg.KeyFile == "" {
		r.logger.Warn("no key_file: events have no websocket.handshake.key_hash and no user.hash")
	}
	if r.cfg.PayloadSamples.Enabled {
		r.logger.Warn("the beginning of some messages is kept: payload_samples is enabled")
	}
	r.logger.Info("endpoint is served", zap.String("server.address", r.serving.addr.String()))
	if r.serving.admin != nil {
		r.logger.Info("operators are served", zap.String("server.address", r.serving.adminAddr.String()))
	}
}

// Shutdown implements component.Component.
func (r *endpointReceiver) Shutdown(ctx context.Context) error {
	if r.cancel == nil {
		r.telemetry.Shutdown()
		return nil
	}
	if r.reloading() {
		if err := r.stop(ctx); err != nil {
			// The pipeline holds a chunk and does not let go: nobody else may have it.
			r.logger.Error("the pipeline does not give up; connections are closed", zap.Error(err))
			return errors.Join(err, r.end(ctx))
		}
		process.shelf.leave(r.settings.ID, r.serving, leftFor, process.signals.leave)
		return nil
	}
	return r.end(ctx)
}

// end closes the connections and stores their events.
func (r *endpointReceiver) end(ctx context.Context) error {
	defer process.signals.leave()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeouts.Shutdown)
	defer cancel()
	err := r.serving.shutdown(ctx)
	if waiting := r.flush(ctx); waiting > 0 {
		err = errors.Join(err, fmt.Errorf("the pipeline did not take the last %d events", waiting))
	}
	return errors.Join(err, r.stop(ctx))
}

// stop ends the goroutines. A chunk on its way stays with the recorder. The error is that of a pipeline which ignores that its
// context has ended.
func (r *endpointReceiver) stop(ctx context.Context) error {
	r.cancel()
	done := make(chan struct{})
	go func() {
		r.group.Wait()
		close(done)
	}()
	// The context of a shutdown may have ended over its waiting; what is over already needs no time.
	limit := time.NewTimer(stopWithin)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		return errors.New("the pipeline goes on with a chunk although it was told to stop")
	}
	r.count(context.WithoutCancel(ctx))
	r.telemetry.Shutdown()
	return nil
}

// flush waits until the pipeline has all events, and returns how many it has not.
func (r *endpointReceiver) flush(ctx context.Context) int {
	close(r.hurry)
	const step = 10 * time.Millisecond
	for {
		waiting := r.recorder.count()
		if r.traces != nil {
			waiting += r.serving.spans.count()
		}
		if waiting == 0 || !pause(ctx, step) {
			r.serving.spans.close()
			return r.recorder.close()
		}
	}
}

// deliver hands chunks to the pipeline, one at a time.
func (r *endpointReceiver) deliver(ctx context.Context) {
	failed := r.serving.failed
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-failed:
			componentstatus.ReportStatus(r.host, componentstatus.NewFatalErrorEvent(fmt.Errorf("endpoint: %w", err)))
			continue
		case <-r.recorder.some:
		}
		gather(ctx, r, r.recorder)
		for ctx.Err() == nil {
			b, ok := r.recorder.cut(r.cfg.Chunk.MaxRecords)
			if !ok {
				break
			}
			r.send(ctx, b)
		}
		if ctx.Err() != nil {
			r.recorder.remind()
		}
	}
}

// gather waits for a chunk's worth of events, or for as long as a chunk may wait.
func gather[T any](ctx context.Context, r *endpointReceiver, l *lane[T]) {
	limit := time.NewTimer(r.cfg.Chunk.MaxAge)
	defer limit.Stop()
	for l.count() < r.cfg.Chunk.MaxRecords {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-r.hurry:
			return
		case <-l.some:
		}
	}
}

// send hands a chunk to the pipeline until that has it, refuses it for good, or ctx ends. What is refused for good is lost:
// there is nowhere that it could wait without holding up all that comes after it.
func (r *endpointReceiver) send(ctx context.Context, b batch[*event.Event]) {
	wait := firstPause
	for {
		op := r.obs.StartLogsOp(ctx)
		err := r.next.ConsumeLogs(op, logsOf(b))
		r.obs.EndLogsOp(op, "endpoint", len(b.items), err)
		b.sent = true
		n := len(b.items)
		switch {
		case err == nil:
			r.telemetry.ReceiverWebsocketendpointChunks.Add(ctx, 1)
			r.telemetry.ReceiverWebsocketendpointEvents.Add(ctx, int64(n))
			r.recorder.settle(false)
			if r.refuse(false) {
				r.logger.Info("the pipeline takes events again")
			}
			return
		case ctx.Err() != nil:
			return
		}
		r.telemetry.ReceiverWebsocketendpointRefusedChunks.Add(ctx, 1)
		if consumererror.IsPermanent(err) {
			r.logger.Error("the pipeline refuses events for good; they are lost", zap.Int("events", n), zap.Error(err))
			r.recorder.settle(true)
			return
		}
		if !r.refuse(true) {
			r.logger.Warn("the pipeline refuses events; they wait in memory", zap.Error(err))
		}
		// Up to a quarter less, so that many receivers do not come back at once.
		if !r.rest(ctx, wait-rand.N(wait/4+1)) {
			return
		}
		wait = min(2*wait, maxPause)
	}
}

// rest is pause, which a shutdown cuts short: there is no later then.
func (r *endpointReceiver) rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-r.hurry:
		return pause(ctx, min(d, firstPause))
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.hurry:
	case <-t.C:
	}
	return true
}

// refuse notes whether the pipeline refuses, and returns what was before.
func (r *endpointReceiver) refuse(now bool) (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.refused = r.refused, now
	return before
}

func (r *endpointReceiver) isRefused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// pause waits; false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reportProgress says every ProgressInterval how far the source has been stored, idle or not. It says nothing while the
// pipeline refuses: the store would take silence for what it is.
func (r *endpointReceiver) reportProgress(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.ProgressInterval)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		waiting, oldest := r.count(ctx)
		if r.isRefused() {
			continue
		}
		through := time.Now().Add(-settled)
		if !oldest.IsZero() && oldest.Before(through) {
			through = oldest
		}
		err := r.next.ConsumeLogs(ctx, logsOf(r.progress(through, waiting)))
		if err != nil && !failed && ctx.Err() == nil {
			r.logger.Warn("the pipeline refuses the progress of the source", zap.Error(err))
		}
		failed = err != nil
	}
}

// progress is one record outside any chunk: it is never counted, so sending it twice does no harm.
func (r *endpointReceiver) progress(through time.Time, waiting int) batch[*event.Event] {
	e := &event.Event{Name: event.SourceProgress, Time: time.Now(), Resource: r.resource}
	e.SetString(event.ProgressSource, r.sourceName)
	e.SetInt(event.ProgressReadThrough, through.UnixNano())
	e.SetInt(event.ProgressBacklog, int64(waiting)*bytesOfAnEvent)
	e.SetString(event.Vantage, r.cfg.Vantage)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, metadata.Type.String())
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	return batch[*event.Event]{items: []*event.Event{e}}
}

// count tells the metrics, and returns how many events wait and when the first of them happened.
func (r *endpointReceiver) count(ctx context.Context) (waiting int, oldest time.Time) {
	waiting, first, lost := r.recorder.state()
	if first != nil {
		oldest = first.Time
	}
	_, _, spansLost := r.serving.spans.state()
	stats := r.serving.endpoint.Stats()
	r.telemetry.ReceiverWebsocketendpointConnections.Record(ctx, int64(stats.Connections))
	r.telemetry.ReceiverWebsocketendpointWaitingEvents.Record(ctx, int64(waiting))
	if end := r.serving.server.CertificateNotAfter(); !end.IsZero() {
		r.telemetry.ReceiverWebsocketendpointCertificateNotAfter.Record(ctx, end.Unix())
	}
	r.mu.Lock()
	lost += stats.EventsLost - r.lostBefore
	r.lostBefore = stats.EventsLost
	spansLost += stats.SpansLost - r.spansLostBefore
	r.spansLostBefore = stats.SpansLost
	now, before := r.serving.contentStats(), r.contentBefore
	r.contentBefore = now
	r.mu.Unlock()
	r.telemetry.ReceiverWebsocketendpointContentReloads.Add(ctx, now.Reloads-before.Reloads)
	r.telemetry.ReceiverWebsocketendpointContentReloadFaults.Add(ctx, now.ReloadFaults-before.ReloadFaults)
	r.telemetry.ReceiverWebsocketendpointLostSpans.Add(ctx, spansLost)
	r.telemetry.ReceiverWebsocketendpointLostEvents.Add(ctx, lost)
	return waiting, oldest
}
