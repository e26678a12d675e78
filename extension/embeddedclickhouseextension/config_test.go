package embeddedclickhouseextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

func load(t *testing.T, file, id string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	sub, err := conf.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig()
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg.(*Config), cfg.(*Config).Validate()
}

func TestConfig(t *testing.T) {
	cfg, err := load(t, "config.yaml", "embedded_clickhouse")
	require.NoError(t, err)
	want := createDefaultConfig().(*Config)
	want.DataDirectory = "/var/lib/sockeye/clickhouse"
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "embedded_clickhouse/all")
	require.NoError(t, err)
	require.Equal(t, &Config{
		DataDirectory: "/data", Endpoint: "0.0.0.0:9123", NativeEndpoint: "0.0.0.0:9000", Token: "secret",
		ReadOnlyToken: "look", Library: "/opt/libchdb.so",
		MemoryLimitMiB: 4096, StartTimeout: time.Minute, StopTimeout: 5 * time.Second,
	}, cfg)
}

func TestConfigFaults(t *testing.T) {
	for file, want := range map[string]string{
		"missing.bad.yaml":  "data_directory: must name the directory of the tables",
		"endpoint.bad.yaml": `endpoint: must be host:port, got "127.0.0.1"`,
		"remote.bad.yaml": `endpoint: must be a loopback address as long as there is no token, ` +
			`got "0.0.0.0:8123"`,
		"native.bad.yaml": `native_endpoint: must be a loopback address as long as there is no token, got "0.0.0.0:9000"` +
			"\nreadonly_token: needs another one beside it, in token",
		"memory.bad.yaml": "memory_limit_mib: must be at least 256, got 1",
		"timeouts.bad.yaml": "start_timeout: must be above 0, got 0s\n" +
			"stop_timeout: must be above 0, got -1s",
		"unknown.bad.yaml": "data_dir",
	} {
		_, err := load(t, file, "embedded_clickhouse")
		require.ErrorContains(t, err, want, file)
	}
}

func TestConfigIsDocumented(t *testing.T) {
	testenv.AssertConfigDocumented(t, Config{}, "README.md")
}

func TestCommandKeepsTheTokenOutOfTheArguments(t *testing.T) {
	cmd, err := command(&Config{DataDirectory: "/d", Endpoint: "h:1", NativeEndpoint: "h:2", Token: "s3cret",
		ReadOnlyToken: "l00k", Library: "/l", MemoryLimitMiB: 300})
	require.NoError(t, err)
	require.Equal(t, []string{"clickhouse", "--data", "/d", "--listen", "h:1", "--memory", "300MiB",
		"--listen-native", "h:2", "--library", "/l"},
		cmd.Args[1:])
	require.Contains(t, cmd.Env, "SOCKEYE_CLICKHOUSE_TOKEN=s3cret")
	require.Contains(t, cmd.Env, "SOCKEYE_CLICKHOUSE_READONLY_TOKEN=l00k")
}
