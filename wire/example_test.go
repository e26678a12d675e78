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
