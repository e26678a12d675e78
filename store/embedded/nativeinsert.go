package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ClickHouse/ch-go/proto"
)

// insert tells the client the columns and hands its rows to the engine. Only once they come does it take a turn: a
// client may begin an insert long before it has rows.
func (s *session) insert(ctx context.Context, q *request, rows *rowsReader) error {
	columns, err := s.insertColumns(ctx, q)
	if err != nil {
		return err
	}
	if err := s.out.sample(columns); err != nil {
		return err
	}
	s.conn.read = idleTimeout
	first, err := rows.next()
	s.conn.read = readTimeout
	if err != nil || first.end() {
		return err
	}
	q.feed = func(push func([]byte) error) error { return rows.feed(first, push) }
	err = s.serve(ctx, q, s.out)
	if err != nil && !rows.begun {
		// It was refused before any row was read; the client sends them all the same.
		_ = rows.feed(first, func([]byte) error { return nil })
	}
	return err
}

// insertColumns are the names and types of the columns an INSERT without rows is about.
func (s *session) insertColumns(ctx context.Context, q *request) ([]column, error) {
	target, ok := readInsertTarget(q.text)
	if !ok {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
			"Rows are taken for INSERT INTO table (columns) only; other forms are taken over HTTP")
	}
	// Without the token the connection can serve others afterwards.
	ask := *q
	ask.settings, ask.statement.token = nil, false
	for _, set := range q.settings {
		if set.name != "insert_deduplication_token" {
			ask.settings = append(ask.settings, set)
		}
	}
	c, leave, err := s.admit(ctx, &ask)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := s.engine.judge(c, q.text, " VALUES", q.params); err != nil {
		return nil, err
	}
	described, err := s.engine.rows(c, "DESCRIBE TABLE "+target.table+plainTypes, q.params)
	if err != nil {
		return nil, err
	}
	var columns []column
	types := map[string]string{}
	for _, row := range described {
		types[row[0]] = row[1]
		if row[2] == "" || row[2] == "DEFAULT" {
			columns = append(columns, column{row[0], row[1]})
		}
	}
	if target.columns == nil {
		return columns, nil
	}
	columns = nil
	for _, name := range target.columns {
		typ, ok := types[name]
		if !ok {
			return nil, newException(codeNoColumn, "NO_SUCH_COLUMN_IN_TABLE", "No such column %s in table %s",
				name, target.table)
		}
		columns = append(columns, column{name, typ})
	}
	return columns, nil
}

// rowsReader reads the blocks that a client sends.
type rowsReader struct {
	packets
	compressed bool
	frames     *frames
	blocks     *bufio.Reader // decompressed
	begun      bool          // a block was read
	cancelled  bool          // the client wants no more of it
	broken     bool          // nothing can be read after what has come
}

// next reads up to a block's columns.
func (r *rowsReader) next() (block, error) {
	code, err := r.r.ReadByte()
	if err != nil {
		return block{}, r.wrap(err)
	}
	switch proto.ClientCode(code) {
	case proto.ClientCodeData:
	case proto.ClientCodeCancel:
		r.cancelled = true
		return block{}, errCancelled
	default:
		r.broken = true
		return block{}, fmt.Errorf("%w: packet %d where a block of rows belongs", errProtocol, code)
	}
	if _, err := r.packets.text(maxNameBytes); err != nil { // the table's name
		return block{}, r.wrap(err)
	}
	if r.blocks == nil {
		r.blocks = r.r
		if r.compressed {
			r.blocks = bufio.NewReaderSize(r.frames, 64<<10)
		}
	}
	b, err := readBlock(r.blocks, uint64(r.revision))
	if err == nil && b.end() {
		err = r.atEnd()
	}
	return b, r.wrap(err)
}

// atEnd says whether a block and what it was packed in end together.
func (r *rowsReader) atEnd() error {
	if r.compressed && r.blocks.Buffered() > 0 {
		return errors.New("a block ends inside its compressed frame")
	}
	return nil
}

// wrap marks an error after which nothing can be read.
func (r *rowsReader) wrap(err error) error {
	if err == nil {
		return nil
	}
	r.broken = true
	err = cut(err)
	switch {
	case isNetwork(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errProtocol), errors.Is(err, errBadUpload):
		return err
	case errors.Is(err, errUnknownType):
		return newException(codeNotImplemented, "NOT_IMPLEMENTED",
			"Columns of this type are taken over HTTP only: %v", err)
	}
	return fmt.Errorf("%w: %w", errProtocol, err)
}

// copy copies the rest of a block to w, in the form the engine takes.
func (r *rowsReader) copy(b block, w *bufio.Writer) error {
	r.begun = true
	c := copier{r: r.blocks, w: w}
	if b.rows > 0 {
		c.begin(b, 0)
	} else {
		// The engine has no use for names and types alone.
		c.w = bufio.NewWriter(io.Discard)
	}
	_, err := c.columns(b, uint64(r.revision), 0)
	if err == nil {
		err = r.atEnd()
	}
	return r.wrap(err)
}

// feed pushes the rows of a block and of those after it. What the engine refuses is read to its end all the same, since
// the client reads nothing before it has sent everything.
func (r *rowsReader) feed(b block, push func([]byte) error) error {
	to := &sink{push: push}
	w := writers.Get().(*bufio.Writer)
	w.Reset(to)
	defer func() {
		w.Reset(nil)
		writers.Put(w)
	}()
	for !b.end() {
		if err := r.copy(b, w); err != nil {
			return err
		}
		var err error
		if b, err = r.next(); err != nil {
			return err
		}
	}
	_ = w.Flush()
	return to.err
}

var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, insertChunk) }}

// sink remembers what went wrong and takes the rest without a look.
type sink struct {
	push func([]byte) error
	err  error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.push(p)
	}
	return len(p), nil
}
