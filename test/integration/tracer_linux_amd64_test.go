package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The tracer kills a program right before its nth change of a kind to a folder, counted over all of its threads. It is this test
// binary in another role, since wait4 of a tracer would take the exit statuses of other children. A seccomp filter stops
// the program at the traced calls only, so that all others run at full speed.
const (
	tracerKillAt = "SOCKEYE_TRACER_KILL_AT"     // the number of the change; counted from SIGUSR1 on, if it is "+n"
	tracerUnder  = "SOCKEYE_TRACER_UNDER"       // the folder
	tracerOnly   = "SOCKEYE_TRACER_ONLY"        // regular expression of the changes that count: "call path"
	tracerFilter = "SOCKEYE_TRACER_SETS_FILTER" // tells the traced process, before it becomes the program

	armedLine = "tracer: counting\n"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(tracerFilter) != "":
		fmt.Fprintln(os.Stderr, "tracer:", becomeFiltered(os.Args[1:]))
		os.Exit(1)
	case os.Getenv(tracerUnder) != "":
		os.Exit(trace(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// argument is where a traced call names what it changes.
type argument int

const (
	descriptor argument = iota
	firstPath
	secondPath
	lastName
)

// changes are the calls by which bbolt and ClickHouse change files. What a call changes must be a regular file or name
// under the folder, so writes to sockets and pipes are none.
var changes = map[uint64]struct {
	name string
	at   argument
}{
	syscall.SYS_WRITE: {"write", descriptor}, syscall.SYS_PWRITE64: {"pwrite64", descriptor},
	syscall.SYS_WRITEV: {"writev", descriptor}, syscall.SYS_FTRUNCATE: {"ftruncate", descriptor},
	syscall.SYS_FSYNC: {"fsync", descriptor}, syscall.SYS_FDATASYNC: {"fdatasync", descriptor},
	syscall.SYS_RENAME: {"rename", firstPath}, syscall.SYS_RENAMEAT: {"rename", secondPath},
	sysRenameat2: {"rename", secondPath}, syscall.SYS_MKDIR: {"mkdir", firstPath},
	syscall.SYS_MKDIRAT: {"mkdir", secondPath}, syscall.SYS_UNLINK: {"unlink", firstPath},
	syscall.SYS_UNLINKAT: {"unlink", secondPath}, syscall.SYS_RMDIR: {"rmdir", firstPath},
	syscall.SYS_SYMLINK: {"symlink", lastName}, syscall.SYS_LINK: {"link", firstPath},
}

const (
	sysRenameat2          = 316
	ptraceOptionSeccomp   = 1 << 7
	ptraceOptionExitKill  = 1 << 20
	ptraceEventSeccomp    = 7
	prSetNoNewPrivileges  = 38
	seccompModeFilter     = 2
	bpfLoadWord           = 0x20
	bpfJumpEqual          = 0x15
	bpfReturn             = 0x06
	seccompTrace          = 0x7ff00000
	seccompAllow          = 0x7fff0000
	waitForThreadsOfOther = 0x40000000 // __WALL
)

type bpfInstruction struct {
	code      uint16
	whenTrue  uint8
	whenFalse uint8
	constant  uint32
}

// becomeFiltered installs the filter and becomes the program.
func becomeFiltered(args []string) error {
	runtime.LockOSThread()
	filter := []bpfInstruction{{code: bpfLoadWord}}
	for call := range changes {
		filter = append(filter,
			bpfInstruction{bpfJumpEqual, 0, 1, uint32(call)}, bpfInstruction{bpfReturn, 0, 0, seccompTrace})
	}
	filter = append(filter, bpfInstruction{bpfReturn, 0, 0, seccompAllow})
	program := struct {
		length uint16
		first  *bpfInstruction
	}{uint16(len(filter)), &filter[0]}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetNoNewPrivileges, 1, 0); errno != 0 {
		return fmt.Errorf("no new privileges: %w", errno)
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_SECCOMP, seccompModeFilter,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "SOCKEYE_TRACER_") {
			env = append(env, pair)
		}
	}
	return syscall.Exec(args[0], args, env)
}

// trace runs the program and returns its exit status.
func trace(args []string) int {
	runtime.LockOSThread()
	under, only := os.Getenv(tracerUnder), regexp.MustCompile(os.Getenv(tracerOnly))
	number, later := strings.CutPrefix(os.Getenv(tracerKillAt), "+")
	killAt, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	var counting atomic.Bool
	counting.Store(!later)

	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), tracerFilter+"=yes")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	pid := cmd.Process.Pid
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				counting.Store(true)
				fmt.Print(armedLine)
				continue
			}
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		panic(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		panic(err)
	}
	options := ptraceOptionSeccomp | ptraceOptionExitKill | syscall.PTRACE_O_TRACECLONE | syscall.PTRACE_O_TRACEFORK |
		syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACEEXEC
	if err := syscall.PtraceSetOptions(pid, options); err != nil {
		panic(err)
	}
	syscall.PtraceCont(pid, 0)
	for seen := 0; ; {
		thread, err := syscall.Wait4(-1, &status, waitForThreadsOfOther, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			panic(err)
		}
		if thread == pid && status.Exited() {
			return status.ExitStatus()
		}
		if thread == pid && status.Signaled() {
			return 128 + int(status.Signal())
		}
		if !status.Stopped() {
			continue
		}
		deliver := 0
		switch kind, s := int(status)>>16, status.StopSignal(); {
		case kind == syscall.PTRACE_EVENT_EXEC:
			// The memory of before is gone.
			memory.Close()
			if memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", pid)); err != nil {
				panic(err)
			}
		case kind == ptraceEventSeccomp && counting.Load():
			if what := changeOf(pid, thread, memory, under); what != "" && only.MatchString(what) {
				seen++
				if seen == killAt {
					fmt.Printf("tracer: killed before change %d: %s\n", seen, what)
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		case kind == 0 && s != syscall.SIGSTOP: // a new thread begins with a SIGSTOP; nobody else sends it
			deliver = int(s)
		}
		syscall.PtraceCont(thread, deliver)
	}
}

// changeOf says what the stopped thread is about to change under the folder; "" is nothing.
func changeOf(pid, thread int, memory *os.File, under string) string {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(thread, &regs); err != nil {
		return ""
	}
	call, known := changes[regs.Orig_rax]
	if !known {
		return ""
	}
	var path string
	switch call.at {
	case descriptor:
		path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int(regs.Rdi)))
	case firstPath:
		path = stringAt(memory, regs.Rdi)
	default:
		path = stringAt(memory, regs.Rsi)
	}
	rest, inside := strings.CutPrefix(path, under+"/")
	if !inside {
		return ""
	}
	return call.name + " " + rest
}

func stringAt(memory *os.File, address uint64) string {
	buf := make([]byte, 4096)
	n, _ := memory.ReadAt(buf, int64(address))
	text, _, _ := bytes.Cut(buf[:n], []byte{0})
	return string(text)
}

// killPoint is before the nth change of a kind.
type killPoint struct {
	n         int
	only      string // regular expression of "call path"; empty is any change
	fromStart bool   // count from the program's start, not from arm on
}

// startTraced starts the binary so that it is killed at a point in what it changes under a folder.
func startTraced(t testing.TB, under string, at killPoint, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	number := strconv.Itoa(at.n)
	if !at.fromStart {
		number = "+" + number
	}
	return start(t, []string{tracerUnder + "=" + under, tracerOnly + "=" + at.only, tracerKillAt + "=" + number}, self,
		append([]string{binary(t)}, args...)...)
}

// arm makes the tracer count from now on.
func (p *program) arm() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGUSR1))
	eventually(p.t, 10*time.Second, "the tracer counting", func() (bool, string) {
		return strings.Contains(p.out.String(), armedLine), p.out.String()
	})
}

var killLine = regexp.MustCompile(`tracer: killed before change \d+: (.*)\n`)

// killedBefore says at which change the tracer killed the program, "" if it has not yet.
func (p *program) killedBefore() string {
	select {
	case <-p.done:
	default:
		return ""
	}
	if m := killLine.FindStringSubmatch(p.out.String()); m != nil {
		p.ended = true
		return m[1]
	}
	return ""
}
