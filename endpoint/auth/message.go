package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	messageKey     = 32
	messageVersion = "sockeye message 1"
	macSize        = sha256.Size
	textMAC        = 43 // macSize in base64url
	maxSequence    = 19 // digits
)

// MessageKey signs, or verifies, the messages that one side of one session sends: HMAC-SHA256 over the type, the number and the
// payload of each. It finds out what a proxy that ends TLS has changed, repeated, held back or sent itself, provided that
// the secret reached both ends by another way than through that proxy. It hides nothing. A MessageKey is for one
// goroutine at a time, and takes 40 bytes.
//
// A signed text is the message's number from 1 on in decimal, a dot, the code in base64url without padding, a dot, and the
// payload. A signed binary is the number in 8 bytes, big-endian, the code in 32, and the payload. The code is over
// "sockeye message 1", the opcode in one byte, the number in 8 bytes and the payload, by the key that HKDF-SHA256 makes of
// the secret without salt, with "sockeye message 1 from client" or "… from server" as its info.
type MessageKey struct {
	key  [messageKey]byte
	last uint64 // the number of the last message
}

// NewMessageKey returns the key for what the side from sends in a session. The secret is that of the session, at least 32
// random bytes that no other session has, such as [SessionSecret] makes.
func NewMessageKey(secret []byte, from wire.Side) (*MessageKey, error) {
	if len(secret) < messageKey {
		return nil, fmt.Errorf("message secret: must have at least %d bytes, got %d", messageKey, len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, messageVersion+" from "+from.String(), messageKey)
	if err != nil {
		return nil, fmt.Errorf("message secret: %w", err)
	}
	return &MessageKey{key: [messageKey]byte(key)}, nil
}

func (k *MessageKey) code(op wire.Opcode, number uint64, payload []byte) (mac [macSize]byte) {
	h := hmac.New(sha256.New, k.key[:])
	var head [len(messageVersion) + 9]byte
	n := copy(head[:], messageVersion)
	head[n] = byte(op)
	binary.BigEndian.PutUint64(head[n+1:], number)
	h.Write(head[:])
	h.Write(payload)
	h.Sum(mac[:0])
	return mac
}

// Sign appends the next message, signed, to dst. op is wire.OpText or wire.OpBinary.
func (k *MessageKey) Sign(dst []byte, op wire.Opcode, payload []byte) []byte {
	k.last++
	mac := k.code(op, k.last, payload)
	if op == wire.OpText {
		dst = append(strconv.AppendUint(dst, k.last, 10), '.')
		dst = append(base64.RawURLEncoding.AppendEncode(dst, mac[:]), '.')
	} else {
		dst = append(binary.BigEndian.AppendUint64(dst, k.last), mac[:]...)
	}
	return append(dst, payload...)
}

// Verify returns the payload of a signed message, as a part of it. The error is a [Failure]: MessageUnsigned, MessageForged
// or MessageOutOfOrder. The connection should be closed then: what comes behind a hole is refused too.
func (k *MessageKey) Verify(op wire.Opcode, message []byte) ([]byte, error) {
	number, mac, payload, ok := cutSignature(op, message)
	if !ok {
		return nil, MessageUnsigned
	}
	if want := k.code(op, number, payload); !hmac.Equal(want[:], mac[:]) {
		return nil, MessageForged
	}
	if number != k.last+1 {
		return nil, MessageOutOfOrder
	}
	k.last = number
	return payload, nil
}

func cutSignature(op wire.Opcode, message []byte) (number uint64, mac [macSize]byte, payload []byte, ok bool) {
	if op != wire.OpText {
		if len(message) < 8+macSize {
			return 0, mac, nil, false
		}
		return binary.BigEndian.Uint64(message), [macSize]byte(message[8:]), message[8+macSize:], true
	}
	digits := 0
	for digits < len(message) && message[digits] != '.' {
		c := message[digits]
		if c < '0' || c > '9' || digits == maxSequence || digits == 0 && c == '0' {
			return 0, mac, nil, false
		}
		number = number*10 + uint64(c-'0')
		digits++
	}
	rest := message[digits:]
	if digits == 0 || len(rest) < textMAC+2 || rest[textMAC+1] != '.' {
		return 0, mac, nil, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(mac[:], rest[1:textMAC+1])
	return number, mac, rest[textMAC+2:], err == nil && n == macSize
}
