package endpoint_test

import (
	"bytes"
	"compress/flate"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Tests of this file measure the process's memory, so none of them is parallel.

func liveHeap() int {
	runtime.GC()
	runtime.GC() // the first moves what is in pools to where the second drops it
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// allocated returns how many bytes were allocated since the last call, garbage included.
func allocated() func() int {
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	return func() int {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.TotalAlloc - before.TotalAlloc)
	}
}

func (s *service) received() (n int64) {
	s.Sessions(func(each *endpoint.Session) bool {
		received, _ := each.Traffic()
		n += received
		return true
	})
	return n
}

func (s *service) eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 2*time.Millisecond, what)
}

// A connection whose header claims 1 MiB and whose client stops after a byte holds what came and not what was claimed: 256
// bytes of buffer and what belongs to it. Over TLS nothing more.
func TestMemoryFollowsWhatCameNotWhatWasClaimed(t *testing.T) {
	for name, start := range map[string]func(testing.TB, endpoint.Config) *service{"plain": serve, "TLS": serveTLS} {
		t.Run(name, func(t *testing.T) {
			set := config()
			set.Limits.Frames.MessageBytes = 2 << 20
			set.Observer = endpoint.ObserverFunc(func(*event.Event) {})
			s := start(t, set)
			other := s.open(t)
			const n = 200
			clients := make([]*client, n)
			for i := range clients {
				clients[i] = s.open(t)
				clients[i].works()
			}
			idle, had := liveHeap(), s.received()
			claim := string(wire.AppendHeader(nil, wire.Header{Opcode: wire.OpBinary, Fin: true, Masked: true, Length: 1 << 20}))
			for _, c := range clients {
				c.send(claim + "x")
			}
			s.eventually(t, "all was read", func() bool { return s.received() == had+int64(n*(len(claim)+1)) })
			grown := (liveHeap() - idle) / n
			t.Logf("%d bytes a connection", grown)
			require.LessOrEqual(t, grown, 512)
			other.works()
			runtime.KeepAlive(clients)
		})
	}
}

// 254 KiB that inflate to 256 MiB, where a message may have 1 MiB: what is allocated in all stays under 8 MiB.
func TestWhatInflatesTo256MiBStopsAtTheBudget(t *testing.T) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	bomb := frame(wire.Header{Opcode: wire.OpBinary, Fin: true, RSV: wire.RSV1}, strings.Repeat(packed.String(), 256))
	require.InDelta(t, 254<<10, len(bomb), 10<<10)
	set := config()
	set.Deflate = &wire.Deflate{}
	set.Limits.Frames.MessageBytes = 1 << 20
	s := serve(t, set)
	other := s.open(t)
	bad := s.open(t, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	require.Contains(t, bad.head, "permessage-deflate")
	since := allocated()
	bad.send(bomb)
	code, _ := bad.closed()
	n := since()
	t.Logf("%d bytes", n)
	require.Equal(t, wire.CloseMessageTooBig, code)
	require.Less(t, n, 8<<20)
	require.Equal(t, event.MessageTooBig, s.log.wait(event.Error, nil).String(event.ErrorType))
	other.works()
}

func TestAMillionEmptyContinuationsEndAtTheBudget(t *testing.T) {
	s := serve(t, config())
	other, bad := s.open(t), s.open(t)
	flood := []byte(strings.Repeat(frame(wire.Header{}, ""), 1000))
	bad.send(frame(wire.Header{Opcode: wire.OpText}, ""))
	since := allocated()
	go func() {
		for range 1000 {
			if _, err := bad.Write(flood); err != nil {
				return
			}
		}
	}()
	code, why := bad.closed()
	n := since()
	t.Logf("%d bytes", n)
	require.Equal(t, wire.ClosePolicyViolation, code)
	require.Equal(t, "too many frames in a message", why)
	require.Less(t, n, 256<<10)
	told := s.log.wait(event.RateLimited, nil)
	require.Equal(t, "too_many_frames", told.String(event.RateLimitPolicy))
	require.Equal(t, event.ScopeMessage, told.String(event.RateLimitScope))
	other.works()
}

func TestAFloodOfPingsEndsAtTheBudget(t *testing.T) {
	s := serve(t, config())
	other, bad := s.open(t), s.open(t)
	flood := []byte(strings.Repeat(frame(whole(wire.OpPing), strings.Repeat("x", 125)), 1000))
	since := allocated()
	go func() {
		for range 100 {
			if _, err := bad.Write(flood); err != nil {
				return
			}
		}
	}()
	code, _ := bad.closed()
	n := since()
	t.Logf("%d bytes", n)
	require.Equal(t, wire.ClosePolicyViolation, code)
	require.Less(t, n, 1<<20) // the client's share, who reads 100 Pongs, is most of it
	require.Equal(t, "too_many_control_frames", s.log.wait(event.RateLimited, nil).String(event.RateLimitPolicy))
	other.works()
}

// Pings without end, whose Pongs nobody reads, where the budget allows them: 1 KiB of Pongs may wait.
func TestPongsThatNobodyReadsDoNotPileUp(t *testing.T) {
	set := config()
	set.Limits.Frames.ControlFrames = wire.Unlimited
	s := serve(t, set)
	other, bad := s.open(t), s.open(t)
	flood := []byte(strings.Repeat(frame(whole(wire.OpPing), strings.Repeat("x", 125)), 8000))
	before := liveHeap()
	go func() {
		for {
			if _, err := bad.Write(flood); err != nil {
				return
			}
		}
	}()
	s.eventually(t, "16 MiB of pings were read", func() bool { return s.received() > 16<<20 })
	grown := liveHeap() - before
	t.Logf("%d bytes", grown)
	require.Less(t, grown, 256<<10)
	other.works()
}

// push sends to the client until it cannot.
func push(slow endpoint.SlowPolicy, tried chan<- error) endpoint.Config {
	set := config()
	set.Queue = endpoint.Queue{Bytes: 64 << 10, Slow: slow}
	set.Timeouts.Write = 500 * time.Millisecond
	set.Handle = func(ctx context.Context, s *endpoint.Session) error {
		if s.Path() == "/chat" {
			go func() {
				payload := make([]byte, 8<<10)
				for {
					if err := s.Post(wire.OpBinary, payload); err != nil {
						tried <- err
						return
					}
				}
			}()
		}
		return echo(ctx, s)
	}
	return set
}

// A client that does not read costs a few times its queue of 64 KiB: what waits, what was dropped before it, what is being written.
func TestAClientThatDoesNotRead(t *testing.T) {
	elsewhere := strings.Replace(handshake, "/chat", "/other", 1) + "\r\n"
	for name, slow := range map[string]endpoint.SlowPolicy{
		"block": endpoint.Block, "drop oldest": endpoint.DropOldest, "close": endpoint.CloseSlow,
	} {
		t.Run(name, func(t *testing.T) {
			tried := make(chan error, 1)
			s := serve(t, push(slow, tried))
			other := s.dial(t, elsewhere)
			require.Equal(t, 101, other.status())
			before := liveHeap()
			bad := s.open(t)
			require.Equal(t, endpoint.ErrClosed, <-tried)
			grown := liveHeap() - before
			t.Logf("%d bytes", grown)
			require.Less(t, grown, 768<<10)
			end := s.log.wait(event.Close, nil)
			require.Equal(t, "server", end.String(event.CloseInitiator))
			require.False(t, end.Get(event.CloseClean).Bool())
			dropped := s.log.wait(event.MessageDropped, nil)
			require.Equal(t, event.SlowConsumer, dropped.String(event.ErrorType))
			require.Positive(t, dropped.Get(event.MessageCount).Int())
			other.works()
			runtime.KeepAlive(bad)
		})
	}
}
