package embedded

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// frameBytes is how much goes into one compressed frame; ClickHouse itself uses the same.
const frameBytes = 1 << 20

// response writes an answer in the encoding the client asked for. Headers leave with the first byte.
type response struct {
	http    http.ResponseWriter
	q       *request
	tag     string
	started bool
	gzip    *gzip.Writer
	frames  *compress.Writer
}

func newResponse(w http.ResponseWriter, q *request) *response {
	return &response{http: w, q: q, tag: strings.ReplaceAll(newID(), "-", "")[:16]}
}

func (r *response) start() {
	if r.started {
		return
	}
	r.started = true
	header := r.http.Header()
	header.Set("X-ClickHouse-Format", r.q.format)
	header.Set("X-ClickHouse-Exception-Tag", r.tag)
	header.Set("Content-Type", contentType(r.q.format))
	if r.q.gzip && !r.q.compressed {
		header.Set("Content-Encoding", "gzip")
		r.gzip = gzip.NewWriter(r.http)
	}
}

// write sends whole pieces of the result.
func (r *response) write(data []byte) error {
	if r.q.format == "Native" {
		encoded, err := reencode(data, r.q.revision)
		if err != nil {
			return errNotNative(err)
		}
		data = encoded
	}
	_, err := r.Write(data)
	return err
}

func errNotNative(err error) error {
	return newException(codeNotImplemented, "NOT_IMPLEMENTED",
		"This result cannot be sent in Native format, use another: %v", err)
}

func (r *response) header(columns []column) error {
	var block proto.Buffer
	appendHeader(&block, columns, min(r.q.revision, engineRevision))
	_, err := r.Write(block.Buf)
	return err
}

// Write sends bytes of the result in the encoding the client asked for.
func (r *response) Write(data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	r.start()
	limitWrites(r.http)
	total := len(data)
	if r.gzip != nil {
		return r.gzip.Write(data)
	}
	if !r.q.compressed {
		return r.http.Write(data)
	}
	if r.frames == nil {
		method, level := compress.LZ4, compress.LevelZero
		switch r.q.method {
		case "ZSTD":
			method, level = compress.ZSTD, compress.Level(r.q.level)
		case "NONE":
			method = compress.None
		}
		r.frames = compress.NewWriter(level, method)
	}
	for len(data) > 0 {
		piece := data[:min(len(data), frameBytes)]
		data = data[len(piece):]
		if err := r.frames.Compress(piece); err != nil {
			return 0, err
		}
		if _, err := r.http.Write(r.frames.Data); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (r *response) finish() {
	limitWrites(r.http)
	if r.gzip != nil {
		_ = r.gzip.Close()
	}
}

func (r *response) summary(s summary) {
	r.http.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(
		`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d","result_rows":"0","result_bytes":"0"}`,
		s.readRows, s.readBytes, s.writtenRows, s.writtenBytes))
}

// fail answers with an exception. Once data has left, the exception follows it in the frame clients look for, and the
// connection is cut so that nobody takes the answer for a whole one.
func (r *response) fail(e *exception) {
	limitWrites(r.http)
	if !r.started {
		writeException(r.http, e)
		return
	}
	if r.gzip == nil {
		text := e.text + "\n"
		_, _ = io.WriteString(r.http, "\r\n__exception__\r\n"+r.tag+"\r\n"+text+
			strconv.Itoa(len(text))+" "+r.tag+"\r\n__exception__\r\n")
		if f, ok := r.http.(http.Flusher); ok {
			f.Flush()
		}
	}
	panic(http.ErrAbortHandler)
}

// writeException answers with an exception instead of a result.
func writeException(w http.ResponseWriter, e *exception) {
	header := w.Header()
	header.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.code))
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	if e.status() == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
	}
	w.WriteHeader(e.status())
	_, _ = io.WriteString(w, e.text+"\n")
}

func contentType(format string) string {
	switch {
	case format == "JSONEachRow", format == "JSONLines", format == "NDJSON", strings.HasSuffix(format, "EachRow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case format == "Native", strings.HasPrefix(format, "RowBinary"), format == "Parquet", format == "ArrowStream":
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}
