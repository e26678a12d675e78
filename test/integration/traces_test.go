package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

const tracesConfig = `
extensions: {file_storage: {directory: %[1]s/storage, create_directory: true}}
receivers:
  websocketendpoint:
    endpoint: %[2]s
    path: /ws
    jwt:
      issuer: https://login.example.com
      audiences: [chat]
      algorithms: [ES256]
      jwks_url: %[3]s
      tenant_claim: tenant
      cookie: session
    allow_missing_origin: true
    handler: echo
    key_file: %[1]s/key
    resource: {service.name: chat}
    traces: {trust_traceparent: %[5]t, message_ratio: 1}
    chunk: {max_age: 100ms}
processors: {pii: {key_file: %[1]s/key}}
exporters:
  debug: {verbosity: detailed, sampling_initial: 100000}
  websocketclickhouse:
    endpoint: %[4]s
    sending_queue: {storage: file_storage}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}, logs: {level: debug}}
  pipelines:
    logs: {receivers: [websocketendpoint], processors: [pii], exporters: [debug, websocketclickhouse]}
    traces: {receivers: [websocketendpoint], processors: [pii], exporters: [debug, websocketclickhouse]}
`

// storedSpan is a row of traces, of those columns that are compared.
type storedSpan struct {
	TraceID      string `json:"trace_id"`
	SpanID       string `json:"span_id"`
	ParentID     string `json:"parent_id"`
	Name         string
	Kind         string
	Status       string
	Service      string
	ConnectionID string            `json:"connection_id"`
	ErrorType    string            `json:"error_type"`
	Attributes   map[string]string `json:"attributes"`
	Links        []struct {
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	}
}

// spansWhere returns the spans that a condition selects, the first one first.
func spansWhere(t *testing.T, engine, condition string, want int) (spans []storedSpan) {
	t.Helper()
	eventually(t, 60*time.Second, fmt.Sprintf("%d spans where %s", want, condition), func() (bool, string) {
		text, err := query(engine, "SELECT * FROM traces WHERE "+condition+" ORDER BY start FORMAT JSONEachRow")
		if err != nil {
			return false, err.Error()
		}
		spans = nil
		for line := range strings.Lines(text) {
			var s storedSpan
			require.NoError(t, json.Unmarshal([]byte(line), &s), line)
			spans = append(spans, s)
		}
		return len(spans) == want, text
	})
	return spans
}

// TestAHandshakeIsFoundFromItsEventsInItsTrace has clients that send a traceparent, and a secret in every place that they
// fill. The spans in ClickHouse share the trace of the events, and none of the secrets is anywhere.
func TestAHandshakeIsFoundFromItsEventsInItsTrace(t *testing.T) {
	t.Parallel()
	const clientTrace, clientSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, trusted := range map[string]bool{"of a stranger": false, "of a gateway": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &canaries{t: t, slots: map[string]string{}}
			provider, engine, data, addr := newIdentityProvider(t), startClickHouse(t), t.TempDir(), testenv.Address(t)
			provider.up.Store(true)
			config := configFile(t, fmt.Sprintf(tracesConfig, data, addr, provider.server.URL, engine.dsn(), trusted))
			collector := start(t, nil, binary(t), "--config", config)
			collector.listening(addr)

			header := func() http.Header {
				return http.Header{
					"Traceparent": {"00-" + clientTrace + "-" + clientSpan + "-01"},
					"Tracestate":  {"vendor=" + c.word("tracestate")},
					"Baggage":     {"user=" + c.word("baggage")},
					"User-Agent":  {c.email("user agent")},
					"Referer":     {"https://example.com/?token=" + c.word("referer")},
					"X-Api-Key":   {c.word("another header")},
				}
			}
			v := &visitors{t: t, url: "ws://" + addr + "/ws?note=" + c.word("query"), told: map[string]int{}}
			conn, status := v.come(provider.token(c.email("subject"), time.Hour), header())
			require.Equal(t, http.StatusSwitchingProtocols, status)
			message := `{"traceparent":"00-` + clientTrace + `-1111111111111111-01","password":"` + c.word("message") + `"}`
			require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte(message)))
			_, echo, err := conn.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, message, string(echo))
			v.leave(conn)
			refused := header()
			refused.Set("Cookie", "session="+c.word("cookie"))
			v.url = "ws://" + addr + "/ws?token=" + c.word("token in the URL")
			_, status = v.come(c.token("bad token"), refused)
			require.Equal(t, http.StatusBadRequest, status)
			v.url = "ws://" + addr + "/ws"
			_, status = v.come(c.token("bad token alone"), header())
			require.Equal(t, http.StatusUnauthorized, status)

			served := spansWhere(t, engine.addr, "name = 'GET /ws' AND attributes['http.response.status_code'] = '101'", 1)[0]
			require.Equal(t, []string{"server", "unset", "chat", "/ws", "/ws", "1.1", "127.0.0.0"}, []string{
				served.Kind, served.Status, served.Service, served.Attributes["http.route"], served.Attributes["url.path"],
				served.Attributes["network.protocol.version"], served.Attributes["client.address"],
			})
			require.Contains(t, served.Attributes["client.hash"], "p1:")
			if trusted {
				require.Equal(t, []string{clientTrace, clientSpan}, []string{served.TraceID, served.ParentID})
			} else {
				require.NotEqual(t, clientTrace, served.TraceID)
				require.Empty(t, served.ParentID)
				require.Equal(t, []string{clientTrace, clientSpan}, []string{served.Links[0].TraceID, served.Links[0].SpanID})
			}
			auth := spansWhere(t, engine.addr, "name = 'websocket.auth' AND parent_id = '"+served.SpanID+"'", 1)[0]
			require.Equal(t, []string{served.TraceID, "success", "bearer"},
				[]string{auth.TraceID, auth.Attributes["websocket.auth.result"], auth.Attributes["websocket.auth.method"]})
			require.NotEmpty(t, auth.Attributes["websocket.auth.idp.duration"], "the first token waits for the provider's keys")
			said := spansWhere(t, engine.addr, "name = 'websocket.message'", 1)[0]
			require.Equal(t, served.ConnectionID, said.ConnectionID)
			require.Equal(t, served.SpanID, said.Links[0].SpanID)
			require.Equal(t, "1111111111111111", said.Links[1].SpanID)
			failed := spansWhere(t, engine.addr, "name = 'GET /ws' AND error_type != ''", 2)
			require.Equal(t, []string{"400", "401"}, []string{
				failed[0].Attributes["http.response.status_code"], failed[1].Attributes["http.response.status_code"],
			})

			// Every event of the connection leads to the span.
			eventually(t, 60*time.Second, "the events", func() (bool, string) {
				text, err := query(engine.addr, `SELECT arraySort(groupUniqArray(event)) FROM events
					INNER JOIN traces ON events.trace_id = traces.trace_id AND events.span_id = traces.span_id
					WHERE traces.kind = 'server' AND events.connection_id = '`+served.ConnectionID+"'")
				return text == "['websocket.auth','websocket.close','websocket.message','websocket.open']", fmt.Sprint(text, err)
			})
			require.EqualValues(t, 0, number(engine.addr, "SELECT count() FROM events WHERE connection_id != '' AND trace_id = ''"))

			for _, table := range []string{"traces", "events"} {
				rows, err := query(engine.addr, "SELECT * FROM "+table+" FORMAT JSONEachRow")
				require.NoError(t, err)
				c.requireNone("table "+table, []byte(rows))
			}
			collector.stop()
			c.requireNone("output", []byte(collector.out.String()))
			require.Contains(t, collector.out.String(), served.SpanID, "the debug exporter has the spans")
			engine.stop()
			for _, folder := range []string{data, engine.data} {
				c.requireNoneOnDisk(folder, "after the end")
			}
			entries, err := os.ReadDir(filepath.Join(data, "storage"))
			require.NoError(t, err)
			require.NotEmpty(t, entries)
		})
	}
}
