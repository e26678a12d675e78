package nginx

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Conf is what an nginx.conf says about access logs.
type Conf struct {
	formats map[string]definition
	logs    []accessLog
}

// definition is a log_format directive: the words behind its name.
type definition struct {
	words []word
	at    string
}

// accessLog is an access_log directive.
type accessLog struct{ path, format, at string }

// Bounds of a configuration: no real one comes near.
const (
	maxConfBytes = 4 << 20 // of one file
	maxConfFiles = 2048
	maxConfDepth = 16
)

// ReadConf reads the configuration file name, and what it includes, from the root of a file system: no command is run
// and no variable resolved. An include that is not absolute is taken from the folder of the file name, as nginx does.
func ReadConf(root fs.FS, name string) (*Conf, error) {
	c := &confFile{root: root, folder: path.Dir(name), conf: &Conf{formats: map[string]definition{}}}
	if err := c.read(name, "", 0, false); err != nil {
		return nil, err
	}
	return c.conf, nil
}

// Format returns the text of the log_format with that name, for [Options].
func (c *Conf) Format(name string) (string, error) {
	if d, ok := c.formats[name]; ok {
		if _, err := compileFormat(d.words, d.at+": "); err != nil {
			return "", err
		}
		return quote(d.words), nil
	}
	if name == Combined {
		return Combined, nil
	}
	return "", fmt.Errorf("no log_format %q; there are %s", name, c.names())
}

// FormatOf returns the text of the log_format that the access log at this path is written with. A path that is not
// absolute in nginx.conf is below a folder that nginx was built or started with, so any will do. A file that a rotation has
// renamed, such as access.log.1, is the log whose name its own begins with.
func (c *Conf) FormatOf(log string) (string, error) {
	best, at, format := "", "", ""
	for _, l := range c.logs {
		if !l.writes(log) || len(l.path) < len(best) {
			continue
		}
		if l.path == best && l.format != format {
			return "", fmt.Errorf("%s and %s write %s with the formats %s and %s; name one of them, or give each a file",
				at, l.at, l.path, format, l.format)
		}
		best, at, format = l.path, l.at, l.format
	}
	if best == "" {
		return "", fmt.Errorf("no access_log writes %s; name the log_format, one of %s", log, c.names())
	}
	if _, ok := c.formats[format]; !ok && format != Combined {
		return "", fmt.Errorf("%s: no log_format %q; there are %s", at, format, c.names())
	}
	return c.Format(format)
}

// writes reports whether the directive is for file, or was before a rotation added something to its name.
func (l accessLog) writes(file string) bool {
	if !path.IsAbs(l.path) {
		at := strings.LastIndex(file, "/"+l.path)
		if at < 0 {
			return false
		}
		file = file[at+1:]
	}
	rest, ok := strings.CutPrefix(file, l.path)
	return ok && (rest == "" || !strings.Contains(rest, "/") && (rest[0] == '.' || rest[0] == '-'))
}

func (c *Conf) names() string {
	names := []string{Combined}
	for name := range c.formats {
		if name != Combined {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// confFile reads the files of one configuration.
type confFile struct {
	root   fs.FS
	folder string
	conf   *Conf
	files  int
}

// inFS is a path as package fs has it.
func inFS(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// read reads a file that is included at from; other is true inside a block whose logs are not of HTTP.
func (c *confFile) read(name, from string, depth int, other bool) error {
	if depth > maxConfDepth {
		return fmt.Errorf("%s: includes are nested deeper than %d", from, maxConfDepth)
	}
	if c.files++; c.files > maxConfFiles {
		return fmt.Errorf("%s: more than %d files are included", from, maxConfFiles)
	}
	text, err := c.text(name)
	if err != nil {
		var fault *fs.PathError
		if errors.As(err, &fault) {
			err = fault.Err
		}
		if from != "" {
			return fmt.Errorf("%s: include %s: %w", from, name, err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	r := &confReader{text: text, file: name}
	// blocks is how many are open, outside at how many the one of another protocol began.
	blocks, outside := 0, -1
	for {
		words, end, err := r.directive()
		if errors.Is(err, errConfEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(words) > 0 {
			if err := c.directive(words, depth, other || outside >= 0); err != nil {
				return err
			}
		}
		switch end {
		case '{':
			if outside < 0 && (words[0].text == "stream" || words[0].text == "mail") {
				outside = blocks
			}
			blocks++
			if strings.HasSuffix(words[0].text, "_by_lua_block") {
				r.skipLua()
				blocks--
			}
		case '}':
			if blocks--; blocks == outside {
				outside = -1
			}
		}
	}
}

func (c *confFile) text(name string) (string, error) {
	f, err := c.root.Open(inFS(name))
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file")
	case info.Size() > maxConfBytes:
		return "", fmt.Errorf("larger than %d bytes", maxConfBytes)
	}
	data, err := fs.ReadFile(c.root, inFS(name))
	return string(data), err
}

// directive takes from a directive what there is to know about access logs.
func (c *confFile) directive(words []word, depth int, other bool) error {
	if words[0].quoted || other && words[0].text != "include" {
		return nil
	}
	at := words[0].at(0)
	arguments := words[1:]
	switch words[0].text {
	case "include":
		if len(arguments) != 1 {
			return fmt.Errorf("%s: include must have one argument, got %d", at, len(arguments))
		}
		return c.include(arguments[0].text, at, depth, other)
	case "log_format":
		if len(arguments) < 2 {
			return fmt.Errorf("%s: log_format must have a name and a format", at)
		}
		c.conf.formats[arguments[0].text] = definition{arguments[1:], at}
	case "access_log":
		if len(arguments) == 0 {
			return fmt.Errorf("%s: access_log must have a path", at)
		}
		// off, syslog:… and paths with variables are no files that can be known.
		name := arguments[0].text
		if name == "off" || strings.HasPrefix(name, "syslog:") || strings.Contains(name, "$") {
			return nil
		}
		format := Combined
		if len(arguments) > 1 && !strings.Contains(arguments[1].text, "=") {
			format = arguments[1].text
		}
		c.conf.logs = append(c.conf.logs, accessLog{path: path.Clean(name), format: format, at: at})
	}
	return nil
}

func (c *confFile) include(pattern, from string, depth int, other bool) error {
	if !path.IsAbs(pattern) {
		pattern = path.Join(c.folder, pattern)
	}
	if !strings.ContainsAny(pattern, "*?[") {
		return c.read(pattern, from, depth+1, other)
	}
	names, err := fs.Glob(c.root, inFS(pattern))
	if err != nil {
		return fmt.Errorf("%s: include: not a pattern of file names", from)
	}
	for _, name := range names {
		if path.IsAbs(pattern) {
			name = "/" + name
		}
		if err := c.read(name, from, depth+1, other); err != nil {
			return err
		}
	}
	return nil
}

// word is one word of a configuration.
type word struct {
	text   string
	quoted bool
	file   string
	// line and column are where its text begins, from 1.
	line, column int
}

// at is a place in the word, for errors: "nginx.conf:12:5", or for a text that is no file "column 5".
func (w word) at(offset int) string {
	switch {
	case w.file != "":
		return fmt.Sprintf("%s:%d:%d", w.file, max(1, w.line), max(1, w.column)+offset)
	case w.line > 1:
		return fmt.Sprintf("line %d, column %d", w.line, w.column+offset)
	}
	return fmt.Sprintf("column %d", max(1, w.column)+offset)
}

var errConfEnd = errors.New("end of the configuration")

// confReader reads directives: words up to ";", "{" or "}".
type confReader struct {
	text, file   string
	pos          int
	line, column int
}

// directive returns the words of the next directive and what ended it, 0 for the end of the text. Only before "}" there may
// be no words. The error is errConfEnd after the last.
func (r *confReader) directive() (words []word, end byte, err error) {
	if r.line == 0 {
		r.line, r.column = 1, 1
	}
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.next()
		case '#':
			for r.pos < len(r.text) && r.text[r.pos] != '\n' {
				r.next()
			}
		case ';', '{', '}':
			r.next()
			if len(words) > 0 || c == '}' {
				return words, c, nil
			}
		default:
			w, err := r.word()
			if err != nil {
				return nil, 0, err
			}
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return nil, 0, errConfEnd
	}
	return words, 0, nil
}

// skipLua skips a block of Lua, whose braces, quotes and comments are not nginx's, and the brace that ends it.
func (r *confReader) skipLua() {
	// until skips to behind the next mark.
	until := func(mark string) {
		for r.pos < len(r.text) && !strings.HasPrefix(r.text[r.pos:], mark) {
			r.next()
		}
		for range min(len(mark), len(r.text)-r.pos) {
			r.next()
		}
	}
	for depth := 1; depth > 0 && r.pos < len(r.text); {
		rest := r.text[r.pos:]
		switch c := r.next(); {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case strings.HasPrefix(rest, "--[["), strings.HasPrefix(rest, "[["):
			until("]]")
		case strings.HasPrefix(rest, "--"):
			until("\n")
		case c == '"' || c == '\'':
			for r.pos < len(r.text) {
				d := r.next()
				if d == c || d == '\n' {
					break
				}
				if d == '\\' && r.pos < len(r.text) {
					r.next()
				}
			}
		}
	}
}

func (r *confReader) next() byte {
	c := r.text[r.pos]
	r.pos++
	r.column++
	if c == '\n' {
		r.line++
		r.column = 1
	}
	return c
}

// word reads a word as ngx_conf_read_token does.
func (r *confReader) word() (word, error) {
	w := word{file: r.file, line: r.line, column: r.column}
	var b strings.Builder
	quote := byte(0)
	if c := r.text[r.pos]; c == '"' || c == '\'' {
		quote, w.quoted = r.next(), true
		w.column++
	}
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		switch {
		case quote != 0 && c == quote:
			r.next()
			w.text = b.String()
			return w, nil
		case quote == 0 && strings.IndexByte(" \t\r\n;{", c) >= 0 && !(c == '{' && strings.HasSuffix(b.String(), "$")):
			w.text = b.String()
			return w, nil
		case c == '\\' && r.pos+1 < len(r.text):
			r.next()
			switch c := r.next(); c {
			case '"', '\'', '\\':
				b.WriteByte(c)
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case 'n':
				b.WriteByte('\n')
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
		default:
			b.WriteByte(r.next())
		}
	}
	if quote != 0 {
		return w, fmt.Errorf("%s: a quote that does not end", w.at(-1))
	}
	w.text = b.String()
	return w, nil
}

// quote writes words so that they can be read again.
func quote(words []word) string {
	var b strings.Builder
	for i, w := range words {
		if i == 0 && !w.quoted && strings.HasPrefix(w.text, "escape=") {
			b.WriteString(w.text)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('\'')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(w.text))
		b.WriteByte('\'')
	}
	return b.String()
}
