package endpoint

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// An address is blocked if one of the networks has it, and not otherwise.
func TestAnAddressIsBlockedByItsNetworks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.Custom(func(t *rapid.T) netip.Addr {
			// Few different bits, or no two would ever meet.
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x80, 0xff}), 16, 16).Draw(t, "bytes")
			if rapid.Bool().Draw(t, "IPv4") {
				return netip.AddrFrom4([4]byte(b[:4]))
			}
			return netip.AddrFrom16([16]byte(b))
		})
		l := NewBlocks(0, nil)
		var networks []netip.Prefix
		for range rapid.IntRange(0, 20).Draw(t, "networks") {
			a := address.Draw(t, "network")
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			require.NoError(t, l.Add(BlockRule{Address: p, Until: time.Now().Add(time.Hour)}))
			networks = append(networks, p)
		}
		for _, lifted := range networks[:rapid.IntRange(0, len(networks)).Draw(t, "lifted")] {
			l.Lift(BlockRule{Address: lifted})
			networks = slices.DeleteFunc(slices.Clone(networks), func(p netip.Prefix) bool { return p.Masked() == lifted.Masked() })
		}
		for range 50 {
			a := address.Draw(t, "address")
			// IPv4 in IPv6 is IPv4, which no network of IPv6 has unless it is written so.
			in := slices.ContainsFunc(networks, func(p netip.Prefix) bool {
				if p.Addr().Is4In6() && p.Bits() >= 96 {
					p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
				}
				return p.Contains(a.Unmap())
			})
			require.Equal(t, in, l.address(a), "%s in %s", a, networks)
		}
	})
}

// Looking an address up costs no memory, and little time even with a rule of every length.
func TestLookingUpAnAddressAllocatesNothing(t *testing.T) {
	l := NewBlocks(0, nil)
	for bits := range 33 {
		require.NoError(t, l.Add(BlockRule{Address: netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), bits), Until: time.Now().Add(time.Hour)}))
	}
	a := netip.MustParseAddr("2001:db8::1")
	require.Zero(t, testing.AllocsPerRun(100, func() { l.address(a) }))
}

func BenchmarkBlockedAddress(b *testing.B) {
	l := NewBlocks(0, nil)
	until := time.Now().Add(time.Hour)
	for i := range 9_900 {
		_ = l.Add(BlockRule{Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 16+i%17), Until: until})
	}
	a := netip.MustParseAddr("192.0.2.7")
	b.ReportAllocs()
	for b.Loop() {
		if l.address(a) {
			b.Fatal("not blocked")
		}
	}
}
