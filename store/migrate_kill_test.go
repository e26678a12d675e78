package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// migrateEnv holds the endpoint that this program, started by a test, migrates.
const migrateEnv = "SOCKEYE_TEST_MIGRATE"

// migrateAlone is what a collector does at its start.
func migrateAlone(dsn string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := store.Open(ctx, dsn, store.Options{})
	if err == nil {
		_, err = s.Migrate(ctx)
		_ = s.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var changes = regexp.MustCompile(`^\s*(CREATE|ALTER|INSERT)\b`)

// runner is a program that migrates through a proxy, and dies by SIGKILL at its nth statement that changes something:
// before the engine gets it, or when the engine has run it and the program does not know yet.
type runner struct {
	cmd     *exec.Cmd
	started chan struct{} // closed when cmd has a process
	stderr  bytes.Buffer
	killed  atomic.Bool
}

func (r *runner) run() error {
	if err := r.cmd.Start(); err != nil {
		return err
	}
	close(r.started)
	return r.cmd.Wait()
}

func startRunner(t *testing.T, dsn string, at int, after bool) *runner {
	t.Helper()
	target, err := url.Parse(dsn)
	require.NoError(t, err)
	engine := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	r := &runner{started: make(chan struct{})}
	var statements atomic.Int64
	kill := func() {
		r.killed.Store(true)
		<-r.started
		_ = r.cmd.Process.Kill()
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil || r.killed.Load() {
			panic(http.ErrAbortHandler)
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		last := (changes.Match(body) || changes.MatchString(request.URL.Query().Get("query"))) && int(statements.Add(1)) == at
		if last && !after {
			kill()
			panic(http.ErrAbortHandler)
		}
		if last {
			engine.ServeHTTP(httptest.NewRecorder(), request)
			kill()
			panic(http.ErrAbortHandler)
		}
		engine.ServeHTTP(w, request)
	}))
	t.Cleanup(proxy.Close)
	through := *target
	through.Host = proxy.Listener.Addr().String()
	self, err := os.Executable()
	require.NoError(t, err)
	r.cmd = exec.Command(self)
	r.cmd.Env = append(os.Environ(), migrateEnv+"="+through.String())
	r.cmd.Stderr = &r.stderr
	return r
}

// Eight collectors start at once on an empty engine, and seven of them are killed, each at another step.
func TestRunnersThatAreKilledLeaveWhatOthersComplete(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]int{"early": 1, "late": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, _ := embeddedtest.Databases(t) // over HTTP, whose requests the runner counts
			runners := make([]*runner, 8)
			for i := range runners {
				at := first + 4*i
				if i == len(runners)-1 {
					at = 0 // never
				}
				runners[i] = startRunner(t, dsn, at, i%2 == 0)
			}
			errs := make([]error, len(runners))
			var wait sync.WaitGroup
			for i, r := range runners {
				wait.Go(func() { errs[i] = r.run() })
			}
			wait.Wait()
			dead := 0
			for i, r := range runners {
				if !r.killed.Load() {
					require.NoError(t, errs[i], "runner %d: %s", i, &r.stderr)
					continue
				}
				dead++
				var exit *exec.ExitError
				require.True(t, errors.As(errs[i], &exit), "runner %d: %v", i, errs[i])
				require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
			}
			// Who comes late finds migrations applied, and has fewer statements to die at.
			require.NotZero(t, dead)
			requireWhole(t, dsn)
		})
	}
}

// All are killed, so that the next finds a migration that nobody completed.
func TestWhatNobodyCompletedIsCompletedNextTime(t *testing.T) {
	t.Parallel()
	dsn, _ := embeddedtest.Databases(t) // over HTTP, whose requests the runner counts
	for i, at := range []int{2, 5, 9, 13, 16, 3, 4} {
		r := startRunner(t, dsn, at, i%2 == 1)
		require.Error(t, r.run(), &r.stderr)
		require.True(t, r.killed.Load(), &r.stderr)
	}
	requireWhole(t, dsn)
}

// requireWhole migrates once more, and requires what a database has that was made without disturbance.
func requireWhole(t *testing.T, dsn string) {
	t.Helper()
	tables := func(dsn string) (s *store.Store, list []string) {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		_, err = s.Migrate(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Conn().QueryRow(t.Context(), "SELECT groupArray(create_table_query) FROM (SELECT create_table_query"+
			" FROM system.tables WHERE database = currentDatabase() ORDER BY name)").Scan(&list))
		for i := range list {
			list[i] = strings.ReplaceAll(list[i], s.Database()+".", "")
		}
		return s, list
	}
	_, want := tables(embeddedtest.Database(t))
	s, got := tables(dsn)
	require.Equal(t, want, got)
	status, err := s.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.Zero(t, status.Pending())
	insert(t, s, "a", events(1, 100))
	insert(t, s, "a", events(1, 100))
	requireCounts(t, s, events(1, 100))
}
