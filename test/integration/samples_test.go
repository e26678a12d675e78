package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

const samplesConfig = `
extensions: {file_storage: {directory: %[1]s/storage, create_directory: true}}
receivers:
  websocketendpoint:
    endpoint: %[2]s
    insecure_anonymous: true
    allow_missing_origin: true
    resource: {service.name: chat}
    payload_samples: {enabled: true}
    chunk: {max_age: 100ms}
processors: {pii: {key_file: %[1]s/key}}
exporters:
  websocketclickhouse:
    endpoint: %[3]s
    sending_queue: {storage: file_storage}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}, logs: {level: debug}}
  pipelines:
    logs: {receivers: [websocketendpoint], processors: [pii], exporters: [websocketclickhouse]}
`

// TestASecretInABadPayloadIsNowhere sends messages that are not UTF-8 and full of secrets. They are in one table, without
// the secrets.
func TestASecretInABadPayloadIsNowhere(t *testing.T) {
	t.Parallel()
	c := &canaries{t: t, slots: map[string]string{}}
	engine, data, addr := startClickHouse(t), t.TempDir(), testenv.Address(t)
	collector := start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(samplesConfig, data, addr, engine.dsn())))
	collector.listening(addr)
	const marker = "a-word-that-says-nothing"
	v := &visitors{t: t, url: "ws://" + addr + "/", told: map[string]int{}}
	payloads := []string{
		`{"note":"` + marker + `","password":"` + c.word("password") + `","bad":"` + "\xff",
		`{"note":"` + marker + `","to":["` + c.email("address in a list") + `"],"bad":"` + "\xff",
		`note=` + marker + `&token=` + c.word("token in a form") + "&bad=\xff",
		`{"note":"` + marker + `","headers":{"authorization":"Bearer ` + c.token("bearer") + `"},"card":` +
			fmt.Sprint(c.card("card")) + `,"bad":"` + "\xff" + `"}`,
		marker + " " + strings.Repeat("x ", 499) + " password: " + c.word("secret at the end of what is kept") + " \xff",
	}
	for _, p := range payloads {
		conn := v.enter("none")
		require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte(p)))
		require.Equal(t, 1007, closed(conn))
	}
	eventually(t, 60*time.Second, "the samples", func() (bool, string) {
		text, err := query(engine.addr, "SELECT count(), countIf(position(sample, '"+marker+"') > 0), uniq(connection_id), max(length(sample)) <= 1024 "+
			"FROM payload_samples WHERE service = 'chat' AND error_type = 'invalid_utf8' AND message_type = 'text' AND size > 50")
		return text == fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t1", len(payloads)), fmt.Sprint(text, err)
	})
	eventually(t, 60*time.Second, "the closes", func() (bool, string) {
		n := number(engine.addr, "SELECT count() FROM events WHERE event = 'websocket.close'")
		return n == int64(len(payloads)), fmt.Sprint(n)
	})
	tables, err := query(engine.addr, "SELECT name FROM system.tables WHERE database = 'sockeye' AND engine NOT LIKE '%View'")
	require.NoError(t, err)
	for table := range strings.Lines(tables) {
		table = strings.TrimSpace(table)
		rows, err := query(engine.addr, "SELECT * FROM `"+table+"` FORMAT JSONEachRow")
		require.NoError(t, err)
		c.requireNone("table "+table, []byte(rows))
		require.Equal(t, table == "payload_samples", strings.Contains(rows, marker), table)
	}
	require.Zero(t, number(engine.addr, "SELECT count() FROM events WHERE event = 'websocket.message.sampled'"))
	require.Zero(t, number(engine.addr, "SELECT count() FROM rollup_1m WHERE event = 'websocket.message.sampled'"))
	collector.stop()
	c.requireNone("output", []byte(collector.out.String()))
	require.NotContains(t, collector.out.String(), marker)
	engine.stop()
	for _, folder := range []string{data, engine.data} {
		c.requireNoneOnDisk(folder, "after the end")
	}
}
