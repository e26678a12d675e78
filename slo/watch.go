package slo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// watch tells over which time rows of some tables may have come or gone since it last looked. It compares the parts that
// the store lists: an insert adds a block, a mutation a version, and a merge joins blocks that were there. So the time of a
// part that holds an unknown block has changed, and so has that of a block that is gone.
//
// Where a table is not replicated, blocks are numbered over all partitions as they become visible: between two that are
// known there is none that is not. A replica may see the second of two first.
type watch struct {
	tables []string
	// ids identify the tables that were looked at: one of the same name may be another.
	ids map[string]int64
	// parts are those of each table and partition at the last look.
	parts map[[2]string][]storedPart
}

// storedPart is a range of blocks, at a version of mutations, with the time of its rows.
type storedPart struct {
	first, last, version int64
	time                 interval
}

// changes of a table: all of it, or some of the time.
type changes struct {
	all   bool
	times []interval
}

// look returns the changes of each table since the last look, all at the first. Where the store lists no parts of a table,
// because it is of another kind, all of it has changed.
func (w *watch) look(ctx context.Context, ask Ask) (map[string]*changes, error) {
	names := quoteAll(w.tables)
	sql := fmt.Sprintf(`SELECT table, partition_id, min_block_number, max_block_number,
    if(toInt64(data_version) > min_block_number, toInt64(data_version), 0) AS version,
    toUnixTimestamp(min_time), toUnixTimestamp(max_time)
FROM system.parts
WHERE active AND database = currentDatabase() AND table IN (%[1]s)
UNION ALL
SELECT name, '', reinterpretAsInt64(cityHash64(uuid)), toInt64(engine LIKE '%%MergeTree'),
    toInt64(match(engine, '^(Replicated|Shared)')), 0, 0
FROM system.tables
WHERE database = currentDatabase() AND name IN (%[1]s)`, names)
	ids, replicated, parts := map[string]int64{}, map[string]bool{}, map[[2]string][]storedPart{}
	err := ask(ctx, sql, func(rows Rows) error {
		for rows.Next() {
			var table, partition string
			var p storedPart
			var first, last uint32
			if err := rows.Scan(&table, &partition, &p.first, &p.last, &p.version, &first, &last); err != nil {
				return fmt.Errorf("read parts: %w", err)
			}
			if partition != "" {
				p.time = interval{int64(first), int64(last) + 1}
				key := [2]string{table, partition}
				parts[key] = append(parts[key], p)
			} else if p.last == 1 {
				ids[table], replicated[table] = p.first, p.version == 1
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	changed := map[string]*changes{}
	for _, table := range w.tables {
		id, listed := ids[table]
		before, known := w.ids[table]
		changed[table] = &changes{all: !listed || !known || id != before}
	}
	note := func(key [2]string, parts, others []storedPart, anyVersion bool) {
		for _, p := range parts {
			if c := changed[key[0]]; !p.within(others, anyVersion, !replicated[key[0]]) {
				c.times = append(c.times, p.time)
			}
		}
	}
	for key, now := range parts {
		slices.SortFunc(now, func(a, b storedPart) int { return cmp.Compare(a.first, b.first) })
		note(key, now, w.parts[key], false)
	}
	for key, before := range w.parts {
		note(key, before, parts[key], true)
	}
	w.ids, w.parts = ids, parts
	return changed, nil
}

// within reports whether other parts, which ascend, have all blocks of a part. gaps says that what lies between two of them
// is no block.
func (p storedPart) within(others []storedPart, anyVersion, gaps bool) bool {
	next := p.first
	for _, o := range others {
		switch {
		case o.last < next || o.first > p.last:
		case o.first > next && !gaps, o.version != p.version && !anyVersion:
			return false
		default:
			next = o.last + 1
		}
	}
	return next > p.last
}

// touches reports whether an interval may have changed.
func (c *changes) touches(i interval) bool {
	return c.all || slices.ContainsFunc(c.times, func(t interval) bool { return t.from < i.to && i.from < t.to })
}

// watchOf watches the tables, each once.
func watchOf(tables []string) *watch {
	slices.Sort(tables)
	return &watch{tables: slices.Compact(tables)}
}
