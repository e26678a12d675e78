package testenv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

func TestNoAddressIsGivenTwice(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for range 200 {
		address := testenv.Address(t)
		require.False(t, given[address], address)
		given[address] = true
	}
}
