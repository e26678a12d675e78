package apache

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// The fields of a line.
const (
	timeText fields.ID = iota
	host
	clientAddress
	clientPort
	request
	method
	path
	query
	protocol
	status
	microseconds // %D, %{us}T
	milliseconds // %{ms}T
	seconds      // %T
	serverName
	canonicalName
	hostHeader
	userAgent
	upgrade
	offered
	websocketKey
	traceparent
	subprotocol
	extensions
	tlsVersion
	uniqueID
	fieldCount
)

// directives are the fields by mod_log_config's directives, without modifiers.
var directives = map[string]fields.ID{
	"%t": timeText, "%h": host, "%a": clientAddress, "%{c}a": clientAddress, "%{remote}p": clientPort, "%r": request,
	"%m": method, "%U": path, "%q": query, "%H": protocol, "%s": status, "%D": microseconds, "%{us}T": microseconds,
	"%{ms}T": milliseconds, "%T": seconds, "%{s}T": seconds, "%V": serverName, "%v": canonicalName, "%{host}i": hostHeader,
	"%{user-agent}i": userAgent, "%{upgrade}i": upgrade, "%{sec-websocket-protocol}i": offered,
	"%{sec-websocket-key}i": websocketKey, "%{traceparent}i": traceparent, "%{sec-websocket-protocol}o": subprotocol,
	"%{sec-websocket-extensions}o": extensions, "%{ssl_protocol}x": tlsVersion, "%{ssl_protocol}e": tlsVersion,
	"%{unique_id}e": uniqueID, "%L": uniqueID,
}

func newLine() *fields.Line {
	names := make([]string, fieldCount)
	for name, f := range directives {
		if names[f] == "" || len(name) < len(names[f]) {
			names[f] = name
		}
	}
	return fields.NewLine(names)
}

// nicknames are the formats that Apache's own configuration defines.
var nicknames = map[string]string{
	"common":         `%h %l %u %t "%r" %>s %b`,
	"combined":       `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	"combinedio":     `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O`,
	"vhost_combined": `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
}

// standard is the format of %t.
const standard = "[%d/%b/%Y:%H:%M:%S %z]"

// format is a format compiled.
type format struct {
	template *fields.Template
	time     access.TimeFormat
	// atEnd is true where the time is that of the end of the request.
	atEnd bool
	has   [fieldCount]bool
}

// text returns the format in a LogFormat directive, in its quotes, in quotes alone or bare, or behind a nickname.
func text(template string) string {
	s := strings.TrimSpace(template)
	if known, ok := nicknames[s]; ok {
		return known
	}
	s = strings.TrimSpace(strings.TrimPrefix(s, "LogFormat"))
	if len(s) == 0 || s[0] != '"' && s[0] != '\'' {
		return s
	}
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == quote || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == quote:
			if rest := strings.TrimSpace(s[i+1:]); rest == "" || !strings.ContainsAny(rest, "%\"") {
				return b.String()
			}
			return s // a bare format that begins with a quote
		default:
			b.WriteByte(s[i])
		}
	}
	return s
}

// compile compiles a format as it stands in Apache's configuration.
func compile(template string, zone *time.Location) (*format, error) {
	f := &format{}
	var tokens []fields.Token
	timeFormat, last := "", -1 // last is the token of the time
	s := text(template)
	for i := 0; i < len(s); {
		if s[i] != '%' || strings.HasPrefix(s[i:], "%%") {
			c := s[i : i+1]
			if s[i] == '%' {
				i++
			} else if strings.HasPrefix(s[i:], `\t`) {
				c = "\t"
				i++
			}
			i++
			if n := len(tokens); n > 0 && tokens[n-1].Literal != "" {
				tokens[n-1].Literal += c
			} else {
				tokens = append(tokens, fields.Token{Literal: c})
			}
			continue
		}
		at := "column " + strconv.Itoa(i+1)
		name, n := directive(s[i:])
		if n == 0 {
			return nil, fmt.Errorf("%s: the directive has no letter", at)
		}
		i += n
		token := fields.Token{Name: name, At: at, Field: fields.None}
		if layout, atEnd, ok := timeDirective(name); ok {
			// A time may be written in parts: %{%Y-%m-%dT%T}t.%{msec_frac}t%{%z}t.
			if between, joined := tail(tokens, last); joined {
				timeFormat += between + layout
				tokens = tokens[:last+1]
			} else if last < 0 {
				token.Field, timeFormat, f.atEnd, last = timeText, layout, atEnd, len(tokens)
				tokens = append(tokens, token)
			} else {
				tokens = append(tokens, token)
			}
			continue
		}
		if id, ok := directives[canonical(name)]; ok {
			if n := len(tokens); id == query && n > 0 && tokens[n-1].Field == path {
				continue // %U%q is one target; the query begins with its question mark
			}
			token.Field = id
			token.Unbroken = id == host || id == clientAddress || id == canonicalName || id == serverName
			f.has[id] = true
		}
		tokens = append(tokens, token)
	}
	if last >= 0 {
		var ok bool
		if f.time, ok = access.NewTimeFormat(timeFormat, zone); !ok {
			return nil, fmt.Errorf("%s: the format of the time cannot be read; use %%t or %%{msec}t", tokens[last].At)
		}
		f.has[timeText] = true
		tokens[last].Words = f.time.Words()
	}
	var err error
	if f.template, err = fields.NewTemplate(tokens, fields.Backslash); err != nil {
		return nil, err
	}
	var faults []error
	if !f.has[timeText] {
		faults = append(faults, errors.New("add %t: without a time no line can be used"))
	}
	if !f.has[status] {
		faults = append(faults, errors.New("add %>s: without it no line says what became of a handshake"))
	}
	return f, errors.Join(faults...)
}

// tail returns the literal between a time's last part and the end of the tokens, and whether another part may follow.
func tail(tokens []fields.Token, last int) (string, bool) {
	switch {
	case last < 0:
		return "", false
	case len(tokens) == last+1:
		return "", true
	case len(tokens) == last+2 && strings.Trim(tokens[last+1].Literal, ".,:T ") == "" && tokens[last+1].Literal != "":
		return tokens[last+1].Literal, true
	}
	return "", false
}

// directive returns the directive at the beginning of s without its modifiers, and its length with them.
func directive(s string) (string, int) {
	i := 1
	for i < len(s) && (s[i] == '<' || s[i] == '>' || s[i] == '!' || s[i] == ',' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	argument := ""
	if i < len(s) && s[i] == '{' {
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", 0
		}
		argument = s[i : i+end+1]
		i += end + 1
	}
	for i < len(s) && (s[i] == '<' || s[i] == '>') {
		i++
	}
	end := i + 1
	if i < len(s) && s[i] == '^' {
		end = i + 3 // ^FB, ^ti, ^to
	}
	if end > len(s) {
		return "", 0
	}
	return "%" + argument + s[i:end], end
}

// canonical returns a directive as directives has it: names of headers have no case.
func canonical(name string) string {
	if end := strings.LastIndexByte(name, '}'); end >= 0 {
		return strings.ToLower(name[:end]) + name[end:]
	}
	return name
}

// timeDirective returns the format of strftime that a time's directive has, and whether it is that of the end.
func timeDirective(name string) (layout string, atEnd, ok bool) {
	if name == "%t" {
		return standard, false, true
	}
	layout, ok = strings.CutSuffix(name, "}t")
	if !ok {
		return "", false, false
	}
	layout = strings.TrimPrefix(layout, "%{")
	layout = strings.TrimPrefix(layout, "begin:")
	layout, atEnd = strings.CutPrefix(layout, "end:")
	switch layout {
	case "begin", "":
		layout = standard
	case "end":
		layout, atEnd = standard, true
	case "msec_frac":
		layout = "%3f"
	case "usec_frac":
		layout = "%6f"
	}
	return layout, atEnd, true
}

// advise says what a format lacks.
func (f *format) advise(paths bool) (advice []string) {
	for _, a := range []struct {
		ok   bool
		text string
	}{
		{f.has[upgrade] || paths, `add "%{Upgrade}i", or name websocket_paths, to see handshakes that were rejected`},
		{f.has[microseconds] || f.has[milliseconds] || f.has[seconds], "add %D, to see how long connections lasted and when they closed"},
		{f.has[clientPort] || f.has[uniqueID], "add %{remote}p or %L, to tell connections apart"},
		{f.has[hostHeader] || f.has[serverName] || f.has[canonicalName], "add %V, to tell hosts apart"},
	} {
		if !a.ok {
			advice = append(advice, a.text)
		}
	}
	return advice
}
