package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

var (
	//go:embed population.sql
	population string
	//go:embed around.sql
	around string
)

const (
	minutesOfDay = 24 * 60
	minutesInAll = 30 * minutesOfDay
	// eventsOf is how many events an attempt to connect of population.sql has, in the mean.
	eventsOf = 6.88
	// atOnce is about how many events one statement makes, blockRows how many rows of them are worked on at once.
	atOnce, blockRows = 400_000, 20_000
)

// month is a store with a month of events.
type month struct {
	engine *engine
	db     *store.Store
	made
	tables  []table
	answers []answer
	// refused says which questions were not answered, and why.
	refused []string
}

// made is what is remembered of how a month is made. It is written after each statement, so that one who was stopped goes on.
type made struct {
	// Start is its first second; it ends at a whole hour.
	Start time.Time
	// Next is the first minute that is not there.
	Next int
	// Of the engine's processor: making and inserting, and merging what then was left to merge.
	Inserting, Merging time.Duration
	Done               bool
}

// table is what a table holds in the end.
type table struct {
	name               string
	rows, bytes, parts uint64
}

func (m *month) end() time.Time { return m.Start.Add(minutesInAll * time.Minute) }

// make fills the store. Events are kept for 60 days instead of 7, so that a month is there to ask; all else is as by default.
func (m *month) make(ctx context.Context, events int) error {
	retention := store.DefaultRetention()
	retention.Events = 60 * 24 * time.Hour
	if _, err := m.db.ApplyRetention(ctx, retention); err != nil {
		return err
	}
	if m.Start.IsZero() {
		m.Start = time.Now().UTC().Truncate(time.Hour).Add(-minutesInAll * time.Minute)
	}
	perMinute := float64(events) / minutesInAll
	minutes := minutesOfDay
	for minutes > 15 && perMinute*float64(minutes) > atOnce {
		minutes /= 2
	}
	block := max(1, int(blockRows/perMinute))
	before := m.Inserting
	step := func(err error) error {
		if err != nil {
			return err
		}
		cpu, err := m.engine.cpu()
		m.Inserting = before + cpu
		return errors.Join(err, m.remember())
	}
	for m.Next < minutesInAll {
		// What is older than three days expires in the finest tier as soon as it is there, so it is not written.
		view := "DETACH TABLE IF EXISTS rollup_10s_view"
		if m.Next >= minutesInAll-3*minutesOfDay {
			view = "ATTACH TABLE IF NOT EXISTS rollup_10s_view"
		}
		if err := m.db.Conn().Exec(ctx, view); err != nil {
			return err
		}
		err := m.execute(ctx, population, fmt.Sprint("minute-", m.Next), clickhouse.Parameters{
			"from": strconv.Itoa(m.Next), "minutes": strconv.Itoa(min(minutes, minutesInAll-m.Next)),
			"connections": strconv.FormatFloat(perMinute/eventsOf, 'g', -1, 64),
		}, block)
		m.Next += minutes
		if err := step(err); err != nil {
			return err
		}
		if m.Next%minutesOfDay == 0 {
			fmt.Fprintf(os.Stderr, "%s: day %d of %d events\n", time.Now().Format(time.TimeOnly), m.Next/minutesOfDay, events)
		}
	}
	for i, statement := range schema.Statements(around) {
		if err := step(m.execute(ctx, statement, fmt.Sprint("around-", i), nil, 1<<16)); err != nil {
			return err
		}
	}
	inserted, err := m.engine.cpu()
	if err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	all, err := m.engine.cpu()
	m.Merging, m.Done = all-inserted, true
	return errors.Join(err, m.remember())
}

// remembered is the file of made.
func (m *month) remembered() string { return filepath.Join(filepath.Dir(m.engine.data), "made.json") }

func (m *month) remember() error {
	text, err := json.Marshal(m.made)
	if err != nil {
		return err
	}
	return os.WriteFile(m.remembered(), text, 0o644) //nolint:gosec // nothing secret
}

func (m *month) recall() error {
	text, err := os.ReadFile(m.remembered())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &m.made)
}

// execute runs a statement once, however often it is called with the token. The same rows in the same blocks are what a token needs, so
// one thread makes them.
func (m *month) execute(ctx context.Context, statement, token string, parameters clickhouse.Parameters, block int,
) error {
	all := clickhouse.Parameters{
		"start": strconv.FormatInt(m.Start.Unix(), 10), "minutes_in_all": strconv.Itoa(minutesInAll),
	}
	maps.Copy(all, parameters)
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(all), clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": token, "max_threads": 1, "max_insert_threads": 1,
		"max_block_size": block, "min_insert_block_size_rows": 100_000, "min_insert_block_size_bytes": 0,
	}))
	return m.db.Conn().Exec(ctx, statement)
}

// settle waits until the engine has merged what it wants to merge.
func (m *month) settle(ctx context.Context) error {
	for quiet := 0; quiet < 10; quiet++ {
		var merges uint64
		if err := m.db.Conn().QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil {
			return err
		}
		if merges > 0 {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return nil
}

// count reads what the tables hold.
func (m *month) count(ctx context.Context) error {
	rows, err := m.db.Conn().Query(ctx, `SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts
WHERE active AND database = currentDatabase() AND table != 'schema_migrations'
GROUP BY table ORDER BY sum(bytes_on_disk) DESC, table`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t table
		if err := rows.Scan(&t.name, &t.rows, &t.bytes, &t.parts); err != nil {
			return err
		}
		m.tables = append(m.tables, t)
	}
	return rows.Err()
}

func (m *month) events() uint64 {
	for _, t := range m.tables {
		if t.name == schema.Events {
			return t.rows
		}
	}
	return 0
}

// printMonths prints what the tables of each month hold, and what making it has cost.
func printMonths(w io.Writer, months []*month) {
	for _, m := range months {
		n := float64(m.events())
		fmt.Fprintf(w, "\n%.1f million events: %.1f CPU-µs an event for making and inserting them with what the views "+
			"make of them, %.1f for merging what was left then.\n\n",
			n/1e6, float64(m.Inserting.Microseconds())/n, float64(m.Merging.Microseconds())/n)
		fmt.Fprintln(w, "| table | rows | MiB | bytes a row | bytes an event | parts |\n"+
			"| --- | --- | --- | --- | --- | --- |")
		for _, t := range m.tables {
			if t.rows > 0 {
				fmt.Fprintf(w, "| `%s` | %d | %.1f | %.1f | %.1f | %d |\n", t.name, t.rows, float64(t.bytes)/(1<<20),
					float64(t.bytes)/float64(t.rows), float64(t.bytes)/n, t.parts)
			}
		}
	}
}
