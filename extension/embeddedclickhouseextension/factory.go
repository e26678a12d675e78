package embeddedclickhouseextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/sockeye-project/sockeye/extension/embeddedclickhouseextension/internal/metadata"
)

// NewFactory returns the factory of the embedded_clickhouse extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newEngine(set, cfg.(*Config))
}
