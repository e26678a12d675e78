package websocketendpointreceiver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadata"
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
	want.Endpoint = "0.0.0.0:8443"
	want.TLS = TLSConfig{CertFile: "/etc/sockeye/tls.crt", KeyFile: "/etc/sockeye/tls.key"}
	want.JWT = JWTConfig{
		Issuer: "https://login.example.com", Audiences: []string{"chat"}, Algorithms: []string{"ES256"},
		JWKSURL: "https://login.example.com/jwks.json",
	}
	want.Origins = []string{"https://chat.example.com"}
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "websocketendpoint/probe")
	require.NoError(t, err)
	want = createDefaultConfig().(*Config)
	want.Endpoint, want.Path, want.InsecureAnonymous, want.AllowMissingOrigin = "127.0.0.1:8080", "/ws", true, true
	want.Subprotocols, want.Handler = []string{"chat.v2", "chat.v1"}, "echo"
	want.Limits.MaxConnections, want.Limits.Excess = 100, excessDrop
	want.Limits.User.Messages = RateConfig{PerSecond: 10}
	want.Limits.Connection.Messages = RateConfig{PerSecond: 5, Burst: 10}
	want.Timeouts.Idle, want.Timeouts.Lifetime = 10*time.Second, -time.Second
	want.Resource = map[string]string{"service.name": "chat"}
	require.Equal(t, want, cfg)

	cfg, err = load(t, "config.yaml", "websocketendpoint/operators")
	require.NoError(t, err)
	want = createDefaultConfig().(*Config)
	want.Endpoint, want.InsecureAnonymous, want.KeyFile = "127.0.0.1:8080", true, "/var/lib/sockeye/installation.key"
	want.Admin = AdminConfig{
		Endpoint: "0.0.0.0:8444", TLS: AdminTLSConfig{CertFile: "a.crt", KeyFile: "a.key", ClientCAFile: "ca.crt"},
	}
	require.Equal(t, want, cfg)
}

func TestFaultsOfAConfigNameTheirKeys(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"endpoint":  {"endpoint: must be host:port, for example 127.0.0.1:8443", `path: must begin with /, got "ws"`},
		"plaintext": {"tls: set cert_file and key_file; or, where a proxy in front ends TLS, insecure_plaintext"},
		"tls": {"insecure_plaintext: is of no use with tls; leave it out", "tls: cert_file and key_file must both be set",
			"tls.require_client_cert: needs client_ca_file"},
		"nobody":    {"jwt: say who may connect here or by client_certificate_name; or let everybody in with insecure_anonymous"},
		"everybody": {"insecure_anonymous: leave it out: jwt or client_certificate_name say who may connect"},
		"jwt": {"jwt: set one of jwks_url and key_file", "jwt.issuer: must be set", "jwt.audiences: must name one",
			"jwt.algorithms: must name one, such as ES256", "jwt.jwks_url: must be an https URL without a user"},
		"algorithms": {`jwt.algorithms: `},
		"certificates": {`client_certificate_name: must be uri, dns, email or common_name, got "serial"`,
			"client_certificate_name: needs tls.client_ca_file"},
		"tickets": {"tickets: need jwt, for which they are given",
			`tickets.path: must begin with / and not be that of handshakes, got "/ws"`,
			"tickets.lifetime: must be from 1s to 5m, got 1h0m0s", "revocations_file: needs jwt or client_certificate_name"},
		"names": {"origins: ", `subprotocols: "a b" is not a name of a subprotocol`, `handler: must be discard or echo, got "store"`,
			`vantage: must be one of edge, gateway, app, got "tap"`, `resource: "service.name" must have a name and a value`},
		"limits": {"limits.max_connections: must be from 1 to 10000000, got 0",
			"limits.max_message_bytes: must be from 1 to 1073741824, got 0", `limits.excess: must be close or drop, got "wait"`,
			"limits.user.connections: must be at least 1, or -1 for no limit, got 0",
			"limits.user.handshakes.per_second: must be above 0, or -1 for no limit, got 0",
			"limits.connection.bytes.burst: must be at least 0, which is one second's worth, got -1"},
		"durations": {"timeouts.auth: must be longer than 0s, got -1s",
			"timeouts.idle: must be longer than 0s, or negative for never, got 0s",
			"timeouts.shutdown: must be longer than 0s, got 0s", "chunk.max_records: must be from 1 to 50000, got 0",
			"chunk.max_age: must be longer than 0s, got 0s", "max_waiting_events: must be from 1000 to 1000000, got 1",
			"progress_interval: must be longer than 0s, got 0s"},
		"admin": {"admin.endpoint: must be another than endpoint, which clients reach",
			"admin.tls: cert_file, key_file and client_ca_file must all be set",
			"admin.tls.client_ca_file: must be another than tls.client_ca_file, or every client is an operator",
			"admin: needs key_file, since it names users by user.hash"},
		"operators":   {"admin.endpoint: must be a loopback address, or give tls, with certificates that operators must have"},
		"nowhere":     {"admin.endpoint: must be host:port, for example 127.0.0.1:8444"},
		"unknown_key": {"limit"},
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
}

// TestTheConfigurationOfTheReadmeIsValid loads what users copy.
func TestTheConfigurationOfTheReadmeIsValid(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```yaml\n")
	require.True(t, ok)
	text, _, _ := strings.Cut(rest, "```")
	require.Less(t, strings.Count(text, "\n"), 12, "ten lines and the two around them")
	path := filepath.Join(t.TempDir(), "readme.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	all, err := confmaptest.LoadConf(path)
	require.NoError(t, err)
	sub, err := all.Sub("receivers::websocketendpoint")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, []string{"ES256"}, cfg.JWT.Algorithms)
}
