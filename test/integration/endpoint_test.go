package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/slo"
)

// identityProvider signs tokens and publishes its key, while it is up.
type identityProvider struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	server *httptest.Server
	up     atomic.Bool
}

func newIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p := &identityProvider{t: t, key: key}
	point, err := key.PublicKey.Bytes() // 4, x, y
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	keys := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":%q,"y":%q}]}`, encode(point[1:33]), encode(point[33:]))
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !p.up.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(keys))
	}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *identityProvider) token(subject string, lasts time.Duration) string {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://login.example.com", "aud": "chat", "sub": subject, "tenant": "acme", "iat": now.Unix(),
		"exp": now.Add(lasts).Unix(),
	})
	token.Header["kid"] = "k"
	text, err := token.SignedString(p.key)
	require.NoError(p.t, err)
	return text
}

// visitors are clients of the endpoint that keep account of what they did and saw.
type visitors struct {
	t    *testing.T
	url  string
	told map[string]int
}

// come opens a connection, or returns nil; either way the status of the answer is accounted for.
func (v *visitors) come(token string, header http.Header) (*websocket.Conn, int) {
	v.t.Helper()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Authorization", "Bearer "+token)
	dialer := websocket.Dialer{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: 20 * time.Second, //nolint:gosec // self-signed
	}
	c, resp, err := dialer.Dial(v.url, header)
	if resp == nil {
		require.NoError(v.t, err)
	}
	v.told[fmt.Sprint(resp.StatusCode)]++
	if c == nil {
		return nil, resp.StatusCode
	}
	require.NoError(v.t, c.SetReadDeadline(time.Now().Add(4*time.Minute)))
	v.t.Cleanup(func() { _ = c.Close() })
	return c, resp.StatusCode
}

func (v *visitors) enter(token string) *websocket.Conn {
	v.t.Helper()
	c, status := v.come(token, nil)
	require.Equal(v.t, http.StatusSwitchingProtocols, status)
	return c
}

func (v *visitors) say(c *websocket.Conn, messages int) {
	for range messages {
		require.NoError(v.t, c.WriteMessage(websocket.TextMessage, []byte("hello")))
		v.told["messages"]++
	}
}

// closed reads to the end and returns the code that the endpoint closed with.
func closed(c *websocket.Conn) int {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if e, ok := err.(*websocket.CloseError); ok {
				return e.Code
			}
			return 0
		}
	}
}

func (v *visitors) leave(c *websocket.Conn) {
	v.t.Helper()
	require.NoError(v.t, c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")))
	require.Equal(v.t, 1000, closed(c))
}

// TestTheEndpointsIndicatorsAreTheTruth runs examples/endpoint.yaml. Clients do what they later know they did, and the
// indicators that the engine computes, and those that are sums of the rollup and gauges, are compared with that.
func TestTheEndpointsIndicatorsAreTheTruth(t *testing.T) {
	t.Parallel()
	provider := newIdentityProvider(t)
	dir, addr, engine, api := t.TempDir(), testenv.Address(t), testenv.Address(t), testenv.Address(t)
	pem := filepath.Join(dir, "tls.pem")
	selfSigned(t, pem)
	collector := start(t, []string{
		"SOCKEYE_DATA=" + dir, "SOCKEYE_ENDPOINT=" + addr, "SOCKEYE_CLICKHOUSE=" + engine, "SOCKEYE_SLO=" + api,
		"SOCKEYE_CERT=" + pem, "SOCKEYE_CERT_KEY=" + pem, "SOCKEYE_JWKS=" + provider.server.URL,
		"SOCKEYE_ADMIN=" + testenv.Address(t),
	}, binary(t), "--config", filepath.Join(testenv.Root(), "examples", "endpoint.yaml"),
		"--set", "service.telemetry.metrics.level=none",
		// So that what is over a limit is known to the message.
		"--set", "receivers.websocketendpoint.limits.excess=drop",
		"--set", "receivers.websocketendpoint.limits.connection.messages.per_second=0.001",
		"--set", "receivers.websocketendpoint.limits.connection.messages.burst=10",
		"--set", "receivers.websocketendpoint.limits.user.connections=5",
	)
	collector.listening(addr)
	v := &visitors{t: t, url: "wss://" + addr + "/", told: map[string]int{}}

	// The identity provider is down at first: nobody's token can be judged.
	_, status := v.come(provider.token("early", time.Hour), nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	provider.up.Store(true)
	var idle []*websocket.Conn
	eventually(t, 90*time.Second, "a token judged", func() (bool, string) {
		c, status := v.come(provider.token("idle-0", time.Hour), nil)
		if c != nil {
			idle = append(idle, c)
		} else {
			<-time.After(500 * time.Millisecond) // each attempt counts, and there is a limit to them
		}
		return c != nil, fmt.Sprint(status)
	})
	for i := 1; i < 4; i++ {
		idle = append(idle, v.enter(provider.token(fmt.Sprint("idle-", i), time.Hour)))
	}
	codes := make(chan int, len(idle))
	for _, c := range idle {
		go func() { codes <- closed(c) }() // answers pings
	}
	for i := range 20 {
		c := v.enter(provider.token(fmt.Sprint("guest-", i), time.Hour))
		v.say(c, 3)
		v.leave(c)
	}
	foreign := newIdentityProvider(t)
	for range 7 {
		_, status := v.come(foreign.token("mallory", time.Hour), nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for range 3 {
		_, status := v.come(provider.token("late", -time.Hour), nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for range 2 {
		_, status := v.come(provider.token("framed", time.Hour), http.Header{"Origin": {"https://evil.example"}})
		require.Equal(t, http.StatusForbidden, status)
	}
	// What is no message of the protocol.
	for code, bad := range map[int]func(*websocket.Conn) error{
		1007: func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("\xff")) },
		1002: func(c *websocket.Conn) error {
			_, err := c.UnderlyingConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0}) // an opcode that is reserved
			return err
		},
		1009: func(c *websocket.Conn) error { return c.WriteMessage(websocket.BinaryMessage, make([]byte, 70_000)) },
	} {
		c := v.enter(provider.token(fmt.Sprint("clumsy-", code), time.Hour))
		v.say(c, 5)
		require.NoError(t, bad(c))
		require.Equal(t, code, closed(c))
		v.told["errors"]++ // and a closing handshake that is completed, so this is not an unexpected end
	}
	// Over the rate of messages: ten are let through.
	for i := range 2 {
		c := v.enter(provider.token(fmt.Sprint("flood-", i), time.Hour))
		v.say(c, 50)
		v.leave(c)
		v.told["rejected"] += 40
	}
	// More connections than a user may have.
	var crowd []*websocket.Conn
	for range 5 {
		crowd = append(crowd, v.enter(provider.token("crowd", time.Hour)))
	}
	for range 3 {
		_, status := v.come(provider.token("crowd", time.Hour), nil)
		require.Equal(t, http.StatusTooManyRequests, status)
	}
	for _, c := range crowd {
		v.leave(c)
	}
	// Gone without a word.
	for i := range 3 {
		c := v.enter(provider.token(fmt.Sprint("lost-", i), time.Hour))
		v.say(c, 1)
		require.NoError(t, c.UnderlyingConn().Close())
		v.told["unexpected"]++
	}
	opens := v.told["101"]
	t.Logf("what clients saw: %v", v.told)

	// The engine has no indicators of these: their good is no part of their total, or there is none.
	for what, c := range map[string]struct {
		where string
		want  int
	}{
		"M10's opens":             {"event = 'websocket.open'", opens},
		"M10's unexpected closes": {"event = 'websocket.close' AND outcome = 'failure'", v.told["unexpected"]},
		"closes":                  {"event = 'websocket.close'", opens - len(idle)},
		"M4's and M5's messages":  {"event = 'websocket.message' AND direction = 'receive'", v.told["messages"]},
		"M4's rejected messages":  {"event = 'websocket.message.rejected' AND direction = 'receive'", v.told["rejected"]},
		"M4's dropped messages":   {"event = 'websocket.message.dropped'", 0},
		"M5's errors":             {"event = 'websocket.error'", v.told["errors"]},
		"M9 of handshakes":        {"event = 'websocket.rate_limited' AND policy = 'connections_per_user'", v.told["429"]},
		"M9 of messages":          {"event = 'websocket.rate_limited' AND policy = 'messages_per_connection'", 2},
	} {
		eventually(t, 60*time.Second, what, func() (bool, string) {
			got := number(engine, "SELECT sum(count) FROM rollup_1m WHERE service = 'chat' AND vantage = 'app' AND "+c.where)
			return got == int64(c.want), fmt.Sprintf("got %d, want %d", got, c.want)
		})
	}

	// The engine's own indicators.
	idp := v.told["503"]
	success := opens + v.told["429"]
	client := v.told["401"]
	rejected := idp + client + v.told["429"] + v.told["403"]
	type ratio struct{ good, judged int }
	want := map[string]ratio{
		"connection-success":      {opens, opens + rejected},
		"connection-availability": {opens, opens + idp},
		"auth-success":            {success, success + client + idp},
		"auth-availability":       {success, success + idp},
		// Whoever was refused is of no tenant.
		`auth-success{tenant="acme"}`: {success, success},
		`auth-success{tenant=""}`:     {0, client + idp},
	}
	fast, err := query(engine, "SELECT countIf(duration <= 0.2) FROM events WHERE event = 'websocket.auth'")
	require.NoError(t, err)
	eventually(t, 4*time.Minute, "the engine's indicators", func() (bool, string) {
		got := map[string]ratio{}
		resp, err := http.Get("http://" + api + "/api/v1/slos")
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		var report struct {
			SLOs []slo.Status `json:"slos"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
			return false, err.Error()
		}
		for _, s := range report.SLOs {
			got[s.SLO] = ratio{int(s.Window.Good), int(s.Window.Judged)} //nolint:gosec // small
		}
		latency := got["auth-latency"]
		delete(got, "auth-latency")
		return maps.Equal(got, want) && fmt.Sprint(latency.good) == fast && latency.judged == success+client+idp,
			fmt.Sprintf("got %v and a latency of %v, want %v and %s", got, latency, want, fast)
	})

	// M7: a connection is idle after a minute. Two are not.
	for range 2 {
		c := v.enter(provider.token("fresh", time.Hour))
		go closed(c) // answers pings
	}
	eventually(t, 2*time.Minute, "idle and active connections", func() (bool, string) {
		got, err := query(engine, "SELECT idle, active FROM gauges_10s FINAL WHERE service = 'chat' ORDER BY bucket")
		return slices.Contains(strings.Split(got, "\n"), "4\t6"), fmt.Sprint(got, err)
	})

	stored, err := query(engine, "SELECT * FROM events FORMAT JSONEachRow")
	require.NoError(t, err)
	for _, secret := range []string{"eyJ", "mallory", "guest-1", "flood-", "hello"} {
		require.NotContains(t, stored, secret)
	}
	requireTiersEqualRecount(t, engine)
	collector.stop()
	require.Equal(t, 0, collector.cmd.ProcessState.ExitCode())
	for range idle {
		require.Equal(t, websocket.CloseServiceRestart, <-codes, "a shutdown says so")
	}
}

// TestAReloadWithAnUnchangedEndpointSectionClosesNoConnection reloads a running collector by SIGHUP.
func TestAReloadWithAnUnchangedEndpointSectionClosesNoConnection(t *testing.T) {
	t.Parallel()
	const config = `
receivers:
  websocketendpoint:
    {endpoint: %[1]s, insecure_anonymous: true, allow_missing_origin: true, handler: echo, limits: {max_message_bytes: %[2]d},
    key_file: %[3]s/key, admin: {endpoint: %[5]s}}
processors:
  pii: {key_file: %[3]s/key}
exporters:
  nop: {}
service:
  telemetry: {metrics: {level: none}, logs: {level: %[4]s}}
  pipelines:
    logs: {receivers: [websocketendpoint], processors: [pii], exporters: [nop]}
`
	dir, addr, admin := t.TempDir(), testenv.Address(t), testenv.Address(t)
	write := func(path string, limit int, level string) {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, config, addr, limit, dir, level, admin), 0o600))
	}
	file := configFile(t, "")
	write(file, 1000, "info")
	collector := start(t, nil, binary(t), "--config", file)
	collector.listening(addr)
	v := &visitors{t: t, url: "ws://" + addr + "/", told: map[string]int{}}
	echo := func(c *websocket.Conn) {
		require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte("hello")))
		_, got, err := c.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
	}
	reload := func(times int) {
		require.NoError(t, collector.cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, 30*time.Second, "reloaded", func() (bool, string) {
			text := collector.out.String()
			return strings.Count(text, "Everything is ready") >= times, text
		})
	}
	c := v.enter("")
	echo(c)
	for i := range 3 {
		write(file, 1000, []string{"debug", "info"}[i%2])
		reload(i + 2)
		echo(c)
		echo(v.enter(""))
		text, err := exec.Command(binary(t), "endpoint", "connections", "--admin", "http://"+admin).CombinedOutput()
		require.NoError(t, err, string(text))
		require.Equal(t, 1+i+2, strings.Count(string(text), "\n"), "a line each, and the names: %s", text)
	}

	write(file, 2000, "info")
	code := make(chan int, 1)
	go func() { code <- closed(c) }()
	reload(5)
	require.Equal(t, websocket.CloseServiceRestart, <-code, "another section is another endpoint")

	// A configuration that is wrong ends the collector; clients are told even then.
	d := v.enter("")
	echo(d)
	go func() { code <- closed(d) }()
	require.NoError(t, os.WriteFile(file, bytes.ReplaceAll(fmt.Appendf(nil, config, addr, 2000, dir, "info", admin), []byte("nop"), []byte("nosuch")), 0o600))
	require.NoError(t, collector.cmd.Process.Signal(syscall.SIGHUP))
	require.Equal(t, websocket.CloseServiceRestart, <-code)
	require.NotEqual(t, 0, collector.wait(30*time.Second))
	collector.ended = true
}

// TestAnOperatorKeepsAnAttackerOut runs examples/endpoint.yaml, and `sockeye endpoint` beside it as an operator would: who
// is here, who misbehaves, out with them; and what was done is stored.
func TestAnOperatorKeepsAnAttackerOut(t *testing.T) {
	t.Parallel()
	provider := newIdentityProvider(t)
	provider.up.Store(true)
	dir, addr, engine, admin := t.TempDir(), testenv.Address(t), testenv.Address(t), testenv.Address(t)
	pem := filepath.Join(dir, "tls.pem")
	selfSigned(t, pem)
	collector := start(t, []string{
		"SOCKEYE_DATA=" + dir, "SOCKEYE_ENDPOINT=" + addr, "SOCKEYE_CLICKHOUSE=" + engine, "SOCKEYE_SLO=" + testenv.Address(t),
		"SOCKEYE_CERT=" + pem, "SOCKEYE_CERT_KEY=" + pem, "SOCKEYE_JWKS=" + provider.server.URL, "SOCKEYE_ADMIN=" + admin,
	}, binary(t), "--config", filepath.Join(testenv.Root(), "examples", "endpoint.yaml"),
		"--set", "service.telemetry.metrics.level=none")
	collector.listening(addr)
	operator := func(args ...string) (string, error) {
		text, err := exec.Command(binary(t), append(append([]string{"endpoint"}, args...), "--admin", "http://"+admin)...).CombinedOutput()
		return string(text), err
	}
	ask := func(args ...string) string {
		t.Helper()
		text, err := operator(args...)
		require.NoError(t, err, text)
		return text
	}
	v := &visitors{t: t, url: "wss://" + addr + "/", told: map[string]int{}}
	mallory, friend := v.enter(provider.token("mallory", time.Hour)), v.enter(provider.token("friend", time.Hour))
	v.say(mallory, 7)
	v.say(friend, 1)
	type connection struct {
		ID       string `json:"id"`
		UserHash string `json:"user_hash"`
		Received struct {
			Messages int `json:"messages"`
		} `json:"received"`
	}
	var busy connection
	eventually(t, 30*time.Second, "the busy one seen", func() (bool, string) {
		var all []connection
		text := ask("connections", "--tenant", "acme", "--address", "127.0.0.0/8", "--output", "json")
		require.NoError(t, json.Unmarshal([]byte(text), &all), text)
		for _, c := range all {
			if c.Received.Messages == 7 {
				busy = c
			}
		}
		return len(all) == 2 && busy.ID != "", text
	})
	require.Contains(t, ask("inspect", busy.ID), "127.0.0.0/24")
	require.Equal(t, "blocked; closed 1 connection\n", ask("block", "--user-hash", busy.UserHash, "--reason", "abuse", "--for", "1h"))
	require.Equal(t, websocket.ClosePolicyViolation, closed(mallory))
	_, status := v.come(provider.token("mallory", time.Hour), nil)
	require.Equal(t, http.StatusForbidden, status)
	v.say(friend, 1)
	require.Contains(t, ask("blocks"), busy.UserHash)
	require.Equal(t, "unblocked\n", ask("unblock", "--user-hash", busy.UserHash))
	v.leave(v.enter(provider.token("mallory", time.Hour)))
	require.Equal(t, "closed 1 connection\n", ask("close", "--all", "--code", "4000"))
	require.Equal(t, 4000, closed(friend))

	for what, sql := range map[string]string{
		"1 the refusal": "event = 'websocket.handshake.rejected' AND error_type = 'forbidden' AND fault = 'policy'",
		"3 the changes": "event = 'websocket.policy.changed' AND policy IN ('user_block', 'disconnect')",
		"2 the closes":  "event = 'websocket.close' AND close_code IN (1008, 4000)",
	} {
		eventually(t, 60*time.Second, what, func() (bool, string) {
			got, err := query(engine, "SELECT count() FROM events WHERE "+sql)
			return got == what[:1], fmt.Sprint(got, err)
		})
	}
	stored, err := query(engine, "SELECT * FROM events WHERE event = 'websocket.policy.changed' FORMAT JSONEachRow")
	require.NoError(t, err)
	for _, want := range []string{busy.UserHash, "loopback", "abuse", "websocket.policy.connections"} {
		require.Contains(t, stored, want)
	}
	require.NotContains(t, collector.out.String()+stored, "mallory")
	collector.stop()
	text, err := operator("blocks")
	require.Error(t, err)
	require.Contains(t, text, "no endpoint answers operators at "+admin)
}
