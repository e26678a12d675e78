package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/slo"
)

// sloQuestion is what a question to an engine has in common with others.
type sloQuestion struct {
	endpoint, output, service, at string
	group                         []string
}

func (q *sloQuestion) connection(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.endpoint, "endpoint", "http://127.0.0.1:9466",
		"`ADDRESS` of the engine's API (http of the slo extension)")
	f.StringVarP(&q.output, "output", "o", "table", "`table or json`")
}

func (q *sloQuestion) flags(cmd *cobra.Command) {
	q.connection(cmd)
	f := cmd.Flags()
	f.StringVar(&q.service, "service", "", "the `SERVICE`, where several have an SLO of that name")
	f.StringArrayVar(&q.group, "group", nil,
		"one of its groups, by `DIMENSION=VALUE`, once for each dimension that it is grouped by; others for the rest together")
	f.StringVar(&q.at, "at", "",
		"as of this `TIME`, such as 2026-03-01T12:00:00Z, or so long ago, such as 2h or 7d (default: the last evaluation)")
}

// ask puts the question and writes the answer.
func (q *sloQuestion) ask(cmd *cobra.Command, page, name string, query url.Values, into any,
	table func(io.Writer) error,
) error {
	cmd.SilenceUsage = true
	if q.output != "table" && q.output != "json" {
		return fmt.Errorf("--output: must be table or json, got %q", q.output)
	}
	query.Set("slo", name)
	query.Set("service", q.service)
	query["group"] = q.group
	if q.at != "" {
		at, err := stamp("--at", q.at)
		if err != nil {
			return err
		}
		query.Set("at", at)
	}
	if err := askSLOEngine(cmd.Context(), q.endpoint, page, query, into); err != nil {
		return err
	}
	if q.output == "json" {
		return writeJSON(cmd.OutOrStdout(), into)
	}
	return table(cmd.OutOrStdout())
}

// stamp reads a time, or how long ago it was, and writes it as the engine reads it.
func stamp(flag, text string) (string, error) {
	at, err := moment(text, time.Now())
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return at.UTC().Format(time.RFC3339), nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func newSLOHistoryCommand() *cobra.Command {
	var q sloQuestion
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show how an SLO stood: as reported then, and as known now",
		Long: `Shows what the engine last reported of an SLO as of a time, with the counts it used, beside what the same windows hold
now. They differ where events came late.`,
		Example: `  sockeye slo history connection-availability --at 2026-03-01T12:00:00Z
  sockeye slo history connection-availability --service chat --at 36h --output json
  sockeye slo history login --group tenant=acme`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var past slo.Past
			return q.ask(cmd, "api/v1/history", args[0], url.Values{}, &past,
				func(w io.Writer) error { return slo.WritePast(w, past) })
		},
	}
	q.flags(cmd)
	return cmd
}

func newSLOExplainCommand() *cobra.Command {
	var q sloQuestion
	var top int
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Show how an SLO's numbers come about, and what burned its budget",
		Long: `Says in words what an SLO counts, shows the counts of every window with the SQL that gave them, and which error types,
tenants and regions burned the budget most.`,
		Example: `  sockeye slo explain connection-availability
  sockeye slo explain connection-availability --service chat --top 10 --at 2h --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var e slo.Explanation
			return q.ask(cmd, "api/v1/explain", args[0], url.Values{"top": {strconv.Itoa(top)}}, &e,
				func(w io.Writer) error { return slo.WriteExplanation(w, e) })
		},
	}
	q.flags(cmd)
	cmd.Flags().IntVar(&top, "top", 5, "how many of each to show")
	return cmd
}

func newSLOIncidentsCommand() *cobra.Command {
	var q sloQuestion
	var since string
	cmd := &cobra.Command{
		Use:   "incidents [NAME]",
		Short: "List incidents, and what happened to budgets",
		Long: `Lists the times in which an alert of an SLO fired: since when the budget burned, when that was detected, when it ended,
and what was counted meanwhile. Then when budgets were spent by 25, 50, 75 and 90 %, exhausted, and recovered.`,
		Example: `  sockeye slo incidents --since 7d
  sockeye slo incidents connection-availability --service chat --since 2026-03-01T12:00:00Z --output json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			at, err := stamp("--since", since)
			if err != nil {
				return err
			}
			var h slo.History
			return q.ask(cmd, "api/v1/incidents", strings.Join(args, ""), url.Values{"since": {at}}, &h,
				func(w io.Writer) error { return slo.WriteHistory(w, h) })
		},
	}
	q.connection(cmd)
	cmd.Flags().StringVar(&q.service, "service", "", "only SLOs of this `SERVICE`")
	cmd.Flags().StringVar(&since, "since", "72h", "those that went on at this `TIME` or later, or so long ago")
	return cmd
}
