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
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
)

// BenchmarkFile reads a file of nginx lines into chunks of log records and has them acknowledged: all that the receiver
// does, and nothing of what comes after it.
func BenchmarkFile(b *testing.B) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "source", "nginx", "testdata", "access.json.log"))
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
	cfg.Format, cfg.Include, cfg.StartAt = "nginx", []string{path}, startAtBeginning
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
