package embedded

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	clickhouse "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/stretchr/testify/require"
)

func testRequest(query string, body []byte, encoding string) (*http.Request, url.Values, bool) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, false
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Encoding", encoding)
	return r, values, true
}

// The reader under it wraps the end of its input, and calls the end inside a frame the same.
func TestFramesEndOnlyBetweenFrames(t *testing.T) {
	t.Parallel()
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	var two []byte
	for range 2 {
		require.NoError(t, w.Compress(bytes.Repeat([]byte("abc"), 1000)))
		two = append(two, w.Data...)
	}
	for cut := range len(two) + 1 {
		data, err := io.ReadAll(newFrames(bytes.NewReader(two[:cut])))
		switch cut {
		case 0, len(two) / 2, len(two):
			require.NoError(t, err, "cut at %d", cut)
			require.Len(t, data, cut/(len(two)/2)*3000)
		default:
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", cut)
			require.False(t, err == io.EOF)
		}
	}
	two[40] ^= 1
	_, err := io.ReadAll(newFrames(bytes.NewReader(two)))
	require.ErrorIs(t, err, errBadUpload)
}

// The reader under it takes what a frame says it needs, before anything of it has come.
func TestALargeFrameIsRefusedByItsBeginning(t *testing.T) {
	t.Parallel()
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	require.NoError(t, w.Compress(make([]byte, 1000)))
	small := bytes.Clone(w.Data)
	require.NoError(t, w.Compress(make([]byte, 2000)))
	read := func(frames []byte) ([]byte, error) {
		f := newFrames(iotest.OneByteReader(bytes.NewReader(frames)))
		f.source.most = 1000
		return io.ReadAll(f)
	}
	data, err := read(slices.Concat(small, small))
	require.NoError(t, err)
	require.Len(t, data, 2000)
	data, err = read(slices.Concat(small, w.Data[:headBytes]))
	require.ErrorIs(t, err, errBadUpload)
	require.ErrorContains(t, err, "a frame of 2000 bytes")
	require.Len(t, data, 1000)
	packed := bytes.Clone(small)
	packed[checksumBytes+4] = 0x7f
	_, err = read(packed)
	require.ErrorContains(t, err, "a frame of")
}

func TestReadUploadKnowsACleanEnd(t *testing.T) {
	t.Parallel()
	buffer := make([]byte, 4)
	n, err := readUpload(strings.NewReader("abcdef"), buffer)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	n, err = readUpload(strings.NewReader("ab"), buffer)
	require.Equal(t, io.EOF, err)
	require.Equal(t, 2, n)
	_, err = readUpload(io.MultiReader(strings.NewReader("a"), failing{io.ErrUnexpectedEOF}), buffer)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	var e *exception
	require.ErrorAs(t, uploadException(err), &e)
	require.Equal(t, "Code: 102. DB::Exception: The upload ended early (unexpected EOF); nothing was inserted. "+
		"(UNEXPECTED_END_OF_FILE)", e.text)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// block is one row of a LowCardinality and a plain column in the engine's form, revision 0.
func engineBlock(t *testing.T, rows int) []byte {
	t.Helper()
	low := new(proto.ColStr).LowCardinality()
	numbers := proto.ColUInt64{}
	for i := range rows {
		low.Append("x")
		numbers = append(numbers, uint64(i))
	}
	var out proto.Buffer
	require.NoError(t, proto.Block{Columns: 2, Rows: rows}.EncodeRawBlock(&out, 0, []proto.InputColumn{
		{Name: "low", Data: low}, {Name: "n", Data: numbers},
	}))
	return out.Buf
}

func TestReencode(t *testing.T) {
	t.Parallel()
	for _, revision := range []uint64{0, 1, 54453, 54454, 54460, engineRevision, 99999} {
		data := append(engineBlock(t, 3), engineBlock(t, 0)...)
		data = append(data, engineBlock(t, 2)...)
		got, err := reencode(data, revision)
		require.NoError(t, err)
		reader := proto.NewReader(bytes.NewReader(got))
		for _, rows := range []int{3, 0, 2} {
			var block clickhouse.Block
			require.NoError(t, block.Decode(reader, min(revision, engineRevision)), "revision %d", revision)
			require.Equal(t, rows, block.Rows())
			require.Equal(t, []string{"low", "n"}, block.ColumnsNames())
		}
		_, err = reader.ReadByte()
		require.ErrorIs(t, err, io.EOF, "nothing is left over")
	}
	_, err := reencode([]byte{1, 1, 1, 'a', 3, 'F', 'o', 'o'}, 54460)
	require.Error(t, err)
}

func TestHeaderHasNoStatePrefixes(t *testing.T) {
	t.Parallel()
	var out proto.Buffer
	appendHeader(&out, []column{{"low", "LowCardinality(String)"}}, 54460)
	var block clickhouse.Block
	reader := proto.NewReader(bytes.NewReader(out.Buf))
	require.NoError(t, block.Decode(reader, 54460))
	require.Equal(t, "LowCardinality(String)", string(block.Columns[0].Type()))
	_, err := reader.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestFindLibrary(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(LibraryEnv, "")
	t.Chdir(dir)
	file := filepath.Join(dir, "here.so")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got, err := FindLibrary(file)
	require.NoError(t, err)
	require.Equal(t, file, got)
	_, err = FindLibrary(filepath.Join(dir, "gone.so"))
	require.EqualError(t, err, "--library: no library at "+dir+"/gone.so; run `make libchdb` to get one")
	t.Setenv(LibraryEnv, file)
	got, err = FindLibrary("")
	require.NoError(t, err)
	require.Equal(t, file, got)
	t.Setenv(LibraryEnv, dir)
	_, err = FindLibrary("")
	require.EqualError(t, err, LibraryEnv+": no library at "+dir+"; run `make libchdb` to get one")

	t.Setenv(LibraryEnv, "")
	sub := filepath.Join(dir, "a", "b")
	library := filepath.Join(dir, npmLibrary)
	require.NoError(t, os.MkdirAll(sub, 0o700))
	require.NoError(t, os.MkdirAll(filepath.Dir(library), 0o700))
	t.Chdir(sub)
	if _, err = FindLibrary(""); err != nil {
		require.ErrorIs(t, err, ErrLibraryMissing)
		require.ErrorContains(t, err, "make libchdb")
	}
	require.NoError(t, os.WriteFile(library, nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), nil, 0o600))
	got, err = FindLibrary("")
	require.NoError(t, err)
	require.Equal(t, library, got, "from any folder of the checkout")
}

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "512MiB": 512 << 20, " 2 GiB ": 2 << 30, "1TiB": 1 << 40, "3KiB": 3072,
	} {
		got, err := ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "0", "-1MiB", "2GB", "GiB", "9999999999999TiB"} {
		_, err := ParseBytes(text)
		require.ErrorContains(t, err, "must be an amount such as 512MiB or 2GiB", text)
	}
}

func TestParseException(t *testing.T) {
	t.Parallel()
	e := parseException("Error: Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)\n")
	require.Equal(t, 60, e.code)
	require.Equal(t, 404, e.status())
	require.Equal(t, "Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)", e.Error())
	require.Equal(t, codeUnknown, parseException("who knows").code)
	require.Equal(t, codeUnknown, asException(errors.New("x")).code)
}

func TestPoolKey(t *testing.T) {
	t.Parallel()
	a := []setting{{"x", "1"}, {"y", "2"}}
	require.Equal(t, poolKey("d", a), poolKey("d", []setting{a[1], a[0]}), "order does not matter")
	require.NotEqual(t, poolKey("d", a), poolKey("e", a))
	require.NotEqual(t, poolKey("d", a), poolKey("d", a[:1]))
	require.NotEqual(t, poolKey("d", []setting{{"x", "1\x00y=2"}}), poolKey("d", []setting{{"x", "1y=2"}}))
}
