package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/dashboards"
	"github.com/sockeye-project/sockeye/dashboards/dashboardstest"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/query"
)

func (m *month) questions(ctx context.Context) ([]question, error) {
	all, err := m.named(ctx)
	if err != nil {
		return nil, err
	}
	slos, err := m.slos()
	if err != nil {
		return nil, err
	}
	panels, err := m.panels()
	return slices.Concat(all, slos, panels), err
}

// service is one of the busy ones, the one of the incident.
const service = "s07"

// named are the questions of `sockeye query`, each over the hour that it asks about by default, over the seven days that events
// are kept by default, and over all.
func (m *month) named(ctx context.Context) ([]question, error) {
	// A client and a connection that are there in each of them.
	values := map[string]string{
		query.Until: m.end().Format(time.DateTime), query.At: m.end().Format(time.DateTime), query.Limit: "20",
		query.Declared: "['" + service + ".example.com/ws/*']",
	}
	var client, connection string
	err := m.db.Conn().QueryRow(ctx, "SELECT any(client_hash), any(connection_id) FROM events "+
		"WHERE service = ? AND event = 'websocket.open' AND counted_at >= ? AND counted_at < ?",
		service, m.end().Add(-time.Hour), m.end()).Scan(&client, &connection)
	if err != nil {
		return nil, err
	}
	values[query.Client], values[query.Connection] = client, connection
	var questions []question
	for _, since := range []struct {
		name string
		ago  time.Duration
	}{{"an hour", time.Hour}, {"7 days", 7 * 24 * time.Hour}, {"30 days", 30 * 24 * time.Hour}} {
		for _, q := range query.All() {
			if !q.Has(query.Since) && since.ago > time.Hour {
				continue
			}
			of := maps.Clone(values)
			of[query.Since] = m.end().Add(-since.ago).Format(time.DateTime)
			questions = append(questions, question{
				group: "Questions about " + since.name + ":", name: "`" + q.Name + "`", limit: limitOf(q.SQL),
				ask: func(ctx context.Context) error {
					_, err := q.Run(ctx, m.db.Conn(), of)
					return err
				},
			})
		}
	}
	return questions, nil
}

// services are those of the population.
func services() (names []string) {
	for i := range 20 {
		names = append(names, fmt.Sprintf("s%02d", i))
	}
	return names
}

// slos are what the SLO engine asks: a tick over all indicators that ship, of all services, by each of its statements; and what it asks
// about one SLO of each indicator.
func (m *month) slos() ([]question, error) {
	documents, err := slo.Parse(slo.DefaultSources()...)
	if err != nil {
		return nil, err
	}
	set := slo.DefaultSettings{Services: services()}
	for _, s := range documents {
		set.Indicators = append(set.Indicators, s.Name)
	}
	all, err := slo.Defaults(set)
	if err != nil {
		return nil, err
	}
	count := func(l *slo.Ledger) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := l.Count(ctx, m.end(), m.ask)
			return err
		}
	}
	const group = "SLOs, over windows of 5 minutes to 30 days:"
	ledger := slo.NewLedger(all, slo.Timing{})
	questions := []question{
		{group: group, name: fmt.Sprintf("the first tick of %d SLOs, all its statements", len(all)), limit: ofTick, ask: func(ctx context.Context) error {
			return count(slo.NewLedger(all, slo.Timing{}))(ctx)
		}},
		{group: group, name: "a tick that follows", limit: ofRollups, ask: count(ledger)},
	}
	statement := func(name, sql string, read func(slo.Rows) error) {
		if sql != "" {
			ask := func(ctx context.Context) error { return m.ask(ctx, sql, read) }
			questions = append(questions, question{group: group, name: name, limit: limitOf(sql), ask: ask})
		}
	}
	for i := range all {
		s := &all[i]
		if s.Service != service {
			continue
		}
		plan := slo.Plan([]slo.SLO{*s}, m.end(), slo.Timing{})
		statement("`slo explain "+s.Name+"`: its windows", plan.SQL, func(rows slo.Rows) error {
			_, err := plan.Read(rows)
			return err
		})
		statement("`slo explain "+s.Name+"`: what burned", slo.SelectBurned(s, m.end(), 5), drain)
		if s.Name == "connection-availability" {
			statement("status page: bad events by the minute", slo.SelectMinutes(s, m.end().Add(-3*time.Hour), m.end()), drain)
			statement("incident of 3 days: since when", slo.SelectMinutes(s, m.end().Add(-3*24*time.Hour), m.end()), drain)
			statement("status page: the budget", slo.SelectSpending(s, m.end(), 240), drain)
			statement("status page: deploys", slo.SelectDeploys(services(), m.end(), 50), drain)
			statement("status page: incidents", slo.SelectIncidents("", "", m.end().Add(-slo.RecentWithin), 50), drain)
			statement("status page: events", slo.SelectRecentEvents(nil, m.end(), 50), drain)
			statement("`slo history`: what was reported",
				slo.SelectReported(s.Service, s.Name, m.end().Add(-7*24*time.Hour)), drain)
			statement("engine's start: the last statuses", slo.SelectLatest(m.end().Add(-24*time.Hour)), drain)
			statement("engine's start: the last events", slo.SelectLastEvents(), drain)
		}
	}
	return questions, nil
}

// drain reads an answer to its end.
func drain(rows slo.Rows) error {
	for rows.Next() {
	}
	return rows.Err()
}

// ask runs a statement as the SLO engine does.
func (m *month) ask(ctx context.Context, sql string, read func(slo.Rows) error) error {
	settings := clickhouse.WithSettings(clickhouse.Settings{"max_query_size": 256 << 20})
	rows, err := m.db.Conn().Query(clickhouse.Context(ctx, settings), sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	return read(rows)
}

// panels are the panels of the dashboards and what their variables ask, each over its board's usual range.
func (m *month) panels() ([]question, error) {
	boards, err := dashboards.Boards(dashboards.ClickHouse, nil)
	if err != nil {
		return nil, err
	}
	all := []string{dashboardstest.All}
	values := map[string][]string{
		"service": {service}, "region": all, "tenant": all, "instance": all, "slo": {"connection-availability"}, "spent": {"100"},
		"seen_connections": {"edge"}, "seen_auth": {"app"}, "seen_messages": {"app"}, "seen_gauges": {"app"},
	}
	statements, err := dashboardstest.Statements(boards, m.end(), values)
	if err != nil {
		return nil, err
	}
	var questions []question
	for _, s := range statements {
		questions = append(questions, question{
			group: "Dashboards, over their usual range:", board: s.Board, name: s.Name, limit: limitOf(s.SQL),
			ask: func(ctx context.Context) error { return m.ask(ctx, s.SQL, drain) },
		})
	}
	return questions, nil
}
