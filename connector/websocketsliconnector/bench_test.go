package websocketsliconnector

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

// BenchmarkCount counts chunks of 1,000 events of 20 tenants.
func BenchmarkCount(b *testing.B) {
	const records = 1000
	events := make([]event.Event, records)
	for i := range events {
		events[i] = opened(epoch, float64(i%300)/1000)
		events[i].SetString(event.TenantID, fmt.Sprint("t", i%20))
	}
	ld := eventlog.Encode(events, eventlog.Chunk{ID: "c"})
	scope := ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope()
	for name, change := range map[string]func(*Config){"memory": nil, "storage": withStorage} {
		b.Run(name, func(b *testing.B) {
			g := newRig(b, change)
			b.ReportAllocs()
			report := testenv.CPU(b)
			for n := range b.N {
				scope.Attributes().PutStr(eventlog.ChunkIDKey, fmt.Sprint(n))
				require.NoError(b, g.send(ld))
				if n%1000 == 999 {
					g.counts(event.MetricEvents) // with a snapshot, as often as it is due
				}
			}
			report(b.N * records)
		})
	}
}
