package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/slo"
)

// TestRecordedSlicesAreThoseOfTheWindow: of scraped counters each slice is judged once and recorded. What windows add up of the
// records is what they would count if they judged all of their slices anew.
func TestRecordedSlicesAreThoseOfTheWindow(t *testing.T) {
	t.Parallel()
	slos, err := slo.Load("../../slo/testdata/valid/matrix.yaml")
	require.NoError(t, err)
	names := []string{"slices/99", "slices-of-bad", "means", "churn", "idle", "limits"}
	slos = slices.DeleteFunc(slos, func(s slo.SLO) bool { return !slices.Contains(names, s.Name) })
	require.Len(t, slos, len(names))
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // a test wants the same numbers again
	series, values := map[string][]sample{}, map[string]float64{}
	label := func(vantage, name, outcome string) string {
		return fmt.Sprintf(`websocket_events_total{service_name="chat",websocket_vantage=%q,event_name=%q,event_outcome=%q}`, vantage, name, outcome)
	}
	counters := []string{
		label("edge", "websocket.open", "success"), label("edge", "websocket.handshake.rejected", "failure"),
		label("edge", "websocket.rate_limited", "failure"), label("app", "websocket.close", "success"),
		label("app", "websocket.close", "failure"), label("app", "websocket.open", "success"),
	}
	const length = 150 * time.Minute
	for after := time.Duration(0); after <= length; after += scrape {
		at := begin.Add(after)
		quiet := after/(10*time.Minute)%4 == 3
		for _, c := range counters {
			if !quiet {
				values[c] += float64(random.IntN(60))
			}
			series[c] = append(series[c], sample{at, values[c]})
		}
		for i, metric := range []string{"active", "idle"} {
			of := `websocket_connections_` + metric + `{service_name="chat",websocket_vantage="app",service_instance_id="a"}`
			series[of] = append(series[of], sample{at, float64(100 - 60*i + random.IntN(20))})
		}
	}
	p := newProm(t)
	p.add(series)
	file, notes := alerts.Prometheus(slos, alerts.Options{RecordOnly: true})
	require.Empty(t, notes)
	file.Groups = file.Groups[:len(slos)] // without the symptoms
	text, err := file.YAML()
	require.NoError(t, err)
	p.load(string(text))
	at := begin
	for ; at.Before(begin.Add(length - time.Minute)); at = at.Add(time.Minute) {
		p.evaluate(at.Add(17 * time.Second))
	}
	at = at.Add(-43 * time.Second)
	for i := range slos {
		for _, window := range slo.BurnWindows()[:4] {
			if !needed(slos[i].Rules, window.Name) {
				continue
			}
			what := slos[i].Name + " over " + window.Name
			q, err := slos[i].PromQL(window.Length, slo.Counters, "")
			require.NoError(t, err)
			for record, expr := range map[string]string{alerts.RecordJudged: q.Judged, alerts.RecordBad: q.Bad} {
				want, _ := p.query(expr, at)
				got, known := p.query(fmt.Sprintf("%s%s{service=%q,slo=%q}", record, window.Name, slos[i].Service, slos[i].Name), at)
				require.True(t, known, what)
				require.Equal(t, want, got, what) //nolint:testifylint // bit for bit
				if record == alerts.RecordJudged {
					require.NotZero(t, got, what)
				}
			}
		}
	}
}
