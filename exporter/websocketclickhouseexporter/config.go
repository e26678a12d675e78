package websocketclickhouseexporter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// Config is the exporter's section of a collector configuration.
type Config struct {
	// Endpoint is where ClickHouse is: http(s)://host:8123/database or clickhouse://host:9000/database. What else the
	// ClickHouse driver takes stands in its query, TLS included. Several, with commas between them, are replicas.
	Endpoint string `mapstructure:"endpoint"`
	// Shards stands instead of Endpoint for a cluster: the endpoints of each shard's replicas, the shards in an order that
	// must not change.
	Shards [][]string `mapstructure:"shards"`
	// Cluster makes the tables of a cluster; without it each server has tables of its own.
	Cluster ClusterConfig `mapstructure:"cluster"`
	// Username, Password and Database override the endpoint's.
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
	Database string              `mapstructure:"database"`
	// Compression on the way: none, lz4 or zstd; empty chooses by distance.
	Compression string `mapstructure:"compression"`
	// MaxConnections bounds how many chunks are on their way at once.
	MaxConnections int `mapstructure:"max_connections"`

	// CreateSchema creates the database, applies migrations and sets the retention. Without it the exporter waits
	// until somebody has run `sockeye store migrate`.
	CreateSchema bool `mapstructure:"create_schema"`
	// Retention is how long each table keeps its rows.
	Retention RetentionConfig `mapstructure:"retention"`

	// MaxTenantsPerService bounds how many tenants of a service count by name; the rest count as "other".
	MaxTenantsPerService int `mapstructure:"max_tenants_per_service"`

	// TimeoutConfig bounds one attempt to store what arrived together.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// RetryConfig never gives up by default: what cannot be stored yet waits at its source.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// QueueConfig is off by default: for a file, the file is the queue. Live sources may turn it on.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// MaxQueueAge is how old the queue's oldest request may become before new ones are refused; 0 means no limit.
	MaxQueueAge time.Duration `mapstructure:"max_queue_age"`
}

// ClusterConfig is how the tables lie on a cluster; without a name there is none.
type ClusterConfig struct {
	Name          string `mapstructure:"name"`
	Path          string `mapstructure:"path"`
	StoragePolicy string `mapstructure:"storage_policy"`
}

// RetentionConfig is how long each table keeps its rows; 0 leaves a table as it is. The side tables follow a tier.
type RetentionConfig struct {
	Events time.Duration `mapstructure:"events"`
	Traces time.Duration `mapstructure:"traces"`
	// PayloadSamples is short: a day.
	PayloadSamples time.Duration `mapstructure:"payload_samples"`
	// Audit is long, and at least Events.
	Audit     time.Duration `mapstructure:"audit"`
	Rollup10s time.Duration `mapstructure:"rollup_10s"`
	Rollup1m  time.Duration `mapstructure:"rollup_1m"`
	Rollup15m time.Duration `mapstructure:"rollup_15m"`
	// Tenants is how long events of a tenant are kept instead of Events, by its name.
	Tenants map[string]time.Duration `mapstructure:"tenants"`
}

// endpoints returns where chunks go: of each shard, at least one, its replicas, at least one.
func (c *Config) endpoints() [][]string {
	if len(c.Shards) == 0 {
		return [][]string{store.Hosts(c.Endpoint)}
	}
	shards := make([][]string, len(c.Shards))
	for i, replicas := range c.Shards {
		// The configuration is cut at every comma, also at one in a password.
		shards[i] = store.Hosts(strings.Join(replicas, ","))
	}
	return shards
}

// options is what the store needs to know besides the endpoint.
func (c *Config) options() store.Options {
	return store.Options{
		Username: c.Username, Password: string(c.Password), Database: c.Database, Compression: c.Compression,
		MaxConnections: c.MaxConnections, KeepDatabase: !c.CreateSchema, Cluster: schema.Cluster(c.Cluster),
	}
}

// Validate reports every fault at once, each with its key.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	c.validateEndpoints(fault)
	// A valid endpoint stands in for a faulty one, so that both faults are reported.
	const valid = "http://localhost"
	if err := store.CheckDSN(valid, store.Options{Database: c.Database}); err != nil {
		faults = append(faults, keyed("database", err))
	}
	if err := store.CheckDSN(valid, store.Options{Compression: c.Compression}); err != nil {
		faults = append(faults, keyed("compression", err))
	}
	if c.MaxConnections < 1 {
		fault("max_connections: must be at least 1, got %d", c.MaxConnections)
	}
	for _, r := range []struct {
		key  string
		keep time.Duration
	}{
		{"events", c.Retention.Events}, {"traces", c.Retention.Traces},
		{"payload_samples", c.Retention.PayloadSamples}, {"rollup_10s", c.Retention.Rollup10s},
		{"rollup_1m", c.Retention.Rollup1m}, {"rollup_15m", c.Retention.Rollup15m}, {"audit", c.Retention.Audit},
	} {
		if r.keep != 0 && r.keep < time.Hour {
			fault("retention.%s: must be 0 or at least 1h, got %s", r.key, r.keep)
		}
	}
	if most := 7 * 24 * time.Hour; c.Retention.PayloadSamples > most {
		fault("retention.payload_samples: must be at most %s, got %s", most, c.Retention.PayloadSamples)
	}
	if r := c.Retention; r.Audit != 0 && r.Audit < r.Events {
		fault("retention.audit: must be 0 or at least retention.events, %s, got %s", r.Events, r.Audit)
	}
	c.validateTenants(fault)
	c.validateCluster(fault)
	if c.MaxTenantsPerService < 1 {
		fault("max_tenants_per_service: must be at least 1, got %d", c.MaxTenantsPerService)
	}
	if c.TimeoutConfig.Timeout < 0 {
		fault("timeout: must not be negative, got %s", c.TimeoutConfig.Timeout)
	}
	if c.MaxQueueAge < 0 {
		fault("max_queue_age: must not be negative, got %s", c.MaxQueueAge)
	}
	if q := c.QueueConfig.Get(); q != nil {
		c.validateQueue(q, fault)
	}
	return errors.Join(faults...)
}

func (c *Config) validateEndpoints(fault func(string, ...any)) {
	switch {
	case len(c.Shards) > 0 && c.Endpoint != "":
		fault("endpoint: must not be set with shards; put it first among them")
	case len(c.Shards) == 1:
		fault("shards: must be at least 2; for one use endpoint")
	case len(c.Shards) == 0 && c.Endpoint == "":
		fault("endpoint: must be set, such as http://127.0.0.1:8123/sockeye")
	}
	if c.Endpoint != "" {
		if err := store.CheckDSN(c.Endpoint, store.Options{}); err != nil {
			fault("%w", keyed("endpoint", err))
		}
	}
	first := map[string]int{}
	for i, replicas := range c.Shards {
		hosts := store.Hosts(strings.Join(replicas, ","))
		if err := store.CheckDSN(strings.Join(hosts, ","), store.Options{}); err != nil {
			fault("shards[%d]: %w", i, err)
		}
		for _, dsn := range hosts {
			if j, twice := first[dsn]; twice && i != j {
				fault("shards[%d]: has an endpoint of shards[%d]; each belongs to one shard", i, j)
			}
			first[dsn] = i
		}
	}
}

// maxRetentionTenants bounds an expression that ClickHouse keeps with the table.
const maxRetentionTenants = 1000

func (c *Config) validateTenants(fault func(string, ...any)) {
	tenants := c.Retention.Tenants
	if len(tenants) > maxRetentionTenants {
		fault("retention.tenants: must be at most %d, got %d", maxRetentionTenants, len(tenants))
	}
	if len(tenants) > 0 && c.Retention.Events == 0 {
		fault("retention.tenants: needs retention.events for all other tenants")
	}
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		if keep := tenants[name]; keep < time.Hour {
			fault("retention.tenants.%s: must be at least 1h, got %s", name, keep)
		}
	}
}

func (c *Config) validateCluster(fault func(string, ...any)) {
	cluster := schema.Cluster(c.Cluster)
	if err := cluster.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fault("cluster.%s", line)
		}
	}
	if cluster.Enabled() && c.QueueConfig.HasValue() && (c.MaxQueueAge == 0 || c.MaxQueueAge > schema.TokensKept) {
		fault("max_queue_age: must be above 0 and at most %s with cluster.name, got %s; tables remember a chunk for as long",
			schema.TokensKept, c.MaxQueueAge)
	}
}

// minQueueBytes is what the largest request may need: a persistent queue answers that it is full to a larger one for ever.
const minQueueBytes = 64 << 20

func (c *Config) validateQueue(q *exporterhelper.QueueBatchConfig, fault func(string, ...any)) {
	if q.Batch.HasValue() {
		fault("sending_queue.batch: must be off; a chunk is stored as it was cut, or a retry could double it")
	}
	if q.Sizer != exporterhelper.RequestSizerTypeBytes {
		fault("sending_queue.sizer: must be bytes, got %s; only bytes bound what the queue takes", q.Sizer.String())
	} else if q.QueueSize < minQueueBytes {
		fault("sending_queue.queue_size: must be at least %d (64 MiB), or a large request never fits, got %d",
			minQueueBytes, q.QueueSize)
	}
	if q.StorageID == nil && !q.WaitForResult {
		fault("sending_queue.storage: must name a storage extension, such as file_storage; a queue in memory is lost with " +
			"the collector, after it was acknowledged (or set sending_queue.wait_for_result: true, which acknowledges nothing " +
			"before it is stored)")
	}
	if q.StorageID == nil {
		return
	}
	// With a queue nobody is left to whom the exporter could return what it gives up.
	if !c.RetryConfig.Enabled {
		fault("retry_on_failure.enabled: must be true with sending_queue.storage; otherwise what is queued is dropped when " +
			"ClickHouse cannot take it")
	}
	if c.RetryConfig.MaxElapsedTime != 0 {
		fault("retry_on_failure.max_elapsed_time: must be 0 with sending_queue.storage, got %s; otherwise what is queued is "+
			"dropped after that time", c.RetryConfig.MaxElapsedTime)
	}
}

// keyed begins err with its key where the store has not done so.
func keyed(key string, err error) error {
	if strings.HasPrefix(err.Error(), key+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", key, err)
}
