package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// redactLines runs the command on lines and returns its lines.
func redactLines(t *testing.T, lines string, args ...string) (out []string, stderr string, status int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(lines), 0o600))
	stdout, stderr, status := sockeye(t, append(append([]string{"redact"}, args...), path)...)
	require.Equal(t, strings.Count(lines, "\n"), strings.Count(stdout, "\n"), "one line out for one line in")
	return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n"), stderr, status
}

func TestRedactAnEvent(t *testing.T) {
	const in = `{"time":"2026-11-03T12:00:00Z","event":"websocket.open","websocket.connection.id":"9f3c61d0a2b44e07",` +
		`"websocket.vantage":"edge","websocket.source.visibility":"at_close","websocket.source.type":"nginx",` +
		`"websocket.source.evidence":"observed","network.protocol.name":"websocket","client.address":"203.0.113.77",` +
		`"url.query":"room=a&token=b","note":"ann@example.com","resource":{"service.name":"chat"}}` + "\n"
	out, stderr, status := redactLines(t, in)
	require.Zero(t, status, stderr)
	require.NotContains(t, out[0], "note")
	require.Contains(t, out[0], `"client.address":"203.0.113.0"`)
	require.Contains(t, out[0], `"url.query":"room=a&token=REDACTED"`)
	require.Contains(t, out[0], `"resource":{"service.name":"chat"}`)
	require.Contains(t, stderr, "no key: client.hash")
	require.Contains(t, stderr, "1 lines: ip truncate 1, query_parameter mask 1, unknown_key drop 1\n")

	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	out, stderr, status = redactLines(t, in, "--unknown-keys", "scan", "--key-file", key)
	require.Zero(t, status, stderr)
	require.Contains(t, out[0], `"note":"[email]"`)
	require.Regexp(t, `"client.hash":"p1:[a-z2-7]{4}-20760:[a-z2-7]{24}"`, out[0])

	again, _, status := redactLines(t, out[0]+"\n", "--unknown-keys", "scan", "--key-file", key)
	require.Zero(t, status)
	require.Equal(t, out, again)
}

func TestRedactKeepsLinesAligned(t *testing.T) {
	out, stderr, status := redactLines(t, strings.Join([]string{
		`{"event.name":"x","body":"mail ann@example.com","user":{"email":"a@b.de","password":"x","ok":1.5,"n":[1,null]}}`,
		`canary`,
		``,
		`[1]`,
		`{"a":1} canary`,
		`{"time":"2026-11-03T12:00:00Z","event":"no.such.event","big":123456789012345678901234}`,
	}, "\n")+"\n", "--unknown-keys", "scan")
	require.Equal(t, 1, status)
	require.Equal(t, []string{
		`{"event.name":"x","body":"mail [email]","user":{"email":"[email]","password":"[secret]","ok":1.5,"n":[1,null]}}`,
		`{}`,
		``,
		`{}`,
		`{}`,
		`{"time":"2026-11-03T12:00:00Z","event":"no.such.event","big":"123456789012345678901234"}`,
	}, out)
	for _, want := range []string{
		"in.ndjson:2: not a JSON object\n", "in.ndjson:4: not a JSON object\n", "in.ndjson:5: not a JSON object\n",
		"sockeye: 3 of 6 lines could not be read and are empty in the output\n",
	} {
		require.Contains(t, stderr, want)
	}
	require.NotContains(t, stderr, "canary")
}

func TestRedactText(t *testing.T) {
	out, _, status := redactLines(t, "user ann@example.com from 203.0.113.77\nfine\n\n", "--text")
	require.Zero(t, status)
	require.Equal(t, []string{"user [email] from 203.0.113.0", "fine", ""}, out)
}

func TestRedactWithAPolicy(t *testing.T) {
	dir := t.TempDir()
	policy := func(text string) string {
		path := filepath.Join(dir, "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const in = `{"note":"x","user.id":"u"}` + "\n"
	for name, c := range map[string]struct{ policy, out, fault string }{
		"alone":             {"attributes: {scan: [note]}\n", `{"note":"x"}`, ""},
		"in a collector":    {"processors: {batch: {}, pii/a: {attributes: {keep: [user.id]}}}\n", `{"user.id":"u"}`, ""},
		"with a typo":       {"atributes: {}\n", "", "has invalid keys: atributes"},
		"with two at once":  {"processors: {pii/a: {}, pii/b: {}}\n", "", "has 2 pii processors"},
		"with a bad value":  {"unknown_keys: maybe\n", "", `unknown_keys: must be drop or scan, got "maybe"`},
		"with a key to get": {"key_file: /nonexistent/key\n", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := policy(c.policy)
			if c.fault != "" {
				_, stderr, status := sockeye(t, "redact", "--policy", path, os.DevNull)
				require.Equal(t, 1, status)
				require.Contains(t, stderr, c.fault)
				return
			}
			out, stderr, status := redactLines(t, in, "--policy", path)
			require.Zero(t, status, stderr)
			require.Equal(t, []string{c.out}, out)
		})
	}
	_, stderr, status := sockeye(t, "redact", "--policy", filepath.Join(dir, "absent.yaml"))
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "--policy: ")
}

func TestRedactExplains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(`{"event.name":"x"}`+"\n"+
		`{"body":"mail ann@example.com from 203.0.113.77","url.query":"room=a&token=canary","url.full":`+
		`"wss://u:p@h.example.com/a?b=c","user":{"password":"x"},"bob@example.com":1}`+"\n"), 0o600))
	stdout, stderr, status := sockeye(t, "redact", "--explain", "--unknown-keys", "scan", path)
	require.Zero(t, status, stderr)
	require.Equal(t, strings.ReplaceAll(`IN:2	attributes.body	5-20	email	mask
IN:2	attributes.body	26-38	ip	truncate
IN:2	attributes.url.query	13-19	query_parameter	mask
IN:2	attributes.url.full	6-10	credential	drop
IN:2	attributes.url.full	28-29	query_parameter	mask
IN:2	attributes.user.password	all	secret	mask
IN:2	attributes.(a key that is not shown)	all	key_text	drop
`, "IN", path), stdout)

	require.NoError(t, os.WriteFile(path, []byte("mail ann@example.com\n"), 0o600))
	stdout, _, status = sockeye(t, "redact", "--explain", "--text", path)
	require.Zero(t, status)
	require.Equal(t, path+":1\ttext\t5-20\temail\tmask\n", stdout)
}

func TestRedactAudits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labelled.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(
		`{"text":"mail ann@example.com now","spans":[{"type":"EMAIL","start":5,"end":20}]}`+"\n"+
			`{"text":"4111111111111112","neg_for":"CARD"}`+"\n"), 0o600))
	stdout, stderr, status := sockeye(t, "redact", "--audit", "--unknown-keys", "scan", path)
	require.Zero(t, status, stderr)
	require.Regexp(t, `(?m)^ *EMAIL +1 +100.00 `, stdout)
	require.Regexp(t, `(?m)^ *CARD +- +- +1 +100.00 `, stdout)
	require.Contains(t, stdout, "words outside labels kept: 2 of 2 (100.00 %)")

	// The default drops a body whatever it holds: nothing is left of either.
	stdout, _, status = sockeye(t, "redact", "--audit", "--output", "json", path)
	require.Zero(t, status)
	require.Contains(t, stdout, `"words_kept": {
    "count": 0,
    "total": 2
  }`)

	require.NoError(t, os.WriteFile(path, []byte("canary\n"), 0o600))
	_, stderr, status = sockeye(t, "redact", "--audit", path)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "labelled.jsonl: line 1: not a labelled row")
	require.NotContains(t, stderr, "canary")
	_, stderr, status = sockeye(t, "redact", "--audit", "--explain", path)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "audit")
}
