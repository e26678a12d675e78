package conformance

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

func TestHandshakesOverASocket(t *testing.T) {
	t.Parallel()
	server := startEcho(t, &Echo{Subprotocols: []string{"chat", "log"}[:1]})
	t.Run("requests", func(t *testing.T) {
		for _, c := range Handshakes() {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", server)
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
				_, err = io.WriteString(conn, c.Request)
				require.NoError(t, err)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				defer response.Body.Close()
				if c.Fault == wire.HeadTooLarge {
					// net/http reads heads of 1 MiB by default and has its own limit; ours is ParseRequest's.
					return
				}
				require.Equal(t, c.Status, response.StatusCode)
				for name, value := range c.Fields {
					require.Equal(t, value, response.Header.Get(name), name)
				}
			})
		}
	})
}

// everySplit calls parse with ever more bytes, as they come, and returns its verdict. It must not depend on where the
// bytes are cut, and must not come before the head is complete, unless the head is too long already.
func everySplit[T any](t *testing.T, head string, parse func([]byte) (T, int, error)) (T, error) {
	t.Helper()
	whole, n, err := parse([]byte(head))
	if err == nil {
		require.Equal(t, len(head), n)
	}
	for cut := range head {
		_, _, cutErr := parse([]byte(head[:cut]))
		if cut < wire.MaxHeadBytes {
			require.ErrorIs(t, cutErr, io.ErrUnexpectedEOF)
		} else {
			require.Equal(t, err, cutErr)
		}
	}
	return whole, err
}

func TestHandshakesInEverySplit(t *testing.T) {
	t.Parallel()
	for _, c := range Handshakes() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r, err := everySplit(t, c.Request, wire.ParseRequest)
			if err == nil {
				_, err = wire.CheckRequest(r)
			}
			requireFault(t, c.Fault, err)
			if c.Fault != 0 {
				require.Equal(t, c.Status, c.Fault.Status())
			}
		})
	}
	offered := wire.Offer{
		Key: sampleKey, Subprotocols: []string{"chat", "log"}, Extensions: []wire.Extension{wire.Deflate{ClientMaxWindowBits: 15}.Offer()},
	}
	for _, c := range Answers() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r, err := everySplit(t, c.Response, wire.ParseResponse)
			if err == nil {
				_, err = wire.CheckResponse(r, offered)
			}
			requireFault(t, c.Fault, err)
		})
	}
}

func requireFault(t *testing.T, want wire.HandshakeViolation, err error) {
	t.Helper()
	if want == 0 {
		require.NoError(t, err)
		return
	}
	require.True(t, errors.Is(err, want), "%v, instead of %v", err, want)
}

func TestTheFirstFramesMayComeWithTheRequest(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", startEcho(t, &Echo{}))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request()+string(whole(text("early"))))
	require.NoError(t, err)
	p := &peer{conn: conn, in: bufio.NewReader(conn)}
	response, err := http.ReadResponse(p.in, nil)
	require.NoError(t, err)
	defer response.Body.Close()
	got, err := p.read()
	require.NoError(t, err)
	requireMessage(t, text("early"), got)
}

func TestASilentClientIsLeft(t *testing.T) {
	t.Parallel()
	p := dial(t, startEcho(t, &Echo{IdleTimeout: 50 * time.Millisecond}), "")
	_, err := io.ReadAll(p.in)
	require.NoError(t, err, "the server ends the connection")
}

func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	t.Parallel()
	p := dial(t, startEcho(t, &Echo{Limits: EchoLimits(), WriteTimeout: 50 * time.Millisecond, CloseTimeout: time.Millisecond}), "")
	long := whole(data(make([]byte, 1<<20)))
	// The kernel buffers some of it; what no buffer holds ends the connection.
	var err error
	for range 256 {
		if _, err = p.conn.Write(long); err != nil {
			break
		}
	}
	require.Error(t, err)
	require.False(t, errors.Is(err, net.ErrClosed))
}

func TestAClientThatDoesNotCloseIsLeft(t *testing.T) {
	t.Parallel()
	p := dial(t, startEcho(t, &Echo{CloseTimeout: 50 * time.Millisecond}), "")
	_, err := p.conn.Write(whole(closing(code(1000, ""))))
	require.NoError(t, err)
	got, err := p.read()
	require.NoError(t, err)
	require.EqualValues(t, opClose, got.Op)
	_, err = p.in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	// The client keeps its side open. The server goes nevertheless: a write comes back with a reset.
	require.Eventually(t, func() bool {
		_, err := p.conn.Write([]byte{0})
		return err != nil
	}, patience, 10*time.Millisecond)
}

func TestWhatComesBehindACloseIsThrownAway(t *testing.T) {
	t.Parallel()
	p := dial(t, startEcho(t, &Echo{Limits: EchoLimits(), CloseTimeout: patience}), "")
	// The kernel resets a connection on which bytes are left unread, and the peer loses what it has not yet read.
	_, err := p.conn.Write(whole(closing(code(1000, ""))))
	require.NoError(t, err)
	for range 8 {
		_, err = p.conn.Write(whole(data(make([]byte, 1<<20))))
		require.NoError(t, err)
	}
	got, err := p.read()
	require.NoError(t, err)
	requireMessage(t, closing(code(1000, "")), got)
	_, err = p.in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}
