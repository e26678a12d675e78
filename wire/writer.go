package wire

import (
	"crypto/rand"
	"encoding/binary"
)

// defaultCompressFrom is the default of [WriterSettings.CompressFrom].
const defaultCompressFrom = 128

// WriterSettings is what a [Writer] has to know.
type WriterSettings struct {
	// Side is who writes. The zero value is the client, which masks; an endpoint is the [Server].
	Side Side
	// Deflate is permessage-deflate as it was negotiated, or nil. It is only read.
	Deflate *Deflate
	// CompressFrom is the shortest message that is compressed. Default 128 bytes: what is shorter gains nothing.
	CompressFrom int
}

// Writer appends frames to a slice, so that many go out in one write. It holds no buffer.
type Writer struct {
	set WriterSettings
}

// NewWriter returns a writer.
func NewWriter(s WriterSettings) Writer { return Writer{set: s} }

// AppendMessage appends a message of one frame, compressed where that was negotiated and makes it shorter. The opcode is
// [OpText], whose payload the caller knows to be UTF-8, or [OpBinary]; a [Message] of either can be sent on as it is.
// [OpPing] and [OpPong] work too, with at most 125 bytes.
func (w *Writer) AppendMessage(dst []byte, op Opcode, payload []byte) []byte {
	if w.set.Deflate != nil && op.Data() && len(payload) >= w.compressFrom() {
		if dst, ok := w.appendCompressed(dst, op, payload); ok {
			return dst
		}
	}
	return w.AppendFrame(dst, Header{Opcode: op, Fin: true}, payload)
}

func (w *Writer) compressFrom() int {
	if w.set.CompressFrom <= 0 {
		return defaultCompressFrom
	}
	return w.set.CompressFrom
}

// appendCompressed appends a compressed message, if that is shorter.
func (w *Writer) appendCompressed(dst []byte, op Opcode, payload []byte) (_ []byte, ok bool) {
	h := Header{Opcode: op, RSV: RSV1, Fin: true, Masked: w.set.Side == Client, Length: int64(len(payload))}
	start, room := len(dst), h.Size()
	dst = append(dst, make([]byte, room)...)
	dst = deflate(dst, payload, w.set.Deflate.window(w.set.Side))
	packed := dst[start+room:]
	if len(packed) >= len(payload) {
		return dst[:start], false
	}
	h.Length = int64(len(packed))
	w.key(&h)
	if h.Masked {
		mask(packed, binary.LittleEndian.Uint32(h.Key[:]))
	}
	// A shorter length may need a shorter header.
	n := h.Size()
	AppendHeader(dst[:start], h)
	return append(dst[:start+n], packed...), true
}

// key sets a new masking key, if frames are masked. It must not be foreseeable (RFC 6455 §5.3).
func (w *Writer) key(h *Header) {
	if h.Masked {
		_, _ = rand.Read(h.Key[:]) // never fails
	}
}

// AppendFrame appends one frame with the opcode and the bits of h, masked if the client writes.
func (w *Writer) AppendFrame(dst []byte, h Header, payload []byte) []byte {
	h.Masked = w.set.Side == Client
	w.key(&h)
	return AppendFrame(dst, h, payload)
}

// AppendPing appends a Ping frame (RFC 6455 §5.5.2). Of a payload over 125 bytes only these are sent.
func (w *Writer) AppendPing(dst, payload []byte) []byte { return w.appendControl(dst, OpPing, payload) }

// AppendPong appends a Pong frame, whose payload is that of the Ping (RFC 6455 §5.5.3).
func (w *Writer) AppendPong(dst, payload []byte) []byte { return w.appendControl(dst, OpPong, payload) }

func (w *Writer) appendControl(dst []byte, op Opcode, payload []byte) []byte {
	return w.AppendFrame(dst, Header{Opcode: op, Fin: true}, payload[:min(len(payload), MaxControlPayload)])
}

// AppendClose appends a Close frame (RFC 6455 §5.5.1). A code that must not be sent gives a frame without code or
// reason. Of the reason as much is sent as is UTF-8 and fits 123 bytes. Nothing may be sent behind it.
func (w *Writer) AppendClose(dst []byte, code CloseCode, reason string) []byte {
	var payload []byte
	if code.Sendable() {
		var room [MaxControlPayload]byte
		payload = append(room[:0], byte(code>>8), byte(code))
		payload = append(payload, cutReason(reason)...)
	}
	return w.AppendFrame(dst, Header{Opcode: OpClose, Fin: true}, payload)
}

// AppendViolation appends the Close frame for an error of a reader: the violation's code and rule, or, for any other
// error, 1011 without a reason.
func (w *Writer) AppendViolation(dst []byte, err error) []byte {
	if v, ok := err.(Violation); ok { //nolint:errorlint // readers return it as it is
		return w.AppendClose(dst, v.CloseCode(), v.Reason())
	}
	return w.AppendClose(dst, CloseInternalError, "")
}
