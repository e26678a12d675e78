package wire

import (
	"encoding/binary"
	"time"
)

// Message is a whole message, or a control frame, which may come between the frames of a message.
type Message struct {
	// Payload is the content, unmasked and inflated. It is valid until the next call of the reader.
	Payload []byte
	// WireBytes is the length of the payload as it came: compressed, without headers.
	WireBytes int64
	// Frames is how many frames the message had.
	Frames int64
	// Opcode is [OpText], [OpBinary], [OpPing], [OpPong] or [OpClose]; zero where there is no message yet.
	Opcode Opcode
	// Compressed says that the message was compressed (RFC 7692 §6).
	Compressed bool
	// Code is the close code where Opcode is OpClose; [CloseNoStatus] where the frame had none. The reason is
	// Payload[2:] then.
	Code CloseCode
}

// Ready reports whether there is a message.
func (m Message) Ready() bool { return m.Opcode != OpContinuation }

// Reason returns the reason of a Close frame; it is part of Payload.
func (m Message) Reason() []byte {
	if m.Opcode != OpClose || len(m.Payload) < 2 {
		return nil
	}
	return m.Payload[2:]
}

// ReaderSettings is what a [MessageReader] has to know.
type ReaderSettings struct {
	// From is the side whose frames are read. The zero value is the client.
	From Side
	// Limits are the budgets; nil means the defaults. They are only read, so many readers may share them.
	Limits *Limits
	// Deflate is permessage-deflate as it was negotiated, or nil. It is only read.
	Deflate *Deflate
	// OnHeader, if not nil, sees the header of each frame that breaks no rule, before anything of its payload is kept. Its error
	// is that of Next.
	OnHeader func(Header) error
}

// MessageReader joins the frames of one direction to messages, within budgets. Text is checked as it comes, so that a
// bad byte is refused before its message, or even its frame, is complete (RFC 6455 §8.1).
//
// The first error is the last: Next returns it ever after. Behind a Close frame nothing is read (RFC 6455 §5.5.1).
type MessageReader struct {
	frames  FrameReader
	set     ReaderSettings
	err     error
	message *buffer   // of an unfinished message, or the one that was returned last
	control *buffer   // of an unfinished control frame
	window  []byte    // what was inflated last, for context takeover
	bytes   int64     // of the message, as they came
	count   int64     // of its frames
	text    utf8State // of the message

	controls int64 // control frames since
	since    time.Time

	opcode     Opcode // of the message, or the one before
	compressed bool
	lent       bool // message or control was returned
	closed     bool // a Close frame came
}

// NewMessageReader returns a reader.
func NewMessageReader(s ReaderSettings) *MessageReader {
	r := new(MessageReader)
	r.Reset(s)
	return r
}

// Reset makes r a reader of a new connection. It gives back what r held.
func (r *MessageReader) Reset(s ReaderSettings) {
	r.Release()
	if s.Limits == nil {
		s.Limits = &defaultLimits
	}
	*r = MessageReader{set: s, frames: NewFrameReader(s.From, s.Deflate != nil)}
}

// SetLimits replaces the budgets of the messages to come, as when a client has been authenticated. A message that has
// begun is finished under the new ones.
func (r *MessageReader) SetLimits(l *Limits) { r.set.Limits = l }

// Release gives back what r holds, when the connection has ended. Every later Next returns the error of before, or
// nothing.
func (r *MessageReader) Release() {
	r.message.release()
	r.control.release()
	r.message, r.control, r.window = nil, nil, nil
	r.closed = true
}

// Frames returns the reader of the frames, which is where the messages' reader stopped. A tap goes on with it behind an
// error.
func (r *MessageReader) Frames() *FrameReader { return &r.frames }

// Next takes from the front of in what makes the next message or control frame, and returns the rest. It unmasks in
// place: in is changed, and the message may be a part of it. It is called until the message is not
// [Message.Ready], also with an empty rest; after that the reader holds nothing but an unfinished message.
//
// The error is a [Violation], or that of [ReaderSettings.OnHeader].
func (r *MessageReader) Next(in []byte) (m Message, rest []byte, err error) {
	if r.lent {
		r.giveBack()
	}
	if m, n := r.whole(in); n > 0 {
		return m, in[n:], r.err
	}
	if r.err != nil || r.closed {
		return Message{}, nil, r.err
	}
	m, rest, err = r.next(in)
	if err != nil {
		r.err = err
		r.message.release()
		r.control.release()
		r.message, r.control = nil, nil
	}
	return m, rest, err
}

// whole is the short way for what most messages are: one frame, all of it here, not compressed, of at most 64 KiB. It
// returns how long the frame is, or 0 where it looked at the header only and leaves the frame to the long way, which
// knows every rule. It halves the time for a short message.
func (r *MessageReader) whole(in []byte) (m Message, n int) {
	if len(in) < 2 || in[0] != finBit|byte(OpText) && in[0] != finBit|byte(OpBinary) || !r.between() {
		return Message{}, 0
	}
	masked := in[1]&maskBit != 0
	length, head := int(in[1]&^maskBit), headerSize(in[1])
	if masked != (r.set.From == Client) || length == 127 || len(in) < head {
		return Message{}, 0
	}
	if length == 126 {
		if length = int(in[2])<<8 | int(in[3]); length <= 125 {
			return Message{}, 0
		}
	}
	n = head + length
	if len(in) < n || int64(length) > r.set.Limits.messageBytes() {
		return Message{}, 0
	}
	h := Header{Length: int64(length), Opcode: Opcode(in[0] & 0xF), Fin: true, Masked: masked}
	if masked {
		h.Key = [4]byte(in[head-4:])
	}
	if r.set.OnHeader != nil {
		if r.err = r.set.OnHeader(h); r.err != nil {
			return Message{}, n
		}
	}
	payload, union := in[head:n:n], uint64(highBits)
	if masked {
		_, union = mask(payload, binary.LittleEndian.Uint32(h.Key[:]))
	}
	if h.Opcode == OpText && union&highBits != 0 && utf8Complete.after(payload) != utf8Complete {
		r.err = InvalidUTF8
		return Message{}, n
	}
	return Message{Payload: payload, Opcode: h.Opcode, WireBytes: h.Length, Frames: 1}, n
}

// between reports whether a frame begins here that whole may take.
func (r *MessageReader) between() bool {
	f := &r.frames
	return f.state == inHeader && f.cut == 0 && !f.open && r.err == nil && !r.closed
}

// giveBack releases the buffer of the message that was returned.
func (r *MessageReader) giveBack() {
	r.lent = false
	if r.control != nil {
		r.control.release()
		r.control = nil
		return
	}
	r.message.release()
	r.message = nil
}

func (r *MessageReader) next(in []byte) (m Message, rest []byte, err error) {
	f := &r.frames
	for {
		if f.state != inPayload {
			if f.state == lost {
				return Message{}, nil, InvalidLength
			}
			n, v, ok := f.readHeader(in)
			in = in[n:]
			if !ok {
				return Message{}, in, nil
			}
			if v != 0 {
				return Message{}, in, v
			}
			if err := r.admit(); err != nil {
				return Message{}, in, err
			}
		}
		if len(in) == 0 && f.remaining > 0 {
			return Message{}, in, nil
		}
		var piece []byte
		piece, in = f.readPayload(in)
		end := f.state == inHeader
		if f.header.Opcode.Control() {
			if m, err = r.addControl(piece, end); err != nil || m.Ready() {
				return m, in, err
			}
			continue
		}
		if m, err = r.add(piece, end && f.header.Fin); err != nil || m.Ready() {
			return m, in, err
		}
	}
}

// admit takes the header of a frame into account, before its payload.
func (r *MessageReader) admit() error {
	h := &r.frames.header
	limits := r.set.Limits
	switch {
	case h.Opcode.Control():
		if r.flooded() {
			return TooManyControlFrames
		}
	case h.Opcode.Data():
		r.opcode, r.compressed = h.Opcode, h.RSV&RSV1 != 0
		r.bytes, r.count, r.text = h.Length, 1, utf8Complete
		if h.Length > limits.messageBytes() {
			return MessageTooBig
		}
	default:
		if r.count++; r.count > limits.messageFrames() {
			return TooManyFrames
		}
		if h.Length > limits.messageBytes()-r.bytes {
			return MessageTooBig
		}
		r.bytes += h.Length
	}
	if r.set.OnHeader != nil {
		return r.set.OnHeader(*h)
	}
	return nil
}

// flooded counts a control frame.
func (r *MessageReader) flooded() bool {
	limits := r.set.Limits
	if r.controls++; r.controls > limits.controlFrames() || r.controls == 1 {
		now := limits.now()
		if r.controls > 1 && now.Sub(r.since) < limits.controlInterval() {
			return true
		}
		r.controls, r.since = 1, now
	}
	return false
}

// add takes a piece of a message. last says that the message ends with it.
func (r *MessageReader) add(piece []byte, last bool) (Message, error) {
	if r.opcode == OpText && !r.compressed && (r.text != utf8Complete || r.frames.union&highBits != 0) {
		r.text = r.text.after(piece)
		if r.text == utf8Invalid || last && r.text != utf8Complete {
			return Message{}, InvalidUTF8
		}
	}
	if !last {
		if len(piece) > 0 {
			r.message = r.message.grow(len(piece), r.set.Limits.messageBytes())
			r.message.b = append(r.message.b, piece...)
		}
		return Message{}, nil
	}
	m := Message{Payload: piece, Opcode: r.opcode, Compressed: r.compressed, WireBytes: r.bytes, Frames: r.count}
	if r.message != nil {
		r.message = r.message.grow(len(piece), r.set.Limits.messageBytes())
		r.message.b = append(r.message.b, piece...)
		m.Payload, r.lent = r.message.b, true
	}
	if r.compressed {
		out, err := r.inflate(m.Payload)
		if err != nil {
			return Message{}, err
		}
		r.message.release()
		r.message = out
		m.Payload, r.lent = out.b, true
	}
	return m, nil
}

// inflate inflates a whole message, and keeps of it what the next may refer to.
func (r *MessageReader) inflate(payload []byte) (*buffer, error) {
	out, err := inflate(payload, r.window, r.set.Limits, r.opcode == OpText)
	if err == nil && r.set.Deflate.takeover(r.set.From) {
		r.window = slide(r.window, out.b, r.set.Deflate.window(r.set.From))
	}
	return out, err
}

// addControl takes a piece of a control frame.
func (r *MessageReader) addControl(piece []byte, last bool) (Message, error) {
	h := &r.frames.header
	if !last || r.control != nil {
		r.control = r.control.grow(len(piece), MaxControlPayload)
		r.control.b = append(r.control.b, piece...)
		if !last {
			return Message{}, nil
		}
		piece, r.lent = r.control.b, true
	}
	m := Message{Payload: piece, Opcode: h.Opcode, WireBytes: h.Length, Frames: 1}
	if h.Opcode == OpClose {
		var err error
		if m.Code, _, err = ParseClose(piece); err != nil {
			return Message{}, err
		}
		r.closed = true
	}
	return m, nil
}
