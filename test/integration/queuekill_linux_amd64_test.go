package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestACollectorKilledWhileItsQueueRecoversLosesAndDoublesNothing fills the exporter's persistent queue while the engine is
// away, kills the collector, and kills it again at each write of the queue that its recovery makes.
func TestACollectorKilledWhileItsQueueRecoversLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "    sending_queue: {storage: file_storage}", nil)
	var killed []string
	for at := range walk("exporter_websocketclickhouse", true) {
		if !everyWrite() && at.n > 20 && at.n%7 != 0 {
			continue // behind the recovery the queue repeats itself, request by request
		}
		s.startCollector()
		for range 2 {
			s.pushEvents(10)() // acknowledged by the queue
		}
		s.writeLines(10)
		s.collector.kill()
		s.engine.restart(t)
		s.startTracedCollector(at)
		s.killOrStored()
		s.collector.stop()
		point := s.collector.killedBefore()
		if point == "" {
			break
		}
		killed = append(killed, point)
		s.startCollector()
		s.requireExact(point)
		s.collector.stop()
		s.engine.stop()
	}
	s.requireExact("the last")
	logKills(t, killed, nil)
	require.Greater(t, len(killed), 20)
}
