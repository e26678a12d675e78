package websocketeventprocessor

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source/format"
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
	cfg, err := load(t, "config.yaml", "websocketevent")
	require.NoError(t, err)
	want := createDefaultConfig().(*Config)
	want.Format = format.Nginx
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "websocketevent/app")
	require.NoError(t, err)
	require.Equal(t, "chat", cfg.Mapping.SourceType)
	cfg.Mapping = nil
	want = createDefaultConfig().(*Config)
	want.Format, want.From, want.OnError, want.OnOther, want.Vantage = format.MappingFormat, fromAttributes, keep, keep, "app"
	want.Resource, want.KeyFile = map[string]string{"service.name": "chat"}, "/var/lib/sockeye/key"
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "websocketevent/custom")
	require.NoError(t, err)
	require.Equal(t, []string{"/rooms/*"}, cfg.WebSocketPaths)
}

func TestFaultsOfAConfigNameTheirKeys(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"values": {
			`from: must be one of body, attributes, got "header"`, `on_error: must be one of keep, drop, got "retry"`,
			`on_other: must be one of keep, drop, got "pass"`, `vantage: must be one of edge, gateway, app, tap, got "moon"`,
			`resource: "service.name" must have a name and a value`},
		"format":    {`format: must be one of ` + format.Names() + `, got "apache13"`},
		"no_format": {"format: name the format of the records, one of " + format.Names()},
		"auto":      {"format: records of many sources come in any order, so auto cannot look at the first; name the format"},
		"mapping":   {`mapping: events[0].name: "websocket.opn" is not an event of the event model; did you mean websocket.open?`},
		"template":  {"from: attributes are read as JSON, and a template reads text; set body or leave the template out"},
		"unknown":   {"has invalid keys: fromm"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, file+".bad.yaml", "websocketevent")
			require.Error(t, err)
			if file == "unknown" {
				require.ErrorContains(t, err, want[0])
				return
			}
			require.Equal(t, strings.Join(want, "\n"), err.Error())
		})
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, Config{}, "README.md")
}
