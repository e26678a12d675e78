package websocketlogreceiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

var errKilled = errors.New("killed")

// killable is a pipeline that dies with the process: from then on nothing reaches the store, and before that the
// answer to what did may be lost.
type killable struct {
	*sink
	dead *atomic.Bool
	// random is only used under the sink's lock.
	random *rand.Rand
}

func (k killable) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if k.dead.Load() {
		return errKilled
	}
	k.mu.Lock()
	choice := k.random.IntN(10)
	k.mu.Unlock()
	if choice == 0 {
		return errors.New("unavailable")
	}
	err := k.sink.ConsumeLogs(ctx, ld)
	if err == nil && (choice == 1 || k.dead.Load()) {
		return errors.New("the answer was lost")
	}
	return err
}

// The receiver is killed at random while a log grows, and is rotated by renaming or by copying, whether it runs or
// not. Whatever happens, every line is stored exactly once.
func TestEveryLineIsStoredOnceWhateverIsKilled(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			g := newRig(t, func(c *Config) {
				c.Chunk.MaxRecords = eventsPerLine + 20
				c.DrainAfter = 30 * time.Millisecond
			})
			g.cfg.Include = []string{g.path("access.log*")}
			dead := &atomic.Bool{}
			g.tune = func(r *logReceiver) {
				r.next = killable{g.sink, dead, rand.New(rand.NewPCG(seed, 1))}
			}
			written, rotations := 0, 0
			act := func() {
				switch what := random.IntN(12); {
				case written == 0:
				case what == 0:
					rotations++
					require.NoError(t, os.Rename(g.path("access.log"), g.path(fmt.Sprintf("access.log.%d", rotations))))
				case what == 1:
					rotations++
					contents, err := os.ReadFile(g.path("access.log"))
					require.NoError(t, err)
					g.write(fmt.Sprintf("access.log.%d", rotations), string(contents))
					require.NoError(t, os.Truncate(g.path("access.log"), 0))
				}
				n := 1 + random.IntN(40)
				g.number("access.log", written+1, written+n)
				written += n
			}
			act()
			for range 10 {
				dead.Store(false)
				g.storage.recover()
				g.cfg.Chunk.MaxInFlight = 1 + random.IntN(5)
				g.start()
				for range random.IntN(12) {
					act()
					if random.IntN(2) == 0 {
						require.Eventually(t, g.scanned(), soon, often)
					}
				}
				// Nothing of what happens after this outlives the process.
				g.storage.kill()
				dead.Store(true)
				g.stop()
				for range random.IntN(3) {
					act()
				}
			}
			dead.Store(false)
			g.storage.recover()
			g.start()
			require.Eventually(t, func() bool { return len(g.sink.got()) >= written }, soon, often,
				"%d lines written", written)
			require.Eventually(t, func() bool { _, backlog := g.r.progress(); return backlog == 0 }, soon, often)
			times := map[string]int{}
			for _, id := range g.sink.got() {
				times[id]++
			}
			var wrong []string
			for _, id := range ids(1, written) {
				if times[id] != 1 {
					wrong = append(wrong, fmt.Sprintf("%s×%d", id, times[id]))
				}
			}
			require.Empty(t, wrong, "%d lines written, %d rotations", written, rotations)
		})
	}
}
