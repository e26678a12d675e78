//go:build linux && amd64 && !noembedded

package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limitWrites(w)
	header := w.Header()
	header.Set("X-ClickHouse-Server-Display-Name", s.name)
	header.Set("X-ClickHouse-Timezone", s.timezone)
	if r.URL.Path == "/ping" || r.URL.Path == "/replicas_status" {
		_, _ = io.WriteString(w, "Ok.\n")
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case err != nil:
		writeException(w, newException(36, "BAD_ARGUMENTS", "The address's query string is malformed"))
		return
	case r.URL.Path != "/" && r.URL.Path != "/backup" && r.URL.Path != "/restore":
		http.Error(w, "There is no handle "+strconv.Quote(r.URL.Path)+"; use / or /ping", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead:
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	case s.full == "" && fromBrowser(r):
		writeException(w, newException(codeAccessDenied, "ACCESS_DENIED",
			"Web pages may not use an engine without a token"))
		return
	}
	allowed := s.access(passwords(r, query)...)
	switch {
	case allowed == accessNone:
		writeException(w, errPassword())
		return
	case r.URL.Path != "/":
		if err := s.keep(w, r, query, allowed); err != nil {
			limitWrites(w)
			writeException(w, asException(err))
		}
		return
	case r.Method != http.MethodPost && query.Get("query") == "":
		_, _ = io.WriteString(w, "Ok.\n")
		return
	}
	limitReads(w, r)
	q, err := readRequest(r, query)
	if err != nil {
		writeException(w, asException(err))
		return
	}
	defer q.done()
	switch {
	case allowed == accessRead:
		q.restrict()
	case r.Method != http.MethodPost:
		q.readOnly = errReadOnlyMethod()
	}
	header.Set("X-ClickHouse-Query-Id", q.id)
	out := newResponse(w, q)
	if err := s.serve(r.Context(), q, out); err != nil {
		out.fail(asException(err))
	}
	out.finish()
}

// keep makes or takes an archive.
func (s *server) keep(w http.ResponseWriter, r *http.Request, query url.Values, allowed access) error {
	switch {
	case r.Method != http.MethodPost:
		return errReadOnlyMethod()
	case allowed != accessFull:
		return newException(codeReadOnly, "READONLY", "This password is for reading only; an archive needs the other")
	case r.URL.Path == "/backup":
		return s.backup(w, r, query["database"])
	}
	limitReads(w, r)
	return s.restore(r)
}

// output takes a statement's result.
type output interface {
	// write takes whole pieces of the result, in the format of the request.
	write(data []byte) error
	// header takes the names and types of a result in Native format that has no rows.
	header(columns []column) error
	// summary takes what the statement did, before its result where that is known by then.
	summary(s summary)
}

// serve runs the request's statement and writes its result.
func (s *server) serve(ctx context.Context, q *request, out output) error {
	if q.kind == kindEmpty {
		return newException(codeSyntax, "SYNTAX_ERROR", "Empty query")
	}
	c, leave, err := s.admit(ctx, q)
	if err != nil {
		return err
	}
	defer leave()
	if q.kind == kindInsert {
		// The rows are no part of the statement; VALUES stands for them.
		if _, err := s.engine.judge(c, q.text, " VALUES", q.params); err != nil {
			return err
		}
		sum, err := s.engine.insert(ctx, c, q.text, q.format, q.params, q.feed)
		if err == nil {
			out.summary(sum)
		}
		return err
	}
	// What is judged is exactly what is run: the format is given beside the text.
	a, err := s.engine.judge(c, q.plain, "", q.params)
	if err != nil {
		return err
	}
	if a.class == classControl {
		c.spoiled = true
	}
	if q.readOnly != nil && a.class != classReadOnly {
		return q.readOnly
	}
	finished := s.engine.killOnDone(ctx, c)
	defer finished()
	if q.progress != nil {
		defer s.engine.watch(c, q.progress)()
	}
	if q.kind == kindSelect && !q.whole && streams(q.format) {
		return s.stream(ctx, c, q, out)
	}
	data, sum, err := s.engine.result(c, q.plain, q.format, q.params)
	if err != nil {
		// A connection keeps a statement that failed, and its memory, until its next.
		c.spoiled = true
		return err
	}
	out.summary(sum)
	if len(data) == 0 && q.format == "Native" && a.class == classReadOnly {
		return s.emptyNative(c, q, out)
	}
	return out.write(data)
}

// admit looks at the request's settings, waits for its turn and takes a connection for it, until leave is called.
func (s *server) admit(ctx context.Context, q *request) (c *connection, leave func(), err error) {
	if q.kind == kindInsert && q.readOnly != nil {
		return nil, nil, q.readOnly
	}
	if names := s.engine.unknown(q.settings); len(names) > 0 {
		return nil, nil, newException(codeUnknownSetting, "UNKNOWN_SETTING", "Unknown setting '%s'",
			strings.Join(names, "', '"))
	}
	for _, set := range q.settings {
		if slices.Contains(refusedSettings, set.name) {
			return nil, nil, newException(codeAccessDenied, "ACCESS_DENIED",
				"The embedded engine does not take the setting %s from clients", set.name)
		}
	}
	turns := s.reads
	if q.kind == kindInsert {
		turns = s.writes
	}
	left, err := lane(ctx, turns, laneWait)
	if err != nil {
		return nil, nil, err
	}
	if c, err = s.engine.acquire(q.database, s.settings(q)); err != nil {
		left()
		return nil, nil, err
	}
	if q.session || q.statement.token || q.has("insert_deduplication_token") {
		c.spoiled = true
	}
	return c, func() {
		s.engine.release(c)
		left()
	}, nil
}

func errReadOnlyMethod() error {
	return newException(codeReadOnly, "READONLY", "Cannot execute query in readonly mode. "+
		"For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries")
}

// settings are the request's own and the defaults that differ from the engine's.
func (s *server) settings(q *request) []setting {
	settings := q.settings
	add := func(name, value string) {
		if !q.has(name) {
			settings = append(settings, setting{name: name, value: value})
		}
	}
	if q.keyword == "INSERT" {
		// The engine would answer before the rows are stored.
		add("async_insert", "0")
	}
	if q.kind == kindInsert {
		// When memory runs out the engine stops the statement that takes most beyond its share; 0 exempts this one.
		add("memory_overcommit_ratio_denominator", "0")
		add("memory_overcommit_ratio_denominator_for_user", "0")
	} else {
		add("max_memory_usage", strconv.FormatInt(s.engine.reads, 10))
		// The engine's default of 1 GiB for a thread would leave one of them to every query of an engine with 2 GiB.
		add("max_threads_min_free_memory_per_thread", strconv.FormatInt(s.engine.reads/4, 10))
	}
	return settings
}

// namedCSV is CSV with the names of the columns as its first line.
const namedCSV = "CSVWithNames"

// csvLine is the length of the first line, whose cells may hold line breaks in quotes.
func csvLine(data []byte) int {
	quoted := false
	for i, c := range data {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			return i + 1
		}
	}
	return len(data)
}

// streams says whether the pieces of a streamed result in this format make up the result: others have a beginning or
// an end of their own in each piece.
func streams(format string) bool {
	switch format {
	case "Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", namedCSV, "JSONEachRow",
		"JSONCompactEachRow",
		"JSONLines", "NDJSON", "RowBinary", "LineAsString":
		return true
	}
	return false
}

func (s *server) stream(ctx context.Context, c *connection, q *request, out output) error {
	some := false
	names := 0 // how long the line of names is that each piece begins with
	sum, err := s.engine.stream(ctx, c, q.plain, q.format, q.params, func(data []byte) error {
		if q.format == namedCSV {
			if some {
				data = data[names:]
			} else {
				names = csvLine(data)
			}
		}
		some = true
		return out.write(data)
	})
	out.summary(sum)
	switch {
	case err != nil || some:
		return err
	case q.format == namedCSV:
		data, _, err := s.engine.result(c, q.plain, q.format, q.params)
		if err != nil {
			return err
		}
		return out.write(data)
	case q.format != "Native":
		return nil
	}
	return s.emptyNative(c, q, out)
}

// plainTypes keeps DESCRIBE from breaking long types into lines.
const plainTypes = " SETTINGS print_pretty_type_names = 0"

// emptyNative sends the block of names and types that an empty result has in ClickHouse; the engine sends no bytes at
// all, and clients would see a result without columns.
func (s *server) emptyNative(c *connection, q *request, out output) error {
	var columns []column
	if q.kind == kindSelect {
		rows, err := s.engine.rows(c, "DESCRIBE ("+q.plain+"\n)"+plainTypes, q.params)
		if err == nil {
			for _, row := range rows {
				columns = append(columns, column{name: row[0], typ: row[1]})
			}
		}
	}
	if columns == nil {
		data, _, err := s.engine.result(c, q.plain, "JSONCompactStringsEachRowWithNamesAndTypes", q.params)
		if err != nil || len(data) == 0 {
			// Statements without a result, such as CHECK of nothing, have no columns either.
			return err
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		var names, types []string
		if err := errors.Join(decoder.Decode(&names), decoder.Decode(&types)); err != nil || len(names) != len(types) {
			return newException(codeUnknown, "UNKNOWN_EXCEPTION", "The engine does not name the result's columns")
		}
		for i := range names {
			columns = append(columns, column{name: names[i], typ: types[i]})
		}
	}
	return out.header(columns)
}
