//go:build !linux

package embeddedclickhouseextension

import "syscall"

func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
