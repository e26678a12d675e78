package wire_test

import (
	"fmt"

	"github.com/sockeye-project/sockeye/wire"
)

// An endpoint answers what it has read in one write.
func Example() {
	client := wire.NewWriter(wire.WriterSettings{Side: wire.Client})
	var in []byte
	in = client.AppendMessage(in, wire.OpText, []byte("hello"))
	in = client.AppendPing(in, []byte("1"))
	in = client.AppendClose(in, wire.CloseNormal, "bye")

	r := wire.NewMessageReader(wire.ReaderSettings{From: wire.Client})
	defer r.Release()
	w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	var out []byte
	for {
		var m wire.Message
		var err error
		m, in, err = r.Next(in)
		if err != nil {
			out = w.AppendViolation(out, err)
			break
		}
		if !m.Ready() {
			break
		}
		switch m.Opcode {
		case wire.OpPing:
			out = w.AppendPong(out, m.Payload)
		case wire.OpClose:
			out = w.AppendClose(out, m.Code, "")
		default:
			out = w.AppendMessage(out, m.Opcode, m.Payload)
		}
	}
	fmt.Printf("%q\n", out)
	// Output: "\x81\x05hello\x8a\x011\x88\x02\x03\xe8"
}

// A tap sees the header of each frame before its payload, in whatever pieces the bytes come.
func ExampleFrameReader() {
	server := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
	captured := server.AppendFrame(nil, wire.Header{Opcode: wire.OpText}, []byte("hel"))
	captured = server.AppendPing(captured, nil)
	captured = server.AppendFrame(captured, wire.Header{Fin: true, RSV: wire.RSV2}, []byte("lo"))

	f := wire.NewFrameReader(wire.Server, false)
	for _, packet := range [][]byte{captured[:1], captured[1:4], captured[4:]} {
		for {
			var e wire.Event
			var err error
			e, packet, err = f.Next(packet)
			if e.Kind == wire.NeedInput {
				break
			}
			if e.Kind == wire.FrameHeader {
				fmt.Println(e.Header.Opcode, "of", e.Header.Length, "bytes, last:", e.Header.Fin, "-", err)
			}
		}
	}
	// Output:
	// text of 3 bytes, last: false - <nil>
	// ping of 0 bytes, last: true - <nil>
	// continuation of 2 bytes, last: true - websocket: reserved bit set (RFC 6455 §5.2)
}
