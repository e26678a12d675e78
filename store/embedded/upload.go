package embedded

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/klauspost/compress/zstd"
)

// readUpload fills the buffer. io.EOF, and nothing wrapped around it, means that the upload ended where it should.
func readUpload(r io.Reader, buffer []byte) (int, error) {
	n := 0
	for n < len(buffer) {
		m, err := r.Read(buffer[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// insertChunk is how much of an upload is handed to the engine at once.
const insertChunk = 1 << 20

// feedFrom pushes all that a reader gives.
func feedFrom(rows io.Reader) func(push func([]byte) error) error {
	return func(push func([]byte) error) error {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		for {
			n, err := readUpload(rows, *buffer)
			if err != nil && err != io.EOF {
				return err
			}
			if pushed := push((*buffer)[:n]); pushed != nil || err == io.EOF {
				return pushed
			}
		}
	}
}

var buffers = sync.Pool{New: func() any {
	buffer := make([]byte, insertChunk)
	return &buffer
}}

// errBadUpload marks an upload that cannot be decompressed.
var errBadUpload = errors.New("upload is corrupt")

// uploadException is what a client is told whose upload did not end cleanly.
func uploadException(err error) error {
	var known *exception
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return newException(codeCancelled, "QUERY_WAS_CANCELLED", "The client went away; nothing was inserted")
	case errors.Is(err, errBadUpload):
		return newException(codeCannotDecompress, "CANNOT_DECOMPRESS", "%v; nothing was inserted", err)
	}
	return newException(codeUnexpectedEnd, "UNEXPECTED_END_OF_FILE",
		"The upload ended early (%v); nothing was inserted", err)
}

// How long a client may leave us waiting in the middle of its rows, or of its result: it holds a turn.
const (
	readTimeout  = time.Minute
	writeTimeout = time.Minute
)

// limitReads gives each piece of the request's body its own time.
func limitReads(w http.ResponseWriter, r *http.Request) {
	r.Body = timedBody{r.Body, http.NewResponseController(w)}
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b timedBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(readTimeout))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// The server goes on reading, to notice that the client goes away.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// limitWrites gives what is written next its own time.
func limitWrites(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// body is the request's body, decompressed as its Content-Encoding and the parameter decompress=1 say.
func body(r *http.Request, native bool) (*bufio.Reader, func(), error) {
	var source io.Reader = r.Body
	closers := func() {}
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(source)
		if err != nil {
			return nil, nil, newException(codeCannotDecompress, "CANNOT_DECOMPRESS", "gzip: %v", err)
		}
		source = z
	case "deflate":
		z, err := zlib.NewReader(source)
		if err != nil {
			return nil, nil, newException(codeCannotDecompress, "CANNOT_DECOMPRESS", "deflate: %v", err)
		}
		source = z
	case "zstd":
		z, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, newException(codeCannotDecompress, "CANNOT_DECOMPRESS", "zstd: %v", err)
		}
		source, closers = z, z.Close
	default:
		return nil, nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
			"Content-Encoding %q; use gzip, deflate or zstd", encoding)
	}
	if native {
		source = newFrames(source)
	}
	return bufio.NewReaderSize(source, peekBytes), closers, nil
}

// frames reads ClickHouse's own compressed frames. The reader it is built on wraps the end of the input, whether it
// comes between two frames or inside one; here only the former is io.EOF.
type frames struct {
	source *counted
	reader *compress.Reader
}

// counted looks at the beginning of each frame before the reader does, which takes the memory that a frame says it needs
// before it has come.
type counted struct {
	io.Reader
	n    int64
	most int64 // of a frame's size, packed or not; 0 leaves it to the reader
	head []byte
	left int64 // of the frame
}

// headBytes are a checksum, the method and the two sizes of a frame, of which the packed one counts all but the checksum.
const headBytes, checksumBytes = 25, 16

func (c *counted) Read(p []byte) (int, error) {
	if c.left > 0 {
		p = p[:min(int64(len(p)), c.left)]
	} else {
		p = p[:min(len(p), headBytes-len(c.head))]
	}
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	if c.left > 0 {
		c.left -= int64(n)
		return n, err
	}
	if c.head = append(c.head, p[:n]...); len(c.head) < headBytes {
		return n, err
	}
	packed := int64(binary.LittleEndian.Uint32(c.head[checksumBytes+1:]))
	plain := int64(binary.LittleEndian.Uint32(c.head[checksumBytes+5:]))
	c.head, c.left = c.head[:0], max(0, packed-(headBytes-checksumBytes))
	if c.most > 0 && max(packed, plain) > c.most {
		return 0, fmt.Errorf("%w: a frame of %d bytes where at most %d are taken", errBadUpload, max(packed, plain), c.most)
	}
	return n, err
}

func newFrames(r io.Reader) *frames {
	source := &counted{Reader: r}
	return &frames{source: source, reader: compress.NewReader(source)}
}

func (f *frames) Read(p []byte) (int, error) {
	before := f.source.n
	n, err := f.reader.Read(p)
	var network interface{ Timeout() bool }
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, errBadUpload):
		return n, err
	case errors.Is(err, io.EOF) && f.source.n == before:
		return n, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("inside a compressed frame: %w", io.ErrUnexpectedEOF)
	case errors.As(err, &network), errors.Is(err, context.Canceled):
		return n, err
	}
	return n, fmt.Errorf("%w: %v", errBadUpload, err)
}
