package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pipelineConfig reads one access log into an engine that runs by itself.
const pipelineConfig = `
extensions:
  file_storage:
    directory: %[1]s/storage
    create_directory: true
receivers:
  websocketlog:
    format: nginx
    include: [%[2]s]
    start_at: beginning
    storage: file_storage
    key_file: %[1]s/installation.key
    resource:
      service.name: chat
processors:
  pii:
    key_file: %[1]s/installation.key
exporters:
  websocketclickhouse:
    endpoint: %[3]s
service:
  extensions: [file_storage]
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [websocketlog]
      processors: [pii]
      exporters: [websocketclickhouse]
`

// accessLine is one line of nginx's log: a connection that succeeded, written now. n makes it its own.
func accessLine(n int, now time.Time) string {
	return fmt.Sprintf(`{"time":"%s","msec":%d.%03d,"request_id":"%032x","connection":%d,"remote_addr":"198.51.100.%d",`+
		`"remote_port":"%d","request_method":"GET","scheme":"https","host":"chat.example.com",`+
		`"request_uri":"/ws?room=%d","server_protocol":"HTTP/1.1","status":101,"body_bytes_sent":%d,"request_time":1.500,`+
		`"upstream_header_time":"0.004","http_upgrade":"websocket","http_user_agent":"test",`+
		`"sent_http_sec_websocket_protocol":""}`+"\n",
		now.UTC().Format("2006-01-02T15:04:05-07:00"), now.Unix(), now.Nanosecond()/1e6, n, n, n%250, 1024+n%60000, n%10, n%4000)
}

// TestEngineOutageUnderLoadLosesNothing stops the engine while lines keep coming. SOCKEYE_OUTAGE sets how long (15s).
func TestEngineOutageUnderLoadLosesNothing(t *testing.T) {
	for protocol, outage := range map[string]time.Duration{"http": 15 * time.Second, "clickhouse": 6 * time.Second} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			outageUnderLoad(t, protocol, outage)
		})
	}
}

func outageUnderLoad(t *testing.T, protocol string, outage time.Duration) {
	if text := os.Getenv("SOCKEYE_OUTAGE"); text != "" {
		var err error
		outage, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	engine := startClickHouseOver(t, protocol, t.TempDir())
	dir := t.TempDir()
	logPath := filepath.Join(dir, "access.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer log.Close()
	config := filepath.Join(dir, "collector.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, pipelineConfig, dir, logPath, engine.dsn()), 0o600))
	collector := start(t, nil, binary(t), "--config", config)

	const perSecond = 5000
	lines, peak := 0, int64(0)
	write := func(d time.Duration) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
			var b strings.Builder
			for range perSecond / 10 {
				b.WriteString(accessLine(lines, time.Now()))
				lines++
			}
			_, err := log.WriteString(b.String())
			require.NoError(t, err)
			peak = max(peak, collector.residentBytes())
		}
	}
	write(5 * time.Second)
	eventually(t, 30*time.Second, "events before the outage", func() (bool, string) {
		return number(engine.addr, "SELECT count() FROM events") > 0, collector.out.String()
	})
	before := peak
	engine.stop()
	write(outage / 2)
	// Halfway the log is rotated, as logrotate does: by rename, and the writer goes on in a new file.
	require.NoError(t, os.Rename(logPath, logPath+".1"))
	log.Close()
	log, err = os.Create(logPath)
	require.NoError(t, err)
	write(outage / 2)
	engine.restart(t)
	write(2 * time.Second)

	began := time.Now()
	want := fmt.Sprintf("%d\t%d", 2*lines, lines)
	eventually(t, 120*time.Second, "every line stored once", func() (bool, string) {
		got, err := query(engine.addr, "SELECT count(), uniqExact(connection_id) FROM events")
		return got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
	})
	t.Logf("%d lines through %s without the engine; backlog drained in %s; resident memory at most %d MiB (%d MiB before)",
		lines, outage, time.Since(began).Round(time.Millisecond), peak>>20, before>>20)
	requireTiersEqualRecount(t, engine.addr)
	require.Less(t, peak, int64(700)<<20, "memory must not grow with the backlog")
}
