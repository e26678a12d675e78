package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func TestHowAHandlerEndsAConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle func(context.Context, *endpoint.Session) error
		code   wire.CloseCode
		why    string
	}{
		"without an error": {func(context.Context, *endpoint.Session) error { return nil }, 1000, ""},
		"with an error":    {func(context.Context, *endpoint.Session) error { return errors.New("the secret") }, 1011, ""},
		"with a close code": {func(context.Context, *endpoint.Session) error {
			return &endpoint.CloseError{Code: 4001, Reason: "full"}
		}, 4001, "full"},
		"by Close": {func(ctx context.Context, s *endpoint.Session) error {
			s.Close(4002, "enough")
			for _, err := range s.Messages() {
				return err
			}
			return nil
		}, 4002, "enough"},
		"with a panic": {func(context.Context, *endpoint.Session) error { panic("the secret") }, 1011, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.Handle = func(ctx context.Context, s *endpoint.Session) error {
				if s.Path() == "/chat" {
					if err := s.Send(wire.OpText, []byte("last words")); err != nil {
						return err
					}
					return c.handle(ctx, s)
				}
				return echo(ctx, s)
			}
			s := serve(t, set)
			other := s.dial(t, "GET /other"+handshake[len("GET /chat"):]+"\r\n")
			require.Equal(t, 101, other.status())
			ended := s.open(t)
			require.Equal(t, "last words", string(ended.next().Payload))
			code, why := ended.closed()
			require.Equal(t, c.code, code)
			require.Equal(t, c.why, why)
			ended.send(string(ended.writer.AppendClose(nil, code, "")))
			ended.ended()
			end := s.log.wait(event.Close, nil)
			require.Equal(t, int64(c.code), end.Get(event.CloseCode).Int())
			require.True(t, end.Get(event.CloseClean).Bool())
			require.Equal(t, name == "with a panic", end.String(event.ErrorType) == event.OtherError)
			other.works()
		})
	}
}

func TestAClientThatLeavesWithoutAWord(t *testing.T) {
	t.Parallel()
	set := config()
	handled := make(chan error, 1)
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		err := echo(ctx, s)
		<-ctx.Done()
		handled <- err
		return err
	}
	s := serve(t, set)
	c := s.open(t)
	c.works()
	c.Close()
	require.Error(t, <-handled)
	end := s.log.wait(event.Close, nil)
	require.Equal(t, event.ConnectionLost, end.String(event.ErrorType))
	require.Equal(t, "unknown", end.String(event.CloseInitiator))
	require.False(t, end.Get(event.CloseClean).Bool())
	require.False(t, end.Has(event.CloseCode))
}

// Which of the two the server sees first, the reason to end or the client's end, does not matter.
func TestAClientThatClosesItsSideStillGetsTheCloseFrame(t *testing.T) {
	t.Parallel()
	set := withTokens()
	set.InBandRefresh = true
	set.Limits.User = endpoint.Quota{Handshakes: endpoint.NoRate}
	set.Timeouts.Close = patience
	s := serve(t, set)
	for range 50 {
		c := s.open(t, ann)
		c.text(`{"auth":"good-bob"}`)
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		code, _ := c.closed()
		require.Equal(t, wire.CloseCode(3003), code)
		c.ended()
	}
}

func TestWhatIsSilentTooLong(t *testing.T) {
	t.Parallel()
	never := endpoint.Timeouts{Close: 300 * time.Millisecond, Ping: -1, Idle: -1, Lifetime: -1}
	for name, c := range map[string]struct {
		set       func(*endpoint.Timeouts)
		pong      bool
		code      wire.CloseCode
		errorType string
	}{
		"a ghost is reaped":          {func(t *endpoint.Timeouts) { t.Ping, t.Pong = 100*time.Millisecond, 200*time.Millisecond }, false, 0, event.ConnectionLost},
		"an idle connection ends":    {func(t *endpoint.Timeouts) { t.Idle = 200 * time.Millisecond }, false, 1001, event.IdleTimeout},
		"idle in spite of its pongs": {func(t *endpoint.Timeouts) { t.Idle, t.Ping = 400*time.Millisecond, 100*time.Millisecond }, true, 1001, event.IdleTimeout},
		"a life has an end":          {func(t *endpoint.Timeouts) { t.Lifetime = 200 * time.Millisecond }, false, 1001, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			set.Timeouts = never
			c.set(&set.Timeouts)
			s := serve(t, set)
			bad := s.open(t)
			for {
				m, err := bad.tryNext()
				if c.code == 0 && err != nil {
					break
				}
				require.NoError(t, err)
				if m.Opcode == wire.OpPing && c.pong {
					bad.send(string(bad.writer.AppendPong(nil, m.Payload)))
				}
				if m.Opcode == wire.OpClose {
					require.Equal(t, c.code, m.Code)
					bad.send(string(bad.writer.AppendClose(nil, m.Code, "")))
					break
				}
			}
			end := s.log.wait(event.Close, nil)
			require.Equal(t, c.errorType, end.String(event.ErrorType))
			if c.errorType == event.IdleTimeout {
				require.Positive(t, s.log.wait(event.Idle, nil).Get(event.IdleDuration).Double())
			}
			if c.pong {
				require.Positive(t, s.log.wait(event.Ping, nil).Get(event.PingRTT).Double())
			}
		})
	}
}

// Many goroutines send to many clients, each of which gets every message whole, and each sender's in their order.
func TestABroadcast(t *testing.T) {
	t.Parallel()
	const clients, senders, each = 20, 4, 100
	set := config()
	set.Queue.Messages = 2 * senders * each
	joined := make(chan *endpoint.Session, clients)
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		joined <- s
		return echo(ctx, s)
	}
	s := serve(t, set)
	var all []*client
	for range clients {
		all = append(all, s.open(t))
	}
	var sessions []*endpoint.Session
	for range clients {
		sessions = append(sessions, <-joined)
	}
	var wg sync.WaitGroup
	for from := range senders {
		wg.Go(func() {
			for i := range each {
				for _, to := range sessions {
					if err := to.Post(wire.OpText, fmt.Appendf(nil, "%d %d", from, i)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for _, c := range all {
		var next [senders]int
		for range senders * each {
			var from, i int
			_, err := fmt.Sscan(string(c.next().Payload), &from, &i)
			require.NoError(t, err)
			require.Equal(t, next[from], i)
			next[from]++
		}
	}
	wg.Wait()
	for _, c := range all {
		c.bye()
	}
}

// What Handle sends while it is busy waits; Flush has it written.
func TestFlush(t *testing.T) {
	t.Parallel()
	set := config()
	read := make(chan struct{})
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		if err := s.Send(wire.OpText, []byte("now")); err != nil {
			return err
		}
		if err := s.Flush(); err != nil {
			return err
		}
		<-read
		return nil
	}
	s := serve(t, set)
	c := s.open(t)
	require.Equal(t, "now", string(c.next().Payload))
	close(read)
	c.closed()
}

func TestAShutdownLosesNoMessageThatWasAccepted(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, endpoint.Config) *service{"plain": serve, "TLS": serveTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := config()
			var accepted atomic.Int64
			set.Handle = func(_ context.Context, s *endpoint.Session) error {
				for m, err := range s.Messages() {
					if err != nil {
						return err
					}
					accepted.Add(1)
					if err := s.Send(m.Opcode, m.Payload); errors.Is(err, endpoint.ErrClosed) {
						accepted.Add(-1) // it came after our Close frame: the client knows that nobody answers
					}
				}
				return nil
			}
			s := start(t, set)
			const clients = 30
			var answered, sent atomic.Int64
			var wg sync.WaitGroup
			codes := make(chan wire.CloseCode, clients)
			for i := range clients {
				c := s.open(t)
				wg.Go(func() {
					for i%2 == 0 { // the others are idle
						if _, err := c.Write(c.writer.AppendMessage(nil, wire.OpText, []byte("m"))); err != nil {
							return
						}
						sent.Add(1)
						m, err := c.tryNext()
						if err != nil {
							t.Error(err)
							return
						}
						if m.Opcode == wire.OpClose {
							codes <- m.Code
							break
						}
						answered.Add(1)
					}
					if i%2 == 1 {
						m, err := c.tryNext()
						if err != nil {
							t.Error(err)
							return
						}
						codes <- m.Code
					}
					_, _ = c.Write(c.writer.AppendClose(nil, wire.CloseServiceRestart, ""))
					_, _ = io.Copy(io.Discard, c.Conn)
				})
			}
			require.Eventually(t, func() bool { return answered.Load() > 100 }, patience, time.Millisecond)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			began := time.Now()
			require.NoError(t, s.Shutdown(ctx))
			require.Less(t, time.Since(began), 5*time.Second)
			wg.Wait()
			require.Equal(t, accepted.Load(), answered.Load())
			require.Len(t, codes, clients)
			for range clients {
				require.Equal(t, wire.CloseServiceRestart, <-codes)
			}
			require.Len(t, s.log.all(event.Close), clients)
			for _, e := range s.log.all(event.Close) {
				require.True(t, e.Get(event.CloseClean).Bool(), string(e.AppendJSON(nil)))
			}
			require.Equal(t, "drain", s.log.wait(event.PolicyChanged, nil).String(event.PolicyKind))

			late := s.dial(t, handshake+"\r\n")
			require.Equal(t, http.StatusServiceUnavailable, late.status())
		})
	}
}

// A handler that does not end, and a client that does not answer, do not hold up a shutdown for longer than its context.
func TestAShutdownThatIsInAHurry(t *testing.T) {
	t.Parallel()
	set := config()
	set.Timeouts.Close = time.Minute
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		if s.Path() == "/chat" {
			<-ctx.Done()
			return ctx.Err()
		}
		return echo(ctx, s)
	}
	s := serve(t, set)
	s.open(t)
	require.Equal(t, 101, s.dial(t, "GET /other"+handshake[len("GET /chat"):]+"\r\n").status())
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.Eventually(t, func() bool { return s.Stats().Connections == 0 }, patience, 5*time.Millisecond)
}

// An Observer that hangs costs decisions their events, after a time, and messages nothing.
func TestAnObserverThatHangs(t *testing.T) {
	t.Parallel()
	set := config()
	hang := make(chan struct{})
	set.Observer = endpoint.ObserverFunc(func(*event.Event) { <-hang })
	set.Timeouts.Observe = time.Millisecond
	set.Timeouts.Report = 40 * time.Millisecond
	set.Limits.Address.Handshakes = endpoint.Rate{PerSecond: 0.001, Burst: 1}
	s := serve(t, set)
	defer close(hang)
	c := s.open(t)
	refused, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	refused.RemoteAddr = "127.0.0.1:1"
	for s.Stats().EventsLost == 0 {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, refused)
		require.Equal(t, http.StatusTooManyRequests, answer.Code)
	}
	c.works()
	c.bye()
}

// However much others send to a client, what it sends is read.
func TestABroadcastDoesNotKeepFromReading(t *testing.T) {
	t.Parallel()
	set := config()
	got := make(chan string, 1)
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		go func() {
			for s.Post(wire.OpBinary, make([]byte, 1000)) == nil {
			}
		}()
		for m, err := range s.Messages() {
			if err != nil {
				return err
			}
			got <- string(m.Payload)
		}
		return nil
	}
	s := serve(t, set)
	c := s.open(t)
	c.text("stop")
	go io.Copy(io.Discard, c.Conn)
	select {
	case m := <-got:
		require.Equal(t, "stop", m)
	case <-time.After(patience):
		require.FailNow(t, "nothing was read")
	}
}
