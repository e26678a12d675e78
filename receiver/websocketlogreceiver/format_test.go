package websocketlogreceiver

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// seen keeps a word about every event, sorted, and hands it on.
type seen struct {
	*sink
	mu    sync.Mutex
	words []string
}

func (s *seen) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				var e event.Event
				if err := eventlog.DecodeRecord(lr, eventlog.DecodeResource(rl.Resource()), &e); err != nil {
					return err
				}
				if e.Name == event.Close {
					s.mu.Lock()
					s.words = append(s.words, e.String(event.URLPath)+" "+e.String(event.ErrorType))
					s.mu.Unlock()
				}
			}
		}
	}
	return s.sink.ConsumeLogs(ctx, logs)
}

// eventually waits until just these closes have come, in any order.
func (s *seen) eventually(t *testing.T, want ...string) {
	t.Helper()
	sorted := func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Sorted(slices.Values(s.words))
	}
	require.Eventually(t, func() bool { return len(sorted()) >= len(want) }, soon, often, "%v", want)
	require.Equal(t, want, sorted())
}

func newSeen(g *rig) *seen {
	s := &seen{sink: g.sink}
	g.tune = func(r *logReceiver) { r.next = s }
	return s
}

var _ consumer.Logs = (*seen)(nil)

const (
	asJSON     = `{"msec":1795330821.902,"time_iso8601":"2026-11-22T07:00:21+00:00","request_id":"%","connection":79,"remote_addr":"203.0.113.7","status":101,"http_upgrade":"websocket","request_uri":"%"}` + "\n"
	asCombined = `203.0.113.7 - - [22/Nov/2026:07:00:11 +0000] "GET % HTTP/1.1" 101 60 "-" "-"` + "\n"
	asCustom   = `1795330821.902|101|%` + "\n"
)

// of returns the line of a connection to a path.
func of(form, path string) string {
	var out []byte
	for _, c := range []byte(form) {
		if c == '%' {
			out = append(out, path...)
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

func (g *rig) logged(message string) int { return g.logs.FilterMessage(message).Len() }

func TestAutoTakesEachFileForWhatItIs(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Format = "auto" })
	g.cfg.Include = []string{g.path("*.log")}
	s := newSeen(g)
	g.write("access.log", of(asCombined, "/a"))
	g.write("b.log", of(asJSON, "/b")+of(asJSON, "/c"))
	g.write("c.log", "?\n?\n")
	g.start()
	s.eventually(t, "/a ", "/b ", "/c ")
	require.Equal(t, 1, g.logged("format recognised: nginx combined (1 of 1 lines)"))
	require.Equal(t, 1, g.logged("format recognised: nginx (2 of 2 lines)"))
	require.Eventually(t, func() bool { return g.metric("otelcol_receiver_websocketlog_malformed_lines") == 2 }, soon, often)
	require.Equal(t, 1, g.logged("format not recognised; lines of this file are counted as malformed"))

	require.Equal(t, 6, g.logged("the log format lacks something"), "what combined lacks")

	// What decides after a rotation is what there was before, so one line among others is no other format.
	require.NoError(t, os.Rename(g.path("access.log"), g.path("access.1")))
	g.write("access.log", of(asCombined, "/d")+of(asCombined, "/e")+of(asJSON, "/never"))
	s.eventually(t, "/a ", "/b ", "/c ", "/d ", "/e ")
	require.Equal(t, 1, g.logged("format recognised: nginx combined (2 of 3 lines)"))
	g.stop()

	// After a restart a file is what it was, whatever its beginning looks like by now.
	text, err := os.ReadFile(g.path("b.log"))
	require.NoError(t, err)
	g.write("b.log", of(asCombined, "/never")+of(asJSON, "/f"))
	require.Contains(t, string(text), "/b")
	g.start()
	s.eventually(t, "/a ", "/b ", "/c ", "/d ", "/e ", "/f ")
	require.Zero(t, g.logged("format recognised: nginx (2 of 2 lines)"))
}

func TestNginxConfSaysWhatEachFileIs(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Format = "nginx" })
	g.cfg.Include = []string{g.path("*.log")}
	g.cfg.NginxConf = g.path("nginx.conf")
	g.write("nginx.conf", "include formats.conf; access_log "+g.path("a.log")+"; access_log custom.log custom;")
	g.write("formats.conf", "log_format custom '$msec|$status|$request_uri';")
	s := newSeen(g)
	g.write("a.log", of(asCombined, "/a"))
	g.write("custom.log", of(asCustom, "/b"))
	g.write("other.log", of(asCustom, "/never"))
	g.start()
	s.eventually(t, "/a ", "/b ")
	require.Eventually(t, func() bool { return g.logged("file is not read, since its format is not known") == 1 }, soon, often)
	require.NotZero(t, g.logged("the log format lacks something"))
	g.stop()

	g.cfg.LogFormat = "custom"
	g.start()
	s.eventually(t, "/a ", "/b ", "/never ")
	g.stop()

	g.cfg.LogFormat = "none"
	r, err := newReceiver(g.cfg, g.settings(), g.sink)
	require.NoError(t, err)
	require.EqualError(t, r.Start(t.Context(), host{storageID: g.storage}),
		`nginx_conf: no log_format "none"; there are combined, custom`)
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestTheErrorLogSaysWhyConnectionsEnded(t *testing.T) {
	t.Parallel()
	const why = `2026/11/22 07:00:21 [info] 1#1: *79 upstream timed out (110: Connection timed out) while proxying upgraded ` +
		`connection, client: 203.0.113.7, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:1/", host: "h"` + "\n"
	g := newRig(t, func(c *Config) { c.Format = "nginx" })
	g.cfg.ErrorLog = g.path("error")
	s := newSeen(g)
	g.write("access.log", of(asJSON, "/a"))
	g.start()
	s.eventually(t, "/a ")
	require.Equal(t, 1, g.logged("error_log does not exist yet"))
	g.stop()
	g.write("error", why)
	g.start()
	g.write("access.log", of(asJSON, "/b"))
	s.eventually(t, "/a ", "/b idle_timeout")
	require.NoError(t, os.Remove(filepath.Clean(g.cfg.ErrorLog)))
}
