package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// The history is made by the engine itself from numbers, so that 30 days take seconds: the last 7 days as events,
// which is as long as events are kept, and what is older straight into the rollups.
const (
	historyDays   = 30
	historyEvents = 7
	// secondsPerAttempt is the mean time between two handshakes of the history.
	secondsPerAttempt = 2
)

// executor is the part of the store that writing history needs.
type executor interface {
	Exec(ctx context.Context, query string, args ...any) error
}

// writeHistory fills the 30 days before end, which is a whole minute.
func writeHistory(ctx context.Context, db executor, end time.Time, step func(string)) error {
	statements := []struct{ what, query string }{
		{"handshakes of the last 7 days", handshakeHistory(end)},
		{"authentications of the last 7 days", authHistory(end)},
	}
	for _, tier := range schema.Tiers() {
		if tier.Step < time.Minute {
			continue // the finest tier is kept for three days only, which the events above fill
		}
		statements = append(statements, struct{ what, query string }{
			"23 days before, into " + tier.Table, rollupHistory(tier, end),
		})
	}
	for _, s := range statements {
		step(s.what)
		if err := db.Exec(ctx, s.query); err != nil {
			return fmt.Errorf("history, %s: %w", s.what, err)
		}
	}
	return nil
}

// attempts gives each of the history's handshakes its time, spread evenly, and a random number of its own in
// [0, 100000): one handshake in about 5,000 is failed by the server, and an outage of four minutes two days ago adds
// some. The last two hours are clean, so that the scaled burn windows hold only the incident of the demo.
func attempts(end time.Time, seed int) string {
	n := historyEvents * 24 * 3600 / secondsPerAttempt
	return fmt.Sprintf(`(SELECT number AS n, if(number < 3600, 99999, cityHash64(number, %d) %% 100000) AS dice,
		toDateTime64(%d, 9, 'UTC') - toIntervalMillisecond(number * %d + cityHash64(number) %% 900) AS at,
		at BETWEEN toDateTime64(%d, 9, 'UTC') AND toDateTime64(%d, 9, 'UTC') AS outage
		FROM numbers(1, %d))`,
		seed, end.Unix(), secondsPerAttempt*1000,
		end.Add(-48*time.Hour).Unix(), end.Add(-48*time.Hour+4*time.Minute).Unix(), n)
}

// common are the columns that every row of the history shares.
const commonColumns = `service, instance, environment, region, vantage, visibility, source_type, evidence, count, ` +
	`time, observed, counted_at, event, severity, connection_id, url_path, server_address, outcome, judged, ` +
	`error_type, fault, status, duration`

func handshakeHistory(end time.Time) string {
	return fmt.Sprintf(`INSERT INTO %s (%s)
		SELECT '%s', 'chat-1', 'demo', 'local', '%s', '%s', 'nginx', '%s', 1,
			at, at, at, if(kind = 'open', '%s', '%s'), if(kind = 'open', %d, %d),
			lower(hex(sipHash128(n))), '/ws', 'chat.example.com', if(kind = 'open', 'success', 'failure'), 1,
			transform(kind, ['server', 'client'], ['%s', '%s'], ''), if(kind = 'open', '', kind),
			transform(kind, ['server', 'client'], [502, 401], 101), 0.004 + (dice %% 97) / 1000
		FROM (SELECT *, multiIf(dice < 20 OR (outage AND dice < 25000), 'server', dice < 50, 'client', 'open') AS kind
			FROM %s)`,
		schema.Events, commonColumns, serviceName, event.VantageEdge, event.VisibilityAtClose, event.EvidenceObserved,
		event.Open, event.HandshakeRejected, event.SeverityInfo, event.SeverityWarn,
		event.UpstreamUnavailable, event.Unauthenticated, attempts(end, 1))
}

func authHistory(end time.Time) string {
	return fmt.Sprintf(`INSERT INTO %s (%s)
		SELECT '%s', 'chat-1', 'demo', 'local', '%s', '%s', 'chat-app', '%s', 1,
			at, at, at, '%s', if(kind = 'success', %d, %d),
			lower(hex(sipHash128(n, 2))), '/ws', '', if(kind = 'success', 'success', 'failure'), 1,
			transform(kind, ['idp', 'client'], ['%s', '%s'], ''), if(kind = 'success', '', kind), 0,
			if(dice %% 1000 < 4, 0.23, 0.004 + (dice %% 97) / 1000)
		FROM (SELECT *, multiIf(dice < 15 OR (outage AND dice < 20000), 'idp', dice < 45, 'client', 'success') AS kind
			FROM %s)`,
		schema.Events, commonColumns, serviceName, event.VantageApp, event.VisibilityAtOpen, event.EvidenceObserved,
		event.Auth, event.SeverityInfo, event.SeverityWarn, event.IDPTimeout, event.TokenInvalid, attempts(end, 3))
}

// rollupHistory fills one tier from 30 to 7 days ago: for every bucket one row of each kind of outcome.
func rollupHistory(tier schema.Tier, end time.Time) string {
	type outcome struct {
		event               event.Name
		vantage, visibility string
		outcome             event.Outcome
		errorType           string
		fault               event.Fault
		perHundredThousand  int
	}
	outcomes := []outcome{
		{event: event.Open, vantage: event.VantageEdge, visibility: event.VisibilityAtClose, outcome: event.OutcomeSuccess, perHundredThousand: 99950},
		{event: event.HandshakeRejected, vantage: event.VantageEdge, visibility: event.VisibilityAtClose, outcome: event.OutcomeFailure, errorType: event.Unauthenticated, fault: event.FaultClient, perHundredThousand: 30},
		{event: event.HandshakeRejected, vantage: event.VantageEdge, visibility: event.VisibilityAtClose, outcome: event.OutcomeFailure, errorType: event.UpstreamUnavailable, fault: event.FaultServer, perHundredThousand: 20},
		{event: event.Auth, vantage: event.VantageApp, visibility: event.VisibilityAtOpen, outcome: event.OutcomeSuccess, perHundredThousand: 99955},
		{event: event.Auth, vantage: event.VantageApp, visibility: event.VisibilityAtOpen, outcome: event.OutcomeFailure, errorType: event.TokenInvalid, fault: event.FaultClient, perHundredThousand: 30},
		{event: event.Auth, vantage: event.VantageApp, visibility: event.VisibilityAtOpen, outcome: event.OutcomeFailure, errorType: event.IDPTimeout, fault: event.FaultIDP, perHundredThousand: 15},
	}
	rows := make([]string, len(outcomes))
	for i, o := range outcomes {
		rows[i] = fmt.Sprintf("('%s', '%s', '%s', '%s', '%s', '%s', %d)",
			o.event, o.vantage, o.visibility, o.outcome, o.errorType, o.fault, o.perHundredThousand)
	}
	// A bucket's share of an outcome is a whole number whose mean is right: the fraction is carried by chance.
	perBucket := float64(tier.Step/time.Second) / secondsPerAttempt / 100000
	histogram := make([]string, 0, len(event.DurationBounds))
	values := make([]string, 0, len(event.DurationBounds))
	for _, bound := range event.DurationBounds {
		histogram = append(histogram, schema.DurationColumn(bound))
		share := min(float64(bound.Milliseconds())/100, 0.996)
		if bound.Milliseconds() > 200 {
			share = 1
		}
		values = append(values, fmt.Sprintf("toUInt64(round(c * %g))", share))
	}
	buckets := (historyDays - historyEvents) * 24 * int(time.Hour/tier.Step)
	last := end.Add(-historyEvents * 24 * time.Hour).Truncate(tier.Step)
	return fmt.Sprintf(`INSERT INTO %s (bucket, service, environment, region, event, vantage, visibility, outcome,
			error_type, fault, count, judged, duration_count, duration_sum, %s)
		SELECT toDateTime(%d, 'UTC') - (number + 1) * %d, '%s', 'demo', 'local',
			o.1, o.2, o.3, o.4, o.5, o.6,
			toUInt64(floor(o.7 * %g) + (cityHash64(number, o.5, o.1) %% 1000000 < (o.7 * %g - floor(o.7 * %g)) * 1000000)) AS c,
			c, c, c * 0.05, %s
		FROM numbers(%d) ARRAY JOIN [%s] AS o WHERE c > 0`,
		tier.Table, strings.Join(histogram, ", "),
		last.Unix(), int(tier.Step/time.Second), serviceName,
		perBucket, perBucket, perBucket, strings.Join(values, ", "), buckets, strings.Join(rows, ", "))
}
