package embeddedclickhouseextension

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/extension/embeddedclickhouseextension/internal/metadata"
)

const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 30 * time.Second
	// backoffForget is how long the engine must have run for its next restart to begin with the first delay again.
	backoffForget = time.Minute
)

// engine supervises the child process.
type engine struct {
	config    *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	// command makes the child; tests replace it.
	command func(*Config) (*exec.Cmd, error)
	// wait is time.After but for tests.
	wait func(time.Duration) <-chan time.Time
	now  func() time.Time

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func newEngine(set extension.Settings, config *Config) (*engine, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &engine{
		config: config, log: set.Logger, telemetry: telemetry, command: command, wait: time.After, now: time.Now,
	}, nil
}

// command is this program again, as `sockeye clickhouse`. The token travels in the environment, where only the same
// user can read it.
func command(c *Config) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	args := []string{"clickhouse", "--data", c.DataDirectory, "--listen", c.Endpoint,
		"--memory", fmt.Sprintf("%dMiB", c.MemoryLimitMiB)}
	if c.NativeEndpoint != "" {
		args = append(args, "--listen-native", c.NativeEndpoint)
	}
	if c.Library != "" {
		args = append(args, "--library", c.Library)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = os.Environ()
	if c.Token != "" {
		cmd.Env = append(cmd.Env, "SOCKEYE_CLICKHOUSE_TOKEN="+string(c.Token))
	}
	if c.ReadOnlyToken != "" {
		cmd.Env = append(cmd.Env, "SOCKEYE_CLICKHOUSE_READONLY_TOKEN="+string(c.ReadOnlyToken))
	}
	return cmd, nil
}

// Start returns when the engine answers, or after start_timeout. It fails if the engine gives up by itself before that:
// a missing library, a locked directory or a taken port does not mend by waiting.
func (e *engine) Start(_ context.Context, host component.Host) error {
	first, err := e.launch()
	if err != nil {
		return err
	}
	timer := time.NewTimer(e.config.StartTimeout)
	defer timer.Stop()
	select {
	case <-first.ready:
		e.log.Info("embedded ClickHouse answers", zap.String("endpoint", e.config.Endpoint))
	case <-first.gone:
		if !first.answered() {
			e.telemetry.Shutdown()
			return fmt.Errorf("embedded ClickHouse: %w", first.reason())
		}
	case <-timer.C:
		e.log.Warn("embedded ClickHouse needs longer to start; the collector goes on",
			zap.Duration("start_timeout", e.config.StartTimeout))
	}
	// Shutdown ends this, not the context of Start, which ends with the collector's start.
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	e.stopped.Go(func() { e.supervise(ctx, host, first) })
	return nil
}

// Shutdown stops the child: politely, and after stop_timeout by force.
func (e *engine) Shutdown(context.Context) error {
	if e.stop != nil {
		e.stop()
		e.stopped.Wait()
	}
	e.telemetry.Shutdown()
	return nil
}

// supervise keeps one child running until ctx ends.
func (e *engine) supervise(ctx context.Context, host component.Host, running *child) {
	delay := backoffFirst
	for {
		if running != nil {
			began := e.now()
			select {
			case <-ctx.Done():
				e.end(running)
				return
			case <-running.gone:
			}
			err := running.reason()
			e.log.Error("embedded ClickHouse ended; starting it again", zap.Error(err))
			componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(err))
			if e.now().Sub(began) > backoffForget {
				delay = backoffFirst
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wait(delay/2 + rand.N(delay/2)):
		}
		delay = min(2*delay, backoffMost)
		e.telemetry.ExtensionEmbeddedClickhouseRestarts.Add(context.Background(), 1)
		next, err := e.launch()
		if err != nil {
			e.log.Error("embedded ClickHouse cannot be started", zap.Error(err))
			running = nil
			continue
		}
		running = next
		select {
		case <-ctx.Done():
		case <-running.gone:
		case <-running.ready:
			e.log.Info("embedded ClickHouse answers again", zap.String("endpoint", e.config.Endpoint))
			componentstatus.ReportStatus(host, componentstatus.NewEvent(componentstatus.StatusOK))
		}
	}
}

// end stops a child and returns when it has gone.
func (e *engine) end(c *child) {
	_ = c.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(e.config.StopTimeout)
	defer timer.Stop()
	select {
	case <-c.gone:
		return
	case <-timer.C:
	}
	e.log.Warn("embedded ClickHouse does not stop and is killed", zap.Duration("stop_timeout", e.config.StopTimeout))
	_ = c.process.Kill()
	<-c.gone
}

// child is one run of the process.
type child struct {
	process *os.Process
	ready   chan struct{} // closed when it answers
	gone    chan struct{} // closed when it has ended and said all
	err     error         // how it ended
	last    string        // the last thing it said
}

// answered says whether it ever answered.
func (c *child) answered() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// keys turns the command's flags in a message into our configuration's keys.
var keys = strings.NewReplacer("--listen-native", "native_endpoint", "--listen", "endpoint",
	"--data", "data_directory", "--library", "library",
	"--memory", "memory_limit_mib")

// reason is one sentence on why the child ended. Only after gone.
func (c *child) reason() error {
	var exit *exec.ExitError
	switch {
	case errors.As(c.err, &exit) && exit.ExitCode() >= 0 && c.last != "":
		return errors.New(keys.Replace(c.last))
	case c.err != nil:
		return fmt.Errorf("the engine's process ended: %w", c.err)
	}
	return errors.New("the engine's process ended by itself")
}

// launch starts a child. Its own goroutine reads what it says and notices its end.
func (e *engine) launch() (*child, error) {
	cmd, err := e.command(e.config)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = childAttributes()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	c := &child{ready: make(chan struct{}), gone: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's parent-death signal is bound to the thread that started the child, so that thread must last as
		// long as the child does.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start embedded ClickHouse: %w", err)
			return
		}
		c.process = cmd.Process
		started <- nil
		var readers sync.WaitGroup
		readers.Go(func() { e.forward(c, stderr) })
		e.awaitReady(c, stdout)
		readers.Wait()
		c.err = cmd.Wait()
		close(c.gone)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (e *engine) awaitReady(c *child, stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	announced := false
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "ready ") && !announced {
			announced = true
			close(c.ready)
		}
		if err != nil {
			return
		}
	}
}

// maxLine bounds one line of the log; the engine writes long ones when it dies.
const maxLine = 4 << 10

// forward passes the child's messages on, line by line.
func (e *engine) forward(c *child, stderr io.Reader) {
	lines := bufio.NewReaderSize(stderr, maxLine)
	for {
		line, more, err := lines.ReadLine()
		if text := strings.TrimSpace(string(line)); text != "" {
			c.last = strings.TrimPrefix(text, "sockeye: ")
			e.log.Warn("embedded ClickHouse says", zap.String("line", text))
		}
		for more && err == nil {
			_, more, err = lines.ReadLine()
		}
		if err != nil {
			return
		}
	}
}
