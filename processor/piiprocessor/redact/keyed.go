package redact

import "strings"

// maxValueScan bounds how far the end of one value under a telling key is looked for; a value that goes on is taken
// to the end of the text.
const maxValueScan = 1 << 20

// keyed looks at the key before the ":" or "=" at t[i] and, where it says what its value is, at the value. It reads
// JSON, JSON inside JSON strings (quotes with backslashes), logfmt, forms, YAML and prose alike, so that no parser
// has to accept the text first.
func (s *Scanner) keyed(t string, i int) {
	if i < s.keyedEnd {
		return
	}
	end := i
	for end > 0 && i-end < 2 && t[end-1] == ' ' {
		end--
	}
	quoted := false
	if end > 0 && (t[end-1] == '"' || t[end-1] == '\'') {
		quoted = true
		for end--; end > 0 && t[end-1] == '\\'; end-- {
		}
	}
	start := end
	for start > 0 && end-start < maxKeyBytes && (class[t[start-1]]&cKeyChar != 0 || quoted && t[start-1] == ' ') {
		start--
	}
	if end-start < 2 {
		return
	}
	m := meaningOf(t[start:end])
	r := ruleOf(m)
	if r == ruleNone || s.e.actions[r] == Off {
		return
	}
	s.value(t, i, m, r, quoted)
}

// value adds the value after the separator at t[i], whose key means m.
func (s *Scanner) value(t string, i int, m meaning, r Rule, quotedKey bool) {
	j := i + 1
	for j < len(t) && j-i < 8 && isSpace(t[j]) {
		j++
	}
	spaced := j > i+1
	level := 0
	for j < len(t) && t[j] == '\\' {
		level++
		j++
	}
	if j == len(t) {
		return
	}
	switch c := t[j]; {
	case c == '"' || c == '\'':
		start := j + 1
		s.addValue(t, start, closing(t, start, c, level), r)
	case level > 0:
		return
	case c == '{' || c == '[':
		if isMask(upTo(t[j:], ']')) {
			return
		}
		// Below a secret's key everything is secret. A person's or a place's members are judged by their own keys.
		if r == Secret && (quotedKey || t[i] == '=') || m == meansLocation && c == '[' {
			end := balanced(t, j)
			s.keyedEnd = end
			s.add(j, end, r)
		}
	default:
		end := j
		for end < len(t) && !endsBare(t[end]) {
			end++
		}
		if m == meansHeader && t[i] == ':' {
			end = lineEnd(t, j)
		}
		if m == meansToken && t[i] == ':' && spaced && !quotedKey && prose(t[j:end]) {
			return
		}
		if m == meansHeader && t[i] == '=' && hasFold(t, j, "b") {
			// authorization=Bearer x: the scheme is found by its own name.
			end = lineEndOf(t, j, end)
		}
		if (r == Phone || r == Location) && !hasDigit(t[j:end]) {
			return
		}
		s.addValue(t, j, end, r)
	}
}

func (s *Scanner) addValue(t string, start, end int, r Rule) {
	s.keyedEnd = max(s.keyedEnd, end)
	switch v := t[start:end]; {
	case v == "", v == "null", v == "true", v == "false", v == "nil", v == "none", v == "None", v == "undefined":
	case isMask(v):
	case r == IP:
	default:
		s.add(start, end, r)
	}
}

// closing returns where the string that starts at t[start] ends: at the next quote with as many backslashes before it
// as its opening quote had. Strings of JSON inside strings of JSON have 0, 1, 3, 7 … of them.
func closing(t string, start int, quote byte, level int) int {
	slashes := 0
	for j := start; j < len(t) && j-start < maxValueScan; j++ {
		switch t[j] {
		case '\\':
			slashes++
			continue
		case quote:
			if slashes%(2*(level+1)) == level {
				return j - level
			}
		}
		slashes = 0
	}
	return len(t)
}

// balanced returns the end of the JSON object or list that starts at t[start].
func balanced(t string, start int) int {
	depth := 0
	for j := start; j < len(t); j++ {
		switch t[j] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return j + 1
			}
		case '"':
			if j = closing(t, j+1, '"', 0); j == len(t) {
				return j
			}
		}
	}
	return len(t)
}

func endsBare(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ';', '&', '"', '\'', '<', '>', ')', '}', ']', '|', '\\':
		return true
	}
	return false
}

func lineEnd(t string, i int) int {
	for i < len(t) && t[i] != '\n' && t[i] != '\r' && t[i] != '"' {
		i++
	}
	for i > 0 && (t[i-1] == '\\' || t[i-1] == ' ') {
		i--
	}
	return i
}

// lineEndOf takes the word after a scheme along: "Bearer abc".
func lineEndOf(t string, start, end int) int {
	if end < len(t) && t[end] == ' ' && (hasFold(t, start, "bearer") || hasFold(t, start, "basic")) {
		for end++; end < len(t) && !endsBare(t[end]); end++ {
		}
	}
	return end
}

// prose reports whether v reads as a word and not as a token: "token: unexpected end".
func prose(v string) bool {
	if len(v) >= 20 {
		return false
	}
	return !hasDigit(v)
}

func hasDigit(v string) bool { return strings.ContainsAny(v, "0123456789") }

// upTo returns v up to and with the first c, or v.
func upTo(v string, c byte) string {
	if i := strings.IndexByte(v, c); i >= 0 {
		return v[:i+1]
	}
	return v
}

// embeddedQuery treats the "?" at t[i] as the start of a URL's query, where a parameter follows.
func (s *Scanner) embeddedQuery(t string, i int) {
	if i < s.queryEnd {
		return
	}
	name := i + 1
	for name < len(t) && name-i <= maxKeyBytes && class[t[name]]&(cKeyChar|cBase64) != 0 {
		name++
	}
	if name == len(t) || name == i+1 || t[name] != '=' {
		return
	}
	end := name
	for end < len(t) && end-i < maxValueScan && t[end] > ' ' && t[end] != '"' && t[end] != '<' && t[end] != '>' &&
		t[end] != '\'' && t[end] != '`' && t[end] != '#' && t[end] != '\\' {
		end++
	}
	s.queryEnd = end
	for at := i + 1; at < end; {
		next := strings.IndexByte(t[at:end], '&')
		stop := end
		if next >= 0 {
			stop = at + next
		}
		if eq := strings.IndexByte(t[at:stop], '='); eq >= 0 {
			value := t[at+eq+1 : stop]
			if value != "" && !isMask(value) && !s.allowed(t[at:at+eq], value) {
				s.add(at+eq+1, stop, QueryParameter)
			}
		}
		at = stop + 1
	}
}

// allowed reports whether a query parameter's value may stay, apart from what detectors find in it. A value with a
// separator in it may hold a parameter of its own and may not.
func (s *Scanner) allowed(name, value string) bool {
	return s.e.parameters[name] && len(value) <= 128 && !strings.ContainsAny(value, "=;&?") && !tokenLike(value)
}
