package recent_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source/recent"
)

func TestMapKeepsWhatWasUsedLastInBoundedMemory(t *testing.T) {
	t.Parallel()
	const limit = 100
	m := recent.New[int](limit, time.Hour)
	now := time.Unix(1795330818, 0)
	for i := range 10 * limit {
		m.Put([]byte(strconv.Itoa(i)), now, i)
		// The first is used all the time.
		v, ok := m.Get([]byte("0"), now)
		require.True(t, ok)
		require.Zero(t, v)
		require.LessOrEqual(t, m.Len(), 2*limit+1)
	}
	for i := 9*limit + 2; i < 10*limit; i++ {
		v, ok := m.Get([]byte(strconv.Itoa(i)), now)
		require.True(t, ok, i)
		require.Equal(t, i, v)
	}
	_, ok := m.Get([]byte("1"), now)
	require.False(t, ok)
}

func TestMapForgetsByTheClockOfTheLog(t *testing.T) {
	t.Parallel()
	key, now := []byte("a"), time.Unix(1795330818, 0)
	m := recent.New[string](10, time.Hour)
	m.Put(key, now, "x")
	for range 5 {
		now = now.Add(29 * time.Minute)
		v, ok := m.Get(key, now)
		require.True(t, ok, "used within half an hour")
		require.Equal(t, "x", v)
	}
	_, ok := m.Get(key, now.Add(time.Hour))
	require.False(t, ok)
}

func TestMapForgetsWhatIsDeletedInBothGenerations(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795330818, 0)
	m := recent.New[int](1, time.Hour)
	m.Put([]byte("a"), now, 1)
	m.Put([]byte("b"), now, 2)
	require.Equal(t, 2, m.Len())
	m.Delete([]byte("a"))
	m.Delete([]byte("b"))
	require.Zero(t, m.Len())
}
