package sloextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// inquiry answers questions from the store: one question at a time, so that they do not delay a tick for
// long. What it asks for was defined when the engine started.
type inquiry struct {
	engine *engine
	turn   chan struct{}
}

const (
	inquiryTimeout = 30 * time.Second
	defaultTop     = 5
	maxTop         = 100
	defaultSince   = 72 * time.Hour
)

func newInquiry(e *engine) *inquiry { return &inquiry{engine: e, turn: make(chan struct{}, 1)} }

// refusal is what is wrong with a question.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// subject is what a question is about: an SLO, or one of its groups, whose name is not empty then; and what is in force of
// exclusions.
type subject struct {
	*slo.SLO
	group      string
	exclusions []slo.Exclusion
}

// without is the subject with all time counted.
func (s subject) without() subject {
	return subject{SLO: &slo.Exclude([]slo.SLO{*s.SLO}, nil)[0], group: s.group}
}

// answerer answers a question about an SLO as of a moment.
type answerer func(ctx context.Context, db database, s subject, at time.Time, r *http.Request) (any, error)

// about finds the SLO and the moment that a request names, and has them answered.
func (q *inquiry) about(answer answerer) http.HandlerFunc {
	return q.serve(func(ctx context.Context, r *http.Request) (any, error) { return q.answer(ctx, r, answer) })
}

func (q *inquiry) serve(answer func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), inquiryTimeout)
		defer cancel()
		found, err := answer(ctx, r)
		var refused refusal
		switch {
		case err == nil:
			respondJSON(w, found)
		case errors.As(err, &refused):
			fail(w, refused.status, refused.text)
		default:
			fail(w, http.StatusServiceUnavailable, err.Error())
		}
	}
}

func (q *inquiry) answer(ctx context.Context, r *http.Request, answer answerer) (any, error) {
	s, err := q.find(r.URL.Query())
	if err != nil {
		return nil, err
	}
	at := q.engine.current().AsOf
	if text := r.URL.Query().Get("at"); text != "" {
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, refusal{http.StatusBadRequest, "at: must be a time such as 2026-03-01T12:00:00Z"}
		}
	} else if at.IsZero() {
		at = q.engine.now()
	}
	var found any
	err = q.asked(ctx, func(db database) (err error) {
		if s.exclusions, err = db.exclusions(ctx, q.engine.now()); err != nil {
			return err
		}
		s.SLO = &slo.Exclude([]slo.SLO{*s.SLO}, s.exclusions)[0]
		found, err = answer(ctx, db, s, at, r)
		return err
	})
	return found, err
}

// asked waits for its turn, and for a connection.
func (q *inquiry) asked(ctx context.Context, ask func(database) error) error {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return errors.New("other questions are being answered; ask again")
	}
	db, err := q.engine.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.close() }()
	return ask(db)
}

// incidents answers what happened since a time.
func (q *inquiry) incidents(ctx context.Context, r *http.Request) (any, error) {
	query := r.URL.Query()
	since := q.engine.now().Add(-defaultSince)
	if text := query.Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, refusal{http.StatusBadRequest, "since: must be a time such as 2026-03-01T12:00:00Z"}
		}
	}
	service, name := query.Get("service"), query.Get("slo")
	var h slo.History
	err := q.asked(ctx, func(db database) error {
		err := db.ask(ctx, slo.SelectIncidents(service, name, since, slo.MostHappenings), func(rows slo.Rows) (err error) {
			h.Incidents, err = slo.ReadIncidents(rows)
			return err
		})
		if err != nil {
			return err
		}
		return db.ask(ctx, slo.SelectBudgetEvents(service, name, since), func(rows slo.Rows) (err error) {
			h.Budgets, err = slo.ReadBudgetEvents(rows)
			return err
		})
	})
	return h, err
}

// find returns the SLO of a name, or the group of it; the service may be left out where only one has it.
func (q *inquiry) find(query url.Values) (subject, error) {
	name, service := query.Get("slo"), query.Get("service")
	whole, isGroup := slo.GroupOf(name)
	var found subject
	var services []string
	for i := range q.engine.slos {
		s := &q.engine.slos[i]
		if s.Name == whole && (service == "" || s.Service == service) {
			found.SLO, services = s, append(services, s.Service)
		}
	}
	switch len(services) {
	case 0:
		return found, refusal{http.StatusNotFound, "no such SLO; `sockeye slo status` and /api/v1/slos list all of them"}
	case 1:
		var err error
		if found.group, err = groupName(found.SLO, query["group"]); isGroup && err == nil && found.group == "" {
			found.group = name
		}
		return found, err
	}
	return found, refusal{http.StatusBadRequest, "several services have it; say which: " + some(services)}
}

// groupName is the name of the group that dimension=value say, or the word for the others.
func groupName(s *slo.SLO, pairs []string) (string, error) {
	if len(pairs) == 0 {
		return "", nil
	}
	if len(s.Grouping.By) == 0 {
		return "", refusal{http.StatusBadRequest, "group: the SLO has no groups; groupBy in its document makes them"}
	}
	if len(pairs) == 1 && pairs[0] == slo.OtherGroups {
		others := s.Group(nil)
		return others.Name, nil
	}
	given := map[string]string{}
	for _, pair := range pairs {
		dimension, value, _ := strings.Cut(pair, "=")
		given[dimension] = value
	}
	var key []string
	for _, d := range s.Grouping.By {
		if value, ok := given[d]; ok {
			key = append(key, value)
		}
	}
	if len(key) != len(s.Grouping.By) || len(given) != len(key) {
		return "", refusal{http.StatusBadRequest, "group: write " + strings.Join(s.Grouping.By, "=… and ") + "=…"}
	}
	group := s.Group(key)
	return group.Name, nil
}

// count counts an SLO as of a moment, from the minutes. It returns the SLO that the counts are of, which of a group is its own.
func (q *inquiry) count(ctx context.Context, db database, s subject, at time.Time,
) (plan slo.Query, of slo.SLO, c slo.Counts, err error) {
	plan = slo.Plan([]slo.SLO{*s.SLO}, at, q.engine.timing)
	var counts []slo.Counts
	err = db.ask(ctx, plan.SQL, func(rows slo.Rows) (err error) {
		counts, err = plan.Read(rows)
		return err
	})
	if err != nil {
		return plan, *s.SLO, c, err
	}
	if s.group == "" {
		return plan, *s.SLO, counts[0], nil
	}
	var names []string
	for _, g := range counts[0].Groups {
		if of = s.Group(g.Key); of.Name == s.group {
			return plan, of, g.Counts, nil
		}
		names = append(names, strings.TrimPrefix(of.Name, s.Name))
	}
	return plan, of, c, refusal{http.StatusNotFound, "no such group counts by itself then; those that do: " + some(names)}
}

// some lists a few of many.
func some(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func (q *inquiry) explain(ctx context.Context, db database, s subject, at time.Time, r *http.Request) (any, error) {
	top := defaultTop
	if text := r.URL.Query().Get("top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxTop {
			return nil, refusal{http.StatusBadRequest, fmt.Sprintf("top: must be a number from 1 to %d", maxTop)}
		}
		top = n
	}
	return q.explanation(ctx, db, s, at, top)
}

func (q *inquiry) explanation(ctx context.Context, db database, s subject, at time.Time, top int,
) (slo.Explanation, error) {
	plan, of, counts, err := q.count(ctx, db, s, at)
	if err != nil {
		return slo.Explanation{}, err
	}
	e := slo.Explanation{
		Formula: of.Formula(), SQL: plan.SQL, Burned: []slo.Burned{},
		Status: slo.Evaluate(&of, plan.AsOf, counts, q.known(&of, plan.AsOf)),
	}
	if e.Status.ExcludedSeconds > 0 {
		from := plan.AsOf.Add(-time.Duration(e.Status.Window.Seconds) * time.Second)
		e.Exclusions = slo.Excluding(&of, s.exclusions, from, plan.AsOf)
		_, all, counts, err := q.count(ctx, db, s.without(), at)
		var refused refusal
		switch {
		case errors.As(err, &refused): // another group then
		case err != nil:
			return e, err
		default:
			without := slo.Evaluate(&all, plan.AsOf, counts, e.Status.State != slo.StateNoData)
			e.Without = &without
		}
	}
	if forecast, ok := slo.NewForecast(&of, &e.Status); ok {
		e.Forecast = &forecast
	}
	if e.MeasuredSQL = slo.SelectMeasured(&of, plan.AsOf); e.MeasuredSQL != "" {
		err := db.ask(ctx, e.MeasuredSQL, func(rows slo.Rows) (err error) {
			e.Measured, err = slo.ReadMeasured(rows, &of)
			return err
		})
		if err != nil {
			return e, err
		}
	}
	if e.BurnedSQL = slo.SelectBurned(&of, plan.AsOf, top); e.BurnedSQL != "" {
		err := db.ask(ctx, e.BurnedSQL, func(rows slo.Rows) (err error) {
			e.Burned, err = slo.ReadBurned(rows, &e.Status)
			return err
		})
		if err != nil {
			return e, err
		}
	}
	for i := range s.Members {
		member, err := q.explanation(ctx, db, subject{SLO: &s.Members[i].SLO, exclusions: s.exclusions}, at, top)
		if err != nil {
			return e, err
		}
		e.Members = append(e.Members, member)
	}
	return e, nil
}

// known reports whether the engine, too, knew something of the SLO, if it was last judged as of that moment.
func (q *inquiry) known(of *slo.SLO, asof time.Time) bool {
	for _, st := range q.engine.current().SLOs {
		if st.Service == of.Service && st.SLO == of.Name && !st.AsOf.After(asof) {
			return st.State != slo.StateNoData
		}
	}
	return true
}

func (q *inquiry) history(ctx context.Context, db database, s subject, at time.Time, _ *http.Request) (any, error) {
	name := s.Name
	if s.group != "" {
		name = s.group
	}
	var records []slo.Record
	err := db.ask(ctx, slo.SelectReported(s.Service, name, at), func(rows slo.Rows) (err error) {
		records, err = slo.ReadRecords(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, refusal{http.StatusNotFound, "nothing was reported of it within the day before that time"}
	}
	_, of, counts, err := q.count(ctx, db, s, records[0].AsOf)
	if err != nil {
		return nil, err
	}
	return slo.NewPast(&of, records[0], counts, s.exclusions, q.engine.now()), nil
}
