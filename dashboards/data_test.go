package dashboards_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/dashboards/dashboardstest"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

// now is when the pictures were taken: the same rows give the same pictures at any time.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// The incident of the history: an instance loses its connections and the service fails, then recovers.
var (
	incidentStart = now.Add(-2 * time.Hour)
	incidentEnd   = now.Add(-80 * time.Minute)
	chosen        = map[string][]string{
		"service": {"chat"}, "region": {dashboardstest.All}, "tenant": {dashboardstest.All}, "instance": {dashboardstest.All}, "slo": {"connection-availability"}, "spent": {"100"},
		"seen_connections": {"edge"}, "seen_auth": {"app"}, "seen_messages": {"gateway"}, "seen_gauges": {"gateway"},
	}
)

// history fills a database with a month of one service and returns its address. It is drawn, not random: a fixed seed.
func history(t *testing.T) string {
	t.Helper()
	dsn := embeddedtest.Database(t)
	s, err := store.Open(context.Background(), dsn, store.Options{DialTimeout: time.Minute})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	// The rows are of a fixed date; they shall not expire.
	for _, table := range []string{
		schema.Events, schema.Rollup10s, schema.Rollup1m, schema.Rollup15m, schema.Gauges10s, schema.Clients1h, schema.ConnectionRate, schema.Usage1h,
		schema.Chunks, schema.SourceProgress, schema.SLOStatus, schema.SLOEvents,
	} {
		embeddedtest.Exec(t, dsn, "ALTER TABLE "+table+" REMOVE TTL")
	}
	h := &historian{random: rand.New(rand.NewPCG(1, 2))}
	h.month()
	h.lastHours()
	h.gauges()
	insertJSON(t, dsn, schema.Events, h.rows)
	insertJSON(t, dsn, schema.SourceProgress, []map[string]any{
		{"source": "websocketlog/edge@edge-1", "read_through": stamp(now.Add(-7 * time.Second)), "backlog": 0, "wall": stamp(now.Add(-2 * time.Second))},
		{"source": "websocketendpoint@eu-1", "read_through": stamp(now.Add(-4 * time.Second)), "backlog": 0, "wall": stamp(now.Add(-3 * time.Second))},
	})
	insertJSON(t, dsn, schema.SLOStatus, statuses(t))
	insertJSON(t, dsn, schema.SLOEvents, sloEvents())
	insertJSON(t, dsn, schema.SLOExclusions, []map[string]any{{
		"id": "0badcafe", "version": 1, "service": "chat", "slo": "", "starts": now.Add(-5 * time.Hour).Unix(), "ends": now.Add(-255 * time.Minute).Unix(),
		"reason": "load test", "withdrawn": false, "written": stamp(now),
	}})
	return dsn
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

func insertJSON(t *testing.T, dsn, table string, rows []map[string]any) {
	t.Helper()
	require.NotEmpty(t, rows)
	for len(rows) > 0 {
		n := min(len(rows), 20_000)
		var b strings.Builder
		fmt.Fprintf(&b, "INSERT INTO %s FORMAT JSONEachRow\n", table)
		e := json.NewEncoder(&b)
		for _, r := range rows[:n] {
			require.NoError(t, e.Encode(r))
		}
		embeddedtest.Exec(t, dsn, b.String())
		rows = rows[n:]
	}
}

type historian struct {
	random *rand.Rand
	rows   []map[string]any
	traces int
}

var (
	regions   = []string{"eu-west-1", "us-east-1"}
	instances = map[string][]string{"eu-west-1": {"eu-1", "eu-2"}, "us-east-1": {"us-1", "us-2"}}
	tenants   = []string{"acme", "globex", "initech", "umbrella", "hooli", "stark"}
	tiers     = map[string]string{"acme": "gold", "globex": "gold", "initech": "silver", "umbrella": "silver", "hooli": "free"}
)

// daily is how busy it is at a time, around 1.
func daily(at time.Time) float64 {
	return 1 + 0.4*math.Sin(2*math.Pi*float64(at.Hour()*60+at.Minute())/1440-1.6)
}

type fields map[string]any

// add appends one event that stands for count.
func (h *historian) add(at time.Time, name event.Name, vantage, region, instance, tenant string, count int, more fields) {
	row := map[string]any{
		"time": stamp(at), "observed": stamp(at), "counted_at": stamp(at), "event": string(name), "severity": int(name.Schema().Severity),
		"service": "chat", "environment": "production", "region": region, "instance": instance, "vantage": vantage, "visibility": "at_open",
		"tenant": tenant, "outcome": string(event.OutcomeSuccess), "count": count, "judged": count,
		"connection_id": fmt.Sprintf("%016x", h.random.Uint64()), "client_hash": fmt.Sprintf("c-%04x", h.random.IntN(4096)), "chunk_id": "history",
	}
	attributes := map[string]string{}
	if tier := tiers[tenant]; tier != "" {
		attributes[event.TenantTier.String()] = tier
	}
	for k, v := range more {
		if key, is := event.KeyOf(k); is {
			attributes[key.String()] = fmt.Sprint(v)
		} else {
			row[k] = v
		}
	}
	row["attributes"] = attributes
	h.rows = append(h.rows, row)
}

func (h *historian) fail(at time.Time, name event.Name, vantage, region, instance, tenant string, count int, fault event.Fault, errorType string, more fields) {
	all := fields{"outcome": string(event.OutcomeFailure), "fault": string(fault), "error_type": errorType, "tenant": tenant}
	for k, v := range more {
		all[k] = v
	}
	h.add(at, name, vantage, region, instance, tenant, count, all)
}

// month is hourly, up to six hours ago.
func (h *historian) month() {
	for at := now.Add(-30 * 24 * time.Hour); at.Before(now.Add(-6 * time.Hour)); at = at.Add(time.Hour) {
		for _, region := range regions {
			instance := instances[region][h.random.IntN(2)]
			for i, tenant := range tenants {
				n := int(daily(at)*float64(600/(i+1))) + h.random.IntN(30)
				h.step(at.Add(time.Duration(h.random.IntN(3000))*time.Second), region, instance, tenant, n)
			}
		}
	}
}

// lastHours is by half a minute.
func (h *historian) lastHours() {
	for at := now.Add(-6 * time.Hour); at.Before(now); at = at.Add(30 * time.Second) {
		for _, region := range regions {
			instance := instances[region][h.random.IntN(2)]
			h.step(at.Add(time.Duration(h.random.IntN(30))*time.Second), region, instance, tenants[h.random.IntN(len(tenants))],
				int(daily(at)*20)+h.random.IntN(8))
		}
	}
	h.add(now.Add(-135*time.Minute), event.Deploy, "app", "", "", "", 1, fields{event.DeployVersion.String(): "1.14.2", "outcome": "unknown", "judged": 0})
	h.add(now.Add(-70*time.Minute), event.Deploy, "app", "", "", "", 1, fields{event.DeployVersion.String(): "1.14.1", "outcome": "unknown", "judged": 0})
	for i := range 3 {
		h.add(now.Add(-time.Duration(100-i)*time.Minute), event.PolicyChanged, "gateway", "eu-west-1", "eu-1", "", 1, fields{
			"policy": "ip_block", "client_hash": fmt.Sprintf("c-b10c%d", i), event.PolicyState.String(): "on", event.PolicyReason.String(): "flood",
			"outcome": "unknown", "judged": 0})
	}
}

// step is what happened with about n handshakes of a tenant.
func (h *historian) step(at time.Time, region, instance, tenant string, n int) {
	broken := !at.Before(incidentStart) && at.Before(incidentEnd) && region == "eu-west-1"
	duration := func() float64 { return math.Round(1000*(0.02+0.05*h.random.ExpFloat64())) / 1000 }
	h.add(at, event.Open, "edge", region, instance, tenant, n, fields{"duration": duration(), "status": 101})
	rejected := h.random.IntN(3)
	if broken {
		rejected = n / 3
	}
	if rejected > 0 {
		fault, errorType, status := event.FaultClient, event.Unauthenticated, 401
		switch {
		case broken:
			fault, errorType, status = event.FaultServer, event.UpstreamUnavailable, 502
		case h.random.IntN(3) == 0:
			fault, errorType, status = event.FaultPolicy, event.TypeRateLimited, 429
		}
		h.traces++
		h.fail(at, event.HandshakeRejected, "edge", region, instance, tenant, rejected, fault, errorType, fields{
			"duration": duration(), "status": status, "trace_id": fmt.Sprintf("%032x", h.traces)})
	}
	messages := h.random.IntN(400)
	h.add(at.Add(time.Second), event.Close, "edge", region, instance, tenant, n, fields{
		"close_code": 1000, "close_initiator": "client", "close_clean": true, "connection_duration": float64(n) * (300 + float64(h.random.IntN(600))),
		"io_received": n * messages * 90, "io_sent": n * messages * 310, event.IOMessagesReceived.String(): messages / 3, event.IOMessagesSent.String(): messages})
	if lost := h.random.IntN(2) + map[bool]int{true: n / 2}[broken]; lost > 0 {
		h.fail(at, event.Close, "edge", region, instance, tenant, lost, event.FaultNetwork, event.ConnectionReset, fields{
			"close_code": 1006, "close_initiator": "transport", "close_clean": false, "connection_duration": 60.5})
	}
	h.add(at, event.Auth, "app", region, instance, tenant, n, fields{"duration": duration(), event.AuthIDPDuration.String(): duration() / 2})
	if h.random.IntN(3) == 0 {
		h.fail(at, event.Auth, "app", region, instance, tenant, 1+n/300, event.FaultClient, event.TokenExpired, fields{"duration": duration()})
	}
	h.add(at, event.Message, "gateway", region, instance, tenant, n*10, fields{"bytes": n * 10 * 240, "direction": "receive"})
	h.add(at, event.Ping, "gateway", region, instance, tenant, 1, fields{"duration": duration() / 2, "outcome": "unknown", "judged": 0})
	if h.random.IntN(6) == 0 {
		h.fail(at, event.MessageRejected, "gateway", region, instance, tenant, 1+h.random.IntN(4), event.FaultClient, event.SchemaInvalid, fields{"direction": "receive"})
		h.fail(at, event.RateLimited, "gateway", region, instance, tenant, 1+h.random.IntN(9), event.FaultPolicy, "", fields{"policy": "messages_per_client"})
	}
	if h.random.IntN(12) == 0 {
		h.fail(at, event.Error, "gateway", region, instance, tenant, 1, event.FaultClient, event.InvalidUTF8, fields{"direction": "receive"})
	}
}

// gauges are those of three days, the last hours by half a minute.
func (h *historian) gauges() {
	step := 5 * time.Minute
	for at := now.Add(-3 * 24 * time.Hour); at.Before(now); at = at.Add(step) {
		if !at.Before(now.Add(-6 * time.Hour)) {
			step = 30 * time.Second
		}
		age := now.Sub(at).Hours() / 24
		for _, region := range regions {
			for i, instance := range instances[region] {
				active := int(daily(at) * float64(2600+300*i) * (1.1 - 0.03*age))
				if instance == "eu-1" && !at.Before(incidentStart) && at.Before(incidentEnd) {
					active /= 5
				}
				h.add(at, event.Connections, "gateway", region, instance, "", 1, fields{
					"outcome": "unknown", "judged": 0, event.ConnectionsActive.String(): active, event.ConnectionsIdle.String(): active / 4,
					event.ConnectionsCapacity.String(): 5000, event.ProcessMemory.String(): 200<<20 + active*24<<10, event.ProcessMemoryLimit.String(): 512 << 20,
					event.ProcessFDs.String(): active + 120, event.ProcessFDLimit.String(): 8192})
			}
		}
	}
}

// statuses are what the engine would have written every ten minutes: real evaluations of counts of a smooth month with one incident.
func statuses(t *testing.T) []map[string]any {
	slos, err := slo.Defaults(slo.DefaultSettings{Services: []string{"chat"}})
	require.NoError(t, err)
	var rows []map[string]any
	for at := now.Add(-30 * 24 * time.Hour); !at.After(now); at = at.Add(10 * time.Minute) {
		for i := range slos {
			s := &slos[i]
			rows = append(rows, statusRow(s, at, i))
		}
	}
	return rows
}

// bad is how many of a hundred thousand events of a minute are bad.
func badPerMinute(s *slo.SLO, at time.Time, i int) float64 {
	usual := s.Budget().Float64() * []float64{0.15, 0.5, 0.6, 0.3, 0.5}[i%5]
	if !at.Before(incidentStart) && at.Before(incidentEnd) && strings.HasPrefix(s.Name, "connection") {
		usual = 0.2
	}
	return usual
}

func statusRow(s *slo.SLO, at time.Time, i int) map[string]any {
	const each = 1000 // events a minute
	count := func(w slo.Window) slo.Count {
		// Two levels: usual, and what the incident overlaps.
		usual, worse := badPerMinute(s, at.Add(-40*24*time.Hour), i), badPerMinute(s, incidentStart, i)
		from, to := at.Add(-w.Length), at
		overlap := min(to.Sub(incidentStart), incidentEnd.Sub(incidentStart), incidentEnd.Sub(from), to.Sub(from)).Minutes()
		overlap = max(overlap, 0)
		total := w.Length.Minutes() * each
		failed := (w.Length.Minutes()-overlap)*each*usual + overlap*each*worse
		return slo.Count{Window: w, Total: uint64(total), Judged: uint64(total), Good: uint64(total - failed)}
	}
	var counts slo.Counts
	for _, w := range slo.BurnWindows() {
		counts.Windows = append(counts.Windows, count(w))
	}
	counts.Budget = count(slo.Window{Name: "30d", Length: s.Window})
	st := slo.Evaluate(s, at, counts, true)
	var windows []fields
	for _, w := range st.Windows {
		windows = append(windows, fields{"name": w.Name, "seconds": w.Seconds, "good": w.Good, "total": w.Total, "judged": w.Judged})
	}
	return map[string]any{
		"asof": at.Unix(), "service": s.Service, "slo": s.Name, "state": string(st.State), "severity": string(st.Severity), "objective": s.Objective.String(),
		"budget_seconds": int(s.Window.Seconds()), "good": st.Window.Good, "total": st.Window.Total, "judged": st.Window.Judged, "windows": windows,
		"alerts": []any{}, "engine": "engine-1", "written": stamp(at.Add(time.Second)),
	}
}

func sloEvents() []map[string]any {
	row := func(stream string, sequence int, kind string, at time.Time, more fields) map[string]any {
		r := map[string]any{
			"service": "chat", "slo": "connection-availability", "stream": stream, "sequence": sequence, "asof": at.Unix(), "kind": kind, "spent": 0,
			"severity": "", "incident": 0, "start": at.Unix(), "good": 0, "total": 0, "judged": 0, "engine": "engine-1", "written": stamp(at),
		}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	start := incidentStart.Unix()
	return []map[string]any{
		row("incident", 1, "detected", now.Add(-62*time.Hour), fields{"severity": "ticket", "incident": 1, "start": now.Add(-64 * time.Hour).Unix(), "judged": 120000, "good": 119500, "total": 120000}),
		row("incident", 2, "ended", now.Add(-60*time.Hour), fields{"incident": 1, "start": now.Add(-64 * time.Hour).Unix(), "judged": 240000, "good": 239200, "total": 240000}),
		row("incident", 3, "detected", incidentStart.Add(4*time.Minute), fields{"severity": "page", "incident": 3, "start": start, "judged": 4000, "good": 3200, "total": 4000}),
		row("incident", 4, "ended", incidentEnd.Add(5*time.Minute), fields{"incident": 3, "start": start, "judged": 45000, "good": 37000, "total": 45000}),
		row("budget", 1, "spent", now.Add(-9*24*time.Hour), fields{"spent": 25, "judged": 40000000, "good": 39990000, "total": 40000000}),
		row("budget", 2, "spent", incidentStart.Add(20*time.Minute), fields{"spent": 50, "judged": 43000000, "good": 42978000, "total": 43000000}),
	}
}
