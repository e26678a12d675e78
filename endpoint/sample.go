package endpoint

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Sampling keeps the beginning of some messages that could not be parsed: not UTF-8, or refused by [Config.Validate] for
// what they are. It comes as the event websocket.message.sampled, as the client sent it: redact it before it is stored, and
// store it where few can read. Binary messages are sampled only where they are text.
type Sampling struct {
	// Bytes is how much of a message is kept, at most 16 KiB. 0 keeps none.
	Bytes int
	// Rate bounds samples, of which a connection has one. Default 1 a second, 10 at once.
	Rate Rate
}

const maxSampleBytes = 16 << 10

func (c Sampling) withDefaults(fault func(string)) Sampling {
	if c.Bytes < 0 || c.Bytes > maxSampleBytes {
		fault("Samples: Bytes must be from 0 to 16384")
	}
	c.Rate = c.Rate.or(Rate{1, 10})
	return c
}

// sample tells the beginning of a message, if there may be another sample. Nothing waits for it.
func (s *Session) sample(m wire.Message, errorType, schema string) {
	e := s.e
	if e.config.Samples.Bytes == 0 || e.pump == nil || s.sampled {
		return
	}
	beginning := sampleText(m.Payload, e.config.Samples.Bytes)
	if beginning == "" || m.Opcode == wire.OpBinary && !utf8.Valid(m.Payload) || !e.samples.take(e.sampling, s.now, 1) {
		return
	}
	s.sampled = true
	v := s.event(event.MessageSampled)
	v.SetString(event.Direction, event.DirectionReceive)
	v.SetString(event.MessageSample, beginning)
	v.SetInt(event.MessageSize, int64(len(m.Payload)))
	v.Accept(event.MessageType, event.String(m.Opcode.String()))
	v.Accept(event.SchemaID, text(schema))
	v.SetString(event.ErrorType, errorType)
	if v.Validate() != nil { // not one of this event's
		v.SetString(event.ErrorType, event.OtherError)
	}
	if !e.pump.counted(v) {
		e.pump.lost.Add(1)
	}
}

// delimiters end a value in what messages are written in.
const delimiters = " \t\r\n,;&|{}[]()<>\"'"

// sampleText is the beginning of a payload as text. It ends between two values: the half of one may be all of a secret that
// matters, and nothing would recognise it.
func sampleText(payload []byte, most int) string {
	if len(payload) > most {
		payload = payload[:most]
		payload = payload[:bytes.LastIndexAny(payload, delimiters)+1]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(payload), "\uFFFD"), "\x00", "\uFFFD")
}
