package nginx_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
)

// BenchmarkParse reads the lines of testdata: two in three are connections, the rest rejections and other requests.
// events/cpu-s and allocations are what docs/performance.md keeps.
func BenchmarkParse(b *testing.B) {
	var lines [][]byte
	for _, l := range readLines(b, filepath.Join("testdata", "access.json.log")) {
		lines = append(lines, []byte(l))
	}
	p := nginx.NewParser(settings())
	events := 0
	size := 0
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuSeconds(b)
	for i := range b.N {
		line := lines[i%len(lines)]
		size += len(line)
		if err := p.Parse(line, func(*event.Event) { events++ }); err != nil && err != source.ErrSkipped {
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

func TestALineCostsAtMostTwoAllocations(t *testing.T) {
	lines := readLines(t, filepath.Join("testdata", "access.json.log"))
	p := nginx.NewParser(settings())
	n := testing.AllocsPerRun(20, func() {
		for _, line := range lines {
			if err := p.Parse([]byte(line), func(*event.Event) {}); err != nil {
				require.ErrorIs(t, err, source.ErrSkipped)
			}
		}
	})
	// The conversion to []byte above is the test's own.
	require.LessOrEqual(t, n/float64(len(lines))-1, 2.0)
}
