package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Chunks come and go as a whole, so that right after one the heap is small, and the runtime's default of collecting
// when the heap has doubled would spend up to a quarter of all processor time on collecting, and keep twice what two
// chunks need.
const (
	// heapFloor is what the heap may grow to before it is collected, whatever is alive in it.
	heapFloor = 288 << 20
	// minGCPercent is how much it may grow above that. maxGCPercent bounds the way to the floor, should it grow fast.
	minGCPercent = 40
	maxGCPercent = 400
)

// useHeapFloor sets the pace of the garbage collector, after every collection anew, unless the environment does.
func useHeapFloor() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	current := 0
	var collected func(struct{})
	collected = func(struct{}) {
		metrics.Read(live)
		if percent := gcPercent(live[0].Value.Uint64()); percent != current {
			debug.SetGCPercent(percent)
			current = percent
		}
		// The next collection finds this one's mark dead.
		runtime.AddCleanup(&struct{ _ *byte }{}, collected, struct{}{})
	}
	collected(struct{}{})
}

// gcPercent is how much the heap may grow, in percent of what is alive, so that it reaches heapFloor.
func gcPercent(live uint64) int {
	if live >= heapFloor {
		return minGCPercent
	}
	percent := (heapFloor - live) * 100 / max(live, 1)
	return int(min(max(percent, minGCPercent), maxGCPercent)) / 10 * 10
}
