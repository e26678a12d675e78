package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"
)

// BenchmarkSlothRound is a round of evaluations of the rules that Sloth writes, one SLO for each of the ten tenants of a service,
// by Prometheus's own engine: the SLOs of BenchmarkSLOTick in extension/sloextension. Between rounds a minute of
// traffic is scraped.
//
// The history is what the rules read and no more: the counters of the 3 days of their longest window of counters, once a
// minute, and the recorded ratio that the window of 30 days is the mean of.
func BenchmarkSlothRound(b *testing.B) {
	sloths, err := os.ReadFile("testdata/sloth.rules.yaml")
	require.NoError(b, err)
	_, groups, ok := strings.Cut(string(sloths), "groups:\n")
	require.True(b, ok)
	const services, tenants = 100, 10
	p := newProm(b, func(o *tsdb.Options) { o.WALSegmentSize = -1 })
	now := begin
	var scraped, recorded []*series
	for i := range services * tenants {
		service, tenant := fmt.Sprintf("s%d", i/tenants), fmt.Sprintf("t%d", i%tenants)
		of := func(event, outcome, fault string) *series {
			return &series{of: labels.FromStrings("__name__", "websocket_events_total", "service_name", service, "tenant", tenant,
				"websocket_vantage", "edge", "event_name", event, "event_outcome", outcome, "websocket_fault", fault)}
		}
		scraped = append(scraped, of("websocket.open", "success", ""), of("websocket.handshake.rejected", "failure", "server"))
		name := fmt.Sprintf("connection-availability-%d", i)
		recorded = append(recorded, &series{of: labels.FromStrings("__name__", "slo:sli_error:ratio_rate5m", "sloth_id", service+"-"+name,
			"sloth_service", service, "sloth_slo", name, "sloth_window", "5m")})
	}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // traffic
	scrape := func(app storage.Appender) {
		for i, s := range scraped {
			switch {
			case i%2 == 0:
				s.value += 1000 + float64(rng.IntN(10))
			case rng.IntN(10) == 0:
				s.value++
			}
			s.append(b, app, now)
		}
	}
	const history, counters = 30 * 24 * 60, 3*24*60 + 10
	for minute := range history {
		now = now.Add(time.Minute)
		app := p.db.Appender(b.Context())
		if history-minute <= counters {
			scrape(app)
		}
		if minute < history-1 {
			for _, s := range recorded {
				s.value = float64(rng.IntN(4)) / float64(5000+rng.IntN(50))
				s.append(b, app, now)
			}
		}
		require.NoError(b, app.Commit())
	}
	b.Logf("%.0f CPU-s for the history", used(b))
	p.db.DisableCompactions()
	require.NoError(b, p.db.Compact(context.Background()))

	for _, n := range []int{10, 100, 1_000} {
		b.Run(fmt.Sprintf("SLOs=%d", n), func(b *testing.B) {
			p.groups = nil
			all := "groups:\n"
			for i := range n {
				service, name := fmt.Sprintf("s%d", i/tenants), fmt.Sprintf("connection-availability-%d", i)
				all += strings.NewReplacer(
					`service_name="chat"`, fmt.Sprintf(`service_name=%q,tenant="t%d"`, service, i%tenants),
					"chat-connection-availability", service+"-"+name, "connection-availability", name,
					`sloth_service="chat"`, `sloth_service="`+service+`"`, "sloth_service: chat", "sloth_service: "+service,
				).Replace(groups)
			}
			p.load(all)
			round := func() float64 {
				now = now.Add(time.Minute)
				app := p.db.Appender(b.Context())
				scrape(app)
				require.NoError(b, app.Commit())
				before := used(b)
				require.Empty(b, p.evaluate(now))
				return used(b) - before
			}
			first := round()
			round() // groups stand beside each other: what one records, another may read in the next round
			last := fmt.Sprintf(`slo:period_error_budget_remaining:ratio{sloth_slo="connection-availability-%d"}`, n-1)
			left, there := p.query(last, now)
			require.True(b, there, "the rules record what is left of the budget")
			require.InDelta(b, 0.7, left, 0.1)
			var rounds, total float64
			for b.Loop() {
				total, rounds = total+round(), rounds+1
			}
			b.ReportMetric(first, "first-cpu-s")
			b.ReportMetric(total/rounds, "cpu-s/round")
		})
	}
}

// series is one that samples are appended to.
type series struct {
	of    labels.Labels
	ref   storage.SeriesRef
	value float64
}

func (s *series) append(tb testing.TB, app storage.Appender, at time.Time) {
	ref, err := app.Append(s.ref, s.of, at.UnixMilli(), s.value)
	require.NoError(tb, err)
	s.ref = ref
}

// used is the processor time of this process, in seconds.
func used(tb testing.TB) float64 {
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
