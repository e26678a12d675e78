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
	if t[i] == ':' && i+1 < len(t) && (t[i+1] == '=' || t[i+1] == ':') {
		// ":=" and "::=": the "=" decides.
		return
	}
	if t[i] == '=' {
		// The operators of make, of PHP and of shells: "::=", "?=", ".=", "+=".
		for end > 0 && i-end < 3 && strings.IndexByte(":?.+", t[end-1]) >= 0 {
			end--
		}
	}
	for n := 0; n < 2 && end > 0 && t[end-1] == ' '; n++ {
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
	if !quoted && t[i] == '=' && start > 1 && t[start-1] == ' ' && typeWords[t[start:end]] {
		// var apiToken string = "…": the name stands before its type.
		end = start - 1
		for start = end; start > 0 && end-start < maxKeyBytes && class[t[start-1]]&cKeyChar != 0; {
			start--
		}
	}
	m := meaningOf(t[start:end])
	if m == meansNothing && start > 0 && t[start-1] == '\\' && strings.IndexByte("nrt", t[start]) >= 0 {
		// The escape of a line's end or a tab before the key.
		start++
		m = meaningOf(t[start:end])
	}
	if m == meansNothing && t[start:end] == "value" {
		m = namedValue(t, start)
	}
	r := ruleOf(m)
	if r == ruleNone || s.e.actions[r] == Off {
		return
	}
	s.value(t, i, m, r, quoted)
	if t[i] == '=' && !quoted {
		s.betweenPipes(t, start, i, m, r)
	}
}

// value adds the value after the separator at t[i], whose key means m.
func (s *Scanner) value(t string, i int, m meaning, r Rule, quotedKey bool) {
	j := i + 1
	if t[i] == '=' && j < len(t) && (t[j] == '>' || t[j] == '=') {
		j++
	}
	for j < len(t) && j-i < 12 && isSpace(t[j]) {
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
	case c == '"' || c == '\'' || c == '`':
		start := j + 1
		end := closing(t, start, c, level)
		if m == meansKey && !secretLike(t[start:end]) {
			return
		}
		s.addValue(t, start, end, r)
	case level > 0:
		return
	case c == '{' || c == '[':
		if isMask(upTo(t[j:], ']')) {
			return
		}
		// Below a secret's key everything is secret. A person's or a place's members are judged by their own keys.
		if r == Secret && m != meansKey && (quotedKey || t[i] == '=') || m == meansLocation && c == '[' {
			end := balanced(t, j)
			s.keyedEnd = end
			s.add(j, end, r)
		}
	case t[i] == '=' && t[i+1] == '=':
		// A comparison with a name or a number.
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
		if m == meansKey && !secretLike(t[j:end]) {
			return
		}
		if r == Phone {
			// A number may have spaces in it.
			if n, _, stop := phoneShape(t, j); n >= 4 && n <= 15 {
				end = max(end, stop)
			}
		}
		if (r == Phone || r == Location) && !hasDigit(t[j:end]) {
			return
		}
		s.addValue(t, j, end, r)
	}
}

// typeWords stand between a variable and its value.
var typeWords = map[string]bool{"string": true, "String": true, "str": true, "text": true, "char": true, "byte": true}

// namedValue returns what the member before a "value" at t[i] says about it, as in Kubernetes' lists of variables:
// {"name": "API_TOKEN", "value": "…"}.
func namedValue(t string, i int) meaning {
	const reach = maxKeyBytes + 32
	before := t[max(0, i-reach):i]
	at := strings.LastIndex(before, "name")
	if at < 0 {
		return meansNothing
	}
	rest := strings.TrimLeft(before[at+len("name"):], `"'\ :`)
	n := 0
	for n < len(rest) && class[rest[n]]&cKeyChar != 0 {
		n++
	}
	if strings.Trim(rest[n:], "\"'\\, \t\r\n") != "" {
		return meansNothing
	}
	return meaningOf(rest[:n])
}

// element treats the text of an XML element whose start tag ends at t[i], where its name is telling.
func (s *Scanner) element(t string, i int) {
	start := i
	for start > 0 && i-start < maxKeyBytes && class[t[start-1]]&cKeyChar != 0 {
		start--
	}
	if i-start < 2 || start == 0 || t[start-1] != '<' && t[start-1] != ':' || i < s.keyedEnd {
		return
	}
	m := meaningOf(t[start:i])
	r := ruleOf(m)
	if r == ruleNone || s.e.actions[r] == Off {
		return
	}
	j := i + 1
	for j < len(t) && isSpace(t[j]) {
		j++
	}
	end := j
	for end < len(t) && end-j < maxValueScan && t[end] != '<' {
		end++
	}
	for end > j && isSpace(t[end-1]) {
		end--
	}
	if m == meansKey && !secretLike(t[j:end]) || end == len(t) && !hasDigit(t[j:end]) {
		return
	}
	s.addValue(t, j, end, r)
}

// argument treats the second of two strings in a call, where the first is a telling name: set("API_TOKEN", "…"). The
// comma stands at t[i].
func (s *Scanner) argument(t string, i int) {
	if i < 4 || i+2 >= len(t) || i < s.keyedEnd {
		return
	}
	quote := t[i-1]
	if quote != '"' && quote != '\'' {
		return
	}
	end := i - 1
	start := end
	for start > 0 && end-start < maxKeyBytes && class[t[start-1]]&cKeyChar != 0 {
		start--
	}
	if end-start < 2 || start < 2 || t[start-1] != quote || t[start-2] != '(' {
		return
	}
	if m := meaningOf(t[start:end]); ruleOf(m) == Secret && s.e.actions[Secret] != Off {
		s.value(t, i, m, Secret, true)
	}
}

// option treats the argument of a command's option whose first dash stands at t[i]: --password x, curl -u name:x.
func (s *Scanner) option(t string, i int) {
	if i+4 >= len(t) || i > 0 && isAlnum(t[i-1]) || i < s.keyedEnd {
		return
	}
	end := i + 1
	long := t[end] == '-'
	if long {
		end++
	}
	start := end
	for end < len(t) && end-start < maxKeyBytes && (isAlnum(t[end]) || t[end] == '-' || t[end] == '_') {
		end++
	}
	if end == start || end+1 >= len(t) || t[end] != ' ' {
		return
	}
	name := t[start:end]
	if name == "user" && long || name == "u" && !long && strings.Contains(t[max(0, i-256):i], "curl") {
		s.userAndPassword(t, end)
		return
	}
	if !long {
		return
	}
	switch m := meaningOf(name); {
	case ruleOf(m) != Secret || s.e.actions[Secret] == Off:
	case m == meansToken && prose(t[end+1:wordEnd(t, end+1)]), t[end+1] == '-':
	default:
		s.value(t, end, m, Secret, true)
	}
}

// userAndPassword treats "name:password" after the space at t[i].
func (s *Scanner) userAndPassword(t string, i int) {
	j := i + 1
	for j < len(t) && t[j] == ' ' {
		j++
	}
	if j == len(t) {
		return
	}
	end := 0
	if c := t[j]; c == '"' || c == '\'' {
		j++
		end = closing(t, j, c, 0)
	} else {
		end = wordEnd(t, j)
	}
	name, password, ok := strings.Cut(t[j:end], ":")
	if !ok || name == "" && password == "" || strings.HasPrefix(password, "//") || isMask(t[j:end]) {
		return
	}
	for _, variable := range [...]string{"${", "$(", "{{"} {
		if strings.HasPrefix(password, variable) {
			return
		}
	}
	s.keyedEnd = max(s.keyedEnd, end)
	s.add(j, end, Credential)
}

func wordEnd(t string, i int) int {
	for i < len(t) && t[i] > ' ' {
		i++
	}
	return i
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
	return s.e.parameters[name] &&
		(len(value) <= 128 && !strings.ContainsAny(value, "=;&?") && !tokenLike(value) || IsToken(value))
}
