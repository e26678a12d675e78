package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reasons of a [Problem]: a small closed set, fit for a metric's dimension.
const (
	ReasonMalformedJSON      = "malformed_json"      // not one JSON object
	ReasonBadText            = "bad_text"            // not UTF-8, a lone surrogate, or NUL
	ReasonTooDeep            = "too_deep"            // objects or arrays nested deeper than [MaxDepth]
	ReasonTooLarge           = "too_large"           // more members than [MaxMembers], or longer than [MaxLine]
	ReasonDuplicateKey       = "duplicate_key"       // a member stands twice
	ReasonBadTime            = "bad_time"            // no time, not RFC 3339, or outside the years 1970 to 2261
	ReasonUnknownEvent       = "unknown_event"       // no event name, or one outside the model
	ReasonUnknownAttribute   = "unknown_attribute"   // a name outside the model
	ReasonMisplacedAttribute = "misplaced_attribute" // an attribute that does not belong to this event
	ReasonMissingAttribute   = "missing_attribute"   // a required attribute is absent
	ReasonWrongType          = "wrong_type"          // a value of another type than the model's
	ReasonBadValue           = "bad_value"           // a value outside its closed set or its bounds
)

// Reasons returns every reason there is.
func Reasons() []string {
	return []string{
		ReasonMalformedJSON, ReasonBadText, ReasonTooDeep, ReasonTooLarge, ReasonDuplicateKey, ReasonBadTime,
		ReasonUnknownEvent, ReasonUnknownAttribute, ReasonMisplacedAttribute, ReasonMissingAttribute, ReasonWrongType,
		ReasonBadValue,
	}
}

// Problem is one thing wrong with an event. It names attributes, never values.
type Problem struct {
	// Reason is one of [Reasons].
	Reason string
	// Name is the member or attribute concerned, quoted and cut where it is not of the model; "" for none.
	Name string
	// Offset is the byte of the line at which the problem stands, or -1 for a problem without a place: what is
	// missing, and all that [Event.Validate] finds.
	Offset int
	text   string
}

// String is the problem in one clause, with its place and name.
func (p *Problem) String() string {
	var b strings.Builder
	if p.Offset >= 0 {
		b.WriteString("byte ")
		b.WriteString(strconv.Itoa(p.Offset))
		b.WriteString(": ")
	}
	if p.Name != "" {
		b.WriteString(p.Name)
		b.WriteString(": ")
	}
	b.WriteString(p.text)
	return b.String()
}

// DecodeError is what [Decoder.Decode] and [Event.Validate] return: all that is wrong with one event.
type DecodeError struct {
	// Reason is the first problem's, the one to count by.
	Reason string
	// Problems holds at most maxProblems of them, in order of their offsets.
	Problems []Problem
	// Omitted is how many more there were.
	Omitted int
}

// maxProblems bounds the error of a hostile line.
const maxProblems = 8

// Error lists the problems in one line of bounded length. It names attributes, never values.
func (e *DecodeError) Error() string {
	var b strings.Builder
	for i := range e.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Problems[i].String())
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&b, "; and %d more", e.Omitted)
	}
	return b.String()
}

// problems collects them.
type problems struct {
	list    []Problem
	omitted int
}

func (p *problems) add(reason, name string, offset int, text string) {
	if len(p.list) == maxProblems {
		p.omitted++
		return
	}
	p.list = append(p.list, Problem{reason, name, offset, text})
}

// err returns what was collected as an error of its own memory, or nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &DecodeError{Reason: p.list[0].Reason, Problems: append([]Problem(nil), p.list...), Omitted: p.omitted}
}

// Times outside these bounds do not fit OTLP's nanoseconds since 1970, in which zero means absent.
var (
	minTime = time.Unix(0, 1)
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).Add(-1)
)

const timeText = "must be after 1970-01-01T00:00:00Z and before 2262"

func timeInRange(t time.Time) bool { return !t.Before(minTime) && !t.After(maxTime) }

// Validate reports everything in which e breaks the model, as a *[DecodeError] whose problems have no offset, or nil.
// The rules are those of [Decoder] without AllowUnknown, which fills in network.protocol.name and
// websocket.source.evidence where they are absent; Validate misses them. Sources call it in their tests.
func (e *Event) Validate() error {
	var p problems
	if !timeInRange(e.Time) {
		text := timeText
		if e.Time.IsZero() {
			text = "missing"
		}
		p.add(ReasonBadTime, jsonTime, -1, text)
	}
	if !e.Observed.IsZero() && !timeInRange(e.Observed) {
		p.add(ReasonBadTime, jsonObserved, -1, timeText)
	}
	if e.SpanID != [8]byte{} && e.TraceID == [16]byte{} {
		p.add(ReasonBadValue, jsonSpanID, -1, "must not stand without trace_id")
	}
	s := e.Name.Schema()
	if s == nil {
		p.add(ReasonUnknownEvent, jsonEvent, -1, unknownEventText(e.Name))
	}
	var seen keySet
	for i := range e.attrs {
		a := &e.attrs[i]
		seen.add(a.key)
		checkText(&p, definitions[a.key].Name, &a.value)
		if !definitions[a.key].valid(&a.value) {
			p.add(ReasonBadValue, definitions[a.key].Name, -1, a.key.rule())
		}
	}
	for i := range e.extra {
		p.add(ReasonUnknownAttribute, quoteName(e.extra[i].Name), -1, unknownAttributeText)
	}
	if s != nil {
		e.checkSchema(s, &seen, nil, &p)
	}
	for _, a := range e.Resource.Attributes() {
		checkText(&p, jsonResource+"."+quoteName(a.Name), &a.Value)
	}
	return p.err()
}

const unknownAttributeText = "not an attribute of the event model"

func unknownEventText(n Name) string {
	if n == "" {
		return "missing"
	}
	return "not an event of the model"
}

// checkSchema checks what depends on the event's name. at holds the attributes' offsets and may be nil.
func (e *Event) checkSchema(s *Schema, seen *keySet, at *[keyCount]int32, p *problems) {
	clean := true
	for i := range seen {
		if s.needs[i]&^seen[i] != 0 || seen[i]&^s.may[i] != 0 {
			clean = false
		}
	}
	if !clean {
		for k := invalidKey + 1; k < keyCount; k++ {
			switch {
			case seen.has(k) && !s.may.has(k):
				p.add(ReasonMisplacedAttribute, definitions[k].Name, offsetOf(at, k), "does not belong to "+string(s.Name))
			case s.needs.has(k) && !seen.has(k):
				p.add(ReasonMissingAttribute, definitions[k].Name, -1, "missing, "+string(s.Name)+" needs it")
			}
		}
	}
	if s.ErrorTypes != nil && seen.has(ErrorType) {
		if v := e.String(ErrorType); v != "" && !contains(s.ErrorTypes, v) {
			p.add(ReasonBadValue, definitions[ErrorType].Name, offsetOf(at, ErrorType),
				"must be "+oneOf(s.ErrorTypes)+" on "+string(s.Name))
		}
	}
	switch s.Name {
	case Open:
		if v := e.Get(HTTPResponseStatusCode); v.kind == KindInt && v.Int() != 101 && v.Int() != 200 {
			p.add(ReasonBadValue, definitions[HTTPResponseStatusCode].Name, offsetOf(at, HTTPResponseStatusCode),
				"must be 101, or 200 over HTTP/2 and HTTP/3, on websocket.open")
		}
	case Ping:
		if v := e.String(FrameOpcode); v != "" && v != "ping" && v != "pong" {
			p.add(ReasonBadValue, definitions[FrameOpcode].Name, offsetOf(at, FrameOpcode),
				"must be ping or pong on websocket.ping")
		}
	}
}

func offsetOf(at *[keyCount]int32, k Key) int {
	if at == nil {
		return -1
	}
	return int(at[k])
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// rule says in words what [Definition.valid] demands of k.
func (k Key) rule() string {
	d := k.Definition()
	switch {
	case k == ErrorType:
		return "not an error type of the model"
	case len(d.Values) > 0:
		return "must be " + oneOf(d.Values)
	case d.Kind == KindString && d.Level != Required:
		return fmt.Sprintf("must have at most %d bytes", MaxLowBytes)
	case d.Kind == KindString && d.Low:
		return fmt.Sprintf("must have 1 to %d bytes", MaxLowBytes)
	case d.Kind == KindString:
		return "must not be empty"
	case d.Kind == KindInt:
		return fmt.Sprintf("must be between %d and %d", d.Min, d.Max)
	case d.Unit == "s":
		return fmt.Sprintf("must be between 0 and %.0f seconds", float64(MaxSeconds))
	}
	return "must be finite"
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "one of " + strings.Join(values, ", ")
}

// checkText reports strings that NDJSON and OTLP cannot carry.
func checkText(p *problems, name string, v *Value) {
	ok := validText(v.str)
	for _, s := range v.Strings() {
		ok = ok && validText(s)
	}
	if !ok {
		p.add(ReasonBadText, name, -1, "must be UTF-8 without NUL")
	}
}

func validText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// maxQuotedName bounds a name from outside in a message.
const maxQuotedName = 64

func quoteName(name string) string {
	if len(name) > maxQuotedName {
		cut := maxQuotedName
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		return strconv.Quote(name[:cut]) + "…"
	}
	return strconv.Quote(name)
}
