package websocketsliconnector

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/connector/websocketsliconnector/internal/metadata"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

type sliConnector struct {
	cfg       *Config
	id        component.ID
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	next      consumer.Metrics
	now       func() time.Time

	// mu guards what follows.
	mu      sync.Mutex
	state   *state
	live    *live
	journal *journal
	// failing says that the last metrics were refused.
	failing bool

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func newConnector(set connector.Settings, cfg *Config, next consumer.Metrics) (*sliConnector, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &sliConnector{
		cfg: cfg, id: set.ID, logger: set.Logger, telemetry: telemetry, next: next, now: time.Now,
		state: newState(cfg), live: newLive(cfg.MaxSeries), stop: func() {},
	}, nil
}

func (*sliConnector) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start reads what was counted before and begins to hand on metrics.
func (c *sliConnector) Start(ctx context.Context, host component.Host) error {
	if err := c.load(ctx, host); err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(context.Background())
	c.stopped.Go(func() {
		ticker := time.NewTicker(c.cfg.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				c.publish(ctx)
			}
		}
	})
	return nil
}

func (c *sliConnector) load(ctx context.Context, host component.Host) error {
	var err error
	if c.journal, err = openJournal(ctx, host, c.cfg.Storage, c.id); err != nil {
		return err
	}
	if c.journal == nil {
		c.logger.Warn("no storage is configured: counters begin anew with every start, and a chunk that comes again after " +
			"it counts twice; set storage to a storage extension")
		return nil
	}
	damaged, err := c.journal.load(ctx, c.state, c.now())
	if damaged != nil {
		c.logger.Error("what was counted before cannot be read; counters begin anew", zap.Error(damaged))
	}
	return err
}

// Shutdown hands on what was counted last.
func (c *sliConnector) Shutdown(ctx context.Context) error {
	c.stop()
	c.stopped.Wait()
	c.publish(ctx)
	var err error
	if c.journal != nil {
		err = errors.Join(c.journal.save(ctx, c.state, c.now()), c.journal.close(ctx))
		c.journal = nil
	}
	c.telemetry.Shutdown()
	return err
}

// ConsumeLogs counts each chunk that it has not counted before. An error means that the storage keeps nothing: the
// chunks until then are counted, and the source is to send again.
func (c *sliConnector) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	for _, g := range eventlog.Groups(ld) {
		var late time.Time
		if c.cfg.LateAfter > 0 {
			late = c.now().Add(-c.cfg.LateAfter)
		}
		t := read(g, late)
		if err := c.count(ctx, g, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *sliConnector) count(ctx context.Context, g *eventlog.Group, t *tally) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live.take(t)
	if len(t.order)+len(t.lateOrder) == 0 {
		c.drop(ctx, t, 0)
		return nil
	}
	chunk, err := keyOf(g)
	if err != nil {
		return err
	}
	if c.state.chunks.has(chunk) {
		c.telemetry.ConnectorWebsocketsliRepeatedChunks.Add(ctx, 1)
		return nil
	}
	e, dropped := c.state.entryOf(t, chunk, c.now().UnixNano())
	if c.journal != nil {
		if err := c.journal.append(ctx, &e); err != nil {
			return err
		}
	}
	c.state.apply(&e)
	c.drop(ctx, t, int64(dropped))
	c.telemetry.ConnectorWebsocketsliChunks.Add(ctx, 1)
	if g.Chunk.Repeated {
		c.telemetry.ConnectorWebsocketsliUnsureChunks.Add(ctx, 1)
	}
	return nil
}

func (c *sliConnector) drop(ctx context.Context, t *tally, noRoom int64) {
	for reason, n := range map[string]int64{"not_an_event": t.notAnEvent, "no_time": t.noTime, "no_room": noRoom} {
		if n > 0 {
			c.telemetry.ConnectorWebsocketsliDroppedRecords.Add(ctx, n,
				metric.WithAttributes(attribute.String("reason", reason)))
		}
	}
}

// publish hands on all metrics. If they are refused, the next ones hold the same counts and more.
func (c *sliConnector) publish(ctx context.Context) {
	c.mu.Lock()
	now := c.now()
	c.live.forget(now)
	md := metricsOf(c.state, c.live, now, c.cfg.ZeroFor)
	c.telemetry.ConnectorWebsocketsliSeries.Record(ctx, int64(len(c.state.counted.all)))
	if c.journal != nil && c.journal.due(now) {
		if err := c.journal.save(ctx, c.state, now); err != nil {
			c.logger.Warn("cannot write a snapshot of the counts; the entries since the last one keep them", zap.Error(err))
		}
	}
	c.mu.Unlock()
	if md.DataPointCount() == 0 {
		return
	}
	err := c.next.ConsumeMetrics(ctx, md)
	if err != nil && !c.failing {
		c.logger.Warn("metrics are refused; the next ones hold the same counts", zap.Error(err))
	}
	c.failing = err != nil
}
