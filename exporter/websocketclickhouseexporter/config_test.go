package websocketclickhouseexporter

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

func load(t *testing.T, file string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestEveryKeyIsDocumented(t *testing.T) {
	testenv.AssertConfigDocumented(t, &Config{}, "README.md")
}

func TestDefaultsNeverGiveUpAndNeverQueue(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.False(t, cfg.QueueConfig.HasValue())
	require.True(t, cfg.RetryConfig.Enabled)
	require.Zero(t, cfg.RetryConfig.MaxElapsedTime)
	require.True(t, cfg.CreateSchema)
	cfg.Endpoint = "http://127.0.0.1:8123"
	require.NoError(t, confmap.Validate(cfg))
}

func TestConfigIsRead(t *testing.T) {
	cfg, err := load(t, "config.yaml")
	require.NoError(t, err)
	require.Equal(t, "clickhouse://clickhouse:9000/sockeye?secure=true", cfg.Endpoint)
	require.Equal(t, "writer", cfg.options().Username)
	require.Equal(t, "secret", cfg.options().Password)
	require.True(t, cfg.options().KeepDatabase)
	require.Equal(t, 48*time.Hour, cfg.Retention.Events)
	require.Equal(t, 840*time.Hour, cfg.Retention.Rollup1m)
	require.Equal(t, time.Minute, cfg.TimeoutConfig.Timeout)
	require.True(t, cfg.QueueConfig.HasValue())
	require.False(t, cfg.QueueConfig.Get().Batch.HasValue())
	require.False(t, cfg.QueueConfig.Get().BlockOnOverflow)
	require.Equal(t, exporterhelper.RequestSizerTypeBytes, cfg.QueueConfig.Get().Sizer)
	require.Equal(t, "file_storage", cfg.QueueConfig.Get().StorageID.String())
	require.Equal(t, time.Hour, cfg.MaxQueueAge)
}

func TestAClusterIsRead(t *testing.T) {
	cfg, err := load(t, "cluster.yaml")
	require.NoError(t, err)
	require.Equal(t, [][]string{
		{"clickhouse://ch-1-1:9000/sockeye", "clickhouse://ch-1-2:9000/sockeye"},
		{"clickhouse://u:p,w@ch-2-1:9000/sockeye", "clickhouse://u:p,w@ch-2-2:9000/sockeye"},
	}, cfg.endpoints())
	require.Equal(t, schema.Cluster{Name: "sockeye", Path: "/tables/{uuid}/{shard}", StoragePolicy: "tiered"},
		cfg.options().Cluster)
	require.Equal(t, map[string]time.Duration{"acme": 720 * time.Hour, "other": 12 * time.Hour}, cfg.Retention.Tenants)
	require.Equal(t, cfg.Retention.Tenants, store.Retention(cfg.Retention).Tenants)
}

func TestEveryFaultIsReportedAtOnceWithItsKey(t *testing.T) {
	for file, want := range map[string][]string{
		"endpoint.bad.yaml":    {"endpoint: must be set, such as http://127.0.0.1:8123/sockeye"},
		"unknown_key.bad.yaml": {"has invalid keys: endpont"},
		"batch.bad.yaml":       {"sending_queue.batch: must be off; a chunk is stored as it was cut, or a retry could double it"},
		"queue.bad.yaml": {
			"sending_queue.sizer: must be bytes, got requests; only bytes bound what the queue takes",
			"retry_on_failure.enabled: must be true with sending_queue.storage",
			"retry_on_failure.max_elapsed_time: must be 0 with sending_queue.storage, got 5m0s; otherwise what is queued is dropped",
			"max_queue_age: must not be negative, got -1s",
		},
		"memory_queue.bad.yaml": {
			"sending_queue.storage: must name a storage extension, such as file_storage; a queue in memory is lost",
			"sending_queue.queue_size: must be at least 67108864 (64 MiB), or a large request never fits, got 100",
		},
		"shards.bad.yaml": {
			"endpoint: must not be set with shards; put it first among them",
			"shards[1]: endpoint: write it like http://127.0.0.1:8123/sockeye",
			"shards[2]: has an endpoint of shards[0]; each belongs to one shard",
		},
		"one_shard.bad.yaml": {"shards: must be at least 2; for one use endpoint"},
		"cluster.bad.yaml": {
			"shards[0]: endpoint: hosts that stand in for each other differ in more than host and port",
			"shards[1]: has an endpoint of shards[0]; each belongs to one shard",
			"cluster.name: use letters, digits, _, . and -",
			"cluster.path: must begin with / and hold {shard} and {table}",
			"cluster.storage_policy: use letters, digits, _ and -",
			"retention.tenants: needs retention.events for all other tenants",
			"retention.tenants.acme: must be at least 1h, got 1m0s",
			"max_queue_age: must be above 0 and at most 168h0m0s with cluster.name, got 169h0m0s",
		},
		"cluster_name.bad.yaml": {"cluster.name: must be set with path and storage_policy"},
		"several_faults.bad.yaml": {
			"endpoint: write it like http://127.0.0.1:8123/sockeye or clickhouse://host:9000/sockeye",
			"database: use letters, digits, _ and -, beginning with a letter or _",
			`compression: must be none, lz4 or zstd, got "rar"`,
			"max_connections: must be at least 1, got 0",
			"max_tenants_per_service: must be at least 1, got 0",
			"retention.rollup_10s: must be 0 or at least 1h, got 1s",
			"retention.audit: must be 0 or at least retention.events, 48h0m0s, got 47h0m0s",
			"timeout: ",
		},
	} {
		t.Run(strings.TrimSuffix(file, ".bad.yaml"), func(t *testing.T) {
			_, err := load(t, file)
			require.Error(t, err)
			for _, w := range want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
