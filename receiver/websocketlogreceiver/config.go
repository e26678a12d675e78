package websocketlogreceiver

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
	"github.com/sockeye-project/sockeye/source/nginx"
)

// Config is the YAML of one websocketlog receiver. Defaults are in createDefaultConfig.
type Config struct {
	// Format of the lines, of files and of requests alike: a name of package source/format.
	Format string `mapstructure:"format"`
	// Template is the format as it stands in the writer's configuration, for formats that have such.
	Template string `mapstructure:"template"`
	// WebSocketPaths are URL paths that are WebSockets, for formats whose lines cannot prove it.
	WebSocketPaths []string `mapstructure:"websocket_paths"`
	// Mapping describes a JSON log, for the format mapping.
	Mapping *mapping.Config `mapstructure:"mapping"`
	// NginxConf is an nginx.conf to take the template from: of the log_format with the name LogFormat, or of that which
	// the access_log of a file has.
	NginxConf string `mapstructure:"nginx_conf"`
	LogFormat string `mapstructure:"log_format"`
	// ErrorLog is the file of nginx's error log, which says why connections ended.
	ErrorLog string `mapstructure:"error_log"`

	// Include and Exclude are the files to follow, as patterns of path/filepath.Match.
	Include []string `mapstructure:"include"`
	Exclude []string `mapstructure:"exclude"`
	// StartAt is where to begin in files that are there when the receiver starts for the first time: "end" or
	// "beginning". Files that appear later, and those with a stored offset, are read wholly.
	StartAt string `mapstructure:"start_at"`
	// PollInterval is how often files are looked at.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// DrainAfter is how long a file that was rotated or removed must be silent before its last line is taken even
	// without a line break, and the file let go.
	DrainAfter time.Duration `mapstructure:"drain_after"`
	// MaxOpenFiles bounds the files followed at once; others wait until one is read and idle.
	MaxOpenFiles int `mapstructure:"max_open_files"`
	// MaxLineBytes is the longest line that is read. A longer one is counted and skipped.
	MaxLineBytes int `mapstructure:"max_line_bytes"`
	// Chunk bounds what is stored as one.
	Chunk ChunkConfig `mapstructure:"chunk"`
	// Storage is the extension that keeps offsets, and chunks on their way, over a restart.
	Storage *component.ID `mapstructure:"storage"`

	// HTTP accepts lines pushed by HTTP.
	HTTP configoptional.Optional[HTTPConfig] `mapstructure:"http"`

	// Vantage says where the writer of the lines stands, for formats whose lines do not.
	Vantage string `mapstructure:"vantage"`
	// Resource is added to every event whose line does not say it itself, such as service.name.
	Resource map[string]string `mapstructure:"resource"`
	// KeyFile holds the installation key. It is made if it is missing.
	KeyFile string `mapstructure:"key_file"`

	// SourceName names this source in the store's progress table; it must differ between hosts.
	SourceName string `mapstructure:"source_name"`
	// ProgressInterval is how often the source says how far it has been read.
	ProgressInterval time.Duration `mapstructure:"progress_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ChunkConfig bounds a chunk: the records that are acknowledged and stored as one.
type ChunkConfig struct {
	MaxRecords int `mapstructure:"max_records"`
	// MaxBytes is of the lines as read.
	MaxBytes int           `mapstructure:"max_bytes"`
	MaxAge   time.Duration `mapstructure:"max_age"`
	// MaxInFlight is how many chunks of one file are on their way at once.
	MaxInFlight int `mapstructure:"max_in_flight"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// HTTPConfig is the section http: that of every receiver with an HTTP server, plus what is ours.
type HTTPConfig struct {
	Server confighttp.ServerConfig `mapstructure:",squash"`
	Path   string                  `mapstructure:"path"`
	// MaxInFlight is how many requests are worked on at once; more are answered with 429.
	MaxInFlight int `mapstructure:"max_in_flight"`
	// Timeout is how long the pipeline may take with one request before the sender is told to try again.
	Timeout time.Duration `mapstructure:"timeout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ confmap.Unmarshaler = (*HTTPConfig)(nil)

// Unmarshal refuses unknown keys, which the squashed section would let pass.
func (h *HTTPConfig) Unmarshal(conf *confmap.Conf) error {
	known := keysOf(reflect.TypeOf(*h))
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(conf.ToStringMap())) {
		if !slices.Contains(known, key) {
			faults = append(faults, fmt.Errorf("'' has invalid keys: %s", key))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	return conf.Unmarshal(h)
}

// keysOf returns the first-level keys of a section.
func keysOf(section reflect.Type) (keys []string) {
	for i := range section.NumField() {
		field := section.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		switch {
		case options == "squash":
			keys = append(keys, keysOf(field.Type)...)
		case name != "":
			keys = append(keys, name)
		}
	}
	return keys
}

// Values of start_at.
const (
	startAtEnd       = "end"
	startAtBeginning = "beginning"
)

// Bounds.
const (
	// maxChunkRecords is what one INSERT holds; the deduplication of the store counts on it.
	maxChunkRecords = 50_000
	maxLineBytes    = 64 << 20
	// maxInFlight bounds the list of chunks that is stored with every chunk.
	maxInFlight = 64
)

// options are what the format is told that every log has in common.
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
	atLeast := func(key string, got, least int) {
		if got < least {
			fault(key, "must be at least %d, got %d", least, got)
		}
	}
	positive := func(key string, got time.Duration) {
		if got <= 0 {
			fault(key, "must be longer than 0s, got %s", got)
		}
	}
	if f, err := format.Of(c.Format); err != nil {
		fault("format", "%w", err)
	} else {
		o := c.options()
		if c.ErrorLog != "" {
			o.ErrorLog = nginx.NewErrorLog(nil, 0)
		}
		if _, err := f.New(source.Settings{}, o); err != nil {
			// Its faults begin with their keys.
			faults = append(faults, err)
		}
		if c.NginxConf != "" && (f.Name != format.Nginx || c.Template != "") {
			fault("nginx_conf", "needs the format nginx without a template, got %q", f.Name)
		}
		if c.NginxConf == "" && c.LogFormat != "" {
			fault("log_format", "names a log_format of nginx_conf; set that too")
		}
		if c.HTTP.HasValue() && f.Name == format.Auto {
			fault("format", "auto is for files; name the format of the lines that http accepts")
		}
		if c.HTTP.HasValue() && c.NginxConf != "" && c.LogFormat == "" {
			fault("log_format", "name the log_format of the lines that http accepts")
		}
	}
	if len(c.Include) == 0 && !c.HTTP.HasValue() {
		fault("include", "name files to follow here, or an endpoint under http; without either there is nothing to read")
	}
	patterns := func(key string, list []string) {
		for _, p := range list {
			if _, err := filepath.Match(p, ""); err != nil || p == "" {
				fault(key, "%q is not a pattern of file names", p)
			}
		}
	}
	patterns("include", c.Include)
	patterns("exclude", c.Exclude)
	if c.StartAt != startAtEnd && c.StartAt != startAtBeginning {
		fault("start_at", "must be %s or %s, got %q", startAtEnd, startAtBeginning, c.StartAt)
	}
	positive("poll_interval", c.PollInterval)
	positive("drain_after", c.DrainAfter)
	positive("progress_interval", c.ProgressInterval)
	positive("chunk.max_age", c.Chunk.MaxAge)
	atLeast("max_open_files", c.MaxOpenFiles, 1)
	atLeast("max_line_bytes", c.MaxLineBytes, 1024)
	if c.MaxLineBytes > maxLineBytes {
		fault("max_line_bytes", "must be at most %d, got %d", maxLineBytes, c.MaxLineBytes)
	}
	atLeast("chunk.max_records", c.Chunk.MaxRecords, 1)
	if c.Chunk.MaxRecords > maxChunkRecords {
		fault("chunk.max_records", "must be at most %d, got %d", maxChunkRecords, c.Chunk.MaxRecords)
	}
	atLeast("chunk.max_bytes", c.Chunk.MaxBytes, 1024)
	atLeast("chunk.max_in_flight", c.Chunk.MaxInFlight, 1)
	if c.Chunk.MaxInFlight > maxInFlight {
		fault("chunk.max_in_flight", "must be at most %d, got %d", maxInFlight, c.Chunk.MaxInFlight)
	}
	if vantages := event.Vantage.Definition().Values; !slices.Contains(vantages, c.Vantage) {
		fault("vantage", "must be one of %s, got %q", strings.Join(vantages, ", "), c.Vantage)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resource)) {
		if name == "" || c.Resource[name] == "" {
			fault("resource", "%q must have a name and a value", name)
		}
	}
	if len(c.SourceName) > event.MaxLowBytes {
		fault("source_name", "must have at most %d bytes, got %d", event.MaxLowBytes, len(c.SourceName))
	}
	if h := c.HTTP.Get(); h != nil {
		if h.Server.NetAddr.Endpoint == "" {
			fault("http.endpoint", "must be host:port, for example 127.0.0.1:4319")
		}
		if !strings.HasPrefix(h.Path, "/") {
			fault("http.path", "must begin with /, got %q", h.Path)
		}
		atLeast("http.max_in_flight", h.MaxInFlight, 1)
		positive("http.timeout", h.Timeout)
		if h.Server.MaxRequestBodySize < 1024 {
			fault("http.max_request_body_size", "must be at least 1024, got %d", h.Server.MaxRequestBodySize)
		}
	}
	return errors.Join(faults...)
}
