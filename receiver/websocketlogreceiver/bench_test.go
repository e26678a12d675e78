package websocketlogreceiver

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
)

// samples are lines of each format in its package's testdata.
var samples = map[string]string{"nginx": "access.json.log", "haproxy": "httplog.log"}

// BenchmarkFile reads a file of lines into chunks of log records and has them acknowledged: all that the receiver does, and
// nothing of what comes after it.
func BenchmarkFile(b *testing.B) {
	for format, name := range samples {
		b.Run(format, func(b *testing.B) { benchmarkFile(b, format, name) })
	}
}

func benchmarkFile(b *testing.B, format, name string) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "source", format, "testdata", name))
	require.NoError(b, err)
	per := bytes.Count(sample, []byte("\n"))
	times := b.N/per + 1
	path := filepath.Join(b.TempDir(), "access.log")
	f, err := os.Create(path)
	require.NoError(b, err)
	for range times {
		_, err = f.Write(sample)
		require.NoError(b, err)
	}
	require.NoError(b, f.Close())
	cfg := createDefaultConfig().(*Config)
	cfg.Format, cfg.Include, cfg.StartAt = format, []string{path}, startAtBeginning
	cfg.PollInterval, cfg.Chunk.MaxAge = time.Millisecond, time.Millisecond
	var events atomic.Int64
	next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		events.Add(int64(ld.LogRecordCount()))
		return nil
	})
	require.NoError(b, err)
	r, err := newReceiver(cfg, receivertest.NewNopSettings(metadata.Type), next)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuSeconds(b)
	require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
	for {
		through, backlog := r.scanner.progress().at, r.scanner.progress().backlog
		if !through.IsZero() && backlog == 0 {
			break
		}
		wait(b.Context(), time.Millisecond)
	}
	cpu = cpuSeconds(b) - cpu
	b.ReportMetric(float64(times*per)/cpu, "lines/cpu-s")
	b.ReportMetric(float64(events.Load())/cpu, "events/cpu-s")
	require.NoError(b, r.Shutdown(b.Context()))
}

// cpuSeconds is what this process has used, the garbage collector included.
func cpuSeconds(b *testing.B) float64 {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// BenchmarkLines turns lines in memory into the log records of chunks of 5,000 lines.
func BenchmarkLines(b *testing.B) {
	for format, name := range samples {
		b.Run(format, func(b *testing.B) {
			sample, err := os.ReadFile(filepath.Join("..", "..", "source", format, "testdata", name))
			require.NoError(b, err)
			lines := bytes.Split(bytes.TrimSpace(sample), []byte("\n"))
			cfg := createDefaultConfig().(*Config)
			cfg.Format, cfg.Include = format, []string{"access.log"}
			r, err := newReceiver(cfg, receivertest.NewNopSettings(metadata.Type), consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, r.startFormat())
			a := r.newAssembler(r.options)
			records := 0
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuSeconds(b)
			for i := range b.N {
				if i%5000 == 0 {
					if i > 0 {
						records += a.builder.Logs(eventlog.Chunk{ID: "c"}).LogRecordCount()
					}
					a.begin(r.now())
				}
				_ = a.line(lines[i%len(lines)])
			}
			records += a.builder.Records()
			cpu = cpuSeconds(b) - cpu
			b.ReportMetric(float64(b.N)/cpu, "lines/cpu-s")
			b.ReportMetric(float64(records)/cpu, "records/cpu-s")
		})
	}
}
