//go:build linux && amd64 && !noembedded

package embedded

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// The engine in this very process: Go keeps its own signals, so what Go recovers elsewhere it recovers here.
func TestSignalHandlersStayGos(t *testing.T) {
	if _, err := FindLibrary(""); err != nil {
		testenv.Missing(t, "libchdb", "run `make libchdb`")
	}
	e, err := openEngine(Settings{DataDir: t.TempDir()})
	require.NoError(t, err)
	defer e.close()
	rows, err := e.own("SELECT 1")
	require.NoError(t, err)
	require.Equal(t, [][]string{{"1"}}, rows)

	for range 3 {
		func() {
			defer func() { require.ErrorContains(t, recover().(error), "nil pointer dereference") }()
			var nothing *int
			*nothing = 1
		}()
		// Each connection could have taken the handlers back.
		c, err := e.acquire("", []setting{{"max_threads", "1"}})
		require.NoError(t, err)
		c.spoiled = true
		e.release(c)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	select {
	case <-signals:
	case <-time.After(10 * time.Second):
		t.Fatal("SIGTERM did not arrive")
	}
}

func TestExplainStart(t *testing.T) {
	for said, want := range map[string]string{
		"Code: 76. DB::Exception: Cannot lock file /d/status. Another server instance": "data directory /d: another " +
			"process has it open; stop that one or choose another with --data",
		"Cannot write: errno: 28, strerror: No space left on device": "data directory /d: no space left on the disk; " +
			"free some or choose another with --data",
		"Permission denied":   "data directory /d: cannot write; make it writable or choose another with --data",
		"":                    "data directory /d: the engine does not start: it gave no reason",
		"Code: 1. Odd.\nmore": "data directory /d: the engine does not start: Code: 1. Odd.",
	} {
		require.EqualError(t, explainStart("/d", said), want)
	}
}

func TestWhoWaitsTooLongForATurnIsTold(t *testing.T) {
	t.Parallel()
	turns := make(chan struct{}, 2)
	for range 2 {
		_, err := lane(t.Context(), turns, time.Minute)
		require.NoError(t, err)
	}
	_, err := lane(t.Context(), turns, time.Millisecond)
	require.EqualError(t, err, "Code: 202. DB::Exception: 2 others of this sort, inserts or not, run already and none has "+
		"ended for 1ms; try again later. (TOO_MANY_SIMULTANEOUS_QUERIES)")
	require.Equal(t, 503, asException(err).status())
	<-turns
	leave, err := lane(t.Context(), turns, time.Minute)
	require.NoError(t, err)
	leave()
}
