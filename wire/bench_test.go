package wire_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/wire"
)

// stream is messages of size bytes as a client sends them, about 64 KiB in all.
func stream(text string, size int) (in []byte, messages int) {
	payload := []byte(strings.Repeat(text, size/len(text)+1))[:size]
	client := wire.NewWriter(wire.WriterSettings{Side: wire.Client})
	for len(in) < 64<<10 {
		in = client.AppendMessage(in, wire.OpText, payload)
		messages++
	}
	return in, messages
}

// BenchmarkRead parses, unmasks and checks text that came in one piece.
func BenchmarkRead(b *testing.B) {
	for _, text := range []struct{ name, text string }{{"ascii", "hello, wire "}, {"utf8", "zwölf Bytes "}, {"cjk", "网络套接字"}} {
		for _, size := range []int{125, 4096} {
			if text.name != "ascii" {
				size = size / len(text.text) * len(text.text)
			}
			b.Run(fmt.Sprintf("%s/%d", text.name, size), func(b *testing.B) {
				in, messages := stream(text.text, size)
				again := bytes.Clone(in)
				r := wire.NewMessageReader(wire.ReaderSettings{})
				b.SetBytes(int64(messages * size))
				b.ReportAllocs()
				report := testenv.CPU(b)
				for b.Loop() {
					copy(again, in)
					rest := again
					for n := 0; ; n++ {
						var m wire.Message
						var err error
						if m, rest, err = r.Next(rest); err != nil {
							b.Fatal(err)
						}
						if !m.Ready() {
							if n != messages {
								b.Fatal(n)
							}
							break
						}
					}
				}
				report(b.N * messages)
			})
		}
	}
}

// BenchmarkDeflate compresses messages, and inflates what a peer has compressed with its context taken over or not.
func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{125, 4096} {
		payload := []byte(strings.Repeat(`{"type":"update","id":12345,"price":"104.25"},`, size/45+1))[:size]
		b.Run(fmt.Sprintf("write/%d", size), func(b *testing.B) {
			w := wire.NewWriter(wire.WriterSettings{Side: wire.Server, Deflate: &wire.Deflate{}, CompressFrom: 1})
			var out []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			report := testenv.CPU(b)
			for b.Loop() {
				out = w.AppendMessage(out[:0], wire.OpText, payload)
			}
			report(b.N)
		})
		for name, takeover := range map[string]bool{"takeover": true, "no-takeover": false} {
			b.Run(fmt.Sprintf("read/%s/%d", name, size), func(b *testing.B) {
				in := []byte(client(compressedText, deflate(string(payload))))
				again := make([]byte, len(in))
				r := wire.NewMessageReader(wire.ReaderSettings{Deflate: &wire.Deflate{ClientNoContextTakeover: !takeover}})
				b.SetBytes(int64(size))
				b.ReportAllocs()
				report := testenv.CPU(b)
				for b.Loop() {
					copy(again, in)
					if m, _, err := r.Next(again); err != nil || len(m.Payload) != size {
						b.Fatal(err)
					}
				}
				report(b.N)
			})
		}
	}
}
