package slo

import (
	"fmt"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// coverFrom is how long a time must be for its rows to be read by the quarter of an hour where that gives the same.
const coverFrom = secondsOfDay

// cover divides spans of time, which ascend, into the quarters of hours that lie within one of them and what is left.
func cover(spans []interval) (own, quarters []interval) {
	const step = int64(quarter / time.Second)
	add := func(ranges *[]interval, from, to int64) {
		if from < to {
			*ranges = append(*ranges, interval{from, to})
		}
	}
	for _, span := range spans {
		from, to := (span.from+step-1)/step*step, span.to/step*step
		if from >= to {
			add(&own, span.from, span.to)
			continue
		}
		add(&own, span.from, from)
		add(&quarters, from, to)
		add(&own, to, span.to)
	}
	return joined(own), joined(quarters)
}

// rowsOf selects rows in ranges of time: the quarters of hours from their tier, which has a fraction of the rows, and the
// others from a table.
func rowsOf(table string, own, quarters []interval, and string, rows func(table, where string) string) string {
	var tiers []string
	for _, tier := range []struct {
		table  string
		ranges []interval
	}{{table, own}, {schema.Rollup15m, quarters}} {
		if len(tier.ranges) == 0 {
			continue
		}
		ranges := make([]string, len(tier.ranges))
		for i, r := range tier.ranges {
			ranges[i] = fmt.Sprintf("bucket >= toDateTime(%d) AND bucket < toDateTime(%d)", r.from, r.to)
		}
		tiers = append(tiers, rows(tier.table, "WHERE ("+strings.Join(ranges, " OR ")+")"+and))
	}
	return strings.Join(tiers, "\nUNION ALL\n")
}

// reading selects columns of the buckets of a table.
func reading(columns ...string) func(table, where string) string {
	return func(table, where string) string {
		return "SELECT " + schema.Bucket + ", " + strings.Join(columns, ", ") + "\nFROM " + table + "\n" + where
	}
}

// joined makes one interval of those that follow each other.
func joined(ascending []interval) []interval {
	var all []interval
	for _, i := range ascending {
		if last := len(all) - 1; last >= 0 && all[last].to == i.from {
			all[last].to = i.to
		} else {
			all = append(all, i)
		}
	}
	return all
}
