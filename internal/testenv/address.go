package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Ports below the range that Linux gives to outgoing connections and to listeners that ask for port 0
// (net.ipv4.ip_local_port_range, from 32768): nobody takes one by chance while a test restarts its server.
const firstPort, portCount = 20000, 12000

// Address returns a loopback address that nobody listens on and that no other call, of this or another test process,
// returns before t ends.
func Address(t testing.TB) string {
	t.Helper()
	locks := filepath.Join(os.TempDir(), "sockeye-test-ports")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	start := rand.IntN(portCount)
	for i := range portCount {
		port := firstPort + (start+i)%portCount
		lock, err := os.OpenFile(filepath.Join(locks, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(address) {
			t.Cleanup(func() { lock.Close() })
			return address
		}
		lock.Close()
	}
	t.Fatalf("no free port from %d to %d", firstPort, firstPort+portCount-1)
	return ""
}

func free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
