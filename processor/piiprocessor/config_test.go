package piiprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

func load(t *testing.T, file, name string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "config.yaml", "pii")
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig(), cfg)

	cfg, err = load(t, "config.yaml", "pii/all")
	require.NoError(t, err)
	want := createDefaultConfig().(*Config)
	want.KeyFile, want.UnknownKeys, want.MaxValueBytes, want.MaxDepth = "/var/lib/sockeye/key", "scan", 4096, 4
	want.QueryParameters.Allow = []string{"v", "room"}
	want.Attributes = Attributes{
		Keep: []string{"user.id"}, Scan: []string{"app.note"}, Mask: []string{"app.owner"},
		Hash: []string{"user.email"}, Drop: []string{"url.query"}, Partial: []string{"app.account"},
		PrefixPreserving: []string{"client.address"}, Tokenise: []string{"session.id"},
	}
	want.Detectors.Email, want.Detectors.IP, want.Detectors.Phone = "hash", "mask", "off"
	want.Detectors.Card, want.Detectors.Person = "partial", "tokenise"
	want.Tokens.RecipientFile, want.Remarks = "/etc/sockeye/recipient.pem", "attribute"
	want.Policies = []Policy{
		{
			Name: "acme", Match: map[string][]string{"service.name": {"chat", "chat-eu"}, "k8s.namespace.name": {"acme"}},
			UnknownKeys: "drop", QueryParameters: &QueryParameters{Allow: []string{"v"}},
			Attributes: Attributes{Keep: []string{"app.note"}}, Detectors: Detectors{Email: "mask", Phone: "partial"},
			NationalIDs: []string{"us_npi"}, Tokens: Tokens{RecipientFile: "/etc/sockeye/acme.pem"},
		},
		{Name: "globex", Match: map[string][]string{"service.namespace": {"globex"}}},
	}
	want.Pseudonyms = Pseudonyms{
		Epoch: 168 * time.Hour, Tenant: "acme", TenantAttribute: "websocket.tenant.id", Keep: 24 * time.Hour,
		PreviousKeyFile: "/var/lib/sockeye/key.old", RotatedAt: "2026-11-03T00:00:00Z",
	}
	want.Rules = []Rule{{
		Name: "customer", Pattern: `customer[ =](\d{6})`, Keywords: []string{"customer"}, Group: 1, Action: "hash",
	}}
	want.MaxRuleTime = 20 * time.Millisecond
	want.InsecureObserve = true
	require.Equal(t, want, cfg)
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"unknown_keys": {`unknown_keys: must be drop or scan, got "redact"`},
		"limits": {
			"max_value_bytes: must be between 64 and 16777216, got 10", "max_depth: must be between 1 and 64, got 0",
		},
		"query_parameters": {
			`query_parameters.allow: "token=1" is not the name of a parameter`, `query_parameters.allow: ""`,
		},
		"attributes": {
			"attributes.keep: empty key",
			`attributes.drop: "user.id" is in attributes.keep too; a key can have one treatment`,
			`attributes.hash: "app.password" holds a card or a secret, to which nothing may lead back`,
			`attributes.tokenise: "app.card_number" holds a card or a secret`, `attributes.partial: "x-api-key" holds a card`,
			`attributes.tokenise: "http.request.header.cookie" holds a card`,
			"tokens.recipient_file: must be set where something is tokenised",
		},
		"detectors": {
			`detectors.email: must be mask, partial, hash, tokenise or off, got "truncate"`,
			`detectors.card: must be mask, partial or off, got "hash": nothing may lead back to cards and secrets`,
			`detectors.secret: must be mask or off, got "tokenise": nothing may lead back to cards and secrets`,
		},
		"policies": {
			`policies[0].name: must be 1 to 64 characters without spaces, got ""`,
			`policies[1].name: must be 1 to 64 characters without spaces, got "a b"`,
			`policies[a b].match: must name an attribute of the resource and its values`,
			`policies[2].name: "" is the name of another policy`, `policies[2].match: "service.name" must have 1 to 64 values`,
			`policies[acme].unknown_keys: must be drop or scan, got "pass"`,
			`policies[acme].query_parameters.allow: "a=b" is not the name of a parameter`,
			`policies[acme].detectors.card: must be mask, partial or off, got "hash": nothing may lead back`,
			`policies[acme].attributes.drop: "user.id" is in attributes.keep too`,
			`policies[acme].national_ids: there is no scheme "atlantis"`,
			"policies[acme].tokens.recipient_file: must be set, here or outside, where something is tokenised",
			`policies[again].match: policy "acme" matches the same, and is asked first`,
		},
		"remarks":      {`remarks: must be none or attribute, got "yes"`},
		"national_ids": {`national_ids: there is no scheme "atlantis"`},
		"epoch":        {"pseudonyms.epoch: must be whole seconds and at least 1h0m0s, got 10m0s"},
		"keys": {
			`pseudonyms.rotated_at: must be a time such as 2026-11-03T00:00:00Z, got "yesterday"`,
			"pseudonyms.previous_key_file: must be set together with pseudonyms.rotated_at",
			"pseudonyms.chain_file: takes the place of key_file; remove one of them",
			"pseudonyms.keep: must be between 0 and 10000 epochs, got -1h0m0s",
		},
		"rules": {
			"max_rule_time: must be more than 0, got 0s", `rules[0] (order_id): pattern: byte 5: missing closing ]: "[0-9"`,
			`rules[0] (order_id): action: must be mask, hash or drop, got "encrypt"`,
			"rules[1] (order_id): name: rules[0] has it too", "rules[1] (order_id): pattern: matches the empty string",
		},
		"typo": {"emial"},
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.bad.yaml"))
	require.NoError(t, err)
	require.Len(t, files, len(cases))
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, name+".bad.yaml", "pii")
			for _, text := range want {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestReadmeHasEveryKeyAndDefault(t *testing.T) {
	t.Parallel()
	testenv.AssertConfigDocumented(t, Config{}, "README.md")
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(createDefaultConfig()))
	for _, key := range conf.AllKeys() {
		row := ""
		for line := range strings.Lines(string(readme)) {
			if strings.HasPrefix(line, "| `"+strings.ReplaceAll(key, "::", ".")+"` |") {
				row = line
			}
		}
		require.NotEmpty(t, row, key)
		shown := strings.Split(row, " | ")[2]
		switch v := conf.Get(key).(type) {
		case []any:
			for _, item := range v {
				require.Contains(t, shown, fmt.Sprintf("`%v`", item), key)
			}
		case nil:
			require.Equal(t, "none", shown, key)
		default:
			text := strings.TrimSuffix(fmt.Sprint(v), "0m0s")
			if text == "" || text == "[]" {
				require.Equal(t, "none", shown, key)
			} else {
				require.Equal(t, "`"+text+"`", shown, key)
			}
		}
	}
	for _, d := range redact.Detectors() {
		require.Contains(t, string(readme), "`detectors."+d.Rule.String()+"`")
	}
}
