package websocketendpointreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/wire"
)

// NewFactory returns the factory of the websocketendpoint receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type, createDefaultConfig, receiver.WithLogs(createLogs, metadata.LogsStability),
		receiver.WithTraces(createTraces, metadata.TracesStability))
}

func createDefaultConfig() component.Config {
	none, unlimited := RateConfig{PerSecond: -1}, AllowanceConfig{Messages: -1, Bytes: -1}
	return &Config{
		Path:        "/",
		ProxyHeader: endpoint.XForwardedFor,
		Tickets:     TicketsConfig{Lifetime: 30 * time.Second},
		Handler:     "discard",
		Limits: LimitsConfig{
			MaxConnections: 16_384, MaxHandshakes: 1024, MaxMessageBytes: wire.DefaultLimits().MessageBytes, Excess: excessClose,
			Address: AddressLimits{Connections: 256, Handshakes: RateConfig{PerSecond: 20, Burst: 100}},
			User: IdentityLimits{
				Connections: 32, Handshakes: RateConfig{PerSecond: 5, Burst: 50}, Messages: none, Bytes: none,
				Allowance: unlimited,
			},
			Tenant: IdentityLimits{Connections: -1, Handshakes: none, Messages: none, Bytes: none, Allowance: unlimited},
			Connection: ConnectionLimits{
				Messages: RateConfig{PerSecond: 100, Burst: 200}, Bytes: RateConfig{PerSecond: 1 << 20, Burst: 4 << 20},
				Allowance: unlimited,
			},
			Period: 24 * time.Hour, MaxAddresses: 65_536, MaxUsers: 65_536, MaxTenants: 4096,
		},
		Timeouts: TimeoutsConfig{
			Auth: 5 * time.Second, Write: 10 * time.Second, Close: 2 * time.Second, Ping: 30 * time.Second,
			Pong: 10 * time.Second, Idle: time.Hour, Lifetime: 24 * time.Hour, Shutdown: 10 * time.Second,
		},
		Traces:           TracesConfig{Ratio: 1, Rate: RateConfig{PerSecond: 10, Burst: 100}},
		PayloadSamples:   PayloadSamplesConfig{MaxBytes: 1024, Rate: RateConfig{PerSecond: 1, Burst: 10}},
		Vantage:          event.VantageApp,
		Chunk:            ChunkConfig{MaxRecords: 10_000, MaxAge: time.Second},
		MaxWaitingEvents: 50_000,
		ProgressInterval: 5 * time.Second,
	}
}

func createLogs(
	_ context.Context, settings receiver.Settings, cfg component.Config, next consumer.Logs,
) (receiver.Logs, error) {
	s, err := process.sharing.of(cfg.(*Config), settings)
	if err != nil {
		return nil, err
	}
	s.next = next
	return s, nil
}

func createTraces(
	_ context.Context, settings receiver.Settings, cfg component.Config, next consumer.Traces,
) (receiver.Traces, error) {
	s, err := process.sharing.of(cfg.(*Config), settings)
	if err != nil {
		return nil, err
	}
	s.traces = next
	return s, nil
}
