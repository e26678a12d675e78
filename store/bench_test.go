package store_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

const benchmarkChunk = 50_000

// BenchmarkEncode lays events out as columns: what storing costs before anything is sent. One operation is one event.
func BenchmarkEncode(b *testing.B) {
	list := events(1, benchmarkChunk)
	rows := new(store.Rows)
	for i := range list { // the first chunk grows the memory that the others reuse
		rows.Append(&list[i])
	}
	b.ReportAllocs()
	cpu := processCPU(b)
	b.ResetTimer()
	for n := 0; n < b.N; {
		rows.Reset()
		for i := 0; i < len(list) && n < b.N; i++ {
			rows.Append(&list[i])
			n++
		}
	}
	b.ReportMetric(float64((processCPU(b)-cpu).Nanoseconds())/1000/float64(b.N), "CPU-µs/event")
}

// BenchmarkInsert stores chunks in the real engine, from events to acknowledgement, all tiers included. The CPU figure
// is of this process alone: encoding, the driver and sending.
func BenchmarkInsert(b *testing.B) {
	for _, size := range []int{1_000, benchmarkChunk} {
		for _, compression := range []string{"none", "lz4"} {
			b.Run(fmt.Sprintf("chunk=%d/compression=%s", size, compression), func(b *testing.B) {
				s := openWith(b, store.Options{Compression: compression})
				_, err := s.Migrate(b.Context())
				require.NoError(b, err)
				list := events(1, size)
				rows := new(store.Rows)
				insert := func(token string) {
					rows.Reset()
					for j := range list {
						rows.Append(&list[j])
					}
					require.NoError(b, s.InsertChunk(b.Context(), token, rows))
				}
				insert("grows the memory that the others reuse")
				b.ReportAllocs()
				cpu := processCPU(b)
				b.ResetTimer()
				for i := range b.N {
					insert(fmt.Sprint("chunk ", i))
				}
				b.StopTimer()
				stored := float64(b.N * size)
				b.ReportMetric(float64((processCPU(b)-cpu).Microseconds())/stored, "CPU-µs/event")
				b.ReportMetric(stored/b.Elapsed().Seconds(), "events/s")
				require.EqualValues(b, stored+float64(size), number(b, s, "SELECT count() FROM "+schema.Events))
			})
		}
	}
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
