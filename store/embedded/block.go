package embedded

import (
	"bytes"
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

// reencode turns blocks in the engine's Native format, which is that of revision 0, into those a client of the given
// revision decodes.
func reencode(data []byte, revision uint64) ([]byte, error) {
	if revision == 0 || len(data) == 0 {
		return data, nil
	}
	revision = min(revision, engineRevision)
	source := bytes.NewReader(data)
	reader := proto.NewReader(source)
	var out proto.Buffer
	for {
		block := clickhouse.NewBlock()
		if err := block.Decode(reader, 0); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return out.Buf, nil
			}
			return nil, fmt.Errorf("decode block: %w", err)
		}
		if block.Rows() == 0 {
			header := make([]column, len(block.Columns))
			for i, c := range block.Columns {
				header[i] = column{name: c.Name(), typ: string(c.Type())}
			}
			appendHeader(&out, header, revision)
			continue
		}
		if err := block.Encode(&out, revision); err != nil {
			return nil, fmt.Errorf("encode block: %w", err)
		}
	}
}

// column is a name and a type, which is all there is to a block without rows.
type column struct{ name, typ string }

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
