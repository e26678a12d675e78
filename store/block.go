package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// block is what [Rows] and [SpanRows] have in common: the columns that both tables have, and how columns become a batch of
// the driver or a name of their content. What is exact about an INSERT hangs on it: equal rows are equal bytes.
type block struct {
	n int

	service, namespace, instance, environment, region words
	resource                                          wordMap
	chunkID                                           words

	// sharedResource is the resource of the row before, whose columns the next row most likely repeats.
	sharedResource *event.Resource
	shared         resourceColumns

	scratch []byte
	// dictionaries holds the encoded columns of words, parts all columns as they are sent, but that of the chunk.
	dictionaries []byte
	parts        segments
	source       segments
	reader       *proto.Reader
}

type resourceColumns struct {
	service, namespace, instance, environment, region string
}

// take keeps a if it has a column of its own.
func (c *resourceColumns) take(a event.Named) bool {
	if a.Value.Kind() != event.KindString {
		return false
	}
	v := a.Value.Str()
	switch a.Name {
	case event.ServiceName:
		c.service = v
	case event.ServiceNamespace:
		c.namespace = v
	case event.ServiceInstanceID:
		c.instance = v
	case event.Environment:
		c.environment = v
	case event.Region:
		c.region = v
	default:
		return false
	}
	return true
}

// Len is the number of rows.
func (b *block) Len() int { return b.n }

// reset empties the columns of b and those named, and keeps their memory.
func (b *block) reset(numbers []*fixed, texts []*text, dictionaries []*words, maps []*wordMap) {
	b.n = 0
	b.sharedResource, b.shared = nil, resourceColumns{}
	for _, c := range numbers {
		*c = (*c)[:0]
	}
	for _, c := range texts {
		*c = (*c)[:0]
	}
	for _, c := range append(dictionaries,
		&b.service, &b.namespace, &b.instance, &b.environment, &b.region, &b.chunkID) {
		c.reset()
	}
	for _, c := range append(maps, &b.resource) {
		c.reset()
	}
}

// bytes is about how much memory the columns of b hold.
func (b *block) bytes() int {
	n := cap(b.dictionaries) + b.resource.bytes()
	for _, c := range []*words{&b.service, &b.namespace, &b.instance, &b.environment, &b.region, &b.chunkID} {
		n += c.bytes()
	}
	return n
}

// appendResource adds what the row's resource says.
func (b *block) appendResource(resource *event.Resource) {
	if resource != b.sharedResource || b.n == 1 {
		b.sharedResource, b.shared = resource, resourceColumns{}
		for _, a := range resource.Attributes() {
			b.shared.take(a)
		}
	}
	b.service.add(b.shared.service)
	b.namespace.add(b.shared.namespace)
	b.instance.add(b.shared.instance)
	b.environment.add(b.shared.environment)
	b.region.add(b.shared.region)
	var own resourceColumns
	for _, a := range resource.Attributes() {
		if !own.take(a) {
			b.put(&b.resource, a)
		}
	}
	b.resource.end()
}

// put adds a pair to the row of a map that is being made.
func (b *block) put(dst *wordMap, a event.Named) {
	dst.keys.add(a.Name)
	b.value(&dst.values, a.Value)
}

// id writes an id in hexadecimal, or nothing for one that is all zero.
func (b *block) id(dst *text, id []byte) {
	for _, x := range id {
		if x != 0 {
			b.scratch = hex.AppendEncode(b.scratch[:0], id)
			dst.addBytes(b.scratch)
			return
		}
	}
	dst.add("")
}

// value writes v as [event.Value.Text] does, without its allocation.
func (b *block) value(dst *text, v event.Value) {
	switch v.Kind() {
	case event.KindString:
		dst.add(v.Str())
		return
	case event.KindInt:
		b.scratch = strconv.AppendInt(b.scratch[:0], v.Int(), 10)
	case event.KindDouble:
		b.scratch = strconv.AppendFloat(b.scratch[:0], v.Double(), 'g', -1, 64)
	case event.KindBool:
		b.scratch = strconv.AppendBool(b.scratch[:0], v.Bool())
	default:
		b.scratch = append(b.scratch[:0], v.Text()...)
	}
	dst.addBytes(b.scratch)
}

// begin starts the encoding of all columns but that of the chunk, in the order of the table. The parts that are made belong to
// b and follow each other on the wire.
func (b *block) begin() { b.parts, b.dictionaries = b.parts[:0], b.dictionaries[:0] }

func (b *block) raw(columns ...[]byte) { b.parts = append(b.parts, columns...) }

func (b *block) low(columns ...*words) {
	for _, c := range columns {
		b.parts = append(b.parts, b.dictionary(c))
	}
}

func (b *block) null(columns ...*nullable) {
	for _, c := range columns {
		b.parts = append(b.parts, c.nulls, c.values)
	}
}

func (b *block) pairs(columns ...*wordMap) {
	for _, c := range columns {
		b.parts = append(b.parts, c.ends, b.dictionary(&c.keys), c.values)
	}
}

// dictionary encodes c behind the columns that were encoded before.
func (b *block) dictionary(c *words) []byte {
	start := len(b.dictionaries)
	b.dictionaries = c.encode(b.dictionaries)
	return b.dictionaries[start:]
}

// contentToken names what was encoded.
func (b *block) contentToken(prefix string) string {
	sum := sha256.New()
	for _, part := range b.parts {
		sum.Write(part)
	}
	return prefix + hex.EncodeToString(sum.Sum(nil)[:16])
}

// fill gives what was encoded to a batch: its columns read it in the form in which it would come from a server, which costs
// one copy instead of one conversion a value. The columns' names, types and row counts are checked, because the
// driver's HTTP batch would send nothing and report success if they disagreed.
func (b *block) fill(columns []column.Interface, table string, want []schema.Column, chunkID string) error {
	b.chunkID.reset()
	for range b.n {
		b.chunkID.add(chunkID)
	}
	b.raw(b.dictionary(&b.chunkID))
	// Reading moves the slice forward, so that parts would lose its memory.
	b.source = append(b.source[:0], b.parts...)
	kept := b.source
	defer func() { b.source = kept[:0] }()
	if b.reader == nil {
		b.reader = proto.NewReader(&b.source)
	}
	if err := decodeColumns(b.reader, columns, table, want, b.n); err != nil {
		// What is left in the reader belongs to these rows.
		b.reader = nil
		return err
	}
	return nil
}

// encoder is [Rows] or [SpanRows].
type encoder interface {
	Len() int
	// encode encodes all columns but that of the chunk.
	encode()
	fill(columns []column.Interface, table string, want []schema.Column, chunkID string) error
}

// insertRows stores rows as one INSERT with that token, which becomes their chunk_id.
func (s *Store) insertRows(
	ctx context.Context, doing, table string, want []schema.Column, settings clickhouse.Settings, token string,
	rows encoder,
) error {
	if rows.Len() == 0 {
		return nil
	}
	if token == "" {
		return errors.New(doing + ": a chunk needs a token")
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings), clickhouse.WithColumnNamesAndTypes(columnList(want)))
	batch, err := s.conn.PrepareBatch(ctx, s.insertInto(table, want))
	if err != nil {
		return s.explain(doing, err)
	}
	rows.encode()
	if err := rows.fill(batch.Columns(), table, want, token); err != nil {
		return errors.Join(s.schemaFault(doing, err), batch.Abort())
	}
	return s.explain(doing, batch.Send())
}

// decodeColumns gives n rows to the columns of a batch.
func decodeColumns(reader *proto.Reader, columns []column.Interface, table string, want []schema.Column, n int) error {
	if len(columns) != len(want) {
		return fmt.Errorf("table %s: %d columns, not %d", table, len(columns), len(want))
	}
	for i, c := range columns {
		if c.Name() != want[i].Name || oneLine(string(c.Type())) != want[i].Type {
			return fmt.Errorf("table %s: column %d is %s %s, not %s %s",
				table, i+1, c.Name(), c.Type(), want[i].Name, want[i].Type)
		}
		if err := c.Decode(reader, n); err != nil || c.Rows() != n {
			return fmt.Errorf("column %s: %d of %d rows: %w", want[i].Name, c.Rows(), n, err)
		}
	}
	return nil
}

// oneLine is a type as ClickHouse writes it without print_pretty_type_names.
func oneLine(kind string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(kind), " "), "( ", "(")
}

// segments is a reader of byte slices that follow each other.
type segments [][]byte

func (s *segments) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(*s) > 0 {
		c := copy(p[n:], (*s)[0])
		n += c
		if (*s)[0] = (*s)[0][c:]; len((*s)[0]) == 0 {
			*s = (*s)[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
