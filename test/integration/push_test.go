package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// pushConfig takes NDJSON by HTTP into an engine that runs by itself.
const pushConfig = `
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
receivers:
  websocketlog:
    format: ndjson
    vantage: app
    storage: file_storage
    key_file: %[1]s/installation.key
    http: {endpoint: %[2]s}
processors:
  pii: {key_file: %[1]s/installation.key}
exporters:
  websocketclickhouse: {endpoint: %[3]s}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [websocketlog], processors: [pii], exporters: [websocketclickhouse]}
`

func authEvent(n int, now time.Time) string {
	return fmt.Sprintf(`{"time":"%s","event":"websocket.auth","websocket.connection.id":"c-%d","websocket.vantage":"app",`+
		`"websocket.source.visibility":"at_open","websocket.source.type":"app","websocket.auth.result":"success",`+
		`"websocket.auth.duration":0.0%d,"resource":{"service.name":"chat"}}`+"\n",
		now.UTC().Format(time.RFC3339Nano), n, 1+n%90)
}

// TestPushedEventsWithAnIdempotencyKeySurviveKills pushes batches, each again under its key until it is acknowledged, while
// the collector, the engine or both are killed; afterwards every event is stored once.
func TestPushedEventsWithAnIdempotencyKeySurviveKills(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	engine := startClickHouse(t)
	dir, addr := t.TempDir(), testenv.Address(t)
	config := configFile(t, fmt.Sprintf(pushConfig, dir, addr, engine.dsn()))
	collector := start(t, nil, binary(t), "--config", config)
	collector.listening(addr)

	client := &http.Client{Timeout: 10 * time.Second}
	events, attempts := 0, 0
	// push sends one batch; disturb, if any, happens while the first attempt is under way.
	push := func(disturb func()) {
		var body bytes.Buffer
		for range 1 + dice.IntN(400) {
			body.WriteString(authEvent(events, time.Now()))
			events++
		}
		key := fmt.Sprintf("batch-%d", events)
		attempt := func() bool {
			attempts++
			req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/events", bytes.NewReader(body.Bytes()))
			require.NoError(t, err)
			req.Header.Set("Idempotency-Key", key)
			resp, err := client.Do(req)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			io.Copy(io.Discard, resp.Body) //nolint:errcheck // only to reuse the connection
			require.NotEqual(t, http.StatusBadRequest, resp.StatusCode)
			return resp.StatusCode < 300
		}
		if disturb != nil {
			done := make(chan bool, 1)
			go func() { done <- attempt() }()
			// Not a wait for anything: the kill has to fall at any moment of the request.
			<-time.After(time.Duration(dice.IntN(30)) * time.Millisecond)
			disturb()
			<-done // the reply may have come just before; the sender does not know and sends again
		}
		eventually(t, 60*time.Second, "the batch acknowledged", func() (bool, string) { return attempt(), collector.out.String() })
	}
	const rounds = 12
	for range rounds {
		for range 1 + dice.IntN(5) {
			push(nil)
		}
		what := 1 + dice.IntN(3)
		push(func() {
			if what&1 != 0 {
				collector.kill()
			}
			if what&2 != 0 {
				engine.kill()
			}
			if what&2 != 0 {
				engine.restart(t)
			}
			if what&1 != 0 {
				collector = start(t, nil, binary(t), "--config", config)
				collector.listening(addr)
			}
		})
	}
	t.Logf("%d rounds, %d events in %d requests", rounds, events, attempts)
	want := fmt.Sprintf("%d\t%d", events, events)
	eventually(t, 60*time.Second, "every event stored once", func() (bool, string) {
		got, err := query(engine.addr, "SELECT count(), uniqExact(connection_id) FROM events")
		return got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
	})
	requireTiersEqualRecount(t, engine.addr)
	require.FileExists(t, filepath.Join(dir, "installation.key"))
}
