// Package oracle compares what Sockeye decides with what others decide from the same series: Prometheus's own engine, and
// the rules that Sloth writes.
package oracle

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// prom is a Prometheus without its clock.
type prom struct {
	t      testing.TB
	db     *teststorage.TestStorage
	engine *promql.Engine
	groups []*rules.Group
}

func newProm(t testing.TB, options ...teststorage.Option) *prom {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 100_000_000, Timeout: 10 * time.Minute, Parser: parser.NewParser(parser.Options{}),
		EnableAtModifier: true, EnableNegativeOffset: true, // as in the program
	})
	t.Cleanup(func() { engine.Close() }) //nolint:errcheck // a test's end
	return &prom{t: t, db: teststorage.New(t, options...), engine: engine}
}

// sample is one value of a series.
type sample struct {
	at    time.Time
	value float64
}

// add writes samples, in order of time, whichever series they are of.
func (p *prom) add(series map[string][]sample) {
	p.t.Helper()
	type one struct {
		of labels.Labels
		sample
	}
	var all []one
	for metric, samples := range series {
		of, err := parser.NewParser(parser.Options{}).ParseMetric(metric)
		require.NoError(p.t, err)
		for _, s := range samples {
			all = append(all, one{of, s})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return a.at.Compare(b.at) })
	app := p.db.Appender(context.Background())
	for i, s := range all {
		_, err := app.Append(0, s.of, s.at.UnixMilli(), s.value)
		require.NoError(p.t, err)
		if i%100_000 == 99_999 {
			require.NoError(p.t, app.Commit())
			app = p.db.Appender(context.Background())
		}
	}
	require.NoError(p.t, app.Commit())
}

// query is an instant query, whose answer is a sample at most.
func (p *prom) query(expr string, at time.Time) (float64, bool) {
	p.t.Helper()
	q, err := p.engine.NewInstantQuery(context.Background(), p.db, nil, expr, at)
	require.NoError(p.t, err, expr)
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	require.NoError(p.t, err, expr)
	if len(v) == 0 {
		return 0, false
	}
	require.Len(p.t, v, 1, expr)
	return v[0].F, true
}

// load reads a rule file.
func (p *prom) load(text string) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "rules.yaml")
	require.NoError(p.t, os.WriteFile(file, []byte(text), 0o600))
	manager := rules.NewManager(&rules.ManagerOptions{
		Context: context.Background(), Appendable: p.db, Queryable: p.db, QueryFunc: rules.EngineQueryFunc(p.engine, p.db),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	require.Empty(p.t, errs)
	for _, g := range groups {
		p.groups = append(p.groups, g)
	}
	// Prometheus evaluates groups beside each other. Records come first here, so that alerts see those of the same moment.
	slices.SortStableFunc(p.groups, func(a, b *rules.Group) int {
		return cmp.Or(cmp.Compare(len(a.AlertingRules()), len(b.AlertingRules())), strings.Compare(a.Name(), b.Name()))
	})
}

// evaluate evaluates all rules as of a moment, and returns the alerts that fire.
func (p *prom) evaluate(at time.Time) []labels.Labels {
	p.t.Helper()
	var firing []labels.Labels
	for _, g := range p.groups {
		g.Eval(context.Background(), at)
		for _, r := range g.Rules() {
			require.NoError(p.t, r.LastError(), r.Name())
		}
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					firing = append(firing, a.Labels)
				}
			}
		}
	}
	return firing
}

// beside loads the rules of SLOs and evaluates them at any moment of the minute, and has the engine count the SLOs by its SQL.
func (p *prom) beside(t testing.TB, s *store.Store, slos []slo.SLO, asof time.Time, random *rand.Rand,
) (counts []slo.Counts, at time.Time, fires func(one *slo.SLO, severity slo.Severity) bool) {
	t.Helper()
	file, notes := alerts.Prometheus(slos, alerts.Options{Metrics: slo.Buckets})
	require.Empty(t, notes)
	text, err := file.YAML()
	require.NoError(t, err)
	p.load(string(text))

	q := slo.Plan(slos, asof.Add(42*time.Second), slo.Timing{})
	answer, err := s.Conn().Query(context.Background(), q.SQL)
	require.NoError(t, err)
	counts, err = q.Read(answer)
	require.NoError(t, err)
	require.NoError(t, answer.Close())

	type alert struct{ service, slo, severity string }
	at = asof.Add(time.Duration(random.IntN(60_000)) * time.Millisecond)
	firing := map[alert]bool{}
	for _, l := range p.evaluate(at) {
		if l.Get("alertname") == alerts.Burn {
			firing[alert{l.Get("service"), l.Get("slo"), l.Get("severity")}] = true
		}
	}
	return counts, at, func(one *slo.SLO, severity slo.Severity) bool {
		return firing[alert{one.Service, one.Name, string(severity)}]
	}
}
