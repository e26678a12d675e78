package endpoint

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The next size that Go allocates is 1,152 bytes: a field more would cost each connection 128.
func TestASessionFitsInAKibibyte(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(Session{}), uintptr(1024))
}

// ObserverIsBehind reports whether another decision would wait.
func (e *Endpoint) ObserverIsBehind() bool { return len(e.pump.reserved) == cap(e.pump.reserved) }
