package conformance

import (
	"bytes"
	"cmp"
	"compress/flate"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/sockeye-project/sockeye/wire"
)

// compression is groups 12 and 13: permessage-deflate with contents of many kinds and with all its parameters (RFC 7692).
func compression(t *table) {
	// What the Autobahn test suite offers, and the lengths of its five files. Their contents are ours, of the same kinds.
	const plain = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
	files := []file{
		{"JSON", opText, 0, 194_056},
		{"a picture", opBinary, 6, 263_222},
		{"German text", opBinary, 2, 222_218},
		{"HTML", opText, 5, 263_527},
		{"a document of packed parts", opBinary, 7, 1_042_328},
	}
	for i, f := range files {
		traffic(t, fmt.Sprintf("12.%d", i+1), f.name, plain, f)
	}
	const without, window = plain + "; server_no_context_takeover", "; server_max_window_bits="
	for i, offer := range []string{
		plain, without, plain + window + "9", plain + window + "15", without + window + "9", without + window + "15",
		without + window + "9, " + without + ", " + plain,
	} {
		traffic(t, fmt.Sprintf("13.%d", i+1), "JSON, offered "+offer, offer, files[0])
	}

	for i, offer := range []string{
		"permessage-deflate; client_no_context_takeover",
		`permessage-deflate; server_no_context_takeover; server_max_window_bits="15"; client_max_window_bits`,
		"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover; server_max_window_bits=8, permessage-deflate",
		"permessage-deflate; client_max_window_bits=9; client_no_context_takeover",
		"permessage-deflate",
	} {
		for j, size := range []int{64, 1 << 10, 16 << 10, 128 << 10} {
			t.cases = append(t.cases, Case{
				ID: fmt.Sprintf("own/13.%d.%d", i+1, j+1), Title: fmt.Sprintf("%s: messages of %d bytes", offer, size),
				Offer: offer, Make: func(on Terms) Script { return packed(size, on.Agreed) },
			})
		}
	}
	byHand(t)
}

// file is what the messages of a case are cut from.
type file struct {
	name string
	op   byte
	kind int
	size int
}

// traffic adds 18 cases: ten lengths of messages, and eight times messages in frames.
func traffic(t *table, group, title, offer string, f file) {
	for i, size := range []struct{ message, frame int }{
		{16, 0}, {64, 0}, {256, 0}, {1 << 10, 0}, {4 << 10, 0}, {8 << 10, 0}, {16 << 10, 0}, {32 << 10, 0}, {64 << 10, 0}, {128 << 10, 0},
		{8 << 10, 256}, {16 << 10, 256}, {32 << 10, 256}, {64 << 10, 256},
		{128 << 10, 256}, {128 << 10, 1 << 10}, {128 << 10, 4 << 10}, {128 << 10, 32 << 10},
	} {
		in := ""
		if size.frame > 0 {
			in = fmt.Sprintf(" in frames of %d", size.frame)
		}
		t.cases = append(t.cases, Case{
			ID: fmt.Sprintf("%s.%d", group, i+1), Title: fmt.Sprintf("%s: messages of %d bytes%s", title, size.message, in),
			Offer: offer, Size: size.message,
			Make: func(on Terms) Script {
				p, all := newPacker(on.Agreed), fileContent(f.kind, f.size)
				at := 0
				return oneByOne(min(on.Messages, 1000), func(int) Script {
					m := Message{Op: f.op, Payload: make([]byte, size.message)}
					for n := 0; n < len(m.Payload); at %= len(all) {
						copied := copy(m.Payload[n:], all[at:])
						n, at = n+copied, at+copied
					}
					return sending(cut(m.Op|rsv1, p.pack(m.Payload), cmp.Or(size.frame, 1<<30))).want(m)
				})
			},
		})
	}
}

// fileContent is content that is made once.
func fileContent(kind, n int) []byte {
	once, _ := contents.LoadOrStore([2]int{kind, n}, sync.OnceValue(func() []byte { return content(kind, n, 0).Payload }))
	return once.(func() []byte)()
}

var contents sync.Map

var contentNames = []string{"JSON", "noise", "German text", "zeros", "log lines", "HTML", "a picture", "a document"}

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
	case 6: // 512 pixels a line, soft and with a little noise, behind a header of zeros
		b := make([]byte, n)
		for i := 1078; i < n; i++ {
			x, y := float64((i-1078)%512), float64((i-1078)/512)
			b[i] = byte(128+90*math.Sin(x/60)*math.Cos(y/45)) + byte(random.IntN(4))
		}
		return data(b)
	case 7:
		var b []byte
		for i := 1; len(b) < n; i++ {
			const part = "%d 0 obj\n<< /Length 4000 /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\n"
			b = fmt.Appendf(b, part, i, content(1, 4000, uint64(i)).Payload)
		}
		return data(b[:n])
	}
	var b strings.Builder
	for b.Len() < n {
		switch kind {
		case 0:
			fmt.Fprintf(&b, `{"id":%d,"name":"user %d","on":true},`, random.Uint32(), random.IntN(100))
		case 2:
			b.WriteString(words[random.IntN(len(words))])
			b.WriteByte(' ')
		case 5:
			const line = `<tr class="row"><td>%d</td><td><a href="/item/%d">item %d</a></td></tr>` + "\n"
			fmt.Fprintf(&b, line, random.IntN(1000), random.Uint32(), random.IntN(100))
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

// packed is a script of compressed messages of all kinds: about 128 KiB of them.
func packed(size int, agreed string) Script {
	p := newPacker(agreed)
	var s Script
	for i := range min(max(128<<10/size, len(contentNames)), 200) {
		m := content(i%len(contentNames), size, uint64(i))
		s.Send = append(s.Send, frame(fin|m.Op|rsv1, p.pack(m.Payload)))
		s.Want = append(s.Want, m)
	}
	return s
}

// packer compresses messages as a client does (RFC 7692 §7.2.1).
type packer struct {
	out       bytes.Buffer
	w         *flate.Writer
	noContext bool
	window    int
}

// newPacker keeps to what the server answered.
func newPacker(agreed string) *packer {
	p := &packer{noContext: strings.Contains(agreed, "client_no_context_takeover")}
	if _, bits, found := strings.Cut(agreed, "client_max_window_bits="); found {
		bits, _, _ = strings.Cut(bits, ";")
		n, _ := strconv.Atoi(bits)
		p.window = 1 << n
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
	const packedHello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	one := frame(fin|rsv1|opText, []byte(packedHello))
	rows := func(list []row) {
		for _, r := range list {
			t.script(r.id, r.title, r.script)
			t.cases[len(t.cases)-1].Offer = "permessage-deflate"
		}
	}
	first, second := frame(rsv1|opText, []byte(packedHello[:3])), frame(fin|opContinuation, []byte(packedHello[3:]))
	compressed := func(payload string) []byte { return frame(fin|rsv1|opText, []byte(payload)) }

	rows([]row{
		{"own/12.1", "the standard's example of one block", sending(one).want(text("Hello"))},
		{"own/12.2", "the standard's example in two frames", sending(first, second).want(text("Hello"))},
		{"own/12.3", "the same message again, by the window", sending(one, compressed("\xf2\x00\x11\x00\x00")).want(text("Hello"), text("Hello"))},
		{"own/12.4", "the standard's example of a block that is not compressed", sending(compressed("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")).want(text("Hello"))},
		{"own/12.5", "the standard's example of a last block", sending(compressed("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")).want(text("Hello"))},
		{"own/12.6", "the standard's example of two blocks", sending(compressed("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")).want(text("Hello"))},
		{"own/12.7", "an empty message, compressed", sending(compressed("\x00")).want(text(""))},
		{"own/12.8", "a message that is not compressed between two that are", sending(one, text("plain"), one).want(text("Hello"), text("plain"), text("Hello"))},
		{"own/12.9", "a Ping between compressed frames", sending(first, ping("p"), second).want(ping("p"), text("Hello"))},
		{"own/12.10", "empty frames around compressed ones", sending(frame(rsv1|opText, nil), frame(opContinuation, []byte(packedHello)), frame(fin, nil)).want(text("Hello"))},
		{"own/12.11", "a plain fragmented message", sending(fragments(opText, "Hel", "lo")).want(text("Hello"))},
		{"own/12.12", "RSV1 on a continuation", sending(first, frame(fin|rsv1|opContinuation, []byte(packedHello[3:]))).fails(wire.ReservedBits, 1002)},
		{"own/12.13", "RSV1 on a Ping", sending(one, frame(fin|rsv1|opPing, nil)).want(text("Hello")).fails(wire.ReservedBits, 1002)},
		{"own/12.14", "RSV1 on a Close", sending(frame(fin|rsv1|opClose, []byte(code(1000, "")))).fails(wire.ReservedBits, 1002)},
		{"own/12.15", "RSV2 on a compressed message", sending(frame(fin|rsv1|rsv2|opText, []byte(packedHello))).fails(wire.ReservedBits, 1002)},
		{"own/12.16", "RSV3 on a plain message", sending(frame(fin|rsv3|opText, []byte("a"))).fails(wire.ReservedBits, 1002)},
		{"own/12.17", "a block of the reserved type", sending(compressed("\x06")).fails(wire.InflateFailed, 1007)},
		{"own/12.18", "a distance before the beginning", sending(compressed("\xf2\x00\x11\x00\x00")).fails(wire.InflateFailed, 1007)},
		{"own/12.19", "a stored block whose lengths differ", sending(compressed("\x00\x05\x00\xfb\xff\x48\x65\x6c\x6c\x6f\x00")).fails(wire.InflateFailed, 1007)},
		{"own/12.20", "a block that does not end", sending(compressed(packedHello[:3])).fails(wire.InflateFailed, 1007)},
		{"own/12.21", "a compressed text that is no UTF-8", sending(compressed("\x00\x02\x00\xfd\xff\xc3\x28\x00")).fails(wire.InvalidUTF8, 1007)},
		{"own/12.22", "a compressed text that ends inside a letter", sending(compressed("\x00\x02\x00\xfd\xff\xe2\x82\x00")).fails(wire.InvalidUTF8, 1007)},
	})
	t.cases = append(t.cases, Case{
		ID: "own/12.23", Title: "a window that the client said it would not use", Offer: "permessage-deflate; client_no_context_takeover",
		Make: func(Terms) Script {
			return sending(one, compressed("\xf2\x00\x11\x00\x00")).want(text("Hello")).fails(wire.InflateFailed, 1007)
		},
	})
}
