package wire

import (
	"encoding/binary"
	"math/bits"
)

// highBits has the bit set that ASCII leaves clear, in each byte.
const highBits = 0x8080808080808080

// mask applies the masking key to b in place (RFC 6455 §5.3). The key's first byte is its lowest. It returns the key as
// it continues behind b, and the union of all bytes written: text without one of highBits is ASCII, and needs no
// further look.
func mask(b []byte, key uint32) (next uint32, union uint64) {
	next = bits.RotateLeft32(key, -8*(len(b)&3))
	k := uint64(key)<<32 | uint64(key)
	var u0, u1, u2, u3 uint64
	for len(b) >= 32 {
		v0 := binary.LittleEndian.Uint64(b) ^ k
		v1 := binary.LittleEndian.Uint64(b[8:]) ^ k
		v2 := binary.LittleEndian.Uint64(b[16:]) ^ k
		v3 := binary.LittleEndian.Uint64(b[24:]) ^ k
		binary.LittleEndian.PutUint64(b, v0)
		binary.LittleEndian.PutUint64(b[8:], v1)
		binary.LittleEndian.PutUint64(b[16:], v2)
		binary.LittleEndian.PutUint64(b[24:], v3)
		u0, u1, u2, u3 = u0|v0, u1|v1, u2|v2, u3|v3
		b = b[32:]
	}
	for len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b) ^ k
		binary.LittleEndian.PutUint64(b, v)
		u0 |= v
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		u1 |= uint64(b[i])
		k >>= 8
	}
	return next, u0 | u1 | u2 | u3
}
