// Package burn proves that the burn rates which Sockeye computes are the true ones, for sources that say what happened
// only when it is over, and for what arrives late. Histories with a known truth go the way of real ones: lines of
// nginx, its parser, the store and the engine's own query. It tests no files, pipelines or alerts; test/integration does.
package burn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

const (
	// budget is that of the objective below. A looser one than is shipped, so that a window of five minutes holds
	// rejections enough to be measured.
	objective = "99"
	budget    = 0.01
	trueBurn  = 0.5
	// refused is the true share of attempts that are rejected.
	refused = trueBurn * budget

	meanConnection = 4 * time.Hour
	chunkRecords   = 50_000
)

// attempt is one line of nginx: when it was written and how long the request took, both to the millisecond as nginx
// has them, and whether the handshake was refused.
type attempt struct {
	written, took int64
	refused       bool
}

// steady draws what nginx writes from begin until end about a service in its steady state: clients arrive at random,
// a fixed share of them is refused at once, and the others stay as long as people do: about four hours, some for
// minutes and some for days. Of connections from before begin it has the end, as the log of a running service has. From
// outage on, everybody is refused.
func steady(seed uint64, begin, outage, end time.Time, perSecond float64) []attempt {
	random := rand.New(rand.NewPCG(seed, 4))
	// Log-normal with σ = 1: half of the connections are shorter than 2.4 h, one in 2,600 than five minutes.
	mu := math.Log(meanConnection.Seconds()) - 0.5
	from, to := begin.UnixMilli(), end.UnixMilli()
	// So long before begin that nobody from before that is still there.
	arrival := float64(begin.Add(-10 * 24 * time.Hour).UnixMilli())
	var log []attempt
	for {
		arrival += random.ExpFloat64() * 1000 / perSecond
		at := int64(arrival)
		if at >= to {
			break
		}
		a := attempt{refused: at >= outage.UnixMilli() || random.Float64() < refused}
		if a.refused {
			a.took = 1 + random.Int64N(20)
		} else {
			a.took = int64(1000 * math.Exp(mu+random.NormFloat64()))
		}
		if a.written = at + a.took; a.written >= from && a.written < to {
			log = append(log, a)
		}
	}
	sort.SliceStable(log, func(i, j int) bool { return log[i].written < log[j].written })
	return log
}

// appendLine writes the line as examples/nginx.log_format.conf makes nginx do.
func appendLine(line []byte, n int, a attempt) []byte {
	status, handshake := 101, "0.004"
	if a.refused {
		status, handshake = 503, "-"
	}
	return fmt.Appendf(line, `{"time":"%s","msec":%d.%03d,"request_id":"%032x","connection":%d,`+
		`"remote_addr":"203.0.113.7","remote_port":"34916","request_method":"GET","scheme":"https","host":"chat.example.test",`+
		`"request_uri":"/rooms/42","server_protocol":"HTTP/1.1","status":%d,"body_bytes_sent":60,"request_time":%d.%03d,`+
		`"upstream_header_time":"%s","http_upgrade":"websocket","http_user_agent":"test","sent_http_sec_websocket_protocol":""}`,
		time.UnixMilli(a.written).UTC().Format(time.RFC3339), a.written/1000, a.written%1000, n, n, status, a.took/1000,
		a.took%1000, handshake)
}

// newParser returns nginx's parser for a service.
func newParser(t testing.TB, service string) *nginx.Parser {
	t.Helper()
	p, err := nginx.New(source.Settings{
		ConnectionKey: make([]byte, 32),
		Resource:      event.NewResource(event.Named{Name: event.ServiceName, Value: event.String(service)}),
	}, nginx.Options{})
	require.NoError(t, err)
	return p
}

// load stores what the parser makes of the lines, in chunks, and returns how many events those are.
func load(t testing.TB, s *store.Store, service, token string, log []attempt) (events int) {
	t.Helper()
	parser, rows, line := newParser(t, service), new(store.Rows), []byte(nil)
	chunk := 0
	flush := func() {
		events += rows.Len()
		require.NoError(t, s.InsertChunk(t.Context(), fmt.Sprintf("%s-%d", token, chunk), rows))
		rows.Reset()
		chunk++
	}
	for i, a := range log {
		line = appendLine(line[:0], i, a)
		require.NoError(t, parser.Parse(line, rows.Append))
		if rows.Len() >= chunkRecords-1 {
			flush()
		}
	}
	flush()
	return events
}

func open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), embeddedtest.Database(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	return s
}

// success is the SLO on connection success that ships, for a service and with the objective of these tests.
func success(t testing.TB, service string) slo.SLO {
	t.Helper()
	for _, document := range slo.DefaultSources() {
		if !strings.HasSuffix(document.Name, "/connection-success.yaml") {
			continue
		}
		text := strings.NewReplacer("service: example", "service: "+service, "sockeye/alerts: ticket", "sockeye/alerts: page",
			"targetPercent: 99.9", "targetPercent: "+objective).Replace(string(document.Data))
		slos, err := slo.Parse(slo.Source{Name: document.Name, Data: []byte(text)})
		require.NoError(t, err)
		require.Len(t, slos, 1)
		require.InDelta(t, budget, slos[0].Budget().Float64(), 1e-12)
		return slos[0]
	}
	t.Fatal("no document for connection-success")
	return slo.SLO{}
}

// counts asks the store as the SLO engine does.
func counts(t testing.TB, s *store.Store, objective slo.SLO, asof time.Time) slo.Counts {
	t.Helper()
	query := slo.Plan([]slo.SLO{objective}, asof, slo.Timing{})
	require.Equal(t, asof.Unix(), query.AsOf.Unix())
	rows, err := s.Conn().Query(t.Context(), query.SQL)
	require.NoError(t, err)
	defer rows.Close()
	found, err := query.Read(rows)
	require.NoError(t, err)
	return found[0]
}

// truth counts lines by the time they were written.
type truth struct {
	written []int64
	bad     []uint64 // of the lines before each
}

func truthOf(log []attempt) truth {
	tr := truth{bad: make([]uint64, 1, len(log)+1)}
	for i, a := range log {
		tr.written = append(tr.written, a.written)
		tr.bad = append(tr.bad, tr.bad[i])
		if a.refused {
			tr.bad[i+1]++
		}
	}
	return tr
}

func (tr truth) count(asof time.Time, w time.Duration) (bad, total uint64) {
	from, _ := slices.BinarySearch(tr.written, asof.Add(-w).UnixMilli())
	to, _ := slices.BinarySearch(tr.written, asof.UnixMilli())
	return tr.bad[to] - tr.bad[from], uint64(to - from)
}

// sample adds up windows.
type sample struct{ bad, judged, windows uint64 }

func (s sample) burn() float64 { return float64(s.bad) / float64(s.judged) / budget }

// sigma is the standard deviation of burn, where each of judged attempts is refused independently.
func (s sample) sigma() float64 { return math.Sqrt(refused*(1-refused)/float64(s.judged)) / budget }

// A service whose connections last four hours and which burns half of its budget, seen by nginx, which logs a rejection
// at once and a success when the connection ends.
func TestBurnOfLongConnectionsIsTheTrueOne(t *testing.T) {
	t.Parallel()
	s := open(t)
	// Three days and a day of evaluations, so that the longest window is full at each of them.
	perSecond, step := 0.5, 5*time.Minute
	if testing.Short() {
		perSecond, step = 0.25, 15*time.Minute
	}
	const evaluated = 24 * time.Hour
	end := time.Now().UTC().Truncate(time.Hour)
	outage := end.Add(-time.Hour)
	first := outage.Add(-evaluated)
	log := steady(1, first.Add(-3*24*time.Hour), outage, end, perSecond)
	tr := truthOf(log)
	began := time.Now()
	events := load(t, s, "chat", "history", log)
	t.Logf("%d lines of nginx, %d events, stored in %v", len(log), events, time.Since(began).Round(time.Millisecond))
	objective := success(t, "chat")

	// Every window at every evaluation is exactly what was written in it, and no alert fires. Windows that do not overlap
	// are added up, so that the short ones are measured as well as the long ones.
	samples := map[string]*sample{}
	evaluations := 0
	for asof := first.Add(step); !asof.After(outage); asof = asof.Add(step) {
		found := counts(t, s, objective, asof)
		evaluations++
		for _, w := range found.Windows {
			bad, total := tr.count(asof, w.Length)
			require.Equal(t, total, w.Judged, "%s as of %s", w.Name, asof)
			require.Equal(t, total, w.Total, "%s as of %s", w.Name, asof)
			require.Equal(t, bad, w.Judged-w.Good, "%s as of %s", w.Name, asof)
			if outage.Sub(asof)%w.Length != 0 {
				continue
			}
			if samples[w.Name] == nil {
				samples[w.Name] = &sample{}
			}
			one := samples[w.Name]
			one.bad, one.judged, one.windows = one.bad+bad, one.judged+total, one.windows+1
		}
		status := slo.Evaluate(&objective, asof, found, true)
		require.Equal(t, slo.StateOK, status.State, "as of %s", asof)
	}
	naive := bucketedByTime(t, s, outage)
	t.Logf("true burn %v, %d evaluations; naive: by the time of the open, as known at each full hour", trueBurn, evaluations)
	t.Log("window  windows  attempts   burn    ±4σ    naive")
	for i, w := range slo.BurnWindows() {
		got := samples[w.Name]
		require.NotNil(t, got, w.Name)
		t.Logf("%-6s %8d %9d  %5.3f  %5.3f  %7.2f", w.Name, got.windows, got.judged, got.burn(), 4*got.sigma(), naive[i].burn())
		require.InDelta(t, trueBurn, got.burn(), 4*got.sigma(), w.Name)
		require.Less(t, 4*got.sigma(), trueBurn, "%s holds too little to say anything", w.Name)
	}

	// The counter-example: the rejections of the last minutes are known, hardly any of the successes.
	require.Equal(t, "5m", slo.BurnWindows()[0].Name)
	require.Greater(t, naive[0].burn(), 20*trueBurn)
	t.Logf("naive bucketing: 5m burn %.1f, %.0f times the true one", naive[0].burn(), naive[0].burn()/trueBurn)

	// An outage is seen at once too, though not at its full height: connections from before it go on ending well.
	asof := outage
	for ; asof.Before(end); asof = asof.Add(time.Minute) {
		if slo.Evaluate(&objective, asof, counts(t, s, objective, asof), true).Severity == slo.SeverityPage {
			break
		}
	}
	// 14.4 % of an hour's attempts: x / (60 + x) minutes, where a source that logs at open has x / 60.
	require.InDelta(t, 10.1, asof.Sub(outage).Minutes(), 3, "an outage pages")
	status := slo.Evaluate(&objective, end, counts(t, s, objective, end), true)
	hour := status.Windows[2]
	require.Equal(t, "1h", hour.Name)
	t.Logf("total outage: pages %v after it began; error ratio over its first hour %s %%", asof.Sub(outage), hour.ErrorRatio.Percent(1))
	require.InDelta(t, 0.5, hour.ErrorRatio.Float64(), 0.05)
}

// bucketedByTime is what must not be done: at each full hour of the last day, it counts what is known by then by when the
// handshake took place. It returns the windows, added up over the hours.
func bucketedByTime(t testing.TB, s *store.Store, last time.Time) []sample {
	t.Helper()
	windows := slo.BurnWindows()
	var sql strings.Builder
	sql.WriteString("SELECT ")
	for i, w := range windows {
		for j, name := range []event.Name{event.HandshakeRejected, event.Open} {
			if i+j > 0 {
				sql.WriteString(", ")
			}
			fmt.Fprintf(&sql, "countIf(event = '%s' AND time >= asof - %d)", name, int(w.Length.Seconds()))
		}
	}
	fmt.Fprintf(&sql, " FROM events ARRAY JOIN arrayMap(h -> toDateTime(%d - 3600 * h, 'UTC'), range(24)) AS asof "+
		"WHERE event IN ('%s', '%s') AND time < asof AND observed < asof",
		last.Unix(), event.HandshakeRejected, event.Open)
	found := make([]uint64, 2*len(windows))
	var into []any
	for i := range found {
		into = append(into, &found[i])
	}
	require.NoError(t, s.Conn().QueryRow(t.Context(), sql.String()).Scan(into...))
	sums := make([]sample, len(windows))
	for i := range sums {
		sums[i] = sample{bad: found[2*i], judged: found[2*i] + found[2*i+1], windows: 24}
	}
	return sums
}
