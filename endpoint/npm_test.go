package endpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

// What most programs in JavaScript use, by a script that tells what it sees.
func TestTheNPMPackageWS(t *testing.T) {
	t.Parallel()
	clients := filepath.Join(testenv.Root(), "test", "clients")
	if _, err := os.Stat(filepath.Join(clients, "node_modules", "ws")); err != nil {
		testenv.Missing(t, "the npm package ws", "run `make clients`")
	}
	set := withTokens()
	set.Subprotocols = []string{"chat.v2", "chat.v1"}
	set.Deflate = &wire.Deflate{}
	set.InBandRefresh = true
	set.Limits.Frames.MessageBytes = 2 << 20
	set.Queue.Bytes = 4 << 20
	set.Timeouts = endpoint.Timeouts{Ping: 200 * time.Millisecond, Pong: patience, Close: patience}
	a := newAuthority(t)
	cert, key := a.issue("server", 2)
	s := serveBy(t, set, endpoint.ServerSettings{CertFile: cert, KeyFile: key})

	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	node := exec.CommandContext(ctx, testenv.Program(t, "node", "nodejs"), "ws.mjs", "wss://"+s.addr+"/chat")
	node.Dir = clients
	node.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+a.file())
	var stderr bytes.Buffer
	node.Stderr = &stderr
	out, err := node.Output()
	require.NoError(t, err, "%s\n%s", out, stderr.String())

	type values = map[string]any
	var seen []values
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var line values
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		seen = append(seen, line)
	}
	compressed := values{
		"what": "compressed", "protocol": "chat.v2", "extensions": "permessage-deflate", "empty": true, "short": true, "long": true,
		"again": true, "fragments": true, "plain": true, "large": true,
	}
	bye := values{"what": "closed", "code": 4001., "reason": ""}
	require.Equal(t, []values{
		compressed, bye, compressed, bye,
		{"what": "plain", "extensions": "", "pinged": true, "ponged": "are you there", "sizes": values{
			"0": true, "1": true, "125": true, "126": true, "65535": true, "65536": true, "1048576": true,
		}},
		{"what": "refused a refresh", "code": 3003., "reason": "client not allowed"},
		{"what": "too big", "code": 1009., "reason": "message over the limit"},
		{"what": "no credential", "status": 401., "challenge": "Bearer"},
		{"what": "a wrong token", "status": 401., "challenge": `Bearer error="invalid_token"`},
		{"what": "another site", "status": 403., "challenge": ""},
	}, seen)

	s.log.count(event.Close, 5)
	s.log.wait(event.Open, func(e *event.Event) bool {
		return bytes.Contains(e.AppendJSON(nil), []byte("; server_no_context_takeover; client_no_context_takeover"))
	})
	s.log.wait(event.Close, func(e *event.Event) bool {
		is := e.String(event.ErrorType)
		return (is == event.ConnectionLost || is == event.ConnectionReset) && !e.Get(event.CloseClean).Bool()
	})
	s.log.wait(event.Ping, nil)
	require.Len(t, s.log.all(event.AuthRefreshed), 2)
	require.Len(t, s.log.all(event.HandshakeRejected), 3)
	require.Equal(t, event.MessageTooBig, s.log.wait(event.Error, nil).String(event.ErrorType))
}
