// Package embeddedtest gives tests the real engine: Start runs one for a test, Database shares one between the tests of
// a package and gives each a database of its own.
//
// The engine runs in a child process, because one process opens one data directory and because a crash of the engine
// must fail a test, not the test binary. The child is the test binary itself: importing this package is enough, no
// program needs to be built before.
//
// Where the library is absent the test is skipped, in CI it fails (internal/testenv).
package embeddedtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded"
)

// childEnv marks the child and carries its data directory.
const childEnv = "SOCKEYE_EMBEDDEDTEST_DATA"

const (
	memoryEnv = "SOCKEYE_EMBEDDEDTEST_MEMORY"
	tokenEnv  = "SOCKEYE_EMBEDDEDTEST_TOKEN"
	readEnv   = "SOCKEYE_EMBEDDEDTEST_READONLY_TOKEN"
	listenEnv = "SOCKEYE_EMBEDDEDTEST_LISTEN"
)

// startTimeout is generous: two cores may be building something else.
const startTimeout = 60 * time.Second

// init turns the test binary into the engine when it was started as a child.
func init() {
	data := os.Getenv(childEnv)
	if data == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	memory, _ := embedded.ParseBytes(os.Getenv(memoryEnv))
	listen := os.Getenv(listenEnv)
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	err := embedded.Run(ctx, embedded.Settings{
		DataDir: data, Listen: listen, ListenNative: "127.0.0.1:0", MemoryBytes: memory, Token: os.Getenv(tokenEnv),
		ReadOnlyToken: os.Getenv(readEnv),
	}, func(a embedded.Addresses) { fmt.Println("ready", a.HTTP, a.Native) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Engine is a running engine.
type Engine struct {
	// URL is the address of its HTTP interface, without a path.
	URL string
	// Native is host:port of its native protocol.
	Native string
	// Process is the child; tests may kill it.
	Process *os.Process

	done   chan struct{}
	clean  atomic.Bool
	stderr *tail
}

// Option changes how an engine is started.
type Option func(*exec.Cmd)

// Memory sets the engine's memory limit, such as "512MiB".
func Memory(text string) Option {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, memoryEnv+"="+text) }
}

// Token sets the token every request must carry.
func Token(token string) Option {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, tokenEnv+"="+token) }
}

// ReadOnlyToken sets the token with which nothing can be changed.
func ReadOnlyToken(token string) Option {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, readEnv+"="+token) }
}

// Listen sets the address of the engine's HTTP interface instead of a free port.
func Listen(address string) Option {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, listenEnv+"="+address) }
}

// Command is the child that Start runs, not started yet, for tests of what supervises an engine. It prints
// `ready ADDRESS NATIVE` when it answers.
func Command(data string, options ...Option) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+data)
	for _, option := range options {
		option(cmd)
	}
	return cmd, nil
}

// Available skips t where the engine's library is absent, and fails it in CI.
func Available(t testing.TB) {
	t.Helper()
	if !embedded.Supported {
		t.Skip("this build has no embedded engine")
	}
	if _, err := embedded.FindLibrary(""); err != nil {
		testenv.Missing(t, "libchdb", "run `make libchdb`")
	}
}

// Start runs an engine for t and returns the URL of its HTTP interface.
func Start(t testing.TB, options ...Option) string {
	t.Helper()
	return StartIn(t, t.TempDir(), options...).URL
}

// StartIn runs an engine for t on the given directory, which may hold the tables of an earlier one.
func StartIn(t testing.TB, data string, options ...Option) *Engine {
	t.Helper()
	Available(t)
	engine, err := start(data, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.Stop()
		if t.Failed() {
			t.Log("the engine's stderr: " + engine.stderr.String())
		}
	})
	return engine
}

// TryStart starts an engine and returns why it does not start, in the engine's own words. The caller stops it.
func TryStart(data string, options ...Option) (*Engine, error) { return start(data, options...) }

func start(data string, options ...Option) (*Engine, error) {
	cmd, err := Command(data, options...)
	if err != nil {
		return nil, err
	}
	// The child must not outlive a test binary that was killed or timed out.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	engine := &Engine{done: make(chan struct{}), stderr: &tail{}}
	cmd.Stderr = engine.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ready, started := make(chan string, 1), make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that started the child ends, and Go ends threads as
		// it likes; this one stays until the child has gone.
		runtime.LockOSThread()
		defer close(engine.done)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				ready <- address
			}
		}
		engine.clean.Store(cmd.Wait() == nil)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	engine.Process = cmd.Process
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case address := <-ready:
		http, native, _ := strings.Cut(address, " ")
		engine.URL, engine.Native = "http://"+http, native
		return engine, nil
	case <-engine.done:
		return nil, errors.New(engine.stderr.String())
	case <-timer.C:
		engine.Kill()
		return nil, fmt.Errorf("the engine is not ready after %s: %s", startTimeout, engine.stderr)
	}
}

// Stop ends the engine as an operator would, with SIGTERM, and kills it if it does not go.
func (e *Engine) Stop() {
	_ = e.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
		e.Kill()
	}
}

// Exited says that the engine has ended, by itself and without an error.
func (e *Engine) Exited() bool { return e.clean.Load() }

// Kill ends the engine at once, as a crash would.
func (e *Engine) Kill() {
	_ = e.Process.Kill()
	<-e.done
}

// tail keeps the end of what was written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if excess := len(t.text) - 16<<10; excess > 0 {
		t.text = t.text[excess:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

var shared struct {
	sync.Mutex
	engine *Engine
	data   string
}

// Main is for TestMain: it runs the tests and then stops the engine that Database shared between them. Without it the
// engine goes with the process, and its directory stays.
//
//	func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }
func Main(m TestingM) int { return Shared(m).Run() }

// TestingM is *testing.M, as goleak declares it too.
type TestingM interface{ Run() int }

// Shared is Main for packages whose TestMain looks for leaked goroutines as well:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(embeddedtest.Shared(m)) }
func Shared(m TestingM) TestingM { return runner{m} }

type runner struct{ m TestingM }

func (r runner) Run() int {
	defer StopShared()
	return r.m.Run()
}

// StopShared stops the shared engine, if there is one, and removes its directory.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		shared.engine.Stop()
		shared.engine = nil
		_ = os.RemoveAll(shared.data)
	}
}

// protocolEnv, if it is `clickhouse`, lets Database return DSNs of the native protocol, to run tests over that.
const protocolEnv = "SOCKEYE_EMBEDDEDTEST_PROTOCOL"

// Database returns the DSN of a new, empty database on an engine that the tests of this package share:
// http://127.0.0.1:PORT/NAME. The database is dropped when t ends.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	dsn, native := Databases(t)
	if os.Getenv(protocolEnv) == "clickhouse" {
		return native
	}
	return dsn
}

// Databases is Database with the database's DSN over the native protocol as well: clickhouse://127.0.0.1:PORT/NAME.
func Databases(t testing.TB) (dsn, native string) {
	t.Helper()
	Available(t)
	engine := sharedEngine(t)
	base := engine.URL
	var id [6]byte
	_, _ = rand.Read(id[:])
	name := "t_" + hex.EncodeToString(id[:])
	Exec(t, base, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		// The engine may have been stopped or killed by the test; then there is nothing to drop.
		_, _ = post(base, "DROP DATABASE IF EXISTS "+name+" SYNC")
	})
	return base + "/" + name, "clickhouse://" + engine.Native + "/" + name
}

func sharedEngine(t testing.TB) *Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		select {
		case <-shared.engine.done:
			t.Logf("the shared engine died, starting another: %s", shared.engine.stderr)
			shared.engine = nil
			_ = os.RemoveAll(shared.data)
		default:
			return shared.engine
		}
	}
	data, err := os.MkdirTemp("", "embeddedtest-*")
	if err == nil {
		shared.data = data
		shared.engine, err = start(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return shared.engine
}

// Exec runs a statement over HTTP and returns its output. dsn is what Start or Database returned.
func Exec(t testing.TB, dsn, statement string) string {
	t.Helper()
	text, err := post(dsn, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return strings.TrimSuffix(text, "\n")
}

func post(dsn, statement string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	query := url.Values{}
	if name := strings.Trim(u.Path, "/"); name != "" {
		query.Set("database", name)
	}
	if u.Scheme == "clickhouse" {
		shared.Lock()
		u.Scheme, u.Host = "http", strings.TrimPrefix(shared.engine.URL, "http://")
		shared.Unlock()
	}
	u.Path, u.RawQuery = "/", query.Encode()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post(u.String(), "text/plain", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP %d: %s", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}
