package websocketlogreceiver

import (
	"bytes"
	"errors"
	"io"
)

// lineReader cuts a growing file into lines, in bounded memory: of a line longer than max it reports only the bounds.
// A last line without a break is not returned until it has one, or until take asks for it.
type lineReader struct {
	f   io.ReaderAt
	max int
	// pos is the offset in the file of buf[r].
	pos  int64
	buf  []byte
	r, w int
	// skipping is true inside a line that is too long, which began at skipStart.
	skipping  bool
	skipStart int64
	// searched is how much of buf[r:w] is known to hold no break.
	searched int
	// head is the file's beginning as it was read, for the fingerprint; empty if reading began further on.
	head []byte
}

const firstBuffer = 64 << 10

func newLineReader(f io.ReaderAt, pos int64, longest int) lineReader {
	return lineReader{f: f, pos: pos, max: longest, buf: make([]byte, min(firstBuffer, longest+2))}
}

// rawLine is one line of a file without its break. text belongs to the reader until its next call.
type rawLine struct {
	text       []byte
	start, end int64
	tooLong    bool
}

// next returns the next whole line that ends at or before limit; false if there is none yet.
func (l *lineReader) next(limit int64) (rawLine, bool, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.r+l.searched:l.w], '\n'); i >= 0 {
			i += l.searched
			if l.pos+int64(i)+1 > limit {
				return rawLine{}, false, nil
			}
			return l.cut(i, 1), true, nil
		}
		l.searched = l.w - l.r
		if l.searched > l.max {
			if !l.skipping {
				l.skipping, l.skipStart = true, l.pos
			}
			l.pos += int64(l.searched)
			l.r, l.w, l.searched = 0, 0, 0
		}
		more, err := l.read(limit)
		if err != nil || !more {
			return rawLine{}, false, err
		}
	}
}

// take returns what is left up to limit as a line without a break; false if nothing is.
func (l *lineReader) take(limit int64) (rawLine, bool) {
	n := int(min(int64(l.w-l.r), limit-l.pos))
	if n <= 0 && !l.skipping {
		return rawLine{}, false
	}
	return l.cut(n, 0), true
}

// partial is how many bytes have been read after the last line.
func (l *lineReader) partial() int64 {
	n := int64(l.w - l.r)
	if l.skipping {
		n += l.pos - l.skipStart
	}
	return n
}

// cut consumes n bytes and a break of the given length.
func (l *lineReader) cut(n, lineBreak int) rawLine {
	line := rawLine{text: l.buf[l.r : l.r+n], start: l.pos, end: l.pos + int64(n+lineBreak)}
	if n > 0 && line.text[n-1] == '\r' {
		line.text = line.text[:n-1]
	}
	if l.skipping || len(line.text) > l.max {
		line.tooLong, line.text = true, nil
	}
	if l.skipping {
		line.start, l.skipping = l.skipStart, false
	}
	l.r += n + lineBreak
	l.pos = line.end
	l.searched = 0
	return line
}

// read gets more of the file, up to limit; false at its end.
func (l *lineReader) read(limit int64) (bool, error) {
	if l.r == l.w {
		l.r, l.w = 0, 0
	}
	if l.w == len(l.buf) {
		if l.r > 0 {
			l.w = copy(l.buf, l.buf[l.r:l.w])
			l.r = 0
		} else {
			// One byte more than the longest line and its break, so that a longer one is seen to be.
			grown := make([]byte, min(2*len(l.buf), l.max+2))
			l.w = copy(grown, l.buf)
			l.buf = grown
		}
	}
	at := l.pos + int64(l.w-l.r)
	room := min(int64(len(l.buf)-l.w), limit-at)
	if room <= 0 {
		return false, nil
	}
	n, err := l.f.ReadAt(l.buf[l.w:l.w+int(room)], at)
	if at == int64(len(l.head)) && at < headBytes {
		l.head = append(l.head, l.buf[l.w:l.w+min(n, headBytes-int(at))]...)
	}
	l.w += n
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n > 0, err
}
