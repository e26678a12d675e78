package wire_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// streams are the seeds: what a peer may send, good and bad.
func streams() []string {
	compressed := wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}
	return []string{
		client(whole(wire.OpText), "Hello") + client(whole(wire.OpBinary), "\x00\xff"),
		client(first(wire.OpText), "zw\xc3") + client(whole(wire.OpPing), "!") + client(whole(0), "\xb6lf"),
		client(first(wire.OpText), "\xf4\x90") + client(whole(0), ""),
		client(compressed, deflate("Hello")) + client(compressed, "\xf2\x00\x11\x00\x00"),
		client(compressed, deflate(strings.Repeat("网络", 400))) + client(compressed, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
		client(whole(wire.OpBinary), strings.Repeat("x", 300)) + client(whole(wire.OpClose), "\x03\xe8bye") + "more",
		server(whole(wire.OpText), "Hello") + server(first(wire.OpText), "a") + server(whole(0), "b") + server(whole(wire.OpClose), ""),
		"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00x",
		"\x81\xfe\x00\x01\x00\x00\x00\x00x",
		"\x81\xfe\x00\x7d\x00\x00\x00\x00" + strings.Repeat("x", 125),
	}
}

// pieces cuts in at random.
func pieces(in []byte, seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, seed))
	var cut [][]byte
	for len(in) > 0 {
		n := min(1+random.IntN(1+random.IntN(40)), len(in))
		cut = append(cut, bytes.Clone(in[:n]))
		in = in[n:]
	}
	return cut
}

// readFrames returns all events, payloads joined.
func readFrames(from wire.Side, deflated bool, in ...[]byte) (seen []string) {
	f := wire.NewFrameReader(from, deflated)
	var payload []byte
	for _, rest := range in {
		for {
			var e wire.Event
			var err error
			e, rest, err = f.Next(rest)
			switch {
			case err == wire.InvalidLength:
				return append(seen, err.Error())
			case e.Kind == wire.FrameHeader:
				seen = append(seen, fmt.Sprintf("%+v %v", e.Header, err))
				payload = nil
			case e.Kind == wire.FramePayload:
				if payload = append(payload, e.Payload...); e.End {
					seen = append(seen, fmt.Sprintf("%q", payload))
				}
			}
			if e.Kind == wire.NeedInput {
				if len(rest) > 0 {
					panic("input left over")
				}
				break
			}
		}
	}
	return seen
}

// readMessages returns all messages and the error.
func readMessages(set wire.ReaderSettings, in ...[]byte) (seen []string) {
	r := wire.NewMessageReader(set)
	defer r.Release()
	for _, rest := range in {
		for {
			var m wire.Message
			var err error
			m, rest, err = r.Next(rest)
			if err != nil {
				return append(seen, err.Error())
			}
			if !m.Ready() {
				break
			}
			if m.Opcode == wire.OpText && !utf8.Valid(m.Payload) {
				panic("text is not UTF-8")
			}
			seen = append(seen, fmt.Sprintf("%+v %q", m, m.Payload))
		}
	}
	return seen
}

// FuzzSplit: what a reader sees does not depend on how its input was cut.
func FuzzSplit(f *testing.F) {
	for i, s := range streams() {
		f.Add([]byte(s), uint64(i), i%2 == 1, i%3 > 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, fromServer, deflated bool) {
		from, deflate := wire.Client, (*wire.Deflate)(nil)
		if fromServer {
			from = wire.Server
		}
		if deflated {
			deflate = &wire.Deflate{}
		}
		cut := pieces(in, seed)
		require.Equal(t, readFrames(from, deflated, bytes.Clone(in)), readFrames(from, deflated, cut...))

		cut = pieces(in, seed)
		headers := 0
		set := wire.ReaderSettings{From: from, Deflate: deflate, Limits: &wire.Limits{MessageBytes: 1000, MessageFrames: 10}, OnHeader: func(wire.Header) error { headers++; return nil }}
		want := readMessages(set, bytes.Clone(in))
		once := headers
		headers = 0
		require.Equal(t, want, readMessages(set, cut...))
		require.Equal(t, once, headers)
	})
}

// FuzzRoundTrip: what a writer appends, in fragments or compressed, a reader of the other side gives back.
func FuzzRoundTrip(f *testing.F) {
	for i, s := range streams() {
		f.Add([]byte(s), uint64(i), i%2 == 0, uint8(7+i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, payload []byte, seed uint64, text bool, bits, fragments uint8) {
		op := wire.OpBinary
		if text && utf8.Valid(payload) {
			op = wire.OpText
		}
		side := wire.Side(seed & 1)
		var deflate *wire.Deflate
		if bits%10 < 8 {
			deflate = &wire.Deflate{ServerMaxWindowBits: 8 + int(bits%10), ClientMaxWindowBits: 8 + int(bits%10)}
		}
		w := wire.NewWriter(wire.WriterSettings{Side: side, Deflate: deflate, CompressFrom: 1})
		var out []byte
		for rest := payload; fragments > 0; fragments-- {
			n := len(rest) / int(fragments)
			h := wire.Header{Fin: fragments == 1}
			if len(rest) == len(payload) && len(out) == 0 {
				h.Opcode = op
			}
			out = w.AppendFrame(out, h, rest[:n])
			out = w.AppendPing(out, rest[:min(n, 10)])
			rest = rest[n:]
		}
		fragmented := len(out) > 0
		out = w.AppendMessage(out, op, payload)

		r := wire.NewMessageReader(wire.ReaderSettings{From: side, Deflate: deflate, Limits: &wire.Limits{MessageBytes: wire.Unlimited, InflateRatio: wire.Unlimited, ControlFrames: wire.Unlimited}})
		got := 0
		for _, rest := range pieces(out, seed) {
			for {
				m, more, err := r.Next(rest)
				require.NoError(t, err)
				if !m.Ready() {
					break
				}
				if rest = more; m.Opcode == wire.OpPing {
					continue
				}
				require.Equal(t, op, m.Opcode)
				require.True(t, bytes.Equal(payload, m.Payload))
				got++
			}
		}
		require.Equal(t, map[bool]int{false: 1, true: 2}[fragmented], got)
	})
}

// FuzzInflate: nothing inflates to more than its budgets, and what is in order inflates to what the library says.
func FuzzInflate(f *testing.F) {
	for i, s := range []string{"", "Hello", strings.Repeat("a", 100_000), strings.Repeat("网络 ", 1000)} {
		f.Add([]byte(deflate(s)), uint16(1000*i), uint8(i*50))
	}
	f.Add([]byte("\x03\x00\x03\x00\x00"), uint16(9), uint8(1))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint16(5), uint8(1))
	f.Fuzz(func(t *testing.T, packed []byte, most uint16, ratio uint8) {
		limits := &wire.Limits{MessageBytes: max(int64(most), int64(len(packed))) + 1, InflateRatio: int64(ratio) + 1}
		w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
		in := w.AppendFrame(nil, wire.Header{Opcode: wire.OpBinary, Fin: true, RSV: wire.RSV1}, packed)
		r := wire.NewMessageReader(wire.ReaderSettings{From: wire.Server, Deflate: &wire.Deflate{}, Limits: limits})
		m, _, err := r.Next(in)
		if err == nil {
			require.LessOrEqual(t, int64(len(m.Payload)), limits.MessageBytes)
			require.LessOrEqual(t, int64(len(m.Payload)), max(limits.InflateRatio*int64(len(packed)), 16<<10))
		}
		budget, over := limits.MessageBytes, wire.MessageTooBig
		if byRatio := max(limits.InflateRatio*int64(len(packed)), 16<<10); byRatio < budget {
			budget, over = byRatio, wire.InflateRatioExceeded
		}
		want, problem := inflated(packed, budget)
		switch {
		case int64(len(want)) > budget:
			require.Equal(t, over, err)
		case problem != nil:
			require.Equal(t, wire.InflateFailed, err)
		default:
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, m.Payload))
		}
	})
}

// inflated inflates a little more than most bytes with the standard library alone: block behind last block, until all of the
// input was read.
func inflated(packed []byte, most int64) (out []byte, err error) {
	in := strings.NewReader(string(packed) + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	for range 9 {
		var more []byte
		more, err = io.ReadAll(io.LimitReader(flate.NewReaderDict(in, out), most+1-int64(len(out))))
		out = append(out, more...)
		if err != nil || int64(len(out)) > most || in.Len() == 0 {
			return out, err
		}
	}
	return out, errors.New("too many last blocks")
}
