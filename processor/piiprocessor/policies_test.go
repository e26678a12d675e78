package piiprocessor

import (
	"bytes"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// keyPair writes a public key and returns its file and the private key.
func keyPair(t *testing.T, letter string) (file string, identity *redact.Identity) {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte(letter), 32))
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	identity, err = redact.ParseIdentity(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	require.NoError(t, err)
	der, err = x509.MarshalPKIXPublicKey(private.PublicKey())
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "recipient.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644))
	return file, identity
}

// loaded is redactor with the files that the configuration names.
func loaded(t *testing.T, change ...func(*Config)) *Redactor {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	for _, f := range change {
		f(cfg)
	}
	require.NoError(t, cfg.Validate())
	r, err := LoadRedactor(cfg, []byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	return r
}

// of adds a resource of that service, with a record of these attributes.
func of(ld plog.Logs, service string, attributes map[string]any) pcommon.Map {
	rl := ld.ResourceLogs().AppendEmpty()
	if service != "" {
		rl.Resource().Attributes().PutStr("service.name", service)
	}
	m := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	m.SetTimestamp(pcommon.NewTimestampFromTime(noon))
	if err := m.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	return m.Attributes()
}

func forService(name string, services ...string) Policy {
	return Policy{Name: name, Match: map[string][]string{"service.name": services}}
}

func TestEachResourceHasItsPolicy(t *testing.T) {
	t.Parallel()
	file, identity := keyPair(t, "a")
	acme := forService("acme", "chat-acme", "chat-acme-eu")
	acme.UnknownKeys, acme.Detectors.Email, acme.Tokens.RecipientFile = unknownScan, "tokenise", file
	acme.Attributes.Keep, acme.Attributes.Hash = []string{"user.id"}, []string{"app.note"}
	globex := forService("globex", "chat-globex")
	globex.Attributes.Drop, globex.QueryParameters = []string{"client.address"}, &QueryParameters{}
	never := forService("never", "chat-globex")
	never.Match["service.namespace"] = []string{"x"}
	never.UnknownKeys = unknownScan
	cfg := func(cfg *Config) {
		cfg.Attributes.Mask, cfg.Attributes.Scan = []string{"app.note", "user.id"}, []string{"free"}
		cfg.Policies = []Policy{acme, never, globex}
	}
	r := loaded(t, cfg)
	in := map[string]any{
		"client.address": "203.0.113.77", "url.query": "v=2", "app.note": "x", "user.id": "u-17", "free": "john@gmail.com",
		"other": "y",
	}
	ld := plog.NewLogs()
	services := []string{"chat-acme", "chat-globex", "stranger", "", "chat-acme-eu", "Chat-acme"}
	var maps []pcommon.Map
	for _, service := range services {
		maps = append(maps, of(ld, service, in))
	}
	counts := r.Logs(ld)
	hashes := map[any]bool{}
	for i, service := range services {
		got := maps[i].AsRaw()
		hash, _ := got["client.hash"].(string)
		delete(got, "client.hash")
		switch {
		case strings.HasPrefix(service, "chat-acme"):
			require.True(t, redact.IsPseudonym(got["app.note"].(string)))
			require.True(t, redact.IsToken(got["free"].(string)))
			back, n, _ := identity.Reveal(got["free"].(string), false)
			require.Equal(t, 1, n)
			require.Equal(t, "john@gmail.com", back)
			delete(got, "app.note")
			delete(got, "free")
			require.Equal(t, map[string]any{
				"client.address": "203.0.113.0", "url.query": "v=2", "user.id": "u-17", "other": "y",
			}, got, service)
		case service == "chat-globex":
			require.Equal(t, map[string]any{
				"url.query": "v=REDACTED", "app.note": "REDACTED", "user.id": "REDACTED", "free": "[email]",
			}, got)
		default:
			require.Equal(t, map[string]any{
				"client.address": "203.0.113.0", "url.query": "v=2", "app.note": "REDACTED", "user.id": "REDACTED", "free": "[email]",
			}, got, service)
		}
		if hash != "" {
			hashes[hash] = true
		}
	}
	require.Len(t, hashes, 2, "acme's pseudonym, and that of the others")
	require.EqualValues(t, 2, counts[redact.Email][redact.Tokenise])
	require.EqualValues(t, 4, counts[redact.Email][redact.Mask])
	require.EqualValues(t, 8, counts[redact.AttributeKey][redact.Mask])

	again := plog.NewLogs()
	ld.CopyTo(again)
	r.Logs(again)
	require.Equal(t, ld, again, "redacting twice")

	remarks, _ := r.Explain(func() plog.Logs {
		ld := plog.NewLogs()
		of(ld, "stranger", in)
		of(ld, "chat-acme", in)
		return ld
	}())
	var actions []string
	for _, remark := range remarks {
		actions = append(actions, remark.Field+" "+remark.Action.String())
	}
	require.Contains(t, actions, "attributes.free mask")
	require.Contains(t, actions, "attributes.free tokenise")
}

func TestTenantsOfAnAttributeHavePseudonymsOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := loaded(t, func(cfg *Config) {
		cfg.Pseudonyms.TenantAttribute = "websocket.tenant.id"
		cfg.Policies = []Policy{forService("acme", "chat-acme")}
	})
	seen := map[string]string{}
	hash := func(what, onResource, service, onRecord string) string {
		attributes := map[string]any{"client.address": "203.0.113.77", "session.id": "s"}
		if onRecord != "" {
			attributes["websocket.tenant.id"] = onRecord
		}
		ld := plog.NewLogs()
		m := of(ld, service, attributes)
		if onResource != "" {
			ld.ResourceLogs().At(0).Resource().Attributes().PutStr("websocket.tenant.id", onResource)
		}
		// A record of another tenant before it leaves nothing behind.
		of(ld, service, map[string]any{"websocket.tenant.id": "before"})
		r.Logs(ld)
		v, ok := m.Get("client.hash")
		require.True(t, ok, what)
		session, _ := m.Get("session.id")
		require.True(t, redact.IsPseudonym(session.Str()))
		return v.Str()
	}
	for what, of := range map[string][3]string{
		"nobody": {"", "chat", ""}, "one": {"one", "chat", ""}, "two": {"two", "chat", ""},
		"a policy": {"", "chat-acme", ""}, "one of a policy": {"one", "chat-acme", ""},
	} {
		got := hash(what, of[0], of[1], of[2])
		require.Empty(t, seen[got], what)
		seen[got] = what
	}
	require.Equal(t, "one", seen[hash("the record's tenant", "", "chat", "one")])
	require.Equal(t, "one", seen[hash("the resource's tenant before the record's", "one", "chat", "two")])
	require.Equal(t, "nobody", seen[hash("nobody", "", "stranger", "")])
}

func TestSpansAndPointsHaveTheirPolicyAndTenant(t *testing.T) {
	t.Parallel()
	acme := forService("acme", "chat-acme")
	acme.Attributes.Scan = []string{"free"}
	r := loaded(t, func(cfg *Config) {
		cfg.Pseudonyms.TenantAttribute, cfg.Policies = "websocket.tenant.id", []Policy{acme}
	})
	ld, td, md := plog.NewLogs(), ptrace.NewTraces(), pmetric.NewMetrics()
	attributes := map[string]any{"session.id": "s", "free": "x", "websocket.tenant.id": "one"}
	record := of(ld, "chat-acme", attributes)

	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "chat-acme")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(noon))
	require.NoError(t, span.Attributes().FromRaw(attributes))

	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "chat-acme")
	point := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(noon))
	require.NoError(t, point.Attributes().FromRaw(attributes))

	r.Logs(ld)
	r.Traces(td)
	r.Metrics(md)
	require.Equal(t, record.AsRaw(), span.Attributes().AsRaw())
	require.Equal(t, record.AsRaw(), point.Attributes().AsRaw())
	require.Equal(t, "x", record.AsRaw()["free"])
}

func TestStartSaysWhatAPolicyLetsPass(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.Detectors.MAC = "off"
	weak := forService("acme", "chat-acme")
	weak.Detectors.Email, weak.Detectors.MAC, weak.Attributes.Keep = "off", "mask", []string{"user.id"}
	cfg.Policies = []Policy{weak, forService("strong", "x")}
	require.NoError(t, cfg.Validate())
	p, err := newProcessor(set, cfg)
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), nil))
	require.NoError(t, p.shutdown(t.Context()))
	var got []map[string]any
	for _, entry := range logs.All() {
		got = append(got, entry.ContextMap())
	}
	require.Equal(t, []map[string]any{
		{"detectors": []any{"mac"}},
		{"policy": "acme", "detectors": []any{"email"}},
		{"policy": "acme", "attributes.keep": []any{"user.id"}},
	}, got)

	cfg.Tokens.RecipientFile = filepath.Join(t.TempDir(), "none.pem")
	p, err = newProcessor(set, cfg)
	require.NoError(t, err)
	require.ErrorContains(t, p.start(t.Context(), nil), "tokens.recipient_file: ")
	require.NoError(t, os.WriteFile(cfg.Tokens.RecipientFile, []byte("canary"), 0o600))
	err = p.start(t.Context(), nil)
	require.ErrorContains(t, err, "none.pem: not a public key in PEM; make one with `openssl pkey -pubout`")
	require.NotContains(t, err.Error(), "canary")
	require.NoError(t, p.shutdown(t.Context()))
}

func TestRemarksInRecords(t *testing.T) {
	t.Parallel()
	const key = "sockeye.redaction.remarks"
	for name, tt := range map[string]struct {
		in   map[string]any
		want any
	}{
		"nothing was done": {map[string]any{"websocket.vantage": "edge"}, nil},
		"what was done": {
			map[string]any{"client.address": "203.0.113.77", "url.query": "a=b&c=d", "x": 1, "y@example.com": 2},
			"ip:hash:1,ip:truncate:1,query_parameter:mask:2,unknown_key:drop:2",
		},
		"what was done before is added to": {
			map[string]any{"user.id": "u", key: "attribute_key:drop:2,ip:truncate:1"}, "ip:truncate:1,attribute_key:drop:3",
		},
		"remarks that are none":     {map[string]any{key: "ann@example.com"}, "attribute_key:drop:1"},
		"remarks of unknown rules":  {map[string]any{key: "ann:mask:1"}, "attribute_key:drop:1"},
		"remarks that are a number": {map[string]any{key: 4111111111111111}, "attribute_key:drop:1,unknown_value:drop:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loaded(t, func(cfg *Config) { cfg.Remarks = remarksAttribute })
			ld := plog.NewLogs()
			m := of(ld, "", tt.in)
			r.Logs(ld)
			require.Equal(t, tt.want, m.AsRaw()[key])
			for k := range m.AsRaw() {
				require.NotContains(t, k, "@")
			}
			again := plog.NewLogs()
			ld.CopyTo(again)
			r.Logs(again)
			require.Equal(t, ld, again, "redacting twice")
			redactor().Logs(again)
			require.Equal(t, ld, again, "redacting without remarks")
		})
	}
}
