package conformance

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheServersWindowIsKept(t *testing.T) {
	t.Parallel()
	server := startEcho(t, &Echo{Limits: EchoLimits()})
	for bits, offer := range map[int]string{
		8:  "permessage-deflate; server_max_window_bits=8",
		9:  "permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
		12: "permessage-deflate; server_max_window_bits=12",
		15: "permessage-deflate",
	} {
		p := dial(t, server, offer)
		farthest := 0
		for kind := range contentNames {
			m := content(kind, 100_000, 1)
			require.NoError(t, p.send(echoed(m)))
			first, packed, err := p.frame()
			require.NoError(t, err)
			if first&rsv1 == 0 { // it does not compress
				continue
			}
			distance, err := distances(append(packed, "\x00\x00\xff\xff"...))
			require.NoError(t, err)
			require.LessOrEqual(t, distance, 1<<bits)
			farthest = max(farthest, distance)
		}
		require.Greater(t, farthest, 1<<bits/4, "the window is used")
	}
	_, err := distances([]byte("\x06"))
	require.Error(t, err)
	distance, err := distances([]byte("\xf2\x00\x11\x00\x00\x00\x00\xff\xff"))
	require.NoError(t, err)
	require.Equal(t, 5, distance, "the standard's example refers to the message before")
}

// distances reads DEFLATE data (RFC 1951) and returns how far back it refers at most. It is a reader of its own, because
// that of the standard library does not tell.
func distances(data []byte) (farthest int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the data breaks off, or is malformed")
		}
	}()
	b := &bitReader{data: data}
	for b.at < 8*len(data) {
		if len(data)*8-b.at < 8 && b.rest() == 0 { // what pads the last byte
			break
		}
		b.take(1) // whether it says that it is the last block matters not
		var literals, far huffman
		switch b.take(2) {
		case 0:
			b.at = (b.at + 7) &^ 7
			n := b.take(16)
			if n != ^b.take(16)&0xffff {
				return 0, errors.New("lengths of a stored block differ")
			}
			b.at += 8 * n
			continue
		case 1:
			literals, far = fixed()
		case 2:
			literals, far = b.dynamic()
		default:
			return 0, errors.New("a block of the reserved type")
		}
		for {
			symbol := b.decode(literals)
			if symbol < 256 {
				continue
			}
			if symbol == 256 {
				break
			}
			b.take(int("\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x01\x02\x02\x02\x02\x03\x03\x03\x03\x04\x04\x04\x04\x05\x05\x05\x05\x00"[symbol-257]))
			symbol = b.decode(far)
			extra := max(0, symbol/2-1)
			base := symbol
			if extra > 0 {
				base = (2 + symbol&1) << extra
			}
			farthest = max(farthest, 1+base+b.take(extra))
		}
	}
	return farthest, nil
}

type bitReader struct {
	data []byte
	at   int // in bits
}

func (b *bitReader) take(n int) (v int) {
	for i := range n {
		v |= int(b.data[b.at/8]) >> (b.at % 8) & 1 << i
		b.at++
	}
	return v
}

// rest returns the bits that are left of the last byte.
func (b *bitReader) rest() int { return int(b.data[len(b.data)-1]) >> (b.at % 8) }

// huffman maps a code's length and bits to its symbol.
type huffman map[[2]int]int

func newHuffman(lengths []int) huffman {
	h := huffman{}
	next := 0
	for length := 1; length <= 15; length++ {
		for symbol, l := range lengths {
			if l == length {
				h[[2]int{length, next}] = symbol
				next++
			}
		}
		next <<= 1
	}
	return h
}

func (b *bitReader) decode(h huffman) int {
	code := 0
	for length := 1; length <= 15; length++ {
		code = code<<1 | b.take(1)
		if symbol, ok := h[[2]int{length, code}]; ok {
			return symbol
		}
	}
	panic("no such code")
}

func fixed() (literals, far huffman) {
	lengths := make([]int, 288)
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	distances := make([]int, 30)
	for i := range distances {
		distances[i] = 5
	}
	return newHuffman(lengths), newHuffman(distances)
}

func (b *bitReader) dynamic() (literals, far huffman) {
	n, distances, codes := 257+b.take(5), 1+b.take(5), 4+b.take(4)
	var meta [19]int
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:codes] {
		meta[i] = b.take(3)
	}
	alphabet := newHuffman(meta[:])
	var lengths []int
	for len(lengths) < n+distances {
		symbol, times := b.decode(alphabet), 1
		switch symbol {
		case 16:
			symbol, times = lengths[len(lengths)-1], 3+b.take(2)
		case 17:
			symbol, times = 0, 3+b.take(3)
		case 18:
			symbol, times = 0, 11+b.take(7)
		}
		for range times {
			lengths = append(lengths, symbol)
		}
	}
	return newHuffman(lengths[:n]), newHuffman(lengths[n:])
}
