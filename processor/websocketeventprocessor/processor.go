package websocketeventprocessor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/processor/websocketeventprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/recent"
)

// Parsers remember connections, so each resource has its own; of those that send, this many are remembered, this long.
const (
	maxParsers = 64
	parserLife = 24 * time.Hour
)

type eventProcessor struct {
	cfg       *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	malformed map[string][]metric.AddOption
	format    format.Format
	settings  source.Settings

	mu      sync.Mutex
	parsers *recent.Map[*parser]
}

// parser is that of one resource.
type parser struct {
	mu     sync.Mutex
	parser source.Parser
	// now is the time of the record that is being read, for lines that have none.
	now time.Time
}

func newProcessor(set processor.Settings, cfg *Config) (*eventProcessor, error) {
	f, err := format.Of(cfg.Format)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	p, err := f.New(source.Settings{}, cfg.options())
	if err != nil {
		return nil, err
	}
	if adviser, ok := p.(source.Adviser); ok {
		for _, sentence := range adviser.Advice() {
			set.Logger.Warn("the log format lacks something", zap.String("advice", sentence))
		}
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	malformed := map[string][]metric.AddOption{}
	for _, reason := range source.Reasons() {
		malformed[reason] = []metric.AddOption{
			metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))}
	}
	return &eventProcessor{
		cfg: cfg, logger: set.Logger, telemetry: telemetry, malformed: malformed, format: f,
		parsers: recent.New[*parser](maxParsers, parserLife),
	}, nil
}

func (p *eventProcessor) start(context.Context, component.Host) error {
	key := make([]byte, keyfile.Size)
	if p.cfg.KeyFile == "" {
		_, _ = rand.Read(key) // never fails: crypto/rand
		p.logger.Warn("no key file: connection ids change with every start and join with no other source; set key_file")
	} else {
		var created bool
		var err error
		if key, created, err = keyfile.LoadOrCreate(p.cfg.KeyFile); err != nil {
			return fmt.Errorf("key_file: %w", err)
		}
		if created {
			p.logger.Info("made the installation key; give every collector of the installation the same",
				zap.String("key_file", p.cfg.KeyFile))
		}
	}
	p.settings = source.Settings{
		Vantage:       p.cfg.Vantage,
		Zone:          time.Local,
		ConnectionKey: keyfile.Derive(key, source.ConnectionPurpose),
		HandshakeKey:  keyfile.Derive(key, source.HandshakePurpose),
	}
	return nil
}

func (p *eventProcessor) shutdown(context.Context) error {
	p.telemetry.Shutdown()
	return nil
}

func (p *eventProcessor) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	c := converter{receipt: time.Now()}
	made := plog.NewResourceLogsSlice()
	for _, rl := range ld.ResourceLogs().All() {
		if err := p.convert(rl, made, &c); err != nil {
			return ld, err
		}
	}
	made.MoveAndAppendTo(ld.ResourceLogs())
	prune(ld)
	p.count(ctx, &c)
	if ld.ResourceLogs().Len() == 0 {
		return ld, processorhelper.ErrSkipProcessingData
	}
	return ld, nil
}

// prune removes what has no records any more.
func prune(ld plog.Logs) {
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool { return sl.LogRecords().Len() == 0 })
		return rl.ScopeLogs().Len() == 0
	})
}

func (p *eventProcessor) count(ctx context.Context, c *converter) {
	p.telemetry.ProcessorWebsocketeventEvents.Add(ctx, c.events)
	p.telemetry.ProcessorWebsocketeventFutureTimes.Add(ctx, c.future)
	p.telemetry.ProcessorWebsocketeventPassedRecords.Add(ctx, c.passed)
	p.telemetry.ProcessorWebsocketeventSkippedRecords.Add(ctx, c.skipped)
	for reason, n := range c.malformed {
		p.telemetry.ProcessorWebsocketeventMalformedRecords.Add(ctx, n, p.malformed[reason]...)
	}
}

// parserOf returns the parser of a resource.
func (p *eventProcessor) parserOf(r pcommon.Resource) (*parser, error) {
	key, err := render(r.Attributes(), time.Time{})
	if err != nil {
		key = nil // a number that JSON does not know: such resources share a parser
	}
	hash := sha256.Sum256(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if found, ok := p.parsers.Get(hash[:], now); ok {
		return found, nil
	}
	made := &parser{}
	settings := p.settings
	settings.Now = func() time.Time { return made.now }
	if made.parser, err = p.format.New(settings, p.cfg.options()); err != nil {
		return nil, err
	}
	p.parsers.Put(hash[:], now, made)
	return made, nil
}

// converter converts one plog.Logs and counts.
type converter struct {
	receipt                         time.Time
	events, passed, skipped, future int64
	malformed                       map[string]int64
	line                            []byte
}

// convert takes the records that become events out of rl and appends the events to made.
func (p *eventProcessor) convert(rl plog.ResourceLogs, made plog.ResourceLogsSlice, c *converter) error {
	parser, err := p.parserOf(rl.Resource())
	if err != nil {
		return err
	}
	parser.mu.Lock()
	defer parser.mu.Unlock()
	// Most lines say nothing of the resource; the events of those that do have one of their own.
	groups := map[*event.Resource]plog.LogRecordSlice{}
	into := func(r *event.Resource) plog.LogRecordSlice {
		records, ok := groups[r]
		if !ok {
			group := made.AppendEmpty()
			group.SetSchemaUrl(rl.SchemaUrl())
			rl.Resource().CopyTo(group.Resource())
			p.complete(group.Resource().Attributes(), r)
			scope := group.ScopeLogs().AppendEmpty()
			scope.Scope().SetName(eventlog.ScopeName)
			records = scope.LogRecords()
			groups[r] = records
		}
		return records
	}
	for _, sl := range rl.ScopeLogs().All() {
		sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
			if event.Name(lr.EventName()).Known() {
				c.passed++
				return false
			}
			return p.record(parser, lr, c, into)
		})
	}
	return nil
}

// record reads one record and reports whether it is to go.
func (p *eventProcessor) record(
	parser *parser, lr plog.LogRecord, c *converter, into func(*event.Resource) plog.LogRecordSlice,
) bool {
	parser.now = recordTime(lr)
	var err error
	if c.line, err = p.lineOf(lr, parser.now, c.line[:0]); err == nil {
		err = parser.parser.Parse(c.line, func(e *event.Event) {
			if e.TraceID == [16]byte{} && !lr.TraceID().IsEmpty() {
				e.TraceID, e.SpanID = lr.TraceID(), lr.SpanID()
			}
			if e.ClampFuture(c.receipt) {
				c.future++
			}
			eventlog.EncodeRecord(into(e.Resource).AppendEmpty(), e)
			c.events++
		})
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, source.ErrSkipped):
		c.skipped++
		return p.cfg.OnOther == drop
	}
	if c.malformed == nil {
		c.malformed = map[string]int64{}
	}
	c.malformed[source.ReasonOf(err)]++
	return p.cfg.OnError == drop
}

// complete adds to a resource what it does not say itself: what the line says, then what the configuration does.
func (p *eventProcessor) complete(attributes pcommon.Map, line *event.Resource) {
	for _, named := range line.Attributes() {
		if v, there := attributes.GetOrPutEmpty(named.Name); !there {
			v.SetStr(named.Value.Text())
		}
	}
	for name, value := range p.cfg.Resource {
		if v, there := attributes.GetOrPutEmpty(name); !there {
			v.SetStr(value)
		}
	}
}
