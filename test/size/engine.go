package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// engine is ClickHouse in a process of its own, as it is shipped.
type engine struct {
	cmd     *exec.Cmd
	data    string
	address string
}

func startEngine(sockeye, data string) (*engine, error) {
	if err := os.MkdirAll(data, 0o755); err != nil { //nolint:gosec // nothing secret
		return nil, err
	}
	e := &engine{data: data, cmd: exec.Command(sockeye, "clickhouse", "--data", data, "--listen", "127.0.0.1:0")}
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = e.stop()
		return nil, fmt.Errorf("the engine does not start: %w", err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // until it ends
	e.address = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "ready "), "/")
	return e, nil
}

func (e *engine) stop() error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return e.cmd.Wait()
}

// process reads a number of a file in /proc of the engine, such as "VmHWM:" of status, in KiB.
func (e *engine) process(file, name string) (n int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", e.cmd.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			_, err := fmt.Sscan(rest, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("%s of the engine has no %s", file, name)
}

// forgetPeak makes VmHWM what is resident now.
func (e *engine) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", e.cmd.Process.Pid), []byte("5"), 0)
}

// cpu is the processor time that the engine has used.
func (e *engine) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil // USER_HZ is 100 on every Linux that Go runs on
}

// chill takes the engine's files out of the kernel's cache, as far as they are on the disk.
func (e *engine) chill(ctx context.Context, m *month) error {
	for _, cache := range []string{"MARK", "INDEX MARK", "UNCOMPRESSED", "INDEX UNCOMPRESSED", "QUERY CONDITION"} {
		if err := m.db.Conn().Exec(ctx, "SYSTEM DROP "+cache+" CACHE"); err != nil {
			return err
		}
	}
	// A part that was merged may go meanwhile.
	return filepath.WalkDir(filepath.Join(e.data, "store"), func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) //nolint:gosec // a file descriptor
	})
}
