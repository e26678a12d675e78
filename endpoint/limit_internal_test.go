package endpoint

import (
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In any window of time a bucket gives no more than its burst and what the window adds.
func TestABucketNeverGivesMoreThanItsRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{rapid.Float64Range(0.01, 1e6).Draw(t, "rate"), rapid.Float64Range(1, 1e4).Draw(t, "burst")}
		l := newLimiter(rate)
		var b bucket
		now, first, given := int64(1), int64(0), 0.0
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now += rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pause")
			n := float64(rapid.IntRange(1, 20).Draw(t, "n"))
			if b.take(l, now, n) {
				if given == 0 {
					first = now
				}
				given += n
			}
		}
		if most := rate.Burst + rate.PerSecond*float64(now-first)/1e9; given > most*1.001+1 {
			t.Fatalf("%.1f given, %.1f allowed", given, most)
		}
	})
}

func TestRates(t *testing.T) {
	t.Parallel()
	var b bucket
	l := newLimiter(Rate{PerSecond: 2, Burst: 3})
	for range 3 {
		require.True(t, b.take(l, 1, 1))
	}
	require.False(t, b.take(l, 1, 1))
	require.False(t, b.take(l, 4e8, 1))
	require.True(t, b.take(l, 6e8, 1), "half a second gives one")
	require.False(t, b.take(l, 6e8, 1))

	var free bucket
	require.True(t, free.take(newLimiter(NoRate), 1, 1e18))
	require.Zero(t, free.full.Load())
	require.False(t, new(bucket).take(newLimiter(Rate{PerSecond: 10}), 1, 11), "without a burst it is a second's worth")
}

// A flood of new addresses is remembered up to the capacity. It frees nobody of a limit, and takes nothing from those who
// are known; those for whom there is no room share one tally.
func TestAFloodOfAddressesFreesNobody(t *testing.T) {
	t.Parallel()
	l := newLimiter(Rate{PerSecond: 1, Burst: 2})
	all := newTallies[netip.Addr](1024)
	take := func(a netip.Addr, now int64) bool {
		held, ok := all.of(a, now, -1)
		require.True(t, ok)
		defer held.disconnect()
		return held.handshakes.take(l, now, 1)
	}
	known, busy := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	holding, ok := all.of(busy, 1, 1)
	require.True(t, ok)
	require.True(t, take(known, 1))
	require.True(t, take(known, 1))
	require.False(t, take(known, 1))
	given := 0
	for i := range 100_000 {
		if take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1) {
			given++
		}
	}
	require.LessOrEqual(t, all.len(), 1024)
	require.LessOrEqual(t, given, 1024+2, "those who find no room have one bucket together")
	require.False(t, take(known, 1), "who is limited stays so")
	_, ok = all.of(busy, 1, 1)
	require.False(t, ok, "and a connection stays counted")
	holding.disconnect()

	// Once a tally is as good as new, there is room again.
	later := int64(time.Minute)
	require.True(t, take(netip.MustParseAddr("198.51.100.7"), later))
	require.True(t, take(netip.MustParseAddr("198.51.100.7"), later))
	require.False(t, take(netip.MustParseAddr("198.51.100.7"), later))
	require.LessOrEqual(t, all.len(), 1024)
}

func TestAddressesAreCountedByNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		require.Equal(t, want, addressKey(netip.MustParseAddr(in)).String(), in)
	}
}

// Full tables: 65,536 addresses take at most 8 MiB, as many users with names of 30 bytes 10 MiB.
func TestFullTablesAreSmall(t *testing.T) {
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	addresses := newTallies[netip.Addr](65536)
	for i := range 70_000 {
		held, _ := addresses.of(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1, -1)
		held.handshakes.full.Store(2e9)
	}
	n := heap() - before
	t.Logf("addresses: %d tallies, %d bytes", addresses.len(), n)
	require.Less(t, n, 8<<20)
	before = heap()
	users := newTallies[string](65536)
	for i := range 70_000 {
		held, _ := users.of(fmt.Sprintf("tenant\x00user-%018s", strconv.Itoa(i)), 1, -1)
		held.handshakes.full.Store(2e9)
	}
	n = heap() - before
	t.Logf("users: %d tallies, %d bytes", users.len(), n)
	require.Less(t, n, 10<<20)
	runtime.KeepAlive(addresses)
	runtime.KeepAlive(users)
}
