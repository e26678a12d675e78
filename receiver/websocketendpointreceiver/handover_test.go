package websocketendpointreceiver

import (
	"context"
	"errors"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sockeye-project/sockeye/event"
)

type settingsOf struct{ r receiver.Settings }

// startWith is start with settings; reload says what a shutdown is taken for.
func startWith(t *testing.T, s settingsOf, cfg *Config, next consumer.Logs, reload bool) *endpointReceiver {
	t.Helper()
	r, err := newReceiver(cfg, s.r, next)
	require.NoError(t, err)
	down := false
	r.reloading = func() bool { down = true; return reload }
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		if !down {
			require.NoError(t, r.Shutdown(context.Background()))
		}
	})
	return r
}

func sumOf(n int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: n}} }

func TestAReloadWithTheSameSectionClosesNoConnection(t *testing.T) {
	t.Parallel()
	issuer, first, second := newIssuer(t), &sink{}, &sink{}
	id := idOf(t)
	before := start(t, id, issuer.config(), first, true)
	c, _, err := dial(t, before.url(), issuer.token("ann"))
	require.NoError(t, err)
	say(t, c, "before")
	first.first(t, event.Open)
	first.refuse(errors.New("shutting down"))
	d, _, err := dial(t, before.url(), issuer.token("bob"))
	require.NoError(t, err)
	eventually(t, "a chunk on its way", before.isRefused)
	url := before.url()
	require.NoError(t, before.Shutdown(context.Background()))

	say(t, c, "meanwhile")
	e, _, err := dial(t, url, issuer.token("eve"))
	require.NoError(t, err, "new connections are taken meanwhile")
	oldToken := issuer.token("ann")
	issuer.rotate()
	after := start(t, id, issuer.config(), second, false)
	require.Same(t, before.serving, after.serving)
	for _, conn := range []*websocket.Conn{c, d, e} {
		say(t, conn, "after")
	}
	_, resp, err := dial(t, url, oldToken)
	require.Error(t, err, "the file of keys was read again")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	eventually(t, "the opens since", func() bool { return second.count(event.Open) == 2 })
	require.Zero(t, first.count(event.Close)+second.count(event.Close))
	eventually(t, "progress goes on", func() bool {
		second.mu.Lock()
		defer second.mu.Unlock()
		return len(second.progress) > 0
	})
	first.mu.Lock()
	onItsWay := first.refused[0].ID
	first.mu.Unlock()
	second.mu.Lock()
	arrived := second.chunks[0]
	second.mu.Unlock()
	require.Equal(t, onItsWay, arrived.ID, "the chunk on its way is the same chunk")
	require.True(t, arrived.Repeated)
	go closeOf(t, c)
	go closeOf(t, d)
	go closeOf(t, e)
	require.NoError(t, after.Shutdown(context.Background()))
	require.Equal(t, 3, second.count(event.Close), "the shutdown after it is one")
}

func TestAReloadWithAnotherSectionClosesConnectionsAndStoresTheirEvents(t *testing.T) {
	t.Parallel()
	first, second := &sink{}, &sink{}
	id := idOf(t)
	before := start(t, id, testConfig(), first, true)
	c := connect(t, before.url())
	say(t, c, "before")
	code := make(chan websocket.StatusCode, 1)
	go func() { code <- closeOf(t, c) }()
	require.NoError(t, before.Shutdown(context.Background()))
	changed := testConfig()
	changed.Endpoint = before.serving.addr.String() // the same address, which is free only once the old one is closed
	changed.Limits.MaxMessageBytes = 10
	after := start(t, id, changed, second, false)
	require.Equal(t, websocket.StatusServiceRestart, <-code)
	second.first(t, event.Close)
	say(t, connect(t, after.url()), "after")
	second.first(t, event.Open)
}

func TestAnEndpointThatNobodyTakesOverIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, idOf(t), testConfig(), &sink{}, true)
	c := connect(t, r.url())
	say(t, c, "hello")
	require.NoError(t, r.stop(context.Background()))
	done := make(chan struct{})
	r.reloading() // the receiver needs no other shutdown
	process.shelf.leave(r.settings.ID, r.serving, time.Millisecond, func() { process.signals.leave(); close(done) })
	require.Equal(t, websocket.StatusServiceRestart, closeOf(t, c))
	select {
	case <-done:
	case <-time.After(patience):
		require.Fail(t, "it is not closed")
	}
	require.Nil(t, process.shelf.take(r.settings.ID))
}

func TestTheEndOfTheProcessClosesWhatAReloadLeft(t *testing.T) {
	// Not parallel: Close is for all of the process.
	r := start(t, idOf(t), testConfig(), &sink{}, true)
	c := connect(t, r.url())
	code := make(chan websocket.StatusCode, 1)
	go func() { code <- closeOf(t, c) }()
	require.NoError(t, r.Shutdown(context.Background()))
	Close(context.Background())
	require.Equal(t, websocket.StatusServiceRestart, <-code)
	require.Nil(t, process.shelf.take(r.settings.ID))
}

func TestASignalTellsAReloadFromAShutdown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent []os.Signal
		want bool
	}{
		"no signal is a shutdown":                   {},
		"SIGHUP is a reload":                        {sent: []os.Signal{syscall.SIGHUP}, want: true},
		"SIGTERM is a shutdown":                     {sent: []os.Signal{syscall.SIGTERM}},
		"an interrupt is a shutdown":                {sent: []os.Signal{os.Interrupt}},
		"SIGTERM after SIGHUP is a shutdown":        {sent: []os.Signal{syscall.SIGHUP, syscall.SIGTERM}},
		"SIGHUP after SIGTERM does not call it off": {sent: []os.Signal{syscall.SIGTERM, syscall.SIGHUP}},
		"a second SIGHUP is a reload again":         {sent: []os.Signal{syscall.SIGHUP, syscall.SIGHUP}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s signals
			s.use()
			defer s.leave()
			for _, sig := range c.sent {
				s.mu.Lock()
				noticed := s.noticed
				s.mu.Unlock()
				s.in <- sig
				<-noticed
			}
			require.Equal(t, c.want, s.reloading())
		})
	}
	t.Run("a SIGHUP of long ago is none", func(t *testing.T) {
		t.Parallel()
		var s signals
		s.use()
		defer s.leave()
		s.mu.Lock()
		s.hangup = time.Now().Add(-reloadWithin)
		s.mu.Unlock()
		require.False(t, s.reloading())
	})
}
