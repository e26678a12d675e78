// Package integration runs the built binary with the real programs around it: the engine, nginx, Alertmanager. What it
// asserts is rows in ClickHouse, alerts and exit codes, not log text.
package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// binary returns the sockeye binary that `make build` made.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SOCKEYE_BIN")
	if path == "" {
		path = filepath.Join(testenv.Root(), "bin", "sockeye")
	}
	if _, err := os.Stat(path); err != nil {
		testenv.Missing(t, "the sockeye binary", "make it with `make build`")
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// program is a running child. Its output is kept for when the test fails.
type program struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
	err  error
	// ended says that the test ended it.
	ended bool
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a program that is stopped, by its pid, when the test ends.
func start(t testing.TB, env []string, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: filepath.Base(path), out: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.WaitDelay = 10 * time.Second
	require.NoError(t, p.cmd.Start())
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.terminate()
		if t.Failed() && !p.ended {
			text := p.out.String()
			t.Logf("%s printed (last part):\n%s", p.name, text[max(0, len(text)-6000):])
		}
	})
	return p
}

// stop is terminate by the test itself; what the program printed is then not of interest.
func (p *program) stop() {
	p.t.Helper()
	p.terminate()
	p.ended = true
}

// terminate ends the program with SIGTERM, and with SIGKILL if it has not ended after 20 seconds, which fails the test.
func (p *program) terminate() {
	p.t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may just have ended
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill() //nolint:errcheck // as above
		<-p.done
		p.t.Errorf("%s did not end within 20 s of SIGTERM", p.name)
	}
}

// wait returns the exit code of a program that ends by itself.
func (p *program) wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %s", p.name, limit)
		return -1
	}
}

// residentBytes is the program's resident memory.
func (p *program) residentBytes() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func eventually(t testing.TB, limit time.Duration, what string, done func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		ok, now := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(t, what+" did not come true within "+limit.String(), now)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// listening waits until something accepts connections at addr, or p has ended.
func (p *program) listening(addr string) {
	p.t.Helper()
	eventually(p.t, 60*time.Second, p.name+" listening", func() (bool, string) {
		select {
		case <-p.done:
			require.FailNow(p.t, p.name+" ended", p.out.String())
		default:
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false, err.Error()
		}
		c.Close()
		return true, ""
	})
}

// clickhouse is the engine as a process of its own, so that it can be stopped while the collector runs.
type clickhouse struct {
	*program
	addr, data string
	native     string // address of the native protocol, if the collector is to use that
}

// protocols are the ways to the engine, by the schemes of their DSNs.
var protocols = []string{"http", "clickhouse"}

func startClickHouse(t testing.TB) *clickhouse { return startClickHouseOver(t, "http", t.TempDir()) }

// startClickHouseOver starts an engine that a collector reaches by that protocol.
func startClickHouseOver(t testing.TB, protocol, data string) *clickhouse {
	t.Helper()
	c := &clickhouse{addr: testenv.Address(t), data: data}
	if protocol == "clickhouse" {
		c.native = testenv.Address(t)
	}
	c.restart(t)
	return c
}

func (c *clickhouse) restart(t testing.TB) {
	t.Helper()
	args := []string{"clickhouse", "--data", c.data, "--listen", c.addr}
	if c.native != "" {
		args = append(args, "--listen-native", c.native)
	}
	c.program = start(t, nil, binary(t), args...)
	c.listening(c.addr)
}

// answering waits until the engine runs statements, which is later than its first connection.
func (c *clickhouse) answering() {
	c.t.Helper()
	c.listening(c.addr)
	resp, err := http.Get("http://" + c.addr + "/ping")
	require.NoError(c.t, err)
	resp.Body.Close()
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
}

func (c *clickhouse) dsn() string {
	if c.native != "" {
		return "clickhouse://" + c.native + "/sockeye"
	}
	return "http://" + c.addr + "/sockeye"
}

// query is what curl would do; it returns the answer's text, or the exception.
func query(addr, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	u := "http://" + addr + "/?" + url.Values{"database": {"sockeye"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// number is query for one number; an error or another answer is -1.
func number(addr, sql string) int64 {
	text, err := query(addr, sql)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// nginxConfig is the access log format of examples/nginx.conf around a server of our own for tests.
const nginxConfig = `worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 256; }
http {
  client_body_temp_path %[1]s/tmp; proxy_temp_path %[1]s/tmp; fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp; scgi_temp_path %[1]s/tmp;
%[2]s
  access_log %[1]s/access.log websocket;
  server {
    listen %[3]s;
    location /ws { proxy_pass http://%[4]s; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade; proxy_set_header Host $http_host; }
    location /denied { deny all; }
  }
}
`

// startNginx runs nginx before backend with the log format that the examples tell users to take.
func startNginx(t testing.TB, backend string) (addr, accessLog string, p *program) {
	t.Helper()
	path := testenv.Program(t, "nginx", "nginx-light")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	format, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "nginx.log_format.conf"))
	require.NoError(t, err)
	addr = testenv.Address(t)
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, dir, format, addr, backend), 0o600))
	p = start(t, nil, path, "-c", conf, "-p", dir, "-e", filepath.Join(dir, "start.log"))
	p.listening(addr)
	return addr, filepath.Join(dir, "access.log"), p
}

// exampleEnv points examples/collector.yaml at this test's places.
func exampleEnv(t testing.TB, accessLog string) (env []string, clickhouseAddr, pushAddr, sloAddr string) {
	t.Helper()
	clickhouseAddr, pushAddr, sloAddr = testenv.Address(t), testenv.Address(t), testenv.Address(t)
	return []string{
		"SOCKEYE_DATA=" + t.TempDir(),
		"SOCKEYE_ACCESS_LOG=" + accessLog,
		"SOCKEYE_CLICKHOUSE=" + clickhouseAddr,
		"SOCKEYE_PUSH=" + pushAddr,
		"SOCKEYE_SLO=" + sloAddr,
	}, clickhouseAddr, pushAddr, sloAddr
}
