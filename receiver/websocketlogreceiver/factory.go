package websocketlogreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/source/format"
)

// NewFactory returns the factory of the websocketlog receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type, createDefaultConfig, receiver.WithLogs(createLogs, metadata.LogsStability))
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.MaxRequestBodySize = 16 << 20
	server.CompressionAlgorithms = []string{"", "gzip", "zstd"}
	// A body of the greatest size on a slow line; without a bound a client could hold a place for ever.
	server.ReadTimeout = time.Minute
	server.WriteTimeout = 2 * time.Minute
	return &Config{
		Format:       format.NDJSON,
		StartAt:      startAtEnd,
		PollInterval: 250 * time.Millisecond,
		DrainAfter:   10 * time.Second,
		MaxOpenFiles: 128,
		MaxLineBytes: 1 << 20,
		Chunk: ChunkConfig{
			MaxRecords:  maxChunkRecords,
			MaxBytes:    8 << 20,
			MaxAge:      time.Second,
			MaxInFlight: 2,
		},
		HTTP: configoptional.Default(HTTPConfig{
			Server:      server,
			Path:        "/v1/events",
			MaxInFlight: 8,
			Timeout:     20 * time.Second,
		}),
		Vantage:          event.VantageEdge,
		ProgressInterval: 5 * time.Second,
	}
}

func createLogs(
	_ context.Context, settings receiver.Settings, cfg component.Config, next consumer.Logs,
) (receiver.Logs, error) {
	return newReceiver(cfg.(*Config), settings, next)
}
