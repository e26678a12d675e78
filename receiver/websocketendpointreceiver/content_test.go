package websocketendpointreceiver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver/internal/metadatatest"
	"github.com/sockeye-project/sockeye/wire"
)

const manifest = `version: 1
mode: enforce
protocols:
  - subprotocol: ""
    type: /type
    messages:
      - {type: post, schema: post.json}
      - {type: ping}
      - {type: kick}
access:
  - {allow: [kick], subjects: [root]}
  - {deny: [kick]}
  - {allow: ["*"]}
`

// contentDirectory writes a content directory.
func contentDirectory(t *testing.T) string {
	dir := t.TempDir()
	write(t, dir, "content.yaml", manifest)
	write(t, dir, "post.json", `{"required": ["text"]}`)
	return dir
}

// write replaces a file at once.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, ".new")
	require.NoError(t, os.WriteFile(tmp, []byte(text), 0o600))
	require.NoError(t, os.Rename(tmp, filepath.Join(dir, name)))
}

// send sends messages of which the last comes back, and returns all that do.
func send(t *testing.T, c *websocket.Conn, messages ...string) (back []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range messages {
		require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(m)))
	}
	for {
		_, got, err := c.Read(ctx)
		require.NoError(t, err)
		back = append(back, string(got))
		if string(got) == messages[len(messages)-1] {
			return back
		}
	}
}

func TestMessagesAreHeldAgainstADirectoryThatIsFollowed(t *testing.T) {
	t.Parallel()
	issuer, next, dir := newIssuer(t), &sink{}, contentDirectory(t)
	cfg := issuer.config()
	cfg.Content.Directory = dir
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	settings := metadatatest.NewSettings(tel)
	settings.ID = idOf(t)
	core, logs := observer.New(zap.InfoLevel)
	settings.Logger = zap.New(core)
	r := startWith(t, settingsOf{r: settings}, cfg, next, false)
	ann, _, err := dial(t, r.url(), issuer.token("ann"))
	require.NoError(t, err)
	root, _, err := dial(t, r.url(), issuer.token("root"))
	require.NoError(t, err)

	const good, bad, kick, ping = `{"type":"post","text":"hello"}`, `{"type":"post"}`, `{"type":"kick"}`, `{"type":"ping"}`
	require.Equal(t, []string{good, ping}, send(t, ann, good, bad, kick, `{"type":"other"}`, ping))
	require.Equal(t, []string{kick}, send(t, root, kick))
	eventually(t, "three refusals", func() bool { return next.count(event.MessageRejected) == 3 })

	// A policy with a fault changes nothing, and the log says where.
	write(t, dir, "content.yaml", manifest+"more: 1\n")
	fault := "content.directory: the policy that was in force stays, for the new one has faults"
	eventually(t, "a fault logged", func() bool { return logs.FilterMessage(fault).Len() == 1 })
	fields := logs.FilterMessage(fault).All()[0].ContextMap()
	require.Equal(t, int64(1), fields["faults"])
	require.Contains(t, fields["first"].([]any)[0], "content.yaml:14:1: more: unknown key")
	require.Equal(t, []string{good, ping}, send(t, ann, good, bad, ping))
	require.Zero(t, next.count(event.PolicyChanged))

	// A good one is in force on the same connections.
	write(t, dir, "content.yaml", "version: 1\nmode: observe\nprotocols:\n  - {subprotocol: '', type: /type}\n")
	changed := next.first(t, event.PolicyChanged)
	require.Equal(t, "content", changed.String(event.PolicyKind))
	require.Equal(t, "observe", changed.String(event.PolicyState))
	require.Equal(t, "reload", changed.String(event.PolicyReason))
	require.Equal(t, []string{good, bad, kick}, send(t, ann, good, bad, kick))
	require.Zero(t, next.count(event.Close))
	require.NoError(t, r.Shutdown(context.Background()))
	require.Equal(t, 3, next.count(event.MessageFlagged))
	metadatatest.AssertEqualReceiverWebsocketendpointContentReloads(t, tel, sumOf(1), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualReceiverWebsocketendpointContentReloadFaults(t, tel, sumOf(1), metricdatatest.IgnoreTimestamp())
}

func TestAFaultOfTheContentIsOneOfTheConfigurationWithItsPlace(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Content.Directory = contentDirectory(t)
	require.NoError(t, cfg.Validate())
	write(t, cfg.Content.Directory, "post.json", `{"type": 1}`)
	require.ErrorContains(t, cfg.Validate(), "content.directory: "+cfg.Content.Directory+"/post.json:1:")
}

func TestMessagesAreSignedBySecretsOfAFile(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	cfg := issuer.config()
	cfg.Limits.Address.Handshakes.PerSecond, cfg.Limits.User.Handshakes.PerSecond = -1, -1 // bob tries often
	secret := bytes.Repeat([]byte("s"), 32)
	dir := t.TempDir()
	cfg.SignedMessages.SecretsFile = filepath.Join(dir, "secrets")
	line := func(subject string) string {
		return fmt.Sprintf("{%q:%q,%q:%q,%q:%q}\n", "subject", subject, "tenant", "acme", "secret",
			base64.StdEncoding.EncodeToString(secret))
	}
	write(t, dir, "secrets", line("ann"))
	r := start(t, idOf(t), cfg, next, false)
	_, resp, err := dial(t, r.url(), issuer.token("bob"))
	require.Error(t, err)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	write(t, dir, "secrets", line("ann")+line("bob"))
	eventually(t, "bob is let in", func() bool {
		c, _, err := dial(t, r.url(), issuer.token("bob"))
		return err == nil && c != nil
	})

	c, _, err := dial(t, r.url(), issuer.token("ann"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var first struct{ Session string }
	_, text, err := c.Read(ctx)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &first))
	session, err := auth.SessionSecret(secret, first.Session)
	require.NoError(t, err)
	sign, err := auth.NewMessageKey(session, wire.Client)
	require.NoError(t, err)
	verify, err := auth.NewMessageKey(session, wire.Server)
	require.NoError(t, err)
	require.NoError(t, c.Write(ctx, websocket.MessageText, sign.Sign(nil, wire.OpText, []byte("hello"))))
	_, text, err = c.Read(ctx)
	require.NoError(t, err)
	payload, err := verify.Verify(wire.OpText, text)
	require.NoError(t, err)
	require.Equal(t, "hello", string(payload))
	require.NoError(t, c.Write(ctx, websocket.MessageText, []byte("hello")))
	require.Equal(t, websocket.StatusPolicyViolation, closeOf(t, c))
	require.Equal(t, event.SignatureInvalid, next.first(t, event.MessageRejected).String(event.ErrorType))
}

func TestPacketsOfSocketIOAreHeldAgainstADirectory(t *testing.T) {
	t.Parallel()
	next, cfg := &sink{}, testConfig()
	cfg.Content.Directory = contentDirectory(t)
	write(t, cfg.Content.Directory, "content.yaml", "version: 1\nmode: enforce\nprotocols:\n"+
		"  - {subprotocol: '', encoding: socketio, messages: [{type: CONNECT}, {type: post, schema: post.json}]}\n")
	r := start(t, idOf(t), cfg, next, false)
	c := connect(t, r.url())
	const good, bad = `42["post",{"text":"hello"}]`, `42["post",{}]`
	require.Equal(t, []string{"40", good, "2"}, send(t, c, "40", good, bad, `42["kick"]`, "2"))
	rejected := next.first(t, event.MessageRejected)
	require.Equal(t, event.SchemaInvalid, rejected.String(event.ErrorType))
	require.Equal(t, "/post", rejected.String(event.SchemaID))
	eventually(t, "the other one", func() bool { return next.count(event.MessageRejected) == 2 })
}
