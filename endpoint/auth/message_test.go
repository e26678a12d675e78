package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

var secret = bytes.Repeat([]byte(canary), 4)

func messageKeys(from wire.Side) (sign, verify *MessageKey) {
	return must(NewMessageKey(secret, from)), must(NewMessageKey(secret, from))
}

func TestMessagesComeAsTheyWereSigned(t *testing.T) {
	t.Parallel()
	sign, verify := messageKeys(wire.Client)
	for i := range 300 {
		for _, op := range []wire.Opcode{wire.OpText, wire.OpBinary} {
			payload := bytes.Repeat([]byte("ü."), i)
			got, err := verify.Verify(op, sign.Sign([]byte(nil), op, payload))
			require.NoError(t, err)
			require.True(t, bytes.Equal(payload, got))
		}
	}
	require.EqualValues(t, 40, unsafe.Sizeof(MessageKey{}))
}

// TestSignedMessageIsAsDocumented makes a message by the words of the documentation alone.
func TestSignedMessageIsAsDocumented(t *testing.T) {
	t.Parallel()
	_, verify := messageKeys(wire.Server)
	extract := mac(make([]byte, 32), secret) // HKDF, RFC 5869
	key := mac(extract, []byte("sockeye message 1 from server\x01"))
	number := binary.BigEndian.AppendUint64(nil, 1)
	code := mac(key, []byte("sockeye message 1"), []byte{1}, number, []byte("hello"))
	got, err := verify.Verify(wire.OpText, fmt.Appendf(nil, "1.%s.hello", base64.RawURLEncoding.EncodeToString(code)))
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func TestMessageRefuses(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		op    wire.Opcode
		spoil func(signed [][]byte) []byte
		want  Failure
	}{
		"a message again":             {wire.OpText, func(m [][]byte) []byte { return m[0] }, MessageOutOfOrder},
		"a message again, binary":     {wire.OpBinary, func(m [][]byte) []byte { return m[0] }, MessageOutOfOrder},
		"one after one that is lost":  {wire.OpText, func(m [][]byte) []byte { return m[2] }, MessageOutOfOrder},
		"a changed payload":           {wire.OpText, func(m [][]byte) []byte { return append(m[1], '!') }, MessageForged},
		"a shorter payload":           {wire.OpBinary, func(m [][]byte) []byte { return m[1][:len(m[1])-1] }, MessageForged},
		"a changed number":            {wire.OpText, func(m [][]byte) []byte { return append([]byte("3"), m[1][1:]...) }, MessageForged},
		"a changed code":              {wire.OpBinary, func(m [][]byte) []byte { m[1][20] ^= 1; return m[1] }, MessageForged},
		"a number with a zero before": {wire.OpText, func(m [][]byte) []byte { return append([]byte("0"), m[1]...) }, MessageUnsigned},
		"a number with a sign":        {wire.OpText, func(m [][]byte) []byte { return append([]byte("+"), m[1]...) }, MessageUnsigned},
		"a number over 64 bits":       {wire.OpText, func(m [][]byte) []byte { return append([]byte("99999999999999999999"), m[1][1:]...) }, MessageUnsigned},
		"no number":                   {wire.OpText, func(m [][]byte) []byte { return m[1][1:] }, MessageUnsigned},
		"no code":                     {wire.OpText, func(m [][]byte) []byte { return []byte("2..payload") }, MessageUnsigned},
		"a code with a line end":      {wire.OpText, func(m [][]byte) []byte { m[1][10] = '\n'; return m[1] }, MessageUnsigned},
		"nothing":                     {wire.OpText, func(m [][]byte) []byte { return nil }, MessageUnsigned},
		"nothing, binary":             {wire.OpBinary, func(m [][]byte) []byte { return nil }, MessageUnsigned},
		"an ordinary message":         {wire.OpText, func(m [][]byte) []byte { return []byte(`{"type":"` + canary + `"}`) }, MessageUnsigned},
		"what the other side has sent": {wire.OpText, func([][]byte) []byte {
			k, _ := messageKeys(wire.Server)
			k.last = 1
			return k.Sign(nil, wire.OpText, []byte("1"))
		}, MessageForged},
		"the other type": {wire.OpBinary, func([][]byte) []byte {
			k, _ := messageKeys(wire.Client)
			k.last = 1
			return k.Sign(nil, 3, []byte("1"))
		}, MessageForged},
		"another session": {wire.OpText, func([][]byte) []byte {
			k := must(NewMessageKey(bytes.Repeat([]byte("x"), 32), wire.Client))
			k.last = 1
			return k.Sign(nil, wire.OpText, []byte("1"))
		}, MessageForged},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			sign, verify := messageKeys(wire.Client)
			var signed [][]byte
			for i := range 3 {
				signed = append(signed, sign.Sign(nil, test.op, fmt.Append(nil, i)))
			}
			good := bytes.Clone(signed[1])
			_, err := verify.Verify(test.op, signed[0])
			require.NoError(t, err)
			_, err = verify.Verify(test.op, test.spoil(signed))
			require.Equal(t, test.want, err)
			require.NotContains(t, err.Error(), canary)
			_, err = verify.Verify(test.op, good)
			require.NoError(t, err, "a refused message changes nothing")
		})
	}
	_, err := NewMessageKey([]byte(canary), wire.Client)
	require.EqualError(t, err, "message secret: must have at least 32 bytes, got 9")
}

func FuzzVerifyMessage(f *testing.F) {
	sign, _ := messageKeys(wire.Client)
	f.Add(sign.Sign(nil, wire.OpText, []byte("x")), true)
	f.Add(sign.Sign(nil, wire.OpBinary, []byte("x")), false)
	f.Add([]byte("1.."), true)
	f.Fuzz(func(t *testing.T, message []byte, text bool) {
		op := wire.OpBinary
		if text {
			op = wire.OpText
		}
		_, verify := messageKeys(wire.Server)
		_, err := verify.Verify(op, message)
		require.IsType(t, Failure(0), err)
		number, code, payload, ok := cutSignature(op, message)
		if ok && text {
			again := fmt.Appendf(nil, "%d.%s.%s", number, base64.RawURLEncoding.EncodeToString(code[:]), payload)
			require.Equal(t, message, again, "one spelling")
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	sign, verify := messageKeys(wire.Client)
	payload := bytes.Repeat([]byte("x"), 125)
	var signed []byte
	cpu(b, func() {
		signed = sign.Sign(signed[:0], wire.OpText, payload)
		if _, err := verify.Verify(wire.OpText, signed); err != nil {
			b.Fatal(err)
		}
	})
}
