package slo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// Exclusion is one version of a time that does not count into budgets and burn rates: maintenance, a load test. The highest
// version of an id is in force, unless it is withdrawn.
type Exclusion struct {
	ID      string `json:"id"`
	Version uint32 `json:"version"`
	Service string `json:"service"`
	// SLO is empty for all SLOs of the service.
	SLO string `json:"slo,omitempty"`
	// From and To are whole minutes; the time is half-open.
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Reason    string    `json:"reason"`
	Withdrawn bool      `json:"withdrawn,omitempty"`
	Written   time.Time `json:"written"`
}

// MostExclusions bounds how many are in force. Every count is cut at their ends.
const MostExclusions = 500

// ExclusionsKept is how long ago an exclusion may have ended and still matter to a budget: as long as counts are kept.
var ExclusionsKept = kept(schema.Rollup15m)

// ExclusionID identifies what is excluded, so that saying it twice says it once.
func ExclusionID(service, name string, from, to time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", service, name, from.Unix(), to.Unix()))
	return hex.EncodeToString(sum[:4])
}

// covers reports whether it is about an SLO.
func (e *Exclusion) covers(s *SLO) bool {
	whole, _ := GroupOf(s.Name)
	return !e.Withdrawn && e.Service == s.Service && (e.SLO == "" || e.SLO == whole)
}

// Exclude returns the SLOs with what of the exclusions is about them, which must be in force; whatever counts the SLOs then
// leaves those times out. A composite's members leave out what the composite does, and what is about themselves.
func Exclude(slos []SLO, exclusions []Exclusion) []SLO {
	slos = slices.Clone(slos)
	for i := range slos {
		slos[i].exclude(exclusions, nil)
	}
	return slos
}

func (s *SLO) exclude(exclusions []Exclusion, more []interval) {
	s.excluded = slices.Clone(more)
	for i := range exclusions {
		if e := &exclusions[i]; e.covers(s) {
			s.excluded = append(s.excluded, interval{e.From.Unix(), e.To.Unix()})
		}
	}
	s.Members = slices.Clone(s.Members)
	for i := range s.Members {
		s.Members[i].SLO.exclude(exclusions, s.excluded)
	}
}

// excludedBy returns the times that do not count, widened to whole steps of what is counted: ascending and apart.
func (s *SLO) excludedBy(step time.Duration) []interval {
	n := int64(step / time.Second)
	var spans []interval
	for _, span := range s.excluded {
		spans = append(spans, interval{span.from / n * n, (span.to + n - 1) / n * n})
	}
	slices.SortFunc(spans, func(a, b interval) int { return int(a.from - b.from) })
	apart := spans[:0]
	for _, span := range spans {
		if n := len(apart); n > 0 && span.from <= apart[n-1].to {
			apart[n-1].to = max(apart[n-1].to, span.to)
			continue
		}
		apart = append(apart, span)
	}
	return apart
}

// within reports whether a moment is in one of the spans.
func within(spans []interval, at int64) bool {
	return slices.ContainsFunc(spans, func(s interval) bool { return s.from <= at && at < s.to })
}

// excludedSeconds is how much of [from, to) does not count.
func (s *SLO) excludedSeconds(from, to int64) int64 {
	var sum int64
	for _, span := range s.excludedBy(s.step()) {
		sum += max(0, min(span.to, to)-max(span.from, from))
	}
	return sum
}

// step is what the SLO's budget is made of.
func (s *SLO) step() time.Duration {
	if s.long() {
		return max(s.slice(), quarter)
	}
	return max(s.slice(), time.Minute)
}

// counting is the condition of the buckets of steps that count.
func (s *SLO) counting(step time.Duration) string {
	var b strings.Builder
	for _, span := range s.excludedBy(step) {
		fmt.Fprintf(&b, "\n    AND NOT (bucket >= toDateTime(%d) AND bucket < toDateTime(%d))", span.from, span.to)
	}
	return b.String()
}

// countedIn are the times within a span that count.
func (s *SLO) countedIn(span interval) []interval {
	var counted []interval
	for _, out := range append(s.excludedBy(s.step()), interval{span.to, span.to}) {
		if until := min(out.from, span.to); span.from < until {
			counted = append(counted, interval{span.from, until})
		}
		span.from = max(span.from, out.to)
	}
	return counted
}

// Excluding returns those of the exclusions that are about an SLO and overlap [from, to).
func Excluding(s *SLO, exclusions []Exclusion, from, to time.Time) []Exclusion {
	return slices.DeleteFunc(slices.Clone(exclusions), func(e Exclusion) bool {
		return !e.covers(s) || !e.From.Before(to) || !e.To.After(from)
	})
}

const exclusionColumns = "id, version, service, slo, starts, ends, reason, withdrawn, written"

// InsertExclusions is the statement that [Exclusion.Row] has the values for.
const InsertExclusions = "INSERT INTO " + schema.SLOExclusions + " (" + exclusionColumns + ")"

// Row returns the values of a row.
func (e *Exclusion) Row() []any {
	return []any{e.ID, e.Version, e.Service, e.SLO, e.From, e.To, e.Reason, e.Withdrawn, e.Written}
}

// SelectExclusions is a query for what is in force and ended after a moment. [ReadInForce] reads it.
func SelectExclusions(after time.Time) string {
	return fmt.Sprintf(`SELECT %[1]s
FROM
(
    SELECT %[1]s
    FROM %[2]s
    ORDER BY id, version DESC, written DESC
    LIMIT 1 BY id
)
WHERE NOT withdrawn AND ends > toDateTime(%[3]d)
ORDER BY starts DESC, id
LIMIT %[4]d`, exclusionColumns, schema.SLOExclusions, after.Unix(), MostExclusions+1)
}

// SelectExclusionVersions is a query for every version that was ever written, of a service or, if it is empty, of all.
func SelectExclusionVersions(service string) string {
	where := ""
	if service != "" {
		where = "\nWHERE service = " + quote(service)
	}
	return fmt.Sprintf("SELECT %s\nFROM %s%s\nORDER BY starts DESC, id, version, written", exclusionColumns,
		schema.SLOExclusions, where)
}

// ReadInForce reads the answer to [SelectExclusions]. More than [MostExclusions] are an error: to leave some out would
// change what counts.
func ReadInForce(rows Rows) ([]Exclusion, error) {
	exclusions, err := ReadExclusions(rows)
	if err == nil && len(exclusions) > MostExclusions {
		return nil, fmt.Errorf("more than %d exclusions are in force; withdraw some, or say several as one", MostExclusions)
	}
	return exclusions, err
}

// ReadExclusions reads the answer to [SelectExclusionVersions].
func ReadExclusions(rows Rows) ([]Exclusion, error) {
	exclusions := []Exclusion{}
	for rows.Next() {
		var e Exclusion
		if err := rows.Scan(&e.ID, &e.Version, &e.Service, &e.SLO, &e.From, &e.To, &e.Reason, &e.Withdrawn,
			&e.Written); err != nil {
			return nil, fmt.Errorf("read exclusions: %w", err)
		}
		e.From, e.To, e.Written = e.From.UTC(), e.To.UTC(), e.Written.UTC()
		exclusions = append(exclusions, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read exclusions: %w", err)
	}
	return exclusions, nil
}

// About names what is excluded.
func (e *Exclusion) About() string {
	if e.SLO == "" {
		return "all SLOs of " + e.Service
	}
	return e.SLO + " of " + e.Service
}

// WriteExclusions writes them for a terminal.
func WriteExclusions(w io.Writer, exclusions []Exclusion) error {
	if len(exclusions) == 0 {
		_, err := io.WriteString(w, "no exclusions\n")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tVERSION\tSTATE\tOF\tFROM\tTO\tLENGTH\tWRITTEN\tREASON")
	for i := range exclusions {
		e := &exclusions[i]
		state := "in force"
		switch {
		case e.Withdrawn:
			state = "withdrawn"
		case slices.ContainsFunc(exclusions, func(o Exclusion) bool { return o.ID == e.ID && o.Version > e.Version }):
			state = "replaced"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Version, state, e.About(), moment(e.From),
			moment(e.To), hours(e.To.Sub(e.From)), moment(e.Written), e.Reason)
	}
	return t.Flush()
}

// hours writes a length in hours and minutes.
func hours(d time.Duration) string {
	switch h, m := d/time.Hour, d%time.Hour/time.Minute; {
	case h == 0:
		return fmt.Sprintf("%dm", m)
	case m == 0:
		return fmt.Sprintf("%dh", h)
	default:
		return fmt.Sprintf("%dh%dm", h, m)
	}
}

// writeExclusions says what does not count of a budget's window.
func writeExclusions(b *strings.Builder, exclusions []Exclusion, st *Status) {
	if len(exclusions) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s of %s do not count\n", hours(time.Duration(st.ExcludedSeconds)*time.Second), st.Window.Name)
	for i := range exclusions {
		e := &exclusions[i]
		fmt.Fprintf(b, "  %s to %s, %s: %s (%s, written %s)\n", moment(e.From), moment(e.To), e.About(), e.Reason, e.ID,
			moment(e.Written))
	}
}
