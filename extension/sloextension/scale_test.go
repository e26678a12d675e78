package sloextension

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// history is that of services whose ten tenants each have connections in every minute and, in one of ten, rejections.
type history struct {
	dsn      string
	process  *os.Process
	services int
	now      time.Time
}

// newHistory fills the minutes and the quarters of hours of so many days on an engine of its own.
func newHistory(tb testing.TB, services, days int) *history {
	engine := embeddedtest.StartIn(tb, tb.TempDir())
	h := &history{dsn: engine.URL + "/sockeye", process: engine.Process, services: services, now: time.Now().UTC().Truncate(time.Minute)}
	db, err := openStore(context.Background(), h.dsn)
	require.NoError(tb, err)
	require.NoError(tb, db.close())
	// Merging what arrives is no part of a tick, and what the store does meanwhile would be counted as one.
	for _, table := range []string{"rollup_1m", "rollup_15m"} {
		embeddedtest.Exec(tb, h.dsn, "SYSTEM STOP MERGES "+table)
	}
	for d := days; d > 0; d-- {
		h.fill(tb, h.now.Add(-time.Duration(d)*24*time.Hour), 24*60)
	}
	return h
}

// fill writes so many minutes.
func (h *history) fill(tb testing.TB, from time.Time, minutes int) {
	const columns = "(bucket, service, vantage, tenant, event, outcome, fault, count, judged)"
	perMinute := 10 * h.services
	rows := fmt.Sprintf(`SELECT toDateTime(%d) + 60 * intDiv(n, %d) AS at, concat('s', toString(n %% %d)) AS service, 'edge' AS vantage,
    concat('t', toString(intDiv(n, %d) %% 10)) AS tenant, if(bad, 'websocket.handshake.rejected', 'websocket.open') AS event,
    if(bad, 'failure', 'success') AS outcome, if(bad, 'server', '') AS fault, if(bad, 1, 1000 + n %% 10) AS c, c AS j
FROM (SELECT number AS n, arrayJoin([false, true]) AS bad FROM numbers(%d)) WHERE NOT bad OR cityHash64(n, %[1]d) %% 10 = 0`,
		from.Unix(), perMinute, h.services, h.services, perMinute*minutes)
	const settings = " SETTINGS optimize_on_insert = 0, max_block_size = 4000000, min_insert_block_size_rows = 4000000, min_insert_block_size_bytes = 0"
	embeddedtest.Exec(tb, h.dsn, "INSERT INTO rollup_1m "+columns+" "+rows+settings)
	embeddedtest.Exec(tb, h.dsn, "INSERT INTO rollup_15m "+columns+" SELECT toStartOfFifteenMinutes(at) AS b, service, vantage, tenant, event, "+
		"outcome, fault, sum(c), sum(j) FROM ("+rows+") GROUP BY b, service, vantage, tenant, event, outcome, fault"+settings)
}

// minute lets a minute pass, with its traffic, and the sources say so.
func (h *history) minute(tb testing.TB) {
	h.fill(tb, h.now, 1)
	h.now = h.now.Add(time.Minute)
	embeddedtest.Exec(tb, h.dsn, fmt.Sprintf("INSERT INTO source_progress VALUES ('edge', toDateTime64(%d, 9), 0, toDateTime64(%[1]d, 3))", h.now.Unix()))
}

// slos makes so many SLOs over the tenants, with several each beyond that. Mixed, a fifth of them counts events, a fifth
// good slices of a minute, a fifth the mean of slices of five, a fifth how many events a minute has, and a fifth is a composite.
func (h *history) slos(tb testing.TB, n int, mixed bool) []slo.SLO {
	var all []slo.SLO
	number := func(text string) slo.Number {
		n, err := slo.Decimal(text)
		require.NoError(tb, err)
		return n
	}
	for i := range n {
		group := i % (10 * h.services)
		defaults, err := slo.Defaults(slo.DefaultSettings{Services: []string{"s" + strconv.Itoa(group/10)}})
		require.NoError(tb, err)
		s := defaults[3]
		require.Equal(tb, "connection-availability", s.Name)
		s.Name = fmt.Sprintf("%s-%d", s.Name, i)
		tenant := slo.Filter{Dimension: "tenant", Values: []string{"t" + strconv.Itoa(group%10)}}
		narrow := func(selection slo.Selection) slo.Selection {
			var narrowed slo.Selection
			for _, term := range selection {
				term.Where = append([]slo.Filter{tenant}, term.Where...)
				narrowed = append(narrowed, term)
			}
			return narrowed
		}
		in := &s.Indicator
		in.Hit, in.Total, in.Unjudged = narrow(in.Hit), narrow(in.Total), narrow(in.Unjudged)
		if mixed {
			switch i % 5 {
			case 1:
				s.Budgeting = slo.Budgeting{Method: slo.Timeslices, Slice: time.Minute, SliceTarget: number("0.95")}
			case 2:
				s.Budgeting = slo.Budgeting{Method: slo.RatioTimeslices, Slice: 5 * time.Minute}
			case 3:
				in.Measure, in.Limit = slo.MeasureCount, slo.Limit{Op: slo.GreaterOrEqual, Value: number("1")}
				in.Hit, in.Unjudged, in.HitIsBad = nil, nil, false
			case 4:
				member := s
				s.Indicator, s.Combine = slo.Indicator{}, slo.CombineWeighted
				s.Members = []slo.Member{{SLO: member, Weight: number("3")}, {SLO: member, Weight: number("1")}}
			}
		}
		all = append(all, s)
	}
	return all
}

// engine is one over the history, at its time.
func (h *history) engine(tb testing.TB, slos []slo.SLO) *engine {
	telemetry, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(tb, err)
	e := &engine{
		slos: slos, ledger: slo.NewLedger(slos, slo.Timing{}), id: "scale", now: func() time.Time { return h.now }, logger: zap.NewNop(),
		telemetry: telemetry, book: newAlertBook(AlertingConfig{}),
		open: func(ctx context.Context) (database, error) { return openStore(ctx, h.dsn) },
	}
	tb.Cleanup(func() {
		if e.db != nil {
			_ = e.db.close()
		}
	})
	return e
}

// used is the processor time of this process and of the store's, in seconds.
func (h *history) used(tb testing.TB) (collector, store float64) {
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.process.Pid))
	require.NoError(tb, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseFloat(field, 64)
		require.NoError(tb, err)
		store += ticks / 100
	}
	return seconds(usage.Utime) + seconds(usage.Stime), store
}

// BenchmarkSLOTick is a whole tick of the engine against a store of its own: the watermark, the counts over eight windows of
// a history of 30 days, the statuses judged and written. Between ticks a minute of traffic arrives.
func BenchmarkSLOTick(b *testing.B) {
	h := newHistory(b, 100, 30)
	for _, shapes := range []string{"plain", "mixed"} {
		for _, n := range []int{10, 100, 1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/SLOs=%d", shapes, n), func(b *testing.B) { h.ticks(b, h.slos(b, n, shapes == "mixed")) })
		}
	}
}

func (h *history) ticks(b *testing.B, slos []slo.SLO) {
	e := h.engine(b, slos)
	// Where other work takes the processor, the store may not answer in time; what was counted stays.
	tick := func() (collector, store float64) {
		c, s := h.used(b)
		for range 40 {
			if e.step(b.Context()); e.trouble == "" {
				break
			}
		}
		require.Empty(b, e.trouble)
		collector, store = h.used(b)
		return collector - c, store - s
	}
	h.minute(b)
	c, s := tick()
	first := c + s
	require.Equal(b, slo.StateOK, e.statuses[len(slos)-1].State)
	var collector, store float64
	ticks := 0
	for b.Loop() {
		b.StopTimer()
		h.minute(b)
		b.StartTimer()
		c, s := tick()
		collector, store, ticks = collector+c, store+s, ticks+1
	}
	require.Equal(b, h.now, e.asof)
	b.ReportMetric(first, "first-cpu-s")
	b.ReportMetric(collector/float64(ticks), "collector-cpu-s/tick")
	b.ReportMetric(store/float64(ticks), "store-cpu-s/tick")
	b.ReportMetric((collector+store)/float64(ticks), "cpu-s/tick")
}
