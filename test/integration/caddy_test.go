package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

const caddyGlobal = `{
	admin off
	auto_https off
	storage file_system %[1]s
	default_bind 127.0.0.1
}
`

const caddySite = `:%[1]s {
	log {
		output file %[2]s
		format %[3]s
	}
	respond /ws/401 401
	respond /ws/403 403
	respond /ws/404 404
	respond /ws/limited 429
	respond /page 200
	reverse_proxy /ws/down %[5]s
	reverse_proxy %[4]s
}
`

func TestEveryFormatOfCaddyProvesWhatItCan(t *testing.T) {
	t.Parallel()
	path := testenv.Program(t, "caddy", "caddy")
	for name, c := range map[string]struct {
		format       string
		withTemplate bool
	}{
		"JSON":                               {"json", false},
		"local times and durations as texts": {"json {\n\t\t\ttime_format wall_milli\n\t\t\tduration_format string\n\t\t}", false},
		"ISO 8601 and nanoseconds":           {"json {\n\t\t\ttime_format iso8601\n\t\t\tduration_format nano\n\t\t}", false},
		"keys and a layout of its own":       {"json {\n\t\t\ttime_key when\n\t\t\tmessage_key what\n\t\t\ttime_format \"02.01.2006 15:04:05.000 -0700\"\n\t\t}", true},
		"a filter": {"filter {\n\t\t\twrap json\n\t\t\tfields {\n\t\t\t\tuser_id delete\n\t\t\t\trequest>headers>Sec-Websocket-Key delete\n\t\t\t\t" +
			"request>remote_ip ip_mask {\n\t\t\t\t\tipv4 24\n\t\t\t\t}\n\t\t\t}\n\t\t}", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			log, config := filepath.Join(dir, "access.log"), filepath.Join(dir, "Caddyfile")
			client := scripted{t: t, tcp: testenv.Address(t), patient: true}
			_, port, err := net.SplitHostPort(client.tcp)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, fmt.Sprintf(caddyGlobal, dir)+caddySite, port, log, c.format,
				switching(t), testenv.Address(t)), 0o600))
			proxy := start(t, []string{"HOME=" + dir, "TZ=UTC"}, path, "run", "--config", config, "--adapter", "caddyfile")
			proxy.listening(client.tcp)
			// Caddy says nothing of how a connection ended.
			truth := without(client.run(), "connection_reset", "idle_timeout", "upstream_lost")
			eventually(t, 10*1e9, "a line for each of 11 requests", func() (bool, string) {
				text, err := os.ReadFile(log)
				return err == nil && strings.Count(string(text), `"uri"`) == 11, string(text)
			})
			args := []string{"--format", "caddy", log}
			if c.withTemplate {
				args = append(args, "--template", c.format)
			}
			events := parseLog(t, args...)
			require.Equal(t, truth, byPath(events))
			for i := range events {
				e := &events[i]
				require.Equal(t, event.EvidenceObserved, evidenceOf(e))
				require.False(t, e.Has(event.CloseCode))
				if name == "a filter" {
					require.Equal(t, "127.0.0.0", e.String(event.ClientAddress))
					continue
				}
				require.Equal(t, "127.0.0.1", e.String(event.ClientAddress))
				require.Equal(t, name == "JSON" || strings.Contains(name, " "), e.Has(event.ClientPort))
			}
		})
	}
}
