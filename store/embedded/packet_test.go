package embedded

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	clickhouse "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/stretchr/testify/require"
)

var numericSettings = func(name string) (number, known bool) { return name == "max_threads", name != "nope" }

// packetSeeds are what clients of different ages send: a hello, a query with the empty block, a block of rows.
func packetSeeds(t testing.TB) map[int][]byte {
	seeds := map[int][]byte{}
	for _, revision := range []int{oldestRevision, 54412, 54429, 54453, nativeRevision} {
		var b proto.Buffer
		proto.ClientHello{Name: "c", ProtocolVersion: revision, Database: "d", User: "u", Password: "p"}.Encode(&b)
		seed := append([]byte(nil), b.Buf[1:]...)
		b.Reset()
		b.PutString("id")
		info := proto.ClientInfo{Query: proto.ClientQueryInitial, Interface: proto.InterfaceTCP, ClientName: "c"}
		info.EncodeAware(&b, revision)
		if proto.FeatureSettingsSerializedAsStrings.In(revision) {
			proto.Setting{Key: "max_threads", Value: "3", Important: true}.Encode(&b)
		} else {
			b.PutString("max_threads")
			b.PutInt(3)
		}
		b.PutString("")
		if proto.FeatureInterServerSecret.In(revision) {
			b.PutString("")
		}
		b.PutInt(int(proto.StageComplete))
		b.PutInt(1)
		b.PutString("SELECT {x:String}")
		if proto.FeatureParameters.In(revision) {
			proto.Parameter{Key: "x", Value: `'it\'s\t'`}.Encode(&b)
			b.PutString("")
		}
		seed = append(seed, b.Buf...)
		b.Reset()
		low := new(proto.ColStr).LowCardinality()
		low.AppendArr([]string{"a", "b", "a"})
		tags := proto.NewArray(new(proto.ColStr))
		tags.AppendArr([][]string{{"x"}, nil, {"y", "z"}})
		maybe := new(proto.ColStr).Nullable()
		maybe.AppendArr([]proto.Nullable[string]{proto.NewNullable("n"), {}, {}})
		require.NoError(t, proto.Block{Info: proto.BlockInfo{BucketNum: -1}, Columns: 4, Rows: 3}.EncodeBlock(&b, revision,
			[]proto.InputColumn{{Name: "low", Data: low}, {Name: "tags", Data: tags}, {Name: "maybe", Data: maybe},
				{Name: "n", Data: proto.ColUInt64{1, 2, 3}}}))
		seeds[revision] = append(seed, b.Buf...)
	}
	return seeds
}

func TestPacketsOfEveryAge(t *testing.T) {
	t.Parallel()
	for revision, seed := range packetSeeds(t) {
		p := packets{r: bufio.NewReader(bytes.NewReader(seed)), revision: revision, numeric: numericSettings}
		h, err := p.readHello()
		require.NoError(t, err)
		require.Equal(t, hello{revision, "d", "p"}, h)
		q, err := p.readQuery()
		require.NoError(t, err, "revision %d", revision)
		require.Equal(t, "SELECT {x:String}", q.text)
		require.Equal(t, []nativeSetting{{setting{"max_threads", "3"}, true}}, q.settings)
		require.True(t, q.compressed)
		if p.has(proto.FeatureParameters) {
			require.Equal(t, []Parameter{{"x", "it's\t"}}, q.params)
		}
		b, err := readBlock(p.r, uint64(revision))
		require.NoError(t, err)
		require.Equal(t, block{4, 3}, b)
		var out bytes.Buffer
		c := copier{r: p.r, w: bufio.NewWriter(&out)}
		c.begin(b, 0)
		columns, err := c.columns(b, uint64(revision), 0)
		require.NoError(t, err)
		require.NoError(t, c.w.Flush())
		require.Equal(t, column{"low", "LowCardinality(String)"}, columns[0])
		_, err = p.r.ReadByte()
		require.Equal(t, io.EOF, err, "nothing is left over")
		decoded := clickhouse.NewBlock()
		require.NoError(t, decoded.Decode(proto.NewReader(&out), 0))
		require.Equal(t, 3, decoded.Rows())
		require.Equal(t, "a", decoded.Columns[0].Row(2, false))
		require.Equal(t, []string{"y", "z"}, decoded.Columns[1].Row(2, false))
	}
}

// What a client may send is bounded as a whole, not only piece by piece.
func TestPacketsAreBoundedAsAWhole(t *testing.T) {
	t.Parallel()
	var b proto.Buffer
	for i := range 2 * maxNamedBytes / maxValueBytes {
		proto.Setting{Key: "s" + strconv.Itoa(i), Value: strings.Repeat("x", maxValueBytes)}.Encode(&b)
	}
	b.PutString("")
	p := packets{r: bufio.NewReader(&b), revision: nativeRevision, numeric: numericSettings}
	_, err := p.readSettings()
	require.ErrorIs(t, err, errProtocol)

	b.Reset()
	name := strings.Repeat("n", maxTypeBytes)
	const columns = 2 * maxColumnBytes / maxTypeBytes
	for range columns {
		b.PutString(name)
		b.PutString("UInt8")
	}
	c := copier{r: bufio.NewReader(&b), w: bufio.NewWriter(io.Discard)}
	_, err = c.columns(block{columns: columns}, 0, 0)
	require.ErrorContains(t, err, "names and types")
}

// Whatever a client sends, the server's reader ends, takes no more memory than what came is worth, and what it takes
// for a whole block is one.
func FuzzPackets(f *testing.F) {
	seeds := packetSeeds(f)
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for revision, seed := range seeds {
		f.Add(seed, revision)
	}
	f.Add([]byte{0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, nativeRevision)
	f.Fuzz(func(t *testing.T, data []byte, revision int) {
		if revision < 0 {
			return
		}
		p := packets{r: bufio.NewReader(bytes.NewReader(data)), revision: min(revision, nativeRevision), numeric: numericSettings}
		if _, err := p.readHello(); err != nil {
			require.NotEqual(t, io.EOF, err, "an end in the middle is no clean one")
			return
		}
		if _, err := p.readQuery(); err != nil {
			require.NotEqual(t, io.EOF, err)
			return
		}
		for {
			b, err := readBlock(p.r, uint64(p.revision))
			if err != nil || b.end() {
				return
			}
			var out bytes.Buffer
			c := copier{r: p.r, w: bufio.NewWriter(&out)}
			c.begin(b, 0)
			columns, err := c.columns(b, uint64(p.revision), 0)
			if err != nil {
				return
			}
			require.NoError(t, c.w.Flush())
			require.Len(t, columns, int(b.columns))
			// The copy is a block of its own: it is read again to the same end.
			again := bufio.NewReader(bytes.NewReader(out.Bytes()))
			copied, err := readBlock(again, 0)
			require.NoError(t, err)
			require.Equal(t, b, copied)
			same, err := copier{r: again, w: bufio.NewWriter(io.Discard)}.columns(copied, 0, 0)
			require.NoError(t, err)
			require.Equal(t, columns, same)
			_, err = again.ReadByte()
			require.Equal(t, io.EOF, err)
		}
	})
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{
		"Array(Tuple(`a, (b)` String, n LowCardinality(Nullable(String))))", "Map(String, Map(String, Array(UInt8)))",
		"Enum8('a)' = 1, '\\'' = 2)", "SimpleAggregateFunction(sum, Nullable(UInt64))", "DateTime64(9, 'UTC')", "Decimal(76, 3)",
		"Nested(a String, b UInt8)", "FixedString(16)", "Tuple(Tuple(UInt8), String)", "Point", "MultiPolygon", "IntervalDay",
	} {
		_, err := parseShape(typ)
		require.NoError(t, err, typ)
	}
	for _, typ := range []string{
		"", "JSON", "Dynamic", "Variant(String, UInt8)", "AggregateFunction(uniq, String)", "Array", "Array(String", "Tuple()",
		"FixedString(0)", "FixedString(99999999)", "Decimal(77, 1)", "LowCardinality(Array(String))", "Nullable(String, String)",
	} {
		_, err := parseShape(typ)
		require.ErrorIs(t, err, errUnknownType, typ)
	}
	deep := "String"
	for range 40 {
		deep = "Array(" + deep + ")"
	}
	_, err := parseShape(deep)
	require.ErrorContains(t, err, "nested more than 32 deep")
}

func TestInsertTargets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]insertTarget{
		"INSERT INTO t":                         {table: "t"},
		"insert into table db.`t` (a, `b``c`)":  {"db.`t`", []string{"a", "b`c"}},
		"INSERT INTO table (a)":                 {"table", []string{"a"}},
		`INSERT INTO "x" (n.a, b) SETTINGS a=1`: {`"x"`, []string{"n.a", "b"}},
		"INSERT t SETTINGS async_insert = 0":    {table: "t"},
	} {
		got, ok := readInsertTarget(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"INSERT INTO FUNCTION null('a Int8')", "INSERT INTO t (* EXCEPT a)", "INSERT INTO t (a", "INSERT",
		"INSERT INTO {t:Identifier}", "INSERT INTO t (a, )"} {
		_, ok := readInsertTarget(text)
		require.False(t, ok, text)
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	got, ok := readSet("SET a = 1, `b` = 'it''s', c = -2.5, d = true;")
	require.True(t, ok)
	require.Equal(t, []setting{{"a", "1"}, {"b", "it's"}, {"c", "-2.5"}, {"d", "true"}}, got)
	for _, text := range []string{"SET", "SET a", "SET a = ", "SET a = 1 b = 2", "SET a = [1]", "SET ROLE x"} {
		_, ok := readSet(text)
		require.False(t, ok, text)
	}
}

// BenchmarkReencode turns blocks of 65,000 rows into the native protocol's form, by their shape and by decoding them.
func BenchmarkReencode(b *testing.B) {
	const rows = 65_000
	low, text := new(proto.ColStr).LowCardinality(), new(proto.ColStr)
	tags := proto.NewMap(new(proto.ColStr).LowCardinality(), new(proto.ColStr))
	for i := range rows {
		low.Append("websocket.open")
		text.Append("4bf92f3577b34da6a3ce929d0e0e4736")
		tags.Append(map[string]string{"url.scheme": "wss", "n": string(rune('a' + i%26))})
	}
	var block proto.Buffer
	require.NoError(b, proto.Block{Columns: 4, Rows: rows}.EncodeRawBlock(&block, 0, []proto.InputColumn{
		{Name: "low", Data: low}, {Name: "text", Data: text}, {Name: "tags", Data: tags},
		{Name: "n", Data: make(proto.ColUInt64, rows)},
	}))
	for name, each := range map[string]func([]byte, uint64, func([]column, uint64, []byte) error) error{
		"shape": eachBlock, "decoded": eachDecoded,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, each(block.Buf, nativeRevision, func([]column, uint64, []byte) error { return nil }))
			}
		})
	}
}
