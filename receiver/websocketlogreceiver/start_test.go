package websocketlogreceiver

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
)

func TestWhatKeepsTheReceiverFromStartingIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no such extension": {func(c *Config) { id := component.MustNewID("file_storage"); c.Storage = &id },
			`storage: no extension "file_storage"; add it to service::extensions`},
		"an extension that stores nothing": {func(c *Config) { id := component.MustNewID("nop"); c.Storage = &id },
			`storage: extension "nop" stores nothing; use a storage extension such as file_storage`},
		"a taken port": {func(c *Config) {
			h := *c.HTTP.GetOrInsertDefault()
			h.Server.NetAddr.Endpoint = taken.Addr().String()
			c.HTTP = configoptional.Some(h)
		}, "http.endpoint: listen tcp " + taken.Addr().String() + ": bind: address already in use; choose a free address"},
		"a broken key": {func(c *Config) { c.KeyFile = os.DevNull }, "key_file: key file /dev/null: not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := createDefaultConfig().(*Config)
			cfg.Include = []string{"none.log"}
			c.change(cfg)
			r, err := newReceiver(cfg, receivertest.NewNopSettings(metadata.Type), &sink{})
			require.NoError(t, err)
			nop := struct {
				component.StartFunc
				component.ShutdownFunc
			}{}
			err = r.Start(t.Context(), host{component.MustNewID("nop"): nop})
			require.ErrorContains(t, err, c.want)
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

func TestNothingIsSentWhileBoundsCannotBeStored(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.start()
	g.number("access.log", 1, 3)
	g.sink.eventually(t, ids(1, 3))
	g.storage.broken(errors.New("disk full"))
	g.number("access.log", 4, 6)
	require.Eventually(t, func() bool {
		return g.logs.FilterMessageSnippet("offset cannot be stored").Len() > 0
	}, soon, often)
	require.Equal(t, ids(1, 3), g.sink.got())
	g.storage.broken(nil)
	g.sink.eventually(t, ids(1, 6))
	require.Equal(t, 1, g.logs.FilterMessageSnippet("offset cannot be stored").Len())
}

func TestNginxLinesGetTheResourceVantageAndAKeyThatStays(t *testing.T) {
	t.Parallel()
	const connected = `{"msec":1795330811.356,"request_id":"a1","status":101,"http_upgrade":"websocket","request_time":1}` + "\n"
	var seen []string
	for range 2 {
		g := newRig(t, func(c *Config) {
			c.Format, c.Vantage, c.Resource = "nginx", event.VantageGateway, map[string]string{"service.name": "chat"}
		})
		if len(seen) > 0 {
			// The key is in the storage; another receiver of the same storage has the same.
			g.storage.values = map[string][]byte{secretKey: []byte(seen[0])}
		}
		g.write("access.log", connected)
		g.start()
		require.Eventually(t, func() bool { return len(g.sink.got()) == 2 }, soon, often)
		key, err := g.storage.Get(context.Background(), secretKey)
		require.NoError(t, err)
		seen = append(seen, string(key), g.sink.got()[0])
		require.Equal(t, g.sink.got()[0], g.sink.got()[1])
	}
	require.Equal(t, seen[1], seen[3])
}

func TestWithoutAStorageTheReceiverSaysSoAndWorks(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Storage = nil })
	g.number("access.log", 1, 3)
	g.start()
	g.sink.eventually(t, ids(1, 3))
	require.Equal(t, 1, g.logs.FilterMessageSnippet("no storage is configured").Len())
}
