package websocketlogreceiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/sockeye-project/sockeye/internal/eventlog"
)

func TestLinesBecomeRecordsInTheirOrder(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.number("access.log", 1, 500)
	g.start()
	g.sink.eventually(t, ids(1, 500))
	g.number("access.log", 501, 600)
	g.sink.eventually(t, ids(1, 600))
	for id, records := range g.sink.chunks {
		require.IsIncreasing(t, records)
		require.Equal(t, []bool{false}, g.sink.sent[id])
	}
}

func TestAtTheFirstStartOnlyNewLinesAreRead(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.StartAt = startAtEnd })
	whole := line(2)
	g.write("access.log", line(1)+whole[:40])
	g.start()
	require.Eventually(t, func() bool { return g.tails() == 1 }, soon, often)
	g.write("access.log", whole[40:]+line(3))
	g.sink.eventually(t, ids(2, 3))
	g.stop()

	// What is written while the receiver is down is read, and so are files that are new since.
	g.number("access.log", 4, 5)
	g.start()
	g.sink.eventually(t, ids(2, 5))
}

func (g *rig) tails() int {
	g.r.scanner.mu.Lock()
	defer g.r.scanner.mu.Unlock()
	if g.r.scanner.view.at.IsZero() {
		return -1
	}
	return g.r.scanner.view.files
}

func TestALastLineWithoutABreakWaits(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	whole := line(2)
	g.write("access.log", line(1)+whole[:50])
	g.start()
	g.sink.eventually(t, ids(1, 1))
	g.write("access.log", whole[50:100])
	g.write("access.log", whole[100:])
	g.sink.eventually(t, ids(1, 2))
	require.Empty(t, g.logs.FilterMessage("line could not be read").All())
}

func TestRotationByRenamingLosesNothing(t *testing.T) {
	t.Parallel()
	for name, include := range map[string]string{
		"when the new name is not followed": "access.log",
		"when the new name is followed":     "access.log*",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(c *Config) { c.DrainAfter = 300 * time.Millisecond })
			g.cfg.Include = []string{g.path(include)}
			g.number("access.log", 1, 10)
			g.start()
			g.sink.eventually(t, ids(1, 10))
			require.NoError(t, os.Rename(g.path("access.log"), g.path("access.log.1")))
			// The writer has not reopened its log yet; its last line has no break.
			g.write("access.log.1", lines(11, 12)+strings.TrimSuffix(line(13), "\n"))
			g.sink.eventually(t, ids(1, 13))
			g.number("access.log", 14, 20)
			g.sink.eventually(t, ids(1, 20))
		})
	}
}

func TestRotationWhileTheReceiverIsDownLosesNothing(t *testing.T) {
	t.Parallel()
	for name, include := range map[string]string{
		"when the new name is not followed": "access.log",
		"when the new name is followed":     "access.log*",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, nil)
			g.cfg.Include = []string{g.path(include)}
			g.number("access.log", 1, 10)
			g.start()
			g.sink.eventually(t, ids(1, 10))
			g.stop()
			g.number("access.log", 11, 12)
			require.NoError(t, os.Rename(g.path("access.log"), g.path("access.log.1")))
			g.number("access.log", 13, 14)
			g.start()
			require.Eventually(t, func() bool { return len(g.sink.got()) >= 14 }, soon, often)
			require.ElementsMatch(t, ids(1, 14), g.sink.got())
		})
	}
}

func TestATruncatedFileIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.number("access.log", 1, 10)
	g.start()
	g.sink.eventually(t, ids(1, 10))
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	g.number("access.log", 11, 12)
	g.sink.eventually(t, ids(1, 12))
	// The same beginning again, and more of it than before: only the generation tells the chunks apart.
	require.NoError(t, os.WriteFile(g.path("access.log"), []byte(lines(13, 40)), 0o600))
	g.sink.eventually(t, append(ids(1, 12), ids(13, 40)...))
}

func TestTheSameContentsAfterATruncationAreNewRecords(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.number("access.log", 1, 3)
	g.start()
	g.sink.eventually(t, ids(1, 3))
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	require.Eventually(t, func() bool { return g.logs.FilterMessageSnippet("truncated").Len() > 0 }, soon, often)
	g.number("access.log", 1, 3)
	g.sink.eventually(t, append(ids(1, 3), ids(1, 3)...))
}

func TestRotationByCopyingReadsEveryLineOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.cfg.Include = []string{g.path("access.log*")}
	block := make(chan struct{})
	g.number("access.log", 1, 20)
	g.start()
	g.sink.eventually(t, ids(1, 20))
	g.sink.set(func(ctx context.Context, _ eventlog.Chunk) error {
		select {
		case <-block:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	// One chunk is on its way and one is only in the file when it is copied and truncated.
	g.number("access.log", 21, 25)
	require.Eventually(t, func() bool { return g.sink.called() >= 2 }, soon, often)
	g.number("access.log", 26, 30)
	contents, err := os.ReadFile(g.path("access.log"))
	require.NoError(t, err)
	half := len(contents) / 2
	g.write("access.log.1", string(contents[:half]))
	require.Eventually(t, g.scanned(), soon, often)
	g.write("access.log.1", string(contents[half:]))
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	g.number("access.log", 31, 35)
	require.Eventually(t, g.scanned(), soon, often)
	close(block)
	require.Eventually(t, func() bool { return len(g.sink.got()) >= 35 }, soon, often)
	require.ElementsMatch(t, ids(1, 35), g.sink.got())
}

// scanned returns a condition that holds once a whole scan has begun and ended after the call.
func (g *rig) scanned() func() bool {
	view := func() time.Time { return g.r.scanner.progress().at }
	start := view()
	var first time.Time
	return func() bool {
		now := view()
		if first.IsZero() && now.After(start) {
			first = now
		}
		return !first.IsZero() && now.After(first)
	}
}

func TestFilesThatAppearLaterAreReadWholly(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.StartAt = startAtEnd })
	g.cfg.Include = []string{g.path("*.log"), filepath.Join(g.dir, "*", "*.log")}
	g.cfg.Exclude = []string{g.path("debug.log")}
	g.start()
	require.Eventually(t, g.scanned(), soon, often)
	require.NoError(t, os.Mkdir(g.path("sub"), 0o700))
	g.number("debug.log", 100, 110)
	g.number("a.log", 1, 3)
	g.sink.eventually(t, ids(1, 3))
	g.number(filepath.Join("sub", "b.log"), 4, 6)
	g.sink.eventually(t, ids(1, 6))
}

func TestARemovedFileIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	blocked := make(chan struct{})
	g.sink.set(func(context.Context, eventlog.Chunk) error { <-blocked; return nil })
	g.number("access.log", 1, 5)
	g.start()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	g.number("access.log", 6, 10)
	require.NoError(t, os.Remove(g.path("access.log")))
	close(blocked)
	g.sink.eventually(t, ids(1, 10))
	require.Eventually(t, func() bool { return g.tails() == 0 }, soon, often, "it is forgotten in the end")
}

func TestMoreFilesThanPlacesAreReadInTurn(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.MaxOpenFiles = 2; c.DrainAfter = 10 * time.Millisecond })
	g.cfg.Include = []string{g.path("*.log")}
	for n := range 9 {
		g.number(string(rune('a'+n))+".log", 10*n, 10*n+9)
	}
	g.start()
	require.Eventually(t, func() bool { return len(g.sink.got()) >= 90 }, soon, often)
	require.ElementsMatch(t, ids(0, 89), g.sink.got())
	g.number("c.log", 90, 94)
	g.number("h.log", 95, 99)
	require.Eventually(t, func() bool { return len(g.sink.got()) >= 100 }, soon, often)
	require.ElementsMatch(t, ids(0, 99), g.sink.got())
	require.Equal(t, 1, g.logs.FilterMessageSnippet("max_open_files").Len())
}

func TestARefusedChunkIsSentAgainAsItWas(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"for now":  errors.New("unavailable"),
		"for good": consumererror.NewPermanent(errors.New("no such table")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, nil)
			g.sink.mutate = true
			g.sink.set(func(context.Context, eventlog.Chunk) error { return err })
			g.number("access.log", 1, 20)
			g.start()
			require.Eventually(t, func() bool { return g.sink.called() > 5 }, soon, often)
			require.Equal(t, 1, g.logs.FilterMessageSnippet("the pipeline refuses a chunk").Len(), "logged once")
			g.sink.set(nil)
			g.sink.eventually(t, ids(1, 20))
			require.Eventually(t, func() bool {
				return g.logs.FilterMessageSnippet("no chunk waits").Len() == 1
			}, soon, often)
		})
	}
}

func TestShutdownWithABlockedPipelineIsPrompt(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	g.sink.set(func(ctx context.Context, _ eventlog.Chunk) error { <-ctx.Done(); return ctx.Err() })
	g.number("access.log", 1, 20)
	g.start()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	began := time.Now()
	g.stop()
	require.Less(t, time.Since(began), 2*time.Second)
	g.sink.set(nil)
	g.start()
	g.sink.eventually(t, ids(1, 20))
}

func TestShutdownWithAPipelineThatIgnoresItsContextEndsWithItsOwn(t *testing.T) {
	t.Parallel()
	g := newRig(t, nil)
	release := make(chan struct{})
	g.sink.set(func(context.Context, eventlog.Chunk) error { <-release; return nil })
	g.number("access.log", 1, 2)
	g.start()
	require.Eventually(t, func() bool { return g.sink.called() == 1 }, soon, often)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := g.r
	g.r = nil
	require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
	close(release)
	r.group.Wait()
}
