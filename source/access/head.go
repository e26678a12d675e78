package access

import (
	"bytes"
	"time"

	"github.com/sockeye-project/sockeye/source/fields"
)

// Unwrap takes a line out of what is around it: the byte order mark that some programs begin a file of UTF-8 with, and the
// object that Docker's json-file driver makes of each line that a container prints:
//
//	{"log":"the line\n","stream":"stdout","attrs":{…},"time":"2026-11-22T07:00:11.547Z"}
//
// A line of more than 16 KiB is in several objects, which are not joined.
func Unwrap(line []byte) []byte {
	line = bytes.TrimPrefix(line, byteOrderMark)
	if !bytes.HasPrefix(line, dockerHead) {
		return line
	}
	message, end := fields.Quoted(line, len(dockerHead)-1)
	if end < 0 {
		return line
	}
	rest, ok := bytes.CutPrefix(line[end:], dockerStream)
	if !ok || !bytes.HasPrefix(rest, []byte(`out",`)) && !bytes.HasPrefix(rest, []byte(`err",`)) ||
		!bytes.Contains(rest, dockerTime) || rest[len(rest)-1] != '}' {
		return line
	}
	return bytes.TrimRight(message, "\r\n")
}

var (
	byteOrderMark = []byte("\uFEFF")
	dockerHead    = []byte(`{"log":"`)
	dockerStream  = []byte(`,"stream":"std`)
	dockerTime    = []byte(`"time":"`)
)

// Message cuts what others put before a line: syslog a priority and the head of RFC 3164 §4.1 or RFC 5424 §6, as a proxy or
// a syslog daemon writes them; the runtime of a Kubernetes node a time, the stream and a tag.
func Message(line []byte) []byte {
	rest := line
	if len(rest) > 0 && rest[0] == '<' {
		end := bytes.IndexByte(rest[:min(len(rest), 5)], '>')
		if end < 2 || !digits(rest[1:end]) {
			return line
		}
		rest = rest[end+1:]
		if body, ok := bytes.CutPrefix(rest, []byte("1 ")); ok {
			return afterRFC5424(body, rest)
		}
	}
	stamp := stampLength(rest)
	if stamp == 0 {
		return rest
	}
	for _, stream := range streams {
		if body, ok := bytes.CutPrefix(rest[stamp:], stream); ok {
			return body
		}
	}
	// The tag ends the head: "haproxy[123]: ".
	head := rest[stamp:min(len(rest), stamp+maxHead)]
	if end := bytes.Index(head, []byte("]: ")); end >= 0 && bytes.IndexByte(head[:end], '[') >= 0 {
		return rest[stamp+end+3:]
	}
	if end := bytes.Index(head, []byte(": ")); end >= 0 && bytes.Count(head[:end], []byte(" ")) <= 2 {
		return rest[stamp+end+2:]
	}
	return rest
}

// streams are what containers log, of which F says that the line is whole.
var streams = [][]byte{[]byte("stdout F "), []byte("stderr F ")}

// maxHead bounds how far the end of a head is looked for.
const maxHead = 256

// afterRFC5424 cuts TIMESTAMP HOSTNAME APP-NAME PROCID MSGID and the structured data.
func afterRFC5424(body, whole []byte) []byte {
	for range 5 {
		end := bytes.IndexByte(body[:min(len(body), maxHead)], ' ')
		if end < 0 {
			return whole
		}
		body = body[end+1:]
	}
	if rest, ok := bytes.CutPrefix(body, []byte("-")); ok {
		return bytes.TrimPrefix(rest, []byte(" "))
	}
	if len(body) > 0 && body[0] == '[' {
		if end := bytes.Index(body, []byte("] ")); end >= 0 {
			return body[end+2:]
		}
	}
	return whole
}

// stampLength returns the length of a time at the beginning of a head, as RFC 3164 or RFC 3339 has it, or 0.
func stampLength(line []byte) int {
	const old = "Jan _2 15:04:05"
	if len(line) > len(old) && line[0] >= 'A' && line[0] <= 'S' && line[3] == ' ' && line[9] == ':' &&
		line[len(old)] == ' ' {
		if _, err := time.Parse(old, string(line[:len(old)])); err == nil {
			return len(old) + 1
		}
	}
	if len(line) > 20 && line[4] == '-' && line[7] == '-' && line[10] == 'T' && digits(line[:4]) {
		if end := bytes.IndexByte(line[:min(len(line), 40)], ' '); end > 0 {
			return end + 1
		}
	}
	return 0
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
