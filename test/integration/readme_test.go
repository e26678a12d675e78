package integration

import (
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

// TestTheTenLinesOfTheREADMEServeAClient runs the configuration that the README shows. Only its places are changed.
func TestTheTenLinesOfTheREADMEServeAClient(t *testing.T) {
	t.Parallel()
	provider := newIdentityProvider(t)
	provider.up.Store(true)
	readme, err := os.ReadFile(filepath.Join(testenv.Root(), "README.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "### A WebSocket endpoint in the collector\n\n```yaml\n")
	require.True(t, ok)
	text, _, _ := strings.Cut(rest, "```")
	require.LessOrEqual(t, strings.Count(text, "\n"), 10)
	dir, addr := t.TempDir(), testenv.Address(t)
	pem := filepath.Join(dir, "tls.pem")
	selfSigned(t, pem)
	for place, ours := range map[string]string{
		"0.0.0.0:8443": addr, "tls.crt": pem, "tls.key": pem, "https://login.example.com/jwks.json": provider.server.URL,
		"sockeye.key": filepath.Join(dir, "sockeye.key"),
	} {
		require.Contains(t, text, place)
		text = strings.ReplaceAll(text, place, ours)
	}
	config := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	collector := start(t, nil, binary(t), "--config", config, "--set", "service.telemetry.metrics.level=none")
	collector.listening(addr)

	v := &visitors{t: t, url: "wss://" + addr + "/", told: map[string]int{}}
	page := http.Header{"Origin": {"https://" + addr}}
	c, status := v.come(provider.token("ann", time.Hour), page)
	require.Equal(t, http.StatusSwitchingProtocols, status)
	require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte("hello")))
	v.leave(c)
	_, status = v.come("nobody", page)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, name := range []string{"websocket.open", "websocket.close", "websocket.handshake.rejected"} {
		eventually(t, 30*time.Second, name+" printed", func() (bool, string) {
			return strings.Contains(collector.out.String(), name), ""
		})
	}
}
