package redact

import "strings"

// recordSeparator stands between the packets of one answer to a poll (Engine.IO protocol 4).
const recordSeparator = '\x1e'

// socketIO reads packets of Engine.IO 3 and 4 and of Socket.IO in them: 42/chat,13["login",{…}], 40{"token":"…"},
// 451-["image",{"_placeholder":true,"num":0}], and several of them, as the long-polling transport has them.
func (s *Scanner) socketIO(v string) bool {
	at, n := 0, 0
	for at < len(v) && n < maxParts {
		end := len(v)
		if i := strings.IndexByte(v[at:], recordSeparator); i >= 0 {
			end = at + i
		}
		start := at
		// Protocol 3 puts the number of characters before each packet of an answer: 32:42["…"].
		if i := start; i < end && isDigit(v[i]) {
			for i < end && isDigit(v[i]) {
				i++
			}
			if i+1 < end && i-start <= 8 && v[i] == ':' && isDigit(v[i+1]) {
				start = i + 1
			}
		}
		stop, ok := s.packet(v, start, end)
		if !ok {
			return false
		}
		if stop < end && (!isDigit(v[stop]) || start == at) {
			// Only a packet with its length may be followed by another one.
			return false
		}
		n++
		if at = stop; at < len(v) && v[at] == recordSeparator {
			at++
		}
	}
	s.searchPart(v, at, len(v))
	return n > 0
}

// maxAck is how many digits the id of an acknowledgement has at most.
const maxAck = 10

// packet searches the packet in v[i:end] and returns where it ends.
func (s *Scanner) packet(v string, i, end int) (stop int, ok bool) {
	start := i
	if i < end && v[i] == 'b' {
		// What is binary is opaque, and so is its base64.
		data := v[i+1 : end]
		switch alone := end-start == len(v); {
		case data == "", alone && (len(data) < 16 || !base64Text(data)):
			return i, false
		case !masked(data):
			s.add(i+1, end, Secret)
		}
		return end, true
	}
	// The type of Engine.IO, 4 for a message, and of Socket.IO.
	for i < end && i-start < 2 && v[i] >= '0' && v[i] <= '6' {
		i++
	}
	if i == start {
		return i, false
	}
	if i == end {
		// Ping, pong, close, noop: a packet in a list of them, a number elsewhere.
		return end, end-start < len(v)
	}
	if i-start == 2 && v[start] != '4' {
		return start, false
	}
	j := i
	for j < end && isDigit(v[j]) {
		j++
	}
	if j < end && j > i && j-i <= maxAck && v[j] == '-' {
		// The number of binary attachments.
		i = j + 1
	}
	if i < end && v[i] == '/' {
		j = i
		for j < end && v[j] != ',' {
			j++
		}
		s.namespace(v, i, j)
		if j == end {
			return end, v[start] == '4'
		}
		if i = j; v[i] == ',' {
			i++
		}
	}
	// What stands before the payload is short: a number of attachments, the id of an acknowledgement.
	for j = i; i < end && isDigit(v[i]); {
		i++
	}
	if i == end || i-j > maxAck || v[i] != '[' && v[i] != '{' {
		return start, false
	}
	return s.payload(v, i, end)
}

// namespace treats the name of a namespace as a path with a query.
func (s *Scanner) namespace(v string, start, end int) {
	path, _, _ := strings.Cut(v[start:end], "?")
	at := start
	for segment := range strings.SplitSeq(path, "/") {
		if s.minted(segment) {
			s.add(at, at+len(segment), PathSegment)
		}
		at += len(segment) + 1
	}
	s.searchPart(v, start, end)
}

// payload searches the JSON of a packet: what to connect with, or an event's name and arguments.
func (s *Scanner) payload(v string, i, end int) (stop int, ok bool) {
	m, r := meansNothing, ruleNone
	stop, ok = walkJSON(v[:end], i, func(path []string, index, start, stop int, quoted bool) {
		switch {
		case len(path) != 1 || path[0] != "" || v[i] != '[':
		case index == 0 && quoted:
			m, r = eventMeans(v[start:stop])
		case index > 0 && (quoted || start < stop && isDigit(v[start])):
			if m == meansToken && prose(v[start:stop]) {
				return
			}
			s.meant(v, start, stop, m, r)
		}
	})
	if !ok {
		return stop, false
	}
	s.searchJSON(v, i, stop)
	return stop, true
}

// loginWords name events whose arguments are who somebody is and how he proves it.
var loginWords = map[string]bool{
	"login": true, "signin": true, "logon": true, "authenticate": true, "authentication": true, "register": true,
	"signup": true, "authorize": true, "identify": true,
}

// eventMeans says what the name of an event says about the arguments that are no objects.
func eventMeans(event string) (meaning, Rule) {
	if len(event) > maxKeyBytes {
		return meansNothing, ruleNone
	}
	word := strings.ToLower(event)
	if i := strings.LastIndexAny(word, ":/._- "); i >= 0 {
		word = word[i+1:]
	}
	if loginWords[word] {
		return meansSecret, Secret
	}
	m := meaningOf(event)
	return m, ruleOf(m)
}
