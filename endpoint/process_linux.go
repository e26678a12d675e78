package endpoint

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// residentBytes is the process's memory.
func residentBytes() (int64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// descriptors are how many files the process has open, and how many it may.
func descriptors() (open, most int64, ok bool) {
	var limit syscall.Rlimit
	dir, err := os.Open("/proc/self/fd")
	if err != nil || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return int64(len(names)), int64(min(limit.Cur, 1<<53)), err == nil
}
