package slo

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// RecentWithin is how long ago what [SelectIncidents], [SelectRecentEvents] and [SelectMarks] return may be at most. Marks
// are events, which are kept no longer than that.
const (
	RecentWithin = 30 * day
	markWithin   = 7 * day
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

// The events that are marks.
const (
	MarkDeploy    = string(event.Deploy)
	MarkExclusion = string(event.Exclusion)
)

// Mark is something that explains how numbers look: a deploy, or time that is declared not to count.
type Mark struct {
	// Event is MarkDeploy or MarkExclusion.
	Event   string `json:"event"`
	Service string `json:"service"`
	// Name is the version of a deploy, or the exclusion's.
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
	// First and Last are equal where it was told of once.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// SelectMarks is a query for the last deploys and exclusions of services as of now, so many of each.
func SelectMarks(services []string, now time.Time, most int) string {
	attribute := func(k event.Key) string { return fmt.Sprintf("%s['%s']", schema.Attributes, k) }
	return fmt.Sprintf(`SELECT %[1]s, service, if(%[1]s = '%[2]s', %[3]s, %[4]s) AS name,
    max(%[5]s) AS reason, min(e.time) AS first, max(e.time) AS last
FROM %[6]s AS e
WHERE %[1]s IN ('%[2]s', '%[7]s') AND service IN (%[8]s) AND counted_at >= toDateTime(%[9]d)
GROUP BY %[1]s, service, name
ORDER BY last DESC, service, name
LIMIT %[10]d BY %[1]s`, schema.EventName, MarkDeploy, attribute(event.DeployVersion), attribute(event.ExclusionID),
		attribute(event.ExclusionReason), schema.Events, MarkExclusion, quoteAll(services), now.Add(-markWithin).Unix(), most)
}

// ReadMarks reads the answer to [SelectMarks].
func ReadMarks(rows Rows) ([]Mark, error) {
	var marks []Mark
	for rows.Next() {
		var m Mark
		if err := rows.Scan(&m.Event, &m.Service, &m.Name, &m.Reason, &m.First, &m.Last); err != nil {
			return nil, fmt.Errorf("read marks: %w", err)
		}
		m.First, m.Last = m.First.UTC(), m.Last.UTC()
		marks = append(marks, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	return marks, nil
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
