package endpoint_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func TestAnEchoFromOpenToClose(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *service{
		"plain": func() *service { return serve(t, config()) },
		"TLS":   func() *service { return serveTLS(t, config()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			c := s.open(t, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n")
			c.text("one")
			require.Equal(t, "one", string(c.next().Payload))
			// Many at once come back, also where TLS hands them out piece by piece.
			var burst []byte
			for range 500 {
				burst = c.writer.AppendMessage(burst, wire.OpBinary, []byte("a message in a burst of them"))
			}
			go c.Write(burst)
			for range 500 {
				require.Equal(t, wire.OpBinary, c.next().Opcode)
			}
			c.send(string(c.writer.AppendPing(nil, []byte("are you there"))))
			require.Equal(t, "are you there", string(c.next().Payload))
			c.bye()

			open := s.log.wait(event.Open, nil)
			closed := s.log.wait(event.Close, nil)
			require.Equal(t, open.String(event.ConnectionID), closed.String(event.ConnectionID))
			require.Equal(t, "client", closed.String(event.CloseInitiator))
			require.True(t, closed.Get(event.CloseClean).Bool())
			require.Equal(t, int64(1000), closed.Get(event.CloseCode).Int())
			require.Equal(t, int64(501), closed.Get(event.IOMessagesReceived).Int())
			require.Equal(t, int64(501), closed.Get(event.IOMessagesSent).Int())
			require.Equal(t, byte(0x4b), closed.TraceID[0])
			require.Equal(t, byte(0xb7), closed.SpanID[7])
			require.Equal(t, "/chat", open.String(event.URLPath))
			require.Equal(t, "127.0.0.1", open.String(event.ClientAddress))
			require.Equal(t, name == "TLS", open.String(event.URLScheme) == "wss")
			var n int64
			for _, e := range s.log.all(event.Message) {
				n += e.Get(event.MessageCount).Int()
			}
			require.Equal(t, int64(1002), n)
		})
	}
}

func TestWhatIsToldWhileConnectionsAreOpen(t *testing.T) {
	t.Parallel()
	set := config()
	set.Timeouts.Report = 100 * time.Millisecond
	set.Limits.Connections = 7
	s := serve(t, set)
	c := s.open(t)
	c.works()
	told := s.log.wait(event.Connections, has(event.ConnectionsActive, "1"))
	require.Equal(t, int64(7), told.Get(event.ConnectionsCapacity).Int())
	require.Zero(t, told.Get(event.ConnectionsIdle).Int())
	if runtime.GOOS == "linux" {
		require.Positive(t, told.Get(event.ProcessMemory).Int())
		require.Positive(t, told.Get(event.ProcessFDs).Int())
		require.Greater(t, told.Get(event.ProcessMemoryLimit).Int(), told.Get(event.ProcessMemory).Int())
	}
	for _, direction := range []string{event.DirectionReceive, event.DirectionTransmit} {
		m := s.log.wait(event.Message, has(event.Direction, direction))
		require.Equal(t, int64(1), m.Get(event.MessageCount).Int())
		require.Equal(t, int64(len("still here?")), m.Get(event.MessageSize).Int())
		require.Positive(t, m.Get(event.IntervalDuration).Double())
	}
	n := 0
	s.Sessions(func(each *endpoint.Session) bool {
		n++
		require.Equal(t, s.log.wait(event.Open, nil).String(event.ConnectionID), each.ID())
		return true
	})
	require.Equal(t, 1, n)
	c.bye()
	s.log.wait(event.Connections, has(event.ConnectionsActive, "0"))
}
