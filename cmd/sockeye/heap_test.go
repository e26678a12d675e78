package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheHeapGrowsToTheFloorAndDoublesAboveIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live uint64
		want int
	}{
		"nothing alive":             {0, maxGCPercent},
		"little alive":              {10 << 20, maxGCPercent},
		"a chunk alive":             {64 << 20, 300},
		"half the floor alive":      {heapFloor / 2, 100},
		"the floor alive":           {heapFloor, 100},
		"more than the floor alive": {4 << 30, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, gcPercent(c.live))
		})
	}
}
