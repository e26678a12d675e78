package websocketlogreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
)

// logReceiver is the websocketlog receiver: a scanner that starts one tail a file, an HTTP server, and a goroutine that
// reports progress.
type logReceiver struct {
	cfg       *Config
	settings  receiver.Settings
	logger    *zap.Logger
	next      consumer.Logs
	telemetry *metadata.TelemetryBuilder
	obs       *receiverhelper.ObsReport

	format         format.Format
	parserSettings source.Settings
	options        format.Options
	logFormats     logFormats
	sourceName     string
	checkpoint     checkpoint
	scanner        *scanner
	push           *pushServer
	reporter       reporter
	health         health
	// budget bounds the lines that all files together hold on their way.
	budget *semaphore.Weighted
	// raws holds buffers for the lines of chunks.
	raws sync.Pool
	// crowded is true while there are more files than places.
	crowded atomic.Bool
	woken   chan struct{}

	group  sync.WaitGroup
	cancel context.CancelFunc

	// now and firstPause are other than the default in tests only.
	now        func() time.Time
	firstPause time.Duration
}

func newReceiver(cfg *Config, settings receiver.Settings, next consumer.Logs) (*logReceiver, error) {
	f, err := format.Of(cfg.Format)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	telemetry, err := metadata.NewTelemetryBuilder(settings.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	transport := "file"
	if cfg.HTTP.HasValue() {
		transport = "http"
	}
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: settings.ID, Transport: transport, ReceiverCreateSettings: settings,
	})
	if err != nil {
		return nil, err
	}
	r := &logReceiver{
		cfg: cfg, settings: settings, logger: settings.Logger, next: next, telemetry: telemetry, obs: obs, format: f,
		budget: semaphore.NewWeighted(budgetOf(cfg)),
		woken:  make(chan struct{}, 1), now: time.Now, firstPause: firstPause,
	}
	r.raws.New = func() any { return new(bytes.Buffer) }
	r.scanner = newScanner(r)
	r.reporter = reporter{logger: settings.Logger, now: time.Now}
	return r, nil
}

func budgetOf(cfg *Config) int64 {
	return max(4*int64(cfg.Chunk.MaxBytes), int64(cfg.MaxLineBytes), 2*budgetStep)
}

// Start implements component.Component.
func (r *logReceiver) Start(ctx context.Context, host component.Host) (err error) {
	r.sourceName = r.cfg.SourceName
	if r.sourceName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("source_name: the host has no name, so one must be given: %w", err)
		}
		r.sourceName = r.settings.ID.String() + "@" + name
	}
	if r.checkpoint, err = openCheckpoint(ctx, host, r.cfg.Storage, r.settings.ID); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.checkpoint.close(ctx))
		}
	}()
	if r.cfg.Storage == nil && len(r.cfg.Include) > 0 {
		r.logger.Warn("no storage is configured: offsets are lost at a restart, and lines with them or twice; " +
			"set storage to a storage extension")
	}
	if r.parserSettings, err = r.parsing(ctx); err != nil {
		return err
	}
	if err := r.startFormat(); err != nil {
		return err
	}
	if _, _, err := r.checkpoint.load(ctx); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.Background())
	if h := r.cfg.HTTP.Get(); h != nil {
		push := newPushServer(r, h)
		if err := push.start(run, host); err != nil {
			cancel()
			return err
		}
		r.push = push
	}
	r.cancel = cancel
	if len(r.cfg.Include) > 0 {
		r.group.Go(func() { r.scanner.run(run) })
	}
	r.group.Go(func() { r.reportProgress(run) })
	return nil
}

// parsing collects what parsers are told.
func (r *logReceiver) parsing(ctx context.Context) (source.Settings, error) {
	// A log is read where it is written, so times without a zone are in that of this machine.
	s := source.Settings{Vantage: r.cfg.Vantage, Zone: time.Local}
	var key []byte
	var err error
	if r.cfg.KeyFile != "" {
		var created bool
		if key, created, err = keyfile.LoadOrCreate(r.cfg.KeyFile); err != nil {
			return s, fmt.Errorf("key_file: %w", err)
		}
		if created {
			r.logger.Info("made the installation key; give every collector of the installation the same",
				zap.String("key_file", r.cfg.KeyFile))
		}
	} else {
		if key, err = r.checkpoint.secret(ctx, keyfile.Size); err != nil {
			return s, err
		}
		if r.format.Name != format.NDJSON && r.checkpoint.client == nil {
			r.logger.Warn("no key_file and no storage: connection ids change at a restart")
		}
	}
	s.ConnectionKey = keyfile.Derive(key, source.ConnectionPurpose)
	s.HandshakeKey = keyfile.Derive(key, source.HandshakePurpose)
	if len(r.cfg.Resource) > 0 {
		var attrs []event.Named
		for _, name := range slices.Sorted(maps.Keys(r.cfg.Resource)) {
			attrs = append(attrs, event.Named{Name: name, Value: event.String(r.cfg.Resource[name])})
		}
		s.Resource = event.NewResource(attrs...)
	}
	return s, nil
}

// Shutdown implements component.Component. Chunks on their way are given up, not waited for: a pipeline that blocks
// must not block the shutdown, and the same chunks are read again at the next start.
func (r *logReceiver) Shutdown(ctx context.Context) error {
	if r.cancel == nil {
		r.telemetry.Shutdown()
		return nil
	}
	var err error
	if r.push != nil {
		err = r.push.shutdown(ctx)
	}
	r.cancel()
	done := make(chan struct{})
	go func() {
		r.group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		// The pipeline ignores that its context has ended. Nothing is acknowledged after this.
		return errors.Join(err, ctx.Err())
	}
	if r.logFormats.errorLog != nil {
		r.logFormats.errorLog.Close()
	}
	r.telemetry.Shutdown()
	return errors.Join(err, r.checkpoint.close(ctx))
}

// wake makes the scanner look at once.
func (r *logReceiver) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}
