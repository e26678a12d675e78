package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sockeye-project/sockeye/store/schema"
)

// quarter is the coarsest bucket: a range is checked and repaired in whole ones.
const quarter = 15 * time.Minute

// CheckOptions says what to check. The zero value checks the last 24 hours.
type CheckOptions struct {
	// From and To bound the range, From inclusive. It is widened to whole quarters of an hour and ends at the watermark
	// at the latest. A zero To is now, a zero From 24 hours before the end.
	From, To time.Time
	// Repair makes the tiers of the range equal to the events.
	Repair bool
	// IgnoreSilent lets Repair go beyond what a source that is silent now had read when it was last heard of. It is for
	// sources that never come back: a chunk that one of them sends again would be counted twice.
	IgnoreSilent bool
	// Timeout bounds each statement; 0 means no bound.
	Timeout time.Duration
	// Now is the time at which the range ends and retention is counted; zero means time.Now.
	Now time.Time
}

// CheckReport is what a check found.
type CheckReport struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Events is how many rows of events lie in the range.
	Events uint64       `json:"events"`
	Equal  bool         `json:"equal"`
	Tiers  []TierReport `json:"tiers"`
	// Sides are the side tables: compared over their whole buckets, never repaired.
	Sides []TierReport `json:"side_tables"`
	// Chunks is the comparison with what each chunk held when it was inserted.
	Chunks ChunkReport `json:"chunks"`
	// Unchecked are tables with rows of their own that nothing says how many there should be.
	Unchecked []string `json:"unchecked"`
	// Notes say why less was checked than was asked for.
	Notes []string `json:"notes,omitempty"`
}

// TierReport is what a check found in one rollup tier or side table.
type TierReport struct {
	Table string `json:"table"`
	// From is later than the report's where the table keeps its rows for a shorter time than events do, or where a
	// side table's bucket begins later. It is the report's To where nothing could be compared.
	From  time.Time `json:"from"`
	Equal bool      `json:"equal"`
	// Repaired is how many keys (a bucket and its dimensions) were corrected.
	Repaired uint64 `json:"repaired,omitempty"`
	// First is the first difference, by bucket and then by dimensions in the order of the sorting key; nil if Equal.
	First *Difference `json:"first_difference,omitempty"`
}

// ChunkReport compares the rows of events with what their chunks held when they were inserted.
type ChunkReport struct {
	// Compared is how many chunks lie wholly in the range. Those that reach beyond it are left out.
	Compared uint64 `json:"compared"`
	Equal    bool   `json:"equal"`
	// First is the chunk that differs and ends first; nil if Equal.
	First *ChunkDifference `json:"first_difference,omitempty"`
}

// ChunkDifference is a chunk whose rows in events are not as many as were inserted.
type ChunkDifference struct {
	ChunkID string    `json:"chunk_id"`
	Last    time.Time `json:"last"`
	Held    uint64    `json:"held"`
	Found   uint64    `json:"found"`
}

func (d ChunkDifference) String() string {
	return fmt.Sprintf("chunk %q up to %s: it held %d events, %d are stored", d.ChunkID, stamp(d.Last), d.Held, d.Found)
}

// Difference is one measure that a recount of the events does not give.
type Difference struct {
	Bucket     time.Time   `json:"bucket"`
	Dimensions []Dimension `json:"dimensions"`
	Measure    string      `json:"measure"`
	// Stored and Recounted are decimals, as text: a sum may be larger than a JSON reader's numbers.
	Stored    string `json:"stored"`
	Recounted string `json:"recounted"`
}

// Dimension is a dimension's name and value.
type Dimension struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (d Difference) String() string {
	var b strings.Builder
	b.WriteString("bucket " + d.Bucket.UTC().Format(time.RFC3339))
	for _, dimension := range d.Dimensions {
		if dimension.Value != "" {
			fmt.Fprintf(&b, " %s=%q", dimension.Name, dimension.Value)
		}
	}
	return fmt.Sprintf("%s: %s is %s, the events give %s", b.String(), d.Measure, d.Stored, d.Recounted)
}

// Check recounts the events of a range into every rollup tier, every side table and against what their chunks held, and
// names the first difference of each. With Repair it first corrects the tiers; what chunks miss it cannot bring back, and
// side tables are no sums that a difference could correct. An error means
// that it could not be checked, or was repaired in part; repeating it is safe.
func (s *Store) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Repair && s.cluster.Enabled() {
		return CheckReport{}, errors.New("repair: not on a cluster, where a replica that lags looks like a difference")
	}
	if err := s.checkLayout(ctx); err != nil {
		return CheckReport{}, err
	}
	c := &checker{Store: s, timeout: o.Timeout}
	report, err := c.scope(ctx, o)
	if err != nil {
		return report, err
	}
	report.Unchecked = []string{schema.Traces, schema.PayloadSamples, schema.DeadLetters}
	repaired := make([]uint64, len(report.Tiers))
	// A chunk that arrives late, between the reading of the events and of the tier, is corrected in the next pass.
	for range 3 {
		if !o.Repair {
			break
		}
		var corrected uint64
		for i := range report.Tiers {
			n, err := c.repair(ctx, schema.Tiers()[i], report.Tiers[i].From, report.To)
			if err != nil {
				return report, err
			}
			repaired[i] += n
			corrected += n
		}
		if corrected == 0 {
			break
		}
	}
	report.Notes = append(report.Notes, c.notes...)
	if report.Chunks, err = c.chunks(ctx, report.From, report.To); err != nil {
		return report, err
	}
	report.Equal = report.Chunks.Equal
	for i := range report.Tiers {
		tier := &report.Tiers[i]
		if tier.First, err = c.first(ctx, schema.Tiers()[i], tier.From, report.To); err != nil {
			return report, err
		}
		tier.Equal, tier.Repaired = tier.First == nil, repaired[i]
		report.Equal = report.Equal && tier.Equal
	}
	for i, d := range sides() {
		side := &report.Sides[i]
		if *side, err = c.side(ctx, d, side.From, report.To); err != nil {
			return report, err
		}
		report.Equal = report.Equal && side.Equal
	}
	return report, nil
}

type checker struct {
	*Store
	timeout time.Duration
	notes   []string
}

// statement runs do with the time of one statement.
func (c *checker) statement(ctx context.Context, doing string, do func(context.Context) error) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	return c.explain(doing, do(ctx))
}

// scope decides what can be checked.
func (c *checker) scope(ctx context.Context, o CheckOptions) (CheckReport, error) {
	var report CheckReport
	note := func(format string, args ...any) { report.Notes = append(report.Notes, fmt.Sprintf(format, args...)) }

	from, to := o.From, o.To
	if to.IsZero() {
		to = o.Now.Truncate(quarter)
	}
	if !from.IsZero() && !from.Before(to) {
		return report, fmt.Errorf("from %s is not before to %s", stamp(from), stamp(to))
	}
	asked := to.Add(quarter - 1).Truncate(quarter)
	bound, why, err := c.bound(ctx, o)
	if err != nil {
		return report, err
	}
	bound = bound.Truncate(quarter)
	to = asked
	if bound.Before(to) {
		to = bound
		if !o.To.IsZero() || bound.Before(asked.Add(-quarter)) {
			note("the range ends at %s instead of %s: %s", stamp(to), stamp(asked), why)
		}
	}
	if from.IsZero() {
		from = to.Add(-24 * time.Hour)
	}
	from = from.Truncate(quarter)
	if !from.Before(to) {
		return report, fmt.Errorf("nothing from %s on can be checked yet: %s", stamp(from), why)
	}

	kept, err := c.kept(ctx, schema.Events, o.Now)
	if err != nil {
		return report, err
	}
	if from.Before(kept) {
		switch {
		case o.Repair && !o.From.IsZero():
			return report, fmt.Errorf("events are kept from %s on, nothing before can be repaired; repair from there",
				stamp(kept))
		case !kept.Before(to):
			return report, fmt.Errorf("events are kept from %s on, the range ends at %s", stamp(kept), stamp(to))
		}
		note("the range begins at %s instead of %s: events are not kept for longer", stamp(kept), stamp(from))
		from = kept
	}
	report.From, report.To = from.UTC(), to.UTC()

	begin := func(table string) (TierReport, error) {
		kept, err := c.kept(ctx, table, o.Now)
		begin := from
		if begin.Before(kept) {
			begin = kept
			if begin.After(to) {
				begin = to
			}
			note("%s is compared from %s on: it is not kept for longer", table, stamp(begin))
		}
		return TierReport{Table: table, From: begin.UTC()}, err
	}
	for _, tier := range schema.Tiers() {
		t, err := begin(tier.Table)
		if err != nil {
			return report, err
		}
		report.Tiers = append(report.Tiers, t)
	}
	for _, d := range sides() {
		t, err := begin(d.table)
		if err != nil {
			return report, err
		}
		if d.table == schema.Audit {
			made, err := c.auditMade(ctx)
			if err != nil {
				return report, err
			}
			if t.From.Before(made) {
				t.From = made
			}
		}
		report.Sides = append(report.Sides, t)
	}
	return report, c.statement(ctx, "count events", func(ctx context.Context) error {
		return c.conn.QueryRow(ctx, "SELECT count() FROM "+schema.Events+" AS e WHERE "+
			between("e."+schema.CountedAt, from, to)).Scan(&report.Events)
	})
}

// auditMade is when the table of audit events began to be filled: what was stored before is not in it.
func (c *checker) auditMade(ctx context.Context) (time.Time, error) {
	status, err := c.MigrationStatus(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range status.Migrations {
		if m.Name == schema.Audit && !m.Applied.IsZero() {
			return m.Applied.UTC().Truncate(quarter).Add(quarter), nil
		}
	}
	return time.Now().UTC(), nil
}

// bound is the time before which nothing is expected to arrive any more, and what says so.
//
// For a repair that is more than the watermark: a source that died between storing a chunk's events and what a view
// makes of them sends it again when it returns, which completes the tier. Had a repair counted these events by then,
// they would be counted twice. Such a chunk lies behind what the source had said to have read.
func (c *checker) bound(ctx context.Context, o CheckOptions) (time.Time, string, error) {
	var sources []Progress
	err := c.statement(ctx, "read progress", func(ctx context.Context) (err error) {
		sources, err = c.Sources(ctx)
		return err
	})
	if err != nil {
		return time.Time{}, "", err
	}
	bound, why := o.Now, "later events may still arrive"
	for _, p := range sources {
		silent := !p.Wall.After(o.Now.Add(-schema.AliveFor))
		if silent && (!o.Repair || o.IgnoreSilent) || !p.ReadThrough.Before(bound) {
			continue
		}
		bound = p.ReadThrough
		why = fmt.Sprintf("source %q has been read and stored up to %s", p.Source, stamp(bound))
		if silent {
			why += ", and is silent; if it never comes back, ignore silent sources"
		}
	}
	return bound, why, nil
}

var ttlInterval = regexp.MustCompile(`toInterval(Second|Minute|Hour|Day)\((\d+)\)$`)

// kept is the time from which on a table certainly holds its rows: its retention ago, and some time for the check.
func (c *checker) kept(ctx context.Context, table string, now time.Time) (time.Time, error) {
	var engine string
	err := c.statement(ctx, "read retention of "+table, func(ctx context.Context) error {
		return c.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?",
			c.cluster.Stored(table)).Scan(&engine)
	})
	if err != nil {
		return time.Time{}, err
	}
	clause := ttlClause.FindStringSubmatch(engine)
	if clause == nil {
		return time.Time{}, nil
	}
	if shortest, ok := shortestByTenant(clause[1]); ok {
		return now.Add(-shortest).Truncate(quarter).Add(2 * quarter), nil
	}
	parts := ttlInterval.FindStringSubmatch(clause[1])
	if parts == nil {
		return time.Time{}, fmt.Errorf("table %s: its TTL is not one of sockeye's; set it by retention in the configuration",
			table)
	}
	n, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	unit := map[string]time.Duration{
		"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour, "Day": 24 * time.Hour,
	}[parts[1]]
	if n > int64(math.MaxInt64/unit) {
		return time.Time{}, nil
	}
	return now.Add(-time.Duration(n) * unit).Truncate(quarter).Add(2 * quarter), nil
}

// sliceRows is how many rows of events and of a tier one query compares, if a quarter of an hour does not hold more.
const sliceRows = 1_000_000

// slices cuts a range into whole quarters of an hour, so that no query compares too much at once and none compares
// nothing.
func (c *checker) slices(ctx context.Context, tier schema.Tier, from, to time.Time) ([][2]time.Time, error) {
	var list [][2]time.Time
	err := c.statement(ctx, "check "+tier.Table, func(ctx context.Context) error {
		const part = "SELECT toDateTime(intDiv(toUnixTimestamp(%s), 900) * 900, 'UTC') AS start, count() AS n" +
			" FROM %s WHERE %s GROUP BY start"
		rows, err := c.conn.Query(ctx, fmt.Sprintf(
			"SELECT start, sum(n) FROM ("+part+" UNION ALL "+part+") GROUP BY start ORDER BY start",
			schema.CountedAt, schema.Events, between(schema.CountedAt, from, to),
			schema.Bucket, tier.Table, between(schema.Bucket, from, to)))
		if err != nil {
			return err
		}
		defer rows.Close()
		var held uint64
		for rows.Next() {
			var begin time.Time
			var n uint64
			if err := rows.Scan(&begin, &n); err != nil {
				return err
			}
			if len(list) == 0 || held+n > sliceRows {
				list, held = append(list, [2]time.Time{begin}), 0
			}
			list[len(list)-1][1] = begin.Add(quarter)
			held += n
		}
		return rows.Err()
	})
	return list, err
}

// narrow cuts a slice down to the buckets from the first to the last that may differ.
func (c *checker) narrow(ctx context.Context, tier schema.Tier, slice [2]time.Time) ([2]time.Time, bool, error) {
	var n uint64
	err := c.statement(ctx, "check "+tier.Table, func(ctx context.Context) error {
		return c.conn.QueryRow(reading(ctx), "SELECT count(), min(bucket), max(bucket) FROM ("+
			suspects(tier, slice[0], slice[1])+")").Scan(&n, &slice[0], &slice[1])
	})
	slice[1] = slice[1].Add(tier.Step)
	return slice, n > 0, err
}

// chunks compares the chunks that lie wholly in a range with their rows in events.
func (c *checker) chunks(ctx context.Context, from, to time.Time) (ChunkReport, error) {
	report := ChunkReport{Equal: true}
	const doing = "check " + schema.Chunks
	within := between(schema.ChunkFirst, from, to) + " AND " + between(schema.ChunkLast, from, to)
	err := c.statement(ctx, doing, func(ctx context.Context) error {
		return c.conn.QueryRow(ctx, "SELECT uniqExact(chunk_id) FROM "+schema.Chunks+" WHERE "+within).Scan(&report.Compared)
	})
	if err != nil {
		return report, err
	}
	query := fmt.Sprintf(`SELECT id, max(at), sum(said) AS held, sum(stored) AS found FROM (
SELECT chunk_id AS id, last AS at, records AS said, toUInt64(0) AS stored FROM %s WHERE %s
UNION ALL
SELECT toString(chunk_id) AS id, toDateTime64(0, 3, 'UTC') AS at, toUInt64(0) AS said, count() AS stored
FROM %s WHERE %s GROUP BY id
) GROUP BY id HAVING held > 0 AND held != found ORDER BY max(at), id LIMIT 1`,
		schema.Chunks, within, schema.Events, between(schema.CountedAt, from, to))
	// What differs once may be an insert that has reached one table and not yet the other.
	for range 2 {
		report.Equal, report.First = true, nil
		err := c.statement(ctx, doing, func(ctx context.Context) error {
			rows, err := c.conn.Query(reading(ctx), query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var d ChunkDifference
				if err := rows.Scan(&d.ChunkID, &d.Last, &d.Held, &d.Found); err != nil {
					return err
				}
				report.Equal, report.First = false, &d
			}
			return rows.Err()
		})
		if err != nil || report.Equal {
			return report, err
		}
	}
	return report, nil
}

// repair corrects a tier and returns how many keys that were.
//
// It inserts the differences instead of deleting what is there: all measures are sums, so a row of differences, modulo
// 2⁶⁴, makes them right. A part that a deletion empties is dropped, and with it goes the memory of the tokens that
// it came from: a chunk that is sent again would be counted again. A row of differences also takes effect at once, so that
// no reader sees a hole, and a repair that was interrupted is completed by the next, which finds only what is left.
func (c *checker) repair(ctx context.Context, tier schema.Tier, from, to time.Time) (uint64, error) {
	var corrected uint64
	partitions := map[string]bool{}
	list, err := c.slices(ctx, tier, from, to)
	if err != nil {
		return 0, err
	}
	for _, slice := range list {
		slice, found, err := c.narrow(ctx, tier, slice)
		if err != nil {
			return corrected, err
		}
		if !found {
			continue
		}
		var n uint64
		var days []time.Time
		err = c.statement(ctx, "check "+tier.Table, func(ctx context.Context) error {
			return c.conn.QueryRow(reading(ctx), "SELECT count(), groupUniqArray(toDate(bucket)) FROM ("+
				differences(tier, slice[0], slice[1])+")").Scan(&n, &days)
		})
		if err != nil {
			return corrected, err
		}
		if n == 0 {
			continue
		}
		err = c.statement(ctx, "repair "+tier.Table, func(ctx context.Context) error {
			return c.conn.Exec(correcting(ctx), correction(tier, slice[0], slice[1]))
		})
		if err != nil {
			return corrected, err
		}
		corrected += n
		layout := "20060102"
		if tier.Table == schema.Rollup15m {
			layout = "200601"
		}
		for _, day := range days {
			partitions[day.UTC().Format(layout)] = true
		}
	}
	// Merging folds the differences into the rows that they correct, so that retention takes both at once. The sums are
	// right without it, and the engine does it by itself some time.
	for id := range partitions {
		err := c.statement(ctx, "merge "+tier.Table, func(ctx context.Context) error {
			return c.conn.Exec(ctx, "OPTIMIZE TABLE "+tier.Table+" PARTITION ID '"+id+"' FINAL")
		})
		if ctx.Err() != nil {
			return corrected, ctx.Err()
		}
		if err != nil {
			c.notes = append(c.notes, fmt.Sprintf("%s is repaired, but its partition %s is not merged yet: %v",
				tier.Table, id, err))
		}
	}
	return corrected, nil
}

// first returns the first difference of a tier, or nil.
func (c *checker) first(ctx context.Context, tier schema.Tier, from, to time.Time) (*Difference, error) {
	list, err := c.slices(ctx, tier, from, to)
	if err != nil {
		return nil, err
	}
	for _, slice := range list {
		// What differs once may be an insert that has reached events and not yet the tier.
		for attempt := 0; ; attempt++ {
			suspect, found, err := c.narrow(ctx, tier, slice)
			if err != nil {
				return nil, err
			}
			if !found {
				break
			}
			d, err := c.firstOf(ctx, tier, suspect[0], suspect[1])
			if err != nil {
				return nil, err
			}
			if d == nil {
				break
			}
			if attempt > 0 {
				return d, nil
			}
		}
	}
	return nil, nil
}

func (c *checker) firstOf(ctx context.Context, tier schema.Tier, from, to time.Time) (*Difference, error) {
	names := dimensionsOf(tier)
	values := make([]string, len(names))
	var bucket time.Time
	found := false
	err := c.statement(ctx, "check "+tier.Table, func(ctx context.Context) error {
		key := schema.Bucket + ", " + strings.Join(names, ", ")
		rows, err := c.conn.Query(reading(ctx),
			"SELECT "+key+" FROM ("+differences(tier, from, to)+") ORDER BY "+key+" LIMIT 1")
		if err != nil {
			return err
		}
		defer rows.Close()
		dst := []any{&bucket}
		for i := range values {
			dst = append(dst, &values[i])
		}
		for rows.Next() {
			found = true
			if err := rows.Scan(dst...); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil || !found {
		return nil, err
	}

	d := &Difference{Bucket: bucket.UTC()}
	var args []any
	equal := ""
	for i, name := range names {
		d.Dimensions = append(d.Dimensions, Dimension{name, values[i]})
		equal += " AND t." + name + " = ?"
		args = append(args, values[i])
	}
	read := func(query string) (sums []string, err error) {
		err = c.statement(ctx, "check "+tier.Table, func(ctx context.Context) error {
			return c.conn.QueryRow(ctx, query+equal, args...).Scan(&sums)
		})
		return sums, err
	}
	var stored, recounted []string
	for _, m := range measures() {
		stored = append(stored, "toString(sum(t."+m.name+"))")
		recounted = append(recounted, "toString(sum("+strings.ReplaceAll(m.expression, "e.", "t.")+"))")
	}
	end := bucket.Add(tier.Step)
	have, err := read("SELECT [" + strings.Join(stored, ", ") + "] FROM " + tier.Table + " AS t WHERE " +
		between("t."+schema.Bucket, bucket, end))
	if err != nil {
		return nil, err
	}
	want, err := read("SELECT [" + strings.Join(recounted, ", ") + "] FROM " + schema.Events + " AS t WHERE " +
		between("t."+schema.CountedAt, bucket, end))
	if err != nil {
		return nil, err
	}
	for i, m := range measures() {
		if m.differ(have[i], want[i]) {
			d.Measure, d.Stored, d.Recounted = m.name, have[i], want[i]
			return d, nil
		}
	}
	return nil, nil // equal by now
}
