package conformance

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// compression is groups 12 and 13: permessage-deflate with contents of many kinds and with all its parameters (RFC 7692).
func compression(t *table) {
	const plain = "permessage-deflate; client_max_window_bits"
	for kind, name := range contentNames {
		traffic(t, fmt.Sprintf("12.%d", kind+1), name, plain, kind)
	}
	for i, offer := range []string{
		"permessage-deflate; client_no_context_takeover",
		"permessage-deflate; server_no_context_takeover",
		"permessage-deflate; server_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=15",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
		`permessage-deflate; server_no_context_takeover; server_max_window_bits="15"; client_max_window_bits`,
		"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover; server_max_window_bits=8, permessage-deflate",
		"permessage-deflate; client_max_window_bits=9; client_no_context_takeover",
	} {
		traffic(t, fmt.Sprintf("13.%d", i+1), offer, offer, i%len(contentNames))
	}
	byHand(t)
}

// traffic adds 18 cases: ten lengths, and eight lengths of frames.
func traffic(t *table, group, title, offer string, kind int) {
	add := func(n, size, fragment int, in string) {
		t.cases = append(t.cases, Case{
			ID: fmt.Sprintf("%s.%d", group, n), Title: fmt.Sprintf("%s: messages of %d bytes%s", title, size, in), Offer: offer,
			Make: func() Script { return packed(kind, size, fragment, offer) },
		})
	}
	for i, size := range []int{16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
		add(i+1, size, 0, "")
	}
	for i, fragment := range []int{64, 256, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10} {
		add(i+11, 128<<10, fragment, fmt.Sprintf(" in frames of at most %d", fragment))
	}
}

var contentNames = []string{"JSON", "noise", "German text", "zeros", "log lines"}

// content returns n bytes that compress differently, the same for the same seed.
func content(kind, n int, seed uint64) Message {
	random := rand.New(rand.NewPCG(seed, uint64(kind)))
	switch kind {
	case 1:
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return data(b)
	case 3:
		return data(make([]byte, n))
	}
	var b strings.Builder
	for b.Len() < n {
		switch kind {
		case 0:
			fmt.Fprintf(&b, `{"id":%d,"name":"user %d","on":true},`, random.Uint32(), random.IntN(100))
		case 2:
			b.WriteString(words[random.IntN(len(words))])
			b.WriteByte(' ')
		default:
			fmt.Fprintf(&b, "2026-01-01T00:00:%02dZ GET /chat/%d 101\n", random.IntN(60), random.IntN(50))
		}
	}
	// Cut at a letter's border, and filled up to the length.
	s := b.String()[:n]
	for trim := 0; trim < 3 && strings.ToValidUTF8(s, "") != s; trim++ {
		s = s[:len(s)-1]
	}
	return text(s + strings.Repeat(".", n-len(s)))
}

var words = strings.Fields("Die Verbindung wird geöffnet sobald der Handschlag gültig ist und schließt " +
	"wenn über längere Zeit nichts gehört wurde")

// packed is a script of compressed messages: about 128 KiB of them, and two at least.
func packed(kind, size, fragment int, offer string) Script {
	agreed := negotiated(offer)
	p := newPacker(agreed.ClientNoContextTakeover, agreed.ClientMaxWindowBits)
	var s Script
	for i := range min(max(128<<10/size, 2), 200) {
		m := content(kind, size, uint64(i))
		payload := p.pack(m.Payload)
		pieces := []string{string(payload)}
		if fragment > 0 {
			pieces = cut(payload, fragment)
		}
		frames := fragments(m.Op|rsv1, pieces...)
		s.Send = append(s.Send, frames...)
		s.Want = append(s.Want, m)
	}
	return s.chopped(1 << 20)
}

// packer compresses messages as a client does (RFC 7692 §7.2.1).
type packer struct {
	out       bytes.Buffer
	w         *flate.Writer
	noContext bool
	window    int
}

func newPacker(noContext bool, windowBits int) *packer {
	p := &packer{noContext: noContext}
	if windowBits > 0 {
		p.window = 1 << windowBits
	}
	p.w, _ = flate.NewWriter(&p.out, flate.DefaultCompression)
	return p
}

func (p *packer) pack(payload []byte) []byte {
	p.out.Reset()
	if p.noContext {
		p.w.Reset(&p.out)
	}
	for piece := range slicesOf(payload, p.window) {
		if p.window > 0 {
			p.w.Reset(&p.out) // the library's window is not ours to choose
		}
		_, _ = p.w.Write(piece)
		_ = p.w.Flush()
	}
	return bytes.Clone(bytes.TrimSuffix(p.out.Bytes(), []byte("\x00\x00\xff\xff")))
}

// slicesOf yields p in pieces of n bytes, or whole.
func slicesOf(p []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for n > 0 && len(p) > n {
			if !yield(p[:n]) {
				return
			}
			p = p[n:]
		}
		yield(p)
	}
}

// byHand are the standard's examples and what breaks its rules (RFC 7692 §6, §7.2.3).
func byHand(t *table) {
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	one := frame(fin|rsv1|opText, []byte(hello))
	rows := func(list []row) {
		for _, r := range list {
			make := func() Script { return r.script }
			t.cases = append(t.cases, Case{ID: r.id, Title: r.title, Offer: "permessage-deflate", Make: make})
		}
	}
	first, second := frame(rsv1|opText, []byte(hello[:3])), frame(fin|opContinuation, []byte(hello[3:]))
	compressed := func(payload string) []byte { return frame(fin|rsv1|opText, []byte(payload)) }

	rows([]row{
		{"12.6.1", "the standard's example of one block", sending(one).want(text("Hello"))},
		{"12.6.2", "the standard's example in two frames", sending(first, second).want(text("Hello"))},
		{"12.6.3", "the same message again, by the window", sending(one, compressed("\xf2\x00\x11\x00\x00")).want(text("Hello"), text("Hello"))},
		{"12.6.4", "the standard's example of a block that is not compressed", sending(compressed("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")).want(text("Hello"))},
		{"12.6.5", "the standard's example of a last block", sending(compressed("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")).want(text("Hello"))},
		{"12.6.6", "the standard's example of two blocks", sending(compressed("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")).want(text("Hello"))},
		{"12.6.7", "an empty message, compressed", sending(compressed("\x00")).want(text(""))},
		{"12.6.8", "a message that is not compressed between two that are", sending(one, text("plain"), one).want(text("Hello"), text("plain"), text("Hello"))},
		{"12.6.9", "a Ping between compressed frames", sending(first, ping("p"), second).want(ping("p"), text("Hello"))},
		{"12.6.10", "empty frames around compressed ones", sending(frame(rsv1|opText, nil), frame(opContinuation, []byte(hello)), frame(fin, nil)).want(text("Hello"))},
		{"12.6.11", "a plain fragmented message", sending(fragments(opText, "Hel", "lo")).want(text("Hello"))},
		{"12.7.1", "RSV1 on a continuation", sending(first, frame(fin|rsv1|opContinuation, []byte(hello[3:]))).fails(wire.ReservedBits, 1002)},
		{"12.7.2", "RSV1 on a Ping", sending(one, frame(fin|rsv1|opPing, nil)).want(text("Hello")).fails(wire.ReservedBits, 1002)},
		{"12.7.3", "RSV1 on a Close", sending(frame(fin|rsv1|opClose, []byte(code(1000, "")))).fails(wire.ReservedBits, 1002)},
		{"12.7.4", "RSV2 on a compressed message", sending(frame(fin|rsv1|rsv2|opText, []byte(hello))).fails(wire.ReservedBits, 1002)},
		{"12.7.5", "RSV3 on a plain message", sending(frame(fin|rsv3|opText, []byte("a"))).fails(wire.ReservedBits, 1002)},
		{"12.7.6", "a block of the reserved type", sending(compressed("\x06")).fails(wire.InflateFailed, 1007)},
		{"12.7.7", "a distance before the beginning", sending(compressed("\xf2\x00\x11\x00\x00")).fails(wire.InflateFailed, 1007)},
		{"12.7.8", "a stored block whose lengths differ", sending(compressed("\x00\x05\x00\xfb\xff\x48\x65\x6c\x6c\x6f\x00")).fails(wire.InflateFailed, 1007)},
		{"12.7.9", "a block that does not end", sending(compressed(hello[:3])).fails(wire.InflateFailed, 1007)},
		{"12.7.10", "a compressed text that is no UTF-8", sending(compressed("\x00\x02\x00\xfd\xff\xc3\x28\x00")).fails(wire.InvalidUTF8, 1007)},
		{"12.7.11", "a compressed text that ends inside a letter", sending(compressed("\x00\x02\x00\xfd\xff\xe2\x82\x00")).fails(wire.InvalidUTF8, 1007)},
	})
	t.cases = append(t.cases, Case{
		ID: "12.7.12", Title: "a window that the client said it would not use", Offer: "permessage-deflate; client_no_context_takeover",
		Make: func() Script {
			return sending(one, compressed("\xf2\x00\x11\x00\x00")).want(text("Hello")).fails(wire.InflateFailed, 1007)
		},
	})
}
