package embedded

import (
	"errors"
	"strings"
)

// kind is what the server has to know about a statement before the engine sees it.
type kind int

const (
	kindEmpty  kind = iota
	kindSelect      // SELECT or WITH: streamed
	kindInsert      // INSERT whose rows follow the statement
	kindOther       // everything else: one result
)

// statement is the outcome of reading a statement's text.
type statement struct {
	kind kind
	// text is what the engine gets: for kindInsert the statement without its FORMAT clause.
	text string
	// format is the one the text asks for, "" if it does not.
	format string
	// plain is the text of a kindSelect or kindOther without its FORMAT clause and closing semicolon.
	plain string
	// data is where the rows of a kindInsert begin in the text that was read.
	data int
	// session says that the statement changes its connection, which must not serve anyone else afterwards.
	session bool
	// keyword is the first word, in upper case.
	keyword string
	// token says that the statement's own SETTINGS carry a deduplication token.
	token bool
}

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted // `name` or "name"
	tokenString
	tokenNumber
	tokenOther
	tokenBroken // an unterminated quote or comment
)

type token struct {
	kind       tokenKind
	text       string
	start, end int
}

func (t token) is(word string) bool { return t.kind == tokenWord && strings.EqualFold(t.text, word) }

// lexer splits SQL as ClickHouse's own does, as far as is needed to find the end of an INSERT statement.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() token {
	l.skip()
	start := l.pos
	if start >= len(l.text) {
		return token{kind: tokenEnd, start: start, end: start}
	}
	k := tokenOther
	switch c := l.text[start]; {
	case wordStart(c):
		k = tokenWord
		for l.pos < len(l.text) && wordPart(l.text[l.pos]) {
			l.pos++
		}
	case c >= '0' && c <= '9':
		k = tokenNumber
		for l.pos < len(l.text) && (wordPart(l.text[l.pos]) || l.text[l.pos] == '.') {
			l.pos++
		}
	case c == '\'':
		k = l.quoted(c, tokenString)
	case c == '`' || c == '"':
		k = l.quoted(c, tokenQuoted)
	case c == '$':
		k = l.heredoc()
	case strings.HasPrefix(l.text[start:], "/*"):
		k, l.pos = tokenBroken, len(l.text)
	default:
		l.pos++
	}
	return token{kind: k, text: l.text[start:l.pos], start: start, end: l.pos}
}

// skip moves over white space and comments; it stops at a comment that never ends.
func (l *lexer) skip() {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				l.pos = len(l.text)
				return
			}
			l.pos += end + 1
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return
			}
			l.pos += end + 4
		case rest[0] <= ' ' || rest[0] == 0x7f:
			l.pos++
		case strings.HasPrefix(rest, "\u00a0"), strings.HasPrefix(rest, "\ufeff"):
			l.pos += len("\u00a0")
			if rest[0] == 0xef {
				l.pos++
			}
		default:
			return
		}
	}
}

func (l *lexer) quoted(quote byte, k tokenKind) tokenKind {
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch l.text[l.pos] {
		case '\\':
			l.pos++
		case quote:
			if l.pos+1 < len(l.text) && l.text[l.pos+1] == quote {
				l.pos++
				continue
			}
			l.pos++
			return k
		}
	}
	l.pos = len(l.text)
	return tokenBroken
}

// heredoc reads $tag$ … $tag$, or a single $.
func (l *lexer) heredoc() tokenKind {
	end := l.pos + 1
	for end < len(l.text) && wordPart(l.text[end]) && l.text[end] != '$' {
		end++
	}
	if end >= len(l.text) || l.text[end] != '$' {
		l.pos++
		return tokenOther
	}
	tag := l.text[l.pos : end+1]
	stop := strings.Index(l.text[end+1:], tag)
	if stop < 0 {
		l.pos++
		return tokenOther
	}
	l.pos = end + 1 + stop + len(tag)
	return tokenString
}

func wordStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func wordPart(c byte) bool  { return wordStart(c) || c >= '0' && c <= '9' || c == '$' }

// errStatementTooLong says that the statement of an INSERT does not end within the part that was read.
var errStatementTooLong = errors.New("the INSERT statement before its rows is too long")

// readStatement reads the beginning of a request's text. With more set the text goes on beyond what is given, which
// only the rows of an INSERT may do.
func readStatement(text string, more bool) (statement, error) {
	l := &lexer{text: text}
	first := l.next()
	for first.kind == tokenOther && (first.text == "(" || first.text == ";") {
		first = l.next()
	}
	s := statement{kind: kindOther, text: text, plain: text, keyword: strings.ToUpper(first.text)}
	switch {
	case first.kind == tokenEnd:
		s.kind = kindEmpty
		return s, nil
	case first.kind == tokenBroken:
		return s, nil
	case first.is("INSERT"):
		return readInsert(s, l, more)
	case first.is("SELECT"), first.is("WITH"):
		s.kind = kindSelect
	case first.is("SET"), first.is("USE"):
		s.session = true
	case first.is("CREATE"):
		second := l.next()
		if second.is("OR") {
			l.next()
			second = l.next()
		}
		s.session = second.is("TEMPORARY") || second.is("TEMP")
	}
	s.format, s.plain = outputFormat(text)
	return s, nil
}

// readInsert finds where the statement ends and its rows begin. A statement without SELECT, VALUES or FORMAT ends where
// the text does; its rows come in the request's body.
func readInsert(s statement, l *lexer, more bool) (statement, error) {
	depth := 0
	settings := false
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd || t.kind == tokenBroken:
			if more {
				return s, errStatementTooLong
			}
			s.kind, s.data = kindInsert, len(l.text)
			return s, nil
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case depth != 0:
		case t.text == ";":
			s.kind, s.text, s.data = kindInsert, l.text[:t.start], t.end
			return s, nil
		case t.is("SETTINGS"):
			settings = true
		case settings && t.kind == tokenWord && strings.EqualFold(t.text, "insert_deduplication_token"):
			s.token = true
		case t.is("SELECT"), t.is("WITH"), t.is("INFILE"):
			if more {
				return s, errStatementTooLong
			}
			return s, nil
		case t.is("WATCH"):
			return s, nil
		case t.is("VALUES"):
			s.kind, s.format, s.text, s.data = kindInsert, "Values", l.text[:t.start], t.end
			return s, nil
		case t.is("FORMAT"):
			name := l.next()
			if name.kind != tokenWord {
				return s, nil
			}
			if name.is("Values") {
				s.format = "Values"
			}
			s.kind, s.format, s.text = kindInsert, name.text, l.text[:t.start]
			s.data = dataStart(l, name.end)
			return s, nil
		}
	}
}

// dataStart is where rows begin after FORMAT name: behind blanks, one semicolon and one line break, as in ClickHouse.
// The setting list that may follow a format is not supported there; SETTINGS belong before FORMAT.
func dataStart(l *lexer, pos int) int {
	for pos < len(l.text) && (l.text[pos] == ' ' || l.text[pos] == '\t' || l.text[pos] == '\r') {
		pos++
	}
	if pos < len(l.text) && l.text[pos] == ';' {
		pos++
		for pos < len(l.text) && (l.text[pos] == ' ' || l.text[pos] == '\t' || l.text[pos] == '\r') {
			pos++
		}
	}
	if pos < len(l.text) && l.text[pos] == '\n' {
		pos++
	}
	return pos
}

// outputFormat is the name in the FORMAT clause of a statement, "" without one, and the statement without that clause
// and without the semicolon at its end. A text of several statements stays as it is; the engine counts them.
func outputFormat(text string) (format, plain string) {
	l := &lexer{text: text}
	depth, end := 0, -1
	from, to := 0, 0
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd || t.kind == tokenBroken:
			if end < 0 {
				end = len(text)
			}
			return format, text[:from] + text[to:end]
		case t.text == ";":
			if end < 0 {
				end = t.start
			}
		case end >= 0:
			return "", text
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case depth == 0 && t.is("FORMAT"):
			if name := l.next(); name.kind == tokenWord {
				format, from, to = name.text, t.start, name.end
			}
		}
	}
}

// insertTarget is what an INSERT names: the table, as written, and the columns, nil without a list of them.
type insertTarget struct {
	table   string
	columns []string
}

// readInsertTarget finds what an INSERT names. A table function or a pattern of columns is not read.
func readInsertTarget(text string) (insertTarget, bool) {
	l := &lexer{text: text}
	l.next() // INSERT
	t := l.next()
	if t.is("INTO") {
		t = l.next()
	}
	if t.is("TABLE") && isName(l.peek()) {
		t = l.next()
	}
	if t.is("FUNCTION") && isName(l.peek()) || !isName(t) {
		return insertTarget{}, false
	}
	start, end := t.start, t.end
	if l.peek().text == "." {
		l.next()
		if t = l.next(); !isName(t) {
			return insertTarget{}, false
		}
		end = t.end
	}
	target := insertTarget{table: text[start:end]}
	if l.peek().text != "(" {
		return target, true
	}
	l.next()
	for {
		if t = l.next(); !isName(t) {
			return insertTarget{}, false
		}
		name := unquoteName(t)
		// A column of a Nested has a name of two parts.
		for t = l.next(); t.text == "."; t = l.next() {
			part := l.next()
			if !isName(part) {
				return insertTarget{}, false
			}
			name += "." + unquoteName(part)
		}
		target.columns = append(target.columns, name)
		switch t.text {
		case ")":
			return target, true
		case ",":
		default:
			return insertTarget{}, false
		}
	}
}

func isName(t token) bool { return t.kind == tokenWord || t.kind == tokenQuoted }

// unquoteName is the name that a word or a quoted name stands for.
func unquoteName(t token) string {
	if t.kind != tokenQuoted {
		return t.text
	}
	quote := t.text[0]
	name := t.text[1 : len(t.text)-1]
	return strings.NewReplacer(`\\`, `\`, `\`+string(quote), string(quote), string([]byte{quote, quote}), string(quote)).
		Replace(name)
}

// readSet reads SET name = value, ….
func readSet(text string) ([]setting, bool) {
	l := &lexer{text: text}
	l.next() // SET
	var settings []setting
	for {
		name := l.next()
		if !isName(name) || l.next().text != "=" {
			return nil, false
		}
		value := l.next()
		sign := ""
		if value.text == "-" {
			sign, value = "-", l.next()
		}
		switch value.kind {
		case tokenWord, tokenNumber:
			settings = append(settings, setting{unquoteName(name), sign + value.text})
		case tokenString:
			if strings.HasPrefix(value.text, "$") {
				return nil, false
			}
			settings = append(settings, setting{unquoteName(name), unquoteField(value.text)})
		default:
			return nil, false
		}
		switch next := l.next(); {
		case next.text == ",":
		case next.kind == tokenEnd, next.text == ";":
			return settings, true
		default:
			return nil, false
		}
	}
}
