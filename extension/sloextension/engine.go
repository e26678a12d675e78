package sloextension

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
	"github.com/sockeye-project/sockeye/slo"
)

const (
	// lateAfter is how far the watermark may be behind the clock before the engine says that it cannot see.
	lateAfter = 10 * time.Minute
	// blindAfter is how long the store may be away before the engine says so; a restart takes less.
	blindAfter = time.Minute
	// restoreWithin is how old a record may be to continue the alerts that it names.
	restoreWithin = time.Hour
	// retryAfter is the time between two looks while the store is away.
	retryAfter = 2 * time.Second
	// queryTimeout bounds one tick's work at the store.
	queryTimeout = 30 * time.Second
)

// engine evaluates the SLOs. Only step, which one goroutine calls, changes it; readers take snapshots.
type engine struct {
	slos      []slo.SLO
	timing    slo.Timing
	ledger    *slo.Ledger
	id        string
	open      func(context.Context) (database, error)
	now       func() time.Time
	sender    *sender // nil if the engine does not own the alerting
	book      *alertBook
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder

	db           database
	restored     bool
	asof         time.Time               // of the last evaluation
	wrote        time.Time               // asof of the last record
	held         bool                    // the last step saw nothing
	exclusions   []slo.Exclusion         // in force at the last evaluation
	excluded     []slo.SLO               // slos without the times that do not count
	told         map[streamKey]slo.Event // the last events, as far as known; nil if they are to be read
	judged       []slo.SLO               // of each status, groups included
	statuses     []slo.Status
	trouble      string // why the last step failed; empty if it did not
	troubleSince time.Time

	mutex    sync.RWMutex
	snapshot snapshot
}

// snapshot is what the API shows.
type snapshot struct {
	Engine    string       `json:"engine"`
	Now       time.Time    `json:"-"`
	AsOf      time.Time    `json:"asof,omitzero"`
	Watermark time.Time    `json:"watermark,omitzero"`
	Live      []string     `json:"sources_live"`
	Silent    []string     `json:"sources_silent"`
	Backlog   uint64       `json:"backlog"`
	Trouble   string       `json:"trouble,omitempty"`
	SLOs      []slo.Status `json:"slos"`
	Alerts    []alert      `json:"-"`
}

func (e *engine) current() snapshot {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	return e.snapshot
}

// run steps now and on every tick until ctx ends. While the store is away it looks again sooner: at start, the store may
// be coming up beside it.
func (e *engine) run(ctx context.Context, ticks <-chan time.Time) {
	for {
		e.step(ctx)
		var soon <-chan time.Time
		if e.current().Trouble != "" {
			soon = time.After(retryAfter)
		}
		select {
		case <-soon:
		case <-ctx.Done():
			if e.db != nil {
				_ = e.db.close()
			}
			return
		case <-ticks:
		}
	}
}

// step is one tick: look, judge, remember, tell.
func (e *engine) step(ctx context.Context) {
	began := time.Now()
	now := e.now().UTC()
	e.telemetry.SloEngineTicks.Add(ctx, 1)

	look, cancel := context.WithTimeout(ctx, queryTimeout)
	mark, err := e.evaluate(look, now)
	cancel()
	if ctx.Err() != nil {
		return
	}
	e.note(ctx, err, now)
	e.blind(mark, now)
	e.book.renew(map[string]string{"alertname": alertWatchdog, "severity": severityNone}, map[string]string{
		"summary":     "The SLO engine is alive",
		"description": "Always fires. If it stops arriving, pages cannot arrive either; route it to a dead man's switch.",
	}, now.Truncate(24*time.Hour)) // whenever this engine was started, all engines say the same

	alerts := e.book.all(now)
	e.publish(mark, alerts, now)
	if e.sender != nil {
		e.sender.send(ctx, alerts, e.asof, now)
	}
	e.telemetry.SloEngineTickDuration.Record(ctx, time.Since(began).Seconds())
}

// evaluate judges all SLOs at the watermark. Where it cannot, the SLOs are no_data and their alerts stay as they are.
func (e *engine) evaluate(ctx context.Context, now time.Time) (slo.Watermark, error) {
	mark, err := e.see(ctx, now)
	if err != nil {
		e.hold(now)
		return mark, err
	}
	e.silent(mark, now)
	if len(mark.Live) == 0 || now.Sub(mark.Time) > lateAfter {
		e.hold(now)
		return mark, e.write(ctx, e.ledger.AsOf(now), now)
	}
	asof := e.ledger.AsOf(mark.Time)
	if !e.held && !asof.After(e.asof) && !e.asof.After(now) {
		// Nothing new; or a source that lags has joined, and what was said stays said until it has caught up. What was said
		// of the future, before the clock was set back, does not.
		return mark, nil
	}
	exclusions, err := e.db.exclusions(ctx, now)
	if err != nil {
		e.hold(now)
		return mark, err
	}
	e.exclude(exclusions)
	counts, err := e.db.counts(ctx, e.ledger, asof)
	if err != nil {
		e.hold(now)
		return mark, err
	}
	began := map[string]bool{}
	e.judged, e.statuses = e.judged[:0:0], nil
	judge := func(s slo.SLO, c slo.Counts) {
		st := slo.Evaluate(&s, asof, c, mark.Backlog == 0 || traffic(c))
		e.settle(&st, began)
		e.judged, e.statuses = append(e.judged, s), append(e.statuses, st)
	}
	for i := range e.excluded {
		judge(e.excluded[i], counts[i])
		for _, g := range counts[i].Groups {
			judge(e.excluded[i].Group(g.Key), g.Counts)
		}
	}
	e.disband(asof)
	e.asof, e.held = asof, false
	if err := e.adopt(ctx, began, asof, now); err != nil {
		return mark, err
	}
	if err := e.write(ctx, asof, now); err != nil {
		return mark, err
	}
	return mark, e.tell(ctx, now)
}

// exclude takes over what is in force.
func (e *engine) exclude(exclusions []slo.Exclusion) {
	if e.excluded == nil || !slices.Equal(exclusions, e.exclusions) {
		e.exclusions, e.excluded = exclusions, slo.Exclude(e.slos, exclusions)
		e.ledger.Exclude(exclusions)
	}
}

// see connects if need be, continues the alerts of an earlier run, and reads the watermark.
func (e *engine) see(ctx context.Context, now time.Time) (slo.Watermark, error) {
	if e.db == nil {
		db, err := e.open(ctx)
		if err != nil {
			return slo.Watermark{}, err
		}
		e.db = db
	}
	if !e.restored {
		records, err := e.db.latest(ctx, now.Add(-restoreWithin))
		if err != nil {
			return slo.Watermark{}, err
		}
		e.restore(records)
		e.restored = true
	}
	sources, err := e.db.progress(ctx, now)
	if err != nil {
		return slo.Watermark{}, err
	}
	return slo.FindWatermark(sources, now), nil
}

func traffic(c slo.Counts) bool {
	for _, w := range c.Windows {
		if w.Total > 0 {
			return true
		}
	}
	return false
}

// restore takes over the alerts that an earlier run left firing, with the time they began.
func (e *engine) restore(records []slo.Record) {
	known := make(map[[2]string]bool, len(e.slos))
	for i := range e.slos {
		known[[2]string{e.slos[i].Service, e.slos[i].Name}] = true
	}
	for i := range records {
		r := &records[i]
		if whole, _ := slo.GroupOf(r.SLO); !known[[2]string{r.Service, whole}] {
			continue // it ends at Alertmanager by itself
		}
		for _, a := range r.Alerts {
			e.book.fire(burnLabels(r.Service, r.SLO, a.Severity), map[string]string{
				"summary":     fmt.Sprintf("%s of %s burned its error budget before the engine restarted", r.SLO, r.Service),
				"description": "It fired before the engine restarted; the numbers of now follow with the next evaluation.",
			}, a.Start)
		}
	}
}

// settle fires and resolves an SLO's alerts, and notes those that begin. A status without data says nothing either way.
func (e *engine) settle(st *slo.Status, began map[string]bool) {
	if st.State == slo.StateNoData {
		st.Severity = e.heldSeverity(st.Service, st.SLO)
		return
	}
	for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
		labels := burnLabels(st.Service, st.SLO, severity)
		if annotations := burnAnnotations(st, severity); annotations["summary"] != "" {
			if _, firing := e.book.firing(labels); !firing {
				began[identity(labels)] = true
			}
			e.book.fire(labels, annotations, st.AsOf)
		} else {
			e.book.resolve(labels, st.AsOf)
		}
	}
}

// disband resolves the alerts of groups that are no more.
func (e *engine) disband(asof time.Time) {
	there := make(map[string]bool)
	for i := range e.statuses {
		st := &e.statuses[i]
		for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
			there[identity(burnLabels(st.Service, st.SLO, severity))] = true
		}
	}
	for id, a := range e.book.items {
		if _, group := slo.GroupOf(a.Labels["slo"]); group && !there[id] {
			e.book.resolve(a.Labels, asof)
		}
	}
}

// hold makes every SLO no_data, and says nothing of groups. Alerts stay: that nothing is seen does not mean that nothing burns.
func (e *engine) hold(now time.Time) {
	asof, counts := e.ledger.AsOf(now), e.ledger.Nothing(now)
	statuses := make([]slo.Status, len(e.slos))
	for i := range e.slos {
		statuses[i] = slo.Evaluate(&e.slos[i], asof, counts[i], false)
		statuses[i].Severity = e.heldSeverity(e.slos[i].Service, e.slos[i].Name)
	}
	e.judged, e.statuses, e.held = e.slos, statuses, true
}

func (e *engine) heldSeverity(service, name string) slo.Severity {
	for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
		if _, firing := e.book.firing(burnLabels(service, name, severity)); firing {
			return severity
		}
	}
	return slo.SeverityNone
}

// write records the statuses, once for each asof.
func (e *engine) write(ctx context.Context, asof, now time.Time) error {
	if asof.Equal(e.wrote) {
		return nil
	}
	records := make([]slo.Record, len(e.statuses))
	for i, st := range e.statuses {
		records[i] = slo.Record{Status: st, Engine: e.id, Written: now}
		for _, severity := range []slo.Severity{slo.SeverityPage, slo.SeverityTicket} {
			if start, firing := e.book.firing(burnLabels(st.Service, st.SLO, severity)); firing {
				records[i].Alerts = append(records[i].Alerts, slo.Since{Severity: severity, Start: start})
			}
		}
	}
	if len(records) == 0 {
		return nil
	}
	if err := e.db.write(ctx, records); err != nil {
		return err
	}
	e.wrote = asof
	return nil
}

// silent raises a ticket for each source that fell silent, and a page if no other is left.
func (e *engine) silent(mark slo.Watermark, now time.Time) {
	var keep []*alert
	var names []string
	var last time.Time
	for _, p := range mark.Silent {
		names = append(names, p.Source)
		if start := p.Wall.Add(slo.AliveFor); start.After(last) {
			last = start
		}
		keep = append(keep, e.book.fire(map[string]string{
			"alertname": alertSilent, "source": p.Source, "severity": string(slo.SeverityTicket),
		}, map[string]string{
			"summary": fmt.Sprintf("Source %s reports nothing", p.Source),
			"description": fmt.Sprintf("It was last heard of at %s, having read through %s with a backlog of %d. What it would "+
				"have seen is missing from every SLO since.", stamp(p.Wall), stamp(p.ReadThrough), p.Backlog),
		}, p.Wall.Add(slo.AliveFor).UTC()))
	}
	if len(mark.Live) == 0 && len(mark.Silent) > 0 {
		keep = append(keep, e.book.fire(map[string]string{
			"alertname": alertSilent, "severity": string(slo.SeverityPage),
		}, map[string]string{
			"summary": "No source reports: nothing is known about any SLO",
			"description": fmt.Sprintf("All SLOs are no_data. Silent: %s. Alerts that fired keep firing until data returns.",
				strings.Join(names, ", ")),
		}, last.UTC()))
	}
	e.book.resolveOthers(alertSilent, keep, now)
}

// blind raises a page if the store has been away for a while or the watermark stands still.
func (e *engine) blind(mark slo.Watermark, now time.Time) {
	labels := map[string]string{"alertname": alertBlind, "severity": string(slo.SeverityPage)}
	const summary = "The SLO engine cannot see: no page about a service can arrive"
	switch {
	case e.trouble != "" && now.Sub(e.troubleSince) >= blindAfter:
		e.book.fire(labels, map[string]string{
			"summary":     summary,
			"description": fmt.Sprintf("Since %s: %s.", stamp(e.troubleSince), e.trouble),
		}, e.troubleSince)
	case e.trouble == "" && len(mark.Live) > 0 && now.Sub(mark.Time) > lateAfter:
		var behind []string
		for _, p := range mark.Live {
			if now.Sub(p.ReadThrough) > lateAfter {
				behind = append(behind, p.Source)
			}
		}
		e.book.fire(labels, map[string]string{
			"summary": summary,
			"description": fmt.Sprintf("Sources are alive but have been read only through %s; behind are %s, with a backlog of %d.",
				stamp(mark.Time), strings.Join(behind, ", "), mark.Backlog),
		}, mark.Time.Add(lateAfter).Truncate(time.Second))
	case e.trouble == "":
		e.book.resolve(labels, now)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// note logs trouble at the store once when it begins or changes, and once when it ends.
func (e *engine) note(ctx context.Context, err error, now time.Time) {
	if err == nil {
		if e.trouble != "" {
			e.logger.Info("store answers again", zap.Duration("away", now.Sub(e.troubleSince).Truncate(time.Second)))
			e.trouble = ""
		}
		return
	}
	e.telemetry.SloEngineTickFailures.Add(ctx, 1)
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = fmt.Sprintf("the store did not answer within %v", queryTimeout)
	}
	if e.trouble == "" {
		e.troubleSince = now.Truncate(time.Second)
	}
	if e.trouble != text {
		e.logger.Warn("cannot evaluate SLOs; they are no_data until the store answers", zap.String("reason", text))
	}
	e.trouble = text
}

func (e *engine) publish(mark slo.Watermark, alerts []alert, now time.Time) {
	s := snapshot{
		Engine: e.id, Now: now, AsOf: e.asof, Watermark: mark.Time.UTC(), Backlog: mark.Backlog, Trouble: e.trouble,
		SLOs: e.statuses, Alerts: alerts, Live: []string{}, Silent: []string{},
	}
	for _, p := range mark.Live {
		s.Live = append(s.Live, p.Source)
	}
	for _, p := range mark.Silent {
		s.Silent = append(s.Silent, p.Source)
	}
	e.mutex.Lock()
	e.snapshot = s
	e.mutex.Unlock()
}
