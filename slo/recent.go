package slo

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// RecentWithin is how long ago what [SelectIncidents], [SelectRecentEvents] and [SelectDeploys] return may be at most. Deploys
// are events, which are kept no longer than that.
const (
	RecentWithin = 30 * day
	deployWithin = 7 * day
)

// Incident is the time in which alerts of an SLO fired.
type Incident struct {
	Service string `json:"service"`
	SLO     string `json:"slo"`
	// Number is the sequence of the event that detected it.
	Number   uint32    `json:"incident"`
	Start    time.Time `json:"start"`
	Detected time.Time `json:"detected"`
	// Ended is zero while it goes on.
	Ended time.Time `json:"ended,omitzero"`
	// Severity is the loudest that it was.
	Severity Severity `json:"severity"`
	// What was counted from its start to its last event.
	Good   uint64 `json:"good"`
	Total  uint64 `json:"total"`
	Judged uint64 `json:"judged"`
}

// SelectIncidents is a query for the last incidents that went on at any time since a moment: those of an SLO with its groups, or
// of all if service and name are empty.
func SelectIncidents(service, name string, since time.Time, most int) string {
	return fmt.Sprintf(`SELECT service, slo, incident, start, detected, ended, severity, good, total, judged
FROM %s
WHERE (ended IS NULL OR ended >= toDateTime(%d))%s
ORDER BY ended IS NULL DESC, detected DESC, service, slo
LIMIT %d`, schema.SLOIncidents, since.Unix(), happenedTo(service, name), most)
}

// only narrows to an SLO.
func only(s *SLO) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf(" AND service = %s AND slo = %s", quote(s.Service), quote(s.Name))
}

// ReadIncidents reads the answer to [SelectIncidents].
func ReadIncidents(rows Rows) ([]Incident, error) {
	incidents := []Incident{}
	for rows.Next() {
		var i Incident
		var severity string
		var ended *time.Time
		if err := rows.Scan(&i.Service, &i.SLO, &i.Number, &i.Start, &i.Detected, &ended, &severity, &i.Good, &i.Total,
			&i.Judged); err != nil {
			return nil, fmt.Errorf("read incidents: %w", err)
		}
		i.Severity, i.Start, i.Detected = Severity(severity), i.Start.UTC(), i.Detected.UTC()
		if ended != nil {
			i.Ended = ended.UTC()
		}
		incidents = append(incidents, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	return incidents, nil
}

// SelectRecentEvents is a query, for [ReadEvents], for the last events of budgets and incidents as of now: those of an SLO,
// or of all if s is nil.
func SelectRecentEvents(s *SLO, now time.Time, most int) string {
	return fmt.Sprintf(`SELECT %s
FROM %s FINAL
WHERE asof >= toDateTime(%d)%s
ORDER BY asof DESC, service, slo, stream, sequence DESC
LIMIT %d`, eventColumns, schema.SLOEvents, now.Add(-RecentWithin).Unix(), only(s), most)
}

// Deploy is a version of a service that was deployed.
type Deploy struct {
	Service string `json:"service"`
	Version string `json:"version"`
	// First and Last are equal where it was told of once.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// SelectDeploys is a query for the last deploys of services as of now, so many.
func SelectDeploys(services []string, now time.Time, most int) string {
	return fmt.Sprintf(`SELECT service, %s['%s'] AS version, min(e.time) AS first, max(e.time) AS last
FROM %s AS e
WHERE %s = '%s' AND service IN (%s) AND counted_at >= toDateTime(%d)
GROUP BY service, version
ORDER BY last DESC, service, version
LIMIT %d`, schema.Attributes, event.DeployVersion, schema.Events, schema.EventName, event.Deploy, quoteAll(services),
		now.Add(-deployWithin).Unix(), most)
}

// ReadDeploys reads the answer to [SelectDeploys].
func ReadDeploys(rows Rows) ([]Deploy, error) {
	var deploys []Deploy
	for rows.Next() {
		var d Deploy
		if err := rows.Scan(&d.Service, &d.Version, &d.First, &d.Last); err != nil {
			return nil, fmt.Errorf("read deploys: %w", err)
		}
		d.First, d.Last = d.First.UTC(), d.Last.UTC()
		deploys = append(deploys, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deploys: %w", err)
	}
	return deploys, nil
}

// Spending is what was known of a budget at a moment.
type Spending struct {
	AsOf time.Time `json:"asof"`
	// Remaining is null where nothing was known.
	Remaining Number `json:"budget_remaining"`
}

// SelectSpending is a query for what was reported of an SLO's budget over the length of its window before asof, at about so
// many moments.
func SelectSpending(s *SLO, asof time.Time, most int) string {
	where := fmt.Sprintf("service = %s AND slo = %s AND asof > toDateTime(%d) AND asof <= toDateTime(%d)",
		quote(s.Service), quote(s.Name), asof.Add(-s.Window).Unix(), asof.Unix())
	latest := func(column string) string {
		return fmt.Sprintf("argMaxIf(%s, (t.asof, t.written), t.state != '%s')", column, StateNoData)
	}
	return strings.NewReplacer("$table", schema.SLOStatus, "$where", where, "$most", fmt.Sprint(most),
		"$good", latest("t.good"), "$judged", latest("t.judged"), "$objective", latest("t.objective")).Replace(
		`WITH
    (SELECT toUnixTimestamp(min(asof)) FROM $table WHERE $where) AS first,
    (SELECT toUnixTimestamp(max(asof)) FROM $table WHERE $where) AS last
SELECT max(t.asof), $good, $judged, $objective
FROM $table AS t
WHERE $where
GROUP BY intDiv(toUnixTimestamp(t.asof) - first, greatest(1, intDiv(last - first, $most) + 1)) AS step
ORDER BY step`)
}

// ReadSpending reads the answer to [SelectSpending].
func ReadSpending(rows Rows) ([]Spending, error) {
	var points []Spending
	for rows.Next() {
		var p Spending
		var good, judged uint64
		var text string
		if err := rows.Scan(&p.AsOf, &good, &judged, &text); err != nil {
			return nil, fmt.Errorf("read budgets: %w", err)
		}
		p.AsOf = p.AsOf.UTC()
		if objective, err := Decimal(text); err == nil && objective.rat.Cmp(one) < 0 {
			if errors := Ratio(judged-min(good, judged), judged); errors.Valid() {
				spent := new(big.Rat).Quo(errors.rat, new(big.Rat).Sub(one, objective.rat))
				p.Remaining = rat(spent.Sub(one, spent))
			}
		}
		points = append(points, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read budgets: %w", err)
	}
	return points, nil
}
