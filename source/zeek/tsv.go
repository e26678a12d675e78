package zeek

import (
	"bytes"
	"strings"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

// The columns of Zeek's logs as they are by default, for a file whose header was not read because reading began behind
// it. The longest http.log is that with policy/protocols/http/header-names; it is told from the others by its length.
const (
	websocketColumns = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p host uri user_agent subprotocol client_protocols " +
		"server_extensions client_extensions"
	httpColumns = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p trans_depth method host uri referrer version " +
		"user_agent origin request_body_len response_body_len status_code status_msg info_code info_msg tags username " +
		"password proxied orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types"
)

// maxColumns bounds a header.
const maxColumns = 256

// table is what a header says of the lines below it.
type table struct {
	separator, unset, empty, setSeparator string
	columns                               []fields.ID
}

func defaults() table {
	return table{separator: "\t", unset: "-", empty: "(empty)", setSeparator: ","}
}

// assume gives each number of columns the default meaning.
func assume() map[int]table {
	tables := map[int]table{}
	for _, columns := range []string{websocketColumns, httpColumns, httpColumns + " client_header_names"} {
		t := defaults()
		for name := range strings.SplitSeq(columns, " ") {
			t.columns = append(t.columns, column(name))
		}
		tables[len(t.columns)] = t
	}
	return tables
}

func column(name string) fields.ID {
	if f, ok := fieldsByName[name]; ok {
		return f
	}
	return fields.None
}

// tsv is a [fields.Scanner] of Zeek's own format: lines that begin with # describe the others.
type tsv struct {
	// next is the header that is being read, tables those that have been, by their number of columns: the lines of
	// several files may come to one parser. A line is read by the last header that has as many columns.
	next   table
	tables map[int]table
	cur    table
}

func newTSV() *tsv { return &tsv{next: defaults(), tables: assume()} }

// directive reads a line that begins with #.
func (t *tsv) directive(line string) {
	name, value, ok := strings.Cut(line, t.next.separator)
	if strings.HasPrefix(line, "#separator ") {
		// The separator itself stands behind a space, escaped.
		t.next = defaults()
		if v := unescape(nil, []byte(strings.TrimPrefix(line, "#separator "))); len(v) == 1 {
			t.next.separator = string(v)
		}
		return
	}
	if !ok {
		return
	}
	switch name {
	case "#set_separator":
		t.next.setSeparator = value
	case "#empty_field":
		t.next.empty = value
	case "#unset_field":
		t.next.unset = value
	case "#fields":
		t.fields(value)
	}
}

// fields takes a header. A new slice each time: tables of other lengths stay.
func (t *tsv) fields(names string) {
	if strings.Count(names, t.next.separator) >= maxColumns {
		return
	}
	header := t.next
	for name := range strings.SplitSeq(names, t.next.separator) {
		header.columns = append(header.columns, column(name))
	}
	t.tables[len(header.columns)] = header
}

// Scan implements [fields.Scanner].
func (t *tsv) Scan(data []byte, l *fields.Line) error {
	l.Reset(data, unescape)
	separator := t.next.separator
	n := bytes.Count(data, []byte(separator)) + 1
	table, ok := t.tables[n]
	if !ok || table.separator != separator {
		return &source.Error{Reason: source.MissingField, Field: "#fields"}
	}
	t.cur = table
	start := 0
	for _, f := range table.columns {
		end := len(data)
		if i := bytes.Index(data[start:], []byte(separator)); i >= 0 {
			end = start + i
		}
		value := data[start:end]
		switch {
		case f == fields.None:
		case string(value) == table.unset, string(value) == table.empty:
			l.Set(f, start, start, false)
		default:
			// The elements of a list are decoded one by one, since they may hold the separator.
			l.Set(f, start, end, f != clientProtocols && f != serverExtensions && bytes.IndexByte(value, '\\') >= 0)
		}
		start = end + len(separator)
	}
	return nil
}

// unescape appends to out what s stands for: by \xHH Zeek writes bytes that its format or a terminal would not bear.
func unescape(out, s []byte) []byte {
	for len(s) > 0 {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			break
		}
		out = append(out, s[:i]...)
		s = s[i:]
		switch {
		case len(s) >= 4 && s[1] == 'x' && isHex(s[2]) && isHex(s[3]):
			out = append(out, hexOf(s[2])<<4|hexOf(s[3]))
			s = s[4:]
		case len(s) >= 2 && s[1] == '\\':
			out = append(out, '\\')
			s = s[2:]
		default:
			out = append(out, '\\')
			s = s[1:]
		}
	}
	return append(out, s...)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexOf(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
