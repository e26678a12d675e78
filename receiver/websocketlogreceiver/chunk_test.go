package websocketlogreceiver

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/receiver/websocketlogreceiver/internal/metadata"
)

// Not parallel: it looks at what the process allocates.
func TestAFileThatHasCaughtUpTakesNoMemoryForAFullChunk(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Format, cfg.Include = "nginx", []string{"access.log"}
	r, err := newReceiver(cfg, receivertest.NewNopSettings(metadata.Type), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.startFormat())
	a := r.newAssembler(r.options)
	line := []byte(`{"msec":1795330811.356,"status":101,"http_upgrade":"websocket","uri":"/"}`)
	allocated := func(lines int, expect int64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a.begin(r.now())
		a.expect(expect)
		for range lines {
			require.NoError(t, a.line(line))
		}
		require.Equal(t, 2*lines, a.builder.Logs(eventlog.Chunk{ID: "c"}).LogRecordCount())
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	const lines = 5000
	full := int64(lines * len(line))
	_ = allocated(lines, full)
	require.Greater(t, allocated(1, full), uint64(1<<20), "as much as the chunk before is expected")
	_ = allocated(lines, full)
	require.Less(t, allocated(1, int64(len(line))), uint64(64<<10))
	_ = allocated(lines, full)
	require.Less(t, allocated(1, -1), uint64(64<<10), "a file's size may be known late")
}
