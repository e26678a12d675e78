package wire_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

var compressedText = wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}

// RFC 7692 §7.2.3 gives these bytes.
func TestExamplesOfDeflate(t *testing.T) {
	t.Parallel()
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	for name, c := range map[string]struct {
		frames []string
		want   []string
	}{
		"one block":                          {[]string{client(compressedText, hello)}, []string{"text Hello"}},
		"two frames":                         {[]string{client(wire.Header{Opcode: wire.OpText, RSV: wire.RSV1}, hello[:3]), client(whole(0), hello[3:])}, []string{"text Hello"}},
		"the window of the message before":   {[]string{client(compressedText, hello), client(compressedText, "\xf2\x00\x11\x00\x00")}, []string{"text Hello", "text Hello"}},
		"a block that is not compressed":     {[]string{client(compressedText, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")}, []string{"text Hello"}},
		"a block that says it is the last":   {[]string{client(compressedText, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")}, []string{"text Hello"}},
		"two blocks":                         {[]string{client(compressedText, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")}, []string{"text Hello"}},
		"more behind a last block":           {[]string{client(compressedText, "\xf3\x48\xcd\xc9\xc9\x07\x00"+hello)}, []string{"text HelloHello"}},
		"behind a last block, the window":    {[]string{client(compressedText, hello), client(compressedText, "\x03\x00\xf2\x00\x11\x00\x00")}, []string{"text Hello", "text Hello"}},
		"an empty message":                   {[]string{client(compressedText, "\x00")}, []string{"text "}},
		"one that is not compressed between": {[]string{client(compressedText, hello), client(whole(wire.OpText), "!"), client(compressedText, "\xf2\x00\x11\x00\x00")}, []string{"text Hello", "text !", "text Hello"}},
		"a Ping between compressed frames":   {[]string{client(wire.Header{Opcode: wire.OpText, RSV: wire.RSV1}, hello[:3]), client(whole(wire.OpPing), "!"), client(whole(0), hello[3:])}, []string{"ping !", "text Hello"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := strings.Join(c.frames, "")
			for _, step := range []int{len(in), 1, 2, 5} {
				got, err := messages(wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{}}), in, step)
				require.NoError(t, err)
				require.Equal(t, c.want, got, "in pieces of %d", step)
			}
		})
	}
}

func TestWithoutContextTakeoverNothingIsRemembered(t *testing.T) {
	t.Parallel()
	again := client(compressedText, "\xf2\x48\xcd\xc9\xc9\x07\x00") + client(compressedText, "\xf2\x00\x11\x00\x00")
	got, err := messages(wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{ClientNoContextTakeover: true}}), again, 100)
	require.Equal(t, wire.InflateFailed, err)
	require.Equal(t, []string{"text Hello"}, got)
}

// texts compress well, badly, and not at all, and are longer than windows.
func texts() map[string]string {
	random := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("open close ping pong message frame client server {\"id\": } 网络 zwölf 1000 1001")
	var prose, noise strings.Builder
	for prose.Len() < 200_000 {
		prose.WriteString(words[random.IntN(len(words))])
		fmt.Fprintf(&prose, " %d ", random.IntN(1000))
	}
	for noise.Len() < 100_000 {
		noise.WriteByte(byte(random.IntN(128)))
	}
	return map[string]string{
		"one letter many times": strings.Repeat("a", 100_000), "prose": prose.String(), "noise": noise.String(),
		"short": strings.Repeat("ab", 100), "empty": "",
	}
}

func TestWhatIsCompressedComesBack(t *testing.T) {
	t.Parallel()
	for name, text := range texts() {
		for _, bits := range []int{0, 8, 9, 12, 15} {
			for _, side := range []wire.Side{wire.Client, wire.Server} {
				deflate := &wire.Deflate{ServerMaxWindowBits: bits, ClientMaxWindowBits: bits}
				w := wire.NewWriter(wire.WriterSettings{Side: side, Deflate: deflate})
				out := w.AppendMessage([]byte("before"), wire.OpText, []byte(text))
				out = w.AppendMessage(out, wire.OpText, []byte(text))
				require.Equal(t, "before", string(out[:6]))
				require.Less(t, len(out), 6+2*(len(text)+wire.MaxHeaderSize)+1, "never longer than it is")
				if name == "prose" {
					require.Less(t, len(out), 2*len(text)*3/4, "%d bits", bits)
				}
				got, err := messages(wire.NewMessageReader(wire.ReaderSettings{
					From: side, Deflate: deflate, Limits: &wire.Limits{MessageBytes: 1 << 20, InflateRatio: wire.Unlimited},
				}), string(out[6:]), 1000)
				require.NoError(t, err)
				require.True(t, len(got) == 2 && got[0] == "text "+text && got[1] == got[0], name)
			}
		}
	}
}

// A peer that keeps a window of the agreed size and no more inflates it.
func TestCompressedWithinTheWindow(t *testing.T) {
	t.Parallel()
	text := texts()["prose"]
	for bits := 8; bits < 15; bits++ {
		w := wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: &wire.Deflate{ServerMaxWindowBits: bits}})
		out := w.AppendMessage(nil, wire.OpBinary, []byte(text))
		f := wire.NewFrameReader(wire.Server, true)
		e, rest, err := f.Next(out)
		require.NoError(t, err)
		require.Equal(t, uint8(wire.RSV1), e.Header.RSV)
		// Each piece of the window's size inflates without what stood before it.
		inflated := 0
		for _, block := range bytes.Split(rest, []byte("\x00\x00\xff\xff")) {
			block = append(bytes.Clone(block), "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...)
			var piece bytes.Buffer
			_, err := piece.ReadFrom(flate.NewReader(bytes.NewReader(block)))
			require.NoError(t, err)
			require.LessOrEqual(t, piece.Len(), 1<<bits)
			require.Equal(t, text[inflated:inflated+piece.Len()], piece.String())
			inflated += piece.Len()
		}
		require.Equal(t, len(text), inflated)
	}
}

func TestShortMessagesAreNotCompressed(t *testing.T) {
	t.Parallel()
	for size, compressed := range map[int]bool{127: false, 128: true} {
		w := wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: &wire.Deflate{}})
		out := w.AppendMessage(nil, wire.OpText, bytes.Repeat([]byte("a"), size))
		require.Equal(t, compressed, out[0]&wire.RSV1 != 0, size)
	}
	w := wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: &wire.Deflate{}, CompressFrom: 20})
	require.NotZero(t, w.AppendMessage(nil, wire.OpText, bytes.Repeat([]byte("a"), 20))[0]&wire.RSV1)
	require.Zero(t, w.AppendMessage(nil, wire.OpPing, bytes.Repeat([]byte("a"), 20))[0]&wire.RSV1, "control frames never are")
}

// A library that keeps its window from message to message, as browsers do.
func TestInflatesWithContextTakeover(t *testing.T) {
	t.Parallel()
	text := texts()["prose"]
	for _, takeover := range []bool{true, false} {
		for _, size := range []int{1, 50, 125, 4096, 40_000} {
			var packed bytes.Buffer
			w, err := flate.NewWriter(&packed, flate.DefaultCompression)
			require.NoError(t, err)
			r := wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{ClientNoContextTakeover: !takeover}})
			for at := 0; at+size <= min(len(text), size*100); at += size {
				packed.Reset()
				if !takeover {
					w.Reset(&packed)
				}
				_, err = w.Write([]byte(text[at : at+size]))
				require.NoError(t, err)
				require.NoError(t, w.Flush())
				h := wire.Header{Opcode: wire.OpBinary, Fin: true, RSV: wire.RSV1}
				got, err := messages(r, client(h, packed.String()[:packed.Len()-4]), 1500)
				require.NoError(t, err)
				require.Len(t, got, 1)
				require.True(t, got[0] == "binary "+text[at:at+size])
			}
		}
	}
}

// The default ratio leaves room for what services do: the same document again, out of the window.
func TestADocumentSentAgainIsNoAttack(t *testing.T) {
	t.Parallel()
	document := texts()["prose"][:30_000]
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	require.NoError(t, err)
	r := wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{}})
	for i := range 5 {
		packed.Reset()
		_, err = w.Write([]byte(document))
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		_, err := messages(r, client(compressedText, packed.String()[:packed.Len()-4]), 4096)
		require.NoError(t, err)
		if i > 0 {
			require.Greater(t, len(document)/packed.Len(), 80)
		}
	}
}

// A limit is the longest message that passes.
func TestAMessageMayBeAsLongAsItsLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, 1024, 4096} {
		limits := &wire.Limits{MessageBytes: int64(size), InflateRatio: wire.Unlimited}
		for over, want := range []error{nil, wire.MessageTooBig} {
			text := strings.Repeat("a", size+over)
			for name, in := range map[string]string{"plain": client(whole(wire.OpText), text), "compressed": client(compressedText, deflate(text))} {
				if name == "compressed" && size < 100 {
					continue // it is longer as it comes
				}
				for _, step := range []int{len(in), 10} {
					_, err := messages(wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{}, Limits: limits}), in, step)
					require.Equal(t, want, err, "%s, %d", name, size)
				}
			}
		}
	}
}
