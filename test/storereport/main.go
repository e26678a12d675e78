// Storereport measures the exporter of Sockeye and contrib's ClickHouse exporter with the same events, against the same
// engine, in one run, and prints a table in Markdown.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/exporter/websocketclickhouseexporter"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

func main() {
	events := flag.Int("events", 1_000_000, "how many `events`")
	chunk := flag.Int("chunk", 50_000, "how many of them go at once")
	sockeye := flag.String("sockeye", "../../bin/sockeye", "the `binary`, which serves the engine")
	flag.Parse()
	if err := run(*events, *chunk, *sockeye); err != nil {
		fmt.Fprintln(os.Stderr, "storereport:", err)
		os.Exit(1)
	}
}

// result is of one exporter.
type result struct {
	name   string
	cpu    time.Duration // of this process
	engine time.Duration
	allocs uint64
	rows   uint64
	bytes  uint64 // of the table of events on disk
}

func run(n, chunk int, sockeye string) error {
	// One core, also for the collector of garbage.
	runtime.GOMAXPROCS(1)
	ctx := context.Background()
	engine, err := startEngine(sockeye)
	if err != nil {
		return err
	}
	defer engine.stop()
	var results []result
	for _, e := range []struct {
		name, address, table string
		start                func(context.Context, string) (exporter.Logs, error)
	}{
		{"Sockeye", engine.http, "events", newSockeye},
		{"Sockeye, native protocol", engine.native, "events", newSockeye},
		{"contrib `clickhouse`, Map columns", engine.http, "otel_logs", newContrib(false)},
		{"contrib `clickhouse`, JSON columns", engine.http, "otel_logs", newContrib(true)},
	} {
		r, err := engine.measure(ctx, e.name, e.address, e.table, e.start, n, chunk)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		results = append(results, r)
	}
	fmt.Println("| | rows a CPU-second of the collector | allocations a row | CPU-µs of the engine a row | bytes a row on disk |")
	fmt.Println("| --- | --- | --- | --- | --- |")
	for _, r := range results {
		rows := float64(r.rows)
		fmt.Printf("| %s | %.0f | %.3f | %.1f | %.1f |\n", r.name, rows/r.cpu.Seconds(), float64(r.allocs)/rows,
			float64(r.engine.Microseconds())/rows, float64(r.bytes)/rows)
	}
	return nil
}

func newSockeye(ctx context.Context, dsn string) (exporter.Logs, error) {
	f := websocketclickhouseexporter.NewFactory()
	c := f.CreateDefaultConfig().(*websocketclickhouseexporter.Config)
	c.Endpoint = dsn
	return f.CreateLogs(ctx, exportertest.NewNopSettings(f.Type()), c)
}

// newContrib returns contrib's exporter as its documents advise for speed, without a queue and without waiting for others,
// and without compression on the way, because the engine is on this machine; so is Sockeye's.
func newContrib(json bool) func(context.Context, string) (exporter.Logs, error) {
	return func(ctx context.Context, dsn string) (exporter.Logs, error) {
		f := clickhouseexporter.NewFactory()
		c := f.CreateDefaultConfig().(*clickhouseexporter.Config)
		c.Endpoint, c.Database = dsn, database(dsn)
		c.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
		c.AsyncInsert, c.Compress, c.JSON, c.TimeoutSettings.Timeout = false, "none", json, 2*time.Minute
		return f.CreateLogs(ctx, exportertest.NewNopSettings(f.Type()), c)
	}
}

func database(dsn string) string { return dsn[strings.LastIndexByte(dsn, '/')+1:] }

// engine is ClickHouse in a process of its own.
type engine struct {
	cmd          *exec.Cmd
	dir          string
	http, native string // what begins a DSN
}

func startEngine(sockeye string) (*engine, error) {
	dir, err := os.MkdirTemp("", "storereport")
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, cmd: exec.Command(sockeye, "clickhouse", "--data", filepath.Join(dir, "data"),
		"--listen", "127.0.0.1:0", "--listen-native", "127.0.0.1:0")}
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("the engine does not start: %w", err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // until it ends
	if _, err := fmt.Sscanf(line, "ready %s %s", &e.http, &e.native); err != nil {
		e.stop()
		return nil, fmt.Errorf("the engine does not say where it is: %w", err)
	}
	e.http = strings.TrimSuffix(e.http, "/")
	return e, nil
}

func (e *engine) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Wait()
	_ = os.RemoveAll(e.dir)
}

// cpu is the processor time of the engine so far.
func (e *engine) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var databases int

func (e *engine) measure(
	ctx context.Context, name, address, table string, start func(context.Context, string) (exporter.Logs, error), n, chunk int,
) (r result, err error) {
	databases++
	r.name = name
	dsn := fmt.Sprintf("%s/report%d", address, databases)
	x, err := start(ctx, dsn)
	if err != nil {
		return r, err
	}
	if err := x.Start(ctx, componenttest.NewNopHost()); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, x.Shutdown(ctx)) }()
	made := newMaker()
	// The first chunk warms pools and caches up.
	if err := x.ConsumeLogs(ctx, made.chunk(chunk)); err != nil {
		return r, err
	}
	engineBefore, err := e.cpu()
	if err != nil {
		return r, err
	}
	for range n / chunk {
		logs := made.chunk(chunk)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := used()
		if err := x.ConsumeLogs(ctx, logs); err != nil {
			return r, err
		}
		r.cpu += used() - began
		runtime.ReadMemStats(&after)
		r.allocs += after.Mallocs - before.Mallocs
		r.rows += uint64(logs.LogRecordCount())
	}
	conn, err := connect(dsn)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	// As the store keeps them in the end: merged.
	if err := conn.Exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
		return r, err
	}
	engineAfter, err := e.cpu()
	if err != nil {
		return r, err
	}
	r.engine = engineAfter - engineBefore
	var rows, bytes uint64
	err = conn.QueryRow(ctx, "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = '"+
		table+"'").Scan(&rows, &bytes)
	if err != nil {
		return r, err
	}
	if want := r.rows + uint64(chunk); rows != want {
		return r, fmt.Errorf("%d rows are stored, %d were sent", rows, want)
	}
	r.bytes = bytes * r.rows / rows
	return r, nil
}

func connect(dsn string) (driver.Conn, error) {
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(o)
}

// maker makes the events of a chat service behind an edge: the same ones for each exporter.
type maker struct {
	random   *rand.Rand
	now      time.Time
	n        int
	resource []*event.Resource
}

func newMaker() *maker {
	m := &maker{random: rand.New(rand.NewPCG(1, 2)), now: time.Now().Add(-2 * time.Hour).Truncate(time.Hour)}
	for i := range 4 {
		m.resource = append(m.resource, event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String("chat")},
			event.Named{Name: event.ServiceInstanceID, Value: event.String(fmt.Sprintf("edge-%d", i))},
			event.Named{Name: event.Region, Value: event.String([]string{"eu-west-1", "us-east-1"}[i%2])},
			event.Named{Name: event.Environment, Value: event.String("production")},
		))
	}
	return m
}

func (m *maker) chunk(n int) plog.Logs {
	events := make([]event.Event, n)
	for i := range events {
		m.event(&events[i])
	}
	m.n++
	return eventlog.Encode(events, eventlog.Chunk{ID: fmt.Sprintf("report-%d", m.n), Records: n})
}

func (m *maker) id(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(m.random.Uint32())
	}
	return hex.EncodeToString(b)
}

// event is an open, its authentication, counts of messages, a close or a refusal, of one of 10,000 clients of 50 tenants.
func (m *maker) event(e *event.Event) {
	m.now = m.now.Add(time.Duration(m.random.IntN(4)) * time.Millisecond)
	client := m.random.IntN(10_000)
	e.Time, e.Resource = m.now, m.resource[client%len(m.resource)]
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, "websocketendpoint")
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
	e.SetString(event.ConnectionID, m.id(8))
	e.SetString(event.ClientAddress, fmt.Sprintf("10.%d.%d.0", client>>8, client&255))
	e.SetString(event.ClientHash, fmt.Sprintf("p1:k1:%032x", client*7919))
	e.SetString(event.TenantID, fmt.Sprintf("tenant-%d", client%50))
	e.SetString(event.ServerAddress, "chat.example.com")
	e.SetString(event.URLPath, fmt.Sprintf("/ws/room/%d", client%200))
	e.SetString(event.URLScheme, "wss")
	switch kind := m.random.IntN(100); {
	case kind < 30:
		e.Name = event.Open
		e.SetInt(event.HTTPResponseStatusCode, 101)
		e.SetDouble(event.HandshakeDuration, m.random.ExpFloat64()/100)
		e.SetString(event.UserAgentOriginal, fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/%d.0.0.0 Safari/537.36", 100+client%40))
		e.SetString(event.Subprotocol, "chat.v2")
	case kind < 50:
		e.Name = event.Auth
		e.SetString(event.AuthMethod, "bearer")
		e.SetDouble(event.AuthDuration, m.random.ExpFloat64()/20)
		e.SetString(event.AuthResult, event.AuthSuccess)
	case kind < 70:
		e.Name = event.Message
		e.SetString(event.Direction, event.DirectionReceive)
		e.SetString(event.MessageType, "text")
		e.SetInt(event.MessageCount, int64(1+m.random.IntN(100)))
		e.SetInt(event.MessageSize, int64(m.random.IntN(20_000)))
	case kind < 97:
		e.Name = event.Close
		e.SetString(event.CloseInitiator, "client")
		e.SetBool(event.CloseClean, true)
		e.SetInt(event.CloseCode, 1000)
		e.SetDouble(event.ConnectionDuration, m.random.ExpFloat64()*600)
		e.SetInt(event.IOReceived, int64(m.random.IntN(100_000)))
		e.SetInt(event.IOSent, int64(m.random.IntN(1_000_000)))
	default:
		e.Name = event.HandshakeRejected
		e.SetInt(event.HTTPResponseStatusCode, 401)
		e.SetString(event.ErrorType, event.Unauthenticated)
	}
}
