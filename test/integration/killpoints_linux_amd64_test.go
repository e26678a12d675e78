package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/store/schema"
)

// killConfig reads a log and takes pushed events. Everything is quick, and nothing is written but for the events: kills
// are placed by counting writes.
const killConfig = `
extensions:
  file_storage: {directory: %[1]s/storage, create_directory: true}
receivers:
  websocketlog/file:
    format: nginx
    include: [%[1]s/access.log]
    start_at: beginning
    poll_interval: 10ms
    chunk: {max_age: 20ms}
    progress_interval: 1h
    storage: file_storage
    key_file: %[1]s/installation.key
    resource: {service.name: chat}
  websocketlog/push:
    vantage: app
    progress_interval: 1h
    storage: file_storage
    key_file: %[1]s/installation.key
    http: {endpoint: %[2]s, timeout: 2s}
processors:
  pii: {key_file: %[1]s/installation.key}
exporters:
  websocketclickhouse:
    endpoint: http://%[3]s/sockeye
    retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}
%[4]s
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [websocketlog/file, websocketlog/push], processors: [pii], exporters: [websocketclickhouse]}
`

// scene is a collector and its engine, of which either is killed and started again.
type scene struct {
	t           testing.TB
	engine      *clickhouse
	collector   *program
	dir, config string
	pushAddr    string
	log         *os.File
	lines       int
	rows        int
}

// newScene makes a scene in which nothing runs yet. The collector reaches the engine by the address that through
// returns, if any.
func newScene(t testing.TB, exporter string, through func(engine string) string) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir(), pushAddr: testenv.Address(t)}
	s.engine = &clickhouse{addr: testenv.Address(t), data: filepath.Join(t.TempDir(), "clickhouse")}
	addr := s.engine.addr
	if through != nil {
		addr = through(addr)
	}
	s.config = configFile(t, fmt.Sprintf(killConfig, s.dir, s.pushAddr, addr, exporter))
	var err error
	s.log, err = os.Create(filepath.Join(s.dir, "access.log"))
	require.NoError(t, err)
	t.Cleanup(func() { s.log.Close() })
	return s
}

func (s *scene) startCollector() {
	s.collector = start(s.t, nil, binary(s.t), "--config", s.config)
	s.collector.listening(s.pushAddr)
}

func (s *scene) startTracedCollector(at killPoint) {
	s.collector = startTraced(s.t, filepath.Join(s.dir, "storage"), at, "--config", s.config)
}

func (s *scene) startTracedEngine(at killPoint) {
	s.engine.program = startTraced(s.t, s.engine.data, at, "clickhouse", "--data", s.engine.data, "--listen", s.engine.addr)
}

// send is how events get into the collector. It may return before they are acknowledged; wait ends when they are.
type send func(n int) (wait func())

func (s *scene) writeLines(n int) (wait func()) {
	var b strings.Builder
	for range n {
		b.WriteString(accessLine(s.lines, time.Now()))
		s.lines++
	}
	s.rows += 2 * n
	_, err := s.log.WriteString(b.String())
	require.NoError(s.t, err)
	return func() {}
}

// pushEvents posts events again and again under their key until they are acknowledged.
func (s *scene) pushEvents(n int) (wait func()) {
	var body bytes.Buffer
	for range n {
		body.WriteString(authEvent(s.lines, time.Now()))
		s.lines++
	}
	s.rows += n
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	acknowledged := make(chan error, 1)
	key := "batch-" + strconv.Itoa(s.lines)
	go func() {
		defer cancel()
		for {
			err := post(ctx, s.pushAddr, key, body.Bytes())
			if err == nil || ctx.Err() != nil {
				acknowledged <- err
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}()
	return func() { require.NoError(s.t, <-acknowledged) }
}

func post(ctx context.Context, addr, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

// stored reports whether exactly what was sent is stored.
func (s *scene) stored() (bool, string) {
	want := fmt.Sprintf("%d\t%d", s.rows, s.lines)
	got, err := query(s.engine.addr, "SELECT count(), uniqExact(connection_id) FROM events")
	return err == nil && got == want, fmt.Sprintf("got %q, want %q, %v", got, want, err)
}

// requireExact waits until what was sent is stored once in events, in every tier and in what is kept of each chunk.
func (s *scene) requireExact(after string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "every event stored once after "+after, s.stored)
	requireTiersEqualRecount(s.t, s.engine.addr)
	eventually(s.t, 60*time.Second, "chunks equal to a recount", func() (bool, string) {
		difference, err := query(s.engine.addr, `SELECT chunk_id, sum(n) AS n FROM (
			SELECT chunk_id, toInt64(records) AS n FROM chunks UNION ALL SELECT chunk_id, -1 AS n FROM events)
			WHERE chunk_id != 'old' -- was there before the table was
			GROUP BY chunk_id HAVING n != 0 LIMIT 3`)
		return err == nil && difference == "", fmt.Sprint(difference, err)
	})
	ok, now := s.stored()
	require.True(s.t, ok, now)
}

// killOrInsert waits until the tracer has killed the engine, and says before what, or the INSERT has ended.
func (s *scene) killOrInsert() (point string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "a kill or the end of an INSERT", func() (bool, string) {
		if point = s.engine.killedBefore(); point != "" {
			return true, point
		}
		// The rows of events can be read before the views are done.
		ok, now := s.stored()
		return ok && number(s.engine.addr, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'") == 0, now
	})
	return point
}

// killOrStored waits until the tracer has killed the collector, or what was sent is stored.
func (s *scene) killOrStored() {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "a kill or the events", func() (bool, string) {
		if s.collector.killedBefore() != "" {
			return true, ""
		}
		return s.stored()
	})
}

// tables returns the folder of each table, relative to the engine's.
func (s *scene) tables() map[string]string {
	text, err := query(s.engine.addr, `SELECT name, concat('store/', substring(toString(uuid), 1, 3), '/', toString(uuid))
		FROM system.tables WHERE database = 'sockeye' AND engine != 'MaterializedView'`)
	require.NoError(s.t, err)
	folders := map[string]string{}
	for line := range strings.Lines(text) {
		name, folder, _ := strings.Cut(strings.TrimSpace(line), "\t")
		folders[name] = folder
	}
	return folders
}

// everyWrite makes tests kill before every change of a file; otherwise they do before those that decide.
func everyWrite() bool { return os.Getenv("SOCKEYE_KILL_EVERY_WRITE") != "" }

// walk yields points before the first change of a kind, the second and so on, until the caller breaks off.
func walk(only string, fromStart bool) iter.Seq[killPoint] {
	return func(yield func(killPoint) bool) {
		for n := 1; yield(killPoint{n: n, only: only, fromStart: fromStart}); n++ {
		}
	}
}

var sources = map[string]func(*scene) send{
	"a file":                         func(s *scene) send { return s.writeLines },
	"a push with an Idempotency-Key": func(s *scene) send { return s.pushEvents },
}

// TestAnEngineKilledDuringAnInsertStoresItOnce kills the engine at each step of one INSERT that decides: before it notes
// the token and before it renames the part, in events and in the target of every view.
func TestAnEngineKilledDuringAnInsertStoresItOnce(t *testing.T) {
	t.Parallel()
	for name, via := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "", nil)
			s.engine.restart(t)
			s.startCollector()
			s.writeLines(10)
			s.requireExact("the start")
			points := walk("", false)
			folders := s.tables()
			if !everyWrite() {
				var deciding []killPoint
				tables := []string{"events", "rollup_10s", "rollup_1m", "rollup_15m", "chunks"}
				if name == "a file" { // the pushed events are of authentication, which no side table keeps
					tables = append(tables, "usage_1h")
				}
				for _, table := range tables {
					deciding = append(deciding, killPoint{n: 1, only: "^write " + folders[table] + "/deduplication_logs/"},
						killPoint{n: 1, only: "^rename " + folders[table] + "/tmp_insert_"})
				}
				points = slices.Values(deciding)
			}
			var killed []string
			for at := range points {
				s.engine.stop()
				s.startTracedEngine(at)
				s.engine.answering()
				s.engine.arm()
				wait := via(s)(10)
				point := s.killOrInsert()
				if point == "" {
					wait()
					require.True(t, everyWrite(), "no change is %s", at.only)
					break
				}
				killed = append(killed, point)
				s.engine.restart(t)
				wait()
				s.requireExact(point)
			}
			logKills(t, killed, folders)
		})
	}
}

// logKills says where kills fell, with tables by their names.
func logKills(t testing.TB, killed []string, folders map[string]string) {
	var pairs []string
	for name, folder := range folders {
		pairs = append(pairs, folder, name)
	}
	t.Logf("%d kills, before\n%s", len(killed), strings.NewReplacer(pairs...).Replace(strings.Join(killed, "\n")))
}

// TestAnEngineKilledDuringAMigrationIsMigratedByTheNextAttempt kills the engine at each step of the migrations that a
// collector applies: before each table and view is there, and before each migration is noted. The migrations after the
// first are the same whether the first was applied just before or long ago, so each is killed once.
func TestAnEngineKilledDuringAMigrationIsMigratedByTheNextAttempt(t *testing.T) {
	t.Parallel()
	only := `^rename .*(\.sql\.tmp|/tmp_insert_all_.*)$` // tables and views, and the rows of schema_migrations
	if everyWrite() {
		only = ""
	}
	for name, c := range map[string]struct {
		prepare func(*scene)
		last    string // the point after which nothing new comes
	}{
		"a new database":           {func(*scene) {}, "/tmp_insert_all_1_1_0/"},
		"one of the first version": {(*scene).makeFirstVersion, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "", nil)
			var killed []string
			for at := range walk(only, false) {
				// Each time a new engine, so that each time the same migrations are to be applied.
				s.engine.data = filepath.Join(t.TempDir(), "clickhouse")
				s.lines, s.rows = 0, 0
				s.startTracedEngine(at)
				s.engine.answering()
				c.prepare(s)
				s.engine.arm()
				s.startCollector()
				s.writeLines(3)
				point := s.killOrInsert()
				if point != "" {
					killed = append(killed, point)
					s.engine.restart(t)
				}
				s.requireExact(point)
				s.collector.stop()
				s.engine.stop()
				if point == "" || only != "" && c.last != "" && strings.Contains(point, c.last) {
					break
				}
			}
			logKills(t, killed, nil)
			require.NotEmpty(t, killed)
		})
	}
}

// makeFirstVersion makes the database as the first migration left it, with events in it.
func (s *scene) makeFirstVersion() {
	run := func(statement string) {
		_, err := query(s.engine.addr, statement)
		require.NoError(s.t, err, statement)
	}
	migrations, err := schema.All()
	require.NoError(s.t, err)
	first := migrations[0]
	resp, err := http.Post("http://"+s.engine.addr, "", strings.NewReader("CREATE DATABASE sockeye"))
	require.NoError(s.t, err)
	resp.Body.Close()
	require.Equal(s.t, http.StatusOK, resp.StatusCode)
	run(`CREATE TABLE schema_migrations (number UInt32, name String, checksum String, applied DateTime64(3, 'UTC'))
		ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 100000`)
	for _, statement := range first.Statements() {
		run(statement)
	}
	run(fmt.Sprintf("INSERT INTO schema_migrations SELECT %d, '%s', '%s', now64(3)", first.Number, first.Name, first.Checksum()))
	run(`INSERT INTO events (time, counted_at, event, service, connection_id, chunk_id, count)
		SELECT now64(9), now64(3), 'websocket.open', 'chat', toString(number), 'old', 1 FROM numbers(5)`)
	s.lines, s.rows = 5, 5
}

// TestACollectorKilledAtAnyWriteOfItsStateLosesAndDoublesNothing kills the collector before each write of the bounds of a
// chunk, which it stores before it sends, of the offset, which it stores after the acknowledgement, and of what it does
// with both after a restart.
func TestACollectorKilledAtAnyWriteOfItsStateLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", nil)
	s.engine.restart(t)
	for _, fromStart := range []bool{false, true} {
		var killed []string
		for at := range walk("", fromStart) {
			if fromStart {
				s.writeLines(10)
			}
			s.startTracedCollector(at)
			if !fromStart {
				s.collector.listening(s.pushAddr)
				s.collector.arm()
				s.writeLines(10)
			}
			s.killOrStored()
			// The offset behind this chunk is stored with the bounds of the next, before that is sent.
			s.writeLines(10)
			s.killOrStored()
			s.collector.stop() // which it may not survive either
			point := s.collector.killedBefore()
			if point == "" {
				break
			}
			killed = append(killed, point)
			s.startCollector()
			s.requireExact(point)
			s.collector.stop()
		}
		s.requireExact("the last")
		logKills(t, killed, nil)
		require.GreaterOrEqual(t, len(killed), 4, "the bounds of two chunks, each a page and a header")
	}
}

// TestAKillBetweenAnInsertAndItsAcknowledgementDoublesNothing kills when the engine has answered an INSERT and the
// collector has not seen the answer yet.
func TestAKillBetweenAnInsertAndItsAcknowledgementDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, via := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var proxy *cutter
			s := newScene(t, "", func(engine string) string {
				proxy = startCutter(t, engine)
				return proxy.listener.Addr().String()
			})
			s.engine.restart(t)
			s.startCollector()
			s.writeLines(10)
			s.requireExact("the start")
			for what, victims := range map[string]func() []*program{
				"the collector":   func() []*program { return []*program{s.collector} },
				"the engine":      func() []*program { return []*program{s.engine.program} },
				"both":            func() []*program { return []*program{s.collector, s.engine.program} },
				"neither of them": func() []*program { return nil },
			} {
				answered := make(chan struct{})
				proxy.cutNextInsert(func() {
					for _, p := range victims() {
						p.kill()
					}
					close(answered)
				})
				wait := via(s)(10)
				select {
				case <-answered:
				case <-time.After(30 * time.Second):
					require.FailNow(t, "no INSERT passed the proxy", what)
				}
				for _, p := range victims() {
					switch p {
					case s.collector:
						s.startCollector()
					case s.engine.program:
						s.engine.restart(t)
					}
				}
				wait()
				s.requireExact("a kill of " + what)
			}
		})
	}
}
