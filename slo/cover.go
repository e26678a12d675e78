package slo

import (
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// coverFrom is how long a time must be for its rows to be read by the quarter of an hour where that gives the same.
const coverFrom = secondsOfDay

// cover divides spans of time, which ascend, into the quarters of hours that lie within one of them and the minutes that are left.
func cover(spans []interval) (minutes, quarters []interval) {
	const step = int64(quarter / time.Second)
	add := func(ranges *[]interval, from, to int64) {
		switch last := len(*ranges) - 1; {
		case from >= to:
		case last >= 0 && (*ranges)[last].to == from:
			(*ranges)[last].to = to
		default:
			*ranges = append(*ranges, interval{from, to})
		}
	}
	for _, span := range spans {
		from, to := (span.from+step-1)/step*step, span.to/step*step
		if from >= to {
			add(&minutes, span.from, span.to)
			continue
		}
		add(&minutes, span.from, from)
		add(&quarters, from, to)
		add(&minutes, to, span.to)
	}
	return minutes, quarters
}

// rowsOf selects bucket and columns of the minutes and the quarters of hours in ranges of time. The quarters have a fraction of the rows.
func rowsOf(minutes, quarters []interval, columns, and string) string {
	var tiers []string
	for _, tier := range []struct {
		table  string
		ranges []interval
	}{{schema.Rollup1m, minutes}, {schema.Rollup15m, quarters}} {
		if len(tier.ranges) == 0 {
			continue
		}
		ranges := make([]string, len(tier.ranges))
		for i, r := range tier.ranges {
			ranges[i] = fmt.Sprintf("bucket >= toDateTime(%d) AND bucket < toDateTime(%d)", r.from, r.to)
		}
		tiers = append(tiers, fmt.Sprintf("SELECT bucket, %s\nFROM %s\nWHERE (%s)%s", columns, tier.table,
			strings.Join(ranges, " OR "), and))
	}
	return strings.Join(tiers, "\nUNION ALL\n")
}
