package wire

import (
	"encoding/binary"
	"math"
)

// Opcode says what a frame is (RFC 6455 §5.2).
type Opcode uint8

// The opcodes that are defined.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// Control reports whether frames of this opcode are control frames (RFC 6455 §5.5).
func (o Opcode) Control() bool { return o&0x8 != 0 }

// Data reports whether frames of this opcode begin a message (RFC 6455 §5.6).
func (o Opcode) Data() bool { return o == OpText || o == OpBinary }

// Reserved reports whether the opcode is not defined.
func (o Opcode) Reserved() bool { return o&0x7 > 2 || o > 0xF }

func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "reserved"
}

// Side is one end of a connection.
type Side uint8

// The sides. A client masks its frames and a server does not (RFC 6455 §5.1).
const (
	Client Side = iota
	Server
)

func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// The reserved bits as they stand in [Header.RSV].
const (
	RSV1 = 0x40 // a compressed message, where permessage-deflate was negotiated (RFC 7692 §6)
	RSV2 = 0x20
	RSV3 = 0x10
)

const (
	finBit  = 0x80
	maskBit = 0x80

	// MaxHeaderSize is the size of the longest header of a frame.
	MaxHeaderSize = 14
	// MaxControlPayload is the longest payload of a control frame (RFC 6455 §5.5).
	MaxControlPayload = 125
)

// Header is the header of a frame (RFC 6455 §5.2).
type Header struct {
	// Length is the length of the payload.
	Length int64
	// Key is the masking key; zero where the frame is not masked.
	Key [4]byte
	// Opcode says what the frame is.
	Opcode Opcode
	// RSV is those of RSV1, RSV2 and RSV3 that are set.
	RSV uint8
	// Fin marks the last frame of a message.
	Fin bool
	// Masked says that the payload is masked with Key.
	Masked bool
}

// Size returns the length of the header on the wire.
func (h Header) Size() int {
	n := 2
	switch {
	case h.Length > math.MaxUint16:
		n += 8
	case h.Length > 125:
		n += 2
	}
	if h.Masked {
		n += 4
	}
	return n
}

// AppendHeader appends the header in its shortest form. It checks nothing: what is built with it may break the protocol.
func AppendHeader(dst []byte, h Header) []byte {
	b0, b1 := byte(h.Opcode)|h.RSV, byte(0)
	if h.Fin {
		b0 |= finBit
	}
	if h.Masked {
		b1 = maskBit
	}
	switch {
	case h.Length <= 125:
		dst = append(dst, b0, b1|byte(h.Length))
	case h.Length <= math.MaxUint16:
		dst = append(dst, b0, b1|126, byte(h.Length>>8), byte(h.Length))
	default:
		dst = append(dst, b0, b1|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// AppendFrame appends a frame: the header with the payload's length, and the payload, masked with h.Key where h.Masked is
// set. Like [AppendHeader] it checks nothing; an endpoint uses a [Writer].
func AppendFrame(dst []byte, h Header, payload []byte) []byte {
	h.Length = int64(len(payload))
	dst = AppendHeader(dst, h)
	dst = append(dst, payload...)
	if h.Masked {
		mask(dst[len(dst)-len(payload):], binary.LittleEndian.Uint32(h.Key[:]))
	}
	return dst
}
