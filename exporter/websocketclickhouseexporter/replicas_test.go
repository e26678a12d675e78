package websocketclickhouseexporter

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replica is a host in front of an engine that others are in front of too: what one was sent, all know, as replicas do.
type replica struct {
	*httptest.Server
	readOnly atomic.Bool
	inserts  atomic.Int64
	dsn      string
}

func startReplica(t *testing.T, dsn string) *replica {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: u.Host})
	r := &replica{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Query().Get("query"), "INSERT INTO events") {
			if r.readOnly.Load() {
				_, _ = io.Copy(io.Discard, req.Body)
				w.Header().Set("X-ClickHouse-Exception-Code", "242")
				http.Error(w, "Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)", http.StatusInternalServerError)
				return
			}
			r.inserts.Add(1)
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	r.dsn = r.URL + u.Path
	return r
}

func (r *replica) die() {
	r.CloseClientConnections()
	r.Close()
}

// A replica that dies, or answers and takes no writes, is passed over, and what was sent to both is stored once.
func testAReplicaStandsInForAnother(t *testing.T) {
	t.Parallel()
	for name, shards := range map[string]bool{"of one shard": false, "of each shard": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := httpDatabase(t)
			first, second := startReplica(t, dsn), startReplica(t, dsn)
			endpoint := first.dsn + "," + second.dsn
			configure := func(*Config) {}
			other := ""
			if shards {
				other = httpDatabase(t)
				endpoint = ""
				configure = func(cfg *Config) { cfg.Shards = [][]string{{first.dsn, second.dsn}, {other}} }
			}
			e := start(t, endpoint, configure)
			const chunks, size = 6, 10
			send := func(from, to int) {
				for i := from; i < to; i++ {
					id := string(rune('a' + i))
					require.NoError(t, e.ConsumeLogs(t.Context(), named(id, opens(i*size, size)...)))
				}
			}
			send(0, 2)
			require.Positive(t, first.inserts.Load())
			require.Zero(t, second.inserts.Load(), "the first is asked while it answers")

			first.readOnly.Store(true)
			send(0, 4)
			require.Positive(t, second.inserts.Load())
			first.readOnly.Store(false)
			before := first.inserts.Load()
			send(2, 4)
			require.Equal(t, before, first.inserts.Load(), "the one that works is kept")

			second.die()
			send(0, chunks)
			require.Greater(t, first.inserts.Load(), before)

			total := 0
			for _, dsn := range []string{dsn, other} {
				if dsn == "" {
					continue
				}
				s := open(t, dsn)
				n := number(t, s, "SELECT count() FROM events")
				require.Positive(t, n)
				requireStored(t, s, n)
				total += n
			}
			require.Equal(t, chunks*size, total)
			require.Eventually(t, func() bool {
				return e.log.FilterMessageSnippet("ClickHouse can be used again").Len() > 0
			}, time.Minute, time.Millisecond)
		})
	}
}
