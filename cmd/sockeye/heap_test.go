package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheHeapGrowsToTheFloorAndLittleAboveIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live uint64
		want int
	}{
		"nothing alive":             {0, maxGCPercent},
		"little alive":              {10 << 20, maxGCPercent},
		"a chunk alive":             {72 << 20, 300},
		"half the floor alive":      {heapFloor / 2, 100},
		"nearly the floor alive":    {heapFloor - 1, minGCPercent},
		"the floor alive":           {heapFloor, minGCPercent},
		"more than the floor alive": {4 << 30, minGCPercent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, gcPercent(c.live))
		})
	}
}
