package store

import (
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestPartsReadAsIfTheyWereOne(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string]segments{
		"":       nil,
		"abcdef": {nil, []byte("a"), {}, []byte("bcd"), []byte("ef"), nil},
	} {
		require.NoError(t, iotest.TestReader(&parts, []byte(want)))
	}
}
