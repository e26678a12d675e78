package event

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// closeLine is a usual line: an nginx connection that ended.
func closeLine(t testing.TB) []byte {
	line, err := os.ReadFile("testdata/close.ndjson")
	require.NoError(t, err)
	return line
}

func BenchmarkDecodeNDJSON(b *testing.B) {
	line := closeLine(b)
	var d Decoder
	var e Event
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	report := testenv.CPU(b)
	for b.Loop() {
		if err := d.Decode(line, &e); err != nil {
			b.Fatal(err)
		}
	}
	report(b.N)
}

func BenchmarkEncodeNDJSON(b *testing.B) {
	var d Decoder
	var e Event
	require.NoError(b, d.Decode(closeLine(b), &e))
	var dst []byte
	b.ReportAllocs()
	report := testenv.CPU(b)
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
	report(b.N)
}

func BenchmarkFacts(b *testing.B) {
	var d Decoder
	var e Event
	require.NoError(b, d.Decode(closeLine(b), &e))
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Facts()
	}
}

// TestDecodingAllocatesOnce: push is a hot path.
func TestDecodingAllocatesOnce(t *testing.T) {
	line := closeLine(t)
	var d Decoder
	var e Event
	require.NoError(t, d.Decode(line, &e))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = d.Decode(line, &e) }), 1.0)
	dst := e.AppendJSON(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = e.AppendJSON(dst[:0]) }))
}
