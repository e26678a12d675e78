package integration

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// echoServer is a WebSocket backend.
func echoServer(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat.v1"}})
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // the connection is over either way
		for {
			kind, payload, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, payload) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// session opens a connection, says hello once, and closes it.
func session(ctx context.Context, url string) error {
	c, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"chat.v1"}})
	if err != nil {
		if resp != nil && resp.Body != nil {
			resp.Body.Close()
		}
		return err
	}
	defer c.CloseNow() //nolint:errcheck // closed below
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	if _, _, err := c.Read(ctx); err != nil {
		return err
	}
	return c.Close(websocket.StatusNormalClosure, "")
}

func TestALineOfNginxIsARowWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	proxy, accessLog, _ := startNginx(t, echoServer(t))
	env, clickhouseAddr, _, _ := exampleEnv(t, accessLog)
	collector := start(t, env, binary(t), "--config", filepath.Join(testenv.Root(), "examples", "collector.yaml"))
	collector.listening(clickhouseAddr)
	// The tables are there once the pipeline has stored the first progress of the source.
	eventually(t, 60*time.Second, "the source's first progress", func() (bool, string) {
		text, err := query(clickhouseAddr, "SELECT count() FROM source_progress")
		return err == nil && text != "0", text
	})

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	secret := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	require.NoError(t, session(ctx, "ws://"+proxy+"/ws?room=7&token="+secret+"&user=alice%40example.com"))
	written := time.Now()
	eventually(t, 5*time.Second, "open and close in events, and in the rollup", func() (bool, string) {
		const both = "websocket.close\t1\nwebsocket.open\t1"
		rows, err := query(clickhouseAddr, "SELECT event, sum(count) FROM events GROUP BY event ORDER BY event")
		rollup, rollupErr := query(clickhouseAddr, "SELECT event, sum(count) FROM rollup_10s GROUP BY event ORDER BY event")
		return err == nil && rollupErr == nil && rows == both && rollup == both, rows + " / " + rollup
	})
	t.Logf("a line was readable after %s", time.Since(written).Round(time.Millisecond))

	row, err := query(clickhouseAddr, `SELECT service, vantage, visibility, source_type, outcome, status, server_address,
		url_path, subprotocol, client_address, close_code, close_initiator, close_clean
		FROM events WHERE event = 'websocket.open' FORMAT TSV`)
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{"chat", "edge", "at_close", "nginx", "success", "101", "127.0.0.1", "/ws",
		"chat.v1", "127.0.0.0", `\N`, "", `\N`}, "\t"), row)
	all, err := query(clickhouseAddr, "SELECT * FROM events FORMAT JSONEachRow")
	require.NoError(t, err)
	require.NotContains(t, all, "alice", "an e-mail of the URL reached the store")
	require.NotContains(t, all, "eyJ", "a token of the URL reached the store")
	require.NotContains(t, collector.out.String(), "alice")
	require.NotContains(t, collector.out.String(), "eyJ")
}
