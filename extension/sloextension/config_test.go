package sloextension

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

func load(t *testing.T, file string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(file)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestEveryKeyIsReadFromYAML(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "testdata/config.yaml")
	require.NoError(t, err)
	require.Equal(t, "clickhouse://sockeye:secret@clickhouse:9000/sockeye", string(cfg.Endpoint))
	require.Len(t, cfg.Alerting.Alertmanagers, 2)
	require.Equal(t, "http://alertmanager-0:9093", cfg.Alerting.Alertmanagers[0].Client.Endpoint)
	require.Equal(t, alertmanagerTimeout, cfg.Alerting.Alertmanagers[0].Client.Timeout)
	require.Equal(t, "https://alertmanager-1:9093", cfg.Alerting.Alertmanagers[1].Client.Endpoint)
	require.Equal(t, "3s", cfg.Alerting.Alertmanagers[1].Client.Timeout.String())
	require.Equal(t, []string{"testdata/slo/*.yaml"}, cfg.SLOs)
	require.Equal(t, 60, cfg.WindowScale)
	slos, err := cfg.load()
	require.NoError(t, err)
	require.Len(t, slos, 1+2*3)
	require.NotContains(t, cfg.Endpoint.String(), "secret")
}

// TestBadConfigNamesEveryFault writes what each bad file is told to a golden file: all faults at once, by their keys.
func TestBadConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.bad.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := load(t, file)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
			golden.Assert(t, strings.TrimSuffix(file, ".yaml")+".golden", []byte(err.Error()+"\n"))
		})
	}
}

func TestDefaultsNeedOnlyAServiceAndAnAlertmanager(t *testing.T) {
	t.Parallel()
	cfg := createDefaultConfig().(*Config)
	require.ErrorContains(t, cfg.Validate(), "slos: must name at least one file")
	require.ErrorContains(t, cfg.Validate(), "alerting.alertmanagers: must list at least one")
	cfg.Defaults.Services = []string{"chat"}
	cfg.Alerting.Owner = ownerNone
	require.NoError(t, cfg.Validate())
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, createDefaultConfig(), "README.md")
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	for _, name := range AlertNames() {
		text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "runbooks", name+".md"))
		require.NoError(t, err)
		for _, heading := range []string{"# " + name, "## Symptom", "## Confirm", "## Mitigate", "## Follow up"} {
			require.Contains(t, string(text), heading, name)
		}
	}
}
