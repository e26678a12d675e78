package websocketlogreceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// perChunk is how many lines a chunk has in these tests, where the file has enough.
const perChunk = 7

// newFlightRig has a file of so many whole chunks, and a pipeline that holds them back.
func newFlightRig(t *testing.T, chunks int, change func(*Config)) (*rig, *gate) {
	g := newRig(t, func(c *Config) {
		c.Chunk.MaxRecords, c.Chunk.MaxInFlight = eventsPerLine+perChunk-1, 4
		if change != nil {
			change(c)
		}
	})
	if chunks > 0 {
		g.number("access.log", 1, chunks*perChunk)
	}
	return g, g.gate()
}

// gate puts a new gate before the sink of receivers that start from now on.
func (g *rig) gate() *gate {
	p := newGate(g.sink)
	g.tune = func(r *logReceiver) { r.next = p }
	return p
}

// firsts are the first records of these chunks, counted from 1.
func firsts(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, id((n-1)*perChunk+1))
	}
	return list
}

// stored is the state of the only file in the storage.
func (g *rig) stored() (s fileState) {
	g.t.Helper()
	g.storage.mu.Lock()
	defer g.storage.mu.Unlock()
	for key, value := range g.storage.values {
		if strings.HasPrefix(key, filePrefix) {
			require.NoError(g.t, json.Unmarshal(value, &s))
		}
	}
	return s
}

// spanOf is the length of the lines of these chunks.
func spanOf(first, last int) int64 {
	return int64(len(lines((first-1)*perChunk+1, last*perChunk)))
}

func TestAcknowledgementsInAnyOrderMoveTheOffsetOverThePrefixOnly(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 8, nil)
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
	for _, n := range []int{3, 4, 2} {
		p.decide(t, accepted, firsts(n, n)[0])
	}
	require.Eventually(t, func() bool { return len(g.sink.got()) == 3*perChunk }, soon, often)
	require.Eventually(t, func() bool {
		s := g.stored()
		return s.Offset == 0 && len(s.Pending) == 4 && !s.Pending[0].Done &&
			s.Pending[1].Done && s.Pending[2].Done && s.Pending[3].Done
	}, soon, often, "what is done is stored though no chunk comes after it")
	require.Eventually(t, g.scanned(), soon, often)
	require.Equal(t, firsts(1, 1), p.holding(), "no more than four have been sent")
	through, backlog := g.r.progress()
	require.True(t, through.IsZero())
	require.EqualValues(t, spanOf(1, 8), backlog)

	p.decide(t, accepted, firsts(1, 1)[0])
	require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
	require.Equal(t, firsts(5, 8), p.holding())
	require.Equal(t, spanOf(1, 4), g.stored().Offset)
	require.EqualValues(t, 4*perChunk, g.stored().Lines)
	require.Eventually(t, func() bool {
		through, backlog := g.r.progress()
		return through.Equal(base.Add(timeOf(4*perChunk))) && backlog == spanOf(5, 8)
	}, soon, often)
	p.open()
	g.sink.eventually(t, ids(1, 8*perChunk))
	require.Eventually(t, func() bool {
		s := g.stored()
		return s.Offset == spanOf(1, 8) && len(s.Pending) == 0
	}, soon, often, "an idle file's offset is stored")
}

// The receiver dies with four chunks on their way, each in every state that it can be in, once before the storage has
// learned of the acknowledgements and once after.
func TestChunksOnTheirWayKeepTheirBoundsOverACrash(t *testing.T) {
	t.Parallel()
	verdicts := []verdict{accepted, unanswered, ""}
	for combination := range 3 * 3 * 3 * 3 {
		var fates [4]verdict
		for i, rest := 0, combination; i < len(fates); i, rest = i+1, rest/3 {
			fates[i] = verdicts[rest%3]
		}
		flushed := combination%2 == 0
		t.Run(fmt.Sprintf("%q flushed %v", fates, flushed), func(t *testing.T) {
			t.Parallel()
			g, p := newFlightRig(t, 6, nil)
			g.start()
			require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
			require.Equal(t, firsts(1, 4), p.holding())
			before := g.stored()
			require.Len(t, before.Pending, 4)
			if !flushed {
				g.storage.kill()
			}
			order := rand.New(rand.NewPCG(uint64(combination), 0)).Perm(4)
			kept, acknowledged := 0, map[string]bool{}
			for _, i := range order {
				if fates[i] != "" {
					p.decide(t, fates[i], firsts(i+1, i+1)[0])
					kept++
				}
				if fates[i] == accepted {
					acknowledged[before.Pending[i].ID] = true
				}
			}
			require.Eventually(t, func() bool { return len(g.sink.got()) == kept*perChunk }, soon, often)
			learned := func() (n int) {
				s := g.stored()
				for _, b := range before.Pending {
					i := slices.IndexFunc(s.Pending, func(c bounds) bool { return c.ID == b.ID })
					if i < 0 || s.Pending[i].Done {
						n++
					}
				}
				return n
			}
			if flushed {
				require.Eventually(t, func() bool { return learned() == len(acknowledged) }, soon, often)
				g.storage.kill()
			}
			g.stop()
			g.storage.recover()
			g.number("access.log", 6*perChunk+1, 6*perChunk+3)
			g.tune = nil
			g.start()
			g.sink.eventually(t, ids(1, 6*perChunk+3))
			// Those that were read after an acknowledgement had their bounds stored too.
			for _, b := range before.Pending {
				sent := g.sink.sent[b.ID]
				require.Len(t, g.sink.chunks[b.ID], perChunk)
				if flushed && acknowledged[b.ID] {
					require.Len(t, sent, 1, "known to be stored")
					continue
				}
				require.True(t, sent[len(sent)-1], "a repetition says so")
			}
		})
	}
}

// The process dies with the n-th write to the storage, before or after it, for every n.
func TestACrashAtEveryWriteLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const chunks = 9
	for n := range chunks + 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			g, _ := newFlightRig(t, chunks, nil)
			dead := &atomic.Bool{}
			g.tune = func(r *logReceiver) {
				r.next = killable{g.sink, dead, rand.New(rand.NewPCG(uint64(n), 2))}
			}
			// The first two are the installation key and the list of files.
			g.storage.wrote = func(writes int) error {
				if writes < n+2 {
					return nil
				}
				dead.Store(true)
				return errKilled
			}
			g.start()
			require.Eventually(t, func() bool {
				return dead.Load() || len(g.sink.got()) == chunks*perChunk
			}, soon, often)
			g.storage.kill()
			dead.Store(true)
			g.stop()
			g.storage.wrote = nil
			g.storage.recover()
			dead.Store(false)
			g.start()
			g.sink.eventually(t, ids(1, chunks*perChunk))
		})
	}
}

func TestWhileOneChunkIsRefusedThoseBehindItAreStoredAndNoMoreAreRead(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 12, nil)
	g.start()
	p.decide(t, accepted, firsts(1, 1)[0])
	for range 3 {
		p.decide(t, refused, firsts(2, 2)[0])
	}
	for n := 3; n <= 5; n++ {
		p.decide(t, accepted, firsts(n, n)[0])
	}
	p.decide(t, refused, firsts(2, 2)[0])
	require.Eventually(t, g.scanned(), soon, often)
	require.Eventually(t, func() bool { return slices.Equal(p.holding(), firsts(2, 2)) }, soon, often)
	require.Len(t, g.sink.got(), 4*perChunk)
	require.True(t, g.r.budget.TryAcquire(budgetOf(g.cfg)-budgetStep), "only the refused chunk holds memory")
	g.r.budget.Release(budgetOf(g.cfg) - budgetStep)
	p.open()
	g.sink.eventually(t, ids(1, 12*perChunk))
	require.Equal(t, []bool{true}, g.sink.sent[g.sink.chunkOf(firsts(2, 2)[0])])
	require.Equal(t, []bool{false}, g.sink.sent[g.sink.chunkOf(firsts(3, 3)[0])])
	require.Eventually(t, func() bool { return g.r.budget.TryAcquire(budgetOf(g.cfg)) }, soon, often)
	g.r.budget.Release(budgetOf(g.cfg))
}

// chunkOf is the id of the chunk with this record.
func (s *sink) chunkOf(record string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, records := range s.chunks {
		if slices.Contains(records, record) {
			return id
		}
	}
	return ""
}

func TestAFileThatIsTruncatedKeepsTheChunksOnTheirWay(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 4, nil)
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	g.number("access.log", 101, 103)
	// The new contents wait for the old: both would be under one offset.
	p.decide(t, accepted, firsts(4, 4)[0])
	p.decide(t, refused, firsts(2, 2)[0])
	p.decide(t, accepted, firsts(1, 1)[0])
	require.Eventually(t, g.scanned(), soon, often)
	require.Zero(t, g.logs.FilterMessageSnippet("truncated").Len())
	p.open()
	g.sink.eventually(t, append(ids(1, 4*perChunk), ids(101, 103)...))
	require.EqualValues(t, 0, g.metric("otelcol_receiver_websocketlog_lost_bytes"))
}

// A truncated file is smaller than what was read of it, which is no reason to think that all of it is stored.
func TestProgressWaitsForTheChunksOfATruncatedFile(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 4, nil)
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
	p.decide(t, accepted, firsts(1, 1)[0])
	require.Eventually(t, func() bool { return g.stored().Offset > 0 }, soon, often)
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	require.Eventually(t, g.scanned(), soon, often)
	through, backlog := g.r.progress()
	require.Equal(t, base.Add(timeOf(perChunk)), through.UTC())
	require.EqualValues(t, spanOf(2, 4), backlog)
	p.open()
	require.Eventually(t, func() bool {
		through, backlog := g.r.progress()
		return through.After(base.Add(timeOf(4*perChunk))) && backlog == 0
	}, soon, often)
}

func TestProgressWaitsForAFileThatWasTruncatedWhileTheCollectorWasDown(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 3, nil)
	p.open()
	g.start()
	g.sink.eventually(t, ids(1, 3*perChunk))
	g.stop()
	require.NoError(t, os.Truncate(g.path("access.log"), 0))
	g.number("access.log", 101, 100+perChunk)
	p = g.gate()
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 1 }, soon, often)
	require.Eventually(t, g.scanned(), soon, often)
	through, backlog := g.r.progress()
	require.True(t, through.IsZero(), through)
	require.Positive(t, backlog)
	p.open()
	require.Eventually(t, func() bool {
		through, backlog := g.r.progress()
		return !through.IsZero() && backlog == 0
	}, soon, often)
}

func TestRotationWithChunksOnTheirWayReadsEveryLineOnce(t *testing.T) {
	t.Parallel()
	for rotation, rotate := range map[string]func(*rig){
		"by renaming": func(g *rig) {
			require.NoError(g.t, os.Rename(g.path("access.log"), g.path("access.log.1")))
		},
		"by copying": func(g *rig) {
			contents, err := os.ReadFile(g.path("access.log"))
			require.NoError(g.t, err)
			g.write("access.log.1", string(contents))
			require.NoError(g.t, os.Truncate(g.path("access.log"), 0))
		},
	} {
		for crash, point := range map[string]int{"without a crash": 0, "before a crash": 1, "after a crash": 2} {
			t.Run(rotation+" "+crash, func(t *testing.T) {
				t.Parallel()
				g, p := newFlightRig(t, 6, nil)
				g.cfg.Include = []string{g.path("access.log*")}
				g.start()
				require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
				p.decide(t, accepted, firsts(3, 3)[0])
				p.decide(t, unanswered, firsts(2, 2)[0])
				kill := func() {
					g.storage.kill()
					g.stop()
					g.storage.recover()
				}
				if point == 2 {
					kill()
				}
				rotate(g)
				g.number("access.log", 101, 100+2*perChunk)
				if point == 0 {
					// Stopped, so that what is known is stored.
					g.stop()
				} else if point == 1 {
					require.Eventually(t, g.scanned(), soon, often)
					kill()
				}
				g.tune = nil
				g.start()
				g.sink.eventually(t, append(ids(1, 6*perChunk), ids(101, 100+2*perChunk)...))
			})
		}
	}
}

func TestShutdownWithChunksOnTheirWayIsPromptAndStoresWhatIsKnown(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 6, func(c *Config) { c.Chunk.MaxAge = time.Hour })
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 4 }, soon, often)
	p.decide(t, accepted, firsts(2, 2)[0])
	p.decide(t, accepted, firsts(1, 1)[0])
	require.Eventually(t, func() bool { return slices.Equal(p.holding(), firsts(3, 6)) }, soon, often)
	p.decide(t, accepted, firsts(3, 3)[0])
	require.Eventually(t, func() bool { return len(g.sink.got()) == 3*perChunk }, soon, often)
	began := time.Now()
	g.stop()
	require.Less(t, time.Since(began), 2*time.Second)
	require.Len(t, g.stored().Pending, 3)
	require.Equal(t, spanOf(1, 3), g.stored().Offset)
	g.tune = nil
	g.start()
	g.sink.eventually(t, ids(1, 6*perChunk))
}

func TestManyFilesShareOneBudget(t *testing.T) {
	t.Parallel()
	const files = 12
	g, p := newFlightRig(t, 0, func(c *Config) {
		c.Chunk.MaxBytes, c.MaxLineBytes = 64<<10, 64<<10
	})
	g.cfg.Include = []string{g.path("*.log")}
	for n := range files {
		g.number(fmt.Sprintf("%d.log", n), 1000*n, 1000*n+8*perChunk-1)
	}
	g.start()
	places := int(budgetOf(g.cfg) / budgetStep)
	require.Equal(t, 2, places)
	require.Eventually(t, func() bool { return len(p.holding()) == places }, soon, often)
	require.Eventually(t, g.scanned(), soon, often)
	require.Len(t, p.holding(), places, "what there is no memory for is not read")
	p.open()
	require.Eventually(t, func() bool { return len(g.sink.got()) == files*8*perChunk }, soon, often)
	require.Eventually(t, func() bool { return g.r.budget.TryAcquire(budgetOf(g.cfg)) }, soon, often)
	g.r.budget.Release(budgetOf(g.cfg))
}

func TestAChunkCostsOneWrite(t *testing.T) {
	t.Parallel()
	const chunks = 200
	g, _ := newFlightRig(t, chunks, func(c *Config) { c.Chunk.MaxAge = time.Hour })
	g.tune = nil
	g.start()
	g.sink.eventually(t, ids(1, chunks*perChunk))
	g.storage.mu.Lock()
	defer g.storage.mu.Unlock()
	// The installation key and the list of files besides.
	require.Less(t, g.storage.writes, chunks+10)
}

func TestAPushedChunkIsCalledRepeatedIfItsSenderMayRepeatIt(t *testing.T) {
	t.Parallel()
	g := newPushRig(t, nil)
	g.start()
	require.Equal(t, http.StatusOK, g.send([]byte(line(1))).status)
	require.Equal(t, http.StatusOK, g.send([]byte(line(2)), "Idempotency-Key", "k").status)
	require.Equal(t, []bool{false}, g.sink.sent[g.sink.chunkOf(id(1))])
	require.Equal(t, []bool{true}, g.sink.sent[g.sink.chunkOf(id(2))])
}

func TestOnlyThePrefixOfAcknowledgedChunksCounts(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return base.Add(timeOf(n)) }
	pending := []bounds{{ID: "a", End: 10, Lines: 1}, {ID: "b", Start: 10, End: 30, Lines: 2},
		{ID: "c", Start: 30, End: 60, Lines: 3}}
	s := fileState{Lines: 5, Pending: pending}
	require.True(t, s.acknowledge("b", at(2)).IsZero())
	require.True(t, s.acknowledge("unknown", at(9)).IsZero())
	require.EqualValues(t, 0, s.Offset)
	require.Equal(t, at(2), s.acknowledge("a", at(1)))
	require.EqualValues(t, 30, s.Offset)
	require.EqualValues(t, 8, s.Lines)
	require.EqualValues(t, 60, s.end())
	s.Lines = -1
	require.Equal(t, at(1), s.acknowledge("c", at(1)), "a time may be earlier than one before it")
	require.EqualValues(t, 60, s.Offset)
	require.EqualValues(t, -1, s.Lines)
	require.Empty(t, s.Pending)
	require.False(t, pending[0].Done, "copies of the state keep what they have")
}

// A retry reads its lines with a parser of its own, beside that of the file.
func TestRetriesDoNotDisturbTheFileThatIsReadOn(t *testing.T) {
	t.Parallel()
	g, _ := newFlightRig(t, 60, nil)
	g.sink.mutate = true
	var n atomic.Int64
	g.tune = nil
	g.sink.set(func(context.Context, eventlog.Chunk) error {
		if n.Add(1)%3 != 0 {
			return errors.New("unavailable")
		}
		return nil
	})
	g.start()
	g.sink.eventually(t, ids(1, 60*perChunk))
	for _, records := range g.sink.chunks {
		require.IsIncreasing(t, records)
	}
	var c chunk
	c.raw = bytes.NewBufferString(lines(1, 3))
	logs := c.again(g.r.newAssembler(g.r.options))
	require.Equal(t, 3, logs.LogRecordCount())
}

func TestLineNumbersGoOnFromChunkToChunk(t *testing.T) {
	t.Parallel()
	g, p := newFlightRig(t, 2, nil)
	g.write("access.log", "broken\n")
	g.number("access.log", 3*perChunk, 3*perChunk)
	g.start()
	require.Eventually(t, func() bool { return len(p.holding()) == 3 }, soon, often)
	report := func() any {
		all := g.logs.FilterMessage("line could not be read").All()
		require.Len(t, all, 1)
		return all[0].ContextMap()["line"]
	}
	require.EqualValues(t, 2*perChunk+1, report())
	// The same from the storage, with one of three chunks known to be stored.
	p.decide(t, accepted, firsts(2, 2)[0])
	require.Eventually(t, func() bool { return len(g.sink.got()) == perChunk }, soon, often)
	g.stop()
	g.tune = nil
	g.start()
	g.sink.eventually(t, append(ids(1, 2*perChunk), id(3*perChunk)))
	require.EqualValues(t, 2*perChunk+1, report())
}
