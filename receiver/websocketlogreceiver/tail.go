package websocketlogreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// tail follows one file: by its inode, whatever its name becomes.
type tail struct {
	r   *logReceiver
	key string

	mu    sync.Mutex
	state fileState
	// size is the file's size as the scanner saw it last, partial the bytes of it after the last line break.
	size, partial int64
	// peak is the greatest size it was seen to have.
	peak int64
	// through is the time up to which everything written into the file has been acknowledged.
	through time.Time
	// flying is how many chunks are being delivered.
	flying int
	// unsaved is since when the stored state has been behind; zero if it is not.
	unsaved time.Time
	// rotated is set when the file has lost its name, gone when it has none left that is followed.
	rotated, gone bool
	running       bool
	// drained is set when a file that is gone has been read to its end, so that it can be forgotten.
	drained bool

	// landed is told when a delivery has ended.
	landed  chan struct{}
	flights sync.WaitGroup

	// The rest belongs to run.
	f     *os.File
	lines lineReader
	asm   *assembler
	// cut is the end of the last chunk, cutLines how many lines are before it, -1 if that is unknown.
	cut, cutLines int64
	// grew is when the file was last seen to grow.
	grew time.Time
	// learned is how much of lines.head the fingerprint has.
	learned int
}

// budgetStep is the grain in which a chunk takes from the receiver's memory budget.
const budgetStep = 256 << 10

var (
	errTruncated = errors.New("truncated")
	errDrained   = errors.New("drained")
	errParked    = errors.New("parked")
)

// run reads the file until ctx ends, the file is gone and drained, or it is idle while others wait for its place.
func (t *tail) run(ctx context.Context) {
	defer t.r.wake()
	defer t.stopped()
	if err := t.open(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, errParked) {
			t.r.logger.Warn("file cannot be read; it is tried again", t.field(), zap.Error(err))
			wait(ctx, t.r.cfg.PollInterval)
		}
		return
	}
	defer func() { _ = t.f.Close() }()
	defer t.settle(ctx)
	err := t.replay(ctx)
	if errors.Is(err, errTruncated) {
		err = t.restart(ctx)
	}
	if err != nil {
		return
	}
	// What is acknowledged out of order keeps its place: a restart sends no more chunks again than may be in flight.
	room := func() bool { return len(t.state.Pending) < t.r.cfg.Chunk.MaxInFlight }
	for t.until(ctx, room) {
		c, end := t.next(ctx)
		if c != nil {
			if err := t.ship(ctx, c); err != nil {
				return
			}
		}
		switch {
		case end == nil:
		case errors.Is(end, errTruncated):
			if err := t.restart(ctx); err != nil {
				return
			}
		case errors.Is(end, errDrained):
			t.flights.Wait()
			t.mu.Lock()
			t.drained = len(t.state.Pending) == 0
			t.mu.Unlock()
			return
		case errors.Is(end, errParked), ctx.Err() != nil:
			return
		default:
			t.r.logger.Warn("file cannot be read; it is tried again", t.field(), zap.Error(end))
			if !wait(ctx, t.r.cfg.PollInterval) {
				return
			}
		}
	}
}

func (t *tail) stopped() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
}

func (t *tail) field() zap.Field {
	t.mu.Lock()
	defer t.mu.Unlock()
	return zap.String("log.file.path", t.state.Path)
}

// open opens the file and makes sure that it is the one whose state is known.
func (t *tail) open(ctx context.Context) error {
	t.mu.Lock()
	s := t.state
	t.mu.Unlock()
	f, err := os.Open(s.Path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		var id fileID
		if id, err = idOf(info); err == nil && id != s.ID {
			// Renamed between being seen and being opened; the scanner finds the new name.
			err = errParked
		}
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	t.f = f
	options, err := t.parsing(s)
	if err != nil {
		_ = t.f.Close()
		return err
	}
	t.asm = t.r.newAssembler(options)
	t.grew = t.r.now()
	t.cut, t.cutLines = s.Offset, s.Lines
	t.seek(s.Offset)
	same, err := t.same()
	if err == nil && !same {
		err = t.restart(ctx)
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

func (t *tail) seek(pos int64) {
	t.lines, t.learned = newLineReader(t.f, pos, t.r.cfg.MaxLineBytes), 0
}

// same reports whether the file still begins as it did and still has what was read of it.
func (t *tail) same() (bool, error) {
	info, err := t.f.Stat()
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	s := t.state
	t.mu.Unlock()
	if info.Size() < max(s.end(), t.lines.pos+int64(t.lines.w-t.lines.r)) {
		return false, nil
	}
	if s.Head.Len == 0 {
		return true, nil
	}
	head, err := fingerprintOf(t.f, s.Head.Len)
	return head == s.Head, err
}

// restart begins a truncated file anew. What had not been read of its old contents may live on in a copy, which the
// scanner recognises.
func (t *tail) restart(ctx context.Context) error {
	// Chunks on their way have their lines in memory. What is pending beyond them is only in a copy, if anywhere.
	if !t.until(ctx, func() bool { return t.flying == 0 }) {
		return ctx.Err()
	}
	t.mu.Lock()
	old, peak := t.state, t.peak
	t.mu.Unlock()
	// The old state is given away before it is replaced: a scan in between, or a restart, must find its copy claimed.
	saved := t.r.scanner.orphan(old, peak)
	t.r.wake()
	select {
	case <-saved:
	case <-ctx.Done():
		return ctx.Err()
	}
	info, err := t.f.Stat()
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.state.Head = fingerprint{}
	t.state.Generation++
	t.state.Offset, t.state.Lines, t.state.Pending = 0, 0, nil
	t.partial = 0
	// The scanner must not take contents that nobody has read for an empty file.
	t.size, t.peak = info.Size(), info.Size()
	t.mu.Unlock()
	t.cut, t.cutLines = 0, 0
	t.r.logger.Info("file was truncated; it is read from its beginning", t.field())
	t.seek(0)
	t.grew = t.r.now()
	return t.persist(ctx)
}

// replay sends the chunks again that were on their way when the receiver stopped, with the bounds and ids they had.
func (t *tail) replay(ctx context.Context) error {
	t.mu.Lock()
	pending := t.state.Pending
	t.mu.Unlock()
	room := func() bool { return t.flying < t.r.cfg.Chunk.MaxInFlight }
	for _, b := range pending {
		if !b.Done {
			if !t.until(ctx, room) {
				return ctx.Err()
			}
			c, err := t.read(ctx, b)
			if err != nil {
				return err
			}
			t.send(ctx, c)
		}
		t.advance(b)
	}
	if t.lines.pos != t.cut {
		t.seek(t.cut)
	}
	return nil
}

// advance moves the place where the next chunk begins.
func (t *tail) advance(b bounds) {
	t.cut = b.End
	if t.cutLines >= 0 {
		t.cutLines += b.Lines
	}
}

// read reads the chunk with these bounds.
func (t *tail) read(ctx context.Context, b bounds) (*chunk, error) {
	if t.lines.pos != b.Start {
		t.seek(b.Start)
	}
	c := &chunk{bounds: b, repeated: true, weight: min(max(b.End-b.Start, budgetStep), budgetOf(t.r.cfg))}
	c.Lines = 0
	if err := t.r.budget.Acquire(ctx, c.weight); err != nil {
		return nil, err
	}
	for t.lines.pos < b.End {
		line, ok, err := t.lines.next(b.End)
		if err != nil {
			t.r.budget.Release(c.weight)
			return nil, err
		}
		if !ok {
			// The chunk ended with a line that had no break.
			if line, ok = t.lines.take(b.End); !ok {
				t.r.budget.Release(c.weight)
				return nil, errTruncated
			}
		}
		if err := t.add(ctx, c, line); err != nil {
			return nil, err
		}
	}
	t.close(ctx, c)
	return c, nil
}

// next reads the next chunk. The error says why there can be no more; there may be a chunk with it.
func (t *tail) next(ctx context.Context) (*chunk, error) {
	// Without a storage nobody knows what was sent before the receiver started.
	c := &chunk{bounds: bounds{Start: t.cut, End: t.cut}, repeated: t.r.cfg.Storage == nil}
	// done closes the chunk, if there is one.
	done := func(end error) (*chunk, error) {
		if c.Lines == 0 {
			t.r.budget.Release(c.weight)
			return nil, end
		}
		t.close(ctx, c)
		return c, end
	}
	// Time has passed, so what comes next may belong to other contents.
	paused := true
	for {
		if paused {
			if same, err := t.same(); err != nil {
				return done(err)
			} else if !same {
				return done(errTruncated)
			}
			paused = false
		}
		line, ok, err := t.lines.next(math.MaxInt64)
		if err != nil {
			return done(err)
		}
		if ok {
			if err := t.add(ctx, c, line); err != nil {
				return done(err)
			}
			if t.full(c) {
				return done(nil)
			}
			continue
		}
		pause, end := t.atEnd(c)
		if end != nil {
			if errors.Is(end, errDrained) {
				if line, ok := t.lines.take(math.MaxInt64); ok {
					if err := t.add(ctx, c, line); err != nil {
						return done(err)
					}
				}
				t.mu.Lock()
				gone := t.gone
				t.mu.Unlock()
				if !gone {
					// Rotated, and its new name is followed too: it may grow again.
					end = nil
				}
			}
			return done(end)
		}
		if pause <= 0 {
			return done(nil)
		}
		if t.flush(ctx) != nil || !wait(ctx, pause) {
			// What has been read of the chunk is read again after a restart.
			t.r.budget.Release(c.weight)
			return nil, ctx.Err()
		}
		paused = true
	}
}

// full reports whether the chunk may take no further line.
func (t *tail) full(c *chunk) bool {
	limits := &t.r.cfg.Chunk
	if t.asm.builder.Records() > limits.MaxRecords-eventsPerLine || c.End-c.Start >= int64(limits.MaxBytes) {
		return true
	}
	if c.weight >= int64(c.raw.Len()+budgetStep/2) {
		return false
	}
	// Other files hold the rest of the budget: what there is goes now.
	if !t.r.budget.TryAcquire(budgetStep) {
		return true
	}
	c.weight += budgetStep
	return false
}

// atEnd decides at the end of the file: how long to wait for more, or that the chunk is to be closed (neither), or
// that there is no more.
func (t *tail) atEnd(c *chunk) (pause time.Duration, end error) {
	info, err := t.f.Stat()
	if err != nil {
		return 0, err
	}
	now := t.r.now()
	read := t.lines.pos + int64(t.lines.w-t.lines.r)
	t.mu.Lock()
	partial := t.lines.partial()
	if partial != t.partial {
		t.grew = now
	}
	t.partial = partial
	rotated, gone, busy := t.rotated, t.gone, t.flying > 0
	t.mu.Unlock()
	if info.Size() < read {
		return 0, errTruncated
	}
	if info.Size() > read {
		// There is more by now.
		return time.Nanosecond, nil
	}
	c.atEnd = now
	silent := now.Sub(t.grew)
	if silent >= t.r.cfg.DrainAfter && !busy {
		switch {
		case gone, rotated && partial > 0:
			return 0, errDrained
		case c.Lines == 0 && partial == 0 && t.r.crowded.Load():
			return 0, errParked
		}
	}
	pause = t.r.cfg.PollInterval
	if c.Lines > 0 {
		pause = min(pause, c.receipt.Add(t.r.cfg.Chunk.MaxAge).Sub(now))
	}
	return pause, nil
}

// add adds a line to the chunk.
func (t *tail) add(ctx context.Context, c *chunk, line rawLine) error {
	t.grew = t.r.now()
	if c.weight == 0 {
		if err := t.r.budget.Acquire(ctx, budgetStep); err != nil {
			return err
		}
		c.weight = budgetStep
	}
	if c.Lines == 0 {
		c.receipt = t.r.now()
		c.raw = t.r.raws.Get().(*bytes.Buffer)
		c.raw.Reset()
		t.asm.begin(c.receipt)
		t.mu.Lock()
		t.asm.expect(t.size - line.start)
		t.mu.Unlock()
	}
	t.learn()
	c.Lines++
	c.End = line.end
	var err error
	if line.tooLong {
		err = t.asm.tooLong()
	} else {
		c.raw.Write(line.text)
		c.raw.WriteByte('\n')
		err = t.asm.line(line.text)
	}
	if err != nil {
		number := int64(-1)
		if t.cutLines >= 0 {
			number = t.cutLines + c.Lines
		}
		t.mu.Lock()
		path := t.state.Path
		t.mu.Unlock()
		t.r.reporter.line(path, number, line.start, err)
	}
	return nil
}

// learn extends the fingerprint by what has been read, at once: a copy of the file may turn up at any time.
func (t *tail) learn() {
	if len(t.lines.head) <= t.learned {
		return
	}
	t.learned = len(t.lines.head)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.learned > t.state.Head.Len {
		t.state.Head = fingerprintOfBytes(t.lines.head)
	}
}

// close completes a chunk that has all its lines.
func (t *tail) close(ctx context.Context, c *chunk) {
	t.asm.count(ctx)
	c.records, c.latest, c.options = t.asm.builder.Records(), t.asm.latest, t.asm.options
	if c.ID == "" {
		t.mu.Lock()
		s := &t.state
		c.ID = chunkID([]byte(t.r.settings.ID.String()), []byte(s.Head.Sum), []byte(strconv.Itoa(s.Generation)),
			[]byte(fmt.Sprintf("%d-%d", c.Start, c.End)))
		t.mu.Unlock()
	}
	c.logs = t.asm.builder.Logs(eventlog.Chunk{ID: c.ID, Repeated: c.repeated})
}
