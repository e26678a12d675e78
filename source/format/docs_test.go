package format_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
)

// The pages of sources show configurations of the receiver; every one must be taken.
func TestConfigurationsInThePagesOfSourcesAreTaken(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(testenv.Root(), "docs", "sources", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	block := regexp.MustCompile("(?s)```yaml\n(receivers:.*?)```")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, found := range block.FindAllSubmatch(text, -1) {
			var config struct {
				Receivers struct {
					Log *struct {
						Format, Template string
						Paths            []string `yaml:"websocket_paths"`
						Mapping          *mapping.Config
					} `yaml:"websocketlog"`
				}
			}
			require.NoError(t, yaml.Unmarshal(found[1], &config), page)
			if config.Receivers.Log == nil {
				continue
			}
			f, err := format.Of(config.Receivers.Log.Format)
			require.NoError(t, err, page)
			log := config.Receivers.Log
			p, err := f.New(source.Settings{}, format.Options{Template: log.Template, Paths: log.Paths, Mapping: log.Mapping})
			require.NoError(t, err, page)
			if adviser, ok := p.(source.Adviser); ok && config.Receivers.Log.Format != format.Traefik {
				require.Empty(t, adviser.Advice(), "%s: the configuration lacks something", page)
			}
		}
	}
}
