package integration

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// scripted is a client that writes what it likes and knows what came of it.
type scripted struct {
	t        *testing.T
	tcp, tls string
}

// request sends a handshake, or without upgrade any request, and returns the connection and the response's status.
func (c scripted) request(path string, upgrade bool) (*net.TCPConn, int) {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.tcp)
	require.NoError(c.t, err)
	require.NoError(c.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	headers := "Connection: close\r\n"
	if upgrade {
		headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	// The user agent is what a client may send to break a log.
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: chat.example.test\r\nUser-Agent: a \"b\" \\c [d] 200 é\r\n%s\r\n", path, headers)
	require.NoError(c.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(c.t, err)
	require.NoError(c.t, resp.Body.Close())
	return conn.(*net.TCPConn), resp.StatusCode
}

// ended waits until the peer has closed.
func ended(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1024)) // a reset is an end too
	_ = conn.Close()
}

// run does everything once and returns what happened by path: the events, each with its error.type.
func (c scripted) run() map[string]string {
	truth := map[string]string{}
	for _, path := range []string{"/ws/401", "/ws/403", "/ws/404", "/ws/down"} {
		conn, status := c.request(path, true)
		require.NoError(c.t, conn.Close())
		truth[path] = map[int]string{
			401: "websocket.handshake.rejected unauthenticated, websocket.auth unauthenticated", 403: "websocket.handshake.rejected forbidden",
			404: "websocket.handshake.rejected bad_handshake", 502: "websocket.handshake.rejected upstream_unavailable",
		}[status]
	}
	conn, status := c.request("/page", false)
	require.Equal(c.t, 200, status)
	require.NoError(c.t, conn.Close())

	// The end of each: the client's FIN, its RST, the proxy's patience, the backend's RST.
	for path, end := range map[string]func(*net.TCPConn){
		"/ws/fin": func(conn *net.TCPConn) { require.NoError(c.t, conn.Close()) },
		"/ws/rst": func(conn *net.TCPConn) {
			require.NoError(c.t, conn.SetLinger(0))
			require.NoError(c.t, conn.Close())
		},
		"/ws/idle":  func(conn *net.TCPConn) { ended(conn) },
		"/ws/crash": func(conn *net.TCPConn) { ended(conn) },
	} {
		conn, status := c.request(path, true)
		require.Equal(c.t, 101, status)
		end(conn)
		truth[path] = map[string]string{
			"/ws/fin": "websocket.open , websocket.close ", "/ws/rst": "websocket.open , websocket.close connection_reset",
			"/ws/idle": "websocket.open , websocket.close idle_timeout", "/ws/crash": "websocket.open , websocket.close upstream_lost",
		}[path]
	}
	for range 2 {
		conn, status = c.request("/ws/limited", true)
		_ = conn.Close()
	}
	require.Equal(c.t, 429, status)
	truth["/ws/limited"] = "websocket.open , websocket.close , websocket.handshake.rejected rate_limited, websocket.rate_limited "

	broken, err := net.Dial("tcp", c.tls)
	require.NoError(c.t, err)
	require.NoError(c.t, broken.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = broken.Write([]byte("\x16\x03\x01\x00\x05hello"))
	require.NoError(c.t, err)
	ended(broken)
	return truth
}

// switching is a backend that upgrades whatever it is asked for, and resets the connection on /ws/crash.
func switching(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
		if r.URL.Path == "/ws/crash" {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			return
		}
		ended(conn)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// selfSigned writes a certificate and its key.
func selfSigned(t *testing.T, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// parseLog runs `sockeye parse` and returns the events.
func parseLog(t *testing.T, args ...string) (events []event.Event) {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"parse", "--strict"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	decoder := event.Decoder{}
	for line := range bytes.Lines(stdout.Bytes()) {
		var e event.Event
		require.NoError(t, decoder.Decode(bytes.TrimSpace(line), &e))
		events = append(events, e.Clone())
	}
	return events
}

// byPath describes events as scripted.run does.
func byPath(events []event.Event) map[string]string {
	lists := map[string][]string{}
	for i := range events {
		path := events[i].String(event.URLPath)
		lists[path] = append(lists[path], string(events[i].Name)+" "+events[i].String(event.ErrorType))
	}
	got := map[string]string{}
	for path, list := range lists {
		got[path] = strings.Join(list, ", ")
	}
	return got
}

func TestEveryFormatOfNginxProvesWhatItCan(t *testing.T) {
	t.Parallel()
	nginxPath := testenv.Program(t, "nginx", "nginx-light")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	selfSigned(t, filepath.Join(dir, "tls.pem"))
	client := scripted{t, freeAddress(t), freeAddress(t)}
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "formats"), 0o755))
	for name, text := range formatFiles {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "formats", name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, formatsConfig, dir, client.tcp, client.tls, switching(t), freeAddress(t)), 0o600))
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
	unknown := map[string]string{}
	for path, words := range truth {
		for _, why := range []string{"connection_reset", "idle_timeout", "upstream_lost"} {
			words = strings.Replace(words, "websocket.close "+why, "websocket.close ", 1)
		}
		unknown[path] = words
	}
	require.Equal(t, unknown, byPath(parseLog(t, "--nginx-conf", conf, file("json.log"))))

	// combined knows neither ids nor durations, and what was an attempt only by its path.
	combined := parseLog(t, "--nginx-conf", conf, "--path", "/ws/*", file("combined.log"))
	require.Equal(t, unknown, byPath(combined))
	for i := range combined {
		require.Equal(t, event.EvidenceInferred, combined[i].String(event.SourceEvidence))
		require.False(t, combined[i].Has(event.ConnectionDuration))
	}
	for path, words := range byPath(parseLog(t, "--format", "auto", file("combined.log"))) {
		require.Equal(t, "websocket.open , websocket.close ", words, path)
	}

	failures := parseLog(t, "--format", "nginx_error", file("error.log"))
	require.Len(t, failures, 1)
	require.Equal(t, event.TLSFailed, failures[0].String(event.ErrorType))
	require.Equal(t, "127.0.0.1", failures[0].String(event.ClientAddress))
	require.WithinDuration(t, time.Now(), failures[0].Time, time.Minute)
}

// evidenceOf is the evidence of an event as far as formats differ in it: that a 401 was a failure of authentication, and
// a 429 a limit, is always a conclusion.
func evidenceOf(e *event.Event) string {
	if slices.Contains([]event.Name{event.Auth, event.RateLimited}, e.Name) {
		return event.EvidenceObserved
	}
	return e.String(event.SourceEvidence)
}
