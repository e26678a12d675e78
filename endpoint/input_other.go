//go:build !unix

package endpoint

const rawReads = false

func (*input) readNow(uintptr) bool { return true }

func (*input) peekNow(uintptr) bool { return true }
