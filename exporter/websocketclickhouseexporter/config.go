package websocketclickhouseexporter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/sockeye-project/sockeye/store"
)

// Config is the exporter's section of a collector configuration.
type Config struct {
	// Endpoint is where ClickHouse is: http(s)://host:8123/database or clickhouse://host:9000/database. What else the
	// ClickHouse driver takes stands in its query, TLS included.
	Endpoint string `mapstructure:"endpoint"`
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

	// TimeoutConfig bounds one attempt to store what arrived together.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// RetryConfig never gives up by default: what cannot be stored yet waits at its source.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// QueueConfig is off by default: for a file, the file is the queue. Live sources may turn it on.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
}

// RetentionConfig is how long each table keeps its rows; 0 leaves a table as it is. The side tables follow a tier.
type RetentionConfig struct {
	Events    time.Duration `mapstructure:"events"`
	Rollup10s time.Duration `mapstructure:"rollup_10s"`
	Rollup1m  time.Duration `mapstructure:"rollup_1m"`
	Rollup15m time.Duration `mapstructure:"rollup_15m"`
}

// options is what the store needs to know besides the endpoint.
func (c *Config) options() store.Options {
	return store.Options{
		Username: c.Username, Password: string(c.Password), Database: c.Database, Compression: c.Compression,
		MaxConnections: c.MaxConnections, KeepDatabase: !c.CreateSchema,
	}
}

// Validate reports every fault at once, each with its key.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Endpoint == "" {
		fault("endpoint: must be set, such as http://127.0.0.1:8123/sockeye")
	} else if err := store.CheckDSN(c.Endpoint, store.Options{}); err != nil {
		faults = append(faults, keyed("endpoint", err))
	}
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
		{"events", c.Retention.Events}, {"rollup_10s", c.Retention.Rollup10s},
		{"rollup_1m", c.Retention.Rollup1m}, {"rollup_15m", c.Retention.Rollup15m},
	} {
		if r.keep != 0 && r.keep < time.Hour {
			fault("retention.%s: must be 0 or at least 1h, got %s", r.key, r.keep)
		}
	}
	if c.TimeoutConfig.Timeout < 0 {
		fault("timeout: must not be negative, got %s", c.TimeoutConfig.Timeout)
	}
	if q := c.QueueConfig.Get(); q != nil && q.Batch.HasValue() {
		fault("sending_queue.batch: must be off; a chunk is stored as it was cut, or a retry could double it")
	}
	return errors.Join(faults...)
}

// keyed begins err with its key where the store has not done so.
func keyed(key string, err error) error {
	if strings.HasPrefix(err.Error(), key+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", key, err)
}
