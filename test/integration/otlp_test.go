package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// otlpConfig takes log records by OTLP and makes events of them: lines of nginx in bodies, and attributes of an
// application that is instrumented with OpenTelemetry.
const otlpConfig = `
receivers:
  otlp/proxy:
    protocols: {http: {endpoint: %[2]s}}
  otlp/app:
    protocols: {http: {endpoint: %[3]s}}
processors:
  websocketevent/proxy: {format: nginx, key_file: %[1]s/installation.key, resource: {service.name: edge}}
  websocketevent/app:
    format: mapping
    from: attributes
    vantage: app
    key_file: %[1]s/installation.key
    mapping:
      source_type: chat_app
      time: log.timestamp
      connection: [conn.id]
      attributes: {client.address: peer}
      events:
        - {when: {event: ws.closed}, name: websocket.close, attributes: {websocket.close.code: code}}
  pii: {key_file: %[1]s/installation.key}
exporters:
  websocketclickhouse: {endpoint: %[4]s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs/proxy: {receivers: [otlp/proxy], processors: [websocketevent/proxy, pii], exporters: [websocketclickhouse]}
    logs/app: {receivers: [otlp/app], processors: [websocketevent/app, pii], exporters: [websocketclickhouse]}
`

// otlpRecord is a LogRecord in the JSON encoding of OTLP.
type otlpRecord struct {
	TimeUnixNano string         `json:"timeUnixNano,omitempty"`
	Body         map[string]any `json:"body,omitempty"`
	Attributes   []otlpKeyValue `json:"attributes,omitempty"`
}

type otlpKeyValue struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

func text(s string) map[string]any { return map[string]any{"stringValue": s} }

// postOTLP sends records as any OTLP sender does, until they are acknowledged.
func postOTLP(t *testing.T, addr string, resource []otlpKeyValue, records ...otlpRecord) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource":  map[string]any{"attributes": resource},
		"scopeLogs": []any{map[string]any{"logRecords": records}},
	}}})
	require.NoError(t, err)
	eventually(t, 30*time.Second, "the records acknowledged", func() (bool, string) {
		resp, err := http.Post("http://"+addr+"/v1/logs", "application/json", bytes.NewReader(body))
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		require.Less(t, resp.StatusCode/100, 5, "%s", answer)
		return resp.StatusCode == http.StatusOK, string(answer)
	})
}

// TestRecordsThatArriveByOTLPAreStoredAsEvents sends records over HTTP to the real binary and reads a real engine's rows.
func TestRecordsThatArriveByOTLPAreStoredAsEvents(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	dir, proxy, app := t.TempDir(), testenv.Address(t), testenv.Address(t)
	collector := start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(otlpConfig, dir, proxy, app, engine.dsn())))
	collector.listening(proxy)
	collector.listening(app)

	now := time.Now()
	line := func(status int, upgrade string) otlpRecord {
		return otlpRecord{TimeUnixNano: strconv.FormatInt(now.UnixNano(), 10), Body: text(fmt.Sprintf(
			`{"msec":%d.%03d,"request_id":"%d","remote_addr":"203.0.113.77","request_uri":"/rooms/1?token=t0k3n","status":%d,`+
				`"request_time":1.5,"http_upgrade":"%s"}`, now.Unix(), now.Nanosecond()/1e6, status, status, upgrade))}
	}
	postOTLP(t, proxy, []otlpKeyValue{{"service.name", text("chat")}},
		line(101, "websocket"), line(403, "websocket"), line(200, ""), otlpRecord{Body: text("no line of nginx")})
	postOTLP(t, proxy, nil, line(502, "websocket"))
	postOTLP(t, app, []otlpKeyValue{{"service.name", text("chat")}}, otlpRecord{
		TimeUnixNano: strconv.FormatInt(now.UnixNano(), 10),
		Attributes: []otlpKeyValue{{"event", text("ws.closed")}, {"peer", text("203.0.113.78:5555")},
			{"conn.id", text("c-17")}, {"code", map[string]any{"intValue": "4401"}}},
	})

	want := "chat\twebsocket.close\tapp\t1\nchat\twebsocket.close\tedge\t1\nchat\twebsocket.handshake.rejected\tedge\t1\n" +
		"chat\twebsocket.open\tedge\t1\nedge\twebsocket.handshake.rejected\tedge\t1"
	eventually(t, 60*time.Second, "the events stored", func() (bool, string) {
		got, err := query(engine.addr, "SELECT service, event, vantage, count() FROM events GROUP BY ALL ORDER BY ALL")
		return got == want, fmt.Sprintf("got %q, %v\n%s", got, err, collector.out.String())
	})
	// Nothing that the pii processor would not let pass came by this way.
	raw, err := query(engine.addr, "SELECT count() FROM events WHERE toString(tuple(*)) LIKE '%t0k3n%' OR toString(tuple(*)) LIKE '%no line of nginx%' "+
		"OR toString(tuple(*)) LIKE '%203.0.113.77%'")
	require.NoError(t, err)
	require.Equal(t, "0", raw)
}
