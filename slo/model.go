package slo

import (
	"time"
)

// SLO is one objective on one indicator of one service. It is plain data: [Parse] and [Defaults] make it, and everything
// else reads it.
type SLO struct {
	// Name and Service identify it; Service is compared with the rollup's column, so it is a service.name.
	Name, Service string
	Title         string
	Description   string
	Indicator     Indicator
	// Objective is the share of good events to reach, between 0 and 1, exclusive.
	Objective Number
	// Window is the rolling window of the error budget.
	Window time.Duration
	Rules  []Rule
	// Unguarded lets rules fire even where so few bad events may be an accident.
	Unguarded bool
	// RunbookURL replaces the runbook of the alert, if set.
	RunbookURL string
}

// Budget returns the error budget, 1 − objective.
func (s *SLO) Budget() Number {
	return rat(s.budget())
}

// Indicator says which rows of the rollup count, and how.
type Indicator struct {
	// Vantage is the one place of observation that counts: the same connection may be seen by several.
	Vantage string
	// Environment narrows to one deployment environment; empty means all.
	Environment string
	// Hit selects the good events, or the bad ones if HitIsBad.
	Hit      Selection
	HitIsBad bool
	// Total selects the events that are judged.
	Total Selection
	// Unjudged selects events that may or may not belong to Total: nobody could tell. They lower the coverage.
	Unjudged Selection
	// Threshold makes it a latency indicator, if not 0: a hit then also has a duration of at most Threshold, and
	// an event without a duration is not judged.
	Threshold time.Duration
}

// Selection is a set of rows: those that at least one of its terms matches.
type Selection []Term

// Term matches rows of one event whose dimensions have the values in Where and none of those in Except.
type Term struct {
	Event string
	// Where and Except are sorted by dimension.
	Where, Except []Filter
}

// Filter is a dimension and some of its values.
type Filter struct {
	Dimension string
	Values    []string
}
