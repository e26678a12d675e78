package slo

import (
	"time"
)

// SLO is one objective on one indicator of one service, or on several if it is a composite. It is plain data: [Parse]
// and [Defaults] make it, and everything else reads it. A document with several objectives gives an SLO for each.
type SLO struct {
	// Name and Service identify it; Service is compared with the rollup's column, so it is a service.name. The name of one
	// of several objectives is the document's and, behind a slash, the objective's.
	Name, Service string
	Title         string
	Description   string
	// Indicator is the zero Indicator in a composite.
	Indicator Indicator
	// Objective is the share of good events (or slices) to reach, between 0 and 1, exclusive. That of a composite is the
	// weighted mean of its members'.
	Objective Number
	// Window is the length of the error budget's window; that of a calendar window is nominal: a month has 30 days.
	Window time.Duration
	// Calendar aligns the window with the calendar; nil means a rolling window.
	Calendar *Calendar
	// Budgeting says what counts: events, or slices of time.
	Budgeting Budgeting
	// Unbudgeted says that there is no budget to exhaust: the indicator is watched by its rules alone.
	Unbudgeted bool
	Rules      []Rule
	// Unguarded lets rules fire even where so few bad events may be an accident.
	Unguarded bool
	// Grouping splits the counts; the SLO as a whole is judged all the same.
	Grouping Grouping
	// Members make it a composite, if there are any. They have its window and budgeting, and no rules.
	Members []Member
	// Combine says how the burn rates of the members make that of the composite.
	Combine Combine
	// RunbookURL replaces the runbook of the alert, if set.
	RunbookURL string
	// Capacity is how many connections the service may hold, as its document says; 0 where it says nothing.
	Capacity uint64
	// folded is set for the group that others fold into. Which those are is known only where all groups are counted.
	folded bool
	// excluded are the times that do not count; [Exclude] sets them.
	excluded []interval
}

// listable reports whether the events that the SLO counts can be listed.
func (s *SLO) listable() bool { return s.countsEvents() && !s.folded }

// Budget returns the error budget, 1 − objective.
func (s *SLO) Budget() Number {
	return rat(s.budget())
}

// Method is how a budget is counted, in OpenSLO's words.
type Method string

// The methods.
const (
	// Occurrences counts good events among those judged.
	Occurrences Method = "Occurrences"
	// Timeslices counts good slices of time among those in which something was judged.
	Timeslices Method = "Timeslices"
	// RatioTimeslices takes the mean of the slices' ratios, over those in which something was judged.
	RatioTimeslices Method = "RatioTimeslices"
)

// Budgeting is a method and its parameters.
type Budgeting struct {
	Method Method
	// Slice is the length of a slice, whole minutes; 0 for Occurrences. Slices are aligned: the first began with 1970.
	Slice time.Duration
	// SliceTarget is the ratio that makes a slice good; only for Timeslices.
	SliceTarget Number
}

// ratioUnit is what one slice counts for under RatioTimeslices: its ratio is rounded down to a multiple of 1/ratioUnit, so
// that the mean is a ratio of integers too.
const ratioUnit = 1_000_000_000

// Combine is how members make a composite.
type Combine string

// The ways to combine.
const (
	// CombineWeighted: the weighted mean of the members' burn rates. Each member's own objective says what it may burn,
	// its weight how much of the common budget that is.
	CombineWeighted Combine = "weighted"
	// CombineWorst: the highest burn rate. The composite holds only as long as every member does.
	CombineWorst Combine = "worst"
)

// Member is one objective of a composite.
type Member struct {
	SLO SLO
	// Weight is above 0.
	Weight Number
}

// Grouping splits an SLO by dimensions. The groups with the most events over the budget window count by themselves; the
// others fold into one without a key.
type Grouping struct {
	// By are dimensions of the rollup, in the document's order; none means no groups.
	By []string
	// Max is how many groups there are at most, besides the one that the others fold into.
	Max int
	// Rules are the alerts of each group.
	Rules []Rule
}

// OtherGroups is what the group that the groups beyond the bound fold into is called, where others are called by their
// values: no value is without a dimension, so a tenant of that name is another.
const OtherGroups = "others"

// Indicator says which rows of the rollup count, and how.
type Indicator struct {
	// Vantage is the one place of observation that counts: the same connection may be seen by several.
	Vantage string
	// Environment narrows to one deployment environment; empty means all.
	Environment string
	// Hit selects the good events, or the bad ones if HitIsBad.
	Hit      Selection
	HitIsBad bool
	// Separate says that some of Hit, which are bad, are not among Total's own events but stand for one of them each, as a
	// rejected message does for the message. At the edge of a window there may be more of them than Total has; then all
	// that were judged are bad.
	Separate bool
	// Total selects the events that are judged.
	Total Selection
	// Active adds the connections open at asof, as far as sources know them, to Total and to the good ones. With closes as
	// Total that makes every connection that was open at any time of the window: those that ended, and those that did not.
	Active bool
	// Unjudged selects events that may or may not belong to Total: nobody could tell. They lower the coverage.
	Unjudged Selection
	// Threshold makes it a latency indicator, if not 0: a hit then also has a duration of at most Threshold, and
	// an event without a duration is not judged.
	Threshold time.Duration
	// Measure makes it a threshold indicator, if set: what counts are the minutes in which the measure is known, and good
	// are those whose value satisfies Limit. Hit is empty then; Total selects what the measure "count" counts.
	Measure Measure
	Limit   Limit
}

// Limit compares a value.
type Limit struct {
	Op    Operator
	Value Number
}

// Operator is a comparison, in OpenSLO's words.
type Operator string

// The operators.
const (
	LessThan       Operator = "lt"
	LessOrEqual    Operator = "lte"
	GreaterThan    Operator = "gt"
	GreaterOrEqual Operator = "gte"
)

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

// Count is what was found in one window: events, slices under Timeslices, parts of slices under RatioTimeslices.
type Count struct {
	Window
	// Total is how many there were, Judged how many of them could be judged, Good how many of those were good.
	Good, Total, Judged uint64
}

// Counts are those of one SLO: the burn windows in order, then the budget window.
type Counts struct {
	Windows []Count
	Budget  Count
	// Groups are those of a grouped SLO, the largest first and the one that others fold into last.
	Groups []Group
	// Members are those of a composite, in order; its own Windows then have the members' sums.
	Members []Counts
}

// Group is the counts of one group.
type Group struct {
	// Key are the values of Grouping.By; nil is the group that others fold into.
	Key []string
	Counts
}
