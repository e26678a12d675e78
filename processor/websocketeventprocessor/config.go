package websocketeventprocessor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
)

// Config is the YAML of one websocketevent processor. Defaults are in createDefaultConfig.
type Config struct {
	// Format of the records: a name of package source/format.
	Format string `mapstructure:"format"`
	// Template, WebSocketPaths and Mapping are those of the websocketlog receiver.
	Template       string          `mapstructure:"template"`
	WebSocketPaths []string        `mapstructure:"websocket_paths"`
	Mapping        *mapping.Config `mapstructure:"mapping"`

	// From is where the line stands: in the body, or in the attributes, which are then read as one JSON object.
	From string `mapstructure:"from"`
	// OnError says what happens to a record that cannot be read, OnOther to one that is not about a WebSocket.
	OnError string `mapstructure:"on_error"`
	OnOther string `mapstructure:"on_other"`

	// Vantage says where the writer of the records stands.
	Vantage string `mapstructure:"vantage"`
	// Resource is added to every event whose record's resource does not say it itself, such as service.name.
	Resource map[string]string `mapstructure:"resource"`
	// KeyFile holds the installation key. It is made if it is missing.
	KeyFile string `mapstructure:"key_file"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// Values of from, on_error and on_other.
const (
	fromBody       = "body"
	fromAttributes = "attributes"
	keep           = "keep"
	drop           = "drop"
)

func createDefaultConfig() component.Config {
	return &Config{From: fromBody, OnError: drop, OnOther: drop, Vantage: event.VantageEdge}
}

func (c *Config) options() format.Options {
	return format.Options{Template: c.Template, Paths: c.WebSocketPaths, Mapping: c.Mapping}
}

var _ confmap.Validator = (*Config)(nil)

// Validate reports all that is wrong, each fault by its key.
func (c *Config) Validate() error {
	var faults []error
	fault := func(key, text string, args ...any) {
		faults = append(faults, fmt.Errorf(key+": "+text, args...))
	}
	f, err := format.Of(c.Format)
	switch {
	case c.Format == "":
		fault("format", "name the format of the records, one of %s", format.Names())
	case err != nil:
		fault("format", "%w", err)
	case c.Format == format.Auto:
		fault("format", "records of many sources come in any order, so auto cannot look at the first; name the format")
	default:
		if _, err := f.New(source.Settings{}, c.options()); err != nil {
			// Its faults begin with their keys.
			faults = append(faults, err)
		}
	}
	oneOf := func(key, got string, values ...string) {
		if !slices.Contains(values, got) {
			fault(key, "must be one of %s, got %q", strings.Join(values, ", "), got)
		}
	}
	oneOf("from", c.From, fromBody, fromAttributes)
	oneOf("on_error", c.OnError, keep, drop)
	oneOf("on_other", c.OnOther, keep, drop)
	oneOf("vantage", c.Vantage, event.Vantage.Definition().Values...)
	if c.From == fromAttributes && c.Template != "" {
		fault("from", "attributes are read as JSON, and a template reads text; set body or leave the template out")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resource)) {
		if name == "" || c.Resource[name] == "" {
			fault("resource", "%q must have a name and a value", name)
		}
	}
	return errors.Join(faults...)
}
