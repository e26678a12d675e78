package embeddedclickhouseextension

import "syscall"

// childAttributes tie the child to the collector: the kernel kills it when the collector dies, however that happens.
// Its own process group keeps Ctrl-C from reaching it before the exporters have handed over what they hold.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
