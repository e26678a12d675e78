package dashboards_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/dashboards/dashboardstest"
	"github.com/sockeye-project/sockeye/internal/golden"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// frame is what a query returned.
type frame struct {
	Meta []struct{ Name, Type string }
	Data [][]any
	// named says that the text of a row is the name of its series already.
	named bool
}

func (f *frame) names() (names []string) {
	for _, m := range f.Meta {
		names = append(names, m.Name)
	}
	return names
}

func boards(t testing.TB, d dashboards.Datasource) []*dashboards.Dashboard {
	t.Helper()
	all, err := dashboards.Boards(d, nil)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func panels(b *dashboards.Dashboard) (all []*dashboard.Panel) {
	for _, p := range b.Panels {
		if p.Panel != nil {
			all = append(all, p.Panel)
		}
	}
	return all
}

// expand fills a statement in as a panel shows it, or the board itself where there is no panel.
func expand(t testing.TB, sql string, b *dashboards.Dashboard, p *dashboard.Panel, values map[string][]string) string {
	t.Helper()
	v, err := dashboardstest.ViewOf(b, p, now, values)
	require.NoError(t, err)
	sql, err = dashboardstest.Expand(sql, v)
	require.NoError(t, err)
	return sql
}

func run(t testing.TB, dsn, sql string) frame {
	t.Helper()
	var f frame
	text := embeddedtest.Exec(t, dsn, sql+"\nFORMAT JSONCompact\nSETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_denormals = 1")
	require.NoError(t, json.Unmarshal([]byte(text), &f), "%s", text)
	return f
}

// Every query runs on the engine over a month of one service, returns what is declared, and is not empty. What it returned is drawn.
func TestEveryStatementRunsOnTheEngine(t *testing.T) {
	t.Parallel()
	dsn := history(t)
	t.Run("capacity", func(t *testing.T) { capacityIsThatOfTheDocument(t, dsn) })
	for _, b := range boards(t, dashboards.ClickHouse) {
		t.Run(*b.Uid, func(t *testing.T) {
			for _, v := range b.Templating.List {
				if v.Type != dashboard.VariableTypeQuery {
					continue
				}
				f := run(t, dsn, expand(t, *v.Query.String, b, nil, chosen))
				require.Len(t, f.Meta, 1, v.Name)
				require.NotEmpty(t, f.Data, v.Name)
				if *v.Hide == dashboard.VariableHideHideVariable {
					require.Equal(t, chosen[v.Name][0], f.Data[0][0], v.Name)
				}
			}
			for _, a := range b.Annotations.List {
				q := a.Target.(*dashboards.Query)
				f := run(t, dsn, expand(t, q.RawSQL, b, nil, chosen))
				require.Equal(t, q.Columns, f.names(), a.Name)
				v, err := dashboardstest.ViewOf(b, nil, now, chosen)
				require.NoError(t, err)
				if v.To.Sub(v.From) >= 6*time.Hour {
					require.NotEmpty(t, f.Data, a.Name)
				}
			}
			drawn := map[uint32]frame{}
			for _, p := range panels(b) {
				require.Len(t, p.Targets, 1)
				q := p.Targets[0].(*dashboards.Query)
				sql := expand(t, q.RawSQL, b, p, chosen)
				f := run(t, dsn, sql)
				require.Equal(t, q.Columns, f.names(), *p.Title)
				require.NotEmpty(t, f.Data, "%s: %s", *p.Title, sql)
				if q.Format == dashboards.FormatSeries {
					require.Regexp(t, `^DateTime`, f.Meta[0].Type, *p.Title)
				}
				drawn[*p.Id] = f
			}
			text, err := json.Marshal(b)
			require.NoError(t, err)
			picture, err := draw(text, drawn)
			require.NoError(t, err)
			golden.Assert(t, fmt.Sprintf("../docs/dashboards/%s.svg", *b.Uid), picture)
		})
		t.Run(*b.Uid+" of a service that nobody knows", func(t *testing.T) { nothingIsNoNumber(t, dsn, b) })
	}
}

// panelOf finds a panel of a board by its title.
func panelOf(t testing.TB, all []*dashboards.Dashboard, board, title string) (*dashboards.Dashboard, *dashboard.Panel) {
	t.Helper()
	for _, b := range all {
		for _, p := range panels(b) {
			if *b.Uid == board && *p.Title == title {
				return b, p
			}
		}
	}
	t.Fatalf("no panel %q in %s", title, board)
	return nil, nil
}

// withCapacity are SLOs of services whose documents say what they may hold.
func withCapacity(t testing.TB) []slo.SLO {
	t.Helper()
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat", `it's "a\b"`}})
	require.NoError(t, err)
	for i := range slos {
		slos[i].Capacity = 40_000
	}
	return slos
}

// capacityIsThatOfTheDocument: it wins over what instances report, which is 20,000 in all.
func capacityIsThatOfTheDocument(t *testing.T, dsn string) {
	documented, err := dashboards.Boards(dashboards.ClickHouse, withCapacity(t))
	require.NoError(t, err)
	value := func(all []*dashboards.Dashboard, title string) float64 {
		b, p := panelOf(t, all, "sockeye-executive", title)
		row := run(t, dsn, expand(t, p.Targets[0].(*dashboards.Query).RawSQL, b, p, chosen)).Data[0]
		v, ok := row[len(row)-1].(float64)
		require.True(t, ok, "%v", row)
		return v
	}
	usual := boards(t, dashboards.ClickHouse)
	require.InDelta(t, value(usual, "Capacity in use")/2, value(documented, "Capacity in use"), 1e-9)
	require.Greater(t, value(documented, "Days until full"), value(usual, "Days until full"))
	require.Equal(t, []float64{20_000, 40_000},
		[]float64{value(usual, "Connections and capacity"), value(documented, "Connections and capacity")})
}

// nothingIsNoNumber: no query fails, and only a count is a number, where nothing is known.
func nothingIsNoNumber(t *testing.T, dsn string, b *dashboards.Dashboard) {
	empty := maps.Clone(chosen)
	empty["service"] = []string{"nobody"}
	for _, p := range panels(b) {
		f := run(t, dsn, expand(t, p.Targets[0].(*dashboards.Query).RawSQL, b, p, empty))
		if p.Type != "stat" || strings.HasPrefix(*p.Title, "Age of") {
			continue
		}
		for _, row := range f.Data {
			counts := *p.FieldConfig.Defaults.Unit == "short"
			require.True(t, row[0] == nil || counts && row[0] == 0.0, "%s: %v", *p.Title, row[0])
		}
	}
}
