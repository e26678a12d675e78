//go:build unix

package content

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// CPU is for the benchmark of the package's users.
var CPU = cpu

// cpu reports the processor's time besides, which other programs on the machine do not change much. A round of f is n
// messages.
func cpu(b *testing.B, name string, n int, f func(*testing.B)) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		used := func() int64 {
			var u syscall.Rusage
			require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
			return u.Utime.Nano() + u.Stime.Nano()
		}
		before := used()
		for b.Loop() {
			f(b)
		}
		b.ReportMetric(float64(used()-before)/float64(b.N*n), "cpu-ns/message")
	})
}

// BenchmarkCheck is a message of 120 bytes, with access rules.
func BenchmarkCheck(b *testing.B) {
	p := chat(b)
	text := []byte(`{"type":"post","v":1,"room":"general","text":"The quick brown fox jumps over a cat!","tags":["a"],"at":{"x":1,"y":-2.5}}`)
	require.Len(b, text, 120)
	from := Sender{Subprotocol: "chat.v1", Identity: writer}
	m := wire.Message{Opcode: wire.OpText, Payload: text}
	s := p.protocols["chat.v1"].types["post"].entries[1].schema
	library := &schema{full: s.full}
	var d document
	cpu(b, "all", 1, func(b *testing.B) {
		if v := p.Check(&from, m, today); v.Refused != "" {
			b.Fatal(v.Refused)
		}
	})
	cpu(b, "scan", 1, func(b *testing.B) {
		d.parse(text, 32)
	})
	cpu(b, "schema", 1, func(b *testing.B) {
		if !s.valid(&d, 100_000) {
			b.Fatal("refused")
		}
	})
	cpu(b, "library", 1, func(b *testing.B) {
		if !library.valid(&d, 0) {
			b.Fatal("refused")
		}
	})
}
