package endpoint_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Clients that others wrote, over wss with a subprotocol and compression.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.Subprotocols = []string{"chat.v2", "chat.v1"}
	set.Deflate = &wire.Deflate{}
	set.InBandRefresh = true
	long := strings.Repeat("the same again, ", 1000)
	header := http.Header{"Authorization": {"Bearer good-ann"}}

	t.Run("gorilla", func(t *testing.T) {
		t.Parallel()
		s := serveTLS(t, set)
		dialer := websocket.Dialer{TLSClientConfig: s.tls, Subprotocols: []string{"chat.v1"}, EnableCompression: true}
		c, _, err := dialer.Dial("wss://"+s.addr+"/chat", header)
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, "chat.v1", c.Subprotocol())
		require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(`{"auth":"good-ann"}`)))
		for _, m := range []string{"", "short", long} {
			require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(m)))
			_, got, err := c.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, m, string(got))
		}
		s.log.wait(event.AuthRefreshed, nil)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")
		require.NoError(t, c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)))
		_, _, err = c.ReadMessage()
		require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), "%v", err)
		require.True(t, s.log.wait(event.Close, nil).Get(event.CloseClean).Bool())
	})
	t.Run("coder", func(t *testing.T) {
		t.Parallel()
		s := serveTLS(t, set)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		transport := &http.Transport{TLSClientConfig: s.tls}
		defer transport.CloseIdleConnections()
		c, _, err := coder.Dial(ctx, "wss://"+s.addr+"/chat", &coder.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, HTTPHeader: header,
			Subprotocols: []string{"chat.v2"}, CompressionMode: coder.CompressionContextTakeover,
		})
		require.NoError(t, err)
		defer c.CloseNow()
		require.Equal(t, "chat.v2", c.Subprotocol())
		for _, m := range []string{"", "short", long} {
			require.NoError(t, c.Write(ctx, coder.MessageBinary, []byte(m)))
			_, got, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, m, string(got))
		}
		require.NoError(t, c.Close(coder.StatusNormalClosure, "bye"))
		require.True(t, s.log.wait(event.Close, nil).Get(event.CloseClean).Bool())
	})
	t.Run("a page of another site", func(t *testing.T) {
		t.Parallel()
		s := serve(t, set)
		evil := header.Clone()
		evil.Set("Origin", "https://evil.example")
		_, answer, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/chat", evil)
		require.Error(t, err)
		require.Equal(t, http.StatusForbidden, answer.StatusCode)
	})
}

// An Endpoint works behind any http.Server; what only Server tells is missing then.
func TestAServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t)
			set := config()
			set.Observer = l
			e, err := endpoint.New(set)
			require.NoError(t, err)
			server, url := ownServer(t, e, secure)
			defer server()
			dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			c, _, err := dialer.Dial(url, nil)
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte("hello")))
			_, got, err := c.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
			go c.ReadMessage() // answers the Close frame
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			require.NoError(t, e.Shutdown(ctx))
			require.True(t, l.wait(event.Close, nil).Get(event.CloseClean).Bool())
		})
	}
}

func ownServer(t *testing.T, h http.Handler, secure bool) (stop func(), url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if secure {
		s.StartTLS()
		return s.Close, "wss" + strings.TrimPrefix(s.URL, "https")
	}
	s.Start()
	return s.Close, "ws" + strings.TrimPrefix(s.URL, "http")
}
