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

func TestATypeMayBeWrittenOverSeveralLines(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Array(Tuple(a String, b Map(LowCardinality(String), String)))",
		oneLine("Array(Tuple(\n    a String,\n    b Map(LowCardinality(String), String)))"))
	require.Equal(t, "DateTime64(9, 'UTC')", oneLine("DateTime64(9, 'UTC')"))
}
