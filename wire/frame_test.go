package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// client and server build frames in tests: the key is fixed, the rules are the caller's.
func client(h wire.Header, payload string) string {
	h.Masked, h.Key = true, [4]byte{0x37, 0xfa, 0x21, 0x3d}
	return string(wire.AppendFrame(nil, h, []byte(payload)))
}

func server(h wire.Header, payload string) string {
	return string(wire.AppendFrame(nil, h, []byte(payload)))
}

func whole(op wire.Opcode) wire.Header { return wire.Header{Opcode: op, Fin: true} }
func first(op wire.Opcode) wire.Header { return wire.Header{Opcode: op} }

// RFC 6455 §5.7 gives these bytes.
func TestExamplesOfTheStandard(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	huge := strings.Repeat("x", 65536)
	for name, c := range map[string]struct {
		from wire.Side
		in   string
		want []string
	}{
		"a single-frame unmasked text message":        {wire.Server, "\x81\x05Hello", []string{"text Hello"}},
		"a single-frame masked text message":          {wire.Client, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", []string{"text Hello"}},
		"a fragmented unmasked text message":          {wire.Server, "\x01\x03Hel\x80\x02lo", []string{"text Hello"}},
		"unmasked Ping and masked Pong":               {wire.Server, "\x89\x05Hello", []string{"ping Hello"}},
		"a masked Pong":                               {wire.Client, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", []string{"pong Hello"}},
		"256 bytes of binary in one unmasked frame":   {wire.Server, "\x82\x7e\x01\x00" + long, []string{"binary " + long}},
		"64 KiB of binary in one unmasked frame":      {wire.Server, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + huge, []string{"binary " + huge}},
		"a control frame inside a fragmented message": {wire.Server, "\x01\x03Hel\x89\x01!\x80\x02lo", []string{"ping !", "text Hello"}},
		"an empty message":                            {wire.Server, "\x81\x00\x82\x00", []string{"text ", "binary "}},
		"empty fragments":                             {wire.Server, "\x01\x00\x00\x00\x80\x00", []string{"text "}},
		"a Close frame, and nothing behind it":        {wire.Server, "\x88\x05\x03\xe8bye\x81\x05Hello\xff\xff", []string{"close \x03\xe8bye"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, step := range []int{len(c.in), 1, 2, 3, 7, 100} {
				got, err := messages(wire.NewMessageReader(wire.ReaderSettings{From: c.from}), c.in, step)
				require.NoError(t, err)
				require.Equal(t, c.want, got, "in pieces of %d", step)
			}
		})
	}
}

// messages gives in to r in pieces of step bytes and returns what comes out.
func messages(r *wire.MessageReader, in string, step int) (got []string, err error) {
	for len(in) > 0 {
		rest := []byte(in[:min(step, len(in))])
		in = in[min(step, len(in)):]
		for {
			var m wire.Message
			if m, rest, err = r.Next(rest); err != nil {
				return got, err
			}
			if !m.Ready() {
				break
			}
			got = append(got, fmt.Sprintf("%s %s", m.Opcode, m.Payload))
		}
		if len(rest) > 0 {
			return got, errors.New("rest without a message")
		}
	}
	return got, nil
}

func TestViolations(t *testing.T) {
	t.Parallel()
	const key = "\x00\x00\x00\x00"
	closing := func(payload string) string { return client(whole(wire.OpClose), payload) }
	for name, c := range map[string]struct {
		in   string
		want wire.Violation
		code wire.CloseCode
		// at is how many bytes must have come; 0 means all of them.
		at int
		// set changes the settings.
		set func(*wire.ReaderSettings)
	}{
		"a client frame without a mask":                     {in: server(whole(wire.OpText), "x"), at: 2, want: wire.UnmaskedClientFrame, code: 1002},
		"a server frame with a mask":                        {in: client(whole(wire.OpText), "x"), at: 6, want: wire.MaskedServerFrame, code: 1002, set: func(s *wire.ReaderSettings) { s.From = wire.Server }},
		"RSV1 without an extension":                         {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "x"), at: 6, want: wire.ReservedBits, code: 1002},
		"RSV1 on a Ping, with deflate":                      {in: client(wire.Header{Opcode: wire.OpPing, Fin: true, RSV: wire.RSV1}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"RSV1 on a Close, with deflate":                     {in: client(wire.Header{Opcode: wire.OpClose, Fin: true, RSV: wire.RSV1}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"RSV1 on a continuation, with deflate":              {in: client(wire.Header{Opcode: wire.OpText, RSV: wire.RSV1}, "\x02") + client(wire.Header{Fin: true, RSV: wire.RSV1}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"RSV2, with deflate":                                {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV2}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"RSV3, with deflate":                                {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV3}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"RSV1 and RSV3, with deflate":                       {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1 | wire.RSV3}, ""), want: wire.ReservedBits, code: 1002, set: deflated},
		"a reserved data opcode":                            {in: client(whole(3), ""), want: wire.ReservedOpcode, code: 1002},
		"a reserved data opcode inside a message":           {in: client(first(wire.OpText), "") + client(whole(7), ""), want: wire.ReservedOpcode, code: 1002},
		"a reserved control opcode":                         {in: client(whole(0xB), ""), want: wire.ReservedOpcode, code: 1002},
		"the last reserved control opcode":                  {in: client(whole(0xF), ""), want: wire.ReservedOpcode, code: 1002},
		"a fragmented Ping":                                 {in: client(first(wire.OpPing), ""), want: wire.FragmentedControl, code: 1002},
		"a Ping of 126 bytes":                               {in: client(whole(wire.OpPing), strings.Repeat("x", 126)), at: 8, want: wire.ControlTooBig, code: 1002},
		"a Close of 126 bytes: a reason of 124":             {in: closing("\x03\xe8" + strings.Repeat("x", 124)), at: 8, want: wire.ControlTooBig, code: 1002},
		"a continuation of nothing":                         {in: client(whole(wire.OpContinuation), ""), want: wire.UnexpectedContinuation, code: 1002},
		"a continuation of a finished message":              {in: client(first(wire.OpText), "") + client(whole(wire.OpContinuation), "") + client(whole(wire.OpContinuation), ""), want: wire.UnexpectedContinuation, code: 1002},
		"a new message inside a fragmented one":             {in: client(first(wire.OpText), "") + client(whole(wire.OpText), ""), want: wire.ExpectedContinuation, code: 1002},
		"a length of 125 in two bytes more":                 {in: "\x81\xfe\x00\x7d" + key + strings.Repeat("x", 125), at: 8, want: wire.NonMinimalLength, code: 1002},
		"a length of zero in two bytes more":                {in: "\x81\xfe\x00\x00" + key, want: wire.NonMinimalLength, code: 1002},
		"a length of 65535 in eight bytes":                  {in: "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" + key, want: wire.NonMinimalLength, code: 1002},
		"a Ping's length in two bytes more":                 {in: "\x89\xfe\x00\x01" + key, want: wire.NonMinimalLength, code: 1002},
		"a 64-bit length with the top bit set":              {in: "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" + key, want: wire.InvalidLength, code: 1002},
		"a 64-bit length of all bits":                       {in: "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + key, want: wire.InvalidLength, code: 1002},
		"the longest length there is":                       {in: "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + key, want: wire.MessageTooBig, code: 1009},
		"the longest lengths there are, in two frames":      {in: client(first(wire.OpBinary), "x") + "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + key, want: wire.MessageTooBig, code: 1009, set: func(s *wire.ReaderSettings) { s.Limits = &wire.Limits{MessageBytes: wire.Unlimited} }},
		"a message one byte over the limit":                 {in: client(whole(wire.OpBinary), strings.Repeat("x", 1025)), at: 8, want: wire.MessageTooBig, code: 1009, set: small},
		"fragments one byte over the limit":                 {in: client(first(wire.OpBinary), strings.Repeat("x", 1024)) + client(whole(0), "x"), at: 8 + 1024 + 6, want: wire.MessageTooBig, code: 1009, set: small},
		"one frame more than a message may have":            {in: client(first(wire.OpBinary), "") + strings.Repeat(client(first(0), ""), 4), want: wire.TooManyFrames, code: 1008, set: small},
		"a byte that is not UTF-8":                          {in: client(whole(wire.OpText), "abc\xffdef"), at: 6 + 4, want: wire.InvalidUTF8, code: 1007},
		"a byte that is not UTF-8, in a fragment":           {in: client(first(wire.OpText), "abc\xffdef"), at: 6 + 4, want: wire.InvalidUTF8, code: 1007},
		"a surrogate":                                       {in: client(first(wire.OpText), "abc\xed\xa0\x80def"), at: 6 + 5, want: wire.InvalidUTF8, code: 1007},
		"a character beyond Unicode":                        {in: client(first(wire.OpText), "\xf4\x90\x80\x80"), at: 6 + 2, want: wire.InvalidUTF8, code: 1007},
		"an overlong character":                             {in: client(first(wire.OpText), "\xe0\x80\x80"), at: 6 + 2, want: wire.InvalidUTF8, code: 1007},
		"a character that breaks off at the end":            {in: client(whole(wire.OpText), "abc\xe2\x82"), want: wire.InvalidUTF8, code: 1007},
		"a character that breaks off before an empty frame": {in: client(first(wire.OpText), "abc\xe2\x82") + client(whole(0), ""), want: wire.InvalidUTF8, code: 1007},
		"ASCII inside a character of the frame before":      {in: client(first(wire.OpText), "abc\xe2\x82") + client(first(0), "a"), want: wire.InvalidUTF8, code: 1007},
		"a Close frame of one byte":                         {in: closing("\x03"), want: wire.InvalidClosePayload, code: 1002},
		"a close code below 1000":                           {in: closing("\x03\xe7"), want: wire.InvalidCloseCode, code: 1002},
		"the reserved close code 1004":                      {in: closing("\x03\xec"), want: wire.InvalidCloseCode, code: 1002},
		"the close code 1005, which is never sent":          {in: closing("\x03\xed"), want: wire.InvalidCloseCode, code: 1002},
		"the close code 1006, which is never sent":          {in: closing("\x03\xee"), want: wire.InvalidCloseCode, code: 1002},
		"the close code 1015, which is never sent":          {in: closing("\x03\xf7"), want: wire.InvalidCloseCode, code: 1002},
		"a close code that nobody registered":               {in: closing("\x07\xd0"), want: wire.InvalidCloseCode, code: 1002},
		"a close code over 4999":                            {in: closing("\x13\x88"), want: wire.InvalidCloseCode, code: 1002},
		"a close reason that is not UTF-8":                  {in: closing("\x03\xe8\xce\xba\xe1\xbd"), want: wire.InvalidCloseReason, code: 1007},
		"compressed data of a reserved block type":          {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "\x06\x00"), want: wire.InflateFailed, code: 1007, set: deflated},
		"compressed data that breaks off":                   {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "\xf2\x48\xcd"), want: wire.InflateFailed, code: 1007, set: deflated},
		"compressed data that refers to before the start":   {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, "\x02\x13\x00\x00"), want: wire.InflateFailed, code: 1007, set: deflated},
		"a compressed message without a block":              {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, ""), want: wire.InflateFailed, code: 1007, set: deflated},
		"compressed text that is not UTF-8":                 {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, deflate("abc\xff")), want: wire.InvalidUTF8, code: 1007, set: deflated},
		"compressed text that breaks off in a character":    {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, deflate("abc\xe2\x82")), want: wire.InvalidUTF8, code: 1007, set: deflated},
		"a compressed message that inflates over the limit": {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, deflate(strings.Repeat("ab", 513))), want: wire.MessageTooBig, code: 1009, set: func(s *wire.ReaderSettings) { small(s); deflated(s) }},
		"a compressed message that inflates too well":       {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, deflate(strings.Repeat("a", 60_000))), want: wire.InflateRatioExceeded, code: 1009, set: deflated},
		"a compressed message of nothing but last blocks":   {in: client(wire.Header{Opcode: wire.OpText, Fin: true, RSV: wire.RSV1}, strings.Repeat("\x03\x00", 20)), want: wire.InflateFailed, code: 1007, set: deflated},
		"a refusal of the caller's by the header": {in: client(whole(wire.OpBinary), "x"), at: 6, want: wire.ReservedOpcode, code: 1002, set: func(s *wire.ReaderSettings) {
			s.OnHeader = func(h wire.Header) error {
				if h.Opcode == wire.OpBinary {
					return wire.ReservedOpcode
				}
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := wire.ReaderSettings{}
			if c.set != nil {
				c.set(&set)
			}
			if c.at == 0 {
				c.at = len(c.in)
			}
			for _, step := range []int{len(c.in), 1, 2, 3} {
				r := wire.NewMessageReader(set)
				_, err := messages(r, c.in, step)
				require.Equal(t, c.want, err, "in pieces of %d", step)
				_, err = messages(r, client(whole(wire.OpText), "x"), 100)
				require.Equal(t, c.want, err, "the first error is the last")
			}
			_, err := messages(wire.NewMessageReader(set), c.in[:c.at], c.at)
			require.Equal(t, c.want, err, "as soon as it can be known")
			_, err = messages(wire.NewMessageReader(set), c.in[:c.at-1], c.at)
			require.NoError(t, err, "not before")

			require.Equal(t, c.code, c.want.CloseCode())
			w := wire.NewWriter(wire.WriterSettings{Side: wire.Server})
			answer, err := messages(wire.NewMessageReader(wire.ReaderSettings{From: wire.Server}), string(w.AppendViolation(nil, c.want)), 200)
			require.NoError(t, err)
			require.Equal(t, []string{"close " + string([]byte{byte(c.code >> 8), byte(c.code)}) + c.want.Reason()}, answer)
		})
	}
}

func small(s *wire.ReaderSettings) {
	s.Limits = &wire.Limits{MessageBytes: 1024, MessageFrames: 4}
}

func deflated(s *wire.ReaderSettings) { s.Deflate = &wire.Deflate{} }

// Every rule is named, placed and answered.
func TestEveryViolationIsExplained(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	v := wire.Violation(1)
	for ; v.Rule() != "unknown"; v++ {
		require.Regexp(t, `^[a-z0-9]+(_[a-z0-9]+)*$`, v.Rule())
		require.False(t, names[v.Rule()], v.Rule())
		names[v.Rule()] = true
		require.Regexp(t, `^RFC (6455|7692) §\d(\.\d+)*$`, v.Section())
		require.True(t, v.CloseCode().Sendable())
		require.NotEmpty(t, v.Reason())
		require.LessOrEqual(t, len(v.Reason()), wire.MaxCloseReason)
		require.ErrorContains(t, v, v.Reason()+" ("+v.Section()+")")
	}
	require.Equal(t, wire.TooManyControlFrames+1, v)
	require.Equal(t, "unknown", wire.Violation(0).Rule())
	require.Equal(t, wire.CloseProtocolError, wire.Violation(255).CloseCode())
	wrapped := fmt.Errorf("read: %w", wire.InvalidUTF8)
	require.ErrorIs(t, wrapped, wire.InvalidUTF8)
	require.NotErrorIs(t, wrapped, wire.ReservedBits)
}

func TestHeaderComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{0, 1, 124, 125, 126, 127, 65535, 65536, 1 << 40, math.MaxInt64} {
		for _, masked := range []bool{false, true} {
			h := wire.Header{Length: length, Opcode: wire.OpBinary, Fin: true, Masked: masked}
			from := wire.Server
			if masked {
				h.Key, from = [4]byte{1, 2, 3, 4}, wire.Client
			}
			b := wire.AppendHeader(nil, h)
			require.Len(t, b, h.Size())
			require.LessOrEqual(t, len(b), wire.MaxHeaderSize)
			f := wire.NewFrameReader(from, false)
			e, rest, err := f.Next(b)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.Equal(t, wire.Event{Kind: wire.FrameHeader, Header: h}, e)
		}
	}
}

// A tap goes on behind what an endpoint refuses.
func TestFramesGoOnBehindAViolation(t *testing.T) {
	t.Parallel()
	in := []byte(server(whole(wire.OpText), "unmasked") + client(whole(wire.OpText), "\xff") + client(whole(wire.OpClose), "\x03\xe8"))
	r := wire.NewMessageReader(wire.ReaderSettings{})
	_, rest, err := r.Next(in)
	require.Equal(t, wire.UnmaskedClientFrame, err)

	var seen []string
	for {
		var e wire.Event
		e, rest, err = r.Frames().Next(rest)
		require.NoError(t, err)
		if e.Kind == wire.NeedInput {
			break
		}
		seen = append(seen, fmt.Sprintf("%v %s %q", e.Kind == wire.FrameHeader, e.Header.Opcode, e.Payload))
	}
	require.Equal(t, []string{
		`false text "unmasked"`, `true text ""`, `false text "\xff"`, `true close ""`, `false close "\x03\xe8"`,
	}, seen)
	require.Empty(t, rest)
}

// So does a tap behind text that is refused, in one frame or in two.
func TestFramesGoOnBehindBadText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{client(whole(wire.OpText), "\xff"), client(first(wire.OpText), "\xff")} {
		r := wire.NewMessageReader(wire.ReaderSettings{})
		_, rest, err := r.Next([]byte(text + client(whole(wire.OpClose), "\x03\xe8")))
		require.Equal(t, wire.InvalidUTF8, err)
		e, _, err := r.Frames().Next(rest)
		require.NoError(t, err)
		require.Equal(t, wire.OpClose, e.Header.Opcode)
	}
}

func TestNoFrameFollowsALengthThatIsNoNumber(t *testing.T) {
	t.Parallel()
	f := wire.NewFrameReader(wire.Server, false)
	in := append(bytes.Repeat([]byte{0xff}, wire.MaxHeaderSize), server(whole(wire.OpText), "x")...)
	_, rest, err := f.Next(in)
	require.Equal(t, wire.InvalidLength, err)
	_, rest, err = f.Next(rest)
	require.Equal(t, wire.InvalidLength, err)
	require.Empty(t, rest)
}

func TestOpcodes(t *testing.T) {
	t.Parallel()
	for o := range wire.Opcode(0x10) {
		defined := o <= 2 || o >= 8 && o <= 10
		require.Equal(t, !defined, o.Reserved(), o)
		require.Equal(t, !defined, o.String() == "reserved", o)
		require.Equal(t, o >= 8, o.Control(), o)
		require.Equal(t, o == 1 || o == 2, o.Data(), o)
	}
}
