package websocketsliconnector

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// load reads a section the way the collector does: decode, then validate all of it.
func load(t *testing.T, file, section string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	sub, err := all.Sub(section)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "config.yaml", "websocketsli")
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig(), component.Config(cfg))

	cfg, err = load(t, "config.yaml", "websocketsli/all")
	require.NoError(t, err)
	id := component.MustNewID("file_storage")
	require.Equal(t, &Config{
		Interval: 15 * time.Second, ZeroFor: 30 * time.Second, LateAfter: 2 * time.Hour, MaxSeries: 5000,
		MaxTenantsPerService: 20, MaxChunks: 1000, Storage: &id,
	}, cfg)
}

func TestFaultsOfAConfigNameTheirKeys(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"values": {
			"interval: must be from 1s to 1m, got 10ms", "zero_for: must be from 0s to 10m, got 1h0m0s",
			"late_after: must be 0 or at least 1m, got 1s", "max_series: must be from 100 to 1000000, got 1",
			"max_tenants_per_service: must be from 0 to 1000000, got -1", "max_chunks: must be from 1 to 10000000, got 0"},
		"unknown": {"has invalid keys: intervall"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, file+".bad.yaml", "websocketsli")
			require.ErrorContains(t, err, strings.Join(want, "\n"))
		})
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, Config{}, "README.md")
}
