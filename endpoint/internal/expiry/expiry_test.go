package expiry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// entry ends; its key is a name, whose length is its shape.
type entry struct {
	name string
	text string
	ends time.Time
}

func TestList(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Settings[string, entry]{
		Capacity: 2, Now: func() time.Time { return now }, Until: func(e entry) time.Time { return e.ends },
		Shape: func(k string) int { return len(k) }, Shapes: 4,
	})
	var told []string
	stop := l.Watch(func(e entry) { told = append(told, e.text) })
	put := func(name, text string, lasts time.Duration, merge func(old, e entry) entry) error {
		return l.Put(name, entry{name, text, now.Add(lasts)}, merge)
	}
	find := func(name string) string {
		e, _ := l.Find(func(shape int) string { return name[:min(shape, len(name))] }, nil)
		return e.text
	}
	keep := func(old, _ entry) entry { return old }
	require.NoError(t, put("a", "one", time.Hour, keep))
	require.NoError(t, put("a", "two", time.Hour, keep))
	require.Equal(t, []string{"one"}, told, "what stays as it was is not told again")
	require.NoError(t, put("a", "three", time.Hour, nil))
	require.NoError(t, put("bcd", "four", time.Minute, nil))
	require.Equal(t, []string{"one", "three", "four"}, told)
	require.Equal(t, "three", find("axy"))
	require.Equal(t, "four", find("bcd"))
	require.Empty(t, find("bce"))
	require.True(t, l.Holds(1, 2))
	require.False(t, l.Holds(2, 3))
	_, ok := l.Find(func(int) string { return "a" }, func(entry) bool { return false })
	require.False(t, ok, "one that does not apply is not found")

	require.ErrorIs(t, put("e", "five", time.Hour, nil), ErrFull)
	now = now.Add(time.Minute)
	require.Empty(t, find("bcd"), "it has ended")
	require.Len(t, l.All(), 1)
	require.Equal(t, 2, l.Len())
	stop()
	require.NoError(t, put("e", "five", time.Hour, nil), "what has ended makes room")
	require.Len(t, told, 3, "nobody watches any more")
	require.False(t, l.Holds(3, 4))
	require.True(t, l.Drop("a"))
	require.False(t, l.Drop("a"))
	require.Empty(t, find("axy"))

	// What has ended is not merged with.
	now = now.Add(time.Hour)
	require.NoError(t, put("e", "six", time.Hour, keep))
	require.Equal(t, "six", find("e"))
}
