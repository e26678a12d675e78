package websocketlogreceiver

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// scanner finds the files to follow and keeps track of them while they are renamed, copied, truncated and removed.
// One goroutine runs it; only what mu guards is for others.
type scanner struct {
	r *logReceiver
	// tails are the files that are followed, those that wait for a place included.
	tails map[fileID]*tail
	// copies are files that look like copies of one that is followed; they are judged anew at every scan.
	copies map[fileID]bool
	// seen are files that are new since the last scan. They are followed if they are still nobody's copy at the next:
	// by then a tail knows how its file begins, and whether it was truncated. The time is that of the scan before, since
	// which all in them was written; zero if there was none.
	seen map[fileID]time.Time
	// fresh is true until the first scan is over; known, if there were stored offsets.
	fresh, known bool
	dirty        bool
	gone         []string
	crowdLogged  bool
	// claimed are to be closed once their states are stored under the files that claimed them.
	claimed []chan struct{}

	mu sync.Mutex
	// orphans are states whose contents have lost their file: truncated, or not found after a restart.
	orphans []orphan
	view    progressView
}

// orphan is the state of contents that may turn up in another file.
type orphan struct {
	key   string
	state fileState
	size  int64
	since time.Time
	// saved is closed once the state is stored; nil if it comes from there.
	saved chan struct{}
}

// orphanAge is how long an orphan is waited for. A rotation by copying takes as long as the copying.
const orphanAge = time.Minute

// progressView is what a scan saw of all files.
type progressView struct {
	at      time.Time
	files   int
	backlog int64
	// through is the least time up to which a file with a backlog has been acknowledged; zero if one is unknown.
	through time.Time
}

func newScanner(r *logReceiver) *scanner {
	return &scanner{r: r, tails: map[fileID]*tail{}, copies: map[fileID]bool{}, seen: map[fileID]time.Time{}, fresh: true}
}

// run scans until ctx ends.
func (s *scanner) run(ctx context.Context) {
	for {
		s.scan(ctx)
		t := time.NewTimer(s.r.cfg.PollInterval)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-s.r.woken:
			t.Stop()
		case <-t.C:
		}
	}
}

type found struct {
	path string
	id   fileID
	size int64
}

// scan looks at all files once.
func (s *scanner) scan(ctx context.Context) {
	now := s.r.now()
	files := s.glob()
	if s.fresh {
		s.restore(ctx, files)
	}
	byID := make(map[fileID]found, len(files))
	for _, f := range files {
		byID[f.id] = f
	}
	for id, t := range s.tails {
		f, ok := byID[id]
		s.update(id, t, f, ok)
	}
	for _, f := range files {
		if _, followed := s.tails[f.id]; !followed && byID[f.id].path == f.path {
			s.adopt(f, byID)
		}
	}
	vanished := func(id fileID) bool { _, ok := byID[id]; return !ok }
	maps.DeleteFunc(s.copies, func(id fileID, _ bool) bool { return vanished(id) })
	maps.DeleteFunc(s.seen, func(id fileID, _ time.Time) bool { return vanished(id) })
	s.expire(now)
	s.save(ctx)
	s.start(ctx)
	s.look(now)
	s.fresh = false
}

// glob returns the regular files that the patterns name, each once, sorted by path.
func (s *scanner) glob() (files []found) {
	seen := map[string]bool{}
	for _, pattern := range s.r.cfg.Include {
		paths, _ := filepath.Glob(pattern) // Validate has checked the pattern
		for _, path := range paths {
			if seen[path] || s.excluded(path) {
				continue
			}
			seen[path] = true
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			id, err := idOf(info)
			if err != nil {
				continue
			}
			files = append(files, found{path, id, info.Size()})
		}
	}
	slices.SortFunc(files, func(a, b found) int {
		if a.path < b.path {
			return -1
		}
		return 1
	})
	ids := map[fileID]bool{}
	return slices.DeleteFunc(files, func(f found) bool {
		twice := ids[f.id]
		ids[f.id] = true
		return twice
	})
}

func (s *scanner) excluded(path string) bool {
	for _, pattern := range s.r.cfg.Exclude {
		if ok, _ := filepath.Match(pattern, path); ok {
			return true
		}
	}
	return false
}

// update tells a tail what has become of its name.
func (s *scanner) update(id fileID, t *tail, f found, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ok:
		if f.path != t.state.Path {
			t.state.Path = f.path
			t.rotated = true
		}
		t.size, t.gone = f.size, false
		t.peak = max(t.peak, f.size)
		if !t.running {
			t.drained = false
		}
	case !t.gone:
		t.rotated, t.gone = true, true
	}
	if t.running || ok {
		return
	}
	if !t.drained && !s.lost(t) {
		return
	}
	delete(s.tails, id)
	s.dirty = true
	s.gone = append(s.gone, t.key)
}

// lost reports whether a file without a followed name, and not open, cannot be found again. t.mu is held.
func (s *scanner) lost(t *tail) bool {
	if t.state.Offset >= t.size && len(t.state.Pending) == 0 {
		return true
	}
	if path, ok := siblingOf(t.state.Path, t.state.ID); ok {
		t.state.Path = path
		return false
	}
	s.orphanLocked(orphan{key: newFileKey(), state: t.state, size: t.peak, since: s.r.now(),
		saved: make(chan struct{})})
	return true
}

// siblingOf finds a file by its inode in the folder where it was.
func siblingOf(path string, id fileID) (string, bool) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", false
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if other, err := idOf(info); err == nil && other == id {
			return filepath.Join(filepath.Dir(path), entry.Name()), true
		}
	}
	return "", false
}

// adopt begins to follow a file that is new here: a new one, or one whose contents are known under another inode.
func (s *scanner) adopt(f found, byID map[fileID]found) {
	if f.size == 0 {
		// It may become a copy; there is nothing to read anyway.
		return
	}
	file, err := os.Open(f.path)
	if err != nil {
		if !s.copies[f.id] {
			s.copies[f.id] = true // only so that it is logged once
			s.r.logger.Warn("file cannot be read", zap.String("log.file.path", f.path), zap.Error(err))
		}
		return
	}
	defer file.Close()
	if o, ok := s.claim(file, f); ok {
		o.state.Path, o.state.ID = f.path, f.id
		s.follow(o.key, o.state, f, true)
		delete(s.seen, f.id)
		s.r.logger.Info("file continues one that was followed", zap.String("log.file.path", f.path),
			zap.Int64("offset", o.state.Offset))
		return
	}
	if original, ok := s.copyOf(file, f, byID); ok {
		delete(s.seen, f.id)
		if !s.copies[f.id] {
			s.copies[f.id] = true
			s.r.logger.Info("file looks like a copy of one that is followed; it is not read",
				zap.String("log.file.path", f.path), zap.String("original", original))
		}
		return
	}
	first := s.fresh && !s.known
	if _, seen := s.seen[f.id]; !first && !seen {
		s.seen[f.id] = s.lastScan()
		return
	}
	delete(s.copies, f.id)
	head, err := fingerprintOf(file, int(min(f.size, headBytes)))
	if err != nil {
		return
	}
	state := fileState{Path: f.path, ID: f.id, Head: head, Generation: s.generation(f.id)}
	if s.fresh && !s.known && s.r.cfg.StartAt == startAtEnd {
		state.Offset = lastBreak(file, f.size, s.r.cfg.MaxLineBytes)
		if state.Offset > 0 {
			state.Lines = -1
		}
	}
	s.follow("", state, f, false)
	delete(s.seen, f.id)
}

// generation is one more than that of contents which the same inode had before.
func (s *scanner) generation(id fileID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.orphans {
		if o.state.ID == id {
			n = max(n, o.state.Generation+1)
		}
	}
	return n
}

// lastBreak returns the offset behind the last line break before size, so that a line that is being written is read
// whole.
func lastBreak(f *os.File, size int64, longest int) int64 {
	n := min(size, int64(longest))
	buf := make([]byte, n)
	if _, err := f.ReadAt(buf, size-n); err != nil {
		return size
	}
	for i := len(buf) - 1; i >= 0; i-- {
		if buf[i] == '\n' {
			return size - n + int64(i) + 1
		}
	}
	if n == size {
		return 0
	}
	return size
}

func (s *scanner) follow(key string, state fileState, f found, rotated bool) *tail {
	if key == "" {
		key = newFileKey()
	}
	t := &tail{r: s.r, key: key, state: state, size: f.size, peak: f.size, rotated: rotated,
		landed: make(chan struct{}, 1)}
	if state.Offset == f.size && len(state.Pending) == 0 {
		t.through = s.r.now()
	} else {
		// All of a file that was not there before was written since; zero if it may have been.
		t.through = s.seen[f.id]
	}
	s.tails[f.id] = t
	s.dirty = true
	return t
}

// copyOf reports whether a file is a copy, perhaps one in the making, of one that is followed: it begins alike and is
// no longer. Rotation by copying makes one, and then truncates the original; the copy is claimed then.
func (s *scanner) copyOf(file *os.File, f found, byID map[fileID]found) (string, bool) {
	for id, t := range s.tails {
		original, there := byID[id]
		if !there {
			continue
		}
		t.mu.Lock()
		state := t.state
		t.mu.Unlock()
		alike := begins(file, state.Head, f.size)
		if !alike && f.size < int64(state.Head.Len) {
			alike = beginAlike(file, original.path, int(f.size))
		}
		// What is longer than its original is no copy, unless the original has been truncated and its tail has yet to
		// notice.
		if alike && (f.size <= original.size || !beginsAs(original.path, state.Head)) {
			return state.Path, true
		}
	}
	return "", false
}

// beginsAs reports whether the file at path still begins like that.
func beginsAs(path string, head fingerprint) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	got, err := fingerprintOf(f, head.Len)
	return err == nil && got == head
}

func beginAlike(a *os.File, path string, n int) bool {
	b, err := os.Open(path)
	if err != nil {
		return false
	}
	defer b.Close()
	headA, errA := fingerprintOf(a, n)
	headB, errB := fingerprintOf(b, n)
	return errA == nil && errB == nil && headA == headB
}

func begins(file *os.File, head fingerprint, size int64) bool {
	if head.Len == 0 || size < int64(head.Len) {
		return false
	}
	got, err := fingerprintOf(file, head.Len)
	return err == nil && got == head
}

// claim takes the orphan whose contents the file holds.
func (s *scanner) claim(file *os.File, f found) (orphan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.orphans {
		if f.size >= o.state.end() && begins(file, o.state.Head, f.size) {
			s.orphans = slices.Delete(s.orphans, i, i+1)
			if o.saved != nil {
				s.claimed = append(s.claimed, o.saved)
			}
			return o, true
		}
	}
	return orphan{}, false
}

// orphan keeps a state whose file has been truncated; size is how long it was when it was last seen. The channel is
// closed once the state is stored, before which the file's own must not be replaced.
func (s *scanner) orphan(state fileState, size int64) <-chan struct{} {
	saved := make(chan struct{})
	s.orphanLocked(orphan{key: newFileKey(), state: state, size: size, since: s.r.now(), saved: saved})
	return saved
}

func (s *scanner) orphanLocked(o orphan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orphans = append(s.orphans, o)
}

// expire gives orphans up that nobody claimed.
func (s *scanner) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orphans = slices.DeleteFunc(s.orphans, func(o orphan) bool {
		if now.Sub(o.since) < orphanAge {
			return false
		}
		s.dirty = true
		s.gone = append(s.gone, o.key)
		if lost := o.size - o.state.Offset; lost > 0 || len(o.state.Pending) > 0 {
			lost = max(lost, 0)
			s.r.telemetry.ReceiverWebsocketlogLostBytes.Add(context.Background(), lost)
			s.r.logger.Warn("file was truncated or removed before it had been read, and no copy of it is followed; "+
				"include the rotated name too, or rotate by renaming", zap.String("log.file.path", o.state.Path),
				zap.Int64("lost_bytes", lost), zap.Int("unconfirmed_chunks", len(o.state.Pending)))
		}
		return true
	})
}

// restore continues with the files whose states are stored.
func (s *scanner) restore(ctx context.Context, files []found) {
	states, known, err := s.r.checkpoint.load(ctx)
	if err != nil {
		// Start has loaded them once, so the storage works; what it gives now is all there is.
		s.r.logger.Error("stored offsets cannot be read", zap.Error(err))
	}
	s.known, s.dirty = known, true
	for _, key := range slices.Sorted(maps.Keys(states)) {
		state := states[key]
		i := slices.IndexFunc(files, func(f found) bool { return f.id == state.ID })
		if i >= 0 && holds(files[i].path, state) {
			f := files[i]
			rotated := f.path != state.Path
			state.Path = f.path
			s.follow(key, state, f, rotated)
			continue
		}
		if path, ok := siblingOf(state.Path, state.ID); ok && holds(path, state) {
			// Rotated to a name that is not followed.
			state.Path = path
			info, err := os.Stat(path)
			if err == nil {
				t := s.follow(key, state, found{path, state.ID, info.Size()}, true)
				t.gone = true
				continue
			}
		}
		s.orphanLocked(orphan{key: key, state: state, size: state.Offset, since: s.r.now()})
	}
}

// holds reports whether the file at path still has what was read of it.
func holds(path string, state fileState) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	return info.Size() >= state.end() && (state.Head.Len == 0 || begins(f, state.Head, info.Size()))
}

// save stores which files there are.
func (s *scanner) save(ctx context.Context) {
	var keys []string
	saved := slices.Clone(s.claimed)
	s.mu.Lock()
	orphans := slices.Clone(s.orphans)
	s.mu.Unlock()
	for _, o := range orphans {
		keys = append(keys, o.key)
		if o.saved == nil {
			continue
		}
		if err := s.r.checkpoint.save(ctx, o.key, o.state); err != nil {
			s.r.logger.Error("offset cannot be stored", zap.String("log.file.path", o.state.Path), zap.Error(err))
			return
		}
		saved, s.dirty = append(saved, o.saved), true
	}
	if !s.dirty {
		return
	}
	for _, t := range s.tails {
		keys = append(keys, t.key)
		t.mu.Lock()
		state, running := t.state, t.running
		t.mu.Unlock()
		if !running {
			if err := s.r.checkpoint.save(ctx, t.key, state); err != nil {
				s.r.logger.Error("offset cannot be stored", t.field(), zap.Error(err))
				return
			}
		}
	}
	slices.Sort(keys)
	if err := s.r.checkpoint.saveIndex(ctx, keys, s.gone...); err != nil {
		s.r.logger.Error("list of files cannot be stored", zap.Error(err))
		return
	}
	s.dirty, s.gone, s.claimed = false, nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, done := range saved {
		close(done)
	}
	for i := range s.orphans {
		if slices.Contains(saved, s.orphans[i].saved) {
			s.orphans[i].saved = nil
		}
	}
}

// start runs the tails: all of them if there are places enough, else those that have something to read.
func (s *scanner) start(ctx context.Context) {
	crowded := len(s.tails) > s.r.cfg.MaxOpenFiles
	s.r.crowded.Store(crowded)
	if crowded && !s.crowdLogged {
		s.crowdLogged = true
		s.r.logger.Warn("more files than max_open_files; idle ones are closed in turn",
			zap.Int("files", len(s.tails)), zap.Int("max_open_files", s.r.cfg.MaxOpenFiles))
	}
	running := 0
	var waiting []*tail
	for _, t := range s.tails {
		t.mu.Lock()
		switch {
		case t.running:
			running++
		case !crowded, t.gone, t.size != t.state.Offset+t.partial, len(t.state.Pending) > 0:
			waiting = append(waiting, t)
		}
		t.mu.Unlock()
	}
	for _, t := range waiting[:min(len(waiting), max(0, s.r.cfg.MaxOpenFiles-running))] {
		t.mu.Lock()
		t.running = true
		t.mu.Unlock()
		s.r.group.Go(func() { t.run(ctx) })
	}
}

// look sums up what the scan saw, for the progress report.
func (s *scanner) look(now time.Time) {
	view := progressView{at: now, files: len(s.tails), through: now}
	for _, t := range s.tails {
		t.mu.Lock()
		// Less than nothing is behind where the file was truncated, or read on since the scan.
		behind := t.size - t.state.Offset - t.partial
		if behind == 0 && len(t.state.Pending) == 0 {
			if now.After(t.through) {
				t.through = now
			}
		} else {
			view.backlog += max(behind, t.state.end()-t.state.Offset)
			if t.through.Before(view.through) {
				view.through = t.through
			}
		}
		t.mu.Unlock()
	}
	for _, before := range s.seen {
		if before.Before(view.through) {
			view.through = before
		}
	}
	s.mu.Lock()
	s.view = view
	s.mu.Unlock()
}

func (s *scanner) lastScan() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view.at
}

func (s *scanner) progress() progressView {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}
