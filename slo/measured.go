package slo

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// measuredWithin is how far back the slices of a measure are looked at, besides one whole slice.
const measuredWithin = time.Hour

// Measured is what was measured, beside the threshold that an SLO judges it by.
type Measured struct {
	Threshold string `json:"threshold"`
	// Judged and Quantiles are of durations over the budget window.
	Judged    uint64     `json:"judged,omitempty"`
	Quantiles []Quantile `json:"quantiles,omitempty"`
	// Slices are the values of a measure in the last hour, the oldest first.
	Slices []Slice `json:"slices,omitempty"`
}

// Quantile lies above one bound of the histogram and within the next, or beyond the last where Within is nil. The estimate
// spreads the durations between two bounds evenly.
type Quantile struct {
	Percent  int      `json:"percent"`
	Above    float64  `json:"above_seconds"`
	Within   *float64 `json:"within_seconds"`
	Estimate *float64 `json:"estimate_seconds"`
}

// Slice is the value of a measure in a slice of time.
type Slice struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// SelectMeasured is a query for what an SLO measured as of a moment: the sums of the histogram, or the values of slices. It is empty for an
// SLO without a threshold, for the group that others fold into, and for groups of a measure.
func SelectMeasured(s *SLO, asof time.Time) string {
	_, group := GroupOf(s.Name)
	switch {
	case s.Indicator.Threshold != 0 && !s.folded:
		columns := append([]string{schema.DurationCount}, schema.DurationColumns()...)
		sums := make([]string, len(columns))
		for i, c := range columns {
			sums[i] = "toUInt64(sum(" + c + "))"
		}
		return fmt.Sprintf("SELECT [%s] AS sums\nFROM\n(\n%s\n)\nWHERE %s", strings.Join(sums, ", "),
			indent(s.budgetRows(asof, columns...)), s.Indicator.Total.SQL())
	case s.Indicator.Measure != "" && !group:
		q := Query{AsOf: asof, slos: []SLO{*s}}
		slice := s.slice()
		sc := scan{kind: ofRollup, table: schema.Rollup1m, slice: slice, end: floor(asof, slice).Unix()}
		value := "h / j"
		switch m := s.Indicator.Measure; {
		case m.ofRates():
			sc.kind, sc.table, value = ofRates, schema.ConnectionRate, m.rateColumn()
		case m == MeasureChurn:
			sc.kind, sc.table, value = ofGauges, schema.Gauges10s, "h * 3600 / j"
		case m.ofGauges():
			sc.kind, sc.table = ofGauges, schema.Gauges10s
		case m == MeasureCount:
			value = "h"
		}
		q.slots = []slot{{slo: s, active: -1}}
		w := q.count(0, s, sc, Window{Length: (measuredWithin + slice - 1) / slice * slice})
		fold := indent(q.fold(q.parts[w.part], []int{0}, false))
		if sc.kind != ofRates {
			fold = "    SELECT at, sum(h) AS h, sum(j) AS j\n    FROM\n    (\n" + indent(fold) + "\n    )\n    GROUP BY at"
		}
		judged := "j > 0"
		if s.Indicator.Measure == MeasureCount {
			judged = "1"
		}
		return fmt.Sprintf("SELECT toDateTime(at * %d, 'UTC') AS slice, toFloat64(%s) AS value\n"+
			"FROM\n(\n%s\n)\nWHERE %s\nORDER BY slice",
			slice/time.Second, value, fold, judged)
	}
	return ""
}

// ReadMeasured reads the answer to [SelectMeasured]; it is nil where nothing was measured.
func ReadMeasured(rows Rows, s *SLO) (*Measured, error) {
	m := &Measured{Threshold: s.Indicator.Limit.String()}
	if s.Indicator.Threshold != 0 {
		m.Threshold = "≤ " + s.Indicator.Threshold.String()
	}
	excluded := s.excludedBy(max(s.slice(), time.Minute))
	for rows.Next() {
		var err error
		if s.Indicator.Threshold != 0 {
			var sums []uint64
			if err = rows.Scan(&sums); err == nil && len(sums) == 1+len(event.DurationBounds) && sums[0] > 0 {
				m.Judged, m.Quantiles = sums[0], quantilesOf(sums[0], sums[1:])
			}
		} else {
			var v Slice
			err = rows.Scan(&v.At, &v.Value)
			if !within(excluded, v.At.Unix()) && !math.IsNaN(v.Value) {
				m.Slices = append(m.Slices, v)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read what was measured: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what was measured: %w", err)
	}
	if m.Judged == 0 && len(m.Slices) == 0 {
		return nil, nil //nolint:nilnil // nothing measured is no fault
	}
	return m, nil
}

// quantilesOf are those of n durations; sums are how many are within each bound.
func quantilesOf(n uint64, sums []uint64) []Quantile {
	var quantiles []Quantile
	for _, percent := range []int{50, 95, 99} {
		q := Quantile{Percent: percent}
		// The least duration that so many are within.
		rank := (n*uint64(percent) + 99) / 100 //nolint:gosec // a percentage
		below := uint64(0)
		for i, bound := range event.DurationBounds {
			if to := bound.Seconds(); sums[i] >= rank {
				estimate := q.Above + (to-q.Above)*float64(rank-below)/float64(sums[i]-below)
				q.Within, q.Estimate = &to, &estimate
				break
			}
			q.Above, below = bound.Seconds(), sums[i]
		}
		quantiles = append(quantiles, q)
	}
	return quantiles
}

func seconds(s float64) string {
	return time.Duration(math.Round(s * 1e9)).Round(time.Microsecond).String()
}

// write says it in a line or two.
func (m *Measured) write(b *strings.Builder, over string) {
	if m.Judged > 0 {
		fmt.Fprintf(b, "\nmeasured over %s, to be %s:", over, m.Threshold)
		for i, q := range m.Quantiles {
			if i > 0 {
				b.WriteString(",")
			}
			if q.Within == nil {
				fmt.Fprintf(b, " p%d above %s", q.Percent, seconds(q.Above))
				continue
			}
			fmt.Fprintf(b, " p%d about %s (%s to %s)", q.Percent, seconds(*q.Estimate), seconds(q.Above), seconds(*q.Within))
		}
		b.WriteString("\n")
		return
	}
	last, lowest, highest := m.Slices[len(m.Slices)-1], math.Inf(1), math.Inf(-1)
	for _, v := range m.Slices {
		lowest, highest = min(lowest, v.Value), max(highest, v.Value)
	}
	fmt.Fprintf(b, "\nmeasured, to be %s: %.4g at %s; %.4g to %.4g within the last hour\n", m.Threshold,
		last.Value, moment(last.At),
		lowest, highest)
}
