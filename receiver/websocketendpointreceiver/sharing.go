package websocketendpointreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
)

// sharing gives the pipelines of logs and of traces that have the same section one receiver. The collector hands both the same
// Config.
type sharing struct {
	mu        sync.Mutex
	receivers map[*Config]*sharedReceiver
}

// sharedReceiver starts and ends once, although the collector asks it to for each signal.
type sharedReceiver struct {
	*endpointReceiver
	from              *sharing
	start, stop       sync.Once
	startErr, stopErr error
}

func (h *sharing) of(cfg *Config, settings receiver.Settings) (*sharedReceiver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.receivers[cfg]; s != nil {
		return s, nil
	}
	r, err := newReceiver(cfg, settings, nil)
	if err != nil {
		return nil, err
	}
	if h.receivers == nil {
		h.receivers = map[*Config]*sharedReceiver{}
	}
	s := &sharedReceiver{endpointReceiver: r, from: h}
	h.receivers[cfg] = s
	return s, nil
}

// Start implements component.Component.
func (s *sharedReceiver) Start(ctx context.Context, host component.Host) error {
	s.start.Do(func() { s.startErr = s.endpointReceiver.Start(ctx, host) })
	return s.startErr
}

// Shutdown implements component.Component.
func (s *sharedReceiver) Shutdown(ctx context.Context) error {
	s.stop.Do(func() {
		s.from.mu.Lock()
		delete(s.from.receivers, s.cfg)
		s.from.mu.Unlock()
		s.stopErr = s.endpointReceiver.Shutdown(ctx)
	})
	return s.stopErr
}

// discardLogs is the pipeline of logs of a receiver that has none.
type discardLogs struct{}

func (discardLogs) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (discardLogs) ConsumeLogs(context.Context, plog.Logs) error { return nil }
