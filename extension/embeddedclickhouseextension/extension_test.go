package embeddedclickhouseextension

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// supervised is an extension whose child is what run makes; its restarts do not wait.
func supervised(t *testing.T, run func() (*exec.Cmd, error)) (*engine, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	set := extensiontest.NewNopSettings(typ)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.DataDirectory = t.TempDir()
	e, err := newEngine(set, cfg)
	require.NoError(t, err)
	e.command = func(*Config) (*exec.Cmd, error) { return run() }
	e.wait = func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }
	return e, logs
}

func shell(script string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) { return exec.Command("/bin/sh", "-c", script), nil }
}

func start(e *engine) error { return e.Start(context.Background(), componenttest.NewNopHost()) }

func stop(t *testing.T, e *engine) {
	t.Helper()
	require.NoError(t, e.Shutdown(context.Background()))
}

func TestStartFailsWithTheReasonOfTheChild(t *testing.T) {
	e, _ := supervised(t, shell("echo noise >&2; echo 'sockeye: listen on 127.0.0.1:8123: the port is taken' >&2; exit 1"))
	require.EqualError(t, start(e), "embedded ClickHouse: listen on 127.0.0.1:8123: the port is taken")

	e, _ = supervised(t, shell("kill -9 $$"))
	require.EqualError(t, start(e), "embedded ClickHouse: the engine's process ended: signal: killed")

	e, _ = supervised(t, func() (*exec.Cmd, error) { return exec.Command("/nowhere/sockeye"), nil })
	require.ErrorContains(t, start(e), "start embedded ClickHouse: ")
}

func TestStartGoesOnWhenTheEngineNeedsLonger(t *testing.T) {
	e, logs := supervised(t, shell("sleep 0.3; echo ready x; exec sleep 1000"))
	e.config.StartTimeout = 10 * time.Millisecond
	require.NoError(t, start(e))
	require.Equal(t, 1, logs.FilterMessageSnippet("needs longer").Len())
	stop(t, e)
}

func TestMessagesOfTheChildAreLogged(t *testing.T) {
	e, logs := supervised(t, shell("echo one >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo two >&2; "+
		"echo ready x; exec sleep 1000"))
	require.NoError(t, start(e))
	require.Eventually(t, func() bool {
		return logs.FilterField(zap.String("line", "one")).Len() == 1 &&
			logs.FilterField(zap.String("line", "two")).Len() == 1
	}, 10*time.Second, time.Millisecond)
	for _, entry := range logs.All() {
		line, _ := entry.ContextMap()["line"].(string)
		require.LessOrEqual(t, len(line), maxLine)
	}
	stop(t, e)
}

func TestChildIsStartedAgainAndBackoffGrows(t *testing.T) {
	var starts atomic.Int32
	e, logs := supervised(t, func() (*exec.Cmd, error) {
		if starts.Add(1) < 6 {
			return exec.Command("/bin/sh", "-c", "echo ready x; exit 3"), nil
		}
		return exec.Command("/bin/sh", "-c", "echo ready x; exec sleep 1000"), nil
	})
	var delays []time.Duration
	e.wait = func(d time.Duration) <-chan time.Time {
		delays = append(delays, d)
		return time.After(time.Millisecond)
	}
	require.NoError(t, start(e), "it answered before it died")
	require.Eventually(t, func() bool { return starts.Load() == 6 }, 10*time.Second, time.Millisecond)
	stop(t, e)
	require.GreaterOrEqual(t, logs.FilterMessageSnippet("starting it again").Len(), 5)
	for i, most := 0, backoffFirst; i < 5; i, most = i+1, 2*most {
		require.GreaterOrEqual(t, delays[i], most/2)
		require.Less(t, delays[i], most)
	}
}

func TestChildThatIgnoresSIGTERMIsKilled(t *testing.T) {
	e, logs := supervised(t, shell("trap '' TERM; echo ready x; while :; do sleep 0.05; done"))
	e.config.StopTimeout = 50 * time.Millisecond
	require.NoError(t, start(e))
	stop(t, e)
	require.Equal(t, 1, logs.FilterMessageSnippet("is killed").Len())
}

// parentEnv turns the test binary into a collector that is about to be killed.
const parentEnv = "SOCKEYE_TEST_PARENT"

func init() {
	if os.Getenv(parentEnv) == "" {
		return
	}
	e, err := newEngine(extensiontest.NewNopSettings(typ), createDefaultConfig().(*Config))
	if err == nil {
		e.command = func(*Config) (*exec.Cmd, error) {
			cmd := exec.Command("/bin/sh", "-c", "echo ready x; echo $$ >&3; exec sleep 1000")
			cmd.ExtraFiles = []*os.File{os.Stdout}
			return cmd, nil
		}
		err = e.Start(context.Background(), componenttest.NewNopHost())
	}
	if err != nil {
		os.Exit(1)
	}
	select {}
}

// However the collector dies, its engine dies with it: the next collector needs the data directory.
func TestChildDiesWithTheCollector(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	collector := exec.Command(self)
	collector.Env = append(os.Environ(), parentEnv+"=1")
	out, err := collector.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, collector.Start())
	var child int
	_, err = fmt.Fscan(out, &child)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(child, 0), "the child runs")
	require.NoError(t, collector.Process.Kill())
	require.Error(t, collector.Wait())
	require.Eventually(t, func() bool { return !runs(child) }, 10*time.Second, time.Millisecond)
}

// runs says whether a process is there and no mere entry that nobody has collected yet.
func runs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(state, "Z")
}

// The real engine: it answers once Start returns, comes back with its tables after it was killed, and is gone after
// Shutdown.
func TestRealEngine(t *testing.T) {
	embeddedtest.Available(t)
	address := testenv.Address(t)
	data := t.TempDir()
	var pid atomic.Int64
	var current atomic.Pointer[exec.Cmd]
	e, logs := supervised(t, func() (*exec.Cmd, error) {
		cmd, err := embeddedtest.Command(data, embeddedtest.Listen(address))
		current.Store(cmd)
		return cmd, err
	})
	e.config.StartTimeout = time.Minute
	require.NoError(t, start(e))
	dsn := "http://" + address
	require.Equal(t, "1", embeddedtest.Exec(t, dsn, "SELECT 1"))
	embeddedtest.Exec(t, dsn, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
	embeddedtest.Exec(t, dsn, "INSERT INTO t VALUES (1)")

	// A second one on the same directory, and one on the same port, say so.
	second, _ := supervised(t, func() (*exec.Cmd, error) { return embeddedtest.Command(data) })
	require.EqualError(t, start(second), "embedded ClickHouse: data directory "+data+
		": another process has it open; stop that one or choose another with data_directory")
	third, _ := supervised(t, func() (*exec.Cmd, error) {
		return embeddedtest.Command(t.TempDir(), embeddedtest.Listen(address))
	})
	require.EqualError(t, start(third), "embedded ClickHouse: listen on "+address+
		": the port is taken; stop the program that has it or choose another with endpoint")

	pid.Store(int64(current.Load().Process.Pid))
	require.NoError(t, syscall.Kill(int(pid.Load()), syscall.SIGKILL))
	require.Eventually(t, func() bool { return logs.FilterMessageSnippet("answers again").Len() == 1 },
		time.Minute, 5*time.Millisecond)
	require.Equal(t, "1", embeddedtest.Exec(t, dsn, "SELECT count() FROM t"))
	last := current.Load().Process.Pid
	require.NotEqual(t, pid.Load(), int64(last))
	stop(t, e)
	require.ErrorIs(t, syscall.Kill(last, 0), syscall.ESRCH, "process "+strconv.Itoa(last)+" is gone")
}
