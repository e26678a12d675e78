package sloextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/slo"
)

// inquiry answers questions about one SLO from the store: one question at a time, so that they do not delay a tick for
// long. What it asks for was defined when the engine started.
type inquiry struct {
	engine *engine
	turn   chan struct{}
}

const (
	inquiryTimeout = 30 * time.Second
	defaultTop     = 5
	maxTop         = 100
)

func newInquiry(e *engine) *inquiry { return &inquiry{engine: e, turn: make(chan struct{}, 1)} }

// refusal is what is wrong with a question.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// answerer answers a question about an SLO as of a moment.
type answerer func(ctx context.Context, db database, s *slo.SLO, at time.Time, r *http.Request) (any, error)

// serve finds the SLO and the moment that a request names, and has them answered.
func (q *inquiry) serve(answer answerer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), inquiryTimeout)
		defer cancel()
		found, err := q.answer(ctx, r, answer)
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
	s, err := q.find(r.URL.Query().Get("service"), r.URL.Query().Get("slo"))
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
	err = q.with(ctx, func(db database) (err error) {
		found, err = answer(ctx, db, s, at, r)
		return err
	})
	return found, err
}

// with waits for its turn and connects.
func (q *inquiry) with(ctx context.Context, ask func(database) error) error {
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

// find returns the SLO of a name; the service may be left out where only one has it.
func (q *inquiry) find(service, name string) (*slo.SLO, error) {
	var found *slo.SLO
	var services []string
	for i := range q.engine.slos {
		s := &q.engine.slos[i]
		if s.Name == name && (service == "" || s.Service == service) {
			found, services = s, append(services, s.Service)
		}
	}
	switch len(services) {
	case 0:
		return nil, refusal{http.StatusNotFound, "no such SLO; /api/v1/slos lists all of them"}
	case 1:
		return found, nil
	}
	const most = 8
	more := ""
	if len(services) > most {
		services, more = services[:most], ", …"
	}
	return nil, refusal{
		http.StatusBadRequest, "several services have it; say which: " + strings.Join(services, ", ") + more,
	}
}

// count counts an SLO as of a moment, from the minutes.
func (q *inquiry) count(ctx context.Context, db database, s *slo.SLO, at time.Time) (slo.Query, slo.Counts, error) {
	plan := slo.Plan([]slo.SLO{*s}, at, q.engine.timing)
	var counts []slo.Counts
	err := db.ask(ctx, plan.SQL, func(rows slo.Rows) (err error) {
		counts, err = plan.Read(rows)
		return err
	})
	if err != nil {
		return plan, slo.Counts{}, err
	}
	return plan, counts[0], nil
}

func (q *inquiry) explain(ctx context.Context, db database, s *slo.SLO, at time.Time, r *http.Request) (any, error) {
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

func (q *inquiry) explanation(ctx context.Context, db database, s *slo.SLO, at time.Time, top int,
) (slo.Explanation, error) {
	plan, counts, err := q.count(ctx, db, s, at)
	if err != nil {
		return slo.Explanation{}, err
	}
	e := slo.Explanation{
		Formula: s.Formula(), SQL: plan.SQL, Status: slo.Evaluate(s, plan.AsOf, counts, true), Burned: []slo.Burned{},
	}
	if forecast, ok := slo.NewForecast(s, &e.Status); ok {
		e.Forecast = &forecast
	}
	if e.BurnedSQL = slo.SelectBurned(s, plan.AsOf, top); e.BurnedSQL != "" {
		err := db.ask(ctx, e.BurnedSQL, func(rows slo.Rows) (err error) {
			e.Burned, err = slo.ReadBurned(rows, &e.Status)
			return err
		})
		if err != nil {
			return e, err
		}
	}
	for i := range s.Members {
		member, err := q.explanation(ctx, db, &s.Members[i].SLO, at, top)
		if err != nil {
			return e, err
		}
		e.Members = append(e.Members, member)
	}
	return e, nil
}

func (q *inquiry) history(ctx context.Context, db database, s *slo.SLO, at time.Time, _ *http.Request) (any, error) {
	var records []slo.Record
	err := db.ask(ctx, slo.SelectReported(s, at), func(rows slo.Rows) (err error) {
		records, err = slo.ReadRecords(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, refusal{http.StatusNotFound, "nothing was reported of it within the day before that time"}
	}
	_, counts, err := q.count(ctx, db, s, records[0].AsOf)
	if err != nil {
		return nil, err
	}
	return slo.NewPast(s, records[0], counts, q.engine.now()), nil
}
