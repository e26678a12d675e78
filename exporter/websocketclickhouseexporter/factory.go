package websocketclickhouseexporter

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter/internal/metadata"
	"github.com/sockeye-project/sockeye/store"
)

// NewFactory returns the factory of the exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig,
		exporter.WithLogs(createLogs, metadata.LogsStability),
		exporter.WithTraces(createTraces, metadata.TracesStability))
}

func createDefaultConfig() component.Config {
	retention := store.DefaultRetention()
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxInterval = 15 * time.Second
	retry.MaxElapsedTime = 0
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = 1 << 30
	queue.NumConsumers = 2
	return &Config{
		MaxConnections: 4,
		CreateSchema:   true,
		Retention: RetentionConfig{
			Events: retention.Events, Traces: retention.Traces,
			PayloadSamples: retention.PayloadSamples, Audit: retention.Audit, Rollup10s: retention.Rollup10s,
			Rollup1m: retention.Rollup1m, Rollup15m: retention.Rollup15m,
		},
		MaxTenantsPerService: 10_000,

		TimeoutConfig: exporterhelper.TimeoutConfig{Timeout: 30 * time.Second},
		RetryConfig:   retry,
		QueueConfig:   configoptional.Default(queue),
		MaxQueueAge:   24 * time.Hour,
	}
}

// senders are what stands between a pipeline and the store.
func (c *Config) senders() []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithTimeout(c.TimeoutConfig), exporterhelper.WithRetry(c.RetryConfig),
		exporterhelper.WithQueue(c.QueueConfig),
	}
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	e, err := newExporter(config, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewTraces(ctx, config.calmed(set), cfg, e.pushTraces, append(config.senders(),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown))...)
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	config := cfg.(*Config)
	e, err := newExporter(config, set)
	if err != nil {
		return nil, err
	}
	options := config.senders()
	set = config.calmed(set)
	if !config.QueueConfig.HasValue() {
		return exporterhelper.NewLogs(ctx, set, cfg, e.push, append(options,
			exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
			exporterhelper.WithStart(e.start),
			exporterhelper.WithShutdown(e.shutdown))...)
	}
	return newQueueGate(e, func(shard int, push func(context.Context, plog.Logs) error) (exporter.Logs, error) {
		// The queue's place in the storage, and its metrics, follow from the id.
		own := set
		if len(config.Shards) > 0 {
			name := strings.TrimPrefix(fmt.Sprintf("%s_shard_%d", set.ID.Name(), shard), "_")
			own.ID = component.NewIDWithName(set.ID.Type(), name)
		}
		return exporterhelper.NewLogs(ctx, own, cfg, push, append(options,
			exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}))...)
	})
}
