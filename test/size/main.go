// Size fills a store with a month of events and measures what everything costs that is asked of it: the queries of
// `sockeye query`, what the SLO engine counts by, and the panels of the dashboards. It prints tables in Markdown.
//
// A month is made once and kept, so that it can be measured again. It is as many events as one asks for, spread over thirty
// days, each made by the engine itself (population.sql) and inserted into the table of events, so that the views of the
// migrations fill the tiers and the side tables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sockeye-project/sockeye/store"
)

func main() {
	var s settings
	events := flag.String("events", "1000000",
		"how `many`; several with commas between them are beside each other in the tables")
	flag.StringVar(&s.dir, "dir", "", "`directory` of the months; each is in one named by its events, and made if it is "+
		"not there; if empty, they are not kept")
	flag.StringVar(&s.sockeye, "sockeye", "bin/sockeye", "the `binary`, which serves the engine")
	flag.IntVar(&s.runs, "runs", 5, "how often each is asked, after once with cold caches")
	flag.StringVar(&s.only, "only", "", "measure only those whose name holds this `text`")
	flag.BoolVar(&s.fill, "fill", false, "make what is not there, and measure nothing")
	flag.Parse()
	if err := run(context.Background(), s, *events); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

type settings struct {
	dir, sockeye, only string
	runs               int
	fill               bool
}

func run(ctx context.Context, s settings, events string) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "size")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.dir = dir
	}
	var months []*month
	for text := range strings.SplitSeq(events, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 100_000 {
			return fmt.Errorf("-events: must be 100000 or more, got %q", text)
		}
		m, err := open(ctx, s, n)
		if err != nil {
			return fmt.Errorf("%d events: %w", n, err)
		}
		months = append(months, m)
	}
	if s.fill {
		return nil
	}
	printMonths(os.Stdout, months)
	printAnswers(os.Stdout, months)
	return nil
}

// open fills a month if it is not there, and measures it.
func open(ctx context.Context, s settings, events int) (m *month, err error) {
	dir := filepath.Join(s.dir, strconv.Itoa(events))
	engine, err := startEngine(s.sockeye, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	db, err := store.Open(ctx, engine.address+"/sockeye", store.Options{Client: "size"})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	// A month that was kept may be of an earlier schema.
	if _, err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	m = &month{engine: engine, db: db}
	if err := m.recall(); err != nil {
		return nil, err
	}
	if !m.Done {
		if err := m.make(ctx, events); err != nil {
			return nil, err
		}
	}
	if s.fill {
		return m, nil
	}
	return m, m.measure(ctx, s)
}
