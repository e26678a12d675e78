package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// explain returns the name of the difference between two verdicts, "" if there is none, or an error if none is listed.
func explain(kind string, m mode, ours, theirs verdict) (string, error) {
	equal := func(a, b []Message) bool {
		return slices.EqualFunc(a, b, func(a, b Message) bool { return a.Op == b.Op && bytes.Equal(a.Payload, b.Payload) })
	}
	begins := func(a, b []Message) bool { return len(a) <= len(b) && equal(a, b[:len(a)]) }
	same := equal(ours.messages, theirs.messages) && equal(ours.controls, theirs.controls)
	if same && ours.end == theirs.end {
		return "", nil
	}
	unexplained := fmt.Errorf("%s differs:\n  wire  %v\n  %s %v", kind, ours, kind, theirs)
	if theirs.end == "panic" && kind == "coder" && m.takeover && begins(theirs.messages, ours.messages) {
		return "close-in-compressed", nil
	}
	for i := range min(len(ours.messages), len(theirs.messages)) {
		mine, other := ours.messages[i], theirs.messages[i]
		if mine.Op == other.Op && bytes.Equal(mine.Payload, other.Payload) {
			continue
		}
		if m.compress && mine.Op == other.Op && bytes.HasPrefix(mine.Payload, other.Payload) {
			return "behind-a-last-block", nil
		}
		return "", unexplained
	}
	switch {
	// The peer went on behind what we refuse: it has all that we have, and may have more.
	case ours.end == "refused" && begins(ours.messages, theirs.messages) && begins(ours.controls, theirs.controls):
		switch ours.fault {
		case wire.InvalidUTF8:
			return "text-not-checked", nil
		case wire.NonMinimalLength:
			return "non-minimal-length", nil
		case wire.InvalidClosePayload:
			if kind == "gorilla" {
				return "close-of-one-byte", nil
			}
		case wire.InvalidCloseReason:
			if kind == "coder" {
				return "close-reason-not-checked", nil
			}
		case wire.InflateFailed:
			if kind == "gorilla" {
				return "behind-a-last-block", nil
			}
			return "deflate-without-end", nil
		case wire.ReservedBits:
			if kind == "gorilla" && m.compress {
				return "rsv1-on-any-frame", nil
			}
		case wire.MaskedServerFrame:
			if kind == "coder" {
				return "masked-server-frame", nil
			}
		}
	case ours.end == "close 1014" && theirs.end == "refused" && same && kind == "gorilla":
		return "close-code-1014", nil
	case theirs.end == "refused" && equal(ours.messages, theirs.messages) && begins(theirs.controls, ours.controls) &&
		(ours.end == "more" || m.compress):
		return "early-refusal", nil
	}
	if m.compress && len(theirs.messages) == len(ours.messages)+1 && begins(ours.controls, theirs.controls) {
		return "behind-a-last-block", nil // of a message that is not complete
	}
	return "", unexplained
}

// compare holds the verdicts of wire and of both peers together, in every mode.
func compare(in []byte, step int) (names []string, err error) {
	for _, from := range []wire.Side{wire.Client, wire.Server} {
		for _, m := range []mode{{}, {compress: true}, {compress: true, takeover: true}} {
			mine := ours(from, m, in, max(1, len(in)))
			if split := ours(from, m, in, step); split.String() != mine.String() {
				return nil, fmt.Errorf("from a %v, in pieces of %d: %v, instead of %v", from, step, split, mine)
			}
			for _, kind := range []string{"gorilla", "coder"} {
				if kind == "gorilla" && m.takeover {
					continue // it does without
				}
				name, err := explain(kind, m, mine, theirs(kind, from, m, in))
				if err != nil {
					return nil, fmt.Errorf("from a %v, %+v: %w", from, m, err)
				}
				if name != "" {
					names = append(names, kind+" "+name)
				}
			}
		}
	}
	return names, nil
}

// unmasked returns a frame as a server sends it.
func unmasked(first byte, payload string) []byte {
	return append(header(first, len(payload), false), payload...)
}

// TestDifferencesAreReal has a witness for every row of the table, so that a row which no peer needs any more is found.
func TestDifferencesAreReal(t *testing.T) {
	t.Parallel()
	witnesses := map[string][]byte{
		"text-not-checked":         whole(text("\xff")),
		"non-minimal-length":       []byte("\x81\xfe\x00\x05\x00\x00\x00\x00Hello"),
		"early-refusal":            frame(rsv1|opText, []byte("\x06")),
		"close-of-one-byte":        whole(closing("a")),
		"close-reason-not-checked": whole(closing(code(1000, "\xff"))),
		"behind-a-last-block":      frame(fin|rsv1|opText, []byte("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00")),
		"close-in-compressed":      append(frame(rsv1|opBinary, []byte("6")), whole(closing(""))...),
		"deflate-without-end":      frame(fin|rsv1|opText, []byte("\xf2\x48\xcd")),
		"close-code-1014":          whole(closing(code(1014, ""))),
		"rsv1-on-any-frame":        frame(fin|rsv1|opPing, []byte("a")),
		"masked-server-frame":      whole(text("a")),
	}
	for _, d := range Differences() {
		names, err := compare(witnesses[d.Name], 1)
		require.NoError(t, err)
		for _, kind := range []string{"gorilla", "coder"} {
			if d.Peer == kind || d.Peer == "both" {
				require.Contains(t, names, kind+" "+d.Name)
			}
		}
	}
	require.Len(t, witnesses, len(Differences()))
}

// FuzzVerdicts: any bytes mean the same to wire and to its peers, but for what is listed in Differences.
func FuzzVerdicts(f *testing.F) {
	seeds := new(table)
	for _, group := range []func(*table){pings, reservedBits, opcodes, fragmentation, utf8Handling, closeHandling, byHand} {
		group(seeds)
	}
	for _, c := range seeds.cases {
		if s := c.Make(Terms{}).whole(); len(s.Bytes()) < 300 {
			f.Add(s.Bytes(), uint8(1))
		}
	}
	f.Add(bytes.Join([][]byte{unmasked(fin|opText, "a"), unmasked(opBinary, "b"), unmasked(fin|opPing, "c"), unmasked(fin|opContinuation, "d"), unmasked(fin|opClose, code(1000, "e"))}, nil), uint8(3))
	f.Add([]byte("\xc1\x13\x13\x13\x13\x00\x00\x00\x007\xf8!"), uint8(3))              // a last block in a frame that is not complete
	f.Add([]byte("A\x85;0000000000"), uint8(50))                                       // one that is followed by what is wrong
	f.Add(append(frame(rsv1|opBinary, []byte("6")), whole(closing(""))...), uint8(96)) // a Close in a compressed message
	f.Add(unmasked(fin|rsv1|opText, "\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		if len(in) > 4<<10 {
			return
		}
		_, err := compare(in, max(1, int(step)))
		require.NoError(t, err)
	})
}

// writing is what one side sends, made of fuzzed bytes.
type writing struct {
	op     byte
	pieces [][]byte
	code   int
	reason string
}

func (w writing) payload() []byte { return bytes.Join(w.pieces, nil) }

// writings cuts up to 16 of them out of script. Each begins with a byte that says what it is, and one for its length.
func writings(script []byte) []writing {
	var list []writing
	for len(script) >= 2 && len(list) < 16 {
		kind, n := script[0], int(script[1])
		script = script[2:]
		if kind&0x80 != 0 { // a long one, of few different bytes
			n *= 40
		}
		p := script[:min(n, len(script))]
		script = script[len(p):]
		if kind&0x80 != 0 && len(p) > 0 {
			p = bytes.Repeat(p, 1+n/len(p))[:n]
		}
		w := writing{op: opBinary, pieces: [][]byte{p}}
		switch kind & 7 {
		case 0, 1, 2:
			w.op = opText
			valid := bytes.ToValidUTF8(p, []byte("?"))
			w.pieces = [][]byte{valid}
		case 3:
			w.op, w.pieces = opPing, [][]byte{p[:min(len(p), 125)]}
		case 4:
			w.op = opClose
			w.code = []int{1000, 1001, 1008, 1011, 3000, 4999}[int(kind>>3)%6]
			w.reason = strings.ToValidUTF8(string(p[:min(len(p), 120)]), "")
		}
		if kind&0x40 != 0 && w.op < opClose { // in pieces
			whole := w.payload()
			third := len(whole) / 3
			w.pieces = [][]byte{whole[:third], whole[third : 2*third], whole[2*third:]}
		}
		list = append(list, w)
		if w.op == opClose {
			break
		}
	}
	return list
}

// wanted is the verdict that writings must give.
func wanted(list []writing) verdict {
	v := verdict{end: "more"}
	for _, w := range list {
		switch w.op {
		case opClose:
			v.end = fmt.Sprint("close ", w.code)
		case opPing:
			v.controls = append(v.controls, Message{w.op, w.payload()})
		default:
			v.messages = append(v.messages, Message{w.op, w.payload()})
		}
	}
	return v
}

// scripts are seeds: each with a number for the size of pieces, or for the shortest message that is compressed.
var scripts = map[string]uint16{
	"\x00\x05Hello\x03\x01p\x05\x02\x00\xff\x04\x03bye":                                            1,
	"\xc0\xffabcabcabc\xc5\xff\x00\x01":                                                            100,
	"\x40\x0aκόσμε\x80\x60Hello Hello Hello Hello\x0c\x00":                                         7,
	"\x80\xffnoise \x01\x02\x03\x04\x05\x06\x07\x08\x80\xffnoise \x01\x02\x03\x04\x05\x06\x07\x08": 1000,
}

var modes = []mode{{}, {compress: true}, {compress: true, takeover: true}}

// FuzzTheyWriteWeRead: what a peer writes, wire reads, in any pieces.
func FuzzTheyWriteWeRead(f *testing.F) {
	for script, number := range scripts {
		f.Add([]byte(script), number)
	}
	f.Fuzz(func(t *testing.T, script []byte, step uint16) {
		list := writings(script)
		for _, side := range []wire.Side{wire.Client, wire.Server} {
			for _, m := range modes {
				for _, kind := range []string{"gorilla", "coder"} {
					if kind == "gorilla" && m.takeover {
						continue
					}
					conn := new(memory)
					p := peerKinds[kind](side, m, conn)
					var sent []writing
					for _, w := range list {
						switch {
						case w.op == opClose:
							require.NoError(t, p.close(w.code, w.reason))
						case w.op == opPing && kind == "coder":
							continue // its Ping waits for the Pong
						default:
							require.NoError(t, p.write(w.op, w.pieces))
						}
						sent = append(sent, w)
					}
					require.Equal(t, wanted(sent).String(), ours(side, m, conn.out.Bytes(), max(1, int(step))).String(), "%s, a %v, %+v", kind, side, m)
					p.drop()
				}
			}
		}
	})
}

// FuzzWeWriteTheyRead: what wire writes, its peers read.
func FuzzWeWriteTheyRead(f *testing.F) {
	for script, number := range scripts {
		f.Add([]byte(script), number)
	}
	f.Fuzz(func(t *testing.T, script []byte, threshold uint16) {
		list := writings(script)
		for _, side := range []wire.Side{wire.Client, wire.Server} {
			for _, m := range modes {
				w := wire.NewWriter(wire.WriterSettings{Side: side, Deflate: m.deflate(), CompressFrom: max(1, int(threshold))})
				var out []byte
				for _, one := range list {
					switch one.op {
					case opClose:
						out = w.AppendClose(out, wire.CloseCode(one.code), one.reason)
					case opPing:
						out = w.AppendPing(out, one.payload())
					default:
						out = w.AppendMessage(out, wire.Opcode(one.op), one.payload())
					}
				}
				for _, kind := range []string{"gorilla", "coder"} {
					if kind == "gorilla" && m.takeover {
						continue
					}
					require.Equal(t, wanted(list).String(), theirs(kind, side, m, out).String(), "%s, a %v, %+v", kind, side, m)
				}
			}
		}
	})
}
