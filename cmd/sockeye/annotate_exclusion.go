package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/schema"
)

const (
	// longestExclusion bounds one exclusion: what does not count for longer is no exception.
	longestExclusion = 31 * 24 * time.Hour
	// aheadExclusion is how long before it an exclusion may be said.
	aheadExclusion = 366 * 24 * time.Hour
	longestReason  = 500
	// judgedWithin is how lately an engine must have judged an SLO for it to be known.
	judgedWithin = 35 * 24 * time.Hour
)

type exclusionOptions struct {
	storeFlags
	service, name, from, to, reason string
	all                             bool
}

func newAnnotateExclusionCommand() *cobra.Command {
	o := &exclusionOptions{}
	cmd := &cobra.Command{
		Use:   "exclusion",
		Short: "Say that a time does not count into budgets and burn rates",
		Long: `Excludes a time from the budget and the burn rates of an SLO, or of all SLOs of a service: maintenance, a load test.
It may be over, going on or ahead. Engines count anew at their next evaluation; ` + "`sockeye slo explain`" + ` then shows the
budget with and without it, and ` + "`sockeye slo history`" + ` what had been reported.

It is a row in the store's ` + schema.SLOExclusions + `, so it needs the store's address and a user who may write there; the
password is read from ` + storePasswordEnv + `. Rows are never changed or deleted: saying the same time again with another
reason, or withdrawing it, writes the next version.`,
		Example: `  sockeye annotate exclusion --service chat --from 2026-03-01T12:00:00Z --to 2026-03-01T12:45:00Z --reason "load test"
  sockeye annotate exclusion --service chat --slo connection-availability --from 2h --to 90m --reason "game day"
  sockeye annotate exclusion list
  sockeye annotate exclusion withdraw 1f0c93ab --reason "the load test was cancelled"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			e, err := o.exclusion(time.Now())
			if err != nil {
				return err
			}
			return o.withStore(cmd, true, func(ctx context.Context, s *store.Store) error { return o.write(ctx, cmd, s, e) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.service, "service", "", "service.name of the `SERVICE` (required)")
	f.StringVar(&o.name, "slo", "", "only this `SLO` of it; all, if none is given")
	f.StringVar(&o.from, "from", "", "since this `TIME`, such as 2026-03-01T12:00:00Z, or so long ago, such as 2h (required)")
	f.StringVar(&o.to, "to", "", "up to this `TIME`, or so long ago (required)")
	f.StringVar(&o.reason, "reason", "", "why, for those who read the budget later (required)")
	o.add(cmd)

	list := &cobra.Command{
		Use:   "list",
		Short: "List the exclusions in force",
		Example: `  sockeye annotate exclusion list --service chat
  sockeye annotate exclusion list --all --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return o.withStore(cmd, true, func(ctx context.Context, s *store.Store) error { return o.list(ctx, cmd, s) })
		},
	}
	list.Flags().StringVar(&o.service, "service", "", "only those of this `SERVICE`")
	list.Flags().BoolVar(&o.all, "all", false, "every version that was ever written, withdrawn ones too")
	list.Flags().StringVarP(&o.output, "output", "o", "table", "`table or json`")
	o.add(list)
	withdraw := &cobra.Command{
		Use:     "withdraw ID",
		Short:   "Let the time of an exclusion count again",
		Example: `  sockeye annotate exclusion withdraw 1f0c93ab --reason "the load test was cancelled"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			if err := checkReason(o.reason); err != nil {
				return err
			}
			return o.withStore(cmd, true, func(ctx context.Context, s *store.Store) error {
				return o.withdraw(ctx, cmd, s, args[0])
			})
		},
	}
	withdraw.Flags().StringVar(&o.reason, "reason", "", "why (required)")
	o.add(withdraw)
	cmd.AddCommand(list, withdraw)
	return cmd
}

func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("--reason: say why, such as \"load test\"")
	case len(reason) > longestReason:
		return fmt.Errorf("--reason: must be at most %d bytes, got %d", longestReason, len(reason))
	case strings.ContainsFunc(reason, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return errors.New("--reason: must be one line of text")
	}
	return nil
}

// exclusion is what the flags say, with every fault of them.
func (o *exclusionOptions) exclusion(now time.Time) (slo.Exclusion, error) {
	var faults []error
	if o.service == "" {
		faults = append(faults, errors.New("--service: name the service"))
	}
	if _, group := slo.GroupOf(o.name); group {
		faults = append(faults, errors.New("--slo: name the whole SLO; a group cannot be excluded by itself"))
	}
	read := func(flag, text string) time.Time {
		if text == "" {
			faults = append(faults, fmt.Errorf("%s: say when, such as 2026-03-01T12:00:00Z or 2h (ago)", flag))
			return time.Time{}
		}
		at, err := moment(text, now)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", flag, err))
		}
		return at
	}
	// Whole minutes are what budgets are made of.
	from := read("--from", o.from).UTC().Truncate(time.Minute)
	to := read("--to", o.to).UTC().Add(time.Minute - 1).Truncate(time.Minute)
	if err := checkReason(o.reason); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		switch {
		case !to.After(from):
			faults = append(faults, errors.New("--to: must be after --from"))
		case to.Sub(from) > longestExclusion:
			faults = append(faults, fmt.Errorf("--to: an exclusion may last at most %d days; what does not count for longer "+
				"belongs into the SLO's document", longestExclusion/(24*time.Hour)))
		case to.Before(now.Add(-slo.ExclusionsKept)):
			faults = append(faults, fmt.Errorf("--to: was more than %d days ago; no budget counts that any more",
				slo.ExclusionsKept/(24*time.Hour)))
		case from.After(now.Add(aheadExclusion)):
			faults = append(faults, fmt.Errorf("--from: is more than %d days ahead", aheadExclusion/(24*time.Hour)))
		}
	}
	return slo.Exclusion{
		ID: slo.ExclusionID(o.service, o.name, from, to), Version: 1, Service: o.service, SLO: o.name, From: from, To: to,
		Reason: o.reason, Written: now.UTC(),
	}, errors.Join(faults...)
}

// askRows asks the store.
func askRows[T any](ctx context.Context, s *store.Store, sql string, read func(slo.Rows) ([]T, error)) ([]T, error) {
	rows, err := s.Conn().Query(ctx, sql)
	if err != nil {
		return nil, s.Explain(err)
	}
	defer rows.Close()
	found, err := read(rows)
	return found, s.Explain(err)
}

// write writes the exclusion, unless it is in force in the same words.
func (o *exclusionOptions) write(ctx context.Context, cmd *cobra.Command, s *store.Store, e slo.Exclusion) error {
	known, err := askRows(ctx, s, slo.SelectJudged(e.Written.Add(-judgedWithin)), slo.ReadJudged)
	if err != nil {
		return err
	}
	if err := o.check(known); err != nil {
		return err
	}
	versions, err := askRows(ctx, s, slo.SelectExclusionVersions(e.Service), slo.ReadExclusions)
	if err != nil {
		return err
	}
	if last, ok := lastVersion(versions, e.ID); ok {
		if !last.Withdrawn && last.Reason == e.Reason {
			fmt.Fprintf(cmd.OutOrStdout(), "already in force: %s\n", sentence(&last))
			return nil
		}
		e.Version = last.Version + 1
	} else {
		inForce, err := askRows(ctx, s, slo.SelectExclusions(e.Written.Add(-2*slo.ExclusionsKept)), slo.ReadInForce)
		if err != nil {
			return err
		}
		if len(inForce) >= slo.MostExclusions {
			return fmt.Errorf("%d exclusions are in force, which is the most; withdraw some, or say several as one", len(inForce))
		}
	}
	if err := s.Conn().Exec(ctx, slo.InsertExclusions+" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", e.Row()...); err != nil {
		return s.Explain(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "excluded: %s\n", sentence(&e))
	return nil
}

func sentence(e *slo.Exclusion) string {
	return fmt.Sprintf("%s from %s to %s (%s), id %s, version %d", e.About(), e.From.Format(time.RFC3339),
		e.To.Format(time.RFC3339), e.To.Sub(e.From), e.ID, e.Version)
}

// check reports a service or an SLO that no engine judges: excluding it would change nothing, silently.
func (o *exclusionOptions) check(known [][2]string) error {
	var services, names []string
	for _, k := range known {
		whole, _ := slo.GroupOf(k[1])
		services = append(services, k[0])
		if k[0] == o.service {
			names = append(names, whole)
		}
	}
	services, names = slices.Compact(services), slices.Compact(names)
	switch {
	case len(known) == 0:
		return errors.New("no engine has judged an SLO in this store; is --endpoint the store of an slo extension?")
	case len(names) == 0:
		return fmt.Errorf("--service: no SLO of %q is judged; services are %s", o.service, few(services))
	case o.name != "" && !slices.Contains(names, o.name):
		return fmt.Errorf("--slo: %s has no SLO %q; it has %s", o.service, o.name, few(names))
	}
	return nil
}

func few(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// lastVersion is the last of an id, if there is any.
func lastVersion(versions []slo.Exclusion, id string) (last slo.Exclusion, ok bool) {
	for _, e := range versions {
		if e.ID == id && e.Version >= last.Version {
			last, ok = e, true
		}
	}
	return last, ok
}

func (o *exclusionOptions) withdraw(ctx context.Context, cmd *cobra.Command, s *store.Store, id string) error {
	versions, err := askRows(ctx, s, slo.SelectExclusionVersions(""), slo.ReadExclusions)
	if err != nil {
		return err
	}
	e, ok := lastVersion(versions, id)
	switch {
	case !ok:
		return fmt.Errorf("no exclusion has the id %q; `sockeye annotate exclusion list` lists them", id)
	case e.Withdrawn:
		return fmt.Errorf("%s is withdrawn already, since %s", id, e.Written.Format(time.RFC3339))
	}
	e.Version, e.Withdrawn, e.Reason, e.Written = e.Version+1, true, o.reason, time.Now().UTC()
	if err := s.Conn().Exec(ctx, slo.InsertExclusions+" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", e.Row()...); err != nil {
		return s.Explain(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "withdrawn: %s\n", sentence(&e))
	return nil
}

func (o *exclusionOptions) list(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("--output: must be table or json, got %q", o.output)
	}
	sql, read := slo.SelectExclusions(time.Unix(0, 0)), slo.ReadInForce
	if o.all {
		sql, read = slo.SelectExclusionVersions(o.service), slo.ReadExclusions
	}
	found, err := askRows(ctx, s, sql, read)
	if err != nil {
		return err
	}
	if o.service != "" {
		found = slices.DeleteFunc(found, func(e slo.Exclusion) bool { return e.Service != o.service })
	}
	if o.output == "json" {
		return writeJSON(cmd.OutOrStdout(), found)
	}
	return slo.WriteExclusions(cmd.OutOrStdout(), found)
}
