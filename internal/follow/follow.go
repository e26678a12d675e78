// Package follow reads what has been appended to a file since it last looked, through rotation, when it is asked to. It
// has no goroutine and keeps no offsets: it is for files that enrich others, such as an error log, where a line less does
// no harm. Logs that are delivered exactly once are read by receiver/websocketlogreceiver.
//
// The invariant to keep: a look costs bounded memory and, but for Everything, bounded time.
package follow

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// Everything makes a [File] read from the beginning.
const Everything = -1

const (
	bufferBytes = 64 << 10
	// lineBytes is the longest line that is read; longer ones are left out. It must be less than a buffer.
	lineBytes = 32 << 10
	// grace is how long a file that has been renamed is read besides the new one: its writer goes on writing to it until
	// it is told to open the new one.
	grace = time.Minute
)

// File follows one file. It is safe for concurrent use.
type File struct {
	path string
	most int64
	now  func() time.Time

	mu      sync.Mutex
	current *reader
	// old is the file that had the name before, until the time.
	old   *reader
	until time.Time
	buf   []byte
}

// New returns a follower of the file at path. A look reads at most the last most bytes, or [Everything].
func New(path string, most int64) *File {
	return &File{path: path, most: most, now: time.Now}
}

// Read calls line for every line that was completed since the last call; it is valid until line returns. The error is
// why the file cannot be read now; the next call tries again.
func (f *File) Read(line func([]byte)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.buf == nil {
		f.buf = make([]byte, bufferBytes)
	}
	if f.old != nil {
		if err := f.old.read(f.buf, f.most, line); err != nil || f.now().After(f.until) {
			f.old.close()
			f.old = nil
		}
	}
	info, err := os.Stat(f.path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if f.current != nil && (err != nil || !os.SameFile(info, f.current.info)) {
		if readErr := f.current.read(f.buf, f.most, line); readErr != nil && err == nil {
			err = readErr
		}
		if f.old != nil {
			f.old.close()
		}
		f.old, f.until, f.current = f.current, f.now().Add(grace), nil
	}
	if err != nil {
		return err
	}
	if f.current == nil {
		if f.current, err = open(f.path); err != nil {
			return err
		}
	}
	return f.current.read(f.buf, f.most, line)
}

// Close lets the files go.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range []*reader{f.old, f.current} {
		if r != nil {
			r.close()
		}
	}
	f.old, f.current = nil, nil
}

// reader reads one open file.
type reader struct {
	file *os.File
	info os.FileInfo
	// pos is behind the last line that was taken; cut is true if pos may be in the middle of a line, which is left out.
	pos int64
	cut bool
}

func open(path string) (*reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &reader{file: file, info: info}, nil
}

func (r *reader) close() { _ = r.file.Close() }

func (r *reader) read(buf []byte, most int64, line func([]byte)) error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size < r.pos {
		r.pos, r.cut = 0, false
	}
	if most != Everything && size-r.pos > most {
		r.pos, r.cut = size-most, true
	}
	for {
		n, err := r.file.ReadAt(buf, r.pos)
		data := buf[:n]
		for {
			end := bytes.IndexByte(data, '\n')
			if end < 0 {
				break
			}
			if !r.cut && end <= lineBytes {
				line(bytes.TrimSuffix(data[:end], []byte{'\r'}))
			}
			r.cut = false
			data = data[end+1:]
			r.pos += int64(end) + 1
		}
		if len(data) > lineBytes {
			r.cut = true
			r.pos += int64(len(data))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
