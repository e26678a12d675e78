package integration

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 demands it
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

// scripted is a client that writes what it likes and knows what came of it.
type scripted struct {
	t        *testing.T
	tcp, tls string
	// patient is true where the proxy has no limit to how long a connection may be idle.
	patient bool
}

// outcomes are what a status of a handshake means.
var outcomes = map[int]string{
	101: "websocket.open , websocket.close ", 401: "websocket.handshake.rejected unauthenticated, websocket.auth unauthenticated",
	403: "websocket.handshake.rejected forbidden", 404: "websocket.handshake.rejected bad_handshake",
	429: "websocket.handshake.rejected rate_limited, websocket.rate_limited ",
	502: "websocket.handshake.rejected upstream_unavailable", 503: "websocket.handshake.rejected upstream_unavailable",
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
		truth[path] = outcomes[status]
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
		"/ws/idle": func(conn *net.TCPConn) {
			if c.patient {
				require.NoError(c.t, conn.Close())
			}
			ended(conn)
		},
		"/ws/crash": func(conn *net.TCPConn) { ended(conn) },
	} {
		conn, status := c.request(path, true)
		require.Equal(c.t, 101, status)
		end(conn)
		truth[path] = outcomes[status] + map[string]string{
			"/ws/rst": "connection_reset", "/ws/idle": "idle_timeout", "/ws/crash": "upstream_lost",
		}[path]
	}
	var limited []string
	for range 2 {
		conn, status = c.request("/ws/limited", true)
		_ = conn.Close()
		limited = append(limited, outcomes[status])
	}
	require.Equal(c.t, 429, status)
	truth["/ws/limited"] = strings.Join(limited, ", ")
	for path, words := range truth {
		truth[path] = sorted(strings.Split(words, ", "))
	}
	if c.tls == "" {
		return truth
	}
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
		// RFC 6455 §4.2.2; HAProxy looks at it.
		accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(accept[:]))
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

// sorted joins what happened at a path: a log may have a rejection before the end of an older connection.
func sorted(list []string) string {
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// without returns truth as it looks to a log that does not know these reasons for the end of a connection.
func without(truth map[string]string, reasons ...string) map[string]string {
	unknown := map[string]string{}
	for path, words := range truth {
		for _, why := range reasons {
			words = strings.Replace(words, "websocket.close "+why, "websocket.close ", 1)
		}
		unknown[path] = words
	}
	return unknown
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
		got[path] = sorted(list)
	}
	return got
}

// evidenceOf is the evidence of an event as far as formats differ in it: that a 401 was a failure of authentication, and
// a 429 a limit, is always a conclusion.
func evidenceOf(e *event.Event) string {
	if slices.Contains([]event.Name{event.Auth, event.RateLimited}, e.Name) {
		return event.EvidenceObserved
	}
	return e.String(event.SourceEvidence)
}
