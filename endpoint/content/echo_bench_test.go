//go:build unix

package content_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/content"
	"github.com/sockeye-project/sockeye/wire"
)

// BenchmarkEcho is an endpoint and its client over loopback, with and without a policy. Messages have 120 bytes.
func BenchmarkEcho(b *testing.B) {
	text := []byte(`{"type":"post","v":1,"room":"general","text":"The quick brown fox jumps over a cat!","tags":["a"],"at":{"x":1,"y":-2.5}}`)
	require.Len(b, text, 120)
	for _, burst := range []int{1, 16} {
		for name, change := range map[string]func(*endpoint.Config){
			"without": func(c *endpoint.Config) { c.Validate = nil },
			"with":    func(*endpoint.Config) {},
		} {
			s := serve(b, content.Settings{Directory: "testdata/chat"}, change)
			conn, in := s.dial(b)
			writer := wire.NewWriter(wire.WriterSettings{})
			var out []byte
			for range burst {
				out = writer.AppendMessage(out, wire.OpText, text)
			}
			back := make([]byte, burst*(2+len(text)))
			content.CPU(b, map[int]string{1: "one in flight/", 16: "bursts of 16/"}[burst]+name, burst, func(b *testing.B) {
				if _, err := conn.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(in, back); err != nil {
					b.Fatal(err)
				}
			})
			require.NoError(b, conn.Close())
		}
	}
}
