//go:build linux && amd64 && !noembedded

package embedded

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// captureStderr returns what is written to the process's standard error, by anyone, while f runs.
// The engine says there, and only there, why it does not start.
func captureStderr(f func()) string {
	saved, err := syscall.Dup(2)
	if err != nil {
		f()
		return ""
	}
	syscall.CloseOnExec(saved)
	r, w, err := os.Pipe()
	if err != nil {
		_ = syscall.Close(saved)
		f()
		return ""
	}
	var said strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&said, r)
	}()
	_ = syscall.Dup3(int(w.Fd()), 2, 0)
	f()
	_ = syscall.Dup3(saved, 2, 0)
	_ = syscall.Close(saved)
	_ = w.Close()
	<-done
	_ = r.Close()
	return said.String()
}
