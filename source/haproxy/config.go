package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sockeye-project/sockeye/source/fields"
)

// The formats that have a name in haproxy.cfg, as the configuration manual gives them.
const (
	httpLog = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`
	tlsLog  = httpLog + ` %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] ` +
		`%[ssl_fc_sni]/%sslv/%sslc`
	clfLog = `%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc ` +
		`%sq %bq %CC %CS %hrl %hsl`
	// failure is the line of a connection that ended before there was a request, unless error-log-format says otherwise.
	failure = `%ci:%cp [%t] %ft/%bi: %[fc_err_str]`
)

// environment are the variables by which a log-format extends one of those (HAProxy configuration manual, "Custom log
// format").
var environment = strings.NewReplacer("${HAPROXY_HTTP_LOG_FMT}", httpLog, "${HAPROXY_HTTPS_LOG_FMT}", tlsLog,
	"${HAPROXY_HTTP_CLF_LOG_FMT}", clfLog)

// config is what a configuration says about lines.
type config struct {
	format, errorFormat string
	// request and response are the fields of the captured headers, in order; nil is not known.
	request, response []fields.ID
	// set are the fields of variables that were set from headers.
	set map[string]fields.ID
}

// sections are what begins one.
var sections = []string{"global", "defaults", "frontend", "backend", "listen"}

// readConfig reads a template: a log-format as it stands, or lines of haproxy.cfg that have one, with the captures that
// say what the values in braces are.
func readConfig(text string) (config, error) {
	c := config{format: httpLog, errorFormat: failure, set: map[string]fields.ID{}}
	if strings.TrimSpace(text) == "" {
		return c, nil
	}
	directives, own := 0, false
	// section counts the sections, from 1; capturing is the one that has captures, whose places count in it alone.
	section, capturing := 1, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		found := true
		before := len(c.request) + len(c.response)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case words[0] == "log-format" && len(words) > 1:
			format := strings.TrimSpace(strings.TrimPrefix(line, "log-format"))
			if format[0] == '"' || format[0] == '\'' {
				end := quoteEnd(format)
				if end < 0 {
					return c, errors.New("log-format: the quote does not end on its line, as HAProxy has it; join the lines")
				}
				if rest := strings.TrimSpace(format[end:]); strings.HasPrefix(rest, "#") {
					format = format[:end]
				}
			}
			format = word(format)
			if own && format != c.format {
				return c, errors.New("there are several log-formats; give the lines of one frontend only")
			}
			c.format, own = format, true
		case words[0] == "error-log-format" && len(words) > 1:
			c.errorFormat = word(strings.TrimSpace(strings.TrimPrefix(line, "error-log-format")))
		case len(words) > 1 && words[0] == "option" && words[1] == "httplog":
			if !own {
				c.format = httpLog
			}
			if !own && len(words) > 2 && words[2] == "clf" {
				c.format = clfLog
			}
		case len(words) > 1 && words[0] == "option" && words[1] == "httpslog":
			if !own {
				c.format = tlsLog
			}
		case len(words) > 3 && words[0] == "capture" && words[1] == "request" && words[2] == "header":
			c.request = append(c.request, headerField(requestHeaders, words[3]))
		case len(words) > 3 && words[0] == "capture" && words[1] == "response" && words[2] == "header":
			c.response = append(c.response, headerField(responseHeaders, words[3]))
		case len(words) > 2 && words[0] == "declare" && words[1] == "capture":
			if words[2] == "request" {
				c.request = append(c.request, fields.None)
			} else {
				c.response = append(c.response, fields.None)
			}
		case strings.HasPrefix(line, "http-request ") || strings.HasPrefix(line, "http-response "):
			c.rule(words)
		case slices.Contains(sections, words[0]):
			section++
			found = false
		default:
			found = false
		}
		if len(c.request)+len(c.response) > before {
			if capturing != 0 && capturing != section {
				return c, errors.New("several frontends have captures; give the lines of one frontend only")
			}
			capturing = section
		}
		if found && len(words) > 0 {
			directives++
		}
	}
	if directives == 0 {
		c.format = word(strings.TrimSpace(text))
		return c, nil
	}
	return c, nil
}

// rule reads a rule that captures a header or keeps it in a variable.
func (c *config) rule(words []string) {
	headers, slots := requestHeaders, &c.request
	if words[0] == "http-response" {
		headers, slots = responseHeaders, &c.response
	}
	if len(words) < 3 {
		return
	}
	f := fields.None
	if name, ok := argument(words[2], "req.hdr", "req.fhdr", "hdr", "res.hdr", "res.fhdr"); ok {
		f = headerField(headers, name)
	}
	if words[1] == "capture" {
		*slots = append(*slots, f)
	}
	if name, ok := argument(words[1], "set-var", "set-var-fmt"); ok {
		c.set[name] = f
	}
}

// argument returns what stands in the brackets after one of the names, up to its first comma.
func argument(s string, of ...string) (string, bool) {
	for _, name := range of {
		if rest, ok := strings.CutPrefix(s, name+"("); ok {
			inner, _, closed := strings.Cut(rest, ")")
			inner, _, _ = strings.Cut(inner, ",")
			return strings.Trim(strings.TrimSpace(inner), `"'`), closed
		}
	}
	return "", false
}

// quoteEnd returns where the quote that s begins with has ended, or -1.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i + 1
		case s[i] == '\\' && s[0] == '"':
			i++
		}
	}
	return -1
}

// word decodes one word of haproxy.cfg: quotes and backslashes. A text that is no such word, since whoever copied it
// left the quotes out, is returned as it stands.
func word(s string) string {
	quoted := len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0]
	if !quoted && !strings.Contains(s, `\ `) {
		return s
	}
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// field is what became of a variable of a format.
type field struct {
	id     fields.ID
	name   string
	quoted bool
	json   bool // escaped as JSON has it
	key    string
}

// compile returns the scanner of a format.
func (c *config) compile(format string) (fields.Scanner, error) {
	tokens, list, object, err := c.tokens(format)
	if err != nil {
		return nil, err
	}
	if object {
		byKey := map[string]fields.ID{}
		for _, f := range list {
			if f.key != "" && f.id != fields.None {
				byKey[f.key] = f.id
			}
		}
		return fields.NewJSON(byKey), nil
	}
	style := fields.Hash
	if escapesAsJSON(format) {
		style = fields.Backslash
	}
	return fields.NewTemplate(tokens, style)
}

// escapesAsJSON reports whether a format has values that are escaped as JSON has it; the others are then read as they
// stand.
func escapesAsJSON(format string) bool {
	return strings.Contains(format, "json(") || strings.Contains(format, "+E")
}

// tokens takes a format apart. object is true where HAProxy is told to make a JSON object of it.
func (c *config) tokens(format string) (tokens []fields.Token, list []field, object bool, err error) {
	format = environment.Replace(format)
	quoted, escaped := false, false
	text := func(s string) {
		if n := len(tokens); n > 0 && tokens[n-1].Literal != "" {
			tokens[n-1].Literal += s
		} else if s != "" {
			tokens = append(tokens, fields.Token{Literal: s})
		}
	}
	for i := 0; i < len(format); {
		if format[i] != '%' {
			// HAProxy writes one space for several.
			if format[i] != ' ' || i == 0 || format[i-1] != ' ' {
				text(format[i : i+1])
			}
			i++
			continue
		}
		start := i
		i++
		flags, key := "", ""
		if i < len(format) && format[i] == '{' {
			end := strings.IndexByte(format[i:], '}')
			if end < 0 {
				return nil, nil, false, fmt.Errorf("column %d: a brace is not closed", i+1)
			}
			flags = format[i+1 : i+end]
			i += end + 1
		}
		if i < len(format) && format[i] == '(' {
			end := strings.IndexByte(format[i:], ')')
			if end < 0 {
				return nil, nil, false, fmt.Errorf("column %d: a bracket is not closed", i+1)
			}
			key, _, _ = strings.Cut(format[i+1:i+end], ":")
			i += end + 1
		}
		f := field{id: fields.None, key: key, quoted: quoted, json: escaped}
		for flag := range strings.SplitSeq(flags, ",") {
			switch strings.TrimSpace(flag) {
			case "+Q":
				f.quoted = true
			case "-Q":
				f.quoted = false
			case "+E":
				f.json = true
			case "+json":
				object = true
			}
		}
		// HAProxy escapes its own variables, but values of expressions only where it is told to.
		raw := false
		hexadecimal := strings.Contains(flags, "+X")
		switch {
		case i < len(format) && format[i] == '%':
			text("%")
			i++
			continue
		case i < len(format) && format[i] == '[':
			end := closing(format[i:])
			if end < 0 {
				return nil, nil, false, fmt.Errorf("column %d: a bracket is not closed", i+1)
			}
			f.name = format[start : i+end+1]
			expression := format[i+1 : i+end]
			byKey := fields.None
			if n := len(tokens); n > 0 {
				byKey = keyed(tokens[n-1].Literal)
			}
			f.id = c.expression(expression, byKey)
			f.json = f.json || strings.Contains(expression, "json(")
			raw = !f.json
			i += end + 1
		default:
			end := i
			for end < len(format) && alphanumeric(format[end]) {
				end++
			}
			name := format[i:end]
			if name == "" {
				return nil, nil, false, fmt.Errorf("column %d: no variable follows the %%", start+1)
			}
			i = end
			if name == "o" {
				// It prints nothing: its flags are for all that follow.
				quoted, escaped = f.quoted, f.json
				if i < len(format) && format[i] == ' ' {
					i++
				}
				continue
			}
			f.name = "%" + name
			if id, ok := variables[name]; ok && !hexadecimal {
				f.id = id
			}
			f.quoted = f.quoted && texts[name]
		}
		raw = raw || escapesAsJSON(format) && !f.json
		list = append(list, f)
		if f.quoted {
			text(`"`)
		}
		tokens = append(tokens, fields.Token{
			Name: f.name, At: "column " + strconv.Itoa(start+1), Field: f.id,
			Raw:    raw,
			Braces: !f.quoted && (f.id == requestCaptures || f.id == responseCaptures),
			Words:  words(f.id),
		})
		if f.quoted {
			text(`"`)
		}
	}
	return join(tokens), list, object, nil
}

// texts are the variables that +Q puts into quotes; of %hrl and %hsl it is every header that they list.
var texts = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields("b bi ci CC CS f fi ft H hr hs HM HP HPO HQ HU HV ID r s si sslc sslv") {
		m[name] = true
	}
	return m
}()

// words is how many words the value of a field has.
func words(f fields.ID) int {
	if f == acceptZoned || f == requestZoned {
		return 2
	}
	return 0
}

// join makes one variable of the client's address and port, since an address may have the colon that stands between
// them, one of the seconds and milliseconds of a time, and one of the two lists of captured headers in the style of CLF,
// which have no mark where one ends and no space where both are empty.
func join(tokens []fields.Token) (out []fields.Token) {
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		follows := func(literal string, f fields.ID) bool {
			return i+2 < len(tokens) && tokens[i+1].Literal == literal && tokens[i+2].Literal == "" && tokens[i+2].Field == f
		}
		switch {
		case t.Literal != "":
		case t.Field == clientIP && follows(":", clientPort):
			t.Field, t.Name = client, names[client][0]
			i += 2
		case t.Field == acceptUnix && follows(".", acceptMillis):
			i += 2
		case t.Name == "%hrl" && follows(" ", fields.None) && tokens[i+2].Name == "%hsl":
			i += 2
		}
		out = append(out, t)
	}
	return out
}

// expression returns the field of a sample expression; byKey is the one that its key speaks for.
func (c *config) expression(e string, byKey fields.ID) fields.ID {
	if slot, ok := argument(e, "capture.req.hdr"); ok {
		n, err := strconv.Atoi(slot)
		switch {
		case err != nil || n < 0:
		case n < len(c.request):
			return c.request[n]
		case byKey != fields.None:
			return byKey
		case n < captures:
			return capture0 + fields.ID(n)
		}
		return fields.None
	}
	if slot, ok := argument(e, "capture.res.hdr"); ok {
		if n, err := strconv.Atoi(slot); err == nil && n >= 0 && n < len(c.response) {
			return c.response[n]
		}
		return byKey
	}
	if name, ok := argument(e, "req.hdr", "req.fhdr", "hdr", "req.hdr_ip"); ok {
		return headerField(requestHeaders, name)
	}
	if name, ok := argument(e, "res.hdr", "res.fhdr"); ok {
		return headerField(responseHeaders, name)
	}
	if name, ok := argument(e, "var"); ok {
		if f, ok := c.set[name]; ok {
			return f
		}
		_, short, _ := strings.Cut(name, ".")
		if f := headerField(requestHeaders, short); f != fields.None {
			return f
		}
		return byKey
	}
	fetch, _, _ := strings.Cut(e, ",")
	if f, ok := fetches[strings.TrimSuffix(fetch, "()")]; ok {
		return f
	}
	return fields.None
}

// keyed returns the field that the key at the end of a literal speaks for, such as `"upgrade":"` or `upgrade=`.
func keyed(literal string) fields.ID {
	literal = strings.TrimRight(literal, ` "'`)
	cut := strings.TrimRight(literal, ":=")
	if cut == literal {
		return fields.None
	}
	cut = strings.TrimRight(cut, ` "'`)
	name := cut[strings.LastIndexAny(cut, " \"'{,;|\t")+1:]
	if f, ok := keys[name]; ok {
		return f
	}
	return headerField(requestHeaders, name)
}

// closing returns where the bracket at the beginning of s is closed, or -1; quotes hide brackets.
func closing(s string) int {
	var quote byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ']':
			return i
		}
	}
	return -1
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
