package wire

import (
	"compress/flate"
	"io"
	"math"
	"sync"
)

// Deflate is permessage-deflate as client and server have agreed on it (RFC 7692 §7.1).
type Deflate struct {
	// ServerNoContextTakeover says that the server compresses each message by itself (§7.1.1.1).
	ServerNoContextTakeover bool
	// ClientNoContextTakeover says that the client does (§7.1.1.2).
	ClientNoContextTakeover bool
	// ServerMaxWindowBits bounds how far back the server refers, as a power of two: 8 to 15. Zero means 15 (§7.1.2.1).
	ServerMaxWindowBits int
	// ClientMaxWindowBits bounds how far back the client refers (§7.1.2.2).
	ClientMaxWindowBits int
}

const maxWindow = 1 << 15

// window returns how far back the side from may refer.
func (d *Deflate) window(from Side) int {
	bits := d.ClientMaxWindowBits
	if from == Server {
		bits = d.ServerMaxWindowBits
	}
	if bits < 8 || bits > 15 {
		return maxWindow
	}
	return 1 << bits
}

// takeover reports whether the side from may refer to earlier messages.
func (d *Deflate) takeover(from Side) bool {
	if from == Server {
		return !d.ServerNoContextTakeover
	}
	return !d.ClientNoContextTakeover
}

// endOfMessage is what the sender cut off (RFC 7692 §7.2.1), and an empty last block behind it, so that the inflater ends.
const (
	endOfMessage = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	cutOff       = 4
)

// maxLastBlocks bounds how many blocks of a message may say that they are the last (RFC 7692 §7.2.3.5). Each costs a new
// start of the inflater, and no sender needs two.
const maxLastBlocks = 8

// inflater is a decompressor of the standard library and what it reads from: some 40 KiB, which nobody holds between
// messages.
type inflater struct {
	in    compressed
	out   io.ReadCloser
	probe [1]byte
}

var inflaters = sync.Pool{New: func() any {
	i := new(inflater)
	i.out = flate.NewReader(&i.in)
	return i
}}

// compressed is the payload of a message and endOfMessage behind it.
type compressed struct {
	payload []byte
	tail    string
}

func (c *compressed) ReadByte() (byte, error) {
	if len(c.payload) > 0 {
		b := c.payload[0]
		c.payload = c.payload[1:]
		return b, nil
	}
	if len(c.tail) > 0 {
		b := c.tail[0]
		c.tail = c.tail[1:]
		return b, nil
	}
	return 0, io.EOF
}

func (c *compressed) Read(p []byte) (n int, err error) {
	if len(c.payload) > 0 {
		n = copy(p, c.payload)
		c.payload = c.payload[n:]
		return n, nil
	}
	if n = copy(p, c.tail); n == 0 {
		return 0, io.EOF
	}
	c.tail = c.tail[n:]
	return n, nil
}

// inflate returns in a new buffer what payload inflates to (RFC 7692 §7.2.2), within the budgets, and checks it as it comes
// if it is text. window is what earlier messages inflated to.
func inflate(payload, window []byte, limits *Limits, text bool) (*buffer, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	i.in = compressed{payload, endOfMessage}
	i.restart(window)
	budget, over := limits.inflated(len(payload))
	out := takeBuffer(int(min(2*int64(len(payload)), budget)))
	state := utf8Complete
	for lasts := 0; ; {
		had := len(out.b)
		excess, err := i.read(&out, budget)
		if text {
			state = state.after(out.b[had:])
		}
		switch {
		case excess:
			err = over
		case state == utf8Invalid:
			err = InvalidUTF8
		case err == nil:
			continue
		case err != io.EOF:
			err = InflateFailed // the library's error says where, which is of no use to anyone
		case len(i.in.tail) > 0 && lasts < maxLastBlocks:
			// A block said that it is the last, and is not.
			lasts++
			i.restart(history(window, out.b))
			continue
		case len(i.in.tail) > 0:
			err = InflateFailed
		case state != utf8Complete:
			err = InvalidUTF8
		default:
			i.in = compressed{}
			return out, nil
		}
		i.in = compressed{}
		out.release()
		return nil, err
	}
}

// restart begins anew where the input stands. window is what may be referred to.
func (i *inflater) restart(window []byte) {
	_ = i.out.(flate.Resetter).Reset(&i.in, window) // never fails
}

// read appends the next piece to out. A buffer that holds the whole budget does not grow for the byte that shows whether
// there is more.
func (i *inflater) read(out **buffer, budget int64) (excess bool, err error) {
	had := int64(len((*out).b))
	if had == budget {
		n, err := i.out.Read(i.probe[:])
		return n > 0, err
	}
	*out = (*out).grow(1, budget)
	b := *out
	n, err := i.out.Read(b.b[had:min(int64(cap(b.b)), budget)])
	b.b = b.b[:had+int64(n)]
	return false, err
}

// history joins what was inflated before a message with what was inflated of it, as far as it may be referred to.
func history(window, inflated []byte) []byte {
	if len(inflated) >= maxWindow || len(window) == 0 {
		return inflated
	}
	return append(append(make([]byte, 0, len(window)+len(inflated)), window...), inflated...)
}

// inflated returns how many bytes a message of n bytes may inflate to, and what it breaks with more.
func (l *Limits) inflated(n int) (budget int64, over Violation) {
	budget, over = l.messageBytes(), MessageTooBig
	if ratio := l.inflateRatio(); ratio < math.MaxInt64/int64(n+1) && max(ratio*int64(n), ratioFloor) < budget {
		return max(ratio*int64(n), ratioFloor), InflateRatioExceeded
	}
	return budget, over
}

// slide returns the last size bytes of window and p together, in window's memory where they fit.
func slide(window, p []byte, size int) []byte {
	if len(p) >= size {
		return append(window[:0], p[len(p)-size:]...)
	}
	if over := len(window) + len(p) - size; over > 0 {
		window = append(window[:0], window[over:]...)
	}
	return append(window, p...)
}

// deflater is a compressor of the standard library, 1.2 MB, and where it writes to. There are as many as compress at once.
type deflater struct {
	dst []byte
	w   *flate.Writer
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(d, flate.BestSpeed) // fails for other levels only
	return d
}}

func (d *deflater) Write(p []byte) (int, error) {
	d.dst = append(d.dst, p...)
	return len(p), nil
}

// deflate appends payload compressed (RFC 7692 §7.2.1). The library's window cannot be set, so the payload is compressed in
// pieces of the window's size, none of which refers to another.
func deflate(dst, payload []byte, window int) []byte {
	d := deflaters.Get().(*deflater)
	d.dst = dst
	for len(payload) > 0 {
		piece := payload
		if window < maxWindow {
			piece = payload[:min(len(payload), window)]
		}
		payload = payload[len(piece):]
		d.w.Reset(d)
		_, _ = d.w.Write(piece) // Write of a deflater does not fail
		_ = d.w.Flush()
	}
	dst = d.dst[:len(d.dst)-cutOff]
	d.dst = nil
	deflaters.Put(d)
	return dst
}
