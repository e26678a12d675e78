package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMaskIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for size := range 200 {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(random.Uint32())
		}
		key := random.Uint32()
		var k [4]byte
		binary.LittleEndian.PutUint32(k[:], key)
		want := bytes.Clone(plain)
		var union byte
		for i := range want {
			want[i] ^= k[i%4]
			union |= want[i]
		}
		for split := 0; split <= size; split += 1 + split/7 {
			got := bytes.Clone(plain)
			next, u1 := mask(got[:split], key)
			last, u2 := mask(got[split:], next)
			require.Equal(t, want, got)
			_, all := mask(bytes.Clone(plain), key)
			require.Equal(t, union&0x80 != 0, (u1|u2)&highBits != 0)
			require.Equal(t, union&0x80 != 0, all&highBits != 0)
			require.Equal(t, k[size%4], byte(last), "the key goes on behind the last byte")
		}
	}
}
