package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end cmd should the demo be killed, so that nothing stays behind.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
