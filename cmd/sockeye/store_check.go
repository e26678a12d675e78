package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/store"
)

// Exit statuses of `sockeye store check`.
const (
	checkDiffers  = 1
	checkNotDone  = 2
	checkTimeForm = "write it like 2026-11-20T14:00:00Z"
)

// checkError carries the exit status of a check that did not find everything equal.
type checkError struct {
	error
	status int
}

func (e checkError) Unwrap() error   { return e.error }
func (e checkError) ExitStatus() int { return e.status }

func newStoreCheckCommand(flags *storeFlags) *cobra.Command {
	var from, to, output string
	var o store.CheckOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Recount the events into every rollup tier, and repair a tier that differs",
		Long: `Recounts the events of a time range into every rollup tier and side table, compares the rows of every chunk with
what it held when it was inserted, and names the first difference of each. The range is widened to whole quarters of an
hour and ends where every source has been read.

With --repair the rollup tiers are made equal to the events. That is safe to repeat; run one repair at a time.

Exit status 0: equal. 1: something differs, or still differs after a repair. 2: it could not be checked.`,
		Example: `  sockeye store check
  sockeye store check --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z --output json
  sockeye store check --from 2026-11-20T14:00:00Z --to 2026-11-20T15:00:00Z --repair`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.check(cmd, from, to, output, o)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return checkError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath()), checkNotDone}
	})
	cmd.Flags().StringVar(&from, "from", "", "begin of the range, as RFC 3339 (default 24 hours before its end)")
	cmd.Flags().StringVar(&to, "to", "", "end of the range, as RFC 3339 (default the last whole quarter of an hour)")
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "make the tiers of the range equal to the events")
	cmd.Flags().BoolVar(&o.IgnoreSilent, "ignore-silent", false,
		"repair beyond what a silent source had read: it will never send anything again")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func (f *storeFlags) check(cmd *cobra.Command, from, to, output string, o store.CheckOptions) error {
	var err error
	parse := func(flag, text string, dst *time.Time) {
		if text == "" {
			return
		}
		t, fault := time.Parse(time.RFC3339, text)
		if fault != nil {
			err = errors.Join(err, fmt.Errorf("--%s: %s, got %q", flag, checkTimeForm, text))
		}
		*dst = t
	}
	parse("from", from, &o.From)
	parse("to", to, &o.To)
	if output != "text" && output != "json" {
		err = errors.Join(err, fmt.Errorf("--output: must be text or json, got %q", output))
	}
	if o.IgnoreSilent && !o.Repair {
		err = errors.Join(err, errors.New("--ignore-silent: only a repair waits for silent sources; add --repair"))
	}
	if err != nil {
		return checkError{err, checkNotDone}
	}
	report, err := f.checkStore(cmd.Context(), o)
	if err == nil {
		err = printCheck(cmd.OutOrStdout(), output, report)
	}
	if err != nil {
		return checkError{err, checkNotDone}
	}
	if !report.Equal {
		return checkError{checkAdvice(report, o.Repair), checkDiffers}
	}
	return nil
}

// checkStore opens the store and checks it. The time that the flags allow is that of one answer.
func (f *storeFlags) checkStore(ctx context.Context, o store.CheckOptions) (store.CheckReport, error) {
	opening, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	s, err := store.Open(opening, f.endpoint, store.Options{
		Username: f.username, Password: os.Getenv(storePasswordEnv), Database: f.database, KeepDatabase: true,
		Cluster: f.cluster,
	})
	if err != nil {
		return store.CheckReport{}, err
	}
	defer s.Close()
	o.Timeout = f.timeout
	return s.Check(ctx, o)
}

func checkAdvice(report store.CheckReport, repaired bool) error {
	var tiers, sides, chunks error
	for _, tier := range report.Tiers {
		if !tier.Equal {
			tiers = errors.New("a tier differs from the events; `sockeye store check --repair` rebuilds it from them")
			if repaired {
				tiers = errors.New("a tier still differs from the events; repeat the repair when no late events arrive")
			}
		}
	}
	for _, side := range report.Sides {
		if !side.Equal {
			sides = errors.New("a side table differs from the events; a repair does not correct it")
		}
	}
	if !report.Chunks.Equal {
		chunks = errors.New("events are not those that were inserted; no repair brings back an event")
	}
	return errors.Join(tiers, sides, chunks)
}

func printCheck(w io.Writer, output string, report store.CheckReport) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	fmt.Fprintf(w, "%s to %s: %d events; %d chunks lie wholly in the range\n", report.From.Format(time.RFC3339),
		report.To.Format(time.RFC3339), report.Events, report.Chunks.Compared)
	for _, note := range report.Notes {
		fmt.Fprintln(w, "note: "+note)
	}
	for _, tier := range slices.Concat(report.Tiers, report.Sides) {
		line := tier.Table + ": "
		if tier.Repaired > 0 {
			line += fmt.Sprintf("repaired %d keys, ", tier.Repaired)
		}
		switch {
		case tier.First != nil:
			line += "differs first in " + tier.First.String()
		case !tier.From.Before(report.To):
			line += "not compared, no bucket of it lies in the range"
		default:
			line += "equal"
		}
		fmt.Fprintln(w, line)
	}
	line := "chunks: equal"
	if report.Chunks.First != nil {
		line = "chunks: differ first in " + report.Chunks.First.String()
	}
	_, err := fmt.Fprintln(w, line+"\nnot looked at: "+strings.Join(report.Unchecked, ", "))
	return err
}
