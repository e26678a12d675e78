package websocketendpointreceiver

import "github.com/sockeye-project/sockeye/endpoint"

// PayloadSamplesConfig keeps the beginning of some messages that could not be parsed.
type PayloadSamplesConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// MaxBytes is how much of a message is kept.
	MaxBytes int `mapstructure:"max_bytes"`
	// Rate bounds samples, of which a connection has one.
	Rate RateConfig `mapstructure:"rate"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func (p *PayloadSamplesConfig) validate(f *faults) {
	f.within("payload_samples.max_bytes", p.MaxBytes, 1, 16<<10)
	if !(p.Rate.PerSecond > 0) {
		f.add("payload_samples.rate.per_second", "must be above 0, got %v", p.Rate.PerSecond)
	}
	if !(p.Rate.Burst >= 0) {
		f.add("payload_samples.rate.burst", "must be at least 0, which is one second's worth, got %v", p.Rate.Burst)
	}
}

func (p *PayloadSamplesConfig) settings() endpoint.Sampling {
	if !p.Enabled {
		return endpoint.Sampling{}
	}
	return endpoint.Sampling{Bytes: p.MaxBytes, Rate: p.Rate.settings()}
}
