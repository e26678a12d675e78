package embedded

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// peekBytes is how much of a body is looked at to find the end of an INSERT statement.
const peekBytes = 1 << 20

// maxStatementBytes bounds a statement that is not an INSERT.
const maxStatementBytes = 16 << 20

// request is what a client asks for.
type request struct {
	statement
	database   string
	settings   []setting
	params     []Parameter
	feed       func(push func([]byte) error) error // pushes the rows of a kindInsert
	format     string                              // of the answer or of the rows
	revision   uint64                              // client_protocol_version
	compressed bool                                // answer in ClickHouse's compressed frames
	method     string                              // network_compression_method
	level      int                                 // network_zstd_compression_level
	gzip       bool
	whole      bool  // answer only once the statement has ended
	readOnly   error // what whoever may only read is told of a statement that does more
	progress   func(progress)
	id         string
	done       func()
}

// notSettings are parameters of the interface that are not settings of the engine.
var notSettings = []string{
	"query", "database", "user", "password", "default_format", "client_protocol_version", "compress", "decompress",
	"query_id", "quota_key", "session_id", "session_timeout", "session_check", "close_session", "role", "stacktrace",
	"buffer_size", "wait_end_of_query", "enable_http_compression", "http_zlib_compression_level",
	"network_compression_method", "network_zstd_compression_level", logComment,
}

// passwords are what the request may have as its password. It comes as ClickHouse's clients send it: HTTP basic,
// X-ClickHouse-Key or the parameter password; or as a bearer token.
func passwords(r *http.Request, query url.Values) []string {
	given := []string{r.Header.Get("X-ClickHouse-Key"), query.Get("password")}
	if _, password, ok := r.BasicAuth(); ok {
		given = append(given, password)
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		given = append(given, bearer)
	}
	return given
}

// fromBrowser says that a web page sent the request: without a token, a page of any site could otherwise use the engine
// of the machine it is read on, directly or by pointing its own name at the loopback address.
func fromBrowser(r *http.Request) bool {
	if r.Header.Get("Origin") != "" {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// readRequest takes a request apart. The statement's rows stay unread.
func readRequest(r *http.Request, query url.Values) (*request, error) {
	q := &request{
		database: query.Get("database"),
		format:   query.Get("default_format"),
		method:   strings.ToUpper(query.Get("network_compression_method")),
		id:       query.Get("query_id"),
		done:     func() {},
	}
	if q.database == "" {
		q.database = r.Header.Get("X-ClickHouse-Database")
	}
	if q.format == "" {
		q.format = r.Header.Get("X-ClickHouse-Format")
	}
	if q.id == "" {
		q.id = newID()
	}
	q.revision, _ = strconv.ParseUint(query.Get("client_protocol_version"), 10, 64)
	q.level, _ = strconv.Atoi(query.Get("network_zstd_compression_level"))
	q.compressed = truthy(query.Get("compress"))
	q.whole = truthy(query.Get("wait_end_of_query"))
	q.gzip = truthy(query.Get("enable_http_compression")) &&
		strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	if query.Get("session_id") != "" {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
			"The embedded engine has no sessions; send settings with each request")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
			"The embedded engine takes no external tables")
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch param, isParam := strings.CutPrefix(name, "param_"); {
		case isParam:
			q.params = append(q.params, Parameter{Name: param, Value: value})
		case slices.Contains(notSettings, name):
		case strings.ContainsRune(value, 0):
			return nil, newException(36, "BAD_ARGUMENTS", "The value of %s holds a zero byte", name)
		default:
			q.settings = append(q.settings, setting{name: name, value: value})
		}
	}
	if err := q.readText(r, query); err != nil {
		q.done()
		return nil, err
	}
	return q, nil
}

// readText reads the statement: the parameter query, then the body. An INSERT's rows follow it.
func (q *request) readText(r *http.Request, query url.Values) (err error) {
	text := query.Get("query")
	source := bufio.NewReader(strings.NewReader(""))
	if r.Method == http.MethodPost {
		if source, q.done, err = body(r, truthy(query.Get("decompress"))); err != nil {
			q.done = func() {}
			return err
		}
	}
	more := false
	if text == "" {
		prefix, err := source.Peek(peekBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return uploadException(err)
		}
		more = len(prefix) == peekBytes
		text = string(prefix)
		if q.statement, err = readStatement(text, more); err == nil && q.kind == kindInsert {
			if _, err := source.Discard(q.data); err != nil {
				return uploadException(err)
			}
			q.feed = feedFrom(source)
			q.insertFormat()
			return nil
		}
		text = ""
	} else if q.statement, err = readStatement(text, false); err == nil && q.kind == kindInsert {
		q.feed = feedFrom(io.MultiReader(strings.NewReader(text[q.data:]), source))
		q.insertFormat()
		return nil
	}
	rest, err := io.ReadAll(io.LimitReader(source, maxStatementBytes+1))
	if err != nil {
		return uploadException(err)
	}
	if len(rest) > maxStatementBytes {
		return newException(codeQueryTooLarge, "QUERY_IS_TOO_LARGE",
			"The statement is longer than %d bytes", maxStatementBytes)
	}
	if q.statement, err = readStatement(text+string(rest), false); err != nil {
		return newException(codeSyntax, "SYNTAX_ERROR", "%v", err)
	}
	if q.kind == kindInsert {
		// The statement began in the parameter and ended in the body.
		q.feed = feedFrom(strings.NewReader((text + string(rest))[q.data:]))
		q.insertFormat()
		return nil
	}
	if q.statement.format != "" {
		q.format = q.statement.format
	}
	if q.format == "" {
		q.format = "TabSeparated"
	}
	return nil
}

func (q *request) insertFormat() {
	switch {
	case q.statement.format != "":
		q.format = q.statement.format
	case q.format == "":
		q.format = "Values"
	}
}

func (q *request) has(name string) bool {
	return slices.ContainsFunc(q.settings, func(s setting) bool { return s.name == name })
}

// set adds a setting or replaces the one of its name.
func (q *request) set(s setting) {
	for i := range q.settings {
		if q.settings[i].name == s.name {
			q.settings[i].value = s.value
			return
		}
	}
	q.settings = append(q.settings, s)
}

func truthy(text string) bool { return text == "1" || text == "true" }

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
