package redact

import (
	"cmp"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bodies of WebSocket messages have forms of their own: STOMP frames, XMPP stanzas, GraphQL operations, Socket.IO
// packets, FIX messages. What a value is follows from its place in them, which one pass over the bytes cannot see. A form
// is looked for where the first bytes of a text allow it; then its parts are searched one by one and values in telling
// places are added to the finds. Nothing else of the text is touched, and what is no such form is searched as before.
//
// Lengths and checksums in a message stay: they are those of what was sent.

const (
	// minBody is the shortest text that is looked at: "40{}".
	minBody = 4
	// maxBodyDepth bounds forms inside forms: a GraphQL message in a STOMP frame in a string of JSON.
	maxBodyDepth = 4
	// maxNesting bounds elements of XML, values of JSON and brackets of GraphQL. What nests deeper is no form that is
	// known, and is searched as text.
	maxNesting = 64
	// maxParts bounds frames, packets and fields of one text; what comes after them is searched as text.
	maxParts = 4096
)

// bodyForms says by the first byte which forms a text may have, one bit each.
var bodyForms = func() (forms [256]uint8) {
	for form, first := range [...]string{
		stompForm: "ABCDEMNRSU\r\n", xmlForm: "<", graphQLForm: "{", graphQLTextForm: "mqs", socketIOForm: "0123456789b",
		fixForm: "0123456789", wrappedForm: "a[\"{",
	} {
		for _, c := range []byte(first) {
			forms[c] |= 1 << form
		}
	}
	return forms
}()

const (
	stompForm = iota
	xmlForm
	graphQLForm
	graphQLTextForm
	socketIOForm
	fixForm
	wrappedForm

	formCount
)

// body searches v as a form, if it has one. Otherwise nothing is added.
func (s *Scanner) body(v string) bool {
	if s.bodyDepth >= maxBodyDepth {
		return false
	}
	s.bodyDepth++ // a panic leaves it, and redact begins at 0
	ok := false
	for forms := bodyForms[v[0]]; forms != 0 && !ok; forms &= forms - 1 {
		before := s.mark()
		if ok = s.as(bits.TrailingZeros8(forms), v); !ok {
			s.reset(before)
		}
	}
	s.bodyDepth--
	return ok
}

// as searches v as one form. Not ok means that v does not have it.
func (s *Scanner) as(form int, v string) (ok bool) {
	switch form {
	case stompForm:
		return s.stomp(v)
	case xmlForm:
		return s.xml(v)
	case graphQLForm:
		return s.graphQLMessage(v)
	case graphQLTextForm:
		return s.graphQLText(v)
	case socketIOForm:
		return s.socketIO(v)
	case fixForm:
		return s.fix(v)
	}
	return s.framesInStrings(v)
}

// textRange is a part of a text.
type textRange struct{ start, end int }

// mark remembers what has been added; what comes later can be moved or taken back.
type mark struct{ finds, json int }

func (s *Scanner) mark() mark { return mark{len(s.finds), len(s.json)} }

func (s *Scanner) reset(m mark) { s.finds, s.json = s.finds[:m.finds], s.json[:m.json] }

// move maps what was added since m to the text around.
func (s *Scanner) move(m mark, to func(int) int) {
	for i := m.finds; i < len(s.finds); i++ {
		s.finds[i].start, s.finds[i].end = to(s.finds[i].start), to(s.finds[i].end)
	}
	for i := m.json; i < len(s.json); i++ {
		s.json[i].start, s.json[i].end = to(s.json[i].start), to(s.json[i].end)
	}
}

// searchPart searches v[start:end] as a text of its own.
func (s *Scanner) searchPart(v string, start, end int) {
	if end <= start {
		return
	}
	m := s.mark()
	s.search(v[start:end], plain)
	s.move(m, func(i int) int { return i + start })
}

// searchText searches v, which starts at offset n of the text around, as text without a form.
func (s *Scanner) searchText(v string, n int) {
	m := s.mark()
	s.encodedPass(v, plain)
	s.move(m, func(i int) int { return i + n })
}

// searchDecoded searches what v[start:end] stands for.
func (s *Scanner) searchDecoded(v string, start, end int, escape func(v string, i int) (rune, int)) {
	d := decodeWith(v[start:end], escape)
	m := s.mark()
	s.search(d.text, plain)
	s.move(m, func(i int) int { return d.source(i) + start })
}

// decodeWith is [decode] with the escapes of a form.
func decodeWith(v string, escape func(v string, i int) (rune, int)) *decoded {
	out, at := make([]byte, 0, len(v)), make([]int32, 0, len(v)+1)
	for i := 0; i < len(v); {
		r, n := escape(v, i)
		before := len(out)
		if n == 0 {
			out, n = append(out, v[i]), 1
		} else {
			out = utf8.AppendRune(out, r)
		}
		for range len(out) - before {
			at = append(at, int32(i))
		}
		i += n
	}
	return &decoded{text: string(out), at: append(at, int32(len(v)))}
}

// named adds v[start:end], a whole value in the place that name says. It goes by the name as values under keys in text
// do, but knows where the value ends.
func (s *Scanner) named(v string, start, end int, name string) {
	m := meaningOf(name)
	s.meant(v, start, end, m, ruleOf(m))
}

// meant is named for a meaning that is known.
func (s *Scanner) meant(v string, start, end int, m meaning, r Rule) {
	for start < end && isSpace(v[start]) {
		start++
	}
	for end > start && isSpace(v[end-1]) {
		end--
	}
	if r == ruleNone || m == meansKey && !secretLike(v[start:end]) ||
		(r == Phone || r == Location) && !hasDigit(v[start:end]) || masked(v[start:end]) {
		return
	}
	before := s.keyedEnd
	s.addValue(v, start, end, r)
	s.keyedEnd = before
}

// masked reports whether v is a mask, in quotes or not.
func masked(v string) bool { return isMask(strings.Trim(v, `\"'`)) }

// searchJSON searches v[start:end], which is JSON. What a detector finds in a string ends with it, and a value that only
// seems to begin with the quote at the end of one is none.
func (s *Scanner) searchJSON(v string, start, end int) {
	s.json = append(s.json, textRange{start, end})
	m := s.mark()
	s.searchText(v[start:end], start)
	var ends []int // of strings, and where the ones after them begin, in order
	for i := start; i < end; i++ {
		if v[i] == '"' {
			stop := closing(v[:end], i+1, '"', 0)
			ends = append(ends, i+1, stop)
			i = stop
		}
	}
	kept := s.finds[:m.finds]
	for _, f := range s.finds[m.finds:] {
		i, first := slices.BinarySearch(ends, f.start)
		switch {
		case first && i%2 == 0:
			f.end = min(f.end, ends[i+1])
		case !first && i%2 == 1:
			f.end = min(f.end, ends[i])
		case strings.IndexByte("}],:\" \n\r\t", v[f.start]) >= 0:
			continue
		case v[f.start] != '{' && v[f.start] != '[':
			f.end = min(f.end, f.start+len(bareWord(v[f.start:end])))
		}
		if f.end > f.start {
			kept = append(kept, f)
		}
	}
	s.finds = kept
}

// bareWord returns the number or word of JSON that v begins with.
func bareWord(v string) string {
	n := 0
	for n < len(v) && !endsBare(v[n]) {
		n++
	}
	return v[:n]
}

// markJSON notes that v[start:end] is JSON, so that a mask that takes the place of a number gets quotes.
func (s *Scanner) markJSON(v string, start, end int) {
	if json.Valid([]byte(v[start:end])) {
		s.json = append(s.json, textRange{start, end})
	}
}

// quoteFor returns the quote that a mask for v[start:end] needs on both sides: where a number of JSON stood, also of JSON
// in a string of JSON.
func (s *Scanner) quoteFor(v string, start, end int) string {
	i, j := start, end
	for i > 0 && v[i-1] == ' ' {
		i--
	}
	if i < 2 {
		return ""
	}
	if v[i-1] == ':' && v[i-2] == '"' {
		if !jsonNumber(v, start, end) {
			return ""
		}
		k := i - 2
		for k > 0 && v[k-1] == '\\' {
			k--
		}
		return v[k : i-1]
	}
	if len(s.json) == 0 || v[i-1] != '[' && v[i-1] != ',' && v[i-1] != ':' {
		return ""
	}
	for j < len(v) && isSpace(v[j]) {
		j++
	}
	if j < len(v) && v[j] != ',' && v[j] != ']' && v[j] != '}' {
		return ""
	}
	for _, r := range s.json {
		if r.start < start && end < r.end && !inString(v[r.start:start]) {
			return `"`
		}
	}
	return ""
}

// inString reports whether JSON that begins with v goes on inside a string.
func inString(v string) (in bool) {
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			in = !in
		}
	}
	return in
}

// jsonEscape reads an escape of a string of JSON (RFC 8259 §7). Half a surrogate pair is left as it is.
func jsonEscape(v string, i int) (rune, int) {
	if v[i] != '\\' || i+1 == len(v) {
		return 0, 0
	}
	switch v[i+1] {
	case '"', '\\', '/':
		return rune(v[i+1]), 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		if r, n := decodeAt(v, i); n == 6 && (r < 0xD800 || r > 0xDFFF) {
			return r, n
		}
	}
	return 0, 0
}

// framesInStrings looks for frames and stanzas in the strings of JSON, in which logs and SockJS (a["…"]) wrap them.
func (s *Scanner) framesInStrings(v string) bool {
	if v[0] == 'a' && v[1] != '[' {
		return false
	}
	// Where the next string of each kind starts.
	var next [len(wrappedHeads)]int
	var wrapped []textRange
	for n, at := 0, 0; n < maxParts; n++ {
		start := len(v)
		for i := range next {
			if n == 0 || next[i] < at {
				next[i] = nextWrapped(v, at, wrappedHeads[i])
			}
			start = min(start, next[i])
		}
		if start == len(v) {
			break
		}
		at = closing(v, start, '"', 0)
		d := decodeWith(v[start:at], jsonEscape)
		m := s.mark()
		if len(d.text) < minBody || !s.body(d.text) {
			continue
		}
		s.move(m, func(i int) int { return d.source(i) + start })
		wrapped = append(wrapped, textRange{start, at})
	}
	if len(wrapped) == 0 {
		return false
	}
	m := s.mark()
	s.searchText(v, 0)
	s.withdraw(m, wrapped)
	return true
}

// withdraw takes back the finds since m that begin inside ranges, which are in order and were searched as what they stand
// for. One that begins with a range is a value under a telling key.
func (s *Scanner) withdraw(m mark, ranges []textRange) {
	s.finds = append(s.finds[:m.finds], slices.DeleteFunc(s.finds[m.finds:], func(f find) bool {
		return inRanges(ranges, f.start) && inRanges(ranges, f.start-1)
	})...)
}

// inRanges reports whether i stands in one of ranges, which are in order.
func inRanges(ranges []textRange, i int) bool {
	n, _ := slices.BinarySearchFunc(ranges, i, func(r textRange, i int) int { return cmp.Compare(r.end, i+1) })
	return n < len(ranges) && ranges[n].start <= i
}

// wrappedHeads are what gives away a string with a form in it: the end of STOMP's command, the start of XML, of a packet
// of Socket.IO and of a JSON object.
var wrappedHeads = [...]string{`\n`, `"<`, `"4`, `"{\"`}

// nextWrapped returns where the next string starts, from an index on, that begins as head says, or the end of v.
func nextWrapped(v string, from int, head string) int {
	for at := from; ; {
		j := strings.Index(v[at:], head)
		if j < 0 {
			return len(v)
		}
		at += j
		start := at + 1
		if head == `\n` {
			for start = at; start > from && at-start <= len("UNSUBSCRIBE") && isUpper(v[start-1]); {
				start--
			}
		}
		at += len(head)
		if start > from && v[start-1] == '"' && (start < 2 || v[start-2] != '\\') && wraps(v[start:], head) {
			return start
		}
	}
}

// wraps reports whether the string of JSON whose text is at the start of v can hold a form with that head.
func wraps(v, head string) bool {
	switch head {
	case `\n`:
		command, _, _ := strings.Cut(v[:min(len(v), 16)], head)
		return stompCommands[command]
	case `"<`:
		return len(v) > 2 && (isAlpha(v[1]) || v[1] == '?')
	case `"4`:
		rest := strings.TrimLeft(v[:min(len(v), 2*maxAck)], "0123456789")
		return rest != "" && strings.IndexByte(`[{/-`, rest[0]) >= 0
	}
	v = v[:min(len(v), 4096)]
	return strings.Contains(v, `\"query\"`) || strings.Contains(v, `connection_init`)
}

// jsonVisitor gets each scalar of a JSON text: the keys above it ("" for places in a list, whose number is index) and its
// place, without the quotes of a string.
type jsonVisitor func(path []string, index, start, end int, quoted bool)

// walkJSON calls visit for each scalar in v from i on and returns where the value ends. Not ok means that v is not JSON
// that far, or nests too deep. visit may be called before that turns out.
func walkJSON(v string, i int, visit jsonVisitor) (end int, ok bool) {
	var path [maxNesting]string
	return walkValue(v, i, path[:0], 0, visit)
}

func walkValue(v string, i int, path []string, index int, visit jsonVisitor) (end int, ok bool) {
	i = skipSpace(v, i)
	if i == len(v) {
		return i, false
	}
	switch v[i] {
	case '{':
		return walkMembers(v, i, '}', path, visit)
	case '[':
		return walkMembers(v, i, ']', path, visit)
	case '"':
		end = closing(v, i+1, '"', 0)
		visit(path, index, i+1, end, true)
		return end + 1, end < len(v)
	}
	for end = i; end < len(v) && !endsBare(v[end]) && v[end] != ':' && v[end] != '['; {
		end++
	}
	visit(path, index, i, end, false)
	return end, end > i
}

func walkMembers(v string, i int, closer byte, path []string, visit jsonVisitor) (end int, ok bool) {
	if len(path) == cap(path) {
		return i, false
	}
	i = skipSpace(v, i+1)
	if i < len(v) && v[i] == closer {
		return i + 1, true
	}
	for index := 0; i < len(v); index++ {
		key := ""
		if closer == '}' {
			if v[i] != '"' {
				return i, false
			}
			stop := closing(v, i+1, '"', 0)
			key = v[i+1 : stop]
			if i = skipSpace(v, stop+1); i >= len(v) || v[i] != ':' {
				return i, false
			}
			i++
		}
		if i, ok = walkValue(v, i, append(path, key), index, visit); !ok {
			return i, false
		}
		switch i = skipSpace(v, i); {
		case i == len(v):
			return i, false
		case v[i] == closer:
			return i + 1, true
		case v[i] != ',':
			return i, false
		}
		i = skipSpace(v, i+1)
	}
	return i, false
}

func skipSpace(v string, i int) int {
	for i < len(v) && isSpace(v[i]) {
		i++
	}
	return min(i, len(v))
}
