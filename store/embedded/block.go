package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/proto"
	clickhouse "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// engineRevision is the protocol revision of the engine: SELECT revision().
const engineRevision = 54513

// revisionCustomSerialization is the first revision with a byte per column for it.
const revisionCustomSerialization = 54454

// What one block may hold. A column of many rows costs nothing here, since it is copied piece by piece; the engine has
// its own limit of memory.
const (
	maxColumns     = 10_000
	maxColumnBytes = 16 << 20 // of all names and types
	maxBlockRows   = 1 << 30
	maxTextBytes   = 1 << 30 // of one value
)

// column is a name and a type, which is all there is to a block without rows.
type column struct{ name, typ string }

// block is what stands before a block's columns.
type block struct{ columns, rows uint64 }

// end says that the block is the one that ends a sequence of them.
func (b block) end() bool { return b.columns == 0 && b.rows == 0 }

// readBlock reads the beginning of a block in the form of a revision.
func readBlock(r *bufio.Reader, revision uint64) (block, error) {
	for revision > 0 {
		field, err := readNumber(r)
		if err != nil {
			return block{}, err
		}
		if field == 0 {
			break
		}
		// is_overflows is a byte, bucket_num four; both are of no use here.
		size := map[uint64]int{1: 1, 2: 4}[field]
		if size == 0 {
			return block{}, fmt.Errorf("block: unknown field %d", field)
		}
		if _, err := r.Discard(size); err != nil {
			return block{}, cut(err)
		}
	}
	columns, err := readNumber(r)
	if err != nil {
		return block{}, err
	}
	rows, err := readNumber(r)
	if err != nil {
		return block{}, cut(err)
	}
	if columns > maxColumns || rows > maxBlockRows || columns == 0 && rows > 0 {
		return block{}, fmt.Errorf("block: %d columns of %d rows are not taken", columns, rows)
	}
	return block{columns, rows}, nil
}

// readNumber is a varint. Only an input that ends before it gives io.EOF.
func readNumber(r *bufio.Reader) (uint64, error) {
	if _, err := r.Peek(1); err != nil {
		return 0, err
	}
	n, err := binary.ReadUvarint(r)
	return n, cut(err)
}

// cut makes an end of the input what it is in the middle of something.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readText reads a string of a bounded length, and takes memory only for what has come.
func readText(r *bufio.Reader, most uint64) (string, error) {
	n, err := readNumber(r)
	if err != nil {
		return "", err
	}
	if n > most {
		return "", fmt.Errorf("a text of %d bytes; at most %d are taken", n, most)
	}
	if piece, err := r.Peek(int(min(n, uint64(r.Size())))); err == nil && uint64(len(piece)) == n {
		text := string(piece)
		_, _ = r.Discard(len(piece))
		return text, nil
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, r, int64(n)); err != nil {
		return "", cut(err)
	}
	return text.String(), nil
}

// copier copies a block's columns: all revisions have the same data, between which some want a byte more.
type copier struct {
	r *bufio.Reader
	w *bufio.Writer
}

// columns copies the columns of a block from the form of one revision into that of another. What has rows must have
// types whose shape is known.
func (c copier) columns(b block, from, to uint64) ([]column, error) {
	columns := make([]column, 0, min(b.columns, 256))
	total := 0
	for range b.columns {
		name, err := readText(c.r, maxTypeBytes)
		if err != nil {
			return nil, cut(err)
		}
		typ, err := readText(c.r, maxTypeBytes)
		if err != nil {
			return nil, cut(err)
		}
		if total += len(name) + len(typ); total > maxColumnBytes {
			return nil, fmt.Errorf("block: names and types of more than %d bytes are not taken", maxColumnBytes)
		}
		columns = append(columns, column{name, typ})
		if from >= revisionCustomSerialization {
			if custom, err := c.r.ReadByte(); err != nil {
				return nil, cut(err)
			} else if custom != 0 {
				return nil, fmt.Errorf("column of type %q: custom serialization is not taken", shorten(typ))
			}
		}
		c.text(name)
		c.text(typ)
		if to >= revisionCustomSerialization {
			_ = c.w.WriteByte(0)
		}
		if b.rows == 0 {
			continue
		}
		s, err := parseShape(typ)
		if err != nil {
			return nil, err
		}
		if err := c.prefix(s); err != nil {
			return nil, cut(err)
		}
		if err := c.data(s, b.rows); err != nil {
			return nil, cut(err)
		}
	}
	return columns, nil
}

func (c copier) number(n uint64) {
	_, _ = c.w.Write(binary.AppendUvarint(c.w.AvailableBuffer(), n))
}

func (c copier) text(text string) {
	c.number(uint64(len(text)))
	_, _ = c.w.WriteString(text)
}

// keyVersion is the only form of a LowCardinality there is.
const keyVersion = 1

// prefix copies what stands before a column's data: a word for each LowCardinality in its type.
func (c copier) prefix(s *shape) error {
	if s.kind == shapeLow {
		version, err := c.word()
		if err == nil && version != keyVersion {
			err = fmt.Errorf("LowCardinality: unknown version %d", version)
		}
		return err
	}
	for _, inner := range s.inner {
		if err := c.prefix(inner); err != nil {
			return err
		}
	}
	return nil
}

func (c copier) data(s *shape, rows uint64) error {
	if rows > maxBlockRows {
		return fmt.Errorf("%d values in a column are not taken", rows)
	}
	switch s.kind {
	case shapeFixed:
		return c.bytes(rows * s.width)
	case shapeText:
		for range rows {
			n, err := readNumber(c.r)
			if err != nil {
				return err
			}
			if n > maxTextBytes {
				return fmt.Errorf("a value of %d bytes is not taken", n)
			}
			c.number(n)
			if err := c.bytes(n); err != nil {
				return err
			}
		}
		return nil
	case shapeNullable:
		if err := c.bytes(rows); err != nil {
			return err
		}
		return c.data(s.inner[0], rows)
	case shapeArray:
		if rows == 0 {
			return nil
		}
		if err := c.bytes((rows - 1) * 8); err != nil {
			return err
		}
		values, err := c.word()
		if err != nil {
			return err
		}
		return c.data(s.inner[0], values)
	case shapeTuple:
		for _, inner := range s.inner {
			if err := c.data(inner, rows); err != nil {
				return err
			}
		}
		return nil
	}
	return c.low(s, rows)
}

// low copies a LowCardinality: its keys, then a number of a key for each row.
func (c copier) low(s *shape, rows uint64) error {
	if rows == 0 {
		return nil
	}
	const hasKeys = 1 << 9
	flags, err := c.word()
	if err != nil {
		return err
	}
	width := flags & 0xff
	if width > 3 || flags&hasKeys == 0 || flags&(1<<8) != 0 {
		return fmt.Errorf("LowCardinality: unknown form %#x", flags)
	}
	keys, err := c.word()
	if err != nil {
		return err
	}
	if err := c.data(s.inner[0], keys); err != nil {
		return err
	}
	indexes, err := c.word()
	if err != nil {
		return err
	}
	if indexes != rows {
		return fmt.Errorf("LowCardinality: %d values for %d rows", indexes, rows)
	}
	return c.bytes(rows << width)
}

// word copies eight bytes and returns what they say.
func (c copier) word() (uint64, error) {
	p, err := c.r.Peek(8)
	if err != nil {
		return 0, cut(err)
	}
	word := binary.LittleEndian.Uint64(p)
	if _, err = c.w.Write(p); err == nil {
		_, err = c.r.Discard(8)
	}
	return word, err
}

func (c copier) bytes(n uint64) error {
	for n > 0 {
		p, err := c.r.Peek(int(min(n, uint64(c.r.Size()))))
		if len(p) == 0 {
			return cut(err)
		}
		if _, err := c.w.Write(p); err != nil {
			return err
		}
		n -= uint64(len(p))
		_, _ = c.r.Discard(len(p))
	}
	return nil
}

// eachBlock takes the engine's blocks, which are in the form of revision 0, and hands on each in the form of another.
func eachBlock(data []byte, revision uint64, each func(columns []column, rows uint64, block []byte) error) error {
	revision = min(revision, engineRevision)
	var out bytes.Buffer
	source := bytes.NewReader(data)
	c := copier{r: bufio.NewReaderSize(source, 64<<10), w: bufio.NewWriterSize(&out, 64<<10)}
	for {
		start := len(data) - source.Len() - c.r.Buffered()
		b, err := readBlock(c.r, 0)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decode block: %w", err)
		}
		out.Reset()
		c.w.Reset(&out)
		c.begin(b, revision)
		columns, err := c.columns(b, 0, revision)
		if errors.Is(err, errUnknownType) {
			return eachDecoded(data[start:], revision, each)
		}
		if err != nil {
			return fmt.Errorf("decode block: %w", err)
		}
		_ = c.w.Flush()
		if err := each(columns, b.rows, out.Bytes()); err != nil {
			return err
		}
	}
}

// begin writes the beginning of a block.
func (c copier) begin(b block, revision uint64) {
	if revision > 0 {
		_, _ = c.w.Write([]byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0})
	}
	c.number(b.columns)
	c.number(b.rows)
}

// eachDecoded is eachBlock for types whose data must be understood, such as JSON and Dynamic.
func eachDecoded(data []byte, revision uint64, each func(columns []column, rows uint64, block []byte) error) error {
	reader := proto.NewReader(bytes.NewReader(data))
	for {
		block := clickhouse.NewBlock()
		if err := block.Decode(reader, 0); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return fmt.Errorf("decode block: %w", err)
		}
		columns := make([]column, len(block.Columns))
		for i, c := range block.Columns {
			columns[i] = column{name: c.Name(), typ: string(c.Type())}
		}
		var out proto.Buffer
		if block.Rows() == 0 {
			appendHeader(&out, columns, revision)
		} else if err := block.Encode(&out, revision); err != nil {
			return fmt.Errorf("encode block: %w", err)
		}
		if err := each(columns, uint64(block.Rows()), out.Buf); err != nil {
			return err
		}
	}
}

// reencode turns blocks in the engine's form into those a client of the given revision decodes.
func reencode(data []byte, revision uint64) ([]byte, error) {
	if revision == 0 || len(data) == 0 {
		return data, nil
	}
	out := make([]byte, 0, len(data)+64)
	err := eachBlock(data, revision, func(_ []column, _ uint64, block []byte) error {
		out = append(out, block...)
		return nil
	})
	return out, err
}

// appendHeader writes a block without rows. It holds no state prefixes: a reader of zero rows does not expect the one
// of LowCardinality.
func appendHeader(out *proto.Buffer, columns []column, revision uint64) {
	if revision > 0 {
		out.PutUVarInt(1)
		out.PutBool(false)
		out.PutUVarInt(2)
		out.PutInt32(-1)
		out.PutUVarInt(0)
	}
	out.PutUVarInt(uint64(len(columns)))
	out.PutUVarInt(0)
	for _, c := range columns {
		out.PutString(c.name)
		out.PutString(c.typ)
		if revision >= revisionCustomSerialization {
			out.PutBool(false)
		}
	}
}
