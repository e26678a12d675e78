package embeddedclickhouseextension

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
)

// Config says where the engine keeps its tables and where it listens.
type Config struct {
	// DataDirectory holds the tables. One engine at a time; made if it does not exist.
	DataDirectory string `mapstructure:"data_directory"`
	// Endpoint is host:port of the engine's HTTP interface, on a loopback address unless there is a token.
	Endpoint string `mapstructure:"endpoint"`
	// NativeEndpoint is host:port of the engine's native protocol; "" serves none.
	NativeEndpoint string `mapstructure:"native_endpoint"`
	// Token is the password every request must carry.
	Token configopaque.String `mapstructure:"token"`
	// ReadOnlyToken is another password, with which nothing can be changed.
	ReadOnlyToken configopaque.String `mapstructure:"readonly_token"`
	// Library is the path of libchdb.so; "" searches the usual places.
	Library string `mapstructure:"library"`
	// MemoryLimitMiB bounds the engine's memory.
	MemoryLimitMiB uint64 `mapstructure:"memory_limit_mib"`
	// StartTimeout is how long the collector's start waits for the engine. After it the collector goes on starting, and
	// so does the engine.
	StartTimeout time.Duration `mapstructure:"start_timeout"`
	// StopTimeout is how long the engine may take to stop before it is killed, which loses nothing it acknowledged.
	StopTimeout time.Duration `mapstructure:"stop_timeout"`
}

func createDefaultConfig() component.Config {
	return &Config{
		Endpoint:       "127.0.0.1:8123",
		MemoryLimitMiB: 2048,
		StartTimeout:   15 * time.Second,
		StopTimeout:    20 * time.Second,
	}
}

// Validate names every fault at once.
func (c *Config) Validate() error {
	var faults []error
	if c.DataDirectory == "" {
		faults = append(faults, errors.New("data_directory: must name the directory of the tables"))
	}
	faults = append(faults, c.checkAddress("endpoint", c.Endpoint))
	if c.NativeEndpoint != "" {
		faults = append(faults, c.checkAddress("native_endpoint", c.NativeEndpoint))
	}
	if c.ReadOnlyToken != "" && (c.Token == "" || c.Token == c.ReadOnlyToken) {
		faults = append(faults, errors.New("readonly_token: needs another one beside it, in token"))
	}
	if c.MemoryLimitMiB < 256 {
		faults = append(faults, fmt.Errorf("memory_limit_mib: must be at least 256, got %d", c.MemoryLimitMiB))
	}
	if c.StartTimeout <= 0 {
		faults = append(faults, fmt.Errorf("start_timeout: must be above 0, got %s", c.StartTimeout))
	}
	if c.StopTimeout <= 0 {
		faults = append(faults, fmt.Errorf("stop_timeout: must be above 0, got %s", c.StopTimeout))
	}
	return errors.Join(faults...)
}

func (c *Config) checkAddress(key, address string) error {
	host, _, err := net.SplitHostPort(address)
	switch ip := net.ParseIP(host); {
	case err != nil:
		return fmt.Errorf("%s: must be host:port, got %q", key, address)
	case c.Token == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return fmt.Errorf("%s: must be a loopback address as long as there is no token, got %q", key, address)
	}
	return nil
}
