package endpoint

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// readBytes is the size of the buffers that connections read into. A connection has one only while there is something to read.
const readBytes = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// input reads a connection, and holds no buffer while there is nothing to read.
type input struct {
	conn   net.Conn
	raw    syscall.RawConn // nil where the bytes are not those of the socket, as with TLS
	ready  func(fd uintptr) bool
	buffer *[readBytes]byte
	n      int
	err    error
	small  []byte
}

// smallBytes is what a connection with TLS reads into at first. It has it for good, since nobody can say whether
// crypto/tls has something without reading it.
const smallBytes = 256

// past is a deadline that has passed.
var past = time.Unix(1, 0)

func newInput(conn net.Conn) input {
	i := input{conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok && rawReads {
		i.raw, _ = tcp.SyscallConn()
	}
	if i.raw == nil {
		i.small = make([]byte, smallBytes)
	}
	return i
}

// start makes i ready; i is where it will stay.
func (i *input) start() {
	if i.raw != nil {
		i.ready = i.readNow
	}
}

// release gives the buffer back.
func (i *input) release() {
	if i.buffer != nil {
		readBuffers.Put(i.buffer)
		i.buffer = nil
	}
}

// read waits until there is something and returns it. It is valid until the next call, or until release.
func (i *input) read() ([]byte, error) {
	if i.raw != nil {
		if err := i.raw.Read(i.ready); err != nil {
			i.release()
			return nil, err
		}
		if i.err != nil {
			i.release()
			return nil, i.err
		}
		return i.buffer[:i.n], nil
	}
	if i.n == len(i.small) {
		// There may be more that was deciphered already: the deadline keeps from waiting for what was not.
		i.n = 0
		if i.conn.SetReadDeadline(past) == nil {
			if i.buffer == nil {
				i.buffer = readBuffers.Get().(*[readBytes]byte)
			}
			n, err := i.conn.Read(i.buffer[:])
			if again := i.conn.SetReadDeadline(time.Time{}); again != nil && err == nil {
				err = again
			}
			if n > 0 {
				i.n = len(i.small)
				return i.buffer[:n], nil
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				i.release()
				return nil, err
			}
		}
	}
	i.release()
	n, err := i.conn.Read(i.small)
	i.n = n
	if n > 0 {
		return i.small[:n], nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return nil, err
}
