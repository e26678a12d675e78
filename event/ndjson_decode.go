package event

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a line, so that a hostile one costs no more than its length.
const (
	// MaxDepth is how deep objects and arrays may be nested; the form itself needs 2.
	MaxDepth = 8
	// MaxMembers is how many members a line, or its resource, may have.
	MaxMembers = 256
	// MaxLine is how many bytes a line may have. Receivers set narrower limits of their own.
	MaxLine = 16 << 20
)

// Decoder reads the NDJSON form that [Event.AppendJSON] writes. It is strict: besides broken JSON, it refuses names
// and values outside the model, attributes that do not belong to the event, and an event without those it requires.
// Two attributes may be absent: network.protocol.name is then set to websocket, and websocket.source.evidence to
// observed. A double may be written as an integer. What the resource holds is free, as long as it is flat.
//
// The zero Decoder is ready to use. It is not safe for concurrent use. Events that it decodes from lines with the
// same resource share one [Resource].
type Decoder struct {
	// AllowUnknown keeps attributes outside the model, through [Event.AddExtra], where they would be an error. A
	// nested value, a list of other things than strings and a number beyond int64 or float64 are kept as the JSON
	// text that stood there; null is dropped, for it says that the attribute is absent.
	AllowUnknown bool

	line string
	pos  int
	// plain is true where the line has no escape, no control character and nothing beyond ASCII, so that a string
	// ends at the next quote.
	plain bool
	// broken is set with the first fault of syntax; nothing after it can be understood.
	broken bool
	event  *Event
	seen   keySet
	// after holds, for every attribute, the one that followed it last time, and after[0] the first of the line: lines
	// of one writer have one order. previous is the last attribute read, guessed the one that d.name recognized.
	after             [keyCount]Key
	previous, guessed Key
	header            uint8
	at                [keyCount]int32
	problems          problems

	resources map[string]*Resource
	lastText  string
	last      *Resource
}

// The members besides attributes, as bits of Decoder.header.
const (
	sawTime uint8 = 1 << iota
	sawObserved
	sawEvent
	sawTraceID
	sawSpanID
	sawResource
)

// Decode fills e, which it resets first, from one line, with or without its line feed. Its error is a *[DecodeError]
// that holds everything wrong with the line; e is then empty. The strings of e share one copy of the line and never
// alias it, so the caller may reuse line at once; one that outlives the event is better cloned.
func (d *Decoder) Decode(line []byte, e *Event) error {
	e.Reset()
	d.begin(line, e)
	d.readLine()
	if !d.broken {
		d.finish()
	}
	err := d.problems.err()
	if err != nil {
		e.Reset()
	}
	d.event, d.line = nil, ""
	return err
}

func (d *Decoder) begin(line []byte, e *Event) {
	d.event, d.pos, d.broken, d.header, d.seen = e, 0, false, 0, keySet{}
	d.previous = invalidKey
	d.problems = problems{list: d.problems.list[:0]}
	if len(line) > MaxLine {
		d.line = ""
		d.fault(ReasonTooLarge, MaxLine, "line is longer than "+strconv.Itoa(MaxLine)+" bytes")
		return
	}
	for len(line) > 0 && isSpace(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	d.line = string(line)
	d.plain = isPlain(line)
	if !d.plain {
		d.checkUTF8()
	}
}

func (d *Decoder) checkUTF8() {
	if utf8.ValidString(d.line) {
		return
	}
	for i, r := range d.line {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(d.line[i:]); size == 1 {
				d.fault(ReasonBadText, i, "not UTF-8")
				return
			}
		}
	}
}

// fault records a fault after which the rest of the line cannot be read. What was wrong before it is forgotten: half a
// line is half a line, whatever else its beginning looked like.
func (d *Decoder) fault(reason string, offset int, text string) {
	if !d.broken {
		d.broken = true
		d.problems = problems{list: d.problems.list[:0]}
		d.problems.add(reason, "", offset, text)
	}
}

func (d *Decoder) malformed(offset int, text string) {
	if offset >= len(d.line) {
		text = "line ends early"
	}
	d.fault(ReasonMalformedJSON, offset, "malformed JSON: "+text)
}

func (d *Decoder) readLine() {
	if d.broken {
		return
	}
	d.space()
	if d.pos >= len(d.line) {
		d.malformed(d.pos, "empty line")
		return
	}
	if d.line[d.pos] != '{' {
		d.malformed(d.pos, "expected an object")
		return
	}
	d.members(1, d.member)
	if d.broken {
		return
	}
	d.space()
	if d.pos < len(d.line) {
		d.malformed(d.pos, "data after the object")
	}
}

// members reads the object at d.pos and calls f for each member, with d.pos at its value; f must read the value.
func (d *Decoder) members(depth int, f func(name string, offset int)) {
	d.pos++
	d.space()
	if d.peek() == '}' {
		d.pos++
		return
	}
	for n := 1; ; n++ {
		offset := d.pos
		if d.peek() != '"' {
			d.malformed(offset, "expected a member's name")
			return
		}
		if n > MaxMembers && depth <= 2 {
			d.fault(ReasonTooLarge, offset, "more than "+strconv.Itoa(MaxMembers)+" members")
			return
		}
		name := d.name(depth)
		d.space()
		if d.broken {
			return
		}
		if d.peek() != ':' {
			d.malformed(d.pos, "expected a colon")
			return
		}
		d.pos++
		d.space()
		f(name, offset)
		d.space()
		if d.broken {
			return
		}
		switch d.peek() {
		case ',':
			d.pos++
			d.space()
		case '}':
			d.pos++
			return
		default:
			d.malformed(d.pos, "expected a comma or the object's end")
			return
		}
	}
}

// name reads a member's name. On the line itself the attribute that is likely to come is tried first.
func (d *Decoder) name(depth int) string {
	if depth == 1 {
		d.guessed = d.after[d.previous]
		if quoted := quotedNames[d.guessed]; d.guessed != invalidKey && strings.HasPrefix(d.line[d.pos:], quoted) {
			d.pos += len(quoted) - 1
			return definitions[d.guessed].Name
		}
		d.guessed = invalidKey
	}
	return d.string()
}

// member reads one member of the line.
func (d *Decoder) member(name string, offset int) {
	k, ok := d.guessed, d.guessed != invalidKey
	if !ok {
		k, ok = KeyOf(name)
	}
	if ok {
		d.after[d.previous], d.previous = k, k
		if d.seen.has(k) {
			d.problems.add(ReasonDuplicateKey, name, offset, "stands twice")
			d.skip(2)
			return
		}
		d.seen.add(k)
		d.at[k] = int32(offset)
		d.attribute(k, offset)
		return
	}
	switch name {
	case jsonTime:
		d.time(sawTime, name, offset)
	case jsonObserved:
		d.time(sawObserved, name, offset)
	case jsonEvent:
		if s, ok := d.headerString(sawEvent, name, offset); ok {
			if schema := Name(s).Schema(); schema != nil {
				d.event.Name = schema.Name
			} else {
				d.problems.add(ReasonUnknownEvent, name, offset, unknownEventText(Name(s)))
			}
		}
	case jsonTraceID:
		d.id(sawTraceID, name, offset, d.event.TraceID[:])
	case jsonSpanID:
		d.id(sawSpanID, name, offset, d.event.SpanID[:])
	case jsonResource:
		d.resource(offset)
	default:
		d.unknown(name, offset)
	}
}

// first notes a header member and reports whether it is the first of its name; it skips the value of another.
func (d *Decoder) first(bit uint8, name string, offset int) bool {
	if d.header&bit != 0 {
		d.problems.add(ReasonDuplicateKey, name, offset, "stands twice")
		d.skip(2)
		return false
	}
	d.header |= bit
	return true
}

func (d *Decoder) headerString(bit uint8, name string, offset int) (string, bool) {
	if !d.first(bit, name, offset) {
		return "", false
	}
	if d.peek() != '"' {
		d.wrongType(name, offset, "a string")
		return "", false
	}
	s := d.string()
	return s, !d.broken
}

func (d *Decoder) time(bit uint8, name string, offset int) {
	s, ok := d.headerString(bit, name, offset)
	if !ok {
		return
	}
	t, ok := parseTime(s)
	switch {
	case !ok:
		d.problems.add(ReasonBadTime, name, offset, "must be a time of RFC 3339, as 2026-01-31T12:00:00.123Z")
	case !timeInRange(t):
		d.problems.add(ReasonBadTime, name, offset, timeText)
	case bit == sawTime:
		d.event.Time = t
	default:
		d.event.Observed = t
	}
}

func (d *Decoder) id(bit uint8, name string, offset int, dst []byte) {
	s, ok := d.headerString(bit, name, offset)
	if !ok {
		return
	}
	zero := true
	if len(s) == hex.EncodedLen(len(dst)) {
		var text [32]byte
		if n, err := hex.Decode(dst, text[:copy(text[:], s)]); err == nil && n == len(dst) {
			for _, b := range dst {
				zero = zero && b == 0
			}
		}
	}
	if zero {
		clear(dst)
		d.problems.add(ReasonBadValue, name, offset, "must be "+strconv.Itoa(2*len(dst))+" hexadecimal digits, not all zero")
	}
}

func (d *Decoder) wrongType(name string, offset int, want string) {
	got := d.typeName()
	if d.skip(2); !d.broken {
		d.problems.add(ReasonWrongType, name, offset, "must be "+want+", got "+got)
	}
}

var kindTexts = [...]string{
	KindString: "a string", KindInt: "an integer", KindDouble: "a number", KindBool: "a boolean", KindStrings: "a list of strings",
}

// attribute reads the value of k.
func (d *Decoder) attribute(k Key, offset int) {
	def := &definitions[k]
	e := d.event
	if def.Kind == KindString && d.peek() == '"' { // most are: written in place, since a Value is large
		text := d.string()
		e.attrs = append(e.attrs, attribute{key: k})
		v := &e.attrs[len(e.attrs)-1].value
		v.kind, v.str = KindString, text
		if !d.broken && !def.valid(v) {
			e.attrs = e.attrs[:len(e.attrs)-1]
			d.problems.add(ReasonBadValue, def.Name, offset, k.rule())
		}
		return
	}
	v, ok := d.value(def.Kind)
	switch {
	case d.broken:
	case !ok:
		d.wrongType(def.Name, offset, kindTexts[def.Kind])
	case v.kind == KindAbsent || !def.valid(&v):
		d.problems.add(ReasonBadValue, def.Name, offset, k.rule())
	default:
		e.attrs = append(e.attrs, attribute{k, v})
	}
}

// value reads a value of the kind wanted. It returns false, and leaves d.pos, where the value is of another type, and
// an absent Value where it is a number that does not fit.
func (d *Decoder) value(want Kind) (Value, bool) {
	start := d.pos
	switch c := d.peek(); {
	case c == '"':
		if want != KindString {
			return Value{}, false
		}
		return String(d.string()), true
	case c == '-' || c >= '0' && c <= '9':
		if want != KindInt && want != KindDouble {
			return Value{}, false
		}
		integer := d.number()
		if d.broken {
			return Value{}, true
		}
		if want == KindInt && !integer {
			d.pos = start
			return Value{}, false
		}
		return parseNumber(d.line[start:d.pos], want == KindInt), true
	case c == 't' || c == 'f':
		if want != KindBool {
			return Value{}, false
		}
		if c == 't' {
			d.literal("true")
		} else {
			d.literal("false")
		}
		return Bool(c == 't'), true
	case c == '[' && want == KindStrings:
		list, ok := d.strings()
		if !ok {
			d.pos = start
		}
		return Strings(list), ok
	case c == '[' || c == '{' || c == 'n':
		return Value{}, false
	}
	d.malformed(start, "expected a value")
	return Value{}, true
}

// parseNumber returns the absent Value where text does not fit.
func parseNumber(text string, integer bool) Value {
	if integer {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Value{}
		}
		return Int(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}
	}
	return Double(f)
}

// strings reads a list of strings; false where it holds something else.
func (d *Decoder) strings() ([]string, bool) {
	d.pos++
	d.space()
	if d.peek() == ']' {
		d.pos++
		return nil, true
	}
	var list []string
	for {
		if d.peek() != '"' {
			return nil, false
		}
		list = append(list, d.string())
		d.space()
		if d.broken {
			return nil, true
		}
		switch d.peek() {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			return list, true
		default:
			d.malformed(d.pos, "expected a comma or the list's end")
			return nil, true
		}
	}
}

func (d *Decoder) unknown(name string, offset int) {
	if !d.AllowUnknown || name == "" {
		if d.skip(2); !d.broken {
			d.problems.add(ReasonUnknownAttribute, quoteName(name), offset, unknownAttributeText)
		}
		return
	}
	for i := range d.event.extra {
		if d.event.extra[i].Name == name {
			d.problems.add(ReasonDuplicateKey, quoteName(name), offset, "stands twice")
			d.skip(2)
			return
		}
	}
	v, ok := d.free(true)
	if ok && !d.broken && v.kind != KindAbsent {
		d.event.AddExtra(name, v)
	}
}

// free reads a value of any type. Where it is nested, it returns its text if nested is set, and false if not. Null is
// absent.
func (d *Decoder) free(nested bool) (Value, bool) {
	start := d.pos
	switch c := d.peek(); {
	case c == '"':
		return String(d.string()), true
	case c == 't' || c == 'f':
		return d.value(KindBool)
	case c == 'n':
		d.literal("null")
		return Value{}, true
	case c == '-' || c >= '0' && c <= '9':
		integer := d.number()
		if d.broken {
			return Value{}, true
		}
		text := d.line[start:d.pos]
		v := parseNumber(text, integer)
		if v.kind == KindAbsent {
			v = String(text)
		}
		return v, true
	case c == '[':
		list, ok := d.strings()
		if ok || d.broken {
			return Strings(list), true
		}
		d.pos = start
	case c != '{':
		d.malformed(start, "expected a value")
		return Value{}, true
	}
	d.skip(2)
	return String(d.line[start:d.pos]), nested
}

// finish fills in the defaults and checks what only the whole line shows.
func (d *Decoder) finish() {
	e := d.event
	if d.header&sawTime == 0 {
		d.problems.add(ReasonBadTime, jsonTime, -1, "missing")
	}
	if d.header&sawEvent == 0 {
		d.problems.add(ReasonUnknownEvent, jsonEvent, -1, unknownEventText(""))
	}
	if d.header&sawSpanID != 0 && d.header&sawTraceID == 0 {
		d.problems.add(ReasonBadValue, jsonSpanID, -1, "must not stand without trace_id")
	}
	d.fill(NetworkProtocolName, ProtocolWebSocket)
	if e.Name != SourceProgress {
		d.fill(SourceEvidence, EvidenceObserved)
	}
	e.seen = d.seen
	if s := e.Name.Schema(); s != nil {
		e.checkSchema(s, &d.seen, &d.at, &d.problems)
	}
}

func (d *Decoder) fill(k Key, v string) {
	if !d.seen.has(k) {
		d.seen.add(k)
		d.event.attrs = append(d.event.attrs, attribute{k, String(v)})
	}
}

// typeName names the type of the value at d.pos.
func (d *Decoder) typeName() string {
	switch c := d.peek(); c {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func init() {
	if math.MaxUint8 < int(keyCount) {
		panic("event: more attributes than AppendJSON can sort")
	}
}
