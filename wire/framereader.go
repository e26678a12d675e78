package wire

import (
	"encoding/binary"
	"math"
)

// EventKind says what a [FrameReader] saw.
type EventKind uint8

// The events of a frame: its header, then its payload in one piece or several.
const (
	// NeedInput: the input is used up.
	NeedInput EventKind = iota
	// FrameHeader: a header is complete. Nothing of its payload has been looked at.
	FrameHeader
	// FramePayload: a piece of the payload. Every frame ends with one, an empty frame with an empty one.
	FramePayload
)

// Event is what [FrameReader.Next] returns.
type Event struct {
	// Payload is a piece of the frame's payload, unmasked: a part of the input.
	Payload []byte
	// Header is that of the frame, in every event but NeedInput.
	Header Header
	// Kind says which event it is.
	Kind EventKind
	// End marks the frame's last piece.
	End bool
}

// FrameReader cuts frames out of the bytes of one direction of a connection, given in any pieces, and checks each header
// against RFC 6455 §5 before anything of its payload is looked at. It holds no payload and needs no memory beside
// itself. The zero value reads from a client, without extensions.
//
// It counts nothing and joins nothing: an endpoint uses a [MessageReader].
type FrameReader struct {
	header    Header
	remaining int64  // of the frame's payload
	key       uint32 // the masking key as it continues
	union     uint64 // of the bytes of the last piece, if it was masked
	from      Side
	state     frameState
	deflate   bool // permessage-deflate was negotiated, so RSV1 has a meaning
	open      bool // a fragmented message is not finished
	cut       uint8
	head      [MaxHeaderSize]byte // the first cut bytes of a header that was cut
}

type frameState uint8

const (
	inHeader frameState = iota
	inPayload
	lost // the length is no number: nothing says where the next frame begins
)

// NewFrameReader returns a reader of what the side from sends. deflate says that permessage-deflate was negotiated.
func NewFrameReader(from Side, deflate bool) FrameReader {
	return FrameReader{from: from, deflate: deflate}
}

// Next takes from the front of in what makes the next event, and returns the rest. It unmasks in place: in is changed.
// It is called until it answers NeedInput, also with an empty rest.
//
// An error is a [Violation] by the header that the event has. The next call goes on behind that header, for a tap; only after
// [InvalidLength] is there nowhere to go on, and every call returns it.
func (f *FrameReader) Next(in []byte) (e Event, rest []byte, err error) {
	switch f.state {
	case lost:
		return Event{}, nil, InvalidLength
	case inHeader:
		n, v, ok := f.readHeader(in)
		if !ok {
			return Event{}, in[n:], nil
		}
		if v != 0 {
			err = v
		}
		return Event{Kind: FrameHeader, Header: f.header}, in[n:], err
	}
	p, rest := f.readPayload(in)
	if len(p) == 0 && f.state == inPayload {
		return Event{}, rest, nil
	}
	return Event{Kind: FramePayload, Header: f.header, Payload: p, End: f.state == inHeader}, rest, nil
}

// headerSize returns the length of the header that begins with these bytes.
func headerSize(b1 byte) int {
	n := 2 + int(b1&maskBit)>>5 // a key of four bytes
	switch b1 &^ maskBit {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	return n
}

// readHeader reads a header, or keeps as much of it as there is. It returns how many bytes it took.
func (f *FrameReader) readHeader(in []byte) (n int, v Violation, ok bool) {
	if f.cut == 0 && len(in) >= 2 {
		if n = headerSize(in[1]); len(in) >= n {
			return n, f.begin(in[:n]), true
		}
		n = 0
	}
	for need := 2; ; {
		if f.cut >= 2 {
			need = headerSize(f.head[1])
		}
		if int(f.cut) == need {
			break
		}
		took := copy(f.head[f.cut:need], in[n:])
		f.cut += uint8(took)
		n += took
		if int(f.cut) < need {
			return n, 0, false
		}
	}
	v = f.begin(f.head[:f.cut])
	f.cut = 0
	return n, v, true
}

// begin takes a header apart and says what is wrong with it. b is the whole header.
func (f *FrameReader) begin(b []byte) Violation {
	b0, b1 := b[0], b[1]
	h := &f.header
	h.Opcode, h.RSV, h.Fin, h.Masked = Opcode(b0&0xF), b0&(RSV1|RSV2|RSV3), b0&finBit != 0, b1&maskBit != 0
	h.Length = int64(b1 &^ maskBit)
	b = b[2:]
	shortest := true
	switch h.Length {
	case 126:
		h.Length, b = int64(binary.BigEndian.Uint16(b)), b[2:]
		shortest = h.Length > 125
	case 127:
		h.Length, b = int64(binary.BigEndian.Uint64(b)), b[8:]
		shortest = h.Length > math.MaxUint16
	}
	f.key = 0
	if h.Masked {
		f.key = binary.LittleEndian.Uint32(b)
	}
	binary.LittleEndian.PutUint32(h.Key[:], f.key)
	if h.Length < 0 {
		f.state = lost
		return InvalidLength
	}
	f.state, f.remaining = inPayload, h.Length
	return f.check(shortest)
}

// check holds the header against the rules, and notes whether a message is open behind the frame.
func (f *FrameReader) check(shortest bool) Violation {
	h := &f.header
	inside := f.open
	if !h.Opcode.Control() {
		f.open = !h.Fin
	}
	switch {
	case h.Opcode.Reserved():
		f.open = inside
		return ReservedOpcode
	case h.RSV != 0 && (h.RSV != RSV1 || !f.deflate || !h.Opcode.Data()):
		return ReservedBits
	case h.Masked != (f.from == Client):
		if h.Masked {
			return MaskedServerFrame
		}
		return UnmaskedClientFrame
	case h.Opcode.Control():
		if !h.Fin {
			return FragmentedControl
		}
		if h.Length > MaxControlPayload {
			return ControlTooBig
		}
	case h.Opcode == OpContinuation && !inside:
		return UnexpectedContinuation
	case h.Opcode != OpContinuation && inside:
		return ExpectedContinuation
	}
	if !shortest {
		return NonMinimalLength
	}
	return 0
}

// readPayload takes the frame's payload, or what there is of it. The state is inHeader again once all of it was taken.
func (f *FrameReader) readPayload(in []byte) (piece, rest []byte) {
	n := len(in)
	if f.remaining <= int64(n) {
		n = int(f.remaining)
		f.state = inHeader
	}
	piece = in[:n:n]
	f.remaining -= int64(n)
	f.union = highBits
	if f.header.Masked {
		f.key, f.union = mask(piece, f.key)
	}
	return piece, in[n:]
}
