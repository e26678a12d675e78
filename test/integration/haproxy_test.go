package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// haproxyConfig has the log-format and what else tells one log from another in its second place.
const haproxyConfig = `global
  log stdout format %[1]s local0 info
defaults
  mode http
  log global
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout tunnel 1s
  option dontlognull
frontend fe_ws
  bind %[3]s
  bind %[4]s ssl crt %[5]s
  %[2]s
  stick-table type ip size 1k expire 60s store gpc0
  http-request track-sc0 src if { path /ws/limited }
  http-request deny deny_status 429 if { path /ws/limited } { sc0_inc_gpc0 gt 1 }
  http-request deny deny_status 401 if { path /ws/401 }
  http-request deny deny_status 403 if { path /ws/403 }
  http-request deny deny_status 404 if { path /ws/404 }
  http-request return status 200 if { path /page }
  use_backend bk_down if { path /ws/down }
  default_backend bk_ws
backend bk_ws
  server ws1 %[6]s
backend bk_down
  retries 0
  server dead %[7]s
`

const haproxyCaptures = `capture request header Host len 64
  capture request header Upgrade len 16
  capture request header User-Agent len 64
  `

func TestEveryFormatOfHAProxyProvesWhatItCan(t *testing.T) {
	t.Parallel()
	path := testenv.Program(t, "haproxy", "haproxy")
	for name, c := range map[string]struct {
		// format is of the log as a whole, directives are those of the frontend.
		format, directives string
		// template is given to the command, or the directives where it is not "".
		withTemplate bool
		unknown      []string
	}{
		"option httplog": {"raw", haproxyCaptures + "option httplog", false, nil},
		"option httplog behind the head of RFC 5424": {"rfc5424", haproxyCaptures + "option httplog", true, nil},
		"JSON": {"raw", haproxyCaptures + `log-format '{"accept_ts":"%Ts.%ms","client_ip":"%ci","client_port":%cp,"uri":"%[capture.req.uri,json(utf8s)]",` +
			`"http_version":"%HV","method":"%HM","status":%ST,"term_state":"%ts","time_request":%TR,"time_queue":%Tw,"time_connect":%Tc,"time_response":%Tr,` +
			`"time_active":%Ta,"host":"%[capture.req.hdr(0),json(utf8s)]","upgrade":"%[capture.req.hdr(1),json(utf8s)]",` +
			`"user_agent":"%[capture.req.hdr(2),json(utf8s)]","unique_id":"%ID"}'`, false, nil},
		"JSON with keys of its own behind the head of RFC 3164": {"rfc3164", "http-request set-var(txn.up) req.hdr(upgrade)\n  " +
			"http-request set-var(txn.ua) req.hdr(user-agent)\n  " +
			`log-format '{"a":"%trg","b":"%ci","c":"%cp","d":"%[var(txn.up),json(utf8s)]","e":%ST,"f":"%tsc","g":%Ta,"h":"%[var(txn.ua),json(utf8s)]",` +
			`"i":"%[capture.req.uri,json(utf8s)]"}'`, true, nil},
		"text of its own": {"raw", haproxyCaptures + `log-format "%{+Q}o %T <%ci:%cp> %ST in %Tt ms by %ts %[capture.req.hdr(1)] %[capture.req.hdr(2)] %HM %HPO"`, true, nil},
		"CLF without the places of captured headers": {"raw", haproxyCaptures + "option httplog clf", true, nil},
		"text without a state":                       {"raw", haproxyCaptures + `log-format %tr\ %ci:%cp\ %ST\ %Ta\ %hr\ %{+Q}r`, true, []string{"connection_reset", "idle_timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pem := filepath.Join(dir, "tls.pem")
			selfSigned(t, pem)
			client := scripted{t: t, tcp: testenv.Address(t), tls: testenv.Address(t)}
			config := filepath.Join(dir, "haproxy.cfg")
			require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, c.format, c.directives, client.tcp, client.tls, pem,
				switching(t), testenv.Address(t)), 0o600))
			proxy := start(t, nil, path, "-db", "-f", config)
			proxy.listening(client.tcp)
			// A server that goes away resets the connection as one does that closes in order, so the state is no proof.
			truth := without(client.run(), append(c.unknown, "upstream_lost")...)

			log := filepath.Join(dir, "haproxy.log")
			args := []string{"--format", "haproxy", log}
			if c.withTemplate {
				args = append(args, "--template", c.directives)
			}
			if strings.HasSuffix(c.directives, "clf") {
				args = append(args, "--path", "/ws/*")
			}
			var events []event.Event
			eventually(t, 10*1e9, "a line for each of 11 requests and a failure of TLS", func() (bool, string) {
				text := proxy.out.String()
				return strings.Count(text, "\n") == 12, text
			})
			require.NoError(t, os.WriteFile(log, []byte(proxy.out.String()), 0o600))
			events = parseLog(t, args...)
			got := byPath(events)
			require.Equal(t, "websocket.handshake.rejected tls_failed", got[""])
			delete(got, "")
			require.Equal(t, truth, got)
			for i := range events {
				e := &events[i]
				require.Equal(t, "127.0.0.1", e.String(event.ClientAddress))
				require.True(t, e.Has(event.ClientPort))
				require.False(t, e.Has(event.CloseCode))
				require.False(t, e.Has(event.IOSent))
				if e.Name == event.Open && !strings.Contains(name, "without") {
					require.Equal(t, event.EvidenceObserved, e.String(event.SourceEvidence))
				}
				if e.Name == event.Open && name != "option httplog" && !strings.Contains(name, "without") {
					require.Equal(t, `a "b" \c [d] 200 é`, e.String(event.UserAgentOriginal))
				}
				if e.Name == event.Close && e.String(event.URLPath) == "/ws/idle" {
					require.InDelta(t, 1, e.Get(event.ConnectionDuration).Double(), 0.5)
				}
			}
		})
	}
}

// With option logasap the line is there while the connection still is.
func TestHAProxyTellsAnOpenWhenItHappens(t *testing.T) {
	t.Parallel()
	path := testenv.Program(t, "haproxy", "haproxy")
	dir := t.TempDir()
	pem := filepath.Join(dir, "tls.pem")
	selfSigned(t, pem)
	client := scripted{t: t, tcp: testenv.Address(t), tls: testenv.Address(t)}
	config := filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, strings.Replace(haproxyConfig, "timeout tunnel 1s", "timeout tunnel 20s", 1), "raw",
		haproxyCaptures+"option httplog\n  option logasap", client.tcp, client.tls, pem, switching(t), testenv.Address(t)), 0o600))
	proxy := start(t, nil, path, "-db", "-f", config)
	proxy.listening(client.tcp)
	conn, status := client.request("/ws/fin", true)
	require.Equal(t, 101, status)
	defer conn.Close()
	eventually(t, 5*1e9, "a line while the connection is open", func() (bool, string) {
		text := proxy.out.String()
		return strings.Contains(text, "/ws/fin"), text
	})
	log := filepath.Join(dir, "haproxy.log")
	require.NoError(t, os.WriteFile(log, []byte(proxy.out.String()), 0o600))
	events := parseLog(t, "--format", "haproxy", log)
	require.Len(t, events, 1)
	require.Equal(t, event.Open, events[0].Name)
	require.Equal(t, event.VisibilityAtOpen, events[0].String(event.SourceVisibility))
}
