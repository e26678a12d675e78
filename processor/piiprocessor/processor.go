package piiprocessor

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

type piiProcessor struct {
	cfg       *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	labels    [redact.RuleCount][redact.ActionCount][]metric.AddOption
	redactor  *Redactor
	now       func() time.Time
	// stop ends the goroutine that looks after the keys of epochs, if there is one; stopped says that it has ended.
	stop, stopped chan struct{}
}

func newProcessor(set processor.Settings, cfg *Config) (*piiProcessor, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &piiProcessor{cfg: cfg, logger: set.Logger, telemetry: telemetry, now: time.Now}
	for r := range redact.RuleCount {
		name, ok := cfg.ruleName(r)
		if !ok {
			continue
		}
		for a := range redact.ActionCount {
			p.labels[r][a] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(
				attribute.String("rule", name), attribute.String("action", a.String())))}
		}
	}
	return p, nil
}

// start reads the key and says once what is weaker than the defaults. A key file that is there and wrong stops the
// start: going on without would silently lose what joins events of one client.
func (p *piiProcessor) start(context.Context, component.Host) error {
	recipients, err := p.cfg.loadRecipients()
	if err != nil {
		return err
	}
	k, err := p.loadKeys()
	if err != nil {
		return err
	}
	k.recipients = recipients
	p.redactor = newRedactor(p.cfg, k)
	if p.cfg.InsecureObserve {
		p.logger.Warn("insecure_observe: personal data and secrets pass unchanged; what would be done is only counted")
	}
	p.sayWhatPasses(p.redactor.engine.Off(), p.cfg.Attributes.Keep)
	for i, compiled := range p.redactor.policies {
		own := p.cfg.Policies[i]
		off := slices.DeleteFunc(compiled.engine.Off(), func(r redact.Rule) bool { return *own.Detectors.field(r) == "" })
		p.sayWhatPasses(off, own.Attributes.Keep, zap.String("policy", own.Name))
	}
	return nil
}

func (p *piiProcessor) sayWhatPasses(off []redact.Rule, keep []string, whose ...zap.Field) {
	if len(off) > 0 {
		names := make([]string, len(off))
		for i, r := range off {
			names[i] = r.String()
		}
		p.logger.Warn("detectors are off: what they find passes through", append(whose, zap.Strings("detectors", names))...)
	}
	if len(keep) > 0 {
		p.logger.Warn("attributes pass unseen", append(whose, zap.Strings("attributes.keep", keep))...)
	}
}

func (p *piiProcessor) loadKeys() (k keys, err error) {
	if p.cfg.Pseudonyms.ChainFile != "" {
		k.epochs = &redact.EpochKeys{}
		if err := p.keepKeys(k.epochs); err != nil {
			return keys{}, err
		}
		p.stop, p.stopped = make(chan struct{}), make(chan struct{})
		go p.destroyOldKeys(k.epochs, time.NewTicker(chainInterval))
		return k, nil
	}
	if p.cfg.KeyFile == "" {
		p.logger.Warn("no key file: client.hash, session.id and other pseudonyms are dropped; set key_file to keep them")
		return keys{}, nil
	}
	var created bool
	if k.current, created, err = keyfile.LoadOrCreate(p.cfg.KeyFile); err != nil {
		return keys{}, err
	}
	if created {
		p.logger.Info("created the installation key; back it up, pseudonyms cannot be joined without it",
			zap.String("key_file", p.cfg.KeyFile))
	}
	if p.cfg.Pseudonyms.PreviousKeyFile != "" {
		k.previous, err = keyfile.Load(p.cfg.Pseudonyms.PreviousKeyFile)
	}
	return k, err
}

func (p *piiProcessor) keepKeys(epochs *redact.EpochKeys) error {
	s := p.cfg.Pseudonyms
	return keepEpochKeys(s.ChainFile, s.Epoch, s.Keep, p.now(), epochs)
}

// destroyOldKeys runs until shutdown. Where the file cannot be written any more, pseudonyms end with the keys in memory.
func (p *piiProcessor) destroyOldKeys(epochs *redact.EpochKeys, ticker *time.Ticker) {
	defer close(p.stopped)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			if err := p.keepKeys(epochs); err != nil {
				p.logger.Error("old keys of pseudonyms cannot be destroyed", zap.Error(err))
			}
		}
	}
}

func (p *piiProcessor) shutdown(context.Context) error {
	if p.stop != nil {
		close(p.stop)
		<-p.stopped
		p.stop = nil
	}
	p.telemetry.Shutdown()
	return nil
}

func (p *piiProcessor) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	seen := ld
	if p.cfg.InsecureObserve {
		seen = plog.NewLogs()
		ld.CopyTo(seen)
	}
	p.count(ctx, p.redactor.Logs(seen))
	return ld, nil
}

func (p *piiProcessor) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	seen := td
	if p.cfg.InsecureObserve {
		seen = ptrace.NewTraces()
		td.CopyTo(seen)
	}
	p.count(ctx, p.redactor.Traces(seen))
	return td, nil
}

func (p *piiProcessor) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	seen := md
	if p.cfg.InsecureObserve {
		seen = pmetric.NewMetrics()
		md.CopyTo(seen)
	}
	p.count(ctx, p.redactor.Metrics(seen))
	return md, nil
}

func (p *piiProcessor) count(ctx context.Context, counts Counts) {
	counter := p.telemetry.ProcessorPiiActions
	if p.cfg.InsecureObserve {
		counter = p.telemetry.ProcessorPiiObservedActions
	}
	for r := range counts {
		for a, n := range counts[r] {
			if n > 0 {
				counter.Add(ctx, int64(n), p.labels[r][a]...)
			}
		}
	}
}
