package websocketlogreceiver

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
	"github.com/sockeye-project/sockeye/source/format"
)

// load reads a section the way the collector does: decode, then validate all of it.
func load(t *testing.T, file, section string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	sub, err := all.Sub(section)
	require.NoError(t, err)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "config.yaml", metadata.Type.String())
	require.NoError(t, err)
	want := createDefaultConfig().(*Config)
	want.Include = []string{"/var/log/app/events.ndjson"}
	require.Equal(t, want, cfg)
	require.False(t, cfg.HTTP.HasValue(), "no port is opened unless asked for")

	cfg, err = load(t, "config.yaml", "websocketlog/edge")
	require.NoError(t, err)
	storage := component.MustNewID("file_storage")
	want = createDefaultConfig().(*Config)
	want.Format, want.StartAt, want.Storage, want.KeyFile = "nginx", startAtBeginning, &storage, "/etc/sockeye/key"
	want.Include, want.Exclude = []string{"/var/log/nginx/access.json.log"}, []string{"/var/log/nginx/*.gz"}
	want.Resource = map[string]string{"service.name": "chat", "deployment.environment.name": "production"}
	want.Chunk.MaxRecords, want.Chunk.MaxAge = 10_000, 500*time.Millisecond
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "websocketlog/app")
	require.NoError(t, err, "numbers as keys, lists and nulls come through the collector's decoding")
	require.Len(t, cfg.Mapping.Events, 2)
	require.Equal(t, []string{"conn.id"}, cfg.Mapping.Connection)

	cfg, err = load(t, "config.yaml", "websocketlog/push")
	require.NoError(t, err)
	h := cfg.HTTP.Get()
	require.Equal(t, "127.0.0.1:4319", h.Server.NetAddr.Endpoint)
	require.Equal(t, "/v1/events", h.Path)
	require.Equal(t, 2, h.MaxInFlight)
	require.Equal(t, int64(16<<20), h.Server.MaxRequestBodySize)
}

func TestFaultsOfAConfigNameTheirKeys(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"format": {`format: must be one of ` + format.Names() + `, got "none"`},
		"options": {"template: the format ndjson has no use for it; leave it out",
			"websocket_paths: the format ndjson has no use for it; leave it out"},
		"template": {"template: line 2, column 17: nothing stands between status and host, so their values cannot be told apart; " +
			"put a space or a quote there"},
		"nginx_conf": {`nginx_conf: needs the format nginx without a template, got "ndjson"`,
			"error_log: the format ndjson has no use for it; leave it out",
			"log_format: name the log_format of the lines that http accepts"},
		"log_format": {"log_format: names a log_format of nginx_conf; set that too",
			"format: auto is for files; name the format of the lines that http accepts"},
		"mapping": {
			"mapping: events[0].attributes.websocket.close.cod: not an attribute of the event model; did you mean websocket.close.code?",
			`mapping: events[1].name: "websocket.opn" is not an event of the event model; did you mean websocket.open?`},
		"nothing_to_read": {"include: name files to follow here, or an endpoint under http; without either there is nothing to read"},
		"pattern": {`include: "[a" is not a pattern of file names`, `include: "" is not a pattern of file names`,
			`exclude: "[b" is not a pattern of file names`},
		"start_at": {`start_at: must be end or beginning, got "middle"`},
		"durations": {"poll_interval: must be longer than 0s, got 0s", "drain_after: must be longer than 0s, got -1s",
			"progress_interval: must be longer than 0s, got 0s", "chunk.max_age: must be longer than 0s, got 0s"},
		"sizes": {"max_open_files: must be at least 1, got 0", "max_line_bytes: must be at least 1024, got 10",
			"chunk.max_records: must be at least 1, got 0", "chunk.max_bytes: must be at least 1024, got 0",
			"chunk.max_in_flight: must be at least 1, got 0"},
		"too_large": {"max_line_bytes: must be at most 67108864, got 1000000000",
			"chunk.max_records: must be at most 50000, got 50001",
			"chunk.max_in_flight: must be at most 64, got 65"},
		"vantage":  {`vantage: must be one of edge, gateway, app, tap, got "moon"`},
		"resource": {`resource: "service.name" must have a name and a value`},
		"http": {"http.endpoint: must be host:port, for example 127.0.0.1:4319", `http.path: must begin with /, got "events"`,
			"http.max_in_flight: must be at least 1, got 0", "http.timeout: must be longer than 0s, got 0s",
			"http.max_request_body_size: must be at least 1024, got 10"},
		"unknown_key":         {"inclood"},
		"unknown_key_in_http": {"endpont"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, file+".bad.yaml", metadata.Type.String())
			require.Error(t, err)
			for _, sentence := range want {
				require.ErrorContains(t, err, sentence)
			}
			if !strings.HasPrefix(file, "unknown") {
				require.Len(t, strings.Split(err.Error(), "\n"), len(want), "%v", err)
			}
		})
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, createDefaultConfig(), "README.md")
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	section := reflect.TypeFor[HTTPConfig]()
	for i := range section.NumField() {
		// Those of the collector's server are documented by a link.
		if key := section.Field(i).Tag.Get("mapstructure"); key != "" && key != ",squash" {
			require.Contains(t, string(readme), "| `http."+key+"` |")
		}
	}
}
