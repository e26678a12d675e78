package websocketclickhouseexporter

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/store"
)

const (
	// tagKey is the scope attribute that carries a request's tag through the queue. It is not stored.
	tagKey = "sockeye.queue.tag"
	// maxSources bounds of how many sources the progress is remembered. Those that have gone make room.
	maxSources = 10_000
	// firstMarkerPause and maxMarkerPause lie between attempts to put a marker into a full queue.
	firstMarkerPause = 100 * time.Millisecond
	maxMarkerPause   = 5 * time.Second
)

// queueGate stands on both sides of the sending queues. In front it numbers requests, refuses them while the queue's
// oldest is too old, and takes progress out of the stream; behind it notes which numbers are stored.
//
// Progress claims that everything before it is stored. In the queue it could overtake that: consumers work side by side,
// a request may be in retry, and after a restart requests that were being sent go to the end of the queue. So progress
// does not enter the queue. Each report is written at once, but with the time that the source had reached when everything
// accepted before was stored: while requests wait the source stays alive, and the watermark stays where it is.
type queueGate struct {
	e       *clickhouseExporter
	queues  []*queue      // one a shard, so that one that is down does not hold up the others
	storage *component.ID // nil for queues in memory
	maxAge  time.Duration
	now     func() time.Time

	// process marks what this process has put into the queue.
	process string
	cancel  context.CancelFunc
	ctx     context.Context
	stopped sync.WaitGroup

	mu     sync.Mutex
	number int64
	// waiting holds the requests that are accepted and not stored, as tags in the order of their numbers; byNumber
	// finds them.
	waiting  *list.List
	byNumber map[int64]*list.Element
	// inherited holds requests of earlier processes that are being stored.
	inherited map[tag]bool
	tooOld    bool
	sources   map[string]*sourceState
	swept     time.Time // when sources were last looked through for those that have gone
	loaded    bool
}

// queue is the sending queue of one shard.
type queue struct {
	exporter.Logs
	consumers int
	// marked is true once all markers are in the queue. As many have arrived as came out of it, and passed is closed when all
	// have: when nothing is left that an earlier process put there.
	marked  bool
	arrived int
	passed  chan struct{}
}

func (q *queue) drained() bool {
	select {
	case <-q.passed:
		return true
	default:
		return false
	}
}

// sourceState is how far a source's events are stored, when it last reported, and when such a report was last passed on.
// Of the reports that wait for what came before them only the first and the last are kept: there is always one that the
// queue reaches.
type sourceState struct {
	stored      time.Time
	heard       time.Time
	passed      time.Time
	first, last report
}

type report struct {
	through time.Time
	// number is that of the last request accepted before; 0 means no report.
	number int64
}

// newQueueGate returns the exporter with its queues. Each is made by create for the shard of that number.
func newQueueGate(
	e *clickhouseExporter, create func(shard int, push func(context.Context, plog.Logs) error) (exporter.Logs, error),
) (*queueGate, error) {
	config := e.config.QueueConfig.Get()
	g := &queueGate{
		e: e, storage: config.StorageID, maxAge: e.config.MaxQueueAge, now: time.Now, process: rand.Text(),
		waiting: list.New(), byNumber: map[int64]*list.Element{}, inherited: map[tag]bool{},
		sources: map[string]*sourceState{},
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for shard := range e.targets {
		q := &queue{consumers: config.NumConsumers, passed: make(chan struct{})}
		push := func(ctx context.Context, ld plog.Logs) error { return g.push(ctx, q, ld) }
		var err error
		if q.Logs, err = create(shard, push); err != nil {
			return nil, err
		}
		g.queues = append(g.queues, q)
	}
	return g, nil
}

// Capabilities says that what enters the queue is tagged.
func (g *queueGate) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// tag names a request in the queue.
type tag struct {
	process  string
	number   int64 // markerNumber for a marker
	accepted int64 // nanoseconds since 1970
}

// markerNumber is the number of requests that only mark a place in the queue.
const markerNumber = 0

func (t tag) put(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			sl.Scope().Attributes().PutStr(tagKey, fmt.Sprintf("%s %d %d", t.process, t.number, t.accepted))
			return
		}
	}
}

// tagOf returns the zero tag where there is none.
func tagOf(ld plog.Logs) tag {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			v, ok := sl.Scope().Attributes().Get(tagKey)
			if !ok {
				return tag{}
			}
			var t tag
			if n, _ := fmt.Sscanf(v.AsString(), "%s %d %d", &t.process, &t.number, &t.accepted); n != 3 {
				return tag{}
			}
			return t
		}
	}
	return tag{}
}

// Start starts the queues and then puts as many markers into each as it has consumers.
func (g *queueGate) Start(ctx context.Context, host component.Host) error {
	if err := g.e.telemetry.RegisterExporterWebsocketclickhouseQueueAgeCallback(
		func(_ context.Context, o metric.Float64Observer) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			o.Observe(g.age().Seconds())
			return nil
		}); err != nil {
		return err
	}
	if err := g.e.start(ctx, host); err != nil {
		return err
	}
	for _, q := range g.queues {
		if err := g.startQueue(ctx, host, q); err != nil {
			return err
		}
	}
	return nil
}

func (g *queueGate) startQueue(ctx context.Context, host component.Host, q *queue) error {
	if g.storage == nil {
		q.marked = true
		close(q.passed)
		return q.Logs.Start(ctx, host)
	}
	careful := &carefulHost{Host: host, storage: *g.storage}
	if err := q.Logs.Start(ctx, careful); err != nil {
		return err
	}
	if err := careful.release(ctx); err != nil {
		g.e.logger.Warn("requests that the sending queue has moved could not be deleted; they are sent twice, which changes "+
			"nothing", zap.Error(err))
	}
	g.stopped.Go(func() { g.mark(q) })
	return nil
}

// mark puts a marker for every consumer into the queue. Nothing else is let in before, so that a full queue has room for
// them as soon as it has room for anything.
func (g *queueGate) mark(q *queue) {
	pause := firstMarkerPause
	for sent := 0; sent < q.consumers; {
		marker := plog.NewLogs()
		marker.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		tag{process: g.process, number: markerNumber, accepted: g.now().UnixNano()}.put(marker)
		if q.ConsumeLogs(g.ctx, marker) == nil {
			sent++
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-g.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, maxMarkerPause)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q.marked = true
}

// Shutdown lets consumers go that wait at the markers, before the queues wait for them.
func (g *queueGate) Shutdown(ctx context.Context) error {
	g.cancel()
	g.stopped.Wait()
	var faults []error
	for _, q := range g.queues {
		faults = append(faults, q.Logs.Shutdown(ctx))
	}
	return errors.Join(append(faults, g.e.shutdown(ctx))...)
}

// ConsumeLogs accepts a request into the queue.
func (g *queueGate) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	progress := takeProgress(ld)
	parts := g.split(ld)
	for i, part := range parts {
		if part.LogRecordCount() == 0 {
			continue
		}
		t, err := g.admit(g.queues[i])
		if err != nil {
			return err
		}
		t.put(part)
		if err := g.queues[i].ConsumeLogs(ctx, part); err != nil {
			g.done(t)
			return err
		}
	}
	err := g.report(ctx, progress)
	if err != nil && len(parts) > 0 {
		// The request is accepted; its sender must not repeat it for the sake of progress, which comes again anyway.
		g.e.logger.Debug("progress not stored", zap.Error(err))
		return nil
	}
	return err
}

// split returns what goes into each queue, or nothing where there is nothing. Chunks stay whole; records without one go together, into the first
// queue.
func (g *queueGate) split(ld plog.Logs) []plog.Logs {
	if ld.LogRecordCount() == 0 {
		return nil
	}
	if len(g.queues) == 1 {
		return []plog.Logs{ld}
	}
	parts := make([]plog.Logs, len(g.queues))
	for i := range parts {
		parts[i] = plog.NewLogs()
	}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			shard := 0
			if id := eventlog.ChunkOf(sl.Scope()).ID; id != "" {
				shard = g.e.shardOf(id)
			}
			to := parts[shard].ResourceLogs().AppendEmpty()
			rl.Resource().CopyTo(to.Resource())
			to.SetSchemaUrl(rl.SchemaUrl())
			sl.MoveTo(to.ScopeLogs().AppendEmpty())
		}
	}
	return parts
}

// admit numbers a request, or refuses it.
func (g *queueGate) admit(q *queue) (tag, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !q.marked {
		return tag{}, errors.New("the sending queue is full of what an earlier run left; send again later")
	}
	tooOld := g.maxAge > 0 && g.age() > g.maxAge
	if tooOld != g.tooOld {
		g.tooOld = tooOld
		if tooOld {
			g.e.logger.Warn("the oldest request in the sending queue is older than max_queue_age; nothing is dropped, and "+
				"new requests are refused until it is stored", zap.Duration("max_queue_age", g.maxAge))
		} else {
			g.e.logger.Info("the sending queue takes requests again")
		}
	}
	if tooOld {
		return tag{}, fmt.Errorf("the oldest request in the sending queue is older than max_queue_age (%s); "+
			"send again later", g.maxAge)
	}
	g.number++
	t := tag{process: g.process, number: g.number, accepted: g.now().UnixNano()}
	g.byNumber[t.number] = g.waiting.PushBack(t)
	return t, nil
}

// age is how long the oldest request has been waiting. g.mu is held.
func (g *queueGate) age() time.Duration {
	oldest := int64(math.MaxInt64)
	if front := g.waiting.Front(); front != nil {
		oldest = front.Value.(tag).accepted
	}
	for t := range g.inherited {
		oldest = min(oldest, t.accepted)
	}
	if oldest == math.MaxInt64 {
		return 0
	}
	return max(0, g.now().Sub(time.Unix(0, oldest)))
}

// push is what a queue's consumers call.
func (g *queueGate) push(ctx context.Context, q *queue, ld plog.Logs) error {
	t := tagOf(ld)
	switch {
	case t == tag{}:
	case t.number == markerNumber:
		if t.process == g.process {
			g.meet(q)
		}
		return nil
	case t.process != g.process:
		// It may have been sent before this process began.
		markRepeated(ld)
		g.mu.Lock()
		g.inherited[t] = true
		g.mu.Unlock()
	}
	err := g.e.push(ctx, ld)
	if err == nil || consumererror.IsPermanent(err) {
		g.done(t)
		return err
	}
	var rest consumererror.Logs
	if errors.As(err, &rest) {
		t.put(rest.Data())
	}
	return err
}

// meet lets a consumer wait at its marker until all of the queue have come to theirs. Then none of them is storing
// anything, and whatever was in the queue before the markers is stored.
func (g *queueGate) meet(q *queue) {
	g.mu.Lock()
	if q.arrived++; q.arrived == q.consumers {
		close(q.passed)
	}
	g.mu.Unlock()
	select {
	case <-q.passed:
	case <-g.ctx.Done():
	}
}

func (g *queueGate) done(t tag) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.process != g.process {
		delete(g.inherited, t)
		return
	}
	if element := g.byNumber[t.number]; element != nil {
		g.waiting.Remove(element)
		delete(g.byNumber, t.number)
	}
}

// report writes how far sources are stored.
func (g *queueGate) report(ctx context.Context, progress []store.Progress) error {
	if len(progress) == 0 {
		return nil
	}
	if err := g.load(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	// Everything up to this number is stored.
	storedTo := g.number
	if front := g.waiting.Front(); front != nil {
		storedTo = front.Value.(tag).number - 1
	}
	drained := !slices.ContainsFunc(g.queues, func(q *queue) bool { return !q.drained() })
	var honest []store.Progress
	now := g.now()
	for _, p := range progress {
		s := g.source(p.Source)
		if s == nil {
			continue
		}
		s.heard = now
		alive := now.Sub(s.passed) < store.AliveFor
		if news := drained && s.advance(p.ReadThrough, g.number, storedTo); s.stored.IsZero() || !news && !alive {
			// A source that returns after a silence joins the watermark when what it sent is stored.
			continue
		}
		s.passed = now
		if s.stored.Before(p.ReadThrough) {
			p.ReadThrough = s.stored
		}
		honest = append(honest, p)
	}
	g.mu.Unlock()
	return g.e.insertProgress(ctx, honest)
}

// advance takes note of a report that came after request number, when requests up to storedTo were stored, and tells
// whether anything new is known to be stored.
func (s *sourceState) advance(through time.Time, number, storedTo int64) bool {
	before := s.stored
	latest := report{through, number}
	for !s.first.through.IsZero() && s.first.number <= storedTo {
		s.stored = s.first.through
		s.first, s.last = s.last, report{}
	}
	switch {
	case number <= storedTo:
		s.stored = through
		return true
	case s.first.through.IsZero():
		s.first = latest
	default:
		s.last = latest
	}
	return s.stored != before
}

// load reads once how far sources were stored before this process began.
func (g *queueGate) load(ctx context.Context) error {
	g.mu.Lock()
	loaded := g.loaded
	g.mu.Unlock()
	if loaded {
		return nil
	}
	first := g.e.targets[0]
	s, err := first.ready(ctx)
	if err != nil {
		return err
	}
	known, err := s.Sources(ctx)
	if err != nil {
		first.failed(s, err)
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range known {
		if state := g.source(p.Source); state != nil && state.stored.IsZero() {
			state.stored, state.heard, state.passed = p.ReadThrough, p.Wall, p.Wall
		}
	}
	g.loaded = true
	return nil
}

// source returns the state of a source, or nil where there are too many. g.mu is held.
func (g *queueGate) source(name string) *sourceState {
	if s := g.sources[name]; s != nil {
		return s
	}
	now := g.now()
	if len(g.sources) >= maxSources && now.Sub(g.swept) >= store.AliveFor {
		g.swept = now
		// One that returns joins the watermark again when what it sent is stored.
		maps.DeleteFunc(g.sources, func(_ string, s *sourceState) bool { return now.Sub(s.heard) >= store.AliveFor })
	}
	if len(g.sources) >= maxSources {
		return nil
	}
	s := &sourceState{heard: now}
	g.sources[strings.Clone(name)] = s
	return s
}

// takeProgress removes what sources say of their progress from ld, but for what stands in a chunk: a chunk stays as it
// was cut.
func takeProgress(ld plog.Logs) []store.Progress {
	var progress []store.Progress
	var e event.Event
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		resource := event.NewResource()
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			if eventlog.ChunkOf(sl.Scope()).ID != "" {
				return false
			}
			sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
				if lr.EventName() != string(event.SourceProgress) || eventlog.DecodeRecord(lr, resource, &e) != nil {
					return false
				}
				progress = append(progress, progressOf(&e))
				return true
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	return progress
}

func markRepeated(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			if eventlog.ChunkOf(sl.Scope()).ID != "" {
				sl.Scope().Attributes().PutBool(eventlog.ChunkRepeatedKey, true)
			}
		}
	}
}
