package integration

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// held is what a program holds at one moment.
type held struct {
	bytes                      int64
	files, threads, goroutines int64
}

// holds reads what the program holds; its goroutines only if it serves its profiles at pprof.
func (p *program) holds(pprof string) (h held) {
	h.bytes = p.residentBytes()
	pid := strconv.Itoa(p.cmd.Process.Pid)
	for dir, n := range map[string]*int64{"fd": &h.files, "task": &h.threads} {
		entries, err := os.ReadDir(filepath.Join("/proc", pid, dir))
		require.NoError(p.t, err)
		*n = int64(len(entries))
	}
	if pprof == "" {
		return h
	}
	resp, err := http.Get("http://" + pprof + "/debug/pprof/goroutine?debug=1")
	require.NoError(p.t, err)
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	require.NoError(p.t, err)
	total := regexp.MustCompile(`total (\d+)`).FindSubmatch(head)
	require.NotNil(p.t, total, string(head))
	h.goroutines, err = strconv.ParseInt(string(total[1]), 10, 64)
	require.NoError(p.t, err)
	return h
}

// usual is the median of each of what was held.
func usual(samples []held) (h held) {
	median := func(of func(held) int64) int64 {
		var all []int64
		for _, s := range samples {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	h.bytes = median(func(h held) int64 { return h.bytes })
	h.files = median(func(h held) int64 { return h.files })
	h.threads = median(func(h held) int64 { return h.threads })
	h.goroutines = median(func(h held) int64 { return h.goroutines })
	return h
}

func greatestBytes(samples []held) int64 {
	return slices.MaxFunc(samples, func(a, b held) int { return cmp.Compare(a.bytes, b.bytes) }).bytes
}

// TestSoakHoldsNoMoreAfterAWhile runs a steady load, with the log rotated in each fifth of the time, and compares what the
// collector and the engine hold in the last fifth with the second: medians, since a chunk is as large as the collector
// waited long for a processor, and the engine has as many files open as it merges.
func TestSoakHoldsNoMoreAfterAWhile(t *testing.T) {
	text := os.Getenv("SOCKEYE_SOAK")
	if text == "" {
		t.Skip("a soak takes minutes, and less says nothing about memory: SOCKEYE_SOAK=5m runs it")
	}
	duration, err := time.ParseDuration(text)
	require.NoError(t, err)
	perSecond := 10_000
	if text := os.Getenv("SOCKEYE_SOAK_LINES"); text != "" {
		perSecond, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	engine := startClickHouse(t)
	dir, pprof := t.TempDir(), testenv.Address(t)
	logPath := filepath.Join(dir, "access.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer func() { log.Close() }()
	config := fmt.Sprintf(pipelineConfig, dir, logPath, engine.dsn())
	config = strings.Replace(config, "extensions:\n", "extensions:\n  pprof: {endpoint: "+pprof+"}\n", 1)
	config = strings.Replace(config, "extensions: [file_storage]", "extensions: [file_storage, pprof]", 1)
	if os.Getenv("SOCKEYE_SOAK_EVERYTHING") != "" {
		config = everything(t, config)
	}
	collector := start(t, nil, binary(t), "--config", configFile(t, config))
	collector.listening(pprof)

	const phases = 5
	var collected, stored [phases][]held
	lines, began := 0, time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for phase := range phases {
		sampled := time.Now()
		for end := began.Add(duration * time.Duration(phase+1) / phases); time.Now().Before(end); <-tick.C {
			var b strings.Builder
			// As many as are due: a tick may come late.
			for due := int(time.Since(began).Seconds() * float64(perSecond)); lines < due; lines++ {
				b.WriteString(accessLine(lines, time.Now()))
			}
			_, err := log.WriteString(b.String())
			require.NoError(t, err)
			if time.Since(sampled) >= time.Second {
				sampled = time.Now()
				collected[phase] = append(collected[phase], collector.holds(pprof))
				stored[phase] = append(stored[phase], engine.holds(""))
			}
		}
		c, e := usual(collected[phase]), usual(stored[phase])
		t.Logf("until %s: %d lines, %d stored; collector %d MiB (at most %d), %d files, %d goroutines; "+
			"engine %d MiB (at most %d), %d files, %d threads", time.Since(began).Round(time.Second), lines,
			number(engine.addr, "SELECT count() FROM events WHERE event = 'websocket.open'"),
			c.bytes>>20, greatestBytes(collected[phase])>>20, c.files, c.goroutines,
			e.bytes>>20, greatestBytes(stored[phase])>>20, e.files, e.threads)
		require.NoError(t, os.Rename(logPath, logPath+".1"))
		log.Close()
		log, err = os.Create(logPath)
		require.NoError(t, err)
	}
	requireEachLineOnce(t, engine.addr, lines)
	for name, samples := range map[string][phases][]held{"collector": collected, "engine": stored} {
		early, late := usual(samples[1]), usual(samples[phases-1])
		require.LessOrEqual(t, late.bytes, early.bytes+early.bytes/10, "%s: resident memory", name)
		// The engine's pool keeps as many as were once busy at the same time.
		require.LessOrEqual(t, late.threads, early.threads+early.threads/4, "%s: threads", name)
		require.LessOrEqual(t, late.goroutines, early.goroutines+2, "%s: goroutines", name)
		if name == "collector" {
			require.LessOrEqual(t, late.files, early.files+2, "%s: open files", name)
		}
	}
}
