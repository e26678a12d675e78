package sourcetest

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
)

// Benchmark is the body of a parser's benchmark over these lines, again and again. Its lines/cpu-s and allocations are
// what docs/performance.md keeps.
func Benchmark(b *testing.B, p source.Parser, lines []string) {
	b.Helper()
	data := make([][]byte, len(lines))
	for i, line := range lines {
		data[i] = []byte(line)
	}
	events, size := 0, 0
	count := func(*event.Event) { events++ }
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuSeconds(b)
	for i := range b.N {
		line := data[i%len(data)]
		size += len(line)
		if err := p.Parse(line, count); err != nil && !errors.Is(err, source.ErrSkipped) {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size / b.N))
	cpu = cpuSeconds(b) - cpu
	b.ReportMetric(float64(b.N)/cpu, "lines/cpu-s")
	b.ReportMetric(float64(events)/cpu, "events/cpu-s")
}

// cpuSeconds is what this process has used, the garbage collector included: wall time says little on a busy machine.
func cpuSeconds(b *testing.B) float64 {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// AssertAllocations holds the allocations of a line, on average over these lines, to limit. The test that calls it cannot
// be parallel.
func AssertAllocations(t *testing.T, p source.Parser, lines []string, limit float64) {
	t.Helper()
	data := make([][]byte, len(lines))
	for i, line := range lines {
		data[i] = []byte(line)
	}
	ignore := func(*event.Event) {}
	n := testing.AllocsPerRun(20, func() {
		for _, line := range data {
			if err := p.Parse(line, ignore); err != nil && !errors.Is(err, source.ErrSkipped) {
				t.Error(err)
			}
		}
	})
	require.LessOrEqual(t, n/float64(len(lines)), limit)
}
