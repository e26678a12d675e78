package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func TestClientsOfOtherLibraries(t *testing.T) {
	t.Parallel()
	url := "ws://" + startEcho(t, &Echo{Limits: EchoLimits(), Subprotocols: []string{"echo"}})
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprint("gorilla, compression ", compress), func(t *testing.T) {
			dialer := gorilla.Dialer{EnableCompression: compress, Subprotocols: []string{"echo"}}
			conn, response, err := dialer.Dial(url, nil)
			require.NoError(t, err)
			defer conn.Close()
			defer response.Body.Close()
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
			require.Equal(t, "echo", conn.Subprotocol())
			for kind := range contentNames {
				m := content(kind, 70_000, 1)
				require.NoError(t, conn.WriteMessage(int(m.Op), m.Payload))
				op, payload, err := conn.ReadMessage()
				require.NoError(t, err)
				requireMessage(t, m, Message{byte(op), payload})
			}
			require.NoError(t, conn.WriteControl(opClose, gorilla.FormatCloseMessage(4000, "done"), time.Now().Add(patience)))
			_, _, err = conn.ReadMessage()
			var closed *gorilla.CloseError
			require.True(t, errors.As(err, &closed))
			require.Equal(t, 4000, closed.Code)
		})
	}
	for _, mode := range []coder.CompressionMode{coder.CompressionDisabled, coder.CompressionContextTakeover, coder.CompressionNoContextTakeover} {
		t.Run(fmt.Sprint("coder, compression ", mode), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			conn, _, err := coder.Dial(ctx, url, &coder.DialOptions{
				HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"echo"}, CompressionMode: mode,
			})
			require.NoError(t, err)
			defer func() { _ = conn.CloseNow() }()
			conn.SetReadLimit(-1)
			require.Equal(t, "echo", conn.Subprotocol())
			for range 2 {
				for kind := range contentNames {
					m := content(kind, 70_000, 1)
					require.NoError(t, conn.Write(ctx, coder.MessageType(m.Op), m.Payload))
					op, payload, err := conn.Read(ctx)
					require.NoError(t, err)
					requireMessage(t, m, Message{byte(op), payload})
				}
			}
			require.NoError(t, conn.Close(4000, "done"))
		})
	}
}
