package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// gatewayConfig takes records by OTLP and stores them.
const gatewayConfig = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: %[1]s, max_recv_msg_size_mib: 64}
processors:
  pii: {}
exporters:
  websocketclickhouse:
    endpoint: %[2]s
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], processors: [pii], exporters: [websocketclickhouse]}
`

// agentConfig reads a log and sends what it reads to gateways.
const agentConfig = `
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
receivers:
  websocketlog:
    format: nginx
    include: [%[2]s]
    start_at: beginning
    storage: file_storage
    key_file: %[1]s/installation.key
    resource: {service.name: chat}
processors:
  pii: {key_file: %[1]s/installation.key}
  batch: {send_batch_size: 700, send_batch_max_size: 900, timeout: 200ms}
exporters:
%[3]s
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [websocketlog], processors: [%[4]s], exporters: [%[5]s]}
`

func otlpExporter(name, addr string) string {
	return fmt.Sprintf("  otlp_grpc/%s: {endpoint: %s, tls: {insecure: true}, sending_queue: {enabled: false}, "+
		"retry_on_failure: {max_elapsed_time: 0s}, timeout: 30s}\n", name, addr)
}

// written makes a log of n lines.
func written(t testing.TB, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		b.WriteString(accessLine(i, time.Now()))
	}
	path := filepath.Join(t.TempDir(), "access.log")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

func configFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// requireEachLineOnce waits until n lines are stored, each once, and compares the tiers with a recount.
func requireEachLineOnce(t testing.TB, addr string, n int) {
	t.Helper()
	want := fmt.Sprintf("%d\t%d", 2*n, n)
	var got string
	eventually(t, 90*time.Second, "every line stored once", func() (bool, string) {
		var err error
		got, err = query(addr, "SELECT count(), uniqExact(connection_id) FROM events")
		return got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
	})
	requireTiersEqualRecount(t, addr)
}

func TestAChunkThatTwoGatewaysDeliverCountsOnce(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	const lines = 5000
	var exporters strings.Builder
	var names []string
	for _, name := range []string{"a", "b"} {
		addr := testenv.Address(t)
		start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(gatewayConfig, addr, engine.dsn()))).listening(addr)
		exporters.WriteString(otlpExporter(name, addr))
		names = append(names, "otlp_grpc/"+name)
	}
	agent := configFile(t, fmt.Sprintf(agentConfig, t.TempDir(), written(t, lines), exporters.String(), "pii", strings.Join(names, ", ")))
	start(t, nil, binary(t), "--config", agent)
	requireEachLineOnce(t, engine.addr, lines)
	// The second gateway's delivery may come last: what it adds must be nothing.
	eventually(t, 30*time.Second, "two sources' progress through both gateways", func() (bool, string) {
		n := number(engine.addr, "SELECT count() FROM source_progress")
		return n >= 2, fmt.Sprint(n)
	})
	requireEachLineOnce(t, engine.addr, lines)
}

func TestABatchProcessorBetweenAgentAndGatewayLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	const lines = 5000
	addr := testenv.Address(t)
	start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(gatewayConfig, addr, engine.dsn()))).listening(addr)
	agent := configFile(t, fmt.Sprintf(agentConfig, t.TempDir(), written(t, lines), otlpExporter("a", addr), "pii, batch", "otlp_grpc/a"))
	start(t, nil, binary(t), "--config", agent)
	requireEachLineOnce(t, engine.addr, lines)
	exact := number(engine.addr, "SELECT uniqExact(chunk_id) FROM events")
	t.Logf("%d lines came as %d inserts; chunks that batch cut are stored under the hash of their content", lines, exact)
}

// cutter is a TCP proxy that, while cutting, lets a request through and closes the connection before the reply.
type cutter struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	cutting  bool
	cuts     int
	// insertAnswered, if any, takes the place of the next reply to an INSERT.
	insertAnswered func()
	// native says that the target speaks the native protocol, which has another reply before the rows.
	native bool
}

// insertMark stands in the URL of every INSERT of the store, or in the query of the native protocol.
const insertMark = "insert_deduplication_token"

// How far an INSERT is.
const (
	noInsert int32 = iota
	insertBegun
	insertDescribed // the native protocol has told its columns
	insertSent
)

// noting passes on what it is given and notes whether an INSERT was in it.
type noting struct {
	to     io.Writer
	native bool
	insert atomic.Int32
}

func (n *noting) Write(p []byte) (int, error) {
	switch {
	case n.insert.Load() == insertDescribed:
		n.insert.Store(insertSent)
	case bytes.Contains(p, []byte(insertMark)):
		n.insert.Store(insertBegun)
		if !n.native {
			n.insert.Store(insertSent)
		}
	}
	return n.to.Write(p)
}

// cutNextInsert lets the engine answer one more INSERT, calls answered instead of passing the answer on, and closes the
// connection.
func (c *cutter) cutNextInsert(answered func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insertAnswered = answered
}

func startCutter(t testing.TB, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: l, target: target}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.relay(client) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return c
}

func (c *cutter) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer server.Close()
	requests := &noting{to: server, native: c.native}
	go func() {
		io.Copy(requests, client)          //nolint:errcheck // ends with either side
		server.(*net.TCPConn).CloseWrite() //nolint:errcheck // as above
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		cut := c.cutting
		if cut {
			c.cuts++
		}
		var answered func()
		if c.insertAnswered != nil && requests.insert.Load() == insertSent {
			answered, c.insertAnswered = c.insertAnswered, nil
		}
		if !requests.insert.CompareAndSwap(insertBegun, insertDescribed) {
			requests.insert.CompareAndSwap(insertSent, noInsert)
		}
		c.mu.Unlock()
		if answered != nil {
			answered()
			return
		}
		if cut {
			return // the server has worked, the client will never know
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *cutter) set(cutting bool) (cuts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutting = cutting
	return c.cuts
}

func TestARequestWhoseReplyIsCutOffIsStoredOnce(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			cutReplies(t, protocol)
		})
	}
}

func cutReplies(t *testing.T, protocol string) {
	engine := startClickHouseOver(t, protocol, t.TempDir())
	target := engine.addr
	if engine.native != "" {
		target = engine.native
	}
	proxy := startCutter(t, target)
	proxy.native = engine.native != ""
	dir := t.TempDir()
	logPath := filepath.Join(dir, "access.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer log.Close()
	dsn := protocol + "://" + proxy.listener.Addr().String() + "/sockeye"
	start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(pipelineConfig, dir, logPath, dsn)))

	lines := 0
	write := func(n int) {
		for range n {
			_, err := log.WriteString(accessLine(lines, time.Now()))
			require.NoError(t, err)
			lines++
		}
	}
	write(100)
	requireEachLineOnce(t, engine.addr, lines)
	answered := make(chan struct{}, 1)
	proxy.cutNextInsert(func() { answered <- struct{}{} })
	write(200)
	select {
	case <-answered:
	case <-time.After(time.Minute):
		require.FailNow(t, "no INSERT was answered")
	}
	requireEachLineOnce(t, engine.addr, lines)
	rounds := 5
	if proxy.native {
		rounds = 2
	}
	for round := range rounds {
		before := proxy.set(true)
		write(200)
		eventually(t, 60*time.Second, "a reply cut off", func() (bool, string) {
			proxy.mu.Lock()
			defer proxy.mu.Unlock()
			return proxy.cuts > before, ""
		})
		proxy.set(false)
		requireEachLineOnce(t, engine.addr, lines)
		t.Logf("round %d: %d replies cut off so far", round, proxy.set(false))
	}
}

func TestALogRotatedOrTruncatedWhileTheCollectorIsDownIsReadWhole(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	dir := t.TempDir()
	logPath := filepath.Join(dir, "access.log")
	config := configFile(t, fmt.Sprintf(pipelineConfig, dir, logPath, engine.dsn()))
	lines := 0
	write := func(n, flags int) {
		f, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND|flags, 0o600)
		require.NoError(t, err)
		defer f.Close()
		for range n {
			_, err := f.WriteString(accessLine(lines, time.Now()))
			require.NoError(t, err)
			lines++
		}
	}
	write(300, 0)
	collector := start(t, nil, binary(t), "--config", config)
	requireEachLineOnce(t, engine.addr, lines)

	collector.stop()
	write(50, 0) // lines at the end of the old file that nobody has read
	require.NoError(t, os.Rename(logPath, logPath+".1"))
	write(70, 0)
	collector = start(t, nil, binary(t), "--config", config)
	requireEachLineOnce(t, engine.addr, lines)

	collector.stop()
	write(40, os.O_TRUNC) // what had been read is gone, new lines stand in its place
	collector = start(t, nil, binary(t), "--config", config)
	requireEachLineOnce(t, engine.addr, lines)

	write(20, os.O_TRUNC) // and while it runs
	requireEachLineOnce(t, engine.addr, lines)
	collector.stop()
}
