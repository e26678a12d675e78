package websocketlogreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/source"
)

func newPushRig(t *testing.T, change func(*Config, *HTTPConfig)) *rig {
	t.Helper()
	return newRig(t, func(c *Config) {
		c.Include, c.Storage = nil, nil
		h := *c.HTTP.GetOrInsertDefault()
		h.Server.NetAddr.Endpoint = "127.0.0.1:0"
		if change != nil {
			change(c, &h)
		}
		c.HTTP = configoptional.Some(h)
	})
}

type answer struct {
	response
	status     int
	retryAfter string
}

// send posts a body with header pairs.
func (g *rig) send(body []byte, headers ...string) answer {
	g.t.Helper()
	url := "http://" + g.r.push.addr.String() + g.r.push.cfg.Path
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(g.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	require.NoError(g.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(g.t, err)
	got := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	require.NoError(g.t, json.Unmarshal(raw, &got.response), "%s", raw)
	return got
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func zstandard(t *testing.T, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, options...)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestPushedLinesAreAcknowledgedOnceThePipelineHas(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	body := []byte(lines(1, 100))
	for name, c := range map[string]struct {
		body    []byte
		headers []string
	}{
		"as it is":  {body, nil},
		"identity":  {body, []string{"Content-Encoding", "identity"}},
		"gzip":      {gzipped(t, body), []string{"Content-Encoding", "gzip"}},
		"zstd":      {zstandard(t, body), []string{"Content-Encoding", "zstd"}},
		"empty":     {nil, nil},
		"CRLF":      {bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n")), nil},
		"last line": {bytes.TrimSuffix(body, []byte("\n")), nil},
	} {
		before := len(g.sink.got())
		got := g.send(c.body, c.headers...)
		require.Equal(t, http.StatusOK, got.status, name)
		if name == "empty" {
			require.Zero(t, got.Events)
			continue
		}
		require.Equal(t, response{Lines: 100, Events: 100, Chunks: 1}, got.response, name)
		require.Equal(t, ids(1, 100), g.sink.got()[before:], name)
	}
}

func TestARepeatedRequestWithAnIdempotencyKeyIsStoredOnce(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, func(c *Config, _ *HTTPConfig) { c.Chunk.MaxRecords = eventsPerLine + 9 })
	g.start()
	body := []byte(lines(1, 95))
	// The third chunk is refused, so the sender has to send all of it again.
	var n atomic.Int64
	g.sink.set(func(context.Context, eventlog.Chunk) error {
		if n.Add(1) == 3 {
			return errors.New("unavailable")
		}
		return nil
	})
	require.Equal(t, http.StatusServiceUnavailable, g.send(body, "Idempotency-Key", "k1").status)
	for range 3 {
		got := g.send(body, "Idempotency-Key", "k1")
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, 10, got.Chunks)
	}
	require.Equal(t, ids(1, 95), g.sink.got())
	// A key used again for something else loses nothing.
	require.Equal(t, http.StatusOK, g.send([]byte(lines(96, 96)), "Idempotency-Key", "k1").status)
	require.Equal(t, ids(1, 96), g.sink.got())
	require.Equal(t, http.StatusBadRequest, g.send(body, "Idempotency-Key", strings.Repeat("k", 257)).status)
}

func TestWithoutAnIdempotencyKeyEveryRequestCounts(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	for range 3 {
		require.Equal(t, http.StatusOK, g.send([]byte(line(1))).status)
	}
	require.Len(t, g.sink.got(), 3)
}

func TestARequestWithFaultsIsRefusedWholly(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, func(c *Config, _ *HTTPConfig) { c.MaxLineBytes = 1024; c.Chunk.MaxRecords = eventsPerLine + 1 })
	g.start()
	secret := `{"token":"eyJhbGciOi"`
	got := g.send([]byte(lines(1, 5) + secret + "\n" + line(6) + strings.Repeat("y", 2000) + "\n" + line(7)))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Len(t, got.Faults, 2)
	require.Equal(t, int64(6), got.Faults[0].Line)
	require.Equal(t, source.MalformedJSON, got.Faults[0].Reason)
	require.NotContains(t, got.Faults[0].Detail, "eyJ")
	require.Equal(t, int64(8), got.Faults[1].Line)
	require.Equal(t, source.TooLong, got.Faults[1].Reason)
	require.Empty(t, g.sink.got())
	require.Zero(t, g.sink.called())

	got = g.send([]byte(strings.Repeat("broken\n", 250)))
	require.Len(t, got.Faults, maxFaults)
	require.Equal(t, 150, got.Omitted)
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, func(_ *Config, h *HTTPConfig) { h.Server.MaxRequestBodySize = 4096 })
	g.start()
	large := []byte(lines(1, 100))
	require.Greater(t, len(large), 4096)
	bomb := bytes.Repeat([]byte(" "), 64<<20)
	for name, got := range map[string]answer{
		"plain":     g.send(large),
		"gzip":      g.send(gzipped(t, large), "Content-Encoding", "gzip"),
		"zstd":      g.send(zstandard(t, large), "Content-Encoding", "zstd"),
		"gzip bomb": g.send(gzipped(t, bomb)[:4000], "Content-Encoding", "gzip"),
		"zstd bomb": g.send(zstandard(t, bomb), "Content-Encoding", "zstd"),
	} {
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status, name)
		require.Contains(t, got.Error, "4096")
	}
	// A frame may ask for a window far greater than its content.
	got := g.send(zstandard(t, large[:10], zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false)),
		"Content-Encoding", "zstd")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Empty(t, g.sink.got())
}

func TestABodyThatIsNotWhatItSaysIsRefused(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	body := []byte(lines(1, 100))
	for name, got := range map[string]answer{
		"not gzip":         g.send(body, "Content-Encoding", "gzip"),
		"not zstd":         g.send(body, "Content-Encoding", "zstd"),
		"gzip cut off":     g.send(gzipped(t, body)[:200], "Content-Encoding", "gzip"),
		"unknown encoding": g.send(body, "Content-Encoding", "br"),
	} {
		require.Equal(t, http.StatusBadRequest, got.status, name)
		require.Contains(t, got.Error, "Content-Encoding", name)
	}
	require.Empty(t, g.sink.got())
}

func TestThePipelinesRefusalReachesTheSender(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, func(_ *Config, h *HTTPConfig) { h.Timeout = 50 * time.Millisecond })
	g.start()
	for name, c := range map[string]struct {
		answer func(context.Context, eventlog.Chunk) error
		status int
		retry  string
	}{
		"for now": {func(context.Context, eventlog.Chunk) error { return errors.New("table s3cret") },
			http.StatusServiceUnavailable, "5"},
		"for good": {func(context.Context, eventlog.Chunk) error {
			return consumererror.NewPermanent(errors.New("table s3cret"))
		}, http.StatusInternalServerError, ""},
		"by not answering": {func(ctx context.Context, _ eventlog.Chunk) error { <-ctx.Done(); return ctx.Err() },
			http.StatusServiceUnavailable, "5"},
	} {
		g.sink.set(c.answer)
		got := g.send([]byte(line(1)))
		require.Equal(t, c.status, got.status, name)
		require.Equal(t, c.retry, got.retryAfter, name)
		require.NotContains(t, got.Error, "s3cret")
	}
}

func TestMoreRequestsThanPlacesAreToldToWait(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, func(_ *Config, h *HTTPConfig) { h.MaxInFlight = 1 })
	g.start()
	release := make(chan struct{})
	g.sink.set(func(context.Context, eventlog.Chunk) error { <-release; return nil })
	first := make(chan answer)
	go func() { first <- g.send([]byte(line(1))) }()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	got := g.send([]byte(line(2)))
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.NotEmpty(t, got.retryAfter)
	close(release)
	require.Equal(t, http.StatusOK, (<-first).status)
	require.Equal(t, ids(1, 1), g.sink.got())
}

func TestShutdownWithABlockedPushIsPrompt(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	g.sink.set(func(ctx context.Context, _ eventlog.Chunk) error { <-ctx.Done(); return ctx.Err() })
	first := make(chan answer)
	go func() { first <- g.send([]byte(line(1))) }()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	began := time.Now()
	g.stop()
	require.Less(t, time.Since(began), 5*time.Second)
	require.Equal(t, http.StatusServiceUnavailable, (<-first).status)
}

func TestOtherMethodsAndPathsAreRefused(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	for _, c := range []struct {
		method, path string
		status       int
	}{{http.MethodGet, "/v1/events", 405}, {http.MethodPost, "/", 404}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+g.r.push.addr.String()+c.path, nil)
		require.NoError(t, err)
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode)
	}
}

func TestProgressFollowsWhatIsAcknowledged(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.cfg.Resource = map[string]string{"service.name": "chat"}
	g.number("access.log", 1, 10)
	blocked := make(chan struct{})
	g.sink.set(func(ctx context.Context, _ eventlog.Chunk) error {
		select {
		case <-blocked:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	began := time.Now()
	g.start()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	require.Eventually(t, g.scanned(), soon, often)
	through, backlog := g.r.progress()
	require.EqualValues(t, len(lines(1, 10)), backlog)
	require.True(t, through.IsZero(), "nothing is known of a file of which nothing has been acknowledged")
	close(blocked)
	g.sink.eventually(t, ids(1, 10))
	require.Eventually(t, func() bool {
		p := g.sink.lastProgress()
		return p != nil && p.Get(event.ProgressBacklog).Int() == 0 &&
			p.Get(event.ProgressReadThrough).Int() > began.UnixNano()
	}, soon, often)
	p := g.sink.lastProgress()
	require.Equal(t, "test", p.String(event.ProgressSource))
	require.Equal(t, "chat", p.Resource.String(event.ServiceName))
	require.NoError(t, p.Validate())
	// Idle or not, it goes on.
	n := g.sink.progresses()
	require.Eventually(t, func() bool { return g.sink.progresses() > n+3 }, soon, often)
}

func TestProgressIsSilentWhileAChunkIsRefused(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.start()
	require.Eventually(t, func() bool { return g.sink.progresses() > 0 }, soon, often)
	g.sink.set(func(context.Context, eventlog.Chunk) error { return errors.New("unavailable") })
	g.number("access.log", 1, 1)
	require.Eventually(t, func() bool { return g.r.health.stuck() }, soon, often)
	n := g.sink.progresses()
	calls := g.sink.called()
	require.Eventually(t, func() bool { return g.sink.called() > calls+5 }, soon, often)
	require.LessOrEqual(t, g.sink.progresses(), n+1, "one may have been on its way")
	g.sink.set(nil)
	require.Eventually(t, func() bool { return g.sink.progresses() > n+2 }, soon, often)
}

func TestProgressOfPushWaitsForTheOldestRequest(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	release := make(chan struct{})
	g.sink.set(func(context.Context, eventlog.Chunk) error { <-release; return nil })
	before := time.Now()
	first := make(chan answer)
	go func() { first <- g.send([]byte(line(1))) }()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	through, backlog := g.r.progress()
	require.WithinDuration(t, before, through, 5*time.Second)
	again, _ := g.r.progress()
	require.Equal(t, through, again)
	require.EqualValues(t, len(line(1)), backlog)
	close(release)
	require.Equal(t, http.StatusOK, (<-first).status)
	through, _ = g.r.progress()
	require.True(t, through.After(again))

	g.sink.set(func(context.Context, eventlog.Chunk) error { return errors.New("unavailable") })
	require.Equal(t, http.StatusServiceUnavailable, g.send([]byte(line(2))).status)
	refused, _ := g.r.progress()
	again, _ = g.r.progress()
	require.Equal(t, refused, again, "what the sender still has is not behind us")
	g.sink.set(nil)
	require.Equal(t, http.StatusOK, g.send([]byte(line(2))).status)
	through, _ = g.r.progress()
	require.True(t, through.After(again))
}
