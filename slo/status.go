package slo

import (
	"math/big"
	"time"
)

// State is how an SLO stands. The states exclude each other; the first that applies in the order below is taken.
type State string

// The states.
const (
	// StateNoData: no source is alive, or it lags, or the store cannot be read. Nothing is known.
	StateNoData State = "no_data"
	// StateExhausted: the error budget of the window is spent.
	StateExhausted State = "exhausted"
	// StateBurning: an alert of the SLO fires.
	StateBurning State = "burning"
	// StateNoTraffic: sources are alive and there was nothing to count in the last hour.
	StateNoTraffic State = "no_traffic"
	// StateLowCoverage: less than 95 % of the events of the last hour or of the budget window could be judged.
	StateLowCoverage State = "low_coverage"
	// StateOK: none of the above.
	StateOK State = "ok"
)

// States returns them in the order they are tried.
func States() []State {
	return []State{StateNoData, StateExhausted, StateBurning, StateNoTraffic, StateLowCoverage, StateOK}
}

// coverageFloor is the least share of events that must be judged.
var coverageFloor = mustDecimal("0.95")

// Status is what one evaluation says of one SLO, with the counts it used.
type Status struct {
	AsOf     time.Time `json:"asof"`
	Service  string    `json:"service"`
	SLO      string    `json:"slo"`
	Title    string    `json:"title"`
	State    State     `json:"state"`
	Severity Severity  `json:"severity"`
	// Objective and Budget are exact and sum to 1.
	Objective Number `json:"objective"`
	Budget    Number `json:"budget"`
	// Remaining is the share of the window's budget that is left; negative once it is overspent; null without a judged event
	// or a budget.
	Remaining Number         `json:"budget_remaining"`
	Window    WindowStatus   `json:"budget_window"`
	Windows   []WindowStatus `json:"windows"`
	Rules     []RuleStatus   `json:"rules"`
	// RunbookURL is the SLO's own runbook, if it names one.
	RunbookURL string `json:"runbook_url,omitempty"`
	// ExcludedSeconds is how much of the budget window does not count.
	ExcludedSeconds int64 `json:"excluded_seconds,omitempty"`
	// composite says that the burn rates do not follow from the counts, unbudgeted that there is no budget.
	composite, unbudgeted bool
}

// WindowStatus is one window: counts, and the ratios that follow from them.
type WindowStatus struct {
	Name string `json:"name"`
	// Seconds is the real length, which differs from the name if windows are scaled.
	Seconds int64  `json:"seconds"`
	Good    uint64 `json:"good"`
	Total   uint64 `json:"total"`
	Judged  uint64 `json:"judged"`
	// ErrorRatio is bad / judged, Burn that ratio / budget, Coverage judged / total; null if the denominator is 0.
	ErrorRatio Number `json:"error_ratio"`
	Burn       Number `json:"burn"`
	Coverage   Number `json:"coverage"`
}

// RuleStatus is one alert rule and whether it holds.
type RuleStatus struct {
	Severity Severity `json:"severity"`
	Long     string   `json:"long"`
	Short    string   `json:"short"`
	Burn     Number   `json:"burn"`
	Firing   bool     `json:"firing"`
	// Guarded says that both windows burn fast enough, but that the few bad events may be an accident: Chance is how likely
	// so many are in the long window if the service keeps its objective.
	Guarded bool    `json:"guarded,omitempty"`
	Chance  float64 `json:"chance,omitempty"`
}

// Evaluate judges an SLO by its counts. live says whether the sources can be trusted to have delivered: at least one is
// alive and what they have read is stored. Without that the state is no_data and no rule is judged.
func Evaluate(s *SLO, asof time.Time, counts Counts, live bool) Status {
	st := Status{
		AsOf: asof, Service: s.Service, SLO: s.Name, Title: s.Title, Objective: s.Objective, Budget: s.Budget(),
		RunbookURL: s.RunbookURL, composite: len(s.Members) > 0, unbudgeted: s.Unbudgeted,
	}
	byName := map[string]WindowStatus{}
	for i, c := range counts.Windows {
		w := s.window(c, counts.Members, func(m Counts) Count { return m.Windows[i] })
		st.Windows = append(st.Windows, w)
		byName[w.Name] = w
	}
	st.Window = s.window(counts.Budget, counts.Members, func(m Counts) Count { return m.Budget })
	st.ExcludedSeconds = s.excludedSeconds(asof.Unix()-st.Window.Seconds, asof.Unix())
	if st.Window.Burn.Valid() && !s.Unbudgeted {
		st.Remaining = rat(new(big.Rat).Sub(one, st.Window.Burn.rat))
	}
	for _, r := range s.Rules {
		rule := RuleStatus{Severity: r.Severity, Long: r.Long, Short: r.Short, Burn: r.Burn}
		if live && exceeds(byName[r.Long], r.Burn) && exceeds(byName[r.Short], r.Burn) {
			rule.Firing, rule.Chance = s.guard(byName[r.Long])
			rule.Guarded = !rule.Firing
		}
		st.Rules = append(st.Rules, rule)
		if rule.Firing && st.Severity != SeverityPage {
			st.Severity = r.Severity
		}
	}
	now := byName[recent]
	switch {
	case !live:
		st.State = StateNoData
	case st.Remaining.Valid() && st.Remaining.rat.Sign() <= 0:
		st.State = StateExhausted
	case st.Severity != SeverityNone:
		st.State = StateBurning
	case now.Total == 0:
		st.State = StateNoTraffic
	case low(now.Coverage) || low(st.Window.Coverage):
		st.State = StateLowCoverage
	default:
		st.State = StateOK
	}
	return st
}

// window is one window of an SLO. The burn rate of a composite follows from those of its members, and its error ratio is
// that at which an SLO with its objective would burn as fast.
func (s *SLO) window(c Count, members []Counts, of func(Counts) Count) WindowStatus {
	w := WindowStatus{
		Name: c.Name, Seconds: int64(c.Length / time.Second), Good: c.Good, Total: c.Total, Judged: c.Judged,
		ErrorRatio: Ratio(c.Judged-c.Good, c.Judged), Coverage: Ratio(c.Judged, c.Total),
	}
	if len(s.Members) == 0 {
		if w.ErrorRatio.Valid() {
			w.Burn = rat(new(big.Rat).Quo(w.ErrorRatio.rat, s.budget()))
		}
		return w
	}
	burns := make([]Number, len(s.Members))
	for i := range s.Members {
		burns[i] = s.Members[i].SLO.window(of(members[i]), nil, nil).Burn
	}
	w.ErrorRatio = Number{}
	if w.Burn = s.combine(burns); w.Burn.Valid() {
		w.ErrorRatio = rat(new(big.Rat).Mul(w.Burn.rat, s.budget()))
	}
	return w
}

// guard reports whether the bad events of a rule's long window are too many for an accident, and if not, how likely
// so many are. Where traffic is plenty, whatever burns fast is; at seven events an hour a single failure is not. Slices
// of time are never few by chance, and neither are they independent of each other.
func (s *SLO) guard(w WindowStatus) (fires bool, chance float64) {
	bad, budget := w.Judged-w.Good, s.Budget().Float64()
	if !s.Guarded() || unlikely(bad, w.Judged, budget, guardChance) {
		return true, 0
	}
	return false, Chance(bad, w.Judged, budget)
}

// countsEvents reports whether what is counted are single events.
func (s *SLO) countsEvents() bool {
	return len(s.Members) == 0 && s.Indicator.Measure == "" && s.Budgeting.Slice == 0
}

func exceeds(w WindowStatus, burn Number) bool { return w.Burn.Valid() && w.Burn.Cmp(burn) > 0 }

func low(coverage Number) bool { return coverage.Valid() && coverage.Cmp(coverageFloor) < 0 }
