package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sockeye-project/sockeye/wire"
)

// Case is what a client sends and what must come of it. The same bytes go to the echo server over a socket, and to the
// reader alone in every split.
type Case struct {
	// ID is the number of the case in the Autobahn test suite. Cases of our own begin with "own/".
	ID string
	// Title says what is sent.
	Title string
	// Offer is the client's Sec-WebSocket-Extensions.
	Offer string
	// Size is how long its messages are, if it sends many.
	Size int
	// Informational says that the standard leaves open what comes of it.
	Informational bool
	// Make returns what is sent; it is called when it is needed, since some of it is long.
	Make func(Terms) Script
}

// Terms are what a script depends on.
type Terms struct {
	// Messages is how many messages a case of groups 12 and 13 sends at most, of a thousand.
	Messages int
	// Agreed is the server's Sec-WebSocket-Extensions.
	Agreed string
}

// Script is what is sent before the client waits for answers.
type Script struct {
	// Send are the client's bytes, one frame each.
	Send [][]byte
	// Chop is how many bytes of a frame go into one write on the socket; 0 sends all frames with one write.
	Chop int
	// Want are the messages that the reader must return, in this order. The server must echo text and binary, answer pings
	// with pongs, and a Close with a Close of the same code.
	Want []Message
	// Fault is the rule that the reader must name at the end, and Code the close code that the server must send for it. 0
	// is none.
	Fault wire.Violation
	Code  int
	// Closes says that the client began to close with what it sent, so that it leaves the server's Close unanswered. A
	// Close in Want says so too.
	Closes bool
	// Quiet says that the connection must stay open for a while, and nothing come, before Then.
	Quiet bool
	// Then is what is sent next: once all answers have come or, behind a Fault, when the server has not closed in time.
	Then func() *Script
}

// frameByFrame is a Chop that sends each frame with a write of its own.
const frameByFrame = 1 << 30

// Message is a message or a control frame by its opcode and payload.
type Message struct {
	Op      byte
	Payload []byte
}

// The bits and opcodes of a frame's first byte (RFC 6455 §5.2).
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// frame returns a masked frame. It is written from the standard alone: wire is what is on trial.
func frame(first byte, payload []byte) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := append(header(first, len(payload), true), key[:]...)
	head := len(b)
	b = append(b, payload...)
	for i := range payload {
		b[head+i] ^= key[i&3]
	}
	return b
}

// header returns the bytes before the masking key.
func header(first byte, length int, masked bool) []byte {
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	b := []byte{first}
	switch {
	case length <= 125:
		return append(b, bit|byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(b, bit|126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(b, bit|127), uint64(length))
	}
}

func text(s string) Message    { return Message{opText, []byte(s)} }
func data(b []byte) Message    { return Message{opBinary, b} }
func ping(s string) Message    { return Message{opPing, []byte(s)} }
func pong(s string) Message    { return Message{opPong, []byte(s)} }
func closing(p string) Message { return Message{opClose, []byte(p)} }

// code returns the payload of a Close frame.
func code(n int, reason string) string { return string([]byte{byte(n >> 8), byte(n)}) + reason }

// whole returns a message in one frame.
func whole(m Message) []byte { return frame(fin|m.Op, m.Payload) }

// fragments returns a message in frames of the pieces.
func fragments(op byte, pieces ...string) [][]byte {
	var frames [][]byte
	for i, piece := range pieces {
		first := byte(opContinuation)
		if i == 0 {
			first = op
		}
		if i == len(pieces)-1 {
			first |= fin
		}
		frames = append(frames, frame(first, []byte(piece)))
	}
	return frames
}

// fragmented returns a message in frames of n bytes, as the Autobahn test suite cuts it: a message that is not longer is one
// frame, and one whose length is a multiple of n ends with an empty frame.
func fragmented(m Message, n int) [][]byte { return cut(m.Op, m.Payload, n) }

// cut is fragmented for the first byte of the first frame.
func cut(first byte, payload []byte, n int) [][]byte {
	if len(payload) <= n {
		return [][]byte{frame(fin|first, payload)}
	}
	var frames [][]byte
	for ; len(payload) >= n; first, payload = opContinuation, payload[n:] {
		frames = append(frames, frame(first, payload[:n]))
	}
	return append(frames, frame(fin|first, payload))
}

// echoed is a script of whole messages that all come back.
func echoed(messages ...Message) Script {
	s := Script{Want: messages}
	for _, m := range messages {
		s.Send = append(s.Send, whole(m))
	}
	return s
}

// sending is a script of frames, given one by one or as lists.
func sending(frames ...any) Script {
	var s Script
	for _, f := range frames {
		switch f := f.(type) {
		case []byte:
			s.Send = append(s.Send, f)
		case [][]byte:
			s.Send = append(s.Send, f...)
		case Message:
			s.Send = append(s.Send, whole(f))
		default:
			panic(fmt.Sprintf("a frame is not a %T", f))
		}
	}
	return s
}

func (s Script) want(messages ...Message) Script {
	s.Want = messages
	return s
}

func (s Script) fails(v wire.Violation, closeCode int) Script {
	s.Fault, s.Code = v, closeCode
	return s
}

func (s Script) chopped(n int) Script {
	s.Chop = n
	return s
}

// closing says that the client began to close with what it sent.
func (s Script) closing() Script {
	s.Closes = true
	return s
}

// then says what is sent once the answers have come.
func (s Script) then(next Script) Script {
	s.Then = func() *Script { return &next }
	return s
}

// closes reports whether the client began to close with what it sent.
func (s Script) closes() bool {
	return s.Closes || slices.ContainsFunc(s.Want, func(m Message) bool { return m.Op == opClose })
}

// whole joins all that is sent until a fault, for a reader that answers nothing.
func (s Script) whole() Script {
	for next := s.Then; next != nil && s.Fault == 0; {
		step := next()
		s.Send, s.Want = slices.Concat(s.Send, step.Send), slices.Concat(s.Want, step.Want)
		s.Fault, s.Code, next = step.Fault, step.Code, step.Then
	}
	return s
}

// Bytes returns all that is sent.
func (s Script) Bytes() []byte { return bytes.Join(s.Send, nil) }

// table collects cases.
type table struct{ cases []Case }

func (t *table) add(id, title string, make func() Script) {
	t.cases = append(t.cases, Case{ID: id, Title: title, Make: func(Terms) Script { return make() }})
}

// row is a case whose script is short.
type row struct {
	id, title string
	script    Script
}

func (t *table) rows(list []row) {
	for _, r := range list {
		t.script(r.id, r.title, r.script)
	}
}

func (t *table) script(id, title string, s Script) { t.add(id, title, func() Script { return s }) }

// informational is a case whose outcome the standard leaves open.
func (t *table) informational(id, title string, make func() Script) {
	t.add(id, title, make)
	t.cases[len(t.cases)-1].Informational = true
}

// ways adds a script three times: in one write, frame by frame, and byte by byte. The ids follow one another from the
// first.
func (t *table) ways(group, first int, title string, s Script) {
	t.script(fmt.Sprintf("%d.%d", group, first), title+", in one write", s)
	t.script(fmt.Sprintf("%d.%d", group, first+1), title+", frame by frame", s.chopped(frameByFrame))
	t.script(fmt.Sprintf("%d.%d", group, first+2), title+", byte by byte", s.chopped(1))
}

// Cases returns all of them, in the order of their groups: the 517 of the Autobahn test suite, and our own.
func Cases() []Case {
	t := new(table)
	framing(t)
	pings(t)
	reservedBits(t)
	opcodes(t)
	fragmentation(t)
	utf8Handling(t)
	closeHandling(t)
	sizes(t)
	various(t)
	compression(t)
	return t.cases
}

// negotiated is what a server makes of the offer.
func negotiated(offer string) *wire.Deflate {
	if offer == "" {
		return nil
	}
	offers, err := wire.ParseExtensions([]string{offer})
	if err != nil {
		panic(err)
	}
	d, ok := wire.ChooseDeflate(offers, wire.Deflate{})
	if !ok {
		panic("declined: " + offer)
	}
	return &d
}
