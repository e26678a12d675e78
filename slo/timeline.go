package slo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Stream is a sequence of events of one SLO.
type Stream string

// The streams.
const (
	StreamBudget   Stream = "budget"
	StreamIncident Stream = "incident"
)

// EventKind is what an event says.
type EventKind string

// The kinds: three of the budget, three of an incident.
const (
	// BudgetSpent: more of the budget is spent than one of the marks.
	BudgetSpent EventKind = "spent"
	// BudgetExhausted: all of it.
	BudgetExhausted EventKind = "exhausted"
	// BudgetRecovered: less than five percent below the mark of the last event.
	BudgetRecovered EventKind = "recovered"
	// IncidentDetected: the first alert fires.
	IncidentDetected EventKind = "detected"
	// IncidentSeverity: the loudest alert is another one.
	IncidentSeverity EventKind = "severity"
	// IncidentEnded: no alert fires.
	IncidentEnded EventKind = "ended"
)

var (
	spentMarks = []uint8{100, 90, 75, 50, 25}
	// recoveryMargin keeps a budget that hovers around a mark from being told about again and again.
	recoveryMargin = big.NewRat(5, 1)
)

// Event is one event of an SLO's budget or of an incident.
type Event struct {
	Service string `json:"service"`
	SLO     string `json:"slo"`
	Stream  Stream `json:"stream"`
	// Sequence counts from 1 within the stream; together they identify the event, whoever writes it.
	Sequence uint32    `json:"sequence"`
	AsOf     time.Time `json:"asof"`
	Kind     EventKind `json:"kind"`
	Spent    uint8     `json:"spent"`
	Severity Severity  `json:"severity"`
	// Incident is the sequence of the incident's first event, Start when the burning began.
	Incident uint32    `json:"incident"`
	Start    time.Time `json:"start"`
	Good     uint64    `json:"good"`
	Total    uint64    `json:"total"`
	Judged   uint64    `json:"judged"`
	Engine   string    `json:"engine"`
	Written  time.Time `json:"written"`
}

// NextBudget returns the budget event that follows the last one, which is nil if there is none, from a status. What
// happened follows from these two alone, so that every engine says the same.
func NextBudget(last *Event, s *SLO, st *Status) (Event, bool) {
	if st.State == StateNoData || s.Unbudgeted {
		return Event{}, false
	}
	spent := new(big.Rat)
	if st.Remaining.Valid() {
		spent.Sub(one, st.Remaining.rat).Mul(spent, hundred)
	}
	reached := func(mark uint8) bool { return spent.Cmp(new(big.Rat).SetInt64(int64(mark))) >= 0 }
	var mark, before uint8
	if i := slices.IndexFunc(spentMarks, reached); i >= 0 {
		mark = spentMarks[i]
	}
	if last != nil {
		before = last.Spent
	}
	e := Event{
		Stream: StreamBudget, Spent: mark, Severity: st.Severity, Start: st.AsOf,
		Good: st.Window.Good, Total: st.Window.Total, Judged: st.Window.Judged,
	}
	switch floor := new(big.Rat).Sub(new(big.Rat).SetInt64(int64(before)), recoveryMargin); {
	case mark == 100 && mark > before:
		e.Kind = BudgetExhausted
	case mark > before:
		e.Kind = BudgetSpent
	case mark < before && spent.Cmp(floor) < 0:
		e.Kind = BudgetRecovered
	default:
		return Event{}, false
	}
	return e.follow(last, st), true
}

// NextIncident returns the event of an incident that follows the last one, from a status.
func NextIncident(last *Event, st *Status) (Event, bool) {
	if st.State == StateNoData {
		return Event{}, false
	}
	e := Event{Stream: StreamIncident, Severity: st.Severity}
	switch open := last != nil && last.Kind != IncidentEnded; {
	case !open && st.Severity != SeverityNone:
		e.Kind, e.Start = IncidentDetected, st.AsOf
		e = e.follow(last, st)
		e.Incident = e.Sequence
		return e, true
	case open && st.Severity == SeverityNone:
		e.Kind = IncidentEnded
	case open && st.Severity != last.Severity:
		e.Kind = IncidentSeverity
	default:
		return Event{}, false
	}
	e.Incident, e.Start = last.Incident, last.Start
	return e.follow(last, st), true
}

func (e Event) follow(last *Event, st *Status) Event {
	e.Service, e.SLO, e.AsOf, e.Sequence = st.Service, st.SLO, st.AsOf, 1
	if last != nil {
		e.Sequence = last.Sequence + 1
	}
	return e
}

// InsertEvents is the statement that [Event.Row] has the values for.
const InsertEvents = "INSERT INTO " + schema.SLOEvents + " (" + eventColumns + ")"

// Row returns the values of a row.
func (e *Event) Row() []any {
	return []any{
		e.Service, e.SLO, string(e.Stream), e.Sequence, e.AsOf, string(e.Kind), e.Spent, string(e.Severity), e.Incident,
		e.Start, e.Good, e.Total, e.Judged, e.Engine, e.Written,
	}
}

// EventsToken identifies an insert of events by what they are and not by what they say: engines that notice the same insert
// it once.
func EventsToken(events []Event) string {
	h := sha256.New()
	for i := range events {
		e := &events[i]
		fmt.Fprintf(h, "%q %q %s %d\n", e.Service, e.SLO, e.Stream, e.Sequence)
	}
	return "slo-events-" + hex.EncodeToString(h.Sum(nil)[:16])
}

const eventColumns = "service, slo, stream, sequence, asof, kind, spent, severity, incident, start, good, total, " +
	"judged, engine, written"

// SelectLastEvents is a query for the last event of every stream.
func SelectLastEvents() string {
	return fmt.Sprintf(`SELECT %s
FROM %s FINAL
ORDER BY service, slo, stream, sequence DESC
LIMIT 1 BY service, slo, stream`, eventColumns, schema.SLOEvents)
}

// ReadEvents reads the answer to [SelectLastEvents].
func ReadEvents(rows Rows) ([]Event, error) {
	var events []Event
	for rows.Next() {
		var e Event
		var stream, kind, severity string
		if err := rows.Scan(&e.Service, &e.SLO, &stream, &e.Sequence, &e.AsOf, &kind, &e.Spent, &severity, &e.Incident,
			&e.Start, &e.Good, &e.Total, &e.Judged, &e.Engine, &e.Written); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e.Stream, e.Kind, e.Severity = Stream(stream), EventKind(kind), Severity(severity)
		e.AsOf, e.Start = e.AsOf.UTC(), e.Start.UTC()
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// Minute is what an SLO counted in one minute.
type Minute struct {
	At     time.Time `json:"at"`
	Bad    uint64    `json:"bad"`
	Judged uint64    `json:"judged"`
	Total  uint64    `json:"total"`
}

// SelectMinutes is a query for the minutes of [from, to) in which an SLO counted anything. It is empty for an SLO that
// does not count events, and for the group that others fold into.
func SelectMinutes(s *SLO, from, to time.Time) string {
	if !s.listable() {
		return ""
	}
	in := &s.Indicator
	all := append(slices.Clone(in.Total), in.Unjudged...).condition()
	return fmt.Sprintf(`SELECT bucket, toUInt64(greatest(0, sum(%s))) AS bad_n, sum(if(%s, %s, 0)) AS judged_n,
    sum(if(%s, %s, 0)) AS total_n
FROM %s
WHERE %s
GROUP BY bucket
ORDER BY bucket`, in.bad(), in.Total.condition(), in.judged(), all, schema.Count, schema.Rollup1m,
		s.rows(from, to)+s.counting(time.Minute))
}

// ReadMinutes reads the answer to [SelectMinutes].
func ReadMinutes(rows Rows) ([]Minute, error) {
	var minutes []Minute
	for rows.Next() {
		var m Minute
		if err := rows.Scan(&m.At, &m.Bad, &m.Judged, &m.Total); err != nil {
			return nil, fmt.Errorf("read minutes: %w", err)
		}
		m.At = m.At.UTC()
		minutes = append(minutes, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read minutes: %w", err)
	}
	return minutes, nil
}

// Onset says when the burning began that is going on at the end of the minutes: the minute since which the bad events
// exceed what the budget allows by the most. It is zero if they exceed it since no minute.
func Onset(s *SLO, minutes []Minute) time.Time {
	var start time.Time
	// In units of the budget's denominator, so exact.
	num, den := s.budget().Num(), s.budget().Denom()
	excess, most := new(big.Int), new(big.Int)
	for _, m := range slices.Backward(minutes) {
		bad := new(big.Int).SetUint64(m.Bad)
		allowed := new(big.Int).SetUint64(m.Judged)
		excess.Add(excess, bad.Mul(bad, den)).Sub(excess, allowed.Mul(allowed, num))
		if excess.Cmp(most) > 0 {
			most.Set(excess)
			start = m.At
		}
	}
	return start
}

// Longest is the longest of the long windows of the rules that fire: an incident began within it.
func (st *Status) Longest() time.Duration {
	var longest time.Duration
	for _, r := range st.Rules {
		for _, w := range st.Windows {
			if r.Firing && w.Name == r.Long {
				longest = max(longest, time.Duration(w.Seconds)*time.Second)
			}
		}
	}
	return longest
}
