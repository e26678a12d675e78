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

// Connections read into buffers of these sizes, which they have only while there is something to read.
const (
	bufferBytes = 16 << 10
	smallBytes  = 1 << 10
)

var (
	buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}
	smalls  = sync.Pool{New: func() any { return new([smallBytes]byte) }}
)

// input reads a connection, and holds no buffer while there is nothing to read.
type input struct {
	raw    syscall.RawConn // of the socket; nil where there is none
	ready  func(fd uintptr) bool
	buffer *[bufferBytes]byte
	small  *[smallBytes]byte
	n      int
	err    error

	layered bool // what is read is not what the socket has, as with TLS
	drained bool // nothing is deciphered but not read
	waited  bool // for the socket
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// start makes i read conn.
func (i *input) start(conn net.Conn) {
	socket := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		socket, i.layered = socketOf(wrapped.NetConn()), true
	}
	tcp, ok := socket.(*net.TCPConn)
	if !ok || !rawReads {
		i.layered = true
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		i.layered = true
		return
	}
	i.raw, i.ready = raw, i.readNow
	if i.layered {
		i.ready = i.peekNow
	}
}

// release gives the buffers back.
func (i *input) release() {
	if i.buffer != nil {
		buffers.Put(i.buffer)
		i.buffer = nil
	}
	if i.small != nil {
		smalls.Put(i.small)
		i.small = nil
	}
}

// read waits until there is something and returns it. It is valid until the next call, or until release.
func (i *input) read(conn net.Conn) ([]byte, error) {
	if i.layered {
		return i.readLayered(conn)
	}
	err := i.raw.Read(i.ready)
	if err == nil {
		err = i.err
	}
	if err != nil {
		i.release()
		return nil, err
	}
	return i.buffer[:i.n], nil
}

// readLayered waits for the socket. Whether a layer above has something left cannot be asked, only tried, with a deadline
// that has passed so that it does not wait. Only a small buffer is held while the rest of a record is missing.
func (i *input) readLayered(conn net.Conn) ([]byte, error) {
	if !i.drained {
		if i.buffer == nil {
			i.buffer = buffers.Get().(*[bufferBytes]byte)
		}
		if err := conn.SetReadDeadline(past); err != nil {
			return nil, err
		}
		n, err := conn.Read(i.buffer[:])
		if again := conn.SetReadDeadline(time.Time{}); again != nil && n == 0 {
			return nil, again
		}
		if n > 0 {
			return i.buffer[:n], nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		i.drained = true
	}
	i.release()
	if i.raw != nil {
		i.waited = false
		if err := i.raw.Read(i.ready); err != nil {
			return nil, err
		}
	}
	i.small = smalls.Get().(*[smallBytes]byte)
	n, err := conn.Read(i.small[:])
	if n > 0 {
		i.drained = false
		return i.small[:n], nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return nil, err
}
