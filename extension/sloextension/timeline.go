package sloextension

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// maxCounted bounds how many incidents are looked into in one tick. Where everything burns at once, the others begin when
// they were detected.
const maxCounted = 64

type streamKey struct {
	service, slo string
	stream       slo.Stream
}

// tell writes what happened to budgets and incidents. What that is follows from the last event in the store, which may be
// another engine's, and the status: so it is read again whenever there seems to be something to tell.
func (e *engine) tell(ctx context.Context, now time.Time) error {
	if e.told == nil {
		if err := e.recall(ctx); err != nil {
			return err
		}
	} else if len(e.happened()) > 0 {
		if err := e.recall(ctx); err != nil {
			return err
		}
	}
	events := e.happened()
	if len(events) == 0 {
		return nil
	}
	counted := 0
	for i := range events {
		event := &events[i]
		event.Engine, event.Written = e.id, now
		if event.Stream == slo.StreamIncident && counted < maxCounted {
			counted++
			if err := e.look(ctx, event); err != nil {
				return err
			}
		}
	}
	if err := e.db.writeEvents(ctx, events); err != nil {
		return err
	}
	e.told = nil // what stays may be what another engine wrote at the same time
	return nil
}

// recall reads the last event of each stream.
func (e *engine) recall(ctx context.Context) error {
	events, err := e.db.lastEvents(ctx)
	if err != nil {
		return err
	}
	e.told = make(map[streamKey]slo.Event, len(events))
	for _, event := range events {
		e.told[streamKey{event.Service, event.SLO, event.Stream}] = event
	}
	return nil
}

// happened returns the events that follow from the statuses.
func (e *engine) happened() []slo.Event {
	var events []slo.Event
	last := func(st *slo.Status, stream slo.Stream) *slo.Event {
		if event, ok := e.told[streamKey{st.Service, st.SLO, stream}]; ok {
			return &event
		}
		return nil
	}
	for i := range e.statuses {
		st := &e.statuses[i]
		if event, ok := slo.NextBudget(last(st, slo.StreamBudget), &e.judged[i], st); ok {
			events = append(events, event)
		}
		if event, ok := slo.NextIncident(last(st, slo.StreamIncident), st); ok {
			events = append(events, event)
		}
	}
	if !e.held {
		events = append(events, e.orphans()...)
	}
	return events
}

// orphans ends the incidents of groups that are no more.
func (e *engine) orphans() []slo.Event {
	there := make(map[streamKey]bool, len(e.statuses))
	for i := range e.statuses {
		there[streamKey{e.statuses[i].Service, e.statuses[i].SLO, slo.StreamIncident}] = true
	}
	var events []slo.Event
	for key, last := range e.told {
		whole, group := slo.GroupOf(key.slo)
		if ours := there[streamKey{key.service, whole, slo.StreamIncident}]; !group || !ours || there[key] ||
			key.stream != slo.StreamIncident {
			continue
		}
		gone := slo.Status{Service: key.service, SLO: key.slo, AsOf: e.asof, State: slo.StateNoTraffic}
		if event, ok := slo.NextIncident(&last, &gone); ok {
			events = append(events, event)
		}
	}
	slices.SortFunc(events, func(a, b slo.Event) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.SLO, b.SLO))
	})
	return events
}

// look finds when an incident began, if it was just detected, and counts what has been since.
func (e *engine) look(ctx context.Context, event *slo.Event) error {
	for i := range e.statuses {
		st, s := &e.statuses[i], &e.judged[i]
		if st.Service != event.Service || st.SLO != event.SLO {
			continue
		}
		from := event.Start
		if event.Kind == slo.IncidentDetected {
			from = event.AsOf.Add(-st.Longest()).Truncate(time.Minute)
			// What burned before the end of the last incident is in that one.
			if last := e.told[streamKey{event.Service, event.SLO, event.Stream}].AsOf; last.After(from) {
				from = last
			}
		}
		minutes, err := e.db.minutes(ctx, s, from, event.AsOf)
		if err != nil {
			return err
		}
		if start := slo.Onset(s, minutes); event.Kind == slo.IncidentDetected && !start.IsZero() {
			event.Start = start
		}
		for _, m := range minutes {
			if !m.At.Before(event.Start) {
				event.Good, event.Total, event.Judged = event.Good+m.Judged-m.Bad, event.Total+m.Total, event.Judged+m.Judged
			}
		}
	}
	return nil
}

// adopt takes over since when an alert fires from an engine that noticed it first, so that all say the same of it.
func (e *engine) adopt(ctx context.Context, began map[string]bool, asof, now time.Time) error {
	if len(began) == 0 {
		return nil
	}
	records, err := e.db.latest(ctx, now.Add(-lateAfter))
	if err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		for _, a := range r.Alerts {
			labels := burnLabels(r.Service, r.SLO, a.Severity)
			if id := identity(labels); began[id] && !r.AsOf.After(asof) && r.AsOf.After(asof.Add(-lateAfter)) {
				e.book.since(id, a.Start)
			}
		}
	}
	return nil
}
