package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRevealGivesBackWhatWasTokenised makes the key pair as the documentation says.
func TestRevealGivesBackWhatWasTokenised(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	private, public := filepath.Join(dir, "reveal.pem"), filepath.Join(dir, "recipient.pem")
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "X25519", "-out", private}, {"pkey", "-in", private, "-pubout", "-out", public},
	} {
		out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.NoError(t, os.Chmod(private, 0o600))
	policy := filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte(`
attributes: {tokenise: [user.id], partial: [account]}
detectors: {email: tokenise}
unknown_keys: scan
remarks: attribute
tokens: {recipient_file: "`+public+`"}
`), 0o600))
	const event = `{"time":"2026-11-03T12:00:00Z","event":"websocket.open","websocket.connection.id":"9f3c61d0a2b44e07",` +
		`"websocket.vantage":"edge","websocket.source.visibility":"at_close","websocket.source.type":"nginx",` +
		`"websocket.source.evidence":"observed","network.protocol.name":"websocket","user.id":"u \"17\" <a&b>"}`
	const object = `{"note":"mail ann@example.com","account":"AB-1234-5678"}`

	out, stderr, status := redactLines(t, event+"\n"+object+"\n", "--policy", policy)
	require.Zero(t, status, stderr)
	require.Contains(t, stderr, "attribute_key partial 1, attribute_key tokenise 1, email tokenise 1\n")
	require.NotContains(t, strings.Join(out, ""), "ann@")
	require.Contains(t, out[0], `"sockeye.redaction.remarks":"attribute_key:tokenise:1"`)
	require.Contains(t, out[1], `"account":"[*5678]"`)

	stdout, stderr, status := redactAndReveal(t, out, private)
	require.Zero(t, status, stderr)
	require.Contains(t, stderr, "2 lines: 2 tokens revealed\n")
	require.Contains(t, stdout, `"user.id":"u \"17\" <a&b>"`)
	require.Contains(t, stdout, `"note":"mail ann@example.com"`)

	out[1] = strings.Replace(out[1], "note", "n", 1)
	i := strings.Index(out[1], "t1:") + 40
	out[1] = out[1][:i] + "AAAA" + out[1][i+4:]
	stdout, stderr, status = redactAndReveal(t, out, private)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "1 tokens with the name of this key were changed and stay as they are")
	require.Contains(t, stdout, out[1])

	explained, _, status := sockeye(t, "redact", "--policy", policy, "--explain", writeLines(t, event, object))
	require.Zero(t, status)
	require.Contains(t, explained, ":1\tattributes.user.id\tall\tattribute_key\ttokenise\n")
	require.Contains(t, explained, ":2\tattributes.note\t5-20\temail\ttokenise\n")
	require.Contains(t, explained, ":2\tattributes.account\tall\tattribute_key\tpartial\n")
}

func TestRevealRefusesAKeyThatOthersCanRead(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"readable by all": {"x", 0o644, "mode 0644 lets others use the key; run `chmod 600` on it"},
		"no key":          {"canary", 0o600, "not a private key in PEM; make one with `openssl genpkey -algorithm X25519`"},
		"too long":        {strings.Repeat("x", maxIdentityFile+1), 0o600, "not a file of one key"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			require.NoError(t, os.WriteFile(path, []byte(tt.content), tt.mode))
			_, stderr, status := redactAndReveal(t, nil, path)
			require.Equal(t, 1, status)
			require.Contains(t, stderr, tt.want)
			require.NotContains(t, stderr, "canary")
		})
	}
	_, stderr, status := sockeye(t, "redact", "--reveal")
	require.NotZero(t, status)
	require.Contains(t, stderr, "identity")
}

func writeLines(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func redactAndReveal(t *testing.T, lines []string, identity string) (stdout, stderr string, status int) {
	t.Helper()
	return sockeye(t, "redact", "--reveal", "--identity", identity, writeLines(t, lines...))
}
