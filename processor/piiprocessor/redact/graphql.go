package redact

import "strings"

// graphQLMessage reads a message of GraphQL over WebSocket (graphql-transport-ws, and graphql-ws as
// subscriptions-transport-ws spoke it) or the body of a request: {"type":"subscribe","payload":{"query":"…"}}.
func (s *Scanner) graphQLMessage(v string) bool {
	init := strings.Contains(v, `"connection_init"`)
	if !init && !strings.Contains(v, `"query"`) {
		return false
	}
	var queries [4]textRange
	var read []textRange // queries that are GraphQL
	n := 0
	m := s.mark()
	typ := ""
	end, ok := walkJSON(v, 0, func(path []string, _, start, end int, quoted bool) {
		key := path[len(path)-1]
		switch {
		case !quoted:
		case len(path) == 1 && key == "type":
			typ = v[start:end]
		case key == "query" && (len(path) == 1 || len(path) == 2 && path[0] == "payload"):
			if n < len(queries) {
				queries[n] = textRange{start, end}
				n++
			}
		case init && path[0] == "payload":
			// Applications choose the keys of what authenticates a connection.
			if text := v[start:end]; secretLike(text) || tokenLike(text) {
				s.add(start, end, Credential)
			}
		}
	})
	if !ok || skipSpace(v, end) != len(v) {
		return false
	}
	if typ != "connection_init" {
		s.reset(m)
	}
	found := typ == "connection_init"
	for _, q := range queries[:n] {
		d := decodeWith(v[q.start:q.end], jsonEscape)
		before := s.mark()
		if s.graphQL(d.text) {
			s.move(before, func(i int) int { return d.source(i) + q.start })
			read, found = append(read, q), true
		}
	}
	if !found {
		return false
	}
	m = s.mark()
	s.searchJSON(v, 0, len(v))
	s.withdraw(m, read)
	return true
}

// graphQLText reads an operation that stands alone.
func (s *Scanner) graphQLText(v string) bool {
	for _, word := range [...]string{"query", "mutation", "subscription"} {
		if rest, ok := strings.CutPrefix(v, word); ok && rest != "" && strings.IndexByte(" {(\n", rest[0]) >= 0 {
			return s.graphQL(v)
		}
	}
	return false
}

// graphQLToken is one of the language (GraphQL, October 2021, §2.1.6). kind is its first byte, 'a' for a name, '0' for a
// number, '"' for a string, whose text is text, and 0 at the end.
type graphQLToken struct {
	kind byte
	textRange
	text textRange
}

// nextGraphQL returns the token at v[i] or after what is ignored there. Not ok means that there is none.
func nextGraphQL(v string, i int) (k graphQLToken, ok bool) {
	for i < len(v) && (isSpace(v[i]) || v[i] == ',' || v[i] == '#') {
		if v[i] == '#' {
			_, i = line(v, i)
			continue
		}
		i++
	}
	if i == len(v) {
		return graphQLToken{textRange: textRange{i, i}}, true
	}
	end := i + 1
	k.kind = v[i]
	switch c := v[i]; {
	case c == '"':
		if strings.HasPrefix(v[i:], `"""`) {
			n := strings.Index(strings.ReplaceAll(v[i+3:], `\"""`, `\###`), `"""`)
			if n < 0 {
				return k, false
			}
			end = i + 6 + n
			k.text = textRange{i + 3, end - 3}
			break
		}
		if end = closing(v, i+1, '"', 0); end >= len(v) {
			return k, false
		}
		k.text = textRange{i + 1, end}
		end++
	case isAlpha(c) || c == '_':
		k.kind = 'a'
		for end < len(v) && (isAlnum(v[end]) || v[end] == '_') {
			end++
		}
	case isDigit(c) || c == '-':
		k.kind = '0'
		for end < len(v) && (isAlnum(v[end]) || v[end] == '.' || v[end] == '+' || v[end] == '-') {
			end++
		}
	case c == '.':
		if !strings.HasPrefix(v[i:], "...") {
			return k, false
		}
		end = i + 3
	case strings.IndexByte("!$&()[]{}:=@|", c) >= 0:
	default:
		return k, false
	}
	k.textRange = textRange{i, end}
	return k, true
}

// graphQL searches an operation: what stands for a value under a telling name goes, and names that only look like values
// stay: variables, their types, and fields behind an alias. Not ok means that v does not read as GraphQL.
func (s *Scanner) graphQL(v string) bool {
	p := graphQLWalk{s: s, v: v}
	m := s.mark()
	if !p.walk() {
		s.reset(m)
		return false
	}
	literals := len(s.finds)
	s.searchText(v, 0)
	kept := s.finds[:literals]
	for _, f := range s.finds[literals:] {
		if !p.isName(f) {
			kept = append(kept, f)
		}
	}
	s.finds = kept
	return true
}

// graphQLWalk goes through the tokens of an operation once.
type graphQLWalk struct {
	s *Scanner
	v string
	// names are in order the places where a value would stand and a name does.
	names []textRange
	// open are the brackets around, with what they mean.
	open [maxNesting]graphQLBracket
	deep int
	// parts counts the strings that were searched.
	parts int
}

// graphQLBracket is an open bracket: list, object, arguments or selection. The meaning of what a list or an object
// stands under goes for what is in it.
type graphQLBracket struct {
	kind  byte
	m     meaning
	r     Rule
	types bool
}

func (p *graphQLWalk) walk() bool {
	var before, name graphQLToken
	values := false
	for i := 0; ; {
		k, ok := nextGraphQL(p.v, i)
		if !ok {
			return false
		}
		i = k.end
		var in graphQLBracket
		if p.deep > 0 {
			in = p.open[p.deep-1]
		}
		switch k.kind {
		case 0:
			return p.deep == 0 && before.kind == '}'
		case '(', '[', '{':
			if m := upTo(p.v[k.start:], ']'); k.kind == '[' && isMask(m) {
				i = k.start + len(m)
				k.kind = ']'
				break
			}
			if p.deep == maxNesting {
				return false
			}
			b := graphQLBracket{kind: k.kind}
			switch {
			case k.kind == '(':
				values = true
				// Parentheses outside any selection declare variables.
				b.types = p.deep == 0
			case values && (before.kind == ':' || before.kind == '=' || in.kind == '['):
				b.types = in.types && before.kind == ':'
				if b.m, b.r = in.m, in.r; before.kind != ':' && before.kind != '=' {
					break
				}
				if m, r := p.means(name); r != ruleNone {
					b.m, b.r = m, r
				}
			case values:
				return false
			}
			p.open[p.deep] = b
			p.deep++
		case ')', ']', '}':
			if p.deep == 0 || in.kind != opener(k.kind) {
				return false
			}
			if p.deep--; k.kind == ')' {
				values = false
			}
		case 'a':
			next, ok := nextGraphQL(p.v, i)
			switch {
			case !ok:
				return false
			case before.kind == '$' || in.types && (before.kind == ':' || in.kind == '['):
				// A variable, or a type.
				p.name(before, k)
			case next.kind == ':':
			case !values && before.kind == ':':
				// The field behind an alias. One with digits may be a value in something that only reads like GraphQL.
				if !hasDigit(p.v[k.start:k.end]) {
					p.name(before, k)
				}
			case values && (before.kind == ':' || before.kind == '=' || in.kind == '['):
				p.literal(k.textRange, before, name, in)
			}
			if before.kind != ':' || !in.types {
				name = k
			}
		case '"':
			if !values {
				return false
			}
			p.literal(k.text, before, name, in)
		case '0':
			if !values {
				return false
			}
			p.literal(k.textRange, before, name, in)
		}
		before = k
	}
}

func opener(closer byte) byte {
	switch closer {
	case ')':
		return '('
	case ']':
		return '['
	}
	return '{'
}

func (p *graphQLWalk) means(name graphQLToken) (meaning, Rule) {
	m := meaningOf(p.v[name.start:name.end])
	return m, ruleOf(m)
}

// name notes that k is no value although it stands where one could. A variable's begins with its dollar sign.
func (p *graphQLWalk) name(before, k graphQLToken) {
	if before.kind == '$' {
		k.start = before.start
	}
	if !tokenLike(p.v[k.start:k.end]) {
		p.names = append(p.names, k.textRange)
	}
}

// literal treats a value: by its name, or by that of the list or object that it is in.
func (p *graphQLWalk) literal(at textRange, before, name graphQLToken, in graphQLBracket) {
	m, r := in.m, in.r
	if before.kind == ':' || before.kind == '=' {
		if own, rule := p.means(name); rule != ruleNone {
			m, r = own, rule
		}
	}
	quoted := at.start > 0 && p.v[at.start-1] == '"'
	if r == NationalID && !quoted {
		// Its mask is no token of GraphQL.
		r = Secret
	}
	p.s.meant(p.v, at.start, at.end, m, r)
	if quoted && p.parts < maxParts {
		p.parts++
		p.s.searchPart(p.v, at.start, at.end)
	}
}

// isName reports whether f is what a name before a colon made of another name.
func (p *graphQLWalk) isName(f find) bool {
	switch f.rule {
	case Secret, Person, Phone, NationalID, Location:
	default:
		return false
	}
	return inRanges(p.names, f.start)
}
