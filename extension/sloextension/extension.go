package sloextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/slo"
)

// sloExtension runs the engine and its HTTP server.
type sloExtension struct {
	cfg      *Config
	settings extension.Settings
	engine   *engine
	server   *http.Server
	stop     context.CancelFunc
	done     chan struct{}
	serving  chan struct{}
	address  net.Addr
}

func newExtension(cfg *Config, settings extension.Settings) (*sloExtension, error) {
	slos, err := cfg.load()
	if err != nil {
		return nil, fmt.Errorf("slos: %w", err)
	}
	telemetry, err := metadata.NewTelemetryBuilder(settings.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &engine{
		slos: slos, timing: cfg.timing(), ledger: slo.NewLedger(slos, cfg.timing()), id: instance(settings),
		now: time.Now, logger: settings.Logger, telemetry: telemetry,
		open: func(ctx context.Context) (database, error) { return openStore(ctx, string(cfg.Endpoint)) },
	}
	return &sloExtension{cfg: cfg, settings: settings, engine: e}, nil
}

// instance names this engine in what it writes.
func instance(settings extension.Settings) string {
	if v, ok := settings.Resource.Attributes().Get("service.instance.id"); ok && v.AsString() != "" {
		return v.AsString()
	}
	host, err := os.Hostname()
	if err != nil {
		return settings.ID.String()
	}
	return host
}

// Start listens and begins to evaluate. A store that is not there yet is no error: the SLOs are no_data until it is.
func (x *sloExtension) Start(ctx context.Context, host component.Host) error {
	alerting := x.cfg.Alerting
	if alerting.Owner == ownerEngine {
		s := &sender{
			resend: alerting.ResendInterval, expiry: 4 * max(alerting.ResendInterval, x.cfg.Interval),
			logger: x.settings.Logger, telemetry: x.engine.telemetry,
		}
		for i, am := range alerting.Alertmanagers {
			client, err := am.Client.ToClient(ctx, host.GetExtensions(), x.settings.TelemetrySettings)
			if err != nil {
				return fmt.Errorf("alerting.alertmanagers[%d]: %w", i, err)
			}
			if err := s.add(am.Client.Endpoint, client); err != nil {
				return err
			}
		}
		x.engine.sender = s
	}
	listener, err := x.cfg.HTTP.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("http.endpoint: %s: %w; choose another address or stop what has it", x.cfg.HTTP.NetAddr.Endpoint,
			cause(err))
	}
	x.address = listener.Addr()
	x.engine.book = newAlertBook(alerting)
	// Engines with the same configuration give the same link; only a port of the system's choice is known later.
	address := x.cfg.HTTP.NetAddr.Endpoint
	if strings.HasSuffix(address, ":0") {
		address = x.address.String()
	}
	scheme := "http://"
	if x.cfg.HTTP.TLS.HasValue() {
		scheme = "https://"
	}
	x.engine.book.pages = scheme + address
	x.server, err = x.cfg.HTTP.ToServer(ctx, host.GetExtensions(), x.settings.TelemetrySettings, x.engine.api())
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("http: %w", err)
	}
	x.serving = make(chan struct{})
	go func() {
		defer close(x.serving)
		if err := x.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			x.settings.Logger.Error("slo api stopped", zap.Error(err))
		}
	}()

	running, stop := context.WithCancel(context.Background())
	x.stop, x.done = stop, make(chan struct{})
	go func() {
		defer close(x.done)
		ticker := time.NewTicker(x.cfg.Interval)
		defer ticker.Stop()
		x.engine.run(running, ticker.C)
	}()
	x.settings.Logger.Info("slo engine started", zap.Int("slos", len(x.engine.slos)),
		zap.String("http.endpoint", x.address.String()), zap.String("alerting.owner", x.cfg.Alerting.Owner))
	if x.cfg.WindowScale > 1 {
		x.settings.Logger.Warn("burn windows are shortened; this is for demonstrations",
			zap.Int("window_scale", x.cfg.WindowScale))
	}
	return nil
}

func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Shutdown stops the engine, then the server. Firing alerts end at Alertmanager by themselves unless another engine
// repeats them.
func (x *sloExtension) Shutdown(ctx context.Context) error {
	if x.stop != nil {
		x.stop()
		select {
		case <-x.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var err error
	if x.server != nil {
		err = x.server.Shutdown(ctx)
		<-x.serving
	}
	if s := x.engine.sender; s != nil {
		for _, t := range s.targets {
			t.client.CloseIdleConnections()
		}
	}
	x.engine.telemetry.Shutdown()
	return err
}
