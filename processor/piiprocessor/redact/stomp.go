package redact

import "strings"

// stompCommands are those of STOMP 1.2.
var stompCommands = map[string]bool{
	"CONNECT": true, "STOMP": true, "CONNECTED": true, "SEND": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true, "ACK": true,
	"NACK": true, "BEGIN": true, "COMMIT": true, "ABORT": true, "DISCONNECT": true, "MESSAGE": true, "RECEIPT": true,
	"ERROR": true,
}

// stompFrame is where the parts of a frame stand: headers are the lines between command and body.
type stompFrame struct{ headers, body, end int }

// nextFrame reads the frame at v[i]: a command, headers, an empty line, a body up to NUL (STOMP 1.2, Augmented BNF). A
// frame that is cut off is one too. Lines that end the frame before, or are heart-beats, may stand before it.
func nextFrame(v string, i int) (f stompFrame, ok bool) {
	for i < len(v) && (v[i] == '\n' || v[i] == '\r') {
		i++
	}
	command, next := line(v[:min(len(v), i+len("UNSUBSCRIBE\r\n"))], i)
	if !stompCommands[command] || next == i+len(command) {
		return f, false
	}
	f.headers = next
	for i = next; i < len(v) && v[i] != 0; i = next {
		var header string
		if header, next = line(v, i); header == "" {
			f.body = next
			if end := strings.IndexByte(v[next:], 0); end >= 0 {
				f.end = next + end
			} else {
				f.end = len(v)
			}
			return f, true
		}
		colon := strings.IndexByte(header, ':')
		if colon <= 0 || strings.IndexByte(header[:colon], ' ') >= 0 || strings.IndexByte(header, 0) >= 0 {
			return f, false
		}
	}
	f.body, f.end = i, i
	return f, true
}

// line returns the line at v[i] without its end and where the next one starts.
func line(v string, i int) (text string, next int) {
	n := strings.IndexByte(v[i:], '\n')
	if n < 0 {
		return v[i:], len(v)
	}
	return strings.TrimSuffix(v[i:i+n], "\r"), i + n + 1
}

func (s *Scanner) stomp(v string) bool {
	at := 0
	for n := 0; n < maxParts; n++ {
		f, ok := nextFrame(v, at)
		if !ok {
			break
		}
		for i := f.headers; i < f.body; {
			header, next := line(v, i)
			s.stompHeader(v, i, i+len(header))
			i = next
		}
		if body := strings.TrimSpace(v[f.body:f.end]); body != "" && (body[0] == '{' || body[0] == '[') {
			s.markJSON(v, f.body, f.end)
		}
		s.searchPart(v, f.body, f.end)
		at = min(f.end+1, len(v))
	}
	if at == 0 {
		return false
	}
	s.searchPart(v, at, len(v))
	return true
}

func (s *Scanner) stompHeader(v string, start, end int) {
	colon := strings.IndexByte(v[start:end], ':')
	if colon <= 0 {
		return
	}
	name := v[start : start+colon]
	if strings.IndexByte(v[start:end], '\\') >= 0 {
		s.searchDecoded(v, start, end, stompEscape)
		name = decodeWith(name, stompEscape).text
	} else {
		s.searchPart(v, start, end)
	}
	if credentialHeaders[strings.ToLower(name)] {
		s.meant(v, start+colon+1, end, meansHeader, Secret)
		return
	}
	s.named(v, start+colon+1, end, name)
}

// stompEscape reads an escape of a header (STOMP 1.2, Value Encoding).
func stompEscape(v string, i int) (rune, int) {
	if v[i] != '\\' || i+1 == len(v) {
		return 0, 0
	}
	switch v[i+1] {
	case 'c':
		return ':', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case '\\':
		return '\\', 2
	}
	return 0, 0
}

// NULEndsFrames reports whether every NUL in v ends a STOMP frame, so that v is text all the same.
func NULEndsFrames(v string) bool {
	at := 0
	for n := 0; n < maxParts && strings.IndexByte(v[at:], 0) >= 0; n++ {
		f, ok := nextFrame(v, at)
		if !ok {
			return false
		}
		at = min(f.end+1, len(v))
	}
	return strings.IndexByte(v[at:], 0) < 0
}
