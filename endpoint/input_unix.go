//go:build unix

package endpoint

import (
	"io"
	"syscall"
)

const rawReads = true

// readNow reads what there is into a buffer. It has none when it returns false, which makes the caller wait.
func (i *input) readNow(fd uintptr) bool {
	if i.buffer == nil {
		i.buffer = buffers.Get().(*[bufferBytes]byte)
	}
	for {
		n, err := syscall.Read(int(fd), i.buffer[:])
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a system call returns the number itself
			continue
		case err == syscall.EAGAIN: //nolint:errorlint // as above
			i.release()
			return false
		case err != nil:
			i.n, i.err = 0, err
		case n == 0:
			i.n, i.err = 0, io.EOF
		default:
			i.n, i.err = n, nil
		}
		return true
	}
}

// peekNow reports whether there is anything to read, be it an end or an error. Once the caller has waited, there is.
func (i *input) peekNow(fd uintptr) bool {
	if i.waited {
		i.waited = false
		return true
	}
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR { //nolint:errorlint // a system call returns the number itself
			i.waited = err == syscall.EAGAIN //nolint:errorlint // as above
			return !i.waited
		}
	}
}
