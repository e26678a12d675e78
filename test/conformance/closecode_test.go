package conformance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// wire and event do not import each other, and say the same.
func TestWireAndEventAgreeOnCloseCodes(t *testing.T) {
	t.Parallel()
	for code := range 1 << 16 {
		require.Equal(t, event.CloseCodeSendable(code), wire.CloseCode(code).Sendable(), code)
	}
}
