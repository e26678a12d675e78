package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

// history creates the tables, if the exporter has not yet, and fills them with the past.
func (d *demo) history(ctx context.Context) error {
	db, err := store.Open(ctx, d.DSN, store.Options{})
	if err != nil {
		return err
	}
	d.db = db
	d.onStop(func() { db.Close() })
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	d.historyEnd = time.Now().Truncate(time.Minute)
	return writeHistory(ctx, db.Conn(), d.historyEnd, func(what string) { d.say("writing 30 days of history: %s", what) })
}

// incident lets clients in, breaks the identity provider, waits for the page, mends it and waits for the resolve.
func (d *demo) incident(ctx context.Context) error {
	d.clients = &clients{url: "ws://" + d.Listen + "/ws"}
	end := d.traffic(ctx)
	defer func() { end() }()
	d.say("%d clients are connecting, talking and leaving; burn windows are divided by 60: 1 h is 60 s, 5 m is 10 s",
		clientCount)

	if err := d.untilHealthy(ctx); err != nil {
		return err
	}
	d.say("all SLOs are computed and nothing fires; now the identity provider stops answering")
	d.idp.hanging.Store(true)
	faultAt := time.Now()
	if err := d.pager.until(ctx, pageLimit, "the page", func(_ int, paged bool) bool { return paged }); err != nil {
		return err
	}
	_, page, pagedAt := d.pager.state()
	d.say("PAGE after %.1f s: %s", pagedAt.Sub(faultAt).Seconds(), page.Annotations["summary"])
	d.idp.hanging.Store(false)
	mendedAt := time.Now()
	d.say("the identity provider answers again")
	quiet := func(firing int, _ bool) bool { return firing == 0 }
	if err := d.pager.until(ctx, resolveLimit, "the resolve", quiet); err != nil {
		return err
	}
	resolvedAfter := time.Since(mendedAt)
	d.say("resolved %.1f s after it was mended", resolvedAfter.Seconds())
	statuses, err := d.statuses(ctx)
	if err != nil {
		return err
	}
	end()
	counts, err := d.untilCounted(ctx)
	switch {
	case err != nil && d.Keep && ctx.Err() == nil: // there is still all of it to look at
		counts = fmt.Sprintf("  not compared: %v\n", err)
	case err != nil:
		return err
	}

	fmt.Fprintf(d.Out, "\nSLOs of the service %s (30 days; burn windows divided by 60)\n\n", serviceName)
	if err := slo.WriteTable(d.Out, statuses); err != nil {
		return err
	}
	fmt.Fprint(d.Out, "Tickets stay until the longer windows have forgotten the incident; the pages are resolved.\n")
	fmt.Fprintf(d.Out, "\nEvents since the clients came: what they and the application saw, and what is stored\n\n%s",
		counts)
	fmt.Fprintf(d.Out, "\nThe page, as it reached the pager\n\n%s", formatPage(page))
	fmt.Fprintf(d.Out, "\nFrom fault to page %.1f s, from mend to resolve %.1f s; all of it took %.0f s.\n",
		pagedAt.Sub(faultAt).Seconds(), resolvedAfter.Seconds(), time.Since(d.began).Seconds())
	if d.Keep {
		end = d.traffic(ctx)
		d.keep(ctx)
	}
	return nil
}

// traffic lets the clients in, until end is called, which waits until what they began is finished and reported. Where
// ctx ends, nobody counts any more, and nothing is waited for.
func (d *demo) traffic(ctx context.Context) (end func()) {
	traffic, stop := context.WithCancel(ctx)
	reporting, stopReporting := context.WithCancel(ctx)
	reporterDone, clientsDone := make(chan struct{}), make(chan struct{})
	go func() { d.report.run(ctx, reporting); close(reporterDone) }()
	go func() { d.clients.run(traffic, clientCount); close(clientsDone) }()
	finished := func(done chan struct{}) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	// The order matters: no event may be reported after the reporter's last push.
	return func() {
		stop()
		finished(clientsDone)
		stopReporting()
		finished(reporterDone)
	}
}

// statuses asks the SLO engine.
func (d *demo) statuses(ctx context.Context) ([]slo.Status, error) {
	body, err := get(ctx, "http://"+d.SLO+"/api/v1/slos")
	if err != nil {
		return nil, err
	}
	var answer struct {
		SLOs []slo.Status `json:"slos"`
	}
	return answer.SLOs, json.Unmarshal(body, &answer)
}

// untilHealthy waits until every SLO has live data and nothing fires.
func (d *demo) untilHealthy(ctx context.Context) error {
	return d.collector.until(ctx, 60*time.Second, func(ctx context.Context) error {
		if d.clients.opened.Load() < 100 {
			return fmt.Errorf("%d connections so far", d.clients.opened.Load())
		}
		statuses, err := d.statuses(ctx)
		if err != nil {
			return err
		}
		if len(statuses) == 0 {
			return fmt.Errorf("the engine has evaluated nothing yet")
		}
		for _, s := range statuses {
			if s.State == slo.StateNoData || s.State == slo.StateNoTraffic || s.Severity == slo.SeverityPage {
				return fmt.Errorf("%s is %s", s.SLO, s.State)
			}
		}
		return nil
	})
}

// counted compares what the clients saw with what the store holds.
type counted struct {
	what                       string
	seen, events, rollup, tier uint64
}

// untilCounted waits until the store holds what the clients saw.
func (d *demo) untilCounted(ctx context.Context) (string, error) {
	var rows []counted
	deadline := time.Now().Add(20 * time.Second)
	for {
		var err error
		if rows, err = d.count(ctx); err != nil {
			return "", err
		}
		same := true
		for _, r := range rows {
			same = same && r.seen == r.events && r.events == r.rollup && r.rollup == r.tier
		}
		if same {
			return formatCounts(rows), nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("the counts differ:\n%s", formatCounts(rows))
		}
		wait(ctx, 200*time.Millisecond)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
}

func (d *demo) count(ctx context.Context) ([]counted, error) {
	sent, lost := d.report.totals()
	if lost > 0 {
		return nil, fmt.Errorf("the application could not report %d of its events", lost)
	}
	rows := []counted{
		{what: string(event.Open), seen: uint64(d.clients.opened.Load())},
		{what: string(event.HandshakeRejected), seen: uint64(d.clients.refused.Load())},
		{what: string(event.Close), seen: uint64(d.clients.opened.Load())},
		{what: string(event.Auth), seen: uint64(sent)},
	}
	for i := range rows {
		for _, t := range []struct {
			table, column string
			into          *uint64
		}{
			{schema.Events, "counted_at", &rows[i].events},
			{schema.Rollup10s, schema.Bucket, &rows[i].rollup},
			{schema.Rollup1m, schema.Bucket, &rows[i].tier},
		} {
			query := fmt.Sprintf("SELECT sum(%s) FROM %s WHERE %s = ? AND %s >= ?",
				schema.Count, t.table, schema.EventName, t.column)
			if err := d.db.Conn().QueryRow(ctx, query, rows[i].what, d.historyEnd).Scan(t.into); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

func formatCounts(rows []counted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-30s %10s %10s %10s %10s\n", "", "seen", "events", "rollup 10s", "rollup 1m")
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-30s %10d %10d %10d %10d\n", r.what, r.seen, r.events, r.rollup, r.tier)
	}
	return b.String()
}

func formatPage(a alert) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", name, value)
		}
	}
	line("alert", a.Labels["alertname"])
	line("severity", a.Labels["severity"])
	line("service", a.Labels["service"])
	line("slo", a.Labels["slo"])
	line("since", a.StartsAt.UTC().Format(time.RFC3339))
	line("summary", a.Annotations["summary"])
	line("description", a.Annotations["description"])
	line("runbook", a.Annotations["runbook_url"])
	line("dashboard", a.Annotations["dashboard_url"])
	return b.String()
}

// keep prints where to look and waits for the end.
func (d *demo) keep(ctx context.Context) {
	fmt.Fprintf(d.Out, `
Everything stays up until you press Ctrl-C. Open this in a browser:

  status page       http://%[1]s/

There is more to look at:

  SLOs as text      curl http://%[1]s/
  SLOs as JSON      curl http://%[1]s/api/v1/slos
  SLO metrics       curl http://%[1]s/metrics
  events            curl 'http://%[2]s/?database=sockeye' -d 'SELECT time, event, error_type, client_address FROM events ORDER BY time DESC LIMIT 5 FORMAT Pretty'
  alerts            http://%[3]s
  configuration     %[4]s/collector.yaml
  logs              %[4]s/*.log
`, d.SLO, d.ClickHouse, d.Alertmanager, d.Dir)
	<-ctx.Done()
}
