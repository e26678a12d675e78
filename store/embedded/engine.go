//go:build linux && amd64 && !noembedded

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxIdle is how many unused connections are kept. A new one takes 0.2 ms, so few are enough.
const maxIdle = 32

// engine is the one running engine of the process.
type engine struct {
	lib  *chdb
	path string
	// reads bounds the memory of one query, so that readers leave room for inserts.
	reads int64
	// known are the names and types of all settings: the engine ignores a name it does not know, a server answers 115.
	known map[string]string
	tags  atomic.Uint64
	guard *guard
	// judged remembers what the guard said about a statement: programs repeat theirs.
	judged *memory

	// keeper stays open for the process's life: the engine stops with its last connection. It also serves our own
	// statements, one at a time.
	keeper   *connection
	keeperMu sync.Mutex

	mu     sync.Mutex
	idle   map[string][]*connection
	count  int
	closed bool
	busy   sync.WaitGroup
}

// connection runs one statement at a time.
type connection struct {
	lib     *chdb
	address uintptr // what closing takes
	handle  uintptr // what calls take
	key     string
	tag     string // the log_comment that KILL QUERY finds it by
	spoiled bool   // must not serve another request
}

func (c *connection) close() { c.lib.closeConn(c.address) }

// openEngine starts the engine on its data directory.
func openEngine(s Settings) (*engine, error) {
	library, err := FindLibrary(s.Library)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(s.DataDir)
	if err != nil {
		return nil, err
	}
	if err := checkWritable(path); err != nil {
		return nil, err
	}
	if err := forgetUnstored(path); err != nil {
		return nil, err
	}
	// What an engine that was killed has left there.
	if err := os.RemoveAll(filepath.Join(path, backupFolder)); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lib, err := load(library)
	if err != nil {
		return nil, err
	}
	memory := s.MemoryBytes
	if memory <= 0 {
		memory = DefaultMemoryBytes
	}
	config, configPath, err := openConfiguration(path, memory)
	if err != nil {
		return nil, fmt.Errorf("the engine's configuration: %w", err)
	}
	defer config.Close()
	e := &engine{lib: lib, path: path, reads: memory / 2, idle: map[string][]*connection{}}
	var keeper *connection
	said := captureStderr(func() { keeper = e.connect([]string{"--config-file=" + configPath}) })
	if keeper == nil {
		return nil, explainStart(path, said)
	}
	e.keeper = keeper
	if err := e.hideFiles(); err != nil {
		e.close()
		return nil, err
	}
	if err := e.learn(); err != nil {
		e.close()
		return nil, fmt.Errorf("ask the engine what it knows: %w", err)
	}
	return e, nil
}

// learn asks the engine for the names of its settings, table functions and engines.
func (e *engine) learn() error {
	e.known = map[string]string{}
	var lists [3][]string
	for i, query := range []string{
		"SELECT name, type FROM system.settings",
		"SELECT name FROM system.table_functions",
		"SELECT name FROM system.table_engines UNION ALL SELECT name FROM system.database_engines",
	} {
		rows, err := e.own(query)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if len(row) == 2 {
				e.known[row[0]] = row[1]
				continue
			}
			lists[i] = append(lists[i], row[0])
		}
	}
	e.guard, e.judged = newGuard(lists[1], lists[2]), newMemory(judgements)
	return nil
}

// judge returns an exception if the statement must not run for a client. It is what the engine will run, letter by
// letter; suffix completes one that the engine would not parse alone.
func (e *engine) judge(c *connection, text, suffix string, params []Parameter) (analysis, error) {
	if a, err, ok := e.judged.get(text + suffix); ok {
		return a, err
	}
	a, ok := e.lib.analyse(c.handle, text+suffix)
	if !ok {
		return a, newException(codeUnknown, "UNKNOWN_EXCEPTION", "The engine cannot analyse the statement")
	}
	const explain = "EXPLAIN AST "
	rows, err := e.rows(c, explain+text+suffix, params)
	if err != nil {
		// What does not parse does nothing, and the engine explains it best without our words in front of it.
		if a.class == classUnknown && a.statements == 0 {
			if _, _, direct := e.result(c, text+suffix, "", params); direct != nil {
				err = direct
			}
		}
		return a, err
	}
	var tree strings.Builder
	for _, row := range rows {
		tree.WriteString(row[0])
		tree.WriteByte('\n')
	}
	if a.statements > 1 {
		err = newException(codeSyntax, "SYNTAX_ERROR", "Multi-statements are not allowed")
	} else if what := e.refuse(text, tree.String(), a); what != "" {
		err = newException(codeAccessDenied, "ACCESS_DENIED",
			"The embedded engine does not run %s for clients", what)
	}
	e.judged.put(text+suffix, a, err)
	return a, err
}

func (e *engine) refuse(text, tree string, a analysis) string {
	if what := e.guard.refuse(text, tree); what != "" {
		return what
	}
	l := &lexer{text: text}
	first, second := l.next(), l.next()
	switch {
	case a.class == classControl && strings.HasPrefix(tree, "SelectWithUnionQuery"):
		return "INTO OUTFILE"
	case a.class == classGlobal && !strings.HasPrefix(tree, "CreateSQLFunctionQuery") &&
		!strings.HasPrefix(tree, "DropFunctionQuery"):
		return "statements about users, named collections and the like"
	case first.is("SYSTEM") && (second.is("SHUTDOWN") || second.is("KILL")):
		return "SYSTEM " + strings.ToUpper(second.text)
	}
	return ""
}

// hideFiles replaces the engine's own `default` database, an overlay that shows every file of the machine as a table
// (SELECT * FROM '/etc/passwd'), by an ordinary one. Tables that were made there stay.
func (e *engine) hideFiles() error {
	tables, err := e.own("SELECT name FROM system.tables WHERE database = 'default'")
	if err != nil {
		return fmt.Errorf("look at the engine's default database: %w", err)
	}
	// Detaching keeps tables, but an empty database cannot be attached again. Definitions that could not be loaded are
	// not in system.tables, and dropping would remove them.
	definitions, err := filepath.Glob(filepath.Join(e.path, "metadata", "default", "*.sql"))
	if err != nil {
		return err
	}
	statements := []string{"DETACH DATABASE default", "ATTACH DATABASE default"}
	if len(tables) == 0 && len(definitions) == 0 {
		statements = []string{"DROP DATABASE default", "CREATE DATABASE default ENGINE = Atomic"}
	}
	for _, statement := range statements {
		if _, err := e.own(statement); err != nil {
			return fmt.Errorf("replace the engine's default database: %w", err)
		}
	}
	rows, err := e.own("SELECT engine FROM system.databases WHERE name = 'default'")
	if err != nil {
		return err
	}
	if len(rows) != 1 || rows[0][0] != "Atomic" {
		return errors.New("replace the engine's default database: it still shows files")
	}
	return nil
}

// checkWritable makes the data directory and writes to it, so that a read-only or full disk is said at once.
func checkWritable(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("data directory: %w; choose another with --data", err)
	}
	f, err := os.CreateTemp(path, ".writable-*")
	if err != nil {
		return fmt.Errorf("data directory %s: cannot write: %w; make it writable or choose another with --data",
			path, errors.Unwrap(err))
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 1<<16))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("data directory %s: cannot write: %w; free some space or choose another with --data",
			path, errors.Unwrap(err))
	}
	return nil
}

// explainStart turns what the engine wrote on stderr into one sentence.
func explainStart(path, said string) error {
	switch {
	case strings.Contains(said, "Cannot lock file"):
		return fmt.Errorf("data directory %s: another process has it open; stop that one or choose another with --data",
			path)
	case strings.Contains(said, "No space left"):
		return fmt.Errorf("data directory %s: no space left on the disk; free some or choose another with --data", path)
	case strings.Contains(said, "Permission denied"), strings.Contains(said, "Read-only file system"):
		return fmt.Errorf("data directory %s: cannot write; make it writable or choose another with --data", path)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	if line == "" {
		line = "it gave no reason"
	}
	return fmt.Errorf("data directory %s: the engine does not start: %s", path, line)
}

// connect opens a connection of which nobody else knows, or returns nil.
func (e *engine) connect(args []string) *connection {
	tag := fmt.Sprintf("sockeye-%d-%d", os.Getpid(), e.tags.Add(1))
	// implicit_select would take any word for a query; the introspection functions read the process's memory map.
	all := append([]string{"clickhouse", "--path=" + e.path, "--implicit_select=0", "--allow_introspection_functions=0",
		"--" + logComment + "=" + tag}, args...)
	address := e.lib.open(all)
	if address == 0 {
		return nil
	}
	return &connection{lib: e.lib, address: address, handle: handleOf(address), tag: tag}
}

// acquire returns a connection to database with exactly these settings. It must be released.
func (e *engine) acquire(database string, settings []setting) (*connection, error) {
	key := poolKey(database, settings)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES", "The engine is shutting down")
	}
	e.busy.Add(1)
	if list := e.idle[key]; len(list) > 0 {
		c := list[len(list)-1]
		e.idle[key] = list[:len(list)-1]
		e.count--
		e.mu.Unlock()
		return c, nil
	}
	e.mu.Unlock()

	args := make([]string, len(settings))
	for i, s := range settings {
		args[i] = "--" + s.name + "=" + s.value
	}
	c := e.connect(args)
	if c == nil {
		e.busy.Done()
		return nil, e.explainSettings(settings)
	}
	c.key = key
	if database != "" {
		if _, _, err := e.result(c, "USE "+quoteName(database), "", nil); err != nil {
			c.spoiled = true
			e.release(c)
			return nil, err
		}
	}
	return c, nil
}

// explainSettings finds out which setting the engine refused: connecting with it only fails, SET says why.
func (e *engine) explainSettings(settings []setting) error {
	c := e.connect(nil)
	if c == nil {
		return newException(codeUnknown, "UNKNOWN_EXCEPTION", "The engine refuses connections")
	}
	defer c.close()
	for _, s := range settings {
		if _, _, err := e.result(c, "SET "+quoteName(s.name)+" = "+quoteText(s.value), "", nil); err != nil {
			return err
		}
	}
	return newException(codeUnknown, "UNKNOWN_EXCEPTION", "The engine refuses these settings")
}

// release gives a connection back, or closes it if it must not serve anyone else.
func (e *engine) release(c *connection) {
	defer e.busy.Done()
	e.mu.Lock()
	keep := !c.spoiled && !e.closed && e.count < maxIdle
	var evicted *connection
	if !c.spoiled && !e.closed && !keep {
		// Prefer the newest key: settings that are no longer asked for must not fill the pool for ever.
		for key, list := range e.idle {
			if key != c.key && len(list) > 0 {
				evicted, e.idle[key] = list[0], list[1:]
				e.count--
				keep = true
				break
			}
		}
	}
	if keep {
		e.idle[c.key] = append(e.idle[c.key], c)
		e.count++
	}
	for key, list := range e.idle {
		if len(list) == 0 {
			delete(e.idle, key)
		}
	}
	e.mu.Unlock()
	if !keep {
		c.close()
	}
	if evicted != nil {
		evicted.close()
	}
}

// close waits for running statements, then closes every connection, which stops the engine.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	var all []*connection
	for _, list := range e.idle {
		all = append(all, list...)
	}
	e.idle = nil
	e.mu.Unlock()
	e.busy.Wait()
	for _, c := range all {
		c.close()
	}
	e.keeperMu.Lock()
	defer e.keeperMu.Unlock()
	if e.keeper != nil {
		e.keeper.close()
		e.keeper = nil
	}
}

// own runs one of our own statements and returns its rows as text.
func (e *engine) own(query string) ([][]string, error) {
	e.keeperMu.Lock()
	defer e.keeperMu.Unlock()
	if e.keeper == nil {
		return nil, errors.New("the engine is closed")
	}
	return e.rows(e.keeper, query, nil)
}

// rows runs a query whose columns are all strings.
func (e *engine) rows(c *connection, query string, params []Parameter) ([][]string, error) {
	data, _, err := e.result(c, query, "JSONCompactStringsEachRow", params)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	for {
		var row []string
		if err := decoder.Decode(&row); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the engine's answer: %w", err)
		}
		rows = append(rows, row)
	}
}

// result runs a statement to its end.
func (e *engine) result(c *connection, query, format string, params []Parameter) ([]byte, summary, error) {
	result := e.lib.runQuery(c.handle, query, format, params)
	defer e.lib.destroyResult(result)
	if text := e.lib.resultError(result); text != "" {
		return nil, summary{}, parseException(text)
	}
	return e.lib.bytesOf(result), e.summary(result), nil
}

func (e *engine) summary(result uintptr) summary {
	return summary{
		readRows: e.lib.rowsRead(result), readBytes: e.lib.bytesRead(result),
		writtenRows: e.lib.rowsWritten(result), writtenBytes: e.lib.bytesWritten(result),
	}
}

// stream runs a query and hands its result on piece by piece. Whole blocks only.
func (e *engine) stream(
	ctx context.Context, c *connection, query, format string, params []Parameter, each func([]byte) error,
) (sum summary, err error) {
	handle := e.lib.runStream(c.handle, query, format, params)
	defer e.lib.destroyResult(handle)
	if text := e.lib.resultError(handle); text != "" {
		return sum, parseException(text)
	}
	for {
		chunk := e.lib.streamFetch(c.handle, handle)
		text, data := e.lib.resultError(chunk), e.lib.bytesOf(chunk)
		read := e.summary(chunk)
		sum.readRows += read.readRows
		sum.readBytes += read.readBytes
		e.lib.destroyResult(chunk)
		if text != "" {
			return sum, parseException(text)
		}
		if len(data) == 0 {
			return sum, nil
		}
		err := each(data)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			e.lib.streamCancel(c.handle, handle)
			c.spoiled = true
			return sum, err
		}
	}
}

// insert hands an upload to the engine, piece by piece as feed pushes them, and commits it only if feed returns nil. Any
// other end cancels it: the engine would commit what it has got.
func (e *engine) insert(
	ctx context.Context, c *connection, query, format string, params []Parameter, feed func(push func([]byte) error) error,
) (summary, error) {
	stream := e.lib.runInsert(c.handle, query, format, params)
	defer e.lib.destroyInsert(stream)
	if text := e.lib.insertError(stream); text != "" {
		return summary{}, parseException(text)
	}
	var refused *exception
	err := feed(func(data []byte) error {
		switch {
		case refused != nil:
			return refused
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !e.lib.appendData(stream, data):
			refused = parseException(e.lib.insertError(stream))
			return refused
		}
		return nil
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if refused != nil {
		c.spoiled = true
		return summary{}, refused
	}
	if err != nil {
		e.lib.insertCancel(stream)
		c.spoiled = true
		return summary{}, uploadException(err)
	}
	result := e.lib.insertDone(stream)
	defer e.lib.destroyResult(result)
	if text := e.lib.resultError(result); text != "" {
		c.spoiled = true
		return summary{}, parseException(text)
	}
	return e.summary(result), nil
}

// killInterval is how often a cancelled statement is killed again, until it has gone: KILL finds only what has already
// started.
const killInterval = 100 * time.Millisecond

// killOnDone kills the connection's statement when ctx ends. The returned function must be called when the statement
// has returned; after a kill the connection is spoiled, because the kill might meet the next statement.
func (e *engine) killOnDone(ctx context.Context, c *connection) func() {
	finished, gone := make(chan struct{}), make(chan struct{})
	killed := false
	go func() {
		defer close(gone)
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		killed = true
		ticker := time.NewTicker(killInterval)
		defer ticker.Stop()
		for {
			// SYNC would wait for the statement for ever.
			_, _ = e.own("KILL QUERY WHERE Settings['" + logComment + "'] = " + quoteText(c.tag) + " ASYNC")
			select {
			case <-finished:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		close(finished)
		<-gone
		if killed {
			c.spoiled = true
		}
	}
}

// progressInterval is how often a client is told how far its statement is.
const progressInterval = time.Second

// watch tells now and then how much the connection's statement has read, until the returned function is called.
func (e *engine) watch(c *connection, each func(p progress)) func() {
	finished, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-finished:
				return
			case <-ticker.C:
			}
			rows, err := e.own("SELECT read_rows, read_bytes, total_rows_approx FROM system.processes " +
				"WHERE Settings['" + logComment + "'] = " + quoteText(c.tag))
			if err != nil || len(rows) != 1 || len(rows[0]) != 3 {
				continue
			}
			var p progress
			for i, to := range []*uint64{&p.rows, &p.bytes, &p.total} {
				*to, _ = strconv.ParseUint(rows[0][i], 10, 64)
			}
			each(p)
		}
	}()
	return func() {
		close(finished)
		<-gone
	}
}

// numeric says whether a setting is a number, and whether there is one of that name.
func (e *engine) numeric(name string) (number, known bool) {
	typ, known := e.known[name]
	switch typ {
	case "UInt64", "Int64", "Int32", "UInt32", "Bool", "Seconds", "Milliseconds", "UInt64Auto", "MaxThreads", "BoolAuto",
		"NonZeroUInt64":
		number = true
	}
	return number, known
}

// unknown returns the names that are not settings of the engine.
func (e *engine) unknown(settings []setting) []string {
	var names []string
	for _, s := range settings {
		if _, ok := e.known[s.name]; !ok {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

func quoteText(text string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(text) + "'"
}
