package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// formatsConfig writes every request with three formats, and the error log at the level that says why connections ended.
const formatsConfig = `worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log info;
events { worker_connections 256; }
http {
  client_body_temp_path %[1]s/tmp; proxy_temp_path %[1]s/tmp; fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp; scgi_temp_path %[1]s/tmp;
  limit_req_zone $server_port zone=one:1m rate=1r/m;
  limit_req_status 429;
  include formats/*.conf;
  access_log %[1]s/json.log own_json;
  access_log %[1]s/combined.log;
  access_log %[1]s/custom.log custom;
  server {
    listen %[2]s;
    listen %[3]s ssl;
    ssl_certificate %[1]s/tls.pem;
    ssl_certificate_key %[1]s/tls.pem;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    location /ws { proxy_pass http://%[4]s; }
    location = /ws/limited { limit_req zone=one; proxy_pass http://%[4]s; }
    location = /ws/idle { proxy_pass http://%[4]s; proxy_read_timeout 1s; }
    location = /ws/down { proxy_pass http://%[5]s; }
    location = /ws/401 { return 401; }
    location = /ws/403 { return 403; }
    location = /ws/404 { return 404; }
    location = /page { return 200; }
  }
}
`

// formatFiles are what formatsConfig includes: a JSON format with keys of its own and one that is not JSON.
var formatFiles = map[string]string{
	"json.conf": `log_format own_json escape=json '{"at":"$time_iso8601","t":$msec,"c":$connection,"code":"$status",'
	  '"took":$request_time,"peer":"$remote_addr","peer_port":$remote_port,"what":"$request_uri","up":"$http_upgrade",'
	  '"bytes":$body_bytes_sent,"agent":"$http_user_agent","hs":"$upstream_header_time"}';`,
	"custom.conf": `log_format custom escape=default '$remote_addr:$remote_port [$time_local] <$connection> "$request" '
	  '${status} $request_time $upstream_header_time "$http_user_agent" [$http_upgrade] $upstream_addr $body_bytes_sent';`,
}

func TestEveryFormatOfNginxProvesWhatItCan(t *testing.T) {
	t.Parallel()
	nginxPath := testenv.Program(t, "nginx", "nginx-light")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	selfSigned(t, filepath.Join(dir, "tls.pem"))
	client := scripted{t: t, tcp: testenv.Address(t), tls: testenv.Address(t)}
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "formats"), 0o755))
	for name, text := range formatFiles {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "formats", name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, formatsConfig, dir, client.tcp, client.tls, switching(t), testenv.Address(t)), 0o600))
	nginx := start(t, nil, nginxPath, "-c", conf, "-p", dir, "-e", filepath.Join(dir, "start.log"))
	nginx.listening(client.tcp)
	truth := client.run()
	file := func(name string) string { return filepath.Join(dir, name) }
	eventually(t, 10*time.Second, "a line for each of 11 requests", func() (bool, string) {
		text, err := os.ReadFile(file("custom.log"))
		return err == nil && bytes.Count(text, []byte("\n")) == 11, string(text)
	})
	for _, log := range []string{"json.log", "custom.log"} {
		events := parseLog(t, "--nginx-conf", conf, "--error-log", file("error.log"), file(log))
		require.Equal(t, truth, byPath(events), log)
		for i := range events {
			e := &events[i]
			require.Equal(t, event.EvidenceObserved, evidenceOf(e), log)
			require.Equal(t, "127.0.0.1", e.String(event.ClientAddress))
			require.True(t, e.Has(event.ClientPort))
			if e.Name == event.Open {
				require.Equal(t, `a "b" \c [d] 200 é`, e.String(event.UserAgentOriginal), log)
			}
			if e.Name == event.Close && e.String(event.URLPath) == "/ws/idle" {
				require.InDelta(t, 1, e.Get(event.ConnectionDuration).Double(), 0.5, log)
				require.Equal(t, event.InitiatorProxy, e.String(event.CloseInitiator))
			}
			require.False(t, e.Has(event.CloseCode))
		}
	}

	// Without the error log nobody knows why connections ended.
	unknown := without(truth, "connection_reset", "idle_timeout", "upstream_lost")
	require.Equal(t, unknown, byPath(parseLog(t, "--nginx-conf", conf, file("json.log"))))

	// combined knows neither ids nor durations, and what was an attempt only by its path.
	combined := parseLog(t, "--nginx-conf", conf, "--path", "/ws/*", file("combined.log"))
	require.Equal(t, unknown, byPath(combined))
	for i := range combined {
		require.Equal(t, event.EvidenceInferred, combined[i].String(event.SourceEvidence))
		require.False(t, combined[i].Has(event.ConnectionDuration))
	}
	for path, words := range byPath(parseLog(t, "--format", "auto", file("combined.log"))) {
		require.Equal(t, "websocket.close , websocket.open ", words, path)
	}

	failures := parseLog(t, "--format", "nginx_error", file("error.log"))
	require.Len(t, failures, 1)
	require.Equal(t, event.TLSFailed, failures[0].String(event.ErrorType))
	require.Equal(t, "127.0.0.1", failures[0].String(event.ClientAddress))
	require.WithinDuration(t, time.Now(), failures[0].Time, time.Minute)
}
