package testenv

import (
	"syscall"
	"testing"
	"time"
)

// CPU starts a clock of the process's CPU time, all threads, the collector of garbage included. What it returns reports
// how many events a CPU-second paid for; call it after the loop. Unlike time, CPU time means the same on a busy machine.
func CPU(b *testing.B) (report func(events int)) {
	b.Helper()
	start := cpuTime(b)
	return func(events int) {
		b.ReportMetric(float64(events)/(cpuTime(b)-start).Seconds(), "events/cpu-s")
	}
}

func cpuTime(t testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
