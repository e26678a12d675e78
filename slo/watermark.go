package slo

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// AliveFor is how long a source counts as alive after it last reported; it reports every 5 s.
const AliveFor = schema.AliveFor

// rememberedFor is how long a source that fell silent is still missed. After that it is taken as removed.
const rememberedFor = day

// Progress is how far a source has been read and stored.
type Progress struct {
	Source      string
	ReadThrough time.Time
	Backlog     uint64
	// Wall is when the source last reported.
	Wall time.Time
}

// SelectProgress is a query for the progress of every source that reported within the last day. Where a clock was ahead and
// has been put right, what a source said from the future counts only if it has said nothing else.
func SelectProgress(now time.Time) string {
	latest := fmt.Sprintf("(wall < toDateTime(%d), wall)", now.Add(AliveFor).Unix())
	return fmt.Sprintf(`SELECT source, argMax(read_through, %[1]s), argMax(backlog, %[1]s), argMax(wall, %[1]s) AS seen
FROM %[2]s
WHERE wall >= toDateTime(%[3]d)
GROUP BY source
ORDER BY source`, latest, schema.SourceProgress, now.Add(-rememberedFor).Unix())
}

// ReadProgress reads the answer to [SelectProgress].
func ReadProgress(rows Rows) ([]Progress, error) {
	var progress []Progress
	for rows.Next() {
		var p Progress
		if err := rows.Scan(&p.Source, &p.ReadThrough, &p.Backlog, &p.Wall); err != nil {
			return nil, fmt.Errorf("read progress: %w", err)
		}
		progress = append(progress, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	return progress, nil
}

// Watermark is the moment before which everything has been read and stored, as far as anybody alive can tell.
type Watermark struct {
	// Time is the least read_through of the sources alive; zero if none is.
	Time time.Time
	// Live are the sources alive, Silent those that were and are not.
	Live, Silent []Progress
	// Backlog is what the live sources still have to read.
	Backlog uint64
}

// FindWatermark computes it. A source that claims to have read the future, by a clock ahead of ours, has read until now.
func FindWatermark(sources []Progress, now time.Time) Watermark {
	var w Watermark
	for _, p := range sources {
		age := now.Sub(p.Wall)
		switch {
		case age >= rememberedFor:
			continue
		case age >= AliveFor:
			w.Silent = append(w.Silent, p)
			continue
		}
		w.Live = append(w.Live, p)
		w.Backlog += p.Backlog
		through := p.ReadThrough
		if through.After(now) {
			through = now
		}
		if w.Time.IsZero() || through.Before(w.Time) {
			w.Time = through
		}
	}
	byName := func(a, b Progress) int { return cmp.Compare(a.Source, b.Source) }
	slices.SortFunc(w.Live, byName)
	slices.SortFunc(w.Silent, byName)
	return w
}
