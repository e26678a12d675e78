package websocketsliconnector

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Config is the YAML of one websocketsli connector. Defaults are in createDefaultConfig.
type Config struct {
	// Interval is how often the metrics are handed on.
	Interval time.Duration `mapstructure:"interval"`
	// ZeroFor is how long a new series stays at zero before it shows its count, so that Prometheus sees it rise.
	ZeroFor time.Duration `mapstructure:"zero_for"`
	// LateAfter is the age from which an event is counted as late and nowhere else; 0 counts it however old.
	LateAfter time.Duration `mapstructure:"late_after"`
	// MaxSeries bounds the combinations of attributes that are counted apart.
	MaxSeries int `mapstructure:"max_series"`
	// MaxTenantsPerService bounds how many tenants of a service count by name; the rest count as "other".
	MaxTenantsPerService int `mapstructure:"max_tenants_per_service"`
	// MaxChunks is how many chunks are remembered.
	MaxChunks int `mapstructure:"max_chunks"`
	// Storage is the storage extension that keeps counts and chunks over a restart.
	Storage *component.ID `mapstructure:"storage"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{
		Interval: 10 * time.Second, ZeroFor: time.Minute, LateAfter: time.Hour,
		MaxSeries: 10_000, MaxTenantsPerService: 100, MaxChunks: 100_000,
	}
}

// Bounds of max_series and max_chunks, which memory and the size of what is stored follow.
const (
	mostSeries = 1_000_000
	mostChunks = 10_000_000
)

var _ confmap.Validator = (*Config)(nil)

// Validate reports all that is wrong, each fault by its key.
func (c *Config) Validate() error {
	var faults []error
	fault := func(key, text string, args ...any) {
		faults = append(faults, fmt.Errorf(key+": "+text, args...))
	}
	if c.Interval < time.Second || c.Interval > time.Minute {
		fault("interval", "must be from 1s to 1m, got %v", c.Interval)
	}
	if c.ZeroFor < 0 || c.ZeroFor > 10*time.Minute {
		fault("zero_for", "must be from 0s to 10m, got %v", c.ZeroFor)
	}
	if c.LateAfter != 0 && c.LateAfter < time.Minute {
		fault("late_after", "must be 0 or at least 1m, got %v", c.LateAfter)
	}
	between := func(key string, got, least, most int) {
		if got < least || got > most {
			fault(key, "must be from %d to %d, got %d", least, most, got)
		}
	}
	between("max_series", c.MaxSeries, 100, mostSeries)
	between("max_tenants_per_service", c.MaxTenantsPerService, 0, mostSeries)
	between("max_chunks", c.MaxChunks, 1, mostChunks)
	return errors.Join(faults...)
}
