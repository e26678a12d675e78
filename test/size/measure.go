package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits are what the project promises: 300 ms for what reads rollups, 3 s for what reads events. The first tick of the SLO engine, many
// statements that count every day, is to end before the next one is due.
const (
	ofRollups = 300 * time.Millisecond
	ofEvents  = 3 * time.Second
	ofTick    = time.Minute
)

// question is what is measured.
type question struct {
	// group is the table that its answer is a row of; a board's panels are together in one row.
	group, name, board string
	limit              time.Duration
	ask                func(context.Context) error
}

// answer is what a question has cost.
type answer struct {
	question
	cold  time.Duration
	walls []time.Duration // ascending
	cpu   time.Duration
	rows  uint64
	peak  int64 // KiB
}

func (a *answer) median() time.Duration { return a.walls[len(a.walls)/2] }
func (a *answer) most() time.Duration   { return a.walls[len(a.walls)-1] }

var readsEvents = regexp.MustCompile(`(?i)\b(FROM|JOIN)\s+(events|connections|traces)\b`)

// limitOf is the promise for a statement.
func limitOf(sql string) time.Duration {
	if readsEvents.MatchString(sql) {
		return ofEvents
	}
	return ofRollups
}

// measure asks everything: once with cold caches, and then so often. Nothing is merged meanwhile, since that would be counted.
func (m *month) measure(ctx context.Context, s settings) error {
	if err := m.count(ctx); err != nil {
		return err
	}
	if err := m.db.Conn().Exec(ctx, "SYSTEM STOP MERGES"); err != nil {
		return err
	}
	questions, err := m.questions(ctx)
	if err != nil {
		return err
	}
	for _, q := range questions {
		if !strings.Contains(q.group+" "+q.name, s.only) {
			continue
		}
		a, err := m.one(ctx, q, s.runs)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// That it is not answered is what was measured.
			m.refused = append(m.refused, fmt.Sprintf("%s %s%s: %v", q.group, q.board, q.name, err))
			fmt.Fprintf(os.Stderr, "%s %s%s: %v\n", time.Now().Format(time.TimeOnly), q.board, q.name, err)
			continue
		}
		m.answers = append(m.answers, a)
		fmt.Fprintf(os.Stderr, "%s %s%s: %d ms, %d CPU-ms\n", time.Now().Format(time.TimeOnly), q.board, q.name,
			a.median().Milliseconds(), a.cpu.Milliseconds())
	}
	return nil
}

func (m *month) one(ctx context.Context, q question, runs int) (a answer, err error) {
	a.question = q
	if err := m.engine.chill(ctx, m); err != nil {
		return a, err
	}
	began := time.Now()
	if err := q.ask(ctx); err != nil {
		return a, err
	}
	a.cold = time.Since(began)
	if err := m.engine.forgetPeak(); err != nil {
		return a, err
	}
	before, err := m.engine.process("status", "VmRSS:")
	if err != nil {
		return a, err
	}
	rows, cpu, err := m.used(ctx)
	if err != nil {
		return a, err
	}
	for range runs {
		// Which rows a condition passes is remembered; but nobody asks about the same times again.
		if err := m.db.Conn().Exec(ctx, "SYSTEM DROP QUERY CONDITION CACHE"); err != nil {
			return a, err
		}
		began := time.Now()
		if err := q.ask(ctx); err != nil {
			return a, err
		}
		a.walls = append(a.walls, time.Since(began))
	}
	slices.Sort(a.walls)
	peak, err := m.engine.process("status", "VmHWM:")
	if err != nil {
		return a, err
	}
	rowsAfter, cpuAfter, err := m.used(ctx)
	a.rows, a.cpu, a.peak = (rowsAfter-rows)/uint64(runs), (cpuAfter-cpu)/time.Duration(runs), max(0, peak-before)
	return a, err
}

// used is how many rows the engine has read, and its processor time.
func (m *month) used(ctx context.Context) (rows uint64, cpu time.Duration, err error) {
	const selected = "SELECT sum(value) FROM system.events WHERE event = 'SelectedRows'"
	if err := m.db.Conn().QueryRow(ctx, selected).Scan(&rows); err != nil {
		return 0, 0, err
	}
	cpu, err = m.engine.cpu()
	return rows, cpu, err
}

// printAnswers prints a table for each group, with the months beside each other.
func printAnswers(w io.Writer, months []*month) {
	last := months[len(months)-1]
	group := ""
	for i := 0; i < len(last.answers); {
		a := &last.answers[i]
		if a.group != group {
			group = a.group
			fmt.Fprintf(w, "\n%s\n\n| |", group)
			for _, m := range months {
				fmt.Fprintf(w, " %.0f million |", float64(m.events())/1e6)
			}
			fmt.Fprintf(w, " cold | CPU-ms | million rows | MiB |\n| --- |%s --- | --- | --- | --- |\n",
				strings.Repeat(" --- |", len(months)))
		}
		// The panels of a board are one row: that of the slowest.
		next := i + 1
		name := a.name
		if a.board != "" {
			for next < len(last.answers) && last.answers[next].board == a.board {
				next++
			}
			slowest := slices.MaxFunc(last.answers[i:next], byShare)
			name = fmt.Sprintf("%s, slowest of %d: %s", a.board, next-i, slowest.name)
			a = &slowest
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, m := range months {
			at := slices.IndexFunc(m.answers, func(o answer) bool {
				return o.group == a.group && o.name == a.name && o.board == a.board
			})
			if at < 0 {
				fmt.Fprint(w, " |")
				continue
			}
			o := &m.answers[at]
			missed := ""
			if o.median() > o.limit {
				missed = " **over " + o.limit.String() + "**"
			}
			fmt.Fprintf(w, " %d (%d)%s |", o.median().Milliseconds(), o.most().Milliseconds(), missed)
		}
		fmt.Fprintf(w, " %d | %d | %.2f | %d |\n", a.cold.Milliseconds(), a.cpu.Milliseconds(), float64(a.rows)/1e6,
			a.peak>>10)
		i = next
	}
	for _, m := range months {
		for _, text := range m.refused {
			fmt.Fprintf(w, "\nNot answered at %.0f million: %s.", float64(m.events())/1e6, text)
		}
		for _, a := range m.answers {
			if a.median() > a.limit {
				fmt.Fprintf(w, "\nOver its limit at %.0f million: %s %s: %d ms of %d.", float64(m.events())/1e6, a.board, a.name,
					a.median().Milliseconds(), a.limit.Milliseconds())
			}
		}
	}
	fmt.Fprintln(w)
}

// byShare compares by what share of its limit each takes.
func byShare(a, b answer) int {
	share := func(o answer) float64 { return float64(o.median()) / float64(o.limit) }
	return cmp.Compare(share(a), share(b))
}
