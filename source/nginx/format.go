package nginx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

// Formats that have a name: Combined is the one that nginx has without being told, Main that of the nginx.conf of nginx's own
// packages, Upstreaminfo that of ingress-nginx.
const (
	Combined     = "combined"
	Main         = "main"
	Upstreaminfo = "upstreaminfo"

	combinedText = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent ` +
		`"$http_referer" "$http_user_agent"`
)

var named = map[string]string{
	Combined: combinedText,
	Main:     combinedText + ` "$http_x_forwarded_for"`,
	Upstreaminfo: combinedText + ` $request_length $request_time [$proxy_upstream_name] ` +
		`[$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time ` +
		`$upstream_status $req_id`,
}

// logFormat is a log_format taken apart.
type logFormat struct {
	tokens   []fields.Token
	style    fields.Style
	template *fields.Template
	// has are the fields that its lines have.
	has [fieldCount]bool
	// spaced are variables that clients may put spaces into and that nothing but a space ends.
	spaced []string
}

// styles are the values of escape=.
var styles = map[string]fields.Style{"default": fields.Backslash, "json": fields.Backslash, "none": fields.Plain}

// parseFormat takes a log_format as it stands in nginx.conf, with or without the directive around it, or the bare text
// that its quotes enclose.
func parseFormat(text string) (*logFormat, error) {
	if known, ok := named[text]; ok {
		text = known
	}
	rest := strings.TrimSpace(text)
	if strings.HasPrefix(rest, "log_format") || strings.HasPrefix(rest, "escape=") || strings.HasPrefix(rest, "'") {
		words, _, err := (&confReader{text: text}).directive()
		if err != nil {
			return nil, err
		}
		if words[0].text == "log_format" && !words[0].quoted {
			words = words[min(2, len(words)):]
		}
		return compileFormat(words, "")
	}
	return compile([]word{{text: strings.TrimRight(text, "\r\n")}}, fields.Backslash, "")
}

// compileFormat compiles the words of a log_format behind its name; at begins errors about the whole of it.
func compileFormat(words []word, at string) (*logFormat, error) {
	style := fields.Backslash
	if len(words) > 0 && !words[0].quoted {
		if name, ok := strings.CutPrefix(words[0].text, "escape="); ok {
			if style, ok = styles[name]; !ok {
				return nil, fmt.Errorf("%s: escape must be default, json or none", words[0].at(0))
			}
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return nil, errors.New(at + "the format is empty")
	}
	return compile(words, style, at)
}

// compile makes one format of the words, which nginx joins.
func compile(words []word, style fields.Style, at string) (*logFormat, error) {
	f := &logFormat{style: style}
	for _, w := range words {
		if err := f.add(w); err != nil {
			return nil, err
		}
	}
	f.joinTargets()
	var err error
	if f.template, err = fields.NewTemplate(f.tokens, style); err != nil {
		return nil, err
	}
	for i := range f.tokens {
		token := &f.tokens[i]
		if token.Literal != "" {
			continue
		}
		if token.Field != fields.None {
			f.has[token.Field] = true
		}
		if i+1 < len(f.tokens) && strings.HasPrefix(f.tokens[i+1].Literal, " ") && spacedByClients(token.Name) {
			f.spaced = append(f.spaced, token.Name)
		}
	}
	var faults []error
	if !f.has[status] {
		faults = append(faults, errors.New(at+"add $status: without it no line says what became of a handshake"))
	}
	if !f.has[msec] && !f.has[timeText] && !f.has[timeLocal] {
		faults = append(faults, errors.New(at+"add $msec: without a time no line says when it was written"))
	}
	return f, errors.Join(faults...)
}

// spacedByClients reports whether a client can put spaces into a variable.
func spacedByClients(name string) bool {
	return strings.HasPrefix(name, "http_") || strings.HasPrefix(name, "cookie_") || strings.HasPrefix(name, "arg_") ||
		name == variables[request][0]
}

// add takes a word apart.
func (f *logFormat) add(w word) error {
	for i := 0; i < len(w.text); {
		if w.text[i] != '$' {
			end := strings.IndexByte(w.text[i:], '$')
			if end < 0 {
				end = len(w.text) - i
			}
			f.tokens = append(f.tokens, fields.Token{Literal: w.text[i : i+end]})
			i += end
			continue
		}
		start := i
		i++
		braced := i < len(w.text) && w.text[i] == '{'
		if braced {
			i++
		}
		begin := i
		for i < len(w.text) && nameByte(w.text[i]) {
			i++
		}
		name := w.text[begin:i]
		if braced {
			if i == len(w.text) || w.text[i] != '}' {
				return fmt.Errorf(`%s: "${" without "}"`, w.at(start))
			}
			i++
		}
		if name == "" {
			return fmt.Errorf(`%s: "$" without the name of a variable`, w.at(start))
		}
		f.tokens = append(f.tokens, token(name, w.at(start)))
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func token(name, at string) fields.Token {
	t := fields.Token{Name: name, At: at, Field: fields.None}
	if f, ok := fieldsByVariable[name]; ok {
		t.Field = f
	}
	switch t.Field {
	case timeLocal:
		t.Words = 2
	case request:
		t.Words = 3
	case requestURI, uri:
		t.Begins = "/"
	case remoteAddr, msec, status, connection:
		t.Unbroken = true
	}
	t.List = strings.HasPrefix(name, "upstream_")
	return t
}

// joinTargets makes the three variables of a target that nginx has rewritten one, since nothing stands between them.
func (f *logFormat) joinTargets() {
	names := [...]string{variables[uri][0], "is_args", variables[args][0]}
	for i := 0; i+len(names) <= len(f.tokens); i++ {
		if f.tokens[i].Field == uri && f.tokens[i+1].Name == names[1] && f.tokens[i+2].Field == args {
			f.tokens[i].Field = requestURI
			f.tokens = slices.Delete(f.tokens, i+1, i+len(names))
		}
	}
}

// advice says what lines of this format cannot tell.
func (f *logFormat) advice(o Options) (list []string) {
	lacks := func(sentence string, any ...fields.ID) {
		if !slices.ContainsFunc(any, func(id fields.ID) bool { return f.has[id] }) {
			list = append(list, sentence)
		}
	}
	if len(o.Paths) == 0 {
		lacks("add $http_upgrade to see rejected handshakes, or name the paths that are WebSockets", httpUpgrade)
	} else {
		lacks("add $http_upgrade to know which requests were handshakes; now their path decides, and they are called "+
			"inferred", httpUpgrade)
	}
	lacks("add $request_time to see how long connections and rejected handshakes took", requestTime)
	lacks("add $upstream_header_time to see how long successful handshakes took", upstreamHeaderTime)
	lacks("add $msec: the times of this format have whole seconds", msec)
	lacks("add $request_id or $connection to tell connections apart that a client opens in the same second", requestID,
		connection)
	lacks("add $request_uri to see paths", requestURI, request, uri)
	lacks("add $http_host to see which host was asked for", host, httpHost)
	lacks("add $body_bytes_sent to see bytes sent", bodyBytesSent)
	if o.ErrorLog != nil {
		lacks("add $connection: without it no line of the error log can be joined", connection)
		lacks("add $remote_addr: without it no line of the error log can be joined", remoteAddr)
	}
	if f.style == fields.Plain {
		list = append(list, "use escape=json or escape=default: with escape=none a client can make a line look like another")
	}
	for _, name := range f.spaced {
		list = append(list, "put $"+name+" into quotes: a space that a client puts there makes the line unreadable")
	}
	return list
}

var _ source.Adviser = (*Parser)(nil)

// Advice implements [source.Adviser].
func (p *Parser) Advice() []string { return p.advice }
