package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

func TestCloseFrames(t *testing.T) {
	t.Parallel()
	w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	for name, c := range map[string]struct {
		code         wire.CloseCode
		reason, want string
	}{
		"code and reason":                             {1000, "bye", "\x88\x05\x03\xe8bye"},
		"a code alone":                                {4000, "", "\x88\x02\x0f\xa0"},
		"no code":                                     {wire.CloseNoStatus, "", "\x88\x00"},
		"a code that must not be sent":                {wire.CloseAbnormal, "bye", "\x88\x00"},
		"a reason of 123 bytes":                       {1000, strings.Repeat("x", 123), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		"a reason of 124 bytes is cut":                {1000, strings.Repeat("x", 124), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		"a reason is not cut inside of a character":   {1000, strings.Repeat("x", 121) + "网", "\x88\x7b\x03\xe8" + strings.Repeat("x", 121)},
		"a reason ends before what is not UTF-8":      {1000, "ab\xffc", "\x88\x04\x03\xe8ab"},
		"a reason may have the replacement character": {1000, "\uFFFD!", "\x88\x06\x03\xe8\uFFFD!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, string(w.AppendClose(nil, c.code, c.reason)))
			code, _, err := wire.ParseClose([]byte(c.want[2:]))
			require.NoError(t, err)
			if c.code.Sendable() {
				require.Equal(t, c.code, code)
			} else {
				require.Equal(t, wire.CloseNoStatus, code)
			}
		})
	}
	require.Equal(t, "\x88\x02\x03\xf3", string(w.AppendViolation(nil, strings.NewReader("").UnreadByte())), "an error of the caller's own is 1011, and stays here")
}

func TestCloseMessage(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		code   wire.CloseCode
		reason string
	}{
		"":            {wire.CloseNoStatus, ""},
		"\x03\xe8":    {wire.CloseNormal, ""},
		"\x03\xe9bye": {wire.CloseGoingAway, "bye"},
	} {
		r := wire.NewMessageReader(wire.ReaderSettings{})
		m, _, err := r.Next([]byte(client(whole(wire.OpClose), in)))
		require.NoError(t, err)
		require.Equal(t, wire.OpClose, m.Opcode)
		require.Equal(t, want.code, m.Code)
		require.Equal(t, want.reason, string(m.Reason()))
	}
}

func TestControlFramesAreCutTo125Bytes(t *testing.T) {
	t.Parallel()
	w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	long := []byte(strings.Repeat("x", 200))
	require.Equal(t, "\x89\x7d"+strings.Repeat("x", 125), string(w.AppendPing(nil, long)))
	require.Equal(t, "\x8a\x7d"+strings.Repeat("x", 125), string(w.AppendPong(nil, long)))
}

// A client's keys are fresh for each frame (RFC 6455 §5.3).
func TestClientsMaskWithFreshKeys(t *testing.T) {
	t.Parallel()
	w := wire.NewWriter(wire.WriterSettings{Side: wire.Client})
	var out []byte
	for range 1000 {
		out = w.AppendMessage(out, wire.OpText, []byte("same"))
	}
	f := wire.NewFrameReader(wire.Client, false)
	keys := map[[4]byte]bool{}
	for {
		e, rest, err := f.Next(out)
		require.NoError(t, err)
		if e.Kind == wire.NeedInput {
			break
		}
		if out = rest; e.Kind == wire.FramePayload {
			require.Equal(t, "same", string(e.Payload))
			keys[e.Header.Key] = true
		}
	}
	require.Greater(t, len(keys), 990)
}

func TestWriterAllocatesNothing(t *testing.T) {
	withoutRace(t)
	out := make([]byte, 0, 1<<16)
	payload := []byte(strings.Repeat("hello ", 100))
	for name, set := range map[string]wire.WriterSettings{
		"server": {Side: wire.Server}, "client": {Side: wire.Client}, "deflate": {Side: wire.Server, Deflate: &wire.Deflate{}},
	} {
		w := wire.NewWriter(set)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			out = w.AppendMessage(out[:0], wire.OpText, payload)
			out = w.AppendPing(out, payload[:4])
			out = w.AppendClose(out, wire.CloseNormal, "bye")
		}), name)
	}
}
