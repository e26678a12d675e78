package wire_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// Tests of this file measure the whole process's memory, so none of them is parallel.

// heldBy returns the bytes of heap that each of n things holds.
func heldBy[T any](n int, made func() T) int {
	things := make([]T, n)
	before := liveHeap()
	for i := range things {
		things[i] = made()
	}
	held := liveHeap() - before
	runtime.KeepAlive(things)
	return held / n
}

func liveHeap() int {
	// The first collection moves what is in pools to where the second drops it.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// allocated returns how many bytes f allocates in all, garbage included.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// What a connection holds, by what came last on it.
func TestMemoryFollowsWhatCameNotWhatWasClaimed(t *testing.T) {
	limits := &wire.Limits{MessageBytes: 16 << 20}
	header := func(length int64) string {
		return string(wire.AppendHeader(nil, wire.Header{Opcode: wire.OpBinary, Fin: true, Masked: true, Length: length}))
	}
	for _, c := range []struct {
		name, in string
		most     int
	}{
		{"nothing yet", "", 240},
		{"between messages", client(whole(wire.OpText), strings.Repeat("x", 5000)) + client(whole(wire.OpPing), "x"), 240},
		{"half a header", "\x82\xff\x00\x00", 240},
		{"a header that claims 1 MiB", header(1 << 20), 240},
		{"a header that claims 1 MiB, and one byte", header(1<<20) + "x", 240 + 256 + 64},
		{"a header that claims 16 MiB, and 1,000 bytes", header(16<<20) + strings.Repeat("x", 1000), 240 + 2048 + 64},
		{"a Ping of which the end is missing", client(whole(wire.OpPing), strings.Repeat("x", 100))[:50], 240 + 256 + 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			held := heldBy(2000, func() *wire.MessageReader {
				r := wire.NewMessageReader(wire.ReaderSettings{Limits: limits})
				_, err := messages(r, c.in, 700)
				require.NoError(t, err)
				return r
			})
			t.Logf("%d bytes", held)
			require.LessOrEqual(t, held, c.most)
		})
	}
}

func TestContextTakeoverHoldsWhatItMust(t *testing.T) {
	limits := &wire.Limits{InflateRatio: wire.Unlimited}
	for _, c := range []struct {
		name    string
		deflate wire.Deflate
		sent    int
		most    int
	}{
		{"without takeover", wire.Deflate{ClientNoContextTakeover: true}, 60_000, 240},
		{"a window of 32 KiB, little sent", wire.Deflate{}, 300, 240 + 512},
		{"a window of 32 KiB, filled", wire.Deflate{}, 60_000, 240 + 33_000},
		{"a window of 512 bytes, filled", wire.Deflate{ClientMaxWindowBits: 9}, 60_000, 240 + 640},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := client(compressedText, deflate(strings.Repeat("0123456789", c.sent/10)))
			held := heldBy(1000, func() *wire.MessageReader {
				r := wire.NewMessageReader(wire.ReaderSettings{Deflate: &c.deflate, Limits: limits})
				_, err := messages(r, in, 700)
				require.NoError(t, err)
				return r
			})
			t.Logf("%d bytes", held)
			require.LessOrEqual(t, held, c.most)
		})
	}
}

// 254 KiB that inflate to 256 MiB. The limit is 1 MiB: what is allocated in all is the payload with its doublings, the inflater, and what was
// inflated.
func TestWhatInflatesTo256MiBStopsAtTheBudget(t *testing.T) {
	packed := strings.Repeat(deflate(strings.Repeat("\x00", 1<<20))+"\x00\x00\xff\xff", 256)
	require.InDelta(t, 254<<10, len(packed), 10<<10)
	for name, limits := range map[string]*wire.Limits{
		"by bytes": {MessageBytes: 1 << 20, InflateRatio: wire.Unlimited},
		"by ratio": {MessageBytes: wire.Unlimited, InflateRatio: 4},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]wire.Violation{"by bytes": wire.MessageTooBig, "by ratio": wire.InflateRatioExceeded}[name]
			in := client(wire.Header{Opcode: wire.OpBinary, Fin: true, RSV: wire.RSV1}, packed)
			r := wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{}, Limits: limits})
			var err error
			bytes := allocated(func() { _, err = messages(r, in, 4096) })
			t.Logf("%d bytes", bytes)
			require.Equal(t, want, err)
			require.Equal(t, wire.CloseMessageTooBig, want.CloseCode())
			// The test itself copies the input once: messages makes a slice of each piece.
			require.LessOrEqual(t, bytes-len(in), 4<<20)
		})
	}
}

func TestAMillionEmptyContinuationsEndAtTheBudget(t *testing.T) {
	r := wire.NewMessageReader(wire.ReaderSettings{})
	_, err := messages(r, client(first(wire.OpText), ""), 100)
	require.NoError(t, err)
	empty := []byte(client(first(wire.OpContinuation), ""))
	in := make([]byte, len(empty))
	sent := 1
	bytes := allocated(func() {
		for ; err == nil && sent < 1_000_000; sent++ {
			copy(in, empty)
			_, _, err = r.Next(in)
		}
	})
	require.Equal(t, wire.TooManyFrames, err)
	require.Equal(t, wire.ClosePolicyViolation, wire.TooManyFrames.CloseCode())
	require.Equal(t, 1025, sent)
	require.LessOrEqual(t, bytes, 1024)
}

// One byte a frame is no way around the limits either: what is held is what was sent.
func TestATextOfOneByteAFrame(t *testing.T) {
	r := wire.NewMessageReader(wire.ReaderSettings{})
	in := client(first(wire.OpText), "x") + strings.Repeat(client(first(0), "x"), 1023)
	_, err := messages(r, in, 4096)
	require.NoError(t, err)
	_, err = messages(r, client(whole(0), "x"), 10)
	require.Equal(t, wire.TooManyFrames, err)
}

func TestAFloodOfPings(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limits := &wire.Limits{ControlFrames: 10, ControlInterval: time.Second, Now: func() time.Time { return now }}
	r := wire.NewMessageReader(wire.ReaderSettings{Limits: limits})
	ping, pong, text := client(whole(wire.OpPing), ""), client(whole(wire.OpPong), ""), client(whole(wire.OpText), "x")
	for range 100 {
		_, err := messages(r, strings.Repeat(ping+text, 5)+strings.Repeat(pong, 5), 1000)
		require.NoError(t, err, "as many as are allowed, again and again")
		now = now.Add(time.Second)
	}
	_, err := messages(r, strings.Repeat(ping, 10), 1000)
	require.NoError(t, err)
	now = now.Add(time.Second - 1)
	bytes := allocated(func() { _, err = messages(r, ping, 1000) })
	require.Equal(t, wire.TooManyControlFrames, err)
	require.Equal(t, wire.ClosePolicyViolation, wire.TooManyControlFrames.CloseCode())
	require.LessOrEqual(t, bytes, 256)
}

// A million pings of 125 bytes, unlimited: no memory is needed for them, in whole or in pieces.
func TestPingsNeedNoMemory(t *testing.T) {
	withoutRace(t)
	r := wire.NewMessageReader(wire.ReaderSettings{Limits: &wire.Limits{ControlFrames: wire.Unlimited}})
	ping := []byte(client(whole(wire.OpPing), strings.Repeat("x", 125)))
	in := make([]byte, len(ping))
	bytes := allocated(func() {
		for range 100_000 {
			copy(in, ping)
			for _, rest := range [][]byte{in[:50], in[50:]} {
				for {
					m, more, err := r.Next(rest)
					if err != nil {
						t.Fatal(err)
					}
					if !m.Ready() {
						break
					}
					rest = more
				}
			}
		}
	})
	require.LessOrEqual(t, bytes, 4096)
}

func TestViolationsNeedNoMemory(t *testing.T) {
	for name, frame := range map[string]string{
		"a length with the top bit set": "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"a reserved bit":                "\xb1\x80\x00\x00\x00\x00",
		"a mask that is missing":        "\x81\x00",
		"a length of 2^62":              "\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"a close code":                  "\x88\x82\x00\x00\x00\x00\x00\x00",
		"a text":                        "\x01\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00\xff",
	} {
		in := make([]byte, len(frame))
		var r wire.MessageReader
		require.Zero(t, testing.AllocsPerRun(100, func() {
			copy(in, frame)
			r.Reset(wire.ReaderSettings{})
			if _, _, err := r.Next(in); err == nil {
				t.Error(name)
			}
		}), name)
	}
}

// Reading costs no allocation: whole messages, fragments, control frames between them, pieces of a frame.
func TestReaderAllocatesNothing(t *testing.T) {
	withoutRace(t)
	stream := strings.Repeat(client(whole(wire.OpText), "Hello")+client(first(wire.OpText), "zw\xc3")+client(whole(wire.OpPing), "!")+
		client(whole(0), "\xb6lf")+client(whole(wire.OpBinary), strings.Repeat("x", 3000)), 10)
	in := make([]byte, len(stream))
	r := wire.NewMessageReader(wire.ReaderSettings{})
	for _, step := range []int{len(stream), 1000, 7} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			copy(in, stream)
			for rest := in; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				for piece := rest[:min(step, len(rest))]; ; {
					m, more, err := r.Next(piece)
					if err != nil {
						t.Fatal(err)
					}
					if !m.Ready() {
						break
					}
					piece = more
				}
			}
			r.Reset(wire.ReaderSettings{})
		}), "in pieces of %d", step)
	}
}
